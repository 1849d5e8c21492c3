
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The store as one process sees it: hits come back in the order they were put,
 * within the limits, when they are due, a client's never before an earlier one
 * of it; every byte as it was; only the courier takes and settles; dead
 * letters can be listed, sent again and deleted.
 */


#include "unit_store.h"


#define ME  42


static sgtm_store_t  *store;


static void
begin(const char *name)
{
    int  fresh;

    sgtm_store_destroy(store);

    store_begin(name);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, sgtm_store_lease(store, ME, 1000, 2000, &fresh),
             SGTM_STORE_OK, "a lease");
    unit_ok(fresh, "of a new courier");
}


static int64_t
number(const char *name)
{
    size_t         i, n;
    sgtm_target_t  targets[8];

    if (sgtm_store_targets(store, targets, 8, &n) == SGTM_STORE_OK) {
        for (i = 0; i < n; i++) {
            if (strcmp(targets[i].name, name) == 0) {
                return targets[i].number;
            }
        }
    }

    return 0;
}


/* takes; the bodies have to be these */

static sgtm_take_t
take(int64_t target, int64_t after, int64_t now, size_t limit, size_t size,
    const char *want, const char *name)
{
    int          rc;
    const char  *got;
    sgtm_take_t  t;

    memset(&t, 0, sizeof(sgtm_take_t));

    t.instance = ME;
    t.target = target;
    t.after = after;
    t.now = now;
    t.limit = limit;
    t.size = size;

    rc = sgtm_store_take(store, &t);

    if (rc != SGTM_STORE_OK) {
        store_is(store, rc, SGTM_STORE_OK, name);
        return t;
    }

    got = store_bodies(t.list);
    unit_is((const unsigned char *) got, strlen(got), want, name);

    store_free(t.list);
    t.list = NULL;

    return t;
}


static void
test_order(void)
{
    int64_t         a, b, last;
    sgtm_take_t     t;
    sgtm_target_t   targets[2];
    size_t          n;
    sgtm_record_t  *list;

    begin("order");

    list = store_record(NULL, "b@tag", 1, "b2");
    list = store_record(list, "a@tag", 2, "a3");
    list = store_record(list, "b@tag", 3, "b1");
    list = store_record(list, "a@tag", 4, "a2");
    list = store_record(list, "a@tag", 5, "a1");

    store_is(store, store_put_list(store, list), SGTM_STORE_OK, "a list");
    unit_ok(list->id < list->next->id && list->next->id < list->next->next
                                                              ->next->id,
            "ids ascend by target");

    last = list->next->next->next->id;
    unit_ok(store_put(store, "a@tag", 6, "a4") > last, "also to the next put");

    a = number("a@tag");
    b = number("b@tag");

    unit_ok(a != 0 && b != 0 && a != b, "both targets have a number");

    store_is(store, sgtm_store_targets(store, targets, 1, &n), SGTM_STORE_OK,
             "one of the targets");
    unit_ok(n == 1, "is one");

    t = take(a, 0, 1000, 2, 100000, " a1 a2", "the first two");
    t = take(a, t.after, 1000, 10, 100000, " a3 a4", "the others");
    unit_ok(t.again == 0, "none waits");
    take(a, t.after, 1000, 10, 100000, "", "and no more");
    store_put(store, "a@tag", 7, "a5");
    take(a, t.after, 1000, 10, 100000, " a5", "until one is put");
    take(b, 0, 1000, 10, 100000, " b1 b2", "the other target");
    take(77, 0, 1000, 10, 100000, "", "a target that is none");
}


static void
test_limits(void)
{
    int64_t         n;
    sgtm_take_t     t;
    sgtm_record_t  *list;

    begin("limits");

    list = store_record(NULL, STORE_TARGET, 0, "c");
    list = store_record(list, STORE_TARGET, 0, "b");
    list = store_record(list, STORE_TARGET, 0, "a");

    store_is(store, store_put_list(store, list), SGTM_STORE_OK, "three hits");

    n = number(STORE_TARGET);

    t = take(n, 0, 1000, 10, 1, " a", "the first one whatever its size");
    t = take(n, t.after, 1000, 10, 1, " b", "one more");
    take(n, 0, 1000, 10, 250, " a b", "as many as the size allows");
    take(n, 0, 1000, 0, 250, "", "none with a limit of none");

    store_is(store, store_settle(store, ME, list->id, SGTM_OUTCOME_RETRY, 900,
                                 "timed out"),
             SGTM_STORE_OK, "a retry");

    take(n, 0, 1000, 1, 100000, " a", "the limit holds for those that are due");
}


