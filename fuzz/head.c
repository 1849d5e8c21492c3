
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Pages of any bytes, in pieces of any size: the place is the one that a plain
 * reading of the whole finds, what waits is the end of what was read, and what
 * a page loads is looked for without reading past its end.
 */


#include "fuzz.h"
#include "page/sgtm_head.h"


typedef struct {
    const unsigned char  *p;
    size_t                len;
} text_t;


static int
is_space(unsigned c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}


static int
is_letter(unsigned c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}


/* behind the next byte of this kind; past the end: there is none */

static size_t
behind(const text_t *t, size_t i, unsigned c)
{
    while (i < t->len && t->p[i] != c) {
        i++;
    }

    return i + 1;
}


/* behind the ">" of a tag, from the end of its name on */

static size_t
behind_tag(const text_t *t, size_t i)
{
    for ( ;; ) {

        while (i < t->len && (is_space(t->p[i]) || t->p[i] == '/')) {
            i++;
        }

        if (i >= t->len || t->p[i] == '>') {
            return i + 1;
        }

        for (i++; i < t->len && !is_space(t->p[i]) && t->p[i] != '/'
                  && t->p[i] != '>' && t->p[i] != '='; i++)
        {
            /* void */
        }

        while (i < t->len && is_space(t->p[i])) {
            i++;
        }

        if (i >= t->len || t->p[i] != '=') {
            continue;
        }

        for (i++; i < t->len && is_space(t->p[i]); i++) { /* void */ }

        if (i < t->len && (t->p[i] == '"' || t->p[i] == '\'')) {
            i = behind(t, i + 1, t->p[i]);
            continue;
        }

        while (i < t->len && !is_space(t->p[i]) && t->p[i] != '>') {
            i++;
        }
    }
}


static size_t
behind_comment(const text_t *t, size_t i)
{
    if (t->len - i >= 1 && t->p[i] == '>') {
        return i + 1;
    }

    if (t->len - i >= 2 && t->p[i] == '-' && t->p[i + 1] == '>') {
        return i + 2;
    }

    for ( /* void */ ; i + 3 <= t->len; i++) {

        if (memcmp(t->p + i, "-->", 3) == 0) {
            return i + 3;
        }

        if (i + 4 <= t->len && memcmp(t->p + i, "--!>", 4) == 0) {
            return i + 4;
        }
    }

    return t->len + 1;
}


static int
name_is(const text_t *t, size_t from, size_t to, const char *name)
{
    size_t  i;

    if (to - from != strlen(name)) {
        return 0;
    }

    for (i = 0; i < to - from; i++) {
        if (!is_letter(t->p[from + i])
            || (t->p[from + i] | 0x20) != (unsigned char) name[i])
        {
            return 0;
        }
    }

    return 1;
}


/* "<!" and "<?", from their second character on */

static size_t
behind_other(const text_t *t, size_t i, int *page)
{
    size_t  n;

    n = i + 1;

    if (t->p[i] == '!' && t->len - n >= 2 && memcmp(t->p + n, "--", 2) == 0) {
        return behind_comment(t, n + 2);
    }

    if (t->p[i] == '!' && t->len - n >= 7 && name_is(t, n, n + 7, "doctype")) {
        *page = 1;
        return behind(t, n + 7, '>');
    }

    return behind(t, n, '>');
}


/* the place in the whole text: sgtm_head_e */

