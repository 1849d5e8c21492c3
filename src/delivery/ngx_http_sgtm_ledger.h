
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The courier's books: the lanes it knows, what was settled, and what is
 * shown of it.
 */


#ifndef _NGX_HTTP_SGTM_LEDGER_H_INCLUDED_
#define _NGX_HTTP_SGTM_LEDGER_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_courier.h"
#include "ngx_http_sgtm_errand.h"
#include "ngx_http_sgtm_lane.h"
#include "ngx_http_sgtm_spool.h"


/* the courier of this worker */

typedef struct {
    ngx_http_sgtm_errand_t         errand;
    ngx_http_sgtm_main_conf_t     *conf;
    ngx_http_sgtm_spool_stat_t    *stat;
    ngx_http_sgtm_courier_stat_t  *show;
    ngx_log_t                     *log;

    ngx_event_t                    timer;
    ngx_event_t                    last;       /* keeps an exiting worker */
    ngx_connection_t               dummy;      /* what the timers' data is */

    ngx_rbtree_t                   lanes;      /* of ngx_http_sgtm_lane_t */
    ngx_rbtree_node_t              sentinel;
    ngx_queue_t                    active;     /* by lane->turn */
    ngx_uint_t                     nactive;

    ngx_queue_t                    outcomes;   /* to be settled */
    ngx_queue_t                    settling;   /* of the errand */
    ngx_uint_t                     noutcomes;
    ngx_uint_t                     orphans;    /* targets */
    ngx_uint_t                     generation; /* of the lease */
    int64_t                        until;      /* of the lease, 0: none */
    int64_t                        hold;       /* no errand before */
    int64_t                        clock;      /* when last looked at */

    ngx_atomic_uint_t              puts;       /* when last fetched */
    int64_t                        listed;
    int64_t                        shown;

    ngx_msec_t                     part;       /* when quitting: the time to
                                                  do so, or to stay parted */
    unsigned                       busy:1;     /* on an errand */
    unsigned                       more:1;     /* the journal has some still */
    unsigned                       quitting:1;
    unsigned                       parted:1;   /* the lease is let go of */
} ngx_http_sgtm_courier_ctx_t;


/* frees the hits of the errand, which are settled, and counts them */
void ngx_http_sgtm_ledger_settled(ngx_http_sgtm_courier_ctx_t *courier);

/* frees hits with an outcome that nobody wants to know any more */
void ngx_http_sgtm_ledger_forget(ngx_queue_t *hits);

/* makes lanes of the targets that were listed, or finds them */
void ngx_http_sgtm_ledger_list(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e);

/*
 * Which tagging servers were down by the courier before this one, if the zone
 * has that: a reload is no reason to try them.
 */
void ngx_http_sgtm_ledger_learn(ngx_http_sgtm_courier_ctx_t *courier);

/* writes the state of the lanes into the zone */
void ngx_http_sgtm_ledger_show(ngx_http_sgtm_courier_ctx_t *courier);


#endif /* _NGX_HTTP_SGTM_LEDGER_H_INCLUDED_ */
