
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The names of request headers: which are the gate's affair, which may pass.
 */


#ifndef _NGX_HTTP_SGTM_HEADER_NAMES_H_INCLUDED_
#define _NGX_HTTP_SGTM_HEADER_NAMES_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* what is done with a header of this name; any other is dropped */

typedef enum {
    NGX_HTTP_SGTM_HEADER_DROP = 0,
    NGX_HTTP_SGTM_HEADER_PASS,
    NGX_HTTP_SGTM_HEADER_PREVIEW,
    NGX_HTTP_SGTM_HEADER_COOKIE,
    NGX_HTTP_SGTM_HEADER_REFERER,
    NGX_HTTP_SGTM_HEADER_ORIGIN,
    NGX_HTTP_SGTM_HEADER_GPC,
    NGX_HTTP_SGTM_HEADER_OWN           /* the gate's or nginx's own business */
} ngx_http_sgtm_header_e;


/*
 * Makes the allow-list of a configuration: the default names and t->headers.
 * NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_sgtm_header_names_table(ngx_conf_t *cf,
    ngx_http_sgtm_tables_t *t);

/* whether a header is the gate's own or nginx's: no list can pass it */
ngx_uint_t ngx_http_sgtm_header_names_own(ngx_str_t *name);


/* most names are some words long, for which a call takes longer than they do */

static ngx_inline ngx_uint_t
ngx_http_sgtm_header_is(u_char *a, u_char *b, size_t len)
{
    uint64_t  x, y;

    if (len < sizeof(uint64_t)) {
        return ngx_memcmp(a, b, len) == 0;
    }

    for ( /* void */ ; len > sizeof(uint64_t); len -= sizeof(uint64_t)) {

        ngx_memcpy(&x, a, sizeof(uint64_t));
        ngx_memcpy(&y, b, sizeof(uint64_t));

        if (x != y) {
            return 0;
        }

        a += sizeof(uint64_t);
        b += sizeof(uint64_t);
    }

    /* the last word overlaps the one before it */

    ngx_memcpy(&x, a + len - sizeof(uint64_t), sizeof(uint64_t));
    ngx_memcpy(&y, b + len - sizeof(uint64_t), sizeof(uint64_t));

    return x == y;
}


/* what is to be done with a header, NGX_HTTP_SGTM_HEADER_... */

static ngx_inline ngx_uint_t
ngx_http_sgtm_header_action(ngx_http_sgtm_tables_t *t, ngx_table_elt_t *h)
{
    uint32_t               hash;
    ngx_uint_t             i;
    ngx_http_sgtm_name_t  *slot;

    /* nginx has made the same of every name that it read */

    hash = (uint32_t) h->hash;

    for (i = hash & t->header_mask; /* void */ ; i = (i + 1) & t->header_mask) {
        slot = &t->header_names[i];

        if (slot->action == NGX_HTTP_SGTM_HEADER_DROP) {
            return NGX_HTTP_SGTM_HEADER_DROP;
        }

        if (slot->hash == hash
            && slot->name.len == h->key.len
            && ngx_http_sgtm_header_is(slot->name.data, h->lowcase_key,
                                       h->key.len))
        {
            return slot->action;
        }
    }
}


#endif /* _NGX_HTTP_SGTM_HEADER_NAMES_H_INCLUDED_ */
