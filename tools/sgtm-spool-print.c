
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "hit/sgtm_json.h"
#include "sgtm-spool.h"


static void spool_json_base64(const sgtm_str_t *str);


void
spool_print_age(int64_t ms, char *text, size_t size)
{
    size_t  i;

    static const struct {
        int64_t     seconds;
        char        name;
    } units[] = {
        { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' }
    };

    ms /= 1000;

    for (i = 0; i < 3 && ms < 2 * units[i].seconds; i++) { /* void */ }

    (void) snprintf(text, size, "%" PRId64 "%c", ms / units[i].seconds,
                    units[i].name);
}


void
spool_print_time(const char *name, int64_t ms)
{
    char       text[64];
    time_t     seconds;
    struct tm  tm;

    seconds = (time_t) (ms / 1000);

    if (gmtime_r(&seconds, &tm) == NULL
        || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
    {
        (void) snprintf(text, sizeof(text), "%" PRId64 " ms", ms);
    }

    printf("%s:%*s%s\n", name, (int) (10 - strlen(name)), "", text);
}


void
spool_print_str(const char *name, const sgtm_str_t *str)
{
    printf("%s:%*s", name, (int) (10 - strlen(name)), "");
    spool_print_safe(str, 0);
    putchar('\n');
}


void
spool_print_lines(const sgtm_str_t *str)
{
    size_t      len;
    sgtm_str_t  line, rest;

    for (rest = *str; rest.len; rest.len -= len, rest.data += len) {

        for (len = 0; len < rest.len && rest.data[len] != '\n'; len++) {
            /* void */
        }

        line.data = rest.data;
        line.len = len;

        if (len > 0 && line.data[len - 1] == '\r') {
            line.len--;
        }

        printf("    ");
        spool_print_safe(&line, 0);
        putchar('\n');

        len += (len < rest.len);
    }
}


void
spool_print_safe(const sgtm_str_t *str, int width)
{
    size_t                n;
    const unsigned char  *p, *last;

    p = str->data;
    last = p + str->len;

    for ( /* void */ ; p < last; p += n) {

        n = sgtm_json_utf8(p, last);

        /* also those of two bytes, U+0080 to U+009F */

        if (n == 0 || *p < 0x20 || *p == 0x7f || *p == '\\'
            || (*p == 0xc2 && p[1] < 0xa0))
        {
            n = 1;
            width -= printf(*p == '\\' ? "\\\\" : "\\x%02x", *p);
            continue;
        }

        fwrite(p, 1, n, stdout);
        width--;
    }

    if (width > 0) {
        printf("%*s", width, "");
    }
}


void
spool_json_str(const char *name, const sgtm_str_t *str)
{
    size_t                i, n;
    const char           *escape;
    const unsigned char  *p;

    static const char     escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";

    for (i = 0; i < str->len; i += n) {
        n = sgtm_json_utf8(str->data + i, str->data + str->len);

        if (n == 0) {
            printf(",\"%s_base64\":\"", name);
            spool_json_base64(str);
            putchar('"');
            return;
        }
    }

    printf(",\"%s\":\"", name);

    for (i = 0, p = str->data; i < str->len; i++, p++) {

        for (escape = escapes; *escape && *escape != (char) *p; escape += 2) {
            /* void */
        }

        if (*escape) {
            printf("\\%c", escape[1]);

        } else if (*p < 0x20 || *p == 0x7f) {
            printf("\\u%04x", *p);

        } else {
            putchar(*p);
        }
    }

    putchar('"');
}


static void
spool_json_base64(const sgtm_str_t *str)
{
    size_t             i, n;
    unsigned           bits;

    static const char  digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (i = 0; i < str->len; i += 3) {

        n = str->len - i;

        bits = (unsigned) str->data[i] << 16
               | (n > 1 ? (unsigned) str->data[i + 1] << 8 : 0)
               | (n > 2 ? (unsigned) str->data[i + 2] : 0);

        putchar(digits[bits >> 18]);
        putchar(digits[bits >> 12 & 63]);
        putchar(n > 1 ? digits[bits >> 6 & 63] : '=');
        putchar(n > 2 ? digits[bits & 63] : '=');
    }
}
