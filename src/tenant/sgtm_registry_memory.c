
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_registry_core.h"


/* records begin behind a part of the area, which nodes and hints fill first */
#define SGTM_REGISTRY_PART   8
#define SGTM_REGISTRY_SMALL  2             /* grains */


static sgtm_ref_t sgtm_registry_gap(const sgtm_registry_t *reg,
    sgtm_ref_t from, sgtm_ref_t to, uint32_t n);
static uint64_t sgtm_registry_oldest(sgtm_registry_t *reg, uint64_t death,
    int check);
static unsigned sgtm_registry_zeros(uint64_t word);


/*
 * Records are put behind each other, small blocks at the lowest place that is
 * free: what stays for long so does not divide what comes and goes.
 */

sgtm_ref_t
sgtm_registry_alloc(sgtm_registry_t *reg, size_t size)
{
    uint32_t       n;
    sgtm_ref_t     ref, base;
    sgtm_block_t  *block;

    size = sgtm_registry_grains(size);

    if (size > reg->end - reg->first - reg->counts.used) {
        return 0;
    }

    n = (uint32_t) size;

    if (n <= SGTM_REGISTRY_SMALL) {
        ref = sgtm_registry_gap(reg, reg->low, reg->end, n);

        if (ref && (n == 1 || ref == reg->low)) {
            reg->low = ref + n;
        }

    } else {
        base = reg->first + (reg->end - reg->first) / SGTM_REGISTRY_PART;

        if (reg->pos < base) {
            reg->pos = base;
        }

        ref = sgtm_registry_gap(reg, reg->pos, reg->end, n);

        if (ref == 0) {
            ref = sgtm_registry_gap(reg, base, reg->end, n);
        }

        if (ref == 0) {
            ref = sgtm_registry_gap(reg, reg->first, reg->end, n);
        }

        if (ref) {
            reg->pos = ref + n;
        }
    }

    if (ref == 0) {
        return 0;
    }

    sgtm_registry_mark(reg, ref, n);
    reg->counts.used += n;

    block = sgtm_registry_at(reg, ref);
    memset(block, 0, sizeof(sgtm_block_t));
    block->n = n;

    return ref;
}


void
sgtm_registry_free(sgtm_registry_t *reg, sgtm_ref_t ref)
{
    size_t               i;
    uint32_t             n;
    const sgtm_block_t  *block;

    block = sgtm_registry_at(reg, ref);
    n = block->n;

    reg->counts.used -= n;

    if (ref < reg->low) {
        reg->low = ref;
    }

    for (i = ref - reg->first; n; n--, i++) {
        reg->map[i / 64] &= ~((uint64_t) 1 << i % 64);
    }
}


void
sgtm_registry_mark(sgtm_registry_t *reg, sgtm_ref_t ref, uint32_t n)
{
    size_t  i;

    for (i = ref - reg->first; n; n--, i++) {
        reg->map[i / 64] |= (uint64_t) 1 << i % 64;
    }
}


/* the first n grains in a row that are free; a word of the map at a time */

static sgtm_ref_t
sgtm_registry_gap(const sgtm_registry_t *reg, sgtm_ref_t from, sgtm_ref_t to,
    uint32_t n)
{
    size_t    i, end;
    uint32_t  run, left, k;
    uint64_t  word;

    end = to - reg->first;
    run = 0;

    for (i = from - reg->first; i < end; /* void */ ) {

        word = reg->map[i / 64] >> i % 64;
        left = 64 - i % 64;

        if (left > end - i) {
            left = (uint32_t) (end - i);
        }

        k = word ? sgtm_registry_zeros(word) : left;

        if (k > left) {
            k = left;
        }

        run += k;
        i += k;

        if (run >= n) {
            return (sgtm_ref_t) (reg->first + i - run);
        }

        if (k == left) {
            continue;
        }

        word = ~(word >> k);
        i += word ? sgtm_registry_zeros(word) : 64;
        run = 0;
    }

    return 0;
}


/* the zeros below the lowest bit that is set; there is one */

static unsigned
sgtm_registry_zeros(uint64_t word)
{
#if defined(__GNUC__)

    return (unsigned) __builtin_ctzll(word);

#else

    unsigned  n;

    for (n = 0; !(word & 1); word >>= 1) {
        n++;
    }

    return n;

#endif
}


void
sgtm_registry_unlink(sgtm_registry_t *reg, sgtm_link_t *link,
    sgtm_ref_t value, sgtm_ref_t ref)
{
    reg->limbo_link = link;
    sgtm_registry_order();

    reg->limbo = ref;
    sgtm_registry_order();

    sgtm_registry_set(link, value);
    sgtm_registry_order();

    sgtm_registry_retire(reg, ref);

    reg->limbo = 0;
    sgtm_registry_order();
}


void
sgtm_registry_retire(sgtm_registry_t *reg, sgtm_ref_t ref)
{
    sgtm_block_t  *block, *last;

    block = sgtm_registry_at(reg, ref);

    block->next = 0;
    block->death = atomic_load(&reg->generation);

    sgtm_registry_order();

    if (reg->head) {
        last = sgtm_registry_at(reg, reg->tail);
        last->next = ref;

    } else {
        reg->head = ref;
    }

    sgtm_registry_order();

    reg->tail = ref;
    reg->counts.waiting += block->n;

    sgtm_registry_order();
}


size_t
sgtm_registry_reclaim(sgtm_registry_t *reg, size_t n, int check)
{
    size_t               freed;
    uint64_t             oldest;
    sgtm_ref_t           ref;
    const sgtm_block_t  *block;

    if (reg->head == 0
        || atomic_load(&reg->condition) == SGTM_REGISTRY_REPAIR)
    {
        return 0;
    }

    block = sgtm_registry_at(reg, reg->head);

    oldest = sgtm_registry_oldest(reg, block->death, check);

    if (oldest <= block->death) {
        return 0;
    }

    atomic_store(&reg->condition, SGTM_REGISTRY_WRITING);
    sgtm_registry_order();

    for (freed = 0; freed < n && reg->head; freed++) {

        ref = reg->head;
        block = sgtm_registry_at(reg, ref);

        if (block->death >= oldest) {
            break;
        }

        reg->head = block->next;
        sgtm_registry_order();

        reg->counts.waiting -= block->n;
        sgtm_registry_free(reg, ref);
    }

    sgtm_registry_order();
    atomic_store(&reg->condition, SGTM_REGISTRY_SOUND);

    return freed;
}


/* the oldest generation that any reader can be of */

static uint64_t
sgtm_registry_oldest(sgtm_registry_t *reg, uint64_t death, int check)
{
    size_t                 i;
    uint64_t               oldest, generation, owner;
    sgtm_registry_slot_t  *slot;

    /* who comes now sees all that has been done until now, if not more */

    oldest = atomic_load(&reg->generation);
    atomic_thread_fence(memory_order_seq_cst);

    for (i = 0; i < reg->nslots; i++) {

        slot = &reg->slots[i];

        owner = atomic_load(&slot->owner);
        generation = atomic_load(&slot->oldest);

        if (owner == 0 || generation == 0) {
            continue;
        }

        if (check && generation <= death && !sgtm_process_alive(owner)) {
            (void) atomic_compare_exchange_strong(&slot->owner, &owner, 0);
            continue;
        }

        if (generation < oldest) {
            oldest = generation;
        }
    }

    return oldest;
}
