
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the tests of several processes share: children that write, that do what
 * the keeper does, and that end or are killed.
 */


#ifndef _SGTM_UNIT_STORE_CHILD_H_INCLUDED_
#define _SGTM_UNIT_STORE_CHILD_H_INCLUDED_


#include "unit_store.h"

#include <signal.h>
#include <sys/wait.h>


#define STORE_WRITERS  3
#define STORE_GROUPS   400
#define STORE_GROUP    8
#define STORE_HITS     (STORE_WRITERS * STORE_GROUPS * STORE_GROUP)


/* 0 for the child */

static inline pid_t
store_fork(void)
{
    pid_t  pid;

    fflush(stdout);
    pid = fork();

    if (pid == -1) {
        printf("Bail out! fork(): %s\n", strerror(errno));
        exit(1);
    }

    return pid;
}


/*
 * A child: puts groups of hits "<writer> <n>", with a pause (us) between them,
 * and writes each highest n to a pipe once they are kept; ends with the number
 * of groups or when killed.
 */

static inline pid_t
store_writer(unsigned me, unsigned groups, long pause, int sync, int *from)
{
    int              fds[2];
    char             bodies[STORE_GROUP][32];
    pid_t            pid;
    unsigned         i, j, done;
    sgtm_record_t    records[STORE_GROUP];
    sgtm_journal_t  *journal;

    if (pipe(fds) == -1) {
        printf("Bail out! pipe(): %s\n", strerror(errno));
        exit(1);
    }

    pid = store_fork();

    if (pid != 0) {
        close(fds[1]);
        *from = fds[0];
        return pid;
    }

    journal = store_journal(sync, 0);

    for (j = 0; j < STORE_GROUP; j++) {
        records[j] = *store_record(NULL, STORE_TARGET, 0, "");
        records[j].next = j + 1 < STORE_GROUP ? &records[j + 1] : NULL;
        records[j].body.data = (unsigned char *) bodies[j];
    }

    for (i = 0; i < groups; i++) {

        for (j = 0; j < STORE_GROUP; j++) {
            records[j].body.len = (size_t) snprintf(bodies[j],
                                                    sizeof(bodies[j]),
                                                    "%u %u.", me,
                                                    i * STORE_GROUP + j);
        }

        if (sgtm_journal_put(journal, records) != SGTM_STORE_OK) {
            printf("# put: %s\n", sgtm_journal_error(journal));
            fflush(stdout);
            _exit(1);
        }

        done = i * STORE_GROUP + STORE_GROUP - 1;

        if (write(fds[1], &done, sizeof(done)) != sizeof(done)) {
            _exit(2);
        }

        if (pause) {
            store_rest(pause);
        }
    }

    _exit(0);
}


/* a child that does what the keeper does, as often as it can */

static inline pid_t
store_reaper(int sync)
{
    pid_t          pid;
    sgtm_store_t  *store;

    pid = store_fork();

    if (pid != 0) {
        return pid;
    }

    store = store_open(sync, 0);

    for ( ;; ) {
        if (sgtm_store_sync(store) != SGTM_STORE_OK) {
            printf("# sync: %s\n", sgtm_store_error(store));
            fflush(stdout);
            _exit(1);
        }

        store_rest(2000);
    }
}


/* 1 if it was there to be killed */

static inline int
store_kill(pid_t pid)
{
    int  status;

    kill(pid, SIGKILL);

    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status)
           && WTERMSIG(status) == SIGKILL;
}


static inline int
store_ends_well(pid_t pid)
{
    int  status;

    return waitpid(pid, &status, 0) == pid && status == 0;
}


#endif /* _SGTM_UNIT_STORE_CHILD_H_INCLUDED_ */
