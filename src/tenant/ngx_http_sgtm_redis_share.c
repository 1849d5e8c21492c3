
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The limits of a fleet: in rounds the owner adds the hits that tenants were
 * asked to take to counters in Redis, and sets this machine's parts of their
 * rates by what the counters say.
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_fleet.h"
#include "ngx_http_sgtm_redis_share.h"
#include "ngx_http_sgtm_zone.h"


/* counters expire, and when they are told anew not to */
#define NGX_HTTP_SGTM_REDIS_EXPIRE   "60"
#define NGX_HTTP_SGTM_REDIS_RENEW    20000

/* what was refused is tried again */
#define NGX_HTTP_SGTM_REDIS_REFUSAL  60000


static void ngx_http_sgtm_redis_share_handler(ngx_event_t *ev);
static ngx_uint_t ngx_http_sgtm_redis_share_alone(
    ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_share_count(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_share_step(ngx_event_t *ev);
static void ngx_http_sgtm_redis_share_go(ngx_http_sgtm_redis_owner_t *o);
static void ngx_http_sgtm_redis_share_visit(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_use_t *use);
static ngx_int_t ngx_http_sgtm_redis_share_send(
    ngx_http_sgtm_redis_owner_t *o, ngx_http_sgtm_redis_use_t *use);
static ngx_int_t ngx_http_sgtm_redis_share_expire(
    ngx_http_sgtm_redis_owner_t *o, ngx_str_t *key);
static void ngx_http_sgtm_redis_share_refuse(ngx_http_sgtm_redis_owner_t *o,
    redisReply *reply);
static void ngx_http_sgtm_redis_machines_reply(
    ngx_http_sgtm_redis_conn_t *conn, redisReply *reply);
static void ngx_http_sgtm_redis_use_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);
static void ngx_http_sgtm_redis_expire_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);


static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_machines_call = {
    ngx_http_sgtm_redis_machines_reply
};

static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_use_call = {
    ngx_http_sgtm_redis_use_reply
};

static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_expire_call = {
    ngx_http_sgtm_redis_expire_reply
};


