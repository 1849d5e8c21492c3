
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../tenant/ngx_http_sgtm_tenants.h"
#include "ngx_http_sgtm_status_tenants.h"


/* of records: what an answer tells of, and what it looks at */
#define NGX_HTTP_SGTM_STATUS_SHOWN   500
#define NGX_HTTP_SGTM_STATUS_SEEN    5000

/* chains of the index in a step */
#define NGX_HTTP_SGTM_STATUS_CHAINS  64


typedef struct {
    ngx_http_sgtm_writer_t     *writer;
    sgtm_registry_t            *registry;
    ngx_uint_t                  seen;
    ngx_uint_t                  shown;
    ngx_uint_t                  failed;
} ngx_http_sgtm_status_walk_t;


static ngx_int_t ngx_http_sgtm_status_one(ngx_http_sgtm_writer_t *w,
    ngx_str_t *id);
static ngx_int_t ngx_http_sgtm_status_configured(ngx_http_sgtm_writer_t *w);
static ngx_int_t ngx_http_sgtm_status_records(ngx_http_sgtm_writer_t *w,
    size_t from);
static void ngx_http_sgtm_status_record(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info);
static ngx_int_t ngx_http_sgtm_status_add(ngx_http_sgtm_writer_t *w,
    const ngx_str_t *id, ngx_http_sgtm_counters_t *counters);


ngx_int_t
ngx_http_sgtm_status_tenants(ngx_http_sgtm_writer_t *w)
{
    ngx_int_t            n;
    ngx_str_t            value;
    ngx_http_request_t  *r;

    r = w->request;

    if (ngx_array_init(&w->tenants, r->pool, 8, sizeof(ngx_http_sgtm_shown_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->reader = ngx_http_sgtm_tenants_reader();

    if (w->reader) {
        w->generation = sgtm_registry_enter(w->reader);
    }

    /* an id has no character that would be escaped */

    if (ngx_http_arg(r, (u_char *) "tenant", 6, &value) == NGX_OK) {
        return ngx_http_sgtm_status_one(w, &value);
    }

    n = 0;

    if (ngx_http_arg(r, (u_char *) "from", 4, &value) == NGX_OK) {
        n = ngx_atoi(value.data, value.len);

        if (n == NGX_ERROR) {
            n = 0;
        }
    }

    if (n == 0 && ngx_http_sgtm_status_configured(w) != NGX_OK) {
        return NGX_ERROR;
    }

    return w->reader ? ngx_http_sgtm_status_records(w, n) : NGX_OK;
}


void
ngx_http_sgtm_status_tenants_end(ngx_http_sgtm_writer_t *w)
{
    if (w->reader) {
        sgtm_registry_leave(w->reader, w->generation);
        w->reader = NULL;
    }
}


static ngx_int_t
ngx_http_sgtm_status_one(ngx_http_sgtm_writer_t *w, ngx_str_t *id)
{
    ngx_str_node_t       *node;
    const sgtm_tenant_t  *t;

    node = ngx_str_rbtree_lookup(&w->smcf->tenants, id,
                                 ngx_crc32_long(id->data, id->len));

    if (node) {
        return ngx_http_sgtm_status_add(w, &node->str,
                                 ((ngx_http_sgtm_tenant_t *) node)->counters);
    }

    t = w->reader ? sgtm_registry_id(w->reader->registry,
                                     ngx_http_sgtm_str(id))
                  : NULL;

    if (t == NULL) {
        return NGX_OK;
    }

    return ngx_http_sgtm_status_add(w, (const ngx_str_t *) &t->id,
                                    sgtm_registry_state(w->reader->registry,
                                                        t));
}


static ngx_int_t
ngx_http_sgtm_status_configured(ngx_http_sgtm_writer_t *w)
{
    ngx_rbtree_t            *tree;
    ngx_rbtree_node_t       *node;
    ngx_http_sgtm_tenant_t  *tenant;

    tree = &w->smcf->tenants;

    if (tree->root == tree->sentinel) {
        return NGX_OK;
    }

    for (node = ngx_rbtree_min(tree->root, tree->sentinel);
         node;
         node = ngx_rbtree_next(tree, node))
    {
        tenant = (ngx_http_sgtm_tenant_t *) node;

        if (ngx_http_sgtm_status_add(w, &tenant->node.str, tenant->counters)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_status_records(ngx_http_sgtm_writer_t *w, size_t from)
{
    size_t                        next;
    ngx_uint_t                    more;
    ngx_http_sgtm_status_walk_t   walk;

    ngx_memzero(&walk, sizeof(ngx_http_sgtm_status_walk_t));

    walk.writer = w;
    walk.registry = w->reader->registry;

    next = from;

    do {
        more = sgtm_registry_walk(walk.registry, &next,
                                  NGX_HTTP_SGTM_STATUS_CHAINS,
                                  ngx_http_sgtm_status_record, &walk);

    } while (more && !walk.failed
             && walk.seen < NGX_HTTP_SGTM_STATUS_SEEN
             && walk.shown < NGX_HTTP_SGTM_STATUS_SHOWN);

    w->next = more ? next : 0;

    return walk.failed ? NGX_ERROR : NGX_OK;
}


static void
ngx_http_sgtm_status_record(void *data, const sgtm_tenant_t *t,
    const sgtm_registry_info_t *info)
{
    ngx_http_sgtm_status_walk_t *walk = data;

    ngx_uint_t                 i;
    ngx_str_t                  id;
    ngx_http_sgtm_writer_t    *w;
    ngx_http_sgtm_counters_t  *counters;

    w = walk->writer;
    counters = sgtm_registry_state(walk->registry, t);

    walk->seen++;

    for (i = 0; i < NGX_HTTP_SGTM_ROUTE_N && counters->routes[i] == 0; i++) {
        /* void */
    }

    if (i == NGX_HTTP_SGTM_ROUTE_N) {
        return;
    }

    *ngx_http_sgtm_str(&id) = t->id;

    /* one that the configuration names is counted there */

    if (ngx_str_rbtree_lookup(&w->smcf->tenants, &id,
                              ngx_crc32_long(id.data, id.len)))
    {
        return;
    }

    walk->shown++;

    if (ngx_http_sgtm_status_add(w, &id, counters) != NGX_OK) {
        walk->failed = 1;
    }
}


static ngx_int_t
ngx_http_sgtm_status_add(ngx_http_sgtm_writer_t *w, const ngx_str_t *id,
    ngx_http_sgtm_counters_t *counters)
{
    ngx_http_sgtm_shown_t  *shown;

    shown = ngx_array_push(&w->tenants);
    if (shown == NULL) {
        return NGX_ERROR;
    }

    shown->id = *id;
    shown->counters = counters;

    return NGX_OK;
}
