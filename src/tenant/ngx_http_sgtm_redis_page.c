
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A page of the log of changes, and the version that Redis has reached.
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis_core.h"


/* versions are the scores of a sorted set, which are doubles */
#define NGX_HTTP_SGTM_REDIS_VERSION_MAX  ((uint64_t) 1 << 53)


static void ngx_http_sgtm_redis_version_reply(
    ngx_http_sgtm_redis_conn_t *conn, redisReply *reply);
static void ngx_http_sgtm_redis_page_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);
static ngx_int_t ngx_http_sgtm_redis_page(ngx_http_sgtm_redis_walk_t *w,
    redisReply *reply);
static void ngx_http_sgtm_redis_entry(ngx_http_sgtm_redis_entry_t *e,
    u_char *member, size_t len);
static ngx_int_t ngx_http_sgtm_redis_cut(ngx_http_sgtm_redis_walk_t *w);


static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_version_call = {
    ngx_http_sgtm_redis_version_reply
};

static const ngx_http_sgtm_redis_call_t  ngx_http_sgtm_redis_page_call = {
    ngx_http_sgtm_redis_page_reply
};


/* the version first: what it counts is in the page, then, or before it */

void
ngx_http_sgtm_redis_ask(ngx_http_sgtm_redis_owner_t *o)
{
    u_char     pos[1 + NGX_INT64_LEN], limit[NGX_INT_T_LEN];
    ngx_str_t  args[8];

    ngx_str_set(&args[0], "MGET");
    args[1] = o->conf->version;
    args[2] = o->conf->base;

    o->walk.phase = NGX_HTTP_SGTM_REDIS_ASKED;

    if (ngx_http_sgtm_redis_send(&o->command,
                                 &ngx_http_sgtm_redis_version_call, args, 3)
        != NGX_OK)
    {
        ngx_http_sgtm_redis_fail(&o->command, NGX_HTTP_SGTM_REDIS_MEMORY);
        return;
    }

    ngx_str_set(&args[0], "ZRANGEBYSCORE");
    args[1] = o->conf->changes;
    args[2].data = pos;
    args[2].len = ngx_sprintf(pos, "(%uL", o->walk.pos) - pos;
    ngx_str_set(&args[3], "+inf");
    ngx_str_set(&args[4], "WITHSCORES");
    ngx_str_set(&args[5], "LIMIT");
    ngx_str_set(&args[6], "0");
    args[7].data = limit;
    args[7].len = ngx_sprintf(limit, "%d", NGX_HTTP_SGTM_REDIS_PAGE) - limit;

    if (ngx_http_sgtm_redis_send(&o->command, &ngx_http_sgtm_redis_page_call,
                                 args, 8)
        != NGX_OK)
    {
        ngx_http_sgtm_redis_fail(&o->command, NGX_HTTP_SGTM_REDIS_MEMORY);
    }
}


static void
ngx_http_sgtm_redis_version_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    ngx_http_sgtm_redis_walk_t  *w;

    w = &o->walk;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_sgtm_redis_fail(conn, ngx_http_sgtm_redis_error(reply->str,
                                                                 reply->len));
        return;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || ngx_http_sgtm_redis_number(reply->element[0], &w->version) != NGX_OK
        || ngx_http_sgtm_redis_number(reply->element[1], &w->base) != NGX_OK)
    {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_DATA);
    }
}


ngx_int_t
ngx_http_sgtm_redis_number(redisReply *reply, uint64_t *number)
{
    size_t    i;
    uint64_t  n;

    *number = 0;

    if (reply->type == REDIS_REPLY_NIL) {
        return NGX_OK;
    }

    if (reply->type != REDIS_REPLY_STRING || reply->len == 0
        || reply->len > sizeof("9007199254740992") - 1)
    {
        return NGX_ERROR;
    }

    for (n = 0, i = 0; i < reply->len; i++) {

        if (reply->str[i] < '0' || reply->str[i] > '9') {
            return NGX_ERROR;
        }

        n = n * 10 + (reply->str[i] - '0');
    }

    if (n >= NGX_HTTP_SGTM_REDIS_VERSION_MAX) {
        return NGX_ERROR;
    }

    *number = n;

    return NGX_OK;
}


static void
ngx_http_sgtm_redis_page_reply(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply)
{
    ngx_http_sgtm_redis_owner_t *o = conn->data;

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_http_sgtm_redis_fail(conn, ngx_http_sgtm_redis_error(reply->str,
                                                                 reply->len));
        return;
    }

    if (ngx_http_sgtm_redis_page(&o->walk, reply) != NGX_OK) {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_DATA);
        return;
    }

    ngx_http_sgtm_redis_paged(o);
}


static ngx_int_t
ngx_http_sgtm_redis_page(ngx_http_sgtm_redis_walk_t *w, redisReply *reply)
{
    size_t                        i;
    uint64_t                      last;
    redisReply                   *member;
    ngx_http_sgtm_redis_entry_t  *e;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2
        || reply->elements > 2 * NGX_HTTP_SGTM_REDIS_PAGE)
    {
        return NGX_ERROR;
    }

    last = w->pos + 1;

    for (i = 0; i < reply->elements; i += 2) {

        e = &w->page.elts[i / 2];
        member = reply->element[i];

        if (member->type != REDIS_REPLY_STRING
            || ngx_http_sgtm_redis_number(reply->element[i + 1], &e->version)
               != NGX_OK
            || e->version < last)
        {
            return NGX_ERROR;
        }

        last = e->version;

        ngx_http_sgtm_redis_entry(e, (u_char *) member->str, member->len);
    }

    w->page.n = reply->elements / 2;
    w->last = (w->page.n < NGX_HTTP_SGTM_REDIS_PAGE);

    ngx_http_sgtm_redis_rewind(w);

    return w->last ? NGX_OK : ngx_http_sgtm_redis_cut(w);
}


void
ngx_http_sgtm_redis_rewind(ngx_http_sgtm_redis_walk_t *w)
{
    w->sent = 0;
    w->next = 0;
    w->flight = 0;
    w->done = 0;
    w->nabsent = 0;
    w->checked = 0;
}


/* what is no tenant's id has no length, and is passed over */

static void
ngx_http_sgtm_redis_entry(ngx_http_sgtm_redis_entry_t *e, u_char *member,
    size_t len)
{
    sgtm_str_t  id;

    e->len = 0;
    e->removed = (len && *member == '-');

    id.data = member + e->removed;
    id.len = len - e->removed;

    if (sgtm_form_tenant(&id)) {
        ngx_memcpy(e->id, id.data, id.len);
        e->len = id.len;
    }
}


/*
 * The next page begins behind a version: what has the last one of this page may
 * go on in it, and is left to it.
 */

static ngx_int_t
ngx_http_sgtm_redis_cut(ngx_http_sgtm_redis_walk_t *w)
{
    uint64_t    last;
    ngx_uint_t  n;

    n = w->page.n;
    last = w->page.elts[n - 1].version;

    do {
        n--;
    } while (n && w->page.elts[n - 1].version == last);

    w->page.n = n;

    return n ? NGX_OK : NGX_ERROR;
}
