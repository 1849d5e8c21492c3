
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_meter.h"


#define NGX_HTTP_SGTM_METER_INTERVAL  10000
#define NGX_HTTP_SGTM_METER_LEAST     250
#define NGX_HTTP_SGTM_METER_MOST      (3600 * 1000)

/* a hundred thousand tenants */
#define NGX_HTTP_SGTM_METER_SIZE      (20 * 1024 * 1024)
#define NGX_HTTP_SGTM_METER_MIN       (128 * 1024)


#if (NGX_THREADS)
static ngx_int_t ngx_http_sgtm_meter_option(ngx_http_sgtm_meter_conf_t *mcf,
    ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_meter_zone(ngx_shm_zone_t *shm_zone,
    void *data);
static ngx_int_t ngx_http_sgtm_meter_make(ngx_slab_pool_t *shpool,
    ngx_log_t *log);
#endif
static sgtm_meter_t *ngx_http_sgtm_meter_of(ngx_http_sgtm_ctx_t *ctx);


/* what an event is counted as by what became of its hit; ACCEPTED: not yet */

static u_char  ngx_http_sgtm_meter_kinds[] = {
    SGTM_METER_FAILED,             /* undecided */
    SGTM_METER_FORWARDED,
    SGTM_METER_ACCEPTED,           /* queued */
    SGTM_METER_DENIED,
    SGTM_METER_DUPLICATE,
    SGTM_METER_LIMITED,
    SGTM_METER_FILTERED,
    SGTM_METER_N,                  /* refused: it was never accepted */
    SGTM_METER_FAILED
};


#if (NGX_THREADS)

char *
ngx_http_sgtm_conf_meter(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_main_conf_t *smcf = conf;

    ngx_str_t                   *value;
    ngx_uint_t                   i;
    ngx_http_sgtm_meter_conf_t  *mcf;

    if (smcf->meter) {
        return "is duplicate";
    }

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_meter_conf_t));
    if (mcf == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1], "a directory");
    }

    mcf->path = value[1];
    mcf->interval = NGX_HTTP_SGTM_METER_INTERVAL;
    mcf->size = NGX_HTTP_SGTM_METER_SIZE;

    if (ngx_conf_full_name(cf->cycle, &mcf->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sgtm_meter_option(mcf, &value[i]) != NGX_OK) {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                              "\"interval=\" of 250ms to 1h or "
                                              "\"size=\" of at least 128k");
        }
    }

    mcf->threads = ngx_thread_pool_add(cf, NULL);
    if (mcf->threads == NULL) {
        return NGX_CONF_ERROR;
    }

    /* another directory is another zone: what waits belongs to its file */

    mcf->zone = ngx_shared_memory_add(cf, &mcf->path, mcf->size,
                                      &ngx_http_sgtm_module);
    if (mcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->zone->init = ngx_http_sgtm_meter_zone;
    mcf->zone->data = mcf;

    smcf->meter = mcf;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sgtm_meter_option(ngx_http_sgtm_meter_conf_t *mcf, ngx_str_t *value)
{
    ssize_t     size;
    ngx_int_t   ms;
    ngx_str_t   s;

    if (ngx_strncmp(value->data, "interval=", 9) == 0) {

        s.data = value->data + 9;
        s.len = value->len - 9;

        ms = ngx_parse_time(&s, 0);

        if (ms == NGX_ERROR || ms < NGX_HTTP_SGTM_METER_LEAST
            || ms > NGX_HTTP_SGTM_METER_MOST)
        {
            return NGX_ERROR;
        }

        mcf->interval = ms;

        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "size=", 5) != 0) {
        return NGX_ERROR;
    }

    s.data = value->data + 5;
    s.len = value->len - 5;

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR || size < NGX_HTTP_SGTM_METER_MIN) {
        return NGX_ERROR;
    }

    mcf->size = size;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_meter_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_int_t         rc;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    rc = shpool->data ? NGX_OK
                      : ngx_http_sgtm_meter_make(shpool, shm_zone->shm.log);

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


/* the meter takes all there is */

static ngx_int_t
ngx_http_sgtm_meter_make(ngx_slab_pool_t *shpool, ngx_log_t *log)
{
    void                        *mem;
    size_t                       size;
    uint32_t                     epoch;
    ngx_http_sgtm_meter_head_t  *head;

    do {
        if (getentropy(&epoch, sizeof(epoch)) == -1) {
            ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                          "getentropy() for \"sgtm_meter\" failed");
            return NGX_ERROR;
        }

    } while (epoch == 0);

    head = ngx_slab_calloc_locked(shpool, sizeof(ngx_http_sgtm_meter_head_t));

    size = shpool->pfree * ngx_pagesize;
    mem = (head && size) ? ngx_slab_alloc_locked(shpool, size) : NULL;

    if (mem) {
        head->meter = sgtm_meter_create(mem, size, epoch);
    }

    if (mem == NULL || head->meter == NULL) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the \"size\" of \"sgtm_meter\" is too small");
        return NGX_ERROR;
    }

    shpool->data = head;
    shpool->log_nomem = 0;

    return NGX_OK;
}


#else /* !NGX_THREADS */


char *
ngx_http_sgtm_conf_meter(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return "needs an nginx that is built with \"--with-threads\"";
}


