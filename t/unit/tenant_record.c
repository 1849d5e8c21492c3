
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A tenant's record: every field with values that are good and values that are
 * not, each of which is told by its path and never shown; what holds between
 * fields; what a record is in memory, also after it was moved; JSON that it
 * makes.  A record that is half right would serve one customer with the
 * settings of another.
 */


#include "unit_tenant.h"


typedef struct {
    const char     *json;              /* what follows {"id":"a" */
    const char     *error;             /* NULL: it is good */
} field_t;


static const field_t  fields[] = {

    { "", NULL },

    { ",\"hosts\":[]", NULL },
    { ",\"hosts\":[\"shop.example\",\"*.shop.example\",\"LOCALHOST\"]", NULL },
    { ",\"hosts\":\"shop.example\"", "hosts: not a list" },
    { ",\"hosts\":null", "hosts: not a list" },
    { ",\"hosts\":{}", "hosts: not a list" },
    { ",\"hosts\":[1]", "hosts[0]: not a string" },
    { ",\"hosts\":[\"a.b\",\"https://a.b\"]", "hosts[1]: not a host name" },
    { ",\"hosts\":[\"a.b:80\"]", "hosts[0]: not a host name" },
    { ",\"hosts\":[\"b\\u00fccher.example\"]", "hosts[0]: not a host name" },
    { ",\"hosts\":[\"*.example\"]", "hosts[0]: not a host name" },
    { ",\"hosts\":[\"a.b\",\"c.d\",\"A.B\"]", "hosts[2]: is there twice" },

    { ",\"agency\":\"north-1\"", NULL },
    { ",\"agency\":\"\"", "agency: not of 1 to 128 letters" },
    { ",\"agency\":\"a b\"", "agency: not of 1 to 128 letters" },
    { ",\"agency\":7", "agency: not a string" },

    { ",\"containers\":[\"GTM-ABC1234\"],\"tag_ids\":[\"G-ABC1234567\"]",
      NULL },
    { ",\"containers\":[],\"tag_ids\":[]", NULL },
    { ",\"containers\":[\"G-ABC1234567\"]", "containers[0]: not a container" },
    { ",\"tag_ids\":[\"GTM-ABC1234\"]", "tag_ids[0]: not a tag id" },
    { ",\"tag_ids\":[\"AW-123456789\",\"G-abc\"]", "tag_ids[1]: not a tag" },
    { ",\"tag_ids\":[\"G-AAAA\",\"G-AAAA\"]", "tag_ids[1]: is there twice" },
    { ",\"tag_ids\":[\"G-AAAA\"],\"containers\":7", "containers: not a list" },

    { ",\"tier\":\"professional\"", NULL },
    { ",\"tier\":\"Enterprise\"", "tier: not \"enterprise\"," },
    { ",\"tier\":true", "tier: not a string" },

    { ",\"consent_mode\":\"advanced\"", NULL },
    { ",\"consent_mode\":\"on\"", "consent_mode: not \"off\"," },

    { ",\"consent_default\":{}", NULL },
    { ",\"consent_default\":{\"ad_storage\":\"granted\","
      "\"analytics_storage\":\"denied\"}", NULL },
    { ",\"consent_default\":{\"ad_storage\":\"yes\"}",
      "consent_default.ad_storage: not \"granted\" or \"denied\"" },
    { ",\"consent_default\":{\"ad_storage\":1}",
      "consent_default.ad_storage: not a string" },
    { ",\"consent_default\":{\"ad_storage\":\"denied\","
      "\"ad_storage\":\"granted\"}",
      "consent_default.ad_storage: is there twice" },
    { ",\"consent_default\":{\"ads\":\"granted\"}",
      "consent_default.ads: is not known" },
    { ",\"consent_default\":\"granted\"", "consent_default: not an object" },

    { ",\"fallback\":\"queue\"", NULL },
    { ",\"fallback\":\"on\"", "fallback: not \"queue\"" },

    { ",\"rate\":\"1000r/m\",\"burst\":5", NULL },
    { ",\"rate\":\"off\"", NULL },
    { ",\"rate\":1000", "rate: not a string" },
    { ",\"rate\":\"1000\"", "rate: not \"off\"" },
    { ",\"rate\":\"0r/s\"", "rate: not \"off\"" },
    { ",\"burst\":5", "burst: without a rate" },
    { ",\"rate\":\"off\",\"burst\":5", "burst: without a rate" },
    { ",\"rate\":\"1r/s\",\"burst\":0", "burst: not a whole number" },
    { ",\"rate\":\"1r/s\",\"burst\":100000001", "burst: not a whole number" },
    { ",\"rate\":\"1r/s\",\"burst\":\"5\"", "burst: not a whole number" },

    { ",\"quota\":1", NULL },
    { ",\"quota\":1000000000000000,\"quota_action\":\"stop\"", NULL },
    { ",\"quota\":5,\"quota_action\":\"sample\",\"quota_sample\":99", NULL },
    { ",\"quota\":0", "quota: not a whole number" },
    { ",\"quota\":-1", "quota: not a whole number" },
    { ",\"quota\":1.5", "quota: not a whole number" },
    { ",\"quota\":1e3", "quota: not a whole number" },
    { ",\"quota\":1000000000000001", "quota: not a whole number" },
    { ",\"quota\":99999999999999999999", "quota: not a whole number" },
    { ",\"quota\":null", "quota: not a whole number" },
    { ",\"quota_action\":\"stop\"", "quota_action: without a quota" },
    { ",\"quota\":5,\"quota_action\":\"drop\"", "quota_action: not \"con" },
    { ",\"quota\":5,\"quota_action\":\"sample\"", "quota_sample: is missing" },
    { ",\"quota\":5,\"quota_sample\":5", "quota_sample: without \"quota_act" },
    { ",\"quota\":5,\"quota_action\":\"stop\",\"quota_sample\":5",
      "quota_sample: without \"quota_act" },
    { ",\"quota\":5,\"quota_action\":\"sample\",\"quota_sample\":100",
      "quota_sample: not a whole number from 1 to 99" },
    { ",\"quota\":5,\"quota_action\":\"sample\",\"quota_sample\":0",
      "quota_sample: not a whole number from 1 to 99" },

    { ",\"residency\":\"eu\"", NULL },
    { ",\"residency\":\"de\"", "residency: not \"any\"" },

    { ",\"endpoint\":\"sgtm.example.com:443\",\"upstream\":\"tag_eu\"", NULL },
    { ",\"endpoint\":\"https://a.example\"", "endpoint: not a host name" },
    { ",\"endpoint\":\"\"", "endpoint: not a host name" },
    { ",\"upstream\":\"a/b\"", "upstream: not an upstream" },

    { ",\"origins\":[]", NULL },
    { ",\"origins\":[\"HTTPS://A.example\",\"*.b.example:8443\"]", NULL },
    { ",\"origins\":[\"null\"]", "origins[0]: not an origin" },
    { ",\"origins\":[\"a.example\",\"https://a.example/\"]",
      "origins[1]: not an origin" },
    { ",\"origins\":[[]]", "origins[0]: not a string" },

    { ",\"set_params\":{}", NULL },
    { ",\"set_params\":{\"ep.shop\":\"10 $, \\u00fc\",\"uid\":\"7\"}", NULL },
    { ",\"set_params\":{\"ep.shop\":\"\"}", "set_params.ep.shop: not of 1 to" },
    { ",\"set_params\":{\"ep.shop\":\"a\\nb\"}", "set_params.ep.shop: not of" },
    { ",\"set_params\":{\"ep.shop\":\"\\u009b2J\"}",
      "set_params.ep.shop: not of" },
    { ",\"set_params\":{\"ep.shop\":7}", "set_params.ep.shop: not a string" },
    { ",\"set_params\":{\"ep shop\":\"7\"}", "set_params.*: not a parameter" },
    { ",\"set_params\":{\"\":\"7\"}", "set_params.*: not a parameter" },
    { ",\"set_params\":{\"a\":\"1\",\"a\":\"2\"}",
      "set_params.a: is there twice" },
    { ",\"set_params\":{\"tid\":\"G-OTHER123\"}",
      "set_params.tid: a parameter that a record may not set" },
    { ",\"set_params\":{\"gcs\":\"G111\"}", "set_params.gcs: a parameter" },
    { ",\"set_params\":{\"a\":\"$remote_addr\"}", "set_params.a: has a var" },
    { ",\"set_params\":{\"a\":\"x${host}\"}", "set_params.a: has a variable" },
    { ",\"set_params\":{\"a\":\"x$sgtm_credential_meta_pixel\"}",
      "set_params.a: has a variable" },
    { ",\"set_params\":{\"ep.a\":\"$sgtm_credential_meta_pixel\"},"
      "\"credentials\":{\"meta_pixel\":\"123\"}", NULL },
    { ",\"set_params\":{\"a\":\"$sgtm_credential_meta_pixel\"},"
      "\"credentials\":{\"meta_pixel\":\"123\"}",
      "set_params.a: not \"ep.\" and a name" },
    { ",\"set_params\":{\"a\":\"$sgtm_credential_meta_token\"},"
      "\"credentials\":{\"meta_pixel\":\"123\"}",
      "set_params.a: no such credential" },
    { ",\"set_params\":{\"a\":\"$sgtm_credential_\"}",
      "set_params.a: has a variable" },

    { ",\"cookies\":[\"_partner*\",\"consent_v2\"]", NULL },
    { ",\"cookies\":[\"*\"]", "cookies[0]: not a cookie" },
    { ",\"cookies\":[\"a=b\"]", "cookies[0]: not a cookie" },

    { ",\"script\":\"s/a.js\"", NULL },
    { ",\"script\":\"gtm.js\"", "script: not a path" },
    { ",\"script\":\"/t.js\"", "script: not a path" },

    { ",\"tagging\":\"light\"", NULL },
    { ",\"tagging\":\"none\"", "tagging: not \"gtm\"" },

    { ",\"webhooks\":{\"stripe\":[\"" SEALED "\"],\"shopify\":[]}", NULL },
    { ",\"webhooks\":{\"stripe\":\"" SEALED "\"}", "webhooks.stripe: not a l" },
    { ",\"webhooks\":{\"stripe\":[\"\"]}", "webhooks.stripe[0]: not a secret" },
    { ",\"webhooks\":{\"stripe\":[],\"stripe\":[]}",
      "webhooks.stripe: is there twice" },
    { ",\"webhooks\":{\"etsy\":[]}", "webhooks.etsy: is not known" },
    { ",\"webhooks\":[]", "webhooks: not an object" },

    { ",\"api_secrets\":[\"" SEALED "\"]", NULL },
    { ",\"api_secrets\":[\"sealed:v9:" SEALED "\"]",
      "api_secrets[0]: not a sealed secret" },
    { ",\"api_secrets\":[\" s3cret\"]", "api_secrets[0]: not a secret" },
    { ",\"api_secrets\":[\"s3c\\tret\"]", "api_secrets[0]: not a secret" },
    { ",\"api_secrets\":[true]", "api_secrets[0]: not a string" },
    { ",\"api_secrets\":[1,2,3,4,5,6,7,8,9]", "api_secrets: has too many" },

    { ",\"credentials\":{\"ga4_api_secret\":\"" SEALED "\","
      "\"google_ads_id\":\"AW-123456789\",\"google_ads_label\":\"a-B_9\","
      "\"google_ads_label_signup\":\"b\",\"meta_pixel\":\"1234567890\","
      "\"meta_token\":\"" SEALED "\",\"tiktok_pixel\":\"C4ABC\","
      "\"tiktok_token\":\"" SEALED "\"}", NULL },
    { ",\"credentials\":{\"google_ads_id\":\"G-ABC1234567\"}",
      "credentials.google_ads_id: not an id as" },
    { ",\"credentials\":{\"google_ads_label\":\"a/b\"}",
      "credentials.google_ads_label: not a label" },
    { ",\"credentials\":{\"meta_pixel\":\"12a\"}",
      "credentials.meta_pixel: not of 1 to 32 digits" },
    { ",\"credentials\":{\"meta_pixel\":123}",
      "credentials.meta_pixel: not a string" },
    { ",\"credentials\":{\"meta_token\":\"sealed:x\"}",
      "credentials.meta_token: not a sealed secret" },
    { ",\"credentials\":{\"tiktok_pixel\":\"\"}",
      "credentials.tiktok_pixel: not of 1 to 64" },
    { ",\"credentials\":{\"meta_tokens\":\"x\"}",
      "credentials.meta_tokens: is not known" },
    { ",\"credentials\":{\"meta_token_A\":\"x\"}",
      "credentials.meta_token_A: is not known" },
    { ",\"credentials\":{\"meta_token_\":\"x\"}",
      "credentials.meta_token_: is not known" },
    { ",\"credentials\":{\"meta_pixel\":\"1\",\"meta_pixel\":\"2\"}",
      "credentials.meta_pixel: is there twice" },

    { ",\"events\":{\"purchase\":\"server\",\"scroll\":\"off\"}", NULL },
    { ",\"events\":{\"purchase\":\"on\"}", "events.purchase: not \"server\"" },
    { ",\"events\":{\"purchase\":false}", "events.purchase: not a string" },
    { ",\"events\":{\"my event\":\"off\"}", "events.*: not an event" },
    { ",\"events\":{\"1st\":\"off\"}", "events.1st: not an event" },
    { ",\"events\":{\"a\":\"off\",\"a\":\"off\"}", "events.a: is there twi" },

    { ",\"features\":{\"dedup\":true,\"inject\":false}", NULL },
    { ",\"features\":{\"dedup\":\"on\"}", "features.dedup: not true or false" },
    { ",\"features\":{\"dedup\":true,\"dedup\":true}",
      "features.dedup: is there twice" },
    { ",\"features\":{\"teleport\":true}", "features.teleport: is not known" },

    { ",\"version\":0", NULL },
    { ",\"version\":9223372036854775807", NULL },
    { ",\"version\":9223372036854775808", "version: not a whole number" },
    { ",\"version\":-1", "version: not a whole number" },
    { ",\"version\":\"1\"", "version: not a whole number" },

    { ",\"updated\":\"2026-11-20T11:00:00.5+01:00\"", NULL },
    { ",\"updated\":\"2026-11-20\"", "updated: not a time of RFC 3339" },
    { ",\"updated\":1795168800", "updated: not a string" },

    { ",\"host\":[\"a.example\"]", "host: is not known" },
    { ",\"ID\":\"a\"", "ID: is not known" },
    { ",\"\":1", "*: is not known" },
    { ",\"EAAB secret\":1", "*: is not known" },
    { ",\"id\":\"b\"", "id: is there twice" },
    { ",\"tier\":\"starter\",\"ti\\u0065r\":\"starter\"",
      "tier: is there twice" }
};


