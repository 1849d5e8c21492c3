
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "../hit/sgtm_siphash.h"
#include "sgtm_tenants.h"


#define SGTM_INDEX_NAMES  64

/* what places are numbered by */
#define SGTM_INDEX_ALONE  UINT32_MAX       /* the record is the file */
#define SGTM_INDEX_ID     UINT32_MAX       /* the name is no host */


typedef struct {
    size_t          offset;        /* of its letters */
    uint32_t        hash;
    uint32_t        len;
    uint32_t        source;
    uint32_t        record;
    uint32_t        host;
} sgtm_index_name_t;


/*
 * Names are in a list, their letters in a heap of their own, and a table of
 * numbers from 1 on leads to them by hash.  All grow by doubling: the table is
 * made anew then.
 */

struct sgtm_tenant_index_s {
    sgtm_index_name_t  *names;
    size_t              nnames;
    size_t              room;

    uint32_t           *slots;
    size_t              mask;

    unsigned char      *heap;
    size_t              used;
    size_t              heap_room;

    char              **sources;
    uint32_t            nsources;

    unsigned char       key[SGTM_SIPHASH_KEY];
};


static int sgtm_index_reserve(sgtm_tenant_index_t *index, size_t names,
    size_t letters);
static int sgtm_index_slots(sgtm_tenant_index_t *index, size_t n);
static sgtm_index_name_t *sgtm_index_find(sgtm_tenant_index_t *index,
    const sgtm_str_t *text, uint32_t host, uint32_t hash);
static uint32_t sgtm_index_hash(sgtm_tenant_index_t *index,
    const sgtm_str_t *text, uint32_t host);
static void sgtm_index_twice(sgtm_tenant_index_t *index,
    const sgtm_index_name_t *first, const sgtm_index_name_t *name,
    const sgtm_tenant_opts_t *opts);
static size_t sgtm_index_path(char *path, size_t size,
    const sgtm_index_name_t *name);


sgtm_tenant_index_t *
sgtm_tenant_index_create(size_t names)
{
    sgtm_tenant_index_t  *index;

    if (names < SGTM_INDEX_NAMES) {
        names = SGTM_INDEX_NAMES;
    }

    index = calloc(1, sizeof(sgtm_tenant_index_t));

    if (index == NULL) {
        return NULL;
    }

    if (RAND_bytes(index->key, sizeof(index->key)) != 1
        || sgtm_index_reserve(index, names, 16 * names) != SGTM_OK)
    {
        sgtm_tenant_index_destroy(index);
        return NULL;
    }

    return index;
}


void
sgtm_tenant_index_destroy(sgtm_tenant_index_t *index)
{
    uint32_t  i;

    if (index == NULL) {
        return;
    }

    for (i = 0; i < index->nsources; i++) {
        free(index->sources[i]);
    }

    free(index->sources);
    free(index->names);
    free(index->slots);
    free(index->heap);
    free(index);
}


int
sgtm_tenant_index_source(sgtm_tenant_index_t *index, const char *name)
{
    char    *copy, **sources;
    size_t   len;

    if (name == NULL) {
        name = "another file";
    }

    len = strlen(name) + 1;
    copy = malloc(len);

    sources = realloc(index->sources, (index->nsources + 1) * sizeof(char *));

    if (sources != NULL) {
        index->sources = sources;
    }

    if (copy == NULL || sources == NULL) {
        free(copy);
        return SGTM_ERROR;
    }

    memcpy(copy, name, len);

    index->sources[index->nsources++] = copy;

    return SGTM_OK;
}


int
sgtm_tenant_index_add(sgtm_tenant_index_t *index, const sgtm_tenant_t *t,
    int64_t n, const sgtm_tenant_opts_t *opts)
{
    int                 rc;
    size_t              i, letters;
    sgtm_index_name_t   name, *first;
    const sgtm_str_t   *text;

    letters = t->id.len;

    for (i = 0; i < t->hosts.nelts; i++) {
        letters += t->hosts.elts[i].len;
    }

    if (index->nnames > UINT32_MAX / 2
        || sgtm_index_reserve(index, index->nnames + t->hosts.nelts + 1,
                              index->used + letters)
           != SGTM_OK)
    {
        if (opts->report != NULL) {
            opts->report(opts->data, SGTM_TENANT_ERROR, "", "no memory");
        }

        return SGTM_DECLINED;
    }

    rc = SGTM_OK;

    name.source = index->nsources;
    name.record = (n < 0) ? SGTM_INDEX_ALONE : (uint32_t) n;

    for (i = 0; i <= t->hosts.nelts; i++) {

        text = i ? &t->hosts.elts[i - 1] : &t->id;

        name.host = i ? (uint32_t) i - 1 : SGTM_INDEX_ID;
        name.hash = sgtm_index_hash(index, text, name.host);
        name.len = (uint32_t) text->len;
        name.offset = index->used;

        first = sgtm_index_find(index, text, name.host, name.hash);

        if (first != NULL) {
            sgtm_index_twice(index, first, &name, opts);
            rc = SGTM_DECLINED;
            continue;
        }

        memcpy(index->heap + index->used, text->data, text->len);
        index->used += text->len;
        index->names[index->nnames - 1] = name;
    }

    return rc;
}


