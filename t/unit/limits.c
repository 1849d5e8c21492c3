
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * GA4's documented limits are counted, never refused: at the limit a hit says
 * nothing, one more and it says which.  Characters are meant, not bytes: a
 * title of 300 Cyrillic letters is 1800 bytes on the wire and within it.
 */


#include "unit.h"


static sgtm_names_t  names;

static sgtm_str_t  id_list[] = { sgtm_string("G-ABC1234567") };

static const sgtm_ids_t  ids = { id_list, 1 };


/* the limits that "head", n times "unit" (a "%u" in it counts) and tail pass */

static unsigned
over(const char *head, const char *unit, unsigned n, const char *tail,
    const char *body)
{
    int          rc;
    char        *text, *p;
    unsigned     i;
    sgtm_ga4_t   hit;
    sgtm_str_t   query, lines;

    text = unit_alloc(strlen(head) + strlen(tail) + n * (strlen(unit) + 10)
                      + 64);

    p = text + sprintf(text, "v=2&tid=G-ABC1234567&%s", head);

    for (i = 1; i <= n; i++) {
        p += sprintf(p, unit, i);
    }

    p += sprintf(p, "%s", tail);

    query = unit_bytes(text, (size_t) (p - text));
    lines = unit_str(body);

    rc = sgtm_ga4_parse(&hit, &names, &ids, &query, &lines);

    if (rc != SGTM_OK) {
        unit_ok(0, "a limit refuses nothing, but: %s",
                sgtm_reasons[hit.reason].label.data);
    }

    return hit.over;
}


static void
test_event_names(void)
{
    unit_ok(over("en=page_view", "", 0, "", "") == 0, "a name");
    unit_ok(over("en=A1_b", "", 0, "", "") == 0, "a name of all characters");
    unit_ok(over("en=", "e", 40, "", "") == 0, "40 characters");
    unit_ok(over("en=", "%%65", 40, "", "") == 0, "40 characters, escaped");
    unit_ok(over("en=", "e", 41, "", "") == SGTM_OVER_EVENT_NAME, "41");
    unit_ok(over("en=", "%%65", 41, "", "") == SGTM_OVER_EVENT_NAME,
            "41, escaped");
    unit_ok(over("en=1a", "", 0, "", "") == SGTM_OVER_EVENT_NAME,
            "a name with a digit first");
    unit_ok(over("en=_a", "", 0, "", "") == SGTM_OVER_EVENT_NAME,
            "a name with \"_\" first");
    unit_ok(over("en=a%20b", "", 0, "", "") == SGTM_OVER_EVENT_NAME,
            "a name with a space");
    unit_ok(over("en=a-b", "", 0, "", "") == SGTM_OVER_EVENT_NAME,
            "a name with \"-\"");
    unit_ok(over("en=ok", "", 0, "", "en=a\r\nen=b-c")
            == SGTM_OVER_EVENT_NAME, "a name in a line");
    unit_ok(over("en=firebase_x", "", 0, "", "") == SGTM_OVER_RESERVED,
            "firebase_");
    unit_ok(over("en=ga_x", "", 0, "", "") == SGTM_OVER_RESERVED, "ga_");
    unit_ok(over("en=google_x", "", 0, "", "") == SGTM_OVER_RESERVED,
            "google_");
    unit_ok(over("en=gtag.x", "", 0, "", "")
            == (SGTM_OVER_RESERVED|SGTM_OVER_EVENT_NAME), "gtag.");
    unit_ok(over("en=gallery", "", 0, "", "") == 0, "no reserved name");
}


