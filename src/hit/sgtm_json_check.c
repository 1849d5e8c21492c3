
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_args.h"
#include "sgtm_json.h"


/* what has passed so far is bounded by end and by depth */

typedef struct {
    unsigned char  *end;
    unsigned        depth;
    unsigned        fault;         /* sgtm_reason_e */
} sgtm_json_check_t;


static unsigned char *sgtm_json_check_value(sgtm_json_check_t *c,
    unsigned char *p);
static unsigned char *sgtm_json_check_items(sgtm_json_check_t *c,
    unsigned char *p, unsigned char close);
static unsigned char *sgtm_json_check_key(sgtm_json_check_t *c,
    unsigned char *p);
static unsigned char *sgtm_json_check_string(sgtm_json_check_t *c,
    unsigned char *p);
static unsigned char *sgtm_json_check_escape(sgtm_json_check_t *c,
    unsigned char *p);
static unsigned char *sgtm_json_check_number(unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_json_check_word(unsigned char *p,
    unsigned char *end, const char *word);
static unsigned char *sgtm_json_fault(sgtm_json_check_t *c, unsigned fault);
static unsigned char *sgtm_json_digits(unsigned char *p, unsigned char *end);


#define sgtm_json_digit(c)  ((unsigned) (c) - '0' <= 9)


unsigned
sgtm_json_check(const sgtm_str_t *in)
{
    unsigned char      *p;
    sgtm_json_check_t   c;

    if (in->len == 0) {
        return SGTM_REASON_BAD_JSON;
    }

    c.end = in->data + in->len;
    c.depth = 0;
    c.fault = SGTM_REASON_NONE;

    p = sgtm_json_check_value(&c, sgtm_json_space(in->data, c.end));

    if (p == NULL) {
        return c.fault;
    }

    return sgtm_json_space(p, c.end) == c.end ? SGTM_REASON_NONE
                                              : SGTM_REASON_BAD_JSON;
}


/* each returns where it ends, or NULL with c->fault set */

static unsigned char *
sgtm_json_check_value(sgtm_json_check_t *c, unsigned char *p)
{
    unsigned char  *q;

    if (p == c->end) {
        return sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
    }

    switch (*p) {

    case '{':
        return sgtm_json_check_items(c, p, '}');

    case '[':
        return sgtm_json_check_items(c, p, ']');

    case '"':
        return sgtm_json_check_string(c, p);

    case 't':
        p = sgtm_json_check_word(p, c->end, "true");
        break;

    case 'f':
        p = sgtm_json_check_word(p, c->end, "false");
        break;

    case 'n':
        p = sgtm_json_check_word(p, c->end, "null");
        break;

    default:
        q = sgtm_json_check_number(p, c->end);
        p = (q && q - p <= SGTM_JSON_DIGITS) ? q : NULL;
    }

    return p ? p : sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
}


static unsigned char *
sgtm_json_check_items(sgtm_json_check_t *c, unsigned char *p,
    unsigned char close)
{
    if (++c->depth > SGTM_JSON_DEPTH) {
        return sgtm_json_fault(c, SGTM_REASON_JSON_DEPTH);
    }

    p = sgtm_json_space(p + 1, c->end);

    if (p < c->end && *p == close) {
        c->depth--;
        return p + 1;
    }

    for ( ;; ) {

        if (close == '}') {
            p = sgtm_json_check_key(c, p);

            if (p == NULL) {
                return NULL;
            }
        }

        p = sgtm_json_check_value(c, p);

        if (p == NULL) {
            return NULL;
        }

        p = sgtm_json_space(p, c->end);

        if (p == c->end || (*p != ',' && *p != close)) {
            return sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
        }

        if (*p++ == close) {
            c->depth--;
            return p;
        }

        p = sgtm_json_space(p, c->end);
    }
}


/* a key and its ":"; returns where the value begins */

static unsigned char *
sgtm_json_check_key(sgtm_json_check_t *c, unsigned char *p)
{
    if (p == c->end || *p != '"') {
        return sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
    }

    p = sgtm_json_check_string(c, p);

    if (p == NULL) {
        return NULL;
    }

    p = sgtm_json_space(p, c->end);

    if (p == c->end || *p != ':') {
        return sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
    }

    return sgtm_json_space(p + 1, c->end);
}


static unsigned char *
sgtm_json_check_string(sgtm_json_check_t *c, unsigned char *p)
{
    size_t  n;

    for (p++; p < c->end; /* void */ ) {

        if (*p == '"') {
            return p + 1;
        }

        if (*p < 0x20) {
            return sgtm_json_fault(c, SGTM_REASON_BAD_BYTE);
        }

        if (*p == '\\') {
            p = sgtm_json_check_escape(c, p + 1);

            if (p == NULL) {
                return NULL;
            }

            continue;
        }

        n = sgtm_json_utf8(p, c->end);

        if (n == 0) {
            return sgtm_json_fault(c, SGTM_REASON_BAD_UTF8);
        }

        p += n;
    }

    return sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
}


/* p is behind the backslash */

static unsigned char *
sgtm_json_check_escape(sgtm_json_check_t *c, unsigned char *p)
{
    unsigned  u;

    if (p < c->end && *p != '\0' && memchr("\"\\/bfnrt", *p, 8) != NULL) {
        return p + 1;
    }

    if (c->end - p < 5 || *p != 'u') {
        return sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
    }

    u = sgtm_json_hex4(p + 1);

    if (u > 0xffff) {
        return sgtm_json_fault(c, SGTM_REASON_BAD_JSON);
    }

    if (u == 0) {
        return sgtm_json_fault(c, SGTM_REASON_BAD_BYTE);
    }

    p += 5;

    if (u < 0xd800 || u > 0xdfff) {
        return p;
    }

    if (u > 0xdbff || c->end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return sgtm_json_fault(c, SGTM_REASON_BAD_UTF8);
    }

    u = sgtm_json_hex4(p + 2);

    if (u < 0xdc00 || u > 0xdfff) {
        return sgtm_json_fault(c, SGTM_REASON_BAD_UTF8);
    }

    return p + 6;
}


/* NULL: it is none */

static unsigned char *
sgtm_json_check_number(unsigned char *p, unsigned char *end)
{
    unsigned char  *q;

    if (p < end && *p == '-') {
        p++;
    }

    q = sgtm_json_digits(p, end);

    if (q == p || (*p == '0' && q - p > 1)) {
        return NULL;
    }

    p = q;

    if (p < end && *p == '.') {
        q = sgtm_json_digits(p + 1, end);

        if (q == p + 1) {
            return NULL;
        }

        p = q;
    }

    if (p < end && (*p | 0x20) == 'e') {
        p++;

        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }

        q = sgtm_json_digits(p, end);

        if (q == p) {
            return NULL;
        }

        p = q;
    }

    return p;
}


