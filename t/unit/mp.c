
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Bodies of the Measurement Protocol: what is read of one, and what the rules
 * make of it, to the byte.  A comma too many, a member that another spelling of
 * its name hides, or a value printed anew instead of copied would reach the
 * tagging server.
 */


#include "unit.h"
#include "sgtm_json.h"
#include "sgtm_mp.h"


/* an example of FIPS 180-4: "abc" */
#define ABC  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

#define ADS        SGTM_DENY_AD_STORAGE
#define ANALYTICS  SGTM_DENY_ANALYTICS_STORAGE
#define USER_DATA  SGTM_DENY_AD_USER_DATA
#define ANY        SGTM_DENY_ANY


/* around the members of params, and of the body */

#define BODY(more, params)                                                    \
    "{\"client_id\":\"1.2\"" more ",\"events\":[{\"name\":\"a\","             \
    "\"params\":{" params "}}]}"


static const struct {
    unsigned        deny;
    const char     *in;
    const char     *out;           /* NULL: the same */
} bodies[] = {
    { ADS, BODY("", "\"a\":1"), NULL },
    { ADS, BODY("", ""), NULL },
    { ADS, BODY("", " "), NULL },
    { ADS, BODY("", "\"gclid\":1"), BODY("", "") },
    { ADS, BODY("", "\"gclid\":1,\"a\":1"), BODY("", "\"a\":1") },
    { ADS, BODY("", "\"a\":1,\"gclid\":1"), BODY("", "\"a\":1") },
    { ADS, BODY("", "\"a\":1 , \"gclid\":1 , \"b\":2"),
      BODY("", "\"a\":1 , \"b\":2") },
    { ADS, BODY("", "\"gclid\":1,\"gclid\":2,\"a\":1"), BODY("", "\"a\":1") },
    { ADS, BODY("", "\"gcl\\u0069d\":1,\"a\":1"), BODY("", "\"a\":1") },
    { ADS, BODY("", "\"gclid\":{\"a\":[1,\"}\"]},\"a\":1"),
      BODY("", "\"a\":1") },
    { ADS, BODY("", "\"a\":[{\"gclid\":1},{\"gclid\":1,\"b\":2}]"),
      BODY("", "\"a\":[{},{\"b\":2}]") },
    { ADS, BODY("", "\"a\":{\"b\":{\"gclid\":1}},\"c\":1"),
      BODY("", "\"c\":1") },
    { ADS, BODY(",\"gclid\":[]", "\"a\":1"), BODY("", "\"a\":1") },
    { ADS, BODY("", "\"u\":\"?gclid=1&a=2\""), BODY("", "\"u\":\"?a=2\"") },
    { ADS, BODY("", "\"u\":\"?a=2\\u0026gclid=1\""),
      BODY("", "\"u\":\"?a=2\"") },
    { ADS, BODY("", "\"u\":\"\\u003fgclid=1#\\n\""),
      BODY("", "\"u\":\"#\\n\"") },
    { ADS, BODY("", "\"u\":\"?a=2\\u0026b\""), NULL },
    { ADS, BODY("", "\"?gclid=1\":1"), BODY("", "\"\":1") },
    { ADS, BODY("", "\"gclid?gclid=1\":1"), BODY("", "") },
    { ADS, BODY(",\"user_properties\":{\"u\":{\"value\":\"?gclid=1\"}}", ""),
      BODY(",\"user_properties\":{\"u\":{\"value\":\"\"}}", "") },
    { ANALYTICS, BODY(",\"user_id\":\"u\"", "\"ga_session_number\":1"),
      BODY("", "") },
    { ANY, BODY(",\"ip_override\":\"192.0.2.1\"", "\"ip_override\":\"a\""),
      BODY("", "") },
    { ANY, BODY(",\"user_location\":{\"city\":\"a\",\"region_id\":\"b\"}", ""),
      BODY(",\"user_location\":{\"region_id\":\"b\"}", "") },
    { ANY, BODY(",\"user_location\":{\"city\":\"a\"}", ""), BODY("", "") },
    { ANY, BODY("", "\"city\":\"a\""), NULL },
    { ANALYTICS, BODY(",\"userId\":\"u\",\"user\\u0049d\":\"u\"", "\"a\":1"),
      BODY("", "\"a\":1") },
    { ANALYTICS, BODY("", "\"userId\":\"u\",\"a\":{\"userId\":1}"), NULL },
    { ANALYTICS, BODY(",\"UserId\":1,\"user_Id\":2,\"userID\":3", ""), NULL },
    { ANY, BODY(",\"ipOverride\":\"192.0.2.1\",\"userLocation\":{\"city\":"
                "\"a\",\"regionId\":\"b\"}", ""),
      BODY(",\"userLocation\":{\"regionId\":\"b\"}", "") },
    { USER_DATA,
      BODY(",\"consent\":{\"adUserData\":\"GRANTED\"},\"userData\":{"
           "\"emailAddress\":1}", ""),
      BODY(",\"consent\":{\"ad_user_data\":\"DENIED\"}", "") },
    { USER_DATA, BODY(",\"consent\":{\"adUserData\":\"DENIED\"}", ""), NULL },
    { USER_DATA,
      BODY(",\"consent\":{\"ad_user_data\":\"DENIED\"},\"user_data\":{"
           "\"a\":1}", "\"user_data\":{\"b\":{\"c\":[1]}}"),
      BODY(",\"consent\":{\"ad_user_data\":\"DENIED\"}", "") },
    { USER_DATA,
      BODY(",\"consent\":{\"ad_user_data\":\"GRANTED\",\"a\":1}", ""),
      BODY(",\"consent\":{\"a\":1,\"ad_user_data\":\"DENIED\"}", "") }
};


