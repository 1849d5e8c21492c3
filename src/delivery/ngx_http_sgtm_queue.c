
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../gate/ngx_http_sgtm_answer.h"
#include "../gate/ngx_http_sgtm_body.h"
#include "../gate/ngx_http_sgtm_dedup.h"
#include "../gate/ngx_http_sgtm_ctx.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "../ops/ngx_http_sgtm_meter.h"
#include "../place/ngx_http_sgtm_residency.h"
#include "ngx_http_sgtm_courier.h"
#include "ngx_http_sgtm_fallback.h"
#include "ngx_http_sgtm_fill.h"
#include "ngx_http_sgtm_queue.h"
#include "ngx_http_sgtm_spool.h"


static ngx_http_sgtm_put_t *ngx_http_sgtm_queue_put(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static uint64_t ngx_http_sgtm_queue_client(ngx_http_sgtm_ctx_t *ctx);
static u_char *ngx_http_sgtm_queue_copy(u_char *p, sgtm_str_t *dst,
    ngx_str_t *src);
static size_t ngx_http_sgtm_queue_headers(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, u_char *p);
static size_t ngx_http_sgtm_queue_own(ngx_http_sgtm_ctx_t *ctx, u_char *p);
static u_char *ngx_http_sgtm_queue_header(u_char *p, ngx_str_t *name,
    ngx_str_t *value);
static void ngx_http_sgtm_queue_kept(ngx_http_sgtm_put_t *put);
static ngx_int_t ngx_http_sgtm_queue_answer(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_sgtm_queue_late(ngx_http_sgtm_put_t *put);
static void ngx_http_sgtm_queue_unkept(ngx_http_sgtm_put_t *put);


static ngx_str_t  ngx_http_sgtm_queue_names[] = {
    ngx_string(NGX_HTTP_SGTM_RESIDENCY_HEADER),
    ngx_string(NGX_HTTP_SGTM_FILL_HEADER),
    ngx_null_string
};


ngx_uint_t
ngx_http_sgtm_queue_may(ngx_http_sgtm_ctx_t *ctx)
{
    return ctx->conf->target != NULL
           && ctx->committed
           && !ctx->preview
           && ngx_http_sgtm_route_is_hit(ctx->route);
}


ngx_uint_t
ngx_http_sgtm_queue_is(ngx_http_sgtm_ctx_t *ctx)
{
    return (ctx->conf->delivery == NGX_HTTP_SGTM_DELIVERY_QUEUED
            || ctx->limited)
           && ngx_http_sgtm_queue_may(ctx);
}


ngx_int_t
ngx_http_sgtm_queue_handler(ngx_http_request_t *r)
{
    ngx_http_sgtm_put_t  *put;
    ngx_http_sgtm_ctx_t  *ctx;

    ctx = ngx_http_sgtm_get_ctx(r);

    put = ngx_http_sgtm_queue_put(r, ctx);

    if (put == NULL) {
        return ngx_http_sgtm_queue_answer(r, ctx, NGX_ERROR);
    }

    put->handler = ngx_http_sgtm_queue_kept;
    put->data = ctx;

    if (ngx_http_sgtm_spool_put(put) != NGX_OK) {
        ngx_free(put);
        return ngx_http_sgtm_queue_answer(r, ctx, NGX_ERROR);
    }

    ctx->put = 1;

    /* after a failure, too, it is open again what becomes of it */

    ctx->disposition = NGX_HTTP_SGTM_UNDECIDED;

    /* the client may leave: the hit is kept, and the request waits for it */

    r->main->count++;
    r->main->blocked++;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_DONE;
}


/* a hit as it is sent, in one block; NULL: no memory */

static ngx_http_sgtm_put_t *
ngx_http_sgtm_queue_put(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    size_t                size, headers;
    u_char               *p;
    ngx_str_t             body;
    ngx_time_t           *tp;
    sgtm_record_t        *record;
    ngx_http_sgtm_put_t  *put;

    if (ngx_http_sgtm_body_text(r, &body) != NGX_OK) {
        return NULL;
    }

    headers = ngx_http_sgtm_queue_headers(r, ctx, NULL);

    size = sizeof(ngx_http_sgtm_put_t)
           + ctx->conf->target->node.str.len + ctx->tenant->node.str.len
           + ctx->method.len + 1 + ctx->path.len + ctx->args.len
           + headers + body.len;

    put = ngx_alloc(size, r->connection->log);
    if (put == NULL) {
        return NULL;
    }

    ngx_memzero(put, sizeof(ngx_http_sgtm_put_t));
    put->size = size;

    record = &put->record;
    tp = ngx_timeofday();

    record->time = (int64_t) tp->sec * 1000 + tp->msec;
    record->client = ngx_http_sgtm_queue_client(ctx);
    record->events = ctx->events - ctx->duplicates - ctx->routed;

    /* it is accepted when it is kept, as the courier will see it */

    if (ctx->month) {
        ctx->month = sgtm_meter_month(tp->sec);
    }

    p = (u_char *) put + sizeof(ngx_http_sgtm_put_t);

    p = ngx_http_sgtm_queue_copy(p, &record->target,
                                 &ctx->conf->target->node.str);
    p = ngx_http_sgtm_queue_copy(p, &record->tenant, &ctx->tenant->node.str);
    p = ngx_http_sgtm_queue_copy(p, &record->method, &ctx->method);
    p = ngx_http_sgtm_queue_copy(p, &record->args, &ctx->args);

    record->uri.data = p;
    record->uri.len = 1 + ctx->path.len;

    *p++ = '/';
    p = ngx_cpymem(p, ctx->path.data, ctx->path.len);

    p = ngx_http_sgtm_queue_copy(p, &record->body, &body);

    record->headers.data = p;
    record->headers.len = headers;

    (void) ngx_http_sgtm_queue_headers(r, ctx, p);

    return put;
}


/*
 * A number for the client of a hit, by whose order it is delivered: the same
 * for the same client id of a tenant.
 */

static uint64_t
ngx_http_sgtm_queue_client(ngx_http_sgtm_ctx_t *ctx)
{
    sgtm_str_t  *id;

    id = &ctx->client;

    if (id->len == 0) {
        return 0;
    }

    return ((uint64_t) ngx_murmur_hash2((u_char *) id->data, id->len) << 32
            | ngx_crc32_long((u_char *) id->data, id->len))
           ^ ctx->tenant->node.node.key;
}


static u_char *
ngx_http_sgtm_queue_copy(u_char *p, sgtm_str_t *dst, ngx_str_t *src)
{
    dst->data = p;
    dst->len = src->len;

    return src->len ? ngx_cpymem(p, src->data, src->len) : p;
}


/*
 * Writes the committed headers as text, or with p NULL only counts bytes.  The
 * gate's own are nobody else's.
 */

static size_t
ngx_http_sgtm_queue_headers(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    u_char *p)
{
    size_t            size;
    ngx_str_t        *own;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    size = ngx_http_sgtm_queue_own(ctx, p);

    if (p) {
        p += size;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (own = ngx_http_sgtm_queue_names; own->len; own++) {
                if (h[i].key.len == own->len
                    && ngx_strncasecmp(h[i].key.data, own->data, own->len)
                       == 0)
                {
                    break;
                }
            }

            if (own->len) {
                continue;
            }

            size += h[i].key.len + 2 + h[i].value.len + 2;

            if (p) {
                p = ngx_http_sgtm_queue_header(p, &h[i].key, &h[i].value);
            }
        }
    }

    return size;
}


/* what a stored hit can't be asked again */

static size_t
ngx_http_sgtm_queue_own(ngx_http_sgtm_ctx_t *ctx, u_char *p)
{
    size_t      size;
    ngx_str_t  *name, value;

    static ngx_str_t  eu = ngx_string("eu");

    size = 0;
    name = ngx_http_sgtm_queue_names;

    if (ctx->region == NGX_HTTP_SGTM_REGION_EU) {

        size += name[0].len + 2 + eu.len + 2;

        if (p) {
            p = ngx_http_sgtm_queue_header(p, &name[0], &eu);
        }
    }

    value.len = ngx_http_sgtm_fill_header(ctx, NULL);

    if (value.len) {

        size += name[1].len + 2 + value.len + 2;

        if (p) {
            value.data = p + name[1].len + 2;

            (void) ngx_http_sgtm_fill_header(ctx, value.data);
            (void) ngx_http_sgtm_queue_header(p, &name[1], &value);
        }
    }

    return size;
}


/* the value may be in its place already */

static u_char *
ngx_http_sgtm_queue_header(u_char *p, ngx_str_t *name, ngx_str_t *value)
{
    p = ngx_cpymem(p, name->data, name->len);
    *p++ = ':'; *p++ = ' ';

    p = ngx_movemem(p, value->data, value->len);
    *p++ = CR; *p++ = LF;

    return p;
}


static void
ngx_http_sgtm_queue_kept(ngx_http_sgtm_put_t *put)
{
    ngx_http_sgtm_ctx_t *ctx = put->data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;

    if (ctx->ended) {

        /* nginx had to end the request, and waits for this alone */

        ngx_http_sgtm_dedup_settle(ctx->detached, put->rc == NGX_OK);

        if (put->rc != NGX_OK) {
            ngx_http_sgtm_queue_unkept(put);
        }

        r->write_event_handler(r);
        ngx_http_run_posted_requests(c);

        return;
    }

    ngx_http_finalize_request(r, ngx_http_sgtm_queue_answer(r, ctx, put->rc));

    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_http_sgtm_queue_answer(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_int_t rc)
{
    if (rc == NGX_OK) {
        ctx->disposition = NGX_HTTP_SGTM_QUEUED;

        return ngx_http_sgtm_answer_text(r, ctx, NGX_HTTP_NO_CONTENT,
                                         ctx->reason);
    }

    ctx->put = 1;
    ctx->disposition = NGX_HTTP_SGTM_FAILED;
    ctx->reason = NGX_HTTP_SGTM_REASON_SPOOL;

    return ngx_http_sgtm_fallback_later(r, ctx);
}


void
ngx_http_sgtm_queue_end(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_http_sgtm_put_t  *put;

    ctx->ended = 1;

    if (ctx->put) {

        if (ctx->disposition == NGX_HTTP_SGTM_UNDECIDED) {
            ctx->disposition = NGX_HTTP_SGTM_QUEUED;
            ctx->detached = ngx_http_sgtm_dedup_detach(ctx);
        }

        return;
    }

    /* an answer of the tagging server's, but for a failure, is one */

    if ((ctx->conf->fallback != NGX_HTTP_SGTM_FALLBACK_QUEUE
         && ctx->conf->delivery != NGX_HTTP_SGTM_DELIVERY_QUEUED)
        || !ngx_http_sgtm_queue_may(ctx)
        || (ctx->upstream_status
            && ctx->upstream_status < NGX_HTTP_INTERNAL_SERVER_ERROR
            && !ngx_http_sgtm_unfollowed(ctx)))
    {
        return;
    }

    put = ngx_http_sgtm_queue_put(r, ctx);

    if (put) {
        put->handler = ngx_http_sgtm_queue_late;
        put->reserved = ngx_http_sgtm_dedup_detach(ctx);

        if (ngx_http_sgtm_spool_put(put) == NGX_OK) {
            ctx->put = 1;
            ctx->disposition = NGX_HTTP_SGTM_QUEUED;
            return;
        }

        ngx_http_sgtm_dedup_settle(put->reserved, 0);
        ngx_free(put);
    }

    ctx->disposition = NGX_HTTP_SGTM_FAILED;
    ctx->reason = NGX_HTTP_SGTM_REASON_SPOOL;
}


/* the request is gone, and was counted as queued */

static void
ngx_http_sgtm_queue_late(ngx_http_sgtm_put_t *put)
{
    ngx_http_sgtm_dedup_settle(put->reserved, put->rc == NGX_OK);

    if (put->rc != NGX_OK) {
        ngx_http_sgtm_queue_unkept(put);
    }
}


static void
ngx_http_sgtm_queue_unkept(ngx_http_sgtm_put_t *put)
{
    ngx_http_sgtm_count_unkept(&put->record.tenant);

    ngx_http_sgtm_meter_later(&put->record.tenant, put->record.time,
                              put->record.events, SGTM_METER_FAILED);
}
