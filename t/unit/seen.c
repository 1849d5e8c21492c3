
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The table of what was seen: against a plain list that does the same, when it
 * is full, over the end of its clock, and when a process dies in the middle of
 * a call: at every point that has an order, and by SIGKILL at any instruction.
 * It guards against an event that is dropped though nobody has seen its like,
 * one that passes twice, and a chain without an end that stops every worker.
 */


#define _DEFAULT_SOURCE

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"


/* a process that dies here: the rest of the call never happens */

static unsigned  step;
static unsigned  die_at;
static jmp_buf   died;

#define sgtm_seen_order()                                                     \
    do {                                                                      \
        __asm__ volatile ("" : : : "memory");                                 \
        if (++step == die_at) {                                               \
            longjmp(died, 1);                                                 \
        }                                                                     \
    } while (0)


#include "gate/sgtm_seen.c"


#define WINDOW  (3600 * SGTM_SEEN_SECOND)


static uint64_t  seed = 1;


static uint64_t
rnd(void)
{
    uint64_t  x;

    seed += 0x9e3779b97f4a7c15;
    x = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;

    return x ^ (x >> 31);
}


/* the fingerprint of an id: a keyed hash looks as random */

static void
print_of(uint64_t id, uint64_t *print)
{
    uint64_t  saved;

    saved = seed;
    seed = id * 0x632be59bd9b4e019;
    print[0] = rnd();
    print[1] = rnd();
    seed = saved;
}


static sgtm_seen_t *
table(size_t n)
{
    void  *mem;

    mem = unit_alloc(sgtm_seen_size(n) + 64);

    /* what memory held before is of no matter */
    memset(mem, 0xa5, sgtm_seen_size(n) + 64);

    return sgtm_seen_init((void *) (((uintptr_t) mem + 63)
                                    & ~(uintptr_t) 63), n);
}


static int
reserve(sgtm_seen_t *seen, uint64_t id, uint32_t now, uint32_t window,
    sgtm_seen_ref_t *ref)
{
    uint64_t  print[2];

    print_of(id, print);
    sgtm_seen_prefetch(seen, print, (unsigned) (id % seen->n), 0);
    sgtm_seen_prefetch(seen, print, (unsigned) (id % seen->n), 1);

    return sgtm_seen_reserve(seen, print, now, window, ref) == SGTM_OK;
}


/* whether every chain ends, and has whole entries of its own alone */

static int
is_sound(const sgtm_seen_t *seen)
{
    int                       rc;
    uint32_t                  i, link;
    unsigned char            *met;
    const sgtm_seen_link_t   *heads;
    const sgtm_seen_entry_t  *entry;

    rc = 1;
    met = calloc(seen->n, 1);
    heads = (sgtm_seen_link_t *) sgtm_seen_entry(seen, seen->n);

    for (i = 0; met && i < seen->n && rc; i++) {

        for (link = heads[i]; link && rc; link = entry->next) {

            if (link > seen->used || met[link - 1]++) {
                rc = 0;
                break;
            }

            entry = sgtm_seen_entry(seen, link - 1);
            rc = sgtm_seen_head(seen, entry->print) == &heads[i]
                 && sgtm_seen_state(entry->word) != SGTM_SEEN_FREE;
        }
    }

    free(met);

    return rc && seen->pos < seen->n && seen->used <= seen->n;
}


/* whether a table still does its work: for all that it has room for */

static int
works(sgtm_seen_t *seen, uint32_t now)
{
    uint64_t         id;
    uint32_t         i;
    sgtm_seen_ref_t  ref;

    id = rnd();

    for (i = 0; i < seen->n; i++) {

        if (!reserve(seen, id + i, now, WINDOW, &ref)
            || reserve(seen, id + i, now, WINDOW, &ref))
        {
            return 0;
        }
    }

    for (i = 0; i < seen->n; i++) {
        if (reserve(seen, id + i, now, WINDOW, &ref)) {
            return 0;
        }
    }

    return is_sound(seen);
}


static void
test_sizes(void)
{
    size_t  n, size, pages;

    unit_ok(sgtm_seen_capacity(0) == 0 && sgtm_seen_capacity(99) == 0,
            "no room");
    unit_ok(sgtm_seen_capacity(100) == 1, "room for one");

    for (size = 100; size < 100000; size += 7) {
        n = sgtm_seen_capacity(size);

        if (sgtm_seen_size(n) > size || sgtm_seen_size(n + 1) <= size) {
            break;
        }
    }

    unit_ok(size >= 100000, "the capacity is what fits, up to %zu bytes",
            size);

    /* of a page of 4096 bytes the zone itself takes 32 at most */

    pages = ((size_t) 512 << 20) / (4096 + 32) - 8;
    n = sgtm_seen_capacity(pages * 4096 / 4 * 3);

    unit_ok(n >= 10000000, "three quarters of a zone of 512 MB: %zu ids", n);
}


