
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_meter.h"


/* of the processor's cache */
#define NGX_HTTP_SGTM_COUNTERS_LINE  64


static ngx_uint_t ngx_http_sgtm_upstream_result(ngx_http_sgtm_ctx_t *ctx);
static ngx_http_upstream_state_t *ngx_http_sgtm_upstream_state(
    ngx_http_request_t *r);
static void ngx_http_sgtm_count_hit(ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_counters_t *cn);
static void ngx_http_sgtm_count_latency(ngx_http_sgtm_ctx_t *ctx);


ngx_str_t  ngx_http_sgtm_route_labels[] = {
    ngx_string("pass"),
    ngx_string("hit"),
    ngx_string("opaque"),
    ngx_string("tag"),
    ngx_string("script"),
    ngx_string("user_data"),
    ngx_string("preview"),
    ngx_string("health"),
    ngx_string("cors"),
    ngx_string("mp"),
    ngx_string("mp_debug"),
    ngx_string("webhook"),
    ngx_string("check"),
    ngx_string("csp")
};


ngx_str_t  ngx_http_sgtm_disposition_labels[] = {
    ngx_string("undecided"),
    ngx_string("forwarded"),
    ngx_string("queued"),
    ngx_string("denied"),
    ngx_string("duplicate"),
    ngx_string("limited"),
    ngx_string("filtered"),
    ngx_string("refused"),
    ngx_string("failed")
};


ngx_str_t  ngx_http_sgtm_upstream_labels[] = {
    ngx_string("2xx"),
    ngx_string("3xx"),
    ngx_string("4xx"),
    ngx_string("5xx"),
    ngx_string("timeout"),
    ngx_string("error")
};


/* from SGTM_REASON_HIT_LAST on */

static const sgtm_reason_t  ngx_http_sgtm_reasons[] = {
    { sgtm_string("method"), sgtm_string("method"),
      sgtm_string("not allowed here") },
    { sgtm_string("too_large"), sgtm_string("body"),
      sgtm_string("larger than this gateway takes") },
    { sgtm_string("origin"), sgtm_string("origin"),
      sgtm_string("not allowed to send here") },
    { sgtm_string("foreign_id"), sgtm_string("id"),
      sgtm_string("not one of this site") },
    { sgtm_string("path"), sgtm_string("path"),
      sgtm_string("not served here") },
    { sgtm_string("consent"), sgtm_string("consent"),
      sgtm_string("denied") },
    { sgtm_string("opaque"), sgtm_string("consent"),
      sgtm_string("denied, and the hit can't be redacted") },
    { sgtm_string("upstream_unreachable"), sgtm_string("tagging server"),
      sgtm_string("out of reach") },
    { sgtm_string("upstream_timeout"), sgtm_string("tagging server"),
      sgtm_string("no answer in time") },
    { sgtm_string("upstream_3xx"), sgtm_string("tagging server"),
      sgtm_string("redirected the hit") },
    { sgtm_string("upstream_4xx"), sgtm_string("tagging server"),
      sgtm_string("refused the hit") },
    { sgtm_string("upstream_5xx"), sgtm_string("tagging server"),
      sgtm_string("failed") },
    { sgtm_string("aborted"), sgtm_string("request"),
      sgtm_string("ended before it was sent on") },
    { sgtm_string("internal"), sgtm_string("gateway"),
      sgtm_string("failed") },
    { sgtm_string("server"), sgtm_string("server"),
      sgtm_string("refused by its configuration") },
    { sgtm_string("spool"), sgtm_string("gateway"),
      sgtm_string("can't keep the hit now") },
    { sgtm_string("rate_limit"), sgtm_string("rate"),
      sgtm_string("over the limit") },
    { sgtm_string("duplicate"), sgtm_string("event"),
      sgtm_string("seen before") },
    { sgtm_string("json"), sgtm_string(""),
      sgtm_string("not as webhooks of this shop have it") },
    { sgtm_string("api_secret"), sgtm_string("api_secret"),
      sgtm_string("not known here") },
    { sgtm_string("signature"), sgtm_string("signature"),
      sgtm_string("wrong") },
    { sgtm_string("stale"), sgtm_string("signature"),
      sgtm_string("of another time") },
    { sgtm_string("topic"), sgtm_string("topic"),
      sgtm_string("of no use here") },
    { sgtm_string("host"), sgtm_string("host"),
      sgtm_string("not known here") },
    { sgtm_string("event_route"), sgtm_string("event"),
      sgtm_string("not for this gateway") },
    { sgtm_string("address_limit"), sgtm_string("address"),
      sgtm_string("over the limit") },
    { sgtm_string("quota"), sgtm_string("events"),
      sgtm_string("over the month's quota") },
    { sgtm_string("residency"), sgtm_string("residency"),
      sgtm_string("no way into the EU") }
};


const sgtm_reason_t *
ngx_http_sgtm_reason(ngx_uint_t reason)
{
    if (reason < SGTM_REASON_HIT_LAST) {
        return &sgtm_reasons[reason];
    }

    return &ngx_http_sgtm_reasons[reason - SGTM_REASON_HIT_LAST];
}


