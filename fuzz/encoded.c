
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Queries in one base64 value: any bytes decode within bounds, and any query
 * with "v=2" that somebody encodes is found, in all ways of writing it.
 */


#include "fuzz.h"


static const char  alphabets[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
};


static size_t
encode(char *out, const char *alphabet, const unsigned char *in, size_t len,
    int padding)
{
    char      *p;
    size_t     i, n;
    uint32_t   bits;

    p = out;

    for (i = 0; i < len; i += 3) {

        n = (len - i < 3) ? len - i : 3;

        bits = (uint32_t) in[i] << 16;
        bits |= (n > 1) ? (uint32_t) in[i + 1] << 8 : 0;
        bits |= (n > 2) ? in[i + 2] : 0;

        *p++ = alphabet[bits >> 18];
        *p++ = alphabet[bits >> 12 & 0x3f];

        if (n > 1) {
            *p++ = alphabet[bits >> 6 & 0x3f];
        }

        if (n > 2) {
            *p++ = alphabet[bits & 0x3f];
        }

        for ( /* void */ ; padding && n < 3; n++) {
            *p++ = '=';
        }
    }

    return (size_t) (p - out);
}


static void
check_found(const sgtm_str_t *text, const char *head, int alphabet,
    int padding, int escape)
{
    char           *code;
    size_t          n;
    sgtm_str_t      query, plain, decoded;
    unsigned char  *out;

    code = (char *) fuzz_alloc(text->len * 2 + 8);
    plain.data = (unsigned char *) code;
    plain.len = encode(code, alphabets[alphabet], text->data, text->len,
                       padding);

    n = escape ? sgtm_args_encode(NULL, &plain) : plain.len;

    query.len = strlen(head) + n;
    query.data = fuzz_alloc(query.len);
    memcpy(query.data, head, strlen(head));

    if (escape) {
        (void) sgtm_args_encode(query.data + strlen(head), &plain);

    } else {
        memcpy(query.data + strlen(head), plain.data, plain.len);
    }

    out = fuzz_alloc(query.len);

    fuzz_check(sgtm_ga4_encoded(&query, out, &decoded) == SGTM_OK);
    fuzz_check(fuzz_equal(decoded.data, decoded.len, text->data, text->len));

    free(out);
    free(query.data);
    free(code);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             i, fault;
    sgtm_str_t      in, text, decoded, key, value;
    sgtm_arg_t      arg;
    sgtm_args_t     args;
    unsigned char  *out;

    in = fuzz_copy(data, size);
    out = fuzz_alloc(size);

    if (sgtm_ga4_encoded(&in, out, &decoded) == SGTM_OK) {

        fuzz_check(decoded.data >= out
                   && decoded.data + decoded.len <= out + size);

        key.data = (unsigned char *) "v";
        key.len = 1;
        fuzz_check(sgtm_args_get(&decoded, &key, &value) == SGTM_OK);

        fault = 0;
        sgtm_args_init(&args, &decoded);

        while (sgtm_args_next(&args, &arg)) {
            fault |= arg.fault;
        }

        fuzz_check(!fault);
    }

    free(out);

    /* the input as what is encoded */

    text.len = size + 30;
    text.data = fuzz_alloc(text.len);
    memcpy(text.data, "v=2&tid=G-ABC1234567&en=abcde&", 30);
    memcpy(text.data + 30, in.data ? in.data : text.data, size);

    fault = 0;
    sgtm_args_init(&args, &text);

    while (sgtm_args_next(&args, &arg)) {
        fault |= arg.fault;
    }

    for (i = 0; i < 16 && !fault; i++) {
        check_found(&text, i & 8 ? "data=" : "", i & 1, i >> 1 & 1, i >> 2 & 1);
    }

    free(text.data);
    free(in.data);

    return 0;
}
