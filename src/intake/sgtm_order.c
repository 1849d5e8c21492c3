
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../hit/sgtm_json.h"
#include "../lib/sgtm_crypto.h"
#include "sgtm_order_core.h"


static int sgtm_order_topic(sgtm_order_t *order, const sgtm_str_t *header);
static int sgtm_order_utf8(const sgtm_str_t *text);
static cJSON *sgtm_order_parse(sgtm_order_t *order, const sgtm_str_t *body);
static void sgtm_order_finish(sgtm_order_t *order);
static void sgtm_order_client(sgtm_order_t *order, char *out);
static int sgtm_order_client_id(char *out, const char *text, int strict);
static void sgtm_order_derived(sgtm_order_t *order, char *out);
static int sgtm_order_session_id(char *out, const char *text);
static void sgtm_order_params(sgtm_order_t *order);
static void sgtm_order_states(sgtm_order_t *order);


static const char *const  sgtm_order_clients[] = {
    "ga_client_id", "client_id", "ga", NULL
};

static const char *const  sgtm_order_sessions[] = {
    "ga_session_id", "session_id", NULL
};

static const char *const  sgtm_order_event_ids[] = {
    "event_id", "ga_event_id", NULL
};


int
sgtm_order_read(sgtm_order_t *order, unsigned shop, const sgtm_str_t *topic,
    const sgtm_str_t *body, int64_t now)
{
    int     rc;
    cJSON  *source;

    /* keys are written as events begin */

    memset(order, 0, offsetof(sgtm_order_t, keys));

    order->param = "body";
    order->meta = NULL;
    order->client = NULL;
    order->shop = shop;
    order->now = now;
    order->failed = 0;
    order->transaction[0] = '\0';

    source = sgtm_order_parse(order, body);

    if (!cJSON_IsObject(source)) {
        cJSON_Delete(source);
        return SGTM_ERROR;
    }

    order->param = NULL;
    order->source = source;
    order->json = cJSON_CreateObject();
    order->events = cJSON_CreateArray();

    if (order->json == NULL || order->events == NULL) {
        order->failed = 1;
        rc = SGTM_ERROR;

    } else {
        rc = sgtm_order_topic(order, topic);
    }

    if (rc == SGTM_OK && order->nevents == 0) {
        rc = SGTM_DECLINED;
    }

    if (rc == SGTM_OK) {
        sgtm_order_finish(order);
    }

    order->source = NULL;
    order->meta = NULL;
    order->client = NULL;

    cJSON_Delete(source);

    if (order->failed) {
        rc = SGTM_ERROR;
    }

    if (rc != SGTM_OK) {
        sgtm_order_free(order);
    }

    return rc;
}


static int
sgtm_order_topic(sgtm_order_t *order, const sgtm_str_t *header)
{
    size_t               len;
    const char          *topic;
    const sgtm_shop_t   *shop;
    const sgtm_topic_t  *t;

    shop = sgtm_shops[order->shop];

    if (shop->topic) {
        topic = sgtm_order_string(order->source, shop->topic);

        if (topic == NULL) {
            order->param = shop->topic;
            return SGTM_ERROR;
        }

        len = strlen(topic);

    } else {
        topic = (const char *) header->data;
        len = header->len;
    }

    for (t = shop->topics; t->topic; t++) {
        if (strlen(t->topic) == len && memcmp(t->topic, topic, len) == 0) {
            return t->read(order);
        }
    }

    return SGTM_DECLINED;
}


/* cJSON takes any bytes */

static int
sgtm_order_utf8(const sgtm_str_t *text)
{
    size_t          n;
    unsigned char  *p, *last;

    last = text->data + text->len;

    for (p = text->data; p < last; p += n) {

        n = sgtm_json_utf8(p, last);

        if (n == 0) {
            return 0;
        }
    }

    return 1;
}


