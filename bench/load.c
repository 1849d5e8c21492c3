
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The load of the benchmark: the browsers and the tagging server in one process
 * on one core, which polls and never sleeps, so that the nginx between them is
 * charged for no wake-up of another core.  It sends a given number of hits over
 * kept connections, one at a time on each, to an nginx on the loopback, answers
 * what that nginx forwards, and prints the nginx's CPU time and the latencies.
 *
 *     load -p port -u port -f hits -n number [-w warm] [-c connections]
 *          [-C core] [-P pid] [-d milliseconds] [-s yes] [-o requests]
 *          [-a answers] [-r rate] [-R milliseconds] [-D yes] [-F hits]
 *          [-K yes] [-H hosts]
 *
 * -p   where nginx listens              -u   where the tagging server listens
 * -f   file of hits, each "<length>\n" and its bytes, sent in turn; the digits
 *      of "ep.event_id=" are other ones each time
 * -w   hits before the measured ones    -P   the worker whose CPU time is read,
 *                                            that of its threads included
 * -d   all hits at once: what the tagging server, then a process of its own,
 *      waits before it answers
 * -s   sleep while there is nothing to do, where time is not what is measured
 * -o   where the forwarded requests are written, -a the answers, as in -f
 * -r   hits a second: each is sent when its time has come, whatever became of
 *      those before, and its latency is counted from that time on
 * -R   how long the worker may rest before its CPU time is read
 * -D   it has ended when the tagging server has got all hits
 * -F   so many hits are sent first; then "filled" is printed, a line with the
 *      PID of the worker read, and -n of those hits are delivered: this is
 *      what is measured
 * -K   the tagging server stays until the standard input is closed
 * -B   a page: requests are answered 200 with it, and so are to be nginx's
 * -H   the digits of "Host: s000000." are those of another one of so many hosts
 *      each time
 */


#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "load.h"


typedef struct {
    uint64_t         ns;
    unsigned long    user;             /* ticks */
    unsigned long    system;
} load_cpu_t;


static void load_options(int argc, char **argv);
static void load_file(int opt, const char *name);
static void load_dump_to(FILE **file, const char *name);
static void load_read_hits(const char *name);
static void load_limit(size_t fds);
static void load_pin(void);
static void load_measure(void);
static void load_inflight(void);
static void load_drain(void);
static void load_cpu(load_cpu_t *cpu);
static void load_cpu_threads(load_cpu_t *cpu);
static void load_report(load_cpu_t *from, load_cpu_t *to, uint64_t elapsed);
static int load_compare(const void *one, const void *two);


load_conf_t           load_conf = { .connections = 32, .rest = 20000000 };

static size_t         load_number;
static size_t         load_warm;
static size_t         load_fill;
static int            load_core = -1;
static int            load_pid;
static int            load_kept;

static load_result_t  load_result;


int
main(int argc, char **argv)
{
    load_options(argc, argv);

    (void) signal(SIGPIPE, SIG_IGN);
    (void) setvbuf(stdout, NULL, _IOLBF, 0);

    load_pin();

    load_result.times = calloc(load_number + load_warm + load_fill,
                               sizeof(uint32_t));
    if (load_result.times == NULL) {
        load_die("no memory");
    }

    if (load_conf.delay) {
        load_inflight();

    } else if (load_fill) {
        load_drain();

    } else {
        load_measure();
    }

    if (load_kept) {
        (void) printf("kept 1\n");
        load_keep();
    }

    if (load_conf.requests != NULL && fclose(load_conf.requests) != 0) {
        load_die("write: %s", strerror(errno));
    }

    if (load_conf.answers != NULL && fclose(load_conf.answers) != 0) {
        load_die("write: %s", strerror(errno));
    }

    return 0;
}


static void
load_options(int argc, char **argv)
{
    int  opt;

    while ((opt = getopt(argc, argv, "p:u:f:n:w:c:C:P:d:s:o:a:r:R:D:F:K:"
                                     "H:B:"))
           != -1)
    {

        switch (opt) {

        case 'p':
            load_conf.port = atoi(optarg);
            break;

        case 'u':
            load_conf.upstream_port = atoi(optarg);
            break;

        case 'n':
            load_number = strtoul(optarg, NULL, 10);
            break;

        case 'w':
            load_warm = strtoul(optarg, NULL, 10);
            break;

        case 'c':
            load_conf.connections = strtoul(optarg, NULL, 10);
            break;

        case 'C':
            load_core = atoi(optarg);
            break;

        case 'P':
            load_pid = atoi(optarg);
            break;

        case 'd':
            load_conf.delay = strtoull(optarg, NULL, 10) * 1000000;
            break;

        case 's':
            load_conf.sleeps = 1;
            break;

        case 'r':
            load_conf.rate = strtoull(optarg, NULL, 10);
            break;

        case 'R':
            load_conf.rest = strtoull(optarg, NULL, 10) * 1000000;
            break;

        case 'D':
            load_conf.delivered = 1;
            break;

        case 'F':
            load_fill = strtoul(optarg, NULL, 10);
            break;

        case 'K':
            load_kept = 1;
            break;

        case 'H':
            load_conf.hosts = strtoul(optarg, NULL, 10);
            break;

        default:
            load_file(opt, optarg);
        }
    }

    if (!load_conf.port || !load_conf.upstream_port || !load_conf.nhits
        || !load_conf.connections || !load_number)
    {
        load_die("-p, -u, -f and -n are needed");
    }
}


