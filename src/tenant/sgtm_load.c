
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sgtm_load.h"


/* memory is taken in such pieces, which go back to the system as a whole */
#define SGTM_LOAD_CHUNK  (1024 * 1024)

/* of how many bytes of a file one is a name's; as many at least and at most */
#define SGTM_LOAD_NAME   256
#define SGTM_LOAD_NAMES  (4 * 1024 * 1024)


struct sgtm_load_known_s {
    size_t               mask;
    size_t               n;
    unsigned char        sums[][SGTM_REGISTRY_SUM];    /* zeros: none */
};

struct sgtm_load_chunk_s {
    sgtm_load_chunk_t   *next;
    size_t               size;
    size_t               used;
};

struct sgtm_load_file_s {
    sgtm_load_file_t    *next;
    char                 name[];
};


typedef enum {
    SGTM_LOAD_LOOK = 0,
    SGTM_LOAD_OPEN,
    SGTM_LOAD_READ,
    SGTM_LOAD_LOOK_AGAIN,
    SGTM_LOAD_END
} sgtm_load_phase_e;


static unsigned sgtm_load_look(sgtm_load_t *load);
static unsigned sgtm_load_open(sgtm_load_t *load);
static unsigned sgtm_load_read(sgtm_load_t *load);
static unsigned sgtm_load_look_again(sgtm_load_t *load);
static int sgtm_load_record(sgtm_load_t *load);
static void sgtm_load_check(sgtm_load_t *load, const sgtm_tenant_t *t);
static void sgtm_load_key(sgtm_load_t *load, const sgtm_str_t *secret,
    const char *field, const sgtm_str_t *name);
static void sgtm_load_report_at(sgtm_load_t *load, unsigned level,
    const char *field, const sgtm_str_t *name, const char *text);
static int sgtm_load_is_known(const sgtm_load_t *load,
    const unsigned char *sum);
static unsigned char *sgtm_load_slot(sgtm_load_known_t *known,
    const unsigned char *sum);
static void *sgtm_load_alloc(sgtm_load_t *load, size_t size);
static int sgtm_load_sort(const void *one, const void *two);
static void sgtm_load_report(void *data, unsigned level, const char *path,
    const char *text);
static void sgtm_load_line(sgtm_load_lines_t *lines, const char *format, ...);


sgtm_load_t *
sgtm_load_create(const sgtm_load_conf_t *conf, size_t known)
{
    size_t        n;
    sgtm_load_t  *load;

    for (n = 64; n < 2 * known; n *= 2) { /* void */ }

    load = calloc(1, sizeof(sgtm_load_t));
    if (load == NULL) {
        return NULL;
    }

    load->known = calloc(1, sizeof(sgtm_load_known_t) + n * SGTM_REGISTRY_SUM);
    if (load->known == NULL) {
        free(load);
        return NULL;
    }

    load->known->mask = n - 1;
    load->conf = *conf;
    load->last = &load->items;
    load->reader.fd = -1;

    sgtm_look_begin(&load->walk, conf->path);

    return load;
}


int
sgtm_load_free(sgtm_load_t *load)
{
    sgtm_load_chunk_t  *chunk;

    chunk = load->chunks;

    if (chunk != NULL) {
        load->chunks = chunk->next;
        (void) munmap(chunk, chunk->size);
        return 1;
    }

    if (load->phase == SGTM_LOAD_READ) {
        sgtm_tenants_end(&load->reader);
    }

    sgtm_look_end(&load->walk);
    sgtm_tenant_index_destroy(load->index);

    free(load->known);
    free(load);

    return 0;
}


void
sgtm_load_destroy(sgtm_load_t *load)
{
    while (load != NULL && sgtm_load_free(load)) { /* void */ }
}


void
sgtm_load_known(sgtm_load_t *load, const unsigned char *sum)
{
    if (load->known->n <= load->known->mask / 2) {
        memcpy(sgtm_load_slot(load->known, sum), sum, SGTM_REGISTRY_SUM);
        load->known->n++;
    }
}


static int
sgtm_load_is_known(const sgtm_load_t *load, const unsigned char *sum)
{
    return memcmp(sgtm_load_slot(load->known, sum), sum, SGTM_REGISTRY_SUM)
           == 0;
}


