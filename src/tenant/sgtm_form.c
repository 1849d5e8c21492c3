
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include <arpa/inet.h>

#include "../hit/sgtm_ga4.h"
#include "../hit/sgtm_route.h"
#include "sgtm_form.h"


/* RFC 1035, 2.3.4; without the length bytes */
#define SGTM_FORM_HOST   253
#define SGTM_FORM_LABEL  63

/* GA4's length of an event's name */
#define SGTM_FORM_EVENT  40


static int sgtm_form_number(const unsigned char **p, const unsigned char *end,
    size_t max, int64_t *n);
static int sgtm_form_begins(sgtm_str_t *text, const char *prefix);
static int sgtm_form_port(const sgtm_str_t *text);
static int sgtm_form_clock(const unsigned char **p, const unsigned char *end,
    int64_t *time);
static int sgtm_form_zone(const unsigned char *p, const unsigned char *end,
    int64_t *seconds);


#define sgtm_form_digit(c)   ((unsigned) (c) - '0' <= 9)
#define sgtm_form_letter(c)  (((unsigned) (c) | 0x20) - 'a' <= 'z' - 'a')


int
sgtm_form_chars(const sgtm_str_t *text, const char *more)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (!sgtm_form_digit(ch) && !sgtm_form_letter(ch)
            && (ch == '\0' || strchr(more, ch) == NULL))
        {
            return 0;
        }
    }

    return 1;
}


int
sgtm_form_text(const sgtm_str_t *text, size_t max)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {

        if (text->data[i] < ' ' || text->data[i] == 0x7f) {
            return 0;
        }

        /* in UTF-8 U+0080 to U+009F, which terminals obey too */

        if (text->data[i] == 0xc2 && i + 1 < text->len
            && text->data[i + 1] < 0xa0)
        {
            return 0;
        }
    }

    return text->len > 0 && text->len <= max;
}


int
sgtm_form_tenant(const sgtm_str_t *text)
{
    return text->len > 0
           && text->len <= SGTM_TENANT_ID_MAX
           && strchr("._-", text->data[0]) == NULL
           && sgtm_form_chars(text, "._-");
}


int
sgtm_form_host(const sgtm_str_t *text)
{
    size_t      i, start, labels;
    sgtm_str_t  host;

    host = *text;

    if (host.len > 2 && host.data[0] == '*' && host.data[1] == '.') {
        host.data += 2;
        host.len -= 2;
    }

    if (host.len == 0 || text->len > SGTM_FORM_HOST
        || !sgtm_form_chars(&host, "-."))
    {
        return 0;
    }

    start = 0;
    labels = 0;

    for (i = 0; i <= host.len; i++) {

        if (i < host.len && host.data[i] != '.') {
            continue;
        }

        if (i == start || i - start > SGTM_FORM_LABEL
            || host.data[start] == '-' || host.data[i - 1] == '-')
        {
            return 0;
        }

        start = i + 1;
        labels++;
    }

    return host.data == text->data || labels > 1;
}


int
sgtm_form_address(const sgtm_str_t *text)
{
    char             v6[INET6_ADDRSTRLEN];
    sgtm_str_t       host, port;
    struct in6_addr  addr;
    unsigned char   *end;

    if (text->len == 0) {
        return 0;
    }

    end = text->data + text->len;
    host = *text;

    if (host.data[0] == '[') {
        port.data = memchr(host.data, ']', host.len);

        if (port.data == NULL) {
            return 0;
        }

        host.data++;
        host.len = (size_t) (port.data - host.data);
        port.data++;

        if (host.len >= sizeof(v6)) {
            return 0;
        }

        memcpy(v6, host.data, host.len);
        v6[host.len] = '\0';

        if (strlen(v6) != host.len || inet_pton(AF_INET6, v6, &addr) != 1) {
            return 0;
        }

    } else {
        port.data = memchr(host.data, ':', host.len);

        if (port.data == NULL) {
            port.data = end;
        }

        host.len = (size_t) (port.data - host.data);

        if (host.len == 0 || host.data[0] == '.' || host.data[0] == '-'
            || !sgtm_form_chars(&host, "-._"))
        {
            return 0;
        }
    }

    port.len = (size_t) (end - port.data);

    return port.len == 0 || sgtm_form_port(&port);
}


