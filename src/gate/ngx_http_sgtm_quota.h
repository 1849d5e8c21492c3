
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * How many events a tenant may send in a month, as his record says.
 */


#ifndef _NGX_HTTP_SGTM_QUOTA_H_INCLUDED_
#define _NGX_HTTP_SGTM_QUOTA_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../ops/ngx_http_sgtm_meter.h"


/*
 * Whether a hit of this client, or of one that is not known (NULL), may go on.
 * NGX_OK, or the status to answer with.
 */
ngx_int_t ngx_http_sgtm_quota(ngx_http_sgtm_ctx_t *ctx,
    const sgtm_str_t *client);

/*
 * Counts a hit if it goes on to the tagging server or into the queue, by
 * ctx->status; the first that takes a quota to its limit, or near it, has a
 * line in the log.
 */
void ngx_http_sgtm_quota_take(ngx_http_sgtm_ctx_t *ctx);


#endif /* _NGX_HTTP_SGTM_QUOTA_H_INCLUDED_ */
