
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

#include "sgtm_tenant_core.h"
#include "sgtm_tenants.h"


#define SGTM_TENANTS_READ   65536

/* of how many bytes of a file one is a name's, and how many are begun with */
#define SGTM_TENANTS_NAME   256
#define SGTM_TENANTS_NAMES  (4 * 1024 * 1024)

/* what a step came to besides a sgtm_tenants_e */
#define SGTM_TENANTS_MORE  100         /* bytes are missing */
#define SGTM_TENANTS_ON    101         /* to the next step */


typedef enum {
    SGTM_TENANTS_AT_HEAD = 0,
    SGTM_TENANTS_AT_FIRST,             /* behind the "[" */
    SGTM_TENANTS_AT_ELEMENT,           /* behind a "," */
    SGTM_TENANTS_AT_COMMA,             /* behind an element */
    SGTM_TENANTS_AT_BRACE,             /* behind the "]" */
    SGTM_TENANTS_AT_TAIL,
    SGTM_TENANTS_AT_END
} sgtm_tenants_state_e;


static ssize_t sgtm_tenants_read_file(void *data, void *buf, size_t size);
static unsigned sgtm_tenants_fill(sgtm_tenants_t *it);
static unsigned sgtm_tenants_step(sgtm_tenants_t *it);
static unsigned sgtm_tenants_head(sgtm_tenants_t *it);
static unsigned sgtm_tenants_element(sgtm_tenants_t *it);
static unsigned sgtm_tenants_more(sgtm_tenants_t *it);
static unsigned sgtm_tenants_record(sgtm_tenants_t *it, unsigned char *end,
    int64_t n);
static unsigned char *sgtm_tenants_skip(unsigned char *p, unsigned char *end);
static void sgtm_tenants_advance(sgtm_tenants_t *it, unsigned char *to);
static unsigned sgtm_tenants_syntax(sgtm_tenants_t *it, const char *what);
static unsigned sgtm_tenants_fail(sgtm_tenants_t *it, const char *text);
static void sgtm_tenants_report(sgtm_tenants_t *it, int64_t n,
    const char *text);


int
sgtm_tenants_open(sgtm_tenants_t *it, const char *file,
    const sgtm_tenants_conf_t *conf)
{
    int          rc, fd, err;
    char         text[128];
    size_t       names;
    uint64_t     max;
    struct stat  sb;

    /* a pipe would not be opened for as long as nobody writes into it */

    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    err = errno;

    rc = sgtm_tenants_begin(it, sgtm_tenants_read_file, &it->fd, conf);

    it->fd = fd;

    if (rc != SGTM_OK) {
        return rc;
    }

    if (fd != -1 && fstat(fd, &sb) == -1) {
        err = errno;
        fd = -1;
    }

    if (fd == -1) {
        snprintf(text, sizeof(text), "cannot be opened: %s", strerror(err));
        (void) sgtm_tenants_fail(it, text);
        return SGTM_ERROR;
    }

    if (!S_ISREG(sb.st_mode)) {
        (void) sgtm_tenants_fail(it, "not a file");
        return SGTM_ERROR;
    }

    max = it->conf.max_size;

    if ((uint64_t) sb.st_size > max) {
        snprintf(text, sizeof(text), "%" PRIu64 " bytes, over %" PRIu64,
                 (uint64_t) sb.st_size, max);
        (void) sgtm_tenants_fail(it, text);
        return SGTM_ERROR;
    }

    /* growing takes longer than a slice of time may */

    if (it->own) {
        names = (size_t) (sb.st_size / SGTM_TENANTS_NAME);
        names = (names < SGTM_TENANTS_NAMES) ? names : SGTM_TENANTS_NAMES;

        sgtm_tenant_index_destroy(it->conf.index);
        it->conf.index = sgtm_tenant_index_create(names);

        if (it->conf.index == NULL) {
            (void) sgtm_tenants_fail(it, "no memory");
            return SGTM_ERROR;
        }
    }

    return SGTM_OK;
}


