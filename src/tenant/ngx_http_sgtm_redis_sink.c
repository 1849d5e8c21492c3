
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The sink of what comes from Redis, or from a snapshot of it: the registry.
 */


#include "../ngx_http_sgtm.h"
#include "../lib/sgtm_crypto.h"
#include "ngx_http_sgtm_redis.h"
#include "ngx_http_sgtm_tenants.h"


/* there is one source at a time: another takes over the records of the last */
#define NGX_HTTP_SGTM_SOURCE_REDIS  NGX_HTTP_SGTM_SOURCE_FILE

/* chains of the index that are looked at, or swept, at a time */
#define NGX_HTTP_SGTM_REDIS_CHAINS  64

/* milliseconds that the master waits for a worker that writes */
#define NGX_HTTP_SGTM_REDIS_TURN    2000

/* lines of the log about records of a snapshot */
#define NGX_HTTP_SGTM_REDIS_LINES   10


typedef struct {
    ngx_http_sgtm_records_t       *records;
    ngx_http_sgtm_tenants_t       *source;
    ngx_log_t                     *log;
    time_t                         checked;    /* which readers are alive */
    uint32_t                       pass;       /* 0: there is none */
    ngx_str_t                     *ids;        /* of the pass; NULL: all */
    ngx_uint_t                     n;
    size_t                         kept;       /* at its end, chains that are */
    size_t                         next;       /* and that are swept */
    unsigned                       all_kept:1;

    u_char                        *text;       /* room for a record's JSON */
    size_t                         size;
    ngx_uint_t                     failed;
    ngx_http_sgtm_redis_record_pt  handler;    /* of a walk */
    void                          *ctx;
} ngx_http_sgtm_redis_registry_t;


/* who is told what is wrong with a record */

typedef struct {
    ngx_log_t    *log;
    const char   *from;
    ngx_str_t     id;
    ngx_uint_t    quiet;
} ngx_http_sgtm_redis_report_t;


static ngx_int_t ngx_http_sgtm_redis_restore_lock(sgtm_registry_t *registry);
static ngx_uint_t ngx_http_sgtm_redis_restore_all(
    ngx_http_sgtm_redis_registry_t *rr, sgtm_tenants_t *it,
    ngx_http_sgtm_redis_report_t *report);
static void *ngx_http_sgtm_redis_sink_create(ngx_http_sgtm_main_conf_t *smcf,
    ngx_cycle_t *cycle);
static ngx_uint_t ngx_http_sgtm_redis_sink_count(void *data);
static ngx_int_t ngx_http_sgtm_redis_sink_tend(void *data);
static ngx_int_t ngx_http_sgtm_redis_sink_begin(void *data, ngx_str_t *ids,
    ngx_uint_t n);
static ngx_int_t ngx_http_sgtm_redis_sink_put(void *data, ngx_str_t *id,
    ngx_str_t *json, ngx_uint_t quiet);
static ngx_int_t ngx_http_sgtm_redis_sink_store(
    ngx_http_sgtm_redis_registry_t *rr, const sgtm_tenant_t *t,
    const sgtm_str_t *json, ngx_http_sgtm_redis_report_t *report);
static void ngx_http_sgtm_redis_sink_spare(ngx_http_sgtm_redis_registry_t *rr,
    const sgtm_tenant_t *t);
static void ngx_http_sgtm_redis_sink_keep(void *data, ngx_str_t *id);
static ngx_int_t ngx_http_sgtm_redis_sink_remove(void *data, ngx_str_t *id);
static ngx_int_t ngx_http_sgtm_redis_sink_end(void *data, ngx_uint_t sweep,
    ngx_uint_t *removed);
static ngx_uint_t ngx_http_sgtm_redis_sink_keep_some(
    ngx_http_sgtm_redis_registry_t *rr);
static void ngx_http_sgtm_redis_sink_keep_one(void *data,
    const sgtm_tenant_t *t, const sgtm_registry_info_t *info);
static ngx_int_t ngx_http_sgtm_redis_sink_walk(void *data, size_t *next,
    ngx_http_sgtm_redis_record_pt handler, void *ctx);
