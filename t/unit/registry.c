
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The registry of tenants in one process: what is found by id and by host, what
 * is refused, what a pass over a source leaves, what readers keep, and memory
 * that runs out, waits for readers and comes back.  It guards against a host
 * that is missing for a moment or is another tenant's, and a record that is
 * freed too early or never.
 */


#define _DEFAULT_SOURCE

#include <time.h>

#include "unit_registry_steps.h"


static void
test_find(void)
{
    sgtm_registry_t       *reg;
    sgtm_registry_stat_t   stat;

    unit_ok(sgtm_registry_create(unit_alloc(4096), 4096, 8, key, 0) == NULL,
            "too small to be of use");

    reg = registry(256 * 1024, 0);

    unit_ok(id(reg, "a") == 0 && host(reg, "a.example") == 0, "nothing there");
    unit_ok(put(reg, 0, record("a", "a.example www.a.example", 1), NULL)
            == SGTM_REGISTRY_OK, "put");
    unit_ok(id(reg, "a") == 1 && host(reg, "a.example") == 1
            && host(reg, "www.a.example") == 1, "found by id and hosts");
    unit_ok(host(reg, "b.a.example") == 0 && host(reg, "example") == 0
            && host(reg, "") == 0 && host(reg, ".") == 0 && id(reg, "") == 0,
            "nothing else is");
    unit_ok(put(reg, 0, record("a", "a.example www.a.example", 1), NULL)
            == SGTM_REGISTRY_SAME, "the same again");

    unit_ok(put(reg, 0, record("a", "www.a.example a.a.example", 2), NULL)
            == SGTM_REGISTRY_OK && id(reg, "a") == 2
            && host(reg, "www.a.example") == 2 && host(reg, "a.a.example") == 2
            && host(reg, "a.example") == 0, "replaced: a host came, one went");
    unit_ok(is_sound(reg, "find"), "sound");

    unit_ok(drop(reg, "a") == SGTM_REGISTRY_OK && id(reg, "a") == 0
            && host(reg, "www.a.example") == 0 && drop(reg, "a")
            == SGTM_REGISTRY_OK, "removed");

    sgtm_registry_reclaim(reg, 1000, 0);
    sgtm_registry_stat(reg, &stat);

    unit_ok(stat.records == 0 && stat.hosts == 0 && stat.used == 0
            && stat.waiting == 0 && is_sound(reg, "empty"),
            "nothing is left of it");
}


static void
test_wildcards(void)
{
    char              name[300];
    sgtm_registry_t  *reg;

    reg = registry(256 * 1024, 0);

    put(reg, 0, record("w1", "*.shop.example", 3), NULL);
    put(reg, 0, record("w2", "*.x.shop.example y.shop.example", 4), NULL);
    put(reg, 0, record("w3", "*.b.c.d.e.f.example", 5), NULL);

    unit_ok(host(reg, "a.shop.example") == 3
            && host(reg, "a.b.c.shop.example") == 3
            && host(reg, "x.shop.example") == 3, "a wildcard");
    unit_ok(host(reg, "a.x.shop.example") == 4
            && host(reg, "a.b.x.shop.example") == 4,
            "the longest one that covers the host");
    unit_ok(host(reg, "y.shop.example") == 4, "the exact name first");
    unit_ok(host(reg, "shop.example") == 0 && host(reg, ".shop.example") == 0
            && host(reg, "ashop.example") == 0
            && host(reg, "*.shop.example") == 3, "not the name itself");

    memset(name, 'a', sizeof(name));
    memcpy(name + 240, ".x.shop.example", 16);
    unit_ok(host(reg, name) == 4, "a long label");

    memset(name, '.', sizeof(name));
    memcpy(name + 200, ".shop.example", 14);
    unit_ok(host(reg, name) == 3, "nothing but dots before it");

    drop(reg, "w1");
    drop(reg, "w2");
    drop(reg, "w3");

    unit_ok(host(reg, "a.shop.example") == 0 && is_sound(reg, "wildcards"),
            "the wildcards are gone");
}


