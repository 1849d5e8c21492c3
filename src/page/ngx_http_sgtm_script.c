
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_md5.h>

#if (NGX_ZLIB)
#include <zlib.h>
#endif

#include "../gate/ngx_http_sgtm_overlay.h"
#include "ngx_http_sgtm_script.h"
#include "ngx_http_sgtm_settings.h"
#include "ngx_http_sgtm_snippet.h"


/* a change of the configuration is in force within a minute */
#define NGX_HTTP_SGTM_SCRIPT_CACHE  "public, max-age=60"

/* a strong ETag: the MD5 of what is sent, in quotes */
#define NGX_HTTP_SGTM_SCRIPT_ETAG   (2 * 16 + 2)


static ngx_int_t ngx_http_sgtm_script_plain(ngx_pool_t *pool,
    ngx_http_sgtm_script_t *script, ngx_str_t *json);
static size_t ngx_http_sgtm_script_copy(u_char *p, ngx_str_t *parts);
static ngx_int_t ngx_http_sgtm_script_gzip(ngx_pool_t *pool,
    ngx_pool_t *temp_pool, ngx_http_sgtm_script_t *script);
static ngx_int_t ngx_http_sgtm_script_etag(ngx_pool_t *pool,
    ngx_http_sgtm_script_variant_t *v);

