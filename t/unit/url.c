
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * URLs lose their denied arguments and nothing else, at every depth of
 * encoding; what is left is well formed, and a second cut finds nothing.
 */


#include "unit.h"


typedef struct {
    const char     *in;
    const char     *out;
} test_url_t;


#define ADS   SGTM_DENY_AD_STORAGE
#define USER  SGTM_DENY_AD_USER_DATA

/* as many anchors in each other as are looked into */
#define ANCHORS  64


static sgtm_names_t  names;


static const test_url_t  urls[] = {

    /* where the segment stands */
    { "https://s/?gclid=X", "https://s/" },
    { "https://s/?gclid=X&a=1", "https://s/?a=1" },
    { "https://s/?a=1&gclid=X", "https://s/?a=1" },
    { "https://s/?a=1&gclid=X&b=2", "https://s/?a=1&b=2" },
    { "https://s/?a=1&gclid=X#f", "https://s/?a=1#f" },
    { "https://s/?gclid=X#f", "https://s/#f" },
    { "https://s/?gclid=X&dclid=Y&a=1", "https://s/?a=1" },
    { "https://s/?a=1&gclid=X&dclid=Y", "https://s/?a=1" },
    { "https://s/?gclid=X&dclid=Y&fbclid=Z", "https://s/" },
    { "https://s/?gclid=X&a=1&dclid=Y&b=2&_gl=Z", "https://s/?a=1&b=2" },
    { "https://s/?a=1&gclid=X&b=2&gclid=Y#f", "https://s/?a=1&b=2#f" },
    { "?gclid=X", "" },
    { "?gclid=X&a", "?a" },
    { "&gclid=X", "" },
    { "#gclid=X", "" },

    /* names and values */
    { "https://s/?gclid", "https://s/" },
    { "https://s/?gclid&a=1", "https://s/?a=1" },
    { "https://s/?gclid=&a=1", "https://s/?a=1" },
    { "https://s/?GCLID=X&a=1", "https://s/?a=1" },
    { "https://s/?gc%6Cid=X&a=1", "https://s/?a=1" },
    { "https://s/?gc%256Cid=X&a=1", "https://s/?a=1" },
    { "https://s/?gc%25%36%43id=X&a=1", "https://s/?a=1" },
    { "https://s/?%67%63%6c%69%64=X&a=1", "https://s/?a=1" },
    { "https://s/?gclid%3DX&a=1", "https://s/?a=1" },
    { "https://s/?gclid=X=Y&a=1", "https://s/?a=1" },
    { "https://s/?gclid=X?Y&a=1", "https://s/?a=1" },
    { "https://s/?gclid2=X&a=gclid", "https://s/?gclid2=X&a=gclid" },
    { "https://s/?xgclid=X", "https://s/?xgclid=X" },
    { "https://s/gclid=X", "https://s/gclid=X" },
    { "gclid=X", "gclid=X" },
    { "https://s/?a=1&&b=2", "https://s/?a=1&&b=2" },
    { "https://s/??a=1", "https://s/??a=1" },
    { "https://s/??gclid=1", "https://s/?" },
    { "https://s/?a=1?gclid=1", "https://s/?a=1" },
    { "https://s/?a=1?gclid=1&b=2", "https://s/?a=1&b=2" },
    { "https://s/?u=https://o/?gclid=1&b=2", "https://s/?u=https://o/&b=2" },
    { "https://s/?u=https://o/?gclid=1&dclid=2&b#?gclid=3&c",
      "https://s/?u=https://o/&b#?c" },
    { "/%3Fu%3Do%3Fgclid%3D1%26b&v=o%3Fgclid%3D1%26b",
      "/%3Fu%3Do%26b&v=o%3Fb" },
    { "https://s/?&gclid=1&&b", "https://s/?&&b" },
    { "https://s/?=1&gclid=2", "https://s/?=1" },
    { "https://s/?utm_source=google&utm_medium=cpc&gad_source=1&gclid=Cj0K-_w"
      "&gbraid=0AAA", "https://s/?utm_source=google&utm_medium=cpc" },
    { "", "" },
    { "?", "?" },
    { "https://s/path", "https://s/path" },
    { "/p?q=100%25&gclid=1", "/p?q=100%25" },
    { "/p?q=%&gclid=1", "/p?q=%" },
    { "/p?q=%2&gclid=1", "/p?q=%2" },
    { "/p?q=%25&gclid=1", "/p?q=%25" },
    { "/p?q=%252&gclid=1%", "/p?q=%252" },

    /* as HTML has it */
    { "/p?a=1&amp;gclid=X", "/p?a=1" },
    { "/p?a=1&amp;gclid=X&amp;b=2", "/p?a=1&amp;b=2" },
    { "/p?gclid=X&amp;b=2", "/p?b=2" },
    { "/p?a=1&AMP;gclid=X", "/p?a=1" },
    { "/p?a=1&amp;amp;gclid=X&amp;amp;b", "/p?a=1&amp;amp;b" },
    { "%2Fp%3Fa%3D1%26amp%3Bgclid%3DX%26b", "%2Fp%3Fa%3D1%26b" },
    { "%252Fp%253Fa%253D1%2526amp%253Bgclid%253DX", "%252Fp%253Fa%253D1" },
    { "/p?a=1&%61mp;gclid=X&%61%6dp%3Bb", "/p?a=1&%61%6dp%3Bb" },
    { "/p?a=1&amp;b=2&am", "/p?a=1&amp;b=2&am" },
    { "/p?a=1&ampgclid=X&amp%3", "/p?a=1&ampgclid=X&amp%3" },

    /* fragments */
    { "https://s/#gclid=X&a=1", "https://s/#a=1" },
    { "https://s/#a=1&gclid=X", "https://s/#a=1" },
    { "https://s/#/route?gclid=X", "https://s/#/route" },
    { "https://s/#/route?gclid=X&a=1", "https://s/#/route?a=1" },
    { "https://s/#!/route?a=1&gclid=X", "https://s/#!/route?a=1" },
    { "https://s/?gclid=X#gclid=Y", "https://s/" },
    { "https://s/?gclid=X#gclid=Y&a", "https://s/#a" },
    { "https://s/#gclid", "https://s/#gclid" },
    { "https://s/?a#section-2", "https://s/?a#section-2" },
    { "https%3A%2F%2Fs%2F%3Fgclid%3DX%23top", "https%3A%2F%2Fs%2F%23top" },

    /* within each other */
    { "https%3A%2F%2Fs%2F%3Fgclid%3DX", "https%3A%2F%2Fs%2F" },
    { "https%3A%2F%2Fs%2F%3fgclid%3dX%26a%3d1", "https%3A%2F%2Fs%2F%3fa%3d1" },
    { "https%3A%2F%2Fs%2F%3Fr%3Dhttps%253A%252F%252Fo%253Fgclid%253DX%2526a"
      "%253D1%26b%3D2",
      "https%3A%2F%2Fs%2F%3Fr%3Dhttps%253A%252F%252Fo%253Fa%253D1%26b%3D2" },
    { "https%3A%2F%2Fs%2F%3Fr%3Dhttps%253A%252F%252Fo%253Fgclid%253DX%26b%3D2",
      "https%3A%2F%2Fs%2F%3Fr%3Dhttps%253A%252F%252Fo%26b%3D2" },
    { "https%3A%2F%2Fs%2F%3Fr%3Dhttps%253A%252F%252Fo%253Fa%2526gclid%253DX%26"
      "gclid%3D2%26c",
      "https%3A%2F%2Fs%2F%3Fr%3Dhttps%253A%252F%252Fo%253Fa%26c" },
    { "https://s/?gclid=https%3A%2F%2Fo%3Fa%3D1%26b%3D2&c=3",
      "https://s/?c=3" },
    { "https://s/?u=https%3A%2F%2Fo%3Fgclid%3D1&c=3",
      "https://s/?u=https%3A%2F%2Fo&c=3" },
    { "https://s/?u=https%3A%2F%2Fo%3Fgclid%3D1%26x#f",
      "https://s/?u=https%3A%2F%2Fo%3Fx#f" },
    { "https://s/?u=o%23gclid%3D1&c=3", "https://s/?u=o&c=3" },
    { "/?u=%252525253Fgclid%252525253D1%2525252526a", "/?u=%252525253Fa" },
    { "/?u=a%26gclid%3D1&b", "/?u=a&b" },
    { "/?u=a%26gclid%3D1%26c&b", "/?u=a%26c&b" },
    { "/?u=%3Fgclid=1&b", "/?u=&b" }
};


