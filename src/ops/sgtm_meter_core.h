
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the files of the meter share.
 */


#ifndef _SGTM_METER_CORE_H_INCLUDED_
#define _SGTM_METER_CORE_H_INCLUDED_


#include <stdatomic.h>

#include "sgtm_meter.h"


#define SGTM_METER_GRAIN     32

/* of a set's month: it is to be free, nobody new counts in it */
#define SGTM_METER_DRAINING  0x80000000

/* the month of a word is above what is counted */
#define SGTM_METER_SHIFT     48
#define SGTM_METER_MASK      (((uint64_t) 1 << SGTM_METER_SHIFT) - 1)

/*
 * What waits does not grow past this by much: a disk that has failed for that
 * many events of one tenant is no reason to begin at 0.
 */
#define SGTM_METER_FULL      0xc0000000


struct sgtm_meter_entry_s {
    _Atomic uint32_t  waiting[SGTM_METER_SETS][SGTM_METER_N];

    _Atomic uint64_t  used;        /* with its month */
    _Atomic uint32_t  told;        /* month << 8 | level */
    _Atomic uint32_t  next;        /* in the chain: grains from the meter */

    /* the writer's */

    _Atomic uint32_t  known;       /* the month whose row was read */
    _Atomic uint32_t  month;       /* of what follows */
    _Atomic uint64_t  accepted;    /* in the file, or on the way there */
    _Atomic uint64_t  forwarded;
    _Atomic uint64_t  dropped;

    uint32_t          hash;
    uint16_t          len;
    unsigned char     id[];
};


struct sgtm_meter_s {
    _Atomic uint64_t  sets;        /* months of both: low half, high half */
    _Atomic uint64_t  owner;       /* who writes; 0: nobody */
    _Atomic int64_t   written;
    _Atomic uint32_t  grains;      /* taken, from the beginning */
    _Atomic uint32_t  entries;
    _Atomic uint32_t  refused;
    uint32_t          end;         /* grains that there are */
    uint32_t          first;       /* of an entry */
    uint32_t          epoch;
    uint32_t          nchains;     /* a power of 2 */
    _Atomic uint32_t  chains[];
};


#define sgtm_meter_at(meter, ref)                                             \
    ((sgtm_meter_entry_t *) ((uintptr_t) (meter)                              \
                             + (size_t) (ref) * SGTM_METER_GRAIN))

#define sgtm_meter_half(sets, i)  ((uint32_t) ((sets) >> 32 * (i)))


/*
 * Calls a handler for each entry.  Entries that are made meanwhile may be
 * missed.
 */
void sgtm_meter_walk(sgtm_meter_t *meter, sgtm_meter_handler_pt handler,
    void *data);

/* the label of a set changes: 1, unless somebody has changed it before */
int sgtm_meter_label(sgtm_meter_t *meter, unsigned set, uint32_t from,
    uint32_t to);


#endif /* _SGTM_METER_CORE_H_INCLUDED_ */
