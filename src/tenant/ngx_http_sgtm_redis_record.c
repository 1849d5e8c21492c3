
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The records of a page of the log, from Redis into the sink.
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis_core.h"


/*
 * Records on their way at a time.  They are what may come with one event, and
 * so, with the 16k that hiredis reads, what holds the loop up at most.
 */
#define NGX_HTTP_SGTM_REDIS_WINDOW      32

/* lines in the log of records that are wrong, for each walk */
#define NGX_HTTP_SGTM_REDIS_COMPLAINTS  10


static ngx_int_t ngx_http_sgtm_redis_record_ask(
    ngx_http_sgtm_redis_owner_t *o, ngx_http_sgtm_redis_entry_t *e);
static void ngx_http_sgtm_redis_record_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);
static ngx_http_sgtm_redis_entry_t *ngx_http_sgtm_redis_record_next(
    ngx_http_sgtm_redis_walk_t *w);
static ngx_int_t ngx_http_sgtm_redis_record_absent(
    ngx_http_sgtm_redis_owner_t *o, ngx_http_sgtm_redis_entry_t *e);
static void ngx_http_sgtm_redis_score_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);
static void ngx_http_sgtm_redis_record_put(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e, redisReply *reply);
static void ngx_http_sgtm_redis_record_bad(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e, char *what);
static void ngx_http_sgtm_redis_record_remove(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e);


static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_record_call = {
    ngx_http_sgtm_redis_record_reply
};

static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_score_call = {
    ngx_http_sgtm_redis_score_reply
};


void
ngx_http_sgtm_redis_records(ngx_http_sgtm_redis_owner_t *o)
{
    ngx_http_sgtm_redis_walk_t   *w;
    ngx_http_sgtm_redis_entry_t  *e;

    w = &o->walk;

    while (w->sent < w->page.n && w->flight < NGX_HTTP_SGTM_REDIS_WINDOW) {

        e = &w->page.elts[w->sent];

        /* one that is tried again may have come back: the record tells */

        if (e->len && (!e->removed || w->retrying)) {

            if (ngx_http_sgtm_redis_record_ask(o, e) != NGX_OK) {
                ngx_http_sgtm_redis_fail(&o->command,
                                         NGX_HTTP_SGTM_REDIS_MEMORY);
                return;
            }

            w->sent++;
            w->flight++;
            continue;
        }

        w->sent++;
        w->done++;

        if (e->len == 0) {
            ngx_http_sgtm_redis_record_bad(o, e, NULL);

        } else {
            ngx_http_sgtm_redis_record_remove(o, e);
        }
    }

    if (w->done == w->page.n) {
        ngx_http_sgtm_redis_page_done(o);
    }
}


/* not more of it than is needed to see that it is too large */

static ngx_int_t
ngx_http_sgtm_redis_record_ask(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e)
{
    u_char     key[256 + SGTM_TENANT_ID_MAX], end[NGX_INT_T_LEN];
    ngx_str_t  args[4], id;

    id.data = e->id;
    id.len = e->len;

    ngx_str_set(&args[0], "GETRANGE");
    args[1].data = key;
    args[1].len = ngx_sprintf(key, "%V%V", &o->conf->record, &id) - key;
    ngx_str_set(&args[2], "0");
    args[3].data = end;
    args[3].len = ngx_sprintf(end, "%d", SGTM_TENANT_MAX) - end;

    return ngx_http_sgtm_redis_send(&o->command,
                                    &ngx_http_sgtm_redis_record_call, args, 4);
}


static void
ngx_http_sgtm_redis_record_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    ngx_uint_t                    error;
    ngx_http_sgtm_redis_walk_t   *w;
    ngx_http_sgtm_redis_entry_t  *e;

    w = &o->walk;
    e = ngx_http_sgtm_redis_record_next(w);

    w->flight--;

    if (reply->type == REDIS_REPLY_ERROR) {

        error = ngx_http_sgtm_redis_error(reply->str, reply->len);

        if (error != NGX_HTTP_SGTM_REDIS_TYPE) {
            ngx_http_sgtm_redis_fail(conn, error);
            return;
        }

        ngx_http_sgtm_redis_record_bad(o, e, "not a string");

    } else if (reply->type != REDIS_REPLY_STRING) {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_PROTOCOL);
        return;

    } else if (reply->len > SGTM_TENANT_MAX) {
        ngx_http_sgtm_redis_record_bad(o, e, "over 65536 bytes");

    } else if (reply->len) {
        ngx_http_sgtm_redis_record_put(o, e, reply);

    } else if (!w->retrying) {

        if (ngx_http_sgtm_redis_record_absent(o, e) != NGX_OK) {
            ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_MEMORY);
            return;
        }

        ngx_http_sgtm_redis_records(o);
        return;

    } else if (e->removed) {
        ngx_http_sgtm_redis_record_remove(o, e);
    }

    w->done++;

    ngx_http_sgtm_redis_records(o);
}


