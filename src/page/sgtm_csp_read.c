
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_csp_core.h"


static unsigned sgtm_csp_name(const sgtm_str_t *name);
static int sgtm_csp_is_own(const sgtm_str_t *token,
    const sgtm_csp_need_t *need);


const sgtm_str_t  sgtm_csp_names[] = {
    sgtm_string("default-src"),
    sgtm_string("script-src"),
    sgtm_string("script-src-elem"),
    sgtm_string("connect-src"),
    sgtm_string("img-src"),
    sgtm_string("child-src"),
    sgtm_string("frame-src"),
    sgtm_string("trusted-types")
};


const sgtm_str_t  sgtm_csp_self = sgtm_string("'self'");


/* what scripts, frames and connections fall back to, in this order */

static const uint8_t  sgtm_csp_fallbacks[SGTM_SRC_N][4] = {
    { SGTM_SRC_DEFAULT, SGTM_SRC_N },
    { SGTM_SRC_SCRIPT_ELEM, SGTM_SRC_SCRIPT, SGTM_SRC_DEFAULT, SGTM_SRC_N },
    { SGTM_SRC_SCRIPT_ELEM, SGTM_SRC_SCRIPT, SGTM_SRC_DEFAULT, SGTM_SRC_N },
    { SGTM_SRC_CONNECT, SGTM_SRC_DEFAULT, SGTM_SRC_N },
    { SGTM_SRC_IMG, SGTM_SRC_DEFAULT, SGTM_SRC_N },
    { SGTM_SRC_CHILD, SGTM_SRC_DEFAULT, SGTM_SRC_N },
    { SGTM_SRC_FRAME, SGTM_SRC_CHILD, SGTM_SRC_DEFAULT, SGTM_SRC_N },
    { SGTM_SRC_TRUSTED, SGTM_SRC_N }
};


void
sgtm_csp_read(sgtm_csp_policy_t *p, const sgtm_str_t *policy)
{
    unsigned               i;
    sgtm_str_t             text, name;
    unsigned char         *pos, *last, *end;
    sgtm_csp_directive_t  *d;

    memset(p, 0, sizeof(sgtm_csp_policy_t));

    pos = policy->data;
    last = pos + policy->len;

    while (sgtm_csp_part(&pos, last, ';', &text)) {

        end = text.data;

        if (!sgtm_csp_token(&end, text.data + text.len, &name)) {
            continue;
        }

        i = sgtm_csp_name(&name);

        if (i == SGTM_SRC_N || p->d[i].there) {
            continue;
        }

        d = &p->d[i];

        d->there = 1;
        d->text = text;
        d->sources.data = name.data + name.len;
        d->sources.len = (size_t) (text.data + text.len - d->sources.data);
    }
}


int
sgtm_csp_part(unsigned char **pos, unsigned char *last, int ch,
    sgtm_str_t *part)
{
    unsigned char  *p;

    if (*pos == NULL) {
        return 0;
    }

    part->data = *pos;

    p = (*pos < last) ? memchr(*pos, ch, (size_t) (last - *pos)) : NULL;

    if (p == NULL) {
        part->len = (size_t) (last - *pos);
        *pos = NULL;

    } else {
        part->len = (size_t) (p - *pos);
        *pos = p + 1;
    }

    return 1;
}


int
sgtm_csp_token(unsigned char **pos, unsigned char *last,
    sgtm_str_t *token)
{
    unsigned char  *p;

    for (p = *pos; p < last && sgtm_csp_is_space(*p); p++) { /* void */ }

    if (p == last) {
        return 0;
    }

    token->data = p;

    while (p < last && !sgtm_csp_is_space(*p)) {
        p++;
    }

    token->len = (size_t) (p - token->data);
    *pos = p;

    return 1;
}


static unsigned
sgtm_csp_name(const sgtm_str_t *name)
{
    unsigned  i;

    for (i = 0; i < SGTM_SRC_N; i++) {
        if (sgtm_csp_equal(name->data, name->len, &sgtm_csp_names[i])) {
            break;
        }
    }

    return i;
}


unsigned
sgtm_csp_governs(const sgtm_csp_policy_t *p, unsigned directive)
{
    const uint8_t  *i;

    for (i = sgtm_csp_fallbacks[directive]; *i != SGTM_SRC_N; i++) {
        if (p->d[*i].there) {
            break;
        }
    }

    return *i;
}


/* "*" stands for all hosts, but for no word in quotes other than 'self' */

int
sgtm_csp_allows(const sgtm_str_t *sources, const sgtm_str_t *source,
    const sgtm_csp_need_t *need)
{
    int             self, host;
    sgtm_str_t      token;
    unsigned char  *pos, *last;

    static sgtm_str_t  https = sgtm_string("https:");
    static sgtm_str_t  http = sgtm_string("http:");

    self = sgtm_csp_equal(source->data, source->len, &sgtm_csp_self);
    host = (source->len > 8 && memcmp(source->data, "https://", 8) == 0);

    pos = sources->data;
    last = pos + sources->len;

    while (sgtm_csp_token(&pos, last, &token)) {

        if (token.len == source->len
            && (self || host || source->data[0] == '\''
                ? sgtm_csp_equal(token.data, token.len, source)
                : memcmp(token.data, source->data, token.len) == 0))
        {
            return 1;
        }

        /* a name of trusted types; duplicates have a word of their own */

        if (!self && !host) {
            if (token.len == 1 && token.data[0] == '*'
                && source->data[0] != '\'')
            {
                return 1;
            }

            continue;
        }

        if ((token.len == 1 && token.data[0] == '*')
            || (sgtm_csp_equal(token.data, token.len, &https)
                && (host || need->https))
            || sgtm_csp_equal(token.data, token.len, &http))
        {
            return 1;
        }

        if (self ? sgtm_csp_is_own(&token, need)
                 : token.len == source->len - 8
                   && memcmp(token.data, source->data + 8, token.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Whether a source is the page's own host, or "*." and an end of it, with a
 * path only if the gateway's prefix lies in it.  One with a port is not: whose
 * it is, is not known here.
 */

static int
sgtm_csp_is_own(const sgtm_str_t *token, const sgtm_csp_need_t *need)
{
    size_t                n;
    sgtm_str_t            host;
    const unsigned char  *p, *last;

    static sgtm_str_t  https = sgtm_string("https://");
    static sgtm_str_t  http = sgtm_string("http://");

    p = token->data;
    last = p + token->len;
    host = need->host;

    if (token->len > https.len && sgtm_csp_equal(p, https.len, &https)) {

        if (!need->https) {
            return 0;
        }

        p += https.len;

    } else if (token->len > http.len && sgtm_csp_equal(p, http.len, &http)) {
        p += http.len;
    }

    for (n = 0; p + n < last && p[n] != '/'; n++) { /* void */ }

    if (n > 2 && p[0] == '*' && p[1] == '.' && host.len > n - 1) {
        host.data += host.len - (n - 1);
        host.len = n - 1;

        p++;
        n--;
    }

    if (n == 0 || !sgtm_csp_equal(p, n, &host)) {
        return 0;
    }

    p += n;
    n = (size_t) (last - p);

    return n == 0
           || (last[-1] == '/' && n <= need->prefix.len
               && memcmp(p, need->prefix.data, n) == 0);
}


int
sgtm_csp_equal(const unsigned char *p, size_t len, const sgtm_str_t *text)
{
    size_t         i;
    unsigned char  ch;

    if (len != text->len) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        ch = p[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != text->data[i]) {
            return 0;
        }
    }

    return 1;
}