static void
test_life(void)
{
    sgtm_seen_t      *seen;
    sgtm_seen_ref_t   ref, other;

    seen = table(16);

    unit_ok(reserve(seen, 1, 1000, WINDOW, &ref), "new");
    unit_ok(!reserve(seen, 1, 1000, WINDOW, &other), "reserved");
    unit_ok(!reserve(seen, 1, 1000 + SGTM_SEEN_RESERVED, WINDOW, &other),
            "still after 30 s");
    unit_ok(reserve(seen, 1, 1001 + SGTM_SEEN_RESERVED, WINDOW, &other),
            "a reservation of a process that crashed expires");

    sgtm_seen_release(seen, &ref);
    unit_ok(!reserve(seen, 1, 1001 + SGTM_SEEN_RESERVED, WINDOW, &ref),
            "its owner, if it lives, can't release the other's");

    sgtm_seen_release(seen, &other);
    unit_ok(reserve(seen, 1, 1400, WINDOW, &ref), "released");
    sgtm_seen_confirm(seen, &ref);
    sgtm_seen_release(seen, &ref);
    unit_ok(!reserve(seen, 1, 1400, WINDOW, &other), "confirmed is for good");
    unit_ok(!reserve(seen, 1, 1400 + WINDOW, 1, &other), "for its window");
    unit_ok(reserve(seen, 1, 1401 + WINDOW, WINDOW, &other),
            "and no longer");

    unit_ok(reserve(seen, 2, 50, 20, &ref), "a window under 30 s");
    unit_ok(!reserve(seen, 2, 70, 20, &other), "holds for the reserved");
    unit_ok(reserve(seen, 2, 71, 20, &other), "as well");

    unit_ok(reserve(seen, 5, 100, WINDOW, &ref)
            && reserve(seen, 5, 500, WINDOW, &other), "reserved, again");
    sgtm_seen_confirm(seen, &ref);
    unit_ok(reserve(seen, 5, 501 + SGTM_SEEN_RESERVED, WINDOW, &ref),
            "a late confirmation is not the other's");

    unit_ok(reserve(seen, 3, UINT32_MAX - 5, WINDOW, &ref)
            && !reserve(seen, 3, 5, WINDOW, &other), "over the clock's end");
    unit_ok(reserve(seen, 4, 500, WINDOW, &ref)
            && !reserve(seen, 4, 499, WINDOW, &other),
            "a clock that is a moment behind");
    unit_ok(is_sound(seen), "sound");
}


static void
test_full(void)
{
    uint32_t          i, bad;
    sgtm_seen_t      *seen;
    sgtm_seen_ref_t   ref, first;

    seen = table(1000);

    for (i = 0, bad = 0; i < 1000; i++) {
        bad += !reserve(seen, i, i, WINDOW, &ref);
        sgtm_seen_confirm(seen, &ref);

        if (i == 0) {
            first = ref;
        }
    }

    unit_ok(bad == 0 && sgtm_seen_evicted(seen) == 0
            && sgtm_seen_entries(seen) == 1000, "room for all");

    for (i = 0; i < 1000; i++) {
        bad += reserve(seen, i, 1000, WINDOW, &ref);
    }

    unit_ok(bad == 0, "all are seen");

    for (i = 1000; i < 1100; i++) {
        bad += !reserve(seen, i, 1000, WINDOW, &ref);
    }

    for (i = 100; i < 1100; i++) {
        bad += reserve(seen, i, 1000, WINDOW, &ref);
    }

    unit_ok(bad == 0 && sgtm_seen_evicted(seen) == 100,
            "the oldest 100 made room, the others are seen");

    sgtm_seen_confirm(seen, &first);
    sgtm_seen_release(seen, &first);
    unit_ok(is_sound(seen) && !reserve(seen, 1000, 1000, WINDOW, &ref),
            "who lost his slot does nothing to the next");

    for (i = 2000; i < 2900; i++) {
        bad += !reserve(seen, i, 2 * WINDOW, 10, &ref);
    }

    unit_ok(bad == 0 && sgtm_seen_evicted(seen) == 100,
            "what has expired makes room uncounted");

    for (i = 3000; i < 6000; i++) {
        bad += !reserve(seen, i, 3 * WINDOW, WINDOW, &ref);
        sgtm_seen_release(seen, &ref);
    }

    unit_ok(bad == 0 && sgtm_seen_evicted(seen) == 100 && is_sound(seen),
            "and what was released");

    seen = table(1);

    unit_ok(reserve(seen, 1, 0, WINDOW, &ref)
            && !reserve(seen, 1, 0, WINDOW, &ref)
            && reserve(seen, 2, 0, WINDOW, &ref)
            && !reserve(seen, 2, 0, WINDOW, &ref)
            && reserve(seen, 1, 0, WINDOW, &ref) && is_sound(seen),
            "a table of one");
}


/* the same as a list: the newest of an id is the one that counts */

#define MODEL  64

typedef struct {
    uint64_t         id;
    uint32_t         time;
    uint32_t         window;
    int              state;            /* 0 gone, 1 reserved, 2 confirmed */
    sgtm_seen_ref_t  ref;
} model_t;


