
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A shop's webhook as the Measurement Protocol has it: an order becomes a
 * "purchase", a refund a "refund".  Plain C11 on cJSON, without nginx.
 */


#ifndef _SGTM_ORDER_H_INCLUDED_
#define _SGTM_ORDER_H_INCLUDED_


#include <cjson/cJSON.h>

#include "../hit/sgtm_hit.h"
#include "../tenant/sgtm_words.h"


/* as many as the Measurement Protocol takes; GA4's items of an event */
#define SGTM_ORDER_MAX_EVENTS  25
#define SGTM_ORDER_MAX_ITEMS   200

/* GA4's length of a value, in characters; an id that is longer is none */
#define SGTM_ORDER_MAX_TEXT    100

/* "-", 15 digits, ".", 8 digits and a zero */
#define SGTM_MONEY_SIZE        32

#define SGTM_MONEY_UNITS       4
#define SGTM_MONEY_MAX_UNITS   9000000000000000

#define SGTM_ORDER_KEY_SIZE    256

/* the Measurement Protocol takes events of the last 72 hours */
#define SGTM_ORDER_MAX_AGE     (72 * 3600)


typedef struct {
    cJSON          *json;          /* {client_id, events, ...} */
    cJSON          *events;        /* of json */
    size_t          nevents;

    /*
     * What an event is about, "refund shopify 450789469 509562969": the same
     * in each delivery that speaks of it, whatever id that has.
     */
    char            keys[SGTM_ORDER_MAX_EVENTS][SGTM_ORDER_KEY_SIZE];
    int64_t         times[SGTM_ORDER_MAX_EVENTS];  /* 0: not known */

    const char     *param;         /* what is missing or wrong, a name */

    /* while it is made */

    const cJSON    *source;        /* the shop's JSON */
    const cJSON    *meta;          /* where its metadata lies */
    const char     *client;        /* a client id from elsewhere, or NULL */
    unsigned        shop;          /* sgtm_shop_e */
    int64_t         now;           /* seconds since the epoch */
    unsigned        exponent;      /* of amounts in minor units */
    unsigned        failed;        /* memory ran out */
    char            currency[4];
    char            transaction[SGTM_ORDER_MAX_TEXT + 1];
} sgtm_order_t;


/*
 * Reads a shop's body; topic is what its header says (Stripe has it in the
 * body).  SGTM_OK: order holds events, sgtm_order_free() releases it.
 * SGTM_DECLINED: nothing of interest, a ping or an order that is not paid.
 * SGTM_ERROR: no JSON of this shop, order->param says what, or memory ran out
 * (order->failed).  Without SGTM_OK there is nothing to free.
 */
int sgtm_order_read(sgtm_order_t *order, unsigned shop,
    const sgtm_str_t *topic, const sgtm_str_t *body, int64_t now);

/* takes one event out, with its key; those after it move up */
void sgtm_order_drop(sgtm_order_t *order, size_t n);

/*
 * The Measurement Protocol's JSON, for cJSON_free(); NULL: no memory.  Once,
 * and only if an event is left.
 */
char *sgtm_order_print(sgtm_order_t *order);

void sgtm_order_free(sgtm_order_t *order);

/* whether this is WooCommerce's unsigned "webhook_id=12" of a new webhook */
int sgtm_order_ping(const sgtm_str_t *body);


/* the digits after the point of a currency's minor unit, as Stripe counts */
unsigned sgtm_money_exponent(const char *currency);

/*
 * Write an amount in major units as JSON has numbers, exact and without
 * needless zeros, to SGTM_MONEY_SIZE bytes: 1999 of exponent 2 and "19.990"
 * are 19.99.  SGTM_DECLINED: it is no such amount.
 */
int sgtm_money_minor(char *out, double amount, unsigned exponent);
int sgtm_money_text(char *out, const char *text);

/*
 * What sgtm_money_text() wrote in ten thousandths, the smallest minor unit of
 * any currency, to add up; SGTM_DECLINED: negative, too large or too small.
 */
int sgtm_money_units(const char *text, int64_t *units);


/* a moment in seconds since the epoch, "2021-12-31T19:00:00-05:00" or without
   a zone in UTC; 0: it has another form */
int64_t sgtm_order_time(const char *text);


#endif /* _SGTM_ORDER_H_INCLUDED_ */
