
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the script is told of its tenant.
 */


#ifndef _NGX_HTTP_SGTM_SETTINGS_H_INCLUDED_
#define _NGX_HTTP_SGTM_SETTINGS_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * The settings of a completely merged gateway as a JSON object: data only, of
 * ASCII, that means nothing in a script or in HTML.  It lies in the pool.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_settings(ngx_pool_t *pool,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *prefix, ngx_str_t *json);


#endif /* _NGX_HTTP_SGTM_SETTINGS_H_INCLUDED_ */
