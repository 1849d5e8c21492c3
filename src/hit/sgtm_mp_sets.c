
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_mp_sets.h"
#include "sgtm_user_data.h"


/* what a parameter of a browser's hit is called in JSON */

typedef struct {
    sgtm_str_t      wire;
    sgtm_str_t      name;
    sgtm_str_t      in;            /* in this object alone, if not empty */
    uint8_t         level;         /* where it is set */
} sgtm_mp_alias_t;


static void sgtm_mp_find(const sgtm_names_t *names, const unsigned char *data,
    size_t len, sgtm_rule_t *rule);
static void sgtm_mp_rule_aliases(sgtm_mp_rewrite_t *rw, size_t path,
    const sgtm_str_t *key, sgtm_rule_t *rule);
static void sgtm_mp_rule_prefixed(sgtm_mp_rewrite_t *rw, const char *prefix,
    size_t len, sgtm_rule_t *rule);
static unsigned char *sgtm_mp_set(sgtm_mp_rewrite_t *rw,
    const sgtm_pair_t *pair, unsigned char *mem);
static unsigned sgtm_mp_place(const sgtm_str_t *wire, sgtm_str_t *key,
    unsigned *number);
static int sgtm_mp_denied(sgtm_mp_rewrite_t *rw, unsigned level,
    const sgtm_str_t *wire, const sgtm_str_t *key);
static void sgtm_mp_force(sgtm_mp_rewrite_t *rw, unsigned level,
    const char *name, const char *value);
static int sgtm_mp_begins(const sgtm_str_t *name, const char *prefix);
static int sgtm_mp_one_of(const sgtm_str_t *name, const sgtm_str_t *list);
static int sgtm_mp_same(const sgtm_str_t *a, const sgtm_str_t *b);


const sgtm_mp_level_t  sgtm_mp_levels[] = {
    { sgtm_string("events"), SGTM_MP_ROOT, SGTM_MP_EVENTS },
    { sgtm_string("user_properties"), SGTM_MP_ROOT, SGTM_MP_PROPS },
    { sgtm_string("consent"), SGTM_MP_ROOT, SGTM_MP_CONSENT },
    { sgtm_string("params"), SGTM_MP_EVENT, SGTM_MP_PARAMS },
    { { 0, NULL }, 0, 0 }
};


/* of several with one wire name, the first is what is set */

