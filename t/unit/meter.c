
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The meter: what is counted, and its file.  Months are those of the C library;
 * events are in the file, each in its month, also where a month ends or the
 * clock is set; what was used of a quota is known after a restart, and told
 * once.  It guards against a bill that is wrong.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <time.h>

#include "unit_meter.h"


static void
calendar(void)
{
    int        bad;
    time_t     t;
    struct tm  tm;

    bad = 0;

    for (t = 0; t < (time_t) 30000000000; t += 41 * 3600 + 7) {
        (void) gmtime_r(&t, &tm);

        bad += (sgtm_meter_month(t)
                != (uint32_t) (12 * (tm.tm_year + 1900) + tm.tm_mon));
        bad += (sgtm_meter_day(t) != (unsigned) tm.tm_mday);
    }

    unit_ok(!bad, "months and days of 950 years are those of gmtime()");

    unit_ok(sgtm_meter_month(OCTOBER) + 1 == sgtm_meter_month(NOVEMBER)
            && sgtm_meter_day(NOVEMBER) == 1,
            "a month ends with its last second");

    unit_ok(sgtm_meter_month(-5) == 12 * 1970
            && sgtm_meter_month(INT64_MAX) < 65536
            && sgtm_meter_month(INT64_MIN) == 12 * 1970,
            "a clock that is wrong has a month, too");
}


static void
places(void)
{
    char                 name[32];
    unsigned             n, made, bad;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_stat_t    stat;
    sgtm_meter_entry_t  *e;

    unit_ok(meter(4096, 7) == NULL, "a page is no meter");

    m = meter(SIZE, 7);
    id = str("shop");

    unit_ok(sgtm_meter_known(m, &id) == NULL, "nobody is known");

    e = sgtm_meter_find(m, &id);

    unit_ok(e && e == sgtm_meter_find(m, &id) && e == sgtm_meter_known(m, &id),
            "a tenant has one place");
    unit_ok(sgtm_meter_entry(m, sgtm_meter_key(m, e)) == e,
            "which a key leads to");
    unit_ok(sgtm_meter_entry(m, 0) == NULL
            && sgtm_meter_entry(meter(SIZE, 8), sgtm_meter_key(m, e)) == NULL,
            "but none of another meter");

    id.len = 0;
    unit_ok(sgtm_meter_find(m, &id) != NULL, "an empty id is one");

    for (n = 0, made = 0; n < 10000; n++) {
        (void) snprintf(name, sizeof(name), "shop-%u.example", n);
        id = str(name);
        made += (sgtm_meter_find(m, &id) != NULL);
    }

    for (n = 0, bad = 0; n < made; n++) {
        (void) snprintf(name, sizeof(name), "shop-%u.example", n);
        id = str(name);
        e = sgtm_meter_known(m, &id);
        bad += (e == NULL || e->len != id.len
                || memcmp(e->id, id.data, id.len) != 0);
    }

    sgtm_meter_stat(m, &stat);

    unit_ok(made > 1200 && made < 10000 && !bad,
            "%u tenants have room in %u kB", made, SIZE / 1024);
    unit_ok(stat.tenants == made + 2 && stat.refused == 10000 - made
            && stat.used <= stat.size,
            "the others are refused, and counted");
}


static int
count(void *data, const char *text, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *r)
{
    unsigned *n = data;

    *n += (strcmp(text, "2026-11") == 0 && tenant->len > 5
           && r->counts[SGTM_METER_ACCEPTED] == 2
           && r->counts[SGTM_METER_FORWARDED] == 1);

    return 0;
}


/* more than go into one transaction */

static void
many(void)
{
    char                 name[32];
    unsigned             i, n;
    uint32_t             nov;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_file_t   *f;
    sgtm_meter_entry_t  *e;

    erase();

    f = file();
    m = meter(8 * 1024 * 1024, 1);
    nov = sgtm_meter_month(NOVEMBER);

    for (i = 0; i < 40000; i++) {
        (void) snprintf(name, sizeof(name), "shop-%u", i);
        id = str(name);
        e = sgtm_meter_find(m, &id);

        if (e != NULL) {
            sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 2);
            sgtm_meter_add(m, e, nov, SGTM_METER_FORWARDED, 1);
        }
    }

    n = 0;

    unit_ok(sgtm_meter_write(m, f, NOVEMBER, 1) == SGTM_OK
            && sgtm_meter_file_list(f, NULL, NULL, count, &n) == SGTM_OK
            && n == 40000,
            "%u tenants of 40000 are in the file", n);

    n = 0;

    unit_ok(sgtm_meter_file_list(f, "2026-11", "shop-77", count, &n)
            == SGTM_OK && n == 1, "one is found");

    sgtm_meter_file_destroy(f);
}


