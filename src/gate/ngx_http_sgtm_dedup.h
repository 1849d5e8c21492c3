
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Events that were seen before.  An event is reserved when its hit enters; it
 * counts as seen once the hit is delivered or kept, and is forgotten when the
 * hit fails, so that a retry is not its own duplicate.
 */


#ifndef _NGX_HTTP_SGTM_DEDUP_H_INCLUDED_
#define _NGX_HTTP_SGTM_DEDUP_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../hit/sgtm_siphash.h"
#include "sgtm_seen.h"


/* with fewer a table is of no use */
#define NGX_HTTP_SGTM_DEDUP_MIN  1000


/* of the directive; "off" is NULL */

struct ngx_http_sgtm_dedup_conf_s {
    uint32_t                   window;     /* tenths of a second */
    ngx_array_t                keys;       /* of ngx_str_t, in order */
    unsigned                   event_id:1; /* "ep.event_id" is one of them */
};


/* in shared memory, made once and kept over reloads */

struct ngx_http_sgtm_dedup_table_s {
    u_char                     key[SGTM_SIPHASH_KEY];
    sgtm_seen_t               *seen;       /* in shared memory, too */
};


/* the directive sgtm_dedup */
char *ngx_http_sgtm_conf_dedup(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Marks the ids in a table of parameters, which must have room for
 * NGX_HTTP_SGTM_DEDUP_NAMES(conf) more.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_dedup_params(ngx_http_sgtm_dedup_conf_t *conf,
    sgtm_names_t *names);

#define NGX_HTTP_SGTM_DEDUP_NAMES(conf)  ((conf) ? (conf)->keys.nelts + 1 : 0)

/*
 * Makes the table from three quarters of what is free in the zone, whose lock
 * is held; NULL, logged.
 */
ngx_http_sgtm_dedup_table_t *ngx_http_sgtm_dedup_create(
    ngx_shm_zone_t *shm_zone);

/*
 * Reserves the events of a hit and marks those that are duplicates, also of an
 * earlier one of the same hit; ctx->duplicates grows.  What has no id is none,
 * and what is off is not looked at.
 * NGX_OK: there is something to send; NGX_DECLINED: all are duplicates, nothing
 * is reserved; NGX_ERROR: no memory.  To be called where ctx->conf->dedup is
 * set, once in a request.
 */
ngx_int_t ngx_http_sgtm_dedup(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_event_t *events, ngx_uint_t n);

/*
 * The same for a window of this many seconds, also where ctx->conf->dedup is
 * not set; it may come before a call of the other, and both are ended together.
 */
ngx_int_t ngx_http_sgtm_dedup_for(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_event_t *events, ngx_uint_t n,
    ngx_uint_t seconds);

/*
 * At the end of a request, once its disposition is settled: what was forwarded
 * or queued is confirmed, as is what the first of two calls has reserved where
 * the second found duplicates alone; anything else is released.
 */
void ngx_http_sgtm_dedup_end(ngx_http_sgtm_ctx_t *ctx);

/*
 * Takes the reservations from the request, for a hit of which only later is
 * known whether it is kept.  To be ended by one call of dedup_settle() in the
 * same process, which frees it.  NULL: there are none; without memory they stay
 * the request's, for dedup_end().
 */
ngx_http_sgtm_dedup_list_t *ngx_http_sgtm_dedup_detach(
    ngx_http_sgtm_ctx_t *ctx);

/* confirms what was detached, or releases it; list may be NULL */
void ngx_http_sgtm_dedup_settle(ngx_http_sgtm_dedup_list_t *list,
    ngx_uint_t confirm);


#endif /* _NGX_HTTP_SGTM_DEDUP_H_INCLUDED_ */
