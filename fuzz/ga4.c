
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Hits of any bytes: a query, then, behind the first "\n", a body.  What is let
 * through has the right version and an id of ours wherever it has one at all.
 * Its events are listed in order, and without the lines of some of them the
 * body has the others.
 */


#include "fuzz.h"


static sgtm_names_t  names;

static sgtm_str_t  id_list[] = {
    sgtm_string("G-ABC1234567"),
    sgtm_string("G-0000")
};

static const sgtm_ids_t  ids = { id_list, 2 };


static sgtm_event_t  events[SGTM_MAX_EVENTS];

static unsigned  union_deny;
static unsigned  union_nested;
static unsigned  total;


static void
add_id(const char *text, unsigned flags)
{
    sgtm_str_t    name;
    sgtm_rule_t  *rule;

    name.len = strlen(text);
    name.data = (unsigned char *) text;

    rule = sgtm_names_add(&names, &name);
    fuzz_check(rule != NULL);

    rule->flags |= (uint8_t) flags;
}


static int
decodes_to(const sgtm_str_t *str, const char *want)
{
    int             rc;
    size_t          n;
    unsigned char  *text;

    text = fuzz_alloc(str->len);
    n = fuzz_decode(text, str->data, str->len);
    rc = fuzz_equal(text, n, (const unsigned char *) want, strlen(want));
    free(text);

    return rc;
}


/* every argument of a query or line that was let through */

static void
check_args(const sgtm_str_t *in)
{
    unsigned            n;
    sgtm_arg_t          arg;
    sgtm_args_t         args;
    const sgtm_rule_t  *rule;

    n = 0;

    sgtm_args_init(&args, in);

    while (sgtm_args_next(&args, &arg)) {

        n++;
        fuzz_check(!arg.fault);

        if (decodes_to(&arg.key, "v")) {
            fuzz_check(decodes_to(&arg.value, "2"));
        }

        if (decodes_to(&arg.key, "tid") && arg.value.len) {
            fuzz_check(decodes_to(&arg.value, "G-ABC1234567")
                       || decodes_to(&arg.value, "G-0000"));
        }

        rule = sgtm_args_rule(&names, &arg);

        union_deny |= rule ? rule->deny : 0;
        union_nested |= arg.nested;
    }

    fuzz_check(n <= SGTM_MAX_ARGS);

    total += n;
}


static int
inside(const sgtm_str_t *str, const sgtm_str_t *query, const sgtm_str_t *body)
{
    return str->len == 0
           || (str->data >= query->data
               && str->data + str->len <= query->data + query->len)
           || (str->data >= body->data
               && str->data + str->len <= body->data + body->len);
}


static void
check_list(const sgtm_ga4_t *hit, const sgtm_str_t *query,
    const sgtm_str_t *body, unsigned which)
{
    unsigned             i, j, n;
    sgtm_str_t           cut;
    sgtm_ga4_t           other;
    unsigned char       *pos;
    static sgtm_event_t  rest[SGTM_MAX_EVENTS];

    n = 0;
    pos = body->data;

    for (i = 0; i < hit->events; i++) {

        fuzz_check(inside(&events[i].name, query, body));
        fuzz_check(events[i].name.len);
        fuzz_check(inside(&events[i].tid, query, body));
        fuzz_check(sgtm_ids_has(&ids, &events[i].tid));
        fuzz_check(inside(&events[i].ids[0], query, body));
        fuzz_check(inside(&events[i].ids[1], query, body));
        fuzz_check(!events[i].ids[1].len
                   || decodes_to(&events[i].name, "purchase"));

        if (events[i].line.len) {
            fuzz_check(inside(&events[i].line, query, body));
            fuzz_check(events[i].line.data >= pos);
            pos = events[i].line.data + events[i].line.len;

        } else {
            fuzz_check(hit->events == 1);
        }

        events[i].duplicate = (which >> (i % 8)) & 1;
        n += !events[i].duplicate;
    }

    cut.data = fuzz_alloc(body->len);
    cut.len = sgtm_events_cut(events, hit->events, body, cut.data);

    fuzz_check(cut.len <= body->len);

    if (n && events[0].line.len) {

        fuzz_check(sgtm_ga4_parse_events(&other, &names, &ids, query, &cut,
                                         rest)
                   == SGTM_OK);
        fuzz_check(other.events == n);

        for (i = 0, j = 0; i < hit->events; i++) {

            if (events[i].duplicate) {
                continue;
            }

            fuzz_check(fuzz_equal(rest[j].line.data, rest[j].line.len,
                                  events[i].line.data, events[i].line.len));
            j++;
        }
    }

    free(cut.data);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             rc;
    size_t          n;
    unsigned        lines;
    sgtm_str_t      query, body, rest, line, end;
    sgtm_ga4_t      hit;
    const uint8_t  *p;

    if (names.slots == NULL) {
        fuzz_names(&names, sgtm_default_params);
        add_id("ep.event_id", sgtm_names_order(1));
        add_id("ep.transaction_id", SGTM_NAME_TRANSACTION);
    }

    p = size ? memchr(data, '\n', size) : NULL;
    n = p ? (size_t) (p - data) : size;

    query = fuzz_copy(data, n);
    body = fuzz_copy(data + n + (p != NULL), size - n - (p != NULL));

    rc = sgtm_ga4_parse_events(&hit, &names, &ids, &query, &body, events);

    fuzz_check((rc == SGTM_OK) == (hit.reason == SGTM_REASON_NONE));
    fuzz_check(rc == SGTM_OK || rc == SGTM_DECLINED);
    fuzz_check(hit.reason < SGTM_REASON_HIT_LAST);
    fuzz_check(hit.over < 1 << SGTM_OVER_N);

    if (rc == SGTM_OK) {

        fuzz_check(inside(&hit.tid, &query, &body));
        fuzz_check(inside(&hit.cid, &query, &body));
        fuzz_check(inside(&hit.event, &query, &body));
        fuzz_check(hit.tid.len && hit.event.len);
        fuzz_check(sgtm_ids_has(&ids, &hit.tid));

        union_deny = 0;
        union_nested = 0;
        total = 0;
        lines = 0;

        check_args(&query);

        rest = body;

        while (sgtm_args_line(&rest, &line, &end)) {

            if (line.len) {
                check_args(&line);
                lines++;
            }
        }

        /* a first line may be shared by the others, none is the query's */

        fuzz_check(hit.events >= 1 && hit.events <= SGTM_MAX_EVENTS);
        fuzz_check(hit.events <= (lines ? lines : 1)
                   && hit.events + 1 >= lines);

        fuzz_check(hit.deny == union_deny);
        fuzz_check(hit.nested == union_nested);
        fuzz_check(hit.args == total);
        fuzz_check(!hit.touched);

        check_list(&hit, &query, &body, size ? data[size - 1] : 0);
    }

    /* a query alone that passes is a hit by its looks as well */

    line.len = 0;
    line.data = NULL;

    if (sgtm_ga4_parse(&hit, &names, &ids, &query, &line) == SGTM_OK) {
        fuzz_check(sgtm_ga4_is_hit(&names, &query));
    }

    (void) sgtm_ga4_is_hit(&names, &body);

    free(query.data);
    free(body.data);

    return 0;
}
