
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * User-provided data (Google's "user_data"): what arrives in clear becomes what
 * Google asks for, normalised and, where it names a person, a SHA-256.
 */


#ifndef _SGTM_USER_DATA_H_INCLUDED_
#define _SGTM_USER_DATA_H_INCLUDED_


#include "sgtm_hit.h"


#define SGTM_USER_HASH  64

/* by so much a name may become longer */
#define SGTM_USER_LONGER  21


typedef struct {
    sgtm_str_t      name;          /* "email" */
    sgtm_str_t      wanted;        /* "sha256_email_address" */
    uint8_t         form;          /* how it is normalised */
    unsigned        hash:1;
    unsigned        hashed:1;      /* it should be one already */
} sgtm_user_field_t;


/* what a name below "user_data." stands for; NULL: it stays as it is */
const sgtm_user_field_t *sgtm_user_field(const unsigned char *name,
    size_t len);

/*
 * The same of the last part of a path such as "user_data.address.street", or
 * of the one before it where that is a number; part is set to it, within path.
 */
const sgtm_user_field_t *sgtm_user_path(const sgtm_str_t *path,
    sgtm_str_t *part);

/*
 * Writes a value (plain text) as it is wanted and returns its length.  out has
 * room for as many bytes, and for SGTM_USER_HASH; it may be value->data.  A
 * hash stays what it is; of a value with nothing in it nothing is left.
 */
size_t sgtm_user_value(const sgtm_user_field_t *field, const sgtm_str_t *value,
    unsigned char *out);

/* whether it is 32 bytes in hexadecimal or, where one is expected, in base64 */
int sgtm_user_is_hash(const sgtm_user_field_t *field, const sgtm_str_t *value);

/*
 * For a query, or the lines of a batch's body: how many bytes sgtm_user_args()
 * may write; 0: it has no "ep.user_data." that would be another one.
 */
size_t sgtm_user_size(const sgtm_str_t *in);

/*
 * Writes it with the names and values that are wanted; every other argument is
 * copied.  Returns the number of bytes.
 */
size_t sgtm_user_args(const sgtm_str_t *in, unsigned char *out);


#endif /* _SGTM_USER_DATA_H_INCLUDED_ */
