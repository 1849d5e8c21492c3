
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_redact.h"


static int sgtm_cookies_pass(const sgtm_rule_t *rule, unsigned deny);


size_t
sgtm_redact_cookies(const sgtm_names_t *cookies, unsigned deny,
    const sgtm_str_t *in, unsigned char *out)
{
    size_t          len;
    uint32_t        hash;
    unsigned char  *w, *p, *pair, *name, *last, *end;

    if (in->len == 0) {
        return 0;
    }

    w = out;
    end = in->data + in->len;

    /* a pair begins behind its ";", and what is written with its ";" */

    for (pair = in->data; pair < end; pair = last + 1) {

        name = pair;

        while (name < end && (*name == ' ' || *name == '\t')) {
            name++;
        }

        if (name < end && !sgtm_names_begins(cookies, *name)) {
            /* most cookies of a shop are none of ours at first sight */
            last = memchr(name, ';', (size_t) (end - name));

            if (last == NULL) {
                break;
            }

            continue;
        }

        last = (name < end) ? memchr(name, ';', (size_t) (end - name)) : NULL;

        if (last == NULL) {
            last = end;
        }

        /* without "=" it is a value that has no name */

        p = (name < last) ? memchr(name, '=', (size_t) (last - name)) : NULL;

        if (p == NULL) {
            continue;
        }

        while (p > name && (p[-1] == ' ' || p[-1] == '\t')) {
            p--;
        }

        len = (size_t) (p - name);

        hash = sgtm_names_hash_in(name, len, (size_t) (end - name));

        if (!sgtm_cookies_pass(sgtm_names_find(cookies, name, len, hash),
                               deny))
        {
            continue;
        }

        p = (w == out) ? name : pair - 1;
        len = (size_t) (last - p);

        memmove(w, p, len);
        w += len;
    }

    return (size_t) (w - out);
}


int
sgtm_redact_cookie(const sgtm_names_t *cookies, unsigned deny,
    const sgtm_str_t *name)
{
    return sgtm_cookies_pass(sgtm_names_find(cookies, name->data, name->len,
                                             sgtm_names_hash(name->data,
                                                             name->len)),
                             deny);
}


static int
sgtm_cookies_pass(const sgtm_rule_t *rule, unsigned deny)
{
    return rule != NULL
           && (rule->flags & SGTM_NAME_ALLOW)
           && !(rule->deny & deny);
}
