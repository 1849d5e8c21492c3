
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The journal's upkeep: bringing it to the disk, removing what was moved,
 * counting what was not.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sgtm_db.h"


/*
 * ms: a writer need not make a new segment at once, but what was delivered is
 * not to stay as long as others come
 */
#define SGTM_STORE_IDLE  200
#define SGTM_STORE_OLD   5000


static int sgtm_store_sync_segment(sgtm_store_t *store,
    sgtm_segment_t *segment);
static int sgtm_store_moved_row(sqlite3_stmt *stmt, const char *name,
    sgtm_segment_t *list, size_t n);
static void sgtm_store_stale(sgtm_store_t *store);
static int sgtm_store_moved_drop(sgtm_store_t *store);


int
sgtm_store_sync_journal(sgtm_store_t *store, sgtm_segment_t *list, size_t n)
{
    int      rc, failed;
    size_t   i, j, new;
    int64_t  size;

    if (store->conf.sync != SGTM_STORE_SYNC_INTERVAL) {
        return SGTM_STORE_OK;
    }

    new = 0;
    failed = SGTM_STORE_OK;

    /* both lists are in the order of names */

    for (i = 0, j = 0; i < n; i++) {

        while (j < store->nsynced
               && strcmp(store->synced[j].name, list[i].name) < 0)
        {
            j++;
        }

        if (j < store->nsynced
            && strcmp(store->synced[j].name, list[i].name) == 0)
        {
            list[i].synced = store->synced[j].synced;

        } else {
            new = 1;
        }

        size = list[i].size;

        if (size > list[i].synced) {
            rc = sgtm_store_sync_segment(store, &list[i]);

            /* one that can't be synced is no reason not to do the others */

            if (rc != SGTM_STORE_OK) {
                failed = rc;
                continue;
            }

            list[i].synced = size;
        }
    }

    /* a file has a name only once its directory is on the disk, too */

    if (new && sgtm_file_sync_dir(store->dir) == -1) {
        failed = sgtm_store_journal_fail(store, "fsync");
    }

    return failed;
}


static int
sgtm_store_sync_segment(sgtm_store_t *store, sgtm_segment_t *segment)
{
    int          rc;
    char         path[4096];
    const char  *call;

    call = "open";
    rc = sgtm_segment_open(store->dir, segment);

    if (rc == 1) {
        call = "fdatasync";
        rc = fdatasync(segment->fd);
    }

    if (rc == -1) {
        (void) snprintf(path, sizeof(path), "%s/%s", store->dir,
                        segment->name);
        rc = sgtm_db_fail_errno(store, errno, call, path);

    } else {
        rc = SGTM_STORE_OK;
    }

    sgtm_segment_close(segment);

    return rc;
}


int
sgtm_store_moved_all(sgtm_store_t *store, sgtm_segment_t *list, size_t n)
{
    int            rc;
    const char    *name;
    sqlite3_stmt  *stmt;

    store->nstale = 0;

    stmt = sgtm_db_stmt(store, SGTM_SQL_MOVED_ALL);

    if (stmt == NULL) {
        return store->rc;
    }

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {

        name = (const char *) sqlite3_column_text(stmt, 0);

        if (name == NULL || sgtm_store_moved_row(stmt, name, list, n)
            || strlen(name) >= SGTM_JOURNAL_NAME
            || store->nstale == SGTM_STORE_STALE)
        {
            continue;
        }

        (void) strcpy(store->stale[store->nstale++], name);
    }

    if (rc != SQLITE_DONE) {
        rc = sgtm_db_fail(store, rc, "read journal");
        (void) sqlite3_reset(stmt);
        return rc;
    }

    (void) sqlite3_reset(stmt);

    return SGTM_STORE_OK;
}


/* 1 if the row is of a segment of the list, which is in the order of names */

