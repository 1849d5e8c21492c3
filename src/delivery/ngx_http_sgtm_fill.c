
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_variables.h"
#include "../gate/ngx_http_sgtm_body.h"
#include "../gate/ngx_http_sgtm_gate.h"
#include "../gate/ngx_http_sgtm_ctx.h"
#include "../gate/ngx_http_sgtm_overlay.h"
#include "../hit/sgtm_json.h"
#include "../tenant/ngx_http_sgtm_secrets.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_detached.h"
#include "ngx_http_sgtm_fill.h"


static ngx_uint_t ngx_http_sgtm_fill_may(ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_fill_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_sgtm_fill_written(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_fill_show(ngx_http_request_t *r,
    ngx_http_sgtm_fill_t *fill);
static ngx_int_t ngx_http_sgtm_fill_show_detached(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d);
static ngx_uint_t ngx_http_sgtm_fill_listed(ngx_http_sgtm_detached_t *d,
    ngx_str_t *list);
static void ngx_http_sgtm_fill_sent(ngx_http_request_t *r,
    ngx_http_sgtm_fill_t *fill, ngx_str_t *sent);
static ngx_int_t ngx_http_sgtm_fill_it(ngx_http_request_t *r,
    ngx_http_sgtm_fill_t *fill, sgtm_fill_t *with, ngx_uint_t is_mp);
static ngx_int_t ngx_http_sgtm_fill_query(ngx_http_request_t *r,
    ngx_http_sgtm_fill_t *fill, sgtm_fill_t *with);
static ngx_int_t ngx_http_sgtm_fill_body(ngx_http_request_t *r,
    ngx_http_sgtm_fill_t *fill, sgtm_fill_t *with);


ngx_int_t
ngx_http_sgtm_fill(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    if (r->content_handler == NULL || !ctx->committed
        || (!ngx_http_sgtm_fill_may(ctx) && ctx->sent.len == 0))
    {
        return NGX_DECLINED;
    }

    ngx_http_sgtm_fill_end(r, ctx->fill);

    ctx->fill = ngx_pcalloc(r->pool, sizeof(ngx_http_sgtm_fill_t));
    if (ctx->fill == NULL) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    ctx->fill->handler = r->content_handler;
    r->content_handler = ngx_http_sgtm_fill_handler;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_sgtm_fill_detached(ngx_http_request_t *r)
{
    ngx_str_t                  list;
    ngx_http_sgtm_detached_t  *d;

    d = (r == r->main) ? ngx_http_sgtm_detached_get(r) : NULL;

    if (d == NULL || r->content_handler == NULL
        || (d->sent.len == 0 && !ngx_http_sgtm_fill_listed(d, &list)))
    {
        return NGX_DECLINED;
    }

    /* an error_page may have led here from another location */

    ngx_http_sgtm_fill_end(r, &d->fill);

    d->fill.handler = r->content_handler;
    r->content_handler = ngx_http_sgtm_fill_handler;

    return NGX_DECLINED;
}


/* whether the gate may have set a parameter to a credential */

static ngx_uint_t
ngx_http_sgtm_fill_may(ngx_http_sgtm_ctx_t *ctx)
{
    return ctx->overlay != NULL
           && ctx->conf->tables->credentials
           && !ctx->preview
           && (ctx->route == NGX_HTTP_SGTM_ROUTE_HIT
               || ctx->route == NGX_HTTP_SGTM_ROUTE_MP
               || ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK);
}


/*
 * The location's handler has left what is to be sent in buffers of its own when
 * it returns, unless a cache makes it wait.  A debug log would tell of it.
 */

static ngx_int_t
ngx_http_sgtm_fill_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_log_t                 *log;
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_sgtm_fill_t      *fill;
    ngx_http_sgtm_detached_t  *d;

    ctx = ngx_http_sgtm_get_ctx(r);
    d = ctx ? NULL : ngx_http_sgtm_detached_get(r);
    fill = ctx ? ctx->fill : &d->fill;
    log = r->connection->log;

    fill->level = log->log_level;
    fill->shown = 1;

    if (log->log_level & NGX_LOG_DEBUG_ALL) {
        log->log_level = NGX_LOG_INFO;
    }

    rc = ctx ? ngx_http_sgtm_fill_show(r, fill)
             : ngx_http_sgtm_fill_show_detached(r, d);

    if (rc != NGX_OK) {
        ngx_http_sgtm_fill_hide(r, fill);

        return ctx ? ngx_http_sgtm_gate_fail(ctx)
                   : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = fill->handler(r);

    if (ngx_http_sgtm_fill_written(r)) {
        ngx_http_sgtm_fill_hide(r, fill);
    }

    return rc;
}


/* the upstream's buffers are the request's own body until then */

static ngx_uint_t
ngx_http_sgtm_fill_written(ngx_http_request_t *r)
{
    ngx_chain_t  *bufs;

    if (r->upstream == NULL) {
        return 1;
    }

    bufs = r->upstream->request_bufs;

    return bufs && (r->request_body == NULL || bufs != r->request_body->bufs);
}


static ngx_int_t
ngx_http_sgtm_fill_show(ngx_http_request_t *r, ngx_http_sgtm_fill_t *fill)
{
    sgtm_fill_t           with;
    sgtm_fill_set_t       sets[SGTM_TENANT_SETS];
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_sgtm_get_ctx(r);

    ngx_http_sgtm_fill_sent(r, fill, &ctx->sent);

    if (!ngx_http_sgtm_fill_may(ctx)) {
        return NGX_OK;
    }

    ngx_http_sgtm_secrets_fill(&with, sets, ctx->overlay->record,
                               ctx->conf->set);

    return ngx_http_sgtm_fill_it(r, fill, &with,
                                 ctx->route != NGX_HTTP_SGTM_ROUTE_HIT);
}


/* with the credentials that the record has now */

static ngx_int_t
ngx_http_sgtm_fill_show_detached(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d)
{
    uint64_t                 generation;
    ngx_int_t                rc;
    ngx_str_t                list;
    sgtm_fill_t              with;
    sgtm_fill_set_t          sets[SGTM_TENANT_SETS];
    const sgtm_tenant_t     *t;
    sgtm_registry_reader_t  *reader;

    ngx_http_sgtm_fill_sent(r, &d->fill, &d->sent);

    if (!ngx_http_sgtm_fill_listed(d, &list)) {
        return NGX_OK;
    }

    t = NULL;
    generation = 0;
    reader = ngx_http_sgtm_tenants_reader();

    if (reader) {
        generation = sgtm_registry_enter(reader);
        t = sgtm_registry_id(reader->registry, ngx_http_sgtm_str(&d->tenant));
    }

    ngx_http_sgtm_secrets_fill(&with, sets, t, NULL);

    with.nsets = sgtm_fill_read(sets, SGTM_TENANT_SETS,
                                ngx_http_sgtm_str(&list));

    rc = ngx_http_sgtm_fill_it(r, &d->fill, &with, d->is_mp);

    if (reader) {
        sgtm_registry_leave(reader, generation);
    }

    return rc;
}


static ngx_uint_t
ngx_http_sgtm_fill_listed(ngx_http_sgtm_detached_t *d, ngx_str_t *list)
{
    static ngx_str_t  name = ngx_string(NGX_HTTP_SGTM_FILL_HEADER ": ");

    return ngx_http_sgtm_detached_header(&d->headers, &name, list);
}


/* the query with the secret of the Measurement Protocol */

static void
ngx_http_sgtm_fill_sent(ngx_http_request_t *r, ngx_http_sgtm_fill_t *fill,
    ngx_str_t *sent)
{
    fill->args = r->args;
    fill->unparsed_uri = r->unparsed_uri;

    if (sent->len) {
        r->args = *sent;
        fill->query = *sent;

        ngx_http_sgtm_variables_reset(r);
    }
}


static ngx_int_t
ngx_http_sgtm_fill_it(ngx_http_request_t *r, ngx_http_sgtm_fill_t *fill,
    sgtm_fill_t *with, ngx_uint_t is_mp)
{
    ngx_int_t  rc;

    rc = is_mp ? ngx_http_sgtm_fill_body(r, fill, with)
               : ngx_http_sgtm_fill_query(r, fill, with);

    ngx_http_sgtm_variables_reset(r);
    ngx_http_sgtm_secrets_filled(with);

    return rc;
}


/* the request line, which is logged, keeps the references */

static ngx_int_t
ngx_http_sgtm_fill_query(ngx_http_request_t *r, ngx_http_sgtm_fill_t *fill,
    sgtm_fill_t *with)
{
    u_char      *p, *end;
    size_t       path;
    sgtm_str_t  *in;

    in = ngx_http_sgtm_str(&fill->args);

    if (!sgtm_fill_has(in)) {
        return NGX_OK;
    }

    path = r->unparsed_uri.len;

    end = memchr(r->unparsed_uri.data, '?', path);
    if (end) {
        path = end - r->unparsed_uri.data;
    }

    p = ngx_pnalloc(r->pool, path + 1 + sgtm_fill_query_size(in));
    if (p == NULL) {
        return NGX_ERROR;
    }

    r->unparsed_uri.data = p;

    p = ngx_cpymem(p, fill->unparsed_uri.data, path);
    *p++ = '?';

    r->args.data = p;
    r->args.len = sgtm_fill_query(with, in, p);
    r->unparsed_uri.len = path + (r->args.len ? 1 + r->args.len : 0);

    fill->query = r->args;
    fill->filled = r->args;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_fill_body(ngx_http_request_t *r, ngx_http_sgtm_fill_t *fill,
    sgtm_fill_t *with)
{
    ngx_str_t     body;
    ngx_buf_t    *b;
    sgtm_str_t   *in;
    ngx_chain_t  *cl;

    if (ngx_http_sgtm_body_text(r, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    in = ngx_http_sgtm_str(&body);

    /* whoever has a shell may have changed what is in the spool */

    if (!sgtm_fill_has(in) || sgtm_json_check(in) != SGTM_REASON_NONE) {
        return NGX_OK;
    }

    b = ngx_create_temp_buf(r->pool, sgtm_fill_json_size(in));
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last += sgtm_fill_json(with, in, b->pos);
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    fill->text.data = b->pos;
    fill->text.len = b->last - b->pos;
    fill->bufs = r->request_body->bufs;
    fill->length = r->headers_in.content_length_n;

    r->request_body->bufs = cl;
    r->headers_in.content_length_n = fill->text.len;

    return NGX_OK;
}


void
ngx_http_sgtm_fill_hide(ngx_http_request_t *r, ngx_http_sgtm_fill_t *fill)
{
    if (fill == NULL || !fill->shown) {
        return;
    }

    fill->shown = 0;

    r->connection->log->log_level = fill->level;

    /* an error_page may have made another request of it meanwhile */

    if (fill->query.data && r->args.data == fill->query.data) {
        r->args = fill->args;
    }

    if (fill->query.data) {
        r->unparsed_uri = fill->unparsed_uri;
    }

    if (fill->text.data) {
        r->request_body->bufs = fill->bufs;
        r->headers_in.content_length_n = fill->length;
    }

    ngx_http_sgtm_variables_reset(r);
}


void
ngx_http_sgtm_fill_end(ngx_http_request_t *r, ngx_http_sgtm_fill_t *fill)
{
    if (fill == NULL) {
        return;
    }

    ngx_http_sgtm_fill_hide(r, fill);

    if (fill->filled.data) {
        ngx_explicit_memzero(fill->filled.data, fill->filled.len);
    }

    if (fill->text.data) {
        ngx_explicit_memzero(fill->text.data, fill->text.len);
    }

    ngx_memzero(fill, sizeof(ngx_http_sgtm_fill_t));
}


size_t
ngx_http_sgtm_fill_header(ngx_http_sgtm_ctx_t *ctx, u_char *p)
{
    sgtm_fill_t      with;
    sgtm_fill_set_t  sets[SGTM_TENANT_SETS];

    if (!ngx_http_sgtm_fill_may(ctx)) {
        return 0;
    }

    ngx_http_sgtm_secrets_fill(&with, sets, ctx->overlay->record,
                               ctx->conf->set);

    return sgtm_fill_list(p, sets, with.nsets);
}
