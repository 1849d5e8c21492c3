
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Cuts arguments out of an URL without decoding it.  An URL inside an URL is
 * percent-encoded once more, so its "?" is "%3F", in the next one "%253F", and
 * so on: a delimiter has a depth, and whatever a value holds is deeper than
 * what delimits the value.  So one pass that looks at the delimiters of every
 * depth sees all URLs, whatever they lie in.
 */


#include <string.h>

#include "sgtm_redact.h"


/* of a name before it is decoded to its end; a longer one is in no table */
#define SGTM_URL_NAME  (SGTM_MAX_KEY * 4)


/* a "?", "&", "#" or "=" as it is written */

typedef struct {
    unsigned char  *start;
    unsigned char  *end;
    size_t          depth;             /* how often it is encoded */
    unsigned char   ch;
} sgtm_url_mark_t;


static int sgtm_url_opens(uint64_t *open, const sgtm_url_mark_t *mark);
static int sgtm_url_mark(sgtm_url_mark_t *mark, unsigned char *p,
    unsigned char *end);
static int sgtm_url_delimiter(sgtm_url_mark_t *mark, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_url_escape(sgtm_url_mark_t *mark, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_url_entity(unsigned char *p, unsigned char *end);
static int sgtm_url_denied(const sgtm_names_t *names, unsigned deny,
    unsigned char *p, unsigned char *end);
static unsigned char *sgtm_url_copy(unsigned char *out, unsigned char *p,
    unsigned char *end);


/*
 * A dropped segment takes one delimiter with it.  The one before it is held
 * back until it is clear that something follows: the "?" or "#" that opens the
 * arguments stays for the next of them, any other gives way to the next
 * delimiter.
 */

size_t
sgtm_redact_url(const sgtm_names_t *names, unsigned deny, const sgtm_str_t *in,
    unsigned char *out)
{
    int               opens;
    uint64_t          open;
    unsigned char    *w, *kept, *next, *name, *end;
    sgtm_url_mark_t   held, mark;

    if (in->len == 0) {
        return 0;
    }

    w = out;
    open = 0;
    kept = in->data;
    next = in->data;
    end = in->data + in->len;

    while (deny && sgtm_url_delimiter(&held, next, end)) {

        w = sgtm_url_copy(w, kept, held.start);

        opens = sgtm_url_opens(&open, &held);
        name = held.end;

        for ( ;; ) {

            if (!sgtm_url_mark(&mark, name, end)) {
                mark.start = end;
                mark.end = end;
                mark.ch = '\0';
            }

            /* a fragment without "=" is a place in the page */

            if ((held.ch == '#' && mark.ch != '=')
                || !sgtm_url_denied(names, deny, name, mark.start))
            {
                break;
            }

            name = mark.start;

            do {
                if (!sgtm_url_delimiter(&mark, name, end)) {
                    return (size_t) (w - out);
                }

                name = mark.end;

            } while (mark.ch == '?' || mark.depth > held.depth);

            if (mark.ch == '#' || mark.depth < held.depth || !opens) {
                held = mark;
                opens = sgtm_url_opens(&open, &held);
            }
        }

        w = sgtm_url_copy(w, held.start, held.end);

        kept = name;
        next = (mark.ch == '=') ? mark.end : mark.start;
    }

    w = sgtm_url_copy(w, kept, end);

    return (size_t) (w - out);
}


/*
 * Whether a delimiter opens the arguments of an URL, and is not one between
 * them; a second "?" is a part of a value.  open has a bit for each depth that
 * is within its arguments; what is deeper ends with the segment.
 */

static int
sgtm_url_opens(uint64_t *open, const sgtm_url_mark_t *mark)
{
    int       within;
    uint64_t  bit;

    if (mark->depth > 63) {
        return mark->ch != '&';
    }

    bit = (uint64_t) 1 << mark->depth;
    within = (*open & bit) ? 1 : 0;

    *open &= bit - 1;

    if (mark->ch == '#') {
        return 1;
    }

    *open |= bit;

    return mark->ch == '?' && !within;
}


static int
sgtm_url_mark(sgtm_url_mark_t *mark, unsigned char *p, unsigned char *end)
{
    while (p < end) {

        switch (*p) {

        case '%':
            p = sgtm_url_escape(mark, p, end);

            if (mark->ch) {
                return 1;
            }

            break;

        case '?':
        case '&':
        case '#':
        case '=':
            mark->start = p;
            mark->end = p + 1;
            mark->depth = 0;
            mark->ch = *p;

            if (*p == '&') {
                mark->end = sgtm_url_entity(mark->end, end);
            }

            return 1;

        default:
            p++;
        }
    }

    return 0;
}


static int
sgtm_url_delimiter(sgtm_url_mark_t *mark, unsigned char *p, unsigned char *end)
{
    while (sgtm_url_mark(mark, p, end)) {

        if (mark->ch != '=') {
            return 1;
        }

        p = mark->end;
    }

    return 0;
}


/* "%", any number of "25", two digits; sets mark->ch and returns its end */

static unsigned char *
sgtm_url_escape(sgtm_url_mark_t *mark, unsigned char *p, unsigned char *end)
{
    unsigned  c;

    mark->ch = '\0';
    mark->start = p;
    mark->depth = 1;

    p++;

    while (end - p >= 2 && p[0] == '2' && p[1] == '5') {
        mark->depth++;
        p += 2;
    }

    if (end - p < 2) {
        return p;
    }

    c = sgtm_args_byte(p);

    if (c != '?' && c != '&' && c != '#' && c != '=') {
        return p;
    }

    p += 2;

    if (c == '&') {
        p = sgtm_url_entity(p, end);
    }

    mark->ch = (unsigned char) c;
    mark->end = p;

    return p;
}


/* past the rest of "&amp;", of whatever depth; p is behind the "&" */

static unsigned char *
sgtm_url_entity(unsigned char *p, unsigned char *end)
{
    unsigned char  *q;

    for ( ;; ) {

        if (end - p < 4
            || (p[0] | 0x20) != 'a'
            || (p[1] | 0x20) != 'm'
            || (p[2] | 0x20) != 'p')
        {
            return p;
        }

        q = p + 3;

        if (*q == ';') {
            p = q + 1;
            continue;
        }

        if (*q++ != '%') {
            return p;
        }

        while (end - q >= 2 && q[0] == '2' && q[1] == '5') {
            q += 2;
        }

        if (end - q < 2 || q[0] != '3' || (q[1] | 0x20) != 'b') {
            return p;
        }

        p = q + 2;
    }
}


/*
 * Decodes a name to its end: as soon as the last three bytes are an escape they
 * become what it means, which may complete another one.
 */

static int
sgtm_url_denied(const sgtm_names_t *names, unsigned deny, unsigned char *p,
    unsigned char *end)
{
    size_t          n;
    unsigned        c;
    unsigned char  *start;
    unsigned char   name[SGTM_URL_NAME];

    for (n = 0; p < end && n < sizeof(name); p++) {

        name[n++] = *p;

        while (n >= 3 && name[n - 3] == '%') {

            c = sgtm_args_byte(name + n - 2);

            if (c > 0xff) {
                break;
            }

            n -= 2;
            name[n - 1] = (unsigned char) c;
        }
    }

    /* an "&amp;" whose letters are encoded */

    start = sgtm_url_entity(name, name + n);
    n -= (size_t) (start - name);

    /* what is cut off here can be known by a prefix only */

    if (n > SGTM_MAX_KEY) {
        n = SGTM_MAX_KEY;
    }

    return (sgtm_names_deny_nocase(names, start, n) & deny) ? 1 : 0;
}


/* out may be the input itself */

static unsigned char *
sgtm_url_copy(unsigned char *out, unsigned char *p, unsigned char *end)
{
    size_t  len;

    len = (size_t) (end - p);

    if (out != p && len) {
        memmove(out, p, len);
    }

    return out + len;
}
