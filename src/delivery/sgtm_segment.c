
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


static int sgtm_segment_add(int dir, sgtm_segment_t **segments, size_t *n,
    size_t *room, const char *name);
static void sgtm_segment_stat(sgtm_segment_t *segment, const struct stat *sb);
static int sgtm_segment_compare(const void *one, const void *two);
static int sgtm_segment_last(const sgtm_segment_t *segment,
    const sgtm_group_t *first, sgtm_group_t *last);


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
    char                 again[SGTM_JOURNAL_NAME];
    struct stat          sb;
    sgtm_segment_t      *segment;
    unsigned long long   time, key;

    /* what is not exactly such a name is somebody else's */

    if (sscanf(name, SGTM_JOURNAL_PREFIX "%16llx-%16llx", &time, &key) != 2) {
        return 0;
    }

    (void) snprintf(again, sizeof(again), SGTM_JOURNAL_PREFIX "%016llx-%016llx",
                    time, key);

    if (strcmp(name, again) != 0 || time > INT64_MAX
        || fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) == -1
        || !S_ISREG(sb.st_mode))
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
    segment->key = key;
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
    segment->age = (sgtm_file_time_us() - segment->time) / 1000;

    /* a clock that was set back */

    if (segment->idle < 0) {
        segment->idle = INT64_MAX;
    }

    if (segment->age < 0) {
        segment->age = INT64_MAX;
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
        || !sgtm_group_is(&read, segment->key)
        || read.size > (uint64_t) (segment->size - offset))
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
    ssize_t  n;

    n = sgtm_segment_pread(segment->fd, buffer, segment->next.size,
                           segment->done);

    if (n == -1) {
        return -1;
    }

    return n == (ssize_t) segment->next.size
           && memcmp(buffer, &segment->next, sizeof(sgtm_group_t)) == 0
           && sgtm_group_is_sound(buffer, segment->key);
}


void
sgtm_segment_advance(sgtm_segment_t *segment)
{
    segment->done += (int64_t) segment->next.size;
    segment->hits = segment->next.all_hits;
    segment->events = segment->next.all_events;
}


int
sgtm_segment_count(const sgtm_segment_t *segment, sgtm_store_counts_t *counts)
{
    int           rc;
    sgtm_group_t  first, last;

    if (segment->done >= segment->size) {
        return 0;
    }

    rc = sgtm_segment_header(segment, segment->done, &first);

    if (rc == 1) {
        rc = sgtm_segment_last(segment, &first, &last);
    }

    if (rc != 1) {
        return rc;
    }

    counts->hits += (int64_t) (last.all_hits - segment->hits);
    counts->events += (int64_t) (last.all_events - segment->events);

    if (counts->oldest == 0 || first.oldest < counts->oldest) {
        counts->oldest = first.oldest;
    }

    return 0;
}


/* by what is at its end, or from group to group if one is being written */

static int
sgtm_segment_last(const sgtm_segment_t *segment, const sgtm_group_t *first,
    sgtm_group_t *last)
{
    int       rc;
    int64_t   at;
    ssize_t   n;
    uint64_t  size;

    n = sgtm_segment_pread(segment->fd, &size, SGTM_GROUP_END,
                           segment->size - (int64_t) SGTM_GROUP_END);

    if (n == -1) {
        return -1;
    }

    if (n == (ssize_t) SGTM_GROUP_END
        && size <= (uint64_t) (segment->size - segment->done))
    {
        rc = sgtm_segment_header(segment, segment->size - (int64_t) size,
                                 last);

        if (rc != 0) {
            return rc;
        }
    }

    *last = *first;
    at = segment->done + (int64_t) first->size;

    do {
        rc = sgtm_segment_header(segment, at, last);
        at += (int64_t) last->size;
    } while (rc == 1);

    return rc == -1 ? -1 : 1;
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

    if (rc == 0 && segment->size <= segment->done) {
        (void) snprintf(path, sizeof(path), "%s/%s", dir, segment->name);

        rc = (unlink(path) == -1 && errno != ENOENT) ? -1 : 1;

        /* its writer has it open still, until the next group comes */

        if (rc == 1 && ftruncate(segment->fd, 0) == -1) {
            rc = -1;
        }
    }

    (void) flock(segment->fd, LOCK_UN);

    return rc;
}


int
sgtm_segment_passes(int err)
{
    return err == EMFILE || err == ENFILE || err == ENOMEM;
}
