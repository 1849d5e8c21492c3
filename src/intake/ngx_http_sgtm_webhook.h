
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The shops' door to the gate: POST webhook/<shop>.
 */


#ifndef _NGX_HTTP_SGTM_WEBHOOK_H_INCLUDED_
#define _NGX_HTTP_SGTM_WEBHOOK_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * In place of sgtm_max_body: an order of 200 items with all that a shop knows
 * of each is larger than any hit of a browser.
 */
#define NGX_HTTP_SGTM_WEBHOOK_MAX_BODY  (1024 * 1024)


/* an sgtm_webhook directive */

struct ngx_http_sgtm_webhook_s {
    ngx_uint_t                 shop;       /* sgtm_shop_e */
    ngx_array_t                secrets;    /* of ngx_str_t */
};


/* the directive sgtm_webhook */
char *ngx_http_sgtm_conf_webhook(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * The shop that the request's path names, sgtm_shop_e; NGX_DECLINED: none, or
 * the tenant has no secret of it.
 */
ngx_int_t ngx_http_sgtm_webhook_shop(ngx_http_sgtm_ctx_t *ctx);

/*
 * The id of the stream that orders go to; NULL: there is none, since the others
 * of sgtm_tag_id have none: AW-, DC-, GT-.
 */
ngx_str_t *ngx_http_sgtm_webhook_stream(ngx_http_sgtm_loc_conf_t *conf);

/*
 * Checks the signature of a body and makes the request one of the Measurement
 * Protocol, which then goes through the gate.  As the functions of
 * ngx_http_sgtm_gate.h: NGX_DECLINED, or the status to answer with.
 */
ngx_int_t ngx_http_sgtm_webhook(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *body);


#endif /* _NGX_HTTP_SGTM_WEBHOOK_H_INCLUDED_ */
