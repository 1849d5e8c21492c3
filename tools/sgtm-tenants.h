
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the files of sgtm-tenants share.
 */


#ifndef _SGTM_TENANTS_TOOL_H_INCLUDED_
#define _SGTM_TENANTS_TOOL_H_INCLUDED_


#include "tenant/sgtm_tenants.h"


#define TENANTS_OK      0
#define TENANTS_FAILED  1
#define TENANTS_USAGE   2
#define TENANTS_STOP    3              /* of a handler: enough is read */


typedef struct tenants_s  tenants_t;

/* what is done with a good record: TENANTS_OK, or the end of it all */
typedef int (*tenants_handler_pt)(tenants_t *t, sgtm_tenants_t *it);


struct tenants_s {
    const char            *args[2];    /* of the command */
    const char            *key_file;   /* NULL: not given */
    unsigned               rotate:1;

    sgtm_keys_t            keys;

    /* while files are read */

    sgtm_tenant_index_t   *index;
    const char            *file;       /* the present one */
    unsigned               strict:1;
    unsigned               quiet:1;    /* says no warnings */
    uint64_t               files;
    uint64_t               records;
    uint64_t               errors;
    uint64_t               warnings;

    void                  *data;       /* of a handler */
};


/* names of files, in order */

typedef struct {
    char                 **names;
    size_t                 nnames;
} tenants_files_t;


/* a line on the standard error; TENANTS_FAILED */
int tenants_fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* the same of the present file; counts an error */
void tenants_error(tenants_t *t, const char *path, const char *text);


/*
 * The file, or the files of a directory whose names end in ".json" and begin
 * with no dot.  TENANTS_OK or TENANTS_FAILED, said.
 */
int tenants_files(const char *path, tenants_files_t *files);
void tenants_files_free(tenants_files_t *files);

/* the path of a file in a directory, to be freed; NULL: no memory */
char *tenants_join(const char *dir, const char *name);

/*
 * Calls the handler (NULL: none) for each good record; what is wrong is said
 * and counted.  TENANTS_OK if nothing was, else TENANTS_FAILED, or what the
 * handler returned.  tenants_begin() goes before the first and sets all counts
 * to 0; ids and hosts have to differ over all that is read until the next.
 */
int tenants_begin(tenants_t *t, unsigned strict);
int tenants_read(tenants_t *t, const char *path, tenants_handler_pt handler);
int tenants_read_file(tenants_t *t, const char *file,
    tenants_handler_pt handler);
void tenants_end(tenants_t *t);


/* a new file that takes an old one's place when it is whole */

typedef struct {
    int                    fd;         /* -1: it is the standard output */
    int                    failed;     /* errno of the first failure */
    size_t                 len;
    char                  *name;
    char                  *temp;
    unsigned char          buf[65536];
} tenants_out_t;

/*
 * Begins one, with mode and owner of the old one if there is any; NULL is the
 * standard output.  TENANTS_OK or TENANTS_FAILED, said.
 */
int tenants_out_open(tenants_out_t *out, const char *name);
void tenants_out_write(tenants_out_t *out, const void *data, size_t len);

/* puts it on the disk, and in place; TENANTS_OK or TENANTS_FAILED, said */
int tenants_out_close(tenants_out_t *out);

/*
 * Closes it alone: out->temp is whole then, to be brought to the disk and in
 * the place of out->name by the caller, who frees both.
 */
int tenants_out_finish(tenants_out_t *out);

/* leaves the old one as it is */
void tenants_out_drop(tenants_out_t *out);


/* commands with a file of their own */

int tenants_import(tenants_t *t);
int tenants_seal(tenants_t *t);
int tenants_diff(tenants_t *t);


#endif /* _SGTM_TENANTS_TOOL_H_INCLUDED_ */
