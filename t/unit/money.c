
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Amounts and moments of orders.  Each currency that has not two digits after
 * the point is one in which a sum may be wrong by a hundred or a thousand; a
 * fraction that went through a double is 19.989999999999998.
 */


#include "unit.h"
#include "../../src/intake/sgtm_order.h"


/* 2024-11-20 12:00:00 UTC */
#define NOW  1732104000


static const struct {
    const char     *currency;
    double          amount;
    const char     *out;
} minors[] = {
    { "EUR", 1999, "19.99" }, { "USD", 1, "0.01" }, { "USD", 10, "0.1" },
    { "USD", 100, "1" }, { "USD", 0, "0" }, { "GBP", 123456789, "1234567.89" },
    { "USD", 9007199254740991, "90071992547409.91" },
    { "HUF", 1000, "10" }, { "TWD", 80000, "800" },
    { "ISK", 500, "5" }, { "UGX", 500, "5" }, { "MGA", 500, "500" },
    { "BIF", 500, "500" }, { "CLP", 500, "500" }, { "DJF", 500, "500" },
    { "GNF", 500, "500" }, { "JPY", 500, "500" }, { "KMF", 500, "500" },
    { "KRW", 500, "500" }, { "PYG", 500, "500" }, { "RWF", 500, "500" },
    { "VND", 500, "500" }, { "VUV", 500, "500" }, { "XAF", 500, "500" },
    { "XOF", 500, "500" }, { "XPF", 500, "500" }, { "UYI", 500, "500" },
    { "BHD", 5120, "5.12" }, { "IQD", 5125, "5.125" },
    { "JOD", 5120, "5.12" }, { "KWD", 5124, "5.124" },
    { "LYD", 5120, "5.12" }, { "OMR", 1, "0.001" }, { "TND", 1000, "1" },
    { "CLF", 12345, "1.2345" }, { "UYW", 1, "0.0001" },
    { "ZZZ", 1999, "19.99" },
    { "EUR", -1999, "-19.99" },
    { "EUR", 0.5, NULL }, { "EUR", 1e16, NULL }, { "EUR", -1e16, NULL }
};


static const struct {
    const char     *in;
    const char     *out;
} texts[] = {
    { "19.99", "19.99" }, { "19.90", "19.9" }, { "20.00", "20" },
    { "0.10", "0.1" }, { "0", "0" }, { "00.50", "0.5" }, { "007", "7" },
    { "-10.00", "-10" }, { " 5.00 ", "5" }, { "5.", "5" },
    { "123456789012345.12345678", "123456789012345.12345678" },
    { "0.07", "0.07" }, { "1.005", "1.005" },
    { "", NULL }, { "-", NULL }, { ".5", NULL }, { "1,5", NULL },
    { "1.5.5", NULL }, { "1e5", NULL }, { "0x5", NULL }, { "5 5", NULL },
    { "--5", NULL }, { "NaN", NULL }, { "1234567890123456", NULL },
    { "1.123456789", NULL }
};


static const struct {
    const char     *in;
    int64_t         out;
} times[] = {
    { "1970-01-01T00:00:00", 0 }, { "1970-01-02T00:00:00Z", 86400 },
    { "2000-02-29T12:00:00Z", 951825600 },
    { "2000-03-01T00:00:00Z", 951868800 },
    { "2024-11-20T12:00:00Z", NOW }, { "2024-11-20T12:00:00", NOW },
    { "2024-11-20T12:00:00.123Z", NOW },
    { "2024-11-20T07:00:00-05:00", NOW },
    { "2024-11-20T17:30:00+0530", NOW },
    { "2024-12-31T23:59:60Z", 1735689600 },
    { "2024-11-20", 0 }, { "2024-13-01T00:00:00", 0 },
    { "2024-11-20 12:00:00", 0 }, { "yesterday", 0 }, { "", 0 },
    { "1969-12-31T23:59:59", 0 }
};


int
main(void)
{
    int      rc;
    char     out[SGTM_MONEY_SIZE];
    size_t   i;
    int64_t  n;

    for (i = 0; i < unit_nelts(minors); i++) {
        rc = sgtm_money_minor(out, minors[i].amount,
                              sgtm_money_exponent(minors[i].currency));
        unit_ok(minors[i].out ? rc == SGTM_OK && strcmp(out, minors[i].out) == 0
                              : rc == SGTM_DECLINED,
                "%.1f %s: %s", minors[i].amount, minors[i].currency,
                minors[i].out ? minors[i].out : "none");
    }

    for (i = 0; i < unit_nelts(texts); i++) {
        rc = sgtm_money_text(out, texts[i].in);
        unit_ok(texts[i].out ? rc == SGTM_OK && strcmp(out, texts[i].out) == 0
                             : rc == SGTM_DECLINED,
                "\"%s\": %s", texts[i].in, texts[i].out ? texts[i].out
                                                        : "none");
    }

    unit_ok(sgtm_money_units("19.99", &n) == SGTM_OK && n == 199900, "units");
    unit_ok(sgtm_money_units("899999999999.9999", &n) == SGTM_OK
            && n == 8999999999999999, "as many as there may be");
    unit_ok(sgtm_money_units("9000000000000", &n) == SGTM_DECLINED
            && sgtm_money_units("-1", &n) == SGTM_DECLINED
            && sgtm_money_units("0.00001", &n) == SGTM_DECLINED,
            "no units");

    for (i = 0; i < unit_nelts(times); i++) {
        n = sgtm_order_time(times[i].in);
        unit_ok(n == times[i].out, "\"%s\": %lld", times[i].in, (long long) n);
    }

    return unit_done();
}
