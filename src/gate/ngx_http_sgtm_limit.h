
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * How many hits a tenant may send.
 */


#ifndef _NGX_HTTP_SGTM_LIMIT_H_INCLUDED_
#define _NGX_HTTP_SGTM_LIMIT_H_INCLUDED_


#include "../ngx_http_sgtm.h"


struct ngx_http_sgtm_rate_s {
    uint64_t                   interval;   /* nanoseconds from hit to hit */
    uint64_t                   burst;      /* nanoseconds' worth of them */
};


/* the directive sgtm_rate_limit */
char *ngx_http_sgtm_conf_rate_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Counts a hit against its tenant's limit, ctx->conf->rate, if there is one, by
 * the generic cell rate algorithm (ITU-T I.371).  Over it a hit is to be
 * queued, ctx->limited, or comes too early.  NGX_DECLINED: it goes on; or the
 * status to answer with.
 */
ngx_int_t ngx_http_sgtm_limit(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * Counts a hit of a browser against the limit of its address first, then the
 * same: an address over its limit is nobody else's loss.  To be called where
 * ngx_http_sgtm_limit_is_late(), once the address is known.
 */
ngx_int_t ngx_http_sgtm_limit_late(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

#define ngx_http_sgtm_limit_is_late(ctx)                                      \
    ((ctx)->conf->address_rate && !(ctx)->preview                             \
     && ((ctx)->route == NGX_HTTP_SGTM_ROUTE_HIT                              \
         || (ctx)->route == NGX_HTTP_SGTM_ROUTE_OPAQUE))

/*
 * Takes one hit from a rate, of which arrival is the state: 0; or in how many
 * seconds there is one to take.
 */
ngx_uint_t ngx_http_sgtm_limit_take(ngx_atomic_t *arrival,
    const ngx_http_sgtm_rate_t *rate);


#endif /* _NGX_HTTP_SGTM_LIMIT_H_INCLUDED_ */
