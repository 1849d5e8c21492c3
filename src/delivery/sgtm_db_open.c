
/*
 * Copyright (C) the ngx_http_sgtm_module authors
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
#include <sys/file.h>

#include "sgtm_db.h"


static int sgtm_db_open_lock(sgtm_store_t *store, const char *name, int *fd);
static int sgtm_db_open_file(sgtm_store_t *store);
static int sgtm_db_connect(sgtm_store_t *store);
static int sgtm_db_settings(sgtm_store_t *store);
static int sgtm_db_set_wal(sgtm_store_t *store);
static int sgtm_db_schema(sgtm_store_t *store);
static int sgtm_db_exec(sgtm_store_t *store, const char *sql);
static int sgtm_db_value(sgtm_store_t *store, const char *sql, int64_t *value);
static int sgtm_db_busy(void *data, int count);
static int sgtm_db_wal_frames(void *data, sqlite3 *db, const char *name,
    int frames);


/* what a hit that waits and a dead letter have alike */

#define SGTM_DB_COLUMNS                                                       \
    "target INTEGER NOT NULL, "                                               \
    "due INTEGER NOT NULL, "                                                  \
    "client INTEGER NOT NULL, "                                               \
    "time INTEGER NOT NULL, "                                                 \
    "attempts INTEGER NOT NULL, "                                             \
    "events INTEGER NOT NULL, "                                               \
    "tenant TEXT NOT NULL, "                                                  \
    "error TEXT NOT NULL, "                                                   \
    "method TEXT NOT NULL, "                                                  \
    "uri TEXT NOT NULL, "                                                     \
    "args TEXT NOT NULL, "                                                    \
    "headers TEXT NOT NULL, "                                                 \
    "body BLOB NOT NULL"


/* how much of each segment of the journal is in the table of hits */

#define SGTM_DB_JOURNAL                                                       \
    "CREATE TABLE journal ("                                                  \
        "name TEXT PRIMARY KEY, "                                             \
        "moved INTEGER NOT NULL, "                                            \
        "hits INTEGER NOT NULL, "                                             \
        "events INTEGER NOT NULL) WITHOUT ROWID;"


/*
 * A fresh hit is in no index but the table's own: the other two hold what has
 * been tried already.
 */

static const char  sgtm_db_tables[] =
    "CREATE TABLE target ("
        "number INTEGER PRIMARY KEY, "
        "name TEXT NOT NULL UNIQUE, "
        "last INTEGER NOT NULL DEFAULT 0);"

    "CREATE TABLE hit ("
        "id INTEGER PRIMARY KEY, "
        SGTM_DB_COLUMNS ");"

    "CREATE INDEX hit_due ON hit (target, due) WHERE due <> 0;"
    "CREATE INDEX hit_client ON hit (client) WHERE due > 0;"

    "CREATE TABLE dead ("
        "id INTEGER PRIMARY KEY, "
        "died INTEGER NOT NULL, "
        SGTM_DB_COLUMNS ");"

    "CREATE TABLE courier ("
        "one INTEGER PRIMARY KEY CHECK (one = 1), "
        "instance INTEGER NOT NULL, "
        "until INTEGER NOT NULL);"

    SGTM_DB_JOURNAL

    /* for people */

    "CREATE VIEW waiting AS SELECT "
        "id, name AS target, tenant, "
        "datetime(time / 1000, 'unixepoch') AS at, "
        "CASE due WHEN 0 THEN 'fresh' "
            "ELSE datetime(abs(due) / 1000, 'unixepoch') END AS next, "
        "attempts, events, error, method, uri, args, headers, body "
        "FROM hit JOIN target ON number = target;"

    "CREATE VIEW dead_letters AS SELECT "
        "id, name AS target, tenant, "
        "datetime(time / 1000, 'unixepoch') AS at, "
        "datetime(died / 1000, 'unixepoch') AS died, "
        "attempts, events, error, method, uri, args, headers, body "
        "FROM dead JOIN target ON number = target;";


int
sgtm_db_open(sgtm_store_t *store)
{
    int  rc;

    rc = sgtm_db_open_lock(store, store->lock, &store->lock_fd);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_db_lock(store, LOCK_EX);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_db_open_file(store);

    if (rc == SGTM_STORE_DAMAGED) {
        rc = sgtm_db_set_aside(store);
    }

    if (rc != SGTM_STORE_OK) {
        sgtm_db_close(store);
    }

    (void) sgtm_db_lock(store, LOCK_UN);

    return rc;
}