static void
test_refused(void)
{
    sgtm_registry_t           *reg;
    sgtm_registry_conflict_t   conflict;

    reg = registry(256 * 1024, 0);

    put(reg, 0, record("a", "a.example www.a.example", 2), NULL);
    put(reg, 0, record("w1", "*.shop.example", 3), NULL);
    put(reg, 0, record("w2", "*.x.shop.example y.shop.example", 4), NULL);

    unit_ok(put(reg, 0, record("b", "n.example WWW.A.example", 6), &conflict)
            == SGTM_REGISTRY_HOST && conflict.host == 1
            && conflict.other->version == 2, "a host of two records");
    unit_ok(put(reg, 0, record("w1", "*.x.shop.example", 7), &conflict)
            == SGTM_REGISTRY_HOST && conflict.other->version == 4
            && host(reg, "a.shop.example") == 3, "a wildcard of two records");
    unit_ok(id(reg, "b") == 0 && host(reg, "n.example") == 0
            && host(reg, "www.a.example") == 2, "all is as it was");
    unit_ok(is_sound(reg, "refused"), "sound");
}


static void
test_source(void)
{
    uint32_t                  *state;
    unsigned char              sum[SGTM_REGISTRY_SUM] = { 1 };
    sgtm_str_t                 str;
    sgtm_tenant_t             *t;
    sgtm_registry_t           *reg;
    sgtm_registry_conflict_t   conflict;

    reg = registry(256 * 1024, 100);
    t = record("a", "a.example", 1);
    str = text("a");

    unit_ok(sgtm_registry_put(reg, 2, 0, t, sum, &conflict)
            == SGTM_REGISTRY_OK, "of another source");
    sum[0]++;
    unit_ok(sgtm_registry_put(reg, 3, 0, t, sum, &conflict)
            == SGTM_REGISTRY_SOURCE && conflict.other->version == 1,
            "an id is of one source");
    unit_ok(drop(reg, "a") == SGTM_REGISTRY_OK && id(reg, "a") == 1,
            "which alone removes it");

    state = sgtm_registry_state(reg, sgtm_registry_id(reg, &str));
    unit_ok(state[0] == 0 && state[24] == 0, "a state of zeros");
    state[0] = 7;
    state[24] = 8;

    free(t);
    t = record("a", "b.example", 2);
    unit_ok(sgtm_registry_put(reg, 2, 0, t, sum, &conflict)
            == SGTM_REGISTRY_OK, "replaced");
    state = sgtm_registry_state(reg, sgtm_registry_id(reg, &str));
    unit_ok(state[0] == 7 && state[24] == 8, "keeps its state");

    sgtm_registry_remove(reg, 2, &str);
    poison(reg);
    (void) sgtm_registry_put(reg, 2, 0, t, sum, &conflict);
    state = sgtm_registry_state(reg, sgtm_registry_id(reg, &str));
    unit_ok(state[0] == 0 && state[24] == 0, "a new one begins anew");

    free(t);
}


/* moves between records in a pass: each host is found at each moment */

static sgtm_registry_t  *watched;
static unsigned          missing;

static void
watch_hosts(void)
{
    missing += host(watched, "x.example") <= 0
               || host(watched, "y.example") <= 0
               || host(watched, "z.example") <= 0
               || host(watched, "k.w.example") <= 0
               || id(watched, "a") <= 0;
}