static sgtm_names_t  names;


static int
parse(sgtm_mp_t *mp, const sgtm_str_t *in)
{
    return sgtm_mp_parse(mp, in, unit_alloc(in->len), 0, NULL, NULL);
}


static void
test_bodies(void)
{
    size_t           i;
    sgtm_mp_t        mp;
    sgtm_str_t       in, out;
    sgtm_rewrite_t   rules;

    memset(&rules, 0, sizeof(sgtm_rewrite_t));
    rules.names = &names;

    for (i = 0; i < unit_nelts(bodies); i++) {
        in = unit_str(bodies[i].in);
        rules.deny = bodies[i].deny;

        unit_ok(parse(&mp, &in) == SGTM_OK, "%s", bodies[i].in);

        sgtm_mp_rewrite(&rules, 0, &in,
                        unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);
        unit_is(out.data, out.len,
                bodies[i].out ? bodies[i].out : bodies[i].in, "  redacted");

        rules.deny = 0;

        sgtm_mp_rewrite(&rules, 0, &in,
                        unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);
        unit_is(out.data, out.len, bodies[i].in, "  nothing denied");
    }
}


static void
test_read(void)
{
    sgtm_mp_t   mp;
    sgtm_str_t  in;

    in = unit_str("{\"client_id\":\"1.\\u0032\",\"consent\":{\"ad_user_data\":"
                  "\"GRANTED\",\"ad_personalization\":\"DENIED\"},\"events\":"
                  "[{\"name\":\"purchase\",\"params\":{\"event_id\":\"e\\/1\","
                  "\"transaction_id\":12345678901234567890}},{\"name\":"
                  "\"refund\",\"params\":{\"event_id\":7,\"transaction_id\":"
                  "\"t\",\"event_id\":8}}, {\"name\":\"x\"} ]}");

    unit_ok(parse(&mp, &in) == SGTM_OK && mp.nevents == 3, "three events");
    unit_is(mp.client.data, mp.client.len, "1.2", "the client");
    unit_ok(mp.consent.state[SGTM_AD_USER_DATA] == SGTM_GRANTED
            && mp.consent.state[SGTM_AD_PERSONALIZATION] == SGTM_DENIED
            && mp.consent.state[SGTM_AD_STORAGE] == SGTM_UNSET, "consent");
    unit_is(mp.events[0].name.data, mp.events[0].name.len, "purchase", "name");
    unit_is(mp.events[0].id.data, mp.events[0].id.len, "e/1", "id");
    unit_is(mp.events[0].transaction.data, mp.events[0].transaction.len,
            "12345678901234567890", "transaction, a number");
    unit_is(mp.events[1].id.data, mp.events[1].id.len, "8", "the last id");
    unit_ok(mp.events[1].transaction.len == 0, "that of a purchase alone");
    unit_ok(mp.events[2].id.len == 0, "no params");
    unit_is(mp.events[2].span.data, mp.events[2].span.len, "{\"name\":\"x\"}",
            "where it is");

    in = unit_str("{\"app_instance_id\":\"ab\",\"events\":[{\"name\":\"a\"}]}");
    unit_ok(parse(&mp, &in) == SGTM_OK, "of an app");
    unit_is(mp.client.data, mp.client.len, "ab", "its id");
}


