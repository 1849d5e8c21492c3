
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Where the head of an HTML page begins, as a browser's parser finds it, in
 * bytes that come in pieces of any size.  Plain C11 without nginx.
 */


#ifndef _SGTM_HEAD_H_INCLUDED_
#define _SGTM_HEAD_H_INCLUDED_


#include "../hit/sgtm_hit.h"


/* bytes that may have to wait until it is known what they are: "</head" */
#define SGTM_HEAD_TAIL  8


typedef enum {
    SGTM_HEAD_MORE = 0,                /* not yet */
    SGTM_HEAD_HERE,
    SGTM_HEAD_NONE                     /* it is not a whole page */
} sgtm_head_e;


typedef struct {
    uint8_t         state;
    uint8_t         page;              /* it is a whole page */
    uint8_t         head;              /* the tag is <head> */
    uint8_t         nname;             /* characters of "doctype" so far */
    uint8_t         ntail;
    unsigned char   tail[SGTM_HEAD_TAIL];
} sgtm_head_t;


/* a scanner of zeros is at the beginning of a page */

/*
 * Reads the next piece of a page; sgtm_head_e.
 *
 * HERE: at is the place in this piece where the head's contents begin: right
 * after "<head ...>", or before the first thing that makes a parser begin a
 * head of itself.  It is negative if that began in an earlier piece, in the
 * bytes that have waited.
 *
 * MORE: the last ntail bytes of all that was read, which tail has, may turn out
 * to stand behind the place: they have to wait for the next piece.
 *
 * NONE: neither a doctype nor a tag of html, head or body came first.
 *
 * It is not to be called again after HERE and NONE.
 */
unsigned sgtm_head_scan(sgtm_head_t *h, const sgtm_str_t *data,
    ptrdiff_t *at);

/*
 * Whether what follows has a script that is loaded from a path, as it stands
 * there or behind "https://<host>", with arguments or without.  Comments and
 * texts don't count.
 */
int sgtm_head_loads(const sgtm_str_t *data, const sgtm_str_t *path,
    const sgtm_str_t *host);


#endif /* _SGTM_HEAD_H_INCLUDED_ */