static void ngx_http_sgtm_redis_sink_record(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info);
static void ngx_http_sgtm_redis_sink_report(void *data, unsigned level,
    const char *path, const char *text);


const ngx_http_sgtm_redis_sink_t  ngx_http_sgtm_redis_sink = {
    ngx_http_sgtm_redis_sink_create,
    ngx_http_sgtm_redis_sink_count,
    ngx_http_sgtm_redis_sink_tend,
    ngx_http_sgtm_redis_sink_begin,
    ngx_http_sgtm_redis_sink_put,
    ngx_http_sgtm_redis_sink_keep,
    ngx_http_sgtm_redis_sink_remove,
    ngx_http_sgtm_redis_sink_end,
    ngx_http_sgtm_redis_sink_walk
};


ngx_uint_t
ngx_http_sgtm_redis_restore(ngx_http_sgtm_main_conf_t *smcf, ngx_log_t *log)
{
    char                            *file;
    ngx_uint_t                       n;
    sgtm_tenants_t                   it;
    ngx_file_info_t                  fi;
    sgtm_tenants_conf_t              conf;
    ngx_http_sgtm_redis_report_t     report;
    ngx_http_sgtm_redis_registry_t   rr;

    file = (char *) smcf->redis->snapshot.data;

    if (ngx_file_info(file, &fi) == NGX_FILE_ERROR && ngx_errno == NGX_ENOENT) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "there is no snapshot \"%s\" yet", file);
        return 0;
    }

    ngx_memzero(&rr, sizeof(ngx_http_sgtm_redis_registry_t));
    rr.records = ngx_http_sgtm_tenants_records(smcf);
    rr.source = smcf->source;
    rr.log = log;

    ngx_memzero(&report, sizeof(ngx_http_sgtm_redis_report_t));
    report.log = log;
    report.from = "snapshot";

    ngx_memzero(&conf, sizeof(sgtm_tenants_conf_t));
    conf.opts.report = ngx_http_sgtm_redis_sink_report;
    conf.opts.data = &report;

    if (ngx_http_sgtm_redis_restore_lock(rr.records->registry) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "the snapshot \"%s\" is not "
                      "restored, another process writes tenants", file);
        return 0;
    }

    n = 0;

    if (sgtm_tenants_open(&it, file, &conf) == SGTM_OK) {
        n = ngx_http_sgtm_redis_restore_all(&rr, &it, &report);
    }

    sgtm_tenants_end(&it);
    sgtm_registry_unlock(rr.records->registry);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "%ui tenants are in memory from the snapshot \"%s\"",
                  n, file);

    return n;
}


static ngx_int_t
ngx_http_sgtm_redis_restore_lock(sgtm_registry_t *registry)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_SGTM_REDIS_TURN; i++) {

        if (sgtm_registry_lock(registry) == SGTM_OK) {

            while (sgtm_registry_repair(registry, NGX_HTTP_SGTM_REDIS_CHAINS)) {
                /* void */
            }

            return NGX_OK;
        }

        ngx_msleep(1);
    }

    return NGX_ERROR;
}


/* as far as it can be read, and without what is no good record */

static ngx_uint_t
ngx_http_sgtm_redis_restore_all(ngx_http_sgtm_redis_registry_t *rr,
    sgtm_tenants_t *it, ngx_http_sgtm_redis_report_t *report)
{
    ngx_uint_t  n, bad;

    for (n = 0, bad = 0; /* void */ ; /* void */ ) {

        report->quiet = (bad >= NGX_HTTP_SGTM_REDIS_LINES);

        switch (sgtm_tenants_next(it)) {

        case SGTM_TENANTS_AGAIN:
            break;

        case SGTM_TENANTS_RECORD:

            report->id.data = it->tenant->id.data;
            report->id.len = it->tenant->id.len;

            if (ngx_http_sgtm_redis_sink_store(rr, it->tenant, &it->json,
                                               report)
                == NGX_OK)
            {
                n++;

            } else {
                bad++;
            }

            report->id.len = 0;
            break;

        case SGTM_TENANTS_BAD:
            bad++;
            break;

        default: /* SGTM_TENANTS_END, SGTM_TENANTS_FAILED */
            return n;
        }
    }
}


