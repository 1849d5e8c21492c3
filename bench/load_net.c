
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The two sides of the load: browsers with one hit at a time on each of their
 * connections, and the tagging server.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"


#define LOAD_BUFFER    (256 * 1024)
#define LOAD_EVENTS    512
#define LOAD_BURST     64              /* connections opened at once */
#define LOAD_SECONDS   120             /* a run that takes longer has failed */


typedef struct load_conn_s  load_conn_t;

struct load_conn_s {
    void           (*handler)(load_conn_t *c);
    int              fd;

    unsigned char   *buf;              /* of a message that is incomplete */
    size_t           got;

    uint64_t         time;             /* sent, or due to be answered */
    load_conn_t     *next;             /* waits longer for its answer */
};


static void load_cycle(int timeout);
static void load_leave_clients(void);
static void load_check(uint64_t start, size_t n);
static void load_connect(size_t n);
static void load_send(load_conn_t *c);
static void load_paced(uint64_t start);
static void load_answered(load_conn_t *c);
static void load_accept(load_conn_t *c);
static void load_requested(load_conn_t *c);
static void load_answer(load_conn_t *c);
static size_t load_message(load_conn_t *c);
static load_conn_t *load_add(int fd, void (*handler)(load_conn_t *c));
static void load_write(int fd, const void *data, size_t len);
static void load_dump(FILE *file, size_t len);
static void load_address(struct sockaddr_in *sin, int port);


static int              load_epoll = -1;
static load_conn_t     *load_listener;

static load_conn_t    **load_clients;
static size_t           load_nclients;
static size_t           load_unsent;   /* of the run */
static size_t           load_next;     /* of the hits */

static load_conn_t     *load_idle;     /* clients that wait for their time */
static size_t           load_nsent;    /* of the run */

static int              load_keeps;    /* nginx may end */

static load_conn_t     *load_held;     /* requests, by the time they are due */
static load_conn_t     *load_held_last;
static size_t           load_nheld;

static load_result_t   *load_result;
static unsigned char    load_scratch[LOAD_BUFFER];


void
load_listen(void)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
    on = 1;

    load_address(&sin, load_conf.upstream_port);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 4096) == -1)
    {
        load_die("port %d: %s", load_conf.upstream_port, strerror(errno));
    }

    load_listener = load_add(fd, load_accept);
}


void
load_leave(void)
{
    (void) close(load_listener->fd);
    free(load_listener);

    (void) close(load_epoll);
    load_epoll = -1;
}


static void
load_leave_clients(void)
{
    while (load_nclients) {
        (void) close(load_clients[--load_nclients]->fd);
        free(load_clients[load_nclients]);
    }

    load_idle = NULL;
}


void
load_run(size_t n, load_result_t *result)
{
    uint32_t  *times;
    uint64_t   start;

    times = result->times;
    memset(result, 0, sizeof(load_result_t));
    result->times = times;

    load_result = result;
    load_unsent = n;
    load_nsent = 0;

    start = load_now();

    while (result->answered < n
           || (load_conf.delivered && result->forwarded < n))
    {
        load_connect(n);

        if (load_conf.rate) {
            load_paced(start);

        } else {
            while (load_idle && load_unsent) {
                load_send(load_idle);
            }
        }

        load_cycle(load_conf.sleeps ? 1 : 0);
        load_check(start, n);
    }
}


void
load_deliver(size_t n, load_result_t *result)
{
    uint64_t  start;

    result->forwarded = 0;
    result->forwarded_bytes = 0;

    load_result = result;

    start = load_now();

    while (result->forwarded < n) {
        load_cycle(0);
        load_check(start, n);
    }
}


static void
load_check(uint64_t start, size_t n)
{
    if (load_now() - start > LOAD_SECONDS * LOAD_SECOND) {
        load_die("%zu of %zu hits answered, %zu forwarded in %d seconds",
                 load_result->answered, n, load_result->forwarded,
                 LOAD_SECONDS);
    }
}


void
load_serve(size_t n)
{
    static load_result_t  result;

    load_result = &result;

    while (result.forwarded < n) {
        load_cycle(1);
    }

    (void) printf("inflight %zu\n", load_nheld);

    while (load_nheld) {
        load_cycle(1);
    }
}


