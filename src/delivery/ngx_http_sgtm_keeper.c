
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_keeper.h"
#include "ngx_http_sgtm_spool.h"


#if (NGX_THREADS)

/*
 * often and little at a time: moving a second's changes at once keeps the core
 * from those who answer
 */
#define NGX_HTTP_SGTM_KEEPER_INTERVAL  100

/*
 * ms for which the file is looked after since something was done with it, and
 * how often: what was deleted leaves the log of changes within ten seconds
 */
#define NGX_HTTP_SGTM_KEEPER_AFTER     12000
#define NGX_HTTP_SGTM_KEEPER_REST      1000

/* from one count to the next, at least; while hits come or go */
#define NGX_HTTP_SGTM_KEEPER_COUNT     10000
#define NGX_HTTP_SGTM_KEEPER_SOON      1000

/* it may take this part of the time; microseconds at once */
#define NGX_HTTP_SGTM_KEEPER_SHARE     200
#define NGX_HTTP_SGTM_KEEPER_SLICE     20000


typedef struct {
    sgtm_counting_t              file;
    ngx_atomic_uint_t            kept;     /* when it was begun */
    ngx_atomic_uint_t            gone;
    int64_t                      us;       /* that it has taken */
    ngx_msec_t                   ended;    /* the one before */
    ngx_msec_t                   wait;     /* from then on, at least */
    unsigned                     on:1;
    unsigned                     failed:1;
} ngx_http_sgtm_keeper_count_t;


typedef struct {
    sgtm_store_t                *store;
    ngx_http_sgtm_spool_stat_t  *stat;
    ngx_thread_pool_t           *threads;
    ngx_thread_task_t           *task;
    ngx_event_t                  timer;
    ngx_connection_t             dummy;    /* of the timer, for debug logs */
    ngx_log_t                   *log;

    ngx_atomic_uint_t            puts;     /* what there was when last seen */
    ngx_atomic_uint_t            settled;
    ngx_msec_t                   changed;  /* when that was */
    ngx_msec_t                   began;    /* the last pass over the files */
    ngx_http_sgtm_keeper_count_t  count;
    u_char                       error[NGX_HTTP_SGTM_SPOOL_ERROR];

    unsigned                     busy:1;   /* the task is in flight */
    unsigned                     dirty:1;  /* changed since it began */
    unsigned                     sync:1;   /* for the task */
} ngx_http_sgtm_keeper_t;


static void ngx_http_sgtm_keeper_timer(ngx_event_t *ev);
static void ngx_http_sgtm_keeper_begin(ngx_http_sgtm_keeper_t *kp);
static ngx_atomic_uint_t ngx_http_sgtm_keeper_gone(
    ngx_http_sgtm_keeper_t *kp);
static void ngx_http_sgtm_keeper_run(void *data, ngx_log_t *log);
static int ngx_http_sgtm_keeper_count(ngx_http_sgtm_keeper_t *kp);
static int64_t ngx_http_sgtm_keeper_clock(void);
static void ngx_http_sgtm_keeper_done(ngx_event_t *ev);
static void ngx_http_sgtm_keeper_counted(ngx_http_sgtm_keeper_t *kp);


static ngx_http_sgtm_keeper_t  *ngx_http_sgtm_keeper;


ngx_int_t
ngx_http_sgtm_keeper_init_process(ngx_cycle_t *cycle)
{
    sgtm_store_conf_t           conf;
    ngx_http_sgtm_keeper_t     *kp;
    ngx_http_sgtm_main_conf_t  *smcf;

    ngx_http_sgtm_keeper = NULL;

    smcf = ngx_http_sgtm_spool_process(cycle);

    if (smcf == NULL || ngx_worker != 0) {
        return NGX_OK;
    }

    kp = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_keeper_t));
    if (kp == NULL) {
        return NGX_ERROR;
    }

    conf = smcf->spool->store;
    conf.kept = 0;

    kp->store = sgtm_store_create((const char *) smcf->spool->path.data,
                                  &conf);
    if (kp->store == NULL) {
        return NGX_ERROR;
    }

    kp->task = ngx_thread_task_alloc(cycle->pool, 0);
    if (kp->task == NULL) {
        return NGX_ERROR;
    }

    kp->stat = ngx_http_sgtm_spool_stat(smcf);
    kp->threads = smcf->spool->threads;
    kp->log = cycle->log;

    kp->task->ctx = kp;
    kp->task->handler = ngx_http_sgtm_keeper_run;
    kp->task->event.data = kp;
    kp->task->event.handler = ngx_http_sgtm_keeper_done;
    kp->task->event.log = cycle->log;

    kp->dummy.fd = (ngx_socket_t) -1;

    kp->timer.handler = ngx_http_sgtm_keeper_timer;
    kp->timer.data = &kp->dummy;
    kp->timer.log = cycle->log;
    kp->timer.cancelable = 1;

    /* of a worker before this one something may not be on the disk yet */

    kp->changed = ngx_current_msec;
    kp->dirty = 1;
    kp->count.ended = ngx_current_msec - NGX_HTTP_SGTM_KEEPER_COUNT;

    ngx_http_sgtm_keeper = kp;

    ngx_add_timer(&kp->timer, NGX_HTTP_SGTM_KEEPER_INTERVAL);

    return NGX_OK;
}


