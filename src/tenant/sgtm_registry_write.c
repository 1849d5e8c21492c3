
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_registry_core.h"


/* a record on its way in */

typedef struct {
    const sgtm_tenant_t  *t;
    uint64_t              hash[2];                     /* of its id */
    uint64_t              keys[SGTM_REGISTRY_HOSTS];   /* of its hosts: first
                                                          halves of hashes */
    uint64_t              halves[SGTM_REGISTRY_HOSTS];     /* the others */
    sgtm_ref_t            hints[SGTM_REGISTRY_HOSTS];  /* new ones, or 0 */
    sgtm_ref_t            node;
    sgtm_ref_t            record;
    unsigned              known:1;                     /* the node is */
    unsigned              lingers:1;                   /* what it loses */
} sgtm_registry_put_t;


static void sgtm_registry_write(sgtm_registry_t *reg);
static void sgtm_registry_written(sgtm_registry_t *reg, int changed);
static int sgtm_registry_claims(const sgtm_registry_t *reg,
    const sgtm_registry_put_t *put, unsigned source, uint32_t pass,
    sgtm_registry_conflict_t *conflict);
static int sgtm_registry_room(sgtm_registry_t *reg, sgtm_registry_put_t *put);
static void sgtm_registry_publish(sgtm_registry_t *reg,
    sgtm_registry_put_t *put);
static void sgtm_registry_lost(sgtm_registry_t *reg, sgtm_node_t *node,
    const sgtm_tenant_t *old, const uint64_t *keys, size_t n, int lingers);
static void sgtm_registry_end(sgtm_registry_t *reg, sgtm_link_t *link);


int
sgtm_registry_lock(sgtm_registry_t *reg)
{
    uint64_t  self, writer;

    self = sgtm_process_self();
    writer = 0;

    if (atomic_compare_exchange_strong(&reg->writer, &writer, self)) {
        return SGTM_OK;
    }

    if (writer == self) {
        return SGTM_OK;
    }

    if (sgtm_process_alive(writer)
        || !atomic_compare_exchange_strong(&reg->writer, &writer, self))
    {
        return SGTM_DECLINED;
    }

    /* of one that died a repair, too, begins anew */

    if (atomic_load(&reg->condition) != SGTM_REGISTRY_SOUND) {
        reg->step = SGTM_REPAIR_BEGIN;
        sgtm_registry_order();
        atomic_store(&reg->condition, SGTM_REGISTRY_REPAIR);
    }

    return SGTM_OK;
}


void
sgtm_registry_unlock(sgtm_registry_t *reg)
{
    sgtm_registry_set(&reg->writer, 0);
}


/* around all that changes anything */

static void
sgtm_registry_write(sgtm_registry_t *reg)
{
    atomic_store(&reg->condition, SGTM_REGISTRY_WRITING);
    sgtm_registry_order();
}


static void
sgtm_registry_written(sgtm_registry_t *reg, int changed)
{
    sgtm_registry_order();

    if (changed) {
        (void) atomic_fetch_add(&reg->generation, 1);
        sgtm_registry_order();
    }

    atomic_store(&reg->condition, SGTM_REGISTRY_SOUND);
    sgtm_registry_order();
}