static void
months(void)
{
    uint32_t             oct, nov;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_sum_t     sum;
    sgtm_meter_file_t   *f;
    sgtm_meter_entry_t  *e;

    erase();

    f = file();
    m = meter(SIZE, 1);
    id = str("a");
    e = sgtm_meter_find(m, &id);
    oct = sgtm_meter_month(OCTOBER);
    nov = oct + 1;

    sgtm_meter_add(m, e, oct, SGTM_METER_ACCEPTED, 10);
    sgtm_meter_add(m, e, oct, SGTM_METER_FORWARDED, 7);
    sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 5);
    sgtm_meter_add(m, e, nov, SGTM_METER_QUOTA, 2);
    sgtm_meter_add(m, e, oct, SGTM_METER_FORWARDED, 3);

    sgtm_meter_sum(m, e, oct, &sum);
    unit_ok(sum.accepted == 10 && sum.forwarded == 10 && sum.dropped == 0,
            "a month has its own events");

    sgtm_meter_sum(m, e, nov, &sum);
    unit_ok(sum.accepted == 5 && sum.forwarded == 0 && sum.dropped == 2,
            "and the next one, at the same time");

    unit_ok(sgtm_meter_write(m, f, NOVEMBER, 1) == SGTM_OK, "written");
    unit_ok(row(oct, "a", SGTM_METER_ACCEPTED) == 10
            && row(oct, "a", SGTM_METER_FORWARDED) == 10
            && row(nov, "a", SGTM_METER_ACCEPTED) == 5
            && row(nov, "a", SGTM_METER_QUOTA) == 2,
            "each is in the file");

    sgtm_meter_sum(m, e, nov, &sum);
    unit_ok(sum.accepted == 5 && sum.dropped == 2,
            "what was written is the month's still");

    sgtm_meter_file_destroy(f);
}


/* a month is over, and the clock is not what it should be */

