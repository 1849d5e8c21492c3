
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The durable queue as a worker has it: what is to be kept goes to a thread in
 * groups, and the event loop hears of the commit.
 */


#ifndef _NGX_HTTP_SGTM_SPOOL_H_INCLUDED_
#define _NGX_HTTP_SGTM_SPOOL_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "sgtm_store.h"


/* counters of all workers, in the zone; kept over a reload */

typedef struct {
    ngx_atomic_t     waiting;          /* hits in the file */
    ngx_atomic_t     dead;             /* dead letters in it */
    ngx_atomic_t     size;             /* bytes */
    ngx_atomic_t     oldest;           /* time of the first, ms, or 0 */
    ngx_atomic_t     dead_oldest;

    ngx_atomic_t     kept;             /* since the zone was made */
    ngx_atomic_t     refused;          /* that could not be kept */
    ngx_atomic_t     delivered;
    ngx_atomic_t     retried;
    ngx_atomic_t     died;

    ngx_atomic_t     puts;             /* goes up with every group kept */
    ngx_atomic_t     fetched;          /* and with those moved */
    ngx_atomic_t     complained;       /* when the log was told of a fault */
} ngx_http_sgtm_spool_stat_t;


/* the text of an error in a thread */
#define NGX_HTTP_SGTM_SPOOL_ERROR  256


#if (NGX_THREADS)

struct ngx_http_sgtm_spool_s {
    ngx_str_t                  path;
    sgtm_store_conf_t          store;
    ngx_thread_pool_t         *threads;
};

#endif


/*
 * A hit to be kept: one block of ngx_alloc(), strings included, that the spool
 * frees after the handler.
 */

typedef struct ngx_http_sgtm_put_s  ngx_http_sgtm_put_t;

struct ngx_http_sgtm_put_s {
    sgtm_record_t              record;     /* first; its next is the spool's */
    size_t                     size;       /* of the block */
    ngx_http_sgtm_dedup_list_t  *reserved; /* for the handler to settle */
    ngx_int_t                  rc;         /* NGX_OK: it is kept */

    /* called once, on the event loop; may be cleared before */
    void                     (*handler)(ngx_http_sgtm_put_t *put);
    void                      *data;
};


/* the directive sgtm_spool */
char *ngx_http_sgtm_conf_spool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* for the master: makes the directory; NGX_OK, a failure is logged */
ngx_int_t ngx_http_sgtm_spool_init_module(ngx_cycle_t *cycle);

/* for a worker: NGX_OK, also where there is no spool, or NGX_ERROR */
ngx_int_t ngx_http_sgtm_spool_init_process(ngx_cycle_t *cycle);

/*
 * The configuration, for a worker that has something to do with the spool;
 * NULL: there is none, or the process is no worker (a cache's, say).
 */
ngx_http_sgtm_main_conf_t *ngx_http_sgtm_spool_process(ngx_cycle_t *cycle);

/*
 * Puts a hit into the spool.  NGX_OK: the handler will be called; NGX_DECLINED:
 * there is no room or no spool now, the block is the caller's still.
 */
ngx_int_t ngx_http_sgtm_spool_put(ngx_http_sgtm_put_t *put);

/* logs what is wrong with the file, once a minute, whichever worker it is */
void ngx_http_sgtm_spool_complain(ngx_http_sgtm_spool_stat_t *stat,
    ngx_log_t *log, u_char *text);

/* the counters of the zone */
ngx_http_sgtm_spool_stat_t *ngx_http_sgtm_spool_stat(
    ngx_http_sgtm_main_conf_t *smcf);


#endif /* _NGX_HTTP_SGTM_SPOOL_H_INCLUDED_ */
