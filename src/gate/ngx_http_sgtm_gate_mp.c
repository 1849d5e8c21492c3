
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../delivery/ngx_http_sgtm_queue.h"
#include "../hit/sgtm_mp.h"
#include "../intake/ngx_http_sgtm_mp.h"
#include "ngx_http_sgtm_commit.h"
#include "ngx_http_sgtm_consent.h"
#include "ngx_http_sgtm_dedup.h"
#include "ngx_http_sgtm_gate.h"
#include "ngx_http_sgtm_quota.h"


static void ngx_http_sgtm_gate_mp_note(ngx_http_sgtm_ctx_t *ctx,
    sgtm_mp_t *mp);
static ngx_int_t ngx_http_sgtm_gate_mp_pick(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_mp_t *mp, uint32_t *drop);
static ngx_int_t ngx_http_sgtm_gate_mp_tid(ngx_http_request_t *r,
    sgtm_str_t *tid);
static ngx_int_t ngx_http_sgtm_gate_mp_forward(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_mp_t *mp, uint32_t drop, ngx_str_t *body);
static ngx_int_t ngx_http_sgtm_gate_mp_args(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_gate_mp_set(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_rewrite_t *rw, sgtm_mp_t *mp,
    uint32_t drop, ngx_str_t *body);
static ngx_int_t ngx_http_sgtm_gate_mp_body(ngx_http_request_t *r,
    sgtm_rewrite_t *rw, sgtm_mp_t *mp, uint32_t drop, ngx_str_t *body);


ngx_int_t
ngx_http_sgtm_gate_mp(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *body)
{
    u_char     *buf;
    uint32_t    drop;
    ngx_int_t   rc;
    sgtm_mp_t   mp;

    buf = ngx_pnalloc(r->pool, body->len + 1);
    if (buf == NULL) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    switch (sgtm_mp_parse(&mp, ngx_http_sgtm_str(body), buf, 0, NULL, NULL)) {

    case SGTM_OK:
        break;

    case SGTM_DECLINED:
        return ngx_http_sgtm_gate_refuse(ctx, mp.reason, &mp.param);

    default: /* SGTM_ERROR */
        return ngx_http_sgtm_gate_fail(ctx);
    }

    ngx_http_sgtm_gate_mp_note(ctx, &mp);

    ngx_http_sgtm_consent_server(ctx, &mp.consent);

    if (ctx->cookieless) {
        return ngx_http_sgtm_gate_deny(ctx, NGX_HTTP_SGTM_REASON_CONSENT);
    }

    rc = ngx_http_sgtm_quota(ctx, (ctx->deny & SGTM_DENY_ANALYTICS_STORAGE)
                                  ? NULL : &mp.client);

    if (rc != NGX_OK) {
        return rc;
    }

    drop = 0;

    if (ngx_http_sgtm_gate_lists(ctx)) {
        rc = ngx_http_sgtm_gate_mp_pick(r, ctx, &mp, &drop);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->conf->target && !(ctx->deny & SGTM_DENY_ANALYTICS_STORAGE)) {
        ctx->client = mp.client;
    }

    if (ngx_http_sgtm_gate_mp_forward(r, ctx, &mp, drop, body) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    ctx->committed = 1;

    return NGX_DECLINED;
}


static void
ngx_http_sgtm_gate_mp_note(ngx_http_sgtm_ctx_t *ctx, sgtm_mp_t *mp)
{
    ctx->event.len = mp->events[0].name.len;
    ctx->event.data = mp->events[0].name.data;
    ctx->over = mp->over;

    /* of a webhook those have left that were sent before */
    ctx->events = mp->nevents + ctx->duplicates;
}


/*
 * Events have the names and ids that those of browsers have, so that a
 * purchase that a server tells as well is told once.
 */

static ngx_int_t
ngx_http_sgtm_gate_mp_pick(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_mp_t *mp, uint32_t *drop)
{
    ngx_int_t     rc;
    ngx_uint_t    i;
    sgtm_str_t    tid;
    sgtm_event_t  events[SGTM_MP_MAX_EVENTS];

    if (ngx_http_sgtm_gate_mp_tid(r, &tid) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    ngx_memzero(events, sizeof(events));

    for (i = 0; i < mp->nevents; i++) {
        events[i].name = mp->events[i].name;
        events[i].tid = tid;
        events[i].ids[SGTM_EVENT_TRANSACTION] = mp->events[i].transaction;
        events[i].plain = 1;

        if (ctx->conf->dedup && ctx->conf->dedup->event_id) {
            events[i].ids[SGTM_EVENT_ID] = mp->events[i].id;
        }
    }

    rc = ngx_http_sgtm_gate_pick(r, ctx, events, mp->nevents);

    for (i = 0; i < mp->nevents; i++) {
        *drop |= (uint32_t) (events[i].duplicate || events[i].off) << i;
    }

    return rc;
}


/* decoded; empty for an app's, which has no measurement_id */

static ngx_int_t
ngx_http_sgtm_gate_mp_tid(ngx_http_request_t *r, sgtm_str_t *tid)
{
    sgtm_str_t  value;

    static const sgtm_str_t  name = sgtm_string("measurement_id");

    tid->len = 0;
    tid->data = NULL;

    if (sgtm_args_get(ngx_http_sgtm_str(&r->args), &name, &value) != SGTM_OK
        || value.len == 0)
    {
        return NGX_OK;
    }

    tid->data = ngx_pnalloc(r->pool, value.len);
    if (tid->data == NULL) {
        return NGX_ERROR;
    }

    tid->len = sgtm_args_decode(tid->data, value.len, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_gate_mp_forward(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_mp_t *mp, uint32_t drop, ngx_str_t *body)
{
    sgtm_rewrite_t  rw;

    /* a server sends the ids that it has: it can't know of the denial */

    ngx_http_sgtm_gate_fresh(&rw, ctx->deny & SGTM_DENY_ANALYTICS_STORAGE);

    rw.names = &ctx->conf->tables->params;
    rw.deny = ctx->deny;
    rw.user_data = ctx->conf->user_data;
    rw.npa = (ctx->deny & SGTM_DENY_AD_PERSONALIZATION)
             && ctx->conf->tables->npa;

    if (ngx_http_sgtm_mp_uri(r, ctx) != NGX_OK
        || ngx_http_sgtm_commit_head(r, ctx) != NGX_OK
        || ngx_http_sgtm_gate_mp_args(r, ctx) != NGX_OK
        || (rw.user_data && ngx_http_sgtm_commit_user_data(r, 0) != NGX_OK)
        || ngx_http_sgtm_gate_mp_set(r, ctx, &rw, mp, drop, body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_gate_mp_body(r, &rw, mp, drop, body);
}


/* the query names the stream and the secret; the matrix holds there, too */

static ngx_int_t
ngx_http_sgtm_gate_mp_args(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_str_t       args;
    sgtm_ga4_t      hit;
    sgtm_rewrite_t  rw;

    ngx_memzero(&hit, offsetof(sgtm_ga4_t, marks));
    ngx_memzero(&rw, sizeof(sgtm_rewrite_t));

    hit.deny = 0xff;
    hit.nested = 1;

    rw.names = &ctx->conf->tables->params;
    rw.deny = ctx->deny;
    rw.matrix = 1;

    args = r->args;

    return ngx_http_sgtm_commit_hit(r, &rw, &hit, &args, NULL);
}


/* as for hits of browsers, values are made of a request that obeys */

static ngx_int_t
ngx_http_sgtm_gate_mp_set(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_rewrite_t *rw, sgtm_mp_t *mp, uint32_t drop, ngx_str_t *body)
{
    if (ctx->conf->set == NULL) {
        return NGX_OK;
    }

    if (ctx->conf->tables->reads && rw->deny
        && ngx_http_sgtm_gate_mp_body(r, rw, mp, drop, body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_gate_pairs(r, ctx, rw, 1);
}


static ngx_int_t
ngx_http_sgtm_gate_mp_body(ngx_http_request_t *r, sgtm_rewrite_t *rw,
    sgtm_mp_t *mp, uint32_t drop, ngx_str_t *body)
{
    u_char      *mem;
    sgtm_str_t   out;

    mem = ngx_pnalloc(r->pool, sgtm_mp_size(mp, rw, ngx_http_sgtm_str(body)));
    if (mem == NULL) {
        return NGX_ERROR;
    }

    sgtm_mp_rewrite(rw, drop, ngx_http_sgtm_str(body), mem, &out);

    if (out.len == body->len
        && ngx_memcmp(out.data, body->data, body->len) == 0)
    {
        return NGX_OK;
    }

    return ngx_http_sgtm_commit_body(r, out.data, out.len);
}
