
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a shop's webhook becomes.  A sum that is off by a factor of a hundred in
 * yen, a refund of the whole where a part went back, an address of a customer
 * who did not agree, or an empty transaction id, under which GA4 would put all
 * orders together, each would be found in nobody's log.
 */


#include "unit.h"
#include "../../src/intake/sgtm_order.h"


/* 2024-11-20 12:00:00 UTC */
#define NOW  1732104000

#define S  SGTM_SHOP_STRIPE
#define F  SGTM_SHOP_SHOPIFY
#define W  SGTM_SHOP_WOOCOMMERCE


/* written with ' for " */

static sgtm_str_t
quoted(const char *text)
{
    size_t      i;
    sgtm_str_t  str;

    str = unit_str(text);

    for (i = 0; i < str.len; i++) {
        if (str.data[i] == '\'') {
            str.data[i] = '"';
        }
    }

    return str;
}


/* the same, with a zero at its end */

static const char *
wanted(const char *text)
{
    sgtm_str_t  str;

    str = unit_bytes(text, strlen(text) + 1);

    for (text = (char *) str.data; *str.data; str.data++) {
        if (*str.data == '\'') {
            *str.data = '"';
        }
    }

    return text;
}


static int
mapped(sgtm_order_t *order, unsigned shop, const char *topic, const char *json)
{
    sgtm_str_t  header, body;

    header = unit_str(topic);
    body = quoted(json);

    return sgtm_order_read(order, shop, &header, &body, NOW);
}


#define SESSION(members)                                                      \
    "{'id':'evt_1','object':'event','created':1732103900,"                    \
    "'type':'checkout.session.completed','data':{'object':{'id':'cs_1',"      \
    "'object':'checkout.session','mode':'payment',"                           \
    "'payment_status':'paid'," members "}}}"

#define PURCHASE(client, params)                                              \
    "{'client_id':'" client "',"                                              \
    "'events':[{'name':'purchase','params':{'transaction_id':" params "}}],"  \
    "'timestamp_micros':1732103900000000}"


