
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#define _GNU_SOURCE

#include <string.h>

#include <openssl/crypto.h>

#include "../hit/sgtm_json.h"
#include "sgtm_fill.h"
#include "sgtm_tenant_core.h"


/* of a credential, percent-encoded, and as a string of JSON with its quotes */
#define SGTM_FILL_QUERY_MAX  (3 * SGTM_SECRET_MAX)
#define SGTM_FILL_JSON_MAX   (6 * SGTM_SECRET_MAX + 2)

/* "credentials." and a name */
#define SGTM_FILL_PLACE      96


typedef struct {
    sgtm_fill_t          *fill;
    const unsigned char  *pos;             /* of the input: not copied yet */
    unsigned char        *last;            /* of the output */
    unsigned char         secret[SGTM_SECRET_MAX];
} sgtm_fill_json_t;


static size_t sgtm_fill_count(const sgtm_str_t *in, const char *text,
    size_t len);
static unsigned char *sgtm_fill_value(unsigned char *arg, unsigned char *stop,
    sgtm_str_t *credential);
static int sgtm_fill_name(const unsigned char *data, size_t len);
static const sgtm_fill_set_t *sgtm_fill_find(const sgtm_fill_t *fill,
    const sgtm_str_t *name, const sgtm_str_t *credential);
static int sgtm_fill_open(sgtm_fill_t *fill, const sgtm_str_t *credential,
    unsigned char *out, sgtm_str_t *value);
static void sgtm_fill_events(sgtm_fill_json_t *j, const sgtm_str_t *events);
static void sgtm_fill_params(sgtm_fill_json_t *j, const sgtm_str_t *params);
static int sgtm_fill_member(sgtm_fill_json_t *j, const sgtm_json_item_t *item,
    sgtm_str_t *value);
static int sgtm_fill_key(const sgtm_str_t *key, const sgtm_str_t *name);
static void sgtm_fill_copy(sgtm_fill_json_t *j, const unsigned char *to);


#define sgtm_fill_text(text)  text, sizeof(text) - 1


int
sgtm_fill_reference(const sgtm_str_t *value, sgtm_str_t *credential)
{
    size_t  len;

    static const char  word[] = "sgtm_credential_";

    if (memmem(value->data, value->len, sgtm_fill_text(word)) == NULL) {
        return 0;
    }

    *credential = *value;

    /* "$name" or "${name}" */

    len = (value->len > 1 && value->data[1] == '{') ? 2 : 1;

    if (value->data[0] != '$' || value->len <= len + sizeof(word) - 1
        || memcmp(value->data + len, word, sizeof(word) - 1) != 0
        || (len == 2 && value->data[value->len - 1] != '}'))
    {
        return -1;
    }

    credential->data += len + sizeof(word) - 1;
    credential->len -= len + sizeof(word) - 1 + (len == 2);

    return sgtm_tenant_credential_kind(credential) != NULL ? 1 : -1;
}


int
sgtm_fill_param(const sgtm_str_t *name)
{
    return name->len > 3 && memcmp(name->data, "ep.", 3) == 0;
}


int
sgtm_fill_has(const sgtm_str_t *text)
{
    return text->len != 0
           && memmem(text->data, text->len,
                     sgtm_fill_text("sgtm_credential_")) != NULL;
}


size_t
sgtm_fill_query_size(const sgtm_str_t *in)
{
    return in->len + SGTM_FILL_QUERY_MAX
                     * sgtm_fill_count(in, sgtm_fill_text(SGTM_FILL_ENCODED));
}


size_t
sgtm_fill_json_size(const sgtm_str_t *in)
{
    return in->len + SGTM_FILL_JSON_MAX
                     * sgtm_fill_count(in,
                                       sgtm_fill_text(SGTM_FILL_REFERENCE));
}


static size_t
sgtm_fill_count(const sgtm_str_t *in, const char *text, size_t len)
{
    size_t          n;
    unsigned char  *p, *end;

    if (in->len == 0) {
        return 0;
    }

    end = in->data + in->len;

    for (n = 0, p = in->data;
         (p = memmem(p, (size_t) (end - p), text, len)) != NULL;
         n++, p += len)
    {
        /* void */
    }

    return n;
}


