
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_circuit.h"
#include "ngx_http_sgtm_courier.h"


#define NGX_HTTP_SGTM_CIRCUIT_FAILURES  5
#define NGX_HTTP_SGTM_CIRCUIT_WAIT      30000

/* the longest Retry-After, as it is read from memory that others share */
#define NGX_HTTP_SGTM_CIRCUIT_FAR       3600000

/* a tenth of a second's hits may go at once */
#define NGX_HTTP_SGTM_CIRCUIT_BURST     100


void
ngx_http_sgtm_circuit_init(ngx_http_sgtm_circuit_t *cc,
    ngx_http_sgtm_courier_t *courier)
{
    ngx_memzero(cc, sizeof(ngx_http_sgtm_circuit_t));

    cc->state = NGX_HTTP_SGTM_CIRCUIT_CLOSED;
    cc->window = 1;
    cc->concurrency = courier->concurrency;
    cc->rate = courier->rate;
    cc->backoff = courier->backoff;
    cc->wait = courier->backoff;
    cc->refilled = ngx_current_msec;
    cc->tokens = 1000;

    /*
     * it opens before the only hit that waits has used up its attempts: an
     * outage is to make no dead letters
     */

    cc->threshold = ngx_min(courier->attempts, NGX_HTTP_SGTM_CIRCUIT_FAILURES);
    cc->threshold = ngx_max(cc->threshold, 2);
}


void
ngx_http_sgtm_circuit_resume(ngx_http_sgtm_circuit_t *cc, ngx_uint_t state,
    ngx_msec_t wait, ngx_msec_t next)
{
    ngx_msec_t      most;
    ngx_msec_int_t  left;

    if (state == NGX_HTTP_SGTM_CIRCUIT_CLOSED) {
        return;
    }

    most = ngx_max(cc->backoff, NGX_HTTP_SGTM_CIRCUIT_WAIT);

    cc->state = NGX_HTTP_SGTM_CIRCUIT_OPEN;
    cc->wait = ngx_min(ngx_max(wait, cc->backoff), most);

    /* of a probe that is under way only the courier that sent it will hear */

    left = (ngx_msec_int_t) (next - ngx_current_msec);

    if (state == NGX_HTTP_SGTM_CIRCUIT_PROBING
        || left > NGX_HTTP_SGTM_CIRCUIT_FAR)
    {
        left = ngx_http_sgtm_circuit_jitter(cc->wait);
    }

    cc->next = ngx_current_msec + ngx_max(left, 0);
}


ngx_uint_t
ngx_http_sgtm_circuit_room(ngx_http_sgtm_circuit_t *cc, ngx_uint_t in_flight)
{
    uint64_t    most;
    ngx_uint_t  room;
    ngx_msec_t  elapsed;

    switch (cc->state) {

    case NGX_HTTP_SGTM_CIRCUIT_PROBING:
        return 0;

    case NGX_HTTP_SGTM_CIRCUIT_OPEN:
        return in_flight == 0
               && (ngx_msec_int_t) (ngx_current_msec - cc->next) >= 0;

    default: /* NGX_HTTP_SGTM_CIRCUIT_CLOSED */
        break;
    }

    elapsed = ngx_current_msec - cc->refilled;
    cc->refilled = ngx_current_msec;

    most = ngx_max(cc->rate * NGX_HTTP_SGTM_CIRCUIT_BURST, 1000);

    cc->tokens += ngx_min(elapsed, 1000) * cc->rate;
    cc->tokens = ngx_min(cc->tokens, most);

    if (in_flight >= cc->window) {
        return 0;
    }

    room = cc->window - in_flight;

    return ngx_min(room, cc->tokens / 1000);
}


void
ngx_http_sgtm_circuit_sent(ngx_http_sgtm_circuit_t *cc)
{
    if (cc->state == NGX_HTTP_SGTM_CIRCUIT_OPEN) {
        cc->state = NGX_HTTP_SGTM_CIRCUIT_PROBING;
        return;
    }

    if (cc->tokens >= 1000) {
        cc->tokens -= 1000;
    }
}


ngx_uint_t
ngx_http_sgtm_circuit_success(ngx_http_sgtm_circuit_t *cc)
{
    cc->failures = 0;
    cc->proven = 1;

    if (cc->state == NGX_HTTP_SGTM_CIRCUIT_CLOSED) {

        if (cc->window < cc->concurrency) {
            cc->window++;
        }

        return 0;
    }

    cc->state = NGX_HTTP_SGTM_CIRCUIT_CLOSED;
    cc->wait = cc->backoff;
    cc->window = ngx_min(2, cc->concurrency);

    return 1;
}


ngx_uint_t
ngx_http_sgtm_circuit_failure(ngx_http_sgtm_circuit_t *cc,
    ngx_msec_t retry_after)
{
    ngx_msec_t  wait, most;

    switch (cc->state) {

    case NGX_HTTP_SGTM_CIRCUIT_OPEN:

        /* it was in flight when the circuit opened */

        return 0;

    case NGX_HTTP_SGTM_CIRCUIT_PROBING:

        most = ngx_max(cc->backoff, NGX_HTTP_SGTM_CIRCUIT_WAIT);

        cc->wait = ngx_min(2 * cc->wait, most);

        break;

    default: /* NGX_HTTP_SGTM_CIRCUIT_CLOSED */

        /*
         * a courier that has just begun does not know whether the outage is an
         * old one, which every reload would charge to the hits that come first
         */

        if (cc->proven && ++cc->failures < cc->threshold) {
            return 1;
        }

        cc->wait = cc->backoff;
    }

    wait = ngx_http_sgtm_circuit_jitter(cc->wait);

    cc->state = NGX_HTTP_SGTM_CIRCUIT_OPEN;
    cc->next = ngx_current_msec + ngx_max(wait, retry_after);
    cc->window = 1;

    return 0;
}


ngx_msec_t
ngx_http_sgtm_circuit_jitter(ngx_msec_t ms)
{
    return ms - ms / 5 + (ms / 5 ? (ngx_msec_t) ngx_random() % (2 * (ms / 5))
                                 : 0);
}
