
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the shim and the program of the power cut share: the log of everything
 * below one directory that was written and not synced, in a file that all
 * processes map.
 */


#ifndef _POWERCUT_H_INCLUDED_
#define _POWERCUT_H_INCLUDED_


#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>


#define CUT_MAGIC      0x63757401u
#define CUT_SIZE       (256u * 1024 * 1024)
#define CUT_FILES      16384
#define CUT_NAME       256
#define CUT_DIR        0               /* the number of the directory itself */

#define cut_align(n)   (((n) + 7) & ~(uint64_t) 7)


typedef enum {
    CUT_WRITE = 1,             /* data: what was there before */
    CUT_TRUNCATE,              /* data: what was cut off */
    CUT_CREATE,
    CUT_UNLINK,                /* data: name; a link waits in the graveyard */
    CUT_RENAME                 /* data: old name, 0, new name, 0 */
} cut_kind_e;


typedef struct {
    uint64_t         seq;
    uint64_t         size;     /* of the file before */
    uint64_t         offset;   /* of the write, or the new size */
    uint32_t         len;      /* of the write */
    uint32_t         data;     /* bytes that follow, before alignment */
    uint16_t         kind;
    uint16_t         file;
    uint32_t         pad;
} cut_entry_t;


typedef struct {
    uint64_t         ino;
    uint64_t         synced;   /* entries up to this one are on the disk */
    char             name[CUT_NAME];
} cut_file_t;


typedef struct {
    uint32_t         magic;
    uint32_t         nfiles;
    uint64_t         seq;
    uint64_t         used;     /* bytes of the log */
    uint64_t         peak;
    uint64_t         syncs;
    uint64_t         writes;
    pthread_mutex_t  mutex;
    cut_file_t       files[CUT_FILES];
} cut_log_t;


/* entries begin here */
#define cut_entries(log)  ((char *) (log) + cut_align(sizeof(cut_log_t)))
#define CUT_ROOM          (CUT_SIZE - cut_align(sizeof(cut_log_t)))

#define cut_entry_size(e)                                                     \
    (sizeof(cut_entry_t) + cut_align((uint64_t) (e)->data))


/*
 * Whether a power cut now would undo it: a name is on the disk once the
 * directory is synced, that of a new file also with the file's own data.
 */

static inline int
cut_is_live(const cut_log_t *log, const cut_entry_t *e)
{
    switch (e->kind) {

    case CUT_WRITE:
    case CUT_TRUNCATE:
        return e->seq > log->files[e->file].synced;

    case CUT_CREATE:
        return e->seq > log->files[CUT_DIR].synced
               && e->seq > log->files[e->file].synced;

    default:
        return e->seq > log->files[CUT_DIR].synced;
    }
}


#endif /* _POWERCUT_H_INCLUDED_ */
