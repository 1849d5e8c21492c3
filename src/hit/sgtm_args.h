
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Walks the arguments of a query, or of one line of a batch's body, without
 * copying or decoding them.
 */


#ifndef _SGTM_ARGS_H_INCLUDED_
#define _SGTM_ARGS_H_INCLUDED_


#include "sgtm_hit.h"
#include "sgtm_names.h"
#include "sgtm_stops.h"


/* how much of the input is looked at together, a multiple of 64 */
#define SGTM_ARGS_CHUNK   1024
#define SGTM_ARGS_BLOCKS  (SGTM_ARGS_CHUNK / 64)


/* bytes of one kind that are still to be taken, from first to last */

typedef struct {
    const uint64_t  *next;             /* bits of the 64 bytes behind them */
    unsigned char   *data;
    uint64_t         bits;
} sgtm_args_stops_t;


/*
 * Where the delimiters are is found for a whole chunk, before any of its
 * arguments is taken: so the walk waits for no byte.
 */

typedef struct {
    unsigned char  *pos;               /* the next argument, or line */
    unsigned char  *end;               /* of all that may be read */

    sgtm_str_t      line;              /* of a body; data is NULL in a query */
    unsigned        lines;             /* a "\n" is an end */
    unsigned        last;              /* no argument is left, in this line */

    unsigned char  *chunk;
    unsigned char  *chunk_end;         /* NULL: there is none yet */
    unsigned char  *odd;               /* the first byte from pos on that may
                                          be more than itself */

    sgtm_args_stops_t  stops;          /* delimiters that are left */
    sgtm_args_stops_t  odds;           /* what comes after odd */

    /*
     * bits for every 64 bytes, and for 64 behind the last, of which each is
     * one: "=", "&" and ends of lines; bytes that may be more than themselves
     */

    uint64_t        delims[SGTM_ARGS_BLOCKS + 1];
    uint64_t        others[SGTM_ARGS_BLOCKS + 1];
} sgtm_args_t;


typedef struct {
    sgtm_str_t      key;               /* as it is written, may be empty */
    sgtm_str_t      value;             /* as it is written, may be empty */
    uint64_t        word;              /* sgtm_names_word() of the key */
    uint8_t         fault;             /* sgtm_reason_e: BAD_ESCAPE, BAD_BYTE,
                                          BAD_UTF8 or NONE */
    uint8_t         bare;              /* there is no "=" */
    uint8_t         escaped;           /* the key holds a "%" */
    uint8_t         nested;            /* it holds a "?" or "#", plain or
                                          encoded however often, so that it may
                                          be an URL with arguments; the key
                                          too, as in "?https://h/?a=1" */
} sgtm_arg_t;


/* the value of a hexadecimal digit, over 0x0f for any other byte */
extern const unsigned char  sgtm_args_hex[256];

/* the value of two of them, over 0xff where one is none */
#define sgtm_args_byte(p)                                                     \
    ((sgtm_args_hex[(p)[0]] | sgtm_args_hex[(p)[1]]) > 0x0f                   \
     ? 0x100u                                                                 \
     : (unsigned) sgtm_args_hex[(p)[0]] << 4 | sgtm_args_hex[(p)[1]])


/* an argument that a rewriter may have to look at, and its rule */

typedef struct {
    sgtm_arg_t      arg;
    sgtm_rule_t     rule;              /* empty: it is nested alone */
    unsigned char  *line;              /* of a body; NULL: the query */
} sgtm_mark_t;


#define SGTM_MAX_MARKS  64


void sgtm_args_init(sgtm_args_t *args, const sgtm_str_t *in);

/*
 * The same for the lines of a body, whose delimiters are found together: its
 * arguments are those of the line that sgtm_args_begin() went on to.
 */
void sgtm_args_init_lines(sgtm_args_t *args, const sgtm_str_t *body);

/*
 * Goes on to the next line that is not empty, when all arguments of the one
 * before have been taken; 0: there is none.  args->line is where it begins, and
 * all of it, without its end ("\r\n" or "\n"), once its last argument has been
 * taken.
 */
int sgtm_args_begin(sgtm_args_t *args);

/*
 * The end of the next argument, which there must be, and its "=" or NULL;
 * sgtm_args_next() has the rest of it.
 */
unsigned char *sgtm_args_end(sgtm_args_t *args, unsigned char **eq);

/*
 * What those bytes of an argument make of it that may be more than themselves:
 * its fault, and these bits.
 */

#define SGTM_ARGS_ESCAPED  0x100
#define SGTM_ARGS_NESTED   0x200

unsigned sgtm_args_inspect(sgtm_args_t *args, const unsigned char *key,
    size_t len, unsigned char *end);


/* takes the next; from the chunk's end on, each of 64 bytes is one */

static inline unsigned char *
sgtm_args_stop(sgtm_args_stops_t *stops)
{
    unsigned char  *p;

    while (stops->bits == 0) {
        stops->bits = *stops->next++;
        stops->data += 64;
    }

    p = stops->data + sgtm_stops_first(stops->bits);
    stops->bits &= stops->bits - 1;

    return p;
}


/* a line's last argument has been taken, whose delimiter is at p: its end */

