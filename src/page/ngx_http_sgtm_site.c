
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_csp.h"
#include "ngx_http_sgtm_site.h"
#include "sgtm_csp.h"


/* "-", eight digits of a hash, and the quote that ends an ETag */
#define NGX_HTTP_SGTM_SITE_MARK  (1 + 8 + 1)


static ngx_int_t ngx_http_sgtm_site_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_sgtm_site_navigates(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_site_unmark(ngx_http_request_t *r,
    ngx_str_t *script, ngx_http_sgtm_site_ctx_t *ctx);
static ngx_uint_t ngx_http_sgtm_site_strip(ngx_str_t *value, u_char *mark,
    ngx_str_t *stripped);
static void ngx_http_sgtm_site_mark_text(u_char *mark, ngx_str_t *script);
static ngx_int_t ngx_http_sgtm_site_early_filter(ngx_http_request_t *r);
static const sgtm_tenant_t *ngx_http_sgtm_site_record(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *gateway, sgtm_registry_reader_t *reader,
    ngx_int_t *rc);
static ngx_int_t ngx_http_sgtm_site_overlay(ngx_http_request_t *r,
    const sgtm_tenant_t *record, ngx_uint_t feature,
    ngx_http_sgtm_tags_t *tags);
static void ngx_http_sgtm_site_ways(ngx_http_sgtm_tags_t *tags,
    ngx_uint_t tier, ngx_uint_t fallback, ngx_uint_t residency);
static void ngx_http_sgtm_site_event_ways(ngx_http_sgtm_tags_t *tags,
    const sgtm_tenant_events_t *events);
static void ngx_http_sgtm_site_cleanup(void *data);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


ngx_int_t
ngx_http_sgtm_site_init(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    if (smcf->sites.nelts == 0) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_sgtm_site_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_sgtm_site_early_filter;

    return NGX_OK;
}


/*
 * A page that a browser has from before may be one without the line, or with
 * another one: only validators with our mark are those of what it would get
 * now.  Of a page whose policy is changed none is: its nonce is an old one.
 * What is no page has the same location, so it is asked what the browser wants.
 */

static ngx_int_t
ngx_http_sgtm_site_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_sgtm_tags_t       tags;
    ngx_http_sgtm_site_t      *site;
    ngx_http_sgtm_loc_conf_t  *conf;
    ngx_http_sgtm_site_ctx_t  *ctx;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);
    site = conf->site;

    if (site == NULL || r != r->main
        || (r->headers_in.if_none_match == NULL
            && r->headers_in.if_modified_since == NULL)
        || !ngx_http_sgtm_site_navigates(r))
    {
        return NGX_DECLINED;
    }

    ctx = ngx_http_sgtm_site_ctx(r);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->checked) {
        return NGX_DECLINED;
    }

    ctx->checked = 1;

    rc = site->inject_tags
         ? ngx_http_sgtm_site_tags(r, site->inject_tags, SGTM_FEATURE_INJECT,
                                   &tags)
         : NGX_DECLINED;

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED && site->csp_tags == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_sgtm_site_unmark(r, site->csp_tags ? NULL : &tags.script, ctx)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_sgtm_site_navigates(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == 6
                && ngx_strncasecmp(h[i].key.data, (u_char *) "accept", 6) == 0
                && ngx_strlcasestrn(h[i].value.data,
                                    h[i].value.data + h[i].value.len,
                                    (u_char *) "text/html", 9 - 1))
            {
                return 1;
            }
        }
    }

    return 0;
}


/*
 * Turns validators of a changed page into those of the page behind it; others
 * become some that nothing has.  Without a script all are others.
 */

static ngx_int_t
ngx_http_sgtm_site_unmark(ngx_http_request_t *r, ngx_str_t *script,
    ngx_http_sgtm_site_ctx_t *ctx)
{
    u_char            mark[NGX_HTTP_SGTM_SITE_MARK];
    ngx_str_t         value;
    ngx_table_elt_t  *match, *since;

    static ngx_str_t  none = ngx_string("\"-\"");
    static ngx_str_t  epoch = ngx_string("Thu, 01 Jan 1970 00:00:00 GMT");

    match = r->headers_in.if_none_match;
    since = r->headers_in.if_modified_since;

    if (match && script) {
        ngx_http_sgtm_site_mark_text(mark, script);

        value.data = ngx_pnalloc(r->pool, match->value.len);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_sgtm_site_strip(&match->value, mark, &value)) {
            ctx->marked = 1;
            match->value = value;

            return NGX_OK;
        }
    }

    if (match) {
        match->value = none;
    }

    if (since) {
        since->value = epoch;
    }

    return NGX_OK;
}


/* whether the mark was in it; the rest is written */

