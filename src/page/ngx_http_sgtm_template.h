
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A text with a place for a tenant's settings.  What stands before that place
 * and behind it is the same for all, and compressed once if it is long: of a
 * tenant there are the settings alone, and what is short.
 */


#ifndef _NGX_HTTP_SGTM_TEMPLATE_H_INCLUDED_
#define _NGX_HTTP_SGTM_TEMPLATE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* a strong ETag: an MD5 of all that is sent, in quotes */
#define NGX_HTTP_SGTM_ETAG       (2 * 16 + 2)

/* what ends gzip (RFC 1952): a checksum and a length, four bytes each */
#define NGX_HTTP_SGTM_GZIP_END   8

/* "sha384-" and the base64 of 48 bytes */
#define NGX_HTTP_SGTM_INTEGRITY  (7 + 64)


/* what a template comes to with some settings */

typedef struct {
    ngx_str_t   settings;
    ngx_str_t   packed;            /* the settings; empty: gzip is not there */
    u_char      end[NGX_HTTP_SGTM_GZIP_END];
    u_char      etag[NGX_HTTP_SGTM_ETAG];
    u_char      packed_etag[NGX_HTTP_SGTM_ETAG];
} ngx_http_sgtm_filled_t;


/*
 * A template in the pool, of parts that end with an empty one each: what stands
 * before the settings and behind them.  NULL: no memory, or zlib has failed,
 * which is logged.
 */
ngx_http_sgtm_template_t *ngx_http_sgtm_template_create(ngx_pool_t *pool,
    ngx_str_t *head, ngx_str_t *tail);

/*
 * Fills it with settings, which are to live as long as what is filled; what is
 * packed lies in the pool.  NGX_OK or NGX_ERROR, logged.
 */
ngx_int_t ngx_http_sgtm_template_fill(ngx_pool_t *pool,
    ngx_http_sgtm_template_t *t, ngx_str_t *settings,
    ngx_http_sgtm_filled_t *filled);

/* the bytes of it all, as it is or packed */
size_t ngx_http_sgtm_template_size(ngx_http_sgtm_template_t *t,
    ngx_http_sgtm_filled_t *filled, ngx_uint_t packed);

/* a chain of these bytes, which are not copied, in the pool; NULL: no memory */
ngx_chain_t *ngx_http_sgtm_template_chain(ngx_pool_t *pool,
    ngx_http_sgtm_template_t *t, ngx_http_sgtm_filled_t *filled,
    ngx_uint_t packed);

/*
 * The hash for a script tag's "integrity" (W3C, Subresource Integrity), of
 * NGX_HTTP_SGTM_INTEGRITY bytes.  NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_sgtm_template_integrity(ngx_http_sgtm_template_t *t,
    ngx_str_t *settings, u_char *out);


#endif /* _NGX_HTTP_SGTM_TEMPLATE_H_INCLUDED_ */
