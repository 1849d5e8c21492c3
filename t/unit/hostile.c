
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Input that nobody's browser sends: it ends in a reason, nothing is read past
 * its end, and the rewriting of what a passed path may carry stays in bounds.
 * What costs more than its length would show here as a test that takes minutes.
 */


#include "unit.h"


#define MEGABYTE  (1024 * 1024)


static sgtm_names_t  names;

static sgtm_str_t  id_list[] = { sgtm_string("G-ABC1234567") };

static const sgtm_ids_t  ids = { id_list, 1 };


/* "head", then "unit" again and again up to size bytes, then "tail" */

static sgtm_str_t
fill(const char *head, const char *unit, size_t len, size_t size,
    const char *tail)
{
    size_t          n;
    sgtm_str_t      str;
    unsigned char  *p;

    n = (size - strlen(head) - strlen(tail)) / len;

    str.len = strlen(head) + n * len + strlen(tail);
    str.data = unit_alloc(str.len);

    p = str.data;
    memcpy(p, head, strlen(head));
    p += strlen(head);

    for ( /* void */ ; n; n--) {
        memcpy(p, unit, len);
        p += len;
    }

    memcpy(p, tail, strlen(tail));

    return str;
}


#define megabyte(head, unit, tail)                                            \
    fill(head, unit, sizeof(unit) - 1, MEGABYTE, tail)


static unsigned
reason(const sgtm_str_t *query, const sgtm_str_t *body)
{
    sgtm_ga4_t  hit;

    if (sgtm_ga4_parse(&hit, &names, &ids, query, body) == SGTM_OK) {
        return SGTM_REASON_NONE;
    }

    return hit.reason ? hit.reason : 255;
}


#define QE  "v=2&tid=G-ABC1234567&en=page_view"


static void
test_counts(void)
{
    size_t          i;
    sgtm_str_t      query, body, none, good;
    unsigned char  *p;

    none = unit_str("");
    good = unit_str(QE);

    query = megabyte(QE, "&", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_TOO_MANY_ARGS,
            "a megabyte of \"&\"");
    unit_ok(reason(&good, &query) == SGTM_REASON_TOO_MANY_ARGS,
            "a megabyte of \"&\" in a line");

    query = fill(QE, "&k12345=1", 9, 9 * 100000, "");
    unit_ok(reason(&query, &none) == SGTM_REASON_TOO_MANY_ARGS,
            "100,000 keys");

    query.data = unit_alloc(16 * SGTM_MAX_ARGS);
    p = query.data + sprintf((char *) query.data, QE);

    for (i = 3; i < SGTM_MAX_ARGS; i++) {
        p += sprintf((char *) p, "&k%u=1", (unsigned) i);
    }

    query.len = (size_t) (p - query.data);
    unit_ok(reason(&query, &none) == SGTM_REASON_NONE, "SGTM_MAX_ARGS keys");

    *p++ = '&';
    query.len++;
    unit_ok(reason(&query, &none) == SGTM_REASON_TOO_MANY_ARGS,
            "SGTM_MAX_ARGS keys and one");

    body = fill("", "en=a\r\n", 6, 6 * SGTM_MAX_EVENTS, "");
    unit_ok(reason(&good, &body) == SGTM_REASON_NONE,
            "SGTM_MAX_EVENTS events");

    body = fill("", "en=a\n\r\n", 7, 7 * (SGTM_MAX_EVENTS + 1), "");
    unit_ok(reason(&good, &body) == SGTM_REASON_TOO_MANY_EVENTS,
            "SGTM_MAX_EVENTS events and one");

    body = megabyte("", "\n", "");
    unit_ok(reason(&good, &body) == SGTM_REASON_NONE,
            "a megabyte of empty lines is one event");

    body = megabyte("", "en=a\n", "");
    unit_ok(reason(&good, &body) == SGTM_REASON_TOO_MANY_EVENTS,
            "a megabyte of events");
}


static void
test_bytes(void)
{
    char        text[64];
    size_t      i;
    sgtm_str_t  query, none, good;

    none = unit_str("");
    good = unit_str(QE);

    query = megabyte(QE "&a=", "%", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_BAD_ESCAPE,
            "a megabyte of \"%%\"");

    query = megabyte(QE "&a=", "%2", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_BAD_ESCAPE,
            "a megabyte of truncated escapes");

    query = megabyte(QE "&a=", "%20", "%2");
    unit_ok(reason(&query, &none) == SGTM_REASON_BAD_ESCAPE,
            "a megabyte whose end is a truncated escape");

    query = megabyte(QE "&a=", "\0", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_BAD_BYTE,
            "a megabyte of NUL");

    query = megabyte(QE "&a=", "\xff", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_BAD_UTF8,
            "a megabyte of 0xff");

    query = megabyte(QE "&a=", "\xe2\x82\xac", "\xe2\x82");
    unit_ok(reason(&query, &none) == SGTM_REASON_BAD_UTF8,
            "a megabyte of UTF-8 that is cut");

    query = megabyte(QE "&a=", "\xe2%82\xac", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_NONE,
            "a megabyte of UTF-8");

    query = megabyte(QE "&ep.a=", "%25", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_NONE,
            "a megabyte of \"%%25\"");

    query = megabyte(QE "&", "25", "=1");
    unit_ok(reason(&query, &none) == SGTM_REASON_NONE,
            "a key of a megabyte");

    query = megabyte(QE "&e", "%70", "=1");
    unit_ok(reason(&query, &none) == SGTM_REASON_NONE,
            "an escaped key of a megabyte");

    query = megabyte("v=2&en=a&tid=", "A", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_BAD_TAG_ID,
            "a tid of a megabyte");

    query = megabyte("v=2&tid=G-ABC1234567&en=", "A", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_NONE,
            "an event's name of a megabyte");

    query = megabyte("", "=", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_NO_VERSION,
            "a megabyte of \"=\"");

    query = megabyte("", "v", "");
    unit_ok(reason(&query, &none) == SGTM_REASON_NO_VERSION,
            "a megabyte of nothing");

    /* all bytes that a hit can be cut at */

    for (i = 0; i < good.len; i++) {
        query = unit_bytes(good.data, i);

        if (reason(&query, &none) == SGTM_REASON_NONE
            && i < sizeof("v=2&tid=G-ABC1234567&en=") )
        {
            snprintf(text, sizeof(text), "cut at %u", (unsigned) i);
            unit_ok(0, "%s", text);
        }
    }

    unit_ok(1, "a hit that is cut anywhere");
}


