
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_consent.h"


static ngx_int_t ngx_http_sgtm_consent_sources(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, const sgtm_ga4_t *hit);
static void ngx_http_sgtm_consent_settle(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_consent_t *otherwise);
static void ngx_http_sgtm_consent_gpc(sgtm_consent_t *consent);


ngx_int_t
ngx_http_sgtm_consent(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    const sgtm_ga4_t *hit, ngx_uint_t *fresh)
{
    if (ngx_http_sgtm_consent_sources(r, ctx, hit) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->consent_absent =
        (ctx->consent.state[SGTM_AD_STORAGE] == SGTM_UNSET
         && ctx->consent.state[SGTM_ANALYTICS_STORAGE] == SGTM_UNSET);

    ngx_http_sgtm_consent_settle(ctx, ctx->conf->consent_default);

    /*
     * a page that was denied made its ids for this page alone; one that was
     * not sent those of its cookies
     */

    *fresh = (ctx->deny & SGTM_DENY_ANALYTICS_STORAGE)
             && hit->gcd.state[SGTM_ANALYTICS_STORAGE] != SGTM_DENIED
             && hit->gcs.state[SGTM_ANALYTICS_STORAGE] != SGTM_DENIED;

    return NGX_OK;
}


void
ngx_http_sgtm_consent_server(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_consent_t *consent)
{
    ctx->consent = *consent;

    ctx->consent_absent =
        (consent->state[SGTM_AD_USER_DATA] == SGTM_UNSET
         && consent->state[SGTM_AD_PERSONALIZATION] == SGTM_UNSET);

    ngx_http_sgtm_consent_settle(ctx, ctx->conf->consent_server);
}


/* what nobody has said so far, and what follows */

static void
ngx_http_sgtm_consent_settle(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_consent_t *otherwise)
{
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ctx->conf;

    ctx->consent_read = 1;

    if (conf->consent_mode == NGX_HTTP_SGTM_CONSENT_OFF) {

        if (conf->client_ip != NGX_HTTP_SGTM_IP_FULL) {
            ctx->deny = SGTM_DENY_ADDRESS;
        }

        return;
    }

    sgtm_consent_fill(&ctx->consent, otherwise);

    if (ctx->gpc && conf->consent_gpc) {
        ngx_http_sgtm_consent_gpc(&ctx->consent);
    }

    ctx->deny = sgtm_consent_denials(&ctx->consent);

    if (conf->client_ip != NGX_HTTP_SGTM_IP_FULL) {
        ctx->deny |= SGTM_DENY_ADDRESS;
    }

    ctx->cookieless = (conf->consent_mode == NGX_HTTP_SGTM_CONSENT_BASIC
                       && (ctx->deny & SGTM_DENY_ANALYTICS_STORAGE));
}


static ngx_int_t
ngx_http_sgtm_consent_sources(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    const sgtm_ga4_t *hit)
{
    ngx_str_t                value;
    ngx_uint_t               i;
    sgtm_consent_t           one;
    ngx_http_sgtm_source_t  *source;

    source = ctx->conf->consent_sources->elts;

    for (i = 0; i < ctx->conf->consent_sources->nelts; i++) {

        switch (source[i].type) {

        case NGX_HTTP_SGTM_SOURCE_GCD:
            one = hit->gcd;
            break;

        case NGX_HTTP_SGTM_SOURCE_GCS:
            one = hit->gcs;
            break;

        default: /* NGX_HTTP_SGTM_SOURCE_VALUE */

            if (ngx_http_complex_value(r, source[i].value, &value) != NGX_OK) {
                return NGX_ERROR;
            }

            /* another form than "G1xx" is no match */
            (void) sgtm_consent_gcs(ngx_http_sgtm_str(&value), &one);
        }

        if (ctx->conf->consent_conflict == NGX_HTTP_SGTM_CONFLICT_STRICTEST) {
            sgtm_consent_strictest(&ctx->consent, &one);

        } else {
            sgtm_consent_fill(&ctx->consent, &one);
        }
    }

    return NGX_OK;
}


static void
ngx_http_sgtm_consent_gpc(sgtm_consent_t *consent)
{
    consent->state[SGTM_AD_STORAGE] = SGTM_DENIED;
    consent->state[SGTM_AD_USER_DATA] = SGTM_DENIED;
    consent->state[SGTM_AD_PERSONALIZATION] = SGTM_DENIED;
}
