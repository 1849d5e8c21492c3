
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Secrets of records: opened when they are used, and wiped right after.
 */


#ifndef _NGX_HTTP_SGTM_SECRETS_H_INCLUDED_
#define _NGX_HTTP_SGTM_SECRETS_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "sgtm_tenant.h"


typedef struct {
    size_t                     n;
    sgtm_str_t                 elts[SGTM_TENANT_SECRETS];
    u_char                     data[SGTM_TENANT_SECRETS][SGTM_SECRET_MAX];
} ngx_http_sgtm_secrets_t;


/*
 * Opens at most max secrets of a field, as sgtm_tenant_open() knows it, with
 * the keys of sgtm_key_file.  One that does not open is left out; once a minute
 * the log says so.  ngx_http_sgtm_secrets_wipe() ends their use.
 */
void ngx_http_sgtm_secrets_open(ngx_http_sgtm_secrets_t *secrets,
    const sgtm_tenant_t *t, const sgtm_str_t *field, size_t max);
void ngx_http_sgtm_secrets_wipe(ngx_http_sgtm_secrets_t *secrets);


#endif /* _NGX_HTTP_SGTM_SECRETS_H_INCLUDED_ */
