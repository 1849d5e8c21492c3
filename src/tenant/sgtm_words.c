
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "../hit/sgtm_consent.h"
#include "sgtm_words.h"


#define sgtm_word_last  { sgtm_string(""), 0 }


const sgtm_word_t  sgtm_tiers[] = {
    { sgtm_string("enterprise"), SGTM_TIER_ENTERPRISE },
    { sgtm_string("professional"), SGTM_TIER_PROFESSIONAL },
    { sgtm_string("starter"), SGTM_TIER_STARTER },
    sgtm_word_last
};


const sgtm_word_t  sgtm_fallbacks[] = {
    { sgtm_string("queue"), SGTM_FALLBACK_QUEUE },
    { sgtm_string("client"), SGTM_FALLBACK_CLIENT },
    { sgtm_string("off"), SGTM_FALLBACK_OFF },
    sgtm_word_last
};


const sgtm_word_t  sgtm_consent_modes[] = {
    { sgtm_string("off"), SGTM_CONSENT_OFF },
    { sgtm_string("basic"), SGTM_CONSENT_BASIC },
    { sgtm_string("advanced"), SGTM_CONSENT_ADVANCED },
    sgtm_word_last
};


const sgtm_word_t  sgtm_consent_states[] = {
    { sgtm_string("granted"), SGTM_GRANTED },
    { sgtm_string("denied"), SGTM_DENIED },
    sgtm_word_last
};


const sgtm_word_t  sgtm_quotas[] = {
    { sgtm_string("continue"), SGTM_QUOTA_CONTINUE },
    { sgtm_string("sample"), SGTM_QUOTA_SAMPLE },
    { sgtm_string("stop"), SGTM_QUOTA_STOP },
    sgtm_word_last
};


const sgtm_word_t  sgtm_residencies[] = {
    { sgtm_string("any"), SGTM_RESIDENCY_ANY },
    { sgtm_string("eu"), SGTM_RESIDENCY_EU },
    { sgtm_string("auto"), SGTM_RESIDENCY_AUTO },
    sgtm_word_last
};


const sgtm_word_t  sgtm_taggings[] = {
    { sgtm_string("gtm"), SGTM_TAGGING_GTM },
    { sgtm_string("gtag"), SGTM_TAGGING_GTAG },
    { sgtm_string("light"), SGTM_TAGGING_LIGHT },
    sgtm_word_last
};


const sgtm_word_t  sgtm_event_routes[] = {
    { sgtm_string("server"), SGTM_EVENT_SERVER },
    { sgtm_string("client"), SGTM_EVENT_CLIENT },
    { sgtm_string("both"), SGTM_EVENT_BOTH },
    { sgtm_string("off"), SGTM_EVENT_OFF },
    sgtm_word_last
};


const sgtm_word_t  sgtm_shop_names[] = {
    { sgtm_string("stripe"), SGTM_SHOP_STRIPE },
    { sgtm_string("shopify"), SGTM_SHOP_SHOPIFY },
    { sgtm_string("woocommerce"), SGTM_SHOP_WOOCOMMERCE },
    sgtm_word_last
};


const sgtm_word_t *
sgtm_word(const sgtm_word_t *list, const sgtm_str_t *text)
{
    for ( /* void */ ; list->name.len; list++) {
        if (sgtm_str_equal(&list->name, text)) {
            return list;
        }
    }

    return NULL;
}


const sgtm_str_t *
sgtm_word_name(const sgtm_word_t *list, uintptr_t value)
{
    while (list->name.len && list->value != value) {
        list++;
    }

    return &list->name;
}


int
sgtm_str_equal(const sgtm_str_t *a, const sgtm_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
