
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include <cjson/cJSON.h>

#include "sgtm_mp.h"
#include "sgtm_mp_check.h"


static void sgtm_mp_events(sgtm_mp_t *mp, const sgtm_str_t *root,
    unsigned char **buf);
static void sgtm_mp_event(sgtm_mp_event_t *event, const sgtm_str_t *span,
    unsigned char **buf);
static void sgtm_mp_text(sgtm_str_t *text, const sgtm_json_item_t *item,
    unsigned char **buf);


static const sgtm_str_t  sgtm_mp_clients[] = {
    sgtm_string("client_id"), sgtm_string("clientId"),
    sgtm_string("app_instance_id"), sgtm_string("appInstanceId")
};

static const sgtm_str_t  sgtm_mp_events_name = sgtm_string("events");
static const sgtm_str_t  sgtm_mp_name = sgtm_string("name");
static const sgtm_str_t  sgtm_mp_params = sgtm_string("params");
static const sgtm_str_t  sgtm_mp_event_id = sgtm_string("event_id");
static const sgtm_str_t  sgtm_mp_transaction = sgtm_string("transaction_id");

static const char  sgtm_mp_purchase[] = "purchase";


int
sgtm_mp_parse(sgtm_mp_t *mp, const sgtm_str_t *in, unsigned char *buf,
    int64_t now, sgtm_mp_report_pt report, void *data)
{
    size_t             i;
    cJSON             *root;
    sgtm_str_t         value;
    sgtm_mp_check_t    check;
    sgtm_json_item_t   item;

    memset(mp, 0, sizeof(sgtm_mp_t));

    check.mp = mp;
    check.now = now;
    check.report = report;
    check.data = data;

    mp->reason = (uint8_t) sgtm_json_check(in);

    if (mp->reason != SGTM_REASON_NONE) {
        sgtm_mp_check_text(&check, mp->reason);
        return SGTM_DECLINED;
    }

    /* what is left to go wrong is memory */

    root = cJSON_ParseWithLengthOpts((const char *) in->data, in->len, NULL,
                                     0);
    if (root == NULL) {
        return SGTM_ERROR;
    }

    sgtm_mp_check(&check, root);

    cJSON_Delete(root);

    if (mp->reason != SGTM_REASON_NONE) {
        return SGTM_DECLINED;
    }

    (void) sgtm_json_value(in, &value);

    for (i = 0; i < sgtm_nelts(sgtm_mp_clients); i++) {
        if (sgtm_json_get(&value, &sgtm_mp_clients[i], &item)) {
            sgtm_mp_text(&mp->client, &item, &buf);
            break;
        }
    }

    sgtm_mp_events(mp, &value, &buf);

    return SGTM_OK;
}


static void
sgtm_mp_events(sgtm_mp_t *mp, const sgtm_str_t *root, unsigned char **buf)
{
    sgtm_json_t       json;
    sgtm_json_item_t  item;

    if (!sgtm_json_get(root, &sgtm_mp_events_name, &item)) {
        return;
    }

    sgtm_json_open(&json, &item.value);

    while (mp->nevents < SGTM_MP_MAX_EVENTS && sgtm_json_next(&json, &item)) {
        sgtm_mp_event(&mp->events[mp->nevents++], &item.value, buf);
    }
}


static void
sgtm_mp_event(sgtm_mp_event_t *event, const sgtm_str_t *span,
    unsigned char **buf)
{
    sgtm_json_item_t  item, params;

    event->span = *span;

    if (sgtm_json_get(span, &sgtm_mp_name, &item)) {
        sgtm_mp_text(&event->name, &item, buf);
    }

    if (!sgtm_json_get(span, &sgtm_mp_params, &params)) {
        return;
    }

    if (sgtm_json_get(&params.value, &sgtm_mp_event_id, &item)) {
        sgtm_mp_text(&event->id, &item, buf);
    }

    if (event->name.len == sizeof(sgtm_mp_purchase) - 1
        && memcmp(event->name.data, sgtm_mp_purchase, event->name.len) == 0
        && sgtm_json_get(&params.value, &sgtm_mp_transaction, &item))
    {
        sgtm_mp_text(&event->transaction, &item, buf);
    }
}


/* a string, decoded, or a number as it is written */

static void
sgtm_mp_text(sgtm_str_t *text, const sgtm_json_item_t *item,
    unsigned char **buf)
{
    if (item->type == SGTM_JSON_NUMBER) {
        *text = item->value;
        return;
    }

    if (item->type != SGTM_JSON_STRING) {
        return;
    }

    text->data = *buf;
    text->len = sgtm_json_decode(*buf, item->value.len, &item->value);

    *buf += text->len;
}
