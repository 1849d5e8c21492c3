
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../gate/ngx_http_sgtm_log.h"
#include "ngx_http_sgtm_detached.h"


/* holds what is not the request's own: connection, log and its context */
#define NGX_HTTP_SGTM_DETACHED_POOL  1024


static ngx_connection_t *ngx_http_sgtm_detached_connection(
    ngx_http_sgtm_detached_t *d);
static ngx_http_connection_t *ngx_http_sgtm_detached_http(ngx_connection_t *c,
    ngx_http_sgtm_detached_t *d);
static u_char *ngx_http_sgtm_detached_log(ngx_log_t *log, u_char *buf,
    size_t len);
static void ngx_http_sgtm_detached_prepare(ngx_connection_t *c);
static void ngx_http_sgtm_detached_forget(void *data);
static void ngx_http_sgtm_detached_cleanup(void *data);
static void ngx_http_sgtm_detached_outcome(ngx_http_sgtm_detached_t *d);
static time_t ngx_http_sgtm_detached_retry_after(ngx_http_upstream_t *u);
static void ngx_http_sgtm_detached_done(ngx_event_t *ev);
static void ngx_http_sgtm_detached_handler(ngx_event_t *ev);
static ssize_t ngx_http_sgtm_detached_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_chain_t *ngx_http_sgtm_detached_sink(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);


/* a peer without a name: no address in a log that looks like a visitor's */

static struct sockaddr_un  ngx_http_sgtm_detached_sockaddr = {
    .sun_family = AF_UNIX
};


/* /dev/null: one for all connections of a worker, none of which closes it */

static ngx_socket_t  ngx_http_sgtm_detached_fd = (ngx_socket_t) -1;


ngx_int_t
ngx_http_sgtm_detached_send(ngx_http_sgtm_detached_t *d)
{
    ngx_connection_t    *c;
    ngx_pool_cleanup_t  *cln;
    ngx_http_cleanup_t  *end;
    ngx_http_request_t  *r;

    /* it takes two; with an eighth left, nginx stops accepting clients */

    if (ngx_cycle->free_connection_n + ngx_cycle->reusable_connections_n
        < ngx_cycle->connection_n / 8 + 2)
    {
        return NGX_DECLINED;
    }

    d->status = 0;
    d->timeout = 0;
    d->retry_after = -1;

    ngx_memzero(&d->fill, sizeof(ngx_http_sgtm_fill_t));
    ngx_memzero(&d->event, sizeof(ngx_event_t));

    d->event.data = d;
    d->event.handler = ngx_http_sgtm_detached_done;
    d->event.log = ngx_cycle->log;

    c = ngx_http_sgtm_detached_connection(d);
    if (c == NULL) {
        return NGX_ERROR;
    }

    r = ngx_http_create_request(c);
    if (r == NULL) {
        ngx_http_close_connection(c);
        return NGX_ERROR;
    }

    c->data = r;
    d->request = r;

    r->logged = !d->log;
    ngx_http_sgtm_log_init(r);

    cln = NULL;
    end = ngx_http_cleanup_add(r, 0);

    if (end && ngx_http_sgtm_detached_fill(r, d) == NGX_OK) {
        cln = ngx_pool_cleanup_add(r->pool, 0);
    }

    if (cln == NULL) {
        r->logged = 1;
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_ERROR;
    }

    /* of the request: it runs before the log */

    end->handler = ngx_http_sgtm_detached_forget;
    end->data = d;

    /* of the pool, not of the request: it runs after the log */

    cln->handler = ngx_http_sgtm_detached_cleanup;
    cln->data = d;

    (void) ngx_http_named_location(r, &d->location);

    ngx_http_finalize_request(r, NGX_DONE);
    ngx_http_run_posted_requests(c);

    return NGX_OK;
}


