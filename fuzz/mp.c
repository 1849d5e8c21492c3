
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Bodies of the Measurement Protocol, the first two bytes the denials and what
 * else is asked for.  What comes out is JSON, and is what a plain walk over
 * cJSON's tree makes of the body, written here from the meaning of the rules;
 * where nothing is asked for it is the body, byte for byte.
 */


#include <cjson/cJSON.h>

#include "fuzz.h"
#include "sgtm_fresh.h"
#include "sgtm_mp.h"


#define NAME  8192


enum { ROOT, EVENT, PARAMS, PROPS, PROP, CONSENT, OTHER };


typedef struct {
    const char  *name;
    int          level;
    const char  *key;
    const char  *json;
} set_t;


static sgtm_names_t    names;
static unsigned        deny;
static int             fresh, npa, sets;
static const uint64_t  seed = 0x0123456789abcdef;


static sgtm_pair_t  pairs[] = {
    { sgtm_string("ep.site"), sgtm_string("a\"b"), 0 },
    { sgtm_string("epn.n"), sgtm_string("5.0"), 0 },
    { sgtm_string("up.tier"), sgtm_string("gold"), 0 },
    { sgtm_string("dl"), sgtm_string("u"), 0 },
    { sgtm_string("ep.off"), sgtm_string(""), 1 },
    { sgtm_string("v"), sgtm_string("3"), 0 }
};

static const set_t  set_list[] = {
    { "ep.site", PARAMS, "site", "\"a\\\"b\"" },
    { "epn.n", PARAMS, "n", "5.0" },
    { "up.tier", PROPS, "tier", "{\"value\":\"gold\"}" },
    { "dl", PARAMS, "page_location", "\"u\"" }
};

static const char  *alias_list[][2] = {
    { "client_id", "cid" }, { "app_instance_id", "cid" },
    { "user_id", "uid" }, { "ip_override", "_uip" },
    { "session_id", "sid" }, { "ga_session_id", "sid" },
    { "ga_session_number", "sct" }, { "session_number", "sct" },
    { "session_engaged", "seg" }
};


static int
listed(const char *name)
{
    size_t                 n;
    const sgtm_default_t  *p;

    for (p = sgtm_default_params; p->name.len; p++) {

        n = p->name.len;

        if ((p->rule.deny & deny)
            && (p->name.data[n - 1] == '*'
                ? strncmp(name, (const char *) p->name.data, n - 1) == 0
                : strlen(name) == n && memcmp(name, p->name.data, n) == 0))
        {
            return 1;
        }
    }

    return 0;
}


static const char *
alias(const char *key)
{
    size_t  i;

    for (i = 0; i < sizeof(alias_list) / sizeof(alias_list[0]); i++) {
        if (strcmp(alias_list[i][0], key) == 0) {
            return alias_list[i][1];
        }
    }

    return key;
}


static int
denied(int level, const char *path, const char *key, const cJSON *item)
{
    char  name[NAME];

    if (level == PROP || level == CONSENT) {
        return 0;
    }

    if (level == PROPS) {
        snprintf(name, sizeof(name), "up.%s", key);
        return listed(name);
    }

    if (listed(key) || listed(alias(key)) || listed(path)
        || (strcmp(path, "user_location.city") == 0 && listed("_uip")))
    {
        return 1;
    }

    snprintf(name, sizeof(name), "ep.%s", path);

    if (listed(name)) {
        return 1;
    }

    strcat(name, ".");

    return !cJSON_IsObject(item) && listed(name);
}


/* the name of a field of the protocol, as rules have it: "userId" is user_id */

static const char *
field(const char *key, int fields, char *buf)
{
    char  *p;

    if (!fields || strlen(key) > SGTM_MAX_KEY) {
        return key;
    }

    for (p = buf; *key; key++) {

        if (*key >= 'A' && *key <= 'Z') {
            *p++ = '_';
            *p++ = (char) (*key | 0x20);

        } else {
            *p++ = *key;
        }
    }

    *p = '\0';

    return buf;
}


static int
is_id(const char *key, sgtm_str_t *kind)
{
    static const char  *ids[] = { "cid", "sid" };

    key = alias(key);
    kind->len = (strcmp(key, ids[0]) == 0) ? SGTM_KEY_CID : SGTM_KEY_SID;

    return strcmp(key, ids[0]) == 0 || strcmp(key, ids[1]) == 0;
}


/* the URLs of a string cut, in place */

static void
cut(char *text)
{
    sgtm_str_t  str;

    if (deny && strpbrk(text, "?#%") != NULL) {
        str.data = (unsigned char *) text;
        str.len = strlen(text);
        text[sgtm_redact_url(&names, deny, &str, str.data)] = '\0';
    }
}


