
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../hit/sgtm_mp.h"
#include "../intake/ngx_http_sgtm_webhook.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_body.h"
#include "ngx_http_sgtm_ctx.h"


#if (NGX_HTTP_V2)
static void ngx_http_sgtm_body_read_handler(ngx_http_request_t *r);
#endif
static ngx_int_t ngx_http_sgtm_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_sgtm_body_buf(ngx_http_request_t *r, ngx_buf_t *b,
    u_char *p, size_t size);


static ngx_http_request_body_filter_pt  ngx_http_next_request_body_filter;


void
ngx_http_sgtm_body_init(void)
{
    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_sgtm_body_filter;
}


ngx_int_t
ngx_http_sgtm_body_read(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t  rc;

    ctx->status = NGX_DONE;

    rc = ngx_http_read_client_request_body(r, handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_http_sgtm_refused(ctx, rc);
        return rc;
    }

#if (NGX_HTTP_V2)

    if (rc == NGX_AGAIN && r->stream) {
        ctx->read_event_handler = r->read_event_handler;
        r->read_event_handler = ngx_http_sgtm_body_read_handler;
    }

#endif

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


#if (NGX_HTTP_V2)

/*
 * Over HTTP/2 a body that has arrived whole waits for one more event, and is
 * thrown away if the client closes or resets in between.  A browser that sends
 * a hit and leaves does just that, so the error is put off until the body is
 * where the gate has it.
 */

static void
ngx_http_sgtm_body_read_handler(ngx_http_request_t *r)
{
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_sgtm_get_ctx(r);

    if (r->connection->error && r->request_body->rest == 0) {
        ctx->closed = 1;
        r->connection->error = 0;
    }

    ctx->read_event_handler(r);
}

#endif


ngx_uint_t
ngx_http_sgtm_body_too_large(ngx_http_sgtm_ctx_t *ctx, off_t size)
{
    off_t  max;

    if (ctx->route == NGX_HTTP_SGTM_ROUTE_WEBHOOK) {
        return size > NGX_HTTP_SGTM_WEBHOOK_MAX_BODY;
    }

    max = (ctx->preview || ctx->route == NGX_HTTP_SGTM_ROUTE_PREVIEW)
          ? ctx->conf->max_preview : (off_t) ctx->conf->max_body;

    /* what Google takes is let in, whatever browsers may send */

    if (max && ngx_http_sgtm_route_is_mp(ctx->route)) {
        max = ngx_max(max, SGTM_MP_SIZE);
    }

    return max && size > max;
}


/*
 * Bodies that do not tell their length are judged while they are read, in
 * place of nginx's client_max_body_size, which would log the whole query.
 */

static ngx_int_t
ngx_http_sgtm_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    off_t                 size;
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sgtm_module);

    /* counted so far in the one for HTTP/2, in the other for chunks */

    size = ngx_max(r->request_body->received, r->headers_in.content_length_n);

    if (ctx && r == r->main && ngx_http_sgtm_body_too_large(ctx, size)) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    return ngx_http_next_request_body_filter(r, in);
}


ngx_int_t
ngx_http_sgtm_body_text(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         size;
    u_char       *p;
    size_t        len;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    ngx_str_null(body);

    if (r->request_body == NULL || r->request_body->bufs == NULL) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && !cl->buf->in_file) {
        body->data = cl->buf->pos;
        body->len = cl->buf->last - cl->buf->pos;
        return NGX_OK;
    }

    size = 0;

    for ( /* void */ ; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;
    body->len = size;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;
        len = ngx_buf_size(b);

        /* a chunked body ends in an empty buffer */

        if (len == 0) {
            continue;
        }

        if (b->in_file) {
            if (ngx_http_sgtm_body_buf(r, b, p, len) != NGX_OK) {
                return NGX_ERROR;
            }

        } else {
            ngx_memcpy(p, b->pos, len);
        }

        p += len;
    }

    return NGX_OK;
}


/* the page cache still holds what this request has just written */

static ngx_int_t
ngx_http_sgtm_body_buf(ngx_http_request_t *r, ngx_buf_t *b, u_char *p,
    size_t size)
{
    off_t    offset;
    ssize_t  n;

    for (offset = b->file_pos; size; offset += n, p += n, size -= n) {

        n = ngx_read_file(b->file, p, size, offset);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == 0) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "request body file \"%V\" was truncated",
                          &b->file->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
