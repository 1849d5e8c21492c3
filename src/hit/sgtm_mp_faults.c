
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_mp_check.h"


const sgtm_str_t  sgtm_mp_codes[SGTM_MP_CODE_N] = {
    sgtm_string("VALUE_INVALID"),
    sgtm_string("VALUE_REQUIRED"),
    sgtm_string("NAME_INVALID"),
    sgtm_string("NAME_RESERVED"),
    sgtm_string("VALUE_OUT_OF_BOUNDS"),
    sgtm_string("EXCEEDED_MAX_ENTITIES"),
    sgtm_string("NAME_DUPLICATED")
};


#define sgtm_mp_refused(code, reason, text)                                   \
    { sgtm_string(text), 0, SGTM_MP_ ## code, SGTM_REASON_ ## reason }

#define sgtm_mp_counted(code, over, text)                                     \
    { sgtm_string(text), SGTM_OVER_ ## over, SGTM_MP_ ## code, 0 }

#define sgtm_mp_told(code, text)                                              \
    { sgtm_string(text), 0, SGTM_MP_ ## code, 0 }


/* by sgtm_mp_fault_e */

const sgtm_mp_fault_t  sgtm_mp_faults[] = {

    sgtm_mp_refused(VALUE_INVALID, BAD_JSON,
                    "The body must be one JSON object."),
    sgtm_mp_refused(VALUE_INVALID, JSON_DEPTH,
                    "The JSON must not be nested deeper than 16."),
    sgtm_mp_refused(VALUE_INVALID, BAD_BYTE,
                    "A string must not hold control characters or NUL."),
    sgtm_mp_refused(VALUE_INVALID, BAD_UTF8,
                    "The body must be UTF-8."),
    sgtm_mp_refused(VALUE_INVALID, BAD_MEMBER,
                    "The value must be an object."),
    sgtm_mp_told(VALUE_INVALID,
                 "The value must be a string."),
    sgtm_mp_refused(NAME_DUPLICATED, TWICE,
                    "The name must be there once."),
    sgtm_mp_told(NAME_DUPLICATED,
                 "The name should be there once."),
    sgtm_mp_told(VALUE_INVALID,
                 "The Measurement Protocol has no such member."),

    sgtm_mp_refused(VALUE_REQUIRED, NO_CLIENT,
                    "A client_id or an app_instance_id is required."),
    sgtm_mp_refused(VALUE_INVALID, NO_CLIENT,
                    "The value must be a string that is not empty."),
    sgtm_mp_counted(VALUE_OUT_OF_BOUNDS, USER_ID,
                    "A user_id may have 256 characters."),
    sgtm_mp_refused(VALUE_INVALID, BAD_MEMBER,
                    "The value must be a Unix time in microseconds."),
    sgtm_mp_told(VALUE_OUT_OF_BOUNDS,
                 "The time must not lie in the future nor more than 72 hours"
                 " back."),
    sgtm_mp_told(VALUE_INVALID,
                 "The value must be GRANTED or DENIED."),
    sgtm_mp_told(VALUE_INVALID,
                 "The value must be true or false."),

    sgtm_mp_refused(VALUE_REQUIRED, NO_EVENTS,
                    "An array of events is required."),
    sgtm_mp_refused(VALUE_INVALID, NO_EVENTS,
                    "The value must be an array with an event at least."),
    sgtm_mp_refused(EXCEEDED_MAX_ENTITIES, TOO_MANY_EVENTS,
                    "A request may have 25 events."),
    sgtm_mp_refused(VALUE_REQUIRED, BAD_EVENT_NAME,
                    "An event must have a name."),
    sgtm_mp_refused(NAME_INVALID, BAD_EVENT_NAME,
                    "An event's name is a letter and up to 39 letters, digits"
                    " and underscores."),
    sgtm_mp_counted(NAME_RESERVED, RESERVED,
                    "The name is reserved."),
    sgtm_mp_refused(EXCEEDED_MAX_ENTITIES, TOO_MANY_PARAMS,
                    "An event may have 25 parameters, 100 in Analytics 360."),
    sgtm_mp_counted(EXCEEDED_MAX_ENTITIES, PARAMS,
                    "An event may have 25 parameters."),
    sgtm_mp_told(NAME_INVALID,
                 "A parameter's name is a letter and letters, digits and"
                 " underscores."),
    sgtm_mp_counted(NAME_INVALID, PARAM_NAME,
                    "A parameter's name may have 40 characters."),
    sgtm_mp_counted(NAME_RESERVED, RESERVED,
                    "The parameter's name is reserved."),
    sgtm_mp_counted(VALUE_OUT_OF_BOUNDS, PARAM_VALUE,
                    "A parameter's value may have 100 characters, page_title"
                    " 300, page_referrer 420, page_location 1000."),
    sgtm_mp_counted(EXCEEDED_MAX_ENTITIES, USER_PROPS,
                    "A request may have 25 user properties."),
    sgtm_mp_told(NAME_INVALID,
                 "A user property's name is a letter and letters, digits and"
                 " underscores."),
    sgtm_mp_counted(NAME_INVALID, USER_PROP_NAME,
                    "A user property's name may have 24 characters."),
    sgtm_mp_counted(NAME_RESERVED, RESERVED,
                    "The user property's name is reserved."),
    sgtm_mp_told(VALUE_INVALID,
                 "A user property must be an object with a value."),
    sgtm_mp_counted(VALUE_OUT_OF_BOUNDS, USER_PROP_VALUE,
                    "A user property's value may have 36 characters."),
    sgtm_mp_told(VALUE_INVALID,
                 "The value must be an array of objects."),
    sgtm_mp_counted(EXCEEDED_MAX_ENTITIES, ITEMS,
                    "An event may have 200 items."),
    sgtm_mp_counted(EXCEEDED_MAX_ENTITIES, ITEM_PARAMS,
                    "An item may have 27 parameters of its own."),
    sgtm_mp_refused(EXCEEDED_MAX_ENTITIES, TOO_MANY_VALUES,
                    "A request may have 1000 values in user_data.")
};


_Static_assert(sizeof(sgtm_mp_faults) / sizeof(sgtm_mp_faults[0])
               == SGTM_MP_F_N, "a text for every fault");
