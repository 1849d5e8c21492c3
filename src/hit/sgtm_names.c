
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_names.h"


static size_t sgtm_names_slots(size_t exact);
static sgtm_rule_t *sgtm_names_add_prefix(sgtm_names_t *names,
    const sgtm_str_t *name);
static void sgtm_names_change_rule(sgtm_rule_t *rule, const sgtm_rule_t *on,
    const sgtm_rule_t *off);
static int sgtm_names_covers(const sgtm_str_t *prefix,
    const unsigned char *data, size_t len);
static int sgtm_names_equal_nocase(const unsigned char *a,
    const unsigned char *b, size_t len);


#define sgtm_names_set(bits, i)  (bits)[(i) >> 5] |= 1u << ((i) & 31)

#define sgtm_names_first(data, len)                                           \
    sgtm_names_word(data, (len) < 8 ? (len) : 8, len)

#define sgtm_names_mask(len)                                                  \
    ((len) ? ~(uint64_t) 0 >> (64 - 8 * ((len) < 8 ? (len) : 8)) : 0)

#define sgtm_names_lower(c)                                                   \
    (unsigned char) ((c) >= 'A' && (c) <= 'Z' ? (c) | 0x20 : (c))


size_t
sgtm_names_size(size_t exact, size_t prefixes)
{
    return (sgtm_names_slots(exact) + prefixes) * sizeof(sgtm_name_t);
}


void
sgtm_names_init(sgtm_names_t *names, void *mem, size_t exact, size_t prefixes)
{
    size_t  n;

    n = sgtm_names_slots(exact);

    memset(names, 0, sizeof(sgtm_names_t));
    memset(mem, 0, (n + prefixes) * sizeof(sgtm_name_t));

    names->slots = mem;
    names->mask = (uint32_t) (n - 1);

    names->prefixes = names->slots + n;
    names->maxprefixes = (uint32_t) prefixes;
}


/* at most half full: a search that fails ends soon, and always */

static size_t
sgtm_names_slots(size_t exact)
{
    size_t  n;

    for (n = 8; n < exact * 2; n *= 2) { /* void */ }

    return n;
}


sgtm_rule_t *
sgtm_names_add(sgtm_names_t *names, const sgtm_str_t *name)
{
    uint32_t            i, hash;
    sgtm_name_t        *slot;
    const sgtm_rule_t  *rule;

    if (name->len > SGTM_MAX_KEY || name->data == NULL) {
        return NULL;
    }

    sgtm_names_note(names, name);

    if (name->len && name->data[name->len - 1] == '*') {
        return sgtm_names_add_prefix(names, name);
    }

    hash = sgtm_names_hash(name->data, name->len);

    for (i = hash; /* void */ ; i++) {

        slot = &names->slots[i & names->mask];

        if (slot->name.data == NULL) {
            break;
        }

        if (slot->name.len == name->len
            && memcmp(slot->name.data, name->data, name->len) == 0)
        {
            return &slot->rule;
        }
    }

    if (names->nslots == (names->mask + 1) / 2) {
        return NULL;
    }

    rule = sgtm_names_find_prefix(names, name->data, name->len);

    if (rule != NULL) {
        slot->rule = *rule;
    }

    slot->name = *name;
    slot->word = sgtm_names_first(name->data, name->len);
    slot->hash = hash;
    names->nslots++;

    if (name->len) {
        names->lengths[sgtm_names_ends(name->data, name->len)] |=
            1u << (name->len < 31 ? name->len : 31);
    }

    return &slot->rule;
}


void
sgtm_names_note(sgtm_names_t *names, const sgtm_str_t *name)
{
    size_t    len;
    unsigned  i, bits, step;

    len = name->len;
    bits = 1u << (len & 7);

    if (len && name->data[len - 1] == '*') {
        bits = 0xff;
        len--;
    }

    i = 0;
    step = 1;

    if (len == 1) {
        /* whatever follows */
        i = name->data[0] & 0x1f;
        step = 0x20;

    } else if (len) {
        i = sgtm_names_head(name->data);
        step = sizeof(names->known);
    }

    for ( /* void */ ; i < sizeof(names->known); i += step) {
        names->known[i] |= (uint8_t) bits;
    }
}


