
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The spool when things go wrong: a damaged database, one of another version or
 * of something else, a file or directory that cannot be written.  What was kept
 * stays in the journal while the database is not to be had, and is moved once
 * it is; of a damaged one is lost what the journal has no more.
 */


#include "unit_store_fill.h"

#include <sys/wait.h>


#define NOBODY   65534


static int
set_aside(void)
{
    int             n;
    DIR            *dir;
    struct dirent  *entry;

    n = 0;
    dir = opendir(store_dir);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        n += (strstr(entry->d_name, "spool.db.damaged-") == entry->d_name
              && strstr(entry->d_name, "Z-") == NULL);
    }

    if (dir != NULL) {
        closedir(dir);
    }

    return n;
}


/* writes over bytes of a file */

static void
garble(const char *name, off_t from, size_t len)
{
    int     fd;
    size_t  i;
    char    bytes[4096];

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char) (i * 31 + 17);
    }

    fd = open(store_path(name), O_WRONLY);

    for ( /* void */ ; fd != -1 && len > 0; len -= i, from += (off_t) i) {
        i = len < sizeof(bytes) ? len : sizeof(bytes);

        if (pwrite(fd, bytes, i, from) != (ssize_t) i) {
            break;
        }
    }

    unit_ok(fd != -1 && len == 0, "garbage is written");
    close(fd);
}


/*
 * A damaged file, seen by one store that has it open and one that opens it.
 * late: only reading it tells.  The hits in it are lost, unless they are in the
 * journal still.
 */

static void
damage(const char *name, off_t from, size_t len, off_t size, int late)
{
    int              fresh, rc, tries;
    sgtm_store_t    *store, *other;
    sgtm_record_t   *record;
    sgtm_journal_t  *journal;

    store_begin(name);

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);

    store_fill(journal, 1600, &rc);
    store_is(store, store_fetch(store), SGTM_STORE_OK, "hits are moved");
    store_reap(store);

    store_fill(journal, 16, &rc);
    store_is(store, store_fetch(store), SGTM_STORE_OK, "and some more");
    sgtm_store_destroy(store);

    other = store_open(SGTM_STORE_SYNC_OFF, 0);
    sgtm_store_next(other, SGTM_STORE_WAITING, 0, &record, NULL);
    store_free(record);

    if (len) {
        garble(SGTM_STORE_FILE, from, len);
    }

    if (size >= 0) {
        unit_ok(truncate(store_path(SGTM_STORE_FILE), size) == 0,
                "it is cut off");
    }

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    rc = sgtm_store_lease(store, STORE_ME, 1, 600000, &fresh);

    for (tries = 0; late && rc == SGTM_STORE_OK && tries < 100; tries++) {
        rc = store_first(store, 64, SGTM_OUTCOME_DELIVERED);
    }

    store_is(store, rc, SGTM_STORE_DAMAGED, "it is seen to be damaged");
    unit_ok(strstr(sgtm_store_error(store), "set aside as \"spool.db.damaged-")
            != NULL, "the error says what has become of it");
    printf("# %s\n", sgtm_store_error(store));

    unit_ok(set_aside() == 1, "it is set aside");

    unit_ok(store_put(store, STORE_TARGET, 1, "new") > 0, "a new one begins");
    unit_ok(store_put(other, STORE_TARGET, 1, "other") > 0,
            "also for those who had the old one open");
    unit_ok(store_hits() == 2 + 16 && store_is_sound(),
            "both are in it, and what the journal has still");
    unit_ok(set_aside() == 1, "once");

    sgtm_store_destroy(store);
    sgtm_store_destroy(other);
    sgtm_journal_destroy(journal);

    unit_ok(store_hits() == 2 + 16, "also when all have closed it");
}


static void
test_version(void)
{
    int64_t        id;
    sgtm_store_t  *store;

    store_begin("a newer version");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    id = store_put(store, STORE_TARGET, 1, "a");
    sgtm_store_destroy(store);

    store_sql("PRAGMA user_version = 3");
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, store_put_list(store, store_record(NULL, STORE_TARGET, 1,
                                                       "b")),
             SGTM_STORE_FAILED, "it is not written to");
    unit_ok(strstr(sgtm_store_error(store), "version is 3") != NULL,
            "the error says why");
    unit_ok(set_aside() == 0 && store_sql("SELECT max(id) FROM hit") == id,
            "and left alone");

    store_sql("PRAGMA user_version = 2");
    unit_ok(store_put(store, STORE_TARGET, 1, "c") == id + 2
            || store_sql("SELECT body = 'b' FROM hit ORDER BY id LIMIT 1"
                         " OFFSET 1") == 1,
            "until it is known again: what was kept meanwhile is moved");
    unit_ok(store_hits() == 3, "once");
    sgtm_store_destroy(store);

    store_begin("version 1, which had no journal");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_put(store, STORE_TARGET, 1, "a");
    store_reap(store);
    sgtm_store_destroy(store);

    store_sql("DROP TABLE journal");
    store_sql("PRAGMA user_version = 1");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    unit_ok(store_put(store, STORE_TARGET, 1, "b") > 0, "it is written to");
    unit_ok(store_sql("PRAGMA user_version") == 2 && store_hits() == 2
            && store_sql("SELECT count(*) FROM journal") == 1,
            "as one of this version, with what was in it");
    sgtm_store_destroy(store);
}


