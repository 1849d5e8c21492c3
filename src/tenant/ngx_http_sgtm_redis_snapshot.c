
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The tenants on disk, for a start without Redis: a file as sgtm_tenants file=
 * has it.  The loop makes the text, in pieces; a thread writes it.
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis_core.h"

#include <sys/file.h>


#if (NGX_THREADS)


/* bytes for a thread to write, and nanoseconds for the loop to make them */
#define NGX_HTTP_SGTM_REDIS_SNAP_PIECE  (128 * 1024)
#define NGX_HTTP_SGTM_REDIS_SNAP_SLICE  500000

/* from one to the next, at least; or what it has taken so many times */
#define NGX_HTTP_SGTM_REDIS_SNAP_PAUSE  10000
#define NGX_HTTP_SGTM_REDIS_SNAP_SHARE  20


struct ngx_http_sgtm_redis_snap_s {
    ngx_http_sgtm_redis_owner_t  *owner;
    ngx_thread_task_t            *task;
    ngx_event_t                   slice;       /* posted */

    size_t                        next;        /* of the sink's walk */
    ngx_uint_t                    records;
    ngx_msec_t                    began;
    ngx_msec_t                    ended;
    ngx_err_t                     complained;  /* of what the log was told */

    u_char                       *piece;
    u_char                       *last;
    u_char                       *end;

    /* the thread's, while it runs */

    ngx_fd_t                      fd;
    ngx_err_t                     err;
    char                         *failed;      /* the call that has */

    unsigned                      on:1;
    unsigned                      first:1;     /* piece */
    unsigned                      final:1;
    unsigned                      once:1;      /* it has been tried */
    unsigned                      memory:1;    /* there was none */
};


static ngx_int_t ngx_http_sgtm_redis_snap_make(ngx_http_sgtm_redis_snap_t *sn);
static void ngx_http_sgtm_redis_snap_slice(ngx_event_t *ev);
static void ngx_http_sgtm_redis_snap_record(void *ctx, ngx_str_t *json);
static void ngx_http_sgtm_redis_snap_text(ngx_http_sgtm_redis_snap_t *sn,
    u_char *text, size_t len);
static void ngx_http_sgtm_redis_snap_run(void *data, ngx_log_t *log);
static ngx_int_t ngx_http_sgtm_redis_snap_open(ngx_http_sgtm_redis_snap_t *sn);
static ngx_int_t ngx_http_sgtm_redis_snap_write(
    ngx_http_sgtm_redis_snap_t *sn);
static ngx_int_t ngx_http_sgtm_redis_snap_close(
    ngx_http_sgtm_redis_snap_t *sn);
static ngx_int_t ngx_http_sgtm_redis_snap_failed(
    ngx_http_sgtm_redis_snap_t *sn, char *call);
static void ngx_http_sgtm_redis_snap_done(ngx_event_t *ev);
static void ngx_http_sgtm_redis_snap_end(ngx_http_sgtm_redis_snap_t *sn);


ngx_int_t
ngx_http_sgtm_redis_snapshot_init(ngx_http_sgtm_redis_owner_t *o,
    ngx_cycle_t *cycle)
{
    ngx_http_sgtm_redis_snap_t  *sn;

    if (o->conf->snapshot.len == 0) {
        return NGX_OK;
    }

    sn = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_redis_snap_t));
    if (sn == NULL) {
        return NGX_ERROR;
    }

    sn->task = ngx_thread_task_alloc(cycle->pool, 0);
    if (sn->task == NULL) {
        return NGX_ERROR;
    }

    sn->owner = o;
    sn->fd = NGX_INVALID_FILE;

    sn->task->ctx = sn;
    sn->task->handler = ngx_http_sgtm_redis_snap_run;
    sn->task->event.data = sn;
    sn->task->event.handler = ngx_http_sgtm_redis_snap_done;
    sn->task->event.log = o->log;

    sn->slice.handler = ngx_http_sgtm_redis_snap_slice;
    sn->slice.data = sn;
    sn->slice.log = o->log;

    o->snap = sn;

    return NGX_OK;
}


