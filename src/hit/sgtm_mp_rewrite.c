
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_fresh.h"
#include "sgtm_mp.h"
#include "sgtm_mp_sets.h"


/* an object or array as it is written, and what it has become */

typedef struct {
    sgtm_mp_rewrite_t  *rw;

    uint32_t            done[SGTM_MP_SETS / 32];
    uint32_t            seen;          /* of the levels below */
    unsigned            level;         /* sgtm_mp_level_e */
    size_t              path;          /* its length */
    unsigned            items;         /* that there are now */
    unsigned            gone;          /* that are not there any more */
} sgtm_mp_container_t;


static void sgtm_mp_object(sgtm_mp_container_t *c, const sgtm_str_t *in);
static void sgtm_mp_array(sgtm_mp_container_t *c, const sgtm_str_t *in);
static int sgtm_mp_member(sgtm_mp_container_t *c,
    const sgtm_json_item_t *item);
static int sgtm_mp_drops(sgtm_mp_container_t *c, const sgtm_rule_t *rule,
    const sgtm_json_item_t *item);
static int sgtm_mp_stays(sgtm_mp_container_t *c, const sgtm_str_t *key);
static int sgtm_mp_replaced(sgtm_mp_container_t *c,
    const sgtm_json_item_t *item, const sgtm_str_t *key);
static int sgtm_mp_value(sgtm_mp_container_t *c, const sgtm_json_item_t *item,
    unsigned level);
static unsigned sgtm_mp_below(sgtm_mp_container_t *c, const sgtm_str_t *key);
static void sgtm_mp_new_id(sgtm_mp_rewrite_t *rw, unsigned key,
    const sgtm_json_item_t *item);
static size_t sgtm_mp_string(sgtm_mp_rewrite_t *rw, const sgtm_str_t *string);
static void sgtm_mp_appends(sgtm_mp_container_t *c);
static void sgtm_mp_append_level(sgtm_mp_container_t *c, unsigned level);
static void sgtm_mp_put(sgtm_mp_rewrite_t *rw, const unsigned char *data,
    size_t len);


void
sgtm_mp_rewrite(const sgtm_rewrite_t *rules, uint32_t drop,
    const sgtm_str_t *in, unsigned char *mem, sgtm_str_t *out)
{
    sgtm_str_t           value;
    sgtm_mp_rewrite_t    rw;
    sgtm_mp_container_t  root;

    mem = sgtm_mp_sets(&rw, rules, mem);

    rw.drop = drop;
    rw.scratch = mem;
    rw.last = mem + in->len;

    out->data = rw.last;

    (void) sgtm_json_value(in, &value);

    memset(&root, 0, sizeof(sgtm_mp_container_t));

    root.rw = &rw;
    root.level = SGTM_MP_ROOT;

    sgtm_mp_put(&rw, in->data, (size_t) (value.data - in->data));
    sgtm_mp_object(&root, &value);
    sgtm_mp_put(&rw, value.data + value.len,
                in->len - value.len - (size_t) (value.data - in->data));

    out->len = (size_t) (rw.last - out->data);
}


static void
sgtm_mp_object(sgtm_mp_container_t *c, const sgtm_str_t *in)
{
    sgtm_json_t         json;
    unsigned char      *start;
    sgtm_json_item_t    item;
    sgtm_mp_rewrite_t  *rw;

    rw = c->rw;

    *rw->last++ = '{';

    sgtm_json_open(&json, in);

    while (sgtm_json_next(&json, &item)) {

        start = rw->last;

        if (c->items) {
            *rw->last++ = ',';
        }

        if (sgtm_mp_member(c, &item)) {
            c->items++;

        } else {
            c->gone++;
            rw->last = start;
        }
    }

    sgtm_mp_appends(c);

    if (c->items == 0 && c->gone == 0) {
        sgtm_mp_put(rw, in->data + 1, in->len - 2);
    }

    *rw->last++ = '}';
}


static void
sgtm_mp_array(sgtm_mp_container_t *c, const sgtm_str_t *in)
{
    unsigned            n;
    sgtm_json_t         json;
    sgtm_json_item_t    item;
    sgtm_mp_rewrite_t  *rw;

    rw = c->rw;

    *rw->last++ = '[';

    sgtm_json_open(&json, in);

    for (n = 0; sgtm_json_next(&json, &item); n++) {

        if (c->level == SGTM_MP_EVENTS && n < 32
            && (rw->drop & (uint32_t) 1 << n))
        {
            c->gone++;
            continue;
        }

        if (c->items++) {
            *rw->last++ = ',';
        }

        sgtm_mp_put(rw, item.span.data,
                    (size_t) (item.value.data - item.span.data));

        (void) sgtm_mp_value(c, &item, c->level == SGTM_MP_EVENTS
                                       ? SGTM_MP_EVENT : c->level);

        sgtm_mp_put(rw, item.value.data + item.value.len,
                    (size_t) (item.span.data + item.span.len
                              - item.value.data - item.value.len));
    }

    if (c->items == 0 && c->gone == 0) {
        sgtm_mp_put(rw, in->data + 1, in->len - 2);
    }

    *rw->last++ = ']';
}


