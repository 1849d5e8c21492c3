
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Four ways of finding the same bytes: 32 at a time where the processor is
 * found to have AVX2 when the code runs, else 16 with SSE2, eight with the
 * arithmetic of words, or one.
 */


#include "sgtm_stops.h"


/* either may be given as 0, to test the other ways */

#ifndef SGTM_SSE2
#if defined(__SSE2__)
#define SGTM_SSE2  1
#endif
#endif

#ifndef SGTM_AVX2
#if (SGTM_SSE2) && defined(__GNUC__) && defined(__x86_64__)
#define SGTM_AVX2  1
#endif
#endif

#if (SGTM_AVX2)
#include <immintrin.h>
#elif (SGTM_SSE2)
#include <emmintrin.h>
#endif


typedef struct {
    uint64_t        delims;
    uint64_t        others;
} sgtm_stops_t;


#if (SGTM_SSE2)

#define sgtm_stops_load(p)                                                    \
    _mm_loadu_si128((const __m128i *) (const void *) (p))

#define sgtm_stops_bits16(v)  (uint64_t) (unsigned) _mm_movemask_epi8(v)

#define sgtm_stops_are(v, c)  _mm_cmpeq_epi8(v, _mm_set1_epi8((char) (c)))


static inline uint64_t
sgtm_stops16_delims(__m128i x, unsigned char more)
{
    __m128i  delims;

    delims = _mm_or_si128(sgtm_stops_are(x, '='), sgtm_stops_are(x, '&'));

    return sgtm_stops_bits16(_mm_or_si128(delims, sgtm_stops_are(x, more)));
}


/*
 * The bytes are signed: of those over 0x7f and those below "&" the difference
 * is below zero, which is all that a mask tells.  0x7f is "?" with a bit more.
 */

static inline uint64_t
sgtm_stops16_others(__m128i x)
{
    __m128i  below, query;

    below = _mm_subs_epi8(x, _mm_set1_epi8('&'));
    query = _mm_or_si128(x, _mm_set1_epi8(0x40));

    return sgtm_stops_bits16(_mm_or_si128(below, sgtm_stops_are(query, 0x7f)));
}


static inline void
sgtm_stops64(sgtm_stops_t *stops, const unsigned char *p, unsigned char more)
{
    unsigned  i;
    __m128i   x;

    stops->delims = 0;
    stops->others = 0;

    for (i = 0; i < SGTM_STOPS; i += 16) {
        x = sgtm_stops_load(p + i);

        stops->delims |= sgtm_stops16_delims(x, more) << i;
        stops->others |= sgtm_stops16_others(x) << i;
    }
}


static inline uint64_t
sgtm_stops64_of(const unsigned char *p, unsigned char c)
{
    unsigned  i;
    uint64_t  stops;

    for (i = 0, stops = 0; i < SGTM_STOPS; i += 16) {
        stops |= sgtm_stops_bits16(sgtm_stops_are(sgtm_stops_load(p + i), c))
                 << i;
    }

    return stops;
}


#elif (SGTM_LITTLE_ENDIAN)

/* the highest bits of eight bytes, together */
#define sgtm_stops_bits8(x)                                                   \
    (((x) >> 7 & SGTM_BYTES) * 0x0102040810204080 >> 56)


/* sets the highest bit of the bytes that are c, and clears all others */

static inline uint64_t
sgtm_stops8_of(uint64_t x, unsigned char c)
{
    x ^= SGTM_BYTES * c;
    x |= (x & SGTM_BYTES * 0x7f) + SGTM_BYTES * 0x7f;

    return ~x & SGTM_BYTES * 0x80;
}


static inline void
sgtm_stops64(sgtm_stops_t *stops, const unsigned char *p, unsigned char more)
{
    unsigned  i;
    uint64_t  x, y;

    stops->delims = 0;
    stops->others = 0;

    for (i = 0; i < SGTM_STOPS; i += 8) {
        memcpy(&x, p + i, 8);

        y = sgtm_stops8_of(x, '=') | sgtm_stops8_of(x, '&')
            | sgtm_stops8_of(x, more);

        stops->delims |= sgtm_stops_bits8(y) << i;

        /* below "&", over 0x7e, "?" */

        y = ~((x & SGTM_BYTES * 0x7f) + SGTM_BYTES * (0x80 - '&'));
        y |= x | ((x & SGTM_BYTES * 0x7f) + SGTM_BYTES);
        y |= sgtm_stops8_of(x, '?');

        stops->others |= sgtm_stops_bits8(y) << i;
    }
}


