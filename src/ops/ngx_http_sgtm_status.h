
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _NGX_HTTP_SGTM_STATUS_H_INCLUDED_
#define _NGX_HTTP_SGTM_STATUS_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * The directive "sgtm_status": the location's content is the module's
 * counters, as JSON or in Prometheus's text format (version 0.0.4).
 */
char *ngx_http_sgtm_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/* writes a tenant's id as JSON and labels want it; 6 bytes a byte at most */
u_char *ngx_http_sgtm_status_escape(u_char *p, ngx_str_t *id);


#endif /* _NGX_HTTP_SGTM_STATUS_H_INCLUDED_ */
