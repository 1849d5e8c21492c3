
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What of the visitor's address goes upstream and into logs.
 */


#ifndef _NGX_HTTP_SGTM_ADDRESS_H_INCLUDED_
#define _NGX_HTTP_SGTM_ADDRESS_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* whether consent may forbid the address to be logged, whatever it says */
ngx_uint_t ngx_http_sgtm_address_private(ngx_http_sgtm_ctx_t *ctx);

/* whether the address may travel whole in spite of ctx->deny */
ngx_uint_t ngx_http_sgtm_address_full(ngx_http_sgtm_ctx_t *ctx);

/*
 * The address as it goes upstream: whole, the first 24 bits (48 of IPv6), or
 * empty.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_address_text(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);

/*
 * Gives the connection the masked address until the request has been logged,
 * so that nginx logs no other.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_address_hide(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * Writes what ngx_http_sgtm_address_hide() would make of the address, at most
 * NGX_SOCKADDR_STRLEN bytes, and returns their number; 0: it has no address.
 */
ngx_uint_t ngx_http_sgtm_address_masked(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, u_char *text);


#endif /* _NGX_HTTP_SGTM_ADDRESS_H_INCLUDED_ */
