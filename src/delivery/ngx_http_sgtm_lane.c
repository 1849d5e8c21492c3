
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_lane.h"
#include "ngx_http_sgtm_stamp.h"


/* what is looked ahead, for each hit that may be in flight */
#define NGX_HTTP_SGTM_LANE_AHEAD        4
#define NGX_HTTP_SGTM_LANE_SIZE         (8 * 1024 * 1024)

/* GA4 takes events of the last three days */
#define NGX_HTTP_SGTM_LANE_OLD          (72 * 3600 * 1000LL)

#define NGX_HTTP_SGTM_LANE_RETRY_AFTER  3600
#define NGX_HTTP_SGTM_LANE_DOUBLINGS    4

/* how much later than the next probe the hit of a probe that failed is due */
#define NGX_HTTP_SGTM_LANE_PUT_OFF      8


typedef enum {
    NGX_HTTP_SGTM_ANSWER_GOOD = 0,
    NGX_HTTP_SGTM_ANSWER_REFUSED,      /* sent again it would be no other */
    NGX_HTTP_SGTM_ANSWER_FAILED
} ngx_http_sgtm_answer_e;


static ngx_int_t ngx_http_sgtm_hit_send(ngx_http_sgtm_hit_t *hit);
static void ngx_http_sgtm_hit_sent(ngx_http_sgtm_detached_t *d);
static void ngx_http_sgtm_hit_answered(ngx_http_sgtm_hit_t *hit);
static ngx_uint_t ngx_http_sgtm_hit_answer(ngx_uint_t status);
static void ngx_http_sgtm_hit_error(ngx_http_sgtm_hit_t *hit);
static void ngx_http_sgtm_hit_failed(ngx_http_sgtm_hit_t *hit);
static void ngx_http_sgtm_hit_end(ngx_http_sgtm_hit_t *hit, ngx_uint_t kind,
    int64_t due);
static void ngx_http_sgtm_lane_leave(ngx_http_sgtm_hit_t *hit);
static void ngx_http_sgtm_lane_opened(ngx_http_sgtm_lane_t *lane);
static void ngx_http_sgtm_lane_release(ngx_http_sgtm_hit_t *hit, int64_t due);
static void ngx_http_sgtm_lane_ended(ngx_http_sgtm_hit_t *hit);


ngx_http_sgtm_lane_sum_t  ngx_http_sgtm_lane_sum;


ngx_http_sgtm_lane_t *
ngx_http_sgtm_lane_create(ngx_str_t *name, ngx_http_sgtm_target_t *target)
{
    ngx_http_sgtm_lane_t  *lane;

    lane = ngx_calloc(sizeof(ngx_http_sgtm_lane_t) + name->len,
                      ngx_cycle->log);
    if (lane == NULL) {
        return NULL;
    }

    lane->node.str.len = name->len;
    lane->node.str.data = (u_char *) lane + sizeof(ngx_http_sgtm_lane_t);
    ngx_memcpy(lane->node.str.data, name->data, name->len);

    lane->node.node.key = ngx_crc32_long(name->data, name->len);
    lane->target = target;
    lane->put_off = 1;

    ngx_rbtree_init(&lane->clients, &lane->sentinel, ngx_rbtree_insert_value);
    ngx_queue_init(&lane->ready);
    ngx_queue_init(&lane->flight);

    if (target) {
        ngx_http_sgtm_circuit_init(&lane->circuit, target->courier);
    }

    return lane;
}