ngx_http_sgtm_detached_t *
ngx_http_sgtm_detached_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    if (r->connection->send_chain != ngx_http_sgtm_detached_sink) {
        return NULL;
    }

    for (cln = r->main->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_sgtm_detached_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_connection_t *
ngx_http_sgtm_detached_connection(ngx_http_sgtm_detached_t *d)
{
    ngx_connection_t  *c;

    c = ngx_http_sgtm_detached_null();
    if (c == NULL) {
        return NULL;
    }

    c->pool = ngx_create_pool(NGX_HTTP_SGTM_DETACHED_POOL, ngx_cycle->log);
    if (c->pool == NULL) {
        ngx_close_connection(c);
        return NULL;
    }

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    c->data = ngx_http_sgtm_detached_http(c, d);
    if (c->data == NULL) {
        ngx_http_close_connection(c);
        return NULL;
    }

    ngx_http_sgtm_detached_prepare(c);

    return c;
}


ngx_connection_t *
ngx_http_sgtm_detached_null(void)
{
    ngx_connection_t  *c;

    if (ngx_http_sgtm_detached_fd == (ngx_socket_t) -1) {

        ngx_http_sgtm_detached_fd = ngx_open_file("/dev/null", NGX_FILE_RDWR,
                                                  NGX_FILE_OPEN, 0);

        if (ngx_http_sgtm_detached_fd == (ngx_socket_t) -1) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                          ngx_open_file_n " \"/dev/null\" failed");
            return NULL;
        }
    }

    c = ngx_get_connection(ngx_http_sgtm_detached_fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    /* the descriptor is not this connection's to close */

    c->shared = 1;

    return c;
}


static ngx_http_connection_t *
ngx_http_sgtm_detached_http(ngx_connection_t *c, ngx_http_sgtm_detached_t *d)
{
    ngx_log_t              *log;
    ngx_http_log_ctx_t     *ctx;
    ngx_http_connection_t  *hc;

    hc = ngx_pcalloc(c->pool, sizeof(ngx_http_connection_t));
    log = ngx_palloc(c->pool, sizeof(ngx_log_t));
    ctx = ngx_palloc(c->pool, sizeof(ngx_http_log_ctx_t));
    c->buffer = ngx_calloc_buf(c->pool);

    if (hc == NULL || log == NULL || ctx == NULL || c->buffer == NULL) {
        return NULL;
    }

    hc->conf_ctx = d->server->ctx;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    ctx->connection = c;
    ctx->request = NULL;
    ctx->current_request = NULL;

    *log = *ngx_cycle->log;
    log->connection = c->number;
    log->handler = ngx_http_sgtm_detached_log;
    log->data = ctx;
    log->action = "delivering a hit";

    c->log = log;
    c->pool->log = log;
    c->read->log = log;
    c->write->log = log;
    c->log_error = NGX_ERROR_INFO;

    return hc;
}


/* as nginx's own, but for a client */

static u_char *
ngx_http_sgtm_detached_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char              *p;
    ngx_http_request_t  *r;
    ngx_http_log_ctx_t  *ctx;

    p = buf;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
    }

    ctx = log->data;
    r = ctx->request;

    return r ? r->log_handler(r, ctx->current_request, p, len) : p;
}


static void
ngx_http_sgtm_detached_prepare(ngx_connection_t *c)
{
    c->start_time = ngx_current_msec;

    /* modules may ask where a connection came in: some must be it */

    c->listening = ngx_cycle->listening.elts;

    c->sockaddr = (struct sockaddr *) &ngx_http_sgtm_detached_sockaddr;
    c->socklen = offsetof(struct sockaddr_un, sun_path);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;
    ngx_str_set(&c->addr_text, "unix:");

    c->recv = ngx_http_sgtm_detached_recv;
    c->send_chain = ngx_http_sgtm_detached_sink;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    /* epoll takes no such descriptor, and no lingering close may begin */

    c->read->active = 1;
    c->read->eof = 1;
    c->read->handler = ngx_http_sgtm_detached_handler;

    c->write->active = 1;
    c->write->ready = 1;
    c->write->handler = ngx_http_sgtm_detached_handler;
}


