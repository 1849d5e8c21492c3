
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgtm_tenant_core.h"


/* of a name in a path; what is longer may be a value that got there */
#define SGTM_TENANT_NAME_SHOWN  48

/* what lists and their padding take besides elements */
#define SGTM_TENANT_SLACK       512


static int sgtm_tenant_members(sgtm_tenant_build_t *b, const sgtm_str_t *json);
static void sgtm_tenant_fields(sgtm_tenant_build_t *b);
static void sgtm_tenant_ids(sgtm_tenant_build_t *b);
static void sgtm_tenant_together(sgtm_tenant_build_t *b);
static void sgtm_tenant_error_in(sgtm_tenant_build_t *b, unsigned field,
    const char *text);
static int sgtm_tenant_decode(sgtm_tenant_build_t *b, const sgtm_str_t *string,
    sgtm_str_t *text);


sgtm_tenant_t *
sgtm_tenant_parse(const sgtm_str_t *json, const sgtm_tenant_opts_t *opts)
{
    int             failed;
    void           *mem, *block;
    sgtm_tenant_t  *t;

    t = NULL;
    mem = malloc(sgtm_tenant_room(json->len));
    failed = (mem == NULL);

    if (mem != NULL) {
        t = sgtm_tenant_build(json, opts, mem);
    }

    if (t != NULL) {
        block = malloc(t->size);
        failed = (block == NULL);
        t = block ? sgtm_tenant_copy(block, t) : NULL;
    }

    if (failed && opts->report != NULL) {
        opts->report(opts->data, SGTM_TENANT_ERROR,
                     opts->path ? opts->path : "", "no memory");
    }

    free(mem);

    return t;
}


size_t
sgtm_tenant_room(size_t len)
{
    size_t  n;

    /*
     * strings are no longer than in the JSON, and their percent-encoded form
     * thrice as long; an element is two bytes at least
     */

    if (len > SGTM_TENANT_MAX) {
        len = 0;
    }

    n = (len / 2 < SGTM_TENANT_ITEMS) ? len / 2 : SGTM_TENANT_ITEMS;

    return sizeof(sgtm_tenant_t) + 4 * len + SGTM_TENANT_SLACK
           + n * (4 * sizeof(sgtm_str_t) + sizeof(sgtm_origin_t)
                  + sizeof(sgtm_tenant_set_t) + sizeof(sgtm_credential_t)
                  + sizeof(sgtm_tenant_event_t))
           + (1 + SGTM_SHOP_N) * SGTM_TENANT_SECRETS * sizeof(sgtm_str_t);
}


sgtm_tenant_t *
sgtm_tenant_build(const sgtm_str_t *json, const sgtm_tenant_opts_t *opts,
    void *mem)
{
    sgtm_str_t           value;
    sgtm_tenant_t       *t;
    sgtm_tenant_build_t  b;

    static const char *const  reasons[SGTM_REASON_HIT_LAST] = {
        [SGTM_REASON_BAD_JSON] = "not JSON",
        [SGTM_REASON_JSON_DEPTH] = "nested too deep",
        [SGTM_REASON_BAD_BYTE] = "not JSON: a control character",
        [SGTM_REASON_BAD_UTF8] = "not UTF-8"
    };

    memset(&b, 0, sizeof(sgtm_tenant_build_t));

    t = mem;
    memset(t, 0, sizeof(sgtm_tenant_t));

    b.t = t;
    b.opts = opts;
    b.pos = (unsigned char *) mem + sizeof(sgtm_tenant_t);
    b.end = (unsigned char *) mem + sgtm_tenant_room(json->len);

    if (opts->path != NULL) {
        b.path_len = (size_t) snprintf(b.path, sizeof(b.path) / 2, "%s",
                                       opts->path);
        if (b.path_len >= sizeof(b.path) / 2) {
            b.path_len = sizeof(b.path) / 2 - 1;
        }
    }

    if (json->len > SGTM_TENANT_MAX) {
        sgtm_tenant_error(&b, "over 65536 bytes");
        return NULL;
    }

    value.len = sgtm_json_check(json);

    if (value.len != SGTM_REASON_NONE) {
        sgtm_tenant_error(&b, reasons[value.len]);
        return NULL;
    }

    if (sgtm_json_value(json, &value) != SGTM_JSON_OBJECT) {
        sgtm_tenant_error(&b, "not an object");
        return NULL;
    }

    if (sgtm_tenant_members(&b, &value)) {
        sgtm_tenant_fields(&b);
    }

    /* a copy next to it has to be aligned as well */

    (void) sgtm_tenant_alloc(&b, 0);

    t->size = (size_t) (b.pos - (unsigned char *) mem);

    return b.errors ? NULL : t;
}


