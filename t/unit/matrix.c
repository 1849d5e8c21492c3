
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The whole matrix of what each denial removes: every combination of denials
 * by every listed parameter and cookie, in a query, in a line, in an URL's
 * query and fragment, and in URLs within it.  The lists here are written from
 * the protocol's text, not from the tables that they test.
 */


#include "unit.h"


#define ADS        SGTM_DENY_AD_STORAGE
#define ANALYTICS  SGTM_DENY_ANALYTICS_STORAGE
#define USER       SGTM_DENY_AD_USER_DATA
#define ADDRESS    (SGTM_DENY_ANY|SGTM_DENY_ADDRESS)

#define ALL        0x40                /* masks below this */


typedef struct {
    const char     *name;
    unsigned        deny;
} test_name_t;


static const test_name_t  params[] = {

    /* analytics_storage */
    { "uid", ANALYTICS|USER },
    { "_fid", ANALYTICS },
    { "ecid", ANALYTICS },
    { "_fplc", ANALYTICS },
    { "_gsid", ANALYTICS },
    { "sct", ANALYTICS },
    { "seg", ANALYTICS },
    { "_fv", ANALYTICS },
    { "_ss", ANALYTICS },
    { "_nsi", ANALYTICS },
    { "_gl", ANALYTICS|ADS },

    /* ad_storage */
    { "gclid", ADS },
    { "dclid", ADS },
    { "gbraid", ADS },
    { "wbraid", ADS },
    { "gad_source", ADS },
    { "gad_campaignid", ADS },
    { "srsltid", ADS },
    { "fbclid", ADS },
    { "msclkid", ADS },
    { "ttclid", ADS },
    { "twclid", ADS },
    { "li_fat_id", ADS },
    { "auid", ADS },
    { "gclaw", ADS },
    { "gclgb", ADS },
    { "gclgs", ADS },
    { "_rnd", ADS },
    { "gacid", ADS },

    /* ad_user_data */
    { "ep.user_data.email", USER },
    { "ep.user_data.address.street", USER },
    { "epn.user_data.phone_number", USER },
    { "em", USER },
    { "ec_mode", USER },

    /* any */
    { "_uip", ADDRESS },
    { "uip", ADDRESS },

    /* none of them */
    { "v", 0 }, { "tid", 0 }, { "gtm", 0 }, { "_p", 0 }, { "_s", 0 },
    { "cid", 0 }, { "sid", 0 }, { "en", 0 }, { "_et", 0 }, { "dt", 0 },
    { "ul", 0 }, { "sr", 0 }, { "gcs", 0 }, { "gcd", 0 }, { "npa", 0 },
    { "dma", 0 }, { "dma_cps", 0 }, { "pscdl", 0 }, { "ur", 0 },
    { "_geo", 0 }, { "cm", 0 }, { "cs", 0 }, { "utm_source", 0 },
    { "ep.currency", 0 }, { "epn.value", 0 }, { "up.plan", 0 },
    { "ep.gclid", 0 }, { "sst.gclid", 0 }, { "gcl", 0 }, { "pr1", 0 },
    { "uafvl", 0 }, { "ep.user_id", 0 }
};


static const test_name_t  cookies[] = {
    { "_ga", ANALYTICS },
    { "_ga_ABC1234567", ANALYTICS },
    { "_gid", ANALYTICS },
    { "FPID", ANALYTICS },
    { "FPLC", ANALYTICS },
    { "FPGSID", ANALYTICS },
    { "_dcid", ANALYTICS },

    { "_gcl_au", ADS },
    { "_gcl_aw", ADS },
    { "_gcl_dc", ADS },
    { "FPAU", ADS },
    { "FPGCLAW", ADS },
    { "FPGCLGS", ADS },
    { "FPGCLGB", ADS },
    { "FPGCLDC", ADS },
    { "_fbp", ADS },
    { "_fbc", ADS },

    { "gtm_auth", 0 },
    { "gtm_debug", 0 },
    { "gtm_preview", 0 }
};


static const char  *strangers[] = {
    "session", "PHPSESSID", "csrftoken", "cart", "_g", "_gaexp", "ga",
    "FPIDX", "euconsent-v2", "IDE", "gtm_authx", "_fb"
};