void
load_keep(void)
{
    load_keeps = 1;
    load_wait();
}


void
load_wait(void)
{
    struct pollfd  pfd;

    load_leave_clients();

    pfd.fd = STDIN_FILENO;
    pfd.events = POLLIN;

    do {
        load_cycle(1);
    } while (poll(&pfd, 1, 0) == 0);
}


void
load_rest(void)
{
    uint64_t  until;

    until = load_now() + load_conf.rest;

    while (load_now() < until) {
        load_cycle(1);
    }
}


static void
load_cycle(int timeout)
{
    int                        i, n;
    uint64_t                   now;
    load_conn_t               *c;
    static struct epoll_event  events[LOAD_EVENTS];

    n = epoll_wait(load_epoll, events, LOAD_EVENTS, timeout);

    if (n == -1 && errno != EINTR) {
        load_die("epoll_wait: %s", strerror(errno));
    }

    for (i = 0; i < n; i++) {
        c = events[i].data.ptr;
        c->handler(c);
    }

    if (load_held == NULL) {
        return;
    }

    now = load_now();

    while (load_held && load_held->time <= now) {
        c = load_held;
        load_held = c->next;
        load_nheld--;

        c->time = 0;
        load_answer(c);
    }
}


/* a few at a time: the hits of those that there are go on */

static void
load_connect(size_t n)
{
    int                 fd, i;
    load_conn_t        *c;
    struct sockaddr_in  sin;

    if (load_clients == NULL) {
        load_clients = calloc(load_conf.connections, sizeof(load_conn_t *));
        if (load_clients == NULL) {
            load_die("no memory");
        }
    }

    for (i = 0; i < LOAD_BURST; i++) {

        if (load_nclients == load_conf.connections || load_nclients == n) {
            return;
        }

        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd == -1) {
            load_die("socket: %s", strerror(errno));
        }

        load_address(&sin, load_conf.port);

        if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1) {
            load_die("connect to port %d: %s", load_conf.port,
                     strerror(errno));
        }

        c = load_add(fd, load_answered);
        c->next = load_idle;
        load_idle = c;

        load_clients[load_nclients++] = c;
    }
}


/* by the first client that is idle, if there is one */

static void
load_send(load_conn_t *c)
{
    load_str_t      *hit;
    static size_t    serial;

    load_idle = c->next;

    hit = &load_conf.hits[load_next];

    if (++load_next == load_conf.nhits) {
        load_next = 0;
    }

    load_unsent--;
    load_nsent++;

    serial++;

    if (hit->id != NULL) {
        load_digits(hit->id, LOAD_ID, serial);
    }

    if (hit->host != NULL && load_conf.hosts) {
        load_digits(hit->host, LOAD_HOST,
                    serial * LOAD_STRIDE % load_conf.hosts);
    }

    c->time = load_now();

    load_write(c->fd, hit->data, hit->len);
}


/* a hit that finds no connection is late, and its latency says so */

static void
load_paced(uint64_t start)
{
    uint64_t      due;
    load_conn_t  *c;

    while (load_idle && load_unsent) {

        due = start + load_nsent * LOAD_SECOND / load_conf.rate;

        if (due > load_now()) {
            return;
        }

        c = load_idle;
        load_send(c);
        c->time = due;
    }
}


static void
load_answered(load_conn_t *c)
{
    size_t    len;
    uint64_t  ns;

    len = load_message(c);

    if (len == 0) {
        if (c->fd == -1) {
            load_die("nginx closed a connection");
        }

        return;
    }

    ns = load_now() - c->time;

    load_judge(load_scratch, len);

    load_dump(load_conf.answers, len);

    load_result->times[load_result->answered++] =
        (ns > UINT32_MAX) ? UINT32_MAX : (uint32_t) ns;
    load_result->answered_bytes += len;

    c->next = load_idle;
    load_idle = c;

    if (load_unsent && load_conf.rate == 0) {
        load_send(c);
    }
}


static void
load_accept(load_conn_t *c)
{
    int  fd;

    for ( ;; ) {
        fd = accept(c->fd, NULL, NULL);

        if (fd == -1) {
            break;
        }

        (void) load_add(fd, load_requested);
    }

    if (errno != EAGAIN && errno != ECONNABORTED) {
        load_die("accept: %s", strerror(errno));
    }
}


