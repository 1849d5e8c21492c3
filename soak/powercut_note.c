
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The notes of a power cut: what was in the files before it was changed.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "powercut_note.h"


static int cut_begin(void);
static cut_entry_t *cut_note(int kind, int file, size_t data);
static void cut_noted(cut_entry_t *e);
static void cut_compact(void);
static size_t cut_read(int fd, void *buf, size_t len, uint64_t offset);


cut_log_t      *cut_log;

static char     cut_path[4096];
static size_t   cut_path_len;
static int      cut_begun;


/*
 * Before main(), so that all that the program starts shares the mapping; what
 * is called before that has begun sees no log.
 */

__attribute__((constructor))
static int
cut_begin(void)
{
    int                   fd, new;
    char                 *path, name[4096 + 16];
    pthread_mutexattr_t   attr;

    if (cut_begun) {
        return cut_log != NULL;
    }

    cut_begun = 1;
    path = getenv("POWERCUT");

    if (path == NULL || strlen(path) >= sizeof(cut_path)) {
        return 0;
    }

    strcpy(cut_path, path);
    cut_path_len = strlen(path);

    (void) snprintf(name, sizeof(name), "%s.graves", path);
    (void) mkdir(name, 0755);

    (void) snprintf(name, sizeof(name), "%s.cut", path);

    new = 1;
    fd = open(name, O_RDWR|O_CREAT|O_EXCL, 0644);

    if (fd == -1 && errno == EEXIST) {
        new = 0;
        fd = open(name, O_RDWR);
    }

    if (fd == -1 || (new && ftruncate(fd, CUT_SIZE) == -1)) {
        cut_die(name);
    }

    cut_log = mmap(NULL, CUT_SIZE, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (cut_log == MAP_FAILED) {
        cut_die("mmap");
    }

    (void) close(fd);

    if (new) {
        (void) pthread_mutexattr_init(&attr);
        (void) pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        (void) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
        (void) pthread_mutex_init(&cut_log->mutex, &attr);

        cut_log->nfiles = 1;
        cut_log->magic = CUT_MAGIC;
    }

    return 1;
}


void
cut_lock(void)
{
    if (pthread_mutex_lock(&cut_log->mutex) == EOWNERDEAD) {
        (void) pthread_mutex_consistent(&cut_log->mutex);
    }
}


void
cut_unlock(void)
{
    (void) pthread_mutex_unlock(&cut_log->mutex);
}


void
cut_die(const char *what)
{
    (void) fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
    abort();
}


int
cut_find(const char *name)
{
    uint32_t  i;

    for (i = 1; i < cut_log->nfiles; i++) {
        if (strcmp(cut_log->files[i].name, name) == 0) {
            return (int) i;
        }
    }

    return CUT_NONE;
}


int
cut_find_ino(uint64_t ino)
{
    uint32_t  i;

    for (i = 1; i < cut_log->nfiles; i++) {
        if (cut_log->files[i].ino == ino) {
            return (int) i;
        }
    }

    return CUT_NONE;
}


int
cut_add(const char *name, uint64_t ino)
{
    int          old;
    cut_file_t  *file;

    /* a number of an inode may come again */

    old = cut_find_ino(ino);
    if (old != CUT_NONE) {
        cut_log->files[old].ino = 0;
    }

    if (cut_log->nfiles == CUT_FILES || strlen(name) >= CUT_NAME) {
        errno = ENOSPC;
        cut_die("too many files");
    }

    file = &cut_log->files[cut_log->nfiles];

    file->ino = ino;
    file->synced = 0;
    strcpy(file->name, name);

    return (int) cut_log->nfiles++;
}


const char *
cut_name(const char *path)
{
    size_t       len;
    const char  *name;

    if (!cut_begin() || path == NULL
        || strncmp(path, cut_path, cut_path_len) != 0)
    {
        return NULL;
    }

    name = path + cut_path_len;

    while (*name == '/') {
        name++;
    }

    if (*name != '\0' && path[cut_path_len] != '/') {
        return NULL;
    }

    len = strlen(name);

    if (len > 4 && strcmp(name + len - 4, "-shm") == 0) {
        return NULL;
    }

    return name;
}


/* room for an entry, which counts from the moment "used" says so */

static cut_entry_t *
cut_note(int kind, int file, size_t data)
{
    size_t        size;
    cut_entry_t  *e;

    size = sizeof(cut_entry_t) + cut_align(data);

    if (cut_log->used + size > CUT_ROOM) {
        cut_compact();
    }

    if (cut_log->used + size > CUT_ROOM) {
        errno = ENOSPC;
        cut_die("too much was not synced");
    }

    e = (cut_entry_t *) (void *) (cut_entries(cut_log) + cut_log->used);

    memset(e, 0, sizeof(cut_entry_t));

    e->seq = ++cut_log->seq;
    e->kind = (uint16_t) kind;
    e->file = (uint16_t) file;
    e->data = (uint32_t) data;

    return e;
}


static void
cut_noted(cut_entry_t *e)
{
    cut_log->used += cut_entry_size(e);

    if (cut_log->used > cut_log->peak) {
        cut_log->peak = cut_log->used;
    }
}


static void
cut_compact(void)
{
    char         *p, *to, *end;
    size_t        size;
    cut_entry_t  *e;

    p = cut_entries(cut_log);
    to = p;
    end = p + cut_log->used;

    while (p < end) {
        e = (cut_entry_t *) (void *) p;
        size = cut_entry_size(e);

        if (cut_is_live(cut_log, e)) {
            memmove(to, p, size);
            to += size;
        }

        p += size;
    }

    cut_log->used = (uint64_t) (to - cut_entries(cut_log));
}


void
cut_note_write(int fd, int file, uint64_t offset, size_t len)
{
    size_t        old;
    struct stat   st;
    cut_entry_t  *e;

    if (fstat(fd, &st) == -1) {
        cut_die("fstat");
    }

    old = 0;

    if ((uint64_t) st.st_size > offset) {
        old = (size_t) st.st_size - offset;
        old = (old < len) ? old : len;
    }

    e = cut_note(CUT_WRITE, file, old);

    e->size = (uint64_t) st.st_size;
    e->offset = offset;
    e->len = (uint32_t) len;

    if (cut_read(fd, e + 1, old, offset) != old) {
        cut_die("read");
    }

    cut_log->writes++;
    cut_noted(e);
}


void
cut_note_truncate(int fd, int file, uint64_t to)
{
    size_t        old;
    struct stat   st;
    cut_entry_t  *e;

    if (fstat(fd, &st) == -1) {
        cut_die("fstat");
    }

    old = ((uint64_t) st.st_size > to) ? (size_t) st.st_size - to : 0;

    e = cut_note(CUT_TRUNCATE, file, old);

    e->size = (uint64_t) st.st_size;
    e->offset = to;

    if (cut_read(fd, e + 1, old, to) != old) {
        cut_die("read");
    }

    cut_noted(e);
}


void
cut_note_name(int kind, int file, const char *one, const char *two)
{
    char         *p;
    size_t        len;
    cut_entry_t  *e;

    len = strlen(one) + 1;

    e = cut_note(kind, file, len + strlen(two) + 1);

    p = (char *) (e + 1);
    memcpy(p, one, len);
    strcpy(p + len, two);

    cut_noted(e);
}


void
cut_bury(const char *path, const char *name)
{
    int          file;
    char         grave[sizeof(cut_path) + 64];
    struct stat  st;

    if (stat(path, &st) == -1) {
        return;
    }

    file = cut_find(name);

    if (file == CUT_NONE) {
        file = cut_add(name, st.st_ino);
    }

    (void) snprintf(grave, sizeof(grave), "%s.graves/%llu", cut_path,
                    (unsigned long long) cut_log->seq + 1);

    if (link(path, grave) == -1) {
        cut_die(grave);
    }

    cut_note_name(CUT_UNLINK, file, name, "");

    cut_log->files[file].name[0] = '\0';
}


static size_t
cut_read(int fd, void *buf, size_t len, uint64_t offset)
{
    int      own;
    char     name[64];
    size_t   got;
    ssize_t  n;

    own = -1;

    for (got = 0; got < len; got += (size_t) n) {

        n = pread(own == -1 ? fd : own, (char *) buf + got, len - got,
                  (off_t) (offset + got));

        if (n == -1 && errno == EBADF && own == -1) {
            (void) snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
            own = open(name, O_RDONLY);
            n = 0;

            if (own != -1) {
                continue;
            }
        }

        if (n <= 0) {
            break;
        }
    }

    if (own != -1) {
        (void) close(own);
    }

    return got;
}