/*
 * A fragment is a place in the page, or arguments if there is a "=": whoever
 * has decoded the URL less often than all of its delimiters are encoded does
 * not see the deeper ones, and reads on to the "=".
 */

static const test_url_t  anchors[] = {

    /* the name's end is behind deeper delimiters */
    { "#ep.user_data.%3F=1", "" },
    { "#ep.user_data.%253F=", "" },
    { "#ep.user_data.%253F%3D1", "" },
    { "%23ep.user_data.%253F=", "" },
    { "/p#ep.user_data.%26=1", "/p" },
    { "/p#ep.user_data.%23=1", "/p" },
    { "/p#ep.user_data.x%2526y%3Fz=1", "/p" },
    { "/p#epn.user_data.x%3F=1", "/p" },
    { "/p#EP.USER%5FDATA.%253f=1", "/p" },
    { "/p#ep.user_data.%26amp;a=1", "/p" },
    { "/p#ep.user_data.%253F%26a=1", "/p" },
    { "/p#ep.user_data.%26a%3D1=2", "/p" },
    { "/p#ep.user_data.x%3D1", "/p" },
    { "/p#ep.user_data.%3F=1&a=2", "/p#a=2" },
    { "/p#ep.user_data.%3F=1%26x%3D2&a", "/p#a" },
    { "/p#ep.user_data.%3F=1&ep.user_data.%26=2&a", "/p#a" },
    { "/p#ep.user_data.%3F=1#top", "/p#top" },
    { "/p#ep.user_data.%3F=1#ep.user_data.%3F", "/p#ep.user_data.%3F" },
    { "/p?em=123456#ep.user_data.%253Fabcdef=1&b", "/p#b" },
    { "/p#ep.user_data.%3Fa%3Db=1&u%3Fem=1%26b", "/p#u%3Fb" },

    /* the "=" is that of another one, too */
    { "/p#ep.user_data.%26em=1&a", "/p#a" },
    { "/p#ep.user_data.%26em%253F=1&a", "/p#a" },
    { "/p#ep.user_data.%26em?%26a=1", "/p" },
    { "/p#ep.user_data.%2526em%3D1%26a&b", "/p#b" },

    /* a place */
    { "/p#ep.user_data.", "/p#ep.user_data." },
    { "/p#ep.user_data.%3F", "/p#ep.user_data.%3F" },
    { "/p#ep.user_data.%253F%26%23", "/p#ep.user_data.%253F%26%23" },
    { "/p#ep.user_data.%3F&a=1", "/p#ep.user_data.%3F&a=1" },
    { "/p#ep.user_data.%3F?a=1", "/p#ep.user_data.%3F?a=1" },
    { "/p#ep.user_data.%3F#a=1", "/p#ep.user_data.%3F#a=1" },
    { "/p#ep.user_data.%26a%3D1", "/p#ep.user_data.%26a%3D1" },
    { "/p#ep.user_data.%26a%253D1", "/p#ep.user_data.%26a%253D1" },
    { "/p%23ep.user_data.%2526a&b=1", "/p%23ep.user_data.%2526a&b=1" },
    { "/p#ep.user_data.%3F&em=1", "/p#ep.user_data.%3F" },
    { "/p#ep.user_data.%2526em%253D1%26b", "/p#ep.user_data.%26b" },
    { "/p#ep.user_data.%26em?%26b", "/p#ep.user_data.%26b" },
    { "/p#ep.user_data.%26em?a=1&b", "/p#ep.user_data.&b" },
    { "/p#em%3F=1", "/p#em%3F=1" },
    { "/p#xep.user_data.%3F=1", "/p#xep.user_data.%3F=1" },

    /* within each other */
    { "/p#x%23ep.user_data.%2526%3D1%26a", "/p#x%23a" },
    { "/p#x%23ep.user_data.%2526=1&a", "/p#x&a" },
    { "/p#ep.user_data.%23ep.user_data.%252523=1", "/p" },
    { "/p#ep.user_data.%23ep.user_data.%2526%3D1", "/p#ep.user_data." },
    { "/p#ep.user_data.%23ep.user_data.%2526%3D1&a", "/p#ep.user_data.&a" },
    { "/p#ep.user_data.%23ep.user_data.%2526a",
      "/p#ep.user_data.%23ep.user_data.%2526a" },
    { "/p#ep.user_data.%23ep.user_data.%2526%26=1&a", "/p#a" },
    { "/p#ep.user_data.%2523ep.user_data.%252526%26%3D1",
      "/p#ep.user_data.%2523ep.user_data.%252526%26%3D1" }
};