/* where an argument may lie: %s is its name */

static const test_name_t  places[] = {
    { "%s=X", 0 },
    { "a=1&%s=X&b=2", 0 },
    { "%s=X&%s=Y&b=2", 0 },
    { "dl=https%%3A%%2F%%2Fs%%2F%%3F%s%%3DX", 1 },
    { "dl=https%%3A%%2F%%2Fs%%2F%%3Fa%%3D1%%26%s%%3DX%%26b%%23c", 1 },
    { "dr=https%%3A%%2F%%2Fs%%2F%%23%s%%3DX%%26a%%3D1", 1 },
    { "ep.page_location=%%2F%%23%%2Froute%%3F%s%%3DX", 1 },
    { "dl=%%2F%%3Fr%%3D%%252F%%253F%s%%253DX%%2526a%%253D1%%26b%%3D2", 1 },
    { "dl=%%2F%%3Fr%%3D%%252F%%253Fr%%253D%%25252F%%25253F%s%%25253DX", 1 },
    { "dt=Title%%3F%s%%3DX", 1 }
};


static sgtm_names_t  names;


/* whether the marks of a denied argument are gone, of another one there */

static unsigned
wrong(const unsigned char *out, size_t len, const sgtm_str_t *in, int denied)
{
    size_t  i;

    if (!denied) {
        return len != in->len || memcmp(out, in->data, len) != 0;
    }

    for (i = 0; i < len; i++) {
        if (out[i] == 'X' || out[i] == 'Y') {
            return 1;
        }
    }

    return 0;
}


static void
test_params(void)
{
    int             denied;
    size_t          i, j, n;
    unsigned        deny, bad;
    sgtm_str_t      in, url;
    sgtm_rewrite_t  rewrite;
    char            text[512];
    unsigned char   out[512];

    memset(&rewrite, 0, sizeof(sgtm_rewrite_t));
    rewrite.names = &names;

    for (i = 0; i < unit_nelts(params); i++) {

        bad = 0;

        for (deny = 0; deny < ALL; deny++) {

            rewrite.deny = deny;
            denied = (params[i].deny & deny) ? 1 : 0;

            for (j = 0; j < unit_nelts(places); j++) {

                snprintf(text, sizeof(text), places[j].name, params[i].name,
                         params[i].name);

                in.data = (unsigned char *) text;
                in.len = strlen(text);

                n = sgtm_rewrite_query(&rewrite, &in, out);
                bad += wrong(out, n, &in, denied);

                n = sgtm_rewrite_body(&rewrite, &in, out);
                bad += wrong(out, n, &in, denied);

                if (places[j].deny) {
                    url.data = (unsigned char *) memchr(text, '=', in.len) + 1;
                    url.len = in.len - (size_t) (url.data - in.data);

                    n = sgtm_redact_url(&names, deny, &url, out);
                    bad += wrong(out, n, &url, denied);
                }
            }
        }

        unit_ok(bad == 0, "%s under every denial", params[i].name);
    }
}


static void
test_lines(void)
{
    size_t          i, n, len;
    unsigned        deny, bad, kept;
    sgtm_str_t      in, rest, line, end;
    sgtm_rewrite_t  rewrite;
    char            text[4096];
    unsigned char   out[4096];

    memset(&rewrite, 0, sizeof(sgtm_rewrite_t));
    rewrite.names = &names;

    /* all parameters at once, one a line */

    for (i = 0, len = 0; i < unit_nelts(params); i++) {
        len += (size_t) sprintf(text + len, "%s=X\r\n", params[i].name);
    }

    bad = 0;

    for (deny = 0; deny < ALL; deny++) {

        rewrite.deny = deny;
        in.data = (unsigned char *) text;
        in.len = len;

        n = sgtm_rewrite_body(&rewrite, &in, out);

        rest.data = out;
        rest.len = n;
        i = 0;

        while (sgtm_args_line(&rest, &line, &end)) {
            kept = (params[i].deny & deny) ? 0 : 1;
            bad += (line.len != (kept ? strlen(params[i].name) + 2 : 0));
            bad += (end.len != 2);
            i++;
        }

        bad += (i != unit_nelts(params));
    }

    unit_ok(bad == 0, "all of them, one a line, under every denial");
}


