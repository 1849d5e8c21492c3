
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the courier wants of the spool's file at one time, done in a thread:
 * the lease, what became of hits, which targets have some, and more of them.
 */


#ifndef _NGX_HTTP_SGTM_ERRAND_H_INCLUDED_
#define _NGX_HTTP_SGTM_ERRAND_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_lane.h"
#include "ngx_http_sgtm_spool.h"


#define NGX_HTTP_SGTM_ERRAND_TAKES    64
#define NGX_HTTP_SGTM_ERRAND_TARGETS  256


typedef struct {
    sgtm_take_t                take;
    ngx_http_sgtm_lane_t      *lane;
    unsigned                   probe:1;    /* of those only if there is no
                                              other one */
    unsigned                   put_off:1;  /* there may be hits that are; also
                                              when it is done */
    unsigned                   done:1;
} ngx_http_sgtm_errand_take_t;


typedef struct ngx_http_sgtm_errand_s  ngx_http_sgtm_errand_t;

struct ngx_http_sgtm_errand_s {
    void                     (*done)(ngx_http_sgtm_errand_t *e);
    int                        rc;         /* sgtm_store_rc_e; what failed is
                                              logged */

    int64_t                    instance;
    int64_t                    now;
    int64_t                    until;      /* of the lease */

    sgtm_outcome_t            *outcomes;
    sgtm_outcome_t            *left;       /* the last of them: see handover */

    sgtm_target_t             *targets;    /* of ngx_alloc() */
    size_t                     size;       /* there is room for so many */
    size_t                     ntargets;

    unsigned                   lease:1;    /* wanted */
    unsigned                   list:1;
    unsigned                   fetch:1;    /* before it lists */
    unsigned                   release:1;
    unsigned                   memory:1;   /* there are hits in memory */
    unsigned                   parted:1;   /* the lease is not needed */

    unsigned                   leased:1;   /* done */
    unsigned                   settled:1;
    unsigned                   listed:1;
    unsigned                   fetched:1;
    unsigned                   dry:1;      /* the journal has no more, or, if
                                              not fetched: can't be moved */

    ngx_uint_t                 ntakes;
    ngx_http_sgtm_errand_take_t  takes[NGX_HTTP_SGTM_ERRAND_TAKES];

    /* the errand's own */

    sgtm_store_t              *store;
    ngx_http_sgtm_spool_stat_t  *stat;
    ngx_log_t                 *log;
#if (NGX_THREADS)
    ngx_thread_pool_t         *threads;
    ngx_thread_task_t         *task;
#endif
    u_char                     error[NGX_HTTP_SGTM_SPOOL_ERROR];
};


/* for the worker that is the courier: NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_errand_init(ngx_http_sgtm_errand_t *e,
    ngx_cycle_t *cycle, ngx_http_sgtm_main_conf_t *smcf);

/* clears what is wanted and what was done; keeps the room for targets */
void ngx_http_sgtm_errand_reset(ngx_http_sgtm_errand_t *e);

/*
 * Has it done in a thread.  NGX_OK: done() will be called, on the event loop,
 * with rc set; SGTM_STORE_LOST: nothing may be relied on.
 */
ngx_int_t ngx_http_sgtm_errand_post(ngx_http_sgtm_errand_t *e);


#endif /* _NGX_HTTP_SGTM_ERRAND_H_INCLUDED_ */
