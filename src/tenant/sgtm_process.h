
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Who holds something in shared memory, and whether he is still there: a
 * process as one word, which a later process of the same number does not share.
 * Plain C11 without nginx.
 */


#ifndef _SGTM_PROCESS_H_INCLUDED_
#define _SGTM_PROCESS_H_INCLUDED_


#include <stdint.h>


/* this process; never 0 */
uint64_t sgtm_process_self(void);

/*
 * Whether the process is there; one that has ended and waits for its parent is
 * not.  Reads a file of /proc, which does not block; without /proc only the
 * number counts.
 */
int sgtm_process_alive(uint64_t process);


#endif /* _SGTM_PROCESS_H_INCLUDED_ */
