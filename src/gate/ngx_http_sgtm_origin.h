
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Which pages may send to a gateway (RFC 6454, Fetch standard).
 */


#ifndef _NGX_HTTP_SGTM_ORIGIN_H_INCLUDED_
#define _NGX_HTTP_SGTM_ORIGIN_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * ctx->origin is the request's Origin, or empty.  NGX_OK: there is none, or
 * one that may send; it is left in ctx only if the answer has to name it.
 * NGX_DECLINED: it may not.
 */
ngx_int_t ngx_http_sgtm_origin(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* "https" or "http", as the request came in */
ngx_str_t *ngx_http_sgtm_origin_scheme(ngx_http_request_t *r);

/*
 * The host that a request is for, as its client has written it, port included;
 * empty: it names none.  A Host that contradicts the URI does not count.
 */
ngx_str_t *ngx_http_sgtm_origin_host(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_ORIGIN_H_INCLUDED_ */
