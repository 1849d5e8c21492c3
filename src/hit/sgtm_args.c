
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_args.h"


/* classes of bytes */

#define SGTM_PLAIN  0
#define SGTM_EQ     1          /* = */
#define SGTM_AMP    2          /* & */
#define SGTM_PCT    3          /* % */
#define SGTM_URL    4          /* ? # */
#define SGTM_CTL    5          /* control characters */
#define SGTM_HIGH   6          /* a part of an UTF-8 sequence */


static sgtm_noinline unsigned char *sgtm_args_empty(sgtm_args_t *args,
    unsigned char *p);
static unsigned char *sgtm_args_seek(sgtm_args_t *args, unsigned char **eq);
static sgtm_noinline void sgtm_args_fill(sgtm_args_t *args);
static unsigned char *sgtm_args_long(sgtm_args_t *args, unsigned char **eq);
static unsigned char *sgtm_args_special(unsigned *bits, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_args_escape(unsigned *bits, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_args_utf8(unsigned *bits, unsigned char *p,
    unsigned char *end);


/* whether an escape of this byte means no more than itself */
#define sgtm_args_plain(c)                                                    \
    ((c) - 1 < 0x7e && (c) != '%' && (c) != '?' && (c) != '#')


/* the first fault is the one that is told of */
#define sgtm_args_fault(bits, reason)                                         \
    *(bits) |= (*(bits) & 0xff) ? 0 : (reason)


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


void
sgtm_args_init(sgtm_args_t *args, const sgtm_str_t *in)
{
    args->pos = in->data;
    args->end = in->len ? in->data + in->len : in->data;

    args->line.len = 0;
    args->line.data = NULL;

    args->lines = 0;
    args->last = (in->len == 0);

    args->chunk = in->data;
    args->chunk_end = NULL;

    args->odd = args->end;

    args->stops.next = args->delims;
    args->stops.data = in->data;
    args->stops.bits = ~(uint64_t) 0;
    args->odds = args->stops;
}


void
sgtm_args_init_lines(sgtm_args_t *args, const sgtm_str_t *body)
{
    sgtm_args_init(args, body);

    args->lines = 1;
    args->last = 1;
}


int
sgtm_args_begin(sgtm_args_t *args)
{
    unsigned char      *p, *odd;
    sgtm_args_stops_t   odds;

    p = args->pos;

    if (p < args->end && *p <= '\r') {
        p = sgtm_args_empty(args, p);
    }

    if (p == args->end) {
        return 0;
    }

    args->pos = p;
    args->line.data = p;
    args->last = 0;

    /* the end of the line before was a control character */

    odd = args->odd;
    odds = args->odds;

    while (odd < p && odd < args->chunk_end) {
        odd = sgtm_args_stop(&odds);
    }

    args->odd = odd;
    args->odds = odds;

    return 1;
}


/* past lines that are empty, whose ends are delimiters, too */

static unsigned char *
sgtm_args_empty(sgtm_args_t *args, unsigned char *p)
{
    unsigned char  *end, *eq;

    while (p < args->end) {

        end = p;

        if (*p == '\r' && args->end - p > 1) {
            end++;
        }

        if (*end != '\n') {
            break;
        }

        (void) sgtm_args_seek(args, &eq);
        p = end + 1;
    }

    return p;
}


unsigned char *
sgtm_args_end(sgtm_args_t *args, unsigned char **eq)
{
    unsigned char  *p;

    p = sgtm_args_seek(args, eq);

    if (p == NULL) {
        sgtm_args_fill(args);

        p = sgtm_args_seek(args, eq);

        if (p == NULL) {
            p = sgtm_args_long(args, eq);
        }
    }

    if (p == args->end) {
        args->pos = p;
        args->last = 1;
        args->line.len = (size_t) (p - args->line.data);

        return p;
    }

    if (*p == '\n') {
        return sgtm_args_line_end(args, p);
    }

    args->pos = p + 1;

    return p;
}


/* as sgtm_args_end(); NULL: the argument does not end within the chunk */

static unsigned char *
sgtm_args_seek(sgtm_args_t *args, unsigned char **eq)
{
    unsigned char      *p, *first;
    sgtm_args_stops_t   stops;

    first = NULL;
    stops = args->stops;

    do {
        p = sgtm_args_stop(&stops);

        if (p >= args->chunk_end) {
            *eq = first;
            return (args->chunk_end == args->end) ? args->end : NULL;
        }

        if (*p == '=' && first == NULL) {
            first = p;
        }

    } while (*p == '=');

    args->stops = stops;
    *eq = first;

    return p;
}


/* a chunk that begins with the next argument */

static void
sgtm_args_fill(sgtm_args_t *args)
{
    size_t          n, len;
    unsigned char  *p;

    p = args->pos;
    len = (size_t) (args->end - p);

    if (len > SGTM_ARGS_CHUNK) {
        len = SGTM_ARGS_CHUNK;
    }

    n = sgtm_stops_args(args->delims, args->others, p, len, args->lines);

    args->delims[n] = ~(uint64_t) 0;
    args->others[n] = ~(uint64_t) 0;

    args->chunk = p;
    args->chunk_end = p + len;

    args->stops.next = &args->delims[1];
    args->stops.data = p;
    args->stops.bits = args->delims[0];

    args->odds.next = &args->others[1];
    args->odds.data = p;
    args->odds.bits = args->others[0];

    args->odd = sgtm_args_stop(&args->odds);
}


/* the end of an argument that is longer than a chunk */

static unsigned char *
sgtm_args_long(sgtm_args_t *args, unsigned char **eq)
{
    size_t          len;
    unsigned char  *p, *end, *line;

    p = args->pos;

    /* in steps, since a line may end before the next "&" */

    do {
        len = (size_t) (args->end - p);

        if (len > SGTM_ARGS_CHUNK) {
            len = SGTM_ARGS_CHUNK;
        }

        end = memchr(p, '&', len);

        if (end != NULL) {
            len = (size_t) (end - p);
        }

        line = args->lines ? memchr(p, '\n', len) : NULL;

        if (line != NULL) {
            end = line;
        }

        p += len;

    } while (end == NULL && p < args->end);

    if (end == NULL) {
        end = args->end;
    }

    *eq = memchr(args->pos, '=', (size_t) (end - args->pos));

    return end;
}


int
sgtm_args_next(sgtm_args_t *args, sgtm_arg_t *arg)
{
    return sgtm_args_walk(args, arg, NULL, NULL, 0);
}


unsigned
sgtm_args_inspect(sgtm_args_t *args, const unsigned char *key, size_t len,
    unsigned char *end)
{
    unsigned            c, bits;
    unsigned char      *p, *odd;
    sgtm_args_stops_t   odds;

    bits = 0;
    odd = args->odd;
    odds = args->odds;

    if (odd < key + len && memchr(key, '%', len) != NULL) {
        bits = SGTM_ARGS_ESCAPED;
    }

    while (odd < end) {

        c = (*odd == '%' && end - odd >= 3) ? sgtm_args_byte(odd + 1) : 0x100;

        p = sgtm_args_plain(c) ? odd + 3 : sgtm_args_special(&bits, odd, end);

        if (p >= args->chunk_end) {
            odd = p;
            break;
        }

        do {
            odd = sgtm_args_stop(&odds);
        } while (odd < p);
    }

    /* of a long one, what is behind the chunk */

    while (odd < end) {
        odd = sgtm_args_special(&bits, odd, end);
    }

    args->odd = odd;
    args->odds = odds;

    return bits;
}


/* reads on past a byte that is more than itself, and what belongs to it */

static unsigned char *
sgtm_args_special(unsigned *bits, unsigned char *p, unsigned char *end)
{
    switch (sgtm_args_class[*p]) {

    case SGTM_PCT:
        return sgtm_args_escape(bits, p, end);

    case SGTM_URL:
        *bits |= SGTM_ARGS_NESTED;
        return p + 1;

    case SGTM_HIGH:
        return sgtm_args_utf8(bits, p, end);

    case SGTM_CTL:

        sgtm_args_fault(bits, SGTM_REASON_BAD_BYTE);

        return p + 1;

    default:

        return p + 1;
    }
}


static unsigned char *
sgtm_args_escape(unsigned *bits, unsigned char *p, unsigned char *end)
{
    unsigned  c;

    c = (end - p < 3) ? 0x100 : sgtm_args_byte(p + 1);

    if (c > 0xff) {

        sgtm_args_fault(bits, SGTM_REASON_BAD_ESCAPE);

        return p + 1;
    }

    if (c >= 0x80) {
        return sgtm_args_utf8(bits, p, end);
    }

    p += 3;

    if (c == '?' || c == '#') {
        *bits |= SGTM_ARGS_NESTED;
        return p;
    }

    if (c == '\0') {

        sgtm_args_fault(bits, SGTM_REASON_BAD_BYTE);

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
        *bits |= SGTM_ARGS_NESTED;
        p += 2;
    }

    return p;
}


/*
 * One sequence, each of its bytes written plain or as an escape.  Unicode 15,
 * table 3-7: what may follow the first byte.
 */

static unsigned char *
sgtm_args_utf8(unsigned *bits, unsigned char *p, unsigned char *end)
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

    sgtm_args_fault(bits, SGTM_REASON_BAD_UTF8);

    return p;
}


const sgtm_rule_t *
sgtm_args_rule_decoded(const sgtm_names_t *names, sgtm_str_t written)
{
    size_t         len;
    unsigned char  key[SGTM_MAX_KEY + 1];

    len = sgtm_args_decode(key, sizeof(key), &written);

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
