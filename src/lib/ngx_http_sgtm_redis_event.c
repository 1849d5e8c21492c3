
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm_redis_event.h"
#include "ngx_http_sgtm_redis_guard.h"


typedef struct {
    ngx_str_t    word;
    ngx_uint_t   error;
} ngx_http_sgtm_redis_word_t;


static redisAsyncContext *ngx_http_sgtm_redis_connect(ngx_addr_t *addr);
static ngx_int_t ngx_http_sgtm_redis_attach(ngx_http_sgtm_redis_conn_t *conn);
static void ngx_http_sgtm_redis_read_handler(ngx_event_t *rev);
static void ngx_http_sgtm_redis_write_handler(ngx_event_t *wev);
static void ngx_http_sgtm_redis_after(ngx_http_sgtm_redis_conn_t *conn);
static void ngx_http_sgtm_redis_timer_handler(ngx_event_t *ev);
static void ngx_http_sgtm_redis_wait(ngx_http_sgtm_redis_conn_t *conn);
static void ngx_http_sgtm_redis_on_connect(const redisAsyncContext *ac,
    int status);
static void ngx_http_sgtm_redis_on_reply(redisAsyncContext *ac, void *data,
    void *privdata);
static void ngx_http_sgtm_redis_add_read(void *data);
static void ngx_http_sgtm_redis_del_read(void *data);
static void ngx_http_sgtm_redis_add_write(void *data);
static void ngx_http_sgtm_redis_del_write(void *data);
static void ngx_http_sgtm_redis_cleanup(void *data);
static ngx_uint_t ngx_http_sgtm_redis_why(redisAsyncContext *ac);


/* by ngx_http_sgtm_redis_error_e */

const ngx_http_sgtm_redis_error_t  ngx_http_sgtm_redis_errors[] = {
    { ngx_string("none"), ngx_string("answers") },
    { ngx_string("unreachable"), ngx_string("cannot be reached") },
    { ngx_string("timeout"), ngx_string("does not answer in time") },
    { ngx_string("closed"), ngx_string("closed the connection") },
    { ngx_string("protocol"), ngx_string("does not answer as Redis does") },
    { ngx_string("too_large"), ngx_string("sends more than was asked for") },
    { ngx_string("memory"), ngx_string("was not read for want of memory") },
    { ngx_string("resolve"), ngx_string("has a name that has no address") },
    { ngx_string("auth"), ngx_string("wants another user or password") },
    { ngx_string("permission"), ngx_string("allows this user too little") },
    { ngx_string("loading"), ngx_string("is loading its data") },
    { ngx_string("replica"), ngx_string("is a replica without its master") },
    { ngx_string("cluster"), ngx_string("says that the data is elsewhere") },
    { ngx_string("busy"), ngx_string("is too busy") },
    { ngx_string("type"), ngx_string("holds a key of another type") },
    { ngx_string("data"), ngx_string("holds what is not a fleet's data") },
    { ngx_string("refused"), ngx_string("refuses a command") }
};


/* the beginnings of Redis's errors; the first that fits counts */

static ngx_http_sgtm_redis_word_t  ngx_http_sgtm_redis_words[] = {
    { ngx_string("NOAUTH"), NGX_HTTP_SGTM_REDIS_AUTH },
    { ngx_string("WRONGPASS"), NGX_HTTP_SGTM_REDIS_AUTH },
    { ngx_string("DENIED"), NGX_HTTP_SGTM_REDIS_AUTH },
    { ngx_string("ERR invalid password"), NGX_HTTP_SGTM_REDIS_AUTH },
    { ngx_string("ERR AUTH"), NGX_HTTP_SGTM_REDIS_AUTH },
    { ngx_string("ERR Client sent AUTH"), NGX_HTTP_SGTM_REDIS_AUTH },
    { ngx_string("ERR wrong number of arguments for 'auth'"),
      NGX_HTTP_SGTM_REDIS_AUTH },
    { ngx_string("NOPERM"), NGX_HTTP_SGTM_REDIS_PERMISSION },
    { ngx_string("LOADING"), NGX_HTTP_SGTM_REDIS_LOADING },
    { ngx_string("MASTERDOWN"), NGX_HTTP_SGTM_REDIS_REPLICA },
    { ngx_string("READONLY"), NGX_HTTP_SGTM_REDIS_REPLICA },
    { ngx_string("MOVED"), NGX_HTTP_SGTM_REDIS_CLUSTER },
    { ngx_string("ASK"), NGX_HTTP_SGTM_REDIS_CLUSTER },
    { ngx_string("CROSSSLOT"), NGX_HTTP_SGTM_REDIS_CLUSTER },
    { ngx_string("CLUSTERDOWN"), NGX_HTTP_SGTM_REDIS_CLUSTER },
    { ngx_string("BUSY"), NGX_HTTP_SGTM_REDIS_BUSY },
    { ngx_string("OOM"), NGX_HTTP_SGTM_REDIS_BUSY },
    { ngx_string("ERR max number of clients"), NGX_HTTP_SGTM_REDIS_BUSY },
    { ngx_string("WRONGTYPE"), NGX_HTTP_SGTM_REDIS_TYPE },
    { ngx_null_string, NGX_HTTP_SGTM_REDIS_REFUSED }
};