static void
load_file(int opt, const char *name)
{
    switch (opt) {

    case 'f':
        load_read_hits(name);
        break;

    case 'B':
        load_read_page(name);
        break;

    case 'o':
        load_dump_to(&load_conf.requests, name);
        break;

    case 'a':
        load_dump_to(&load_conf.answers, name);
        break;

    default:
        exit(2);
    }
}


static void
load_dump_to(FILE **file, const char *name)
{
    *file = fopen(name, "w");

    if (*file == NULL) {
        load_die("%s: %s", name, strerror(errno));
    }
}


static void
load_read_hits(const char *name)
{
    FILE        *fh;
    size_t       len;
    load_str_t  *hit;

    fh = fopen(name, "r");
    if (fh == NULL) {
        load_die("%s: %s", name, strerror(errno));
    }

    while (fscanf(fh, "%zu", &len) == 1 && fgetc(fh) == '\n') {

        hit = realloc(load_conf.hits,
                      (load_conf.nhits + 1) * sizeof(load_str_t));
        if (hit == NULL) {
            load_die("no memory");
        }

        load_conf.hits = hit;
        hit += load_conf.nhits++;

        hit->len = len;
        hit->data = malloc(len);

        if (hit->data == NULL || fread(hit->data, 1, len, fh) != len) {
            load_die("%s: hit %zu is cut", name, load_conf.nhits);
        }

        hit->id = memmem(hit->data, len, "&ep.event_id=", 13);

        if (hit->id != NULL) {
            hit->id += 13;
        }

        hit->host = memmem(hit->data, len, "\r\nHost: s000000.", 16);

        if (hit->host != NULL) {
            hit->host += 9;
        }
    }

    if (!feof(fh)) {
        load_die("%s: no file of hits", name);
    }

    (void) fclose(fh);
}


static void
load_limit(size_t fds)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) {
        load_die("getrlimit: %s", strerror(errno));
    }

    if (limit.rlim_cur >= fds) {
        return;
    }

    limit.rlim_cur = fds;

    if (limit.rlim_max < fds) {
        limit.rlim_max = fds;
    }

    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) {
        load_die("%zu descriptors: %s", fds, strerror(errno));
    }
}


static void
load_pin(void)
{
    cpu_set_t  set;

    if (load_core < 0) {
        return;
    }

    CPU_ZERO(&set);
    CPU_SET((size_t) load_core, &set);

    if (sched_setaffinity(0, sizeof(set), &set) == -1) {
        load_die("core %d: %s", load_core, strerror(errno));
    }
}


static void
load_measure(void)
{
    uint64_t    start;
    load_cpu_t  from, to;

    load_limit(load_conf.connections * 2 + 64);
    load_listen();

    if (load_warm) {
        load_run(load_warm, &load_result);
        load_rest();
    }

    load_cpu(&from);
    start = load_now();

    load_run(load_number, &load_result);

    start = load_now() - start;

    load_rest();
    load_cpu(&to);

    load_report(&from, &to, start);
}


/* each side takes a descriptor a hit, and a process may not have enough */

static void
load_inflight(void)
{
    int    status;
    pid_t  server;

    load_conf.connections = load_number;
    load_conf.sleeps = 1;

    load_limit(load_number + 64);
    load_listen();

    server = fork();

    if (server == -1) {
        load_die("fork: %s", strerror(errno));
    }

    if (server == 0) {
        load_serve(load_number);
        exit(0);
    }

    load_leave();
    load_run(load_number, &load_result);

    (void) printf("answered %zu\n", load_result.answered);

    if (waitpid(server, &status, 0) == -1 || status != 0) {
        load_die("the tagging server failed");
    }
}


/*
 * The one who started this has the worker replaced by one that delivers.  The
 * old one goes when it has its answers; what the new one has sent by then is
 * not measured.
 */

