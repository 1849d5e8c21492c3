
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_args.h"


#define X4(x)   x, x, x, x
#define X16(x)  X4(x), X4(x), X4(x), X4(x)

const unsigned char  sgtm_args_hex[256] = {
    X16(0xff), X16(0xff), X16(0xff),
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff, 0xff, X4(0xff),
    0xff, 10, 11, 12, 13, 14, 15, 0xff, X4(0xff), X4(0xff),
    X16(0xff),
    0xff, 10, 11, 12, 13, 14, 15, 0xff, X4(0xff), X4(0xff),
    X16(0xff),
    X16(0xff), X16(0xff), X16(0xff), X16(0xff),
    X16(0xff), X16(0xff), X16(0xff), X16(0xff)
};


/* encodeURIComponent leaves these alone */

#define X5(x)   x, x, x, x, x
#define X26(x)  X5(x), X5(x), X5(x), X5(x), X5(x), x

static const unsigned char  sgtm_args_unreserved[256] = {
    ['0'] = X5(1), X5(1),
    ['A'] = X26(1),
    ['a'] = X26(1),
    ['-'] = 1, ['_'] = 1, ['.'] = 1, ['!'] = 1, ['~'] = 1, ['*'] = 1,
    ['\''] = 1, ['('] = 1, [')'] = 1
};


unsigned
sgtm_args_read(unsigned char **pos, unsigned char *end)
{
    unsigned        c;
    unsigned char  *p;

    p = *pos;

    if (*p != '%' || end - p < 3) {
        *pos = p + 1;
        return *p;
    }

    c = sgtm_args_byte(p + 1);

    if (c > 0xff) {
        *pos = p + 1;
        return *p;
    }

    *pos = p + 3;

    return c;
}


int
sgtm_args_is(const sgtm_str_t *value, const unsigned char *data, size_t len)
{
    size_t          i;
    unsigned char  *p, *end;

    if (value->len < len || value->len / 3 > len) {
        return 0;
    }

    if (len == 0) {
        return value->len == 0;
    }

    p = value->data;
    end = p + value->len;

    for (i = 0; i < len; i++) {

        if (p == end || sgtm_args_read(&p, end) != data[i]) {
            return 0;
        }
    }

    return p == end;
}


size_t
sgtm_args_decode(unsigned char *out, size_t size, const sgtm_str_t *in)
{
    size_t          n;
    unsigned char  *p, *end;

    if (in->len == 0) {
        return 0;
    }

    p = in->data;
    end = p + in->len;

    if (memchr(p, '%', in->len) == NULL) {
        n = (in->len < size) ? in->len : size;
        memcpy(out, p, n);
        return n;
    }

    for (n = 0; n < size && p < end; n++) {
        out[n] = (unsigned char) sgtm_args_read(&p, end);
    }

    return n;
}


size_t
sgtm_args_encode(unsigned char *out, const sgtm_str_t *in)
{
    size_t                      i, n;
    unsigned char               c;
    static const unsigned char  hex[] = "0123456789ABCDEF";

    n = 0;

    for (i = 0; i < in->len; i++) {
        c = in->data[i];

        if (sgtm_args_unreserved[c]) {

            if (out != NULL) {
                out[n] = c;
            }

            n++;
            continue;
        }

        if (out != NULL) {
            out[n] = '%';
            out[n + 1] = hex[c >> 4];
            out[n + 2] = hex[c & 0x0f];
        }

        n += 3;
    }

    return n;
}