/* where a sum is, or would be: they are spread as they are */

static unsigned char *
sgtm_load_slot(sgtm_load_known_t *known, const unsigned char *sum)
{
    uint32_t  i;

    static const unsigned char  none[SGTM_REGISTRY_SUM];

    memcpy(&i, sum, sizeof(i));

    for (i &= known->mask; /* void */ ; i = (i + 1) & known->mask) {

        if (memcmp(known->sums[i], sum, SGTM_REGISTRY_SUM) == 0
            || memcmp(known->sums[i], none, SGTM_REGISTRY_SUM) == 0)
        {
            return known->sums[i];
        }
    }
}


unsigned
sgtm_load_step(sgtm_load_t *load)
{
    switch (load->phase) {

    case SGTM_LOAD_LOOK:
        return sgtm_load_look(load);

    case SGTM_LOAD_OPEN:
        return sgtm_load_open(load);

    case SGTM_LOAD_READ:
        return sgtm_load_read(load);

    case SGTM_LOAD_LOOK_AGAIN:
        return sgtm_load_look_again(load);

    default:
        return load->errors.n ? SGTM_LOAD_BAD : SGTM_LOAD_DONE;
    }
}


/* which files there are */

static unsigned
sgtm_load_look(sgtm_load_t *load)
{
    int                 more;
    size_t              i, len;
    const char         *name;
    sgtm_look_walk_t   *walk;
    sgtm_load_file_t   *file;

    walk = &load->walk;
    more = sgtm_look_step(walk, &name);

    if (name != NULL || (!more && !walk->directory)) {

        len = name ? strlen(name) : 0;
        file = sgtm_load_alloc(load, sizeof(sgtm_load_file_t)
                                     + strlen(load->conf.path) + len + 2);
        if (file == NULL) {
            return SGTM_LOAD_MORE;
        }

        (void) sprintf(file->name, "%s%s%s", load->conf.path, name ? "/" : "",
                       name ? name : "");

        file->next = load->files;
        load->files = file;
    }

    if (more) {
        return SGTM_LOAD_MORE;
    }

    load->look = walk->look;

    if (walk->directory && walk->error == EMFILE) {
        sgtm_load_line(&load->errors, "\"%s\": more than %d files",
                       load->conf.path, SGTM_LOOK_FILES);

    } else if (walk->error) {
        sgtm_load_line(&load->errors, "\"%s\": cannot be opened: %s",
                       load->conf.path, strerror(walk->error));

    } else if (walk->files == 0) {
        sgtm_load_line(&load->errors, "\"%s\": a directory without \"*.json\"",
                       load->conf.path);
    }

    load->sorted = sgtm_load_alloc(load, (walk->files + 1)
                                         * sizeof(sgtm_load_file_t *));
    if (load->sorted == NULL || load->errors.n) {
        load->phase = SGTM_LOAD_LOOK_AGAIN;
        sgtm_look_begin(walk, load->conf.path);
        return SGTM_LOAD_MORE;
    }

    for (file = load->files, i = 0; file; file = file->next) {
        load->sorted[i++] = file;
    }

    qsort(load->sorted, i, sizeof(sgtm_load_file_t *), sgtm_load_sort);

    /* to grow later would take longer than a step may */

    len = (size_t) (walk->size / SGTM_LOAD_NAME);

    load->index = sgtm_tenant_index_create(len < SGTM_LOAD_NAMES
                                           ? len : SGTM_LOAD_NAMES);
    if (load->index == NULL) {
        sgtm_load_line(&load->errors, "no memory");
    }

    load->phase = SGTM_LOAD_OPEN;

    return SGTM_LOAD_MORE;
}


