
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../delivery/ngx_http_sgtm_fallback.h"
#include "../delivery/ngx_http_sgtm_fill.h"
#include "../delivery/ngx_http_sgtm_queue.h"
#include "../intake/ngx_http_sgtm_mp.h"
#include "../intake/ngx_http_sgtm_webhook.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "../page/ngx_http_sgtm_csp.h"
#include "../page/ngx_http_sgtm_script.h"
#include "../place/ngx_http_sgtm_residency.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_address.h"
#include "ngx_http_sgtm_answer.h"
#include "ngx_http_sgtm_body.h"
#include "ngx_http_sgtm_dedup.h"
#include "ngx_http_sgtm_gate.h"
#include "ngx_http_sgtm_handler.h"
#include "ngx_http_sgtm_headers.h"
#include "ngx_http_sgtm_limit.h"
#include "ngx_http_sgtm_log.h"
#include "ngx_http_sgtm_origin.h"
#include "ngx_http_sgtm_overlay.h"
#include "ngx_http_sgtm_quota.h"
#include "ngx_http_sgtm_route.h"
#include "ngx_http_sgtm_setcookie.h"


static ngx_int_t ngx_http_sgtm_rewrite_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_preaccess_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_subrequest(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_precontent_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_start(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_run(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_finish(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_enter(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_set_tenant(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_check(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_refuse(ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t reason, ngx_int_t status);
static void ngx_http_sgtm_end(void *data);
static void ngx_http_sgtm_cleanup(void *data);


ngx_int_t
ngx_http_sgtm_handler_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sgtm_rewrite_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sgtm_preaccess_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sgtm_precontent_handler;

    ngx_http_sgtm_body_init();

    return NGX_OK;
}


/*
 * Before the rewrite module, whose "return" may end the request: what is logged
 * of it then is the gate's affair, too.
 */

static ngx_int_t
ngx_http_sgtm_rewrite_handler(ngx_http_request_t *r)
{
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);

    if (!conf->enable || r != r->main || ngx_http_sgtm_get_ctx(r)) {
        return NGX_DECLINED;
    }

    return ngx_http_sgtm_create_ctx(r, conf) ? NGX_DECLINED
                                       : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


/* before the body is read: what can be refused by its head */

static ngx_int_t
ngx_http_sgtm_preaccess_handler(ngx_http_request_t *r)
{
    uint64_t                   now;
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);

    if (!conf->enable) {
        return NGX_DECLINED;
    }

    if (r != r->main) {
        return ngx_http_sgtm_subrequest(r);
    }

    ctx = ngx_http_sgtm_get_ctx(r);

    /* an internal redirect within the gateway is not another request */

    if (ctx && ctx->entered) {
        return NGX_DECLINED;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "sgtm preaccess handler");

    now = ngx_http_sgtm_now();

    if (ctx == NULL) {
        ctx = ngx_http_sgtm_create_ctx(r, conf);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else if (ctx->base != conf || !r->valid_unparsed_uri) {

        /* an "if", a "rewrite" or a "set $args" has chosen anew */
        ngx_http_sgtm_enter(r, ctx, conf);
    }

    ctx->entered = 1;

    if (ngx_http_sgtm_set_tenant(r, ctx) != NGX_OK
        || ngx_http_sgtm_headers_scan(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a header makes no shop's signature needless */

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK) {
        ctx->preview = 0;
    }

    ctx->status = ngx_http_sgtm_check(r, ctx);
    ctx->gate_time = ngx_http_sgtm_now() - now;

    return ngx_http_sgtm_finish(r, ctx);
}


/*
 * A subrequest of a page has the page's own cookies and credentials.  One of a
 * request that has been through the gate, as a cache's update, has not.
 */

static ngx_int_t
ngx_http_sgtm_subrequest(ngx_http_request_t *r)
{
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_sgtm_get_ctx(r->main);

    if (ctx && ctx->committed) {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "a gateway serves no subrequests");

    return NGX_HTTP_FORBIDDEN;
}


/* after realip and access control, with the body */

static ngx_int_t
ngx_http_sgtm_precontent_handler(ngx_http_request_t *r)
{
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);

    if (!conf->enable || r != r->main) {
        return ngx_http_sgtm_fill_detached(r);
    }

    ctx = ngx_http_sgtm_get_ctx(r);

    if (ngx_http_sgtm_fallback_is(r)) {
        r->content_handler = ngx_http_sgtm_fallback_handler;
        return NGX_DECLINED;
    }

    if (ctx == NULL) {
        return NGX_DECLINED;
    }

    if (!ctx->started) {
        ctx->started = 1;
        return ngx_http_sgtm_start(r, ctx);
    }

    /* once more, now that the body has been read */

    return (ctx->status == NGX_DONE) ? NGX_DONE : ngx_http_sgtm_finish(r, ctx);
}


static ngx_int_t
ngx_http_sgtm_start(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "sgtm precontent handler, route: %d", ctx->route);

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_SCRIPT) {
        r->content_handler = ngx_http_sgtm_script_handler;
        ctx->status = NGX_DECLINED;
        return NGX_DECLINED;
    }

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_CSP) {
        r->content_handler = ngx_http_sgtm_csp_report_handler;
        ctx->status = NGX_DECLINED;
        return NGX_DECLINED;
    }

    if (ngx_http_sgtm_limit_is_late(ctx)) {
        ctx->status = ngx_http_sgtm_limit_late(r, ctx);

        if (ctx->status != NGX_DECLINED) {
            return ngx_http_sgtm_finish(r, ctx);
        }
    }

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_CHECK) {
        ctx->status = ngx_http_sgtm_gate_check(r, ctx);
        return ngx_http_sgtm_finish(r, ctx);
    }

    /* a hit's body is the gate's, a chunked one's length tells itself last */

    if ((!ctx->preview || ctx->route == NGX_HTTP_SGTM_ROUTE_MP_DEBUG)
        && (r->headers_in.chunked
            || ((ngx_http_sgtm_route_is_hit(ctx->route)
                 || ctx->route == NGX_HTTP_SGTM_ROUTE_MP_DEBUG)
                && r->headers_in.content_length_n > 0)))
    {
        return ngx_http_sgtm_body_read(r, ctx, ngx_http_sgtm_body_handler);
    }

    ngx_http_sgtm_run(r, ctx);

    return ngx_http_sgtm_finish(r, ctx);
}


/* the gate, by what the request is; its verdict is ctx->status */

static void
ngx_http_sgtm_run(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    uint64_t   now;
    ngx_str_t  body;

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_MP_DEBUG) {
        r->content_handler = ngx_http_sgtm_mp_debug_handler;
        ctx->status = NGX_DECLINED;
        return;
    }

    now = ngx_http_sgtm_now();

    ngx_http_sgtm_meter_soon(ctx);

    if (ctx->preview || ctx->route == NGX_HTTP_SGTM_ROUTE_PREVIEW) {
        ctx->status = ngx_http_sgtm_gate_preview(r, ctx);

    } else if (ctx->route == NGX_HTTP_SGTM_ROUTE_OPAQUE) {
        ctx->status = ngx_http_sgtm_gate_opaque(r, ctx);

    } else if (ctx->route != NGX_HTTP_SGTM_ROUTE_HIT
               && ctx->route != NGX_HTTP_SGTM_ROUTE_MP
               && ctx->route != NGX_HTTP_SGTM_ROUTE_WEBHOOK)
    {
        ctx->status = ngx_http_sgtm_gate_pass(r, ctx);

    } else if (ngx_http_sgtm_body_text(r, &body) != NGX_OK) {
        ctx->status = ngx_http_sgtm_gate_fail(ctx);

    } else if (ctx->route == NGX_HTTP_SGTM_ROUTE_MP) {
        ctx->status = ngx_http_sgtm_gate_mp(r, ctx, &body);

    } else if (ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK) {
        ctx->status = ngx_http_sgtm_webhook(r, ctx, &body);

    } else {
        ctx->status = ngx_http_sgtm_gate_run(r, ctx, &body);
    }

    ctx->method = r->method_name;
    ctx->args = r->args;

    if ((ctx->route == NGX_HTTP_SGTM_ROUTE_MP
         || ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK)
        && ngx_http_sgtm_mp_args(r, ctx) != NGX_OK)
    {
        ctx->status = ngx_http_sgtm_gate_fail(ctx);
    }

    ngx_http_sgtm_quota_take(ctx);
    ngx_http_sgtm_fallback_bypass(r, ctx);

    ctx->gate_time += ngx_http_sgtm_now() - now;
}


static void
ngx_http_sgtm_body_handler(ngx_http_request_t *r)
{
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_sgtm_get_ctx(r);

    if (ctx->closed) {
        r->connection->error = 1;
    }

    ngx_http_sgtm_run(r, ctx);

    r->preserve_body = 1;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


/* on to proxy_pass or to the queue, or the gate's own answer */

static ngx_int_t
ngx_http_sgtm_finish(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    if (ctx->status != NGX_DECLINED) {
        return ngx_http_sgtm_answer(r, ctx, ctx->status);
    }

    if (ngx_http_sgtm_queue_is(ctx)) {
        r->content_handler = ngx_http_sgtm_queue_handler;
        return NGX_DECLINED;
    }

    return ngx_http_sgtm_fill(r, ctx);
}


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

static void
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


static ngx_int_t
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


/* NGX_DECLINED: nothing is wrong so far; or the status to answer with */

static ngx_int_t
ngx_http_sgtm_check(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_str_t                  allow;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ctx->conf;

    if (conf->records_only && ctx->overlay == NULL) {
        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_HOST,
                                    NGX_HTTP_NOT_FOUND);
    }

    if (ngx_http_sgtm_route_method(r, ctx, &allow) != NGX_OK) {

        if (ngx_http_sgtm_answer_allow(r, &allow) != NGX_OK) {
            return ngx_http_sgtm_gate_fail(ctx);
        }

        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_METHOD,
                                    NGX_HTTP_NOT_ALLOWED);
    }

    if (ngx_http_sgtm_body_too_large(ctx, r->headers_in.content_length_n)) {
        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_TOO_LARGE,
                                    NGX_HTTP_REQUEST_ENTITY_TOO_LARGE);
    }

    if (ngx_http_sgtm_origin(r, ctx) != NGX_OK) {
        ngx_str_null(&ctx->origin);

        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_ORIGIN,
                                    NGX_HTTP_FORBIDDEN);
    }

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_CORS) {
        return (ngx_http_sgtm_answer_preflight(r, ctx) == NGX_OK)
               ? NGX_HTTP_NO_CONTENT : ngx_http_sgtm_gate_fail(ctx);
    }

    /*
     * a hit's ids are read with the hit, unless it passes as it is, and what
     * stands behind a webhook's path goes nowhere
     */

    if ((ctx->route != NGX_HTTP_SGTM_ROUTE_HIT || ctx->preview)
        && ctx->route != NGX_HTTP_SGTM_ROUTE_PREVIEW
        && ctx->route != NGX_HTTP_SGTM_ROUTE_WEBHOOK
        && ngx_http_sgtm_route_ids(r, ctx) != NGX_OK)
    {
        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_FOREIGN_ID,
                                    NGX_HTTP_FORBIDDEN);
    }

    if (ngx_http_sgtm_route_is_mp(ctx->route)
        && ngx_http_sgtm_mp_secret(r, ctx) != NGX_OK)
    {
        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_API_SECRET,
                                    NGX_HTTP_FORBIDDEN);
    }

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK
        && ngx_http_sgtm_webhook_shop(ctx) == NGX_DECLINED)
    {
        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_PATH,
                                    NGX_HTTP_NOT_FOUND);
    }

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_PASS && !conf->passthrough
        && !ctx->preview)
    {
        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_PATH,
                                    NGX_HTTP_NOT_FOUND);
    }

    if (ngx_http_sgtm_residency_check(r, ctx) != NGX_OK) {
        return ngx_http_sgtm_refuse(ctx, NGX_HTTP_SGTM_REASON_RESIDENCY,
                                    NGX_HTTP_SERVICE_UNAVAILABLE);
    }

    if (!ctx->preview && ngx_http_sgtm_route_is_hit(ctx->route)
        && !ngx_http_sgtm_limit_is_late(ctx))
    {
        return ngx_http_sgtm_limit(r, ctx);
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_sgtm_refuse(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t reason,
    ngx_int_t status)
{
    ctx->disposition = NGX_HTTP_SGTM_REFUSED;
    ctx->reason = reason;

    return status;
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