static const struct {
    const char     *name;
    unsigned        shop;
    const char     *topic;
    const char     *in;
    const char     *out;
    const char     *key;
} orders[] = {

    { "Stripe: a session", S, "",
      SESSION("'amount_subtotal':1799,'amount_total':1999,'currency':'eur',"
              "'payment_intent':'pi_1','customer_details':"
              "{'email':'jane@example.com'},'metadata':{},"
              "'total_details':{'amount_discount':0,'amount_shipping':500,"
              "'amount_tax':319}"),
      PURCHASE("230226290.304151273",
               "'pi_1','currency':'EUR','value':19.99,'tax':3.19,"
               "'shipping':5"),
      "purchase stripe pi_1" },

    { "Stripe: metadata, an expanded payment, items", S, "",
      SESSION("'amount_total':4200,'currency':'usd',"
              "'payment_intent':{'id':'pi_2','object':'payment_intent'},"
              "'client_reference_id':'7.8','metadata':{"
              "'ga_client_id':'GA1.1.1234567890.1700000000',"
              "'ga_session_id':'1700000001','event_id':'e-1',"
              "'transaction_id':'T-42',"
              "'ga_items':'[{\\'item_id\\':\\'SKU1\\',\\'item_name\\':"
              "\\'Teapot\\',\\'price\\':21,\\'quantity\\':2,"
              "\\'nonsense\\':1}]'},'discounts':[{'coupon':'TEA10',"
              "'promotion_code':null}]"),
      PURCHASE("1234567890.1700000000",
               "'T-42','currency':'USD','value':42,'coupon':'TEA10',"
               "'items':[{'item_id':'SKU1','item_name':'Teapot','price':21,"
               "'quantity':2}],'event_id':'e-1','session_id':'1700000001',"
               "'engagement_time_msec':1"),
      "purchase stripe T-42" },

    { "Stripe: client_reference_id, items of the session", S, "",
      SESSION("'amount_total':1999,'currency':'usd','payment_intent':null,"
              "'invoice':'in_1','client_reference_id':'123.456',"
              "'line_items':{'object':'list','data':[{'id':'li_1',"
              "'description':'Tea','amount_total':1999,'quantity':1,"
              "'price':{'id':'price_1','product':'prod_1',"
              "'unit_amount':1999}},{'object':'item','quantity':1}]}"),
      PURCHASE("123.456",
               "'in_1','currency':'USD','value':19.99,'items':[{"
               "'item_id':'prod_1','item_name':'Tea','price':19.99,"
               "'quantity':1}]"),
      "purchase stripe in_1" },

    { "Stripe: another client_reference_id, nothing but the session", S, "",
      SESSION("'amount_total':0,'currency':'usd',"
              "'client_reference_id':'order-17'"),
      PURCHASE("199302185.1718639077",
               "'cs_1','currency':'USD','value':0"),
      "purchase stripe cs_1" },

    { "Stripe: what was to be paid later is", S, "",
      "{'id':'evt_2','created':1732103900,"
      "'type':'checkout.session.async_payment_succeeded','data':{'object':{"
      "'id':'cs_2','payment_status':'paid','amount_total':500,"
      "'currency':'jpy','payment_intent':'pi_3','metadata':"
      "{'client_id':'my-own-id'}}}}",
      PURCHASE("my-own-id", "'pi_3','currency':'JPY','value':500"),
      "purchase stripe pi_3" },

    { "Stripe: a charge's first refund, of a part", S, "",
      "{'id':'evt_3','created':1732103900,'type':'charge.refunded','data':{"
      "'object':{'id':'ch_1','object':'charge','amount':1999,"
      "'amount_refunded':500,'currency':'eur','payment_intent':'pi_1',"
      "'metadata':{'ga_client_id':'1.2'},'refunded':false},"
      "'previous_attributes':{'amount_refunded':0}}}",
      "{'client_id':'1.2','events':[{'name':'refund','params':{"
      "'transaction_id':'pi_1','currency':'EUR','value':5}}],"
      "'timestamp_micros':1732103900000000}",
      "refund stripe ch_1 500" },

    { "Stripe: the rest of it", S, "",
      "{'id':'evt_4','created':1732103900,'type':'charge.refunded','data':{"
      "'object':{'id':'ch_1','amount':1999,'amount_refunded':1999,"
      "'currency':'eur','payment_intent':'pi_1','refunded':true},"
      "'previous_attributes':{'amount_refunded':500,'refunded':false}}}",
      "{'client_id':'230226290.304151273','events':[{'name':'refund',"
      "'params':{'transaction_id':'pi_1','currency':'EUR','value':14.99}}],"
      "'timestamp_micros':1732103900000000}",
      "refund stripe ch_1 1999" },

    { "Stripe: a charge of an older version names its refunds", S, "",
      "{'id':'evt_4','created':1732103900,'type':'charge.refunded','data':{"
      "'object':{'id':'ch_1','amount_refunded':1999,'currency':'eur',"
      "'payment_intent':'pi_1','refunds':{'data':[{'id':'re_2',"
      "'amount':1499},{'id':'re_1','amount':500}]}}}}",
      "{'client_id':'230226290.304151273','events':[{'name':'refund',"
      "'params':{'transaction_id':'pi_1','currency':'EUR','value':14.99}}],"
      "'timestamp_micros':1732103900000000}",
      "refund stripe re_2" },

    { "Stripe: a refund", S, "",
      "{'id':'evt_5','created':1732103900,'type':'refund.created','data':{"
      "'object':{'id':'re_2','object':'refund','amount':1499,"
      "'charge':'ch_1','currency':'eur','metadata':{},"
      "'payment_intent':'pi_1','status':'succeeded'}}}",
      "{'client_id':'230226290.304151273','events':[{'name':'refund',"
      "'params':{'transaction_id':'pi_1','currency':'EUR','value':14.99}}],"
      "'timestamp_micros':1732103900000000}",
      "refund stripe re_2" },

    { "Shopify: an order", F, "orders/paid",
      "{'id':450789469,'name':'#1001','currency':'USD',"
      "'created_at':'2024-11-20T06:50:00-05:00',"
      "'updated_at':'2024-11-20T06:58:20-05:00','financial_status':'paid',"
      "'total_price':'409.94','subtotal_price':'398.00',"
      "'total_tax':'11.94','total_shipping_price_set':{'shop_money':"
      "{'amount':'0.00','currency_code':'USD'},'presentment_money':"
      "{'amount':'0.00','currency_code':'EUR'}},'discount_codes':[{'code':"
      "'SPRING30','amount':'30.00','type':'fixed_amount'}],"
      "'note_attributes':[{'name':'_ga_client_id','value':'11.22'},"
      "{'name':'ga_session_id','value':'GS2.1.s1732103000$o3$g1$t1$j0'},"
      "{'name':'event_id','value':'cart-9'}],'line_items':[{'id':1,"
      "'product_id':632910392,'variant_id':808950810,'sku':'IPOD2008PINK',"
      "'title':'IPod Nano - 8gb','variant_title':'pink','vendor':'Apple',"
      "'quantity':1,'price':'199.00'},{'id':2,'product_id':632910392,"
      "'variant_id':49148385,'sku':'','title':'IPod Nano','vendor':null,"
      "'quantity':1,'price':'199.00'}]}",
      PURCHASE("11.22",
               "'450789469','currency':'USD','value':409.94,'tax':11.94,"
               "'shipping':0,'coupon':'SPRING30','items':[{"
               "'item_id':'IPOD2008PINK','item_name':'IPod Nano - 8gb',"
               "'item_brand':'Apple','item_variant':'pink','price':199,"
               "'quantity':1},{'item_id':'49148385','item_name':'IPod Nano',"
               "'price':199,'quantity':1}],'event_id':'cart-9',"
               "'session_id':'1732103000','engagement_time_msec':1"),
      "purchase shopify 450789469" },

    { "Shopify: a new order that is paid", F, "orders/create",
      "{'id':820982911946154508,'currency':'KWD','total_price':'5.125',"
      "'financial_status':'paid'}",
      NULL, "id" },

    { "Shopify: an id as large as theirs are", F, "orders/create",
      "{'id':5628371894421,'currency':'KWD','total_price':'5.125',"
      "'financial_status':'paid','shipping_lines':[{'price':'1.250'}]}",
      "{'client_id':'1140986108.359195218','events':[{'name':'purchase',"
      "'params':{'transaction_id':'5628371894421','currency':'KWD',"
      "'value':5.125,'shipping':1.25}}]}",
      "purchase shopify 5628371894421" },

    { "Shopify: a refund of some items by two ways", F, "refunds/create",
      "{'id':929361465,'order_id':450789469,"
      "'created_at':'2024-11-20T11:58:20Z','refund_line_items':[{"
      "'line_item_id':1,'quantity':1,'subtotal':199.0,'line_item':{"
      "'sku':'IPOD2008PINK','title':'IPod Nano - 8gb','price':'199.00',"
      "'quantity':3}}],'transactions':[{'id':1,'kind':'refund',"
      "'status':'success','amount':'100.10','currency':'USD'},{'id':2,"
      "'kind':'refund','status':'pending','amount':'98.90',"
      "'currency':'USD'},{'id':3,'kind':'refund','status':'failure',"
      "'amount':'50.00','currency':'USD'},{'kind':'void',"
      "'amount':'1.00','currency':'USD'}]}",
      "{'client_id':'785308519.362088463','events':[{'name':'refund',"
      "'params':{'transaction_id':'450789469','currency':'USD','value':199,"
      "'items':[{'item_id':'IPOD2008PINK','item_name':'IPod Nano - 8gb',"
      "'price':199,'quantity':1}]}}],'timestamp_micros':1732103900000000}",
      "refund shopify 450789469 929361465" },

    { "WooCommerce: an order", W, "order.updated",
      "{'id':727,'number':'1727','status':'processing','currency':'EUR',"
      "'date_created_gmt':'2024-11-20T11:50:00',"
      "'date_paid_gmt':'2024-11-20T11:58:20','discount_total':'0.00',"
      "'shipping_total':'10.00','total':'29.35','total_tax':'1.35',"
      "'payment_method':'bacs','billing':{'email':'john@example.com'},"
      "'meta_data':[{'id':1,'key':'_x','value':{'a':[]}},{'id':2,"
      "'key':'_ga','value':'GA1.2.33.44'}],'line_items':[{'id':315,"
      "'name':'Woo Single #1','product_id':93,'variation_id':0,"
      "'quantity':2,'price':3,'sku':''},{'id':316,'name':'Ship Your Idea',"
      "'product_id':22,'variation_id':23,'quantity':1,"
      "'price':6.666666666666667,'sku':'Bar3'}],'coupon_lines':[{'id':1,"
      "'code':'ten'}],'refunds':[]}",
      PURCHASE("33.44",
               "'1727','currency':'EUR','value':29.35,'tax':1.35,"
               "'shipping':10,'coupon':'ten','items':[{'item_id':'93',"
               "'item_name':'Woo Single #1','price':3,'quantity':2},{"
               "'item_id':'Bar3','item_name':'Ship Your Idea',"
               "'price':6.666667,'quantity':1}]"),
      "purchase woocommerce 1727" },

    { "WooCommerce: an old order that is refunded", W, "order.updated",
      "{'id':727,'status':'refunded','currency':'EUR','total':'29.35',"
      "'date_paid_gmt':'2024-01-01T00:00:00',"
      "'date_modified_gmt':'2024-11-20T11:58:20','refunds':[{'id':801,"
      "'reason':'','total':'-9.35'},{'id':800,'reason':'','total':'-20.00'},"
      "{'id':799,'reason':'restocked','total':'0.00'}]}",
      "{'client_id':'161404774.1936557185','events':[{'name':'refund',"
      "'params':{'transaction_id':'727','currency':'EUR','value':9.35}},{"
      "'name':'refund','params':{'transaction_id':'727','currency':'EUR',"
      "'value':20}}],'timestamp_micros':1732103900000000}",
      "refund woocommerce 727 801" },

    { "WooCommerce: cash on delivery is sold when it is ordered", W,
      "order.created",
      "{'id':728,'status':'processing','currency':'EUR','total':'1.00',"
      "'date_created_gmt':'2024-11-20T11:58:20','date_paid_gmt':null,"
      "'payment_method':'cod'}",
      PURCHASE("952540150.1043485581", "'728','currency':'EUR','value':1"),
      "purchase woocommerce 728" },
};


