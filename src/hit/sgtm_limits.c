
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_limits.h"


/* the shortest custom parameter of an item, "~k0a~v0" */
#define SGTM_ITEM_PARAM_LEN    7


typedef struct {
    unsigned        number;
    unsigned        name;
    unsigned        value;
    unsigned        over_number;
    unsigned        over_name;
    unsigned        over_value;
} sgtm_limits_group_t;


typedef struct {
    sgtm_str_t      name;
    unsigned        chars;
} sgtm_limits_value_t;


static inline unsigned sgtm_limits_named(const sgtm_limits_group_t *group,
    unsigned *number, const unsigned char *name, size_t len,
    sgtm_str_t value);
static sgtm_noinline unsigned sgtm_limits_over(
    const sgtm_limits_group_t *group, unsigned number,
    const unsigned char *name, size_t len, sgtm_str_t value);
static size_t sgtm_limits_prefix(uint64_t word);
static sgtm_noinline unsigned sgtm_limits_page(sgtm_str_t key,
    sgtm_str_t value);
static sgtm_noinline unsigned sgtm_limits_item(sgtm_limits_t *limits,
    sgtm_str_t key, sgtm_str_t value);
static unsigned sgtm_limits_item_params(sgtm_str_t value);
static sgtm_noinline unsigned sgtm_limits_event_escaped(sgtm_str_t value);
static inline unsigned sgtm_limits_begins(const unsigned char *name,
    size_t len);
static unsigned sgtm_limits_begins_so(const unsigned char *name, size_t len);
static int sgtm_limits_longer(sgtm_str_t value, size_t chars);


static const sgtm_limits_group_t  sgtm_limits_params = {
    SGTM_LIMIT_PARAMS, SGTM_LIMIT_PARAM_NAME, SGTM_LIMIT_PARAM_VALUE,
    SGTM_OVER_PARAMS, SGTM_OVER_PARAM_NAME, SGTM_OVER_PARAM_VALUE
};


static const sgtm_limits_group_t  sgtm_limits_user_props = {
    SGTM_LIMIT_USER_PROPS, SGTM_LIMIT_PROP_NAME, SGTM_LIMIT_PROP_VALUE,
    SGTM_OVER_USER_PROPS, SGTM_OVER_USER_PROP_NAME, SGTM_OVER_USER_PROP_VALUE
};


/* values that may be longer than others */

static const sgtm_limits_value_t  sgtm_limits_values[] = {
    { sgtm_string("page_title"), SGTM_LIMIT_TITLE },
    { sgtm_string("page_referrer"), SGTM_LIMIT_REFERRER },
    { sgtm_string("page_location"), SGTM_LIMIT_LOCATION }
};


static const sgtm_limits_value_t  sgtm_limits_pages[] = {
    { sgtm_string("dt"), SGTM_LIMIT_TITLE },
    { sgtm_string("dr"), SGTM_LIMIT_REFERRER },
    { sgtm_string("dl"), SGTM_LIMIT_LOCATION }
};


static const sgtm_str_t  sgtm_limits_prefixes[] = {
    sgtm_string("firebase_"),
    sgtm_string("ga_"),
    sgtm_string("google_"),
    sgtm_string("gtag.")
};


/* what an event's name may begin with, and what it may go on with */

#define SGTM_BEGINS  1
#define SGTM_GOES    2

#define X2(x)   x, x
#define X8(x)   X2(x), X2(x), X2(x), X2(x)
#define X26(x)  X8(x), X8(x), X8(x), X2(x)

static const uint8_t  sgtm_limits_class[256] = {

    ['0'] = X8(SGTM_GOES), X2(SGTM_GOES),
    ['A'] = X26(SGTM_BEGINS|SGTM_GOES),
    ['_'] = SGTM_GOES,
    ['a'] = X26(SGTM_BEGINS|SGTM_GOES)
};


unsigned
sgtm_limits_escaped(sgtm_limits_t *limits, sgtm_str_t written,
    sgtm_str_t value)
{
    uint64_t       word;
    sgtm_str_t     key;
    unsigned char  buf[SGTM_MAX_KEY];

    key.len = sgtm_args_decode(buf, sizeof(buf), &written);
    key.data = buf;

    word = sgtm_names_word(key.data, key.len < 8 ? key.len : 8, key.len);

    return sgtm_limits_key(limits, key, word, value);
}


