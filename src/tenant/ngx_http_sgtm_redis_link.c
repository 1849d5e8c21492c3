
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The owner's two connections, one for commands and one for messages: to which
 * address, with which user, and what comes after a failure.
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis_core.h"


#define NGX_HTTP_SGTM_REDIS_CONNECT    3000
#define NGX_HTTP_SGTM_REDIS_WAIT       5000
#define NGX_HTTP_SGTM_REDIS_DEADLINE   60000

/* pages of the log and records are less; what is more is none of them */
#define NGX_HTTP_SGTM_REDIS_REPLY_MAX  (8 * 1024 * 1024)

/* the first pause between two rounds, and the longest */
#define NGX_HTTP_SGTM_REDIS_BACKOFF    100
#define NGX_HTTP_SGTM_REDIS_PATIENCE   5000


static void ngx_http_sgtm_redis_conn(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_conn_t *conn, ngx_http_sgtm_redis_event_pt connected,
    ngx_http_sgtm_redis_event_pt closed);
static void ngx_http_sgtm_redis_connect_handler(ngx_event_t *ev);
static void ngx_http_sgtm_redis_connected(ngx_http_sgtm_redis_conn_t *conn);
static ngx_int_t ngx_http_sgtm_redis_auth(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_conn_t *conn);
static void ngx_http_sgtm_redis_role(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_closed(ngx_http_sgtm_redis_conn_t *conn);
static ngx_msec_t ngx_http_sgtm_redis_delay(ngx_msec_t *backoff);
static void ngx_http_sgtm_redis_complain(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_subscribe_handler(ngx_event_t *ev);
static void ngx_http_sgtm_redis_subscribed(ngx_http_sgtm_redis_conn_t *conn);
static void ngx_http_sgtm_redis_listen(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_deaf(ngx_http_sgtm_redis_conn_t *conn);
static void ngx_http_sgtm_redis_ok_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);
static void ngx_http_sgtm_redis_role_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);
static void ngx_http_sgtm_redis_message(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);


static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_ok_call = {
    ngx_http_sgtm_redis_ok_reply
};

static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_role_call = {
    ngx_http_sgtm_redis_role_reply
};

static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_message_call = {
    ngx_http_sgtm_redis_message
};


void
ngx_http_sgtm_redis_link_init(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_conn(o, &o->command, ngx_http_sgtm_redis_connected,
                             ngx_http_sgtm_redis_closed);
    ngx_http_sgtm_redis_conn(o, &o->messages, ngx_http_sgtm_redis_subscribed,
                             ngx_http_sgtm_redis_deaf);

    o->connect.handler = ngx_http_sgtm_redis_connect_handler;
    o->connect.data = &o->dummy;
    o->connect.log = o->log;
    o->connect.cancelable = 1;

    o->subscribe.handler = ngx_http_sgtm_redis_subscribe_handler;
    o->subscribe.data = &o->dummy;
    o->subscribe.log = o->log;
    o->subscribe.cancelable = 1;

    o->backoff = NGX_HTTP_SGTM_REDIS_BACKOFF;
    o->subscribe_backoff = NGX_HTTP_SGTM_REDIS_BACKOFF;

    ngx_add_timer(&o->connect, 1);
}


static void
ngx_http_sgtm_redis_conn(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_conn_t *conn, ngx_http_sgtm_redis_event_pt connected,
    ngx_http_sgtm_redis_event_pt closed)
{
    conn->connected = connected;
    conn->closed = closed;
    conn->data = o;
    conn->log = o->log;

    conn->connect_timeout = NGX_HTTP_SGTM_REDIS_CONNECT;
    conn->timeout = NGX_HTTP_SGTM_REDIS_WAIT;
    conn->deadline = NGX_HTTP_SGTM_REDIS_DEADLINE;
    conn->max_reply = NGX_HTTP_SGTM_REDIS_REPLY_MAX;
}


void
ngx_http_sgtm_redis_link_end(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_abort(o);

    ngx_http_sgtm_redis_close(&o->command);
    ngx_http_sgtm_redis_close(&o->messages);

    ngx_http_sgtm_redis_share_end(o);

    if (o->connect.timer_set) {
        ngx_del_timer(&o->connect);
    }

    if (o->subscribe.timer_set) {
        ngx_del_timer(&o->subscribe);
    }

    o->ready = 0;
}


/* a replica may have lost its master, a peer be gone that says nothing */

void
ngx_http_sgtm_redis_link_tick(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_role(o);

    if (o->stat->subscribed) {
        ngx_http_sgtm_redis_listen(o);
    }
}


static void
ngx_http_sgtm_redis_connect_handler(ngx_event_t *ev)
{
    ngx_addr_t                   *addr;
    ngx_http_sgtm_redis_owner_t  *o;

    o = ngx_http_sgtm_redis_owner(ev);

    if (ngx_http_sgtm_redis_ended(o)) {
        return;
    }

    addr = ngx_http_sgtm_redis_addr(o);

    (void) ngx_cpystrn(o->stat->address, addr->name.data,
                       ngx_min(addr->name.len + 1,
                               NGX_HTTP_SGTM_REDIS_ADDRESS));

    if (ngx_http_sgtm_redis_open(&o->command, addr) != NGX_OK) {
        ngx_http_sgtm_redis_closed(&o->command);
    }
}


/* all of it goes at once: the first thing that is refused ends it */

static void
ngx_http_sgtm_redis_connected(ngx_http_sgtm_redis_conn_t *conn)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    ngx_str_t  args[2];

    o->stat->connects++;

    if (ngx_http_sgtm_redis_auth(o, conn) != NGX_OK) {
        return;
    }

    if (o->conf->db.len) {
        ngx_str_set(&args[0], "SELECT");
        args[1] = o->conf->db;

        if (ngx_http_sgtm_redis_send(conn, &ngx_http_sgtm_redis_ok_call,
                                     args, 2)
            != NGX_OK)
        {
            ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_MEMORY);
            return;
        }
    }

    ngx_http_sgtm_redis_role(o);
    ngx_http_sgtm_redis_check(o);
}


