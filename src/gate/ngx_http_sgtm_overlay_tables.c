
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_tables.h"
#include "ngx_http_sgtm_overlay.h"


/*
 * Tables follow from a location's and from the names that a record has, not
 * from values: all tenants of the same names share them.
 */

typedef struct {
    ngx_http_sgtm_tables_t    *base;
    const sgtm_tenant_sets_t  *set;        /* NULL: the location's */
    const sgtm_strs_t         *cookies;    /* NULL: the location's */
} ngx_http_sgtm_tables_key_t;


/* of what was made: set and cookies are copies, in its tables */

typedef struct {
    ngx_http_sgtm_tables_t     tables;
    uint32_t                   serial;     /* of the location's tables */
    unsigned                   set:1;
    unsigned                   cookies:1;
} ngx_http_sgtm_made_tables_t;


static uint32_t ngx_http_sgtm_tables_hash(ngx_http_sgtm_tables_key_t *key);
static ngx_uint_t ngx_http_sgtm_tables_are(ngx_http_sgtm_made_t *made,
    const void *data);
static ngx_int_t ngx_http_sgtm_tables_make(ngx_http_sgtm_made_t *made,
    ngx_http_sgtm_tables_key_t *key);
static ngx_array_t *ngx_http_sgtm_tables_copy_set(ngx_pool_t *pool,
    const sgtm_tenant_sets_t *set);
static ngx_array_t *ngx_http_sgtm_tables_copy_names(ngx_pool_t *pool,
    const sgtm_strs_t *names);
static ngx_int_t ngx_http_sgtm_tables_copy(ngx_pool_t *pool, ngx_str_t *dst,
    const sgtm_str_t *src);


#define ngx_http_sgtm_tables_mix(hash, name)                                  \
    ((hash) * 0x9e3779b1 ^ ngx_murmur_hash2((name)->data, (name)->len))


ngx_http_sgtm_made_t *
ngx_http_sgtm_overlay_tables(ngx_http_sgtm_tables_t *base,
    const sgtm_tenant_t *record)
{
    uint32_t                     hash;
    ngx_http_sgtm_made_t        *made;
    ngx_http_sgtm_tables_key_t   key;

    key.base = base;
    key.set = sgtm_tenant_has(record, SGTM_TENANT_SET_PARAMS)
              ? &record->set_params : NULL;
    key.cookies = sgtm_tenant_has(record, SGTM_TENANT_COOKIES)
                  ? &record->cookies : NULL;

    hash = ngx_http_sgtm_tables_hash(&key);

    made = ngx_http_sgtm_made_find(hash, ngx_http_sgtm_tables_are, &key);

    if (made) {
        return made;
    }

    made = ngx_http_sgtm_made_new(hash, ngx_http_sgtm_tables_are);

    if (made == NULL) {
        return NULL;
    }

    if (ngx_http_sgtm_tables_make(made, &key) != NGX_OK) {
        ngx_http_sgtm_made_leave(made);
        return NULL;
    }

    ngx_http_sgtm_made_keep(made);

    return made;
}


static uint32_t
ngx_http_sgtm_tables_hash(ngx_http_sgtm_tables_key_t *key)
{
    size_t    i;
    uint32_t  hash;

    hash = key->base->serial;

    for (i = 0; key->set && i < key->set->nelts; i++) {
        hash = ngx_http_sgtm_tables_mix(hash, &key->set->elts[i].name);
    }

    for (i = 0; key->cookies && i < key->cookies->nelts; i++) {
        hash = ngx_http_sgtm_tables_mix(hash, &key->cookies->elts[i]);
    }

    return hash;
}


