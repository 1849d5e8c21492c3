
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdlib.h>

#include "../tenant/sgtm_process.h"
#include "sgtm_meter_core.h"
#include "sgtm_meter_write.h"


/* rows of a transaction: fewer of them write the same pages more often */
#define SGTM_METER_SLICE  16384

/* from this day on nothing of the month before is expected any more */
#define SGTM_METER_LATE   21


/* the month of what is used */
#define sgtm_meter_tag(e)                                                     \
    ((uint32_t) (atomic_load(&(e)->used) >> SGTM_METER_SHIFT))


typedef struct {
    sgtm_meter_entry_t  *entry;
    uint32_t             month;
    unsigned             set;
    sgtm_meter_row_t     row;
} sgtm_meter_batch_t;


typedef struct {
    sgtm_meter_t        *meter;
    sgtm_meter_file_t   *file;
    uint32_t             month;        /* that is */
    uint64_t             sets;
    int                  write;
    int                  begun;        /* a transaction */
    int                  rc;
    size_t               n;            /* of the batch */
    sgtm_meter_batch_t   batch[SGTM_METER_SLICE];
} sgtm_meter_pass_t;


static int sgtm_meter_lock(sgtm_meter_t *meter);
static void sgtm_meter_entry_pass(void *data, sgtm_meter_entry_t *e);
static int sgtm_meter_begin(sgtm_meter_pass_t *pass);
static int sgtm_meter_learn(sgtm_meter_pass_t *pass, sgtm_meter_entry_t *e,
    uint32_t month);
static void sgtm_meter_base(sgtm_meter_entry_t *e, uint32_t month, uint64_t n);
static void sgtm_meter_take(sgtm_meter_pass_t *pass, sgtm_meter_entry_t *e,
    unsigned set);
static void sgtm_meter_flush(sgtm_meter_pass_t *pass);
static int sgtm_meter_put(sgtm_meter_pass_t *pass);
static void sgtm_meter_note(sgtm_meter_batch_t *b, uint32_t month, int sign);
static void sgtm_meter_retire(sgtm_meter_pass_t *pass, int64_t now);


int
sgtm_meter_write(sgtm_meter_t *meter, sgtm_meter_file_t *file, int64_t now,
    int write)
{
    int                 rc;
    sgtm_meter_pass_t  *pass;

    if (!sgtm_meter_lock(meter)) {
        return SGTM_DECLINED;
    }

    pass = malloc(sizeof(sgtm_meter_pass_t));

    if (pass == NULL) {
        atomic_store(&meter->owner, 0);
        return SGTM_ERROR;
    }

    pass->meter = meter;
    pass->file = file;
    pass->month = sgtm_meter_month(now);
    pass->sets = atomic_load(&meter->sets);
    pass->write = write;
    pass->begun = 0;
    pass->rc = SGTM_OK;
    pass->n = 0;

    sgtm_meter_walk(meter, sgtm_meter_entry_pass, pass);
    sgtm_meter_flush(pass);

    sgtm_meter_file_rollback(file);

    if (pass->rc == SGTM_OK && write) {
        sgtm_meter_retire(pass, now);
        atomic_store(&meter->written, now);
    }

    rc = pass->rc;
    free(pass);

    atomic_store(&meter->owner, 0);

    return rc;
}


/* a writer that died is none */

static int
sgtm_meter_lock(sgtm_meter_t *meter)
{
    uint64_t  owner;

    owner = atomic_load(&meter->owner);

    if (owner != 0
        && (owner == sgtm_process_self() || sgtm_process_alive(owner)))
    {
        return 0;
    }

    return atomic_compare_exchange_strong(&meter->owner, &owner,
                                          sgtm_process_self());
}


