
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What cJSON asks memory for and does not get.  A body that is good must not be
 * called bad for it: who is told 400 does not send it again, and the hit or the
 * order is lost.  Nothing that was got may be kept.
 */


#include <cjson/cJSON.h>

#include "unit.h"
#include "sgtm_mp.h"
#include "../../src/intake/sgtm_order.h"


static size_t  left;               /* allocations that succeed */
static size_t  held;               /* that are not freed yet */


static void *
memory_alloc(size_t size)
{
    void  *p;

    if (left == 0) {
        return NULL;
    }

    p = malloc(size);

    if (p == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }

    left--;
    held++;

    return p;
}


static void
memory_free(void *p)
{
    if (p != NULL) {
        held--;
        free(p);
    }
}


/* an SGTM_* of the body; what is left of it is freed */

typedef int (*memory_pt)(const sgtm_str_t *body);


static int
memory_mp(const sgtm_str_t *body)
{
    sgtm_mp_t  mp;

    return sgtm_mp_parse(&mp, body, unit_alloc(body->len), 0, NULL, NULL);
}


static int
memory_order(const sgtm_str_t *body)
{
    int            rc;
    char          *text;
    sgtm_str_t     topic;
    sgtm_order_t   order;

    topic = unit_str("orders/paid");

    rc = sgtm_order_read(&order, SGTM_SHOP_SHOPIFY, &topic, body, 1732104000);

    if (rc == SGTM_ERROR && !order.failed) {
        /* the shop's fault */
        return SGTM_DECLINED;
    }

    if (rc != SGTM_OK) {
        return rc;
    }

    text = sgtm_order_print(&order);
    rc = text ? SGTM_OK : SGTM_ERROR;

    cJSON_free(text);
    sgtm_order_free(&order);

    return rc;
}


/* the first allocation fails, then the second one, until all are there */

static void
test_each(const char *name, memory_pt run, const char *text)
{
    int         rc;
    size_t      n, wrong, kept;
    sgtm_str_t  body;

    body = unit_str(text);
    wrong = 0;
    kept = 0;

    for (n = 0; n < 1000; n++) {
        left = n;
        held = 0;

        rc = run(&body);

        kept += held;

        if (rc == SGTM_OK) {
            break;
        }

        wrong += (rc != SGTM_ERROR);
    }

    unit_ok(n > 10 && n < 1000, "%s: without one of %u allocations", name,
            (unsigned) n);
    unit_ok(wrong == 0, "  it is no fault of the body's (%u times)",
            (unsigned) wrong);
    unit_ok(kept == 0, "  and nothing is kept");
}


/* what is wrong is so with any memory */

static void
test_wrong(const char *name, memory_pt run, const char *text)
{
    sgtm_str_t  body;

    body = unit_str(text);

    left = 1000;
    held = 0;

    unit_ok(run(&body) == SGTM_DECLINED && held == 0, "%s: %s", name, text);
}


int
main(void)
{
    size_t       i;
    cJSON_Hooks  hooks;

    static const char  *wrong[] = { "", "[", "[]", "{\"a\":1", "{\"a\":\"" };

    hooks.malloc_fn = memory_alloc;
    hooks.free_fn = memory_free;

    cJSON_InitHooks(&hooks);

    test_each("Measurement Protocol", memory_mp,
              "{\"client_id\":\"1.2\",\"user_id\":\"u\",\"events\":[{\"name\":"
              "\"purchase\",\"params\":{\"value\":9.5,\"items\":[{\"item_id\":"
              "\"a\"}]}}],\"consent\":{\"ad_user_data\":\"GRANTED\"}}");

    test_each("an order", memory_order,
              "{\"id\":1,\"currency\":\"EUR\",\"total_price\":\"9.50\","
              "\"line_items\":[{\"sku\":\"a\",\"price\":\"9.50\"}],"
              "\"note_attributes\":[{\"name\":\"ad_user_data\",\"value\":"
              "\"granted\"}],\"email\":\"jane@example.com\","
              "\"billing_address\":{\"city\":\"Berlin\"}}");

    for (i = 0; i < unit_nelts(wrong); i++) {
        test_wrong("Measurement Protocol", memory_mp, wrong[i]);
        test_wrong("an order", memory_order, wrong[i]);
    }

    return unit_done();
}
