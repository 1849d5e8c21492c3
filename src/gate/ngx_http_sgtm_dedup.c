
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_dedup.h"

#include <sys/random.h>


#define NGX_HTTP_SGTM_DEDUP_MAX_WINDOW  (7 * 24 * 60 * 60)


/* an event by one of its ids */

typedef struct {
    uint64_t                  print[2];
    ngx_uint_t                event;
    sgtm_seen_ref_t           ref;
} ngx_http_sgtm_dedup_id_t;


struct ngx_http_sgtm_dedup_list_s {
    ngx_shm_zone_t           *zone;
    ngx_uint_t                n;
    sgtm_seen_ref_t           refs[1];
};


static char *ngx_http_sgtm_dedup_key(ngx_conf_t *cf,
    ngx_http_sgtm_dedup_conf_t *dcf, ngx_str_t *value);
static void ngx_http_sgtm_dedup_prints(ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_dedup_table_t *table, sgtm_event_t *events, ngx_uint_t n,
    ngx_http_sgtm_dedup_id_t *ids);
static ngx_int_t ngx_http_sgtm_dedup_window(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_event_t *events, ngx_uint_t n,
    uint32_t window);
static ngx_uint_t ngx_http_sgtm_dedup_reserve(ngx_http_sgtm_ctx_t *ctx,
    sgtm_seen_t *seen, sgtm_event_t *events, ngx_http_sgtm_dedup_id_t *ids,
    ngx_uint_t n, uint32_t window);
static void ngx_http_sgtm_dedup_close(ngx_shm_zone_t *shm_zone,
    sgtm_seen_ref_t *refs, ngx_uint_t n, ngx_uint_t confirm);


#define ngx_http_sgtm_dedup_pool(shm_zone)                                    \
    ((ngx_slab_pool_t *) (shm_zone)->shm.addr)

#define ngx_http_sgtm_dedup_table(shm_zone)                                   \
    ((ngx_http_sgtm_zone_t *) ngx_http_sgtm_dedup_pool(shm_zone)->data)->dedup


char *
ngx_http_sgtm_conf_dedup(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    time_t                       window;
    ngx_str_t                   *value, *key;
    ngx_uint_t                   i;
    ngx_http_sgtm_dedup_conf_t  *dcf;

    static ngx_str_t  event_id = ngx_string("ep.event_id");

    if (slcf->dedup != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2
        && value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0)
    {
        slcf->dedup = NULL;
        return NGX_CONF_OK;
    }

    window = ngx_parse_time(&value[1], 1);

    if (window < 1 || window > NGX_HTTP_SGTM_DEDUP_MAX_WINDOW) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                          "\"off\" or a time from 1s to 7d");
    }

    dcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_dedup_conf_t));
    if (dcf == NULL) {
        return NGX_CONF_ERROR;
    }

    dcf->window = window * SGTM_SEEN_SECOND;

    if (ngx_array_init(&dcf->keys, cf->pool, cf->args->nelts - 1,
                       sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sgtm_dedup_key(cf, dcf, &value[i]) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (dcf->keys.nelts == 0) {
        key = ngx_array_push(&dcf->keys);
        *key = event_id;
    }

    key = dcf->keys.elts;

    for (i = 0; i < dcf->keys.nelts; i++) {
        dcf->event_id |= (key[i].len == event_id.len
                          && ngx_strncmp(key[i].data, event_id.data,
                                         event_id.len) == 0);
    }

    slcf->dedup = dcf;

    return NGX_CONF_OK;
}


static char *
ngx_http_sgtm_dedup_key(ngx_conf_t *cf, ngx_http_sgtm_dedup_conf_t *dcf,
    ngx_str_t *value)
{
    u_char      *p;
    ngx_str_t   *key, name;
    ngx_uint_t   i;

    name.len = (value->len > 4) ? value->len - 4 : 0;
    name.data = value->data + 4;

    if (name.len == 0
        || name.len > SGTM_MAX_KEY
        || ngx_strncmp(value->data, "key=", 4) != 0)
    {
        return ngx_http_sgtm_conf_invalid(cf, value,
                                          "\"key=\" and a parameter's name, "
                                          "as \"key=ep.event_id\"");
    }

    for (p = name.data; p < name.data + name.len; p++) {

        /* an argument's name as it reads decoded; no prefix */

        if (*p <= ' ' || *p == '&' || *p == '=' || *p == '%' || *p == '*') {
            return ngx_http_sgtm_conf_invalid(cf, value,
                                              "the plain name of one "
                                              "parameter");
        }
    }

    key = dcf->keys.elts;

    for (i = 0; i < dcf->keys.nelts; i++) {
        if (key[i].len == name.len
            && ngx_strncmp(key[i].data, name.data, name.len) == 0)
        {
            return ngx_http_sgtm_conf_invalid(cf, value, "given once");
        }
    }

    if (dcf->keys.nelts == SGTM_NAME_ORDERS) {
        return ngx_http_sgtm_conf_invalid(cf, value,
                                          "one of 15 keys at most");
    }

    key = ngx_array_push(&dcf->keys);
    *key = name;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sgtm_dedup_params(ngx_http_sgtm_dedup_conf_t *conf,
    sgtm_names_t *names)
{
    ngx_str_t    *key;
    ngx_uint_t    i;
    sgtm_rule_t  *rule;

    static ngx_str_t  transaction = ngx_string("ep.transaction_id");

    if (conf == NULL) {
        return NGX_OK;
    }

    key = conf->keys.elts;

    for (i = 0; i < conf->keys.nelts; i++) {

        rule = sgtm_names_add(names, ngx_http_sgtm_str(&key[i]));
        if (rule == NULL) {
            return NGX_ERROR;
        }

        rule->flags |= sgtm_names_order(i + 1);
    }

    rule = sgtm_names_add(names, ngx_http_sgtm_str(&transaction));
    if (rule == NULL) {
        return NGX_ERROR;
    }

    rule->flags |= SGTM_NAME_TRANSACTION;

    return NGX_OK;
}


ngx_http_sgtm_dedup_table_t *
ngx_http_sgtm_dedup_create(ngx_shm_zone_t *shm_zone)
{
    void                         *mem;
    size_t                        n;
    ngx_slab_pool_t              *shpool;
    ngx_http_sgtm_dedup_table_t  *table;

    shpool = ngx_http_sgtm_dedup_pool(shm_zone);

    n = sgtm_seen_capacity(shpool->pfree / 4 * 3 * ngx_pagesize);

    if (n < NGX_HTTP_SGTM_DEDUP_MIN) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "sgtm_zone \"%V\" of %uzk is too small for "
                      "\"sgtm_dedup\" and \"sgtm_webhook\": it has room for "
                      "%uz ids, of %d bytes each, and %d are the least",
                      &shm_zone->shm.name,
                      shm_zone->shm.size / 1024, n, SGTM_SEEN_ENTRY,
                      NGX_HTTP_SGTM_DEDUP_MIN);
        return NULL;
    }

    table = ngx_slab_alloc_locked(shpool, sizeof(ngx_http_sgtm_dedup_table_t));
    mem = ngx_slab_alloc_locked(shpool, sgtm_seen_size(n));

    if (table == NULL || mem == NULL) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                      "sgtm_zone \"%V\" has no room in one piece for "
                      "\"sgtm_dedup\" and \"sgtm_webhook\"",
                      &shm_zone->shm.name);
        goto failed;
    }

    if (getentropy(table->key, SGTM_SIPHASH_KEY) == -1) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, ngx_errno,
                      "getentropy() failed");
        goto failed;
    }

    table->seen = sgtm_seen_init(mem, n);

    return table;

