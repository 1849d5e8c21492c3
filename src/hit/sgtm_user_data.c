
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include <openssl/sha.h>

#include "sgtm_args.h"
#include "sgtm_json.h"
#include "sgtm_user_data.h"


typedef enum {
    SGTM_USER_EMAIL = 0,
    SGTM_USER_PHONE,
    SGTM_USER_NAME,                /* letters alone */
    SGTM_USER_STREET,              /* letters, digits and spaces */
    SGTM_USER_PLACE,               /* letters and spaces */
    SGTM_USER_POSTAL,
    SGTM_USER_COUNTRY
} sgtm_user_form_e;


static size_t sgtm_user_normal(unsigned form, const sgtm_str_t *value,
    unsigned char *out);
static size_t sgtm_user_phone(const sgtm_str_t *value, unsigned char *out);
static size_t sgtm_user_country(const sgtm_str_t *value, unsigned char *out);
static int sgtm_user_drops(unsigned form, unsigned c);
static size_t sgtm_user_char(const unsigned char *p, const unsigned char *end,
    unsigned *c);
static unsigned sgtm_user_lower(unsigned c);
static size_t sgtm_user_put(unsigned char *out, unsigned c);
static int sgtm_user_space(unsigned c);
static void sgtm_user_hash(unsigned char *out, size_t len);


