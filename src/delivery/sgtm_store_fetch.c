
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * From the journal into the database.  How much of a segment was moved is a row
 * of the same transaction: a hit is in one of the two places, whatever happens.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgtm_db.h"


/* us: what seems to be later than now by more than this is of a wrong clock */
#define SGTM_FETCH_AHEAD   1000000

/* more than this is not kept for the next group */
#define SGTM_FETCH_BUFFER  (1024 * 1024)

/* a disk that is nearly full gets this part at a time */
#define SGTM_FETCH_LITTLE  16


/* segments in the order of their time, of which the first few are open */

typedef struct {
    sgtm_segment_t     *list;
    size_t              n;
    size_t              opened;
    size_t              size;      /* bytes that were moved */
    int64_t             now;       /* us */
    char               *warning;
    size_t              warning_len;
} sgtm_fetching_t;


static int sgtm_store_fetch_some(sgtm_store_t *store, sgtm_fetch_t *fetch,
    sgtm_fetching_t *f);
static int sgtm_store_fetch_segment(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t **segment);
static int sgtm_store_fetch_open(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t *segment);
static int sgtm_store_fetch_next(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t *segment);
static int sgtm_store_fetch_failed(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t *segment, const char *call);
static int sgtm_store_fetch_group(sgtm_store_t *store, sgtm_fetch_t *fetch,
    sgtm_fetching_t *f, sgtm_segment_t *segment);
static int sgtm_store_fetch_insert(sgtm_store_t *store,
    const sgtm_segment_t *segment);
static int sgtm_store_fetch_moved(sgtm_store_t *store, sgtm_fetching_t *f);


int
sgtm_store_fetch(sgtm_store_t *store, sgtm_fetch_t *fetch)
{
    int              rc;
    sgtm_fetching_t  f;

    fetch->hits = 0;
    fetch->more = 0;
    fetch->warning[0] = '\0';

    memset(&f, 0, sizeof(sgtm_fetching_t));

    f.warning = fetch->warning;
    f.warning_len = sizeof(fetch->warning);

    /* before it is seen what there is: later groups may lack an earlier one */

    f.now = sgtm_file_time_us();

    rc = sgtm_db_enter(store);

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_store_segments(store, &f.list, &f.n);
    }

    if (rc != SGTM_STORE_OK || f.n == 0) {
        return rc;
    }

    rc = sgtm_store_room(store, fetch->size);

    if (rc == SGTM_STORE_FULL) {
        fetch->size /= SGTM_FETCH_LITTLE;
        rc = sgtm_store_room(store, fetch->size);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_begin(store);
    }

    if (rc == SGTM_STORE_OK) {
        rc = sgtm_db_leave(store, sgtm_store_fetch_some(store, fetch, &f));
    }

    if (rc != SGTM_STORE_OK) {
        fetch->hits = 0;
        fetch->more = 0;
    }

    sgtm_store_segments_free(f.list, f.n);

    /* a large one is rare */

    if (store->agroup > SGTM_FETCH_BUFFER) {
        free(store->group);
        store->group = NULL;
        store->agroup = 0;
    }

    return rc;
}


static int
sgtm_store_fetch_some(sgtm_store_t *store, sgtm_fetch_t *fetch,
    sgtm_fetching_t *f)
{
    int              rc;
    sgtm_segment_t  *segment;

    sgtm_store_forget(store);

    while (f->size < fetch->size) {

        rc = sgtm_store_fetch_segment(store, f, &segment);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        if (segment == NULL) {
            return sgtm_store_fetch_moved(store, f);
        }

        if (segment->next.time > f->now
            && segment->next.time < sgtm_file_time_us() + SGTM_FETCH_AHEAD)
        {
            break;
        }

        rc = sgtm_store_fetch_group(store, fetch, f, segment);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }
    }

    fetch->more = 1;

    return sgtm_store_fetch_moved(store, f);
}


/*
 * The segment whose next group is the earliest.  One that was begun later than
 * that group has none that is earlier: it need not be opened yet.
 */

static int
sgtm_store_fetch_segment(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t **segment)
{
    int              rc;
    size_t           i;
    sgtm_segment_t  *first;

    first = NULL;

    for (i = 0; i < f->opened; i++) {
        if (f->list[i].next.hits
            && (first == NULL || f->list[i].next.time < first->next.time))
        {
            first = &f->list[i];
        }
    }

    while (f->opened < f->n
           && (first == NULL || f->list[f->opened].time <= first->next.time))
    {
        rc = sgtm_store_fetch_open(store, f, &f->list[f->opened]);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        i = f->opened++;

        if (f->list[i].next.hits
            && (first == NULL || f->list[i].next.time < first->next.time))
        {
            first = &f->list[i];
        }
    }

    *segment = first;

    return SGTM_STORE_OK;
}


static int
sgtm_store_fetch_open(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t *segment)
{
    int  rc;

    rc = sgtm_store_moved(store, segment);

    /* what came after the list was made is for the next call */

    if (rc != SGTM_STORE_OK || segment->done >= segment->size) {
        return rc;
    }

    switch (sgtm_segment_open(store->dir, segment)) {

    case 0:
        return SGTM_STORE_OK;

    case -1:
        return sgtm_store_fetch_failed(store, f, segment, "open");

    default:
        return sgtm_store_fetch_next(store, f, segment);
    }
}


/* an exhausted one needs no descriptor while others are read */

