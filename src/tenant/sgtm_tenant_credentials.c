
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_tenant_core.h"


static void sgtm_tenant_secret_list(sgtm_tenant_build_t *b,
    const sgtm_json_item_t *item, sgtm_strs_t *secrets);
static void sgtm_tenant_secret(sgtm_tenant_build_t *b, const sgtm_str_t *text);
static int sgtm_tenant_form_ads(const sgtm_str_t *text);
static int sgtm_tenant_form_label(const sgtm_str_t *text);
static int sgtm_tenant_form_pixel(const sgtm_str_t *text);


static const sgtm_tenant_credential_kind_t  sgtm_tenant_kinds[] = {
    { sgtm_string("ga4_api_secret"), NULL, NULL, 1 },
    { sgtm_string("google_ads_id"), sgtm_tenant_form_ads,
      "not an id as \"AW-123456789\"", 0 },
    { sgtm_string("google_ads_label"), sgtm_tenant_form_label,
      "not a label of 1 to 64 letters, digits, \"_\" and \"-\"", 0 },
    { sgtm_string("meta_pixel"), sgtm_tenant_form_pixel,
      "not of 1 to 32 digits", 0 },
    { sgtm_string("meta_token"), NULL, NULL, 1 },
    { sgtm_string("tiktok_pixel"), sgtm_tenant_form_label,
      "not of 1 to 64 letters, digits, \"_\" and \"-\"", 0 },
    { sgtm_string("tiktok_token"), NULL, NULL, 1 },
    { sgtm_string(""), NULL, NULL, 0 }
};


sgtm_tenant_reader(sgtm_tenant_read_credentials)
{
    int                                   n;
    size_t                                len;
    sgtm_str_t                            name;
    sgtm_json_t                           object;
    sgtm_json_item_t                      one;
    sgtm_credential_t                    *credential;
    sgtm_credentials_t                   *list;
    const sgtm_tenant_credential_kind_t  *kind;

    n = sgtm_tenant_begin(b, item, SGTM_JSON_OBJECT, (size_t) spec->max,
                          &object);
    if (n <= 0) {
        return;
    }

    list = &b->t->credentials;
    list->elts = sgtm_tenant_alloc(b, (size_t) n * sizeof(sgtm_credential_t));

    if (list->elts == NULL) {
        return;
    }

    while (sgtm_json_next(&object, &one)) {

        if (!sgtm_tenant_name(b, &one, &name)) {
            return;
        }

        len = sgtm_tenant_below(b, &name);
        kind = sgtm_tenant_credential_kind(&name);

        if (kind == NULL) {
            sgtm_tenant_unknown(b);

        } else if (sgtm_tenant_named(list->elts, list->nelts,
                                     sizeof(sgtm_credential_t), &name))
        {
            sgtm_tenant_error(b, "is there twice");

        } else {
            credential = &list->elts[list->nelts++];

            credential->name = name;
            credential->secret = kind->secret & 1;

            if (sgtm_tenant_string(b, &one, &credential->value)) {

                if (kind->secret) {
                    sgtm_tenant_secret(b, &credential->value);

                } else if (!kind->form(&credential->value)) {
                    sgtm_tenant_error(b, kind->error);
                }
            }
        }

        b->path_len = len;
    }
}


const sgtm_tenant_credential_kind_t *
sgtm_tenant_credential_kind(const sgtm_str_t *name)
{
    sgtm_str_t                            more;
    const sgtm_tenant_credential_kind_t  *kind;

    for (kind = sgtm_tenant_kinds; kind->name.len; kind++) {

        if (name->len < kind->name.len
            || memcmp(name->data, kind->name.data, kind->name.len) != 0)
        {
            continue;
        }

        more.data = name->data + kind->name.len;
        more.len = name->len - kind->name.len;

        if (more.len == 0) {
            return kind;
        }

        /* "_" and what makes it a variable's name, in small letters */

        if (more.len > 1 && more.len <= 32 && more.data[0] == '_') {

            while (more.len && (more.data[0] == '_'
                                || (more.data[0] >= '0' && more.data[0] <= '9')
                                || (more.data[0] >= 'a'
                                    && more.data[0] <= 'z')))
            {
                more.data++;
                more.len--;
            }

            return more.len ? NULL : kind;
        }
    }

    return NULL;
}


