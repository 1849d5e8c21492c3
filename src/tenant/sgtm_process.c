
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#define _POSIX_C_SOURCE  200809L

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../hit/sgtm_hit.h"
#include "sgtm_process.h"


/* fields of /proc/<pid>/stat between the state and the time of the start */
#define SGTM_PROCESS_FIELDS  19


static int sgtm_process_stat(pid_t pid, char *state, uint32_t *start);


uint64_t
sgtm_process_self(void)
{
    char      state;
    pid_t     pid;
    uint32_t  start;

    static pid_t     known;
    static uint64_t  self;

    pid = getpid();

    if (pid != known) {

        if (sgtm_process_stat(pid, &state, &start) != SGTM_OK) {
            start = 0;
        }

        self = (uint64_t) pid << 32 | start;
        known = pid;
    }

    return self;
}


int
sgtm_process_alive(uint64_t process)
{
    char      state;
    pid_t     pid;
    uint32_t  start;

    pid = (pid_t) (process >> 32);

    if (kill(pid, 0) == -1 && errno == ESRCH) {
        return 0;
    }

    if ((uint32_t) process == 0
        || sgtm_process_stat(pid, &state, &start) != SGTM_OK)
    {
        return 1;
    }

    return start == (uint32_t) process && state != 'Z' && state != 'X';
}


/* the name of the program, in brackets, may hold anything */

static int
sgtm_process_stat(pid_t pid, char *state, uint32_t *start)
{
    int       fd, i;
    char     *p, buf[1024];
    ssize_t   n;

    (void) snprintf(buf, sizeof(buf), "/proc/%ld/stat", (long) pid);

    fd = open(buf, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return SGTM_ERROR;
    }

    n = read(fd, buf, sizeof(buf) - 1);
    (void) close(fd);

    if (n <= 0) {
        return SGTM_ERROR;
    }

    buf[n] = '\0';
    p = strrchr(buf, ')');

    if (p == NULL || p[1] == '\0' || p[2] == '\0') {
        return SGTM_ERROR;
    }

    p += 2;
    *state = *p;

    for (i = 0; i < SGTM_PROCESS_FIELDS; i++) {
        p = strchr(p, ' ');

        if (p == NULL) {
            return SGTM_ERROR;
        }

        p++;
    }

    for (*start = 0; *p >= '0' && *p <= '9'; p++) {
        *start = *start * 10 + (uint32_t) (*p - '0');
    }

    return SGTM_OK;
}