/* the entry that the next reply is of: replies come in order */

static ngx_http_sgtm_redis_entry_t *
ngx_http_sgtm_redis_record_next(ngx_http_sgtm_redis_walk_t *w)
{
    ngx_http_sgtm_redis_entry_t  *e;

    do {
        e = &w->page.elts[w->next++];
    } while (e->len == 0 || (e->removed && !w->retrying));

    return e;
}


/* it was removed since the page was made, or it is lost: the log tells */

static ngx_int_t
ngx_http_sgtm_redis_record_absent(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e)
{
    ngx_str_t  args[3];

    o->walk.absent[o->walk.nabsent++] = e - o->walk.page.elts;

    ngx_str_set(&args[0], "ZSCORE");
    args[1] = o->conf->changes;
    args[2].data = e->id;
    args[2].len = e->len;

    return ngx_http_sgtm_redis_send(&o->command,
                                    &ngx_http_sgtm_redis_score_call, args, 3);
}


static void
ngx_http_sgtm_redis_score_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    uint64_t                      version;
    ngx_str_t                     id;
    ngx_http_sgtm_redis_walk_t   *w;
    ngx_http_sgtm_redis_entry_t  *e;

    w = &o->walk;
    e = &w->page.elts[w->absent[w->checked++]];

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_sgtm_redis_fail(conn, ngx_http_sgtm_redis_error(reply->str,
                                                                 reply->len));
        return;
    }

    if (ngx_http_sgtm_redis_number(reply, &version) != NGX_OK) {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_DATA);
        return;
    }

    if (version == e->version) {
        id.data = e->id;
        id.len = e->len;

        o->sink->keep(o->sink_data, &id);
        w->missing++;

    } else {
        w->again = 1;
    }

    w->done++;

    ngx_http_sgtm_redis_records(o);
}


static void
ngx_http_sgtm_redis_record_put(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e, redisReply *reply)
{
    ngx_str_t                    id, json;
    ngx_uint_t                   quiet;
    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;

    id.data = e->id;
    id.len = e->len;

    json.data = (u_char *) reply->str;
    json.len = reply->len;

    quiet = (w->retrying || w->complaints >= NGX_HTTP_SGTM_REDIS_COMPLAINTS);

    switch (o->sink->put(o->sink_data, &id, &json, quiet)) {

    case NGX_OK:
        o->stat->changes++;
        w->changed++;
        return;

    case NGX_DONE:
        return;

    case NGX_BUSY:
        o->sink->keep(o->sink_data, &id);
        ngx_http_sgtm_redis_put_off(o, e);
        w->complaints++;
        return;

    default: /* NGX_DECLINED, logged */
        ngx_http_sgtm_redis_record_bad(o, e, NULL);
        return;
    }
}


/* one that is no good changes nothing of what there is */

static void
ngx_http_sgtm_redis_record_bad(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e, char *what)
{
    ngx_str_t  id;

    id.data = e->id;
    id.len = e->len;

    o->stat->bad++;

    if (what && o->walk.complaints < NGX_HTTP_SGTM_REDIS_COMPLAINTS) {
        ngx_log_error(NGX_LOG_WARN, o->log, 0, "redis \"%V\", tenant \"%V\": "
                      "%s, stays as it is", &ngx_http_sgtm_redis_addr(o)->name,
                      &id, what);
    }

    o->walk.complaints++;

    if (id.len) {
        o->sink->keep(o->sink_data, &id);
    }
}


static void
ngx_http_sgtm_redis_record_remove(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e)
{
    ngx_str_t  id;

    id.data = e->id;
    id.len = e->len;

    switch (o->sink->remove(o->sink_data, &id)) {

    case NGX_OK:
        o->stat->changes++;
        o->walk.changed++;
        return;

    case NGX_BUSY:
        ngx_http_sgtm_redis_put_off(o, e);
        return;

    default: /* NGX_DECLINED: it was not there */
        return;
    }
}


void
ngx_http_sgtm_redis_put_off(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e)
{
    ngx_uint_t                    i;
    ngx_http_sgtm_redis_entry_t  *r;

    for (i = 0; i < o->retry.n; i++) {
        r = &o->retry.elts[i];

        if (r->len == e->len && ngx_memcmp(r->id, e->id, e->len) == 0) {
            r->removed = e->removed;
            return;
        }
    }

    if (o->retry.n == NGX_HTTP_SGTM_REDIS_PAGE) {
        o->overflow = 1;
        return;
    }

    o->retry.elts[o->retry.n++] = *e;

    if (!o->walk.retrying) {
        o->traded = 0;
    }
}
