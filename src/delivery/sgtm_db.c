
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/file.h>

#include "sgtm_db.h"


static void sgtm_db_after_commit(sgtm_store_t *store);
static int sgtm_db_rc(sgtm_store_t *store, int code, int err);


int
sgtm_db_enter(sgtm_store_t *store)
{
    errno = 0;

    store->error[0] = '\0';
    store->busy_limit = SGTM_DB_BUSY;

    if (store->db != NULL) {

        if (!store->suspect && !sgtm_db_replaced(store)) {
            return SGTM_STORE_OK;
        }

        sgtm_db_close(store);
    }

    return sgtm_db_open(store);
}


/*
 * The lock is taken within the transaction: only one process at a time holds
 * it, so that whoever has to replace the file is not kept waiting.
 */

int
sgtm_db_begin(sgtm_store_t *store)
{
    int  rc, tries;

    for (tries = 0; tries < 3; tries++) {

        rc = sgtm_db_enter(store);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        rc = sgtm_db_run(store, SGTM_SQL_BEGIN, NULL, 0);

        if (rc == SGTM_STORE_OK) {
            rc = sgtm_db_lock(store, LOCK_SH);
        }

        if (rc != SGTM_STORE_OK) {
            return sgtm_db_leave(store, rc);
        }

        if (!sgtm_db_replaced(store)) {
            return SGTM_STORE_OK;
        }

        (void) sgtm_db_leave(store, SGTM_STORE_FAILED);
    }

    return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                             "it is replaced again and again");
}


int
sgtm_db_leave(sgtm_store_t *store, int rc)
{
    int  committed;

    committed = 0;

    if (store->db != NULL && !sqlite3_get_autocommit(store->db)) {

        if (rc == SGTM_STORE_OK) {
            rc = sgtm_db_run(store, SGTM_SQL_COMMIT, NULL, 0);
            committed = (rc == SGTM_STORE_OK);
        }

        if (!sqlite3_get_autocommit(store->db)
            && sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL)
               != SQLITE_OK)
        {
            store->suspect = 1;
        }

    } else if (rc == SGTM_STORE_OK && store->locked) {

        /* an error that SQLite itself has rolled back, and nobody saw */
        rc = sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                               "the transaction was rolled back");
    }

    if (store->locked) {
        (void) sgtm_db_lock(store, LOCK_UN);
    }

    if (rc == SGTM_STORE_DAMAGED) {
        return sgtm_db_set_aside(store);
    }

    if (committed) {
        sgtm_db_after_commit(store);
    }

    return rc;
}


static void
sgtm_db_after_commit(sgtm_store_t *store)
{
    if (store->frames < (store->conf.kept ? SGTM_DB_KEPT : SGTM_DB_CHECKPOINT))
    {
        return;
    }

    (void) sgtm_db_checkpoint(store,
                              store->frames < SGTM_DB_RESTART
                              ? SQLITE_CHECKPOINT_PASSIVE
                              : SQLITE_CHECKPOINT_RESTART);
}


int
sgtm_db_checkpoint(sgtm_store_t *store, int mode)
{
    int  rc, frames, done;

    store->busy_limit = SGTM_DB_BUSY_SHORT;

    rc = sqlite3_wal_checkpoint_v2(store->db, "main", mode, &frames, &done);

    store->busy_limit = SGTM_DB_BUSY;
    store->logged = frames;

    switch (rc & 0xff) {

    case SQLITE_OK:
        break;

    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
        return 0;

    default:
        /* what was committed is so still; the next call sees what is wrong */
        store->suspect = 1;
        return 0;
    }

    if (frames != done) {
        return 0;
    }

    if (mode != SQLITE_CHECKPOINT_PASSIVE) {
        store->frames = 0;
    }

    if (mode == SQLITE_CHECKPOINT_TRUNCATE) {
        sgtm_db_reserve(store);
    }

    return 1;
}


void
sgtm_db_tidy(sgtm_store_t *store, int64_t after)
{
    int64_t  now;

    if (!store->deleted || store->conf.kept || store->db == NULL) {
        return;
    }

    now = sgtm_file_clock();

    if (now - store->tidied < after) {
        return;
    }

    /* most of the work without the lock that writers want */

    (void) sgtm_db_checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);

    if (sgtm_db_checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE)) {
        store->deleted = 0;
        store->tidied = now;
    }
}


int
sgtm_db_fail(sgtm_store_t *store, int code, const char *what)
{
    int  err;

    err = 0;

    /* SQLite's own copy lacks what fails in a commit */

    if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN) {
        err = errno;

        if (sgtm_file_rc(err) == SGTM_STORE_FAILED) {
            err = sqlite3_system_errno(store->db);
        }
    }

    store->rc = sgtm_db_rc(store, code, err);

    (void) snprintf(store->error, sizeof(store->error),
                    "\"%s\": %s: %s (%d%s%s)", store->path, what,
                    sqlite3_errstr(code), code, err ? ": " : "",
                    err ? strerror(err) : "");

    return store->rc;
}


static int
sgtm_db_rc(sgtm_store_t *store, int code, int err)
{
    switch (code & 0xff) {

    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SGTM_STORE_DAMAGED;

    case SQLITE_FULL:
        return SGTM_STORE_FULL;

    case SQLITE_READONLY:
        /* the file may have moved, or be writable again after a new open() */
        store->suspect = 1;
        return SGTM_STORE_READONLY;

    case SQLITE_IOERR:
        store->suspect = 1;

        if (code == SQLITE_IOERR_CORRUPTFS) {
            return SGTM_STORE_DAMAGED;
        }

        /* fall through */

    case SQLITE_CANTOPEN:
        return sgtm_file_rc(err);

    default:
        return SGTM_STORE_FAILED;
    }
}


int
sgtm_db_fail_errno(sgtm_store_t *store, int err, const char *what,
    const char *name)
{
    store->rc = sgtm_file_fail(store->error, sizeof(store->error), err, what,
                               name);

    return store->rc;
}


int
sgtm_db_fail_text(sgtm_store_t *store, int rc, const char *text)
{
    store->rc = rc;

    (void) snprintf(store->error, sizeof(store->error), "\"%s\": %s",
                    store->path, text);

    return rc;
}


int
sgtm_db_wait(sgtm_store_t *store, int first)
{
    int64_t          now;
    struct timespec  ts;

    now = sgtm_file_clock();

    if (first) {
        store->busy_since = now;
    }

    if (now - store->busy_since >= store->busy_limit) {
        return 0;
    }

    /* so that those who wait do not come back together (xorshift) */

    store->random ^= store->random << 13;
    store->random ^= store->random >> 17;
    store->random ^= store->random << 5;

    ts.tv_sec = 0;
    ts.tv_nsec = 100000 + store->random % 1900000;

    (void) nanosleep(&ts, NULL);

    return 1;
}
