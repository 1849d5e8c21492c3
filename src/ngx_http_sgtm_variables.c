
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm.h"
#include "ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_variables.h"
#include "delivery/ngx_http_sgtm_detached.h"
#include "gate/ngx_http_sgtm_address.h"
#include "gate/ngx_http_sgtm_ctx.h"
#include "gate/ngx_http_sgtm_overlay.h"
#include "gate/ngx_http_sgtm_route.h"
#include "ops/ngx_http_sgtm_counters.h"
#include "page/ngx_http_sgtm_site.h"
#include "place/ngx_http_sgtm_residency.h"
#include "tenant/ngx_http_sgtm_tenants.h"


typedef ngx_int_t (*ngx_http_sgtm_variable_pt)(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);


static ngx_uint_t ngx_http_sgtm_variable_is(ngx_str_t *name,
    ngx_str_t *pattern);
static ngx_int_t ngx_http_sgtm_variable_conf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sgtm_variable_ctx(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sgtm_variable_set(ngx_http_variable_value_t *v,
    ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_record(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sgtm_variable_nonce(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_sgtm_variable_detached(ngx_http_request_t *r,
    uintptr_t data, ngx_str_t *value);

static ngx_int_t ngx_http_sgtm_variable_container(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_tier(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_endpoint(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_upstream(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value);
static ngx_uint_t ngx_http_sgtm_variable_region(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf);

static ngx_int_t ngx_http_sgtm_variable_tenant(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_event(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_events(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_consent(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_disposition(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_reason(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_client_ip(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_variable_gate_time(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);


typedef ngx_int_t (*ngx_http_sgtm_conf_variable_pt)(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value);


/* none is cacheable: what they tell changes while a request is handled */

static ngx_http_variable_t  ngx_http_sgtm_vars[] = {

    { ngx_string("sgtm_container"), NULL, ngx_http_sgtm_variable_conf,
      (uintptr_t) ngx_http_sgtm_variable_container,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_tier"), NULL, ngx_http_sgtm_variable_conf,
      (uintptr_t) ngx_http_sgtm_variable_tier,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_endpoint"), NULL, ngx_http_sgtm_variable_conf,
      (uintptr_t) ngx_http_sgtm_variable_endpoint,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_upstream"), NULL, ngx_http_sgtm_variable_conf,
      (uintptr_t) ngx_http_sgtm_variable_upstream,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_tenant"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_tenant,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_event"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_event,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_events"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_events,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_consent"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_consent,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_disposition"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_disposition,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_reason"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_reason,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_uri"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_route_uri,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_client_ip"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_client_ip,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_gate_time"), NULL, ngx_http_sgtm_variable_ctx,
      (uintptr_t) ngx_http_sgtm_variable_gate_time,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_nonce"), NULL, ngx_http_sgtm_variable_nonce,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_record"), NULL, ngx_http_sgtm_variable_record,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("sgtm_record_version"), NULL, ngx_http_sgtm_variable_record,
      1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


/* nginx's own that tell of arguments, headers, body or address */

static ngx_str_t  ngx_http_sgtm_stale_vars[] = {
    ngx_string("arg_*"),
    ngx_string("args"),
    ngx_string("binary_remote_addr"),
    ngx_string("cookie_*"),
    ngx_string("http_*"),
    ngx_string("is_args"),
    ngx_string("proxy_add_x_forwarded_for"),
    ngx_string("query_string"),
    ngx_string("realip_remote_addr"),
    ngx_string("remote_addr"),
    ngx_string("request"),
    ngx_string("request_body"),
    ngx_string("request_uri"),
    ngx_null_string
};


ngx_int_t
ngx_http_sgtm_variables_init(ngx_cycle_t *cycle)
{
    ngx_str_t                  *name;
    ngx_uint_t                  i, *index;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);
    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    if (smcf == NULL || !smcf->gateways) {
        return NGX_OK;
    }

    if (ngx_array_init(&smcf->stale, cycle->pool, 8, sizeof(ngx_uint_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        for (name = ngx_http_sgtm_stale_vars; name->len; name++) {
            if (ngx_http_sgtm_variable_is(&v[i].name, name)) {
                break;
            }
        }

        if (name->len == 0) {
            continue;
        }

        index = ngx_array_push(&smcf->stale);
        if (index == NULL) {
            return NGX_ERROR;
        }

        *index = i;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sgtm_variable_is(ngx_str_t *name, ngx_str_t *pattern)
{
    size_t  len;

    len = pattern->len;

    if (pattern->data[len - 1] == '*') {
        len--;

        return name->len >= len
               && ngx_strncmp(name->data, pattern->data, len) == 0;
    }

    return name->len == len
           && ngx_strncmp(name->data, pattern->data, len) == 0;
}


/*
 * A variable that was read before the gate, by a map or a log of another
 * phase, keeps its value for the request otherwise.
 */

void
ngx_http_sgtm_variables_reset(ngx_http_request_t *r)
{
    ngx_uint_t                  i, *index;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    index = smcf->stale.elts;

    for (i = 0; i < smcf->stale.nelts; i++) {
        r->variables[index[i]].valid = 0;
        r->variables[index[i]].not_found = 0;
    }
}


ngx_int_t
ngx_http_sgtm_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_sgtm_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* what the location says; found also before the gate has begun */

static ngx_int_t
ngx_http_sgtm_variable_conf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                       value;
    ngx_http_sgtm_ctx_t            *ctx;
    ngx_http_sgtm_loc_conf_t       *conf;
    ngx_http_sgtm_conf_variable_pt  get;

    ctx = ngx_http_sgtm_get_ctx(r->main);

    if (ctx && ngx_http_sgtm_settle(r->main, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    conf = ctx ? ctx->conf
               : ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);

    get = (ngx_http_sgtm_conf_variable_pt) data;

    ngx_str_null(&value);

    if (get(r, conf, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_variable_set(v, &value);
}


/* what the gate knows of this request */

static ngx_int_t
ngx_http_sgtm_variable_ctx(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t                   value;
    ngx_http_sgtm_ctx_t        *ctx;
    ngx_http_sgtm_variable_pt   get;

    ctx = ngx_http_sgtm_get_ctx(r->main);

    ngx_str_null(&value);

    if (ctx) {
        get = (ngx_http_sgtm_variable_pt) data;

        if (get(r->main, ctx, &value) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (ngx_http_sgtm_variable_detached(r, data, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_variable_set(v, &value);
}


static ngx_int_t
ngx_http_sgtm_variable_set(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    if (value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = value->data;
    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/*
 * The id or the version of the record that is in force, or beside a gateway of
 * the one that serves the host: copies, since that may be left before the
 * request ends.
 */

static ngx_int_t
ngx_http_sgtm_variable_record(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_sgtm_ctx_t     *ctx;
    const sgtm_tenant_t     *tenant;
    ngx_http_sgtm_record_t  *record;

    ctx = ngx_http_sgtm_get_ctx(r->main);

    if (ctx && ngx_http_sgtm_settle(r->main, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx && ctx->tenant) {
        tenant = ctx->overlay ? ctx->overlay->record : NULL;

    } else {
        record = ngx_http_sgtm_tenants_find(r);
        tenant = record ? record->tenant : NULL;
    }

    if (tenant == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = data ? NGX_INT64_LEN : tenant->id.len;
    v->data = ngx_pnalloc(r->pool, v->len);

    if (v->data == NULL) {
        return NGX_ERROR;
    }

    if (data) {
        v->len = ngx_sprintf(v->data, "%L", tenant->version) - v->data;

    } else {
        ngx_memcpy(v->data, tenant->id.data, v->len);
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* of a page, which is no gateway's */

static ngx_int_t
ngx_http_sgtm_variable_nonce(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  value;

    ngx_str_null(&value);

    return (ngx_http_sgtm_site_nonce(r, &value) == NGX_OK)
           ? ngx_http_sgtm_variable_set(v, &value) : NGX_ERROR;
}


/* a hit of the courier's has been through the gate before */

static ngx_int_t
ngx_http_sgtm_variable_detached(ngx_http_request_t *r, uintptr_t data,
    ngx_str_t *value)
{
    ngx_http_sgtm_detached_t  *d;

    d = ngx_http_sgtm_detached_get(r);

    if (d == NULL) {
        return NGX_OK;
    }

    if (data == (uintptr_t) ngx_http_sgtm_variable_tenant) {
        *value = d->tenant;
        return NGX_OK;
    }

    if (data == (uintptr_t) ngx_http_sgtm_route_uri) {
        return ngx_http_sgtm_detached_uri(r, value);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_container(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value)
{
    if (conf->containers) {
        *value = ((ngx_str_t *) conf->containers->elts)[0];
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_tier(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value)
{
    *value = ngx_http_sgtm_tiers[conf->tier].name;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_endpoint(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value)
{
    ngx_http_sgtm_detached_t  *d;

    if (ngx_http_sgtm_variable_region(r, conf) == NGX_HTTP_SGTM_REGION_EU
        && conf->upstreams && conf->upstreams->eu_endpoint.len)
    {
        *value = conf->upstreams->eu_endpoint;
        return NGX_OK;
    }

    d = ngx_http_sgtm_detached_get(r);

    *value = conf->endpoint;

    return d ? ngx_http_sgtm_tenants_address(r->pool, &d->tenant,
                                             SGTM_TENANT_ENDPOINT, value)
             : NGX_OK;
}


/* empty, which leads nowhere, where there is no way into the EU */

static ngx_int_t
ngx_http_sgtm_variable_upstream(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *value)
{
    ngx_http_sgtm_detached_t  *d;

    if (ngx_http_sgtm_variable_region(r, conf) == NGX_HTTP_SGTM_REGION_EU) {

        if (ngx_http_sgtm_residency_has_eu(conf)) {
            *value = conf->upstreams->eu;
        }

        return NGX_OK;
    }

    if (conf->upstreams) {
        *value = conf->upstreams->name;
    }

    d = ngx_http_sgtm_detached_get(r);

    if (d && ngx_http_sgtm_tenants_address(r->pool, &d->tenant,
                                           SGTM_TENANT_UPSTREAM, value)
             != NGX_OK)
    {
        return NGX_ERROR;
    }

    return value->len ? NGX_OK
                      : ngx_http_sgtm_variable_endpoint(r, conf, value);
}


static ngx_uint_t
ngx_http_sgtm_variable_region(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_sgtm_detached_t  *d;

    ctx = ngx_http_sgtm_get_ctx(r->main);

    if (ctx) {
        return ngx_http_sgtm_residency(r->main, ctx);
    }

    d = ngx_http_sgtm_detached_get(r);

    if (d) {
        return d->region;
    }

    return (conf->residency == SGTM_RESIDENCY_ANY)
           ? NGX_HTTP_SGTM_REGION_ANY : NGX_HTTP_SGTM_REGION_EU;
}


static ngx_int_t
ngx_http_sgtm_variable_tenant(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    if (ngx_http_sgtm_settle(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->tenant) {
        *value = ctx->tenant->node.str;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_event(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    *value = ctx->event;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_events(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    u_char  *p;

    if (ctx->events == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = ngx_sprintf(p, "%ui", (ngx_uint_t) ctx->events) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_consent(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    u_char  *p;

    if (!ctx->consent_read) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    sgtm_consent_write_gcs(p, &ctx->consent);

    value->data = p;
    value->len = 4;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_disposition(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value)
{
    /* while the hit is on its way there is nothing to tell yet */

    if (ctx->disposition != NGX_HTTP_SGTM_UNDECIDED) {
        *value = ngx_http_sgtm_disposition_labels[ctx->disposition];
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_reason(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    const sgtm_str_t  *label;

    if (ctx->reason != SGTM_REASON_NONE) {
        label = &ngx_http_sgtm_reason(ctx->reason)->label;

        value->len = label->len;
        value->data = label->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_variable_client_ip(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value)
{
    return ngx_http_sgtm_address_text(r, ctx, value);
}


static ngx_int_t
ngx_http_sgtm_variable_gate_time(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    value->len = ngx_sprintf(p, "%uL", ctx->gate_time / 1000) - p;

    return NGX_OK;
}