static ngx_uint_t
ngx_http_sgtm_site_strip(ngx_str_t *value, u_char *mark, ngx_str_t *stripped)
{
    u_char      *p, *last, *out;
    ngx_uint_t   found;

    p = value->data;
    last = p + value->len;
    out = stripped->data;
    found = 0;

    while (p < last) {

        if ((size_t) (last - p) >= NGX_HTTP_SGTM_SITE_MARK
            && ngx_memcmp(p, mark, NGX_HTTP_SGTM_SITE_MARK) == 0)
        {
            p += NGX_HTTP_SGTM_SITE_MARK - 1;
            found = 1;
        }

        *out++ = *p++;
    }

    stripped->len = out - stripped->data;

    return found;
}


static void
ngx_http_sgtm_site_mark_text(u_char *mark, ngx_str_t *script)
{
    (void) ngx_sprintf(mark, "-%08xD\"",
                       ngx_crc32_long(script->data, script->len));
}


ngx_int_t
ngx_http_sgtm_site_mark(ngx_http_request_t *r, ngx_str_t *script)
{
    u_char           *p, *last;
    ngx_str_t        *etag;
    ngx_table_elt_t  *h;

    u_char  mark[NGX_HTTP_SGTM_SITE_MARK];

    h = r->headers_out.etag;

    if (h == NULL) {
        ngx_http_clear_last_modified(r);
        return NGX_OK;
    }

    etag = &h->value;

    if (etag->len < 2 || etag->data[etag->len - 1] != '"') {
        ngx_http_clear_etag(r);
        ngx_http_clear_last_modified(r);
        return NGX_OK;
    }

    ngx_http_sgtm_site_mark_text(mark, script);

    p = ngx_pnalloc(r->pool, etag->len + 2 + NGX_HTTP_SGTM_SITE_MARK);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = p;

    if (etag->data[0] != 'W') {
        *last++ = 'W'; *last++ = '/';
    }

    last = ngx_cpymem(last, etag->data, etag->len - 1);
    last = ngx_cpymem(last, mark, NGX_HTTP_SGTM_SITE_MARK);

    etag->data = p;
    etag->len = last - p;

    return NGX_OK;
}


/* nginx unpacks what the browser takes packed only if it is told otherwise */

static ngx_int_t
ngx_http_sgtm_site_early_filter(ngx_http_request_t *r)
{
#if (NGX_HTTP_GZIP)
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);

    if (conf->site && conf->site->inject_tags && r == r->main
        && r->headers_out.content_encoding
        && r->headers_out.content_encoding->value.len
        && ngx_http_sgtm_site_is_html(r))
    {
        r->gzip_tested = 1;
        r->gzip_ok = 0;
    }
#endif

    return ngx_http_next_header_filter(r);
}


ngx_uint_t
ngx_http_sgtm_site_is_html(ngx_http_request_t *r)
{
    return r->headers_out.content_type_len == 9
           && r->headers_out.content_type.len >= 9
           && ngx_strncasecmp(r->headers_out.content_type.data,
                              (u_char *) "text/html", 9)
              == 0;
}


ngx_int_t
ngx_http_sgtm_site_tags(ngx_http_request_t *r, ngx_http_sgtm_tags_t *of,
    ngx_uint_t feature, ngx_http_sgtm_tags_t *tags)
{
    uint64_t                   generation;
    ngx_int_t                  rc;
    const sgtm_tenant_t       *record;
    sgtm_registry_reader_t    *reader;
    ngx_http_sgtm_loc_conf_t  *gateway;

    *tags = *of;
    gateway = of->gateway;

    ngx_http_sgtm_site_ways(tags, gateway->tier, gateway->fallback,
                            gateway->residency);

    reader = ngx_http_sgtm_tenants_reader();

    if (reader == NULL) {
        return NGX_OK;
    }

    rc = NGX_OK;
    generation = sgtm_registry_enter(reader);

    record = ngx_http_sgtm_site_record(r, gateway, reader, &rc);

    if (record) {
        rc = ngx_http_sgtm_site_overlay(r, record, feature, tags);

    } else if (rc == NGX_OK && gateway->records_only) {

        /* the gateway would not have the script */

        rc = NGX_DECLINED;
    }

    sgtm_registry_leave(reader, generation);

    return rc;
}


/* as the gateway itself will find it */

static const sgtm_tenant_t *
ngx_http_sgtm_site_record(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *gateway, sgtm_registry_reader_t *reader,
    ngx_int_t *rc)
{
    ngx_str_t             id;
    const sgtm_tenant_t  *record;

    if (gateway->fixed_tenant == NULL) {

        if (ngx_http_complex_value(r, gateway->tenant, &id) != NGX_OK) {
            *rc = NGX_ERROR;
            return NULL;
        }

        return sgtm_registry_id(reader->registry, ngx_http_sgtm_str(&id));
    }

    if (gateway->tenant == NULL && r->headers_in.server.len) {
        record = sgtm_registry_host(reader->registry,
                                 ngx_http_sgtm_str(&r->headers_in.server));
        if (record) {
            return record;
        }
    }

    return sgtm_registry_id(reader->registry,
                    ngx_http_sgtm_str(&gateway->fixed_tenant->node.str));
}


