
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the files of the registry share.
 *
 * The area is divided into grains of 32 bytes, which a map of bits says are
 * used; a block is some of them, and is referred to by the number of its first.
 * There are three kinds:
 *
 * - A node is a tenant, for as long as there is a record of his id.  It is in a
 *   chain by the hash of the id, and leads to the record.
 *
 * - A hint says that a host may be a node's.  It is in a chain by the host's
 *   hash.  Whether it is true the leaf says, which lists the record's hosts: so
 *   all of them change in the moment in which the node leads to another leaf.
 *
 * - A record is in the block of a leaf.
 *
 * Why the writer may be killed anywhere:
 *
 * - Each chain changes by a single store, and what it leads to is complete
 *   then.  The hints of a record are there before it, and go after it.
 *
 * - The map, the counters and the list of what waits are the writer's alone.
 *   The next writer makes the map anew from what the chains and the list lead
 *   to; what the dead one had taken and led nowhere is free so.
 *
 * - A block that is taken out of its chain gets into the list of what waits for
 *   readers.  Before, it is noted in limbo, with the link that led to it: who
 *   finds it there sees by the link and by the end of the list how far the dead
 *   one had come.
 *
 * A killed process has made its stores in the order of the program; it is the
 * compiler that must not change it.
 */


#ifndef _SGTM_REGISTRY_CORE_H_INCLUDED_
#define _SGTM_REGISTRY_CORE_H_INCLUDED_


#include <stdatomic.h>
#include <string.h>

#include "../hit/sgtm_siphash.h"
#include "sgtm_process.h"
#include "sgtm_registry.h"


#ifndef sgtm_registry_order
#define sgtm_registry_order()  atomic_signal_fence(memory_order_seq_cst)
#endif


#define SGTM_REGISTRY_GRAIN   32

/* labels that a host of 253 bytes may have behind a "*." */
#define SGTM_REGISTRY_LABELS  128

#define SGTM_REGISTRY_HOSTS   SGTM_TENANT_ITEMS


typedef uint32_t          sgtm_ref_t;          /* 0: nothing */
typedef _Atomic uint32_t  sgtm_link_t;


typedef struct {
    uint32_t         n;            /* grains */
    sgtm_ref_t       next;         /* that waits; of a hint that lingers: the
                                      next one of its node */
    _Atomic uint64_t death;        /* the generation that ended it; of a hint
                                      that lives: see below */
} sgtm_block_t;


typedef struct {
    sgtm_block_t     block;
    uint64_t         hash;         /* of the id */
    sgtm_link_t      next;         /* in the chain */
    sgtm_link_t      record;       /* 0: there is none yet, or no longer */
    sgtm_ref_t       lingering;    /* hints */
    uint32_t         pass;         /* that has met it last */
    uint32_t         source;
    uint32_t         pad;
    /* the state follows */
} sgtm_node_t;


typedef struct {
    sgtm_block_t      block;
    _Atomic uint64_t  key;         /* of the host's hash all bits but one */
    sgtm_link_t       next;
    sgtm_ref_t        node;
} sgtm_hint_t;

/*
 * The death of a hint that lives is the number of labels behind a "*.", and
 * where the record lay when somebody looked: readers only ask for that memory
 * in advance, and it may be wrong.
 */

#define sgtm_hint_death(labels, record)                                       \
    ((uint64_t) (labels) | (uint64_t) (record) << 32)

#define sgtm_hint_labels(hint)                                                \
    ((size_t) ((uint32_t) (hint)->block.death % SGTM_REGISTRY_LABELS))

#define sgtm_hint_guess(hint)                                                 \
    ((sgtm_ref_t) (atomic_load_explicit(&(hint)->block.death,                 \
                                        memory_order_relaxed) >> 32))

/* the last bit: the record does not list the host, but nobody else does yet */
#define SGTM_HINT_LINGERS  1


/*
 * Who looks for a host compares no letters: a hint has the first half of the
 * hash, the record's leaf the second one, in as few lines of the cache as can
 * be.
 */

typedef struct {
    sgtm_block_t     block;
    unsigned char    sum[SGTM_REGISTRY_SUM];
    sgtm_ref_t       node;
    uint32_t         nhosts;
    uint64_t         hosts[];      /* halves of their hashes, in order */
    /* the tenant follows */
} sgtm_leaf_t;


struct sgtm_registry_slot_s {
    _Atomic uint64_t  owner;       /* sgtm_process_self(); 0: free */
    _Atomic uint64_t  oldest;      /* generation of its readers; 0: none */
    uint64_t          pad[6];      /* a line of the cache */
};


typedef enum {
    SGTM_REGISTRY_SOUND = 0,
    SGTM_REGISTRY_WRITING,         /* unsound, if the writer has died */
    SGTM_REGISTRY_REPAIR
} sgtm_registry_state_e;


typedef enum {
    SGTM_REPAIR_BEGIN = 0,
    SGTM_REPAIR_WAITING,
    SGTM_REPAIR_NODES,
    SGTM_REPAIR_HINTS,
    SGTM_REPAIR_END
} sgtm_registry_step_e;


/* what is counted, so that a repair counts apart from what is read */

typedef struct {
    uint32_t           records;
    uint32_t           hosts;      /* hints */
    uint32_t           used;       /* grains, with what waits */
    uint32_t           waiting;
    uint32_t           wildcards[SGTM_REGISTRY_LABELS];    /* by labels */
} sgtm_registry_counts_t;


struct sgtm_registry_s {
    unsigned char      key[SGTM_SIPHASH_KEY];

