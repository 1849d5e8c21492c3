
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The tenants that a status tells of: those of the configuration, and of the
 * records as many as an answer may take time for.
 */


#ifndef _NGX_HTTP_SGTM_STATUS_TENANTS_H_INCLUDED_
#define _NGX_HTTP_SGTM_STATUS_TENANTS_H_INCLUDED_


#include "ngx_http_sgtm_status_spool.h"


/*
 * Fills w->tenants, and w->next if there are more: "?from=" goes on there, and
 * "?tenant=" asks for one.  Of records those are left out that nothing was
 * counted of.  NGX_OK or NGX_ERROR; ngx_http_sgtm_status_tenants_end() ends the
 * use of the counters.
 */
ngx_int_t ngx_http_sgtm_status_tenants(ngx_http_sgtm_writer_t *w);
void ngx_http_sgtm_status_tenants_end(ngx_http_sgtm_writer_t *w);


#endif /* _NGX_HTTP_SGTM_STATUS_TENANTS_H_INCLUDED_ */
