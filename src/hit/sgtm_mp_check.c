
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_mp_check.h"


#define SGTM_MP_NAME_CHARS       40
#define SGTM_MP_VALUE_CHARS      100
#define SGTM_MP_PARAMS_STANDARD  25

#define SGTM_MP_USER_PROPS       25
#define SGTM_MP_PROP_NAME        24
#define SGTM_MP_PROP_VALUE       36
#define SGTM_MP_USER_ID          256

#define SGTM_MP_ITEMS            200
#define SGTM_MP_ITEM_PARAMS      27

/* hours that an event may be late */
#define SGTM_MP_LATE             72


#define sgtm_nelts(array)  (sizeof(array) / sizeof((array)[0]))


typedef void (*sgtm_mp_member_pt)(sgtm_mp_check_t *c, const cJSON *item);


/* the members of the body, or of an event */

typedef struct {
    sgtm_str_t          name;
    sgtm_mp_member_pt   check;         /* NULL: anything will do */
    unsigned            once:1;        /* a second one refuses the hit */
} sgtm_mp_member_t;


typedef struct {
    sgtm_str_t          name;
    size_t              chars;
} sgtm_mp_chars_t;


static void sgtm_mp_members(sgtm_mp_check_t *c, const cJSON *object,
    const sgtm_mp_member_t *members, size_t n);
