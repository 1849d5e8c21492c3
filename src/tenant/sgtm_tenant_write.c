
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sgtm_tenant_core.h"


static void sgtm_write_bytes(sgtm_tenant_writer_t *w, const void *data,
    size_t len);
static void sgtm_write_string(sgtm_tenant_writer_t *w, const sgtm_str_t *text);
static void sgtm_write_member(sgtm_tenant_writer_t *w, size_t n,
    const sgtm_str_t *name);
static void sgtm_write_number(sgtm_tenant_writer_t *w, int64_t n);
static void sgtm_write_secret(sgtm_tenant_writer_t *w, const sgtm_str_t *text);
static void sgtm_write_secret_list(sgtm_tenant_writer_t *w,
    const sgtm_strs_t *list);


#define sgtm_write_literal(w, text)                                           \
    sgtm_write_bytes(w, text, sizeof(text) - 1)

#define sgtm_write_at(type, t, spec)                                          \
    ((const type *) (const void *) ((const unsigned char *) (t)               \
                                    + (spec)->offset))


size_t
sgtm_tenant_write(unsigned char *out, const sgtm_tenant_t *t, unsigned flags)
{
    size_t                     i, n;
    sgtm_tenant_writer_t       w;
    const sgtm_tenant_spec_t  *spec;

    w.out = out;
    w.len = 0;
    w.flags = flags;

    sgtm_write_literal(&w, "{");
    n = 0;

    for (i = 0; i < SGTM_TENANT_FIELD_N; i++) {

        if (!sgtm_tenant_has(t, i)) {
            continue;
        }

        spec = &sgtm_tenant_specs[i];

        if (n++) {
            sgtm_write_literal(&w, ",");
        }

        if (flags & SGTM_TENANT_PRETTY) {
            sgtm_write_literal(&w, "\n  ");
        }

        sgtm_write_member(&w, 0, &spec->name);
        spec->write(&w, spec, t);
    }

    if (flags & SGTM_TENANT_PRETTY) {
        sgtm_write_literal(&w, "\n}\n");

    } else {
        sgtm_write_literal(&w, "}");
    }

    return w.len;
}


static void
sgtm_write_bytes(sgtm_tenant_writer_t *w, const void *data, size_t len)
{
    if (w->out != NULL) {
        memcpy(w->out + w->len, data, len);
    }

    w->len += len;
}


static void
sgtm_write_string(sgtm_tenant_writer_t *w, const sgtm_str_t *text)
{
    w->len += sgtm_json_encode(w->out ? w->out + w->len : NULL, text);
}


/* of an object or, without a name, of a list; n is how many came before */

static void
sgtm_write_member(sgtm_tenant_writer_t *w, size_t n, const sgtm_str_t *name)
{
    if (n) {
        sgtm_write_literal(w, ",");

        if (w->flags & SGTM_TENANT_PRETTY) {
            sgtm_write_literal(w, " ");
        }
    }

    if (name == NULL) {
        return;
    }

    sgtm_write_string(w, name);
    sgtm_write_literal(w, ":");

    if (w->flags & SGTM_TENANT_PRETTY) {
        sgtm_write_literal(w, " ");
    }
}


static void
sgtm_write_number(sgtm_tenant_writer_t *w, int64_t n)
{
    int   len;
    char  text[32];

    len = snprintf(text, sizeof(text), "%" PRId64, n);

    sgtm_write_bytes(w, text, (size_t) len);
}


sgtm_tenant_writer(sgtm_tenant_write_text)
{
    sgtm_write_string(w, sgtm_write_at(sgtm_str_t, t, spec));
}


sgtm_tenant_writer(sgtm_tenant_write_texts)
{
    size_t              i;
    const sgtm_strs_t  *list;

    list = sgtm_write_at(sgtm_strs_t, t, spec);

    sgtm_write_literal(w, "[");

    for (i = 0; i < list->nelts; i++) {
        sgtm_write_member(w, i, NULL);
        sgtm_write_string(w, &list->elts[i]);
    }

    sgtm_write_literal(w, "]");
}


sgtm_tenant_writer(sgtm_tenant_write_word)
{
    sgtm_write_string(w, sgtm_word_name(spec->words,
                                        *sgtm_write_at(uint8_t, t, spec)));
}


sgtm_tenant_writer(sgtm_tenant_write_number)
{
    sgtm_write_number(w, *sgtm_write_at(int64_t, t, spec));
}


sgtm_tenant_writer(sgtm_tenant_write_burst)
{
    (void) spec;

    sgtm_write_number(w, t->rate.burst);
}


sgtm_tenant_writer(sgtm_tenant_write_sample)
{
    (void) spec;

    sgtm_write_number(w, t->quota_sample);
}


