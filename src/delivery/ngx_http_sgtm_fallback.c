
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../gate/ngx_http_sgtm_answer.h"
#include "../gate/ngx_http_sgtm_dedup.h"
#include "../gate/ngx_http_sgtm_ctx.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_fallback.h"
#include "ngx_http_sgtm_fill.h"
#include "ngx_http_sgtm_queue.h"


static ngx_int_t ngx_http_sgtm_fallback_pass(ngx_http_request_t *r);
static void ngx_http_sgtm_fallback_buffers(ngx_http_upstream_conf_t *conf);


/* no path of a tag */
#define NGX_HTTP_SGTM_FALLBACK_NAME  "-sgtm-fallback"

#define NGX_HTTP_SGTM_RETRY_AFTER    "10"

/* the header of an answer within a debug session */
#define NGX_HTTP_SGTM_PREVIEW_SIZE   (128 * 1024)


/* 413 is nginx's own, for a body that grows too large while it is read */

static ngx_int_t  ngx_http_sgtm_fallback_statuses[] = {
    NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
    NGX_HTTP_INTERNAL_SERVER_ERROR,
    NGX_HTTP_BAD_GATEWAY,
    NGX_HTTP_SERVICE_UNAVAILABLE,
    NGX_HTTP_GATEWAY_TIME_OUT
};

#define NGX_HTTP_SGTM_FALLBACK_N                                              \
    (sizeof(ngx_http_sgtm_fallback_statuses) / sizeof(ngx_int_t))


