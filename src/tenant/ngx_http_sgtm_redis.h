
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Tenants of a fleet come from Redis: one worker keeps what the shared memory
 * has of them as Redis has it.  The protocol is in docs/fleet.md.  Redis may be
 * away at any time; no request ever waits for it.
 */


#ifndef _NGX_HTTP_SGTM_REDIS_H_INCLUDED_
#define _NGX_HTTP_SGTM_REDIS_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* bytes of an address in the status */
#define NGX_HTTP_SGTM_REDIS_ADDRESS  128


typedef enum {
    NGX_HTTP_SGTM_REDIS_CONNECTING = 0,
    NGX_HTTP_SGTM_REDIS_FILLING,       /* loading all of it */
    NGX_HTTP_SGTM_REDIS_SYNCED,
    NGX_HTTP_SGTM_REDIS_EMPTY,         /* there is nothing, and never was */
    NGX_HTTP_SGTM_REDIS_WIPED,         /* there is nothing any more */
    NGX_HTTP_SGTM_REDIS_BEHIND,        /* it knows less than was known */
    NGX_HTTP_SGTM_REDIS_AWAY,
    NGX_HTTP_SGTM_REDIS_STATE_N
} ngx_http_sgtm_redis_state_e;


/* in the zone, written by the owner; kept over a reload */

typedef struct {
    uint64_t      identity;            /* of the prefix and the database */
    ngx_atomic_t  foreign;             /* what there is, is of another source */
    ngx_atomic_t  version;             /* all changes up to it are known */
    ngx_atomic_t  tenants;             /* records, when it was last synced */
    ngx_atomic_t  restored;            /* from the snapshot, at start */
    ngx_atomic_t  unsettled;           /* could not be put, and are tried again;
                                          a new owner begins from the start */

    ngx_atomic_t  state;               /* ngx_http_sgtm_redis_state_e */
    ngx_atomic_t  error;               /* the last, ..._redis_error_e */
    ngx_atomic_t  subscribed;
    ngx_atomic_t  replica;             /* it is not the master */
    ngx_atomic_t  synced;              /* when it last was, in seconds */
    ngx_atomic_t  snapshot;            /* when it was written, in seconds */
    ngx_atomic_t  missing;             /* in the log, but have no record */
    ngx_atomic_t  slice;               /* the longest step on the loop, in us
                                          of the processor */

    ngx_atomic_t  sharing;             /* limits, with the others */
    ngx_atomic_t  machines;            /* that do so, as last known */
    ngx_atomic_t  asked;               /* tenants that are asked for */

    ngx_atomic_t  connects;            /* since the zone was made, as those */
    ngx_atomic_t  failures;
    ngx_atomic_t  loads;               /* of everything */
    ngx_atomic_t  changes;             /* records put or removed */
    ngx_atomic_t  bad;                 /* records refused */

    u_char        address[NGX_HTTP_SGTM_REDIS_ADDRESS];    /* a C string */
} ngx_http_sgtm_redis_stat_t;


/*
 * Where records go.  A pass is one over all records; what is not put or kept in
 * it may be removed at its end.
 */

typedef void (*ngx_http_sgtm_redis_record_pt)(void *ctx, ngx_str_t *json);

typedef struct {
    /* for the owner: what is given as data, or NULL: no memory */
    void      *(*create)(ngx_http_sgtm_main_conf_t *smcf, ngx_cycle_t *cycle);

    /* how many records there are */
    ngx_uint_t (*count)(void *data);

    /*
     * Before anything is put, and once in a while: NGX_OK; NGX_AGAIN: there is
     * something to repair, call it again; NGX_BUSY: another process writes.
     */
    ngx_int_t  (*tend)(void *data);

    /*
     * Begins a pass, which ends any other: over all records, or, with some ids,
     * over these alone, which may take hosts from each other.  The ids have to
     * stay until the end.  NGX_OK or NGX_AGAIN.
     */
    ngx_int_t  (*begin)(void *data, ngx_str_t *ids, ngx_uint_t n);

    /*
     * NGX_OK: it is there now; NGX_DONE: it was, the same; NGX_BUSY: not now,
     * since another tenant has its host, or for want of room or time, the one
     * that was there stays; NGX_DECLINED: it is no good record.  What is wrong
     * is logged unless quiet is set.
     */
    ngx_int_t  (*put)(void *data, ngx_str_t *id, ngx_str_t *json,
                      ngx_uint_t quiet);

    /* the record of this id, if there is one, is to stay as it is */
    void       (*keep)(void *data, ngx_str_t *id);

    /* NGX_OK: it is gone; NGX_DECLINED: was not there; NGX_BUSY: not now */
    ngx_int_t  (*remove)(void *data, ngx_str_t *id);

    /*
     * Ends the pass, and with sweep removes what it has not met, some at a
     * time: NGX_OK, NGX_AGAIN: call it again; NGX_DECLINED: another pass began.
     * Adds to *removed.
     */
    ngx_int_t  (*end)(void *data, ngx_uint_t sweep, ngx_uint_t *removed);

    /*
     * Calls a handler with the JSON of some records; next is 0 at first.
     * NGX_AGAIN: there are more; NGX_OK; NGX_ERROR.
     */
    ngx_int_t  (*walk)(void *data, size_t *next,
                       ngx_http_sgtm_redis_record_pt handler, void *ctx);
} ngx_http_sgtm_redis_sink_t;


/* the directive */

struct ngx_http_sgtm_redis_s {
    ngx_array_t                        addrs;      /* of ngx_addr_t */
    ngx_str_t                          user;       /* or empty */
    ngx_str_t                          password;   /* or empty */
    ngx_str_t                          db;         /* as text; empty: 0 */

    ngx_str_t                          record;     /* <prefix>tenant: */
    ngx_str_t                          version;    /* <prefix>version, ... */
    ngx_str_t                          base;
    ngx_str_t                          changes;
    ngx_str_t                          changed;
    ngx_str_t                          use;        /* <prefix>use */

    ngx_str_t                          snapshot;   /* a file's name, or empty */
    ngx_str_t                          temp;       /* beside it */
    uint64_t                           identity;

#if (NGX_THREADS)
    ngx_thread_pool_t                 *threads;    /* of the snapshot */
#endif
};


/* whether an sgtm_tenants directive that begins so is one of Redis */
ngx_uint_t ngx_http_sgtm_redis_is(ngx_str_t *value);

/* reads it into smcf->redis, and makes a source of it */
char *ngx_http_sgtm_redis_conf(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf);

/* for the master: restores the snapshot into a zone that is new; NGX_OK */
ngx_int_t ngx_http_sgtm_redis_init_module(ngx_cycle_t *cycle);

/* for a worker: the first one is the owner.  NGX_OK, or NGX_ERROR */
ngx_int_t ngx_http_sgtm_redis_init_process(ngx_cycle_t *cycle);

/* the word for a state */
const ngx_str_t *ngx_http_sgtm_redis_state(ngx_uint_t state);


/*
 * Puts the records of a snapshot into the registry and returns how many it has
 * put; blocks.  What is wrong with it is logged.
 */
ngx_uint_t ngx_http_sgtm_redis_restore(ngx_http_sgtm_main_conf_t *smcf,
    ngx_log_t *log);


/* the registry */
extern const ngx_http_sgtm_redis_sink_t  ngx_http_sgtm_redis_sink;


#endif /* _NGX_HTTP_SGTM_REDIS_H_INCLUDED_ */