int
sgtm_tenants_begin(sgtm_tenants_t *it, sgtm_tenants_read_pt read, void *data,
    const sgtm_tenants_conf_t *conf)
{
    memset(it, 0, sizeof(sgtm_tenants_t));

    it->conf = *conf;
    it->conf.opts.path = NULL;
    it->read = read;
    it->data = data;
    it->fd = -1;
    it->n = -1;
    it->line = 1;

    if (it->conf.max_size == 0) {
        it->conf.max_size = SGTM_TENANTS_MAX;
    }

    if (it->conf.index == NULL) {
        it->own = 1;
        it->conf.index = sgtm_tenant_index_create(0);
    }

    it->buf = malloc(SGTM_TENANT_MAX + 1 + SGTM_TENANTS_READ);
    it->room = malloc(sgtm_tenant_room(SGTM_TENANT_MAX));
    it->pos = it->buf;
    it->last = it->buf;

    if (it->conf.index == NULL || it->buf == NULL || it->room == NULL
        || (!it->own && sgtm_tenant_index_source(it->conf.index, conf->name)
                        != SGTM_OK))
    {
        (void) sgtm_tenants_fail(it, "no memory");
        return SGTM_ERROR;
    }

    return SGTM_OK;
}


void
sgtm_tenants_end(sgtm_tenants_t *it)
{
    if (it->fd != -1) {
        (void) close(it->fd);
    }

    if (it->own) {
        sgtm_tenant_index_destroy(it->conf.index);
    }

    free(it->buf);
    free(it->room);

    it->fd = -1;
    it->own = 0;
    it->buf = NULL;
    it->room = NULL;
    it->tenant = NULL;
    it->failed = 1;
}


static ssize_t
sgtm_tenants_read_file(void *data, void *buf, size_t size)
{
    int      *fd = data;
    ssize_t   n;

    do {
        n = read(*fd, buf, size);
    } while (n == -1 && errno == EINTR);

    return n;
}


unsigned
sgtm_tenants_next(sgtm_tenants_t *it)
{
    unsigned  rc, filled;

    it->tenant = NULL;
    it->json.len = 0;

    if (it->failed) {
        return SGTM_TENANTS_FAILED;
    }

    for (filled = 0; /* void */ ; /* void */ ) {
        rc = sgtm_tenants_step(it);

        if (rc == SGTM_TENANTS_ON) {
            continue;
        }

        if (rc != SGTM_TENANTS_MORE) {
            return rc;
        }

        if (filled++) {
            return SGTM_TENANTS_AGAIN;
        }

        rc = sgtm_tenants_fill(it);

        if (rc != SGTM_TENANTS_ON) {
            return rc;
        }
    }
}


static unsigned
sgtm_tenants_fill(sgtm_tenants_t *it)
{
    char     text[128];
    size_t   left;
    ssize_t  n;

    left = (size_t) (it->last - it->pos);

    memmove(it->buf, it->pos, left);

    it->pos = it->buf;
    it->last = it->buf + left;

    n = it->read(it->data, it->last, SGTM_TENANTS_READ);

    if (n < 0) {
        snprintf(text, sizeof(text), "cannot be read: %s", strerror(errno));
        return sgtm_tenants_fail(it, text);
    }

    it->last += n;
    it->size += (uint64_t) n;
    it->eof = (n == 0);

    if (it->size > it->conf.max_size) {
        snprintf(text, sizeof(text), "over %" PRIu64 " bytes",
                 it->conf.max_size);
        return sgtm_tenants_fail(it, text);
    }

    return SGTM_TENANTS_ON;
}


/* all but records is single characters with space around them */

