
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Where a head begins, in pages as they are written.  A line that is put before
 * the doctype makes a browser draw the page in another mode, one within a
 * comment, a tag or a title does nothing or shows up as text, and one in a part
 * of a page breaks the script that asked for it.  Each is read whole, in two
 * pieces split at every byte, and byte by byte.
 */


#include "unit.h"
#include "page/sgtm_head.h"


/* "^" is the place; without one there is none */

static const struct {
    const char  *page;
    unsigned     want;                 /* sgtm_head_e */
} heads[] = {

    /* a head is there */

    { "<!DOCTYPE html><html><head>^<title>a</title></head>", SGTM_HEAD_HERE },
    { "<!doctype html>\n<html>\n<head>^\n<meta charset=utf-8>",
      SGTM_HEAD_HERE },
    { "<html><head>^</head><body></body></html>", SGTM_HEAD_HERE },
    { "<head>^", SGTM_HEAD_HERE },
    { "<HTML><HEAD>^<TITLE>", SGTM_HEAD_HERE },
    { "<hTmL><HeAd>^", SGTM_HEAD_HERE },
    { "<!DocType HTML><Html Lang=EN><Head>^", SGTM_HEAD_HERE },
    { "\xef\xbb\xbf<!doctype html><html><head>^", SGTM_HEAD_HERE },
    { "\xef\xbb\xbf\r\n<html><head>^", SGTM_HEAD_HERE },
    { " \t\r\n\f<html \n lang='de' >\f<head\n>^\n", SGTM_HEAD_HERE },
    { "<html><head/>^", SGTM_HEAD_HERE },
    { "<html><head / >^", SGTM_HEAD_HERE },
    { "<html/><head>^", SGTM_HEAD_HERE },

    /* attributes */

    { "<html><head profile=\"http://gmpg.org/xfn/11\">^<x>", SGTM_HEAD_HERE },
    { "<html><head prefix='og: http://ogp.me/ns#'>^", SGTM_HEAD_HERE },
    { "<html><head data-a=\">\" data-b='>'>^", SGTM_HEAD_HERE },
    { "<html><head data-a = \"'>\" b='\">'>^", SGTM_HEAD_HERE },
    { "<html data-x=\"<head>\"><head>^", SGTM_HEAD_HERE },
    { "<html data-x='<head>' y=<head>^x<head>", SGTM_HEAD_HERE },
    { "<html y=a\"b><head>^", SGTM_HEAD_HERE },
    { "<html y=a'b'><head>^", SGTM_HEAD_HERE },
    { "<html \"><head>^", SGTM_HEAD_HERE },
    { "<html =\"><head>^", SGTM_HEAD_HERE },
    { "<html a=b/><head>^", SGTM_HEAD_HERE },
    { "<html a= ><head>^", SGTM_HEAD_HERE },
    { "<html a=\"\"b='x'><head>^", SGTM_HEAD_HERE },
    { "<html a b / c><head a b>^", SGTM_HEAD_HERE },
    { "<html\n  xmlns=\"http://www.w3.org/1999/xhtml\"\n><head>^",
      SGTM_HEAD_HERE },

    /* comments */

    { "<!-- <head> --><html><head>^", SGTM_HEAD_HERE },
    { "<!doctype html><!-- a --> <!-- <html><head> --><html><!--<head>-->"
      "<head>^", SGTM_HEAD_HERE },
    { "<!--><html><head>^-->", SGTM_HEAD_HERE },
    { "<!---><html><head>^-->", SGTM_HEAD_HERE },
    { "<!----><html><head>^-->", SGTM_HEAD_HERE },
    { "<!-- a --!><html><head>^-->", SGTM_HEAD_HERE },
    { "<!-- a -- > <head> --><html><head>^", SGTM_HEAD_HERE },
    { "<!-- a - -> <head> --- ---><html><head>^", SGTM_HEAD_HERE },
    { "<!-- a --!- <head> --><html><head>^", SGTM_HEAD_HERE },
    { "<!--- <head> ---><html><head>^", SGTM_HEAD_HERE },
    { "<!-- <!-- <head> --><html><head>^-->", SGTM_HEAD_HERE },
    { "<!--[if lt IE 9]><html class=ie><head><![endif]--><html><head>^",
      SGTM_HEAD_HERE },
    { "<![if !IE]><html><![endif]><head>^", SGTM_HEAD_HERE },
    { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE html PUBLIC "
      "\"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/a\">\n"
      "<html><head>^", SGTM_HEAD_HERE },
    { "<!doctype html [<head>^]><html><head>", SGTM_HEAD_HERE },
    { "<!DOCTYPE html SYSTEM \"a>^b\"><head>", SGTM_HEAD_HERE },
    { "<!><!-><!doct><!-a><html><head>^", SGTM_HEAD_HERE },
    { "<!doctype><head>^", SGTM_HEAD_HERE },
    { "<!doctypehtml><head>^", SGTM_HEAD_HERE },
    { "<html></><head>^", SGTM_HEAD_HERE },
    { "<html></ head><head>^", SGTM_HEAD_HERE },
    { "<html></!head><head>^", SGTM_HEAD_HERE },

    /* a head that only the parser makes */

    { "<!doctype html>^<title><head></title>", SGTM_HEAD_HERE },
    { "<!doctype html><html>^<title>a</title><head>", SGTM_HEAD_HERE },
    { "<!doctype html>\n^<meta charset=utf-8><title>a</title>",
      SGTM_HEAD_HERE },
    { "<!doctype html>\n<!-- a -->\n^<p>text", SGTM_HEAD_HERE },
    { "<!doctype html>\n^text", SGTM_HEAD_HERE },
    { "<html>^<body>", SGTM_HEAD_HERE },
    { "^<body class=a>", SGTM_HEAD_HERE },
    { "<!-- a --> ^<BODY>", SGTM_HEAD_HERE },
    { "<html lang=en>\n  ^<body>", SGTM_HEAD_HERE },
    { "<html>^<frameset cols=*>", SGTM_HEAD_HERE },
    { "<html>^<header>", SGTM_HEAD_HERE },
    { "<html>^<headline>", SGTM_HEAD_HERE },
    { "<html>^<hea>", SGTM_HEAD_HERE },
    { "<html>^<head\"a>", SGTM_HEAD_HERE },
    { "<html>^<svg><head>", SGTM_HEAD_HERE },
    { "<html>^< head>", SGTM_HEAD_HERE },
    { "<html>^<1>", SGTM_HEAD_HERE },
    { "<html>^</head>", SGTM_HEAD_HERE },
    { "<html>^</body >", SGTM_HEAD_HERE },
    { "<html>^</HTML>", SGTM_HEAD_HERE },
    { "<html>^</br/>", SGTM_HEAD_HERE },
    { "<html></p></title a='>'></headx></h><html a><head>^", SGTM_HEAD_HERE },
    { "<!doctype html></div x><html><!doctype html><head>^", SGTM_HEAD_HERE },
    { "<!doctype html>^\xc3\xa4<head>", SGTM_HEAD_HERE },
    { "<!doctype html>^\xef\xbb\xbf<head>", SGTM_HEAD_HERE },

    /* a part of a page, or none */

    { "<div><head></head></div>", SGTM_HEAD_NONE },
    { "<title><head></title>", SGTM_HEAD_NONE },
    { "<meta charset=utf-8>", SGTM_HEAD_NONE },
    { "<!-- part --><li>a</li>", SGTM_HEAD_NONE },
    { "text<html><head>", SGTM_HEAD_NONE },
    { "{\"html\":\"<html><head>\"}", SGTM_HEAD_NONE },
    { "</div><html><head>", SGTM_HEAD_NONE },
    { "</html>", SGTM_HEAD_NONE },
    { "<header>", SGTM_HEAD_NONE },
    { "<htm><head>", SGTM_HEAD_NONE },
    { "<htmlx><head>", SGTM_HEAD_NONE },
    { "<bodyx>", SGTM_HEAD_NONE },
    { "<?xml version='1.0'?><rss>", SGTM_HEAD_NONE },
    { "<1", SGTM_HEAD_NONE },
    { "<<html><head>", SGTM_HEAD_NONE },
    { "\xef\xbb<html><head>", SGTM_HEAD_NONE },
    { "\xef\xbb\xbe<html><head>", SGTM_HEAD_NONE },
    { "\xff\xfe<", SGTM_HEAD_NONE },
    { "\xe4<html><head>", SGTM_HEAD_NONE },

    /* it ends before one can tell */

    { "", SGTM_HEAD_MORE },
    { " \n", SGTM_HEAD_MORE },
    { "<", SGTM_HEAD_MORE },
    { "<html", SGTM_HEAD_MORE },
    { "<html>", SGTM_HEAD_MORE },
    { "<html><head", SGTM_HEAD_MORE },
    { "<html><head a='>", SGTM_HEAD_MORE },
    { "<!-- <html><head>", SGTM_HEAD_MORE },
    { "<!--<html><head>->", SGTM_HEAD_MORE },
    { "<!doctype html", SGTM_HEAD_MORE },
    { "<html></head", SGTM_HEAD_MORE },
    { "\xef\xbb\xbf", SGTM_HEAD_MORE }
};


