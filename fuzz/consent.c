
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Consent signals of any bytes: a state only where the letter says so.
 */


#include "fuzz.h"


static void
check(const sgtm_consent_t *consent, unsigned type, unsigned c,
    const char *granted, const char *denied)
{
    unsigned  want;

    want = (c && strchr(granted, (int) c)) ? SGTM_GRANTED
           : (c && strchr(denied, (int) c)) ? SGTM_DENIED : SGTM_UNSET;

    fuzz_check(consent->state[type] == want);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              rc;
    size_t           n;
    unsigned         i, deny;
    sgtm_str_t       in;
    sgtm_consent_t   gcs, gcd, both;
    unsigned char   *text, out[4];

    in = fuzz_copy(data, size);
    text = fuzz_alloc(size);
    n = fuzz_decode(text, in.data, in.len);

    rc = sgtm_consent_gcs(&in, &gcs);

    fuzz_check(gcs.state[SGTM_AD_USER_DATA] == SGTM_UNSET);
    fuzz_check(gcs.state[SGTM_AD_PERSONALIZATION] == SGTM_UNSET);

    if (rc == SGTM_OK) {
        fuzz_check(n == 4 && text[0] == 'G' && text[1] == '1');

        check(&gcs, SGTM_AD_STORAGE, text[2], "1", "0");
        check(&gcs, SGTM_ANALYTICS_STORAGE, text[3], "1", "0");

        sgtm_consent_write_gcs(out, &gcs);
        fuzz_check(memcmp(out, text, 4) == 0);

    } else {
        fuzz_check(sgtm_consent_denials(&gcs) == 0);
        fuzz_check(gcs.state[SGTM_AD_STORAGE] == SGTM_UNSET);
        fuzz_check(gcs.state[SGTM_ANALYTICS_STORAGE] == SGTM_UNSET);
    }

    rc = sgtm_consent_gcd(&in, &gcd);

    fuzz_check((rc == SGTM_OK) == (n >= 9 && text[0] == '1'));

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        check(&gcd, i, rc == SGTM_OK ? text[2 + 2 * i] : 0, "nrtv", "mpqu");
    }

    both = gcs;
    sgtm_consent_strictest(&both, &gcd);
    deny = sgtm_consent_denials(&both);

    fuzz_check(deny == (sgtm_consent_denials(&gcs)
                        | sgtm_consent_denials(&gcd)));

    both = gcs;
    sgtm_consent_fill(&both, &gcd);

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        fuzz_check(both.state[i] == (gcs.state[i] ? gcs.state[i]
                                                  : gcd.state[i]));
    }

    free(text);
    free(in.data);

    return 0;
}