static unsigned
sgtm_tenants_step(sgtm_tenants_t *it)
{
    unsigned char  ch;

    sgtm_tenants_advance(it, sgtm_json_space(it->pos, it->last));

    if (it->pos == it->last) {

        if (it->state == SGTM_TENANTS_AT_END
            || (it->eof && it->state == SGTM_TENANTS_AT_TAIL))
        {
            it->state = SGTM_TENANTS_AT_END;
            return SGTM_TENANTS_END;
        }

        return sgtm_tenants_more(it);
    }

    ch = *it->pos;

    switch (it->state) {

    case SGTM_TENANTS_AT_HEAD:
        return sgtm_tenants_head(it);

    case SGTM_TENANTS_AT_FIRST:

        if (ch == ']') {
            it->pos++;
            it->state = SGTM_TENANTS_AT_BRACE;
            return SGTM_TENANTS_ON;
        }

        return sgtm_tenants_element(it);

    case SGTM_TENANTS_AT_ELEMENT:
        return sgtm_tenants_element(it);

    case SGTM_TENANTS_AT_COMMA:

        if (ch != ',' && ch != ']') {
            return sgtm_tenants_syntax(it, "\",\" or \"]\" is missing");
        }

        it->pos++;
        it->state = (ch == ',') ? SGTM_TENANTS_AT_ELEMENT
                                : SGTM_TENANTS_AT_BRACE;
        return SGTM_TENANTS_ON;

    case SGTM_TENANTS_AT_BRACE:

        if (ch == ',') {
            return sgtm_tenants_fail(it, "has more than \"tenants\"");
        }

        if (ch != '}') {
            return sgtm_tenants_syntax(it, "\"}\" is missing");
        }

        it->pos++;
        it->state = SGTM_TENANTS_AT_TAIL;
        return SGTM_TENANTS_ON;

    default: /* SGTM_TENANTS_AT_TAIL */
        return sgtm_tenants_syntax(it, "there is more behind the end");
    }
}


/* whether it is a list of records or one of them: its first name tells */

static unsigned
sgtm_tenants_head(sgtm_tenants_t *it)
{
    sgtm_str_t      key;
    unsigned char  *p, *end;

    static const sgtm_str_t  name = sgtm_string("tenants");

    if (*it->pos != '{') {
        return sgtm_tenants_fail(it, "not an object, of \"tenants\" or of one");
    }

    p = sgtm_json_space(it->pos + 1, it->last);

    if (p == it->last) {
        return sgtm_tenants_more(it);
    }

    if (*p == '"') {
        end = sgtm_tenants_skip(p, it->last);

        if (end == NULL) {
            return sgtm_tenants_more(it);
        }

        key.data = p;
        key.len = (size_t) (end - p);

        /* as it is written: an escape in it would have to be checked first */

        if (key.len == name.len + 2
            && memcmp(key.data + 1, name.data, name.len) == 0)
        {
            p = sgtm_json_space(end, it->last);

            if (p < it->last && *p == ':') {
                p = sgtm_json_space(p + 1, it->last);

            } else if (p < it->last) {
                return sgtm_tenants_syntax(it, "\":\" is missing");
            }

            if (p == it->last) {
                return sgtm_tenants_more(it);
            }

            if (*p != '[') {
                return sgtm_tenants_fail(it, "\"tenants\" is not a list");
            }

            sgtm_tenants_advance(it, p + 1);
            it->state = SGTM_TENANTS_AT_FIRST;

            return SGTM_TENANTS_ON;
        }
    }

    end = sgtm_tenants_skip(it->pos, it->last);

    if (end == NULL) {
        return sgtm_tenants_more(it);
    }

    it->state = SGTM_TENANTS_AT_TAIL;

    return sgtm_tenants_record(it, end, -1);
}


static unsigned
sgtm_tenants_element(sgtm_tenants_t *it)
{
    unsigned char  *end;

    if (memchr(",]}:", *it->pos, 4) != NULL) {
        return sgtm_tenants_syntax(it, "a record is missing");
    }

    end = sgtm_tenants_skip(it->pos, it->last);

    if (end == NULL) {
        return sgtm_tenants_more(it);
    }

    it->state = SGTM_TENANTS_AT_COMMA;

    return sgtm_tenants_record(it, end, it->next++);
}


