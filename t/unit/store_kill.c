
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Whoever works with the spool is killed at any moment: of writers what a put
 * returned for is there, a group whole or not at all; of those who move hits
 * into the database and those who remove segments none is lost and none is
 * doubled; of a courier the next one takes what it had taken.
 */


#include "unit_store_child.h"

#include <poll.h>


/* a child that moves what there is, a little at a time */

static pid_t
fetcher(void)
{
    pid_t          pid;
    sgtm_fetch_t   fetch;
    sgtm_store_t  *store;

    pid = store_fork();

    if (pid != 0) {
        return pid;
    }

    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    for ( ;; ) {
        fetch.size = 3000;

        if (sgtm_store_fetch(store, &fetch) != SGTM_STORE_OK
            || fetch.warning[0])
        {
            printf("# fetch: %s %s\n", sgtm_store_error(store), fetch.warning);
            fflush(stdout);
            _exit(1);
        }

        if (!fetch.more) {
            store_rest(500);
        }
    }
}


/* a courier that ends with hits in its hands */

static void
test_courier_crash(void)
{
    int            fresh;
    pid_t          pid;
    int64_t        id;
    const char    *got;
    sgtm_take_t    take;
    sgtm_store_t  *store, *other;

    store_begin("a courier that crashes");

    memset(&take, 0, sizeof(sgtm_take_t));
    take.target = 1;
    take.now = 2000;
    take.limit = 9;
    take.size = 100000;

    pid = store_fork();

    if (pid == 0) {
        store = store_open(SGTM_STORE_SYNC_OFF, 0);
        id = store_put(store, STORE_TARGET, 1, "a");
        store_put(store, STORE_TARGET, 2, "b");

        take.instance = 1;

        if (sgtm_store_lease(store, 1, 1000, 5000, &fresh) != SGTM_STORE_OK
            || store_settle(store, 1, id, SGTM_OUTCOME_RETRY, 1500, "502")
               != SGTM_STORE_OK
            || sgtm_store_take(store, &take) != SGTM_STORE_OK
            || strcmp(store_bodies(take.list), " a b") != 0)
        {
            _exit(1);
        }

        _exit(0);
    }

    unit_ok(store_ends_well(pid), "a courier takes two hits and is gone");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    take.instance = 2;

    store_is(store, sgtm_store_lease(store, 2, 1001, 5001, &fresh),
             SGTM_STORE_OK, "another one need not wait for its lease to end");
    unit_ok(fresh, "and is a new one");

    other = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(other, sgtm_store_lease(other, 3, 5000, 9000, &fresh),
             SGTM_STORE_LOST, "that of a courier that lives lasts");
    store_is(other, sgtm_store_lease(other, 3, 5001, 9000, &fresh),
             SGTM_STORE_OK, "until its time has come");
    store_is(store, sgtm_store_lease(store, 2, 9000, 9500, &fresh),
             SGTM_STORE_OK, "after which the first may be it again");

    sgtm_store_destroy(other);
    store_is(store, sgtm_store_take(store, &take), SGTM_STORE_OK,
             "which takes");

    got = store_bodies(take.list);
    unit_is((const unsigned char *) got, strlen(got), " a b", "the same hits");
    store_free(take.list);

    sgtm_store_destroy(store);
}


/* writers that are killed at any moment */

static void
test_kill(void)
{
    int             from, lost, torn, killed;
    char            sql[128];
    pid_t           pid;
    int64_t         rows;
    unsigned        i, n, done;
    sgtm_store_t   *store;
    struct pollfd   fd;

    store_begin("writers that are killed");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    srand(20);

    for (i = 0, lost = 0, torn = 0, killed = 0, n = 0; i < 40; i++) {

        pid = store_writer(i % 10, 1000000, 0, i % 4 ? SGTM_STORE_SYNC_INTERVAL
                                               : SGTM_STORE_SYNC_ALWAYS,
                     &from);

        fd.fd = from;
        fd.events = POLLIN;
        poll(&fd, 1, 5000);

        store_rest(rand() % 10000);
        killed += store_kill(pid);

        for (rows = 0; read(from, &done, sizeof(done)) == sizeof(done); n++) {
            rows = done + 1;
        }

        close(from);

        if (store_fetch(store) != SGTM_STORE_OK) {
            unit_ok(0, "fetch: %s", sgtm_store_error(store));
        }

        snprintf(sql, sizeof(sql), "SELECT count(*) - %lld FROM hit"
                 " WHERE body LIKE '%u %%'", (long long) rows, i % 10);
        rows = store_sql(sql);

        /* a whole group may be there that nobody was told of */

        lost += (rows < 0);
        torn += (rows % STORE_GROUP != 0);

        store_sql("DELETE FROM hit");
    }

    unit_ok(killed == 40 && n > 40, "groups were put (%u)", n);
    unit_ok(lost == 0, "what was kept is there (%d)", lost);
    unit_ok(torn == 0, "a group whole or not at all (%d)", torn);
    unit_ok(store_is_sound(), "the file is sound");
    unit_ok(store_put(store, STORE_TARGET, 0, "x") > 0,
            "another process goes on");

    sgtm_store_destroy(store);
}


/* those who move and those who remove are killed, while others write */

static void
test_kill_fetcher(void)
{
    int            from[STORE_WRITERS], killed;
    pid_t          pids[STORE_WRITERS], fetch, keeper;
    unsigned       i, n;
    sgtm_store_t  *store;

    store_begin("those who move and remove are killed");

    for (i = 0; i < STORE_WRITERS; i++) {
        pids[i] = store_writer(i, STORE_GROUPS, 2000, SGTM_STORE_SYNC_OFF,
                               &from[i]);
    }

    for (n = 0, killed = 0; n < 40; n++) {
        fetch = fetcher();
        keeper = store_reaper(n % 2 ? SGTM_STORE_SYNC_OFF
                              : SGTM_STORE_SYNC_INTERVAL);

        store_rest(1000 + rand() % 30000);

        killed += store_kill(fetch);
        killed += store_kill(keeper);
    }

    unit_ok(killed == 80, "forty of each (%d)", killed);

    for (i = 0; i < STORE_WRITERS; i++) {
        close(from[i]);
        unit_ok(store_ends_well(pids[i]), "writer %u ends well", i);
    }

    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, store_fetch(store), SGTM_STORE_OK, "the rest is moved");
    unit_ok(store_sql("SELECT count(*) FROM hit") == STORE_HITS,
            "all are there");
    unit_ok(store_sql("SELECT count(DISTINCT body) FROM hit") == STORE_HITS,
            "each once");
    unit_ok(store_sql("SELECT count(*) FROM (SELECT CAST(substr(body, 3) AS"
                      " INTEGER) - lag(CAST(substr(body, 3) AS INTEGER)) OVER"
                      " (PARTITION BY substr(body, 1, 1) ORDER BY id) AS d"
                      " FROM hit) WHERE d <> 1") == 0,
            "in the order of its writer");
    unit_ok(store_is_sound(), "the file is sound");

    sgtm_store_destroy(store);
}


int
main(void)
{
    /* a writer whose reader has gone ends by itself */
    signal(SIGPIPE, SIG_IGN);

    test_courier_crash();
    test_kill();
    test_kill_fetcher();

    store_remove();

    return unit_done();
}
