
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Whether a tagging server may be sent to: how many at once, how many a
 * second, and when it is known to be down.
 */


#ifndef _NGX_HTTP_SGTM_CIRCUIT_H_INCLUDED_
#define _NGX_HTTP_SGTM_CIRCUIT_H_INCLUDED_


#include "../ngx_http_sgtm.h"


typedef enum {
    NGX_HTTP_SGTM_CIRCUIT_CLOSED = 0,  /* all is well */
    NGX_HTTP_SGTM_CIRCUIT_OPEN,        /* it is down: nothing is sent */
    NGX_HTTP_SGTM_CIRCUIT_PROBING      /* but this one hit */
} ngx_http_sgtm_circuit_e;


typedef struct {
    ngx_uint_t       state;            /* ngx_http_sgtm_circuit_e */
    ngx_uint_t       failures;         /* without a success between them */
    ngx_uint_t       threshold;        /* so many open it */
    ngx_uint_t       proven;           /* there has been a success */
    ngx_uint_t       window;           /* may be in flight; grows */
    ngx_uint_t       concurrency;      /* and ends there */

    uint64_t         rate;             /* a second */
    uint64_t         tokens;           /* thousandths of a hit */
    ngx_msec_t       refilled;

    ngx_msec_t       backoff;
    ngx_msec_t       wait;             /* from one probe to the next */
    ngx_msec_t       next;             /* when to probe, by ngx_current_msec */
} ngx_http_sgtm_circuit_t;


void ngx_http_sgtm_circuit_init(ngx_http_sgtm_circuit_t *cc,
    ngx_http_sgtm_courier_t *courier);

/*
 * It is down, as a courier before this one knew: state, and wait and next as it
 * had them.  What was well may not be so now, and is found out anew.
 */
void ngx_http_sgtm_circuit_resume(ngx_http_sgtm_circuit_t *cc,
    ngx_uint_t state, ngx_msec_t wait, ngx_msec_t next);

/* how many hits more may be sent now, with so many in flight */
ngx_uint_t ngx_http_sgtm_circuit_room(ngx_http_sgtm_circuit_t *cc,
    ngx_uint_t in_flight);

/* for each hit that is sent */
void ngx_http_sgtm_circuit_sent(ngx_http_sgtm_circuit_t *cc);

/* an answer that shows that the server works; whether it was known as down */
ngx_uint_t ngx_http_sgtm_circuit_success(ngx_http_sgtm_circuit_t *cc);

/*
 * A failure; retry_after: milliseconds, or 0.  Whether it speaks against the
 * hit: not if the server seems to be down, which is no fault of a hit's.
 */
ngx_uint_t ngx_http_sgtm_circuit_failure(ngx_http_sgtm_circuit_t *cc,
    ngx_msec_t retry_after);

/* some 20 percent more or less */
ngx_msec_t ngx_http_sgtm_circuit_jitter(ngx_msec_t ms);


#endif /* _NGX_HTTP_SGTM_CIRCUIT_H_INCLUDED_ */
