
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Arguments: every byte belongs to one or is an "&", whatever the input, and
 * each fault has its name.  A walker that lost an empty value, a bare key or a
 * repeated one would lose what a tag has sent; one that misjudged a byte would
 * refuse a real hit or let a smuggled one pass.
 */


#include "unit.h"


typedef struct {
    const char     *in;
    const char     *out;           /* {key|value} or {key} for a bare one */
} test_split_t;


typedef struct {
    const char     *in;
    size_t          len;
    unsigned        fault;
} test_fault_t;


typedef struct {
    const char     *in;
    unsigned        nested;
} test_nested_t;


static const test_split_t  splits[] = {
    { "", "" },
    { "a", "{a}" },
    { "a=", "{a|}" },
    { "a=1", "{a|1}" },
    { "=1", "{|1}" },
    { "=", "{|}" },
    { "a=1=2", "{a|1=2}" },
    { "a==", "{a|=}" },
    { "a=1&b=2", "{a|1}{b|2}" },
    { "a&&b", "{a}{}{b}" },
    { "a&", "{a}{}" },
    { "&a", "{}{a}" },
    { "&", "{}{}" },
    { "&&", "{}{}{}" },
    { "a=1&a=2&a=1", "{a|1}{a|2}{a|1}" },
    { "a=1&richsstsse", "{a|1}{richsstsse}" },
    { "ep.long_name_of_a_key=a%20value&x", "{ep.long_name_of_a_key|a%20value}"
      "{x}" },
    { "a=~()!*'$ \"&b=<>", "{a|~()!*'$ \"}{b|<>}" },
    { "a=%26%3D%2B+&b", "{a|%26%3D%2B+}{b}" },
    { "a=http://x/?y#z&b", "{a|http://x/?y#z}{b}" },
    { "a%3Db=c%26d", "{a%3Db|c%26d}" },
    { "a=%&b=%4&c=%zz&d", "{a|%}{b|%4}{c|%zz}{d}" },
    { "a=%E2%82&b=%C3=", "{a|%E2%82}{b|%C3=}" },
    { "\xc3%A9=1&a\xe2\x82%AC", "{\xc3%A9|1}{a\xe2\x82%AC}" },
    { "a=%2525&b=%25&c=%252&d", "{a|%2525}{b|%25}{c|%252}{d}" }
};


#define fault(in, reason)  { in, sizeof(in) - 1, SGTM_REASON_##reason }