ngx_int_t
ngx_http_sgtm_redis_open(ngx_http_sgtm_redis_conn_t *conn, ngx_addr_t *addr)
{
    redisAsyncContext  *ac;

    conn->error = NGX_HTTP_SGTM_REDIS_FINE;
    conn->err = 0;
    conn->pending = 0;
    conn->doomed = 0;
    conn->quiet = 0;

    ngx_str_null(&conn->channel);

    ac = ngx_http_sgtm_redis_connect(addr);

    if (ac == NULL) {
        conn->error = NGX_HTTP_SGTM_REDIS_MEMORY;
        return NGX_ERROR;
    }

    if (ac->err) {
        conn->err = (ac->err == REDIS_ERR_IO) ? ngx_socket_errno : 0;
        conn->error = NGX_HTTP_SGTM_REDIS_UNREACHABLE;
        redisAsyncFree(ac);

        return NGX_ERROR;
    }

    conn->ac = ac;

    if (ngx_http_sgtm_redis_attach(conn) != NGX_OK) {
        conn->error = NGX_HTTP_SGTM_REDIS_MEMORY;
        conn->ac = NULL;
        redisAsyncFree(ac);

        return NGX_ERROR;
    }

    conn->dummy.data = conn;
    conn->dummy.fd = (ngx_socket_t) -1;

    conn->timer.handler = ngx_http_sgtm_redis_timer_handler;
    conn->timer.data = &conn->dummy;
    conn->timer.log = conn->log;
    conn->timer.cancelable = 1;

    ngx_add_timer(&conn->timer, conn->connect_timeout);

    return NGX_OK;
}


/* what hiredis resolves is a number: getaddrinfo() asks nobody */

static redisAsyncContext *
ngx_http_sgtm_redis_connect(ngx_addr_t *addr)
{
    size_t  len;
    u_char  text[NGX_SOCKADDR_STRLEN + 1];

#if (NGX_HAVE_UNIX_DOMAIN)

    if (addr->sockaddr->sa_family == AF_UNIX) {
        return redisAsyncConnectUnix(
                      ((struct sockaddr_un *) addr->sockaddr)->sun_path);
    }

#endif

    len = ngx_sock_ntop(addr->sockaddr, addr->socklen, text,
                        NGX_SOCKADDR_STRLEN, 0);
    text[len] = '\0';

    return redisAsyncConnect((const char *) text,
                             ngx_inet_get_port(addr->sockaddr));
}


