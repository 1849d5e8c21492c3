
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_courier.h"
#include "ngx_http_sgtm_handover.h"
#include "ngx_http_sgtm_ledger.h"


/* milliseconds */

#define NGX_HTTP_SGTM_COURIER_IDLE     50      /* from look to look */
#define NGX_HTTP_SGTM_COURIER_BUSY     4       /* and with hits in memory */
#define NGX_HTTP_SGTM_COURIER_LIST     2000    /* others replay dead letters */
#define NGX_HTTP_SGTM_COURIER_SHOW     500
#define NGX_HTTP_SGTM_COURIER_HOLD     1000    /* after a failure */
#define NGX_HTTP_SGTM_COURIER_LOST     250     /* while another one is it */

/* so many outcomes are worth an errand of their own */
#define NGX_HTTP_SGTM_COURIER_GROUP    64

/* bytes of records: of all lanes, and of one lane at a time */
#define NGX_HTTP_SGTM_COURIER_MEMORY   (64 * 1024 * 1024)
#define NGX_HTTP_SGTM_COURIER_TAKE     (1024 * 1024)

static void ngx_http_sgtm_courier_timer(ngx_event_t *ev);
static void ngx_http_sgtm_courier_send(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_lane_t *lane);
static void ngx_http_sgtm_courier_clock(ngx_http_sgtm_courier_ctx_t *courier,
    int64_t now);
static void ngx_http_sgtm_courier_plan(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e);
static ngx_uint_t ngx_http_sgtm_courier_plan_take(ngx_http_sgtm_lane_t *lane,
    ngx_http_sgtm_errand_t *e);
static void ngx_http_sgtm_courier_load(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e);
static void ngx_http_sgtm_courier_move(ngx_queue_t *to, ngx_queue_t *from);
static void ngx_http_sgtm_courier_back(ngx_http_sgtm_errand_t *e);
static void ngx_http_sgtm_courier_lost(ngx_http_sgtm_courier_ctx_t *courier);
static void ngx_http_sgtm_courier_taken(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_take_t *t, ngx_uint_t lost);


static ngx_http_sgtm_courier_ctx_t  *ngx_http_sgtm_courier;


/*
 * The first worker is the courier.  One of an earlier generation, or of
 * another master, may be so still: the file's lease tells.
 */

ngx_int_t
ngx_http_sgtm_courier_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_main_conf_t    *smcf;
    ngx_http_sgtm_courier_ctx_t  *courier;

    ngx_http_sgtm_courier = NULL;

    smcf = ngx_http_sgtm_spool_process(cycle);

    if (smcf == NULL || ngx_worker != 0) {
        return NGX_OK;
    }

    courier = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_courier_ctx_t));
    if (courier == NULL) {
        return NGX_ERROR;
    }

    courier->errand.done = ngx_http_sgtm_courier_back;

    if (ngx_http_sgtm_errand_init(&courier->errand, cycle, smcf) != NGX_OK) {
        return NGX_ERROR;
    }

    courier->conf = smcf;
    courier->stat = ngx_http_sgtm_spool_stat(smcf);
    courier->show = &ngx_http_sgtm_zone(smcf)->courier;
    courier->log = cycle->log;

    ngx_rbtree_init(&courier->lanes, &courier->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&courier->active);
    ngx_queue_init(&courier->outcomes);
    ngx_queue_init(&courier->settling);

    courier->generation = 1;

    courier->dummy.fd = (ngx_socket_t) -1;

    courier->timer.handler = ngx_http_sgtm_courier_timer;
    courier->timer.data = &courier->dummy;
    courier->timer.log = cycle->log;
    courier->timer.cancelable = 1;

    if (ngx_http_sgtm_handover_init(courier) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sgtm_courier = courier;

    ngx_http_sgtm_ledger_learn(courier);

    ngx_add_timer(&courier->timer, NGX_HTTP_SGTM_COURIER_IDLE);

    return NGX_OK;
}


