
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm.h"
#include "ngx_http_sgtm_tables.h"
#include "gate/ngx_http_sgtm_dedup.h"


static ngx_int_t ngx_http_sgtm_tables_names(ngx_pool_t *pool,
    sgtm_names_t *names, const sgtm_default_t *defaults, size_t more);
static ngx_int_t ngx_http_sgtm_tables_flag(sgtm_names_t *names,
    ngx_array_t *list, ngx_uint_t flag);
static ngx_int_t ngx_http_sgtm_tables_redact(sgtm_names_t *names,
    ngx_array_t *redact, ngx_uint_t cookie);


ngx_int_t
ngx_http_sgtm_tables_params(ngx_pool_t *pool, ngx_http_sgtm_tables_t *t)
{
    size_t                   n;
    ngx_uint_t               i;
    sgtm_rule_t             *rule;
    sgtm_names_t            *names;
    ngx_http_sgtm_set_t     *set;
    ngx_http_sgtm_redact_t  *redact;

    names = &t->params;

    n = (t->redact ? t->redact->nelts : 0)
        + (t->remove ? t->remove->nelts : 0)
        + (t->set ? t->set->nelts : 0)
        + NGX_HTTP_SGTM_DEDUP_NAMES(t->dedup);

    if (ngx_http_sgtm_tables_names(pool, names, sgtm_default_params, n)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_tables_redact(names, t->redact, 0) != NGX_OK
        || ngx_http_sgtm_tables_flag(names, t->remove, SGTM_NAME_REMOVE)
           != NGX_OK
        || ngx_http_sgtm_dedup_params(t->dedup, names) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* forced by default; "sgtm_redact ad_personalization -npa" leaves it */

    t->npa = 1;

    if (t->redact) {
        redact = t->redact->elts;

        for (i = 0; i < t->redact->nelts; i++) {
            if (redact[i].deny == SGTM_DENY_AD_PERSONALIZATION
                && redact[i].name.len == 3
                && ngx_strncmp(redact[i].name.data, "npa", 3) == 0)
            {
                t->npa = !redact[i].keep;
            }
        }
    }

    t->reads = 0;
    t->credentials = 0;

    if (t->set == NULL) {
        return NGX_OK;
    }

    set = t->set->elts;

    for (i = 0; i < t->set->nelts; i++) {
        rule = sgtm_names_add(names, ngx_http_sgtm_str(&set[i].name));
        if (rule == NULL) {
            return NGX_ERROR;
        }

        rule->flags |= SGTM_NAME_SET;
        rule->set = i + 1;

        t->credentials |= (set[i].credential.len != 0);
        t->reads |= set[i].reads;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_tables_cookies(ngx_pool_t *pool, ngx_http_sgtm_tables_t *t)
{
    size_t              n;
    ngx_uint_t          i;
    sgtm_names_t       *names;
    const sgtm_rule_t  *rule;

    static ngx_str_t  previews[] = {
        ngx_string("gtm_auth"),
        ngx_string("gtm_debug"),
        ngx_string("gtm_preview")
    };

    names = &t->cookie_names;

    n = (t->redact ? t->redact->nelts : 0)
        + (t->cookies ? t->cookies->nelts : 0);

    if (ngx_http_sgtm_tables_names(pool, names, sgtm_default_cookies, n)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_tables_flag(names, t->cookies, SGTM_NAME_ALLOW)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_tables_redact(names, t->redact, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    t->previews = 0;

    for (i = 0; i < sizeof(previews) / sizeof(previews[0]); i++) {

        rule = sgtm_names_find(names, previews[i].data, previews[i].len,
                               sgtm_names_hash(previews[i].data,
                                               previews[i].len));

        t->previews |= rule ? sgtm_redact_kind(rule) : 0;
    }

    return NGX_OK;
}


/* a table of the defaults, with room for more names, exact or prefixes */

static ngx_int_t
ngx_http_sgtm_tables_names(ngx_pool_t *pool, sgtm_names_t *names,
    const sgtm_default_t *defaults, size_t more)
{
    void    *mem;
    size_t   exact, prefixes, n;

    exact = 0;
    prefixes = 0;

    for (n = 0; defaults[n].name.len; n++) {
        if (defaults[n].name.data[defaults[n].name.len - 1] == '*') {
            prefixes++;

        } else {
            exact++;
        }
    }

    exact += more;
    prefixes += more;

    mem = ngx_palloc(pool, sgtm_names_size(exact, prefixes));
    if (mem == NULL) {
        return NGX_ERROR;
    }

    sgtm_names_init(names, mem, exact, prefixes);

    return sgtm_names_add_defaults(names, defaults) == SGTM_OK ? NGX_OK
                                                               : NGX_ERROR;
}


static ngx_int_t
ngx_http_sgtm_tables_flag(sgtm_names_t *names, ngx_array_t *list,
    ngx_uint_t flag)
{
    ngx_str_t    *name;
    ngx_uint_t    i;
    sgtm_rule_t   on;

    if (list == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&on, sizeof(sgtm_rule_t));
    on.flags = flag;

    name = list->elts;

    for (i = 0; i < list->nelts; i++) {
        if (sgtm_names_change(names, ngx_http_sgtm_str(&name[i]), &on, NULL)
            != SGTM_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_tables_redact(sgtm_names_t *names, ngx_array_t *redact,
    ngx_uint_t cookie)
{
    ngx_uint_t               i;
    sgtm_rule_t              rule;
    ngx_http_sgtm_redact_t  *elt;

    if (redact == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&rule, sizeof(sgtm_rule_t));

    elt = redact->elts;

    for (i = 0; i < redact->nelts; i++) {

        if (elt[i].cookie != cookie) {
            continue;
        }

        rule.deny = elt[i].deny;

        if (sgtm_names_change(names, ngx_http_sgtm_str(&elt[i].name),
                              elt[i].keep ? NULL : &rule,
                              elt[i].keep ? &rule : NULL)
            != SGTM_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
