
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

/*
 * Whether it has to be called for an argument: "ep", "up", "pr" and "d" with
 * "l", "r" or "t", by the first two bytes of a key.
 */

extern const uint8_t  sgtm_limits_first[256];
extern const uint8_t  sgtm_limits_second[256];

#define sgtm_limits_concern(arg)                                              \
    (((sgtm_limits_first[(arg)->word & 0xff]                                  \
       & sgtm_limits_second[(arg)->word >> 8 & 0xff]))                        \
     | (arg)->escaped)

/* the bits of an event's name, the value of "en" */
unsigned sgtm_limits_event_name(const sgtm_str_t *value);

/* the bits of the value of "uid" */
unsigned sgtm_limits_user_id(const sgtm_str_t *value);


#endif /* _SGTM_LIMITS_H_INCLUDED_ */
