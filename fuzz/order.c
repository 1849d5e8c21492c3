
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Bodies of webhooks of any bytes, the first of them the shop, the second the
 * topic.  What comes of them is JSON, of events that have a transaction and an
 * amount, with user data only where the body spoke of consent.
 */


#include "fuzz.h"
#include "../src/intake/sgtm_order.h"
#include "../src/intake/sgtm_signature.h"


#define NOW  1732104000


static const char *const  topics[] = {
    "orders/paid", "orders/create", "refunds/create", "order.created",
    "order.updated", "order.refunded", ""
};


/* "-" if it may be, digits, and a point with digits, none of them needless */

static void
check_amount(const char *p, const char *end)
{
    const char  *point;

    p += (*p == '-');

    fuzz_check(p < end && *p >= '0' && *p <= '9');
    fuzz_check(*p != '0' || p + 1 == end || p[1] == '.');

    for (point = NULL; p < end; p++) {
        if (*p == '.') {
            fuzz_check(point == NULL);
            point = p;

        } else {
            fuzz_check(*p >= '0' && *p <= '9');
        }
    }

    fuzz_check(point == NULL || (end - point > 1 && end[-1] != '0'));
}


static void
check_event(const char *text, const cJSON *event)
{
    size_t        len;
    const char   *p;
    const cJSON  *name, *params, *id, *value;

    name = cJSON_GetObjectItemCaseSensitive(event, "name");
    params = cJSON_GetObjectItemCaseSensitive(event, "params");
    id = cJSON_GetObjectItemCaseSensitive(params, "transaction_id");
    value = cJSON_GetObjectItemCaseSensitive(params, "value");

    fuzz_check(cJSON_IsString(name)
               && (strcmp(name->valuestring, "purchase") == 0
                   || strcmp(name->valuestring, "refund") == 0));
    fuzz_check(cJSON_IsString(id) && id->valuestring[0]);
    fuzz_check(cJSON_IsNumber(value));
    fuzz_check(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(params,
                                                               "currency")));

    /* a sum of JSON's own is not the text of the amount */

    for (p = strstr(text, "\"value\":"); p; p = strstr(p, "\"value\":")) {
        p += sizeof("\"value\":") - 1;
        len = strcspn(p, ",}");
        check_amount(p, p + len);
    }
}


static void
check(sgtm_order_t *order, const sgtm_str_t *body)
{
    int           i, n;
    char         *text;
    cJSON        *json;
    const cJSON  *events, *client;

    text = sgtm_order_print(order);
    fuzz_check(text != NULL);

    json = cJSON_Parse(text);
    events = cJSON_GetObjectItemCaseSensitive(json, "events");
    client = cJSON_GetObjectItemCaseSensitive(json, "client_id");
    n = cJSON_GetArraySize(events);

    fuzz_check(cJSON_IsString(client) && client->valuestring[0]);
    fuzz_check(n > 0 && (size_t) n == order->nevents);

    for (i = 0; i < n; i++) {
        fuzz_check(order->keys[i][0] != '\0');
        check_event(text, cJSON_GetArrayItem(events, i));
    }

    /* the word may be escaped: a body with a backslash is not judged */

    if (cJSON_GetObjectItemCaseSensitive(json, "user_data")
        && memchr(body->data, '\\', body->len) == NULL)
    {
        fuzz_check(cJSON_GetObjectItemCaseSensitive(json, "consent") != NULL);
    }

    cJSON_Delete(json);
    cJSON_free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           stale;
    unsigned      shop;
    sgtm_str_t    topic, body, secret;
    sgtm_order_t  order;

    if (size < 2) {
        return 0;
    }

    shop = data[0] % SGTM_SHOP_N;

    topic.data = (unsigned char *) (uintptr_t) topics[data[1] % 7];
    topic.len = strlen((char *) topic.data);

    body = fuzz_copy(data + 2, size - 2);
    secret = fuzz_copy("secret", 6);

    (void) sgtm_order_ping(&body);

    /* as a header it can't be right: nobody guesses a hash */

    fuzz_check(sgtm_signature(shop, &body, &topic, &secret, 1, NOW, &stale)
               == SGTM_DECLINED);

    if (sgtm_order_read(&order, shop, &topic, &body, NOW) == SGTM_OK) {

        while (order.nevents > 2) {
            sgtm_order_drop(&order, order.nevents / 2);
        }

        check(&order, &body);
        sgtm_order_free(&order);
    }

    free(secret.data);
    free(body.data);

    return 0;
}
