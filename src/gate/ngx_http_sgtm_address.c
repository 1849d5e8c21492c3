
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_address.h"


static void ngx_http_sgtm_address_mask(ngx_sockaddr_t *sa, ngx_uint_t policy);
static size_t ngx_http_sgtm_address_print(ngx_sockaddr_t *sa,
    socklen_t socklen, u_char *text);
static void ngx_http_sgtm_address_cleanup(void *data);


ngx_uint_t
ngx_http_sgtm_address_private(ngx_http_sgtm_ctx_t *ctx)
{
    /* as long as it is not known whether there is a record, one may say so */

    return ctx->conf->consent_mode != NGX_HTTP_SGTM_CONSENT_OFF
           || (ctx->tenant == NULL && ngx_http_sgtm_tenants_reader())
           || ctx->conf->client_ip != NGX_HTTP_SGTM_IP_FULL;
}


ngx_uint_t
ngx_http_sgtm_address_full(ngx_http_sgtm_ctx_t *ctx)
{
    return ctx->conf->client_ip == NGX_HTTP_SGTM_IP_FULL
           && !(ctx->deny & SGTM_DENY_ANY);
}


ngx_int_t
ngx_http_sgtm_address_text(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *value)
{
    ngx_str_null(value);

    /*
     * a client on a unix socket has none, nor any that is to be told; that of a
     * shop is no visitor's
     */

    if (r->connection->sockaddr->sa_family == AF_UNIX
        || ctx->conf->client_ip == NGX_HTTP_SGTM_IP_NONE
        || ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK)
    {
        return NGX_OK;
    }

    if (!ngx_http_sgtm_address_full(ctx)
        && ngx_http_sgtm_address_hide(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *value = r->connection->addr_text;

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_address_hide(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    u_char              *text;
    ngx_sockaddr_t      *sa;
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;

    c = r->connection;

    if (ctx->masked || c->sockaddr->sa_family == AF_UNIX
        || c->socklen > (socklen_t) sizeof(ngx_sockaddr_t))
    {
        return NGX_OK;
    }

    sa = ngx_palloc(r->pool, sizeof(ngx_sockaddr_t) + NGX_SOCKADDR_STRLEN);
    if (sa == NULL) {
        return NGX_ERROR;
    }

    /*
     * the address may be one that realip has set in this request: what puts
     * it back has to run before realip's own cleanup
     */

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sgtm_address_cleanup;
    cln->data = ctx;

    text = (u_char *) sa + sizeof(ngx_sockaddr_t);

    ngx_memcpy(sa, c->sockaddr, c->socklen);

    ngx_http_sgtm_address_mask(sa, ctx->conf->client_ip);

    ctx->masked = 1;
    ctx->sockaddr = c->sockaddr;
    ctx->addr_text = c->addr_text;

    c->sockaddr = &sa->sockaddr;
    c->addr_text.data = text;
    c->addr_text.len = ngx_http_sgtm_address_print(sa, c->socklen, text);

    return NGX_OK;
}


static void
ngx_http_sgtm_address_mask(ngx_sockaddr_t *sa, ngx_uint_t policy)
{
    u_char  *p;
    size_t   keep, len;

    if (sa->sockaddr.sa_family == AF_INET) {
        p = (u_char *) &sa->sockaddr_in.sin_addr;
        len = 4;
        keep = 3;

#if (NGX_HAVE_INET6)
    } else if (sa->sockaddr.sa_family == AF_INET6) {
        p = (u_char *) &sa->sockaddr_in6.sin6_addr;
        len = 16;
        keep = IN6_IS_ADDR_V4MAPPED(&sa->sockaddr_in6.sin6_addr) ? 15 : 6;
#endif

    } else {
        return;
    }

    if (policy == NGX_HTTP_SGTM_IP_NONE) {
        keep = 0;
    }

    ngx_memzero(p + keep, len - keep);
}


ngx_uint_t
ngx_http_sgtm_address_masked(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    u_char *text)
{
    ngx_sockaddr_t     sa;
    ngx_connection_t  *c;

    c = r->connection;

    if (c->sockaddr->sa_family == AF_UNIX
        || c->socklen > (socklen_t) sizeof(ngx_sockaddr_t))
    {
        return 0;
    }

    ngx_memcpy(&sa, c->sockaddr, c->socklen);

    ngx_http_sgtm_address_mask(&sa, ctx->conf->client_ip);

    return ngx_http_sgtm_address_print(&sa, c->socklen, text);
}


/* of every denied hit: ngx_sock_ntop() takes six times as long for the usual */

static size_t
ngx_http_sgtm_address_print(ngx_sockaddr_t *sa, socklen_t socklen, u_char *text)
{
    u_char      *p, *octet;
    ngx_uint_t   i, n;

    if (sa->sockaddr.sa_family != AF_INET) {
        return ngx_sock_ntop(&sa->sockaddr, socklen, text, NGX_SOCKADDR_STRLEN,
                             0);
    }

    octet = (u_char *) &sa->sockaddr_in.sin_addr;
    p = text;

    for (i = 0; i < 4; i++) {
        n = octet[i];

        if (n >= 100) {
            *p++ = (u_char) ('0' + n / 100);
        }

        if (n >= 10) {
            *p++ = (u_char) ('0' + n / 10 % 10);
        }

        *p++ = (u_char) ('0' + n % 10);
        *p++ = '.';
    }

    return p - 1 - text;
}


static void
ngx_http_sgtm_address_cleanup(void *data)
{
    ngx_http_sgtm_ctx_t *ctx = data;

    ngx_connection_t  *c;

    c = ctx->request->connection;

    c->sockaddr = ctx->sockaddr;
    c->addr_text = ctx->addr_text;
}