ngx_int_t
ngx_http_sgtm_lane_add(ngx_http_sgtm_lane_t *lane, sgtm_record_t *record,
    ngx_uint_t generation)
{
    int64_t               due;
    ngx_rbtree_key_t      key;
    ngx_rbtree_node_t    *node;
    ngx_http_sgtm_hit_t  *hit, *first;

    hit = ngx_calloc(sizeof(ngx_http_sgtm_hit_t), ngx_cycle->log);
    if (hit == NULL) {
        free(record);
        return NGX_ERROR;
    }

    hit->lane = lane;
    hit->record = record;
    hit->generation = generation;
    hit->size = sizeof(ngx_http_sgtm_hit_t) + sizeof(sgtm_record_t)
                + record->args.len + record->headers.len + record->body.len;

    ngx_queue_init(&hit->followers);

    lane->hits++;
    lane->size += hit->size;

    ngx_http_sgtm_lane_sum.hits++;
    ngx_http_sgtm_lane_sum.size += hit->size;

    if (record->client == 0) {
        ngx_queue_insert_tail(&lane->ready, &hit->queue);
        return NGX_OK;
    }

    /* a key of 32 bits may bring two clients together: they wait, no more */

    key = (ngx_rbtree_key_t) record->client;
    node = lane->clients.root;

    while (node != &lane->sentinel && node->key != key) {
        node = (key < node->key) ? node->left : node->right;
    }

    if (node != &lane->sentinel) {
        first = ngx_rbtree_data(node, ngx_http_sgtm_hit_t, node);

        if (first->ended) {

            /* it has failed while this one was taken, which goes behind it */

            due = first->outcome.due;
            ngx_http_sgtm_lane_release(hit, due ? sgtm_due_behind(due) : 0);

            return NGX_OK;
        }

        ngx_queue_insert_tail(&first->followers, &hit->queue);
        return NGX_OK;
    }

    hit->node.key = key;
    hit->first = 1;
    ngx_rbtree_insert(&lane->clients, &hit->node);
    ngx_queue_insert_tail(&lane->ready, &hit->queue);

    return NGX_OK;
}


ngx_uint_t
ngx_http_sgtm_lane_room(ngx_http_sgtm_lane_t *lane, ngx_uint_t *probe)
{
    ngx_uint_t                hits, ahead;
    ngx_http_sgtm_circuit_t  *cc;

    cc = &lane->circuit;
    hits = lane->hits - lane->ended;

    *probe = 0;

    if (cc->state != NGX_HTTP_SGTM_CIRCUIT_CLOSED) {
        *probe = 1;
        return hits == 0 && ngx_http_sgtm_circuit_room(cc, 0);
    }

    ahead = NGX_HTTP_SGTM_LANE_AHEAD * cc->concurrency;

    /* by less than half, one asks too often for too few */

    if (hits > ahead / 2 || lane->size > NGX_HTTP_SGTM_LANE_SIZE / 2) {
        return 0;
    }

    return ahead - hits;
}


void
ngx_http_sgtm_lane_send(ngx_http_sgtm_lane_t *lane)
{
    char                 *why;
    ngx_int_t             rc;
    ngx_uint_t            n;
    ngx_queue_t          *q;
    ngx_http_sgtm_hit_t  *hit;

    if (ngx_queue_empty(&lane->ready)) {
        return;
    }

    n = ngx_http_sgtm_circuit_room(&lane->circuit, lane->in_flight);

    while (n && !ngx_queue_empty(&lane->ready)) {

        q = ngx_queue_head(&lane->ready);
        hit = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);

        why = NULL;

        if (ngx_http_sgtm_lane_now() - hit->record->time
            > NGX_HTTP_SGTM_LANE_OLD)
        {
            why = "older than 72 hours";

        } else if (ngx_http_sgtm_stamp_region(&hit->detached, hit->record,
                                              lane->target)
                   != NGX_OK)
        {
            why = "no way into the EU";
        }

        if (why) {
            (void) ngx_cpystrn(hit->error, (u_char *) why,
                               NGX_HTTP_SGTM_HIT_ERROR);

            ngx_queue_remove(&hit->queue);
            ngx_http_sgtm_hit_end(hit, SGTM_OUTCOME_DEAD, 0);
            continue;
        }

        rc = ngx_http_sgtm_hit_send(hit);

        if (rc != NGX_OK) {

            /* without memory or connections it stays the next one */

            return;
        }

        n--;
    }
}