/* what was added for the tagging server alone */

static void
ngx_http_sgtm_detached_forget(void *data)
{
    ngx_http_sgtm_detached_t *d = data;

    ngx_http_sgtm_fill_end(d->request, &d->fill);
}


static void
ngx_http_sgtm_detached_cleanup(void *data)
{
    ngx_http_sgtm_detached_t *d = data;

    ngx_http_sgtm_detached_outcome(d);

    d->request = NULL;

    ngx_post_event(&d->event, &ngx_posted_events);
}


/*
 * What the last peer that was tried has answered.  The request's own status
 * says less: an error_page may have made a page of a failure.
 */

static void
ngx_http_sgtm_detached_outcome(ngx_http_sgtm_detached_t *d)
{
    ngx_uint_t                  i;
    ngx_http_request_t         *r;
    ngx_http_upstream_state_t  *state;

    r = d->request;

    if (r->upstream_states == NULL) {
        return;
    }

    state = r->upstream_states->elts;

    for (i = r->upstream_states->nelts; i; i--) {

        /* without one: not tried, or between two internal redirects */

        if (state[i - 1].status) {
            break;
        }
    }

    if (i == 0) {
        return;
    }

    state += i - 1;

    /* nginx gives a status of its own to what had no header */

    if (state->header_time == (ngx_msec_t) -1) {
        d->timeout = (state->status == NGX_HTTP_GATEWAY_TIME_OUT);
        return;
    }

    d->status = state->status;

    if (r->upstream) {
        d->retry_after = ngx_http_sgtm_detached_retry_after(r->upstream);
    }
}


static time_t
ngx_http_sgtm_detached_retry_after(ngx_http_upstream_t *u)
{
    time_t            time;
    ngx_int_t         n;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &u->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0
                || h[i].key.len != sizeof("Retry-After") - 1
                || ngx_strncasecmp(h[i].key.data, (u_char *) "Retry-After",
                                   sizeof("Retry-After") - 1)
                   != 0)
            {
                continue;
            }

            n = ngx_atoi(h[i].value.data, h[i].value.len);
            if (n != NGX_ERROR) {
                return n;
            }

            time = ngx_parse_http_time(h[i].value.data, h[i].value.len);
            if (time == NGX_ERROR) {
                return -1;
            }

            return (time > ngx_time()) ? time - ngx_time() : 0;
        }
    }

    return -1;
}


static void
ngx_http_sgtm_detached_done(ngx_event_t *ev)
{
    ngx_http_sgtm_detached_t  *d;

    d = ev->data;

    d->handler(d);
}


/*
 * Timers of phases that delay a request, and the end of worker_shutdown_timeout
 * come here: no other event does.
 */

static void
ngx_http_sgtm_detached_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    ngx_http_set_log_request(c->log, r);

    if (c->close) {
        c->error = 1;
        r->main->count++;
        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (ev->delayed && ev->timedout) {
        ev->delayed = 0;
        ev->timedout = 0;
    }

    if (ev->write) {
        r->write_event_handler(r);

    } else {
        r->read_event_handler(r);
    }

    ngx_http_run_posted_requests(c);
}


static ssize_t
ngx_http_sgtm_detached_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    return NGX_AGAIN;
}


/* takes whatever the answer is, so that the upstream's connection is kept */

static ngx_chain_t *
ngx_http_sgtm_detached_sink(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    ngx_buf_t  *b;

    for ( /* void */ ; in; in = in->next) {

        b = in->buf;

        if (ngx_buf_special(b)) {
            continue;
        }

        c->sent += ngx_buf_size(b);

        if (ngx_buf_in_memory(b)) {
            b->pos = b->last;
        }

        if (b->in_file) {
            b->file_pos = b->file_last;
        }
    }

    return NULL;
}
