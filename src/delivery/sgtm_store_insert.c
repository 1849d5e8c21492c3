
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Rows of new hits: their targets and their ids, and the room for them.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sgtm_db.h"


/* ms since the epoch of 2026-01-01, where sequences begin */
#define SGTM_STORE_EPOCH  ((int64_t) 1767225600000)


static int sgtm_store_free(sgtm_store_t *store, int64_t need);
static sgtm_db_target_t *sgtm_store_target(sgtm_store_t *store,
    const sgtm_str_t *name);
static int sgtm_store_target_number(sgtm_store_t *store,
    sgtm_db_target_t *target, int64_t *last);


/*
 * Whether the disk has room for what is to be moved, which goes into the log of
 * changes and from there into the database: it grows, unless what was deleted
 * has left pages free.  Something has to stay for the courier's deletes.
 */

int
sgtm_store_room(sgtm_store_t *store, size_t size)
{
    int      rc;
    int64_t  need;

    need = 8 * store->page + 2 * (int64_t) size;

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

    if (sgtm_file_disk(store->dir, &left, &keep) == -1) {
        return sgtm_db_fail_errno(store, errno, "statvfs", store->dir);
    }

    if (left >= keep + log + 2 * need) {
        return SGTM_STORE_OK;
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


int
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
    values[2] = 0;
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


/* the targets are looked up anew by the next transaction */

void
sgtm_store_forget(sgtm_store_t *store)
{
    while (store->ntargets > 0) {
        free(store->targets[--store->ntargets].name.data);
    }
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

    target->name.data = malloc(name->len + 1);
    target->name.len = name->len;

    if (target->name.data == NULL) {
        (void) sgtm_db_fail_text(store, SGTM_STORE_FAILED, "no memory");
        return NULL;
    }

    if (name->len) {
        memcpy(target->name.data, name->data, name->len);
    }

    /* from here on it is released with the others */

    store->ntargets++;

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

    now = (sgtm_file_time() - SGTM_STORE_EPOCH) * 64;

    target->id = values[0] + (now > last && now < SGTM_ID_MAX / 2 ? now
                                                                 : last + 1);

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
