
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Signatures of webhooks, held against values that openssl(1) has made.  An
 * order that anybody can make up is worth less than none; a secret that can't
 * be replaced while orders come in is never replaced.
 */


#include "unit.h"
#include "../../src/intake/sgtm_signature.h"
#include "../../src/lib/sgtm_crypto.h"


#define BODY     "{\"id\":\"evt_1\"}"
#define NOW      1732104000

/* of "1732104000." and BODY, by whsec_one and whsec_two */
#define ONE      "b6f0562af395b17fe8d1cf86aeb5ec95ce0320935310"                \
                 "1949bcd35c5038e8b6"
#define TWO      "2170828520bcdec67cea42c773048644d880d7da93bb"                \
                 "4b97aa11e84bc4d2db"
#define ONE_END  "89"
#define TWO_END  "ad"

/* of BODY */
#define ONE_64   "zZfgg9vkr8GUOV6OveBKd/MRi5JPFtIjof2m+k7Vi6Q="
#define TWO_64   "X+Nf+gWZMjfz9VqcBqH0ip4TfKf6O1lU7+gjPYsoxfs="


enum { GOOD, WRONG, STALE };


static const struct {
    const char     *header;
    int64_t         now;
    int             result;
} stripe[] = {
    { "t=1732104000,v1=" ONE ONE_END, NOW, GOOD },
    { "v1=" ONE ONE_END ",t=1732104000", NOW, GOOD },
    { "t=1732104000, v1=" ONE ONE_END " ", NOW, GOOD },
    { "t=1732104000,v1=" TWO TWO_END, NOW, GOOD },
    { "t=1732104000,v1=" TWO "00,v1=" ONE ONE_END, NOW, GOOD },
    { "t=1732104000,v1=" ONE ONE_END ",v1=" TWO "00", NOW, GOOD },
    { "t=1732104000,v1=short,v1=" ONE ONE_END ",v0=" TWO TWO_END, NOW, GOOD },
    { ",,x,t=1732104000,=,v1=" ONE ONE_END ",", NOW, GOOD },

    { "t=1732104000,v1=" ONE ONE_END, NOW + 300, GOOD },
    { "t=1732104000,v1=" ONE ONE_END, NOW - 300, GOOD },
    { "t=1732104000,v1=" ONE ONE_END, NOW + 301, STALE },
    { "t=1732104000,v1=" ONE ONE_END, NOW - 301, STALE },
    { "t=1732104000,v1=" ONE "00", NOW + 301, WRONG },

    { "t=1732104000,v1=" ONE "00", NOW, WRONG },
    { "t=1732104001,v1=" ONE ONE_END, NOW, WRONG },
    { "t=01732104000,v1=" ONE ONE_END, NOW, WRONG },
    { "t=1732104000,v0=" ONE ONE_END, NOW, WRONG },
    { "t=1732104000,v1=" ONE, NOW, WRONG },
    { "t=1732104000,v1=" ONE ONE_END "00", NOW, WRONG },
    { "t=1732104000,v1=" ONE "g9", NOW, WRONG },
    { "t=1732104000,v1=", NOW, WRONG },
    { "t=1732104000", NOW, WRONG },
    { "v1=" ONE ONE_END, NOW, WRONG },
    { "t=,v1=" ONE ONE_END, NOW, WRONG },
    { "t=x,v1=" ONE ONE_END, NOW, WRONG },
    { "t=-1732104000,v1=" ONE ONE_END, NOW, WRONG },
    { "t=1732104000,t=1732104000,v1=" ONE ONE_END, NOW, WRONG },
    { "t=9999999999999,v1=" ONE ONE_END, NOW, WRONG },
    { ONE ONE_END, NOW, WRONG },
    { "", NOW, WRONG },
    { ",", NOW, WRONG },
    { "t", NOW, WRONG }
};


static const struct {
    const char     *header;
    int             result;
} base64[] = {
    { ONE_64, GOOD },
    { TWO_64, GOOD },
    { "AZfgg9vkr8GUOV6OveBKd/MRi5JPFtIjof2m+k7Vi6Q=", WRONG },
    { "zZfgg9vkr8GUOV6OveBKd/MRi5JPFtIjof2m+k7Vi6R=", WRONG },
    { "zZfgg9vkr8GUOV6OveBKd_MRi5JPFtIjof2m-k7Vi6Q=", WRONG },
    { "zZfgg9vkr8GUOV6OveBKd/MRi5JPFtIjof2m+k7Vi6Q", WRONG },
    { "zZfgg9vkr8GUOV6OveBKd/MRi5JPFtIjof2m+k7Vi6Q==", WRONG },
    { " zZfgg9vkr8GUOV6OveBKd/MRi5JPFtIjof2m+k7Vi6Q", WRONG },
    { ONE ONE_END, WRONG },
    { "", WRONG }
};


