
/*
 * Copyright (C) the ngx_http_sgtm_module authors
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
#include <sys/stat.h>

#include "sgtm_file.h"
#include "sgtm_journal.h"


/* bytes of a segment: it can be removed once all of it was moved */
#define SGTM_SEGMENT_MAX    (2 * 1024 * 1024)
#define SGTM_SEGMENT_MIN    (64 * 1024)

/* bytes that the least fetch wants to be left, and some more */
#define SGTM_JOURNAL_LEFT   (512 * 1024)

/* ms: how long a measured size of the directory is relied on, at most */
#define SGTM_JOURNAL_SIZED  100

/* new segments, if each is removed before it is locked */
#define SGTM_JOURNAL_TRIES  8

/* more than this is not kept for the next group */
#define SGTM_JOURNAL_BUFFER (1024 * 1024)


struct sgtm_journal_s {
    sgtm_store_conf_t   conf;
    char               *dir;
    char               *path;      /* of the segment; room for any name */
    size_t              dir_len;

    int                 fd;        /* -1: none */
    int64_t             end;       /* bytes of it */
    int64_t             max;
    int64_t             time;      /* of its last group */
    uint64_t            hits;      /* in it */
    uint64_t            events;
    uint64_t            key;

    unsigned char      *buffer;
    size_t              size;

    int64_t             sized;     /* ms, monotonic; 0: not yet */
    int64_t             used;      /* bytes in the directory then */
    int64_t             spare;     /* free pages of the database */
    int64_t             added;     /* by this writer since */
    int                 db;        /* the database, for its size; -1: none */

    char                error[512];
};


static int sgtm_journal_room(sgtm_journal_t *journal, int64_t size);
static int sgtm_journal_write(sgtm_journal_t *journal,
    sgtm_record_t *list, size_t size);
static int sgtm_journal_segment(sgtm_journal_t *journal, int64_t size);
static int sgtm_journal_lock(sgtm_journal_t *journal);
static int sgtm_journal_open(sgtm_journal_t *journal);
static int sgtm_journal_append(sgtm_journal_t *journal, size_t size);
static void sgtm_journal_close(sgtm_journal_t *journal);


sgtm_journal_t *
sgtm_journal_create(const char *dir, const sgtm_store_conf_t *conf)
{
    sgtm_journal_t  *journal;

    journal = calloc(1, sizeof(sgtm_journal_t));

    if (journal == NULL) {
        return NULL;
    }

    journal->conf = *conf;
    journal->fd = -1;
    journal->db = -1;
    journal->max = SGTM_SEGMENT_MAX;

    if (conf->max_size > 0 && conf->max_size / 16 < journal->max) {
        journal->max = conf->max_size / 16;
    }

    if (journal->max < SGTM_SEGMENT_MIN) {
        journal->max = SGTM_SEGMENT_MIN;
    }

    journal->dir_len = strlen(dir);
    journal->dir = strdup(dir);
    journal->path = malloc(journal->dir_len + 1 + SGTM_JOURNAL_NAME);

    if (journal->dir == NULL || journal->path == NULL) {
        sgtm_journal_destroy(journal);
        return NULL;
    }

    return journal;
}


void
sgtm_journal_destroy(sgtm_journal_t *journal)
{
    if (journal == NULL) {
        return;
    }

    sgtm_journal_close(journal);

    if (journal->db != -1) {
        (void) close(journal->db);
    }

    free(journal->buffer);
    free(journal->path);
    free(journal->dir);
    free(journal);
}


const char *
sgtm_journal_error(sgtm_journal_t *journal)
{
    return journal->error;
}


