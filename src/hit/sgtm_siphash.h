
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * SipHash-2-4 with 128 bits of output, by Jean-Philippe Aumasson and Daniel J.
 * Bernstein: who does not know the key can't find two inputs of one hash.
 */


#ifndef _SGTM_SIPHASH_H_INCLUDED_
#define _SGTM_SIPHASH_H_INCLUDED_


#include "sgtm_hit.h"


#define SGTM_SIPHASH_KEY  16


typedef struct {
    uint64_t        v[4];
    uint64_t        word;              /* bytes that wait for eight */
    size_t          len;               /* of the input so far */
} sgtm_siphash_t;


/* key: SGTM_SIPHASH_KEY bytes */
void sgtm_siphash_init(sgtm_siphash_t *hash, const unsigned char *key);

/* adds bytes; how the input is divided into calls makes no difference */
void sgtm_siphash_update(sgtm_siphash_t *hash, const unsigned char *data,
    size_t len);

/* sets out[2], whose bytes in order, each word's lowest first, are the hash */
void sgtm_siphash_final(sgtm_siphash_t *hash, uint64_t *out);


#endif /* _SGTM_SIPHASH_H_INCLUDED_ */
