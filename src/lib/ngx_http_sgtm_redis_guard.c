
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm_redis_guard.h"


/* bytes of a line: an error, a number, or how much is to come */
#define NGX_HTTP_SGTM_REDIS_LINE   65536

/* arrays within each other; what is asked for has two */
#define NGX_HTTP_SGTM_REDIS_DEPTH  4


/* hiredis 1.0 changed the number of an array's elements, and the stack */

#if (HIREDIS_MAJOR >= 1)

typedef size_t  ngx_http_sgtm_redis_elements_t;

#define ngx_http_sgtm_redis_guard_type(reader)                                \
    (reader)->task[(reader)->ridx]->type

#else

typedef int     ngx_http_sgtm_redis_elements_t;

#define ngx_http_sgtm_redis_guard_type(reader)                                \
    (reader)->rstack[(reader)->ridx].type

#endif


static void *ngx_http_sgtm_redis_guard_string(const redisReadTask *task,
    char *str, size_t len);
static void *ngx_http_sgtm_redis_guard_array(const redisReadTask *task,
    ngx_http_sgtm_redis_elements_t elements);
static ngx_uint_t ngx_http_sgtm_redis_guard_depth(const redisReadTask *task);
static void *ngx_http_sgtm_redis_guard_integer(const redisReadTask *task,
    long long value);
static void *ngx_http_sgtm_redis_guard_nil(const redisReadTask *task);
static ngx_int_t ngx_http_sgtm_redis_guard_take(const redisReadTask *task,
    size_t size);
static ngx_uint_t ngx_http_sgtm_redis_guard_word(const redisReadTask *task,
    char *str, size_t len);
static void *ngx_http_sgtm_redis_guard_refuse(const redisReadTask *task,
    ngx_uint_t error);


/* the parts of a message that hiredis relies on: the kind and the channel */
#define ngx_http_sgtm_redis_guard_is_word(task)                               \
    ((task)->parent && (task)->parent->parent == NULL && (task)->idx < 2      \
     && ngx_http_sgtm_redis_guard_is_message(task))

#define ngx_http_sgtm_redis_guard_is_message(task)                            \
    (ngx_http_sgtm_redis_guard_conn(task)->channel.len                        \
     && ngx_http_sgtm_redis_guard_conn(task)->ac->replies.head == NULL)

#define ngx_http_sgtm_redis_guard_conn(task)                                  \
    ((ngx_http_sgtm_redis_conn_t *) (task)->privdata)


/* hiredis' own, and the same behind the guard */

static redisReplyObjectFunctions  *ngx_http_sgtm_redis_objects;
static redisReplyObjectFunctions   ngx_http_sgtm_redis_guarded;


#if (HIREDIS_MAJOR >= 1)

/* RESP3, which is not asked for */

static void *
ngx_http_sgtm_redis_guard_double(const redisReadTask *task, double value,
    char *str, size_t len)
{
    return ngx_http_sgtm_redis_guard_refuse(task,
                                            NGX_HTTP_SGTM_REDIS_PROTOCOL);
}


static void *
ngx_http_sgtm_redis_guard_bool(const redisReadTask *task, int value)
{
    return ngx_http_sgtm_redis_guard_refuse(task,
                                            NGX_HTTP_SGTM_REDIS_PROTOCOL);
}

#endif


void
ngx_http_sgtm_redis_guard(ngx_http_sgtm_redis_conn_t *conn)
{
    redisReader                *reader;
    redisReplyObjectFunctions  *guarded;

    reader = conn->ac->c.reader;
    guarded = &ngx_http_sgtm_redis_guarded;

    ngx_http_sgtm_redis_objects = reader->fn;

    *guarded = *reader->fn;

    guarded->createString = ngx_http_sgtm_redis_guard_string;
    guarded->createArray = ngx_http_sgtm_redis_guard_array;
    guarded->createInteger = ngx_http_sgtm_redis_guard_integer;
    guarded->createNil = ngx_http_sgtm_redis_guard_nil;

#if (HIREDIS_MAJOR >= 1)
    guarded->createDouble = ngx_http_sgtm_redis_guard_double;
    guarded->createBool = ngx_http_sgtm_redis_guard_bool;
#endif

    reader->fn = guarded;
    reader->privdata = conn;

    conn->size = 0;
}


/*
 * Of a line, hiredis looks for the end from its beginning each time that there
 * is more of it.
 */

ngx_uint_t
ngx_http_sgtm_redis_guard_over(ngx_http_sgtm_redis_conn_t *conn)
{
    size_t        size;
    redisReader  *reader;

    reader = conn->ac->c.reader;
    size = reader->len - reader->pos;

    if (size <= NGX_HTTP_SGTM_REDIS_LINE || reader->ridx < 0) {
        return 0;
    }

    return size > conn->max_reply
           || ngx_http_sgtm_redis_guard_type(reader) != REDIS_REPLY_STRING
           || memchr(reader->buf + reader->pos, CR, NGX_INT64_LEN + 1) == NULL;
}