    sgtm_registry_slot_t  *slots;
    sgtm_link_t       *ids;
    sgtm_link_t       *hosts;
    uint64_t          *map;

    size_t             nslots;
    size_t             nids;
    size_t             nhosts;
    size_t             state;      /* bytes */
    sgtm_ref_t         first;      /* grain of blocks */
    sgtm_ref_t         end;

    _Atomic uint64_t   generation;

    /* how many "*." there are of so many labels: others are not looked for */

    _Atomic uint32_t   wildcards[SGTM_REGISTRY_LABELS];

    /* the writer's */

    _Atomic uint64_t   writer;     /* 0: nobody */
    _Atomic uint32_t   condition;  /* sgtm_registry_state_e */
    uint32_t           pass;
    uint32_t           passes[SGTM_REGISTRY_SOURCES];

    sgtm_ref_t         low;        /* no single grain is free before it */
    sgtm_ref_t         pos;        /* where the last record was put */
    sgtm_ref_t         head;       /* of what waits */
    sgtm_ref_t         tail;
    sgtm_ref_t         limbo;
    sgtm_link_t       *limbo_link;

    sgtm_registry_counts_t  counts;

    /* of a repair */

    uint32_t           step;       /* sgtm_registry_step_e */
    size_t             at;
    sgtm_registry_counts_t  recount;
};


#define sgtm_registry_at(reg, ref)                                            \
    ((void *) ((uintptr_t) (reg) + (size_t) (ref) * SGTM_REGISTRY_GRAIN))

#define sgtm_registry_ref(reg, p)                                             \
    ((sgtm_ref_t) (((uintptr_t) (p) - (uintptr_t) (reg))                      \
                   / SGTM_REGISTRY_GRAIN))

#define sgtm_registry_grains(size)                                            \
    (((size) + SGTM_REGISTRY_GRAIN - 1) / SGTM_REGISTRY_GRAIN)

#define sgtm_leaf_size(nhosts)                                                \
    (sizeof(sgtm_leaf_t) + (nhosts) * sizeof(uint64_t))

#define sgtm_leaf_tenant(leaf)                                                \
    ((sgtm_tenant_t *) ((uintptr_t) (leaf)                                    \
                        + sgtm_leaf_size(((const sgtm_leaf_t *)               \
                                          (leaf))->nhosts)))

#define sgtm_leaf_of(t)                                                       \
    ((sgtm_leaf_t *) ((uintptr_t) (t) - sgtm_leaf_size((t)->hosts.nelts)))

#define sgtm_registry_get(link)                                               \
    atomic_load_explicit(link, memory_order_acquire)

#define sgtm_registry_set(link, value)                                        \
    atomic_store_explicit(link, value, memory_order_release)


/* of sgtm_registry.c */

/* sets both halves of a hash; returns the first one */
uint64_t sgtm_registry_hash(const sgtm_registry_t *reg, const sgtm_str_t *text,
    uint64_t out[2]);
sgtm_link_t *sgtm_registry_chain(sgtm_link_t *chains, size_t n, uint64_t hash);

/* whether a host of this half of a hash is among the record's */
int sgtm_registry_lists(const sgtm_leaf_t *leaf, uint64_t half);

/* the link that leads to the node of an id, or to nothing */
sgtm_link_t *sgtm_registry_node(const sgtm_registry_t *reg, uint64_t hash,
    const sgtm_str_t *id);

/* labels behind the "*." of a host; 0: it is no wildcard */
size_t sgtm_registry_labels(const sgtm_str_t *host);


/* of sgtm_registry_memory.c */

/* a block of so many bytes, whose n is set; 0: there is no room */
sgtm_ref_t sgtm_registry_alloc(sgtm_registry_t *reg, size_t size);
void sgtm_registry_free(sgtm_registry_t *reg, sgtm_ref_t ref);

/*
 * Takes a block out of where a link leads to it, by storing another value; it
 * waits for its readers then.
 */
void sgtm_registry_unlink(sgtm_registry_t *reg, sgtm_link_t *link,
    sgtm_ref_t value, sgtm_ref_t ref);

/* appends it to what waits */
void sgtm_registry_retire(sgtm_registry_t *reg, sgtm_ref_t ref);

/* marks grains in the map */
void sgtm_registry_mark(sgtm_registry_t *reg, sgtm_ref_t ref, uint32_t n);


/* of sgtm_registry_hint.c */

/* the link that leads to the hint of a node's host, or to nothing */
sgtm_link_t *sgtm_registry_hint_of(const sgtm_registry_t *reg, uint64_t key,
    sgtm_ref_t node);

/* puts a block into its chain as a hint, or takes one out */
void sgtm_registry_hint(sgtm_registry_t *reg, sgtm_ref_t ref, uint64_t key,
    sgtm_ref_t node, sgtm_ref_t record, size_t labels);
void sgtm_registry_unhint(sgtm_registry_t *reg, sgtm_link_t *link);

/* a hint whose host the record is to lose in a pass, or has again */
void sgtm_registry_linger(sgtm_registry_t *reg, sgtm_node_t *node,
    sgtm_ref_t ref);
void sgtm_registry_unlinger(sgtm_registry_t *reg, sgtm_node_t *node,
    sgtm_ref_t ref);

/* ends all that lingers with a node */
void sgtm_registry_settle(sgtm_registry_t *reg, sgtm_node_t *node);


#endif /* _SGTM_REGISTRY_CORE_H_INCLUDED_ */