static unsigned
plain(const text_t *t, size_t *at)
{
    int     page, end;
    size_t  i, n, start;

    i = (t->len >= 3 && memcmp(t->p, "\xef\xbb\xbf", 3) == 0) ? 3 : 0;

    /* one that is cut may still come */

    if (i == 0 && t->len && t->len < 3
        && memcmp(t->p, "\xef\xbb\xbf", t->len) == 0)
    {
        return SGTM_HEAD_MORE;
    }

    for (page = 0; i < t->len; /* void */ ) {

        if (is_space(t->p[i])) {
            i++;
            continue;
        }

        *at = i;

        if (t->p[i] != '<') {
            return page ? SGTM_HEAD_HERE : SGTM_HEAD_NONE;
        }

        if (i + 1 == t->len) {
            return SGTM_HEAD_MORE;
        }

        if (t->p[i + 1] == '?' || t->p[i + 1] == '!') {
            i = behind_other(t, i + 1, &page);
            continue;
        }

        end = (t->p[i + 1] == '/');
        start = i + 1 + (size_t) end;

        if (end && start == t->len) {
            return SGTM_HEAD_MORE;
        }

        if (end && !is_letter(t->p[start])) {
            i = behind(t, start, '>');
            continue;
        }

        if (!is_letter(t->p[start])) {
            return page ? SGTM_HEAD_HERE : SGTM_HEAD_NONE;
        }

        for (n = start; n < t->len && !is_space(t->p[n]) && t->p[n] != '/'
                        && t->p[n] != '>'; n++)
        {
            /* void */
        }

        if (n == t->len && n - start <= 4) {
            return SGTM_HEAD_MORE;
        }

        if (end) {
            if (name_is(t, start, n, "head") || name_is(t, start, n, "body")
                || name_is(t, start, n, "html") || name_is(t, start, n, "br")
                || !page)
            {
                return page ? SGTM_HEAD_HERE : SGTM_HEAD_NONE;
            }

            i = behind_tag(t, n);
            continue;
        }

        if (name_is(t, start, n, "head")) {
            *at = behind_tag(t, n);
            return (*at <= t->len) ? SGTM_HEAD_HERE : SGTM_HEAD_MORE;
        }

        if (!name_is(t, start, n, "html")) {
            return (page || name_is(t, start, n, "body")) ? SGTM_HEAD_HERE
                                                          : SGTM_HEAD_NONE;
        }

        page = 1;
        i = behind_tag(t, n);
    }

    return SGTM_HEAD_MORE;
}


static void
check_pieces(const text_t *t, unsigned seed, unsigned want, size_t place)
{
    size_t       i, n;
    unsigned     rc;
    ptrdiff_t    at;
    sgtm_str_t   piece;
    sgtm_head_t  h;

    memset(&h, 0, sizeof(sgtm_head_t));
    rc = SGTM_HEAD_MORE;

    for (i = 0; i < t->len && rc == SGTM_HEAD_MORE; i += n) {

        seed = seed * 1103515245 + 12345;
        n = 1 + (seed >> 16) % ((seed >> 8 & 3) ? 7 : 200);
        n = (n < t->len - i) ? n : t->len - i;

        piece = fuzz_copy(t->p + i, n);
        rc = sgtm_head_scan(&h, &piece, &at);
        free(piece.data);

        if (rc == SGTM_HEAD_MORE) {
            fuzz_check(h.ntail <= SGTM_HEAD_TAIL && h.ntail <= i + n);
            fuzz_check(memcmp(h.tail, t->p + i + n - h.ntail, h.ntail) == 0);
            fuzz_check(want != SGTM_HEAD_HERE || place >= i + n - h.ntail);
        }

        if (rc == SGTM_HEAD_HERE) {
            fuzz_check((ptrdiff_t) i + at == (ptrdiff_t) place);
        }
    }

    fuzz_check(rc == want);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t      place;
    text_t      t;
    unsigned    want, i;
    sgtm_str_t  page, path, host;

    if (size == 0) {
        return 0;
    }

    t.p = data + 1;
    t.len = size - 1;

    place = 0;
    want = plain(&t, &place);

    for (i = 0; i < 4; i++) {
        check_pieces(&t, data[0] + 256 * i, want, place);
    }

    page = fuzz_copy(t.p, t.len);
    path = fuzz_copy("/m/t.js", 7);
    host = fuzz_copy("a.b", 3);

    (void) sgtm_head_loads(&page, &path, &host);

    free(host.data);
    free(path.data);
    free(page.data);

    return 0;
}