ngx_int_t
ngx_http_sgtm_fallback_add(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    u_char               *p;
    ngx_str_t             uri;
    ngx_uint_t            i, n;
    ngx_array_t          *pages;
    ngx_http_err_page_t  *page;

    p = ngx_pnalloc(cf->pool, conf->prefix.len + 1
                              + sizeof(NGX_HTTP_SGTM_FALLBACK_NAME) - 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    uri.data = p;

    p = ngx_cpymem(p, conf->prefix.data, conf->prefix.len);

    if (p[-1] != '/') {
        *p++ = '/';
    }

    p = ngx_cpymem(p, NGX_HTTP_SGTM_FALLBACK_NAME,
                   sizeof(NGX_HTTP_SGTM_FALLBACK_NAME) - 1);

    uri.len = p - uri.data;

    /* the list may be shared with other locations: it gets a copy */

    n = clcf->error_pages ? clcf->error_pages->nelts : 0;

    pages = ngx_array_create(cf->pool, NGX_HTTP_SGTM_FALLBACK_N + n,
                             sizeof(ngx_http_err_page_t));
    if (pages == NULL) {
        return NGX_ERROR;
    }

    page = ngx_array_push_n(pages, NGX_HTTP_SGTM_FALLBACK_N + n);

    ngx_memzero(page, NGX_HTTP_SGTM_FALLBACK_N * sizeof(ngx_http_err_page_t));

    for (i = 0; i < NGX_HTTP_SGTM_FALLBACK_N; i++) {
        page[i].status = ngx_http_sgtm_fallback_statuses[i];
        page[i].overwrite = -1;
        page[i].value.value = uri;
    }

    if (n) {
        ngx_memcpy(&page[NGX_HTTP_SGTM_FALLBACK_N], clcf->error_pages->elts,
                   n * sizeof(ngx_http_err_page_t));
    }

    clcf->error_pages = pages;

    return NGX_OK;
}


ngx_uint_t
ngx_http_sgtm_fallback_of_tier(ngx_uint_t tier, ngx_uint_t queue)
{
    static ngx_uint_t  fallbacks[] = {
        NGX_HTTP_SGTM_FALLBACK_QUEUE,      /* enterprise */
        NGX_HTTP_SGTM_FALLBACK_CLIENT,     /* professional */
        NGX_HTTP_SGTM_FALLBACK_OFF         /* starter */
    };

    if (fallbacks[tier] == NGX_HTTP_SGTM_FALLBACK_QUEUE && !queue) {
        return NGX_HTTP_SGTM_FALLBACK_OFF;
    }

    return fallbacks[tier];
}


ngx_uint_t
ngx_http_sgtm_fallback_is(ngx_http_request_t *r)
{
    ngx_uint_t  i;

    /* not by its URI, which a "rewrite ... break" may have changed again */

    if (!r->internal || r->err_status == 0) {
        return 0;
    }

    for (i = 0; i < NGX_HTTP_SGTM_FALLBACK_N; i++) {
        if (r->err_status == (ngx_uint_t) ngx_http_sgtm_fallback_statuses[i]) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_sgtm_fallback_bypass(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    if (r->content_handler
        && (ctx->preview
            || ctx->route == NGX_HTTP_SGTM_ROUTE_PREVIEW
            || ctx->route == NGX_HTTP_SGTM_ROUTE_HEALTH))
    {
        r->content_handler = ngx_http_sgtm_fallback_pass;
    }
}


/*
 * proxy_intercept_errors and the buffers are the location's.  Its handler has
 * left the upstream with the location's configuration when it returns, and no
 * answer can have come yet, nor has its buffer been allocated: the request gets
 * a copy.
 */

static ngx_int_t
ngx_http_sgtm_fallback_pass(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_upstream_conf_t  *conf;
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = ngx_http_sgtm_get_ctx(r);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    rc = clcf->handler(r);

    if (rc != NGX_DONE || r->upstream == NULL) {
        return rc;
    }

    conf = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));
    if (conf == NULL) {
        return rc;
    }

    *conf = *r->upstream->conf;
    conf->intercept_errors = 0;

    if (ctx->preview || ctx->route == NGX_HTTP_SGTM_ROUTE_PREVIEW) {
        ngx_http_sgtm_fallback_buffers(conf);
    }

    r->upstream->conf = conf;

    return rc;
}


/* what of this follows from what is nginx's, when it merges a location */

static void
ngx_http_sgtm_fallback_buffers(ngx_http_upstream_conf_t *conf)
{
    size_t  size;

    size = NGX_HTTP_SGTM_PREVIEW_SIZE;

    conf->buffer_size = ngx_max(conf->buffer_size, size);

    if ((size_t) (conf->bufs.num - 1) * conf->bufs.size < size) {
        conf->bufs.num = 2;
        conf->bufs.size = size;
    }

    conf->busy_buffers_size = ngx_max(conf->busy_buffers_size, size);
    conf->temp_file_write_size = ngx_max(conf->temp_file_write_size, size);

    if (conf->max_temp_file_size) {
        conf->max_temp_file_size = ngx_max(conf->max_temp_file_size, size);
    }
}


ngx_int_t
ngx_http_sgtm_fallback_handler(ngx_http_request_t *r)
{
    ngx_uint_t            status;
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_sgtm_get_ctx(r);

    /*
     * the status that led here would replace any other, and none of 300 or
     * more is returned from here, as a recursive error_page would loop
     */

    status = r->err_status;
    r->err_status = 0;

    ngx_http_clean_header(r);

    if (ctx == NULL) {
        return ngx_http_sgtm_answer_text(r, NULL, status,
                                         NGX_HTTP_SGTM_REASON_INTERNAL);
    }

    ngx_http_sgtm_fill_hide(r, ctx->fill);

    if (!ctx->committed) {
        ngx_http_sgtm_refused(ctx, status);
        return ngx_http_sgtm_answer_text(r, ctx, status, ctx->reason);
    }

    ctx->failed = 1;

    if (!ngx_http_sgtm_route_is_hit(ctx->route)) {
        return ngx_http_sgtm_answer_text(r, ctx, status,
                                         ngx_http_sgtm_failure(ctx));
    }

    ngx_http_sgtm_decide(ctx);

    switch (ctx->conf->fallback) {

    case NGX_HTTP_SGTM_FALLBACK_QUEUE:

        if (!ctx->put && ngx_http_sgtm_queue_may(ctx)) {
            return ngx_http_sgtm_queue_handler(r);
        }

        /* fall through */

    case NGX_HTTP_SGTM_FALLBACK_CLIENT:
        return ngx_http_sgtm_fallback_later(r, ctx);

    default: /* NGX_HTTP_SGTM_FALLBACK_OFF */

        /* a shop sends again by itself, and is asked to in each case */

        if (ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK) {
            return ngx_http_sgtm_fallback_later(r, ctx);
        }

        ngx_http_sgtm_dedup_end(ctx);

        return ngx_http_sgtm_answer_text(r, ctx, status, ctx->reason);
    }
}


ngx_int_t
ngx_http_sgtm_fallback_later(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    static ngx_str_t  retry_after = ngx_string(NGX_HTTP_SGTM_RETRY_AFTER);

    /* who sends again at once is not to be taken for a duplicate of this */

    ngx_http_sgtm_dedup_end(ctx);

    if (ngx_http_sgtm_answer_header(r, "Retry-After", &retry_after) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_answer_text(r, ctx, NGX_HTTP_SERVICE_UNAVAILABLE,
                                     ctx->reason);
}
