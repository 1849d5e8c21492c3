
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the spool does with files, whichever they are.  Plain C11 without
 * nginx.
 */


#ifndef _SGTM_FILE_H_INCLUDED_
#define _SGTM_FILE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* what an error of a system call is to the spool: an sgtm_store_rc_e */
int sgtm_file_rc(int err);

/* the same, and its text, such as: open() "/a/b": Permission denied (13) */
int sgtm_file_fail(char *text, size_t size, int err, const char *call,
    const char *name);

/*
 * Makes a file that only its owner reads and writes; made by root it belongs to
 * the owner of the directory, so that a tool run by root does not lock the
 * workers out.  0, with *fd -1 if there is one of that name; -1: errno is set.
 */
int sgtm_file_make(const char *dir, const char *name, int *fd);

/* brings a directory's names to the disk; -1: errno is set */
int sgtm_file_sync_dir(const char *dir);

/*
 * Bytes that are left on the disk of a directory, and those of them that are
 * to stay so that deleting works; -1: errno is set.
 */
int sgtm_file_disk(const char *dir, int64_t *left, int64_t *keep);

/* a number that nobody can guess; -1: errno is set */
int sgtm_file_random(uint64_t *number);

/* ms and us since the epoch; ms of a clock that nobody sets */
int64_t sgtm_file_time(void);
int64_t sgtm_file_time_us(void);
int64_t sgtm_file_clock(void);


#endif /* _SGTM_FILE_H_INCLUDED_ */