unsigned
sgtm_limits_key(sgtm_limits_t *limits, sgtm_str_t key, uint64_t word,
    sgtm_str_t value)
{
    size_t          len;
    unsigned char  *name;

    switch (word & 0xff) {

    case 'd':
        return sgtm_limits_page(key, value);

    case 'p':
        return sgtm_limits_item(limits, key, value);

    case 'e':
    case 'u':
        break;

    default:
        return 0;
    }

    len = sgtm_limits_prefix(word);

    if (len == 0) {
        return 0;
    }

    name = key.data + len;
    len = key.len - len;

    if ((word & 0xff) == 'u') {
        return sgtm_limits_named(&sgtm_limits_user_props, &limits->user_props,
                                 name, len, value);
    }

    /* what the visitor typed into a form is no parameter of the event */

    if (len >= 10 && memcmp(name, "user_data.", 10) == 0) {
        return 0;
    }

    return sgtm_limits_named(&sgtm_limits_params, &limits->params, name, len,
                             value);
}


static inline unsigned
sgtm_limits_named(const sgtm_limits_group_t *group, unsigned *number,
    const unsigned char *name, size_t len, sgtm_str_t value)
{
    if (++*number <= group->number && len <= group->name
        && value.len <= group->value)
    {
        return sgtm_limits_begins(name, len);
    }

    return sgtm_limits_over(group, *number, name, len, value);
}


static unsigned
sgtm_limits_over(const sgtm_limits_group_t *group, unsigned number,
    const unsigned char *name, size_t len, sgtm_str_t value)
{
    size_t    i, max;
    unsigned  over;

    over = sgtm_limits_begins(name, len);

    if (number > group->number) {
        over |= group->over_number;
    }

    /* the key is decoded here, but a long one has lost its end */

    if (len > group->name) {
        for (i = 0, max = 0; i < len; i++) {
            max += ((name[i] & 0xc0) != 0x80);
        }

        if (max > group->name) {
            over |= group->over_name;
        }
    }

    if (value.len <= group->value) {
        return over;
    }

    max = (group == &sgtm_limits_params) ? sgtm_limits_value(name, len)
                                         : group->value;

    if (sgtm_limits_longer(value, max)) {
        over |= group->over_value;
    }

    return over;
}


unsigned
sgtm_limits_value(const unsigned char *name, size_t len)
{
    size_t  i;

    for (i = 0; i < sgtm_nelts(sgtm_limits_values); i++) {

        if (len == sgtm_limits_values[i].name.len
            && memcmp(name, sgtm_limits_values[i].name.data, len) == 0)
        {
            return sgtm_limits_values[i].chars;
        }
    }

    return SGTM_LIMIT_PARAM_VALUE;
}


/* the length of "ep.", "epn.", "up." or "upn."; the first byte is checked */

static size_t
sgtm_limits_prefix(uint64_t word)
{
    word >>= 8;

    if ((word & 0xffff) == ('p' | '.' << 8)) {
        return 3;
    }

    if ((word & 0xffffff) == ('p' | 'n' << 8 | '.' << 16)) {
        return 4;
    }

    return 0;
}


static unsigned
sgtm_limits_page(sgtm_str_t key, sgtm_str_t value)
{
    size_t  i;

    if (key.len != 2) {
        return 0;
    }

    for (i = 0; i < sgtm_nelts(sgtm_limits_pages); i++) {

        if (key.data[1] == sgtm_limits_pages[i].name.data[1]
            && sgtm_limits_longer(value, sgtm_limits_pages[i].chars))
        {
            return SGTM_OVER_PARAM_VALUE;
        }
    }

    return 0;
}


/* pr1 and so on */

static unsigned
sgtm_limits_item(sgtm_limits_t *limits, sgtm_str_t key, sgtm_str_t value)
{
    size_t    i;
    unsigned  n, over;

    if (key.len < 3 || key.data[1] != 'r') {
        return 0;
    }

    n = 0;

    for (i = 2; i < key.len; i++) {

        if (key.data[i] < '0' || key.data[i] > '9') {
            return 0;
        }

        if (n <= SGTM_LIMIT_ITEMS) {
            n = n * 10 + (key.data[i] - '0');
        }
    }

    over = 0;

    if (++limits->items > SGTM_LIMIT_ITEMS || n > SGTM_LIMIT_ITEMS) {
        over |= SGTM_OVER_ITEMS;
    }

    if (value.len > SGTM_LIMIT_ITEM_PARAMS * SGTM_ITEM_PARAM_LEN) {
        over |= sgtm_limits_item_params(value);
    }

    return over;
}


