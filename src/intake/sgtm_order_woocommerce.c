
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * WooCommerce's orders, as its REST API v3 has them:
 * https://woocommerce.github.io/woocommerce-rest-api-docs/.
 *
 * Every change of an order is told of, each time with all that has happened to
 * it: its payment and each of its refunds are events of their own.
 */


#include <stdio.h>
#include <string.h>

#include "sgtm_order_core.h"


static int sgtm_woocommerce_order(sgtm_order_t *order);
static int sgtm_woocommerce_purchase(sgtm_order_t *order, const cJSON *from);
static int sgtm_woocommerce_refund(sgtm_order_t *order, const cJSON *from,
    const cJSON *refund);
static int64_t sgtm_woocommerce_paid(const cJSON *from);
static int64_t sgtm_woocommerce_time(const cJSON *from, const char *name);


static const sgtm_topic_t  sgtm_woocommerce_topics[] = {
    { "order.created", sgtm_woocommerce_order },
    { "order.updated", sgtm_woocommerce_order },
    { "order.refunded", sgtm_woocommerce_order },
    { NULL, NULL }
};


const sgtm_shop_t  sgtm_shop_woocommerce = {
    "woocommerce", NULL, "key", "value", sgtm_woocommerce_topics
};


/* the number is what customers and the shop's pages know it by */

static const char *const  sgtm_woocommerce_ids[] = { "number", "id", NULL };


static const sgtm_field_t  sgtm_woocommerce_fields[] = {
    { "value", "total", SGTM_FIELD_MONEY },
    { "tax", "total_tax", SGTM_FIELD_MONEY },
    { "shipping", "shipping_total", SGTM_FIELD_MONEY },
    { "coupon", "coupon_lines.0.code", SGTM_FIELD_TEXT },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_woocommerce_item[] = {
    { "item_id", "sku", SGTM_FIELD_TEXT },
    { "item_id", "variation_id", SGTM_FIELD_TEXT },
    { "item_id", "product_id", SGTM_FIELD_TEXT },
    { "item_name", "name", SGTM_FIELD_TEXT },
    { "price", "price", SGTM_FIELD_MONEY },
    { "quantity", "quantity", SGTM_FIELD_COUNT },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_woocommerce_user[] = {
    { "sha256_email_address", "billing.email", SGTM_FIELD_EMAIL },
    { "sha256_phone_number", "billing.phone", SGTM_FIELD_PHONE },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_woocommerce_address[] = {
    { "sha256_first_name", "billing.first_name", SGTM_FIELD_NAME },
    { "sha256_last_name", "billing.last_name", SGTM_FIELD_NAME },
    { "city", "billing.city", SGTM_FIELD_PLACE },
    { "region", "billing.state", SGTM_FIELD_PLACE },
    { "postal_code", "billing.postcode", SGTM_FIELD_PLACE },
    { "country", "billing.country", SGTM_FIELD_PLACE },
    { NULL, NULL, 0 }
};


static int
sgtm_woocommerce_order(sgtm_order_t *order)
{
    int64_t       paid;
    const char   *status;
    const cJSON  *from, *refund;

    from = order->source;
    status = sgtm_order_string(from, "status");

    if (status == NULL) {
        order->param = "status";
        return SGTM_ERROR;
    }

    order->meta = sgtm_order_get(from, "meta_data");

    if (sgtm_order_currency(order, from, "currency") != SGTM_OK
        || sgtm_order_transaction(order, from, sgtm_woocommerce_ids, 1)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    paid = sgtm_woocommerce_paid(from);

    /* a note on an order of last year is no sale of today */

    if ((strcmp(status, "processing") == 0 || strcmp(status, "completed") == 0)
        && (paid == 0 || paid > order->now - SGTM_ORDER_MAX_AGE)
        && sgtm_woocommerce_purchase(order, from) != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    cJSON_ArrayForEach(refund, sgtm_order_get(from, "refunds")) {

        if (order->nevents == SGTM_ORDER_MAX_EVENTS) {
            break;
        }

        if (sgtm_woocommerce_refund(order, from, refund) != SGTM_OK) {
            return SGTM_ERROR;
        }
    }

    if (order->nevents) {
        sgtm_order_user(order, from, sgtm_woocommerce_user,
                        sgtm_woocommerce_address);
    }

    return SGTM_OK;
}


static int
sgtm_woocommerce_purchase(sgtm_order_t *order, const cJSON *from)
{
    cJSON  *params;

    params = sgtm_order_event(order, "purchase", order->transaction,
                              sgtm_woocommerce_paid(from));
    if (params == NULL) {
        return SGTM_ERROR;
    }

    sgtm_order_fields(order, params, from, sgtm_woocommerce_fields);

    if (cJSON_GetObjectItemCaseSensitive(params, "value") == NULL) {
        order->param = "total";
        return SGTM_ERROR;
    }

    sgtm_order_items(order, params, sgtm_order_get(from, "line_items"),
                     sgtm_woocommerce_item);

    return SGTM_OK;
}


static int
sgtm_woocommerce_refund(sgtm_order_t *order, const cJSON *from,
    const cJSON *refund)
{
    char         key[SGTM_ORDER_KEY_SIZE], id[SGTM_ORDER_MAX_TEXT + 1],
                 amount[SGTM_MONEY_SIZE];
    cJSON       *params;
    const char  *total, *value;

    order->param = "refunds";

    total = sgtm_order_string(refund, "total");

    if (total == NULL || !sgtm_order_id(id, refund, "id")
        || sgtm_money_text(amount, total) != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    /* "-10.00" there, 10 here */

    value = (amount[0] == '-') ? amount + 1 : amount;

    if (strcmp(value, "0") == 0) {
        return SGTM_OK;
    }

    (void) snprintf(key, sizeof(key), "%s %s", order->transaction, id);

    params = sgtm_order_event(order, "refund", key,
                              sgtm_woocommerce_time(from,
                                                    "date_modified_gmt"));
    if (params == NULL) {
        return SGTM_ERROR;
    }

    sgtm_order_amount(order, params, "value", value);

    return SGTM_OK;
}


/* 0: not known */

static int64_t
sgtm_woocommerce_paid(const cJSON *from)
{
    int64_t      time;
    const char  *method;

    method = sgtm_order_string(from, "payment_method");

    /* cash on delivery is a sale before it is paid, and noted as paid later */

    if (method == NULL || strcmp(method, "cod") != 0) {

        time = sgtm_woocommerce_time(from, "date_paid_gmt");

        if (time) {
            return time;
        }
    }

    return sgtm_woocommerce_time(from, "date_created_gmt");
}


static int64_t
sgtm_woocommerce_time(const cJSON *from, const char *name)
{
    const char  *text;

    text = sgtm_order_string(from, name);

    return text ? sgtm_order_time(text) : 0;
}
