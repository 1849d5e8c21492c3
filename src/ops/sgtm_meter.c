
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_meter_core.h"


/* so many entries that no more than two share a chain, as a rule */
#define SGTM_METER_ENTRY  160

/* a second of 5460, in whose years a month fits into 16 bits */
#define SGTM_METER_LAST   ((int64_t) 110000000000)


static void sgtm_meter_civil(int64_t seconds, uint32_t *month, unsigned *day);
static uint32_t sgtm_meter_hash(const sgtm_str_t *id);
static uint32_t sgtm_meter_look(sgtm_meter_t *meter, uint32_t ref,
    uint32_t end, uint32_t hash, const sgtm_str_t *id);
static uint32_t sgtm_meter_alloc(sgtm_meter_t *meter, uint32_t n);
static unsigned sgtm_meter_set(sgtm_meter_t *meter, uint32_t month);


const sgtm_str_t  sgtm_meter_names[] = {
    sgtm_string("accepted"),
    sgtm_string("forwarded"),
    sgtm_string("denied"),
    sgtm_string("duplicate"),
    sgtm_string("limited"),
    sgtm_string("filtered"),
    sgtm_string("quota"),
    sgtm_string("failed")
};


uint32_t
sgtm_meter_month(int64_t seconds)
{
    unsigned  day;
    uint32_t  month;

    sgtm_meter_civil(seconds, &month, &day);

    return month;
}


unsigned
sgtm_meter_day(int64_t seconds)
{
    unsigned  day;
    uint32_t  month;

    sgtm_meter_civil(seconds, &month, &day);

    return day;
}


/*
 * The Gregorian calendar, as if years began in March: the leap day is the last
 * one then, and each five months have 153 days.
 */

static void
sgtm_meter_civil(int64_t seconds, uint32_t *month, unsigned *day)
{
    uint32_t  days, year, m;

    if (seconds < 0 || seconds > SGTM_METER_LAST) {
        seconds = (seconds < 0) ? 0 : SGTM_METER_LAST;
    }

    /* from the 1st of March of the year 0 */

    days = (uint32_t) (seconds / 86400) + 719468;

    year = (uint32_t) ((4 * (uint64_t) days + 3) / 146097);
    days -= year * 146097 / 4;

    year *= 100;

    m = (4 * days + 3) / 1461;
    days -= m * 1461 / 4;
    year += m;

    m = (5 * days + 2) / 153;

    *day = days - (153 * m + 2) / 5 + 1;
    *month = 12 * year + m + 2;
}


sgtm_meter_t *
sgtm_meter_create(void *mem, size_t size, uint32_t epoch)
{
    size_t         head;
    uint32_t       n;
    sgtm_meter_t  *meter;

    if (size / SGTM_METER_GRAIN > UINT32_MAX) {
        size = (size_t) UINT32_MAX * SGTM_METER_GRAIN;
    }

    for (n = 1; n < size / SGTM_METER_ENTRY / 2; n <<= 1) { /* void */ }

    head = sizeof(sgtm_meter_t) + n * sizeof(uint32_t);
    head = (head + SGTM_METER_GRAIN - 1) / SGTM_METER_GRAIN;

    if (size / SGTM_METER_GRAIN < head + SGTM_METER_ENTRY) {
        return NULL;
    }

    meter = mem;

    memset(meter, 0, head * SGTM_METER_GRAIN);

    meter->epoch = epoch;
    meter->nchains = n;
    meter->first = (uint32_t) head;
    meter->end = (uint32_t) (size / SGTM_METER_GRAIN);

    atomic_store(&meter->grains, meter->first);

    return meter;
}


sgtm_meter_entry_t *
sgtm_meter_known(sgtm_meter_t *meter, const sgtm_str_t *id)
{
    uint32_t  hash, ref;

    hash = sgtm_meter_hash(id);

    ref = sgtm_meter_look(meter,
                          atomic_load(&meter->chains[hash
                                                     & (meter->nchains - 1)]),
                          0, hash, id);

    return ref ? sgtm_meter_at(meter, ref) : NULL;
}


