
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
#include <sys/file.h>
#include <sys/stat.h>

#include "sgtm_file.h"
#include "sgtm_segment.h"


/* the end of a group: its size again */
#define SGTM_SEGMENT_END   sizeof(uint64_t)
#define SGTM_SEGMENT_LEAST (sizeof(sgtm_group_t) + sizeof(sgtm_entry_t)       \
                            + SGTM_SEGMENT_END)


static int sgtm_segment_add(int dir, sgtm_segment_t **segments, size_t *n,
    size_t *room, const char *name);
static void sgtm_segment_stat(sgtm_segment_t *segment, const struct stat *sb);
static int sgtm_segment_compare(const void *one, const void *two);


int
sgtm_segment_list(const char *dir, sgtm_segment_t **segments, size_t *n)
{
    int             rc;
    DIR            *d;
    size_t          room;
    struct dirent  *entry;

    *segments = NULL;
    *n = 0;
    room = 0;

    d = opendir(dir);

    if (d == NULL) {
        return -1;
    }

    for ( ;; ) {
        errno = 0;
        entry = readdir(d);

        if (entry == NULL) {
            rc = errno ? -1 : 0;
            break;
        }

        rc = sgtm_segment_add(dirfd(d), segments, n, &room, entry->d_name);

        if (rc == -1) {
            break;
        }
    }

    (void) closedir(d);

    if (rc == -1) {
        free(*segments);
        *segments = NULL;
        *n = 0;
        return -1;
    }

    if (*n > 1) {
        qsort(*segments, *n, sizeof(sgtm_segment_t), sgtm_segment_compare);
    }

    return 0;
}


static int
sgtm_segment_add(int dir, sgtm_segment_t **segments, size_t *n, size_t *room,
    const char *name)
{
    char                *end;
    size_t               len;
    struct stat          sb;
    sgtm_segment_t      *segment;
    unsigned long long   time;

    len = sizeof(SGTM_JOURNAL_PREFIX) - 1;

    if (strncmp(name, SGTM_JOURNAL_PREFIX, len) != 0
        || strlen(name) >= SGTM_JOURNAL_NAME)
    {
        return 0;
    }

    time = strtoull(name + len, &end, 16);

    if (end != name + len + 16 || *end != '-' || time > INT64_MAX
        || fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) == -1)
    {
        return 0;
    }

    if (*n == *room) {
        *room = *room ? 2 * *room : 16;

        segment = realloc(*segments, *room * sizeof(sgtm_segment_t));

        if (segment == NULL) {
            errno = ENOMEM;
            return -1;
        }

        *segments = segment;
    }

    segment = &(*segments)[(*n)++];

    memset(segment, 0, sizeof(sgtm_segment_t));

    (void) strcpy(segment->name, name);
    segment->time = (int64_t) time;
    segment->fd = -1;

    sgtm_segment_stat(segment, &sb);

    return 0;
}


static int
sgtm_segment_compare(const void *one, const void *two)
{
    const sgtm_segment_t  *a = one;
    const sgtm_segment_t  *b = two;

    return strcmp(a->name, b->name);
}


int
sgtm_segment_open(const char *dir, sgtm_segment_t *segment)
{
    char  path[4096];

    (void) snprintf(path, sizeof(path), "%s/%s", dir, segment->name);

    segment->fd = open(path, O_RDWR|O_CLOEXEC|O_NOFOLLOW);

    if (segment->fd == -1) {
        return errno == ENOENT ? 0 : -1;
    }

    return sgtm_segment_fstat(segment) == -1 ? -1 : 1;
}


int
sgtm_segment_fstat(sgtm_segment_t *segment)
{
    struct stat  sb;

    if (fstat(segment->fd, &sb) == -1) {
        return -1;
    }

    sgtm_segment_stat(segment, &sb);

    return 0;
}


static void
sgtm_segment_stat(sgtm_segment_t *segment, const struct stat *sb)
{
    segment->size = (int64_t) sb->st_size;
    segment->idle = sgtm_file_time() - ((int64_t) sb->st_mtim.tv_sec * 1000
                                        + sb->st_mtim.tv_nsec / 1000000);

    /* a clock that was set back */

    if (segment->idle < 0) {
        segment->idle = INT64_MAX;
    }
}


void
sgtm_segment_close(sgtm_segment_t *segment)
{
    if (segment->fd != -1) {
        (void) close(segment->fd);
        segment->fd = -1;
    }
}


int
sgtm_segment_next(const char *dir, sgtm_segment_t *segment, char *text,
    size_t len)
{
    int  rc;

    memset(&segment->next, 0, sizeof(sgtm_group_t));

    if (segment->done >= segment->size) {
        return 0;
    }

    rc = sgtm_segment_header(segment, segment->done, &segment->next);

    if (rc == 0) {
        return sgtm_segment_mend(dir, segment, text, len);
    }

    return rc == -1 ? -1 : 0;
}


