
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "sgtm_journal.h"


static int64_t sgtm_journal_database(int dir, const char *name, int *fd,
    int64_t *spare);


int
sgtm_journal_used(const char *name, int *fd, int64_t *used, int64_t *spare)
{
    DIR            *dir;
    struct stat     sb;
    struct dirent  *entry;

    dir = opendir(name);

    if (dir == NULL) {
        return -1;
    }

    *used = sgtm_journal_database(dirfd(dir), SGTM_STORE_FILE, fd, spare);

    for ( ;; ) {
        entry = readdir(dir);

        if (entry == NULL) {
            break;
        }

        if (strncmp(entry->d_name, SGTM_JOURNAL_PREFIX,
                    sizeof(SGTM_JOURNAL_PREFIX) - 1) == 0
            && fstatat(dirfd(dir), entry->d_name, &sb, 0) == 0)
        {
            *used += sgtm_journal_grown((int64_t) sb.st_size);
        }
    }

    (void) closedir(dir);

    return 0;
}


/*
 * By the file's own header, since opening a database takes its time: the page
 * size is at 16, the number of pages at 28, that of free ones at 36
 * (https://www.sqlite.org/fileformat2.html).  It stays open: a close() would
 * take the locks from SQLite that the process has on the file.
 */

static int64_t
sgtm_journal_database(int dir, const char *name, int *fd, int64_t *spare)
{
    int64_t        page, pages, left;
    struct stat    sb, open;
    unsigned char  h[40];

    *spare = 0;

    if (fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) == -1) {
        return 0;
    }

    if (*fd != -1
        && (fstat(*fd, &open) == -1 || open.st_ino != sb.st_ino
            || open.st_dev != sb.st_dev))
    {
        /* it was set aside: whoever has it open is about to close it */

        (void) close(*fd);
        *fd = -1;
    }

    if (*fd == -1) {
        *fd = openat(dir, name, O_RDONLY|O_CLOEXEC|O_NOFOLLOW);
    }

    if (*fd == -1 || pread(*fd, h, sizeof(h), 0) != (ssize_t) sizeof(h)) {
        return 0;
    }

    page = h[16] << 8 | h[17];

    if (page == 1) {
        page = 65536;
    }

    pages = (int64_t) h[28] << 24 | h[29] << 16 | h[30] << 8 | h[31];
    left = (int64_t) h[36] << 24 | h[37] << 16 | h[38] << 8 | h[39];

    if (pages <= left) {
        return 0;
    }

    *spare = left * page;

    return (pages - left) * page;
}
