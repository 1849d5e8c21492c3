
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What is counted, in shared memory, exact over all workers.
 */


#ifndef _NGX_HTTP_SGTM_COUNTERS_H_INCLUDED_
#define _NGX_HTTP_SGTM_COUNTERS_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../page/sgtm_csp.h"


/* what became of a request that went upstream */

typedef enum {
    NGX_HTTP_SGTM_UPSTREAM_2XX = 0,
    NGX_HTTP_SGTM_UPSTREAM_3XX,
    NGX_HTTP_SGTM_UPSTREAM_4XX,
    NGX_HTTP_SGTM_UPSTREAM_5XX,
    NGX_HTTP_SGTM_UPSTREAM_TIMEOUT,
    NGX_HTTP_SGTM_UPSTREAM_ERROR,      /* refused, reset, cut, not resolved */
    NGX_HTTP_SGTM_UPSTREAM_N
} ngx_http_sgtm_upstream_e;


/*
 * What most hits count comes first: of a hundred thousand tenants nothing is in
 * the processor's cache.
 */

struct ngx_http_sgtm_counters_s {
    ngx_atomic_t     arrival;          /* of the rate limit: nanoseconds */
    ngx_atomic_t     meter;            /* where the month is: an entry's key */

    /* of a fleet's limits, see ngx_http_sgtm_fleet.h */

    ngx_atomic_t     part;             /* of the rate; 0: an even one */
    ngx_atomic_t     asked;            /* hits that the owner has not counted */
    ngx_atomic_t     interval;         /* of the rate, nanoseconds */
    ngx_atomic_t     told;             /* the owner that knows the tenant */

    ngx_atomic_t     events;
    ngx_atomic_t     upstream[NGX_HTTP_SGTM_UPSTREAM_N];
    ngx_atomic_t     dispositions[NGX_HTTP_SGTM_DISPOSITION_N];
    ngx_atomic_t     routes[NGX_HTTP_SGTM_ROUTE_N];
    ngx_atomic_t     duplicate_events;
    ngx_atomic_t     routed_events;
    ngx_atomic_t     consent_absent;
    ngx_atomic_t     over[SGTM_OVER_N];
    ngx_atomic_t     reasons[NGX_HTTP_SGTM_REASON_N];
    ngx_atomic_t     csp[SGTM_CSP_N];
};


/* bytes of them that most hits change */
#define NGX_HTTP_SGTM_COUNTERS_HOT                                            \
    offsetof(ngx_http_sgtm_counters_t, duplicate_events)


/* time in the gate: bucket n holds what took up to 2^n microseconds */

#define NGX_HTTP_SGTM_LATENCY_N  14    /* up to 4 ms; the last: anything */


typedef struct {
    ngx_atomic_t     buckets[NGX_HTTP_SGTM_LATENCY_N];
    ngx_atomic_t     sum;              /* nanoseconds */
} ngx_http_sgtm_latency_t;


/* labels, indexed by the enumerations of ngx_http_sgtm.h and this file */

extern ngx_str_t  ngx_http_sgtm_route_labels[];
extern ngx_str_t  ngx_http_sgtm_disposition_labels[];
extern ngx_str_t  ngx_http_sgtm_upstream_labels[];

/* the label and the text of a reason, those of the hit included */
const sgtm_reason_t *ngx_http_sgtm_reason(ngx_uint_t reason);


/*
 * Settles what became of the request, if that is still open: called by the
 * variables while the request is logged, and at its end.
 */
void ngx_http_sgtm_decide(ngx_http_sgtm_ctx_t *ctx);

/*
 * Whether the tagging server has redirected a hit of another server's.  That
 * delivers nothing: it is browsers that follow.
 */
ngx_uint_t ngx_http_sgtm_unfollowed(ngx_http_sgtm_ctx_t *ctx);

/*
 * The status of the tagging server's own answer, whatever page was made of it;
 * 0: none has come.
 */
ngx_uint_t ngx_http_sgtm_answered(ngx_http_request_t *r);

/* the reason why the tagging server did not serve the request */
ngx_uint_t ngx_http_sgtm_failure(ngx_http_sgtm_ctx_t *ctx);

/*
 * Settles by its status what became of a request that nginx, not the gate,
 * ended before it was committed: limit_req, deny, return, a large body refuse
 * it, a body that can't be kept is a failure.
 */
void ngx_http_sgtm_refused(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t status);

/*
 * Counts a request at its end; a while before, soon() lets memory answer: of a
 * record's tenant the counters may be far away.
 */
void ngx_http_sgtm_count_soon(ngx_http_sgtm_ctx_t *ctx);
void ngx_http_sgtm_count(ngx_http_sgtm_ctx_t *ctx);

/*
 * A hit of a tenant that has been counted as queued could not be kept after
 * all; the request may be gone, and its record, too.
 */
void ngx_http_sgtm_count_unkept(const sgtm_str_t *tenant);

/* the monotonic clock, in nanoseconds */
uint64_t ngx_http_sgtm_now(void);


#endif /* _NGX_HTTP_SGTM_COUNTERS_H_INCLUDED_ */
