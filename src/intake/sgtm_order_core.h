
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the files of the shops share: tables say which member of a shop's JSON
 * becomes which of the Measurement Protocol's.
 */


#ifndef _SGTM_ORDER_CORE_H_INCLUDED_
#define _SGTM_ORDER_CORE_H_INCLUDED_


#include "../hit/sgtm_consent.h"
#include "sgtm_order.h"


typedef enum {
    SGTM_FIELD_TEXT = 0,           /* a string, or a number that is not 0 */
    SGTM_FIELD_COUNT,              /* a whole number over 0 */
    SGTM_FIELD_MINOR,              /* an amount in minor units */
    SGTM_FIELD_MONEY,              /* one in major units, a string or number */

    /* of user data: hashed, but for places */

    SGTM_FIELD_EMAIL,
    SGTM_FIELD_PHONE,
    SGTM_FIELD_NAME,
    SGTM_FIELD_FIRST,              /* all but the last word of a full name */
    SGTM_FIELD_LAST,               /* the last word, if there are two */
    SGTM_FIELD_PLACE
} sgtm_field_e;


/*
 * A row of a table, which a NULL ends.  A path has members and, of arrays,
 * numbers: "discount_codes.0.code".  Of rows with the same name the first whose
 * path leads to a value of its type counts.
 */

typedef struct {
    const char     *name;
    const char     *path;
    unsigned        type;          /* sgtm_field_e */
} sgtm_field_t;


typedef struct {
    const char     *topic;
    int           (*read)(sgtm_order_t *order);
} sgtm_topic_t;


typedef struct {
    const char          *name;     /* "stripe" */
    const char          *topic;    /* where the body has it, or NULL */
    const char          *key;      /* members of a piece of metadata in an */
    const char          *value;    /* array; NULL: the metadata is an object */
    const sgtm_topic_t  *topics;   /* a NULL ends them */
} sgtm_shop_t;


extern const sgtm_shop_t  sgtm_shop_stripe;
extern const sgtm_shop_t  sgtm_shop_shopify;
extern const sgtm_shop_t  sgtm_shop_woocommerce;

/* by sgtm_shop_e */
extern const sgtm_shop_t *const  sgtm_shops[SGTM_SHOP_N];


/* a value by its path, or NULL; null is no value */
const cJSON *sgtm_order_get(const cJSON *from, const char *path);

/* a string by its path, or NULL: none, or an empty one */
const char *sgtm_order_string(const cJSON *from, const char *path);

/*
 * A string, or a whole number as text, to SGTM_ORDER_MAX_TEXT + 1 bytes.
 * Returns whether there is one that fits, of printable characters.
 */
int sgtm_order_id(char *out, const cJSON *from, const char *path);

/* copies a text of SGTM_ORDER_MAX_TEXT printable characters at most; or 0 */
int sgtm_order_printable(char *out, const char *text);

/* a piece of metadata of one of these names, which a NULL ends; or NULL */
const char *sgtm_order_meta(const sgtm_order_t *order,
    const char *const *names);

/* what the metadata says of "ad_user_data" or another: sgtm_consent_state_e */
unsigned sgtm_order_consent(const sgtm_order_t *order, const char *type);

/*
 * Sets order->transaction to the metadata's "transaction_id" if meta is set, or
 * by the first of the paths that has an id; SGTM_ERROR: there is none.
 */
int sgtm_order_transaction(sgtm_order_t *order, const cJSON *from,
    const char *const *paths, int meta);

/* sets order->currency and exponent; SGTM_ERROR: there is none */
int sgtm_order_currency(sgtm_order_t *order, const cJSON *from,
    const char *path);

/*
 * Begins an event, of a key made of its name and id.  The result are its
 * params, with transaction_id and currency; NULL: there are too many, or memory
 * ran out.
 */
cJSON *sgtm_order_event(sgtm_order_t *order, const char *name, const char *id,
    int64_t time);

/* adds a number in the form that sgtm_money_...() wrote */
void sgtm_order_amount(sgtm_order_t *order, cJSON *to, const char *name,
    const char *amount);

/* adds what a table finds */
void sgtm_order_fields(sgtm_order_t *order, cJSON *to, const cJSON *from,
    const sgtm_field_t *fields);

/* adds "items" of an array, each with an item_id or item_name */
void sgtm_order_items(sgtm_order_t *order, cJSON *params, const cJSON *array,
    const sgtm_field_t *fields);

/* adds "user_data", if the metadata says ad_user_data=granted */
void sgtm_order_user(sgtm_order_t *order, const cJSON *from,
    const sgtm_field_t *fields, const sgtm_field_t *address);

/* adds a hashed or plain piece of user data; 0: it is none of its type */
int sgtm_order_person(sgtm_order_t *order, cJSON *to, const char *name,
    const char *text, unsigned type);

/* an item made elsewhere; one that is NULL is memory that ran out */
void sgtm_order_add(sgtm_order_t *order, cJSON *to, const char *name,
    cJSON *item);


#endif /* _SGTM_ORDER_CORE_H_INCLUDED_ */