static const field_t  wholes[] = {
    { "{\"id\":\"a\"}", NULL },
    { " \n{ \"id\" : \"\\u0061\" } ", NULL },
    { "", ": not JSON" },
    { "{", ": not JSON" },
    { "{\"id\":\"a\"", ": not JSON" },
    { "{\"id\":\"a\"}}", ": not JSON" },
    { "{\"id\":\"a\",}", ": not JSON" },
    { "{'id':'a'}", ": not JSON" },
    { "{\"id\":\"a\" /* */}", ": not JSON" },
    { "\xef\xbb\xbf{\"id\":\"a\"}", ": not JSON" },
    { "{\"id\":\"a\\u0000b\"}", ": not JSON: a control character" },
    { "{\"id\":\"a\nb\"}", ": not JSON: a control character" },
    { "{\"id\":\"a\xff\"}", ": not UTF-8" },
    { "{\"id\":\"a\",\"x\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}",
      ": nested too deep" },
    { "[]", ": not an object" },
    { "7", ": not an object" }, { "\"a\"", ": not an object" },
    { "{}", "id: is missing" },
    { "{\"id\":\"\"}", "id: not of 1 to 128" },
    { "{\"id\":\"_other\"}", "id: not of 1 to 128" },
    { "{\"id\":\"../a\"}", "id: not of 1 to 128" },
    { "{\"id\":7}", "id: not a string" },
    { "{\"id\":null}", "id: not a string" }
};


