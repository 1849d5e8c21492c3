
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The events of a hit: which ids the parser finds for each, in the query, in a
 * shared first line and in its own; fingerprints that are equal when, and only
 * when, the event is; and a body without some of its lines.  An id of one event
 * that is taken for that of another drops an event that nobody has seen.
 */


#include "unit.h"
#include "sgtm_events.h"
#include "sgtm_siphash.h"


static sgtm_names_t  names;

static sgtm_str_t  id_list[] = {
    sgtm_string("G-ABC1234567"),
    sgtm_string("G-0000")
};

static const sgtm_ids_t  ids = { id_list, unit_nelts(id_list) };

static sgtm_event_t  events[SGTM_MAX_EVENTS];

static const unsigned char  key[SGTM_SIPHASH_KEY] = "0123456789abcde";


/* keys are a, then b, then c; t is what transactions have; ".": none */

typedef struct {
    const char     *query;
    const char     *body;
    const char     *want;              /* "tid name id transaction|..." */
} test_list_t;


#define Q  "v=2&tid=G-0000&"

static const test_list_t  lists[] = {
    { Q "en=x", "", "G-0000 x . ." },
    { Q "en=x&a=1", "", "G-0000 x 1 ." },
    { Q "en=x&a=1&a=2", "", "G-0000 x 1 ." },
    { Q "en=x&%61=1", "", "G-0000 x 1 ." },
    { Q "en=x&A=1&ab=2&aa", "", "G-0000 x . ." },
    { Q "a=1&en=x", "", "G-0000 x 1 ." },
    { Q "en=x&c=3&b=2&a=1", "", "G-0000 x 1 ." },
    { Q "en=x&c=3&b=2&c=4", "", "G-0000 x 2 ." },
    { Q "en=x&c=3", "", "G-0000 x 3 ." },
    { Q "en=x&c=3&a", "", "G-0000 x . ." },
    { Q "en=x&t=9", "", "G-0000 x . ." },
    { Q "en=purchase&t=9", "", "G-0000 purchase . 9" },
    { Q "en=purchase&t=9&a=1&t=8", "", "G-0000 purchase 1 9" },
    { Q "t=9&en=%70urchase", "", "G-0000 %70urchase . 9" },
    { Q "en=purchases&t=9", "", "G-0000 purchases . ." },

    { Q "en=x&a=1", "_et=1", "G-0000 x 1 ." },
    { Q "en=x&a=1", "a=2\r\n_et=1\r\nb=3", "G-0000 x 2 .|G-0000 x 1 .|"
      "G-0000 x 1 ." },
    { Q "b=1", "en=x&a=2\nen=y\nen=z&b=3&b=4\n", "G-0000 x 2 .|G-0000 y 1 .|"
      "G-0000 z 3 ." },
    { Q "a=1", "en=x&a=\nen=y&a", "G-0000 x . .|G-0000 y . ." },
    { Q "a=1&b=5", "b=2&_et=1\nen=x\nen=y&a=3", "G-0000 x 1 .|G-0000 y 3 ." },
    { Q "b=5", "b=2&_et=1\nen=x\nen=y&a=3\nen=z&b=9", "G-0000 x 2 .|"
      "G-0000 y 3 .|G-0000 z 9 ." },
    { Q "t=1", "en=purchase\nen=purchase&t=2\nen=x&t=3\nen=purchase&t=",
      "G-0000 purchase . 1|G-0000 purchase . 2|G-0000 x . .|"
      "G-0000 purchase . ." },
    { Q "a=1", "tid=G-ABC1234567&en=x\nen=y", "G-ABC1234567 x 1 .|"
      "G-0000 y 1 ." }
};


typedef struct {
    const char     *body;
    const char     *duplicates;        /* "01": the second event is one */
    const char     *want;
} test_cut_t;


static const test_cut_t  cuts[] = {
    { "en=a\r\nen=b\r\nen=c", "000", "en=a\r\nen=b\r\nen=c" },
    { "en=a\r\nen=b\r\nen=c", "100", "en=b\r\nen=c" },
    { "en=a\r\nen=b\r\nen=c", "010", "en=a\r\nen=c" },
    { "en=a\r\nen=b\r\nen=c", "001", "en=a\r\nen=b" },
    { "en=a\r\nen=b\r\nen=c", "011", "en=a" },
    { "en=a\r\nen=b\r\nen=c", "111", "" },
    { "en=a\r\nen=b\r\nen=c\r\n", "001", "en=a\r\nen=b\r\n" },
    { "en=a\r\nen=b\r\nen=c\r\n", "111", "" },
    { "en=a\nen=b\r\nen=c", "001", "en=a\nen=b" },
    { "en=a\nen=b\r\nen=c", "010", "en=a\nen=c" },
    { "en=a\n\r\nen=b", "01", "en=a\n" },
    { "\r\n\r\nen=a", "1", "\r\n" },
    { "\r\nen=a\r\n\r\n", "1", "\r\n\r\n" },
    { "ep.x=1\r\nen=a\r\nen=b", "10", "ep.x=1\r\nen=b" },
    { "ep.x=1\r\nen=a\r\nen=b", "01", "ep.x=1\r\nen=a" },
    { "en=a\r\nen=a\r\nen=a", "010", "en=a\r\nen=a" },
    { "en=a&%zz", "0", "en=a&%zz" }
};