#endif


ngx_http_sgtm_meter_head_t *
ngx_http_sgtm_meter_head(ngx_http_sgtm_main_conf_t *smcf)
{
    return ((ngx_slab_pool_t *) smcf->meter->zone->shm.addr)->data;
}


uint32_t
ngx_http_sgtm_meter_now(void)
{
    time_t           now;

    static time_t    known;
    static uint32_t  month;

    now = ngx_time();

    if (now != known || month == 0) {
        known = now;
        month = sgtm_meter_month(now);
    }

    return month;
}


static sgtm_meter_t *
ngx_http_sgtm_meter_of(ngx_http_sgtm_ctx_t *ctx)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_sgtm_module);

    return smcf->meter ? ngx_http_sgtm_meter_head(smcf)->meter : NULL;
}


/* workers of two configurations may have two meters: they look it up anew */

sgtm_meter_entry_t *
ngx_http_sgtm_meter_entry(ngx_http_sgtm_ctx_t *ctx)
{
    ngx_atomic_t        *key;
    sgtm_meter_t        *meter;
    sgtm_meter_entry_t  *e;

    meter = ngx_http_sgtm_meter_of(ctx);

    if (meter == NULL) {
        return NULL;
    }

    key = &ctx->tenant->counters->meter;

    e = sgtm_meter_entry(meter, *key);

    if (e == NULL) {
        e = sgtm_meter_find(meter, ngx_http_sgtm_str(&ctx->tenant->node.str));

        if (e) {
            *key = sgtm_meter_key(meter, e);
        }
    }

    return e;
}


void
ngx_http_sgtm_meter_soon(ngx_http_sgtm_ctx_t *ctx)
{
#if defined(__GNUC__)

    u_char        *p;
    sgtm_meter_t  *meter;

    meter = ngx_http_sgtm_meter_of(ctx);

    if (meter == NULL) {
        return;
    }

    p = (u_char *) sgtm_meter_entry(meter, ctx->tenant->counters->meter);

    if (p) {
        __builtin_prefetch(p, 1);
        __builtin_prefetch(p + 64, 1);
    }

#endif
}


/* a hit that could not be read has one event at least */

ngx_uint_t
ngx_http_sgtm_meter_events(ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t  dropped;

    if (ctx->events == 0) {
        return ctx->route == NGX_HTTP_SGTM_ROUTE_OPAQUE
               || ctx->disposition == NGX_HTTP_SGTM_LIMITED;
    }

    dropped = ctx->duplicates + ctx->routed;

    return (dropped < ctx->events) ? ctx->events - dropped : 0;
}


void
ngx_http_sgtm_meter_count(ngx_http_sgtm_ctx_t *ctx)
{
    uint32_t             month;
    ngx_uint_t           kind, rest, all;
    sgtm_meter_t        *meter;
    sgtm_meter_entry_t  *e;

    kind = ngx_http_sgtm_meter_kinds[ctx->disposition];

    /* what was not read has failed before anybody accepted it */

    if (kind == SGTM_METER_N || ctx->preview
        || (kind == SGTM_METER_FAILED && !ctx->events && !ctx->committed))
    {
        return;
    }

    if (ctx->reason == NGX_HTTP_SGTM_REASON_QUOTA) {
        kind = SGTM_METER_QUOTA;
    }

    rest = ngx_http_sgtm_meter_events(ctx);
    all = rest + ctx->duplicates + ctx->routed;

    if (all == 0) {
        return;
    }

    e = ngx_http_sgtm_meter_entry(ctx);

    if (e == NULL) {
        return;
    }

    meter = ngx_http_sgtm_meter_of(ctx);
    month = ctx->month ? ctx->month : ngx_http_sgtm_meter_now();

    sgtm_meter_add(meter, e, month, SGTM_METER_ACCEPTED, all);

    if (ctx->duplicates) {
        sgtm_meter_add(meter, e, month, SGTM_METER_DUPLICATE,
                       ctx->duplicates);
    }

    if (ctx->routed) {
        sgtm_meter_add(meter, e, month, SGTM_METER_FILTERED, ctx->routed);
    }

    if (rest && kind != SGTM_METER_ACCEPTED) {
        sgtm_meter_add(meter, e, month, kind, rest);
    }

    /* who sends it again is not to pay for it twice */

    if (kind == SGTM_METER_FAILED && ctx->month) {
        sgtm_meter_give(e, month, rest);
    }
}


void
ngx_http_sgtm_meter_later(const sgtm_str_t *tenant, int64_t time,
    ngx_uint_t events, ngx_uint_t what)
{
    uint32_t                    month;
    sgtm_meter_t               *meter;
    sgtm_meter_entry_t         *e;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_sgtm_module);

    if (smcf == NULL || smcf->meter == NULL) {
        return;
    }

    meter = ngx_http_sgtm_meter_head(smcf)->meter;
    e = sgtm_meter_find(meter, tenant);

    if (e == NULL) {
        return;
    }

    month = sgtm_meter_month(time / 1000);
    events = events ? events : 1;

    sgtm_meter_add(meter, e, month, what, events);

    if (what == SGTM_METER_FAILED) {
        sgtm_meter_give(e, month, events);
    }
}
