
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The spool as several processes share it: writers beside each other, beside a
 * courier and beside one that removes what was moved lose nothing, double
 * nothing and keep the order, also that of a client whose hits come to several
 * writers by turns.
 */


#include "unit_store_child.h"


#define TURNS    3000
#define BETWEEN  300


typedef struct {
    unsigned  seen[STORE_WRITERS][STORE_GROUPS * STORE_GROUP];
    int       last[STORE_WRITERS];
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

    if (me >= STORE_WRITERS || n < 0 || n >= STORE_GROUPS * STORE_GROUP) {
        seen->strange++;
        return;
    }

    seen->disordered += (n <= seen->last[me]);
    seen->last[me] = n;
    seen->doubled += (seen->seen[me][n]++ != 0);
}


static int64_t
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
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
    int                  from[STORE_WRITERS];
    pid_t                pids[STORE_WRITERS], keeper;
    unsigned             i, j, missing;
    sgtm_store_t        *store;
    sgtm_store_counts_t  counts;

    static seen_t  seen;

    store_begin("writers, a courier and a reaper");

    for (i = 0; i < STORE_WRITERS; i++) {
        pids[i] = store_writer(i, STORE_GROUPS, 1000, SGTM_STORE_SYNC_OFF,
                               &from[i]);
    }

    keeper = store_reaper(SGTM_STORE_SYNC_OFF);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, drain(store, &seen, STORE_HITS), SGTM_STORE_OK,
             "the courier works meanwhile");

    for (i = 0, missing = 0; i < STORE_WRITERS; i++) {
        for (j = 0; j < STORE_GROUPS * STORE_GROUP; j++) {
            missing += (seen.seen[i][j] == 0);
        }
    }

    unit_ok(missing == 0, "none of %d is lost (%u)", STORE_HITS, missing);
    unit_ok(seen.doubled == 0, "none is doubled (%u)", seen.doubled);
    unit_ok(seen.disordered == 0, "each writer's are in order (%u)",
            seen.disordered);
    unit_ok(seen.strange == 0, "each is what was put (%u)", seen.strange);

    for (i = 0; i < STORE_WRITERS; i++) {
        close(from[i]);
        unit_ok(store_ends_well(pids[i]), "writer %u ends well", i);
    }

    for (i = 0; i < 200 && store_segments(); i++) {
        store_rest(50000);
    }

    unit_ok(store_segments() == 0, "nothing is left of the journal");

    for (i = 0; i < 100 && store_sql("SELECT count(*) FROM journal"); i++) {
        store_rest(50000);
    }

    unit_ok(store_sql("SELECT count(*) FROM journal") == 0,
            "nor of what was known of it");
    unit_ok(store_kill(keeper), "the reaper worked all the time");

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

    pid = store_fork();

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

        store_rest(100);
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

    pid = store_fork();

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

        store_rest(5000);
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

    unit_ok(store_segments() > BETWEEN, "others");

    loud = noise();
    pids[1] = turns(b[0], a[1]);

    unit_ok(write(b[1], &n, sizeof(n)) == sizeof(n), "the second one's turn");

    store_is(store, drain(store, &seen, TURNS), SGTM_STORE_OK,
             "they are moved meanwhile");
    unit_ok(seen.total == TURNS && seen.strange == 0, "all are there (%u)",
            seen.total);
    unit_ok(seen.disordered == 0, "in order (%u)", seen.disordered);

    unit_ok(store_ends_well(pids[0]) && store_ends_well(pids[1])
            && store_ends_well(loud), "the writers end well");

    close(a[0]);
    close(a[1]);
    close(b[0]);
    close(b[1]);

    sgtm_store_destroy(store);
}


/* a child that keeps the database for so long (us), once it says so */

static pid_t
locker(long us)
{
    int            fds[2];
    char           c;
    pid_t          pid;
    sqlite3       *db;

    if (pipe(fds) == -1) {
        printf("Bail out! pipe(): %s\n", strerror(errno));
        exit(1);
    }

    pid = store_fork();

    if (pid != 0) {
        unit_ok(read(fds[0], &c, 1) == 1, "the database is locked");
        close(fds[0]);
        close(fds[1]);
        return pid;
    }

    if (sqlite3_open_v2(store_path(SGTM_STORE_FILE), &db,
                        SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK
        || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK
        || write(fds[1], "x", 1) != 1)
    {
        _exit(1);
    }

    store_rest(us);

    _exit(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK);
}


/*
 * A fetch that has to wait for the database: what is kept meanwhile comes to
 * segments that it knows and to others, and must not be taken from the former.
 */

static void
test_slow(void)
{
    pid_t            pids[2];
    sgtm_fetch_t     fetch;
    sgtm_store_t    *store;
    sgtm_record_t    record;
    sgtm_journal_t  *one, *two;

    store_begin("a fetch that waits");

    store = store_open(SGTM_STORE_SYNC_OFF, 0);
    store_is(store, store_fetch(store), SGTM_STORE_OK, "a spool");

    pids[0] = locker(2000000);
    pids[1] = store_fork();

    if (pids[1] == 0) {
        one = store_journal(SGTM_STORE_SYNC_OFF, 0);
        two = store_journal(SGTM_STORE_SYNC_OFF, 0);
        record = *store_record(NULL, STORE_TARGET, 1, "");

        record.body = unit_str("1");
        (void) sgtm_journal_put(one, &record);
        store_rest(400000);

        record.body = unit_str("2");
        (void) sgtm_journal_put(two, &record);
        store_rest(1200000);

        record.body = unit_str("3");
        _exit(sgtm_journal_put(one, &record) != SGTM_STORE_OK);
    }

    store_rest(200000);

    fetch.size = 1000000;
    store_is(store, sgtm_store_fetch(store, &fetch), SGTM_STORE_OK,
             "hits are moved");
    unit_ok(fetch.hits == 1 && fetch.more,
            "those that were there when it began");
    store_is(store, store_fetch(store), SGTM_STORE_OK, "then the others");
    unit_ok(store_sql("SELECT group_concat(body, '') = '123' FROM"
                      " (SELECT body FROM hit ORDER BY id)") == 1, "in order");

    unit_ok(store_ends_well(pids[0]) && store_ends_well(pids[1]),
            "the writers end well");

    sgtm_store_destroy(store);
}


int
main(void)
{
    /* a writer whose reader has gone ends by itself */
    signal(SIGPIPE, SIG_IGN);

    test_writers();
    test_client();
    test_slow();

    store_remove();

    return unit_done();
}