/* equal numbers are one event */

typedef struct {
    unsigned        same;
    unsigned        id;
    const char     *tenant;
    const char     *tid;
    const char     *name;
    const char     *value;
} test_print_t;


static const test_print_t  prints[] = {
    { 1, 0, "t", "G-0000", "a", "1" },
    { 1, 0, "t", "G-0000", "%61", "1" },
    { 1, 0, "t", "%47-0000", "a", "%31" },
    { 2, 1, "t", "G-0000", "a", "1" },
    { 3, 0, "u", "G-0000", "a", "1" },
    { 4, 0, "%74", "G-0000", "a", "1" },
    { 5, 0, "t", "G-00001", "a", "1" },
    { 6, 0, "t", "G-0000", "1a", "1" },
    { 7, 0, "t", "G-0000", "a1", "1" },
    { 8, 0, "t", "G-0000", "a", "11" },
    { 9, 0, "t", "G-0000", "a1", "" },
    { 10, 0, "t", "G-0000", "", "a1" },
    { 11, 0, "tG-0000", "", "a", "1" },
    { 12, 0, "", "tG-0000", "a", "1" },
    { 13, 0, "t", "G-0000", "a", "x%20y" },
    { 13, 0, "t", "G-0000", "a", "%78 %79" },
    { 14, 0, "t", "G-0000", "a", "x+y" },
    { 15, 0, "t", "G-0000", "a", "x%2520y" },
    { 16, 0, "t", "G-0000", "a", "%c3%bc" },
    { 16, 0, "t", "G-0000", "a", "\xc3\xbc" },
    { 16, 0, "t", "G-0000", "a", "%C3%BC" },
    { 17, 0, "t", "G-0000", "a", "1%00" },
    { 18, 0, "t", "G-0000", "a", "%" },
    { 18, 0, "t", "G-0000", "a", "%25" },
    { 19, 0, "t", "G-0000", "a", "%4" }
};


static void
parse(sgtm_ga4_t *hit, const char *query, const char *body, sgtm_str_t *lines)
{
    sgtm_str_t  q;

    q = unit_str(query);
    *lines = unit_str(body);

    /* what was there before is of no matter */
    memset(events, 0xa5, sizeof(events));

    if (sgtm_ga4_parse_events(hit, &names, &ids, &q, lines, events)
        != SGTM_OK)
    {
        hit->events = 0;
    }
}


static void
test_lists(void)
{
    char           text[256];
    size_t         i, n;
    unsigned       j;
    sgtm_ga4_t     hit;
    sgtm_str_t     body;
    sgtm_event_t  *event;

#define part(str)  (str).len ? (int) (str).len : 1,                           \
                   (str).len ? (const char *) (str).data : "."

    for (i = 0; i < unit_nelts(lists); i++) {

        parse(&hit, lists[i].query, lists[i].body, &body);

        for (j = 0, n = 0; j < hit.events && n < sizeof(text); j++) {

            event = &events[j];

            n += (size_t) snprintf(text + n, sizeof(text) - n,
                                   "%s%.*s %.*s %.*s %.*s", j ? "|" : "",
                                   part(event->tid), part(event->name),
                                   part(event->ids[SGTM_EVENT_ID]),
                                   part(event->ids[SGTM_EVENT_TRANSACTION]));

            if (event->plain || event->duplicate
                || (body.len == 0) != (event->line.len == 0))
            {
                n += (size_t) snprintf(text + n, sizeof(text) - n, " wrong");
            }
        }

        unit_is((unsigned char *) text, n, lists[i].want, lists[i].query);
    }
}


