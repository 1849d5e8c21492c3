
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The script t.js: made when the configuration is read, or of a tenant's record
 * when it is first asked for, and answered from memory.
 */


#ifndef _NGX_HTTP_SGTM_SCRIPT_H_INCLUDED_
#define _NGX_HTTP_SGTM_SCRIPT_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_template.h"


/* one with its settings; all with the same settings share it */

struct ngx_http_sgtm_script_s {
    ngx_str_node_t              node;      /* node.str: the settings */
    ngx_uint_t                  variant;   /* NGX_HTTP_SGTM_SNIPPET_... */
    ngx_http_sgtm_template_t   *template;
    ngx_http_sgtm_filled_t      filled;
    u_char                      integrity[NGX_HTTP_SGTM_INTEGRITY];
                                           /* of the configuration's alone */
};


/*
 * Makes conf->script of a completely merged gateway: the script with the
 * location's settings, plain and compressed.  Locations of one configuration
 * with the same settings share it.  NGX_OK or NGX_ERROR, logged.
 */
ngx_int_t ngx_http_sgtm_script_create(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf);

/*
 * Which script a gateway has, and its hash for the attribute "integrity", of
 * NGX_HTTP_SGTM_INTEGRITY bytes.  A conf with a record in it may have no script
 * yet: it is not made for that.  NGX_OK or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_sgtm_script_integrity(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *variant, u_char *integrity);

/* the content handler that answers with ctx->conf->script */
ngx_int_t ngx_http_sgtm_script_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_SCRIPT_H_INCLUDED_ */
