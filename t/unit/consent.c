
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Consent signals.  Each line guards against a mistake that is made in public
 * code: gcs read the wrong way round, gcd read as "the first four letters",
 * an unknown version or letter read as granted.
 */


#include "unit.h"


#define U  SGTM_UNSET
#define G  SGTM_GRANTED
#define D  SGTM_DENIED


typedef struct {
    const char     *in;
    int             rc;
    uint8_t         state[SGTM_CONSENT_N];
} test_signal_t;


static const test_signal_t  gcs[] = {
    { "G111", SGTM_OK, { G, G, U, U } },
    { "G110", SGTM_OK, { G, D, U, U } },
    { "G101", SGTM_OK, { D, G, U, U } },
    { "G100", SGTM_OK, { D, D, U, U } },
    { "G1--", SGTM_OK, { U, U, U, U } },
    { "G1-1", SGTM_OK, { U, G, U, U } },
    { "G1-0", SGTM_OK, { U, D, U, U } },
    { "G11-", SGTM_OK, { G, U, U, U } },
    { "G10-", SGTM_OK, { D, U, U, U } },
    { "G1%2D%2d", SGTM_OK, { U, U, U, U } },
    { "%47%31%31%30", SGTM_OK, { G, D, U, U } },

    { "", SGTM_DECLINED, { U, U, U, U } },
    { "G", SGTM_DECLINED, { U, U, U, U } },
    { "G1", SGTM_DECLINED, { U, U, U, U } },
    { "G11", SGTM_DECLINED, { U, U, U, U } },
    { "G1111", SGTM_DECLINED, { U, U, U, U } },
    { "G211", SGTM_DECLINED, { U, U, U, U } },
    { "G2", SGTM_DECLINED, { U, U, U, U } },
    { "G200", SGTM_DECLINED, { U, U, U, U } },
    { "g111", SGTM_DECLINED, { U, U, U, U } },
    { "H111", SGTM_DECLINED, { U, U, U, U } },
    { "G112", SGTM_DECLINED, { U, U, U, U } },
    { "G1x1", SGTM_DECLINED, { U, U, U, U } },
    { "G1 1", SGTM_DECLINED, { U, U, U, U } },
    { "111", SGTM_DECLINED, { U, U, U, U } },
    { "G11%", SGTM_DECLINED, { U, U, U, U } }
};


static const test_signal_t  gcd[] = {
    { "13l3l3l3l1l1", SGTM_OK, { U, U, U, U } },
    { "11l1l1l1l1", SGTM_OK, { U, U, U, U } },
    { "13p3p3p2p5l1", SGTM_OK, { D, D, D, D } },
    { "13t3t3t3t5l1", SGTM_OK, { G, G, G, G } },
    { "13r3r3r2r5l1", SGTM_OK, { G, G, G, G } },
    { "13v3v3v2v5l1", SGTM_OK, { G, G, G, G } },
    { "13n3n3n2n5l1", SGTM_OK, { G, G, G, G } },
    { "13q3q3q2q5l1", SGTM_OK, { D, D, D, D } },
    { "13u3u3u2u5l1", SGTM_OK, { D, D, D, D } },
    { "13m3m3m2m5l1", SGTM_OK, { D, D, D, D } },
    { "13p3t3l3r5l1", SGTM_OK, { D, G, U, G } },

    /* letters between the positions are none of the four */
    { "13t3tPt2t5l1", SGTM_OK, { G, G, G, G } },
    { "13l3l3R3l5l1", SGTM_OK, { U, U, U, U } },
    { "13tptptpt5l1", SGTM_OK, { G, G, G, G } },
    { "13ptptptp5l1", SGTM_OK, { D, D, D, D } },

    /* what is not known is not granted */
    { "13T3T3T3T5l1", SGTM_OK, { U, U, U, U } },
    { "13a3b3o3s5l1", SGTM_OK, { U, U, U, U } },
    { "1311111111", SGTM_OK, { U, U, U, U } },
    { "13-3-3-3-5l1", SGTM_OK, { U, U, U, U } },
    { "13{3`3@3[5l1", SGTM_OK, { U, U, U, U } },
    { "13p3x3t3y5l1", SGTM_OK, { D, U, G, U } },

    { "13p3p3p2p", SGTM_OK, { D, D, D, D } },
    { "13%703p3%70%32p5l1", SGTM_OK, { D, D, D, D } },
    { "13p3p3p2p5l1l1l1l1l1l1l1l1", SGTM_OK, { D, D, D, D } },

    { "", SGTM_DECLINED, { U, U, U, U } },
    { "1", SGTM_DECLINED, { U, U, U, U } },
    { "13p3p3p2", SGTM_DECLINED, { U, U, U, U } },
    { "23t3t3t3t5l1", SGTM_DECLINED, { U, U, U, U } },
    { "G13t3t3t3t5l1", SGTM_DECLINED, { U, U, U, U } },
    { "lll", SGTM_DECLINED, { U, U, U, U } }
};


