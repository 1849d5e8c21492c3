
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_limits.h"
#include "sgtm_mp_check.h"


static void sgtm_mp_event_name(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_params(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_param(sgtm_mp_check_t *c, const cJSON *item);
static void sgtm_mp_param_name(sgtm_mp_check_t *c, const char *name);
static void sgtm_mp_items(sgtm_mp_check_t *c, const cJSON *item);
static int sgtm_mp_repeated(const cJSON *item);


static const sgtm_mp_member_t  sgtm_mp_event_members[] = {
    { sgtm_string("name"), sgtm_mp_event_name, 1, 1 },
    { sgtm_string("params"), sgtm_mp_params, 1, 0 },
    { sgtm_string("timestamp_micros"), sgtm_mp_check_timestamp, 0, 0 }
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


/* what carries a session has a reserved prefix and is meant to */

static const sgtm_str_t  sgtm_mp_free[] = {
    sgtm_string("ga_session_id"), sgtm_string("ga_session_number")
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


void
sgtm_mp_check_events(sgtm_mp_check_t *c, const cJSON *item)
{
    uint32_t      seen;
    sgtm_str_t    member;
    const cJSON  *event;

    if (!cJSON_IsArray(item) || item->child == NULL) {
        sgtm_mp_check_fault(c, SGTM_MP_F_EVENTS_EMPTY);
        return;
    }

    if (cJSON_GetArraySize(item) > SGTM_MP_MAX_EVENTS) {
        sgtm_mp_check_fault(c, SGTM_MP_F_EVENTS_MANY);
        return;
    }

    member = c->where.member;

    cJSON_ArrayForEach(event, item) {

        c->where.event++;
        c->where.member.len = 0;

        if (!cJSON_IsObject(event)) {
            sgtm_mp_check_fault(c, SGTM_MP_F_OBJECT);
            continue;
        }

        seen = sgtm_mp_check_members(c, event, sgtm_mp_event_members,
                                     sgtm_nelts(sgtm_mp_event_members));

        /* the first of them */

        if (!(seen & 1)) {
            c->where.member = sgtm_mp_event_members[0].name;
            sgtm_mp_check_fault(c, SGTM_MP_F_EVENT_NAME);
        }
    }

    c->where.event = -1;
    c->where.member = member;
}


static void
sgtm_mp_event_name(sgtm_mp_check_t *c, const cJSON *item)
{
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
        sgtm_mp_check_fault(c, SGTM_MP_F_EVENT_NAME);
        return;
    }

    if (!sgtm_mp_check_name(item->valuestring, SGTM_LIMIT_EVENT_NAME)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_EVENT_NAME_BAD);
        return;
    }

    if (sgtm_mp_check_reserved(item->valuestring)
        || sgtm_mp_check_listed(item->valuestring, sgtm_mp_reserved_events,
                          sgtm_nelts(sgtm_mp_reserved_events)))
    {
        sgtm_mp_check_fault(c, SGTM_MP_F_EVENT_RESERVED);
    }
}


static void
sgtm_mp_params(sgtm_mp_check_t *c, const cJSON *item)
{
    int           n;
    const cJSON  *param;

    if (!cJSON_IsObject(item)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_OBJECT);
        return;
    }

    n = cJSON_GetArraySize(item);

    if (n > SGTM_MP_MAX_PARAMS) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PARAMS_MANY);
        return;
    }

    if (n > SGTM_LIMIT_PARAMS) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PARAMS_OVER);
    }

    cJSON_ArrayForEach(param, item) {

        c->where.name.data = (unsigned char *) param->string;
        c->where.name.len = strlen(param->string);

        if (sgtm_mp_repeated(param)) {
            sgtm_mp_check_fault(c, SGTM_MP_F_DUPLICATE);
        }

        sgtm_mp_param(c, param);
    }

    c->where.name.len = 0;
}


static void
sgtm_mp_param(sgtm_mp_check_t *c, const cJSON *item)
{
    sgtm_mp_param_name(c, item->string);

    if (strcmp(item->string, "items") == 0) {
        sgtm_mp_items(c, item);
        return;
    }

    if (!cJSON_IsString(item)) {
        return;
    }

    /* its name is where it is */

    if (sgtm_mp_check_longer(item->valuestring,
                             sgtm_limits_value(c->where.name.data,
                                               c->where.name.len)))
    {
        sgtm_mp_check_fault(c, SGTM_MP_F_PARAM_VALUE);
    }
}


static void
sgtm_mp_param_name(sgtm_mp_check_t *c, const char *name)
{
    if (sgtm_mp_check_longer(name, SGTM_LIMIT_PARAM_NAME)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PARAM_LONG);

    } else if (sgtm_mp_check_reserved(name)
               && !sgtm_mp_check_listed(name, sgtm_mp_free,
                                  sgtm_nelts(sgtm_mp_free)))
    {
        sgtm_mp_check_fault(c, SGTM_MP_F_PARAM_RESERVED);

    } else if (!sgtm_mp_check_name(name, SGTM_LIMIT_PARAM_NAME)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_PARAM_NAME);
    }
}


static void
sgtm_mp_items(sgtm_mp_check_t *c, const cJSON *item)
{
    unsigned      n, own, over;
    const cJSON  *one, *param;

    if (!cJSON_IsArray(item)) {
        sgtm_mp_check_fault(c, SGTM_MP_F_ITEMS);
        return;
    }

    n = 0;
    over = 0;

    cJSON_ArrayForEach(one, item) {

        n++;
        own = 0;

        if (!cJSON_IsObject(one)) {
            sgtm_mp_check_fault(c, SGTM_MP_F_ITEMS);
            continue;
        }

        cJSON_ArrayForEach(param, one) {
            own += !sgtm_mp_check_listed(param->string, sgtm_mp_item_params,
                                   sgtm_nelts(sgtm_mp_item_params));
        }

        over |= (own > SGTM_LIMIT_ITEM_PARAMS);
    }

    if (n > SGTM_LIMIT_ITEMS) {
        sgtm_mp_check_fault(c, SGTM_MP_F_ITEMS_MANY);
    }

    if (over) {
        sgtm_mp_check_fault(c, SGTM_MP_F_ITEM_PARAMS);
    }
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
