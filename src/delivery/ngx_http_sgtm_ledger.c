
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ops/ngx_http_sgtm_meter.h"
#include "ngx_http_sgtm_ledger.h"


static ngx_http_sgtm_lane_t *ngx_http_sgtm_ledger_lane(
    ngx_http_sgtm_courier_ctx_t *courier, ngx_str_t *name);
static void ngx_http_sgtm_ledger_learn_lane(
    ngx_http_sgtm_courier_ctx_t *courier, ngx_http_sgtm_target_stat_t *ts);
static void ngx_http_sgtm_ledger_show_lane(ngx_http_sgtm_target_stat_t *ts,
    ngx_http_sgtm_lane_t *lane);


void
ngx_http_sgtm_ledger_settled(ngx_http_sgtm_courier_ctx_t *courier)
{
    ngx_queue_t                 *q;
    ngx_http_sgtm_hit_t         *hit;
    ngx_http_sgtm_spool_stat_t  *stat;

    stat = courier->stat;

    while (!ngx_queue_empty(&courier->settling)) {

        q = ngx_queue_head(&courier->settling);
        hit = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);
        ngx_queue_remove(q);

        switch (hit->outcome.kind) {

        case SGTM_OUTCOME_DELIVERED:
            (void) ngx_atomic_fetch_add(&stat->delivered, 1);
            (void) ngx_atomic_fetch_add(&stat->waiting, -1);

            ngx_http_sgtm_meter_later(&hit->record->tenant, hit->record->time,
                                      hit->record->events,
                                      SGTM_METER_FORWARDED);
            break;

        case SGTM_OUTCOME_RETRY:
            (void) ngx_atomic_fetch_add(&stat->retried, 1);
            break;

        case SGTM_OUTCOME_DEAD:
            (void) ngx_atomic_fetch_add(&stat->died, 1);
            (void) ngx_atomic_fetch_add(&stat->dead, 1);
            (void) ngx_atomic_fetch_add(&stat->waiting, -1);
            break;
        }

        ngx_http_sgtm_hit_free(hit);
    }

    if (stat->waiting == 0) {
        stat->oldest = 0;
    }
}


void
ngx_http_sgtm_ledger_forget(ngx_queue_t *hits)
{
    ngx_queue_t          *q;
    ngx_http_sgtm_hit_t  *hit;

    while (!ngx_queue_empty(hits)) {
        q = ngx_queue_head(hits);
        hit = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);

        ngx_queue_remove(q);
        ngx_http_sgtm_hit_free(hit);
    }
}


/* which targets have hits in the file */

void
ngx_http_sgtm_ledger_list(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e)
{
    size_t                 i;
    ngx_str_t              name;
    sgtm_target_t         *targets;
    ngx_http_sgtm_lane_t  *lane;

    courier->orphans = 0;

    if (e->ntargets == 0 && e->fetched && e->dry
        && courier->puts == courier->stat->puts)
    {
        /* sooner than it is counted */

        courier->stat->waiting = 0;
        courier->stat->oldest = 0;
    }

    for (i = 0; i < e->ntargets; i++) {

        name.data = (u_char *) e->targets[i].name;
        name.len = ngx_strlen(name.data);

        lane = ngx_http_sgtm_ledger_lane(courier, &name);

        if (lane == NULL) {
            continue;
        }

        if (lane->target == NULL) {
            courier->orphans++;
            continue;
        }

        lane->number = e->targets[i].number;
        lane->look = 1;

        if (!lane->active) {
            lane->active = 1;
            courier->nactive++;
            ngx_queue_insert_tail(&courier->active, &lane->turn);
        }
    }

    if (e->ntargets < e->size) {
        return;
    }

    /* there may be more of them */

    targets = ngx_alloc(2 * e->size * sizeof(sgtm_target_t), courier->log);

    if (targets) {
        ngx_free(e->targets);

        e->targets = targets;
        e->size *= 2;

        courier->listed = 0;
    }
}


