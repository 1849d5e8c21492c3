
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * From a request to a hit in the spool: as it would have been sent, after all
 * that the gate has removed.
 */


#ifndef _NGX_HTTP_SGTM_QUEUE_H_INCLUDED_
#define _NGX_HTTP_SGTM_QUEUE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* whether a request that the gate has let pass may be queued */
ngx_uint_t ngx_http_sgtm_queue_may(ngx_http_sgtm_ctx_t *ctx);

/* whether it is to be queued in place of being forwarded */
ngx_uint_t ngx_http_sgtm_queue_is(ngx_http_sgtm_ctx_t *ctx);

/*
 * The content handler of what is queued: answers 204 once the hit is durable,
 * 503 and "Retry-After" if it can't be kept.
 */
ngx_int_t ngx_http_sgtm_queue_handler(ngx_http_request_t *r);

/*
 * At the end of a request, whatever became of its client: keeps a hit that
 * nobody has got.
 */
void ngx_http_sgtm_queue_end(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx);


#endif /* _NGX_HTTP_SGTM_QUEUE_H_INCLUDED_ */
