
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The store as tools see it: counting, listing, replaying, purging.
 */


#include <stdlib.h>
#include <string.h>

#include "sgtm_db.h"


/*
 * Rows of one transaction: a reader keeps the log of changes from being used
 * again, a writer keeps everybody else waiting.
 */
#define SGTM_LIST_READ   4096
#define SGTM_LIST_WRITE  256


static void sgtm_store_count_part(const int64_t *part, int64_t *n,
    int64_t *oldest);
static int64_t sgtm_store_count_bytes(const char *name);
static int sgtm_store_choose(sgtm_store_t *store, unsigned sql, int64_t id,
    int64_t before, int (*handler)(sgtm_store_t *store, int64_t id),
    int64_t *n);
static int sgtm_store_choose_part(sgtm_store_t *store, unsigned sql,
    int64_t *values, int64_t before, int64_t *ids, int *nids, int *nrows);
static int sgtm_store_apply(sgtm_store_t *store,
    int (*handler)(sgtm_store_t *store, int64_t id), const int64_t *ids,
    int nids);
static int sgtm_store_replay_one(sgtm_store_t *store, int64_t id);
static int sgtm_store_purge_hit(sgtm_store_t *store, int64_t id);
static int sgtm_store_purge_dead(sgtm_store_t *store, int64_t id);


int
sgtm_store_count(sgtm_store_t *store, sgtm_store_counts_t *counts)
{
    int              rc;
    sgtm_counting_t  counting;

    memset(&counting, 0, sizeof(sgtm_counting_t));

    do {
        rc = sgtm_store_count_some(store, &counting);
    } while (rc == SGTM_STORE_OK && !counting.done);

    *counts = counting.counts;

    return rc;
}


int
sgtm_store_count_some(sgtm_store_t *store, sgtm_counting_t *counting)
{
    int                   rc, found;
    int64_t               part[4], values[2];
    sgtm_store_counts_t  *counts;

    rc = sgtm_db_enter(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    counts = &counting->counts;

    if (!counting->journal) {

        /* first: what is moved meanwhile is counted twice rather than not */

        counting->journal = 1;

        return sgtm_db_leave(store, sgtm_store_count_journal(store, counts));
    }

    values[0] = counting->after;
    values[1] = SGTM_LIST_READ;

    rc = sgtm_db_get(store, counting->dead ? SGTM_SQL_COUNT_DEAD
                                           : SGTM_SQL_COUNT_HITS,
                     values, 2, part, 4, &found);

    if (rc != SGTM_STORE_OK) {
        return sgtm_db_leave(store, rc);
    }

    counting->after = part[3];

    if (counting->dead) {
        sgtm_store_count_part(part, &counts->dead, &counts->dead_oldest);

    } else {
        sgtm_store_count_part(part, &counts->hits, &counts->oldest);
        counts->events += part[1];
    }

    if (part[0] == SGTM_LIST_READ) {
        return SGTM_STORE_OK;
    }

    if (!counting->dead) {
        counting->dead = 1;
        counting->after = 0;
        return SGTM_STORE_OK;
    }

    counts->size += sgtm_store_count_bytes(store->path)
                    + sgtm_store_count_bytes(store->wal);
    counting->done = 1;

    return SGTM_STORE_OK;
}


/* number, events, the oldest time, the last id */

static void
sgtm_store_count_part(const int64_t *part, int64_t *n, int64_t *oldest)
{
    if (part[0] && (*n == 0 || part[2] < *oldest)) {
        *oldest = part[2];
    }

    *n += part[0];
}


static int64_t
sgtm_store_count_bytes(const char *name)
{
    struct stat  sb;

    return stat(name, &sb) == 0 ? sb.st_size : 0;
}


int
sgtm_store_next(sgtm_store_t *store, unsigned list, int64_t after,
    sgtm_record_t **record, int64_t *died)
{
    int            rc;
    unsigned       sql;
    sqlite3_stmt  *stmt;

    *record = NULL;

    rc = sgtm_db_enter(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    sql = (list == SGTM_STORE_DEAD) ? SGTM_SQL_NEXT_DEAD : SGTM_SQL_NEXT_HIT;

    stmt = sgtm_db_stmt(store, sql);

    if (stmt == NULL) {
        return sgtm_db_leave(store, store->rc);
    }

    rc = sgtm_db_bind(stmt, &after, 1);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
    }

    if (rc == SQLITE_ROW) {

        *record = sgtm_record_make(stmt);

        if (died != NULL) {
            *died = sqlite3_column_int64(stmt, SGTM_RECORD_INTEGERS
                                               + SGTM_RECORD_STRINGS);
        }

        rc = (*record != NULL) ? SGTM_STORE_OK
                               : sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                                   "no memory");

    } else if (rc == SQLITE_DONE) {
        rc = SGTM_STORE_OK;

    } else {
        rc = sgtm_db_fail(store, rc, "read");
    }

    (void) sqlite3_reset(stmt);

    return sgtm_db_leave(store, rc);
}


