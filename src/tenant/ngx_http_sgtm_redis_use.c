
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Tenants that are asked for.
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis_share.h"
#include "ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_zone.h"


/* tenants at most: those beyond have even parts */
#define NGX_HTTP_SGTM_REDIS_USES     16384

/* ids that are taken at a time, and in a round */
#define NGX_HTTP_SGTM_REDIS_TAKEN    32
#define NGX_HTTP_SGTM_REDIS_LEARN    1024

/* a tenant that was not asked for as long is forgotten */
#define NGX_HTTP_SGTM_REDIS_UNASKED  2000


static void ngx_http_sgtm_redis_use_add(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_fleet_id_t *id);
static ngx_http_sgtm_counters_t *ngx_http_sgtm_redis_use_counters(
    ngx_http_sgtm_redis_sharing_t *s, ngx_str_t *id, uint64_t *generation);
static void ngx_http_sgtm_redis_use_leave(uint64_t generation);


ngx_int_t
ngx_http_sgtm_redis_use_init(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_main_conf_t *smcf, ngx_cycle_t *cycle)
{
    /* what is not used of it stays untouched */

    s->uses = ngx_palloc(cycle->pool, NGX_HTTP_SGTM_REDIS_USES
                                      * sizeof(ngx_http_sgtm_redis_use_t));
    if (s->uses == NULL) {
        return NGX_ERROR;
    }

    s->smcf = smcf;
    s->fleet = smcf->fleet;

    ngx_queue_init(&s->free);
    ngx_queue_init(&s->list);
    ngx_rbtree_init(&s->tree, &s->sentinel, ngx_str_rbtree_insert_value);

    return NGX_OK;
}


void
ngx_http_sgtm_redis_use_learn(ngx_http_sgtm_redis_sharing_t *s)
{
    ngx_uint_t                i, n, total;
    ngx_http_sgtm_fleet_id_t  ids[NGX_HTTP_SGTM_REDIS_TAKEN];

    total = 0;

    do {
        n = ngx_http_sgtm_fleet_take(s->smcf, ids, NGX_HTTP_SGTM_REDIS_TAKEN);

        for (i = 0; i < n; i++) {
            ngx_http_sgtm_redis_use_add(s, &ids[i]);
        }

        total += n;

    } while (n == NGX_HTTP_SGTM_REDIS_TAKEN
             && total < NGX_HTTP_SGTM_REDIS_LEARN);
}


static void
ngx_http_sgtm_redis_use_add(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_fleet_id_t *id)
{
    uint32_t                    hash;
    ngx_str_t                   name;
    ngx_queue_t                *q;
    ngx_http_sgtm_redis_use_t  *use;

    name.len = id->len;
    name.data = id->data;

    hash = ngx_crc32_long(name.data, name.len);

    if (ngx_str_rbtree_lookup(&s->tree, &name, hash)) {
        return;
    }

    if (!ngx_queue_empty(&s->free)) {
        q = ngx_queue_head(&s->free);
        ngx_queue_remove(q);
        use = ngx_queue_data(q, ngx_http_sgtm_redis_use_t, queue);

    } else if (s->nuses < NGX_HTTP_SGTM_REDIS_USES) {
        use = &s->uses[s->nuses++];

    } else {
        return;
    }

    ngx_memzero(use, offsetof(ngx_http_sgtm_redis_use_t, id));
    ngx_memcpy(use->id, name.data, name.len);

    use->node.node.key = hash;
    use->node.str.len = name.len;
    use->node.str.data = use->id;
    use->asked = ngx_current_msec;

    ngx_rbtree_insert(&s->tree, &use->node.node);
    ngx_queue_insert_tail(&s->list, &use->queue);

    s->n++;
}


void
ngx_http_sgtm_redis_use_drop(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_redis_use_t *use)
{
    ngx_rbtree_delete(&s->tree, &use->node.node);

    ngx_queue_remove(&use->queue);
    ngx_queue_insert_tail(&s->free, &use->queue);

    s->n--;
}


/* one without a hit for long gets an even part, and has to be told of anew */

ngx_int_t
ngx_http_sgtm_redis_use_asked(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_redis_use_t *use)
{
    uint64_t                   generation;
    ngx_int_t                  rc;
    ngx_atomic_uint_t          n;
    ngx_http_sgtm_counters_t  *cn;

    cn = ngx_http_sgtm_redis_use_counters(s, &use->node.str, &generation);
    if (cn == NULL) {
        return NGX_DECLINED;
    }

    n = cn->asked;
    rc = NGX_OK;

    if (n) {
        (void) ngx_atomic_fetch_add(&cn->asked, -(ngx_atomic_int_t) n);
        use->asked = ngx_current_msec;

    } else if (ngx_current_msec - use->asked > NGX_HTTP_SGTM_REDIS_UNASKED) {
        ngx_http_sgtm_fleet_set(s->fleet, cn, 0);
        cn->told = 0;
        rc = NGX_DECLINED;
    }

    use->sent = sgtm_share_tell(&use->share, ngx_http_sgtm_now(),
                                NGX_HTTP_SGTM_REDIS_ROUND * 1000000ULL,
                                cn->interval, n);

    ngx_http_sgtm_redis_use_leave(generation);

    return rc;
}


void
ngx_http_sgtm_redis_use_set(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_redis_use_t *use, ngx_uint_t alone)
{
    uint32_t                   part;
    uint64_t                   generation;
    unsigned                   machines;
    ngx_http_sgtm_counters_t  *cn;

    cn = ngx_http_sgtm_redis_use_counters(s, &use->node.str, &generation);
    if (cn == NULL) {
        return;
    }

    machines = (unsigned) s->fleet->machines;

    part = alone ? sgtm_share_alone(&use->share, machines)
                 : sgtm_share_part(&use->share, cn->interval, machines);

    ngx_http_sgtm_fleet_set(s->fleet, cn, part);

    ngx_http_sgtm_redis_use_leave(generation);
}


/* of a tenant; they have to be left, unless it is NULL: there is none */

static ngx_http_sgtm_counters_t *
ngx_http_sgtm_redis_use_counters(ngx_http_sgtm_redis_sharing_t *s,
    ngx_str_t *id, uint64_t *generation)
{
    const sgtm_tenant_t     *record;
    ngx_http_sgtm_tenant_t  *tenant;
    sgtm_registry_reader_t  *reader;

    *generation = 0;

    tenant = ngx_http_sgtm_tenant_find(s->smcf, id);

    if (tenant && tenant->node.str.len == id->len
        && ngx_memcmp(tenant->node.str.data, id->data, id->len) == 0)
    {
        return tenant->counters;
    }

    reader = ngx_http_sgtm_tenants_reader();
    if (reader == NULL) {
        return NULL;
    }

    *generation = sgtm_registry_enter(reader);

    record = sgtm_registry_id(reader->registry, ngx_http_sgtm_str(id));

    if (record == NULL) {
        ngx_http_sgtm_redis_use_leave(*generation);
        return NULL;
    }

    return sgtm_registry_state(reader->registry, record);
}


static void
ngx_http_sgtm_redis_use_leave(uint64_t generation)
{
    if (generation) {
        sgtm_registry_leave(ngx_http_sgtm_tenants_reader(), generation);
    }
}