static void
ngx_http_sgtm_courier_timer(ngx_event_t *ev)
{
    int64_t                       now;
    ngx_queue_t                  *q, *next;
    ngx_http_sgtm_lane_t         *lane;
    ngx_http_sgtm_courier_ctx_t  *courier;

    courier = ngx_http_sgtm_courier;
    now = ngx_http_sgtm_lane_now();

    for (q = ngx_queue_head(&courier->active);
         q != ngx_queue_sentinel(&courier->active);
         q = next)
    {
        next = ngx_queue_next(q);
        lane = ngx_queue_data(q, ngx_http_sgtm_lane_t, turn);

        ngx_http_sgtm_courier_send(courier, lane);

        if (lane->hits == 0 && !lane->look && lane->again == 0) {
            ngx_queue_remove(q);
            lane->active = 0;
            courier->nactive--;
        }
    }

    ngx_http_sgtm_courier_go(courier);

    if (!courier->quitting && now >= courier->shown) {
        courier->shown = now + NGX_HTTP_SGTM_COURIER_SHOW;
        ngx_http_sgtm_ledger_show(courier);
    }

    ngx_add_timer(ev, ngx_http_sgtm_lane_sum.hits && !courier->quitting
                      ? NGX_HTTP_SGTM_COURIER_BUSY
                      : NGX_HTTP_SGTM_COURIER_IDLE);
}


void
ngx_http_sgtm_courier_go(ngx_http_sgtm_courier_ctx_t *courier)
{
    int64_t                  now;
    ngx_uint_t               renew;
    ngx_http_sgtm_errand_t  *e;

    now = ngx_http_sgtm_lane_now();

    ngx_http_sgtm_courier_clock(courier, now);

    if (courier->busy || now < courier->hold) {
        return;
    }

    e = &courier->errand;

    ngx_http_sgtm_errand_reset(e);

    e->now = now;
    e->until = now + NGX_HTTP_SGTM_COURIER_LEASE;
    e->memory = (ngx_http_sgtm_lane_sum.hits != 0);

    if (!courier->quitting) {
        ngx_http_sgtm_courier_plan(courier, e);

    } else {
        ngx_http_sgtm_handover_plan(courier, e);
    }

    /* nobody needs the lease while there is nothing to deliver */

    renew = (courier->until - now <= NGX_HTTP_SGTM_COURIER_LEASE
                                     - NGX_HTTP_SGTM_COURIER_RENEW);

    e->lease = renew && !e->parted && (e->memory || e->ntakes);

    if (!e->lease && !e->list && !e->release && e->ntakes == 0
        && e->left == NULL && ngx_queue_empty(&courier->outcomes))
    {
        return;
    }

    ngx_http_sgtm_courier_load(courier, e);

    if (ngx_http_sgtm_errand_post(e) == NGX_OK) {
        courier->busy = 1;
    }
}


/*
 * A clock that was set back: nothing waits until it is as late again, and the
 * lease is to end by the new time.
 */

static void
ngx_http_sgtm_courier_clock(ngx_http_sgtm_courier_ctx_t *courier, int64_t now)
{
    if (now < courier->clock) {
        courier->hold = 0;
        courier->listed = 0;
        courier->shown = 0;
        courier->until = ngx_min(courier->until, now + 1);
    }

    courier->clock = now;
}


static void
ngx_http_sgtm_courier_plan(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e)
{
    size_t                 size;
    ngx_uint_t             idle, soon;
    ngx_queue_t           *q, *next, *last;
    ngx_atomic_uint_t      puts;
    ngx_http_sgtm_lane_t  *lane;

    /*
     * Hits of those that have some in the file already are moved there when
     * these are gone; of the others nobody knows what the journal has.
     */

    puts = courier->stat->puts;
    idle = (courier->nactive < courier->conf->ntargets);
    soon = (puts != courier->puts || (idle && courier->more));

    if (e->now - courier->listed >= (soon ? NGX_HTTP_SGTM_COURIER_IDLE
                                          : NGX_HTTP_SGTM_COURIER_LIST))
    {
        e->fetch = (idle || !soon);
        e->list = 1;

        courier->listed = e->now;

        if (e->fetch) {
            courier->puts = puts;
        }
    }

    size = ngx_http_sgtm_lane_sum.size;
    last = ngx_queue_last(&courier->active);

    for (q = ngx_queue_head(&courier->active);
         q != ngx_queue_sentinel(&courier->active);
         q = next)
    {
        if (e->ntakes == NGX_HTTP_SGTM_ERRAND_TAKES
            || size >= NGX_HTTP_SGTM_COURIER_MEMORY)
        {
            break;
        }

        next = (q == last) ? ngx_queue_sentinel(&courier->active)
                           : ngx_queue_next(q);

        lane = ngx_queue_data(q, ngx_http_sgtm_lane_t, turn);

        if (ngx_http_sgtm_courier_plan_take(lane, e)) {

            /* the others are before it the next time */

            size += NGX_HTTP_SGTM_COURIER_TAKE;

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&courier->active, q);
        }
    }
}


