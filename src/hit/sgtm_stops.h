
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Finds the bytes of a query that need a look, 64 at a time, with no branch a
 * byte: a walk over a hit waits for nothing but its own arguments.
 */


#ifndef _SGTM_STOPS_H_INCLUDED_
#define _SGTM_STOPS_H_INCLUDED_


#include <string.h>

#include "sgtm_hit.h"


/* bytes that are looked at together, each a bit, the first the lowest */
#define SGTM_STOPS  64


/*
 * Sets the bits of len bytes: of "=", "&" and, with lines, "\n" in delims, and
 * in others of what may be more than itself: controls, "%", "#", "?", 0x7f and
 * what is over it, and of a few more that are harmless, as a space is.  Returns
 * how many words there are; bits behind the last byte are 0.
 */
size_t sgtm_stops_args(uint64_t *delims, uint64_t *others,
    const unsigned char *p, size_t len, unsigned lines);

/*
 * Adds to the n pointers of an array that has room for max those to what comes
 * behind each c, and returns how many there are then: of whole 64 bytes from *p
 * on, which is moved on, as long as all of them might be c and have room.
 */
size_t sgtm_stops_behind(const unsigned char **at, size_t n, size_t max,
    const unsigned char **p, const unsigned char *end, unsigned char c);

/*
 * The bits of "?", "&", "#", "=" and "%" among the next 64 bytes at p, or among
 * as many as there are.  What lies between begin and p may be read, too.
 */
uint64_t sgtm_stops_url(const unsigned char *begin, const unsigned char *p,
    const unsigned char *end);


/* the number of the lowest bit that is set; there must be one */

static inline unsigned
sgtm_stops_first(uint64_t stops)
{
#if defined(__GNUC__)

    return (unsigned) __builtin_ctzll(stops);

#else

    unsigned  n;

    for (n = 0; !(stops & 1); n++) {
        stops >>= 1;
    }

    return n;

#endif
}


/* the same, and clears it; any number where there is none */

static inline unsigned
sgtm_stops_take(uint64_t *stops)
{
    unsigned  n;

    n = sgtm_stops_first(*stops | (uint64_t) 1 << 63);
    *stops &= *stops - 1;

    return n;
}


#endif /* _SGTM_STOPS_H_INCLUDED_ */
