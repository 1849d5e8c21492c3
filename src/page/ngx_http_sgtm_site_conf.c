
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_settings.h"
#include "ngx_http_sgtm_site.h"
#include "sgtm_csp.h"


static char *ngx_http_sgtm_conf_fit(ngx_conf_t *cf, ngx_http_sgtm_fit_t **fit,
    ngx_conf_enum_t *modes, ngx_uint_t errors, char *allowed);
static ngx_int_t ngx_http_sgtm_site_gateway(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_site_prefix(ngx_pool_t *pool, ngx_str_t *name,
    ngx_str_t *prefix);
static ngx_int_t ngx_http_sgtm_site_resolve(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_site_t *site,
    ngx_http_sgtm_fit_t *fit, char *directive, ngx_http_sgtm_tags_t **found);
static ngx_uint_t ngx_http_sgtm_site_prefix_is(ngx_str_t *name,
    ngx_str_t *prefix);
static void ngx_http_sgtm_site_complain(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_site_t *site,
    ngx_http_sgtm_fit_t *fit, char *directive, ngx_uint_t n);


static ngx_conf_enum_t  ngx_http_sgtm_inject_modes[] = {
    { ngx_string("off"), 0 },
    { ngx_string("on"), 1 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_sgtm_csp_modes[] = {
    { ngx_string("off"), NGX_HTTP_SGTM_CSP_OFF },
    { ngx_string("nonce"), NGX_HTTP_SGTM_CSP_NONCE },
    { ngx_string("strict"), NGX_HTTP_SGTM_CSP_STRICT },
    { ngx_null_string, 0 }
};


char *
ngx_http_sgtm_conf_inject(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    return ngx_http_sgtm_conf_fit(cf, &slcf->inject,
                                  ngx_http_sgtm_inject_modes, 1,
                                  "\"on\" or \"off\", and then "
                                  "\"prefix=/metrics/\", \"errors\"");
}


char *
ngx_http_sgtm_conf_csp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    return ngx_http_sgtm_conf_fit(cf, &slcf->csp, ngx_http_sgtm_csp_modes, 0,
                                  "\"off\", \"nonce\" or \"strict\", and "
                                  "then \"prefix=/metrics/\"");
}


static char *
ngx_http_sgtm_conf_fit(ngx_conf_t *cf, ngx_http_sgtm_fit_t **fit,
    ngx_conf_enum_t *modes, ngx_uint_t errors, char *allowed)
{
    ngx_str_t            *value;
    ngx_uint_t            i;
    ngx_conf_enum_t      *e;
    ngx_http_sgtm_fit_t  *f;

    if (*fit != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    f = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_fit_t));
    if (f == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (e = modes; e->name.len; e++) {
        if (e->name.len == value[1].len
            && ngx_strncmp(e->name.data, value[1].data, value[1].len) == 0)
        {
            break;
        }
    }

    if (e->name.len == 0) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1], allowed);
    }

    f->mode = e->value;
    f->common = (cf->cmd_type == NGX_HTTP_MAIN_CONF);

    for (i = 2; i < cf->args->nelts; i++) {

        if (value[i].len >= 8 && f->prefix.len == 0
            && ngx_strncmp(value[i].data, "prefix=/", 8) == 0)
        {
            f->prefix.data = value[i].data + 7;
            f->prefix.len = value[i].len - 7;

        } else if (errors && value[i].len == 6
                   && ngx_strncmp(value[i].data, "errors", 6) == 0)
        {
            f->errors = 1;

        } else {
            return ngx_http_sgtm_conf_invalid(cf, &value[i], allowed);
        }
    }

    *fit = f;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sgtm_site_merge(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_http_sgtm_site_t       *site, **p;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_sgtm_main_conf_t  *smcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);

    /* what comes from the tagging server is no page of the site */

    if (conf->enable) {
        return clcf->noname ? NGX_OK
                            : ngx_http_sgtm_site_gateway(cf, smcf, conf);
    }

    if ((conf->inject == NULL || conf->inject->mode == 0)
        && (conf->csp == NULL || conf->csp->mode == NGX_HTTP_SGTM_CSP_OFF))
    {
        return NGX_OK;
    }

    site = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_site_t));
    p = ngx_array_push(&smcf->sites);

    if (site == NULL || p == NULL) {
        return NGX_ERROR;
    }

    *p = site;
    conf->site = site;

    site->server = ngx_http_conf_get_module_srv_conf(cf,
                                                     ngx_http_core_module);
    site->name = clcf->name;
    site->inject = (conf->inject && conf->inject->mode) ? conf->inject : NULL;
    site->csp = (conf->csp && conf->csp->mode) ? conf->csp : NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_site_gateway(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_http_sgtm_tags_t  *tags, **p;

    tags = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_tags_t));
    p = ngx_array_push(&smcf->tags);

    if (tags == NULL || p == NULL
        || ngx_http_sgtm_site_prefix(cf->pool, &conf->prefix, &tags->prefix)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    *p = tags;

    tags->server = ngx_http_conf_get_module_srv_conf(cf,
                                                     ngx_http_core_module);
    tags->gateway = conf;
    tags->tagging = ngx_http_sgtm_settings_tagging(conf);

    tags->script.len = tags->prefix.len + conf->script_name.len;
    tags->script.data = ngx_pnalloc(cf->pool, tags->script.len);

    if (tags->script.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(tags->script.data, tags->prefix.data,
                          tags->prefix.len),
               conf->script_name.data, conf->script_name.len);

    return ngx_http_sgtm_site_line(cf->pool, &tags->script, NULL,
                                   &tags->line);
}


