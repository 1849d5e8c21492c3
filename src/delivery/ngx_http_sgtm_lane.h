
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The hits of one target that the courier has in memory: those in flight,
 * those that may go next, and those that wait for an earlier one of the same
 * client.
 */


#ifndef _NGX_HTTP_SGTM_LANE_H_INCLUDED_
#define _NGX_HTTP_SGTM_LANE_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_circuit.h"
#include "ngx_http_sgtm_courier.h"
#include "ngx_http_sgtm_detached.h"
#include "sgtm_store.h"


#define NGX_HTTP_SGTM_HIT_ERROR  32


typedef struct ngx_http_sgtm_lane_s  ngx_http_sgtm_lane_t;


typedef struct {
    ngx_http_sgtm_detached_t   detached;
    sgtm_outcome_t             outcome;
    sgtm_outcome_t             left;       /* while it is under way */
    sgtm_record_t             *record;
    ngx_http_sgtm_lane_t      *lane;
    size_t                     size;       /* of the record */
    u_char                    *text;       /* what was made for sending it */

    ngx_rbtree_node_t          node;       /* the first of its client */
    ngx_queue_t                queue;      /* of the lane, a client, or the
                                              courier's outcomes */
    ngx_queue_t                followers;  /* of the same client */

    ngx_uint_t                 generation; /* of the lease it was taken by */
    unsigned                   first:1;    /* is in the tree of clients */
    unsigned                   ended:1;    /* has an outcome */
    u_char                     error[NGX_HTTP_SGTM_HIT_ERROR];
} ngx_http_sgtm_hit_t;


struct ngx_http_sgtm_lane_s {
    ngx_str_node_t             node;       /* the target's name */
    ngx_http_sgtm_target_t    *target;     /* NULL: it is gone, an orphan */
    int64_t                    number;     /* of the target in the file */
    ngx_http_sgtm_circuit_t    circuit;

    ngx_rbtree_t               clients;    /* of ngx_http_sgtm_hit_t */
    ngx_rbtree_node_t          sentinel;
    ngx_queue_t                ready;
    ngx_queue_t                flight;
    ngx_uint_t                 in_flight;
    ngx_uint_t                 hits;       /* in memory, the settled ones
                                              included until they are */
    ngx_uint_t                 ended;      /* of them, with an outcome */
    size_t                     size;

    int64_t                    after;      /* no fresh ones up to this id */
    int64_t                    again;      /* when one is due, 0: none is */

    u_char                     error[NGX_HTTP_SGTM_HIT_ERROR];  /* the last */

    ngx_queue_t                turn;       /* among those to be looked at */
    unsigned                   look:1;     /* there may be hits in the file */
    unsigned                   more:1;     /* it has not been read to its end */
    unsigned                   put_off:1;  /* it may have some that an outage
                                              has put off */
    unsigned                   active:1;   /* is in the queue "turn" */
    unsigned                   listed:1;   /* the file has hits of it */
};


/* of all lanes together */

typedef struct {
    ngx_uint_t                 hits;
    ngx_uint_t                 in_flight;
    size_t                     size;
} ngx_http_sgtm_lane_sum_t;

extern ngx_http_sgtm_lane_sum_t  ngx_http_sgtm_lane_sum;


/* an empty lane, or NULL: no memory.  It lives as long as the worker. */
ngx_http_sgtm_lane_t *ngx_http_sgtm_lane_create(ngx_str_t *name,
    ngx_http_sgtm_target_t *target);

/*
 * Puts a record that was taken into its lane, which then frees it; without
 * memory it is freed at once (it is still in the file) and NGX_ERROR returned.
 */
ngx_int_t ngx_http_sgtm_lane_add(ngx_http_sgtm_lane_t *lane,
    sgtm_record_t *record, ngx_uint_t generation);

/* sends what may be sent now */
void ngx_http_sgtm_lane_send(ngx_http_sgtm_lane_t *lane);

/* how many hits it may take from the file now; *probe: it is down */
ngx_uint_t ngx_http_sgtm_lane_room(ngx_http_sgtm_lane_t *lane,
    ngx_uint_t *probe);

/* forgets what is not in flight and has no outcome: it is in the file */
void ngx_http_sgtm_lane_drop(ngx_http_sgtm_lane_t *lane);

/* frees a hit whose outcome is settled, or is of no use any more */
void ngx_http_sgtm_hit_free(ngx_http_sgtm_hit_t *hit);

/* milliseconds since the epoch */
int64_t ngx_http_sgtm_lane_now(void);


/* the courier's side */

/* takes the outcome of a hit, which is in no queue of its lane any more */
void ngx_http_sgtm_courier_outcome(ngx_http_sgtm_hit_t *hit);

/* a hit of this lane has come back: another one may go */
void ngx_http_sgtm_courier_next(ngx_http_sgtm_lane_t *lane);


#endif /* _NGX_HTTP_SGTM_LANE_H_INCLUDED_ */