/* 0: the member is not there any more, whatever has been written of it */

static int
sgtm_mp_member(sgtm_mp_container_t *c, const sgtm_json_item_t *item)
{
    size_t              len, path;
    unsigned            level;
    sgtm_str_t          key;
    sgtm_rule_t         rule;
    sgtm_mp_rewrite_t  *rw;

    rw = c->rw;
    path = c->path;

    sgtm_mp_put(rw, item->span.data,
                (size_t) (item->key.data - item->span.data));

    key.len = sgtm_mp_string(rw, &item->key);
    key.data = rw->scratch;

    level = sgtm_mp_below(c, &key);

    len = sgtm_mp_path(rw, path, &key);
    sgtm_mp_rule(rw, c->level, path, len, &key, item->type, &rule);

    if (!sgtm_mp_stays(c, &key) && sgtm_mp_drops(c, &rule, item)) {
        return 0;
    }

    if (!sgtm_mp_replaced(c, item, &key)) {
        return 0;
    }

    sgtm_mp_put(rw, item->key.data + item->key.len,
                (size_t) (item->value.data - item->key.data - item->key.len));

    if (rule.key && rw->rules->fresh && item->type >= SGTM_JSON_NUMBER
        && item->type <= SGTM_JSON_STRING)
    {
        sgtm_mp_new_id(rw, rule.key, item);

    } else {
        c->path = len;

        if (!sgtm_mp_value(c, item, level)) {
            c->path = path;
            return 0;
        }

        c->path = path;
    }

    sgtm_mp_put(rw, item->value.data + item->value.len,
                (size_t) (item->span.data + item->span.len
                          - item->value.data - item->value.len));

    return 1;
}


static int
sgtm_mp_drops(sgtm_mp_container_t *c, const sgtm_rule_t *rule,
    const sgtm_json_item_t *item)
{
    const sgtm_rewrite_t  *rules;

    rules = c->rw->rules;

    if (rule->deny & rules->deny) {
        return 1;
    }

    if ((rule->flags & SGTM_NAME_REMOVE) && !rules->matrix) {
        return 1;
    }

    /* a number that can't become another one of its form */

    return rule->key && rules->fresh && item->type == SGTM_JSON_NUMBER
           && !sgtm_mp_digits(&item->value);
}


/* what a body can't be without */

static int
sgtm_mp_stays(sgtm_mp_container_t *c, const sgtm_str_t *key)
{
    static const sgtm_str_t  root[] = {
        sgtm_string("events"),
        sgtm_string("client_id"),
        sgtm_string("app_instance_id"),
        { 0, NULL }
    };

    static const sgtm_str_t  event[] = {
        sgtm_string("name"),
        sgtm_string("params"),
        { 0, NULL }
    };

    if (c->level == SGTM_MP_ROOT) {
        return sgtm_mp_one_of(key, root);
    }

    return c->level == SGTM_MP_EVENT && sgtm_mp_one_of(key, event);
}


/* 0: one that is set has this name, and this is not its value */

static int
sgtm_mp_replaced(sgtm_mp_container_t *c, const sgtm_json_item_t *item,
    const sgtm_str_t *key)
{
    unsigned             i;
    uint32_t             bit;
    const sgtm_mp_set_t  *set;

    for (i = 0; i < c->rw->nsets; i++) {

        set = &c->rw->sets[i];

        if (set->level != c->level
            || set->key.len != key->len
            || memcmp(set->key.data, key->data, key->len) != 0)
        {
            continue;
        }

        bit = (uint32_t) 1 << (i & 31);

        if ((c->done[i >> 5] & bit)
            || set->value.len != item->value.len
            || memcmp(set->value.data, item->value.data, item->value.len)
               != 0)
        {
            return 0;
        }

        c->done[i >> 5] |= bit;
    }

    return 1;
}


/* 0: nothing of it is left */

static int
sgtm_mp_value(sgtm_mp_container_t *c, const sgtm_json_item_t *item,
    unsigned level)
{
    sgtm_mp_container_t  below;

    if (item->type == SGTM_JSON_STRING) {
        (void) sgtm_mp_string(c->rw, &item->value);
        return 1;
    }

    if (item->type < SGTM_JSON_ARRAY) {
        sgtm_mp_put(c->rw, item->value.data, item->value.len);
        return 1;
    }

    memset(&below, 0, sizeof(sgtm_mp_container_t));

    below.rw = c->rw;
    below.level = level;
    below.path = (level == SGTM_MP_OTHER) ? c->path : 0;

    if (item->type == SGTM_JSON_ARRAY) {
        sgtm_mp_array(&below, &item->value);
        return 1;
    }

    sgtm_mp_object(&below, &item->value);

    return level != SGTM_MP_OTHER || below.items || !below.gone;
}


