
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../hit/sgtm_siphash.h"
#include "ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_zone.h"


/* processes that read at the same time, workers of old configurations too */
#define NGX_HTTP_SGTM_TENANTS_SLOTS   1024

/* in a zone that is smaller than this there are fewer */
#define NGX_HTTP_SGTM_TENANTS_SMALL   (4 * 1024 * 1024)
#define NGX_HTTP_SGTM_TENANTS_FEW     128

/* chains of the index in a slice of the move from one zone to another */
#define NGX_HTTP_SGTM_TENANTS_SLICE   1024


typedef struct {
    sgtm_registry_t            *from;
    sgtm_registry_t            *to;
    size_t                      state;     /* bytes beside a tenant */
    size_t                      moved;
    size_t                      failed;
} ngx_http_sgtm_move_t;


static ngx_int_t ngx_http_sgtm_tenants_create(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_records_t *records);
static ngx_http_sgtm_records_t *ngx_http_sgtm_tenants_before(
    ngx_shm_zone_t *shm_zone);
static void ngx_http_sgtm_tenants_move(ngx_shm_zone_t *shm_zone,
    sgtm_registry_t *from, sgtm_registry_t *to, size_t state);
static void ngx_http_sgtm_tenants_move_one(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info);


static sgtm_registry_reader_t  ngx_http_sgtm_reader;


ngx_int_t
ngx_http_sgtm_tenants_init_zone(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf)
{
    ngx_slab_pool_t          *shpool;
    sgtm_registry_stat_t      stat;
    ngx_http_sgtm_zone_t     *zone;
    ngx_http_sgtm_tenants_t   *source;
    ngx_http_sgtm_records_t  *records, *before;

    source = smcf->source;

    if (source == NULL) {
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone = shpool->data;
    records = zone->records;

    if (records == NULL) {

        records = ngx_slab_calloc_locked(shpool,
                                         sizeof(ngx_http_sgtm_records_t));

        if (records == NULL
            || ngx_http_sgtm_tenants_create(shm_zone, smcf, records) != NGX_OK)
        {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "sgtm_zone \"%V\" of %uzk has no room for "
                          "\"sgtm_tenants\"", &shm_zone->shm.name,
                          shm_zone->shm.size / 1024);

            if (records) {
                ngx_slab_free_locked(shpool, records);
            }

            return NGX_ERROR;
        }

        before = ngx_http_sgtm_tenants_before(shm_zone);

        if (before) {
            ngx_http_sgtm_tenants_move(shm_zone, before->registry,
                                       records->registry,
                                       source->conf.state);
            records->redis = before->redis;
        }

        zone->records = records;
    }

    sgtm_registry_stat(records->registry, &stat);

    if (source->staged && source->staged->size > stat.size) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "sgtm_zone \"%V\" of %uzk is too small for "
                      "\"sgtm_tenants\": %uz records take %uLk, and %uzk are "
                      "there for them", &shm_zone->shm.name,
                      shm_zone->shm.size / 1024, source->staged->records,
                      source->staged->size / 1024, stat.size / 1024);
        return NGX_ERROR;
    }

    source->conf.room = stat.size;

    return NGX_OK;
}


/* three quarters of what is free, or half where sgtm_dedup wants its part */

static ngx_int_t
ngx_http_sgtm_tenants_create(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_sgtm_records_t *records)
{
    void                  *mem;
    u_char                 key[SGTM_SIPHASH_KEY];
    size_t                 size;
    ngx_slab_pool_t       *shpool;
    ngx_http_sgtm_zone_t  *zone;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone = shpool->data;

    size = (smcf->dedup && zone->dedup == NULL) ? shpool->pfree / 2
                                                : shpool->pfree / 4 * 3;
    size *= ngx_pagesize;

    if (getentropy(key, sizeof(key)) == -1) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, ngx_errno,
                      "getentropy() for \"sgtm_tenants\" failed");
        return NGX_ERROR;
    }

    mem = size ? ngx_slab_alloc_locked(shpool, size) : NULL;

    if (mem == NULL) {
        return NGX_ERROR;
    }

    records->registry = sgtm_registry_create(mem, size,
                                   shm_zone->shm.size
                                   < NGX_HTTP_SGTM_TENANTS_SMALL
                                   ? NGX_HTTP_SGTM_TENANTS_FEW
                                   : NGX_HTTP_SGTM_TENANTS_SLOTS,
                                   key, smcf->source->conf.state);

    if (records->registry == NULL) {
        ngx_slab_free_locked(shpool, mem);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * While a configuration is loaded, ngx_cycle is the one before.  A zone of its
 * that has this name, but is another one, has another size.
 */

static ngx_http_sgtm_records_t *
ngx_http_sgtm_tenants_before(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t             i;
    ngx_shm_zone_t        *old;
    ngx_list_part_t       *part;
    ngx_slab_pool_t       *shpool;
    ngx_http_sgtm_zone_t  *zone;

    for (part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
         part;
         part = part->next)
    {
        old = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (old[i].tag != shm_zone->tag
                || old[i].shm.addr == NULL
                || old[i].shm.addr == shm_zone->shm.addr
                || old[i].shm.name.len != shm_zone->shm.name.len
                || ngx_strncmp(old[i].shm.name.data, shm_zone->shm.name.data,
                               shm_zone->shm.name.len)
                   != 0)
            {
                continue;
            }

            shpool = (ngx_slab_pool_t *) old[i].shm.addr;
            zone = shpool->data;

            return zone ? zone->records : NULL;
        }
    }

    return NULL;
}


