
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The journal: where a hit rests first.  It is appended to a file of the
 * writer's own, with the others of its group, and sgtm_store_fetch() moves it
 * into the database once somebody wants it.  Appending costs a tenth of what
 * a database takes.  Plain C11 without nginx; every function may wait for the
 * disk.
 *
 * A segment, "journal-<time>-<key>", is a sequence of groups (sgtm_group.h),
 * both numbers in 16 hexadecimal digits: us since the epoch, and the key of its
 * groups' sums.  A group is appended, and a segment cut or removed, with
 * flock() of it held.
 */


#ifndef _SGTM_JOURNAL_H_INCLUDED_
#define _SGTM_JOURNAL_H_INCLUDED_


#include "sgtm_group.h"
#include "sgtm_store.h"


#define SGTM_JOURNAL_PREFIX  "journal-"
#define SGTM_JOURNAL_NAME    64

typedef struct sgtm_journal_s  sgtm_journal_t;


/*
 * A writer for this directory, which must exist; NULL: no memory.  It makes
 * its files when it needs them.  For one thread at a time.
 */
sgtm_journal_t *sgtm_journal_create(const char *dir,
    const sgtm_store_conf_t *conf);

/* not while a store of this directory is open in the same process */
void sgtm_journal_destroy(sgtm_journal_t *journal);

/* why the last call failed, as sgtm_store_error() */
const char *sgtm_journal_error(sgtm_journal_t *journal);

/*
 * Keeps a list of records, all or none.  SGTM_STORE_OK: they are where "sync"
 * says.  FULL, READONLY, FAILED: none is kept.
 */
int sgtm_journal_put(sgtm_journal_t *journal, sgtm_record_t *list);


/* of these two files */

/* a hit takes a quarter more room in the database than in the journal */
#define sgtm_journal_grown(size)  ((size) + (size) / 4)

/*
 * Bytes that the hits of a directory take or will take in the database, and
 * whatever else is in it but free pages; spare: the bytes of these.  -1: errno
 * is set.  fd, -1 at first, is the database as long as it is that of this name;
 * closing it drops the locks which SQLite has on it in the same process.
 */
int sgtm_journal_used(const char *dir, int *fd, int64_t *used,
    int64_t *spare);


#endif /* _SGTM_JOURNAL_H_INCLUDED_ */