static const sgtm_str_t  secrets[] = {
    sgtm_string("whsec_one"),
    sgtm_string("whsec_two")
};


static int
result(unsigned shop, const char *header, const char *body, size_t nsecrets,
    int64_t now)
{
    int         rc, stale;
    sgtm_str_t  h, b;

    h = unit_str(header);
    b = unit_str(body);

    rc = sgtm_signature(shop, &h, &b, secrets, nsecrets, now, &stale);

    return (rc == SGTM_OK) ? (stale ? STALE : GOOD)
           : (rc == SGTM_DECLINED) ? WRONG : -1;
}


/* whether a hash is the one of these digits */

static int
is(const unsigned char *hash, const char *digits)
{
    sgtm_str_t     text;
    unsigned char  want[SGTM_SHA256_SIZE];

    text = unit_str(digits);

    return sgtm_hash_from_hex(&text, want) == SGTM_OK
           && memcmp(hash, want, sizeof(want)) == 0;
}


static void
test_hashes(void)
{
    sgtm_str_t     data, key;
    unsigned char  hash[SGTM_SHA256_SIZE], other[SGTM_SHA256_SIZE];

    /* FIPS 180-2; RFC 4231, 4.7 */

    data = unit_str("abc");
    sgtm_sha256(&data, hash);
    unit_ok(is(hash, "ba7816bf8f01cfea414140de5dae2223"
                     "b00361a396177a9cb410ff61f20015ad"), "SHA-256");

    memcpy(other, hash, sizeof(hash));
    unit_ok(sgtm_hash_equal(hash, other), "the same hash");

    other[31] ^= 1;
    unit_ok(!sgtm_hash_equal(hash, other), "one bit makes another");

    data = unit_bytes("", 0);
    sgtm_sha256(&data, hash);
    unit_ok(is(hash, "e3b0c44298fc1c149afbf4c8996fb924"
                     "27ae41e4649b934ca495991b7852b855"), "of nothing");

    key.data = unit_alloc(131);
    key.len = 131;
    memset(key.data, 0xaa, 131);

    data = unit_str("Test Using Larger Than Block-Size Key - Hash Key First");
    sgtm_hmac_sha256(&key, &data, hash);
    unit_ok(is(hash, "60e431591ee0b67f0d8a26aacbf5b77f"
                     "8e0bc6213728c5140546040f0ee37f54"),
            "HMAC with a long key");

    data = unit_str("ABCDEFABCDEFABCDEFABCDEFABCDEFAB"
                    "abcdefabcdefabcdefabcdefabcdefab");
    unit_ok(sgtm_hash_from_hex(&data, hash) == SGTM_OK && hash[0] == 0xab
            && hash[31] == 0xab, "either case");
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < unit_nelts(stripe); i++) {
        unit_ok(result(SGTM_SHOP_STRIPE, stripe[i].header, BODY, 2,
                       stripe[i].now) == stripe[i].result,
                "Stripe: \"%.40s\"", stripe[i].header);
    }

    unit_ok(result(SGTM_SHOP_STRIPE, stripe[0].header, BODY " ", 2, NOW)
            == WRONG, "Stripe: another body");
    unit_ok(result(SGTM_SHOP_STRIPE, stripe[3].header, BODY, 1, NOW) == WRONG,
            "Stripe: a secret that is no longer there");

    for (i = 0; i < unit_nelts(base64); i++) {
        unit_ok(result(SGTM_SHOP_SHOPIFY, base64[i].header, BODY, 2, 0)
                == base64[i].result, "Shopify: \"%s\"", base64[i].header);
        unit_ok(result(SGTM_SHOP_WOOCOMMERCE, base64[i].header, BODY, 2, 0)
                == base64[i].result, "WooCommerce: the same");
    }

    unit_ok(result(SGTM_SHOP_SHOPIFY, ONE_64, "", 2, 0) == WRONG,
            "Shopify: no body");

    test_hashes();

    return unit_done();
}