/* 0: the member goes */

static int
new_id(cJSON *item, unsigned kind, sgtm_str_t *number)
{
    size_t      i;
    sgtm_str_t  str;

    if (cJSON_IsString(item)) {
        str.data = (unsigned char *) item->valuestring;
        str.len = strlen(item->valuestring);
        sgtm_fresh(seed, kind, &str, str.data);
        return 1;
    }

    /* the tree does not know how it was written: raw text does */

    for (i = 0; i < number->len; i++) {
        if (number->data[i] < '0' || number->data[i] > '9') {
            return 0;
        }
    }

    sgtm_fresh(seed, kind, number, number->data);

    str.data = fuzz_alloc(number->len + 1);
    memcpy(str.data, number->data, number->len);
    str.data[number->len] = '\0';
    item->valuedouble = strtod((char *) str.data, NULL);
    free(str.data);

    return 1;
}


static int
is_set(int level, const char *key)
{
    size_t  i;

    for (i = 0; sets && i < sizeof(set_list) / sizeof(set_list[0]); i++) {
        if (set_list[i].level == level && strcmp(set_list[i].key, key) == 0
            && !listed(set_list[i].name) && !listed(key))
        {
            return 1;
        }
    }

    return (level == CONSENT
            && ((npa && strcmp(key, "ad_personalization") == 0)
                || ((deny & SGTM_DENY_AD_USER_DATA)
                    && strcmp(key, "ad_user_data") == 0)))
           || (level == ROOT && npa && strcmp(key, "non_personalized_ads")
                                       == 0);
}


static int
below(int level, const char *key)
{
    if (level == ROOT && strcmp(key, "events") == 0) {
        return EVENT;
    }

    if (level == ROOT && strcmp(key, "user_properties") == 0) {
        return PROPS;
    }

    if (level == ROOT && strcmp(key, "consent") == 0) {
        return CONSENT;
    }

    if (level == EVENT && strcmp(key, "params") == 0) {
        return PARAMS;
    }

    return (level == PROPS || level == PROP) ? PROP : OTHER;
}


static void object(cJSON *o, int level, int fields, const char *path,
    const sgtm_str_t *text);


/* text is where the value is written */

static void
value(cJSON *item, int level, int fields, const char *path,
    const sgtm_str_t *text)
{
    cJSON             *one;
    sgtm_json_t        json;
    sgtm_json_item_t   raw;

    if (cJSON_IsString(item)) {
        cut(item->valuestring);

    } else if (cJSON_IsObject(item)) {
        object(item, level, fields, level == OTHER ? path : "", text);

    } else if (cJSON_IsArray(item)) {

        sgtm_json_open(&json, text);

        for (one = item->child; one; one = one->next) {
            fuzz_check(sgtm_json_next(&json, &raw));
            value(one, level, fields, path, &raw.value);
        }

        fuzz_check(!sgtm_json_next(&json, &raw));
    }
}


static void
add(cJSON *o, const char *key, const char *json)
{
    cJSON  *item;

    item = cJSON_Parse(json);
    fuzz_check(item != NULL && cJSON_AddItemToObject(o, key, item));
}


static void
add_sets(cJSON *o, int level)
{
    size_t  i;

    for (i = 0; sets && i < sizeof(set_list) / sizeof(set_list[0]); i++) {
        if (set_list[i].level == level && is_set(level, set_list[i].key)) {
            add(o, set_list[i].key, set_list[i].json);
        }
    }

    if (is_set(level, "non_personalized_ads")) {
        add(o, "non_personalized_ads", "true");
    }

    if (is_set(level, "ad_personalization")) {
        add(o, "ad_personalization", "\"DENIED\"");
    }

    if (is_set(level, "ad_user_data")) {
        add(o, "ad_user_data", "\"DENIED\"");
    }
}


static int
has_sets(int level)
{
    int     found;
    cJSON  *o;

    o = cJSON_CreateObject();
    fuzz_check(o != NULL);
    add_sets(o, level);
    found = (o->child != NULL);
    cJSON_Delete(o);

    return found;
}


/* an object of what is set, where there was none */

static void
add_object(cJSON *o, int level, const char *key)
{
    cJSON  *item;

    item = cJSON_CreateObject();
    fuzz_check(item != NULL);
    add_sets(item, level);

    if (item->child == NULL) {
        cJSON_Delete(item);

    } else {
        cJSON_AddItemToObject(o, key, item);
    }
}


