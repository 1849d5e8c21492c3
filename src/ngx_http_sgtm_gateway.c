
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm.h"
#include "ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_gateway.h"
#include "ngx_http_sgtm_tables.h"
#include "delivery/ngx_http_sgtm_courier.h"
#include "delivery/ngx_http_sgtm_fallback.h"
#include "gate/ngx_http_sgtm_header_names.h"
#include "intake/ngx_http_sgtm_webhook.h"
#include "page/ngx_http_sgtm_script.h"
#include "page/ngx_http_sgtm_settings.h"
#include "place/ngx_http_sgtm_residency.h"
#include "tenant/ngx_http_sgtm_zone.h"


static void ngx_http_sgtm_gateway_warn(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf);
static ngx_int_t ngx_http_sgtm_gateway_delivery(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_loc_conf_t *conf);
static void ngx_http_sgtm_gateway_warn_lost(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_loc_conf_t *conf,
    char *missing);
static ngx_int_t ngx_http_sgtm_gateway_tenant(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_gateway_ids(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_gateway_consent(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_gateway_tables(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_loc_conf_t *conf);


static ngx_http_sgtm_source_t  ngx_http_sgtm_default_sources[] = {
    { NGX_HTTP_SGTM_SOURCE_GCD, NULL },
    { NGX_HTTP_SGTM_SOURCE_GCS, NULL }
};


static sgtm_consent_t  ngx_http_sgtm_all_denied = {
    { SGTM_DENIED, SGTM_DENIED, SGTM_DENIED, SGTM_DENIED }
};


char *
ngx_http_sgtm_gateway_init(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_sgtm_loc_conf_t  **served;
    ngx_http_sgtm_main_conf_t  *smcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);

    smcf->gateways = 1;

    if (conf->dedup || conf->webhooks) {
        smcf->dedup = 1;
    }

    smcf->seen |= (smcf->dedup || smcf->source);

    conf->prefix = clcf->name;

    /* sgtm_max_body takes its place, but for previews */

    conf->max_preview = clcf->client_max_body_size;
    clcf->client_max_body_size = 0;

    if (ngx_http_sgtm_gateway_delivery(cf, smcf, conf) != NGX_OK
        || ngx_http_sgtm_gateway_tenant(cf, smcf, conf) != NGX_OK
        || ngx_http_sgtm_gateway_ids(cf, smcf, conf) != NGX_OK
        || ngx_http_sgtm_gateway_consent(cf, conf) != NGX_OK
        || ngx_http_sgtm_residency_init(cf, conf, clcf->loc_conf,
                                        &conf->prefix,
                                        conf->residency != SGTM_RESIDENCY_ANY)
           != NGX_OK
        || ngx_http_sgtm_gateway_tables(cf, smcf, conf) != NGX_OK
        || ngx_http_sgtm_script_create(cf, conf) != NGX_OK
        || ngx_http_sgtm_fallback_add(cf, conf, clcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (clcf->noname) {
        return NGX_CONF_OK;
    }

    served = ngx_array_push(&smcf->served);
    if (served == NULL) {
        return NGX_CONF_ERROR;
    }

    *served = conf;

    ngx_http_sgtm_gateway_warn(cf, conf, clcf);

    return NGX_CONF_OK;
}


static void
ngx_http_sgtm_gateway_warn(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t  id;

    if (clcf->handler == NULL) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"sgtm on\" but no \"proxy_pass\": "
                      "there is nowhere to forward to", &clcf->name);
    }

    if (conf->records_only) {
        /* what it lets through is theirs to say */

    } else if (conf->script_ids.nelts == 0) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"sgtm on\" but neither "
                      "\"sgtm_tag_id\" nor \"sgtm_container\": "
                      "all hits and scripts are refused", &clcf->name);

    } else if (conf->hit_ids.nelts == 0) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"sgtm on\" but no "
                      "\"sgtm_tag_id\": all hits are refused", &clcf->name);
    }

    ngx_http_sgtm_settings_id(conf, &id);

    if (conf->tagging == SGTM_TAGGING_LIGHT && id.len == 0
        && !conf->records_only)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"sgtm_tagging light\" but no id "
                      "with \"G-\" in \"sgtm_tag_id\": its script sends "
                      "nothing", &clcf->name);
    }

    if (conf->webhooks && ngx_http_sgtm_webhook_stream(conf) == NULL) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"sgtm_webhook\" but no id with "
                      "\"G-\" in \"sgtm_tag_id\": its orders have no stream",
                      &clcf->name);
    }

    if (conf->consent_mode == NGX_HTTP_SGTM_CONSENT_BASIC
        && (conf->api_secrets || conf->webhooks)
        && conf->consent_server->state[SGTM_ANALYTICS_STORAGE] == SGTM_DENIED)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"sgtm_consent_mode basic\" and "
                      "\"sgtm_consent_server\" does not grant "
                      "analytics_storage, of which servers and shops can't "
                      "tell: all their events are denied", &clcf->name);
    }

    if (conf->consent_mode == NGX_HTTP_SGTM_CONSENT_BASIC
        && conf->consent_sources->nelts == 0
        && conf->consent_default->state[SGTM_ANALYTICS_STORAGE] == SGTM_DENIED)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "location \"%V\" has \"sgtm_consent_mode basic\" but no "
                      "source that can grant analytics_storage: "
                      "all hits are denied", &clcf->name);
    }
}


