
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The life of segments: one that is removed while its writer has it open, or
 * before it was written to for the first time; a sync that fails after the
 * bytes were seen; names that are somebody else's; a thousand of them; one that
 * cannot be read; clocks; how they are counted, and that looking at the
 * database's size leaves SQLite its locks.
 */


#include "unit_store_segment.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>


#define NOBODY  65534


static sgtm_store_t  *store;

/* what is done within the next fsync() and fdatasync() */
static void         (*within_fsync)(void);
static int          (*within_fdatasync)(void);


/* instead of those of the C library */

int
fsync(int fd)
{
    void  (*within)(void) = within_fsync;

    within_fsync = NULL;

    if (within != NULL) {
        within();
    }

    return (int) syscall(SYS_fsync, fd);
}


int
fdatasync(int fd)
{
    int  (*within)(void) = within_fdatasync;

    within_fdatasync = NULL;

    if (within != NULL) {
        return within();
    }

    return (int) syscall(SYS_fdatasync, fd);
}


static int
is(const char *got, const char *want)
{
    if (strcmp(got, want) == 0) {
        return 1;
    }

    printf("#      got: %s\n# expected: %s\n", got, want);

    return 0;
}


static void
begin(const char *name)
{
    sgtm_store_destroy(store);

    store_begin(name);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, store_fetch(store), SGTM_STORE_OK, "a spool");
}


static int
put(sgtm_journal_t *journal, const char *body)
{
    int  rc;

    rc = sgtm_journal_put(journal, store_record(NULL, STORE_TARGET, 1, body));

    if (rc != SGTM_STORE_OK) {
        printf("# put: %s\n", sgtm_journal_error(journal));
    }

    return rc;
}


static void
remove_idle(void)
{
    char           name[256];
    sgtm_store_t  *other;

    store_files(SGTM_JOURNAL_PREFIX, name);
    store_idle(name);

    other = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_is(other, sgtm_store_sync(other), SGTM_STORE_OK, "a sync");
    unit_ok(store_size(name) == -1, "removes a segment");
    sgtm_store_destroy(other);
}


static void
test_removed(void)
{
    char             name[256], copy[512];
    sgtm_journal_t  *journal;

    begin("removed while it is open");

    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);

    unit_ok(put(journal, "a") == SGTM_STORE_OK && is(store_moved(store), " a"),
            "a hit is kept and moved");
    remove_idle();
    unit_ok(put(journal, "b") == SGTM_STORE_OK && store_segments() == 1
            && is(store_moved(store), " a b"), "the next one has another");

    unit_ok(put(journal, "c") == SGTM_STORE_OK, "one that is not moved");
    store_files(SGTM_JOURNAL_PREFIX, name);
    store_idle(name);
    store_is(store, sgtm_store_sync(store), SGTM_STORE_OK, "a sync");
    unit_ok(store_segments() == 1 && is(store_moved(store), " a b c"),
            "stays");

    /* others may have a link to it, as backups do */

    snprintf(copy, sizeof(copy), "%s", store_path("backup"));
    unit_ok(link(store_path(name), copy) == 0
            && unlink(store_path(name)) == 0
            && put(journal, "d") == SGTM_STORE_OK
            && is(store_moved(store), " a b c d"), "removed by hand");

    store_files(SGTM_JOURNAL_PREFIX, name);
    unit_ok(truncate(store_path(name), 16) == 0
            && put(journal, "e") == SGTM_STORE_OK && store_segments() == 2,
            "one that was cut is not gone on with");
    unit_ok(is(store_moved(store), " a b c d e"), "and nothing is lost");

    sgtm_journal_destroy(journal);

    /* its writer is slow: it has made one, and has not locked it yet */

    begin("removed before it is locked");

    journal = store_journal(SGTM_STORE_SYNC_ALWAYS, 0);
    within_fsync = remove_idle;

    unit_ok(put(journal, "a") == SGTM_STORE_OK && within_fsync == NULL
            && is(store_moved(store), " a"), "what is put then is not lost");

    sgtm_journal_destroy(journal);
}


/* what was about to be synced was seen by others before that failed */

static int
fail_moved(void)
{
    unit_ok(is(store_moved(store), " a b"), "it is moved meanwhile");
    errno = EIO;

    return -1;
}