static ngx_int_t
ngx_http_sgtm_hit_send(ngx_http_sgtm_hit_t *hit)
{
    ngx_int_t                  rc;
    sgtm_record_t             *record;
    ngx_http_sgtm_lane_t      *lane;
    ngx_http_sgtm_target_t    *target;
    ngx_http_sgtm_detached_t  *d;

    d = &hit->detached;
    lane = hit->lane;
    record = hit->record;
    target = lane->target;

    if (hit->text == NULL
        && ngx_http_sgtm_stamp(d, record, target, &hit->text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    d->server = target->server;
    d->location = target->courier->location;
    d->log = target->log;

    *ngx_http_sgtm_str(&d->tenant) = record->tenant;
    *ngx_http_sgtm_str(&d->method) = record->method;
    *ngx_http_sgtm_str(&d->uri) = record->uri;
    *ngx_http_sgtm_str(&d->headers) = record->headers;

    d->handler = ngx_http_sgtm_hit_sent;
    d->data = hit;

    rc = ngx_http_sgtm_detached_send(d);

    if (rc != NGX_OK) {
        return rc;
    }

    /* its handler comes later, also if it has ended by now */

    ngx_queue_remove(&hit->queue);
    ngx_queue_insert_tail(&lane->flight, &hit->queue);

    lane->in_flight++;
    ngx_http_sgtm_lane_sum.in_flight++;

    ngx_http_sgtm_circuit_sent(&lane->circuit);

    return NGX_OK;
}


static void
ngx_http_sgtm_hit_sent(ngx_http_sgtm_detached_t *d)
{
    ngx_http_sgtm_hit_t   *hit;
    ngx_http_sgtm_lane_t  *lane;

    hit = d->data;
    lane = hit->lane;

    ngx_queue_remove(&hit->queue);

    lane->in_flight--;
    ngx_http_sgtm_lane_sum.in_flight--;

    if (ngx_http_sgtm_hit_answer(d->status) == NGX_HTTP_SGTM_ANSWER_FAILED) {
        ngx_http_sgtm_hit_failed(hit);

    } else {
        ngx_http_sgtm_hit_answered(hit);
    }

    ngx_http_sgtm_courier_next(lane);
}


static ngx_uint_t
ngx_http_sgtm_hit_answer(ngx_uint_t status)
{
    if (status >= 200 && status < 300) {
        return NGX_HTTP_SGTM_ANSWER_GOOD;
    }

    /* nobody follows a redirect here: it is as good as no answer */

    if (status < 400
        || status >= 500
        || status == NGX_HTTP_REQUEST_TIME_OUT
        || status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        return NGX_HTTP_SGTM_ANSWER_FAILED;
    }

    return NGX_HTTP_SGTM_ANSWER_REFUSED;
}


static void
ngx_http_sgtm_hit_answered(ngx_http_sgtm_hit_t *hit)
{
    ngx_uint_t             status;
    ngx_http_sgtm_lane_t  *lane;

    lane = hit->lane;
    status = hit->detached.status;

    if (ngx_http_sgtm_circuit_success(&lane->circuit)) {

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "courier \"%V\": the tagging server is back",
                      &lane->node.str);

        lane->look = 1;
    }

    if (ngx_http_sgtm_hit_answer(status) == NGX_HTTP_SGTM_ANSWER_GOOD) {
        ngx_http_sgtm_hit_end(hit, SGTM_OUTCOME_DELIVERED, 0);
        return;
    }

    ngx_http_sgtm_hit_error(hit);

    hit->outcome.attempt = 1;
    ngx_http_sgtm_hit_end(hit, SGTM_OUTCOME_DEAD, 0);
}


static void
ngx_http_sgtm_hit_error(ngx_http_sgtm_hit_t *hit)
{
    ngx_http_sgtm_lane_t      *lane;
    ngx_http_sgtm_detached_t  *d;

    d = &hit->detached;
    lane = hit->lane;

    if (d->status) {
        (void) ngx_snprintf(hit->error, NGX_HTTP_SGTM_HIT_ERROR,
                            "status %ui%Z", d->status);

    } else if (d->timeout) {
        (void) ngx_cpystrn(hit->error, (u_char *) "no answer in time",
                           NGX_HTTP_SGTM_HIT_ERROR);

    } else {
        (void) ngx_cpystrn(hit->error, (u_char *) "no answer",
                           NGX_HTTP_SGTM_HIT_ERROR);
    }

    (void) ngx_cpystrn(lane->error, hit->error, NGX_HTTP_SGTM_HIT_ERROR);
}


static void
ngx_http_sgtm_hit_failed(ngx_http_sgtm_hit_t *hit)
{
    int64_t                    due;
    ngx_uint_t                 counts, opened, n;
    ngx_msec_t                 wait, retry_after;
    ngx_http_sgtm_lane_t      *lane;
    ngx_http_sgtm_circuit_t   *cc;
    ngx_http_sgtm_detached_t  *d;

    d = &hit->detached;
    lane = hit->lane;
    cc = &lane->circuit;

    if (ngx_exiting && d->status == 0) {

        /* it may have been this process that gave up */

        due = ngx_http_sgtm_lane_now() + cc->backoff;

        ngx_http_sgtm_hit_end(hit, SGTM_OUTCOME_RELEASE,
                              sgtm_due_put_off(due));
        return;
    }

    ngx_http_sgtm_hit_error(hit);

    retry_after = (d->retry_after > 0)
                  ? 1000 * ngx_min(d->retry_after,
                                   NGX_HTTP_SGTM_LANE_RETRY_AFTER)
                  : 0;

    opened = (cc->state == NGX_HTTP_SGTM_CIRCUIT_CLOSED);
    counts = ngx_http_sgtm_circuit_failure(cc, retry_after);
    opened = opened && (cc->state == NGX_HTTP_SGTM_CIRCUIT_OPEN);

    if (!counts) {
        wait = cc->wait * NGX_HTTP_SGTM_LANE_PUT_OFF;
        due = ngx_http_sgtm_lane_now()
              + ngx_max(ngx_http_sgtm_circuit_jitter(wait), retry_after);

        ngx_http_sgtm_hit_end(hit, SGTM_OUTCOME_RELEASE,
                              retry_after ? sgtm_due_own(due)
                                          : sgtm_due_put_off(due));

        if (opened) {
            ngx_http_sgtm_lane_opened(lane);
        }

        return;
    }

    hit->outcome.attempt = 1;

    if (hit->record->attempts + 1 >= lane->target->courier->attempts) {
        ngx_http_sgtm_hit_end(hit, SGTM_OUTCOME_DEAD, 0);
        return;
    }

    n = ngx_min(hit->record->attempts, NGX_HTTP_SGTM_LANE_DOUBLINGS);
    wait = ngx_http_sgtm_circuit_jitter(cc->backoff << n);
    due = ngx_http_sgtm_lane_now() + ngx_max(wait, retry_after);

    ngx_http_sgtm_hit_end(hit, SGTM_OUTCOME_RETRY, sgtm_due_own(due));
}


/* the end of a hit that is in no queue: the next one of its client may go */

static void
ngx_http_sgtm_hit_end(ngx_http_sgtm_hit_t *hit, ngx_uint_t kind, int64_t due)
{
    ngx_queue_t          *q;
    ngx_http_sgtm_hit_t  *next;

    hit->outcome.id = hit->record->id;
    hit->outcome.kind = kind;
    hit->outcome.due = due;
    hit->outcome.error.data = hit->error;
    hit->outcome.error.len = ngx_strlen(hit->error);

    if (kind == SGTM_OUTCOME_RETRY || kind == SGTM_OUTCOME_RELEASE) {

        /* those behind it come after it again */

        while (!ngx_queue_empty(&hit->followers)) {
            q = ngx_queue_head(&hit->followers);
            next = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);

            ngx_queue_remove(q);
            ngx_http_sgtm_lane_release(next, due ? sgtm_due_behind(due) : 0);
        }

        /* it stays the first one until the file knows of it */

    } else {
        ngx_http_sgtm_lane_leave(hit);
    }

    ngx_http_sgtm_lane_ended(hit);
}


