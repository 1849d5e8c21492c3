
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The statements of the store and how they are run.
 */


#include <errno.h>
#include <string.h>

#include "sgtm_db.h"


typedef struct {
    const char     *name;          /* for errors */
    const char     *text;
} sgtm_db_sql_t;


/* the columns that hit and dead share, in the order of the tables */

#define SGTM_DB_SHARED                                                        \
    "tenant, method, uri, args, headers, body, client, time, events, target"


static const sgtm_db_sql_t  sgtm_db_sql[SGTM_SQL_N] = {

    /* SGTM_SQL_BEGIN */
    { "begin",
      "BEGIN IMMEDIATE" },

    /* SGTM_SQL_COMMIT */
    { "commit",
      "COMMIT" },

    /* SGTM_SQL_ROLLBACK */
    { "rollback",
      "ROLLBACK" },

    /* SGTM_SQL_FREE_PAGES */
    { "freelist_count",
      "PRAGMA freelist_count" },

    /* SGTM_SQL_TARGET_FIND */
    { "find target",
      "SELECT number, last FROM target WHERE name = ?1" },

    /* SGTM_SQL_TARGET_ADD */
    { "add target",
      "INSERT INTO target (name) VALUES (?1)" },

    /* SGTM_SQL_TARGET_LAST */
    { "update target",
      "UPDATE target SET last = ?2 WHERE number = ?1 AND last < ?2" },

    /* SGTM_SQL_TARGET_USED */
    { "read targets",
      "SELECT number, name FROM target WHERE EXISTS"
      " (SELECT 1 FROM hit WHERE id >= number << 46"
      " AND id < (number + 1) << 46) ORDER BY number" },

    /* SGTM_SQL_LAST */
    { "read last",
      "SELECT id FROM hit WHERE id >= ?1 AND id < ?2"
      " ORDER BY id DESC LIMIT 1" },

    /* SGTM_SQL_INSERT */
    { "insert",
      "INSERT INTO hit (id, target, due, client, time, attempts, events,"
      " tenant, error, method, uri, args, headers, body)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)" },

    /* SGTM_SQL_MOVED_GET */
    { "read journal",
      "SELECT moved, hits, events FROM journal WHERE name = ?1" },

    /* SGTM_SQL_MOVED_SET */
    { "write journal",
      "INSERT OR REPLACE INTO journal (moved, hits, events, name)"
      " VALUES (?1, ?2, ?3, ?4)" },

    /* SGTM_SQL_MOVED_ALL */
    { "read journal",
      "SELECT name, moved, hits, events FROM journal" },

    /* SGTM_SQL_MOVED_DROP */
    { "delete journal",
      "DELETE FROM journal WHERE name = ?1" },

    /* SGTM_SQL_LEASE_GET */
    { "read lease",
      "SELECT instance, until FROM courier WHERE one = 1" },

    /* SGTM_SQL_LEASE_SET */
    { "write lease",
      "INSERT OR REPLACE INTO courier (one, instance, until)"
      " VALUES (1, ?1, ?2)" },

    /* SGTM_SQL_LEASE_DROP */
    { "delete lease",
      "DELETE FROM courier WHERE instance = ?1" },

    /* SGTM_SQL_UNTAKE */
    { "update taken",
      "UPDATE hit SET due = -due WHERE id IN (SELECT hit.id FROM target"
      " CROSS JOIN hit INDEXED BY hit_due ON target = number"
      " WHERE due <> 0 AND due < 0)" },

    /* SGTM_SQL_DUE */
    { "read due",
      "SELECT id, due FROM hit INDEXED BY hit_due WHERE due <> 0"
      " AND target = ?1 AND due > 0 AND due <= ?2 ORDER BY due, id LIMIT ?3" },

    /* SGTM_SQL_DUE_NEXT */
    { "read next",
      "SELECT due FROM hit INDEXED BY hit_due WHERE due <> 0 AND target = ?1"
      " AND due > 0 ORDER BY due LIMIT 1" },

    /* SGTM_SQL_FRESH */
    { "read fresh",
      "SELECT " SGTM_RECORD_COLUMNS("?4") " FROM hit WHERE id > ?1 AND id < ?2"
      " ORDER BY id LIMIT ?3" },

    /* SGTM_SQL_HIT */
    { "read hit",
      "SELECT " SGTM_RECORD_COLUMNS("target") " FROM hit WHERE id = ?1" },

    /* SGTM_SQL_EARLIER */
    { "read client",
      "SELECT due FROM hit INDEXED BY hit_client WHERE client = ?1 AND due > 0"
      " AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT 1" },

    /* SGTM_SQL_SET_DUE */
    { "update due",
      "UPDATE hit SET due = ?2 WHERE id = ?1" },

    /* SGTM_SQL_DELETE */
    { "delete",
      "DELETE FROM hit WHERE id = ?1" },

    /* SGTM_SQL_RETRY */
    { "update retry",
      "UPDATE hit SET due = ?2, attempts = attempts + 1, error = ?3"
      " WHERE id = ?1" },

    /* SGTM_SQL_BACK */
    { "update back",
      "UPDATE hit SET due = -due WHERE id = ?1 AND due < 0" },

    /* SGTM_SQL_DIE */
    { "insert dead",
      "INSERT OR REPLACE INTO dead (id, died, due, attempts, error, "
      SGTM_DB_SHARED ") SELECT id, ?2, 0, attempts + ?3, ?4, " SGTM_DB_SHARED
      " FROM hit WHERE id = ?1" },

    /* SGTM_SQL_EMPTY */
    { "read any",
      "SELECT 1 FROM hit LIMIT 1" },

    /* SGTM_SQL_COUNT_HITS */
    { "count",
      "SELECT count(*), sum(events), min(time), max(id) FROM"
      " (SELECT id, events, time FROM hit WHERE id > ?1"
      " ORDER BY id LIMIT ?2)" },

    /* SGTM_SQL_COUNT_DEAD */
    { "count dead",
      "SELECT count(*), 0, min(died), max(id) FROM"
      " (SELECT id, died FROM dead WHERE id > ?1 ORDER BY id LIMIT ?2)" },

    /* SGTM_SQL_NEXT_HIT */
    { "read hit",
      "SELECT " SGTM_RECORD_COLUMNS("target") ", 0 FROM hit WHERE id > ?1"
      " ORDER BY id LIMIT 1" },

    /* SGTM_SQL_NEXT_DEAD */
    { "read dead",
      "SELECT " SGTM_RECORD_COLUMNS("target") ", died FROM dead WHERE id > ?1"
      " ORDER BY id LIMIT 1" },

    /* SGTM_SQL_OLD_HIT */
    { "read old",
      "SELECT id, time FROM hit WHERE id > ?1 AND id <= ?2"
      " ORDER BY id LIMIT ?3" },

    /* SGTM_SQL_OLD_DEAD */
    { "read old dead",
      "SELECT id, died FROM dead WHERE id > ?1 AND id <= ?2"
      " ORDER BY id LIMIT ?3" },

    /* SGTM_SQL_REPLAY */
    { "replay",
      "INSERT OR REPLACE INTO hit (id, due, attempts, error, " SGTM_DB_SHARED
      ") SELECT id, ?2, 0, '', " SGTM_DB_SHARED " FROM dead WHERE id = ?1" },

    /* SGTM_SQL_DELETE_DEAD */
    { "delete dead",
      "DELETE FROM dead WHERE id = ?1" }
};


