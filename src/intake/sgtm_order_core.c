
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdio.h>
#include <string.h>

#include "sgtm_order_core.h"


static int sgtm_order_field(sgtm_order_t *order, cJSON *to, const cJSON *from,
    const sgtm_field_t *field);
static int sgtm_order_text(sgtm_order_t *order, cJSON *to, const char *name,
    const cJSON *value);
static int sgtm_order_count(sgtm_order_t *order, cJSON *to, const char *name,
    const cJSON *value);
static int sgtm_order_money(sgtm_order_t *order, cJSON *to, const char *name,
    const cJSON *value, unsigned minor);
static const char *sgtm_order_name(const char *name);


const sgtm_shop_t *const  sgtm_shops[SGTM_SHOP_N] = {
    &sgtm_shop_stripe, &sgtm_shop_shopify, &sgtm_shop_woocommerce
};


/* a whole number that a double holds, above 0 */

#define sgtm_order_whole(d)                                                   \
    ((d) >= 1 && (d) < 9007199254740992.0 && (d) == (double) (int64_t) (d))


const cJSON *
sgtm_order_get(const cJSON *from, const char *path)
{
    char         name[64];
    int          n;
    size_t       len;

    while (from) {
        len = strcspn(path, ".");

        if (cJSON_IsArray(from)) {

            if (len != 1 || *path < '0' || *path > '9') {
                return NULL;
            }

            n = *path - '0';
            from = cJSON_GetArrayItem(from, n);

        } else if (len < sizeof(name)) {
            memcpy(name, path, len);
            name[len] = '\0';
            from = cJSON_GetObjectItemCaseSensitive(from, name);

        } else {
            return NULL;
        }

        if (path[len] == '\0') {
            break;
        }

        path += len + 1;
    }

    return cJSON_IsNull(from) ? NULL : from;
}


const char *
sgtm_order_string(const cJSON *from, const char *path)
{
    const cJSON  *value;

    value = sgtm_order_get(from, path);

    return (cJSON_IsString(value) && value->valuestring[0])
           ? value->valuestring : NULL;
}


int
sgtm_order_id(char *out, const cJSON *from, const char *path)
{
    const cJSON  *value;

    value = sgtm_order_get(from, path);

    if (cJSON_IsNumber(value)) {
        return sgtm_order_whole(value->valuedouble)
               && sgtm_money_minor(out, value->valuedouble, 0) == SGTM_OK;
    }

    return cJSON_IsString(value) && sgtm_order_printable(out,
                                                         value->valuestring);
}


int
sgtm_order_printable(char *out, const char *text)
{
    size_t  len;

    for (len = 0; text[len]; len++) {
        if (len == SGTM_ORDER_MAX_TEXT || text[len] <= ' ' || text[len] > '~')
        {
            return 0;
        }
    }

    memcpy(out, text, len + 1);

    return len > 0;
}


/* "_ga_client_id" is what shops hide from their customers' eyes */

static const char *
sgtm_order_name(const char *name)
{
    return (*name == '_') ? name + 1 : name;
}


const char *
sgtm_order_meta(const sgtm_order_t *order, const char *const *names)
{
    const char         *name;
    const cJSON        *item, *value;
    const sgtm_shop_t  *shop;

    if (!cJSON_IsObject(order->meta) && !cJSON_IsArray(order->meta)) {
        return NULL;
    }

    shop = sgtm_shops[order->shop];

    for ( /* void */ ; *names; names++) {

        cJSON_ArrayForEach(item, order->meta) {

            if (shop->key) {
                name = sgtm_order_string(item, shop->key);
                value = sgtm_order_get(item, shop->value);

            } else {
                name = item->string;
                value = item;
            }

            if (name && cJSON_IsString(value) && value->valuestring[0]
                && strcmp(sgtm_order_name(name), *names) == 0)
            {
                return value->valuestring;
            }
        }
    }

    return NULL;
}


unsigned
sgtm_order_consent(const sgtm_order_t *order, const char *type)
{
    char         word[8];
    size_t       i;
    const char  *text;
    const char  *names[2];

    names[0] = type;
    names[1] = NULL;

    text = sgtm_order_meta(order, names);

    for (i = 0; text && text[i] && i < sizeof(word) - 1; i++) {
        word[i] = (char) (text[i] | 0x20);
    }

    if (text == NULL || text[i] != '\0') {
        return SGTM_UNSET;
    }

    word[i] = '\0';

    return (strcmp(word, "granted") == 0) ? SGTM_GRANTED
           : (strcmp(word, "denied") == 0) ? SGTM_DENIED : SGTM_UNSET;
}


