
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A spool that is full, by its max_size or because the disk is.  Nothing of a
 * put that found no room is kept, and nobody's earlier hits suffer; what waits
 * can be delivered all the same, which makes room again.
 */


#include "unit_store_fill.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>


static void
test_full(void)
{
    int              rc, i, fresh;
    unsigned         n, more;
    int64_t          size, n64;
    sgtm_store_t    *store;
    sgtm_journal_t  *journal, *other;

    store_begin("max_size");

    store = store_open(SGTM_STORE_SYNC_OFF, 1024 * 1024);
    journal = store_journal(SGTM_STORE_SYNC_OFF, 1024 * 1024);
    other = store_journal(SGTM_STORE_SYNC_OFF, 1024 * 1024);

    sgtm_store_lease(store, STORE_ME, 1, 600000, &fresh);

    n = store_fill(journal, 2000, &rc);
    unit_ok(rc == SGTM_STORE_FULL, "it is full (%d)", rc);
    unit_ok(n > 500 && n < 800, "with %u hits of 1 kB", n);
    unit_ok(strstr(sgtm_journal_error(journal), "max_size") != NULL,
            "says why");
    store_fill(other, 16, &rc);
    unit_ok(rc == SGTM_STORE_FULL, "full for others, who see its size");

    store_is(store, store_fetch(store), SGTM_STORE_OK, "all is moved");
    unit_ok(store_hits() == n,
            "nothing of the group that had no room is in it");

    store_reap(store);
    store_rest(100000);

    store_is(store, store_first(store, 64, SGTM_OUTCOME_RETRY), SGTM_STORE_OK,
             "retries need no room");
    store_is(store, store_first(store, 64, SGTM_OUTCOME_DEAD), SGTM_STORE_OK,
             "nor do dead letters");

    for (i = 0; i < 4; i++) {

        while (store_sql("SELECT count(*) FROM hit WHERE due = 0") > 100) {
            if (store_first(store, 64, SGTM_OUTCOME_DELIVERED)
                != SGTM_STORE_OK)
            {
                break;
            }
        }

        sgtm_store_sync(store);
        store_rest(110000);

        more = store_fill(i % 2 ? journal : other, 2000, &rc);
        unit_ok(rc == SGTM_STORE_FULL && more > n / 2,
                "delivered hits make room (%u)", more);

        store_is(store, store_fetch(store), SGTM_STORE_OK, "they are moved");
        store_reap(store);
    }

    sgtm_store_replay(store, 0, 0, &n64);
    unit_ok(n64 == 64, "replays work when it is full");

    sgtm_store_destroy(store);

    size = store_size(SGTM_STORE_FILE);
    unit_ok(size > 800000 && size < 1024 * 1024 + 16 * 8192,
            "the file has its size (%lld)", (long long) size);
    unit_ok(store_is_sound(), "it is sound");

    sgtm_journal_destroy(journal);
    sgtm_journal_destroy(other);
}


/* a limit on the size of files stands for a disk that is full */

static void
test_file_full(void)
{
    int              rc, fresh;
    char             name[256];
    unsigned         n;
    int64_t          size;
    struct rlimit    old, limit;
    sgtm_store_t    *store;
    sgtm_journal_t  *journal;

    store_begin("no space for the database");

    store = store_open(SGTM_STORE_SYNC_ALWAYS, 0);
    journal = store_journal(SGTM_STORE_SYNC_ALWAYS, 0);
    sgtm_store_lease(store, STORE_ME, 1, 600000, &fresh);

    n = store_fill(journal, 3200, &rc);
    unit_ok(n == 3200, "hits are kept");

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);

    limit = old;
    limit.rlim_cur = 2560 * 1024;
    setrlimit(RLIMIT_FSIZE, &limit);

    store_is(store, store_fetch(store), SGTM_STORE_FULL, "there is no space");
    unit_ok(store_hits() > 500 && store_hits() < n, "for some of them");
    store_is(store, store_first(store, 64, SGTM_OUTCOME_DELIVERED),
             SGTM_STORE_OK, "what was delivered can be deleted");

    setrlimit(RLIMIT_FSIZE, &old);

    store_is(store, store_fetch(store), SGTM_STORE_OK,
             "once there is space the others are moved");
    unit_ok(store_hits() == n - 64, "each of them once");

    store_begin("no space for the journal");

    sgtm_store_destroy(store);
    sgtm_journal_destroy(journal);

    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    n = store_fill(journal, 160, &rc);
    unit_ok(store_files(SGTM_JOURNAL_PREFIX, name) == 1, "a segment");
    size = store_size(name);

    limit.rlim_cur = (rlim_t) size + 5000;
    setrlimit(RLIMIT_FSIZE, &limit);

    unit_ok(store_fill(journal, 16, &rc) == 0 && rc == SGTM_STORE_FULL,
            "a group that does not fit whole is not kept");
    printf("# %s\n", sgtm_journal_error(journal));
    unit_ok(store_size(name) == size, "the segment is what it was");

    limit.rlim_cur = 1000;
    setrlimit(RLIMIT_FSIZE, &limit);

    unit_ok(store_fill(journal, 16, &rc) == 0 && rc == SGTM_STORE_FULL
            && store_fill(journal, 16, &rc) == 0 && rc == SGTM_STORE_FULL,
            "nor is anything of it");
    unit_ok(store_segments() == 1 && store_size(name) == size,
            "and nothing is left of it");

    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);

    n += store_fill(journal, 160, &rc);
    unit_ok(n == 320, "once there is space all is well");
    store_is(store, store_fetch(store), SGTM_STORE_OK, "they are moved");
    unit_ok(store_hits() == n && store_is_sound(), "what was kept is there");

    sgtm_store_destroy(store);
    sgtm_journal_destroy(journal);
}