/* nothing that is to be told; NULL: no topic at all */

static const struct {
    const char     *name;
    unsigned        shop;
    const char     *topic;
    const char     *in;
} ignored[] = {
    { "Stripe: another event", S, "", "{'type':'customer.created'}" },
    { "Stripe: a session that is not paid yet", S, "",
      "{'type':'checkout.session.completed','data':{'object':{"
      "'payment_status':'unpaid','amount_total':1}}}" },
    { "Stripe: a session that keeps a card", S, "",
      "{'type':'checkout.session.completed','data':{'object':{"
      "'mode':'setup','payment_status':'no_payment_required',"
      "'amount_total':null}}}" },
    { "Stripe: a refund that failed", S, "",
      "{'type':'refund.created','data':{'object':{'id':'re_1',"
      "'status':'failed','amount':1,'currency':'usd'}}}" },
    { "Stripe: a charge without a refund", S, "",
      "{'type':'charge.refunded','data':{'object':{'id':'ch_1',"
      "'amount_refunded':0,'currency':'usd','payment_intent':'pi'}}}" },
    { "Shopify: another topic", F, "products/create", "{}" },
    { "Shopify: no topic", F, "", "{}" },
    { "Shopify: the beginning of a topic", F, "orders/pai", "{}" },
    { "Shopify: a new order that is not paid", F, "orders/create",
      "{'id':1,'financial_status':'pending','currency':'USD',"
      "'total_price':'1.00'}" },
    { "Shopify: a refund without money", F, "refunds/create",
      "{'id':1,'order_id':2,'transactions':[]}" },
    { "WooCommerce: another topic", W, "product.created", "{}" },
    { "WooCommerce: not paid", W, "order.created",
      "{'id':1,'status':'pending','currency':'EUR','total':'1.00'}" },
    { "WooCommerce: on hold", W, "order.updated",
      "{'id':1,'status':'on-hold','currency':'EUR','total':'1.00'}" },
    { "WooCommerce: a note on an old order", W, "order.updated",
      "{'id':1,'status':'completed','currency':'EUR','total':'1.00',"
      "'date_paid_gmt':'2024-11-17T11:59:59'}" }
};


