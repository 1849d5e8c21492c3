
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Segments that are not sound: where a group could not be finished, or bytes
 * are not what was written.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>

#include "sgtm_file.h"
#include "sgtm_segment.h"


/* groups begin at a multiple of it */
#define SGTM_SEGMENT_STEP  8

/* what the name of bytes begins with that are no group */
#define SGTM_SEGMENT_ASIDE  "damaged-"


static int sgtm_segment_skip(const char *dir, sgtm_segment_t *segment,
    char *text, size_t len);
static int sgtm_segment_sound(const sgtm_segment_t *segment, int64_t offset,
    sgtm_group_t *group);
static int sgtm_segment_look(const sgtm_segment_t *segment, int64_t *offset,
    sgtm_group_t *group);
static int sgtm_segment_unfinished(const sgtm_segment_t *segment);
static int sgtm_segment_aside(const char *dir, const sgtm_segment_t *segment,
    int64_t end, char *text, size_t len);
static int sgtm_segment_copy(const sgtm_segment_t *segment, int64_t end,
    int fd);


int
sgtm_segment_mend(const char *dir, sgtm_segment_t *segment, char *text,
    size_t len)
{
    int  rc;

    memset(&segment->next, 0, sizeof(sgtm_group_t));

    if (flock(segment->fd, LOCK_SH|LOCK_NB) == -1) {
        return errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    }

    rc = sgtm_segment_skip(dir, segment, text, len);

    (void) flock(segment->fd, LOCK_UN);

    return rc;
}


/* nobody writes: goes on at the next sound group, or at the end */

static int
sgtm_segment_skip(const char *dir, sgtm_segment_t *segment, char *text,
    size_t len)
{
    int           rc;
    int64_t       end;
    sgtm_group_t  group;

    if (sgtm_segment_fstat(segment) == -1) {
        return -1;
    }

    if (segment->done >= segment->size) {
        return 0;
    }

    /* it may have been finished meanwhile */

    rc = sgtm_segment_sound(segment, segment->done, &group);

    if (rc == 0) {
        end = segment->done;
        rc = sgtm_segment_look(segment, &end, &group);

        if (rc == -1
            || ((rc == 1 || !sgtm_segment_unfinished(segment))
                && sgtm_segment_aside(dir, segment, end, text, len) == -1))
        {
            return -1;
        }

        segment->done = end;
    }

    if (rc == 1) {
        segment->next = group;
    }

    return rc == -1 ? -1 : 0;
}


/* 1: there is a group whose sums are right */

static int
sgtm_segment_sound(const sgtm_segment_t *segment, int64_t offset,
    sgtm_group_t *group)
{
    int             rc;
    unsigned char  *buffer;
    sgtm_segment_t  probe;

    rc = sgtm_segment_header(segment, offset, group);

    if (rc != 1) {
        return rc;
    }

    buffer = malloc(group->size);

    if (buffer == NULL) {
        errno = ENOMEM;
        return -1;
    }

    probe = *segment;
    probe.done = offset;
    probe.next = *group;

    rc = sgtm_segment_read(&probe, buffer);

    free(buffer);

    return rc;
}


/* the offset after this one of the next sound group, or of the end */

static int
sgtm_segment_look(const sgtm_segment_t *segment, int64_t *offset,
    sgtm_group_t *group)
{
    int            rc;
    size_t         i;
    ssize_t        n;
    int64_t        at;
    uint32_t       magic;
    unsigned char  buffer[4096];

    for (at = *offset + SGTM_SEGMENT_STEP; at < segment->size; at += n) {

        n = sgtm_segment_pread(segment->fd, buffer, sizeof(buffer), at);

        if (n == -1) {
            return -1;
        }

        if (n < SGTM_SEGMENT_STEP) {
            break;
        }

        for (i = 0; i + SGTM_SEGMENT_STEP <= (size_t) n;
             i += SGTM_SEGMENT_STEP)
        {

            memcpy(&magic, buffer + i, sizeof(magic));

            if (magic != SGTM_GROUP_MAGIC) {
                continue;
            }

            rc = sgtm_segment_sound(segment, at + (int64_t) i, group);

            if (rc != 0) {
                *offset = at + (int64_t) i;
                return rc;
            }
        }

        n -= n % SGTM_SEGMENT_STEP;
    }

    *offset = segment->size;

    return 0;
}


/*
 * Whether what is left is the beginning of a group, as of a writer that was
 * killed: nobody was told that it is kept.
 */

static int
sgtm_segment_unfinished(const sgtm_segment_t *segment)
{
    size_t        len;
    ssize_t       n;
    uint32_t      magic;
    sgtm_group_t  group;

    n = sgtm_segment_pread(segment->fd, &group, sizeof(sgtm_group_t),
                           segment->done);

    if (n == (ssize_t) sizeof(sgtm_group_t)) {
        return sgtm_group_is(&group, segment->key)
               && group.size > (uint64_t) (segment->size - segment->done);
    }

    magic = SGTM_GROUP_MAGIC;
    len = (size_t) n < sizeof(magic) ? (size_t) n : sizeof(magic);

    return n > 0 && memcmp(&group, &magic, len) == 0;
}


/* again if there are some: who copied them may have been killed meanwhile */

static int
sgtm_segment_aside(const char *dir, const sgtm_segment_t *segment,
    int64_t end, char *text, size_t len)
{
    int   fd, rc, err;
    char  path[4096];

    (void) snprintf(path, sizeof(path), "%s/" SGTM_SEGMENT_ASIDE "%s-%lld",
                    dir, segment->name, (long long) segment->done);

    if (unlink(path) == -1 && errno != ENOENT) {
        return -1;
    }

    if (sgtm_file_make(dir, path, &fd) == -1) {
        return -1;
    }

    if (fd == -1) {
        errno = EEXIST;
        return -1;
    }

    rc = sgtm_segment_copy(segment, end, fd);
    err = errno;

    (void) close(fd);

    if (rc == -1) {
        (void) unlink(path);
        errno = err;
        return -1;
    }

    (void) snprintf(text, len, "\"%s/%s\": %lld bytes are damaged, they are"
                    " set aside as \"" SGTM_SEGMENT_ASIDE "%s-%lld\"", dir,
                    segment->name, (long long) (end - segment->done),
                    segment->name, (long long) segment->done);

    return 0;
}


static int
sgtm_segment_copy(const sgtm_segment_t *segment, int64_t end, int fd)
{
    ssize_t  n;
    int64_t  at;
    char     buffer[16384];

    for (at = segment->done; at < end; at += n) {

        n = sgtm_segment_pread(segment->fd, buffer,
                               end - at < (int64_t) sizeof(buffer)
                               ? (size_t) (end - at) : sizeof(buffer), at);

        if (n <= 0) {
            return (int) n;
        }

        errno = ENOSPC;

        if (write(fd, buffer, (size_t) n) != n) {
            return -1;
        }
    }

    return 0;
}
