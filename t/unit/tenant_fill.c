
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Credentials in hits: what the gate has set is filled, and nothing that a
 * client has written in its place or elsewhere; what is not filled keeps its
 * bytes.
 */


#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenant/sgtm_fill.h"
#include "unit.h"


static sgtm_tenant_t *tenant;
static sgtm_fill_t    fill;

static const sgtm_fill_set_t  sets[] = {
    { sgtm_string("ep.token"), sgtm_string("meta_token") },
    { sgtm_string("ep.pixel"), sgtm_string("meta_pixel") },
    { sgtm_string("ep.gone"), sgtm_string("ga4_api_secret") },
    { sgtm_string("ep.sealed"), sgtm_string("tiktok_token") }
};


/* each is a copy of exactly its size, so that a sanitizer sees what is read */

static void
query(const char *in, const char *want, const char *name)
{
    size_t          n, size;
    sgtm_str_t      text;
    unsigned char  *out;

    text.len = strlen(in);
    text.data = malloc(text.len ? text.len : 1);
    memcpy(text.data, in, text.len);

    size = sgtm_fill_query_size(&text);
    out = malloc(size ? size : 1);

    n = sgtm_fill_query(&fill, &text, out);

    unit_ok(n <= size && n == strlen(want) && memcmp(out, want, n) == 0,
            "%s: %.*s", name, (int) n, (char *) out);

    free(out);
    free(text.data);
}


static void
json(const char *in, const char *want, const char *name)
{
    size_t          n, size;
    sgtm_str_t      text;
    unsigned char  *out;

    text.len = strlen(in);
    text.data = malloc(text.len);
    memcpy(text.data, in, text.len);

    size = sgtm_fill_json_size(&text);
    out = malloc(size);

    n = sgtm_fill_json(&fill, &text, out);

    unit_ok(n <= size && n == strlen(want) && memcmp(out, want, n) == 0,
            "%s: %.*s", name, (int) n, (char *) out);

    free(out);
    free(text.data);
}


/* S, G and P stand for references */

static void
params(const char *in, const char *want)
{
    char         a[512], b[512];
    size_t       n;
    const char  *p, *ref;

    n = (size_t) snprintf(a, sizeof(a), "{\"events\":[{\"params\":{");

    for (p = in; *p; p++) {

        ref = (*p == 'S') ? "tiktok_token" : (*p == 'G') ? "ga4_api_secret"
              : (*p == 'P') ? "meta_pixel" : NULL;

        n += (size_t) (ref ? snprintf(a + n, sizeof(a) - n,
                                      "\"$sgtm_credential_%s\"", ref)
                           : snprintf(a + n, sizeof(a) - n, "%c", *p));
    }

    (void) snprintf(a + n, sizeof(a) - n, "},\"name\":\"e\"}]}");
    (void) snprintf(b, sizeof(b), "{\"events\":[{\"params\":{%s},"
                    "\"name\":\"e\"}]}", want);

    json(a, b, "dropped");
}


static void
list(const sgtm_fill_set_t *from, size_t n, const char *want)
{
    size_t           i, len;
    sgtm_str_t       text;
    sgtm_fill_set_t  back[8];

    len = sgtm_fill_list(NULL, from, n);

    text.len = len;
    text.data = malloc(len ? len : 1);

    unit_ok(sgtm_fill_list(text.data, from, n) == len && len == strlen(want)
            && memcmp(text.data, want, len) == 0, "a list: %s", want);

    unit_ok(sgtm_fill_read(back, 8, &text) == n, "read: %s", want);

    for (i = 0; i < n; i++) {
        unit_ok(sgtm_str_equal(&back[i].name, &from[i].name)
                && sgtm_str_equal(&back[i].credential, &from[i].credential),
                "item %zu", i);
    }

    if (n) {
        unit_ok(sgtm_fill_read(back, 1, &text) == 1, "no more than asked for");
    }

    free(text.data);
}


static void
reference(const char *in, int want, const char *name)
{
    int         rc;
    sgtm_str_t  value, credential;

    value.data = (unsigned char *) strdup(in);
    value.len = strlen(in);

    rc = sgtm_fill_reference(&value, &credential);

    unit_ok(rc == want && (rc != 1 || (credential.len == strlen(name)
                           && memcmp(credential.data, name, credential.len)
                              == 0)),
            "a reference: %s", in);

    free(value.data);
}


static void
same(const char *in)
{
    query(in, in, "stays");
}


static void
test_query(void)
{
    query("v=2&ep.token=%24sgtm_credential_meta_token&richsstsse",
          "v=2&ep.token=a%20b%26%3D%22%2B%25&richsstsse", "a query");
    query("ep.pixel=%24sgtm_credential_meta_pixel", "ep.pixel=123", "alone");
    query("ep.pixel=%24sgtm_credential_meta_pixel"
          "&ep.token=%24sgtm_credential_meta_token",
          "ep.pixel=123&ep.token=a%20b%26%3D%22%2B%25", "two");

    query("ep.gone=%24sgtm_credential_ga4_api_secret&b", "b",
          "one that there is not");
    query("a&ep.sealed=%24sgtm_credential_tiktok_token", "a",
          "one that does not open");
    unit_ok(fill.sealed == 1, "which is told");

    /* what a client may try stays as it is */

    same("a=1&ep.other=%24sgtm_credential_meta_token&b=2");
    same("ep.token=%24sgtm_credential_meta_pixel");
    same("ep.token=%24sgtm_credential_ga4_api_secret&b");
    same("ep%2Etoken=%24sgtm_credential_meta_token");
    same("EP.TOKEN=%24sgtm_credential_meta_token");
    same("ep.toke=%24sgtm_credential_meta_token");

    same("");
    same("&&a==b&=&c&");
    same("dl=https%3A%2F%2Fx%2F%3Fa%3D%24sgtm_credential_meta_token");
    same("ep.token=x%24sgtm_credential_meta_token");
    same("ep.token=%24sgtm_credential_meta_tokenx%20");
    same("ep.token=%24sgtm_credential_");
    same("ep.token=%24sgtm_credential");
    same("ep.token=$sgtm_credential_meta_token");
    same("ep.token=%2524sgtm_credential_meta_token");
    same("ep.token==%24sgtm_credential_meta_token");
    same("a=%24SGTM_CREDENTIAL_META_TOKEN");
}


