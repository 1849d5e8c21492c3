
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the tests of the journal share: segments as bytes, which are made,
 * spoiled and moved.
 */


#ifndef _SGTM_UNIT_STORE_SEGMENT_H_INCLUDED_
#define _SGTM_UNIT_STORE_SEGMENT_H_INCLUDED_


#include "unit_store.h"


/* the bytes of a file, and its name */

typedef struct {
    char            name[256];
    unsigned char  *data;
    size_t          len;
} store_bytes_t;


static inline store_bytes_t
store_load(const char *name)
{
    int            fd;
    store_bytes_t  bytes;

    snprintf(bytes.name, sizeof(bytes.name), "%s", name);

    fd = open(store_path(name), O_RDONLY);
    bytes.len = (size_t) store_size(name);
    bytes.data = unit_alloc(bytes.len);

    if (fd == -1
        || read(fd, bytes.data, bytes.len) != (ssize_t) bytes.len)
    {
        printf("Bail out! cannot read %s\n", name);
        exit(1);
    }

    close(fd);

    return bytes;
}


static inline void
store_save(const char *name, const void *data, size_t len)
{
    int  fd;

    fd = open(store_path(name), O_WRONLY|O_CREAT|O_TRUNC, 0600);

    if (fd == -1 || write(fd, data, len) != (ssize_t) len) {
        printf("Bail out! cannot write %s: %s\n", name, strerror(errno));
        exit(1);
    }

    close(fd);
}


/* as if nobody had written to it for a minute */

static inline void
store_idle(const char *name)
{
    struct timespec  times[2];

    clock_gettime(CLOCK_REALTIME, &times[0]);

    times[0].tv_sec -= 60;
    times[1] = times[0];

    (void) utimensat(AT_FDCWD, store_path(name), times, 0);
}


/* groups of so many hits "a0", "a1", "b0", of one writer; its segment */

static inline store_bytes_t
store_groups(const char *sizes)
{
    int              i, j, n;
    char             body[16], name[256];
    sgtm_record_t    records[10];
    sgtm_journal_t  *journal;

    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);

    for (i = 0; sizes[i]; i++) {
        n = sizes[i] - '0';

        for (j = 0; j < n; j++) {
            snprintf(body, sizeof(body), "%c%d", 'a' + i, j);
            records[j] = *store_record(NULL, STORE_TARGET, 0, body);
            records[j].next = j + 1 < n ? &records[j + 1] : NULL;
            records[j].events = 2;
        }

        if (sgtm_journal_put(journal, records) != SGTM_STORE_OK) {
            printf("Bail out! put: %s\n", sgtm_journal_error(journal));
            exit(1);
        }
    }

    sgtm_journal_destroy(journal);
    store_files(SGTM_JOURNAL_PREFIX, name);

    return store_load(name);
}


/* where a group begins */

static inline size_t
store_group(const store_bytes_t *bytes, int n)
{
    size_t        at;
    sgtm_group_t  group;

    for (at = 0; n > 0; n--) {
        memcpy(&group, bytes->data + at, sizeof(sgtm_group_t));
        at += group.size;
    }

    return at;
}


static inline uint64_t
store_key(const char *name)
{
    return strtoull(name + sizeof(SGTM_JOURNAL_PREFIX) - 1 + 17, NULL, 16);
}


/*
 * Makes the sums of a group right, whatever is in it: as the format has it, not
 * as the code makes it.  len: from its begin up to its end, without that.
 */

static inline void
store_seal(unsigned char *data, size_t len, uint64_t key)
{
    size_t    i, from, to;
    uint32_t  word;
    uint64_t  a, b, sums[3];
    unsigned  part;

    for (part = 0; part < 2; part++) {

        /* the records, then the header up to its own sum */

        from = part ? 0 : sizeof(sgtm_group_t);
        to = part ? sizeof(sgtm_group_t) - 8 : len;

        for (a = key, b = 0, i = from; i < to; i += 4) {
            memcpy(&word, data + i, 4);
            a += word;
            b += a;
        }

        if (part == 0) {
            sums[0] = a;
            sums[1] = b;
            memcpy(data + sizeof(sgtm_group_t) - 24, sums, 16);

        } else {
            sums[2] = a + 2 * b;
            memcpy(data + sizeof(sgtm_group_t) - 8, &sums[2], 8);
        }
    }
}


/* all in the database is forgotten; the segment is what it was */

static inline void
store_again(const store_bytes_t *bytes)
{
    char  name[256];

    while (store_files("damaged-", name)) {
        (void) unlink(store_path(name));
    }

    while (store_files(SGTM_JOURNAL_PREFIX, name)) {
        (void) unlink(store_path(name));
    }

    store_sql("DELETE FROM hit");
    store_sql("DELETE FROM journal");
    store_save(bytes->name, bytes->data, bytes->len);
}


/*
 * Moves all; what was moved, each body with a space before it, and "!" at the
 * end when there was a warning.
 */

static inline const char *
store_moved(sgtm_store_t *store)
{
    int             rc;
    size_t          n;
    int64_t         after;
    sgtm_fetch_t    fetch;
    sgtm_record_t  *record;

    static char  text[4096], warning[512];

    text[0] = '\0';
    warning[0] = '\0';

    do {
        fetch.size = 1000000;
        rc = sgtm_store_fetch(store, &fetch);

        if (fetch.warning[0]) {
            snprintf(warning, sizeof(warning), "%s", fetch.warning);
        }

        if (fetch.more && fetch.hits == 0) {
            store_rest(1000);
        }

    } while (rc == SGTM_STORE_OK && fetch.more);

    if (rc != SGTM_STORE_OK) {
        printf("# fetch: %s\n", sgtm_store_error(store));
        return "failed";
    }

    for (after = 0, n = 0;
         sgtm_store_next(store, SGTM_STORE_WAITING, after, &record, NULL)
         == SGTM_STORE_OK && record != NULL && n < sizeof(text) - 64;
         free(record))
    {
        n += (size_t) snprintf(text + n, sizeof(text) - n, " %.*s",
                               (int) (record->body.len < 20 ? record->body.len
                                                            : 20),
                               (char *) record->body.data);
        after = record->id;
    }

    if (warning[0]) {
        snprintf(text + n, sizeof(text) - n, " !");
    }

    return text;
}


#endif /* _SGTM_UNIT_STORE_SEGMENT_H_INCLUDED_ */
