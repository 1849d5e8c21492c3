
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../gate/ngx_http_sgtm_dedup.h"
#include "../gate/ngx_http_sgtm_limit_address.h"
#include "ngx_http_sgtm_zone.h"


/*
 * A tenant's block in shared memory.  It is never freed: workers of an earlier
 * configuration may count in it for as long as they like.
 */

typedef struct {
    ngx_str_node_t             node;       /* node.str.data is id[] */
    ngx_http_sgtm_counters_t   counters;
    u_char                     id[1];
} ngx_http_sgtm_zone_node_t;


static ngx_int_t ngx_http_sgtm_zone_init(ngx_shm_zone_t *shm_zone, void *data);
static ngx_int_t ngx_http_sgtm_zone_tenants(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_zone_t *zone, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel);
static ngx_http_sgtm_zone_node_t *ngx_http_sgtm_zone_node(
    ngx_slab_pool_t *shpool, ngx_http_sgtm_zone_t *zone, ngx_str_node_t *sn);


ngx_http_sgtm_tenant_t *
ngx_http_sgtm_tenant_add(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_str_t *id)
{
    uint32_t                 hash;
    ngx_http_sgtm_tenant_t  *tenant;

    hash = ngx_crc32_long(id->data, id->len);

    tenant = (ngx_http_sgtm_tenant_t *)
             ngx_str_rbtree_lookup(&smcf->tenants, id, hash);

    if (tenant) {
        return tenant;
    }

    tenant = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_tenant_t));
    if (tenant == NULL) {
        return NULL;
    }

    tenant->node.node.key = hash;
    tenant->node.str = *id;

    ngx_rbtree_insert(&smcf->tenants, &tenant->node.node);

    return tenant;
}


ngx_http_sgtm_tenant_t *
ngx_http_sgtm_tenant_find(ngx_http_sgtm_main_conf_t *smcf, ngx_str_t *id)
{
    ngx_str_node_t  *node;

    node = ngx_str_rbtree_lookup(&smcf->tenants, id,
                                 ngx_crc32_long(id->data, id->len));

    return node ? (ngx_http_sgtm_tenant_t *) node : smcf->other;
}


ngx_int_t
ngx_http_sgtm_zone_add(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf)
{
    if (smcf->zone_size == 0) {

        if (!smcf->gateways && smcf->source == NULL) {
            return NGX_OK;
        }

        ngx_str_set(&smcf->zone_name, "sgtm");
        smcf->zone_size = NGX_HTTP_SGTM_ZONE_DEFAULT;
    }

    smcf->zone = ngx_shared_memory_add(cf, &smcf->zone_name, smcf->zone_size,
                                       &ngx_http_sgtm_module);
    if (smcf->zone == NULL) {
        return NGX_ERROR;
    }

    smcf->zone->init = ngx_http_sgtm_zone_init;
    smcf->zone->data = smcf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_int_t                   rc;
    ngx_slab_pool_t            *shpool;
    ngx_http_sgtm_zone_t       *zone;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = shm_zone->data;
    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    zone = shpool->data;

    if (zone == NULL) {

        /* without room for its head a zone has room for nothing */

        zone = ngx_slab_calloc_locked(shpool, sizeof(ngx_http_sgtm_zone_t));

        if (zone == NULL) {
            ngx_shmtx_unlock(&shpool->mutex);
            return NGX_ERROR;
        }

        ngx_rbtree_init(&zone->tenants, &zone->sentinel,
                        ngx_str_rbtree_insert_value);

        zone->created = ngx_time();
        shpool->data = zone;
        shpool->log_nomem = 0;
    }

    rc = ngx_http_sgtm_zone_tenants(shm_zone, zone, smcf->tenants.root,
                                    smcf->tenants.sentinel);

    /* they take what is left, and are left to the configurations to come */

    if (rc == NGX_OK) {
        rc = ngx_http_sgtm_fleet_init_zone(shm_zone, smcf);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_sgtm_limit_address_init_zone(shm_zone, smcf);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_sgtm_tenants_init_zone(shm_zone, smcf);
    }

    if (rc == NGX_OK && smcf->seen && zone->dedup == NULL) {

        zone->dedup = ngx_http_sgtm_dedup_create(shm_zone);

        if (zone->dedup == NULL) {
            rc = NGX_ERROR;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


static ngx_int_t
ngx_http_sgtm_zone_tenants(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_zone_t *zone, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_slab_pool_t            *shpool;
    ngx_http_sgtm_tenant_t     *tenant;
    ngx_http_sgtm_zone_node_t  *zn;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    for ( /* void */ ; node != sentinel; node = node->right) {

        if (ngx_http_sgtm_zone_tenants(shm_zone, zone, node->left, sentinel)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        tenant = (ngx_http_sgtm_tenant_t *) node;

        zn = ngx_http_sgtm_zone_node(shpool, zone, &tenant->node);

        if (zn == NULL) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "sgtm_zone \"%V\" of %uzk is too small for the "
                          "configured tenants", &shm_zone->shm.name,
                          shm_zone->shm.size / 1024);
            return NGX_ERROR;
        }

        tenant->counters = &zn->counters;
    }

    return NGX_OK;
}


static ngx_http_sgtm_zone_node_t *
ngx_http_sgtm_zone_node(ngx_slab_pool_t *shpool, ngx_http_sgtm_zone_t *zone,
    ngx_str_node_t *sn)
{
    ngx_http_sgtm_zone_node_t  *zn;

    zn = (ngx_http_sgtm_zone_node_t *)
         ngx_str_rbtree_lookup(&zone->tenants, &sn->str, sn->node.key);

    if (zn) {
        return zn;
    }

    zn = ngx_slab_calloc_locked(shpool,
                                offsetof(ngx_http_sgtm_zone_node_t, id)
                                + sn->str.len);
    if (zn == NULL) {
        return NULL;
    }

    ngx_memcpy(zn->id, sn->str.data, sn->str.len);

    zn->node.str.len = sn->str.len;
    zn->node.str.data = zn->id;
    zn->node.node.key = sn->node.key;

    ngx_rbtree_insert(&zone->tenants, &zn->node.node);

    return zn;
}