sqlite3_stmt *
sgtm_db_stmt(sgtm_store_t *store, unsigned n)
{
    int  rc;

    if (store->stmt[n] != NULL) {
        (void) sqlite3_reset(store->stmt[n]);
        return store->stmt[n];
    }

    rc = sqlite3_prepare_v3(store->db, sgtm_db_sql[n].text, -1,
                            SQLITE_PREPARE_PERSISTENT, &store->stmt[n], NULL);

    if (rc != SQLITE_OK) {
        (void) sgtm_db_fail(store, rc, "prepare");
        return NULL;
    }

    return store->stmt[n];
}


int
sgtm_db_run(sgtm_store_t *store, unsigned n, const int64_t *values,
    int nvalues)
{
    int            rc;
    sqlite3_stmt  *stmt;

    stmt = sgtm_db_stmt(store, n);

    if (stmt == NULL) {
        return store->rc;
    }

    errno = 0;

    rc = sgtm_db_bind(stmt, values, nvalues);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
    }

    if (rc != SQLITE_DONE) {
        rc = sgtm_db_fail(store, rc, sgtm_db_sql[n].name);
        (void) sqlite3_reset(stmt);
        return rc;
    }

    (void) sqlite3_reset(stmt);

    return SGTM_STORE_OK;
}


