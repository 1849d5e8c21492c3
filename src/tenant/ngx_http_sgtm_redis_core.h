
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the files of the owner share: the worker that keeps the tenants of
 * shared memory as Redis has them.
 */


#ifndef _NGX_HTTP_SGTM_REDIS_CORE_H_INCLUDED_
#define _NGX_HTTP_SGTM_REDIS_CORE_H_INCLUDED_


#include "../lib/ngx_http_sgtm_redis_event.h"
#include "ngx_http_sgtm_redis.h"
#include "sgtm_tenant.h"


/* entries of the log that are asked for at a time */
#define NGX_HTTP_SGTM_REDIS_PAGE  256


/* a line of the log: a record that was put, or one that was removed */

typedef struct {
    uint64_t                       version;    /* 0: it is tried again */
    size_t                         len;
    ngx_uint_t                     removed;
    u_char                         id[SGTM_TENANT_ID_MAX];
} ngx_http_sgtm_redis_entry_t;


typedef struct {
    ngx_http_sgtm_redis_entry_t    elts[NGX_HTTP_SGTM_REDIS_PAGE];
    ngx_uint_t                     n;
} ngx_http_sgtm_redis_page_t;


typedef enum {
    NGX_HTTP_SGTM_REDIS_IDLE = 0,
    NGX_HTTP_SGTM_REDIS_TEND,          /* something has to be repaired first */
    NGX_HTTP_SGTM_REDIS_ASKED,         /* for the version and a page */
    NGX_HTTP_SGTM_REDIS_RECORDS,       /* of the page are on their way */
    NGX_HTTP_SGTM_REDIS_SWEEP
} ngx_http_sgtm_redis_phase_e;


/* on its way through the log, from a version to its end */

typedef struct {
    ngx_uint_t                     phase;  /* ngx_http_sgtm_redis_phase_e */
    uint64_t                       known;  /* the version, when it began */
    uint64_t                       pos;    /* pages up to it are done */

    uint64_t                       version;    /* of Redis, with the page */
    uint64_t                       base;       /* 0: there is none */

    ngx_http_sgtm_redis_page_t     page;
    ngx_uint_t                     sent;   /* entries of the page: asked for, */
    ngx_uint_t                     next;   /* whose record is the next reply, */
    ngx_uint_t                     flight; /* how many are on their way, */
    ngx_uint_t                     done;   /* and how many are settled */

    ngx_uint_t                     absent[NGX_HTTP_SGTM_REDIS_PAGE];
    ngx_uint_t                     nabsent;    /* entries without a record, */
    ngx_uint_t                     checked;    /* asked for in the log */

    ngx_uint_t                     lines;  /* of the log */
    ngx_uint_t                     changed;
    ngx_uint_t                     missing;
    ngx_uint_t                     complaints;

    unsigned                       begun:1;
    unsigned                       full:1; /* from 0, in a pass */
    unsigned                       last:1; /* the page is the log's end */
    unsigned                       again:1;    /* something changed meanwhile */
    unsigned                       retrying:1;
    unsigned                       trading:1;  /* and in a pass of its own */
    unsigned                       sweep:1;    /* what was not met is gone */
} ngx_http_sgtm_redis_walk_t;


typedef struct ngx_http_sgtm_redis_snap_s  ngx_http_sgtm_redis_snap_t;
typedef struct ngx_http_sgtm_redis_sharing_s  ngx_http_sgtm_redis_sharing_t;


typedef struct {
    ngx_http_sgtm_redis_t         *conf;
    ngx_http_sgtm_redis_stat_t    *stat;
    ngx_atomic_t                  *epoch;  /* whose configuration loads */
    ngx_atomic_uint_t              mine;
    const ngx_http_sgtm_redis_sink_t  *sink;
    void                          *sink_data;
    ngx_log_t                     *log;

    ngx_http_sgtm_redis_conn_t     command;
    ngx_http_sgtm_redis_conn_t     messages;

    ngx_connection_t               dummy;  /* of the timers, for debug logs */
    ngx_event_t                    connect;
    ngx_event_t                    subscribe;
    ngx_event_t                    poll;
    ngx_event_t                    step;   /* posted */

    ngx_uint_t                     addr;   /* which of the addresses */
    ngx_uint_t                     tried;  /* of them, in this round */
    ngx_msec_t                     backoff;
    ngx_msec_t                     subscribe_backoff;
    ngx_uint_t                    *errors; /* of each address, as logged */
    ngx_uint_t                     deaf;   /* the error of the messages */
    ngx_uint_t                     ticks;

    ngx_http_sgtm_redis_snap_t    *snap;   /* NULL: none is made */
    ngx_http_sgtm_redis_sharing_t  *sharing;   /* of limits */

    ngx_http_sgtm_redis_walk_t     walk;
    ngx_http_sgtm_redis_page_t     retry;  /* records that could not be put */
    ngx_str_t                      trade[NGX_HTTP_SGTM_REDIS_PAGE];
    ngx_msec_t                     retried;
    ngx_msec_t                     behind; /* since when, if is_behind */

    unsigned                       ready:1;    /* it has answered once */
    unsigned                       is_behind:1;
    unsigned                       refill:1;   /* all is to be read again */
    unsigned                       overflow:1; /* of retry */
    unsigned                       traded:1;   /* since something changed */
    unsigned                       dirty:1;    /* since the last snapshot */
} ngx_http_sgtm_redis_owner_t;


