
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"

#include <ngx_md5.h>

#include <openssl/evp.h>

#if (NGX_ZLIB && NGX_HTTP_GZIP)
#include <zlib.h>
#endif

#include "../lib/sgtm_crypto.h"
#include "ngx_http_sgtm_template.h"


#define NGX_HTTP_SGTM_SHA384          48

/* of a chain, and an empty one */
#define NGX_HTTP_SGTM_PARTS           5

/*
 * What is compressed once is larger for it, by some bytes for each seam.  A
 * text that is no longer than this is compressed with the settings each time:
 * that takes 80 microseconds, where a long one would take 500.
 */
#define NGX_HTTP_SGTM_TEMPLATE_SHORT  4096

/* settings are short: a compressor that is made for them is made soon */
#define NGX_HTTP_SGTM_SETTINGS_WBITS  13
#define NGX_HTTP_SGTM_SETTINGS_MEM    6


struct ngx_http_sgtm_template_s {
    ngx_str_t    head;
    ngx_str_t    tail;
    ngx_md5_t    md5;              /* of both */

#if (NGX_ZLIB && NGX_HTTP_GZIP)
    ngx_str_t    packed_head;      /* what begins gzip, and a long head */
    ngx_str_t    packed_tail;      /* a long tail; or empty */
    ngx_str_t    inner_head;       /* what is packed with the settings */
    ngx_str_t    inner_tail;
    ngx_md5_t    packed_md5;
    uLong        head_crc;         /* of what is packed once */
    uLong        tail_crc;
#endif
};


static ngx_int_t ngx_http_sgtm_template_join(ngx_pool_t *pool,
    ngx_str_t *parts, ngx_str_t *text);
static ngx_int_t ngx_http_sgtm_template_pack(ngx_pool_t *pool,
    ngx_http_sgtm_template_t *t);
static ngx_int_t ngx_http_sgtm_template_pack_settings(ngx_pool_t *pool,
    ngx_http_sgtm_template_t *t, ngx_http_sgtm_filled_t *filled);
static void ngx_http_sgtm_template_parts(ngx_http_sgtm_template_t *t,
    ngx_http_sgtm_filled_t *filled, ngx_uint_t packed, ngx_str_t *parts);
static void ngx_http_sgtm_template_etag(u_char *etag, ngx_md5_t *md5);


ngx_http_sgtm_template_t *
ngx_http_sgtm_template_create(ngx_pool_t *pool, ngx_str_t *head,
    ngx_str_t *tail)
{
    ngx_http_sgtm_template_t  *t;

    t = ngx_pcalloc(pool, sizeof(ngx_http_sgtm_template_t));

    if (t == NULL
        || ngx_http_sgtm_template_join(pool, head, &t->head) != NGX_OK
        || ngx_http_sgtm_template_join(pool, tail, &t->tail) != NGX_OK)
    {
        return NULL;
    }

    ngx_md5_init(&t->md5);
    ngx_md5_update(&t->md5, t->head.data, t->head.len);
    ngx_md5_update(&t->md5, t->tail.data, t->tail.len);

    return (ngx_http_sgtm_template_pack(pool, t) == NGX_OK) ? t : NULL;
}


