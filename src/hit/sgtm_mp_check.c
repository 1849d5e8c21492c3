
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_limits.h"
#include "sgtm_mp_check.h"


/* hours that an event may be late */
#define SGTM_MP_LATE        72

/* seconds by which clocks differ */
#define SGTM_MP_EARLY       900


static unsigned sgtm_mp_user_values(const cJSON *item, unsigned user);
static void sgtm_mp_client(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_user_id(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_no_ads(sgtm_mp_check_t *c, const cJSON *item);
static int sgtm_mp_check_says(const char *text, const char *word);
static int sgtm_mp_micros(const cJSON *item, double *micros);
static void sgtm_mp_consent(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_user_props(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_user_prop(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_user_prop_name(sgtm_mp_check_t *c, const char *name);


/* what has to be there, one of the first two of the list and the third */

#define SGTM_MP_CLIENT      0
#define SGTM_MP_LIST        2

#define SGTM_MP_HAS_CLIENT  3
#define SGTM_MP_HAS_EVENTS  (1 << SGTM_MP_LIST)


static const sgtm_mp_member_t  sgtm_mp_root[] = {
    { sgtm_string("client_id"), sgtm_mp_client, 1, 1 },
    { sgtm_string("app_instance_id"), sgtm_mp_client, 1, 1 },
    { sgtm_string("events"), sgtm_mp_check_events, 1, 1 },
    { sgtm_string("user_id"), sgtm_mp_user_id, 0, 0 },
    { sgtm_string("timestamp_micros"), sgtm_mp_check_timestamp, 0, 0 },
    { sgtm_string("user_properties"), sgtm_mp_user_props, 0, 0 },
    { sgtm_string("user_data"), sgtm_mp_check_object, 0, 0 },
    { sgtm_string("consent"), sgtm_mp_consent, 0, 0 },
    { sgtm_string("non_personalized_ads"), sgtm_mp_no_ads, 0, 0 },
    { sgtm_string("user_location"), sgtm_mp_check_object, 0, 0 },
    { sgtm_string("ip_override"), NULL, 0, 0 },
    { sgtm_string("device"), sgtm_mp_check_object, 0, 0 },
    { sgtm_string("user_agent"), NULL, 0, 0 },
    { sgtm_string("validation_behavior"), NULL, 0, 0 }
};


static const sgtm_str_t  sgtm_mp_reserved_props[] = {
    sgtm_string("first_open_time"), sgtm_string("first_open_after_install"),
    sgtm_string("first_visit_time"), sgtm_string("last_deep_link_referrer"),
    sgtm_string("user_id")
};


static const sgtm_str_t  sgtm_mp_user = sgtm_string("user_data");

static const sgtm_str_t  sgtm_mp_body = sgtm_string("body");
static const sgtm_str_t  sgtm_mp_event_path = sgtm_string("events");


void
sgtm_mp_check(sgtm_mp_check_t *c, const cJSON *root)
{
    uint32_t  seen;

    memset(&c->where, 0, sizeof(sgtm_mp_where_t));
    c->where.event = -1;

    if (!cJSON_IsObject(root)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_JSON);
        return;
    }

    seen = sgtm_mp_check_members(c, root, sgtm_mp_root,
                                 sgtm_nelts(sgtm_mp_root));

    if (!(seen & SGTM_MP_HAS_CLIENT)) {
        c->where.member = sgtm_mp_root[SGTM_MP_CLIENT].name;
        sgtm_mp_check_fault(c, SGTM_MP_F_CLIENT);
    }

    if (!(seen & SGTM_MP_HAS_EVENTS)) {
        c->where.member = sgtm_mp_root[SGTM_MP_LIST].name;
        sgtm_mp_check_fault(c, SGTM_MP_F_EVENTS);
    }

    c->mp->user = sgtm_mp_user_values(root, 0);

    if (c->mp->user > SGTM_MP_MAX_USER) {
        c->where.member = sgtm_mp_user;
        sgtm_mp_check_fault(c, SGTM_MP_F_USER_MANY);
    }
}


/*
 * Each may become a hash.  What has the name within may be user_data, once the
 * URL around it is cut: a few too many cost nothing.
 */

static unsigned
sgtm_mp_user_values(const cJSON *item, unsigned user)
{
    unsigned      n, below;
    const cJSON  *child;

    n = 0;

    cJSON_ArrayForEach(child, item) {

        below = user
                || (child->string
                    && (strstr(child->string, "user_data")
                        || strstr(child->string, "userData")));

        n += below + sgtm_mp_user_values(child, below);
    }

    return n;
}


void
sgtm_mp_check_text(sgtm_mp_check_t *c, unsigned reason)
{
    unsigned  fault;

    c->mp->reason = SGTM_REASON_NONE;

    memset(&c->where, 0, sizeof(sgtm_mp_where_t));
    c->where.event = -1;

    for (fault = SGTM_MP_F_JSON; fault < SGTM_MP_F_UTF8; fault++) {
        if (sgtm_mp_faults[fault].reason == reason) {
            break;
        }
    }

    sgtm_mp_check_fault(c, fault);
}


uint32_t
sgtm_mp_check_members(sgtm_mp_check_t *c, const cJSON *object,
    const sgtm_mp_member_t *members, size_t n)
{
    size_t        i;
    uint32_t      seen;
    const cJSON  *item;

    seen = 0;

    cJSON_ArrayForEach(item, object) {

        for (i = 0; i < n; i++) {
            if (sgtm_mp_check_field(item->string, &members[i].name)) {
                break;
            }
        }

        if (i == n) {
            c->where.member.data = (unsigned char *) item->string;
            c->where.member.len = strlen(item->string);
            sgtm_mp_check_fault(c, SGTM_MP_F_UNKNOWN);
            continue;
        }

        c->where.member = members[i].name;

        if (seen & (uint32_t) 1 << i) {
            sgtm_mp_check_fault(c, members[i].once ? SGTM_MP_F_ONCE
                                             : SGTM_MP_F_DUPLICATE);
        }

        seen |= (uint32_t) 1 << i;

        /* null is as good as absent, where that is allowed */

        if (members[i].check != NULL
            && (members[i].needed || !cJSON_IsNull(item)))
        {
            members[i].check(c, item);
        }

        c->where.name.len = 0;
    }

    c->where.member.len = 0;

    return seen;
}


static void
sgtm_mp_client(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
        sgtm_mp_check_fault(c, SGTM_MP_F_CLIENT_EMPTY);
    }
}


static void
sgtm_mp_user_id(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsString(item)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_STRING);
        return;
    }

    if (sgtm_mp_check_longer(item->valuestring, SGTM_LIMIT_USER_ID)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_USER_ID);
    }
}


