
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_head.h"


/*
 * The states of the HTML standard's tokenizer, as far as they come up before
 * a head: no text, no raw text.
 */

typedef enum {
    sw_start = 0,
    sw_bom,
    sw_bom_last,
    sw_text,                           /* between tokens */
    sw_lt,
    sw_name,                           /* of a start tag */
    sw_slash,
    sw_end_name,
    sw_tag_name,                       /* of any that does not count */
    sw_space,                          /* before an attribute */
    sw_attr,
    sw_attr_end,
    sw_value,                          /* before it */
    sw_double,
    sw_single,
    sw_bare,
    sw_bang,
    sw_bang_dash,
    sw_doctype,
    sw_bogus,                          /* a comment until ">" */
    sw_comment_start,
    sw_comment_start_dash,
    sw_comment,
    sw_comment_dash,
    sw_comment_end,
    sw_comment_bang
} sgtm_head_state_e;


/* beside sgtm_head_e: behind this byte */
#define SGTM_HEAD_BEHIND  (SGTM_HEAD_NONE + 1)


#define sgtm_head_is_space(ch)                                                \
    ((ch) == ' ' || (ch) == '\n' || (ch) == '\t' || (ch) == '\r'              \
     || (ch) == '\f')

#define sgtm_head_is_letter(ch)                                               \
    ((unsigned char) (((ch) | 0x20) - 'a') < 26)


static int sgtm_head_tail_is(const sgtm_head_t *h, size_t skip,
    const char *name);
static unsigned sgtm_head_here(const sgtm_head_t *h, unsigned rc, ptrdiff_t i,
    ptrdiff_t *at);
static unsigned sgtm_head_text(sgtm_head_t *h, unsigned char ch);
static unsigned sgtm_head_lt(sgtm_head_t *h, unsigned char ch);
static unsigned sgtm_head_name(sgtm_head_t *h, unsigned char ch);
static unsigned sgtm_head_slash(sgtm_head_t *h, unsigned char ch);
static unsigned sgtm_head_end_name(sgtm_head_t *h, unsigned char ch);
static unsigned sgtm_head_attr(sgtm_head_t *h, unsigned char ch);
static unsigned sgtm_head_tag_end(sgtm_head_t *h);
static void sgtm_head_bang(sgtm_head_t *h, unsigned char ch);
static void sgtm_head_comment(sgtm_head_t *h, unsigned char ch);
static const unsigned char *sgtm_head_skip(const sgtm_head_t *h,
    const unsigned char *p, const unsigned char *last);


unsigned
sgtm_head_scan(sgtm_head_t *h, const sgtm_str_t *data, ptrdiff_t *at)
{
    unsigned              rc;
    unsigned char         ch;
    const unsigned char  *p, *last;

    last = data->data + data->len;

    for (p = data->data; p < last; p++) {

        p = sgtm_head_skip(h, p, last);
        if (p == NULL) {
            break;
        }

        ch = *p;
        rc = SGTM_HEAD_MORE;

        switch (h->state) {

        case sw_start:
        case sw_bom:
        case sw_bom_last:
        case sw_text:
            rc = sgtm_head_text(h, ch);
            break;

        case sw_lt:
            rc = sgtm_head_lt(h, ch);
            break;

        case sw_name:
            rc = sgtm_head_name(h, ch);
            break;

        case sw_slash:
            rc = sgtm_head_slash(h, ch);
            break;

        case sw_end_name:
            rc = sgtm_head_end_name(h, ch);
            break;

        case sw_bang:
        case sw_bang_dash:
        case sw_doctype:
            sgtm_head_bang(h, ch);
            break;

        case sw_bogus:
            h->state = (ch == '>') ? sw_text : sw_bogus;
            break;

        case sw_comment_start:
        case sw_comment_start_dash:
        case sw_comment:
        case sw_comment_dash:
        case sw_comment_end:
        case sw_comment_bang:
            sgtm_head_comment(h, ch);
            break;

        default:
            rc = sgtm_head_attr(h, ch);
        }

        if (rc != SGTM_HEAD_MORE) {
            return sgtm_head_here(h, rc, p - data->data, at);
        }
    }

    return SGTM_HEAD_MORE;
}


