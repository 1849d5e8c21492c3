
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_secrets.h"

#include <openssl/crypto.h>


/* seconds between two complaints of a worker */
#define NGX_HTTP_SGTM_SECRETS_QUIET  60


static void ngx_http_sgtm_secrets_complain(const sgtm_tenant_t *t,
    const sgtm_str_t *field);


void
ngx_http_sgtm_secrets_open(ngx_http_sgtm_secrets_t *secrets,
    const sgtm_tenant_t *t, const sgtm_str_t *field, size_t max)
{
    int                         rc;
    size_t                      i;
    sgtm_str_t                 *secret;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_sgtm_module);
    secrets->n = 0;

    for (i = 0; i < SGTM_TENANT_SECRETS && secrets->n < max; i++) {

        secret = &secrets->elts[secrets->n];
        secret->data = secrets->data[secrets->n];

        rc = sgtm_tenant_open(t, field, i, smcf->keys, secret->data,
                              &secret->len);

        if (rc == SGTM_DECLINED) {
            return;
        }

        if (rc == SGTM_OK) {
            secrets->n++;

        } else {
            ngx_http_sgtm_secrets_complain(t, field);
        }
    }
}


void
ngx_http_sgtm_secrets_wipe(ngx_http_sgtm_secrets_t *secrets)
{
    OPENSSL_cleanse(secrets->data,
                    secrets->n * sizeof(secrets->data[0]));
    secrets->n = 0;
}


void
ngx_http_sgtm_secrets_fill(sgtm_fill_t *fill, sgtm_fill_set_t *sets,
    const sgtm_tenant_t *t, ngx_array_t *list)
{
    size_t                      i, n;
    ngx_http_sgtm_set_t        *set;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_sgtm_module);

    ngx_memzero(fill, sizeof(sgtm_fill_t));

    fill->tenant = t;
    fill->keys = smcf->keys;
    fill->sets = sets;

    if (t && sgtm_tenant_has(t, SGTM_TENANT_SET_PARAMS)) {

        for (i = 0; i < t->set_params.nelts; i++) {
            if (t->set_params.elts[i].credential.len) {
                sets[fill->nsets].name = t->set_params.elts[i].name;
                sets[fill->nsets].credential = t->set_params.elts[i].credential;
                fill->nsets++;
            }
        }

        return;
    }

    set = list ? list->elts : NULL;
    n = list ? list->nelts : 0;

    /* one that the tenant has not is not set */

    for (i = 0; t && i < n && fill->nsets < SGTM_TENANT_SETS; i++) {
        if (set[i].credential.len
            && sgtm_tenant_credential(t, ngx_http_sgtm_str(&set[i].credential)))
        {
            sets[fill->nsets].name = *ngx_http_sgtm_str(&set[i].name);
            sets[fill->nsets].credential =
                                      *ngx_http_sgtm_str(&set[i].credential);
            fill->nsets++;
        }
    }
}


void
ngx_http_sgtm_secrets_filled(const sgtm_fill_t *fill)
{
    if (fill->sealed) {
        ngx_http_sgtm_secrets_complain(fill->tenant,
                                  sgtm_tenant_field(SGTM_TENANT_CREDENTIALS));
    }
}


static void
ngx_http_sgtm_secrets_complain(const sgtm_tenant_t *t, const sgtm_str_t *field)
{
    static time_t  last;

    if (last && ngx_time() - last < NGX_HTTP_SGTM_SECRETS_QUIET) {
        return;
    }

    last = ngx_time();

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "a secret of tenant \"%V\", \"%V\", does not open: its key "
                  "is not in \"sgtm_key_file\", or it was changed",
                  (ngx_str_t *) &t->id, (ngx_str_t *) field);
}
