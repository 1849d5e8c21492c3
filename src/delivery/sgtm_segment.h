
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The segments of the journal as those see them who move what is in them into
 * the database, bring it to the disk, or remove them.  For sgtm_store_*.c.
 */


#ifndef _SGTM_SEGMENT_H_INCLUDED_
#define _SGTM_SEGMENT_H_INCLUDED_


#include "sgtm_journal.h"


typedef struct {
    char           name[SGTM_JOURNAL_NAME];
    int            fd;             /* -1: not open */

    int64_t        time;           /* when it was begun, us since the epoch */
    uint64_t       key;
    int64_t        size;
    int64_t        idle;           /* ms since it was written to */
    int64_t        age;            /* ms since it was begun */

    int64_t        synced;         /* bytes that are on the disk */

    int64_t        done;           /* bytes that were moved */
    int64_t        moved;          /* those that the database knows of */
    uint64_t       hits;           /* in "done" */
    uint64_t       events;

    sgtm_group_t   next;           /* the group there; hits is 0: none */
} sgtm_segment_t;


/*
 * The segments of a directory in the order of their time, with their sizes, in
 * a block of malloc(), or NULL if there is none; nothing is known of what was
 * moved.  -1: errno is set.
 */
int sgtm_segment_list(const char *dir, sgtm_segment_t **segments, size_t *n);

/* opens it and sets its size; 0 if it is gone, -1: errno is set */
int sgtm_segment_open(const char *dir, sgtm_segment_t *segment);

void sgtm_segment_close(sgtm_segment_t *segment);

/*
 * Reads the header of the group at "done" into "next", whose hits are 0 where
 * there is none, or where one is being written just now.
 *
 * Bytes that are no group, while nobody is writing, are passed over up to the
 * next one that is sound.  Where they are more than the beginning of a group
 * that its writer could not finish, they are copied to a file of their own,
 * "damaged-…", and text says so.
 *
 * -1: errno is set.
 */
int sgtm_segment_next(const char *dir, sgtm_segment_t *segment, char *text,
    size_t len);

/*
 * Reads the group whose header is "next" into a buffer of its size.  1; 0 if
 * it is not what its writer wrote, which sgtm_segment_mend() passes over; -1:
 * errno is set.
 */
int sgtm_segment_read(const sgtm_segment_t *segment, unsigned char *buffer);

/* goes on after the group */
void sgtm_segment_advance(sgtm_segment_t *segment);

/* adds the hits and events that wait in it, and the oldest's time; -1: errno */
int sgtm_segment_count(const sgtm_segment_t *segment,
    sgtm_store_counts_t *counts);

/*
 * Removes it if all of it was moved and nobody has written to it since; 1 if
 * it did, -1: errno is set.
 */
int sgtm_segment_remove(const char *dir, sgtm_segment_t *segment);


/* whether an error is not the segment's own, and passes by itself */
int sgtm_segment_passes(int err);


/* of the store: they return an sgtm_store_rc_e */

/* sgtm_segment_list() of its directory, to be released by the other one */
int sgtm_store_segments(sgtm_store_t *store, sgtm_segment_t **list,
    size_t *n);
void sgtm_store_segments_free(sgtm_segment_t *list, size_t n);

/* how much of one segment, or of each, was moved, as the database knows it */
int sgtm_store_moved(sgtm_store_t *store, sgtm_segment_t *segment);
int sgtm_store_moved_all(sgtm_store_t *store, sgtm_segment_t *list, size_t n);

/* brings the journal to the disk if that is for others than its writers */
int sgtm_store_sync_journal(sgtm_store_t *store, sgtm_segment_t *list,
    size_t n);

/*
 * Removes the segments all of which was moved when sgtm_store_moved_all() saw
 * it: what it saw has to be on the disk.
 */
int sgtm_store_reap(sgtm_store_t *store, sgtm_segment_t *list, size_t n);

/* adds what waits in the journal */
int sgtm_store_count_journal(sgtm_store_t *store,
    sgtm_store_counts_t *counts);

/* an error of the journal, errno */
int sgtm_store_journal_fail(sgtm_store_t *store, const char *call);


/* of these two files */

/* sets its size and since when it is idle; -1: errno is set */
int sgtm_segment_fstat(sgtm_segment_t *segment);

/* 1: there is the header of a group that fits into the file; -1: errno */
int sgtm_segment_header(const sgtm_segment_t *segment, int64_t offset,
    sgtm_group_t *group);

/* all that is there, up to len; -1: errno is set */
ssize_t sgtm_segment_pread(int fd, void *buf, size_t len, int64_t offset);

/* the way of sgtm_segment_next() over bytes that are no group */
int sgtm_segment_mend(const char *dir, sgtm_segment_t *segment, char *text,
    size_t len);


#endif /* _SGTM_SEGMENT_H_INCLUDED_ */
