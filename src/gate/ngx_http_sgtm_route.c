
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../page/ngx_http_sgtm_check.h"
#include "ngx_http_sgtm_route.h"


#define NGX_HTTP_SGTM_READ   (NGX_HTTP_GET|NGX_HTTP_HEAD)
#define NGX_HTTP_SGTM_SEND   (NGX_HTTP_GET|NGX_HTTP_POST)
#define NGX_HTTP_SGTM_ANY    (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST)

/* the shortest hit is longer */
#define NGX_HTTP_SGTM_ENCODED_MIN  40


typedef struct {
    ngx_uint_t   methods;
    ngx_str_t    allow;
} ngx_http_sgtm_methods_t;


static ngx_uint_t ngx_http_sgtm_route_encoded(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);


/* by ngx_http_sgtm_route_e */

static ngx_http_sgtm_methods_t  ngx_http_sgtm_methods[] = {
    { NGX_HTTP_SGTM_ANY, ngx_string("GET, HEAD, POST, OPTIONS") },
    { NGX_HTTP_SGTM_SEND, ngx_string("GET, POST, OPTIONS") },
    { NGX_HTTP_SGTM_SEND, ngx_string("GET, POST, OPTIONS") },
    { NGX_HTTP_SGTM_READ, ngx_string("GET, HEAD, OPTIONS") },
    { NGX_HTTP_SGTM_READ, ngx_string("GET, HEAD, OPTIONS") },
    { NGX_HTTP_SGTM_SEND, ngx_string("GET, POST, OPTIONS") },
    { NGX_HTTP_SGTM_ANY|NGX_HTTP_OPTIONS,
      ngx_string("GET, HEAD, POST, OPTIONS") },
    { NGX_HTTP_SGTM_READ, ngx_string("GET, HEAD, OPTIONS") },
    { NGX_HTTP_OPTIONS, ngx_string("GET, HEAD, POST, OPTIONS") },
    { NGX_HTTP_POST, ngx_string("POST, OPTIONS") },
    { NGX_HTTP_POST, ngx_string("POST, OPTIONS") },
    { NGX_HTTP_POST, ngx_string("POST, OPTIONS") },
    { NGX_HTTP_SGTM_READ, ngx_string("GET, HEAD, OPTIONS") },
    { NGX_HTTP_POST, ngx_string("POST, OPTIONS") }
};


void
ngx_http_sgtm_route(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    size_t                     skip;
    ngx_uint_t                 route;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ctx->conf;

    /* a rewrite may have led the request out of the prefix */

    skip = 0;

    if (r->uri.len >= conf->prefix.len
        && ngx_memcmp(r->uri.data, conf->prefix.data, conf->prefix.len) == 0)
    {
        skip = conf->prefix.len;
    }

    while (skip < r->uri.len && r->uri.data[skip] == '/') {
        skip++;
    }

    ctx->path.data = r->uri.data + skip;
    ctx->path.len = r->uri.len - skip;

    if (r->method != NGX_HTTP_OPTIONS
        && ctx->path.len == conf->script_name.len
        && ngx_memcmp(ctx->path.data, conf->script_name.data, ctx->path.len)
           == 0)
    {
        ctx->route = NGX_HTTP_SGTM_ROUTE_SCRIPT;
        return;
    }

    if (r->method != NGX_HTTP_OPTIONS
        && ngx_http_sgtm_check_path(conf, &ctx->path))
    {
        ctx->route = NGX_HTTP_SGTM_ROUTE_CHECK;
        return;
    }

    route = sgtm_route_path(ngx_http_sgtm_str(&ctx->path));

    if (r->method == NGX_HTTP_OPTIONS && route != NGX_HTTP_SGTM_ROUTE_PREVIEW)
    {
        ctx->route = NGX_HTTP_SGTM_ROUTE_CORS;
        return;
    }

    /*
     * operators and Google's tag gateway choose paths freely, so the query
     * tells a hit as well
     */

    if (route == NGX_HTTP_SGTM_ROUTE_PASS
        && sgtm_ga4_is_hit(&conf->tables->params, ngx_http_sgtm_str(&r->args)))
    {
        route = NGX_HTTP_SGTM_ROUTE_HIT;
    }

    if ((route == NGX_HTTP_SGTM_ROUTE_PASS || route == NGX_HTTP_SGTM_ROUTE_HIT)
        && ngx_http_sgtm_route_encoded(r, ctx))
    {
        route = NGX_HTTP_SGTM_ROUTE_OPAQUE;
    }

    ctx->route = route;
}