static const char  full[] =
    "{\"id\":\"shop-42\",\"hosts\":[\"shop.example\",\"*.shop.example\"],"
    "\"agency\":\"north\",\"containers\":[\"GTM-ABC1234\",\"GTM-DEF1234\"],"
    "\"tag_ids\":[\"G-ABC1234567\",\"AW-123456789\"],\"tier\":\"starter\","
    "\"consent_mode\":\"advanced\",\"consent_default\":{"
    "\"ad_storage\":\"denied\",\"analytics_storage\":\"granted\","
    "\"ad_user_data\":\"denied\",\"ad_personalization\":\"denied\"},"
    "\"fallback\":\"client\",\"rate\":\"1000r/m\",\"burst\":50,"
    "\"quota\":5000000,\"quota_action\":\"sample\",\"quota_sample\":10,"
    "\"residency\":\"eu\",\"endpoint\":\"sgtm.example.com:8443\","
    "\"upstream\":\"tagging_eu\",\"origins\":[\"https://www.shop.example\","
    "\"*.shop.example\",\"http://*.b.example:81\"],\"credentials\":{"
    "\"meta_pixel\":\"123456\",\"meta_token\":\"" SEALED "\"},"
    "\"set_params\":{\"ep.shop\":\"a b\",\"ep.plain\":\"42\","
    "\"ep.token\":\"$sgtm_credential_meta_token\"},"
    "\"cookies\":[\"_partner*\"],\"script\":\"s/a.js\",\"tagging\":\"gtag\","
    "\"webhooks\":{\"shopify\":[\"" SEALED "\"],\"woocommerce\":["
    "\"" SEALED "\"]},\"api_secrets\":[\"" SEALED "\",\"" SEALED "\"],"
    "\"events\":{\"scroll\":\"off\",\"purchase\":\"server\","
    "\"page_view\":\"both\"},\"features\":{\"dedup\":true,\"inject\":false},"
    "\"version\":9007199254740993,\"updated\":\"2026-11-20T11:00:00+01:00\"}";


