
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_origin.h"


static ngx_uint_t ngx_http_sgtm_origin_same(ngx_http_request_t *r,
    ngx_str_t *host);
static ngx_uint_t ngx_http_sgtm_origin_listed(ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *scheme, ngx_str_t *host);


ngx_int_t
ngx_http_sgtm_origin(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    u_char     *p, *last;
    ngx_str_t   scheme, host;

    if (ctx->origin.len == 0) {
        return NGX_OK;
    }

    last = ctx->origin.data + ctx->origin.len;

    /* "null", of sandboxed frames and files, has no scheme and is refused */

    p = ngx_strlchr(ctx->origin.data, last, ':');

    if (p == NULL || last - p < 3 || p[1] != '/' || p[2] != '/') {
        return NGX_DECLINED;
    }

    scheme.data = ctx->origin.data;
    scheme.len = p - scheme.data;

    host.data = p + 3;
    host.len = last - host.data;

    /* no browser writes another form, and a suffix of it might fit */

    for (p = host.data; p < last; p++) {
        if ((*p < '0' || *p > '9') && ((*p | 0x20) < 'a' || (*p | 0x20) > 'z')
            && *p != '-' && *p != '_' && *p != '.' && *p != ':' && *p != '['
            && *p != ']')
        {
            return NGX_DECLINED;
        }
    }

    if (!ngx_http_sgtm_origin_same(r, &host)) {
        return ngx_http_sgtm_origin_listed(ctx->conf, &scheme, &host)
               ? NGX_OK : NGX_DECLINED;
    }

    /* the same host over the other scheme is another origin to a browser */

    if (scheme.len == ngx_http_sgtm_origin_scheme(r)->len) {
        ngx_str_null(&ctx->origin);
    }

    return NGX_OK;
}


ngx_str_t *
ngx_http_sgtm_origin_scheme(ngx_http_request_t *r)
{
    static ngx_str_t  http = ngx_string("http");

#if (NGX_HTTP_SSL)
    static ngx_str_t  https = ngx_string("https");

    if (r->connection->ssl) {
        return &https;
    }
#endif

    return &http;
}


ngx_str_t *
ngx_http_sgtm_origin_host(ngx_http_request_t *r)
{
    ngx_str_t  *host, *server;

    /* nginx has it of the URI or of Host, without its port */

    server = &r->headers_in.server;

    if (r->headers_in.host == NULL) {
        return server;
    }

    host = &r->headers_in.host->value;

    if (host->len < server->len
        || ngx_strncasecmp(host->data, server->data, server->len) != 0
        || (host->len > server->len && host->data[server->len] != ':'))
    {
        return server;
    }

    return host;
}


static ngx_uint_t
ngx_http_sgtm_origin_same(ngx_http_request_t *r, ngx_str_t *host)
{
    ngx_str_t  *own;

    own = ngx_http_sgtm_origin_host(r);

    /* browsers write both in the same letters */

    return own->len == host->len
           && (ngx_memcmp(own->data, host->data, host->len) == 0
               || ngx_strncasecmp(own->data, host->data, host->len) == 0);
}


static ngx_uint_t
ngx_http_sgtm_origin_listed(ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *scheme,
    ngx_str_t *host)
{
    u_char         *p;
    ngx_uint_t      i;
    sgtm_origin_t  *origin;

    if (conf->origins == NULL) {
        return 0;
    }

    origin = conf->origins->elts;

    for (i = 0; i < conf->origins->nelts; i++) {

        if (origin[i].scheme.len
            && (origin[i].scheme.len != scheme->len
                || ngx_strncasecmp(origin[i].scheme.data, scheme->data,
                                   scheme->len)
                   != 0))
        {
            continue;
        }

        if (origin[i].wildcard) {

            if (host->len <= origin[i].host.len) {
                continue;
            }

            p = host->data + host->len - origin[i].host.len;

        } else {

            if (host->len != origin[i].host.len) {
                continue;
            }

            p = host->data;
        }

        if (ngx_strncasecmp(p, origin[i].host.data, origin[i].host.len) == 0) {
            return 1;
        }
    }

    return 0;
}
