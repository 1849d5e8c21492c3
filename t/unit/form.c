
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The forms of values that directives and tenant records share.  What passes
 * here gets into Host headers, paths of scripts and lists of who may send: a
 * form that is too wide opens what nobody meant to open.
 */


#include "unit.h"
#include "../../src/tenant/sgtm_form.h"
#include "../../src/tenant/sgtm_words.h"


#define L63  "a23456789012345678901234567890123456789012345678901234567890123"


typedef int (*form_pt)(const sgtm_str_t *text);


static const struct {
    const char     *name;
    form_pt         form;
    const char     *good[16];
    const char     *bad[24];
} forms[] = {

    { "a tenant's id", sgtm_form_tenant,
      { "a", "shop-42", "shop.example", "A_b", "9", L63 L63 "ab" },
      { "", "_other", ".hidden", "-x", "a b", "a/b", "a\n", "\xc3\xbc",
        L63 L63 "abc" } },

    { "a host", sgtm_form_host,
      { "shop.example", "localhost", "xn--bcher-kva.example", "*.shop.example",
        "a--b.c", "127.0.0.1", "Shop.Example", L63 ".example",
        "*.a.b.c.example", "1a.example" },
      { "", "*", "*.", "*.example", "a.*.example", "*a.example",
        "shop.example.", ".shop.example", "a..b", "-a.example",
        "a-.example", "a.-b", "a_b.c", "shop.example:443", "[::1]", "a/b",
        "b\xc3\xbc" "cher.example", L63 "x.example", "*.*.example",
        " a.example", L63 "." L63 "." L63 "." L63 } },

    { "an address", sgtm_form_address,
      { "sgtm.example.com", "sgtm.example.com:8443", "127.0.0.1:80", "[::1]",
        "[::1]:443", "a_b.example", "localhost", "a.example:65535",
        "[fe80::1:2]" },
      { "", ":80", "a.example:", "a.example:0", "a.example:65536", "a:b:1",
        "https://a.example", "a.example/x", "user@a.example", "[::1", "[::1]x",
        "[::g]", "[]", ".a.example", "-a.example", "a b", "a.example:1x",
        "unix:x", "[::1]:", "a:000080", "a.example?x" } },

    { "a container", sgtm_form_container,
      { "GTM-ABC1234", "GTM-WXYZ" },
      { "", "GTM-", "G-ABC1234567", "gtm-ABC1234", "GTM-abc1234", "GTM-ABC",
        "GTM-ABC1234/x" } },

    { "a tag id", sgtm_form_tag_id,
      { "G-ABC1234567", "GT-ABC123", "AW-123456789", "DC-1234567" },
      { "", "GTM-ABC1234", "UA-12345-1", "AW-ABC123", "G-abc1234567", "G-",
        "G-ABC1234567 " } },

    { "a parameter", sgtm_form_param,
      { "ep.shop_region", "uid", "a~b-c" },
      { "", "a b", "a=b", "a&b", "ep.*", L63 L63 "abc" } },

    { "a name", sgtm_form_name,
      { "_partner", "_partner*", "a" },
      { "", "*", "*a", L63 L63 "abc" } },

    { "a cookie", sgtm_form_cookie,
      { "_partner", "_partner*", "a.b-c_d" },
      { "", "*", "a b", "a;b", "a=b", "a,b", "a\"", "a\x7f", "\xc3\xbc" } },

    { "an event", sgtm_form_event,
      { "purchase", "Add_to_cart", "a1" },
      { "", "_x", "1a", "a b", "a-b", "a.b", L63, "*" } },

    { "a script", sgtm_form_script,
      { "t.js", "s/a.js", "a/b-c_d.min.js", "loader", "..a", ".t.js" },
      { "", "/t.js", "t.js/", "a//b", "./t.js", "a/../t.js", "a/..", "a.",
        "a b", "a?b", "gtm.js", "GTM.js", "g/collect", "mp/collect",
        "webhook/stripe",
        "x/healthy", "gtm/x", "a%2fb", "\xc3\xbc.js" } }
};


