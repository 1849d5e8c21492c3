
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_spool.h"
#include "sgtm_journal.h"


#define NGX_HTTP_SGTM_SPOOL_SIZE      ((off_t) 1024 * 1024 * 1024)
#define NGX_HTTP_SGTM_SPOOL_MIN       ((off_t) 1024 * 1024)

/* bytes that may wait for a thread in a worker: seconds of a stalled disk */
#define NGX_HTTP_SGTM_SPOOL_PENDING   (16 * 1024 * 1024)

#define NGX_HTTP_SGTM_SPOOL_STALLED   60000
#define NGX_HTTP_SGTM_SPOOL_COMPLAIN  60

#if (NGX_THREADS)

/*
 * What a worker has of the spool.  A task is in flight or not; what comes in
 * meanwhile is the next one's, so that groups grow with the load.
 */

typedef struct {
    sgtm_journal_t              *journal;
    ngx_http_sgtm_spool_t       *conf;
    ngx_http_sgtm_spool_stat_t  *stat;
    ngx_log_t                   *log;

    /* for the next task */

    ngx_http_sgtm_put_t         *puts;
    sgtm_record_t              **last_put;
    size_t                       size;     /* of all hits that wait */
    size_t                       seen;     /* when begin was put off */
    ngx_msec_t                   since;    /* begin is posted */

    ngx_thread_task_t           *task;     /* its ctx is this */
    ngx_event_t                  begin;    /* posted: the loop's events first */
    ngx_event_t                  stalled;  /* not cancelable: a worker that
                                              exits waits for the thread */
    ngx_connection_t             dummy;    /* of the timers, for debug logs */

    /* of the task in flight, the thread's own while it runs */

    ngx_http_sgtm_put_t         *task_puts;
    int                          rc;
    u_char                       error[NGX_HTTP_SGTM_SPOOL_ERROR];

    unsigned                     busy:1;
} ngx_http_sgtm_spooler_t;


static ngx_int_t ngx_http_sgtm_spool_option(ngx_conf_t *cf,
    ngx_http_sgtm_spool_t *spool, ngx_str_t *value);
static void ngx_http_sgtm_spool_wake(ngx_http_sgtm_spooler_t *sp);
static void ngx_http_sgtm_spool_begin(ngx_event_t *ev);
static void ngx_http_sgtm_spool_run(void *data, ngx_log_t *log);
static void ngx_http_sgtm_spool_done(ngx_event_t *ev);
static void ngx_http_sgtm_spool_kept(ngx_http_sgtm_spooler_t *sp);
static void ngx_http_sgtm_spool_stalled(ngx_event_t *ev);


static ngx_conf_enum_t  ngx_http_sgtm_spool_syncs[] = {
    { ngx_string("interval"), SGTM_STORE_SYNC_INTERVAL },
    { ngx_string("always"), SGTM_STORE_SYNC_ALWAYS },
    { ngx_string("off"), SGTM_STORE_SYNC_OFF },
    { ngx_null_string, 0 }
};


static ngx_http_sgtm_spooler_t  *ngx_http_sgtm_spooler;


char *
ngx_http_sgtm_conf_spool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_main_conf_t *smcf = conf;

    ngx_str_t              *value;
    ngx_uint_t              i;
    ngx_http_sgtm_spool_t  *spool;

    if (smcf->spool) {
        return "is duplicate";
    }

    spool = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_spool_t));
    if (spool == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1], "a directory");
    }

    spool->path = value[1];

    if (ngx_conf_full_name(cf->cycle, &spool->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    spool->store.kept = 1;
    spool->store.max_size = NGX_HTTP_SGTM_SPOOL_SIZE;
    spool->store.sync = SGTM_STORE_SYNC_INTERVAL;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sgtm_spool_option(cf, spool, &value[i]) != NGX_OK) {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                              "\"max_size=\" of at least 1m, "
                                              "\"sync=interval\", "
                                              "\"sync=always\" or "
                                              "\"sync=off\"");
        }
    }

    spool->threads = ngx_thread_pool_add(cf, NULL);
    if (spool->threads == NULL) {
        return NGX_CONF_ERROR;
    }

    smcf->spool = spool;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sgtm_spool_option(ngx_conf_t *cf, ngx_http_sgtm_spool_t *spool,
    ngx_str_t *value)
{
    off_t             size;
    ngx_str_t         s;
    ngx_conf_enum_t  *e;

    if (ngx_strncmp(value->data, "max_size=", 9) == 0) {

        s.data = value->data + 9;
        s.len = value->len - 9;

        size = ngx_parse_offset(&s);

        if (size == (off_t) NGX_ERROR || size < NGX_HTTP_SGTM_SPOOL_MIN) {
            return NGX_ERROR;
        }

        spool->store.max_size = size;

        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "sync=", 5) != 0) {
        return NGX_ERROR;
    }

    for (e = ngx_http_sgtm_spool_syncs; e->name.len; e++) {
        if (e->name.len == value->len - 5
            && ngx_strncmp(e->name.data, value->data + 5, e->name.len) == 0)
        {
            spool->store.sync = e->value;
            return NGX_OK;
        }
    }

    return NGX_ERROR;
}


