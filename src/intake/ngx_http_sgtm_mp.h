
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The Measurement Protocol: who may send it, and its validation.  What a hit of
 * it then goes through is ngx_http_sgtm_gate_mp().
 */


#ifndef _NGX_HTTP_SGTM_MP_H_INCLUDED_
#define _NGX_HTTP_SGTM_MP_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* the directive sgtm_api_secret */
char *ngx_http_sgtm_conf_api_secret(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Reads a file of secrets into the temporary pool: it has to be a file, and is
 * warned about where everybody may read it.  NGX_OK, or NGX_ERROR, logged.
 */
ngx_int_t ngx_http_sgtm_secret_file(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text);

/*
 * Takes one secret off the text: a line, without the space around it, that is
 * not empty.  NGX_OK, or NGX_DONE: there is no other.
 */
ngx_int_t ngx_http_sgtm_secret_next(ngx_str_t *text, ngx_str_t *secret);

/*
 * Whether the query has an "api_secret" and each is one of the tenant's:
 * NGX_OK or NGX_DECLINED, after the same time.
 */
ngx_int_t ngx_http_sgtm_mp_secret(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * Sets ctx->args, by which a hit is kept, to the request's without the secret:
 * it is added again when the hit is delivered.  One that goes on now has the
 * same arguments, and its own in ctx->sent.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_mp_args(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * Makes the path below the prefix "mp/collect", whatever it was: a shop's, or
 * this one in capitals or with a slash at its end.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_mp_uri(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* whether arguments have an "api_secret" */
ngx_uint_t ngx_http_sgtm_mp_has_secret(ngx_str_t *args);

/*
 * Copies arguments without any "api_secret", at most args->len bytes; returns
 * the end of what it wrote.
 */
u_char *ngx_http_sgtm_mp_strip_secret(u_char *out, ngx_str_t *args);

/* a content handler: says what is wrong with the body, as Google's does */
ngx_int_t ngx_http_sgtm_mp_debug_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_MP_H_INCLUDED_ */
