
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Stripe's events: https://docs.stripe.com/api/events.
 */


#include <stdio.h>
#include <string.h>

#include "sgtm_order_core.h"


static int sgtm_stripe_checkout(sgtm_order_t *order);
static int sgtm_stripe_charge(sgtm_order_t *order);
static int sgtm_stripe_refund(sgtm_order_t *order);
static void sgtm_stripe_items(sgtm_order_t *order, cJSON *params,
    const cJSON *session);
static int64_t sgtm_stripe_time(sgtm_order_t *order);


static const sgtm_topic_t  sgtm_stripe_topics[] = {
    { "checkout.session.completed", sgtm_stripe_checkout },
    { "checkout.session.async_payment_succeeded", sgtm_stripe_checkout },
    { "charge.refunded", sgtm_stripe_charge },
    { "refund.created", sgtm_stripe_refund },
    { NULL, NULL }
};


const sgtm_shop_t  sgtm_shop_stripe = {
    "stripe", "type", NULL, NULL, sgtm_stripe_topics
};


/* what a payment and its refunds have in common comes first */

static const char *const  sgtm_stripe_ids[] = {
    "payment_intent", "payment_intent.id", "invoice", "invoice.id",
    "charge", "charge.id", "id", NULL
};


static const sgtm_field_t  sgtm_stripe_purchase[] = {
    { "value", "amount_total", SGTM_FIELD_MINOR },
    { "tax", "total_details.amount_tax", SGTM_FIELD_MINOR },
    { "shipping", "total_details.amount_shipping", SGTM_FIELD_MINOR },
    { "shipping", "shipping_cost.amount_total", SGTM_FIELD_MINOR },
    { "coupon", "discounts.0.promotion_code.code", SGTM_FIELD_TEXT },
    { "coupon", "discounts.0.coupon.name", SGTM_FIELD_TEXT },
    { "coupon", "discounts.0.promotion_code", SGTM_FIELD_TEXT },
    { "coupon", "discounts.0.coupon", SGTM_FIELD_TEXT },
    { NULL, NULL, 0 }
};


/* a session has its items only where who relays the event has added them */

static const sgtm_field_t  sgtm_stripe_line[] = {
    { "item_id", "price.product.id", SGTM_FIELD_TEXT },
    { "item_id", "price.product", SGTM_FIELD_TEXT },
    { "item_id", "price.id", SGTM_FIELD_TEXT },
    { "item_name", "description", SGTM_FIELD_TEXT },
    { "price", "price.unit_amount", SGTM_FIELD_MINOR },
    { "quantity", "quantity", SGTM_FIELD_COUNT },
    { NULL, NULL, 0 }
};


/* else the metadata may hold them, as GA4 names them */

