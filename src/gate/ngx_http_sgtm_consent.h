
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the visitor's consent is, from the sources that the operator names.
 */


#ifndef _NGX_HTTP_SGTM_CONSENT_H_INCLUDED_
#define _NGX_HTTP_SGTM_CONSENT_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Settles ctx->consent and ctx->deny from the signals of a parsed hit.  fresh:
 * the page does not know of the denial of analytics_storage, so that the ids
 * which it sent must not travel.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_consent(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, const sgtm_ga4_t *hit, ngx_uint_t *fresh);

/* the same for a hit of a server, from what it says of consent itself */
void ngx_http_sgtm_consent_server(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_consent_t *consent);


#endif /* _NGX_HTTP_SGTM_CONSENT_H_INCLUDED_ */
