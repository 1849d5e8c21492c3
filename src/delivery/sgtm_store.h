
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The spool's file: an SQLite database "spool.db" in WAL mode, in a directory
 * of its own.  Plain C11 without nginx, so that tools/sgtm-spool is the same
 * code.  Every function may wait for the disk or for another process: none is
 * called on an event loop.
 *
 * A store is used by one thread at a time.  Any number of processes may have
 * the same directory open.
 */


#ifndef _SGTM_STORE_H_INCLUDED_
#define _SGTM_STORE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../hit/sgtm_hit.h"


#define SGTM_STORE_FILE  "spool.db"


typedef enum {
    SGTM_STORE_SYNC_INTERVAL = 0,  /* sgtm_store_sync() is called for it */
    SGTM_STORE_SYNC_ALWAYS,        /* a commit is on the disk */
    SGTM_STORE_SYNC_OFF
} sgtm_store_sync_e;


/* what a call returns */

typedef enum {
    SGTM_STORE_OK = 0,
    SGTM_STORE_FULL,               /* max_size, or no space on the disk */
    SGTM_STORE_READONLY,
    SGTM_STORE_LOST,               /* another process is the courier now */
    SGTM_STORE_DAMAGED,            /* set aside: the next call begins a new
                                      file */
    SGTM_STORE_FAILED
} sgtm_store_rc_e;


/*
 * A hit as it will be sent.  Strings belong to whoever made the record; those
 * of sgtm_store_take() and sgtm_store_next() lie in the same block of malloc()
 * as the record, which free() releases.
 */

typedef struct sgtm_record_s  sgtm_record_t;

struct sgtm_record_s {
    sgtm_record_t  *next;

    int64_t         id;            /* given by the store; ascending by target */
    int64_t         time;          /* of the event, ms since the epoch */
    int64_t         due;           /* see sgtm_due_own(); 0: fresh */
    uint64_t        client;        /* hits of one client are sent in order;
                                      0: of none */
    unsigned        attempts;      /* that failed */
    unsigned        events;

    sgtm_str_t      target;        /* server and courier: "shop.example@tag" */
    sgtm_str_t      tenant;
    sgtm_str_t      error;         /* of the last attempt, or empty */

    sgtm_str_t      method;
    sgtm_str_t      uri;           /* below the prefix: "/g/collect" */
    sgtm_str_t      args;
    sgtm_str_t      headers;       /* "Name: value\r\n" each */
    sgtm_str_t      body;
};


/*
 * When a hit is due, in ms since the epoch: an even number is a time of its
 * own, by a backoff or because it was told so.  An odd one is that of a hit
 * which an outage has put off: it may be taken earlier.  A hit behind another
 * one of its client waits in the same way, for a little longer.
 */
#define sgtm_due_own(ms)      (((ms) + 1) & ~(int64_t) 1)
#define sgtm_due_put_off(ms)  ((ms) | 1)
#define sgtm_due_behind(due)  ((due) + 2)

#define sgtm_due_is_put_off(due)  ((due) & 1)


/* what became of a hit that was taken */

typedef enum {
    SGTM_OUTCOME_DELIVERED = 0,    /* gone from the file */
    SGTM_OUTCOME_RETRY,            /* one attempt more, error; again at due */
    SGTM_OUTCOME_RELEASE,          /* not sent after all: again at due (0: as
                                      fresh as it was taken) */
    SGTM_OUTCOME_DEAD              /* a dead letter, error says why */
} sgtm_outcome_e;


typedef struct sgtm_outcome_s  sgtm_outcome_t;

struct sgtm_outcome_s {
    sgtm_outcome_t  *next;
    int64_t          id;
    int64_t          was;          /* for sgtm_store_settle_left() */
    int64_t          due;          /* see sgtm_due_own() */
    unsigned         kind;         /* sgtm_outcome_e */
    unsigned         attempt:1;    /* DEAD: this attempt counts as one */
    sgtm_str_t       error;
};


typedef struct {
    sgtm_store_sync_e  sync;
    int64_t            max_size;   /* bytes of the database */
    int                kept;       /* another store of the same directory calls
                                      sgtm_store_sync(), in another thread */
} sgtm_store_conf_t;


/* what waits in the file; oldest: ms since the epoch, 0 when there is none */

typedef struct {
    int64_t  hits;
    int64_t  events;
    int64_t  oldest;
    int64_t  dead;
    int64_t  dead_oldest;
    int64_t  size;                 /* bytes, the log of changes included */
} sgtm_store_counts_t;


typedef struct sgtm_store_s  sgtm_store_t;


/*
 * A store for this directory, which must exist; NULL: no memory.  The file is
 * opened, made or recovered by the first call that needs it, and again
 * when it was replaced.
 */
sgtm_store_t *sgtm_store_create(const char *dir,
    const sgtm_store_conf_t *conf);

/* closes the file; the log of changes stays if others have it open */
void sgtm_store_destroy(sgtm_store_t *store);

/*
 * Why the last call failed: one line, without anything of a visitor, valid
 * until the next call.
 */
const char *sgtm_store_error(sgtm_store_t *store);

/*
 * Moves hits from the journal (sgtm_journal.h) into the database, the earliest
 * ones: groups of them until size bytes are reached, in one transaction.  hits
 * is set to their number, more to whether there are others, warning to what is
 * wrong with the journal, or "".  Any process may do that at any time.
 *
 * The order of a target's records is that in which they were kept.
 */
