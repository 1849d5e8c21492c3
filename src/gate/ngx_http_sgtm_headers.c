
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_address.h"
#include "ngx_http_sgtm_header_names.h"
#include "ngx_http_sgtm_headers.h"
#include "ngx_http_sgtm_origin.h"


/* what is copied on the stack when a header is cut; longer ones allocate */
#define NGX_HTTP_SGTM_HEADER_BUF     4096

/* X-Forwarded-For, -Host and -Proto */
#define NGX_HTTP_SGTM_HEADERS_ADDED  3


static ngx_uint_t ngx_http_sgtm_preview_cookie(ngx_str_t *cookie);
static ngx_int_t ngx_http_sgtm_headers_pick(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_list_part_t *part);
static ngx_list_part_t *ngx_http_sgtm_headers_run(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_uint_t n);
static ngx_int_t ngx_http_sgtm_headers_cut(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_table_elt_t *h, ngx_uint_t cookies);
static ngx_int_t ngx_http_sgtm_headers_cookies(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_header_cookie(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_uint_t deny, ngx_str_t *value,
    uint64_t *kinds);
static ngx_int_t ngx_http_sgtm_header_referer(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *value);
static void ngx_http_sgtm_headers_cookie(ngx_http_request_t *r,
    ngx_table_elt_t *h, ngx_uint_t n);
static ngx_int_t ngx_http_sgtm_headers_forwarded(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_table_elt_t *ngx_http_sgtm_headers_add(ngx_table_elt_t *h,
    ngx_table_elt_t *name, ngx_str_t *value);


/* the headers that the gate adds; their hashes are set at start */

static ngx_table_elt_t  ngx_http_sgtm_forwarded_for;
static ngx_table_elt_t  ngx_http_sgtm_forwarded_host;
static ngx_table_elt_t  ngx_http_sgtm_forwarded_proto;


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
    uint64_t   kinds;
    ngx_str_t  cookie;

    kinds = 0;
    cookie = *value;

    if (ngx_http_sgtm_header_cookie(r, ctx, 0, &cookie, &kinds) != NGX_OK) {
        return NGX_ERROR;
    }

    if (kinds & ctx->conf->tables->previews) {
        ctx->preview |= ngx_http_sgtm_preview_cookie(&cookie);
    }

    if (!ctx->cookies) {
        ctx->cookies = 1;
        ctx->cookie = cookie;
        ctx->kinds = kinds;
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


/*
 * Elements stay where they are, since nginx points to some of them: the parts
 * of the new list are runs of those that pass.
 */

ngx_int_t
ngx_http_sgtm_headers_commit(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_list_part_t  part;

    part = r->headers_in.headers.part;

    ngx_http_sgtm_headers_clear(r);
    ngx_http_sgtm_headers_forget(r);

    if (ngx_http_sgtm_headers_pick(r, ctx, &part) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_headers_forwarded(r, ctx);
}


static ngx_int_t
ngx_http_sgtm_headers_pick(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_list_part_t *part)
{
    ngx_uint_t               i, n, action, cookies;
    ngx_list_part_t         *run;
    ngx_table_elt_t         *h;
    ngx_http_sgtm_tables_t  *t;

    t = ctx->conf->tables;
    cookies = 0;
    n = 0;

    for ( /* void */ ; part; part = part->next) {
        h = part->elts;
        run = NULL;

        for (i = 0; i < part->nelts; i++) {

            action = (n < NGX_HTTP_SGTM_ACTIONS)
                     ? ctx->actions[n++]
                     : ngx_http_sgtm_header_action(t, &h[i]);

            if (action == NGX_HTTP_SGTM_HEADER_DROP
                || action == NGX_HTTP_SGTM_HEADER_OWN)
            {
                run = NULL;
                continue;
            }

            if (action == NGX_HTTP_SGTM_HEADER_COOKIE) {

                if (ngx_http_sgtm_headers_cut(r, ctx, &h[i], cookies) != NGX_OK)
                {
                    return NGX_ERROR;
                }

                if (h[i].value.len == 0) {
                    run = NULL;
                    continue;
                }

                ngx_http_sgtm_headers_cookie(r, &h[i], cookies++);

            } else if (action == NGX_HTTP_SGTM_HEADER_REFERER) {

                if (ngx_http_sgtm_header_referer(r, ctx, &h[i].value)
                    != NGX_OK)
                {
                    return NGX_ERROR;
                }

                r->headers_in.referer = &h[i];
            }

            if (run) {
                run->nelts++;
                continue;
            }

            run = ngx_http_sgtm_headers_run(r, &h[i], 1);
            if (run == NULL) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* one more part of the list, none of which but the first may be empty */

static ngx_list_part_t *
ngx_http_sgtm_headers_run(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_uint_t n)
{
    ngx_list_t       *list;
    ngx_list_part_t  *part;

    list = &r->headers_in.headers;
    part = &list->part;

    if (part->nelts) {
        part = ngx_palloc(r->pool, sizeof(ngx_list_part_t));
        if (part == NULL) {
            return NULL;
        }

        list->last->next = part;
    }

    part->elts = h;
    part->nelts = n;
    part->next = NULL;

    list->last = part;

    return part;
}


/* a Cookie; of the first the scan has left what the list lets pass */

static ngx_int_t
ngx_http_sgtm_headers_cut(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_table_elt_t *h, ngx_uint_t cookies)
{
    uint64_t  dropped;

    if (cookies == 0 && ctx->cookies) {
        h->value = ctx->cookie;
        ctx->cookies = 0;

        dropped = sgtm_redact_kinds(ctx->kinds, ctx->deny);

        if (dropped == ctx->kinds) {
            h->value.len = 0;
            return NGX_OK;
        }

        if (dropped == 0 && !ctx->cookieless) {
            return NGX_OK;
        }
    }

    return ngx_http_sgtm_header_cookie(r, ctx, ctx->deny, &h->value, NULL);
}


static ngx_int_t
ngx_http_sgtm_header_cookie(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t deny, ngx_str_t *value, uint64_t *kinds)
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
                              ngx_http_sgtm_str(value), p, kinds);

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


/* the last part of the list: the only one that may be added to */

static ngx_int_t
ngx_http_sgtm_headers_forwarded(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx)
{
    ngx_str_t                  address, *host;
    ngx_table_elt_t           *h, *first;
    ngx_http_core_srv_conf_t  *cscf;

    if (ngx_http_sgtm_address_text(r, ctx, &address) != NGX_OK) {
        return NGX_ERROR;
    }

    host = ngx_http_sgtm_origin_host(r);

    if (host->len == 0) {
        /* HTTP/1.0 without one: as $host is */
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        host = &cscf->server_name;
    }

    first = ngx_palloc(r->pool, NGX_HTTP_SGTM_HEADERS_ADDED
                                * sizeof(ngx_table_elt_t));
    if (first == NULL) {
        return NGX_ERROR;
    }

    h = ngx_http_sgtm_headers_add(first, &ngx_http_sgtm_forwarded_for,
                                  &address);
    h = ngx_http_sgtm_headers_add(h, &ngx_http_sgtm_forwarded_host, host);
    h = ngx_http_sgtm_headers_add(h, &ngx_http_sgtm_forwarded_proto,
                                  ngx_http_sgtm_origin_scheme(r));

    r->headers_in.headers.nalloc = NGX_HTTP_SGTM_HEADERS_ADDED;

    return ngx_http_sgtm_headers_run(r, first, h - first) ? NGX_OK : NGX_ERROR;
}


static ngx_table_elt_t *
ngx_http_sgtm_headers_add(ngx_table_elt_t *h, ngx_table_elt_t *name,
    ngx_str_t *value)
{
    if (value->len == 0) {
        return h;
    }

    *h = *name;
    h->value = *value;

    return h + 1;
}
