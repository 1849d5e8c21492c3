
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The store as several processes share it: writers beside each other and
 * beside a courier lose nothing, double nothing and keep the order; a courier
 * or a writer that is killed at any moment leaves a sound file, and what a put
 * returned for is in it.
 */


#include "unit_store.h"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <sys/wait.h>


#define WRITERS  3
#define GROUPS   150
#define GROUP    8
#define HITS     (WRITERS * GROUPS * GROUP)


static int64_t
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/*
 * A child: puts groups of hits "<writer> <n>" of one target and writes each
 * highest id and n to a pipe once they are kept; ends with the number of groups
 * or when killed.
 */

static pid_t
writer(unsigned me, unsigned groups, int sync, int *from)
{
    int             fds[2];
    char            body[64];
    pid_t           pid;
    int64_t         done[2];
    unsigned        i, j;
    sgtm_store_t   *store;
    sgtm_record_t   records[GROUP];

    if (pipe(fds) == -1 || (fflush(stdout), pid = fork()) == -1) {
        printf("Bail out! fork(): %s\n", strerror(errno));
        exit(1);
    }

    if (pid != 0) {
        close(fds[1]);
        *from = fds[0];
        return pid;
    }

    store = store_open(sync, 0);

    for (i = 0; i < groups; i++) {

        for (j = 0; j < GROUP; j++) {
            snprintf(body, sizeof(body), "%u %u.", me, i * GROUP + j);
            records[j] = *store_record(NULL, STORE_TARGET, 0, body);
            records[j].next = j + 1 < GROUP ? &records[j + 1] : NULL;
        }

        if (sgtm_store_put(store, records) != SGTM_STORE_OK) {
            printf("# put: %s\n", sgtm_store_error(store));
            fflush(stdout);
            _exit(1);
        }

        done[0] = records[GROUP - 1].id;
        done[1] = i * GROUP + GROUP - 1;

        if (write(fds[1], done, sizeof(done)) != sizeof(done)) {
            _exit(2);
        }

        if (records[0].id + GROUP - 1 != done[0]) {
            _exit(3);
        }
    }

    _exit(0);
}


/* takes everything and settles it, until all was seen or time is up */

static void
drain(sgtm_store_t *store, unsigned *seen, unsigned *doubled,
    unsigned *disordered)
{
    int              fresh, rc;
    int64_t          end, last[WRITERS];
    unsigned         me, n, total;
    sgtm_take_t      take;
    sgtm_record_t   *record;
    sgtm_outcome_t   outcomes[64];

    memset(&take, 0, sizeof(sgtm_take_t));
    memset(last, 0xff, sizeof(last));

    take.instance = 5;
    take.target = 1;
    take.now = 1;
    take.limit = 64;
    take.size = 100000;

    rc = sgtm_store_lease(store, 5, 1, 60000, &fresh);

    for (total = 0, end = now() + 30000;
         rc == SGTM_STORE_OK && total < HITS && now() < end;
         store_free(take.list))
    {
        rc = sgtm_store_take(store, &take);

        for (n = 0, record = take.list; record; record = record->next, n++) {

            memset(&outcomes[n], 0, sizeof(sgtm_outcome_t));
            outcomes[n].id = record->id;

            if (n) {
                outcomes[n - 1].next = &outcomes[n];
            }

            me = record->body.data[0] - '0';
            total++;

            if (me >= WRITERS || record->body.len > 20) {
                continue;
            }

            fresh = atoi((char *) record->body.data + 2);

            *disordered += fresh <= last[me];
            last[me] = fresh;
            *doubled += seen[me * GROUPS * GROUP + (unsigned) fresh]++;
        }

        if (n && rc == SGTM_STORE_OK) {
            rc = sgtm_store_settle(store, 5, outcomes);
        }
    }

    store_is(store, rc, SGTM_STORE_OK, "the courier works meanwhile");
}


