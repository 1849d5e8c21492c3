
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_tenants_apply.h"
#include "ngx_http_sgtm_tenants_file.h"
#include "ngx_http_sgtm_zone.h"


/* milliseconds between two looks; a long look is followed by a long rest */
#define NGX_HTTP_SGTM_FILE_LOOK     250
#define NGX_HTTP_SGTM_FILE_REST     4

/* files that never come to rest are read after so many looks */
#define NGX_HTTP_SGTM_FILE_RESTLESS  8

/* between two slices, and if another writer or readers have to be waited for */
#define NGX_HTTP_SGTM_FILE_NEXT     1
#define NGX_HTTP_SGTM_FILE_WAIT     10

/* chains and blocks of the registry between two looks at the clock */
#define NGX_HTTP_SGTM_FILE_PARTS    64


typedef struct ngx_http_sgtm_file_s  ngx_http_sgtm_file_t;

/*
 * A part of some work.  NGX_OK: it is done; NGX_AGAIN: there is more; NGX_BUSY:
 * also, but not now; NGX_DECLINED: it is of no use any more.
 */

typedef ngx_int_t (*ngx_http_sgtm_file_pt)(ngx_http_sgtm_file_t *file);


struct ngx_http_sgtm_file_s {
    ngx_http_sgtm_tenants_t     *source;
    ngx_http_sgtm_records_t    *records;
    ngx_log_t                  *log;
    ngx_event_t                 timer;
    ngx_connection_t            dummy;     /* of the timer, for debug logs */

    ngx_http_sgtm_file_pt       work;      /* NULL: it rests */
    void                      (*done)(ngx_http_sgtm_file_t *file);
    uint64_t                    began;     /* nanoseconds */

    sgtm_look_walk_t            walk;
    sgtm_look_t                 last;      /* of the look before */
    ngx_uint_t                  restless;
    ngx_msec_t                  rest;
    time_t                      checked;   /* which readers are alive */

    sgtm_load_t                *load;
    unsigned                    rc;        /* sgtm_load_rc_e */
    size_t                      bucket;    /* of the walk over what is known */
    ngx_http_sgtm_apply_t       apply;

#if (NGX_THREADS)
    ngx_thread_task_t          *task;
#endif
};


static void ngx_http_sgtm_file_timer(ngx_event_t *ev);
static ngx_uint_t ngx_http_sgtm_file_ends(ngx_http_sgtm_file_t *file);
static void ngx_http_sgtm_file_begin(ngx_http_sgtm_file_t *file,
    ngx_http_sgtm_file_pt work, void (*done)(ngx_http_sgtm_file_t *file),
    ngx_uint_t blocks);
static void ngx_http_sgtm_file_slice(ngx_http_sgtm_file_t *file);
static void ngx_http_sgtm_file_rest(ngx_http_sgtm_file_t *file);
static void ngx_http_sgtm_file_reclaim(ngx_http_sgtm_file_t *file);

static ngx_int_t ngx_http_sgtm_file_look(ngx_http_sgtm_file_t *file);
static void ngx_http_sgtm_file_looked(ngx_http_sgtm_file_t *file);
static ngx_int_t ngx_http_sgtm_file_back(ngx_http_sgtm_file_t *file);
static ngx_int_t ngx_http_sgtm_file_collect(ngx_http_sgtm_file_t *file);
static void ngx_http_sgtm_file_known(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info);
static void ngx_http_sgtm_file_collected(ngx_http_sgtm_file_t *file);
static ngx_int_t ngx_http_sgtm_file_load(ngx_http_sgtm_file_t *file);
static void ngx_http_sgtm_file_loaded(ngx_http_sgtm_file_t *file);
static ngx_int_t ngx_http_sgtm_file_refuse(ngx_http_sgtm_file_t *file);
static ngx_int_t ngx_http_sgtm_file_apply(ngx_http_sgtm_file_t *file);
static void ngx_http_sgtm_file_end(ngx_http_sgtm_file_t *file);
static ngx_int_t ngx_http_sgtm_file_free(ngx_http_sgtm_file_t *file);

#if (NGX_THREADS)
static void ngx_http_sgtm_file_thread(void *data, ngx_log_t *log);
static void ngx_http_sgtm_file_thread_done(ngx_event_t *ev);
#endif


ngx_int_t
ngx_http_sgtm_tenants_file_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_file_t       *file;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf == NULL || smcf->source == NULL || smcf->redis
        || ngx_worker != 0
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    file = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_file_t));
    if (file == NULL) {
        return NGX_ERROR;
    }

    file->source = smcf->source;
    file->records = ngx_http_sgtm_tenants_records(smcf);
    file->log = cycle->log;

#if (NGX_THREADS)

    file->task = ngx_thread_task_alloc(cycle->pool, 0);
    if (file->task == NULL) {
        return NGX_ERROR;
    }

    file->task->ctx = file;
    file->task->handler = ngx_http_sgtm_file_thread;
    file->task->event.data = file;
    file->task->event.handler = ngx_http_sgtm_file_thread_done;
    file->task->event.log = cycle->log;

