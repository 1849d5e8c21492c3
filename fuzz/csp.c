
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Policies of any bytes: all words of a page's policy are still there, in their
 * order, but for 'none'; what came along are words of the policy itself and the
 * few that tags need.  And bodies of any bytes as reports.
 */


#include "fuzz.h"
#include "page/sgtm_csp.h"


#define NONCE  "0123456789abcdef"


typedef struct {
    const unsigned char  *p;
    const unsigned char  *last;
} words_t;


static const char  *known[] = {
    "'self'", "'nonce-" NONCE "'", "sgtm", "goog#html", "'allow-duplicates'",
    "https://*.googletagmanager.com", "https://*.google-analytics.com",
    "https://*.analytics.google.com", "script-src", "connect-src", "img-src",
    "frame-src", NULL
};


/* words stand between white space, semicolons and commas */

static int
next_word(words_t *w, sgtm_str_t *word)
{
    while (w->p < w->last && strchr(" \t\n\f\r;,", *w->p) && *w->p) {
        w->p++;
    }

    if (w->p == w->last) {
        return 0;
    }

    word->data = (unsigned char *) w->p;

    while (w->p < w->last && (*w->p == '\0'
                              || !strchr(" \t\n\f\r;,", *w->p)))
    {
        w->p++;
    }

    word->len = (size_t) (w->p - word->data);

    return 1;
}


static int
is_none(const sgtm_str_t *word)
{
    size_t  i;

    if (word->len != 6) {
        return 0;
    }

    for (i = 0; i < 6; i++) {
        if (word->data[i] != (unsigned char) "'none'"[i]
            && word->data[i] != (unsigned char) "'NONE'"[i])
        {
            return 0;
        }
    }

    return 1;
}


static int
may_be_new(const sgtm_str_t *word, const sgtm_str_t *in)
{
    unsigned    i;
    words_t     w;
    sgtm_str_t  other;

    for (i = 0; known[i] != NULL; i++) {
        if (fuzz_equal(word->data, word->len,
                       (const unsigned char *) known[i], strlen(known[i])))
        {
            return 1;
        }
    }

    w.p = in->data;
    w.last = in->data + in->len;

    while (next_word(&w, &other)) {
        if (fuzz_equal(word->data, word->len, other.data, other.len)) {
            return 1;
        }
    }

    return 0;
}


static void
check_words(const sgtm_str_t *in, const sgtm_str_t *out)
{
    int         left;
    words_t     i, o;
    sgtm_str_t  was, is;

    i.p = in->data;
    i.last = in->data + in->len;
    o.p = out->data;
    o.last = out->data + out->len;

    left = next_word(&i, &was);

    while (next_word(&o, &is)) {

        while (left && is_none(&was)
               && !fuzz_equal(was.data, was.len, is.data, is.len))
        {
            left = next_word(&i, &was);
        }

        if (left && fuzz_equal(was.data, was.len, is.data, is.len)) {
            left = next_word(&i, &was);
            continue;
        }

        fuzz_check(may_be_new(&is, in));
    }

    while (left) {
        fuzz_check(is_none(&was));
        left = next_word(&i, &was);
    }
}


static size_t
count(const sgtm_str_t *text, unsigned c)
{
    size_t  i, n;

    for (i = 0, n = 0; i < text->len; i++) {
        n += (text->data[i] == c);
    }

    return n;
}


static sgtm_str_t
fit(const sgtm_str_t *in, const sgtm_csp_need_t *need, unsigned *nonced)
{
    unsigned    again;
    sgtm_str_t  out;

    *nonced = again = 0;

    out.len = sgtm_csp_fit(NULL, in, need, nonced);
    out.data = fuzz_alloc(out.len);

    fuzz_check(sgtm_csp_fit(out.data, in, need, &again) == out.len
               || out.len == 0);
    fuzz_check(*nonced == again || out.len == 0);

    return out;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned         i, nonced, sum, n[SGTM_CSP_N];
    sgtm_str_t       in, out, twice, host, prefix, nonce;
    sgtm_csp_need_t  need;

    if (size == 0) {
        return 0;
    }

    in = fuzz_copy(data + 1, size - 1);
    host = fuzz_copy("shop.example", 12);
    prefix = fuzz_copy("/metrics/", 9);
    nonce = fuzz_copy(NONCE, sizeof(NONCE) - 1);

    need.tagging = (data[0] & 3) % 3;
    need.ways = data[0] >> 2 & 3;
    need.https = data[0] >> 4 & 1;
    need.host = host;
    need.prefix = prefix;
    need.nonce = nonce;

    out = fit(&in, &need, &nonced);
    check_words(&in, &out);
    fuzz_check(count(&out, ',') == count(&in, ','));
    free(out.data);

    /* without a nonce, what fits is not changed again */

    need.nonce.len = 0;

    out = fit(&in, &need, &nonced);
    fuzz_check(nonced == 0);
    check_words(&in, &out);

    twice = fit(&out, &need, &nonced);
    fuzz_check(fuzz_equal(twice.data, twice.len, out.data, out.len));

    memset(n, 0, sizeof(n));
    (void) sgtm_csp_report(&in, n);

    for (i = 0, sum = 0; i < SGTM_CSP_N; i++) {
        sum += n[i];
    }

    fuzz_check(sum <= SGTM_CSP_REPORTS);

    free(twice.data);
    free(out.data);
    free(nonce.data);
    free(prefix.data);
    free(host.data);
    free(in.data);

    return 0;
}
