
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Credentials that are filled into queries, JSON and nothing else: the first
 * byte says which.  Without one that the gate has set every byte stays; JSON
 * stays JSON; no more is written than was told; a list is read within itself.
 */


#define _GNU_SOURCE

#include "fuzz.h"
#include "../src/hit/sgtm_json.h"
#include "../src/tenant/sgtm_fill.h"


static char  record[] =
    "{\"id\":\"a\",\"credentials\":{\"meta_token\":\"Zq &\\\"\\\\\","
    "\"meta_pixel\":\"7\",\"tiktok_token\":\"sealed:v1:k1:"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}}";

static const sgtm_fill_set_t  sets[] = {
    { sgtm_string("ep.t"), sgtm_string("meta_token") },
    { sgtm_string("ep.p"), sgtm_string("meta_pixel") },
    { sgtm_string("ep.s"), sgtm_string("tiktok_token") },
    { sgtm_string("ep.g"), sgtm_string("ga4_api_secret") }
};


static size_t
count(const sgtm_str_t *text, const char *what)
{
    size_t          n;
    unsigned char  *p, *end;

    if (text->len == 0) {
        return 0;
    }

    end = text->data + text->len;

    for (n = 0, p = text->data;
         (p = memmem(p, (size_t) (end - p), what, strlen(what))) != NULL;
         n++, p++)
    {
        /* void */
    }

    return n;
}


static void
check(sgtm_fill_t *fill, const sgtm_str_t *in, int json)
{
    size_t      size;
    sgtm_str_t  out;

    size = json ? sgtm_fill_json_size(in) : sgtm_fill_query_size(in);

    out.data = fuzz_alloc(size);
    out.len = json ? sgtm_fill_json(fill, in, out.data)
                   : sgtm_fill_query(fill, in, out.data);

    fuzz_check(out.len <= size);

    if (fill->nsets == 0
        || count(in, json ? "$sgtm_credential_" : "%24sgtm_credential_") == 0)
    {
        fuzz_check(out.len == in->len);
        fuzz_check(in->len == 0 || memcmp(out.data, in->data, in->len) == 0);
    }

    if (json) {
        fuzz_check(sgtm_json_check(&out) == SGTM_REASON_NONE);
    }

    fuzz_check(count(&out, "Zq") <= count(in, "Zq")
                                    + count(in, "sgtm_credential_meta_token"));

    free(out.data);
}


static void
check_list(const sgtm_str_t *in)
{
    size_t           i, n;
    sgtm_fill_set_t  read[4];

    n = sgtm_fill_read(read, 4, in);

    fuzz_check(n <= 4);

    for (i = 0; i < n; i++) {
        fuzz_check(read[i].name.data >= in->data);
        fuzz_check(read[i].name.data + read[i].name.len + 1
                   == read[i].credential.data);
        fuzz_check(read[i].credential.data + read[i].credential.len
                   <= in->data + in->len);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                 json;
    sgtm_str_t          in, text, credential;
    sgtm_fill_t         fill;
    sgtm_tenant_opts_t  opts;

    static sgtm_tenant_t  *tenant;

    if (size == 0) {
        return 0;
    }

    if (tenant == NULL) {
        memset(&opts, 0, sizeof(sgtm_tenant_opts_t));

        text.data = (unsigned char *) record;
        text.len = sizeof(record) - 1;

        tenant = sgtm_tenant_parse(&text, &opts);
        fuzz_check(tenant != NULL);
    }

    json = data[0] & 1;
    in = fuzz_copy(data + 1, size - 1);

    memset(&fill, 0, sizeof(sgtm_fill_t));

    if (in.len) {
        (void) sgtm_fill_reference(&in, &credential);
        check_list(&in);
    }

    if (!json || sgtm_json_check(&in) == SGTM_REASON_NONE) {
        check(&fill, &in, json);

        fill.sets = sets;
        fill.nsets = sizeof(sets) / sizeof(sets[0]);

        check(&fill, &in, json);

        fill.tenant = tenant;

        check(&fill, &in, json);
    }

    free(in.data);

    return 0;
}
