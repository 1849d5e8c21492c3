
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_siphash.h"


static uint64_t sgtm_siphash_word(const unsigned char *p);


#define sgtm_siphash_rotate(x, n)  ((x) << (n) | (x) >> (64 - (n)))

#define sgtm_siphash_round(v0, v1, v2, v3)                                    \
    v0 += v1;                                                                 \
    v2 += v3;                                                                 \
    v1 = sgtm_siphash_rotate(v1, 13) ^ v0;                                    \
    v3 = sgtm_siphash_rotate(v3, 16) ^ v2;                                    \
    v0 = sgtm_siphash_rotate(v0, 32);                                         \
                                                                              \
    v2 += v1;                                                                 \
    v0 += v3;                                                                 \
    v1 = sgtm_siphash_rotate(v1, 17) ^ v2;                                    \
    v3 = sgtm_siphash_rotate(v3, 21) ^ v0;                                    \
    v2 = sgtm_siphash_rotate(v2, 32)

#define sgtm_siphash_compress(v0, v1, v2, v3, word)                           \
    v3 ^= word;                                                               \
    sgtm_siphash_round(v0, v1, v2, v3);                                       \
    sgtm_siphash_round(v0, v1, v2, v3);                                       \
    v0 ^= word


void
sgtm_siphash_init(sgtm_siphash_t *hash, const unsigned char *key)
{
    uint64_t  k0, k1;

    k0 = sgtm_siphash_word(key);
    k1 = sgtm_siphash_word(key + 8);

    hash->v[0] = k0 ^ 0x736f6d6570736575;
    hash->v[1] = k1 ^ 0x646f72616e646f6d ^ 0xee;
    hash->v[2] = k0 ^ 0x6c7967656e657261;
    hash->v[3] = k1 ^ 0x7465646279746573;

    hash->word = 0;
    hash->len = 0;
}


void
sgtm_siphash_update(sgtm_siphash_t *hash, const unsigned char *data,
    size_t len)
{
    size_t    i;
    uint64_t  v0, v1, v2, v3, word, rest;
    unsigned  waits;

    v0 = hash->v[0];
    v1 = hash->v[1];
    v2 = hash->v[2];
    v3 = hash->v[3];

    rest = hash->word;
    waits = 8 * (unsigned) (hash->len & 7);
    hash->len += len;

    for ( /* void */ ; len >= 8; data += 8, len -= 8) {

        word = sgtm_siphash_word(data);

        if (waits) {
            rest |= word << waits;
            sgtm_siphash_compress(v0, v1, v2, v3, rest);
            rest = word >> (64 - waits);

        } else {
            sgtm_siphash_compress(v0, v1, v2, v3, word);
        }
    }

    for (i = 0, word = 0; i < len; i++) {
        word |= (uint64_t) data[i] << 8 * i;
    }

    rest |= word << waits;

    if (waits + 8 * len >= 64) {
        sgtm_siphash_compress(v0, v1, v2, v3, rest);
        rest = word >> (64 - waits);
    }

    hash->v[0] = v0;
    hash->v[1] = v1;
    hash->v[2] = v2;
    hash->v[3] = v3;
    hash->word = rest;
}


void
sgtm_siphash_final(sgtm_siphash_t *hash, uint64_t *out)
{
    uint64_t  v0, v1, v2, v3, word;
    unsigned  i;

    v0 = hash->v[0];
    v1 = hash->v[1];
    v2 = hash->v[2];
    v3 = hash->v[3];

    word = hash->word | (uint64_t) hash->len << 56;

    sgtm_siphash_compress(v0, v1, v2, v3, word);

    v2 ^= 0xee;

    for (i = 0; i < 4; i++) {
        sgtm_siphash_round(v0, v1, v2, v3);
    }

    out[0] = v0 ^ v1 ^ v2 ^ v3;

    v1 ^= 0xdd;

    for (i = 0; i < 4; i++) {
        sgtm_siphash_round(v0, v1, v2, v3);
    }

    out[1] = v0 ^ v1 ^ v2 ^ v3;
}


static uint64_t
sgtm_siphash_word(const unsigned char *p)
{
    uint64_t  word;

#if (SGTM_LITTLE_ENDIAN)

    memcpy(&word, p, 8);

#else

    unsigned  i;

    for (i = 0, word = 0; i < 8; i++) {
        word |= (uint64_t) p[i] << 8 * i;
    }

#endif

    return word;
}
