
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Credentials in a request that goes to the tagging server.  It has references
 * to them, and no "api_secret", wherever nginx could log, store or show it;
 * only while proxy_pass writes what is sent, it has them.
 */


#ifndef _NGX_HTTP_SGTM_FILL_H_INCLUDED_
#define _NGX_HTTP_SGTM_FILL_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../tenant/sgtm_fill.h"


/* a header of stored hits: what the gate has set.  Nobody's is sent. */
#define NGX_HTTP_SGTM_FILL_HEADER  "Sgtm-Credentials"


struct ngx_http_sgtm_fill_s {
    ngx_http_handler_pt   handler;     /* the location's: proxy_pass */
    ngx_uint_t            level;       /* of the connection's log */

    ngx_str_t             query;       /* as it is sent, while it is shown */
    ngx_str_t             filled;      /* our copy of it; empty: none */
    ngx_str_t             text;        /* a body, the same */

    /* as others see it, with references */

    ngx_str_t             args;
    ngx_str_t             unparsed_uri;
    ngx_chain_t          *bufs;
    off_t                 length;

    unsigned              shown:1;
};


/*
 * In the precontent phase, of a gateway's request that is sent now: if it may
 * have something to fill, its content handler becomes one that does.
 * NGX_DECLINED, or without memory the status to end with.
 */
ngx_int_t ngx_http_sgtm_fill(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx);

/* the same of one of the courier's; any other stays as it is */
ngx_int_t ngx_http_sgtm_fill_detached(ngx_http_request_t *r);

/* NULL is none: the request has references again, if it had credentials */
void ngx_http_sgtm_fill_hide(ngx_http_request_t *r,
    ngx_http_sgtm_fill_t *fill);

/* the same, once nothing is sent any more: clears their memory */
void ngx_http_sgtm_fill_end(ngx_http_request_t *r,
    ngx_http_sgtm_fill_t *fill);

/*
 * The value of the header for a hit that is to be kept: its bytes, 0 without a
 * need for it.  With p NULL they are counted alone.
 */
size_t ngx_http_sgtm_fill_header(ngx_http_sgtm_ctx_t *ctx, u_char *p);


#endif /* _NGX_HTTP_SGTM_FILL_H_INCLUDED_ */
