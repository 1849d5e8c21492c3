
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_registry_core.h"


static void sgtm_repair_begin(sgtm_registry_t *reg);
static void sgtm_repair_limbo(sgtm_registry_t *reg);
static size_t sgtm_repair_waiting(sgtm_registry_t *reg, size_t n);
static void sgtm_repair_nodes(sgtm_registry_t *reg, sgtm_link_t *link);
static void sgtm_repair_hints(sgtm_registry_t *reg, sgtm_link_t *link);
static int sgtm_repair_is_true(const sgtm_registry_t *reg,
    const sgtm_hint_t *hint);
static void sgtm_repair_out(sgtm_registry_t *reg, sgtm_link_t *link,
    sgtm_ref_t value, sgtm_ref_t ref);
static void sgtm_repair_found(sgtm_registry_t *reg, sgtm_ref_t ref);
static void sgtm_repair_end(sgtm_registry_t *reg);


/* a chain counts as a part, a block that waits as well */

int
sgtm_registry_repair(sgtm_registry_t *reg, size_t n)
{
    if (atomic_load(&reg->condition) != SGTM_REGISTRY_REPAIR) {
        return 0;
    }

    for ( /* void */ ; n; n--) {

        switch (reg->step) {

        case SGTM_REPAIR_BEGIN:
            sgtm_repair_begin(reg);
            break;

        case SGTM_REPAIR_WAITING:
            n = sgtm_repair_waiting(reg, n);
            break;

        case SGTM_REPAIR_NODES:

            if (reg->at == reg->nids) {
                reg->step = SGTM_REPAIR_HINTS;
                reg->at = 0;
                break;
            }

            sgtm_repair_nodes(reg, &reg->ids[reg->at++]);
            break;

        case SGTM_REPAIR_HINTS:

            if (reg->at == reg->nhosts) {
                reg->step = SGTM_REPAIR_END;
                break;
            }

            sgtm_repair_hints(reg, &reg->hosts[reg->at++]);
            break;

        default:
            sgtm_repair_end(reg);
            return 0;
        }
    }

    return 1;
}


static void
sgtm_repair_begin(sgtm_registry_t *reg)
{
    memset(reg->map, 0, ((size_t) (reg->end - reg->first) / 64 + 1)
                        * sizeof(uint64_t));
    memset(&reg->recount, 0, sizeof(sgtm_registry_counts_t));

    reg->low = reg->first;
    reg->at = reg->head;
    reg->step = SGTM_REPAIR_WAITING;
}


/* the list is whole; its end may not be known, nor counted */

static size_t
sgtm_repair_waiting(sgtm_registry_t *reg, size_t n)
{
    sgtm_ref_t           ref;
    const sgtm_block_t  *block;

    for (ref = (sgtm_ref_t) reg->at; ref; ref = block->next) {

        if (n == 1) {
            reg->at = ref;
            return n;
        }

        block = sgtm_registry_at(reg, ref);

        sgtm_repair_found(reg, ref);
        reg->recount.waiting += block->n;
        reg->tail = ref;
        n--;
    }

    /* now it is, and the list can be added to */

    sgtm_repair_limbo(reg);

    reg->at = 0;
    reg->step = SGTM_REPAIR_NODES;

    return n;
}


static void
sgtm_repair_limbo(sgtm_registry_t *reg)
{
    sgtm_ref_t  ref;

    ref = reg->limbo;

    if (ref == 0) {
        return;
    }

    if (sgtm_registry_get(reg->limbo_link) != ref
        && (reg->head == 0 || reg->tail != ref))
    {
        sgtm_registry_retire(reg, ref);
        sgtm_repair_found(reg, ref);
        reg->recount.waiting += ((sgtm_block_t *)
                                 sgtm_registry_at(reg, ref))->n;
    }

    reg->limbo = 0;
    sgtm_registry_order();
}


/* a node without a record was on its way in, or out */

static void
sgtm_repair_nodes(sgtm_registry_t *reg, sgtm_link_t *link)
{
    sgtm_ref_t    ref, record;
    sgtm_node_t  *node;

    while ((ref = sgtm_registry_get(link)) != 0) {

        node = sgtm_registry_at(reg, ref);
        record = sgtm_registry_get(&node->record);

        if (record == 0) {
            sgtm_repair_out(reg, link, sgtm_registry_get(&node->next), ref);
            continue;
        }

        node->lingering = 0;

        sgtm_repair_found(reg, ref);
        sgtm_repair_found(reg, record);
        reg->recount.records++;

        link = &node->next;
    }
}


static void
sgtm_repair_hints(sgtm_registry_t *reg, sgtm_link_t *link)
{
    sgtm_ref_t    ref;
    sgtm_hint_t  *hint;

    while ((ref = sgtm_registry_get(link)) != 0) {

        hint = sgtm_registry_at(reg, ref);

        if (!sgtm_repair_is_true(reg, hint)) {
            sgtm_repair_out(reg, link, sgtm_registry_get(&hint->next), ref);
            continue;
        }

        atomic_store(&hint->key, sgtm_registry_get(&hint->key)
                                 & ~(uint64_t) SGTM_HINT_LINGERS);

        sgtm_repair_found(reg, ref);
        reg->recount.hosts++;
        reg->recount.wildcards[sgtm_hint_labels(hint)]++;

        link = &hint->next;
    }
}


/* its node is still there, if not in a chain: it waits, or is in use */

static int
sgtm_repair_is_true(const sgtm_registry_t *reg, const sgtm_hint_t *hint)
{
    size_t                i;
    uint64_t              hash[2];
    sgtm_ref_t            record;
    const sgtm_node_t    *node;
    const sgtm_tenant_t  *t;

    node = sgtm_registry_at(reg, hint->node);
    record = sgtm_registry_get(&node->record);

    if (record == 0) {
        return 0;
    }

    t = sgtm_leaf_tenant(sgtm_registry_at(reg, record));

    for (i = 0; i < t->hosts.nelts; i++) {
        (void) sgtm_registry_hash(reg, &t->hosts.elts[i], hash);

        if (((hash[0] ^ sgtm_registry_get(&hint->key))
             & ~(uint64_t) SGTM_HINT_LINGERS) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
sgtm_repair_out(sgtm_registry_t *reg, sgtm_link_t *link, sgtm_ref_t value,
    sgtm_ref_t ref)
{
    const sgtm_block_t  *block;

    sgtm_registry_unlink(reg, link, value, ref);

    block = sgtm_registry_at(reg, ref);

    sgtm_repair_found(reg, ref);
    reg->recount.waiting += block->n;
}


static void
sgtm_repair_found(sgtm_registry_t *reg, sgtm_ref_t ref)
{
    const sgtm_block_t  *block;

    block = sgtm_registry_at(reg, ref);

    sgtm_registry_mark(reg, ref, block->n);
    reg->recount.used += block->n;
}


static void
sgtm_repair_end(sgtm_registry_t *reg)
{
    size_t  i;

    reg->counts = reg->recount;

    for (i = 0; i < SGTM_REGISTRY_LABELS; i++) {
        atomic_store(&reg->wildcards[i], reg->counts.wildcards[i]);
    }

    sgtm_registry_order();

    (void) atomic_fetch_add(&reg->generation, 1);
    sgtm_registry_order();

    atomic_store(&reg->condition, SGTM_REGISTRY_SOUND);
    sgtm_registry_order();
}
