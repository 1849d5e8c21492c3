
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <openssl/rand.h>

#include "ngx_http_sgtm_csp.h"
#include "sgtm_csp.h"


/* bytes of a nonce, and the characters that they are written in */
#define NGX_HTTP_SGTM_NONCE       16
#define NGX_HTTP_SGTM_NONCE_TEXT  ngx_base64_encoded_length(16)


static ngx_uint_t ngx_http_sgtm_csp_is(ngx_table_elt_t *h);
static ngx_int_t ngx_http_sgtm_csp_make_nonce(ngx_http_request_t *r,
    ngx_http_sgtm_site_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_csp_fit(ngx_http_request_t *r,
    ngx_str_t *value, sgtm_csp_need_t *need, unsigned *nonced);
static ngx_int_t ngx_http_sgtm_csp_add_strict(ngx_http_request_t *r,
    sgtm_csp_need_t *need, ngx_http_sgtm_tags_t *tags, unsigned *nonced);
static ngx_int_t ngx_http_sgtm_csp_no_store(ngx_http_request_t *r);


ngx_int_t
ngx_http_sgtm_csp_header(ngx_http_request_t *r, ngx_http_sgtm_site_t *site,
    ngx_str_t *nonce)
{
    unsigned                   nonced;
    ngx_int_t                  rc;
    ngx_uint_t                 i, found;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h;
    sgtm_csp_need_t            need;
    ngx_http_sgtm_tags_t       tags;
    ngx_http_sgtm_site_ctx_t  *ctx;

    rc = ngx_http_sgtm_site_tags(r, site->csp_tags, SGTM_FEATURE_CSP, &tags);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? NGX_OK : NGX_ERROR;
    }

    ctx = ngx_http_sgtm_site_ctx(r);

    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&need, sizeof(sgtm_csp_need_t));

    need.tagging = tags.tagging;
    need.ways = tags.ways;
    need.https = (r->connection->ssl != NULL);
    need.host = *ngx_http_sgtm_str(&r->headers_in.server);
    need.prefix = *ngx_http_sgtm_str(&tags.prefix);

    /* the nonce of a page that the browser has is another one */

    if (r->headers_out.status != NGX_HTTP_NOT_MODIFIED) {

        if (ngx_http_sgtm_csp_make_nonce(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        need.nonce = *ngx_http_sgtm_str(&ctx->nonce);
    }

    found = 0;
    nonced = 0;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (!ngx_http_sgtm_csp_is(&h[i])) {
                continue;
            }

            found = 1;

            if (ngx_http_sgtm_csp_fit(r, &h[i].value, &need, &nonced)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    if (!found && site->csp->mode == NGX_HTTP_SGTM_CSP_STRICT
        && r->headers_out.status != NGX_HTTP_NOT_MODIFIED
        && ngx_http_sgtm_csp_add_strict(r, &need, &tags, &nonced) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (nonced) {
        *nonce = ctx->nonce;
    }

    if (!nonced && !ctx->asked) {
        return NGX_OK;
    }

    return ngx_http_sgtm_csp_no_store(r);
}


static ngx_uint_t
ngx_http_sgtm_csp_is(ngx_table_elt_t *h)
{
    static ngx_str_t  names[] = {
        ngx_string("Content-Security-Policy"),
        ngx_string("Content-Security-Policy-Report-Only")
    };

    ngx_uint_t  i;

    if (h->hash == 0) {
        return 0;
    }

    for (i = 0; i < sizeof(names) / sizeof(ngx_str_t); i++) {
        if (h->key.len == names[i].len
            && ngx_strncasecmp(h->key.data, names[i].data, names[i].len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_sgtm_csp_make_nonce(ngx_http_request_t *r,
    ngx_http_sgtm_site_ctx_t *ctx)
{
    u_char     random[NGX_HTTP_SGTM_NONCE];
    ngx_str_t  bytes;

    if (ctx->nonce.len) {
        return NGX_OK;
    }

    if (RAND_bytes(random, sizeof(random)) != 1) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "RAND_bytes() failed: there is no nonce");
        return NGX_ERROR;
    }

    ctx->nonce.data = ngx_pnalloc(r->pool, NGX_HTTP_SGTM_NONCE_TEXT);
    if (ctx->nonce.data == NULL) {
        return NGX_ERROR;
    }

    bytes.data = random;
    bytes.len = sizeof(random);

    ngx_encode_base64(&ctx->nonce, &bytes);

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_site_nonce(ngx_http_request_t *r, ngx_str_t *value)
{
    ngx_http_sgtm_loc_conf_t  *conf;
    ngx_http_sgtm_site_ctx_t  *ctx;

    conf = ngx_http_get_module_loc_conf(r->main, ngx_http_sgtm_module);

    if (conf->site == NULL || conf->site->csp_tags == NULL) {
        return NGX_OK;
    }

    ctx = ngx_http_sgtm_site_ctx(r->main);

    if (ctx == NULL || ngx_http_sgtm_csp_make_nonce(r->main, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->asked = 1;
    *value = ctx->nonce;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_csp_fit(ngx_http_request_t *r, ngx_str_t *value,
    sgtm_csp_need_t *need, unsigned *nonced)
{
    size_t   len;
    u_char  *p;

    len = sgtm_csp_fit(NULL, ngx_http_sgtm_str(value), need, nonced);

    if (len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) sgtm_csp_fit(p, ngx_http_sgtm_str(value), need, nonced);

    value->data = p;
    value->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_csp_add_strict(ngx_http_request_t *r, sgtm_csp_need_t *need,
    ngx_http_sgtm_tags_t *tags, unsigned *nonced)
{
    ngx_str_t   report, value;

    report.len = tags->prefix.len + sizeof(NGX_HTTP_SGTM_CSP_REPORT) - 1;
    report.data = ngx_pnalloc(r->pool, report.len);

    if (report.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(report.data, tags->prefix.data, tags->prefix.len),
               NGX_HTTP_SGTM_CSP_REPORT, sizeof(NGX_HTTP_SGTM_CSP_REPORT) - 1);

    value.len = sgtm_csp_strict(NULL, need, ngx_http_sgtm_str(&report),
                                nonced);
    value.data = ngx_pnalloc(r->pool, value.len);

    if (value.data == NULL) {
        return NGX_ERROR;
    }

    (void) sgtm_csp_strict(value.data, need, ngx_http_sgtm_str(&report),
                           nonced);

    return ngx_http_sgtm_site_header(r, "Content-Security-Policy", &value);
}


/* in place of what the page says of caches */

static ngx_int_t
ngx_http_sgtm_csp_no_store(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    static ngx_str_t  no_store = ngx_string("no-store");

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if ((h[i].key.len == 13
                 && ngx_strncasecmp(h[i].key.data,
                                    (u_char *) "cache-control", 13) == 0)
                || (h[i].key.len == 7
                    && ngx_strncasecmp(h[i].key.data, (u_char *) "expires", 7)
                       == 0))
            {
                h[i].hash = 0;
            }
        }
    }

    r->headers_out.expires = NULL;

#if (nginx_version >= 1023000)
    r->headers_out.cache_control = NULL;
#else
    r->headers_out.cache_control.nelts = 0;
#endif

    ngx_http_clear_etag(r);
    ngx_http_clear_last_modified(r);

    return ngx_http_sgtm_site_header(r, "Cache-Control", &no_store);
}