static void
ends(void)
{
    unsigned             i;
    uint32_t             oct, nov;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_file_t   *f;
    sgtm_meter_entry_t  *e;

    erase();

    f = file();
    m = meter(SIZE, 1);
    id = str("a");
    e = sgtm_meter_find(m, &id);
    oct = sgtm_meter_month(OCTOBER);
    nov = oct + 1;

    sgtm_meter_add(m, e, oct, SGTM_METER_ACCEPTED, 10);
    sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 5);
    (void) sgtm_meter_write(m, f, NOVEMBER, 1);

    /* a hit of October is delivered in November, then nothing for long */

    sgtm_meter_add(m, e, oct, SGTM_METER_FORWARDED, 1);
    (void) sgtm_meter_write(m, f, NOVEMBER + 19 * DAY, 1);
    (void) sgtm_meter_write(m, f, NOVEMBER + 19 * DAY, 1);
    unit_ok(row(oct, "a", SGTM_METER_FORWARDED) == 1
            && sgtm_meter_half(m->sets, 0) == oct,
            "a month is open when the next one has begun");

    (void) sgtm_meter_write(m, f, NOVEMBER + 20 * DAY, 1);
    unit_ok(sgtm_meter_half(m->sets, 0) == (oct | SGTM_METER_DRAINING),
            "but not for ever");
    (void) sgtm_meter_write(m, f, NOVEMBER + 20 * DAY, 1);
    unit_ok(sgtm_meter_half(m->sets, 0) == 0, "it makes room");

    sgtm_meter_add(m, e, nov + 1, SGTM_METER_ACCEPTED, 9);
    (void) sgtm_meter_write(m, f, NOVEMBER + 30 * DAY, 1);
    unit_ok(row(nov + 1, "a", SGTM_METER_ACCEPTED) == 9
            && row(nov, "a", SGTM_METER_ACCEPTED) == 5
            && row(oct, "a", SGTM_METER_ACCEPTED) == 10,
            "for the month after the next");

    /* the clock is set back over the end of a month, and the file is written */

    sgtm_meter_add(m, e, nov, SGTM_METER_DENIED, 1);
    (void) sgtm_meter_write(m, f, NOVEMBER + 30 * DAY - 9, 1);
    (void) sgtm_meter_write(m, f, NOVEMBER + 30 * DAY - 8, 1);
    sgtm_meter_add(m, e, nov + 1, SGTM_METER_DENIED, 2);
    (void) sgtm_meter_write(m, f, NOVEMBER + 30 * DAY, 1);
    unit_ok(row(nov, "a", SGTM_METER_DENIED) == 1
            && row(nov + 1, "a", SGTM_METER_DENIED) == 2,
            "over the end of a month, and forth");

    /* the clock goes mad: ten years on, back, on, before anybody writes */

    for (i = 0; i < 10; i++) {
        sgtm_meter_add(m, e, nov + 1, SGTM_METER_FORWARDED, 1);
        sgtm_meter_add(m, e, nov + 120, SGTM_METER_FORWARDED, 1);
        sgtm_meter_add(m, e, nov - 120, SGTM_METER_FORWARDED, 1);
    }

    for (i = 0; i < 3; i++) {
        (void) sgtm_meter_write(m, f, NOVEMBER + 30 * DAY, 1);
    }

    unit_ok(row(nov + 1, "a", SGTM_METER_FORWARDED)
            + row(nov, "a", SGTM_METER_FORWARDED)
            + row(nov + 120, "a", SGTM_METER_FORWARDED)
            + row(nov - 120, "a", SGTM_METER_FORWARDED) == 30,
            "a clock that jumps loses nothing");

    for (i = 0; i < 3; i++) {
        (void) sgtm_meter_write(m, f, NOVEMBER + 31 * DAY, 1);
    }

    sgtm_meter_add(m, e, nov + 1, SGTM_METER_FORWARDED, 100);
    (void) sgtm_meter_write(m, f, NOVEMBER + 31 * DAY, 1);
    unit_ok(row(nov + 1, "a", SGTM_METER_FORWARDED) >= 110,
            "and once it is right, months are");

    sgtm_meter_file_destroy(f);
}


static void
quotas(void)
{
    uint32_t             nov;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_entry_t  *e;

    m = meter(SIZE, 1);
    id = str("a");
    e = sgtm_meter_find(m, &id);
    nov = sgtm_meter_month(NOVEMBER);

    unit_ok(sgtm_meter_use(e, nov - 1, 1000) == 1000
            && sgtm_meter_use(e, nov, 3) == 3
            && sgtm_meter_use(e, nov, 4) == 7
            && sgtm_meter_used(e, nov) == 7
            && sgtm_meter_used(e, nov - 1) == 0,
            "a month begins with nothing used");
    unit_ok(sgtm_meter_use(e, nov + 1, UINT64_MAX) == SGTM_METER_MASK
            && sgtm_meter_use(e, nov + 1, 5) == SGTM_METER_MASK,
            "more than a word holds is the most");

    unit_ok(!sgtm_meter_tell(e, nov, 0) && sgtm_meter_tell(e, nov, 80)
            && !sgtm_meter_tell(e, nov, 80) && sgtm_meter_tell(e, nov, 100)
            && !sgtm_meter_tell(e, nov, 0) && !sgtm_meter_tell(e, nov, 80)
            && sgtm_meter_tell(e, nov + 1, 80),
            "each level is told once a month");

    e->known = nov + 1;

    unit_ok(!sgtm_meter_tell(e, nov + 1, 0) && sgtm_meter_tell(e, nov + 1, 80),
            "and again after less, once the file was read");

}


static void
gives(void)
{
    uint32_t             nov;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_entry_t  *e;

    m = meter(SIZE, 1);
    id = str("a");
    e = sgtm_meter_find(m, &id);
    nov = sgtm_meter_month(NOVEMBER);

    (void) sgtm_meter_use(e, nov, 6);
    sgtm_meter_give(e, nov - 1, 1);
    sgtm_meter_give(e, nov, 2);
    unit_ok(sgtm_meter_used(e, nov) == 4, "what failed is given back");

    sgtm_meter_give(e, nov, 9);
    unit_ok(sgtm_meter_used(e, nov) == 0, "but no more than there is");
}


/* other memory, which knows of the month what the file says */