ngx_int_t
ngx_http_sgtm_redis_share_init(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_main_conf_t *smcf, ngx_cycle_t *cycle)
{
    ngx_http_sgtm_redis_sharing_t  *s;

    s = ngx_pcalloc(cycle->pool, sizeof(ngx_http_sgtm_redis_sharing_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_sgtm_redis_use_init(s, smcf, cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    s->session = 1;

    s->timer.handler = ngx_http_sgtm_redis_share_handler;
    s->timer.data = &o->dummy;
    s->timer.log = o->log;
    s->timer.cancelable = 1;

    s->step.handler = ngx_http_sgtm_redis_share_step;
    s->step.data = &o->dummy;
    s->step.log = o->log;

    o->sharing = s;

    o->stat->sharing = 0;
    o->stat->machines = s->fleet->machines;
    o->stat->asked = 0;

    /* whatever an owner before has known, this one has to be told of */

    s->fleet->epoch = (ngx_atomic_uint_t) ngx_http_sgtm_now();

    ngx_add_timer(&s->timer, NGX_HTTP_SGTM_REDIS_ROUND);

    return NGX_OK;
}


void
ngx_http_sgtm_redis_share_lost(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_uint_t                      i;
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    for (i = 0; i < s->flight; i++) {
        s->flying[(s->first + i) % NGX_HTTP_SGTM_REDIS_FLIGHT]->flying = 0;
    }

    s->flight = 0;
    s->counting = 0;
    s->able = 0;
    s->off = 0;
    s->machines.time = 0;
    s->session++;

    o->stat->sharing = 0;

    if (s->next && !s->step.posted) {
        ngx_post_event(&s->step, &ngx_posted_next_events);
    }
}


void
ngx_http_sgtm_redis_share_end(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    if (s->step.posted) {
        ngx_delete_posted_event(&s->step);
    }
}


static void
ngx_http_sgtm_redis_share_handler(ngx_event_t *ev)
{
    uint64_t                        time;
    ngx_http_sgtm_redis_owner_t    *o;
    ngx_http_sgtm_redis_sharing_t  *s;

    o = ngx_http_sgtm_redis_owner(ev);
    s = o->sharing;

    if (ngx_http_sgtm_redis_ended(o)) {
        return;
    }

    ngx_add_timer(ev, NGX_HTTP_SGTM_REDIS_ROUND);

    time = ngx_http_sgtm_redis_clock();

    if (s->off
        && ngx_current_msec - s->refused > NGX_HTTP_SGTM_REDIS_REFUSAL)
    {
        s->off = 0;
    }

    ngx_http_sgtm_redis_use_learn(s);

    if (o->ready && !o->stat->replica && !s->off && !s->counting) {
        ngx_http_sgtm_redis_share_count(o);
    }

    o->stat->sharing = !ngx_http_sgtm_redis_share_alone(o);
    o->stat->asked = s->n;

    if (s->next == NULL) {
        s->next = ngx_queue_head(&s->list);
        ngx_http_sgtm_redis_share_go(o);
    }

    ngx_http_sgtm_redis_sliced(o, ngx_http_sgtm_redis_clock() - time);
}


static ngx_uint_t
ngx_http_sgtm_redis_share_alone(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    return !o->ready || o->stat->replica || s->off || !s->able;
}


/* one round more of this machine: so all know how many there are */

static void
ngx_http_sgtm_redis_share_count(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_str_t                       args[3];
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    ngx_str_set(&args[0], "INCRBY");
    args[1] = o->conf->use;
    ngx_str_set(&args[2], "1");

    if (ngx_http_sgtm_redis_send(&o->command,
                                 &ngx_http_sgtm_redis_machines_call, args, 3)
        != NGX_OK)
    {
        ngx_http_sgtm_redis_fail(&o->command, NGX_HTTP_SGTM_REDIS_MEMORY);
        return;
    }

    s->counting = 1;

    if (!s->able
        || ngx_current_msec - s->renewed > NGX_HTTP_SGTM_REDIS_RENEW)
    {
        s->renewed = ngx_current_msec;

        if (ngx_http_sgtm_redis_share_expire(o, &o->conf->use) != NGX_OK) {
            ngx_http_sgtm_redis_fail(&o->command, NGX_HTTP_SGTM_REDIS_MEMORY);
        }
    }
}


static void
ngx_http_sgtm_redis_share_step(ngx_event_t *ev)
{
    uint64_t                      time;
    ngx_http_sgtm_redis_owner_t  *o;

    o = ngx_http_sgtm_redis_owner(ev);

    if (ngx_http_sgtm_redis_ended(o) || o->sharing->next == NULL) {
        return;
    }

    time = ngx_http_sgtm_redis_clock();

    ngx_http_sgtm_redis_share_go(o);

    ngx_http_sgtm_redis_sliced(o, ngx_http_sgtm_redis_clock() - time);
}


/* goes on with a round, as far as may be at a time */

static void
ngx_http_sgtm_redis_share_go(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_uint_t                      n;
    ngx_queue_t                    *q;
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    for (n = 0; s->next != ngx_queue_sentinel(&s->list); n++) {

        /* the next reply goes on, or the end of the connection */

        if (s->flight == NGX_HTTP_SGTM_REDIS_FLIGHT) {
            return;
        }

        if (n == NGX_HTTP_SGTM_REDIS_LOOKS) {

            if (!s->step.posted) {
                ngx_post_event(&s->step, &ngx_posted_next_events);
            }

            return;
        }

        q = s->next;
        s->next = ngx_queue_next(q);

        ngx_http_sgtm_redis_share_visit(o,
                          ngx_queue_data(q, ngx_http_sgtm_redis_use_t, queue));
    }

    s->next = NULL;
}


static void
ngx_http_sgtm_redis_share_visit(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_use_t *use)
{
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    if (use->flying) {
        return;
    }

    if (ngx_http_sgtm_redis_use_asked(s, use) != NGX_OK) {
        ngx_http_sgtm_redis_use_drop(s, use);
        return;
    }

    if (use->bad || ngx_http_sgtm_redis_share_alone(o)) {
        ngx_http_sgtm_redis_use_set(s, use, 1);
        return;
    }

    if (use->sent && ngx_http_sgtm_redis_share_send(o, use) != NGX_OK) {
        ngx_http_sgtm_redis_fail(&o->command, NGX_HTTP_SGTM_REDIS_MEMORY);
    }
}


static ngx_int_t
ngx_http_sgtm_redis_share_send(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_use_t *use)
{
    u_char                          key[256 + SGTM_TENANT_ID_MAX];
    u_char                          number[NGX_INT64_LEN];
    ngx_str_t                       args[3];
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    ngx_str_set(&args[0], "INCRBY");
    args[1].data = key;
    args[1].len = ngx_sprintf(key, "%V:%V", &o->conf->use, &use->node.str)
                  - key;
    args[2].data = number;
    args[2].len = ngx_sprintf(number, "%uL", use->sent) - number;

    if (ngx_http_sgtm_redis_send(&o->command, &ngx_http_sgtm_redis_use_call,
                                 args, 3)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    s->flying[(s->first + s->flight) % NGX_HTTP_SGTM_REDIS_FLIGHT] = use;
    s->flight++;

    use->flying = 1;

    if (use->session != s->session) {
        use->session = s->session;
        use->share.time = 0;
        use->expires = 0;
    }

    if (use->expires
        && ngx_current_msec - use->renewed < NGX_HTTP_SGTM_REDIS_RENEW)
    {
        return NGX_OK;
    }

    use->expires = 1;
    use->renewed = ngx_current_msec;

    return ngx_http_sgtm_redis_share_expire(o, &args[1]);
}


static ngx_int_t
ngx_http_sgtm_redis_share_expire(ngx_http_sgtm_redis_owner_t *o,
    ngx_str_t *key)
{
    ngx_str_t  args[3];

    ngx_str_set(&args[0], "EXPIRE");
    args[1] = *key;
    ngx_str_set(&args[2], NGX_HTTP_SGTM_REDIS_EXPIRE);

    return ngx_http_sgtm_redis_send(&o->command,
                                    &ngx_http_sgtm_redis_expire_call, args, 3);
}


/* this Redis, or this user, is not for it: parts are as if it were away */

static void
ngx_http_sgtm_redis_share_refuse(ngx_http_sgtm_redis_owner_t *o,
    redisReply *reply)
{
    ngx_uint_t                      error;
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    s->off = 1;
    s->able = 0;
    s->refused = ngx_current_msec;

    o->stat->sharing = 0;

    error = ngx_http_sgtm_redis_error(reply->str, reply->len);

    if (s->error == error) {
        return;
    }

    s->error = error;

    ngx_log_error(NGX_LOG_WARN, o->log, 0,
                  "redis \"%V\" %V, limits are not shared",
                  &ngx_http_sgtm_redis_addr(o)->name,
                  &ngx_http_sgtm_redis_errors[error].text);
}


static void
ngx_http_sgtm_redis_machines_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    unsigned                        machines;
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;
    s->counting = 0;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_sgtm_redis_share_refuse(o, reply);
        return;
    }

    if (reply->type != REDIS_REPLY_INTEGER) {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_DATA);
        return;
    }

    machines = sgtm_share_machines(&s->machines, ngx_http_sgtm_now(),
                                   NGX_HTTP_SGTM_REDIS_ROUND * 1000000ULL,
                                   (uint64_t) reply->integer,
                                   (unsigned) s->fleet->machines);

    s->fleet->machines = machines;
    o->stat->machines = machines;
}


static void
ngx_http_sgtm_redis_use_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    ngx_http_sgtm_redis_use_t      *use;
    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    use = s->flying[s->first];
    s->first = (s->first + 1) % NGX_HTTP_SGTM_REDIS_FLIGHT;
    s->flight--;

    use->flying = 0;

    switch (reply->type) {

    case REDIS_REPLY_INTEGER:

        if (sgtm_share_heard(&use->share, ngx_http_sgtm_now(), use->sent,
                             (uint64_t) reply->integer))
        {
            ngx_http_sgtm_redis_use_set(s, use, 0);
        }

        break;

    case REDIS_REPLY_ERROR:

        switch (ngx_http_sgtm_redis_error(reply->str, reply->len)) {

        case NGX_HTTP_SGTM_REDIS_TYPE:
        case NGX_HTTP_SGTM_REDIS_REFUSED:
            use->bad = 1;
            break;

        default:
            ngx_http_sgtm_redis_share_refuse(o, reply);
        }

        break;

    default:
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_DATA);
        return;
    }

    if (s->next) {
        ngx_http_sgtm_redis_share_go(o);
    }
}


/* with the first of them it is known that there are all the rights */

static void
ngx_http_sgtm_redis_expire_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    ngx_http_sgtm_redis_sharing_t  *s;

    s = o->sharing;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_sgtm_redis_share_refuse(o, reply);
        return;
    }

    if (reply->type != REDIS_REPLY_INTEGER) {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_DATA);
        return;
    }

    if (s->able || s->off) {
        return;
    }

    s->able = 1;

    if (s->error) {
        s->error = NGX_HTTP_SGTM_REDIS_FINE;

        ngx_log_error(NGX_LOG_NOTICE, o->log, 0,
                      "redis \"%V\": limits are shared again",
                      &ngx_http_sgtm_redis_addr(o)->name);
    }
}
