
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The spool as several processes share it: writers beside each other, beside a
 * courier and beside one that removes what was moved lose nothing, double
 * nothing and keep the order, also that of a client whose hits come to several
 * writers by turns.  Writers, those who move and those who remove are killed
 * at any moment: what a put returned for is there, a group whole or not at
 * all, each hit once.
 */


#include "unit_store.h"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <sys/wait.h>


#define WRITERS  3
#define GROUPS   400
#define GROUP    8
#define HITS     (WRITERS * GROUPS * GROUP)

#define TURNS    3000
#define BETWEEN  300


static int64_t
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
rest(long us)
{
    struct timespec  ts;

    ts.tv_sec = us / 1000000;
    ts.tv_nsec = us % 1000000 * 1000;

    nanosleep(&ts, NULL);
}


/* 0 for the child */

static pid_t
child(void)
{
    pid_t  pid;

    fflush(stdout);
    pid = fork();

    if (pid == -1) {
        printf("Bail out! fork(): %s\n", strerror(errno));
        exit(1);
    }

    return pid;
}


/*
 * A child: puts groups of hits "<writer> <n>", with a pause (us) between them,
 * and writes each highest n to a pipe once they are kept; ends with the number
 * of groups or when killed.
 */

static pid_t
writer(unsigned me, unsigned groups, long pause, int sync, int *from)
{
    int              fds[2];
    char             bodies[GROUP][32];
    pid_t            pid;
    unsigned         i, j, done;
    sgtm_record_t    records[GROUP];
    sgtm_journal_t  *journal;

    if (pipe(fds) == -1) {
        printf("Bail out! pipe(): %s\n", strerror(errno));
        exit(1);
    }

    pid = child();

    if (pid != 0) {
        close(fds[1]);
        *from = fds[0];
        return pid;
    }

    journal = store_journal(sync, 0);

    for (j = 0; j < GROUP; j++) {
        records[j] = *store_record(NULL, STORE_TARGET, 0, "");
        records[j].next = j + 1 < GROUP ? &records[j + 1] : NULL;
        records[j].body.data = (unsigned char *) bodies[j];
    }

    for (i = 0; i < groups; i++) {

        for (j = 0; j < GROUP; j++) {
            records[j].body.len = (size_t) snprintf(bodies[j],
                                                    sizeof(bodies[j]),
                                                    "%u %u.", me,
                                                    i * GROUP + j);
        }

        if (sgtm_journal_put(journal, records) != SGTM_STORE_OK) {
            printf("# put: %s\n", sgtm_journal_error(journal));
            fflush(stdout);
            _exit(1);
        }

        done = i * GROUP + GROUP - 1;

        if (write(fds[1], &done, sizeof(done)) != sizeof(done)) {
            _exit(2);
        }

        if (pause) {
            rest(pause);
        }
    }

    _exit(0);
}


/* a child that does what the keeper does, as often as it can */

static pid_t
reaper(int sync)
{
    pid_t          pid;
    sgtm_store_t  *store;

    pid = child();

    if (pid != 0) {
        return pid;
    }

    store = store_open(sync, 0);

    for ( ;; ) {
        if (sgtm_store_sync(store) != SGTM_STORE_OK) {
            printf("# sync: %s\n", sgtm_store_error(store));
            fflush(stdout);
            _exit(1);
        }

        rest(2000);
    }
}


/* a child that moves what there is, a little at a time */

static pid_t
fetcher(void)
{
    pid_t          pid;
    sgtm_fetch_t   fetch;
    sgtm_store_t  *store;

    pid = child();

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
            rest(500);
        }
    }
}


/* 1 if it was there to be killed */

static int
put_down(pid_t pid)
{
    int  status;

    kill(pid, SIGKILL);

    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status)
           && WTERMSIG(status) == SIGKILL;
}


static int
ends_well(pid_t pid)
{
    int  status;

    return waitpid(pid, &status, 0) == pid && status == 0;
}


typedef struct {
    unsigned  seen[WRITERS][GROUPS * GROUP];
    int       last[WRITERS];
    unsigned  total;
    unsigned  doubled;
    unsigned  disordered;
    unsigned  strange;
} seen_t;


static void
see(seen_t *seen, const sgtm_record_t *record)
{
    int       n;
    unsigned  me;

    seen->total++;

    if (record->body.len < 4 || record->body.len > 20) {
        seen->strange++;
        return;
    }

    me = record->body.data[0] - '0';
    n = atoi((char *) record->body.data + 2);

    if (me >= WRITERS || n < 0 || n >= GROUPS * GROUP) {
        seen->strange++;
        return;
    }

    seen->disordered += (n <= seen->last[me]);
    seen->last[me] = n;
    seen->doubled += (seen->seen[me][n]++ != 0);
}


