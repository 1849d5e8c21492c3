
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The meter's part of the status: what tenants have sent this month, and how it
 * stands with their quotas.
 */


#ifndef _NGX_HTTP_SGTM_STATUS_METER_H_INCLUDED_
#define _NGX_HTTP_SGTM_STATUS_METER_H_INCLUDED_


#include "ngx_http_sgtm_status_spool.h"


/* the member "meter" with its comma; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_status_meter_json(ngx_http_sgtm_writer_t *w);

/* the member "month" of a tenant, behind a comma */
ngx_int_t ngx_http_sgtm_status_month_json(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_shown_t *shown);

/* both in Prometheus's format */
ngx_int_t ngx_http_sgtm_status_meter_text(ngx_http_sgtm_writer_t *w);


#endif /* _NGX_HTTP_SGTM_STATUS_METER_H_INCLUDED_ */
