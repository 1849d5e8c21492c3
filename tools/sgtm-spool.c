
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Looks into a spool, also while nginx uses it: what waits, what is dead, and
 * what to do about the latter.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>

#include "sgtm-spool.h"


/* bytes that are moved out of the journal at a time: others write, too */
#define SPOOL_FETCH   (256 * 1024)


static int spool_is_there(spool_t *spool);
static int spool_failed(spool_t *spool);
static int spool_fetch(spool_t *spool);
static int spool_each(spool_t *spool,
    void (*handler)(spool_t *spool, const sgtm_record_t *record, int64_t died),
    int64_t *n);
static int spool_found(spool_t *spool, int64_t n);
static int spool_count(spool_t *spool);
static int spool_list(spool_t *spool);
static void spool_list_one(spool_t *spool, const sgtm_record_t *record,
    int64_t died);
static int spool_show(spool_t *spool);
static void spool_show_one(spool_t *spool, const sgtm_record_t *record,
    int64_t died);
static int spool_export(spool_t *spool);
static void spool_export_one(spool_t *spool, const sgtm_record_t *record,
    int64_t died);
static int spool_replay(spool_t *spool);
static int spool_purge(spool_t *spool);


const spool_command_t  spool_commands[] = {
    { "count",  spool_count,  0, 0, 0, 0 },
    { "list",   spool_list,   0, 0, 1, 1 },
    { "show",   spool_show,   0, 1, 0, 1 },
    { "export", spool_export, 0, 0, 1, 1 },
    { "replay", spool_replay, 1, 0, 0, 0 },
    { "purge",  spool_purge,  1, 0, 0, 1 },
    { NULL, NULL, 0, 0, 0, 0 }
};


int
main(int argc, char **argv)
{
    int                rc;
    spool_t            spool;
    struct timespec    now;
    sgtm_store_conf_t  conf;

    memset(&spool, 0, sizeof(spool_t));

    (void) clock_gettime(CLOCK_REALTIME, &now);
    spool.now = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;

    rc = spool_args(&spool, argc, argv);

    if (rc != SPOOL_OK || spool.command == NULL) {
        return rc;
    }

    /* the store would begin one */

    if (!spool_is_there(&spool)) {
        fprintf(stderr, "sgtm-spool: no spool in \"%s\": %s\n", spool.dir,
                strerror(errno));
        return SPOOL_FAILED;
    }

    memset(&conf, 0, sizeof(sgtm_store_conf_t));

    conf.sync = SGTM_STORE_SYNC_ALWAYS;

    spool.store = sgtm_store_create(spool.dir, &conf);

    if (spool.store == NULL) {
        fprintf(stderr, "sgtm-spool: no memory\n");
        return SPOOL_FAILED;
    }

    rc = (spool.command->waits && !spool.dead) ? spool_fetch(&spool)
                                               : SPOOL_OK;

    if (rc == SPOOL_OK) {
        rc = spool.command->handler(&spool);
    }

    sgtm_store_destroy(spool.store);

    if (fflush(stdout) == EOF || ferror(stdout)) {
        fprintf(stderr, "sgtm-spool: cannot write: %s\n", strerror(errno));
        return SPOOL_FAILED;
    }

    return rc;
}


/* a database, or hits that nobody has moved into one yet; errno is set */

static int
spool_is_there(spool_t *spool)
{
    int              err;
    char             path[4096];
    size_t           n;
    struct stat      sb;
    sgtm_segment_t  *list;

    if (snprintf(path, sizeof(path), "%s/%s", spool->dir, SGTM_STORE_FILE)
        >= (int) sizeof(path))
    {
        errno = ENAMETOOLONG;
        return 0;
    }

    if (stat(path, &sb) == 0) {
        return 1;
    }

    err = errno;

    if (sgtm_segment_list(spool->dir, &list, &n) == 0) {
        free(list);

        if (n != 0) {
            return 1;
        }
    }

    errno = err;

    return 0;
}


static int
spool_failed(spool_t *spool)
{
    fflush(stdout);
    fprintf(stderr, "sgtm-spool: %s\n", sgtm_store_error(spool->store));

    return SPOOL_FAILED;
}


/* hits have an id once they are in the database; others may come meanwhile */

static int
spool_fetch(spool_t *spool)
{
    sgtm_fetch_t  fetch;

    do {
        fetch.size = SPOOL_FETCH;

        if (sgtm_store_fetch(spool->store, &fetch) != SGTM_STORE_OK) {
            return spool_failed(spool);
        }

        if (fetch.warning[0]) {
            fprintf(stderr, "sgtm-spool: %s\n", fetch.warning);
        }

    } while (fetch.more && fetch.hits);

    return SPOOL_OK;
}


/* calls the handler for what the options choose; n is how often */

static int
spool_each(spool_t *spool,
    void (*handler)(spool_t *spool, const sgtm_record_t *record, int64_t died),
    int64_t *n)
{
    int             rc;
    int64_t         id, died;
    sgtm_record_t  *record;

    *n = 0;
    died = 0;
    id = spool->id ? spool->id - 1 : 0;

    while (spool->limit == 0 || *n < spool->limit) {

        rc = sgtm_store_next(spool->store,
                             spool->dead ? SGTM_STORE_DEAD
                                         : SGTM_STORE_WAITING,
                             id, &record, &died);

        if (rc != SGTM_STORE_OK) {
            return spool_failed(spool);
        }

        if (record == NULL) {
            return SPOOL_OK;
        }

        if (spool->id && record->id != spool->id) {
            free(record);
            return SPOOL_OK;
        }

        if (spool->before == 0
            || (spool->dead ? died : record->time) <= spool->before)
        {
            handler(spool, record, died);
            (*n)++;
        }

        id = record->id;
        free(record);

        if (spool->id || ferror(stdout)) {
            break;
        }
    }

    return SPOOL_OK;
}


