
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_args.h"
#include "sgtm_consent.h"


#define SGTM_GCS_LEN  4
#define SGTM_GCD_LEN  9        /* what follows the last position is not read */


const sgtm_str_t  sgtm_consent_names[SGTM_CONSENT_N] = {
    sgtm_string("ad_storage"),
    sgtm_string("analytics_storage"),
    sgtm_string("ad_user_data"),
    sgtm_string("ad_personalization")
};


/* what the default and the update together come to; by letter from "a" */

static const uint8_t  sgtm_gcd_letters[26] = {
    ['l' - 'a'] = SGTM_UNSET,
    ['m' - 'a'] = SGTM_DENIED,
    ['n' - 'a'] = SGTM_GRANTED,
    ['p' - 'a'] = SGTM_DENIED,
    ['q' - 'a'] = SGTM_DENIED,
    ['r' - 'a'] = SGTM_GRANTED,
    ['t' - 'a'] = SGTM_GRANTED,
    ['u' - 'a'] = SGTM_DENIED,
    ['v' - 'a'] = SGTM_GRANTED
};


int
sgtm_consent_type(const sgtm_str_t *name, unsigned *type)
{
    unsigned           i;
    const sgtm_str_t  *known;

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        known = &sgtm_consent_names[i];

        if (known->len == name->len
            && memcmp(known->data, name->data, name->len) == 0)
        {
            *type = i;
            return SGTM_OK;
        }
    }

    return SGTM_DECLINED;
}


int
sgtm_consent_gcs(const sgtm_str_t *value, sgtm_consent_t *consent)
{
    size_t          i;
    unsigned char   buf[SGTM_GCS_LEN + 1];
    sgtm_consent_t  read;

    memset(consent, 0, sizeof(sgtm_consent_t));
    memset(&read, 0, sizeof(sgtm_consent_t));

    if (sgtm_args_decode(buf, sizeof(buf), value) != SGTM_GCS_LEN
        || buf[0] != 'G' || buf[1] != '1')
    {
        return SGTM_DECLINED;
    }

    for (i = SGTM_AD_STORAGE; i <= SGTM_ANALYTICS_STORAGE; i++) {

        switch (buf[2 + i]) {

        case '1':
            read.state[i] = SGTM_GRANTED;
            break;

        case '0':
            read.state[i] = SGTM_DENIED;
            break;

        case '-':
            break;

        default:
            return SGTM_DECLINED;
        }
    }

    *consent = read;

    return SGTM_OK;
}


int
sgtm_consent_gcd(const sgtm_str_t *value, sgtm_consent_t *consent)
{
    size_t         i;
    unsigned       letter;
    unsigned char  buf[SGTM_GCD_LEN];

    memset(consent, 0, sizeof(sgtm_consent_t));

    if (sgtm_args_decode(buf, sizeof(buf), value) != SGTM_GCD_LEN
        || buf[0] != '1')
    {
        return SGTM_DECLINED;
    }

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        letter = (unsigned) buf[2 + 2 * i] - 'a';

        if (letter < sizeof(sgtm_gcd_letters)) {
            consent->state[i] = sgtm_gcd_letters[letter];
        }
    }

    return SGTM_OK;
}


void
sgtm_consent_fill(sgtm_consent_t *dst, const sgtm_consent_t *src)
{
    size_t  i;

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        if (dst->state[i] == SGTM_UNSET) {
            dst->state[i] = src->state[i];
        }
    }
}


void
sgtm_consent_strictest(sgtm_consent_t *dst, const sgtm_consent_t *src)
{
    size_t  i;

    /* the states are numbered by strictness */

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        if (dst->state[i] < src->state[i]) {
            dst->state[i] = src->state[i];
        }
    }
}


unsigned
sgtm_consent_denials(const sgtm_consent_t *consent)
{
    size_t    i;
    unsigned  deny;

    deny = 0;

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        if (consent->state[i] == SGTM_DENIED) {
            deny |= (1u << i) | SGTM_DENY_ANY;
        }
    }

    return deny;
}


void
sgtm_consent_write_gcs(unsigned char *out, const sgtm_consent_t *consent)
{
    static const unsigned char  states[] = "-10";

    out[0] = 'G';
    out[1] = '1';
    out[2] = states[consent->state[SGTM_AD_STORAGE]];
    out[3] = states[consent->state[SGTM_ANALYTICS_STORAGE]];
}


_Static_assert(1 << SGTM_AD_STORAGE == SGTM_DENY_AD_STORAGE
               && 1 << SGTM_ANALYTICS_STORAGE == SGTM_DENY_ANALYTICS_STORAGE
               && 1 << SGTM_AD_USER_DATA == SGTM_DENY_AD_USER_DATA
               && 1 << SGTM_AD_PERSONALIZATION == SGTM_DENY_AD_PERSONALIZATION,
               "a type's bit in the mask");

_Static_assert(SGTM_UNSET == 0 && SGTM_GRANTED == 1 && SGTM_DENIED == 2,
               "the states' order and letters");
