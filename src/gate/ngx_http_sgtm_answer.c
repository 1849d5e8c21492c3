
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../delivery/ngx_http_sgtm_fill.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "../page/ngx_http_sgtm_check.h"
#include "ngx_http_sgtm_answer.h"
#include "ngx_http_sgtm_ctx.h"
#include "ngx_http_sgtm_log.h"
#include "ngx_http_sgtm_setcookie.h"


/* headers of the tagging server that do not reach the browser as they are */

typedef enum {
    NGX_HTTP_SGTM_OUT_NEVER = 0,       /* would act on the whole site */
    NGX_HTTP_SGTM_OUT_CORS,            /* the gateway's own business */
    NGX_HTTP_SGTM_OUT_CACHE,           /* hits are not cached */
    NGX_HTTP_SGTM_OUT_COOKIE
} ngx_http_sgtm_out_e;


typedef struct {
    ngx_str_t    name;
    ngx_uint_t   action;
} ngx_http_sgtm_out_t;


static ngx_int_t ngx_http_sgtm_answer_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_answer_upstream(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_answer_hit(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_answer_out(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_table_elt_t *h);
static ngx_uint_t ngx_http_sgtm_answer_is(ngx_str_t *key, ngx_str_t *name);
static ngx_int_t ngx_http_sgtm_answer_cors(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_answer_debug(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);


/* by length; names are of letters and "-" only */

static ngx_http_sgtm_out_t  ngx_http_sgtm_outs[] = {

    { ngx_string("nel"), NGX_HTTP_SGTM_OUT_NEVER },
    { ngx_string("pragma"), NGX_HTTP_SGTM_OUT_CACHE },
    { ngx_string("alt-svc"), NGX_HTTP_SGTM_OUT_NEVER },
    { ngx_string("expires"), NGX_HTTP_SGTM_OUT_CACHE },
    { ngx_string("report-to"), NGX_HTTP_SGTM_OUT_NEVER },
    { ngx_string("set-cookie"), NGX_HTTP_SGTM_OUT_COOKIE },
    { ngx_string("cache-control"), NGX_HTTP_SGTM_OUT_CACHE },
    { ngx_string("clear-site-data"), NGX_HTTP_SGTM_OUT_NEVER },
    { ngx_string("reporting-endpoints"), NGX_HTTP_SGTM_OUT_NEVER },
    { ngx_string("access-control-max-age"), NGX_HTTP_SGTM_OUT_CORS },
    { ngx_string("strict-transport-security"), NGX_HTTP_SGTM_OUT_NEVER },
    { ngx_string("access-control-allow-origin"), NGX_HTTP_SGTM_OUT_CORS },
    { ngx_string("access-control-allow-headers"), NGX_HTTP_SGTM_OUT_CORS },
    { ngx_string("access-control-allow-methods"), NGX_HTTP_SGTM_OUT_CORS },
    { ngx_string("access-control-allow-credentials"), NGX_HTTP_SGTM_OUT_CORS },

    { ngx_null_string, 0 }
};


/* the first of each length, or NULL */

static ngx_http_sgtm_out_t  *ngx_http_sgtm_out_lengths[64];

static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


void
ngx_http_sgtm_answer_init(void)
{
    ngx_http_sgtm_out_t  *out;

    for (out = ngx_http_sgtm_outs; out->name.len; out++) {
        if (ngx_http_sgtm_out_lengths[out->name.len] == NULL) {
            ngx_http_sgtm_out_lengths[out->name.len] = out;
        }
    }

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_sgtm_answer_filter;
}


ngx_int_t
ngx_http_sgtm_answer(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t status)
{
    ngx_http_sgtm_log_strip(r, ctx);

    ngx_http_finalize_request(r, ngx_http_sgtm_answer_text(r, ctx, status,
                                                           ctx->reason));

    return NGX_DONE;
}


ngx_int_t
ngx_http_sgtm_answer_text(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t status, ngx_uint_t reason)
{
    u_char                    *p;
    ngx_str_t                  type, param;
    const sgtm_reason_t       *why;
    ngx_http_complex_value_t   cv;

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    ngx_str_set(&type, "text/plain");

    if (status == NGX_HTTP_NO_CONTENT) {
        return ngx_http_send_response(r, status, &type, &cv);
    }

    why = ngx_http_sgtm_reason(reason);

    if (why->param.len || ctx == NULL) {
        param.len = why->param.len;
        param.data = why->param.data;

    } else {
        param = ctx->param;
    }

    p = ngx_pnalloc(r->pool, param.len + 2 + why->text.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    cv.value.data = p;

    p = ngx_cpymem(p, param.data, param.len);
    *p++ = ':'; *p++ = ' ';
    p = ngx_cpymem(p, why->text.data, why->text.len);
    *p++ = '\n';

    cv.value.len = p - cv.value.data;

    return ngx_http_send_response(r, status, &type, &cv);
}


ngx_int_t
ngx_http_sgtm_answer_allow(ngx_http_request_t *r, ngx_str_t *methods)
{
    return ngx_http_sgtm_answer_header(r, "Allow", methods);
}


ngx_int_t
ngx_http_sgtm_answer_preflight(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t  i;

    static ngx_str_t  methods = ngx_string("GET, HEAD, POST, OPTIONS");

    static struct {
        const char  *name;
        ngx_str_t    value;
    } headers[] = {
        { "Access-Control-Allow-Methods", ngx_string("GET, HEAD, POST") },
        { "Access-Control-Allow-Headers",
          ngx_string("Content-Type, X-Gtm-Server-Preview") },
        { "Access-Control-Max-Age", ngx_string("7200") }
    };

    /* of the same origin nothing is asked but what may be done at all */

    if (ctx->origin.len == 0) {
        return ngx_http_sgtm_answer_allow(r, &methods);
    }

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (ngx_http_sgtm_answer_header(r, headers[i].name, &headers[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_answer_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->lowcase_key = (u_char *) name;
    h->value = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_answer_filter(ngx_http_request_t *r)
{
    ngx_uint_t                 preview;
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_sgtm_loc_conf_t  *conf;

    static ngx_str_t  no_store = ngx_string("no-store");

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);
    ctx = ngx_http_sgtm_get_ctx(r);

    /*
     * an error_page may have led the request elsewhere, and nginx may answer
     * before the gate has begun, which its log is not to tell more of either
     */

    if (!conf->enable) {
        return ngx_http_next_header_filter(r);
    }

    if (ctx == NULL) {
        return ngx_http_sgtm_create_ctx(r, conf)
               ? ngx_http_next_header_filter(r) : NGX_ERROR;
    }

    ngx_http_sgtm_fill_hide(r, ctx->fill);

    preview = (ctx->preview || ctx->route == NGX_HTTP_SGTM_ROUTE_PREVIEW)
              && ctx->committed && !ctx->failed;

    if (ctx->committed && !ctx->failed && r->upstream
        && ngx_http_sgtm_answer_upstream(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->origin.len && !preview
        && ngx_http_sgtm_answer_cors(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_route_is_hit(ctx->route)
        && !preview
        && ngx_http_sgtm_answer_header(r, "Cache-Control", &no_store)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((ctx->conf->debug || ngx_http_sgtm_check_hit(r, ctx))
        && ngx_http_sgtm_answer_debug(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_sgtm_answer_upstream(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].hash
                && ngx_http_sgtm_answer_out(r, ctx, &h[i]) != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    ctx->upstream_status = r->upstream->headers_in.status_n;

    if (ngx_http_sgtm_route_is_hit(ctx->route)) {
        ngx_http_sgtm_answer_hit(r, ctx);
    }

#if (NGX_HTTP_CACHE)

    /* what a debug session is shown is for no one else */

    if (ctx->preview || ctx->route == NGX_HTTP_SGTM_ROUTE_PREVIEW) {
        r->upstream->cacheable = 0;
    }

#endif

    return NGX_OK;
}


static void
ngx_http_sgtm_answer_hit(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    ngx_http_sgtm_decide(ctx);

    u = r->upstream;

    /* events are streamed to the page's script as they come */

    u->buffering = 0;

    /*
     * most answers are a 204.  nginx looks for the body of one that another
     * server sent, unless it is told that there is none
     */

    if (u->headers_in.status_n == NGX_HTTP_NO_CONTENT
        && r->headers_out.status == NGX_HTTP_NO_CONTENT
        && u->buffer.pos == u->buffer.last)
    {
        r->header_only = 1;
    }
}


static ngx_int_t
ngx_http_sgtm_answer_out(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_table_elt_t *h)
{
    ngx_http_sgtm_out_t  *out;

    /* most names have a length that none of the list has */

    if (h->key.len >= 64) {
        return NGX_OK;
    }

    out = ngx_http_sgtm_out_lengths[h->key.len];

    if (out == NULL) {
        return NGX_OK;
    }

    while (!ngx_http_sgtm_answer_is(&h->key, &out->name)) {
        out++;

        if (out->name.len != h->key.len) {
            return NGX_OK;
        }
    }

    if (out->action == NGX_HTTP_SGTM_OUT_NEVER) {
        h->hash = 0;
        return NGX_OK;
    }

    if (ctx->preview || ctx->route == NGX_HTTP_SGTM_ROUTE_PREVIEW) {
        return NGX_OK;
    }

    switch (out->action) {

    case NGX_HTTP_SGTM_OUT_COOKIE:
        return ngx_http_sgtm_setcookie(r, ctx, h);

    case NGX_HTTP_SGTM_OUT_CACHE:
        if (ngx_http_sgtm_route_is_hit(ctx->route)) {
            h->hash = 0;
        }

        return NGX_OK;

    default: /* NGX_HTTP_SGTM_OUT_CORS */
        h->hash = 0;
        return NGX_OK;
    }
}


/*
 * Whether a name of the same length is one of the list, in any case: the bit
 * that makes a letter a small one is set in "-", too.
 */

static ngx_uint_t
ngx_http_sgtm_answer_is(ngx_str_t *key, ngx_str_t *name)
{
    size_t    i, len;
    uint64_t  a, b;

    len = name->len;

    if (len < sizeof(uint64_t)) {

        for (i = 0; i < len; i++) {
            if ((key->data[i] | 0x20) != name->data[i]) {
                return 0;
            }
        }

        return 1;
    }

    /* the last word overlaps the one before it */

    for (i = 0; i < len; i += sizeof(uint64_t)) {

        if (i > len - sizeof(uint64_t)) {
            i = len - sizeof(uint64_t);
        }

        ngx_memcpy(&a, &key->data[i], sizeof(uint64_t));
        ngx_memcpy(&b, &name->data[i], sizeof(uint64_t));

        if ((a | 0x2020202020202020) != b) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_sgtm_answer_cors(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    static ngx_str_t  credentials = ngx_string("true");
    static ngx_str_t  vary = ngx_string("Origin");

    if (ngx_http_sgtm_answer_header(r, "Access-Control-Allow-Origin",
                                    &ctx->origin)
        != NGX_OK
        || ngx_http_sgtm_answer_header(r, "Access-Control-Allow-Credentials",
                                       &credentials)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_answer_header(r, "Vary", &vary);
}


static ngx_int_t
ngx_http_sgtm_answer_debug(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    const sgtm_reason_t  *reason;

    if (ctx->disposition != NGX_HTTP_SGTM_UNDECIDED
        && ngx_http_sgtm_answer_header(r, "Sgtm-Disposition",
                        &ngx_http_sgtm_disposition_labels[ctx->disposition])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->reason == SGTM_REASON_NONE) {
        return NGX_OK;
    }

    reason = ngx_http_sgtm_reason(ctx->reason);

    return ngx_http_sgtm_answer_header(r, "Sgtm-Reason",
                                       (ngx_str_t *) &reason->label);
}
