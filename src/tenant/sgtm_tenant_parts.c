
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "../hit/sgtm_args.h"
#include "sgtm_fill.h"
#include "sgtm_tenant_core.h"


static void sgtm_tenant_set(sgtm_tenant_build_t *b, sgtm_tenant_set_t *set);
static int sgtm_tenant_set_value(sgtm_tenant_build_t *b,
    sgtm_tenant_set_t *set);
static void sgtm_tenant_set_encode(sgtm_tenant_build_t *b,
    sgtm_tenant_set_t *set);
static int sgtm_tenant_compare_events(const void *one, const void *two);


const sgtm_word_t  sgtm_tenant_features[] = {
    { sgtm_string("bots"), SGTM_FEATURE_BOTS },
    { sgtm_string("cookieless"), SGTM_FEATURE_COOKIELESS },
    { sgtm_string("csp"), SGTM_FEATURE_CSP },
    { sgtm_string("debug"), SGTM_FEATURE_DEBUG },
    { sgtm_string("dedup"), SGTM_FEATURE_DEDUP },
    { sgtm_string("geo"), SGTM_FEATURE_GEO },
    { sgtm_string("inject"), SGTM_FEATURE_INJECT },
    { sgtm_string("ipinfo"), SGTM_FEATURE_IPINFO },
    { sgtm_string("passthrough"), SGTM_FEATURE_PASSTHROUGH },
    { sgtm_string("pii"), SGTM_FEATURE_PII },
    { sgtm_string("user_data"), SGTM_FEATURE_USER_DATA },
    { sgtm_string(""), 0 }
};


/*
 * Parameters that say whose hit it is and what may be done with it, which the
 * gate has checked.
 */

static const sgtm_str_t  sgtm_tenant_own_params[] = {
    sgtm_string("v"),
    sgtm_string("tid"),
    sgtm_string("gcs"),
    sgtm_string("gcd"),
    sgtm_string("npa"),
    sgtm_string("measurement_id"),
    sgtm_string("api_secret")
};


sgtm_tenant_reader(sgtm_tenant_read_consent)
{
    size_t              i, len;
    unsigned            type;
    sgtm_str_t          name, text;
    sgtm_json_t         object;
    unsigned char      *mark;
    sgtm_consent_t     *consent;
    sgtm_json_item_t    one;
    const sgtm_word_t  *state;

    if (sgtm_tenant_begin(b, item, SGTM_JSON_OBJECT, SGTM_TENANT_ITEMS,
                          &object)
        < 0)
    {
        return;
    }

    mark = b->pos;
    consent = &b->t->consent_default;

    while (sgtm_json_next(&object, &one)) {

        if (!sgtm_tenant_name(b, &one, &name)) {
            return;
        }

        len = sgtm_tenant_below(b, &name);

        if (sgtm_consent_type(&name, &type) != SGTM_OK) {
            sgtm_tenant_unknown(b);

        } else if (consent->state[type] != SGTM_UNSET) {
            sgtm_tenant_error(b, "is there twice");

        } else if (sgtm_tenant_string(b, &one, &text)) {
            state = sgtm_word(spec->words, &text);

            if (state == NULL) {
                sgtm_tenant_error(b, spec->error);

            } else {
                consent->state[type] = (uint8_t) state->value;
            }
        }

        b->path_len = len;
        b->pos = mark;                 /* nothing of it is kept */
    }

    /* as with the directive */

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        if (consent->state[i] == SGTM_UNSET) {
            consent->state[i] = SGTM_DENIED;
        }
    }
}


sgtm_tenant_reader(sgtm_tenant_read_rate)
{
    sgtm_str_t  text;

    if (!sgtm_tenant_string(b, item, &text)) {
        return;
    }

    if (!sgtm_form_rate(&text, &b->t->rate)) {
        sgtm_tenant_error(b, spec->error);
    }

    b->pos -= text.len;
}


