
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What is JSON and what is not, and what its strings mean.  A text that others
 * read in another way would have members that no rule sees.
 */


#include "unit.h"
#include "sgtm_json.h"


#define DIGITS_20  "12345678901234567890"
#define DIGITS_60  DIGITS_20 DIGITS_20 DIGITS_20


static const struct {
    const char     *in;
    unsigned        reason;
} texts[] = {
    { "{}", SGTM_REASON_NONE },
    { " [ ] ", SGTM_REASON_NONE },
    { "{\"a\":[1,-0,0.5,1e9,1E-9,-12.25e+3,true,false,null,\"\"]}",
      SGTM_REASON_NONE },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD83D\\uDE00\"",
      SGTM_REASON_NONE },
    { "\"\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf\"", SGTM_REASON_NONE },
    { "7", SGTM_REASON_NONE },
    { "[-0." DIGITS_60 ",1]", SGTM_REASON_NONE },
    { "[-0." DIGITS_60 "1,1]", SGTM_REASON_BAD_JSON },
    { "[1e" DIGITS_60 DIGITS_60 "]", SGTM_REASON_BAD_JSON },
    { "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", SGTM_REASON_NONE },
    { "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", SGTM_REASON_JSON_DEPTH },
    { "[[1],[[[[[[[[[[[[[[[[", SGTM_REASON_JSON_DEPTH },
    { "", SGTM_REASON_BAD_JSON },
    { " ", SGTM_REASON_BAD_JSON },
    { "{", SGTM_REASON_BAD_JSON },
    { "[", SGTM_REASON_BAD_JSON },
    { "[1", SGTM_REASON_BAD_JSON },
    { "[1,", SGTM_REASON_BAD_JSON },
    { "[1,]", SGTM_REASON_BAD_JSON },
    { "[,1]", SGTM_REASON_BAD_JSON },
    { "[1}", SGTM_REASON_BAD_JSON },
    { "{\"a\"}", SGTM_REASON_BAD_JSON },
    { "{\"a\":}", SGTM_REASON_BAD_JSON },
    { "{\"a\":1,}", SGTM_REASON_BAD_JSON },
    { "{a:1}", SGTM_REASON_BAD_JSON },
    { "{1:1}", SGTM_REASON_BAD_JSON },
    { "{\"a\":1 \"b\":2}", SGTM_REASON_BAD_JSON },
    { "{}{}", SGTM_REASON_BAD_JSON },
    { "01", SGTM_REASON_BAD_JSON },
    { "-", SGTM_REASON_BAD_JSON },
    { ".5", SGTM_REASON_BAD_JSON },
    { "1.", SGTM_REASON_BAD_JSON },
    { "1e", SGTM_REASON_BAD_JSON },
    { "+1", SGTM_REASON_BAD_JSON },
    { "0x1", SGTM_REASON_BAD_JSON },
    { "tru", SGTM_REASON_BAD_JSON },
    { "nulll", SGTM_REASON_BAD_JSON },
    { "\"", SGTM_REASON_BAD_JSON },
    { "\"a", SGTM_REASON_BAD_JSON },
    { "\"\\", SGTM_REASON_BAD_JSON },
    { "\"\\u12", SGTM_REASON_BAD_JSON },
    { "\"\\u12g4\"", SGTM_REASON_BAD_JSON },
    { "\"\\a\"", SGTM_REASON_BAD_JSON },
    { "\f1", SGTM_REASON_BAD_JSON },
    { "\xef\xbb\xbf{}", SGTM_REASON_BAD_JSON },
    { "\"\t\"", SGTM_REASON_BAD_BYTE },
    { "\"\\u0000\"", SGTM_REASON_BAD_BYTE },
    { "\"\x80\"", SGTM_REASON_BAD_UTF8 },
    { "\"\xc3\"", SGTM_REASON_BAD_UTF8 },
    { "\"\xf4\x90\x80\x80\"", SGTM_REASON_BAD_UTF8 },
    { "\"\xc0\x80\"", SGTM_REASON_BAD_UTF8 },
    { "\"\\ud800\"", SGTM_REASON_BAD_UTF8 },
    { "\"\\ud800\\u0041\"", SGTM_REASON_BAD_UTF8 },
    { "\"\\udc00\"", SGTM_REASON_BAD_UTF8 }
};


static void
test_texts(void)
{
    size_t      i;
    sgtm_str_t  in;

    for (i = 0; i < unit_nelts(texts); i++) {
        in = unit_str(texts[i].in);
        unit_ok(sgtm_json_check(&in) == texts[i].reason, "%s", texts[i].in);
    }
}


static void
test_strings(void)
{
    size_t         i, n;
    sgtm_str_t     in, text;
    unsigned char  out[64];

    static const struct {
        const char  *in;
        const char  *text;
        const char  *out;
    } strings[] = {
        { "\"\"", "", "\"\"" },
        { "\"a\\/b\"", "a/b", "\"a/b\"" },
        { "\"\\u0041\\u00e4\\u20ac\\ud83d\\ude00\"",
          "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
          "\"A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\"", "\"\\\b\f\n\r\t\001",
          "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\"" }
    };

    for (i = 0; i < unit_nelts(strings); i++) {
        in = unit_str(strings[i].in);
        text = unit_str(strings[i].text);

        n = sgtm_json_decode(out, sizeof(out), &in);
        unit_is(out, n, strings[i].text, "decoded");
        unit_ok(sgtm_json_is(&in, &text), "the same text");

        n = sgtm_json_encode(out, &text);
        unit_is(out, n, strings[i].out, "encoded");
        unit_ok(n == sgtm_json_encode(NULL, &text), "as long as counted");
    }

    in = unit_str("\"\\ud83d\\ude00\"");
    unit_ok(sgtm_json_decode(out, 3, &in) == 0, "a character is not cut");

    text = unit_str("a");
    in = unit_str("\"ab\"");
    unit_ok(!sgtm_json_is(&in, &text), "a longer one");

    text = unit_str("a\xff\xc3z");
    n = sgtm_json_encode(out, &text);
    unit_is(out, n, "\"a\xef\xbf\xbd\xef\xbf\xbdz\"", "what is not UTF-8");
}


int
main(void)
{
    test_texts();
    test_strings();

    return unit_done();
}