/* a hit whose query is one base64 value hides what the gate must read */

static ngx_uint_t
ngx_http_sgtm_route_encoded(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    u_char  *buf;

    /* of two arguments or more none is the whole: most hits end here */

    if (r->args.len < NGX_HTTP_SGTM_ENCODED_MIN
        || ngx_strlchr(r->args.data, r->args.data + r->args.len, '&'))
    {
        return 0;
    }

    buf = ngx_pnalloc(r->pool, r->args.len);
    if (buf == NULL) {
        return 1;
    }

    return sgtm_ga4_encoded(ngx_http_sgtm_str(&r->args), buf,
                            ngx_http_sgtm_str(&ctx->decoded))
           == SGTM_OK;
}


ngx_int_t
ngx_http_sgtm_route_method(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *allow)
{
    *allow = ngx_http_sgtm_methods[ctx->route].allow;

    return (r->method & ngx_http_sgtm_methods[ctx->route].methods)
           ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_sgtm_route_ids(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t                 seen, mp;
    sgtm_str_t                 id;
    sgtm_ids_t                *ids;
    sgtm_arg_t                 arg;
    sgtm_args_t                args;
    const sgtm_rule_t         *rule;
    ngx_http_sgtm_loc_conf_t  *conf;

    u_char  buf[SGTM_MAX_KEY];

    conf = ctx->conf;

    seen = 0;
    mp = ngx_http_sgtm_route_is_mp(ctx->route);

    sgtm_args_init(&args, ngx_http_sgtm_str(&r->args));

    while (sgtm_args_next(&args, &arg)) {

        rule = sgtm_args_rule(&conf->tables->params, &arg);

        if (rule == NULL
            || (rule->key != SGTM_KEY_ID
                && rule->key != SGTM_KEY_MEASUREMENT_ID
                && (rule->key != SGTM_KEY_TID
                    || ctx->route != NGX_HTTP_SGTM_ROUTE_HIT)))
        {
            continue;
        }

        id.data = buf;
        id.len = sgtm_args_decode(buf, sizeof(buf), &arg.value);

        /*
         * on an unknown path only what looks like an id of Google's asks for
         * a script
         */

        if (ctx->route == NGX_HTTP_SGTM_ROUTE_PASS && !sgtm_ga4_tag_id(&id)) {
            continue;
        }

        ids = (rule->key == SGTM_KEY_MEASUREMENT_ID) ? &conf->hit_ids
                                                     : &conf->script_ids;

        if (!sgtm_ids_has(ids, &id)) {
            return NGX_DECLINED;
        }

        seen |= (rule->key == SGTM_KEY_MEASUREMENT_ID || !mp);
    }

    /* a script or a Measurement Protocol hit without an id is nobody's */

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_TAG || mp) {
        return seen ? NGX_OK : NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_route_uri(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    u_char     *p;
    size_t      len;
    uintptr_t   escape;

    escape = 2 * ngx_escape_uri(NULL, ctx->path.data, ctx->path.len,
                                NGX_ESCAPE_URI);

    len = 1 + ctx->path.len + escape + 1 + r->args.len;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    *p++ = '/';

    if (escape) {
        p = (u_char *) ngx_escape_uri(p, ctx->path.data, ctx->path.len,
                                      NGX_ESCAPE_URI);

    } else {
        p = ngx_cpymem(p, ctx->path.data, ctx->path.len);
    }

    if (r->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    value->len = p - value->data;

    return NGX_OK;
}