static ngx_uint_t
ngx_http_sgtm_courier_plan_take(ngx_http_sgtm_lane_t *lane,
    ngx_http_sgtm_errand_t *e)
{
    ngx_uint_t                    room, probe;
    ngx_http_sgtm_errand_take_t  *t;

    if (lane->target == NULL || (!lane->look && lane->again == 0)) {
        return 0;
    }

    room = ngx_http_sgtm_lane_room(lane, &probe);

    if (room == 0
        || (!lane->look && !lane->put_off && lane->again > e->now))
    {
        return 0;
    }

    t = &e->takes[e->ntakes++];

    ngx_memzero(t, sizeof(ngx_http_sgtm_errand_take_t));

    t->lane = lane;
    t->probe = probe;

    /* what an outage has put off need not wait any longer */

    t->put_off = lane->put_off;
    lane->put_off = 0;

    t->take.instance = e->instance;
    t->take.target = lane->number;
    t->take.now = e->now;
    t->take.limit = room;
    t->take.size = NGX_HTTP_SGTM_COURIER_TAKE;

    /*
     * with none in memory, what was released is to be seen again; not while
     * there is more to look at, or all that is put off hides what is not
     */

    t->take.after = (lane->hits == lane->ended && !lane->more) ? 0
                                                               : lane->after;

    return 1;
}


/* all outcomes there are go along */

static void
ngx_http_sgtm_courier_load(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e)
{
    ngx_queue_t           *q;
    sgtm_outcome_t       **last;
    ngx_http_sgtm_hit_t   *hit;

    last = &e->outcomes;

    for (q = ngx_queue_head(&courier->outcomes);
         q != ngx_queue_sentinel(&courier->outcomes);
         q = ngx_queue_next(q))
    {
        hit = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);

        *last = &hit->outcome;
        last = &hit->outcome.next;
    }

    *last = e->left;

    ngx_http_sgtm_courier_move(&courier->settling, &courier->outcomes);

    courier->noutcomes = 0;
}


static void
ngx_http_sgtm_courier_move(ngx_queue_t *to, ngx_queue_t *from)
{
    if (!ngx_queue_empty(from)) {
        ngx_queue_add(to, from);
        ngx_queue_init(from);
    }
}


/* back from an errand */

static void
ngx_http_sgtm_courier_back(ngx_http_sgtm_errand_t *e)
{
    ngx_uint_t                    i, lost;
    ngx_http_sgtm_courier_ctx_t  *courier;

    courier = ngx_http_sgtm_courier;

    courier->busy = 0;

    if (e->leased) {
        courier->until = e->until;
    }

    if (e->settled) {
        ngx_http_sgtm_ledger_settled(courier);
    }

    lost = (e->rc == SGTM_STORE_LOST || e->rc == SGTM_STORE_DAMAGED);

    if (lost) {
        ngx_http_sgtm_courier_lost(courier);

    } else {

        /* what could not be settled is tried again, with what came since */

        ngx_http_sgtm_courier_move(&courier->settling, &courier->outcomes);
        ngx_http_sgtm_courier_move(&courier->outcomes, &courier->settling);
    }

    if (e->rc != SGTM_STORE_OK) {
        courier->hold = ngx_http_sgtm_lane_now()
                        + (lost ? NGX_HTTP_SGTM_COURIER_LOST
                                : NGX_HTTP_SGTM_COURIER_HOLD);
    }

    if (courier->quitting && e->rc == SGTM_STORE_OK) {
        ngx_http_sgtm_handover_done(courier, e);
    }

    if (e->fetched || e->dry) {
        courier->more = !e->dry;
    }

    if (e->listed) {
        ngx_http_sgtm_ledger_list(courier, e);
    }

    for (i = 0; i < e->ntakes; i++) {
        e->takes[i].lane->put_off |= e->takes[i].put_off;

        if (e->takes[i].done) {
            ngx_http_sgtm_courier_taken(courier, &e->takes[i], lost);
        }
    }

    if (e->listed || courier->quitting) {
        ngx_http_sgtm_courier_go(courier);
    }

    if (courier->quitting) {
        ngx_http_sgtm_handover_leave(courier);
    }
}