static cJSON *
sgtm_order_parse(sgtm_order_t *order, const sgtm_str_t *body)
{
    cJSON       *json;
    const char  *end, *last;

    if (body->len == 0 || !sgtm_order_utf8(body)) {
        return NULL;
    }

    json = cJSON_ParseWithLengthOpts((const char *) body->data, body->len,
                                     &end, 0);
    if (json == NULL) {
        /* what is wrong then, if not the text, is memory */
        order->failed = (sgtm_json_check(body) == SGTM_REASON_NONE);
        return NULL;
    }

    for (last = (const char *) body->data + body->len; end < last; end++) {

        if (*end != ' ' && *end != '\t' && *end != '\r' && *end != '\n') {
            cJSON_Delete(json);
            return NULL;
        }
    }

    return json;
}


/* what is not of one event, once those are there */

static void
sgtm_order_finish(sgtm_order_t *order)
{
    char  text[SGTM_ORDER_MAX_TEXT + 1];

    sgtm_order_client(order, text);
    sgtm_order_add(order, order->json, "client_id", cJSON_CreateString(text));

    sgtm_order_states(order);
    sgtm_order_params(order);

    sgtm_order_add(order, order->json, "events", order->events);

    if (order->failed) {
        /* it may be nobody's, or the object's and freed with it */
        order->events = cJSON_GetObjectItemCaseSensitive(order->json,
                                                         "events");
    }
}


/* of the metadata, of a place of the shop's, or made of the order's own id */

static void
sgtm_order_client(sgtm_order_t *order, char *out)
{
    const char  *text;

    text = sgtm_order_meta(order, sgtm_order_clients);

    if (text && sgtm_order_client_id(out, text, 0)) {
        return;
    }

    if (order->client && sgtm_order_client_id(out, order->client, 1)) {
        return;
    }

    sgtm_order_derived(order, out);
}


/*
 * "123.456", with the cookie's "GA1.1." before it or without.  Where others may
 * put ids of their own, it must have this form.
 */

static int
sgtm_order_client_id(char *out, const char *text, int strict)
{
    size_t  i, len, digits, dots;

    if (text[0] == 'G' && text[1] == 'A' && text[2] >= '0' && text[2] <= '9') {
        text += 3 + strspn(text + 3, "0123456789");

        /* the depth of the cookie's domain, and of its path: "1-2" */

        i = strspn(text, ".");
        len = strspn(text + i, "0123456789-");

        if (i != 1 || len == 0 || text[i + len] != '.') {
            return 0;
        }

        text += i + len + 1;
    }

    digits = 0;
    dots = 0;

    for (i = 0; text[i]; i++) {

        if (i == SGTM_ORDER_MAX_TEXT || text[i] <= ' ' || text[i] > '~') {
            return 0;
        }

        digits += (text[i] >= '0' && text[i] <= '9');
        dots += (text[i] == '.');
    }

    if (i == 0
        || (strict && (dots != 1 || digits + 1 != i || text[0] == '.'
                       || text[i - 1] == '.')))
    {
        return 0;
    }

    memcpy(out, text, i + 1);

    return 1;
}


/* the same for every event of an order, and nobody else's */

static void
sgtm_order_derived(sgtm_order_t *order, char *out)
{
    int            n;
    char           text[SGTM_ORDER_MAX_TEXT + 32];
    size_t         i;
    uint32_t       id[2];
    sgtm_str_t     data;
    unsigned char  hash[SGTM_SHA256_SIZE];

    n = snprintf(text, sizeof(text), "%s %s", sgtm_shops[order->shop]->name,
                 order->transaction);

    data.data = (unsigned char *) text;
    data.len = (size_t) n;

    if (sgtm_sha256(&data, hash) != SGTM_OK) {
        order->failed = 1;
        memset(hash, 0, sizeof(hash));
    }

    id[0] = 0;
    id[1] = 0;

    for (i = 0; i < 8; i++) {
        id[i / 4] = id[i / 4] << 8 | hash[i];
    }

    (void) snprintf(out, SGTM_ORDER_MAX_TEXT + 1, "%u.%u",
                    (unsigned) (id[0] & 0x7fffffff),
                    (unsigned) (id[1] & 0x7fffffff));
}


/* digits, or the cookie: "GS1.1.<id>.…", "GS2.1.s<id>$…" */

