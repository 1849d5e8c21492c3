
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Secrets of records: opened when they are used, and wiped right after.
 */


#ifndef _NGX_HTTP_SGTM_SECRETS_H_INCLUDED_
#define _NGX_HTTP_SGTM_SECRETS_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "sgtm_fill.h"


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


/*
 * Prepares a fill with the credentials of a tenant, which may be NULL: for the
 * parameters that its record sets, else for those of a list of
 * ngx_http_sgtm_set_t, or NULL, whose credential it has.  sets has room for
 * SGTM_TENANT_SETS.
 */
void ngx_http_sgtm_secrets_fill(sgtm_fill_t *fill, sgtm_fill_set_t *sets,
    const sgtm_tenant_t *t, ngx_array_t *list);

/* once it is done: the log says so if something did not open */
void ngx_http_sgtm_secrets_filled(const sgtm_fill_t *fill);


#endif /* _NGX_HTTP_SGTM_SECRETS_H_INCLUDED_ */
