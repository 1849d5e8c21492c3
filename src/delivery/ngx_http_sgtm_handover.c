
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_handover.h"


/* milliseconds: most hits under way have their answer by then */
#define NGX_HTTP_SGTM_HANDOVER_PART  500

/* how long a worker without anything else to do tries to settle */
#define NGX_HTTP_SGTM_HANDOVER_LAST  5000


static void ngx_http_sgtm_handover_quit(ngx_event_t *ev);
static void ngx_http_sgtm_handover_last(ngx_event_t *ev);
static ngx_uint_t ngx_http_sgtm_handover_time(
    ngx_http_sgtm_courier_ctx_t *courier);
static void ngx_http_sgtm_handover_left(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e);


ngx_int_t
ngx_http_sgtm_handover_init(ngx_http_sgtm_courier_ctx_t *courier)
{
    ngx_connection_t  *c;

    courier->last.handler = ngx_http_sgtm_handover_last;
    courier->last.data = &courier->dummy;
    courier->last.log = courier->log;

    /*
     * nginx tells idle connections that the worker is to end, and nobody else:
     * one of nobody's hears it in time to let go of the lease
     */

    c = ngx_http_sgtm_detached_null();
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = courier;
    c->idle = 1;
    c->log = courier->log;
    c->read->log = courier->log;
    c->read->handler = ngx_http_sgtm_handover_quit;

    return NGX_OK;
}


static void
ngx_http_sgtm_handover_quit(ngx_event_t *ev)
{
    ngx_queue_t                  *q;
    ngx_connection_t             *c;
    ngx_http_sgtm_lane_t         *lane;
    ngx_http_sgtm_courier_ctx_t  *courier;

    c = ev->data;
    courier = c->data;

    if (!c->close) {
        return;
    }

    ngx_close_connection(c);

    courier->quitting = 1;
    courier->hold = 0;
    courier->part = ngx_current_msec + NGX_HTTP_SGTM_HANDOVER_PART;

    /* what is under way ends; the rest is in the file, for the next one */

    for (q = ngx_queue_head(&courier->active);
         q != ngx_queue_sentinel(&courier->active);
         q = ngx_queue_next(q))
    {
        lane = ngx_queue_data(q, ngx_http_sgtm_lane_t, turn);
        ngx_http_sgtm_lane_drop(lane);
    }

    ngx_http_sgtm_handover_stay(courier);
    ngx_http_sgtm_courier_go(courier);
    ngx_http_sgtm_handover_leave(courier);
}


/* what is posted now would come too late for a worker without timers */

void
ngx_http_sgtm_handover_stay(ngx_http_sgtm_courier_ctx_t *courier)
{
    ngx_add_timer(&courier->last, NGX_HTTP_SGTM_HANDOVER_LAST);
}


void
ngx_http_sgtm_handover_leave(ngx_http_sgtm_courier_ctx_t *courier)
{
    if (!courier->busy
        && courier->until == 0
        && ngx_http_sgtm_lane_sum.in_flight == 0
        && ngx_queue_empty(&courier->outcomes)
        && courier->last.timer_set)
    {
        ngx_del_timer(&courier->last);
    }
}


static void
ngx_http_sgtm_handover_last(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0, "sgtm courier gives up");
}


void
ngx_http_sgtm_handover_plan(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e)
{
    if (courier->parted) {
        e->parted = 1;

        if (ngx_http_sgtm_handover_time(courier)) {
            ngx_http_sgtm_handover_left(courier, e);
        }

        return;
    }

    if (courier->until == 0) {
        return;
    }

    if (ngx_http_sgtm_lane_sum.in_flight == 0
        || ngx_http_sgtm_handover_time(courier))
    {
        ngx_http_sgtm_handover_left(courier, e);
        e->release = 1;
    }
}


static ngx_uint_t
ngx_http_sgtm_handover_time(ngx_http_sgtm_courier_ctx_t *courier)
{
    return (ngx_msec_int_t) (ngx_current_msec - courier->part) >= 0;
}


/*
 * The hits under way get a time of their own that is as far off as the lease's
 * end would be, and is put off in time, again and again, as long as this worker
 * lives: nobody else takes them before it.  nginx's timeouts would not do for
 * that, as they are from one read to the next.
 */

static void
ngx_http_sgtm_handover_left(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e)
{
    ngx_queue_t           *q, *f;
    sgtm_outcome_t       **last;
    ngx_http_sgtm_hit_t   *hit;
    ngx_http_sgtm_lane_t  *lane;

    last = &e->left;

    for (q = ngx_queue_head(&courier->active);
         q != ngx_queue_sentinel(&courier->active);
         q = ngx_queue_next(q))
    {
        lane = ngx_queue_data(q, ngx_http_sgtm_lane_t, turn);

        for (f = ngx_queue_head(&lane->flight);
             f != ngx_queue_sentinel(&lane->flight);
             f = ngx_queue_next(f))
        {
            hit = ngx_queue_data(f, ngx_http_sgtm_hit_t, queue);

            /* not if the lease that it was taken by is lost */

            if (hit->generation != courier->generation) {
                continue;
            }

            hit->left.id = hit->record->id;
            hit->left.kind = SGTM_OUTCOME_RELEASE;
            hit->left.was = hit->outcome.was;
            hit->left.due = sgtm_due_own(e->until);

            *last = &hit->left;
            last = &hit->left.next;
        }
    }

    *last = NULL;
}


/* the answers may have come meanwhile: their outcomes have not been settled */

void
ngx_http_sgtm_handover_done(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e)
{
    sgtm_outcome_t       *left;
    ngx_http_sgtm_hit_t  *hit;

    for (left = e->left; left; left = left->next) {
        hit = (ngx_http_sgtm_hit_t *)
              ((u_char *) left - offsetof(ngx_http_sgtm_hit_t, left));

        hit->outcome.was = left->due;
    }

    if (e->left) {
        courier->part = ngx_current_msec + NGX_HTTP_SGTM_COURIER_RENEW;
    }

    if (e->release) {
        courier->until = 0;
        courier->parted = 1;
    }
}