/* the old workers read on meanwhile, and one of them may write */

static void
ngx_http_sgtm_tenants_move(ngx_shm_zone_t *shm_zone, sgtm_registry_t *from,
    sgtm_registry_t *to, size_t state)
{
    size_t                  next;
    uint64_t                generation;
    ngx_uint_t              more;
    ngx_http_sgtm_move_t    move;
    sgtm_registry_reader_t  reader;

    if (sgtm_registry_attach(from, &reader) != SGTM_OK
        || sgtm_registry_lock(to) != SGTM_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, shm_zone->shm.log, 0,
                      "records of tenants can't be moved to sgtm_zone \"%V\"",
                      &shm_zone->shm.name);
        return;
    }

    move.from = from;
    move.to = to;
    move.state = state;
    move.moved = 0;
    move.failed = 0;

    next = 0;

    do {
        generation = sgtm_registry_enter(&reader);

        more = sgtm_registry_walk(from, &next, NGX_HTTP_SGTM_TENANTS_SLICE,
                                  ngx_http_sgtm_tenants_move_one, &move);

        sgtm_registry_leave(&reader, generation);

    } while (more);

    sgtm_registry_unlock(to);
    sgtm_registry_detach(&reader);

    ngx_log_error(NGX_LOG_NOTICE, shm_zone->shm.log, 0,
                  "%uz records of tenants were moved to sgtm_zone \"%V\" of "
                  "%uzk", move.moved, &shm_zone->shm.name,
                  shm_zone->shm.size / 1024);

    if (move.failed) {
        ngx_log_error(NGX_LOG_ERR, shm_zone->shm.log, 0,
                      "sgtm_zone \"%V\" of %uzk has no room for %uz records "
                      "of tenants", &shm_zone->shm.name,
                      shm_zone->shm.size / 1024, move.failed);
    }
}


static void
ngx_http_sgtm_tenants_move_one(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info)
{
    ngx_http_sgtm_move_t *move = data;

    sgtm_registry_conflict_t  conflict;

    if (sgtm_registry_put(move->to, info->source, 0, t, info->sum, &conflict)
        != SGTM_REGISTRY_OK)
    {
        move->failed++;
        return;
    }

    move->moved++;

    if (move->state) {
        ngx_memcpy(sgtm_registry_state(move->to,
                                       sgtm_registry_id(move->to, &t->id)),
                   sgtm_registry_state(move->from, t), move->state);
    }
}


ngx_int_t
ngx_http_sgtm_tenants_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_records_t    *records;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf == NULL || smcf->source == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    records = ngx_http_sgtm_tenants_records(smcf);

    /* a process without a master has one from its last configuration */

    if (ngx_http_sgtm_reader.slot
        && ngx_http_sgtm_reader.registry == records->registry)
    {
        return NGX_OK;
    }

    if (sgtm_registry_attach(records->registry, &ngx_http_sgtm_reader)
        != SGTM_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "too many processes read in sgtm_zone \"%V\", this one "
                      "has no tenants but those of the configuration",
                      &smcf->zone->shm.name);
    }

    return NGX_OK;
}


/* requests that never ended hold what they hold until the process is gone */

void
ngx_http_sgtm_tenants_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_sgtm_reader.n == 0) {
        sgtm_registry_detach(&ngx_http_sgtm_reader);
    }
}