int
sgtm_journal_put(sgtm_journal_t *journal, sgtm_record_t *list)
{
    int             rc;
    size_t          size;
    unsigned char  *p;

    journal->error[0] = '\0';

    if (list == NULL) {
        return SGTM_STORE_OK;
    }

    size = sgtm_group_size(list);

    if (size > SGTM_GROUP_MAX) {
        return sgtm_file_fail(journal->error, sizeof(journal->error), EFBIG,
                              "write", journal->dir);
    }

    rc = sgtm_journal_room(journal, (int64_t) size);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    if (size > journal->size) {
        p = realloc(journal->buffer, size);

        if (p == NULL) {
            return sgtm_file_fail(journal->error, sizeof(journal->error),
                                  ENOMEM, "write", journal->dir);
        }

        journal->buffer = p;
        journal->size = size;
    }

    rc = sgtm_journal_write(journal, list, size);

    if (journal->size > SGTM_JOURNAL_BUFFER) {
        free(journal->buffer);
        journal->buffer = NULL;
        journal->size = 0;
    }

    return rc;
}


/*
 * Whether max_size and the disk have room.  What others write is seen a tenth
 * of a second later, or when this writer has added a 64th of max_size.
 */

static int
sgtm_journal_room(sgtm_journal_t *journal, int64_t size)
{
    int64_t  max, left, keep;

    max = journal->conf.max_size;

    if (journal->sized == 0
        || (max > 0 && journal->added > max / 64)
        || sgtm_file_clock() - journal->sized >= SGTM_JOURNAL_SIZED)
    {
        if (sgtm_journal_used(journal->dir, &journal->db, &journal->used,
                              &journal->spare)
            == -1)
        {
            return sgtm_file_fail(journal->error, sizeof(journal->error),
                                  errno, "opendir", journal->dir);
        }

        journal->added = 0;
        journal->sized = sgtm_file_clock();
    }

    if (max > 0
        && journal->used + sgtm_journal_grown(journal->added + size) > max)
    {
        (void) snprintf(journal->error, sizeof(journal->error),
                        "\"%s\": it has reached its max_size", journal->dir);

        return SGTM_STORE_FULL;
    }

    if (sgtm_file_disk(journal->dir, &left, &keep) == -1) {
        return sgtm_file_fail(journal->error, sizeof(journal->error), errno,
                              "statvfs", journal->dir);
    }

    /* moving it into the database has to work also when the disk is full */

    keep *= 2;

    if (journal->spare < SGTM_JOURNAL_LEFT) {
        keep += SGTM_JOURNAL_LEFT;
    }

    if (left < keep + 3 * size) {
        return sgtm_file_fail(journal->error, sizeof(journal->error), ENOSPC,
                              "write", journal->dir);
    }

    return SGTM_STORE_OK;
}


static int
sgtm_journal_write(sgtm_journal_t *journal, sgtm_record_t *list,
    size_t size)
{
    int           rc;
    sgtm_group_t  group;

    rc = sgtm_journal_segment(journal, (int64_t) size);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    memset(&group, 0, sizeof(sgtm_group_t));

    /* a clock that was set back must not change the order */

    group.time = sgtm_file_time_us();

    if (group.time <= journal->time) {
        group.time = journal->time + 1;
    }

    group.all_hits = journal->hits;
    group.all_events = journal->events;

    sgtm_group_make(journal->buffer, size, list, &group, journal->key);

    rc = sgtm_journal_append(journal, size);

    /* it counts for the segment once it is there */

    if (rc == SGTM_STORE_OK) {
        journal->end += (int64_t) size;
        journal->added += (int64_t) size;
        journal->time = group.time;
        journal->hits = group.all_hits;
        journal->events = group.all_events;
    }

    if (journal->fd != -1) {
        (void) flock(journal->fd, LOCK_UN);
    }

    return rc;
}


/*
 * A segment that is locked and has room for the group.  Whoever has moved all
 * of one may have removed it, or be about to: with the lock held it is seen.
 */

