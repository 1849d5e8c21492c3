
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The built-in tables: what the gate reads itself, and the matrix of what
 * each denial removes.
 */


#include "sgtm_names.h"


#define SGTM_ADS        SGTM_DENY_AD_STORAGE
#define SGTM_ANALYTICS  SGTM_DENY_ANALYTICS_STORAGE
#define SGTM_USER_DATA  SGTM_DENY_AD_USER_DATA
#define SGTM_ADDRESS    (SGTM_DENY_ANY|SGTM_DENY_ADDRESS)


#define sgtm_key(name, key)                                                   \
    { sgtm_string(name), { key, 0, 0, 0 } }

#define sgtm_limited(name)                                                    \
    { sgtm_string(name), { SGTM_KEY_NONE, 0, 0, 0 } }

#define sgtm_denied(name, deny)                                               \
    { sgtm_string(name), { SGTM_KEY_NONE, deny, 0, 0 } }

#define sgtm_cookie(name, deny)                                               \
    { sgtm_string(name), { SGTM_KEY_NONE, deny, SGTM_NAME_ALLOW, 0 } }

#define sgtm_end  { { 0, NULL }, { 0, 0, 0, 0 } }


const sgtm_default_t  sgtm_default_params[] = {

    sgtm_key("v", SGTM_KEY_V),
    sgtm_key("tid", SGTM_KEY_TID),
    sgtm_key("en", SGTM_KEY_EN),
    sgtm_key("cid", SGTM_KEY_CID),
    sgtm_key("sid", SGTM_KEY_SID),
    sgtm_key("gcs", SGTM_KEY_GCS),
    sgtm_key("gcd", SGTM_KEY_GCD),
    sgtm_key("npa", SGTM_KEY_NPA),
    sgtm_key("id", SGTM_KEY_ID),
    sgtm_key("measurement_id", SGTM_KEY_MEASUREMENT_ID),
    sgtm_key("richsstsse", SGTM_KEY_RICHSSTSSE),

    { sgtm_string("uid"),
      { SGTM_KEY_UID, SGTM_ANALYTICS|SGTM_USER_DATA, 0, 0 } },

    sgtm_denied("_fid", SGTM_ANALYTICS),
    sgtm_denied("ecid", SGTM_ANALYTICS),
    sgtm_denied("_fplc", SGTM_ANALYTICS),
    sgtm_denied("_gsid", SGTM_ANALYTICS),
    sgtm_denied("sct", SGTM_ANALYTICS),
    sgtm_denied("seg", SGTM_ANALYTICS),
    sgtm_denied("_fv", SGTM_ANALYTICS),
    sgtm_denied("_ss", SGTM_ANALYTICS),
    sgtm_denied("_nsi", SGTM_ANALYTICS),

    /* the linker carries the client id and the click ids */
    sgtm_denied("_gl", SGTM_ANALYTICS|SGTM_ADS),

    sgtm_denied("gclid", SGTM_ADS),
    sgtm_denied("dclid", SGTM_ADS),
    sgtm_denied("gbraid", SGTM_ADS),
    sgtm_denied("wbraid", SGTM_ADS),
    sgtm_denied("gad_source", SGTM_ADS),
    sgtm_denied("gad_campaignid", SGTM_ADS),
    sgtm_denied("srsltid", SGTM_ADS),
    sgtm_denied("fbclid", SGTM_ADS),
    sgtm_denied("msclkid", SGTM_ADS),
    sgtm_denied("ttclid", SGTM_ADS),
    sgtm_denied("twclid", SGTM_ADS),
    sgtm_denied("li_fat_id", SGTM_ADS),
    sgtm_denied("auid", SGTM_ADS),
    sgtm_denied("gclaw", SGTM_ADS),
    sgtm_denied("gclgb", SGTM_ADS),
    sgtm_denied("gclgs", SGTM_ADS),
    sgtm_denied("_rnd", SGTM_ADS),
    sgtm_denied("gacid", SGTM_ADS),

    sgtm_denied("ep.user_data.*", SGTM_USER_DATA),
    sgtm_denied("epn.user_data.*", SGTM_USER_DATA),
    sgtm_denied("em", SGTM_USER_DATA),
    sgtm_denied("ec_mode", SGTM_USER_DATA),

    sgtm_denied("_uip", SGTM_ADDRESS),
    sgtm_denied("uip", SGTM_ADDRESS),

    /* there is no rule for these, but GA4 has a limit */
    sgtm_limited("ep*"),
    sgtm_limited("up*"),
    sgtm_limited("pr*"),
    sgtm_limited("dl"),
    sgtm_limited("dr"),
    sgtm_limited("dt"),

    sgtm_end
};


const sgtm_default_t  sgtm_default_cookies[] = {

    sgtm_cookie("_ga", SGTM_ANALYTICS),
    sgtm_cookie("_ga_*", SGTM_ANALYTICS),
    sgtm_cookie("_gid", SGTM_ANALYTICS),
    sgtm_cookie("FPID", SGTM_ANALYTICS),
    sgtm_cookie("FPLC", SGTM_ANALYTICS),
    sgtm_cookie("FPGSID", SGTM_ANALYTICS),
    sgtm_cookie("_dcid", SGTM_ANALYTICS),

    sgtm_cookie("_gcl_*", SGTM_ADS),
    sgtm_cookie("FPAU", SGTM_ADS),
    sgtm_cookie("FPGCL*", SGTM_ADS),
    sgtm_cookie("_fbp", SGTM_ADS),
    sgtm_cookie("_fbc", SGTM_ADS),

    /* a preview session is the operator's own */
    sgtm_cookie("gtm_auth", 0),
    sgtm_cookie("gtm_debug", 0),
    sgtm_cookie("gtm_preview", 0),

    sgtm_end
};
