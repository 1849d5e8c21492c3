
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * After a power cut that powercut.c simulates, with all its processes dead:
 * takes back what was not synced, and forgets the notes.
 *
 *     powercut <directory> [seed]
 *
 * Without a seed nothing of it was written.  With one the disk has written some
 * of it, in whatever order it liked: of the writes a random part, some of them
 * by sectors, and of the names the first few.  Prints how much was taken back.
 */


#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "powercut.h"


#define CUT_SECTOR  512


static void undo_load(void);
static void undo_collect(void);
static void undo_entry(size_t i);
static void undo_write(cut_entry_t *e, size_t i);
static void undo_name(cut_entry_t *e);
static void undo_again(size_t i);
static int undo_open(unsigned file);
static void undo_put(int fd, const void *data, size_t len, uint64_t offset);
static void undo_clear(void);
static void undo_path(char *to, const char *suffix, const char *name);
static uint64_t undo_random(void);
static void undo_die(const char *what);


static const char      *undo_dir;
static cut_log_t       *undo_log;
static uint64_t         undo_seed;

static cut_entry_t    **undo_entries;  /* those that are live */
static size_t           undo_n;
static unsigned char  **undo_after;    /* what a write had written */
static uint64_t         undo_names;    /* up to here names are kept */

static size_t           undo_bytes;


int
main(int argc, char **argv)
{
    size_t  i;

    if (argc < 2 || argc > 3) {
        (void) fprintf(stderr, "usage: powercut <directory> [seed]\n");
        return 2;
    }

    undo_dir = argv[1];
    undo_seed = (argc == 3) ? strtoull(argv[2], NULL, 10) * 2 + 1 : 0;

    undo_load();
    undo_collect();

    for (i = undo_n; i > 0; i--) {
        undo_entry(i - 1);
    }

    if (undo_seed) {
        for (i = 0; i < undo_n; i++) {
            undo_again(i);
        }
    }

    (void) printf("changes %zu\nbytes %zu\nwrites %llu\nsyncs %llu\n", undo_n,
                  undo_bytes, (unsigned long long) undo_log->writes,
                  (unsigned long long) undo_log->syncs);

    undo_clear();

    return 0;
}


