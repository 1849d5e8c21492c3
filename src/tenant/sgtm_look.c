
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#define _POSIX_C_SOURCE  200809L

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../hit/sgtm_siphash.h"
#include "sgtm_look.h"


static void sgtm_look_add(sgtm_look_walk_t *walk, const char *name, int error,
    const struct stat *sb);
static int sgtm_look_is_json(const char *name);


void
sgtm_look_begin(sgtm_look_walk_t *walk, const char *path)
{
    memset(walk, 0, sizeof(sgtm_look_walk_t));

    walk->path = path;
}


int
sgtm_look_step(sgtm_look_walk_t *walk, const char **name)
{
    struct stat     sb;
    struct dirent  *entry;

    *name = NULL;

    if (!walk->begun) {
        walk->begun = 1;

        if (stat(walk->path, &sb) == -1) {
            sgtm_look_add(walk, "", errno, NULL);
            return 0;
        }

        if (!S_ISDIR(sb.st_mode)) {
            sgtm_look_add(walk, "", 0, &sb);
            return 0;
        }

        walk->directory = 1;
        walk->dir = opendir(walk->path);

        if (walk->dir == NULL) {
            sgtm_look_add(walk, "", errno, NULL);
            return 0;
        }

        return 1;
    }

    if (walk->dir == NULL) {
        return 0;
    }

    errno = 0;
    entry = readdir(walk->dir);

    if (entry == NULL) {

        if (errno) {
            sgtm_look_add(walk, "", errno, NULL);
        }

        sgtm_look_end(walk);
        return 0;
    }

    if (!sgtm_look_is_json(entry->d_name)) {
        return 1;
    }

    if (fstatat(dirfd(walk->dir), entry->d_name, &sb, 0) == -1) {
        sgtm_look_add(walk, entry->d_name, errno, NULL);
        return 1;
    }

    if (walk->files == SGTM_LOOK_FILES) {
        sgtm_look_add(walk, "", EMFILE, NULL);
        sgtm_look_end(walk);
        return 0;
    }

    sgtm_look_add(walk, entry->d_name, 0, &sb);
    *name = entry->d_name;

    return 1;
}


void
sgtm_look_end(sgtm_look_walk_t *walk)
{
    if (walk->dir != NULL) {
        (void) closedir(walk->dir);
        walk->dir = NULL;
    }
}


/* the order in which a directory tells its files is of no matter */

static void
sgtm_look_add(sgtm_look_walk_t *walk, const char *name, int error,
    const struct stat *sb)
{
    uint64_t        out[2], seen[9];
    sgtm_siphash_t  hash;

    static const unsigned char  key[SGTM_SIPHASH_KEY];

    memset(seen, 0, sizeof(seen));

    if (sb != NULL) {
        seen[0] = (uint64_t) sb->st_dev;
        seen[1] = (uint64_t) sb->st_ino;
        seen[2] = (uint64_t) sb->st_size;
        seen[3] = (uint64_t) sb->st_mtim.tv_sec;
        seen[4] = (uint64_t) sb->st_mtim.tv_nsec;
        seen[5] = (uint64_t) sb->st_ctim.tv_sec;
        seen[6] = (uint64_t) sb->st_ctim.tv_nsec;
        seen[7] = (uint64_t) sb->st_mode;

        walk->size += (uint64_t) sb->st_size;
        walk->files++;

    } else {
        walk->error = error;
    }

    seen[8] = (uint64_t) error;

    sgtm_siphash_init(&hash, key);
    sgtm_siphash_update(&hash, (const unsigned char *) name, strlen(name));
    sgtm_siphash_update(&hash, (const unsigned char *) seen, sizeof(seen));
    sgtm_siphash_final(&hash, out);

    walk->look.sum[0] += out[0];
    walk->look.sum[1] += out[1];
}


/* editors hide what is not finished, by a dot or another ending */

static int
sgtm_look_is_json(const char *name)
{
    size_t  len;

    len = strlen(name);

    return len > 5 && name[0] != '.' && strcmp(name + len - 5, ".json") == 0;
}


int
sgtm_look_same(const sgtm_look_t *one, const sgtm_look_t *two)
{
    return one->sum[0] == two->sum[0] && one->sum[1] == two->sum[1];
}
