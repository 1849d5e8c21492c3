
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Policies of the site's pages, made to fit its tags.
 */


#ifndef _NGX_HTTP_SGTM_CSP_H_INCLUDED_
#define _NGX_HTTP_SGTM_CSP_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_site.h"


/* below the prefix: where browsers report violations to */
#define NGX_HTTP_SGTM_CSP_REPORT  "csp"


/*
 * Fits the policies of an answer's header, and sets nonce to the one that they
 * have got, or leaves it.  An answer with a nonce is not to be stored, and has
 * no validators.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_csp_header(ngx_http_request_t *r,
    ngx_http_sgtm_site_t *site, ngx_str_t *nonce);

/* the content handler that counts reports of violations */
ngx_int_t ngx_http_sgtm_csp_report_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_CSP_H_INCLUDED_ */
