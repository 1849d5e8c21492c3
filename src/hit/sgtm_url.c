
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
#include "sgtm_stops.h"


/* of a name before it is decoded to its end; a longer one is in no table */
#define SGTM_URL_NAME  (SGTM_MAX_KEY * 4)

/* fragments in fragments that are looked into */
#define SGTM_URL_DOUBTS  64


/* a "?", "&", "#" or "=" as it is written */

typedef struct {
    unsigned char  *start;
    unsigned char  *end;
    size_t          depth;             /* how often it is encoded */
    unsigned char   ch;
} sgtm_url_mark_t;


/* a "#" that is kept unless a "=" makes an argument of what follows it */

typedef struct {
    sgtm_url_mark_t  held;             /* in the output */
    size_t           depth;            /* the least of the marks since */
    uint64_t         open;
} sgtm_url_doubt_t;


typedef struct {
    const sgtm_names_t  *names;
    unsigned char       *begin;        /* of the input */
    unsigned char       *end;
    unsigned char       *block;        /* of the input, 64 bytes */
    uint64_t             stops;        /* bits: where a delimiter may be */
    unsigned char       *last;         /* of the output */
    uint64_t             open;         /* by depth: within its arguments */
    unsigned             deny;

    int                  opens;        /* held does, and is not one between */
    sgtm_url_mark_t      held;

    size_t               ndoubts;
    sgtm_url_doubt_t     doubts[SGTM_URL_DOUBTS];
} sgtm_url_t;


typedef enum {
    SGTM_URL_STAYS = 0,
    SGTM_URL_DENIED,
    SGTM_URL_DOUBTFUL
} sgtm_url_e;


/* what may be a delimiter, or begin one, as a byte or an escape; or no byte */

static const unsigned char  sgtm_url_marks[0x100 + 1] = {
    ['%'] = 1, ['?'] = 1, ['&'] = 1, ['#'] = 1, ['='] = 1
};


static void sgtm_url_hold(sgtm_url_t *url, const sgtm_url_mark_t *mark);
static sgtm_url_e sgtm_url_judge(sgtm_url_t *url, unsigned char *p,
    sgtm_url_mark_t *mark);
static int sgtm_url_skip(sgtm_url_t *url, sgtm_url_mark_t *mark);
static void sgtm_url_doubt(sgtm_url_t *url, size_t depth);
static int sgtm_url_settle(sgtm_url_t *url, const sgtm_url_mark_t *mark);
static int sgtm_url_mark(sgtm_url_t *url, sgtm_url_mark_t *mark,
    unsigned char *p);
static unsigned char *sgtm_url_escape(sgtm_url_mark_t *mark, unsigned char *p,
    unsigned char *end);
static unsigned char *sgtm_url_entity(unsigned char *p, unsigned char *end);
static size_t sgtm_url_name(unsigned char *name, unsigned char *p,
    unsigned char *end);
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
    sgtm_url_t        url;
    sgtm_url_e        verdict;
    unsigned char    *kept, *next;
    sgtm_url_mark_t   mark;

    if (in->len == 0) {
        return 0;
    }

    url.begin = in->data;
    url.end = in->data + in->len;

    url.block = url.begin;
    url.stops = deny ? sgtm_stops_url(url.begin, url.begin, url.end) : 0;

    /* most pages have no arguments */

    if (deny == 0 || (url.stops == 0 && in->len <= SGTM_STOPS)) {
        (void) sgtm_url_copy(out, url.begin, url.end);
        return in->len;
    }

    url.names = names;
    url.last = out;
    url.open = 0;
    url.deny = deny;
    url.ndoubts = 0;

    kept = in->data;
    next = in->data;

    while (sgtm_url_mark(&url, &mark, next)) {

        if (sgtm_url_settle(&url, &mark)) {
            verdict = SGTM_URL_DENIED;

        } else if (mark.ch == '=') {
            next = mark.end;
            continue;

        } else {
            url.last = sgtm_url_copy(url.last, kept, mark.start);
            kept = mark.end;

            sgtm_url_hold(&url, &mark);
            verdict = sgtm_url_judge(&url, kept, &mark);
        }

        while (verdict == SGTM_URL_DENIED) {

            if (!sgtm_url_skip(&url, &mark)) {
                return (size_t) (url.last - out);
            }

            kept = mark.end;

            if (mark.ch == '#' || mark.depth < url.held.depth || !url.opens) {
                (void) sgtm_url_settle(&url, &mark);
                sgtm_url_hold(&url, &mark);
            }

            verdict = sgtm_url_judge(&url, kept, &mark);
        }

        if (verdict == SGTM_URL_DOUBTFUL) {
            sgtm_url_doubt(&url, mark.depth);
        }

        url.last = sgtm_url_copy(url.last, url.held.start, url.held.end);

        /* a "=" is of no use but to a doubt */

        next = (mark.ch == '=' && url.ndoubts == 0) ? mark.end : mark.start;
    }

    url.last = sgtm_url_copy(url.last, kept, url.end);

    return (size_t) (url.last - out);
}


