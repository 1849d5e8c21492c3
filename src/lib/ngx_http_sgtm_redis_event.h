
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * hiredis on nginx's event loop: one connection to one Redis, with timeouts and
 * with bounds on what it may answer.  Nothing here blocks or resolves a name.
 */


#ifndef _NGX_HTTP_SGTM_REDIS_EVENT_H_INCLUDED_
#define _NGX_HTTP_SGTM_REDIS_EVENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <hiredis/hiredis.h>
#include <hiredis/async.h>


/* arguments of a command at most, with its name */
#define NGX_HTTP_SGTM_REDIS_ARGS  8


/* why a connection ended, or a command was refused */

typedef enum {
    NGX_HTTP_SGTM_REDIS_FINE = 0,
    NGX_HTTP_SGTM_REDIS_UNREACHABLE,
    NGX_HTTP_SGTM_REDIS_TIMEOUT,
    NGX_HTTP_SGTM_REDIS_CLOSED,
    NGX_HTTP_SGTM_REDIS_PROTOCOL,
    NGX_HTTP_SGTM_REDIS_TOO_LARGE,
    NGX_HTTP_SGTM_REDIS_MEMORY,
    NGX_HTTP_SGTM_REDIS_RESOLVE,
    NGX_HTTP_SGTM_REDIS_AUTH,
    NGX_HTTP_SGTM_REDIS_PERMISSION,
    NGX_HTTP_SGTM_REDIS_LOADING,
    NGX_HTTP_SGTM_REDIS_REPLICA,
    NGX_HTTP_SGTM_REDIS_CLUSTER,
    NGX_HTTP_SGTM_REDIS_BUSY,
    NGX_HTTP_SGTM_REDIS_TYPE,
    NGX_HTTP_SGTM_REDIS_DATA,
    NGX_HTTP_SGTM_REDIS_REFUSED,
    NGX_HTTP_SGTM_REDIS_ERROR_N
} ngx_http_sgtm_redis_error_e;


/* a word for a status, and what follows "redis <address>" in a log */

typedef struct {
    ngx_str_t                     label;
    ngx_str_t                     text;
} ngx_http_sgtm_redis_error_t;

extern const ngx_http_sgtm_redis_error_t
    ngx_http_sgtm_redis_errors[NGX_HTTP_SGTM_REDIS_ERROR_N];


typedef struct ngx_http_sgtm_redis_conn_s  ngx_http_sgtm_redis_conn_t;

typedef void (*ngx_http_sgtm_redis_event_pt)(ngx_http_sgtm_redis_conn_t *conn);

/* a reply, which is freed after the call; never NULL */
typedef void (*ngx_http_sgtm_redis_reply_pt)(ngx_http_sgtm_redis_conn_t *conn,
    redisReply *reply);


/* what is done with the replies to a kind of command; static */

typedef struct {
    ngx_http_sgtm_redis_reply_pt  handler;
} ngx_http_sgtm_redis_call_t;


/*
 * Zeroed by its owner, who sets the first part once.  It may be opened as often
 * as he likes, but not from its own handlers, and stays where it is.
 */

struct ngx_http_sgtm_redis_conn_s {
    ngx_http_sgtm_redis_event_pt  connected;
    ngx_http_sgtm_redis_event_pt  closed;  /* why is in error; not called after
                                              ..._close() */
    void                         *data;
    ngx_log_t                    *log;
    ngx_msec_t                    connect_timeout;
    ngx_msec_t                    timeout;     /* without a byte of a reply */
    ngx_msec_t                    deadline;    /* for one reply */
    size_t                        max_reply;   /* bytes, in memory */

    ngx_uint_t                    error;   /* ngx_http_sgtm_redis_error_e */
    ngx_err_t                     err;     /* of UNREACHABLE, or 0 */
    ngx_uint_t                    pending; /* replies that are waited for */
    ngx_str_t                     channel; /* that was subscribed to */
    uint64_t                      longest; /* a call, in ns of the processor */

    /* the connection's own */

    redisAsyncContext            *ac;      /* NULL: it is closed */
    ngx_connection_t             *connection;
    ngx_connection_t              dummy;   /* of the timer, for debug logs */
    ngx_event_t                   timer;
    ngx_msec_t                    since;   /* the next reply is waited for */
    size_t                        size;    /* of the reply that is read */
    unsigned                      busy:1;  /* in a call of hiredis */
    unsigned                      doomed:1;    /* to be closed after it */
    unsigned                      quiet:1; /* closed() is not to be called */
};


/*
 * Begins to connect to an address or a unix socket.  NGX_OK: connected() or
 * closed() will be called; NGX_ERROR: conn->error says why, neither will be.
 */
ngx_int_t ngx_http_sgtm_redis_open(ngx_http_sgtm_redis_conn_t *conn,
    ngx_addr_t *addr);

/* closes it if it is open, and forgets what it waits for */
void ngx_http_sgtm_redis_close(ngx_http_sgtm_redis_conn_t *conn);

/* the same, and closed() is called with this error */
void ngx_http_sgtm_redis_fail(ngx_http_sgtm_redis_conn_t *conn,
    ngx_uint_t error);

/*
 * Sends a command of n arguments.  Replies come in the order of the commands.
 * NGX_ERROR: it is not open, or there was no memory.
 */
ngx_int_t ngx_http_sgtm_redis_send(ngx_http_sgtm_redis_conn_t *conn,
    const ngx_http_sgtm_redis_call_t *call, ngx_str_t *args, ngx_uint_t n);

/*
 * Subscribes to a channel, whose name is kept: its messages come to the call,
 * as does the answer, which one subscribed already gets again.  It takes no
 * other commands then.
 */
ngx_int_t ngx_http_sgtm_redis_subscribe(ngx_http_sgtm_redis_conn_t *conn,
    const ngx_http_sgtm_redis_call_t *call, ngx_str_t *channel);

/* nanoseconds of the processor that the thread has used */
uint64_t ngx_http_sgtm_redis_clock(void);

/*
 * What an error of Redis means, by its first words.  The text itself belongs in
 * no log: it may repeat arguments of the command.
 */
ngx_uint_t ngx_http_sgtm_redis_error(const char *text, size_t len);


#endif /* _NGX_HTTP_SGTM_REDIS_EVENT_H_INCLUDED_ */
