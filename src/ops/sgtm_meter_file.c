
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "../delivery/sgtm_file.h"
#include "sgtm_meter_file.h"


/* PRAGMA user_version and PRAGMA application_id ("sgtM") */
#define SGTM_METER_VERSION      1
#define SGTM_METER_APPLICATION  0x7367744d

/* ms: others write for a fraction of a second */
#define SGTM_METER_BUSY         5000


typedef enum {
    SGTM_METER_SQL_GET = 0,
    SGTM_METER_SQL_UPDATE,
    SGTM_METER_SQL_INSERT,
    SGTM_METER_SQL_N
} sgtm_meter_sql_e;


struct sgtm_meter_file_s {
    sqlite3       *db;
    sqlite3_stmt  *stmt[SGTM_METER_SQL_N];
    struct stat    st;             /* of the file that is open */
    char          *dir;
    char          *path;
    unsigned       failed:1;       /* to be opened anew */
    char           error[SGTM_METER_ERROR];
};


static int sgtm_meter_file_open(sgtm_meter_file_t *file, int make);
static int sgtm_meter_file_connect(sgtm_meter_file_t *file, int flags);
static int sgtm_meter_file_schema(sgtm_meter_file_t *file, int make);
static int sgtm_meter_file_number(sgtm_meter_file_t *file, const char *sql,
    int64_t *value);
static int sgtm_meter_file_exec(sgtm_meter_file_t *file, const char *sql);
static sqlite3_stmt *sgtm_meter_file_stmt(sgtm_meter_file_t *file, unsigned n);
static int sgtm_meter_file_bind(sqlite3_stmt *stmt, int n, const char *month,
    const sgtm_str_t *tenant);
static void sgtm_meter_file_row(sqlite3_stmt *stmt, int column,
    sgtm_meter_row_t *row);
static int sgtm_meter_file_fail(sgtm_meter_file_t *file, const char *what);
static int sgtm_meter_file_fail_errno(sgtm_meter_file_t *file, int err,
    const char *call, const char *name);
static void sgtm_meter_file_close(sgtm_meter_file_t *file);


/* in the order of sgtm_meter_e */

#define SGTM_METER_COLUMNS                                                    \
    "accepted, forwarded, denied, duplicate, limited, filtered, quota, "      \
    "failed, told"

static const char  sgtm_meter_tables[] =
    "CREATE TABLE meter ("
        "month TEXT NOT NULL, "
        "tenant TEXT NOT NULL, "
        "accepted INTEGER NOT NULL, "
        "forwarded INTEGER NOT NULL, "
        "denied INTEGER NOT NULL, "
        "duplicate INTEGER NOT NULL, "
        "limited INTEGER NOT NULL, "
        "filtered INTEGER NOT NULL, "
        "quota INTEGER NOT NULL, "
        "failed INTEGER NOT NULL, "
        "told INTEGER NOT NULL, "
        "PRIMARY KEY (month, tenant)) WITHOUT ROWID;"

    /* for people */

    "CREATE VIEW months AS SELECT "
        "month, tenant, accepted, forwarded, "
        "denied + duplicate + limited + filtered + quota + failed AS dropped, "
        "accepted - forwarded - denied - duplicate - limited - filtered "
        "- quota - failed AS open "
        "FROM meter;"

    "PRAGMA user_version = 1;"
    "PRAGMA application_id = 1936159821;";


static const char *const  sgtm_meter_sql[] = {

    "SELECT " SGTM_METER_COLUMNS " FROM meter "
        "WHERE month = ?1 AND tenant = ?2",

    "UPDATE meter SET "
        "accepted = accepted + ?3, forwarded = forwarded + ?4, "
        "denied = denied + ?5, duplicate = duplicate + ?6, "
        "limited = limited + ?7, filtered = filtered + ?8, "
        "quota = quota + ?9, failed = failed + ?10, "
        "told = max(told, ?11) "
        "WHERE month = ?1 AND tenant = ?2",

    "INSERT INTO meter (month, tenant, " SGTM_METER_COLUMNS ") "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
};


void
sgtm_meter_text(uint32_t month, char *text)
{
    (void) snprintf(text, SGTM_METER_MONTH, "%04u-%02u",
                    month / 12 % 10000, month % 12 + 1);
}


uint64_t
sgtm_meter_row_used(const sgtm_meter_row_t *row)
{
    unsigned  what;
    uint64_t  dropped;

    dropped = 0;

    for (what = SGTM_METER_DENIED; what < SGTM_METER_N; what++) {
        dropped += row->counts[what];
    }

    return (row->counts[SGTM_METER_ACCEPTED] > dropped)
           ? row->counts[SGTM_METER_ACCEPTED] - dropped : 0;
}


