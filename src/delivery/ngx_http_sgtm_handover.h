
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a courier does whose worker ends: it lets go of the lease, so that the
 * next one can begin, and leaves the hits that are under way to nobody until
 * their answers have come.
 */


#ifndef _NGX_HTTP_SGTM_HANDOVER_H_INCLUDED_
#define _NGX_HTTP_SGTM_HANDOVER_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_errand.h"
#include "ngx_http_sgtm_ledger.h"


/* milliseconds: the lease, and how long before its end it is renewed */

#define NGX_HTTP_SGTM_COURIER_LEASE    10000
#define NGX_HTTP_SGTM_COURIER_RENEW    3000


/* for a worker that begins: NGX_OK, or NGX_ERROR without a connection */
ngx_int_t ngx_http_sgtm_handover_init(ngx_http_sgtm_courier_ctx_t *courier);

/* what an errand of a courier that ends is to do */
void ngx_http_sgtm_handover_plan(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e);

/* it has been done */
void ngx_http_sgtm_handover_done(ngx_http_sgtm_courier_ctx_t *courier,
    ngx_http_sgtm_errand_t *e);

/* the worker stays for a while: there is something to settle */
void ngx_http_sgtm_handover_stay(ngx_http_sgtm_courier_ctx_t *courier);

/* the worker may end, if there is nothing left to do */
void ngx_http_sgtm_handover_leave(ngx_http_sgtm_courier_ctx_t *courier);


/* the courier's side: off on an errand, if there is anything to do */
void ngx_http_sgtm_courier_go(ngx_http_sgtm_courier_ctx_t *courier);


#endif /* _NGX_HTTP_SGTM_HANDOVER_H_INCLUDED_ */