static void *
ngx_http_sgtm_redis_sink_create(ngx_http_sgtm_main_conf_t *smcf,
    ngx_cycle_t *cycle)
{
    ngx_http_sgtm_redis_registry_t  *rr;

    rr = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_redis_registry_t));
    if (rr == NULL) {
        return NULL;
    }

    rr->records = ngx_http_sgtm_tenants_records(smcf);
    rr->source = smcf->source;
    rr->log = cycle->log;

    return rr;
}


static ngx_uint_t
ngx_http_sgtm_redis_sink_count(void *data)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    sgtm_registry_stat_t  stat;

    sgtm_registry_stat(rr->records->registry, &stat);

    return stat.records;
}


/* what one that died has left, and memory that requests have held */

static ngx_int_t
ngx_http_sgtm_redis_sink_tend(void *data)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    int               check, more;
    sgtm_registry_t  *registry;

    registry = rr->records->registry;

    if (sgtm_registry_lock(registry) != SGTM_OK) {
        return NGX_BUSY;
    }

    more = sgtm_registry_repair(registry, NGX_HTTP_SGTM_REDIS_CHAINS);

    if (!more) {
        check = (rr->checked != ngx_time());
        rr->checked = ngx_time();

        (void) sgtm_registry_reclaim(registry, NGX_HTTP_SGTM_REDIS_CHAINS,
                                     check);
    }

    sgtm_registry_unlock(registry);

    return more ? NGX_AGAIN : NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_sink_begin(void *data, ngx_str_t *ids, ngx_uint_t n)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    sgtm_registry_t  *registry;

    registry = rr->records->registry;

    if (sgtm_registry_lock(registry) != SGTM_OK) {
        return NGX_AGAIN;
    }

    rr->pass = sgtm_registry_begin(registry, NGX_HTTP_SGTM_SOURCE_REDIS);
    rr->ids = ids;
    rr->n = n;
    rr->kept = 0;
    rr->next = 0;
    rr->all_kept = 0;

    sgtm_registry_unlock(registry);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_sink_put(void *data, ngx_str_t *id, ngx_str_t *json,
    ngx_uint_t quiet)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    ngx_int_t                      rc;
    sgtm_tenant_t                 *t;
    sgtm_tenant_opts_t             opts;
    ngx_http_sgtm_redis_report_t   report;

    report.log = rr->log;
    report.from = "redis";
    report.id = *id;
    report.quiet = quiet;

    ngx_memzero(&opts, sizeof(sgtm_tenant_opts_t));
    opts.report = ngx_http_sgtm_redis_sink_report;
    opts.data = &report;

    t = sgtm_tenant_parse(ngx_http_sgtm_str(json), &opts);
    if (t == NULL) {
        return NGX_DECLINED;
    }

    if (t->id.len != id->len
        || ngx_memcmp(t->id.data, id->data, id->len) != 0)
    {
        ngx_http_sgtm_redis_sink_report(&report, SGTM_TENANT_ERROR, "id",
                                        "not that of the key");
        rc = NGX_DECLINED;

    } else if (sgtm_registry_lock(rr->records->registry) != SGTM_OK) {
        rc = NGX_BUSY;

    } else {
        rc = ngx_http_sgtm_redis_sink_store(rr, t, ngx_http_sgtm_str(json),
                                            &report);
        sgtm_registry_unlock(rr->records->registry);
    }

    free(t);

    return rc;
}


/* into a registry that is locked; returns what put() does */