/*
 * Another process is the courier, or the file is a new one: what was taken is
 * not ours any more, and of what is in flight nothing will be settled.
 */

static void
ngx_http_sgtm_courier_lost(ngx_http_sgtm_courier_ctx_t *courier)
{
    ngx_queue_t           *q;
    ngx_http_sgtm_lane_t  *lane;

    courier->generation++;
    courier->until = 0;
    courier->listed = 0;
    courier->noutcomes = 0;

    ngx_http_sgtm_ledger_forget(&courier->settling);
    ngx_http_sgtm_ledger_forget(&courier->outcomes);

    for (q = ngx_queue_head(&courier->active);
         q != ngx_queue_sentinel(&courier->active);
         q = ngx_queue_next(q))
    {
        lane = ngx_queue_data(q, ngx_http_sgtm_lane_t, turn);

        ngx_http_sgtm_lane_drop(lane);

        lane->look = 0;
        lane->more = 0;
        lane->after = 0;
        lane->again = 0;
        lane->put_off = 1;
    }
}


static void
ngx_http_sgtm_courier_taken(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_take_t *t, ngx_uint_t lost)
{
    sgtm_record_t         *record, *next;
    ngx_http_sgtm_lane_t  *lane;

    lane = t->lane;

    if (lost || courier->quitting) {

        for (record = t->take.list; record; record = next) {
            next = record->next;
            free(record);
        }

        return;
    }

    lane->look = (t->take.list != NULL);
    lane->more = (t->take.list == NULL && t->take.again
                  && t->take.again <= t->take.now);
    lane->after = t->take.after;

    /* one that came back meanwhile may be due before all in the file */

    if (lane->again <= t->take.now
        || (t->take.again && t->take.again < lane->again))
    {
        lane->again = t->take.again;
    }

    for (record = t->take.list; record; record = next) {
        next = record->next;

        if (ngx_http_sgtm_lane_add(lane, record, courier->generation)
            != NGX_OK)
        {
            /* it is in the file, for the courier after this one */

            ngx_log_error(NGX_LOG_ALERT, courier->log, 0,
                          "courier \"%V\": no memory for a hit",
                          &lane->node.str);
        }
    }

    ngx_http_sgtm_courier_next(lane);
}


void
ngx_http_sgtm_courier_outcome(ngx_http_sgtm_hit_t *hit)
{
    ngx_http_sgtm_courier_ctx_t  *courier;

    courier = ngx_http_sgtm_courier;

    if (hit->generation != courier->generation) {
        ngx_http_sgtm_hit_free(hit);
        return;
    }

    ngx_queue_insert_tail(&courier->outcomes, &hit->queue);
    courier->noutcomes++;

    if (courier->quitting) {
        ngx_http_sgtm_handover_stay(courier);
    }
}


/* after the lease's end, as when a worker was stopped, others may send it */

static void
ngx_http_sgtm_courier_send(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_lane_t *lane)
{
    ngx_uint_t  state;

    if (courier->quitting || ngx_http_sgtm_lane_now() >= courier->until) {
        return;
    }

    state = lane->circuit.state;

    ngx_http_sgtm_lane_send(lane);

    /* a courier that begins now is to know of a probe, and how it ended */

    if (lane->circuit.state != state) {
        ngx_http_sgtm_ledger_show(courier);
    }
}


void
ngx_http_sgtm_courier_next(ngx_http_sgtm_lane_t *lane)
{
    ngx_http_sgtm_courier_ctx_t  *courier;

    courier = ngx_http_sgtm_courier;

    if (lane->circuit.state != NGX_HTTP_SGTM_CIRCUIT_CLOSED
        && !courier->quitting)
    {
        ngx_http_sgtm_ledger_show(courier);
    }

    ngx_http_sgtm_courier_send(courier, lane);

    /* a few outcomes wait for the timer, so that an errand is worth its way */

    if (!courier->busy
        && (courier->quitting
            || lane->hits == lane->ended
            || courier->noutcomes >= NGX_HTTP_SGTM_COURIER_GROUP))
    {
        ngx_http_sgtm_courier_go(courier);
    }
}
