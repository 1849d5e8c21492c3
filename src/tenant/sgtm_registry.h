
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The registry: records of tenants in one area of memory that processes share,
 * found by id and by host.  Plain C11 without nginx.  The area lies at the same
 * address in all of them: pointers in it are plain ones.
 *
 * Readers take no lock.  Who reads says so by a slot of his process, and what
 * is replaced is freed once nobody can hold it any more.  There is one writer
 * at a time; a record is replaced by a single store, hosts and all, so that a
 * reader sees the old one or the new one.  A writer may be killed anywhere: for
 * readers all is as it was, or as it was to be, and the next writer repairs
 * what the dead one has left.
 */


#ifndef _SGTM_REGISTRY_H_INCLUDED_
#define _SGTM_REGISTRY_H_INCLUDED_


#include "sgtm_tenant.h"


/* where records come from: 0 to SGTM_REGISTRY_SOURCES - 1 */
#define SGTM_REGISTRY_SOURCES  4

/* bytes of a checksum of what a record was made of */
#define SGTM_REGISTRY_SUM      16

/* generations that a process tells apart; of more, readers share one */
#define SGTM_REGISTRY_LIVE     64


typedef struct sgtm_registry_s       sgtm_registry_t;
typedef struct sgtm_registry_slot_s  sgtm_registry_slot_t;


/* what a process knows of its readers, in memory of its own */

typedef struct {
    sgtm_registry_t       *registry;
    sgtm_registry_slot_t  *slot;
    size_t                 n;          /* of live */
    uint64_t               live[SGTM_REGISTRY_LIVE];   /* generations */
    size_t                 readers[SGTM_REGISTRY_LIVE];
} sgtm_registry_reader_t;


/* why a record was not put */

typedef struct {
    size_t                 host;       /* of its hosts */
    const sgtm_tenant_t   *other;      /* who has it; until the next write */
} sgtm_registry_conflict_t;


typedef struct {
    unsigned               source;
    const unsigned char   *sum;
} sgtm_registry_info_t;

typedef void (*sgtm_registry_handler_pt)(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info);


typedef struct {
    uint64_t               generation; /* grows with every change */
    size_t                 records;
    size_t                 hosts;
    size_t                 size;       /* bytes that there are for records */
    size_t                 used;       /* of these, with what waits */
    size_t                 waiting;    /* bytes that readers may still hold */
    size_t                 readers;    /* slots that are taken */
} sgtm_registry_stat_t;


typedef enum {
    SGTM_REGISTRY_OK = 0,              /* SGTM_OK */
    SGTM_REGISTRY_SAME,                /* its sum is that of what is there */
    SGTM_REGISTRY_FULL,                /* there is no room for it */
    SGTM_REGISTRY_WAIT,                /* there will be, or a repair is due */
    SGTM_REGISTRY_HOST,                /* another record has one of its hosts */
    SGTM_REGISTRY_SOURCE,              /* another source has its id */
    SGTM_REGISTRY_STALE                /* another pass of the source began */
} sgtm_registry_rc_e;


/*
 * Makes an empty registry in memory aligned to 64 bytes, with slots for so many
 * processes, a key of SGTM_SIPHASH_KEY random bytes, and so many bytes of state
 * beside each tenant.  NULL: the memory is too small to be of use.
 */
sgtm_registry_t *sgtm_registry_create(void *mem, size_t size, unsigned slots,
    const unsigned char *key, size_t state);


/* readers */

/*
 * Takes a slot for the process: a free one, or that of a process that is gone.
 * SGTM_DECLINED: all are taken.
 */
int sgtm_registry_attach(sgtm_registry_t *reg, sgtm_registry_reader_t *reader);

/* gives the slot back; nothing may be read any more */
void sgtm_registry_detach(sgtm_registry_reader_t *reader);

/*
 * Records that are found between the two stay what they are, for as long as it
 * takes.  What enter returns is given to leave; such pairs may overlap.
 */
uint64_t sgtm_registry_enter(sgtm_registry_reader_t *reader);
void sgtm_registry_leave(sgtm_registry_reader_t *reader, uint64_t generation);

/*
 * The record that a host, in small letters and without a port, belongs to: by
 * its name, else by the longest "*." that covers it.  NULL: there is none.  For
 * readers that have entered, and the writer, as the next ones.
 */
