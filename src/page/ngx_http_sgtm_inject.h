
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The line that loads the script, put into the head of pages on their way.
 */


#ifndef _NGX_HTTP_SGTM_INJECT_H_INCLUDED_
#define _NGX_HTTP_SGTM_INJECT_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_site.h"


/*
 * To be called by the header filter, with the filter behind it: sends the
 * header, now or with the first bytes of the page, by which it is known how
 * long the page becomes.  nonce is empty where the page has none.
 */
ngx_int_t ngx_http_sgtm_inject_header(ngx_http_request_t *r,
    ngx_http_sgtm_site_t *site, ngx_str_t *nonce,
    ngx_http_output_header_filter_pt next);

/* the same for a part of the page's body */
ngx_int_t ngx_http_sgtm_inject_body(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_header_filter_pt next_header,
    ngx_http_output_body_filter_pt next);


#endif /* _NGX_HTTP_SGTM_INJECT_H_INCLUDED_ */
