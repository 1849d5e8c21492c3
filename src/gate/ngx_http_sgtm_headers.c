
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_address.h"
#include "ngx_http_sgtm_headers.h"
#include "ngx_http_sgtm_origin.h"


/* what is copied on the stack when a header is cut; longer ones allocate */
#define NGX_HTTP_SGTM_HEADER_BUF  4096


/* what is done with a header of this name; any other is dropped */

typedef enum {
    NGX_HTTP_SGTM_HEADER_DROP = 0,
    NGX_HTTP_SGTM_HEADER_PASS,
    NGX_HTTP_SGTM_HEADER_PREVIEW,
    NGX_HTTP_SGTM_HEADER_COOKIE,
    NGX_HTTP_SGTM_HEADER_REFERER,
    NGX_HTTP_SGTM_HEADER_ORIGIN,
    NGX_HTTP_SGTM_HEADER_GPC,
    NGX_HTTP_SGTM_HEADER_OWN           /* the gate's or nginx's own business */
} ngx_http_sgtm_header_e;


typedef struct {
    ngx_str_t    name;
    ngx_uint_t   action;
} ngx_http_sgtm_header_t;


static ngx_http_sgtm_header_t *ngx_http_sgtm_header_known(ngx_str_t *name);
static void ngx_http_sgtm_headers_name(ngx_http_sgtm_tables_t *t,
    ngx_str_t *name, ngx_uint_t action);
