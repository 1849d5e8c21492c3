
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a gateway location's configuration leads to: made once, when the
 * configuration is merged.
 */


#ifndef _NGX_HTTP_SGTM_GATEWAY_H_INCLUDED_
#define _NGX_HTTP_SGTM_GATEWAY_H_INCLUDED_


#include "ngx_http_sgtm.h"


/*
 * Completes a merged location with "sgtm on": tenant, tables of names, ids,
 * script, error pages.  NGX_CONF_OK or NGX_CONF_ERROR, logged.
 */
char *ngx_http_sgtm_gateway_init(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf);


#endif /* _NGX_HTTP_SGTM_GATEWAY_H_INCLUDED_ */