static void
test_writers(void)
{
    int            from[WRITERS], status, bad;
    pid_t          pids[WRITERS];
    int64_t        done[2], last, largest;
    unsigned       i, doubled, disordered, missing;
    sgtm_store_t  *store;

    static unsigned  seen[HITS];

    store_begin("writers and a courier");

    for (i = 0; i < WRITERS; i++) {
        pids[i] = writer(i, GROUPS, SGTM_STORE_SYNC_OFF, &from[i]);
    }

    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    doubled = disordered = missing = 0;
    drain(store, seen, &doubled, &disordered);

    for (i = 0; i < HITS; i++) {
        missing += (seen[i] == 0);
    }

    unit_ok(missing == 0, "none of %d is lost (%u)", HITS, missing);
    unit_ok(doubled == 0, "none is doubled (%u)", doubled);
    unit_ok(disordered == 0, "each writer's are in order (%u)", disordered);

    for (i = 0, bad = 0, largest = 0; i < WRITERS; i++) {

        for (last = 0; read(from[i], done, sizeof(done)) == sizeof(done);
             last = done[0])
        {
            bad += (done[0] < last + GROUP);
        }

        if (last > largest) {
            largest = last;
        }

        close(from[i]);
        unit_ok(waitpid(pids[i], &status, 0) == pids[i] && status == 0,
                "writer %u ends well", i);
    }

    unit_ok(bad == 0, "ids ascend");
    unit_ok(store_put(store, STORE_TARGET, 0, "x") > largest,
            "beyond what is gone");
    unit_ok(store_is_sound(), "the file is sound");

    sgtm_store_destroy(store);
}


/* a courier that ends with hits in its hands */

static void
test_courier_crash(void)
{
    int             fresh, status;
    pid_t           pid;
    int64_t         id;
    const char     *got;
    sgtm_take_t     take;
    sgtm_store_t   *store, *other;

    store_begin("a courier that crashes");

    memset(&take, 0, sizeof(sgtm_take_t));
    take.target = 1;
    take.now = 2000;
    take.limit = 9;
    take.size = 100000;

    fflush(stdout);
    pid = fork();

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

    unit_ok(waitpid(pid, &status, 0) == pid && status == 0,
            "a courier takes two hits and is gone");

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
    int              from, lost, sound, status;
    char             sql[128];
    pid_t            pid;
    int64_t          done[2], rows;
    unsigned         i, n;
    sgtm_store_t    *store;
    struct pollfd    fd;
    struct timespec  ts;

    store_begin("writers that are killed");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_put(store, STORE_TARGET, 0, "x");

    srand(20);

    for (i = 0, lost = 0, sound = 0, n = 0; i < 20; i++) {

        pid = writer(i % 10, 1000000, i % 2 ? SGTM_STORE_SYNC_ALWAYS
                                            : SGTM_STORE_SYNC_INTERVAL, &from);

        fd.fd = from;
        fd.events = POLLIN;
        poll(&fd, 1, 5000);

        ts.tv_sec = 0;
        ts.tv_nsec = rand() % 20000000;
        nanosleep(&ts, NULL);

        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);

        done[1] = -1;

        while (read(from, done, sizeof(done)) == sizeof(done)) {
            n++;
        }

        close(from);

        snprintf(sql, sizeof(sql), "SELECT count(*) FROM hit"
                 " WHERE body LIKE '%u %%'", i % 10);
        rows = store_sql(sql);

        /* a whole group may be there that nobody was told of */

        lost += (rows < done[1] + 1 || rows % GROUP != 0);
        sound += store_is_sound();

        store_sql("DELETE FROM hit");
    }

    unit_ok(n > 20, "groups were put (%u)", n);
    unit_ok(lost == 0, "what was kept is there, a group whole or not at all");
    unit_ok(sound == 20, "the file is sound each time");
    unit_ok(store_put(store, STORE_TARGET, 0, "x") > 0,
            "another process goes on");

    sgtm_store_destroy(store);
}


int
main(void)
{
    test_writers();
    test_courier_crash();
    test_kill();

    store_remove();

    return unit_done();
}