/* with its ":" */

static int
sgtm_form_port(const sgtm_str_t *text)
{
    int64_t               n;
    const unsigned char  *p, *end;

    if (text->data[0] != ':') {
        return 0;
    }

    p = text->data + 1;
    end = text->data + text->len;

    return sgtm_form_number(&p, end, 5, &n) && p == end && n > 0 && n < 65536;
}


int
sgtm_form_origin(const sgtm_str_t *text, sgtm_origin_t *origin)
{
    sgtm_str_t  host;

    memset(origin, 0, sizeof(sgtm_origin_t));

    host = *text;

    if (host.len == 4 && sgtm_form_begins(&host, "null")) {
        return 0;
    }

    if (sgtm_form_begins(&host, "https://")
        || sgtm_form_begins(&host, "http://"))
    {
        origin->scheme.data = text->data;
        origin->scheme.len = text->len - host.len - 3;
    }

    if (host.len > 2 && host.data[0] == '*' && host.data[1] == '.') {
        origin->wildcard = 1;
        host.data++;
        host.len--;
    }

    origin->host = host;

    if (origin->wildcard) {
        host.data++;
        host.len--;
    }

    return sgtm_form_address(&host);
}


/* takes off what it begins with, in any case, if it does */

static int
sgtm_form_begins(sgtm_str_t *text, const char *prefix)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; prefix[i]; i++) {

        if (i == text->len) {
            return 0;
        }

        ch = text->data[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != (unsigned char) prefix[i]) {
            return 0;
        }
    }

    text->data += i;
    text->len -= i;

    return 1;
}


int
sgtm_form_container(const sgtm_str_t *text)
{
    return text->len > 4 && memcmp(text->data, "GTM-", 4) == 0
           && sgtm_ga4_tag_id(text);
}


int
sgtm_form_tag_id(const sgtm_str_t *text)
{
    return sgtm_ga4_tag_id(text) && memcmp(text->data, "GTM-", 4) != 0;
}


int
sgtm_form_param(const sgtm_str_t *text)
{
    return text->len > 0 && text->len <= SGTM_MAX_KEY
           && sgtm_form_chars(text, "._-~");
}


int
sgtm_form_name(const sgtm_str_t *text)
{
    return text->len > 0 && text->len <= SGTM_MAX_KEY && text->data[0] != '*';
}


int
sgtm_form_cookie(const sgtm_str_t *text)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (ch <= ' ' || ch > '~' || strchr("\",;=", ch) != NULL) {
            return 0;
        }
    }

    return sgtm_form_name(text);
}


int
sgtm_form_event(const sgtm_str_t *text)
{
    return text->len > 0 && text->len <= SGTM_FORM_EVENT
           && sgtm_form_letter(text->data[0]) && sgtm_form_chars(text, "_");
}


int
sgtm_form_script(const sgtm_str_t *text)
{
    size_t         i;
    unsigned char  ch, last;

    if (text->len == 0 || !sgtm_form_chars(text, "-._/")) {
        return 0;
    }

    /* no empty part, and none that ends in a dot */

    last = '/';

    for (i = 0; i < text->len; i++) {
        ch = text->data[i];

        if (ch == '/' && (last == '/' || last == '.')) {
            return 0;
        }

        last = ch;
    }

    return last != '/' && last != '.'
           && sgtm_route_path(text) == SGTM_ROUTE_PASS;
}


int
sgtm_form_rate(const sgtm_str_t *text, sgtm_rate_t *rate)
{
    int64_t               n;
    const unsigned char  *p, *end;

    memset(rate, 0, sizeof(sgtm_rate_t));

    if (text->len == 3 && memcmp(text->data, "off", 3) == 0) {
        return 1;
    }

    p = text->data;
    end = p + text->len;

    if (!sgtm_form_number(&p, end, 9, &n) || n < 1 || n > SGTM_RATE_MAX
        || end - p != 3)
    {
        return 0;
    }

    rate->hits = (uint32_t) n;
    rate->burst = (uint32_t) n;
    rate->seconds = (memcmp(p, "r/s", 3) == 0) ? 1
                    : (memcmp(p, "r/m", 3) == 0) ? 60 : 0;

    return rate->seconds != 0;
}


