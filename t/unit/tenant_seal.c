
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Sealed secrets: what was sealed opens with its key, for its tenant and its
 * field, and with nothing else; no byte of it can be changed.  A file of keys
 * that is wrong says where, and never shows a key.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <unistd.h>
#include <sys/stat.h>

#include "unit.h"
#include "../../src/lib/sgtm_seal.h"


#define HEX   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX2  "F00102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"


/* 27 bytes; nonce and tag alone are 28 */
#define A36   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


static const struct {
    const char     *text;
    const char     *error;             /* NULL: there is none */
    size_t          nkeys;
} files[] = {
    { "k1 " HEX, NULL, 1 },
    { "# keys\n\n  k1\t" HEX "  \r\nk2 " HEX2 "\n#end\n", NULL, 2 },
    { "2026-11.a_b-c " HEX "\n", NULL, 1 },
    { "", "no key in it", 0 },
    { "# none\n\n", "no key in it", 0 },
    { "k1\n", "line 1: the key is not of 64", 0 },
    { HEX "\n", "line 1: the id is not of 1 to 32", 0 },
    { "k1 " HEX "\n\nk2 00\n", "line 3: the key is not of 64", 0 },
    { "k1 " HEX "0\n", "line 1: the key is not of 64", 0 },
    { "k1 " HEX " x\n", "line 1: the key is not of 64", 0 },
    { "k1 g" HEX2 "\n", "line 1: the key is not of 64", 0 },
    { "k:1 " HEX "\n", "line 1: the id is not of", 0 },
    { "k1 " HEX "\nk1 " HEX2 "\n", "line 2: a key before has the same id", 0 },
    { "k23456789012345678901234567890123 " HEX "\n", "line 1: the id", 0 }
};


static const struct {
    const char     *text;
    int             result;
} forms[] = {
    { "EAAB-secret", SGTM_DECLINED },
    { "", SGTM_DECLINED },
    { "sealed", SGTM_DECLINED },
    { "Sealed:v1:k1:AAAA", SGTM_DECLINED },
    { "sealed:", SGTM_ERROR },
    { "sealed:v2:k1:" A36 "AAA=", SGTM_ERROR },
    { "sealed:v1:k1", SGTM_ERROR },
    { "sealed:v1::" A36 "AAA=", SGTM_ERROR },
    { "sealed:v1:k1:", SGTM_ERROR },
    { "sealed:v1:k1:" A36 "AA==", SGTM_ERROR },
    { "sealed:v1:k1:" A36 "AAA=", SGTM_OK },
    { "sealed:v1:k1:" A36 "AAA", SGTM_ERROR },
    { "sealed:v1:k1:" A36 "AAB=", SGTM_ERROR },
    { "sealed:v1:k1:AA A" A36 "AAA=", SGTM_ERROR },
    { "sealed:v1:k1:AAA=" A36 "AAA=", SGTM_ERROR },
    { "sealed:v1:k1:" A36 "AA-_", SGTM_ERROR },
    { "sealed:v1:k1:x:" A36 "AAA=", SGTM_ERROR },
    { "sealed:v1:k 1:" A36 "AAA=", SGTM_ERROR },
    { "sealed:v1:k23456789012345678901234567890123:" A36 "AAA=", SGTM_ERROR }
};


static sgtm_keys_t    keys;
static sgtm_str_t     owner, field;
static unsigned char  sealed[SGTM_SEALED_MAX], opened[SGTM_SECRET_MAX];
static char           error[SGTM_KEYS_ERROR];


static int
parse(sgtm_keys_t *to, const char *text)
{
    sgtm_str_t  str;

    str = unit_str(text);
    error[0] = '\0';

    return sgtm_keys_parse(to, &str, error);
}


static int
opens(const sgtm_keys_t *with, const char *of, const char *in,
    const sgtm_str_t *text, const char *want)
{
    int         rc;
    size_t      len;
    sgtm_str_t  o, f, copy;

    o = unit_str(of);
    f = unit_str(in);
    copy = unit_bytes(text->data, text->len);

    rc = sgtm_unseal(with, &o, &f, &copy, opened, &len);

    if (rc != SGTM_OK) {
        return len ? -100 : rc;
    }

    return (len == strlen(want) && memcmp(opened, want, len) == 0) ? rc : -100;
}


static void
test_keys(void)
{
    int          rc, fd;
    char         file[] = "/tmp/sgtm-keys-XXXXXX", text[17 * 80];
    size_t       i, n;
    sgtm_keys_t  read;

    for (i = 0; i < unit_nelts(files); i++) {
        rc = parse(&read, files[i].text);

        if (files[i].error == NULL) {
            unit_ok(rc == SGTM_OK && read.nkeys == files[i].nkeys,
                    "a file of %zu keys", files[i].nkeys);
            continue;
        }

        unit_ok(rc == SGTM_ERROR && strncmp(error, files[i].error,
                                            strlen(files[i].error)) == 0
                && strstr(error, "0001") == NULL && read.nkeys == 0
                && read.keys[0].id_len == 0,
                "a file that is wrong: \"%s\"", error);
    }

    for (n = 0, i = 0; i < 17; i++) {
        n += (size_t) sprintf(text + n, "k%zu %s\n", i, HEX);
    }

    unit_ok(parse(&read, text) == SGTM_ERROR
            && strcmp(error, "line 17: more than 16 keys") == 0, "17 keys");

    fd = mkstemp(file);
    unit_ok(fd != -1 && write(fd, text, 80) == 80 && ftruncate(fd, 68) == 0
            && close(fd) == 0, "a file");

    unit_ok(sgtm_keys_read(&read, file, error) == SGTM_OK && read.nkeys == 1
            && !read.exposed, "is read");

    (void) chmod(file, 0640);
    unit_ok(sgtm_keys_read(&read, file, error) == SGTM_OK && read.exposed,
            "that others may read it is told");

    (void) truncate(file, 20000);
    unit_ok(sgtm_keys_read(&read, file, error) == SGTM_ERROR
            && strcmp(error, "larger than 16k") == 0, "one that is too large");

    (void) unlink(file);
    unit_ok(sgtm_keys_read(&read, file, error) == SGTM_ERROR
            && strncmp(error, "cannot be opened: ", 18) == 0, "none");

    unit_ok(sgtm_keys_read(&read, "/tmp", error) == SGTM_ERROR
            && strcmp(error, "not a file") == 0, "a directory");
}


