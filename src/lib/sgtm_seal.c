
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "sgtm_seal.h"


#define SGTM_SEAL_PREFIX  "sealed:v1:"
#define SGTM_SEAL_WORD    "sealed:"

#define SGTM_SEAL_NONCE   12
#define SGTM_SEAL_TAG     16


typedef struct {
    sgtm_str_t      id;
    sgtm_str_t      digits;
} sgtm_sealed_t;


static int sgtm_seal_split(const sgtm_str_t *text, sgtm_sealed_t *sealed);
static const sgtm_key_t *sgtm_seal_key(const sgtm_keys_t *keys,
    const sgtm_str_t *id);
static int sgtm_seal_with(EVP_CIPHER_CTX *ctx, const sgtm_key_t *key,
    const sgtm_str_t *owner, const sgtm_str_t *field, const sgtm_str_t *secret,
    unsigned char *raw);
static int sgtm_seal_open(EVP_CIPHER_CTX *ctx, const sgtm_key_t *key,
    const sgtm_str_t *owner, const sgtm_str_t *field, unsigned char *raw,
    size_t size, unsigned char *out);
static int sgtm_seal_place(EVP_CIPHER_CTX *ctx, const sgtm_key_t *key,
    const sgtm_str_t *owner, const sgtm_str_t *field);


int
sgtm_sealed(const sgtm_str_t *text)
{
    sgtm_sealed_t  sealed;

    if (text->len < sizeof(SGTM_SEAL_WORD) - 1
        || memcmp(text->data, SGTM_SEAL_WORD, sizeof(SGTM_SEAL_WORD) - 1) != 0)
    {
        return SGTM_DECLINED;
    }

    return sgtm_seal_split(text, &sealed);
}


void
sgtm_sealed_key(const sgtm_str_t *text, sgtm_str_t *id)
{
    sgtm_sealed_t  sealed;

    id->len = 0;
    id->data = text->data;

    if (sgtm_seal_split(text, &sealed) == SGTM_OK) {
        *id = sealed.id;
    }
}


static int
sgtm_seal_split(const sgtm_str_t *text, sgtm_sealed_t *sealed)
{
    size_t          len;
    unsigned char  *p, *end, raw[SGTM_SEAL_NONCE + SGTM_SECRET_MAX
                                 + SGTM_SEAL_TAG];

    p = text->data;
    end = p + text->len;
    len = sizeof(SGTM_SEAL_PREFIX) - 1;

    if (text->len < len || memcmp(p, SGTM_SEAL_PREFIX, len) != 0) {
        return SGTM_ERROR;
    }

    sealed->id.data = p + len;
    p = memchr(p + len, ':', text->len - len);

    if (p == NULL) {
        return SGTM_ERROR;
    }

    sealed->id.len = (size_t) (p - sealed->id.data);
    sealed->digits.data = p + 1;
    sealed->digits.len = (size_t) (end - p - 1);

    if (!sgtm_keys_id(&sealed->id)
        || sgtm_base64_decode(raw, sizeof(raw), &sealed->digits, &len)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    return len > SGTM_SEAL_NONCE + SGTM_SEAL_TAG ? SGTM_OK : SGTM_ERROR;
}


int
sgtm_seal(const sgtm_keys_t *keys, const sgtm_str_t *owner,
    const sgtm_str_t *field, const sgtm_str_t *secret, unsigned char *out,
    size_t *len)
{
    int                rc;
    sgtm_str_t         bytes;
    unsigned char     *p, raw[SGTM_SEAL_NONCE + SGTM_SECRET_MAX
                              + SGTM_SEAL_TAG];
    EVP_CIPHER_CTX    *ctx;
    const sgtm_key_t  *key;

    if (keys == NULL || keys->nkeys == 0 || secret->len == 0
        || secret->len > SGTM_SECRET_MAX)
    {
        return SGTM_ERROR;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return SGTM_ERROR;
    }

    key = &keys->keys[0];

    rc = sgtm_seal_with(ctx, key, owner, field, secret, raw);

    EVP_CIPHER_CTX_free(ctx);

    if (rc != SGTM_OK) {
        return SGTM_ERROR;
    }

    bytes.data = raw;
    bytes.len = SGTM_SEAL_NONCE + secret->len + SGTM_SEAL_TAG;

    p = out;

    memcpy(p, SGTM_SEAL_PREFIX, sizeof(SGTM_SEAL_PREFIX) - 1);
    p += sizeof(SGTM_SEAL_PREFIX) - 1;

    memcpy(p, key->id, key->id_len);
    p += key->id_len;

    *p++ = ':';
    p += sgtm_base64_encode(p, &bytes);

    *len = (size_t) (p - out);

    return SGTM_OK;
}


/* the nonce is random: 2^32 secrets of one key are far more than there are */

static int
sgtm_seal_with(EVP_CIPHER_CTX *ctx, const sgtm_key_t *key,
    const sgtm_str_t *owner, const sgtm_str_t *field, const sgtm_str_t *secret,
    unsigned char *raw)
{
    int             n;
    unsigned char  *text, *tag;

    text = raw + SGTM_SEAL_NONCE;
    tag = text + secret->len;

    if (RAND_bytes(raw, SGTM_SEAL_NONCE) != 1
        || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, raw) != 1
        || sgtm_seal_place(ctx, key, owner, field) != SGTM_OK
        || EVP_EncryptUpdate(ctx, text, &n, secret->data, (int) secret->len)
           != 1
        || n != (int) secret->len
        || EVP_EncryptFinal_ex(ctx, tag, &n) != 1
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, SGTM_SEAL_TAG, tag)
           != 1)
    {
        return SGTM_ERROR;
    }

    return SGTM_OK;
}


