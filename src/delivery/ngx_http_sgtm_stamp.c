
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../hit/sgtm_json.h"
#include "../place/ngx_http_sgtm_residency.h"
#include "../tenant/ngx_http_sgtm_secrets.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_stamp.h"


static ngx_uint_t ngx_http_sgtm_stamp_opened(const sgtm_str_t *tenant,
    ngx_http_sgtm_secrets_t *secrets);
static ngx_int_t ngx_http_sgtm_stamp_ga4(ngx_http_sgtm_detached_t *d,
    int64_t time, u_char **text);
static ngx_int_t ngx_http_sgtm_stamp_mp(ngx_http_sgtm_detached_t *d,
    int64_t time, ngx_str_t *api_secret, u_char **text);
static u_char *ngx_http_sgtm_stamp_json(ngx_str_t *body, ngx_uint_t *empty);
static ngx_uint_t ngx_http_sgtm_stamp_has(ngx_str_t *s, const char *name);


/* where a parameter begins: after "&", in a body also in a new line */

#define ngx_http_sgtm_stamp_edge(ch)                                          \
    ((ch) == '&' || (ch) == LF || (ch) == CR)


ngx_int_t
ngx_http_sgtm_stamp(ngx_http_sgtm_detached_t *d, sgtm_record_t *record,
    ngx_http_sgtm_target_t *target, u_char **text)
{
    ngx_int_t                 rc;
    ngx_str_t                 secret;
    ngx_http_sgtm_secrets_t   opened;

    static ngx_str_t  mp = ngx_string("mp/collect");

    d->args.len = record->args.len;
    d->args.data = record->args.data;
    d->body.len = record->body.len;
    d->body.data = record->body.data;

    *text = NULL;
    ngx_str_null(&d->sent);

    d->is_mp = (record->uri.len >= mp.len
                && ngx_memcmp(record->uri.data + record->uri.len - mp.len,
                              mp.data, mp.len)
                   == 0);

    if (d->is_mp) {
        if (!ngx_http_sgtm_stamp_opened(&record->tenant, &opened)) {
            return ngx_http_sgtm_stamp_mp(d, record->time,
                                          &target->api_secret, text);
        }

        secret.len = opened.n ? opened.elts[0].len : 0;
        secret.data = opened.data[0];

        rc = ngx_http_sgtm_stamp_mp(d, record->time, &secret, text);

        ngx_http_sgtm_secrets_wipe(&opened);

        return rc;
    }

    /* what came in one base64 value is not to be read, nor added to */

    if (!ngx_http_sgtm_stamp_has(&d->args, "tid=")
        || !ngx_http_sgtm_stamp_has(&d->args, "v=")
        || ngx_http_sgtm_stamp_has(&d->args, "epn.event_timestamp=")
        || ngx_http_sgtm_stamp_has(&d->args, "ep.event_timestamp=")
        || ngx_http_sgtm_stamp_has(&d->body, "epn.event_timestamp=")
        || ngx_http_sgtm_stamp_has(&d->body, "ep.event_timestamp="))
    {
        return NGX_OK;
    }

    return ngx_http_sgtm_stamp_ga4(d, record->time, text);
}


ngx_int_t
ngx_http_sgtm_stamp_region(ngx_http_sgtm_detached_t *d, sgtm_record_t *record,
    ngx_http_sgtm_target_t *target)
{
    ngx_str_t  tenant, headers, eu;

    static ngx_str_t  name = ngx_string(NGX_HTTP_SGTM_RESIDENCY_HEADER ": ");

    *ngx_http_sgtm_str(&tenant) = record->tenant;
    *ngx_http_sgtm_str(&headers) = record->headers;

    d->region = ngx_http_sgtm_detached_header(&headers, &name, &eu)
                ? NGX_HTTP_SGTM_REGION_EU
                : ngx_http_sgtm_residency_kept(target->conf, &tenant);

    return (d->region == NGX_HTTP_SGTM_REGION_EU
            && !ngx_http_sgtm_residency_has_eu(target->conf))
           ? NGX_DECLINED : NGX_OK;
}


void
ngx_http_sgtm_stamp_free(ngx_http_sgtm_detached_t *d, u_char *text)
{
    if (d->sent.len) {
        ngx_explicit_memzero(d->sent.data, d->sent.len);
    }

    ngx_free(text);
}


/* whether the tenant's record says what its secret is, or that there is none */