/* where the fields are; they are read in another order than they come */

static int
sgtm_tenant_members(sgtm_tenant_build_t *b, const sgtm_str_t *json)
{
    size_t            i, len;
    sgtm_str_t        name;
    sgtm_json_t       object;
    unsigned char     buf[SGTM_TENANT_NAME_SHOWN + 1];
    sgtm_json_item_t  item;

    sgtm_json_open(&object, json);

    while (sgtm_json_next(&object, &item)) {

        name.data = buf;
        name.len = sgtm_json_decode(buf, sizeof(buf), &item.key);

        for (i = 0; i < SGTM_TENANT_FIELD_N; i++) {
            if (sgtm_str_equal(&name, &sgtm_tenant_specs[i].name)) {
                break;
            }
        }

        if (i < SGTM_TENANT_FIELD_N && !sgtm_tenant_has(b->t, i)) {
            b->t->named |= (uint64_t) 1 << i;
            b->items[i] = item;
            continue;
        }

        len = sgtm_tenant_below(b, &name);

        if (i < SGTM_TENANT_FIELD_N) {
            sgtm_tenant_error(b, "is there twice");

        } else {
            sgtm_tenant_unknown(b);
        }

        b->path_len = len;
    }

    if (!sgtm_tenant_has(b->t, SGTM_TENANT_ID)) {
        sgtm_tenant_error_in(b, SGTM_TENANT_ID, "is missing");
        return 0;
    }

    return 1;
}


static void
sgtm_tenant_fields(sgtm_tenant_build_t *b)
{
    size_t                     i, len;
    const sgtm_tenant_spec_t  *spec;

    sgtm_tenant_ids(b);

    for (i = 0; i < SGTM_TENANT_FIELD_N; i++) {

        if (!sgtm_tenant_has(b->t, i)) {
            continue;
        }

        spec = &sgtm_tenant_specs[i];
        len = sgtm_tenant_below(b, &spec->name);

        spec->read(b, spec, &b->items[i]);

        b->path_len = len;
    }

    if (b->errors == 0) {
        sgtm_tenant_together(b);
    }
}


/* one list of both kinds of ids, of which each kind is a part */

static void
sgtm_tenant_ids(sgtm_tenant_build_t *b)
{
    size_t             i, n[2];
    sgtm_json_t        list;
    sgtm_json_item_t   item;

    for (i = 0; i < 2; i++) {
        n[i] = 0;

        if (!sgtm_tenant_has(b->t, SGTM_TENANT_CONTAINERS + i)
            || b->items[SGTM_TENANT_CONTAINERS + i].type != SGTM_JSON_ARRAY)
        {
            continue;
        }

        sgtm_json_open(&list, &b->items[SGTM_TENANT_CONTAINERS + i].value);

        while (n[i] < SGTM_TENANT_ITEMS && sgtm_json_next(&list, &item)) {
            n[i]++;
        }
    }

    if (n[0] + n[1] == 0) {
        return;
    }

    b->t->script_ids.elts = sgtm_tenant_alloc(b, (n[0] + n[1])
                                                 * sizeof(sgtm_str_t));

    if (b->t->script_ids.elts != NULL) {
        b->t->script_ids.nelts = n[0] + n[1];
        b->t->containers.elts = b->t->script_ids.elts;
        b->t->tag_ids.elts = b->t->script_ids.elts + n[0];
    }
}


/* what one field asks of another */

static void
sgtm_tenant_together(sgtm_tenant_build_t *b)
{
    unsigned              sample;
    const sgtm_tenant_t  *t;

    t = b->t;

    if (sgtm_tenant_has(t, SGTM_TENANT_BURST) && t->rate.seconds == 0) {
        sgtm_tenant_error_in(b, SGTM_TENANT_BURST, "without a rate");
    }

    if (sgtm_tenant_has(t, SGTM_TENANT_QUOTA_ACTION)
        && !sgtm_tenant_has(t, SGTM_TENANT_QUOTA))
    {
        sgtm_tenant_error_in(b, SGTM_TENANT_QUOTA_ACTION, "without a quota");
    }

    sample = (t->quota_action == SGTM_QUOTA_SAMPLE);

    if (sample != sgtm_tenant_has(t, SGTM_TENANT_QUOTA_SAMPLE)) {
        sgtm_tenant_error_in(b, SGTM_TENANT_QUOTA_SAMPLE,
                             sample ? "is missing"
                             : "without \"quota_action\": \"sample\"");
    }
}


