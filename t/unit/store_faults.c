
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The store when things go wrong: a full file or disk, a file or directory
 * that cannot be written, a damaged file.  Nothing of a put that failed is
 * kept; what can work still does, and all of it again once the cause is gone.
 * And what was deleted has left no bytes behind.
 */


#include "unit_store.h"

#include <signal.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/wait.h>


#define ME       42
#define NOBODY   65534


static int64_t
size_of(const char *name)
{
    struct stat  sb;

    return stat(store_path(name), &sb) == 0 ? (int64_t) sb.st_size : -1;
}


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


/* groups of hits of 1 kB until one fails; the number of hits that are kept */

static unsigned
fill(sgtm_store_t *store, unsigned max, int *rc)
{
    char            body[1025];
    unsigned        n, i;
    sgtm_record_t  *record, list[16];

    memset(body, 'b', 1024);
    body[1024] = '\0';

    record = store_record(NULL, STORE_TARGET, 0, body);

    for (n = 0; n < max; n += 16) {

        for (i = 0; i < 16; i++) {
            list[i] = *record;
            list[i].next = i < 15 ? &list[i + 1] : NULL;
        }

        *rc = sgtm_store_put(store, list);

        if (*rc != SGTM_STORE_OK) {
            unit_ok(list[0].id == 0 && list[15].id == 0,
                    "hits that were not kept have no id");
            break;
        }
    }

    return n;
}


/* settles the first hits of a file */

static int
settle(sgtm_store_t *store, unsigned n, unsigned kind)
{
    int              rc;
    unsigned         i;
    sgtm_take_t      take;
    sgtm_record_t   *record;
    sgtm_outcome_t   outcomes[64];

    memset(&take, 0, sizeof(sgtm_take_t));
    memset(outcomes, 0, sizeof(outcomes));

    take.instance = ME;
    take.target = 1;
    take.now = 1000;
    take.limit = n < 64 ? n : 64;
    take.size = 1000000;

    rc = sgtm_store_take(store, &take);

    for (i = 0, record = take.list; record; record = record->next, i++) {
        outcomes[i].id = record->id;
        outcomes[i].kind = kind;
        outcomes[i].due = 5000;
        outcomes[i].error = unit_str("a text that needs some room: 502");
        outcomes[i].next = record->next ? &outcomes[i + 1] : NULL;
    }

    store_free(take.list);

    if (rc == SGTM_STORE_OK && i > 0) {
        rc = sgtm_store_settle(store, ME, outcomes);
    }

    return rc;
}


static void
test_full(void)
{
    int            rc, i, fresh;
    unsigned       n, more;
    int64_t        size, n64;
    sgtm_store_t  *store, *other;

    store_begin("max_size");

    store = store_open(SGTM_STORE_SYNC_OFF, 1024 * 1024);
    other = store_open(SGTM_STORE_SYNC_OFF, 1024 * 1024);

    sgtm_store_lease(store, ME, 1, 600000, &fresh);

    n = fill(store, 2000, &rc);
    store_is(store, rc, SGTM_STORE_FULL, "it is full");
    unit_ok(n > 700 && n < 1000, "with %u hits of 1 kB", n);
    unit_ok(store_sql("SELECT count(*) FROM hit") == n,
            "nothing of the group that had no room is in it");
    unit_ok(strstr(sgtm_store_error(store), "max_size") != NULL, "says why");

    store_is(store, settle(store, 64, SGTM_OUTCOME_RETRY), SGTM_STORE_OK,
             "retries need no room");
    store_is(store, settle(store, 64, SGTM_OUTCOME_DEAD), SGTM_STORE_OK,
             "nor do dead letters");

    store_is(other, sgtm_store_put(other, store_record(NULL, STORE_TARGET, 1,
                                                       "x")),
             SGTM_STORE_OK, "one small hit has room in a page");
    fill(other, 2000, &rc);
    store_is(other, rc, SGTM_STORE_FULL, "full for others");

    for (i = 0; i < 4; i++) {

        while (store_sql("SELECT count(*) FROM hit WHERE due = 0") > 200) {
            if (settle(store, 64, SGTM_OUTCOME_DELIVERED) != SGTM_STORE_OK) {
                break;
            }
        }

        more = fill(other, 2000, &rc);
        unit_ok(rc == SGTM_STORE_FULL && more > n / 2,
                "room again for others (%u)", more);
    }

    sgtm_store_replay(store, 0, 0, &n64);
    unit_ok(n64 == 64, "replays work when it is full");

    sgtm_store_destroy(store);
    sgtm_store_destroy(other);

    size = size_of(SGTM_STORE_FILE);
    unit_ok(size > 1000000 && size < 1024 * 1024 + 16 * 8192,
            "the file has its size (%lld)", (long long) size);
    unit_ok(store_is_sound(), "it is sound");
}