static void
check(unsigned deny, const test_url_t *url)
{
    size_t          n;
    sgtm_str_t      in, again;
    unsigned char  *out;

    in = unit_str(url->in);
    out = unit_alloc(in.len);

    n = sgtm_redact_url(&names, deny, &in, out);
    unit_is(out, n, url->out, url->in);

    again = unit_bytes(out, n);
    n = sgtm_redact_url(&names, deny, &again, out);
    unit_is(out, n, url->out, "  again");

    n = sgtm_redact_url(&names, 0, &in, out);
    unit_is(out, n, url->in, "  nothing is denied");

    n = sgtm_redact_url(&names, deny, &in, in.data);
    unit_is(in.data, n, url->out, "  in place");
}


static void
test_urls(void)
{
    size_t      i;
    sgtm_str_t  in;

    for (i = 0; i < unit_nelts(urls); i++) {
        check(ADS, &urls[i]);
    }

    for (i = 0; i < unit_nelts(anchors); i++) {
        check(USER, &anchors[i]);
    }

    in.len = 0;
    in.data = NULL;
    unit_ok(sgtm_redact_url(&names, ADS, &in, NULL) == 0, "no URL at all");
}


/* the same URL, encoded any number of times */

static void
test_depths(void)
{
    size_t          n;
    unsigned        depth, bad;
    sgtm_str_t      in, want;
    unsigned char  *out, *code;

    bad = 0;

    in = unit_str("https://s/p?a=1&gclid=X%20Y&b=2&u=//o?fbclid=Z#top");
    want = unit_str("https://s/p?a=1&b=2&u=//o#top");

    for (depth = 0; depth < 8; depth++) {

        out = unit_alloc(in.len);
        n = sgtm_redact_url(&names, ADS, &in, out);

        bad += (n != want.len || memcmp(out, want.data, n) != 0);

        code = unit_alloc(sgtm_args_encode(NULL, &in));
        in.len = sgtm_args_encode(code, &in);
        in.data = code;

        code = unit_alloc(sgtm_args_encode(NULL, &want));
        want.len = sgtm_args_encode(code, &want);
        want.data = code;
    }

    unit_ok(bad == 0, "eight depths");
}