int
sgtm_registry_put(sgtm_registry_t *reg, unsigned source, uint32_t pass,
    const sgtm_tenant_t *t, const unsigned char sum[SGTM_REGISTRY_SUM],
    sgtm_registry_conflict_t *conflict)
{
    int                   rc;
    size_t                i;
    uint64_t              hash[2];
    sgtm_leaf_t          *leaf;
    sgtm_node_t          *node;
    sgtm_registry_put_t   put;

    if (atomic_load(&reg->condition) == SGTM_REGISTRY_REPAIR) {
        return SGTM_REGISTRY_WAIT;
    }

    if (pass && pass != reg->passes[source]) {
        return SGTM_REGISTRY_STALE;
    }

    if (t->hosts.nelts > SGTM_REGISTRY_HOSTS) {
        return SGTM_REGISTRY_FULL;
    }

    put.t = t;
    (void) sgtm_registry_hash(reg, &t->id, put.hash);
    put.node = sgtm_registry_get(sgtm_registry_node(reg, put.hash[0],
                                                    &t->id));
    put.known = (put.node != 0);

    node = NULL;

    if (put.known) {
        node = sgtm_registry_at(reg, put.node);
        leaf = sgtm_registry_at(reg, sgtm_registry_get(&node->record));

        if (node->source != source) {
            conflict->host = 0;
            conflict->other = sgtm_leaf_tenant(leaf);
            return SGTM_REGISTRY_SOURCE;
        }

        if (memcmp(leaf->sum, sum, SGTM_REGISTRY_SUM) == 0) {
            node->pass = reg->passes[source];
            return SGTM_REGISTRY_SAME;
        }
    }

    for (i = 0; i < t->hosts.nelts; i++) {
        put.keys[i] = sgtm_registry_hash(reg, &t->hosts.elts[i], hash)
                      & ~(uint64_t) SGTM_HINT_LINGERS;
        put.halves[i] = hash[1];
    }

    rc = sgtm_registry_claims(reg, &put, source, pass, conflict);

    if (rc != SGTM_REGISTRY_OK) {

        /* what can't be replaced stays */

        if (node != NULL) {
            node->pass = reg->passes[source];
        }

        return rc;
    }

    sgtm_registry_write(reg);

    rc = sgtm_registry_room(reg, &put);

    if (rc == SGTM_REGISTRY_OK) {
        node = sgtm_registry_at(reg, put.node);
        node->source = source;
        node->pass = reg->passes[source];

        leaf = sgtm_registry_at(reg, put.record);
        memcpy(leaf->sum, sum, SGTM_REGISTRY_SUM);

        put.lingers = (pass != 0);
        sgtm_registry_publish(reg, &put);

    } else if (node != NULL) {
        node->pass = reg->passes[source];
    }

    sgtm_registry_written(reg, rc == SGTM_REGISTRY_OK);

    return rc;
}


/* whether another record has one of the hosts and is to keep it */

static int
sgtm_registry_claims(const sgtm_registry_t *reg,
    const sgtm_registry_put_t *put, unsigned source, uint32_t pass,
    sgtm_registry_conflict_t *conflict)
{
    size_t                i;
    sgtm_ref_t            ref, record;
    const sgtm_hint_t    *hint;
    const sgtm_leaf_t    *leaf;
    const sgtm_node_t    *node;

    for (i = 0; i < put->t->hosts.nelts; i++) {

        for (ref = sgtm_registry_get(sgtm_registry_chain(reg->hosts,
                                                         reg->nhosts,
                                                         put->keys[i]));
             ref;
             ref = sgtm_registry_get(&hint->next))
        {
            hint = sgtm_registry_at(reg, ref);

            if (hint->node == put->node
                || ((sgtm_registry_get(&hint->key) ^ put->keys[i])
                    & ~(uint64_t) SGTM_HINT_LINGERS))
            {
                continue;
            }

            node = sgtm_registry_at(reg, hint->node);
            record = sgtm_registry_get(&node->record);

            if (record == 0) {
                continue;
            }

            leaf = sgtm_registry_at(reg, record);

            if (!sgtm_registry_lists(leaf, put->halves[i])
                || (pass && node->source == source && node->pass != pass))
            {
                continue;
            }

            conflict->host = i;
            conflict->other = sgtm_leaf_tenant(leaf);

            return SGTM_REGISTRY_HOST;
        }
    }

    return SGTM_REGISTRY_OK;
}


/*
 * All the memory that it takes, the record copied into it.  Nothing leads there
 * yet, so that it can be given back.
 */

