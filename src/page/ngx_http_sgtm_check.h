
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A page below the prefix by which an operator's browser tests the gateway:
 * whether the script is served, a hit accepted, cookies set, and so on.
 */


#ifndef _NGX_HTTP_SGTM_CHECK_H_INCLUDED_
#define _NGX_HTTP_SGTM_CHECK_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* setter of the directive sgtm_check: NGX_CONF_OK, or an error */
char *ngx_http_sgtm_conf_check(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* whether a path below the prefix is one of the page's, where there is one */
ngx_uint_t ngx_http_sgtm_check_path(ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *path);

/*
 * Whether sgtm_check lets this request use it.  NGX_OK; NGX_DECLINED: not this
 * one; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_sgtm_check_allowed(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf);

/* whether the hit in the gate is the one that the page sends */
ngx_uint_t ngx_http_sgtm_check_hit(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * The content handler: the page, its script, its style, or what the gateway
 * knows of the request; ctx->consent is to be settled.
 */
ngx_int_t ngx_http_sgtm_check_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_CHECK_H_INCLUDED_ */
