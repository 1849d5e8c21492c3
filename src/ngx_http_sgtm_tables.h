
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The tables of names that follow from lists: of a location, when the
 * configuration is merged, or of a tenant's record.
 */


#ifndef _NGX_HTTP_SGTM_TABLES_H_INCLUDED_
#define _NGX_HTTP_SGTM_TABLES_H_INCLUDED_


#include "ngx_http_sgtm.h"


/*
 * Each makes a table of the lists that t has, in memory of the pool: params
 * with what belongs to it, and cookie_names.  NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_sgtm_tables_params(ngx_pool_t *pool,
    ngx_http_sgtm_tables_t *t);
ngx_int_t ngx_http_sgtm_tables_cookies(ngx_pool_t *pool,
    ngx_http_sgtm_tables_t *t);


#endif /* _NGX_HTTP_SGTM_TABLES_H_INCLUDED_ */