static ngx_int_t
ngx_http_sgtm_template_join(ngx_pool_t *pool, ngx_str_t *parts,
    ngx_str_t *text)
{
    u_char     *p;
    ngx_str_t  *part;

    text->len = 0;

    for (part = parts; part->len; part++) {
        text->len += part->len;
    }

    p = ngx_pnalloc(pool, text->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    for (part = parts; part->len; part++) {
        p = ngx_cpymem(p, part->data, part->len);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_template_fill(ngx_pool_t *pool, ngx_http_sgtm_template_t *t,
    ngx_str_t *settings, ngx_http_sgtm_filled_t *filled)
{
    ngx_md5_t  md5;

    filled->settings = *settings;
    ngx_str_null(&filled->packed);

    md5 = t->md5;
    ngx_md5_update(&md5, settings->data, settings->len);

    ngx_http_sgtm_template_etag(filled->etag, &md5);

    return ngx_http_sgtm_template_pack_settings(pool, t, filled);
}


static void
ngx_http_sgtm_template_etag(u_char *etag, ngx_md5_t *md5)
{
    u_char  *p;
    u_char   hash[16];

    ngx_md5_final(hash, md5);

    p = etag;
    *p++ = '"';
    p = ngx_hex_dump(p, hash, sizeof(hash));
    *p = '"';
}


#if (NGX_ZLIB && NGX_HTTP_GZIP)

/*
 * Blocks of deflate (RFC 1951) that stand for a text and end with a whole byte;
 * nothing in them speaks of what was before.  Other blocks may follow, unless
 * it is the last one.  There is room for so many bytes before them.
 */

static ngx_int_t
ngx_http_sgtm_template_deflate(ngx_pool_t *pool, ngx_str_t *text, int wbits,
    int mem, size_t before, ngx_uint_t last, ngx_str_t *packed)
{
    int        rc;
    size_t     size;
    u_char    *out;
    z_stream   zs;

    /* more than any deflate() needs for text of this size */

    size = text->len + text->len / 8 + 128;

    out = ngx_alloc(size, pool->log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&zs, sizeof(z_stream));

    rc = deflateInit2(&zs, Z_BEST_COMPRESSION, Z_DEFLATED, -wbits, mem,
                      Z_DEFAULT_STRATEGY);

    if (rc == Z_OK) {
        zs.next_in = text->data;
        zs.avail_in = text->len;
        zs.next_out = out;
        zs.avail_out = size;

        rc = deflate(&zs, last ? Z_FINISH : Z_SYNC_FLUSH);

        size -= zs.avail_out;

        (void) deflateEnd(&zs);
    }

    if (rc != (last ? Z_STREAM_END : Z_OK) || zs.avail_out == 0) {
        ngx_log_error(NGX_LOG_ERR, pool->log, 0, "deflate() failed: %d", rc);
        ngx_free(out);
        return NGX_ERROR;
    }

    packed->len = before + size;
    packed->data = ngx_pnalloc(pool, packed->len);

    if (packed->data) {
        ngx_memcpy(packed->data + before, out, size);
    }

    ngx_free(out);

    return packed->data ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_sgtm_template_pack(ngx_pool_t *pool, ngx_http_sgtm_template_t *t)
{
    /* deflate, no flags, no time, as small as can be, of Unix */

    static u_char  begin[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 };

    ngx_str_set(&t->packed_tail, "");
    ngx_str_set(&t->inner_head, "");
    ngx_str_set(&t->inner_tail, "");

    t->head_crc = crc32(0, NULL, 0);
    t->tail_crc = t->head_crc;

    if (t->head.len <= NGX_HTTP_SGTM_TEMPLATE_SHORT) {
        t->inner_head = t->head;

        t->packed_head.len = sizeof(begin);
        t->packed_head.data = ngx_pnalloc(pool, sizeof(begin));
        if (t->packed_head.data == NULL) {
            return NGX_ERROR;
        }

    } else {
        t->head_crc = crc32(t->head_crc, t->head.data, t->head.len);

        if (ngx_http_sgtm_template_deflate(pool, &t->head, MAX_WBITS,
                                           MAX_MEM_LEVEL, sizeof(begin), 0,
                                           &t->packed_head)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_memcpy(t->packed_head.data, begin, sizeof(begin));

    if (t->tail.len <= NGX_HTTP_SGTM_TEMPLATE_SHORT) {
        t->inner_tail = t->tail;

    } else {
        t->tail_crc = crc32(t->tail_crc, t->tail.data, t->tail.len);

        if (ngx_http_sgtm_template_deflate(pool, &t->tail, MAX_WBITS,
                                           MAX_MEM_LEVEL, 0, 1,
                                           &t->packed_tail)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_md5_init(&t->packed_md5);
    ngx_md5_update(&t->packed_md5, t->packed_head.data, t->packed_head.len);
    ngx_md5_update(&t->packed_md5, t->packed_tail.data, t->packed_tail.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_template_pack_settings(ngx_pool_t *pool,
    ngx_http_sgtm_template_t *t, ngx_http_sgtm_filled_t *filled)
{
    uLong        crc;
    size_t       len;
    u_char      *p;
    ngx_int_t    rc;
    ngx_md5_t    md5;
    ngx_str_t    text;
    ngx_uint_t   i;

    text.len = t->inner_head.len + filled->settings.len + t->inner_tail.len;

    text.data = ngx_alloc(text.len, pool->log);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text.data, t->inner_head.data, t->inner_head.len);
    p = ngx_cpymem(p, filled->settings.data, filled->settings.len);
    ngx_memcpy(p, t->inner_tail.data, t->inner_tail.len);

    rc = ngx_http_sgtm_template_deflate(pool, &text,
                                        NGX_HTTP_SGTM_SETTINGS_WBITS,
                                        NGX_HTTP_SGTM_SETTINGS_MEM, 0,
                                        t->packed_tail.len == 0,
                                        &filled->packed);

    crc = crc32(t->head_crc, text.data, text.len);

    ngx_free(text.data);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (t->packed_tail.len) {
        crc = crc32_combine(crc, t->tail_crc, t->tail.len);
    }

    len = t->head.len + filled->settings.len + t->tail.len;

    for (i = 0; i < 4; i++) {
        filled->end[i] = (u_char) (crc >> 8 * i);
        filled->end[4 + i] = (u_char) (len >> 8 * i);
    }

    md5 = t->packed_md5;
    ngx_md5_update(&md5, filled->packed.data, filled->packed.len);
    ngx_md5_update(&md5, filled->end, sizeof(filled->end));

    ngx_http_sgtm_template_etag(filled->packed_etag, &md5);

    return NGX_OK;
}

#else

static ngx_int_t
ngx_http_sgtm_template_pack(ngx_pool_t *pool, ngx_http_sgtm_template_t *t)
{
    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_template_pack_settings(ngx_pool_t *pool,
    ngx_http_sgtm_template_t *t, ngx_http_sgtm_filled_t *filled)
{
    return NGX_OK;
}

#endif


/* what there is to send, in order; an empty one ends it */

static void
ngx_http_sgtm_template_parts(ngx_http_sgtm_template_t *t,
    ngx_http_sgtm_filled_t *filled, ngx_uint_t packed, ngx_str_t *parts)
{
#if (NGX_ZLIB && NGX_HTTP_GZIP)

    if (packed) {
        *parts++ = t->packed_head;
        *parts++ = filled->packed;

        if (t->packed_tail.len) {
            *parts++ = t->packed_tail;
        }

        parts->len = sizeof(filled->end);
        parts->data = filled->end;

        parts++;
        ngx_str_null(parts);
        return;
    }

#endif

    *parts++ = t->head;
    *parts++ = filled->settings;
    *parts++ = t->tail;
    ngx_str_null(parts);
}


size_t
ngx_http_sgtm_template_size(ngx_http_sgtm_template_t *t,
    ngx_http_sgtm_filled_t *filled, ngx_uint_t packed)
{
    size_t      size;
    ngx_str_t   parts[NGX_HTTP_SGTM_PARTS], *part;

    ngx_http_sgtm_template_parts(t, filled, packed, parts);

    size = 0;

    for (part = parts; part->len; part++) {
        size += part->len;
    }

    return size;
}


ngx_chain_t *
ngx_http_sgtm_template_chain(ngx_pool_t *pool, ngx_http_sgtm_template_t *t,
    ngx_http_sgtm_filled_t *filled, ngx_uint_t packed)
{
    ngx_buf_t    *b;
    ngx_str_t     parts[NGX_HTTP_SGTM_PARTS], *part;
    ngx_chain_t  *out, *cl, **ll;

    ngx_http_sgtm_template_parts(t, filled, packed, parts);

    out = NULL;
    ll = &out;

    for (part = parts; part->len; part++) {

        cl = ngx_alloc_chain_link(pool);
        if (cl == NULL) {
            return NULL;
        }

        b = ngx_calloc_buf(pool);
        if (b == NULL) {
            return NULL;
        }

        b->pos = part->data;
        b->last = part->data + part->len;
        b->memory = 1;

        cl->buf = b;
        cl->next = NULL;

        *ll = cl;
        ll = &cl->next;
    }

    return out;
}


ngx_int_t
ngx_http_sgtm_template_integrity(ngx_http_sgtm_template_t *t,
    ngx_str_t *settings, u_char *out)
{
    u_char       hash[NGX_HTTP_SGTM_SHA384];
    ngx_int_t    rc;
    EVP_MD_CTX  *ctx;
    sgtm_str_t   bytes;

    ctx = EVP_MD_CTX_new();
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    rc = EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) == 1
         && EVP_DigestUpdate(ctx, t->head.data, t->head.len) == 1
         && EVP_DigestUpdate(ctx, settings->data, settings->len) == 1
         && EVP_DigestUpdate(ctx, t->tail.data, t->tail.len) == 1
         && EVP_DigestFinal_ex(ctx, hash, NULL) == 1;

    EVP_MD_CTX_free(ctx);

    if (!rc) {
        return NGX_ERROR;
    }

    bytes.data = hash;
    bytes.len = sizeof(hash);

    out = ngx_cpymem(out, "sha384-", 7);
    (void) sgtm_base64_encode(out, &bytes);

    return NGX_OK;
}
