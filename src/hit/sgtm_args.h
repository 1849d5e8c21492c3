
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


typedef struct {
    unsigned char  *pos;
    unsigned char  *end;
    unsigned char  *block;             /* up to 64 bytes that stops is of */
    uint64_t        stops;             /* bits: its bytes still to look at */
    unsigned        last:1;            /* no argument is left */
} sgtm_args_t;


typedef struct {
    sgtm_str_t      key;               /* as it is written, may be empty */
    sgtm_str_t      value;             /* as it is written, may be empty */
    uint8_t         fault;             /* sgtm_reason_e: BAD_ESCAPE, BAD_BYTE,
                                          BAD_UTF8 or NONE */
    unsigned        bare:1;            /* there is no "=" */
    unsigned        escaped:1;         /* the key holds a "%" */
    unsigned        nested:1;          /* it holds a "?" or "#", plain or
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


/* an argument of a query that a rewriter may have to look at, and its rule */

typedef struct {
    sgtm_arg_t          arg;
    const sgtm_rule_t  *rule;          /* NULL: it is nested alone */
} sgtm_mark_t;


#define SGTM_MAX_MARKS  64


void sgtm_args_init(sgtm_args_t *args, const sgtm_str_t *in);

/*
 * The next argument; 0 when there is none.  Every byte of the input belongs to
 * an argument or is one "&" between two: "a&&b" has three arguments, the
 * second with an empty key; an empty input has none; "a&" has two.
 * The pointers in arg are into the input.
 */
int sgtm_args_next(sgtm_args_t *args, sgtm_arg_t *arg);

/*
 * The rule for an argument's key, percent-decoded once if need be, or NULL.
 */
const sgtm_rule_t *sgtm_args_rule(const sgtm_names_t *names,
    const sgtm_arg_t *arg);

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