static void
test_places(void)
{
    size_t       i, len;
    sgtm_str_t   secret, text, id;
    sgtm_keys_t  rotated, other;

    secret = unit_str("EAAB-secret");

    unit_ok(sgtm_seal(&keys, &owner, &field, &secret, sealed, &len) == SGTM_OK,
            "a secret is sealed");

    text = unit_bytes(sealed, len);

    unit_ok(sgtm_sealed(&text) == SGTM_OK, "what comes of it has the form");
    sgtm_sealed_key(&text, &id);
    unit_is(id.data, id.len, "k1", "and the key's id");

    unit_ok(opens(&keys, "shop-1", "api_secrets", &text, "EAAB-secret")
            == SGTM_OK, "it opens");
    unit_ok(opens(&keys, "shop-2", "api_secrets", &text, "") == SGTM_ERROR,
            "not for another tenant");
    unit_ok(opens(&keys, "shop-1", "webhooks.stripe", &text, "") == SGTM_ERROR,
            "not in another field");
    unit_ok(opens(&keys, "shop-1a", "pi_secrets", &text, "") == SGTM_ERROR,
            "not where the two together are the same");

    parse(&rotated, "k2 " HEX2 "\nk1 " HEX "\n");
    unit_ok(opens(&rotated, "shop-1", "api_secrets", &text, "EAAB-secret")
            == SGTM_OK, "by a key that is no longer the first");

    parse(&other, "k2 " HEX2 "\n");
    unit_ok(opens(&other, "shop-1", "api_secrets", &text, "") == SGTM_DECLINED,
            "without its key it does not, and is told from one that is wrong");
    unit_ok(opens(NULL, "shop-1", "api_secrets", &text, "") == SGTM_DECLINED,
            "nor without keys");

    parse(&other, "k1 " HEX2 "\n");
    unit_ok(opens(&other, "shop-1", "api_secrets", &text, "") == SGTM_ERROR,
            "nor with another of its id");

    /* every bit of it */

    for (i = sizeof("sealed:v1:k1:") - 1; i < len; i++) {
        text.data[i] ^= 1;

        if (opens(&keys, "shop-1", "api_secrets", &text, "EAAB-secret")
            == SGTM_OK)
        {
            break;
        }

        text.data[i] ^= 1;
    }

    unit_ok(i == len, "no digit of it can be changed");

    parse(&other, "k9 " HEX "\n");
    text.data[sizeof("sealed:v1:k") - 1] = '9';
    unit_ok(opens(&other, "shop-1", "api_secrets", &text, "") == SGTM_ERROR,
            "nor the id of its key");
}


static void
test_lengths(void)
{
    size_t         i, len, again;
    sgtm_str_t     secret, text;
    unsigned char  twice[SGTM_SEALED_MAX];

    secret = unit_bytes(unit_alloc(SGTM_SECRET_MAX + 1), SGTM_SECRET_MAX + 1);
    memset(secret.data, 's', secret.len);

    for (i = 1; i <= SGTM_SECRET_MAX; i += (i < 8) ? 1 : 56) {
        secret.len = i;

        if (sgtm_seal(&keys, &owner, &field, &secret, sealed, &len) != SGTM_OK
            || len > SGTM_SEALED_MAX)
        {
            break;
        }

        text = unit_bytes(sealed, len);

        if (sgtm_sealed(&text) != SGTM_OK
            || sgtm_unseal(&keys, &owner, &field, &text, opened, &len)
               != SGTM_OK
            || len != i || memcmp(opened, secret.data, i) != 0)
        {
            break;
        }
    }

    unit_ok(i == SGTM_SECRET_MAX + 56, "every length comes back: %zu", i);

    (void) sgtm_seal(&keys, &owner, &field, &secret, twice, &again);
    unit_ok(memcmp(sealed, twice, len) != 0, "none is sealed twice alike");

    secret.len = 0;
    unit_ok(sgtm_seal(&keys, &owner, &field, &secret, sealed, &len)
            == SGTM_ERROR, "nothing is not sealed");

    secret.len = SGTM_SECRET_MAX + 1;
    unit_ok(sgtm_seal(&keys, &owner, &field, &secret, sealed, &len)
            == SGTM_ERROR, "nor what is too long");
}


int
main(void)
{
    size_t      i;
    sgtm_str_t  text;

    owner = unit_str("shop-1");
    field = unit_str("api_secrets");

    test_keys();

    unit_ok(parse(&keys, "k1 " HEX "\n") == SGTM_OK, "a key");

    for (i = 0; i < unit_nelts(forms); i++) {
        text = unit_str(forms[i].text);
        unit_ok(sgtm_sealed(&text) == forms[i].result, "the form of \"%s\"",
                forms[i].text);
    }

    test_places();
    test_lengths();

    sgtm_keys_wipe(&keys);

    for (i = 0; i < sizeof(keys); i++) {
        if (((unsigned char *) &keys)[i]) {
            break;
        }
    }

    unit_ok(i == sizeof(keys), "nothing is left of the keys");

    return unit_done();
}
