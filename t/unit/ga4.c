
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The model of a hit: what is refused and why, what of a batch's line overrides
 * the query, and what a signal that comes twice means.  A tag id, a version or
 * a consent smuggled into a line or behind a first value would pass a gate that
 * reads the query alone.
 */


#include "unit.h"


typedef struct {
    const char     *query;
    const char     *body;
    unsigned        reason;
} test_reason_t;


typedef struct {
    const char     *query;
    const char     *body;
    const char     *tid;
    const char     *cid;
    const char     *event;
    unsigned        events;
    unsigned        args;
} test_model_t;


typedef struct {
    const char     *query;
    const char     *body;
    const char     *gcs;
    unsigned        gcd;               /* sgtm_consent_denials() */
} test_consent_t;


static sgtm_names_t  names;

static sgtm_str_t  id_list[] = {
    sgtm_string("G-ABC1234567"),
    sgtm_string("GTM-ABCDEF"),
    sgtm_string("AW-123456"),
    sgtm_string("G-0000")
};

static const sgtm_ids_t  ids = { id_list, unit_nelts(id_list) };


#define Q   "v=2&tid=G-ABC1234567&"
#define QE  "v=2&tid=G-ABC1234567&en=page_view"

static const test_reason_t  reasons[] = {
    { QE, "", SGTM_REASON_NONE },
    { "%76=%32&%74id=%47%2DABC1234567&e%6e=x", "", SGTM_REASON_NONE },
    { "en=x&tid=G-0000&v=2", "", SGTM_REASON_NONE },
    { Q "en=x&&", "", SGTM_REASON_NONE },
    { "v=2&tid=G-ABC1234567", "en=a", SGTM_REASON_NONE },
    { "tid=G-ABC1234567", "v=2&en=a\r\nen=b&v=2", SGTM_REASON_NONE },
    { "v=2", "tid=G-0000&en=a\nen=b&tid=G-ABC1234567\n", SGTM_REASON_NONE },
    { "", "v=2&tid=G-0000&en=a", SGTM_REASON_NONE },
    { QE, "_et=1\r\n\r\n_et=2", SGTM_REASON_NONE },
    { QE "&v=2&tid=G-0000", "v=2&tid=G-ABC1234567", SGTM_REASON_NONE },

    { "", "", SGTM_REASON_NO_VERSION },
    { "tid=G-ABC1234567&en=x", "", SGTM_REASON_NO_VERSION },
    { "v&tid=G-ABC1234567&en=x", "", SGTM_REASON_NO_VERSION },
    { "v=&tid=G-ABC1234567&en=x", "", SGTM_REASON_NO_VERSION },
    { "v=1&tid=G-ABC1234567&en=x", "", SGTM_REASON_NO_VERSION },
    { "v=22&tid=G-ABC1234567&en=x", "", SGTM_REASON_NO_VERSION },
    { "v=2%20&tid=G-ABC1234567&en=x", "", SGTM_REASON_NO_VERSION },
    { "v=1&tid=UA-1234-1&t=pageview", "", SGTM_REASON_NO_VERSION },
    { "tid=UA-1234-1&v=1&t=pageview", "", SGTM_REASON_NO_VERSION },
    { QE "&v=1", "", SGTM_REASON_NO_VERSION },
    { QE, "en=x\nv=1&en=y", SGTM_REASON_NO_VERSION },
    { "tid=G-ABC1234567", "v=2&en=x\r\nen=y", SGTM_REASON_NO_VERSION },
    { "V=2&tid=G-ABC1234567&en=x", "", SGTM_REASON_NO_VERSION },

    { "v=2&en=x", "", SGTM_REASON_NO_TAG_ID },
    { "v=2&en=x&tid=", "", SGTM_REASON_NO_TAG_ID },
    { "v=2&en=x&tid", "", SGTM_REASON_NO_TAG_ID },
    { QE, "tid=&en=x", SGTM_REASON_NO_TAG_ID },
    { "v=2", "en=x&tid=G-0000\r\nen=y", SGTM_REASON_NO_TAG_ID },

    { "v=2&en=x&tid=UA-1234-1", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=G-", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=G-ABC", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=G-ABCDEFGHIJKLMNOPQRSTU", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=G-%41%42%43%44%45%46%47%48%49%4A%4B%4C%4D%4E%4F%50%51%52"
      "%53%54%55%56%57%58%59%5A", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=g-ABC1234567", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=G-abc1234567", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=G-ABC123456%37%20", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=G-ABC1234567,G-0000", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=GTM-ABCDEF", "", SGTM_REASON_BAD_TAG_ID },
    { "v=2&en=x&tid=AW-123456", "", SGTM_REASON_BAD_TAG_ID },
    { QE "&tid=nothing", "", SGTM_REASON_BAD_TAG_ID },

    { "v=2&en=x&tid=G-OTHER123", "", SGTM_REASON_FOREIGN_TAG_ID },
    { "v=2&en=x&tid=G-ABC123456", "", SGTM_REASON_FOREIGN_TAG_ID },
    { "v=2&en=x&tid=G-ABC12345678", "", SGTM_REASON_FOREIGN_TAG_ID },
    { QE "&tid=G-OTHER123", "", SGTM_REASON_FOREIGN_TAG_ID },
    { QE "&t%69d=G-OTHER123", "", SGTM_REASON_FOREIGN_TAG_ID },
    { QE, "en=x\ntid=G-OTHER123&en=y", SGTM_REASON_FOREIGN_TAG_ID },
    { "v=2&tid=G-OTHER123", "tid=G-0000&en=y", SGTM_REASON_FOREIGN_TAG_ID },

    { "v=2&tid=G-ABC1234567", "", SGTM_REASON_NO_EVENT },
    { Q "en=", "", SGTM_REASON_NO_EVENT },
    { Q "en", "", SGTM_REASON_NO_EVENT },
    { Q "x=1", "en=a\r\n_et=1", SGTM_REASON_NO_EVENT },
    { Q "x=1", "_et=1", SGTM_REASON_NO_EVENT },
    { Q "x=1", "_et=1\r\n_et=2\r\nen=a", SGTM_REASON_NO_EVENT },
    { Q "x=1", "en=&_et=1\r\nen=a", SGTM_REASON_NO_EVENT },
    { QE, "en=&_et=1", SGTM_REASON_NO_EVENT },
    { Q "x=1", "\r\n\n\r\n", SGTM_REASON_NO_EVENT },
    { Q "x=1", "ep.a=b", SGTM_REASON_NO_EVENT },
    { Q "x=1", "ep.a=b\nep.c=d\nen=x", SGTM_REASON_NO_EVENT },

    { QE "&a=%", "", SGTM_REASON_BAD_ESCAPE },
    { QE, "a=%zz", SGTM_REASON_BAD_ESCAPE },
    { QE "&a=\x01", "", SGTM_REASON_BAD_BYTE },
    { QE, "a=%00", SGTM_REASON_BAD_BYTE },
    { QE, "a=1\rb=2", SGTM_REASON_BAD_BYTE },
    { QE "&a=%ff", "", SGTM_REASON_BAD_UTF8 },
    { QE, "en=\xc3", SGTM_REASON_BAD_UTF8 }
};


static const test_model_t  models[] = {
    { QE "&cid=1.2", "", "G-ABC1234567", "1.2", "page_view", 1, 4 },
    { QE, "", "G-ABC1234567", "", "page_view", 1, 3 },
    { QE "&cid=1.2&cid=3.4&en=second", "", "G-ABC1234567", "1.2", "page_view",
      1, 6 },
    { Q "cid=1.2", "en=scroll&epn.percent_scrolled=90\r\nen=page_view&_et=944",
      "G-ABC1234567", "1.2", "scroll", 2, 7 },
    { Q "cid=1.2", "_et=1&en=first\r\nen=second\r\n", "G-ABC1234567", "1.2",
      "first", 2, 6 },
    { Q "cid=1.2", "ep.a=b&cid=3.4\r\nen=scroll\r\nen=x", "G-ABC1234567",
      "3.4", "scroll", 2, 7 },
    { Q "cid=1.2", "\n\nen=a\n\nen=b\n\n", "G-ABC1234567", "1.2", "a", 2, 5 },
    { QE "&cid=1.2", "_et=5", "G-ABC1234567", "1.2", "page_view", 1, 5 },
    { QE "&cid=1.2", "en=own&cid=5.6&tid=G-0000", "G-0000", "5.6", "own", 1,
      7 },
    { QE "&cid=1.2", "_et=5\r\nen=own&cid=5.6&tid=G-0000", "G-ABC1234567",
      "1.2", "page_view", 2, 8 },
    { "v=2&tid=G%2DABC1234567&en=a%20b", "", "G%2DABC1234567", "", "a%20b", 1,
      3 },
    { Q "en=a&", "", "G-ABC1234567", "", "a", 1, 4 },

    /* a first line without an event is shared by the others */
    { Q "cid=1.2", "_et=1\r\nen=a\r\nen=b", "G-ABC1234567", "1.2", "a", 2, 6 },
    { Q "x", "cid=7.8&tid=G-0000\r\n\r\nen=a", "G-0000", "7.8", "a", 1, 6 },
    { "", "v=2&tid=G-0000&cid=7.8\nen=a&cid=9.9\nen=b", "G-0000", "9.9", "a",
      2, 6 }
};


static const test_consent_t  consents[] = {
    { QE, "", "G1--", 0 },
    { QE "&gcs=G110", "", "G110", 0 },
    { QE "&gcs=G101", "", "G101", 0 },
    { QE "&gcs=G211", "", "G1--", 0 },
    { QE "&gcs=G111&gcs=G101", "", "G101", 0 },
    { QE "&gcs=G101&gcs=G111", "", "G101", 0 },
    { QE "&gcs=G1--&gcs=G111", "", "G111", 0 },
    { QE "&gcs=G111&gcs=G2", "", "G111", 0 },
    { QE "&gcs=G111", "gcs=G100", "G100", 0 },
    { QE "&gcs=G100", "gcs=G111", "G100", 0 },
    { QE "&gcs=G110", "_et=1\r\ngcs=G101", "G100", 0 },
    { QE "&g%63s=G1%30%30", "", "G100", 0 },
    { QE "&gcd=13l3l3l3l1l1", "", "G1--", 0 },
    { QE "&gcd=13t3t3p3t5l1", "", "G1--",
      SGTM_DENY_AD_USER_DATA|SGTM_DENY_ANY },
    { QE "&gcd=13t3t3t3t5l1", "gcd=13t3p3t3t5l1\r\ngcd=13t3t3t3q5l1", "G1--",
      SGTM_DENY_ANALYTICS_STORAGE|SGTM_DENY_AD_PERSONALIZATION
      |SGTM_DENY_ANY }
};


static int
parse(sgtm_ga4_t *hit, const char *query, const char *body)
{
    sgtm_str_t  q, b;

    q = unit_str(query);
    b = unit_str(body);

    return sgtm_ga4_parse(hit, &names, &ids, &q, &b);
}


static void
test_reasons(void)
{
    int         rc;
    size_t      i;
    sgtm_ga4_t  hit;
    sgtm_ids_t  none;
    sgtm_str_t  query, body;

    for (i = 0; i < unit_nelts(reasons); i++) {

        rc = parse(&hit, reasons[i].query, reasons[i].body);

        if (!unit_ok(hit.reason == reasons[i].reason
                     && rc == (hit.reason ? SGTM_DECLINED : SGTM_OK),
                     "%s: %u", sgtm_reasons[reasons[i].reason].label.data,
                     (unsigned) i))
        {
            printf("#      got: %s\n",
                   (char *) sgtm_reasons[hit.reason].label.data);
        }
    }

    none.elts = NULL;
    none.nelts = 0;
    query = unit_str(QE);
    body.len = 0;
    body.data = NULL;

    unit_ok(sgtm_ga4_parse(&hit, &names, &none, &query, &body)
            == SGTM_DECLINED && hit.reason == SGTM_REASON_FOREIGN_TAG_ID,
            "no ids: none is ours");

    for (i = 0; i < SGTM_REASON_HIT_LAST; i++) {
        unit_ok(sgtm_reasons[i].label.len && (i == 0
                || sgtm_reasons[i].text.len), "reason %u has a label",
                (unsigned) i);
    }

    for (i = 0; i < SGTM_OVER_N; i++) {
        unit_ok(sgtm_over_labels[i].len, "limit %u has a label", (unsigned) i);
    }
}


static void
test_models(void)
{
    size_t      i;
    sgtm_ga4_t  hit;

    for (i = 0; i < unit_nelts(models); i++) {

        unit_ok(parse(&hit, models[i].query, models[i].body) == SGTM_OK,
                "model %u", (unsigned) i);
        unit_is(hit.tid.data, hit.tid.len, models[i].tid, "  tid");
        unit_is(hit.cid.data, hit.cid.len, models[i].cid, "  cid");
        unit_is(hit.event.data, hit.event.len, models[i].event, "  event");
        unit_ok(hit.events == models[i].events && hit.args == models[i].args,
                "  %u events, %u arguments", hit.events, hit.args);
    }
}


static void
test_consents(void)
{
    size_t         i;
    sgtm_ga4_t     hit;
    unsigned char  out[4];

    for (i = 0; i < unit_nelts(consents); i++) {

        unit_ok(parse(&hit, consents[i].query, consents[i].body) == SGTM_OK
                && sgtm_consent_denials(&hit.gcd) == consents[i].gcd,
                "consent %u", (unsigned) i);

        sgtm_consent_write_gcs(out, &hit.gcs);
        unit_is(out, sizeof(out), consents[i].gcs, "  gcs");
    }
}


static void
test_marks(void)
{
    sgtm_ga4_t    hit;
    sgtm_str_t    name, query, body;
    sgtm_names_t  other;

    (void) parse(&hit, QE, "");
    unit_ok(hit.deny == 0 && !hit.touched && !hit.nested, "a plain hit");

    (void) parse(&hit, QE "&sct=1", "gclid=2");
    unit_ok(hit.deny == (SGTM_DENY_ANALYTICS_STORAGE|SGTM_DENY_AD_STORAGE),
            "denials of the query and of a line");

    (void) parse(&hit, QE "&_uip=1.2.3.4", "");
    unit_ok(hit.deny == (SGTM_DENY_ANY|SGTM_DENY_ADDRESS), "an address");

    (void) parse(&hit, QE, "x=1\r\nep.page_location=https%3A%2F%2Fx%2F%3Fa");
    unit_ok(hit.nested == 1, "an URL in a line");

    unit_names(&other, sgtm_default_params);
    name = unit_str("ep.mine");
    sgtm_names_add(&other, &name)->flags = SGTM_NAME_SET;
    name = unit_str("ep.x*");
    sgtm_names_add(&other, &name)->flags = SGTM_NAME_REMOVE;

    query = unit_str(QE "&ep.y=1");
    body = unit_str("ep.mine=1");
    (void) sgtm_ga4_parse(&hit, &other, &ids, &query, &body);
    unit_ok(hit.touched == 1, "a parameter to set");

    body = unit_str("ep.xy=1");
    (void) sgtm_ga4_parse(&hit, &other, &ids, &query, &body);
    unit_ok(hit.touched == 1, "a parameter to remove");

    body = unit_str("ep.z=1");
    (void) sgtm_ga4_parse(&hit, &other, &ids, &query, &body);
    unit_ok(hit.touched == 0, "neither of them");
}


/* what a refusal may name: a parameter, never its value */

static void
test_param(void)
{
    sgtm_ga4_t  hit;

    (void) parse(&hit, QE "&ep.x=%zz", "");
    unit_is(hit.param.data, hit.param.len, "ep.x", "where it is");

    (void) parse(&hit, QE "&gcs=G111", "en=a\r\n_et=1&dt=%00secret");
    unit_is(hit.param.data, hit.param.len, "dt", "where it is, in a line");

    (void) parse(&hit, "v=1&tid=G-ABC1234567&en=a", "");
    unit_ok(hit.param.len == 0
            && sgtm_reasons[hit.reason].param.len == 1
            && sgtm_reasons[hit.reason].param.data[0] == 'v',
            "a reason that knows it");
}


static void
test_is_hit(void)
{
    size_t      i;
    sgtm_str_t  query;

    static const struct {
        const char  *query;
        int          hit;
    } queries[] = {
        { "v=2&tid=G-ABC1234567", 1 },
        { "a=1&tid=G-X&b=2&v=2&c", 1 },
        { "%76=%32&tid=%47-1", 1 },
        { "v=1&v=2&tid=x&tid=G-1", 1 },
        { "", 0 },
        { "v=2", 0 },
        { "tid=G-ABC1234567", 0 },
        { "v=1&tid=G-ABC1234567", 0 },
        { "v=2&tid=UA-1-1", 0 },
        { "v=2&tid=GTM-1", 0 },
        { "v=2&tid=G", 0 },
        { "v=2&id=G-ABC1234567", 0 },
        { "xv=2&xtid=G-ABC1234567", 0 }
    };

    for (i = 0; i < unit_nelts(queries); i++) {
        query = unit_str(queries[i].query);
        unit_ok(sgtm_ga4_is_hit(&names, &query) == queries[i].hit,
                "is a hit %d: %s", queries[i].hit, queries[i].query);
    }
}


static void
test_ids(void)
{
    size_t      i;
    sgtm_str_t  id;

    static const struct {
        const char  *id;
        int          good;
    } tags[] = {
        { "G-ABCD", 1 }, { "G-0123456789ABCDEFGHIJ", 1 }, { "GTM-ABCD", 1 },
        { "GT-ABCD12", 1 }, { "AW-1234", 1 }, { "DC-12345678", 1 },
        { "GTM-0123456789ABCDEFGHIJ", 1 },
        { "", 0 }, { "G", 0 }, { "G-", 0 }, { "G-ABC", 0 },
        { "G-0123456789ABCDEFGHIJK", 0 }, { "GTM-ABC", 0 }, { "GTMABCDE", 0 },
        { "AW-123A", 0 }, { "DC-ABCD", 0 }, { "UA-1234-1", 0 },
        { "G-AB_CD", 0 }, { "G-ABCd", 0 }, { "g-ABCD", 0 }, { " G-ABCD", 0 },
        { "G-ABCD\n", 0 }, { "GA-ABCD", 0 }, { "G-AB-CD", 0 }, { "MC-1234", 0 }
    };

    for (i = 0; i < unit_nelts(tags); i++) {
        id = unit_str(tags[i].id);
        unit_ok(sgtm_ga4_tag_id(&id) == tags[i].good, "tag id %d: %s",
                tags[i].good, tags[i].id);
    }

    id = unit_str("GTM-ABCDEF");
    unit_ok(sgtm_ids_has(&ids, &id), "one of the ids");

    id = unit_str("%47TM-ABCDE%46");
    unit_ok(sgtm_ids_has(&ids, &id), "one of the ids, escaped");

    id = unit_str("GTM-ABCDE");
    unit_ok(!sgtm_ids_has(&ids, &id), "less than one of the ids");

    id = unit_str("GTM-ABCDEFG");
    unit_ok(!sgtm_ids_has(&ids, &id), "more than one of the ids");

    id = unit_str("");
    unit_ok(!sgtm_ids_has(&ids, &id), "nothing is no id");
}


static void
test_encoded(void)
{
    int             rc;
    size_t          i;
    sgtm_str_t      query, decoded;
    unsigned char  *out;

#define HIT  "v=2&tid=G-ABC1234567&en=page_view&dt=%3Ca%3E"
#define B64  "dj0yJnRpZD1HLUFCQzEyMzQ1NjcmZW49cGFnZV92aWV3JmR0PSUzQ2ElM0U"

    static const struct {
        const char  *query;
        const char  *decoded;
    } queries[] = {
        { B64, HIT },
        { B64 "=", HIT },
        { B64 "%3D", HIT },
        { "d=" B64, HIT },
        { "d=" B64 "=", HIT },
        { "data=" B64 "%3D", HIT },
        { "%64j0yJnRpZD1HLUFCQzEyMzQ1NjcmZW49cGFnZV92aWV3JmR0PSUzQ2ElM0U",
          HIT },

        /* either alphabet: "v=2&x=" and bytes that need both signs */
        { "dj0yJng9Pz8%2FPz4-Pj4mdGlkPUctQUJDMTIzNDU2NyZlbj1hYmNk",
          "v=2&x=????" ">>>>&tid=G-ABC1234567&en=abcd" },
        { "dj0yJng9Pz8_Pz4-Pj4mdGlkPUctQUJDMTIzNDU2NyZlbj1hYmNk",
          "v=2&x=????" ">>>>&tid=G-ABC1234567&en=abcd" },
        { "dj0yJng9Pz8/Pz4+Pj4mdGlkPUctQUJDMTIzNDU2NyZlbj1hYmNk",
          "v=2&x=????" ">>>>&tid=G-ABC1234567&en=abcd" },

        /* with the path that it is of */
        { "L2cvY29sbGVjdD92PTImdGlkPUctQUJDMTIzNDU2NyZlbj1wYWdlX3ZpZXc=",
          "v=2&tid=G-ABC1234567&en=page_view" },

        { "", NULL },
        { "v=2&tid=G-ABC1234567&en=page_view&dt=Something", NULL },
        { B64 "&x=1", NULL },
        { "a=1&d=" B64, NULL },
        { "d=" B64 "===", NULL },
        { "d=" B64 "!", NULL },
        { "d=" B64 "AA", NULL },                       /* 4n + 1 */
        { "dj0yJnRpZD1HLUFCQzEy", NULL },               /* short */

        /* base64 of something else: text, v=1, binary */
        { "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZw==",
          NULL },
        { "dj0xJnRpZD1VQS0xMjM0NTYtMSZ0PXBhZ2V2aWV3JmRwPSUyRmFiY2Rl", NULL },
        { "dj0yJgCAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICA", NULL },
        { "id=0123456789abcdef0123456789abcdef0123456789abcdef", NULL }
    };

    for (i = 0; i < unit_nelts(queries); i++) {

        query = unit_str(queries[i].query);
        out = unit_alloc(query.len);
        decoded.len = 0;
        decoded.data = NULL;

        rc = sgtm_ga4_encoded(&query, out, &decoded);

        if (queries[i].decoded == NULL) {
            unit_ok(rc == SGTM_DECLINED, "not encoded: %s", queries[i].query);
            continue;
        }

        unit_ok(rc == SGTM_OK, "encoded: %s", queries[i].query);
        unit_is(decoded.data, decoded.len, queries[i].decoded, "  decoded");
    }
}


int
main(void)
{
    unit_names(&names, sgtm_default_params);

    test_reasons();
    test_models();
    test_consents();
    test_marks();
    test_param();
    test_is_hit();
    test_ids();
    test_encoded();

    return unit_done();
}
