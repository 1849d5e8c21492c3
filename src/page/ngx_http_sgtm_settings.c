
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_settings.h"


/* the length of "\u0022" */
#define NGX_HTTP_SGTM_JSON_ESCAPE  6

/* keys, punctuation and the words of directives are well below it */
#define NGX_HTTP_SGTM_JSON_ROOM    512

/* of an event, beside its name: quotes, ":", "," and the longest way */
#define NGX_HTTP_SGTM_JSON_EVENT   16


static void ngx_http_sgtm_settings_tag_id(ngx_http_sgtm_loc_conf_t *conf,
    ngx_uint_t light, ngx_str_t *id);
static size_t ngx_http_sgtm_settings_events_size(
    const sgtm_tenant_events_t *events);
static u_char *ngx_http_sgtm_settings_events(u_char *p,
    const sgtm_tenant_events_t *events);
static u_char *ngx_http_sgtm_settings_word(u_char *p, char *key,
    const sgtm_word_t *words, ngx_uint_t value);
static u_char *ngx_http_sgtm_settings_string(u_char *p, char *key,
    const ngx_str_t *value);


ngx_int_t
ngx_http_sgtm_settings(ngx_pool_t *pool, ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *json)
{
    u_char      *p;
    size_t       len;
    ngx_str_t    prefix, id;
    ngx_uint_t   i;

    if (ngx_http_sgtm_settings_prefix(pool, &conf->prefix, &prefix) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sgtm_settings_id(conf, &id);

    len = NGX_HTTP_SGTM_JSON_ROOM
          + ngx_http_sgtm_settings_events_size(conf->events)
          + NGX_HTTP_SGTM_JSON_ESCAPE
            * (prefix.len + conf->script_name.len + id.len);

    json->data = ngx_pnalloc(pool, len);
    if (json->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(json->data, "{\"v\":2", sizeof("{\"v\":2") - 1);

    p = ngx_http_sgtm_settings_string(p, ",\"p\":", &prefix);
    p = ngx_http_sgtm_settings_string(p, ",\"s\":", &conf->script_name);
    p = ngx_http_sgtm_settings_word(p, ",\"g\":", sgtm_taggings,
                                    ngx_http_sgtm_settings_tagging(conf));
    p = ngx_http_sgtm_settings_string(p, ",\"i\":", &id);
    p = ngx_http_sgtm_settings_word(p, ",\"t\":", sgtm_tiers, conf->tier);
    p = ngx_http_sgtm_settings_word(p, ",\"f\":", sgtm_fallbacks,
                                    conf->fallback);
    p = ngx_http_sgtm_settings_word(p, ",\"c\":", sgtm_consent_modes,
                                    conf->consent_mode);

    p = ngx_cpymem(p, ",\"d\":\"", sizeof(",\"d\":\"") - 1);

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        *p++ = (conf->consent_default->state[i] == SGTM_GRANTED) ? '1' : '0';
    }

    *p++ = '"';

    p = ngx_http_sgtm_settings_word(p, ",\"r\":", sgtm_residencies,
                                    conf->residency);
    p = ngx_http_sgtm_settings_events(p, conf->events);

    *p++ = '}';

    json->len = p - json->data;

    return NGX_OK;
}


ngx_uint_t
ngx_http_sgtm_settings_tagging(ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_uint_t  containers, tags;

    containers = conf->containers && conf->containers->nelts;
    tags = conf->tag_ids && conf->tag_ids->nelts;

    if (conf->tagging == SGTM_TAGGING_GTM && !containers && tags) {
        return SGTM_TAGGING_GTAG;
    }

    if (conf->tagging == SGTM_TAGGING_GTAG && !tags && containers) {
        return SGTM_TAGGING_GTM;
    }

    return conf->tagging;
}


void
ngx_http_sgtm_settings_id(ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *id)
{
    ngx_uint_t  tagging;

    tagging = ngx_http_sgtm_settings_tagging(conf);

    if (tagging != SGTM_TAGGING_GTM) {
        ngx_http_sgtm_settings_tag_id(conf, tagging == SGTM_TAGGING_LIGHT, id);
        return;
    }

    ngx_str_null(id);

    if (conf->containers && conf->containers->nelts) {
        *id = ((ngx_str_t *) conf->containers->elts)[0];
    }
}


void
ngx_http_sgtm_settings_stream(ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *id)
{
    ngx_http_sgtm_settings_tag_id(conf, 1, id);
}


/*
 * A location's name is decoded, but the script wants the path of a URL: which
 * leaves only ASCII.
 */

ngx_int_t
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


/*
 * A measurement id says most about where hits go, then a Google tag's id; our
 * own tracker sends to nothing else than the first.
 */

static void
ngx_http_sgtm_settings_tag_id(ngx_http_sgtm_loc_conf_t *conf, ngx_uint_t light,
    ngx_str_t *id)
{
    ngx_str_t   *ids;
    ngx_uint_t   i, n, kinds;

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
    kinds = light ? 1 : sizeof(best) / sizeof(ngx_str_t);

    for (n = 0; n < kinds; n++) {
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


static size_t
ngx_http_sgtm_settings_events_size(const sgtm_tenant_events_t *events)
{
    size_t  i, len;

    if (events == NULL) {
        return 0;
    }

    len = NGX_HTTP_SGTM_JSON_EVENT;

    for (i = 0; i < events->nelts; i++) {
        len += NGX_HTTP_SGTM_JSON_ESCAPE * events->elts[i].name.len
               + NGX_HTTP_SGTM_JSON_EVENT;
    }

    return len;
}


static u_char *
ngx_http_sgtm_settings_events(u_char *p, const sgtm_tenant_events_t *events)
{
    size_t                 i;
    sgtm_tenant_event_t   *event;

    if (events == NULL || events->nelts == 0) {
        return p;
    }

    p = ngx_cpymem(p, ",\"e\":{", sizeof(",\"e\":{") - 1);

    for (i = 0; i < events->nelts; i++) {
        event = &events->elts[i];

        p = ngx_http_sgtm_settings_string(p, i ? "," : "",
                                          (ngx_str_t *) &event->name);
        p = ngx_http_sgtm_settings_word(p, ":", sgtm_event_routes,
                                        event->route);
    }

    *p++ = '}';

    return p;
}


static u_char *
ngx_http_sgtm_settings_word(u_char *p, char *key, const sgtm_word_t *words,
    ngx_uint_t value)
{
    return ngx_http_sgtm_settings_string(p, key,
                            (const ngx_str_t *) sgtm_word_name(words, value));
}


/*
 * A JSON string that is harmless in a script, too, and in HTML: whatever is
 * neither a letter, a digit nor known to mean nothing anywhere is escaped.
 */

static u_char *
ngx_http_sgtm_settings_string(u_char *p, char *key, const ngx_str_t *value)
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
