
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The way through the log of changes: in pages from the version that is known
 * to the end, or, in a pass over everything, from the start.
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis_core.h"


/* a replica may be a little late */
#define NGX_HTTP_SGTM_REDIS_GRACE       5000

/* what could not be put is tried again, sooner after something has changed */
#define NGX_HTTP_SGTM_REDIS_RETRY       1000
#define NGX_HTTP_SGTM_REDIS_RETRY_SOON  100


static void ngx_http_sgtm_redis_tend(ngx_http_sgtm_redis_owner_t *o);
static ngx_int_t ngx_http_sgtm_redis_judge(ngx_http_sgtm_redis_owner_t *o);
static ngx_int_t ngx_http_sgtm_redis_judge_older(
    ngx_http_sgtm_redis_owner_t *o);
static ngx_int_t ngx_http_sgtm_redis_begin(ngx_http_sgtm_redis_owner_t *o,
    ngx_uint_t full);
static ngx_uint_t ngx_http_sgtm_redis_retry(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_end(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_sweep(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_finish(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_stop(ngx_http_sgtm_redis_owner_t *o);


void
ngx_http_sgtm_redis_check(ngx_http_sgtm_redis_owner_t *o)
{
    if (o->command.ac == NULL || ngx_http_sgtm_redis_ended(o)) {
        return;
    }

    if (o->walk.phase != NGX_HTTP_SGTM_REDIS_IDLE) {
        o->walk.again = 1;
        return;
    }

    ngx_http_sgtm_redis_tend(o);
}


static void
ngx_http_sgtm_redis_tend(ngx_http_sgtm_redis_owner_t *o)
{
    switch (o->sink->tend(o->sink_data)) {

    case NGX_OK:
        o->walk.pos = o->stat->version;
        o->walk.begun = 0;

        ngx_http_sgtm_redis_ask(o);
        return;

    case NGX_AGAIN:
        o->walk.phase = NGX_HTTP_SGTM_REDIS_TEND;
        ngx_post_event(&o->step, &ngx_posted_next_events);
        return;

    default: /* NGX_BUSY */
        ngx_http_sgtm_redis_stop(o);
        return;
    }
}


void
ngx_http_sgtm_redis_step(ngx_event_t *ev)
{
    uint64_t                      time;
    ngx_http_sgtm_redis_owner_t  *o;

    o = ngx_http_sgtm_redis_owner(ev);

    if (ngx_http_sgtm_redis_ended(o)) {
        return;
    }

    time = ngx_http_sgtm_redis_clock();

    switch (o->walk.phase) {

    case NGX_HTTP_SGTM_REDIS_TEND:
        ngx_http_sgtm_redis_tend(o);
        break;

    case NGX_HTTP_SGTM_REDIS_SWEEP:
        ngx_http_sgtm_redis_sweep(o);
        break;

    default:
        break;
    }

    ngx_http_sgtm_redis_sliced(o, ngx_http_sgtm_redis_clock() - time);
}


void
ngx_http_sgtm_redis_paged(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;

    if (ngx_http_sgtm_redis_ended(o)) {
        ngx_http_sgtm_redis_link_end(o);
        return;
    }

    ngx_http_sgtm_redis_answered(o);

    switch (ngx_http_sgtm_redis_judge(o)) {

    case NGX_OK:

        if (!w->begun) {
            (void) ngx_http_sgtm_redis_begin(o, 0);
        }

        w->phase = NGX_HTTP_SGTM_REDIS_RECORDS;
        ngx_http_sgtm_redis_records(o);
        return;

    case NGX_AGAIN:

        if (ngx_http_sgtm_redis_begin(o, 1) == NGX_OK) {
            ngx_http_sgtm_redis_ask(o);
            return;
        }

        /* fall through */

    default: /* NGX_DECLINED */

        ngx_http_sgtm_redis_stop(o);
        return;
    }
}


/* NGX_OK: on with the page; NGX_AGAIN: from the start; NGX_DECLINED: not now */

static ngx_int_t
ngx_http_sgtm_redis_judge(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_stat_t  *stat;
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;
    stat = o->stat;

    if (w->version == 0) {
        o->is_behind = 0;

        stat->tenants = o->sink->count(o->sink_data);

        ngx_http_sgtm_redis_set_state(o, (stat->version || stat->tenants)
                                         ? NGX_HTTP_SGTM_REDIS_WIPED
                                         : NGX_HTTP_SGTM_REDIS_EMPTY);
        return NGX_DECLINED;
    }

    if (w->begun) {

        if (w->version < w->known) {
            return NGX_DECLINED;
        }

        return (w->full || w->base <= w->known) ? NGX_OK : NGX_AGAIN;
    }

    if (w->version < stat->version) {
        return ngx_http_sgtm_redis_judge_older(o);
    }

    o->is_behind = 0;

    return (stat->version == 0 || o->refill || w->base > stat->version)
           ? NGX_AGAIN : NGX_OK;
}


/* a restored backup, or a replica that became the master, is what there is */

static ngx_int_t
ngx_http_sgtm_redis_judge_older(ngx_http_sgtm_redis_owner_t *o)
{
    if (!o->is_behind) {
        o->is_behind = 1;
        o->behind = ngx_current_msec;
    }

    ngx_http_sgtm_redis_set_state(o, NGX_HTTP_SGTM_REDIS_BEHIND);

    return (ngx_current_msec - o->behind < NGX_HTTP_SGTM_REDIS_GRACE)
           ? NGX_DECLINED : NGX_AGAIN;
}


static ngx_int_t
ngx_http_sgtm_redis_begin(ngx_http_sgtm_redis_owner_t *o, ngx_uint_t full)
{
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;

    w->begun = 1;
    w->full = full;
    w->known = full ? w->version : o->stat->version;
    w->sweep = 0;
    w->trading = 0;
    w->lines = 0;
    w->changed = 0;
    w->missing = 0;
    w->complaints = 0;

    if (!full) {
        return NGX_OK;
    }

    if (o->sink->begin(o->sink_data, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    w->pos = 0;
    o->retry.n = 0;
    o->overflow = 0;

    if (o->stat->state != NGX_HTTP_SGTM_REDIS_WIPED) {
        ngx_http_sgtm_redis_set_state(o, NGX_HTTP_SGTM_REDIS_FILLING);
    }

    return NGX_OK;
}


void
ngx_http_sgtm_redis_page_done(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;

    if (w->retrying) {
        w->retrying = 0;
        o->retried = ngx_current_msec;

        /* there is room again, perhaps for those that nobody remembers */

        if (o->overflow && o->retry.n == 0) {
            o->refill = 1;
        }

        ngx_http_sgtm_redis_end(o);
        return;
    }

    w->lines += w->page.n;

    if (w->page.n) {
        w->pos = w->page.elts[w->page.n - 1].version;
    }

    if (!w->last) {
        ngx_http_sgtm_redis_ask(o);
        return;
    }

    if (!ngx_http_sgtm_redis_retry(o)) {
        ngx_http_sgtm_redis_end(o);
    }
}


/* asks for what could not be put; returns 0 if there is nothing to do */

static ngx_uint_t
ngx_http_sgtm_redis_retry(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_uint_t                   i;
    ngx_msec_t                   ago;
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;
    ago = ngx_current_msec - o->retried;

    if (o->retry.n == 0
        || (!w->full
            && ago < (w->changed ? NGX_HTTP_SGTM_REDIS_RETRY_SOON
                                 : NGX_HTTP_SGTM_REDIS_RETRY)))
    {
        return 0;
    }

    /* two may have exchanged their hosts, and each stand in the other's way */

    if (!w->full && !o->traded && o->retry.n > 1) {

        for (i = 0; i < o->retry.n; i++) {
            o->trade[i].data = w->page.elts[i].id;
            o->trade[i].len = o->retry.elts[i].len;
        }

        w->trading = (o->sink->begin(o->sink_data, o->trade, o->retry.n)
                      == NGX_OK);
        o->traded = w->trading;
    }

    w->page = o->retry;
    w->retrying = 1;

    ngx_http_sgtm_redis_rewind(w);

    o->retry.n = 0;

    ngx_http_sgtm_redis_records(o);

    return 1;
}


/* all that the log has is known; what it has not is gone if it is complete */

static void
ngx_http_sgtm_redis_end(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;

    w->phase = NGX_HTTP_SGTM_REDIS_SWEEP;

    if (w->trading) {
        ngx_http_sgtm_redis_sweep(o);
        return;
    }

    if (!w->full) {
        ngx_http_sgtm_redis_finish(o);
        return;
    }

    w->sweep = (w->base != 0 || o->stat->foreign);

    /* who empties the log on purpose says so with its last change */

    if (w->sweep && w->lines == 0 && w->base != w->version
        && o->sink->count(o->sink_data))
    {
        ngx_http_sgtm_redis_set_state(o, NGX_HTTP_SGTM_REDIS_WIPED);
        ngx_http_sgtm_redis_stop(o);
        return;
    }

    ngx_http_sgtm_redis_sweep(o);
}


static void
ngx_http_sgtm_redis_sweep(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_int_t   rc;
    ngx_uint_t  removed;

    removed = 0;
    rc = o->sink->end(o->sink_data, o->walk.sweep, &removed);

    o->stat->changes += removed;
    o->walk.changed += removed;

    switch (rc) {

    case NGX_OK:
        ngx_http_sgtm_redis_finish(o);
        return;

    case NGX_AGAIN:
        ngx_post_event(&o->step, &ngx_posted_next_events);
        return;

    default: /* NGX_DECLINED: a new generation has begun */
        ngx_http_sgtm_redis_stop(o);
        return;
    }
}


static void
ngx_http_sgtm_redis_finish(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_stat_t  *stat;
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;
    stat = o->stat;

    ngx_http_sgtm_redis_sliced(o, o->command.longest);

    stat->version = ngx_max(w->version, w->pos);
    stat->unsettled = o->retry.n + o->overflow;
    stat->tenants = o->sink->count(o->sink_data);

    if (w->full) {
        stat->loads++;
        stat->missing = 0;

        o->refill = 0;
        stat->foreign = 0;
        o->is_behind = 0;
    }

    stat->missing += w->missing;

    if (w->missing) {
        ngx_log_error(NGX_LOG_WARN, o->log, 0,
                      "redis \"%V\" has no records of %ui tenants, which stay "
                      "as they are", &ngx_http_sgtm_redis_addr(o)->name,
                      w->missing);
    }

    if (w->changed) {
        o->dirty = 1;
        o->traded = w->trading;
    }

    w->phase = NGX_HTTP_SGTM_REDIS_IDLE;
    w->begun = 0;

    ngx_http_sgtm_redis_set_state(o, NGX_HTTP_SGTM_REDIS_SYNCED);

    if (w->again || o->refill) {
        w->again = 0;
        ngx_http_sgtm_redis_check(o);
    }
}


/* the poll will begin again */

static void
ngx_http_sgtm_redis_stop(ngx_http_sgtm_redis_owner_t *o)
{
    o->walk.phase = NGX_HTTP_SGTM_REDIS_IDLE;
    o->walk.begun = 0;
    o->walk.again = 0;
}


void
ngx_http_sgtm_redis_abort(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;

    /* hosts may be left with two tenants until a pass ends */

    if (w->begun && w->trading) {
        o->refill = 1;
    }

    if (w->retrying) {
        w->retrying = 0;

        for ( /* void */ ; w->next < w->page.n; w->next++) {
            ngx_http_sgtm_redis_put_off(o, &w->page.elts[w->next]);
        }
    }

    if (o->step.posted) {
        ngx_delete_posted_event(&o->step);
    }

    ngx_http_sgtm_redis_stop(o);
    ngx_http_sgtm_redis_share_lost(o);
}