/* the place is where what waits has begun, or behind the tag's last byte */

static unsigned
sgtm_head_here(const sgtm_head_t *h, unsigned rc, ptrdiff_t i, ptrdiff_t *at)
{
    if (!h->page || rc == SGTM_HEAD_NONE) {
        return SGTM_HEAD_NONE;
    }

    *at = (rc == SGTM_HEAD_BEHIND) ? i + 1 : i - h->ntail;

    return SGTM_HEAD_HERE;
}


/* to the next byte that may end what is of any length; NULL: there is none */

static const unsigned char *
sgtm_head_skip(const sgtm_head_t *h, const unsigned char *p,
    const unsigned char *last)
{
    int  ch;

    switch (h->state) {

    case sw_bogus:
        ch = '>';
        break;

    case sw_comment:
        ch = '-';
        break;

    case sw_double:
        ch = '"';
        break;

    case sw_single:
        ch = '\'';
        break;

    default:
        return p;
    }

    return memchr(p, ch, (size_t) (last - p));
}


/* a byte order mark is nothing, and neither is white space */

static unsigned
sgtm_head_text(sgtm_head_t *h, unsigned char ch)
{
    if (h->state == sw_bom) {
        h->state = sw_bom_last;
        return (ch == 0xbb) ? SGTM_HEAD_MORE : SGTM_HEAD_NONE;
    }

    if (h->state == sw_bom_last) {
        h->state = sw_text;
        return (ch == 0xbf) ? SGTM_HEAD_MORE : SGTM_HEAD_NONE;
    }

    if (h->state == sw_start && ch == 0xef) {
        h->state = sw_bom;
        return SGTM_HEAD_MORE;
    }

    h->state = sw_text;

    if (sgtm_head_is_space(ch)) {
        return SGTM_HEAD_MORE;
    }

    if (ch == '<') {
        h->state = sw_lt;
        h->tail[0] = ch;
        h->ntail = 1;

        return SGTM_HEAD_MORE;
    }

    return SGTM_HEAD_HERE;
}


static unsigned
sgtm_head_lt(sgtm_head_t *h, unsigned char ch)
{
    if (ch == '!' || ch == '?') {
        h->state = (ch == '!') ? sw_bang : sw_bogus;
        h->ntail = 0;

        return SGTM_HEAD_MORE;
    }

    if (ch != '/' && !sgtm_head_is_letter(ch)) {
        return SGTM_HEAD_HERE;
    }

    h->state = (ch == '/') ? sw_slash : sw_name;
    h->tail[h->ntail++] = ch;

    return SGTM_HEAD_MORE;
}


/* all names that count have four letters */

static unsigned
sgtm_head_name(sgtm_head_t *h, unsigned char ch)
{
    if (!sgtm_head_is_space(ch) && ch != '/' && ch != '>') {

        if (h->ntail == sizeof("<head") - 1) {
            return SGTM_HEAD_HERE;
        }

        h->tail[h->ntail++] = ch;

        return SGTM_HEAD_MORE;
    }

    h->head = (uint8_t) sgtm_head_tail_is(h, 1, "head");

    if (!h->head && !sgtm_head_tail_is(h, 1, "html")) {
        h->page |= (uint8_t) sgtm_head_tail_is(h, 1, "body");
        return SGTM_HEAD_HERE;
    }

    h->page = 1;
    h->ntail = 0;
    h->state = sw_space;

    return (ch == '>') ? sgtm_head_tag_end(h) : SGTM_HEAD_MORE;
}


static unsigned
sgtm_head_tag_end(sgtm_head_t *h)
{
    h->state = sw_text;

    return h->head ? SGTM_HEAD_BEHIND : SGTM_HEAD_MORE;
}


static unsigned
sgtm_head_slash(sgtm_head_t *h, unsigned char ch)
{
    if (sgtm_head_is_letter(ch)) {
        h->state = sw_end_name;
        h->tail[h->ntail++] = ch;

        return SGTM_HEAD_MORE;
    }

    /* "</>" is nothing, anything else a comment */

    h->state = (ch == '>') ? sw_text : sw_bogus;
    h->ntail = 0;

    return SGTM_HEAD_MORE;
}


