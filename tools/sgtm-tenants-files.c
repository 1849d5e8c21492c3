
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "sgtm-tenants.h"


/* of a new file: its tenants may have secrets that are plain */
#define TENANTS_MODE  0640


static int tenants_is_json(const struct dirent *entry);
static void tenants_report(void *data, unsigned level, const char *path,
    const char *text);
static void tenants_out_flush(tenants_out_t *out);

int
tenants_files(const char *path, tenants_files_t *files)
{
    int              i, n;
    struct stat      sb;
    struct dirent  **entries;

    memset(files, 0, sizeof(tenants_files_t));

    if (stat(path, &sb) == -1) {
        return tenants_fail("%s: %s", path, strerror(errno));
    }

    entries = NULL;
    n = 1;

    if (S_ISDIR(sb.st_mode)) {
        n = scandir(path, &entries, tenants_is_json, alphasort);

        if (n == -1) {
            return tenants_fail("%s: %s", path, strerror(errno));
        }
    }

    files->names = calloc((size_t) n + 1, sizeof(char *));

    for (i = 0; i < n; i++) {

        if (files->names != NULL) {
            files->names[i] = entries ? tenants_join(path, entries[i]->d_name)
                                      : strdup(path);
            files->nnames += (files->names[i] != NULL);
        }

        if (entries != NULL) {
            free(entries[i]);
        }
    }

    free(entries);

    if (files->names == NULL || files->nnames != (size_t) n) {
        tenants_files_free(files);
        return tenants_fail("no memory");
    }

    return TENANTS_OK;
}


void
tenants_files_free(tenants_files_t *files)
{
    size_t  i;

    for (i = 0; files->names != NULL && i < files->nnames; i++) {
        free(files->names[i]);
    }

    free(files->names);

    files->names = NULL;
    files->nnames = 0;
}


static int
tenants_is_json(const struct dirent *entry)
{
    size_t  len;

    len = strlen(entry->d_name);

    return len > 5 && entry->d_name[0] != '.'
           && strcmp(entry->d_name + len - 5, ".json") == 0;
}


char *
tenants_join(const char *dir, const char *name)
{
    char        *path;
    size_t       len;
    const char  *slash;

    len = strlen(dir);
    slash = (len && dir[len - 1] == '/') ? "" : "/";

    if (asprintf(&path, "%s%s%s", dir, slash, name) == -1) {
        return NULL;
    }

    return path;
}


int
tenants_begin(tenants_t *t, unsigned strict)
{
    tenants_end(t);

    t->strict = strict & 1;
    t->files = 0;
    t->records = 0;
    t->errors = 0;
    t->warnings = 0;

    t->index = sgtm_tenant_index_create(0);

    return t->index ? TENANTS_OK : tenants_fail("no memory");
}


void
tenants_end(tenants_t *t)
{
    sgtm_tenant_index_destroy(t->index);

    t->index = NULL;
}


int
tenants_read(tenants_t *t, const char *path, tenants_handler_pt handler)
{
    int              rc, one;
    size_t           i;
    tenants_files_t  files;

    rc = tenants_files(path, &files);

    if (rc != TENANTS_OK) {
        t->errors++;
        return rc;
    }

    for (i = 0; i < files.nnames; i++) {
        one = tenants_read_file(t, files.names[i], handler);

        if (one == TENANTS_STOP) {
            rc = one;
            break;
        }

        rc = (one == TENANTS_OK) ? rc : one;
    }

    tenants_files_free(&files);

    return rc;
}


int
tenants_read_file(tenants_t *t, const char *file, tenants_handler_pt handler)
{
    int                   rc;
    unsigned              found;
    uint64_t              errors;
    sgtm_tenants_t        it;
    sgtm_tenants_conf_t   conf;

    memset(&conf, 0, sizeof(sgtm_tenants_conf_t));

    conf.opts.report = tenants_report;
    conf.opts.data = t;
    conf.opts.strict = t->strict;
    conf.index = t->index;
    conf.name = file;

    t->file = file;
    t->files++;
    errors = t->errors;
    rc = TENANTS_OK;

    if (sgtm_tenants_open(&it, file, &conf) != SGTM_OK) {
        sgtm_tenants_end(&it);
        return TENANTS_FAILED;
    }

    do {
        found = sgtm_tenants_next(&it);

        if (found == SGTM_TENANTS_RECORD) {
            t->records++;

            if (handler != NULL) {
                rc = handler(t, &it);
            }
        }

    } while (rc == TENANTS_OK && found != SGTM_TENANTS_END
             && found != SGTM_TENANTS_FAILED);

    sgtm_tenants_end(&it);

    return (rc == TENANTS_OK && t->errors > errors) ? TENANTS_FAILED : rc;
}


