
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_tenant_core.h"


static sgtm_tenant_reader(sgtm_tenant_read_text);
static sgtm_tenant_reader(sgtm_tenant_read_texts);
static sgtm_tenant_reader(sgtm_tenant_read_word);
static sgtm_tenant_reader(sgtm_tenant_read_number);
static sgtm_tenant_reader(sgtm_tenant_read_updated);


#define sgtm_tenant_at_offset(type, t, spec)                                  \
    ((type *) (void *) ((unsigned char *) (t) + (spec)->offset))


/* by sgtm_tenant_field_e */

const sgtm_tenant_spec_t  sgtm_tenant_specs[] = {

    { sgtm_string("id"), sgtm_tenant_read_text, sgtm_tenant_write_text,
      offsetof(sgtm_tenant_t, id), sgtm_form_tenant, NULL, SGTM_TENANT_ID_MAX,
      "not of 1 to 128 letters, digits and \"._-\", the first one a letter or "
      "digit", 0 },

    { sgtm_string("hosts"), sgtm_tenant_read_texts, sgtm_tenant_write_texts,
      offsetof(sgtm_tenant_t, hosts), sgtm_form_host, NULL, SGTM_TENANT_ITEMS,
      "not a host name", 1 },

    { sgtm_string("agency"), sgtm_tenant_read_text, sgtm_tenant_write_text,
      offsetof(sgtm_tenant_t, agency), sgtm_form_tenant, NULL,
      SGTM_TENANT_ID_MAX,
      "not of 1 to 128 letters, digits and \"._-\", the first one a letter or "
      "digit", 0 },

    { sgtm_string("containers"), sgtm_tenant_read_texts,
      sgtm_tenant_write_texts,
      offsetof(sgtm_tenant_t, containers), sgtm_form_container, NULL,
      SGTM_TENANT_ITEMS, "not a container id as \"GTM-ABC1234\"", 0 },

    { sgtm_string("tag_ids"), sgtm_tenant_read_texts, sgtm_tenant_write_texts,
      offsetof(sgtm_tenant_t, tag_ids), sgtm_form_tag_id, NULL,
      SGTM_TENANT_ITEMS,
      "not a tag id as \"G-ABC1234567\" (or \"GT-\", \"AW-\", \"DC-\")", 0 },

    { sgtm_string("tier"), sgtm_tenant_read_word, sgtm_tenant_write_word,
      offsetof(sgtm_tenant_t, tier), NULL, sgtm_tiers, 0,
      "not \"enterprise\", \"professional\" or \"starter\"", 0 },

    { sgtm_string("consent_mode"), sgtm_tenant_read_word,
      sgtm_tenant_write_word,
      offsetof(sgtm_tenant_t, consent_mode), NULL, sgtm_consent_modes, 0,
      "not \"off\", \"basic\" or \"advanced\"", 0 },

    { sgtm_string("consent_default"), sgtm_tenant_read_consent,
      sgtm_tenant_write_consent,
      offsetof(sgtm_tenant_t, consent_default), NULL, sgtm_consent_states,
      SGTM_CONSENT_N, "not \"granted\" or \"denied\"", 0 },

    { sgtm_string("fallback"), sgtm_tenant_read_word, sgtm_tenant_write_word,
      offsetof(sgtm_tenant_t, fallback), NULL, sgtm_fallbacks, 0,
      "not \"queue\", \"client\" or \"off\"", 0 },

    { sgtm_string("rate"), sgtm_tenant_read_rate, sgtm_tenant_write_rate,
      offsetof(sgtm_tenant_t, rate), NULL, NULL, 0,
      "not \"off\", or hits a second or minute such as \"100r/s\" or "
      "\"1000r/m\"", 0 },

    { sgtm_string("burst"), sgtm_tenant_read_number, sgtm_tenant_write_burst,
      offsetof(sgtm_tenant_t, rate.burst), NULL, NULL, SGTM_BURST_MAX,
      "not a whole number from 1 to 100000000", 0 },

    { sgtm_string("quota"), sgtm_tenant_read_number, sgtm_tenant_write_number,
      offsetof(sgtm_tenant_t, quota), NULL, NULL, SGTM_TENANT_QUOTA_MAX,
      "not a whole number from 1 to 1000000000000000", 0 },

    { sgtm_string("quota_action"), sgtm_tenant_read_word,
      sgtm_tenant_write_word,
      offsetof(sgtm_tenant_t, quota_action), NULL, sgtm_quotas, 0,
      "not \"continue\", \"sample\" or \"stop\"", 0 },

    { sgtm_string("quota_sample"), sgtm_tenant_read_number,
      sgtm_tenant_write_sample,
      offsetof(sgtm_tenant_t, quota_sample), NULL, NULL, 99,
      "not a whole number from 1 to 99", 0 },

    { sgtm_string("residency"), sgtm_tenant_read_word, sgtm_tenant_write_word,
      offsetof(sgtm_tenant_t, residency), NULL, sgtm_residencies, 0,
      "not \"any\", \"eu\" or \"auto\"", 0 },

    { sgtm_string("endpoint"), sgtm_tenant_read_text, sgtm_tenant_write_text,
      offsetof(sgtm_tenant_t, endpoint), sgtm_form_address, NULL,
      SGTM_TENANT_ADDRESS, "not a host name with an optional port", 1 },

    { sgtm_string("upstream"), sgtm_tenant_read_text, sgtm_tenant_write_text,
      offsetof(sgtm_tenant_t, upstream), sgtm_form_address, NULL,
      SGTM_TENANT_ADDRESS,
      "not an upstream's name or a host name with an optional port", 1 },

    { sgtm_string("origins"), sgtm_tenant_read_origins,
      sgtm_tenant_write_origins,
      offsetof(sgtm_tenant_t, origins), NULL, NULL, SGTM_TENANT_ITEMS,
      "not an origin as \"https://shop.example\", \"shop.example\" or "
      "\"*.shop.example\"", 1 },

    { sgtm_string("credentials"), sgtm_tenant_read_credentials,
      sgtm_tenant_write_credentials,
      offsetof(sgtm_tenant_t, credentials), NULL, NULL, SGTM_TENANT_ITEMS,
      NULL, 0 },

    { sgtm_string("set_params"), sgtm_tenant_read_sets, sgtm_tenant_write_sets,
      offsetof(sgtm_tenant_t, set_params), sgtm_form_param, NULL,
      SGTM_TENANT_SETS, "not a parameter's name of letters, digits and "
      "\"._-~\"", 0 },

    { sgtm_string("cookies"), sgtm_tenant_read_texts, sgtm_tenant_write_texts,
      offsetof(sgtm_tenant_t, cookies), sgtm_form_cookie, NULL,
      SGTM_TENANT_ITEMS,
      "not a cookie's name, with \"*\" at its end for all that begin so", 0 },

    { sgtm_string("script"), sgtm_tenant_read_text, sgtm_tenant_write_text,
      offsetof(sgtm_tenant_t, script), sgtm_form_script, NULL,
      SGTM_TENANT_ADDRESS,
      "not a path below the prefix, as \"t.js\", of letters, digits and "
      "\"-._/\", that has no other meaning", 0 },

    { sgtm_string("tagging"), sgtm_tenant_read_word, sgtm_tenant_write_word,
      offsetof(sgtm_tenant_t, tagging), NULL, sgtm_taggings, 0,
      "not \"gtm\", \"gtag\" or \"light\"", 0 },

    { sgtm_string("webhooks"), sgtm_tenant_read_webhooks,
      sgtm_tenant_write_webhooks,
      offsetof(sgtm_tenant_t, webhooks), NULL, sgtm_shop_names, SGTM_SHOP_N,
      NULL, 0 },

    { sgtm_string("api_secrets"), sgtm_tenant_read_secrets,
      sgtm_tenant_write_secrets,
      offsetof(sgtm_tenant_t, api_secrets), NULL, NULL, SGTM_TENANT_SECRETS,
      NULL, 0 },

    { sgtm_string("events"), sgtm_tenant_read_events, sgtm_tenant_write_events,
      offsetof(sgtm_tenant_t, events), sgtm_form_event, sgtm_event_routes,
      SGTM_TENANT_ITEMS, "not \"server\", \"client\", \"both\" or \"off\"",
      0 },

    { sgtm_string("features"), sgtm_tenant_read_features,
      sgtm_tenant_write_features,
      offsetof(sgtm_tenant_t, features), NULL, sgtm_tenant_features,
      SGTM_TENANT_ITEMS, "not true or false", 0 },

    { sgtm_string("version"), sgtm_tenant_read_number,
      sgtm_tenant_write_number,
      offsetof(sgtm_tenant_t, version), NULL, NULL, INT64_MAX,
      "not a whole number from 0 to 9223372036854775807", 0 },

    { sgtm_string("updated"), sgtm_tenant_read_updated, sgtm_tenant_write_text,
      offsetof(sgtm_tenant_t, updated), NULL, NULL, 64,
      "not a time of RFC 3339 as \"2026-11-20T10:00:00Z\"", 0 }
};


