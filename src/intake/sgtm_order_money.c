
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Amounts and moments.  No amount is calculated with in binary fractions: a
 * sum that the shop's books do not have would be a wrong one.
 */


#include <string.h>

#include "../tenant/sgtm_form.h"
#include "sgtm_order.h"


/* a double holds whole numbers up to here */
#define SGTM_MONEY_MAX  9007199254740992.0


static size_t sgtm_money_digits(char *out, uint64_t n, unsigned exponent);
static int sgtm_time_number(const char **p, size_t len, int64_t *n);
static int64_t sgtm_time_zone(const char *p);


/*
 * ISO 4217, where the exponent is not 2, but for these of Stripe's: ISK and UGX
 * lost their fractions and are still given with two digits, MGA is given
 * without its fifths.
 */

static const struct {
    char       code[4];
    unsigned   exponent;
} sgtm_currencies[] = {
    { "BHD", 3 }, { "BIF", 0 }, { "CLF", 4 }, { "CLP", 0 }, { "DJF", 0 },
    { "GNF", 0 }, { "IQD", 3 }, { "JOD", 3 }, { "JPY", 0 }, { "KMF", 0 },
    { "KRW", 0 }, { "KWD", 3 }, { "LYD", 3 }, { "MGA", 0 }, { "OMR", 3 },
    { "PYG", 0 }, { "RWF", 0 }, { "TND", 3 }, { "UYI", 0 }, { "UYW", 4 },
    { "VND", 0 }, { "VUV", 0 }, { "XAF", 0 }, { "XOF", 0 }, { "XPF", 0 }
};


unsigned
sgtm_money_exponent(const char *currency)
{
    size_t  i;

    for (i = 0; i < sizeof(sgtm_currencies) / sizeof(sgtm_currencies[0]); i++)
    {
        if (strcmp(sgtm_currencies[i].code, currency) == 0) {
            return sgtm_currencies[i].exponent;
        }
    }

    return 2;
}


int
sgtm_money_minor(char *out, double amount, unsigned exponent)
{
    /* "not between" is true of what is no number, too */

    if (!(amount > -SGTM_MONEY_MAX && amount < SGTM_MONEY_MAX)
        || amount != (double) (int64_t) amount)
    {
        return SGTM_DECLINED;
    }

    if (amount < 0) {
        *out++ = '-';
        amount = -amount;
    }

    (void) sgtm_money_digits(out, (uint64_t) amount, exponent);

    return SGTM_OK;
}


static size_t
sgtm_money_digits(char *out, uint64_t n, unsigned exponent)
{
    char    *p, text[SGTM_MONEY_SIZE];
    size_t   len;

    p = text + sizeof(text);
    *--p = '\0';

    for (len = 0; exponent; exponent--, n /= 10) {

        /* no zeros at the end of a fraction */

        if (n % 10 || len) {
            *--p = (char) ('0' + n % 10);
            len++;
        }
    }

    if (len) {
        *--p = '.';
    }

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n);

    len = (size_t) (text + sizeof(text) - p);
    memcpy(out, p, len);

    return len - 1;
}


int
sgtm_money_text(char *out, const char *text)
{
    size_t  whole, fraction;

    while (*text == ' ') {
        text++;
    }

    if (*text == '-') {
        *out++ = '-';
        text++;
    }

    if (*text < '0' || *text > '9') {
        return SGTM_DECLINED;
    }

    while (*text == '0' && text[1] >= '0' && text[1] <= '9') {
        text++;
    }

    whole = strspn(text, "0123456789");
    fraction = 0;

    if (whole > 15) {
        return SGTM_DECLINED;
    }

    memcpy(out, text, whole);
    out += whole;
    text += whole;

    if (*text == '.') {
        fraction = strspn(++text, "0123456789");

        if (fraction > 8) {
            return SGTM_DECLINED;
        }
    }

    if (text[fraction + strspn(text + fraction, " ")] != '\0') {
        return SGTM_DECLINED;
    }

    while (fraction && text[fraction - 1] == '0') {
        fraction--;
    }

    if (fraction) {
        *out++ = '.';
        memcpy(out, text, fraction);
        out += fraction;
    }

    *out = '\0';

    return SGTM_OK;
}


int
sgtm_money_units(const char *text, int64_t *units)
{
    int64_t    n;
    unsigned   fraction, digits;

    n = 0;
    digits = 0;
    fraction = 0;

    for ( /* void */ ; *text; text++) {

        if (*text == '.') {
            fraction = 1;
            continue;
        }

        if (*text < '0' || *text > '9' || n >= SGTM_MONEY_MAX_UNITS / 10
            || digits == SGTM_MONEY_UNITS)
        {
            return SGTM_DECLINED;
        }

        n = n * 10 + (*text - '0');
        digits += fraction;
    }

    for ( /* void */ ; digits < SGTM_MONEY_UNITS; digits++) {

        if (n > SGTM_MONEY_MAX_UNITS / 10) {
            return SGTM_DECLINED;
        }

        n *= 10;
    }

    *units = n;

    return SGTM_OK;
}


int64_t
sgtm_order_time(const char *text)
{
    size_t    i;
    int64_t   year, month, day, hour, minute, second, n[6];

    static const char  after[] = "--T::";

    for (i = 0; i < 6; i++) {

        if (sgtm_time_number(&text, i ? 2 : 4, &n[i]) != SGTM_OK) {
            return 0;
        }

        if (i < 5 && *text++ != after[i]) {
            return 0;
        }
    }

    year = n[0]; month = n[1]; day = n[2];
    hour = n[3]; minute = n[4]; second = n[5];

    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31
        || hour > 23 || minute > 59 || second > 60)
    {
        return 0;
    }

    return ((sgtm_form_days(year, month, day) * 24 + hour) * 60 + minute) * 60
           + second - sgtm_time_zone(text);
}


static int
sgtm_time_number(const char **p, size_t len, int64_t *n)
{
    for (*n = 0; len; len--, (*p)++) {

        if (**p < '0' || **p > '9') {
            return SGTM_DECLINED;
        }

        *n = *n * 10 + (**p - '0');
    }

    return SGTM_OK;
}


/* "-05:00" in seconds, after fractions of a second */

static int64_t
sgtm_time_zone(const char *p)
{
    int64_t   sign, hours, minutes;

    if (*p == '.') {
        p++;
        p += strspn(p, "0123456789");
    }

    if (*p != '+' && *p != '-') {
        return 0;
    }

    sign = (*p++ == '-') ? -1 : 1;

    if (sgtm_time_number(&p, 2, &hours) != SGTM_OK) {
        return 0;
    }

    if (*p == ':') {
        p++;
    }

    if (sgtm_time_number(&p, 2, &minutes) != SGTM_OK) {
        minutes = 0;
    }

    return sign * (hours * 60 + minutes) * 60;
}
