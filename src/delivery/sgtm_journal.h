
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The journal: where a hit rests first.  It is appended to a file of the
 * writer's own, with the others of its group, and sgtm_store_fetch() moves it
 * into the database once somebody wants it.  Appending costs a tenth of what
 * a database takes.  Plain C11 without nginx; every function may wait for the
 * disk.
 *
 * A segment, "journal-<time>-<random>", is a sequence of groups, each in the
 * byte order of the machine:
 *
 *     header, sgtm_group_t
 *     hits records: sgtm_entry_t, its strings, zeros up to a multiple of 8
 *     the size of the group again, 8 bytes
 *
 * A group is appended, and a segment cut or removed, with flock() of it held.
 */


#ifndef _SGTM_JOURNAL_H_INCLUDED_
#define _SGTM_JOURNAL_H_INCLUDED_


#include "sgtm_store.h"


#define SGTM_JOURNAL_PREFIX  "journal-"
#define SGTM_JOURNAL_NAME    64

/* a group is not larger: what a worker lets wait, and more */
#define SGTM_JOURNAL_GROUP   ((uint64_t) 64 * 1024 * 1024)

#define SGTM_GROUP_MAGIC     0x31676773  /* "sgg1" */


typedef struct {
    uint32_t  magic;
    uint32_t  hits;
    uint64_t  size;          /* bytes, header and end included */
    int64_t   time;          /* us since the epoch; ascends in a segment */
    uint64_t  all_hits;      /* of the segment, up to the end of this group */
    uint64_t  all_events;
    int64_t   oldest;        /* the first event's time, ms since the epoch */
    uint64_t  sum[2];        /* of all but the end, with zeros here */
} sgtm_group_t;


#define SGTM_ENTRY_STRINGS   8

typedef struct {
    int64_t   time;
    uint64_t  client;
    uint32_t  attempts;
    uint32_t  events;
    uint32_t  len[SGTM_ENTRY_STRINGS];
} sgtm_entry_t;


typedef struct sgtm_journal_s  sgtm_journal_t;


/*
 * A writer for this directory, which must exist; NULL: no memory.  It makes
 * its files when it needs them.  For one thread at a time.
 */
sgtm_journal_t *sgtm_journal_create(const char *dir,
    const sgtm_store_conf_t *conf);

void sgtm_journal_destroy(sgtm_journal_t *journal);

/* why the last call failed, as sgtm_store_error() */
const char *sgtm_journal_error(sgtm_journal_t *journal);

/*
 * Keeps a list of records, all or none.  SGTM_STORE_OK: they are where "sync"
 * says.  FULL, READONLY, FAILED: none is kept.
 */
int sgtm_journal_put(sgtm_journal_t *journal, sgtm_record_t *list);


/* for those who read a segment */

/* the two sums of bytes, a multiple of 8; they begin as zeros */
void sgtm_journal_sum(uint64_t *sum, const void *data, size_t len);

/* the strings of a record in the order of a segment, SGTM_ENTRY_STRINGS */
void sgtm_journal_strings(sgtm_record_t *record, sgtm_str_t **strings);


/* of these two files */

/* a hit takes a quarter more room in the database than in the journal */
#define sgtm_journal_grown(size)  ((size) + (size) / 4)

/*
 * Bytes that the hits of a directory take or will take in the database, and
 * whatever else is in it but free pages; -1: errno is set.
 */
int sgtm_journal_used(const char *dir, int64_t *used);


#endif /* _SGTM_JOURNAL_H_INCLUDED_ */