void
sgtm_mp_check_object(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsObject(item)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_OBJECT);
    }
}


/* the older way to deny it; what is meant so is a denial in any form */

static void
sgtm_mp_no_ads(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsBool(item)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_BOOLEAN);
    }

    if (cJSON_IsTrue(item)
        || (cJSON_IsNumber(item) && item->valuedouble != 0)
        || (cJSON_IsString(item)
            && sgtm_mp_check_says(item->valuestring, "TRUE")))
    {
        c->mp->consent.state[SGTM_AD_PERSONALIZATION] = SGTM_DENIED;
    }
}


/* the word in capitals or small letters */

static int
sgtm_mp_check_says(const char *text, const char *word)
{
    for ( /* void */ ; *word; text++, word++) {
        if (*text != *word && *text != (*word | 0x20)) {
            return 0;
        }
    }

    return *text == '\0';
}


void
sgtm_mp_check_timestamp(sgtm_mp_check_t *c, const cJSON *item)
{
    double  micros, now;

    if (!sgtm_mp_micros(item, &micros)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_TIMESTAMP);
        return;
    }

    now = (double) c->now;

    if (c->now && (micros / 1e6 < now - SGTM_MP_LATE * 3600
                   || micros / 1e6 > now + SGTM_MP_EARLY))
    {
        sgtm_mp_check_fault(c, SGTM_MP_F_LATE);
    }
}


/* a number, or one in a string as Protocol Buffers write them */

static int
sgtm_mp_micros(const cJSON *item, double *micros)
{
    size_t       n;
    const char  *p;

    if (cJSON_IsNumber(item)) {
        *micros = item->valuedouble;
        return *micros >= 0;
    }

    if (!cJSON_IsString(item)) {
        return 0;
    }

    n = strlen(item->valuestring);

    if (n == 0 || n > 18) {
        return 0;
    }

    *micros = 0;

    for (p = item->valuestring; *p; p++) {

        if (*p < '0' || *p > '9') {
            return 0;
        }

        *micros = *micros * 10 + (*p - '0');
    }

    return 1;
}


static void
sgtm_mp_consent(sgtm_mp_check_t *c, const cJSON *item)
{
    unsigned        i, type;
    const cJSON    *state;
    sgtm_consent_t  one;

    if (!cJSON_IsObject(item)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_OBJECT);
        return;
    }

    cJSON_ArrayForEach(state, item) {

        c->where.name.data = (unsigned char *) state->string;
        c->where.name.len = strlen(state->string);

        for (i = 0, type = SGTM_CONSENT_N; i < SGTM_CONSENT_N; i++) {
            if (sgtm_mp_check_field(state->string, &sgtm_consent_names[i])) {
                type = i;
            }
        }

        if (type == SGTM_CONSENT_N) {
            sgtm_mp_check_fault(c, SGTM_MP_F_UNKNOWN);
            continue;
        }

        memset(&one, 0, sizeof(sgtm_consent_t));

        if (cJSON_IsString(state)
            && strcmp(state->valuestring, "GRANTED") == 0)
        {
            one.state[type] = SGTM_GRANTED;

        } else {

            if (!cJSON_IsString(state)
                || strcmp(state->valuestring, "DENIED") != 0)
            {
                sgtm_mp_check_fault(c, SGTM_MP_F_CONSENT);
            }

            if (cJSON_IsString(state)
                && sgtm_mp_check_says(state->valuestring, "DENIED"))
            {
                one.state[type] = SGTM_DENIED;
            }
        }

        sgtm_consent_strictest(&c->mp->consent, &one);
    }
}


