
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The secrets of a record: each opens where it belongs and nowhere else, and
 * all of them are found in its JSON, however that is written, so that none is
 * left plain by a program that seals them.
 */


#include "unit_tenant.h"


static char  found[1024];


static void
test_open(void)
{
    size_t             len;
    sgtm_str_t         field;
    sgtm_keys_t        keys;
    unsigned char      out[SGTM_SECRET_MAX];
    sgtm_tenant_t     *t;

    tenant_keys(&keys);
    tenant_text_begin("{\"id\":\"shop-1\",\"credentials\":{\"meta_token\":\"");
    tenant_text_sealed(&keys, "shop-1", "credentials.meta_token", "EAAB");
    tenant_text_add("\",\"meta_pixel\":\"123\",\"tiktok_token\":\"");
    tenant_text_sealed(&keys, "shop-1", "credentials.meta_token", "EAAB");
    tenant_text_add("\"},\"api_secrets\":[\"plain\",\"");
    tenant_text_sealed(&keys, "shop-1", "api_secrets", "second");
    tenant_text_add("\"],\"webhooks\":{\"shopify\":[\"");
    tenant_text_sealed(&keys, "shop-1", "webhooks.shopify", "hush");
    tenant_text_add("\"]}}");

    t = tenant_parse(tenant_text, 1);
    unit_ok(t != NULL, "a record with sealed secrets");

    tenant_opens(t, "credentials.meta_token", 0, &keys, "EAAB");
    tenant_opens(t, "credentials.meta_pixel", 0, &keys, "123");
    tenant_opens(t, "credentials.meta_pixel", 0, NULL, "123");
    tenant_opens(t, "api_secrets", 0, NULL, "plain");
    tenant_opens(t, "api_secrets", 1, &keys, "second");
    tenant_opens(t, "webhooks.shopify", 0, &keys, "hush");

    field = unit_str("credentials.tiktok_token");
    unit_ok(sgtm_tenant_open(t, &field, 0, &keys, out, &len) == SGTM_ERROR
            && len == 0, "one that was sealed for another field");

    field = unit_str("api_secrets");
    unit_ok(sgtm_tenant_open(t, &field, 1, NULL, out, &len) == SGTM_ERROR,
            "without keys a sealed one stays closed");
    unit_ok(sgtm_tenant_open(t, &field, 2, &keys, out, &len) == SGTM_DECLINED,
            "one more than there are");

    field = unit_str("webhooks.stripe");
    unit_ok(sgtm_tenant_open(t, &field, 0, &keys, out, &len) == SGTM_DECLINED,
            "of another shop");
    field = unit_str("credentials.meta_token");
    unit_ok(sgtm_tenant_open(t, &field, 1, &keys, out, &len) == SGTM_DECLINED,
            "a second one of what is no list");
    field = unit_str("credentials");
    unit_ok(sgtm_tenant_open(t, &field, 0, &keys, out, &len) == SGTM_DECLINED,
            "of no field");

    free(t);

    sgtm_keys_wipe(&keys);
}


static int
secret(void *data, const sgtm_str_t *field, const sgtm_str_t *string)
{
    size_t  n;

    n = strlen(found);

    snprintf(found + n, sizeof(found) - n, "%.*s %.*s\n", (int) field->len,
             (char *) field->data, (int) string->len, (char *) string->data);

    return (data != NULL && strstr(found, data) != NULL) ? SGTM_DECLINED
                                                          : SGTM_OK;
}


static void
test_find(void)
{
    sgtm_str_t  json;

    json = unit_str(" { \"api_\\u0073ecrets\" : [ \"one\", \"t\\u0077o\" ],"
                    "\"webhooks\":{\"shopify\":[\"three\"],\"stripe\":[],"
                    "\"woo\\u0063ommerce\":[\"four\"],\"etsy\":[\"x\"]},"
                    "\"set_params\":{\"ep.meta_token\":\"x\"},"
                    "\"credentials\":{\"meta_pixel\":\"1\",\"meta_token\":"
                    "\"five\",\"ga4_api_secret_b\":\"six\",\"other\":{}},"
                    "\"id\":\"a\"} ");

    found[0] = '\0';
    unit_ok(sgtm_tenant_secrets(&json, secret, NULL) == SGTM_OK, "all");
    unit_is((unsigned char *) found, strlen(found),
            "api_secrets \"one\"\napi_secrets \"t\\u0077o\"\n"
            "webhooks.shopify \"three\"\nwebhooks.woocommerce \"four\"\n"
            "credentials.meta_token \"five\"\n"
            "credentials.ga4_api_secret_b \"six\"\n", "in order");

    found[0] = '\0';
    unit_ok(sgtm_tenant_secrets(&json, secret, (void *) "three")
            == SGTM_DECLINED && strstr(found, "four") == NULL,
            "until one of them is enough");

    json = unit_str("{}");
    found[0] = '\0';
    unit_ok(sgtm_tenant_secrets(&json, secret, NULL) == SGTM_OK
            && found[0] == '\0', "none");
}


int
main(void)
{
    test_open();
    test_find();

    free(tenant_text);

    return unit_done();
}
