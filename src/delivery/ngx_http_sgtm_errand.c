
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_errand.h"


/* bytes that are moved out of the journal at a time */
#define NGX_HTTP_SGTM_ERRAND_FETCH  (1024 * 1024)

#if (NGX_THREADS)

static void ngx_http_sgtm_errand_run(void *data, ngx_log_t *log);
static void ngx_http_sgtm_errand_back(ngx_event_t *ev);
static int ngx_http_sgtm_errand_lease(sgtm_store_t *store,
    ngx_http_sgtm_errand_t *e);
static int ngx_http_sgtm_errand_list(sgtm_store_t *store,
    ngx_http_sgtm_errand_t *e);
static int ngx_http_sgtm_errand_fetch(sgtm_store_t *store,
    ngx_http_sgtm_errand_t *e);
static int ngx_http_sgtm_errand_take(sgtm_store_t *store,
    ngx_http_sgtm_errand_t *e);
static int ngx_http_sgtm_errand_take_of(sgtm_store_t *store,
    ngx_http_sgtm_errand_take_t *t);
static void ngx_http_sgtm_errand_why(ngx_http_sgtm_errand_t *e,
    const char *text);


ngx_int_t
ngx_http_sgtm_errand_init(ngx_http_sgtm_errand_t *e, ngx_cycle_t *cycle,
    ngx_http_sgtm_main_conf_t *smcf)
{
    e->size = NGX_HTTP_SGTM_ERRAND_TARGETS;

    e->targets = ngx_alloc(e->size * sizeof(sgtm_target_t), cycle->log);
    if (e->targets == NULL) {
        return NGX_ERROR;
    }

    e->store = sgtm_store_create((const char *) smcf->spool->path.data,
                                 &smcf->spool->store);
    if (e->store == NULL) {
        return NGX_ERROR;
    }

    e->task = ngx_thread_task_alloc(cycle->pool, 0);
    if (e->task == NULL) {
        return NGX_ERROR;
    }

    e->instance = (int64_t) ngx_random() << 32 ^ ngx_pid
                  ^ (int64_t) ngx_random() << 16;
    e->stat = ngx_http_sgtm_spool_stat(smcf);
    e->threads = smcf->spool->threads;
    e->log = cycle->log;

    e->task->ctx = e;
    e->task->handler = ngx_http_sgtm_errand_run;
    e->task->event.data = e;
    e->task->event.handler = ngx_http_sgtm_errand_back;
    e->task->event.log = cycle->log;

    return NGX_OK;
}


void
ngx_http_sgtm_errand_reset(ngx_http_sgtm_errand_t *e)
{
    e->outcomes = NULL;
    e->left = NULL;
    e->ntargets = 0;
    e->ntakes = 0;

    e->lease = 0;
    e->list = 0;
    e->fetch = 0;
    e->release = 0;
    e->memory = 0;
    e->parted = 0;

    e->leased = 0;
    e->settled = 0;
    e->listed = 0;
    e->fetched = 0;
    e->dry = 0;
}


ngx_int_t
ngx_http_sgtm_errand_post(ngx_http_sgtm_errand_t *e)
{
    return ngx_thread_task_post(e->threads, e->task);
}


/* in the thread */

static void
ngx_http_sgtm_errand_run(void *data, ngx_log_t *log)
{
    ngx_http_sgtm_errand_t *e = data;

    int            rc;
    sgtm_store_t  *store;

    store = e->store;

    e->error[0] = '\0';

    rc = ngx_http_sgtm_errand_lease(store, e);

    if (rc == SGTM_STORE_OK && e->outcomes) {
        rc = e->parted ? sgtm_store_settle_left(store, e->outcomes)
                       : sgtm_store_settle(store, e->instance, e->outcomes);

        e->settled = (rc == SGTM_STORE_OK);
    }

    if (rc == SGTM_STORE_OK) {
        rc = ngx_http_sgtm_errand_list(store, e);
    }

    if (rc == SGTM_STORE_OK) {
        rc = ngx_http_sgtm_errand_take(store, e);
    }

    if (rc == SGTM_STORE_OK && e->release) {
        rc = sgtm_store_release(store, e->instance);
    }

    e->rc = rc;

    if (rc != SGTM_STORE_OK && rc != SGTM_STORE_LOST) {
        ngx_http_sgtm_errand_why(e, sgtm_store_error(store));
    }
}


/* on the event loop again */

static void
ngx_http_sgtm_errand_back(ngx_event_t *ev)
{
    ngx_http_sgtm_errand_t *e = ev->data;

    if (e->error[0]) {
        ngx_http_sgtm_spool_complain(e->stat, e->log, e->error);
    }

    e->done(e);
}