static int
sgtm_journal_segment(sgtm_journal_t *journal, int64_t size)
{
    int  rc, tries;

    if (journal->fd != -1) {

        if (journal->end + size <= journal->max
            && sgtm_journal_lock(journal) == 1)
        {
            return SGTM_STORE_OK;
        }

        sgtm_journal_close(journal);
    }

    /* a new one is removed as well, if it stays empty for a while */

    for (tries = 0; tries < SGTM_JOURNAL_TRIES; tries++) {

        rc = sgtm_journal_open(journal);

        if (rc != SGTM_STORE_OK) {
            sgtm_journal_close(journal);
            return rc;
        }

        rc = sgtm_journal_lock(journal);

        if (rc == 1) {
            return SGTM_STORE_OK;
        }

        if (rc == -1) {
            break;
        }

        sgtm_journal_close(journal);
    }

    rc = sgtm_file_fail(journal->error, sizeof(journal->error),
                        rc == -1 ? errno : ENOENT, "flock", journal->path);

    sgtm_journal_close(journal);

    return rc;
}


/*
 * 1: it has its name still and is as it was left; 0: it is not; -1: errno is
 * set.  The number of links would not tell: a backup may have made some.
 */

static int
sgtm_journal_lock(sgtm_journal_t *journal)
{
    struct stat  file, name;

    while (flock(journal->fd, LOCK_EX) == -1) {
        if (errno != EINTR) {
            return -1;
        }
    }

    if (fstat(journal->fd, &file) == -1) {
        return -1;
    }

    if (stat(journal->path, &name) == -1) {
        return errno == ENOENT ? 0 : -1;
    }

    return file.st_ino == name.st_ino && file.st_dev == name.st_dev
           && file.st_size == journal->end;
}


static int
sgtm_journal_open(sgtm_journal_t *journal)
{
    int64_t  now;

    now = sgtm_file_time_us();

    /* names are in the order of their time */

    if (now <= journal->time) {
        now = journal->time + 1;
    }

    journal->time = now;

    if (sgtm_file_random(&journal->key) == -1) {
        return sgtm_file_fail(journal->error, sizeof(journal->error), errno,
                              "getrandom", journal->dir);
    }

    (void) snprintf(journal->path, journal->dir_len + 1 + SGTM_JOURNAL_NAME,
                    "%s/" SGTM_JOURNAL_PREFIX "%016llx-%016llx", journal->dir,
                    (unsigned long long) now,
                    (unsigned long long) journal->key);

    if (sgtm_file_make(journal->dir, journal->path, &journal->fd) == -1) {
        return sgtm_file_fail(journal->error, sizeof(journal->error), errno,
                              "create", journal->path);
    }

    if (journal->fd == -1) {
        return sgtm_file_fail(journal->error, sizeof(journal->error), EEXIST,
                              "create", journal->path);
    }

    journal->end = 0;
    journal->hits = 0;
    journal->events = 0;

    if (journal->conf.sync == SGTM_STORE_SYNC_ALWAYS
        && sgtm_file_sync_dir(journal->dir) == -1)
    {
        return sgtm_file_fail(journal->error, sizeof(journal->error), errno,
                              "fsync", journal->dir);
    }

    return SGTM_STORE_OK;
}


static int
sgtm_journal_append(sgtm_journal_t *journal, size_t size)
{
    int          err;
    size_t       done;
    ssize_t      n;
    const char  *call;

    call = "write";
    done = 0;

    do {
        n = pwrite(journal->fd, journal->buffer + done, size - done,
                   journal->end + (int64_t) done);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            err = (n == 0) ? ENOSPC : errno;
            goto failed;
        }

        done += (size_t) n;

    } while (done < size);

    if (journal->conf.sync == SGTM_STORE_SYNC_ALWAYS
        && fdatasync(journal->fd) == -1)
    {
        call = "fdatasync";
        err = errno;
        goto failed;
    }

    return SGTM_STORE_OK;

failed:

    /*
     * Nothing of the group may be read as kept, nor be what others follow.  One
     * that was whole may have been moved already: what came in its place would
     * seem to be moved, too.
     */

    if (ftruncate(journal->fd, journal->end) == -1 || done == size) {
        sgtm_journal_close(journal);
    }

    return sgtm_file_fail(journal->error, sizeof(journal->error), err, call,
                          journal->path);
}


/* this lets go of the lock as well */

static void
sgtm_journal_close(sgtm_journal_t *journal)
{
    if (journal->fd != -1) {
        (void) close(journal->fd);
        journal->fd = -1;
    }
}