int
sgtm_db_get(sgtm_store_t *store, unsigned n, const int64_t *values,
    int nvalues, int64_t *columns, int ncolumns, int *found)
{
    int            i, rc;
    sqlite3_stmt  *stmt;

    *found = 0;

    stmt = sgtm_db_stmt(store, n);

    if (stmt == NULL) {
        return store->rc;
    }

    errno = 0;

    rc = sgtm_db_bind(stmt, values, nvalues);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
    }

    if (rc == SQLITE_ROW) {

        for (i = 0; i < ncolumns; i++) {
            columns[i] = sqlite3_column_int64(stmt, i);
        }

        *found = 1;

    } else if (rc != SQLITE_DONE) {
        rc = sgtm_db_fail(store, rc, sgtm_db_sql[n].name);
        (void) sqlite3_reset(stmt);
        return rc;
    }

    (void) sqlite3_reset(stmt);

    return SGTM_STORE_OK;
}


int
sgtm_db_bind(sqlite3_stmt *stmt, const int64_t *values, int nvalues)
{
    int  i, rc;

    for (i = 0; i < nvalues; i++) {
        rc = sqlite3_bind_int64(stmt, i + 1, values[i]);

        if (rc != SQLITE_OK) {
            return rc;
        }
    }

    return SQLITE_OK;
}


int
sgtm_db_bind_str(sqlite3_stmt *stmt, int n, const sgtm_str_t *str)
{
    const char  *data;

    data = str->len ? (const char *) str->data : "";

    if (sgtm_db_is_text(str->data, str->len)) {
        return sqlite3_bind_text64(stmt, n, data, str->len, SQLITE_STATIC,
                                   SQLITE_UTF8);
    }

    return sqlite3_bind_blob64(stmt, n, data, str->len, SQLITE_STATIC);
}


int
sgtm_db_is_text(const unsigned char *p, size_t len)
{
    uint64_t              w[4];
    unsigned              c, n, min, code;
    const unsigned char  *last;

    if (len == 0) {
        return 1;
    }

    if (memchr(p, '\0', len) != NULL) {
        return 0;
    }

    for (last = p + len; p < last; /* void */ ) {

        if ((size_t) (last - p) >= sizeof(w)) {
            (void) memcpy(w, p, sizeof(w));

            if (((w[0] | w[1] | w[2] | w[3]) & (SGTM_BYTES << 7)) == 0) {
                p += sizeof(w);
                continue;
            }
        }

        if (last - p >= 8) {
            (void) memcpy(w, p, 8);

            if ((w[0] & (SGTM_BYTES << 7)) == 0) {
                p += 8;
                continue;
            }
        }

        c = *p++;

        if (c < 0x80) {
            continue;
        }

        if (c < 0xc2 || c > 0xf4) {
            return 0;
        }

        n = 1 + (c >= 0xe0) + (c >= 0xf0);
        min = (n == 1) ? 0x80 : (n == 2) ? 0x800 : 0x10000;

        if ((size_t) (last - p) < n) {
            return 0;
        }

        for (code = c & (0x3f >> n); n; n--) {

            if ((*p & 0xc0) != 0x80) {
                return 0;
            }

            code = code << 6 | (*p++ & 0x3f);
        }

        if (code < min || code > 0x10ffff
            || (code >= 0xd800 && code <= 0xdfff))
        {
            return 0;
        }
    }

    return 1;
}