sgtm_meter_file_t *
sgtm_meter_file_create(const char *dir)
{
    size_t              len;
    sgtm_meter_file_t  *file;

    file = calloc(1, sizeof(sgtm_meter_file_t));

    if (file == NULL) {
        return NULL;
    }

    len = strlen(dir);

    file->dir = strdup(dir);
    file->path = malloc(len + 1 + sizeof(SGTM_METER_FILE));

    if (file->dir == NULL || file->path == NULL) {
        sgtm_meter_file_destroy(file);
        return NULL;
    }

    memcpy(file->path, dir, len);
    file->path[len] = '/';
    memcpy(file->path + len + 1, SGTM_METER_FILE, sizeof(SGTM_METER_FILE));

    return file;
}


void
sgtm_meter_file_destroy(sgtm_meter_file_t *file)
{
    if (file == NULL) {
        return;
    }

    sgtm_meter_file_close(file);

    free(file->dir);
    free(file->path);
    free(file);
}


const char *
sgtm_meter_file_error(const sgtm_meter_file_t *file)
{
    return file->error;
}


int
sgtm_meter_file_begin(sgtm_meter_file_t *file)
{
    struct stat  st;

    file->error[0] = '\0';

    /* a file that was moved away is another's now */

    if (file->db != NULL
        && (file->failed || stat(file->path, &st) == -1
            || st.st_dev != file->st.st_dev || st.st_ino != file->st.st_ino))
    {
        sgtm_meter_file_close(file);
    }

    if (file->db == NULL && sgtm_meter_file_open(file, 1) != SGTM_OK) {
        file->failed = 1;
        return SGTM_ERROR;
    }

    return sgtm_meter_file_exec(file, "BEGIN IMMEDIATE");
}


int
sgtm_meter_file_commit(sgtm_meter_file_t *file)
{
    return sgtm_meter_file_exec(file, "COMMIT");
}


void
sgtm_meter_file_rollback(sgtm_meter_file_t *file)
{
    if (file->db != NULL && !sqlite3_get_autocommit(file->db)) {
        (void) sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    }
}


/*
 * A file that is damaged or no meter's is left as it is: nobody but its owner
 * knows what of it is worth money.
 */

