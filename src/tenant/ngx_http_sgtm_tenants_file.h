
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Looks after the files of tenants: what changes is read and put into the
 * registry without a reload.
 */


#ifndef _NGX_HTTP_SGTM_TENANTS_FILE_H_INCLUDED_
#define _NGX_HTTP_SGTM_TENANTS_FILE_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/*
 * For a worker: the first one does it, for all.  NGX_OK, also where there are
 * no such files, or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_tenants_file_init_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_SGTM_TENANTS_FILE_H_INCLUDED_ */
