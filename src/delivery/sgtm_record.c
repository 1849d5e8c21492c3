
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdlib.h>
#include <string.h>

#include "sgtm_db.h"


sgtm_record_t *
sgtm_record_make(sqlite3_stmt *stmt)
{
    int             i;
    size_t          len, size;
    sgtm_str_t     *strs[SGTM_RECORD_STRINGS];
    const void     *data;
    sgtm_record_t  *record;
    unsigned char  *p;

    size = sgtm_record_size(stmt);

    record = malloc(sizeof(sgtm_record_t) + size);

    if (record == NULL) {
        return NULL;
    }

    memset(record, 0, sizeof(sgtm_record_t));

    record->id = sqlite3_column_int64(stmt, SGTM_COLUMN_ID);
    record->due = sqlite3_column_int64(stmt, SGTM_COLUMN_DUE);
    record->client = (uint64_t) sqlite3_column_int64(stmt, SGTM_COLUMN_CLIENT);
    record->time = sqlite3_column_int64(stmt, 3);
    record->attempts = (unsigned) sqlite3_column_int64(stmt, 4);
    record->events = (unsigned) sqlite3_column_int64(stmt, 5);

    sgtm_group_strings(record, strs);

    p = (unsigned char *) (record + 1);

    for (i = 0; i < SGTM_RECORD_STRINGS; i++) {

        data = sqlite3_column_blob(stmt, SGTM_RECORD_INTEGERS + i);
        len = (size_t) sqlite3_column_bytes(stmt, SGTM_RECORD_INTEGERS + i);

        /* a shell may have written what is of another type, and so longer */

        if (len > size || (len && data == NULL)) {
            free(record);
            return NULL;
        }

        if (len) {
            memcpy(p, data, len);
        }

        strs[i]->data = p;
        strs[i]->len = len;

        p += len;
        size -= len;
    }

    return record;
}


size_t
sgtm_record_size(sqlite3_stmt *stmt)
{
    int     i;
    size_t  size;

    size = 0;

    for (i = 0; i < SGTM_RECORD_STRINGS; i++) {
        size += (size_t) sqlite3_column_bytes(stmt, SGTM_RECORD_INTEGERS + i);
    }

    return size;
}
