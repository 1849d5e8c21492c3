
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis_core.h"
#include "ngx_http_sgtm_tenants.h"


#define NGX_HTTP_SGTM_REDIS_POLL   1000

/* of the polls, every which looks whether all is well with the connections */
#define NGX_HTTP_SGTM_REDIS_TICKS  10


static ngx_http_sgtm_main_conf_t *ngx_http_sgtm_redis_process(
    ngx_cycle_t *cycle);
static void ngx_http_sgtm_redis_poll_handler(ngx_event_t *ev);


/* by ngx_http_sgtm_redis_state_e */

static ngx_str_t  ngx_http_sgtm_redis_states[] = {
    ngx_string("connecting"),
    ngx_string("loading"),
    ngx_string("synced"),
    ngx_string("empty"),
    ngx_string("wiped"),
    ngx_string("behind"),
    ngx_string("away")
};


const ngx_str_t *
ngx_http_sgtm_redis_state(ngx_uint_t state)
{
    return &ngx_http_sgtm_redis_states[state];
}


/*
 * From here on the owner is one of the new configuration's.  What was in the
 * zone before may be a file's, or of another prefix.
 */

ngx_int_t
ngx_http_sgtm_redis_init_module(ngx_cycle_t *cycle)
{
    sgtm_registry_stat_t         registry;
    ngx_http_sgtm_records_t     *records;
    ngx_http_sgtm_redis_stat_t  *stat;
    ngx_http_sgtm_main_conf_t   *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf == NULL || ngx_test_config) {
        return NGX_OK;
    }

    records = ngx_http_sgtm_tenants_records(smcf);

    if (records == NULL) {
        return NGX_OK;
    }

    stat = &records->redis;

    if (smcf->redis == NULL) {
        stat->identity = 0;
        return NGX_OK;
    }

    smcf->source->epoch = ngx_atomic_fetch_add(&records->epoch, 1) + 1;

    if (stat->identity == smcf->redis->identity) {
        return NGX_OK;
    }

    sgtm_registry_stat(records->registry, &registry);

    stat->foreign = (registry.records != 0);
    stat->version = 0;
    stat->identity = smcf->redis->identity;

    if (smcf->redis->snapshot.len && !stat->foreign) {
        stat->restored = ngx_http_sgtm_redis_restore(smcf, cycle->log);
        stat->tenants = stat->restored;
    }

    return NGX_OK;
}


/* NULL: the process is not the one that talks to Redis */

static ngx_http_sgtm_main_conf_t *
ngx_http_sgtm_redis_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf == NULL || smcf->redis == NULL || smcf->zone == NULL
        || ngx_worker != 0
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NULL;
    }

    return smcf;
}


ngx_int_t
ngx_http_sgtm_redis_init_process(ngx_cycle_t *cycle)
{
    ngx_http_sgtm_records_t      *records;
    ngx_http_sgtm_main_conf_t    *smcf;
    ngx_http_sgtm_redis_stat_t   *stat;
    ngx_http_sgtm_redis_owner_t  *o;

    smcf = ngx_http_sgtm_redis_process(cycle);

    if (smcf == NULL) {
        return NGX_OK;
    }

    o = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_redis_owner_t));
    if (o == NULL) {
        return NGX_ERROR;
    }

    o->errors = ngx_pcalloc(cycle->pool,
                            smcf->redis->addrs.nelts * sizeof(ngx_uint_t));
    if (o->errors == NULL) {
        return NGX_ERROR;
    }

    records = ngx_http_sgtm_tenants_records(smcf);
    stat = &records->redis;

    o->conf = smcf->redis;
    o->stat = stat;
    o->epoch = &records->epoch;
    o->mine = smcf->source->epoch;
    o->log = cycle->log;
    o->sink = &ngx_http_sgtm_redis_sink;

    o->sink_data = o->sink->create(smcf, cycle);
    if (o->sink_data == NULL) {
        return NGX_ERROR;
    }

    o->refill = (stat->unsettled != 0);
    o->dirty = 1;

    stat->slice = 0;
    stat->state = NGX_HTTP_SGTM_REDIS_CONNECTING;
    stat->subscribed = 0;

    if (ngx_http_sgtm_redis_snapshot_init(o, cycle) != NGX_OK
        || ngx_http_sgtm_redis_share_init(o, smcf, cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    o->dummy.fd = (ngx_socket_t) -1;
    o->dummy.data = o;

    o->poll.handler = ngx_http_sgtm_redis_poll_handler;
    o->poll.data = &o->dummy;
    o->poll.log = o->log;
    o->poll.cancelable = 1;

    o->step.handler = ngx_http_sgtm_redis_step;
    o->step.data = &o->dummy;
    o->step.log = o->log;

    ngx_http_sgtm_redis_link_init(o);

    ngx_add_timer(&o->poll, NGX_HTTP_SGTM_REDIS_POLL);

    return NGX_OK;
}


void
ngx_http_sgtm_redis_set_state(ngx_http_sgtm_redis_owner_t *o, ngx_uint_t state)
{
    ngx_str_t                   *name;
    ngx_http_sgtm_redis_stat_t  *stat;

    stat = o->stat;

    if (state == NGX_HTTP_SGTM_REDIS_SYNCED) {
        stat->synced = ngx_time();
    }

    if (stat->state == state) {
        return;
    }

    stat->state = state;
    name = &ngx_http_sgtm_redis_addr(o)->name;

    switch (state) {

    case NGX_HTTP_SGTM_REDIS_SYNCED:
        ngx_log_error(NGX_LOG_NOTICE, o->log, 0,
                      "redis \"%V\": its %uA tenants are in memory, up to "
                      "version %uA", name, stat->tenants, stat->version);
        break;

    case NGX_HTTP_SGTM_REDIS_EMPTY:
        ngx_log_error(NGX_LOG_WARN, o->log, 0,
                      "redis \"%V\" has no tenants", name);
        break;

    case NGX_HTTP_SGTM_REDIS_WIPED:
        ngx_log_error(NGX_LOG_WARN, o->log, 0,
                      "redis \"%V\" has lost its tenants, the %uA in memory "
                      "are kept", name, stat->tenants);
        break;

    case NGX_HTTP_SGTM_REDIS_BEHIND:
        ngx_log_error(NGX_LOG_WARN, o->log, 0,
                      "redis \"%V\" is at version %uL, before %uA that was "
                      "known", name, o->walk.version, stat->version);
        break;

    default: /* CONNECTING, FILLING; AWAY: the reason has been said */
        break;
    }
}


static void
ngx_http_sgtm_redis_poll_handler(ngx_event_t *ev)
{
    ngx_http_sgtm_redis_owner_t  *o;

    o = ngx_http_sgtm_redis_owner(ev);

    if (ngx_http_sgtm_redis_ended(o)) {
        ngx_http_sgtm_redis_link_end(o);
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_SGTM_REDIS_POLL);

    if (o->ready) {

        if (++o->ticks % NGX_HTTP_SGTM_REDIS_TICKS == 0) {
            ngx_http_sgtm_redis_link_tick(o);
        }

        ngx_http_sgtm_redis_check(o);
    }

    ngx_http_sgtm_redis_sliced(o, ngx_max(o->command.longest,
                                          o->messages.longest));

    ngx_http_sgtm_redis_snapshot_tick(o);
}


void
ngx_http_sgtm_redis_sliced(ngx_http_sgtm_redis_owner_t *o, uint64_t ns)
{
    o->stat->slice = ngx_max(o->stat->slice, ns / 1000);
}