/* what is meant as a denial is one, and told of as a fault besides */

static void
test_denials(void)
{
    size_t       i;
    sgtm_mp_t    mp;
    sgtm_str_t   in;

    static const struct {
        const char  *more;
        unsigned     user_data;
        unsigned     personalization;
    } denials[] = {
        { ",\"consent\":{\"ad_user_data\":\"denied\"}",
          SGTM_DENIED, SGTM_UNSET },
        { ",\"consent\":{\"ad_user_data\":\"Denied\","
          "\"ad_user_data\":\"GRANTED\"}", SGTM_DENIED, SGTM_UNSET },
        { ",\"consent\":{\"ad_user_data\":\"DENIED \"}",
          SGTM_UNSET, SGTM_UNSET },
        { ",\"consent\":{\"ad_user_data\":\"granted\"}",
          SGTM_UNSET, SGTM_UNSET },
        { ",\"consent\":{\"ad_user_data\":false}", SGTM_UNSET, SGTM_UNSET },
        { ",\"consent\":{\"adUserData\":\"DENIED\","
          "\"adPersonalization\":\"GRANTED\"}", SGTM_DENIED, SGTM_GRANTED },
        { ",\"consent\":{\"adUserData\":\"DENIED\","
          "\"ad_user_data\":\"GRANTED\"}", SGTM_DENIED, SGTM_UNSET },
        { ",\"nonPersonalizedAds\":true", SGTM_UNSET, SGTM_DENIED },
        { ",\"non_personalized_ads\":true", SGTM_UNSET, SGTM_DENIED },
        { ",\"non_personalized_ads\":\"true\"", SGTM_UNSET, SGTM_DENIED },
        { ",\"non_personalized_ads\":1", SGTM_UNSET, SGTM_DENIED },
        { ",\"non_personalized_ads\":\"false\"", SGTM_UNSET, SGTM_UNSET },
        { ",\"non_personalized_ads\":0", SGTM_UNSET, SGTM_UNSET },
        { ",\"non_personalized_ads\":false", SGTM_UNSET, SGTM_UNSET }
    };

    char  text[256];

    for (i = 0; i < unit_nelts(denials); i++) {
        snprintf(text, sizeof(text), BODY("%s", ""), denials[i].more);
        in = unit_str(text);

        unit_ok(parse(&mp, &in) == SGTM_OK, "%s", text);
        unit_ok(mp.consent.state[SGTM_AD_USER_DATA] == denials[i].user_data,
                "  ad_user_data");
        unit_ok(mp.consent.state[SGTM_AD_PERSONALIZATION]
                == denials[i].personalization, "  ad_personalization");
    }
}


/*
 * The protocol is one of Protocol Buffers, whose JSON has two spellings of each
 * field: what a rule misses in one of them goes on.
 */

