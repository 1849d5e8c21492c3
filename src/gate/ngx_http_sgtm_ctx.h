
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The context of a request: how it is made, whose it is, and its end.
 */


#ifndef _NGX_HTTP_SGTM_CTX_H_INCLUDED_
#define _NGX_HTTP_SGTM_CTX_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Settles who the tenant is, and what is in force for him, before the gate has
 * begun; not if it takes variables.  NGX_OK or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_sgtm_settle(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * The context of a main request, found again after an internal redirect, or
 * NULL: this request did not pass a gateway.
 */
ngx_http_sgtm_ctx_t *ngx_http_sgtm_get_ctx(ngx_http_request_t *r);

/*
 * A new context of a main request, with its route: also for one
 * that nginx answers before the gate has begun.  NULL: no memory.
 */
ngx_http_sgtm_ctx_t *ngx_http_sgtm_create_ctx(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf);

/* begins again with another location, after an internal redirect */
void ngx_http_sgtm_enter(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_loc_conf_t *conf);

/* settles who the tenant is; NGX_OK or NGX_ERROR: no memory */
ngx_int_t ngx_http_sgtm_set_tenant(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);


#endif /* _NGX_HTTP_SGTM_CTX_H_INCLUDED_ */