static int
sgtm_meter_file_open(sgtm_meter_file_t *file, int make)
{
    int  fd;

    file->failed = 0;
    fd = -1;

    if (make && sgtm_file_make(file->dir, file->path, &fd) == -1) {
        return sgtm_meter_file_fail_errno(file, errno, "open", file->path);
    }

    /* closed before SQLite opens it: a later close() would drop its locks */

    if (fd != -1 && close(fd) == -1) {
        return sgtm_meter_file_fail_errno(file, errno, "close", file->path);
    }

    if (stat(file->path, &file->st) == -1) {
        return sgtm_meter_file_fail_errno(file, errno, "stat", file->path);
    }

    if (sgtm_meter_file_connect(file, make ? SQLITE_OPEN_READWRITE
                                           : SQLITE_OPEN_READONLY)
        != SGTM_OK
        || sgtm_meter_file_schema(file, make) != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    if (fd != -1 && sgtm_file_sync_dir(file->dir) == -1) {
        return sgtm_meter_file_fail_errno(file, errno, "fsync", file->dir);
    }

    return SGTM_OK;
}


static int
sgtm_meter_file_connect(sgtm_meter_file_t *file, int flags)
{
    size_t                    i;

    static const char *const  settings[] = {
        "PRAGMA trusted_schema = OFF",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA cache_size = -8192",
        "PRAGMA synchronous = FULL"
    };

    if (sqlite3_open_v2(file->path, &file->db,
                        flags|SQLITE_OPEN_NOMUTEX|SQLITE_OPEN_PRIVATECACHE,
                        NULL)
        != SQLITE_OK)
    {
        return sgtm_meter_file_fail(file, "open");
    }

    (void) sqlite3_busy_timeout(file->db, SGTM_METER_BUSY);

    for (i = 0; i < sgtm_nelts(settings); i++) {
        if (sgtm_meter_file_exec(file, settings[i]) != SGTM_OK) {
            return SGTM_ERROR;
        }
    }

    return SGTM_OK;
}


static int
sgtm_meter_file_schema(sgtm_meter_file_t *file, int make)
{
    int64_t  version, application;

    if (sgtm_meter_file_number(file, "PRAGMA user_version", &version)
        != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    if (version == 0 && make) {

        /*
         * readers do not wait for the writer then, nor he for them; another
         * process may be about to do the same
         */

        if (sgtm_meter_file_exec(file, "PRAGMA journal_mode = WAL") != SGTM_OK
            || sgtm_meter_file_exec(file, "BEGIN IMMEDIATE") != SGTM_OK
            || sgtm_meter_file_number(file, "PRAGMA user_version", &version)
               != SGTM_OK
            || (version == 0
                && sgtm_meter_file_exec(file, sgtm_meter_tables) != SGTM_OK)
            || sgtm_meter_file_exec(file, "COMMIT") != SGTM_OK
            || sgtm_meter_file_number(file, "PRAGMA user_version", &version)
               != SGTM_OK)
        {
            return SGTM_ERROR;
        }
    }

    if (sgtm_meter_file_number(file, "PRAGMA application_id", &application)
        != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    if (version != SGTM_METER_VERSION
        || application != SGTM_METER_APPLICATION)
    {
        file->failed = 1;
        (void) snprintf(file->error, SGTM_METER_ERROR,
                        "\"%s\" is no meter, or of another version",
                        file->path);
        return SGTM_ERROR;
    }

    return SGTM_OK;
}


static int
sgtm_meter_file_number(sgtm_meter_file_t *file, const char *sql,
    int64_t *value)
{
    int            rc;
    sqlite3_stmt  *stmt;

    if (sqlite3_prepare_v2(file->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sgtm_meter_file_fail(file, "read");
    }

    rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW) {
        *value = sqlite3_column_int64(stmt, 0);
        rc = SQLITE_DONE;
    }

    if (sqlite3_finalize(stmt) != SQLITE_OK || rc != SQLITE_DONE) {
        return sgtm_meter_file_fail(file, "read");
    }

    return SGTM_OK;
}


static int
sgtm_meter_file_exec(sgtm_meter_file_t *file, const char *sql)
{
    if (sqlite3_exec(file->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return sgtm_meter_file_fail(file, "write");
    }

    return SGTM_OK;
}


static sqlite3_stmt *
sgtm_meter_file_stmt(sgtm_meter_file_t *file, unsigned n)
{
    if (file->stmt[n] == NULL
        && sqlite3_prepare_v2(file->db, sgtm_meter_sql[n], -1, &file->stmt[n],
                              NULL)
           != SQLITE_OK)
    {
        (void) sgtm_meter_file_fail(file, "read");
        return NULL;
    }

    return file->stmt[n];
}


static int
sgtm_meter_file_bind(sqlite3_stmt *stmt, int n, const char *month,
    const sgtm_str_t *tenant)
{
    return sqlite3_bind_text(stmt, n, month, -1, SQLITE_STATIC) == SQLITE_OK
           && sqlite3_bind_text(stmt, n + 1,
                                tenant->len ? (const char *) tenant->data
                                            : "",
                                (int) tenant->len, SQLITE_STATIC)
              == SQLITE_OK;
}


int
sgtm_meter_file_get(sgtm_meter_file_t *file, uint32_t month,
    const sgtm_str_t *tenant, sgtm_meter_row_t *row)
{
    int            rc;
    char           text[SGTM_METER_MONTH];
    sqlite3_stmt  *stmt;

    memset(row, 0, sizeof(sgtm_meter_row_t));

    stmt = sgtm_meter_file_stmt(file, SGTM_METER_SQL_GET);

    if (stmt == NULL) {
        return SGTM_ERROR;
    }

    sgtm_meter_text(month, text);

    if (!sgtm_meter_file_bind(stmt, 1, text, tenant)) {
        return sgtm_meter_file_fail(file, "read");
    }

    rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW) {
        sgtm_meter_file_row(stmt, 0, row);
    }

    (void) sqlite3_reset(stmt);
    (void) sqlite3_clear_bindings(stmt);

    return (rc == SQLITE_ROW || rc == SQLITE_DONE)
           ? SGTM_OK : sgtm_meter_file_fail(file, "read");
}


int
sgtm_meter_file_add(sgtm_meter_file_t *file, uint32_t month,
    const sgtm_str_t *tenant, const sgtm_meter_row_t *row)
{
    int            i, rc;
    char           text[SGTM_METER_MONTH];
    unsigned       n;
    sqlite3_stmt  *stmt;

    sgtm_meter_text(month, text);

    for (n = SGTM_METER_SQL_UPDATE; n <= SGTM_METER_SQL_INSERT; n++) {

        stmt = sgtm_meter_file_stmt(file, n);

        if (stmt == NULL) {
            return SGTM_ERROR;
        }

        if (!sgtm_meter_file_bind(stmt, 1, text, tenant)) {
            return sgtm_meter_file_fail(file, "write");
        }

        for (i = 0; i < SGTM_METER_N; i++) {
            (void) sqlite3_bind_int64(stmt, 3 + i,
                                      (sqlite3_int64) row->counts[i]);
        }

        (void) sqlite3_bind_int64(stmt, 3 + SGTM_METER_N, row->told);

        rc = sqlite3_step(stmt);

        (void) sqlite3_reset(stmt);
        (void) sqlite3_clear_bindings(stmt);

        if (rc != SQLITE_DONE) {
            return sgtm_meter_file_fail(file, "write");
        }

        if (sqlite3_changes(file->db) != 0) {
            break;
        }
    }

    return SGTM_OK;
}


static void
sgtm_meter_file_row(sqlite3_stmt *stmt, int column, sgtm_meter_row_t *row)
{
    int      i;
    int64_t  n;

    for (i = 0; i < SGTM_METER_N; i++) {
        n = sqlite3_column_int64(stmt, column + i);
        row->counts[i] = (n > 0) ? (uint64_t) n : 0;
    }

    n = sqlite3_column_int64(stmt, column + SGTM_METER_N);
    row->told = (n > 0 && n <= SGTM_METER_OVER) ? (unsigned) n : 0;
}


int
sgtm_meter_file_list(sgtm_meter_file_t *file, const char *month,
    const char *tenant, sgtm_meter_row_pt handler, void *data)
{
    int                rc, stop;
    sgtm_str_t         id;
    sqlite3_stmt      *stmt;
    sgtm_meter_row_t   row;

    static const char  sql[] =
        "SELECT month, tenant, " SGTM_METER_COLUMNS " FROM meter "
        "WHERE (?1 IS NULL OR month = ?1) AND (?2 IS NULL OR tenant = ?2) "
        "ORDER BY month, tenant";

    file->error[0] = '\0';

    if (file->db == NULL && sgtm_meter_file_open(file, 0) != SGTM_OK) {
        file->failed = 1;
        return SGTM_ERROR;
    }

    if (sqlite3_prepare_v2(file->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return sgtm_meter_file_fail(file, "read");
    }

    /* a text that is NULL binds as such */

    (void) sqlite3_bind_text(stmt, 1, month, -1, SQLITE_STATIC);
    (void) sqlite3_bind_text(stmt, 2, tenant, -1, SQLITE_STATIC);

    stop = 0;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && !stop) {

        id.data = (unsigned char *) (uintptr_t) sqlite3_column_text(stmt, 1);
        id.len = id.data ? (size_t) sqlite3_column_bytes(stmt, 1) : 0;

        sgtm_meter_file_row(stmt, 2, &row);

        stop = handler(data, (const char *) sqlite3_column_text(stmt, 0), &id,
                       &row);
    }

    (void) sqlite3_finalize(stmt);

    return (stop || rc == SQLITE_DONE) ? SGTM_OK
                                       : sgtm_meter_file_fail(file, "read");
}


static int
sgtm_meter_file_fail(sgtm_meter_file_t *file, const char *what)
{
    int  err;

    /* the first one says why */

    if (file->error[0] == '\0') {
        switch (sqlite3_errcode(file->db) & 0xff) {

        case SQLITE_CANTOPEN:
        case SQLITE_FULL:
        case SQLITE_IOERR:
            err = sqlite3_system_errno(file->db);
            break;

        default:
            err = 0;
        }

        (void) snprintf(file->error, SGTM_METER_ERROR,
                        "cannot %s \"%s\": %s%s%s", what, file->path,
                        sqlite3_errmsg(file->db), err ? ", " : "",
                        err ? strerror(err) : "");
    }

    file->failed = 1;

    return SGTM_ERROR;
}


static int
sgtm_meter_file_fail_errno(sgtm_meter_file_t *file, int err, const char *call,
    const char *name)
{
    (void) sgtm_file_fail(file->error, SGTM_METER_ERROR, err, call, name);

    file->failed = 1;

    return SGTM_ERROR;
}


static void
sgtm_meter_file_close(sgtm_meter_file_t *file)
{
    unsigned  n;

    for (n = 0; n < SGTM_METER_SQL_N; n++) {
        (void) sqlite3_finalize(file->stmt[n]);
        file->stmt[n] = NULL;
    }

    (void) sqlite3_close(file->db);

    file->db = NULL;
    file->failed = 0;
}