static int
model_counts(const model_t *m, uint32_t now)
{
    uint32_t  life;

    life = (m->state == 1 && m->window > SGTM_SEEN_RESERVED)
           ? SGTM_SEEN_RESERVED : m->window;

    return m->state && now - m->time <= life;
}


static void
test_model(void)
{
    int               want, got;
    uint64_t          id;
    uint32_t          now, i, j, n, window, op, bad;
    model_t          *m, *ring;
    sgtm_seen_t      *seen;
    sgtm_seen_ref_t   ref;

    n = 200000;
    now = 0;
    bad = 0;
    seen = table(MODEL);
    ring = unit_alloc(n * sizeof(model_t));

    /* ring holds all that was ever inserted; the last MODEL have a slot */

    for (i = 0, j = 0; i < n; i++) {

        now += (uint32_t) (rnd() % 20 == 0 ? rnd() % 200 : 0);
        op = (uint32_t) (rnd() % 4);

        if (op >= 2 && j) {
            m = &ring[j - 1 - rnd() % (j < 2 * MODEL ? j : 2 * MODEL)];

            if (op == 2) {
                sgtm_seen_confirm(seen, &m->ref);
                m->state = (m->state == 1) ? 2 : m->state;

            } else {
                sgtm_seen_release(seen, &m->ref);
                m->state = (m->state == 1) ? 0 : m->state;
            }

            continue;
        }

        id = rnd() % (MODEL * 2);
        window = (uint32_t) (10 + rnd() % 1000);
        want = 1;

        for (m = ring + j; m-- > ring + (j > MODEL ? j - MODEL : 0); ) {

            if (m->id == id && m->state) {
                want = !model_counts(m, now);
                m->state = want ? 0 : m->state;
                break;
            }
        }

        got = reserve(seen, id, now, window, &ref);
        bad += (want != got);

        if (got) {
            m = &ring[j++];
            m->id = id;
            m->time = now;
            m->window = window;
            m->state = 1;
            m->ref = ref;

            if (j > MODEL) {
                ring[j - 1 - MODEL].state = 0;
            }
        }
    }

    unit_ok(bad == 0, "%u calls, %u insertions: as a plain list", n, j);
    unit_ok(is_sound(seen), "sound");
}


/* each call of a long row ends at its first, second, ... place of order */

static void
test_prefixes(void)
{
    volatile unsigned          at, bad, deaths;
    volatile uint32_t          i;
    static sgtm_seen_t        *seen;
    static sgtm_seen_ref_t     ref, last;

    bad = 0;
    deaths = 0;

    for (at = 1; at <= 8; at++) {

        seen = table(24);

        for (i = 0; i < 2000; i++) {

            step = 0;
            die_at = (rnd() % 3 == 0) ? at : 0;

            if (setjmp(died) == 0) {

                if (reserve(seen, rnd() % 40, i, 50, &ref)) {
                    last = ref;
                }

                if (rnd() % 3 == 0) {
                    sgtm_seen_release(seen, &last);

                } else if (rnd() % 3 == 0) {
                    sgtm_seen_confirm(seen, &last);
                }

            } else {
                deaths++;
            }

            die_at = 0;

            if (!is_sound(seen)) {
                bad++;
                break;
            }
        }

        bad += !works(seen, 100000);
    }

    unit_ok(deaths > 1000 && bad == 0,
            "%u deaths between two stores: sound, and works", deaths);
}


static void
hammer(sgtm_seen_t *seen)
{
    sgtm_seen_ref_t  ref;

    for ( ;; ) {

        if (reserve(seen, rnd() % 100, (uint32_t) (rnd() % 200), 100, &ref)
            && rnd() % 2)
        {
            sgtm_seen_release(seen, &ref);
        }
    }
}


static void
test_killed(void)
{
    pid_t             pid;
    size_t            size;
    unsigned          n, bad;
    sgtm_seen_t      *seen;
    struct timespec   ts;

    size = sgtm_seen_size(64);
    seen = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS,
                -1, 0);

    if (!unit_ok(seen != MAP_FAILED, "shared memory")) {
        return;
    }

    sgtm_seen_init(seen, 64);
    fflush(stdout);

    for (n = 0, bad = 0; n < 200 && !bad; n++) {

        seed = n;
        pid = fork();

        if (pid == 0) {
            hammer(seen);
        }

        if (pid == -1) {
            bad++;
            break;
        }

        ts.tv_sec = 0;
        ts.tv_nsec = 1000000 + (long) (rnd() % 3000000);
        nanosleep(&ts, NULL);

        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);

        bad += !is_sound(seen);
        bad += !works(seen, 100000 + n);
    }

    unit_ok(bad == 0, "%u processes killed: sound, and works", n);

    (void) munmap(seen, size);
}


int
main(void)
{
    test_sizes();
    test_life();
    test_full();
    test_model();
    test_prefixes();
    test_killed();

    return unit_done();
}
