
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The request's headers: what they tell the gate, and which of them the
 * tagging server gets.
 */


#ifndef _NGX_HTTP_SGTM_HEADERS_H_INCLUDED_
#define _NGX_HTTP_SGTM_HEADERS_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* prepares the names of the headers that the gate adds */
void ngx_http_sgtm_headers_init(void);

/*
 * Reads what a new context needs: origin, gpc, preview, headers, cookie.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_headers_scan(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * Replaces the request's headers by those that the tagging server may see:
 * the allow-list, cookies and Referer cut by ctx->deny, and the gate's own
 * X-Forwarded-For, -Host and -Proto.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_headers_commit(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* takes Referer, Cookie and X-Forwarded-For out of reach of variables */
void ngx_http_sgtm_headers_forget(ngx_http_request_t *r);

/* empties the list, so that a log format finds none of the other headers */
void ngx_http_sgtm_headers_clear(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_HEADERS_H_INCLUDED_ */
