
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What nginx's own logs get to see of a gateway's requests.
 */


#ifndef _NGX_HTTP_SGTM_LOG_H_INCLUDED_
#define _NGX_HTTP_SGTM_LOG_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* keeps queries and referrers out of the error log */
void ngx_http_sgtm_log_init(ngx_http_request_t *r);

/*
 * Room for arguments of at most this length inside a copy of the request line,
 * so that one piece of memory serves both.  NULL: there is none.
 */
u_char *ngx_http_sgtm_log_alloc(ngx_http_request_t *r, size_t len);

/*
 * Gives the request line and the URI (of the access log, and of a proxy_pass
 * without a path) these arguments instead of those that the client sent; they
 * lie in memory of ngx_http_sgtm_log_alloc().
 */
void ngx_http_sgtm_log_args(ngx_http_request_t *r, ngx_str_t *args);

/*
 * Leaves the path alone of a request that was refused or denied: no query, no
 * referrer, cookie or other header but those that nginx knows itself
 * (User-Agent, Host), and the address masked where consent is asked for.
 */
void ngx_http_sgtm_log_strip(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx);


#endif /* _NGX_HTTP_SGTM_LOG_H_INCLUDED_ */
