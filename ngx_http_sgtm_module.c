
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_sgtm.h"
#include "ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_gateway.h"
#include "ngx_http_sgtm_variables.h"
#include "delivery/ngx_http_sgtm_courier.h"
#include "delivery/ngx_http_sgtm_keeper.h"
#include "delivery/ngx_http_sgtm_spool.h"
#include "tenant/ngx_http_sgtm_redis.h"
#include "tenant/ngx_http_sgtm_tenants.h"
#include "tenant/ngx_http_sgtm_tenants_file.h"
#include "tenant/ngx_http_sgtm_zone.h"
#include "gate/ngx_http_sgtm_answer.h"
#include "gate/ngx_http_sgtm_dedup.h"
#include "gate/ngx_http_sgtm_handler.h"
#include "gate/ngx_http_sgtm_headers.h"
#include "gate/ngx_http_sgtm_limit.h"
#include "intake/ngx_http_sgtm_mp.h"
#include "intake/ngx_http_sgtm_webhook.h"
#include "ops/ngx_http_sgtm_meter.h"
#include "ops/ngx_http_sgtm_status.h"
#include "page/ngx_http_sgtm_check.h"
#include "page/ngx_http_sgtm_site.h"
#include "place/ngx_http_sgtm_residency.h"


#define NGX_HTTP_SGTM_HSL                                                     \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF


static ngx_int_t ngx_http_sgtm_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sgtm_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_sgtm_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_sgtm_init_process(ngx_cycle_t *cycle);
static void ngx_http_sgtm_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_sgtm_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_sgtm_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_sgtm_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void ngx_http_sgtm_merge_lists(ngx_http_sgtm_loc_conf_t *conf,
    ngx_http_sgtm_loc_conf_t *prev);


