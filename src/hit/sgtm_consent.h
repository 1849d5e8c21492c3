
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Google's consent mode: the signals of a hit and what follows from several.
 * gcs and gcd are not documented by Google; positions and letters are those
 * that its own tags write.
 */


#ifndef _SGTM_CONSENT_H_INCLUDED_
#define _SGTM_CONSENT_H_INCLUDED_


#include "sgtm_hit.h"


typedef enum {
    SGTM_AD_STORAGE = 0,
    SGTM_ANALYTICS_STORAGE,
    SGTM_AD_USER_DATA,
    SGTM_AD_PERSONALIZATION,
    SGTM_CONSENT_N
} sgtm_consent_type_e;


typedef enum {
    SGTM_UNSET = 0,
    SGTM_GRANTED,
    SGTM_DENIED
} sgtm_consent_state_e;


typedef struct {
    uint8_t         state[SGTM_CONSENT_N];     /* sgtm_consent_state_e */
} sgtm_consent_t;


/* "ad_storage" and so on, by sgtm_consent_type_e */
extern const sgtm_str_t  sgtm_consent_names[SGTM_CONSENT_N];


/* the sgtm_consent_type_e of a name; SGTM_DECLINED: it is none */
int sgtm_consent_type(const sgtm_str_t *name, unsigned *type);

/*
 * Reads "G1xx" (ad_storage, analytics_storage; "1" granted, "0" denied, "-"
 * not set).  The value may be percent-encoded.  Every type that it does not
 * speak of is set to SGTM_UNSET.  SGTM_DECLINED: another version or form;
 * everything is SGTM_UNSET then.
 */
int sgtm_consent_gcs(const sgtm_str_t *value, sgtm_consent_t *consent);

/*
 * Reads gcd by position: [2] ad_storage, [4] analytics_storage, [6]
 * ad_user_data, [8] ad_personalization.  A letter that is not known is
 * SGTM_UNSET for its type.  SGTM_DECLINED as above.
 */
int sgtm_consent_gcd(const sgtm_str_t *value, sgtm_consent_t *consent);

/* types that are not set in dst take src's state */
void sgtm_consent_fill(sgtm_consent_t *dst, const sgtm_consent_t *src);

/* the stricter of the two in dst: denied over granted over not set */
void sgtm_consent_strictest(sgtm_consent_t *dst, const sgtm_consent_t *src);

/* the SGTM_DENY_* bits of what is denied, with SGTM_DENY_ANY if anything is */
unsigned sgtm_consent_denials(const sgtm_consent_t *consent);

/* writes the four bytes of "G111", "-" for what is not set */
void sgtm_consent_write_gcs(unsigned char *out, const sgtm_consent_t *consent);


#endif /* _SGTM_CONSENT_H_INCLUDED_ */