static const test_fault_t  faults[] = {
    fault("a=1", NONE),
    fault("%61=%31", NONE),
    fault("a=%0A%0D%09%7F%1f", NONE),
    fault("a=%25zz", NONE),
    fault("a=%2520%2500", NONE),
    fault("a=\xc3\xa9", NONE),
    fault("a=%C3%A9", NONE),
    fault("a=%c3\xa9", NONE),
    fault("a=\xc3%A9x", NONE),
    fault("\xe2\x82\xac=1", NONE),
    fault("a=%E2%80%93%F0%9F%98%80", NONE),
    fault("a=%E0%A0%80%ED%9F%BF%EE%80%80%EF%BF%BF", NONE),
    fault("a=%F0%90%80%80%F4%8F%BF%BF", NONE),

    fault("a=%", BAD_ESCAPE),
    fault("a=%4", BAD_ESCAPE),
    fault("a=%4g", BAD_ESCAPE),
    fault("a=%g4", BAD_ESCAPE),
    fault("a=%%41", BAD_ESCAPE),
    fault("%", BAD_ESCAPE),
    fault("%4=1", BAD_ESCAPE),
    fault("a=%u20AC", BAD_ESCAPE),
    fault("a=%E2%82%", BAD_ESCAPE),
    fault("a=%E2%8", BAD_ESCAPE),
    fault("a=%E2%zz", BAD_ESCAPE),
    fault("a=12345678%", BAD_ESCAPE),
    fault("a=1234567890123456%4", BAD_ESCAPE),

    fault("a=\0", BAD_BYTE),
    fault("a=%00", BAD_BYTE),
    fault("%00=1", BAD_BYTE),
    fault("\0", BAD_BYTE),
    fault("a=12345678\0" "12345678", BAD_BYTE),
    fault("a=\n", BAD_BYTE),
    fault("a=\r", BAD_BYTE),
    fault("a=\t", BAD_BYTE),
    fault("a=\x1f", BAD_BYTE),
    fault("a=\x7f", BAD_BYTE),
    fault("a=123456\x7f" "8", BAD_BYTE),
    fault("a\x01", BAD_BYTE),

    /* a byte that begins nothing */
    fault("a=\x80", BAD_UTF8),
    fault("a=%80", BAD_UTF8),
    fault("a=%BF", BAD_UTF8),
    fault("a=%FE", BAD_UTF8),
    fault("a=\xff", BAD_UTF8),

    /* overlong */
    fault("a=%C0%AF", BAD_UTF8),
    fault("a=%C1%BF", BAD_UTF8),
    fault("a=%E0%80%AF", BAD_UTF8),
    fault("a=%E0%9F%BF", BAD_UTF8),
    fault("a=%F0%80%80%AF", BAD_UTF8),
    fault("a=%F0%8F%BF%BF", BAD_UTF8),

    /* surrogates, and over U+10FFFF */
    fault("a=%ED%A0%80", BAD_UTF8),
    fault("a=%ED%BF%BF", BAD_UTF8),
    fault("a=\xed\xa0\xbd\xed\xb8\x80", BAD_UTF8),
    fault("a=%F4%90%80%80", BAD_UTF8),
    fault("a=%F5%80%80%80", BAD_UTF8),

    /* cut */
    fault("a=%C3", BAD_UTF8),
    fault("a=\xc3", BAD_UTF8),
    fault("a=%E2%82", BAD_UTF8),
    fault("a=\xe2\x82", BAD_UTF8),
    fault("a=%F0%9F%98", BAD_UTF8),
    fault("a=%E2x%82%AC", BAD_UTF8),
    fault("a=%C3%41", BAD_UTF8),
    fault("\xc3=\xa9", BAD_UTF8),
    fault("%E2%82=%AC", BAD_UTF8),

    /* the first one counts */
    fault("a=%00%80%", BAD_BYTE),
    fault("a=%80%00", BAD_UTF8)
};


static const test_nested_t  nesteds[] = {
    { "a=1", 0 },
    { "a=%3D%26%2F", 0 },
    { "a=%253D%2526", 0 },
    { "a=https%3A%2F%2Fx%2F", 0 },
    { "a=%25", 0 },
    { "a=%252", 0 },
    { "a=%253", 0 },
    { "a=%25%3", 0 },
    { "a=25253F", 0 },
    { "a=?", 1 },
    { "a=#", 1 },
    { "a=%3F", 1 },
    { "a=%3f", 1 },
    { "a=%23", 1 },
    { "a=%253F", 1 },
    { "a=%2523", 1 },
    { "a=%252525252525253f", 1 },
    { "a=%25252525252525%2523x", 1 },
    { "a=%2520%253Fb", 1 },
    { "a=%C3%3Fb", 1 },
    { "a=%E2%82%23b", 1 },
    { "a=%%3Fb", 1 },
    { "a=%00?", 1 },
    { "https://x/?a=1", 1 },
    { "https%3A%2F%2Fx%2F%3Fa", 1 },
    { "a=1234567?", 1 },
    { "a=12345678?9", 1 }
};


static void
test_split(void)
{
    char          out[512];
    size_t        i, n;
    sgtm_str_t    in;
    sgtm_arg_t    arg;
    sgtm_args_t   args;

    for (i = 0; i < unit_nelts(splits); i++) {

        in = unit_str(splits[i].in);
        n = 0;

        sgtm_args_init(&args, &in);

        while (sgtm_args_next(&args, &arg)) {

            n += (size_t) snprintf(out + n, sizeof(out) - n, "{%.*s",
                                   (int) arg.key.len, arg.key.data);

            if (!arg.bare) {
                n += (size_t) snprintf(out + n, sizeof(out) - n, "|%.*s",
                                       (int) arg.value.len, arg.value.data);
            }

            n += (size_t) snprintf(out + n, sizeof(out) - n, "}");

            if (arg.escaped != (memchr(arg.key.data, '%', arg.key.len)
                                != NULL))
            {
                unit_ok(0, "escaped of \"%.*s\"", (int) arg.key.len,
                        arg.key.data);
            }
        }

        unit_is((unsigned char *) out, n, splits[i].out, splits[i].in);
        unit_ok(!sgtm_args_next(&args, &arg), "  and no more");
    }

    in.len = 0;
    in.data = NULL;

    sgtm_args_init(&args, &in);
    unit_ok(!sgtm_args_next(&args, &arg), "no input at all");
}


