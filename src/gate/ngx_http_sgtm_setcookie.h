
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _NGX_HTTP_SGTM_SETCOOKIE_H_INCLUDED_
#define _NGX_HTTP_SGTM_SETCOOKIE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * Judges a Set-Cookie (RFC 6265, 4.1.1) of the tagging server: removes it if
 * its name may not be set, and takes away a Domain that does not cover the
 * host, so that the browser keeps the cookie for the host itself.  NGX_OK or
 * NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_setcookie(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_table_elt_t *h);

/*
 * Takes the Set-Cookies of an answer that did not reach the browser out of
 * reach of $upstream_http_set_cookie and $upstream_cookie_....
 */
void ngx_http_sgtm_setcookie_forget(ngx_http_request_t *r);


#endif /* _NGX_HTTP_SGTM_SETCOOKIE_H_INCLUDED_ */