/* 1 to max digits */

static int
sgtm_form_number(const unsigned char **p, const unsigned char *end,
    size_t max, int64_t *n)
{
    const unsigned char  *start;

    start = *p;

    for (*n = 0; *p < end && sgtm_form_digit(**p); (*p)++) {

        if ((size_t) (*p - start) == max) {
            return 0;
        }

        *n = *n * 10 + (**p - '0');
    }

    return *p > start;
}


int
sgtm_form_time(const sgtm_str_t *text, int64_t *time)
{
    int64_t               seconds;
    const unsigned char  *p, *end;

    p = text->data;
    end = p + text->len;

    if (!sgtm_form_clock(&p, end, time)) {
        return 0;
    }

    if (p < end && *p == '.') {
        p++;

        if (p == end || !sgtm_form_digit(*p)) {
            return 0;
        }

        while (p < end && sgtm_form_digit(*p)) {
            p++;
        }
    }

    if (!sgtm_form_zone(p, end, &seconds)) {
        return 0;
    }

    *time -= seconds;

    return 1;
}


/* "2026-11-20T10:00:00" */

static int
sgtm_form_clock(const unsigned char **p, const unsigned char *end,
    int64_t *time)
{
    size_t                i;
    int64_t               n[6], last;
    const unsigned char  *start;

    static const char     after[] = "--T::";
    static const int64_t  low[] = { 1970, 1, 1, 0, 0, 0 };
    static const int64_t  high[] = { 9999, 12, 31, 23, 59, 60 };

    for (i = 0; i < 6; i++) {
        start = *p;

        if (!sgtm_form_number(p, end, 4, &n[i])
            || *p - start != (i ? 2 : 4) || n[i] < low[i] || n[i] > high[i])
        {
            return 0;
        }

        if (i == 5) {
            break;
        }

        if (*p == end || (**p != after[i] && (i != 2 || **p != 't'))) {
            return 0;
        }

        (*p)++;
    }

    last = (n[1] == 12) ? 31
           : sgtm_form_days(n[0], n[1] + 1, 1) - sgtm_form_days(n[0], n[1], 1);

    if (n[2] > last) {
        return 0;
    }

    *time = ((sgtm_form_days(n[0], n[1], n[2]) * 24 + n[3]) * 60 + n[4]) * 60
            + n[5];

    return 1;
}


/* "Z" or "+01:00", in seconds */

static int
sgtm_form_zone(const unsigned char *p, const unsigned char *end,
    int64_t *seconds)
{
    int64_t        hours, minutes;
    unsigned char  sign;

    if (end - p == 1 && (*p | 0x20) == 'z') {
        *seconds = 0;
        return 1;
    }

    if (end - p != 6 || (*p != '+' && *p != '-') || p[3] != ':') {
        return 0;
    }

    sign = *p++;

    if (!sgtm_form_number(&p, p + 2, 2, &hours) || *p != ':') {
        return 0;
    }

    p++;

    if (!sgtm_form_number(&p, end, 2, &minutes) || p != end
        || hours > 23 || minutes > 59)
    {
        return 0;
    }

    *seconds = (hours * 60 + minutes) * 60;

    if (sign == '-') {
        *seconds = -*seconds;
    }

    return 1;
}


int64_t
sgtm_form_days(int64_t year, int64_t month, int64_t day)
{
    /* years begin in March, so that leap days come last */

    if (month < 3) {
        month += 12;
        year--;
    }

    return 365 * year + year / 4 - year / 100 + year / 400
           + (153 * (month - 3) + 2) / 5 + day - 1 - 719468;
}


void
sgtm_form_lower(sgtm_str_t *text)
{
    size_t  i;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] >= 'A' && text->data[i] <= 'Z') {
            text->data[i] |= 0x20;
        }
    }
}
