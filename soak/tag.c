
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The tagging server of the proofs: writes down which hits have arrived, and
 * how often, and fails as it is told to.
 *
 *     tag -p port -n ids -o records [-P parent]
 *
 * A hit is told by "event_id=h<number>"; the records (soak.h) are mapped, and
 * the test sets their "mode".  It ends when its parent has.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soak.h"


#define TAG_BUFFER  (64 * 1024)
#define TAG_EVENTS  256
#define TAG_CYCLE   5                  /* ms */
#define TAG_WAIT    10000000           /* us: of TAG_SLOW */


typedef struct tag_conn_s  tag_conn_t;

struct tag_conn_s {
    int              fd;
    size_t           got;
    unsigned char   *buf;
    uint64_t         due;              /* of a request that waits; 0: none */
    tag_conn_t      *prev;
    tag_conn_t      *next;
};


static void tag_options(int argc, char **argv);
static void tag_mode(void);
static void tag_listen(void);
static void tag_accept(void);
static void tag_read(tag_conn_t *c);
static size_t tag_length(tag_conn_t *c);
static void tag_request(tag_conn_t *c);
static void tag_note(tag_conn_t *c, int arrived);
static int tag_is_whole(tag_conn_t *c, size_t id);
static void tag_due(void);
static void tag_answer(tag_conn_t *c, const char *text);
static void tag_close(tag_conn_t *c, int reset);


static int           tag_port;
static size_t        tag_n;
static tag_head_t   *tag_head;
static tag_entry_t  *tag_entries;

static int           tag_epoll;
static int           tag_listener = -1;
static tag_conn_t    tag_conns = { .prev = &tag_conns, .next = &tag_conns };


static const char  tag_204[] =
    "HTTP/1.1 204 No Content\r\n"
    "Cache-Control: no-store\r\n"
    "\r\n";

static const char  tag_503[] =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Content-Length: 0\r\n"
    "\r\n";

static const char  tag_cut[] = "HTTP/1.1 204 No Content\r\nCache-";


int
main(int argc, char **argv)
{
    int                        i, n;
    tag_conn_t                *c;
    static struct epoll_event  events[TAG_EVENTS];

    (void) signal(SIGPIPE, SIG_IGN);

    tag_epoll = epoll_create1(EPOLL_CLOEXEC);
    tag_options(argc, argv);

    for ( ;; ) {
        tag_mode();

        n = epoll_wait(tag_epoll, events, TAG_EVENTS, TAG_CYCLE);

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (c == NULL) {
                tag_accept();

            } else {
                tag_read(c);
            }
        }

        tag_due();
    }
}


static void
tag_options(int argc, char **argv)
{
    int    opt;
    char  *name;

    name = NULL;

    while ((opt = getopt(argc, argv, "p:n:o:P:")) != -1) {

        switch (opt) {

        case 'p':
            tag_port = atoi(optarg);
            break;

        case 'n':
            tag_n = strtoul(optarg, NULL, 10);
            break;

        case 'o':
            name = optarg;
            break;

        case 'P':
            soak_parent(atoi(optarg));
            break;

        default:
            exit(2);
        }
    }

    if (tag_port == 0 || tag_n == 0 || name == NULL) {
        soak_die("tag: -p, -n and -o are needed");
    }

    tag_head = soak_map(name, sizeof(tag_head_t)
                              + tag_n * sizeof(tag_entry_t));
    tag_entries = (tag_entry_t *) (tag_head + 1);
    tag_head->now = TAG_DOWN;

    soak_files();
}


static void
tag_mode(void)
{
    uint32_t  mode;

    mode = *(volatile uint32_t *) &tag_head->mode;

    if (mode == tag_head->now && (mode == TAG_DOWN) == (tag_listener == -1)) {
        return;
    }

    if (mode == TAG_DOWN) {
        (void) close(tag_listener);
        tag_listener = -1;

        while (tag_conns.next != &tag_conns) {
            tag_close(tag_conns.next, 1);
        }

    } else if (tag_listener == -1) {
        tag_listen();
    }

    *(volatile uint32_t *) &tag_head->now = mode;
}


static void
tag_listen(void)
{
    int                 fd;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    fd = soak_socket(tag_port, &sin);

    if (bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, 4096) == -1)
    {
        soak_die("tag: port %d: %s", tag_port, strerror(errno));
    }

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;

    (void) epoll_ctl(tag_epoll, EPOLL_CTL_ADD, fd, &ev);

    tag_listener = fd;
}


static void
tag_accept(void)
{
    int                 fd;
    tag_conn_t         *c;
    struct epoll_event  ev;

    while (tag_listener != -1) {

        fd = accept4(tag_listener, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);

        if (fd == -1) {
            return;
        }

        c = calloc(1, sizeof(tag_conn_t));

        if (c == NULL || (c->buf = malloc(TAG_BUFFER)) == NULL) {
            soak_die("tag: no memory");
        }

        c->fd = fd;
        c->next = tag_conns.next;
        c->prev = &tag_conns;
        c->next->prev = c;
        tag_conns.next = c;

        ev.events = EPOLLIN;
        ev.data.ptr = c;

        (void) epoll_ctl(tag_epoll, EPOLL_CTL_ADD, fd, &ev);
    }
}