static sgtm_tenant_reader(sgtm_tenant_read_text)
{
    sgtm_str_t  *text;

    text = sgtm_tenant_at_offset(sgtm_str_t, b->t, spec);

    if (!sgtm_tenant_string(b, item, text)) {
        return;
    }

    if (text->len > (size_t) spec->max || !spec->form(text)) {
        sgtm_tenant_error(b, spec->error);
        return;
    }

    if (spec->lower) {
        sgtm_form_lower(text);
    }
}


static sgtm_tenant_reader(sgtm_tenant_read_texts)
{
    int                n;
    size_t             len;
    sgtm_str_t        *text;
    sgtm_json_t        list;
    sgtm_strs_t       *texts;
    sgtm_json_item_t   one;

    texts = sgtm_tenant_at_offset(sgtm_strs_t, b->t, spec);

    n = sgtm_tenant_begin(b, item, SGTM_JSON_ARRAY, (size_t) spec->max, &list);

    if (n <= 0) {
        return;
    }

    if (texts->elts == NULL) {
        texts->elts = sgtm_tenant_alloc(b, (size_t) n * sizeof(sgtm_str_t));

        if (texts->elts == NULL) {
            return;
        }
    }

    while (sgtm_json_next(&list, &one)) {
        text = &texts->elts[texts->nelts];
        len = sgtm_tenant_at(b, texts->nelts);

        if (sgtm_tenant_string(b, &one, text)) {

            if (spec->lower) {
                sgtm_form_lower(text);
            }

            if (!spec->form(text)) {
                sgtm_tenant_error(b, spec->error);

            } else if (sgtm_tenant_named(texts->elts, texts->nelts,
                                         sizeof(sgtm_str_t), text))
            {
                sgtm_tenant_error(b, "is there twice");
            }
        }

        b->path_len = len;
        texts->nelts++;
    }
}