static const sgtm_field_t  sgtm_stripe_item[] = {
    { "item_id", "item_id", SGTM_FIELD_TEXT },
    { "item_name", "item_name", SGTM_FIELD_TEXT },
    { "item_brand", "item_brand", SGTM_FIELD_TEXT },
    { "item_category", "item_category", SGTM_FIELD_TEXT },
    { "item_variant", "item_variant", SGTM_FIELD_TEXT },
    { "coupon", "coupon", SGTM_FIELD_TEXT },
    { "discount", "discount", SGTM_FIELD_MONEY },
    { "price", "price", SGTM_FIELD_MONEY },
    { "quantity", "quantity", SGTM_FIELD_COUNT },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_stripe_user[] = {
    { "sha256_email_address", "customer_details.email", SGTM_FIELD_EMAIL },
    { "sha256_email_address", "customer_email", SGTM_FIELD_EMAIL },
    { "sha256_email_address", "billing_details.email", SGTM_FIELD_EMAIL },
    { "sha256_email_address", "receipt_email", SGTM_FIELD_EMAIL },
    { "sha256_phone_number", "customer_details.phone", SGTM_FIELD_PHONE },
    { "sha256_phone_number", "billing_details.phone", SGTM_FIELD_PHONE },
    { NULL, NULL, 0 }
};


static const sgtm_field_t  sgtm_stripe_address[] = {
    { "sha256_first_name", "customer_details.name", SGTM_FIELD_FIRST },
    { "sha256_first_name", "billing_details.name", SGTM_FIELD_FIRST },
    { "sha256_last_name", "customer_details.name", SGTM_FIELD_LAST },
    { "sha256_last_name", "billing_details.name", SGTM_FIELD_LAST },
    { "city", "customer_details.address.city", SGTM_FIELD_PLACE },
    { "city", "billing_details.address.city", SGTM_FIELD_PLACE },
    { "region", "customer_details.address.state", SGTM_FIELD_PLACE },
    { "region", "billing_details.address.state", SGTM_FIELD_PLACE },
    { "postal_code", "customer_details.address.postal_code",
      SGTM_FIELD_PLACE },
    { "postal_code", "billing_details.address.postal_code",
      SGTM_FIELD_PLACE },
    { "country", "customer_details.address.country", SGTM_FIELD_PLACE },
    { "country", "billing_details.address.country", SGTM_FIELD_PLACE },
    { NULL, NULL, 0 }
};


static int
sgtm_stripe_checkout(sgtm_order_t *order)
{
    cJSON        *params;
    const char   *status;
    const cJSON  *session;

    session = sgtm_order_get(order->source, "data.object");
    status = sgtm_order_string(session, "payment_status");

    order->param = "payment_status";

    if (status == NULL) {
        return SGTM_ERROR;
    }

    /* a session that only keeps a card has no amount */

    if (strcmp(status, "unpaid") == 0
        || sgtm_order_get(session, "amount_total") == NULL)
    {
        return SGTM_DECLINED;
    }

    order->meta = sgtm_order_get(session, "metadata");
    order->client = sgtm_order_string(session, "client_reference_id");

    if (sgtm_order_currency(order, session, "currency") != SGTM_OK
        || sgtm_order_transaction(order, session, sgtm_stripe_ids, 1)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    params = sgtm_order_event(order, "purchase", order->transaction,
                              sgtm_stripe_time(order));
    if (params == NULL) {
        return SGTM_ERROR;
    }

    sgtm_order_fields(order, params, session, sgtm_stripe_purchase);

    if (cJSON_GetObjectItemCaseSensitive(params, "value") == NULL) {
        order->param = "amount_total";
        return SGTM_ERROR;
    }

    sgtm_stripe_items(order, params, session);
    sgtm_order_user(order, session, sgtm_stripe_user, sgtm_stripe_address);

    return SGTM_OK;
}


static void
sgtm_stripe_items(sgtm_order_t *order, cJSON *params, const cJSON *session)
{
    cJSON        *json;
    const char   *text;
    const cJSON  *lines;

    static const char *const  names[] = { "ga_items", NULL };

    lines = sgtm_order_get(session, "line_items.data");

    if (lines) {
        sgtm_order_items(order, params, lines, sgtm_stripe_line);
        return;
    }

    text = sgtm_order_meta(order, names);

    if (text) {
        /* who has cut it to the size of a piece of metadata has lost it */
        json = cJSON_Parse(text);
        sgtm_order_items(order, params, json, sgtm_stripe_item);
        cJSON_Delete(json);
    }
}


/*
 * A charge tells what was refunded of it altogether, and the event what it was
 * before.
 */

static int
sgtm_stripe_charge(sgtm_order_t *order)
{
    char          key[SGTM_ORDER_KEY_SIZE], id[SGTM_ORDER_MAX_TEXT + 1],
                  amount[SGTM_MONEY_SIZE];
    cJSON        *params;
    double        part;
    const cJSON  *charge, *all, *before, *newest;

    charge = sgtm_order_get(order->source, "data.object");
    all = sgtm_order_get(charge, "amount_refunded");
    before = sgtm_order_get(order->source,
                            "data.previous_attributes.amount_refunded");
    newest = sgtm_order_get(charge, "refunds.data.0");

    order->param = "amount_refunded";

    if (!cJSON_IsNumber(all)) {
        return SGTM_ERROR;
    }

    part = all->valuedouble;

    if (cJSON_IsNumber(before)) {
        part -= before->valuedouble;

    } else if (cJSON_IsNumber(sgtm_order_get(newest, "amount"))) {
        part = sgtm_order_get(newest, "amount")->valuedouble;
    }

    if (!(part > 0)) {
        return SGTM_DECLINED;
    }

    order->meta = sgtm_order_get(charge, "metadata");

    if (sgtm_order_currency(order, charge, "currency") != SGTM_OK
        || sgtm_order_transaction(order, charge, sgtm_stripe_ids, 1)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    /* API versions up to 2022-08-01 name the refund, as refund.created does */

    order->param = "amount_refunded";

    if (sgtm_money_minor(amount, all->valuedouble, 0) != SGTM_OK) {
        return SGTM_ERROR;
    }

    if (sgtm_order_id(id, newest, "id")) {
        (void) snprintf(key, sizeof(key), "%s", id);

    } else if (sgtm_order_id(id, charge, "id")) {
        (void) snprintf(key, sizeof(key), "%s %s", id, amount);

    } else {
        order->param = "id";
        return SGTM_ERROR;
    }

    if (sgtm_money_minor(amount, part, order->exponent) != SGTM_OK) {
        return SGTM_ERROR;
    }

    params = sgtm_order_event(order, "refund", key, sgtm_stripe_time(order));
    if (params == NULL) {
        return SGTM_ERROR;
    }

    sgtm_order_amount(order, params, "value", amount);
    sgtm_order_user(order, charge, sgtm_stripe_user, sgtm_stripe_address);

    return SGTM_OK;
}


static int
sgtm_stripe_refund(sgtm_order_t *order)
{
    char          id[SGTM_ORDER_MAX_TEXT + 1], amount[SGTM_MONEY_SIZE];
    cJSON        *params;
    const char   *status;
    const cJSON  *refund, *value;

    refund = sgtm_order_get(order->source, "data.object");
    status = sgtm_order_string(refund, "status");
    value = sgtm_order_get(refund, "amount");

    if (status && (strcmp(status, "failed") == 0
                   || strcmp(status, "canceled") == 0))
    {
        return SGTM_DECLINED;
    }

    order->meta = sgtm_order_get(refund, "metadata");

    if (sgtm_order_currency(order, refund, "currency") != SGTM_OK
        || sgtm_order_transaction(order, refund, sgtm_stripe_ids, 1)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    order->param = "id";

    if (!sgtm_order_id(id, refund, "id")) {
        return SGTM_ERROR;
    }

    order->param = "amount";

    if (!cJSON_IsNumber(value) || !(value->valuedouble > 0)
        || sgtm_money_minor(amount, value->valuedouble, order->exponent)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    params = sgtm_order_event(order, "refund", id, sgtm_stripe_time(order));
    if (params == NULL) {
        return SGTM_ERROR;
    }

    sgtm_order_amount(order, params, "value", amount);

    return SGTM_OK;
}


/* when it happened; the object may be older */

static int64_t
sgtm_stripe_time(sgtm_order_t *order)
{
    const cJSON  *created;

    created = sgtm_order_get(order->source, "created");

    return (cJSON_IsNumber(created) && created->valuedouble > 0
            && created->valuedouble < 1e11)
           ? (int64_t) created->valuedouble : 0;
}