static void
test_params(void)
{
    unit_ok(over("en=a", "&ep.p%u=1", 25, "", "") == 0, "25 parameters");
    unit_ok(over("en=a", "&ep.p%u=1", 26, "", "") == SGTM_OVER_PARAMS,
            "26 parameters");
    unit_ok(over("en=a", "&epn.p%u=1", 20, "&ep.a=1&ep.b&ep.c&ep.d=&ep.e", "")
            == 0, "25, of numbers too");
    unit_ok(over("en=a", "&epn.p%u=1", 20,
                 "&ep.a=1&ep.b&ep.c&ep.d=&ep.e&e%70.f",
                 "") == SGTM_OVER_PARAMS, "26, of numbers too, one escaped");
    unit_ok(over("en=a", "&ep.p%u=1", 20, "",
                 "ep.a&ep.b&ep.c&ep.d&ep.e\r\nep.a&ep.b&ep.c&ep.d&ep.e") == 0,
            "25 in each event");
    unit_ok(over("en=a", "&ep.p%u=1", 20, "", "ep.a\r\n"
                 "ep.a&ep.b&ep.c&ep.d&ep.e&ep.f") == SGTM_OVER_PARAMS,
            "26 in one event");
    unit_ok(over("en=a", "&ep.user_data.p%u=1", 40, "", "") == 0,
            "a visitor's data are none");
    unit_ok(over("en=a", "&sst.p%u=1", 40, "&ep=1&epx.a=1&e=1&epn=1", "") == 0,
            "other keys are none");

    unit_ok(over("en=a&ep.", "n", 40, "=1", "") == 0, "a name of 40");
    unit_ok(over("en=a&epn.", "n", 41, "=1", "") == SGTM_OVER_PARAM_NAME,
            "a name of 41");
    unit_ok(over("en=a&ep.", "%%D0%%96", 40, "=1", "") == 0,
            "a name of 40 characters, 240 bytes");
    unit_ok(over("en=a&ep.", "%%D0%%96", 41, "=1", "") == SGTM_OVER_PARAM_NAME,
            "a name of 41 characters");
    unit_ok(over("en=a&ep.ga_x=1", "", 0, "", "") == SGTM_OVER_RESERVED,
            "a reserved name");

    unit_ok(over("en=a&ep.x=", "v", 100, "", "") == 0, "a value of 100");
    unit_ok(over("en=a&ep.x=", "v", 101, "", "") == SGTM_OVER_PARAM_VALUE,
            "a value of 101");
    unit_ok(over("en=a&ep.x=", "%%20", 100, "", "") == 0,
            "a value of 100, escaped");
    unit_ok(over("en=a&ep.x=", "%%F0%%9F%%98%%80", 100, "", "") == 0,
            "a value of 100 characters, 1200 bytes");
    unit_ok(over("en=a&ep.x=", "%%F0%%9F%%98%%80", 101, "", "")
            == SGTM_OVER_PARAM_VALUE, "a value of 101 characters");
    unit_ok(over("en=a&ep.x=", "\xd0\x96", 100, "", "") == 0,
            "a value of 100 characters, not escaped");

    unit_ok(over("en=a&ep.page_title=", "v", 300, "", "") == 0, "a title");
    unit_ok(over("en=a&ep.page_title=", "v", 301, "", "")
            == SGTM_OVER_PARAM_VALUE, "a long title");
    unit_ok(over("en=a&ep.page_referrer=", "v", 420, "", "") == 0,
            "a referrer");
    unit_ok(over("en=a&ep.page_referrer=", "v", 421, "", "")
            == SGTM_OVER_PARAM_VALUE, "a long referrer");
    unit_ok(over("en=a&ep.page_location=", "v", 1000, "", "") == 0,
            "a location");
    unit_ok(over("en=a&ep.page_location=", "v", 1001, "", "")
            == SGTM_OVER_PARAM_VALUE, "a long location");
    unit_ok(over("en=a&dt=", "%%D0%%96", 300, "", "") == 0, "dt");
    unit_ok(over("en=a&dt=", "%%D0%%96", 301, "", "")
            == SGTM_OVER_PARAM_VALUE, "a long dt");
    unit_ok(over("en=a&dr=", "v", 420, "", "") == 0, "dr");
    unit_ok(over("en=a&dr=", "v", 421, "", "") == SGTM_OVER_PARAM_VALUE,
            "a long dr");
    unit_ok(over("en=a&dl=", "v", 1000, "", "") == 0, "dl");
    unit_ok(over("en=a", "", 0, "", "_et=1") == 0, "a line");
    unit_ok(over("en=a&dl=", "v", 1001, "", "") == SGTM_OVER_PARAM_VALUE,
            "a long dl");
    unit_ok(over("en=a&dx=", "v", 2000, "&gtm=1", "") == 0,
            "another key is as long as it likes");
}