static void
test_pass(void)
{
    int               rc;
    size_t            next, removed;
    uint32_t          pass;
    sgtm_str_t        str;
    sgtm_registry_t  *reg;

    reg = registry(256 * 1024, 0);

    pass = sgtm_registry_begin(reg, SOURCE);
    put(reg, pass, record("a", "x.example *.w.example", 1), NULL);
    put(reg, pass, record("b", "y.example", 2), NULL);
    put(reg, pass, record("c", "z.example", 3), NULL);
    put(reg, pass, record("d", "d.example", 4), NULL);

    /* a and b change hosts, the wildcard goes to a new one, d is gone */

    watched = reg;
    watch = watch_hosts;

    pass = sgtm_registry_begin(reg, SOURCE);
    put(reg, pass, record("a", "y.example", 11), NULL);
    unit_ok(host(reg, "y.example") > 0 && host(reg, "x.example") == 11
            && host(reg, "q.w.example") == 11,
            "a host that is lost in a pass stays where it was");
    put(reg, pass, record("b", "x.example", 12), NULL);
    unit_ok(host(reg, "y.example") == 11 && host(reg, "x.example") == 12,
            "until somebody has it");
    put(reg, pass, record("e", "*.w.example *.v.example", 15), NULL);

    str = text("c");
    sgtm_registry_keep(reg, SOURCE, pass, &str);

    next = removed = 0;

    while ((rc = sgtm_registry_sweep(reg, SOURCE, pass, &next, 3, &removed))
           == SGTM_REGISTRY_WAIT)
    {
        /* void */
    }

    watch = NULL;

    unit_ok(missing == 0, "no host was missing at any moment");
    unit_ok(rc == SGTM_REGISTRY_OK && removed == 1 && id(reg, "d") == 0
            && host(reg, "d.example") == 0, "what was not met is gone");
    unit_ok(host(reg, "z.example") == 3 && host(reg, "k.w.example") == 15
            && host(reg, "x.example") == 12 && is_sound(reg, "pass"),
            "the rest is as it was put");
}


static void
test_unfinished(void)
{
    size_t            next, removed;
    uint32_t          pass;
    sgtm_str_t        str;
    sgtm_registry_t  *reg;

    reg = registry(256 * 1024, 0);

    put(reg, 0, record("a", "y.example", 1), NULL);
    put(reg, 0, record("b", "b.example", 2), NULL);
    put(reg, 0, record("c", "c.example", 2), NULL);
    put(reg, 0, record("e", "*.v.example", 3), NULL);

    pass = sgtm_registry_begin(reg, SOURCE);
    put(reg, pass, record("a", "q.example", 21), NULL);
    put(reg, pass, record("a", "y.example q.example", 22), NULL);
    put(reg, pass, record("e", "r.example", 25), NULL);
    put(reg, 0, record("n", "n.example", 26), NULL);
    unit_ok(host(reg, "y.example") == 22 && host(reg, "k.v.example") == 25,
            "lost and found in one pass");

    str = text("b");
    sgtm_registry_keep(reg, SOURCE, pass, &str);
    next = removed = 0;
    while (sgtm_registry_sweep(reg, SOURCE, pass, &next, 50, &removed)
           == SGTM_REGISTRY_WAIT)
    {
        /* void */
    }

    unit_ok(removed == 1 && host(reg, "y.example") == 22
            && host(reg, "k.v.example") == 0 && is_sound(reg, "found"),
            "what was found stays, what was lost is gone");

    pass = sgtm_registry_begin(reg, SOURCE);
    put(reg, pass, record("e", "*.v.example", 35), NULL);
    put(reg, pass, record("e", "r.example", 36), NULL);

    unit_ok(sgtm_registry_begin(reg, SOURCE)
            && put(reg, pass, record("a", "q.example", 23), NULL)
               == SGTM_REGISTRY_STALE
            && sgtm_registry_keep(reg, SOURCE, pass, &str)
               == SGTM_REGISTRY_STALE
            && sgtm_registry_sweep(reg, SOURCE, pass, &next, 3, &removed)
               == SGTM_REGISTRY_STALE, "a pass ends one that is not finished");

    unit_ok(host(reg, "k.v.example") == 36, "what it lost lingers still");
    drop(reg, "e");
    unit_ok(host(reg, "k.v.example") == 0 && is_sound(reg, "unfinished"),
            "what was lost goes with its record");

    pass = sgtm_registry_begin(reg, SOURCE + 1);
    next = removed = 0;
    while (sgtm_registry_sweep(reg, SOURCE + 1, pass, &next, 50, &removed)
           == SGTM_REGISTRY_WAIT)
    {
        /* void */
    }

    unit_ok(removed == 0 && id(reg, "a") == 22,
            "a pass of another source removes nothing here");
}


