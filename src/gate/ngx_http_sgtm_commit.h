
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Makes a request what nginx's proxy_pass then sends on.
 */


#ifndef _NGX_HTTP_SGTM_COMMIT_H_INCLUDED_
#define _NGX_HTTP_SGTM_COMMIT_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Rewrites arguments and body by rw where hit says that this changes anything,
 * replaces the headers, hides the address: request, access log and variables
 * hold nothing then that ctx->deny removes.  body is that of the request, or
 * NULL if it is left alone.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_commit(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_rewrite_t *rw, const sgtm_ga4_t *hit,
    ngx_str_t *body);

/*
 * The request's body as one string: where nginx has it, if that is one buffer,
 * else copied.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_commit_body(ngx_http_request_t *r, ngx_str_t *body);


#endif /* _NGX_HTTP_SGTM_COMMIT_H_INCLUDED_ */