/* moves, takes and settles until so many were seen or time is up */

static int
drain(sgtm_store_t *store, seen_t *seen, unsigned hits)
{
    int              fresh, rc;
    int64_t          end;
    unsigned         n;
    sgtm_take_t      take;
    sgtm_fetch_t     fetch;
    sgtm_record_t   *record;
    sgtm_outcome_t   outcomes[64];

    memset(seen, 0, sizeof(seen_t));
    memset(seen->last, 0xff, sizeof(seen->last));
    memset(&take, 0, sizeof(sgtm_take_t));

    take.instance = 5;
    take.target = 1;
    take.now = 1;
    take.limit = 64;
    take.size = 100000;

    rc = sgtm_store_lease(store, 5, 1, 60000, &fresh);

    for (end = now() + 60000;
         rc == SGTM_STORE_OK && seen->total < hits && now() < end;
         store_free(take.list))
    {
        fetch.size = 100000;
        rc = sgtm_store_fetch(store, &fetch);

        take.list = NULL;

        if (rc == SGTM_STORE_OK) {
            rc = sgtm_store_take(store, &take);
        }

        for (n = 0, record = take.list; record; record = record->next, n++) {

            memset(&outcomes[n], 0, sizeof(sgtm_outcome_t));
            outcomes[n].id = record->id;

            if (n) {
                outcomes[n - 1].next = &outcomes[n];
            }

            see(seen, record);
        }

        if (n && rc == SGTM_STORE_OK) {
            rc = sgtm_store_settle(store, 5, outcomes);
        }
    }

    return rc;
}


static void
test_writers(void)
{
    int                  from[WRITERS];
    pid_t                pids[WRITERS], keeper;
    unsigned             i, j, missing;
    sgtm_store_t        *store;
    sgtm_store_counts_t  counts;

    static seen_t  seen;

    store_begin("writers, a courier and a reaper");

    for (i = 0; i < WRITERS; i++) {
        pids[i] = writer(i, GROUPS, 1000, SGTM_STORE_SYNC_OFF, &from[i]);
    }

    keeper = reaper(SGTM_STORE_SYNC_OFF);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, drain(store, &seen, HITS), SGTM_STORE_OK,
             "the courier works meanwhile");

    for (i = 0, missing = 0; i < WRITERS; i++) {
        for (j = 0; j < GROUPS * GROUP; j++) {
            missing += (seen.seen[i][j] == 0);
        }
    }

    unit_ok(missing == 0, "none of %d is lost (%u)", HITS, missing);
    unit_ok(seen.doubled == 0, "none is doubled (%u)", seen.doubled);
    unit_ok(seen.disordered == 0, "each writer's are in order (%u)",
            seen.disordered);
    unit_ok(seen.strange == 0, "each is what was put (%u)", seen.strange);

    for (i = 0; i < WRITERS; i++) {
        close(from[i]);
        unit_ok(ends_well(pids[i]), "writer %u ends well", i);
    }

    for (i = 0; i < 200 && store_segments(NULL); i++) {
        rest(50000);
    }

    unit_ok(store_segments(NULL) == 0, "nothing is left of the journal");

    for (i = 0; i < 100 && store_sql("SELECT count(*) FROM journal"); i++) {
        rest(50000);
    }

    unit_ok(store_sql("SELECT count(*) FROM journal") == 0,
            "nor of what was known of it");
    unit_ok(put_down(keeper), "the reaper worked all the time");

    store_is(store, sgtm_store_count(store, &counts), SGTM_STORE_OK,
             "what waits");
    unit_ok(counts.hits == 0 && counts.events == 0, "is none");
    unit_ok(store_is_sound(), "the file is sound");

    sgtm_store_destroy(store);
}


/*
 * A client whose hits come to two writers by turns, each after the one before
 * was kept, while a third writes large groups.  Whoever moves what is kept must
 * not move a later one and leave an earlier one behind: between the segments of
 * the two are others, so that it sees the second one later.
 */

static pid_t
turns(int in, int out)
{
    char             body[32];
    pid_t            pid;
    unsigned         n;
    sgtm_record_t    record;
    sgtm_journal_t  *journal;

    pid = child();

    if (pid != 0) {
        return pid;
    }

    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);
    record = *store_record(NULL, STORE_TARGET, 1, "");

    while (read(in, &n, sizeof(n)) == sizeof(n) && n < TURNS) {

        record.body.data = (unsigned char *) body;
        record.body.len = (size_t) snprintf(body, sizeof(body), "0 %u.", n);

        if (sgtm_journal_put(journal, &record) != SGTM_STORE_OK) {
            _exit(1);
        }

        n++;

        if (write(out, &n, sizeof(n)) != sizeof(n)) {
            _exit(2);
        }

        rest(100);
    }

    /* the other one ends as well */

    (void) !write(out, &n, sizeof(n));

    _exit(0);
}


