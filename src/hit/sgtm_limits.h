
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The limits that Google documents for GA4: what goes past them is counted,
 * not refused.
 */


#ifndef _SGTM_LIMITS_H_INCLUDED_
#define _SGTM_LIMITS_H_INCLUDED_


#include "sgtm_args.h"


/* what an event has so far, the shared arguments included */

typedef struct {
    unsigned        params;
    unsigned        user_props;
    unsigned        items;
} sgtm_limits_t;


/*
 * Counts an argument and returns the SGTM_OVER_* bits that it adds, for every
 * key but "en" and "uid".
 */
unsigned sgtm_limits_arg(sgtm_limits_t *limits, const sgtm_arg_t *arg);

/* whether it could return any for this argument */
#define sgtm_limits_concern(arg)                                              \
    ((arg)->escaped                                                           \
     || ((arg)->key.len                                                       \
         && ((arg)->key.data[0] == 'e' || (arg)->key.data[0] == 'u'           \
             || (arg)->key.data[0] == 'd' || (arg)->key.data[0] == 'p')))

/* the bits of an event's name, the value of "en" */
unsigned sgtm_limits_event_name(const sgtm_str_t *value);

/* the bits of the value of "uid" */
unsigned sgtm_limits_user_id(const sgtm_str_t *value);


#endif /* _SGTM_LIMITS_H_INCLUDED_ */
