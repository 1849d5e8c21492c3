
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "sgtm-tenants.h"


/* a file of the directory and the one that will take its place */

typedef struct {
    char                *name;
    char                *temp;         /* NULL: it has */
} import_file_t;


typedef struct {
    tenants_out_t        out;
    import_file_t       *files;
    size_t               nfiles;
    size_t               room;
} import_t;


static int import_name(tenants_t *t, sgtm_tenants_t *it);
static int import_write(tenants_t *t, sgtm_tenants_t *it);
static int import_beside(tenants_t *t, import_t *import);
static int import_places(tenants_t *t, import_t *import);
static int import_compare(const void *one, const void *two);
static void import_free(import_t *import);


/*
 * First all is checked, together with what stays in the directory; then all is
 * written beside the files that it replaces, and brought to the disk; then it
 * takes their places.
 */

int
tenants_import(tenants_t *t)
{
    int        rc;
    import_t  *import;

    if (mkdir(t->args[1], 0750) == -1 && errno != EEXIST) {
        return tenants_fail("%s: %s", t->args[1], strerror(errno));
    }

    import = calloc(1, sizeof(import_t));

    if (import == NULL) {
        return tenants_fail("no memory");
    }

    t->data = import;
    t->quiet = 1;

    rc = tenants_begin(t, 1);

    if (rc == TENANTS_OK) {
        rc = tenants_read(t, t->args[0], import_name);
    }

    if (rc == TENANTS_OK) {
        rc = import_beside(t, import);
    }

    if (rc == TENANTS_OK) {
        import_free(import);

        rc = tenants_begin(t, 1);
    }

    if (rc == TENANTS_OK) {
        rc = tenants_read(t, t->args[0], import_write);
    }

    if (rc == TENANTS_OK) {
        rc = import_places(t, import);
    }

    import_free(import);
    free(import);

    return rc;
}


static int
import_name(tenants_t *t, sgtm_tenants_t *it)
{
    char           *base;
    size_t          room;
    import_t       *import;
    import_file_t  *files;

    import = t->data;

    if (import->nfiles == import->room) {
        room = import->room ? 2 * import->room : 64;
        files = realloc(import->files, room * sizeof(import_file_t));

        if (files == NULL) {
            return tenants_fail("no memory");
        }

        import->files = files;
        import->room = room;
    }

    files = &import->files[import->nfiles];
    files->temp = NULL;
    files->name = NULL;

    if (asprintf(&base, "%.*s.json", (int) it->tenant->id.len,
                 (char *) it->tenant->id.data)
        == -1)
    {
        return tenants_fail("no memory");
    }

    files->name = tenants_join(t->args[1], base);
    free(base);

    if (files->name == NULL) {
        return tenants_fail("no memory");
    }

    import->nfiles++;

    return TENANTS_OK;
}


/* what is in the directory and is not replaced must not have the same names */

static int
import_beside(tenants_t *t, import_t *import)
{
    int              rc;
    size_t           i;
    import_file_t    key;
    tenants_files_t  files;

    rc = tenants_files(t->args[1], &files);

    if (rc != TENANTS_OK) {
        return rc;
    }

    if (import->nfiles) {
        qsort(import->files, import->nfiles, sizeof(import_file_t),
              import_compare);
    }

    key.temp = NULL;

    for (i = 0; i < files.nnames; i++) {
        key.name = files.names[i];

        if (import->nfiles
            && bsearch(&key, import->files, import->nfiles,
                       sizeof(import_file_t), import_compare)
               != NULL)
        {
            continue;
        }

        if (tenants_read_file(t, files.names[i], NULL) != TENANTS_OK) {
            rc = TENANTS_FAILED;
        }
    }

    tenants_files_free(&files);

    return rc;
}


static int
import_compare(const void *one, const void *two)
{
    return strcmp(((const import_file_t *) one)->name,
                  ((const import_file_t *) two)->name);
}


static int
import_write(tenants_t *t, sgtm_tenants_t *it)
{
    int             rc;
    size_t          len;
    import_t       *import;
    import_file_t  *file;
    unsigned char  *json;

    import = t->data;

    rc = import_name(t, it);

    if (rc != TENANTS_OK) {
        return TENANTS_STOP;
    }

    file = &import->files[import->nfiles - 1];

    len = sgtm_tenant_write(NULL, it->tenant, SGTM_TENANT_PRETTY);
    json = malloc(len);

    if (json == NULL) {
        (void) tenants_fail("no memory");
        return TENANTS_STOP;
    }

    (void) sgtm_tenant_write(json, it->tenant, SGTM_TENANT_PRETTY);

    rc = tenants_out_open(&import->out, file->name);

    if (rc == TENANTS_OK) {
        tenants_out_write(&import->out, json, len);

        rc = tenants_out_finish(&import->out);

        if (rc == TENANTS_OK) {
            file->temp = import->out.temp;
            import->out.temp = NULL;
        }

        tenants_out_drop(&import->out);
    }

    free(json);

    return rc == TENANTS_OK ? TENANTS_OK : TENANTS_STOP;
}


static int
import_places(tenants_t *t, import_t *import)
{
    int             rc, fd;
    size_t          i;
    import_file_t  *file;

    fd = open(t->args[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd == -1 || syncfs(fd) == -1) {
        rc = tenants_fail("%s: %s", t->args[1], strerror(errno));

        if (fd != -1) {
            (void) close(fd);
        }

        return rc;
    }

    rc = TENANTS_OK;

    for (i = 0; i < import->nfiles; i++) {
        file = &import->files[i];

        if (rename(file->temp, file->name) == -1) {
            rc = tenants_fail("%s: cannot be written: %s", file->name,
                              strerror(errno));
            continue;
        }

        free(file->temp);
        file->temp = NULL;
    }

    if (fsync(fd) == -1 && rc == TENANTS_OK) {
        rc = tenants_fail("%s: %s", t->args[1], strerror(errno));
    }

    (void) close(fd);

    if (rc == TENANTS_OK) {
        printf("%zu tenants\n", import->nfiles);
    }

    return rc;
}


static void
import_free(import_t *import)
{
    size_t  i;

    for (i = 0; i < import->nfiles; i++) {

        if (import->files[i].temp != NULL) {
            (void) unlink(import->files[i].temp);
        }

        free(import->files[i].temp);
        free(import->files[i].name);
    }

    free(import->files);

    import->files = NULL;
    import->nfiles = 0;
    import->room = 0;
}