/* no JSON of the shop; what is wrong is told by name */

static const struct {
    unsigned        shop;
    const char     *topic;
    const char     *in;
    const char     *param;
} broken[] = {
    { S, "", "", "body" },
    { S, "", "{", "body" },
    { S, "", "[]", "body" },
    { S, "", "'text'", "body" },
    { S, "", "null", "body" },
    { S, "", "{} {}", "body" },
    { S, "", "{'type':'\xff'}", "body" },
    { S, "", "{'type':'\xed\xa0\x80'}", "body" },
    { S, "", "{'type':'\\ud800'}", "body" },
    { S, "", "{}", "type" },
    { S, "", "{'type':5}", "type" },
    { S, "", "{'type':''}", "type" },
    { S, "", "{'type':'checkout.session.completed'}", "payment_status" },
    { S, "", "{'type':'checkout.session.completed','data':[]}",
      "payment_status" },
    { S, "", SESSION("'amount_total':1"), "currency" },
    { S, "", SESSION("'amount_total':1,'currency':'us'"), "currency" },
    { S, "", SESSION("'amount_total':1,'currency':'u$d'"), "currency" },
    { S, "", SESSION("'amount_total':1.5,'currency':'usd'"), "amount_total" },
    { S, "", SESSION("'amount_total':1e300,'currency':'usd'"),
      "amount_total" },
    { S, "", SESSION("'amount_total':1e999,'currency':'usd'"),
      "amount_total" },
    { S, "", SESSION("'amount_total':'1','currency':'usd'"), "amount_total" },
    { S, "", "{'type':'checkout.session.completed','data':{'object':{"
      "'id':'','payment_status':'paid','amount_total':1,'currency':'usd',"
      "'metadata':{'transaction_id':''}}}}", "id" },
    { S, "", "{'type':'refund.created','data':{'object':{'amount':5,"
      "'currency':'usd','charge':'ch_1'}}}", "id" },
    { S, "", "{'type':'refund.created','data':{'object':{'id':'re_1',"
      "'amount':-5,'currency':'usd','charge':'ch_1'}}}", "amount" },
    { F, "orders/paid", "{'currency':'USD','total_price':'1.00'}", "id" },
    { F, "orders/paid", "{'id':0,'currency':'USD','total_price':'1'}", "id" },
    { F, "orders/paid", "{'id':1,'currency':'USD','total_price':'1,00'}",
      "total_price" },
    { F, "orders/paid", "{'id':1,'currency':'USD'}", "total_price" },
    { F, "orders/paid", "{'id':'a b','currency':'USD','total_price':'1'}",
      "id" },
    { F, "refunds/create", "{'id':1}", "order_id" },
    { F, "refunds/create", "{'id':1,'order_id':2}", "transactions" },
    { F, "refunds/create", "{'id':1,'order_id':2,'transactions':[{"
      "'kind':'refund','amount':'x','currency':'USD'}]}", "amount" },
    { F, "refunds/create", "{'id':1,'order_id':2,'transactions':[{"
      "'kind':'refund','amount':'900000000000.00','currency':'USD'},{"
      "'kind':'refund','amount':'1','currency':'USD'}]}", "amount" },
    { W, "order.created", "{}", "status" },
    { W, "order.created", "{'status':'processing','currency':'EUR',"
      "'total':'1'}", "id" },
    { W, "order.created", "{'id':1,'status':'processing','currency':'EUR'}",
      "total" },
    { W, "order.updated", "{'id':1,'status':'refunded','currency':'EUR',"
      "'refunds':[{'id':1}]}", "refunds" },
    { W, "order.updated", "{'id':1,'status':'refunded','currency':'EUR',"
      "'refunds':[{'id':1,'total':-5}]}", "refunds" }
};