static void
test_due(void)
{
    int             fresh;
    int64_t         n;
    sgtm_take_t     t;
    sgtm_record_t  *list, *record;

    begin("due");

    list = store_record(NULL, STORE_TARGET, 3, "c");
    list = store_record(list, STORE_TARGET, 2, "b");
    list = store_record(list, STORE_TARGET, 1, "a");

    store_put_list(store, list);
    n = number(STORE_TARGET);

    t = take(n, 0, 1000, 3, 100000, " a b c", "all");

    store_is(store, store_settle(store, ME, list->id, SGTM_OUTCOME_RETRY, 5000,
                                 "timed out"), SGTM_STORE_OK, "a retry");
    store_is(store, store_settle(store, ME, list->next->id,
                                 SGTM_OUTCOME_RETRY, 4000, "503"),
             SGTM_STORE_OK, "and an earlier one");

    store_put(store, STORE_TARGET, 4, "d");

    t = take(n, t.after, 3999, 9, 100000, " d", "neither is due");
    unit_ok(t.again == 4000, "but then");

    t = take(n, t.after, 6000, 9, 100000, " b a", "by the time they are due");
    unit_ok(t.again == 0, "none waits now");
    take(n, t.after, 6000, 9, 100000, "", "what was taken is not taken again");

    store_is(store, sgtm_store_next(store, SGTM_STORE_WAITING, 0, &record,
                                    NULL), SGTM_STORE_OK, "the first hit");
    unit_ok(record->attempts == 1, "has an attempt");
    unit_is(record->error.data, record->error.len, "timed out",
            "and its reason");
    unit_is(record->target.data, record->target.len, STORE_TARGET,
            "and its target");
    store_free(record);

    store_settle(store, ME, list->id, SGTM_OUTCOME_RELEASE, 0, "");
    store_settle(store, ME, list->next->id, SGTM_OUTCOME_RELEASE, 9000, "");

    t = take(n, t.after, 6000, 9, 100000, " a", "released: as it was");
    unit_ok(t.again == 9000, "or for later");

    store_settle(store, ME, list->next->next->id, SGTM_OUTCOME_RELEASE, 0, "");
    take(n, t.after, 6000, 9, 100000, "", "a fresh one stays fresh");

    unit_ok(store_sql("SELECT count(*) FROM hit WHERE due < 0") == 1,
            "one is taken");
    sgtm_store_release(store, ME);
    sgtm_store_lease(store, ME, 1000, 2000, &fresh);
    unit_ok(fresh, "after a release a courier is new");
    take(n, 0, 6000, 9, 100000, " a c d", "and finds it again");
}


static void
test_clients(void)
{
    int             i;
    int64_t         n, a1;
    sgtm_take_t     t;
    sgtm_record_t  *list;

    begin("clients");

    list = store_record(NULL, STORE_TARGET, UINT64_MAX, "a3");
    list = store_record(list, STORE_TARGET, UINT64_MAX, "a2");
    list = store_record(list, STORE_TARGET, 0, "o2");
    list = store_record(list, STORE_TARGET, 7, "b1");
    list = store_record(list, STORE_TARGET, 0, "o1");
    list = store_record(list, STORE_TARGET, UINT64_MAX, "a1");
    store_put_list(store, list);

    a1 = list->id;
    n = number(STORE_TARGET);

    t = take(n, 0, 1000, 2, 100000, " a1 o1", "two hits");

    store_settle(store, ME, a1, SGTM_OUTCOME_RETRY, 5000, "502");
    store_settle(store, ME, list->next->id, SGTM_OUTCOME_RETRY, 5000, "502");

    t = take(n, t.after, 1000, 9, 100000, " b1 o2",
             "hits of a client wait for its first");
    unit_ok(t.again == 5000, "which is due first");

    t = take(n, t.after, 5000, 1, 100000, " a1", "and comes first");
    store_settle(store, ME, a1, SGTM_OUTCOME_RETRY, 8000, "502");

    t = take(n, t.after, 6000, 9, 100000, " o1", "they wait again with it");
    unit_ok(t.again == 8000, "until it is due");

    take(n, t.after, 9000, 9, 100000, " a1 a2 a3", "all, in order");

    /* an earlier hit that is due later, as after a replay */

    store_settle(store, ME, a1, SGTM_OUTCOME_RETRY, 9500, "502");
    store_settle(store, ME, a1 + 4, SGTM_OUTCOME_RETRY, 9100, "502");
    t = take(n, t.after, 9200, 9, 100000, "", "the later one waits");
    t = take(n, t.after, 9502, 9, 100000, " a1 a2", "for the earlier");

    /* dead: the next may go */

    store_settle(store, ME, a1, SGTM_OUTCOME_DEAD, 0, "400");
    store_put(store, STORE_TARGET, UINT64_MAX, "a4");
    take(n, t.after, 9502, 9, 100000, " a4", "a dead letter holds nobody up");

    /* more of them than are looked at in one call */

    a1 = store_put(store, STORE_TARGET, 9, "x0");
    store_settle(store, ME, a1, SGTM_OUTCOME_RETRY, 20000, "502");

    for (i = 0, list = NULL; i < 5000; i++) {
        list = store_record(list, STORE_TARGET, 9, "x");
    }

    store_put_list(store, list);
    store_put(store, STORE_TARGET, 8, "y");

    t = take(n, t.after, 9600, 9, 100000, " a4", "a4 is fresh still");
    unit_ok(t.again == 9600, "there is more to look at");
    t = take(n, t.after, 9600, 9, 100000, " y", "what the next call does");
    unit_ok(t.again == 20000, "and no more");
}


