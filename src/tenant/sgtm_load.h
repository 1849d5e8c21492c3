
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Reads a file of records, or a directory of such files, whole: first it is
 * checked to the end, then the records can be put.  It works in steps, in a
 * thread one after the other or on an event loop a few at a time.  Plain C11
 * without nginx.
 */


#ifndef _SGTM_LOAD_H_INCLUDED_
#define _SGTM_LOAD_H_INCLUDED_


#include "sgtm_look.h"
#include "sgtm_registry.h"
#include "sgtm_tenants.h"


/* lines that are kept of errors, and of warnings */
#define SGTM_LOAD_LINES  16
#define SGTM_LOAD_LINE   512


typedef struct {
    const char         *path;          /* of a file or a directory */
    const sgtm_str_t   *endpoints;     /* what records may name */
    size_t              nendpoints;
    const sgtm_keys_t  *keys;          /* NULL: there are none */
    size_t              state;         /* bytes beside each tenant */
    uint64_t            room;          /* bytes that all records may take */
} sgtm_load_conf_t;


/* a record, in the order of the files */

typedef struct sgtm_load_item_s  sgtm_load_item_t;

struct sgtm_load_item_s {
    sgtm_load_item_t     *next;
    const sgtm_tenant_t  *tenant;      /* NULL: its sum was known */
    sgtm_str_t            id;
    unsigned char         sum[SGTM_REGISTRY_SUM];
};


typedef struct {
    size_t              n;             /* also of those that were not kept */
    char                lines[SGTM_LOAD_LINES][SGTM_LOAD_LINE];
} sgtm_load_lines_t;


typedef enum {
    SGTM_LOAD_DONE = 0,
    SGTM_LOAD_MORE,                    /* call again */
    SGTM_LOAD_CHANGED,                 /* while it was read; errors may come of
                                          that alone */
    SGTM_LOAD_BAD                      /* errors say why */
} sgtm_load_rc_e;


typedef struct sgtm_load_known_s  sgtm_load_known_t;
typedef struct sgtm_load_chunk_s  sgtm_load_chunk_t;
typedef struct sgtm_load_file_s   sgtm_load_file_t;


typedef struct {
    /* results */

    sgtm_load_item_t   *items;
    size_t              records;
    size_t              kept;          /* of them, those not known */
    uint64_t            size;          /* bytes that all of them take */
    sgtm_look_t         look;          /* of what was read */
    sgtm_load_lines_t   errors;
    sgtm_load_lines_t   warnings;

    /* its own */

    sgtm_load_conf_t    conf;
    unsigned            phase;
    sgtm_look_walk_t    walk;
    sgtm_load_file_t   *files;
    sgtm_load_file_t  **sorted;
    size_t              file;          /* which is read */
    sgtm_tenants_t      reader;
    sgtm_tenant_index_t  *index;
    sgtm_load_known_t  *known;
    sgtm_load_chunk_t  *chunks;
    sgtm_load_item_t  **last;
} sgtm_load_t;


/*
 * Begins; the strings of conf have to stay.  known is how many sums will be
 * said to be known.  NULL: no memory.
 */
sgtm_load_t *sgtm_load_create(const sgtm_load_conf_t *conf, size_t known);

/*
 * A record of this sum need not be kept: it is there already.  More of them
 * than were announced may be forgotten.
 */
void sgtm_load_known(sgtm_load_t *load, const unsigned char *sum);

/*
 * Goes on by a record, 64 kB or a file; returns a sgtm_load_rc_e.  It may block
 * for as long as a file system takes for that.
 */
unsigned sgtm_load_step(sgtm_load_t *load);

/* frees a part of it; returns 1 as long as there is more, 0: it is gone */
int sgtm_load_free(sgtm_load_t *load);

/* frees all of it, at any time; load may be NULL */
void sgtm_load_destroy(sgtm_load_t *load);


#endif /* _SGTM_LOAD_H_INCLUDED_ */