sgtm_meter_entry_t *
sgtm_meter_find(sgtm_meter_t *meter, const sgtm_str_t *id)
{
    uint32_t             n, hash, ref, first, seen, made;
    _Atomic uint32_t    *chain;
    sgtm_meter_entry_t  *e;

    if (id->len > UINT16_MAX) {
        return NULL;
    }

    hash = sgtm_meter_hash(id);
    chain = &meter->chains[hash & (meter->nchains - 1)];

    first = atomic_load(chain);
    ref = sgtm_meter_look(meter, first, 0, hash, id);

    if (ref) {
        return sgtm_meter_at(meter, ref);
    }

    n = (uint32_t) ((offsetof(sgtm_meter_entry_t, id) + id->len
                     + SGTM_METER_GRAIN - 1) / SGTM_METER_GRAIN);

    made = sgtm_meter_alloc(meter, n);

    if (made == 0) {
        return NULL;
    }

    e = sgtm_meter_at(meter, made);

    memset(e, 0, (size_t) n * SGTM_METER_GRAIN);

    e->hash = hash;
    e->len = (uint16_t) id->len;

    if (id->len) {
        memcpy(e->id, id->data, id->len);
    }

    for ( ;; ) {
        atomic_store(&e->next, first);
        seen = first;

        if (atomic_compare_exchange_strong(chain, &first, made)) {
            (void) atomic_fetch_add(&meter->entries, 1);
            return e;
        }

        /* others were first, perhaps with the same tenant */

        ref = sgtm_meter_look(meter, first, seen, hash, id);

        if (ref) {
            made += n;
            (void) atomic_compare_exchange_strong(&meter->grains, &made,
                                                  made - n);

            return sgtm_meter_at(meter, ref);
        }
    }
}


/* FNV-1a: an id is the operator's, nobody else chooses it */

static uint32_t
sgtm_meter_hash(const sgtm_str_t *id)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261u;

    for (i = 0; i < id->len; i++) {
        hash = (hash ^ id->data[i]) * 16777619;
    }

    return hash;
}


/* of a chain from ref on, up to end: the tenant's entry, or 0 */

static uint32_t
sgtm_meter_look(sgtm_meter_t *meter, uint32_t ref, uint32_t end, uint32_t hash,
    const sgtm_str_t *id)
{
    sgtm_meter_entry_t  *e;

    while (ref != end) {

        e = sgtm_meter_at(meter, ref);

        if (e->hash == hash && e->len == id->len
            && (id->len == 0 || memcmp(e->id, id->data, id->len) == 0))
        {
            return ref;
        }

        ref = atomic_load(&e->next);
    }

    return 0;
}


/* a process that dies before the entry is in its chain leaves it unused */

static uint32_t
sgtm_meter_alloc(sgtm_meter_t *meter, uint32_t n)
{
    uint32_t  ref;

    ref = atomic_load(&meter->grains);

    do {
        if (meter->end - ref < n) {
            (void) atomic_fetch_add(&meter->refused, 1);
            return 0;
        }

    } while (!atomic_compare_exchange_weak(&meter->grains, &ref, ref + n));

    return ref;
}


uint64_t
sgtm_meter_key(const sgtm_meter_t *meter, const sgtm_meter_entry_t *e)
{
    return (uint64_t) meter->epoch << 32
           | (((uintptr_t) e - (uintptr_t) meter) / SGTM_METER_GRAIN);
}


sgtm_meter_entry_t *
sgtm_meter_entry(sgtm_meter_t *meter, uint64_t key)
{
    return (key >> 32 == meter->epoch)
           ? sgtm_meter_at(meter, (uint32_t) key) : NULL;
}


void
sgtm_meter_add(sgtm_meter_t *meter, sgtm_meter_entry_t *e, uint32_t month,
    unsigned what, uint32_t n)
{
    unsigned   set;
    uint64_t   sets;
    uint32_t   was;

    sets = atomic_load_explicit(&meter->sets, memory_order_relaxed);

    if (sgtm_meter_half(sets, 0) == month) {
        set = 0;

    } else if (sgtm_meter_half(sets, 1) == month) {
        set = 1;

    } else {
        set = sgtm_meter_set(meter, month);
    }

    was = atomic_fetch_add_explicit(&e->waiting[set][what], n,
                                    memory_order_relaxed);

    if (was >= SGTM_METER_FULL) {
        (void) atomic_fetch_sub_explicit(&e->waiting[set][what], n,
                                         memory_order_relaxed);
    }
}


/*
 * The set of a month; a free one becomes it.  While there is none, as with a
 * clock that jumps from month to month before the writer comes around, events
 * count in the month that is nearest.
 */

static unsigned
sgtm_meter_set(sgtm_meter_t *meter, uint32_t month)
{
    unsigned  i, best;
    uint64_t  sets;
    uint32_t  label, away, least;

    for ( ;; ) {
        sets = atomic_load(&meter->sets);

        best = 0;
        least = UINT32_MAX;

        for (i = 0; i < SGTM_METER_SETS; i++) {

            label = sgtm_meter_half(sets, i);

            if (label == month) {
                return i;
            }
        }

        for (i = 0; i < SGTM_METER_SETS; i++) {

            label = sgtm_meter_half(sets, i);

            if (label == 0) {
                break;
            }

            away = (label > month) ? label - month : month - label;

            if (away < least) {
                least = away;
                best = i;
            }
        }

        if (i == SGTM_METER_SETS) {
            return best;
        }

        if (sgtm_meter_label(meter, i, 0, month)) {
            return i;
        }
    }
}