static void
test_fields(void)
{
    char            json[2048];
    size_t          i;
    sgtm_tenant_t  *t;

    for (i = 0; i < unit_nelts(fields); i++) {
        snprintf(json, sizeof(json), "{\"id\":\"a\"%s}", fields[i].json);
        tenant_is(json, fields[i].error, fields[i].json);
    }

    for (i = 0; i < unit_nelts(wholes); i++) {
        tenant_is(wholes[i].json, wholes[i].error, wholes[i].json);
    }

    /* the same names are warnings where it is not strict */

    for (i = 0; i < unit_nelts(fields); i++) {

        if (fields[i].error == NULL
            || strstr(fields[i].error, "is not known") == NULL)
        {
            continue;
        }

        snprintf(json, sizeof(json), "{\"id\":\"a\"%s}", fields[i].json);
        t = tenant_parse(json, 0);

        unit_ok(t != NULL && strncmp(tenant_said, "warning ", 8) == 0
                && strncmp(tenant_said + 8, fields[i].error,
                           strlen(fields[i].error))
                   == 0,
                "not strict, a warning: %s", fields[i].error);
        free(t);
    }
}


static int
str_is(const sgtm_str_t *text, const char *want)
{
    return text->len == strlen(want)
           && memcmp(text->data, want, text->len) == 0;
}


