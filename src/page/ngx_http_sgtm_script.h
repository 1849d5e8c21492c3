
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The script t.js: made when the configuration is read, answered from memory.
 */


#ifndef _NGX_HTTP_SGTM_SCRIPT_H_INCLUDED_
#define _NGX_HTTP_SGTM_SCRIPT_H_INCLUDED_


#include "ngx_http_sgtm.h"


typedef struct {
    ngx_str_t                      body;       /* empty: there is none */
    ngx_str_t                      etag;
} ngx_http_sgtm_script_variant_t;


struct ngx_http_sgtm_script_s {
    ngx_str_node_t                 node;       /* node.str: the settings */
    ngx_http_sgtm_script_variant_t plain;
    ngx_http_sgtm_script_variant_t gzip;
};


/*
 * Makes conf->script of a completely merged gateway: the script with the
 * location's settings, plain and compressed.  Locations of one configuration
 * with the same settings share it.  prefix is the location's name.
 */
ngx_int_t ngx_http_sgtm_script_create(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *prefix);

/*
 * A script with these settings, made in the pool; temp_pool is for what is of
 * no use afterwards.  NULL: no memory, or zlib has failed, which is logged.
 */
ngx_http_sgtm_script_t *ngx_http_sgtm_script_make(ngx_pool_t *pool,
    ngx_pool_t *temp_pool, ngx_str_t *json);

/* the content handler that answers with ctx->conf->script */
ngx_int_t ngx_http_sgtm_script_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_SCRIPT_H_INCLUDED_ */
