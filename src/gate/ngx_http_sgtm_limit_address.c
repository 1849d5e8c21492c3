
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../hit/sgtm_siphash.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_limit_address.h"

#include <sys/random.h>


/* of the zone, the part that the table takes; the least number of its sets */
#define NGX_HTTP_SGTM_ADDRESSES_PART  16
#define NGX_HTTP_SGTM_ADDRESSES_MIN   64

/* entries of a set: two lines of the processor's cache */
#define NGX_HTTP_SGTM_ADDRESSES_WAYS  8


typedef struct {
    ngx_atomic_t                  print;   /* 0: the entry is free */
    ngx_atomic_t                  arrival; /* nanoseconds */
} ngx_http_sgtm_address_t;


typedef struct {
    ngx_http_sgtm_address_t       ways[NGX_HTTP_SGTM_ADDRESSES_WAYS];
} ngx_http_sgtm_address_set_t;


/* in the zone, kept over a reload */

struct ngx_http_sgtm_addresses_s {
    u_char                        key[SGTM_SIPHASH_KEY];
    ngx_uint_t                    mask;    /* sets but one */
    ngx_http_sgtm_address_set_t  *sets;
};


static void ngx_http_sgtm_limit_address_print(ngx_http_sgtm_addresses_t *table,
    ngx_http_sgtm_ctx_t *ctx, u_char *address, size_t len, uint64_t print[2]);
static size_t ngx_http_sgtm_limit_address_bytes(struct sockaddr *sockaddr,
    u_char **address);
static ngx_atomic_t *ngx_http_sgtm_limit_address_find(
    ngx_http_sgtm_address_set_t *set, ngx_atomic_uint_t print);


ngx_int_t
ngx_http_sgtm_limit_address_init_zone(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf)
{
    ngx_uint_t                  n;
    ngx_slab_pool_t            *shpool;
    ngx_http_sgtm_zone_t       *zone;
    ngx_http_sgtm_addresses_t  *table;

    shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;
    zone = shpool->data;

    if (!smcf->limits_addresses || zone->addresses) {
        return NGX_OK;
    }

    table = ngx_slab_calloc_locked(shpool, sizeof(ngx_http_sgtm_addresses_t));
    if (table == NULL) {
        goto failed;
    }

    if (getentropy(table->key, SGTM_SIPHASH_KEY) == -1) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, ngx_errno,
                      "getentropy() failed");
        goto failed;
    }

    /* a power of two; less of it if others have been there before */

    for (n = NGX_HTTP_SGTM_ADDRESSES_MIN;
         2 * n * sizeof(ngx_http_sgtm_address_set_t)
             <= shm_zone->shm.size / NGX_HTTP_SGTM_ADDRESSES_PART;
         n *= 2)
    {
        /* void */
    }

    for ( /* void */ ; n >= NGX_HTTP_SGTM_ADDRESSES_MIN; n /= 2) {

        table->sets = ngx_slab_calloc_locked(shpool,
                                      n * sizeof(ngx_http_sgtm_address_set_t));

        if (table->sets) {
            table->mask = n - 1;
            zone->addresses = table;
            return NGX_OK;
        }
    }

failed:

    if (table) {
        ngx_slab_free_locked(shpool, table);
    }

    ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                  "sgtm_zone \"%V\" of %uzk has no room for \"address=\" of "
                  "\"sgtm_rate_limit\"", &shm_zone->shm.name,
                  shm_zone->shm.size / 1024);

    return NGX_ERROR;
}


ngx_uint_t
ngx_http_sgtm_limit_address_take(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx)
{
    size_t                       len;
    u_char                      *address;
    uint64_t                     print[2];
    ngx_atomic_t                *arrival;
    ngx_http_sgtm_addresses_t   *table;
    ngx_http_sgtm_main_conf_t   *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);
    table = ngx_http_sgtm_zone(smcf)->addresses;

    len = ngx_http_sgtm_limit_address_bytes(r->connection->sockaddr, &address);
    if (len == 0) {
        return 0;
    }

    ngx_http_sgtm_limit_address_print(table, ctx, address, len, print);

    arrival = ngx_http_sgtm_limit_address_find(
                                      &table->sets[print[0] & table->mask],
                                      (ngx_atomic_uint_t) print[1] | 1);

    return ngx_http_sgtm_limit_take(arrival, ctx->conf->address_rate);
}


/* each tenant's visitors are his own */

static void
ngx_http_sgtm_limit_address_print(ngx_http_sgtm_addresses_t *table,
    ngx_http_sgtm_ctx_t *ctx, u_char *address, size_t len, uint64_t print[2])
{
    u_char          n;
    ngx_str_t      *id;
    sgtm_siphash_t  hash;

    id = &ctx->tenant->node.str;
    n = (u_char) len;

    sgtm_siphash_init(&hash, table->key);
    sgtm_siphash_update(&hash, &n, 1);
    sgtm_siphash_update(&hash, address, len);
    sgtm_siphash_update(&hash, id->data, id->len);
    sgtm_siphash_final(&hash, print);
}


/* of IPv6 the network that a client has for itself; 0: a unix socket */

static size_t
ngx_http_sgtm_limit_address_bytes(struct sockaddr *sockaddr, u_char **address)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sockaddr->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sockaddr;
        *address = (u_char *) &sin->sin_addr;
        return 4;

#if (NGX_HAVE_INET6)

    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sockaddr;
        *address = (u_char *) &sin6->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            *address += 12;
            return 4;
        }

        return 8;

#endif

    default:
        return 0;
    }
}


/*
 * The one that was used least lately makes room.  Two workers may do so at
 * once, or one may still use what makes room: then a hit counts for another
 * address, or twice, and that is all.
 */

static ngx_atomic_t *
ngx_http_sgtm_limit_address_find(ngx_http_sgtm_address_set_t *set,
    ngx_atomic_uint_t print)
{
    ngx_uint_t                i;
    ngx_http_sgtm_address_t  *way, *oldest;

    oldest = set->ways;

    for (i = 0; i < NGX_HTTP_SGTM_ADDRESSES_WAYS; i++) {

        way = &set->ways[i];

        if (way->print == print) {
            return &way->arrival;
        }

        if (way->arrival < oldest->arrival) {
            oldest = way;
        }
    }

    oldest->arrival = 0;
    oldest->print = print;

    return &oldest->arrival;
}