/* whether a record has what "full" says */

static void
check_full(const sgtm_tenant_t *t)
{
    size_t                    i;
    sgtm_str_t                name;
    const sgtm_tenant_set_t  *set;

    static const struct {
        const char  *name;
        unsigned     route;
    } events[] = {
        { "purchase", SGTM_EVENT_SERVER }, { "scroll", SGTM_EVENT_OFF },
        { "page_view", SGTM_EVENT_BOTH }, { "page_vie", SGTM_EVENT_N }
    };

    unit_ok(t->named == ((uint64_t) 1 << SGTM_TENANT_FIELD_N) - 1,
            "all fields are named");
    unit_ok(str_is(&t->id, "shop-42") && str_is(&t->agency, "north"), "id");
    unit_ok(t->hosts.nelts == 2 && str_is(&t->hosts.elts[1], "*.shop.example"),
            "hosts");
    unit_ok(t->containers.nelts == 2 && t->tag_ids.nelts == 2
            && t->script_ids.nelts == 4
            && t->containers.elts == t->script_ids.elts
            && t->tag_ids.elts == t->script_ids.elts + 2
            && str_is(&t->containers.elts[1], "GTM-DEF1234")
            && str_is(&t->tag_ids.elts[0], "G-ABC1234567"), "ids");
    unit_ok(t->tier == SGTM_TIER_STARTER
            && t->consent_mode == SGTM_CONSENT_ADVANCED
            && t->fallback == SGTM_FALLBACK_CLIENT
            && t->residency == SGTM_RESIDENCY_EU
            && t->tagging == SGTM_TAGGING_GTAG
            && t->quota_action == SGTM_QUOTA_SAMPLE && t->quota_sample == 10,
            "words");
    unit_ok(t->consent_default.state[SGTM_ANALYTICS_STORAGE] == SGTM_GRANTED
            && t->consent_default.state[SGTM_AD_STORAGE] == SGTM_DENIED,
            "consent");
    unit_ok(t->rate.hits == 1000 && t->rate.seconds == 60
            && t->rate.burst == 50 && t->quota == 5000000, "limits");
    unit_ok(str_is(&t->endpoint, "sgtm.example.com:8443")
            && str_is(&t->upstream, "tagging_eu"), "addresses");
    unit_ok(t->origins.nelts == 3
            && str_is(&t->origins.elts[0].scheme, "https")
            && str_is(&t->origins.elts[1].host, ".shop.example")
            && t->origins.elts[1].wildcard
            && str_is(&t->origins.elts[2].scheme, "http"), "origins");

    set = t->set_params.elts;
    unit_ok(t->set_params.nelts == 3 && str_is(&set[0].name, "ep.shop")
            && str_is(&set[0].encoded, "a%20b")
            && str_is(&set[1].encoded, "42")
            && str_is(&set[2].credential, "meta_token")
            && set[2].encoded.len == 0, "parameters");

    unit_ok(t->cookies.nelts == 1 && str_is(&t->script, "s/a.js"), "cookies");
    unit_ok(t->webhooks[SGTM_SHOP_STRIPE].nelts == 0
            && t->webhooks[SGTM_SHOP_SHOPIFY].nelts == 1
            && t->api_secrets.nelts == 2, "secrets");

    for (i = 0; i < unit_nelts(events); i++) {
        name = unit_str(events[i].name);
        unit_ok(sgtm_tenant_event(t, &name) == events[i].route, "the event %s",
                events[i].name);
    }

    unit_ok(sgtm_tenant_feature(t, SGTM_FEATURE_DEDUP, 0)
            && !sgtm_tenant_feature(t, SGTM_FEATURE_INJECT, 1)
            && sgtm_tenant_feature(t, SGTM_FEATURE_GEO, 1)
            && !sgtm_tenant_feature(t, SGTM_FEATURE_GEO, 0), "features");
    unit_ok(t->version == 9007199254740993 && t->updated_time == 1795168800,
            "a version that no double holds");
}


