
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The database below the store: opening it, setting a damaged one aside,
 * transactions, checkpoints, and what an error means.  For sgtm_store_*.c
 * only.
 */


#ifndef _SGTM_DB_H_INCLUDED_
#define _SGTM_DB_H_INCLUDED_


#include <sqlite3.h>
#include <sys/stat.h>

#include "sgtm_file.h"
#include "sgtm_segment.h"
#include "sgtm_store.h"


/* PRAGMA user_version and PRAGMA application_id ("sgtm") */
#define SGTM_DB_VERSION         2
#define SGTM_DB_APPLICATION     0x7367746d

#define SGTM_DB_PAGE            8192

/*
 * The log of changes, in frames of a page: from the first number on each commit
 * begins a checkpoint, from the second on one that waits for readers.
 */
#define SGTM_DB_CHECKPOINT      1000
#define SGTM_DB_RESTART         4000

/* from this number on a store does it itself that has somebody for it */
#define SGTM_DB_KEPT            16000

/* what the log of changes has of its own, against others that fill the disk */
#define SGTM_DB_RESERVE_LOG     (1024 * 1024)

/* ms: how long to wait for others, at most; for a checkpoint that may fail */
#define SGTM_DB_BUSY            10000
#define SGTM_DB_BUSY_SHORT      50

/*
 * ms: how long deleted bytes may stay in the log of changes, while there is
 * traffic, and once nothing is left to deliver
 */
#define SGTM_DB_TIDY            10000
#define SGTM_DB_TIDY_EMPTY      1000


/* the statements, each prepared when it is first used */

typedef enum {
    SGTM_SQL_BEGIN = 0,
    SGTM_SQL_COMMIT,
    SGTM_SQL_ROLLBACK,
    SGTM_SQL_FREE_PAGES,

    SGTM_SQL_TARGET_FIND,
    SGTM_SQL_TARGET_ADD,
    SGTM_SQL_TARGET_LAST,
    SGTM_SQL_TARGET_USED,
    SGTM_SQL_LAST,
    SGTM_SQL_INSERT,

    SGTM_SQL_MOVED_GET,
    SGTM_SQL_MOVED_SET,
    SGTM_SQL_MOVED_ALL,
    SGTM_SQL_MOVED_DROP,

    SGTM_SQL_LEASE_GET,
    SGTM_SQL_LEASE_SET,
    SGTM_SQL_LEASE_DROP,
    SGTM_SQL_UNTAKE,

    SGTM_SQL_DUE,
    SGTM_SQL_DUE_NEXT,
    SGTM_SQL_FRESH,
    SGTM_SQL_HIT,
    SGTM_SQL_EARLIER,
    SGTM_SQL_SET_DUE,

    SGTM_SQL_DELETE,
    SGTM_SQL_RETRY,
    SGTM_SQL_BACK,
    SGTM_SQL_DIE,
    SGTM_SQL_EMPTY,

    SGTM_SQL_COUNT_HITS,
    SGTM_SQL_COUNT_DEAD,
    SGTM_SQL_NEXT_HIT,
    SGTM_SQL_NEXT_DEAD,
    SGTM_SQL_OLD_HIT,
    SGTM_SQL_OLD_DEAD,
    SGTM_SQL_REPLAY,
    SGTM_SQL_DELETE_DEAD,

    SGTM_SQL_N
} sgtm_sql_e;


/* a target that the current transaction puts hits of */

typedef struct {
    sgtm_str_t          name;      /* of malloc() */
    int64_t             number;
    int64_t             id;        /* the next one */
    int64_t             end;       /* the first that is another target's */
} sgtm_db_target_t;


/* rows of segments that are no more, of those that were seen at a time */
#define SGTM_STORE_STALE  64


struct sgtm_store_s {
    sqlite3            *db;
    sqlite3_stmt       *stmt[SGTM_SQL_N];

    sgtm_store_conf_t   conf;

