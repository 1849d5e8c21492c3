
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_settings.h"


/* the length of "\u0022" */
#define NGX_HTTP_SGTM_JSON_ESCAPE  6


static ngx_int_t ngx_http_sgtm_settings_prefix(ngx_pool_t *pool,
    ngx_str_t *name, ngx_str_t *prefix);
static void ngx_http_sgtm_settings_tag_id(ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *id);
static u_char *ngx_http_sgtm_settings_word(u_char *p, char *key,
    ngx_conf_enum_t *e, ngx_uint_t value);
static u_char *ngx_http_sgtm_settings_string(u_char *p, char *key,
    ngx_str_t *value);


static ngx_str_t  ngx_http_sgtm_denied = ngx_string("denied");
static ngx_str_t  ngx_http_sgtm_granted = ngx_string("granted");


ngx_int_t
ngx_http_sgtm_settings(ngx_pool_t *pool, ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *name, ngx_str_t *json)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    prefix, container, tag;
    ngx_uint_t   i;

    if (ngx_http_sgtm_settings_prefix(pool, name, &prefix) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_str_null(&container);

    if (conf->containers && conf->containers->nelts) {
        container = ((ngx_str_t *) conf->containers->elts)[0];
    }

    ngx_http_sgtm_settings_tag_id(conf, &tag);

    /* keys, punctuation and the words of directives are well below 512 */

    len = 512 + NGX_HTTP_SGTM_JSON_ESCAPE
                * (prefix.len + conf->script_name.len + container.len
                   + tag.len);

    json->data = ngx_pnalloc(pool, len);
    if (json->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(json->data, "{\"v\":1", sizeof("{\"v\":1") - 1);

    p = ngx_http_sgtm_settings_string(p, ",\"prefix\":", &prefix);
    p = ngx_http_sgtm_settings_string(p, ",\"script\":", &conf->script_name);
    p = ngx_http_sgtm_settings_string(p, ",\"container\":", &container);
    p = ngx_http_sgtm_settings_string(p, ",\"tag\":", &tag);
    p = ngx_http_sgtm_settings_word(p, ",\"tier\":", ngx_http_sgtm_tiers,
                                  conf->tier);
    p = ngx_http_sgtm_settings_word(p, ",\"fallback\":",
                                  ngx_http_sgtm_fallbacks, conf->fallback);
    p = ngx_http_sgtm_settings_word(p, ",\"consent\":{\"mode\":",
                                  ngx_http_sgtm_consent_modes,
                                  conf->consent_mode);

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        p = ngx_sprintf(p, "%s\"%*s\":", i ? "," : ",\"default\":{",
                        sgtm_consent_names[i].len, sgtm_consent_names[i].data);

        p = ngx_http_sgtm_settings_string(p, "",
                          conf->consent_default->state[i] == SGTM_GRANTED
                          ? &ngx_http_sgtm_granted
                          : &ngx_http_sgtm_denied);
    }

    p = ngx_cpymem(p, "}}}", sizeof("}}}") - 1);

    json->len = p - json->data;

    return NGX_OK;
}


/*
 * A location's name is decoded, but the script wants the path of a URL: which
 * leaves only ASCII.
 */

static ngx_int_t
ngx_http_sgtm_settings_prefix(ngx_pool_t *pool, ngx_str_t *name,
    ngx_str_t *prefix)
{
    u_char  *p;
    size_t   escapes;

    escapes = ngx_escape_uri(NULL, name->data, name->len, NGX_ESCAPE_URI);

    p = ngx_pnalloc(pool, name->len + 2 * escapes + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    prefix->data = p;

    p = (u_char *) ngx_escape_uri(p, name->data, name->len, NGX_ESCAPE_URI);

    if (p == prefix->data || p[-1] != '/') {
        *p++ = '/';
    }

    prefix->len = p - prefix->data;

    return NGX_OK;
}


/* a measurement id says most about where hits go, then a Google tag's id */

static void
ngx_http_sgtm_settings_tag_id(ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *id)
{
    ngx_str_t   *ids;
    ngx_uint_t   i, n;

    static ngx_str_t  best[] = {
        ngx_string("G-"),
        ngx_string("GT-"),
        ngx_null_string                /* any other */
    };

    ngx_str_null(id);

    if (conf->tag_ids == NULL) {
        return;
    }

    ids = conf->tag_ids->elts;

    for (n = 0; n < sizeof(best) / sizeof(ngx_str_t); n++) {
        for (i = 0; i < conf->tag_ids->nelts; i++) {

            if (best[n].len == 0
                || (ids[i].len >= best[n].len
                    && ngx_memcmp(ids[i].data, best[n].data, best[n].len) == 0))
            {
                *id = ids[i];
                return;
            }
        }
    }
}


static u_char *
ngx_http_sgtm_settings_word(u_char *p, char *key, ngx_conf_enum_t *e,
    ngx_uint_t value)
{
    while (e->name.len && e->value != value) {
        e++;
    }

    return ngx_http_sgtm_settings_string(p, key, &e->name);
}


/*
 * A JSON string that is harmless in a script, too, and in HTML: whatever is
 * neither a letter, a digit nor known to mean nothing anywhere is escaped.
 */

static u_char *
ngx_http_sgtm_settings_string(u_char *p, char *key, ngx_str_t *value)
{
    u_char  c;
    size_t  i;

    p = ngx_cpymem(p, key, ngx_strlen(key));
    *p++ = '"';

    for (i = 0; i < value->len; i++) {
        c = value->data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || c == '-' || c == '_' || c == '.' || c == '/' || c == '%')
        {
            *p++ = c;

        } else {
            p = ngx_sprintf(p, "\\u%04xd", (ngx_int_t) c);
        }
    }

    *p++ = '"';

    return p;
}