static void
ngx_http_sgtm_keeper_timer(ngx_event_t *ev)
{
    ngx_atomic_uint_t        puts, settled;
    ngx_http_sgtm_keeper_t  *kp;

    kp = ngx_http_sgtm_keeper;

    puts = kp->stat->puts;
    settled = ngx_http_sgtm_keeper_gone(kp) + kp->stat->retried
              + kp->stat->fetched;

    if (puts != kp->puts || settled != kp->settled) {
        kp->puts = puts;
        kp->settled = settled;
        kp->changed = ngx_current_msec;
        kp->dirty = 1;
    }

    if (!kp->busy) {
        ngx_http_sgtm_keeper_begin(kp);
    }

    ngx_add_timer(ev, NGX_HTTP_SGTM_KEEPER_INTERVAL);
}


static void
ngx_http_sgtm_keeper_begin(ngx_http_sgtm_keeper_t *kp)
{
    ngx_msec_t                     wait;
    ngx_atomic_uint_t              kept, gone;
    ngx_http_sgtm_keeper_count_t  *count;

    count = &kp->count;

    kept = kp->stat->kept;
    gone = ngx_http_sgtm_keeper_gone(kp);

    wait = (kept != count->kept || gone != count->gone)
           ? NGX_HTTP_SGTM_KEEPER_SOON : NGX_HTTP_SGTM_KEEPER_COUNT;

    /* the next generation of workers counts for itself */

    if (!count->on && !ngx_exiting
        && ngx_current_msec - count->ended >= ngx_max(wait, count->wait))
    {
        ngx_memzero(&count->file, sizeof(sgtm_counting_t));

        count->kept = kept;
        count->gone = gone;
        count->us = 0;
        count->on = 1;
    }

    kp->sync = (kp->dirty
                || (ngx_current_msec - kp->began >= NGX_HTTP_SGTM_KEEPER_REST
                    && ngx_current_msec - kp->changed
                       < NGX_HTTP_SGTM_KEEPER_AFTER));

    if (!kp->sync && !count->on) {
        return;
    }

    if (ngx_thread_task_post(kp->threads, kp->task) == NGX_OK) {
        kp->busy = 1;

        if (kp->sync) {
            kp->began = ngx_current_msec;
            kp->dirty = 0;
        }
    }
}


/* the hits that have left the file */

static ngx_atomic_uint_t
ngx_http_sgtm_keeper_gone(ngx_http_sgtm_keeper_t *kp)
{
    return kp->stat->delivered + kp->stat->died;
}


/* in the thread */

static void
ngx_http_sgtm_keeper_run(void *data, ngx_log_t *log)
{
    ngx_http_sgtm_keeper_t *kp = data;

    int  rc;

    kp->error[0] = '\0';

    rc = kp->sync ? sgtm_store_sync(kp->store) : SGTM_STORE_OK;

    if (rc == SGTM_STORE_OK && kp->count.on) {
        rc = ngx_http_sgtm_keeper_count(kp);
        kp->count.failed = (rc != SGTM_STORE_OK);
    }

    if (rc != SGTM_STORE_OK) {
        (void) ngx_cpystrn(kp->error, (u_char *) sgtm_store_error(kp->store),
                           NGX_HTTP_SGTM_SPOOL_ERROR);
    }
}


/* a slice of it: what was kept meanwhile is to be on the disk in time */

static int
ngx_http_sgtm_keeper_count(ngx_http_sgtm_keeper_t *kp)
{
    int      rc;
    int64_t  from, us;

    from = ngx_http_sgtm_keeper_clock();

    do {
        rc = sgtm_store_count_some(kp->store, &kp->count.file);
        us = ngx_http_sgtm_keeper_clock() - from;

    } while (rc == SGTM_STORE_OK && !kp->count.file.done
             && us < NGX_HTTP_SGTM_KEEPER_SLICE);

    kp->count.us += us;

    return rc;
}


static int64_t
ngx_http_sgtm_keeper_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static void
ngx_http_sgtm_keeper_done(ngx_event_t *ev)
{
    ngx_http_sgtm_keeper_t *kp = ev->data;

    ngx_http_sgtm_keeper_count_t  *count;

    count = &kp->count;
    kp->busy = 0;

    if (count->on && (count->file.done || count->failed)) {

        if (!count->failed) {
            ngx_http_sgtm_keeper_counted(kp);
        }

        count->on = 0;
        count->failed = 0;
        count->ended = ngx_current_msec;
        count->wait = count->us * NGX_HTTP_SGTM_KEEPER_SHARE / 1000;
    }

    if (kp->error[0]) {
        kp->changed = ngx_current_msec;
        kp->dirty = 1;
        ngx_http_sgtm_spool_complain(kp->stat, kp->log, kp->error);
    }
}


/*
 * The file's own numbers: tools and earlier workers change them, too.  What was
 * kept or left while it was counted may be counted or not: the number of those
 * that wait is set right if it cannot be so, and rather too high.
 */

static void
ngx_http_sgtm_keeper_counted(ngx_http_sgtm_keeper_t *kp)
{
    ngx_atomic_int_t             least, most, waiting;
    ngx_http_sgtm_spool_stat_t  *stat;

    stat = kp->stat;

    most = kp->count.file.counts.hits + (stat->kept - kp->count.kept);
    least = kp->count.file.counts.hits
            - (ngx_http_sgtm_keeper_gone(kp) - kp->count.gone);

    waiting = stat->waiting;

    if (waiting < least || waiting > most) {
        stat->waiting = most;
    }

    stat->dead = kp->count.file.counts.dead;
    stat->size = kp->count.file.counts.size;
    stat->oldest = kp->count.file.counts.oldest;
    stat->dead_oldest = kp->count.file.counts.dead_oldest;
}


#else /* !NGX_THREADS */


ngx_int_t
ngx_http_sgtm_keeper_init_process(ngx_cycle_t *cycle)
{
    return NGX_OK;
}


#endif