static void sgtm_mp_client(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_user_id(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_object(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_boolean(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_no_ads(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_timestamp(sgtm_mp_check_t *c, const cJSON *item);
static int sgtm_mp_micros(const cJSON *item, double *micros);
static void sgtm_mp_consent(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_user_props(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_user_prop(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_check_events(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_event_name(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_check_params(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_param(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_items(sgtm_mp_check_t *c, const cJSON *item);
static int sgtm_mp_is_name(const char *name, size_t max);
static int sgtm_mp_prefixed(const char *name, const sgtm_str_t *list,
    size_t n);
static int sgtm_mp_listed(const char *name, const sgtm_str_t *list, size_t n);
static int sgtm_mp_repeated(const cJSON *item);
static int sgtm_mp_longer(const char *text, size_t chars);
static int sgtm_mp_equal(const char *name, const sgtm_str_t *text);
static void sgtm_mp_fault(sgtm_mp_check_t *c, unsigned fault);


static const sgtm_mp_member_t  sgtm_mp_root[] = {
    { sgtm_string("client_id"), sgtm_mp_client, 1 },
    { sgtm_string("app_instance_id"), sgtm_mp_client, 1 },
    { sgtm_string("user_id"), sgtm_mp_user_id, 0 },
    { sgtm_string("timestamp_micros"), sgtm_mp_timestamp, 0 },
    { sgtm_string("user_properties"), sgtm_mp_user_props, 0 },
    { sgtm_string("user_data"), sgtm_mp_object, 0 },
    { sgtm_string("consent"), sgtm_mp_consent, 0 },
    { sgtm_string("non_personalized_ads"), sgtm_mp_no_ads, 0 },
    { sgtm_string("user_location"), sgtm_mp_object, 0 },
    { sgtm_string("ip_override"), NULL, 0 },
    { sgtm_string("device"), sgtm_mp_object, 0 },
    { sgtm_string("user_agent"), NULL, 0 },
    { sgtm_string("validation_behavior"), NULL, 0 },
    { sgtm_string("events"), sgtm_mp_check_events, 1 }
};


static const sgtm_mp_member_t  sgtm_mp_event_members[] = {
    { sgtm_string("name"), sgtm_mp_event_name, 1 },
    { sgtm_string("params"), sgtm_mp_check_params, 1 },
    { sgtm_string("timestamp_micros"), sgtm_mp_timestamp, 0 }
};


static const sgtm_str_t  sgtm_mp_reserved_events[] = {
    sgtm_string("ad_activeview"), sgtm_string("ad_click"),
    sgtm_string("ad_exposure"), sgtm_string("ad_query"),
    sgtm_string("ad_reward"), sgtm_string("adunit_exposure"),
    sgtm_string("app_background"), sgtm_string("app_clear_data"),
    sgtm_string("app_exception"), sgtm_string("app_install"),
    sgtm_string("app_remove"), sgtm_string("app_store_refund"),
    sgtm_string("app_store_subscription_cancel"),
    sgtm_string("app_store_subscription_convert"),
    sgtm_string("app_store_subscription_renew"), sgtm_string("app_update"),
    sgtm_string("app_upgrade"), sgtm_string("dynamic_link_app_open"),
    sgtm_string("dynamic_link_app_update"),
    sgtm_string("dynamic_link_first_open"), sgtm_string("error"),
    sgtm_string("first_open"), sgtm_string("first_visit"),
    sgtm_string("in_app_purchase"), sgtm_string("notification_dismiss"),
    sgtm_string("notification_foreground"), sgtm_string("notification_open"),
    sgtm_string("notification_receive"), sgtm_string("os_update"),
    sgtm_string("screen_view"), sgtm_string("session_start"),
    sgtm_string("user_engagement")
};


static const sgtm_str_t  sgtm_mp_reserved_props[] = {
    sgtm_string("first_open_time"), sgtm_string("first_open_after_install"),
    sgtm_string("first_visit_time"), sgtm_string("last_deep_link_referrer"),
    sgtm_string("user_id")
};


static const sgtm_str_t  sgtm_mp_prefixes[] = {
    sgtm_string("firebase_"), sgtm_string("ga_"), sgtm_string("google_"),
    sgtm_string("gtag.")
};


/* what carries a session has a reserved prefix and is meant to */

static const sgtm_str_t  sgtm_mp_free[] = {
    sgtm_string("ga_session_id"), sgtm_string("ga_session_number")
};


static const sgtm_mp_chars_t  sgtm_mp_chars[] = {
    { sgtm_string("page_title"), 300 },
    { sgtm_string("page_referrer"), 420 },
    { sgtm_string("page_location"), 1000 }
};


/* of an item; what is not among them is its own */

static const sgtm_str_t  sgtm_mp_item_params[] = {
    sgtm_string("affiliation"), sgtm_string("coupon"),
    sgtm_string("creative_name"), sgtm_string("creative_slot"),
    sgtm_string("currency"), sgtm_string("discount"), sgtm_string("index"),
    sgtm_string("item_brand"), sgtm_string("item_category"),
    sgtm_string("item_category2"), sgtm_string("item_category3"),
    sgtm_string("item_category4"), sgtm_string("item_category5"),
    sgtm_string("item_id"), sgtm_string("item_list_id"),
    sgtm_string("item_list_name"), sgtm_string("item_name"),
    sgtm_string("item_variant"), sgtm_string("location_id"),
    sgtm_string("price"), sgtm_string("promotion_id"),
    sgtm_string("promotion_name"), sgtm_string("quantity")
};


static const sgtm_str_t  sgtm_mp_body = sgtm_string("body");
static const sgtm_str_t  sgtm_mp_event_path = sgtm_string("events");


void
sgtm_mp_check(sgtm_mp_check_t *c, const cJSON *root)
{
    memset(&c->where, 0, sizeof(sgtm_mp_where_t));
    c->where.event = -1;

    if (!cJSON_IsObject(root)) {
        sgtm_mp_fault(c, SGTM_MP_F_JSON);
        return;
    }

    sgtm_mp_members(c, root, sgtm_mp_root, sgtm_nelts(sgtm_mp_root));

    if (cJSON_GetObjectItemCaseSensitive(root, "client_id") == NULL
        && cJSON_GetObjectItemCaseSensitive(root, "app_instance_id") == NULL)
    {
        c->where.member = sgtm_mp_root[0].name;
        sgtm_mp_fault(c, SGTM_MP_F_CLIENT);
    }

    if (cJSON_GetObjectItemCaseSensitive(root, "events") == NULL) {
        c->where.member = sgtm_mp_root[sgtm_nelts(sgtm_mp_root) - 1].name;
        sgtm_mp_fault(c, SGTM_MP_F_EVENTS);
    }
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

    sgtm_mp_fault(c, fault);
}


static void
sgtm_mp_members(sgtm_mp_check_t *c, const cJSON *object,
    const sgtm_mp_member_t *members, size_t n)
{
    size_t        i;
    uint32_t      seen;
    const cJSON  *item;

    seen = 0;

    cJSON_ArrayForEach(item, object) {

        for (i = 0; i < n; i++) {
            if (sgtm_mp_equal(item->string, &members[i].name)) {
                break;
            }
        }

        if (i == n) {
            c->where.member.data = (unsigned char *) item->string;
            c->where.member.len = strlen(item->string);
            sgtm_mp_fault(c, SGTM_MP_F_UNKNOWN);
            continue;
        }

        c->where.member = members[i].name;

        if (seen & (uint32_t) 1 << i) {
            sgtm_mp_fault(c, members[i].once ? SGTM_MP_F_ONCE
                                             : SGTM_MP_F_DUPLICATE);
        }

        seen |= (uint32_t) 1 << i;

        if (members[i].check != NULL) {
            members[i].check(c, item);
        }

        c->where.name.len = 0;
    }

    c->where.member.len = 0;
}


static void
sgtm_mp_client(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
        sgtm_mp_fault(c, SGTM_MP_F_CLIENT_EMPTY);
    }
}


static void
sgtm_mp_user_id(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsString(item)) {
        sgtm_mp_fault(c, SGTM_MP_F_STRING);
        return;
    }

    if (sgtm_mp_longer(item->valuestring, SGTM_MP_USER_ID)) {
        sgtm_mp_fault(c, SGTM_MP_F_USER_ID);
    }
}


static void
sgtm_mp_object(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsObject(item)) {
        sgtm_mp_fault(c, SGTM_MP_F_OBJECT);
    }
}


static void
sgtm_mp_boolean(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsBool(item)) {
        sgtm_mp_fault(c, SGTM_MP_F_BOOLEAN);
    }
}


/* the older way to deny it */

static void
sgtm_mp_no_ads(sgtm_mp_check_t *c, const cJSON *item)
{
    sgtm_mp_boolean(c, item);

    if (cJSON_IsTrue(item)) {
        c->mp->consent.state[SGTM_AD_PERSONALIZATION] = SGTM_DENIED;
    }
}


static void
sgtm_mp_timestamp(sgtm_mp_check_t *c, const cJSON *item)
{
    double  micros, now;

    if (!sgtm_mp_micros(item, &micros)) {
        sgtm_mp_fault(c, SGTM_MP_F_TIMESTAMP);
        return;
    }

    now = (double) c->now;

    /* clocks differ by some minutes */

    if (c->now && (micros / 1e6 < now - SGTM_MP_LATE * 3600
                   || micros / 1e6 > now + 900))
    {
        sgtm_mp_fault(c, SGTM_MP_F_LATE);
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
        sgtm_mp_fault(c, SGTM_MP_F_OBJECT);
        return;
    }

    cJSON_ArrayForEach(state, item) {

        c->where.name.data = (unsigned char *) state->string;
        c->where.name.len = strlen(state->string);

        for (i = 0, type = SGTM_CONSENT_N; i < SGTM_CONSENT_N; i++) {
            if (sgtm_mp_equal(state->string, &sgtm_consent_names[i])) {
                type = i;
            }
        }

        if (type == SGTM_CONSENT_N) {
            sgtm_mp_fault(c, SGTM_MP_F_UNKNOWN);
            continue;
        }

        memset(&one, 0, sizeof(sgtm_consent_t));

        if (cJSON_IsString(state)
            && strcmp(state->valuestring, "GRANTED") == 0)
        {
            one.state[type] = SGTM_GRANTED;

        } else if (cJSON_IsString(state)
                   && strcmp(state->valuestring, "DENIED") == 0)
        {
            one.state[type] = SGTM_DENIED;

        } else {
            sgtm_mp_fault(c, SGTM_MP_F_CONSENT);
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
        sgtm_mp_fault(c, SGTM_MP_F_OBJECT);
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

    if (n > SGTM_MP_USER_PROPS) {
        sgtm_mp_fault(c, SGTM_MP_F_PROPS_MANY);
    }
}


static void
sgtm_mp_user_prop(sgtm_mp_check_t *c, const cJSON *item)
{
    const cJSON  *value;

    if (sgtm_mp_longer(item->string, SGTM_MP_PROP_NAME)) {
        sgtm_mp_fault(c, SGTM_MP_F_PROP_LONG);

    } else if (sgtm_mp_prefixed(item->string, sgtm_mp_prefixes,
                                sgtm_nelts(sgtm_mp_prefixes))
               || sgtm_mp_listed(item->string, sgtm_mp_reserved_props,
                                 sgtm_nelts(sgtm_mp_reserved_props)))
    {
        sgtm_mp_fault(c, SGTM_MP_F_PROP_RESERVED);

    } else if (!sgtm_mp_is_name(item->string, SGTM_MP_PROP_NAME)) {
        sgtm_mp_fault(c, SGTM_MP_F_PROP_NAME);
    }

    value = cJSON_IsObject(item)
            ? cJSON_GetObjectItemCaseSensitive(item, "value") : NULL;

    if (value == NULL) {
        sgtm_mp_fault(c, SGTM_MP_F_PROP_OBJECT);
        return;
    }

    if (cJSON_IsString(value)
        && sgtm_mp_longer(value->valuestring, SGTM_MP_PROP_VALUE))
    {
        sgtm_mp_fault(c, SGTM_MP_F_PROP_VALUE);
    }
}


static void
sgtm_mp_check_events(sgtm_mp_check_t *c, const cJSON *item)
{
    sgtm_str_t    member;
    const cJSON  *event;

    if (!cJSON_IsArray(item) || item->child == NULL) {
        sgtm_mp_fault(c, SGTM_MP_F_EVENTS_EMPTY);
        return;
    }

    if (cJSON_GetArraySize(item) > SGTM_MP_MAX_EVENTS) {
        sgtm_mp_fault(c, SGTM_MP_F_EVENTS_MANY);
        return;
    }

    member = c->where.member;

    cJSON_ArrayForEach(event, item) {

        c->where.event++;
        c->where.member.len = 0;

        if (!cJSON_IsObject(event)) {
            sgtm_mp_fault(c, SGTM_MP_F_OBJECT);
            continue;
        }

        sgtm_mp_members(c, event, sgtm_mp_event_members,
                        sgtm_nelts(sgtm_mp_event_members));

        if (cJSON_GetObjectItemCaseSensitive(event, "name") == NULL) {
            c->where.member = sgtm_mp_event_members[0].name;
            sgtm_mp_fault(c, SGTM_MP_F_EVENT_NAME);
        }
    }

    c->where.event = -1;
    c->where.member = member;
}


static void
sgtm_mp_event_name(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
        sgtm_mp_fault(c, SGTM_MP_F_EVENT_NAME);
        return;
    }

    if (!sgtm_mp_is_name(item->valuestring, SGTM_MP_NAME_CHARS)) {
        sgtm_mp_fault(c, SGTM_MP_F_EVENT_NAME_BAD);
        return;
    }

    if (sgtm_mp_prefixed(item->valuestring, sgtm_mp_prefixes,
                         sgtm_nelts(sgtm_mp_prefixes))
        || sgtm_mp_listed(item->valuestring, sgtm_mp_reserved_events,
                          sgtm_nelts(sgtm_mp_reserved_events)))
    {
        sgtm_mp_fault(c, SGTM_MP_F_EVENT_RESERVED);
    }
}


static void
sgtm_mp_check_params(sgtm_mp_check_t *c, const cJSON *item)
{
    int           n;
    const cJSON  *param;

    if (!cJSON_IsObject(item)) {
        sgtm_mp_fault(c, SGTM_MP_F_OBJECT);
        return;
    }

    n = cJSON_GetArraySize(item);

    if (n > SGTM_MP_MAX_PARAMS) {
        sgtm_mp_fault(c, SGTM_MP_F_PARAMS_MANY);
        return;
    }

    if (n > SGTM_MP_PARAMS_STANDARD) {
        sgtm_mp_fault(c, SGTM_MP_F_PARAMS_OVER);
    }

    cJSON_ArrayForEach(param, item) {

        c->where.name.data = (unsigned char *) param->string;
        c->where.name.len = strlen(param->string);

        if (sgtm_mp_repeated(param)) {
            sgtm_mp_fault(c, SGTM_MP_F_DUPLICATE);
        }

        sgtm_mp_param(c, param);
    }

    c->where.name.len = 0;
}


static void
sgtm_mp_param(sgtm_mp_check_t *c, const cJSON *item)
{
    size_t  i, chars;

    if (sgtm_mp_longer(item->string, SGTM_MP_NAME_CHARS)) {
        sgtm_mp_fault(c, SGTM_MP_F_PARAM_LONG);

    } else if (sgtm_mp_prefixed(item->string, sgtm_mp_prefixes,
                                sgtm_nelts(sgtm_mp_prefixes))
               && !sgtm_mp_listed(item->string, sgtm_mp_free,
                                  sgtm_nelts(sgtm_mp_free)))
    {
        sgtm_mp_fault(c, SGTM_MP_F_PARAM_RESERVED);

    } else if (!sgtm_mp_is_name(item->string, SGTM_MP_NAME_CHARS)) {
        sgtm_mp_fault(c, SGTM_MP_F_PARAM_NAME);
    }

    if (strcmp(item->string, "items") == 0) {
        sgtm_mp_items(c, item);
        return;
    }

    if (!cJSON_IsString(item)) {
        return;
    }

    chars = SGTM_MP_VALUE_CHARS;

    for (i = 0; i < sgtm_nelts(sgtm_mp_chars); i++) {
        if (sgtm_mp_equal(item->string, &sgtm_mp_chars[i].name)) {
            chars = sgtm_mp_chars[i].chars;
        }
    }

    if (sgtm_mp_longer(item->valuestring, chars)) {
        sgtm_mp_fault(c, SGTM_MP_F_PARAM_VALUE);
    }
}


static void
sgtm_mp_items(sgtm_mp_check_t *c, const cJSON *item)
{
    unsigned      n, own, over;
    const cJSON  *one, *param;

    if (!cJSON_IsArray(item)) {
        sgtm_mp_fault(c, SGTM_MP_F_ITEMS);
        return;
    }

    n = 0;
    over = 0;

    cJSON_ArrayForEach(one, item) {

        n++;
        own = 0;

        if (!cJSON_IsObject(one)) {
            sgtm_mp_fault(c, SGTM_MP_F_ITEMS);
            continue;
        }

        cJSON_ArrayForEach(param, one) {
            own += !sgtm_mp_listed(param->string, sgtm_mp_item_params,
                                   sgtm_nelts(sgtm_mp_item_params));
        }

        over |= (own > SGTM_MP_ITEM_PARAMS);
    }

    if (n > SGTM_MP_ITEMS) {
        sgtm_mp_fault(c, SGTM_MP_F_ITEMS_MANY);
    }

    if (over) {
        sgtm_mp_fault(c, SGTM_MP_F_ITEM_PARAMS);
    }
}


static int
sgtm_mp_is_name(const char *name, size_t max)
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


static int
sgtm_mp_prefixed(const char *name, const sgtm_str_t *list, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (strncmp(name, (const char *) list[i].data, list[i].len) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
sgtm_mp_listed(const char *name, const sgtm_str_t *list, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (sgtm_mp_equal(name, &list[i])) {
            return 1;
        }
    }

    return 0;
}


/* whether an object has had this name before */

static int
sgtm_mp_repeated(const cJSON *item)
{
    const cJSON  *before;

    /* the first one's "prev" is the last */

    for (before = item->prev; before && before->next; before = before->prev) {
        if (strcmp(before->string, item->string) == 0) {
            return 1;
        }
    }

    return 0;
}


/* in characters, not bytes */

static int
sgtm_mp_longer(const char *text, size_t chars)
{
    size_t  n;

    for (n = 0; *text; text++) {
        if ((*text & 0xc0) != 0x80 && ++n > chars) {
            return 1;
        }
    }

    return 0;
}


static int
sgtm_mp_equal(const char *name, const sgtm_str_t *text)
{
    return strncmp(name, (const char *) text->data, text->len) == 0
           && name[text->len] == '\0';
}


static void
sgtm_mp_fault(sgtm_mp_check_t *c, unsigned n)
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