/*
 * What is queued needs a spool and a courier.  A directive that asks for it
 * without them is an error; the default of a tier makes do with what there is.
 */

static ngx_int_t
ngx_http_sgtm_gateway_delivery(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_loc_conf_t *conf)
{
    char        *missing;
    ngx_uint_t   queue;

    missing = smcf->spool == NULL ? "sgtm_spool"
              : conf->courier == NULL ? "sgtm_courier" : NULL;

    queue = (conf->delivery == NGX_HTTP_SGTM_DELIVERY_QUEUED);

    if (missing && (queue || conf->fallback == NGX_HTTP_SGTM_FALLBACK_QUEUE)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"%s\" but no \"%s\"",
                      &conf->prefix, queue ? "sgtm_delivery queued"
                                           : "sgtm_fallback queue", missing);
        return NGX_ERROR;
    }

    conf->own_fallback = (conf->fallback != NGX_CONF_UNSET_UINT);

    if (!conf->own_fallback) {
        conf->fallback = ngx_http_sgtm_fallback_of_tier(conf->tier, !missing);

        if (missing && conf->tier == NGX_HTTP_SGTM_TIER_ENTERPRISE) {
            ngx_http_sgtm_gateway_warn_lost(cf, smcf, conf, missing);
        }
    }

    if (missing) {
        return NGX_OK;
    }

    conf->target = ngx_http_sgtm_courier_target(cf, conf);

    return conf->target ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_sgtm_gateway_warn_lost(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_loc_conf_t *conf,
    char *missing)
{
    if (smcf->warned) {
        return;
    }

    smcf->warned = 1;

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "location \"%V\" is of tier \"enterprise\" and there is no "
                  "queue, for which it needs \"%s\": hits that the tagging "
                  "server fails to take are lost, \"sgtm_fallback off\" says "
                  "that this is meant",
                  &conf->prefix, missing);
}


