
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


/* how much of the input is looked at together, a multiple of 64 */
#define SGTM_ARGS_CHUNK  512


/*
 * Where the delimiters are is found for a whole chunk, before any of its
 * arguments is taken: so the walk waits for no byte.
 */

typedef struct {
    unsigned char  *pos;
    unsigned char  *end;
    unsigned char  *limit;             /* the end of what may be read */

    unsigned char  *chunk;
    unsigned char  *chunk_end;         /* NULL: there is none yet */

    unsigned        next;              /* in stops */
    unsigned        nstops;
    unsigned        other;             /* the next bit of others, or
                                          SGTM_ARGS_NONE */
    unsigned        last;              /* no argument is left */

    /* bits: the chunk's bytes that may be more than themselves */
    uint64_t        others[SGTM_ARGS_CHUNK / 64];

    /* offsets of every "=" and "&" in the chunk, and room to write more */
    uint16_t        stops[SGTM_ARGS_CHUNK + 8];
} sgtm_args_t;


#define SGTM_ARGS_NONE  0xffffffff


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
    unsigned        line;              /* 0: the query; of a body, from 1 */
} sgtm_mark_t;


#define SGTM_MAX_MARKS  64


void sgtm_args_init(sgtm_args_t *args, const sgtm_str_t *in);

/*
 * The same for a part of more that may be read, such as a line of a body: that
 * is faster, since an argument's end is looked for in many bytes at once.
 */
void sgtm_args_init_within(sgtm_args_t *args, const sgtm_str_t *in,
    const sgtm_str_t *whole);

/*
 * The end of the next argument, and its "=" or NULL; NULL: there is none.
 * sgtm_args_next() has the rest of it.
 */
unsigned char *sgtm_args_end(sgtm_args_t *args, unsigned char **eq);

/* sets what those bytes make of an argument that may be more than themselves */
void sgtm_args_inspect(sgtm_args_t *args, sgtm_arg_t *arg);


/*
 * The next argument; 0 when there is none.  Every byte of the input belongs to
 * an argument or is one "&" between two: "a&&b" has three arguments, the
 * second with an empty key; an empty input has none; "a&" has two.
 * The pointers in arg are into the input.
 */

static inline int
sgtm_args_next(sgtm_args_t *args, sgtm_arg_t *arg)
{
    unsigned        i;
    unsigned char  *p, *eq, *key;

    key = args->pos;
    i = args->next;

    /* most arguments have one "=" and are not the last */

    if (i + 1 < args->nstops
        && args->chunk[args->stops[i]] == '='
        && args->chunk[args->stops[i + 1]] == '&')
    {
        eq = args->chunk + args->stops[i];
        p = args->chunk + args->stops[i + 1];

        args->next = i + 2;
        args->pos = p + 1;

    } else {
        p = sgtm_args_end(args, &eq);

        if (p == NULL) {
            return 0;
        }
    }

    arg->key.data = key;
    arg->key.len = (size_t) ((eq ? eq : p) - key);

    arg->value.data = eq ? eq + 1 : p;
    arg->value.len = (size_t) (p - arg->value.data);

    arg->word = sgtm_names_word(key, arg->key.len < 8 ? arg->key.len : 8,
                                (size_t) (args->limit - key));

    arg->fault = SGTM_REASON_NONE;
    arg->bare = (eq == NULL);
    arg->escaped = 0;
    arg->nested = 0;

    if (args->other < (size_t) (p - args->chunk)) {
        sgtm_args_inspect(args, arg);
    }

    return 1;
}


/* the rule for an argument whose key is percent-decoded once, or NULL */
const sgtm_rule_t *sgtm_args_rule_decoded(const sgtm_names_t *names,
    const sgtm_arg_t *arg);


/*
 * The rule for an argument's key, percent-decoded once if need be, or NULL.
 */

static inline const sgtm_rule_t *
sgtm_args_rule(const sgtm_names_t *names, const sgtm_arg_t *arg)
{
    if (arg->escaped) {
        return sgtm_args_rule_decoded(names, arg);
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
