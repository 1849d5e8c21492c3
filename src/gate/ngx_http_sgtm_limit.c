
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


#define NGX_HTTP_SGTM_SECOND  1000000000ULL


static ngx_uint_t ngx_http_sgtm_limit_tenant(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_uint_t ngx_http_sgtm_limit_take(ngx_atomic_t *arrival,
    const ngx_http_sgtm_rate_t *rate);


char *
ngx_http_sgtm_conf_rate_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_int_t              burst;
    ngx_str_t             *value;
    sgtm_rate_t            given;
    ngx_http_sgtm_rate_t  *rate;

    static char  allowed[] = "\"off\", or hits a second or minute such as "
                             "\"100r/s\" or \"1000r/m\", and \"burst=\"";

    if (slcf->rate != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!sgtm_form_rate(ngx_http_sgtm_str(&value[1]), &given)
        || (given.seconds == 0 && cf->args->nelts == 3))
    {
        return ngx_http_sgtm_conf_invalid(cf, &value[1], allowed);
    }

    if (given.seconds == 0) {
        slcf->rate = NULL;
        return NGX_CONF_OK;
    }

    if (cf->args->nelts == 3) {

        burst = (ngx_strncmp(value[2].data, "burst=", 6) == 0)
                ? ngx_atoi(value[2].data + 6, value[2].len - 6) : NGX_ERROR;

        if (burst < 1 || burst > SGTM_BURST_MAX) {
            return ngx_http_sgtm_conf_invalid(cf, &value[2], allowed);
        }

        given.burst = burst;
    }

    rate = ngx_palloc(cf->pool, sizeof(ngx_http_sgtm_rate_t));
    if (rate == NULL) {
        return NGX_CONF_ERROR;
    }

    rate->interval = sgtm_rate_interval(&given);
    rate->burst = sgtm_rate_tolerance(&given);

    slcf->rate = rate;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sgtm_limit(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    u_char      *p;
    ngx_str_t    value;
    ngx_uint_t   seconds;

    seconds = ngx_http_sgtm_limit_tenant(r, ctx);

    if (seconds == 0) {
        return NGX_DECLINED;
    }

    ctx->reason = NGX_HTTP_SGTM_REASON_RATE;

    if (ctx->conf->target) {
        ctx->limited = 1;
        return NGX_DECLINED;
    }

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


/* takes one hit; else in how many seconds there is one to take */

static ngx_uint_t
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