static void
load_drain(void)
{
    char        line[64];
    size_t      left;
    uint64_t    start;
    load_cpu_t  from, to;

    load_limit(load_conf.connections * 2 + 1024);
    load_listen();
    load_run(load_fill, &load_result);

    (void) printf("filled 1\n");

    load_wait();

    if (fgets(line, sizeof(line), stdin) == NULL) {
        load_die("no PID");
    }

    left = load_fill - load_result.forwarded;

    if (left < load_number) {
        load_die("%zu of %zu hits were delivered too early",
                 load_result.forwarded, load_fill);
    }

    load_pid = atoi(line);

    load_cpu(&from);
    start = load_now();

    load_deliver(load_number, &load_result);

    start = load_now() - start;

    /* some are left: the worker does not rest */

    load_cpu(&to);

    load_report(&from, &to, start);
}


/*
 * The scheduler counts nanoseconds, exact once the process sleeps; the ticks
 * in "stat" are the same sum, rounded, divided by samples into user and system.
 */

static void
load_cpu(load_cpu_t *cpu)
{
    FILE  *fh;
    char   name[64], line[1024], *p;

    memset(cpu, 0, sizeof(load_cpu_t));

    if (load_pid == 0) {
        return;
    }

    (void) snprintf(name, sizeof(name), "/proc/%d/stat", load_pid);

    fh = fopen(name, "r");

    if (fh == NULL || fgets(line, sizeof(line), fh) == NULL
        || (p = strrchr(line, ')')) == NULL
        || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                  &cpu->user, &cpu->system)
           != 2)
    {
        load_die("%s cannot be read", name);
    }

    (void) fclose(fh);

    cpu->ns = (cpu->user + cpu->system)
              * (LOAD_SECOND / (uint64_t) sysconf(_SC_CLK_TCK));

    load_cpu_threads(cpu);
}


/* "stat" is of all threads, "schedstat" of one: none of a worker's ends */

static void
load_cpu_threads(load_cpu_t *cpu)
{
    DIR                 *dir;
    FILE                *fh;
    char                 name[320];
    uint64_t             sum;
    struct dirent       *de;
    unsigned long long   ns;

    (void) snprintf(name, sizeof(name), "/proc/%d/task", load_pid);

    dir = opendir(name);
    if (dir == NULL) {
        load_die("%s cannot be read", name);
    }

    sum = 0;

    while ((de = readdir(dir)) != NULL) {

        if (de->d_name[0] == '.') {
            continue;
        }

        (void) snprintf(name, sizeof(name), "/proc/%d/task/%s/schedstat",
                        load_pid, de->d_name);

        fh = fopen(name, "r");

        if (fh == NULL || fscanf(fh, "%llu", &ns) != 1) {
            sum = 0;
            break;
        }

        sum += ns;

        (void) fclose(fh);
    }

    (void) closedir(dir);

    if (sum) {
        cpu->ns = sum;
    }
}


static void
load_report(load_cpu_t *from, load_cpu_t *to, uint64_t elapsed)
{
    size_t     n;
    uint32_t  *times;

    n = load_result.answered;
    times = load_result.times;

    qsort(times, n, sizeof(uint32_t), load_compare);

    (void) printf("hits %zu\n", n);
    (void) printf("cpu_ns %llu\n", (unsigned long long) (to->ns - from->ns));
    (void) printf("user_ticks %lu\n", to->user - from->user);
    (void) printf("system_ticks %lu\n", to->system - from->system);
    (void) printf("elapsed_ns %llu\n", (unsigned long long) elapsed);
    (void) printf("p50_ns %u\n", times[n / 2]);
    (void) printf("p99_ns %u\n", times[n - 1 - n / 100]);
    (void) printf("p999_ns %u\n", times[n - 1 - n / 1000]);
    (void) printf("max_ns %u\n", times[n - 1]);
    (void) printf("forwarded %zu\n", load_result.forwarded);
    (void) printf("forwarded_bytes %zu\n", load_result.forwarded_bytes);
    (void) printf("answered_bytes %zu\n", load_result.answered_bytes);
}


static int
load_compare(const void *one, const void *two)
{
    uint32_t  a, b;

    a = *(const uint32_t *) one;
    b = *(const uint32_t *) two;

    return (a > b) - (a < b);
}


uint64_t
load_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * LOAD_SECOND + (uint64_t) ts.tv_nsec;
}


void
load_die(const char *fmt, ...)
{
    va_list  args;

    (void) fflush(stdout);
    (void) fputs("load: ", stderr);

    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);

    (void) fputc('\n', stderr);

    exit(1);
}


void
load_digits(unsigned char *p, int digits, size_t n)
{
    while (digits--) {
        p[digits] = '0' + n % 10;
        n /= 10;
    }
}
