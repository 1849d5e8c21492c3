
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Machines that share a rate by what they know of a counter: all together they
 * take what the rate allows, however the hits are divided, whenever that
 * changes, and although their rounds are late or left out; of a low number of
 * hits none is refused.  While nothing is heard they stay below twice the rate.
 * Guards against parts that make up more or less than the whole, a machine that
 * can't begin or that keeps what it does not use, and counters that were lost.
 */


#include <math.h>

#include "../../src/tenant/sgtm_share.h"
#include "unit.h"


#define MACHINES  3
#define RATE      500
#define MS        1000000ULL
#define ROUND     (200 * MS)


typedef struct {
    sgtm_share_t           share;
    sgtm_share_machines_t  count;
    uint32_t               part;
    unsigned               machines;
    uint64_t               round;      /* when the next one is */
    uint64_t               asked;
    uint64_t               arrival;    /* as the limit has it */
    double                 due;
} machine_t;


typedef struct {
    machine_t              m[MACHINES];
    uint64_t               now;
    uint64_t               total;
    uint64_t               rounds;
    uint32_t               random;
    unsigned               late;       /* percent of a round, at most */
    unsigned               missed;     /* percent of them */
    unsigned               deaf;
} fleet_t;


static unsigned
test_random(fleet_t *f, unsigned n)
{
    f->random = f->random * 1103515245 + 12345;

    return (f->random >> 16) % n;
}


static void
test_init(fleet_t *f, unsigned late, unsigned missed)
{
    unsigned  i;

    memset(f, 0, sizeof(fleet_t));

    f->now = 1000 * MS;
    f->random = 1;
    f->late = late;
    f->missed = missed;

    for (i = 0; i < MACHINES; i++) {
        f->m[i].machines = 1;
        f->m[i].round = f->now + i * ROUND / MACHINES;
    }
}


static void
test_set(fleet_t *f, machine_t *m, uint32_t part)
{
    uint32_t  even, last, next;

    even = sgtm_share_even(m->machines);
    last = m->part ? m->part : even;
    next = part ? part : even;

    if (m->arrival > f->now) {
        m->arrival = f->now + (uint64_t) ((double) (m->arrival - f->now)
                                          * last / next);
    }

    m->part = part;
}


static void
test_round(fleet_t *f, machine_t *m)
{
    uint64_t  own;

    m->round += ROUND + (f->late ? test_random(f, f->late) * ROUND / 100 : 0);

    if (test_random(f, 100) < f->missed) {
        return;
    }

    if (f->deaf) {
        test_set(f, m, sgtm_share_alone(&m->share, m->machines));
        return;
    }

    own = sgtm_share_tell(&m->share, f->now, ROUND, 1000 * MS / RATE, m->asked);
    m->asked = 0;
    f->total += own;
    f->rounds++;

    m->machines = sgtm_share_machines(&m->count, f->now, ROUND, f->rounds,
                                      m->machines);

    if (own && sgtm_share_heard(&m->share, f->now, own, f->total)) {
        test_set(f, m, sgtm_share_part(&m->share, 1000 * MS / RATE,
                                       m->machines));
    }
}


/* the hits that are taken, of so many milliseconds, over those of the rate */

static double
test_run(fleet_t *f, unsigned ms, const double load[MACHINES])
{
    double     interval;
    uint64_t   end, taken, next;
    unsigned   i;
    machine_t  *m;

    taken = 0;

    for (end = f->now + ms * MS; f->now < end; f->now += MS) {

        for (i = 0; i < MACHINES; i++) {
            m = &f->m[i];

            if (f->now >= m->round) {
                test_round(f, m);
            }

            /* as many as that, but not evenly */

            m->due += load[i] * RATE / 1000 * test_random(f, 3);

            for ( /* void */ ; m->due >= 1; m->due -= 1) {

                m->asked++;

                interval = 1000.0 * MS / RATE * SGTM_SHARE_WHOLE
                           / (m->part ? m->part
                                      : sgtm_share_even(m->machines));
                next = m->arrival > f->now ? m->arrival : f->now;

                /* a burst of 30 for all */

                if ((double) (next - f->now) <= 10 * interval) {
                    m->arrival = next + (uint64_t) interval;
                    taken++;
                }
            }
        }
    }

    return (double) taken * 1000 / ms / RATE;
}


static void
test_loads(unsigned late, unsigned missed, double error)
{
    double    ratio;
    size_t    i;
    fleet_t  *f;

    static const struct {
        const char  *name;
        double       load[MACHINES];
    } loads[] = {
        { "even", { 1, 1, 1 } },
        { "skewed", { 3, 0.2, 0.1 } },
        { "moved", { 0.1, 0.2, 3 } },
        { "more", { 5, 9, 7 } },
        { "one", { 0, 2, 0 } },
        { "another", { 2, 0, 0 } },
        { "just enough", { 0.5, 0.3, 0.3 } }
    };

    f = unit_alloc(sizeof(fleet_t));
    test_init(f, late, missed);

    for (i = 0; i < unit_nelts(loads); i++) {

        (void) test_run(f, 1000, loads[i].load);
        ratio = test_run(f, 4000, loads[i].load);

        unit_ok(fabs(ratio - 1) < error,
                "%s, %u%% late, %u%% missed: %.3f of the rate",
                loads[i].name, late, missed, ratio);
    }

    unit_ok(f->m[0].machines == MACHINES, "the number of machines");
}