static ngx_int_t ngx_http_sgtm_script_of_record(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_uint_t ngx_http_sgtm_script_is(ngx_http_sgtm_made_t *made,
    const void *key);
static ngx_int_t ngx_http_sgtm_script_headers(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_http_sgtm_script_variant_t *v);
static ngx_table_elt_t *ngx_http_sgtm_script_header(ngx_http_request_t *r,
    char *key, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_script_cache_control(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_script_vary(ngx_http_request_t *r);


ngx_int_t
ngx_http_sgtm_script_create(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *prefix)
{
    uint32_t                    hash;
    ngx_str_t                   json;
    ngx_http_sgtm_script_t     *script;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);

    if (ngx_http_sgtm_settings(cf->temp_pool, conf, prefix, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    hash = ngx_crc32_long(json.data, json.len);

    conf->script = (ngx_http_sgtm_script_t *)
                       ngx_str_rbtree_lookup(&smcf->scripts, &json, hash);

    if (conf->script) {
        return NGX_OK;
    }

    script = ngx_http_sgtm_script_make(cf->pool, cf->temp_pool, &json);
    if (script == NULL) {
        return NGX_ERROR;
    }

    script->node.node.key = hash;

    ngx_rbtree_insert(&smcf->scripts, &script->node.node);

    conf->script = script;

    return NGX_OK;
}


ngx_http_sgtm_script_t *
ngx_http_sgtm_script_make(ngx_pool_t *pool, ngx_pool_t *temp_pool,
    ngx_str_t *json)
{
    ngx_http_sgtm_script_t  *script;

    script = ngx_pcalloc(pool, sizeof(ngx_http_sgtm_script_t));

    if (script == NULL
        || ngx_http_sgtm_script_plain(pool, script, json) != NGX_OK
        || ngx_http_sgtm_script_gzip(pool, temp_pool, script) != NGX_OK)
    {
        return NULL;
    }

    return script;
}


static ngx_int_t
ngx_http_sgtm_script_plain(ngx_pool_t *pool, ngx_http_sgtm_script_t *script,
    ngx_str_t *json)
{
    u_char     *p;
    ngx_str_t  *body;

    body = &script->plain.body;

    body->len = ngx_http_sgtm_script_copy(NULL, ngx_http_sgtm_snippet_head)
                + json->len
                + ngx_http_sgtm_script_copy(NULL, ngx_http_sgtm_snippet_tail);

    body->data = ngx_pnalloc(pool, body->len);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = body->data;
    p += ngx_http_sgtm_script_copy(p, ngx_http_sgtm_snippet_head);

    script->node.str.data = p;
    script->node.str.len = json->len;

    p = ngx_cpymem(p, json->data, json->len);

    (void) ngx_http_sgtm_script_copy(p, ngx_http_sgtm_snippet_tail);

    return ngx_http_sgtm_script_etag(pool, &script->plain);
}


/* copies the parts; without a place to, it only adds up their length */

static size_t
ngx_http_sgtm_script_copy(u_char *p, ngx_str_t *parts)
{
    size_t  len;

    for (len = 0; parts->len; parts++) {

        if (p) {
            ngx_memcpy(p + len, parts->data, parts->len);
        }

        len += parts->len;
    }

    return len;
}


#if (NGX_ZLIB && NGX_HTTP_GZIP)

static ngx_int_t
ngx_http_sgtm_script_gzip(ngx_pool_t *pool, ngx_pool_t *temp_pool,
    ngx_http_sgtm_script_t *script)
{
    int         rc;
    size_t      size;
    u_char     *out;
    z_stream    zs;
    ngx_str_t  *body;

    body = &script->plain.body;

    /* more than any deflate() needs for text of this size */

    size = body->len + body->len / 8 + 128;

    out = ngx_pnalloc(temp_pool, size);
    if (out == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&zs, sizeof(z_stream));

    rc = deflateInit2(&zs, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16,
                      MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY);
    if (rc != Z_OK) {
        ngx_log_error(NGX_LOG_EMERG, pool->log, 0,
                      "deflateInit2() failed: %d", rc);
        return NGX_ERROR;
    }

    zs.next_in = body->data;
    zs.avail_in = body->len;
    zs.next_out = out;
    zs.avail_out = size;

    rc = deflate(&zs, Z_FINISH);

    size -= zs.avail_out;

    (void) deflateEnd(&zs);

    if (rc != Z_STREAM_END) {
        ngx_log_error(NGX_LOG_EMERG, pool->log, 0, "deflate() failed: %d", rc);
        return NGX_ERROR;
    }

    script->gzip.body.len = size;
    script->gzip.body.data = ngx_pnalloc(pool, size);
    if (script->gzip.body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(script->gzip.body.data, out, size);

    return ngx_http_sgtm_script_etag(pool, &script->gzip);
}

#else

static ngx_int_t
ngx_http_sgtm_script_gzip(ngx_pool_t *pool, ngx_pool_t *temp_pool,
    ngx_http_sgtm_script_t *script)
{
    return NGX_OK;
}

#endif


static ngx_int_t
ngx_http_sgtm_script_etag(ngx_pool_t *pool, ngx_http_sgtm_script_variant_t *v)
{
    u_char     *p;
    u_char      md5[16];
    ngx_md5_t   ctx;

    ngx_md5_init(&ctx);
    ngx_md5_update(&ctx, v->body.data, v->body.len);
    ngx_md5_final(md5, &ctx);

    p = ngx_pnalloc(pool, NGX_HTTP_SGTM_SCRIPT_ETAG);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->etag.len = NGX_HTTP_SGTM_SCRIPT_ETAG;
    v->etag.data = p;

    *p++ = '"';
    p = ngx_hex_dump(p, md5, sizeof(md5));
    *p = '"';

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_script_handler(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_buf_t                       *b;
    ngx_chain_t                      out;
    ngx_http_sgtm_ctx_t             *ctx;
    ngx_http_sgtm_loc_conf_t        *slcf;
    ngx_http_sgtm_script_variant_t  *v;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "sgtm script handler");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_sgtm_module);
    slcf = ctx->conf;

    if (slcf->script == NULL && ctx->overlay
        && ngx_http_sgtm_script_of_record(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (slcf->script == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    v = &slcf->script->plain;

#if (NGX_HTTP_GZIP)
    if (slcf->script->gzip.body.len && ngx_http_gzip_ok(r) == NGX_OK) {
        v = &slcf->script->gzip;
    }
#endif

    if (ngx_http_sgtm_script_headers(r, slcf, v) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = v->body.data;
    b->last = v->body.data + v->body.len;
    b->memory = 1;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}


/*
 * A script is found by the settings that are in it: that of a record that has
 * changed is another one, and one that some location has need not be made.
 */

static ngx_int_t
ngx_http_sgtm_script_of_record(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    uint32_t                    hash;
    ngx_str_t                   json;
    ngx_http_sgtm_made_t       *made;
    ngx_http_sgtm_loc_conf_t   *conf;
    ngx_http_sgtm_main_conf_t  *smcf;

    conf = ctx->conf;
    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    if (ngx_http_sgtm_settings(r->pool, conf, &conf->prefix, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    hash = ngx_crc32_long(json.data, json.len);

    conf->script = (ngx_http_sgtm_script_t *)
                       ngx_str_rbtree_lookup(&smcf->scripts, &json, hash);

    if (conf->script) {
        return NGX_OK;
    }

    made = ngx_http_sgtm_made_find(hash, ngx_http_sgtm_script_is, &json);

    if (made == NULL) {

        made = ngx_http_sgtm_made_new(hash, ngx_http_sgtm_script_is);
        if (made == NULL) {
            return NGX_ERROR;
        }

        made->data = ngx_http_sgtm_script_make(made->pool, r->pool, &json);

        if (made->data == NULL) {
            ngx_http_sgtm_made_leave(made);
            return NGX_ERROR;
        }

        ngx_http_sgtm_made_keep(made);
    }

    ctx->overlay->script = made;
    conf->script = made->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sgtm_script_is(ngx_http_sgtm_made_t *made, const void *key)
{
    const ngx_str_t *json = key;

    ngx_str_t  *settings;

    settings = &((ngx_http_sgtm_script_t *) made->data)->node.str;

    return settings->len == json->len
           && ngx_memcmp(settings->data, json->data, json->len) == 0;
}


static ngx_int_t
ngx_http_sgtm_script_headers(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *slcf, ngx_http_sgtm_script_variant_t *v)
{
    ngx_str_t        *site;
    ngx_table_elt_t  *h;

    static ngx_str_t  gzip = ngx_string("gzip");
    static ngx_str_t  nosniff = ngx_string("nosniff");
    static ngx_str_t  same = ngx_string("same-site");
    static ngx_str_t  cross = ngx_string("cross-origin");

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = v->body.len;

    ngx_str_set(&r->headers_out.content_type, "application/javascript");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_set(&r->headers_out.charset, "utf-8");

    if (v == &slcf->script->gzip) {
        h = ngx_http_sgtm_script_header(r, "Content-Encoding", &gzip);
        if (h == NULL) {
            return NGX_ERROR;
        }

        r->headers_out.content_encoding = h;
    }

    h = ngx_http_sgtm_script_header(r, "ETag", &v->etag);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.etag = h;

    /* pages of another site use it where sgtm_origins lets them send hits */

    site = slcf->origins ? &cross : &same;

    if (ngx_http_sgtm_script_header(r, "Cross-Origin-Resource-Policy", site)
        == NULL
        || ngx_http_sgtm_script_header(r, "X-Content-Type-Options", &nosniff)
           == NULL
        || ngx_http_sgtm_script_cache_control(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_script_vary(r);
}


static ngx_table_elt_t *
ngx_http_sgtm_script_header(ngx_http_request_t *r, char *key, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key.len = ngx_strlen(key);
    h->key.data = (u_char *) key;
    h->value = *value;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}


/* known as nginx's own, so that "expires" changes it and adds no second one */

static ngx_int_t
ngx_http_sgtm_script_cache_control(ngx_http_request_t *r)
{
    ngx_table_elt_t   *h;
#if (nginx_version < 1023000)
    ngx_table_elt_t  **cc;
#endif

    static ngx_str_t  value = ngx_string(NGX_HTTP_SGTM_SCRIPT_CACHE);

    h = ngx_http_sgtm_script_header(r, "Cache-Control", &value);
    if (h == NULL) {
        return NGX_ERROR;
    }

#if (nginx_version >= 1023000)

    r->headers_out.cache_control = h;

#else

    if (r->headers_out.cache_control.elts == NULL
        && ngx_array_init(&r->headers_out.cache_control, r->pool, 1,
                          sizeof(ngx_table_elt_t *))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    cc = ngx_array_push(&r->headers_out.cache_control);
    if (cc == NULL) {
        return NGX_ERROR;
    }

    *cc = h;

#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_script_vary(ngx_http_request_t *r)
{
    static ngx_str_t  value = ngx_string("Accept-Encoding");

#if (NGX_HTTP_GZIP)
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* with "gzip_vary on" nginx writes the header itself, once */

    if (clcf->gzip_vary) {
        r->gzip_vary = 1;
        return NGX_OK;
    }
#endif

    return ngx_http_sgtm_script_header(r, "Vary", &value) ? NGX_OK : NGX_ERROR;
}