static void
test_faults(void)
{
    size_t       i, pad;
    unsigned     bad;
    sgtm_str_t   in;
    sgtm_arg_t   arg;
    sgtm_args_t  args;
    char         text[256];

    for (i = 0; i < unit_nelts(faults); i++) {

        bad = 0;

        /* at every place of a word, and with something behind it */

        for (pad = 0; pad < 18; pad++) {

            memcpy(text, "aaaaaaaaaaaaaaaaaaaa", pad);
            memcpy(text + pad, faults[i].in, faults[i].len);
            memcpy(text + pad + faults[i].len, "&bbbbbbbbbbbbbb=1", 17);

            in = unit_bytes(text, pad + faults[i].len + (pad & 1 ? 17 : 0));

            sgtm_args_init(&args, &in);

            bad += (sgtm_args_next(&args, &arg) != 1);
            bad += (arg.fault != faults[i].fault);
            bad += (arg.key.len + arg.value.len + !arg.bare
                    != pad + faults[i].len);

            if (pad & 1) {
                bad += (sgtm_args_next(&args, &arg) != 1);
                bad += (arg.fault != SGTM_REASON_NONE);
                bad += (arg.key.len != 14);
            }
        }

        unit_ok(bad == 0, "fault %u: %s",
                (unsigned) i, sgtm_reasons[faults[i].fault].label.data);
    }
}


static void
test_bytes(void)
{
    unsigned        c, bad, want;
    sgtm_str_t      in;
    sgtm_arg_t      arg;
    sgtm_args_t     args;
    unsigned char   text[16], escape[8];

    bad = 0;

    for (c = 0; c < 256; c++) {

        if (c == '&' || c == '%') {
            continue;
        }

        want = (c < 0x20 || c == 0x7f) ? SGTM_REASON_BAD_BYTE
               : (c >= 0x80) ? SGTM_REASON_BAD_UTF8 : SGTM_REASON_NONE;

        memcpy(text, "k=aaaaaaaaaaaa", 14);
        text[6] = (unsigned char) c;
        in = unit_bytes(text, 14);

        sgtm_args_init(&args, &in);
        bad += (sgtm_args_next(&args, &arg) != 1 || arg.fault != want);

        if (c == '=') {
            continue;
        }

        memcpy(text, "kaaaaaaaaaaaaa", 14);
        text[6] = (unsigned char) c;
        in = unit_bytes(text, 14);

        sgtm_args_init(&args, &in);
        bad += (sgtm_args_next(&args, &arg) != 1 || arg.fault != want
                || arg.key.len != 14);

        want = (c == 0) ? SGTM_REASON_BAD_BYTE
               : (c >= 0x80) ? SGTM_REASON_BAD_UTF8 : SGTM_REASON_NONE;

        sprintf((char *) escape, "%%%02X", c);
        memcpy(text, "k=aaaa", 6);
        memcpy(text + 6, escape, 3);
        in = unit_bytes(text, 9);

        sgtm_args_init(&args, &in);
        bad += (sgtm_args_next(&args, &arg) != 1 || arg.fault != want);
    }

    unit_ok(bad == 0, "every byte, in a key, in a value and escaped");
}


static void
test_nested(void)
{
    size_t       i;
    sgtm_str_t   in;
    sgtm_arg_t   arg;
    sgtm_args_t  args;

    for (i = 0; i < unit_nelts(nesteds); i++) {

        in = unit_str(nesteds[i].in);

        sgtm_args_init(&args, &in);

        unit_ok(sgtm_args_next(&args, &arg) && arg.nested == nesteds[i].nested,
                "nested %u: %s", nesteds[i].nested, nesteds[i].in);
    }
}