/* a limit on the size of files stands for a disk that is full */

static void
test_disk_full(void)
{
    int             rc, fresh;
    unsigned        n;
    struct rlimit   old, limit;
    sgtm_store_t   *store;

    store_begin("no space");

    store = store_open(SGTM_STORE_SYNC_ALWAYS, 0);
    sgtm_store_lease(store, ME, 1, 600000, &fresh);

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);

    limit = old;
    limit.rlim_cur = 2 * 1024 * 1024;
    setrlimit(RLIMIT_FSIZE, &limit);

    n = fill(store, 20000, &rc);
    store_is(store, rc, SGTM_STORE_FULL, "there is no space");
    store_is(store, settle(store, 64, SGTM_OUTCOME_DELIVERED), SGTM_STORE_OK,
             "what was delivered can be deleted");

    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);

    unit_ok(store_sql("SELECT count(*) FROM hit") == n - 64,
            "what was kept is there");
    store_is(store, sgtm_store_put(store, store_record(NULL, STORE_TARGET, 1,
                                                       "x")),
             SGTM_STORE_OK, "once there is space all is well");
    unit_ok(store_is_sound(), "it is sound");

    sgtm_store_destroy(store);
}


/*
 * A damaged file, seen by one store that has it open and one that opens it.
 * make: what happens to it; late: only reading it tells.
 */

static void
damage(const char *name, off_t from, size_t len, off_t size, int late)
{
    int             fresh, rc, tries;
    sgtm_store_t   *store, *other;
    sgtm_record_t  *record;

    store_begin(name);

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    fill(store, 1600, &rc);
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
    rc = sgtm_store_lease(store, ME, 1, 600000, &fresh);

    for (tries = 0; late && rc == SGTM_STORE_OK && tries < 100; tries++) {
        rc = settle(store, 64, SGTM_OUTCOME_DELIVERED);
    }

    store_is(store, rc, SGTM_STORE_DAMAGED, "it is seen to be damaged");
    unit_ok(strstr(sgtm_store_error(store), "set aside as \"spool.db.damaged-")
            != NULL, "the error says what has become of it");
    printf("# %s\n", sgtm_store_error(store));

    unit_ok(set_aside() == 1, "it is set aside");

    unit_ok(store_put(store, STORE_TARGET, 1, "new") > 0, "a new one begins");
    unit_ok(store_put(other, STORE_TARGET, 1, "other") > 0,
            "also for those who had the old one open");
    unit_ok(store_sql("SELECT count(*) FROM hit") == 2 && store_is_sound(),
            "and both are in it");
    unit_ok(set_aside() == 1, "once");

    sgtm_store_destroy(store);
    sgtm_store_destroy(other);

    unit_ok(store_sql("SELECT count(*) FROM hit") == 2,
            "also when all have closed it");
}


static void
test_foreign(void)
{
    int64_t        id;
    sgtm_store_t  *store;

    store_begin("a newer version");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    id = store_put(store, STORE_TARGET, 1, "a");
    sgtm_store_destroy(store);

    store_sql("PRAGMA user_version = 2");
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, sgtm_store_put(store, store_record(NULL, STORE_TARGET, 1,
                                                       "b")),
             SGTM_STORE_FAILED, "it is not written to");
    unit_ok(strstr(sgtm_store_error(store), "version is 2") != NULL,
            "the error says why");
    unit_ok(set_aside() == 0 && store_sql("SELECT id FROM hit") == id,
            "and left alone");

    store_sql("PRAGMA user_version = 1");
    unit_ok(store_put(store, STORE_TARGET, 1, "b") > id,
            "until it is known again");

    /* removed by hand */

    unlink(store_path("spool.db"));
    unlink(store_path("spool.db-wal"));
    unlink(store_path("spool.db-shm"));
    unit_ok(store_put(store, STORE_TARGET, 1, "c") > 0
            && store_sql("SELECT count(*) FROM hit") == 1,
            "one that was removed is made anew");
    sgtm_store_destroy(store);

    store_begin("another database");
    close(open(store_path("spool.db"), O_CREAT|O_WRONLY, 0600));
    store_sql("CREATE TABLE a (b)");
    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_is(store, sgtm_store_put(store, store_record(NULL, STORE_TARGET, 1,
                                                       "b")),
             SGTM_STORE_FAILED, "it is not written to");
    unit_ok(set_aside() == 0 && store_sql("SELECT count(*) FROM"
                                          " sqlite_master") == 1,
            "and left alone");
    sgtm_store_destroy(store);
}


