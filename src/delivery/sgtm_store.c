
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


/* ms since the epoch of 2026-01-01, where sequences begin */
#define SGTM_STORE_EPOCH  ((int64_t) 1767225600000)

/* what the longest suffix adds to a path: "/spool.db.damaged-…-journal" */
#define SGTM_STORE_SUFFIX  64


static char *sgtm_store_path(const char *dir, const char *name,
    const char *suffix);
static int sgtm_store_room(sgtm_store_t *store, const sgtm_record_t *list);
static int sgtm_store_free(sgtm_store_t *store, int64_t need);
static int sgtm_store_pages(sgtm_store_t *store, int64_t *pages);
static int sgtm_store_insert(sgtm_store_t *store, sgtm_record_t *record);
static sgtm_db_target_t *sgtm_store_target(sgtm_store_t *store,
    const sgtm_str_t *name);
static int sgtm_store_target_number(sgtm_store_t *store,
    sgtm_db_target_t *target, int64_t *last);
static size_t sgtm_store_size(const sgtm_record_t *record);


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
    store->tidied = sgtm_db_monotonic();
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

    free(store->targets);
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
sgtm_store_put(sgtm_store_t *store, sgtm_record_t *list)
{
    int             rc;
    int64_t         before, after;
    sgtm_record_t  *record;

    rc = sgtm_db_enter(store);

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_room(store, list);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_begin(store);
    }

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    store->ntargets = 0;

    rc = sgtm_store_pages(store, &before);

    for (record = list; record != NULL && rc == SGTM_STORE_OK;
         record = record->next)
    {
        rc = sgtm_store_insert(store, record);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_pages(store, &after);
    }

    /*
     * Not SQLite's own max_page_count: that would bind the courier as well,
     * which needs a page now and then to be able to empty a full file.
     */

    if (rc == SGTM_STORE_OK && after > store->max_pages && after > before) {
        rc = sgtm_db_fail_text(store, SGTM_STORE_FULL,
                               "it has reached its max_size");
    }

    rc = sgtm_db_leave(store, rc);

    if (rc != SGTM_STORE_OK) {
        for (record = list; record != NULL; record = record->next) {
            record->id = 0;
        }
    }

    return rc;
}


/*
 * Whether the disk has room for the records, which go into the log of changes
 * and from there into the database: it grows, unless what was deleted has left
 * pages free.  Something has to stay for the courier's deletes.
 */

static int
sgtm_store_room(sgtm_store_t *store, const sgtm_record_t *list)
{
    int                   rc;
    int64_t               need;
    const sgtm_record_t  *record;

    need = 8 * store->page;

    for (record = list; record != NULL; record = record->next) {
        need += 2 * (int64_t) sgtm_store_size(record) + 256;
    }

    rc = sgtm_store_free(store, need);

    if (rc == SGTM_STORE_FULL
        && sgtm_db_checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE))
    {
        rc = sgtm_store_free(store, need);
    }

    return sgtm_db_leave(store, rc);
}


static int
sgtm_store_free(sgtm_store_t *store, int64_t need)
{
    int      rc, found;
    int64_t  log, keep, left, pages;

    log = store->frames * store->page;

    /* a reader that never ends keeps the log from being used again */

    if (store->frames > SGTM_DB_RESTART
        && store->frames > store->max_pages)
    {
        return sgtm_db_fail_text(store, SGTM_STORE_FULL,
                                 "a reader holds its log of changes");
    }

    rc = sgtm_db_disk(store, &left, &keep);

    if (rc != SGTM_STORE_OK || left >= keep + log + 2 * need) {
        return rc;
    }

    rc = sgtm_db_get(store, SGTM_SQL_FREE_PAGES, NULL, 0, &pages, 1, &found);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    if (pages * store->page >= log + need && left >= keep / 2 + need) {
        return SGTM_STORE_OK;
    }

    return sgtm_db_fail_text(store, SGTM_STORE_FULL,
                             "no space left on the disk");
}


static int
sgtm_store_pages(sgtm_store_t *store, int64_t *pages)
{
    int  found;

    *pages = 0;

    return sgtm_db_get(store, SGTM_SQL_PAGES, NULL, 0, pages, 1, &found);
}


static int
sgtm_store_insert(sgtm_store_t *store, sgtm_record_t *record)
{
    int                i, rc;
    int64_t            values[7];
    sqlite3_stmt      *stmt;
    const sgtm_str_t  *strs[7];
    sgtm_db_target_t  *target;

    target = sgtm_store_target(store, &record->target);

    if (target == NULL) {
        return store->rc;
    }

    if (target->id >= target->end) {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                 "a target's ids are used up");
    }

    stmt = sgtm_db_stmt(store, SGTM_SQL_INSERT);

    if (stmt == NULL) {
        return store->rc;
    }

    record->id = target->id++;

    values[0] = record->id;
    values[1] = target->number;
    values[2] = record->due > 0 ? record->due : 0;
    values[3] = (int64_t) record->client;
    values[4] = record->time;
    values[5] = record->attempts;
    values[6] = record->events;

    strs[0] = &record->tenant;
    strs[1] = &record->error;
    strs[2] = &record->method;
    strs[3] = &record->uri;
    strs[4] = &record->args;
    strs[5] = &record->headers;
    strs[6] = &record->body;

    for (i = 0; i < 7; i++) {
        rc = sgtm_db_bind_str(stmt, 8 + i, strs[i]);

        if (rc != SQLITE_OK) {
            return sgtm_db_fail(store, rc, "insert");
        }
    }

    return sgtm_db_run(store, SGTM_SQL_INSERT, values, 7);
}