static void
load_requested(load_conn_t *c)
{
    size_t  len;

    len = load_message(c);

    if (len == 0) {
        if (c->fd == -1 && c->time) {
            load_die("nginx did not wait for an answer");
        }

        if (c->fd == -1) {
            free(c);
        }

        return;
    }

    load_dump(load_conf.requests, len);

    load_result->forwarded++;
    load_result->forwarded_bytes += len;

    if (load_conf.delay == 0) {
        load_answer(c);
        return;
    }

    c->time = load_now() + load_conf.delay;
    c->next = NULL;

    if (load_held) {
        load_held_last->next = c;

    } else {
        load_held = c;
    }

    load_held_last = c;
    load_nheld++;
}


static void
load_answer(load_conn_t *c)
{
    if (load_conf.page) {
        load_write(c->fd, load_conf.page->data, load_conf.page->len);

    } else {
        load_write(c->fd, load_no_content, load_no_content_len);
    }
}


/*
 * The length of a whole request or answer in load_scratch, or 0: there is none
 * yet, or, if c->fd is -1 now, the other side has closed.
 */

static size_t
load_message(load_conn_t *c)
{
    size_t          len;
    ssize_t         n;
    unsigned char  *p;

    if (c->got) {
        memcpy(load_scratch, c->buf, c->got);
    }

    n = recv(c->fd, load_scratch + c->got, LOAD_BUFFER - c->got, MSG_DONTWAIT);

    if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }

    if ((n == -1 || (n == 0 && c->got)) && !load_keeps) {
        load_die("a message was cut");
    }

    if (n <= 0) {
        (void) close(c->fd);
        c->fd = -1;
        return 0;
    }

    len = c->got + (size_t) n;

    if (load_length(load_scratch, len) == len) {
        free(c->buf);
        c->buf = NULL;
        c->got = 0;
        return len;
    }

    p = realloc(c->buf, len);
    if (p == NULL) {
        load_die("no memory");
    }

    memcpy(p, load_scratch, len);

    c->buf = p;
    c->got = len;

    return 0;
}


static load_conn_t *
load_add(int fd, void (*handler)(load_conn_t *c))
{
    int                  on;
    load_conn_t         *c;
    struct epoll_event   ev;

    if (load_epoll == -1) {
        load_epoll = epoll_create1(0);
    }

    c = calloc(1, sizeof(load_conn_t));
    if (c == NULL) {
        load_die("no memory");
    }

    on = 1;

    if (handler != load_accept
        && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
    {
        load_die("setsockopt: %s", strerror(errno));
    }

    c->fd = fd;
    c->handler = handler;

    ev.events = EPOLLIN;
    ev.data.ptr = c;

    if (epoll_ctl(load_epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
        load_die("epoll_ctl: %s", strerror(errno));
    }

    return c;
}


/* a connection has room for a message: only one at a time is under way */

static void
load_write(int fd, const void *data, size_t len)
{
    ssize_t               n;
    struct pollfd         pfd;
    const unsigned char  *p;

    for (p = data; len; p += n, len -= (size_t) n) {

        n = send(fd, p, len, MSG_DONTWAIT);

        if (n >= 0) {
            continue;
        }

        if (load_keeps && errno != EAGAIN) {
            return;
        }

        if (errno != EAGAIN && errno != EINTR) {
            load_die("send: %s", strerror(errno));
        }

        n = 0;
        pfd.fd = fd;
        pfd.events = POLLOUT;

        if (poll(&pfd, 1, 5000) == 0) {
            load_die("send: nobody reads");
        }
    }
}


static void
load_dump(FILE *file, size_t len)
{
    if (file == NULL) {
        return;
    }

    if (fprintf(file, "%zu\n", len) < 0
        || fwrite(load_scratch, 1, len, file) != len)
    {
        load_die("write: %s", strerror(errno));
    }
}


static void
load_address(struct sockaddr_in *sin, int port)
{
    memset(sin, 0, sizeof(struct sockaddr_in));

    sin->sin_family = AF_INET;
    sin->sin_port = htons((uint16_t) port);
    sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}