static void
undo_load(void)
{
    int   fd;
    char  path[8192];

    undo_path(path, ".cut", NULL);

    fd = open(path, O_RDWR);

    if (fd == -1) {
        undo_die(path);
    }

    undo_log = mmap(NULL, CUT_SIZE, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (undo_log == MAP_FAILED || undo_log->magic != CUT_MAGIC) {
        undo_die(path);
    }

    (void) close(fd);
}


static void
undo_collect(void)
{
    char         *p, *end;
    size_t        n;
    cut_entry_t  *e;

    p = cut_entries(undo_log);
    end = p + undo_log->used;

    for (n = 0; p < end; n++) {
        e = (cut_entry_t *) (void *) p;
        p += cut_entry_size(e);
    }

    undo_entries = calloc(n + 1, sizeof(cut_entry_t *));
    undo_after = calloc(n + 1, sizeof(unsigned char *));

    if (undo_entries == NULL || undo_after == NULL) {
        undo_die("calloc");
    }

    for (p = cut_entries(undo_log); p < end; p += cut_entry_size(e)) {
        e = (cut_entry_t *) (void *) p;

        if (cut_is_live(undo_log, e)) {
            undo_entries[undo_n++] = e;
        }
    }

    if (undo_seed && undo_n) {
        undo_names = undo_entries[undo_random() % undo_n]->seq;
    }
}


static void
undo_entry(size_t i)
{
    cut_entry_t  *e;

    e = undo_entries[i];

    if (e->kind == CUT_WRITE || e->kind == CUT_TRUNCATE) {
        undo_write(e, i);
        return;
    }

    if (e->seq > undo_names) {
        undo_name(e);
    }
}


static void
undo_write(cut_entry_t *e, size_t i)
{
    int      fd;
    ssize_t  n;

    fd = undo_open(e->file);

    if (fd == -1) {
        return;
    }

    if (undo_seed && e->len) {
        undo_after[i] = calloc(1, e->len);

        n = undo_after[i] ? pread(fd, undo_after[i], e->len,
                                  (off_t) e->offset)
                          : -1;
        if (n == -1) {
            undo_die("pread");
        }
    }

    undo_put(fd, e + 1, e->data, e->offset);

    if (ftruncate(fd, (off_t) e->size) == -1) {
        undo_die("ftruncate");
    }

    (void) close(fd);

    undo_bytes += e->len;
}


static void
undo_name(cut_entry_t *e)
{
    char         path[8192], grave[8192], seq[32];
    cut_file_t  *file;
    const char  *name, *to;

    file = &undo_log->files[e->file];
    name = (const char *) (e + 1);

    undo_path(path, "", name);

    switch (e->kind) {

    case CUT_CREATE:

        if (file->name[0]) {
            undo_path(path, "", file->name);
            (void) unlink(path);
        }

        file->name[0] = '\0';
        return;

    case CUT_RENAME:

        to = name + strlen(name) + 1;
        undo_path(grave, "", to);
        (void) rename(grave, path);
        break;

    default: /* CUT_UNLINK */

        (void) snprintf(seq, sizeof(seq), "%llu",
                        (unsigned long long) e->seq);
        undo_path(grave, ".graves", seq);
        (void) rename(grave, path);
    }

    strcpy(file->name, name);
}


/* a third of the writes is lost, a third has come, of the rest some sectors */

static void
undo_again(size_t i)
{
    int           fd;
    size_t        n, len;
    uint64_t      how;
    cut_entry_t  *e;

    e = undo_entries[i];
    how = undo_random() % 3;

    if (undo_after[i] == NULL || how == 0) {
        return;
    }

    fd = undo_open(e->file);

    if (fd == -1) {
        return;
    }

    for (n = 0; n < e->len; n += len) {
        len = e->len - n;
        len = (len < CUT_SECTOR) ? len : CUT_SECTOR;

        if (how == 1 || undo_random() % 2) {
            undo_put(fd, undo_after[i] + n, len, e->offset + n);
            undo_bytes -= len;
        }
    }

    (void) close(fd);
}


static int
undo_open(unsigned file)
{
    char  path[8192];

    if (undo_log->files[file].name[0] == '\0') {
        return -1;
    }

    undo_path(path, "", undo_log->files[file].name);

    return open(path, O_RDWR);
}


static void
undo_put(int fd, const void *data, size_t len, uint64_t offset)
{
    if (len && pwrite(fd, data, len, (off_t) offset) != (ssize_t) len) {
        undo_die("pwrite");
    }
}


/* shared memory, the graves and the notes */

static void
undo_clear(void)
{
    DIR            *dir;
    char            path[8192];
    size_t          len;
    unsigned        graves;
    struct dirent  *de;

    for (graves = 0; graves < 2; graves++) {
        undo_path(path, graves ? ".graves" : "", NULL);
        dir = opendir(path);

        while (dir && (de = readdir(dir)) != NULL) {
            len = strlen(de->d_name);

            if (graves
                || (len > 4 && strcmp(de->d_name + len - 4, "-shm") == 0))
            {
                undo_path(path, graves ? ".graves" : "", de->d_name);
                (void) unlink(path);
            }
        }

        if (dir) {
            (void) closedir(dir);
        }
    }

    undo_path(path, ".graves", NULL);
    (void) rmdir(path);

    undo_path(path, ".cut", NULL);

    if (unlink(path) == -1) {
        undo_die(path);
    }
}


static void
undo_path(char *to, const char *suffix, const char *name)
{
    (void) snprintf(to, 8192, "%s%s%s%s", undo_dir, suffix, name ? "/" : "",
                    name ? name : "");
}


static uint64_t
undo_random(void)
{
    undo_seed = undo_seed * 6364136223846793005ull + 1442695040888963407ull;

    return undo_seed >> 33;
}


static void
undo_die(const char *what)
{
    (void) fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
    exit(1);
}
