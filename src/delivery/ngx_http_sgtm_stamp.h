
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a stored hit gains when it is delivered: the time of its events, and
 * the secret that no spool holds.
 */


#ifndef _NGX_HTTP_SGTM_STAMP_H_INCLUDED_
#define _NGX_HTTP_SGTM_STAMP_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_courier.h"
#include "ngx_http_sgtm_detached.h"
#include "sgtm_store.h"


/*
 * Sets the arguments and the body to be sent of a record.  *text is NULL, or a
 * block for ngx_http_sgtm_stamp_free() once they are of no use any more.
 * NGX_OK or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_sgtm_stamp(ngx_http_sgtm_detached_t *d,
    sgtm_record_t *record, ngx_http_sgtm_target_t *target, u_char **text);

/*
 * Sets where a record may be sent to, by what was found when it came and what
 * is said now.  NGX_DECLINED: nowhere.
 */
ngx_int_t ngx_http_sgtm_stamp_region(ngx_http_sgtm_detached_t *d,
    sgtm_record_t *record, ngx_http_sgtm_target_t *target);

void ngx_http_sgtm_stamp_free(ngx_http_sgtm_detached_t *d, u_char *text);


#endif /* _NGX_HTTP_SGTM_STAMP_H_INCLUDED_ */
