
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
 * intervals for which the file is looked after since something was done with
 * it: what was deleted leaves the log of changes within ten seconds
 */
#define NGX_HTTP_SGTM_KEEPER_AFTER     120


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
    ngx_uint_t                   after;    /* intervals to work still */
    ngx_uint_t                   busy;     /* 1: the task is in flight */
    u_char                       error[NGX_HTTP_SGTM_SPOOL_ERROR];
} ngx_http_sgtm_keeper_t;


static void ngx_http_sgtm_keeper_timer(ngx_event_t *ev);
static void ngx_http_sgtm_keeper_run(void *data, ngx_log_t *log);
static void ngx_http_sgtm_keeper_done(ngx_event_t *ev);


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

    kp->after = NGX_HTTP_SGTM_KEEPER_AFTER;

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
    settled = kp->stat->delivered + kp->stat->retried + kp->stat->died;

    if (puts != kp->puts || settled != kp->settled) {
        kp->puts = puts;
        kp->settled = settled;
        kp->after = NGX_HTTP_SGTM_KEEPER_AFTER;
    }

    if (kp->after && !kp->busy
        && ngx_thread_task_post(kp->threads, kp->task) == NGX_OK)
    {
        kp->after--;
        kp->busy = 1;
    }

    ngx_add_timer(ev, NGX_HTTP_SGTM_KEEPER_INTERVAL);
}


/* in the thread */

static void
ngx_http_sgtm_keeper_run(void *data, ngx_log_t *log)
{
    ngx_http_sgtm_keeper_t *kp = data;

    kp->error[0] = '\0';

    if (sgtm_store_sync(kp->store) != SGTM_STORE_OK) {
        (void) ngx_cpystrn(kp->error, (u_char *) sgtm_store_error(kp->store),
                           NGX_HTTP_SGTM_SPOOL_ERROR);
    }
}


static void
ngx_http_sgtm_keeper_done(ngx_event_t *ev)
{
    ngx_http_sgtm_keeper_t *kp = ev->data;

    kp->busy = 0;

    if (kp->error[0]) {
        kp->after = NGX_HTTP_SGTM_KEEPER_AFTER;
        ngx_http_sgtm_spool_complain(kp->stat, kp->log, kp->error);
    }
}


#else /* !NGX_THREADS */


ngx_int_t
ngx_http_sgtm_keeper_init_process(ngx_cycle_t *cycle)
{
    return NGX_OK;
}


#endif