static void
test_sync_fails(void)
{
    char             name[256];
    sgtm_journal_t  *journal;

    begin("a sync that fails");

    journal = store_journal(SGTM_STORE_SYNC_ALWAYS, 0);

    unit_ok(put(journal, "a") == SGTM_STORE_OK, "a hit");
    store_files(SGTM_JOURNAL_PREFIX, name);

    within_fdatasync = fail_moved;
    unit_ok(put(journal, "b") == SGTM_STORE_FAILED
            && strstr(sgtm_journal_error(journal), "fdatasync") != NULL,
            "one whose sync fails");

    unit_ok(put(journal, "c") == SGTM_STORE_OK
            && put(journal, "d") == SGTM_STORE_OK
            && is(store_moved(store), " a b c d"),
            "those behind it are not taken for it");

    store_idle(name);
    store_is(store, sgtm_store_sync(store), SGTM_STORE_OK, "a sync");
    unit_ok(store_size(name) == -1, "its segment does not stay");

    sgtm_journal_destroy(journal);
}


/* what has not exactly such a name is not ours */

static void
test_names(void)
{
    size_t         i;
    unsigned       left;
    char           target[512];
    store_bytes_t  bytes;

    static const char *const  names[] = {
        "journal-", "journal-x", "journal-0006", "journal",
        "journal-0000000000000001", "journal-0000000000000001-",
        "journal-000000000000000A-0000000000000001",
        "journal-0x00000000000001-0000000000000001",
        "journal-8000000000000000-0000000000000001",
        "journal-0000000000000001-0000000000000001~",
        "journal-0000000000000001-0000000000000001.gz",
        "journal- 00000000000001-0000000000000001",
        "journal-0000000000000001-000000000000000"
    };

    begin("names");

    bytes = store_groups("1");

    for (i = 0; i < unit_nelts(names); i++) {
        store_save(names[i], bytes.data, bytes.len);
        store_idle(names[i]);
    }

    mkdir(store_path("journal-0000000000000002-0000000000000002"), 0700);
    snprintf(target, sizeof(target), "%s", store_path(bytes.name));
    unit_ok(symlink(target,
                    store_path("journal-0000000000000003-0000000000000003"))
            == 0, "files of others");

    unit_ok(is(store_moved(store), " a0"),
            "are not moved, and in nobody's way");
    store_is(store, sgtm_store_sync(store), SGTM_STORE_OK, "nor synced");

    for (left = 0, i = 0; i < unit_nelts(names); i++) {
        left += (store_size(names[i]) == (int64_t) bytes.len);
    }

    unit_ok(left == unit_nelts(names)
            && rmdir(store_path("journal-0000000000000002-0000000000000002"))
               == 0,
            "nor removed");

    /* the order is that of the groups' times, whatever the names are */

    begin("two segments in each other");

    store_groups("1112");
    bytes = store_groups("12");
    unit_ok(is(store_moved(store), " a0 b0 c0 d0 d1 a0 b0 b1"),
            "one after the other");
}


static void
test_many(void)
{
    int                  i, rc, calls;
    char                 body[16];
    struct rlimit        old, limit;
    sgtm_fetch_t         fetch;
    sgtm_record_t       *record;
    sgtm_journal_t      *journal;
    sgtm_store_counts_t  counts;

    begin("a thousand segments");

    record = store_record(NULL, STORE_TARGET, 1, "");
    record->body.data = (unsigned char *) body;

    for (i = 0; i < 1000; i++) {
        record->body.len = (size_t) snprintf(body, sizeof(body), "%d", i);

        journal = store_journal(SGTM_STORE_SYNC_OFF, 0);
        (void) sgtm_journal_put(journal, record);
        sgtm_journal_destroy(journal);
    }

    unit_ok(store_segments() == 1000, "there they are");

    getrlimit(RLIMIT_NOFILE, &old);
    limit = old;
    limit.rlim_cur = 32;
    setrlimit(RLIMIT_NOFILE, &limit);

    store_is(store, sgtm_store_count(store, &counts), SGTM_STORE_OK,
             "they are counted");
    unit_ok(counts.hits == 1000 && counts.oldest == 1800000000000, "all");

    calls = 0;

    do {
        fetch.size = 100000;
        rc = sgtm_store_fetch(store, &fetch);
        calls++;
    } while (rc == SGTM_STORE_OK && fetch.more && calls < 1000);

    store_is(store, rc, SGTM_STORE_OK, "moved, with few descriptors");
    unit_ok(calls > 1 && calls < 10, "by and by (%d)", calls);

    store_rest(250000);
    store_is(store, sgtm_store_sync(store), SGTM_STORE_OK, "and removed");

    setrlimit(RLIMIT_NOFILE, &old);

    unit_ok(store_segments() == 0
            && store_sql("SELECT count(*) FROM hit") == 1000
            && store_sql("SELECT count(*) FROM (SELECT CAST(body AS INTEGER)"
                         " AS n, row_number() OVER (ORDER BY id) AS i FROM hit)"
                         " WHERE n <> i - 1") == 0,
            "in their order");

    for (i = 0; i < 20; i++) {
        (void) sgtm_store_sync(store);
    }

    unit_ok(store_sql("SELECT count(*) FROM journal") == 0,
            "nothing is remembered of them");
}