static void
test_rule(void)
{
    size_t              i;
    char                text[512];
    sgtm_str_t          in;
    sgtm_arg_t          arg;
    sgtm_args_t         args;
    sgtm_names_t        names;
    const sgtm_rule_t  *rule;

    static const struct {
        const char     *in;
        unsigned        key;
        unsigned        deny;
    } rules[] = {
        { "v=2", SGTM_KEY_V, 0 },
        { "%76=2", SGTM_KEY_V, 0 },
        { "gclid=1", 0, SGTM_DENY_AD_STORAGE },
        { "gc%6Cid=1", 0, SGTM_DENY_AD_STORAGE },
        { "%67%63%6c%69%64", 0, SGTM_DENY_AD_STORAGE },
        { "ep.user_data.em=1", 0, SGTM_DENY_AD_USER_DATA },
        { "ep%2Euser_data.em=1", 0, SGTM_DENY_AD_USER_DATA },
        { "ep.user_data.", 0, SGTM_DENY_AD_USER_DATA },
        { "ep.user_data", 0, 0 },
        { "GCLID=1", 0, 0 },
        { "gclid2=1", 0, 0 },
        { "gcli=1", 0, 0 },
        { "gc%256Cid=1", 0, 0 },
        { "gc%6=1", 0, 0 },
        { "=1", 0, 0 }
    };

    unit_names(&names, sgtm_default_params);

    for (i = 0; i < unit_nelts(rules); i++) {

        in = unit_str(rules[i].in);

        sgtm_args_init(&args, &in);
        (void) sgtm_args_next(&args, &arg);
        rule = sgtm_args_rule(&names, &arg);

        unit_ok((rules[i].key || rules[i].deny)
                ? rule != NULL && rule->key == rules[i].key
                  && rule->deny == rules[i].deny
                : rule == NULL,
                "the rule of %s", rules[i].in);
    }

    /* a key may be longer than any name, not than a prefix */

    memset(text, 'x', sizeof(text));
    memcpy(text, "ep.user_data.", 13);
    in = unit_bytes(text, sizeof(text));
    sgtm_args_init(&args, &in);
    (void) sgtm_args_next(&args, &arg);
    rule = sgtm_args_rule(&names, &arg);
    unit_ok(rule != NULL && rule->deny == SGTM_DENY_AD_USER_DATA,
            "a prefix of a long key");

    memcpy(text, "ep%2Euser_data.", 15);
    in = unit_bytes(text, sizeof(text));
    sgtm_args_init(&args, &in);
    (void) sgtm_args_next(&args, &arg);
    rule = sgtm_args_rule(&names, &arg);
    unit_ok(rule != NULL && rule->deny == SGTM_DENY_AD_USER_DATA,
            "a prefix of a long key that is escaped");
}


static void
test_get(void)
{
    sgtm_str_t  in, key, value;

    in = unit_str("a=1&%62=2&b=3&c&d=&=5");

    key = unit_str("a");
    unit_ok(sgtm_args_get(&in, &key, &value) == SGTM_OK
            && value.len == 1 && value.data[0] == '1', "get a");

    key = unit_str("b");
    unit_ok(sgtm_args_get(&in, &key, &value) == SGTM_OK
            && value.len == 1 && value.data[0] == '2',
            "get b, the first one, escaped");

    key = unit_str("c");
    unit_ok(sgtm_args_get(&in, &key, &value) == SGTM_OK && value.len == 0,
            "get a bare one");

    key = unit_str("d");
    unit_ok(sgtm_args_get(&in, &key, &value) == SGTM_OK && value.len == 0,
            "get an empty one");

    key = unit_str("");
    unit_ok(sgtm_args_get(&in, &key, &value) == SGTM_OK
            && value.len == 1 && value.data[0] == '5', "get the empty key");

    key = unit_str("e");
    unit_ok(sgtm_args_get(&in, &key, &value) == SGTM_DECLINED,
            "get none");

    key = unit_str("%62");
    unit_ok(sgtm_args_get(&in, &key, &value) == SGTM_DECLINED,
            "the key to get is a decoded one");

    unit_ok(sgtm_args_is(&in, in.data, in.len) == 0
            && sgtm_args_is(&key, (unsigned char *) "b", 1) == 1
            && sgtm_args_is(&key, key.data, key.len) == 0,
            "a value is what it decodes to");
}


