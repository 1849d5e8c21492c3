
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Makes a request what nginx's proxy_pass then sends on.
 */


#ifndef _NGX_HTTP_SGTM_COMMIT_H_INCLUDED_
#define _NGX_HTTP_SGTM_COMMIT_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Replaces the headers and hides the address by ctx->deny.  From here on
 * variables tell what the tagging server may know.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_commit_head(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * Rewrites the arguments as they came by rw, and the body unless it is NULL,
 * where hit says that this changes anything; the access log sees them so.  May
 * be called again, with more to set.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_commit_hit(ngx_http_request_t *r, sgtm_rewrite_t *rw,
    const sgtm_ga4_t *hit, ngx_str_t *args, ngx_str_t *body);

/*
 * Replaces the body, which has been read, by these bytes: they must live as
 * long as the request.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_commit_body(ngx_http_request_t *r, u_char *data,
    size_t len);

/*
 * Hashes the user-provided data that is left in clear in the arguments and, if
 * lines is set, in the body, which is a batch's.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_commit_user_data(ngx_http_request_t *r,
    ngx_uint_t lines);

/*
 * Replaces the body by one without the lines of duplicates; body is what it
 * became.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_commit_cut(ngx_http_request_t *r, sgtm_event_t *events,
    ngx_uint_t n, ngx_str_t *body);


#endif /* _NGX_HTTP_SGTM_COMMIT_H_INCLUDED_ */
