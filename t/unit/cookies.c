
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The Cookie header is an allow-list: a shop's session that went upstream, or
 * a pair whose separator got lost and so swallowed its neighbour, would be a
 * leak.
 */


#include "unit.h"


#define ADS        SGTM_DENY_AD_STORAGE
#define ANALYTICS  SGTM_DENY_ANALYTICS_STORAGE


static const struct {
    const char     *in;
    unsigned        deny;
    const char     *out;
} headers[] = {
    { "_ga=1", 0, "_ga=1" },
    { "session=1", 0, "" },
    { "session=1; _ga=2", 0, "_ga=2" },
    { "_ga=2; session=1", 0, "_ga=2" },
    { "_ga=2; session=1; _gid=3", 0, "_ga=2; _gid=3" },
    { "a=1; _ga=2; b=3; _ga_ABC=4; c=5", 0, "_ga=2; _ga_ABC=4" },
    { "_ga=1;_gid=2", 0, "_ga=1;_gid=2" },
    { "a=1;_ga=1;b=2; _gid=2", 0, "_ga=1; _gid=2" },
    { "a=1;   _ga=1;\t_gid=2", 0, "_ga=1;\t_gid=2" },
    { "  _ga=1", 0, "_ga=1" },
    { "_ga=1;", 0, "_ga=1" },
    { "_ga=1; ", 0, "_ga=1" },
    { ";;_ga=1;;", 0, "_ga=1" },
    { "", 0, "" },
    { ";", 0, "" },
    { "=", 0, "" },
    { "=_ga", 0, "" },
    { "_ga", 0, "" },
    { "FPID; _ga=1", 0, "_ga=1" },
    { "_ga=", 0, "_ga=" },
    { "_ga==; x", 0, "_ga==" },
    { "_ga =1; _gid\t =2", 0, "_ga =1; _gid\t =2" },
    { "_GA=1; fpid=2", 0, "" },
    { "_gax=1; x_ga=2; _ga_=3", 0, "_ga_=3" },
    { "x=\"; _ga=1; \"", 0, "_ga=1" },
    { "_ga=\"a=b\"; x", 0, "_ga=\"a=b\"" },
    { "session=_ga=1", 0, "" },
    { "_ga=1; _ga=2", 0, "_ga=1; _ga=2" },
    { "gtm_auth=1; gtm_debug=2; gtm_preview=3; gtm_other=4", 0x3f,
      "gtm_auth=1; gtm_debug=2; gtm_preview=3" },

    { "_ga=1; _gcl_au=2", ADS, "_ga=1" },
    { "_ga=1; _gcl_au=2", ANALYTICS, "_gcl_au=2" },
    { "_ga=1; _gcl_au=2", ADS|ANALYTICS, "" },
    { "_ga=1; _gcl_au=2", SGTM_DENY_AD_USER_DATA|SGTM_DENY_AD_PERSONALIZATION
      |SGTM_DENY_ANY|SGTM_DENY_ADDRESS, "_ga=1; _gcl_au=2" },
    { "FPGSID=1; FPGCLAW=2; FPGCL=3; FPGX=4", ADS, "FPGSID=1" },
    { "FPGSID=1; FPGCLAW=2; FPGCL=3; FPGX=4", ANALYTICS,
      "FPGCLAW=2; FPGCL=3" }
};


/* the same, wherever in a long header it is */

static void
test_places(const sgtm_names_t *names)
{
    char            text[1024];
    size_t          i, n, pad, len;
    unsigned        bad;
    sgtm_str_t      in;
    unsigned char  *out;

    for (i = 0; i < unit_nelts(headers); i++) {

        bad = 0;

        for (pad = 2; pad < 140; pad++) {

            len = strlen(headers[i].in);

            memset(text, 'x', sizeof(text));
            memcpy(text, "s=", 2);
            memcpy(text + pad, "; ", 2);
            memcpy(text + pad + 2, headers[i].in, len);
            memcpy(text + pad + 2 + len, ";y=", 3);

            in = unit_bytes(text, len + 2 * pad + 5);
            out = unit_alloc(in.len);

            n = sgtm_redact_cookies(names, headers[i].deny, &in, out, NULL);

            bad += (n != strlen(headers[i].out)
                    || memcmp(out, headers[i].out, n) != 0);
        }

        unit_ok(bad == 0, "at every place: %s", headers[i].in);
    }
}


