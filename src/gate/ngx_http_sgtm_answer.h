
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the browser gets: the gate's own answers, and what the tagging server's
 * may set.
 */


#ifndef _NGX_HTTP_SGTM_ANSWER_H_INCLUDED_
#define _NGX_HTTP_SGTM_ANSWER_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* registers the header filter */
void ngx_http_sgtm_answer_init(void);

/*
 * Answers a request that goes no further, with the reason's one line of text
 * (none with 204), and ends it.  To be returned by a phase handler: NGX_DONE.
 */
ngx_int_t ngx_http_sgtm_answer(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_uint_t status);

/*
 * Adds what an OPTIONS of an origin that may send asks for, to be answered 204;
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_answer_preflight(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* adds "Allow" to the answer; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_answer_allow(ngx_http_request_t *r,
    ngx_str_t *methods);

/*
 * Sends a status with the text of a reason, which names the parameter; ctx may
 * be NULL.  Returns what ngx_http_send_response() does, for a content handler
 * to return.
 */
ngx_int_t ngx_http_sgtm_answer_text(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_uint_t status, ngx_uint_t reason);

/* adds a header to the answer; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_answer_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);


#endif /* _NGX_HTTP_SGTM_ANSWER_H_INCLUDED_ */