/* an anchor in an anchor, n times, each encoded once more; no "=" at all */

static sgtm_str_t
nested(size_t n)
{
    size_t          i, j;
    sgtm_str_t      str;
    unsigned char  *p;

    str.data = unit_alloc(n * (n * 2 + 32) + 1);
    p = str.data;

    for (i = 0; i < n; i++) {
        *p++ = i ? '%' : '#';

        for (j = 1; j < i; j++) {
            *p++ = '2';
            *p++ = '5';
        }

        p += sprintf((char *) p, "%sep.user_data.", i ? "23" : "");
    }

    str.len = (size_t) (p - str.data);

    return str;
}


/* too many to be looked into are no anchors that anybody made */

static void
test_nested(void)
{
    size_t          n;
    sgtm_str_t      in, less;
    unsigned char  *out;

    in = nested(ANCHORS + 1);
    out = unit_alloc(in.len);
    n = sgtm_redact_url(&names, USER, &in, out);

    unit_ok(n == in.len && memcmp(out, in.data, n) == 0,
            "anchors in anchors stay");

    in.data[in.len++] = '=';
    out = unit_alloc(in.len);
    n = sgtm_redact_url(&names, USER, &in, out);

    unit_ok(n == 0, "not when there is a \"=\"");

    /* the last has nothing deeper in it */

    in = nested(ANCHORS + 2);
    less = nested(ANCHORS);
    out = unit_alloc(in.len);
    n = sgtm_redact_url(&names, USER, &in, out);

    unit_ok(n == less.len && memcmp(out, less.data, n) == 0,
            "nor those within too many");
}


/* what an operator allows is the very name, not all that begin so */

static void
test_allowed(void)
{
    size_t        i;
    sgtm_str_t    name;
    sgtm_rule_t  *rule;

    static const test_url_t  allowed[] = {
        { "?ep.user_data.x=1&ep.user_data.y=2", "?ep.user_data.x=1" },
        { "?u=o%3Fep.user_data.x%3D1&a", "?u=o%3Fep.user_data.x%3D1&a" },
        { "#ep.user_data.x=1&a", "#ep.user_data.x=1&a" },
        { "?ep.user_data.x%3F=1&a", "?a" },
        { "#ep.user_data.x%3F=1&a", "#a" },
        { "#ep.user_data.x%3D=1&a", "#a" },
        { "#ep.user_data.x%3F", "#ep.user_data.x%3F" },
        { "#ep.user_data.x%3D1", "#ep.user_data.x%3D1" }
    };

    name = unit_str("ep.user_data.x");
    rule = sgtm_names_add(&names, &name);
    rule->deny = 0;

    for (i = 0; i < unit_nelts(allowed); i++) {
        check(USER, &allowed[i]);
    }
}


int
main(void)
{
    unit_names(&names, sgtm_default_params);

    test_urls();
    test_depths();
    test_nested();
    test_allowed();

    return unit_done();
}
