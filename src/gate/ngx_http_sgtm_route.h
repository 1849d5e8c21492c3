
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a request below a gateway's prefix is, told by its path and its query.
 */


#ifndef _NGX_HTTP_SGTM_ROUTE_H_INCLUDED_
#define _NGX_HTTP_SGTM_ROUTE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* sets path, route and decoded of a new context */
void ngx_http_sgtm_route(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx);

/*
 * Whether the method may be used on the route; allow is the value of the
 * answer's "Allow" if not.
 */
ngx_int_t ngx_http_sgtm_route_method(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *allow);

/*
 * Whether every Google id that the query names is one of the gateway's: "id" of
 * scripts, "measurement_id" of the Measurement Protocol, "tid" of a hit.
 */
ngx_int_t ngx_http_sgtm_route_ids(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * $sgtm_uri: the path below the prefix, with a slash before it, escaped as
 * nginx would, and the arguments as they are now.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_route_uri(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);


#endif /* _NGX_HTTP_SGTM_ROUTE_H_INCLUDED_ */
