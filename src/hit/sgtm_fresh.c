
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_args.h"
#include "sgtm_fresh.h"


static unsigned sgtm_fresh_char(unsigned c, unsigned leads, uint64_t x);


void
sgtm_fresh(uint64_t seed, unsigned key, const sgtm_str_t *in,
    unsigned char *out)
{
    uint64_t                    x;
    unsigned                    c, escaped, leads;
    unsigned char              *p, *end;
    static const unsigned char  hex[] = "0123456789abcdef";

    if (in->len == 0) {
        return;
    }

    leads = 1;
    x = seed ^ ((uint64_t) key << 56);

    p = in->data;
    end = p + in->len;

    while (p < end) {
        c = *p++;
        escaped = 0;

        if (c == '%' && end - p >= 2 && sgtm_args_byte(p) <= 0xff) {
            c = sgtm_args_byte(p);
            escaped = 1;
        }

        x += 0x9e3779b97f4a7c15;

        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
            || (c >= 'A' && c <= 'Z'))
        {
            c = sgtm_fresh_char(c, leads, x);
            leads = 0;

            if (escaped) {
                *out++ = '%';
                *out++ = hex[c >> 4];
                *out++ = hex[c & 0x0f];
                p += 2;

            } else {
                *out++ = (unsigned char) c;
            }

            continue;
        }

        leads = 1;

        *out++ = p[-1];

        if (escaped) {
            *out++ = *p++;
            *out++ = *p++;
        }
    }
}


/* splitmix64 by Sebastiano Vigna, its mixing step */

static unsigned
sgtm_fresh_char(unsigned c, unsigned leads, uint64_t x)
{
    unsigned  r, lower;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x = x ^ (x >> 31);

    r = (unsigned) (x >> 32);

    if (c <= '9') {
        /* no number begins with 0 */
        return leads ? '1' + r % 9 : '0' + r % 10;
    }

    lower = c & 0x20;
    c |= 0x20;

    c = (c <= 'f') ? 'a' + r % 6 : 'g' + r % 20;

    return lower ? c : c & ~0x20u;
}
