
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
#include <time.h>
#include <unistd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "sgtm_file.h"
#include "sgtm_store.h"


/* what is left free on a small or a large disk */
#define SGTM_FILE_KEEP_PART  16
#define SGTM_FILE_KEEP       (16 * 1024 * 1024)


static int64_t sgtm_file_us(clockid_t clock);


int
sgtm_file_rc(int err)
{
    switch (err) {

    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SGTM_STORE_FULL;

    case EROFS:
    case EACCES:
    case EPERM:
        return SGTM_STORE_READONLY;

    default:
        return SGTM_STORE_FAILED;
    }
}


int
sgtm_file_fail(char *text, size_t size, int err, const char *call,
    const char *name)
{
    (void) snprintf(text, size, "%s() \"%s\": %s (%d)", call, name,
                    strerror(err), err);

    return sgtm_file_rc(err);
}


int
sgtm_file_make(const char *dir, const char *name, int *fd)
{
    int          err;
    struct stat  sb;

    *fd = open(name, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (*fd == -1) {
        return errno == EEXIST ? 0 : -1;
    }

    if (geteuid() != 0
        || (stat(dir, &sb) == 0 && fchown(*fd, sb.st_uid, sb.st_gid) == 0))
    {
        return 0;
    }

    err = errno;

    (void) close(*fd);
    *fd = -1;

    errno = err;

    return -1;
}


int
sgtm_file_sync_dir(const char *dir)
{
    int  fd, rc, err;

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    rc = fsync(fd);
    err = errno;

    (void) close(fd);

    errno = err;

    return rc;
}


int
sgtm_file_disk(const char *dir, int64_t *left, int64_t *keep)
{
    struct statvfs  fs;

    if (statvfs(dir, &fs) == -1) {
        return -1;
    }

    *left = (int64_t) fs.f_bavail * (int64_t) fs.f_frsize;
    *keep = (int64_t) fs.f_blocks * (int64_t) fs.f_frsize
            / SGTM_FILE_KEEP_PART;

    if (*keep > SGTM_FILE_KEEP) {
        *keep = SGTM_FILE_KEEP;
    }

    return 0;
}


int
sgtm_file_random(uint64_t *number)
{
    ssize_t  n;

    do {
        n = getrandom(number, sizeof(uint64_t), 0);
    } while (n == -1 && errno == EINTR);

    return n == (ssize_t) sizeof(uint64_t) ? 0 : -1;
}


int64_t
sgtm_file_time(void)
{
    return sgtm_file_us(CLOCK_REALTIME) / 1000;
}


int64_t
sgtm_file_time_us(void)
{
    return sgtm_file_us(CLOCK_REALTIME);
}


int64_t
sgtm_file_clock(void)
{
    return sgtm_file_us(CLOCK_MONOTONIC) / 1000;
}


static int64_t
sgtm_file_us(clockid_t clock)
{
    struct timespec  ts;

    (void) clock_gettime(clock, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
