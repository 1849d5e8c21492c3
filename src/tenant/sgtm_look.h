
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a file looks like from outside, or a directory's files of the form
 * "*.json": whether it may have changed since.  Plain C11 without nginx.
 */


#ifndef _SGTM_LOOK_H_INCLUDED_
#define _SGTM_LOOK_H_INCLUDED_


#include <dirent.h>

#include "../hit/sgtm_hit.h"


/* files that a directory may have */
#define SGTM_LOOK_FILES  10000


/*
 * The same two words: the same names, places on the disk, sizes and times; or
 * the same reason why they can't be seen.
 */

typedef struct {
    uint64_t        sum[2];
} sgtm_look_t;


typedef struct {
    sgtm_look_t     look;          /* once it is at its end */
    uint64_t        size;          /* bytes of all files */
    size_t          files;
    int             error;         /* errno; 0: all could be seen */
    unsigned        directory:1;

    const char     *path;
    DIR            *dir;
    unsigned        begun:1;
} sgtm_look_walk_t;


/* the path has to stay */
void sgtm_look_begin(sgtm_look_walk_t *walk, const char *path);

/*
 * Looks at one file more, or begins; blocks for as long as a file system takes
 * for it.  Returns 1 as long as there is more.  name is set to a directory's
 * file until the next call, to NULL if it was another one.
 */
int sgtm_look_step(sgtm_look_walk_t *walk, const char **name);

/* frees what there is, at the end or before */
void sgtm_look_end(sgtm_look_walk_t *walk);

int sgtm_look_same(const sgtm_look_t *one, const sgtm_look_t *two);


#endif /* _SGTM_LOOK_H_INCLUDED_ */