/* without it, hits that would need it are refused, and the log says why */

ngx_int_t
ngx_http_sgtm_spool_init_module(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf && smcf->spool) {
        ngx_http_sgtm_conf_directory(cycle, &smcf->spool->path,
                                     "hits can't be kept");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_spool_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_spooler_t    *sp;
    ngx_http_sgtm_main_conf_t  *smcf;

    ngx_http_sgtm_spooler = NULL;

    smcf = ngx_http_sgtm_spool_process(cycle);

    if (smcf == NULL) {
        return NGX_OK;
    }

    sp = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_spooler_t));
    if (sp == NULL) {
        return NGX_ERROR;
    }

    sp->journal = sgtm_journal_create((const char *) smcf->spool->path.data,
                                      &smcf->spool->store);
    if (sp->journal == NULL) {
        return NGX_ERROR;
    }

    sp->task = ngx_thread_task_alloc(cycle->pool, 0);
    if (sp->task == NULL) {
        return NGX_ERROR;
    }

    sp->conf = smcf->spool;
    sp->stat = ngx_http_sgtm_spool_stat(smcf);
    sp->log = cycle->log;

    sp->task->ctx = sp;
    sp->task->handler = ngx_http_sgtm_spool_run;
    sp->task->event.data = sp;
    sp->task->event.handler = ngx_http_sgtm_spool_done;
    sp->task->event.log = cycle->log;

    sp->dummy.fd = (ngx_socket_t) -1;

    sp->begin.handler = ngx_http_sgtm_spool_begin;
    sp->begin.data = sp;
    sp->begin.log = cycle->log;

    sp->stalled.handler = ngx_http_sgtm_spool_stalled;
    sp->stalled.data = &sp->dummy;
    sp->stalled.log = cycle->log;

    ngx_http_sgtm_spooler = sp;

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_spool_put(ngx_http_sgtm_put_t *put)
{
    ngx_http_sgtm_spooler_t  *sp;

    sp = ngx_http_sgtm_spooler;

    if (sp == NULL) {
        return NGX_DECLINED;
    }

    if (sp->size + put->size > NGX_HTTP_SGTM_SPOOL_PENDING) {
        (void) ngx_atomic_fetch_add(&sp->stat->refused, 1);

        ngx_http_sgtm_spool_complain(sp->stat, sp->log,
                                     (u_char *) "more waits for the disk than "
                                     "memory may hold");
        return NGX_DECLINED;
    }

    put->record.next = NULL;
    sp->size += put->size;

    if (sp->puts == NULL) {
        sp->puts = put;

    } else {
        *sp->last_put = &put->record;
    }

    sp->last_put = &put->record.next;

    if (!sp->busy) {
        ngx_http_sgtm_spool_wake(sp);
    }

    return NGX_OK;
}


/* a worker that is told to exit would not wait for a posted event alone */

static void
ngx_http_sgtm_spool_wake(ngx_http_sgtm_spooler_t *sp)
{
    if (!sp->stalled.timer_set) {
        ngx_add_timer(&sp->stalled, NGX_HTTP_SGTM_SPOOL_STALLED);
    }

    if (sp->begin.posted) {
        return;
    }

    sp->since = ngx_current_msec;
    sp->seen = 0;

    ngx_post_event(&sp->begin, &ngx_posted_events);
}


/* hands all that waits to a thread */

static void
ngx_http_sgtm_spool_begin(ngx_event_t *ev)
{
    ngx_http_sgtm_spooler_t *sp = ev->data;

    if (sp->busy || sp->puts == NULL) {
        return;
    }

    /*
     * A thread's way there and back costs as much as ten hits: as long as
     * there are events, what they bring goes along, for a millisecond at most.
     */

    if (sp->size != sp->seen && sp->since == ngx_current_msec) {
        sp->seen = sp->size;
        ngx_post_event(&sp->begin, &ngx_posted_next_events);
        return;
    }

    sp->task_puts = sp->puts;
    sp->puts = NULL;

    sp->rc = SGTM_STORE_OK;
    sp->busy = 1;

    if (ngx_thread_task_post(sp->conf->threads, sp->task) == NGX_OK) {
        return;
    }

    /* the pool's queue is full */

    sp->rc = SGTM_STORE_FAILED;
    (void) ngx_cpystrn(sp->error, (u_char *) "no thread is free",
                       NGX_HTTP_SGTM_SPOOL_ERROR);

    ngx_http_sgtm_spool_done(&sp->task->event);
}


