
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../delivery/ngx_http_sgtm_fallback.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_overlay.h"


static sgtm_registry_reader_t *ngx_http_sgtm_overlay_enter(
    ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_overlay_leave(ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_overlay_tenant(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_registry_reader_t *reader);
static size_t ngx_http_sgtm_overlay_room(const sgtm_tenant_t *record,
    ngx_http_sgtm_loc_conf_t *base);
static void ngx_http_sgtm_overlay_ids(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base);
static sgtm_str_t *ngx_http_sgtm_overlay_copy(sgtm_str_t *ids,
    ngx_array_t *list);
static ngx_array_t *ngx_http_sgtm_overlay_list(ngx_array_t *list, void *elts,
    size_t nelts, size_t size);
static ngx_int_t ngx_http_sgtm_overlay_names(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base);
static void ngx_http_sgtm_overlay_consent(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base);
static void ngx_http_sgtm_overlay_delivery(ngx_http_sgtm_overlay_t *ov);
static void ngx_http_sgtm_overlay_upstream(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base);
static void ngx_http_sgtm_overlay_features(ngx_http_sgtm_overlay_t *ov);
static void ngx_http_sgtm_overlay_script(ngx_http_sgtm_overlay_t *ov);


/* what t.js tells of */

#define ngx_http_sgtm_field(name)  ((uint64_t) 1 << SGTM_TENANT_##name)

#define NGX_HTTP_SGTM_OVERLAY_SCRIPT                                          \
    (ngx_http_sgtm_field(CONTAINERS) | ngx_http_sgtm_field(TAG_IDS)           \
     | ngx_http_sgtm_field(TIER) | ngx_http_sgtm_field(FALLBACK)              \
     | ngx_http_sgtm_field(CONSENT_MODE)                                      \
     | ngx_http_sgtm_field(CONSENT_DEFAULT) | ngx_http_sgtm_field(SCRIPT)     \
     | ngx_http_sgtm_field(TAGGING) | ngx_http_sgtm_field(RESIDENCY)          \
     | ngx_http_sgtm_field(EVENTS))


ngx_uint_t
ngx_http_sgtm_overlay_ask(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, uint64_t host[2])
{
    sgtm_str_t              *name;
    sgtm_registry_reader_t  *reader;

    reader = ngx_http_sgtm_tenants_reader();

    /* nginx has it in small letters, without a port or a dot at its end */

    name = ngx_http_sgtm_str(&r->headers_in.server);

    if (reader == NULL || conf->tenant || name->len == 0) {
        return 0;
    }

    sgtm_registry_ask(reader->registry, name, host);

    return 1;
}


void
ngx_http_sgtm_overlay_soon(ngx_http_sgtm_ctx_t *ctx)
{
    sgtm_registry_reader_t  *reader;

    if (ctx->asked) {
        reader = ngx_http_sgtm_overlay_enter(ctx);
        sgtm_registry_soon(reader->registry, ctx->host);
    }
}


ngx_int_t
ngx_http_sgtm_overlay_static(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    sgtm_str_t              *host;
    const sgtm_tenant_t     *record;
    sgtm_registry_reader_t  *reader;

    reader = ngx_http_sgtm_overlay_enter(ctx);

    if (reader == NULL) {
        return NGX_DECLINED;
    }

    host = ngx_http_sgtm_str(&r->headers_in.server);
    record = NULL;

    if (ctx->base->tenant == NULL && host->len) {

        if (!ctx->asked) {
            ctx->asked = 1;
            sgtm_registry_ask(reader->registry, host, ctx->host);
        }

        record = sgtm_registry_asked(reader->registry, host, ctx->host);
    }

    if (record == NULL) {
        record = sgtm_registry_id(reader->registry,
                           ngx_http_sgtm_str(&ctx->tenant->node.str));
    }

    return ngx_http_sgtm_overlay_record(r, ctx, reader, record);
}


ngx_int_t
ngx_http_sgtm_overlay_id(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *id)
{
    sgtm_registry_reader_t  *reader;

    reader = ngx_http_sgtm_overlay_enter(ctx);

    if (reader == NULL) {
        return NGX_DECLINED;
    }

    return ngx_http_sgtm_overlay_record(r, ctx, reader,
                                     sgtm_registry_id(reader->registry,
                                                      ngx_http_sgtm_str(id)));
}


void
ngx_http_sgtm_overlay_drop(ngx_http_sgtm_ctx_t *ctx)
{
    if (ctx->overlay) {
        ngx_http_sgtm_made_leave(ctx->overlay->tables);
        ngx_http_sgtm_made_leave(ctx->overlay->script);

        ctx->overlay = NULL;
    }
}


void
ngx_http_sgtm_overlay_end(ngx_http_sgtm_ctx_t *ctx)
{
    ngx_http_sgtm_overlay_drop(ctx);
    ngx_http_sgtm_overlay_leave(ctx);
}


/* a request that is routed anew keeps what it has found before, too */

static sgtm_registry_reader_t *
ngx_http_sgtm_overlay_enter(ngx_http_sgtm_ctx_t *ctx)
{
    sgtm_registry_reader_t  *reader;

    reader = ngx_http_sgtm_tenants_reader();

    if (reader && !ctx->reading) {
        ctx->generation = sgtm_registry_enter(reader);
        ctx->reading = 1;
    }

    return reader;
}


static void
ngx_http_sgtm_overlay_leave(ngx_http_sgtm_ctx_t *ctx)
{
    if (ctx->reading) {
        ctx->reading = 0;
        sgtm_registry_leave(ngx_http_sgtm_tenants_reader(), ctx->generation);
    }
}


ngx_int_t
ngx_http_sgtm_overlay_record(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_registry_reader_t *reader, const sgtm_tenant_t *record)
{
    ngx_http_sgtm_overlay_t   *ov;
    ngx_http_sgtm_loc_conf_t  *base;

    if (record == NULL) {
        ngx_http_sgtm_overlay_leave(ctx);
        return NGX_DECLINED;
    }

    base = ctx->base;

    ov = ngx_palloc(r->pool, offsetof(ngx_http_sgtm_overlay_t, ids)
                             + ngx_http_sgtm_overlay_room(record, base));
    if (ov == NULL) {
        return NGX_ERROR;
    }

    ov->conf = *base;
    ov->record = record;
    ov->tables = NULL;
    ov->script = NULL;

    ctx->overlay = ov;

    if (ngx_http_sgtm_overlay_names(ov, base) != NGX_OK) {
        ctx->overlay = NULL;
        return NGX_ERROR;
    }

    ngx_http_sgtm_overlay_ids(ov, base);
    ngx_http_sgtm_overlay_consent(ov, base);
    ngx_http_sgtm_overlay_delivery(ov);
    ngx_http_sgtm_overlay_upstream(ov, base);
    ngx_http_sgtm_overlay_features(ov);
    ngx_http_sgtm_overlay_script(ov);

    if (sgtm_tenant_has(record, SGTM_TENANT_ORIGINS)) {
        ov->conf.origins = ngx_http_sgtm_overlay_list(&ov->origins,
                                                      record->origins.elts,
                                                      record->origins.nelts,
                                                      sizeof(sgtm_origin_t));
    }

    ctx->conf = &ov->conf;

    ngx_http_sgtm_overlay_tenant(r, ctx, reader);

    return NGX_OK;
}


/* an id has one set of counters, whoever names it */

static void
ngx_http_sgtm_overlay_tenant(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_registry_reader_t *reader)
{
    ngx_http_sgtm_tenant_t     *tenant, *known;
    ngx_http_sgtm_overlay_t    *ov;
    ngx_http_sgtm_main_conf_t  *smcf;

    ov = ctx->overlay;
    tenant = &ov->tenant;

    *ngx_http_sgtm_str(&tenant->node.str) = ov->record->id;
    tenant->node.node.key = ngx_crc32_long(tenant->node.str.data,
                                           tenant->node.str.len);

    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    known = (ngx_http_sgtm_tenant_t *)
            ngx_str_rbtree_lookup(&smcf->tenants, &tenant->node.str,
                                  tenant->node.node.key);

    if (known) {
        ctx->tenant = known;
        return;
    }

    tenant->counters = sgtm_registry_state(reader->registry, ov->record);

    ctx->tenant = tenant;
}


/* bytes of a list that is made of the record's ids and the location's */

static size_t
ngx_http_sgtm_overlay_room(const sgtm_tenant_t *record,
    ngx_http_sgtm_loc_conf_t *base)
{
    size_t        n;
    ngx_array_t  *other;

    if (sgtm_tenant_has(record, SGTM_TENANT_TAG_IDS)
        == sgtm_tenant_has(record, SGTM_TENANT_CONTAINERS))
    {
        return 0;
    }

    n = record->script_ids.nelts;

    other = sgtm_tenant_has(record, SGTM_TENANT_TAG_IDS) ? base->containers
                                                         : base->tag_ids;
    if (other) {
        n += other->nelts;
    }

    return n * sizeof(sgtm_str_t);
}


static void
ngx_http_sgtm_overlay_ids(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base)
{
    sgtm_str_t                *last;
    ngx_uint_t                 tags, containers;
    const sgtm_tenant_t       *record;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = &ov->conf;
    record = ov->record;

    tags = sgtm_tenant_has(record, SGTM_TENANT_TAG_IDS);
    containers = sgtm_tenant_has(record, SGTM_TENANT_CONTAINERS);

    if (tags) {
        conf->hit_ids = record->tag_ids;
        conf->tag_ids = ngx_http_sgtm_overlay_list(&ov->tag_ids,
                                                   record->tag_ids.elts,
                                                   record->tag_ids.nelts,
                                                   sizeof(ngx_str_t));
    }

    if (containers) {
        conf->containers = ngx_http_sgtm_overlay_list(&ov->containers,
                                                   record->containers.elts,
                                                   record->containers.nelts,
                                                   sizeof(ngx_str_t));
    }

    if (tags && containers) {
        conf->script_ids = record->script_ids;

    } else if (tags || containers) {
        last = ngx_http_sgtm_overlay_copy(ov->ids, conf->tag_ids);
        last = ngx_http_sgtm_overlay_copy(last, conf->containers);

        conf->script_ids.elts = ov->ids;
        conf->script_ids.nelts = last - ov->ids;
    }
}


static sgtm_str_t *
ngx_http_sgtm_overlay_copy(sgtm_str_t *ids, ngx_array_t *list)
{
    if (list == NULL) {
        return ids;
    }

    ngx_memcpy(ids, list->elts, list->nelts * sizeof(sgtm_str_t));

    return ids + list->nelts;
}


/* an empty list is none, as in the configuration */

static ngx_array_t *
ngx_http_sgtm_overlay_list(ngx_array_t *list, void *elts, size_t nelts,
    size_t size)
{
    if (nelts == 0) {
        return NULL;
    }

    list->elts = elts;
    list->nelts = nelts;
    list->size = size;
    list->nalloc = nelts;
    list->pool = NULL;

    return list;
}


static ngx_int_t
ngx_http_sgtm_overlay_names(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base)
{
    ngx_http_sgtm_tables_t  *t;

    if (!sgtm_tenant_has(ov->record, SGTM_TENANT_SET_PARAMS)
        && !sgtm_tenant_has(ov->record, SGTM_TENANT_COOKIES))
    {
        return NGX_OK;
    }

    ov->tables = ngx_http_sgtm_overlay_tables(base->tables, ov->record);

    if (ov->tables == NULL) {
        return NGX_ERROR;
    }

    t = ngx_http_sgtm_overlay_made(ov->tables);

    ov->conf.tables = t;
    ov->conf.set = (t->set && t->set->nelts) ? t->set : NULL;

    return NGX_OK;
}


static void
ngx_http_sgtm_overlay_consent(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base)
{
    const sgtm_tenant_t       *record;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = &ov->conf;
    record = ov->record;

    if (sgtm_tenant_has(record, SGTM_TENANT_CONSENT_MODE)) {
        conf->consent_mode = record->consent_mode;
    }

    if (!sgtm_tenant_has(record, SGTM_TENANT_CONSENT_DEFAULT)) {
        return;
    }

    conf->consent_default = (sgtm_consent_t *) &record->consent_default;

    /* the server's follows, unless it has a directive of its own */

    if (base->consent_server == base->consent_default) {
        conf->consent_server = conf->consent_default;
    }
}


static void
ngx_http_sgtm_overlay_delivery(ngx_http_sgtm_overlay_t *ov)
{
    const sgtm_tenant_t       *record;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = &ov->conf;
    record = ov->record;

    if (sgtm_tenant_has(record, SGTM_TENANT_TIER)) {
        conf->tier = record->tier;
    }

    if (sgtm_tenant_has(record, SGTM_TENANT_FALLBACK)) {
        conf->fallback = record->fallback;

        /* what can't be queued here is not */

        if (conf->fallback == NGX_HTTP_SGTM_FALLBACK_QUEUE
            && conf->target == NULL)
        {
            conf->fallback = NGX_HTTP_SGTM_FALLBACK_OFF;
        }

    } else if (sgtm_tenant_has(record, SGTM_TENANT_TIER)
               && !conf->own_fallback)
    {
        conf->fallback = ngx_http_sgtm_fallback_of_tier(conf->tier,
                                                        conf->target != NULL);
    }

    if (!sgtm_tenant_has(record, SGTM_TENANT_RATE)) {
        return;
    }

    if (record->rate.seconds == 0) {
        conf->rate = NULL;
        return;
    }

    ov->rate.interval = sgtm_rate_interval(&record->rate);
    ov->rate.burst = (record->rate.burst - 1) * ov->rate.interval;

    conf->rate = &ov->rate;
}


/* its own upstream takes the default's place, never that of the EU */

static void
ngx_http_sgtm_overlay_upstream(ngx_http_sgtm_overlay_t *ov,
    ngx_http_sgtm_loc_conf_t *base)
{
    const sgtm_tenant_t  *record;

    record = ov->record;

    if (sgtm_tenant_has(record, SGTM_TENANT_ENDPOINT)) {
        *ngx_http_sgtm_str(&ov->conf.endpoint) = record->endpoint;
    }

    if (sgtm_tenant_has(record, SGTM_TENANT_RESIDENCY)) {
        ov->conf.residency = record->residency;
    }

    if (!sgtm_tenant_has(record, SGTM_TENANT_UPSTREAM)) {
        return;
    }

    if (base->upstreams) {
        ov->upstreams = *base->upstreams;

    } else {
        ngx_memzero(&ov->upstreams, sizeof(ngx_http_sgtm_upstreams_t));
    }

    *ngx_http_sgtm_str(&ov->upstreams.name) = record->upstream;

    ov->conf.upstreams = &ov->upstreams;
}


static void
ngx_http_sgtm_overlay_features(ngx_http_sgtm_overlay_t *ov)
{
    const sgtm_tenant_t       *record;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = &ov->conf;
    record = ov->record;

    if (record->features_named == 0) {
        return;
    }

    conf->debug = sgtm_tenant_feature(record, SGTM_FEATURE_DEBUG,
                                      conf->debug);
    conf->passthrough = sgtm_tenant_feature(record, SGTM_FEATURE_PASSTHROUGH,
                                            conf->passthrough);

    /* the window is the location's: what has none can't be switched on */

    if (!sgtm_tenant_feature(record, SGTM_FEATURE_DEDUP, 1)) {
        conf->dedup = NULL;
    }

    if (record->features_named & SGTM_FEATURE_USER_DATA) {
        conf->user_data = (record->features & SGTM_FEATURE_USER_DATA)
                          ? NGX_HTTP_SGTM_USER_DATA_HASH
                          : NGX_HTTP_SGTM_USER_DATA_PASS;
    }
}


static void
ngx_http_sgtm_overlay_script(ngx_http_sgtm_overlay_t *ov)
{
    const sgtm_tenant_t       *record;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = &ov->conf;
    record = ov->record;

    if (sgtm_tenant_has(record, SGTM_TENANT_SCRIPT)) {
        *ngx_http_sgtm_str(&conf->script_name) = record->script;
    }

    if (sgtm_tenant_has(record, SGTM_TENANT_TAGGING)) {
        conf->tagging = record->tagging;
    }

    if (sgtm_tenant_has(record, SGTM_TENANT_EVENTS)) {
        conf->events = &record->events;
    }

    if (record->named & NGX_HTTP_SGTM_OVERLAY_SCRIPT) {
        conf->script = NULL;
    }
}