static sgtm_rule_t *
sgtm_names_add_prefix(sgtm_names_t *names, const sgtm_str_t *name)
{
    size_t              len;
    uint32_t            i;
    sgtm_name_t        *prefix;
    const sgtm_rule_t  *rule;

    len = name->len - 1;

    for (i = 0; i < names->nprefixes; i++) {
        prefix = &names->prefixes[i];

        if (prefix->name.len == len
            && memcmp(prefix->name.data, name->data, len) == 0)
        {
            return &prefix->rule;
        }
    }

    if (names->nprefixes == names->maxprefixes) {
        return NULL;
    }

    rule = sgtm_names_find_prefix(names, name->data, len);
    prefix = &names->prefixes[names->nprefixes++];

    if (rule != NULL) {
        prefix->rule = *rule;
    }

    prefix->name.len = len;
    prefix->name.data = name->data;
    prefix->word = sgtm_names_first(name->data, len);
    prefix->mask = sgtm_names_mask(len);
    prefix->hash = sgtm_names_hash(name->data, len);

    if (len == 0) {
        memset(names->covered, 0xff, sizeof(names->covered));
        return &prefix->rule;
    }

    i = sgtm_names_begin(prefix->word);

    if (len >= 5) {
        sgtm_names_set(names->covered, i);

    } else {
        /* whatever the fifth byte is */
        for (i &= 31; i < 1024; i += 32) {
            sgtm_names_set(names->covered, i);
        }
    }

    return &prefix->rule;
}


int
sgtm_names_change(sgtm_names_t *names, const sgtm_str_t *name,
    const sgtm_rule_t *on, const sgtm_rule_t *off)
{
    uint32_t      i;
    sgtm_str_t    prefix;
    sgtm_name_t  *slot;
    sgtm_rule_t  *rule;

    rule = sgtm_names_add(names, name);

    if (rule == NULL) {
        return SGTM_ERROR;
    }

    if (on != NULL && on->key) {
        rule->key = on->key;
    }

    if (on != NULL && on->set) {
        rule->set = on->set;
    }

    sgtm_names_change_rule(rule, on, off);

    if (name->len == 0 || name->data[name->len - 1] != '*') {
        return SGTM_OK;
    }

    prefix.len = name->len - 1;
    prefix.data = name->data;

    for (i = 0; i <= names->mask; i++) {
        slot = &names->slots[i];

        if (slot->name.data != NULL
            && sgtm_names_covers(&prefix, slot->name.data, slot->name.len))
        {
            sgtm_names_change_rule(&slot->rule, on, off);
        }
    }

    for (i = 0; i < names->nprefixes; i++) {
        slot = &names->prefixes[i];

        if (sgtm_names_covers(&prefix, slot->name.data, slot->name.len)) {
            sgtm_names_change_rule(&slot->rule, on, off);
        }
    }

    return SGTM_OK;
}


static void
sgtm_names_change_rule(sgtm_rule_t *rule, const sgtm_rule_t *on,
    const sgtm_rule_t *off)
{
    if (off != NULL) {
        rule->deny &= (uint8_t) ~off->deny;
        rule->flags &= (uint8_t) ~off->flags;
    }

    if (on != NULL) {
        rule->deny |= on->deny;
        rule->flags |= on->flags;
    }
}


int
sgtm_names_add_defaults(sgtm_names_t *names, const sgtm_default_t *list)
{
    static const sgtm_rule_t  none;

    for ( /* void */ ; list->name.len; list++) {

        if (memcmp(&list->rule, &none, sizeof(sgtm_rule_t)) == 0) {
            sgtm_names_note(names, &list->name);
            continue;
        }

        if (sgtm_names_change(names, &list->name, &list->rule, NULL)
            != SGTM_OK)
        {
            return SGTM_ERROR;
        }
    }

    return SGTM_OK;
}


