
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_json.h"


static unsigned char *sgtm_json_skip(unsigned char *p, unsigned char *end);
static unsigned char *sgtm_json_skip_string(unsigned char *p);
static unsigned sgtm_json_type(unsigned char c);
static unsigned sgtm_json_unescape(unsigned char **pos, unsigned char *utf8);
static unsigned char sgtm_json_short(unsigned char c);


unsigned
sgtm_json_value(const sgtm_str_t *in, sgtm_str_t *value)
{
    unsigned char  *p, *end;

    end = in->data + in->len;
    p = sgtm_json_space(in->data, end);

    value->data = p;
    value->len = (size_t) (sgtm_json_skip(p, end) - p);

    return sgtm_json_type(*p);
}


void
sgtm_json_open(sgtm_json_t *json, const sgtm_str_t *container)
{
    json->pos = container->data + 1;
    json->end = container->data + container->len - 1;
    json->array = (container->data[0] == '[');

    /* an empty one has no item, not one of nothing */

    if (sgtm_json_space(json->pos, json->end) == json->end) {
        json->pos = json->end + 1;
    }
}


int
sgtm_json_next(sgtm_json_t *json, sgtm_json_item_t *item)
{
    unsigned char  *p, *end;

    end = json->end;

    if (json->pos > end) {
        return 0;
    }

    item->span.data = json->pos;

    p = sgtm_json_space(json->pos, end);

    item->key.data = p;
    item->key.len = 0;

    if (!json->array) {
        p = sgtm_json_skip_string(p);
        item->key.len = (size_t) (p - item->key.data);

        p = sgtm_json_space(p, end);
        p = sgtm_json_space(p + 1, end);
    }

    item->value.data = p;
    item->type = (uint8_t) sgtm_json_type(*p);

    p = sgtm_json_skip(p, end);

    item->value.len = (size_t) (p - item->value.data);

    p = sgtm_json_space(p, end);

    item->span.len = (size_t) (p - item->span.data);

    json->pos = p + 1;

    return 1;
}


/* past a value */

static unsigned char *
sgtm_json_skip(unsigned char *p, unsigned char *end)
{
    unsigned  depth;

    if (*p == '"') {
        return sgtm_json_skip_string(p);
    }

    if (*p != '{' && *p != '[') {

        while (p < end && memchr(",]} \n\r\t", *p, 7) == NULL) {
            p++;
        }

        return p;
    }

    depth = 0;

    for ( ;; ) {

        switch (*p) {

        case '"':
            p = sgtm_json_skip_string(p);
            continue;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':
            if (--depth == 0) {
                return p + 1;
            }

            break;
        }

        p++;
    }
}


static unsigned char *
sgtm_json_skip_string(unsigned char *p)
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\') {
            p++;
        }
    }

    return p + 1;
}


static unsigned
sgtm_json_type(unsigned char c)
{
    switch (c) {

    case '{':
        return SGTM_JSON_OBJECT;

    case '[':
        return SGTM_JSON_ARRAY;

    case '"':
        return SGTM_JSON_STRING;

    case 't':
        return SGTM_JSON_TRUE;

    case 'f':
        return SGTM_JSON_FALSE;

    case 'n':
        return SGTM_JSON_NULL;

    default:
        return SGTM_JSON_NUMBER;
    }
}


int
sgtm_json_is(const sgtm_str_t *string, const sgtm_str_t *text)
{
    size_t          n, len;
    unsigned char  *p, *end, utf8[4];

    if (string->len < text->len + 2) {
        return 0;
    }

    n = 0;
    p = string->data + 1;
    end = string->data + string->len - 1;

    while (p < end) {

        utf8[0] = *p;
        len = 1;

        if (*p++ == '\\') {
            len = sgtm_json_unescape(&p, utf8);
        }

        if (len > text->len - n || memcmp(text->data + n, utf8, len) != 0) {
            return 0;
        }

        n += len;
    }

    return n == text->len;
}


int
sgtm_json_get(const sgtm_str_t *object, const sgtm_str_t *name,
    sgtm_json_item_t *item)
{
    int               found;
    sgtm_json_t       json;
    sgtm_json_item_t  one;

    if (object->len == 0 || object->data[0] != '{') {
        return 0;
    }

    found = 0;

    sgtm_json_open(&json, object);

    while (sgtm_json_next(&json, &one)) {
        if (sgtm_json_is(&one.key, name)) {
            *item = one;
            found = 1;
        }
    }

    return found;
}


