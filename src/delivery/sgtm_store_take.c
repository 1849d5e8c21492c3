
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Taking hits: in order, those of a client not before an earlier one of it.
 */


#include <stdlib.h>
#include <string.h>

#include "sgtm_db.h"


/*
 * What one call of sgtm_store_take() looks at, at most: others wait for the
 * transaction.
 */
#define SGTM_TAKE_DUE   1024
#define SGTM_TAKE_LOOK  4096


typedef struct {
    sgtm_take_t     *take;
    sgtm_record_t  **last;
    size_t           n;
    size_t           size;
    int64_t          after;
    unsigned         waiting:1;    /* a hit of the target does */
    unsigned         rest:1;       /* more of it may be due */
    unsigned         full:1;       /* the next one is too large */
    unsigned         more:1;       /* there may be more to look at */
} sgtm_taking_t;


static int sgtm_store_waiting(sgtm_store_t *store, sgtm_taking_t *taking,
    int64_t *due);
static int sgtm_store_take_due(sgtm_store_t *store, sgtm_taking_t *taking);
static int sgtm_store_take_hit(sgtm_store_t *store, sgtm_taking_t *taking,
    int64_t id, int *full);
static int sgtm_store_take_fresh(sgtm_store_t *store, sgtm_taking_t *taking);
static int sgtm_store_take_row(sgtm_store_t *store, sgtm_taking_t *taking,
    sqlite3_stmt *stmt, int *full, int *held);
static int sgtm_store_earlier(sgtm_store_t *store, int64_t target, int64_t id,
    int64_t client, int64_t *due);
static int sgtm_store_set_due(sgtm_store_t *store, int64_t id, int64_t due);


int
sgtm_store_take(sgtm_store_t *store, sgtm_take_t *take)
{
    int             rc;
    int64_t         due;
    sgtm_record_t  *record, *next;
    sgtm_taking_t   taking;

    take->list = NULL;
    take->again = 0;

    memset(&taking, 0, sizeof(sgtm_taking_t));

    taking.take = take;
    taking.last = &take->list;
    taking.after = take->after;

    rc = sgtm_db_begin(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_store_is_courier(store, take->instance);

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_waiting(store, &taking, &due);
        taking.waiting = (due != 0);
    }

    if (rc == SGTM_STORE_OK && taking.waiting) {
        rc = sgtm_store_take_due(store, &taking);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_take_fresh(store, &taking);
    }

    if (rc == SGTM_STORE_OK && taking.waiting) {
        rc = sgtm_store_waiting(store, &taking, &due);
    }

    rc = sgtm_db_leave(store, rc);

    if (rc == SGTM_STORE_OK) {
        take->after = taking.after;
        take->again = taking.more ? take->now : due;

        take->put_off &= taking.rest;

        return SGTM_STORE_OK;
    }

    for (record = take->list; record != NULL; record = next) {
        next = record->next;
        free(record);
    }

    take->list = NULL;

    return rc;
}


/* the ids first: what is marked or put off leaves its place in the index */

static int
sgtm_store_take_due(sgtm_store_t *store, sgtm_taking_t *taking)
{
    int            rc, full;
    size_t         i, n;
    int64_t        due, ids[SGTM_TAKE_DUE], values[3];
    sqlite3_stmt  *stmt;

    n = taking->take->limit;

    if (n > SGTM_TAKE_DUE) {
        n = SGTM_TAKE_DUE;
    }

    values[0] = taking->take->target;
    values[1] = taking->take->now;
    values[2] = (int64_t) n;

    if (taking->take->put_off) {
        values[1] = INT64_MAX;
        values[2] = SGTM_TAKE_LOOK;
    }

    stmt = sgtm_db_stmt(store, SGTM_SQL_DUE);

    if (stmt == NULL) {
        return store->rc;
    }

    rc = sgtm_db_bind(stmt, values, 3);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "read due");
    }

    for (i = 0; i < n && (rc = sqlite3_step(stmt)) == SQLITE_ROW; /* void */ ) {

        due = sqlite3_column_int64(stmt, 1);

        if (due <= taking->take->now || sgtm_due_is_put_off(due)) {
            ids[i++] = sqlite3_column_int64(stmt, 0);
        }
    }

    if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
        rc = sgtm_db_fail(store, rc, "read due");
        (void) sqlite3_reset(stmt);
        return rc;
    }

    (void) sqlite3_reset(stmt);

    taking->rest = (i == n);

    n = i;
    full = 0;

    for (i = 0; i < n && !full; i++) {
        rc = sgtm_store_take_hit(store, taking, ids[i], &full);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }
    }

    taking->full = full;
    taking->rest |= full;

    return SGTM_STORE_OK;
}


