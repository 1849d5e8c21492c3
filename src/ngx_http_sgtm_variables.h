
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _NGX_HTTP_SGTM_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_SGTM_VARIABLES_H_INCLUDED_


#include "ngx_http_sgtm.h"


/* registers the variables $sgtm_...; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_variables_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_SGTM_VARIABLES_H_INCLUDED_ */