/* counts the pairs "k0<name>" of a value, whose "~" may be escaped */

static unsigned
sgtm_limits_item_params(sgtm_str_t value)
{
    unsigned        n;
    unsigned char  *p, *end;

    n = 0;
    p = value.data;
    end = p + value.len;

    for ( ;; ) {

        if (end - p >= 2 && p[0] == 'k' && p[1] >= '0' && p[1] <= '9'
            && ++n > SGTM_LIMIT_ITEM_PARAMS)
        {
            return SGTM_OVER_ITEM_PARAMS;
        }

        for ( ;; ) {

            if (p == end) {
                return 0;
            }

            if (*p == '~') {
                p++;
                break;
            }

            if (*p == '%' && end - p >= 3 && p[1] == '7'
                && (p[2] == 'E' || p[2] == 'e'))
            {
                p += 3;
                break;
            }

            p++;
        }
    }
}


unsigned
sgtm_limits_event_name(sgtm_str_t value)
{
    size_t    i;
    unsigned  class;

    if (value.len == 0) {
        return 0;
    }

    class = sgtm_limits_class[value.data[0]] & SGTM_BEGINS ? SGTM_GOES : 0;

    for (i = 1; i < value.len; i++) {
        class &= sgtm_limits_class[value.data[i]];
    }

    if (class && value.len <= SGTM_LIMIT_EVENT_NAME) {
        return sgtm_limits_begins(value.data, value.len);
    }

    return sgtm_limits_event_escaped(value);
}


/* the same, where it may be escaped */

static unsigned
sgtm_limits_event_escaped(sgtm_str_t value)
{
    size_t         i;
    unsigned       over;
    sgtm_str_t     name;
    unsigned char  buf[SGTM_LIMIT_EVENT_NAME + 1];

    name.len = sgtm_args_decode(buf, sizeof(buf), &value);
    name.data = buf;

    over = sgtm_limits_begins(name.data, name.len);

    if (name.len > SGTM_LIMIT_EVENT_NAME) {
        return over | SGTM_OVER_EVENT_NAME;
    }

    for (i = 0; i < name.len; i++) {

        if (!(sgtm_limits_class[name.data[i]]
              & (i ? SGTM_GOES : SGTM_BEGINS)))
        {
            return over | SGTM_OVER_EVENT_NAME;
        }
    }

    return over;
}


unsigned
sgtm_limits_user_id(const sgtm_str_t *value)
{
    return sgtm_limits_longer(*value, SGTM_LIMIT_USER_ID)
           ? SGTM_OVER_USER_ID : 0;
}


unsigned
sgtm_limits_reserved(const sgtm_str_t *name)
{
    return sgtm_limits_begins(name->data, name->len);
}


static inline unsigned
sgtm_limits_begins(const unsigned char *name, size_t len)
{
    if (len == 0 || (name[0] != 'f' && name[0] != 'g')) {
        return 0;
    }

    return sgtm_limits_begins_so(name, len);
}


static unsigned
sgtm_limits_begins_so(const unsigned char *name, size_t len)
{
    size_t             i;
    const sgtm_str_t  *prefix;

    for (i = 0; i < sgtm_nelts(sgtm_limits_prefixes); i++) {
        prefix = &sgtm_limits_prefixes[i];

        if (len >= prefix->len
            && memcmp(name, prefix->data, prefix->len) == 0)
        {
            return SGTM_OVER_RESERVED;
        }
    }

    return 0;
}


/* whether there are more characters, not bytes, once it is decoded */

static int
sgtm_limits_longer(sgtm_str_t value, size_t chars)
{
    size_t          n;
    unsigned        c;
    unsigned char  *p, *end;

    if (value.len <= chars) {
        return 0;
    }

    n = 0;
    p = value.data;
    end = p + value.len;

    while (p < end) {
        c = *p++;

        if (c == '%' && end - p >= 2) {
            c = sgtm_args_byte(p);
            p += 2;
        }

        if ((c & 0xc0) != 0x80 && ++n > chars) {
            return 1;
        }
    }

    return 0;
}