size_t
sgtm_json_decode(unsigned char *out, size_t size, const sgtm_str_t *string)
{
    size_t          n, len;
    unsigned char  *p, *end, utf8[4];

    n = 0;
    p = string->data + 1;
    end = string->data + string->len - 1;

    while (p < end) {

        if (*p != '\\') {

            if (n == size) {
                break;
            }

            out[n++] = *p++;
            continue;
        }

        p++;
        len = sgtm_json_unescape(&p, utf8);

        if (len > size - n) {
            break;
        }

        memcpy(out + n, utf8, len);
        n += len;
    }

    return n;
}


/* pos is behind the backslash; returns the number of bytes */

static unsigned
sgtm_json_unescape(unsigned char **pos, unsigned char *utf8)
{
    unsigned                    u;
    unsigned char              *p;
    const char                 *escape;
    static const char           escapes[] = "bfnrt";
    static const unsigned char  chars[] = "\b\f\n\r\t";

    p = *pos;

    if (*p != 'u') {
        escape = strchr(escapes, *p);
        utf8[0] = escape ? chars[escape - escapes] : *p;
        *pos = p + 1;

        return 1;
    }

    u = sgtm_json_hex4(p + 1);
    p += 5;

    if (u >= 0xd800 && u <= 0xdbff) {
        u = 0x10000 + ((u - 0xd800) << 10)
            + (sgtm_json_hex4(p + 2) - 0xdc00);
        p += 6;
    }

    *pos = p;

    return (unsigned) sgtm_json_char(utf8, u);
}


size_t
sgtm_json_char(unsigned char *utf8, unsigned c)
{
    if (c < 0x80) {
        utf8[0] = (unsigned char) c;
        return 1;
    }

    if (c < 0x800) {
        utf8[0] = (unsigned char) (0xc0 | c >> 6);
        utf8[1] = (unsigned char) (0x80 | (c & 0x3f));
        return 2;
    }

    if (c < 0x10000) {
        utf8[0] = (unsigned char) (0xe0 | c >> 12);
        utf8[1] = (unsigned char) (0x80 | (c >> 6 & 0x3f));
        utf8[2] = (unsigned char) (0x80 | (c & 0x3f));
        return 3;
    }

    utf8[0] = (unsigned char) (0xf0 | c >> 18);
    utf8[1] = (unsigned char) (0x80 | (c >> 12 & 0x3f));
    utf8[2] = (unsigned char) (0x80 | (c >> 6 & 0x3f));
    utf8[3] = (unsigned char) (0x80 | (c & 0x3f));

    return 4;
}


size_t
sgtm_json_encode(unsigned char *out, const sgtm_str_t *text)
{
    size_t                      n, len;
    unsigned char              *p, *end, buf[6];
    const unsigned char        *from;
    static const unsigned char  hex[] = "0123456789abcdef";

    if (out != NULL) {
        *out = '"';
    }

    n = 1;
    p = text->data;
    end = text->len ? p + text->len : p;

    while (p < end) {

        from = p;
        len = sgtm_json_utf8(p, end);

        if (len == 0) {
            from = (const unsigned char *) "\xef\xbf\xbd";
            len = 3;
            p++;

        } else {
            p += len;
        }

        if (*from == '"' || *from == '\\' || *from < 0x20) {

            buf[0] = '\\';
            buf[1] = sgtm_json_short(*from);
            len = 2;

            if (buf[1] == 'u') {
                buf[2] = '0';
                buf[3] = '0';
                buf[4] = hex[*from >> 4];
                buf[5] = hex[*from & 0x0f];
                len = 6;
            }

            from = buf;
        }

        if (out != NULL) {
            memcpy(out + n, from, len);
        }

        n += len;
    }

    if (out != NULL) {
        out[n] = '"';
    }

    return n + 1;
}


/* the letter of a character's short escape, or "u" */

static unsigned char
sgtm_json_short(unsigned char c)
{
    switch (c) {

    case '"':
    case '\\':
        return c;

    case '\b':
        return 'b';

    case '\f':
        return 'f';

    case '\n':
        return 'n';

    case '\r':
        return 'r';

    case '\t':
        return 't';

    default:
        return 'u';
    }
}
