
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Finds the bytes of a query that need a look, up to 64 at a time, with no
 * branch a byte: a walk over a hit waits for nothing but its own arguments.
 */


#ifndef _SGTM_STOPS_H_INCLUDED_
#define _SGTM_STOPS_H_INCLUDED_


#include <string.h>

#include "sgtm_hit.h"


/* sixteen bytes at a time; may be given as 0, to test the other ways */

#ifndef SGTM_SSE2
#if defined(__GNUC__) && defined(__SSE2__)
#define SGTM_SSE2  1
#endif
#endif


#if (SGTM_SSE2)

typedef signed char  sgtm_stops_v16_t __attribute__((vector_size(16)));
typedef char         sgtm_stops_mask_t __attribute__((vector_size(16)));


static inline uint64_t
sgtm_stops16(const unsigned char *p)
{
    sgtm_stops_v16_t  x, y;

    memcpy(&x, p, 16);

    /* the bytes are signed: those over 0x7f are below 0x28, too */

    y = (sgtm_stops_v16_t) (x < 0x28);
    y |= (sgtm_stops_v16_t) (x == '=');
    y |= (sgtm_stops_v16_t) (x == '?');
    y |= (sgtm_stops_v16_t) (x == 0x7f);

    return (unsigned) __builtin_ia32_pmovmskb128((sgtm_stops_mask_t) y);
}

#endif


#if (SGTM_LITTLE_ENDIAN)

/*
 * Each test sets the highest bit of its bytes; a carry may set that of others
 * as well, but never clears one.  The product brings the eight bits together.
 */

static inline uint64_t
sgtm_stops8(const unsigned char *p)
{
    uint64_t  x, y, z;

    memcpy(&x, p, 8);

    y = x ^ (SGTM_BYTES * '?');
    z = x ^ (SGTM_BYTES * '=');

    y = (y - SGTM_BYTES) & ~y;
    y |= (z - SGTM_BYTES) & ~z;
    y |= (x - SGTM_BYTES * 0x28) & ~x;
    y |= x | (x + SGTM_BYTES);

    y = y >> 7 & SGTM_BYTES;

    return y * 0x0102040810204080 >> 56;
}

#endif


/*
 * A bit for each of at most 64 bytes, the lowest for the first: what is below
 * 0x28 (controls, "#", "%" and "&"), "=", "?", 0x7f and what is over it.  Other
 * bits may be set as well, but none of these is missed.
 */

static inline uint64_t
sgtm_stops(const unsigned char *p, size_t len)
{
    size_t    i;
    uint64_t  stops;

    i = 0;
    stops = 0;

    if (len > 64) {
        len = 64;
    }

#if (SGTM_SSE2)

    for ( /* void */ ; len - i >= 16; i += 16) {
        stops |= sgtm_stops16(p + i) << i;
    }

#endif

#if (SGTM_LITTLE_ENDIAN)

    for ( /* void */ ; len - i >= 8; i += 8) {
        stops |= sgtm_stops8(p + i) << i;
    }

#endif

    for ( /* void */ ; i < len; i++) {

        if (p[i] < 0x28 || p[i] == '=' || p[i] == '?' || p[i] >= 0x7f) {
            stops |= (uint64_t) 1 << i;
        }
    }

    return stops;
}


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


#endif /* _SGTM_STOPS_H_INCLUDED_ */