static void
test_spelling(void)
{
    sgtm_mp_t       mp;
    sgtm_str_t      in, out, name;
    sgtm_pair_t     set[2];
    sgtm_names_t    own;
    sgtm_rewrite_t  rules;

    unit_names(&own, sgtm_default_params);

    name = unit_str("up.p");
    sgtm_names_add(&own, &name)->flags |= SGTM_NAME_REMOVE;
    name = unit_str("ownName");
    sgtm_names_add(&own, &name)->flags |= SGTM_NAME_REMOVE;

    memset(set, 0, sizeof(set));
    memset(&rules, 0, sizeof(sgtm_rewrite_t));

    set[0].key = unit_str("uid");
    set[0].value = unit_str("own");
    set[1].key = unit_str("up.q");
    set[1].value = unit_str("1");

    rules.names = &own;
    rules.deny = SGTM_DENY_AD_PERSONALIZATION;
    rules.npa = 1;
    rules.fresh = 1;
    rules.seed = 3;
    rules.user_data = 1;
    rules.set = set;
    rules.nset = 2;

    in = unit_str("{\"clientId\":\"8.8\",\"timestampMicros\":\"7\","
                  "\"userId\":\"u\",\"userProperties\":{\"p\":{\"value\":1},"
                  "\"pP\":{\"value\":2}},\"nonPersonalizedAds\":false,"
                  "\"consent\":{\"adPersonalization\":\"GRANTED\"},"
                  "\"userData\":{\"emailAddress\":[\"ABC\"]},\"ownName\":1,"
                  "\"events\":[{\"name\":\"purchase\",\"params\":{"
                  "\"user_data\":{\"emailAddress\":\"ABC\"}}}]}");

    if (!unit_ok(parse(&mp, &in) == SGTM_OK && mp.nevents == 1, "in capitals"))
    {
        return;
    }

    unit_is(mp.client.data, mp.client.len, "8.8", "  the client");
    unit_ok(mp.consent.state[SGTM_AD_PERSONALIZATION] == SGTM_GRANTED,
            "  consent");

    sgtm_mp_rewrite(&rules, 0, &in,
                    unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);

    unit_ok(out.len > 15 && memcmp(out.data, "{\"clientId\":\"", 13) == 0
            && memchr(out.data + 13, '8', 3) == NULL, "  another id");

    out.data += 17;
    out.len -= 17;

    unit_is(out.data, out.len, ",\"timestampMicros\":\"7\",\"userProperties\":"
            "{\"pP\":{\"value\":2},\"q\":{\"value\":\"1\"}},\"consent\":{"
            "\"ad_personalization\":\"DENIED\"},\"userData\":{"
            "\"sha256_email_address\":[\"" ABC "\"]},\"events\":[{\"name\":"
            "\"purchase\",\"params\":{\"user_data\":{"
            "\"sha256_email_address\":\"" ABC "\"}}}],\"user_id\":\"own\","
            "\"non_personalized_ads\":true}", "  and the rest");

    in = unit_str("{\"clientId\":\"1\",\"client_id\":\"2\",\"events\":[{"
                  "\"name\":\"a\"}]}");

    unit_ok(parse(&mp, &in) == SGTM_DECLINED && mp.reason == SGTM_REASON_TWICE,
            "one in both");
}


/* no id that is denied goes on, whatever form it has */

static void
test_fresh(void)
{
    size_t          i;
    sgtm_mp_t       mp;
    sgtm_str_t      in, out;
    sgtm_rewrite_t  rules;

    static const char  *ids[] = {
        "\"session_id\":[\"8\"],", "\"sid\":{\"a\":8},",
        "\"ga_session_id\":[[8]],", "\"cid\":[8,{\"a\":8}],",
        "\"ga_session_id\":8.5,"
    };

    char  text[256];

    memset(&rules, 0, sizeof(sgtm_rewrite_t));

    rules.names = &names;
    rules.fresh = 1;
    rules.seed = 3;

    for (i = 0; i < unit_nelts(ids); i++) {
        snprintf(text, sizeof(text), BODY("", "%s\"b\":[7]"), ids[i]);
        in = unit_str(text);

        unit_ok(parse(&mp, &in) == SGTM_OK, "%s", text);

        sgtm_mp_rewrite(&rules, 0, &in,
                        unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);

        unit_ok(memchr(out.data, '8', out.len) == NULL, "  is gone");
        unit_is(out.data + out.len - 21, 21, "\"params\":{\"b\":[7]}}]}",
                "  the rest is not");
    }
}


