
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Files of records: {"tenants": [...]}, or one record by itself.  A file is
 * read in pieces, a record at a time, so that one of 100,000 takes no more
 * memory than one of ten, but for the names that are kept to find those that
 * are there twice.  Plain C11 without nginx.
 */


#ifndef _SGTM_TENANTS_H_INCLUDED_
#define _SGTM_TENANTS_H_INCLUDED_


#include <sys/types.h>

#include "sgtm_tenant.h"


#define SGTM_TENANTS_MAX  (512 * 1024 * 1024)


/*
 * The ids and hosts of records, each with its place, of as many files as share
 * it: 32 bytes and its letters for each name.
 */

typedef struct sgtm_tenant_index_s  sgtm_tenant_index_t;

/* for so many names to begin with, or 0; NULL: no memory */
sgtm_tenant_index_t *sgtm_tenant_index_create(size_t names);
void sgtm_tenant_index_destroy(sgtm_tenant_index_t *index);

/*
 * A file whose records are added from now on; its name, kept as a copy, is what
 * others are told ("also in ...").  SGTM_OK, or SGTM_ERROR: no memory.
 */
int sgtm_tenant_index_source(sgtm_tenant_index_t *index, const char *name);

/*
 * Adds record n of the file (-1: it is the file).  SGTM_DECLINED: its id or one
 * of its hosts is there already, reported with both places, or there is no
 * memory, reported too; what was new of it stays added.
 */
int sgtm_tenant_index_add(sgtm_tenant_index_t *index, const sgtm_tenant_t *t,
    int64_t n, const sgtm_tenant_opts_t *opts);


/* reads at most size bytes; 0 at the end, -1 with errno set when it failed */
typedef ssize_t (*sgtm_tenants_read_pt)(void *data, void *buf, size_t size);


typedef struct {
    sgtm_tenant_opts_t     opts;       /* but for the path, which is its own */
    uint64_t               max_size;   /* of a file; 0: SGTM_TENANTS_MAX */
    const char            *name;       /* the file's, for others that have the
                                          same index; NULL: "another file" */
    sgtm_tenant_index_t   *index;      /* NULL: it makes one for itself */
} sgtm_tenants_conf_t;


typedef enum {
    SGTM_TENANTS_END = 0,              /* that was all of it */
    SGTM_TENANTS_RECORD,               /* there is a record */
    SGTM_TENANTS_BAD,                  /* one that is none, reported */
    SGTM_TENANTS_AGAIN,                /* call again: more is to be read */
    SGTM_TENANTS_FAILED                /* the file can't be read on, reported */
} sgtm_tenants_e;


/* it may not be moved while it reads */

typedef struct {
    /* of a record, until the next call */

    const sgtm_tenant_t   *tenant;     /* NULL: it is a bad one */
    sgtm_str_t             json;       /* as it is written */
    uint64_t               offset;     /* where that begins in the file */
    int64_t                n;          /* which, from 0; -1: it is the file */

    /* of the reader */

    sgtm_tenants_conf_t    conf;
    sgtm_tenants_read_pt   read;
    void                  *data;
    int                    fd;         /* -1: there is none to close */
    unsigned               state;
    unsigned               eof:1;
    unsigned               failed:1;
    unsigned               own:1;      /* the index */
    int64_t                next;       /* number of a record */
    uint64_t               size;       /* bytes read */
    uint64_t               line;       /* at pos, from 1 */
    unsigned char         *buf;
    unsigned char         *pos;        /* what is not used yet */
    unsigned char         *last;
    void                  *room;       /* for a record */
} sgtm_tenants_t;


/*
 * Begins to read a file: opens it and looks at its size, which may block, as
 * may each sgtm_tenants_next().  SGTM_OK, or SGTM_ERROR, reported; either way
 * sgtm_tenants_end() frees what there is.
 */
int sgtm_tenants_open(sgtm_tenants_t *it, const char *file,
    const sgtm_tenants_conf_t *conf);

/* the same of what a function reads */
int sgtm_tenants_begin(sgtm_tenants_t *it, sgtm_tenants_read_pt read,
    void *data, const sgtm_tenants_conf_t *conf);

/*
 * Goes on to the next record; returns a sgtm_tenants_e.  A call reads 64 kB at
 * most and makes one record at most.  it->tenant is gone with the next call:
 * sgtm_tenant_copy() keeps it.
 */
unsigned sgtm_tenants_next(sgtm_tenants_t *it);

void sgtm_tenants_end(sgtm_tenants_t *it);


#endif /* _SGTM_TENANTS_H_INCLUDED_ */
