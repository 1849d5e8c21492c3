
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * JSON (RFC 8259) as spans of bytes: where the members of an object are, so
 * that what is kept can be copied as it was written.
 */


#ifndef _SGTM_JSON_H_INCLUDED_
#define _SGTM_JSON_H_INCLUDED_


#include "sgtm_hit.h"


/* brackets within each other: of what is deeper nothing is read */
#define SGTM_JSON_DEPTH   16

/* characters of a number: some versions of cJSON take no more */
#define SGTM_JSON_DIGITS  63


typedef enum {
    SGTM_JSON_NULL = 0,
    SGTM_JSON_FALSE,
    SGTM_JSON_TRUE,
    SGTM_JSON_NUMBER,
    SGTM_JSON_STRING,
    SGTM_JSON_ARRAY,
    SGTM_JSON_OBJECT
} sgtm_json_type_e;


/* a member of an object or an element of an array, as it is written */

typedef struct {
    sgtm_str_t      key;           /* with its quotes; empty in an array */
    sgtm_str_t      value;         /* with its quotes or brackets */
    sgtm_str_t      span;          /* all between the two "," or brackets */
    uint8_t         type;          /* sgtm_json_type_e */
} sgtm_json_item_t;


typedef struct {
    unsigned char  *pos;
    unsigned char  *end;           /* the closing bracket */
    unsigned        array:1;
} sgtm_json_t;


/*
 * Whether this is one JSON text and nothing else, in UTF-8, without a byte
 * order mark, "\u0000", half a surrogate pair or a number of more than
 * SGTM_JSON_DIGITS.  Returns a sgtm_reason_e: NONE, BAD_JSON, JSON_DEPTH,
 * BAD_BYTE or BAD_UTF8.  All functions below want a text that has passed, and
 * cJSON fails to read one for want of memory alone.
 */
unsigned sgtm_json_check(const sgtm_str_t *in);

/* the text's value, without the space around it; its type */
unsigned sgtm_json_value(const sgtm_str_t *in, sgtm_str_t *value);

/*
 * Walks an object or array, its brackets included.  sgtm_json_next() returns 0
 * when there is no other item.
 */
void sgtm_json_open(sgtm_json_t *json, const sgtm_str_t *container);
int sgtm_json_next(sgtm_json_t *json, sgtm_json_item_t *item);

/* whether a key or another string is this text, once decoded */
int sgtm_json_is(const sgtm_str_t *string, const sgtm_str_t *text);

/*
 * The last member of this name, which is the one that JavaScript takes.  0:
 * there is none, or it is not an object.
 */
int sgtm_json_get(const sgtm_str_t *object, const sgtm_str_t *name,
    sgtm_json_item_t *item);

/*
 * What a string means.  Writes at most size bytes, and never more than its
 * len - 2, and returns how many; out may be the string's own bytes.
 */
size_t sgtm_json_decode(unsigned char *out, size_t size,
    const sgtm_str_t *string);

/*
 * Writes a text as a string, quotes included, and returns the number of bytes;
 * with out NULL only counts them.  What is not UTF-8 becomes U+FFFD.  Of what
 * sgtm_json_decode() gave it makes no more than was there.
 */
size_t sgtm_json_encode(unsigned char *out, const sgtm_str_t *text);

/* whether a text is a number of JSON */
int sgtm_json_number(const sgtm_str_t *text);


/* of the functions above */

unsigned char *sgtm_json_space(unsigned char *p, unsigned char *end);

/* the bytes of an UTF-8 character, by Unicode 15, table 3-7; 0: it is none */
size_t sgtm_json_utf8(const unsigned char *p, const unsigned char *end);

/* writes a character, up to U+10FFFF, in UTF-8; returns its bytes: 1 to 4 */
size_t sgtm_json_char(unsigned char *utf8, unsigned c);

/* the value of four hexadecimal digits, over 0xffff where one is none */
unsigned sgtm_json_hex4(const unsigned char *p);


#endif /* _SGTM_JSON_H_INCLUDED_ */