static void
sgtm_tenant_error_in(sgtm_tenant_build_t *b, unsigned field, const char *text)
{
    size_t  len;

    len = sgtm_tenant_below(b, sgtm_tenant_field(field));

    sgtm_tenant_error(b, text);

    b->path_len = len;
}


void
sgtm_tenant_error(sgtm_tenant_build_t *b, const char *text)
{
    b->errors++;

    if (b->opts->report == NULL || b->errors > SGTM_TENANT_ERRORS) {
        return;
    }

    b->path[b->path_len] = '\0';

    b->opts->report(b->opts->data, SGTM_TENANT_ERROR, b->path,
                    b->errors < SGTM_TENANT_ERRORS ? text
                    : "there are more errors");
}


void
sgtm_tenant_warn(sgtm_tenant_build_t *b, const char *text)
{
    if (b->opts->report != NULL) {
        b->path[b->path_len] = '\0';

        b->opts->report(b->opts->data, SGTM_TENANT_WARNING, b->path, text);
    }
}


void
sgtm_tenant_unknown(sgtm_tenant_build_t *b)
{
    if (b->opts->strict) {
        sgtm_tenant_error(b, "is not known");

    } else {
        sgtm_tenant_warn(b, "is not known");
    }
}


size_t
sgtm_tenant_at(sgtm_tenant_build_t *b, size_t n)
{
    size_t  len;

    len = b->path_len;
    b->path_len += (size_t) snprintf(b->path + len, sizeof(b->path) - len,
                                     "[%zu]", n);

    return len;
}


size_t
sgtm_tenant_below(sgtm_tenant_build_t *b, const sgtm_str_t *name)
{
    size_t  len;

    len = b->path_len;

    if (len) {
        b->path[b->path_len++] = '.';
    }

    if (name->len == 0 || name->len > SGTM_TENANT_NAME_SHOWN
        || !sgtm_form_chars(name, "._-~$"))
    {
        b->path[b->path_len++] = '*';

    } else {
        memcpy(b->path + b->path_len, name->data, name->len);
        b->path_len += name->len;
    }

    return len;
}


void *
sgtm_tenant_alloc(sgtm_tenant_build_t *b, size_t size)
{
    void    *p;
    size_t   pad;

    pad = (size_t) (b->pos - (unsigned char *) b->t) % sizeof(uint64_t);
    pad = pad ? sizeof(uint64_t) - pad : 0;

    if (size + pad > (size_t) (b->end - b->pos)) {
        sgtm_tenant_error(b, "too large");
        return NULL;
    }

    p = b->pos + pad;
    b->pos += pad + size;

    memset(p, 0, size);

    return p;
}


int
sgtm_tenant_string(sgtm_tenant_build_t *b, const sgtm_json_item_t *item,
    sgtm_str_t *text)
{
    if (item->type != SGTM_JSON_STRING) {
        sgtm_tenant_error(b, "not a string");
        return 0;
    }

    return sgtm_tenant_decode(b, &item->value, text);
}


int
sgtm_tenant_name(sgtm_tenant_build_t *b, const sgtm_json_item_t *item,
    sgtm_str_t *text)
{
    return sgtm_tenant_decode(b, &item->key, text);
}


static int
sgtm_tenant_decode(sgtm_tenant_build_t *b, const sgtm_str_t *string,
    sgtm_str_t *text)
{
    if (string->len > (size_t) (b->end - b->pos)) {
        sgtm_tenant_error(b, "too large");
        return 0;
    }

    text->data = b->pos;
    text->len = sgtm_json_decode(b->pos, string->len, string);

    b->pos += text->len;

    return 1;
}


int
sgtm_tenant_begin(sgtm_tenant_build_t *b, const sgtm_json_item_t *item,
    unsigned type, size_t max, sgtm_json_t *json)
{
    size_t            n;
    sgtm_json_item_t  one;

    if (item->type != type) {
        sgtm_tenant_error(b, type == SGTM_JSON_ARRAY ? "not a list"
                                                     : "not an object");
        return -1;
    }

    n = 0;

    sgtm_json_open(json, &item->value);

    while (sgtm_json_next(json, &one)) {
        if (n++ == max) {
            sgtm_tenant_error(b, "has too many elements");
            return -1;
        }
    }

    sgtm_json_open(json, &item->value);

    return (int) n;
}


int
sgtm_tenant_named(const void *elts, size_t n, size_t size,
    const sgtm_str_t *name)
{
    size_t                i;
    const unsigned char  *p;

    p = elts;

    for (i = 0; i < n; i++) {
        if (sgtm_str_equal((const sgtm_str_t *) (const void *) (p + i * size),
                           name))
        {
            return 1;
        }
    }

    return 0;
}