/* the target of that name, looked up once in a transaction */

static sgtm_db_target_t *
sgtm_store_target(sgtm_store_t *store, const sgtm_str_t *name)
{
    int                rc, found;
    size_t             i;
    int64_t            now, last, row, values[2];
    sgtm_db_target_t  *target;

    for (i = store->ntargets; i > 0; i--) {
        target = &store->targets[i - 1];

        if (target->name.len == name->len
            && (name->len == 0
                || memcmp(target->name.data, name->data, name->len) == 0))
        {
            return target;
        }
    }

    if (store->ntargets == store->atargets) {
        i = store->atargets ? 2 * store->atargets : 16;
        target = realloc(store->targets, i * sizeof(sgtm_db_target_t));

        if (target == NULL) {
            (void) sgtm_db_fail_text(store, SGTM_STORE_FAILED, "no memory");
            return NULL;
        }

        store->targets = target;
        store->atargets = i;
    }

    target = &store->targets[store->ntargets];
    target->name = *name;

    rc = sgtm_store_target_number(store, target, &last);

    if (rc != SGTM_STORE_OK) {
        return NULL;
    }

    values[0] = target->number << SGTM_ID_BITS;
    values[1] = values[0] + (SGTM_ID_MAX - 1);

    target->end = values[1];

    rc = sgtm_db_get(store, SGTM_SQL_LAST, values, 2, &row, 1, &found);

    if (rc != SGTM_STORE_OK) {
        return NULL;
    }

    if (found && row - values[0] > last) {
        last = row - values[0];
    }

    now = (sgtm_db_now() - SGTM_STORE_EPOCH) * 64;

    target->id = values[0] + (now > last && now < SGTM_ID_MAX / 2 ? now
                                                                 : last + 1);
    store->ntargets++;

    return target;
}


static int
sgtm_store_target_number(sgtm_store_t *store, sgtm_db_target_t *target,
    int64_t *last)
{
    int            rc, found;
    int64_t        columns[2];
    sqlite3_stmt  *stmt;

    *last = 0;

    stmt = sgtm_db_stmt(store, SGTM_SQL_TARGET_FIND);

    if (stmt == NULL) {
        return store->rc;
    }

    rc = sgtm_db_bind_str(stmt, 1, &target->name);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "find target");
    }

    rc = sgtm_db_get(store, SGTM_SQL_TARGET_FIND, NULL, 0, columns, 2,
                     &found);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    if (found) {
        target->number = columns[0];
        *last = columns[1];

    } else {
        stmt = sgtm_db_stmt(store, SGTM_SQL_TARGET_ADD);

        if (stmt == NULL) {
            return store->rc;
        }

        rc = sgtm_db_bind_str(stmt, 1, &target->name);

        if (rc != SQLITE_OK) {
            return sgtm_db_fail(store, rc, "add target");
        }

        rc = sgtm_db_run(store, SGTM_SQL_TARGET_ADD, NULL, 0);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        target->number = sqlite3_last_insert_rowid(store->db);
    }

    if (target->number < 1 || target->number >= SGTM_TARGET_MAX) {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                 "it has too many targets");
    }

    return SGTM_STORE_OK;
}


int
sgtm_store_gone(sgtm_store_t *store, int64_t *last, int64_t id)
{
    int      rc;
    int64_t  values[2];

    rc = SGTM_STORE_OK;

    if (*last != 0 && *last >> SGTM_ID_BITS != id >> SGTM_ID_BITS) {

        values[0] = *last >> SGTM_ID_BITS;
        values[1] = *last - (values[0] << SGTM_ID_BITS);

        rc = sgtm_db_run(store, SGTM_SQL_TARGET_LAST, values, 2);

        *last = 0;
    }

    if (id > *last) {
        *last = id;
    }

    return rc;
}


static size_t
sgtm_store_size(const sgtm_record_t *record)
{
    return record->target.len + record->tenant.len + record->error.len
           + record->method.len + record->uri.len + record->args.len
           + record->headers.len + record->body.len;
}


int
sgtm_store_sync(sgtm_store_t *store)
{
    int  rc;

    rc = sgtm_db_enter(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

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
    sgtm_db_tidy(store, SGTM_DB_TIDY);

    return SGTM_STORE_OK;
}
