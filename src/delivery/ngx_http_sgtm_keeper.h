
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The keeper: brings the spool to the disk ten times a second, and counts what
 * is in it, in a thread of its own, so that those who write wait for it only
 * for moments.
 */


#ifndef _NGX_HTTP_SGTM_KEEPER_H_INCLUDED_
#define _NGX_HTTP_SGTM_KEEPER_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * For a worker: the first one is the keeper, for all.  NGX_OK, also where there
 * is no spool, or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_keeper_init_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_SGTM_KEEPER_H_INCLUDED_ */
