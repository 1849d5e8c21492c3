
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the fuzz targets share.  Inputs and outputs lie in memory of exactly
 * their size, so that a byte too far is seen; what must always hold is checked
 * by fuzz_check(), in a way that owes nothing to the code under test.
 */


#ifndef _SGTM_FUZZ_H_INCLUDED_
#define _SGTM_FUZZ_H_INCLUDED_


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgtm_consent.h"
#include "sgtm_ga4.h"
#include "sgtm_redact.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#define fuzz_check(condition)                                                 \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
            abort();                                                          \
        }                                                                     \
    } while (0)


static inline unsigned char *
fuzz_alloc(size_t size)
{
    unsigned char  *p;

    p = malloc(size);

    /* of no bytes, NULL is as good */
    fuzz_check(p != NULL || size == 0);

    return p;
}


/* a copy, to be freed by its data */

static inline sgtm_str_t
fuzz_copy(const void *data, size_t size)
{
    sgtm_str_t  str;

    str.len = size;
    str.data = fuzz_alloc(size);

    if (size) {
        memcpy(str.data, data, size);
    }

    return str;
}


static inline int
fuzz_equal(const unsigned char *a, size_t alen, const unsigned char *b,
    size_t blen)
{
    return alen == blen && (alen == 0 || memcmp(a, b, alen) == 0);
}


/* a built-in table and room for more; filled once, kept for all inputs */

static inline void
fuzz_names(sgtm_names_t *names, const sgtm_default_t *list)
{
    void  *mem;

    mem = malloc(sgtm_names_size(128, 16));
    fuzz_check(mem != NULL);

    sgtm_names_init(names, mem, 128, 16);

    fuzz_check(sgtm_names_add_defaults(names, list) == SGTM_OK);
}


/* plain percent-decoding, once; what is no escape stays */

static inline int
fuzz_hex(unsigned c)
{
    return (c >= '0' && c <= '9') ? (int) c - '0'
           : (c >= 'a' && c <= 'f') ? (int) c - 'a' + 10
           : (c >= 'A' && c <= 'F') ? (int) c - 'A' + 10 : -1;
}


static inline size_t
fuzz_decode(unsigned char *out, const unsigned char *in, size_t len)
{
    size_t  i, n;

    for (i = 0, n = 0; i < len; n++) {

        if (in[i] == '%' && len - i > 2 && fuzz_hex(in[i + 1]) >= 0
            && fuzz_hex(in[i + 2]) >= 0)
        {
            out[n] = (unsigned char) (fuzz_hex(in[i + 1]) * 16
                                      + fuzz_hex(in[i + 2]));
            i += 3;

        } else {
            out[n] = in[i++];
        }
    }

    return n;
}


/*
 * Whether an URL, once it is decoded as a value of a hit is, has an argument
 * whose name is denied; the names are decoded to their end, here step by step.
 */

static inline int
fuzz_url_denied(const sgtm_default_t *list, unsigned deny,
    const unsigned char *data, size_t len)
{
    int                     found;
    size_t                  i, n, m, size, start;
    unsigned char           ch, *text, *name;
    const sgtm_default_t   *p;

    text = fuzz_alloc(len + 1);
    name = fuzz_alloc(len + 1);
    size = fuzz_decode(text, data, len);
    found = 0;

    for (i = 0; i < size && !found; i++) {

        ch = text[i];

        if (ch != '?' && ch != '&' && ch != '#') {
            continue;
        }

        start = i + 1;

        for (n = start; n < size && strchr("?&#=", text[n]) == NULL; n++) {
            /* void */
        }

        if (n < size && text[n] == '\0') {
            /* strchr() found its own end */
            continue;
        }

        if (ch == '#' && (n == size || text[n] != '=')) {
            continue;
        }

        m = n - start;
        memcpy(name, text + start, m);

        do {
            n = m;
            m = fuzz_decode(name, name, n);
        } while (m != n);

        for (n = 0; n < m; n++) {
            if (name[n] >= 'A' && name[n] <= 'Z') {
                name[n] |= 0x20;
            }
        }

        for (p = list; p->name.len; p++) {

            n = p->name.len;

            if (!(p->rule.deny & deny)) {
                continue;
            }

            if (p->name.data[n - 1] == '*') {
                found |= (m >= n - 1 && memcmp(name, p->name.data, n - 1) == 0);

            } else {
                found |= (m == n && memcmp(name, p->name.data, n) == 0);
            }
        }
    }

    free(text);
    free(name);

    return found;
}


#endif /* _SGTM_FUZZ_H_INCLUDED_ */