static void
test_low(void)
{
    double    ratio;
    fleet_t  *f;

    static const double  load[] = { 0.4, 0.1, 0.1 };

    f = unit_alloc(sizeof(fleet_t));
    test_init(f, 20, 5);

    (void) test_run(f, 1000, load);
    ratio = test_run(f, 4000, load);

    unit_ok(fabs(ratio - 0.6) < 0.03, "below the rate none is refused: %.3f",
            ratio);
}


static void
test_deaf(void)
{
    double    ratio;
    fleet_t  *f;

    static const double  before[] = { 3, 0.1, 0.1 };
    static const double  load[] = { 9, 9, 9 };

    f = unit_alloc(sizeof(fleet_t));
    test_init(f, 20, 5);

    (void) test_run(f, 3000, before);

    f->deaf = 1;
    ratio = test_run(f, 4000, load);

    unit_ok(ratio > 1 && ratio < 2, "alone all stay below twice the rate: %.3f",
            ratio);

    f->deaf = 0;
    (void) test_run(f, 2000, load);
    ratio = test_run(f, 2000, load);

    unit_ok(fabs(ratio - 1) < 0.05, "and together keep to it: %.3f", ratio);
}


static void
test_counters(void)
{
    uint64_t                now;
    unsigned                i, n;
    sgtm_share_t            s;
    sgtm_share_machines_t   count;

    memset(&s, 0, sizeof(sgtm_share_t));

    unit_ok(!sgtm_share_heard(&s, 5 * MS, 10, 1000), "the first answer");
    unit_ok(sgtm_share_alone(&s, 4) == SGTM_SHARE_WHOLE / 4, "even parts");
    unit_ok(sgtm_share_heard(&s, 205 * MS, 10, 1040), "the next one");
    unit_ok(sgtm_share_part(&s, MS, 4) == SGTM_SHARE_WHOLE / 100 * 85
            || sgtm_share_part(&s, MS, 4) > SGTM_SHARE_WHOLE / 100 * 84,
            "what the others leave");
    unit_ok(sgtm_share_part(&s, 100 * MS, 4) == SGTM_SHARE_WHOLE / 4,
            "or a part of what is asked for");
    unit_ok(!sgtm_share_heard(&s, 405 * MS, 10, 10), "a counter that was lost");
    unit_ok(!sgtm_share_heard(&s, 605 * MS, 10, 15), "one that lacks hits");
    unit_ok(sgtm_share_heard(&s, 805 * MS, 10, 25)
            && sgtm_share_part(&s, 1000 * MS, 4) == SGTM_SHARE_WHOLE,
            "nobody else asks");
    unit_ok(sgtm_share_heard(&s, 1005 * MS, 0, 1000000)
            && sgtm_share_part(&s, 1000 * MS, 4)
               == SGTM_SHARE_WHOLE / 64 / 4,
            "there is always a little");
    unit_ok(sgtm_share_heard(&s, UINT64_MAX, 0, UINT64_MAX)
            && sgtm_share_part(&s, UINT64_MAX, 1) >= 1, "the largest numbers");

    memset(&s, 0, sizeof(sgtm_share_t));

    unit_ok(sgtm_share_tell(&s, 0, ROUND, 100 * MS, 3) == 3, "hits are told");
    unit_ok(sgtm_share_tell(&s, 0, ROUND, 100 * MS, 9) == 5,
            "up to twice the rate");
    unit_ok(sgtm_share_tell(&s, 0, ROUND, 60000 * MS, 9) == 1, "but one");
    unit_ok(sgtm_share_tell(&s, 0, ROUND, 0, 9) == 9, "of a rate or of none");

    memset(&count, 0, sizeof(sgtm_share_machines_t));

    for (now = ROUND, n = 1, i = 0; i < 30; i++, now += ROUND) {
        n = sgtm_share_machines(&count, now, ROUND, 7 * (i + 1), n);
    }

    unit_ok(n == 7, "seven machines");

    for (i = 0; i < 30; i++, now += ROUND) {
        n = sgtm_share_machines(&count, now, ROUND, 7 * 30 + 2 * (i + 1), n);
    }

    unit_ok(n == 2, "of which five have gone");

    n = sgtm_share_machines(&count, now, ROUND, 1, n);
    unit_ok(n == 2, "a counter that was lost tells nothing");
    n = sgtm_share_machines(&count, now + ROUND, ROUND, UINT64_MAX, n);
    unit_ok(n > 2 && n < 10000, "nor is an absurd one believed at once");
}


int
main(void)
{
    test_loads(0, 0, 0.02);
    test_loads(10, 2, 0.02);
    test_loads(50, 20, 0.05);
    test_low();
    test_deaf();
    test_counters();

    return unit_done();
}