static const char *
one_line(const char *text)
{
    size_t       i;

    static char  line[512];

    for (i = 0; text[i] != '\0' && i < sizeof(line) - 1; i++) {
        line[i] = ((unsigned char) text[i] < ' ') ? '~' : text[i];
    }

    line[i] = '\0';

    return line;
}


/* what is written before the place, in order, and sgtm_head_e */

typedef struct {
    unsigned         rc;
    size_t           len;
    unsigned char   *out;              /* before the place */
    size_t           held;             /* at the most, at once */
} reader_t;


/* as a filter does: what waits is kept, and comes before or behind the place */

static void
read_piece(reader_t *rd, sgtm_head_t *h, const unsigned char *p, size_t n)
{
    size_t         waits;
    ptrdiff_t      at;
    sgtm_str_t     piece;
    unsigned char  tail[SGTM_HEAD_TAIL];

    if (rd->rc != SGTM_HEAD_MORE) {
        return;
    }

    piece = unit_bytes(p, n);

    waits = h->ntail;
    memcpy(tail, h->tail, waits);

    rd->rc = sgtm_head_scan(h, &piece, &at);

    if (rd->rc == SGTM_HEAD_MORE) {

        /* what waits is the last of all that was read */

        if (waits + n < h->ntail) {
            rd->held = 100;
            return;
        }

        if (h->ntail > rd->held) {
            rd->held = h->ntail;
        }

        at = (ptrdiff_t) n - h->ntail;
    }

    if (rd->rc == SGTM_HEAD_NONE) {
        return;
    }

    if (at < 0) {

        /* of the old ones, those before it; the rest waits on */

        if (rd->rc == SGTM_HEAD_HERE && at != -(ptrdiff_t) waits) {
            rd->held = 100;
        }

        at += (ptrdiff_t) waits;
        memcpy(rd->out + rd->len, tail, (size_t) at);
        rd->len += (size_t) at;

        return;
    }

    memcpy(rd->out + rd->len, tail, waits);
    rd->len += waits;
    memcpy(rd->out + rd->len, piece.data, (size_t) at);
    rd->len += (size_t) at;
}