static void
test_foreign(void)
{
    sgtm_store_t  *store;

    /* removed by hand */

    store_begin("a database that is removed");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_put(store, STORE_TARGET, 1, "a");
    store_reap(store);

    unlink(store_path("spool.db"));
    unlink(store_path("spool.db-wal"));
    unlink(store_path("spool.db-shm"));
    unit_ok(store_put(store, STORE_TARGET, 1, "c") > 0 && store_hits() == 1,
            "is made anew");
    sgtm_store_destroy(store);

    store_begin("another database");
    close(open(store_path("spool.db"), O_CREAT|O_WRONLY, 0600));
    store_sql("CREATE TABLE a (b)");
    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_is(store, store_put_list(store, store_record(NULL, STORE_TARGET, 1,
                                                       "b")),
             SGTM_STORE_FAILED, "it is not written to");
    unit_ok(set_aside() == 0 && store_sql("SELECT count(*) FROM"
                                          " sqlite_master") == 1,
            "and left alone");
    sgtm_store_destroy(store);
}


/* what a child that is not root finds; 0, or which step failed */

static int
readonly(void)
{
    int              rc;
    sgtm_store_t    *store;
    sgtm_record_t   *record;
    sgtm_journal_t  *journal;

    record = store_record(NULL, STORE_TARGET, 1, "a");
    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);

    chmod(store_dir, 0500);
    rc = sgtm_journal_put(journal, record);
    chmod(store_dir, 0700);

    printf("# %d %s\n", rc, sgtm_journal_error(journal));

    if (rc != SGTM_STORE_READONLY
        || sgtm_journal_put(journal, record) != SGTM_STORE_OK)
    {
        return 1;
    }

    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    chmod(store_dir, 0500);
    rc = store_fetch(store);
    chmod(store_dir, 0700);

    printf("# %d %s\n", rc, sgtm_store_error(store));

    if (rc != SGTM_STORE_READONLY || store_fetch(store) != SGTM_STORE_OK) {
        return 2;
    }

    sgtm_store_destroy(store);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    chmod(store_path("spool.db"), 0400);

    if (sgtm_journal_put(journal, record) != SGTM_STORE_OK) {
        return 3;
    }

    rc = store_fetch(store);
    chmod(store_path("spool.db"), 0600);

    printf("# %d %s\n", rc, sgtm_store_error(store));

    if (rc != SGTM_STORE_READONLY || store_fetch(store) != SGTM_STORE_OK) {
        return 4;
    }

    sgtm_store_destroy(store);
    sgtm_journal_destroy(journal);

    return store_hits() == 2 ? 0 : 5;
}


/* root may write anything: the rest is for a child that is not root */

static void
test_readonly(void)
{
    int              status;
    pid_t            pid;
    sgtm_record_t   *record;
    sgtm_journal_t  *journal;

    store_begin("a directory that is missing");
    rmdir(store_dir);
    journal = store_journal(SGTM_STORE_SYNC_OFF, 1024 * 1024);
    record = store_record(NULL, STORE_TARGET, 1, "a");
    unit_ok(sgtm_journal_put(journal, record) == SGTM_STORE_FAILED,
            "nothing can be kept");
    unit_ok(strstr(sgtm_journal_error(journal), "No such file") != NULL,
            "the error says why");
    mkdir(store_dir, 0700);
    unit_ok(sgtm_journal_put(journal, record) == SGTM_STORE_OK,
            "until it is there");
    sgtm_journal_destroy(journal);

    store_begin("a directory that cannot be written to");

    if (geteuid() == 0 && chown(store_dir, NOBODY, NOBODY) == -1) {
        unit_ok(0, "chown: %s", strerror(errno));
    }

    fflush(stdout);
    pid = fork();

    if (pid == 0) {

        if (geteuid() == 0 && (setgid(NOBODY) == -1 || setuid(NOBODY) == -1)) {
            _exit(9);
        }

        status = readonly();
        fflush(stdout);
        _exit(status);
    }

    unit_ok(waitpid(pid, &status, 0) == pid && status == 0,
            "directory and file: read-only, and well afterwards (%x)",
            (unsigned) status);
}


/* files made by root are the directory owner's; others cannot read them */

static void
test_owner(void)
{
    char           segment[256];
    struct stat    sb;
    sgtm_store_t  *store;
    const char    *name[] = { "spool.db", "spool.db-wal", "spool.lock",
                              segment };
    size_t         i;

    store_begin("owner");

    if (geteuid() == 0 && chown(store_dir, NOBODY, NOBODY) == -1) {
        unit_ok(0, "chown: %s", strerror(errno));
    }

    umask(0);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_put(store, STORE_TARGET, 1, "a");
    umask(022);

    unit_ok(store_files(SGTM_JOURNAL_PREFIX, segment) == 1, "a segment");

    for (i = 0; i < unit_nelts(name); i++) {
        unit_ok(stat(store_path(name[i]), &sb) == 0
                && (sb.st_mode & 0777) == 0600
                && sb.st_uid == (geteuid() == 0 ? NOBODY : geteuid()),
                "%s is the owner's alone", name[i]);
    }

    sgtm_store_destroy(store);
}


int
main(void)
{
    damage("garbage in the header", 0, 100, -1, 0);
    damage("garbage in the schema", 100, 8000, -1, 0);
    damage("garbage in the middle", 30 * 8192, 100 * 8192, -1, 1);
    damage("cut off in the header", 0, 0, 50, 0);
    damage("cut off in a page", 0, 0, 20 * 8192 + 100, 0);
    damage("cut off to a page", 0, 0, 8192, 0);

    test_version();
    test_foreign();
    test_readonly();
    test_owner();

    store_remove();

    return unit_done();
}
