
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../place/ngx_http_sgtm_residency.h"
#include "ngx_http_sgtm_courier.h"
#include "sgtm_store.h"


/* in no header of nginx's */
extern ngx_module_t  ngx_http_log_module;


#define NGX_HTTP_SGTM_COURIER_ATTEMPTS     5
#define NGX_HTTP_SGTM_COURIER_BACKOFF      1000
#define NGX_HTTP_SGTM_COURIER_CONCURRENCY  64
#define NGX_HTTP_SGTM_COURIER_RATE         5000


static ngx_int_t ngx_http_sgtm_courier_option(ngx_http_sgtm_courier_t *courier,
    ngx_str_t *value);
static ngx_http_sgtm_target_t *ngx_http_sgtm_courier_find(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf, ngx_http_core_srv_conf_t *cscf,
    ngx_str_t *location, ngx_str_t *name);
static ngx_int_t ngx_http_sgtm_courier_same(ngx_conf_t *cf,
    ngx_http_sgtm_target_t *target, ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_courier_check(ngx_conf_t *cf,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_http_sgtm_courier_location(ngx_conf_t *cf,
    ngx_http_sgtm_target_t *target);
static ngx_uint_t ngx_http_sgtm_courier_log(ngx_http_sgtm_target_t *target,
    ngx_http_core_loc_conf_t *clcf);


char *
ngx_http_sgtm_conf_courier(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_http_sgtm_courier_t  *courier;

    if (slcf->courier != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2
        && value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0)
    {
        slcf->courier = NULL;
        return NGX_CONF_OK;
    }

    if (value[1].len < 2 || value[1].data[0] != '@') {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                          "a named location as \"@courier\", "
                                          "or \"off\"");
    }

    courier = ngx_palloc(cf->pool, sizeof(ngx_http_sgtm_courier_t));
    if (courier == NULL) {
        return NGX_CONF_ERROR;
    }

    courier->location = value[1];
    courier->attempts = NGX_HTTP_SGTM_COURIER_ATTEMPTS;
    courier->backoff = NGX_HTTP_SGTM_COURIER_BACKOFF;
    courier->concurrency = NGX_HTTP_SGTM_COURIER_CONCURRENCY;
    courier->rate = NGX_HTTP_SGTM_COURIER_RATE;

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_sgtm_courier_option(courier, &value[i]) != NGX_OK) {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                  "\"attempts=\" of 1 to 100, \"backoff=\" of "
                                  "10ms to 1h, \"concurrency=\" of 1 to 4096 "
                                  "or \"rate=\" of 1 to 1000000");
        }
    }

    slcf->courier = courier;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sgtm_courier_option(ngx_http_sgtm_courier_t *courier,
    ngx_str_t *value)
{
    ngx_int_t   n;
    ngx_str_t   s;
    ngx_uint_t  i, is_time;

    static struct {
        ngx_str_t   name;
        size_t      offset;
        ngx_int_t   min;
        ngx_int_t   max;
    } options[] = {
        { ngx_string("attempts="),
          offsetof(ngx_http_sgtm_courier_t, attempts), 1, 100 },
        { ngx_string("backoff="),
          offsetof(ngx_http_sgtm_courier_t, backoff), 10, 3600 * 1000 },
        { ngx_string("concurrency="),
          offsetof(ngx_http_sgtm_courier_t, concurrency), 1, 4096 },
        { ngx_string("rate="),
          offsetof(ngx_http_sgtm_courier_t, rate), 1, 1000000 }
    };

    for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {

        s.len = options[i].name.len;

        if (value->len <= s.len
            || ngx_strncmp(value->data, options[i].name.data, s.len) != 0)
        {
            continue;
        }

        s.data = value->data + s.len;
        s.len = value->len - s.len;

        is_time = (options[i].offset == offsetof(ngx_http_sgtm_courier_t,
                                                 backoff));

        n = is_time ? ngx_parse_time(&s, 0) : ngx_atoi(s.data, s.len);

        if (n < options[i].min || n > options[i].max) {
            return NGX_ERROR;
        }

        if (is_time) {
            courier->backoff = n;

        } else {
            *(ngx_uint_t *) ((u_char *) courier + options[i].offset) = n;
        }

        return NGX_OK;
    }

    return NGX_ERROR;
}


ngx_http_sgtm_target_t *
ngx_http_sgtm_courier_target(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_str_t                   name;
    ngx_http_sgtm_target_t     *target;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);
    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    ngx_str_null(&name);

    target = ngx_http_sgtm_courier_find(cf, smcf, cscf,
                                        &conf->courier->location, &name);

    if (target) {
        target->eu |= (conf->residency != SGTM_RESIDENCY_ANY);

        return ngx_http_sgtm_courier_same(cf, target, conf) == NGX_OK ? target
                                                                      : NULL;
    }

    if (name.data == NULL) {
        return NULL;
    }

    target = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_target_t));
    if (target == NULL) {
        return NULL;
    }

    target->node.str = name;
    target->node.node.key = ngx_crc32_long(name.data, name.len);
    target->server = cscf;
    target->courier = conf->courier;
    target->api_secret = conf->api_secret;
    target->eu = (conf->residency != SGTM_RESIDENCY_ANY);

    ngx_rbtree_insert(&smcf->targets, &target->node.node);
    smcf->ntargets++;

    return target;
}


