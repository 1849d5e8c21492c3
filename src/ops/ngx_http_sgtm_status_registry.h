
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The part of the status that tells of tenants' records.
 */


#ifndef _NGX_HTTP_SGTM_STATUS_REGISTRY_H_INCLUDED_
#define _NGX_HTTP_SGTM_STATUS_REGISTRY_H_INCLUDED_


#include "ngx_http_sgtm_status_spool.h"


/* the member "registry" with its comma; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_status_registry_json(ngx_http_sgtm_writer_t *w);

/* the same in Prometheus's format */
ngx_int_t ngx_http_sgtm_status_registry_text(ngx_http_sgtm_writer_t *w);


#endif /* _NGX_HTTP_SGTM_STATUS_REGISTRY_H_INCLUDED_ */
