
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Where the data of a tenant, or of a visitor, may go: "sgtm_residency" and
 * "sgtm_upstream".  What has to stay in the EU goes to the upstream "eu=", or
 * nowhere.
 */


#ifndef _NGX_HTTP_SGTM_RESIDENCY_H_INCLUDED_
#define _NGX_HTTP_SGTM_RESIDENCY_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* a header of stored hits: "eu".  Nobody's is sent. */
#define NGX_HTTP_SGTM_RESIDENCY_HEADER  "Sgtm-Residency"


/* an sgtm_upstream directive */

struct ngx_http_sgtm_upstreams_s {
    ngx_str_t                  name;           /* or empty: sgtm_endpoint */
    ngx_str_t                  eu;             /* or empty: there is none */
    ngx_str_t                  eu_endpoint;    /* or empty: the same */
};


/* where a request may go */

typedef enum {
    NGX_HTTP_SGTM_REGION_UNKNOWN = 0,
    NGX_HTTP_SGTM_REGION_ANY,
    NGX_HTTP_SGTM_REGION_EU
} ngx_http_sgtm_region_e;


/* setters of the directives sgtm_residency and sgtm_upstream */
char *ngx_http_sgtm_conf_residency(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_upstream(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_sgtm_residency_merge(ngx_http_sgtm_loc_conf_t *conf,
    ngx_http_sgtm_loc_conf_t *prev);

/*
 * For a gateway or a courier's location (name): learns where its proxy_pass
 * leads.  NGX_OK, or NGX_ERROR, logged: data would have to stay in the EU and
 * could not.
 */
ngx_int_t ngx_http_sgtm_residency_init(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf, void **loc_conf, ngx_str_t *name,
    ngx_uint_t eu);

/* whether there is a way into the EU */
ngx_uint_t ngx_http_sgtm_residency_has_eu(ngx_http_sgtm_loc_conf_t *conf);

/*
 * Where a gateway's request may go, found once: NGX_HTTP_SGTM_REGION_*.
 * Without memory it stays in the EU.
 */
ngx_uint_t ngx_http_sgtm_residency(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* whether it may go where it would: NGX_OK, or NGX_DECLINED */
ngx_int_t ngx_http_sgtm_residency_check(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * As the first of a stored hit that might go anywhere when it came: what the
 * tenant's record, or else the courier's location, says now.
 */
ngx_uint_t ngx_http_sgtm_residency_kept(ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *tenant);


#endif /* _NGX_HTTP_SGTM_RESIDENCY_H_INCLUDED_ */