/* what an outage has put off may be taken early, what has its own time not */

static void
test_put_off(void)
{
    int          i, rc;
    int64_t      n, ids[4];
    const char  *bodies[] = { "a", "b", "c", "d" };
    sgtm_take_t  t;

    begin("put off");

    for (i = 0; i < 4; i++) {
        ids[i] = store_put(store, STORE_TARGET, i == 3 ? 2 : i, bodies[i]);
    }

    n = number(STORE_TARGET);
    t = take(n, 0, 1000, 9, 100000, " a b c d", "four hits, two of a client");

    store_settle(store, ME, ids[0], SGTM_OUTCOME_RELEASE,
                 sgtm_due_put_off(6000), "");
    store_settle(store, ME, ids[1], SGTM_OUTCOME_RETRY, sgtm_due_own(4999),
                 "503");
    store_settle(store, ME, ids[2], SGTM_OUTCOME_RELEASE,
                 sgtm_due_put_off(7000), "");

    t = take(n, 0, 1000, 9, 100000, "", "none is due");
    unit_ok(t.again == 5000, "but then");

    t.put_off = 1;
    t.limit = 1;
    rc = sgtm_store_take(store, &t);
    unit_ok(rc == SGTM_STORE_OK && t.list != NULL && t.list->id == ids[0]
            && t.list->next == NULL && t.put_off, "one that was put off");
    store_free(t.list);

    t.limit = 9;
    rc = sgtm_store_take(store, &t);
    unit_ok(rc == SGTM_STORE_OK && t.list != NULL && t.list->id == ids[2]
            && t.again == 5000, "the other one");
    unit_ok(t.list != NULL && t.list->next != NULL
            && t.list->next->id == ids[3] && t.list->next->next == NULL,
            "and the one behind it");
    unit_ok(!t.put_off, "there are no more");
    store_free(t.list);

    /* behind one that has its own time it has that, too */

    store_settle(store, ME, ids[2], SGTM_OUTCOME_RETRY, sgtm_due_own(8000),
                 "503");
    store_settle(store, ME, ids[3], SGTM_OUTCOME_RELEASE,
                 sgtm_due_put_off(6000), "");

    for (i = 0; i < 2; i++) {
        t.put_off = 1;
        rc = sgtm_store_take(store, &t);
        unit_ok(rc == SGTM_STORE_OK && t.list == NULL && !t.put_off,
                "it waits behind one that has a time of its own");
    }

    unit_ok(store_sql("SELECT max(due) FROM hit") == 8002, "in the same way");
    take(n, t.after, 9000, 9, 100000, " b c d", "all, when they are due");
}