static ngx_int_t
ngx_http_sgtm_redis_auth(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_conn_t *conn)
{
    ngx_str_t   args[3];
    ngx_uint_t  n;

    if (o->conf->password.len == 0) {
        return NGX_OK;
    }

    ngx_str_set(&args[0], "AUTH");
    n = 1;

    if (o->conf->user.len) {
        args[n++] = o->conf->user;
    }

    args[n++] = o->conf->password;

    if (ngx_http_sgtm_redis_send(conn, &ngx_http_sgtm_redis_ok_call, args, n)
        != NGX_OK)
    {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_MEMORY);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_sgtm_redis_role(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_str_t  args[1];

    ngx_str_set(&args[0], "ROLE");

    if (ngx_http_sgtm_redis_send(&o->command, &ngx_http_sgtm_redis_role_call,
                                 args, 1)
        != NGX_OK)
    {
        ngx_http_sgtm_redis_fail(&o->command, NGX_HTTP_SGTM_REDIS_MEMORY);
    }
}


/*
 * The other addresses come next, at once; when all have failed there is a pause
 * that grows, and that differs from machine to machine.
 */

static void
ngx_http_sgtm_redis_closed(ngx_http_sgtm_redis_conn_t *conn)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    ngx_msec_t  delay;

    ngx_http_sgtm_redis_abort(o);
    ngx_http_sgtm_redis_close(&o->messages);

    o->ready = 0;
    o->stat->subscribed = 0;

    if (o->subscribe.timer_set) {
        ngx_del_timer(&o->subscribe);
    }

    if (ngx_http_sgtm_redis_ended(o)) {
        return;
    }

    o->stat->failures++;
    o->stat->error = conn->error;

    ngx_http_sgtm_redis_complain(o);

    o->addr = (o->addr + 1) % o->conf->addrs.nelts;
    delay = 1;

    if (++o->tried >= o->conf->addrs.nelts) {
        o->tried = 0;
        delay = ngx_http_sgtm_redis_delay(&o->backoff);

        ngx_http_sgtm_redis_set_state(o, NGX_HTTP_SGTM_REDIS_AWAY);
    }

    ngx_add_timer(&o->connect, delay);
}


static ngx_msec_t
ngx_http_sgtm_redis_delay(ngx_msec_t *backoff)
{
    ngx_msec_t  delay;

    delay = *backoff / 2 + ngx_random() % (*backoff / 2 + 1);

    *backoff = ngx_min(*backoff * 2, NGX_HTTP_SGTM_REDIS_PATIENCE);

    return delay;
}


/* what is wrong with an address is said once, until it is something else */

static void
ngx_http_sgtm_redis_complain(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_uint_t  error;

    error = o->command.error;

    if (o->errors[o->addr] == error) {
        return;
    }

    o->errors[o->addr] = error;

    ngx_log_error(NGX_LOG_WARN, o->log, o->command.err,
                  "redis \"%V\" %V, tenants are served from memory",
                  &ngx_http_sgtm_redis_addr(o)->name,
                  &ngx_http_sgtm_redis_errors[error].text);
}