static int
sgtm_registry_room(sgtm_registry_t *reg, sgtm_registry_put_t *put)
{
    size_t         i, n;
    sgtm_node_t   *node;
    sgtm_leaf_t  *leaf;

    n = 0;

    put->record = sgtm_registry_alloc(reg,
                                      sgtm_leaf_size(put->t->hosts.nelts)
                                      + sgtm_tenant_size(put->t));
    if (put->record == 0) {
        goto full;
    }

    if (!put->known) {
        put->node = sgtm_registry_alloc(reg, sizeof(sgtm_node_t) + reg->state);
        if (put->node == 0) {
            goto full;
        }

        node = sgtm_registry_at(reg, put->node);
        memset(&node->block + 1, 0, sizeof(sgtm_node_t) - sizeof(sgtm_block_t)
                                    + reg->state);
        node->hash = put->hash[0];
    }

    for (n = 0; n < put->t->hosts.nelts; n++) {

        put->hints[n] = 0;

        if (put->known
            && sgtm_registry_get(sgtm_registry_hint_of(reg, put->keys[n],
                                                       put->node)))
        {
            continue;
        }

        put->hints[n] = sgtm_registry_alloc(reg, sizeof(sgtm_hint_t));
        if (put->hints[n] == 0) {
            goto full;
        }
    }

    leaf = sgtm_registry_at(reg, put->record);
    leaf->node = put->node;
    leaf->nhosts = (uint32_t) put->t->hosts.nelts;
    memcpy(leaf->hosts, put->halves, leaf->nhosts * sizeof(uint64_t));
    (void) sgtm_tenant_copy(sgtm_leaf_tenant(leaf), put->t);

    return SGTM_REGISTRY_OK;

full:

    for (i = 0; i < n; i++) {
        if (put->hints[i]) {
            sgtm_registry_free(reg, put->hints[i]);
        }
    }

    if (!put->known && put->node) {
        sgtm_registry_free(reg, put->node);
    }

    if (put->record) {
        sgtm_registry_free(reg, put->record);
    }

    return reg->head ? SGTM_REGISTRY_WAIT : SGTM_REGISTRY_FULL;
}


/*
 * The single store is that of the link to the record.  What has to be there by
 * then comes before it, what may no longer be there comes after it.
 */

static void
sgtm_registry_publish(sgtm_registry_t *reg, sgtm_registry_put_t *put)
{
    size_t                i;
    sgtm_ref_t            old, ref;
    sgtm_hint_t          *hint;
    sgtm_link_t          *link;
    sgtm_node_t          *node;
    const sgtm_tenant_t  *t;

    node = sgtm_registry_at(reg, put->node);

    sgtm_registry_order();

    if (!put->known) {
        link = sgtm_registry_chain(reg->ids, reg->nids, put->hash[0]);

        atomic_store(&node->next, sgtm_registry_get(link));
        sgtm_registry_set(link, put->node);
        sgtm_registry_order();
    }

    for (i = 0; i < put->t->hosts.nelts; i++) {
        if (put->hints[i]) {
            sgtm_registry_hint(reg, put->hints[i], put->keys[i], put->node,
                               put->record,
                               sgtm_registry_labels(&put->t->hosts.elts[i]));
        }
    }

    old = sgtm_registry_get(&node->record);

    if (old == 0) {
        sgtm_registry_set(&node->record, put->record);
        sgtm_registry_order();
        reg->counts.records++;
        return;
    }

    /* the old one is to be read still: it is not freed before this ends */

    t = sgtm_leaf_tenant(sgtm_registry_at(reg, old));

    if (put->lingers) {
        sgtm_registry_lost(reg, node, t, put->keys, put->t->hosts.nelts, 1);
    }

    sgtm_registry_unlink(reg, &node->record, put->record, old);

    if (!put->lingers) {
        sgtm_registry_lost(reg, node, t, put->keys, put->t->hosts.nelts, 0);
    }

    for (i = 0; i < put->t->hosts.nelts; i++) {
        ref = sgtm_registry_get(sgtm_registry_hint_of(reg, put->keys[i],
                                                      put->node));

        hint = sgtm_registry_at(reg, ref);
        hint->block.death = sgtm_hint_death(sgtm_hint_labels(hint),
                                            put->record);

        /* what it has got back */

        if (node->lingering) {
            sgtm_registry_unlinger(reg, node, ref);
        }
    }
}


/* hosts of the old record whose keys are not among those of the new one */

static void
sgtm_registry_lost(sgtm_registry_t *reg, sgtm_node_t *node,
    const sgtm_tenant_t *old, const uint64_t *keys, size_t n, int lingers)
{
    size_t        i, k;
    uint64_t      key, hash[2];
    sgtm_link_t  *link;

    for (i = 0; i < old->hosts.nelts; i++) {

        key = sgtm_registry_hash(reg, &old->hosts.elts[i], hash)
              & ~(uint64_t) SGTM_HINT_LINGERS;

        for (k = 0; k < n && keys[k] != key; k++) { /* void */ }

        if (k < n) {
            continue;
        }

        link = sgtm_registry_hint_of(reg, key, sgtm_registry_ref(reg, node));

        if (lingers) {
            sgtm_registry_linger(reg, node, sgtm_registry_get(link));

        } else {
            sgtm_registry_unhint(reg, link);
        }
    }
}