static inline uint64_t
sgtm_stops64_of(const unsigned char *p, unsigned char c)
{
    unsigned  i;
    uint64_t  x, stops;

    for (i = 0, stops = 0; i < SGTM_STOPS; i += 8) {
        memcpy(&x, p + i, 8);
        stops |= sgtm_stops_bits8(sgtm_stops8_of(x, c)) << i;
    }

    return stops;
}

#else

static inline void
sgtm_stops64(sgtm_stops_t *stops, const unsigned char *p, unsigned char more)
{
    unsigned  i;
    uint64_t  bit;

    stops->delims = 0;
    stops->others = 0;

    for (i = 0; i < SGTM_STOPS; i++) {
        bit = (uint64_t) 1 << i;

        stops->delims |= (p[i] == '=' || p[i] == '&' || p[i] == more) ? bit : 0;
        stops->others |= (p[i] < '&' || p[i] == '?' || p[i] > 0x7e) ? bit : 0;
    }
}


static inline uint64_t
sgtm_stops64_of(const unsigned char *p, unsigned char c)
{
    unsigned  i;
    uint64_t  stops;

    for (i = 0, stops = 0; i < SGTM_STOPS; i++) {
        stops |= (uint64_t) (p[i] == c) << i;
    }

    return stops;
}

#endif


/* one more is noted whether it is there or not, and counted if it is */

static sgtm_inline size_t
sgtm_stops_note(const unsigned char **at, size_t n, const unsigned char *p,
    uint64_t stops)
{
    unsigned  more;

    do {
        more = (stops != 0);
        at[n] = p + sgtm_stops_take(&stops) + 1;
        n += more;

    } while (stops);

    return n;
}


#if (SGTM_AVX2)

#define sgtm_avx2  __attribute__((__target__("avx2,bmi")))

#define sgtm_stops_load32(p)                                                  \
    _mm256_loadu_si256((const __m256i *) (const void *) (p))

#define sgtm_stops_bits32(v)  (uint64_t) (unsigned) _mm256_movemask_epi8(v)

#define sgtm_stops_are32(v, c)                                                \
    _mm256_cmpeq_epi8(v, _mm256_set1_epi8((char) (c)))


/* the same as sgtm_stops16_others() */

static sgtm_avx2 sgtm_inline uint64_t
sgtm_stops32_others(__m256i x)
{
    __m256i  below, query;

    below = _mm256_subs_epi8(x, _mm256_set1_epi8('&'));
    query = _mm256_or_si256(x, _mm256_set1_epi8(0x40));

    return sgtm_stops_bits32(_mm256_or_si256(below,
                                             sgtm_stops_are32(query, 0x7f)));
}


/*
 * A byte is one of those that are looked for if it is the one with the same
 * lower half: a table of sixteen, twice, is looked up for all bytes at once. It
 * gives 0 for those over 0x7f.
 */

static sgtm_avx2 sgtm_inline uint64_t
sgtm_stops_in32(__m256i x, __m256i table)
{
    return sgtm_stops_bits32(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, x),
                                               x));
}


/* more is "\n", or a delimiter anyway */

static sgtm_avx2 void
sgtm_stops_args_avx2(uint64_t *delims, uint64_t *others,
    const unsigned char *p, size_t words, unsigned char more)
{
    size_t   n;
    __m256i  x, y, table;

    table = _mm256_setr_epi8(
        -1, 0, 0, 0, 0, 0, '&', 0, 0, 0, (char) more, 0, 0, '=', 0, 0,
        -1, 0, 0, 0, 0, 0, '&', 0, 0, 0, (char) more, 0, 0, '=', 0, 0);

    for (n = 0; n < words; n++, p += SGTM_STOPS) {

        x = sgtm_stops_load32(p);
        y = sgtm_stops_load32(p + 32);

        delims[n] = sgtm_stops_in32(x, table)
                    | sgtm_stops_in32(y, table) << 32;
        others[n] = sgtm_stops32_others(x) | sgtm_stops32_others(y) << 32;
    }
}


