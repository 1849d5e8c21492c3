
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Cookie headers of any bytes, the first of them the denials.  What is left
 * are the allowed cookies, all of them, in their order.
 */


#include "fuzz.h"


static sgtm_names_t  names;


/* the next pair that has a name, without what surrounds it; 0: none is left */

static int
next_pair(const unsigned char **pos, const unsigned char *end,
    sgtm_str_t *pair, sgtm_str_t *name)
{
    const unsigned char  *p, *last, *eq;

    for (p = *pos; p < end; p = last + 1) {

        for (last = p; last < end && *last != ';'; last++) { /* void */ }

        while (p < last && (*p == ' ' || *p == '\t')) {
            p++;
        }

        for (eq = p; eq < last && *eq != '='; eq++) { /* void */ }

        if (eq == last) {
            continue;
        }

        pair->data = (unsigned char *) p;
        pair->len = (size_t) (last - p);

        while (eq > p && (eq[-1] == ' ' || eq[-1] == '\t')) {
            eq--;
        }

        name->data = (unsigned char *) p;
        name->len = (size_t) (eq - p);

        *pos = (last == end) ? end : last + 1;

        return 1;
    }

    return 0;
}


/* written from the meaning of the list, not by the table's search */

static int
allowed(unsigned deny, const sgtm_str_t *name)
{
    size_t                 n;
    const sgtm_default_t  *p;

    for (p = sgtm_default_cookies; p->name.len; p++) {

        n = p->name.len;

        if (p->name.data[n - 1] == '*'
            ? name->len >= n - 1 && memcmp(name->data, p->name.data, n - 1) == 0
            : fuzz_equal(name->data, name->len, p->name.data, n))
        {
            return !(p->rule.deny & deny);
        }
    }

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                   found;
    size_t                n, m;
    unsigned              deny;
    uint64_t              kinds, dropped;
    sgtm_str_t            in, pair, name, kept, last;
    unsigned char        *out, *again;
    const unsigned char  *p, *q;

    if (size == 0) {
        return 0;
    }

    if (names.slots == NULL) {
        fuzz_names(&names, sgtm_default_cookies);
    }

    deny = data[0] & 0x3f;
    in = fuzz_copy(data + 1, size - 1);

    out = fuzz_alloc(in.len);
    n = sgtm_redact_cookies(&names, deny, &in, out, NULL);
    fuzz_check(n <= in.len);

    p = in.data;
    q = out;

    while (next_pair(&p, in.data + in.len, &pair, &name)) {

        fuzz_check(sgtm_redact_cookie(&names, deny, &name)
                   == allowed(deny, &name));

        if (!allowed(deny, &name)) {
            continue;
        }

        found = next_pair(&q, out + n, &kept, &last);
        fuzz_check(found && fuzz_equal(pair.data, pair.len, kept.data,
                                       kept.len));
    }

    fuzz_check(q == out + n);

    again = fuzz_alloc(in.len);
    pair.data = out;
    pair.len = n;
    m = sgtm_redact_cookies(&names, deny, &pair, again, NULL);
    fuzz_check(fuzz_equal(again, m, out, n));

    /* what the denials drop of all that the list lets pass */

    m = sgtm_redact_cookies(&names, 0, &in, again, &kinds);
    dropped = sgtm_redact_kinds(kinds, deny);
    fuzz_check((dropped == kinds) == (n == 0));
    fuzz_check((dropped == 0) == (n == m));

    m = sgtm_redact_cookies(&names, deny, &in, in.data, NULL);
    fuzz_check(fuzz_equal(in.data, m, out, n));

    free(again);
    free(out);
    free(in.data);

    return 0;
}