int
sgtm_segment_header(const sgtm_segment_t *segment, int64_t offset,
    sgtm_group_t *group)
{
    ssize_t       n;
    sgtm_group_t  read;

    n = sgtm_segment_pread(segment->fd, &read, sizeof(sgtm_group_t), offset);

    if (n == -1) {
        return -1;
    }

    if (n != (ssize_t) sizeof(sgtm_group_t)
        || read.magic != SGTM_GROUP_MAGIC
        || read.size % 8
        || read.size < SGTM_SEGMENT_LEAST
        || read.size > SGTM_JOURNAL_GROUP
        || read.size > (uint64_t) (segment->size - offset)
        || read.hits == 0
        || read.hits > read.size / sizeof(sgtm_entry_t))
    {
        return 0;
    }

    *group = read;

    return 1;
}


ssize_t
sgtm_segment_pread(int fd, void *buf, size_t len, int64_t offset)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < len; done += (size_t) n) {

        n = pread(fd, (char *) buf + done, len - done,
                  offset + (int64_t) done);

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        if (n == -1) {
            return -1;
        }

        if (n == 0) {
            break;
        }
    }

    return (ssize_t) done;
}


int
sgtm_segment_read(const sgtm_segment_t *segment, unsigned char *buffer)
{
    ssize_t        n;
    uint64_t       size, sum[2];
    sgtm_group_t   group;

    size = segment->next.size;

    n = sgtm_segment_pread(segment->fd, buffer, size, segment->done);

    if (n == -1) {
        return -1;
    }

    if (n != (ssize_t) size) {
        return 0;
    }

    /* the sums were made with zeros in their place */

    memcpy(&group, buffer, sizeof(sgtm_group_t));
    memset(buffer + offsetof(sgtm_group_t, sum), 0, sizeof(group.sum));

    sum[0] = 0;
    sum[1] = 0;

    sgtm_journal_sum(sum, buffer, size - SGTM_SEGMENT_END);

    return sum[0] == group.sum[0] && sum[1] == group.sum[1]
           && memcmp(buffer + size - SGTM_SEGMENT_END, &size,
                     SGTM_SEGMENT_END) == 0;
}


void
sgtm_segment_advance(sgtm_segment_t *segment)
{
    segment->done += (int64_t) segment->next.size;
    segment->hits = segment->next.all_hits;
    segment->events = segment->next.all_events;
}


unsigned char *
sgtm_segment_record(unsigned char *p, const unsigned char *end,
    sgtm_record_t *record)
{
    size_t          i, left;
    sgtm_str_t     *strings[SGTM_ENTRY_STRINGS];
    sgtm_entry_t    entry;
    unsigned char  *start;

    start = p;
    left = (size_t) (end - p);

    if (left < sizeof(sgtm_entry_t)) {
        return NULL;
    }

    memcpy(&entry, p, sizeof(sgtm_entry_t));

    p += sizeof(sgtm_entry_t);
    left -= sizeof(sgtm_entry_t);

    memset(record, 0, sizeof(sgtm_record_t));

    record->time = entry.time;
    record->client = entry.client;
    record->attempts = entry.attempts;
    record->events = entry.events;

    sgtm_journal_strings(record, strings);

    for (i = 0; i < SGTM_ENTRY_STRINGS; i++) {

        if (entry.len[i] > left) {
            return NULL;
        }

        strings[i]->data = p;
        strings[i]->len = entry.len[i];

        p += entry.len[i];
        left -= entry.len[i];
    }

    i = (size_t) (p - start) % 8;

    if (i != 0) {
        if (8 - i > left) {
            return NULL;
        }

        p += 8 - i;
    }

    return p;
}


int
sgtm_segment_count(sgtm_segment_t *segment, sgtm_store_counts_t *counts)
{
    ssize_t       n;
    uint64_t      size;
    sgtm_group_t  last, first;

    if (segment->done >= segment->size) {
        return 0;
    }

    n = sgtm_segment_pread(segment->fd, &size, SGTM_SEGMENT_END,
                           segment->size - (int64_t) SGTM_SEGMENT_END);

    if (n != (ssize_t) SGTM_SEGMENT_END
        || size > (uint64_t) (segment->size - segment->done))
    {
        return n == -1 ? -1 : 0;
    }

    n = sgtm_segment_header(segment, segment->size - (int64_t) size, &last);

    if (n == 1) {
        n = sgtm_segment_header(segment, segment->done, &first);
    }

    if (n != 1) {
        return (int) n;
    }

    counts->hits += (int64_t) (last.all_hits - segment->hits);
    counts->events += (int64_t) (last.all_events - segment->events);

    if (counts->oldest == 0 || first.oldest < counts->oldest) {
        counts->oldest = first.oldest;
    }

    return 0;
}


int
sgtm_segment_remove(const char *dir, sgtm_segment_t *segment)
{
    int   rc;
    char  path[4096];

    if (flock(segment->fd, LOCK_EX|LOCK_NB) == -1) {
        return errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
    }

    rc = sgtm_segment_fstat(segment);

    if (rc == 0 && segment->size == segment->done) {
        (void) snprintf(path, sizeof(path), "%s/%s", dir, segment->name);

        rc = (unlink(path) == -1 && errno != ENOENT) ? -1 : 1;
    }

    (void) flock(segment->fd, LOCK_UN);

    return rc;
}