    char               *dir;
    char               *path;      /* of the database */
    char               *wal;
    char               *lock;
    char               *owner;     /* locked by the courier while it lives */

    int                 lock_fd;
    int                 owner_fd;
    int                 wal_fd;
    struct stat         file;      /* that is open: st_dev, st_ino */

    int64_t             page;      /* bytes of a page */
    int64_t             max_pages;
    int                 frames;    /* in the log of changes, when last seen */
    int                 logged;    /* the same, by the last checkpoint */

    int64_t             busy_since;
    int64_t             busy_limit;
    uint32_t            random;

    int64_t             tidied;    /* ms, monotonic */
    unsigned            deleted:1; /* since then */
    unsigned            locked:1;
    unsigned            owned:1;   /* the courier's lock is held here */
    int64_t             heir;      /* the courier that came without the lock,
                                      which was held here, or 0 */
    unsigned            damaged:1; /* to be set aside */
    unsigned            suspect:1; /* to be opened anew */

    sgtm_db_target_t   *targets;
    size_t              ntargets;
    size_t              atargets;

    unsigned char      *group;     /* of the journal, read to be moved */
    size_t              agroup;
    sgtm_segment_t     *synced;    /* as sgtm_store_sync() saw them last */
    size_t              nsynced;
    char                stale[SGTM_STORE_STALE][SGTM_JOURNAL_NAME];
    size_t              nstale;

    int                 rc;        /* of the last error */
    char                error[8192];
};


/* sgtm_db_open.c */

/*
 * Opens, makes or recovers the file, unless it is open and still the one of
 * that name.  Returns an sgtm_store_rc_e, as all functions here that do not
 * say otherwise; the error's text is set.
 */
int sgtm_db_open(sgtm_store_t *store);

void sgtm_db_close(sgtm_store_t *store);

/*
 * Takes the lock that a courier holds as long as its process lives: whether
 * nobody had it, the caller included.
 */
int sgtm_db_own(sgtm_store_t *store);
void sgtm_db_disown(sgtm_store_t *store);


/* sgtm_db.c */

/*
 * What every call of the store begins with: the file is open, the error's text
 * empty.
 */
int sgtm_db_enter(sgtm_store_t *store);

/* the same, and a transaction that may write */
int sgtm_db_begin(sgtm_store_t *store);

/*
 * The end of both: rc decides whether a transaction is committed or rolled
 * back, a damaged file is set aside.  Returns rc, or why the commit failed.
 */
int sgtm_db_leave(sgtm_store_t *store, int rc);

/* what an error of SQLite means to the store, and its text */
int sgtm_db_fail(sgtm_store_t *store, int code, const char *what);

/* the same for a system call */
int sgtm_db_fail_errno(sgtm_store_t *store, int err, const char *what,
    const char *name);

/* a text of its own */
int sgtm_db_fail_text(sgtm_store_t *store, int rc, const char *text);

/*
 * Brings the log of changes into the database; not within a transaction.
 * Returns 1 if it is whole (with SQLITE_CHECKPOINT_TRUNCATE: and now empty).
 */
int sgtm_db_checkpoint(sgtm_store_t *store, int mode);

/*
 * Empties the log of changes if anything was deleted and this long (ms) has
 * passed since it was emptied last; what is busy then waits for the next call.
 */
void sgtm_db_tidy(sgtm_store_t *store, int64_t after);

/* sleeps 100 us to 2 ms; 0 once limit ms have passed since the first time */
int sgtm_db_wait(sgtm_store_t *store, int first);


/* sgtm_db_file.c */

/* closes a damaged file and renames it; SGTM_STORE_DAMAGED, or FAILED */
int sgtm_db_set_aside(sgtm_store_t *store);

/* the log of changes as a file: store->wal_fd, which holds no locks */
int sgtm_db_open_wal(sgtm_store_t *store);