static int
stays(int level, const char *key)
{
    return (level == ROOT && (strcmp(key, "events") == 0
                              || strcmp(key, "client_id") == 0
                              || strcmp(key, "app_instance_id") == 0))
           || (level == EVENT && (strcmp(key, "name") == 0
                                  || strcmp(key, "params") == 0));
}


static void
object(cJSON *o, int level, int fields, const char *path,
    const sgtm_str_t *text)
{
    int                down, keep, gone, id, seen[OTHER + 1];
    char               name[NAME], own[NAME], buf[2 * SGTM_MAX_KEY + 1];
    cJSON             *item, *next;
    sgtm_str_t         kind;
    const char        *key;
    sgtm_json_t        json;
    sgtm_json_item_t   raw;

    memset(seen, 0, sizeof(seen));
    sgtm_json_open(&json, text);

    for (item = o->child; item; item = next) {
        next = item->next;

        fuzz_check(sgtm_json_next(&json, &raw));

        cut(item->string);

        key = field(item->string, fields, buf);
        down = below(level, key);
        seen[down] = 1;

        snprintf(own, sizeof(own) - 8, "%s%s%s", path, *path ? "." : "",
                 item->string);
        snprintf(name, sizeof(name) - 8, "%s%s%s", path, *path ? "." : "",
                 key);

        keep = stays(level, key);
        id = fresh && level != PROPS && level != PROP && level != CONSENT
             && (is_id(item->string, &kind) || is_id(key, &kind));

        gone = (!keep && (denied(level, own, item->string, item)
                          || denied(level, name, key, item)))
               || is_set(level, key);

        if (!keep && id && (cJSON_IsArray(item) || cJSON_IsObject(item))) {
            gone = 1;
        }

        if (!gone && cJSON_IsNull(item) && down != OTHER && has_sets(down)) {
            seen[down] = 0;
            gone = 1;

        } else if (!gone && id
                   && (cJSON_IsString(item) || cJSON_IsNumber(item)))
        {
            gone = !new_id(item, (unsigned) kind.len, &raw.value) && !keep;

        } else if (!gone) {
            gone = (cJSON_IsObject(item) && item->child != NULL);
            value(item, down, fields && down != PARAMS && down != PROPS, name,
                  &raw.value);
            gone = gone && item->child == NULL && down == OTHER;
        }

        if (gone) {
            cJSON_Delete(cJSON_DetachItemViaPointer(o, item));
        }
    }

    fuzz_check(!sgtm_json_next(&json, &raw));

    add_sets(o, level);

    if (level == ROOT && !seen[PROPS]) {
        add_object(o, PROPS, "user_properties");
    }

    if (level == ROOT && !seen[CONSENT]) {
        add_object(o, CONSENT, "consent");
    }

    if (level == EVENT && !seen[PARAMS]) {
        add_object(o, PARAMS, "params");
    }
}


/* members of an object in any order, what is set may be anywhere */

static int
equal(const cJSON *a, const cJSON *b)
{
    int           used[4096];
    size_t        i;
    const cJSON  *x, *y;

    if ((a->type & 0xff) != (b->type & 0xff)) {
        return 0;
    }

    if (cJSON_IsNumber(a)) {
        return a->valuedouble == b->valuedouble;
    }

    if (cJSON_IsString(a)) {
        return strcmp(a->valuestring, b->valuestring) == 0;
    }

    if (cJSON_GetArraySize(a) != cJSON_GetArraySize(b)) {
        return 0;
    }

    if (!cJSON_IsObject(a)) {
        for (x = a->child, y = b->child; x; x = x->next, y = y->next) {
            if (!equal(x, y)) {
                return 0;
            }
        }

        return 1;
    }

    memset(used, 0, sizeof(used));

    for (x = a->child; x; x = x->next) {

        for (y = b->child, i = 0; y; y = y->next, i++) {
            if (!used[i] && strcmp(x->string, y->string) == 0 && equal(x, y)) {
                used[i] = 1;
                break;
            }
        }

        if (y == NULL) {
            return 0;
        }
    }

    return 1;
}