ngx_http_sgtm_record_t *
ngx_http_sgtm_tenants_find(ngx_http_request_t *r)
{
    uint64_t                 generation;
    ngx_pool_cleanup_t      *cln;
    const sgtm_tenant_t     *tenant;
    ngx_http_sgtm_record_t  *record;

    if (ngx_http_sgtm_reader.slot == NULL) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_sgtm_tenants_leave) {
            record = cln->data;

            if (record->tenant) {
                return record;
            }

            break;
        }
    }

    generation = sgtm_registry_enter(&ngx_http_sgtm_reader);

    tenant = sgtm_registry_host(ngx_http_sgtm_reader.registry,
                                ngx_http_sgtm_str(&r->headers_in.server));

    if (tenant && cln == NULL) {
        cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_sgtm_record_t));
    }

    if (tenant == NULL || cln == NULL) {
        sgtm_registry_leave(&ngx_http_sgtm_reader, generation);
        return NULL;
    }

    record = cln->data;
    record->tenant = tenant;
    record->generation = generation;

    cln->handler = ngx_http_sgtm_tenants_leave;

    return record;
}


void
ngx_http_sgtm_tenants_leave(void *data)
{
    ngx_http_sgtm_record_t *record = data;

    if (record->tenant && ngx_http_sgtm_reader.n) {
        record->tenant = NULL;
        sgtm_registry_leave(&ngx_http_sgtm_reader, record->generation);
    }
}


ngx_uint_t
ngx_http_sgtm_tenants_walk(ngx_http_sgtm_records_t *records, size_t *next,
    size_t n, sgtm_registry_handler_pt handler, void *data)
{
    uint64_t    generation;
    ngx_uint_t  more;

    if (ngx_http_sgtm_reader.slot == NULL) {
        return 0;
    }

    generation = sgtm_registry_enter(&ngx_http_sgtm_reader);
    more = sgtm_registry_walk(records->registry, next, n, handler, data);
    sgtm_registry_leave(&ngx_http_sgtm_reader, generation);

    return more;
}


sgtm_registry_reader_t *
ngx_http_sgtm_tenants_reader(void)
{
    return ngx_http_sgtm_reader.slot ? &ngx_http_sgtm_reader : NULL;
}


ngx_int_t
ngx_http_sgtm_tenants_address(ngx_pool_t *pool, ngx_str_t *tenant,
    ngx_uint_t field, ngx_str_t *value)
{
    uint64_t              generation;
    ngx_int_t             rc;
    const sgtm_str_t     *address;
    const sgtm_tenant_t  *t;

    if (ngx_http_sgtm_reader.slot == NULL) {
        return NGX_OK;
    }

    generation = sgtm_registry_enter(&ngx_http_sgtm_reader);

    t = sgtm_registry_id(ngx_http_sgtm_reader.registry,
                         ngx_http_sgtm_str(tenant));
    rc = NGX_OK;

    if (t && sgtm_tenant_has(t, field)) {

        address = (field == SGTM_TENANT_UPSTREAM) ? &t->upstream
                                                  : &t->endpoint;
        value->len = address->len;
        value->data = ngx_pstrdup(pool, (ngx_str_t *) address);

        if (value->data == NULL) {
            rc = NGX_ERROR;
        }
    }

    sgtm_registry_leave(&ngx_http_sgtm_reader, generation);

    return rc;
}


ngx_http_sgtm_records_t *
ngx_http_sgtm_tenants_records(ngx_http_sgtm_main_conf_t *smcf)
{
    return (smcf->source && smcf->zone) ? ngx_http_sgtm_zone(smcf)->records
                                        : NULL;
}


void
ngx_http_sgtm_note_get(ngx_http_sgtm_records_t *records,
    ngx_http_sgtm_note_t *note)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  seq;

    /* who died over it leaves it as it is; the next one writes it anew */

    for (i = 0; i < 1000; i++) {

        seq = records->seq;
        ngx_memory_barrier();

        *note = records->note;

        ngx_memory_barrier();

        if (seq == records->seq && (seq & 1) == 0) {
            break;
        }

        ngx_cpu_pause();
    }

    note->error[NGX_HTTP_SGTM_NOTE_ERROR - 1] = '\0';
}


void
ngx_http_sgtm_note_set(ngx_http_sgtm_records_t *records,
    const ngx_http_sgtm_note_t *note)
{
    records->seq |= 1;
    ngx_memory_barrier();

    records->note = *note;

    ngx_memory_barrier();
    records->seq++;
}