static pid_t
noise(void)
{
    char             body[1000];
    pid_t            pid;
    unsigned         i;
    sgtm_record_t    records[20];
    sgtm_journal_t  *journal;

    pid = child();

    if (pid != 0) {
        return pid;
    }

    memset(body, 'n', sizeof(body));
    body[sizeof(body) - 1] = '\0';

    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);

    for (i = 0; i < 20; i++) {
        records[i] = *store_record(NULL, "other@tag", 0, body);
        records[i].next = i < 19 ? &records[i + 1] : NULL;
    }

    for (i = 0; i < 100; i++) {
        if (sgtm_journal_put(journal, records) != SGTM_STORE_OK) {
            _exit(1);
        }

        rest(5000);
    }

    _exit(0);
}


static void
test_client(void)
{
    int             a[2], b[2], fresh, i;
    pid_t           pids[2], loud;
    unsigned        n;
    sgtm_store_t   *store;
    sgtm_record_t  *record;

    static seen_t  seen;

    store_begin("a client's hits, to two writers by turns");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    /* the target's number is to be 1 */

    store_settle(store, 5, store_put(store, STORE_TARGET, 0, "first"),
                 SGTM_OUTCOME_DELIVERED, 0, "");
    sgtm_store_lease(store, 5, 1, 60000, &fresh);
    store_sql("DELETE FROM hit");

    if (pipe(a) == -1 || pipe(b) == -1) {
        printf("Bail out! pipe(): %s\n", strerror(errno));
        exit(1);
    }

    n = 0;
    pids[0] = turns(a[0], b[1]);

    unit_ok(write(a[1], &n, sizeof(n)) == sizeof(n)
            && read(b[0], &n, sizeof(n)) == sizeof(n) && n == 1,
            "the first one's turn");

    record = store_record(NULL, "other@tag", 0, "between");

    for (i = 0; i < BETWEEN; i++) {
        store_keep(record, SGTM_STORE_SYNC_OFF, 0);
    }

    unit_ok(store_segments(NULL) > BETWEEN, "others");

    loud = noise();
    pids[1] = turns(b[0], a[1]);

    unit_ok(write(b[1], &n, sizeof(n)) == sizeof(n), "the second one's turn");

    store_is(store, drain(store, &seen, TURNS), SGTM_STORE_OK,
             "they are moved meanwhile");
    unit_ok(seen.total == TURNS && seen.strange == 0, "all are there (%u)",
            seen.total);
    unit_ok(seen.disordered == 0, "in order (%u)", seen.disordered);

    unit_ok(ends_well(pids[0]) && ends_well(pids[1]) && ends_well(loud),
            "the writers end well");

    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);

    sgtm_store_destroy(store);
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

    pid = child();

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

    unit_ok(ends_well(pid), "a courier takes two hits and is gone");

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

        pid = writer(i % 10, 1000000, 0, i % 4 ? SGTM_STORE_SYNC_INTERVAL
                                               : SGTM_STORE_SYNC_ALWAYS,
                     &from);

        fd.fd = from;
        fd.events = POLLIN;
        poll(&fd, 1, 5000);

        rest(rand() % 10000);
        killed += put_down(pid);

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
        torn += (rows % GROUP != 0);

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
    int            from[WRITERS], killed;
    pid_t          pids[WRITERS], fetch, keeper;
    unsigned       i, n;
    sgtm_store_t  *store;

    store_begin("those who move and remove are killed");

    for (i = 0; i < WRITERS; i++) {
        pids[i] = writer(i, GROUPS, 2000, SGTM_STORE_SYNC_OFF, &from[i]);
    }

    for (n = 0, killed = 0; n < 40; n++) {
        fetch = fetcher();
        keeper = reaper(n % 2 ? SGTM_STORE_SYNC_OFF
                              : SGTM_STORE_SYNC_INTERVAL);

        rest(1000 + rand() % 30000);

        killed += put_down(fetch);
        killed += put_down(keeper);
    }

    unit_ok(killed == 80, "forty of each (%d)", killed);

    for (i = 0; i < WRITERS; i++) {
        close(from[i]);
        unit_ok(ends_well(pids[i]), "writer %u ends well", i);
    }

    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, store_fetch(store), SGTM_STORE_OK, "the rest is moved");
    unit_ok(store_sql("SELECT count(*) FROM hit") == HITS, "all are there");
    unit_ok(store_sql("SELECT count(DISTINCT body) FROM hit") == HITS,
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

    test_writers();
    test_client();
    test_courier_crash();
    test_kill();
    test_kill_fetcher();

    store_remove();

    return unit_done();
}