static void
sgtm_mp_user_props(sgtm_mp_check_t *c, const cJSON *item)
{
    unsigned      n;
    const cJSON  *prop;

    if (!cJSON_IsObject(item)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_OBJECT);
        return;
    }

    n = 0;

    cJSON_ArrayForEach(prop, item) {

        c->where.name.data = (unsigned char *) prop->string;
        c->where.name.len = strlen(prop->string);

        n++;
        sgtm_mp_user_prop(c, prop);
    }

    c->where.name.len = 0;

    if (n > SGTM_LIMIT_USER_PROPS) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PROPS_MANY);
    }
}


static void
sgtm_mp_user_prop(sgtm_mp_check_t *c, const cJSON *item)
{
    const cJSON  *value;

    sgtm_mp_user_prop_name(c, item->string);

    value = cJSON_IsObject(item)
            ? cJSON_GetObjectItemCaseSensitive(item, "value") : NULL;

    if (value == NULL) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PROP_OBJECT);
        return;
    }

    if (cJSON_IsString(value)
        && sgtm_mp_check_longer(value->valuestring, SGTM_LIMIT_PROP_VALUE))
    {
        sgtm_mp_check_fault(c, SGTM_MP_F_PROP_VALUE);
    }
}


static void
sgtm_mp_user_prop_name(sgtm_mp_check_t *c, const char *name)
{
    if (sgtm_mp_check_longer(name, SGTM_LIMIT_PROP_NAME)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PROP_LONG);

    } else if (sgtm_mp_check_reserved(name)
               || sgtm_mp_check_listed(name, sgtm_mp_reserved_props,
                                 sgtm_nelts(sgtm_mp_reserved_props)))
    {
        sgtm_mp_check_fault(c, SGTM_MP_F_PROP_RESERVED);

    } else if (!sgtm_mp_check_name(name, SGTM_LIMIT_PROP_NAME)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PROP_NAME);
    }
}


int
sgtm_mp_check_name(const char *name, size_t max)
{
    size_t  i;
    char    c;

    for (i = 0; name[i]; i++) {
        c = name[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            continue;
        }

        if (i == 0 || (c != '_' && (c < '0' || c > '9'))) {
            return 0;
        }
    }

    return i && i <= max;
}


int
sgtm_mp_check_reserved(const char *name)
{
    sgtm_str_t  text;

    text.data = (unsigned char *) (uintptr_t) name;
    text.len = strlen(name);

    return sgtm_limits_reserved(&text) != 0;
}


int
sgtm_mp_check_listed(const char *name, const sgtm_str_t *list, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (sgtm_mp_check_equal(name, &list[i])) {
            return 1;
        }
    }

    return 0;
}


/* in characters, not bytes */

int
sgtm_mp_check_longer(const char *text, size_t chars)
{
    size_t  n;

    for (n = 0; *text; text++) {
        if ((*text & 0xc0) != 0x80 && ++n > chars) {
            return 1;
        }
    }

    return 0;
}


int
sgtm_mp_check_equal(const char *name, const sgtm_str_t *text)
{
    return strncmp(name, (const char *) text->data, text->len) == 0
           && name[text->len] == '\0';
}


int
sgtm_mp_check_field(const char *name, const sgtm_str_t *field)
{
    const unsigned char  *p, *end;

    end = field->data + field->len;

    for (p = field->data; p < end; p++, name++) {

        if (*name == (char) *p) {
            continue;
        }

        /* a capital in place of "_" and a small letter */

        if (*p != '_' || *name < 'A' || *name > 'Z'
            || ++p == end || (*name | 0x20) != *p)
        {
            return 0;
        }
    }

    return *name == '\0';
}


void
sgtm_mp_check_fault(sgtm_mp_check_t *c, unsigned n)
{
    sgtm_mp_t              *mp;
    const sgtm_mp_fault_t  *fault;

    mp = c->mp;
    fault = &sgtm_mp_faults[n];

    mp->over |= fault->over;

    if (fault->reason != SGTM_REASON_NONE && mp->reason == SGTM_REASON_NONE) {
        mp->reason = fault->reason;
        mp->param = c->where.member.len ? c->where.member
                    : c->where.event < 0 ? sgtm_mp_body : sgtm_mp_event_path;
    }

    if (c->report != NULL) {
        c->report(c->data, fault, &c->where);
    }
}
