
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The messages of the load: what is answered, and where one ends.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


static size_t load_chunked(unsigned char *p, size_t len, size_t head);


const char  load_no_content[] =
    "HTTP/1.1 204 No Content\r\n"
    "Cache-Control: no-cache, no-store, must-revalidate\r\n"
    "Pragma: no-cache\r\n"
    "Expires: Fri, 01 Jan 1990 00:00:00 GMT\r\n"
    "Access-Control-Allow-Origin: https://shop.example\r\n"
    "Access-Control-Allow-Credentials: true\r\n"
    "Cross-Origin-Resource-Policy: cross-origin\r\n"
    "Set-Cookie: FPID=FPID2.2.ZGlmZmVyZW50IHZpc2l0b3IgaWQgb25l%2BX0Y9%2Fq4%3D"
    ".1795000000; Max-Age=63072000; Domain=shop.example; Path=/; Secure; "
    "HttpOnly; SameSite=Lax\r\n"
    "Date: Fri, 20 Nov 2026 10:00:00 GMT\r\n"
    "Server: Google Tag Manager\r\n"
    "X-XSS-Protection: 0\r\n"
    "\r\n";

const size_t  load_no_content_len = sizeof(load_no_content) - 1;


void
load_read_page(const char *name)
{
    FILE         *file;
    size_t        n;

    static char        text[128 * 1024];
    static load_str_t  page;

    file = fopen(name, "r");
    if (file == NULL) {
        load_die("%s: %s", name, strerror(errno));
    }

    n = fread(text + 256, 1, sizeof(text) - 256, file);
    (void) fclose(file);

    if (n == 0 || n == sizeof(text) - 256) {
        load_die("%s: empty or too large", name);
    }

    page.len = (size_t) snprintf(text, 256,
                                 "HTTP/1.1 200 OK\r\n"
                                 "Content-Type: text/html; charset=utf-8\r\n"
                                 "Cache-Control: no-cache\r\n"
                                 "Content-Length: %zu\r\n\r\n", n);

    memmove(text + page.len, text + 256, n);

    page.data = (unsigned char *) text;
    page.len += n;

    load_conf.page = &page;
}


void
load_judge(const unsigned char *p, size_t len)
{
    const char  *due;

    due = load_conf.page ? "HTTP/1.1 200 " : "HTTP/1.1 204 ";

    if (len < 13 || memcmp(p, due, 13) != 0) {
        load_die("the answer is not the one that is due: %.*s", (int) len, p);
    }
}


size_t
load_length(unsigned char *p, size_t len)
{
    size_t          head, body;
    unsigned char  *end, *field;

    end = memmem(p, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }

    head = (size_t) (end - p) + 4;
    body = 0;

    field = memmem(p, head, "\r\nContent-Length: ", 18);
    if (field != NULL) {
        body = strtoul((char *) field + 18, NULL, 10);

    } else if (memmem(p, head, "\r\nTransfer-Encoding: chunked", 28)) {
        body = load_chunked(p, len, head);

        if (body == 0) {
            return 0;
        }
    }

    if (head + body < len) {
        load_die("more than one message on a connection");
    }

    return head + body;
}


/* 0: the last chunk is not here yet */

static size_t
load_chunked(unsigned char *p, size_t len, size_t head)
{
    size_t          i, n;
    unsigned char  *end;

    for (i = head; i < len; i += n + 2) {

        end = memmem(p + i, len - i, "\r\n", 2);
        if (end == NULL) {
            return 0;
        }

        n = strtoul((char *) p + i, NULL, 16);
        i = (size_t) (end - p) + 2;

        if (n == 0) {
            return (i + 2 <= len) ? i + 2 - head : 0;
        }
    }

    return 0;
}
