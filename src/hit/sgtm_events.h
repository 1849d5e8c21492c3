
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The events of a hit, one by one: what tells two of them apart, and a batch
 * without some of its lines.
 */


#ifndef _SGTM_EVENTS_H_INCLUDED_
#define _SGTM_EVENTS_H_INCLUDED_


#include "sgtm_hit.h"


/* two ids of one event that are the same text are two ids */

#define SGTM_EVENT_ID           0      /* "ep.event_id", or another key */
#define SGTM_EVENT_TRANSACTION  1      /* "ep.transaction_id", purchases only */
#define SGTM_EVENT_IDS          2


/* values are as they are written, pointing into the input; empty: none */

typedef struct {
    sgtm_str_t      name;
    sgtm_str_t      tid;
    sgtm_str_t      ids[SGTM_EVENT_IDS];
    sgtm_str_t      line;              /* of the body; empty: the query */
    unsigned        plain:1;           /* nothing is percent-encoded */
    unsigned        duplicate:1;
    unsigned        off:1;             /* not to be sent, for another reason */
} sgtm_event_t;


/*
 * The keyed fingerprint, two words, of an event by one of its ids: over tenant,
 * tag id, name and id, each percent-decoded, which kind of id it is, and their
 * lengths.  key: SGTM_SIPHASH_KEY bytes.
 */
void sgtm_event_print(const sgtm_event_t *event, unsigned id,
    const sgtm_str_t *tenant, const unsigned char *key, uint64_t *print);

/*
 * Writes a body without the lines of the events that are duplicates or off,
 * byte for byte otherwise: its last line has an end if it had one before.
 * events are those of this body, in order.  Writes at most body->len bytes and
 * returns how many.
 */
size_t sgtm_events_cut(const sgtm_event_t *events, unsigned n,
    const sgtm_str_t *body, unsigned char *out);


#endif /* _SGTM_EVENTS_H_INCLUDED_ */
