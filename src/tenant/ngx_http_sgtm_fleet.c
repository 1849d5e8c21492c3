
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../gate/ngx_http_sgtm_limit.h"
#include "ngx_http_sgtm_fleet.h"
#include "ngx_http_sgtm_zone.h"
#include "sgtm_share.h"


/* ids that wait for the owner; of more the next hits tell */
#define NGX_HTTP_SGTM_FLEET_IDS    1024
#define NGX_HTTP_SGTM_FLEET_FEW    64
#define NGX_HTTP_SGTM_FLEET_SMALL  (4 * 1024 * 1024)

/* nanoseconds: a wait that is as good as one for ever */
#define NGX_HTTP_SGTM_FLEET_NEVER  1e17


static void ngx_http_sgtm_fleet_tell(ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_tenant_t *tenant);
static uint64_t ngx_http_sgtm_fleet_time(double ns);


ngx_int_t
ngx_http_sgtm_fleet_init_zone(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf)
{
    ngx_uint_t              n;
    ngx_slab_pool_t        *shpool;
    ngx_http_sgtm_zone_t   *zone;
    ngx_http_sgtm_fleet_t  *fleet;

    if (smcf->redis == NULL) {
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone = shpool->data;

    if (zone->fleet == NULL) {

        n = (shm_zone->shm.size < NGX_HTTP_SGTM_FLEET_SMALL)
            ? NGX_HTTP_SGTM_FLEET_FEW : NGX_HTTP_SGTM_FLEET_IDS;

        fleet = ngx_slab_calloc_locked(shpool,
                                       sizeof(ngx_http_sgtm_fleet_t)
                                       + (n - 1)
                                         * sizeof(ngx_http_sgtm_fleet_id_t));
        if (fleet == NULL) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "sgtm_zone \"%V\" of %uzk has no room for the "
                          "limits of a fleet", &shm_zone->shm.name,
                          shm_zone->shm.size / 1024);
            return NGX_ERROR;
        }

        fleet->machines = 1;
        fleet->size = n;

        zone->fleet = fleet;
    }

    smcf->fleet = zone->fleet;

    return NGX_OK;
}


void
ngx_http_sgtm_fleet_ask(ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_tenant_t *tenant, const ngx_http_sgtm_rate_t *rate,
    ngx_http_sgtm_rate_t *own)
{
    double                     interval;
    uint32_t                   part, machines;
    ngx_http_sgtm_fleet_t     *fleet;
    ngx_http_sgtm_counters_t  *cn;

    fleet = smcf->fleet;
    cn = tenant->counters;

    (void) ngx_atomic_fetch_add(&cn->asked, 1);

    if (cn->interval != rate->interval) {
        cn->interval = rate->interval;
    }

    if (cn->told != fleet->epoch) {
        ngx_http_sgtm_fleet_tell(smcf, tenant);
    }

    machines = (uint32_t) fleet->machines;
    part = (uint32_t) cn->part;

    if (part == 0) {
        part = sgtm_share_even(machines);
    }

    if (part == SGTM_SHARE_WHOLE && machines == 1) {
        *own = *rate;
        return;
    }

    /* the burst is divided evenly: nobody knows where it will come */

    interval = (double) SGTM_SHARE_WHOLE / part;

    own->burst = ngx_http_sgtm_fleet_time((double) rate->burst * interval
                                          / machines);
    own->interval = ngx_http_sgtm_fleet_time((double) rate->interval
                                             * interval);
}


static uint64_t
ngx_http_sgtm_fleet_time(double ns)
{
    return (uint64_t) ngx_min(ns, NGX_HTTP_SGTM_FLEET_NEVER);
}


/* once in a while of a tenant: as long as it is asked for the owner knows it */

static void
ngx_http_sgtm_fleet_tell(ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_tenant_t *tenant)
{
    ngx_str_t                 *id;
    ngx_slab_pool_t           *shpool;
    ngx_http_sgtm_fleet_t     *fleet;
    ngx_http_sgtm_counters_t  *cn;
    ngx_http_sgtm_fleet_id_t  *to;

    fleet = smcf->fleet;
    cn = tenant->counters;
    id = &tenant->node.str;

    if (fleet->n == fleet->size || id->len > SGTM_TENANT_ID_MAX) {
        return;
    }

    shpool = (ngx_slab_pool_t *) smcf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    /* who dies in here may have it told twice */

    if (fleet->n < fleet->size && cn->told != fleet->epoch) {

        to = &fleet->ids[fleet->n];

        to->len = id->len;
        ngx_memcpy(to->data, id->data, id->len);

        fleet->n++;
        cn->told = fleet->epoch;
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_uint_t
ngx_http_sgtm_fleet_take(ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_sgtm_fleet_id_t *ids, ngx_uint_t n)
{
    ngx_slab_pool_t        *shpool;
    ngx_http_sgtm_fleet_t  *fleet;

    fleet = smcf->fleet;

    if (fleet->n == 0) {
        return 0;
    }

    shpool = (ngx_slab_pool_t *) smcf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    n = ngx_min(n, fleet->n);

    fleet->n -= n;
    ngx_memcpy(ids, &fleet->ids[fleet->n],
               n * sizeof(ngx_http_sgtm_fleet_id_t));

    ngx_shmtx_unlock(&shpool->mutex);

    return n;
}


/*
 * The arrival of the next hit, if all came evenly, is ahead of now by what has
 * been used, in hits of this machine's: it moves as their interval does.
 */

void
ngx_http_sgtm_fleet_set(ngx_http_sgtm_fleet_t *fleet,
    ngx_http_sgtm_counters_t *cn, uint32_t part)
{
    double     ahead;
    uint64_t   now, due;
    uint32_t   last, next, even;

    even = sgtm_share_even((unsigned) fleet->machines);

    last = cn->part ? (uint32_t) cn->part : even;
    next = part ? part : even;

    cn->part = part;

    if (last == next) {
        return;
    }

    now = ngx_http_sgtm_now();

    do {
        due = cn->arrival;

        if (due <= now) {
            return;
        }

        ahead = (double) (due - now) * last / next;

    } while (!ngx_atomic_cmp_set(&cn->arrival, due,
                                 now + ngx_http_sgtm_fleet_time(ahead)));
}
