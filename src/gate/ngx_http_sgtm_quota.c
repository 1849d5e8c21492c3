
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_overlay.h"
#include "ngx_http_sgtm_quota.h"


static const sgtm_tenant_t *ngx_http_sgtm_quota_of(ngx_http_sgtm_ctx_t *ctx);
static ngx_uint_t ngx_http_sgtm_quota_sampled(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_tenant_t *record, const sgtm_str_t *client);
static void ngx_http_sgtm_quota_tell(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_tenant_t *record, uint32_t month, ngx_uint_t level);


ngx_int_t
ngx_http_sgtm_quota(ngx_http_sgtm_ctx_t *ctx, const sgtm_str_t *client)
{
    sgtm_meter_entry_t   *e;
    const sgtm_tenant_t  *record;

    static ngx_uint_t     warned;

    record = ngx_http_sgtm_quota_of(ctx);

    if (record == NULL) {
        return NGX_OK;
    }

    e = ngx_http_sgtm_meter_entry(ctx);

    if (e == NULL) {

        if (!warned) {
            warned = 1;
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "quotas of records are not obeyed without "
                          "\"sgtm_meter\" or room in its zone");
        }

        return NGX_OK;
    }

    if (record->quota_action == SGTM_QUOTA_CONTINUE
        || sgtm_meter_used(e, ngx_http_sgtm_meter_now())
           < (uint64_t) record->quota)
    {
        return NGX_OK;
    }

    if (record->quota_action == SGTM_QUOTA_SAMPLE
        && ngx_http_sgtm_quota_sampled(ctx, record, client))
    {
        return NGX_OK;
    }

    /* an error would only be sent again, or alarm a shop that can't help it */

    ctx->disposition = NGX_HTTP_SGTM_LIMITED;
    ctx->reason = NGX_HTTP_SGTM_REASON_QUOTA;

    return NGX_HTTP_NO_CONTENT;
}


static const sgtm_tenant_t *
ngx_http_sgtm_quota_of(ngx_http_sgtm_ctx_t *ctx)
{
    if (ctx->overlay == NULL
        || !sgtm_tenant_has(ctx->overlay->record, SGTM_TENANT_QUOTA))
    {
        return NULL;
    }

    return ctx->overlay->record;
}


/*
 * A client is in the sample or is not, all month and on every machine, so that
 * sessions stay whole.  Of who may not be known again each hit is one by
 * itself.
 */

static ngx_uint_t
ngx_http_sgtm_quota_sampled(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_tenant_t *record, const sgtm_str_t *client)
{
    uint32_t  hash;

    if (client == NULL || client->len == 0) {
        return (ngx_uint_t) ngx_random() % 100 < record->quota_sample;
    }

    hash = ngx_murmur_hash2(client->data, client->len)
           ^ (uint32_t) ctx->tenant->node.node.key;

    hash *= 0x9e3779b1;
    hash ^= hash >> 15;
    hash *= 0x85ebca77;

    return (ngx_uint_t) ((uint64_t) hash * 100 >> 32) < record->quota_sample;
}


void
ngx_http_sgtm_quota_take(ngx_http_sgtm_ctx_t *ctx)
{
    uint32_t              month;
    uint64_t              used, quota;
    ngx_uint_t            level;
    sgtm_meter_entry_t   *e;
    const sgtm_tenant_t  *record;

    if (ctx->status != NGX_DECLINED || ctx->preview
        || !ngx_http_sgtm_route_is_hit(ctx->route))
    {
        return;
    }

    e = ngx_http_sgtm_meter_entry(ctx);

    if (e == NULL) {
        return;
    }

    month = ngx_http_sgtm_meter_now();
    ctx->month = month;

    used = sgtm_meter_use(e, month, ngx_http_sgtm_meter_events(ctx));

    record = ngx_http_sgtm_quota_of(ctx);

    if (record == NULL) {
        return;
    }

    quota = record->quota;

    level = (used >= quota) ? SGTM_METER_OVER
            : (used >= quota - quota * (100 - SGTM_METER_WARNED) / 100)
              ? SGTM_METER_WARNED : 0;

    if (sgtm_meter_tell(e, month, level)) {
        ngx_http_sgtm_quota_tell(ctx, record, month, level);
    }
}


/* not in the request's log, which would say who has sent it */

static void
ngx_http_sgtm_quota_tell(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_tenant_t *record, uint32_t month, ngx_uint_t level)
{
    char  text[SGTM_METER_MONTH];

    sgtm_meter_text(month, text);

    if (level == SGTM_METER_WARNED) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "tenant \"%V\" has used 80%% of the quota of %L events "
                      "for %s", &ctx->tenant->node.str, record->quota, text);
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "tenant \"%V\" has used up the quota of %L events for %s: "
                  "\"%V\"", &ctx->tenant->node.str, record->quota, text,
                  sgtm_word_name(sgtm_quotas, record->quota_action));
}