#define sgtm_user_clear(name, form)                                           \
    { sgtm_string(name), sgtm_string(name), SGTM_USER_ ## form, 0, 0 }

#define sgtm_user_secret(name, wanted, form)                                  \
    { sgtm_string(name), sgtm_string(wanted), SGTM_USER_ ## form, 1, 0 }

#define sgtm_user_done(name, form)                                            \
    { sgtm_string(name), sgtm_string(name), SGTM_USER_ ## form, 1, 1 }


static const sgtm_user_field_t  sgtm_user_fields[] = {

    sgtm_user_secret("email", "sha256_email_address", EMAIL),
    sgtm_user_secret("email_address", "sha256_email_address", EMAIL),
    sgtm_user_secret("phone", "sha256_phone_number", PHONE),
    sgtm_user_secret("phone_number", "sha256_phone_number", PHONE),
    sgtm_user_secret("first_name", "sha256_first_name", NAME),
    sgtm_user_secret("last_name", "sha256_last_name", NAME),
    sgtm_user_secret("street", "sha256_street", STREET),

    sgtm_user_done("sha256_email_address", EMAIL),
    sgtm_user_done("sha256_phone_number", PHONE),
    sgtm_user_done("sha256_first_name", NAME),
    sgtm_user_done("sha256_last_name", NAME),
    sgtm_user_done("sha256_street", STREET),

    sgtm_user_clear("city", PLACE),
    sgtm_user_clear("region", PLACE),
    sgtm_user_clear("postal_code", POSTAL),
    sgtm_user_clear("country", COUNTRY)
};


const sgtm_user_field_t *
sgtm_user_field(const unsigned char *name, size_t len)
{
    size_t                    i;
    const sgtm_user_field_t  *field;

    for (i = 0; i < sgtm_nelts(sgtm_user_fields); i++) {
        field = &sgtm_user_fields[i];

        if (field->name.len == len
            && memcmp(field->name.data, name, len) == 0)
        {
            return field;
        }
    }

    return NULL;
}


const sgtm_user_field_t *
sgtm_user_path(const sgtm_str_t *path, sgtm_str_t *part)
{
    size_t  i, end, number;

    end = path->len;

    for ( ;; ) {

        number = 1;

        for (i = end; i && path->data[i - 1] != '.'; i--) {
            number &= (path->data[i - 1] >= '0' && path->data[i - 1] <= '9');
        }

        if (i == 0 || !number) {
            break;
        }

        /* an element of a list */
        end = i - 1;
    }

    part->data = path->data + i;
    part->len = end - i;

    return sgtm_user_field(part->data, part->len);
}


size_t
sgtm_user_value(const sgtm_user_field_t *field, const sgtm_str_t *value,
    unsigned char *out)
{
    size_t  len;

    if (field->hash && sgtm_user_is_hash(field, value)) {
        memmove(out, value->data, value->len);
        return value->len;
    }

    len = sgtm_user_normal(field->form, value, out);

    if (len == 0 || !field->hash) {
        return len;
    }

    sgtm_user_hash(out, len);

    return SGTM_USER_HASH;
}


int
sgtm_user_is_hash(const sgtm_user_field_t *field, const sgtm_str_t *value)
{
    size_t         i;
    unsigned char  c;

    if (value->len == SGTM_USER_HASH) {

        for (i = 0; i < value->len; i++) {
            if (sgtm_args_hex[value->data[i]] > 0x0f) {
                return 0;
            }
        }

        return 1;
    }

    if (!field->hashed
        || !(value->len == 43
             || (value->len == 44 && value->data[43] == '=')))
    {
        return 0;
    }

    for (i = 0; i < 43; i++) {
        c = value->data[i];

        if ((c < '0' || c > '9') && ((c | 0x20) < 'a' || (c | 0x20) > 'z')
            && c != '+' && c != '/' && c != '-' && c != '_')
        {
            return 0;
        }
    }

    return 1;
}


/* no longer than the value: what is made small is not larger in UTF-8 */

static size_t
sgtm_user_normal(unsigned form, const sgtm_str_t *value, unsigned char *out)
{
    size_t                n, last;
    unsigned              c;
    const unsigned char  *p, *end;

    if (value->len == 0) {
        return 0;
    }

    if (form == SGTM_USER_PHONE) {
        return sgtm_user_phone(value, out);
    }

    if (form == SGTM_USER_COUNTRY) {
        return sgtm_user_country(value, out);
    }

    n = 0;
    last = 0;
    p = value->data;
    end = p + value->len;

    while (p < end) {

        p += sgtm_user_char(p, end, &c);

        if (sgtm_user_drops(form, c) || (n == 0 && sgtm_user_space(c))) {
            continue;
        }

        if (form != SGTM_USER_POSTAL) {
            c = sgtm_user_lower(c);
        }

        n += sgtm_user_put(out + n, c);

        if (!sgtm_user_space(c)) {
            last = n;
        }
    }

    return last;
}


/* E.164: "+" and digits; of "+49 (0) 170" the trunk prefix is no part */

static size_t
sgtm_user_phone(const sgtm_str_t *value, unsigned char *out)
{
    size_t         i, n, start;
    unsigned char  c, digits[32];

    n = 0;

    for (i = 0; i < value->len && n < sizeof(digits); i++) {
        c = value->data[i];

        if (c == '(' && n && value->len - i >= 3
            && value->data[i + 1] == '0' && value->data[i + 2] == ')')
        {
            i += 2;
            continue;
        }

        if (c >= '0' && c <= '9') {
            digits[n++] = c;
        }
    }

    start = (n > 2 && digits[0] == '0' && digits[1] == '0') ? 2 : 0;

    if (n == 0) {
        return 0;
    }

    n -= start;

    out[0] = '+';
    memcpy(out + 1, digits + start, n);

    return n + 1;
}


/* ISO 3166-1 alpha-2, in capitals */

static size_t
sgtm_user_country(const sgtm_str_t *value, unsigned char *out)
{
    size_t  i, n, start;

    for (start = 0; start < value->len; start++) {
        if (value->data[start] > ' ') {
            break;
        }
    }

    for (n = value->len; n > start; n--) {
        if (value->data[n - 1] > ' ') {
            break;
        }
    }

    n -= start;
    memmove(out, value->data + start, n);

    for (i = 0; n == 2 && i < n; i++) {
        if (out[i] >= 'a' && out[i] <= 'z') {
            out[i] &= (unsigned char) ~0x20u;
        }
    }

    return n;
}


static int
sgtm_user_drops(unsigned form, unsigned c)
{
    int  digit, symbol;

    if (form == SGTM_USER_EMAIL) {
        /* there is none within, and spaces of other scripts around it */
        return sgtm_user_space(c);
    }

    if (form == SGTM_USER_POSTAL) {
        return c == '.' || c == '~';
    }

    digit = (c >= '0' && c <= '9');
    symbol = (c > ' ' && c < 0x80 && !digit
              && ((c | 0x20) < 'a' || (c | 0x20) > 'z'))
             || (c >= 0x2010 && c <= 0x2027);

    if (symbol) {
        return 1;
    }

    return (digit && form != SGTM_USER_STREET)
           || (form == SGTM_USER_NAME && sgtm_user_space(c));
}


/* a byte that is no UTF-8 is taken for a character of its own */

static size_t
sgtm_user_char(const unsigned char *p, const unsigned char *end, unsigned *c)
{
    size_t  n;

    n = sgtm_json_utf8(p, end);

    switch (n) {

    case 2:
        *c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
        return 2;

    case 3:
        *c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
        return 3;

    case 4:
        *c = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12
             | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
        return 4;

    case 0:
        *c = 0x110000u | p[0];
        return 1;

    default:
        *c = p[0];
        return 1;
    }
}


/* Latin, Greek and Cyrillic: what European names are written in */

static unsigned
sgtm_user_lower(unsigned c)
{
    if ((c >= 'A' && c <= 'Z')
        || (c >= 0xc0 && c <= 0xde && c != 0xd7)
        || (c >= 0x391 && c <= 0x3a9)
        || (c >= 0x410 && c <= 0x42f))
    {
        return c + 0x20;
    }

    if (c >= 0x400 && c <= 0x40f) {
        return c + 0x50;
    }

    if (c == 0x178) {
        return 0xff;
    }

    /* pairs, the capital first: even ones, and odd ones */

    if ((c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131)
        || (c >= 0x14a && c <= 0x177)
        || (c >= 0x218 && c <= 0x21b))
    {
        return c | 1;
    }

    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e)) {
        return c + (c & 1);
    }

    return c;
}


static size_t
sgtm_user_put(unsigned char *out, unsigned c)
{
    if (c < 0x110000) {
        return sgtm_json_char(out, c);
    }

    out[0] = (unsigned char) (c & 0xff);

    return 1;
}


static int
sgtm_user_space(unsigned c)
{
    return c <= ' ' || c == 0xa0 || c == 0x3000
           || (c >= 0x2000 && c <= 0x200a);
}


/* in place: out has len bytes, and room for the hash */

static void
sgtm_user_hash(unsigned char *out, size_t len)
{
    size_t                      i;
    unsigned char               digest[SHA256_DIGEST_LENGTH];
    static const unsigned char  hex[] = "0123456789abcdef";

    (void) SHA256(out, len, digest);

    for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 0x0f];
    }
}