static sgtm_avx2 size_t
sgtm_stops_behind_avx2(const unsigned char **at, size_t n, size_t max,
    const unsigned char **pos, const unsigned char *end, unsigned char c)
{
    uint64_t              stops;
    const unsigned char  *p;

    for (p = *pos; end - p >= SGTM_STOPS && n + SGTM_STOPS < max;
         p += SGTM_STOPS)
    {
        stops = sgtm_stops_bits32(sgtm_stops_are32(sgtm_stops_load32(p), c))
                | sgtm_stops_bits32(sgtm_stops_are32(sgtm_stops_load32(p + 32),
                                                     c))
                  << 32;

        n = sgtm_stops_note(at, n, p, stops);
    }

    *pos = p;

    return n;
}


static sgtm_avx2 uint64_t
sgtm_stops_url_avx2(const unsigned char *p)
{
    __m256i  table;

    table = _mm256_setr_epi8(
        -1, 0, 0, '#', 0, '%', '&', 0, 0, 0, 0, 0, 0, '=', 0, '?',
        -1, 0, 0, '#', 0, '%', '&', 0, 0, 0, 0, 0, 0, '=', 0, '?');

    return sgtm_stops_in32(sgtm_stops_load32(p), table)
           | sgtm_stops_in32(sgtm_stops_load32(p + 32), table) << 32;
}

#endif


static inline void
sgtm_stops_words(uint64_t *delims, uint64_t *others, const unsigned char *p,
    size_t words, unsigned char more)
{
    size_t        n;
    sgtm_stops_t  stops;

#if (SGTM_AVX2)

    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) {
        sgtm_stops_args_avx2(delims, others, p, words, more);
        return;
    }

#endif

    for (n = 0; n < words; n++, p += SGTM_STOPS) {
        sgtm_stops64(&stops, p, more);

        delims[n] = stops.delims;
        others[n] = stops.others;
    }
}


size_t
sgtm_stops_args(uint64_t *delims, uint64_t *others, const unsigned char *p,
    size_t len, unsigned lines)
{
    size_t         words, rest;
    unsigned char  more, buf[SGTM_STOPS];

    /* without lines a byte that is one anyway */

    more = lines ? '\n' : '&';

    words = len / SGTM_STOPS;
    rest = len % SGTM_STOPS;

    sgtm_stops_words(delims, others, p, words, more);

    if (rest == 0) {
        return words;
    }

    /* no more than there is may be read: the last word overlaps another */

    if (words) {
        p += len - SGTM_STOPS;

    } else {
        memset(buf, 0, sizeof(buf));
        memcpy(buf + SGTM_STOPS - rest, p, rest);
        p = buf;
    }

    sgtm_stops_words(&delims[words], &others[words], p, 1, more);

    delims[words] >>= SGTM_STOPS - rest;
    others[words] >>= SGTM_STOPS - rest;

    return words + 1;
}


size_t
sgtm_stops_behind(const unsigned char **at, size_t n, size_t max,
    const unsigned char **pos, const unsigned char *end, unsigned char c)
{
    const unsigned char  *p;

#if (SGTM_AVX2)

    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) {
        return sgtm_stops_behind_avx2(at, n, max, pos, end, c);
    }

#endif

    for (p = *pos; end - p >= SGTM_STOPS && n + SGTM_STOPS < max;
         p += SGTM_STOPS)
    {
        n = sgtm_stops_note(at, n, p, sgtm_stops64_of(p, c));
    }

    *pos = p;

    return n;
}


static inline uint64_t
sgtm_stops_word(const unsigned char *p)
{
#if (SGTM_AVX2)

    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) {
        return sgtm_stops_url_avx2(p);
    }

#endif

    return sgtm_stops64_of(p, '?') | sgtm_stops64_of(p, '&')
           | sgtm_stops64_of(p, '#') | sgtm_stops64_of(p, '=')
           | sgtm_stops64_of(p, '%');
}


uint64_t
sgtm_stops_url(const unsigned char *begin, const unsigned char *p,
    const unsigned char *end)
{
    size_t         len;
    unsigned char  buf[SGTM_STOPS];

    len = (size_t) (end - p);

    if (len >= SGTM_STOPS) {
        return sgtm_stops_word(p);
    }

    if (len == 0) {
        return 0;
    }

    if (end - begin >= SGTM_STOPS) {
        return sgtm_stops_word(end - SGTM_STOPS) >> (SGTM_STOPS - len);
    }

    memset(buf, 0, sizeof(buf));
    memcpy(buf, p, len);

    return sgtm_stops_word(buf);
}
