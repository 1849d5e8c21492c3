
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../gate/ngx_http_sgtm_overlay.h"
#include "ngx_http_sgtm_page.h"
#include "ngx_http_sgtm_script.h"
#include "ngx_http_sgtm_settings.h"
#include "ngx_http_sgtm_snippet.h"


/*
 * A change is in force within a minute: what is left of it is the time that
 * records take to be loaded.
 */
#define NGX_HTTP_SGTM_SCRIPT_CACHE  "public, max-age=55"

#define NGX_HTTP_SGTM_SNIPPETS                                                \
    (sizeof(ngx_http_sgtm_snippets) / sizeof(ngx_http_sgtm_snippet_t))


/* of a script that a worker has made of a record */

typedef struct {
    ngx_str_t                   settings;
    ngx_http_sgtm_template_t   *template;
} ngx_http_sgtm_script_key_t;


static ngx_int_t ngx_http_sgtm_script_templates(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf);
static ngx_uint_t ngx_http_sgtm_script_variant(ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_script_of_record(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_script_make(ngx_http_sgtm_made_t *made,
    ngx_http_sgtm_script_key_t *key, ngx_uint_t variant);
static ngx_uint_t ngx_http_sgtm_script_is(ngx_http_sgtm_made_t *made,
    const void *key);
static ngx_int_t ngx_http_sgtm_script_headers(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_uint_t packed);
static ngx_int_t ngx_http_sgtm_script_vary(ngx_http_request_t *r);


ngx_int_t
ngx_http_sgtm_script_create(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf)
{
    uint32_t                    hash;
    ngx_str_t                   json;
    ngx_http_sgtm_script_t     *script;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);

    if (ngx_http_sgtm_script_templates(cf, smcf) != NGX_OK
        || ngx_http_sgtm_settings(cf->pool, conf, &json) != NGX_OK)
    {
        return NGX_ERROR;
    }

    hash = ngx_crc32_long(json.data, json.len);

    conf->script = (ngx_http_sgtm_script_t *)
                       ngx_str_rbtree_lookup(&smcf->scripts, &json, hash);

    if (conf->script) {
        (void) ngx_pfree(cf->pool, json.data);
        return NGX_OK;
    }

    script = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_script_t));
    if (script == NULL) {
        return NGX_ERROR;
    }

    script->variant = ngx_http_sgtm_script_variant(conf);
    script->template = smcf->templates[script->variant];

    if (ngx_http_sgtm_template_fill(cf->pool, script->template, &json,
                                    &script->filled)
        != NGX_OK
        || ngx_http_sgtm_template_integrity(script->template, &json,
                                            script->integrity)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    script->node.str = json;
    script->node.node.key = hash;

    ngx_rbtree_insert(&smcf->scripts, &script->node.node);

    conf->script = script;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_script_templates(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf)
{
    ngx_uint_t                 i;
    ngx_http_sgtm_snippet_t   *snippet;
    ngx_http_sgtm_template_t  *t;

    if (smcf->templates) {
        return NGX_OK;
    }

    smcf->templates = ngx_palloc(cf->pool, NGX_HTTP_SGTM_SNIPPETS
                                           * sizeof(void *));
    if (smcf->templates == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_HTTP_SGTM_SNIPPETS; i++) {
        snippet = &ngx_http_sgtm_snippets[i];

        t = ngx_http_sgtm_template_create(cf->pool, snippet->head,
                                          snippet->tail);
        if (t == NULL) {
            return NGX_ERROR;
        }

        smcf->templates[i] = t;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sgtm_script_variant(ngx_http_sgtm_loc_conf_t *conf)
{
    if (conf->tagging == SGTM_TAGGING_LIGHT) {
        return NGX_HTTP_SGTM_SNIPPET_LIGHT;
    }

    /* what may not leave a region goes by the gateway, whatever the tier */

    return (conf->tier == NGX_HTTP_SGTM_TIER_STARTER
            && conf->residency == SGTM_RESIDENCY_ANY)
           ? NGX_HTTP_SGTM_SNIPPET_STARTER : NGX_HTTP_SGTM_SNIPPET_LOADER;
}


ngx_int_t
ngx_http_sgtm_script_integrity(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *variant, u_char *integrity)
{
    ngx_str_t                   json;
    ngx_uint_t                  n;
    ngx_http_sgtm_main_conf_t  *smcf;

    if (conf->script) {
        *variant = ngx_http_sgtm_snippets[conf->script->variant].name;
        ngx_memcpy(integrity, conf->script->integrity,
                   NGX_HTTP_SGTM_INTEGRITY);
        return NGX_OK;
    }

    if (ngx_http_sgtm_settings(r->pool, conf, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    n = ngx_http_sgtm_script_variant(conf);
    *variant = ngx_http_sgtm_snippets[n].name;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    return ngx_http_sgtm_template_integrity(smcf->templates[n], &json,
                                            integrity);
}


ngx_int_t
ngx_http_sgtm_script_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_uint_t                 packed;
    ngx_chain_t               *out;
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_sgtm_script_t    *script;
    ngx_http_sgtm_loc_conf_t  *slcf;

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

    script = slcf->script;

    if (script == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    packed = 0;

#if (NGX_HTTP_GZIP)
    if (script->filled.packed.len && ngx_http_gzip_ok(r) == NGX_OK) {
        packed = 1;
    }
#endif

    if (ngx_http_sgtm_script_headers(r, slcf, packed) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    out = ngx_http_sgtm_template_chain(r->pool, script->template,
                                       &script->filled, packed);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_sgtm_page_send(r, "application/javascript", out,
                  ngx_http_sgtm_template_size(script->template,
                                              &script->filled, packed));
}


/*
 * A script is found by the settings that are in it: that of a record that has
 * changed is another one, and one that some location has need not be made.
 */

static ngx_int_t
ngx_http_sgtm_script_of_record(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    uint32_t                     hash;
    ngx_uint_t                   variant;
    ngx_http_sgtm_made_t        *made;
    ngx_http_sgtm_loc_conf_t    *conf;
    ngx_http_sgtm_main_conf_t   *smcf;
    ngx_http_sgtm_script_key_t   key;

    conf = ctx->conf;
    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    if (ngx_http_sgtm_settings(r->pool, conf, &key.settings) != NGX_OK) {
        return NGX_ERROR;
    }

    hash = ngx_crc32_long(key.settings.data, key.settings.len);

    conf->script = (ngx_http_sgtm_script_t *)
                       ngx_str_rbtree_lookup(&smcf->scripts, &key.settings,
                                             hash);

    if (conf->script) {
        return NGX_OK;
    }

    variant = ngx_http_sgtm_script_variant(conf);
    key.template = smcf->templates[variant];

    made = ngx_http_sgtm_made_find(hash, ngx_http_sgtm_script_is, &key);

    if (made == NULL) {

        made = ngx_http_sgtm_made_new(hash, ngx_http_sgtm_script_is);
        if (made == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_sgtm_script_make(made, &key, variant) != NGX_OK) {
            ngx_http_sgtm_made_leave(made);
            return NGX_ERROR;
        }

        ngx_http_sgtm_made_keep(made);
    }

    ctx->overlay->script = made;
    conf->script = made->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_script_make(ngx_http_sgtm_made_t *made,
    ngx_http_sgtm_script_key_t *key, ngx_uint_t variant)
{
    ngx_str_t                json;
    ngx_http_sgtm_script_t  *script;

    script = ngx_pcalloc(made->pool, sizeof(ngx_http_sgtm_script_t));
    if (script == NULL) {
        return NGX_ERROR;
    }

    json.len = key->settings.len;
    json.data = ngx_pstrdup(made->pool, &key->settings);
    if (json.data == NULL) {
        return NGX_ERROR;
    }

    script->node.str = json;
    script->variant = variant;
    script->template = key->template;

    made->data = script;

    return ngx_http_sgtm_template_fill(made->pool, script->template, &json,
                                       &script->filled);
}


/* a template of another configuration is another one */

static ngx_uint_t
ngx_http_sgtm_script_is(ngx_http_sgtm_made_t *made, const void *data)
{
    const ngx_http_sgtm_script_key_t *key = data;

    ngx_http_sgtm_script_t  *script;

    script = made->data;

    return script->template == key->template
           && script->node.str.len == key->settings.len
           && ngx_memcmp(script->node.str.data, key->settings.data,
                         key->settings.len)
              == 0;
}


static ngx_int_t
ngx_http_sgtm_script_headers(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *slcf, ngx_uint_t packed)
{
    ngx_str_t         etag, *site;
    ngx_table_elt_t  *h;

    static ngx_str_t  gzip = ngx_string("gzip");
    static ngx_str_t  nosniff = ngx_string("nosniff");
    static ngx_str_t  same = ngx_string("same-site");
    static ngx_str_t  cross = ngx_string("cross-origin");
    static ngx_str_t  cache = ngx_string(NGX_HTTP_SGTM_SCRIPT_CACHE);

    etag.len = NGX_HTTP_SGTM_ETAG;
    etag.data = slcf->script->filled.etag;

    if (packed) {
        h = ngx_http_sgtm_page_header(r, "Content-Encoding", &gzip);
        if (h == NULL) {
            return NGX_ERROR;
        }

        r->headers_out.content_encoding = h;

        etag.data = slcf->script->filled.packed_etag;
    }

    h = ngx_http_sgtm_page_header(r, "ETag", &etag);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.etag = h;

    /* pages of another site use it where sgtm_origins lets them send hits */

    site = slcf->origins ? &cross : &same;

    if (ngx_http_sgtm_page_header(r, "Cross-Origin-Resource-Policy", site)
        == NULL
        || ngx_http_sgtm_page_header(r, "X-Content-Type-Options", &nosniff)
           == NULL
        || ngx_http_sgtm_page_cache_control(r, &cache) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_script_vary(r);
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

    return ngx_http_sgtm_page_header(r, "Vary", &value) ? NGX_OK : NGX_ERROR;
}