static void
test_orders(void)
{
    int            rc;
    char          *text;
    size_t         i;
    sgtm_order_t   order;

    for (i = 0; i < unit_nelts(orders); i++) {

        rc = mapped(&order, orders[i].shop, orders[i].topic, orders[i].in);

        if (orders[i].out == NULL) {
            unit_ok(rc == SGTM_ERROR && order.param
                    && strcmp(order.param, orders[i].key) == 0,
                    "%s", orders[i].name);
            continue;
        }

        if (!unit_ok(rc == SGTM_OK, "%s", orders[i].name)) {
            printf("# rc: %d, %s\n", rc, order.param ? order.param : "");
            continue;
        }

        unit_is((unsigned char *) order.keys[0], strlen(order.keys[0]),
                orders[i].key, "  its key");

        text = sgtm_order_print(&order);
        unit_is((unsigned char *) text, strlen(text), wanted(orders[i].out),
                "  and as the Measurement Protocol has it");

        cJSON_free(text);
        sgtm_order_free(&order);
    }
}


static void
test_refused(void)
{
    int           rc;
    size_t        i;
    sgtm_order_t  order;

    for (i = 0; i < unit_nelts(ignored); i++) {
        rc = mapped(&order, ignored[i].shop, ignored[i].topic, ignored[i].in);
        unit_ok(rc == SGTM_DECLINED && order.json == NULL, "%s",
                ignored[i].name);
    }

    for (i = 0; i < unit_nelts(broken); i++) {
        rc = mapped(&order, broken[i].shop, broken[i].topic, broken[i].in);
        unit_ok(rc == SGTM_ERROR && !order.failed && order.param
                && strcmp(order.param, broken[i].param) == 0
                && order.json == NULL,
                "%s: %.60s", broken[i].param, broken[i].in);
    }
}