/*
 * Whether a delimiter opens the arguments of an URL, and is not one between
 * them; a second "?" is a part of a value.  open has a bit for each depth that
 * is within its arguments; what is deeper ends with the segment.
 */

static void
sgtm_url_hold(sgtm_url_t *url, const sgtm_url_mark_t *mark)
{
    int       within;
    uint64_t  bit;

    url->held = *mark;

    if (mark->depth > 63) {
        url->opens = (mark->ch != '&');
        return;
    }

    bit = (uint64_t) 1 << mark->depth;
    within = (url->open & bit) ? 1 : 0;

    url->open &= bit - 1;

    if (mark->ch == '#') {
        url->opens = 1;
        return;
    }

    url->open |= bit;
    url->opens = (mark->ch == '?' && !within);
}


/*
 * The segment that is held; p is its name, mark becomes what is next in it.
 * Who decodes less often than that mark is encoded reads on to one that is not
 * as deep.  The name that ends there can be denied by a prefix only, since no
 * name of the table has a delimiter in it.  A fragment's has to end with a "="
 * or else it is a place in the page: for these readers that is not known yet.
 */

static sgtm_url_e
sgtm_url_judge(sgtm_url_t *url, unsigned char *p, sgtm_url_mark_t *mark)
{
    int             place, deeper;
    size_t          n;
    unsigned char  *start;
    unsigned char   name[SGTM_URL_NAME];

    if (!sgtm_url_mark(url, mark, p)) {
        mark->start = url->end;
        mark->end = url->end;
        mark->depth = 0;
        mark->ch = '\0';
    }

    place = (url->held.ch == '#' && mark->ch != '=');
    deeper = (mark->depth > url->held.depth);

    if (place && !deeper) {
        return SGTM_URL_STAYS;
    }

    n = (size_t) (mark->start - p);

    /* most are no name of the table, as they are written; nor an "&amp;" */

    if (n > 1 && (*p | 0x20) != 'a' && !sgtm_names_known(url->names, p, n)
        && memchr(p, '%', n) == NULL)
    {
        return SGTM_URL_STAYS;
    }

    n = sgtm_url_name(name, p, mark->start);

    /* an "&amp;" whose letters are encoded */

    start = sgtm_url_entity(name, name + n);
    n -= (size_t) (start - name);

    /* what is cut off here can be known by a prefix only */

    if (n > SGTM_MAX_KEY) {
        n = SGTM_MAX_KEY;
    }

    if (!place && (sgtm_names_deny_nocase(url->names, start, n) & url->deny)) {
        return SGTM_URL_DENIED;
    }

    if (!deeper
        || !(sgtm_names_deny_prefix_nocase(url->names, start, n) & url->deny))
    {
        return SGTM_URL_STAYS;
    }

    if (url->held.ch != '#' || url->ndoubts == SGTM_URL_DOUBTS) {
        return SGTM_URL_DENIED;
    }

    return SGTM_URL_DOUBTFUL;
}


