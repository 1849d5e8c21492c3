
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * How the module's own contents are answered.
 */


#ifndef _NGX_HTTP_SGTM_PAGE_H_INCLUDED_
#define _NGX_HTTP_SGTM_PAGE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Adds a header to an answer; neither name nor value are copied.  NULL: no
 * memory.
 */
ngx_table_elt_t *ngx_http_sgtm_page_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

/*
 * The same of Cache-Control, as nginx's own, so that "expires" changes it and
 * adds no second one.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_page_cache_control(ngx_http_request_t *r,
    ngx_str_t *value);

/*
 * Answers 200 with a chain of so many bytes, of a type that is text in UTF-8;
 * returns what a content handler returns.
 */
ngx_int_t ngx_http_sgtm_page_send(ngx_http_request_t *r, const char *type,
    ngx_chain_t *out, off_t size);


#endif /* _NGX_HTTP_SGTM_PAGE_H_INCLUDED_ */