/* the same order, with metadata that differs */

static char *
printed(unsigned shop, const char *topic, const char *json)
{
    char          *text;
    sgtm_order_t   order;

    if (mapped(&order, shop, topic, json) != SGTM_OK) {
        return NULL;
    }

    text = sgtm_order_print(&order);
    sgtm_order_free(&order);

    return text;
}


static void
has(unsigned shop, const char *topic, const char *json, const char *part,
    int there, const char *name)
{
    char  *text;

    text = printed(shop, topic, json);

    if (!unit_ok(text && (strstr(text, wanted(part)) != NULL) == there, "%s",
                 name))
    {
        printf("# %s\n", text ? text : "nothing");
    }

    cJSON_free(text);
}


#define STRIPE(meta)                                                          \
    SESSION("'amount_total':1,'currency':'usd','metadata':{" meta "},"        \
            "'customer_details':{'email':' Jane.Doe@Example.com ',"           \
            "'phone':'+1 (415) 555-0100','name':'Jane van D\xc3\x96" "e',"    \
            "'address':{'city':'Berlin','state':null,'postal_code':'10115',"  \
            "'country':'DE','line1':'Street 1'}}")


static void
test_people(void)
{
    has(S, "", STRIPE(""), "user_data", 0, "no consent, no user data");
    has(S, "", STRIPE(""), "consent", 0, "and none is made up");
    has(S, "", STRIPE("'ad_user_data':'denied'"), "'user_data", 0,
        "denied, no user data");
    has(S, "", STRIPE("'ad_user_data':'denied'"),
        "'consent':{'ad_user_data':'DENIED'}", 1, "which is told");
    has(S, "", STRIPE("'ad_user_data':'yes'"), "user_data", 0,
        "another word is no consent");
    has(S, "", STRIPE("'ad_user_data':'granted!'"), "user_data", 0,
        "nor a longer one");
    has(S, "", STRIPE("'ad_user_data':true"), "user_data", 0,
        "nor what is no word");
    has(S, "", STRIPE("'ad_user_data':'granted'"), "jane", 0,
        "granted, but not in clear");
    has(S, "", STRIPE("'ad_user_data':'GRANTED','ad_personalization':"
                      "'denied'"),
        "'consent':{'ad_user_data':'GRANTED',"
        "'ad_personalization':'DENIED'}", 1, "both are told");
    has(S, "", STRIPE("'ad_user_data':'granted'"),
        "'user_data':{'sha256_email_address':['"
        "86e0b9e56c17cc4d12387e1949b85053fbe73bc3ce5a1188713a9d300cc6133d"
        "'],'sha256_phone_number':['"
        "40d3f4e02db27d66cf4cfdda506c2c945f115a7955cc8491dda98ce5beabcda0"
        "'],'address':[{'sha256_first_name':'"
        "f5efe32d3cc855e19b858d5c06adad9f540aa30a10e47e32ab4df309a6a52b4e"
        "','sha256_last_name':'"
        "b60e874585e009c53c85c2f469241aab0ff1676f9e3b663ac7a88c40f3d0129a"
        "','city':'berlin','postal_code':'10115','country':'DE'}]}", 1,
        "hashed as they are normalised");
}