static void
sgtm_meter_entry_pass(void *data, sgtm_meter_entry_t *e)
{
    sgtm_meter_pass_t *pass = data;

    unsigned  i, what, waits;
    uint32_t  label;

    if (pass->rc != SGTM_OK) {
        return;
    }

    for (i = 0; i < SGTM_METER_SETS; i++) {

        for (what = 0, waits = 0; what < SGTM_METER_N; what++) {
            waits |= atomic_load(&e->waiting[i][what]);
        }

        label = sgtm_meter_half(pass->sets, i) & ~SGTM_METER_DRAINING;

        if (waits == 0 || label == 0) {
            continue;
        }

        if (sgtm_meter_learn(pass, e, label) != SGTM_OK) {
            return;
        }

        if (pass->write) {
            sgtm_meter_take(pass, e, i);
        }
    }

    /* its hits are under way still */

    if (sgtm_meter_tag(e) == pass->month
        && sgtm_meter_learn(pass, e, pass->month) != SGTM_OK)
    {
        return;
    }

    if (pass->n + SGTM_METER_SETS > SGTM_METER_SLICE) {
        sgtm_meter_flush(pass);
    }
}


/* one transaction reads and writes, so that nobody writes in between */

static int
sgtm_meter_begin(sgtm_meter_pass_t *pass)
{
    if (!pass->begun) {

        if (sgtm_meter_file_begin(pass->file) != SGTM_OK) {
            return SGTM_ERROR;
        }

        pass->begun = 1;
    }

    return SGTM_OK;
}


/*
 * What the file has of a month, before anything is added to it that counts
 * against the month's quota in memory already: later that would be read, too.
 * The hits tell which month it is, the clock of the pass may be behind them.
 */

static int
sgtm_meter_learn(sgtm_meter_pass_t *pass, sgtm_meter_entry_t *e,
    uint32_t month)
{
    unsigned          what;
    uint32_t          told, tag;
    sgtm_str_t        id;
    sgtm_meter_row_t  row;

    tag = sgtm_meter_tag(e);

    if (e->known == month
        || (tag != month && (tag > month || month != pass->month)))
    {
        return SGTM_OK;
    }

    id.data = e->id;
    id.len = e->len;

    if (sgtm_meter_begin(pass) != SGTM_OK
        || sgtm_meter_file_get(pass->file, month, &id, &row) != SGTM_OK)
    {
        pass->rc = SGTM_ERROR;
        return SGTM_ERROR;
    }

    e->month = month;
    e->accepted = row.counts[SGTM_METER_ACCEPTED];
    e->forwarded = row.counts[SGTM_METER_FORWARDED];
    e->dropped = 0;

    for (what = SGTM_METER_DENIED; what < SGTM_METER_N; what++) {
        e->dropped += row.counts[what];
    }

    /* in this order nobody tells it again */

    told = atomic_load(&e->told);

    if (told < (month << 8 | row.told)) {
        (void) atomic_compare_exchange_strong(&e->told, &told,
                                              month << 8 | row.told);
    }

    sgtm_meter_base(e, month, sgtm_meter_row_used(&row));

    e->known = month;

    return SGTM_OK;
}


/* adds what was used before, unless another month has begun */

static void
sgtm_meter_base(sgtm_meter_entry_t *e, uint32_t month, uint64_t n)
{
    uint64_t  was, now;

    was = atomic_load(&e->used);

    do {
        if (was >> SGTM_METER_SHIFT > month) {
            return;
        }

        now = (was >> SGTM_METER_SHIFT == month) ? was & SGTM_METER_MASK : 0;
        now = (n < SGTM_METER_MASK - now) ? now + n : SGTM_METER_MASK;
        now |= (uint64_t) month << SGTM_METER_SHIFT;

    } while (!atomic_compare_exchange_weak(&e->used, &was, now));
}


static void
sgtm_meter_take(sgtm_meter_pass_t *pass, sgtm_meter_entry_t *e, unsigned set)
{
    unsigned             what;
    uint32_t             told;
    sgtm_meter_batch_t  *b;

    b = &pass->batch[pass->n++];

    b->entry = e;
    b->set = set;
    b->month = sgtm_meter_half(pass->sets, set) & ~SGTM_METER_DRAINING;

    told = atomic_load(&e->told);
    b->row.told = (told >> 8 == b->month) ? told & 0xff : 0;

    for (what = 0; what < SGTM_METER_N; what++) {
        b->row.counts[what] = atomic_load(&e->waiting[set][what])
                              ? atomic_exchange(&e->waiting[set][what], 0)
                              : 0;
    }

    sgtm_meter_note(b, b->month, 1);
}


