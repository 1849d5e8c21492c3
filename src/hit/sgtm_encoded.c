
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Hits whose whole query is one base64 value.
 */


#include <string.h>

#include "sgtm_ga4.h"


#define SGTM_ENCODED_MIN  40


static int sgtm_encoded_base64(sgtm_str_t *text);
static int sgtm_encoded_is_query(sgtm_str_t *text);


int
sgtm_ga4_encoded(const sgtm_str_t *query, unsigned char *out,
    sgtm_str_t *decoded)
{
    size_t          i;
    sgtm_str_t      value, text;
    unsigned char  *p;

    if (query->len < SGTM_ENCODED_MIN
        || memchr(query->data, '&', query->len) != NULL)
    {
        return SGTM_DECLINED;
    }

    /* bare, where "=" is padding; else behind the first "=" */

    value = *query;

    for (i = 0; i < 2; i++) {

        text.data = out;
        text.len = sgtm_args_decode(out, value.len, &value);

        if (sgtm_encoded_base64(&text) == SGTM_OK
            && sgtm_encoded_is_query(&text) == SGTM_OK)
        {
            *decoded = text;
            return SGTM_OK;
        }

        p = memchr(value.data, '=', value.len);

        if (p == NULL) {
            return SGTM_DECLINED;
        }

        p++;
        value.len -= (size_t) (p - value.data);
        value.data = p;
    }

    return SGTM_DECLINED;
}


/* decodes in place */

static int
sgtm_encoded_base64(sgtm_str_t *text)
{
    size_t          i, len;
    uint32_t        bits;
    unsigned        c, n;
    unsigned char  *p;

    len = text->len;

    for (i = 0; i < 2 && len && text->data[len - 1] == '='; i++) {
        len--;
    }

    if (len < SGTM_ENCODED_MIN || len % 4 == 1) {
        return SGTM_DECLINED;
    }

    n = 0;
    bits = 0;
    p = text->data;

    for (i = 0; i < len; i++) {
        c = text->data[i];

        if (c >= 'A' && c <= 'Z') {
            c = c - 'A';

        } else if (c >= 'a' && c <= 'z') {
            c = c - 'a' + 26;

        } else if (c >= '0' && c <= '9') {
            c = c - '0' + 52;

        } else if (c == '+' || c == '-') {
            c = 62;

        } else if (c == '/' || c == '_') {
            c = 63;

        } else {
            return SGTM_DECLINED;
        }

        bits = bits << 6 | c;
        n += 6;

        if (n >= 8) {
            n -= 8;
            *p++ = (unsigned char) (bits >> n);
        }
    }

    text->len = (size_t) (p - text->data);

    return SGTM_OK;
}


/* a query with "v=2", a path before it and a line's end left out */

static int
sgtm_encoded_is_query(sgtm_str_t *text)
{
    unsigned        version;
    sgtm_arg_t      arg;
    sgtm_args_t     args;
    unsigned char  *p;

    while (text->len && (text->data[text->len - 1] == '\n'
                         || text->data[text->len - 1] == '\r'))
    {
        text->len--;
    }

    /* a whole URL is no query of this gateway's */

    if (text->len && (text->data[0] == '/' || text->data[0] == '?')) {

        p = memchr(text->data, '?', text->len);

        if (p != NULL) {
            text->len -= (size_t) (p + 1 - text->data);
            text->data = p + 1;
        }
    }

    version = 0;

    sgtm_args_init(&args, text);

    while (sgtm_args_next(&args, &arg)) {

        if (arg.fault) {
            return SGTM_DECLINED;
        }

        if (sgtm_args_is(&arg.key, (unsigned char *) "v", 1)
            && sgtm_args_is(&arg.value, (unsigned char *) "2", 1))
        {
            version = 1;
        }
    }

    return version ? SGTM_OK : SGTM_DECLINED;
}
