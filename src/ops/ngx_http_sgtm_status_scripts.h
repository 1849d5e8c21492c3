
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The scripts that gateways serve, and the hashes of them by which a page can
 * insist on one.
 */


#ifndef _NGX_HTTP_SGTM_STATUS_SCRIPTS_H_INCLUDED_
#define _NGX_HTTP_SGTM_STATUS_SCRIPTS_H_INCLUDED_


#include "ngx_http_sgtm_status_spool.h"


/*
 * The member "scripts" with its comma: of all gateways that have a tenant by
 * the configuration, or of those that "?tenant=" may be served by.  To be
 * called while w->reader reads.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_status_scripts_json(ngx_http_sgtm_writer_t *w);


#endif /* _NGX_HTTP_SGTM_STATUS_SCRIPTS_H_INCLUDED_ */
