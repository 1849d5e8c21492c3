
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The bytes of a segment of the journal, moved into a database: whatever they
 * are, that ends, what is said to be moved is there, all of the segment is
 * dealt with, and nothing of it is moved twice.
 *
 * The first byte is no part of it.  If it is odd the sums of what looks like
 * groups are made right, or else hardly anything would get behind them.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "delivery/sgtm_segment.h"


#define FUZZ_KEY   0x0123456789abcdefull
#define FUZZ_NAME  SGTM_JOURNAL_PREFIX "0000000000000001-0123456789abcdef"


static char           fuzz_dir[256];
static sgtm_store_t  *fuzz_store;


static void
fuzz_remove(void)
{
    DIR            *dir;
    char            path[1024];
    struct dirent  *entry;

    sgtm_store_destroy(fuzz_store);
    fuzz_store = NULL;

    dir = opendir(fuzz_dir);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", fuzz_dir, entry->d_name);
        (void) unlink(path);
    }

    if (dir != NULL) {
        closedir(dir);
        (void) rmdir(fuzz_dir);
    }
}


static void
fuzz_begin(void)
{
    const char         *tmp;
    sgtm_store_conf_t   conf;

    tmp = getenv("TMPDIR");

    snprintf(fuzz_dir, sizeof(fuzz_dir), "%s/sgtm-fuzz-XXXXXX",
             tmp ? tmp : "/tmp");

    fuzz_check(mkdtemp(fuzz_dir) != NULL);
    (void) atexit(fuzz_remove);

    memset(&conf, 0, sizeof(sgtm_store_conf_t));
    conf.sync = SGTM_STORE_SYNC_OFF;

    fuzz_store = sgtm_store_create(fuzz_dir, &conf);
    fuzz_check(fuzz_store != NULL);
}


/* as the format has it: two running sums of words, from the key on */

static void
fuzz_sum(const unsigned char *p, size_t len, uint64_t *sum)
{
    size_t    i;
    uint32_t  word;

    sum[0] = FUZZ_KEY;
    sum[1] = 0;

    for (i = 0; i + 4 <= len; i += 4) {
        memcpy(&word, p + i, 4);
        sum[0] += word;
        sum[1] += sum[0];
    }
}


static void
fuzz_seal(unsigned char *data, size_t len)
{
    size_t        i;
    uint32_t      magic;
    uint64_t      sum[2];
    sgtm_group_t  group;

    for (i = 0; i + sizeof(sgtm_group_t) <= len; /* void */ ) {

        memcpy(&magic, data + i, sizeof(magic));
        memcpy(&group, data + i, sizeof(sgtm_group_t));

        if (magic != SGTM_GROUP_MAGIC || group.size % 8
            || group.size > len - i
            || group.size < sizeof(sgtm_group_t) + SGTM_GROUP_END)
        {
            i += 8;
            continue;
        }

        memcpy(data + i + group.size - SGTM_GROUP_END, &group.size,
               SGTM_GROUP_END);

        fuzz_sum(data + i + sizeof(sgtm_group_t),
                 group.size - sizeof(sgtm_group_t) - SGTM_GROUP_END,
                 group.sum);
        memcpy(data + i, &group, sizeof(sgtm_group_t));

        fuzz_sum(data + i, offsetof(sgtm_group_t, head), sum);
        group.head = sum[0] + 2 * sum[1];
        memcpy(data + i, &group, sizeof(sgtm_group_t));

        i += group.size;
    }
}


/* the first column of the first row, past the store */

static int64_t
fuzz_sql(const char *sql)
{
    int64_t        value;
    char           path[512];
    sqlite3_stmt  *stmt;

    static sqlite3  *db;

    if (db == NULL) {
        snprintf(path, sizeof(path), "%s/" SGTM_STORE_FILE, fuzz_dir);
        fuzz_check(sqlite3_open(path, &db) == SQLITE_OK);
        fuzz_check(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL,
                                NULL) == SQLITE_OK);
    }

    fuzz_check(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK);

    value = (sqlite3_step(stmt) == SQLITE_ROW) ? sqlite3_column_int64(stmt, 0)
                                               : -1;

    fuzz_check(sqlite3_finalize(stmt) == SQLITE_OK);

    return value;
}


/* the hits that are moved */

static int64_t
fuzz_fetch(size_t size)
{
    size_t        calls;
    int64_t       hits;
    sgtm_fetch_t  fetch;

    calls = 0;
    hits = 0;

    do {
        fetch.size = 1000;
        fuzz_check(sgtm_store_fetch(fuzz_store, &fetch) == SGTM_STORE_OK);
        hits += fetch.hits;

        /* a group of the near future waits for it */

        if (fetch.more && fetch.hits == 0) {
            usleep(10000);
        }

        fuzz_check(calls++ < size / SGTM_GROUP_LEAST + 200);

    } while (fetch.more);

    return hits;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                   fd;
    char                  path[512];
    int64_t               hits;
    sgtm_str_t            bytes;
    sgtm_store_counts_t   counts;

    if (size < 1) {
        return 0;
    }

    if (fuzz_store == NULL) {
        fuzz_begin();
    }

    bytes = fuzz_copy(data + 1, size - 1);

    if (data[0] & 1) {
        fuzz_seal(bytes.data, bytes.len);
    }

    snprintf(path, sizeof(path), "%s/" FUZZ_NAME, fuzz_dir);

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC, 0600);
    fuzz_check(fd != -1);
    fuzz_check(write(fd, bytes.data, bytes.len) == (ssize_t) bytes.len);
    close(fd);

    /* whatever it counts */

    fuzz_check(sgtm_store_count(fuzz_store, &counts) == SGTM_STORE_OK);

    hits = fuzz_fetch(bytes.len);

    fuzz_check(fuzz_sql("SELECT count(*) FROM hit") == hits);
    fuzz_check(bytes.len == 0
               || fuzz_sql("SELECT moved FROM journal") == (int64_t) bytes.len);
    fuzz_check(fuzz_fetch(bytes.len) == 0);

    fuzz_check(sgtm_store_count(fuzz_store, &counts) == SGTM_STORE_OK);
    fuzz_check(counts.hits == hits);

    (void) fuzz_sql("DELETE FROM hit");
    (void) fuzz_sql("DELETE FROM journal");
    (void) fuzz_sql("DELETE FROM target");

    fuzz_check(unlink(path) == 0);
    free(bytes.data);

    return 0;
}
