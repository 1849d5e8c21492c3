
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../tenant/sgtm_process.h"
#include "ngx_http_sgtm_meter.h"
#include "sgtm_meter_write.h"


#if (NGX_THREADS)

/* from look to look: a tenant that is new has a quota soon */
#define NGX_HTTP_SGTM_METER_LOOK      250

/* seconds from one line in the log to the next */
#define NGX_HTTP_SGTM_METER_COMPLAIN  60

/* ms: how long a worker that ends waits for another one that writes */
#define NGX_HTTP_SGTM_METER_PATIENCE  5000
#define NGX_HTTP_SGTM_METER_NAP       5


typedef struct {
    sgtm_meter_file_t           *file;
    ngx_http_sgtm_meter_conf_t  *conf;
    ngx_http_sgtm_meter_head_t  *head;
    ngx_thread_task_t           *task;
    ngx_event_t                  timer;
    ngx_connection_t             dummy;    /* of the timer, for debug logs */
    ngx_log_t                   *log;

    ngx_msec_t                   written;
    size_t                       tenants;  /* when last seen */

    /* of the task */

    int64_t                      now;
    int                          rc;
    unsigned                     write;
    unsigned                     busy;
} ngx_http_sgtm_meter_writer_t;


static ngx_http_sgtm_main_conf_t *ngx_http_sgtm_meter_process(
    ngx_cycle_t *cycle);
static void ngx_http_sgtm_meter_timer(ngx_event_t *ev);
static void ngx_http_sgtm_meter_run(void *data, ngx_log_t *log);
static void ngx_http_sgtm_meter_done(ngx_event_t *ev);
static void ngx_http_sgtm_meter_note(ngx_http_sgtm_meter_writer_t *wr);


static ngx_http_sgtm_meter_writer_t  *ngx_http_sgtm_meter_writer;


ngx_int_t
ngx_http_sgtm_meter_init_module(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf && smcf->meter) {
        ngx_http_sgtm_conf_directory(cycle, &smcf->meter->path,
                                     "nothing can be metered");
    }

    return NGX_OK;
}


/* every worker has a writer, for its end; the first one's has a timer */

ngx_int_t
ngx_http_sgtm_meter_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_main_conf_t     *smcf;
    ngx_http_sgtm_meter_writer_t  *wr;

    ngx_http_sgtm_meter_writer = NULL;

    smcf = ngx_http_sgtm_meter_process(cycle);

    if (smcf == NULL) {
        return NGX_OK;
    }

    wr = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_meter_writer_t));
    if (wr == NULL) {
        return NGX_ERROR;
    }

    wr->conf = smcf->meter;
    wr->head = ngx_http_sgtm_meter_head(smcf);
    wr->log = cycle->log;

    wr->file = sgtm_meter_file_create((char *) smcf->meter->path.data);
    if (wr->file == NULL) {
        return NGX_ERROR;
    }

    wr->task = ngx_thread_task_alloc(cycle->pool, 0);
    if (wr->task == NULL) {
        return NGX_ERROR;
    }

    wr->task->ctx = wr;
    wr->task->handler = ngx_http_sgtm_meter_run;
    wr->task->event.data = wr;
    wr->task->event.handler = ngx_http_sgtm_meter_done;
    wr->task->event.log = cycle->log;

    wr->dummy.fd = (ngx_socket_t) -1;

    wr->timer.handler = ngx_http_sgtm_meter_timer;
    wr->timer.data = &wr->dummy;
    wr->timer.log = cycle->log;
    wr->timer.cancelable = 1;

    wr->written = ngx_current_msec;

    /* not first in a thread: it remembers what it finds */
    (void) sgtm_process_self();

    ngx_http_sgtm_meter_writer = wr;

    if (ngx_worker == 0) {
        ngx_add_timer(&wr->timer, NGX_HTTP_SGTM_METER_LOOK);
    }

    return NGX_OK;
}


static ngx_http_sgtm_main_conf_t *
ngx_http_sgtm_meter_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf == NULL || smcf->meter == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NULL;
    }

    return smcf;
}