static inline unsigned char *
sgtm_args_line_end(sgtm_args_t *args, unsigned char *p)
{
    args->pos = p + 1;
    args->last = 1;

    if (p > args->line.data && p[-1] == '\r') {
        p--;
    }

    args->line.len = (size_t) (p - args->line.data);

    return p;
}


/* as sgtm_args_next_known(), or, where skip is 0, sgtm_args_next() */

static sgtm_inline int
sgtm_args_walk(sgtm_args_t *args, sgtm_arg_t *arg, const sgtm_names_t *names,
    unsigned *n, int skip)
{
    unsigned            odd;
    unsigned char      *p, *eq, *key, *first;
    sgtm_args_stops_t   stops;

    if (args->last) {
        return 0;
    }

    key = args->pos;
    stops = args->stops;

    /* most arguments have one "=" and are not the last */

    for ( ;; ) {

        eq = sgtm_args_stop(&stops);
        p = sgtm_args_stop(&stops);

        if (p >= args->chunk_end || *eq != '=' || *p != '&') {
            break;
        }

        args->stops = stops;

        if (!skip || args->odd < p
            || sgtm_names_known(names, key, (size_t) (eq - key)))
        {
            args->pos = p + 1;
            goto found;
        }

        key = p + 1;
        (*n)++;
    }

    if (p < args->chunk_end && *eq == '=' && *p == '\n') {

        args->stops = stops;
        p = sgtm_args_line_end(args, p);

        if (skip && args->odd >= p
            && !sgtm_names_known(names, key, (size_t) (eq - key)))
        {
            (*n)++;
            return 0;
        }

    } else {
        args->pos = key;
        p = sgtm_args_end(args, &first);
        eq = first;
    }

found:

    arg->key.data = key;
    arg->key.len = (size_t) ((eq ? eq : p) - key);

    arg->value.data = eq ? eq + 1 : p;
    arg->value.len = (size_t) (p - arg->value.data);

    arg->word = sgtm_names_word(key, arg->key.len < 8 ? arg->key.len : 8,
                                (size_t) (args->end - key));

    odd = (args->odd < p) ? sgtm_args_inspect(args, key, arg->key.len, p) : 0;

    arg->fault = (uint8_t) odd;
    arg->bare = (eq == NULL);
    arg->escaped = (odd & SGTM_ARGS_ESCAPED) ? 1 : 0;
    arg->nested = (odd & SGTM_ARGS_NESTED) ? 1 : 0;

    return 1;
}


/*
 * As sgtm_args_next(), but passes over arguments whose key is unknown to a
 * table and that have no byte that may be more than itself; their number is
 * added to n, also when there is no other behind them.
 */

static sgtm_inline int
sgtm_args_next_known(sgtm_args_t *args, sgtm_arg_t *arg,
    const sgtm_names_t *names, unsigned *n)
{
    return sgtm_args_walk(args, arg, names, n, 1);
}


/*
 * The next argument; 0 when there is none.  Every byte of the input belongs to
 * an argument or is one "&" between two: "a&&b" has three arguments, the
 * second with an empty key; an empty input has none; "a&" has two.
 * The pointers in arg are into the input.
 */

int sgtm_args_next(sgtm_args_t *args, sgtm_arg_t *arg);


/* the rule for a key that is percent-decoded once, or NULL */
const sgtm_rule_t *sgtm_args_rule_decoded(const sgtm_names_t *names,
    sgtm_str_t key);


/*
 * The rule for an argument's key, percent-decoded once if need be, or NULL.
 */

static inline const sgtm_rule_t *
sgtm_args_rule(const sgtm_names_t *names, const sgtm_arg_t *arg)
{
    if (arg->escaped) {
        return sgtm_args_rule_decoded(names, arg->key);
    }

    if (arg->key.len == 0) {
        return NULL;
    }

    return sgtm_names_look(names, arg->key.data, arg->key.len, arg->word);
}


/*
 * The value of the first argument of this (decoded) key, as it is written.
 * SGTM_DECLINED: there is none.
 */
int sgtm_args_get(const sgtm_str_t *in, const sgtm_str_t *key,
    sgtm_str_t *value);

/*
 * The next line of a body, without its end ("\r\n" or "\n"): 0 when there is
 * none.  end is what ended it (may be empty).  rest is moved on.  A body's
 * trailing end of line starts no other line.
 */
int sgtm_args_line(sgtm_str_t *rest, sgtm_str_t *line, sgtm_str_t *end);

/* the byte at *pos, or what a whole escape there means; *pos is moved on */
unsigned sgtm_args_read(unsigned char **pos, unsigned char *end);

/* whether a value, percent-decoded once, is these bytes */
int sgtm_args_is(const sgtm_str_t *value, const unsigned char *data,
    size_t len);

/*
 * Percent-decodes once; "+" stays.  Writes at most size bytes to out and
 * returns how many; a truncated escape is copied as it is.
 */
size_t sgtm_args_decode(unsigned char *out, size_t size, const sgtm_str_t *in);

/*
 * Percent-encodes as JavaScript's encodeURIComponent does (ECMA-262, 19.2.6.4)
 * and returns the number of bytes; with out NULL only counts them.
 */
size_t sgtm_args_encode(unsigned char *out, const sgtm_str_t *in);


#endif /* _SGTM_ARGS_H_INCLUDED_ */
