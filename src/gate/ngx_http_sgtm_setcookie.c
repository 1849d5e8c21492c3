
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_setcookie.h"


static void ngx_http_sgtm_setcookie_drop(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static u_char *ngx_http_sgtm_setcookie_domain(u_char *p, u_char *last,
    ngx_str_t *domain);
static ngx_uint_t ngx_http_sgtm_setcookie_covers(ngx_str_t *domain,
    ngx_str_t *host);


ngx_int_t
ngx_http_sgtm_setcookie(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_table_elt_t *h)
{
    u_char      *p, *q, *last, *copy;
    ngx_str_t    domain;
    sgtm_str_t   name;

    p = h->value.data;
    last = p + h->value.len;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    name.data = p;

    while (p < last && *p != '=' && *p != ';') {
        p++;
    }

    name.len = p - name.data;

    while (name.len && (name.data[name.len - 1] == ' '
                        || name.data[name.len - 1] == '\t'))
    {
        name.len--;
    }

    if (ctx->cookieless
        || !sgtm_redact_cookie(&ctx->conf->tables->cookie_names, ctx->deny,
                               &name))
    {
        ngx_http_sgtm_setcookie_drop(r, h);
        return NGX_OK;
    }

    /* a browser takes the last Domain: each that does not fit leaves */

    for (p = memchr(p, ';', last - p); p; p = memchr(p, ';', last - p)) {

        q = ngx_http_sgtm_setcookie_domain(p + 1, last, &domain);

        if (q == NULL
            || ngx_http_sgtm_setcookie_covers(&domain, &r->headers_in.server))
        {
            p++;
            continue;
        }

        /* q is the ";" after the attribute, or the end */

        copy = ngx_pnalloc(r->pool, (p - h->value.data) + (last - q) + 1);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(copy, h->value.data, p - h->value.data);
        ngx_memcpy(copy + (p - h->value.data), q, last - q);

        p = copy + (p - h->value.data);
        last = p + (last - q);
        *last = '\0';

        h->value.data = copy;
        h->value.len = last - copy;
    }

    return NGX_OK;
}


/* it leaves the answer, and $upstream_http_set_cookie and _cookie_... too */

static void
ngx_http_sgtm_setcookie_drop(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *elt;

    h->hash = 0;

    for (part = &r->upstream->headers_in.headers.part;
         part;
         part = part->next)
    {
        elt = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (elt[i].value.data == h->value.data) {
                elt[i].hash = 0;
                elt[i].value.len = 0;
            }
        }
    }
}


void
ngx_http_sgtm_setcookie_forget(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *elt;

    part = &r->upstream->headers_in.headers.part;

    for ( /* void */ ; part; part = part->next) {
        elt = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (elt[i].key.len == 10
                && ngx_strncasecmp(elt[i].key.data, (u_char *) "set-cookie",
                                   10)
                   == 0)
            {
                elt[i].hash = 0;
                elt[i].value.len = 0;
            }
        }
    }
}


/* the end of a Domain attribute that begins at p, or NULL: it is another */

static u_char *
ngx_http_sgtm_setcookie_domain(u_char *p, u_char *last, ngx_str_t *domain)
{
    u_char  *end;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    if (last - p < 6 || (*p | 0x20) != 'd'
        || ngx_strncasecmp(p, (u_char *) "domain", 6) != 0)
    {
        return NULL;
    }

    p += 6;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    if (p == last || *p != '=') {
        return NULL;
    }

    p++;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    end = ngx_strlchr(p, last, ';');
    if (end == NULL) {
        end = last;
    }

    domain->data = p;

    for (p = end; p > domain->data && (p[-1] == ' ' || p[-1] == '\t'); p--) {
        /* void */
    }

    domain->len = p - domain->data;

    return end;
}


/* RFC 6265, 5.1.3 */

static ngx_uint_t
ngx_http_sgtm_setcookie_covers(ngx_str_t *domain, ngx_str_t *host)
{
    u_char  *p;
    size_t   len;

    p = domain->data;
    len = domain->len;

    if (len && *p == '.') {
        p++;
        len--;
    }

    if (len == 0 || len > host->len) {
        return 0;
    }

    if (ngx_memcmp(host->data + host->len - len, p, len) != 0
        && ngx_strncasecmp(host->data + host->len - len, p, len) != 0)
    {
        return 0;
    }

    if (host->len == len) {
        return 1;
    }

    /* an address has no parent */

    if (host->data[host->len - 1] == ']'
        || ngx_inet_addr(host->data, host->len) != INADDR_NONE)
    {
        return 0;
    }

    return host->data[host->len - len - 1] == '.';
}
