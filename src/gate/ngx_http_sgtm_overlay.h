
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A tenant's record in the gate: what it names takes the place of what the
 * location has, for one request.
 */


#ifndef _NGX_HTTP_SGTM_OVERLAY_H_INCLUDED_
#define _NGX_HTTP_SGTM_OVERLAY_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../place/ngx_http_sgtm_residency.h"
#include "../tenant/ngx_http_sgtm_made.h"
#include "../tenant/sgtm_registry.h"
#include "ngx_http_sgtm_limit.h"


/*
 * Of one request, in its pool.  What has a length points into the record, which
 * stays as it is until the request's pool is gone.
 */

struct ngx_http_sgtm_overlay_s {
    ngx_http_sgtm_loc_conf_t   conf;
    ngx_http_sgtm_tenant_t     tenant;
    const sgtm_tenant_t       *record;
    ngx_http_sgtm_made_t      *tables;     /* NULL: the location's */
    ngx_http_sgtm_made_t      *script;     /* NULL: not asked for, or ready */
    ngx_http_sgtm_rate_t       rate;
    ngx_http_sgtm_upstreams_t  upstreams;
    ngx_array_t                containers;
    ngx_array_t                tag_ids;
    ngx_array_t                origins;
    sgtm_str_t                 ids[1];     /* where a list is the location's */
};


/*
 * Each looks for the record of a request and puts it in force: ctx->overlay,
 * ctx->conf and ctx->tenant.  NGX_OK; NGX_DECLINED: there is none, ctx->conf is
 * the location's; NGX_ERROR: no memory.
 */

/*
 * By the static id that sgtm_tenant gives, else by host, else by server_name.
 * Before, at the beginning of a request, ask() may set what ctx->host is to be,
 * and returns ctx->asked; a while later soon() may be called: memory answers
 * meanwhile.
 */
ngx_uint_t ngx_http_sgtm_overlay_ask(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, uint64_t host[2]);
void ngx_http_sgtm_overlay_soon(ngx_http_sgtm_ctx_t *ctx);
ngx_int_t ngx_http_sgtm_overlay_static(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* by an id that variables have made */
ngx_int_t ngx_http_sgtm_overlay_id(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *id);

/*
 * The same of a record (NULL: there is none) that was found in what the reader
 * has entered; of ctx, base is read.  Who asks for no request's sake drops it.
 */
ngx_int_t ngx_http_sgtm_overlay_record(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_registry_reader_t *reader,
    const sgtm_tenant_t *record);

/* the request is routed anew: what was found is not in force any more */
void ngx_http_sgtm_overlay_drop(ngx_http_sgtm_ctx_t *ctx);

/* the same at the end of its pool: records may change and go from now on */
void ngx_http_sgtm_overlay_end(ngx_http_sgtm_ctx_t *ctx);

/*
 * The tables of a location with the names that a record has in place of its
 * own; who gets them is their user.  NULL: no memory.
 */
ngx_http_sgtm_made_t *ngx_http_sgtm_overlay_tables(
    ngx_http_sgtm_tables_t *base, const sgtm_tenant_t *record);

#define ngx_http_sgtm_overlay_made(made)                                      \
    ((ngx_http_sgtm_tables_t *) (made)->data)


#endif /* _NGX_HTTP_SGTM_OVERLAY_H_INCLUDED_ */