static ngx_int_t
ngx_http_sgtm_redis_sink_store(ngx_http_sgtm_redis_registry_t *rr,
    const sgtm_tenant_t *t, const sgtm_str_t *json,
    ngx_http_sgtm_redis_report_t *report)
{
    char                       path[32];
    u_char                     sum[SGTM_SHA256_SIZE];
    unsigned                   field;
    sgtm_registry_t           *registry;
    sgtm_load_conf_t          *conf;
    sgtm_registry_conflict_t   conflict;

    conf = &rr->source->conf;
    registry = rr->records->registry;

    if (!sgtm_tenant_endpoint_allowed(t, conf->endpoints, conf->nendpoints,
                                      &field))
    {
        ngx_http_sgtm_redis_sink_report(report, SGTM_TENANT_ERROR,
                                  (const char *) sgtm_tenant_field(field)->data,
                                  "not among \"sgtm_endpoints\"");
        return NGX_DECLINED;
    }

    if (sgtm_sha256(json, sum) != SGTM_OK) {
        return NGX_BUSY;
    }

    (void) sgtm_registry_reclaim(registry, 4, 0);

    if (rr->pass && rr->ids) {
        ngx_http_sgtm_redis_sink_spare(rr, t);
    }

    switch (sgtm_registry_put(registry, NGX_HTTP_SGTM_SOURCE_REDIS, rr->pass,
                              t, sum, &conflict))
    {
    case SGTM_REGISTRY_OK:
        return NGX_OK;

    case SGTM_REGISTRY_SAME:
        return NGX_DONE;

    case SGTM_REGISTRY_FULL:
        ngx_http_sgtm_redis_sink_report(report, SGTM_TENANT_ERROR, "",
                                        "there is no room in the zone");
        return NGX_BUSY;

    case SGTM_REGISTRY_HOST:
        *ngx_sprintf((u_char *) path, "hosts[%uz]", conflict.host) = '\0';
        ngx_http_sgtm_redis_sink_report(report, SGTM_TENANT_ERROR, path,
                                        "another tenant has it");
        return NGX_BUSY;

    case SGTM_REGISTRY_STALE:
        rr->pass = 0;
        return NGX_BUSY;

    default: /* SGTM_REGISTRY_WAIT: for requests that hold memory */
        return NGX_BUSY;
    }
}


/* what the pass has not met may lose its hosts, but not who is no part of it */

static void
ngx_http_sgtm_redis_sink_spare(ngx_http_sgtm_redis_registry_t *rr,
    const sgtm_tenant_t *t)
{
    size_t                i;
    ngx_uint_t            k;
    const sgtm_tenant_t  *other;

    for (i = 0; i < t->hosts.nelts; i++) {

        other = sgtm_registry_host(rr->records->registry, &t->hosts.elts[i]);
        if (other == NULL) {
            continue;
        }

        for (k = 0; k < rr->n; k++) {
            if (rr->ids[k].len == other->id.len
                && ngx_memcmp(rr->ids[k].data, other->id.data, other->id.len)
                   == 0)
            {
                break;
            }
        }

        if (k == rr->n) {
            (void) sgtm_registry_keep(rr->records->registry,
                                      NGX_HTTP_SGTM_SOURCE_REDIS, rr->pass,
                                      &other->id);
        }
    }
}


static void
ngx_http_sgtm_redis_sink_keep(void *data, ngx_str_t *id)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    sgtm_registry_t  *registry;

    registry = rr->records->registry;

    if (rr->pass && sgtm_registry_lock(registry) == SGTM_OK) {
        (void) sgtm_registry_keep(registry, NGX_HTTP_SGTM_SOURCE_REDIS,
                                  rr->pass, ngx_http_sgtm_str(id));
        sgtm_registry_unlock(registry);
    }
}


