
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The meter of several processes, and one that can't write.  What some count
 * while others write is in the file to the last event; a writer that is killed
 * loses what it had in its hands and doubles nothing; what can't be written
 * waits; a file that is damaged is not touched.  It guards against events that
 * are billed twice, or never.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit_meter.h"


/* three processes count, two more write, the last one what is left */

static void
shared(void)
{
    int                  i, status, bad;
    pid_t                pids[5];
    uint32_t             n, nov;
    uint64_t             sum[2][SGTM_METER_N];
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_stat_t    stat;
    sgtm_meter_file_t   *f;
    sgtm_meter_entry_t  *e;

    static const char   *names[] = { "a", "b", "c", "d" };

    erase();

    m = meter(SIZE, 1);
    nov = sgtm_meter_month(NOVEMBER);
    bad = 0;

    for (i = 0; i < 5; i++) {

        pids[i] = fork();

        if (pids[i] != 0) {
            continue;
        }

        f = file();

        for (n = 0; n < (i < 3 ? 40000 : 60); n++) {

            if (i >= 3) {
                bad |= (sgtm_meter_write(m, f, NOVEMBER, 1) == SGTM_ERROR);
                usleep(2000);
                continue;
            }

            id = str(names[n % 4]);
            e = sgtm_meter_find(m, &id);

            sgtm_meter_add(m, e, n < 20000 ? nov - 1 : nov,
                           SGTM_METER_ACCEPTED, 2);
            sgtm_meter_add(m, e, n < 20000 ? nov - 1 : nov,
                           SGTM_METER_FORWARDED, 1);
        }

        _exit(bad);
    }

    for (i = 0; i < 5; i++) {
        (void) waitpid(pids[i], &status, 0);
        bad |= status;
    }

    f = file();
    bad |= (sgtm_meter_write(m, f, NOVEMBER, 1) != SGTM_OK);
    sgtm_meter_file_destroy(f);

    memset(sum, 0, sizeof(sum));

    for (i = 0; i < 4; i++) {
        for (n = 0; n < SGTM_METER_N; n++) {
            sum[0][n] += row(nov - 1, names[i], n);
            sum[1][n] += row(nov, names[i], n);
        }
    }

    sgtm_meter_stat(m, &stat);

    unit_ok(!bad && stat.tenants == 4, "processes find the same tenants");
    unit_ok(sum[0][SGTM_METER_ACCEPTED] == 120000
            && sum[0][SGTM_METER_FORWARDED] == 60000
            && sum[1][SGTM_METER_ACCEPTED] == 120000
            && sum[1][SGTM_METER_FORWARDED] == 60000,
            "what they count is in the file, to the last event");
}


/* writers that are killed at any place; the memory lives on */

static void
killed(void)
{
    int                  i, rounds, twice;
    char                 name[16];
    pid_t                pid;
    uint32_t             n, nov;
    uint64_t             counted, written, n_row;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_file_t   *f;

    erase();

    m = meter(SIZE, 1);
    nov = sgtm_meter_month(NOVEMBER);
    counted = 0;
    twice = 0;
    rounds = 40;

    for (i = 0; i < rounds; i++) {

        for (n = 0; n < 300; n++) {
            (void) snprintf(name, sizeof(name), "t%u", n);
            id = str(name);
            sgtm_meter_add(m, sgtm_meter_find(m, &id), nov,
                           SGTM_METER_ACCEPTED, 1);
        }

        counted += 300;
        pid = fork();

        if (pid == 0) {
            f = file();
            (void) sgtm_meter_write(m, f, NOVEMBER, 1);
            _exit(0);
        }

        usleep((useconds_t) i * 150);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
    }

    f = file();
    unit_ok(sgtm_meter_write(m, f, NOVEMBER, 1) == SGTM_OK,
            "after a writer that was killed another one writes");
    sgtm_meter_file_destroy(f);

    for (n = 0, written = 0; n < 300; n++) {
        (void) snprintf(name, sizeof(name), "t%u", n);
        n_row = row(nov, name, SGTM_METER_ACCEPTED);
        written += n_row;
        twice += (n_row > (uint64_t) rounds);
    }

    unit_ok(written <= counted && !twice,
            "nothing is there twice (%u of %u)", (unsigned) written,
            (unsigned) counted);
    unit_ok(written >= 300, "what is lost is what the dead had taken");
}


static void
failures(void)
{
    int                  fd;
    char                 path[128], bad[128], got[16];
    uint32_t             nov;
    sgtm_str_t           id;
    sgtm_meter_t        *m;
    sgtm_meter_sum_t     sum;
    sgtm_meter_file_t   *f, *gone;
    sgtm_meter_entry_t  *e;

    erase();

    m = meter(SIZE, 1);
    nov = sgtm_meter_month(NOVEMBER);
    id = str("a");
    e = sgtm_meter_find(m, &id);

    sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 3);

    (void) snprintf(path, sizeof(path), "%s/no", dir);
    gone = sgtm_meter_file_create(path);
    unit_ok(gone && sgtm_meter_write(m, gone, NOVEMBER, 1) == SGTM_ERROR
            && strstr(sgtm_meter_file_error(gone), "No such file"),
            "a directory that is not there: %s", sgtm_meter_file_error(gone));
    sgtm_meter_file_destroy(gone);

    (void) snprintf(path, sizeof(path), "%s/meter.db", dir);
    (void) snprintf(bad, sizeof(bad), "%s/meter.db.bad", dir);

    fd = open(path, O_WRONLY|O_CREAT, 0600);
    (void) !write(fd, "no database", 11);
    (void) close(fd);

    f = file();
    unit_ok(sgtm_meter_write(m, f, NOVEMBER, 1) == SGTM_ERROR
            && strstr(sgtm_meter_file_error(f), "not a database"),
            "a damaged file: %s", sgtm_meter_file_error(f));

    fd = open(path, O_RDONLY);
    got[0] = '\0';
    unit_ok(read(fd, got, 16) == 11 && memcmp(got, "no database", 11) == 0,
            "it is left as it was");
    (void) close(fd);

    sgtm_meter_sum(m, e, nov, &sum);
    unit_ok(sum.accepted == 3, "what was counted waits");

    (void) rename(path, bad);
    unit_ok(sgtm_meter_write(m, f, NOVEMBER, 1) == SGTM_OK
            && row(nov, "a", SGTM_METER_ACCEPTED) == 3,
            "until it was taken away");

    /* another file of the name, while it is open */

    (void) rename(path, bad);
    (void) snprintf(path, sizeof(path), "%s/meter.db-wal", dir);
    (void) unlink(path);
    (void) snprintf(path, sizeof(path), "%s/meter.db-shm", dir);
    (void) unlink(path);

    sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 4);
    unit_ok(sgtm_meter_write(m, f, NOVEMBER, 1) == SGTM_OK
            && row(nov, "a", SGTM_METER_ACCEPTED) == 4,
            "a file that was moved away is not written to any more");

    /* a disk that fails for years */

    atomic_store(&e->waiting[0][SGTM_METER_ACCEPTED], SGTM_METER_FULL);
    sgtm_meter_add(m, e, nov, SGTM_METER_ACCEPTED, 60000);
    unit_ok(atomic_load(&e->waiting[0][SGTM_METER_ACCEPTED])
            == SGTM_METER_FULL, "what waits does not overflow");

    sgtm_meter_file_destroy(f);
}


int
main(void)
{
    begin();

    shared();
    killed();
    failures();

    return end();
}
