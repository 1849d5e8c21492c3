
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <limits.h>

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
    size_t  len;

    if (sgtm_base64_decode(out, SGTM_SHA256_SIZE, text, &len) != SGTM_OK) {
        return SGTM_DECLINED;
    }

    return len == SGTM_SHA256_SIZE ? SGTM_OK : SGTM_DECLINED;
}


size_t
sgtm_base64_encode(unsigned char *out, const sgtm_str_t *data)
{
    size_t    i, left;
    unsigned  bits;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (i = 0; i < data->len; i += 3) {
        left = data->len - i;

        bits = (unsigned) data->data[i] << 16;
        bits |= left > 1 ? (unsigned) data->data[i + 1] << 8 : 0;
        bits |= left > 2 ? (unsigned) data->data[i + 2] : 0;

        *out++ = (unsigned char) digits[bits >> 18];
        *out++ = (unsigned char) digits[bits >> 12 & 63];
        *out++ = (unsigned char) (left > 1 ? digits[bits >> 6 & 63] : '=');
        *out++ = (unsigned char) (left > 2 ? digits[bits & 63] : '=');
    }

    return sgtm_base64_size(data->len);
}


int
sgtm_base64_decode(unsigned char *out, size_t size, const sgtm_str_t *text,
    size_t *len)
{
    int       n;
    size_t    i, digits;
    unsigned  bits;

    *len = 0;

    if (text->len == 0 || text->len % 4) {
        return SGTM_DECLINED;
    }

    digits = text->len;
    digits -= (text->data[digits - 1] == '=');
    digits -= (digits < text->len && text->data[digits - 1] == '=');

    if (digits / 4 * 3 + (digits % 4 ? digits % 4 - 1 : 0) > size) {
        return SGTM_DECLINED;
    }

    bits = 0;

    for (i = 0; i < digits; i++) {
        n = sgtm_crypto_base64(text->data[i]);

        if (n < 0) {
            return SGTM_DECLINED;
        }

        bits = (bits << 6 | (unsigned) n) & 0xfff;

        /* each digit but the first of four ends a byte */

        switch (i % 4) {

        case 1:
            out[(*len)++] = (unsigned char) (bits >> 4);
            break;

        case 2:
            out[(*len)++] = (unsigned char) (bits >> 2);
            break;

        case 3:
            out[(*len)++] = (unsigned char) bits;
            break;
        }
    }

    /* what the last digit has beyond the last byte */

    return ((digits % 4 == 2 && bits & 15) || (digits % 4 == 3 && bits & 3))
           ? SGTM_DECLINED : SGTM_OK;
}