static ngx_uint_t
ngx_http_sgtm_stamp_opened(const sgtm_str_t *tenant,
    ngx_http_sgtm_secrets_t *secrets)
{
    uint64_t                 generation;
    ngx_uint_t               named;
    const sgtm_tenant_t     *t;
    sgtm_registry_reader_t  *reader;

    reader = ngx_http_sgtm_tenants_reader();

    if (reader == NULL) {
        return 0;
    }

    generation = sgtm_registry_enter(reader);

    t = sgtm_registry_id(reader->registry, tenant);
    named = (t && sgtm_tenant_has(t, SGTM_TENANT_API_SECRETS));

    if (named) {
        ngx_http_sgtm_secrets_open(secrets, t,
                                   sgtm_tenant_field(SGTM_TENANT_API_SECRETS),
                                   1);
    }

    sgtm_registry_leave(reader, generation);

    return named;
}


/* in the query, a parameter holds for all events of a batch */

static ngx_int_t
ngx_http_sgtm_stamp_ga4(ngx_http_sgtm_detached_t *d, int64_t time,
    u_char **text)
{
    u_char  *p;
    size_t   len;

    static ngx_str_t  sse = ngx_string("&richsstsse");

    p = ngx_alloc(d->args.len + sizeof("&epn.event_timestamp=") - 1
                  + NGX_INT64_LEN, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *text = p;

    /* "richsstsse" stays the last */

    len = d->args.len;

    if (len >= sse.len
        && ngx_memcmp(d->args.data + len - sse.len, sse.data, sse.len) == 0)
    {
        len -= sse.len;
    }

    p = ngx_cpymem(p, d->args.data, len);
    p = ngx_sprintf(p, "&epn.event_timestamp=%L", time);
    p = ngx_cpymem(p, d->args.data + len, d->args.len - len);

    d->args.data = *text;
    d->args.len = p - *text;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_stamp_mp(ngx_http_sgtm_detached_t *d, int64_t time,
    ngx_str_t *api_secret, u_char **text)
{
    size_t       size;
    u_char      *p, *at, *body;
    ngx_uint_t   empty;

    empty = 0;
    at = ngx_http_sgtm_stamp_json(&d->body, &empty);

    if (at == NULL && api_secret->len == 0) {
        return NGX_OK;
    }

    size = d->args.len + sizeof("&api_secret=") - 1 + 3 * api_secret->len
           + d->body.len + sizeof("\"timestamp_micros\":000,") - 1
           + NGX_INT64_LEN;

    p = ngx_alloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    *text = p;

    if (api_secret->len) {
        p = ngx_cpymem(p, d->args.data, d->args.len);
        p = ngx_sprintf(p, "%sapi_secret=", d->args.len ? "&" : "");
        p = (u_char *) ngx_escape_uri(p, api_secret->data, api_secret->len,
                                      NGX_ESCAPE_URI_COMPONENT);

        d->sent.data = *text;
        d->sent.len = p - *text;
    }

    if (at) {
        body = p;

        p = ngx_cpymem(p, d->body.data, at - d->body.data);
        p = ngx_sprintf(p, "\"timestamp_micros\":%L000%s", time,
                        empty ? "" : ",");
        p = ngx_cpymem(p, at, d->body.data + d->body.len - at);

        d->body.data = body;
        d->body.len = p - body;
    }

    return NGX_OK;
}


/*
 * Where a member may be put into an object: after its "{".  NULL: the text is
 * none, or tells its time itself, in one of the two spellings of the protocol.
 */

static u_char *
ngx_http_sgtm_stamp_json(ngx_str_t *body, ngx_uint_t *empty)
{
    ngx_uint_t         i;
    sgtm_str_t         object;
    sgtm_json_t        json;
    sgtm_json_item_t   item;

    static sgtm_str_t  names[] = {
        sgtm_string("timestamp_micros"),
        sgtm_string("timestampMicros")
    };

    /* whoever has a shell may have changed what is in the spool */

    if (sgtm_json_check(ngx_http_sgtm_str(body)) != SGTM_REASON_NONE
        || sgtm_json_value(ngx_http_sgtm_str(body), &object)
           != SGTM_JSON_OBJECT)
    {
        return NULL;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (sgtm_json_get(&object, &names[i], &item)) {
            return NULL;
        }
    }

    sgtm_json_open(&json, &object);
    *empty = !sgtm_json_next(&json, &item);

    return object.data + 1;
}


static ngx_uint_t
ngx_http_sgtm_stamp_has(ngx_str_t *s, const char *name)
{
    u_char  *p, *last;
    size_t   len;

    len = ngx_strlen(name);

    if (s->len < len) {
        return 0;
    }

    last = s->data + s->len - len;

    for (p = s->data; p <= last; p++) {

        p = memchr(p, name[0], last - p + 1);
        if (p == NULL) {
            return 0;
        }

        if ((p == s->data || ngx_http_sgtm_stamp_edge(p[-1]))
            && ngx_memcmp(p, name, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