size_t
sgtm_fill_query(sgtm_fill_t *fill, const sgtm_str_t *in, unsigned char *out)
{
    size_t          n;
    sgtm_str_t      name, credential, value;
    unsigned char   secret[SGTM_SECRET_MAX];
    unsigned char  *arg, *stop, *eq, *last, *start;

    if (in->len == 0) {
        return 0;
    }

    start = out;
    last = in->data + in->len;
    n = 0;

    for (arg = in->data; arg <= last; arg = stop + 1) {

        stop = memchr(arg, '&', (size_t) (last - arg));
        if (stop == NULL) {
            stop = last;
        }

        value.len = 0;
        eq = sgtm_fill_value(arg, stop, &credential);

        if (eq != NULL) {
            name.data = arg;
            name.len = (size_t) (eq - arg);

            if (sgtm_fill_find(fill, &name, &credential) == NULL) {
                eq = NULL;

            } else if (!sgtm_fill_open(fill, &credential, secret, &value)) {
                continue;
            }
        }

        eq = eq ? eq + 1 : stop;

        if (n++) {
            *out++ = '&';
        }

        memcpy(out, arg, (size_t) (eq - arg));
        out += eq - arg;

        if (value.len) {
            out += sgtm_args_encode(out, &value);
            OPENSSL_cleanse(secret, value.len);
        }
    }

    return (size_t) (out - start);
}


/* the "=" of an argument whose value is a reference, or NULL */

static unsigned char *
sgtm_fill_value(unsigned char *arg, unsigned char *stop,
    sgtm_str_t *credential)
{
    size_t          len;
    unsigned char  *eq;

    len = sizeof(SGTM_FILL_ENCODED) - 1;

    eq = memchr(arg, '=', (size_t) (stop - arg));

    if (eq == NULL || (size_t) (stop - eq - 1) <= len
        || memcmp(eq + 1, sgtm_fill_text(SGTM_FILL_ENCODED)) != 0)
    {
        return NULL;
    }

    credential->data = eq + 1 + len;
    credential->len = (size_t) (stop - credential->data);

    return sgtm_fill_name(credential->data, credential->len) ? eq : NULL;
}


/* as a variable's, which is what the gate writes */

static int
sgtm_fill_name(const unsigned char *data, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if ((data[i] < 'a' || data[i] > 'z')
            && (data[i] < '0' || data[i] > '9') && data[i] != '_')
        {
            return 0;
        }
    }

    return len != 0;
}


/* NULL: the gate has not set this parameter to this credential */

static const sgtm_fill_set_t *
sgtm_fill_find(const sgtm_fill_t *fill, const sgtm_str_t *name,
    const sgtm_str_t *credential)
{
    size_t                  i;
    const sgtm_fill_set_t  *set;

    for (i = 0; i < fill->nsets; i++) {

        set = &fill->sets[i];

        if (sgtm_str_equal(&set->name, name)
            && sgtm_str_equal(&set->credential, credential))
        {
            return set;
        }
    }

    return NULL;
}


/* 0: the tenant has none any more, or it does not open */

static int
sgtm_fill_open(sgtm_fill_t *fill, const sgtm_str_t *credential,
    unsigned char *out, sgtm_str_t *value)
{
    int                rc;
    sgtm_str_t         field;
    unsigned char      place[SGTM_FILL_PLACE];
    const sgtm_str_t  *list;

    value->len = 0;
    value->data = out;

    list = sgtm_tenant_field(SGTM_TENANT_CREDENTIALS);

    if (fill->tenant == NULL
        || list->len + 1 + credential->len > sizeof(place))
    {
        return 0;
    }

    memcpy(place, list->data, list->len);
    place[list->len] = '.';
    memcpy(place + list->len + 1, credential->data, credential->len);

    field.data = place;
    field.len = list->len + 1 + credential->len;

    rc = sgtm_tenant_open(fill->tenant, &field, 0, fill->keys, out,
                          &value->len);

    fill->sealed += (rc == SGTM_ERROR);

    if (rc != SGTM_OK) {
        value->len = 0;
    }

    return rc == SGTM_OK;
}


size_t
sgtm_fill_json(sgtm_fill_t *fill, const sgtm_str_t *in, unsigned char *out)
{
    sgtm_str_t        root;
    sgtm_json_t       object;
    sgtm_json_item_t  item;
    sgtm_fill_json_t  j;

    static const sgtm_str_t  events = sgtm_string("events");

    j.fill = fill;
    j.pos = in->data;
    j.last = out;

    if (sgtm_json_value(in, &root) == SGTM_JSON_OBJECT) {

        sgtm_json_open(&object, &root);

        while (sgtm_json_next(&object, &item)) {
            if (item.type == SGTM_JSON_ARRAY
                && sgtm_json_is(&item.key, &events))
            {
                sgtm_fill_events(&j, &item.value);
            }
        }
    }

    sgtm_fill_copy(&j, in->data + in->len);

    return (size_t) (j.last - out);
}


static void
sgtm_fill_events(sgtm_fill_json_t *j, const sgtm_str_t *events)
{
    sgtm_json_t       array, object;
    sgtm_json_item_t  event, item;

    static const sgtm_str_t  params = sgtm_string("params");

    sgtm_json_open(&array, events);

    while (sgtm_json_next(&array, &event)) {

        if (event.type != SGTM_JSON_OBJECT) {
            continue;
        }

        sgtm_json_open(&object, &event.value);

        while (sgtm_json_next(&object, &item)) {
            if (item.type == SGTM_JSON_OBJECT
                && sgtm_json_is(&item.key, &params))
            {
                sgtm_fill_params(j, &item.value);
            }
        }
    }
}


