
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_registry_core.h"


/* bytes of records for one chain: of ids, of hosts */
#define SGTM_REGISTRY_ID_BYTES    1024
#define SGTM_REGISTRY_HOST_BYTES  512

/*
 * Of a tenant that was not asked for lately nothing is in the processor's
 * cache.  So many bytes of his record and of what lies beside it, in lines, are
 * asked for at once, since most are wanted soon.
 */

#define SGTM_REGISTRY_LINE    64
#define SGTM_REGISTRY_RECORD  768
#define SGTM_REGISTRY_STATE   256

/* fewer grains are of no use */
#define SGTM_REGISTRY_MIN         512


static const sgtm_tenant_t *sgtm_registry_find(const sgtm_registry_t *reg,
    const uint64_t hash[2]);
static void sgtm_registry_fetch(const void *p, size_t size);
static size_t sgtm_registry_count(const sgtm_str_t *host);
static size_t sgtm_registry_live(const sgtm_registry_reader_t *reader,
    uint64_t generation);


sgtm_registry_t *
sgtm_registry_create(void *mem, size_t size, unsigned slots,
    const unsigned char *key, size_t state)
{
    size_t            i, n, head;
    unsigned char    *p;
    sgtm_registry_t  *reg;

    head = (sizeof(sgtm_registry_t) + 63) & ~(size_t) 63;
    head += slots * sizeof(sgtm_registry_slot_t);

    if (size < head || state > UINT16_MAX) {
        return NULL;
    }

    /* a grain takes a bit of the map and its part of the chains besides */

    n = (size - head) * 8
        / (SGTM_REGISTRY_GRAIN * 8 + 1
           + 8 * sizeof(sgtm_link_t) * SGTM_REGISTRY_GRAIN
             / SGTM_REGISTRY_ID_BYTES
           + 8 * sizeof(sgtm_link_t) * SGTM_REGISTRY_GRAIN
             / SGTM_REGISTRY_HOST_BYTES);

    if (n < SGTM_REGISTRY_MIN || n > INT32_MAX) {
        return NULL;
    }

    reg = mem;
    memset(reg, 0, head);

    memcpy(reg->key, key, SGTM_SIPHASH_KEY);

    reg->nslots = slots;
    reg->nids = n * SGTM_REGISTRY_GRAIN / SGTM_REGISTRY_ID_BYTES;
    reg->nhosts = n * SGTM_REGISTRY_GRAIN / SGTM_REGISTRY_HOST_BYTES;
    reg->state = state;

    p = (unsigned char *) mem + head;
    reg->slots = (sgtm_registry_slot_t *) (void *) p - slots;

    reg->map = (uint64_t *) (void *) p;
    i = (n / 64 + 1) * sizeof(uint64_t);
    memset(p, 0, i);
    p += i;

    reg->ids = (sgtm_link_t *) (void *) p;
    i = (reg->nids + reg->nhosts) * sizeof(sgtm_link_t);
    memset(p, 0, i);
    reg->hosts = reg->ids + reg->nids;
    p += i;

    /* rounding takes some of the last grains */

    reg->first = sgtm_registry_ref(reg, p + SGTM_REGISTRY_GRAIN - 1);
    reg->end = (sgtm_ref_t) (size / SGTM_REGISTRY_GRAIN);

    if (reg->end - reg->first > n) {
        reg->end = (sgtm_ref_t) (reg->first + n);
    }

    reg->low = reg->first;
    reg->pos = reg->first;
    atomic_store(&reg->generation, 1);

    return reg;
}


int
sgtm_registry_attach(sgtm_registry_t *reg, sgtm_registry_reader_t *reader)
{
    size_t                 i;
    uint64_t               owner;
    sgtm_registry_slot_t  *slot;

    memset(reader, 0, sizeof(sgtm_registry_reader_t));

    for (i = 0; i < reg->nslots; i++) {

        slot = &reg->slots[i];
        owner = atomic_load(&slot->owner);

        if (owner != 0 && sgtm_process_alive(owner)) {
            continue;
        }

        if (atomic_compare_exchange_strong(&slot->owner, &owner,
                                           sgtm_process_self()))
        {
            atomic_store(&slot->oldest, 0);
            reader->registry = reg;
            reader->slot = slot;
            return SGTM_OK;
        }
    }

    return SGTM_DECLINED;
}


