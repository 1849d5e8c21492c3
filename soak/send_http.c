
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * HTTP/1.1 and cleartext HTTP/2, as much of them as the sender needs.
 */


#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "send.h"


#define H2_DATA           0
#define H2_HEADERS        1
#define H2_RST_STREAM     3
#define H2_SETTINGS       4
#define H2_PING           6
#define H2_GOAWAY         7
#define H2_WINDOW_UPDATE  8

#define H2_ACK            1
#define H2_END_STREAM     1
#define H2_END_HEADERS    4


static size_t send_format_h1(unsigned char *to, const char *uri,
    const char *body);
static size_t send_format_h2(unsigned char *to, const char *uri,
    const char *body, uint32_t stream, int first, int leave);
static unsigned char *send_frame(unsigned char *p, unsigned type,
    unsigned flags, uint32_t stream, const void *data, size_t len);
static unsigned char *send_literal(unsigned char *p, unsigned name,
    const char *value);
static int send_parse_h1(send_conn_t *c, unsigned *status);
static int send_parse_h2(send_conn_t *c, uint32_t *stream, unsigned *status,
    unsigned char *reply, size_t *len);
static unsigned send_status(const unsigned char *p, size_t len);
static void send_drop(send_conn_t *c, size_t len);


/* every second hit is a batch; clients come back */

size_t
send_format(unsigned char *to, uint32_t id, uint32_t stream, int first,
    int leave)
{
    int   n, post;
    char  uri[512], body[512];

    post = (id % 2) && !(send_conf.h2 && leave == SEND_RST);

    n = snprintf(uri, sizeof(uri),
                 "%sg/collect?v=2&tid=G-ABC1234567&cid=%u.1795000000"
                 "&sid=1795000000&_p=17950%u&dl=https%%3A%%2F%%2F%s%%2Fcart",
                 send_conf.prefix, id % 997, id, send_conf.host);

    if (!post) {
        (void) snprintf(uri + n, sizeof(uri) - (size_t) n,
                        "&en=page_view&ep.event_id=h%u", id);
    }

    (void) snprintf(body, sizeof(body), "en=page_view&ep.event_id=h%u\r\n"
                    "en=scroll&epn.percent=90", id);

    if (send_conf.h2) {
        return send_format_h2(to, uri, post ? body : NULL, stream, first,
                              leave);
    }

    return send_format_h1(to, uri, post ? body : NULL);
}