/* one that was asked for and is not there */

static int
spool_found(spool_t *spool, int64_t n)
{
    if (spool->id != 0 && n == 0) {
        fprintf(stderr, "sgtm-spool: no %s %" PRId64 "\n",
                spool->dead ? "dead letter" : "hit", spool->id);
        return SPOOL_FAILED;
    }

    return SPOOL_OK;
}


static int
spool_count(spool_t *spool)
{
    char                 age[32];
    sgtm_store_counts_t  counts;

    if (sgtm_store_count(spool->store, &counts) != SGTM_STORE_OK) {
        return spool_failed(spool);
    }

    printf("waiting: %" PRId64 " hits, %" PRId64 " events", counts.hits,
           counts.events);

    if (counts.hits) {
        spool_print_age(spool->now - counts.oldest, age, sizeof(age));
        printf(", the oldest of %s ago", age);
    }

    printf("\ndead: %" PRId64 " hits", counts.dead);

    if (counts.dead) {
        spool_print_age(spool->now - counts.dead_oldest, age, sizeof(age));
        printf(", the first of %s ago", age);
    }

    printf("\nsize: %" PRId64 " bytes\n", counts.size);

    return SPOOL_OK;
}


static int
spool_list(spool_t *spool)
{
    int      rc;
    int64_t  n;

    printf("%-20s %-24s %-20s %7s %8s %7s  %s\n", "id", "target", "tenant",
           "age", "attempts", "size", "error");

    rc = spool_each(spool, spool_list_one, &n);

    return rc == SPOOL_OK ? spool_found(spool, n) : rc;
}


static void
spool_list_one(spool_t *spool, const sgtm_record_t *record, int64_t died)
{
    char    age[32];
    size_t  size;

    size = record->method.len + record->uri.len + record->args.len
           + record->headers.len + record->body.len;

    spool_print_age(spool->now - (spool->dead ? died : record->time), age,
                    sizeof(age));

    printf("%-20" PRId64 " ", record->id);
    spool_print_safe(&record->target, 24);
    putchar(' ');
    spool_print_safe(&record->tenant, 20);
    printf(" %7s %8u %7zu  ", age, record->attempts, size);
    spool_print_safe(&record->error, 0);
    putchar('\n');
}


static int
spool_show(spool_t *spool)
{
    int      rc;
    int64_t  n;

    rc = spool_each(spool, spool_show_one, &n);

    return rc == SPOOL_OK ? spool_found(spool, n) : rc;
}


static void
spool_show_one(spool_t *spool, const sgtm_record_t *record, int64_t died)
{
    printf("id:        %" PRId64 "\n", record->id);
    spool_print_str("target", &record->target);
    spool_print_str("tenant", &record->tenant);
    spool_print_time("time", record->time);

    if (spool->dead) {
        spool_print_time("died", died);

    } else if (record->due == 0) {
        printf("due:       fresh\n");

    } else {
        spool_print_time(record->due < 0 ? "taken" : "due",
                         record->due < 0 ? -record->due : record->due);
    }

    printf("attempts:  %u\nevents:    %u\n", record->attempts,
           record->events);
    spool_print_str("error", &record->error);
    spool_print_str("method", &record->method);
    spool_print_str("uri", &record->uri);
    spool_print_str("args", &record->args);

    printf("headers:\n");
    spool_print_lines(&record->headers);

    printf("body (%zu bytes):\n", record->body.len);
    spool_print_lines(&record->body);
}


static int
spool_export(spool_t *spool)
{
    int      rc;
    int64_t  n;

    rc = spool_each(spool, spool_export_one, &n);

    return rc == SPOOL_OK ? spool_found(spool, n) : rc;
}


static void
spool_export_one(spool_t *spool, const sgtm_record_t *record, int64_t died)
{
    printf("{\"id\":%" PRId64 ",\"time\":%" PRId64, record->id, record->time);

    if (spool->dead) {
        printf(",\"died\":%" PRId64, died);

    } else {
        printf(",\"due\":%" PRId64, record->due);
    }

    printf(",\"attempts\":%u,\"events\":%u", record->attempts,
           record->events);

    spool_json_str("target", &record->target);
    spool_json_str("tenant", &record->tenant);
    spool_json_str("error", &record->error);
    spool_json_str("method", &record->method);
    spool_json_str("uri", &record->uri);
    spool_json_str("args", &record->args);
    spool_json_str("headers", &record->headers);
    spool_json_str("body", &record->body);

    printf("}\n");
}


static int
spool_replay(spool_t *spool)
{
    int64_t  n;

    if (sgtm_store_replay(spool->store, spool->id, spool->before, &n)
        != SGTM_STORE_OK)
    {
        return spool_failed(spool);
    }

    printf("%" PRId64 " replayed\n", n);

    spool->dead = 1;

    return spool_found(spool, n);
}


static int
spool_purge(spool_t *spool)
{
    int64_t  n;

    if (sgtm_store_purge(spool->store,
                         spool->dead ? SGTM_STORE_DEAD : SGTM_STORE_WAITING,
                         spool->id, spool->before, &n)
        != SGTM_STORE_OK)
    {
        return spool_failed(spool);
    }

    printf("%" PRId64 " purged\n", n);

    /* a copy may be in the journal, and no nginx there to see to it */

    if (sgtm_store_sync(spool->store) != SGTM_STORE_OK) {
        return spool_failed(spool);
    }

    return spool_found(spool, n);
}
