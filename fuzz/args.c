
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Arguments, lines, decoding and encoding of any bytes.
 */


#include "fuzz.h"


/* a byte, or an escape's; 0x100 for a broken one */

static unsigned
next_byte(const unsigned char **pos, const unsigned char *end)
{
    const unsigned char  *p;

    p = *pos;

    if (*p != '%') {
        *pos = p + 1;
        return *p;
    }

    if (end - p < 3 || fuzz_hex(p[1]) < 0 || fuzz_hex(p[2]) < 0) {
        *pos = p + 1;
        return 0x100;
    }

    *pos = p + 3;

    return (unsigned) (fuzz_hex(p[1]) * 16 + fuzz_hex(p[2]));
}


/* whether there is something wrong, by decoding first and judging then */

static int
faulty(const unsigned char *data, size_t len)
{
    int                   wrong;
    size_t                i, n, need;
    uint32_t              code;
    unsigned              c;
    unsigned char        *text;
    const unsigned char  *p;

    static const uint32_t  least[] = { 0, 0x80, 0x800, 0x10000 };

    text = fuzz_alloc(len);
    wrong = 0;
    n = 0;

    for (p = data; p < data + len; /* void */ ) {

        if (*p < 0x20 || *p == 0x7f) {
            wrong = 1;
        }

        c = next_byte(&p, data + len);

        if (c == 0x100 || c == 0) {
            wrong = 1;
            c = '?';
        }

        text[n++] = (unsigned char) c;
    }

    for (i = 0; i < n && !wrong; /* void */ ) {

        c = text[i++];

        if (c < 0x80) {
            continue;
        }

        need = (c >= 0xf0) ? 3 : (c >= 0xe0) ? 2 : 1;

        if (c < 0xc0 || c > 0xf7 || n - i < need) {
            wrong = 1;
            break;
        }

        code = c & (0x3f >> need);

        for (c = 0; c < need; c++, i++) {
            wrong |= ((text[i] & 0xc0) != 0x80);
            code = code << 6 | (text[i] & 0x3f);
        }

        wrong |= (code < least[need] || code > 0x10ffff
                  || (code >= 0xd800 && code <= 0xdfff));
    }

    free(text);

    return wrong;
}


/* a "?" or "#" at whatever depth */

static int
nested(const unsigned char *data, size_t len)
{
    size_t  i, j;

    for (i = 0; i < len; i++) {

        if (data[i] == '?' || data[i] == '#') {
            return 1;
        }

        if (data[i] != '%') {
            continue;
        }

        for (j = i + 1; len - j >= 2 && memcmp(data + j, "25", 2) == 0; ) {
            j += 2;
        }

        if (len - j >= 2
            && (memcmp(data + j, "3F", 2) == 0 || memcmp(data + j, "3f", 2) == 0
                || memcmp(data + j, "23", 2) == 0))
        {
            return 1;
        }
    }

    return 0;
}


static void
check_args(const sgtm_str_t *in, const sgtm_names_t *names)
{
    int             escaped;
    sgtm_arg_t      arg;
    sgtm_str_t      key, value;
    sgtm_args_t     args;
    unsigned char  *p, *end, *decoded;

    p = in->data;
    end = p + in->len;

    sgtm_args_init(&args, in);

    while (sgtm_args_next(&args, &arg)) {

        fuzz_check(arg.key.data == p);
        fuzz_check(arg.key.len <= (size_t) (end - p));

        escaped = (arg.key.len && memchr(p, '%', arg.key.len) != NULL);
        fuzz_check(arg.escaped == escaped);


        fuzz_check(!arg.key.len
                   || (memchr(p, '&', arg.key.len) == NULL
                       && memchr(p, '=', arg.key.len) == NULL));
        p += arg.key.len;

        if (!arg.bare) {
            fuzz_check(p < end && *p == '=');
            p++;
        }

        fuzz_check(arg.value.data == p);
        fuzz_check(arg.value.len <= (size_t) (end - p));
        fuzz_check(!arg.bare || arg.value.len == 0);
        fuzz_check(!arg.value.len || memchr(p, '&', arg.value.len) == NULL);

        p += arg.value.len;

        fuzz_check((arg.fault != 0)
                   == (faulty(arg.key.data, arg.key.len)
                       || faulty(arg.value.data, arg.value.len)));

        fuzz_check(arg.nested
                   == (nested(arg.key.data, arg.key.len)
                       || nested(arg.value.data, arg.value.len)));

        /* the table finds what is decoded, and nothing else */

        decoded = fuzz_alloc(arg.key.len);
        key.data = decoded;
        key.len = fuzz_decode(decoded, arg.key.data, arg.key.len);

        if (key.len <= SGTM_MAX_KEY) {
            fuzz_check(sgtm_args_rule(names, &arg)
                       == sgtm_names_find(names, key.data, key.len,
                                          sgtm_names_hash(key.data, key.len)));
        }

        fuzz_check(sgtm_args_is(&arg.key, key.data, key.len));
        fuzz_check(sgtm_args_get(in, &key, &value) == SGTM_OK);
        fuzz_check(value.data <= arg.value.data);

        free(decoded);

        if (p < end) {
            fuzz_check(*p == '&');
            p++;
            fuzz_check(!args.last);

        } else {
            fuzz_check(args.last || p[-1] == '&');
        }
    }

    fuzz_check(p == end);
    fuzz_check(!sgtm_args_next(&args, &arg));
}


