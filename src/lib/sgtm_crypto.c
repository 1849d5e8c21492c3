
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "../hit/sgtm_args.h"
#include "sgtm_crypto.h"


static int sgtm_crypto_base64(unsigned char ch);


int
sgtm_sha256(const sgtm_str_t *data, unsigned char out[SGTM_SHA256_SIZE])
{
    unsigned  len;

    return EVP_Digest(data->data, data->len, out, &len, EVP_sha256(), NULL)
           ? SGTM_OK : SGTM_ERROR;
}


int
sgtm_hmac_sha256(const sgtm_str_t *key, const sgtm_str_t *data,
    unsigned char out[SGTM_SHA256_SIZE])
{
    unsigned  len;

    if (key->len > INT_MAX) {
        return SGTM_ERROR;
    }

    return HMAC(EVP_sha256(), key->data, (int) key->len, data->data,
                data->len, out, &len)
           ? SGTM_OK : SGTM_ERROR;
}


int
sgtm_hash_equal(const unsigned char a[SGTM_SHA256_SIZE],
    const unsigned char b[SGTM_SHA256_SIZE])
{
    return CRYPTO_memcmp(a, b, SGTM_SHA256_SIZE) == 0;
}


int
sgtm_hash_from_hex(const sgtm_str_t *text, unsigned char out[SGTM_SHA256_SIZE])
{
    size_t    i;
    unsigned  byte;

    if (text->len != 2 * SGTM_SHA256_SIZE) {
        return SGTM_DECLINED;
    }

    for (i = 0; i < SGTM_SHA256_SIZE; i++) {
        byte = sgtm_args_byte(text->data + 2 * i);

        if (byte > 0xff) {
            return SGTM_DECLINED;
        }

        out[i] = (unsigned char) byte;
    }

    return SGTM_OK;
}


static int
sgtm_crypto_base64(unsigned char ch)
{
    if (ch >= 'A' && ch <= 'Z') {
        return ch - 'A';
    }

    if (ch >= 'a' && ch <= 'z') {
        return ch - 'a' + 26;
    }

    if (ch >= '0' && ch <= '9') {
        return ch - '0' + 52;
    }

    return (ch == '+') ? 62 : (ch == '/') ? 63 : -1;
}


int
sgtm_hash_from_base64(const sgtm_str_t *text,
    unsigned char out[SGTM_SHA256_SIZE])
{
    int       n;
    size_t    i, size;
    unsigned  bits;

    /* 32 bytes are 43 digits, two bits left over, and one "=" */

    if (text->len != 44 || text->data[43] != '=') {
        return SGTM_DECLINED;
    }

    bits = 0;
    size = 0;

    for (i = 0; i < 43; i++) {
        n = sgtm_crypto_base64(text->data[i]);

        if (n < 0) {
            return SGTM_DECLINED;
        }

        bits = (bits << 6 | (unsigned) n) & 0xffffff;

        if (i % 4 == 3) {
            out[size++] = (unsigned char) (bits >> 16);
            out[size++] = (unsigned char) (bits >> 8);
            out[size++] = (unsigned char) bits;
        }
    }

    if (bits & 3) {
        return SGTM_DECLINED;
    }

    out[size++] = (unsigned char) (bits >> 10);
    out[size] = (unsigned char) (bits >> 2);

    return SGTM_OK;
}
