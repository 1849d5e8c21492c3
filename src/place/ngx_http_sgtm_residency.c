
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_residency.h"
#include "sgtm_country.h"


static char *ngx_http_sgtm_residency_country(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *slcf, ngx_str_t *value);
static ngx_str_t *ngx_http_sgtm_residency_pass(ngx_conf_t *cf,
    void **loc_conf);


char *
ngx_http_sgtm_conf_residency(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t          *value;
    const sgtm_word_t  *word;

    static ngx_str_t  country = ngx_string("country=");

    if (slcf->residency != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    word = sgtm_word(sgtm_residencies, ngx_http_sgtm_str(&value[1]));

    if (word == NULL) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                          "\"any\", \"eu\" or \"auto\"");
    }

    slcf->residency = word->value;
    slcf->country = NULL;

    if (cf->args->nelts == 3) {

        if (value[2].len <= country.len
            || ngx_strncmp(value[2].data, country.data, country.len) != 0)
        {
            return ngx_http_sgtm_conf_invalid(cf, &value[2],
                                  "\"country=\" and what tells the visitor's "
                                  "country, as \"country=$cdn_country\"");
        }

        value[2].data += country.len;
        value[2].len -= country.len;

        return ngx_http_sgtm_residency_country(cf, slcf, &value[2]);
    }

    if (slcf->residency == SGTM_RESIDENCY_AUTO) {
        return "auto needs \"country=\", which tells where a visitor is: a "
               "variable of a CDN that is trusted, or of another module";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_sgtm_residency_country(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *slcf,
    ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    slcf->country = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (slcf->country == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = slcf->country;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (slcf->country->lengths == NULL) {
        return ngx_http_sgtm_conf_invalid(cf, value,
                                          "a variable, as \"$cdn_country\"");
    }

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_upstream(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t                    *value, *to, text;
    ngx_uint_t                    i, k;
    ngx_http_sgtm_upstreams_t    *u;

    static struct {
        ngx_str_t   name;
        size_t      offset;
    } params[] = {
        { ngx_string("default="),
          offsetof(ngx_http_sgtm_upstreams_t, name) },
        { ngx_string("eu="), offsetof(ngx_http_sgtm_upstreams_t, eu) },
        { ngx_string("eu_endpoint="),
          offsetof(ngx_http_sgtm_upstreams_t, eu_endpoint) }
    };

    if (slcf->upstreams != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    u = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_upstreams_t));
    if (u == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        to = NULL;

        for (k = 0; k < sizeof(params) / sizeof(params[0]); k++) {

            if (value[i].len > params[k].name.len
                && ngx_strncmp(value[i].data, params[k].name.data,
                               params[k].name.len)
                   == 0)
            {
                to = (ngx_str_t *) ((u_char *) u + params[k].offset);
                text.data = value[i].data + params[k].name.len;
                text.len = value[i].len - params[k].name.len;
                break;
            }
        }

        if (to == NULL || to->len
            || !sgtm_form_address(ngx_http_sgtm_str(&text)))
        {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                  "\"default=\", \"eu=\" or \"eu_endpoint=\", "
                                  "once each, and the name of an upstream or "
                                  "a host with an optional port");
        }

        *to = text;
    }

    if (u->eu_endpoint.len && u->eu.len == 0) {
        return "has \"eu_endpoint=\" but no \"eu=\"";
    }

    slcf->upstreams = u;

    return NGX_CONF_OK;
}


void
ngx_http_sgtm_residency_merge(ngx_http_sgtm_loc_conf_t *conf,
    ngx_http_sgtm_loc_conf_t *prev)
{
    if (conf->residency == NGX_CONF_UNSET_UINT) {

        if (prev->residency == NGX_CONF_UNSET_UINT) {
            prev->residency = SGTM_RESIDENCY_ANY;
        }

        conf->residency = prev->residency;
        conf->country = prev->country;
    }

    ngx_conf_merge_ptr_value(conf->upstreams, prev->upstreams, NULL);
}


ngx_int_t
ngx_http_sgtm_residency_init(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf,
    void **loc_conf, ngx_str_t *name, ngx_uint_t eu)
{
    ngx_http_sgtm_upstreams_t  *u;

    u = conf->upstreams;
    conf->pass = ngx_http_sgtm_residency_pass(cf, loc_conf);

    if (!eu) {

        if (u && conf->pass && u->eu.len
            && !ngx_http_sgtm_residency_has_eu(conf))
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "location \"%V\" has \"sgtm_upstream\", but its "
                          "\"proxy_pass\" leads to \"%V\" alone: without "
                          "\"$sgtm_upstream\" in it records with \"residency\" "
                          "are refused", name, conf->pass);
        }

        return NGX_OK;
    }

    if (u == NULL || u->eu.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\": \"sgtm_residency\" keeps data in the "
                      "EU, but there is no \"sgtm_upstream\" with \"eu=\"",
                      name);
        return NGX_ERROR;
    }

    if (!ngx_http_sgtm_residency_has_eu(conf)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\": \"sgtm_residency\" keeps data in the "
                      "EU, but \"proxy_pass\" leads to \"%V\": it needs "
                      "\"$sgtm_upstream\"", name, conf->pass);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The proxy module's configuration is its own, but it begins with that of the
 * upstream in all versions.  NULL: it has variables, or another module passes.
 */

