
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What is answered when the tagging server fails.
 */


#ifndef _NGX_HTTP_SGTM_FALLBACK_H_INCLUDED_
#define _NGX_HTTP_SGTM_FALLBACK_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Puts an error_page of the module's own for 413, 500, 502, 503 and 504 before
 * those that the location has.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_fallback_add(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf);

/* the default of a tier, where hits can be queued or not */
ngx_uint_t ngx_http_sgtm_fallback_of_tier(ngx_uint_t tier, ngx_uint_t queue);

/* whether that error_page has led the request here */
ngx_uint_t ngx_http_sgtm_fallback_is(ngx_http_request_t *r);

/*
 * Where what the tagging server answers is an answer, also an error, as to a
 * preview: lets its errors through as it sends them, for this request alone.
 * What nginx itself answers still leads to the fallback.
 */
void ngx_http_sgtm_fallback_bypass(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * The content handler: keeps a hit and answers 204, or 503 and "Retry-After",
 * or the error itself, as sgtm_fallback says.
 */
ngx_int_t ngx_http_sgtm_fallback_handler(ngx_http_request_t *r);

/*
 * Answers 503 and "Retry-After", with the text of ctx->reason; what a content
 * handler returns.
 */
ngx_int_t ngx_http_sgtm_fallback_later(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);


#endif /* _NGX_HTTP_SGTM_FALLBACK_H_INCLUDED_ */
