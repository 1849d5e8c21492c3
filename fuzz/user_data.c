
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * User-provided data in a query or a batch.  What is no field of it stays byte
 * for byte and in its place; what is one has a name of Google's and a value
 * that the plain walk here makes of it; nothing is hashed twice.
 */


#include "fuzz.h"
#include "sgtm_user_data.h"


/* the field of an argument, by its decoded key; NULL: there is none */

static const sgtm_user_field_t *
field_of(const sgtm_arg_t *arg)
{
    size_t          n, skip;
    sgtm_str_t      path, part;
    unsigned char  *key;

    static unsigned char  buf[4096];

    n = fuzz_decode(buf, arg->key.data, arg->key.len);
    key = buf;

    if (n > SGTM_MAX_KEY) {
        n = SGTM_MAX_KEY;
    }

    skip = (n > 3 && key[2] == 'n') ? 4 : 3;

    if (arg->bare || n < skip + 10 || memcmp(key, "ep", 2) != 0
        || key[skip - 1] != '.'
        || memcmp(key + skip, "user_data.", 10) != 0)
    {
        return NULL;
    }

    path.data = key + skip + 10;
    path.len = n - skip - 10;

    return path.len ? sgtm_user_path(&path, &part) : NULL;
}


static void
check_value(const sgtm_user_field_t *field, const sgtm_arg_t *was,
    const sgtm_arg_t *is)
{
    size_t          i, room;
    sgtm_str_t      text;
    unsigned char  *want, *got;

    if (!field->hash && was->value.len > 256) {
        fuzz_check(fuzz_equal(was->value.data, was->value.len, is->value.data,
                              is->value.len));
        return;
    }

    room = was->value.len > SGTM_USER_HASH ? was->value.len : SGTM_USER_HASH;
    want = fuzz_alloc(room);
    got = fuzz_alloc(is->value.len);

    text.data = want;
    text.len = fuzz_decode(want, was->value.data, was->value.len);
    text.len = sgtm_user_value(field, &text, want);

    i = fuzz_decode(got, is->value.data, is->value.len);
    fuzz_check(fuzz_equal(want, text.len, got, i));

    if (field->hash) {
        fuzz_check(text.len == 0 || sgtm_user_is_hash(field, &text));
    }

    free(got);
    free(want);
}


static void
check_line(const sgtm_str_t *was, const sgtm_str_t *is)
{
    sgtm_arg_t                a, b;
    sgtm_args_t               in, out;
    const sgtm_user_field_t  *field, *again;

    sgtm_args_init(&in, was);
    sgtm_args_init(&out, is);

    while (sgtm_args_next(&in, &a)) {

        fuzz_check(sgtm_args_next(&out, &b));

        field = field_of(&a);

        if (field == NULL) {
            fuzz_check(a.bare == b.bare
                       && fuzz_equal(a.key.data, a.key.len, b.key.data,
                                     b.key.len)
                       && fuzz_equal(a.value.data, a.value.len, b.value.data,
                                     b.value.len));
            continue;
        }

        again = field_of(&b);

        if (b.key.len <= SGTM_MAX_KEY) {
            fuzz_check(again != NULL
                       && fuzz_equal(again->name.data, again->name.len,
                                     field->wanted.data, field->wanted.len));
        }

        check_value(field, &a, &b);
    }

    fuzz_check(!sgtm_args_next(&out, &b));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          room;
    sgtm_str_t      in, out, rest, left, was, is, was_end, is_end;

    if (size > 2048) {
        return 0;
    }

    in = fuzz_copy(data, size);
    room = sgtm_user_size(&in);

    if (room == 0) {
        room = in.len;
    }

    out.data = fuzz_alloc(room);
    out.len = sgtm_user_args(&in, out.data);
    fuzz_check(out.len <= room);

    rest = in;
    left = out;

    while (sgtm_args_line(&rest, &was, &was_end)) {
        fuzz_check(sgtm_args_line(&left, &is, &is_end)
                   && was_end.len == is_end.len);
        check_line(&was, &is);
    }

    fuzz_check(left.len == 0);

    free(out.data);
    free(in.data);

    return 0;
}