static void
test_lease(void)
{
    int      fresh;
    int64_t  n, id;

    begin("lease");

    id = store_put(store, STORE_TARGET, 1, "a");
    n = number(STORE_TARGET);

    take(n, 0, 1000, 9, 100000, " a", "the courier takes");
    store_settle(store, ME, id, SGTM_OUTCOME_RETRY, 1100, "502");
    take(n, 0, 1200, 9, 100000, " a", "and takes again");

    store_is(store, sgtm_store_lease(store, ME, 1500, 2500, &fresh),
             SGTM_STORE_OK, "the lease is renewed");
    unit_ok(!fresh, "by the same courier");

    store_is(store, sgtm_store_lease(store, 7, 2499, 9000, &fresh),
             SGTM_STORE_LOST, "another one has to wait");
    unit_ok(!fresh, "and is none");
    store_is(store, store_settle(store, 7, id, SGTM_OUTCOME_DELIVERED, 0, ""),
             SGTM_STORE_LOST, "it settles nothing");

    store_is(store, sgtm_store_lease(store, 7, 2500, 9000, &fresh),
             SGTM_STORE_OK, "until the time has come");
    unit_ok(fresh, "then it is a new one");

    store_is(store, store_settle(store, ME, id, SGTM_OUTCOME_DELIVERED, 0,
                                 ""),
             SGTM_STORE_LOST, "and the old one has lost it");
    unit_ok(store_sql("SELECT due FROM hit") == 1100,
            "what it had taken waits again");

    store_is(store, sgtm_store_lease(store, ME, 3000, 9000, &fresh),
             SGTM_STORE_LOST, "it is another's");
    store_is(store, sgtm_store_release(store, ME), SGTM_STORE_OK,
             "the loser lets go of nothing");
    store_is(store, sgtm_store_lease(store, ME, 3000, 9000, &fresh),
             SGTM_STORE_LOST, "so it is another's still");
    store_is(store, sgtm_store_release(store, 7), SGTM_STORE_OK,
             "the holder lets go");
    store_is(store, sgtm_store_lease(store, ME, 3000,
                                     3000 + 2 * SGTM_STORE_LEASE_MAX, &fresh),
             SGTM_STORE_OK, "and the next need not wait");
    take(n, 0, 3000, 9, 100000, " a", "nothing is lost");

    store_is(store, sgtm_store_lease(store, 7, 3001, 9000, &fresh),
             SGTM_STORE_OK, "a lease of a wrong clock does not last");
}


/* what a courier leaves under way when it lets go of the lease */

static int
settle_left(int64_t id, unsigned kind, int64_t was, int64_t due)
{
    sgtm_outcome_t  outcome;

    memset(&outcome, 0, sizeof(sgtm_outcome_t));

    outcome.id = id;
    outcome.kind = kind;
    outcome.was = was;
    outcome.due = due;
    outcome.error = unit_str("503");

    return sgtm_store_settle_left(store, &outcome);
}


static void
test_left(void)
{
    int          i, fresh;
    int64_t      n, ids[6];
    const char  *bodies[] = { "a", "b", "c", "d", "e", "f" };
    sgtm_take_t  t;

    begin("left");

    for (i = 0; i < 6; i++) {
        ids[i] = store_put(store, STORE_TARGET, i % 5 + 1, bodies[i]);
    }

    n = number(STORE_TARGET);
    take(n, 0, 1000, 5, 100000, " a b c d e", "five hits, and one behind");

    for (i = 0; i < 5; i++) {
        store_settle(store, ME, ids[i], SGTM_OUTCOME_RELEASE, 6000, "");
    }

    sgtm_store_release(store, ME);
    store_is(store, sgtm_store_lease(store, 7, 1001, 9000, &fresh),
             SGTM_STORE_OK, "another courier");
    store_is(store, sgtm_store_release(store, 7), SGTM_STORE_OK, "for a while");
    store_is(store, sgtm_store_lease(store, ME, 1002, 9000, &fresh),
             SGTM_STORE_OK, "and one more");

    t = take(n, 0, 1500, 9, 100000, "", "nobody takes them, nor the last");
    unit_ok(t.again == 6000, "until then");

    store_is(store, settle_left(ids[0], SGTM_OUTCOME_DELIVERED, 6000, 0),
             SGTM_STORE_OK, "one is delivered");
    store_is(store, settle_left(ids[1], SGTM_OUTCOME_RELEASE, 6000, 8000),
             SGTM_STORE_OK, "one stays under way");
    store_is(store, settle_left(ids[2], SGTM_OUTCOME_RETRY, 6000, 1600),
             SGTM_STORE_OK, "one has failed");
    store_is(store, settle_left(ids[3], SGTM_OUTCOME_DELIVERED, 5000, 0),
             SGTM_STORE_OK, "one was left with another time");
    store_is(store, settle_left(ids[3], SGTM_OUTCOME_DELIVERED, 0, 0),
             SGTM_STORE_OK, "or not at all");
    store_is(store, settle_left(1, SGTM_OUTCOME_DELIVERED, 6000, 0),
             SGTM_STORE_OK, "one was purged");

    t = take(n, t.after, 1700, 9, 100000, " c", "the one that failed");
    t = take(n, t.after, 7000, 9, 100000, " d e f", "those that are due");

    /* they are the other courier's now */

    settle_left(ids[3], SGTM_OUTCOME_RETRY, 6000, 7100);
    settle_left(ids[3], SGTM_OUTCOME_DEAD, 6000, 0);
    settle_left(ids[4], SGTM_OUTCOME_DELIVERED, 6000, 0);

    unit_ok(store_sql("SELECT count(*) FROM dead") == 0, "none dies of it");
    unit_ok(store_sql("SELECT count(*) FROM hit WHERE due = -6000") == 1,
            "but one that was delivered is gone");
    take(n, t.after, 9000, 9, 100000, " b", "the last one");
}


