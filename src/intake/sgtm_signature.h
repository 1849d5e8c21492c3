
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Whether a webhook comes from the shop that it says it comes from: an
 * HMAC-SHA256 of its body, as it was sent, by a secret that both know.
 */


#ifndef _SGTM_SIGNATURE_H_INCLUDED_
#define _SGTM_SIGNATURE_H_INCLUDED_


#include "sgtm_order.h"


/* seconds that Stripe's own time may be off, either way */
#define SGTM_SIGNATURE_TOLERANCE  300


/* the header that has it, by sgtm_shop_e, in lower case */
extern const sgtm_str_t  sgtm_signature_headers[SGTM_SHOP_N];


/*
 * Compares the header's value with what each of the secrets makes of the body,
 * in constant time.  SGTM_OK; SGTM_DECLINED: none of them has signed it, or the
 * header is no signature; SGTM_ERROR: no memory.  stale is set if it is right,
 * but of another time.
 */
int sgtm_signature(unsigned shop, const sgtm_str_t *header,
    const sgtm_str_t *body, const sgtm_str_t *secrets, size_t nsecrets,
    int64_t now, int *stale);


#endif /* _SGTM_SIGNATURE_H_INCLUDED_ */
