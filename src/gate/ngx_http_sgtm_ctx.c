
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../delivery/ngx_http_sgtm_fill.h"
#include "../delivery/ngx_http_sgtm_queue.h"
#include "../intake/ngx_http_sgtm_mp.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_answer.h"
#include "ngx_http_sgtm_ctx.h"
#include "ngx_http_sgtm_dedup.h"
#include "ngx_http_sgtm_log.h"
#include "ngx_http_sgtm_overlay.h"
#include "ngx_http_sgtm_route.h"
#include "ngx_http_sgtm_setcookie.h"


static void ngx_http_sgtm_end(void *data);
static void ngx_http_sgtm_cleanup(void *data);


ngx_http_sgtm_ctx_t *
ngx_http_sgtm_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t   *cln;
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sgtm_module);

    if (ctx || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    /* an internal redirect has cleared the contexts of all modules */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_sgtm_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_sgtm_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_http_sgtm_ctx_t *
ngx_http_sgtm_create_ctx(ngx_http_request_t *r, ngx_http_sgtm_loc_conf_t *conf)
{
    uint64_t              host[2];
    ngx_uint_t            asked;
    ngx_pool_cleanup_t   *pcln;
    ngx_http_cleanup_t   *cln;
    ngx_http_sgtm_ctx_t  *ctx;

    asked = ngx_http_sgtm_overlay_ask(r, conf, host);

    pcln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_sgtm_ctx_t));
    if (pcln == NULL) {
        return NULL;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = pcln->data;

    sgtm_zero(ctx, sizeof(ngx_http_sgtm_ctx_t));

    ctx->request = r;

    pcln->handler = ngx_http_sgtm_cleanup;

    cln->handler = ngx_http_sgtm_end;
    cln->data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_sgtm_module);

    ngx_http_sgtm_log_init(r);

    if (asked) {
        ctx->asked = 1;
        ngx_memcpy(ctx->host, host, sizeof(host));
        ngx_http_sgtm_overlay_soon(ctx);
    }

    ngx_http_sgtm_enter(r, ctx, conf);

    return ctx;
}


/*
 * The tenant waits: the rewrite phase may still set the variables that it
 * takes, and where there are records memory has time to answer.
 */

void
ngx_http_sgtm_enter(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_http_sgtm_overlay_drop(ctx);

    ctx->base = conf;
    ctx->conf = conf;
    ctx->tenant = ngx_http_sgtm_tenants_reader() ? NULL : conf->fixed_tenant;

    ctx->region = NGX_HTTP_SGTM_REGION_UNKNOWN;

    ngx_str_null(&ctx->decoded);

    ngx_http_sgtm_route(r, ctx);
}


ngx_int_t
ngx_http_sgtm_settle(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    return ctx->base->fixed_tenant ? ngx_http_sgtm_set_tenant(r, ctx) : NGX_OK;
}


ngx_int_t
ngx_http_sgtm_set_tenant(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_int_t                   rc;
    ngx_str_t                   id;
    ngx_http_sgtm_loc_conf_t   *base;
    ngx_http_sgtm_main_conf_t  *smcf;

    if (ctx->tenant) {
        return NGX_OK;
    }

    base = ctx->base;
    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    if (base->fixed_tenant) {
        ctx->tenant = base->fixed_tenant;

        rc = ngx_http_sgtm_overlay_static(r, ctx);

        if (rc == NGX_DECLINED && base->records_only && base->tenant == NULL) {
            ctx->tenant = smcf->other;
        }

    } else {
        ctx->tenant = smcf->other;

        if (ngx_http_complex_value(r, base->tenant, &id) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = ngx_http_sgtm_overlay_id(r, ctx, &id);

        if (rc == NGX_DECLINED) {
            ctx->tenant = ngx_http_sgtm_tenant_find(smcf, &id);
        }
    }

    /* a record may have another name for the script */

    if (ctx->conf->script_name.data != base->script_name.data) {
        ngx_str_null(&ctx->decoded);
        ngx_http_sgtm_route(r, ctx);
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* the request has ended, whatever became of the client; it is not logged yet */

static void
ngx_http_sgtm_end(void *data)
{
    ngx_http_sgtm_ctx_t *ctx = data;

    ngx_uint_t                 own;
    ngx_http_request_t        *r;
    ngx_http_sgtm_loc_conf_t  *conf;

    r = ctx->request;

    /* a "rewrite ... last" that led out of the gateway: it is another's now */

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);

    if (!ctx->entered && !conf->enable && !r->error_page) {
        return;
    }

    /* without memory it is "_other" */
    (void) ngx_http_sgtm_set_tenant(r, ctx);

    ngx_http_sgtm_count_soon(ctx);

    if (r->upstream && ctx->upstream_status == 0) {
        ngx_http_sgtm_setcookie_forget(r);

        /* its answer may be a page of the site's now: it has come */

        ctx->upstream_status = ngx_http_sgtm_answered(r);
    }

    /* scripts, preflights, validation, reports: answered here, and well */

    own = ctx->entered && ngx_http_sgtm_route_is_own(ctx->route)
          && r->headers_out.status < NGX_HTTP_BAD_REQUEST;

    if (!ctx->committed && !own) {
        ngx_http_sgtm_refused(ctx, r->headers_out.status);
    }

    ngx_http_sgtm_fill_end(r, ctx->fill);
    ngx_http_sgtm_queue_end(r, ctx);
    ngx_http_sgtm_count(ctx);
    ngx_http_sgtm_dedup_end(ctx);

    /*
     * what was not committed still is as it came, and a query that the gate
     * can't read, or that has a secret, went upstream so: none is for a log
     */

    if (!ctx->committed || ctx->route == NGX_HTTP_SGTM_ROUTE_OPAQUE
        || ctx->route == NGX_HTTP_SGTM_ROUTE_MP
        || ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK
        || (ctx->route != NGX_HTTP_SGTM_ROUTE_HIT
            && ngx_http_sgtm_mp_has_secret(&r->args)))
    {
        ngx_http_sgtm_log_strip(r, ctx);
    }
}


/* it marks the context in the request's pool, too */

static void
ngx_http_sgtm_cleanup(void *data)
{
    ngx_http_sgtm_ctx_t *ctx = data;

    ngx_http_sgtm_overlay_end(ctx);
}