/* root may read anything: this is for a child that is not root */

static int
unreadable(void)
{
    char                 name[256];
    sgtm_fetch_t         fetch;
    sgtm_store_counts_t  counts;

    store = store_open(SGTM_STORE_SYNC_INTERVAL, 0);

    store_groups("11");
    store_files(SGTM_JOURNAL_PREFIX, name);
    chmod(store_path(name), 0);
    store_keep(store_record(NULL, STORE_TARGET, 1, "other"),
               SGTM_STORE_SYNC_OFF, 0);

    fetch.size = 1000000;

    if (sgtm_store_fetch(store, &fetch) != SGTM_STORE_OK
        || strstr(fetch.warning, name) == NULL
        || !is(store_moved(store), " other !"))
    {
        return 1;
    }

    printf("# %s\n", fetch.warning);

    if (sgtm_store_count(store, &counts) != SGTM_STORE_OK
        || counts.hits != 1)
    {
        printf("# count: %s\n", sgtm_store_error(store));
        return 5;
    }

    /* that it can't be synced is said; the others are */

    if (sgtm_store_sync(store) != SGTM_STORE_READONLY) {
        return 2;
    }

    printf("# %s\n", sgtm_store_error(store));

    store_rest(250000);
    (void) sgtm_store_sync(store);

    if (store_segments() != 1) {
        return 3;
    }

    chmod(store_path(name), 0600);

    if (!is(store_moved(store), " other a0 b0")
        || sgtm_store_sync(store) != SGTM_STORE_OK)
    {
        return 4;
    }

    sgtm_store_destroy(store);

    return 0;
}


static void
test_unreadable(void)
{
    int    status;
    pid_t  pid;

    begin("a segment that cannot be read");

    sgtm_store_destroy(store);
    store = NULL;

    store_begin("by somebody else");

    if (geteuid() == 0 && chown(store_dir, NOBODY, NOBODY) == -1) {
        unit_ok(0, "chown: %s", strerror(errno));
    }

    fflush(stdout);
    pid = fork();

    if (pid == 0) {

        if (geteuid() == 0 && (setgid(NOBODY) == -1 || setuid(NOBODY) == -1)) {
            _exit(9);
        }

        status = unreadable();
        fflush(stdout);
        _exit(status);
    }

    unit_ok(waitpid(pid, &status, 0) == pid && status == 0,
            "is waited for, and keeps nobody waiting (%x)", (unsigned) status);
}


/* a group of a time, us from now */

static store_bytes_t
group_of(int64_t from_now)
{
    int64_t        at;
    store_bytes_t  bytes;

    bytes = store_groups("1");

    memcpy(&at, bytes.data + offsetof(sgtm_group_t, time), 8);
    at += from_now;
    memcpy(bytes.data + offsetof(sgtm_group_t, time), &at, 8);
    store_seal(bytes.data, bytes.len - 8, store_key(bytes.name));
    store_again(&bytes);

    return bytes;
}


static void
test_clock(void)
{
    char             name[256];
    sgtm_fetch_t     fetch;
    sgtm_journal_t  *journal;

    begin("clocks");

    group_of(500000);
    fetch.size = 1000000;
    store_is(store, sgtm_store_fetch(store, &fetch), SGTM_STORE_OK,
             "a group of half a second later");
    unit_ok(fetch.hits == 0 && fetch.more, "waits");
    unit_ok(is(store_moved(store), " a0"), "until then");

    group_of(3600000000);
    fetch.size = 1000000;
    store_is(store, sgtm_store_fetch(store, &fetch), SGTM_STORE_OK,
             "one of an hour later");
    unit_ok(fetch.hits == 1 && !fetch.more, "is of a wrong clock");

    /* one that is written to again and again: what is in it is to go */

    begin("an old segment");

    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);
    unit_ok(put(journal, "a") == SGTM_STORE_OK && is(store_moved(store), " a"),
            "a hit is moved");
    store_is(store, sgtm_store_sync(store), SGTM_STORE_OK, "a sync");
    unit_ok(store_segments() == 1, "leaves the segment to its writer");

    store_rest(5100000);
    unit_ok(put(journal, "b") == SGTM_STORE_OK
            && is(store_moved(store), " a b"), "another one, after a while");
    store_is(store, sgtm_store_sync(store), SGTM_STORE_OK, "a sync");
    unit_ok(store_segments() == 0, "removes it, though it was just used");

    unit_ok(put(journal, "c") == SGTM_STORE_OK
            && is(store_moved(store), " a b c"), "its writer has another one");
    store_files(SGTM_JOURNAL_PREFIX, name);

    sgtm_journal_destroy(journal);
}