static void
test_head(const char *page, unsigned want)
{
    char           text[512];
    char          *place;
    size_t         i, n, len;
    unsigned       bad;
    reader_t       rd;
    sgtm_head_t    h;

    strcpy(text, page);
    place = strchr(text, '^');
    len = strlen(text);

    if (place != NULL) {
        memmove(place, place + 1, len - (size_t) (place - text));
        len--;
    }

    /* n is the size of pieces: 0 stands for two, split at i */

    for (n = 0, bad = 0; n < 4; n++) {
        for (i = 0; i <= (n ? 0 : len); i++) {

            memset(&h, 0, sizeof(sgtm_head_t));
            memset(&rd, 0, sizeof(reader_t));

            rd.rc = SGTM_HEAD_MORE;
            rd.out = unit_alloc(len + SGTM_HEAD_TAIL);

            if (n == 0) {
                read_piece(&rd, &h, (unsigned char *) text, i);
                read_piece(&rd, &h, (unsigned char *) text + i, len - i);

            } else {
                size_t  k;

                for (k = 0; k < len; k += n) {
                    read_piece(&rd, &h, (unsigned char *) text + k,
                               len - k < n ? len - k : n);
                }
            }

            bad += (rd.rc != want || rd.held > SGTM_HEAD_TAIL);

            if (place != NULL && rd.rc == SGTM_HEAD_HERE) {
                bad += (rd.len != (size_t) (place - text)
                        || memcmp(rd.out, text, rd.len) != 0);
            }

            if (bad) {
                printf("# pieces of %u, split at %u: %u at %u\n",
                       (unsigned) n, (unsigned) i, rd.rc, (unsigned) rd.len);
                n = 4;
                break;
            }
        }
    }

    unit_ok(bad == 0 && (place != NULL) == (want == SGTM_HEAD_HERE),
            "%s", one_line(page));
}


