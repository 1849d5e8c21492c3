
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <openssl/crypto.h>

#include "sgtm_seal.h"


/* of 16 keys, with comments */
#define SGTM_KEYS_FILE  (16 * 1024)


static const char *sgtm_keys_line(sgtm_keys_t *keys, unsigned char *p,
    unsigned char *end);
static const char *sgtm_keys_load(sgtm_keys_t *keys, int fd,
    unsigned char *buf, size_t *len);


int
sgtm_keys_parse(sgtm_keys_t *keys, const sgtm_str_t *text, char *error)
{
    unsigned        line;
    const char     *wrong;
    unsigned char  *p, *end, *last;

    memset(keys, 0, sizeof(sgtm_keys_t));

    p = text->data;
    last = p + text->len;

    for (line = 1; p < last; line++, p = end + 1) {

        end = memchr(p, '\n', (size_t) (last - p));
        if (end == NULL) {
            end = last;
        }

        wrong = sgtm_keys_line(keys, p, end);

        if (wrong != NULL) {
            snprintf(error, SGTM_KEYS_ERROR, "line %u: %s", line, wrong);
            sgtm_keys_wipe(keys);
            return SGTM_ERROR;
        }
    }

    if (keys->nkeys == 0) {
        snprintf(error, SGTM_KEYS_ERROR, "no key in it");
        return SGTM_ERROR;
    }

    return SGTM_OK;
}


/* NULL, or what is wrong, which never has anything of the line in it */

static const char *
sgtm_keys_line(sgtm_keys_t *keys, unsigned char *p, unsigned char *end)
{
    size_t       i;
    sgtm_str_t   id, hex;
    sgtm_key_t  *key;

    while (end > p && end[-1] <= ' ') {
        end--;
    }

    while (p < end && *p <= ' ') {
        p++;
    }

    if (p == end || *p == '#') {
        return NULL;
    }

    for (id.data = p; p < end && *p > ' '; p++) { /* void */ }

    id.len = (size_t) (p - id.data);

    while (p < end && *p <= ' ') {
        p++;
    }

    hex.data = p;
    hex.len = (size_t) (end - p);

    if (!sgtm_keys_id(&id)) {
        return "the id is not of 1 to 32 letters, digits and \"._-\"";
    }

    for (i = 0; i < keys->nkeys; i++) {
        if (keys->keys[i].id_len == id.len
            && memcmp(keys->keys[i].id, id.data, id.len) == 0)
        {
            return "a key before has the same id";
        }
    }

    if (keys->nkeys == SGTM_KEYS_MAX) {
        return "more than 16 keys";
    }

    key = &keys->keys[keys->nkeys];

    if (sgtm_hash_from_hex(&hex, key->key) != SGTM_OK) {
        return "the key is not of 64 hexadecimal digits";
    }

    memcpy(key->id, id.data, id.len);
    key->id_len = id.len;
    keys->nkeys++;

    return NULL;
}


int
sgtm_keys_id(const sgtm_str_t *id)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < id->len; i++) {
        ch = id->data[i];

        if ((ch < '0' || ch > '9') && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z')
            && ch != '.' && ch != '_' && ch != '-')
        {
            return 0;
        }
    }

    return id->len > 0 && id->len <= SGTM_KEY_ID_MAX;
}


int
sgtm_keys_read(sgtm_keys_t *keys, const char *file, char *error)
{
    int             fd, rc;
    size_t          len;
    unsigned        exposed;
    sgtm_str_t      text;
    const char     *wrong;
    unsigned char   buf[SGTM_KEYS_FILE + 1];

    memset(keys, 0, sizeof(sgtm_keys_t));

    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd == -1) {
        snprintf(error, SGTM_KEYS_ERROR, "cannot be opened: %s",
                 strerror(errno));
        return SGTM_ERROR;
    }

    len = 0;
    wrong = sgtm_keys_load(keys, fd, buf, &len);

    (void) close(fd);

    text.data = buf;
    text.len = len;
    exposed = keys->exposed;

    if (wrong != NULL) {
        snprintf(error, SGTM_KEYS_ERROR, "%s", wrong);
        rc = SGTM_ERROR;

    } else {
        rc = sgtm_keys_parse(keys, &text, error);
        keys->exposed = exposed;
    }

    OPENSSL_cleanse(buf, sizeof(buf));

    return rc;
}


static const char *
sgtm_keys_load(sgtm_keys_t *keys, int fd, unsigned char *buf, size_t *len)
{
    ssize_t      n;
    struct stat  sb;

    if (fstat(fd, &sb) == -1) {
        return strerror(errno);
    }

    if (!S_ISREG(sb.st_mode)) {
        return "not a file";
    }

    keys->exposed = (sb.st_mode & (S_IRWXG | S_IRWXO)) != 0;

    while (*len <= SGTM_KEYS_FILE) {

        n = read(fd, buf + *len, SGTM_KEYS_FILE + 1 - *len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return strerror(errno);
        }

        if (n == 0) {
            return NULL;
        }

        *len += (size_t) n;
    }

    return "larger than 16k";
}


void
sgtm_keys_wipe(sgtm_keys_t *keys)
{
    OPENSSL_cleanse(keys, sizeof(sgtm_keys_t));
}