static void
test_memory(void)
{
    void           *place;
    sgtm_tenant_t  *t, *moved;

    t = tenant_parse(full, 1);

    if (!unit_ok(t != NULL, "a record with everything: %s", tenant_said)) {
        return;
    }

    check_full(t);

    /* its bytes are gone while the copy is looked at */

    place = malloc(sgtm_tenant_size(t));
    moved = sgtm_tenant_copy(place, t);
    memset(t, 0xa5, sgtm_tenant_size(t));
    free(t);

    printf("# a copy\n");
    check_full(moved);
    tenant_written(moved, 0, full, "a copy makes the same JSON");

    t = malloc(sgtm_tenant_size(moved));
    memcpy(t, moved, sgtm_tenant_size(moved));
    memset(moved, 0xa5, t->size);
    free(moved);
    sgtm_tenant_move(t, place);

    printf("# moved afterwards\n");
    check_full(t);
    free(t);

    t = tenant_parse("{\"id\":\"a\"}", 1);
    unit_ok(t != NULL && sgtm_tenant_size(t) <= 640
            && t->size % sizeof(uint64_t) == 0,
            "the smallest takes %zu bytes", t ? t->size : 0);
    unit_ok(t != NULL && !sgtm_tenant_has(t, SGTM_TENANT_HOSTS)
            && t->hosts.nelts == 0 && t->hosts.elts == NULL,
            "what is not named is not there");

    moved = malloc(t->size);
    unit_ok(sgtm_tenant_copy(moved, t)->hosts.elts == NULL
            && moved->agency.data == NULL, "nor in a copy");
    free(moved);
    free(t);
}