static ngx_uint_t
ngx_http_sgtm_tables_are(ngx_http_sgtm_made_t *made, const void *data)
{
    const ngx_http_sgtm_tables_key_t *key = data;

    size_t                        i;
    ngx_str_t                    *cookie;
    ngx_http_sgtm_set_t          *set;
    ngx_http_sgtm_made_tables_t  *mt;

    mt = made->data;

    if (mt->serial != key->base->serial
        || mt->set != (key->set != NULL)
        || mt->cookies != (key->cookies != NULL)
        || (key->set && mt->tables.set->nelts != key->set->nelts)
        || (key->cookies && mt->tables.cookies->nelts != key->cookies->nelts))
    {
        return 0;
    }

    set = key->set ? mt->tables.set->elts : NULL;

    for (i = 0; set && i < key->set->nelts; i++) {
        if (!sgtm_str_equal(ngx_http_sgtm_str(&set[i].name),
                            &key->set->elts[i].name)
            || (set[i].credential.len != 0)
               != (key->set->elts[i].credential.len != 0))
        {
            return 0;
        }
    }

    cookie = key->cookies ? mt->tables.cookies->elts : NULL;

    for (i = 0; cookie && i < key->cookies->nelts; i++) {
        if (!sgtm_str_equal(ngx_http_sgtm_str(&cookie[i]),
                            &key->cookies->elts[i]))
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_sgtm_tables_make(ngx_http_sgtm_made_t *made,
    ngx_http_sgtm_tables_key_t *key)
{
    ngx_http_sgtm_tables_t       *t;
    ngx_http_sgtm_made_tables_t  *mt;

    mt = ngx_palloc(made->pool, sizeof(ngx_http_sgtm_made_tables_t));
    if (mt == NULL) {
        return NGX_ERROR;
    }

    made->data = mt;

    t = &mt->tables;
    *t = *key->base;

    mt->serial = key->base->serial;
    mt->set = (key->set != NULL);
    mt->cookies = (key->cookies != NULL);

    if (key->set) {
        t->set = ngx_http_sgtm_tables_copy_set(made->pool, key->set);

        if (t->set == NULL
            || ngx_http_sgtm_tables_params(made->pool, t) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (key->cookies) {
        t->cookies = ngx_http_sgtm_tables_copy_names(made->pool, key->cookies);

        if (t->cookies == NULL
            || ngx_http_sgtm_tables_cookies(made->pool, t) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* their values, and which credentials they are, is the record's to say */

static ngx_array_t *
ngx_http_sgtm_tables_copy_set(ngx_pool_t *pool, const sgtm_tenant_sets_t *set)
{
    size_t                i;
    ngx_array_t          *a;
    ngx_http_sgtm_set_t  *elt;

    a = ngx_array_create(pool, set->nelts + 1, sizeof(ngx_http_sgtm_set_t));
    if (a == NULL) {
        return NULL;
    }

    for (i = 0; i < set->nelts; i++) {
        elt = ngx_array_push(a);

        ngx_memzero(elt, sizeof(ngx_http_sgtm_set_t));

        if (ngx_http_sgtm_tables_copy(pool, &elt->name, &set->elts[i].name)
            != NGX_OK
            || ngx_http_sgtm_tables_copy(pool, &elt->credential,
                                         &set->elts[i].credential)
               != NGX_OK)
        {
            return NULL;
        }
    }

    return a;
}


static ngx_array_t *
ngx_http_sgtm_tables_copy_names(ngx_pool_t *pool, const sgtm_strs_t *names)
{
    size_t        i;
    ngx_array_t  *a;

    a = ngx_array_create(pool, names->nelts + 1, sizeof(ngx_str_t));
    if (a == NULL) {
        return NULL;
    }

    for (i = 0; i < names->nelts; i++) {
        if (ngx_http_sgtm_tables_copy(pool, ngx_array_push(a),
                                      &names->elts[i])
            != NGX_OK)
        {
            return NULL;
        }
    }

    return a;
}


static ngx_int_t
ngx_http_sgtm_tables_copy(ngx_pool_t *pool, ngx_str_t *dst,
    const sgtm_str_t *src)
{
    dst->len = src->len;
    dst->data = NULL;

    if (src->len == 0) {
        return NGX_OK;
    }

    dst->data = ngx_pnalloc(pool, src->len);

    if (dst->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dst->data, src->data, src->len);

    return NGX_OK;
}