static void
test_lines(void)
{
    size_t      i, n;
    char        out[256];
    sgtm_str_t  rest, line, end;

    static const test_split_t  lines[] = {
        { "", "" },
        { "a", "[a|0]" },
        { "a\r\n", "[a|2]" },
        { "a\n", "[a|1]" },
        { "a\r\nb", "[a|2][b|0]" },
        { "a\nb\n", "[a|1][b|1]" },
        { "a\r\n\r\nb", "[a|2][|2][b|0]" },
        { "\n", "[|1]" },
        { "\r\n", "[|2]" },
        { "\n\n", "[|1][|1]" },
        { "a\rb", "[a\rb|0]" },
        { "a\r", "[a\r|0]" },
        { "a\r\r\n", "[a\r|2]" },
        { "en=scroll&x=1\r\nen=page_view\r\n",
          "[en=scroll&x=1|2][en=page_view|2]" }
    };

    for (i = 0; i < unit_nelts(lines); i++) {

        rest = unit_str(lines[i].in);
        n = 0;

        while (sgtm_args_line(&rest, &line, &end)) {
            n += (size_t) snprintf(out + n, sizeof(out) - n, "[%.*s|%u]",
                                   (int) line.len, line.data,
                                   (unsigned) end.len);

            if (line.data + line.len != end.data
                || end.data + end.len != rest.data)
            {
                unit_ok(0, "line, end and rest lie together");
            }
        }

        unit_ok(n == strlen(lines[i].out)
                && memcmp(out, lines[i].out, n) == 0,
                "lines %u", (unsigned) i);
    }

    rest.len = 0;
    rest.data = NULL;
    unit_ok(!sgtm_args_line(&rest, &line, &end), "lines of nothing");
}


static void
test_coding(void)
{
    size_t         i, n;
    sgtm_str_t     in;
    unsigned char  all[256], out[768], back[256];

    static const test_split_t  codes[] = {
        { "", "" },
        { "abc", "abc" },
        { "a%20b+c", "a b+c" },
        { "%2520", "%20" },
        { "%", "%" },
        { "%4", "%4" },
        { "%4g%41", "%4gA" },
        { "%e2%82%AC", "\xe2\x82\xac" }
    };

    for (i = 0; i < unit_nelts(codes); i++) {
        in = unit_str(codes[i].in);
        n = sgtm_args_decode(out, sizeof(out), &in);
        unit_is(out, n, codes[i].out, codes[i].in);
    }

    in = unit_str("%41%42%43%44");
    n = sgtm_args_decode(out, 3, &in);
    unit_is(out, n, "ABC", "decode into less");

    in = unit_str("AZaz09-_.!~*'()");
    n = sgtm_args_encode(out, &in);
    unit_is(out, n, "AZaz09-_.!~*'()", "encode what stays");

    in = unit_str(" \"#$%&+,/:;<=>?@[\\]^`{|}\xe2\x82\xac");
    n = sgtm_args_encode(out, &in);
    unit_is(out, n, "%20%22%23%24%25%26%2B%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D"
            "%5E%60%7B%7C%7D%E2%82%AC", "encode what does not");

    for (i = 0; i < sizeof(all); i++) {
        all[i] = (unsigned char) i;
    }

    in = unit_bytes(all, sizeof(all));
    n = sgtm_args_encode(NULL, &in);
    unit_ok(n == sgtm_args_encode(out, &in), "the length is foretold");

    in.data = out;
    in.len = n;
    unit_ok(sgtm_args_decode(back, sizeof(back), &in) == sizeof(all)
            && memcmp(all, back, sizeof(all)) == 0, "there and back");
}


int
main(void)
{
    test_split();
    test_faults();
    test_bytes();
    test_nested();
    test_rule();
    test_get();
    test_lines();
    test_coding();

    return unit_done();
}