/* a disk of its own, where that can be had */

static int
small_disk(const char *size, int64_t least)
{
    int              rc, fresh, i;
    char             body[1025];
    int64_t          kept, gone;
    sgtm_store_t    *store;
    sgtm_record_t   *list;
    sgtm_journal_t  *journal;

    if (unshare(CLONE_NEWNS) == -1
        || mount("none", "/", NULL, MS_REC|MS_PRIVATE, NULL) == -1
        || mount("none", store_dir, "tmpfs", 0, size) == -1)
    {
        printf("# no disk of its own: %s\n", strerror(errno));
        fflush(stdout);
        return 99;
    }

    memset(body, 'b', 1024);
    body[1024] = '\0';
    list = NULL;

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);
    sgtm_store_lease(store, STORE_ME, 1, 600000, &fresh);

    /* a large group first, when there is room, and many small ones */

    for (i = 0; i < 160; i++) {
        list = store_record(list, STORE_TARGET, 0, body);
    }

    if (sgtm_journal_put(journal, list) != SGTM_STORE_OK) {
        return 7;
    }

    kept = 160 + store_fill(journal, 100000, &rc);

    printf("# %lld hits, %s\n", (long long) kept, sgtm_journal_error(journal));

    if (rc != SGTM_STORE_FULL || kept < least) {
        return 1;
    }

    /* they go their way, whatever is left of the disk */

    for (gone = 0, i = 0; gone < kept && i < 1000; i++) {

        sgtm_fetch_t  fetch;

        fetch.size = 1024 * 1024;
        rc = sgtm_store_fetch(store, &fetch);

        if (rc != SGTM_STORE_OK && rc != SGTM_STORE_FULL) {
            printf("# fetch: %s\n", sgtm_store_error(store));
            return 2;
        }

        for ( /* void */ ; store_hits() > 0; gone += 64) {
            if (store_first(store, 64, SGTM_OUTCOME_DELIVERED)
                != SGTM_STORE_OK)
            {
                printf("# settle: %s\n", sgtm_store_error(store));
                return 3;
            }
        }

        if (sgtm_store_sync(store) != SGTM_STORE_OK) {
            printf("# sync: %s\n", sgtm_store_error(store));
            return 4;
        }
    }

    printf("# %lld of %lld after %d\n", (long long) gone, (long long) kept, i);

    store_rest(300000);

    if (gone < kept || sgtm_store_sync(store) != SGTM_STORE_OK) {
        return 5;
    }

    least /= 10;
    kept = store_fill(journal, (unsigned) least, &rc);

    return kept >= least && rc == SGTM_STORE_OK ? 0 : 6;
}


static void
test_disk_full(const char *size, int64_t least)
{
    int    status;
    pid_t  pid;

    store_begin("a disk that is full");

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        status = small_disk(size, least);
        fflush(stdout);
        _exit(status);
    }

    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status)
        && WEXITSTATUS(status) == 99)
    {
        unit_ok(1, "a full disk # SKIP not allowed to mount one");
        return;
    }

    unit_ok(status == 0, "is emptied, and takes hits again (%x)",
            (unsigned) status);
}


int
main(void)
{
    test_full();
    test_file_full();
    test_disk_full("size=2m", 500);
    test_disk_full("size=8m", 3000);
    test_disk_full("size=64m", 30000);

    store_remove();

    return unit_done();
}
