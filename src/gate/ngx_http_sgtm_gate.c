
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../delivery/ngx_http_sgtm_queue.h"
#include "../hit/sgtm_user_data.h"
#include "../page/ngx_http_sgtm_check.h"
#include "ngx_http_sgtm_address.h"
#include "ngx_http_sgtm_body.h"
#include "ngx_http_sgtm_commit.h"
#include "ngx_http_sgtm_consent.h"
#include "ngx_http_sgtm_dedup.h"
#include "ngx_http_sgtm_gate.h"
#include "ngx_http_sgtm_headers.h"
#include "ngx_http_sgtm_overlay.h"
#include "ngx_http_sgtm_quota.h"


/* of an event, in a record */
#define NGX_HTTP_SGTM_GATE_NAME  40


static ngx_int_t ngx_http_sgtm_gate_whole(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_gate_routes(ngx_http_sgtm_ctx_t *ctx,
    sgtm_event_t *events, ngx_uint_t n);
static ngx_int_t ngx_http_sgtm_gate_forward(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_rewrite_t *rw, const sgtm_ga4_t *hit,
    ngx_str_t *body);
static void ngx_http_sgtm_gate_note(ngx_http_sgtm_ctx_t *ctx,
    sgtm_ga4_t *hit);
static ngx_int_t ngx_http_sgtm_gate_set(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_rewrite_t *rw, const sgtm_ga4_t *hit,
    ngx_str_t *args);
static ngx_int_t ngx_http_sgtm_gate_record(ngx_http_request_t *r,
    const sgtm_tenant_t *record, sgtm_pair_t *pair, ngx_uint_t plain);
static void ngx_http_sgtm_gate_credential(ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_set_t *set, sgtm_pair_t *pair, ngx_uint_t plain);
static ngx_int_t ngx_http_sgtm_gate_value(ngx_http_request_t *r,
    ngx_http_sgtm_set_t *set, sgtm_pair_t *pair, ngx_uint_t plain);
static ngx_uint_t ngx_http_sgtm_gate_signals(ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *args, sgtm_ga4_t *hit);


/*
 * The events of the hit that is in the gate: of one at a time, and too much for
 * a stack whose lines should stay in the cache.
 */

static sgtm_event_t  ngx_http_sgtm_gate_events[SGTM_MAX_EVENTS];


ngx_int_t
ngx_http_sgtm_gate_run(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *body)
{
    ngx_int_t                  rc;
    ngx_uint_t                 fresh;
    sgtm_ga4_t                 hit;
    sgtm_event_t              *events;
    sgtm_rewrite_t             rw;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ctx->conf;

    events = ngx_http_sgtm_gate_lists(ctx) ? ngx_http_sgtm_gate_events : NULL;

    if (sgtm_ga4_parse_events(&hit, &conf->tables->params, &conf->hit_ids,
                              ngx_http_sgtm_str(&r->args),
                              ngx_http_sgtm_str(body), events)
        != SGTM_OK)
    {
        return ngx_http_sgtm_gate_refuse(ctx, hit.reason, &hit.param);
    }

    ngx_http_sgtm_gate_note(ctx, &hit);

    if (ngx_http_sgtm_consent(r, ctx, &hit, &fresh) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    if (ctx->cookieless) {
        return ngx_http_sgtm_gate_deny(ctx, NGX_HTTP_SGTM_REASON_CONSENT);
    }

    rc = ngx_http_sgtm_quota(ctx, fresh ? NULL : &hit.cid);

    if (rc != NGX_OK) {
        return rc;
    }

    if (events) {
        rc = ngx_http_sgtm_gate_pick(r, ctx, events, hit.events);

        if (rc != NGX_OK) {
            return rc;
        }

        if (ctx->duplicates || ctx->routed) {

            if (ngx_http_sgtm_commit_cut(r, events, hit.events, body)
                != NGX_OK)
            {
                return ngx_http_sgtm_gate_fail(ctx);
            }

            /* the marks are of the body as it was */
            hit.nmarks = SGTM_MAX_MARKS + 1;
        }
    }

    ngx_http_sgtm_gate_fresh(&rw, fresh);

    rw.user_data = conf->user_data;

    if (conf->target && !fresh) {
        ctx->client = hit.cid;
    }

    if (ctx->deny & SGTM_DENY_AD_PERSONALIZATION) {
        rw.npa = conf->tables->npa;
    }

    return ngx_http_sgtm_gate_forward(r, ctx, &rw, &hit, body);
}


ngx_int_t
ngx_http_sgtm_gate_opaque(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_str_t                  body;
    ngx_uint_t                 fresh;
    sgtm_ga4_t                 hit;
    sgtm_event_t              *events;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ctx->conf;

    events = ngx_http_sgtm_gate_lists(ctx) ? ngx_http_sgtm_gate_events : NULL;

    ngx_memzero(&hit, offsetof(sgtm_ga4_t, marks));

    if (ngx_http_sgtm_body_text(r, &body) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    if (ctx->decoded.len) {

        if (conf->encoded == NGX_HTTP_SGTM_ENCODED_REFUSE) {
            return ngx_http_sgtm_gate_refuse(ctx, SGTM_REASON_ENCODED, NULL);
        }

        if (sgtm_ga4_parse_events(&hit, &conf->tables->params,
                                  &conf->hit_ids,
                                  ngx_http_sgtm_str(&ctx->decoded),
                                  ngx_http_sgtm_str(&body), events)
            != SGTM_OK)
        {
            return ngx_http_sgtm_gate_refuse(ctx, hit.reason, &hit.param);
        }

        ngx_http_sgtm_gate_note(ctx, &hit);
    }

    if (ngx_http_sgtm_consent(r, ctx, &hit, &fresh) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    if ((ctx->deny & SGTM_DENY_ANY)
        || (conf->user_data == NGX_HTTP_SGTM_USER_DATA_HASH
            && (sgtm_user_size(ngx_http_sgtm_str(&ctx->decoded))
                || sgtm_user_size(ngx_http_sgtm_str(&body)))))
    {
        return ngx_http_sgtm_gate_deny(ctx, NGX_HTTP_SGTM_REASON_OPAQUE);
    }

    rc = ngx_http_sgtm_quota(ctx, fresh ? NULL : &hit.cid);

    if (rc != NGX_OK) {
        return rc;
    }

    if (events) {
        rc = ngx_http_sgtm_gate_pick(r, ctx, events, hit.events);

        if (rc != NGX_OK) {
            return rc;
        }

        if ((ctx->duplicates || ctx->routed)
            && ngx_http_sgtm_commit_cut(r, events, hit.events, &body)
               != NGX_OK)
        {
            return ngx_http_sgtm_gate_fail(ctx);
        }
    }

    return ngx_http_sgtm_gate_whole(r, ctx);
}


ngx_int_t
ngx_http_sgtm_gate_pass(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t                 fresh, npa;
    sgtm_ga4_t                 hit;
    sgtm_rewrite_t             rw;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ctx->conf;

    npa = ngx_http_sgtm_gate_signals(ctx, &r->args, &hit);

    if (ngx_http_sgtm_consent(r, ctx, &hit, &fresh) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_USER_DATA
        && (ctx->deny & SGTM_DENY_AD_USER_DATA))
    {
        return ngx_http_sgtm_gate_deny(ctx, NGX_HTTP_SGTM_REASON_CONSENT);
    }

    ngx_http_sgtm_gate_fresh(&rw, fresh);

    /* setting and removing parameters is for hits */

    rw.matrix = 1;
    rw.user_data = conf->user_data;
    rw.npa = npa && (ctx->deny & SGTM_DENY_AD_PERSONALIZATION)
             && conf->tables->npa;

    return ngx_http_sgtm_gate_forward(r, ctx, &rw, &hit, NULL);
}


ngx_int_t
ngx_http_sgtm_gate_check(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_uint_t  fresh;
    sgtm_ga4_t  hit;

    /* what it tells is for the site's own origin, not for others that send */

    ngx_str_null(&ctx->origin);

    rc = ngx_http_sgtm_check_allowed(r, ctx->conf);

    if (rc == NGX_DECLINED) {
        ctx->disposition = NGX_HTTP_SGTM_REFUSED;
        ctx->reason = NGX_HTTP_SGTM_REASON_PATH;

        return NGX_HTTP_NOT_FOUND;
    }

    (void) ngx_http_sgtm_gate_signals(ctx, &r->args, &hit);

    if (rc != NGX_OK || ngx_http_sgtm_consent(r, ctx, &hit, &fresh) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    r->content_handler = ngx_http_sgtm_check_handler;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_sgtm_gate_preview(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ctx->deny = 0;

    return ngx_http_sgtm_gate_whole(r, ctx);
}


/* arguments and body stay as they came */

static ngx_int_t
ngx_http_sgtm_gate_whole(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    sgtm_ga4_t      hit;
    sgtm_rewrite_t  rw;

    ngx_memzero(&hit, offsetof(sgtm_ga4_t, marks));
    ngx_memzero(&rw, sizeof(sgtm_rewrite_t));

    rw.matrix = 1;

    return ngx_http_sgtm_gate_forward(r, ctx, &rw, &hit, NULL);
}


ngx_int_t
ngx_http_sgtm_gate_refuse(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t reason,
    sgtm_str_t *param)
{
    size_t  i;
    u_char  ch;

    ctx->disposition = NGX_HTTP_SGTM_REFUSED;
    ctx->reason = reason;

    /* a name of any other form may be a value that was put before the "=" */

    ngx_str_set(&ctx->param, "argument");

    for (i = 0; param && i < param->len && i < 40; i++) {
        ch = param->data[i];

        if ((ch < '0' || ch > '9') && ch != '_' && ch != '.'
            && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z'))
        {
            break;
        }
    }

    if (param && i && i == param->len) {
        ctx->param.len = param->len;
        ctx->param.data = param->data;
    }

    return (reason == SGTM_REASON_FOREIGN_TAG_ID) ? NGX_HTTP_FORBIDDEN
                                                  : NGX_HTTP_BAD_REQUEST;
}


ngx_int_t
ngx_http_sgtm_gate_deny(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t reason)
{
    ctx->disposition = NGX_HTTP_SGTM_DENIED;
    ctx->reason = reason;

    return NGX_HTTP_NO_CONTENT;
}


ngx_int_t
ngx_http_sgtm_gate_fail(ngx_http_sgtm_ctx_t *ctx)
{
    ctx->disposition = NGX_HTTP_SGTM_FAILED;
    ctx->reason = NGX_HTTP_SGTM_REASON_INTERNAL;

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_uint_t
ngx_http_sgtm_gate_lists(ngx_http_sgtm_ctx_t *ctx)
{
    return ctx->conf->dedup != NULL
           || (ctx->overlay && ctx->overlay->record->events.nelts);
}


ngx_int_t
ngx_http_sgtm_gate_pick(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_event_t *events, ngx_uint_t n)
{
    ngx_int_t  rc;

    if (ctx->overlay && ctx->overlay->record->events.nelts) {

        ngx_http_sgtm_gate_routes(ctx, events, n);

        if (ctx->routed == n) {
            ctx->disposition = NGX_HTTP_SGTM_FILTERED;
            ctx->reason = NGX_HTTP_SGTM_REASON_ROUTE;

            return NGX_HTTP_NO_CONTENT;
        }
    }

    if (ctx->conf->dedup == NULL) {
        return NGX_OK;
    }

    rc = ngx_http_sgtm_dedup(r, ctx, events, n);

    if (rc == NGX_OK) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    ctx->disposition = NGX_HTTP_SGTM_DUPLICATE;
    ctx->reason = NGX_HTTP_SGTM_REASON_DUPLICATE;

    return NGX_HTTP_NO_CONTENT;
}


/* what the tenant wants sent by browsers alone, or not at all */

static void
ngx_http_sgtm_gate_routes(ngx_http_sgtm_ctx_t *ctx, sgtm_event_t *events,
    ngx_uint_t n)
{
    ngx_uint_t  i, route;
    sgtm_str_t  name;

    /* one byte more than the longest name that a record can have */

    u_char  buf[NGX_HTTP_SGTM_GATE_NAME + 1];

    for (i = 0; i < n; i++) {

        name = events[i].name;

        if (!events[i].plain) {
            name.data = buf;
            name.len = sgtm_args_decode(buf, sizeof(buf), &events[i].name);
        }

        route = sgtm_tenant_event(ctx->overlay->record, &name);

        if (route == SGTM_EVENT_CLIENT || route == SGTM_EVENT_OFF) {
            events[i].off = 1;
            ctx->routed++;
        }
    }
}


static ngx_int_t
ngx_http_sgtm_gate_forward(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_rewrite_t *rw, const sgtm_ga4_t *hit, ngx_str_t *body)
{
    ngx_str_t  args;

    rw->names = &ctx->conf->tables->params;
    rw->deny = ctx->deny;

    if (hit->nmarks <= SGTM_MAX_MARKS && !rw->matrix) {
        rw->marks = hit->marks;
        rw->nmarks = hit->nmarks;
    }

    args = r->args;

    if (ngx_http_sgtm_commit_head(r, ctx) != NGX_OK
        || ngx_http_sgtm_gate_set(r, ctx, rw, hit, &args) != NGX_OK
        || ngx_http_sgtm_commit_hit(r, rw, hit, &args, body) != NGX_OK
        || (rw->user_data
            && ngx_http_sgtm_commit_user_data(r, body != NULL) != NGX_OK))
    {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    ctx->committed = 1;

    return NGX_DECLINED;
}


static void
ngx_http_sgtm_gate_note(ngx_http_sgtm_ctx_t *ctx, sgtm_ga4_t *hit)
{
    ctx->event.len = hit->event.len;
    ctx->event.data = hit->event.data;
    ctx->events = hit->events;
    ctx->over = hit->over;
}


/*
 * The parameters to set.  Their values are made of a request that already is
 * as it will be sent, so that no variable brings back what was denied.
 */

static ngx_int_t
ngx_http_sgtm_gate_set(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_rewrite_t *rw, const sgtm_ga4_t *hit, ngx_str_t *args)
{
    if (ctx->conf->set == NULL || rw->matrix) {
        return NGX_OK;
    }

    if (ctx->conf->tables->reads && rw->deny
        && ngx_http_sgtm_commit_hit(r, rw, hit, args, NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_gate_pairs(r, ctx, rw, 0);
}


ngx_int_t
ngx_http_sgtm_gate_pairs(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_rewrite_t *rw, ngx_uint_t plain)
{
    ngx_uint_t            i, n;
    sgtm_pair_t          *pair;
    ngx_http_sgtm_set_t  *set;

    n = ctx->conf->set->nelts;
    set = ctx->conf->set->elts;

    pair = ngx_palloc(r->pool, n * sizeof(sgtm_pair_t));
    if (pair == NULL) {
        return NGX_ERROR;
    }

    rw->set = pair;
    rw->nset = n;

    if (ctx->overlay
        && sgtm_tenant_has(ctx->overlay->record, SGTM_TENANT_SET_PARAMS))
    {
        return ngx_http_sgtm_gate_record(r, ctx->overlay->record, pair, plain);
    }

    for (i = 0; i < n; i++) {

        if (set[i].credential.len) {
            ngx_http_sgtm_gate_credential(ctx, &set[i], &pair[i], plain);
            continue;
        }

        if (ngx_http_sgtm_gate_value(r, &set[i], &pair[i], plain) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the names of a record's parameters are those of the tables, in order */

static ngx_int_t
ngx_http_sgtm_gate_record(ngx_http_request_t *r, const sgtm_tenant_t *record,
    sgtm_pair_t *pair, ngx_uint_t plain)
{
    size_t              i;
    sgtm_tenant_set_t  *set;

    set = record->set_params.elts;

    for (i = 0; i < record->set_params.nelts; i++, pair++) {

        pair->key = set[i].name;
        pair->value = plain ? set[i].value : set[i].encoded;
        pair->off = 0;

        if (set[i].credential.len == 0 || plain) {
            continue;
        }

        pair->value.data = ngx_pnalloc(r->pool, sgtm_args_encode(NULL,
                                                           &set[i].value));
        if (pair->value.data == NULL) {
            return NGX_ERROR;
        }

        pair->value.len = sgtm_args_encode(pair->value.data, &set[i].value);
    }

    return NGX_OK;
}


/* a directive's holds for every tenant that has such a credential */

static void
ngx_http_sgtm_gate_credential(ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_set_t *set, sgtm_pair_t *pair, ngx_uint_t plain)
{
    pair->key = *ngx_http_sgtm_str(&set->name);
    pair->value = plain ? *ngx_http_sgtm_str(&set->value.value)
                        : *ngx_http_sgtm_str(&set->encoded);

    pair->off = ctx->overlay == NULL
                || sgtm_tenant_credential(ctx->overlay->record,
                                          ngx_http_sgtm_str(&set->credential))
                   == NULL;
}


static ngx_int_t
ngx_http_sgtm_gate_value(ngx_http_request_t *r, ngx_http_sgtm_set_t *set,
    sgtm_pair_t *pair, ngx_uint_t plain)
{
    size_t     len;
    ngx_str_t  value;

    pair->key = *ngx_http_sgtm_str(&set->name);

    if (set->encoded.len && !plain) {
        pair->value = *ngx_http_sgtm_str(&set->encoded);
        pair->off = 0;
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, &set->value, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    pair->value = *ngx_http_sgtm_str(&value);
    pair->off = (value.len == 0);

    len = plain ? value.len : sgtm_args_encode(NULL, &pair->value);

    if (len == value.len) {
        return NGX_OK;
    }

    pair->value.data = ngx_pnalloc(r->pool, len);
    if (pair->value.data == NULL) {
        return NGX_ERROR;
    }

    pair->value.len = sgtm_args_encode(pair->value.data,
                                       ngx_http_sgtm_str(&value));

    return NGX_OK;
}


void
ngx_http_sgtm_gate_fresh(sgtm_rewrite_t *rw, ngx_uint_t fresh)
{
    ngx_memzero(rw, sizeof(sgtm_rewrite_t));

    if (fresh) {
        rw->fresh = 1;
        rw->seed = ((uint64_t) ngx_random() << 32) ^ (uint64_t) ngx_random();
    }
}


/*
 * The consent that another request's query carries, as hits do; whether it has
 * an "npa".
 */

static ngx_uint_t
ngx_http_sgtm_gate_signals(ngx_http_sgtm_ctx_t *ctx, ngx_str_t *args,
    sgtm_ga4_t *hit)
{
    ngx_uint_t          npa;
    sgtm_arg_t          arg;
    sgtm_args_t         a;
    sgtm_consent_t      one;
    const sgtm_rule_t  *rule;

    npa = 0;
    ngx_memzero(hit, offsetof(sgtm_ga4_t, marks));

    sgtm_args_init(&a, ngx_http_sgtm_str(args));

    while (sgtm_args_next(&a, &arg)) {

        hit->nested |= arg.nested;

        rule = sgtm_args_rule(&ctx->conf->tables->params, &arg);

        if (rule == NULL) {
            continue;
        }

        hit->deny |= rule->deny;

        if (rule->key == SGTM_KEY_GCS) {
            (void) sgtm_consent_gcs(&arg.value, &one);
            sgtm_consent_strictest(&hit->gcs, &one);

        } else if (rule->key == SGTM_KEY_GCD) {
            (void) sgtm_consent_gcd(&arg.value, &one);
            sgtm_consent_strictest(&hit->gcd, &one);

        } else if (rule->key == SGTM_KEY_NPA) {
            npa = 1;
        }
    }

    hit->npa = npa;

    return npa;
}