/* the level of a member's value */

static unsigned
sgtm_mp_below(sgtm_mp_container_t *c, const sgtm_str_t *key)
{
    unsigned                i;
    const sgtm_mp_level_t  *level;

    switch (c->level) {

    case SGTM_MP_ROOT:
    case SGTM_MP_EVENT:

        for (i = 0; sgtm_mp_levels[i].name.len; i++) {
            level = &sgtm_mp_levels[i];

            if (level->above == c->level
                && level->name.len == key->len
                && memcmp(level->name.data, key->data, key->len) == 0)
            {
                c->seen |= (uint32_t) 1 << level->level;
                return level->level;
            }
        }

        return SGTM_MP_OTHER;

    case SGTM_MP_PROPS:
    case SGTM_MP_PROP:
        return SGTM_MP_PROP;

    default:
        return SGTM_MP_OTHER;
    }
}


static void
sgtm_mp_new_id(sgtm_mp_rewrite_t *rw, unsigned key,
    const sgtm_json_item_t *item)
{
    sgtm_str_t  id;

    if (item->type == SGTM_JSON_NUMBER) {
        sgtm_fresh(rw->rules->seed, key, &item->value, rw->last);
        rw->last += item->value.len;
        return;
    }

    id.data = rw->scratch;
    id.len = sgtm_json_decode(rw->scratch, item->value.len, &item->value);

    sgtm_fresh(rw->rules->seed, key, &id, id.data);

    rw->last += sgtm_json_encode(rw->last, &id);
}


/*
 * Writes a string, its URLs cut; as it was written unless something is cut.
 * Leaves what it means in the scratch and returns its length.
 */

static size_t
sgtm_mp_string(sgtm_mp_rewrite_t *rw, const sgtm_str_t *string)
{
    size_t      n;
    sgtm_str_t  text;

    text.data = rw->scratch;
    text.len = sgtm_json_decode(rw->scratch, string->len, string);

    n = text.len;

    if (rw->rules->deny && n
        && (memchr(text.data, '?', n) != NULL
            || memchr(text.data, '#', n) != NULL
            || memchr(text.data, '%', n) != NULL))
    {
        text.len = sgtm_redact_url(rw->rules->names, rw->rules->deny, &text,
                                   text.data);
    }

    if (text.len == n) {
        sgtm_mp_put(rw, string->data, string->len);

    } else {
        rw->last += sgtm_json_encode(rw->last, &text);
    }

    return text.len;
}


/* what is set and was not there */

static void
sgtm_mp_appends(sgtm_mp_container_t *c)
{
    unsigned              i;
    sgtm_mp_rewrite_t    *rw;
    const sgtm_mp_set_t  *set;

    rw = c->rw;

    for (i = 0; i < rw->nsets; i++) {

        set = &rw->sets[i];

        if (set->level != c->level
            || (c->done[i >> 5] & (uint32_t) 1 << (i & 31)))
        {
            continue;
        }

        if (c->items++) {
            *rw->last++ = ',';
        }

        rw->last += sgtm_json_encode(rw->last, &set->key);
        *rw->last++ = ':';

        sgtm_mp_put(rw, set->value.data, set->value.len);
    }

    for (i = 0; sgtm_mp_levels[i].name.len; i++) {
        if (sgtm_mp_levels[i].above == c->level
            && !(c->seen & (uint32_t) 1 << sgtm_mp_levels[i].level))
        {
            sgtm_mp_append_level(c, i);
        }
    }
}


/* an object that is not there, for what is set in it */

static void
sgtm_mp_append_level(sgtm_mp_container_t *c, unsigned level)
{
    unsigned             i;
    static sgtm_str_t    empty = sgtm_string("{}");
    sgtm_mp_rewrite_t   *rw;
    sgtm_mp_container_t  below;

    rw = c->rw;

    for (i = 0; i < rw->nsets; i++) {
        if (rw->sets[i].level == sgtm_mp_levels[level].level) {
            break;
        }
    }

    if (i == rw->nsets) {
        return;
    }

    if (c->items++) {
        *rw->last++ = ',';
    }

    rw->last += sgtm_json_encode(rw->last, &sgtm_mp_levels[level].name);
    *rw->last++ = ':';

    memset(&below, 0, sizeof(sgtm_mp_container_t));

    below.rw = rw;
    below.level = sgtm_mp_levels[level].level;

    sgtm_mp_object(&below, &empty);
}


static void
sgtm_mp_put(sgtm_mp_rewrite_t *rw, const unsigned char *data, size_t len)
{
    if (len) {
        memcpy(rw->last, data, len);
        rw->last += len;
    }
}
