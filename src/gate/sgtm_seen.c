
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdatomic.h>
#include <string.h>

#include "sgtm_seen.h"


/*
 * Why a process may die anywhere in here, its lock being released for it:
 *
 * - A chain is changed by a single store: of the link that leads to an entry.
 *   Before it leads there, the entry is complete; once an entry is written
 *   anew, no link leads there.  So a walk ends, and finds whole entries only.
 *
 * - An entry that has left its chain is marked free afterwards.  In between
 *   no walk finds it, and to take it out of its chain once more does nothing.
 *
 * - The ring moves on last.  Until then its slot is filled again, by taking
 *   out what it holds first, whether or not that is in a chain; that a slot
 *   holds anything is noted before a link leads to it.
 *
 * A killed process has made its stores in the order of the program; it is the
 * compiler that must not change it.
 */

#ifndef sgtm_seen_order
#define sgtm_seen_order()  atomic_signal_fence(memory_order_seq_cst)
#endif


#define SGTM_SEEN_FREE       0
#define SGTM_SEEN_PENDING    1
#define SGTM_SEEN_CONFIRMED  2

/* window and state in one word, which is written at once */
#define sgtm_seen_state(word)        ((word) & 3)
#define sgtm_seen_window(word)       ((word) >> 2)
#define sgtm_seen_word(window, state)  ((window) << 2 | (state))


/* links are slots counted from 1; 0: there is none */

typedef volatile uint32_t  sgtm_seen_link_t;


typedef struct {
    uint64_t             print[2];
    sgtm_seen_link_t     next;
    volatile uint32_t    word;
    uint32_t             time;
    uint32_t             serial;
} sgtm_seen_entry_t;


/* the entries follow, then a head of a chain for each of them */

struct sgtm_seen_s {
    uint32_t             n;
    volatile uint32_t    pos;          /* the slot that is filled next */
    volatile uint32_t    serial;       /* of the last reservation */
    volatile uint32_t    used;         /* slots that were ever written */
    volatile uint64_t    evicted;
    uint64_t             pad[5];
};


_Static_assert(sizeof(sgtm_seen_entry_t) + sizeof(sgtm_seen_link_t)
               == SGTM_SEEN_ENTRY, "what an entry takes");
_Static_assert(sizeof(sgtm_seen_t) == 64, "entries do not straddle lines");


static void sgtm_seen_touch_first(const sgtm_seen_t *seen,
    const uint64_t *print);
static sgtm_seen_link_t *sgtm_seen_head(const sgtm_seen_t *seen,
    const uint64_t *print);
static uint32_t sgtm_seen_find(const sgtm_seen_t *seen,
    const uint64_t *print);
static uint32_t sgtm_seen_insert(sgtm_seen_t *seen, const uint64_t *print,
    uint32_t now, uint32_t window);
static void sgtm_seen_remove(sgtm_seen_t *seen, uint32_t slot);
static int sgtm_seen_counts(const sgtm_seen_entry_t *entry, uint32_t now);
static sgtm_seen_entry_t *sgtm_seen_own(sgtm_seen_t *seen,
    const sgtm_seen_ref_t *ref);


#if defined(__GNUC__)
#define sgtm_seen_touch(p)  __builtin_prefetch((const void *) (p), 1)
#else
#define sgtm_seen_touch(p)  (void) (p)
#endif

#define sgtm_seen_entry(seen, slot)                                           \
    ((sgtm_seen_entry_t *) ((seen) + 1) + (slot))


size_t
sgtm_seen_capacity(size_t size)
{
    size_t  n;

    if (size < sizeof(sgtm_seen_t)) {
        return 0;
    }

    n = (size - sizeof(sgtm_seen_t)) / SGTM_SEEN_ENTRY;

    return (n < INT32_MAX) ? n : INT32_MAX;
}


size_t
sgtm_seen_size(size_t n)
{
    return sizeof(sgtm_seen_t) + n * SGTM_SEEN_ENTRY;
}


sgtm_seen_t *
sgtm_seen_init(void *mem, size_t n)
{
    sgtm_seen_t  *seen;

    seen = mem;

    memset(seen, 0, sizeof(sgtm_seen_t));

    seen->n = (uint32_t) n;

    /* entries are not touched before they are used */

    memset(sgtm_seen_entry(seen, n), 0, n * sizeof(sgtm_seen_link_t));

    return seen;
}


/*
 * The ring moves on meanwhile, if others reserve: then this is for nothing, but
 * nothing depends on it, and every link that there ever was leads to a slot.
 */

void
sgtm_seen_prefetch(const sgtm_seen_t *seen, const uint64_t *print, unsigned n,
    unsigned step)
{
    uint32_t                  slot;
    const sgtm_seen_entry_t  *entry;

    slot = seen->pos + n;

    if (slot >= seen->n) {
        slot -= seen->n;
    }

    /* the entry that makes room is to be found in a chain as well */

    entry = (slot < seen->used) ? sgtm_seen_entry(seen, slot) : NULL;

    if (step == 0) {
        sgtm_seen_touch(sgtm_seen_head(seen, print));

        if (entry != NULL) {
            sgtm_seen_touch(sgtm_seen_head(seen, entry->print));
        }

        return;
    }

    sgtm_seen_touch_first(seen, print);

    if (entry != NULL) {
        sgtm_seen_touch_first(seen, entry->print);
    }
}


static void
sgtm_seen_touch_first(const sgtm_seen_t *seen, const uint64_t *print)
{
    uint32_t  link;

    link = *sgtm_seen_head(seen, print);

    if (link) {
        sgtm_seen_touch(sgtm_seen_entry(seen, link - 1));
    }
}


