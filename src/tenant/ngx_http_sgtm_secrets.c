
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