/*
 * The target of a server and a location, else a name for it.  Server blocks
 * may share a name, on other addresses: the second one's is "name#2@location".
 */

static ngx_http_sgtm_target_t *
ngx_http_sgtm_courier_find(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf,
    ngx_http_core_srv_conf_t *cscf, ngx_str_t *location, ngx_str_t *name)
{
    u_char                  *p;
    ngx_str_t                server;
    ngx_uint_t               n;
    ngx_http_sgtm_target_t  *target;

    server = cscf->server_name;

    if (server.len == 0) {
        ngx_str_set(&server, "_");
    }

    if (server.len + NGX_INT_T_LEN + 1 + location->len
        >= sizeof(((sgtm_target_t *) 0)->name))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the names of server \"%V\" and location \"%V\" are too "
                      "long for \"sgtm_courier\"", &server, location);
        return NULL;
    }

    p = ngx_pnalloc(cf->pool, server.len + NGX_INT_T_LEN + 1 + location->len);
    if (p == NULL) {
        return NULL;
    }

    name->data = p;

    for (n = 1; ; n++) {

        p = ngx_cpymem(name->data, server.data, server.len);

        if (n > 1) {
            p = ngx_sprintf(p, "#%ui", n);
        }

        p = ngx_cpymem(p, location->data, location->len);

        name->len = p - name->data;

        target = (ngx_http_sgtm_target_t *)
                 ngx_str_rbtree_lookup(&smcf->targets, name,
                                       ngx_crc32_long(name->data, name->len));

        if (target == NULL || target->server == cscf) {
            return target;
        }
    }
}


/* hits know their target alone: what is a target's can't differ */

static ngx_int_t
ngx_http_sgtm_courier_same(ngx_conf_t *cf, ngx_http_sgtm_target_t *target,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_http_sgtm_courier_t  *a, *b;

    a = target->courier;
    b = conf->courier;

    if (a->attempts != b->attempts
        || a->backoff != b->backoff
        || a->concurrency != b->concurrency
        || a->rate != b->rate)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"sgtm_courier %V\" has other parameters than before "
                      "in the same server", &b->location);
        return NGX_ERROR;
    }

    /* a gateway without one keeps no hits that need it */

    if (conf->api_secret.len == 0) {
        return NGX_OK;
    }

    if (target->api_secret.len == 0) {
        target->api_secret = conf->api_secret;
        return NGX_OK;
    }

    if (target->api_secret.len != conf->api_secret.len
        || ngx_memcmp(target->api_secret.data, conf->api_secret.data,
                      conf->api_secret.len)
           != 0)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"sgtm_courier %V\" is used with two secrets of "
                      "\"sgtm_api_secret\" in the same server: each needs a "
                      "named location of its own", &b->location);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_courier_init(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf)
{
    return ngx_http_sgtm_courier_check(cf, smcf->targets.root,
                                       smcf->targets.sentinel);
}


static ngx_int_t
ngx_http_sgtm_courier_check(ngx_conf_t *cf, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    for ( /* void */ ; node != sentinel; node = node->right) {

        if (ngx_http_sgtm_courier_check(cf, node->left, sentinel) != NGX_OK
            || ngx_http_sgtm_courier_location(cf,
                                           (ngx_http_sgtm_target_t *) node)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_courier_location(ngx_conf_t *cf, ngx_http_sgtm_target_t *target)
{
    ngx_str_t                  *name;
    ngx_http_core_loc_conf_t  **clcfp;

    name = &target->courier->location;

    for (clcfp = target->server->named_locations; clcfp && *clcfp; clcfp++) {

        if ((*clcfp)->name.len != name->len
            || ngx_strncmp((*clcfp)->name.data, name->data, name->len) != 0)
        {
            continue;
        }

        if ((*clcfp)->handler == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "location \"%V\" of \"sgtm_courier\" in server "
                          "\"%V\" has no \"proxy_pass\"", name,
                          &target->server->server_name);
            return NGX_ERROR;
        }

        target->log = ngx_http_sgtm_courier_log(target, *clcfp);
        target->conf = (*clcfp)->loc_conf[ngx_http_sgtm_module.ctx_index];

        return ngx_http_sgtm_residency_init(cf, target->conf,
                                            (*clcfp)->loc_conf, name,
                                            target->eu);
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "there is no location \"%V\" of \"sgtm_courier\" in server "
                  "\"%V\"", name, &target->server->server_name);

    return NGX_ERROR;
}


/*
 * The log module's configuration is its own, but it begins with the list of
 * logs in all versions.  A location that has no access_log gets the very list
 * of its server: the site's, which is for visitors.
 */

static ngx_uint_t
ngx_http_sgtm_courier_log(ngx_http_sgtm_target_t *target,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_uint_t     i;
    ngx_array_t  **own, **server;

    i = ngx_http_log_module.ctx_index;

    own = clcf->loc_conf[i];
    server = target->server->ctx->loc_conf[i];

    return *own != *server;
}
