
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The browsers of the proofs: send hits, each with an id of its own, at a given
 * rate, whatever happens to nginx, and write down which were answered 2xx.
 * (The benchmark's load, in contrast, sends as fast as it can and ends where
 * anything goes wrong.)
 *
 *     send -p port -o ledger -n hits [-f first] [-r rate] [-c connections]
 *          [-l percent] [-w seconds] [-2 yes] [-u prefix] [-H host] [-P parent]
 *
 * -f   the first id             -l   of the hits, whose client leaves at once:
 * -w   to wait for answers           by FIN, RST and RST_STREAM in turn
 * -2   HTTP/2, in clear
 *
 * No hit is sent twice.  The ledger (soak.h) is mapped, an entry for each hit.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "send.h"


#define SEND_EVENTS    256
#define SEND_KEEP      100             /* hits on a connection */
#define SEND_SPREAD    4               /* HTTP/2 connections at least */
#define SEND_BURST     200             /* hits at once */


static void send_options(int argc, char **argv);
static int send_one(uint32_t id);
static int send_leave(uint32_t id);
static send_conn_t *send_open(int leave);
static void send_add(send_conn_t *c, uint32_t id);
static void send_connected(send_conn_t *c);
static void send_hit(send_conn_t *c, send_hit_t *hit, int first);
static void send_read(send_conn_t *c);
static void send_answered(send_conn_t *c, uint32_t stream, unsigned status);
static void send_close(send_conn_t *c, int reset);


send_conf_t           send_conf = { "shop.example", "/metrics/", 0 };

static int            send_port;
static int            send_share;      /* of those who leave, percent */
static uint32_t       send_first;
static uint32_t       send_n;
static uint64_t       send_rate = 1000;
static uint64_t       send_wait = 40;
static size_t         send_max = 512;

static send_head_t   *send_head;
static send_entry_t  *send_entries;

static int            send_epoll;
static uint64_t       send_start;
static size_t         send_nconns;
static send_conn_t    send_conns = { .prev = &send_conns,
                                     .next = &send_conns };


int
main(int argc, char **argv)
{
    int                        i, n;
    uint32_t                   id, due, burst;
    uint64_t                   now, end;
    send_conn_t               *c;
    static struct epoll_event  events[SEND_EVENTS];

    (void) signal(SIGPIPE, SIG_IGN);

    send_epoll = epoll_create1(EPOLL_CLOEXEC);
    send_options(argc, argv);

    send_start = soak_now();
    end = 0;
    id = 0;

    for ( ;; ) {
        now = soak_now();
        due = send_n;

        if ((now - send_start) * send_rate / 1000000 < send_n) {
            due = (uint32_t) ((now - send_start) * send_rate / 1000000);
        }

        for (burst = 0; id < due && burst < SEND_BURST; burst++) {

            if (!send_one(id)) {
                break;
            }

            id++;
        }

        n = epoll_wait(send_epoll, events, SEND_EVENTS, 1);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c->connected) {
                send_read(c);

            } else {
                send_connected(c);
            }
        }

        if (id < send_n) {
            continue;
        }

        if (end == 0) {
            end = now + send_wait * 1000000;
        }

        for (c = send_conns.next; c != &send_conns; c = c->next) {
            if (c->busy) {
                break;
            }
        }

        if (c == &send_conns || now > end) {
            break;
        }
    }

    send_head->done = 1;

    return 0;
}


static void
send_options(int argc, char **argv)
{
    int             opt;
    char           *name;
    struct timeval  tv;

    name = NULL;

    while ((opt = getopt(argc, argv, "p:o:n:f:r:c:l:w:2:u:H:P:")) != -1) {

        switch (opt) {

        case 'p':
            send_port = atoi(optarg);
            break;

        case 'o':
            name = optarg;
            break;

        case 'n':
            send_n = (uint32_t) strtoul(optarg, NULL, 10);
            break;

        case 'f':
            send_first = (uint32_t) strtoul(optarg, NULL, 10);
            break;

        case 'r':
            send_rate = strtoul(optarg, NULL, 10);
            break;

        case 'c':
            send_max = strtoul(optarg, NULL, 10);
            break;

        case 'l':
            send_share = atoi(optarg);
            break;

        case 'w':
            send_wait = strtoul(optarg, NULL, 10);
            break;

        case '2':
            send_conf.h2 = 1;
            break;

        case 'u':
            send_conf.prefix = optarg;
            break;

        case 'H':
            send_conf.host = optarg;
            break;

        case 'P':
            soak_parent(atoi(optarg));
            break;

        default:
            exit(2);
        }
    }

    if (send_port == 0 || name == NULL || send_n == 0 || send_rate == 0) {
        soak_die("send: -p, -o and -n are needed");
    }

    send_head = soak_map(name, sizeof(send_head_t)
                               + send_n * sizeof(send_entry_t));
    send_entries = (send_entry_t *) (send_head + 1);

    (void) gettimeofday(&tv, NULL);
    send_head->start = (uint64_t) tv.tv_sec * 1000
                       + (uint64_t) tv.tv_usec / 1000;

    soak_files();
}


/* 0: no connection is free */

static int
send_one(uint32_t id)
{
    int           leave;
    size_t        open;
    unsigned      most;
    send_conn_t  *c;

    leave = send_leave(id);

    if (leave == SEND_FIN || leave == SEND_RST) {
        c = send_open(leave);

        if (c) {
            send_add(c, id);
        }

        return 1;
    }

    most = send_conf.h2 ? SEND_STREAMS : 1;
    open = 0;

    for (c = send_conns.next; c != &send_conns; c = c->next) {

        if (c->leave || c->draining || c->used >= SEND_KEEP) {
            continue;
        }

        open++;

        if (c->busy < most && c->connected
            && (!send_conf.h2 || open >= SEND_SPREAD))
        {
            break;
        }
    }

    if (c == &send_conns) {

        if (send_nconns >= send_max) {
            return 0;
        }

        c = send_open(SEND_STAY);
    }

    if (c) {
        send_add(c, id);
    }

    return 1;
}