sgtm_tenant_writer(sgtm_tenant_write_consent)
{
    size_t  i;

    sgtm_write_literal(w, "{");

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        sgtm_write_member(w, i, &sgtm_consent_names[i]);
        sgtm_write_string(w, sgtm_word_name(spec->words,
                                            t->consent_default.state[i]));
    }

    sgtm_write_literal(w, "}");
}


sgtm_tenant_writer(sgtm_tenant_write_rate)
{
    (void) spec;

    if (t->rate.seconds == 0) {
        sgtm_write_literal(w, "\"off\"");
        return;
    }

    sgtm_write_literal(w, "\"");
    sgtm_write_number(w, t->rate.hits);

    if (t->rate.seconds == 1) {
        sgtm_write_literal(w, "r/s\"");

    } else {
        sgtm_write_literal(w, "r/m\"");
    }
}


/* of nothing that JSON would have to escape */

sgtm_tenant_writer(sgtm_tenant_write_origins)
{
    size_t                i;
    const sgtm_origin_t  *origin;

    (void) spec;

    sgtm_write_literal(w, "[");

    for (i = 0; i < t->origins.nelts; i++) {
        origin = &t->origins.elts[i];

        sgtm_write_member(w, i, NULL);
        sgtm_write_literal(w, "\"");

        if (origin->scheme.len) {
            sgtm_write_bytes(w, origin->scheme.data, origin->scheme.len);
            sgtm_write_literal(w, "://");
        }

        if (origin->wildcard) {
            sgtm_write_literal(w, "*");
        }

        sgtm_write_bytes(w, origin->host.data, origin->host.len);
        sgtm_write_literal(w, "\"");
    }

    sgtm_write_literal(w, "]");
}


sgtm_tenant_writer(sgtm_tenant_write_credentials)
{
    size_t                    i;
    const sgtm_credential_t  *credential;

    (void) spec;

    sgtm_write_literal(w, "{");

    for (i = 0; i < t->credentials.nelts; i++) {
        credential = &t->credentials.elts[i];

        sgtm_write_member(w, i, &credential->name);

        if (credential->secret) {
            sgtm_write_secret(w, &credential->value);

        } else {
            sgtm_write_string(w, &credential->value);
        }
    }

    sgtm_write_literal(w, "}");
}


sgtm_tenant_writer(sgtm_tenant_write_sets)
{
    size_t  i;

    (void) spec;

    sgtm_write_literal(w, "{");

    for (i = 0; i < t->set_params.nelts; i++) {
        sgtm_write_member(w, i, &t->set_params.elts[i].name);
        sgtm_write_string(w, &t->set_params.elts[i].value);
    }

    sgtm_write_literal(w, "}");
}


sgtm_tenant_writer(sgtm_tenant_write_webhooks)
{
    size_t              i, n;
    const sgtm_strs_t  *list;

    sgtm_write_literal(w, "{");

    for (i = 0, n = 0; i < SGTM_SHOP_N; i++) {
        list = &t->webhooks[i];

        if (list->elts != NULL) {
            sgtm_write_member(w, n++, sgtm_word_name(spec->words, i));
            sgtm_write_secret_list(w, list);
        }
    }

    sgtm_write_literal(w, "}");
}


sgtm_tenant_writer(sgtm_tenant_write_secrets)
{
    (void) spec;

    sgtm_write_secret_list(w, &t->api_secrets);
}


static void
sgtm_write_secret_list(sgtm_tenant_writer_t *w, const sgtm_strs_t *list)
{
    size_t  i;

    sgtm_write_literal(w, "[");

    for (i = 0; i < list->nelts; i++) {
        sgtm_write_member(w, i, NULL);
        sgtm_write_secret(w, &list->elts[i]);
    }

    sgtm_write_literal(w, "]");
}


static void
sgtm_write_secret(sgtm_tenant_writer_t *w, const sgtm_str_t *text)
{
    if (w->flags & SGTM_TENANT_HIDE) {
        sgtm_write_literal(w, "\"set\"");
        return;
    }

    sgtm_write_string(w, text);
}


sgtm_tenant_writer(sgtm_tenant_write_events)
{
    size_t  i;

    sgtm_write_literal(w, "{");

    for (i = 0; i < t->events.nelts; i++) {
        sgtm_write_member(w, i, &t->events.elts[i].name);
        sgtm_write_string(w, sgtm_word_name(spec->words,
                                            t->events.elts[i].route));
    }

    sgtm_write_literal(w, "}");
}


sgtm_tenant_writer(sgtm_tenant_write_features)
{
    size_t              n;
    const sgtm_word_t  *feature;

    sgtm_write_literal(w, "{");

    n = 0;

    for (feature = spec->words; feature->name.len; feature++) {

        if (!(t->features_named & feature->value)) {
            continue;
        }

        sgtm_write_member(w, n++, &feature->name);

        if (t->features & feature->value) {
            sgtm_write_literal(w, "true");

        } else {
            sgtm_write_literal(w, "false");
        }
    }

    sgtm_write_literal(w, "}");
}