/* root may write anything: the rest is for a child that is not root */

static void
test_readonly(void)
{
    int             rc, status;
    pid_t           pid;
    sgtm_store_t   *store;
    sgtm_record_t  *record;

    store_begin("a directory that is missing");
    rmdir(store_dir);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    record = store_record(NULL, STORE_TARGET, 1, "a");
    store_is(store, sgtm_store_put(store, record), SGTM_STORE_FAILED,
             "nothing can be kept");
    unit_ok(strstr(sgtm_store_error(store), "No such file") != NULL,
            "the error says why");
    mkdir(store_dir, 0700);
    store_is(store, sgtm_store_put(store, record), SGTM_STORE_OK,
             "until it is there");
    sgtm_store_destroy(store);

    store_begin("a directory that cannot be written to");

    if (geteuid() == 0 && chown(store_dir, NOBODY, NOBODY) == -1) {
        unit_ok(0, "chown: %s", strerror(errno));
    }

    fflush(stdout);
    pid = fork();

    if (pid == 0) {

        if (geteuid() == 0 && (setgid(NOBODY) == -1 || setuid(NOBODY) == -1)) {
            _exit(1);
        }

        store = store_open(SGTM_STORE_SYNC_OFF, 0);

        chmod(store_dir, 0500);
        rc = sgtm_store_put(store, record);
        chmod(store_dir, 0700);

        if (rc != SGTM_STORE_READONLY
            || sgtm_store_put(store, record) != SGTM_STORE_OK)
        {
            printf("# %d %s\n", rc, sgtm_store_error(store));
            fflush(stdout);
            _exit(2);
        }

        sgtm_store_destroy(store);
        store = store_open(SGTM_STORE_SYNC_OFF, 0);

        chmod(store_path("spool.db"), 0400);
        rc = sgtm_store_put(store, record);
        chmod(store_path("spool.db"), 0600);

        if (rc != SGTM_STORE_READONLY
            || sgtm_store_put(store, record) != SGTM_STORE_OK)
        {
            printf("# %d %s\n", rc, sgtm_store_error(store));
            fflush(stdout);
            _exit(3);
        }

        sgtm_store_destroy(store);
        _exit(0);
    }

    unit_ok(waitpid(pid, &status, 0) == pid && status == 0,
            "directory and file: read-only, and well afterwards (%x)",
            (unsigned) status);
    unit_ok(store_sql("SELECT count(*) FROM hit") == 2, "two hits are there");
}


/* files made by root are the directory owner's; others cannot read them */

static void
test_owner(void)
{
    struct stat    sb;
    sgtm_store_t  *store;
    const char    *name[] = { "spool.db", "spool.db-wal", "spool.lock" };
    size_t         i;

    store_begin("owner");

    if (geteuid() == 0 && chown(store_dir, NOBODY, NOBODY) == -1) {
        unit_ok(0, "chown: %s", strerror(errno));
    }

    umask(0);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_put(store, STORE_TARGET, 1, "a");
    umask(022);

    for (i = 0; i < unit_nelts(name); i++) {
        unit_ok(stat(store_path(name[i]), &sb) == 0
                && (sb.st_mode & 0777) == 0600
                && sb.st_uid == (geteuid() == 0 ? NOBODY : geteuid()),
                "%s is the owner's alone", name[i]);
    }

    sgtm_store_destroy(store);
}


/*
 * Hits of several targets and sizes, which share pages: SQLite moves rows when
 * others come and go, and leaves copies.
 */