static ngx_int_t
ngx_http_sgtm_redis_sink_remove(void *data, ngx_str_t *id)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    int               rc, there;
    sgtm_registry_t  *registry;

    registry = rr->records->registry;

    if (sgtm_registry_lock(registry) != SGTM_OK) {
        return NGX_BUSY;
    }

    there = (sgtm_registry_id(registry, ngx_http_sgtm_str(id)) != NULL);

    rc = sgtm_registry_remove(registry, NGX_HTTP_SGTM_SOURCE_REDIS,
                              ngx_http_sgtm_str(id));

    (void) sgtm_registry_reclaim(registry, 4, 0);

    sgtm_registry_unlock(registry);

    if (rc != SGTM_REGISTRY_OK) {
        return NGX_BUSY;
    }

    return there ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_http_sgtm_redis_sink_end(void *data, ngx_uint_t sweep, ngx_uint_t *removed)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    int               rc;
    size_t            n;
    sgtm_registry_t  *registry;

    registry = rr->records->registry;

    if (sgtm_registry_lock(registry) != SGTM_OK) {
        return NGX_AGAIN;
    }

    /* what is not to be removed has to be met: the sweep has more to do */

    if (!sweep && !rr->all_kept) {
        rr->all_kept = !ngx_http_sgtm_redis_sink_keep_some(rr);
        sgtm_registry_unlock(registry);

        return NGX_AGAIN;
    }

    n = 0;

    rc = sgtm_registry_sweep(registry, NGX_HTTP_SGTM_SOURCE_REDIS, rr->pass,
                             &rr->next, NGX_HTTP_SGTM_REDIS_CHAINS, &n);

    (void) sgtm_registry_reclaim(registry, NGX_HTTP_SGTM_REDIS_CHAINS, 0);

    sgtm_registry_unlock(registry);

    *removed += n;

    if (rc == SGTM_REGISTRY_WAIT) {
        return NGX_AGAIN;
    }

    rr->pass = 0;

    return (rc == SGTM_REGISTRY_OK) ? NGX_OK : NGX_DECLINED;
}


/* returns 0 when there is no more */

static ngx_uint_t
ngx_http_sgtm_redis_sink_keep_some(ngx_http_sgtm_redis_registry_t *rr)
{
    return sgtm_registry_walk(rr->records->registry, &rr->kept,
                              NGX_HTTP_SGTM_REDIS_CHAINS,
                              ngx_http_sgtm_redis_sink_keep_one, rr);
}


static void
ngx_http_sgtm_redis_sink_keep_one(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    (void) sgtm_registry_keep(rr->records->registry,
                              NGX_HTTP_SGTM_SOURCE_REDIS, rr->pass, &t->id);
}


static ngx_int_t
ngx_http_sgtm_redis_sink_walk(void *data, size_t *next,
    ngx_http_sgtm_redis_record_pt handler, void *ctx)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    ngx_uint_t  more;

    rr->handler = handler;
    rr->ctx = ctx;
    rr->failed = 0;

    more = ngx_http_sgtm_tenants_walk(rr->records, next,
                                      NGX_HTTP_SGTM_REDIS_CHAINS,
                                      ngx_http_sgtm_redis_sink_record, rr);

    if (rr->failed) {
        return NGX_ERROR;
    }

    return more ? NGX_AGAIN : NGX_OK;
}


static void
ngx_http_sgtm_redis_sink_record(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info)
{
    ngx_http_sgtm_redis_registry_t *rr = data;

    size_t     size;
    ngx_str_t  json;

    size = sgtm_tenant_write(NULL, t, 0);

    if (size > rr->size) {

        if (rr->text) {
            ngx_free(rr->text);
        }

        rr->size = 0;

        rr->text = ngx_alloc(2 * size, rr->log);
        if (rr->text == NULL) {
            rr->failed = 1;
            return;
        }

        rr->size = 2 * size;
    }

    json.data = rr->text;
    json.len = sgtm_tenant_write(rr->text, t, 0);

    rr->handler(rr->ctx, &json);
}


static void
ngx_http_sgtm_redis_sink_report(void *data, unsigned level, const char *path,
    const char *text)
{
    ngx_http_sgtm_redis_report_t *report = data;

    if (report->quiet) {
        return;
    }

    if (report->id.len) {
        ngx_log_error(NGX_LOG_WARN, report->log, 0, "%s, tenant \"%V\"%s%s: %s",
                      report->from, &report->id, *path ? ", " : "", path,
                      text);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, report->log, 0, "%s%s%s: %s", report->from,
                  *path ? ", " : "", path, text);
}