static void
test_json(void)
{
    sgtm_tenant_t  *t;

    t = tenant_parse("{\"updated\":\"2026-11-20T10:00:00Z\",\"id\":\"a\","
                     "\"hosts\":[\"A.Example\"],\"rate\":\"5r/s\","
                     "\"origins\":[\"HTTPS://*.B.example\"],"
                     "\"consent_default\":{},\"features\":{},"
                     "\"set_params\":{\"ep.x\":\"\\u00fc\\\"\\\\\"},"
                     "\"credentials\":{\"meta_token\":\"EAAB\"},"
                     "\"api_secrets\":[\"plain\"],\"webhooks\":{"
                     "\"stripe\":[\"whsec\"]}}", 1);

    tenant_written(t, 0,
                   "{\"id\":\"a\",\"hosts\":[\"a.example\"],"
                   "\"consent_default\":{\"ad_storage\":\"denied\","
                   "\"analytics_storage\":\"denied\","
                   "\"ad_user_data\":\"denied\","
                   "\"ad_personalization\":\"denied\"},\"rate\":\"5r/s\","
                   "\"origins\":[\"https://*.b.example\"],"
                   "\"credentials\":{\"meta_token\":\"EAAB\"},"
                   "\"set_params\":{\"ep.x\":\"\xc3\xbc\\\"\\\\\"},"
                   "\"webhooks\":{\"stripe\":[\"whsec\"]},"
                   "\"api_secrets\":[\"plain\"],\"features\":{},"
                   "\"updated\":\"2026-11-20T10:00:00Z\"}",
                   "in order, in small letters");
    unit_is((unsigned char *) tenant_said, strlen(tenant_said),
            "warning credentials.meta_token: is not sealed\n"
            "warning webhooks.stripe[0]: is not sealed\n"
            "warning api_secrets[0]: is not sealed\n",
            "each plain secret is told");
    free(t);

    t = tenant_parse("{\"id\":\"a\",\"credentials\":{\"meta_token\":\"EAAB\","
                     "\"meta_pixel\":\"123\"},\"api_secrets\":[\"" SEALED
                     "\"],\"webhooks\":{\"stripe\":[\"whsec\"]}}", 1);
    tenant_written(t, SGTM_TENANT_HIDE,
                   "{\"id\":\"a\",\"credentials\":{\"meta_token\":\"set\","
                   "\"meta_pixel\":\"123\"},\"webhooks\":{\"stripe\":"
                   "[\"set\"]},\"api_secrets\":[\"set\"]}",
                   "secrets are hidden");
    tenant_written(t, SGTM_TENANT_HIDE | SGTM_TENANT_PRETTY,
                   "{\n  \"id\": \"a\",\n  \"credentials\": {\"meta_token\": "
                   "\"set\", \"meta_pixel\": \"123\"},\n  \"webhooks\": "
                   "{\"stripe\": [\"set\"]},\n  \"api_secrets\": [\"set\"]\n"
                   "}\n", "for people");
    free(t);
}


