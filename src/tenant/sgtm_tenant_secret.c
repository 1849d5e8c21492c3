
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_tenant_core.h"


/* "credentials." and the longest name of a kind with 32 bytes more */
#define SGTM_TENANT_PLACE  96


static const sgtm_str_t *sgtm_tenant_find_secret(const sgtm_tenant_t *t,
    const sgtm_str_t *field, size_t n, unsigned *secret);
static int sgtm_tenant_below_is(const sgtm_str_t *field, unsigned parent,
    sgtm_str_t *name);
static int sgtm_tenant_secrets_of(const sgtm_json_item_t *parent,
    unsigned field, sgtm_tenant_secret_pt handler, void *data);
static int sgtm_tenant_secrets_list(const sgtm_json_item_t *list,
    const sgtm_str_t *place, sgtm_tenant_secret_pt handler, void *data);


int
sgtm_tenant_open(const sgtm_tenant_t *t, const sgtm_str_t *field, size_t n,
    const sgtm_keys_t *keys, unsigned char *out, size_t *len)
{
    unsigned           secret;
    const sgtm_str_t  *text;

    *len = 0;

    text = sgtm_tenant_find_secret(t, field, n, &secret);
    if (text == NULL) {
        return SGTM_DECLINED;
    }

    if (secret && sgtm_sealed(text) != SGTM_DECLINED) {
        return sgtm_unseal(keys, &t->id, field, text, out, len) == SGTM_OK
               ? SGTM_OK : SGTM_ERROR;
    }

    memcpy(out, text->data, text->len);
    *len = text->len;

    return SGTM_OK;
}


static const sgtm_str_t *
sgtm_tenant_find_secret(const sgtm_tenant_t *t, const sgtm_str_t *field,
    size_t n, unsigned *secret)
{
    sgtm_str_t                name;
    const sgtm_strs_t        *list;
    const sgtm_word_t        *shop;
    const sgtm_credential_t  *credential;

    *secret = 1;
    list = NULL;

    if (sgtm_tenant_below_is(field, SGTM_TENANT_CREDENTIALS, &name)) {
        credential = n ? NULL : sgtm_tenant_credential(t, &name);

        if (credential == NULL) {
            return NULL;
        }

        *secret = credential->secret;

        return &credential->value;
    }

    if (sgtm_str_equal(field, sgtm_tenant_field(SGTM_TENANT_API_SECRETS))) {
        list = &t->api_secrets;

    } else if (sgtm_tenant_below_is(field, SGTM_TENANT_WEBHOOKS, &name)) {
        shop = sgtm_word(sgtm_shop_names, &name);
        list = shop ? &t->webhooks[shop->value] : NULL;
    }

    return (list != NULL && n < list->nelts) ? &list->elts[n] : NULL;
}


/* whether the field is "<parent>.<name>" */

static int
sgtm_tenant_below_is(const sgtm_str_t *field, unsigned parent,
    sgtm_str_t *name)
{
    size_t  len;

    len = sgtm_tenant_field(parent)->len;

    if (field->len <= len || field->data[len] != '.'
        || memcmp(field->data, sgtm_tenant_field(parent)->data, len) != 0)
    {
        return 0;
    }

    name->data = field->data + len + 1;
    name->len = field->len - len - 1;

    return 1;
}


int
sgtm_tenant_secrets(const sgtm_str_t *json, sgtm_tenant_secret_pt handler,
    void *data)
{
    int                rc;
    size_t             i;
    sgtm_str_t         value;
    sgtm_json_t        object;
    sgtm_json_item_t   item;

    static const unsigned  fields[] = {
        SGTM_TENANT_CREDENTIALS, SGTM_TENANT_WEBHOOKS, SGTM_TENANT_API_SECRETS
    };

    (void) sgtm_json_value(json, &value);

    sgtm_json_open(&object, &value);

    while (sgtm_json_next(&object, &item)) {

        for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {

            if (!sgtm_json_is(&item.key, sgtm_tenant_field(fields[i]))) {
                continue;
            }

            rc = sgtm_tenant_secrets_of(&item, fields[i], handler, data);

            if (rc != SGTM_OK) {
                return rc;
            }
        }
    }

    return SGTM_OK;
}


static int
sgtm_tenant_secrets_of(const sgtm_json_item_t *parent, unsigned field,
    sgtm_tenant_secret_pt handler, void *data)
{
    int                                   rc;
    sgtm_str_t                            name, place;
    sgtm_json_t                           object;
    unsigned char                         buf[SGTM_TENANT_PLACE], *p;
    sgtm_json_item_t                      item;
    const sgtm_tenant_credential_kind_t  *kind;

    place = *sgtm_tenant_field(field);

    if (field == SGTM_TENANT_API_SECRETS) {
        return sgtm_tenant_secrets_list(parent, &place, handler, data);
    }

    memcpy(buf, place.data, place.len);

    p = buf + place.len;
    *p++ = '.';

    place.data = buf;
    name.data = p;

    sgtm_json_open(&object, &parent->value);

    while (sgtm_json_next(&object, &item)) {

        name.len = sgtm_json_decode(p, (size_t) (buf + sizeof(buf) - p),
                                    &item.key);

        place.len = (size_t) (p - buf) + name.len;
        rc = SGTM_OK;

        if (field == SGTM_TENANT_WEBHOOKS) {

            if (sgtm_word(sgtm_shop_names, &name) != NULL) {
                rc = sgtm_tenant_secrets_list(&item, &place, handler, data);
            }

        } else {
            kind = sgtm_tenant_credential_kind(&name);

            if (kind != NULL && kind->secret) {
                rc = handler(data, &place, &item.value);
            }
        }

        if (rc != SGTM_OK) {
            return rc;
        }
    }

    return SGTM_OK;
}


static int
sgtm_tenant_secrets_list(const sgtm_json_item_t *list, const sgtm_str_t *place,
    sgtm_tenant_secret_pt handler, void *data)
{
    int                rc;
    sgtm_json_t        array;
    sgtm_json_item_t   item;

    sgtm_json_open(&array, &list->value);

    while (sgtm_json_next(&array, &item)) {
        rc = handler(data, place, &item.value);

        if (rc != SGTM_OK) {
            return rc;
        }
    }

    return SGTM_OK;
}
