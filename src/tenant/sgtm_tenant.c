
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_tenant_core.h"


static void sgtm_tenant_shift(sgtm_str_t *text, const unsigned char *from,
    unsigned char *to);
static void *sgtm_tenant_shift_list(void *elts, size_t n, size_t size,
    size_t strings, const unsigned char *from, unsigned char *to);


/* single strings, then lists of nothing but strings */

static const size_t  sgtm_tenant_texts[] = {
    offsetof(sgtm_tenant_t, id),
    offsetof(sgtm_tenant_t, agency),
    offsetof(sgtm_tenant_t, endpoint),
    offsetof(sgtm_tenant_t, upstream),
    offsetof(sgtm_tenant_t, script),
    offsetof(sgtm_tenant_t, updated)
};


static const size_t  sgtm_tenant_lists[] = {
    offsetof(sgtm_tenant_t, hosts),
    offsetof(sgtm_tenant_t, script_ids),
    offsetof(sgtm_tenant_t, cookies),
    offsetof(sgtm_tenant_t, api_secrets),
    offsetof(sgtm_tenant_t, webhooks[SGTM_SHOP_STRIPE]),
    offsetof(sgtm_tenant_t, webhooks[SGTM_SHOP_SHOPIFY]),
    offsetof(sgtm_tenant_t, webhooks[SGTM_SHOP_WOOCOMMERCE])
};


#define sgtm_tenant_count(array)  (sizeof(array) / sizeof((array)[0]))


sgtm_tenant_t *
sgtm_tenant_copy(void *dst, const sgtm_tenant_t *t)
{
    memcpy(dst, t, t->size);

    sgtm_tenant_move(dst, t);

    return dst;
}


void
sgtm_tenant_move(sgtm_tenant_t *dst, const void *from)
{
    size_t                i;
    sgtm_str_t           *text;
    sgtm_strs_t          *list;
    unsigned char        *to;
    const unsigned char  *old;

    old = from;
    to = (unsigned char *) dst;

    for (i = 0; i < sgtm_tenant_count(sgtm_tenant_texts); i++) {
        text = (sgtm_str_t *) (void *) (to + sgtm_tenant_texts[i]);
        sgtm_tenant_shift(text, old, to);
    }

    for (i = 0; i < sgtm_tenant_count(sgtm_tenant_lists); i++) {
        list = (sgtm_strs_t *) (void *) (to + sgtm_tenant_lists[i]);
        list->elts = sgtm_tenant_shift_list(list->elts, list->nelts,
                                            sizeof(sgtm_str_t), 1, old, to);
    }

    /* these two share the elements of script_ids */

    dst->containers.elts = sgtm_tenant_shift_list(dst->containers.elts, 0, 0,
                                                  0, old, to);
    dst->tag_ids.elts = sgtm_tenant_shift_list(dst->tag_ids.elts, 0, 0, 0,
                                               old, to);

    dst->origins.elts = sgtm_tenant_shift_list(dst->origins.elts,
                                               dst->origins.nelts,
                                               sizeof(sgtm_origin_t), 2, old,
                                               to);
    dst->set_params.elts = sgtm_tenant_shift_list(dst->set_params.elts,
                                                  dst->set_params.nelts,
                                                  sizeof(sgtm_tenant_set_t), 4,
                                                  old, to);
    dst->credentials.elts = sgtm_tenant_shift_list(dst->credentials.elts,
                                                   dst->credentials.nelts,
                                                   sizeof(sgtm_credential_t),
                                                   2, old, to);
    dst->events.elts = sgtm_tenant_shift_list(dst->events.elts,
                                              dst->events.nelts,
                                              sizeof(sgtm_tenant_event_t), 1,
                                              old, to);
}


static void
sgtm_tenant_shift(sgtm_str_t *text, const unsigned char *from,
    unsigned char *to)
{
    if (text->data != NULL) {
        text->data = to + (text->data - from);
    }
}


/* elements of so many bytes that begin with so many strings */

static void *
sgtm_tenant_shift_list(void *elts, size_t n, size_t size, size_t strings,
    const unsigned char *from, unsigned char *to)
{
    size_t          i, k;
    sgtm_str_t     *text;
    unsigned char  *list;

    if (elts == NULL) {
        return NULL;
    }

    list = to + ((unsigned char *) elts - from);

    for (i = 0; i < n; i++) {
        text = (sgtm_str_t *) (void *) (list + i * size);

        for (k = 0; k < strings; k++) {
            sgtm_tenant_shift(&text[k], from, to);
        }
    }

    return list;
}


const sgtm_str_t *
sgtm_tenant_field(unsigned field)
{
    return &sgtm_tenant_specs[field].name;
}


int
sgtm_tenant_endpoint_allowed(const sgtm_tenant_t *t, const sgtm_str_t *list,
    size_t n, unsigned *field)
{
    size_t             i, k;
    const sgtm_str_t  *name;

    static const unsigned  fields[] = {
        SGTM_TENANT_ENDPOINT, SGTM_TENANT_UPSTREAM
    };

    for (i = 0; i < sgtm_tenant_count(fields); i++) {

        if (!sgtm_tenant_has(t, fields[i])) {
            continue;
        }

        name = (fields[i] == SGTM_TENANT_ENDPOINT) ? &t->endpoint
                                                   : &t->upstream;

        for (k = 0; k < n && !sgtm_str_equal(&list[k], name); k++) {
            /* void */
        }

        if (k == n) {
            if (field != NULL) {
                *field = fields[i];
            }

            return 0;
        }
    }

    return 1;
}


/* they are ordered by length, then by bytes */

unsigned
sgtm_tenant_event(const sgtm_tenant_t *t, const sgtm_str_t *name)
{
    int                         rc;
    size_t                      low, high, i;
    const sgtm_tenant_event_t  *event;

    low = 0;
    high = t->events.nelts;

    while (low < high) {
        i = low + (high - low) / 2;
        event = &t->events.elts[i];

        if (event->name.len != name->len) {
            rc = (event->name.len < name->len) ? -1 : 1;

        } else {
            rc = memcmp(event->name.data, name->data, name->len);
        }

        if (rc == 0) {
            return event->route;
        }

        if (rc < 0) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return SGTM_EVENT_N;
}


const sgtm_credential_t *
sgtm_tenant_credential(const sgtm_tenant_t *t, const sgtm_str_t *name)
{
    size_t  i;

    for (i = 0; i < t->credentials.nelts; i++) {
        if (sgtm_str_equal(&t->credentials.elts[i].name, name)) {
            return &t->credentials.elts[i];
        }
    }

    return NULL;
}