/* a member that is dropped takes a comma along */

static void
sgtm_fill_params(sgtm_fill_json_t *j, const sgtm_str_t *params)
{
    size_t                kept;
    sgtm_str_t            value;
    sgtm_json_t           object;
    sgtm_json_item_t      item;
    const unsigned char  *end;

    sgtm_json_open(&object, params);

    kept = 0;
    end = params->data + 1;

    while (sgtm_json_next(&object, &item)) {

        switch (sgtm_fill_member(j, &item, &value)) {

        case SGTM_DECLINED:
            break;

        case SGTM_OK:

            if (kept == 0 && j->pos == end) {
                j->pos = item.key.data;
            }

            sgtm_fill_copy(j, item.value.data);
            j->pos = item.value.data + item.value.len;
            j->last += sgtm_json_encode(j->last, &value);

            OPENSSL_cleanse(j->secret, value.len);
            break;

        default: /* SGTM_ERROR */

            sgtm_fill_copy(j, end);
            end = item.value.data + item.value.len;
            j->pos = end;
            continue;
        }

        if (kept++ == 0 && j->pos == end) {
            j->pos = item.key.data;
        }

        end = item.value.data + item.value.len;
    }
}


/*
 * SGTM_OK: it is to have this value; SGTM_DECLINED: it is a client's own;
 * SGTM_ERROR: there is no value for it.
 */

static int
sgtm_fill_member(sgtm_fill_json_t *j, const sgtm_json_item_t *item,
    sgtm_str_t *value)
{
    size_t                  i, len;
    sgtm_str_t              credential;
    const sgtm_fill_set_t  *set;

    len = 1 + sizeof(SGTM_FILL_REFERENCE) - 1;

    if (item->type != SGTM_JSON_STRING || item->value.len < len + 2
        || memcmp(item->value.data + 1,
                  sgtm_fill_text(SGTM_FILL_REFERENCE)) != 0)
    {
        return SGTM_DECLINED;
    }

    credential.data = item->value.data + len;
    credential.len = item->value.len - len - 1;

    if (!sgtm_fill_name(credential.data, credential.len)) {
        return SGTM_DECLINED;
    }

    for (i = 0; i < j->fill->nsets; i++) {

        set = &j->fill->sets[i];

        if (sgtm_str_equal(&set->credential, &credential)
            && sgtm_fill_key(&item->key, &set->name))
        {
            return sgtm_fill_open(j->fill, &credential, j->secret, value)
                   ? SGTM_OK : SGTM_ERROR;
        }
    }

    return SGTM_DECLINED;
}


/* whether a member of params is where "ep.<key>" is set */

static int
sgtm_fill_key(const sgtm_str_t *key, const sgtm_str_t *name)
{
    sgtm_str_t  rest;

    if (!sgtm_fill_param(name)) {
        return 0;
    }

    rest.data = name->data + 3;
    rest.len = name->len - 3;

    return sgtm_json_is(key, &rest);
}


static void
sgtm_fill_copy(sgtm_fill_json_t *j, const unsigned char *to)
{
    size_t  len;

    len = (size_t) (to - j->pos);

    memcpy(j->last, j->pos, len);

    j->last += len;
    j->pos = to;
}


size_t
sgtm_fill_list(unsigned char *out, const sgtm_fill_set_t *sets, size_t n)
{
    size_t          i, size;
    unsigned char  *p;

    for (size = 0, i = 0; i < n; i++) {
        size += (i ? 1 : 0) + sets[i].name.len + 1 + sets[i].credential.len;
    }

    if (out == NULL) {
        return size;
    }

    for (p = out, i = 0; i < n; i++) {

        if (i) {
            *p++ = ' ';
        }

        memcpy(p, sets[i].name.data, sets[i].name.len);
        p += sets[i].name.len;

        *p++ = '=';

        memcpy(p, sets[i].credential.data, sets[i].credential.len);
        p += sets[i].credential.len;
    }

    return size;
}


size_t
sgtm_fill_read(sgtm_fill_set_t *sets, size_t max, const sgtm_str_t *list)
{
    size_t          n;
    unsigned char  *p, *eq, *stop, *last;

    n = 0;
    last = list->data + list->len;

    for (p = list->data; p < last && n < max; p = stop + 1) {

        stop = memchr(p, ' ', (size_t) (last - p));
        if (stop == NULL) {
            stop = last;
        }

        eq = memchr(p, '=', (size_t) (stop - p));
        if (eq == NULL) {
            continue;
        }

        sets[n].name.data = p;
        sets[n].name.len = (size_t) (eq - p);
        sets[n].credential.data = eq + 1;
        sets[n].credential.len = (size_t) (stop - eq - 1);
        n++;
    }

    return n;
}