static void
test_strange(void)
{
    size_t          i;
    char            big[65536];
    sgtm_record_t  *put, *got;

    begin("strange values");

    for (i = 0; i < sizeof(big); i++) {
        big[i] = (char) (i * 7 + i / 256);
    }

    put = unit_alloc(sizeof(sgtm_record_t));
    memset(put, 0, sizeof(sgtm_record_t));
    put->time = INT64_MIN;

    store_is(store, store_put_list(store, put), SGTM_STORE_OK,
             "a hit of empty strings");
    store_is(store, sgtm_store_next(store, SGTM_STORE_WAITING, 0, &got, NULL),
             SGTM_STORE_OK, "comes back");
    unit_ok(got->time == INT64_MIN && got->target.len == 0
            && got->tenant.len == 0 && got->body.len == 0 && got->args.len == 0,
            "empty");
    store_free(got);

    put = store_record(NULL, "caf\xc3\xa9@tag", (uint64_t) 1 << 63, "");
    put->tenant = unit_bytes("\xff\xfe\x00x", 4);
    put->error = unit_bytes("\xed\xa0\x80", 3);
    put->args = unit_bytes("a=\xf0\x9f\x98\x80&b=12345678\xc3\xa9", 19);
    put->headers = unit_bytes("A: \xc0\x80\r\n", 7);
    put->body = unit_bytes(big, sizeof(big));
    put->attempts = 4000000000u;
    put->events = UINT32_MAX;
    put->time = INT64_MAX;

    store_is(store, store_put_list(store, put), SGTM_STORE_OK, "bytes");
    store_is(store, sgtm_store_next(store, SGTM_STORE_WAITING, put->id - 1,
                                    &got, NULL),
             SGTM_STORE_OK, "come back");

    unit_ok(got->body.len == sizeof(big)
            && memcmp(got->body.data, big, sizeof(big)) == 0, "64 kB");
    unit_ok(got->tenant.len == 4 && memcmp(got->tenant.data, "\xff\xfe\x00x", 4)
            == 0, "a NUL");
    unit_ok(got->headers.len == 7, "what looks like one");
    unit_ok(got->attempts == 4000000000u && got->events == UINT32_MAX
            && got->client == (uint64_t) 1 << 63 && got->time == INT64_MAX,
            "and large numbers");
    store_free(got);

    unit_ok(store_sql("SELECT count(*) FROM hit WHERE typeof(tenant) = 'blob'"
                      " AND typeof(error) = 'blob' AND typeof(args) = 'text'"
                      " AND typeof(headers) = 'blob' AND typeof(body) = 'blob'"
                      " AND typeof(method) = 'text'")
            == 1, "text is TEXT in the file, the rest is BLOB");

    put = store_record(NULL, STORE_TARGET, 1, "");
    put->body = unit_bytes(NULL, 0);
    put->due = -5;
    store_is(store, store_put_list(store, put), SGTM_STORE_OK, "no body");
    store_is(store, store_put_list(store, NULL), SGTM_STORE_OK, "no hit");
    unit_ok(store_sql("SELECT min(due) FROM hit") == 0, "nothing is taken");
}


/* dead letters, and the tool's side */

