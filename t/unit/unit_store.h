
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the tests of the store share: a directory of their own, records and
 * outcomes, and looking into the file past the store.
 */


#ifndef _SGTM_UNIT_STORE_H_INCLUDED_
#define _SGTM_UNIT_STORE_H_INCLUDED_


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>
#include <sys/stat.h>

#include "unit.h"
#include "delivery/sgtm_journal.h"
#include "delivery/sgtm_store.h"


#define STORE_TARGET  "shop.example@tag"


static char  store_dir[256];

/* that of store_put() */
static sgtm_journal_t  *store_journal_of_put;


static inline void
store_rest(long us)
{
    struct timespec  ts;

    ts.tv_sec = us / 1000000;
    ts.tv_nsec = us % 1000000 * 1000;

    nanosleep(&ts, NULL);
}


/* the path of a file in the directory */

static inline const char *
store_path(const char *name)
{
    static char  path[512];

    snprintf(path, sizeof(path), "%s/%s", store_dir, name);

    return path;
}


/* removes the directory and what is in it */

static inline void
store_remove(void)
{
    DIR            *dir;
    struct dirent  *entry;

    sgtm_journal_destroy(store_journal_of_put);
    store_journal_of_put = NULL;

    dir = opendir(store_dir);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        (void) unlink(store_path(entry->d_name));
    }

    if (dir != NULL) {
        closedir(dir);
        (void) rmdir(store_dir);
    }
}


/* a new directory, instead of the last one */

static inline void
store_begin(const char *name)
{
    const char  *tmp;

    if (store_dir[0]) {
        store_remove();
    }

    printf("# %s\n", name);

    tmp = getenv("TMPDIR");

    snprintf(store_dir, sizeof(store_dir), "%s/sgtm-store-XXXXXX",
             tmp ? tmp : "/tmp");

    if (mkdtemp(store_dir) == NULL) {
        printf("Bail out! mkdtemp(): %s\n", strerror(errno));
        exit(1);
    }
}


static inline sgtm_store_t *
store_open(int sync, int64_t max_size)
{
    sgtm_store_t       *store;
    sgtm_store_conf_t   conf;

    memset(&conf, 0, sizeof(conf));

    conf.sync = sync;
    conf.max_size = max_size;

    store = sgtm_store_create(store_dir, &conf);

    if (store == NULL) {
        printf("Bail out! no store\n");
        exit(1);
    }

    return store;
}


/* whether a call returned what it should; shows why it failed */

static inline int
store_is(sgtm_store_t *store, int rc, int want, const char *name)
{
    if (!unit_ok(rc == want, "%s", name)) {
        printf("#      got: %d %s\n# expected: %d\n", rc,
               sgtm_store_error(store), want);
        return 0;
    }

    return 1;
}


/* a record whose body tells it from others, put before a list */

static inline sgtm_record_t *
store_record(sgtm_record_t *next, const char *target, uint64_t client,
    const char *body)
{
    sgtm_record_t  *record;

    record = unit_alloc(sizeof(sgtm_record_t));

    memset(record, 0, sizeof(sgtm_record_t));

    record->next = next;
    record->time = 1800000000000;
    record->client = client;
    record->events = 1;
    record->target = unit_str(target);
    record->tenant = unit_str("shop.example");
    record->error = unit_str("");
    record->method = unit_str("POST");
    record->uri = unit_str("/g/collect");
    record->args = unit_str("v=2&tid=G-ABC1234567&en=page_view");
    record->headers = unit_str("User-Agent: test\r\n");
    record->body = unit_str(body);

    return record;
}


/* the first column of the first row, past the store; -1: an error */

static inline int64_t
store_sql(const char *sql)
{
    int64_t        value;
    sqlite3       *db;
    sqlite3_stmt  *stmt;

    value = -1;
    stmt = NULL;

    if (sqlite3_open_v2(store_path(SGTM_STORE_FILE), &db,
                        SQLITE_OPEN_READWRITE, NULL)
        == SQLITE_OK
        && sqlite3_busy_timeout(db, 5000) == SQLITE_OK
        && sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL)
           == SQLITE_OK
        && sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK)
    {
        switch (sqlite3_step(stmt)) {

        case SQLITE_ROW:
            value = sqlite3_column_int64(stmt, 0);
            break;

        case SQLITE_DONE:
            value = 0;
            break;
        }
    }

    if (value == -1) {
        printf("# %s: %s\n", sql, sqlite3_errmsg(db));
    }

    sqlite3_finalize(stmt);
    sqlite3_close(db);

    return value;
}


/* a writer */

static inline sgtm_journal_t *
store_journal(int sync, int64_t max_size)
{
    sgtm_journal_t     *journal;
    sgtm_store_conf_t   conf;

    memset(&conf, 0, sizeof(conf));

    conf.sync = sync;
    conf.max_size = max_size;

    journal = sgtm_journal_create(store_dir, &conf);

    if (journal == NULL) {
        printf("Bail out! no journal\n");
        exit(1);
    }

    return journal;
}


/* keeps a list, as a writer of its own */

static inline int
store_keep(sgtm_record_t *list, int sync, int64_t max_size)
{
    int              rc;
    sgtm_journal_t  *journal;

    journal = store_journal(sync, max_size);

    rc = sgtm_journal_put(journal, list);

    if (rc != SGTM_STORE_OK) {
        printf("# %s\n", sgtm_journal_error(journal));
    }

    sgtm_journal_destroy(journal);

    return rc;
}


/* how many files there are whose name begins so; the last one's name is set */