static int
sgtm_store_moved_row(sqlite3_stmt *stmt, const char *name,
    sgtm_segment_t *list, size_t n)
{
    int     rc;
    size_t  left, right, i;

    left = 0;
    right = n;

    while (left < right) {
        i = left + (right - left) / 2;

        rc = strcmp(name, list[i].name);

        if (rc == 0) {
            list[i].done = sqlite3_column_int64(stmt, 1);
            list[i].hits = (uint64_t) sqlite3_column_int64(stmt, 2);
            list[i].events = (uint64_t) sqlite3_column_int64(stmt, 3);
            list[i].moved = list[i].done;
            return 1;
        }

        if (rc < 0) {
            right = i;

        } else {
            left = i + 1;
        }
    }

    return 0;
}


int
sgtm_store_reap(sgtm_store_t *store, sgtm_segment_t *list, size_t n)
{
    int     rc, failed;
    size_t  i;

    failed = SGTM_STORE_OK;

    for (i = 0; i < n; i++) {

        /* also one that is empty since its first group could not be written */

        if (list[i].moved < list[i].size
            || (list[i].idle < SGTM_STORE_IDLE
                && list[i].age < SGTM_STORE_OLD))
        {
            continue;
        }

        rc = sgtm_segment_open(store->dir, &list[i]);

        if (rc == 1) {
            rc = sgtm_segment_remove(store->dir, &list[i]);
        }

        sgtm_segment_close(&list[i]);

        if (rc == -1) {
            failed = sgtm_store_journal_fail(store, "unlink");
        }
    }

    sgtm_store_stale(store);

    if (failed != SGTM_STORE_OK || store->nstale == 0) {
        return failed;
    }

    /*
     * Rows of those that were removed earlier: a file that came back without
     * its row, after a power cut, would be moved once more.
     */

    if (store->conf.sync != SGTM_STORE_SYNC_OFF
        && sgtm_file_sync_dir(store->dir) == -1)
    {
        return sgtm_store_journal_fail(store, "fsync");
    }

    rc = sgtm_db_begin(store);

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_leave(store, sgtm_store_moved_drop(store));
    }

    return rc;
}


/* leaves those that are no more: some were begun since the list was made */

static void
sgtm_store_stale(sgtm_store_t *store)
{
    char    path[4096];
    size_t  i, n;

    for (i = 0, n = 0; i < store->nstale; i++) {

        (void) snprintf(path, sizeof(path), "%s/%s", store->dir,
                        store->stale[i]);

        if (access(path, F_OK) == -1 && errno == ENOENT) {
            (void) memmove(store->stale[n++], store->stale[i],
                           SGTM_JOURNAL_NAME);
        }
    }

    store->nstale = n;
}


static int
sgtm_store_moved_drop(sgtm_store_t *store)
{
    int            rc;
    size_t         i;
    sgtm_str_t     name;
    sqlite3_stmt  *stmt;

    for (i = 0; i < store->nstale; i++) {

        stmt = sgtm_db_stmt(store, SGTM_SQL_MOVED_DROP);

        if (stmt == NULL) {
            return store->rc;
        }

        name.data = (unsigned char *) store->stale[i];
        name.len = strlen(store->stale[i]);

        rc = sgtm_db_bind_str(stmt, 1, &name);

        if (rc != SQLITE_OK) {
            return sgtm_db_fail(store, rc, "delete journal");
        }

        rc = sgtm_db_run(store, SGTM_SQL_MOVED_DROP, NULL, 0);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }
    }

    return SGTM_STORE_OK;
}


int
sgtm_store_count_journal(sgtm_store_t *store, sgtm_store_counts_t *counts)
{
    int              rc, found;
    size_t           i, n;
    sgtm_segment_t  *list;

    rc = sgtm_store_segments(store, &list, &n);

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_moved_all(store, list, n);
    }

    for (i = 0; i < n && rc == SGTM_STORE_OK; i++) {

        counts->size += list[i].size;

        if (list[i].moved >= list[i].size) {
            continue;
        }

        found = sgtm_segment_open(store->dir, &list[i]);

        if (found == 1) {
            found = sgtm_segment_count(&list[i], counts);
        }

        /* what cannot be read is not counted: a fetch says so */

        if (found == -1 && sgtm_segment_passes(errno)) {
            rc = sgtm_store_journal_fail(store, "read");
        }

        sgtm_segment_close(&list[i]);
    }

    free(list);

    return rc;
}
