
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_args.h"
#include "sgtm_stops.h"


/* classes of bytes */

#define SGTM_PLAIN  0
#define SGTM_EQ     1          /* = */
#define SGTM_AMP    2          /* & */
#define SGTM_PCT    3          /* % */
#define SGTM_URL    4          /* ? # */
#define SGTM_CTL    5          /* control characters */
#define SGTM_HIGH   6          /* a part of an UTF-8 sequence */


static unsigned char *sgtm_args_seek(sgtm_args_t *args, unsigned char **eq);
static void sgtm_args_fill(sgtm_args_t *args);
static inline size_t sgtm_args_add(sgtm_args_t *args, size_t n, size_t offset,
    const sgtm_stops_t *low, const sgtm_stops_t *high);
static void sgtm_args_look(const sgtm_args_t *args, const unsigned char *p,
    sgtm_stops_t *stops);
static void sgtm_args_look_back(const sgtm_args_t *args,
    const unsigned char *p, sgtm_stops_t *stops);
static unsigned char *sgtm_args_long(sgtm_args_t *args, unsigned char **eq);
static inline unsigned sgtm_args_other(const sgtm_args_t *args, size_t pos);
static unsigned char *sgtm_args_special(sgtm_arg_t *arg, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_args_escape(sgtm_arg_t *arg, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_args_utf8(sgtm_arg_t *arg, unsigned char *p,
    unsigned char *end);


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
    sgtm_args_init_within(args, in, in);
}


void
sgtm_args_init_within(sgtm_args_t *args, const sgtm_str_t *in,
    const sgtm_str_t *whole)
{
    args->pos = in->data;
    args->end = in->len ? in->data + in->len : in->data;
    args->limit = whole->len ? whole->data + whole->len : args->end;

    args->chunk = in->data;
    args->chunk_end = NULL;

    args->next = 0;
    args->nstops = 0;
    args->other = SGTM_ARGS_NONE;
    args->last = (in->len == 0);
}


unsigned char *
sgtm_args_end(sgtm_args_t *args, unsigned char **eq)
{
    unsigned char  *p;

    if (args->last) {
        return NULL;
    }

    p = sgtm_args_seek(args, eq);

    if (p == NULL) {
        sgtm_args_fill(args);

        p = sgtm_args_seek(args, eq);

        if (p == NULL) {
            p = sgtm_args_long(args, eq);
        }
    }

    args->last = (p == args->end);
    args->pos = args->last ? p : p + 1;

    return p;
}


/* as sgtm_args_end(); NULL: the argument does not end within the chunk */

static unsigned char *
sgtm_args_seek(sgtm_args_t *args, unsigned char **eq)
{
    unsigned        i;
    unsigned char  *p;

    *eq = NULL;

    for (i = args->next; i < args->nstops; /* void */ ) {

        p = args->chunk + args->stops[i++];

        if (*p == '&') {
            args->next = i;
            return p;
        }

        if (*eq == NULL) {
            *eq = p;
        }
    }

    if (args->chunk_end != args->end) {
        return NULL;
    }

    args->next = i;

    return args->end;
}


/* a chunk that begins with the next argument */

static void
sgtm_args_fill(sgtm_args_t *args)
{
    size_t          i, n, len;
    sgtm_stops_t    low, high;
    unsigned char  *p;

    n = 0;
    p = args->pos;

    len = (size_t) (args->end - p);

    if (len > SGTM_ARGS_CHUNK) {
        len = SGTM_ARGS_CHUNK;
    }

    for (i = 0; len - i >= 64; i += 64) {
        sgtm_stops32(&low, p + i);
        sgtm_stops32(&high, p + i + SGTM_STOPS);

        n = sgtm_args_add(args, n, i, &low, &high);
    }

    if (i < len) {
        sgtm_args_look(args, p + i, &low);

        memset(&high, 0, sizeof(sgtm_stops_t));

        if (len - i > SGTM_STOPS) {
            sgtm_args_look(args, p + i + SGTM_STOPS, &high);
        }

        n = sgtm_args_add(args, n, i, &low, &high);
    }

    args->chunk = p;
    args->chunk_end = p + len;
    args->next = 0;
    args->nstops = (unsigned) n;
    args->other = sgtm_args_other(args, 0);
}


/*
 * Adds the stops of 64 bytes at an offset to the n that there are and returns
 * how many that makes.  Eight are written whether they are there or not, so
 * that no branch depends on their number.
 */

static inline size_t
sgtm_args_add(sgtm_args_t *args, size_t n, size_t offset,
    const sgtm_stops_t *low, const sgtm_stops_t *high)
{
    uint64_t   bits;
    uint16_t  *stop;

    args->others[offset / 64] = low->other | (uint64_t) high->other << 32;

    bits = low->delim | (uint64_t) high->delim << 32;
    stop = &args->stops[n];
    n += sgtm_stops_number(bits);

    do {
        stop[0] = (uint16_t) (offset + sgtm_stops_take(&bits));
        stop[1] = (uint16_t) (offset + sgtm_stops_take(&bits));
        stop[2] = (uint16_t) (offset + sgtm_stops_take(&bits));
        stop[3] = (uint16_t) (offset + sgtm_stops_take(&bits));
        stop[4] = (uint16_t) (offset + sgtm_stops_take(&bits));
        stop[5] = (uint16_t) (offset + sgtm_stops_take(&bits));
        stop[6] = (uint16_t) (offset + sgtm_stops_take(&bits));
        stop[7] = (uint16_t) (offset + sgtm_stops_take(&bits));

        stop += 8;

    } while (bits);

    return n;
}


/* the stops in the next SGTM_STOPS bytes, none of them behind the end */

static void
sgtm_args_look(const sgtm_args_t *args, const unsigned char *p,
    sgtm_stops_t *stops)
{
    size_t    n;
    uint32_t  within;

    if (args->limit - p >= SGTM_STOPS) {
        sgtm_stops32(stops, p);

    } else {
        sgtm_args_look_back(args, p, stops);
    }

    n = (size_t) (args->end - p);

    if (n < SGTM_STOPS) {
        within = ((uint32_t) 1 << n) - 1;

        stops->delim &= within;
        stops->other &= within;
    }
}


/* so close to the end of all that as many may not be read */

static void
sgtm_args_look_back(const sgtm_args_t *args, const unsigned char *p,
    sgtm_stops_t *stops)
{
    unsigned char  buf[SGTM_STOPS];

    memset(buf, 0, sizeof(buf));
    memcpy(buf, p, (size_t) (args->end - p));

    sgtm_stops32(stops, buf);
}


/*
 * The end of an argument that is longer than a chunk, which is to be inspected
 * from its first byte on.
 */

static unsigned char *
sgtm_args_long(sgtm_args_t *args, unsigned char **eq)
{
    size_t          len;
    unsigned char  *p;

    len = (size_t) (args->end - args->pos);

    p = memchr(args->pos, '&', len);

    if (p != NULL) {
        len = (size_t) (p - args->pos);
    }

    *eq = memchr(args->pos, '=', len);

    args->next = args->nstops;
    args->other = 0;

    return args->pos + len;
}


/* the offset of the first byte from pos on that may be more than itself */

static inline unsigned
sgtm_args_other(const sgtm_args_t *args, size_t pos)
{
    size_t    i, len;
    uint64_t  others, within;

    len = (size_t) (args->chunk_end - args->chunk);
    within = ~(uint64_t) 0 << (pos & 63);

    for (i = pos / 64; i * 64 < len; i++) {

        others = args->others[i] & within;

        if (others) {
            return (unsigned) (i * 64 + sgtm_stops_first(others));
        }

        within = ~(uint64_t) 0;
    }

    return SGTM_ARGS_NONE;
}


void
sgtm_args_inspect(sgtm_args_t *args, sgtm_arg_t *arg)
{
    size_t          n;
    unsigned char  *p, *end;

    end = arg->value.data + arg->value.len;
    n = (size_t) (end - args->chunk);

    if (args->other < (size_t) (arg->key.data + arg->key.len - args->chunk)
        && memchr(arg->key.data, '%', arg->key.len) != NULL)
    {
        arg->escaped = 1;
    }

    p = args->chunk;

    while (args->other < n) {
        p = sgtm_args_special(arg, args->chunk + args->other, end);
        args->other = sgtm_args_other(args, (size_t) (p - args->chunk));
    }

    /* of a long one, what is behind the chunk */

    if (p < args->chunk_end) {
        p = args->chunk_end;
    }

    while (p < end) {
        p = sgtm_args_special(arg, p, end);
    }
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

    case SGTM_CTL:

        if (!arg->fault) {
            arg->fault = SGTM_REASON_BAD_BYTE;
        }

        return p + 1;

    default:

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


const sgtm_rule_t *
sgtm_args_rule_decoded(const sgtm_names_t *names, const sgtm_arg_t *arg)
{
    size_t         len;
    unsigned char  key[SGTM_MAX_KEY + 1];

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