int
sgtm_order_transaction(sgtm_order_t *order, const cJSON *from,
    const char *const *paths, int meta)
{
    const char  *own;

    static const char *const  names[] = { "transaction_id", NULL };

    own = meta ? sgtm_order_meta(order, names) : NULL;

    if (own && sgtm_order_printable(order->transaction, own)) {
        return SGTM_OK;
    }

    for ( /* void */ ; *paths; paths++) {
        if (sgtm_order_id(order->transaction, from, *paths)) {
            return SGTM_OK;
        }
    }

    order->param = "id";

    return SGTM_ERROR;
}


int
sgtm_order_currency(sgtm_order_t *order, const cJSON *from, const char *path)
{
    size_t       i;
    const char  *text;

    order->param = "currency";

    text = sgtm_order_string(from, path);

    if (text == NULL || strlen(text) != 3) {
        return SGTM_ERROR;
    }

    for (i = 0; i < 3; i++) {
        order->currency[i] = (char) (text[i] & ~0x20);

        if (order->currency[i] < 'A' || order->currency[i] > 'Z') {
            return SGTM_ERROR;
        }
    }

    order->currency[3] = '\0';
    order->exponent = sgtm_money_exponent(order->currency);
    order->param = NULL;

    return SGTM_OK;
}


void
sgtm_order_add(sgtm_order_t *order, cJSON *to, const char *name, cJSON *item)
{
    if (item == NULL || !cJSON_AddItemToObject(to, name, item)) {
        cJSON_Delete(item);
        order->failed = 1;
    }
}


void
sgtm_order_amount(sgtm_order_t *order, cJSON *to, const char *name,
    const char *amount)
{
    sgtm_order_add(order, to, name, cJSON_CreateRaw(amount));
}


cJSON *
sgtm_order_event(sgtm_order_t *order, const char *name, const char *id,
    int64_t time)
{
    cJSON  *event, *params;

    if (order->nevents == SGTM_ORDER_MAX_EVENTS) {
        return NULL;
    }

    event = cJSON_CreateObject();

    if (event == NULL || !cJSON_AddItemToArray(order->events, event)) {
        cJSON_Delete(event);
        order->failed = 1;
        return NULL;
    }

    sgtm_order_add(order, event, "name", cJSON_CreateString(name));

    params = cJSON_AddObjectToObject(event, "params");

    if (params == NULL) {
        order->failed = 1;
        return NULL;
    }

    sgtm_order_add(order, params, "transaction_id",
                   cJSON_CreateString(order->transaction));
    sgtm_order_add(order, params, "currency",
                   cJSON_CreateString(order->currency));

    (void) snprintf(order->keys[order->nevents], SGTM_ORDER_KEY_SIZE,
                    "%s %s %s", name, sgtm_shops[order->shop]->name, id);

    order->times[order->nevents++] = time;

    return params;
}


void
sgtm_order_fields(sgtm_order_t *order, cJSON *to, const cJSON *from,
    const sgtm_field_t *fields)
{
    for ( /* void */ ; fields->name; fields++) {
        if (cJSON_GetObjectItemCaseSensitive(to, fields->name) == NULL) {
            (void) sgtm_order_field(order, to, from, fields);
        }
    }
}


static int
sgtm_order_field(sgtm_order_t *order, cJSON *to, const cJSON *from,
    const sgtm_field_t *field)
{
    const cJSON  *value;

    value = sgtm_order_get(from, field->path);

    if (!cJSON_IsString(value) && !cJSON_IsNumber(value)) {
        return 0;
    }

    switch (field->type) {

    case SGTM_FIELD_TEXT:
        return sgtm_order_text(order, to, field->name, value);

    case SGTM_FIELD_COUNT:
        return sgtm_order_count(order, to, field->name, value);

    case SGTM_FIELD_MINOR:
    case SGTM_FIELD_MONEY:
        return sgtm_order_money(order, to, field->name, value,
                                field->type == SGTM_FIELD_MINOR);

    default:
        return cJSON_IsString(value)
               && sgtm_order_person(order, to, field->name,
                                    value->valuestring, field->type);
    }
}


