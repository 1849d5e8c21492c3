
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the unit tests of the meter share: memory, a directory, and a look into
 * the file.
 */


#ifndef _SGTM_UNIT_METER_H_INCLUDED_
#define _SGTM_UNIT_METER_H_INCLUDED_


#include <unistd.h>
#include <sys/mman.h>

#include "unit.h"
#include "ops/sgtm_meter_core.h"
#include "ops/sgtm_meter_write.h"


#define SIZE      (256 * 1024)

/* the last second of October 2026, UTC */
#define OCTOBER   1793491199
#define NOVEMBER  (OCTOBER + 1)
#define DAY       86400


static char  dir[] = "/tmp/sgtm-meter-XXXXXX";


static inline sgtm_str_t
str(const char *text)
{
    sgtm_str_t  s;

    s.data = (unsigned char *) text;
    s.len = strlen(text);

    return s;
}


static inline sgtm_meter_t *
meter(size_t size, uint32_t epoch)
{
    void  *mem;

    mem = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
               0);

    if (mem == MAP_FAILED) {
        printf("Bail out! mmap\n");
        exit(1);
    }

    /* what was there before is of no interest */
    memset(mem, 0xa5, size);

    return sgtm_meter_create(mem, size, epoch);
}


static inline void
erase(void)
{
    int                 i;
    char                path[128];

    static const char  *names[] = { "", "-wal", "-shm", "-journal", ".bad" };

    for (i = 0; i < (int) unit_nelts(names); i++) {
        (void) snprintf(path, sizeof(path), "%s/meter.db%s", dir, names[i]);
        (void) unlink(path);
    }
}


static inline sgtm_meter_file_t *
file(void)
{
    sgtm_meter_file_t  *f;

    f = sgtm_meter_file_create(dir);

    if (f == NULL) {
        printf("Bail out! no memory\n");
        exit(1);
    }

    return f;
}


/* what the file has of a month and a tenant, read by another */

static inline uint64_t
row(uint32_t month, const char *tenant, unsigned what)
{
    sgtm_str_t          id;
    sgtm_meter_row_t    r;
    sgtm_meter_file_t  *f;

    f = file();
    id = str(tenant);

    if (sgtm_meter_file_begin(f) != SGTM_OK
        || sgtm_meter_file_get(f, month, &id, &r) != SGTM_OK)
    {
        printf("# %s\n", sgtm_meter_file_error(f));
        r.counts[what] = (uint64_t) -1;
    }

    sgtm_meter_file_rollback(f);
    sgtm_meter_file_destroy(f);

    return r.counts[what];
}


static inline void
begin(void)
{
    if (mkdtemp(dir) == NULL) {
        printf("Bail out! mkdtemp\n");
        exit(1);
    }
}


static inline int
end(void)
{
    erase();
    (void) rmdir(dir);

    return unit_done();
}


#endif /* _SGTM_UNIT_METER_H_INCLUDED_ */
