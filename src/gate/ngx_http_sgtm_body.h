
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The body of a request: read before the gate, limited, kept whole.
 */


#ifndef _NGX_HTTP_SGTM_BODY_H_INCLUDED_
#define _NGX_HTTP_SGTM_BODY_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* registers the filter of request bodies */
void ngx_http_sgtm_body_init(void);

/*
 * Reads the body and calls the handler, at once or later; to be returned by a
 * phase handler: NGX_DONE, or a status.
 */
ngx_int_t ngx_http_sgtm_body_read(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_http_client_body_handler_pt handler);

/* whether a body of this size, -1 if unknown, is over the request's limit */
ngx_uint_t ngx_http_sgtm_body_too_large(ngx_http_sgtm_ctx_t *ctx, off_t size);

/*
 * The request's body as one string: where nginx has it, if that is one buffer,
 * else copied.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_body_text(ngx_http_request_t *r, ngx_str_t *body);


#endif /* _NGX_HTTP_SGTM_BODY_H_INCLUDED_ */