/* what was taken counts as written, or no longer */

static void
sgtm_meter_note(sgtm_meter_batch_t *b, uint32_t month, int sign)
{
    unsigned             what;
    uint64_t             n;
    sgtm_meter_entry_t  *e;

    e = b->entry;

    if (e->month != month) {
        return;
    }

    for (what = 0; what < SGTM_METER_N; what++) {

        n = (sign > 0) ? b->row.counts[what] : 0 - b->row.counts[what];

        if (what == SGTM_METER_ACCEPTED) {
            e->accepted += n;

        } else if (what == SGTM_METER_FORWARDED) {
            e->forwarded += n;

        } else {
            e->dropped += n;
        }
    }
}


static void
sgtm_meter_flush(sgtm_meter_pass_t *pass)
{
    size_t               i;
    unsigned             what;
    sgtm_meter_batch_t  *b;

    if (pass->n == 0) {
        return;
    }

    /* without the transaction of what was read before, nothing is written */

    if (pass->rc != SGTM_OK || sgtm_meter_put(pass) != SGTM_OK) {

        pass->rc = SGTM_ERROR;
        sgtm_meter_file_rollback(pass->file);

        for (i = 0; i < pass->n; i++) {
            b = &pass->batch[i];

            sgtm_meter_note(b, b->month, -1);

            for (what = 0; what < SGTM_METER_N; what++) {
                if (b->row.counts[what]) {
                    (void) atomic_fetch_add(&b->entry->waiting[b->set][what],
                                            (uint32_t) b->row.counts[what]);
                }
            }
        }
    }

    pass->n = 0;
}


static int
sgtm_meter_put(sgtm_meter_pass_t *pass)
{
    size_t               i;
    sgtm_str_t           id;
    sgtm_meter_batch_t  *b;

    if (sgtm_meter_begin(pass) != SGTM_OK) {
        return SGTM_ERROR;
    }

    for (i = 0; i < pass->n; i++) {
        b = &pass->batch[i];

        id.data = b->entry->id;
        id.len = b->entry->len;

        if (sgtm_meter_file_add(pass->file, b->month, &id, &b->row)
            != SGTM_OK)
        {
            return SGTM_ERROR;
        }
    }

    if (sgtm_meter_file_commit(pass->file) != SGTM_OK) {
        return SGTM_ERROR;
    }

    pass->begun = 0;

    return SGTM_OK;
}


/*
 * A set of a month that is over is set free in two passes: who has chosen it
 * just before the first one has counted by the time of the second.  The month
 * that follows may have begun already, by a clock that was set back since.
 */

static void
sgtm_meter_retire(sgtm_meter_pass_t *pass, int64_t now)
{
    unsigned  i, room, near;
    uint32_t  label;

    room = 0;

    for (i = 0; i < SGTM_METER_SETS; i++) {

        label = sgtm_meter_half(pass->sets, i);

        if (label & SGTM_METER_DRAINING) {
            (void) sgtm_meter_label(pass->meter, i, label, 0);
            room = 1;

        } else if (label == 0 || label == pass->month) {
            room = 1;
        }
    }

    for (i = 0; i < SGTM_METER_SETS; i++) {

        label = sgtm_meter_half(pass->sets, i);

        if (label == 0 || label == pass->month
            || (label & SGTM_METER_DRAINING))
        {
            continue;
        }

        near = (label == pass->month + 1
                || (label + 1 == pass->month
                    && sgtm_meter_day(now) < SGTM_METER_LATE));

        if (!near || !room) {
            (void) sgtm_meter_label(pass->meter, i, label,
                                    label | SGTM_METER_DRAINING);
            room = 1;
        }
    }
}