static void
test_drop(void)
{
    size_t          i;
    sgtm_mp_t       mp;
    sgtm_str_t      in, out;
    sgtm_rewrite_t  rules;

    static const struct {
        uint32_t     drop;
        const char  *events;
    } drops[] = {
        { 0, "[ {\"name\":\"a\"} , {\"name\":\"b\"},{\"name\":\"c\"}\n]" },
        { 1, "[ {\"name\":\"b\"},{\"name\":\"c\"}\n]" },
        { 2, "[ {\"name\":\"a\"} ,{\"name\":\"c\"}\n]" },
        { 4, "[ {\"name\":\"a\"} , {\"name\":\"b\"}]" },
        { 5, "[ {\"name\":\"b\"}]" },
        { 7, "[]" },
        { 0xfffffff8, "[ {\"name\":\"a\"} , {\"name\":\"b\"},"
                      "{\"name\":\"c\"}\n]" }
    };

    memset(&rules, 0, sizeof(sgtm_rewrite_t));
    rules.names = &names;

    in = unit_str("{\"client_id\":\"1\",\"events\":[ {\"name\":\"a\"} , "
                  "{\"name\":\"b\"},{\"name\":\"c\"}\n]}");

    unit_ok(parse(&mp, &in) == SGTM_OK, "three events");

    for (i = 0; i < unit_nelts(drops); i++) {
        sgtm_mp_rewrite(&rules, drops[i].drop, &in,
                        unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);

        out.data += sizeof("{\"client_id\":\"1\",\"events\":") - 1;
        out.len -= sizeof("{\"client_id\":\"1\",\"events\":}") - 1;
        unit_is(out.data, out.len, drops[i].events, "what is left");
    }
}


/* the most that can be set, in each of the most events */

static void
test_size(void)
{
    size_t          i;
    sgtm_mp_t       mp;
    sgtm_str_t      in, out;
    sgtm_pair_t     set[254];
    sgtm_rewrite_t  rules;

    memset(&rules, 0, sizeof(sgtm_rewrite_t));
    memset(set, 0, sizeof(set));

    rules.names = &names;
    rules.deny = USER_DATA;
    rules.npa = 1;
    rules.set = set;
    rules.nset = unit_nelts(set);

    for (i = 0; i < unit_nelts(set); i++) {
        set[i].key = unit_str(i % 3 ? "ep.a00" : "up.a00");
        set[i].key.data[4] = (unsigned char) ('0' + i / 16);
        set[i].key.data[5] = (unsigned char) ('a' + i % 16);
        set[i].value = unit_str("\001\002\003\xff?gclid=1");
    }

    in.data = unit_alloc(2048);
    in.len = (size_t) sprintf((char *) in.data,
                              "{\"client_id\":\"1\",\"events\":[");

    for (i = 0; i < SGTM_MP_MAX_EVENTS; i++) {
        in.len += (size_t) sprintf((char *) in.data + in.len,
                                   "%s{\"name\":\"a\"}", i ? "," : "");
    }

    in.len += (size_t) sprintf((char *) in.data + in.len, "]}");

    unit_ok(parse(&mp, &in) == SGTM_OK && mp.nevents == SGTM_MP_MAX_EVENTS,
            "25 events");

    sgtm_mp_rewrite(&rules, 0, &in,
                    unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);

    unit_ok(sgtm_json_check(&out) == SGTM_REASON_NONE && out.len > 100000,
            "254 parameters in each");
}


/*
 * What user-provided data costs is bounded by a number, not by the body: each
 * piece becomes a hash, and of two bytes 66.
 */

