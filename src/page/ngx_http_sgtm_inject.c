
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_inject.h"
#include "sgtm_head.h"


typedef struct {
    sgtm_head_t                head;
    ngx_str_t                  line;
    ngx_str_t                  script;     /* that it loads */
    ngx_chain_t               *out;
    ngx_chain_t              **last;
    off_t                      rest;       /* of the page; -1: who knows */
    unsigned                   held:1;     /* the header is not sent yet */
    unsigned                   done:1;     /* what follows is not looked at */
    unsigned                   put:1;      /* the page has got the line */
    unsigned                   nonce:1;
} ngx_http_sgtm_inject_ctx_t;


static ngx_uint_t ngx_http_sgtm_inject_wanted(ngx_http_request_t *r,
    ngx_http_sgtm_site_t *site);
static void ngx_http_sgtm_inject_warn(ngx_http_request_t *r,
    ngx_http_sgtm_site_t *site);
static ngx_int_t ngx_http_sgtm_inject_not_modified(ngx_http_request_t *r,
    ngx_str_t *script);
static ngx_int_t ngx_http_sgtm_inject_send(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_http_output_header_filter_pt next);
static ngx_int_t ngx_http_sgtm_inject_buf(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_chain_t *cl);
static ngx_uint_t ngx_http_sgtm_inject_loads(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_chain_t *cl, ptrdiff_t at);
static ngx_int_t ngx_http_sgtm_inject_line(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_buf_t *b, ptrdiff_t at,
    ngx_str_t *tail);
static ngx_int_t ngx_http_sgtm_inject_wait(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_buf_t *b, ngx_str_t *tail);
static ngx_int_t ngx_http_sgtm_inject_link(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_buf_t *b);
static ngx_buf_t *ngx_http_sgtm_inject_put(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, u_char *data, size_t len,
    ngx_uint_t copy);


ngx_int_t
ngx_http_sgtm_inject_header(ngx_http_request_t *r, ngx_http_sgtm_site_t *site,
    ngx_str_t *nonce, ngx_http_output_header_filter_pt next)
{
    ngx_int_t                    rc;
    ngx_http_sgtm_tags_t         tags;
    ngx_http_sgtm_inject_ctx_t  *ctx;

    if (!ngx_http_sgtm_inject_wanted(r, site)) {
        return next(r);
    }

    rc = ngx_http_sgtm_site_tags(r, site->inject_tags, SGTM_FEATURE_INJECT,
                                 &tags);

    if (rc != NGX_OK) {
        return (rc == NGX_DECLINED) ? next(r) : NGX_ERROR;
    }

    if (r->headers_out.status == NGX_HTTP_NOT_MODIFIED) {
        return (ngx_http_sgtm_inject_not_modified(r, &tags.script) == NGX_OK)
               ? next(r) : NGX_ERROR;
    }

    if (r->headers_out.content_encoding
        && r->headers_out.content_encoding->value.len)
    {
        ngx_http_sgtm_inject_warn(r, site);
        return next(r);
    }

    /* parts of a page are known by places that it will not have */

    ngx_http_clear_accept_ranges(r);

    if (r->header_only || r->method == NGX_HTTP_HEAD) {
        ngx_http_clear_content_length(r);

        if (nonce->len == 0
            && ngx_http_sgtm_site_mark(r, &tags.script) != NGX_OK)
        {
            return NGX_ERROR;
        }

        return next(r);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_sgtm_inject_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->script = tags.script;
    ctx->line = tags.line;
    ctx->nonce = (nonce->len != 0);
    ctx->rest = r->headers_out.content_length_n;
    ctx->held = 1;

    if (nonce->len
        && ngx_http_sgtm_site_line(r->pool, &tags.script, nonce, &ctx->line)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_sgtm_site_filter_module);

    /* those of parts that are put together here, too */

    r->main_filter_need_in_memory = 1;
    r->filter_need_in_memory = 1;

    /*
     * A server that knows how long its page is has it.  Its header may wait for
     * the first bytes; that of a page in the making goes out at once.
     */

    if (ctx->rest > 0) {
        return NGX_OK;
    }

    return ngx_http_sgtm_inject_send(r, ctx, next);
}


static ngx_uint_t
ngx_http_sgtm_inject_wanted(ngx_http_request_t *r, ngx_http_sgtm_site_t *site)
{
    ngx_uint_t  status;

    status = r->headers_out.status;

    if (status == NGX_HTTP_NOT_MODIFIED) {
        return 1;
    }

    if (r->headers_out.content_length_n == 0) {
        return 0;
    }

    /* 200 to 203 are whole pages, a redirection's is seen by nobody */

    return (status >= NGX_HTTP_OK && status < NGX_HTTP_NO_CONTENT)
           || (site->inject->errors && status >= NGX_HTTP_BAD_REQUEST);
}


/* once, since it is so for every page */

static void
ngx_http_sgtm_inject_warn(ngx_http_request_t *r, ngx_http_sgtm_site_t *site)
{
    if (site->warned) {
        return;
    }

    site->warned = 1;

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "\"sgtm_inject\" leaves pages as they are that come with "
                  "\"Content-Encoding: %V\"; \"gunzip on\" unpacks gzip, "
                  "\"proxy_set_header Accept-Encoding ''\" asks for none",
                  &r->headers_out.content_encoding->value);
}