static const sgtm_mp_alias_t  sgtm_mp_aliases[] = {
    { sgtm_string("cid"), sgtm_string("client_id"), { 0, NULL },
      SGTM_MP_ROOT },
    { sgtm_string("cid"), sgtm_string("app_instance_id"), { 0, NULL },
      SGTM_MP_ROOT },
    { sgtm_string("uid"), sgtm_string("user_id"), { 0, NULL },
      SGTM_MP_ROOT },
    { sgtm_string("_uip"), sgtm_string("ip_override"), { 0, NULL },
      SGTM_MP_ROOT },
    { sgtm_string("_uip"), sgtm_string("city"), sgtm_string("user_location"),
      SGTM_MP_NOWHERE },
    { sgtm_string("sid"), sgtm_string("session_id"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("sid"), sgtm_string("ga_session_id"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("sct"), sgtm_string("ga_session_number"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("sct"), sgtm_string("session_number"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("seg"), sgtm_string("session_engaged"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("dl"), sgtm_string("page_location"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("dr"), sgtm_string("page_referrer"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("dt"), sgtm_string("page_title"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("ul"), sgtm_string("language"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("sr"), sgtm_string("screen_resolution"), { 0, NULL },
      SGTM_MP_PARAMS },
    { sgtm_string("cu"), sgtm_string("currency"), { 0, NULL },
      SGTM_MP_PARAMS }
};


/* what a JSON body says otherwise, or can't say */

static const sgtm_str_t  sgtm_mp_unset[] = {
    sgtm_string("v"), sgtm_string("tid"), sgtm_string("en"),
    sgtm_string("gcs"), sgtm_string("gcd"), sgtm_string("npa"),
    sgtm_string("richsstsse"),
    { 0, NULL }
};


/* a value in JSON takes this much for each byte, and for the rest */
#define SGTM_MP_ENCODED  6
#define SGTM_MP_AROUND   16

/* all that a denial forces, and objects that are not there */
#define SGTM_MP_FORCED   256


size_t
sgtm_mp_size(const sgtm_mp_t *mp, const sgtm_rewrite_t *rules,
    const sgtm_str_t *in)
{
    size_t              i, mem, out, growth;
    const sgtm_pair_t  *pair;

    mem = 0;
    growth = 0;
    out = 0;

    for (i = 0; i < rules->nset; i++) {
        pair = &rules->set[i];

        mem += (1 + SGTM_MP_ENCODED) * pair->value.len + SGTM_MP_AROUND;
        out += SGTM_MP_ENCODED * (pair->key.len + pair->value.len)
               + 2 * SGTM_MP_AROUND;
    }

    if (rules->user_data) {
        mem += SGTM_USER_HASH;
        growth = mp->user * (size_t) (SGTM_USER_HASH + SGTM_USER_LONGER);
    }

    /* the sets, the scratch, and the body with them in every event */

    out = (1 + (size_t) mp->nevents) * (out + 2 * SGTM_MP_AROUND);

    return mem + in->len + in->len + growth + out + SGTM_MP_FORCED;
}


size_t
sgtm_mp_path(sgtm_mp_rewrite_t *rw, size_t path, const sgtm_str_t *key)
{
    size_t          n;
    unsigned char  *p;

    p = rw->names + 4;

    if (path && path <= SGTM_MAX_KEY) {
        p[path++] = '.';
    }

    n = SGTM_MAX_KEY + 1 - path;
    n = (key->len < n) ? key->len : n;

    if (n) {
        memcpy(p + path, key->data, n);
    }

    return path + n;
}


void
sgtm_mp_rule(sgtm_mp_rewrite_t *rw, unsigned level, size_t path, size_t len,
    const sgtm_str_t *key, unsigned type, sgtm_rule_t *rule)
{
    const sgtm_names_t  *names;

    names = rw->rules->names;

    memset(rule, 0, sizeof(sgtm_rule_t));

    switch (level) {

    case SGTM_MP_PROPS:
        sgtm_mp_rule_prefixed(rw, "up.", len, rule);
        sgtm_mp_rule_prefixed(rw, "upn.", len, rule);
        return;

    case SGTM_MP_ROOT:
    case SGTM_MP_EVENT:
    case SGTM_MP_PARAMS:
    case SGTM_MP_OTHER:
        break;

    default:
        return;
    }

    sgtm_mp_find(names, key->data, key->len, rule);
    sgtm_mp_rule_aliases(rw, path, key, rule);

    if (path) {
        /* in an item a name is not what it is in an event, unless denied */
        rule->flags = 0;
        sgtm_mp_find(names, rw->names + 4, len, rule);
    }

    sgtm_mp_rule_prefixed(rw, "ep.", len, rule);
    sgtm_mp_rule_prefixed(rw, "epn.", len, rule);

    if (type != SGTM_JSON_OBJECT && len < SGTM_MAX_KEY) {
        /* what was to be an object of parameters that are denied */
        rw->names[4 + len] = '.';
        sgtm_mp_rule_prefixed(rw, "ep.", len + 1, rule);
    }

    if (rule->key != SGTM_KEY_CID && rule->key != SGTM_KEY_SID) {
        rule->key = SGTM_KEY_NONE;
    }
}


static void
sgtm_mp_find(const sgtm_names_t *names, const unsigned char *data, size_t len,
    sgtm_rule_t *rule)
{
    const sgtm_rule_t  *found;

    found = (len > SGTM_MAX_KEY)
            ? sgtm_names_find_prefix(names, data, SGTM_MAX_KEY)
            : sgtm_names_find(names, data, len, sgtm_names_hash(data, len));

    if (found == NULL) {
        return;
    }

    rule->deny |= found->deny;
    rule->flags |= found->flags;

    if (rule->key == SGTM_KEY_NONE) {
        rule->key = found->key;
    }
}


static void
sgtm_mp_rule_aliases(sgtm_mp_rewrite_t *rw, size_t path, const sgtm_str_t *key,
    sgtm_rule_t *rule)
{
    size_t                  i;
    sgtm_str_t              in;
    const sgtm_mp_alias_t  *alias;

    in.data = rw->names + 4;
    in.len = path;

    for (i = 0; i < sgtm_nelts(sgtm_mp_aliases); i++) {
        alias = &sgtm_mp_aliases[i];

        if (sgtm_mp_same(&alias->name, key)
            && (alias->in.len == 0 || sgtm_mp_same(&alias->in, &in)))
        {
            sgtm_mp_find(rw->rules->names, alias->wire.data, alias->wire.len,
                         rule);
        }
    }
}


static void
sgtm_mp_rule_prefixed(sgtm_mp_rewrite_t *rw, const char *prefix, size_t len,
    sgtm_rule_t *rule)
{
    size_t          n;
    unsigned char  *p;

    n = strlen(prefix);
    p = rw->names + 4 - n;

    memcpy(p, prefix, n);

    sgtm_mp_find(rw->rules->names, p, n + len, rule);
}


unsigned char *
sgtm_mp_sets(sgtm_mp_rewrite_t *rw, const sgtm_rewrite_t *rules,
    unsigned char *mem)
{
    size_t  i;

    rw->rules = rules;
    rw->nsets = 0;

    for (i = 0; i < rules->nset && rw->nsets < SGTM_MP_SETS - 8; i++) {
        if (!rules->set[i].off && !rules->matrix) {
            mem = sgtm_mp_set(rw, &rules->set[i], mem);
        }
    }

    if (rules->npa) {
        sgtm_mp_force(rw, SGTM_MP_ROOT, "non_personalized_ads", "true");
        sgtm_mp_force(rw, SGTM_MP_CONSENT, "ad_personalization",
                      "\"DENIED\"");
    }

    if (rules->deny & SGTM_DENY_AD_USER_DATA) {
        sgtm_mp_force(rw, SGTM_MP_CONSENT, "ad_user_data", "\"DENIED\"");
    }

    return mem;
}


static unsigned char *
sgtm_mp_set(sgtm_mp_rewrite_t *rw, const sgtm_pair_t *pair, unsigned char *mem)
{
    unsigned        number;
    sgtm_str_t      text;
    sgtm_mp_set_t  *set;

    set = &rw->sets[rw->nsets];
    set->level = (uint8_t) sgtm_mp_place(&pair->key, &set->key, &number);

    if (set->level == SGTM_MP_NOWHERE
        || sgtm_mp_denied(rw, set->level, &pair->key, &set->key))
    {
        return mem;
    }

    /* an operator's value obeys the visitor as well */

    text.data = mem;
    text.len = sgtm_redact_url(rw->rules->names, rw->rules->deny,
                               &pair->value, mem);
    mem += text.len;

    set->value.data = mem;

    if (set->level == SGTM_MP_PROPS) {
        memcpy(mem, "{\"value\":", 9);
        mem += 9;
    }

    if (number && sgtm_json_number(&text)) {
        memcpy(mem, text.data, text.len);
        mem += text.len;

    } else {
        mem += sgtm_json_encode(mem, &text);
    }

    if (set->level == SGTM_MP_PROPS) {
        *mem++ = '}';
    }

    set->value.len = (size_t) (mem - set->value.data);
    rw->nsets++;

    return mem;
}


/* where a parameter is set, and by which name */

static unsigned
sgtm_mp_place(const sgtm_str_t *wire, sgtm_str_t *key, unsigned *number)
{
    size_t                  i;
    const sgtm_mp_alias_t  *alias;

    static const struct {
        const char  *prefix;
        uint8_t      level;
        uint8_t      number;
    } prefixes[] = {
        { "ep.user_data.", SGTM_MP_NOWHERE, 0 },
        { "ep.", SGTM_MP_PARAMS, 0 },
        { "epn.", SGTM_MP_PARAMS, 1 },
        { "up.", SGTM_MP_PROPS, 0 },
        { "upn.", SGTM_MP_PROPS, 1 }
    };

    *key = *wire;
    *number = 0;

    for (i = 0; i < sgtm_nelts(prefixes); i++) {

        if (!sgtm_mp_begins(wire, prefixes[i].prefix)) {
            continue;
        }

        key->data += strlen(prefixes[i].prefix);
        key->len -= strlen(prefixes[i].prefix);
        *number = prefixes[i].number;

        return key->len ? prefixes[i].level : SGTM_MP_NOWHERE;
    }

    for (i = 0; i < sgtm_nelts(sgtm_mp_aliases); i++) {
        alias = &sgtm_mp_aliases[i];

        if (sgtm_mp_same(&alias->wire, wire)) {
            *key = alias->name;
            return alias->level;
        }
    }

    return sgtm_mp_one_of(wire, sgtm_mp_unset) ? SGTM_MP_NOWHERE
                                               : SGTM_MP_PARAMS;
}


static int
sgtm_mp_denied(sgtm_mp_rewrite_t *rw, unsigned level, const sgtm_str_t *wire,
    const sgtm_str_t *key)
{
    size_t       len;
    sgtm_rule_t  rule;

    len = sgtm_mp_path(rw, 0, key);
    sgtm_mp_rule(rw, level, 0, len, key, SGTM_JSON_STRING, &rule);
    sgtm_mp_find(rw->rules->names, wire->data, wire->len, &rule);

    return (rule.deny & rw->rules->deny) != 0;
}


static void
sgtm_mp_force(sgtm_mp_rewrite_t *rw, unsigned level, const char *name,
    const char *value)
{
    sgtm_mp_set_t  *set;

    set = &rw->sets[rw->nsets++];

    set->level = (uint8_t) level;
    set->key.data = (unsigned char *) (uintptr_t) name;
    set->key.len = strlen(name);
    set->value.data = (unsigned char *) (uintptr_t) value;
    set->value.len = strlen(value);
}


int
sgtm_mp_field(sgtm_str_t *key, unsigned char *buf)
{
    size_t         i, n;
    unsigned char  c;

    if (key->len > SGTM_MAX_KEY) {
        return 0;
    }

    for (i = 0, n = 0; i < key->len; i++) {
        c = key->data[i];

        if (c >= 'A' && c <= 'Z') {
            buf[n++] = '_';
            c |= 0x20;
        }

        buf[n++] = c;
    }

    if (n == key->len) {
        return 0;
    }

    key->data = buf;
    key->len = n;

    return 1;
}


int
sgtm_mp_digits(const sgtm_str_t *number)
{
    size_t  i;

    for (i = 0; i < number->len; i++) {
        if (number->data[i] < '0' || number->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


int
sgtm_mp_stays(unsigned level, const sgtm_str_t *key)
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

    return (level == SGTM_MP_ROOT && sgtm_mp_one_of(key, root))
           || (level == SGTM_MP_EVENT && sgtm_mp_one_of(key, event));
}


/* whether a name is in a list that an empty one ends */

static int
sgtm_mp_one_of(const sgtm_str_t *name, const sgtm_str_t *list)
{
    for ( /* void */ ; list->len; list++) {
        if (sgtm_mp_same(name, list)) {
            return 1;
        }
    }

    return 0;
}


static int
sgtm_mp_begins(const sgtm_str_t *name, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    return name->len >= len && memcmp(name->data, prefix, len) == 0;
}


static int
sgtm_mp_same(const sgtm_str_t *a, const sgtm_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