/* in the thread */

static void
ngx_http_sgtm_spool_run(void *data, ngx_log_t *log)
{
    ngx_http_sgtm_spooler_t *sp = data;

    sp->error[0] = '\0';

    sp->rc = sgtm_journal_put(sp->journal, &sp->task_puts->record);

    if (sp->rc != SGTM_STORE_OK) {
        (void) ngx_cpystrn(sp->error,
                           (u_char *) sgtm_journal_error(sp->journal),
                           NGX_HTTP_SGTM_SPOOL_ERROR);
    }
}


/* on the event loop again */

static void
ngx_http_sgtm_spool_done(ngx_event_t *ev)
{
    ngx_http_sgtm_spooler_t *sp = ev->data;

    ngx_del_timer(&sp->stalled);

    if (sp->error[0]) {
        ngx_http_sgtm_spool_complain(sp->stat, sp->log, sp->error);
    }

    /* it is busy still: what handlers put is for the next task */

    ngx_http_sgtm_spool_kept(sp);

    sp->busy = 0;

    if (sp->puts) {
        ngx_http_sgtm_spool_wake(sp);
    }
}


static void
ngx_http_sgtm_spool_kept(ngx_http_sgtm_spooler_t *sp)
{
    ngx_int_t             rc;
    ngx_uint_t            n;
    sgtm_record_t        *record, *next;
    ngx_http_sgtm_put_t  *put;

    rc = (sp->rc == SGTM_STORE_OK) ? NGX_OK : NGX_ERROR;

    for (n = 0, record = &sp->task_puts->record; record; n++) {
        record = record->next;
    }

    if (rc == NGX_OK) {
        /* the first: who sees it unchanged has not missed any that waits */

        (void) ngx_atomic_fetch_add(&sp->stat->puts, 1);
        (void) ngx_atomic_fetch_add(&sp->stat->waiting, n);
        (void) ngx_atomic_fetch_add(&sp->stat->kept, n);

    } else {
        (void) ngx_atomic_fetch_add(&sp->stat->refused, n);
    }

    record = &sp->task_puts->record;
    sp->task_puts = NULL;

    for ( /* void */ ; record; record = next) {
        next = record->next;

        put = (ngx_http_sgtm_put_t *) record;

        put->rc = rc;
        sp->size -= put->size;

        if (put->handler) {
            put->handler(put);
        }

        ngx_free(put);
    }
}


void
ngx_http_sgtm_spool_complain(ngx_http_sgtm_spool_stat_t *stat, ngx_log_t *log,
    u_char *text)
{
    ngx_atomic_uint_t  last, now;

    now = (ngx_atomic_uint_t) ngx_time();
    last = stat->complained;

    if (last && now - last < NGX_HTTP_SGTM_SPOOL_COMPLAIN) {
        return;
    }

    if (ngx_atomic_cmp_set(&stat->complained, last, now)) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "sgtm_spool: %s", text);
    }
}


static void
ngx_http_sgtm_spool_stalled(ngx_event_t *ev)
{
    ngx_http_sgtm_spooler_t  *sp;

    sp = ngx_http_sgtm_spooler;

    ngx_log_error(NGX_LOG_CRIT, sp->log, 0,
                  "sgtm_spool \"%V\": the disk has not answered for a minute",
                  &sp->conf->path);

    ngx_add_timer(&sp->stalled, NGX_HTTP_SGTM_SPOOL_STALLED);
}


#else /* !NGX_THREADS */


char *
ngx_http_sgtm_conf_spool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return "needs an nginx that is built with \"--with-threads\"";
}


ngx_int_t
ngx_http_sgtm_spool_init_module(ngx_cycle_t *cycle)
{
    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_spool_init_process(ngx_cycle_t *cycle)
{
    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_spool_put(ngx_http_sgtm_put_t *put)
{
    return NGX_DECLINED;
}


#endif


ngx_http_sgtm_main_conf_t *
ngx_http_sgtm_spool_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf == NULL || smcf->spool == NULL || smcf->zone == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NULL;
    }

    return smcf;
}


ngx_http_sgtm_spool_stat_t *
ngx_http_sgtm_spool_stat(ngx_http_sgtm_main_conf_t *smcf)
{
    return &ngx_http_sgtm_zone(smcf)->spool;
}