static void
test_dead(void)
{
    int             i;
    int64_t         n, died, ids[4];
    sgtm_take_t     t;
    sgtm_record_t  *record;
    const char     *bodies[] = { "a", "b", "c", "d" };

    begin("dead letters");

    for (i = 0; i < 4; i++) {
        ids[i] = store_put(store, STORE_TARGET, 1, bodies[i]);
    }

    n = number(STORE_TARGET);
    t = take(n, 0, 1000, 9, 100000, " a b c d", "four hits");

    for (i = 0; i < 3; i++) {
        store_is(store, store_settle(store, ME, ids[i], SGTM_OUTCOME_DEAD, 0,
                                     "400"), SGTM_STORE_OK, "one dies");
    }

    store_is(store, sgtm_store_next(store, SGTM_STORE_DEAD, 0, &record, &died),
             SGTM_STORE_OK, "the first dead letter");
    unit_ok(record->id == ids[0] && record->attempts == 1
            && record->client == 1 && died > 1700000000000, "as it was");
    unit_is(record->error.data, record->error.len, "400", "with its reason");
    store_free(record);

    store_is(store, sgtm_store_replay(store, ids[0], 0, &n), SGTM_STORE_OK,
             "one is replayed");
    unit_ok(n == 1, "one");
    store_is(store, sgtm_store_replay(store, ids[0], 0, &n), SGTM_STORE_OK,
             "once");
    unit_ok(n == 0, "only");

    t = take(ids[0] >> 46, t.after, died + 100000, 9, 100000, " a",
             "it is due at once");

    store_sql("UPDATE dead SET died = 100 WHERE body = 'b'");
    store_is(store, sgtm_store_replay(store, 0, 100, &n), SGTM_STORE_OK,
             "what died before");
    unit_ok(n == 1, "is one");
    store_is(store, sgtm_store_purge(store, SGTM_STORE_DEAD, 0, 0, &n),
             SGTM_STORE_OK, "the rest is purged");
    unit_ok(n == 1, "one");
    store_is(store, sgtm_store_purge(store, SGTM_STORE_WAITING, ids[3], 0,
                                     &n), SGTM_STORE_OK, "one that waits, too");
    unit_ok(n == 1 && store_sql("SELECT count(*) FROM hit") == 2,
            "that one only");
    store_is(store, sgtm_store_purge(store, SGTM_STORE_WAITING, 0, 1, &n),
             SGTM_STORE_OK, "all before a time");
    unit_ok(n == 0, "none");
    unit_ok(store_put(store, STORE_TARGET, 1, "e") > ids[3],
            "no id is used twice");
}


static void
test_ids(void)
{
    int64_t  id, n;

    begin("ids");

    /* a clock that was an hour ahead, and everything delivered since */

    id = store_put(store, STORE_TARGET, 1, "a");
    store_sql("UPDATE hit SET id = id + (3600000 << 6)");
    id += (int64_t) 3600000 << 6;

    store_settle(store, ME, id, SGTM_OUTCOME_DELIVERED, 0, "");
    unit_ok(store_sql("SELECT count(*) FROM hit") == 0, "nothing is left");
    unit_ok(store_put(store, STORE_TARGET, 1, "b") == id + 1,
            "the next id is after the last, whatever the clock says");

    sgtm_store_purge(store, SGTM_STORE_WAITING, 0, 0, &n);
    unit_ok(n == 1 && store_put(store, STORE_TARGET, 1, "c") == id + 2,
            "also after a purge");
}


static void
test_counts(void)
{
    int                  i;
    sgtm_record_t       *list;
    sgtm_store_counts_t  counts;

    begin("counts");

    store_is(store, sgtm_store_count(store, &counts), SGTM_STORE_OK,
             "an empty file");
    unit_ok(counts.hits == 0 && counts.events == 0 && counts.oldest == 0
            && counts.dead == 0 && counts.dead_oldest == 0 && counts.size > 0,
            "has nothing");

    for (i = 0, list = NULL; i < 9000; i++) {
        list = store_record(list, STORE_TARGET, 1, "x");
        list->events = 2;
        list->time = 5000 + i;
    }

    store_put_list(store, list);
    store_settle(store, ME, list->id, SGTM_OUTCOME_DEAD, 0, "400");

    store_is(store, sgtm_store_count(store, &counts), SGTM_STORE_OK,
             "many hits");
    unit_ok(counts.hits == 8999 && counts.events == 17998
            && counts.oldest == 5000 && counts.dead == 1
            && counts.dead_oldest > 1700000000000
            && counts.size > 8999 * 80, "are counted");
}


int
main(void)
{
    test_order();
    test_limits();
    test_due();
    test_clients();
    test_put_off();
    test_lease();
    test_left();
    test_strange();
    test_dead();
    test_ids();
    test_counts();

    unit_ok(store_is_sound(), "the file is sound");

    sgtm_store_destroy(store);
    store_remove();

    return unit_done();
}
