
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The meter's writer: from memory into the file, and what the file has had
 * before into memory.  Plain C11 without nginx.
 */


#ifndef _SGTM_METER_WRITE_H_INCLUDED_
#define _SGTM_METER_WRITE_H_INCLUDED_


#include "sgtm_meter.h"
#include "sgtm_meter_file.h"


/*
 * One pass, by the clock's seconds since the epoch.  It looks up what the file
 * has of tenants that are new in memory, so that their quotas go on; with write
 * it also writes all that waits.  SGTM_OK; SGTM_DECLINED: another process
 * writes; SGTM_ERROR: the file says why, and what could not be written waits
 * again.
 */
int sgtm_meter_write(sgtm_meter_t *meter, sgtm_meter_file_t *file,
    int64_t now, int write);


#endif /* _SGTM_METER_WRITE_H_INCLUDED_ */