static int
sgtm_db_open_lock(sgtm_store_t *store, const char *name, int *fd)
{
    if (*fd != -1) {
        return SGTM_STORE_OK;
    }

    if (sgtm_file_make(store->dir, name, fd) == -1) {
        return sgtm_db_fail_errno(store, errno, "create", name);
    }

    if (*fd != -1) {
        return SGTM_STORE_OK;
    }

    *fd = open(name, O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (*fd == -1) {
        return sgtm_db_fail_errno(store, errno, "open", name);
    }

    return SGTM_STORE_OK;
}


int
sgtm_db_own(sgtm_store_t *store)
{
    if (store->owned) {
        return 0;
    }

    if (sgtm_db_open_lock(store, store->owner, &store->owner_fd)
        != SGTM_STORE_OK)
    {
        return 0;
    }

    store->owned = (flock(store->owner_fd, LOCK_EX|LOCK_NB) == 0);

    return store->owned;
}


void
sgtm_db_disown(sgtm_store_t *store)
{
    if (store->owned) {
        (void) flock(store->owner_fd, LOCK_UN);
        store->owned = 0;
    }
}


static int
sgtm_db_open_file(sgtm_store_t *store)
{
    int          fd, rc, made;
    struct stat  sb;

    /* a log of changes without its database is no beginning */

    if ((stat(store->path, &store->file) == -1 || store->file.st_size == 0)
        && stat(store->wal, &sb) == 0 && sb.st_size > 0)
    {
        return sgtm_db_fail_text(store, SGTM_STORE_DAMAGED, "it is empty");
    }

    if (sgtm_file_make(store->dir, store->path, &fd) == -1) {
        return sgtm_db_fail_errno(store, errno, "create", store->path);
    }

    /* closed before SQLite opens it: a later close() would drop its locks */

    made = (fd != -1);

    if (made && close(fd) == -1) {
        return sgtm_db_fail_errno(store, errno, "close", store->path);
    }

    if (stat(store->path, &store->file) == -1) {
        return sgtm_db_fail_errno(store, errno, "stat", store->path);
    }

    rc = sgtm_db_connect(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_db_settings(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_db_schema(store);

    if (rc == SGTM_STORE_OK) {
        sgtm_db_reserve(store);
    }

    if (rc != SGTM_STORE_OK || !made) {
        return rc;
    }

    if (sgtm_file_sync_dir(store->dir) == -1) {
        return sgtm_db_fail_errno(store, errno, "fsync", store->dir);
    }

    return SGTM_STORE_OK;
}


static int
sgtm_db_connect(sgtm_store_t *store)
{
    int  rc, on;

    errno = 0;

    rc = sqlite3_open_v2(store->path, &store->db,
                         SQLITE_OPEN_READWRITE|SQLITE_OPEN_NOMUTEX
                         |SQLITE_OPEN_PRIVATECACHE, NULL);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "open");
    }

    (void) sqlite3_extended_result_codes(store->db, 1);

    rc = sqlite3_busy_handler(store->db, sgtm_db_busy, store);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "open");
    }

    (void) sqlite3_wal_hook(store->db, sgtm_db_wal_frames, store);

    /*
     * SQLite removes the log of changes by its name when the last one closes
     * the database: that could be the log of a new one, after a damaged one
     * was renamed.
     */

    on = 1;
    rc = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL,
                              &on);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "open");
    }

    if (sqlite3_db_readonly(store->db, "main") == 1) {
        return sgtm_db_fail_errno(store, EACCES, "open", store->path);
    }

    return sgtm_db_clean_pages(store);
}


static int
sgtm_db_settings(sgtm_store_t *store)
{
    int                       rc;
    size_t                    i;

    static const char *const  levels[] = {
        "PRAGMA synchronous = NORMAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF"
    };

    static const char *const  settings[] = {
        "PRAGMA page_size = 8192",
        "PRAGMA auto_vacuum = NONE",
        "PRAGMA secure_delete = ON",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA mmap_size = 0",
        "PRAGMA cache_size = -4096",
        "PRAGMA journal_size_limit = 16777216",
        "PRAGMA trusted_schema = OFF"
    };

    rc = SGTM_STORE_OK;

    for (i = 0;
         i < sizeof(settings) / sizeof(settings[0]) && rc == SGTM_STORE_OK;
         i++)
    {
        rc = sgtm_db_exec(store, settings[i]);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_set_wal(store);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_exec(store, levels[store->conf.sync]);
    }

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    rc = sgtm_db_value(store, "PRAGMA page_size", &store->page);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    if (store->page < 512) {
        store->page = SGTM_DB_PAGE;
    }

    store->max_pages = (store->conf.max_size <= 0)
                       ? INT64_MAX
                       : store->conf.max_size / store->page;

    return SGTM_STORE_OK;
}