static inline int
store_files(const char *prefix, char *last)
{
    int             n;
    DIR            *dir;
    char            name[256];
    struct dirent  *entry;

    n = 0;
    name[0] = '\0';
    dir = opendir(store_dir);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {

        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) {
            continue;
        }

        n++;

        if (strcmp(entry->d_name, name) > 0) {
            snprintf(name, sizeof(name), "%s", entry->d_name);
        }
    }

    if (dir != NULL) {
        closedir(dir);
    }

    if (last != NULL) {
        strcpy(last, name);
    }

    return n;
}


static inline int
store_segments(void)
{
    return store_files(SGTM_JOURNAL_PREFIX, NULL);
}


/* bytes of a file; -1: there is none */

static inline int64_t
store_size(const char *name)
{
    struct stat  sb;

    return stat(store_path(name), &sb) == 0 ? (int64_t) sb.st_size : -1;
}


/* moves all that is kept into the database */

static inline int
store_fetch(sgtm_store_t *store)
{
    int           rc;
    sgtm_fetch_t  fetch;

    do {
        fetch.size = 1000000;

        rc = sgtm_store_fetch(store, &fetch);

        if (rc == SGTM_STORE_OK && fetch.warning[0]) {
            printf("# %s\n", fetch.warning);
        }

    } while (rc == SGTM_STORE_OK && fetch.more);

    return rc;
}


/* both; the ids of the first hundred are set */

static inline int
store_put_list(sgtm_store_t *store, sgtm_record_t *list)
{
    int             n, rc;
    char            sql[512];
    int64_t         last;
    sgtm_record_t  *record, *other;

    if (store_journal_of_put == NULL) {
        store_journal_of_put = store_journal(SGTM_STORE_SYNC_OFF, 0);
    }

    rc = sgtm_journal_put(store_journal_of_put, list);

    if (rc != SGTM_STORE_OK) {
        printf("# %s\n", sgtm_journal_error(store_journal_of_put));
        return rc;
    }

    rc = store_fetch(store);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    /* the last rows of each target are the list's, in its order */

    for (record = list, n = 0; record != NULL && n < 100;
         record = record->next, n++)
    {
        last = 0;

        for (other = record; other != NULL; other = other->next) {
            last += (other->target.len == record->target.len
                     && (other->target.len == 0
                         || memcmp(other->target.data, record->target.data,
                                   other->target.len)
                            == 0));
        }

        (void) snprintf(sql, sizeof(sql), "SELECT id FROM hit JOIN target"
                        " ON number = target WHERE name = '%.*s'"
                        " ORDER BY id DESC LIMIT 1 OFFSET %d",
                        (int) record->target.len,
                        (const char *) record->target.data, (int) last - 1);

        record->id = store_sql(sql);
    }

    return SGTM_STORE_OK;
}


/* puts one; its id, 0 when that failed */

static inline int64_t
store_put(sgtm_store_t *store, const char *target, uint64_t client,
    const char *body)
{
    sgtm_record_t  *record;

    record = store_record(NULL, target, client, body);

    if (store_put_list(store, record) != SGTM_STORE_OK) {
        printf("# put: %s\n", sgtm_store_error(store));
        return 0;
    }

    return record->id;
}


static inline void
store_free(sgtm_record_t *list)
{
    sgtm_record_t  *next;

    for ( /* void */ ; list != NULL; list = next) {
        next = list->next;
        free(list);
    }
}


/* the bodies of a list, each with a space before it */

static inline const char *
store_bodies(const sgtm_record_t *list)
{
    size_t       n;
    static char  text[4096];

    text[0] = '\0';

    for (n = 0; list != NULL && n < sizeof(text) - 64; list = list->next) {
        n += (size_t) snprintf(text + n, sizeof(text) - n, " %.*s",
                               (int) (list->body.len < 60 ? list->body.len
                                                          : 60),
                               (char *) list->body.data);
    }

    return text;
}


static inline int
store_settle(sgtm_store_t *store, int64_t instance, int64_t id, unsigned kind,
    int64_t due, const char *error)
{
    sgtm_outcome_t  outcome;

    memset(&outcome, 0, sizeof(sgtm_outcome_t));

    outcome.id = id;
    outcome.kind = kind;
    outcome.due = due;
    outcome.attempt = 1;
    outcome.error = unit_str(error);

    return sgtm_store_settle(store, instance, &outcome);
}


static inline int
store_is_sound(void)
{
    return store_sql("SELECT integrity_check = 'ok'"
                     " FROM pragma_integrity_check") == 1;
}


/* how many files of the directory hold the text; the names go into a comment */

static inline int
store_grep(const char *text)
{
    int             n, fd;
    DIR            *dir;
    char           *data;
    struct stat     sb;
    struct dirent  *entry;

    n = 0;
    dir = opendir(store_dir);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {

        fd = open(store_path(entry->d_name), O_RDONLY);

        if (fd == -1 || fstat(fd, &sb) == -1 || !S_ISREG(sb.st_mode)) {
            close(fd);
            continue;
        }

        data = malloc((size_t) sb.st_size + 1);

        if (data == NULL || read(fd, data, (size_t) sb.st_size) != sb.st_size)
        {
            printf("Bail out! cannot read %s\n", entry->d_name);
            exit(1);
        }

        if (memmem(data, (size_t) sb.st_size, text, strlen(text)) != NULL) {
            printf("# \"%s\" is in %s\n", text, entry->d_name);
            n++;
        }

        free(data);
        close(fd);
    }

    if (dir != NULL) {
        closedir(dir);
    }

    return n;
}


#endif /* _SGTM_UNIT_STORE_H_INCLUDED_ */
