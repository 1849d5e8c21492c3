
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Bytes of every kind at every place of inputs of every length, found by
 * sgtm_stops_*() and one by one.  A way of finding them that is wrong at one
 * place, or of one byte, shows in hits that are rare, and on processors that
 * nobody here has.
 */


#ifndef _SGTM_UNIT_STOPS_H_INCLUDED_
#define _SGTM_UNIT_STOPS_H_INCLUDED_


#include "unit.h"
#include "sgtm_stops.h"


#define UNIT_STOPS_BYTES  200
#define UNIT_STOPS_MAX    (UNIT_STOPS_BYTES + SGTM_STOPS + 2)


/* those that may be told of or not, as they mean no more than themselves */

static inline int
unit_stops_harmless(unsigned char c)
{
    return c >= ' ' && c < '&' && c != '%' && c != '#';
}


static inline int
unit_stops_odd(unsigned char c)
{
    return c < ' ' || c == '%' || c == '#' || c == '?' || c >= 0x7f;
}


/* the first place where something is wrong, or -1 */

static inline int
unit_stops_args(const sgtm_str_t *in, unsigned lines)
{
    int            delim, other;
    size_t         i, n;
    uint64_t       delims[8], others[8];
    unsigned char  c;

    n = sgtm_stops_args(delims, others, in->data, in->len, lines);

    if (n != (in->len + SGTM_STOPS - 1) / SGTM_STOPS) {
        return (int) in->len;
    }

    for (i = 0; i < n * SGTM_STOPS; i++) {

        delim = delims[i / SGTM_STOPS] >> i % SGTM_STOPS & 1;
        other = others[i / SGTM_STOPS] >> i % SGTM_STOPS & 1;

        if (i >= in->len) {
            if (delim || other) {
                return (int) i;
            }

            continue;
        }

        c = in->data[i];

        if (delim != (c == '=' || c == '&' || (lines && c == '\n'))
            || (!unit_stops_harmless(c) && other != unit_stops_odd(c)))
        {
            return (int) i;
        }
    }

    return -1;
}


static inline int
unit_stops_behind(const sgtm_str_t *in, unsigned char ch)
{
    size_t                i, n, m;
    const unsigned char  *p, *end, *at[UNIT_STOPS_MAX];

    p = in->data;
    end = p + in->len;

    at[0] = p;
    n = sgtm_stops_behind(at, 1, UNIT_STOPS_MAX, &p, end, ch);

    if (end - p >= SGTM_STOPS || (p - in->data) % SGTM_STOPS) {
        return (int) in->len;
    }

    for (i = 0, m = 1; in->data + i < p; i++) {
        if (in->data[i] == ch && (m == n || at[m++] != in->data + i + 1)) {
            return (int) i;
        }
    }

    return m == n ? -1 : (int) in->len;
}


/* from every place of it on */

static inline int
unit_stops_url(const sgtm_str_t *in)
{
    int                   found;
    size_t                i, n;
    uint64_t              bits;
    const unsigned char  *p;

    for (i = 0; i <= in->len; i++) {

        p = in->data + i;
        bits = sgtm_stops_url(in->data, p, in->data + in->len);

        for (n = 0; n < SGTM_STOPS; n++) {

            found = (i + n < in->len && p[n]
                     && strchr("?&#=%", p[n]) != NULL);

            if (found != (int) (bits >> n & 1)) {
                return (int) (i + n);
            }
        }
    }

    return -1;
}


/* pseudo-random bytes, those that are looked for among them more often */

static inline void
unit_stops_fill(sgtm_str_t *in, unsigned seed)
{
    size_t                      i;
    uint64_t                    x;
    static const unsigned char  some[] = "==&&\n%;?#*J]6\xbd\xa6\x8a\xa5\xa3";

    x = seed * 0x9e3779b97f4a7c15 + 1;

    for (i = 0; i < in->len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;

        in->data[i] = (x >> 40 & 3) ? (unsigned char) (x >> 8)
                                    : some[(x >> 16) % (sizeof(some) - 1)];
    }
}


static inline int
unit_stops_main(void)
{
    int            at;
    size_t         i;
    unsigned       c, seed;
    sgtm_str_t     in;
    unsigned char  buf[UNIT_STOPS_BYTES];

    in.data = buf;

    for (in.len = 1, at = -1; in.len <= sizeof(buf) && at < 0; in.len++) {
        in.data = unit_alloc(in.len);

        for (seed = 1; seed < 20 && at < 0; seed++) {
            unit_stops_fill(&in, seed * 1000 + (unsigned) in.len);

            at = unit_stops_args(&in, seed & 1);

            if (at < 0) {
                at = unit_stops_behind(&in, ';');
            }

            if (at < 0) {
                at = unit_stops_url(&in);
            }
        }
    }

    unit_ok(at < 0, "mixed bytes of 1 to %d", UNIT_STOPS_BYTES);

    in.len = 2 * SGTM_STOPS;
    in.data = unit_alloc(in.len);

    for (c = 0, at = -1; c < 256 && at < 0; c++) {
        for (i = 0; i < in.len && at < 0; i++) {
            memset(in.data, 'a', in.len);
            in.data[i] = (unsigned char) c;

            at = unit_stops_args(&in, 0);

            if (at < 0) {
                at = unit_stops_args(&in, 1);
            }

            if (at < 0) {
                at = unit_stops_behind(&in, (unsigned char) c);
            }

            /* this looks from all places, so each byte is at eight of them */

            if (at < 0 && i % 16 == c % 16) {
                at = unit_stops_url(&in);
            }
        }
    }

    unit_ok(at < 0, "each byte at each place");

    memset(in.data, ';', in.len);

    unit_ok(unit_stops_behind(&in, ';') < 0, "nothing else");

    return unit_done();
}


#endif /* _SGTM_UNIT_STOPS_H_INCLUDED_ */