static void
test_user(void)
{
    size_t           i, n, size;
    sgtm_mp_t        mp;
    sgtm_str_t       in, out;
    sgtm_rewrite_t   rules;

    static const struct {
        const char  *before;
        const char  *one;
        const char  *after;
        size_t       n;
        unsigned     user;
        unsigned     reason;
    } bodies[] = {
        { ",\"user_data\":{\"email\":[", "1", "]}", 10, 12,
          SGTM_REASON_NONE },
        { ",\"user_data\":{\"email\":[", "1", "]}", SGTM_MP_MAX_USER - 2,
          SGTM_MP_MAX_USER, SGTM_REASON_NONE },
        { ",\"user_data\":{\"email\":[", "1", "]}", SGTM_MP_MAX_USER - 1, 0,
          SGTM_REASON_TOO_MANY_VALUES },
        { ",\"user_data\":{\"email\":[", "1", "]}", 60000, 0,
          SGTM_REASON_TOO_MANY_VALUES },
        { ",\"user_data\":{", "\"email\":{}", "}", SGTM_MP_MAX_USER + 1, 0,
          SGTM_REASON_TOO_MANY_VALUES },
        { ",\"x\":[{\"user_dat\\u0061.email\":[", "[1]", "]}]", 600, 0,
          SGTM_REASON_TOO_MANY_VALUES },
        { ",\"x\":[{\"?gclid=1#user_data\":{\"email\":[", "1", "]}}]", 600,
          602, SGTM_REASON_NONE },
        { ",\"x\":[", "\"a\"", "]", 25000, 0, SGTM_REASON_NONE }
    };

    memset(&rules, 0, sizeof(sgtm_rewrite_t));

    rules.names = &names;
    rules.deny = ADS;
    rules.user_data = 1;

    for (i = 0; i < unit_nelts(bodies); i++) {

        in.data = unit_alloc(130 * 1024);
        in.len = (size_t) sprintf((char *) in.data, "{\"client_id\":\"1\"%s",
                                  bodies[i].before);

        for (n = 0; n < bodies[i].n; n++) {
            in.len += (size_t) sprintf((char *) in.data + in.len, "%s%s",
                                       n ? "," : "", bodies[i].one);
        }

        in.len += (size_t) sprintf((char *) in.data + in.len,
                                   "%s,\"events\":[{\"name\":\"a\"}]}",
                                   bodies[i].after);

        unit_ok((parse(&mp, &in) == SGTM_OK)
                == (bodies[i].reason == SGTM_REASON_NONE)
                && mp.reason == bodies[i].reason, "%u times %s",
                (unsigned) bodies[i].n, bodies[i].one);

        if (mp.reason != SGTM_REASON_NONE) {
            unit_is(mp.param.data, mp.param.len, "user_data", "  are refused");
            continue;
        }

        unit_ok(mp.user == bodies[i].user, "  %u of user-provided data",
                mp.user);

        size = sgtm_mp_size(&mp, &rules, &in);

        unit_ok(size <= 2 * in.len + 100 * (size_t) mp.user + 1024,
                "  memory for these alone");

        sgtm_mp_rewrite(&rules, 0, &in, unit_alloc(size), &out);

        unit_ok(sgtm_json_check(&out) == SGTM_REASON_NONE
                && out.len <= in.len + 100 * (size_t) mp.user, "  it fits");
    }
}


static void
test_operator(void)
{
    sgtm_mp_t       mp;
    sgtm_str_t      in, out, name;
    sgtm_names_t    own;
    sgtm_rewrite_t  rules;

    unit_names(&own, sgtm_default_params);

    memset(&rules, 0, sizeof(sgtm_rewrite_t));
    rules.names = &own;

    name = unit_str("ep.a.b");
    sgtm_names_add(&own, &name)->flags |= SGTM_NAME_REMOVE;
    name = unit_str("epn.c");
    sgtm_names_add(&own, &name)->flags |= SGTM_NAME_REMOVE;
    name = unit_str("dr");
    sgtm_names_add(&own, &name)->flags |= SGTM_NAME_REMOVE;
    name = unit_str("client_id");
    sgtm_names_add(&own, &name)->flags |= SGTM_NAME_REMOVE;
    name = unit_str("up.p*");
    sgtm_names_add(&own, &name)->flags |= SGTM_NAME_REMOVE;

    in = unit_str(BODY(",\"user_properties\":{\"p1\":{},\"q\":{}}",
                       "\"a\":{\"b\":1,\"c\":2},\"c\":3,\"page_referrer\":4,"
                       "\"b\":5,\"p1\":6,\"items\":[{\"c\":7,\"dr\":8}]"));

    unit_ok(parse(&mp, &in) == SGTM_OK, "what an operator removes");

    sgtm_mp_rewrite(&rules, 0, &in,
                    unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);
    unit_is(out.data, out.len,
            BODY(",\"user_properties\":{\"q\":{}}",
                 "\"a\":{\"c\":2},\"b\":5,\"p1\":6,\"items\":[{\"c\":7,"
                 "\"dr\":8}]"), "  is gone");

    rules.matrix = 1;
    sgtm_mp_rewrite(&rules, 0, &in,
                    unit_alloc(sgtm_mp_size(&mp, &rules, &in)), &out);
    unit_ok(out.len == in.len && memcmp(out.data, in.data, in.len) == 0,
            "  not where the matrix alone holds");
}


int
main(void)
{
    unit_names(&names, sgtm_default_params);

    test_bodies();
    test_read();
    test_denials();
    test_spelling();
    test_fresh();
    test_drop();
    test_size();
    test_user();
    test_operator();

    return unit_done();
}
