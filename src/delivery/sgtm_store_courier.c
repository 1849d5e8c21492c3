
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The courier's side of the store: its lease, and what became of the hits.
 */


#include <string.h>

#include "sgtm_db.h"


static int sgtm_store_leased(sgtm_store_t *store, const int64_t *lease,
    int64_t now);
static int sgtm_store_settle_any(sgtm_store_t *store, const int64_t *instance,
    sgtm_outcome_t *list);
static int sgtm_store_settle_list(sgtm_store_t *store, const int64_t *instance,
    sgtm_outcome_t *list, int *empty);
static int sgtm_store_left(sgtm_store_t *store, const sgtm_outcome_t *outcome,
    int *left);
static int sgtm_store_outcome(sgtm_store_t *store,
    const sgtm_outcome_t *outcome, int64_t now);


int
sgtm_store_lease(sgtm_store_t *store, int64_t instance, int64_t now,
    int64_t until, int *fresh)
{
    int      rc, found;
    int64_t  lease[2], values[2];

    *fresh = 0;

    rc = sgtm_db_begin(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_db_get(store, SGTM_SQL_LEASE_GET, NULL, 0, lease, 2, &found);

    if (rc != SGTM_STORE_OK) {
        return sgtm_db_leave(store, rc);
    }

    if (!found || lease[0] != instance) {

        if (found && lease[1] > now && sgtm_store_leased(store, lease, now)) {
            rc = sgtm_db_fail_text(store, SGTM_STORE_LOST,
                                   "another process is the courier");
            return sgtm_db_leave(store, rc);
        }

        *fresh = 1;
        rc = sgtm_db_run(store, SGTM_SQL_UNTAKE, NULL, 0);
    }

    if (rc == SGTM_STORE_OK) {
        values[0] = instance;
        values[1] = until;
        rc = sgtm_db_run(store, SGTM_SQL_LEASE_SET, values, 2);
    }

    rc = sgtm_db_leave(store, rc);

    if (rc == SGTM_STORE_OK) {
        (void) sgtm_db_own(store);

        store->deleted |= *fresh;
        sgtm_db_tidy(store, SGTM_DB_TIDY);
    }

    return rc;
}


/* whether another one's lease holds, whose time has not come */

static int
sgtm_store_leased(sgtm_store_t *store, const int64_t *lease, int64_t now)
{
    /* one that is too long is of a clock that was wrong */

    if (lease[1] - now > SGTM_STORE_LEASE_MAX) {
        return 0;
    }

    /*
     * Whose lock is free is dead and need not be waited for, but for one that
     * came when the time of this one was over, as of a process that was
     * stopped: it could not lock.
     */

    if (store->owned) {
        store->heir = lease[0];
        sgtm_db_disown(store);
    }

    return lease[0] == store->heir || !sgtm_db_own(store);
}


int
sgtm_store_release(sgtm_store_t *store, int64_t instance)
{
    int  rc;

    rc = sgtm_db_begin(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_db_run(store, SGTM_SQL_LEASE_DROP, &instance, 1);

    rc = sgtm_db_leave(store, rc);

    if (rc == SGTM_STORE_OK) {
        sgtm_db_disown(store);
    }

    return rc;
}


int
sgtm_store_targets(sgtm_store_t *store, sgtm_target_t *targets, size_t n,
    size_t *count)
{
    int            rc;
    size_t         len;
    const void    *name;
    sqlite3_stmt  *stmt;

    *count = 0;

    rc = sgtm_db_enter(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    stmt = sgtm_db_stmt(store, SGTM_SQL_TARGET_USED);

    if (stmt == NULL) {
        return sgtm_db_leave(store, store->rc);
    }

    while (*count < n) {

        rc = sqlite3_step(stmt);

        if (rc == SQLITE_DONE) {
            break;
        }

        if (rc != SQLITE_ROW) {
            rc = sgtm_db_fail(store, rc, "read targets");
            (void) sqlite3_reset(stmt);
            return sgtm_db_leave(store, rc);
        }

        name = sqlite3_column_blob(stmt, 1);
        len = (size_t) sqlite3_column_bytes(stmt, 1);

        if (len >= sizeof(targets->name)) {
            len = sizeof(targets->name) - 1;
        }

        if (len && name != NULL) {
            memcpy(targets->name, name, len);
        }

        targets->name[name != NULL ? len : 0] = '\0';
        targets->number = sqlite3_column_int64(stmt, 0);

        targets++;
        (*count)++;
    }

    (void) sqlite3_reset(stmt);

    return SGTM_STORE_OK;
}


int
sgtm_store_is_courier(sgtm_store_t *store, int64_t instance)
{
    int      rc, found;
    int64_t  lease[2];

    rc = sgtm_db_get(store, SGTM_SQL_LEASE_GET, NULL, 0, lease, 2, &found);

    if (rc == SGTM_STORE_OK && (!found || lease[0] != instance)) {
        rc = sgtm_db_fail_text(store, SGTM_STORE_LOST,
                               "another process is the courier");
    }

    return rc;
}


int
sgtm_store_settle(sgtm_store_t *store, int64_t instance,
    sgtm_outcome_t *list)
{
    return sgtm_store_settle_any(store, &instance, list);
}


int
sgtm_store_settle_left(sgtm_store_t *store, sgtm_outcome_t *list)
{
    return sgtm_store_settle_any(store, NULL, list);
}


/*
 * On a full disk the log of changes cannot grow.  What is in it may have gone
 * into the database, so that it can begin anew: one more try.
 */

static int
sgtm_store_settle_any(sgtm_store_t *store, const int64_t *instance,
    sgtm_outcome_t *list)
{
    int  rc, empty;

    rc = sgtm_store_settle_list(store, instance, list, &empty);

    if (rc == SGTM_STORE_FULL
        && sgtm_db_checkpoint(store, SQLITE_CHECKPOINT_RESTART))
    {
        rc = sgtm_store_settle_list(store, instance, list, &empty);
    }

    if (rc == SGTM_STORE_OK) {
        store->deleted = 1;
        sgtm_db_tidy(store, empty ? SGTM_DB_TIDY_EMPTY : SGTM_DB_TIDY);
    }

    return rc;
}


static int
sgtm_store_settle_list(sgtm_store_t *store, const int64_t *instance,
    sgtm_outcome_t *list, int *empty)
{
    int              rc, found, mine;
    int64_t          now, last;
    sgtm_outcome_t  *outcome;

    *empty = 0;

    rc = sgtm_db_begin(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    if (instance != NULL) {
        rc = sgtm_store_is_courier(store, *instance);
    }

    now = sgtm_file_time();
    last = 0;
    mine = 1;

    for (outcome = list; outcome != NULL && rc == SGTM_STORE_OK;
         outcome = outcome->next)
    {
        if (instance == NULL) {
            rc = sgtm_store_left(store, outcome, &mine);
        }

        if (rc == SGTM_STORE_OK && mine) {
            rc = sgtm_store_outcome(store, outcome, now);
        }

        if (rc == SGTM_STORE_OK && mine) {
            rc = sgtm_store_gone(store, &last, outcome->id);
        }
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_gone(store, &last, 0);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_get(store, SGTM_SQL_EMPTY, NULL, 0, NULL, 0, &found);
        *empty = !found;
    }

    return sgtm_db_leave(store, rc);
}


/* whether the hit is still as it was left by the courier that settles it */

static int
sgtm_store_left(sgtm_store_t *store, const sgtm_outcome_t *outcome, int *left)
{
    int      rc, found;
    int64_t  columns[SGTM_COLUMN_DUE + 1];

    rc = sgtm_db_get(store, SGTM_SQL_HIT, &outcome->id, 1, columns,
                     SGTM_COLUMN_DUE + 1, &found);

    *left = (rc == SGTM_STORE_OK && found && outcome->was != 0
             && (columns[SGTM_COLUMN_DUE] == outcome->was
                 || (columns[SGTM_COLUMN_DUE] == -outcome->was
                     && outcome->kind == SGTM_OUTCOME_DELIVERED)));

    return rc;
}


static int
sgtm_store_outcome(sgtm_store_t *store, const sgtm_outcome_t *outcome,
    int64_t now)
{
    int            rc;
    int64_t        values[3];
    sqlite3_stmt  *stmt;

    values[0] = outcome->id;
    values[1] = outcome->due > 0 ? outcome->due : 1;
    values[2] = outcome->attempt;

    switch (outcome->kind) {

    case SGTM_OUTCOME_DELIVERED:
        return sgtm_db_run(store, SGTM_SQL_DELETE, values, 1);

    case SGTM_OUTCOME_RELEASE:

        if (outcome->due > 0) {
            return sgtm_db_run(store, SGTM_SQL_SET_DUE, values, 2);
        }

        return sgtm_db_run(store, SGTM_SQL_BACK, values, 1);

    case SGTM_OUTCOME_RETRY:

        stmt = sgtm_db_stmt(store, SGTM_SQL_RETRY);

        if (stmt == NULL) {
            return store->rc;
        }

        rc = sgtm_db_bind_str(stmt, 3, &outcome->error);

        if (rc != SQLITE_OK) {
            return sgtm_db_fail(store, rc, "update retry");
        }

        return sgtm_db_run(store, SGTM_SQL_RETRY, values, 2);

    case SGTM_OUTCOME_DEAD:

        stmt = sgtm_db_stmt(store, SGTM_SQL_DIE);

        if (stmt == NULL) {
            return store->rc;
        }

        rc = sgtm_db_bind_str(stmt, 4, &outcome->error);

        if (rc != SQLITE_OK) {
            return sgtm_db_fail(store, rc, "insert dead");
        }

        values[1] = now;

        rc = sgtm_db_run(store, SGTM_SQL_DIE, values, 3);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        return sgtm_db_run(store, SGTM_SQL_DELETE, values, 1);

    default:
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                 "an outcome of no known kind");
    }
}
