
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the workers of a machine share of a fleet's limits: which part of each
 * tenant's rate is theirs, and which tenants are asked for.  The worker that
 * talks to Redis sets the one, and learns the other.
 */


#ifndef _NGX_HTTP_SGTM_FLEET_H_INCLUDED_
#define _NGX_HTTP_SGTM_FLEET_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "sgtm_form.h"


typedef struct {
    size_t                     len;
    u_char                     data[SGTM_TENANT_ID_MAX];
} ngx_http_sgtm_fleet_id_t;


/* in the zone, kept over a reload */

struct ngx_http_sgtm_fleet_s {
    ngx_atomic_t               epoch;      /* of the owner; another one has to
                                              be told of all tenants anew */
    ngx_atomic_t               machines;   /* of the fleet, at least 1 */

    /* ids that the owner was not told of yet, under the lock of the zone */

    ngx_uint_t                 size;
    ngx_uint_t                 n;
    ngx_http_sgtm_fleet_id_t   ids[1];
};


/*
 * Makes it in a zone whose lock is held, unless it is there, where tenants come
 * from Redis.  NGX_OK, or NGX_ERROR, logged.
 */
ngx_int_t ngx_http_sgtm_fleet_init_zone(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf);

/*
 * A hit asks for a tenant's rate: counts it, and sets what of the rate is this
 * machine's.
 */
void ngx_http_sgtm_fleet_ask(ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_tenant_t *tenant, const ngx_http_sgtm_rate_t *rate,
    ngx_http_sgtm_rate_t *own);

/*
 * For the owner: takes ids of tenants that were asked for, n at most, and
 * returns how many.
 */
ngx_uint_t ngx_http_sgtm_fleet_take(ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_fleet_id_t *ids, ngx_uint_t n);

/*
 * For the owner: from now on this part of the rate is this machine's, of
 * SGTM_SHARE_WHOLE; 0: an even one.  What hits have used of it stays used.
 */
void ngx_http_sgtm_fleet_set(ngx_http_sgtm_fleet_t *fleet,
    ngx_http_sgtm_counters_t *cn, uint32_t part);


#endif /* _NGX_HTTP_SGTM_FLEET_H_INCLUDED_ */
