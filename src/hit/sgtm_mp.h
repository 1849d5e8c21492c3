
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * GA4's Measurement Protocol: one JSON object with up to 25 events.  cJSON
 * reads it to judge it, and is the one thing in this room that allocates; what
 * goes on is copied from the bytes that came.
 */


#ifndef _SGTM_MP_H_INCLUDED_
#define _SGTM_MP_H_INCLUDED_


#include "sgtm_consent.h"
#include "sgtm_json.h"
#include "sgtm_redact.h"


#define SGTM_MP_SIZE    (130 * 1024)

#define SGTM_MP_MAX_EVENTS  25
#define SGTM_MP_MAX_PARAMS  100    /* of an Analytics 360 property; over 25 is
                                      counted as for any other hit */
#define SGTM_MP_MAX_USER    1000   /* values in user_data, objects and arrays
                                      included: a person has about 20 */


/* Google's names for what is wrong */

typedef enum {
    SGTM_MP_VALUE_INVALID = 0,
    SGTM_MP_VALUE_REQUIRED,
    SGTM_MP_NAME_INVALID,
    SGTM_MP_NAME_RESERVED,
    SGTM_MP_VALUE_OUT_OF_BOUNDS,
    SGTM_MP_EXCEEDED_MAX_ENTITIES,
    SGTM_MP_NAME_DUPLICATED,
    SGTM_MP_CODE_N
} sgtm_mp_code_e;

/* "VALUE_INVALID" and so on */
extern const sgtm_str_t  sgtm_mp_codes[SGTM_MP_CODE_N];


typedef struct {
    sgtm_str_t      text;          /* a sentence, without a visitor's value */
    uint16_t        over;          /* SGTM_OVER_* that it counts as */
    uint8_t         code;          /* sgtm_mp_code_e */
    uint8_t         reason;        /* sgtm_reason_e that refuses the hit, or
                                      NONE */
} sgtm_mp_fault_t;


/* where a fault is: "events[2].params.page_title" */

typedef struct {
    int             event;         /* -1: not in an event */
    sgtm_str_t      member;        /* "params", "user_id"; may be empty */
    sgtm_str_t      name;          /* below it, any bytes; may be empty */
} sgtm_mp_where_t;


/* hears of every fault, in order; all is valid during the call only */
typedef void (*sgtm_mp_report_pt)(void *data, const sgtm_mp_fault_t *fault,
    const sgtm_mp_where_t *where);


/* strings are decoded; empty: absent, or of another type */

typedef struct {
    sgtm_str_t      name;
    sgtm_str_t      id;            /* params.event_id */
    sgtm_str_t      transaction;   /* params.transaction_id of a purchase */
    sgtm_str_t      span;          /* the event as it is written */
} sgtm_mp_event_t;


typedef struct {
    sgtm_str_t       client;       /* client_id, or app_instance_id */
    sgtm_consent_t   consent;      /* what the body says; the strictest */

    unsigned         nevents;
    sgtm_mp_event_t  events[SGTM_MP_MAX_EVENTS];

    unsigned         user;         /* values that may lie in user_data */
    unsigned         over;         /* SGTM_OVER_* */
    uint8_t          reason;       /* sgtm_reason_e, when refused */
    sgtm_str_t       param;        /* of BAD_MEMBER, TWICE, BAD_BYTE, BAD_UTF8,
                                      TOO_MANY_VALUES: where, static text */
} sgtm_mp_t;


/*
 * Reads and checks a body.  buf must hold in->len bytes and is where decoded
 * strings lie; in must stay.  now, in seconds, is what timestamps are held
 * against, 0 for not at all; report may be NULL.  SGTM_DECLINED: refused,
 * mp->reason says why (the first of all).  SGTM_ERROR: no memory.
 */
int sgtm_mp_parse(sgtm_mp_t *mp, const sgtm_str_t *in, unsigned char *buf,
    int64_t now, sgtm_mp_report_pt report, void *data);

/* the bytes of memory that sgtm_mp_rewrite() needs for this body */
size_t sgtm_mp_size(const sgtm_mp_t *mp, const sgtm_rewrite_t *rules,
    const sgtm_str_t *in);

/*
 * Writes a body that sgtm_mp_parse() has taken as the rules say, and without
 * the events whose bits are set in drop (1: the first), somewhere in mem: out
 * says where.  A member is known by its own name and by the one that hits of
 * browsers have for it (docs/privacy.md).  The values of rules->set are plain
 * text here, not percent-encoded.  What no rule touches is copied.
 */
void sgtm_mp_rewrite(const sgtm_rewrite_t *rules, uint32_t drop,
    const sgtm_str_t *in, unsigned char *mem, sgtm_str_t *out);


#endif /* _SGTM_MP_H_INCLUDED_ */