static void
test_count(void)
{
    int64_t              id;
    sgtm_fetch_t         fetch;
    store_bytes_t        bytes;
    sgtm_record_t       *record;
    sgtm_store_counts_t  counts;

    begin("counted");

    /* 3 moved, one of them dead, one delivered; 2 and 4 are not moved */

    store_groups("12");
    unit_ok(is(store_moved(store), " a0 b0 b1"), "some are moved");

    sgtm_store_lease(store, 1, 1, 600000, &fetch.more);
    id = store_sql("SELECT min(id) FROM hit");
    store_settle(store, 1, id, SGTM_OUTCOME_DEAD, 0, "400");
    store_settle(store, 1, id + 1, SGTM_OUTCOME_DELIVERED, 0, "");

    bytes = store_groups("114");
    record = store_record(NULL, STORE_TARGET, 1, "old");
    record->time = 1700000000000;
    store_keep(record, SGTM_STORE_SYNC_OFF, 0);

    fetch.size = 1;
    store_is(store, sgtm_store_fetch(store, &fetch), SGTM_STORE_OK,
             "one more is moved");
    unit_ok(fetch.hits == 1 && fetch.more, "one");

    store_is(store, sgtm_store_count(store, &counts), SGTM_STORE_OK, "a count");
    unit_ok(counts.hits == 1 + 6 + 1 && counts.dead == 1
            && counts.events == 2 * 7 + 1 && counts.oldest == 1700000000000,
            "of what is in both places (%lld, %lld)", (long long) counts.hits,
            (long long) counts.events);

    id = counts.size;
    store_save("journal-0000000000000001-0000000000000001", bytes.data, 500);
    store_is(store, sgtm_store_count(store, &counts), SGTM_STORE_OK, "a count");
    unit_ok(counts.size == id + 500 && counts.hits == 8, "and of their size");
}


static int
look(const char *name)
{
    sqlite3  *db;

    return sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK
           || sqlite3_exec(db, "SELECT count(*) FROM hit", NULL, NULL, NULL)
              != SQLITE_OK
           || sqlite3_close(db) != SQLITE_OK;
}


/*
 * A close() of any descriptor of a file drops the locks that a process has on
 * it, those of SQLite too; then the next one that closes the database, here by
 * SQLite's own rules, takes itself for the last and removes the log.
 */

static void
test_locks(void)
{
    int              i, status;
    pid_t            pid;
    struct stat      before, after;
    sgtm_journal_t  *journal;

    begin("looking at the size");

    journal = store_journal(SGTM_STORE_SYNC_OFF, 1024 * 1024);

    for (i = 0; i < 3; i++) {
        unit_ok(put(journal, "a") == SGTM_STORE_OK, "a hit");
        store_rest(110000);
    }

    unit_ok(is(store_moved(store), " a a a")
            && stat(store_path("spool.db-wal"), &before) == 0, "are moved");

    fflush(stdout);
    pid = fork();

    if (pid == 0) {

        /* a program of its own: SQLite would know of ours */

        execl("/proc/self/exe", "look", store_path(SGTM_STORE_FILE), NULL);
        _exit(2);
    }

    unit_ok(waitpid(pid, &status, 0) == pid && status == 0,
            "somebody else looks into the database");
    unit_ok(stat(store_path("spool.db-wal"), &after) == 0
            && after.st_ino == before.st_ino,
            "and leaves us our log of changes");

    /* by a new database nobody is held up */

    sgtm_store_destroy(store);
    unlink(store_path("spool.db"));
    unlink(store_path("spool.db-wal"));
    unlink(store_path("spool.db-shm"));
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    unit_ok(put(journal, "b") == SGTM_STORE_OK
            && is(store_moved(store), " a a a b"), "another database");
    store_rest(110000);
    unit_ok(put(journal, "c") == SGTM_STORE_OK
            && is(store_moved(store), " a a a b c"), "is looked at instead");

    sgtm_store_destroy(store);
    store = NULL;
    sgtm_journal_destroy(journal);
}


int
main(int argc, char **argv)
{
    if (argc > 1) {
        return look(argv[1]);
    }

    test_removed();
    test_sync_fails();
    test_names();
    test_many();
    test_unreadable();
    test_clock();
    test_count();
    test_locks();

    sgtm_store_destroy(store);
    store_remove();

    return unit_done();
}
