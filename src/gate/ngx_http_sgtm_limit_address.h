
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * How many hits an address may send to a tenant: a flat table of fingerprints
 * in shared memory, of a size that is fixed.  No address is kept, and nothing
 * is locked.
 */


#ifndef _NGX_HTTP_SGTM_LIMIT_ADDRESS_H_INCLUDED_
#define _NGX_HTTP_SGTM_LIMIT_ADDRESS_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_limit.h"


/*
 * Makes the table in a zone whose lock is held, unless it is there, where a
 * limit of addresses is configured.  NGX_OK, or NGX_ERROR, logged.
 */
ngx_int_t ngx_http_sgtm_limit_address_init_zone(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf);

/*
 * Takes one hit of the client's address, as realip has left it; 0, or in how
 * many seconds there is one to take.
 */
ngx_uint_t ngx_http_sgtm_limit_address_take(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);


#endif /* _NGX_HTTP_SGTM_LIMIT_ADDRESS_H_INCLUDED_ */
