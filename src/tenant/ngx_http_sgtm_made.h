
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a worker has made of records while it runs, and keeps for the next
 * request: a bounded number of things, each in a pool of its own.  What was not
 * used for the longest time goes first; what is in use stays.
 */


#ifndef _NGX_HTTP_SGTM_MADE_H_INCLUDED_
#define _NGX_HTTP_SGTM_MADE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* things that a worker keeps */
#define NGX_HTTP_SGTM_MADE_MAX  256


typedef struct ngx_http_sgtm_made_s  ngx_http_sgtm_made_t;

/* whether a thing is the one that the key asks for */
typedef ngx_uint_t (*ngx_http_sgtm_made_pt)(ngx_http_sgtm_made_t *made,
    const void *key);

struct ngx_http_sgtm_made_s {
    ngx_queue_t                queue;      /* the first was used last */
    ngx_http_sgtm_made_t      *next;       /* of the same hash, or nearly */
    ngx_http_sgtm_made_pt      is;         /* which tells its kind, too */
    uint32_t                   hash;
    ngx_uint_t                 users;
    ngx_pool_t                *pool;
    void                      *data;       /* its maker's, in the pool */
};


/* finds a thing; who gets it is its user.  NULL: it has to be made */
ngx_http_sgtm_made_t *ngx_http_sgtm_made_find(uint32_t hash,
    ngx_http_sgtm_made_pt is, const void *key);

/*
 * A new thing with a pool, to be filled; who gets it is its user.  It is found
 * from ngx_http_sgtm_made_keep() on, unless all that are kept are in use: then
 * it goes with its user, as one that was not kept.  NULL: no memory.
 */
ngx_http_sgtm_made_t *ngx_http_sgtm_made_new(uint32_t hash,
    ngx_http_sgtm_made_pt is);
void ngx_http_sgtm_made_keep(ngx_http_sgtm_made_t *made);

/* a user is done with it; made may be NULL */
void ngx_http_sgtm_made_leave(ngx_http_sgtm_made_t *made);


#endif /* _NGX_HTTP_SGTM_MADE_H_INCLUDED_ */
