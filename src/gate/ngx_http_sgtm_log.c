
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_variables.h"
#include "ngx_http_sgtm_address.h"
#include "ngx_http_sgtm_headers.h"
#include "ngx_http_sgtm_log.h"


static u_char *ngx_http_sgtm_log_error(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);
static u_char *ngx_http_sgtm_log_client(ngx_http_request_t *r, u_char *buf);
static size_t ngx_http_sgtm_log_path(ngx_str_t *uri);


/* nginx's own, the same for all requests */

static ngx_http_log_handler_pt  ngx_http_sgtm_next_log_handler;


void
ngx_http_sgtm_log_init(ngx_http_request_t *r)
{
    if (r->log_handler == ngx_http_sgtm_log_error) {
        return;
    }

    ngx_http_sgtm_next_log_handler = r->log_handler;
    r->log_handler = ngx_http_sgtm_log_error;
}


/*
 * The error log repeats request line, referrer and upstream URI at every line,
 * also before consent is known: there, they are their paths.
 */

static u_char *
ngx_http_sgtm_log_error(ngx_http_request_t *r, ngx_http_request_t *sr,
    u_char *buf, size_t len)
{
    size_t            line, uri;
    u_char           *p;
    ngx_table_elt_t  *referer;

    p = ngx_http_sgtm_log_client(r, buf);
    len += buf - p;
    buf = p;

    line = r->request_line.len;
    referer = r->headers_in.referer;
    uri = 0;

    r->request_line.len = ngx_http_sgtm_log_path(&r->request_line);
    r->headers_in.referer = NULL;

    if (sr->upstream) {
        uri = sr->upstream->uri.len;
        sr->upstream->uri.len = ngx_http_sgtm_log_path(&sr->upstream->uri);
    }

    p = ngx_http_sgtm_next_log_handler(r, sr, buf, len);

    r->request_line.len = line;
    r->headers_in.referer = referer;

    if (sr->upstream) {
        sr->upstream->uri.len = uri;
    }

    return p;
}


/*
 * The client's address has been written just before; as long as consent is not
 * known it may have to be the masked one, which is no longer.
 */

static u_char *
ngx_http_sgtm_log_client(ngx_http_request_t *r, u_char *buf)
{
    size_t                len;
    u_char               *p, text[NGX_SOCKADDR_STRLEN];
    ngx_str_t            *addr;
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sgtm_module);

    if (ctx == NULL || ctx->committed || ctx->masked
        || !ngx_http_sgtm_address_private(ctx))
    {
        return buf;
    }

    addr = &r->connection->addr_text;
    p = buf - addr->len;

    if (ngx_memcmp(p, addr->data, addr->len) != 0) {
        return buf;
    }

    len = ngx_http_sgtm_address_masked(r, ctx, text);

    if (len == 0 || len > addr->len) {
        return buf;
    }

    return ngx_cpymem(p, text, len);
}


static size_t
ngx_http_sgtm_log_path(ngx_str_t *uri)
{
    size_t   len;
    u_char  *p;

    len = uri->len;

    if (len == 0) {
        return 0;
    }

    p = memchr(uri->data, '?', len);
    if (p) {
        len = p - uri->data;
    }

    p = memchr(uri->data, '#', len);
    if (p) {
        len = p - uri->data;
    }

    return len;
}


/* METHOD SP path "?" args SP protocol */

u_char *
ngx_http_sgtm_log_alloc(ngx_http_request_t *r, size_t len)
{
    u_char  *p;
    size_t   path;

    path = ngx_http_sgtm_log_path(&r->unparsed_uri);

    p = ngx_pnalloc(r->pool, r->method_name.len + 1 + path + 1 + len + 1
                             + r->http_protocol.len);
    if (p == NULL) {
        return NULL;
    }

    return p + r->method_name.len + 1 + path + 1;
}


void
ngx_http_sgtm_log_args(ngx_http_request_t *r, ngx_str_t *args)
{
    u_char  *p;
    size_t   path;

    path = ngx_http_sgtm_log_path(&r->unparsed_uri);

    p = args->data - 1 - path - 1 - r->method_name.len;

    r->request_line.data = p;

    p = ngx_cpymem(p, r->method_name.data, r->method_name.len);
    *p++ = ' ';

    p = ngx_cpymem(p, r->unparsed_uri.data, path);

    r->unparsed_uri.data = p - path;
    r->unparsed_uri.len = path;

    if (args->len) {
        *p++ = '?';
        p += args->len;
        r->unparsed_uri.len += 1 + args->len;
    }

    if (r->http_protocol.len) {
        *p++ = ' ';
        p = ngx_cpymem(p, r->http_protocol.data, r->http_protocol.len);
    }

    r->request_line.len = p - r->request_line.data;
}


void
ngx_http_sgtm_log_strip(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    r->request_line.len = ngx_http_sgtm_log_path(&r->request_line);
    r->unparsed_uri.len = ngx_http_sgtm_log_path(&r->unparsed_uri);

    r->args.len = 0;

    ngx_http_sgtm_headers_forget(r);
    ngx_http_sgtm_headers_clear(r);
    ngx_http_sgtm_variables_reset(r);

    if (r->request_body) {
        r->request_body->bufs = NULL;
    }

    if (ngx_http_sgtm_address_private(ctx)) {
        /* without memory the connection closes before it is logged */
        (void) ngx_http_sgtm_address_hide(r, ctx);
    }
}