sgtm_tenant_reader(sgtm_tenant_read_origins)
{
    int                n;
    size_t             i, len;
    sgtm_str_t         text;
    sgtm_json_t        list;
    sgtm_origin_t     *origin;
    sgtm_json_item_t   one;

    n = sgtm_tenant_begin(b, item, SGTM_JSON_ARRAY, (size_t) spec->max, &list);

    if (n <= 0) {
        return;
    }

    origin = sgtm_tenant_alloc(b, (size_t) n * sizeof(sgtm_origin_t));

    if (origin == NULL) {
        return;
    }

    b->t->origins.elts = origin;
    b->t->origins.nelts = (size_t) n;

    for (i = 0; sgtm_json_next(&list, &one); i++) {
        len = sgtm_tenant_at(b, i);

        if (sgtm_tenant_string(b, &one, &text)) {
            sgtm_form_lower(&text);

            if (text.len > SGTM_TENANT_ADDRESS
                || !sgtm_form_origin(&text, &origin[i]))
            {
                sgtm_tenant_error(b, spec->error);
            }
        }

        b->path_len = len;
    }
}


sgtm_tenant_reader(sgtm_tenant_read_sets)
{
    int                  n;
    size_t               i, len;
    sgtm_json_t          object;
    sgtm_json_item_t     one;
    sgtm_tenant_set_t   *set;
    sgtm_tenant_sets_t  *list;

    n = sgtm_tenant_begin(b, item, SGTM_JSON_OBJECT, (size_t) spec->max,
                          &object);
    if (n <= 0) {
        return;
    }

    list = &b->t->set_params;
    list->elts = sgtm_tenant_alloc(b, (size_t) n * sizeof(sgtm_tenant_set_t));

    if (list->elts == NULL) {
        return;
    }

    while (sgtm_json_next(&object, &one)) {
        set = &list->elts[list->nelts];

        if (!sgtm_tenant_name(b, &one, &set->name)) {
            return;
        }

        len = sgtm_tenant_below(b, &set->name);

        for (i = 0; i < sizeof(sgtm_tenant_own_params) / sizeof(sgtm_str_t);
             i++)
        {
            if (sgtm_str_equal(&set->name, &sgtm_tenant_own_params[i])) {
                sgtm_tenant_error(b, "a parameter that a record may not set");
            }
        }

        if (!spec->form(&set->name)) {
            sgtm_tenant_error(b, spec->error);

        } else if (sgtm_tenant_named(list->elts, list->nelts,
                                     sizeof(sgtm_tenant_set_t), &set->name))
        {
            sgtm_tenant_error(b, "is there twice");

        } else if (sgtm_tenant_string(b, &one, &set->value)) {
            sgtm_tenant_set(b, set);
        }

        b->path_len = len;
        list->nelts++;
    }
}


static void
sgtm_tenant_set(sgtm_tenant_build_t *b, sgtm_tenant_set_t *set)
{
    if (!sgtm_form_text(&set->value, SGTM_TENANT_VALUE)) {
        sgtm_tenant_error(b, "not of 1 to 1024 bytes without control "
                             "characters");
        return;
    }

    if (!sgtm_tenant_set_value(b, set)) {
        return;
    }

    if (set->credential.len == 0) {
        sgtm_tenant_set_encode(b, set);

    } else if (sgtm_tenant_credential(b->t, &set->credential) == NULL) {
        sgtm_tenant_error(b, "no such credential in this record");

    } else if (!sgtm_fill_param(&set->name)) {
        sgtm_tenant_error(b, "not \"ep.\" and a name, as the parameter of a "
                             "credential is");
    }
}


/*
 * A record is written by others than the configuration: of variables it may
 * have its own credentials alone, and what looks like another is no text.
 */

static int
sgtm_tenant_set_value(sgtm_tenant_build_t *b, sgtm_tenant_set_t *set)
{
    size_t          len;
    unsigned char  *p, *end;

    len = sizeof(SGTM_FILL_REFERENCE) - 1;

    if (set->value.len > len
        && memcmp(set->value.data, SGTM_FILL_REFERENCE, len) == 0)
    {
        set->credential.data = set->value.data + len;
        set->credential.len = set->value.len - len;

        return 1;
    }

    end = set->value.data + set->value.len;

    for (p = set->value.data; p + 1 < end; p++) {
        if (p[0] == '$' && (p[1] == '{' || p[1] == '_'
                            || ((p[1] | 0x20) >= 'a' && (p[1] | 0x20) <= 'z')))
        {
            sgtm_tenant_error(b, "has a variable that is not "
                                 "\"$sgtm_credential_\" and a name alone");
            return 0;
        }
    }

    return 1;
}


