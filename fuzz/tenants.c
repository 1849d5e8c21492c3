
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Records and files of tenants of any bytes; the first says in what pieces a
 * file is read.  A record that is taken makes JSON that makes the same record,
 * has nothing in it that leads out of its block, says what cJSON reads, and
 * shows no secret when they are to be hidden.  A file gives the same records
 * however it is read.
 */


#include <cjson/cJSON.h>

#include "fuzz.h"
#include "../src/hit/sgtm_json.h"
#include "../src/tenant/sgtm_tenants.h"


typedef struct {
    const uint8_t       *data;
    size_t               size;
    size_t               pos;
    size_t               step;
} fuzz_source_t;


typedef struct {
    size_t               records;
    size_t               bad;
    unsigned             end;
    uint64_t             hash;         /* of the records */
} fuzz_result_t;


static void
fuzz_report(void *data, unsigned level, const char *path, const char *text)
{
    const char  *p;

    fuzz_check(level <= SGTM_TENANT_ERROR && text != NULL && text[0]);
    fuzz_check(strlen(path) < 256);

    for (p = path; *p; p++) {
        fuzz_check(*p > ' ' && *p <= '~');
    }

    *(unsigned *) data += (level == SGTM_TENANT_ERROR);
}


static sgtm_tenant_t *
fuzz_parse(const uint8_t *data, size_t size, unsigned strict)
{
    unsigned             errors;
    sgtm_str_t           json;
    sgtm_tenant_t       *t;
    sgtm_tenant_opts_t   opts;

    memset(&opts, 0, sizeof(opts));

    errors = 0;
    opts.report = fuzz_report;
    opts.data = &errors;
    opts.strict = strict & 1;

    json = fuzz_copy(data, size);
    t = sgtm_tenant_parse(&json, &opts);
    free(json.data);

    fuzz_check((t == NULL) == (errors > 0));

    return t;
}


/* a string of the block */

static void
fuzz_inside(const sgtm_tenant_t *t, const sgtm_str_t *text)
{
    const unsigned char  *start, *end;

    start = (const unsigned char *) t;
    end = start + t->size;

    fuzz_check(text->len == 0
               || (text->data >= start + sizeof(sgtm_tenant_t)
                   && text->data < end
                   && text->len <= (size_t) (end - text->data)));
}


static void
fuzz_inside_all(const sgtm_tenant_t *t, const sgtm_strs_t *list)
{
    size_t  i;

    for (i = 0; i < list->nelts; i++) {
        fuzz_inside(t, &list->elts[i]);
        fuzz_check(list->elts[i].len > 0);
    }
}


static void
fuzz_block(const sgtm_tenant_t *t)
{
    size_t  i;

    fuzz_check(t->id.len > 0 && t->id.len <= SGTM_TENANT_ID_MAX);

    fuzz_inside(t, &t->id);
    fuzz_inside(t, &t->agency);
    fuzz_inside(t, &t->endpoint);
    fuzz_inside(t, &t->upstream);
    fuzz_inside(t, &t->script);
    fuzz_inside(t, &t->updated);

    fuzz_inside_all(t, &t->hosts);
    fuzz_inside_all(t, &t->script_ids);
    fuzz_inside_all(t, &t->cookies);
    fuzz_inside_all(t, &t->api_secrets);

    for (i = 0; i < SGTM_SHOP_N; i++) {
        fuzz_inside_all(t, &t->webhooks[i]);
    }

    fuzz_check(t->containers.nelts + t->tag_ids.nelts == t->script_ids.nelts);

    for (i = 0; i < t->origins.nelts; i++) {
        fuzz_inside(t, &t->origins.elts[i].scheme);
        fuzz_inside(t, &t->origins.elts[i].host);
    }

    for (i = 0; i < t->set_params.nelts; i++) {
        fuzz_inside(t, &t->set_params.elts[i].name);
        fuzz_inside(t, &t->set_params.elts[i].encoded);
        fuzz_inside(t, &t->set_params.elts[i].credential);
        fuzz_check((t->set_params.elts[i].credential.len == 0)
                   == (t->set_params.elts[i].encoded.len > 0));
    }

    for (i = 0; i < t->events.nelts; i++) {
        fuzz_check(sgtm_tenant_event(t, &t->events.elts[i].name)
                   == t->events.elts[i].route);
    }

    for (i = 0; i < t->credentials.nelts; i++) {
        fuzz_inside(t, &t->credentials.elts[i].value);
    }
}


static sgtm_str_t
fuzz_write(const sgtm_tenant_t *t, unsigned flags)
{
    sgtm_str_t  json;

    json.len = sgtm_tenant_write(NULL, t, flags);
    json.data = fuzz_alloc(json.len);

    fuzz_check(sgtm_tenant_write(json.data, t, flags) == json.len);

    return json;
}


static int
fuzz_secret(void *data, const sgtm_str_t *field, const sgtm_str_t *string)
{
    fuzz_check(field->len > 0);
    fuzz_check(string->len == 5 && memcmp(string->data, "\"set\"", 5) == 0);

    ++*(size_t *) data;

    return SGTM_OK;
}


/* what another reader of JSON makes of it */

