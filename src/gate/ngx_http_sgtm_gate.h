
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The gate: what is done with a request between its arrival and proxy_pass.
 */


#ifndef _NGX_HTTP_SGTM_GATE_H_INCLUDED_
#define _NGX_HTTP_SGTM_GATE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Each returns NGX_DECLINED: the request is committed, nginx may send it on;
 * or the status to answer with, ctx->disposition and ctx->reason being set.
 */

/* a GA4 hit with its body: parse, consent, redact, set and remove, commit */
ngx_int_t ngx_http_sgtm_gate_run(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *body);

/* a body of the Measurement Protocol, which r->request_body holds */
ngx_int_t ngx_http_sgtm_gate_mp(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *body);

/* a hit whose content can't be redacted: it goes whole or not at all */
ngx_int_t ngx_http_sgtm_gate_opaque(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* what is no hit: consent by its query, the same matrix, body left alone */
ngx_int_t ngx_http_sgtm_gate_pass(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/* preview and debug traffic: arguments and body unaltered */
ngx_int_t ngx_http_sgtm_gate_preview(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * The operator's check page, which goes nowhere: whether this request may have
 * it, and the consent that it carries.  NGX_DECLINED: its content handler is
 * set.
 */
ngx_int_t ngx_http_sgtm_gate_check(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);

/*
 * Marks the events that are not to be sent: those that the tenant's record
 * routes another way, and where there is an sgtm_dedup the duplicates, the
 * others being reserved.  NGX_OK: some are left; or the status to answer with.
 */
ngx_int_t ngx_http_sgtm_gate_pick(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_event_t *events, ngx_uint_t n);

/* whether there is a reason to: whether the events have to be listed */
ngx_uint_t ngx_http_sgtm_gate_lists(ngx_http_sgtm_ctx_t *ctx);

/* how the gate ends otherwise: each returns the status to answer with */

/* param is where, for a reason whose own one is empty, or NULL */
ngx_int_t ngx_http_sgtm_gate_refuse(ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t reason, sgtm_str_t *param);
ngx_int_t ngx_http_sgtm_gate_deny(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t reason);
ngx_int_t ngx_http_sgtm_gate_fail(ngx_http_sgtm_ctx_t *ctx);

/*
 * Sets rw->set to what sgtm_set_param says, of which there has to be any:
 * percent-encoded, or plain.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_gate_pairs(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_rewrite_t *rw, ngx_uint_t plain);

/* empty rules, with a seed where ids have to be fresh */
void ngx_http_sgtm_gate_fresh(sgtm_rewrite_t *rw, ngx_uint_t fresh);


#endif /* _NGX_HTTP_SGTM_GATE_H_INCLUDED_ */