static int
sgtm_store_fetch_next(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t *segment)
{
    if (sgtm_segment_next(store->dir, segment, f->warning, f->warning_len)
        == -1)
    {
        return sgtm_store_fetch_failed(store, f, segment, "read");
    }

    if (segment->next.hits == 0) {
        sgtm_segment_close(segment);
    }

    return SGTM_STORE_OK;
}


/*
 * A segment that can't be read, as on a bad disk, must not keep all others from
 * being moved.  It stays, and is tried again by the next call.
 */

static int
sgtm_store_fetch_failed(sgtm_store_t *store, sgtm_fetching_t *f,
    sgtm_segment_t *segment, const char *call)
{
    char  path[4096];

    if (sgtm_segment_passes(errno)) {
        return sgtm_store_journal_fail(store, call);
    }

    (void) snprintf(path, sizeof(path), "%s/%s", store->dir, segment->name);
    (void) sgtm_file_fail(f->warning, f->warning_len, errno, call, path);

    segment->next.hits = 0;
    sgtm_segment_close(segment);

    return SGTM_STORE_OK;
}


static int
sgtm_store_fetch_group(sgtm_store_t *store, sgtm_fetch_t *fetch,
    sgtm_fetching_t *f, sgtm_segment_t *segment)
{
    int             rc;
    unsigned char  *p;

    if (segment->next.size > store->agroup) {

        p = realloc(store->group, segment->next.size);

        if (p == NULL) {
            return sgtm_db_fail_text(store, SGTM_STORE_FAILED, "no memory");
        }

        store->group = p;
        store->agroup = segment->next.size;
    }

    rc = sgtm_segment_read(segment, store->group);

    if (rc == 0) {
        rc = sgtm_segment_mend(store->dir, segment, f->warning,
                               f->warning_len);

        if (rc == 0) {
            return SGTM_STORE_OK;
        }
    }

    if (rc == -1) {
        return sgtm_store_fetch_failed(store, f, segment, "read");
    }

    rc = sgtm_store_fetch_insert(store, segment);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    fetch->hits += segment->next.hits;
    f->size += segment->next.size;

    sgtm_segment_advance(segment);

    return sgtm_store_fetch_next(store, f, segment);
}


static int
sgtm_store_fetch_insert(sgtm_store_t *store, const sgtm_segment_t *segment)
{
    int                   rc;
    uint32_t              i;
    sgtm_record_t         record;
    const unsigned char  *p, *end;

    p = store->group + sizeof(sgtm_group_t);
    end = store->group + segment->next.size - SGTM_GROUP_END;

    for (i = 0; i < segment->next.hits; i++) {

        p = sgtm_group_record(p, end, &record);

        if (p == NULL) {
            return sgtm_db_fail_text(store, SGTM_STORE_FAILED,
                                     "a group of the journal has fewer records"
                                     " than it says");
        }

        rc = sgtm_store_insert(store, &record);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }
    }

    return SGTM_STORE_OK;
}


/* what the transaction has to remember */

static int
sgtm_store_fetch_moved(sgtm_store_t *store, sgtm_fetching_t *f)
{
    int              rc;
    size_t           i;
    int64_t          values[3];
    sgtm_str_t       name;
    sqlite3_stmt    *stmt;
    sgtm_segment_t  *segment;

    for (i = 0; i < f->opened; i++) {
        segment = &f->list[i];

        if (segment->done == segment->moved) {
            continue;
        }

        stmt = sgtm_db_stmt(store, SGTM_SQL_MOVED_SET);

        if (stmt == NULL) {
            return store->rc;
        }

        name.data = (unsigned char *) segment->name;
        name.len = strlen(segment->name);

        rc = sgtm_db_bind_str(stmt, 4, &name);

        if (rc != SQLITE_OK) {
            return sgtm_db_fail(store, rc, "write journal");
        }

        values[0] = segment->done;
        values[1] = (int64_t) segment->hits;
        values[2] = (int64_t) segment->events;

        rc = sgtm_db_run(store, SGTM_SQL_MOVED_SET, values, 3);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }
    }

    return SGTM_STORE_OK;
}


int
sgtm_store_moved(sgtm_store_t *store, sgtm_segment_t *segment)
{
    int            rc, found;
    int64_t        columns[3];
    sgtm_str_t     name;
    sqlite3_stmt  *stmt;

    stmt = sgtm_db_stmt(store, SGTM_SQL_MOVED_GET);

    if (stmt == NULL) {
        return store->rc;
    }

    name.data = (unsigned char *) segment->name;
    name.len = strlen(segment->name);

    rc = sgtm_db_bind_str(stmt, 1, &name);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "read journal");
    }

    rc = sgtm_db_get(store, SGTM_SQL_MOVED_GET, NULL, 0, columns, 3, &found);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    segment->done = found ? columns[0] : 0;
    segment->hits = found ? (uint64_t) columns[1] : 0;
    segment->events = found ? (uint64_t) columns[2] : 0;
    segment->moved = segment->done;

    return SGTM_STORE_OK;
}


int
sgtm_store_segments(sgtm_store_t *store, sgtm_segment_t **list, size_t *n)
{
    if (sgtm_segment_list(store->dir, list, n) == -1) {
        return sgtm_store_journal_fail(store, "opendir");
    }

    return SGTM_STORE_OK;
}


void
sgtm_store_segments_free(sgtm_segment_t *list, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        sgtm_segment_close(&list[i]);
    }

    free(list);
}


int
sgtm_store_journal_fail(sgtm_store_t *store, const char *call)
{
    return sgtm_db_fail_errno(store, errno, call, store->dir);
}