static void
check_output(const sgtm_mp_t *mp, const sgtm_str_t *in)
{
    cJSON           *want, *got;
    sgtm_str_t       out, text;
    unsigned char   *mem;
    sgtm_rewrite_t   rules;

    memset(&rules, 0, sizeof(sgtm_rewrite_t));

    rules.names = &names;
    rules.deny = deny;
    rules.npa = npa ? 1 : 0;
    rules.fresh = fresh ? 1 : 0;
    rules.seed = seed;

    if (sets) {
        rules.set = pairs;
        rules.nset = sizeof(pairs) / sizeof(pairs[0]);
    }

    mem = fuzz_alloc(sgtm_mp_size(mp, &rules, in));
    sgtm_mp_rewrite(&rules, 0, in, mem, &out);

    fuzz_check(sgtm_json_check(&out) == SGTM_REASON_NONE);

    if (!deny && !sets && !npa && !fresh) {
        fuzz_check(fuzz_equal(out.data, out.len, in->data, in->len));
    }

    want = cJSON_ParseWithLengthOpts((char *) in->data, in->len, NULL, 0);
    got = cJSON_ParseWithLengthOpts((char *) out.data, out.len, NULL, 0);
    fuzz_check(want != NULL && got != NULL);

    (void) sgtm_json_value(in, &text);
    object(want, ROOT, 1, "", &text);
    fuzz_check(equal(want, got));

    cJSON_Delete(want);
    cJSON_Delete(got);
    free(mem);
}


/* without some of the events, nothing else is another */

static void
check_drop(const sgtm_mp_t *mp, const sgtm_str_t *in, uint32_t drop)
{
    int              i;
    cJSON           *want, *got, *events, *event, *next;
    sgtm_str_t       out;
    unsigned char   *mem;
    sgtm_rewrite_t   rules;

    memset(&rules, 0, sizeof(sgtm_rewrite_t));
    rules.names = &names;

    mem = fuzz_alloc(sgtm_mp_size(mp, &rules, in));
    sgtm_mp_rewrite(&rules, drop, in, mem, &out);

    want = cJSON_ParseWithLengthOpts((char *) in->data, in->len, NULL, 0);
    got = cJSON_ParseWithLengthOpts((char *) out.data, out.len, NULL, 0);
    fuzz_check(want != NULL && got != NULL);

    events = cJSON_GetObjectItemCaseSensitive(want, "events");

    for (i = 0, event = events->child; event; event = next, i++) {
        next = event->next;

        if (drop & (uint32_t) 1 << i) {
            cJSON_Delete(cJSON_DetachItemViaPointer(events, event));
        }
    }

    fuzz_check(equal(want, got));

    cJSON_Delete(want);
    cJSON_Delete(got);
    free(mem);
}


/* user data is hashed once: what has been is not touched again */

static void
check_user_data(const sgtm_mp_t *mp, const sgtm_str_t *in)
{
    sgtm_mp_t        other;
    sgtm_str_t       out, again;
    unsigned char   *mem, *more, *buf;
    sgtm_rewrite_t   rules;

    memset(&rules, 0, sizeof(sgtm_rewrite_t));
    rules.names = &names;
    rules.user_data = 1;

    mem = fuzz_alloc(sgtm_mp_size(mp, &rules, in));
    sgtm_mp_rewrite(&rules, 0, in, mem, &out);

    buf = fuzz_alloc(out.len);
    fuzz_check(sgtm_mp_parse(&other, &out, buf, 0, NULL, NULL) == SGTM_OK);
    fuzz_check(other.nevents == mp->nevents);

    more = fuzz_alloc(sgtm_mp_size(&other, &rules, &out));
    sgtm_mp_rewrite(&rules, 0, &out, more, &again);

    fuzz_check(fuzz_equal(out.data, out.len, again.data, again.len));

    free(more);
    free(buf);
    free(mem);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              rc;
    cJSON           *root;
    sgtm_mp_t        mp;
    sgtm_str_t       in;
    unsigned char   *buf;

    if (size < 2 || size > 4096) {
        return 0;
    }

    if (names.slots == NULL) {
        fuzz_names(&names, sgtm_default_params);
    }

    deny = data[0] & 0x3f;
    fresh = data[1] & 1;
    npa = data[1] & 2;
    sets = data[1] & 4;

    in = fuzz_copy(data + 2, size - 2);
    buf = fuzz_alloc(in.len);

    rc = sgtm_mp_parse(&mp, &in, buf, 1, NULL, NULL);

    fuzz_check((rc == SGTM_OK) == (mp.reason == SGTM_REASON_NONE));

    if (sgtm_json_check(&in) == SGTM_REASON_NONE) {
        /* what is JSON here is to others */

        root = cJSON_ParseWithLengthOpts((char *) in.data, in.len, NULL, 0);
        fuzz_check(root != NULL);
        cJSON_Delete(root);
    }

    if (rc == SGTM_OK) {
        fuzz_check(mp.nevents > 0 && mp.nevents <= SGTM_MP_MAX_EVENTS
                   && mp.client.len > 0 && mp.events[0].name.len > 0);

        check_output(&mp, &in);
        check_user_data(&mp, &in);
        check_drop(&mp, &in, (uint32_t) data[1] >> 3);
    }

    free(buf);
    free(in.data);

    return 0;
}