void
ngx_http_sgtm_redis_answered(ngx_http_sgtm_redis_owner_t *o)
{
    if (o->ready) {
        return;
    }

    o->ready = 1;
    o->tried = 0;
    o->backoff = NGX_HTTP_SGTM_REDIS_BACKOFF;
    o->stat->error = NGX_HTTP_SGTM_REDIS_FINE;

    ngx_memzero(o->errors, o->conf->addrs.nelts * sizeof(ngx_uint_t));

    o->deaf = NGX_HTTP_SGTM_REDIS_FINE;
    o->messages.error = NGX_HTTP_SGTM_REDIS_FINE;
    o->subscribe_backoff = NGX_HTTP_SGTM_REDIS_BACKOFF;

    ngx_add_timer(&o->subscribe, 1);
}


static void
ngx_http_sgtm_redis_subscribe_handler(ngx_event_t *ev)
{
    ngx_http_sgtm_redis_conn_t   *conn;
    ngx_http_sgtm_redis_owner_t  *o;

    o = ngx_http_sgtm_redis_owner(ev);
    conn = &o->messages;

    if (ngx_http_sgtm_redis_ended(o) || !o->ready) {
        return;
    }

    /* if only this one has failed it is worth a word */

    if (conn->error != o->deaf) {
        o->deaf = conn->error;

        ngx_log_error(NGX_LOG_WARN, o->log, conn->err,
                      "redis \"%V\" %V, its messages are missed: changes "
                      "take a second",
                      &ngx_http_sgtm_redis_addr(o)->name,
                      &ngx_http_sgtm_redis_errors[conn->error].text);
    }

    if (ngx_http_sgtm_redis_open(conn, ngx_http_sgtm_redis_addr(o))
        != NGX_OK)
    {
        ngx_http_sgtm_redis_deaf(conn);
    }
}


static void
ngx_http_sgtm_redis_subscribed(ngx_http_sgtm_redis_conn_t *conn)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    if (ngx_http_sgtm_redis_auth(o, conn) == NGX_OK) {
        ngx_http_sgtm_redis_listen(o);
    }
}


/* the answer comes again each time: a peer that is gone has none */

static void
ngx_http_sgtm_redis_listen(ngx_http_sgtm_redis_owner_t *o)
{
    if (ngx_http_sgtm_redis_subscribe(&o->messages,
                                      &ngx_http_sgtm_redis_message_call,
                                      &o->conf->changed)
        != NGX_OK)
    {
        ngx_http_sgtm_redis_fail(&o->messages, NGX_HTTP_SGTM_REDIS_MEMORY);
    }
}


static void
ngx_http_sgtm_redis_deaf(ngx_http_sgtm_redis_conn_t *conn)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    o->stat->subscribed = 0;

    if (ngx_http_sgtm_redis_ended(o) || !o->ready) {
        return;
    }

    ngx_add_timer(&o->subscribe,
                  ngx_http_sgtm_redis_delay(&o->subscribe_backoff));
}


static void
ngx_http_sgtm_redis_ok_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_sgtm_redis_fail(conn, ngx_http_sgtm_redis_error(reply->str,
                                                                 reply->len));
    }
}


/*
 * A replica will do as long as it hears from its master; who may not ask for
 * the role, or whose Redis has none, is believed.
 */

static void
ngx_http_sgtm_redis_role_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    redisReply  *link;

    if (reply->type != REDIS_REPLY_ARRAY
        || reply->elements < 4
        || reply->element[0]->type != REDIS_REPLY_STRING
        || ngx_strcmp(reply->element[0]->str, "slave") != 0)
    {
        o->stat->replica = 0;
        return;
    }

    o->stat->replica = 1;
    link = reply->element[3];

    if (link->type != REDIS_REPLY_STRING
        || ngx_strcmp(link->str, "connected") != 0)
    {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_REPLICA);
    }
}


/* whatever it says: that there is something is enough */

static void
ngx_http_sgtm_redis_message(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3
        && reply->element[0]->str && reply->element[0]->str[0] == 's')
    {
        if (o->deaf != NGX_HTTP_SGTM_REDIS_FINE) {
            o->deaf = NGX_HTTP_SGTM_REDIS_FINE;

            ngx_log_error(NGX_LOG_NOTICE, o->log, 0,
                          "redis \"%V\": its messages arrive again",
                          &ngx_http_sgtm_redis_addr(o)->name);
        }

        o->stat->subscribed = 1;
        o->subscribe_backoff = NGX_HTTP_SGTM_REDIS_BACKOFF;
    }

    ngx_http_sgtm_redis_check(o);
}