/* the page behind is the same, so the browser's is, too */

static ngx_int_t
ngx_http_sgtm_inject_not_modified(ngx_http_request_t *r, ngx_str_t *script)
{
    ngx_http_sgtm_site_ctx_t  *ctx;

    ctx = ngx_http_sgtm_site_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    return ctx->marked ? ngx_http_sgtm_site_mark(r, script) : NGX_OK;
}


/*
 * What is known by now decides about the length: with the line, without, or
 * not known.
 */

static ngx_int_t
ngx_http_sgtm_inject_send(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_http_output_header_filter_pt next)
{
    off_t  len;

    ctx->held = 0;

    if (!ctx->done || ctx->put) {

        len = r->headers_out.content_length_n;

        ngx_http_clear_content_length(r);

        if (ctx->put && len > 0) {
            r->headers_out.content_length_n = len + (off_t) ctx->line.len;
        }

        if (!ctx->nonce
            && ngx_http_sgtm_site_mark(r, &ctx->script) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return next(r);
}


ngx_int_t
ngx_http_sgtm_inject_body(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_header_filter_pt next_header,
    ngx_http_output_body_filter_pt next)
{
    ngx_int_t                    rc;
    ngx_chain_t                 *cl, *ln;
    ngx_http_sgtm_inject_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sgtm_site_filter_module);

    if (in == NULL && ctx->held) {
        return NGX_OK;
    }

    if (in == NULL || ctx->done) {
        return next(r, in);
    }

    ctx->out = NULL;
    ctx->last = &ctx->out;

    for (cl = in; cl; cl = cl->next) {

        rc = ctx->done ? ngx_http_sgtm_inject_link(r, ctx, cl->buf)
                       : ngx_http_sgtm_inject_buf(r, ctx, cl);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ctx->held) {
        rc = ngx_http_sgtm_inject_send(r, ctx, next_header);

        if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
            return (rc > NGX_OK) ? NGX_ERROR : rc;
        }
    }

    if (ctx->out == NULL) {
        return NGX_OK;
    }

    rc = next(r, ctx->out);

    for (cl = ctx->out; cl; cl = ln) {
        ln = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return rc;
}


static ngx_int_t
ngx_http_sgtm_inject_buf(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_chain_t *cl)
{
    ptrdiff_t    at;
    ngx_buf_t   *b;
    ngx_str_t    data, tail;
    ngx_uint_t   rc, end;

    u_char  saved[SGTM_HEAD_TAIL];

    b = cl->buf;

    /* what waits from before is in no buffer any more */

    tail.data = saved;
    tail.len = ctx->head.ntail;
    ngx_memcpy(saved, ctx->head.tail, tail.len);

    ngx_str_null(&data);

    if (ngx_buf_in_memory(b)) {
        data.data = b->pos;
        data.len = b->last - b->pos;
    }

    if (data.len == 0 && !b->last_buf && !b->in_file) {
        return ngx_http_sgtm_inject_link(r, ctx, b);
    }

    /* the last buffer may come with nothing in it, behind all of the page */

    ctx->rest -= (ctx->rest > 0) ? ngx_min(ctx->rest, (off_t) data.len) : 0;
    end = (b->last_buf || ctx->rest == 0);

    at = 0;
    rc = data.len ? sgtm_head_scan(&ctx->head, ngx_http_sgtm_str(&data), &at)
                  : SGTM_HEAD_NONE;

    if (rc == SGTM_HEAD_MORE && !end) {
        return ngx_http_sgtm_inject_wait(r, ctx, b, &tail);
    }

    ctx->done = 1;

    if (rc == SGTM_HEAD_HERE
        && !ngx_http_sgtm_inject_loads(r, ctx, cl, at))
    {
        ctx->put = 1;
        return ngx_http_sgtm_inject_line(r, ctx, b, at, &tail);
    }

    if (tail.len
        && ngx_http_sgtm_inject_put(r, ctx, tail.data, tail.len, 1) == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_inject_link(r, ctx, b);
}


/* whether the page loads the script itself, as far as it is here */

static ngx_uint_t
ngx_http_sgtm_inject_loads(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_chain_t *cl, ptrdiff_t at)
{
    ngx_str_t  data;

    for ( /* void */ ; cl; cl = cl->next) {

        if (!ngx_buf_in_memory(cl->buf)) {
            continue;
        }

        data.data = cl->buf->pos + ngx_max(at, 0);
        data.len = cl->buf->last - data.data;
        at = 0;

        if (sgtm_head_loads(ngx_http_sgtm_str(&data),
                            ngx_http_sgtm_str(&ctx->script),
                            ngx_http_sgtm_str(&r->headers_in.server)))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * The line, before, within or behind a buffer, which is somebody's who waits
 * for its end: it stays the last of its bytes that is sent.
 */

static ngx_int_t
ngx_http_sgtm_inject_line(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_buf_t *b, ptrdiff_t at,
    ngx_str_t *tail)
{
    size_t      len;
    ngx_buf_t  *line;

    len = b->last - b->pos;

    /* what waits is behind the line or before it, as a whole */

    if (at >= 0 && tail->len
        && ngx_http_sgtm_inject_put(r, ctx, tail->data, tail->len, 1) == NULL)
    {
        return NGX_ERROR;
    }

    if (at > 0 && (size_t) at < len) {

        if (ngx_http_sgtm_inject_put(r, ctx, b->pos, at, 0) == NULL) {
            return NGX_ERROR;
        }

        b->pos += at;

        if (b->in_file) {
            b->file_pos += at;
        }

    } else if (at > 0) {

        if (ngx_http_sgtm_inject_link(r, ctx, b) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    line = ngx_http_sgtm_inject_put(r, ctx, ctx->line.data, ctx->line.len, 0);

    if (line == NULL) {
        return NGX_ERROR;
    }

    if (at > 0 && (size_t) at == len) {
        line->flush = b->flush;
        line->last_buf = b->last_buf;
        line->last_in_chain = b->last_in_chain;

        b->last_buf = 0;
        b->last_in_chain = 0;

        return NGX_OK;
    }

    if (at < 0
        && ngx_http_sgtm_inject_put(r, ctx, tail->data, tail->len, 1) == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_inject_link(r, ctx, b);
}


/* some bytes at the end of a buffer may belong behind the line */

static ngx_int_t
ngx_http_sgtm_inject_wait(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_buf_t *b, ngx_str_t *tail)
{
    size_t      len, wait;
    ngx_buf_t  *nb;

    len = b->last - b->pos;
    wait = ctx->head.ntail;

    /* of those that wait, all that came before this buffer, or none */

    if (tail->len && wait <= len
        && ngx_http_sgtm_inject_put(r, ctx, tail->data, tail->len, 1) == NULL)
    {
        return NGX_ERROR;
    }

    if (wait == 0) {
        return ngx_http_sgtm_inject_link(r, ctx, b);
    }

    nb = NULL;

    if (len > wait) {
        nb = ngx_http_sgtm_inject_put(r, ctx, b->pos, len - wait, 1);
        if (nb == NULL) {
            return NGX_ERROR;
        }

        nb->flush = b->flush;
    }

    /* it has been taken */

    b->pos = b->last;

    if (b->in_file) {
        b->file_pos = b->file_last;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_inject_link(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    cl->next = NULL;

    *ctx->last = cl;
    ctx->last = &cl->next;

    return NGX_OK;
}


/* a buffer of its own, with a copy or with bytes that stay; NULL: no memory */

static ngx_buf_t *
ngx_http_sgtm_inject_put(ngx_http_request_t *r,
    ngx_http_sgtm_inject_ctx_t *ctx, u_char *data, size_t len, ngx_uint_t copy)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NULL;
    }

    b->pos = data;

    if (copy) {
        b->pos = ngx_pnalloc(r->pool, len);
        if (b->pos == NULL) {
            return NULL;
        }

        ngx_memcpy(b->pos, data, len);
    }

    b->last = b->pos + len;
    b->memory = 1;

    return (ngx_http_sgtm_inject_link(r, ctx, b) == NGX_OK) ? b : NULL;
}