typedef struct {
    size_t          size;
    int64_t         hits;
    int             more;
    char            warning[512];
} sgtm_fetch_t;

int sgtm_store_fetch(sgtm_store_t *store, sgtm_fetch_t *fetch);

/*
 * Brings to the disk what all processes have kept and committed so far, removes
 * what was moved from the journal, and moves the log of changes into the
 * database, so that it begins anew and, every ten seconds at most, what was
 * deleted leaves it.  To be called several times a
 * second, with every kind of sync, while there is anything to do; others can
 * write meanwhile, but for moments.
 */
int sgtm_store_sync(sgtm_store_t *store);

/*
 * Becomes, or stays, the one courier of this file until a time (ms since the
 * epoch).  LOST: another one's time has not come yet, and its process lives.
 * A new courier finds what the earlier one had taken ready to be taken again;
 * fresh is set to whether it is new.  instance: random, of the process.
 */
int sgtm_store_lease(sgtm_store_t *store, int64_t instance, int64_t now,
    int64_t until, int *fresh);

/* ms: one that seems to be longer is of a clock that was wrong */
#define SGTM_STORE_LEASE_MAX  600000

/* lets go of the lease, so that another courier need not wait for its end */
int sgtm_store_release(sgtm_store_t *store, int64_t instance);

/*
 * The numbers of the targets in the file that have hits, at most n of them;
 * count is set.  The name is copied to a buffer of the caller's, ended by 0.
 */
typedef struct {
    int64_t  number;
    char     name[512];
} sgtm_target_t;

int sgtm_store_targets(sgtm_store_t *store, sgtm_target_t *targets, size_t n,
    size_t *count);

/*
 * Takes at most limit hits of a target, not over size bytes together (but for
 * a first one): those that are due at now, by due, then fresh ones with an id
 * over after, by id (0: from the first on).  A hit that has an earlier one of
 * the same client waiting is not taken: it becomes due right after that.
 * Those that were due are marked as taken until their outcome is settled or
 * another courier begins; of the fresh ones the caller remembers how far it
 * is: after is set for the next call.  The list's records are each a block of
 * malloc().
 *
 * again is set to when the next waiting hit is due (ms since the epoch, 0: none
 * waits); it is not after now if the call should be repeated at once.  LOST:
 * the lease is another's, nothing is taken.
 *
 * put_off: those as well that are due after now, but are only put off; cleared
 * when there are no more of them.  Behind thousands with a time of their own
 * they are not found, and wait for theirs.
 */
typedef struct {
    int64_t         instance;
    int64_t         target;
    int64_t         after;
    int64_t         now;
    size_t          limit;
    size_t          size;
    unsigned        put_off:1;

    sgtm_record_t  *list;
    int64_t         again;
} sgtm_take_t;

int sgtm_store_take(sgtm_store_t *store, sgtm_take_t *take);

/*
 * Settles a list of outcomes in one transaction.  What was delivered leaves no
 * bytes in the file.  A hit that is no longer there is no error.  LOST: the
 * lease is another's, which will send them again.
 */
int sgtm_store_settle(sgtm_store_t *store, int64_t instance,
    sgtm_outcome_t *list);

/*
 * The same without the lease, for hits that were left in the file by a courier
 * which let go of it while they were under way: it released them for a time of
 * their own first, before which no other one takes them.  A hit that has
 * another time by now than it was left with is another's, and its outcome
 * nothing; one that was taken at that time is, too, but if it was delivered it
 * is gone.
 */
int sgtm_store_settle_left(sgtm_store_t *store, sgtm_outcome_t *list);

/* counts what waits; reads the whole file, which may take its time */
int sgtm_store_count(sgtm_store_t *store, sgtm_store_counts_t *counts);

/*
 * The same by and by, some milliseconds a call, for a thread that has more to
 * do: begun with zeroes, and done when it says so.  What comes or goes
 * meanwhile may be counted or not.
 */
typedef struct {
    sgtm_store_counts_t  counts;
    int64_t              after;    /* the row where it is */
    unsigned             journal:1;    /* was counted */
    unsigned             dead:1;   /* of the dead letters */
    unsigned             done:1;
} sgtm_counting_t;

int sgtm_store_count_some(sgtm_store_t *store, sgtm_counting_t *counting);


/* for the tools and the admin: they need no lease and work beside a courier */

typedef enum {
    SGTM_STORE_WAITING = 0,
    SGTM_STORE_DEAD
} sgtm_store_list_e;

/*
 * The first record with an id over after, of one list; *record is NULL when
 * there is none; free() releases it.  died (may be NULL): when it became a
 * dead letter.
 */
int sgtm_store_next(sgtm_store_t *store, unsigned list, int64_t after,
    sgtm_record_t **record, int64_t *died);

/*
 * Makes dead letters wait again with no attempts: the one of this id, or with
 * id 0 all up to a time of death (ms since the epoch, 0: all).  n is set.
 */
int sgtm_store_replay(sgtm_store_t *store, int64_t id, int64_t before,
    int64_t *n);

/* deletes records of a list, chosen in the same way (time of the event) */
int sgtm_store_purge(sgtm_store_t *store, unsigned list, int64_t id,
    int64_t before, int64_t *n);


#endif /* _SGTM_STORE_H_INCLUDED_ */