static unsigned
sgtm_load_open(sgtm_load_t *load)
{
    sgtm_tenants_conf_t  conf;

    /* what comes after some errors would be more of them */

    if (load->file == load->walk.files
        || load->errors.n >= SGTM_LOAD_LINES || load->index == NULL)
    {
        load->phase = SGTM_LOAD_LOOK_AGAIN;
        sgtm_look_begin(&load->walk, load->conf.path);
        return SGTM_LOAD_MORE;
    }

    memset(&conf, 0, sizeof(sgtm_tenants_conf_t));

    conf.opts.report = sgtm_load_report;
    conf.opts.data = load;
    conf.index = load->index;
    conf.name = load->sorted[load->file]->name;

    load->phase = SGTM_LOAD_READ;

    if (sgtm_tenants_open(&load->reader, conf.name, &conf) != SGTM_OK) {
        sgtm_tenants_end(&load->reader);
        load->phase = SGTM_LOAD_OPEN;
        load->file++;
    }

    return SGTM_LOAD_MORE;
}


static unsigned
sgtm_load_read(sgtm_load_t *load)
{
    unsigned  rc;

    rc = sgtm_tenants_next(&load->reader);

    if (rc == SGTM_TENANTS_RECORD && sgtm_load_record(load) != SGTM_OK) {
        rc = SGTM_TENANTS_FAILED;
    }

    if (rc == SGTM_TENANTS_END || rc == SGTM_TENANTS_FAILED
        || load->errors.n >= SGTM_LOAD_LINES)
    {
        sgtm_tenants_end(&load->reader);
        load->phase = SGTM_LOAD_OPEN;
        load->file++;
    }

    return SGTM_LOAD_MORE;
}


/* what changed meanwhile was perhaps read half */

static unsigned
sgtm_load_look_again(sgtm_load_t *load)
{
    const char  *name;

    if (sgtm_look_step(&load->walk, &name)) {
        return SGTM_LOAD_MORE;
    }

    load->phase = SGTM_LOAD_END;

    sgtm_tenant_index_destroy(load->index);
    load->index = NULL;

    if (!sgtm_look_same(&load->walk.look, &load->look)) {
        return SGTM_LOAD_CHANGED;
    }

    return load->errors.n ? SGTM_LOAD_BAD : SGTM_LOAD_DONE;
}


static int
sgtm_load_record(sgtm_load_t *load)
{
    int                   known;
    unsigned char         hash[SGTM_SHA256_SIZE];
    const sgtm_tenant_t  *t;
    sgtm_load_item_t     *item;

    t = load->reader.tenant;

    sgtm_load_check(load, t);

    load->records++;
    load->size += sgtm_registry_cost(load->conf.state, t);

    if (load->size > load->conf.room) {
        sgtm_load_line(&load->errors, "\"%s\": its records take more than the "
                       "%" PRIu64 " kB that are there for them",
                       load->conf.path, load->conf.room / 1024);
        return SGTM_ERROR;
    }

    if (sgtm_sha256(&load->reader.json, hash) != SGTM_OK) {
        sgtm_load_line(&load->errors, "no memory");
        return SGTM_ERROR;
    }

    known = sgtm_load_is_known(load, hash);

    item = sgtm_load_alloc(load, sizeof(sgtm_load_item_t)
                                 + (known ? t->id.len : sgtm_tenant_size(t)));
    if (item == NULL) {
        return SGTM_ERROR;
    }

    memcpy(item->sum, hash, SGTM_REGISTRY_SUM);

    if (known) {
        item->id.len = t->id.len;
        item->id.data = (unsigned char *) (item + 1);
        memcpy(item->id.data, t->id.data, t->id.len);

    } else {
        item->tenant = sgtm_tenant_copy(item + 1, t);
        item->id = item->tenant->id;
        load->kept++;
    }

    *load->last = item;
    load->last = &item->next;

    return SGTM_OK;
}


/* what a record may be is known; here is what it may be on this server */

