
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The meter's file: an SQLite database "meter.db" in a directory, a row for
 * each month and tenant.  Plain C11 without nginx, so that tools/sgtm-meter is
 * the same code.  Every function may wait for the disk or for another process:
 * none is called on an event loop.
 *
 * A file is used by one thread at a time.  Any number of processes may have the
 * same directory open, and add to the same rows.
 */


#ifndef _SGTM_METER_FILE_H_INCLUDED_
#define _SGTM_METER_FILE_H_INCLUDED_


#include "sgtm_meter.h"


#define SGTM_METER_FILE   "meter.db"

/* "2026-11" */
#define SGTM_METER_MONTH  8

#define SGTM_METER_ERROR  256


typedef struct sgtm_meter_file_s  sgtm_meter_file_t;

typedef struct {
    uint64_t        counts[SGTM_METER_N];
    unsigned        told;
} sgtm_meter_row_t;

/* a row of the file; not 0: no more */
typedef int (*sgtm_meter_row_pt)(void *data, const char *month,
    const sgtm_str_t *tenant, const sgtm_meter_row_t *row);


/* the text of a month, in SGTM_METER_MONTH bytes with its NUL */
void sgtm_meter_text(uint32_t month, char *text);

/* what of a row counts against a quota */
uint64_t sgtm_meter_row_used(const sgtm_meter_row_t *row);

/*
 * The file of a directory; it is opened when it is first used, and opened anew
 * after an error and when another one has its name.  NULL: no memory.
 */
sgtm_meter_file_t *sgtm_meter_file_create(const char *dir);
void sgtm_meter_file_destroy(sgtm_meter_file_t *file);

/* the text of the last error */
const char *sgtm_meter_file_error(const sgtm_meter_file_t *file);

/*
 * A transaction, in which rows are read and added to: SGTM_OK, or SGTM_ERROR,
 * after which it is to be rolled back.  What was committed is on the disk.
 */
int sgtm_meter_file_begin(sgtm_meter_file_t *file);
int sgtm_meter_file_commit(sgtm_meter_file_t *file);
void sgtm_meter_file_rollback(sgtm_meter_file_t *file);

/* a tenant's row of a month; zeros: there is none */
int sgtm_meter_file_get(sgtm_meter_file_t *file, uint32_t month,
    const sgtm_str_t *tenant, sgtm_meter_row_t *row);

/* adds to it, and notes what was told, if that is more than before */
int sgtm_meter_file_add(sgtm_meter_file_t *file, uint32_t month,
    const sgtm_str_t *tenant, const sgtm_meter_row_t *row);

/*
 * For tools: rows in order of month and tenant, of those if they are not NULL.
 * Makes no file.  SGTM_OK or SGTM_ERROR.
 */
int sgtm_meter_file_list(sgtm_meter_file_t *file, const char *month,
    const char *tenant, sgtm_meter_row_pt handler, void *data);


#endif /* _SGTM_METER_FILE_H_INCLUDED_ */