/*
 * The path of a URL that is as harmless in HTML and in a policy: but for what a
 * path is made of everything is escaped.  Two slashes at its beginning would
 * lead to another host.
 */

static ngx_int_t
ngx_http_sgtm_site_prefix(ngx_pool_t *pool, ngx_str_t *name, ngx_str_t *prefix)
{
    u_char  *p, ch;
    size_t   i;

    p = ngx_pnalloc(pool, 3 * name->len + 2);
    if (p == NULL) {
        return NGX_ERROR;
    }

    prefix->data = p;

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || ngx_strchr("-._~/!$()*+=:@", ch))
        {
            if (ch != '/' || i == 0 || name->data[i - 1] != '/') {
                *p++ = ch;
            }

        } else {
            p = ngx_sprintf(p, "%%%02Xi", (ngx_int_t) ch);
        }
    }

    if (p == prefix->data || p[-1] != '/') {
        *p++ = '/';
    }

    prefix->len = p - prefix->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_site_line(ngx_pool_t *pool, ngx_str_t *script, ngx_str_t *nonce,
    ngx_str_t *line)
{
    u_char  *p;

    line->len = sizeof("<script async src=\"\"></script>") - 1 + script->len
                + ((nonce && nonce->len) ? sizeof(" nonce=\"\"") - 1
                                           + nonce->len
                                         : 0);

    p = ngx_pnalloc(pool, line->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    line->data = p;

    p = ngx_cpymem(p, "<script async", sizeof("<script async") - 1);

    if (nonce && nonce->len) {
        p = ngx_sprintf(p, " nonce=\"%V\"", nonce);
    }

    ngx_sprintf(p, " src=\"%V\"></script>", script);

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_site_resolve_all(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf)
{
    ngx_uint_t             i;
    ngx_http_sgtm_site_t  *site, **sites;

    sites = smcf->sites.elts;

    for (i = 0; i < smcf->sites.nelts; i++) {
        site = sites[i];

        if (site->inject
            && ngx_http_sgtm_site_resolve(cf, smcf, site, site->inject,
                                          "sgtm_inject", &site->inject_tags)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (site->csp && site->csp->prefix.len == 0) {
            site->csp_tags = site->inject_tags;
        }

        if (site->csp && site->csp_tags == NULL
            && ngx_http_sgtm_site_resolve(cf, smcf, site, site->csp,
                                          "sgtm_csp", &site->csp_tags)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * The gateway of the same server that is meant.  A directive in http{} is for
 * the servers that have one.
 */

static ngx_int_t
ngx_http_sgtm_site_resolve(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_site_t *site, ngx_http_sgtm_fit_t *fit, char *directive,
    ngx_http_sgtm_tags_t **found)
{
    ngx_uint_t              i, n, all;
    ngx_http_sgtm_tags_t  **tags;

    tags = smcf->tags.elts;

    for (i = 0, n = 0, all = 0; i < smcf->tags.nelts; i++) {

        if (tags[i]->server != site->server) {
            continue;
        }

        all++;

        if (fit->prefix.len == 0
            || ngx_http_sgtm_site_prefix_is(&tags[i]->gateway->prefix,
                                            &fit->prefix))
        {
            *found = tags[i];
            n++;
        }
    }

    if (n == 1) {
        return NGX_OK;
    }

    *found = NULL;

    if (all == 0 && fit->common) {
        return NGX_OK;
    }

    ngx_http_sgtm_site_complain(cf, smcf, site, fit, directive, all);

    return NGX_ERROR;
}


/* a slash at the end makes no difference */

static ngx_uint_t
ngx_http_sgtm_site_prefix_is(ngx_str_t *name, ngx_str_t *prefix)
{
    size_t  n, m;

    n = name->len - (name->len && name->data[name->len - 1] == '/');
    m = prefix->len - (prefix->data[prefix->len - 1] == '/');

    return n == m && ngx_memcmp(name->data, prefix->data, n) == 0;
}


static void
ngx_http_sgtm_site_complain(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_site_t *site, ngx_http_sgtm_fit_t *fit, char *directive,
    ngx_uint_t n)
{
    u_char                 *last, buf[512];
    ngx_str_t               where;
    ngx_uint_t              i;
    ngx_http_sgtm_tags_t  **tags;

    tags = smcf->tags.elts;
    last = buf;

    for (i = 0; i < smcf->tags.nelts; i++) {
        if (tags[i]->server == site->server) {
            last = ngx_slprintf(last, buf + sizeof(buf), "%s\"%V\"",
                                last == buf ? "" : ", ",
                                &tags[i]->gateway->prefix);
        }
    }

    where = site->server->server_name;

    if (n == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" of server \"%V\" has \"%s\", but the "
                      "server has no gateway (\"sgtm on\") whose script pages "
                      "could load", &site->name, &where, directive);

    } else if (fit->prefix.len) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" of server \"%V\" has \"%s\" for the "
                      "gateway \"%V\", but the server's are %*s",
                      &site->name, &where, directive, &fit->prefix,
                      (size_t) (last - buf), buf);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "location \"%V\" of server \"%V\" has \"%s\", and the "
                      "server has several gateways: %*s; \"prefix=\" says "
                      "which of them is meant",
                      &site->name, &where, directive,
                      (size_t) (last - buf), buf);
    }
}
