
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _NGX_HTTP_SGTM_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_SGTM_VARIABLES_H_INCLUDED_


#include "ngx_http_sgtm.h"


/* registers the variables $sgtm_...; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_variables_add(ngx_conf_t *cf);

/*
 * Finds those of the configuration's variables that tell of what the gate
 * removes; called once it is complete.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_variables_init(ngx_cycle_t *cycle);

/* lets nginx make these variables anew, from the request as it is now */
void ngx_http_sgtm_variables_reset(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_VARIABLES_H_INCLUDED_ */
