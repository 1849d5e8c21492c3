
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A power cut, simulated.  Preloaded into a program, this notes what the
 * program changes in the files of one directory before the change is made, and
 * forgets it when the program has synced the file.  After all processes were
 * killed, "powercut" (powercut_undo.c) takes back what is still noted: what a
 * disk would have lost.
 *
 *     POWERCUT=<directory> LD_PRELOAD=powercut.so program
 *
 * The directory need not be there yet; its path must be a real one (no links).
 * The notes are in "<directory>.cut", files that were unlinked in
 * "<directory>.graves".  Files of shared memory ("-shm") are not noted: they
 * are never on a disk.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "powercut_note.h"


#define CUT_FDS  65536

#define cut_call(type, name, args)                                            \
    static type (*real) args;                                                 \
    if (real == NULL) {                                                       \
        real = (type (*) args) (uintptr_t) dlsym(RTLD_NEXT, name);            \
    }


static int cut_file(int fd);
static int cut_open(int dir, const char *path, int flags, mode_t mode);
static int cut_opened(int dir, const char *path, int flags, mode_t mode);
static int cut_sync(int fd, int (*real)(int));


static int16_t  cut_fds[CUT_FDS];      /* number of the file plus 1 */


static int
cut_file(int fd)
{
    return (cut_log && fd >= 0 && fd < CUT_FDS) ? cut_fds[fd] - 1 : CUT_NONE;
}


static int
cut_open(int dir, const char *path, int flags, mode_t mode)
{
    cut_call(int, "openat", (int, const char *, int, ...))

    return real(dir, path, flags, mode);
}


static int
cut_opened(int dir, const char *path, int flags, mode_t mode)
{
    int           fd, file, there;
    struct stat   st;
    const char   *name;

    name = cut_name(path);

    if (name == NULL) {
        return cut_open(dir, path, flags, mode);
    }

    cut_lock();

    there = (stat(path, &st) == 0);
    fd = cut_open(dir, path, flags & ~O_TRUNC, mode);

    if (fd < 0 || fd >= CUT_FDS || fstat(fd, &st) == -1) {
        cut_unlock();
        return fd;
    }

    file = CUT_DIR;

    if (*name) {
        file = there ? cut_find_ino(st.st_ino) : CUT_NONE;

        if (file == CUT_NONE) {
            file = cut_add(name, st.st_ino);
        }

        if (!there) {
            cut_note_name(CUT_CREATE, file, name, "");
        }
    }

    cut_fds[fd] = (int16_t) (file + 1);
    cut_unlock();

    if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY
        && ftruncate(fd, 0) == -1)
    {
        cut_die("ftruncate");
    }

    return fd;
}


#define cut_open_mode(flags, mode)                                            \
    {                                                                         \
        va_list  args;                                                        \
                                                                              \
        mode = 0;                                                             \
                                                                              \
        if ((flags) & (O_CREAT|O_TMPFILE)) {                                  \
            va_start(args, flags);                                            \
            mode = va_arg(args, mode_t);                                      \
            va_end(args);                                                     \
        }                                                                     \
    }


int
open(const char *path, int flags, ...)
{
    mode_t  mode;

    cut_open_mode(flags, mode)

    return cut_opened(AT_FDCWD, path, flags, mode);
}


int
open64(const char *path, int flags, ...)
{
    mode_t  mode;

    cut_open_mode(flags, mode)

    return cut_opened(AT_FDCWD, path, flags, mode);
}


int
openat(int dir, const char *path, int flags, ...)
{
    mode_t  mode;

    cut_open_mode(flags, mode)

    return cut_opened(dir, path, flags, mode);
}


int
openat64(int dir, const char *path, int flags, ...)
{
    mode_t  mode;

    cut_open_mode(flags, mode)

    return cut_opened(dir, path, flags, mode);
}


