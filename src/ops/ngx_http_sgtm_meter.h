
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What tenants send in a month, for bills and quotas: events are counted in a
 * zone of their own, which a thread of the first worker writes to a file.
 */


#ifndef _NGX_HTTP_SGTM_METER_H_INCLUDED_
#define _NGX_HTTP_SGTM_METER_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "sgtm_meter.h"
#include "sgtm_meter_file.h"


/* the directive sgtm_meter */

struct ngx_http_sgtm_meter_s {
    ngx_str_t                  path;       /* of a directory */
    size_t                     size;       /* of the zone */
    ngx_msec_t                 interval;
    ngx_shm_zone_t            *zone;
#if (NGX_THREADS)
    ngx_thread_pool_t         *threads;
#endif
};


/* in the zone */

typedef struct {
    sgtm_meter_t              *meter;
    ngx_atomic_t               complained; /* when the log was told */
    time_t                     error_time;
    u_char                     error[SGTM_METER_ERROR];    /* by its mutex */
} ngx_http_sgtm_meter_head_t;


char *ngx_http_sgtm_conf_meter(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* what workers share; the meter is there once the zone has been made */
ngx_http_sgtm_meter_head_t *ngx_http_sgtm_meter_head(
    ngx_http_sgtm_main_conf_t *smcf);

/*
 * The month that is, and a tenant's entry; NULL: nothing is metered, or there
 * is no room.  The entry's place is kept beside the tenant's counters.
 */
uint32_t ngx_http_sgtm_meter_now(void);
sgtm_meter_entry_t *ngx_http_sgtm_meter_entry(ngx_http_sgtm_ctx_t *ctx);

/* lets memory answer, a while before a hit is counted */
void ngx_http_sgtm_meter_soon(ngx_http_sgtm_ctx_t *ctx);

/* the events of a hit that are, or were, for the tagging server */
ngx_uint_t ngx_http_sgtm_meter_events(ngx_http_sgtm_ctx_t *ctx);

/* counts a hit at its end, when its disposition is known */
void ngx_http_sgtm_meter_count(ngx_http_sgtm_ctx_t *ctx);

/*
 * What became of a hit that was counted as queued, by its tenant, time (ms
 * since the epoch) and number of events: SGTM_METER_FORWARDED or _FAILED.
 */
void ngx_http_sgtm_meter_later(const sgtm_str_t *tenant, int64_t time,
    ngx_uint_t events, ngx_uint_t what);


/* ngx_http_sgtm_meter_writer.c */

/* for the master: makes the directory; NGX_OK */
ngx_int_t ngx_http_sgtm_meter_init_module(ngx_cycle_t *cycle);

/* for a worker: NGX_OK or NGX_ERROR; what waits at its end is written */
ngx_int_t ngx_http_sgtm_meter_init_process(ngx_cycle_t *cycle);
void ngx_http_sgtm_meter_exit_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_SGTM_METER_H_INCLUDED_ */
