
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
 * Counts a hit against its tenant's limit, ctx->conf->rate, by the generic cell
 * rate algorithm (ITU-T I.371).  Over it a hit is to be queued, ctx->limited,
 * or comes too early.  NGX_DECLINED: it goes on; or the status to answer with.
 */
ngx_int_t ngx_http_sgtm_limit(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);


#endif /* _NGX_HTTP_SGTM_LIMIT_H_INCLUDED_ */