/* what ties a sale to a visit, as people write it into a session's metadata */

#define SALE(members)  SESSION("'amount_total':1,'currency':'usd'," members)
#define META(metadata)  SALE("'metadata':{" metadata "}")

/* made of the session's own id */
#define DERIVED  "'client_id':'199302185.1718639077'"


static void
test_ids(void)
{
    size_t  i;

    static const struct {
        const char  *json;
        const char  *part;
        int          there;
        const char  *name;
    } ids[] = {
        { META("'ga_client_id':'GA1.1-2.5.6'"), "'client_id':'5.6'", 1,
          "a cookie with a path" },
        { META("'ga_client_id':'GA1.'"), DERIVED, 1,
          "what is left of a cookie is no id" },
        { META("'ga_client_id':'a b'"), DERIVED, 1, "nor what has a space" },
        { SALE("'client_reference_id':'1.2.3'"), DERIVED, 1, "nor three" },
        { META("'ga_session_id':'GS1.1.17.3.1.18.0.0.0'"),
          "'session_id':'17'", 1, "a session's cookie" },
        { META("'ga_session_id':'x17'"), "session_id", 0, "no session" },
        { META("'ga_items':'[{]'"), "items", 0, "items that were cut" },
        { META("'ga_items':'{\\'item_id\\':\\'a\\'}'"), "items", 0,
          "items that are no list" },
        { META("'event_id':'a\\u0001b'"), "event_id", 0,
          "an event's id that is none" }
    };

    for (i = 0; i < unit_nelts(ids); i++) {
        has(S, "", ids[i].json, ids[i].part, ids[i].there, ids[i].name);
    }

    has(F, "orders/paid",
        "{'id':1,'currency':'USD','total_price':'1.00','line_items':[{"
        "'title':'a\\n\\tb \\\\ \\u007f\\u00e4\\u20ac'}]}",
        "'item_name':'a  b \\\\  \xc3\xa4\xe2\x82\xac'", 1,
        "text without control characters, and escaped again");
}