static ngx_int_t
ngx_http_sgtm_redis_attach(ngx_http_sgtm_redis_conn_t *conn)
{
    ngx_connection_t   *c;
    redisAsyncContext  *ac;

    ac = conn->ac;

    c = ngx_get_connection(ac->c.fd, conn->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = conn;
    c->log = conn->log;
    c->read->log = conn->log;
    c->write->log = conn->log;

    c->read->handler = ngx_http_sgtm_redis_read_handler;
    c->write->handler = ngx_http_sgtm_redis_write_handler;

    /* a worker that ends does not wait for it, and closes it by its handler */

    c->idle = 1;

    conn->connection = c;

    ac->data = conn;
    ac->ev.data = conn;
    ac->ev.addRead = ngx_http_sgtm_redis_add_read;
    ac->ev.delRead = ngx_http_sgtm_redis_del_read;
    ac->ev.addWrite = ngx_http_sgtm_redis_add_write;
    ac->ev.delWrite = ngx_http_sgtm_redis_del_write;
    ac->ev.cleanup = ngx_http_sgtm_redis_cleanup;

    ngx_http_sgtm_redis_guard(conn);

    /* begins to wait until the descriptor may be written to: it is connected */

    (void) redisAsyncSetConnectCallback(ac, ngx_http_sgtm_redis_on_connect);

    return c->write->active ? NGX_OK : NGX_ERROR;
}


void
ngx_http_sgtm_redis_close(ngx_http_sgtm_redis_conn_t *conn)
{
    if (conn->ac == NULL) {
        return;
    }

    conn->quiet = 1;

    ngx_http_sgtm_redis_fail(conn, conn->error);
}


void
ngx_http_sgtm_redis_fail(ngx_http_sgtm_redis_conn_t *conn, ngx_uint_t error)
{
    if (conn->ac == NULL) {
        return;
    }

    if (conn->error == NGX_HTTP_SGTM_REDIS_FINE) {
        conn->error = error;
    }

    conn->doomed = 1;

    if (!conn->busy) {
        ngx_http_sgtm_redis_after(conn);
    }
}


/* nothing of hiredis is freed inside a call of it */

static void
ngx_http_sgtm_redis_after(ngx_http_sgtm_redis_conn_t *conn)
{
    if (conn->ac && conn->doomed) {
        redisAsyncFree(conn->ac);
    }

    if (conn->ac == NULL && !conn->quiet) {
        conn->quiet = 1;
        conn->closed(conn);
    }
}


static void
ngx_http_sgtm_redis_read_handler(ngx_event_t *rev)
{
    uint64_t                     time;
    ngx_connection_t            *c;
    ngx_http_sgtm_redis_conn_t  *conn;

    c = rev->data;
    conn = c->data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, conn->log, 0,
                   "sgtm redis read, pending: %ui", conn->pending);

    if (c->close) {
        ngx_http_sgtm_redis_close(conn);
        return;
    }

    /* at most 16k are read, and the replies in them handled */

    time = ngx_http_sgtm_redis_clock();

    conn->busy = 1;
    redisAsyncHandleRead(conn->ac);
    conn->busy = 0;

    time = ngx_http_sgtm_redis_clock() - time;
    conn->longest = ngx_max(conn->longest, time);

    ngx_http_sgtm_redis_after(conn);

    if (conn->ac) {
        ngx_http_sgtm_redis_wait(conn);
    }
}


static void
ngx_http_sgtm_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t            *c;
    ngx_http_sgtm_redis_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, conn->log, 0,
                   "sgtm redis write, pending: %ui", conn->pending);

    conn->busy = 1;
    redisAsyncHandleWrite(conn->ac);
    conn->busy = 0;

    ngx_http_sgtm_redis_after(conn);
}


uint64_t
ngx_http_sgtm_redis_clock(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}


/* something came in: there is more time, but no end of it */

static void
ngx_http_sgtm_redis_wait(ngx_http_sgtm_redis_conn_t *conn)
{
    if (ngx_http_sgtm_redis_guard_over(conn)) {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_TOO_LARGE);
        return;
    }

    if (!(conn->ac->c.flags & REDIS_CONNECTED)) {
        return;
    }

    if (conn->pending == 0) {
        if (conn->timer.timer_set) {
            ngx_del_timer(&conn->timer);
        }

        return;
    }

    if (ngx_current_msec - conn->since > conn->deadline) {
        ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_TIMEOUT);
        return;
    }

    ngx_add_timer(&conn->timer, conn->timeout);
}


static void
ngx_http_sgtm_redis_timer_handler(ngx_event_t *ev)
{
    ngx_connection_t            *dummy;
    ngx_http_sgtm_redis_conn_t  *conn;

    dummy = ev->data;
    conn = dummy->data;

    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, conn->log, 0, "sgtm redis timeout");

    ngx_http_sgtm_redis_fail(conn, NGX_HTTP_SGTM_REDIS_TIMEOUT);
}