static int
sgtm_order_text(sgtm_order_t *order, cJSON *to, const char *name,
    const cJSON *value)
{
    char         buf[4 * SGTM_ORDER_MAX_TEXT + 1];
    size_t       len, chars;
    const char  *p;

    if (cJSON_IsNumber(value)) {

        if (!sgtm_order_whole(value->valuedouble)) {
            return 0;
        }

        (void) sgtm_money_minor(buf, value->valuedouble, 0);

    } else {
        p = value->valuestring;
        chars = 0;

        /* cut after so many characters, as GA4 would */

        for (len = 0; len < sizeof(buf) - 1 && p[len]; len++) {

            if ((p[len] & 0xc0) != 0x80 && ++chars > SGTM_ORDER_MAX_TEXT) {
                break;
            }
        }

        if (len == 0) {
            return 0;
        }

        memcpy(buf, p, len);
        buf[len] = '\0';

        while (len--) {
            if ((unsigned char) buf[len] < ' ' || buf[len] == 0x7f) {
                buf[len] = ' ';
            }
        }
    }

    sgtm_order_add(order, to, name, cJSON_CreateString(buf));

    return 1;
}


static int
sgtm_order_count(sgtm_order_t *order, cJSON *to, const char *name,
    const cJSON *value)
{
    char  buf[SGTM_MONEY_SIZE];

    if (cJSON_IsString(value)) {
        if (sgtm_money_text(buf, value->valuestring) != SGTM_OK
            || strpbrk(buf, "-.") || buf[0] == '0')
        {
            return 0;
        }

    } else if (!sgtm_order_whole(value->valuedouble)
               || sgtm_money_minor(buf, value->valuedouble, 0) != SGTM_OK)
    {
        return 0;
    }

    sgtm_order_amount(order, to, name, buf);

    return 1;
}


static int
sgtm_order_money(sgtm_order_t *order, cJSON *to, const char *name,
    const cJSON *value, unsigned minor)
{
    int     rc;
    char    buf[SGTM_MONEY_SIZE];
    double  d;

    if (cJSON_IsString(value)) {
        rc = minor ? SGTM_DECLINED : sgtm_money_text(buf, value->valuestring);

    } else if (minor) {
        rc = sgtm_money_minor(buf, value->valuedouble, order->exponent);

    } else {
        d = value->valuedouble;

        /* a number of PHP's: 6.6666666666666670 */

        if (!(d > -9e9 && d < 9e9)) {
            return 0;
        }

        d = d * 1e6 + (d < 0 ? -0.5 : 0.5);
        rc = sgtm_money_minor(buf, (double) (int64_t) d, 6);
    }

    if (rc != SGTM_OK) {
        return 0;
    }

    sgtm_order_amount(order, to, name, buf);

    return 1;
}


void
sgtm_order_items(sgtm_order_t *order, cJSON *params, const cJSON *array,
    const sgtm_field_t *fields)
{
    size_t        n, seen;
    cJSON        *items, *item;
    const cJSON  *from;

    if (!cJSON_IsArray(array) || array->child == NULL) {
        return;
    }

    items = cJSON_CreateArray();
    if (items == NULL) {
        order->failed = 1;
        return;
    }

    n = 0;
    seen = 0;

    /* what has neither id nor name is no item, but costs as one */

    cJSON_ArrayForEach(from, array) {

        if (seen++ == SGTM_ORDER_MAX_ITEMS) {
            break;
        }

        item = cJSON_CreateObject();

        if (item == NULL) {
            order->failed = 1;
            break;
        }

        sgtm_order_fields(order, item, from, fields);

        if (cJSON_GetObjectItemCaseSensitive(item, "item_id") == NULL
            && cJSON_GetObjectItemCaseSensitive(item, "item_name") == NULL)
        {
            cJSON_Delete(item);
            continue;
        }

        if (!cJSON_AddItemToArray(items, item)) {
            cJSON_Delete(item);
            order->failed = 1;
            break;
        }

        n++;
    }

    if (n == 0) {
        cJSON_Delete(items);
        return;
    }

    sgtm_order_add(order, params, "items", items);
}


void
sgtm_order_user(sgtm_order_t *order, const cJSON *from,
    const sgtm_field_t *fields, const sgtm_field_t *address)
{
    cJSON  *user, *place, *list;

    if (sgtm_order_consent(order, "ad_user_data") != SGTM_GRANTED) {
        return;
    }

    user = cJSON_CreateObject();
    place = cJSON_CreateObject();
    list = cJSON_CreateArray();

    if (user == NULL || place == NULL || list == NULL) {
        order->failed = 1;

    } else {
        sgtm_order_fields(order, user, from, fields);
        sgtm_order_fields(order, place, from, address);
    }

    if (!order->failed && place->child) {

        if (cJSON_AddItemToArray(list, place)) {
            sgtm_order_add(order, user, "address", list);
            list = NULL;
            place = NULL;

        } else {
            order->failed = 1;
        }
    }

    if (!order->failed && user->child) {
        sgtm_order_add(order, order->json, "user_data", user);
        user = NULL;
    }

    cJSON_Delete(user);
    cJSON_Delete(place);
    cJSON_Delete(list);
}