void
ngx_http_sgtm_redis_snapshot_tick(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_msec_t                   pause;
    ngx_http_sgtm_redis_snap_t  *sn;

    sn = o->snap;

    if (sn == NULL || sn->on || !o->dirty
        || o->stat->state != NGX_HTTP_SGTM_REDIS_SYNCED)
    {
        return;
    }

    pause = ngx_max((sn->ended - sn->began) * NGX_HTTP_SGTM_REDIS_SNAP_SHARE,
                    NGX_HTTP_SGTM_REDIS_SNAP_PAUSE);

    if (sn->once && ngx_current_msec - sn->ended < pause) {
        return;
    }

    sn->on = 1;
    sn->once = 1;
    sn->first = 1;
    sn->final = 0;
    sn->memory = 0;
    sn->next = 0;
    sn->records = 0;
    sn->failed = NULL;
    sn->began = ngx_current_msec;

    /* what changes while it is made is in the next one */

    o->dirty = 0;

    ngx_http_sgtm_redis_snap_text(sn, (u_char *) "{\"tenants\":[\n", 13);
    ngx_http_sgtm_redis_snap_slice(&sn->slice);
}


static void
ngx_http_sgtm_redis_snap_slice(ngx_event_t *ev)
{
    ngx_http_sgtm_redis_snap_t *sn = ev->data;

    /* the next generation makes one of its own */

    if (ngx_http_sgtm_redis_ended(sn->owner)) {
        return;
    }

    if (ngx_http_sgtm_redis_snap_make(sn) == NGX_AGAIN) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    if (ngx_thread_task_post(sn->owner->conf->threads, sn->task) != NGX_OK) {
        sn->err = NGX_EBUSY;
        sn->failed = "a thread for";
        ngx_http_sgtm_redis_snap_end(sn);
    }
}


/* NGX_OK: there is a piece; NGX_AGAIN: that was enough for now */

static ngx_int_t
ngx_http_sgtm_redis_snap_make(ngx_http_sgtm_redis_snap_t *sn)
{
    uint64_t                      time;
    ngx_int_t                     rc;
    ngx_http_sgtm_redis_owner_t  *o;

    o = sn->owner;
    time = ngx_http_sgtm_redis_clock();

    while (sn->last - sn->piece < NGX_HTTP_SGTM_REDIS_SNAP_PIECE) {

        if (ngx_http_sgtm_redis_clock() - time > NGX_HTTP_SGTM_REDIS_SNAP_SLICE)
        {
            ngx_http_sgtm_redis_sliced(o, ngx_http_sgtm_redis_clock() - time);
            return NGX_AGAIN;
        }

        rc = o->sink->walk(o->sink_data, &sn->next,
                           ngx_http_sgtm_redis_snap_record, sn);

        if (rc == NGX_ERROR || sn->memory) {
            sn->err = NGX_ENOMEM;
            sn->failed = "memory for";
            break;
        }

        if (rc == NGX_OK) {
            ngx_http_sgtm_redis_snap_text(sn, (u_char *) "\n]}\n", 4);
            sn->final = 1;
            break;
        }
    }

    ngx_http_sgtm_redis_sliced(o, ngx_http_sgtm_redis_clock() - time);

    return NGX_OK;
}


static void
ngx_http_sgtm_redis_snap_record(void *ctx, ngx_str_t *json)
{
    ngx_http_sgtm_redis_snap_t *sn = ctx;

    if (sn->records++) {
        ngx_http_sgtm_redis_snap_text(sn, (u_char *) ",\n", 2);
    }

    ngx_http_sgtm_redis_snap_text(sn, json->data, json->len);
}


static void
ngx_http_sgtm_redis_snap_text(ngx_http_sgtm_redis_snap_t *sn, u_char *text,
    size_t len)
{
    size_t   size, used;
    u_char  *p;

    used = sn->last - sn->piece;

    if ((size_t) (sn->end - sn->last) < len) {

        size = 2 * ngx_max(used + len, NGX_HTTP_SGTM_REDIS_SNAP_PIECE);

        p = ngx_alloc(size, sn->owner->log);
        if (p == NULL) {
            sn->memory = 1;
            return;
        }

        if (used) {
            ngx_memcpy(p, sn->piece, used);
        }

        if (sn->piece) {
            ngx_free(sn->piece);
        }

        sn->piece = p;
        sn->last = p + used;
        sn->end = p + size;
    }

    sn->last = ngx_cpymem(sn->last, text, len);
}


/* in the thread */

static void
ngx_http_sgtm_redis_snap_run(void *data, ngx_log_t *log)
{
    ngx_http_sgtm_redis_snap_t *sn = data;

    if (sn->failed == NULL
        && ngx_http_sgtm_redis_snap_open(sn) == NGX_OK
        && ngx_http_sgtm_redis_snap_write(sn) == NGX_OK)
    {
        if (!sn->final || ngx_http_sgtm_redis_snap_close(sn) == NGX_OK) {
            return;
        }
    }

    if (sn->fd != NGX_INVALID_FILE) {
        (void) ngx_delete_file(sn->owner->conf->temp.data);
        (void) ngx_close_file(sn->fd);
        sn->fd = NGX_INVALID_FILE;
    }
}