static ngx_int_t
ngx_http_sgtm_site_overlay(ngx_http_request_t *r, const sgtm_tenant_t *record,
    ngx_uint_t feature, ngx_http_sgtm_tags_t *tags)
{
    ngx_uint_t                 tier, fallback, residency;
    ngx_http_sgtm_loc_conf_t  *gateway;

    if (!sgtm_tenant_feature(record, feature, 1)) {
        return NGX_DECLINED;
    }

    gateway = tags->gateway;

    tier = sgtm_tenant_has(record, SGTM_TENANT_TIER) ? record->tier
                                                     : gateway->tier;
    fallback = gateway->fallback;

    if (sgtm_tenant_has(record, SGTM_TENANT_FALLBACK)) {
        fallback = record->fallback;

    } else if (sgtm_tenant_has(record, SGTM_TENANT_TIER)
               && !gateway->own_fallback)
    {
        fallback = (tier == NGX_HTTP_SGTM_TIER_PROFESSIONAL)
                   ? NGX_HTTP_SGTM_FALLBACK_CLIENT
                   : NGX_HTTP_SGTM_FALLBACK_OFF;
    }

    residency = sgtm_tenant_has(record, SGTM_TENANT_RESIDENCY)
                ? record->residency : gateway->residency;

    ngx_http_sgtm_site_ways(tags, tier, fallback, residency);

    if (sgtm_tenant_has(record, SGTM_TENANT_TAGGING)) {
        tags->tagging = record->tagging;
    }

    /* Google's scripts alone have one way, that of the tier starter */

    if (residency == SGTM_RESIDENCY_ANY
        && (tags->tagging == SGTM_TAGGING_LIGHT
            || tags->ways != SGTM_CSP_GOOGLE))
    {
        ngx_http_sgtm_site_event_ways(tags, &record->events);
    }

    if (!sgtm_tenant_has(record, SGTM_TENANT_SCRIPT)) {
        return NGX_OK;
    }

    tags->script.len = tags->prefix.len + record->script.len;
    tags->script.data = ngx_pnalloc(r->pool, tags->script.len);

    if (tags->script.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ngx_cpymem(tags->script.data, tags->prefix.data,
                          tags->prefix.len),
               record->script.data, record->script.len);

    return ngx_http_sgtm_site_line(r->pool, &tags->script, NULL, &tags->line);
}


/* where the snippet sends hits and loads Google's scripts from */

static void
ngx_http_sgtm_site_ways(ngx_http_sgtm_tags_t *tags, ngx_uint_t tier,
    ngx_uint_t fallback, ngx_uint_t residency)
{
    /* what has to stay in a place is not sent to Google's hosts instead */

    if (residency != SGTM_RESIDENCY_ANY) {
        tags->ways = SGTM_CSP_GATEWAY;

    } else if (tier == NGX_HTTP_SGTM_TIER_STARTER) {
        tags->ways = SGTM_CSP_GOOGLE;

    } else if (fallback == NGX_HTTP_SGTM_FALLBACK_CLIENT) {

        /* of the tier enterprise, too: what is set overrides the tier */

        tags->ways = SGTM_CSP_GATEWAY|SGTM_CSP_GOOGLE;

    } else {
        tags->ways = SGTM_CSP_GATEWAY;
    }
}


/* some events have a way of their own, whatever the tier */

static void
ngx_http_sgtm_site_event_ways(ngx_http_sgtm_tags_t *tags,
    const sgtm_tenant_events_t *events)
{
    size_t  i;

    for (i = 0; i < events->nelts; i++) {

        switch (events->elts[i].route) {

        case SGTM_EVENT_SERVER:
            tags->ways |= SGTM_CSP_GATEWAY;
            break;

        case SGTM_EVENT_CLIENT:
            tags->ways |= SGTM_CSP_GOOGLE;
            break;

        case SGTM_EVENT_BOTH:
            tags->ways |= SGTM_CSP_GATEWAY|SGTM_CSP_GOOGLE;
            break;
        }
    }
}


/* an internal redirect clears the contexts of modules, but not the pool's */

ngx_http_sgtm_site_ctx_t *
ngx_http_sgtm_site_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_sgtm_site_ctx_t  *ctx;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_sgtm_site_cleanup) {
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_sgtm_site_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_sgtm_site_ctx_t));

    cln->handler = ngx_http_sgtm_site_cleanup;

    return ctx;
}


/* it marks the context in the request's pool */

static void
ngx_http_sgtm_site_cleanup(void *data)
{
    /* void */
}


ngx_int_t
ngx_http_sgtm_site_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}
