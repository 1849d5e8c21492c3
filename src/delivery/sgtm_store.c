
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sgtm_db.h"


/* what has to stay free of a disk, times this: more is nothing to care about */
#define SGTM_STORE_TIGHT   8

/* what the longest suffix adds to a path: "/spool.db.damaged-…-journal" */
#define SGTM_STORE_SUFFIX  64


static char *sgtm_store_path(const char *dir, const char *name,
    const char *suffix);
static int sgtm_store_sync_log(sgtm_store_t *store);


sgtm_store_t *
sgtm_store_create(const char *dir, const sgtm_store_conf_t *conf)
{
    sgtm_store_t  *store;

    store = calloc(1, sizeof(sgtm_store_t));

    if (store == NULL) {
        return NULL;
    }

    store->conf = *conf;
    store->lock_fd = -1;
    store->owner_fd = -1;
    store->wal_fd = -1;
    store->tidied = sgtm_file_clock();
    store->random = (uint32_t) store->tidied ^ (uint32_t) getpid() << 16;

    if (store->random == 0) {
        store->random = 1;
    }

    if ((unsigned) conf->sync > SGTM_STORE_SYNC_OFF) {
        store->conf.sync = SGTM_STORE_SYNC_ALWAYS;
    }

    /* whoever was here before may have deleted something */
    store->deleted = 1;

    store->dir = sgtm_store_path(dir, NULL, "");
    store->path = sgtm_store_path(dir, SGTM_STORE_FILE, "");
    store->wal = sgtm_store_path(dir, SGTM_STORE_FILE, "-wal");
    store->lock = sgtm_store_path(dir, "spool.lock", "");
    store->owner = sgtm_store_path(dir, "courier.lock", "");

    if (store->dir == NULL || store->path == NULL || store->wal == NULL
        || store->lock == NULL || store->owner == NULL)
    {
        sgtm_store_destroy(store);
        return NULL;
    }

    return store;
}


/* a relative path begins with "./": SQLite takes "file:" for an URI */

static char *
sgtm_store_path(const char *dir, const char *name, const char *suffix)
{
    char    *path;
    size_t   size;

    size = strlen(dir) + SGTM_STORE_SUFFIX;
    path = malloc(size);

    if (path != NULL) {
        (void) snprintf(path, size, "%s%s%s%s%s", dir[0] == '/' ? "" : "./",
                        dir, name ? "/" : "", name ? name : "", suffix);
    }

    return path;
}


void
sgtm_store_destroy(sgtm_store_t *store)
{
    if (store == NULL) {
        return;
    }

    if (store->db != NULL && !sgtm_db_replaced(store)) {
        sgtm_db_tidy(store, 0);
    }

    sgtm_db_close(store);

    if (store->lock_fd != -1) {
        (void) close(store->lock_fd);
    }

    if (store->owner_fd != -1) {
        (void) close(store->owner_fd);
    }

    sgtm_store_forget(store);

    free(store->targets);
    free(store->group);
    free(store->synced);
    free(store->dir);
    free(store->path);
    free(store->wal);
    free(store->lock);
    free(store->owner);
    free(store);
}


const char *
sgtm_store_error(sgtm_store_t *store)
{
    return store->error;
}


int
sgtm_store_sync(sgtm_store_t *store)
{
    int              rc, failed;
    char             text[sizeof(store->error)];
    size_t           n;
    sgtm_segment_t  *list;

    store->error[0] = '\0';

    rc = sgtm_store_segments(store, &list, &n);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    /* first what others rely on, whatever may be wrong with the database */

    failed = sgtm_store_sync_journal(store, list, n);

    memcpy(text, store->error, sizeof(text));

    rc = sgtm_db_enter(store);

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_leave(store, sgtm_store_moved_all(store, list, n));
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_sync_log(store);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_reap(store, list, n);
    }

    free(store->synced);

    store->synced = list;
    store->nsynced = n;

    if (failed == SGTM_STORE_OK) {
        return rc;
    }

    /* nothing is known of what is on the disk */

    store->nsynced = 0;

    memcpy(store->error, text, sizeof(text));

    return failed;
}


static int
sgtm_store_sync_log(sgtm_store_t *store)
{
    int      rc;
    int64_t  left, keep;

    if (store->conf.sync == SGTM_STORE_SYNC_INTERVAL) {

        rc = sgtm_db_open_wal(store);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        if (fdatasync(store->wal_fd) == -1) {
            return sgtm_db_fail_errno(store, errno, "fdatasync", store->wal);
        }
    }

    /*
     * Most of the log is moved while others go on writing; what they wrote
     * meanwhile is little, so that those who restart it hold them up for a
     * moment.
     */

    (void) sgtm_db_checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);

    if (store->logged > SGTM_DB_RESTART) {
        (void) sgtm_db_checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
        (void) sgtm_db_checkpoint(store, SQLITE_CHECKPOINT_RESTART);
    }

    store->deleted = 1;

    /* on a disk that is nearly full the log's room is for hits */

    if (sgtm_file_disk(store->dir, &left, &keep) == 0
        && left < SGTM_STORE_TIGHT * keep)
    {
        sgtm_db_tidy(store, 0);
        return SGTM_STORE_OK;
    }

    sgtm_db_tidy(store, SGTM_DB_TIDY);

    return SGTM_STORE_OK;
}