#endif

    file->dummy.fd = (ngx_socket_t) -1;

    file->timer.handler = ngx_http_sgtm_file_timer;
    file->timer.data = &file->dummy;
    file->timer.log = cycle->log;
    file->timer.cancelable = 1;

    /* a worker that died may have left something to do */

    ngx_add_timer(&file->timer, NGX_HTTP_SGTM_FILE_NEXT);

    return NGX_OK;
}


static void
ngx_http_sgtm_file_timer(ngx_event_t *ev)
{
    ngx_http_sgtm_file_t  *file;

    file = (ngx_http_sgtm_file_t *) ((u_char *) ev->data
                                     - offsetof(ngx_http_sgtm_file_t, dummy));

    if (ngx_http_sgtm_file_ends(file)) {
        return;
    }

    if (file->work) {
        ngx_http_sgtm_file_slice(file);
        return;
    }

    ngx_http_sgtm_file_reclaim(file);

    sgtm_look_begin(&file->walk, (char *) file->source->path.data);

    ngx_http_sgtm_file_begin(file, ngx_http_sgtm_file_look,
                             ngx_http_sgtm_file_looked, 1);
}


/* another worker does it from now on */

static ngx_uint_t
ngx_http_sgtm_file_ends(ngx_http_sgtm_file_t *file)
{
    if (!ngx_exiting && file->records->epoch == file->source->epoch) {
        return 0;
    }

    sgtm_look_end(&file->walk);
    sgtm_load_destroy(file->load);

    file->load = NULL;
    file->work = NULL;

    return 1;
}


static void
ngx_http_sgtm_file_begin(ngx_http_sgtm_file_t *file,
    ngx_http_sgtm_file_pt work, void (*done)(ngx_http_sgtm_file_t *file),
    ngx_uint_t blocks)
{
    file->work = work;
    file->done = done;
    file->began = ngx_http_sgtm_now();

#if (NGX_THREADS)

    if (blocks
        && ngx_thread_task_post(file->source->threads, file->task) == NGX_OK)
    {
        return;
    }

#endif

    ngx_http_sgtm_file_slice(file);
}


static void
ngx_http_sgtm_file_slice(ngx_http_sgtm_file_t *file)
{
    uint64_t   until;
    ngx_int_t  rc;

    until = ngx_http_sgtm_now() + NGX_HTTP_SGTM_SLICE;

    do {
        rc = file->work(file);
    } while (rc == NGX_AGAIN && ngx_http_sgtm_now() < until);

    switch (rc) {

    case NGX_OK:
        file->done(file);
        return;

    case NGX_AGAIN:
        ngx_add_timer(&file->timer, NGX_HTTP_SGTM_FILE_NEXT);
        return;

    case NGX_BUSY:
        ngx_add_timer(&file->timer, NGX_HTTP_SGTM_FILE_WAIT);
        return;

    default:
        ngx_http_sgtm_file_end(file);
    }
}


#if (NGX_THREADS)

static void
ngx_http_sgtm_file_thread(void *data, ngx_log_t *log)
{
    ngx_http_sgtm_file_t *file = data;

    /* a process that ends waits for its threads */

    while (file->work(file) == NGX_AGAIN
           && !ngx_exiting && !ngx_terminate)
    {
        /* void */
    }
}


static void
ngx_http_sgtm_file_thread_done(ngx_event_t *ev)
{
    ngx_http_sgtm_file_t *file = ev->data;

    if (!ngx_http_sgtm_file_ends(file)) {
        file->done(file);
    }
}

#endif


static void
ngx_http_sgtm_file_rest(ngx_http_sgtm_file_t *file)
{
    file->work = NULL;

    ngx_add_timer(&file->timer, ngx_max(file->rest,
                                        NGX_HTTP_SGTM_FILE_LOOK));
}


/* what was replaced is freed once those who read it have gone */

static void
ngx_http_sgtm_file_reclaim(ngx_http_sgtm_file_t *file)
{
    int                check;
    time_t             now;
    uint64_t           until;
    sgtm_registry_t   *registry;

    registry = file->records->registry;

    if (sgtm_registry_lock(registry) != SGTM_OK) {
        return;
    }

    now = ngx_time();
    check = (now != file->checked);
    file->checked = now;

    until = ngx_http_sgtm_now() + NGX_HTTP_SGTM_SLICE;

    while ((sgtm_registry_repair(registry, NGX_HTTP_SGTM_FILE_PARTS)
            || sgtm_registry_reclaim(registry, NGX_HTTP_SGTM_FILE_PARTS,
                                     check))
           && ngx_http_sgtm_now() < until)
    {
        /* void */
    }

    sgtm_registry_unlock(registry);
}


static ngx_int_t
ngx_http_sgtm_file_look(ngx_http_sgtm_file_t *file)
{
    const char  *name;

    return sgtm_look_step(&file->walk, &name) ? NGX_AGAIN : NGX_OK;
}