uint64_t
ngx_http_sgtm_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


void
ngx_http_sgtm_decide(ngx_http_sgtm_ctx_t *ctx)
{
    if (ctx->disposition != NGX_HTTP_SGTM_UNDECIDED) {
        return;
    }

    if (ctx->upstream_status >= NGX_HTTP_OK
        && ctx->upstream_status < NGX_HTTP_BAD_REQUEST
        && !ngx_http_sgtm_unfollowed(ctx))
    {
        ctx->disposition = NGX_HTTP_SGTM_FORWARDED;
        return;
    }

    ctx->disposition = NGX_HTTP_SGTM_FAILED;

    if (ctx->reason == SGTM_REASON_NONE) {
        ctx->reason = ngx_http_sgtm_failure(ctx);
    }
}


ngx_uint_t
ngx_http_sgtm_unfollowed(ngx_http_sgtm_ctx_t *ctx)
{
    return ctx->upstream_status >= NGX_HTTP_SPECIAL_RESPONSE
           && ctx->upstream_status < NGX_HTTP_BAD_REQUEST
           && (ctx->route == NGX_HTTP_SGTM_ROUTE_MP
               || ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK);
}


void
ngx_http_sgtm_refused(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t status)
{
    if (ctx->disposition != NGX_HTTP_SGTM_UNDECIDED) {
        return;
    }

    ctx->disposition = NGX_HTTP_SGTM_REFUSED;

    switch (status) {

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        ctx->reason = NGX_HTTP_SGTM_REASON_TOO_LARGE;
        return;

    case NGX_HTTP_INTERNAL_SERVER_ERROR:
        ctx->disposition = NGX_HTTP_SGTM_FAILED;
        ctx->reason = NGX_HTTP_SGTM_REASON_INTERNAL;
        return;

    case NGX_HTTP_CLIENT_CLOSED_REQUEST:
    case NGX_HTTP_REQUEST_TIME_OUT:
        ctx->disposition = NGX_HTTP_SGTM_FAILED;
        ctx->reason = NGX_HTTP_SGTM_REASON_ABORTED;
        return;

    default:

        /* whatever the answer was, another part of nginx gave it */

        if (status >= NGX_HTTP_OK) {
            ctx->reason = NGX_HTTP_SGTM_REASON_SERVER;
            return;
        }

        ctx->disposition = NGX_HTTP_SGTM_UNDECIDED;
    }
}


ngx_uint_t
ngx_http_sgtm_failure(ngx_http_sgtm_ctx_t *ctx)
{
    static u_char  reasons[] = {
        NGX_HTTP_SGTM_REASON_ABORTED,
        NGX_HTTP_SGTM_REASON_UPSTREAM_3XX,
        NGX_HTTP_SGTM_REASON_UPSTREAM_4XX,
        NGX_HTTP_SGTM_REASON_UPSTREAM_5XX,
        NGX_HTTP_SGTM_REASON_TIMEOUT,
        NGX_HTTP_SGTM_REASON_UNREACHABLE
    };

    ngx_uint_t  result;

    result = ngx_http_sgtm_upstream_result(ctx);

    return (result == NGX_HTTP_SGTM_UPSTREAM_N) ? NGX_HTTP_SGTM_REASON_ABORTED
                                                : reasons[result];
}


/* how the last peer that was tried ended; UPSTREAM_N: none did */

static ngx_uint_t
ngx_http_sgtm_upstream_result(ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t                  status;
    ngx_http_upstream_state_t  *state;

    status = ctx->upstream_status;

    if (status == 0) {
        state = ngx_http_sgtm_upstream_state(ctx->request);

        /* without a status the client left, or nginx had no memory */

        if (state == NULL || state->status == 0) {
            return NGX_HTTP_SGTM_UPSTREAM_N;
        }

        status = state->status;

        /* nginx gives a status of its own to what had no header */

        if (state->header_time == (ngx_msec_t) -1) {
            return (status == NGX_HTTP_GATEWAY_TIME_OUT)
                   ? NGX_HTTP_SGTM_UPSTREAM_TIMEOUT
                   : NGX_HTTP_SGTM_UPSTREAM_ERROR;
        }
    }

    if (status < NGX_HTTP_OK || status >= 600) {
        return NGX_HTTP_SGTM_UPSTREAM_ERROR;
    }

    return status / 100 - 2;
}


/*
 * The last one for the hit itself: behind one without a peer are those of the
 * page that an error_page has led to.
 */

static ngx_http_upstream_state_t *
ngx_http_sgtm_upstream_state(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_upstream_state_t  *state;

    if (r->upstream_states == NULL) {
        return NULL;
    }

    state = r->upstream_states->elts;

    for (i = 0; i < r->upstream_states->nelts && state[i].peer; i++) {
        /* void */
    }

    return i ? &state[i - 1] : NULL;
}