static void
test_readers(void)
{
    size_t                   i, freed;
    uint64_t                 g[2];
    sgtm_str_t               str;
    sgtm_registry_t         *reg;
    const sgtm_tenant_t     *t, *u;
    sgtm_registry_reader_t   one, two, more[8];

    reg = registry(1024 * 1024, 0);
    str = text("a");

    for (i = 0; i < 8; i++) {
        sgtm_registry_attach(reg, &more[i]);
    }

    unit_ok(sgtm_registry_attach(reg, &one) == SGTM_DECLINED,
            "no slot is free");

    for (i = 0; i < 8; i++) {
        sgtm_registry_detach(&more[i]);
    }

    unit_ok(sgtm_registry_attach(reg, &one) == SGTM_OK
            && sgtm_registry_attach(reg, &two) == SGTM_OK, "two have come");

    put(reg, 0, record("a", "a.example", 1), NULL);

    g[0] = sgtm_registry_enter(&one);
    t = sgtm_registry_id(reg, &str);
    put(reg, 0, record("a", "a.example", 2), NULL);
    g[1] = sgtm_registry_enter(&two);
    u = sgtm_registry_id(reg, &str);
    put(reg, 0, record("a", "b.example", 3), NULL);

    sgtm_registry_reclaim(reg, 1000, 1);
    poison(reg);
    unit_ok(t->version == 1 && is_whole(t) && u->version == 2 && is_whole(u),
            "what is held stays");

    sgtm_registry_leave(&one, g[0]);
    unit_ok(sgtm_registry_reclaim(reg, 1000, 1) == 1, "until it is left");
    poison(reg);
    unit_ok(is_whole(u), "by the last one");
    sgtm_registry_leave(&two, g[1]);
    unit_ok(sgtm_registry_reclaim(reg, 1000, 1) == 2 && is_sound(reg, "left"),
            "then all is freed");

    /* one that died holds nothing */

    g[0] = sgtm_registry_enter(&two);
    two.slot->owner = NOBODY;
    put(reg, 0, record("a", "a.example", 3), NULL);
    freed = sgtm_registry_reclaim(reg, 1000, 0);
    unit_ok(freed == 0 && sgtm_registry_reclaim(reg, 1000, 1) == 2,
            "a process that is gone is found when it is looked for");

    for (i = 0; i < 7; i++) {
        sgtm_registry_attach(reg, &more[i]);
        more[i].slot->owner = NOBODY;
    }

    unit_ok(sgtm_registry_attach(reg, &two) == SGTM_OK, "and its slot taken");
}


/* more generations than it tells apart, left in any order */

static void
test_generations(void)
{
    size_t                   i, freed;
    uint64_t                 g[200];
    sgtm_registry_t         *reg;
    sgtm_registry_stat_t     stat;
    sgtm_registry_reader_t   one;

    reg = registry(1024 * 1024, 0);
    sgtm_registry_attach(reg, &one);
    put(reg, 0, record("a", "b.example", 3), NULL);

    for (i = 0; i < 200; i++) {
        g[i] = sgtm_registry_enter(&one);
        put(reg, 0, record("a", "a.example", 10 + (unsigned) i), NULL);
    }

    freed = sgtm_registry_reclaim(reg, 1000, 1);
    unit_ok(freed == 0, "200 generations are held");

    for (i = 1; i < 200; i += 2) {
        sgtm_registry_leave(&one, g[i]);
    }

    freed = sgtm_registry_reclaim(reg, 1000, 1);
    unit_ok(freed == 0, "by the first of them");

    g[1] = sgtm_registry_enter(&one);
    sgtm_registry_leave(&one, g[1]);

    for (i = 0; i < 200; i += 2) {
        sgtm_registry_leave(&one, g[i]);
    }

    freed = sgtm_registry_reclaim(reg, 1000, 1);
    sgtm_registry_stat(reg, &stat);
    unit_ok(freed == 201 && stat.waiting == 0 && one.n == 0,
            "by none: %zu", freed);
}


/* memory that readers hold is not there: wait, or full */