/* another generation of workers has an owner, or is about to */
#define ngx_http_sgtm_redis_ended(o)                                          \
    (ngx_exiting || *(o)->epoch != (o)->mine)

#define ngx_http_sgtm_redis_addr(o)                                           \
    (&((ngx_addr_t *) (o)->conf->addrs.elts)[(o)->addr])

/* of a timer's */
#define ngx_http_sgtm_redis_owner(ev)                                         \
    ((ngx_http_sgtm_redis_owner_t *) ((ngx_connection_t *) (ev)->data)->data)


/* of ngx_http_sgtm_redis.c */

/* sets the state; one that is new is logged */
void ngx_http_sgtm_redis_set_state(ngx_http_sgtm_redis_owner_t *o,
    ngx_uint_t state);

/* a step on the loop has taken so many nanoseconds of the processor */
void ngx_http_sgtm_redis_sliced(ngx_http_sgtm_redis_owner_t *o, uint64_t ns);


/* of ngx_http_sgtm_redis_link.c */

/* begins to connect, and does so as long as the worker does not end */
void ngx_http_sgtm_redis_link_init(ngx_http_sgtm_redis_owner_t *o);

/* closes both connections, for good */
void ngx_http_sgtm_redis_link_end(ngx_http_sgtm_redis_owner_t *o);

/* asks on both connections for what tells whether they are of use */
void ngx_http_sgtm_redis_link_tick(ngx_http_sgtm_redis_owner_t *o);

/* the connection has given a good answer */
void ngx_http_sgtm_redis_answered(ngx_http_sgtm_redis_owner_t *o);


/* of ngx_http_sgtm_redis_page.c */

/* asks for the version and a page of the log behind o->walk.pos */
void ngx_http_sgtm_redis_ask(ngx_http_sgtm_redis_owner_t *o);

/* a page is to be gone through from its start */
void ngx_http_sgtm_redis_rewind(ngx_http_sgtm_redis_walk_t *w);

/* a version, also as a score; NGX_OK, 0 if there is none; NGX_ERROR */
ngx_int_t ngx_http_sgtm_redis_number(redisReply *reply, uint64_t *number);


/* of ngx_http_sgtm_redis_walk.c */

/* looks for changes; if it does already, it will look once more */
void ngx_http_sgtm_redis_check(ngx_http_sgtm_redis_owner_t *o);

/* goes on with what ask() has asked for */
void ngx_http_sgtm_redis_paged(ngx_http_sgtm_redis_owner_t *o);

/* goes on after a page, all of whose entries are settled */
void ngx_http_sgtm_redis_page_done(ngx_http_sgtm_redis_owner_t *o);

/* the connection is gone, and what was asked for with it */
void ngx_http_sgtm_redis_abort(ngx_http_sgtm_redis_owner_t *o);

/* of the event o->step: what takes longer than a slice goes on */
void ngx_http_sgtm_redis_step(ngx_event_t *ev);


/* of ngx_http_sgtm_redis_record.c */

/* settles entries of the page, or asks for as many as may be on their way */
void ngx_http_sgtm_redis_records(ngx_http_sgtm_redis_owner_t *o);

/* remembers an entry that has to be tried again, if there is room */
void ngx_http_sgtm_redis_put_off(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_redis_entry_t *e);


/* of ngx_http_sgtm_redis_snapshot.c */

/* NGX_OK, also where there is none, or NGX_ERROR */
ngx_int_t ngx_http_sgtm_redis_snapshot_init(ngx_http_sgtm_redis_owner_t *o,
    ngx_cycle_t *cycle);

/* writes one if it is time to */
void ngx_http_sgtm_redis_snapshot_tick(ngx_http_sgtm_redis_owner_t *o);


/* of ngx_http_sgtm_redis_share.c */

/* begins to share limits with the other machines; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_redis_share_init(ngx_http_sgtm_redis_owner_t *o,
    ngx_http_sgtm_main_conf_t *smcf, ngx_cycle_t *cycle);

/* the connection is gone, and what was sent with it */
void ngx_http_sgtm_redis_share_lost(ngx_http_sgtm_redis_owner_t *o);

/* ends it, for good */
void ngx_http_sgtm_redis_share_end(ngx_http_sgtm_redis_owner_t *o);


#endif /* _NGX_HTTP_SGTM_REDIS_CORE_H_INCLUDED_ */