static void
test_gone(void)
{
    int              fresh, rc;
    char             body[6000], mark[64];
    int64_t          ids[1200];
    size_t           len;
    unsigned         i, j, n, left, found, failed;
    char             target[16];
    sgtm_store_t    *store;
    sgtm_record_t   *record;

    store_begin("what is gone");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    sgtm_store_lease(store, ME, 1, 600000, &fresh);
    srand(7);

    for (i = 0, n = 0, failed = 0; n < unit_nelts(ids); n++) {

        len = 60 + (size_t) rand() % (rand() % 8 ? 1500 : 5000);

        for (j = 0; j < len; j += 20) {
            snprintf(body + j, sizeof(body) - j, "MARK%04u%012u", n, j);
        }

        snprintf(target, sizeof(target), "t%d", rand() % 12);
        record = store_record(NULL, target, 0, body);

        sgtm_store_put(store, record);
        ids[n] = record->id;

        for (j = rand() % 4; j && n > 0; j--) {
            i = (unsigned) rand() % n;
            rc = store_settle(store, ME, ids[i], rand() % 4
                              ? SGTM_OUTCOME_DELIVERED : SGTM_OUTCOME_RETRY,
                              5000, "an error that makes the row longer");
            failed += (rc != SGTM_STORE_OK);
        }
    }

    unit_ok(failed == 0, "hits come and go");
    sgtm_store_destroy(store);

    for (i = 0, left = 0, found = 0; i < n; i++) {
        snprintf(mark, sizeof(mark), "SELECT count(*) FROM hit WHERE id = %lld",
                 (long long) ids[i]);

        if (store_sql(mark) == 1) {
            left++;
            continue;
        }

        snprintf(mark, sizeof(mark), "MARK%04u0", i);
        found += (store_grep(mark) != 0);
    }

    unit_ok(left > 200 && left < n - 200, "%u of %u hits are left", left, n);
    unit_ok(found == 0, "of the others no byte is (%u)", found);
    unit_ok(store_is_sound(), "the file is sound");
}


/* the log of changes as well, while the file is open and others have it open */

static void
test_gone_log(void)
{
    int              fresh;
    int64_t          id, n;
    sgtm_store_t    *store, *other;
    struct timespec  ts = { 1, 100000000 };

    store_begin("what is gone, in a file that is open");

    store = store_open(SGTM_STORE_SYNC_INTERVAL, 0);
    other = store_open(SGTM_STORE_SYNC_INTERVAL, 0);
    sgtm_store_lease(store, ME, 1, 600000, &fresh);

    id = store_put(other, STORE_TARGET, 1, "the visitor's words");
    unit_ok(store_grep("the visitor's words") > 0, "a hit is on the disk");
    store_is(other, sgtm_store_sync(other), SGTM_STORE_OK, "and synced");

    nanosleep(&ts, NULL);

    store_is(store, store_settle(store, ME, id, SGTM_OUTCOME_DELIVERED, 0, ""),
             SGTM_STORE_OK, "it is delivered");
    unit_ok(store_grep("the visitor's words") == 0, "and gone");
    unit_ok(size_of("spool.db-wal") == 0, "the log is empty");

    store_is(other, sgtm_store_sync(other), SGTM_STORE_OK,
             "an empty log is synced as well");

    id = store_put(other, STORE_TARGET, 1, "other words");
    store_settle(store, ME, id, SGTM_OUTCOME_DEAD, 0, "400");
    unit_ok(store_grep("other words") > 0, "a dead letter is there");
    sgtm_store_purge(other, SGTM_STORE_DEAD, 0, 0, &n);
    unit_ok(n == 1 && store_grep("other words") == 0, "until it is purged");

    sgtm_store_destroy(store);
    sgtm_store_destroy(other);
}


int
main(void)
{
    test_full();
    test_disk_full();

    damage("garbage in the header", 0, 100, -1, 0);
    damage("garbage in the schema", 100, 8000, -1, 0);
    damage("garbage in the middle", 30 * 8192, 100 * 8192, -1, 1);
    damage("cut off in the header", 0, 0, 50, 0);
    damage("cut off in a page", 0, 0, 20 * 8192 + 100, 0);
    damage("cut off to a page", 0, 0, 8192, 0);

    test_foreign();
    test_readonly();
    test_owner();
    test_gone();
    test_gone_log();

    store_remove();

    return unit_done();
}