static void
test_room(void)
{
    char                     name[32];
    size_t                   i;
    uint64_t                 g;
    sgtm_registry_t         *reg;
    sgtm_registry_stat_t     stat;
    sgtm_registry_reader_t   two;

    reg = registry(1024 * 1024, 0);
    sgtm_registry_attach(reg, &two);
    put(reg, 0, record("a", "a.example", 3), NULL);

    g = sgtm_registry_enter(&two);

    for (i = 0; put(reg, 0, record("a", "a.example", 300 + (unsigned) i), NULL)
                == SGTM_REGISTRY_OK; i++)
    {
        /* void */
    }

    unit_ok(put(reg, 0, record("a", "a.example", 1), NULL)
            == SGTM_REGISTRY_WAIT && id(reg, "a") == 299 + (int) i
            && host(reg, "a.example") == 299 + (int) i,
            "no room as long as one reads: after %zu", i);
    sgtm_registry_leave(&two, g);
    unit_ok(sgtm_registry_reclaim(reg, 100000, 0) == i
            && put(reg, 0, record("a", "a.example", 1), NULL)
               == SGTM_REGISTRY_OK, "there is again");

    for (i = 0; i < 100000; i++) {
        snprintf(name, sizeof(name), "t%zu", i);
        sgtm_registry_reclaim(reg, 1000, 0);

        if (put(reg, 0, record(name, name, 6), NULL) != SGTM_REGISTRY_OK) {
            break;
        }
    }

    unit_ok(put(reg, 0, record("more", "more.example", 1), NULL)
            == SGTM_REGISTRY_FULL && id(reg, "more") == 0
            && host(reg, "more.example") == 0 && id(reg, "t0") == 6
            && is_sound(reg, "full"), "full, after %zu", i);

    sgtm_registry_stat(reg, &stat);
    unit_ok(stat.used > stat.size * 98 / 100, "%zu of %zu bytes are used",
            stat.used, stat.size);
}


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
test_many(void)
{
    char                   name[32], hosts[64];
    double                 t0;
    size_t                 i, n, size;
    uint32_t               longest, len;
    sgtm_ref_t             ref;
    sgtm_tenant_t         *t;
    sgtm_registry_t       *reg;
    sgtm_registry_stat_t   stat;

    n = 20000;
    reg = registry(64 << 20, 0);
    t = record("t0", "t0.example www.t0.example", 6);

    t0 = now();

    for (i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "t%zu", i);
        snprintf(hosts, sizeof(hosts), "t%zu.example www.t%zu.example", i, i);

        if (put(reg, 0, record(name, hosts, 6), NULL) != SGTM_REGISTRY_OK) {
            break;
        }
    }

    sgtm_registry_stat(reg, &stat);

    printf("# %zu records in %.2f s, %zu bytes each, of which %zu in records\n",
           i, now() - t0, stat.used / i, sgtm_tenant_size(t));

    size = (size_t) (64 << 20) / stat.size * stat.used / i;
    unit_ok(i == n && stat.records == n && stat.hosts == 2 * n
            && size < 2048, "%zu bytes for each, all in all", size);

    longest = 0;

    for (i = 0; i < reg->nhosts; i++) {
        for (ref = reg->hosts[i], len = 0; ref; len++) {
            ref = ((sgtm_hint_t *) sgtm_registry_at(reg, ref))->next;
        }

        longest = len > longest ? len : longest;
    }

    unit_ok(longest < 12, "no chain has more than %u hosts", longest);

    t0 = now();

    for (i = 0, len = 0; i < 200000; i++) {
        snprintf(hosts, sizeof(hosts), "www.t%zu.example",
                 (size_t) (rnd() % n));
        len += (host(reg, hosts) != 6);
    }

    printf("# a host in %.0f ns, sanitized and with its check\n",
           (now() - t0) / 200000 * 1e9);
    unit_ok(len == 0, "all are found");

    free(t);
}


int
main(void)
{
    test_find();
    test_wildcards();
    test_refused();
    test_source();
    test_pass();
    test_unfinished();
    test_readers();
    test_generations();
    test_room();
    test_many();

    return unit_done();
}