const sgtm_rule_t *
sgtm_names_find(const sgtm_names_t *names, const unsigned char *data,
    size_t len, uint32_t hash)
{
    uint32_t            i;
    const sgtm_name_t  *slot;

    for (i = hash; /* void */ ; i++) {

        slot = &names->slots[i & names->mask];

        if (slot->name.data == NULL) {
            break;
        }

        if (slot->hash == hash
            && slot->name.len == len
            && memcmp(slot->name.data, data, len) == 0)
        {
            return &slot->rule;
        }
    }

    return sgtm_names_find_prefix(names, data, len);
}


const sgtm_rule_t *
sgtm_names_find_prefix(const sgtm_names_t *names, const unsigned char *data,
    size_t len)
{
    return sgtm_names_look_prefix(names, data, len,
                                  sgtm_names_first(data, len));
}


const sgtm_rule_t *
sgtm_names_find_covered(const sgtm_names_t *names, const unsigned char *data,
    size_t len, uint64_t word)
{
    uint32_t            i;
    const sgtm_name_t  *prefix, *best;

    best = NULL;

    for (i = 0; i < names->nprefixes; i++) {
        prefix = &names->prefixes[i];

        if (((word ^ prefix->word) & prefix->mask) == 0
            && (best == NULL || prefix->name.len > best->name.len)
            && sgtm_names_covers(&prefix->name, data, len))
        {
            best = prefix;
        }
    }

    return best ? &best->rule : NULL;
}


unsigned
sgtm_names_deny_nocase(const sgtm_names_t *names, const unsigned char *data,
    size_t len)
{
    uint32_t            i, hash;
    unsigned            deny, found;
    const sgtm_name_t  *slot;

    deny = 0;
    found = 0;
    hash = sgtm_names_hash(data, len);

    for (i = hash; /* void */ ; i++) {

        slot = &names->slots[i & names->mask];

        if (slot->name.data == NULL) {
            break;
        }

        if (slot->hash == hash
            && slot->name.len == len
            && sgtm_names_equal_nocase(slot->name.data, data, len))
        {
            deny |= slot->rule.deny;
            found = 1;
        }
    }

    return found ? deny : sgtm_names_deny_prefix_nocase(names, data, len);
}


unsigned
sgtm_names_deny_prefix_nocase(const sgtm_names_t *names,
    const unsigned char *data, size_t len)
{
    size_t              longest;
    uint32_t            i;
    unsigned            deny;
    const sgtm_name_t  *prefix;

    i = sgtm_names_begin(sgtm_names_first(data, len));

    if (!sgtm_names_bit(names->covered, i)) {
        return 0;
    }

    deny = 0;
    longest = 0;

    for (i = 0; i < names->nprefixes; i++) {
        prefix = &names->prefixes[i];

        if (prefix->name.len > len
            || prefix->name.len < longest
            || !sgtm_names_equal_nocase(prefix->name.data, data,
                                        prefix->name.len))
        {
            continue;
        }

        if (prefix->name.len > longest) {
            longest = prefix->name.len;
            deny = 0;
        }

        deny |= prefix->rule.deny;
    }

    return deny;
}


static int
sgtm_names_covers(const sgtm_str_t *prefix, const unsigned char *data,
    size_t len)
{
    return prefix->len <= len
           && (prefix->len == 0
               || memcmp(prefix->data, data, prefix->len) == 0);
}


static int
sgtm_names_equal_nocase(const unsigned char *a, const unsigned char *b,
    size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (sgtm_names_lower(a[i]) != sgtm_names_lower(b[i])) {
            return 0;
        }
    }

    return 1;
}