static int
ngx_http_sgtm_errand_lease(sgtm_store_t *store, ngx_http_sgtm_errand_t *e)
{
    int  rc, fresh;

    if (!e->lease) {
        return SGTM_STORE_OK;
    }

    rc = sgtm_store_lease(store, e->instance, e->now, e->until, &fresh);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    /* another one has been the courier meanwhile, or the file is a new one */

    if (fresh && e->memory) {
        return SGTM_STORE_LOST;
    }

    e->leased = 1;

    return SGTM_STORE_OK;
}


static int
ngx_http_sgtm_errand_list(sgtm_store_t *store, ngx_http_sgtm_errand_t *e)
{
    int  rc;

    if (!e->list) {
        return SGTM_STORE_OK;
    }

    rc = e->fetch ? ngx_http_sgtm_errand_fetch(store, e) : SGTM_STORE_OK;

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_store_targets(store, e->targets, e->size, &e->ntargets);

    e->listed = (rc == SGTM_STORE_OK);

    return rc;
}


/*
 * Moves some of what is in the journal, if there is anything.  Where that fails
 * what is in the file already is delivered all the same: on a disk that is full
 * it is what makes room.
 */

static int
ngx_http_sgtm_errand_fetch(sgtm_store_t *store, ngx_http_sgtm_errand_t *e)
{
    int           rc;
    sgtm_fetch_t  fetch;

    e->fetched = 0;
    e->dry = 1;

    fetch.size = NGX_HTTP_SGTM_ERRAND_FETCH;

    rc = sgtm_store_fetch(store, &fetch);

    if (rc == SGTM_STORE_DAMAGED) {
        return rc;
    }

    if (rc != SGTM_STORE_OK) {
        ngx_http_sgtm_errand_why(e, sgtm_store_error(store));
        return SGTM_STORE_OK;
    }

    if (fetch.warning[0]) {
        ngx_http_sgtm_errand_why(e, fetch.warning);
    }

    if (fetch.hits) {
        (void) ngx_atomic_fetch_add(&e->stat->fetched, fetch.hits);
    }

    e->fetched = 1;
    e->dry = !fetch.more;

    return SGTM_STORE_OK;
}


/* what the file lacks is fetched for whoever wants it first */

static int
ngx_http_sgtm_errand_take(sgtm_store_t *store, ngx_http_sgtm_errand_t *e)
{
    int                           rc;
    ngx_uint_t                    i;
    ngx_http_sgtm_errand_take_t  *t;

    for (i = 0; i < e->ntakes; i++) {
        t = &e->takes[i];

        rc = ngx_http_sgtm_errand_take_of(store, t);

        if (rc == SGTM_STORE_OK && t->take.list == NULL && !e->dry) {

            rc = ngx_http_sgtm_errand_fetch(store, e);

            if (rc == SGTM_STORE_OK) {
                rc = ngx_http_sgtm_errand_take_of(store, t);
            }

            if (rc == SGTM_STORE_OK && t->take.list == NULL && !e->dry) {

                /* there may be some behind others' */

                t->take.again = t->take.now;
            }
        }

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        t->done = 1;
    }

    return SGTM_STORE_OK;
}


static int
ngx_http_sgtm_errand_take_of(sgtm_store_t *store,
    ngx_http_sgtm_errand_take_t *t)
{
    int  rc;

    t->take.put_off = t->put_off && !t->probe;

    rc = sgtm_store_take(store, &t->take);

    if (rc == SGTM_STORE_OK && t->put_off && t->probe) {

        if (t->take.list || t->take.again <= t->take.now) {
            return SGTM_STORE_OK;
        }

        /* a probe would rather send one too early than none */

        t->take.put_off = 1;
        rc = sgtm_store_take(store, &t->take);
    }

    if (rc == SGTM_STORE_OK) {
        t->put_off = t->take.put_off;
    }

    return rc;
}


static void
ngx_http_sgtm_errand_why(ngx_http_sgtm_errand_t *e, const char *text)
{
    (void) ngx_cpystrn(e->error, (u_char *) text, NGX_HTTP_SGTM_SPOOL_ERROR);
}


#else /* !NGX_THREADS */


ngx_int_t
ngx_http_sgtm_errand_init(ngx_http_sgtm_errand_t *e, ngx_cycle_t *cycle,
    ngx_http_sgtm_main_conf_t *smcf)
{
    return NGX_OK;
}


void
ngx_http_sgtm_errand_reset(ngx_http_sgtm_errand_t *e)
{
}


ngx_int_t
ngx_http_sgtm_errand_post(ngx_http_sgtm_errand_t *e)
{
    return NGX_DECLINED;
}


#endif