static void
test_cuts(void)
{
    size_t       i;
    unsigned     j;
    sgtm_str_t   body, out;
    sgtm_ga4_t   hit;

    for (i = 0; i < unit_nelts(cuts); i++) {

        parse(&hit, Q "x=1", cuts[i].body, &body);

        if (hit.events == 0 && strchr(cuts[i].duplicates, '1') != NULL) {
            unit_ok(0, "cut %u is a hit", (unsigned) i);
        }

        for (j = 0; j < hit.events; j++) {
            events[j].duplicate = (cuts[i].duplicates[j] == '1');
        }

        out.data = unit_alloc(body.len);
        out.len = sgtm_events_cut(events, hit.events, &body, out.data);

        unit_is(out.data, out.len, cuts[i].want, cuts[i].duplicates);
    }
}


static void
test_prints(void)
{
    size_t        i, j, n;
    uint64_t      print[unit_nelts(prints)][2], plain[2];
    unsigned      bad;
    sgtm_str_t    tenant;
    sgtm_event_t  event;

    n = unit_nelts(prints);

    for (i = 0; i < n; i++) {
        memset(&event, 0, sizeof(sgtm_event_t));

        tenant = unit_str(prints[i].tenant);
        event.tid = unit_str(prints[i].tid);
        event.name = unit_str(prints[i].name);
        event.ids[prints[i].id] = unit_str(prints[i].value);

        sgtm_event_print(&event, prints[i].id, &tenant, key, print[i]);
    }

    for (i = 0, bad = 0; i < n; i++) {
        for (j = 0; j < i; j++) {

            if ((prints[i].same == prints[j].same)
                != (memcmp(print[i], print[j], sizeof(plain)) == 0))
            {
                printf("# %u and %u\n", (unsigned) i, (unsigned) j);
                bad++;
            }
        }
    }

    unit_ok(bad == 0, "equal where the event is, and only there");

    /* what is not encoded is not decoded */

    memset(&event, 0, sizeof(sgtm_event_t));

    tenant = unit_str("t");
    event.tid = unit_str("G-0000");
    event.name = unit_str("a");
    event.ids[0] = unit_str("x%20y");
    event.plain = 1;

    sgtm_event_print(&event, 0, &tenant, key, plain);
    unit_ok(memcmp(plain, print[14], sizeof(plain)) != 0, "plain: an escape");
    unit_ok(memcmp(plain, print[17], sizeof(plain)) == 0,
            "is what it is when it is encoded");

    event.plain = 0;
    sgtm_event_print(&event, 0, &tenant,
                     (const unsigned char *) "0123456789abcdef", plain);
    unit_ok(memcmp(plain, print[14], sizeof(plain)) != 0, "another key");
}


/* ids of every length over the places where the hash is fed */

static void
test_long(void)
{
    size_t        n, i, bad;
    uint64_t      print[3][2];
    sgtm_str_t    tenant;
    sgtm_event_t  event;
    static char   plain[1001], escaped[3001];

    bad = 0;
    tenant = unit_str("shop.example");

    memset(&event, 0, sizeof(sgtm_event_t));
    memset(print, 0, sizeof(print));

    event.tid = unit_str("G-ABC1234567");
    event.name = unit_str("page_view");

    for (n = 0; n < sizeof(plain) - 1; n++) {

        for (i = 0; i < n; i++) {
            plain[i] = (char) ('a' + i % 26);
            sprintf(escaped + 3 * i, "%%%02x", (unsigned char) plain[i]);
        }

        event.ids[0].data = (unsigned char *) plain;
        event.ids[0].len = n;
        sgtm_event_print(&event, 0, &tenant, key, print[0]);

        event.ids[0].data = (unsigned char *) escaped;
        event.ids[0].len = 3 * n;
        sgtm_event_print(&event, 0, &tenant, key, print[1]);

        bad += (memcmp(print[0], print[1], sizeof(print[0])) != 0);
        bad += (memcmp(print[0], print[2], sizeof(print[0])) == 0);

        memcpy(print[2], print[0], sizeof(print[0]));
    }

    unit_ok(bad == 0, "ids of 0 to %u bytes", (unsigned) n - 1);
}


int
main(void)
{
    unsigned     i;
    sgtm_str_t   name;
    sgtm_rule_t  *rule;

    static const char  *order[] = { "a", "b", "c" };

    unit_names(&names, sgtm_default_params);

    for (i = 0; i < unit_nelts(order); i++) {
        name = unit_str(order[i]);
        rule = sgtm_names_add(&names, &name);
        rule->flags |= (uint8_t) sgtm_names_order(i + 1);
    }

    name = unit_str("t");
    rule = sgtm_names_add(&names, &name);
    rule->flags |= SGTM_NAME_TRANSACTION;

    test_lists();
    test_cuts();
    test_prints();
    test_long();

    return unit_done();
}
