
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_args.h"
#include "sgtm_user_data.h"


/* what is sent in clear and longer is no name of a place */
#define SGTM_USER_CLEAR  256


static const sgtm_user_field_t *sgtm_user_arg(const sgtm_arg_t *arg,
    unsigned char *buf, sgtm_str_t *key, sgtm_str_t *part);
static unsigned char *sgtm_user_write(const sgtm_user_field_t *field,
    const sgtm_arg_t *arg, const sgtm_str_t *key, const sgtm_str_t *part,
    unsigned char *out);
static unsigned char *sgtm_user_write_value(const sgtm_user_field_t *field,
    const sgtm_str_t *value, unsigned char *out);
static unsigned char *sgtm_user_copy(unsigned char *out,
    const unsigned char *data, size_t len);


/* strings and numbers of a hit */

static const sgtm_str_t  sgtm_user_prefixes[] = {
    sgtm_string("ep.user_data."),
    sgtm_string("epn.user_data.")
};


size_t
sgtm_user_size(const sgtm_str_t *in)
{
    size_t          size, n;
    sgtm_arg_t      arg;
    sgtm_str_t      rest, line, end, key, part;
    sgtm_args_t     args;
    unsigned char   buf[SGTM_MAX_KEY];

    n = 0;
    size = in->len;
    rest = *in;

    while (sgtm_args_line(&rest, &line, &end)) {

        sgtm_args_init(&args, &line);

        while (sgtm_args_next(&args, &arg)) {

            if (sgtm_user_arg(&arg, buf, &key, &part) == NULL) {
                continue;
            }

            /* escaped anew, and the value decoded where the hash will be */

            n++;
            size += 2 * (arg.key.len + arg.value.len) + SGTM_USER_LONGER
                    + SGTM_USER_HASH;
        }
    }

    return n ? size : 0;
}


size_t
sgtm_user_args(const sgtm_str_t *in, unsigned char *out)
{
    sgtm_arg_t                arg;
    sgtm_str_t                rest, line, end, key, part;
    sgtm_args_t               args;
    unsigned char            *last, buf[SGTM_MAX_KEY];
    const sgtm_user_field_t  *field;

    last = out;
    rest = *in;

    while (sgtm_args_line(&rest, &line, &end)) {

        sgtm_args_init(&args, &line);

        while (sgtm_args_next(&args, &arg)) {

            if (arg.key.data != line.data) {
                *last++ = '&';
            }

            field = sgtm_user_arg(&arg, buf, &key, &part);

            if (field != NULL) {
                last = sgtm_user_write(field, &arg, &key, &part, last);
                continue;
            }

            last = sgtm_user_copy(last, arg.key.data, arg.key.len
                                  + (arg.bare ? 0 : 1) + arg.value.len);
        }

        last = sgtm_user_copy(last, end.data, end.len);
    }

    return (size_t) (last - out);
}


/* the field of an argument, its decoded key and the part that names it */

static const sgtm_user_field_t *
sgtm_user_arg(const sgtm_arg_t *arg, unsigned char *buf, sgtm_str_t *key,
    sgtm_str_t *part)
{
    size_t             i;
    sgtm_str_t         path;
    const sgtm_str_t  *prefix;

    if (arg->bare || (!arg->escaped && arg->key.data[0] != 'e')) {
        return NULL;
    }

    key->data = buf;
    key->len = sgtm_args_decode(buf, SGTM_MAX_KEY, &arg->key);

    for (i = 0; i < 2; i++) {
        prefix = &sgtm_user_prefixes[i];

        if (key->len > prefix->len
            && memcmp(key->data, prefix->data, prefix->len) == 0)
        {
            path.data = key->data + prefix->len;
            path.len = key->len - prefix->len;

            return sgtm_user_path(&path, part);
        }
    }

    return NULL;
}


static unsigned char *
sgtm_user_write(const sgtm_user_field_t *field, const sgtm_arg_t *arg,
    const sgtm_str_t *key, const sgtm_str_t *part, unsigned char *out)
{
    sgtm_str_t  piece;

    if (field->wanted.len == part->len && key->data[2] == '.') {
        out = sgtm_user_copy(out, arg->key.data, arg->key.len + 1);

        return sgtm_user_write_value(field, &arg->value, out);
    }

    /* a hash is a string, whatever it was made of */

    out = sgtm_user_copy(out, key->data, 2);

    piece.data = key->data + (key->data[2] == '.' ? 2 : 3);
    piece.len = (size_t) (part->data - piece.data);

    out += sgtm_args_encode(out, &piece);
    out += sgtm_args_encode(out, &field->wanted);

    piece.data = part->data + part->len;
    piece.len = (size_t) (key->data + key->len - piece.data);

    out += sgtm_args_encode(out, &piece);
    *out++ = '=';

    return sgtm_user_write_value(field, &arg->value, out);
}


static unsigned char *
sgtm_user_write_value(const sgtm_user_field_t *field, const sgtm_str_t *value,
    unsigned char *out)
{
    sgtm_str_t     text;
    unsigned char  buf[SGTM_USER_CLEAR];

    if (!field->hash) {

        if (value->len > sizeof(buf)) {
            return sgtm_user_copy(out, value->data, value->len);
        }

        text.data = buf;
        text.len = sgtm_args_decode(buf, sizeof(buf), value);
        text.len = sgtm_user_value(field, &text, buf);

        return out + sgtm_args_encode(out, &text);
    }

    text.data = out;
    text.len = sgtm_args_decode(out, value->len, value);

    if (sgtm_user_is_hash(field, &text)) {
        return sgtm_user_copy(out, value->data, value->len);
    }

    return out + sgtm_user_value(field, &text, out);
}


static unsigned char *
sgtm_user_copy(unsigned char *out, const unsigned char *data, size_t len)
{
    if (len) {
        memcpy(out, data, len);
    }

    return out + len;
}
