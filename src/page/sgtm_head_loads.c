
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_head.h"


#define sgtm_loads_is_space(ch)                                               \
    ((ch) == ' ' || (ch) == '\n' || (ch) == '\t' || (ch) == '\r'              \
     || (ch) == '\f')


typedef struct {
    unsigned char  *p;
    unsigned char  *last;
} sgtm_loads_t;


static int sgtm_loads_find(const sgtm_str_t *data, const sgtm_str_t *path);
static size_t sgtm_loads_rare(const sgtm_str_t *path);
static int sgtm_loads_tag(sgtm_loads_t *l, const sgtm_str_t *path,
    const sgtm_str_t *host);
static int sgtm_loads_attr(sgtm_loads_t *l, sgtm_str_t *name,
    sgtm_str_t *value);
static void sgtm_loads_value(sgtm_loads_t *l, sgtm_str_t *value);
static int sgtm_loads_src(const sgtm_str_t *value, const sgtm_str_t *path,
    const sgtm_str_t *host);
static void sgtm_loads_until(sgtm_loads_t *l, const char *text);
static int sgtm_loads_equal(const unsigned char *p, const char *text,
    size_t len);


/* elements whose contents are text until their end tag, script the first */

static const char  *sgtm_loads_texts[] = {
    "script", "style", "title", "textarea", "noscript", "iframe", "xmp",
    "noembed", "noframes", NULL
};


