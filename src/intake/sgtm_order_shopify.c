
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Shopify's orders and refunds:
 * https://shopify.dev/docs/api/admin-rest/latest/resources/order.
 */


#include <stdio.h>
#include <string.h>

#include "sgtm_order_core.h"


static int sgtm_shopify_paid(sgtm_order_t *order);
static int sgtm_shopify_create(sgtm_order_t *order);
static int sgtm_shopify_refund(sgtm_order_t *order);
static int sgtm_shopify_amount(sgtm_order_t *order, const cJSON *refund,
    char *amount);
static int64_t sgtm_shopify_time(const cJSON *from);


static const sgtm_topic_t  sgtm_shopify_topics[] = {
    { "orders/paid", sgtm_shopify_paid },
    { "orders/create", sgtm_shopify_create },
    { "refunds/create", sgtm_shopify_refund },
    { NULL, NULL }
};


const sgtm_shop_t  sgtm_shop_shopify = {
    "shopify", NULL, "name", "value", sgtm_shopify_topics
};


/* a refund knows its order by this number alone */

static const char *const  sgtm_shopify_order_ids[] = { "id", NULL };
static const char *const  sgtm_shopify_refund_ids[] = { "order_id", NULL };


static const sgtm_field_t  sgtm_shopify_purchase[] = {
    { "value", "total_price", SGTM_FIELD_MONEY },
    { "tax", "total_tax", SGTM_FIELD_MONEY },
    { "shipping", "total_shipping_price_set.shop_money.amount",
      SGTM_FIELD_MONEY },
    { "shipping", "shipping_lines.0.price", SGTM_FIELD_MONEY },
    { "coupon", "discount_codes.0.code", SGTM_FIELD_TEXT },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_shopify_item[] = {
    { "item_id", "sku", SGTM_FIELD_TEXT },
    { "item_id", "variant_id", SGTM_FIELD_TEXT },
    { "item_id", "product_id", SGTM_FIELD_TEXT },
    { "item_name", "title", SGTM_FIELD_TEXT },
    { "item_name", "name", SGTM_FIELD_TEXT },
    { "item_brand", "vendor", SGTM_FIELD_TEXT },
    { "item_variant", "variant_title", SGTM_FIELD_TEXT },
    { "price", "price", SGTM_FIELD_MONEY },
    { "quantity", "quantity", SGTM_FIELD_COUNT },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_shopify_refunded[] = {
    { "item_id", "line_item.sku", SGTM_FIELD_TEXT },
    { "item_id", "line_item.variant_id", SGTM_FIELD_TEXT },
    { "item_id", "line_item.product_id", SGTM_FIELD_TEXT },
    { "item_name", "line_item.title", SGTM_FIELD_TEXT },
    { "item_name", "line_item.name", SGTM_FIELD_TEXT },
    { "item_brand", "line_item.vendor", SGTM_FIELD_TEXT },
    { "item_variant", "line_item.variant_title", SGTM_FIELD_TEXT },
    { "price", "line_item.price", SGTM_FIELD_MONEY },
    { "quantity", "quantity", SGTM_FIELD_COUNT },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_shopify_user[] = {
    { "sha256_email_address", "email", SGTM_FIELD_EMAIL },
    { "sha256_email_address", "contact_email", SGTM_FIELD_EMAIL },
    { "sha256_email_address", "customer.email", SGTM_FIELD_EMAIL },
    { "sha256_phone_number", "phone", SGTM_FIELD_PHONE },
    { "sha256_phone_number", "customer.phone", SGTM_FIELD_PHONE },
    { "sha256_phone_number", "billing_address.phone", SGTM_FIELD_PHONE },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_shopify_address[] = {
    { "sha256_first_name", "billing_address.first_name", SGTM_FIELD_NAME },
    { "sha256_first_name", "customer.first_name", SGTM_FIELD_NAME },
    { "sha256_last_name", "billing_address.last_name", SGTM_FIELD_NAME },
    { "sha256_last_name", "customer.last_name", SGTM_FIELD_NAME },
    { "city", "billing_address.city", SGTM_FIELD_PLACE },
    { "region", "billing_address.province_code", SGTM_FIELD_PLACE },
    { "postal_code", "billing_address.zip", SGTM_FIELD_PLACE },
    { "country", "billing_address.country_code", SGTM_FIELD_PLACE },
    { NULL, NULL, 0 }
};


static int
sgtm_shopify_create(sgtm_order_t *order)
{
    const char  *status;

    status = sgtm_order_string(order->source, "financial_status");

    return (status && strcmp(status, "paid") == 0) ? sgtm_shopify_paid(order)
                                                   : SGTM_DECLINED;
}


static int
sgtm_shopify_paid(sgtm_order_t *order)
{
    cJSON        *params;
    const cJSON  *from;

    from = order->source;
    order->meta = sgtm_order_get(from, "note_attributes");

    if (sgtm_order_currency(order, from, "currency") != SGTM_OK
        || sgtm_order_transaction(order, from, sgtm_shopify_order_ids, 0)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    params = sgtm_order_event(order, "purchase", order->transaction,
                              sgtm_shopify_time(from));
    if (params == NULL) {
        return SGTM_ERROR;
    }

    sgtm_order_fields(order, params, from, sgtm_shopify_purchase);

    if (cJSON_GetObjectItemCaseSensitive(params, "value") == NULL) {
        order->param = "total_price";
        return SGTM_ERROR;
    }

    sgtm_order_items(order, params, sgtm_order_get(from, "line_items"),
                     sgtm_shopify_item);
    sgtm_order_user(order, from, sgtm_shopify_user, sgtm_shopify_address);

    return SGTM_OK;
}


static int
sgtm_shopify_refund(sgtm_order_t *order)
{
    int           rc;
    char          key[SGTM_ORDER_KEY_SIZE], id[SGTM_ORDER_MAX_TEXT + 1],
                  amount[SGTM_MONEY_SIZE];
    cJSON        *params;
    const cJSON  *from;

    from = order->source;

    if (sgtm_order_transaction(order, from, sgtm_shopify_refund_ids, 0)
        != SGTM_OK)
    {
        order->param = "order_id";
        return SGTM_ERROR;
    }

    if (!sgtm_order_id(id, from, "id")) {
        order->param = "id";
        return SGTM_ERROR;
    }

    rc = sgtm_shopify_amount(order, from, amount);
    if (rc != SGTM_OK) {
        return rc;
    }

    (void) snprintf(key, sizeof(key), "%s %s", order->transaction, id);

    params = sgtm_order_event(order, "refund", key, sgtm_shopify_time(from));
    if (params == NULL) {
        return SGTM_ERROR;
    }

    sgtm_order_amount(order, params, "value", amount);
    sgtm_order_items(order, params, sgtm_order_get(from, "refund_line_items"),
                     sgtm_shopify_refunded);

    return SGTM_OK;
}


/* what went back, by one way of payment or several, not what was restocked */

static int
sgtm_shopify_amount(sgtm_order_t *order, const cJSON *refund, char *amount)
{
    char          text[SGTM_MONEY_SIZE];
    int64_t       sum, part;
    const char   *kind, *status;
    const cJSON  *t, *list;

    sum = 0;
    list = sgtm_order_get(refund, "transactions");

    order->param = "transactions";

    if (!cJSON_IsArray(list)) {
        return SGTM_ERROR;
    }

    cJSON_ArrayForEach(t, list) {

        kind = sgtm_order_string(t, "kind");
        status = sgtm_order_string(t, "status");

        if (kind == NULL || strcmp(kind, "refund") != 0
            || (status && (strcmp(status, "failure") == 0
                           || strcmp(status, "error") == 0)))
        {
            continue;
        }

        if (sgtm_order_currency(order, t, "currency") != SGTM_OK) {
            return SGTM_ERROR;
        }

        order->param = "amount";

        if (sgtm_order_string(t, "amount") == NULL
            || sgtm_money_text(text, sgtm_order_string(t, "amount"))
               != SGTM_OK
            || sgtm_money_units(text, &part) != SGTM_OK
            || sum + part > SGTM_MONEY_MAX_UNITS)
        {
            return SGTM_ERROR;
        }

        sum += part;
    }

    if (sum <= 0) {
        return SGTM_DECLINED;
    }

    return sgtm_money_minor(amount, (double) sum, SGTM_MONEY_UNITS);
}


/* an order's last change is its payment, when this is told of it */

static int64_t
sgtm_shopify_time(const cJSON *from)
{
    size_t       i;
    int64_t      time;
    const char  *text;

    static const char *const  names[] = {
        "updated_at", "processed_at", "created_at"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        text = sgtm_order_string(from, names[i]);
        time = text ? sgtm_order_time(text) : 0;

        if (time) {
            return time;
        }
    }

    return 0;
}