/*
 * The name that is there; NULL: there is none, and a place at the end of the
 * list was taken for it.
 */

static sgtm_index_name_t *
sgtm_index_find(sgtm_tenant_index_t *index, const sgtm_str_t *text,
    uint32_t host, uint32_t hash)
{
    size_t              i;
    sgtm_index_name_t  *name;

    for (i = hash & index->mask; index->slots[i]; i = (i + 1) & index->mask) {
        name = &index->names[index->slots[i] - 1];

        if (name->hash == hash && name->len == text->len
            && (name->host == SGTM_INDEX_ID) == (host == SGTM_INDEX_ID)
            && memcmp(index->heap + name->offset, text->data, text->len) == 0)
        {
            return name;
        }
    }

    index->slots[i] = (uint32_t) ++index->nnames;

    return NULL;
}


static uint32_t
sgtm_index_hash(sgtm_tenant_index_t *index, const sgtm_str_t *text,
    uint32_t host)
{
    uint64_t        out[2];
    unsigned char   kind;
    sgtm_siphash_t  hash;

    kind = (host == SGTM_INDEX_ID);

    sgtm_siphash_init(&hash, index->key);
    sgtm_siphash_update(&hash, &kind, 1);
    sgtm_siphash_update(&hash, text->data, text->len);
    sgtm_siphash_final(&hash, out);

    return (uint32_t) out[0];
}


/* room for so many of each in all */

static int
sgtm_index_reserve(sgtm_tenant_index_t *index, size_t names, size_t letters)
{
    void    *p;
    size_t   n;

    if (letters > index->heap_room) {
        n = 2 * index->heap_room;
        n = (n > letters) ? n : letters;

        p = realloc(index->heap, n);
        if (p == NULL) {
            return SGTM_ERROR;
        }

        index->heap = p;
        index->heap_room = n;
    }

    if (names > index->room) {
        n = 2 * index->room;
        n = (n > names) ? n : names;

        p = realloc(index->names, n * sizeof(sgtm_index_name_t));
        if (p == NULL) {
            return SGTM_ERROR;
        }

        index->names = p;
        index->room = n;
    }

    /* at most half of the slots are taken */

    for (n = index->mask + 1; n < 2 * names; n *= 2) { /* void */ }

    return (n == index->mask + 1 && index->slots != NULL)
           ? SGTM_OK : sgtm_index_slots(index, n);
}


static int
sgtm_index_slots(sgtm_tenant_index_t *index, size_t n)
{
    size_t     i, k;
    uint32_t  *slots;

    slots = calloc(n, sizeof(uint32_t));
    if (slots == NULL) {
        return SGTM_ERROR;
    }

    for (i = 0; i < index->nnames; i++) {

        for (k = index->names[i].hash & (n - 1); slots[k];
             k = (k + 1) & (n - 1))
        {
            /* void */
        }

        slots[k] = (uint32_t) i + 1;
    }

    free(index->slots);

    index->slots = slots;
    index->mask = n - 1;

    return SGTM_OK;
}


static void
sgtm_index_twice(sgtm_tenant_index_t *index, const sgtm_index_name_t *first,
    const sgtm_index_name_t *name, const sgtm_tenant_opts_t *opts)
{
    char         path[64], other[64], text[512];
    const char  *source;

    if (opts->report == NULL) {
        return;
    }

    (void) sgtm_index_path(path, sizeof(path), name);
    (void) sgtm_index_path(other, sizeof(other), first);

    source = (first->source != name->source && first->source > 0)
             ? index->sources[first->source - 1] : NULL;

    snprintf(text, sizeof(text), "is there twice, first %s%s%s%s",
             source ? "in " : "", source ? source : "", source ? ", " : "",
             other);

    opts->report(opts->data, SGTM_TENANT_ERROR, path, text);
}


static size_t
sgtm_index_path(char *path, size_t size, const sgtm_index_name_t *name)
{
    size_t  len;

    len = 0;
    path[0] = '\0';

    if (name->record != SGTM_INDEX_ALONE) {
        len = (size_t) snprintf(path, size, "tenants[%" PRIu32 "].",
                                name->record);
    }

    if (name->host == SGTM_INDEX_ID) {
        return len + (size_t) snprintf(path + len, size - len, "id");
    }

    return len + (size_t) snprintf(path + len, size - len,
                                   "hosts[%" PRIu32 "]", name->host);
}