static ngx_str_t *
ngx_http_sgtm_residency_pass(ngx_conf_t *cf, void **loc_conf)
{
    ngx_uint_t                  i;
    ngx_module_t               *m;
    ngx_http_upstream_conf_t   *ucf;

    for (i = 0; cf->cycle->modules[i]; i++) {

        m = cf->cycle->modules[i];

        if (m->type != NGX_HTTP_MODULE
            || ngx_strcmp(m->name, "ngx_http_proxy_module") != 0)
        {
            continue;
        }

        ucf = loc_conf[m->ctx_index];

        return (ucf && ucf->upstream) ? &ucf->upstream->host : NULL;
    }

    return NULL;
}


ngx_uint_t
ngx_http_sgtm_residency_has_eu(ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_str_t  *eu;

    if (conf->upstreams == NULL || conf->upstreams->eu.len == 0) {
        return 0;
    }

    if (conf->pass == NULL) {
        return 1;
    }

    eu = &conf->upstreams->eu;

    return conf->pass->len == eu->len
           && ngx_strncasecmp(conf->pass->data, eu->data, eu->len) == 0;
}


ngx_uint_t
ngx_http_sgtm_residency(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_str_t                  country;
    ngx_uint_t                 region;
    ngx_http_sgtm_loc_conf_t  *conf;

    if (ctx->region != NGX_HTTP_SGTM_REGION_UNKNOWN) {
        return ctx->region;
    }

    conf = ctx->conf;
    region = NGX_HTTP_SGTM_REGION_EU;

    if (conf->residency == SGTM_RESIDENCY_ANY) {
        region = NGX_HTTP_SGTM_REGION_ANY;

    } else if (conf->residency == SGTM_RESIDENCY_AUTO && conf->country
               && ngx_http_complex_value(r, conf->country, &country) == NGX_OK
               && !sgtm_country_eu(ngx_http_sgtm_str(&country)))
    {
        region = NGX_HTTP_SGTM_REGION_ANY;
    }

    /* before the tenant is known it is another's */

    if (ctx->tenant) {
        ctx->region = region;
    }

    return region;
}


/* what does not leave this machine may come from anywhere */

ngx_int_t
ngx_http_sgtm_residency_check(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    if (ngx_http_sgtm_residency(r, ctx) != NGX_HTTP_SGTM_REGION_EU
        || ctx->route == NGX_HTTP_SGTM_ROUTE_SCRIPT
        || ctx->route == NGX_HTTP_SGTM_ROUTE_MP_DEBUG
        || ngx_http_sgtm_residency_has_eu(ctx->conf))
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


ngx_uint_t
ngx_http_sgtm_residency_kept(ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *tenant)
{
    uint64_t                 generation;
    ngx_uint_t               residency;
    const sgtm_tenant_t     *t;
    sgtm_registry_reader_t  *reader;

    residency = conf->residency;
    reader = ngx_http_sgtm_tenants_reader();

    if (reader) {
        generation = sgtm_registry_enter(reader);

        t = sgtm_registry_id(reader->registry, ngx_http_sgtm_str(tenant));

        if (t && sgtm_tenant_has(t, SGTM_TENANT_RESIDENCY)) {
            residency = t->residency;
        }

        sgtm_registry_leave(reader, generation);
    }

    /* where the visitor was has been found when the hit came */

    return (residency == SGTM_RESIDENCY_EU) ? NGX_HTTP_SGTM_REGION_EU
                                            : NGX_HTTP_SGTM_REGION_ANY;
}
