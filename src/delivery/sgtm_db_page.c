
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * SQLite's secure_delete overwrites a row that is deleted, but not the copies
 * that stay in the unused part of a page when its rows move to another place
 * in it or to a neighbour.  That part is zeroed here on its way to the disk:
 * what it holds means nothing to anyone.
 */


#include <string.h>

#include "sgtm_db.h"


#define SGTM_PAGE_MAX          65536

/* the database's own header, before that of the first page */
#define SGTM_PAGE_FILE_HEADER  100

#define SGTM_PAGE_INDEX        0x02
#define SGTM_PAGE_TABLE        0x05
#define SGTM_PAGE_INDEX_LEAF   0x0a
#define SGTM_PAGE_TABLE_LEAF   0x0d

/*
 * Pages of another kind begin with the number of a page, in big endian: up to
 * that many pages its first byte is none of the above.
 */
#define SGTM_PAGE_LAST         0x01ffffff


#define sgtm_page_16(p)  ((size_t) (p)[0] << 8 | (p)[1])


static int sgtm_page_write(sqlite3_file *file, const void *data, int size,
    sqlite3_int64 offset);
static int sgtm_page_gap(const unsigned char *page, size_t size, int first,
    size_t *from, size_t *to);


/* one for all files: they are of the same VFS */

static const sqlite3_io_methods  *sgtm_page_base;
static sqlite3_io_methods         sgtm_page_methods;


int
sgtm_db_clean_pages(sgtm_store_t *store)
{
    int             rc;
    sqlite3_file   *file;
    sqlite3_mutex  *mutex;

    rc = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER,
                              &file);

    if (rc != SQLITE_OK) {
        return sgtm_db_fail(store, rc, "open");
    }

    if (file == NULL || file->pMethods == NULL) {
        return sgtm_db_fail_text(store, SGTM_STORE_FAILED, "it is not open");
    }

    /* NULL where SQLite was built without threads: it takes that, too */

    mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_APP1);

    sqlite3_mutex_enter(mutex);

    if (sgtm_page_base == NULL) {
        sgtm_page_base = file->pMethods;
        sgtm_page_methods = *file->pMethods;
        sgtm_page_methods.xWrite = sgtm_page_write;
    }

    if (file->pMethods == sgtm_page_base) {
        file->pMethods = &sgtm_page_methods;
    }

    sqlite3_mutex_leave(mutex);

    return SGTM_STORE_OK;
}


static int
sgtm_page_write(sqlite3_file *file, const void *data, int size,
    sqlite3_int64 offset)
{
    size_t         from, to;
    unsigned char  page[SGTM_PAGE_MAX];

    if (size < 512 || size > SGTM_PAGE_MAX || offset % size != 0
        || offset / size > SGTM_PAGE_LAST
        || !sgtm_page_gap(data, (size_t) size, offset == 0, &from, &to))
    {
        return sgtm_page_base->xWrite(file, data, size, offset);
    }

    memcpy(page, data, from);
    memset(page + from, 0, to - from);
    memcpy(page + to, (const unsigned char *) data + to, (size_t) size - to);

    return sgtm_page_base->xWrite(file, page, size, offset);
}


/* between the pointers to a page's cells and the first cell */

static int
sgtm_page_gap(const unsigned char *page, size_t size, int first, size_t *from,
    size_t *to)
{
    size_t                header;
    const unsigned char  *p;

    p = page + (first ? SGTM_PAGE_FILE_HEADER : 0);

    switch (p[0]) {

    case SGTM_PAGE_INDEX:
    case SGTM_PAGE_TABLE:
        header = 12;
        break;

    case SGTM_PAGE_INDEX_LEAF:
    case SGTM_PAGE_TABLE_LEAF:
        header = 8;
        break;

    default:
        return 0;
    }

    *from = (size_t) (p - page) + header + 2 * sgtm_page_16(p + 3);
    *to = sgtm_page_16(p + 5);

    if (*to == 0) {
        *to = SGTM_PAGE_MAX;
    }

    return *from < *to && *to <= size;
}
