
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Finds the bytes of a query that need a look, 32 at a time, with no branch a
 * byte: a walk over a hit waits for nothing but its own arguments.
 */


#ifndef _SGTM_STOPS_H_INCLUDED_
#define _SGTM_STOPS_H_INCLUDED_


#include <string.h>

#include "sgtm_hit.h"


/* sixteen bytes at a time; may be given as 0, to test the other ways */

#ifndef SGTM_SSE2
#if defined(__SSE2__)
#define SGTM_SSE2  1
#endif
#endif

#if (SGTM_SSE2)
#include <emmintrin.h>
#endif


/* how many bytes are looked at together: more than most arguments have */
#define SGTM_STOPS  32


/*
 * A bit for each of the bytes, the lowest for the first.  "other" is what may
 * be more than itself: controls, "%", "#", "?", 0x7f and what is over it.  It
 * has a few more that are harmless, as a space is.
 */

typedef struct {
    uint32_t        delim;             /* = & */
    uint32_t        other;
} sgtm_stops_t;


#if (SGTM_SSE2)

#define sgtm_stops_load(p)                                                    \
    _mm_loadu_si128((const __m128i *) (const void *) (p))

#define sgtm_stops_bits16(v)  (uint32_t) _mm_movemask_epi8(v)

#define sgtm_stops_are(v, c)  _mm_cmpeq_epi8(v, _mm_set1_epi8((char) (c)))


static inline uint32_t
sgtm_stops16_delim(__m128i x)
{
    return sgtm_stops_bits16(_mm_or_si128(sgtm_stops_are(x, '='),
                                          sgtm_stops_are(x, '&')));
}


/*
 * The bytes are signed: of those over 0x7f and those below "&" the difference
 * is below zero, which is all that a mask tells.  0x7f is "?" with a bit more.
 */

static inline uint32_t
sgtm_stops16_other(__m128i x)
{
    __m128i  below, query;

    below = _mm_subs_epi8(x, _mm_set1_epi8('&'));
    query = _mm_or_si128(x, _mm_set1_epi8(0x40));

    return sgtm_stops_bits16(_mm_or_si128(below, sgtm_stops_are(query, 0x7f)));
}


static inline void
sgtm_stops32(sgtm_stops_t *stops, const unsigned char *p)
{
    __m128i  x, y;

    x = sgtm_stops_load(p);
    y = sgtm_stops_load(p + 16);

    stops->delim = sgtm_stops16_delim(x) | sgtm_stops16_delim(y) << 16;
    stops->other = sgtm_stops16_other(x) | sgtm_stops16_other(y) << 16;
}


static inline uint32_t
sgtm_stops32_of(const unsigned char *p, unsigned char c)
{
    __m128i  x, y;

    x = sgtm_stops_load(p);
    y = sgtm_stops_load(p + 16);

    return sgtm_stops_bits16(sgtm_stops_are(x, c))
           | sgtm_stops_bits16(sgtm_stops_are(y, c)) << 16;
}

#elif (SGTM_LITTLE_ENDIAN)

/* the highest bits of eight bytes, together */
#define sgtm_stops_bits8(x)                                                   \
    (uint32_t) (((x) >> 7 & SGTM_BYTES) * 0x0102040810204080 >> 56)


/* sets the highest bit of the bytes that are c, and clears all others */

static inline uint64_t
sgtm_stops8_of(uint64_t x, unsigned char c)
{
    x ^= SGTM_BYTES * c;
    x |= (x & SGTM_BYTES * 0x7f) + SGTM_BYTES * 0x7f;

    return ~x & SGTM_BYTES * 0x80;
}


static inline void
sgtm_stops32(sgtm_stops_t *stops, const unsigned char *p)
{
    unsigned  i;
    uint64_t  x, y;

    memset(stops, 0, sizeof(sgtm_stops_t));

    for (i = 0; i < SGTM_STOPS; i += 8) {
        memcpy(&x, p + i, 8);

        y = sgtm_stops8_of(x, '=') | sgtm_stops8_of(x, '&');

        stops->delim |= sgtm_stops_bits8(y) << i;

        /* below "&", over 0x7e, "?" */

        y = ~((x & SGTM_BYTES * 0x7f) + SGTM_BYTES * (0x80 - '&'));
        y |= x | ((x & SGTM_BYTES * 0x7f) + SGTM_BYTES);
        y |= sgtm_stops8_of(x, '?');

        stops->other |= sgtm_stops_bits8(y) << i;
    }
}


static inline uint32_t
sgtm_stops32_of(const unsigned char *p, unsigned char c)
{
    unsigned  i;
    uint32_t  stops;
    uint64_t  x;

    for (i = 0, stops = 0; i < SGTM_STOPS; i += 8) {
        memcpy(&x, p + i, 8);
        stops |= sgtm_stops_bits8(sgtm_stops8_of(x, c)) << i;
    }

    return stops;
}

#else

static inline void
sgtm_stops32(sgtm_stops_t *stops, const unsigned char *p)
{
    unsigned  i;
    uint32_t  bit;

    memset(stops, 0, sizeof(sgtm_stops_t));

    for (i = 0; i < SGTM_STOPS; i++) {
        bit = (uint32_t) 1 << i;

        stops->delim |= (p[i] == '=' || p[i] == '&') ? bit : 0;
        stops->other |= (p[i] < '&' || p[i] == '?' || p[i] > 0x7e) ? bit : 0;
    }
}


static inline uint32_t
sgtm_stops32_of(const unsigned char *p, unsigned char c)
{
    unsigned  i;
    uint32_t  stops;

    for (i = 0, stops = 0; i < SGTM_STOPS; i++) {
        stops |= (uint32_t) (p[i] == c) << i;
    }

    return stops;
}

#endif


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
