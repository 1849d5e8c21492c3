
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What is taken from OpenSSL's libcrypto: SHA-256 and its HMAC, and the text
 * forms in which others write them.  Plain C11 without nginx.
 */


#ifndef _SGTM_CRYPTO_H_INCLUDED_
#define _SGTM_CRYPTO_H_INCLUDED_


#include "../hit/sgtm_hit.h"


#define SGTM_SHA256_SIZE  32


/* SGTM_OK, or SGTM_ERROR: no memory */
int sgtm_sha256(const sgtm_str_t *data, unsigned char out[SGTM_SHA256_SIZE]);
int sgtm_hmac_sha256(const sgtm_str_t *key, const sgtm_str_t *data,
    unsigned char out[SGTM_SHA256_SIZE]);

/* whether two hashes are the same; takes as long if they are not */
int sgtm_hash_equal(const unsigned char a[SGTM_SHA256_SIZE],
    const unsigned char b[SGTM_SHA256_SIZE]);

/*
 * Reads a hash of 64 hexadecimal digits, of either case, or of 44 characters
 * of base64 (RFC 4648).  SGTM_OK, or SGTM_DECLINED: it has another form.
 */
int sgtm_hash_from_hex(const sgtm_str_t *text,
    unsigned char out[SGTM_SHA256_SIZE]);
int sgtm_hash_from_base64(const sgtm_str_t *text,
    unsigned char out[SGTM_SHA256_SIZE]);

/* the digits that n bytes make, "=" included */
#define sgtm_base64_size(n)  (((n) + 2) / 3 * 4)

/* writes sgtm_base64_size(data->len) bytes and returns how many */
size_t sgtm_base64_encode(unsigned char *out, const sgtm_str_t *data);

/*
 * Writes what the digits mean, at most size bytes, and sets len.  SGTM_DECLINED
 * where they are no base64 with its "=" and nothing else, or mean more.
 */
int sgtm_base64_decode(unsigned char *out, size_t size, const sgtm_str_t *text,
    size_t *len);


#endif /* _SGTM_CRYPTO_H_INCLUDED_ */