static ngx_uint_t ngx_http_sgtm_preview_cookie(ngx_str_t *cookie);
static ngx_int_t ngx_http_sgtm_headers_copy(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_list_part_t *part);
static ngx_int_t ngx_http_sgtm_headers_cookies(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_header_cookie(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_uint_t deny, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_header_referer(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static void ngx_http_sgtm_headers_cookie(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_uint_t n);
static ngx_int_t ngx_http_sgtm_headers_forwarded(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_headers_push(ngx_http_request_t *r,
    ngx_table_elt_t *name, ngx_str_t *value);


static ngx_http_sgtm_header_t  ngx_http_sgtm_header_list[] = {

    { ngx_string("accept"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("accept-encoding"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("accept-language"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("access-control-request-headers"),
      NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("access-control-request-method"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("attribution-reporting-eligible"),
      NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("attribution-reporting-support"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("cache-control"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("content-encoding"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("content-type"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("dnt"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("if-modified-since"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("if-none-match"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("if-range"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("pragma"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("priority"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("purpose"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("range"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("save-data"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-arch"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-bitness"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-form-factors"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-full-version"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-full-version-list"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-mobile"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-model"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-platform"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-platform-version"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-wow64"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-dest"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-mode"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-site"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-user"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-purpose"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("service-worker"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("user-agent"), NGX_HTTP_SGTM_HEADER_PASS },

    { ngx_string("x-gtm-auth"), NGX_HTTP_SGTM_HEADER_PREVIEW },
    { ngx_string("x-gtm-debug"), NGX_HTTP_SGTM_HEADER_PREVIEW },
    { ngx_string("x-gtm-preview"), NGX_HTTP_SGTM_HEADER_PREVIEW },
    { ngx_string("x-gtm-server-preview"), NGX_HTTP_SGTM_HEADER_PREVIEW },

    { ngx_string("cookie"), NGX_HTTP_SGTM_HEADER_COOKIE },
    { ngx_string("referer"), NGX_HTTP_SGTM_HEADER_REFERER },
    { ngx_string("origin"), NGX_HTTP_SGTM_HEADER_ORIGIN },
    { ngx_string("sec-gpc"), NGX_HTTP_SGTM_HEADER_GPC },

    { ngx_string("authorization"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("connection"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("content-length"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("forwarded"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("host"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("proxy-authorization"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("transfer-encoding"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-forwarded-for"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-forwarded-host"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-forwarded-proto"), NGX_HTTP_SGTM_HEADER_OWN },

    /* addresses that clients may claim: X-Forwarded-For has the true one */

    { ngx_string("cf-connecting-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("cf-connecting-ipv6"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("fastly-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("true-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-appengine-user-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-azure-clientip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-cluster-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-original-forwarded-for"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-real-ip"), NGX_HTTP_SGTM_HEADER_OWN },

    { ngx_null_string, 0 }
};


/* the headers that the gate adds; their hashes are set at start */

static ngx_table_elt_t  ngx_http_sgtm_forwarded_for;
static ngx_table_elt_t  ngx_http_sgtm_forwarded_host;
static ngx_table_elt_t  ngx_http_sgtm_forwarded_proto;


ngx_int_t
ngx_http_sgtm_headers_table(ngx_conf_t *cf, ngx_http_sgtm_tables_t *t)
{
    ngx_str_t               *name, lower;
    ngx_uint_t               i, n, size;
    ngx_http_sgtm_header_t  *header;

    n = t->headers ? t->headers->nelts : 0;
    name = n ? t->headers->elts : NULL;

    /* three slots of four stay free: most names are found at the first look */

    size = 4 * (n + sizeof(ngx_http_sgtm_header_list)
                    / sizeof(ngx_http_sgtm_header_t));

    for (i = 1; i < size; i <<= 1) { /* void */ }

    t->header_names = ngx_pcalloc(cf->pool, i * sizeof(ngx_http_sgtm_name_t));
    if (t->header_names == NULL) {
        return NGX_ERROR;
    }

    t->header_mask = i - 1;

    for (header = ngx_http_sgtm_header_list; header->name.len; header++) {
        ngx_http_sgtm_headers_name(t, &header->name, header->action);
    }

    for (i = 0; i < n; i++) {

        if (ngx_http_sgtm_header_known(&name[i])) {
            continue;
        }

        lower.len = name[i].len;
        lower.data = ngx_pnalloc(cf->pool, lower.len);
        if (lower.data == NULL) {
            return NGX_ERROR;
        }

        ngx_strlow(lower.data, name[i].data, lower.len);

        ngx_http_sgtm_headers_name(t, &lower, NGX_HTTP_SGTM_HEADER_PASS);
    }

    return NGX_OK;
}


static void
ngx_http_sgtm_headers_name(ngx_http_sgtm_tables_t *t, ngx_str_t *name,
    ngx_uint_t action)
{
    uint32_t               hash;
    ngx_uint_t             i;
    ngx_http_sgtm_name_t  *slot;

    hash = (uint32_t) ngx_hash_key(name->data, name->len);

    for (i = hash & t->header_mask;
         t->header_names[i].action;
         i = (i + 1) & t->header_mask)
    {
        /* void */
    }

    slot = &t->header_names[i];

    slot->hash = hash;
    slot->action = action;
    slot->name = *name;
}


static ngx_http_sgtm_header_t *
ngx_http_sgtm_header_known(ngx_str_t *name)
{
    ngx_http_sgtm_header_t  *header;

    for (header = ngx_http_sgtm_header_list; header->name.len; header++) {
        if (header->name.len == name->len
            && ngx_strncasecmp(header->name.data, name->data, name->len) == 0)
        {
            return header;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_sgtm_headers_own(ngx_str_t *name)
{
    ngx_http_sgtm_header_t  *header;

    header = ngx_http_sgtm_header_known(name);

    return header && header->action == NGX_HTTP_SGTM_HEADER_OWN;
}


void
ngx_http_sgtm_headers_init(void)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    static struct {
        ngx_table_elt_t  *elt;
        ngx_str_t         key;
        u_char           *lowcase;
    } headers[] = {
        { &ngx_http_sgtm_forwarded_for, ngx_string("X-Forwarded-For"),
          (u_char *) "x-forwarded-for" },
        { &ngx_http_sgtm_forwarded_host, ngx_string("X-Forwarded-Host"),
          (u_char *) "x-forwarded-host" },
        { &ngx_http_sgtm_forwarded_proto, ngx_string("X-Forwarded-Proto"),
          (u_char *) "x-forwarded-proto" }
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        h = headers[i].elt;

        h->key = headers[i].key;
        h->lowcase_key = headers[i].lowcase;
        h->hash = ngx_hash_key(h->lowcase_key, h->key.len);
    }
}


static ngx_inline ngx_uint_t
ngx_http_sgtm_header_action(ngx_http_sgtm_tables_t *t, ngx_table_elt_t *h)
{
    uint32_t               hash;
    ngx_uint_t             i;
    ngx_http_sgtm_name_t  *slot;

    /* nginx has made the same of every name that it read */

    hash = (uint32_t) h->hash;

    for (i = hash & t->header_mask; /* void */ ; i = (i + 1) & t->header_mask) {
        slot = &t->header_names[i];

        if (slot->action == NGX_HTTP_SGTM_HEADER_DROP) {
            return NGX_HTTP_SGTM_HEADER_DROP;
        }

        if (slot->hash == hash
            && slot->name.len == h->key.len
            && ngx_memcmp(slot->name.data, h->lowcase_key, h->key.len) == 0)
        {
            return slot->action;
        }
    }
}


ngx_int_t
ngx_http_sgtm_headers_scan(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t                i, n, action;
    ngx_list_part_t          *part;
    ngx_table_elt_t          *h;
    ngx_http_sgtm_tables_t   *t;

    t = ctx->conf->tables;
    n = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            action = ngx_http_sgtm_header_action(t, &h[i]);

            if (n < NGX_HTTP_SGTM_ACTIONS) {
                ctx->actions[n++] = action;
            }

            switch (action) {

            case NGX_HTTP_SGTM_HEADER_DROP:
            case NGX_HTTP_SGTM_HEADER_OWN:
                continue;

            case NGX_HTTP_SGTM_HEADER_PREVIEW:
                ctx->preview = 1;
                break;

            case NGX_HTTP_SGTM_HEADER_COOKIE:
                if (ngx_http_sgtm_headers_cookies(r, ctx, &h[i].value)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }

                break;

            case NGX_HTTP_SGTM_HEADER_ORIGIN:
                ctx->origin = h[i].value;
                break;

            case NGX_HTTP_SGTM_HEADER_GPC:
                ctx->gpc |= (h[i].value.len == 1 && h[i].value.data[0] == '1');
                break;
            }

            ctx->headers++;
        }
    }

    return NGX_OK;
}


/*
 * Most cookies are the shop's.  They are passed over once, before it is known
 * what is denied of the others, and among those are the marks of a preview.
 */

static ngx_int_t
ngx_http_sgtm_headers_cookies(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    ngx_str_t  cookie;

    cookie = *value;

    if (ngx_http_sgtm_header_cookie(r, ctx, 0, &cookie) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->preview |= ngx_http_sgtm_preview_cookie(&cookie);

    if (!ctx->cookies) {
        ctx->cookies = 1;
        ctx->cookie = cookie;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_sgtm_preview_cookie(ngx_str_t *cookie)
{
    u_char  *p, *last;

    p = cookie->data;
    last = p + cookie->len;

    while (p) {

        while (p < last && (*p == ' ' || *p == ';')) {
            p++;
        }

        if (last - p < (ssize_t) (sizeof("gtm_auth=") - 1)) {
            return 0;
        }

        if (*p == 'g'
            && (ngx_strncmp(p, "gtm_auth=", 9) == 0
                || (last - p >= 10 && ngx_strncmp(p, "gtm_debug=", 10) == 0)
                || (last - p >= 12 && ngx_strncmp(p, "gtm_preview=", 12)
                                      == 0)))
        {
            return 1;
        }

        p = memchr(p, ';', last - p);
    }

    return 0;
}


ngx_int_t
ngx_http_sgtm_headers_commit(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_list_part_t  part;

    part = r->headers_in.headers.part;

    /* old elements stay where they are: nginx points to some of them */

    if (ngx_list_init(&r->headers_in.headers, r->pool, ctx->headers + 3,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_sgtm_headers_forget(r);

    if (ngx_http_sgtm_headers_copy(r, ctx, &part) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_headers_forwarded(r, ctx);
}


/* the list has been made with room for all */

static ngx_inline ngx_table_elt_t *
ngx_http_sgtm_headers_elt(ngx_http_request_t *r)
{
    ngx_list_t       *list;
    ngx_list_part_t  *last;

    list = &r->headers_in.headers;
    last = list->last;

    if (last->nelts < list->nalloc) {
        return (ngx_table_elt_t *) last->elts + last->nelts++;
    }

    return ngx_list_push(list);
}


static ngx_int_t
ngx_http_sgtm_headers_copy(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_list_part_t *part)
{
    ngx_str_t                value;
    ngx_uint_t               i, n, action, first, cookies;
    ngx_table_elt_t         *h, *elt;
    ngx_http_sgtm_tables_t  *t;

    t = ctx->conf->tables;
    cookies = 0;
    n = 0;

    for ( /* void */ ; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            action = (n < NGX_HTTP_SGTM_ACTIONS)
                     ? ctx->actions[n++]
                     : ngx_http_sgtm_header_action(t, &h[i]);

            if (action == NGX_HTTP_SGTM_HEADER_DROP
                || action == NGX_HTTP_SGTM_HEADER_OWN)
            {
                continue;
            }

            value = h[i].value;

            if (action == NGX_HTTP_SGTM_HEADER_COOKIE) {

                first = (cookies == 0 && ctx->cookies);

                if (first) {
                    value = ctx->cookie;
                    ctx->cookies = 0;
                }

                /* the first one is by the list already */

                if (!(first && ctx->deny == 0)
                    && ngx_http_sgtm_header_cookie(r, ctx, ctx->deny, &value)
                       != NGX_OK)
                {
                    return NGX_ERROR;
                }

                if (value.len == 0) {
                    continue;
                }

            } else if (action == NGX_HTTP_SGTM_HEADER_REFERER) {

                if (ngx_http_sgtm_header_referer(r, ctx, &value) != NGX_OK) {
                    return NGX_ERROR;
                }
            }

            elt = ngx_http_sgtm_headers_elt(r);
            if (elt == NULL) {
                return NGX_ERROR;
            }

            *elt = h[i];
            elt->value = value;

            if (action == NGX_HTTP_SGTM_HEADER_COOKIE) {
                ngx_http_sgtm_headers_cookie(r, elt, cookies++);

            } else if (action == NGX_HTTP_SGTM_HEADER_REFERER) {
                r->headers_in.referer = elt;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_header_cookie(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t deny, ngx_str_t *value)
{
    size_t   len;
    u_char  *p, buf[NGX_HTTP_SGTM_HEADER_BUF];

    if (ctx->cookieless) {
        value->len = 0;
        return NGX_OK;
    }

    p = buf;

    if (value->len > NGX_HTTP_SGTM_HEADER_BUF) {
        p = ngx_pnalloc(r->pool, value->len);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    len = sgtm_redact_cookies(&ctx->conf->tables->cookie_names, deny,
                              ngx_http_sgtm_str(value), p);

    if (len == value->len || len == 0) {
        value->len = len;
        return NGX_OK;
    }

    if (p == buf) {
        p = ngx_pnalloc(r->pool, len + 1);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, buf, len);

        /* nginx ends every header's value so */
        p[len] = '\0';
    }

    value->data = p;
    value->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_header_referer(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    size_t   len;
    u_char  *p;

    if (ctx->deny == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, value->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    len = sgtm_redact_url(&ctx->conf->tables->params, ctx->deny,
                          ngx_http_sgtm_str(value), p);

    p[len] = '\0';

    value->data = p;
    value->len = len;

    return NGX_OK;
}


void
ngx_http_sgtm_headers_forget(ngx_http_request_t *r)
{
    r->headers_in.referer = NULL;

#if (nginx_version >= 1023000)

    r->headers_in.cookie = NULL;
#if (NGX_HTTP_X_FORWARDED_FOR)
    r->headers_in.x_forwarded_for = NULL;
#endif

#else

    r->headers_in.cookies.nelts = 0;
#if (NGX_HTTP_X_FORWARDED_FOR)
    r->headers_in.x_forwarded_for.nelts = 0;
#endif

#endif
}


void
ngx_http_sgtm_headers_clear(ngx_http_request_t *r)
{
    /* the elements stay: nginx points to some, and nobody adds to them now */

    r->headers_in.headers.part.nelts = 0;
    r->headers_in.headers.part.next = NULL;
    r->headers_in.headers.last = &r->headers_in.headers.part;
}


static void
ngx_http_sgtm_headers_cookie(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_uint_t n)
{
#if (nginx_version >= 1023000)

    ngx_table_elt_t  **last;

    for (last = &r->headers_in.cookie; *last; last = &(*last)->next) {
        /* void */
    }

    h->next = NULL;
    *last = h;

#else

    /* the array has room: there are no more cookies than there were */

    ((ngx_table_elt_t **) r->headers_in.cookies.elts)[n] = h;
    r->headers_in.cookies.nelts = n + 1;

#endif
}


static ngx_int_t
ngx_http_sgtm_headers_forwarded(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx)
{
    ngx_str_t                  address, *host;
    ngx_http_core_srv_conf_t  *cscf;

    if (ngx_http_sgtm_address_text(r, ctx, &address) != NGX_OK
        || ngx_http_sgtm_headers_push(r, &ngx_http_sgtm_forwarded_for,
                                      &address)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    host = r->headers_in.host ? &r->headers_in.host->value
                              : &r->headers_in.server;

    if (host->len == 0) {
        /* HTTP/1.0 without one: as $host is */
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        host = &cscf->server_name;
    }

    if (ngx_http_sgtm_headers_push(r, &ngx_http_sgtm_forwarded_host, host)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_headers_push(r, &ngx_http_sgtm_forwarded_proto,
                                      ngx_http_sgtm_origin_scheme(r));
}


static ngx_int_t
ngx_http_sgtm_headers_push(ngx_http_request_t *r, ngx_table_elt_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    if (value->len == 0) {
        return NGX_OK;
    }

    h = ngx_http_sgtm_headers_elt(r);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = *name;
    h->value = *value;

    return NGX_OK;
}
