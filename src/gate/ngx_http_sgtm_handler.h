
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The phases: where the gate meets nginx.
 */


#ifndef _NGX_HTTP_SGTM_HANDLER_H_INCLUDED_
#define _NGX_HTTP_SGTM_HANDLER_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* registers the handlers of the phases; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_handler_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_SGTM_HANDLER_H_INCLUDED_ */