failed:

    if (mem) {
        ngx_slab_free_locked(shpool, mem);
    }

    if (table) {
        ngx_slab_free_locked(shpool, table);
    }

    return NULL;
}


ngx_int_t
ngx_http_sgtm_dedup(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_event_t *events, ngx_uint_t n)
{
    return ngx_http_sgtm_dedup_window(r, ctx, events, n,
                                      ctx->conf->dedup->window);
}


ngx_int_t
ngx_http_sgtm_dedup_for(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_event_t *events, ngx_uint_t n, ngx_uint_t seconds)
{
    return ngx_http_sgtm_dedup_window(r, ctx, events, n,
                                      seconds * SGTM_SEEN_SECOND);
}


static ngx_int_t
ngx_http_sgtm_dedup_window(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_event_t *events, ngx_uint_t n, uint32_t window)
{
    ngx_uint_t                    i, nids, left, duplicates;
    sgtm_seen_ref_t              *refs;
    ngx_shm_zone_t               *zone;
    ngx_slab_pool_t              *shpool;
    ngx_http_sgtm_main_conf_t    *smcf;
    ngx_http_sgtm_dedup_table_t  *table;

    static ngx_http_sgtm_dedup_id_t  ids[SGTM_MAX_EVENTS * SGTM_EVENT_IDS];

    for (i = 0, nids = 0, left = 0; i < n; i++) {

        if (events[i].off) {
            continue;
        }

        left++;
        nids += (events[i].ids[SGTM_EVENT_ID].len != 0)
                + (events[i].ids[SGTM_EVENT_TRANSACTION].len != 0);
    }

    if (nids == 0) {
        return NGX_OK;
    }

    refs = ngx_palloc(r->pool,
                      (ctx->nreserved + nids) * sizeof(sgtm_seen_ref_t));
    if (refs == NULL) {
        return NGX_ERROR;
    }

    if (ctx->nreserved) {
        ngx_memcpy(refs, ctx->reserved,
                   ctx->nreserved * sizeof(sgtm_seen_ref_t));
    }

    ctx->reserved = refs;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    zone = smcf->zone;
    shpool = ngx_http_sgtm_dedup_pool(zone);
    table = ngx_http_sgtm_dedup_table(zone);

    ngx_http_sgtm_dedup_prints(ctx, table, events, n, ids);

    ngx_shmtx_lock(&shpool->mutex);

    duplicates = ngx_http_sgtm_dedup_reserve(ctx, table->seen, events, ids,
                                             nids, window);

    ngx_shmtx_unlock(&shpool->mutex);

    ctx->duplicates += duplicates;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "sgtm dedup: %ui of %ui", duplicates, n);

    return (duplicates == left) ? NGX_DECLINED : NGX_OK;
}