static const test_signal_t  letters[] = {
    { "l", 0, { U } }, { "p", 0, { D } }, { "q", 0, { D } },
    { "r", 0, { G } }, { "t", 0, { G } }, { "u", 0, { D } },
    { "v", 0, { G } }, { "m", 0, { D } }, { "n", 0, { G } }
};


static void
test_signals(void)
{
    size_t          i;
    sgtm_str_t      in;
    sgtm_consent_t  consent;

    for (i = 0; i < unit_nelts(gcs); i++) {
        in = unit_str(gcs[i].in);
        memset(&consent, 0xa5, sizeof(sgtm_consent_t));

        unit_ok(sgtm_consent_gcs(&in, &consent) == gcs[i].rc
                && memcmp(consent.state, gcs[i].state, SGTM_CONSENT_N) == 0,
                "gcs=%s", gcs[i].in);
    }

    for (i = 0; i < unit_nelts(gcd); i++) {
        in = unit_str(gcd[i].in);
        memset(&consent, 0xa5, sizeof(sgtm_consent_t));

        unit_ok(sgtm_consent_gcd(&in, &consent) == gcd[i].rc
                && memcmp(consent.state, gcd[i].state, SGTM_CONSENT_N) == 0,
                "gcd=%s", gcd[i].in);
    }
}


/* every byte at every position, alone */

static void
test_letters(void)
{
    size_t          i, type;
    unsigned        c, bad;
    uint8_t         want;
    sgtm_str_t      in;
    sgtm_consent_t  consent;

    for (type = 0; type < SGTM_CONSENT_N; type++) {

        bad = 0;

        for (c = 1; c < 256; c++) {

            if (c == '%') {
                continue;
            }

            want = U;

            for (i = 0; i < unit_nelts(letters); i++) {
                if ((unsigned char) letters[i].in[0] == c) {
                    want = letters[i].state[0];
                }
            }

            in = unit_str("13l3l3l3l1l1");
            in.data[2 + 2 * type] = (unsigned char) c;

            bad += (sgtm_consent_gcd(&in, &consent) != SGTM_OK);

            for (i = 0; i < SGTM_CONSENT_N; i++) {
                bad += (consent.state[i] != (i == type ? want : U));
            }

            /* beside its position a letter means nothing */

            in = unit_str("13l3l3l3l1l1");
            in.data[1 + 2 * type] = (unsigned char) c;

            bad += (sgtm_consent_gcd(&in, &consent) != SGTM_OK);

            for (i = 0; i < SGTM_CONSENT_N; i++) {
                bad += (consent.state[i] != U);
            }
        }

        unit_ok(bad == 0, "every letter of %s",
                sgtm_consent_names[type].data);
    }
}


static void
test_combine(void)
{
    unsigned        i, a, b, bad, deny;
    sgtm_consent_t  x, y;

    static const unsigned  bits[SGTM_CONSENT_N] = {
        SGTM_DENY_AD_STORAGE, SGTM_DENY_ANALYTICS_STORAGE,
        SGTM_DENY_AD_USER_DATA, SGTM_DENY_AD_PERSONALIZATION
    };

    bad = 0;

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        for (a = U; a <= D; a++) {
            for (b = U; b <= D; b++) {

                memset(&x, 0, sizeof(sgtm_consent_t));
                memset(&y, 0, sizeof(sgtm_consent_t));
                x.state[i] = (uint8_t) a;
                y.state[i] = (uint8_t) b;

                sgtm_consent_fill(&x, &y);
                bad += (x.state[i] != (a == U ? b : a));

                x.state[i] = (uint8_t) a;
                sgtm_consent_strictest(&x, &y);
                bad += (x.state[i] != (a == D || b == D ? D
                                       : a == G || b == G ? G : U));

                deny = sgtm_consent_denials(&x);
                bad += (deny != (x.state[i] == D ? bits[i] | SGTM_DENY_ANY
                                                 : 0));
            }
        }
    }

    unit_ok(bad == 0, "fill, strictest and denials, each of each");

    memset(&x, D, sizeof(sgtm_consent_t));
    unit_ok(sgtm_consent_denials(&x) == 0x1f, "all denied");
}


static void
test_write(void)
{
    size_t          i;
    sgtm_str_t      in;
    unsigned char   out[4];
    sgtm_consent_t  consent;

    for (i = 0; i < 9; i++) {
        in = unit_str(gcs[i].in);
        (void) sgtm_consent_gcs(&in, &consent);
        sgtm_consent_write_gcs(out, &consent);
        unit_is(out, sizeof(out), gcs[i].in, "write");
    }

    unit_is(sgtm_consent_names[SGTM_AD_STORAGE].data, 10, "ad_storage",
            "the name of the first type");
    unit_is(sgtm_consent_names[SGTM_ANALYTICS_STORAGE].data, 17,
            "analytics_storage", "of the second");
    unit_is(sgtm_consent_names[SGTM_AD_USER_DATA].data, 12, "ad_user_data",
            "of the third");
    unit_is(sgtm_consent_names[SGTM_AD_PERSONALIZATION].data, 18,
            "ad_personalization", "of the fourth");
}


int
main(void)
{
    test_signals();
    test_letters();
    test_combine();
    test_write();

    return unit_done();
}