static void
restarts(void)
{
    uint32_t             nov;
    sgtm_str_t           id;
    sgtm_meter_t        *m, *next;
    sgtm_meter_sum_t     sum;
    sgtm_meter_file_t   *f;
    sgtm_meter_entry_t  *e;

    erase();

    f = file();
    m = meter(SIZE, 1);
    id = str("a");
    e = sgtm_meter_find(m, &id);
    nov = sgtm_meter_month(NOVEMBER);

    /* what counts: all but what was dropped, or has failed since */

    (void) sgtm_meter_use(e, nov, 4);
    (void) sgtm_meter_tell(e, nov, 80);

    sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 11);
    sgtm_meter_add(m, e, nov, SGTM_METER_DENIED, 1);
    sgtm_meter_add(m, e, nov, SGTM_METER_DUPLICATE, 1);
    sgtm_meter_add(m, e, nov, SGTM_METER_LIMITED, 1);
    sgtm_meter_add(m, e, nov, SGTM_METER_FILTERED, 1);
    sgtm_meter_add(m, e, nov, SGTM_METER_QUOTA, 1);
    sgtm_meter_add(m, e, nov, SGTM_METER_FAILED, 2);
    sgtm_meter_add(m, e, nov, SGTM_METER_FORWARDED, 4);

    (void) sgtm_meter_write(m, f, NOVEMBER, 1);

    /* a restart: other memory; hits come before the file was read */

    next = meter(SIZE, 2);
    e = sgtm_meter_find(next, &id);

    (void) sgtm_meter_use(e, nov, 2);
    sgtm_meter_add(next, e, nov, SGTM_METER_ACCEPTED, 2);

    unit_ok(sgtm_meter_write(next, f, NOVEMBER + 5, 0) == SGTM_OK
            && sgtm_meter_used(e, nov) == 6,
            "the file says what was used before a restart");

    sgtm_meter_sum(next, e, nov, &sum);
    unit_ok(sum.accepted == 13 && sum.forwarded == 4 && sum.dropped == 7
            && sum.told == 80,
            "and all the rest of the month");
    unit_ok(row(nov, "a", SGTM_METER_ACCEPTED) == 11,
            "nothing was written for that");

    (void) sgtm_meter_write(next, f, NOVEMBER + 10, 1);
    (void) sgtm_meter_write(next, f, NOVEMBER + 10, 1);
    sgtm_meter_sum(next, e, nov, &sum);
    unit_ok(sum.accepted == 13 && sgtm_meter_used(e, nov) == 6
            && row(nov, "a", SGTM_METER_ACCEPTED) == 13,
            "it is read once, and what is new is added");

    /* a pass that began before the month did */

    e = sgtm_meter_find(next, &id);

    (void) sgtm_meter_use(e, nov + 1, 7);
    sgtm_meter_add(next, e, nov + 1, SGTM_METER_ACCEPTED, 7);
    (void) sgtm_meter_write(next, f, NOVEMBER + 30 * DAY - 1, 1);
    (void) sgtm_meter_write(next, f, NOVEMBER + 30 * DAY, 1);
    unit_ok(sgtm_meter_used(e, nov + 1) == 7
            && row(nov + 1, "a", SGTM_METER_ACCEPTED) == 7,
            "a month that began while it was written counts once");

    /* the same with a clock that is set back for good */

    (void) sgtm_meter_use(e, nov, 1);
    sgtm_meter_add(next, e, nov, SGTM_METER_ACCEPTED, 1);
    (void) sgtm_meter_write(next, f, NOVEMBER + 20, 1);
    (void) sgtm_meter_write(next, f, NOVEMBER + 20, 1);
    sgtm_meter_sum(next, e, nov, &sum);
    unit_ok(sgtm_meter_used(e, nov) == 7 && sum.accepted == 14
            && row(nov, "a", SGTM_METER_ACCEPTED) == 14,
            "and the one that comes again goes on");

    /* the old one goes on meanwhile, as while a binary is replaced */

    e = sgtm_meter_find(m, &id);
    sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 100);
    (void) sgtm_meter_write(m, f, NOVEMBER + 11, 1);
    unit_ok(row(nov, "a", SGTM_METER_ACCEPTED) == 114, "two may count");

    sgtm_meter_file_destroy(f);
}


int
main(void)
{
    begin();

    calendar();
    places();
    many();
    months();
    ends();
    quotas();
    gives();
    restarts();

    return end();
}
