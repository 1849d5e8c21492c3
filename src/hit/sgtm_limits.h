
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The limits that Google documents for GA4: what goes past them is counted,
 * not refused.
 */


#ifndef _SGTM_LIMITS_H_INCLUDED_
#define _SGTM_LIMITS_H_INCLUDED_


#include "sgtm_args.h"


/* names and values in characters */

#define SGTM_LIMIT_EVENT_NAME   40

#define SGTM_LIMIT_PARAMS       25
#define SGTM_LIMIT_PARAM_NAME   40
#define SGTM_LIMIT_PARAM_VALUE  100
#define SGTM_LIMIT_TITLE        300
#define SGTM_LIMIT_REFERRER     420
#define SGTM_LIMIT_LOCATION     1000

#define SGTM_LIMIT_USER_PROPS   25
#define SGTM_LIMIT_PROP_NAME    24
#define SGTM_LIMIT_PROP_VALUE   36
#define SGTM_LIMIT_USER_ID      256

#define SGTM_LIMIT_ITEMS        200
#define SGTM_LIMIT_ITEM_PARAMS  27     /* of its own, not Google's */


/* what an event has so far, the shared arguments included */

typedef struct {
    unsigned        params;
    unsigned        user_props;
    unsigned        items;
} sgtm_limits_t;


/* as sgtm_limits_arg(), for an escaped key, and for a key and its word */
unsigned sgtm_limits_escaped(sgtm_limits_t *limits, sgtm_str_t key,
    sgtm_str_t value);
unsigned sgtm_limits_key(sgtm_limits_t *limits, sgtm_str_t key, uint64_t word,
    sgtm_str_t value);


/*
 * Counts an argument and returns the SGTM_OVER_* bits that it adds, for every
 * key but "en" and "uid".
 */

static inline unsigned
sgtm_limits_arg(sgtm_limits_t *limits, const sgtm_arg_t *arg)
{
    if (arg->escaped) {
        return sgtm_limits_escaped(limits, arg->key, arg->value);
    }

    return sgtm_limits_key(limits, arg->key, arg->word, arg->value);
}


/* the bits of an event's name, the value of "en" */
unsigned sgtm_limits_event_name(sgtm_str_t value);

/* the bits of the value of "uid" */
unsigned sgtm_limits_user_id(const sgtm_str_t *value);

/* how long the value of a parameter of this name may be */
unsigned sgtm_limits_value(const unsigned char *name, size_t len);

/* SGTM_OVER_RESERVED, if a name begins as Google's own do; or 0 */
unsigned sgtm_limits_reserved(const sgtm_str_t *name);


#endif /* _SGTM_LIMITS_H_INCLUDED_ */