static void
test_limits(void)
{
    char            item[64];
    size_t          i;
    sgtm_tenant_t  *t;

    tenant_text_begin("{\"id\":\"a\",\"hosts\":[\"h0.example\"");

    for (i = 1; i < SGTM_TENANT_ITEMS; i++) {
        snprintf(item, sizeof(item), ",\"h%zu.example\"", i);
        tenant_text_add(item);
    }

    tenant_text_add("]}");
    t = tenant_parse(tenant_text, 1);
    unit_ok(t != NULL && t->hosts.nelts == 256, "256 hosts");
    free(t);

    tenant_text[strlen(tenant_text) - 2] = '\0';
    tenant_text_add(",\"more.example\"]}");
    tenant_is(tenant_text, "hosts: has too many elements", "257 hosts");

    tenant_text_begin("{\"id\":\"a\",\"set_params\":{\"p\":\"x\"");

    for (i = 0; i < SGTM_TENANT_SETS; i++) {
        snprintf(item, sizeof(item), ",\"p%zu\":\"x\"", i);
        tenant_text_add(item);
    }

    tenant_text_add("}}");
    tenant_is(tenant_text, "set_params: has too many", "255 parameters");

    /* up to the last byte, with as much to be encoded as there can be */

    tenant_text_begin("{\"id\":\"a\",\"set_params\":{\"p\":\"x\"");

    for (i = 0; strlen(tenant_text) < 60000; i++) {
        snprintf(item, sizeof(item), ",\"p%zu\":\"", i);
        tenant_text_add(item);
        tenant_text_fill('%', 1024);
        tenant_text_add("\"");
    }

    tenant_text_add("}");
    tenant_text_fill(' ', SGTM_TENANT_MAX - strlen(tenant_text) - 1);
    tenant_text_add("}");
    t = tenant_parse(tenant_text, 1);
    unit_ok(t != NULL && t->set_params.elts[i].encoded.len == 3072
            && strlen(tenant_text) == SGTM_TENANT_MAX,
            "a record of 65536 bytes takes %zu", t ? t->size : 0);
    free(t);

    tenant_text_add(" ");
    tenant_is(tenant_text, ": over 65536 bytes", "one of 65537");
}


/* every list at once, all elements of the shortest kind; names */

static void
test_errors(void)
{
    char            item[64];
    size_t          i, k;
    sgtm_tenant_t  *t;

    tenant_text_begin("{\"id\":\"a\"");

    for (i = 0; i < SGTM_TENANT_FIELD_N; i++) {

        if (i == SGTM_TENANT_ID) {
            continue;
        }

        snprintf(item, sizeof(item), ",\"%s\":[",
                 (char *) sgtm_tenant_field((unsigned) i)->data);
        tenant_text_add(item);

        for (k = 0; k < SGTM_TENANT_ITEMS; k++) {
            tenant_text_add(k ? ",1" : "1");
        }

        tenant_text_add("]");
    }

    tenant_text_add("}");
    t = tenant_parse(tenant_text, 1);
    unit_ok(t == NULL && tenant_reports == 32
            && strstr(tenant_said, "there are more errors") != NULL
            && strstr(tenant_said, "too large") == NULL,
            "of many errors so many are told: %u", tenant_reports);

    /* long and strange names are not repeated */

    tenant_text_begin("{\"id\":\"a\",\"x");
    tenant_text_fill('x', 48);
    tenant_text_add("\":1,\"");
    tenant_text_fill('y', 48);
    tenant_text_add("\":1}");
    free(tenant_parse(tenant_text, 0));
    unit_ok(strncmp(tenant_said, "warning *: is not known\nwarning yyyy", 34)
            == 0, "a name of 48 bytes is shown, a longer one is not");
}


/* addresses that the operator knows */

static void
test_addresses(void)
{
    unsigned        which;
    sgtm_str_t      list[2];
    sgtm_tenant_t  *t;

    t = tenant_parse("{\"id\":\"a\",\"endpoint\":\"SGTM.example\","
                     "\"upstream\":\"tag_eu\"}", 1);
    list[0] = unit_str("tag_eu");
    list[1] = unit_str("sgtm.example");
    which = 0;
    unit_ok(sgtm_tenant_endpoint_allowed(t, list, 2, NULL), "both are listed");
    unit_ok(!sgtm_tenant_endpoint_allowed(t, list, 1, &which)
            && which == SGTM_TENANT_ENDPOINT, "the endpoint is not");
    unit_ok(!sgtm_tenant_endpoint_allowed(t, list + 1, 1, &which)
            && which == SGTM_TENANT_UPSTREAM, "the upstream is not");
    unit_ok(!sgtm_tenant_endpoint_allowed(t, NULL, 0, NULL),
            "there is no list");
    free(t);

    t = tenant_parse("{\"id\":\"a\"}", 1);
    unit_ok(sgtm_tenant_endpoint_allowed(t, NULL, 0, NULL),
            "a record that names none wants no list");
    free(t);
}


int
main(void)
{
    test_fields();
    test_memory();
    test_json();
    test_limits();
    test_errors();
    test_addresses();

    free(tenant_text);

    return unit_done();
}
