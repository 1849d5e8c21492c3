
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
#include "ngx_http_sgtm_ctx.h"
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
static ngx_int_t ngx_http_sgtm_check(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_refuse(ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t reason, ngx_int_t status);


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
