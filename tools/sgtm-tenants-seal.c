
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

#include <openssl/crypto.h>

#include "hit/sgtm_json.h"
#include "sgtm-tenants.h"


typedef struct {
    tenants_t         *t;
    tenants_out_t      out;
    int                fd;             /* of the file, to copy from */
    uint64_t           pos;            /* copied up to here */

    /* of a record */

    sgtm_tenants_t    *it;
    size_t             len;            /* what it becomes */
    size_t             copied;         /* of its JSON */
    int                write;          /* 0: only looks */
    uint64_t           sealed;         /* secrets */
} seal_t;


static int seal_file(tenants_t *t, const char *file, uint64_t *sealed);
static int seal_record(tenants_t *t, sgtm_tenants_t *it);
static int seal_secret(void *data, const sgtm_str_t *field,
    const sgtm_str_t *string);
static int seal_again(seal_t *seal, const sgtm_str_t *field, sgtm_str_t *text,
    unsigned char *plain);
static int seal_copy(seal_t *seal, uint64_t to);
static int seal_end(seal_t *seal, const struct stat *before);
static void seal_path(seal_t *seal, const sgtm_str_t *field, char *path,
    size_t size);


int
tenants_seal(tenants_t *t)
{
    int              rc;
    size_t           i;
    uint64_t         sealed;
    tenants_files_t  files;

    t->quiet = 1;
    sealed = 0;

    if (tenants_begin(t, 0) != TENANTS_OK
        || tenants_files(t->args[0], &files) != TENANTS_OK)
    {
        return TENANTS_FAILED;
    }

    rc = TENANTS_OK;

    for (i = 0; i < files.nnames; i++) {
        if (seal_file(t, files.names[i], &sealed) != TENANTS_OK) {
            rc = TENANTS_FAILED;
        }
    }

    printf("%" PRIu64 " secrets sealed in %zu files\n", sealed, files.nnames);

    tenants_files_free(&files);

    return rc;
}


/* a file with anything wrong stays as it is */

static int
seal_file(tenants_t *t, const char *file, uint64_t *sealed)
{
    int           rc;
    seal_t       *seal;
    struct stat   sb;

    seal = calloc(1, sizeof(seal_t));

    if (seal == NULL) {
        return tenants_fail("no memory");
    }

    seal->t = t;
    seal->fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (seal->fd == -1 || fstat(seal->fd, &sb) == -1 || !S_ISREG(sb.st_mode)) {
        rc = tenants_fail("%s: %s", file, seal->fd == -1 ? strerror(errno)
                                                         : "not a file");

    } else {
        rc = tenants_out_open(&seal->out, file);

        if (rc == TENANTS_OK) {
            t->data = seal;
            rc = tenants_read_file(t, file, seal_record);

            if (rc == TENANTS_OK && seal->sealed) {
                rc = seal_end(seal, &sb);

            } else {
                tenants_out_drop(&seal->out);
            }
        }
    }

    if (seal->fd != -1) {
        (void) close(seal->fd);
    }

    if (rc == TENANTS_OK) {
        *sealed += seal->sealed;
    }

    OPENSSL_cleanse(seal, sizeof(seal_t));
    free(seal);

    return rc == TENANTS_OK ? TENANTS_OK : TENANTS_FAILED;
}


static int
seal_record(tenants_t *t, sgtm_tenants_t *it)
{
    char       path[64];
    size_t     len;
    seal_t    *seal;
    uint64_t   before;

    seal = t->data;
    seal->it = it;
    seal->copied = 0;

    /* first whether there is anything to do, and room for it */

    before = seal->sealed;
    seal->write = 0;
    seal->len = it->json.len;

    if (sgtm_tenant_secrets(&it->json, seal_secret, seal) != SGTM_OK) {
        return TENANTS_OK;
    }

    if (seal->sealed == before) {
        return TENANTS_OK;
    }

    if (seal->len > SGTM_TENANT_MAX) {
        seal_path(seal, NULL, path, sizeof(path));
        tenants_error(t, path, "over 65536 bytes once it is sealed");
        return TENANTS_OK;
    }

    if (seal_copy(seal, it->offset) != TENANTS_OK) {
        return TENANTS_FAILED;
    }

    seal->sealed = before;
    seal->write = 1;

    if (sgtm_tenant_secrets(&it->json, seal_secret, seal) != SGTM_OK) {
        return TENANTS_FAILED;
    }

    len = it->json.len - seal->copied;

    tenants_out_write(&seal->out, it->json.data + seal->copied, len);
    seal->pos = it->offset + it->json.len;

    return TENANTS_OK;
}


/* a secret's string, with its quotes, is replaced or left */