static unsigned char *
sgtm_json_check_word(unsigned char *p, unsigned char *end, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (end - p) < len || memcmp(p, word, len) != 0) {
        return NULL;
    }

    return p + len;
}


static unsigned char *
sgtm_json_fault(sgtm_json_check_t *c, unsigned fault)
{
    c->fault = fault;

    return NULL;
}


static unsigned char *
sgtm_json_digits(unsigned char *p, unsigned char *end)
{
    while (p < end && sgtm_json_digit(*p)) {
        p++;
    }

    return p;
}


unsigned char *
sgtm_json_space(unsigned char *p, unsigned char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
    }

    return p;
}


/* over 0xffff where one of four is no digit */

unsigned
sgtm_json_hex4(const unsigned char *p)
{
    unsigned  high, low;

    high = sgtm_args_byte(p);
    low = sgtm_args_byte(p + 2);

    return (high > 0xff || low > 0xff) ? 0x10000 : (high << 8 | low);
}


/* the bytes of a character, by Unicode 15, table 3-7; 0: it is none */

size_t
sgtm_json_utf8(const unsigned char *p, const unsigned char *end)
{
    size_t    n, i;
    unsigned  low, high;

    low = 0x80;
    high = 0xbf;

    if (*p < 0x80) {
        return 1;
    }

    if (*p >= 0xc2 && *p <= 0xdf) {
        n = 2;

    } else if (*p >= 0xe0 && *p <= 0xef) {
        n = 3;
        low = (*p == 0xe0) ? 0xa0 : 0x80;
        high = (*p == 0xed) ? 0x9f : 0xbf;

    } else if (*p >= 0xf0 && *p <= 0xf4) {
        n = 4;
        low = (*p == 0xf0) ? 0x90 : 0x80;
        high = (*p == 0xf4) ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if ((size_t) (end - p) < n || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


int
sgtm_json_number(const sgtm_str_t *text)
{
    unsigned char  *end;

    if (text->len == 0) {
        return 0;
    }

    end = text->data + text->len;

    return sgtm_json_check_number(text->data, end) == end;
}
