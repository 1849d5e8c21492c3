
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the tests of a full and of a faulty spool share: many hits that come and
 * go.
 */


#ifndef _SGTM_UNIT_STORE_FILL_H_INCLUDED_
#define _SGTM_UNIT_STORE_FILL_H_INCLUDED_


#include "unit_store.h"


#define STORE_ME  42


/* groups of 16 hits of 1 kB until one fails; the number of hits kept */

static inline unsigned
store_fill(sgtm_journal_t *journal, unsigned max, int *rc)
{
    char            body[1025];
    unsigned        n, i;
    sgtm_record_t  *record, list[16];

    memset(body, 'b', 1024);
    body[1024] = '\0';

    record = store_record(NULL, STORE_TARGET, 0, body);

    for (i = 0; i < 16; i++) {
        list[i] = *record;
        list[i].next = i < 15 ? &list[i + 1] : NULL;
    }

    for (n = 0; n < max; n += 16) {

        *rc = sgtm_journal_put(journal, list);

        if (*rc != SGTM_STORE_OK) {
            break;
        }
    }

    return n;
}


/* settles the first hits of a file; none is no error */

static inline int
store_first(sgtm_store_t *store, unsigned n, unsigned kind)
{
    int              rc;
    unsigned         i;
    sgtm_take_t      take;
    sgtm_record_t   *record;
    sgtm_outcome_t   outcomes[64];

    memset(&take, 0, sizeof(sgtm_take_t));
    memset(outcomes, 0, sizeof(outcomes));

    take.instance = STORE_ME;
    take.target = 1;
    take.now = 1000;
    take.limit = n < 64 ? n : 64;
    take.size = 1000000;

    rc = sgtm_store_take(store, &take);

    for (i = 0, record = take.list; record; record = record->next, i++) {
        outcomes[i].id = record->id;
        outcomes[i].kind = kind;
        outcomes[i].due = 5000;
        outcomes[i].error = unit_str("a text that needs some room: 502");
        outcomes[i].next = record->next ? &outcomes[i + 1] : NULL;
    }

    store_free(take.list);

    if (rc == SGTM_STORE_OK && i > 0) {
        rc = sgtm_store_settle(store, STORE_ME, outcomes);
    }

    return rc;
}


static inline int64_t
store_hits(void)
{
    return store_sql("SELECT count(*) FROM hit");
}


/* removes the segments that were moved; their writers must be idle */

static inline void
store_reap(sgtm_store_t *store)
{
    store_rest(300000);
    store_is(store, sgtm_store_sync(store), SGTM_STORE_OK, "a sync");
    unit_ok(store_segments() == 0, "what was moved leaves the journal");
}


#endif /* _SGTM_UNIT_STORE_FILL_H_INCLUDED_ */