static void
tenants_report(void *data, unsigned level, const char *path, const char *text)
{
    tenants_t *t = data;

    if (level == SGTM_TENANT_ERROR) {
        tenants_error(t, path, text);
        return;
    }

    t->warnings++;

    if (!t->quiet) {
        fprintf(stderr, "%s: warning: %s%s%s\n", t->file, path,
                path[0] ? ": " : "", text);
    }
}


void
tenants_error(tenants_t *t, const char *path, const char *text)
{
    t->errors++;

    fprintf(stderr, "%s: %s%s%s\n", t->file, path, path[0] ? ": " : "", text);
}


int
tenants_out_open(tenants_out_t *out, const char *name)
{
    int          fail;
    struct stat  sb;

    memset(out, 0, offsetof(tenants_out_t, buf));

    out->fd = -1;

    if (name == NULL) {
        return TENANTS_OK;
    }

    out->name = strdup(name);

    if (out->name == NULL
        || asprintf(&out->temp, "%s.XXXXXX", name) == -1)
    {
        out->temp = NULL;
        tenants_out_drop(out);
        return tenants_fail("no memory");
    }

    out->fd = mkostemp(out->temp, O_CLOEXEC);

    if (out->fd == -1) {
        fail = errno;
        free(out->temp);
        out->temp = NULL;
        tenants_out_drop(out);
        return tenants_fail("%s: cannot be written: %s", name, strerror(fail));
    }

    if (stat(name, &sb) == 0) {

        /* only root may give a file away: who can't keeps it */

        if (fchown(out->fd, sb.st_uid, sb.st_gid) == -1) {
            sb.st_mode &= ~(mode_t) (S_ISUID | S_ISGID);
        }

        fail = fchmod(out->fd, sb.st_mode & 07777);

    } else {
        fail = fchmod(out->fd, TENANTS_MODE);
    }

    if (fail == -1) {
        out->failed = errno;
    }

    return TENANTS_OK;
}


void
tenants_out_write(tenants_out_t *out, const void *data, size_t len)
{
    size_t                n;
    const unsigned char  *p;

    for (p = data; len; p += n, len -= n) {

        if (out->len == sizeof(out->buf)) {
            tenants_out_flush(out);
        }

        n = sizeof(out->buf) - out->len;
        n = (n < len) ? n : len;

        memcpy(out->buf + out->len, p, n);
        out->len += n;
    }
}


static void
tenants_out_flush(tenants_out_t *out)
{
    size_t   pos;
    ssize_t  n;

    if (out->name == NULL) {
        if (fwrite(out->buf, 1, out->len, stdout) != out->len) {
            out->failed = errno;
        }

        out->len = 0;
        return;
    }

    for (pos = 0; out->failed == 0 && pos < out->len; pos += (size_t) n) {

        n = write(out->fd, out->buf + pos, out->len - pos);

        if (n == -1) {
            n = 0;
            out->failed = (errno == EINTR) ? 0 : errno;
        }
    }

    out->len = 0;
}


int
tenants_out_close(tenants_out_t *out)
{
    int  rc;

    if (out->fd == -1) {
        rc = tenants_out_finish(out);
        tenants_out_drop(out);
        return rc;
    }

    tenants_out_flush(out);

    if (out->failed == 0 && fsync(out->fd) == -1) {
        out->failed = errno;
    }

    rc = tenants_out_finish(out);

    if (rc == TENANTS_OK && rename(out->temp, out->name) == -1) {
        rc = tenants_fail("%s: cannot be written: %s", out->name,
                          strerror(errno));
    }

    if (rc == TENANTS_OK) {
        free(out->temp);
        out->temp = NULL;
    }

    tenants_out_drop(out);

    return rc;
}


int
tenants_out_finish(tenants_out_t *out)
{
    tenants_out_flush(out);

    if (out->fd != -1 && close(out->fd) == -1 && out->failed == 0) {
        out->failed = errno;
    }

    out->fd = -1;

    if (out->failed) {
        return tenants_fail("%s: cannot be written: %s",
                            out->name ? out->name : "standard output",
                            strerror(out->failed));
    }

    return TENANTS_OK;
}


void
tenants_out_drop(tenants_out_t *out)
{
    if (out->fd != -1) {
        (void) close(out->fd);
    }

    if (out->temp != NULL) {
        (void) unlink(out->temp);
    }

    free(out->temp);
    free(out->name);

    out->fd = -1;
    out->temp = NULL;
    out->name = NULL;
}