int
sgtm_store_replay(sgtm_store_t *store, int64_t id, int64_t before, int64_t *n)
{
    return sgtm_store_choose(store, SGTM_SQL_OLD_DEAD, id, before,
                             sgtm_store_replay_one, n);
}


int
sgtm_store_purge(sgtm_store_t *store, unsigned list, int64_t id,
    int64_t before, int64_t *n)
{
    int  rc;

    rc = (list == SGTM_STORE_DEAD)
         ? sgtm_store_choose(store, SGTM_SQL_OLD_DEAD, id, before,
                             sgtm_store_purge_dead, n)
         : sgtm_store_choose(store, SGTM_SQL_OLD_HIT, id, before,
                             sgtm_store_purge_hit, n);

    store->deleted = 1;
    sgtm_db_tidy(store, 0);

    return rc;
}


/* calls the handler for the row of this id, or for all up to a time */

static int
sgtm_store_choose(sgtm_store_t *store, unsigned sql, int64_t id,
    int64_t before, int (*handler)(sgtm_store_t *store, int64_t id),
    int64_t *n)
{
    int      rc, nids, nrows;
    int64_t  ids[SGTM_LIST_WRITE], values[3];

    *n = 0;

    if (before <= 0) {
        before = INT64_MAX;
    }

    values[0] = (id != 0) ? id - 1 : 0;
    values[1] = (id != 0) ? id : INT64_MAX;
    values[2] = SGTM_LIST_WRITE;

    do {
        rc = sgtm_db_begin(store);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        rc = sgtm_store_choose_part(store, sql, values, before, ids, &nids,
                                    &nrows);

        if (rc == SGTM_STORE_OK) {
            rc = sgtm_store_apply(store, handler, ids, nids);
        }

        rc = sgtm_db_leave(store, rc);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        *n += nids;

    } while (nrows == SGTM_LIST_WRITE);

    return SGTM_STORE_OK;
}


static int
sgtm_store_choose_part(sgtm_store_t *store, unsigned sql, int64_t *values,
    int64_t before, int64_t *ids, int *nids, int *nrows)
{
    int            rc;
    sqlite3_stmt  *stmt;

    *nids = 0;
    *nrows = 0;

    stmt = sgtm_db_stmt(store, sql);

    if (stmt == NULL) {
        return store->rc;
    }

    rc = sgtm_db_bind(stmt, values, 3);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "read");
    }

    while (*nrows < SGTM_LIST_WRITE) {

        rc = sqlite3_step(stmt);

        if (rc != SQLITE_ROW) {
            break;
        }

        values[0] = sqlite3_column_int64(stmt, 0);
        (*nrows)++;

        if (sqlite3_column_int64(stmt, 1) <= before) {
            ids[(*nids)++] = values[0];
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        rc = sgtm_db_fail(store, rc, "read");
        (void) sqlite3_reset(stmt);
        return rc;
    }

    (void) sqlite3_reset(stmt);

    return SGTM_STORE_OK;
}


static int
sgtm_store_apply(sgtm_store_t *store,
    int (*handler)(sgtm_store_t *store, int64_t id), const int64_t *ids,
    int nids)
{
    int      i, rc;
    int64_t  last;

    last = 0;

    for (i = 0; i < nids; i++) {
        rc = handler(store, ids[i]);

        if (rc == SGTM_STORE_OK) {
            rc = sgtm_store_gone(store, &last, ids[i]);
        }

        if (rc != SGTM_STORE_OK) {
            return rc;
        }
    }

    return sgtm_store_gone(store, &last, 0);
}


/* due at once, but not fresh: a courier does not look back for those */

static int
sgtm_store_replay_one(sgtm_store_t *store, int64_t id)
{
    int      rc;
    int64_t  values[2];

    values[0] = id;
    values[1] = sgtm_file_time();

    rc = sgtm_db_run(store, SGTM_SQL_REPLAY, values, 2);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    return sgtm_store_purge_dead(store, id);
}


static int
sgtm_store_purge_hit(sgtm_store_t *store, int64_t id)
{
    return sgtm_db_run(store, SGTM_SQL_DELETE, &id, 1);
}


static int
sgtm_store_purge_dead(sgtm_store_t *store, int64_t id)
{
    return sgtm_db_run(store, SGTM_SQL_DELETE_DEAD, &id, 1);
}