static void
test_cookies(void)
{
    size_t          i, n;
    unsigned        deny, bad;
    sgtm_str_t      in, name;
    sgtm_names_t    table;
    char            text[512];
    unsigned char   out[512];

    unit_names(&table, sgtm_default_cookies);

    for (i = 0; i < unit_nelts(cookies); i++) {

        bad = 0;

        name.data = (unsigned char *) cookies[i].name;
        name.len = strlen(cookies[i].name);

        for (deny = 0; deny < ALL; deny++) {

            sprintf(text, "a=1; %s=X; b=2", cookies[i].name);
            in.data = (unsigned char *) text;
            in.len = strlen(text);

            n = sgtm_redact_cookies(&table, deny, &in, out, NULL);

            if (cookies[i].deny & deny) {
                bad += (n != 0);
                bad += sgtm_redact_cookie(&table, deny, &name);

            } else {
                bad += (n != name.len + 2
                        || memcmp(out, text + 5, n) != 0);
                bad += !sgtm_redact_cookie(&table, deny, &name);
            }
        }

        unit_ok(bad == 0, "the cookie %s under every denial",
                cookies[i].name);
    }

    for (i = 0; i < unit_nelts(strangers); i++) {

        bad = 0;

        for (deny = 0; deny < ALL; deny++) {
            sprintf(text, "%s=X", strangers[i]);
            in.data = (unsigned char *) text;
            in.len = strlen(text);
            bad += (sgtm_redact_cookies(&table, deny, &in, out, NULL) != 0);
        }

        unit_ok(bad == 0, "the cookie %s never", strangers[i]);
    }
}


/* states of the four types, as a hit says them, and what follows */

static void
test_states(void)
{
    size_t          i, j, n;
    unsigned        state, left, deny, bad, found;
    sgtm_str_t      in, key, value;
    sgtm_rewrite_t  rewrite;
    sgtm_consent_t  consent;
    char            gcd[16], text[4096];
    unsigned char   out[4096];

    static const char  letters[] = { 'l', 'v', 'u' };

    memset(&rewrite, 0, sizeof(sgtm_rewrite_t));
    rewrite.names = &names;

    for (i = 0, n = 0; i < unit_nelts(params); i++) {
        n += (size_t) sprintf(text + n, "%s%s=X", n ? "&" : "",
                              params[i].name);
    }

    bad = 0;

    for (state = 0; state < 81; state++) {

        strcpy(gcd, "13l3l3l3l5l1");

        for (i = 0, left = state; i < SGTM_CONSENT_N; i++, left /= 3) {
            gcd[2 + 2 * i] = letters[left % 3];
        }

        in.data = (unsigned char *) gcd;
        in.len = strlen(gcd);
        bad += (sgtm_consent_gcd(&in, &consent) != SGTM_OK);

        deny = sgtm_consent_denials(&consent);

        rewrite.deny = deny;
        in.data = (unsigned char *) text;
        in.len = strlen(text);
        n = sgtm_rewrite_query(&rewrite, &in, out);

        value.data = out;
        value.len = n;

        for (j = 0; j < unit_nelts(params); j++) {

            key.data = (unsigned char *) params[j].name;
            key.len = strlen(params[j].name);
            in.data = out;
            in.len = n;

            found = (sgtm_args_get(&in, &key, &value) == SGTM_OK);
            left = params[j].deny;

            bad += (found == (((left & ADS)
                               && consent.state[SGTM_AD_STORAGE] == SGTM_DENIED)
                              || ((left & ANALYTICS)
                                  && consent.state[SGTM_ANALYTICS_STORAGE]
                                     == SGTM_DENIED)
                              || ((left & USER)
                                  && consent.state[SGTM_AD_USER_DATA]
                                     == SGTM_DENIED)
                              || ((left & SGTM_DENY_ANY) && strchr(gcd, 'u'))));
        }
    }

    unit_ok(bad == 0, "all states of the four types by all parameters");
}


int
main(void)
{
    unit_names(&names, sgtm_default_params);

    test_params();
    test_lines();
    test_cookies();
    test_states();

    return unit_done();
}