/*
 * There is one temporary file, so that none are left behind: who has its lock
 * writes it, and another, of the generation before or after, does not.
 */

static ngx_int_t
ngx_http_sgtm_redis_snap_open(ngx_http_sgtm_redis_snap_t *sn)
{
    u_char           *temp;
    ngx_fd_t          fd;
    ngx_file_info_t   fi, named;

    if (!sn->first) {
        return NGX_OK;
    }

    /* of one that no thread was found for */

    if (sn->fd != NGX_INVALID_FILE) {
        (void) ngx_close_file(sn->fd);
        sn->fd = NGX_INVALID_FILE;
    }

    sn->first = 0;
    temp = sn->owner->conf->temp.data;

    fd = open((const char *) temp, O_WRONLY|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0600);

    if (fd == NGX_INVALID_FILE) {
        return ngx_http_sgtm_redis_snap_failed(sn, "open() of");
    }

    if (flock(fd, LOCK_EX|LOCK_NB) == -1) {
        (void) ngx_http_sgtm_redis_snap_failed(sn, "flock() of");

    /* it may have been renamed before it was locked */

    } else if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR
               || ngx_file_info(temp, &named) == NGX_FILE_ERROR
               || ngx_file_uniq(&fi) != ngx_file_uniq(&named))
    {
        sn->err = NGX_EAGAIN;
        sn->failed = "the lock of";

    } else if (fchmod(fd, 0600) == -1 || ftruncate(fd, 0) == -1) {
        (void) ngx_http_sgtm_redis_snap_failed(sn, "ftruncate() of");

    } else {
        sn->fd = fd;
        return NGX_OK;
    }

    (void) ngx_close_file(fd);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_sgtm_redis_snap_write(ngx_http_sgtm_redis_snap_t *sn)
{
    u_char   *p;
    ssize_t   n;

    for (p = sn->piece; p < sn->last; p += n) {

        n = write(sn->fd, p, sn->last - p);

        if (n == -1) {

            if (ngx_errno == NGX_EINTR) {
                n = 0;
                continue;
            }

            return ngx_http_sgtm_redis_snap_failed(sn, "write() to");
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_snap_close(ngx_http_sgtm_redis_snap_t *sn)
{
    ngx_http_sgtm_redis_t  *conf;

    conf = sn->owner->conf;

    if (fsync(sn->fd) == -1) {
        return ngx_http_sgtm_redis_snap_failed(sn, "fsync() of");
    }

    if (ngx_rename_file(conf->temp.data, conf->snapshot.data)
        == NGX_FILE_ERROR)
    {
        return ngx_http_sgtm_redis_snap_failed(sn, "rename() of");
    }

    (void) ngx_close_file(sn->fd);
    sn->fd = NGX_INVALID_FILE;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_snap_failed(ngx_http_sgtm_redis_snap_t *sn, char *call)
{
    sn->err = ngx_errno;
    sn->failed = call;

    return NGX_ERROR;
}


static void
ngx_http_sgtm_redis_snap_done(ngx_event_t *ev)
{
    ngx_http_sgtm_redis_snap_t *sn = ev->data;

    if (sn->failed || sn->final) {
        ngx_http_sgtm_redis_snap_end(sn);
        return;
    }

    sn->last = sn->piece;

    ngx_http_sgtm_redis_snap_slice(&sn->slice);
}


static void
ngx_http_sgtm_redis_snap_end(ngx_http_sgtm_redis_snap_t *sn)
{
    ngx_http_sgtm_redis_owner_t  *o;

    o = sn->owner;

    if (sn->piece) {
        ngx_free(sn->piece);
    }

    sn->piece = NULL;
    sn->last = NULL;
    sn->end = NULL;

    sn->on = 0;
    sn->ended = ngx_current_msec;

    if (sn->failed == NULL) {
        sn->complained = 0;
        o->stat->snapshot = ngx_time();
        return;
    }

    o->dirty = 1;

    /* another generation's turn; else it is said once for each reason */

    if (sn->err == NGX_EAGAIN || sn->err == sn->complained) {
        return;
    }

    sn->complained = sn->err;

    ngx_log_error(NGX_LOG_ERR, o->log, sn->err, "%s the snapshot \"%V\" failed",
                  sn->failed, &o->conf->snapshot);
}


#else /* !NGX_THREADS */


ngx_int_t
ngx_http_sgtm_redis_snapshot_init(ngx_http_sgtm_redis_owner_t *o,
    ngx_cycle_t *cycle)
{
    return NGX_OK;
}


void
ngx_http_sgtm_redis_snapshot_tick(ngx_http_sgtm_redis_owner_t *o)
{
}


#endif