static ngx_int_t
ngx_http_sgtm_gateway_tenant(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_str_t                  id;
    ngx_http_core_srv_conf_t  *cscf;

    static ngx_str_t  other = ngx_string("_other");

    if (smcf->other == NULL) {
        smcf->other = ngx_http_sgtm_tenant_add(cf, smcf, &other);
        if (smcf->other == NULL) {
            return NGX_ERROR;
        }
    }

    if (conf->tenant == NULL) {
        cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
        id = cscf->server_name;

    } else if (conf->tenant->lengths == NULL) {
        id = conf->tenant->value;

    } else {
        return NGX_OK;
    }

    if (id.len == 0) {
        conf->fixed_tenant = smcf->other;
        return NGX_OK;
    }

    conf->fixed_tenant = ngx_http_sgtm_tenant_add(cf, smcf, &id);

    return conf->fixed_tenant ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sgtm_gateway_ids(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_loc_conf_t *conf)
{
    size_t       n;
    u_char      *last;
    sgtm_str_t  *ids;

    n = (conf->containers ? conf->containers->nelts : 0)
        + (conf->tag_ids ? conf->tag_ids->nelts : 0);

    if (n == 0) {
        conf->records_only = (smcf->source != NULL);
        return NGX_OK;
    }

    ids = ngx_palloc(cf->pool, n * sizeof(sgtm_str_t));
    if (ids == NULL) {
        return NGX_ERROR;
    }

    last = (u_char *) ids;

    if (conf->tag_ids) {
        last = ngx_cpymem(last, conf->tag_ids->elts,
                          conf->tag_ids->nelts * sizeof(sgtm_str_t));
    }

    conf->hit_ids.elts = ids;
    conf->hit_ids.nelts = conf->tag_ids ? conf->tag_ids->nelts : 0;

    if (conf->containers) {
        ngx_memcpy(last, conf->containers->elts,
                   conf->containers->nelts * sizeof(sgtm_str_t));
    }

    conf->script_ids.elts = ids;
    conf->script_ids.nelts = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_gateway_consent(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_array_t  *a;

    if (conf->consent_default == NULL) {
        conf->consent_default = &ngx_http_sgtm_all_denied;
    }

    if (conf->consent_server == NULL) {
        conf->consent_server = conf->consent_default;
    }

    if (conf->consent_sources) {
        return NGX_OK;
    }

    a = ngx_palloc(cf->pool, sizeof(ngx_array_t));
    if (a == NULL) {
        return NGX_ERROR;
    }

    a->elts = ngx_http_sgtm_default_sources;
    a->nelts = sizeof(ngx_http_sgtm_default_sources)
               / sizeof(ngx_http_sgtm_source_t);
    a->size = sizeof(ngx_http_sgtm_source_t);
    a->nalloc = a->nelts;
    a->pool = cf->pool;

    conf->consent_sources = a;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_gateway_tables(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_uint_t                i;
    ngx_http_sgtm_tables_t   *t, **tables;

    static uint32_t  serial;

    tables = smcf->tables.elts;

    for (i = 0; i < smcf->tables.nelts; i++) {
        t = tables[i];

        if (t->redact == conf->redact
            && t->set == conf->set
            && t->remove == conf->remove
            && t->cookies == conf->cookies
            && t->headers == conf->pass_headers
            && t->dedup == conf->dedup)
        {
            conf->tables = t;
            return NGX_OK;
        }
    }

    t = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_tables_t));
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->serial = ++serial;
    t->redact = conf->redact;
    t->set = conf->set;
    t->remove = conf->remove;
    t->cookies = conf->cookies;
    t->headers = conf->pass_headers;
    t->dedup = conf->dedup;

    if (ngx_http_sgtm_tables_params(cf->pool, t) != NGX_OK
        || ngx_http_sgtm_tables_cookies(cf->pool, t) != NGX_OK
        || ngx_http_sgtm_header_names_table(cf, t) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (t->credentials && smcf->source == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" has \"sgtm_set_param\" with a "
                      "credential, which records have, but there is no "
                      "\"sgtm_tenants\"", &conf->prefix);
        return NGX_ERROR;
    }

    tables = ngx_array_push(&smcf->tables);
    if (tables == NULL) {
        return NGX_ERROR;
    }

    *tables = t;
    conf->tables = t;

    return NGX_OK;
}
