
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * URLs of any bytes, the first of them the denials.  What is left has none of
 * the denied arguments, is made of the input's bytes in their order, and does
 * not change again; as an URL that is encoded once more is cut the same.  An
 * URL that has none of them for any reader stays as it is.
 */


#include "fuzz.h"


/* whether there may be an "&amp;", which the checks do not know */

static int
entity(const sgtm_str_t *in)
{
    int             found;
    size_t          n, size;
    unsigned char  *text;

    text = fuzz_copy(in->data, in->len).data;
    size = in->len;

    do {
        n = size;
        size = fuzz_decode(text, text, n);
    } while (n != size);

    found = 0;

    for (n = 0; n + 2 < size; n++) {
        found |= ((text[n] | 0x20) == 'a' && (text[n + 1] | 0x20) == 'm'
                  && (text[n + 2] | 0x20) == 'p');
    }

    free(text);

    return found;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t               i, j, n, m;
    unsigned             deny;
    sgtm_str_t           in, cut, code;
    unsigned char       *out, *again;
    static sgtm_names_t  names;

    if (size == 0) {
        return 0;
    }

    if (names.slots == NULL) {
        fuzz_names(&names, sgtm_default_params);
    }

    deny = data[0] & 0x3f;
    in = fuzz_copy(data + 1, size - 1);

    out = fuzz_alloc(in.len);
    n = sgtm_redact_url(&names, deny, &in, out);

    fuzz_check(n <= in.len);

    if (deny == 0) {
        fuzz_check(n == in.len);
    }

    for (i = 0, j = 0; i < n; i++, j++) {

        while (j < in.len && in.data[j] != out[i]) {
            j++;
        }

        fuzz_check(j < in.len);
    }

    fuzz_check(fuzz_url_denied(sgtm_default_params, deny, out, n)
               != FUZZ_DENIED);

    if (n != in.len) {
        fuzz_check(entity(&in)
                   || fuzz_url_denied(sgtm_default_params, deny, in.data,
                                      in.len) != FUZZ_ALLOWED);
    }

    cut = fuzz_copy(out, n);
    again = fuzz_alloc(n);
    m = sgtm_redact_url(&names, deny, &cut, again);
    fuzz_check(fuzz_equal(again, m, cut.data, cut.len));
    free(again);

    /* in place */

    again = fuzz_copy(in.data, in.len).data;
    code.data = again;
    code.len = in.len;
    m = sgtm_redact_url(&names, deny, &code, again);
    fuzz_check(fuzz_equal(again, m, cut.data, cut.len));
    free(again);

    /* the same URL within another one */

    code.data = fuzz_alloc(sgtm_args_encode(NULL, &in));
    code.len = sgtm_args_encode(code.data, &in);
    again = fuzz_alloc(code.len);
    m = sgtm_redact_url(&names, deny, &code, again);
    free(code.data);

    code.data = fuzz_alloc(sgtm_args_encode(NULL, &cut));
    code.len = sgtm_args_encode(code.data, &cut);
    fuzz_check(fuzz_equal(again, m, code.data, code.len));
    free(code.data);
    free(again);

    free(cut.data);
    free(out);
    free(in.data);

    return 0;
}
