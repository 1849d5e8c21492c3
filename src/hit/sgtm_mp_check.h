
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What Google's documentation asks of a body of the Measurement Protocol.
 */


#ifndef _SGTM_MP_CHECK_H_INCLUDED_
#define _SGTM_MP_CHECK_H_INCLUDED_


#include <cjson/cJSON.h>

#include "sgtm_mp.h"


typedef struct {
    sgtm_mp_t          *mp;
    int64_t             now;           /* seconds, or 0 */
    sgtm_mp_report_pt   report;        /* or NULL */
    void               *data;

    sgtm_mp_where_t     where;         /* what is looked at now */
} sgtm_mp_check_t;


/* all that may be wrong */

typedef enum {
    SGTM_MP_F_JSON = 0,
    SGTM_MP_F_DEPTH,
    SGTM_MP_F_BYTE,
    SGTM_MP_F_UTF8,
    SGTM_MP_F_OBJECT,
    SGTM_MP_F_STRING,
    SGTM_MP_F_ONCE,
    SGTM_MP_F_DUPLICATE,
    SGTM_MP_F_UNKNOWN,
    SGTM_MP_F_CLIENT,
    SGTM_MP_F_CLIENT_EMPTY,
    SGTM_MP_F_USER_ID,
    SGTM_MP_F_TIMESTAMP,
    SGTM_MP_F_LATE,
    SGTM_MP_F_CONSENT,
    SGTM_MP_F_BOOLEAN,
    SGTM_MP_F_EVENTS,
    SGTM_MP_F_EVENTS_EMPTY,
    SGTM_MP_F_EVENTS_MANY,
    SGTM_MP_F_EVENT_NAME,
    SGTM_MP_F_EVENT_NAME_BAD,
    SGTM_MP_F_EVENT_RESERVED,
    SGTM_MP_F_PARAMS_MANY,
    SGTM_MP_F_PARAMS_OVER,
    SGTM_MP_F_PARAM_NAME,
    SGTM_MP_F_PARAM_LONG,
    SGTM_MP_F_PARAM_RESERVED,
    SGTM_MP_F_PARAM_VALUE,
    SGTM_MP_F_PROPS_MANY,
    SGTM_MP_F_PROP_NAME,
    SGTM_MP_F_PROP_LONG,
    SGTM_MP_F_PROP_RESERVED,
    SGTM_MP_F_PROP_OBJECT,
    SGTM_MP_F_PROP_VALUE,
    SGTM_MP_F_ITEMS,
    SGTM_MP_F_ITEMS_MANY,
    SGTM_MP_F_ITEM_PARAMS,
    SGTM_MP_F_USER_MANY,
    SGTM_MP_F_N
} sgtm_mp_fault_e;


/* by sgtm_mp_fault_e */
extern const sgtm_mp_fault_t  sgtm_mp_faults[];


typedef void (*sgtm_mp_member_pt)(sgtm_mp_check_t *c, const cJSON *item);


/* the members of the body, or of an event */

typedef struct {
    sgtm_str_t          name;
    sgtm_mp_member_pt   check;         /* NULL: anything will do */
    unsigned            once:1;        /* a second one refuses the hit */
    unsigned            needed:1;
} sgtm_mp_member_t;


/*
 * Reports all that is wrong, sets mp->reason, param and over by it, and
 * mp->consent.  Names of root hold no NUL.
 */
void sgtm_mp_check(sgtm_mp_check_t *c, const cJSON *root);

/* the same of a text that could not be read, for this reason */
void sgtm_mp_check_text(sgtm_mp_check_t *c, unsigned reason);

/* the value of "events" */
void sgtm_mp_check_events(sgtm_mp_check_t *c, const cJSON *item);


/* what is common to both */

/* returns bits: which of them are there */
uint32_t sgtm_mp_check_members(sgtm_mp_check_t *c, const cJSON *object,
    const sgtm_mp_member_t *members, size_t n);

void sgtm_mp_check_object(sgtm_mp_check_t *c, const cJSON *item);
void sgtm_mp_check_timestamp(sgtm_mp_check_t *c, const cJSON *item);

/* reports one sgtm_mp_fault_e of what c->where says */
void sgtm_mp_check_fault(sgtm_mp_check_t *c, unsigned fault);

/* whether it is a letter and letters, digits and "_", at most max of them */
int sgtm_mp_check_name(const char *name, size_t max);

/* whether it begins as Google's own names do */
int sgtm_mp_check_reserved(const char *name);

int sgtm_mp_check_listed(const char *name, const sgtm_str_t *list, size_t n);
int sgtm_mp_check_equal(const char *name, const sgtm_str_t *text);

/* the same of a field's name, "userId" being "user_id" */
int sgtm_mp_check_field(const char *name, const sgtm_str_t *field);

/* in characters, not bytes */
int sgtm_mp_check_longer(const char *text, size_t chars);


#endif /* _SGTM_MP_CHECK_H_INCLUDED_ */