static void
sgtm_tenant_set_encode(sgtm_tenant_build_t *b, sgtm_tenant_set_t *set)
{
    size_t  len;

    len = sgtm_args_encode(NULL, &set->value);

    if (len == set->value.len) {
        set->encoded = set->value;
        return;
    }

    if (len > (size_t) (b->end - b->pos)) {
        sgtm_tenant_error(b, "too large");
        return;
    }

    set->encoded.data = b->pos;
    set->encoded.len = sgtm_args_encode(b->pos, &set->value);

    b->pos += len;
}


sgtm_tenant_reader(sgtm_tenant_read_events)
{
    int                    n;
    size_t                 len;
    sgtm_str_t             text;
    sgtm_json_t            object;
    sgtm_json_item_t       one;
    const sgtm_word_t     *route;
    sgtm_tenant_event_t   *event;
    sgtm_tenant_events_t  *list;

    n = sgtm_tenant_begin(b, item, SGTM_JSON_OBJECT, (size_t) spec->max,
                          &object);
    if (n <= 0) {
        return;
    }

    list = &b->t->events;
    list->elts = sgtm_tenant_alloc(b, (size_t) n * sizeof(sgtm_tenant_event_t));

    if (list->elts == NULL) {
        return;
    }

    while (sgtm_json_next(&object, &one)) {
        event = &list->elts[list->nelts];

        if (!sgtm_tenant_name(b, &one, &event->name)) {
            return;
        }

        len = sgtm_tenant_below(b, &event->name);

        if (!spec->form(&event->name)) {
            sgtm_tenant_error(b, "not an event's name of 1 to 40 letters, "
                                 "digits and \"_\", a letter first");

        } else if (sgtm_tenant_named(list->elts, list->nelts,
                                     sizeof(sgtm_tenant_event_t),
                                     &event->name))
        {
            sgtm_tenant_error(b, "is there twice");

        } else if (sgtm_tenant_string(b, &one, &text)) {
            route = sgtm_word(spec->words, &text);

            if (route == NULL) {
                sgtm_tenant_error(b, spec->error);

            } else {
                event->route = (unsigned) route->value;
                b->pos -= text.len;
            }
        }

        b->path_len = len;
        list->nelts++;
    }

    qsort(list->elts, list->nelts, sizeof(sgtm_tenant_event_t),
          sgtm_tenant_compare_events);
}


static int
sgtm_tenant_compare_events(const void *one, const void *two)
{
    const sgtm_str_t  *a, *b;

    a = &((const sgtm_tenant_event_t *) one)->name;
    b = &((const sgtm_tenant_event_t *) two)->name;

    if (a->len != b->len) {
        return (a->len < b->len) ? -1 : 1;
    }

    return memcmp(a->data, b->data, a->len);
}


sgtm_tenant_reader(sgtm_tenant_read_features)
{
    size_t              len;
    uint32_t            bit;
    sgtm_str_t          name;
    sgtm_json_t         object;
    sgtm_json_item_t    one;
    const sgtm_word_t  *feature;

    if (sgtm_tenant_begin(b, item, SGTM_JSON_OBJECT, (size_t) spec->max,
                          &object)
        < 0)
    {
        return;
    }

    while (sgtm_json_next(&object, &one)) {

        if (!sgtm_tenant_name(b, &one, &name)) {
            return;
        }

        len = sgtm_tenant_below(b, &name);
        feature = sgtm_word(spec->words, &name);
        bit = feature ? (uint32_t) feature->value : 0;

        if (feature == NULL) {
            sgtm_tenant_unknown(b);

        } else if (b->t->features_named & bit) {
            sgtm_tenant_error(b, "is there twice");

        } else if (one.type != SGTM_JSON_TRUE && one.type != SGTM_JSON_FALSE) {
            sgtm_tenant_error(b, spec->error);

        } else {
            b->t->features_named |= bit;
            b->t->features |= (one.type == SGTM_JSON_TRUE) ? bit : 0;
        }

        b->path_len = len;
        b->pos -= name.len;
    }
}