int
sgtm_head_loads(const sgtm_str_t *data, const sgtm_str_t *path,
    const sgtm_str_t *host)
{
    sgtm_loads_t  l;

    /* most pages have it nowhere */

    if (path->len == 0 || !sgtm_loads_find(data, path)) {
        return 0;
    }

    l.p = data->data;
    l.last = data->data + data->len;

    while (l.p < l.last) {

        l.p = memchr(l.p, '<', (size_t) (l.last - l.p));
        if (l.p == NULL) {
            return 0;
        }

        l.p++;

        if (l.last - l.p >= 3 && memcmp(l.p, "!--", 3) == 0) {
            l.p++;
            sgtm_loads_until(&l, "-->");
            continue;
        }

        if (l.p < l.last && (*l.p | 0x20) >= 'a' && (*l.p | 0x20) <= 'z'
            && sgtm_loads_tag(&l, path, host))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * By the character of the path that pages have least of: memchr() passes what
 * lies between two of them at once.
 */

static int
sgtm_loads_find(const sgtm_str_t *data, const sgtm_str_t *path)
{
    size_t                rare;
    const unsigned char  *p, *last;

    if (data->len < path->len) {
        return 0;
    }

    rare = sgtm_loads_rare(path);

    p = data->data + rare;
    last = data->data + data->len - (path->len - rare);

    while (p <= last) {

        p = memchr(p, path->data[rare], (size_t) (last - p) + 1);
        if (p == NULL) {
            return 0;
        }

        if (memcmp(p - rare, path->data, path->len) == 0) {
            return 1;
        }

        p++;
    }

    return 0;
}


static size_t
sgtm_loads_rare(const sgtm_str_t *path)
{
    const char           *ch;
    const unsigned char  *p;

    for (ch = "QZXJKqzxjkvw_ybfgpumdhlc"; *ch != '\0'; ch++) {

        p = memchr(path->data, *ch, path->len);

        if (p != NULL) {
            return (size_t) (p - path->data);
        }
    }

    return path->len - 1;
}


/* behind "<": 1 if it is a script's tag with this path */

static int
sgtm_loads_tag(sgtm_loads_t *l, const sgtm_str_t *path,
    const sgtm_str_t *host)
{
    char                   end[16];
    int                    src;
    size_t                 len;
    unsigned               i;
    sgtm_str_t             name, value;
    const unsigned char   *tag;

    tag = l->p;

    while (l->p < l->last && !sgtm_loads_is_space(*l->p) && *l->p != '/'
           && *l->p != '>')
    {
        l->p++;
    }

    len = (size_t) (l->p - tag);

    for (i = 0; sgtm_loads_texts[i] != NULL; i++) {
        if (strlen(sgtm_loads_texts[i]) == len
            && sgtm_loads_equal(tag, sgtm_loads_texts[i], len))
        {
            break;
        }
    }

    src = 0;

    while (sgtm_loads_attr(l, &name, &value)) {

        if (i == 0 && name.len == 3 && sgtm_loads_equal(name.data, "src", 3)) {

            /* of two attributes the first counts */

            if (src++ == 0 && sgtm_loads_src(&value, path, host)) {
                return 1;
            }
        }
    }

    if (sgtm_loads_texts[i] != NULL) {
        end[0] = '<';
        end[1] = '/';
        memcpy(end + 2, sgtm_loads_texts[i], len + 1);

        sgtm_loads_until(l, end);
    }

    return 0;
}


/* the next attribute; 0: the tag has ended */

static int
sgtm_loads_attr(sgtm_loads_t *l, sgtm_str_t *name, sgtm_str_t *value)
{
    unsigned char  *p;

    while (l->p < l->last && (sgtm_loads_is_space(*l->p) || *l->p == '/')) {
        l->p++;
    }

    if (l->p == l->last || *l->p == '>') {
        return 0;
    }

    p = l->p++;

    while (l->p < l->last && !sgtm_loads_is_space(*l->p) && *l->p != '/'
           && *l->p != '>' && *l->p != '=')
    {
        l->p++;
    }

    name->data = p;
    name->len = (size_t) (l->p - p);

    value->data = NULL;
    value->len = 0;

    while (l->p < l->last && sgtm_loads_is_space(*l->p)) {
        l->p++;
    }

    if (l->p < l->last && *l->p == '=') {
        l->p++;
        sgtm_loads_value(l, value);
    }

    return 1;
}


static void
sgtm_loads_value(sgtm_loads_t *l, sgtm_str_t *value)
{
    unsigned char   quote;
    unsigned char  *p;

    while (l->p < l->last && sgtm_loads_is_space(*l->p)) {
        l->p++;
    }

    if (l->p == l->last) {
        return;
    }

    quote = *l->p;

    if (quote == '"' || quote == '\'') {

        p = ++l->p;
        l->p = memchr(p, quote, (size_t) (l->last - p));

        if (l->p == NULL) {

            /* the rest of it is not here yet */

            l->p = l->last;
            return;
        }

        value->data = p;
        value->len = (size_t) (l->p++ - p);

        return;
    }

    p = l->p;

    while (l->p < l->last && !sgtm_loads_is_space(*l->p) && *l->p != '>') {
        l->p++;
    }

    value->data = p;
    value->len = (size_t) (l->p - p);
}


/* "/metrics/t.js", "//shop.example/metrics/t.js", "https://shop.example/..." */

static int
sgtm_loads_src(const sgtm_str_t *value, const sgtm_str_t *path,
    const sgtm_str_t *host)
{
    size_t                n;
    const unsigned char  *p, *last;

    if (value->len < path->len) {
        return 0;
    }

    p = value->data;
    last = p + value->len;

    while (p < last && sgtm_loads_is_space(*p)) {
        p++;
    }

    n = (size_t) (last - p);

    if (n > 6 && sgtm_loads_equal(p, "https:", 6)) {
        p += 6;

    } else if (n > 5 && sgtm_loads_equal(p, "http:", 5)) {
        p += 5;
    }

    if ((size_t) (last - p) > 2 + host->len && memcmp(p, "//", 2) == 0
        && host->len
        && sgtm_loads_equal(p + 2, (const char *) host->data, host->len))
    {
        p += 2 + host->len;

        /* a port is the page's own, or it is another server */

        if (*p == ':') {
            while (p < last && *p != '/') {
                p++;
            }
        }
    }

    if ((size_t) (last - p) < path->len
        || memcmp(p, path->data, path->len) != 0)
    {
        return 0;
    }

    p += path->len;

    return p == last || *p == '?' || *p == '#' || sgtm_loads_is_space(*p);
}


/* behind the next place of a text in small letters, or to the end */

static void
sgtm_loads_until(sgtm_loads_t *l, const char *text)
{
    size_t  len;

    len = strlen(text);

    while ((size_t) (l->last - l->p) >= len) {

        if (sgtm_loads_equal(l->p, text, len)) {
            l->p += len;
            return;
        }

        l->p++;
    }

    l->p = l->last;
}


/* in any case of letters */

static int
sgtm_loads_equal(const unsigned char *p, const char *text, size_t len)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < len; i++) {
        ch = p[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != (unsigned char) text[i]) {
            return 0;
        }
    }

    return 1;
}
