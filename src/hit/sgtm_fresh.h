
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Random ids in place of those that may not travel.
 */


#ifndef _SGTM_FRESH_H_INCLUDED_
#define _SGTM_FRESH_H_INCLUDED_


#include "sgtm_hit.h"


/*
 * Writes another value of the same length: every letter and digit, percent-
 * encoded or not, becomes another one of its class.  It depends on the seed,
 * the key (sgtm_key_e) and on its place alone, so that nothing of the old value
 * shows, and equal values stay equal.  out may be in->data.
 */
void sgtm_fresh(uint64_t seed, unsigned key, const sgtm_str_t *in,
    unsigned char *out);


#endif /* _SGTM_FRESH_H_INCLUDED_ */