const sgtm_tenant_t *sgtm_registry_host(const sgtm_registry_t *reg,
    const sgtm_str_t *host);

/*
 * The same in three steps, so that memory answers while other things are done:
 * ask() sets the host's hash, soon() is called a while later, and asked() is
 * the lookup, again a while later.  soon() is for readers that have entered.
 */
void sgtm_registry_ask(const sgtm_registry_t *reg, const sgtm_str_t *host,
    uint64_t hash[2]);
void sgtm_registry_soon(const sgtm_registry_t *reg, const uint64_t hash[2]);
const sgtm_tenant_t *sgtm_registry_asked(const sgtm_registry_t *reg,
    const sgtm_str_t *host, const uint64_t hash[2]);

/* by id */
const sgtm_tenant_t *sgtm_registry_id(const sgtm_registry_t *reg,
    const sgtm_str_t *id);

/*
 * The state beside a tenant whose record was found: zeros at first, kept as
 * long as there is a record of this id.  To be changed by atomic operations.
 */
void *sgtm_registry_state(const sgtm_registry_t *reg, const sgtm_tenant_t *t);

/*
 * Calls a handler for records, of n chains of the index at a time; next is 0 at
 * first.  Returns 1 as long as there is more.  Readers have to have entered in
 * each call, not between them; what changes in between may be missed.
 */
int sgtm_registry_walk(const sgtm_registry_t *reg, size_t *next, size_t n,
    sgtm_registry_handler_pt handler, void *data);

/* the bytes that a record takes with its index, and so much state beside it */
size_t sgtm_registry_cost(size_t state, const sgtm_tenant_t *t);

void sgtm_registry_stat(const sgtm_registry_t *reg,
    sgtm_registry_stat_t *stat);


/* the writer */

/*
 * SGTM_OK: this process is the writer, until it unlocks or dies.
 * SGTM_DECLINED: another one is; does not wait.
 */
int sgtm_registry_lock(sgtm_registry_t *reg);
void sgtm_registry_unlock(sgtm_registry_t *reg);

/*
 * Repairs what a writer that died has left, some n parts at a time.  Returns 1
 * as long as there is more to do: until then records are only read.
 */
int sgtm_registry_repair(sgtm_registry_t *reg, size_t n);

/*
 * Frees what waits and no reader can hold, n blocks at most, and returns how
 * many.  With check it looks whether the processes that it waits for first are
 * still there, which takes some system calls for each.
 */
size_t sgtm_registry_reclaim(sgtm_registry_t *reg, size_t n, int check);

/*
 * Puts a copy of a record, no host of which is there twice, in place of the one
 * of this id, if there is one; sgtm_registry_rc_e.  If it is not OK or SAME
 * nothing has changed; conflict is set if it is HOST or SOURCE.  In a pass
 * (else 0) a host may be taken from a record of the source that the pass has
 * not met.
 */
int sgtm_registry_put(sgtm_registry_t *reg, unsigned source, uint32_t pass,
    const sgtm_tenant_t *t, const unsigned char sum[SGTM_REGISTRY_SUM],
    sgtm_registry_conflict_t *conflict);

/* SGTM_REGISTRY_OK, also if there is no such record of the source; or WAIT */
int sgtm_registry_remove(sgtm_registry_t *reg, unsigned source,
    const sgtm_str_t *id);


/*
 * A pass over all records of a source: begin() returns its number; what is put
 * or kept is met; sweep() removes the records of the source that were not, of n
 * chains at a time, next 0 at first.  A host that a record lost in the pass is
 * found with it until another one has it, or until the sweep.  A pass that is
 * not finished is forgotten.  All return sgtm_registry_rc_e; WAIT of sweep()
 * means that it is to be called again.
 */
uint32_t sgtm_registry_begin(sgtm_registry_t *reg, unsigned source);
int sgtm_registry_keep(sgtm_registry_t *reg, unsigned source, uint32_t pass,
    const sgtm_str_t *id);
int sgtm_registry_sweep(sgtm_registry_t *reg, unsigned source, uint32_t pass,
    size_t *next, size_t n, size_t *removed);


#endif /* _SGTM_REGISTRY_H_INCLUDED_ */