/*
 * What was written before it was known what is denied: whether that drops none
 * of it, all of it, or some, is told without a look at it.
 */

static void
test_kinds(const sgtm_names_t *names)
{
    size_t          i, n, m;
    unsigned        deny, bad;
    uint64_t        kinds, dropped;
    sgtm_str_t      in, once;
    unsigned char  *out, *again;

    bad = 0;

    for (i = 0; i < unit_nelts(headers); i++) {

        in = unit_str(headers[i].in);
        out = unit_alloc(in.len);
        n = sgtm_redact_cookies(names, 0, &in, out, &kinds);

        once = unit_bytes(out, n);
        again = unit_alloc(n);

        for (deny = 0; deny < 0x40; deny++) {

            m = sgtm_redact_cookies(names, deny, &once, again, NULL);
            dropped = sgtm_redact_kinds(kinds, deny);

            bad += ((dropped == kinds) != (m == 0));
            bad += ((dropped == 0 && n) != (m == n && n));
        }
    }

    unit_ok(bad == 0, "the kinds of cookies tell what denials drop");
}


int
main(void)
{
    size_t          i, n;
    unsigned        bad;
    sgtm_str_t      in, name;
    uint64_t        kinds;
    sgtm_names_t    names;
    unsigned char  *out;

    unit_names(&names, sgtm_default_cookies);

    for (i = 0; i < unit_nelts(headers); i++) {

        in = unit_str(headers[i].in);
        out = unit_alloc(in.len);

        n = sgtm_redact_cookies(&names, headers[i].deny, &in, out, NULL);
        unit_is(out, n, headers[i].out, headers[i].in);

        in = unit_bytes(out, n);
        n = sgtm_redact_cookies(&names, headers[i].deny, &in, in.data, NULL);
        unit_is(in.data, n, headers[i].out, "  again, in place");
    }

    test_places(&names);

    in.len = 0;
    in.data = NULL;
    kinds = 1;
    unit_ok(sgtm_redact_cookies(&names, 0, &in, NULL, &kinds) == 0
            && kinds == 0, "no header");

    test_kinds(&names);

    name = unit_str("FPID");
    unit_ok(sgtm_redact_cookie(&names, 0, &name)
            && sgtm_redact_cookie(&names, ADS, &name)
            && !sgtm_redact_cookie(&names, ANALYTICS, &name), "FPID");

    name = unit_str("session");
    unit_ok(!sgtm_redact_cookie(&names, 0, &name), "no cookie of the list");

    name = unit_str("");
    unit_ok(!sgtm_redact_cookie(&names, 0, &name), "no name");

    /* an operator's cookie, and all of them */

    name = unit_str("mine");
    sgtm_names_add(&names, &name)->flags |= SGTM_NAME_ALLOW;
    in = unit_str("mine=1; mine2=2");
    out = unit_alloc(in.len);
    n = sgtm_redact_cookies(&names, ADS, &in, out, NULL);
    unit_is(out, n, "mine=1", "an operator's cookie");

    name = unit_str("*");
    sgtm_names_add(&names, &name)->flags |= SGTM_NAME_ALLOW;
    in = unit_str("mine=1; mine2=2; _gcl_au=3; =4");
    out = unit_alloc(in.len);
    n = sgtm_redact_cookies(&names, ADS, &in, out, NULL);
    unit_is(out, n, "mine=1; mine2=2; =4", "all cookies but the denied");

    /* many */

    in.data = unit_alloc(400000);
    in.len = 0;

    for (i = 0; i < 20000; i++) {
        in.len += (size_t) sprintf((char *) in.data + in.len, "%s=%u; ",
                                   i % 4 ? "_ga" : "_fbp", (unsigned) i % 10);
    }

    in.len -= 2;
    out = unit_alloc(in.len);
    n = sgtm_redact_cookies(&names, ADS, &in, out, NULL);

    for (i = 0, bad = 0; i < n; i++) {
        bad += (out[i] == 'f');
    }

    unit_ok(bad == 0 && n == 15000 * 7 - 2, "20,000 cookies");

    return unit_done();
}
