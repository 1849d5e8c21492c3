
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What stands between hiredis and a peer that is no Redis, or a broken one:
 * hiredis itself bounds no reply and ends the process by an assert() when one
 * comes that nobody asked for.
 */


#ifndef _NGX_HTTP_SGTM_REDIS_GUARD_H_INCLUDED_
#define _NGX_HTTP_SGTM_REDIS_GUARD_H_INCLUDED_


#include "ngx_http_sgtm_redis_event.h"


/*
 * Puts the guard into a context that was made just now, before its first reply.
 * A reply that it does not let through ends the connection; conn->error is set.
 */
void ngx_http_sgtm_redis_guard(ngx_http_sgtm_redis_conn_t *conn);

/* whether so much has come of one string that the reply is too large */
ngx_uint_t ngx_http_sgtm_redis_guard_over(ngx_http_sgtm_redis_conn_t *conn);


#endif /* _NGX_HTTP_SGTM_REDIS_GUARD_H_INCLUDED_ */