/* what each function makes of it stays within what it may write */

static void
test_rewriting(void)
{
    size_t           i, n;
    sgtm_str_t       in, decoded;
    sgtm_names_t     cookies;
    sgtm_rewrite_t   rewrite;
    unsigned char   *out;

    const sgtm_str_t  inputs[] = {
        megabyte("", "&", ""),
        megabyte("", "?", ""),
        megabyte("", "#", ""),
        megabyte("", "%", ""),
        megabyte("", "%25", ""),
        megabyte("%", "25", ""),
        megabyte("%", "25", "3F"),
        megabyte("", "%253F", ""),
        megabyte("", "?gclid=1", ""),
        megabyte("", "&gclid=1", ""),
        megabyte("", "#gclid=1", ""),
        megabyte("a=?", "gclid=%26", ""),
        megabyte("a=", "%3Fgclid%3D1%26", ""),
        megabyte("a=?", "gclid%2525252526", ""),
        megabyte("#ep.user_data.%26", "%3D", ""),
        megabyte("#ep.user_data.%23ep.user_data.%2526", "%25253D", "=1"),
        megabyte("", "#ep.user_data.%23ep.user_data.%2526&", ""),
        megabyte("", "#ep.user_data.%2523ep.user_data.%252526%3D1", "=1"),
        megabyte("a=?", "%", "gclid=1"),
        megabyte("a=?", "%25", "=1"),
        megabyte("a=?", "%25%32%35", "=1"),
        megabyte("a=?&", "amp;", "gclid=1"),
        megabyte("a=?", "&amp;gclid=1", ""),
        megabyte("a=?&", "amp%3B", "gclid=1"),
        megabyte("", "gclid=1&", ""),
        megabyte("", "gclid=1\r\n", ""),
        megabyte("", "\n", ""),
        megabyte("", "\r", ""),
        megabyte("cid=", "%", ""),
        megabyte("cid=", "1%", "3"),
        megabyte("cid=", "%31", ""),
        megabyte("", "cid=1&", ""),
        megabyte("", "npa=0&", ""),
        megabyte("", "richsstsse&", "richsstsse"),
        megabyte("", "\0", ""),
        megabyte("", "\xff", ""),
        megabyte("", ";", ""),
        megabyte("", "_ga=1;", ""),
        megabyte("", "_fbp", "=1"),
        megabyte("", " ", "_ga=1"),
        megabyte("_ga", " ", "=1"),
        megabyte("_ga=", "=", "")
    };

    memset(&rewrite, 0, sizeof(sgtm_rewrite_t));

    unit_names(&cookies, sgtm_default_cookies);

    rewrite.names = &names;
    rewrite.deny = 0x3f;
    rewrite.npa = 1;
    rewrite.fresh = 1;

    for (i = 0; i < unit_nelts(inputs); i++) {

        in = inputs[i];

        out = unit_alloc(sgtm_rewrite_size(&rewrite, in.len));
        n = sgtm_rewrite_query(&rewrite, &in, out);
        unit_ok(n <= sgtm_rewrite_size(&rewrite, in.len)
                && n >= sizeof("npa=1") - 1, "query %u", (unsigned) i);

        out = unit_alloc(in.len);
        n = sgtm_rewrite_body(&rewrite, &in, out);
        unit_ok(n <= in.len, "body %u", (unsigned) i);

        n = sgtm_redact_url(&names, 0x3f, &in, out);
        unit_ok(n <= in.len, "URL %u", (unsigned) i);

        n = sgtm_redact_cookies(&cookies, SGTM_DENY_AD_STORAGE, &in, out, NULL);
        unit_ok(n <= in.len, "cookies %u", (unsigned) i);

        unit_ok(sgtm_ga4_encoded(&in, out, &decoded) == SGTM_DECLINED
                && sgtm_ga4_is_hit(&names, &in) == 0, "no hit %u",
                (unsigned) i);
    }

    in = megabyte("", "dj0yJng9", "MTIz");
    out = unit_alloc(in.len);
    unit_ok(sgtm_ga4_encoded(&in, out, &decoded) == SGTM_OK
            && decoded.len > in.len / 2, "an encoded megabyte");
}


int
main(void)
{
    unit_names(&names, sgtm_default_params);

    test_counts();
    test_bytes();
    test_rewriting();

    return unit_done();
}