int
sgtm_meter_label(sgtm_meter_t *meter, unsigned set, uint32_t from, uint32_t to)
{
    uint64_t  sets, other;

    sets = atomic_load(&meter->sets);

    do {
        if (sgtm_meter_half(sets, set) != from) {
            return 0;
        }

        other = sets & ((uint64_t) UINT32_MAX << 32 * (1 - set));

    } while (!atomic_compare_exchange_weak(&meter->sets, &sets,
                                           other | (uint64_t) to << 32 * set));

    return 1;
}


uint64_t
sgtm_meter_use(sgtm_meter_entry_t *e, uint32_t month, uint64_t n)
{
    uint64_t  was, now;

    was = atomic_load_explicit(&e->used, memory_order_relaxed);

    do {
        now = (was >> SGTM_METER_SHIFT == month) ? was & SGTM_METER_MASK : 0;
        now = (n < SGTM_METER_MASK - now) ? now + n : SGTM_METER_MASK;

    } while (!atomic_compare_exchange_weak_explicit(&e->used, &was,
                                  (uint64_t) month << SGTM_METER_SHIFT | now,
                                  memory_order_relaxed,
                                  memory_order_relaxed));

    return now;
}


void
sgtm_meter_give(sgtm_meter_entry_t *e, uint32_t month, uint64_t n)
{
    uint64_t  was, used;

    was = atomic_load_explicit(&e->used, memory_order_relaxed);

    do {
        if (was >> SGTM_METER_SHIFT != month) {
            return;
        }

        used = was & SGTM_METER_MASK;

    } while (!atomic_compare_exchange_weak_explicit(&e->used, &was,
                                  was - (n < used ? n : used),
                                  memory_order_relaxed,
                                  memory_order_relaxed));
}


uint64_t
sgtm_meter_used(const sgtm_meter_entry_t *e, uint32_t month)
{
    uint64_t  used;

    used = atomic_load_explicit(&e->used, memory_order_relaxed);

    return (used >> SGTM_METER_SHIFT == month) ? used & SGTM_METER_MASK : 0;
}


int
sgtm_meter_tell(sgtm_meter_entry_t *e, uint32_t month, unsigned level)
{
    uint32_t  was, now, before;

    was = atomic_load_explicit(&e->told, memory_order_relaxed);
    now = month << 8 | level;

    for ( ;; ) {
        before = (was >> 8 == month) ? was & 0xff : 0;

        /* while it is not known what was told before, no less was */

        if (before == level
            || (before > level && atomic_load(&e->known) != month))
        {
            return 0;
        }

        if (atomic_compare_exchange_weak(&e->told, &was, now)) {
            return level > before;
        }
    }
}


void
sgtm_meter_sum(const sgtm_meter_t *meter, const sgtm_meter_entry_t *e,
    uint32_t month, sgtm_meter_sum_t *sum)
{
    unsigned  i, what;
    uint64_t  sets;
    uint32_t  n, told;

    memset(sum, 0, sizeof(sgtm_meter_sum_t));

    sum->month = month;
    sum->used = sgtm_meter_used(e, month);

    told = atomic_load(&e->told);
    sum->told = (told >> 8 == month) ? told & 0xff : 0;

    /* the writer's, as they are or were a moment ago */

    if (e->month == month) {
        sum->accepted = e->accepted;
        sum->forwarded = e->forwarded;
        sum->dropped = e->dropped;
    }

    sets = atomic_load(&meter->sets);

    for (i = 0; i < SGTM_METER_SETS; i++) {

        if (sgtm_meter_half(sets, i) != month) {
            continue;
        }

        for (what = 0; what < SGTM_METER_N; what++) {
            n = atomic_load_explicit(&e->waiting[i][what],
                                     memory_order_relaxed);

            if (what == SGTM_METER_ACCEPTED) {
                sum->accepted += n;

            } else if (what == SGTM_METER_FORWARDED) {
                sum->forwarded += n;

            } else {
                sum->dropped += n;
            }
        }
    }
}


void
sgtm_meter_stat(const sgtm_meter_t *meter, sgtm_meter_stat_t *stat)
{
    stat->tenants = atomic_load(&meter->entries);
    stat->refused = atomic_load(&meter->refused);
    stat->size = (size_t) (meter->end - meter->first) * SGTM_METER_GRAIN;
    stat->used = (size_t) (atomic_load(&meter->grains) - meter->first)
                 * SGTM_METER_GRAIN;
    stat->written = atomic_load(&meter->written);
}


void
sgtm_meter_walk(sgtm_meter_t *meter, sgtm_meter_handler_pt handler, void *data)
{
    uint32_t             i, ref;
    sgtm_meter_entry_t  *e;

    for (i = 0; i < meter->nchains; i++) {

        for (ref = atomic_load(&meter->chains[i]); ref;
             ref = atomic_load(&e->next))
        {
            e = sgtm_meter_at(meter, ref);
            handler(data, e);
        }
    }
}
