
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the owner knows of tenants that are asked for, to share their limits
 * with the other machines of a fleet.
 */


#ifndef _NGX_HTTP_SGTM_REDIS_SHARE_H_INCLUDED_
#define _NGX_HTTP_SGTM_REDIS_SHARE_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_fleet.h"
#include "ngx_http_sgtm_redis_core.h"
#include "sgtm_share.h"


/* counters are asked for each so many milliseconds */
#define NGX_HTTP_SGTM_REDIS_ROUND    200

/* counters on their way at a time, and tenants that are looked at in a step */
#define NGX_HTTP_SGTM_REDIS_FLIGHT   128
#define NGX_HTTP_SGTM_REDIS_LOOKS    256


/* a tenant that is asked for */

typedef struct {
    ngx_str_node_t                 node;
    ngx_queue_t                    queue;
    sgtm_share_t                   share;
    uint64_t                       sent;   /* hits that are told of, or were
                                              last */
    ngx_uint_t                     session;    /* that share is of */
    ngx_msec_t                     asked;
    ngx_msec_t                     renewed;
    unsigned                       flying:1;
    unsigned                       expires:1;
    unsigned                       bad:1;  /* its counter is none */
    u_char                         id[SGTM_TENANT_ID_MAX];
} ngx_http_sgtm_redis_use_t;


struct ngx_http_sgtm_redis_sharing_s {
    ngx_http_sgtm_main_conf_t     *smcf;
    ngx_http_sgtm_fleet_t         *fleet;

    ngx_event_t                    timer;
    ngx_event_t                    step;   /* posted */

    ngx_http_sgtm_redis_use_t     *uses;
    ngx_uint_t                     nuses;  /* that were ever used */
    ngx_queue_t                    free;
    ngx_queue_t                    list;
    ngx_uint_t                     n;      /* in the list */
    ngx_rbtree_t                   tree;
    ngx_rbtree_node_t              sentinel;

    ngx_queue_t                   *next;   /* of the round; NULL: it is over */
    ngx_http_sgtm_redis_use_t     *flying[NGX_HTTP_SGTM_REDIS_FLIGHT];
    ngx_uint_t                     first;  /* of them */
    ngx_uint_t                     flight;

    sgtm_share_machines_t          machines;
    ngx_uint_t                     session;    /* of the connection */
    ngx_uint_t                     error;  /* as logged */
    ngx_msec_t                     refused;
    ngx_msec_t                     renewed;

    unsigned                       counting:1; /* machines: it is asked */
    unsigned                       able:1; /* all that is needed is allowed */
    unsigned                       off:1;  /* something was refused */
};


/* of ngx_http_sgtm_redis_use.c */

/* no tenants yet; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_redis_use_init(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_main_conf_t *smcf, ngx_cycle_t *cycle);

/* adds tenants that the workers have been asked for, some at a time */
void ngx_http_sgtm_redis_use_learn(ngx_http_sgtm_redis_sharing_t *s);

/*
 * Sets use->sent to the hits since the last call that are to be told of.
 * NGX_OK; NGX_DECLINED: it was not asked for any more, or is gone, and is to be
 * dropped.
 */
ngx_int_t ngx_http_sgtm_redis_use_asked(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_redis_use_t *use);

void ngx_http_sgtm_redis_use_drop(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_redis_use_t *use);

/* sets the machine's part of its rate, by what was heard, or while alone */
void ngx_http_sgtm_redis_use_set(ngx_http_sgtm_redis_sharing_t *s,
    ngx_http_sgtm_redis_use_t *use, ngx_uint_t alone);


#endif /* _NGX_HTTP_SGTM_REDIS_SHARE_H_INCLUDED_ */
