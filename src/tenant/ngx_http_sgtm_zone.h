
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The module's shared memory.  A tenant that the configuration names has one
 * block of counters in it, found by its id again after a reload; everything
 * else shares the block "_other", so that no request can use up memory.  What
 * is left is divided between records of tenants and what sgtm_dedup has seen.
 */


#ifndef _NGX_HTTP_SGTM_ZONE_H_INCLUDED_
#define _NGX_HTTP_SGTM_ZONE_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../delivery/ngx_http_sgtm_courier.h"
#include "../delivery/ngx_http_sgtm_spool.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_fleet.h"
#include "ngx_http_sgtm_tenants.h"


#define NGX_HTTP_SGTM_ZONE_MIN      (64 * 1024)
#define NGX_HTTP_SGTM_ZONE_DEFAULT  (32 * 1024 * 1024)


/* the head of the zone */

typedef struct {
    ngx_rbtree_t               tenants;    /* ngx_http_sgtm_zone_node_t */
    ngx_rbtree_node_t          sentinel;
    time_t                     created;
    ngx_http_sgtm_records_t   *records;    /* NULL: was never configured */
    ngx_http_sgtm_fleet_t     *fleet;      /* the same */
    ngx_http_sgtm_addresses_t *addresses;  /* the same */
    ngx_http_sgtm_dedup_table_t  *dedup;   /* the same */
    ngx_http_sgtm_latency_t    latency;
    ngx_http_sgtm_spool_stat_t spool;
    ngx_http_sgtm_courier_stat_t  courier;
} ngx_http_sgtm_zone_t;


/* the head of a configuration's zone, once the zone has been made */
#define ngx_http_sgtm_zone(smcf)                                              \
    ((ngx_http_sgtm_zone_t *)                                                 \
     ((ngx_slab_pool_t *) (smcf)->zone->shm.addr)->data)


/*
 * The tenant of this id, added to the configuration if it is new, or NULL
 * without memory.  The id's bytes are kept.
 */
ngx_http_sgtm_tenant_t *ngx_http_sgtm_tenant_add(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_str_t *id);

/* the configured tenant of this id, else "_other" */
ngx_http_sgtm_tenant_t *ngx_http_sgtm_tenant_find(
    ngx_http_sgtm_main_conf_t *smcf, ngx_str_t *id);

/* creates the zone of the configuration; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_zone_add(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf);


#endif /* _NGX_HTTP_SGTM_ZONE_H_INCLUDED_ */