/* what is at pos goes on behind the bytes that are there */

static unsigned
sgtm_tenants_more(sgtm_tenants_t *it)
{
    if (it->last - it->pos > SGTM_TENANT_MAX) {
        sgtm_tenants_report(it, it->state == SGTM_TENANTS_AT_HEAD
                                ? -1 : it->next,
                            "over 65536 bytes, or not closed");
        it->failed = 1;
        return SGTM_TENANTS_FAILED;
    }

    if (it->eof) {
        return sgtm_tenants_syntax(it, "it ends too early");
    }

    return SGTM_TENANTS_MORE;
}


/* n is -1 for a record that is the file */

static unsigned
sgtm_tenants_record(sgtm_tenants_t *it, unsigned char *end, int64_t n)
{
    char                 path[64];
    sgtm_tenant_t       *t;
    sgtm_tenant_opts_t   opts;

    it->n = n;
    it->json.data = it->pos;
    it->json.len = (size_t) (end - it->pos);
    it->offset = it->size - (uint64_t) (it->last - it->pos);

    opts = it->conf.opts;

    if (n >= 0) {
        snprintf(path, sizeof(path), "tenants[%" PRId64 "]", n);
        opts.path = path;
    }

    t = sgtm_tenant_build(&it->json, &opts, it->room);

    sgtm_tenants_advance(it, end);

    if (t == NULL || sgtm_tenant_index_add(it->conf.index, t, n, &it->conf.opts)
                     != SGTM_OK)
    {
        return SGTM_TENANTS_BAD;
    }

    it->tenant = t;

    return SGTM_TENANTS_RECORD;
}


/*
 * Past a value whose JSON nobody has checked yet, by brackets and quotes; NULL:
 * its end is not there.
 */

static unsigned char *
sgtm_tenants_skip(unsigned char *p, unsigned char *end)
{
    unsigned  depth;

    depth = 0;

    for ( /* void */ ; p < end; p++) {

        switch (*p) {

        case '"':
            for (p++; p < end && *p != '"'; p++) {
                if (*p == '\\' && ++p == end) {
                    break;
                }
            }

            if (p == end) {
                return NULL;
            }

            break;

        case '{':
        case '[':
            depth++;
            continue;

        case '}':
        case ']':
            depth--;
            break;

        default:

            /* or the last character of a number or a word */

            if (depth || end - p == 1
                || memchr(",]} \n\r\t", p[1], 7) == NULL)
            {
                continue;
            }
        }

        if (depth == 0) {
            return p + 1;
        }
    }

    return NULL;
}


static void
sgtm_tenants_advance(sgtm_tenants_t *it, unsigned char *to)
{
    unsigned char  *p;

    for (p = it->pos; p < to; p++) {

        p = memchr(p, '\n', (size_t) (to - p));
        if (p == NULL) {
            break;
        }

        it->line++;
    }

    it->pos = to;
}


static unsigned
sgtm_tenants_syntax(sgtm_tenants_t *it, const char *what)
{
    char  text[128];

    snprintf(text, sizeof(text), "not JSON in line %" PRIu64 ": %s", it->line,
             what);

    return sgtm_tenants_fail(it, text);
}


static unsigned
sgtm_tenants_fail(sgtm_tenants_t *it, const char *text)
{
    it->failed = 1;

    sgtm_tenants_report(it, -1, text);

    return SGTM_TENANTS_FAILED;
}


static void
sgtm_tenants_report(sgtm_tenants_t *it, int64_t n, const char *text)
{
    char  path[64];

    path[0] = '\0';

    if (n >= 0) {
        snprintf(path, sizeof(path), "tenants[%" PRId64 "]", n);
    }

    if (it->conf.opts.report != NULL) {
        it->conf.opts.report(it->conf.opts.data, SGTM_TENANT_ERROR, path,
                             text);
    }
}
