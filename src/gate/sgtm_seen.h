
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What was seen before: a flat table of fingerprints in one block of memory,
 * without a pointer in it, so that it may be shared by processes.  Entries lie
 * in a ring in order of insertion; when it is full the oldest one makes room.
 * Plain C11 without nginx.  The calls that reserve, confirm and release are
 * made under one lock of the caller's.
 *
 * A process may be killed in the middle of any of these calls: the table is
 * sound then, and at worst has forgotten an entry, or keeps a reservation that
 * expires.  sgtm_seen.c says why.
 */


#ifndef _SGTM_SEEN_H_INCLUDED_
#define _SGTM_SEEN_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "../hit/sgtm_hit.h"


/*
 * Times are tenths of a second, of a clock that does not go back and is the
 * same in all processes.
 */

#define SGTM_SEEN_SECOND    10

/* how long a reservation counts that is neither confirmed nor released */
#define SGTM_SEEN_RESERVED  (30 * SGTM_SEEN_SECOND)

/* the longest window: over 19 days */
#define SGTM_SEEN_WINDOW    0xffffff

/* bytes of an entry, with its share of the index */
#define SGTM_SEEN_ENTRY     36


typedef struct sgtm_seen_s  sgtm_seen_t;


/* one's own reservation; harmless once the table has forgotten it */

typedef struct {
    uint32_t        slot;
    uint32_t        serial;
} sgtm_seen_ref_t;


/* how many entries a table in so much memory has; 0: there is no room */
size_t sgtm_seen_capacity(size_t size);

/* the bytes that a table of n entries takes */
size_t sgtm_seen_size(size_t n);

/*
 * Makes an empty table of n entries, at least one, in memory of
 * sgtm_seen_size(n) bytes, aligned to 64.
 */
sgtm_seen_t *sgtm_seen_init(void *mem, size_t n);

/*
 * Asks for the memory that the nth of the reservations to come will need, of
 * this fingerprint: first for all of them with step 0, then with step 1, so
 * that they wait for it together and before the lock is taken.
 */
void sgtm_seen_prefetch(const sgtm_seen_t *seen, const uint64_t *print,
    unsigned n, unsigned step);

/*
 * SGTM_OK: the fingerprint, two words of a keyed hash, was not seen within the
 * window of the time; it is reserved now and ref is set.  SGTM_DECLINED: it
 * was, or is reserved.
 *
 * What was confirmed counts for the window that it was reserved with; what is
 * reserved for SGTM_SEEN_RESERVED, or its window if that is shorter.
 */
int sgtm_seen_reserve(sgtm_seen_t *seen, const uint64_t *print, uint32_t now,
    uint32_t window, sgtm_seen_ref_t *ref);

/* makes a reservation count for its window */
void sgtm_seen_confirm(sgtm_seen_t *seen, const sgtm_seen_ref_t *ref);

/* forgets a reservation that was not confirmed */
void sgtm_seen_release(sgtm_seen_t *seen, const sgtm_seen_ref_t *ref);

/* how many entries there is room for */
uint32_t sgtm_seen_entries(const sgtm_seen_t *seen);

/* how many made room while they still counted */
uint64_t sgtm_seen_evicted(const sgtm_seen_t *seen);


#endif /* _SGTM_SEEN_H_INCLUDED_ */
