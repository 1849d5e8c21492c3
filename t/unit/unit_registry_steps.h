
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The registry itself, with a point at each step that has an order: there it
 * can be looked at, or its writer die.
 */


#ifndef _SGTM_UNIT_REGISTRY_STEPS_H_INCLUDED_
#define _SGTM_UNIT_REGISTRY_STEPS_H_INCLUDED_


#include <setjmp.h>


/* a process that dies here: the rest of the call never happens */

static unsigned  step;
static unsigned  die_at;
static jmp_buf   died;
static void    (*watch)(void);

#define sgtm_registry_order()                                                 \
    do {                                                                      \
        __asm__ volatile ("" : : : "memory");                                 \
        if (watch != NULL) {                                                  \
            watch();                                                          \
        }                                                                     \
        if (++step == die_at) {                                               \
            longjmp(died, 1);                                                 \
        }                                                                     \
    } while (0)


#include "tenant/sgtm_registry.c"
#include "tenant/sgtm_registry_hint.c"
#include "tenant/sgtm_registry_memory.c"
#include "tenant/sgtm_registry_repair.c"
#include "tenant/sgtm_registry_write.c"

#include "unit_registry.h"


/* nobody has this number: those of Linux end at 4194304 */
#define NOBODY  ((uint64_t) 4194305 << 32)


static const unsigned char  key[SGTM_SIPHASH_KEY] = { 1, 2, 3 };


static inline sgtm_registry_t *
registry(size_t size, size_t state)
{
    void             *mem;
    sgtm_registry_t  *reg;

    mem = unit_alloc(size + 64);
    memset(mem, 0xa5, size + 64);

    reg = sgtm_registry_create((void *) (((uintptr_t) mem + 63)
                                         & ~(uintptr_t) 63), size, 8, key,
                               state);

    if (reg == NULL || sgtm_registry_lock(reg) != SGTM_OK) {
        printf("Bail out! no registry of %zu bytes\n", size);
        exit(1);
    }

    return reg;
}


/* the version of the record that a host leads to, 0: none, -1: not whole */

static inline int
host(sgtm_registry_t *reg, const char *name)
{
    sgtm_str_t            str;
    const sgtm_tenant_t  *t;

    str = text(name);
    t = sgtm_registry_host(reg, &str);

    return t ? is_whole(t) ? (int) t->version : -1 : 0;
}


static inline int
id(sgtm_registry_t *reg, const char *name)
{
    sgtm_str_t            str;
    const sgtm_tenant_t  *t;

    str = text(name);
    t = sgtm_registry_id(reg, &str);

    return t ? is_whole(t) ? (int) t->version : -1 : 0;
}


static inline int
drop(sgtm_registry_t *reg, const char *name)
{
    sgtm_str_t  str;

    str = text(name);

    return sgtm_registry_remove(reg, SOURCE, &str);
}


static inline int
is_sound(sgtm_registry_t *reg, const char *when)
{
    const char  *why;

    why = unsound(reg);

    if (why != NULL) {
        printf("# %s: %s\n", when, why);
    }

    return why == NULL;
}


#endif /* _SGTM_UNIT_REGISTRY_STEPS_H_INCLUDED_ */