int
close(int fd)
{
    cut_call(int, "close", (int))

    if (fd >= 0 && fd < CUT_FDS) {
        cut_fds[fd] = 0;
    }

    return real(fd);
}


/* the note and the write are one step for the other processes */

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    int      file;
    ssize_t  n;

    cut_call(ssize_t, "pwrite64", (int, const void *, size_t, off_t))

    file = cut_file(fd);

    if (file == CUT_NONE) {
        return real(fd, buf, len, offset);
    }

    cut_lock();
    cut_note_write(fd, file, (uint64_t) offset, len);
    n = real(fd, buf, len, offset);
    cut_unlock();

    return n;
}


ssize_t
pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
    return pwrite(fd, buf, len, offset);
}


ssize_t
write(int fd, const void *buf, size_t len)
{
    int      file;
    off_t    offset;
    ssize_t  n;

    cut_call(ssize_t, "write", (int, const void *, size_t))

    file = cut_file(fd);

    if (file == CUT_NONE) {
        return real(fd, buf, len);
    }

    cut_lock();

    offset = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END)
                                             : lseek(fd, 0, SEEK_CUR);

    cut_note_write(fd, file, (uint64_t) offset, len);
    n = real(fd, buf, len);
    cut_unlock();

    return n;
}


ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    int      i;
    ssize_t  rc, sum;

    cut_call(ssize_t, "writev", (int, const struct iovec *, int))

    if (cut_file(fd) == CUT_NONE) {
        return real(fd, iov, n);
    }

    for (i = 0, sum = 0; i < n; i++) {
        rc = write(fd, iov[i].iov_base, iov[i].iov_len);

        if (rc == -1) {
            return sum ? sum : -1;
        }

        sum += rc;
    }

    return sum;
}


int
ftruncate(int fd, off_t size)
{
    int  file, rc;

    cut_call(int, "ftruncate64", (int, off_t))

    file = cut_file(fd);

    if (file == CUT_NONE) {
        return real(fd, size);
    }

    cut_lock();
    cut_note_truncate(fd, file, (uint64_t) size);
    rc = real(fd, size);
    cut_unlock();

    return rc;
}


int
ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}


/* what others write while the disk works is not part of it */

static int
cut_sync(int fd, int (*real)(int))
{
    int       file, rc;
    uint64_t  seq;

    file = cut_file(fd);

    if (file == CUT_NONE) {
        return real(fd);
    }

    cut_lock();
    seq = cut_log->seq;
    cut_unlock();

    rc = real(fd);

    if (rc == 0) {
        cut_lock();

        if (cut_log->files[file].synced < seq) {
            cut_log->files[file].synced = seq;
        }

        cut_log->syncs++;
        cut_unlock();
    }

    return rc;
}


int
fsync(int fd)
{
    cut_call(int, "fsync", (int))

    return cut_sync(fd, real);
}


int
fdatasync(int fd)
{
    cut_call(int, "fdatasync", (int))

    return cut_sync(fd, real);
}


int
unlink(const char *path)
{
    int          rc;
    const char  *name;

    cut_call(int, "unlink", (const char *))

    name = cut_name(path);

    if (name == NULL || *name == '\0') {
        return real(path);
    }

    cut_lock();
    cut_bury(path, name);
    rc = real(path);
    cut_unlock();

    return rc;
}


int
rename(const char *from, const char *to)
{
    int           file, rc;
    struct stat   st;
    const char   *one, *two;

    cut_call(int, "rename", (const char *, const char *))

    one = cut_name(from);
    two = cut_name(to);

    if (one == NULL || two == NULL || stat(from, &st) == -1) {
        return real(from, to);
    }

    cut_lock();

    cut_bury(to, two);

    file = cut_find(one);

    if (file == CUT_NONE) {
        file = cut_add(one, st.st_ino);
    }

    cut_note_name(CUT_RENAME, file, one, two);

    strcpy(cut_log->files[file].name, two);

    rc = real(from, to);
    cut_unlock();

    return rc;
}