/* the first of a client goes, and the next one takes its place */

static void
ngx_http_sgtm_lane_leave(ngx_http_sgtm_hit_t *hit)
{
    ngx_queue_t           *q;
    ngx_rbtree_key_t       key;
    ngx_http_sgtm_hit_t   *next;
    ngx_http_sgtm_lane_t  *lane;

    if (hit->record->client == 0) {
        return;
    }

    lane = hit->lane;

    /* the tree clears it */

    key = hit->node.key;

    ngx_rbtree_delete(&lane->clients, &hit->node);
    hit->first = 0;

    if (ngx_queue_empty(&hit->followers)) {
        return;
    }

    q = ngx_queue_head(&hit->followers);
    next = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);

    ngx_queue_remove(q);

    if (!ngx_queue_empty(&hit->followers)) {
        ngx_queue_add(&next->followers, &hit->followers);
        ngx_queue_init(&hit->followers);
    }

    next->node.key = key;
    next->first = 1;
    ngx_rbtree_insert(&lane->clients, &next->node);

    ngx_queue_insert_tail(&lane->ready, &next->queue);
}


/* what has not been sent yet goes back, those behind a hit in flight later */

static void
ngx_http_sgtm_lane_opened(ngx_http_sgtm_lane_t *lane)
{
    ngx_queue_t          *q, *f;
    ngx_http_sgtm_hit_t  *hit, *next;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "courier \"%V\": the tagging server is down, hits wait",
                  &lane->node.str);

    while (!ngx_queue_empty(&lane->ready)) {

        q = ngx_queue_head(&lane->ready);
        hit = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);
        ngx_queue_remove(q);

        while (!ngx_queue_empty(&hit->followers)) {
            f = ngx_queue_head(&hit->followers);
            next = ngx_queue_data(f, ngx_http_sgtm_hit_t, queue);

            ngx_queue_remove(f);
            ngx_http_sgtm_lane_release(next, next->record->due);
        }

        ngx_http_sgtm_lane_release(hit, hit->record->due);
    }
}