ngx_uint_t
ngx_http_sgtm_answered(ngx_http_request_t *r)
{
    ngx_http_upstream_state_t  *state;

    state = ngx_http_sgtm_upstream_state(r);

    return (state && state->header_time != (ngx_msec_t) -1) ? state->status
                                                            : 0;
}


void
ngx_http_sgtm_count_unkept(const sgtm_str_t *id)
{
    uint64_t                    generation;
    const sgtm_tenant_t        *record;
    ngx_http_sgtm_tenant_t     *tenant;
    sgtm_registry_reader_t     *reader;
    ngx_http_sgtm_counters_t   *cn;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_sgtm_module);

    tenant = ngx_http_sgtm_tenant_find(smcf, (ngx_str_t *) id);
    cn = tenant->counters;

    reader = (tenant == smcf->other) ? ngx_http_sgtm_tenants_reader() : NULL;
    generation = 0;

    if (reader) {
        generation = sgtm_registry_enter(reader);
        record = sgtm_registry_id(reader->registry, id);

        if (record) {
            cn = sgtm_registry_state(reader->registry, record);
        }
    }

    (void) ngx_atomic_fetch_add(&cn->dispositions[NGX_HTTP_SGTM_QUEUED], -1);
    (void) ngx_atomic_fetch_add(&cn->dispositions[NGX_HTTP_SGTM_FAILED], 1);
    (void) ngx_atomic_fetch_add(&cn->reasons[NGX_HTTP_SGTM_REASON_SPOOL], 1);

    if (reader) {
        sgtm_registry_leave(reader, generation);
    }
}


void
ngx_http_sgtm_count_soon(ngx_http_sgtm_ctx_t *ctx)
{
#if defined(__GNUC__)

    u_char  *p, *last;

    p = (u_char *) ctx->tenant->counters;
    last = p + NGX_HTTP_SGTM_COUNTERS_HOT;

    for ( /* void */ ; p < last; p += NGX_HTTP_SGTM_COUNTERS_LINE) {
        __builtin_prefetch(p, 1);
    }

#endif
}


void
ngx_http_sgtm_count(ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t                 result;
    ngx_http_sgtm_counters_t  *cn;

    cn = ctx->tenant->counters;

    (void) ngx_atomic_fetch_add(&cn->routes[ctx->route], 1);

    result = ngx_http_sgtm_upstream_result(ctx);

    if (result != NGX_HTTP_SGTM_UPSTREAM_N) {
        (void) ngx_atomic_fetch_add(&cn->upstream[result], 1);
    }

    if (ngx_http_sgtm_route_is_hit(ctx->route)) {
        ngx_http_sgtm_count_hit(ctx, cn);

    } else if (ctx->disposition == NGX_HTTP_SGTM_REFUSED
               || ctx->disposition == NGX_HTTP_SGTM_DENIED)
    {
        /* dispositions are of hits, reasons of every request */
        (void) ngx_atomic_fetch_add(&cn->reasons[ctx->reason], 1);
    }

    if (ctx->gate_time) {
        ngx_http_sgtm_count_latency(ctx);
    }
}


static void
ngx_http_sgtm_count_hit(ngx_http_sgtm_ctx_t *ctx, ngx_http_sgtm_counters_t *cn)
{
    ngx_uint_t  i, over;

    ngx_http_sgtm_decide(ctx);

    (void) ngx_atomic_fetch_add(&cn->dispositions[ctx->disposition], 1);

    if (ctx->reason != SGTM_REASON_NONE) {
        (void) ngx_atomic_fetch_add(&cn->reasons[ctx->reason], 1);
    }

    if (ctx->events) {
        (void) ngx_atomic_fetch_add(&cn->events, ctx->events);
    }

    if (ctx->duplicates) {
        (void) ngx_atomic_fetch_add(&cn->duplicate_events, ctx->duplicates);
    }

    if (ctx->routed) {
        (void) ngx_atomic_fetch_add(&cn->routed_events, ctx->routed);
    }

    if (ctx->consent_absent) {
        (void) ngx_atomic_fetch_add(&cn->consent_absent, 1);
    }

    for (i = 0, over = ctx->over; over; i++, over >>= 1) {
        if (over & 1) {
            (void) ngx_atomic_fetch_add(&cn->over[i], 1);
        }
    }

    ngx_http_sgtm_meter_count(ctx);
}


static void
ngx_http_sgtm_count_latency(ngx_http_sgtm_ctx_t *ctx)
{
    uint64_t                    us;
    ngx_uint_t                  n;
    ngx_http_sgtm_zone_t       *zone;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_sgtm_module);
    zone = ngx_http_sgtm_zone(smcf);

    us = ctx->gate_time / 1000;

    for (n = 0; n < NGX_HTTP_SGTM_LATENCY_N - 1 && us >> n; n++) { /* void */ }

    (void) ngx_atomic_fetch_add(&zone->latency.buckets[n], 1);
    (void) ngx_atomic_fetch_add(&zone->latency.sum, ctx->gate_time);
}