/* whether the file can be in that mode is for the file system to say */

static int
sgtm_db_set_wal(sgtm_store_t *store)
{
    int                   rc, wal;
    sqlite3_stmt         *stmt;
    const unsigned char  *mode;

    rc = sqlite3_prepare_v2(store->db, "PRAGMA journal_mode = WAL", -1, &stmt,
                            NULL);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "open");
    }

    rc = sqlite3_step(stmt);

    if (rc != SQLITE_ROW) {
        rc = sgtm_db_fail(store, rc, "open");
        (void) sqlite3_finalize(stmt);
        return rc;
    }

    mode = sqlite3_column_text(stmt, 0);
    wal = (mode != NULL && strcmp((const char *) mode, "wal") == 0);

    (void) sqlite3_finalize(stmt);

    if (!wal) {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                 "the file system cannot hold an SQLite"
                                 " database in WAL mode");
    }

    return SGTM_STORE_OK;
}


static int
sgtm_db_schema(sgtm_store_t *store)
{
    int          rc;
    char         sql[128];
    int64_t      version, n;
    const char  *tables;

    rc = sgtm_db_value(store, "PRAGMA user_version", &version);

    if (rc != SGTM_STORE_OK || version == SGTM_DB_VERSION) {
        return rc;
    }

    tables = (version == 1) ? SGTM_DB_JOURNAL : sgtm_db_tables;

    if (version != 0 && version != 1) {
        (void) snprintf(sql, sizeof(sql), "its version is %lld, this program"
                        " knows %d", (long long) version, SGTM_DB_VERSION);

        return sgtm_db_fail_text(store, SGTM_STORE_FAILED, sql);
    }

    rc = sgtm_db_value(store, "SELECT count(*) FROM sqlite_master", &n);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    if (version == 0 && n != 0) {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                 "it is a database of something else");
    }

    (void) snprintf(sql, sizeof(sql), "PRAGMA application_id = %d;"
                    "PRAGMA user_version = %d; COMMIT",
                    SGTM_DB_APPLICATION, SGTM_DB_VERSION);

    rc = sgtm_db_exec(store, "BEGIN IMMEDIATE");

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_exec(store, tables);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_exec(store, sql);
    }

    /* an open transaction goes with the connection */

    return rc;
}


static int
sgtm_db_exec(sgtm_store_t *store, const char *sql)
{
    int  rc;

    rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? SGTM_STORE_OK : sgtm_db_fail(store, rc, "open");
}


static int
sgtm_db_value(sgtm_store_t *store, const char *sql, int64_t *value)
{
    int            rc;
    sqlite3_stmt  *stmt;

    *value = 0;

    rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);

        if (rc == SQLITE_ROW) {
            *value = sqlite3_column_int64(stmt, 0);
            rc = SQLITE_DONE;
        }
    }

    if (rc != SQLITE_DONE) {
        rc = sgtm_db_fail(store, rc, "open");
        (void) sqlite3_finalize(stmt);
        return rc;
    }

    (void) sqlite3_finalize(stmt);

    return SGTM_STORE_OK;
}


static int
sgtm_db_busy(void *data, int count)
{
    return sgtm_db_wait(data, count == 0);
}


static int
sgtm_db_wal_frames(void *data, sqlite3 *db, const char *name, int frames)
{
    sgtm_store_t  *store = data;

    (void) db;
    (void) name;

    store->frames = frames;

    return SQLITE_OK;
}


void
sgtm_db_close(sgtm_store_t *store)
{
    size_t  i;

    for (i = 0; i < SGTM_SQL_N; i++) {
        (void) sqlite3_finalize(store->stmt[i]);
        store->stmt[i] = NULL;
    }

    if (store->db != NULL) {

        if (store->damaged) {
            (void) sqlite3_db_config(store->db,
                                     SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                                     NULL);
        }

        (void) sqlite3_close_v2(store->db);
        store->db = NULL;
    }

    if (store->wal_fd != -1) {
        (void) close(store->wal_fd);
        store->wal_fd = -1;
    }

    store->frames = 0;
    store->damaged = 0;
    store->suspect = 0;
}