/*
 * From mark to the delimiter behind the segment that is held; 0: there is none.
 * A "=" that is dropped with it may be that of a fragment which it lies in.
 */

static int
sgtm_url_skip(sgtm_url_t *url, sgtm_url_mark_t *mark)
{
    size_t          least;
    unsigned char  *p;

    least = url->held.depth;

    for (p = mark->start; sgtm_url_mark(url, mark, p); p = mark->end) {

        if (mark->ch == '=') {
            if (mark->depth < least) {
                (void) sgtm_url_settle(url, mark);
            }

        } else if (mark->ch != '?' && mark->depth <= url->held.depth) {
            return 1;
        }

        if (mark->depth < least) {
            least = mark->depth;
        }
    }

    return 0;
}


/*
 * What is held will be written, and may have to be taken back.  Each doubt lies
 * within the one before: their marks and depths grow deeper one by one.
 */

static void
sgtm_url_doubt(sgtm_url_t *url, size_t depth)
{
    size_t             len;
    sgtm_url_doubt_t  *doubt;

    len = (size_t) (url->held.end - url->held.start);
    doubt = &url->doubts[url->ndoubts++];

    doubt->held = url->held;
    doubt->held.start = url->last;
    doubt->held.end = url->last + len;
    doubt->depth = depth;
    doubt->open = url->open;
}


/*
 * A mark that is less deep than all since a doubt is what ends its name for
 * some reader.  A "=" makes an argument of it: 1 is returned and the outermost
 * such fragment is held again.  Anything else leaves it a place for that
 * reader, and one that is not deeper than the fragment for all.  Of the doubts
 * that are looked at one at most remains, so each costs its mark once.
 */

static int
sgtm_url_settle(sgtm_url_t *url, const sgtm_url_mark_t *mark)
{
    sgtm_url_doubt_t  *doubt, *found;

    found = NULL;

    for ( /* void */ ; url->ndoubts; url->ndoubts--) {

        doubt = &url->doubts[url->ndoubts - 1];

        if (mark->depth >= doubt->depth) {
            break;
        }

        if (mark->ch == '=') {
            found = doubt;

        } else if (mark->depth > doubt->held.depth) {
            doubt->depth = mark->depth;
            break;
        }
    }

    if (found == NULL) {
        return 0;
    }

    url->held = found->held;
    url->last = found->held.start;
    url->open = found->open;
    url->opens = 1;

    return 1;
}


/*
 * The next delimiter from p on; 0: there is none.  Where one may be is known of
 * 64 bytes, within which p may go back to a mark that was found before.
 */

static int
sgtm_url_mark(sgtm_url_t *url, sgtm_url_mark_t *mark, unsigned char *p)
{
    size_t    n;
    uint64_t  stops;

    for ( ;; ) {

        n = (size_t) (p - url->block);

        if (n >= SGTM_STOPS) {
            url->block = p;
            url->stops = sgtm_stops_url(url->begin, p, url->end);
            n = 0;
        }

        stops = url->stops >> n;

        if (stops == 0) {

            if (url->end - url->block <= SGTM_STOPS) {
                return 0;
            }

            p = url->block + SGTM_STOPS;
            continue;
        }

        p += sgtm_stops_first(stops);

        if (*p != '%') {
            break;
        }

        /* most are a "/", and such */

        if (url->end - p > 2 && !sgtm_url_marks[sgtm_args_byte(p + 1)]) {
            p++;
            continue;
        }

        p = sgtm_url_escape(mark, p, url->end);

        if (mark->ch) {
            return 1;
        }
    }

    mark->start = p;
    mark->end = p + 1;
    mark->depth = 0;
    mark->ch = *p;

    if (*p == '&') {
        mark->end = sgtm_url_entity(mark->end, url->end);
    }

    return 1;
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
 * become what it means, which may complete another one.  Returns its length.
 */

static size_t
sgtm_url_name(unsigned char *name, unsigned char *p, unsigned char *end)
{
    size_t    n;
    unsigned  c;

    for (n = 0; p < end && n < SGTM_URL_NAME; p++) {

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

    return n;
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
