
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


typedef struct {
    ngx_http_sgtm_job_t        job;        /* the first */

    int64_t                    instance;
    int64_t                    now;
    int64_t                    until;      /* of the lease */

    sgtm_outcome_t            *outcomes;

    sgtm_target_t             *targets;    /* of ngx_alloc() */
    size_t                     size;       /* there is room for so many */
    size_t                     ntargets;

    unsigned                   lease:1;    /* wanted */
    unsigned                   list:1;
    unsigned                   release:1;
    unsigned                   memory:1;   /* there are hits in memory */

    unsigned                   leased:1;   /* done */
    unsigned                   settled:1;
    unsigned                   listed:1;

    ngx_uint_t                 ntakes;
    ngx_http_sgtm_errand_take_t  takes[NGX_HTTP_SGTM_ERRAND_TAKES];
} ngx_http_sgtm_errand_t;


/* clears what is wanted and what was done; keeps the room for targets */
void ngx_http_sgtm_errand_reset(ngx_http_sgtm_errand_t *e);

/* the job's run(): in the thread; SGTM_STORE_LOST: nothing may be relied on */
void ngx_http_sgtm_errand_run(sgtm_store_t *store, ngx_http_sgtm_job_t *job);


#endif /* _NGX_HTTP_SGTM_ERRAND_H_INCLUDED_ */
