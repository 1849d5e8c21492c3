
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the script is told of its tenant.
 */


#ifndef _NGX_HTTP_SGTM_SETTINGS_H_INCLUDED_
#define _NGX_HTTP_SGTM_SETTINGS_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * The settings of a completely merged gateway, or of a record in its place, as
 * a JSON object: data only, of ASCII, that means nothing in a script or in
 * HTML.  It lies in the pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_settings(ngx_pool_t *pool,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *json);

/*
 * The tagging in force, as SGTM_TAGGING_...: Google's container or its tag need
 * an id, and where there is only one of the other kind, that is loaded.
 */
ngx_uint_t ngx_http_sgtm_settings_tagging(ngx_http_sgtm_loc_conf_t *conf);

/*
 * The prefix as the path of an URL, with a slash at its end, of a location's
 * name; in the pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_settings_prefix(ngx_pool_t *pool, ngx_str_t *name,
    ngx_str_t *prefix);

/* the measurement id that hits are sent with; empty: there is none */
void ngx_http_sgtm_settings_stream(ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *id);

/* the id that the script works with; empty: there is none for it */
void ngx_http_sgtm_settings_id(ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *id);


#endif /* _NGX_HTTP_SGTM_SETTINGS_H_INCLUDED_ */