static sgtm_tenant_reader(sgtm_tenant_read_word)
{
    sgtm_str_t          text;
    const sgtm_word_t  *word;

    if (!sgtm_tenant_string(b, item, &text)) {
        return;
    }

    word = sgtm_word(spec->words, &text);

    if (word == NULL) {
        sgtm_tenant_error(b, spec->error);
        return;
    }

    /* the words alone are no part of the record */

    b->pos -= text.len;

    *sgtm_tenant_at_offset(uint8_t, b->t, spec) = (uint8_t) word->value;
}


/* by the width of the field; only a version may be 0 */

static sgtm_tenant_reader(sgtm_tenant_read_number)
{
    size_t          i;
    int64_t         n;
    unsigned char  *p;

    n = 0;
    p = item->value.data;

    for (i = 0; i < item->value.len; i++) {

        if (item->type != SGTM_JSON_NUMBER || p[i] < '0' || p[i] > '9'
            || n > (spec->max - (p[i] - '0')) / 10)
        {
            sgtm_tenant_error(b, spec->error);
            return;
        }

        n = n * 10 + (p[i] - '0');
    }

    if (n == 0 && spec->max != INT64_MAX) {
        sgtm_tenant_error(b, spec->error);
        return;
    }

    switch (spec - sgtm_tenant_specs) {

    case SGTM_TENANT_BURST:
        b->t->rate.burst = (uint32_t) n;
        break;

    case SGTM_TENANT_QUOTA_SAMPLE:
        b->t->quota_sample = (uint8_t) n;
        break;

    default:
        *sgtm_tenant_at_offset(int64_t, b->t, spec) = n;
    }
}


static sgtm_tenant_reader(sgtm_tenant_read_updated)
{
    if (sgtm_tenant_string(b, item, &b->t->updated)
        && (b->t->updated.len > (size_t) spec->max
            || !sgtm_form_time(&b->t->updated, &b->t->updated_time)))
    {
        sgtm_tenant_error(b, spec->error);
    }
}