ngx_int_t
ngx_http_sgtm_redis_send(ngx_http_sgtm_redis_conn_t *conn,
    const ngx_http_sgtm_redis_call_t *call, ngx_str_t *args, ngx_uint_t n)
{
    size_t       len[NGX_HTTP_SGTM_REDIS_ARGS];
    ngx_uint_t   i;
    const char  *argv[NGX_HTTP_SGTM_REDIS_ARGS];

    if (conn->ac == NULL || conn->doomed || n > NGX_HTTP_SGTM_REDIS_ARGS) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        argv[i] = (const char *) args[i].data;
        len[i] = args[i].len;
    }

    if (redisAsyncCommandArgv(conn->ac, ngx_http_sgtm_redis_on_reply,
                              (void *) call, n, argv, len)
        != REDIS_OK)
    {
        return NGX_ERROR;
    }

    if (conn->pending++ == 0) {
        conn->since = ngx_current_msec;
        ngx_add_timer(&conn->timer, conn->timeout);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_redis_subscribe(ngx_http_sgtm_redis_conn_t *conn,
    const ngx_http_sgtm_redis_call_t *call, ngx_str_t *channel)
{
    ngx_str_t  args[2];

    ngx_str_set(&args[0], "SUBSCRIBE");
    args[1] = *channel;

    if (ngx_http_sgtm_redis_send(conn, call, args, 2) != NGX_OK) {
        return NGX_ERROR;
    }

    conn->channel = *channel;

    return NGX_OK;
}


static void
ngx_http_sgtm_redis_on_connect(const redisAsyncContext *ac, int status)
{
    ngx_http_sgtm_redis_conn_t  *conn;

    conn = ac->data;

    if (status != REDIS_OK) {
        conn->err = ngx_socket_errno;
        conn->error = NGX_HTTP_SGTM_REDIS_UNREACHABLE;
        return;
    }

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    conn->connected(conn);
}


static void
ngx_http_sgtm_redis_on_reply(redisAsyncContext *ac, void *data, void *privdata)
{
    const ngx_http_sgtm_redis_call_t *call = privdata;
    redisReply *reply = data;

    ngx_http_sgtm_redis_conn_t  *conn;

    conn = ac->data;

    /* without a reply the connection is about to be closed */

    if (reply == NULL || conn->doomed) {
        return;
    }

    /* "message" is no answer, "subscribe" is one */

    if (conn->pending
        && (conn->channel.len == 0
            || reply->type != REDIS_REPLY_ARRAY
            || reply->elements != 3
            || reply->element[0]->str == NULL
            || reply->element[0]->str[0] != 'm'))
    {
        conn->pending--;
        conn->since = ngx_current_msec;
    }

    call->handler(conn, reply);
}


static void
ngx_http_sgtm_redis_add_read(void *data)
{
    ngx_http_sgtm_redis_conn_t *conn = data;

    ngx_connection_t  *c;

    c = conn->connection;

    /* hiredis leaves some for the next event: an edge would be lost */

    if (!c->read->active
        && ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        conn->error = NGX_HTTP_SGTM_REDIS_MEMORY;
        conn->doomed = 1;
    }
}


static void
ngx_http_sgtm_redis_del_read(void *data)
{
    ngx_http_sgtm_redis_conn_t *conn = data;

    ngx_connection_t  *c;

    c = conn->connection;

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_http_sgtm_redis_add_write(void *data)
{
    ngx_http_sgtm_redis_conn_t *conn = data;

    ngx_connection_t  *c;

    c = conn->connection;

    if (!c->write->active
        && ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) != NGX_OK)
    {
        conn->error = NGX_HTTP_SGTM_REDIS_MEMORY;
        conn->doomed = 1;
    }
}


static void
ngx_http_sgtm_redis_del_write(void *data)
{
    ngx_http_sgtm_redis_conn_t *conn = data;

    ngx_connection_t  *c;

    c = conn->connection;

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }
}


/* hiredis is about to close the descriptor and to free the context */

static void
ngx_http_sgtm_redis_cleanup(void *data)
{
    ngx_http_sgtm_redis_conn_t *conn = data;

    ngx_connection_t  *c;

    if (conn->error == NGX_HTTP_SGTM_REDIS_FINE && conn->ac) {
        conn->error = ngx_http_sgtm_redis_why(conn->ac);
    }

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    conn->ac = NULL;
    conn->pending = 0;

    c = conn->connection;
    conn->connection = NULL;

    if (c == NULL) {
        return;
    }

    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, 0);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, 0);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_free_connection(c);

    c->fd = (ngx_socket_t) -1;
}


static ngx_uint_t
ngx_http_sgtm_redis_why(redisAsyncContext *ac)
{
    switch (ac->err) {

    case REDIS_ERR_PROTOCOL:
        return NGX_HTTP_SGTM_REDIS_PROTOCOL;

    case REDIS_ERR_OOM:
        return NGX_HTTP_SGTM_REDIS_MEMORY;

    case REDIS_ERR_OTHER:
        return ngx_http_sgtm_redis_error(ac->errstr, ngx_strlen(ac->errstr));

    default:
        return NGX_HTTP_SGTM_REDIS_CLOSED;
    }
}


ngx_uint_t
ngx_http_sgtm_redis_error(const char *text, size_t len)
{
    ngx_http_sgtm_redis_word_t  *w;

    for (w = ngx_http_sgtm_redis_words; w->word.len; w++) {
        if (len >= w->word.len
            && ngx_strncmp(text, w->word.data, w->word.len) == 0)
        {
            break;
        }
    }

    return w->error;
}