static void *
ngx_http_sgtm_redis_guard_string(const redisReadTask *task, char *str,
    size_t len)
{
    if (ngx_http_sgtm_redis_guard_take(task, len) != NGX_OK) {
        return NULL;
    }

    if (ngx_http_sgtm_redis_guard_is_word(task)
        && !ngx_http_sgtm_redis_guard_word(task, str, len))
    {
        return ngx_http_sgtm_redis_guard_refuse(task,
                                                NGX_HTTP_SGTM_REDIS_PROTOCOL);
    }

    return ngx_http_sgtm_redis_objects->createString(task, str, len);
}


static void *
ngx_http_sgtm_redis_guard_array(const redisReadTask *task,
    ngx_http_sgtm_redis_elements_t elements)
{
    if (task->type != REDIS_REPLY_ARRAY
        || ngx_http_sgtm_redis_guard_depth(task) > NGX_HTTP_SGTM_REDIS_DEPTH
        || ngx_http_sgtm_redis_guard_is_word(task)
        || (task->parent == NULL && elements != 3
            && ngx_http_sgtm_redis_guard_is_message(task)))
    {
        return ngx_http_sgtm_redis_guard_refuse(task,
                                                NGX_HTTP_SGTM_REDIS_PROTOCOL);
    }

    /* what the array takes by itself; its elements count when they come */

    if (ngx_http_sgtm_redis_guard_take(task, (size_t) elements
                                             * sizeof(redisReply *))
        != NGX_OK)
    {
        return NULL;
    }

    return ngx_http_sgtm_redis_objects->createArray(task, elements);
}


static ngx_uint_t
ngx_http_sgtm_redis_guard_depth(const redisReadTask *task)
{
    ngx_uint_t            depth;
    const redisReadTask  *parent;

    depth = 1;

    for (parent = task->parent; parent; parent = parent->parent) {
        depth++;
    }

    return depth;
}


static void *
ngx_http_sgtm_redis_guard_integer(const redisReadTask *task, long long value)
{
    if (ngx_http_sgtm_redis_guard_take(task, 0) != NGX_OK) {
        return NULL;
    }

    if (ngx_http_sgtm_redis_guard_is_word(task)) {
        return ngx_http_sgtm_redis_guard_refuse(task,
                                                NGX_HTTP_SGTM_REDIS_PROTOCOL);
    }

    return ngx_http_sgtm_redis_objects->createInteger(task, value);
}


static void *
ngx_http_sgtm_redis_guard_nil(const redisReadTask *task)
{
    if (ngx_http_sgtm_redis_guard_take(task, 0) != NGX_OK) {
        return NULL;
    }

    if (ngx_http_sgtm_redis_guard_is_word(task)) {
        return ngx_http_sgtm_redis_guard_refuse(task,
                                                NGX_HTTP_SGTM_REDIS_PROTOCOL);
    }

    return ngx_http_sgtm_redis_objects->createNil(task);
}


/* NGX_OK: something of so many bytes may be part of a reply, or one */

static ngx_int_t
ngx_http_sgtm_redis_guard_take(const redisReadTask *task, size_t size)
{
    ngx_http_sgtm_redis_conn_t  *conn;

    conn = ngx_http_sgtm_redis_guard_conn(task);

    if (task->type < REDIS_REPLY_STRING || task->type > REDIS_REPLY_ERROR) {
        (void) ngx_http_sgtm_redis_guard_refuse(task,
                                                NGX_HTTP_SGTM_REDIS_PROTOCOL);
        return NGX_ERROR;
    }

    if (task->parent == NULL) {

        /* an error may come unasked for: hiredis closes the connection */

        if (conn->ac->replies.head == NULL
            && task->type != REDIS_REPLY_ERROR
            && (conn->channel.len == 0 || task->type != REDIS_REPLY_ARRAY))
        {
            (void) ngx_http_sgtm_redis_guard_refuse(task,
                                                NGX_HTTP_SGTM_REDIS_PROTOCOL);
            return NGX_ERROR;
        }

        conn->size = 0;
    }

    conn->size += sizeof(redisReply) + size;

    if (conn->size > conn->max_reply) {
        (void) ngx_http_sgtm_redis_guard_refuse(task,
                                                NGX_HTTP_SGTM_REDIS_TOO_LARGE);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* hiredis looks for the channel, and fails if it is not one of ours */

static ngx_uint_t
ngx_http_sgtm_redis_guard_word(const redisReadTask *task, char *str, size_t len)
{
    ngx_str_t  *channel;

    if (task->type != REDIS_REPLY_STRING) {
        return 0;
    }

    if (task->idx == 0) {
        return (len == 7 && ngx_memcmp(str, "message", 7) == 0)
               || (len == 9 && ngx_memcmp(str, "subscribe", 9) == 0);
    }

    channel = &ngx_http_sgtm_redis_guard_conn(task)->channel;

    return len == channel->len && ngx_memcmp(str, channel->data, len) == 0;
}


/* NULL, for the reader: it ends with an error */

static void *
ngx_http_sgtm_redis_guard_refuse(const redisReadTask *task, ngx_uint_t error)
{
    ngx_http_sgtm_redis_conn_t  *conn;

    conn = ngx_http_sgtm_redis_guard_conn(task);

    if (conn->error == NGX_HTTP_SGTM_REDIS_FINE) {
        conn->error = error;
    }

    return NULL;
}
