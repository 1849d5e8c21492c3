
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * User-provided data as Google wants it.  A space or a capital that stays makes
 * another hash of the same person; a value that is hashed twice, none at all.
 */


#include <openssl/sha.h>

#include "unit.h"
#include "sgtm_user_data.h"


/* out: what is hashed, or what goes on in clear */

static const struct {
    const char  *name;
    const char  *in;
    const char  *out;
} values[] = {
    { "email", " Jane.Doe@Example.COM\t", "jane.doe@example.com" },
    { "email", "jane.doe+shop@example.com", "jane.doe+shop@example.com" },
    { "email_address", "\xc2\xa0" "A@B.de\xc2\xa0", "a@b.de" },
    { "email", "J\xc3\x96RG@EXAMPLE.DE", "j\xc3\xb6rg@example.de" },
    { "phone_number", "+49 (170) 123-45 67", "+491701234567" },
    { "phone", "0049170/1234567", "+491701234567" },
    { "phone_number", "1 (800) 555-0123", "+18005550123" },
    { "phone_number", "+49 (0) 170 1234567", "+491701234567" },
    { "first_name", " Anna-Lena 2 ", "annalena" },
    { "last_name", "O'Neil, Jr.", "oneiljr" },
    { "last_name", "O\xe2\x80\x99Neil", "oneil" },
    { "first_name", "\xc3\x89LODIE", "\xc3\xa9lodie" },
    { "first_name", "\xc5\x81ukasz", "\xc5\x82ukasz" },
    { "last_name", "\xc4\x8c" "apek \xc5\xbdi\xc5\xbdka",
      "\xc4\x8d" "apek\xc5\xbei\xc5\xbeka" },
    { "last_name", "\xd0\x98\xd0\x92\xd0\x90\xd0\x9d\xd0\x81\xd0\x92",
      "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd\xd1\x91\xd0\xb2" },
    { "last_name", "\xce\x91\xce\xa9", "\xce\xb1\xcf\x89" },
    { "last_name", "\xe5\xb1\xb1\xe7\x94\xb0", "\xe5\xb1\xb1\xe7\x94\xb0" },
    { "street", " 12, Main St. #4 ", "12 main st 4" },
    { "city", " San Francisco! ", "san francisco" },
    { "city", "Citt\xc3\xa0", "citt\xc3\xa0" },
    { "city", "MEN\xc3\x80\xc2\xa0", "men\xc3\xa0" },
    { "region", "CA 1", "ca" },
    { "postal_code", " SW1A.1AA ", "SW1A1AA" },
    { "postal_code", "12345~6789", "123456789" },
    { "country", " us ", "US" },
    { "country", "Germany", "Germany" }
};


static const char  hash[] = "ABCDEF0123456789abcdef0123456789"
                            "abcdef0123456789abcdef0123456789";


static void
sha256(const char *text, char *out)
{
    size_t         i;
    unsigned char  digest[32];

    SHA256((const unsigned char *) text, strlen(text), digest);

    for (i = 0; i < sizeof(digest); i++) {
        sprintf(out + 2 * i, "%02x", digest[i]);
    }
}


static size_t
value(const char *name, const char *text, unsigned char **out)
{
    size_t                    room;
    sgtm_str_t                in;
    const sgtm_user_field_t  *field;

    field = sgtm_user_field((const unsigned char *) name, strlen(name));

    if (field == NULL) {
        printf("Bail out! no field \"%s\"\n", name);
        exit(1);
    }

    in = unit_str(text);
    room = in.len > SGTM_USER_HASH ? in.len : SGTM_USER_HASH;
    *out = unit_alloc(room);

    if (in.len) {
        memcpy(*out, in.data, in.len);
    }

    /* in place is the same */

    in.data = *out;

    return sgtm_user_value(field, &in, *out);
}


static void
test_path(const char *path, const char *part, const char *wanted)
{
    sgtm_str_t                in, found;
    const sgtm_user_field_t  *field;

    in = unit_str(path);
    field = sgtm_user_path(&in, &found);

    if (wanted == NULL) {
        unit_ok(field == NULL, "%s is left alone", path);
        return;
    }

    if (unit_ok(field != NULL, "%s", path)) {
        unit_is(found.data, found.len, part, "its part");
        unit_is(field->wanted.data, field->wanted.len, wanted, "its name");
    }
}


int
main(void)
{
    size_t          i, n;
    char            want[65], base64[45];
    unsigned char  *out;

    /* an example of FIPS 180-4 */

    n = value("email", "ABC", &out);
    unit_is(out, n, "ba7816bf8f01cfea414140de5dae2223"
            "b00361a396177a9cb410ff61f20015ad", "SHA-256 of \"abc\"");

    for (i = 0; i < unit_nelts(values); i++) {
        n = value(values[i].name, values[i].in, &out);

        if (sgtm_user_field((const unsigned char *) values[i].name,
                            strlen(values[i].name))->hash)
        {
            sha256(values[i].out, want);
            unit_is(out, n, want, values[i].in);

        } else {
            unit_is(out, n, values[i].out, values[i].in);
        }
    }

    n = value("email", hash, &out);
    unit_is(out, n, hash, "a hash stays as it is");

    n = value("sha256_email_address", hash, &out);
    unit_is(out, n, hash, "under its own name, too");

    memset(base64, 'a', 43);
    base64[43] = '=';
    base64[44] = '\0';

    n = value("sha256_phone_number", base64, &out);
    unit_is(out, n, base64, "one in base64");

    sha256("a@b.de", want);
    n = value("sha256_email_address", "A@b.de", &out);
    unit_is(out, n, want, "what is none under the name of one");

    sha256(base64, want);
    n = value("email", base64, &out);
    unit_is(out, n, want, "what may be an address under its own name");

    unit_ok(value("email", "", &out) == 0, "an empty one");
    unit_ok(value("email", " \t ", &out) == 0, "one of spaces");
    unit_ok(value("phone", "call me", &out) == 0, "a number without digits");
    unit_ok(value("first_name", "-1-", &out) == 0, "a name without letters");
    unit_ok(value("city", "  ", &out) == 0, "no city");
    unit_ok(value("country", " ", &out) == 0, "no country");

    test_path("user_data.email", "email", "sha256_email_address");
    test_path("email", "email", "sha256_email_address");
    test_path("user_data.email.0", "email", "sha256_email_address");
    test_path("user_data.address.1.last_name", "last_name",
              "sha256_last_name");
    test_path("user_data.address.street", "street", "sha256_street");
    test_path("user_data.address.city", "city", "city");
    test_path("user_data._tag_mode", NULL, NULL);
    test_path("user_data.", NULL, NULL);
    test_path("0.1", NULL, NULL);
    test_path("", NULL, NULL);

    return unit_done();
}
