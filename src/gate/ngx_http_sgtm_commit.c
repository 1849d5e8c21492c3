
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_variables.h"
#include "../hit/sgtm_user_data.h"
#include "ngx_http_sgtm_address.h"
#include "ngx_http_sgtm_body.h"
#include "ngx_http_sgtm_commit.h"
#include "ngx_http_sgtm_headers.h"
#include "ngx_http_sgtm_log.h"


static ngx_uint_t ngx_http_sgtm_commit_changes(sgtm_rewrite_t *rw,
    const sgtm_ga4_t *hit);
static ngx_uint_t ngx_http_sgtm_commit_appends(ngx_http_request_t *r,
    sgtm_rewrite_t *rw);
static ngx_int_t ngx_http_sgtm_commit_args(ngx_http_request_t *r,
    sgtm_rewrite_t *rw, ngx_str_t *in);
static ngx_int_t ngx_http_sgtm_commit_lines(ngx_http_request_t *r,
    sgtm_rewrite_t *rw, ngx_str_t *body);


ngx_int_t
ngx_http_sgtm_commit_head(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    if (!ngx_http_sgtm_address_full(ctx)
        && ngx_http_sgtm_address_hide(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_headers_commit(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_sgtm_variables_reset(r);

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_commit_hit(ngx_http_request_t *r, sgtm_rewrite_t *rw,
    const sgtm_ga4_t *hit, ngx_str_t *args, ngx_str_t *body)
{
    ngx_uint_t  changes;

    changes = ngx_http_sgtm_commit_changes(rw, hit);

    if ((changes || ngx_http_sgtm_commit_appends(r, rw))
        && ngx_http_sgtm_commit_args(r, rw, args) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!changes || body == NULL || body->len == 0) {
        return NGX_OK;
    }

    return ngx_http_sgtm_commit_lines(r, rw, body);
}


/* most hits have nothing to change: their bytes go on as they came */

static ngx_uint_t
ngx_http_sgtm_commit_changes(sgtm_rewrite_t *rw, const sgtm_ga4_t *hit)
{
    return (hit->deny & rw->deny) != 0
           || (hit->nested && rw->deny)
           || (hit->npa && rw->npa)
           || hit->touched
           || rw->fresh;
}


static ngx_uint_t
ngx_http_sgtm_commit_appends(ngx_http_request_t *r, sgtm_rewrite_t *rw)
{
    ngx_uint_t  i;

    if (rw->npa) {
        return 1;
    }

    for (i = 0; i < rw->nset; i++) {
        if (!rw->set[i].off) {
            return 1;
        }
    }

    /* nginx keeps a fragment, which no browser sends, in the URI alone */

    return rw->deny
           && memchr(r->unparsed_uri.data, '#', r->unparsed_uri.len) != NULL;
}


static ngx_int_t
ngx_http_sgtm_commit_args(ngx_http_request_t *r, sgtm_rewrite_t *rw,
    ngx_str_t *in)
{
    size_t     size;
    ngx_str_t  args;

    size = sgtm_rewrite_size(rw, in->len);

    args.data = ngx_http_sgtm_log_alloc(r, size);
    if (args.data == NULL) {
        return NGX_ERROR;
    }

    args.len = sgtm_rewrite_query(rw, ngx_http_sgtm_str(in), args.data);

    ngx_http_sgtm_log_args(r, &args);

    r->args = args;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_commit_lines(ngx_http_request_t *r, sgtm_rewrite_t *rw,
    ngx_str_t *body)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, body->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_commit_body(r, p,
                       sgtm_rewrite_body(rw, ngx_http_sgtm_str(body), p));
}


ngx_int_t
ngx_http_sgtm_commit_cut(ngx_http_request_t *r, sgtm_event_t *events,
    ngx_uint_t n, ngx_str_t *body)
{
    u_char  *p;

    if (body->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, body->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->len = sgtm_events_cut(events, n, ngx_http_sgtm_str(body), p);
    body->data = p;

    return ngx_http_sgtm_commit_body(r, body->data, body->len);
}


ngx_int_t
ngx_http_sgtm_commit_body(ngx_http_request_t *r, u_char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    /* start stays pos: a retry of nginx's begins there again */

    b->start = data;
    b->pos = data;
    b->last = data + len;
    b->end = b->last;

    b->temporary = 1;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    /* an empty buffer is none, and $request_body_file is not what was sent */

    r->request_body->bufs = (b->last == b->pos) ? NULL : cl;
    r->request_body->temp_file = NULL;
    r->headers_in.content_length_n = b->last - b->pos;

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_commit_user_data(ngx_http_request_t *r, ngx_uint_t lines)
{
    u_char     *p;
    size_t      size;
    ngx_str_t   args, body;

    size = sgtm_user_size(ngx_http_sgtm_str(&r->args));

    if (size) {
        args.data = ngx_http_sgtm_log_alloc(r, size);
        if (args.data == NULL) {
            return NGX_ERROR;
        }

        args.len = sgtm_user_args(ngx_http_sgtm_str(&r->args), args.data);

        ngx_http_sgtm_log_args(r, &args);

        r->args = args;
    }

    if (!lines) {
        return NGX_OK;
    }

    if (ngx_http_sgtm_body_text(r, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    size = sgtm_user_size(ngx_http_sgtm_str(&body));

    if (size == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_commit_body(r, p,
                                sgtm_user_args(ngx_http_sgtm_str(&body), p));
}
