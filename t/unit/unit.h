
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the unit tests share: results as prove(1) reads them (TAP), inputs in
 * memory of exactly their size, so that a sanitizer sees a byte read too far,
 * and the built-in tables.
 */


#ifndef _SGTM_UNIT_H_INCLUDED_
#define _SGTM_UNIT_H_INCLUDED_


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgtm_consent.h"
#include "sgtm_ga4.h"
#include "sgtm_redact.h"


#define unit_nelts(array)  (sizeof(array) / sizeof((array)[0]))


static unsigned  unit_tests;
static unsigned  unit_failed;

static void    **unit_memory;
static size_t    unit_nmemory;


/* one line of the result; returns what it was given */

static inline int
unit_ok(int ok, const char *format, ...)
{
    va_list  args;

    unit_tests++;
    unit_failed += !ok;

    printf("%sok %u - ", ok ? "" : "not ", unit_tests);

    va_start(args, format);
    vprintf(format, args);
    va_end(args);

    printf("\n");
    fflush(stdout);

    return ok;
}


/* as unit_ok(); shows both where they differ */

static inline int
unit_is(const unsigned char *data, size_t len, const char *want,
    const char *name)
{
    int  ok;

    ok = (len == strlen(want) && (len == 0 || memcmp(data, want, len) == 0));

    unit_ok(ok, "%s", name);

    if (!ok) {
        printf("#      got: %.*s\n# expected: %s\n", (int) len,
               len ? (const char *) data : "", want);
    }

    return ok;
}


/* memory that unit_done() frees */

static inline void *
unit_alloc(size_t size)
{
    void  *p, **memory;

    p = malloc(size ? size : 1);
    memory = unit_memory;

    if ((unit_nmemory & (unit_nmemory - 1)) == 0) {
        memory = realloc(unit_memory, (unit_nmemory ? 2 * unit_nmemory : 1)
                                      * sizeof(void *));
    }

    if (p == NULL || memory == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }

    unit_memory = memory;
    unit_memory[unit_nmemory++] = p;

    return p;
}


/* a copy of exactly these bytes */

static inline sgtm_str_t
unit_bytes(const void *data, size_t len)
{
    sgtm_str_t  str;

    str.len = len;
    str.data = unit_alloc(len);

    if (len) {
        memcpy(str.data, data, len);
    }

    return str;
}


static inline sgtm_str_t
unit_str(const char *text)
{
    return unit_bytes(text, strlen(text));
}


/* a table with a built-in list and room for more */

static inline void
unit_names(sgtm_names_t *names, const sgtm_default_t *list)
{
    sgtm_names_init(names, unit_alloc(sgtm_names_size(128, 16)), 128, 16);

    if (list != NULL && sgtm_names_add_defaults(names, list) != SGTM_OK) {
        printf("Bail out! the table is too small\n");
        exit(1);
    }
}


/* the end of a test's main() */

static inline int
unit_done(void)
{
    size_t  i;

    printf("1..%u\n", unit_tests);

    for (i = 0; i < unit_nmemory; i++) {
        free(unit_memory[i]);
    }

    free(unit_memory);

    return unit_failed ? 1 : 0;
}


#endif /* _SGTM_UNIT_H_INCLUDED_ */