static void
test_json(void)
{
    json("{\"events\":[{\"name\":\"a\",\"params\":"
         "{\"token\":\"$sgtm_credential_meta_token\",\"b\":1}},"
         "{\"params\" : { \"pixel\" : \"$sgtm_credential_meta_pixel\" } }]}",
         "{\"events\":[{\"name\":\"a\",\"params\":"
         "{\"token\":\"a b&=\\\"+%\",\"b\":1}},"
         "{\"params\" : { \"pixel\" : \"123\" } }]}", "JSON");

    json("{\"token\":\"$sgtm_credential_meta_token\",\"user_data\":"
         "{\"token\":\"$sgtm_credential_meta_token\"},\"events\":[{\"token\":"
         "\"$sgtm_credential_meta_token\",\"params\":{\"items\":[{\"token\":"
         "\"$sgtm_credential_meta_token\"}],\"a\":{\"token\":"
         "\"$sgtm_credential_meta_token\"}}},7,[]],\"x\":[]}",
         "{\"token\":\"$sgtm_credential_meta_token\",\"user_data\":"
         "{\"token\":\"$sgtm_credential_meta_token\"},\"events\":[{\"token\":"
         "\"$sgtm_credential_meta_token\",\"params\":{\"items\":[{\"token\":"
         "\"$sgtm_credential_meta_token\"}],\"a\":{\"token\":"
         "\"$sgtm_credential_meta_token\"}}},7,[]],\"x\":[]}",
         "elsewhere it stays");

    json("{\"events\":[{\"params\":{\"other\":"
         "\"$sgtm_credential_meta_token\",\"token\":"
         "\"$sgtm_credential_meta_pixel\",\"c\":"
         "\"\\u0024sgtm_credential_meta_token\"}}]}",
         "{\"events\":[{\"params\":{\"other\":"
         "\"$sgtm_credential_meta_token\",\"token\":"
         "\"$sgtm_credential_meta_pixel\",\"c\":"
         "\"\\u0024sgtm_credential_meta_token\"}}]}",
         "a client's own, too");

    /* those that have no value, wherever they stand */

    params("\"sealed\":S, \"b\":1", "\"b\":1");
    params(" \"b\":1 , \"sealed\":S ", " \"b\":1 ");
    params("\"a\":0,\"sealed\":S,\"b\":1", "\"a\":0,\"b\":1");
    params(" \"sealed\":S ", " ");
    params("\"sealed\":S,\"gone\":G,\"b\":1", "\"b\":1");
    params("\"gone\":G,\"sealed\":S", "");
    params("\"gone\":G,\"pixel\":P,\"sealed\":S,\"b\":1",
           "\"pixel\":\"123\",\"b\":1");
    params("\"pixel\":P,\"gone\":G", "\"pixel\":\"123\"");
}


static void
test_reference(void)
{
    reference("$sgtm_credential_meta_token", 1, "meta_token");
    reference("${sgtm_credential_meta_token_2}", 1, "meta_token_2");
    reference("$sgtm_credential_", -1, NULL);
    reference("$sgtm_credential_x", -1, NULL);
    reference("${sgtm_credential_meta_token", -1, NULL);
    reference("a$sgtm_credential_meta_token", -1, NULL);
    reference("$sgtm_credential_meta_token ", -1, NULL);
    reference("$sgtm_tenant", 0, NULL);
    reference("", 0, NULL);
}


int
main(void)
{
    sgtm_str_t          text;
    sgtm_tenant_opts_t  opts;

    static char  record[] =
        "{\"id\":\"a\",\"credentials\":{\"meta_token\":\"a b&=\\\"+%\","
        "\"meta_pixel\":\"123\",\"tiktok_token\":\"sealed:v1:k1:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}}";

    memset(&opts, 0, sizeof(opts));

    text.len = sizeof(record) - 1;
    text.data = (unsigned char *) record;

    tenant = sgtm_tenant_parse(&text, &opts);
    unit_ok(tenant != NULL, "a record");

    fill.tenant = tenant;
    fill.sets = sets;
    fill.nsets = sizeof(sets) / sizeof(sets[0]);

    test_query();
    test_json();
    test_reference();

    fill.tenant = NULL;

    query("a&ep.token=%24sgtm_credential_meta_token", "a", "a tenant of none");

    list(sets, 4, "ep.token=meta_token ep.pixel=meta_pixel "
         "ep.gone=ga4_api_secret ep.sealed=tiktok_token");
    list(sets, 1, "ep.token=meta_token");
    list(sets, 0, "");

    free(tenant);

    return unit_done();
}