/* all lines in one walk, past what is unknown, and each line alone */

static void
check_walk(const sgtm_str_t *in, const sgtm_names_t *names)
{
    unsigned      n, m;
    sgtm_arg_t    arg, one;
    sgtm_str_t    rest, line, end;
    sgtm_args_t   args, known, ones;

    rest = *in;

    sgtm_args_init_lines(&args, in);
    sgtm_args_init_lines(&known, in);

    while (sgtm_args_line(&rest, &line, &end)) {

        if (line.len == 0) {
            continue;
        }

        fuzz_check(sgtm_args_begin(&args) && sgtm_args_begin(&known));
        fuzz_check(args.line.data == line.data);

        n = 0;
        m = 0;
        arg.key.data = NULL;

        sgtm_args_init(&ones, &line);

        while (sgtm_args_next(&ones, &one)) {

            fuzz_check(sgtm_args_next(&args, &arg));
            fuzz_check(arg.key.data == one.key.data
                       && arg.key.len == one.key.len
                       && arg.value.data == one.value.data
                       && arg.value.len == one.value.len
                       && arg.word == one.word && arg.fault == one.fault
                       && arg.bare == one.bare && arg.escaped == one.escaped
                       && arg.nested == one.nested);
            m++;
        }

        fuzz_check(!sgtm_args_next(&args, &arg));
        fuzz_check(args.line.len == line.len);

        sgtm_args_init(&ones, &line);

        for ( ;; ) {

            if (!sgtm_args_next_known(&known, &arg, names, &n)) {
                arg.key.data = NULL;
            }

            while (sgtm_args_next(&ones, &one)
                   && one.key.data != arg.key.data)
            {
                fuzz_check(!one.fault && !one.nested && !one.bare);
                fuzz_check(sgtm_args_rule(names, &one) == NULL);
            }

            if (arg.key.data == NULL) {
                break;
            }

            n++;
        }

        fuzz_check(n == m);
    }

    fuzz_check(!sgtm_args_begin(&args) && !sgtm_args_begin(&known));
}


static void
check_lines(const sgtm_str_t *in)
{
    sgtm_str_t      rest, line, end;
    unsigned char  *p;

    p = in->data;
    rest = *in;

    while (sgtm_args_line(&rest, &line, &end)) {

        fuzz_check(line.data == p);
        fuzz_check(!line.len || memchr(line.data, '\n', line.len) == NULL);
        p += line.len;

        fuzz_check(end.data == p);
        fuzz_check(end.len == 0
                   || (end.len == 1 && p[0] == '\n')
                   || (end.len == 2 && p[0] == '\r' && p[1] == '\n'));
        fuzz_check(end.len == 2 || end.len == 0 || line.len == 0
                   || p[-1] != '\r');
        p += end.len;

        fuzz_check(rest.data == p);
        fuzz_check(end.len || rest.len == 0);
    }

    fuzz_check(p == in->data + in->len);
}


static void
check_coding(const sgtm_str_t *in)
{
    size_t          n, m;
    sgtm_str_t      text;
    unsigned char  *out, *want;

    out = fuzz_alloc(in->len);
    want = fuzz_alloc(in->len);

    n = sgtm_args_decode(out, in->len, in);
    m = fuzz_decode(want, in->data, in->len);
    fuzz_check(fuzz_equal(out, n, want, m));
    free(out);

    out = fuzz_alloc(n / 2);
    fuzz_check(sgtm_args_decode(out, n / 2, in) == n / 2);
    fuzz_check(fuzz_equal(out, n / 2, want, n / 2));
    free(out);
    free(want);

    n = sgtm_args_encode(NULL, in);
    text.data = fuzz_alloc(n);
    text.len = sgtm_args_encode(text.data, in);
    fuzz_check(text.len == n);

    out = fuzz_alloc(in->len);
    n = sgtm_args_decode(out, in->len, &text);
    fuzz_check(fuzz_equal(out, n, in->data, in->len));
    free(out);
    free(text.data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sgtm_str_t           in;
    static sgtm_names_t  names;

    if (names.slots == NULL) {
        fuzz_names(&names, sgtm_default_params);
    }

    in = fuzz_copy(data, size);

    check_args(&in, &names);
    check_lines(&in);
    check_walk(&in, &names);
    check_coding(&in);

    free(in.data);

    return 0;
}
