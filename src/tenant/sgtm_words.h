
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The words that a value may be, as directives and tenant records write them.
 * Plain C11 without nginx.
 */


#ifndef _SGTM_WORDS_H_INCLUDED_
#define _SGTM_WORDS_H_INCLUDED_


#include "../hit/sgtm_hit.h"


/* the layout of ngx_conf_enum_t; a list ends with an empty name */

typedef struct sgtm_may_alias {
    sgtm_str_t      name;
    uintptr_t       value;
} sgtm_word_t;


typedef enum {
    SGTM_TIER_ENTERPRISE = 0,
    SGTM_TIER_PROFESSIONAL,
    SGTM_TIER_STARTER
} sgtm_tier_e;

typedef enum {
    SGTM_FALLBACK_OFF = 0,
    SGTM_FALLBACK_CLIENT,
    SGTM_FALLBACK_QUEUE
} sgtm_fallback_e;

typedef enum {
    SGTM_CONSENT_OFF = 0,
    SGTM_CONSENT_BASIC,
    SGTM_CONSENT_ADVANCED
} sgtm_consent_mode_e;

/* what becomes of hits over the month's quota */

typedef enum {
    SGTM_QUOTA_CONTINUE = 0,
    SGTM_QUOTA_SAMPLE,
    SGTM_QUOTA_STOP
} sgtm_quota_e;

typedef enum {
    SGTM_RESIDENCY_ANY = 0,
    SGTM_RESIDENCY_EU,
    SGTM_RESIDENCY_AUTO
} sgtm_residency_e;

typedef enum {
    SGTM_TAGGING_GTM = 0,
    SGTM_TAGGING_GTAG,
    SGTM_TAGGING_LIGHT
} sgtm_tagging_e;

/* the way of an event: through the gateway, from the browser, both, neither */

typedef enum {
    SGTM_EVENT_SERVER = 0,
    SGTM_EVENT_CLIENT,
    SGTM_EVENT_BOTH,
    SGTM_EVENT_OFF,
    SGTM_EVENT_N               /* nothing is said of it */
} sgtm_event_route_e;

typedef enum {
    SGTM_SHOP_STRIPE = 0,
    SGTM_SHOP_SHOPIFY,
    SGTM_SHOP_WOOCOMMERCE,
    SGTM_SHOP_N
} sgtm_shop_e;


extern const sgtm_word_t  sgtm_tiers[];
extern const sgtm_word_t  sgtm_fallbacks[];
extern const sgtm_word_t  sgtm_consent_modes[];
extern const sgtm_word_t  sgtm_consent_states[];   /* sgtm_consent_state_e */
extern const sgtm_word_t  sgtm_quotas[];
extern const sgtm_word_t  sgtm_residencies[];
extern const sgtm_word_t  sgtm_taggings[];
extern const sgtm_word_t  sgtm_event_routes[];
extern const sgtm_word_t  sgtm_shop_names[];


/* the word of the list that the text is, or NULL */
const sgtm_word_t *sgtm_word(const sgtm_word_t *list, const sgtm_str_t *text);

/* the name of a value of the list */
const sgtm_str_t *sgtm_word_name(const sgtm_word_t *list, uintptr_t value);

/* whether two strings are the same bytes */
int sgtm_str_equal(const sgtm_str_t *a, const sgtm_str_t *b);


#endif /* _SGTM_WORDS_H_INCLUDED_ */