static void
ngx_http_sgtm_meter_timer(ngx_event_t *ev)
{
    sgtm_meter_stat_t              stat;
    ngx_http_sgtm_meter_writer_t  *wr;

    wr = ngx_http_sgtm_meter_writer;

    ngx_add_timer(ev, NGX_HTTP_SGTM_METER_LOOK);

    if (wr->busy) {
        return;
    }

    sgtm_meter_stat(wr->head->meter, &stat);

    wr->write = (ngx_current_msec - wr->written >= wr->conf->interval);

    if (!wr->write && stat.tenants == wr->tenants) {
        return;
    }

    wr->now = ngx_time();

    if (ngx_thread_task_post(wr->conf->threads, wr->task) != NGX_OK) {
        return;
    }

    wr->busy = 1;
    wr->tenants = stat.tenants;

    if (wr->write) {
        wr->written = ngx_current_msec;
    }
}


/* in the thread */

static void
ngx_http_sgtm_meter_run(void *data, ngx_log_t *log)
{
    ngx_http_sgtm_meter_writer_t *wr = data;

    wr->rc = sgtm_meter_write(wr->head->meter, wr->file, wr->now, wr->write);
}


static void
ngx_http_sgtm_meter_done(ngx_event_t *ev)
{
    ngx_http_sgtm_meter_writer_t *wr = ev->data;

    wr->busy = 0;

    ngx_http_sgtm_meter_note(wr);
}


/* what a pass came to, for the status and the log */

static void
ngx_http_sgtm_meter_note(ngx_http_sgtm_meter_writer_t *wr)
{
    const char                  *text;
    ngx_slab_pool_t             *shpool;
    ngx_atomic_uint_t            last, now;
    ngx_http_sgtm_meter_head_t  *head;

    head = wr->head;
    shpool = (ngx_slab_pool_t *) wr->conf->zone->shm.addr;

    if (wr->rc == SGTM_DECLINED || (wr->rc == SGTM_OK && !wr->write)) {
        return;
    }

    text = (wr->rc == SGTM_OK) ? "" : sgtm_meter_file_error(wr->file);

    ngx_shmtx_lock(&shpool->mutex);

    (void) ngx_cpystrn(head->error, (u_char *) text, SGTM_METER_ERROR);
    head->error_time = ngx_time();

    ngx_shmtx_unlock(&shpool->mutex);

    if (wr->rc == SGTM_OK) {
        return;
    }

    now = (ngx_atomic_uint_t) ngx_time();
    last = head->complained;

    if ((last == 0 || now - last >= NGX_HTTP_SGTM_METER_COMPLAIN)
        && ngx_atomic_cmp_set(&head->complained, last, now))
    {
        ngx_log_error(NGX_LOG_ERR, wr->log, 0, "sgtm_meter: %s", text);
    }
}


/* no requests wait any more, and the threads have ended */

void
ngx_http_sgtm_meter_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                     i;
    ngx_http_sgtm_meter_writer_t  *wr;

    wr = ngx_http_sgtm_meter_writer;

    if (wr == NULL) {
        return;
    }

    ngx_time_update();

    wr->now = ngx_time();
    wr->write = 1;

    for (i = 0; i < NGX_HTTP_SGTM_METER_PATIENCE / NGX_HTTP_SGTM_METER_NAP;
         i++)
    {
        wr->rc = sgtm_meter_write(wr->head->meter, wr->file, wr->now, 1);

        if (wr->rc != SGTM_DECLINED) {
            break;
        }

        ngx_msleep(NGX_HTTP_SGTM_METER_NAP);
    }

    ngx_http_sgtm_meter_note(wr);

    sgtm_meter_file_destroy(wr->file);

    ngx_http_sgtm_meter_writer = NULL;
}


#else /* !NGX_THREADS */


ngx_int_t
ngx_http_sgtm_meter_init_module(ngx_cycle_t *cycle)
{
    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_meter_init_process(ngx_cycle_t *cycle)
{
    return NGX_OK;
}


void
ngx_http_sgtm_meter_exit_process(ngx_cycle_t *cycle)
{
}


#endif