sgtm_tenant_reader(sgtm_tenant_read_webhooks)
{
    unsigned            seen;
    size_t              len;
    sgtm_str_t          name;
    sgtm_json_t         object;
    sgtm_json_item_t    one;
    const sgtm_word_t  *shop;

    if (sgtm_tenant_begin(b, item, SGTM_JSON_OBJECT, SGTM_TENANT_ITEMS,
                          &object)
        < 0)
    {
        return;
    }

    seen = 0;

    while (sgtm_json_next(&object, &one)) {

        if (!sgtm_tenant_name(b, &one, &name)) {
            return;
        }

        len = sgtm_tenant_below(b, &name);
        shop = sgtm_word(spec->words, &name);
        b->pos -= name.len;

        if (shop == NULL) {
            sgtm_tenant_unknown(b);

        } else if (seen & 1u << shop->value) {
            sgtm_tenant_error(b, "is there twice");

        } else {
            seen |= 1u << shop->value;
            sgtm_tenant_secret_list(b, &one, &b->t->webhooks[shop->value]);
        }

        b->path_len = len;
    }
}


sgtm_tenant_reader(sgtm_tenant_read_secrets)
{
    (void) spec;

    sgtm_tenant_secret_list(b, item, &b->t->api_secrets);
}


static void
sgtm_tenant_secret_list(sgtm_tenant_build_t *b, const sgtm_json_item_t *item,
    sgtm_strs_t *secrets)
{
    int                n;
    size_t             i, len;
    sgtm_json_t        list;
    sgtm_json_item_t   one;

    n = sgtm_tenant_begin(b, item, SGTM_JSON_ARRAY, SGTM_TENANT_SECRETS,
                          &list);
    if (n <= 0) {
        return;
    }

    secrets->elts = sgtm_tenant_alloc(b, (size_t) n * sizeof(sgtm_str_t));

    if (secrets->elts == NULL) {
        return;
    }

    secrets->nelts = (size_t) n;

    for (i = 0; sgtm_json_next(&list, &one); i++) {
        len = sgtm_tenant_at(b, i);

        if (sgtm_tenant_string(b, &one, &secrets->elts[i])) {
            sgtm_tenant_secret(b, &secrets->elts[i]);
        }

        b->path_len = len;
    }
}


/* spaces around it would be another secret than the one that was meant */

static void
sgtm_tenant_secret(sgtm_tenant_build_t *b, const sgtm_str_t *text)
{
    switch (sgtm_sealed(text)) {

    case SGTM_OK:
        return;

    case SGTM_ERROR:
        sgtm_tenant_error(b, "not a sealed secret");
        return;
    }

    if (!sgtm_form_text(text, SGTM_SECRET_MAX)
        || text->data[0] == ' ' || text->data[text->len - 1] == ' ')
    {
        sgtm_tenant_error(b, "not a secret of 1 to 512 bytes without spaces "
                             "around it");
        return;
    }

    sgtm_tenant_warn(b, "is not sealed");
}


static int
sgtm_tenant_form_ads(const sgtm_str_t *text)
{
    return text->len > 3 && memcmp(text->data, "AW-", 3) == 0
           && sgtm_form_tag_id(text);
}


static int
sgtm_tenant_form_label(const sgtm_str_t *text)
{
    return text->len > 0 && text->len <= 64 && sgtm_form_chars(text, "_-");
}


static int
sgtm_tenant_form_pixel(const sgtm_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return 0;
        }
    }

    return text->len > 0 && text->len <= 32;
}
