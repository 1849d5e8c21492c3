
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_hit.h"


const sgtm_reason_t  sgtm_reasons[] = {

    { sgtm_string("none"), sgtm_string(""),
      sgtm_string("") },

    { sgtm_string("no_version"), sgtm_string("v"),
      sgtm_string("missing or not 2") },

    { sgtm_string("no_tag_id"), sgtm_string("tid"),
      sgtm_string("missing") },

    { sgtm_string("bad_tag_id"), sgtm_string("tid"),
      sgtm_string("not a measurement id") },

    { sgtm_string("foreign_tag_id"), sgtm_string("tid"),
      sgtm_string("not allowed here") },

    { sgtm_string("no_event"), sgtm_string("en"),
      sgtm_string("missing or empty") },

    { sgtm_string("bad_escape"), sgtm_string(""),
      sgtm_string("\"%\" without two hexadecimal digits") },

    { sgtm_string("bad_byte"), sgtm_string(""),
      sgtm_string("a control character") },

    { sgtm_string("bad_utf8"), sgtm_string(""),
      sgtm_string("not UTF-8") },

    { sgtm_string("too_many_args"), sgtm_string("arguments"),
      sgtm_string("too many") },

    { sgtm_string("too_many_events"), sgtm_string("body"),
      sgtm_string("too many events") },

    { sgtm_string("encoded"), sgtm_string("arguments"),
      sgtm_string("encoded in one value") },

    { sgtm_string("bad_json"), sgtm_string("body"),
      sgtm_string("not a JSON object") },

    { sgtm_string("json_depth"), sgtm_string("body"),
      sgtm_string("nested too deep") },

    { sgtm_string("bad_member"), sgtm_string(""),
      sgtm_string("of another type than it has to be") },

    { sgtm_string("twice"), sgtm_string(""),
      sgtm_string("there twice") },

    { sgtm_string("no_client"), sgtm_string("client_id"),
      sgtm_string("missing or empty") },

    { sgtm_string("no_events"), sgtm_string("events"),
      sgtm_string("missing or empty") },

    { sgtm_string("bad_event_name"), sgtm_string("events.name"),
      sgtm_string("missing, or not a name") },

    { sgtm_string("too_many_params"), sgtm_string("events.params"),
      sgtm_string("too many") },

    { sgtm_string("too_many_values"), sgtm_string(""),
      sgtm_string("too many") }
};


_Static_assert(sizeof(sgtm_reasons) / sizeof(sgtm_reasons[0])
               == SGTM_REASON_HIT_LAST, "a text for every reason");


const sgtm_str_t  sgtm_over_labels[SGTM_OVER_N] = {
    sgtm_string("event_name"),
    sgtm_string("params"),
    sgtm_string("param_name"),
    sgtm_string("param_value"),
    sgtm_string("user_props"),
    sgtm_string("user_prop_name"),
    sgtm_string("user_prop_value"),
    sgtm_string("user_id"),
    sgtm_string("items"),
    sgtm_string("item_params"),
    sgtm_string("reserved")
};