/*
 * Gives the log of changes blocks of the disk before it needs them, where the
 * file system can do that.
 */
void sgtm_db_reserve(sgtm_store_t *store);

/*
 * The lock that keeps a file from being replaced: LOCK_SH for a transaction,
 * LOCK_EX to open or replace it, LOCK_UN.
 */
int sgtm_db_lock(sgtm_store_t *store, int operation);

/* whether another file has the name now */
int sgtm_db_replaced(sgtm_store_t *store);


/* sgtm_db_sql.c */

/* a statement, prepared and reset; NULL: store->rc tells why */
sqlite3_stmt *sgtm_db_stmt(sgtm_store_t *store, unsigned n);

/*
 * Runs a statement that returns no rows, with these integers bound to its first
 * parameters; other ones are bound before.
 */
int sgtm_db_run(sgtm_store_t *store, unsigned n, const int64_t *values,
    int nvalues);

/*
 * The first row of such a statement: its columns as integers, up to ncolumns.
 * found is set to whether there is one.
 */
int sgtm_db_get(sgtm_store_t *store, unsigned n, const int64_t *values,
    int nvalues, int64_t *columns, int ncolumns, int *found);

int sgtm_db_bind(sqlite3_stmt *stmt, const int64_t *values, int nvalues);

/* TEXT if it is that, else BLOB; the bytes stay until the statement is reset */
int sgtm_db_bind_str(sqlite3_stmt *stmt, int n, const sgtm_str_t *str);

/* whether bytes are UTF-8 without a NUL */
int sgtm_db_is_text(const unsigned char *p, size_t len);


/* sgtm_db_page.c */

/* from now on no page keeps bytes of what was deleted from it */
int sgtm_db_clean_pages(sgtm_store_t *store);


/* sgtm_record.c: columns to records */

/*
 * A record from a row of SGTM_SQL_HIT, SGTM_SQL_FRESH and others whose columns
 * are those of SGTM_RECORD_COLUMNS.  NULL: no memory.
 */
sgtm_record_t *sgtm_record_make(sqlite3_stmt *stmt);

/* the bytes of its strings */
size_t sgtm_record_size(sqlite3_stmt *stmt);


/* sgtm_store_insert.c */

/* whether the disk has room for bytes of records; not within a transaction */
int sgtm_store_room(sgtm_store_t *store, size_t size);

/* a row for a new hit, and its id; within a transaction */
int sgtm_store_insert(sgtm_store_t *store, sgtm_record_t *record);

/* to be called before such a transaction: the targets are looked up anew */
void sgtm_store_forget(sgtm_store_t *store);

/*
 * Remembers the highest id of those that leave the file, by target, so that
 * none is used twice: *last is 0 at first; an id of 0 is the end.  Within a
 * transaction.
 */
int sgtm_store_gone(sgtm_store_t *store, int64_t *last, int64_t id);


/* sgtm_store_courier.c */

/* whether the lease is this instance's: OK or LOST */
int sgtm_store_is_courier(sgtm_store_t *store, int64_t instance);


/* columns that are looked at before a record is made of a row */

#define SGTM_COLUMN_ID      0
#define SGTM_COLUMN_DUE     1
#define SGTM_COLUMN_CLIENT  2

#define SGTM_RECORD_COLUMNS(target)                                           \
    "id, due, client, time, attempts, events, "                               \
    "(SELECT name FROM target WHERE number = " target "), "                   \
    "tenant, error, method, uri, args, headers, body"

#define SGTM_RECORD_INTEGERS  6
#define SGTM_RECORD_STRINGS   8


/* ids: the number of a target and what ascends within it */

#define SGTM_ID_BITS     46
#define SGTM_ID_MAX      ((int64_t) 1 << SGTM_ID_BITS)
#define SGTM_TARGET_MAX  ((int64_t) 1 << (63 - SGTM_ID_BITS))


#endif /* _SGTM_DB_H_INCLUDED_ */