static void
sgtm_load_check(sgtm_load_t *load, const sgtm_tenant_t *t)
{
    size_t    i;
    unsigned  field, shop;

    if (!sgtm_tenant_endpoint_allowed(t, load->conf.endpoints,
                                      load->conf.nendpoints, &field))
    {
        sgtm_load_report_at(load, SGTM_TENANT_ERROR, "",
                            sgtm_tenant_field(field),
                            "not among \"sgtm_endpoints\"");
    }

    for (i = 0; i < t->credentials.nelts; i++) {
        if (t->credentials.elts[i].secret) {
            sgtm_load_key(load, &t->credentials.elts[i].value, "credentials.",
                          &t->credentials.elts[i].name);
        }
    }

    for (i = 0; i < t->api_secrets.nelts; i++) {
        sgtm_load_key(load, &t->api_secrets.elts[i], "api_secrets", NULL);
    }

    for (shop = 0; shop < SGTM_SHOP_N; shop++) {
        for (i = 0; i < t->webhooks[shop].nelts; i++) {
            sgtm_load_key(load, &t->webhooks[shop].elts[i], "webhooks.",
                          sgtm_word_name(sgtm_shop_names, shop));
        }
    }
}


/* the rest of the record is of use without the secret */

static void
sgtm_load_key(sgtm_load_t *load, const sgtm_str_t *secret, const char *field,
    const sgtm_str_t *name)
{
    size_t              i;
    sgtm_str_t          id;
    const sgtm_keys_t  *keys;

    if (sgtm_sealed(secret) != SGTM_OK) {
        return;
    }

    keys = load->conf.keys;
    sgtm_sealed_key(secret, &id);

    for (i = 0; keys != NULL && i < keys->nkeys; i++) {
        if (keys->keys[i].id_len == id.len
            && memcmp(keys->keys[i].id, id.data, id.len) == 0)
        {
            return;
        }
    }

    sgtm_load_report_at(load, SGTM_TENANT_WARNING, field, name,
                        "sealed with a key that \"sgtm_key_file\" does not "
                        "have");
}


/* of the record that is read; the field has two parts, one may be left out */

static void
sgtm_load_report_at(sgtm_load_t *load, unsigned level, const char *field,
    const sgtm_str_t *name, const char *text)
{
    int   n;
    char  path[256];

    n = 0;

    if (load->reader.n >= 0) {
        n = snprintf(path, sizeof(path), "tenants[%" PRId64 "].",
                     load->reader.n);
    }

    (void) snprintf(path + n, sizeof(path) - (size_t) n, "%s%.*s", field,
                    name ? (int) name->len : 0,
                    name ? (const char *) name->data : "");

    sgtm_load_report(load, level, path, text);
}


/* zeroed, aligned for a pointer; NULL, an error */

static void *
sgtm_load_alloc(sgtm_load_t *load, size_t size)
{
    void               *p;
    size_t              room;
    sgtm_load_chunk_t  *chunk;

    size = (size + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
    chunk = load->chunks;

    if (chunk == NULL || chunk->size - chunk->used < size) {

        room = sizeof(sgtm_load_chunk_t) + size;
        room = (room + SGTM_LOAD_CHUNK - 1) & ~(size_t) (SGTM_LOAD_CHUNK - 1);

        p = mmap(NULL, room, PROT_READ|PROT_WRITE,
                 MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED) {
            sgtm_load_line(&load->errors, "no memory");
            return NULL;
        }

        chunk = p;
        chunk->size = room;
        chunk->used = sizeof(sgtm_load_chunk_t);
        chunk->next = load->chunks;
        load->chunks = chunk;
    }

    p = (unsigned char *) chunk + chunk->used;
    chunk->used += size;

    return p;
}


static int
sgtm_load_sort(const void *one, const void *two)
{
    sgtm_load_file_t *const *a = one;
    sgtm_load_file_t *const *b = two;

    return strcmp((*a)->name, (*b)->name);
}


static void
sgtm_load_report(void *data, unsigned level, const char *path,
    const char *text)
{
    sgtm_load_t *load = data;

    sgtm_load_line(level == SGTM_TENANT_ERROR ? &load->errors
                                              : &load->warnings,
                   "\"%s\"%s%s: %s", load->sorted[load->file]->name,
                   *path ? ", " : "", path, text);
}


static void
sgtm_load_line(sgtm_load_lines_t *lines, const char *format, ...)
{
    va_list  args;

    if (lines->n < SGTM_LOAD_LINES) {
        va_start(args, format);
        (void) vsnprintf(lines->lines[lines->n], SGTM_LOAD_LINE, format, args);
        va_end(args);
    }

    lines->n++;
}