static int
sgtm_order_session_id(char *out, const char *text)
{
    size_t  len;

    if (strncmp(text, "GS1.1.", 6) == 0) {
        text += 6;

    } else if (strncmp(text, "GS2.1.s", 7) == 0) {
        text += 7;
    }

    len = strspn(text, "0123456789");

    if (len == 0 || len > 20
        || (text[len] != '\0' && text[len] != '.' && text[len] != '$'))
    {
        return 0;
    }

    memcpy(out, text, len);
    out[len] = '\0';

    return 1;
}


static void
sgtm_order_params(sgtm_order_t *order)
{
    char         session[SGTM_ORDER_MAX_TEXT + 1],
                 id[SGTM_ORDER_MAX_TEXT + 1];
    cJSON       *event, *params, *name;
    const char  *text;

    text = sgtm_order_meta(order, sgtm_order_sessions);

    if (text == NULL || !sgtm_order_session_id(session, text)) {
        session[0] = '\0';
    }

    text = sgtm_order_meta(order, sgtm_order_event_ids);

    if (text == NULL || !sgtm_order_printable(id, text)) {
        id[0] = '\0';
    }

    cJSON_ArrayForEach(event, order->events) {

        params = cJSON_GetObjectItemCaseSensitive(event, "params");
        name = cJSON_GetObjectItemCaseSensitive(event, "name");

        if (params == NULL || name == NULL) {
            return;
        }

        /* the id that the page has sent its own purchase with */

        if (id[0] && strcmp(name->valuestring, "purchase") == 0) {
            sgtm_order_add(order, params, "event_id", cJSON_CreateString(id));
        }

        if (session[0]) {
            sgtm_order_add(order, params, "session_id",
                           cJSON_CreateString(session));

            /* without it a session's events are not shown as its own */
            sgtm_order_amount(order, params, "engagement_time_msec", "1");
        }
    }
}


static void
sgtm_order_states(sgtm_order_t *order)
{
    size_t     i;
    cJSON     *consent;
    unsigned   state;

    static const char *const  types[] = {
        "ad_user_data", "ad_personalization"
    };

    consent = NULL;

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {

        state = sgtm_order_consent(order, types[i]);

        if (state == SGTM_UNSET) {
            continue;
        }

        if (consent == NULL) {
            consent = cJSON_AddObjectToObject(order->json, "consent");
            if (consent == NULL) {
                order->failed = 1;
                return;
            }
        }

        sgtm_order_add(order, consent, types[i],
                       cJSON_CreateString(state == SGTM_GRANTED ? "GRANTED"
                                                                : "DENIED"));
    }
}


void
sgtm_order_drop(sgtm_order_t *order, size_t n)
{
    cJSON_DeleteItemFromArray(order->events, (int) n);

    order->nevents--;

    memmove(order->keys[n], order->keys[n + 1],
            (order->nevents - n) * SGTM_ORDER_KEY_SIZE);
    memmove(&order->times[n], &order->times[n + 1],
            (order->nevents - n) * sizeof(int64_t));
}


char *
sgtm_order_print(sgtm_order_t *order)
{
    char     text[32];
    int64_t  time;

    time = order->times[0];

    /* one that is too old is dated by its arrival: the sale counts */

    if (time > order->now - SGTM_ORDER_MAX_AGE && time <= order->now) {
        (void) snprintf(text, sizeof(text), "%lld000000", (long long) time);
        sgtm_order_amount(order, order->json, "timestamp_micros", text);
    }

    return order->failed ? NULL : cJSON_PrintUnformatted(order->json);
}


void
sgtm_order_free(sgtm_order_t *order)
{
    if (cJSON_GetObjectItemCaseSensitive(order->json, "events") == NULL) {
        cJSON_Delete(order->events);
    }

    cJSON_Delete(order->json);

    order->json = NULL;
    order->events = NULL;
}


int
sgtm_order_ping(const sgtm_str_t *body)
{
    size_t  i;

    static const char    name[] = "webhook_id=";
    static const size_t  len = sizeof(name) - 1;

    if (body->len <= len || body->len > len + 20
        || memcmp(body->data, name, len) != 0)
    {
        return 0;
    }

    for (i = len; i < body->len; i++) {
        if (body->data[i] < '0' || body->data[i] > '9') {
            return 0;
        }
    }

    return 1;
}