void
sgtm_registry_detach(sgtm_registry_reader_t *reader)
{
    if (reader->slot != NULL) {
        atomic_store(&reader->slot->oldest, 0);
        atomic_store(&reader->slot->owner, 0);
        reader->slot = NULL;
    }

    reader->n = 0;
}


uint64_t
sgtm_registry_enter(sgtm_registry_reader_t *reader)
{
    size_t    i, n;
    uint64_t  generation;

    generation = sgtm_registry_get(&reader->registry->generation);
    n = reader->n;

    if (n == 0) {

        /* the writer sees this, or this process sees what the writer did */

        atomic_store_explicit(&reader->slot->oldest, generation,
                              memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);

    } else if (generation == reader->live[n - 1]) {
        reader->readers[n - 1]++;
        return generation;

    } else if (n == SGTM_REGISTRY_LIVE) {

        for (i = 1, n = 1; i < SGTM_REGISTRY_LIVE; i++) {
            if (reader->readers[i]) {
                reader->live[n] = reader->live[i];
                reader->readers[n++] = reader->readers[i];
            }
        }

        reader->n = n;

        /* of an older generation it keeps more than it needs */

        if (n == SGTM_REGISTRY_LIVE) {
            reader->readers[n - 1]++;
            return reader->live[n - 1];
        }
    }

    reader->live[n] = generation;
    reader->readers[n] = 1;
    reader->n = n + 1;

    return generation;
}


void
sgtm_registry_leave(sgtm_registry_reader_t *reader, uint64_t generation)
{
    size_t  i;

    i = sgtm_registry_live(reader, generation);

    if (--reader->readers[i] || i) {
        return;
    }

    /* it was the oldest one's last */

    while (i < reader->n && reader->readers[i] == 0) {
        i++;
    }

    reader->n -= i;

    memmove(reader->live, reader->live + i, reader->n * sizeof(uint64_t));
    memmove(reader->readers, reader->readers + i, reader->n * sizeof(size_t));

    sgtm_registry_set(&reader->slot->oldest, reader->n ? reader->live[0] : 0);
}