/* all that takes time is done before the lock is taken */

static void
ngx_http_sgtm_dedup_prints(ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_dedup_table_t *table, sgtm_event_t *events, ngx_uint_t n,
    ngx_http_sgtm_dedup_id_t *ids)
{
    ngx_uint_t  i, j, k;

    k = 0;

    for (i = 0; i < n; i++) {
        for (j = 0; j < SGTM_EVENT_IDS; j++) {

            if (events[i].ids[j].len == 0 || events[i].off) {
                continue;
            }

            sgtm_event_print(&events[i], j,
                             ngx_http_sgtm_str(&ctx->tenant->node.str),
                             table->key, ids[k].print);
            sgtm_seen_prefetch(table->seen, ids[k].print, k, 0);

            ids[k].event = i;
            k++;
        }
    }

    for (i = 0; i < k; i++) {
        sgtm_seen_prefetch(table->seen, ids[i].print, i, 1);
    }
}


/* of an event with two ids neither may have been seen */

static ngx_uint_t
ngx_http_sgtm_dedup_reserve(ngx_http_sgtm_ctx_t *ctx, sgtm_seen_t *seen,
    sgtm_event_t *events, ngx_http_sgtm_dedup_id_t *ids, ngx_uint_t n,
    uint32_t window)
{
    uint32_t          now;
    ngx_uint_t        i, duplicates;
    sgtm_event_t     *event;
    sgtm_seen_ref_t  *ref;

    now = (uint32_t) (ngx_current_msec / (1000 / SGTM_SEEN_SECOND));
    duplicates = 0;

    for (i = 0; i < n; i++) {

        event = &events[ids[i].event];

        if (event->duplicate) {
            continue;
        }

        ref = &ctx->reserved[ctx->nreserved];

        if (sgtm_seen_reserve(seen, ids[i].print, now, window, ref) == SGTM_OK)
        {
            ctx->nreserved++;
            continue;
        }

        event->duplicate = 1;
        duplicates++;

        if (i && ids[i - 1].event == ids[i].event) {
            sgtm_seen_release(seen, ref - 1);
            ctx->nreserved--;
        }
    }

    return duplicates;
}


void
ngx_http_sgtm_dedup_end(ngx_http_sgtm_ctx_t *ctx)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    if (ctx->nreserved == 0) {
        return;
    }

    smcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_sgtm_module);

    /*
     * what a hit of duplicates has reserved is another id of theirs, of a
     * webhook: they are known by it, too
     */

    ngx_http_sgtm_dedup_close(smcf->zone, ctx->reserved, ctx->nreserved,
                              ctx->disposition == NGX_HTTP_SGTM_FORWARDED
                              || ctx->disposition == NGX_HTTP_SGTM_QUEUED
                              || ctx->disposition
                                 == NGX_HTTP_SGTM_DUPLICATE);

    ctx->nreserved = 0;
}


ngx_http_sgtm_dedup_list_t *
ngx_http_sgtm_dedup_detach(ngx_http_sgtm_ctx_t *ctx)
{
    size_t                       size;
    ngx_http_sgtm_main_conf_t   *smcf;
    ngx_http_sgtm_dedup_list_t  *list;

    if (ctx->nreserved == 0) {
        return NULL;
    }

    size = ctx->nreserved * sizeof(sgtm_seen_ref_t);

    list = ngx_alloc(offsetof(ngx_http_sgtm_dedup_list_t, refs) + size,
                     ctx->request->connection->log);
    if (list == NULL) {
        return NULL;
    }

    smcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_sgtm_module);

    list->zone = smcf->zone;
    list->n = ctx->nreserved;
    ngx_memcpy(list->refs, ctx->reserved, size);

    ctx->nreserved = 0;

    return list;
}


void
ngx_http_sgtm_dedup_settle(ngx_http_sgtm_dedup_list_t *list,
    ngx_uint_t confirm)
{
    if (list) {
        ngx_http_sgtm_dedup_close(list->zone, list->refs, list->n, confirm);
        ngx_free(list);
    }
}


static void
ngx_http_sgtm_dedup_close(ngx_shm_zone_t *shm_zone, sgtm_seen_ref_t *refs,
    ngx_uint_t n, ngx_uint_t confirm)
{
    ngx_uint_t        i;
    sgtm_seen_t      *seen;
    ngx_slab_pool_t  *shpool;

    shpool = ngx_http_sgtm_dedup_pool(shm_zone);
    seen = ngx_http_sgtm_dedup_table(shm_zone)->seen;

    ngx_shmtx_lock(&shpool->mutex);

    for (i = 0; i < n; i++) {

        if (confirm) {
            sgtm_seen_confirm(seen, &refs[i]);

        } else {
            sgtm_seen_release(seen, &refs[i]);
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);
}