static ngx_command_t  ngx_http_sgtm_commands[] = {

    { ngx_string("sgtm"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_sgtm_conf_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, enable),
      NULL },

    { ngx_string("sgtm_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_sgtm_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_tenants"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_tenants,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_endpoints"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_endpoints,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_key_file,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_tenant"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, tenant),
      NULL },

    { ngx_string("sgtm_endpoint"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, endpoint),
      NULL },

    { ngx_string("sgtm_container"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_ids,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, containers),
      NULL },

    { ngx_string("sgtm_tag_id"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_ids,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, tag_ids),
      NULL },

    { ngx_string("sgtm_tier"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, tier),
      ngx_http_sgtm_tiers },

    { ngx_string("sgtm_fallback"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, fallback),
      ngx_http_sgtm_fallbacks },

    { ngx_string("sgtm_delivery"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, delivery),
      ngx_http_sgtm_deliveries },

    { ngx_string("sgtm_residency"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE12,
      ngx_http_sgtm_conf_residency,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_upstream"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE123,
      ngx_http_sgtm_conf_upstream,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_spool"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_sgtm_conf_spool,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_meter"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_sgtm_conf_meter,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_courier"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_courier,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_rate_limit"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE123,
      ngx_http_sgtm_conf_rate_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_consent_mode"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, consent_mode),
      ngx_http_sgtm_consent_modes },

    { ngx_string("sgtm_consent_source"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_consent_source,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_consent_conflict"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, consent_conflict),
      ngx_http_sgtm_consent_conflicts },

    { ngx_string("sgtm_consent_default"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_consent_default,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, consent_default),
      NULL },

    { ngx_string("sgtm_consent_server"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_consent_default,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, consent_server),
      NULL },

    { ngx_string("sgtm_redact"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_2MORE,
      ngx_http_sgtm_conf_redact,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_client_ip"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, client_ip),
      ngx_http_sgtm_client_ips },

    { ngx_string("sgtm_cookies"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_names,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, cookies),
      NULL },

    { ngx_string("sgtm_pass_header"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_names,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, pass_headers),
      NULL },

    { ngx_string("sgtm_origins"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_origins,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_set_param"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE2,
      ngx_http_sgtm_conf_set_param,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_remove_param"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_names,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, remove),
      NULL },

    { ngx_string("sgtm_dedup"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_1MORE,
      ngx_http_sgtm_conf_dedup,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_passthrough"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, passthrough),
      NULL },

    { ngx_string("sgtm_max_body"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_size,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, max_body),
      NULL },

    { ngx_string("sgtm_encoded"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, encoded),
      ngx_http_sgtm_encodeds },

    { ngx_string("sgtm_api_secret"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_api_secret,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_user_data"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, user_data),
      ngx_http_sgtm_user_datas },

    { ngx_string("sgtm_webhook"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE2,
      ngx_http_sgtm_conf_webhook,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_tagging"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, tagging),
      ngx_http_sgtm_taggings },

    { ngx_string("sgtm_script"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_script_name,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, script_name),
      NULL },

    { ngx_string("sgtm_inject"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE123,
      ngx_http_sgtm_conf_inject,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_csp"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE12,
      ngx_http_sgtm_conf_csp,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_debug"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_sgtm_loc_conf_t, debug),
      NULL },

    { ngx_string("sgtm_check"),
      NGX_HTTP_SGTM_HSL|NGX_CONF_TAKE1,
      ngx_http_sgtm_conf_check,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("sgtm_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_sgtm_status,
      0,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_sgtm_module_ctx = {
    ngx_http_sgtm_preconfiguration,        /* preconfiguration */
    ngx_http_sgtm_postconfiguration,       /* postconfiguration */

    ngx_http_sgtm_create_main_conf,        /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_sgtm_create_loc_conf,         /* create location configuration */
    ngx_http_sgtm_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_http_sgtm_module = {
    NGX_MODULE_V1,
    &ngx_http_sgtm_module_ctx,             /* module context */
    ngx_http_sgtm_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_sgtm_init_module,             /* init module */
    ngx_http_sgtm_init_process,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_sgtm_exit_process,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_sgtm_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_sgtm_variables_add(cf);
}


static ngx_int_t
ngx_http_sgtm_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);

    /* a status without a gateway has counters to show, too: all zero */

    if (ngx_http_sgtm_zone_add(cf, smcf) != NGX_OK
        || ngx_http_sgtm_tenants_read(cf, smcf) != NGX_OK
        || ngx_http_sgtm_site_resolve_all(cf, smcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!smcf->gateways) {
        return NGX_OK;
    }

    if (ngx_http_sgtm_courier_init(cf, smcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sgtm_headers_init();

    if (ngx_http_sgtm_handler_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sgtm_answer_init();

    return ngx_http_sgtm_site_init(cf, smcf);
}


static ngx_int_t
ngx_http_sgtm_init_module(ngx_cycle_t *cycle)
{
    if (ngx_http_sgtm_variables_init(cycle) != NGX_OK
        || ngx_http_sgtm_tenants_init_module(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_redis_init_module(cycle) != NGX_OK
        || ngx_http_sgtm_meter_init_module(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_spool_init_module(cycle);
}


static ngx_int_t
ngx_http_sgtm_init_process(ngx_cycle_t *cycle)
{
    if (ngx_http_sgtm_tenants_init_process(cycle) != NGX_OK
        || ngx_http_sgtm_tenants_file_init_process(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_spool_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_keeper_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_redis_init_process(cycle) != NGX_OK
        || ngx_http_sgtm_meter_init_process(cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_courier_init_process(cycle);
}


static void
ngx_http_sgtm_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_meter_exit_process(cycle);
    ngx_http_sgtm_tenants_exit_process(cycle);
}


static void *
ngx_http_sgtm_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    ngx_rbtree_init(&smcf->tenants, &smcf->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&smcf->scripts, &smcf->scripts_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_rbtree_init(&smcf->targets, &smcf->targets_sentinel,
                    ngx_str_rbtree_insert_value);

    if (ngx_array_init(&smcf->tables, cf->pool, 4,
                       sizeof(ngx_http_sgtm_tables_t *))
        != NGX_OK
        || ngx_array_init(&smcf->served, cf->pool, 4,
                          sizeof(ngx_http_sgtm_loc_conf_t *))
           != NGX_OK
        || ngx_array_init(&smcf->tags, cf->pool, 4,
                          sizeof(ngx_http_sgtm_tags_t *))
           != NGX_OK
        || ngx_array_init(&smcf->sites, cf->pool, 4,
                          sizeof(ngx_http_sgtm_site_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return smcf;
}


static void *
ngx_http_sgtm_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->api_secret = { 0, NULL };
     *     conf->endpoint = { 0, NULL };
     *     conf->events = NULL;
     *     conf->script_name = { 0, NULL };
     *     conf->site = NULL;
     *     conf->tenant = NULL;
     */

    conf->enable = NGX_CONF_UNSET;
    conf->containers = NGX_CONF_UNSET_PTR;
    conf->tag_ids = NGX_CONF_UNSET_PTR;
    conf->tier = NGX_CONF_UNSET_UINT;
    conf->fallback = NGX_CONF_UNSET_UINT;
    conf->delivery = NGX_CONF_UNSET_UINT;
    conf->courier = NGX_CONF_UNSET_PTR;
    conf->rate = NGX_CONF_UNSET_PTR;
    conf->address_rate = NGX_CONF_UNSET_PTR;
    conf->consent_mode = NGX_CONF_UNSET_UINT;
    conf->consent_sources = NGX_CONF_UNSET_PTR;
    conf->consent_gpc = NGX_CONF_UNSET;
    conf->consent_conflict = NGX_CONF_UNSET_UINT;
    conf->consent_default = NGX_CONF_UNSET_PTR;
    conf->consent_server = NGX_CONF_UNSET_PTR;
    conf->api_secrets = NGX_CONF_UNSET_PTR;
    conf->webhooks = NGX_CONF_UNSET_PTR;
    conf->client_ip = NGX_CONF_UNSET_UINT;
    conf->user_data = NGX_CONF_UNSET_UINT;
    conf->redact = NGX_CONF_UNSET_PTR;
    conf->cookies = NGX_CONF_UNSET_PTR;
    conf->pass_headers = NGX_CONF_UNSET_PTR;
    conf->origins = NGX_CONF_UNSET_PTR;
    conf->set = NGX_CONF_UNSET_PTR;
    conf->remove = NGX_CONF_UNSET_PTR;
    conf->dedup = NGX_CONF_UNSET_PTR;
    conf->passthrough = NGX_CONF_UNSET;
    conf->max_body = NGX_CONF_UNSET_SIZE;
    conf->encoded = NGX_CONF_UNSET_UINT;
    conf->tagging = NGX_CONF_UNSET_UINT;
    conf->debug = NGX_CONF_UNSET;
    conf->check = NGX_CONF_UNSET_PTR;
    conf->residency = NGX_CONF_UNSET_UINT;
    conf->upstreams = NGX_CONF_UNSET_PTR;
    conf->inject = NGX_CONF_UNSET_PTR;
    conf->csp = NGX_CONF_UNSET_PTR;

    return conf;
}


static char *
ngx_http_sgtm_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_sgtm_loc_conf_t *prev = parent;
    ngx_http_sgtm_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /*
     * as proxy_pass does, a gateway reaches into "if" and "limit_except"
     * blocks, but not into nested locations
     */

    if (conf->enable == NGX_CONF_UNSET) {
        conf->enable = (clcf->noname && prev->enable == 1);

        if (prev->enable == 1 && !clcf->noname && clcf->handler) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "location \"%V\" lies in a gateway and is none: "
                          "\"sgtm on\" makes it one, \"sgtm off\" says that "
                          "this is meant", &clcf->name);
        }
    }

    if (conf->tenant == NULL) {
        conf->tenant = prev->tenant;
    }

    if (conf->api_secrets == NGX_CONF_UNSET_PTR) {
        ngx_conf_merge_ptr_value(conf->api_secrets, prev->api_secrets, NULL);
        conf->api_secret = prev->api_secret;
    }

    ngx_conf_merge_str_value(conf->endpoint, prev->endpoint, "");
    ngx_conf_merge_str_value(conf->script_name, prev->script_name, "t.js");

    ngx_conf_merge_uint_value(conf->tier, prev->tier,
                              NGX_HTTP_SGTM_TIER_ENTERPRISE);
    ngx_conf_merge_uint_value(conf->delivery, prev->delivery,
                              NGX_HTTP_SGTM_DELIVERY_DIRECT);
    ngx_conf_merge_uint_value(conf->consent_mode, prev->consent_mode,
                              NGX_HTTP_SGTM_CONSENT_OFF);
    ngx_conf_merge_uint_value(conf->consent_conflict, prev->consent_conflict,
                              NGX_HTTP_SGTM_CONFLICT_FIRST);
    ngx_conf_merge_uint_value(conf->client_ip, prev->client_ip,
                              NGX_HTTP_SGTM_IP_FULL);
    ngx_conf_merge_uint_value(conf->user_data, prev->user_data,
                              NGX_HTTP_SGTM_USER_DATA_PASS);
    ngx_conf_merge_uint_value(conf->encoded, prev->encoded,
                              NGX_HTTP_SGTM_ENCODED_REFUSE);
    ngx_conf_merge_uint_value(conf->tagging, prev->tagging, SGTM_TAGGING_GTM);
    ngx_conf_merge_value(conf->consent_gpc, prev->consent_gpc, 1);
    ngx_conf_merge_value(conf->passthrough, prev->passthrough, 1);
    ngx_conf_merge_value(conf->debug, prev->debug, 0);
    ngx_conf_merge_size_value(conf->max_body, prev->max_body, 64 * 1024);

    /* the default follows from the tier, which a location may change alone */

    if (conf->fallback == NGX_CONF_UNSET_UINT) {
        conf->fallback = prev->fallback;
    }

    ngx_http_sgtm_residency_merge(conf, prev);
    ngx_http_sgtm_merge_lists(conf, prev);

    if (conf->enable && ngx_http_sgtm_gateway_init(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return (ngx_http_sgtm_site_merge(cf, conf) == NGX_OK) ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static void
ngx_http_sgtm_merge_lists(ngx_http_sgtm_loc_conf_t *conf,
    ngx_http_sgtm_loc_conf_t *prev)
{
    ngx_conf_merge_ptr_value(conf->check, prev->check, NULL);
    ngx_conf_merge_ptr_value(conf->courier, prev->courier, NULL);
    ngx_conf_merge_ptr_value(conf->rate, prev->rate, NULL);
    ngx_conf_merge_ptr_value(conf->address_rate, prev->address_rate, NULL);
    ngx_conf_merge_ptr_value(conf->containers, prev->containers, NULL);
    ngx_conf_merge_ptr_value(conf->tag_ids, prev->tag_ids, NULL);
    ngx_conf_merge_ptr_value(conf->consent_sources, prev->consent_sources,
                             NULL);
    ngx_conf_merge_ptr_value(conf->consent_default, prev->consent_default,
                             NULL);
    ngx_conf_merge_ptr_value(conf->consent_server, prev->consent_server,
                             NULL);
    ngx_conf_merge_ptr_value(conf->webhooks, prev->webhooks, NULL);
    ngx_conf_merge_ptr_value(conf->redact, prev->redact, NULL);
    ngx_conf_merge_ptr_value(conf->cookies, prev->cookies, NULL);
    ngx_conf_merge_ptr_value(conf->pass_headers, prev->pass_headers, NULL);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_ptr_value(conf->set, prev->set, NULL);
    ngx_conf_merge_ptr_value(conf->remove, prev->remove, NULL);
    ngx_conf_merge_ptr_value(conf->dedup, prev->dedup, NULL);
    ngx_conf_merge_ptr_value(conf->inject, prev->inject, NULL);
    ngx_conf_merge_ptr_value(conf->csp, prev->csp, NULL);
}