static const struct {
    const char     *text;
    uint32_t        hits, seconds;     /* hits 0: it is none */
} rates[] = {
    { "100r/s", 100, 1 }, { "1000r/m", 1000, 60 }, { "1000000r/s", 1000000, 1 },
    { "1r/m", 1, 60 },
    { "", 0, 0 }, { "0r/s", 0, 0 }, { "1000001r/s", 0, 0 }, { "10", 0, 0 },
    { "10r/h", 0, 0 }, { "10r/s ", 0, 0 }, { "-1r/s", 0, 0 }, { "on", 0, 0 },
    { "99999999999999999999r/s", 0, 0 }, { "r/s", 0, 0 }, { "10r/", 0, 0 }
};


static const struct {
    const char     *text;
    int64_t         time;              /* -1: it is none */
} times[] = {
    { "1970-01-01T00:00:00Z", 0 },
    { "2026-11-20T10:00:00Z", 1795168800 },
    { "2026-11-20t10:00:00z", 1795168800 },
    { "2026-11-20T10:00:00.123456Z", 1795168800 },
    { "2026-11-20T11:30:00+01:30", 1795168800 },
    { "2026-11-20T05:00:00-05:00", 1795168800 },
    { "2024-02-29T00:00:00Z", 1709164800 },
    { "2016-12-31T23:59:60Z", 1483228800 },
    { "9999-12-31T23:59:59Z", 253402300799 },
    { "2026-02-29T00:00:00Z", -1 }, { "2100-02-29T00:00:00Z", -1 },
    { "2026-13-01T00:00:00Z", -1 }, { "2026-00-01T00:00:00Z", -1 },
    { "2026-04-31T00:00:00Z", -1 }, { "2026-12-32T00:00:00Z", -1 },
    { "2026-11-20T24:00:00Z", -1 }, { "2026-11-20T10:60:00Z", -1 },
    { "2026-11-20T10:00:00", -1 }, { "2026-11-20 10:00:00Z", -1 },
    { "2026-11-20T10:00:00.Z", -1 }, { "2026-11-20T10:00:00+0100", -1 },
    { "2026-11-20T10:00:00+24:00", -1 }, { "2026-11-20T10:00:00+1:000", -1 },
    { "2026-11-20", -1 }, { "1969-12-31T23:59:59Z", -1 }, { "", -1 },
    { "20261-1-20T10:00:00Z", -1 }, { "2026-11-20T10:00:00Zx", -1 },
    { "2026-011-2T10:00:00Z", -1 }
};


static const struct {
    const char     *text;
    const char     *scheme;            /* NULL: it is none */
    const char     *host;
    unsigned        wildcard;
} origins[] = {
    { "https://shop.example", "https", "shop.example", 0 },
    { "HTTP://A.Example:8080", "HTTP", "A.Example:8080", 0 },
    { "shop.example", "", "shop.example", 0 },
    { "*.shop.example", "", ".shop.example", 1 },
    { "https://*.shop.example:8443", "https", ".shop.example:8443", 1 },
    { "http.example", "", "http.example", 0 },
    { "https://[::1]:8443", "https", "[::1]:8443", 0 },
    { "", NULL, NULL, 0 }, { "null", NULL, NULL, 0 }, { "NULL", NULL, NULL, 0 },
    { "*", NULL, NULL, 0 }, { "*.", NULL, NULL, 0 },
    { "https://", NULL, NULL, 0 }, { "https://*", NULL, NULL, 0 },
    { "https://a.example/", NULL, NULL, 0 },
    { "ftp://a.example", NULL, NULL, 0 }, { "*.*.example", NULL, NULL, 0 },
    { ".a.example", NULL, NULL, 0 },
    { "https://u@a.example", NULL, NULL, 0 }
};


