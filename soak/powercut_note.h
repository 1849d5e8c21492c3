
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The notes that the shim takes.  All but cut_name() and cut_die() are called
 * with the lock held.
 */


#ifndef _POWERCUT_NOTE_H_INCLUDED_
#define _POWERCUT_NOTE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "powercut.h"


#define CUT_NONE  (-1)


/* shared by all processes; NULL: nothing is noted */
extern cut_log_t  *cut_log;


/*
 * Whoever held the lock may have been killed: what it noted is whole or not
 * there.
 */
void cut_lock(void);
void cut_unlock(void);

/* the name in the directory, "" for itself; NULL: nothing to note */
const char *cut_name(const char *path);

/* the number of a file by its name or inode, or CUT_NONE */
int cut_find(const char *name);
int cut_find_ino(uint64_t ino);

/* a number for a new file */
int cut_add(const char *name, uint64_t ino);

/* notes that are taken before a file, its size or a name is changed */
void cut_note_write(int fd, int file, uint64_t offset, size_t len);
void cut_note_truncate(int fd, int file, uint64_t to);
void cut_note_name(int kind, int file, const char *one, const char *two);

/* keeps what is about to lose its name, if it is there: it may get it back */
void cut_bury(const char *path, const char *name);

/* ends the process */
void cut_die(const char *what) __attribute__((noreturn));


#endif /* _POWERCUT_NOTE_H_INCLUDED_ */