static int
sgtm_store_take_hit(sgtm_store_t *store, sgtm_taking_t *taking, int64_t id,
    int *full)
{
    int            rc, held;
    int64_t        due;
    sqlite3_stmt  *stmt;

    stmt = sgtm_db_stmt(store, SGTM_SQL_HIT);

    if (stmt == NULL) {
        return store->rc;
    }

    rc = sgtm_db_bind(stmt, &id, 1);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
    }

    if (rc == SQLITE_DONE) {

        /* the index has what the table has not */

        (void) sqlite3_reset(stmt);

        return sgtm_db_fail_text(store, SGTM_STORE_DAMAGED,
                                 "an index does not fit its table");
    }

    if (rc != SQLITE_ROW) {
        rc = sgtm_db_fail(store, rc, "read hit");
        (void) sqlite3_reset(stmt);
        return rc;
    }

    due = sqlite3_column_int64(stmt, SGTM_COLUMN_DUE);

    rc = sgtm_store_take_row(store, taking, stmt, full, &held);

    (void) sqlite3_reset(stmt);

    if (rc != SGTM_STORE_OK || held || *full) {
        return rc;
    }

    return sgtm_store_set_due(store, id, -due);
}


static int
sgtm_store_take_fresh(sgtm_store_t *store, sgtm_taking_t *taking)
{
    int            n, rc, held, full;
    int64_t        values[4];
    sqlite3_stmt  *stmt;

    values[0] = taking->take->target << SGTM_ID_BITS;
    values[1] = values[0] + (SGTM_ID_MAX - 1);
    values[2] = SGTM_TAKE_LOOK;
    values[3] = taking->take->target;

    if (taking->after > values[0]) {
        values[0] = taking->after;
    }

    stmt = sgtm_db_stmt(store, SGTM_SQL_FRESH);

    if (stmt == NULL) {
        return store->rc;
    }

    rc = sgtm_db_bind(stmt, values, 4);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "read fresh");
    }

    full = taking->full;

    for (n = 0; !full && taking->n < taking->take->limit; n++) {

        rc = sqlite3_step(stmt);

        if (rc != SQLITE_ROW) {
            break;
        }

        if (sqlite3_column_int64(stmt, SGTM_COLUMN_DUE) == 0) {

            rc = sgtm_store_take_row(store, taking, stmt, &full, &held);

            if (rc != SGTM_STORE_OK) {
                (void) sqlite3_reset(stmt);
                return rc;
            }
        }

        if (!full) {
            taking->after = sqlite3_column_int64(stmt, SGTM_COLUMN_ID);
        }
    }

    if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE) {
        rc = sgtm_db_fail(store, rc, "read fresh");
        (void) sqlite3_reset(stmt);
        return rc;
    }

    (void) sqlite3_reset(stmt);

    taking->more = (n == SGTM_TAKE_LOOK && !full);

    return SGTM_STORE_OK;
}


/*
 * Adds a row's record to the list, or puts the row off until the hit of the
 * same client that is before it.
 */

static int
sgtm_store_take_row(sgtm_store_t *store, sgtm_taking_t *taking,
    sqlite3_stmt *stmt, int *full, int *held)
{
    int             rc;
    size_t          size;
    int64_t         id, due, client;
    sgtm_record_t  *record;

    *held = 0;

    id = sqlite3_column_int64(stmt, SGTM_COLUMN_ID);
    client = sqlite3_column_int64(stmt, SGTM_COLUMN_CLIENT);

    if (client != 0 && taking->waiting) {
        rc = sgtm_store_earlier(store, taking->take->target, id, client, &due);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        if (due != 0) {
            *held = 1;
            return sgtm_store_set_due(store, id, sgtm_due_behind(due));
        }
    }

    size = sgtm_record_size(stmt);

    if (taking->n > 0 && taking->size + size > taking->take->size) {
        *full = 1;
        return SGTM_STORE_OK;
    }

    record = sgtm_record_make(stmt);

    if (record == NULL) {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED, "no memory");
    }

    *taking->last = record;
    taking->last = &record->next;
    taking->size += size;
    taking->n++;

    return SGTM_STORE_OK;
}


/* when the nearest earlier hit of a client is due, or 0 */

static int
sgtm_store_earlier(sgtm_store_t *store, int64_t target, int64_t id,
    int64_t client, int64_t *due)
{
    int      found;
    int64_t  values[3];

    values[0] = client;
    values[1] = target << SGTM_ID_BITS;
    values[2] = id;

    *due = 0;

    return sgtm_db_get(store, SGTM_SQL_EARLIER, values, 3, due, 1, &found);
}


static int
sgtm_store_set_due(sgtm_store_t *store, int64_t id, int64_t due)
{
    int64_t  values[2];

    values[0] = id;
    values[1] = due;

    return sgtm_db_run(store, SGTM_SQL_SET_DUE, values, 2);
}


/* when the next hit of the target is due, or 0: none waits */

static int
sgtm_store_waiting(sgtm_store_t *store, sgtm_taking_t *taking, int64_t *due)
{
    int  found;

    *due = 0;

    return sgtm_db_get(store, SGTM_SQL_DUE_NEXT, &taking->take->target, 1, due,
                       1, &found);
}