static size_t
sgtm_registry_live(const sgtm_registry_reader_t *reader, uint64_t generation)
{
    size_t  low, high, i;

    low = 0;
    high = reader->n - 1;

    while (low < high) {
        i = (low + high) / 2;

        if (reader->live[i] < generation) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return low;
}


const sgtm_tenant_t *
sgtm_registry_host(const sgtm_registry_t *reg, const sgtm_str_t *host)
{
    uint64_t  hash[2];

    (void) sgtm_registry_hash(reg, host, hash);

    return sgtm_registry_asked(reg, host, hash);
}


void
sgtm_registry_ask(const sgtm_registry_t *reg, const sgtm_str_t *host,
    uint64_t hash[2])
{
    (void) sgtm_registry_hash(reg, host, hash);

    sgtm_registry_fetch(sgtm_registry_chain(reg->hosts, reg->nhosts, hash[0]),
                        1);
}


void
sgtm_registry_soon(const sgtm_registry_t *reg, const uint64_t hash[2])
{
    sgtm_ref_t  ref;

    ref = sgtm_registry_get(sgtm_registry_chain(reg->hosts, reg->nhosts,
                                                hash[0]));
    if (ref) {
        sgtm_registry_fetch(sgtm_registry_at(reg, ref), 1);
    }
}


const sgtm_tenant_t *
sgtm_registry_asked(const sgtm_registry_t *reg, const sgtm_str_t *host,
    const uint64_t hash[2])
{
    size_t                labels;
    uint64_t              out[2];
    sgtm_str_t            rest;
    sgtm_siphash_t        name;
    const sgtm_tenant_t  *t;

    t = sgtm_registry_find(reg, hash);

    if (t != NULL) {
        return t;
    }

    rest = *host;

    for (labels = sgtm_registry_count(host); --labels; /* void */ ) {

        /* from a dot to the next one; the name itself begins with none */

        do {
            rest.data++;
            rest.len--;
        } while (*rest.data != '.');

        if (labels >= SGTM_REGISTRY_LABELS
            || atomic_load_explicit(&reg->wildcards[labels],
                                    memory_order_relaxed) == 0)
        {
            continue;
        }

        sgtm_siphash_init(&name, reg->key);
        sgtm_siphash_update(&name, (const unsigned char *) "*", 1);
        sgtm_siphash_update(&name, rest.data, rest.len);
        sgtm_siphash_final(&name, out);

        t = sgtm_registry_find(reg, out);

        if (t != NULL) {
            return t;
        }
    }

    return NULL;
}


static const sgtm_tenant_t *
sgtm_registry_find(const sgtm_registry_t *reg, const uint64_t hash[2])
{
    uint64_t              key;
    sgtm_ref_t            ref, guess;
    const sgtm_hint_t    *hint;
    const sgtm_leaf_t    *leaf;
    const sgtm_node_t    *node;
    const sgtm_tenant_t  *lingers;

    ref = sgtm_registry_get(sgtm_registry_chain(reg->hosts, reg->nhosts,
                                                hash[0]));
    lingers = NULL;

    for ( /* void */ ; ref; ref = sgtm_registry_get(&hint->next)) {

        hint = sgtm_registry_at(reg, ref);
        key = sgtm_registry_get(&hint->key);

        if ((key ^ hash[0]) & ~(uint64_t) SGTM_HINT_LINGERS) {
            continue;
        }

        node = sgtm_registry_at(reg, hint->node);
        guess = sgtm_hint_guess(hint);

        sgtm_registry_fetch(node, sizeof(sgtm_node_t) + SGTM_REGISTRY_STATE);
        sgtm_registry_fetch(sgtm_registry_at(reg, guess),
                            SGTM_REGISTRY_RECORD);

        ref = sgtm_registry_get(&node->record);

        if (ref == 0) {
            continue;
        }

        leaf = sgtm_registry_at(reg, ref);

        if (sgtm_registry_lists(leaf, hash[1])) {
            return sgtm_leaf_tenant(leaf);
        }

        if (key & SGTM_HINT_LINGERS) {
            lingers = sgtm_leaf_tenant(leaf);
        }
    }

    return lingers;
}


/* a hint: what it leads to may be anything */

static void
sgtm_registry_fetch(const void *p, size_t size)
{
#if defined(__GNUC__)

    size_t  i;

    for (i = 0; i < size; i += SGTM_REGISTRY_LINE) {
        __builtin_prefetch((const unsigned char *) p + i);
    }

#else

    (void) p;
    (void) size;

#endif
}


int
sgtm_registry_lists(const sgtm_leaf_t *leaf, uint64_t half)
{
    uint32_t  i;

    for (i = 0; i < leaf->nhosts; i++) {
        if (leaf->hosts[i] == half) {
            return 1;
        }
    }

    return 0;
}


static size_t
sgtm_registry_count(const sgtm_str_t *host)
{
    size_t  i, n;

    for (i = 1, n = 1; i < host->len; i++) {
        n += (host->data[i] == '.');
    }

    return n;
}


size_t
sgtm_registry_labels(const sgtm_str_t *host)
{
    return (host->len > 2 && host->data[0] == '*')
           ? sgtm_registry_count(host) - 1 : 0;
}


const sgtm_tenant_t *
sgtm_registry_id(const sgtm_registry_t *reg, const sgtm_str_t *id)
{
    uint64_t            hash[2];
    sgtm_ref_t          ref;
    const sgtm_node_t  *node;

    (void) sgtm_registry_hash(reg, id, hash);

    ref = sgtm_registry_get(sgtm_registry_node(reg, hash[0], id));
    if (ref == 0) {
        return NULL;
    }

    node = sgtm_registry_at(reg, ref);
    ref = sgtm_registry_get(&node->record);

    return ref ? sgtm_leaf_tenant(sgtm_registry_at(reg, ref)) : NULL;
}


/* one without a record has no id to compare, and is nobody's */

sgtm_link_t *
sgtm_registry_node(const sgtm_registry_t *reg, uint64_t hash,
    const sgtm_str_t *id)
{
    sgtm_ref_t            ref, record;
    sgtm_link_t          *link;
    sgtm_node_t          *node;
    const sgtm_tenant_t  *t;

    for (link = sgtm_registry_chain(reg->ids, reg->nids, hash);
         (ref = sgtm_registry_get(link)) != 0;
         link = &node->next)
    {
        node = sgtm_registry_at(reg, ref);

        if (node->hash != hash) {
            continue;
        }

        record = sgtm_registry_get(&node->record);

        if (record == 0) {
            continue;
        }

        t = sgtm_leaf_tenant(sgtm_registry_at(reg, record));

        if (t->id.len == id->len
            && memcmp(t->id.data, id->data, id->len) == 0)
        {
            break;
        }
    }

    return link;
}


void *
sgtm_registry_state(const sgtm_registry_t *reg, const sgtm_tenant_t *t)
{
    return (sgtm_node_t *) sgtm_registry_at(reg, sgtm_leaf_of(t)->node) + 1;
}


int
sgtm_registry_walk(const sgtm_registry_t *reg, size_t *next, size_t n,
    sgtm_registry_handler_pt handler, void *data)
{
    sgtm_ref_t             ref, record;
    const sgtm_node_t     *node;
    sgtm_registry_info_t   info;
    const sgtm_leaf_t    *leaf;

    for ( /* void */ ; n && *next < reg->nids; n--, (*next)++) {

        for (ref = sgtm_registry_get(&reg->ids[*next]);
             ref;
             ref = sgtm_registry_get(&node->next))
        {
            node = sgtm_registry_at(reg, ref);
            record = sgtm_registry_get(&node->record);

            if (record == 0) {
                continue;
            }

            leaf = sgtm_registry_at(reg, record);

            info.source = node->source;
            info.sum = leaf->sum;

            handler(data, sgtm_leaf_tenant(leaf), &info);
        }
    }

    return *next < reg->nids;
}


size_t
sgtm_registry_cost(size_t state, const sgtm_tenant_t *t)
{
    return SGTM_REGISTRY_GRAIN
           * (sgtm_registry_grains(sgtm_leaf_size(t->hosts.nelts)
                                   + sgtm_tenant_size(t))
              + sgtm_registry_grains(sizeof(sgtm_node_t) + state)
              + t->hosts.nelts * sgtm_registry_grains(sizeof(sgtm_hint_t)));
}


void
sgtm_registry_stat(const sgtm_registry_t *reg, sgtm_registry_stat_t *stat)
{
    size_t  i;

    /* each figure is one that was; together they are near enough */

    stat->generation = sgtm_registry_get(&reg->generation);
    stat->records = reg->counts.records;
    stat->hosts = reg->counts.hosts;
    stat->size = (size_t) (reg->end - reg->first) * SGTM_REGISTRY_GRAIN;
    stat->used = (size_t) reg->counts.used * SGTM_REGISTRY_GRAIN;
    stat->waiting = (size_t) reg->counts.waiting * SGTM_REGISTRY_GRAIN;
    stat->readers = 0;

    for (i = 0; i < reg->nslots; i++) {
        stat->readers += (atomic_load(&reg->slots[i].owner) != 0);
    }
}


uint64_t
sgtm_registry_hash(const sgtm_registry_t *reg, const sgtm_str_t *text,
    uint64_t out[2])
{
    sgtm_siphash_t  hash;

    sgtm_siphash_init(&hash, reg->key);
    sgtm_siphash_update(&hash, text->data, text->len);
    sgtm_siphash_final(&hash, out);

    return out[0];
}


/* the product spreads the hash over all chains */

sgtm_link_t *
sgtm_registry_chain(sgtm_link_t *chains, size_t n, uint64_t hash)
{
    return &chains[(hash >> 32) * n >> 32];
}