int
sgtm_seen_reserve(sgtm_seen_t *seen, const uint64_t *print, uint32_t now,
    uint32_t window, sgtm_seen_ref_t *ref)
{
    uint32_t  slot;

    slot = sgtm_seen_find(seen, print);

    if (slot) {

        if (sgtm_seen_counts(sgtm_seen_entry(seen, slot - 1), now)) {
            return SGTM_DECLINED;
        }

        /* it goes to the ring's end, so that it leaves in its turn */

        sgtm_seen_remove(seen, slot - 1);
    }

    ref->slot = sgtm_seen_insert(seen, print, now, window);
    ref->serial = seen->serial;

    return SGTM_OK;
}


void
sgtm_seen_confirm(sgtm_seen_t *seen, const sgtm_seen_ref_t *ref)
{
    sgtm_seen_entry_t  *entry;

    entry = sgtm_seen_own(seen, ref);

    if (entry != NULL) {
        entry->word = sgtm_seen_word(sgtm_seen_window(entry->word),
                                     SGTM_SEEN_CONFIRMED);
    }
}


void
sgtm_seen_release(sgtm_seen_t *seen, const sgtm_seen_ref_t *ref)
{
    if (sgtm_seen_own(seen, ref) != NULL) {
        sgtm_seen_remove(seen, ref->slot);
    }
}


uint32_t
sgtm_seen_entries(const sgtm_seen_t *seen)
{
    return seen->n;
}


uint64_t
sgtm_seen_evicted(const sgtm_seen_t *seen)
{
    return seen->evicted;
}


/* any word of a keyed hash does; the product spreads it over all chains */

static sgtm_seen_link_t *
sgtm_seen_head(const sgtm_seen_t *seen, const uint64_t *print)
{
    uint64_t           i;
    sgtm_seen_link_t  *heads;

    heads = (sgtm_seen_link_t *) sgtm_seen_entry(seen, seen->n);
    i = (print[0] & 0xffffffff) * seen->n >> 32;

    return &heads[i];
}


/* the link to an entry, or 0 */

static uint32_t
sgtm_seen_find(const sgtm_seen_t *seen, const uint64_t *print)
{
    uint32_t                  link;
    const sgtm_seen_entry_t  *entry;

    for (link = *sgtm_seen_head(seen, print); link; link = entry->next) {

        entry = sgtm_seen_entry(seen, link - 1);

        if (entry->print[0] == print[0] && entry->print[1] == print[1]) {
            break;
        }
    }

    return link;
}


/* the slot */

static uint32_t
sgtm_seen_insert(sgtm_seen_t *seen, const uint64_t *print, uint32_t now,
    uint32_t window)
{
    uint32_t            slot;
    sgtm_seen_link_t   *head;
    sgtm_seen_entry_t  *entry;

    slot = seen->pos;
    entry = sgtm_seen_entry(seen, slot);

    if (slot < seen->used
        && sgtm_seen_state(entry->word) != SGTM_SEEN_FREE)
    {
        if (sgtm_seen_counts(entry, now)) {
            seen->evicted++;
        }

        sgtm_seen_remove(seen, slot);
    }

    head = sgtm_seen_head(seen, print);

    entry->print[0] = print[0];
    entry->print[1] = print[1];
    entry->time = now;
    entry->serial = ++seen->serial;
    entry->next = *head;
    entry->word = sgtm_seen_word(window, SGTM_SEEN_PENDING);

    sgtm_seen_order();

    if (slot >= seen->used) {
        seen->used = slot + 1;
        sgtm_seen_order();
    }

    *head = slot + 1;

    sgtm_seen_order();

    seen->pos = (slot + 1 < seen->n) ? slot + 1 : 0;

    sgtm_seen_order();

    return slot;
}


static void
sgtm_seen_remove(sgtm_seen_t *seen, uint32_t slot)
{
    sgtm_seen_link_t   *link;
    sgtm_seen_entry_t  *entry;

    entry = sgtm_seen_entry(seen, slot);

    for (link = sgtm_seen_head(seen, entry->print);
         *link;
         link = &sgtm_seen_entry(seen, *link - 1)->next)
    {
        if (*link == slot + 1) {
            *link = entry->next;
            break;
        }
    }

    sgtm_seen_order();

    entry->word = sgtm_seen_word(0, SGTM_SEEN_FREE);

    sgtm_seen_order();
}


/* an entry of a clock that is a moment ahead is of now */

static int
sgtm_seen_counts(const sgtm_seen_entry_t *entry, uint32_t now)
{
    int32_t   age;
    uint32_t  life;

    life = sgtm_seen_window(entry->word);

    if (sgtm_seen_state(entry->word) == SGTM_SEEN_PENDING
        && life > SGTM_SEEN_RESERVED)
    {
        life = SGTM_SEEN_RESERVED;
    }

    age = (int32_t) (now - entry->time);

    return age < 0 || (uint32_t) age <= life;
}


/* NULL: the slot has another entry by now, or none */

static sgtm_seen_entry_t *
sgtm_seen_own(sgtm_seen_t *seen, const sgtm_seen_ref_t *ref)
{
    sgtm_seen_entry_t  *entry;

    entry = sgtm_seen_entry(seen, ref->slot);

    return (entry->serial == ref->serial
            && sgtm_seen_state(entry->word) == SGTM_SEEN_PENDING)
           ? entry : NULL;
}