/*
 * What has changed is read when it looks the same twice: who writes a file in
 * place is not done at once.
 */

static void
ngx_http_sgtm_file_looked(ngx_http_sgtm_file_t *file)
{
    sgtm_look_t           *look;
    sgtm_registry_stat_t   stat;
    ngx_http_sgtm_note_t   note;

    static const sgtm_look_t  none;

    look = &file->walk.look;

    file->rest = NGX_HTTP_SGTM_FILE_REST
                 * (ngx_msec_t) ((ngx_http_sgtm_now() - file->began)
                                 / 1000000);

    ngx_http_sgtm_note_get(file->records, &note);

    if (sgtm_look_same(look, &note.loaded)
        || sgtm_look_same(look, &note.refused))
    {
        file->restless = 0;
        file->last = *look;

        if (sgtm_look_same(look, &note.refused)
            || sgtm_look_same(&none, &note.refused))
        {
            ngx_http_sgtm_file_rest(file);
            return;
        }

        ngx_http_sgtm_file_begin(file, ngx_http_sgtm_file_back,
                                 ngx_http_sgtm_file_rest, 0);
        return;
    }

    if (!sgtm_look_same(look, &file->last)
        && ++file->restless < NGX_HTTP_SGTM_FILE_RESTLESS)
    {
        file->last = *look;
        ngx_http_sgtm_file_rest(file);
        return;
    }

    file->restless = 0;
    file->bucket = 0;

    sgtm_registry_stat(file->records->registry, &stat);

    file->load = sgtm_load_create(&file->source->conf, stat.records);

    if (file->load == NULL) {
        ngx_http_sgtm_file_rest(file);
        return;
    }

    ngx_http_sgtm_file_begin(file, ngx_http_sgtm_file_collect,
                             ngx_http_sgtm_file_collected, 0);
}


/* a file system was away and is back, with what was loaded of it */

static ngx_int_t
ngx_http_sgtm_file_back(ngx_http_sgtm_file_t *file)
{
    return ngx_http_sgtm_apply_back(file->records);
}


/* what is there already need not be kept when it is read */

static ngx_int_t
ngx_http_sgtm_file_collect(ngx_http_sgtm_file_t *file)
{
    return ngx_http_sgtm_tenants_walk(file->records, &file->bucket,
                                      NGX_HTTP_SGTM_FILE_PARTS,
                                      ngx_http_sgtm_file_known, file->load)
           ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_sgtm_file_known(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info)
{
    if (info->source == NGX_HTTP_SGTM_SOURCE_FILE) {
        sgtm_load_known(data, info->sum);
    }
}


static void
ngx_http_sgtm_file_collected(ngx_http_sgtm_file_t *file)
{
    ngx_http_sgtm_file_begin(file, ngx_http_sgtm_file_load,
                             ngx_http_sgtm_file_loaded, 1);
}


static ngx_int_t
ngx_http_sgtm_file_load(ngx_http_sgtm_file_t *file)
{
    file->rc = sgtm_load_step(file->load);

    return (file->rc == SGTM_LOAD_MORE) ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_sgtm_file_loaded(ngx_http_sgtm_file_t *file)
{
    switch (file->rc) {

    case SGTM_LOAD_BAD:
        ngx_http_sgtm_file_begin(file, ngx_http_sgtm_file_refuse,
                                 ngx_http_sgtm_file_end, 0);
        return;

    case SGTM_LOAD_DONE:
        ngx_http_sgtm_apply_warn(file->load, file->log);

        ngx_http_sgtm_apply_begin(&file->apply, file->records, file->source,
                                  file->load, file->log);

        ngx_http_sgtm_file_begin(file, ngx_http_sgtm_file_apply,
                                 ngx_http_sgtm_file_end, 0);
        return;

    default: /* SGTM_LOAD_CHANGED */
        ngx_memzero(&file->last, sizeof(sgtm_look_t));
        ngx_http_sgtm_file_end(file);
    }
}


static ngx_int_t
ngx_http_sgtm_file_refuse(ngx_http_sgtm_file_t *file)
{
    return ngx_http_sgtm_apply_refused(file->records, file->source,
                                       file->load, file->log);
}


static ngx_int_t
ngx_http_sgtm_file_apply(ngx_http_sgtm_file_t *file)
{
    return ngx_http_sgtm_apply(&file->apply);
}


/* to give much memory back takes longer than a slice may */

static void
ngx_http_sgtm_file_end(ngx_http_sgtm_file_t *file)
{
    ngx_http_sgtm_file_begin(file, ngx_http_sgtm_file_free,
                             ngx_http_sgtm_file_rest, 1);
}


static ngx_int_t
ngx_http_sgtm_file_free(ngx_http_sgtm_file_t *file)
{
    if (file->load && sgtm_load_free(file->load)) {
        return NGX_AGAIN;
    }

    file->load = NULL;

    return NGX_OK;
}
