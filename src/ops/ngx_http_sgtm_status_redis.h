
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The part of the status that tells how the tenants are kept as Redis has them.
 */


#ifndef _NGX_HTTP_SGTM_STATUS_REDIS_H_INCLUDED_
#define _NGX_HTTP_SGTM_STATUS_REDIS_H_INCLUDED_


#include "ngx_http_sgtm_status_spool.h"


/* the member "redis" of what comes from there; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_status_redis_json(ngx_http_sgtm_writer_t *w);

/* the same in Prometheus's format */
ngx_int_t ngx_http_sgtm_status_redis_text(ngx_http_sgtm_writer_t *w);


#endif /* _NGX_HTTP_SGTM_STATUS_REDIS_H_INCLUDED_ */