static int
send_leave(uint32_t id)
{
    uint32_t  n;

    n = id * 2654435761u >> 16;

    if ((int) (n % 100) >= send_share) {
        return SEND_STAY;
    }

    n = n / 100 % (send_conf.h2 ? 3 : 2);

    return SEND_FIN + (int) n;
}


static send_conn_t *
send_open(int leave)
{
    int                 fd;
    send_conn_t        *c;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    fd = soak_socket(send_port, &sin);

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        && errno != EINPROGRESS)
    {
        (void) close(fd);
        return NULL;
    }

    c = calloc(1, sizeof(send_conn_t));

    if (c == NULL || (c->buf = malloc(SEND_BUFFER)) == NULL) {
        soak_die("send: no memory");
    }

    c->fd = fd;
    c->leave = leave;

    c->next = send_conns.next;
    c->prev = &send_conns;
    c->next->prev = c;
    send_conns.next = c;
    send_nconns++;

    ev.events = EPOLLOUT;
    ev.data.ptr = c;

    (void) epoll_ctl(send_epoll, EPOLL_CTL_ADD, fd, &ev);

    return c;
}


static void
send_add(send_conn_t *c, uint32_t id)
{
    send_hit_t  *hit;

    for (hit = c->hits; hit->stream; hit++) { /* void */ }

    hit->id = id;
    hit->stream = send_conf.h2 ? c->used * 2 + 1 : 1;
    hit->since = soak_now();

    c->used++;
    c->busy++;

    if (c->connected) {
        send_hit(c, hit, 0);
    }
}


/* one hit is waiting for it */

static void
send_connected(send_conn_t *c)
{
    int                 error;
    socklen_t           len;
    send_hit_t         *hit;
    struct epoll_event  ev;

    len = sizeof(error);
    hit = c->hits;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1 || error) {
        send_entries[hit->id].state = SEND_FAILED;
        send_close(c, 0);
        return;
    }

    c->connected = 1;

    ev.events = EPOLLIN;
    ev.data.ptr = c;

    (void) epoll_ctl(send_epoll, EPOLL_CTL_MOD, c->fd, &ev);

    send_hit(c, hit, 1);
}


static void
send_hit(send_conn_t *c, send_hit_t *hit, int first)
{
    int                   leave;
    size_t                len;
    ssize_t               n;
    send_entry_t         *entry;
    static unsigned char  text[SEND_BUFFER];

    leave = c->leave ? c->leave : send_leave(hit->id);
    entry = &send_entries[hit->id];

    len = send_format(text, send_first + hit->id, hit->stream, first, leave);

    entry->state = SEND_SENT;
    send_head->sent++;

    n = send(c->fd, text, len, MSG_NOSIGNAL);

    if (n != (ssize_t) len) {

        /* the end is seen by send_read(), with what was answered before */

        c->draining = 1;
        return;
    }

    if (leave == SEND_STAY) {
        return;
    }

    entry->state = SEND_LEFT;
    send_head->left++;

    if (leave == SEND_CANCEL) {
        hit->stream = 0;
        c->busy--;
        return;
    }

    send_close(c, leave == SEND_RST);
}


static void
send_read(send_conn_t *c)
{
    int            rc;
    size_t         len;
    ssize_t        n;
    uint32_t       stream;
    unsigned       status;
    unsigned char  reply[SEND_BUFFER + 16];

    n = recv(c->fd, c->buf + c->got, SEND_BUFFER - c->got, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        send_close(c, 0);
        return;
    }

    c->got += (size_t) n;

    for ( ;; ) {
        rc = send_parse(c, &stream, &status, reply, &len);

        if (rc == 0) {
            break;
        }

        if (rc == -1) {
            send_close(c, 0);
            return;
        }

        if (len) {
            (void) send(c->fd, reply, len, MSG_NOSIGNAL);
        }

        if (status) {
            send_answered(c, stream, status);
        }
    }

    if (c->busy == 0 && (c->draining || c->used >= SEND_KEEP)) {
        send_close(c, 0);
    }
}


static void
send_answered(send_conn_t *c, uint32_t stream, unsigned status)
{
    size_t         i;
    uint64_t       now;
    send_hit_t    *hit;
    send_entry_t  *entry;

    for (i = 0; i < SEND_STREAMS; i++) {
        if (c->hits[i].stream == stream) {
            break;
        }
    }

    if (i == SEND_STREAMS) {
        return;
    }

    hit = &c->hits[i];
    hit->stream = 0;
    c->busy--;

    if (status < 100) {
        return;
    }

    now = soak_now();
    entry = &send_entries[hit->id];

    entry->status = (uint16_t) status;
    entry->time = (uint32_t) ((now - send_start) / 1000);
    entry->state = SEND_ANSWERED;

    send_head->answered++;

    if (status < 200 || status > 299) {
        return;
    }

    send_head->kept++;

    if (now - hit->since > send_head->slowest) {
        send_head->slowest = now - hit->since;
    }
}


static void
send_close(send_conn_t *c, int reset)
{
    soak_close(c->fd, reset);

    c->prev->next = c->next;
    c->next->prev = c->prev;
    send_nconns--;

    free(c->buf);
    free(c);
}