int
sgtm_unseal(const sgtm_keys_t *keys, const sgtm_str_t *owner,
    const sgtm_str_t *field, const sgtm_str_t *text, unsigned char *out,
    size_t *len)
{
    int                rc;
    size_t             size;
    unsigned char      raw[SGTM_SEAL_NONCE + SGTM_SECRET_MAX + SGTM_SEAL_TAG];
    sgtm_sealed_t      sealed;
    EVP_CIPHER_CTX    *ctx;
    const sgtm_key_t  *key;

    *len = 0;

    if (sgtm_seal_split(text, &sealed) != SGTM_OK
        || sgtm_base64_decode(raw, sizeof(raw), &sealed.digits, &size)
           != SGTM_OK)
    {
        return SGTM_ERROR;
    }

    key = sgtm_seal_key(keys, &sealed.id);
    if (key == NULL) {
        return SGTM_DECLINED;
    }

    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return SGTM_ERROR;
    }

    rc = sgtm_seal_open(ctx, key, owner, field, raw, size, out);

    EVP_CIPHER_CTX_free(ctx);

    size -= SGTM_SEAL_NONCE + SGTM_SEAL_TAG;

    if (rc != SGTM_OK) {
        OPENSSL_cleanse(out, size);
        return SGTM_ERROR;
    }

    *len = size;

    return SGTM_OK;
}


static int
sgtm_seal_open(EVP_CIPHER_CTX *ctx, const sgtm_key_t *key,
    const sgtm_str_t *owner, const sgtm_str_t *field, unsigned char *raw,
    size_t size, unsigned char *out)
{
    int             n;
    unsigned char  *text, *tag;

    text = raw + SGTM_SEAL_NONCE;
    tag = raw + size - SGTM_SEAL_TAG;

    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->key, raw) != 1
        || sgtm_seal_place(ctx, key, owner, field) != SGTM_OK
        || EVP_DecryptUpdate(ctx, out, &n, text, (int) (tag - text)) != 1
        || n != (int) (tag - text)
        || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, SGTM_SEAL_TAG, tag)
           != 1
        || EVP_DecryptFinal_ex(ctx, out + n, &n) != 1)
    {
        return SGTM_ERROR;
    }

    return SGTM_OK;
}


/* the associated data: all there is but the secret; none has a NUL in it */

static int
sgtm_seal_place(EVP_CIPHER_CTX *ctx, const sgtm_key_t *key,
    const sgtm_str_t *owner, const sgtm_str_t *field)
{
    int         n;
    size_t      i;
    sgtm_str_t  parts[4];

    static unsigned char  nul[] = "";

    parts[0].data = (unsigned char *) SGTM_SEAL_PREFIX;
    parts[0].len = sizeof(SGTM_SEAL_PREFIX) - 1;
    parts[1].data = (unsigned char *) (uintptr_t) key->id;
    parts[1].len = key->id_len;
    parts[2] = *owner;
    parts[3] = *field;

    for (i = 0; i < 4; i++) {

        /* EVP_DecryptUpdate() is the same with a context that decrypts */

        if (EVP_CipherUpdate(ctx, NULL, &n, parts[i].data, (int) parts[i].len)
            != 1
            || EVP_CipherUpdate(ctx, NULL, &n, nul, 1) != 1)
        {
            return SGTM_ERROR;
        }
    }

    return SGTM_OK;
}


static const sgtm_key_t *
sgtm_seal_key(const sgtm_keys_t *keys, const sgtm_str_t *id)
{
    size_t  i;

    for (i = 0; keys != NULL && i < keys->nkeys; i++) {
        if (keys->keys[i].id_len == id->len
            && memcmp(keys->keys[i].id, id->data, id->len) == 0)
        {
            return &keys->keys[i];
        }
    }

    return NULL;
}