static void
tag_read(tag_conn_t *c)
{
    size_t   len;
    ssize_t  n;

    n = recv(c->fd, c->buf + c->got, TAG_BUFFER - c->got, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    /* nginx does not wait any longer: what is not answered did not arrive */

    if (n <= 0) {
        if (c->due) {
            tag_note(c, 0);
        }

        tag_close(c, 0);
        return;
    }

    c->got += (size_t) n;
    len = tag_length(c);

    if (len == 0) {
        return;
    }

    if (len < c->got || c->due) {
        soak_die("tag: more than one request at a time");
    }

    tag_request(c);
}


/* of the whole request, or 0 */

static size_t
tag_length(tag_conn_t *c)
{
    size_t          head, body;
    unsigned char  *end, *field;

    end = memmem(c->buf, c->got, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    head = (size_t) (end - c->buf) + 4;
    body = 0;

    field = memmem(c->buf, head, "\r\nContent-Length: ", 18);

    if (field) {
        body = strtoul((char *) field + 18, NULL, 10);
    }

    if (head + body >= TAG_BUFFER) {
        soak_die("tag: a request of %zu bytes", head + body);
    }

    return (head + body <= c->got) ? head + body : 0;
}


static void
tag_request(tag_conn_t *c)
{
    switch (tag_head->now) {

    case TAG_UP:
        tag_note(c, 1);
        tag_answer(c, tag_204);
        return;

    case TAG_SLOW:
        c->due = soak_now() + TAG_WAIT;
        return;

    case TAG_HANG:
        c->due = UINT64_MAX;
        return;

    case TAG_503:
        tag_note(c, 0);
        tag_answer(c, tag_503);
        return;

    case TAG_CUT:
        tag_note(c, 0);
        (void) send(c->fd, tag_cut, sizeof(tag_cut) - 1, MSG_NOSIGNAL);
        tag_close(c, 0);
        return;

    default: /* TAG_RESET, TAG_DOWN */
        tag_note(c, 0);
        tag_close(c, 1);
    }
}


static void
tag_note(tag_conn_t *c, int arrived)
{
    size_t          id;
    unsigned        n;
    unsigned char  *p, *end;

    p = c->buf;
    end = c->buf + c->got;

    for (n = 0; p < end; n++) {

        p = memmem(p, (size_t) (end - p), "event_id=h", 10);

        if (p == NULL) {
            break;
        }

        p += 10;

        for (id = 0; p < end && *p >= '0' && *p <= '9'; p++) {
            id = id * 10 + (size_t) (*p - '0');
        }

        if (id >= tag_n) {
            tag_head->unknown++;
            continue;
        }

        if (!arrived) {
            tag_entries[id].refused++;
            tag_head->refused++;
            continue;
        }

        if (!tag_is_whole(c, id)) {
            tag_head->broken++;
            continue;
        }

        if (tag_entries[id].arrived++ == 0) {
            tag_entries[id].seq = (uint32_t) ++tag_head->seq;
        }

        tag_head->arrived++;
    }

    if (n == 0) {
        tag_head->unknown++;
    }
}


/* the hit as the sender made it, but for what the gateway adds */

static int
tag_is_whole(tag_conn_t *c, size_t id)
{
    int             n, post;
    char            want[128], line[1024];
    size_t          len;
    unsigned char  *end;

    end = memmem(c->buf, c->got, "\r\n", 2);
    len = (size_t) (end - c->buf);

    if (len >= sizeof(line)) {
        return 0;
    }

    memcpy(line, c->buf, len);
    line[len] = '\0';

    post = (strncmp(line, "POST ", 5) == 0);

    n = snprintf(want, sizeof(want),
                 "/g/collect?v=2&tid=G-ABC1234567&cid=%zu.1795000000&",
                 id % 997);

    if (strncmp(line + (post ? 5 : 4), want, (size_t) n) != 0
        || strstr(line, "%2Fcart") == NULL)
    {
        return 0;
    }

    if (!post) {
        return strstr(line, "&en=page_view&ep.event_id=h") != NULL;
    }

    return id % 2 == 1
           && memmem(c->buf, c->got, "\r\nen=scroll&epn.percent=90", 26);
}


static void
tag_due(void)
{
    uint64_t     now;
    tag_conn_t  *c, *next;

    now = soak_now();

    for (c = tag_conns.next; c != &tag_conns; c = next) {
        next = c->next;

        if (c->due && c->due <= now) {
            c->due = 0;
            tag_note(c, 1);
            tag_answer(c, tag_204);
        }
    }
}


static void
tag_answer(tag_conn_t *c, const char *text)
{
    c->got = 0;

    if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) == -1) {
        tag_close(c, 0);
    }
}


static void
tag_close(tag_conn_t *c, int reset)
{
    soak_close(c->fd, reset);

    c->prev->next = c->next;
    c->next->prev = c->prev;

    free(c->buf);
    free(c);
}
