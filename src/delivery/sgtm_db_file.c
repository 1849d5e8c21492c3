
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The database as files: their lock, replacing them, the disk they are on.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/file.h>

#include "sgtm_db.h"


static int sgtm_db_rename(sgtm_store_t *store);


int
sgtm_db_set_aside(sgtm_store_t *store)
{
    int   rc;

    store->damaged = 1;
    sgtm_db_close(store);

    if (store->locked) {
        /* within sgtm_db_open() */
        return sgtm_db_rename(store);
    }

    rc = sgtm_db_lock(store, LOCK_EX);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    /* another process may have been faster */

    rc = sgtm_db_replaced(store) ? SGTM_STORE_DAMAGED : sgtm_db_rename(store);

    (void) sgtm_db_lock(store, LOCK_UN);

    return rc;
}


/* the log goes first: a database that lacks it is still seen to be damaged */

static int
sgtm_db_rename(sgtm_store_t *store)
{
    char                      from[4096], to[4096], when[32];
    size_t                    i, len;
    time_t                    now;
    struct tm                 tm;

    static const char *const  parts[] = { "-wal", "-shm", "-journal", "" };

    now = time(NULL);

    if (gmtime_r(&now, &tm) == NULL
        || strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm) == 0)
    {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED, "no time");
    }

    (void) snprintf(to, sizeof(to), "%s.damaged-%s", store->path, when);

    if (access(to, F_OK) == 0) {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                 "it is damaged again within a second");
    }

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {

        (void) snprintf(from, sizeof(from), "%s%s", store->path, parts[i]);
        (void) snprintf(to, sizeof(to), "%s.damaged-%s%s", store->path, when,
                        parts[i]);

        if (rename(from, to) == -1 && errno != ENOENT) {
            return sgtm_db_fail_errno(store, errno, "rename", from);
        }
    }

    len = strlen(store->error);

    (void) snprintf(store->error + len, sizeof(store->error) - len,
                    ", it is set aside as \"%s.damaged-%s\"",
                    SGTM_STORE_FILE, when);

    return SGTM_STORE_DAMAGED;
}


int
sgtm_db_open_wal(sgtm_store_t *store)
{
    if (store->wal_fd != -1) {
        return SGTM_STORE_OK;
    }

    store->wal_fd = open(store->wal, O_RDWR|O_CLOEXEC);

    if (store->wal_fd == -1) {
        return sgtm_db_fail_errno(store, errno, "open", store->wal);
    }

    return SGTM_STORE_OK;
}


void
sgtm_db_reserve(sgtm_store_t *store)
{
    int64_t  left, keep;

    if (sgtm_db_open_wal(store) != SGTM_STORE_OK
        || sgtm_file_disk(store->dir, &left, &keep) == -1)
    {
        store->error[0] = '\0';
        return;
    }

    if (keep > SGTM_DB_RESERVE_LOG) {
        keep = SGTM_DB_RESERVE_LOG;
    }

    (void) fallocate(store->wal_fd, FALLOC_FL_KEEP_SIZE, 0, keep);
}


int
sgtm_db_lock(sgtm_store_t *store, int operation)
{
    int  first;

    if (operation == LOCK_UN) {
        store->locked = 0;
        (void) flock(store->lock_fd, LOCK_UN);

        return SGTM_STORE_OK;
    }

    store->busy_limit = SGTM_DB_BUSY;

    for (first = 1; flock(store->lock_fd, operation|LOCK_NB) == -1;
         first = 0)
    {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return sgtm_db_fail_errno(store, errno, "flock", store->lock);
        }

        if (!sgtm_db_wait(store, first)) {
            return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                     "another process keeps it locked");
        }
    }

    store->locked = 1;

    return SGTM_STORE_OK;
}


int
sgtm_db_replaced(sgtm_store_t *store)
{
    struct stat  sb;

    return stat(store->path, &sb) == -1
           || sb.st_ino != store->file.st_ino
           || sb.st_dev != store->file.st_dev;
}
