
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What was delivered, or purged, has left no bytes behind: not in the database,
 * not in its log of changes and not in the journal.
 */


#include "unit_store_fill.h"


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

    store_begin("what is gone");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    sgtm_store_lease(store, STORE_ME, 1, 600000, &fresh);
    srand(7);

    for (i = 0, n = 0, failed = 0; n < unit_nelts(ids); n++) {

        len = 60 + (size_t) rand() % (rand() % 8 ? 1500 : 5000);

        for (j = 0; j < len; j += 20) {
            snprintf(body + j, sizeof(body) - j, "MARK%04u%012u", n, j);
        }

        snprintf(target, sizeof(target), "t%d", rand() % 12);
        ids[n] = store_put(store, target, 0, body);

        for (j = rand() % 4; j && n > 0; j--) {
            i = (unsigned) rand() % n;
            rc = store_settle(store, STORE_ME, ids[i], rand() % 4
                              ? SGTM_OUTCOME_DELIVERED : SGTM_OUTCOME_RETRY,
                              5000, "an error that makes the row longer");
            failed += (rc != SGTM_STORE_OK);
        }
    }

    unit_ok(failed == 0, "hits come and go");
    store_reap(store);
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
    int            fresh;
    int64_t        id, n;
    sgtm_store_t  *store, *other;

    store_begin("what is gone, in a file that is open");

    store = store_open(SGTM_STORE_SYNC_INTERVAL, 0);
    other = store_open(SGTM_STORE_SYNC_INTERVAL, 0);
    sgtm_store_lease(store, STORE_ME, 1, 600000, &fresh);

    id = store_put(other, STORE_TARGET, 1, "the visitor's words");
    unit_ok(store_grep("the visitor's words") > 0, "a hit is on the disk");
    store_is(other, sgtm_store_sync(other), SGTM_STORE_OK, "and synced");

    /* the writer has it open still, and writes no more */

    store_rest(1100000);

    store_is(store, store_settle(store, STORE_ME, id, SGTM_OUTCOME_DELIVERED,
                                 0, ""),
             SGTM_STORE_OK, "it is delivered");
    unit_ok(store_size("spool.db-wal") == 0, "the log is empty");
    store_is(other, sgtm_store_sync(other), SGTM_STORE_OK,
             "an empty log is synced as well");
    unit_ok(store_segments() == 0, "the journal has nothing");
    unit_ok(store_grep("the visitor's words") == 0, "and it is gone");

    id = store_put(other, STORE_TARGET, 1, "other words");
    store_settle(store, STORE_ME, id, SGTM_OUTCOME_DEAD, 0, "400");
    store_reap(other);
    unit_ok(store_grep("other words") > 0, "a dead letter is there");
    sgtm_store_purge(other, SGTM_STORE_DEAD, 0, 0, &n);
    unit_ok(n == 1 && store_grep("other words") == 0, "until it is purged");

    sgtm_store_destroy(store);
    sgtm_store_destroy(other);
}


int
main(void)
{
    test_gone();
    test_gone_log();

    store_remove();

    return unit_done();
}
