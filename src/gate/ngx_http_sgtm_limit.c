
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "../tenant/ngx_http_sgtm_fleet.h"
#include "ngx_http_sgtm_answer.h"
#include "ngx_http_sgtm_gate.h"
#include "ngx_http_sgtm_limit.h"
#include "ngx_http_sgtm_limit_address.h"


#define NGX_HTTP_SGTM_SECOND  1000000000ULL


static ngx_http_sgtm_rate_t *ngx_http_sgtm_limit_rate(ngx_conf_t *cf,
    const sgtm_rate_t *given);
static ngx_int_t ngx_http_sgtm_limit_refuse(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_uint_t seconds);
static ngx_uint_t ngx_http_sgtm_limit_tenant(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);


char *
ngx_http_sgtm_conf_rate_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_int_t                   burst;
    ngx_str_t                  *value, text;
    ngx_uint_t                  i;
    sgtm_rate_t                 given, address;
    ngx_http_sgtm_main_conf_t  *smcf;

    static char  allowed[] = "\"off\", or hits a second or minute such as "
                             "\"100r/s\" or \"1000r/m\", and \"burst=\", and "
                             "\"address=\" with such a rate";

    if (slcf->rate != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ngx_memzero(&address, sizeof(sgtm_rate_t));
    burst = 0;

    if (!sgtm_form_rate(ngx_http_sgtm_str(&value[1]), &given)) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1], allowed);
    }

    for (i = 2; i < cf->args->nelts; i++) {

        text = value[i];

        if (ngx_strncmp(text.data, "burst=", 6) == 0 && burst == 0
            && given.seconds)
        {
            burst = ngx_atoi(text.data + 6, text.len - 6);

            if (burst >= 1 && burst <= SGTM_BURST_MAX) {
                given.burst = burst;
                continue;
            }

        } else if (ngx_strncmp(text.data, "address=", 8) == 0
                   && address.seconds == 0)
        {
            text.data += 8;
            text.len -= 8;

            if (sgtm_form_rate(ngx_http_sgtm_str(&text), &address)
                && address.seconds)
            {
                continue;
            }
        }

        return ngx_http_sgtm_conf_invalid(cf, &value[i], allowed);
    }

    slcf->rate = ngx_http_sgtm_limit_rate(cf, &given);
    slcf->address_rate = ngx_http_sgtm_limit_rate(cf, &address);

    if ((given.seconds && slcf->rate == NULL)
        || (address.seconds && slcf->address_rate == NULL))
    {
        return NGX_CONF_ERROR;
    }

    if (slcf->address_rate) {
        smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);
        smcf->limits_addresses = 1;
    }

    return NGX_CONF_OK;
}


/* NULL: there is no limit, or no memory */

static ngx_http_sgtm_rate_t *
ngx_http_sgtm_limit_rate(ngx_conf_t *cf, const sgtm_rate_t *given)
{
    ngx_http_sgtm_rate_t  *rate;

    if (given->seconds == 0) {
        return NULL;
    }

    rate = ngx_palloc(cf->pool, sizeof(ngx_http_sgtm_rate_t));
    if (rate == NULL) {
        return NULL;
    }

    rate->interval = sgtm_rate_interval(given);
    rate->burst = sgtm_rate_tolerance(given);

    return rate;
}


ngx_int_t
ngx_http_sgtm_limit(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t  seconds;

    if (ctx->conf->rate == NULL) {
        return NGX_DECLINED;
    }

    seconds = ngx_http_sgtm_limit_tenant(r, ctx);

    if (seconds == 0) {
        return NGX_DECLINED;
    }

    ctx->reason = NGX_HTTP_SGTM_REASON_RATE;

    if (ctx->conf->target) {
        ctx->limited = 1;
        return NGX_DECLINED;
    }

    return ngx_http_sgtm_limit_refuse(r, ctx, seconds);
}


/* what one address sends too much of is not kept: it would fill the queue */

ngx_int_t
ngx_http_sgtm_limit_late(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t  seconds;

    seconds = ngx_http_sgtm_limit_address_take(r, ctx);

    if (seconds == 0) {
        return ngx_http_sgtm_limit(r, ctx);
    }

    ctx->reason = NGX_HTTP_SGTM_REASON_ADDRESS;

    return ngx_http_sgtm_limit_refuse(r, ctx, seconds);
}


static ngx_int_t
ngx_http_sgtm_limit_refuse(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t seconds)
{
    u_char     *p;
    ngx_str_t   value;

    ctx->disposition = NGX_HTTP_SGTM_LIMITED;

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    value.data = p;
    value.len = ngx_sprintf(p, "%ui", seconds) - p;

    if (ngx_http_sgtm_answer_header(r, "Retry-After", &value) != NGX_OK) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    return NGX_HTTP_TOO_MANY_REQUESTS;
}


/* what of the rate is this machine's, if there are others */

static ngx_uint_t
ngx_http_sgtm_limit_tenant(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_http_sgtm_rate_t        own;
    ngx_http_sgtm_rate_t       *rate;
    ngx_http_sgtm_main_conf_t  *smcf;

    rate = ctx->conf->rate;
    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    if (smcf->fleet) {
        ngx_http_sgtm_fleet_ask(smcf, ctx->tenant, rate, &own);
        rate = &own;
    }

    return ngx_http_sgtm_limit_take(&ctx->tenant->counters->arrival, rate);
}


ngx_uint_t
ngx_http_sgtm_limit_take(ngx_atomic_t *arrival,
    const ngx_http_sgtm_rate_t *rate)
{
    uint64_t  now, next, due;

    now = ngx_http_sgtm_now();

    /* when a hit would arrive if all came evenly */

    for ( ;; ) {
        due = *arrival;

        next = ngx_max(due, now);

        if (next - now > rate->burst) {
            return (next - now - rate->burst) / NGX_HTTP_SGTM_SECOND + 1;
        }

        if (ngx_atomic_cmp_set(arrival, due, next + rate->interval)) {
            return 0;
        }
    }
}