/* more than fits: 200 items, 25 events, 100 characters */

static void
test_limits(void)
{
    char          *text, *p;
    size_t         i, n;
    sgtm_str_t     topic, body;
    sgtm_order_t   order;

    static const char  head[] =
        "{\"id\":1,\"status\":\"processing\",\"currency\":\"EUR\","
        "\"total\":\"1\",\"line_items\":[";

    text = unit_alloc(2000000);
    p = text + sprintf(text, "%s", head);

    for (i = 0; i < 300; i++) {
        p += sprintf(p, "%s{\"sku\":\"s%u\",\"name\":\"", i ? "," : "",
                     (unsigned) i);

        for (n = 0; n < 150; n++) {
            p += sprintf(p, "\xc3\xa4");
        }

        p += sprintf(p, "\"}");
    }

    p += sprintf(p, "],\"refunds\":[");

    for (i = 0; i < 40; i++) {
        p += sprintf(p, "%s{\"id\":%u,\"total\":\"-1\"}", i ? "," : "",
                     (unsigned) i + 1);
    }

    p += sprintf(p, "]}");

    topic = unit_str("order.updated");
    body = unit_bytes(text, (size_t) (p - text));

    unit_ok(sgtm_order_read(&order, W, &topic, &body, NOW) == SGTM_OK
            && order.nevents == 25, "25 events");

    text = sgtm_order_print(&order);

    unit_ok(strstr(text, "\"s199\"") && !strstr(text, "\"s200\""),
            "200 items");

    p = strstr(text, "\xc3\xa4");
    unit_ok(p && strspn(p, "\xc3\xa4") == 200, "100 characters");
    unit_ok(strlen(text) < 130 * 1024, "small enough to be taken");

    cJSON_free(text);
    sgtm_order_free(&order);

    /* events that were told before leave alone */

    unit_ok(sgtm_order_read(&order, W, &topic, &body, NOW) == SGTM_OK, "again");

    for (i = 0; i < 24; i++) {
        sgtm_order_drop(&order, i < 12 ? 0 : 1);
    }

    unit_ok(order.nevents == 1
            && strcmp(order.keys[0], "refund woocommerce 1 12") == 0,
            "the one left is %s", order.keys[0]);

    text = sgtm_order_print(&order);
    unit_ok(strstr(text, "purchase") == NULL && strstr(text, "refund"),
            "and is all that is sent");

    cJSON_free(text);
    sgtm_order_free(&order);
}


static void
test_pings(void)
{
    size_t      i;
    sgtm_str_t  body;

    static const struct {
        const char  *in;
        int          ping;
    } pings[] = {
        { "webhook_id=1", 1 }, { "webhook_id=12345678901234567890", 1 },
        { "webhook_id=", 0 }, { "webhook_id=123456789012345678901", 0 },
        { "webhook_id=1&a=b", 0 }, { "webhook_id=1 ", 0 },
        { "webhook_id", 0 }, { "", 0 }, { "{\"webhook_id\":1}", 0 }
    };

    for (i = 0; i < unit_nelts(pings); i++) {
        body = unit_str(pings[i].in);
        unit_ok(sgtm_order_ping(&body) == pings[i].ping, "ping: %s",
                pings[i].in);
    }
}


int
main(void)
{
    test_orders();
    test_refused();
    test_people();
    test_ids();
    test_limits();
    test_pings();

    return unit_done();
}