/* a hit that is in no queue goes back into the file */

static void
ngx_http_sgtm_lane_release(ngx_http_sgtm_hit_t *hit, int64_t due)
{
    hit->outcome.id = hit->record->id;
    hit->outcome.kind = SGTM_OUTCOME_RELEASE;
    hit->outcome.due = due;

    ngx_http_sgtm_lane_ended(hit);
}


static void
ngx_http_sgtm_lane_ended(ngx_http_sgtm_hit_t *hit)
{
    int64_t                due;
    ngx_http_sgtm_lane_t  *lane;

    lane = hit->lane;

    if (hit->outcome.kind == SGTM_OUTCOME_RETRY
        || hit->outcome.kind == SGTM_OUTCOME_RELEASE)
    {
        /* the file has been asked before, perhaps, and knew nothing of it */

        due = hit->outcome.due;

        if (sgtm_due_is_put_off(due)) {
            lane->put_off = 1;
        }

        if (due == 0) {
            lane->look = 1;

        } else if (lane->again == 0 || due < lane->again) {
            lane->again = due;
        }
    }

    hit->ended = 1;
    lane->ended++;

    ngx_http_sgtm_courier_outcome(hit);
}


void
ngx_http_sgtm_lane_drop(ngx_http_sgtm_lane_t *lane)
{
    ngx_queue_t          *q, *f;
    ngx_rbtree_node_t    *node;
    ngx_http_sgtm_hit_t  *hit, *next;

    while (!ngx_queue_empty(&lane->ready)) {

        q = ngx_queue_head(&lane->ready);
        hit = ngx_queue_data(q, ngx_http_sgtm_hit_t, queue);
        ngx_queue_remove(q);

        while (!ngx_queue_empty(&hit->followers)) {
            f = ngx_queue_head(&hit->followers);
            next = ngx_queue_data(f, ngx_http_sgtm_hit_t, queue);

            ngx_queue_remove(f);
            ngx_http_sgtm_hit_free(next);
        }

        ngx_http_sgtm_hit_free(hit);
    }

    /* what is left there is in flight or has an outcome */

    if (lane->clients.root == &lane->sentinel) {
        return;
    }

    for (node = ngx_rbtree_min(lane->clients.root, &lane->sentinel);
         node;
         node = ngx_rbtree_next(&lane->clients, node))
    {
        hit = ngx_rbtree_data(node, ngx_http_sgtm_hit_t, node);

        while (!ngx_queue_empty(&hit->followers)) {
            f = ngx_queue_head(&hit->followers);
            next = ngx_queue_data(f, ngx_http_sgtm_hit_t, queue);

            ngx_queue_remove(f);
            ngx_http_sgtm_hit_free(next);
        }
    }
}


void
ngx_http_sgtm_hit_free(ngx_http_sgtm_hit_t *hit)
{
    ngx_http_sgtm_lane_t  *lane;

    lane = hit->lane;

    if (hit->first) {
        ngx_rbtree_delete(&lane->clients, &hit->node);
    }

    lane->hits--;
    lane->ended -= hit->ended;
    lane->size -= hit->size;

    ngx_http_sgtm_lane_sum.hits--;
    ngx_http_sgtm_lane_sum.size -= hit->size;

    if (hit->text) {
        ngx_http_sgtm_stamp_free(&hit->detached, hit->text);
    }

    free(hit->record);
    ngx_free(hit);
}


int64_t
ngx_http_sgtm_lane_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000 + tp->msec;
}
