
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_fresh.h"
#include "sgtm_mp.h"
#include "sgtm_mp_sets.h"
#include "sgtm_user_data.h"


/* an object or array as it is written, and what it has become */

typedef struct {
    sgtm_mp_rewrite_t  *rw;

    uint32_t            done[SGTM_MP_SETS / 32];
    uint32_t            seen;          /* of the levels below */
    unsigned            level;         /* sgtm_mp_level_e */
    size_t              path;          /* its length */
    unsigned            items;         /* that there are now */
    unsigned            gone;          /* that are not there any more */

    unsigned            fields:1;      /* its names are the protocol's */
    unsigned            user:1;        /* it lies in user_data */
    const sgtm_user_field_t  *field;   /* what its strings are, or NULL */
} sgtm_mp_container_t;


static void sgtm_mp_object(sgtm_mp_container_t *c, const sgtm_str_t *in);
static void sgtm_mp_array(sgtm_mp_container_t *c, const sgtm_str_t *in);
static int sgtm_mp_member(sgtm_mp_container_t *c,
    const sgtm_json_item_t *item);
static size_t sgtm_mp_find_rule(sgtm_mp_container_t *c, sgtm_str_t *key,
    unsigned type, unsigned char *buf, sgtm_rule_t *rule);
static int sgtm_mp_drops(sgtm_mp_container_t *c, const sgtm_rule_t *rule,
    const sgtm_json_item_t *item);
static int sgtm_mp_replaced(sgtm_mp_container_t *c,
    const sgtm_json_item_t *item, const sgtm_str_t *key);
static int sgtm_mp_value(sgtm_mp_container_t *c, const sgtm_json_item_t *item);
static void sgtm_mp_user(sgtm_mp_container_t *c, sgtm_mp_container_t *below,
    unsigned char *start, const sgtm_str_t *key);
static void sgtm_mp_user_value(sgtm_mp_rewrite_t *rw,
    const sgtm_user_field_t *field, const sgtm_json_item_t *item);
static unsigned sgtm_mp_below(sgtm_mp_container_t *c, const sgtm_str_t *key);
static void sgtm_mp_new_id(sgtm_mp_rewrite_t *rw, unsigned key,
    const sgtm_json_item_t *item);
static size_t sgtm_mp_string(sgtm_mp_rewrite_t *rw, const sgtm_str_t *string);
static void sgtm_mp_appends(sgtm_mp_container_t *c);
static void sgtm_mp_append_level(sgtm_mp_container_t *c, unsigned level);
static int sgtm_mp_has_sets(sgtm_mp_rewrite_t *rw, unsigned level);
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
    rw.last = mem + in->len
              + (rules->user_data ? SGTM_USER_HASH : 0);

    out->data = rw.last;

    (void) sgtm_json_value(in, &value);

    memset(&root, 0, sizeof(sgtm_mp_container_t));

    root.rw = &rw;
    root.level = SGTM_MP_ROOT;
    root.fields = 1;

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
    unsigned              n;
    sgtm_json_t           json;
    sgtm_json_item_t      item;
    sgtm_mp_rewrite_t    *rw;
    sgtm_mp_container_t   below;

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

        below = *c;
        below.items = 0;
        below.gone = 0;

        if (c->level == SGTM_MP_EVENTS) {
            below.level = SGTM_MP_EVENT;
        }

        (void) sgtm_mp_value(&below, &item);

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
    size_t                len;
    sgtm_str_t            key;
    sgtm_rule_t           rule;
    unsigned char        *start, buf[SGTM_MP_FIELD];
    sgtm_mp_rewrite_t    *rw;
    sgtm_mp_container_t   below;

    rw = c->rw;

    sgtm_mp_put(rw, item->span.data,
                (size_t) (item->key.data - item->span.data));

    start = rw->last;

    key.len = sgtm_mp_string(rw, &item->key);
    key.data = rw->scratch;

    len = sgtm_mp_find_rule(c, &key, item->type, buf, &rule);

    memset(&below, 0, sizeof(sgtm_mp_container_t));

    below.rw = rw;
    below.level = sgtm_mp_below(c, &key);
    below.fields = c->fields && below.level != SGTM_MP_PARAMS
                   && below.level != SGTM_MP_PROPS;
    below.path = (below.level == SGTM_MP_OTHER) ? len : 0;

    if (!sgtm_mp_stays(c->level, &key) && sgtm_mp_drops(c, &rule, item)) {
        return 0;
    }

    if (item->type == SGTM_JSON_NULL && below.level != SGTM_MP_OTHER
        && sgtm_mp_has_sets(rw, below.level))
    {
        /* an object takes its place */
        c->seen &= ~((uint32_t) 1 << below.level);
        return 0;
    }

    if (!sgtm_mp_replaced(c, item, &key)) {
        return 0;
    }

    if (rw->rules->user_data) {
        sgtm_mp_user(c, &below, start, &key);
    }

    sgtm_mp_put(rw, item->key.data + item->key.len,
                (size_t) (item->value.data - item->key.data - item->key.len));

    if (rule.key && rw->rules->fresh && item->type >= SGTM_JSON_NUMBER
        && item->type <= SGTM_JSON_STRING)
    {
        sgtm_mp_new_id(rw, rule.key, item);

    } else if (!sgtm_mp_value(&below, item)) {
        return 0;
    }

    sgtm_mp_put(rw, item->value.data + item->value.len,
                (size_t) (item->span.data + item->span.len
                          - item->value.data - item->value.len));

    return 1;
}


