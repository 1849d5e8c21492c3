
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * How sgtm-spool writes values to its standard output.
 */


#ifndef _SGTM_SPOOL_H_INCLUDED_
#define _SGTM_SPOOL_H_INCLUDED_


#include "delivery/sgtm_segment.h"
#include "delivery/sgtm_store.h"


/* milliseconds as "90s", "15m", "3h", "2d", to a buffer */
void spool_print_age(int64_t ms, char *text, size_t size);

/* "name:     2026-11-20 12:00:00 UTC", from ms since the epoch */
void spool_print_time(const char *name, int64_t ms);

/* "name:     value" */
void spool_print_str(const char *name, const sgtm_str_t *str);

/* each line indented */
void spool_print_lines(const sgtm_str_t *str);

/*
 * What a visitor sent may hold anything: control characters must not act on
 * the terminal, so they are written as \xNN.  Padded to a width.
 */
void spool_print_safe(const sgtm_str_t *str, int width);

/* ,"name":"..." or, where it is not UTF-8, ,"name_base64":"..." */
void spool_json_str(const char *name, const sgtm_str_t *str);


#endif /* _SGTM_SPOOL_H_INCLUDED_ */
