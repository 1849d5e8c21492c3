
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_args.h"
#include "sgtm_stops.h"


/* classes of bytes: keys stop at all but the first, values not at "=" */

#define SGTM_PLAIN  0
#define SGTM_EQ     1          /* = */
#define SGTM_AMP    2          /* & */
#define SGTM_PCT    3          /* % */
#define SGTM_URL    4          /* ? # */
#define SGTM_CTL    5          /* control characters */
#define SGTM_HIGH   6          /* a part of an UTF-8 sequence */


static inline unsigned char *sgtm_args_stop(sgtm_args_t *args);
static void sgtm_args_look(sgtm_args_t *args);
static inline void sgtm_args_seek(sgtm_args_t *args, unsigned char *p);
static unsigned char *sgtm_args_special(sgtm_arg_t *arg, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_args_escape(sgtm_arg_t *arg, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_args_utf8(sgtm_arg_t *arg, unsigned char *p,
    unsigned char *end);
static unsigned sgtm_args_read(unsigned char **pos, unsigned char *end);


#define X4(x)   x, x, x, x
#define X16(x)  X4(x), X4(x), X4(x), X4(x)

static const unsigned char  sgtm_args_class[256] = {

    /* 0x00 */
    X16(SGTM_CTL), X16(SGTM_CTL),

    /*    ! " #   $ % & '   ( ) * +   , - . / */
    0, 0, 0, SGTM_URL, 0, SGTM_PCT, SGTM_AMP, 0, X4(0), X4(0),

    /*  0 1 2 3   4 5 6 7   8 9 : ;   < = > ? */
    X4(0), X4(0), X4(0), 0, SGTM_EQ, 0, SGTM_URL,

    /* 0x40 */
    X16(0), X16(0), X16(0),

    /* 0x70 */
    X4(0), X4(0), X4(0), 0, 0, 0, SGTM_CTL,

    /* 0x80 */
    X16(SGTM_HIGH), X16(SGTM_HIGH), X16(SGTM_HIGH), X16(SGTM_HIGH),
    X16(SGTM_HIGH), X16(SGTM_HIGH), X16(SGTM_HIGH), X16(SGTM_HIGH)
};


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


/* encodeURIComponent leaves these alone, beside letters and digits */

static const unsigned char  sgtm_args_unreserved[] = "-_.!~*'()";


void
sgtm_args_init(sgtm_args_t *args, const sgtm_str_t *in)
{
    args->pos = in->data;
    args->end = in->len ? in->data + in->len : in->data;
    args->block = in->data;
    args->stops = 0;
    args->last = (in->len == 0);

    if (in->len) {
        sgtm_args_look(args);
    }
}


int
sgtm_args_next(sgtm_args_t *args, sgtm_arg_t *arg)
{
    unsigned char  *p, *q, *end;

    if (args->last) {
        return 0;
    }

    end = args->end;

    memset(arg, 0, sizeof(sgtm_arg_t));
    arg->key.data = args->pos;

    for ( ;; ) {
        p = sgtm_args_stop(args);

        if (p == end || *p == '=' || *p == '&') {
            break;
        }

        if (sgtm_args_class[*p] == SGTM_PLAIN) {
            continue;
        }

        q = sgtm_args_special(arg, p, end);

        if (memchr(p, '%', (size_t) (q - p)) != NULL) {
            arg->escaped = 1;
        }

        sgtm_args_seek(args, q);
    }

    arg->key.len = (size_t) (p - arg->key.data);

    if (p == end || *p == '&') {
        arg->bare = 1;
        arg->value.data = p;

    } else {
        arg->value.data = p + 1;

        for ( ;; ) {
            p = sgtm_args_stop(args);

            if (p == end || *p == '&') {
                break;
            }

            if (sgtm_args_class[*p] <= SGTM_EQ) {
                continue;
            }

            sgtm_args_seek(args, sgtm_args_special(arg, p, end));
        }

        arg->value.len = (size_t) (p - arg->value.data);
    }

    if (p == end) {
        args->last = 1;
        args->pos = end;

    } else {
        args->pos = p + 1;
    }

    return 1;
}


/* the next byte to look at, or the end */

static inline unsigned char *
sgtm_args_stop(sgtm_args_t *args)
{
    unsigned char  *p;

    while (args->stops == 0) {

        if (args->end - args->block <= 64) {
            return args->end;
        }

        args->block += 64;
        sgtm_args_look(args);
    }

    p = args->block + sgtm_stops_first(args->stops);
    args->stops &= args->stops - 1;

    return p;
}


/* one function, not three copies: its tests stay out of the walk's way */

static void
sgtm_args_look(sgtm_args_t *args)
{
    args->stops = sgtm_stops(args->block, (size_t) (args->end - args->block));
}


/* what lies before p has been looked at */

static inline void
sgtm_args_seek(sgtm_args_t *args, unsigned char *p)
{
    size_t  n;

    n = (size_t) (p - args->block);

    if (n >= 64) {

        if (p == args->end) {
            args->block = p;
            args->stops = 0;
            return;
        }

        args->block += n & ~(size_t) 63;
        sgtm_args_look(args);
        n &= 63;
    }

    args->stops &= ~(uint64_t) 0 << n;
}


/* reads on past a byte that is more than itself, and what belongs to it */

static unsigned char *
sgtm_args_special(sgtm_arg_t *arg, unsigned char *p, unsigned char *end)
{
    switch (sgtm_args_class[*p]) {

    case SGTM_PCT:
        return sgtm_args_escape(arg, p, end);

    case SGTM_URL:
        arg->nested = 1;
        return p + 1;

    case SGTM_HIGH:
        return sgtm_args_utf8(arg, p, end);

    default: /* SGTM_CTL */

        if (!arg->fault) {
            arg->fault = SGTM_REASON_BAD_BYTE;
        }

        return p + 1;
    }
}


static unsigned char *
sgtm_args_escape(sgtm_arg_t *arg, unsigned char *p, unsigned char *end)
{
    unsigned  c;

    c = (end - p < 3) ? 0x100 : sgtm_args_byte(p + 1);

    if (c > 0xff) {

        if (!arg->fault) {
            arg->fault = SGTM_REASON_BAD_ESCAPE;
        }

        return p + 1;
    }

    if (c >= 0x80) {
        return sgtm_args_utf8(arg, p, end);
    }

    p += 3;

    if (c == '?' || c == '#') {
        arg->nested = 1;
        return p;
    }

    if (c == '\0') {

        if (!arg->fault) {
            arg->fault = SGTM_REASON_BAD_BYTE;
        }

        return p;
    }

    if (c != '%') {
        return p;
    }

    /* encoded again, and again */

    while (end - p >= 2 && p[0] == '2' && p[1] == '5') {
        p += 2;
    }

    if (end - p < 2) {
        return p;
    }

    c = sgtm_args_byte(p);

    if (c == '?' || c == '#') {
        arg->nested = 1;
        p += 2;
    }

    return p;
}


/*
 * One sequence, each of its bytes written plain or as an escape.  Unicode 15,
 * table 3-7: what may follow the first byte.
 */

static unsigned char *
sgtm_args_utf8(sgtm_arg_t *arg, unsigned char *p, unsigned char *end)
{
    unsigned        c, n, low, high;
    unsigned char  *q;

    low = 0x80;
    high = 0xbf;

    c = sgtm_args_read(&p, end);

    if (c >= 0xc2 && c <= 0xdf) {
        n = 1;

    } else if (c >= 0xe0 && c <= 0xef) {
        n = 2;
        low = (c == 0xe0) ? 0xa0 : 0x80;
        high = (c == 0xed) ? 0x9f : 0xbf;

    } else if (c >= 0xf0 && c <= 0xf4) {
        n = 3;
        low = (c == 0xf0) ? 0x90 : 0x80;
        high = (c == 0xf4) ? 0x8f : 0xbf;

    } else {
        goto invalid;
    }

    for ( /* void */ ; n; n--) {

        if (p == end) {
            goto invalid;
        }

        q = p;
        c = sgtm_args_read(&p, end);

        if (c == '%' && p - q == 1) {
            /* a broken escape: the caller meets it next and names it */
            return q;
        }

        if (c < low || c > high) {
            p = q;
            goto invalid;
        }

        low = 0x80;
        high = 0xbf;
    }

    return p;

invalid:

    if (!arg->fault) {
        arg->fault = SGTM_REASON_BAD_UTF8;
    }

    return p;
}


/* a byte, or what a whole escape means */

static unsigned
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


const sgtm_rule_t *
sgtm_args_rule(const sgtm_names_t *names, const sgtm_arg_t *arg)
{
    size_t         len;
    unsigned char  key[SGTM_MAX_KEY + 1];

    if (!arg->escaped) {

        /* most arguments of a hit are in no table: that is seen at once */

        if (arg->key.len == 0) {
            return NULL;
        }

        if (sgtm_names_exact(names, arg->key.data, arg->key.len)) {
            return sgtm_names_find(names, arg->key.data, arg->key.len,
                                   sgtm_names_hash(arg->key.data,
                                                   arg->key.len));
        }

        return sgtm_names_find_prefix(names, arg->key.data, arg->key.len);
    }

    len = sgtm_args_decode(key, sizeof(key), &arg->key);

    if (len > SGTM_MAX_KEY) {
        return sgtm_names_find_prefix(names, key, SGTM_MAX_KEY);
    }

    return sgtm_names_find(names, key, len, sgtm_names_hash(key, len));
}


int
sgtm_args_get(const sgtm_str_t *in, const sgtm_str_t *key, sgtm_str_t *value)
{
    sgtm_arg_t   arg;
    sgtm_args_t  args;

    sgtm_args_init(&args, in);

    while (sgtm_args_next(&args, &arg)) {

        if (sgtm_args_is(&arg.key, key->data, key->len)) {
            *value = arg.value;
            return SGTM_OK;
        }
    }

    return SGTM_DECLINED;
}


int
sgtm_args_line(sgtm_str_t *rest, sgtm_str_t *line, sgtm_str_t *end)
{
    size_t          len;
    unsigned char  *p;

    if (rest->len == 0) {
        return 0;
    }

    p = memchr(rest->data, '\n', rest->len);

    len = (p != NULL) ? (size_t) (p - rest->data) : rest->len;

    line->data = rest->data;
    line->len = len;

    if (p == NULL) {
        end->data = rest->data + len;
        end->len = 0;

        rest->data += len;
        rest->len = 0;

        return 1;
    }

    if (len && p[-1] == '\r') {
        line->len--;
    }

    end->data = line->data + line->len;
    end->len = len + 1 - line->len;

    rest->data += len + 1;
    rest->len -= len + 1;

    return 1;
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

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || (c != '\0'
                && memchr(sgtm_args_unreserved, c,
                          sizeof(sgtm_args_unreserved) - 1)))
        {
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