static void
test_forms(void)
{
    size_t       i, n;
    sgtm_str_t   text;
    const char  *const  *p;

    for (i = 0; i < unit_nelts(forms); i++) {

        for (n = 0, p = forms[i].good; n < 16 && *p != NULL; n++, p++) {
            text = unit_str(*p);
            unit_ok(forms[i].form(&text), "%s: \"%s\"", forms[i].name, *p);
        }

        for (n = 0, p = forms[i].bad; n < 24 && *p != NULL; n++, p++) {
            text = unit_str(*p);
            unit_ok(!forms[i].form(&text), "no %s: \"%.40s\"", forms[i].name,
                    strchr(*p, '\n') ? "with a line feed" : *p);
        }

        text = unit_bytes("a\0b.c", 5);
        unit_ok(forms[i].form == sgtm_form_name || !forms[i].form(&text),
                "no %s: with a NUL", forms[i].name);
    }
}


static void
test_values(void)
{
    int            ok;
    size_t         i;
    int64_t        time;
    sgtm_str_t     text;
    sgtm_rate_t    rate;
    sgtm_origin_t  origin;

    for (i = 0; i < unit_nelts(rates); i++) {
        text = unit_str(rates[i].text);
        ok = sgtm_form_rate(&text, &rate);

        unit_ok(rates[i].hits ? ok && rate.hits == rates[i].hits
                                && rate.seconds == rates[i].seconds
                                && rate.burst == rate.hits
                              : !ok, "rate \"%s\"", rates[i].text);
    }

    text = unit_str("off");
    unit_ok(sgtm_form_rate(&text, &rate) && rate.seconds == 0, "rate off");

    text = unit_str("1r/m");
    (void) sgtm_form_rate(&text, &rate);
    rate.burst = SGTM_BURST_MAX;
    unit_ok(sgtm_rate_interval(&rate) == 60000000000
            && sgtm_rate_tolerance(&rate) / 60000000000 == SGTM_BURST_MAX - 1,
            "the largest burst of the slowest rate is counted in 64 bits");

    for (i = 0; i < unit_nelts(times); i++) {
        text = unit_str(times[i].text);
        ok = sgtm_form_time(&text, &time);

        unit_ok(times[i].time == -1 ? !ok : ok && time == times[i].time,
                "time \"%s\"", times[i].text);
    }

    for (i = 0; i < unit_nelts(origins); i++) {
        text = unit_str(origins[i].text);
        ok = sgtm_form_origin(&text, &origin);

        if (!unit_ok(ok == (origins[i].scheme != NULL), "origin \"%s\"",
                     origins[i].text)
            || !ok)
        {
            continue;
        }

        unit_is(origin.scheme.data, origin.scheme.len, origins[i].scheme,
                "its scheme");
        unit_is(origin.host.data, origin.host.len, origins[i].host,
                "its host");
        unit_ok(origin.wildcard == origins[i].wildcard, "all below it, or not");
    }

    text = unit_str("AbC-\xc3\x9cZ9[");
    sgtm_form_lower(&text);
    unit_is(text.data, text.len, "abc-\xc3\x9cz9[", "small letters");
}


static void
test_words(void)
{
    size_t             i;
    sgtm_str_t         text;
    const sgtm_word_t  *word;

    static const sgtm_word_t *const  lists[] = {
        sgtm_tiers, sgtm_fallbacks, sgtm_consent_modes, sgtm_consent_states,
        sgtm_quotas, sgtm_residencies, sgtm_taggings, sgtm_event_routes,
        sgtm_shop_names
    };

    for (i = 0; i < unit_nelts(lists); i++) {

        for (word = lists[i]; word->name.len; word++) {
            unit_ok(sgtm_word(lists[i], &word->name) == word
                    && sgtm_word_name(lists[i], word->value) == &word->name,
                    "the word \"%s\"", word->name.data);
        }

        text = unit_str("");
        unit_ok(sgtm_word(lists[i], &text) == NULL, "nothing is no word");
    }

    text = unit_str("enterprises");
    unit_ok(sgtm_word(sgtm_tiers, &text) == NULL, "nor is a longer one");

    /* $sgtm_tier takes the word by its place */

    for (i = 0; i <= SGTM_TIER_STARTER; i++) {
        unit_ok(sgtm_tiers[i].value == i, "tiers are in order");
    }
}


int
main(void)
{
    test_forms();
    test_values();
    test_words();

    return unit_done();
}
