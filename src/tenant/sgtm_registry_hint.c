
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_registry_core.h"


void
sgtm_registry_hint(sgtm_registry_t *reg, sgtm_ref_t ref, uint64_t key,
    sgtm_ref_t node, sgtm_ref_t record, size_t labels)
{
    sgtm_hint_t  *hint;
    sgtm_link_t  *link;

    if (labels >= SGTM_REGISTRY_LABELS) {
        labels = 0;
    }

    hint = sgtm_registry_at(reg, ref);
    link = sgtm_registry_chain(reg->hosts, reg->nhosts, key);

    hint->block.death = sgtm_hint_death(labels, record);
    hint->node = node;
    atomic_store(&hint->key, key);
    atomic_store(&hint->next, sgtm_registry_get(link));

    reg->counts.hosts++;

    if (labels) {
        (void) atomic_fetch_add(&reg->wildcards[labels], 1);
    }

    sgtm_registry_order();

    sgtm_registry_set(link, ref);
    sgtm_registry_order();
}


void
sgtm_registry_unhint(sgtm_registry_t *reg, sgtm_link_t *link)
{
    size_t        labels;
    sgtm_ref_t    ref;
    sgtm_hint_t  *hint;

    ref = sgtm_registry_get(link);
    hint = sgtm_registry_at(reg, ref);
    labels = sgtm_hint_labels(hint);

    sgtm_registry_unlink(reg, link, sgtm_registry_get(&hint->next), ref);

    reg->counts.hosts--;

    if (labels) {
        (void) atomic_fetch_sub(&reg->wildcards[labels], 1);
    }
}


sgtm_link_t *
sgtm_registry_hint_of(const sgtm_registry_t *reg, uint64_t key,
    sgtm_ref_t node)
{
    sgtm_ref_t    ref;
    sgtm_hint_t  *hint;
    sgtm_link_t  *link;

    for (link = sgtm_registry_chain(reg->hosts, reg->nhosts, key);
         (ref = sgtm_registry_get(link)) != 0;
         link = &hint->next)
    {
        hint = sgtm_registry_at(reg, ref);

        if (hint->node == node
            && ((sgtm_registry_get(&hint->key) ^ key)
                & ~(uint64_t) SGTM_HINT_LINGERS) == 0)
        {
            break;
        }
    }

    return link;
}


void
sgtm_registry_linger(sgtm_registry_t *reg, sgtm_node_t *node, sgtm_ref_t ref)
{
    uint64_t      key;
    sgtm_hint_t  *hint;

    hint = sgtm_registry_at(reg, ref);
    key = sgtm_registry_get(&hint->key);

    if (key & SGTM_HINT_LINGERS) {
        return;
    }

    hint->block.next = node->lingering;
    sgtm_registry_order();

    node->lingering = ref;
    sgtm_registry_order();

    sgtm_registry_set(&hint->key, key | SGTM_HINT_LINGERS);
    sgtm_registry_order();
}


void
sgtm_registry_unlinger(sgtm_registry_t *reg, sgtm_node_t *node, sgtm_ref_t ref)
{
    uint64_t      key;
    sgtm_ref_t   *next;
    sgtm_hint_t  *hint, *other;

    hint = sgtm_registry_at(reg, ref);
    key = sgtm_registry_get(&hint->key);

    if (!(key & SGTM_HINT_LINGERS)) {
        return;
    }

    sgtm_registry_set(&hint->key, key & ~(uint64_t) SGTM_HINT_LINGERS);
    sgtm_registry_order();

    for (next = &node->lingering; *next; next = &other->block.next) {

        if (*next == ref) {
            *next = hint->block.next;
            break;
        }

        other = sgtm_registry_at(reg, *next);
    }

    sgtm_registry_order();
}


void
sgtm_registry_settle(sgtm_registry_t *reg, sgtm_node_t *node)
{
    uint64_t            key;
    sgtm_ref_t          ref;
    const sgtm_hint_t  *hint;

    while ((ref = node->lingering) != 0) {

        hint = sgtm_registry_at(reg, ref);
        key = sgtm_registry_get(&hint->key);

        node->lingering = hint->block.next;
        sgtm_registry_order();

        sgtm_registry_unhint(reg,
                             sgtm_registry_hint_of(reg, key, hint->node));
    }
}