/* ends the node that a link leads to */

static void
sgtm_registry_end(sgtm_registry_t *reg, sgtm_link_t *link)
{
    sgtm_ref_t    ref, old;
    sgtm_node_t  *node;

    ref = sgtm_registry_get(link);
    node = sgtm_registry_at(reg, ref);
    old = sgtm_registry_get(&node->record);

    sgtm_registry_unlink(reg, &node->record, 0, old);
    reg->counts.records--;

    sgtm_registry_lost(reg, node,
                       sgtm_leaf_tenant(sgtm_registry_at(reg, old)), NULL, 0,
                       0);
    sgtm_registry_settle(reg, node);

    sgtm_registry_unlink(reg, link, sgtm_registry_get(&node->next), ref);
}


int
sgtm_registry_remove(sgtm_registry_t *reg, unsigned source,
    const sgtm_str_t *id)
{
    uint64_t            hash[2];
    sgtm_ref_t          ref;
    sgtm_link_t        *link;
    const sgtm_node_t  *node;

    if (atomic_load(&reg->condition) == SGTM_REGISTRY_REPAIR) {
        return SGTM_REGISTRY_WAIT;
    }

    (void) sgtm_registry_hash(reg, id, hash);

    link = sgtm_registry_node(reg, hash[0], id);
    ref = sgtm_registry_get(link);

    if (ref == 0) {
        return SGTM_REGISTRY_OK;
    }

    node = sgtm_registry_at(reg, ref);

    if (node->source == source) {
        sgtm_registry_write(reg);
        sgtm_registry_end(reg, link);
        sgtm_registry_written(reg, 1);
    }

    return SGTM_REGISTRY_OK;
}


/* numbers are not given twice, also not to passes of other sources */

uint32_t
sgtm_registry_begin(sgtm_registry_t *reg, unsigned source)
{
    if (++reg->pass == 0) {
        reg->pass = 1;
    }

    reg->passes[source] = reg->pass;

    return reg->pass;
}


int
sgtm_registry_keep(sgtm_registry_t *reg, unsigned source, uint32_t pass,
    const sgtm_str_t *id)
{
    uint64_t      hash[2];
    sgtm_ref_t    ref;
    sgtm_node_t  *node;

    if (pass != reg->passes[source]) {
        return SGTM_REGISTRY_STALE;
    }

    (void) sgtm_registry_hash(reg, id, hash);

    ref = sgtm_registry_get(sgtm_registry_node(reg, hash[0], id));
    if (ref) {
        node = sgtm_registry_at(reg, ref);

        if (node->source == source) {
            node->pass = pass;
        }
    }

    return SGTM_REGISTRY_OK;
}


int
sgtm_registry_sweep(sgtm_registry_t *reg, unsigned source, uint32_t pass,
    size_t *next, size_t n, size_t *removed)
{
    uint32_t      hosts, records;
    sgtm_ref_t    ref;
    sgtm_link_t  *link;
    sgtm_node_t  *node;

    if (atomic_load(&reg->condition) == SGTM_REGISTRY_REPAIR) {
        return SGTM_REGISTRY_WAIT;
    }

    if (pass != reg->passes[source]) {
        return SGTM_REGISTRY_STALE;
    }

    hosts = reg->counts.hosts;
    records = reg->counts.records;

    sgtm_registry_write(reg);

    for ( /* void */ ; n && *next < reg->nids; n--, (*next)++) {

        link = &reg->ids[*next];

        while ((ref = sgtm_registry_get(link)) != 0) {

            node = sgtm_registry_at(reg, ref);

            if (node->source == source && node->pass != pass) {
                sgtm_registry_end(reg, link);
                (*removed)++;
                continue;
            }

            if (node->source == source) {
                sgtm_registry_settle(reg, node);
            }

            link = &node->next;
        }
    }

    sgtm_registry_written(reg, hosts != reg->counts.hosts
                               || records != reg->counts.records);

    return (*next < reg->nids) ? SGTM_REGISTRY_WAIT : SGTM_REGISTRY_OK;
}
