
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_args.h"
#include "sgtm_events.h"
#include "sgtm_siphash.h"


/* most events fit: then the hash is made of one piece */

#define SGTM_EVENT_TEXT  256


typedef struct {
    sgtm_siphash_t  hash;
    size_t          len;
    unsigned char   data[SGTM_EVENT_TEXT];
} sgtm_event_text_t;


static void sgtm_event_field(sgtm_event_text_t *text, const sgtm_str_t *value,
    unsigned plain);
static void sgtm_event_add(sgtm_event_text_t *text, const unsigned char *data,
    size_t len);
static unsigned char *sgtm_events_copy(unsigned char *p,
    const sgtm_str_t *str);


void
sgtm_event_print(const sgtm_event_t *event, unsigned id,
    const sgtm_str_t *tenant, const unsigned char *key, uint64_t *print)
{
    sgtm_event_text_t  text;

    sgtm_siphash_init(&text.hash, key);

    text.len = 1;
    text.data[0] = (unsigned char) id;

    sgtm_event_field(&text, tenant, 1);
    sgtm_event_field(&text, &event->tid, event->plain);
    sgtm_event_field(&text, &event->name, event->plain);
    sgtm_event_field(&text, &event->ids[id], event->plain);

    sgtm_siphash_update(&text.hash, text.data, text.len);
    sgtm_siphash_final(&text.hash, print);
}


/* with its length behind it, which is known only then */

static void
sgtm_event_field(sgtm_event_text_t *text, const sgtm_str_t *value,
    unsigned plain)
{
    size_t          len;
    unsigned char   c, size[4], *p, *end, *percent;

    len = value->len;

    if (len) {
        p = value->data;
        end = p + len;

        while (!plain) {

            percent = memchr(p, '%', (size_t) (end - p));

            if (percent == NULL || end - percent < 3
                || sgtm_args_byte(percent + 1) > 0xff)
            {
                break;
            }

            c = (unsigned char) sgtm_args_byte(percent + 1);

            sgtm_event_add(text, p, (size_t) (percent - p));
            sgtm_event_add(text, &c, 1);

            p = percent + 3;
            len -= 2;
        }

        /* no escape is left, or one that no parser would have let through */

        sgtm_event_add(text, p, (size_t) (end - p));
    }

    size[0] = (unsigned char) len;
    size[1] = (unsigned char) (len >> 8);
    size[2] = (unsigned char) (len >> 16);
    size[3] = (unsigned char) (len >> 24);

    sgtm_event_add(text, size, sizeof(size));
}


static void
sgtm_event_add(sgtm_event_text_t *text, const unsigned char *data, size_t len)
{
    if (len > SGTM_EVENT_TEXT - text->len) {

        sgtm_siphash_update(&text->hash, text->data, text->len);
        text->len = 0;

        if (len > SGTM_EVENT_TEXT) {
            sgtm_siphash_update(&text->hash, data, len);
            return;
        }
    }

    memcpy(text->data + text->len, data, len);
    text->len += len;
}


size_t
sgtm_events_cut(const sgtm_event_t *events, unsigned n,
    const sgtm_str_t *body, unsigned char *out)
{
    unsigned        i;
    sgtm_str_t      rest, line, end;
    unsigned char  *p, *bare;

    i = 0;
    p = out;
    bare = out;
    rest = *body;

    while (sgtm_args_line(&rest, &line, &end)) {

        if (line.len && i < n && events[i].line.data == line.data) {

            i++;

            if (events[i - 1].duplicate || events[i - 1].off) {

                /* the last one leaves with the end of the one before it */

                if (end.len == 0) {
                    p = bare;
                }

                continue;
            }
        }

        bare = sgtm_events_copy(p, &line);
        p = sgtm_events_copy(bare, &end);
    }

    return (size_t) (p - out);
}


static unsigned char *
sgtm_events_copy(unsigned char *p, const sgtm_str_t *str)
{
    if (str->len) {
        memcpy(p, str->data, str->len);
    }

    return p + str->len;
}
