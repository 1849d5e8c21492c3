
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_made.h"


#define NGX_HTTP_SGTM_MADE_POOL     4096
#define NGX_HTTP_SGTM_MADE_BUCKETS  256


static ngx_uint_t ngx_http_sgtm_made_room(void);
static void ngx_http_sgtm_made_free(ngx_http_sgtm_made_t *made);
static void ngx_http_sgtm_made_destroy(ngx_http_sgtm_made_t *made);


#define ngx_http_sgtm_made_bucket(hash)                                       \
    &ngx_http_sgtm_made_buckets[(hash) % NGX_HTTP_SGTM_MADE_BUCKETS]


/* of this worker */

static ngx_http_sgtm_made_t  *ngx_http_sgtm_made_buckets[
                                                  NGX_HTTP_SGTM_MADE_BUCKETS];
static ngx_queue_t            ngx_http_sgtm_made_queue;
static ngx_uint_t             ngx_http_sgtm_made_n;


ngx_http_sgtm_made_t *
ngx_http_sgtm_made_find(uint32_t hash, ngx_http_sgtm_made_pt is,
    const void *key)
{
    ngx_http_sgtm_made_t  *made;

    for (made = *ngx_http_sgtm_made_bucket(hash); made; made = made->next) {

        if (made->hash != hash || made->is != is || !is(made, key)) {
            continue;
        }

        if (ngx_queue_head(&ngx_http_sgtm_made_queue) != &made->queue) {
            ngx_queue_remove(&made->queue);
            ngx_queue_insert_head(&ngx_http_sgtm_made_queue, &made->queue);
        }

        made->users++;

        return made;
    }

    return NULL;
}


ngx_http_sgtm_made_t *
ngx_http_sgtm_made_new(uint32_t hash, ngx_http_sgtm_made_pt is)
{
    ngx_pool_t            *pool;
    ngx_http_sgtm_made_t  *made;

    pool = ngx_create_pool(NGX_HTTP_SGTM_MADE_POOL, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    made = ngx_pcalloc(pool, sizeof(ngx_http_sgtm_made_t));
    if (made == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    made->pool = pool;
    made->hash = hash;
    made->is = is;
    made->users = 1;

    return made;
}


void
ngx_http_sgtm_made_keep(ngx_http_sgtm_made_t *made)
{
    ngx_http_sgtm_made_t  **bucket;

    if (ngx_http_sgtm_made_queue.next == NULL) {
        ngx_queue_init(&ngx_http_sgtm_made_queue);
    }

    if (!ngx_http_sgtm_made_room()) {
        return;
    }

    bucket = ngx_http_sgtm_made_bucket(made->hash);

    made->next = *bucket;
    *bucket = made;

    ngx_queue_insert_head(&ngx_http_sgtm_made_queue, &made->queue);
    ngx_http_sgtm_made_n++;
}


void
ngx_http_sgtm_made_leave(ngx_http_sgtm_made_t *made)
{
    if (made && --made->users == 0 && made->queue.next == NULL) {
        ngx_http_sgtm_made_destroy(made);
    }
}


/* whether there is room for one more, or some that nobody uses has gone */

static ngx_uint_t
ngx_http_sgtm_made_room(void)
{
    ngx_queue_t           *q;
    ngx_http_sgtm_made_t  *made;

    if (ngx_http_sgtm_made_n < NGX_HTTP_SGTM_MADE_MAX) {
        return 1;
    }

    for (q = ngx_queue_last(&ngx_http_sgtm_made_queue);
         q != ngx_queue_sentinel(&ngx_http_sgtm_made_queue);
         q = ngx_queue_prev(q))
    {
        made = ngx_queue_data(q, ngx_http_sgtm_made_t, queue);

        if (made->users == 0) {
            ngx_http_sgtm_made_free(made);
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_sgtm_made_free(ngx_http_sgtm_made_t *made)
{
    ngx_http_sgtm_made_t  **p;

    for (p = ngx_http_sgtm_made_bucket(made->hash);
         *p != made;
         p = &(*p)->next)
    {
        /* void */
    }

    *p = made->next;

    ngx_queue_remove(&made->queue);
    ngx_http_sgtm_made_n--;

    ngx_http_sgtm_made_destroy(made);
}


/* without a master the configuration, and its log, may be another one now */

static void
ngx_http_sgtm_made_destroy(ngx_http_sgtm_made_t *made)
{
    made->pool->log = ngx_cycle->log;

    ngx_destroy_pool(made->pool);
}