static const struct {
    const char  *page;
    int          want;
} loads[] = {
    { "<script async src=\"/metrics/t.js\"></script>", 1 },
    { "<script async src='/metrics/t.js'></script>", 1 },
    { "<script async src=/metrics/t.js></script>", 1 },
    { "<SCRIPT\nSRC = \"/metrics/t.js\">", 1 },
    { "<title>a</title><script defer data-a='>' src=\"/metrics/t.js?v=1\">",
      1 },
    { "<script src=\" /metrics/t.js \">", 1 },
    { "<script src=\"/metrics/t.js#a\">", 1 },
    { "<script src=\"https://shop.example/metrics/t.js\">", 1 },
    { "<script src=\"https://Shop.Example:8443/metrics/t.js\">", 1 },
    { "<script src=\"//shop.example/metrics/t.js\">", 1 },
    { "<script>var a = '<b';</script><script src=\"/metrics/t.js\">", 1 },
    { "<style></sty</style><script src=\"/metrics/t.js\">", 1 },
    { "<!-- a --><p><script src=\"/metrics/t.js\"", 1 },
    { "<link rel=preload as=script href=\"/metrics/t.js\">", 0 },
    { "<!-- <script async src=\"/metrics/t.js\"></script> -->", 0 },
    { "<title><script src=\"/metrics/t.js\"></title>", 0 },
    { "<textarea><script src=\"/metrics/t.js\"></textarea>", 0 },
    { "<noscript><script src=\"/metrics/t.js\"></noscript>", 0 },
    { "<script>'<script src=\"/metrics/t.js\">'</script>", 0 },
    { "<a title='<script src=\"/metrics/t.js\">'>", 0 },
    { "<script data-src=\"/metrics/t.js\">", 0 },
    { "<script src=\"/a.js\" src=\"/metrics/t.js\">", 0 },
    { "<script src=\"/metrics/t.json\">", 0 },
    { "<script src=\"/x/metrics/t.js\">", 0 },
    { "<script src=\"metrics/t.js\">", 0 },
    { "<script src=\"https://other.example/metrics/t.js\">", 0 },
    { "<script src=\"//other.example/metrics/t.js\">", 0 },
    { "<script src=\"/metrics/t.js", 0 },
    { "<scripts src=\"/metrics/t.js\">", 0 },
    { "<script>/metrics/t.js</script>", 0 },
    { "text src=\"/metrics/t.js\"", 0 },
    { "<", 0 },
    { "", 0 }
};


static void
test_loads(void)
{
    size_t      i, n;
    unsigned    bad;
    sgtm_str_t  data, path, host;

    path = unit_str("/metrics/t.js");
    host = unit_str("shop.example");

    for (i = 0; i < unit_nelts(loads); i++) {

        data = unit_str(loads[i].page);
        unit_ok(sgtm_head_loads(&data, &path, &host) == loads[i].want,
                "%s: %s", loads[i].want ? "loads it" : "does not",
                one_line(loads[i].page));
    }

    /* nothing is read past the end, wherever that is */

    for (i = 0, bad = 0; i < unit_nelts(loads); i++) {
        for (n = 0; n < strlen(loads[i].page); n++) {

            data = unit_bytes(loads[i].page, n);
            bad += (sgtm_head_loads(&data, &path, &host) && !loads[i].want);
        }
    }

    unit_ok(bad == 0, "the same, cut anywhere");

    host.len = 0;
    data = unit_str("<script src=\"///metrics/t.js\">");
    unit_ok(!sgtm_head_loads(&data, &path, &host), "no host");
}


int
main(void)
{
    size_t        i;
    ptrdiff_t     at;
    sgtm_str_t    page;
    sgtm_head_t   h;

    for (i = 0; i < unit_nelts(heads); i++) {
        test_head(heads[i].page, heads[i].want);
    }

    unit_ok(unit_nelts(heads) >= 60, "%u heads",
            (unsigned) unit_nelts(heads));

    /* a comment of 8 MB */

    page.len = 8 << 20;
    page.data = unit_alloc(page.len);
    memset(page.data, '-', page.len);
    memcpy(page.data, "<!--a", 5);
    page.data[page.len - 1] = 'a';
    memset(&h, 0, sizeof(sgtm_head_t));
    at = 0;

    unit_ok(sgtm_head_scan(&h, &page, &at) == SGTM_HEAD_MORE && h.ntail == 0,
            "a long comment");

    page = unit_str("--><html><head>");
    unit_ok(sgtm_head_scan(&h, &page, &at) == SGTM_HEAD_HERE
            && at == (ptrdiff_t) page.len, "that ends");

    test_loads();

    return unit_done();
}