/*
 * What holds for a member, by its name as it is and, if it may be a field's, by
 * that which the rules have for it: key is that one then.  The length of its
 * path is returned.
 */

static size_t
sgtm_mp_find_rule(sgtm_mp_container_t *c, sgtm_str_t *key, unsigned type,
    unsigned char *buf, sgtm_rule_t *rule)
{
    size_t       len;
    sgtm_rule_t  field;

    len = sgtm_mp_path(c->rw, c->path, key);
    sgtm_mp_rule(c->rw, c->level, c->path, len, key, type, rule);

    if (!c->fields || !sgtm_mp_field(key, buf)) {
        return len;
    }

    len = sgtm_mp_path(c->rw, c->path, key);
    sgtm_mp_rule(c->rw, c->level, c->path, len, key, type, &field);

    rule->deny |= field.deny;
    rule->flags |= field.flags;
    rule->key = rule->key ? rule->key : field.key;

    return len;
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

    if (!rule->key || !rules->fresh) {
        return 0;
    }

    /* an id that can't become another one of its form */

    return item->type >= SGTM_JSON_ARRAY
           || (item->type == SGTM_JSON_NUMBER
               && !sgtm_mp_digits(&item->value));
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


/* c is the value's own, if it is one; 0: nothing of it is left */

static int
sgtm_mp_value(sgtm_mp_container_t *c, const sgtm_json_item_t *item)
{
    switch (item->type) {

    case SGTM_JSON_OBJECT:
        sgtm_mp_object(c, &item->value);
        return c->level != SGTM_MP_OTHER || c->items || !c->gone;

    case SGTM_JSON_ARRAY:
        sgtm_mp_array(c, &item->value);
        return 1;

    case SGTM_JSON_STRING:
    case SGTM_JSON_NUMBER:

        if (c->field != NULL) {
            sgtm_mp_user_value(c->rw, c->field, item);
            return 1;
        }

        if (item->type == SGTM_JSON_STRING) {
            (void) sgtm_mp_string(c->rw, &item->value);
            return 1;
        }

        break;
    }

    sgtm_mp_put(c->rw, item->value.data, item->value.len);

    return 1;
}


/*
 * Whether a member is user-provided data, and which: its name has been written
 * from start on, and is written anew where Google wants another.
 */

static void
sgtm_mp_user(sgtm_mp_container_t *c, sgtm_mp_container_t *below,
    unsigned char *start, const sgtm_str_t *key)
{
    size_t                    n;
    sgtm_str_t                part, name;
    unsigned char             buf[2 * SGTM_MAX_KEY];
    const sgtm_user_field_t  *field;

    static const char  user_data[] = "user_data";

    if (c->level == SGTM_MP_PROPS || c->level == SGTM_MP_PROP) {
        return;
    }

    n = sizeof(user_data) - 1;

    below->user = c->user;
    below->field = c->field;

    if (!c->user) {

        if (key->len < n || memcmp(key->data, user_data, n) != 0
            || (key->len > n && key->data[n] != '.'))
        {
            return;
        }

        below->user = 1;
    }

    below->fields = 1;

    field = sgtm_user_path(key, &part);

    if (field == NULL) {
        return;
    }

    below->field = field;

    if (field->wanted.len == part.len || key->len > SGTM_MAX_KEY) {
        return;
    }

    n = (size_t) (part.data - key->data);

    name.data = buf;
    name.len = key->len - part.len + field->wanted.len;

    memcpy(buf, key->data, n);
    memcpy(buf + n, field->wanted.data, field->wanted.len);
    memcpy(buf + n + field->wanted.len, part.data + part.len,
           key->len - part.len - n);

    c->rw->last = start + sgtm_json_encode(start, &name);
}


static void
sgtm_mp_user_value(sgtm_mp_rewrite_t *rw, const sgtm_user_field_t *field,
    const sgtm_json_item_t *item)
{
    size_t      n;
    sgtm_str_t  text, was;

    text.data = rw->scratch;

    if (item->type == SGTM_JSON_STRING) {
        text.len = sgtm_json_decode(text.data, item->value.len, &item->value);

    } else {
        text.len = item->value.len;
        memcpy(text.data, item->value.data, text.len);
    }

    /* what was right stays as it was written */

    was.data = rw->last;
    was.len = text.len;
    memcpy(was.data, text.data, text.len);

    n = sgtm_user_value(field, &text, text.data);

    if (n == was.len && memcmp(text.data, was.data, n) == 0) {
        sgtm_mp_put(rw, item->value.data, item->value.len);
        return;
    }

    text.len = n;
    rw->last += sgtm_json_encode(rw->last, &text);
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
    static sgtm_str_t    empty = sgtm_string("{}");
    sgtm_mp_rewrite_t   *rw;
    sgtm_mp_container_t  below;

    rw = c->rw;

    if (!sgtm_mp_has_sets(rw, sgtm_mp_levels[level].level)) {
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


static int
sgtm_mp_has_sets(sgtm_mp_rewrite_t *rw, unsigned level)
{
    unsigned  i;

    for (i = 0; i < rw->nsets; i++) {
        if (rw->sets[i].level == level) {
            return 1;
        }
    }

    return 0;
}


static void
sgtm_mp_put(sgtm_mp_rewrite_t *rw, const unsigned char *data, size_t len)
{
    if (len) {
        memcpy(rw->last, data, len);
        rw->last += len;
    }
}
