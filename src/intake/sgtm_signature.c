
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "../lib/sgtm_crypto.h"
#include "sgtm_signature.h"


/* Stripe signs with two secrets at most, while one is being replaced */
#define SGTM_SIGNATURE_MAX  8


typedef struct {
    sgtm_str_t      time;          /* as it stands there: it is signed so */
    int64_t         seconds;
    size_t          n;
    unsigned char   hashes[SGTM_SIGNATURE_MAX][SGTM_SHA256_SIZE];
} sgtm_signature_t;


static int sgtm_signature_stripe(sgtm_signature_t *s,
    const sgtm_str_t *header);
static int sgtm_signature_time(sgtm_signature_t *s, const sgtm_str_t *value);
static int sgtm_signature_signed(const sgtm_signature_t *s,
    const sgtm_str_t *body, sgtm_str_t *text);
static int sgtm_signature_check(const sgtm_signature_t *s,
    const sgtm_str_t *text, const sgtm_str_t *secrets, size_t nsecrets);


const sgtm_str_t  sgtm_signature_headers[SGTM_SHOP_N] = {
    sgtm_string("stripe-signature"),
    sgtm_string("x-shopify-hmac-sha256"),
    sgtm_string("x-wc-webhook-signature")
};


int
sgtm_signature(unsigned shop, const sgtm_str_t *header,
    const sgtm_str_t *body, const sgtm_str_t *secrets, size_t nsecrets,
    int64_t now, int *stale)
{
    int               rc;
    sgtm_str_t        text;
    sgtm_signature_t  s;

    *stale = 0;

    memset(&s, 0, sizeof(sgtm_signature_t));

    if (shop != SGTM_SHOP_STRIPE) {

        if (sgtm_hash_from_base64(header, s.hashes[0]) != SGTM_OK) {
            return SGTM_DECLINED;
        }

        s.n = 1;

        return sgtm_signature_check(&s, body, secrets, nsecrets);
    }

    if (sgtm_signature_stripe(&s, header) != SGTM_OK) {
        return SGTM_DECLINED;
    }

    if (sgtm_signature_signed(&s, body, &text) != SGTM_OK) {
        return SGTM_ERROR;
    }

    rc = sgtm_signature_check(&s, &text, secrets, nsecrets);

    free(text.data);

    *stale = (rc == SGTM_OK
              && (s.seconds < now - SGTM_SIGNATURE_TOLERANCE
                  || s.seconds > now + SGTM_SIGNATURE_TOLERANCE));

    return rc;
}


/* "t=1492774577,v1=5257a869…,v1=…,v0=…", in any order */

static int
sgtm_signature_stripe(sgtm_signature_t *s, const sgtm_str_t *header)
{
    sgtm_str_t      name, value;
    unsigned char  *p, *last, *end;

    last = header->data + header->len;

    for (p = header->data; p < last; p = end + 1) {

        end = memchr(p, ',', (size_t) (last - p));
        if (end == NULL) {
            end = last;
        }

        while (p < end && *p == ' ') {
            p++;
        }

        name.data = p;

        while (p < end && *p != '=') {
            p++;
        }

        name.len = (size_t) (p - name.data);

        if (p == end) {
            continue;
        }

        value.data = p + 1;
        value.len = (size_t) (end - value.data);

        while (value.len && value.data[value.len - 1] == ' ') {
            value.len--;
        }

        if (name.len == 1 && name.data[0] == 't') {

            if (sgtm_signature_time(s, &value) != SGTM_OK) {
                return SGTM_DECLINED;
            }

        } else if (name.len == 2 && memcmp(name.data, "v1", 2) == 0
                   && s->n < SGTM_SIGNATURE_MAX
                   && sgtm_hash_from_hex(&value, s->hashes[s->n]) == SGTM_OK)
        {
            s->n++;
        }
    }

    return (s->n && s->time.len) ? SGTM_OK : SGTM_DECLINED;
}


/* of two times only one can have been signed */

static int
sgtm_signature_time(sgtm_signature_t *s, const sgtm_str_t *value)
{
    size_t  i;

    if (s->time.len || value->len == 0 || value->len > 12) {
        return SGTM_DECLINED;
    }

    s->time = *value;
    s->seconds = 0;

    for (i = 0; i < value->len; i++) {

        if (value->data[i] < '0' || value->data[i] > '9') {
            return SGTM_DECLINED;
        }

        s->seconds = s->seconds * 10 + (value->data[i] - '0');
    }

    return SGTM_OK;
}


/* the time, a point and the body */

static int
sgtm_signature_signed(const sgtm_signature_t *s, const sgtm_str_t *body,
    sgtm_str_t *text)
{
    text->len = s->time.len + 1 + body->len;

    text->data = malloc(text->len);
    if (text->data == NULL) {
        return SGTM_ERROR;
    }

    memcpy(text->data, s->time.data, s->time.len);
    text->data[s->time.len] = '.';

    if (body->len) {
        memcpy(text->data + s->time.len + 1, body->data, body->len);
    }

    return SGTM_OK;
}


static int
sgtm_signature_check(const sgtm_signature_t *s, const sgtm_str_t *text,
    const sgtm_str_t *secrets, size_t nsecrets)
{
    int            found;
    size_t         i, n;
    unsigned char  hash[SGTM_SHA256_SIZE];

    found = 0;

    /* all of them, so that the time does not tell which it was */

    for (i = 0; i < nsecrets; i++) {

        if (sgtm_hmac_sha256(&secrets[i], text, hash) != SGTM_OK) {
            return SGTM_ERROR;
        }

        for (n = 0; n < s->n; n++) {
            found |= sgtm_hash_equal(hash, s->hashes[n]);
        }
    }

    return found ? SGTM_OK : SGTM_DECLINED;
}