static int
seal_secret(void *data, const sgtm_str_t *field, const sgtm_str_t *string)
{
    seal_t *seal = data;

    int             rc;
    char            path[256];
    size_t          len, start;
    sgtm_str_t      text;
    unsigned char   plain[SGTM_SEALED_MAX + 1], sealed[SGTM_SEALED_MAX];

    text.data = plain;
    text.len = sgtm_json_decode(plain, sizeof(plain), string);

    rc = seal_again(seal, field, &text, plain);

    if (rc == SGTM_OK) {
        rc = sgtm_seal(&seal->t->keys, &seal->it->tenant->id, field, &text,
                       sealed, &len);
    }

    OPENSSL_cleanse(plain, sizeof(plain));

    if (rc == SGTM_DECLINED) {
        return SGTM_OK;
    }

    if (rc != SGTM_OK) {
        seal_path(seal, field, path, sizeof(path));
        tenants_error(seal->t, path, "cannot be opened or sealed");
        return SGTM_ERROR;
    }

    seal->sealed++;

    if (!seal->write) {
        seal->len += len + 2 - string->len;
        return SGTM_OK;
    }

    start = (size_t) (string->data - seal->it->json.data);

    tenants_out_write(&seal->out, seal->it->json.data + seal->copied,
                      start - seal->copied);
    tenants_out_write(&seal->out, "\"", 1);
    tenants_out_write(&seal->out, sealed, len);
    tenants_out_write(&seal->out, "\"", 1);

    seal->copied = start + string->len;

    return SGTM_OK;
}


/*
 * SGTM_OK: the text is plain, or was sealed with an older key and is opened
 * where all are to have the first; SGTM_DECLINED: it stays as it is.
 */

static int
seal_again(seal_t *seal, const sgtm_str_t *field, sgtm_str_t *text,
    unsigned char *plain)
{
    int             rc;
    size_t          len;
    sgtm_str_t      id, first;
    unsigned char   opened[SGTM_SECRET_MAX];

    if (sgtm_sealed(text) != SGTM_OK) {
        return SGTM_OK;
    }

    sgtm_sealed_key(text, &id);

    first.data = seal->t->keys.keys[0].id;
    first.len = seal->t->keys.keys[0].id_len;

    if (!seal->t->rotate || sgtm_str_equal(&id, &first)) {
        return SGTM_DECLINED;
    }

    rc = sgtm_unseal(&seal->t->keys, &seal->it->tenant->id, field, text,
                     opened, &len);

    if (rc == SGTM_OK) {
        memcpy(plain, opened, len);
        text->len = len;
    }

    OPENSSL_cleanse(opened, sizeof(opened));

    return rc == SGTM_OK ? SGTM_OK : SGTM_ERROR;
}


/* the bytes of the file up to this one */

static int
seal_copy(seal_t *seal, uint64_t to)
{
    size_t         want;
    ssize_t        n;
    unsigned char  buf[16384];

    while (seal->pos < to) {

        want = sizeof(buf);
        want = (to - seal->pos < want) ? (size_t) (to - seal->pos) : want;

        n = pread(seal->fd, buf, want, (off_t) seal->pos);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {

            if (n == 0 && to == UINT64_MAX) {
                break;
            }

            return tenants_fail("%s: %s", seal->t->file,
                                n ? strerror(errno) : "has become shorter");
        }

        tenants_out_write(&seal->out, buf, (size_t) n);
        seal->pos += (uint64_t) n;
    }

    return TENANTS_OK;
}


/* what others have written meanwhile is not overwritten */

static int
seal_end(seal_t *seal, const struct stat *before)
{
    int          rc;
    struct stat  now;

    rc = seal_copy(seal, UINT64_MAX);

    if (rc == TENANTS_OK
        && (stat(seal->t->file, &now) == -1
            || now.st_ino != before->st_ino
            || now.st_dev != before->st_dev
            || now.st_size != before->st_size
            || now.st_mtim.tv_sec != before->st_mtim.tv_sec
            || now.st_mtim.tv_nsec != before->st_mtim.tv_nsec))
    {
        rc = tenants_fail("%s: was changed meanwhile, nothing is sealed",
                          seal->t->file);
    }

    if (rc != TENANTS_OK) {
        tenants_out_drop(&seal->out);
        return rc;
    }

    return tenants_out_close(&seal->out);
}


/* of a field of the present record, or of the record */

static void
seal_path(seal_t *seal, const sgtm_str_t *field, char *path, size_t size)
{
    size_t  n;

    n = 0;
    path[0] = '\0';

    if (seal->it->n >= 0) {
        n = (size_t) snprintf(path, size, "tenants[%" PRId64 "]%s",
                              seal->it->n, field ? "." : "");
    }

    if (field != NULL) {
        snprintf(path + n, size - n, "%.*s", (int) field->len,
                 (char *) field->data);
    }
}
