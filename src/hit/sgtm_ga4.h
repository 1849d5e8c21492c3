
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * GA4's collect protocol, version 2: the shared arguments of the query and 0
 * to n event lines of the body, whose values override the shared ones.
 */


#ifndef _SGTM_GA4_H_INCLUDED_
#define _SGTM_GA4_H_INCLUDED_


#include "sgtm_args.h"
#include "sgtm_consent.h"
#include "sgtm_events.h"
#include "sgtm_names.h"


typedef struct {
    sgtm_str_t     *elts;
    size_t          nelts;
} sgtm_ids_t;


/* values are as they are written, pointing into the input; empty: absent */

typedef struct {
    sgtm_str_t      tid;
    sgtm_str_t      cid;
    sgtm_str_t      event;             /* name of the first event */
    unsigned        events;            /* how many */
    unsigned        args;              /* in the query and all lines */

    sgtm_consent_t  gcs;               /* the strictest where repeated, lines */
    sgtm_consent_t  gcd;               /*     included */

    uint8_t         deny;              /* the union of the rules' denials of
                                          all arguments seen */
    unsigned        touched:1;         /* an argument to remove or to set */
    unsigned        nested:1;          /* a value may be an URL with args */
    unsigned        npa:1;             /* there is an "npa" */

    unsigned        over;              /* SGTM_OVER_* */
    uint8_t         reason;            /* sgtm_reason_e, when refused */
    sgtm_str_t      param;             /* where a BAD_... was found: the name
                                          as it is written, any bytes */

    /*
     * The arguments that any rewriting could touch, in order, so that query
     * and body need not be read again.  More than SGTM_MAX_MARKS: not all are
     * there.  Last, since it is not zeroed.
     */

    unsigned        nmarks;
    sgtm_mark_t     marks[SGTM_MAX_MARKS];
} sgtm_ga4_t;


/*
 * Reads and checks a hit in one pass over query and body (body may be empty).
 * Every line is an event, but for a first one without an "en" anywhere: that
 * one is shared by those that follow.  Without any, the query is the event.
 * Every event's effective "v" must be 2 and its "tid" one of ids.  names holds
 * sgtm_default_params, or more: what it does not know is passed over.
 * SGTM_DECLINED: refused, hit->reason says why.
 */
int sgtm_ga4_parse(sgtm_ga4_t *hit, const sgtm_names_t *names,
    const sgtm_ids_t *ids, const sgtm_str_t *query, const sgtm_str_t *body);

/*
 * The same, and fills an array of SGTM_MAX_EVENTS with the hit->events that
 * there are, in order; events may be NULL.  Which parameters are ids the table
 * says: of an event it is the value of the first of these names that is
 * there, in the line or shared, in the order of SGTM_NAME_ORDER.
 */
int sgtm_ga4_parse_events(sgtm_ga4_t *hit, const sgtm_names_t *names,
    const sgtm_ids_t *ids, const sgtm_str_t *query, const sgtm_str_t *body,
    sgtm_event_t *events);

/*
 * Whether a query alone says that this is a hit, whatever its path: "v=2" and
 * a "tid" that begins with "G-".
 */
int sgtm_ga4_is_hit(const sgtm_names_t *names, const sgtm_str_t *query);

/*
 * Whether the whole query is one value (bare, or of a single key) that is the
 * base64 (RFC 4648, either alphabet, padding optional, percent-encoded or not)
 * of a query with "v=2".  Decodes to out, which must hold query->len bytes, and
 * sets decoded.  SGTM_DECLINED: it is not.
 */
int sgtm_ga4_encoded(const sgtm_str_t *query, unsigned char *out,
    sgtm_str_t *decoded);

/* whether id has the form of a Google tag id: G- GT- AW- DC- or GTM- and
   4 to 20 (digits for AW- and DC- too) of [A-Z0-9] */
int sgtm_ga4_tag_id(const sgtm_str_t *id);

/* whether a value, percent-decoded, is one of ids */
int sgtm_ids_has(const sgtm_ids_t *ids, const sgtm_str_t *value);


#endif /* _SGTM_GA4_H_INCLUDED_ */