static void
fuzz_cjson(const uint8_t *data, size_t size, const sgtm_tenant_t *t)
{
    cJSON        *json;
    const cJSON  *id, *hosts;

    json = cJSON_ParseWithLength((const char *) data, size);
    fuzz_check(cJSON_IsObject(json));

    id = cJSON_GetObjectItemCaseSensitive(json, "id");
    hosts = cJSON_GetObjectItemCaseSensitive(json, "hosts");

    fuzz_check(cJSON_IsString(id)
               && fuzz_equal((unsigned char *) id->valuestring,
                             strlen(id->valuestring), t->id.data, t->id.len));
    fuzz_check((size_t) cJSON_GetArraySize(hosts) == t->hosts.nelts);

    cJSON_Delete(json);
}


static void
fuzz_record(const uint8_t *data, size_t size)
{
    size_t          secrets;
    sgtm_str_t      json, again;
    sgtm_tenant_t  *t, *strict, *copy;

    t = fuzz_parse(data, size, 0);
    strict = fuzz_parse(data, size, 1);

    if (t == NULL) {
        fuzz_check(strict == NULL);
        return;
    }

    copy = sgtm_tenant_copy(fuzz_alloc(t->size), t);
    memset(t, 0xa5, t->size);
    free(t);
    free(strict);

    fuzz_block(copy);
    fuzz_cjson(data, size, copy);

    /* a pretty one as well, and what it makes is what it was made of */

    json = fuzz_write(copy, SGTM_TENANT_PRETTY);

    if (json.len <= SGTM_TENANT_MAX) {
        t = fuzz_parse(json.data, json.len, 1);
        fuzz_check(t != NULL && t->size <= copy->size);

        free(json.data);
        json = fuzz_write(copy, 0);
        again = fuzz_write(t, 0);
        fuzz_check(fuzz_equal(json.data, json.len, again.data, again.len));

        free(again.data);
        free(t);
    }

    free(json.data);

    json = fuzz_write(copy, SGTM_TENANT_HIDE);
    secrets = 0;
    fuzz_check(sgtm_json_check(&json) == SGTM_REASON_NONE);
    fuzz_check(sgtm_tenant_secrets(&json, fuzz_secret, &secrets) == SGTM_OK);
    fuzz_check(secrets >= copy->api_secrets.nelts);

    free(json.data);
    free(copy);
}


static ssize_t
fuzz_read(void *data, void *buf, size_t size)
{
    fuzz_source_t *source = data;

    size_t  n;

    n = source->size - source->pos;
    n = (n < source->step) ? n : source->step;
    n = (n < size) ? n : size;

    if (n) {
        memcpy(buf, source->data + source->pos, n);
    }

    source->pos += n;

    return (ssize_t) n;
}


static fuzz_result_t
fuzz_file(const uint8_t *data, size_t size, size_t step)
{
    size_t                i;
    unsigned              rc, errors;
    fuzz_source_t         source;
    fuzz_result_t         result;
    sgtm_tenants_t        it;
    sgtm_tenants_conf_t   conf;

    memset(&result, 0, sizeof(fuzz_result_t));
    memset(&conf, 0, sizeof(sgtm_tenants_conf_t));

    errors = 0;
    conf.opts.report = fuzz_report;
    conf.opts.data = &errors;

    source.data = data;
    source.size = size;
    source.pos = 0;
    source.step = step;

    fuzz_check(sgtm_tenants_begin(&it, fuzz_read, &source, &conf) == SGTM_OK);

    do {
        rc = sgtm_tenants_next(&it);

        if (rc == SGTM_TENANTS_RECORD) {
            result.records++;
            fuzz_check(it.tenant != NULL);
            fuzz_check(it.offset + it.json.len <= size
                       && memcmp(data + it.offset, it.json.data, it.json.len)
                          == 0);

            for (i = 0; i < it.tenant->id.len; i++) {
                result.hash = result.hash * 31 + it.tenant->id.data[i];
            }
        }

        result.bad += (rc == SGTM_TENANTS_BAD);

    } while (rc != SGTM_TENANTS_END && rc != SGTM_TENANTS_FAILED);

    fuzz_check((errors > 0) == (rc == SGTM_TENANTS_FAILED || result.bad > 0));

    result.end = rc;
    sgtm_tenants_end(&it);

    return result;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char            error[SGTM_KEYS_ERROR];
    sgtm_str_t      text;
    sgtm_keys_t     keys;
    fuzz_result_t   whole, pieces;

    if (size == 0) {
        return 0;
    }

    fuzz_record(data + 1, size - 1);

    whole = fuzz_file(data + 1, size - 1, 65536);
    pieces = fuzz_file(data + 1, size - 1, 1 + data[0] % 64);

    fuzz_check(whole.records == pieces.records && whole.bad == pieces.bad
               && whole.end == pieces.end && whole.hash == pieces.hash);

    text = fuzz_copy(data + 1, size - 1);

    if (sgtm_keys_parse(&keys, &text, error) == SGTM_OK) {
        fuzz_check(keys.nkeys > 0 && keys.nkeys <= SGTM_KEYS_MAX);
        sgtm_keys_wipe(&keys);
    }

    fuzz_check(sgtm_sealed(&text) == SGTM_DECLINED
               || memcmp(text.data, "sealed:", 7) == 0);

    free(text.data);

    return 0;
}