static void
test_users(void)
{
    unit_ok(over("en=a", "&up.p%u=1", 25, "", "") == 0, "25 properties");
    unit_ok(over("en=a", "&up.p%u=1", 24, "&upn.a=1&upn.b=1", "")
            == SGTM_OVER_USER_PROPS, "26 properties");
    unit_ok(over("en=a&up.", "n", 24, "=1", "") == 0, "a property's name");
    unit_ok(over("en=a&up.", "n", 25, "=1", "") == SGTM_OVER_USER_PROP_NAME,
            "a property's long name");
    unit_ok(over("en=a&up.x=", "v", 36, "", "") == 0, "a property's value");
    unit_ok(over("en=a&upn.x=", "v", 37, "", "") == SGTM_OVER_USER_PROP_VALUE,
            "a property's long value");
    unit_ok(over("en=a&up.page_title=", "v", 37, "", "")
            == SGTM_OVER_USER_PROP_VALUE, "a property is no title");
    unit_ok(over("en=a&up.google_x=1", "", 0, "", "") == SGTM_OVER_RESERVED,
            "a property's reserved name");

    unit_ok(over("en=a&uid=", "%%41", 256, "", "") == 0, "a user id");
    unit_ok(over("en=a&uid=", "%%41", 257, "", "") == SGTM_OVER_USER_ID,
            "a long user id");
    unit_ok(over("en=a", "", 0, "", "en=b&uid=1\r\nen=c&u%69d=x") == 0,
            "a user id in a line");
}


static void
test_items(void)
{
    unit_ok(over("en=a", "&pr%u=idX~nmY", 200, "", "") == 0, "200 items");
    unit_ok(over("en=a", "&pr%u=idX~nmY", 201, "", "") == SGTM_OVER_ITEMS,
            "201 items");
    unit_ok(over("en=a&pr201=idX", "", 0, "", "") == SGTM_OVER_ITEMS,
            "an item of number 201");
    unit_ok(over("en=a&pr99999999999999999999=idX", "", 0, "", "")
            == SGTM_OVER_ITEMS, "an item of a large number");
    unit_ok(over("en=a&pr=1&prx=1&pr1x=1&p=1&pr0=1", "", 0, "", "") == 0,
            "what is no item");
    unit_ok(over("en=a", "", 0, "", "pr1=x\r\npr201=x") == SGTM_OVER_ITEMS,
            "an item in a line");

    unit_ok(over("en=a&pr1=idX", "~k%uname~v%unumber", 27, "", "") == 0,
            "27 custom parameters");
    unit_ok(over("en=a&pr1=idX", "~k%uname~vnumber", 28, "", "")
            == SGTM_OVER_ITEM_PARAMS, "28 custom parameters");
    unit_ok(over("en=a&pr1=idX", "%%7Ek%uname%%7evnumber", 28, "", "")
            == SGTM_OVER_ITEM_PARAMS, "28 with an escaped \"~\"");
    unit_ok(over("en=a&pr1=k0first~v0x", "~k%uname~vnumber", 27, "", "")
            == SGTM_OVER_ITEM_PARAMS, "28, one of them first");
    unit_ok(over("en=a&pr1=idX~nm", "k%u and ", 60, "", "") == 0,
            "a name that has many k");
}


int
main(void)
{
    unit_names(&names, sgtm_default_params);

    test_event_names();
    test_params();
    test_users();
    test_items();

    return unit_done();
}
