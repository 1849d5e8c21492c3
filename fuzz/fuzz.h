
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


/* whether a byte is one of the delimiters of an URL */

static inline int
fuzz_delimiter(unsigned c)
{
    return c == '?' || c == '&' || c == '#' || c == '=';
}


static inline int
fuzz_name_denied(const sgtm_default_t *list, unsigned deny,
    const unsigned char *name, size_t len)
{
    size_t                  n;
    const sgtm_default_t   *p;

    for (p = list; p->name.len; p++) {

        n = p->name.len;

        if (!(p->rule.deny & deny)) {
            continue;
        }

        if (p->name.data[n - 1] == '*'
            ? (len >= n - 1 && memcmp(name, p->name.data, n - 1) == 0)
            : (len == n && memcmp(name, p->name.data, n) == 0))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Whether an URL, read as it is, has an argument whose name is denied; the
 * names are decoded to their end, here step by step.
 */

static inline int
fuzz_level_denied(const sgtm_default_t *list, unsigned deny,
    const unsigned char *text, size_t size)
{
    int             found;
    size_t          i, n, m, start;
    unsigned char  *name;

    name = fuzz_alloc(size + 1);
    found = 0;

    for (i = 0; i < size && !found; i++) {

        if (!fuzz_delimiter(text[i]) || text[i] == '=') {
            continue;
        }

        start = i + 1;

        for (n = start; n < size && !fuzz_delimiter(text[n]); n++) {
            /* void */
        }

        if (text[i] == '#' && (n == size || text[n] != '=')) {
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

        found = fuzz_name_denied(list, deny, name, m);
    }

    free(name);

    return found;
}


/*
 * How many delimiters there are, plain or as "%3F", "%253F" and so on: not one
 * of which a digit is an escape itself, since no encoder writes that.
 */

static inline size_t
fuzz_delimiters(const unsigned char *data, size_t len)
{
    size_t  i, n, count;

    for (i = 0, count = 0; i < len; i++) {

        if (fuzz_delimiter(data[i])) {
            count++;
        }

        if (data[i] != '%') {
            continue;
        }

        for (n = i + 1; len - n >= 2 && data[n] == '2' && data[n + 1] == '5';
             n += 2)
        {
            /* void */
        }

        if (len - n >= 2 && fuzz_hex(data[n]) >= 0
            && fuzz_hex(data[n + 1]) >= 0
            && fuzz_delimiter((unsigned) fuzz_hex(data[n]) * 16
                              + (unsigned) fuzz_hex(data[n + 1])))
        {
            count++;
        }
    }

    return count;
}


#define FUZZ_ALLOWED  0
#define FUZZ_DENIED   1
#define FUZZ_UNSURE   2                /* not denied as far as one can see */


/*
 * Whether an URL has an argument whose name is denied for whoever reads it as
 * it is, decoded once (as a value of a hit is), or more often than that.
 */

static inline int
fuzz_url_denied(const sgtm_default_t *list, unsigned deny,
    const unsigned char *data, size_t len)
{
    int             found;
    size_t          n, size, level, delimiters;
    unsigned char  *text;

    text = fuzz_alloc(len + 1);
    size = len;

    if (len) {
        memcpy(text, data, len);
    }

    found = FUZZ_ALLOWED;
    delimiters = fuzz_delimiters(text, size);

    for (level = 0; /* void */ ; level++) {

        if (level > 1 && fuzz_delimiters(text, size) != delimiters) {
            found = FUZZ_UNSURE;
            break;
        }

        if (fuzz_level_denied(list, deny, text, size)) {
            found = FUZZ_DENIED;
            break;
        }

        n = size;
        size = fuzz_decode(text, text, n);

        if (n == size) {
            break;
        }

        if (level == 8) {
            found = FUZZ_UNSURE;
            break;
        }
    }

    free(text);

    return found;
}


#endif /* _SGTM_FUZZ_H_INCLUDED_ */