static ngx_http_sgtm_lane_t *
ngx_http_sgtm_ledger_lane(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_str_t *name)
{
    uint32_t                 hash;
    ngx_http_sgtm_lane_t    *lane;
    ngx_http_sgtm_target_t  *target;

    hash = ngx_crc32_long(name->data, name->len);

    lane = (ngx_http_sgtm_lane_t *)
           ngx_str_rbtree_lookup(&courier->lanes, name, hash);

    if (lane) {
        return lane;
    }

    target = (ngx_http_sgtm_target_t *)
             ngx_str_rbtree_lookup(&courier->conf->targets, name, hash);

    lane = ngx_http_sgtm_lane_create(name, target);

    if (lane == NULL) {
        return NULL;
    }

    ngx_rbtree_insert(&courier->lanes, &lane->node.node);

    if (target == NULL) {
        ngx_log_error(NGX_LOG_WARN, courier->log, 0,
                      "hits in the spool wait for \"%V\", which is no "
                      "server with \"sgtm_courier\" any more", name);
    }

    return lane;
}


void
ngx_http_sgtm_ledger_learn(ngx_http_sgtm_courier_ctx_t *courier)
{
    ngx_uint_t                     i;
    ngx_slab_pool_t               *shpool;
    ngx_http_sgtm_courier_stat_t  *show;

    show = courier->show;
    shpool = (ngx_slab_pool_t *) courier->conf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    for (i = 0; i < show->ntargets; i++) {
        if (show->targets[i].state != NGX_HTTP_SGTM_CIRCUIT_CLOSED) {
            ngx_http_sgtm_ledger_learn_lane(courier, &show->targets[i]);
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


static void
ngx_http_sgtm_ledger_learn_lane(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_target_stat_t *ts)
{
    ngx_str_t              name;
    ngx_http_sgtm_lane_t  *lane;

    name.data = ts->name;
    name.len = ngx_strlen(ts->name);

    /* not of one that is gone, or whose name did not fit */

    if (ngx_str_rbtree_lookup(&courier->conf->targets, &name,
                              ngx_crc32_long(name.data, name.len))
        == NULL)
    {
        return;
    }

    lane = ngx_http_sgtm_ledger_lane(courier, &name);

    if (lane) {
        ngx_http_sgtm_circuit_resume(&lane->circuit, ts->state, ts->wait,
                                     ts->next);
        (void) ngx_cpystrn(lane->error, ts->error,
                           NGX_HTTP_SGTM_COURIER_ERROR);
    }
}


void
ngx_http_sgtm_ledger_show(ngx_http_sgtm_courier_ctx_t *courier)
{
    ngx_slab_pool_t               *shpool;
    ngx_rbtree_node_t             *node;
    ngx_http_sgtm_courier_stat_t  *show;

    show = courier->show;
    shpool = (ngx_slab_pool_t *) courier->conf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    show->orphans = courier->orphans;
    show->ntargets = 0;

    if (courier->lanes.root != &courier->sentinel) {

        for (node = ngx_rbtree_min(courier->lanes.root, &courier->sentinel);
             node && show->ntargets < NGX_HTTP_SGTM_COURIER_TARGETS;
             node = ngx_rbtree_next(&courier->lanes, node))
        {
            ngx_http_sgtm_ledger_show_lane(
                                         &show->targets[show->ntargets++],
                                         (ngx_http_sgtm_lane_t *) node);
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


static void
ngx_http_sgtm_ledger_show_lane(ngx_http_sgtm_target_stat_t *ts,
    ngx_http_sgtm_lane_t *lane)
{
    ts->state = lane->circuit.state;
    ts->in_flight = lane->in_flight;
    ts->memory = lane->hits - lane->ended;
    ts->orphan = (lane->target == NULL);
    ts->wait = lane->circuit.wait;
    ts->next = lane->circuit.next;

    (void) ngx_cpystrn(ts->name, lane->node.str.data,
                       ngx_min(lane->node.str.len + 1,
                               NGX_HTTP_SGTM_COURIER_NAME));
    (void) ngx_cpystrn(ts->error, lane->error, NGX_HTTP_SGTM_COURIER_ERROR);
}