static size_t
send_format_h1(unsigned char *to, const char *uri, const char *body)
{
    int  n;

    if (body == NULL) {
        n = snprintf((char *) to, SEND_BUFFER,
                     "GET %s HTTP/1.1\r\nHost: %s\r\n"
                     "User-Agent: soak\r\n\r\n", uri, send_conf.host);

    } else {
        n = snprintf((char *) to, SEND_BUFFER,
                     "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: soak\r\n"
                     "Content-Type: text/plain;charset=UTF-8\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     uri, send_conf.host, strlen(body), body);
    }

    return (size_t) n;
}


static size_t
send_format_h2(unsigned char *to, const char *uri, const char *body,
    uint32_t stream, int first, int leave)
{
    char           length[32];
    unsigned char  block[2048], *p, *b;

    static const char           preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const unsigned char  settings[] = { 0, 4, 0x7f, 0xff, 0xff, 0xff };
    static const unsigned char  window[] = { 0x7f, 0xff, 0, 0 };
    static const unsigned char  cancel[] = { 0, 0, 0, 8 };

    p = to;

    if (first) {
        p = mempcpy(p, preface, sizeof(preface) - 1);
        p = send_frame(p, H2_SETTINGS, 0, 0, settings, sizeof(settings));
        p = send_frame(p, H2_WINDOW_UPDATE, 0, 0, window, sizeof(window));
    }

    b = block;

    *b++ = body ? 0x83 : 0x82;                          /* :method */
    *b++ = 0x86;                                        /* :scheme */
    b = send_literal(b, 4, uri);
    b = send_literal(b, 1, send_conf.host);
    b = send_literal(b, 58, "soak");                    /* user-agent */

    if (body) {
        (void) snprintf(length, sizeof(length), "%zu", strlen(body));
        b = send_literal(b, 28, length);                /* content-length */
        b = send_literal(b, 31, "text/plain;charset=UTF-8");
    }

    p = send_frame(p, H2_HEADERS, H2_END_HEADERS | (body ? 0 : H2_END_STREAM),
                   stream, block, (size_t) (b - block));

    if (body) {
        p = send_frame(p, H2_DATA, H2_END_STREAM, stream, body, strlen(body));
    }

    if (leave == SEND_CANCEL) {
        p = send_frame(p, H2_RST_STREAM, 0, stream, cancel, sizeof(cancel));
    }

    return (size_t) (p - to);
}


static unsigned char *
send_frame(unsigned char *p, unsigned type, unsigned flags, uint32_t stream,
    const void *data, size_t len)
{
    *p++ = (unsigned char) (len >> 16);
    *p++ = (unsigned char) (len >> 8);
    *p++ = (unsigned char) len;
    *p++ = (unsigned char) type;
    *p++ = (unsigned char) flags;
    *p++ = (unsigned char) (stream >> 24);
    *p++ = (unsigned char) (stream >> 16);
    *p++ = (unsigned char) (stream >> 8);
    *p++ = (unsigned char) stream;

    return mempcpy(p, data, len);
}


/* RFC 7541: a literal that is not indexed, whose name is; not Huffman coded */

static unsigned char *
send_literal(unsigned char *p, unsigned name, const char *value)
{
    size_t  len;

    if (name < 15) {
        *p++ = (unsigned char) name;

    } else {
        *p++ = 15;
        *p++ = (unsigned char) (name - 15);
    }

    len = strlen(value);

    if (len < 127) {
        *p++ = (unsigned char) len;

    } else {
        *p++ = 127;
        len -= 127;

        for ( /* void */ ; len >= 128; len >>= 7) {
            *p++ = (unsigned char) (0x80 | (len & 0x7f));
        }

        *p++ = (unsigned char) len;
    }

    return mempcpy(p, value, strlen(value));
}


int
send_parse(send_conn_t *c, uint32_t *stream, unsigned *status,
    unsigned char *reply, size_t *len)
{
    *len = 0;
    *status = 0;

    if (send_conf.h2) {
        return send_parse_h2(c, stream, status, reply, len);
    }

    *stream = 1;

    return send_parse_h1(c, status);
}


static int
send_parse_h1(send_conn_t *c, unsigned *status)
{
    size_t          head, body;
    unsigned char  *end, *field;

    end = memmem(c->buf, c->got, "\r\n\r\n", 4);

    if (end == NULL) {
        return (c->got == SEND_BUFFER) ? -1 : 0;
    }

    if (memcmp(c->buf, "HTTP/1.1 ", 9) != 0) {
        return -1;
    }

    head = (size_t) (end - c->buf) + 4;
    body = 0;

    field = memmem(c->buf, head, "\r\nContent-Length: ", 18);

    if (field) {
        body = strtoul((char *) field + 18, NULL, 10);
    }

    if (head + body > c->got) {
        return (head + body > SEND_BUFFER) ? -1 : 0;
    }

    *status = (unsigned) strtoul((char *) c->buf + 9, NULL, 10);

    if (memmem(c->buf, head, "\r\nConnection: close\r\n", 21)) {
        c->draining = 1;
    }

    send_drop(c, head + body);

    return 1;
}


static int
send_parse_h2(send_conn_t *c, uint32_t *stream, unsigned *status,
    unsigned char *reply, size_t *reply_len)
{
    size_t          len;
    unsigned        type, flags;
    unsigned char  *p;

    if (c->got < 9) {
        return 0;
    }

    p = c->buf;
    len = (size_t) p[0] << 16 | (size_t) p[1] << 8 | p[2];
    type = p[3];
    flags = p[4];
    *stream = (uint32_t) (p[5] & 0x7f) << 24 | (uint32_t) p[6] << 16
              | (uint32_t) p[7] << 8 | p[8];

    if (9 + len > SEND_BUFFER) {
        return -1;
    }

    if (9 + len > c->got) {
        return 0;
    }

    p += 9;

    if (type == H2_HEADERS) {
        *status = send_status(p, len);

    } else if (type == H2_RST_STREAM) {
        *status = 1;

    } else if (type == H2_GOAWAY) {
        c->draining = 1;

    } else if ((type == H2_SETTINGS || type == H2_PING) && !(flags & H2_ACK)) {
        *reply_len = (size_t) (send_frame(reply, type, H2_ACK, 0, p,
                                          type == H2_PING ? len : 0)
                               - reply);
    }

    send_drop(c, 9 + len);

    return 1;
}


/* the first field of a header that nginx has made; 1 if it is not understood */

static unsigned
send_status(const unsigned char *p, size_t len)
{
    unsigned  n;

    static const unsigned  known[] = { 200, 204, 206, 304, 400, 404, 500 };

    /* an update of the table's size may come first */

    while (len && (*p & 0xe0) == 0x20) {
        n = *p++ & 0x1f;
        len--;

        if (n == 0x1f) {
            while (len && (*p & 0x80)) {
                p++;
                len--;
            }

            if (len) {
                p++;
                len--;
            }
        }
    }

    if (len && *p >= 0x88 && *p <= 0x8e) {
        return known[*p - 0x88];
    }

    if (len >= 5 && (*p & 0x0f) == 8 && p[1] == 3) {
        return (unsigned) ((p[2] - '0') * 100 + (p[3] - '0') * 10 + p[4]
                           - '0');
    }

    if (len >= 4 && (*p & 0x0f) == 8 && p[1] == 0x82) {
        return 503;                    /* Huffman coded: a failure for sure */
    }

    return 1;
}


static void
send_drop(send_conn_t *c, size_t len)
{
    memmove(c->buf, c->buf + len, c->got - len);
    c->got -= len;
}
