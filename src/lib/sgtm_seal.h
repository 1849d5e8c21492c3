
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Secrets at rest: AES-256-GCM by libcrypto, with keys of a file.  A sealed
 * secret is text,
 *
 *     sealed:v1:<id of the key>:<base64 of nonce, ciphertext and tag>
 *
 * and belongs to one owner and one field of his: elsewhere it does not open.
 * Plain C11 without nginx.
 */


#ifndef _SGTM_SEAL_H_INCLUDED_
#define _SGTM_SEAL_H_INCLUDED_


#include "sgtm_crypto.h"


#define SGTM_KEY_SIZE    32
#define SGTM_KEY_ID_MAX  32
#define SGTM_KEYS_MAX    16

/* bytes of a secret */
#define SGTM_SECRET_MAX  512

/* of its sealed form: nonce and tag are 28 bytes */
#define SGTM_SEALED_MAX                                                       \
    (sizeof("sealed:v1::") - 1 + SGTM_KEY_ID_MAX                              \
     + sgtm_base64_size(SGTM_SECRET_MAX + 28))

#define SGTM_KEYS_ERROR  512


typedef struct {
    size_t          id_len;
    unsigned char   id[SGTM_KEY_ID_MAX];
    unsigned char   key[SGTM_KEY_SIZE];
} sgtm_key_t;


typedef struct {
    size_t          nkeys;
    sgtm_key_t      keys[SGTM_KEYS_MAX];   /* the first one seals */
    unsigned        exposed:1;     /* others than its owner may use the file */
} sgtm_keys_t;


/*
 * Reads keys, one a line: "<id> <64 hexadecimal digits>", the id of 1 to 32
 * letters, digits and "._-".  Empty lines and those that begin with "#" are
 * skipped.  SGTM_OK; or SGTM_ERROR, when error (SGTM_KEYS_ERROR bytes) says why
 * and in which line, and keys is wiped.
 */
int sgtm_keys_parse(sgtm_keys_t *keys, const sgtm_str_t *text, char *error);

/* the same of a file; blocks */
int sgtm_keys_read(sgtm_keys_t *keys, const char *file, char *error);

void sgtm_keys_wipe(sgtm_keys_t *keys);

/* whether it has the form of a key's id */
int sgtm_keys_id(const sgtm_str_t *id);

/*
 * Whether a text is a sealed secret: SGTM_OK; SGTM_DECLINED: it is plain;
 * SGTM_ERROR: it begins with "sealed:" and is none.
 */
int sgtm_sealed(const sgtm_str_t *text);

/* the id of the key that sealed it; of a text that sgtm_sealed() says OK of */
void sgtm_sealed_key(const sgtm_str_t *text, sgtm_str_t *id);

/*
 * Seals a secret of 1 to SGTM_SECRET_MAX bytes: writes SGTM_SEALED_MAX bytes at
 * most and sets len.  SGTM_OK, or SGTM_ERROR: it has another length, there is
 * no key, or libcrypto failed.
 */
int sgtm_seal(const sgtm_keys_t *keys, const sgtm_str_t *owner,
    const sgtm_str_t *field, const sgtm_str_t *secret, unsigned char *out,
    size_t *len);

/*
 * Opens one: writes SGTM_SECRET_MAX bytes at most and sets len; the caller
 * wipes them (OPENSSL_cleanse()).  SGTM_OK; SGTM_DECLINED: keys may be NULL or
 * has none of this id; SGTM_ERROR: it was changed, is of another key, owner or
 * field, or libcrypto failed; out holds nothing of it then.
 */
int sgtm_unseal(const sgtm_keys_t *keys, const sgtm_str_t *owner,
    const sgtm_str_t *field, const sgtm_str_t *text, unsigned char *out,
    size_t *len);


#endif /* _SGTM_SEAL_H_INCLUDED_ */