/* of the end tags four make a head begin, the others are ignored */

static unsigned
sgtm_head_end_name(sgtm_head_t *h, unsigned char ch)
{
    int  end;

    end = (sgtm_head_is_space(ch) || ch == '/' || ch == '>');

    if (!end && h->ntail < sizeof("</head") - 1) {
        h->tail[h->ntail++] = ch;
        return SGTM_HEAD_MORE;
    }

    if (!h->page
        || (end
            && (sgtm_head_tail_is(h, 2, "head")
                || sgtm_head_tail_is(h, 2, "body")
                || sgtm_head_tail_is(h, 2, "html")
                || sgtm_head_tail_is(h, 2, "br"))))
    {
        return SGTM_HEAD_HERE;
    }

    h->ntail = 0;
    h->state = !end ? sw_tag_name : (ch == '>') ? sw_text : sw_space;

    return SGTM_HEAD_MORE;
}


/* whether the name that waits is this one, in small letters */

static int
sgtm_head_tail_is(const sgtm_head_t *h, size_t skip, const char *name)
{
    size_t  i, len;

    len = strlen(name);

    if (h->ntail != skip + len) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if ((h->tail[skip + i] | 0x20) != name[i]) {
            return 0;
        }
    }

    return 1;
}


/* within a tag: its end is the first ">" that no attribute has in quotes */

static unsigned
sgtm_head_attr(sgtm_head_t *h, unsigned char ch)
{
    int  space;

    if (h->state == sw_double || h->state == sw_single) {

        if (ch == (h->state == sw_double ? '"' : '\'')) {
            h->state = sw_space;
        }

        return SGTM_HEAD_MORE;
    }

    if (ch == '>') {
        return sgtm_head_tag_end(h);
    }

    space = sgtm_head_is_space(ch);

    switch (h->state) {

    case sw_tag_name:
        if (space || ch == '/') {
            h->state = sw_space;
        }

        break;

    case sw_space:
        if (!space && ch != '/') {
            h->state = sw_attr;
        }

        break;

    case sw_attr:
    case sw_attr_end:
        h->state = (ch == '=') ? sw_value
                   : (ch == '/') ? sw_space
                   : space ? sw_attr_end : sw_attr;
        break;

    case sw_value:
        if (!space) {
            h->state = (ch == '"') ? sw_double
                       : (ch == '\'') ? sw_single : sw_bare;
        }

        break;

    default: /* sw_bare */
        if (space) {
            h->state = sw_space;
        }
    }

    return SGTM_HEAD_MORE;
}


/* behind "<!" */

static void
sgtm_head_bang(sgtm_head_t *h, unsigned char ch)
{
    static const char  doctype[] = "doctype";

    if (h->state == sw_bang && ch == '-') {
        h->state = sw_bang_dash;
        return;
    }

    if (h->state == sw_bang_dash && ch == '-') {
        h->state = sw_comment_start;
        return;
    }

    if (h->state == sw_bang) {
        h->state = sw_doctype;
        h->nname = 0;
    }

    if (h->state == sw_doctype && (ch | 0x20) == doctype[h->nname]) {

        if (++h->nname == sizeof(doctype) - 1) {
            h->page = 1;
            h->state = sw_bogus;
        }

        return;
    }

    h->state = (ch == '>') ? sw_text : sw_bogus;
}


static void
sgtm_head_comment(sgtm_head_t *h, unsigned char ch)
{
    if (ch == '>'
        && h->state != sw_comment && h->state != sw_comment_dash)
    {
        h->state = sw_text;
        return;
    }

    switch (h->state) {

    case sw_comment_start:
        h->state = (ch == '-') ? sw_comment_start_dash : sw_comment;
        break;

    case sw_comment_start_dash:
    case sw_comment_dash:
        h->state = (ch == '-') ? sw_comment_end : sw_comment;
        break;

    case sw_comment_end:
        if (ch != '-') {
            h->state = (ch == '!') ? sw_comment_bang : sw_comment;
        }

        break;

    default: /* sw_comment, sw_comment_bang */
        h->state = (ch == '-') ? sw_comment_dash : sw_comment;
    }
}
