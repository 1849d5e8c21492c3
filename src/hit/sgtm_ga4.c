
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_ga4.h"
#include "sgtm_limits.h"


#define SGTM_ID_MIN   4        /* of a tag id, behind its prefix */
#define SGTM_ID_MAX   20
#define SGTM_ID_LEN   (sizeof("GTM-") - 1 + SGTM_ID_MAX)


/* of an event, or shared by all of them while the query is read */

typedef struct {
    sgtm_str_t      tid;
    sgtm_str_t      cid;
    sgtm_str_t      en;

    sgtm_str_t      ids[SGTM_EVENT_IDS];
    uint8_t         order;             /* SGTM_NAME_ORDER of the first id */

    uint8_t         reason;            /* of a bad tid */
    unsigned        version:1;
    unsigned        bad_version:1;

    unsigned        seen_tid:1;        /* in the query, or in this line */
    unsigned        seen_cid:1;
    unsigned        seen_en:1;
    unsigned        seen_id:1;
    unsigned        seen_transaction:1;

    sgtm_limits_t   limits;
} sgtm_ga4_event_t;


typedef struct {
    sgtm_str_t      prefix;
    unsigned        digits:1;
} sgtm_ga4_tag_t;


static int sgtm_ga4_args(sgtm_ga4_t *hit, const sgtm_names_t *names,
    const sgtm_ids_t *ids, sgtm_args_t *args, sgtm_ga4_event_t *event);
static void sgtm_ga4_mark(sgtm_ga4_t *hit, const sgtm_rule_t *rule,
    const sgtm_arg_t *arg, unsigned char *line);
static inline void sgtm_ga4_name(sgtm_ga4_t *hit, sgtm_ga4_event_t *event,
    sgtm_str_t value);
static void sgtm_ga4_values(sgtm_ga4_t *hit, const sgtm_ids_t *ids,
    sgtm_ga4_event_t *event, const sgtm_str_t *values, unsigned seen);
static void sgtm_ga4_id(sgtm_ga4_event_t *event, const sgtm_rule_t *rule,
    const sgtm_arg_t *arg);
static uint8_t sgtm_ga4_check_tid(const sgtm_ids_t *ids,
    const sgtm_str_t *value);
static int sgtm_ga4_event(sgtm_ga4_t *hit, const sgtm_ga4_event_t *event,
    const sgtm_str_t *line, sgtm_event_t *events);
static void sgtm_ga4_list(sgtm_event_t *out, const sgtm_ga4_event_t *event,
    const sgtm_str_t *line);
static int sgtm_ga4_refuse(sgtm_ga4_t *hit, unsigned reason);


static const sgtm_ga4_tag_t  sgtm_ga4_tags[] = {
    { sgtm_string("G-"), 0 },
    { sgtm_string("GTM-"), 0 },
    { sgtm_string("GT-"), 0 },
    { sgtm_string("AW-"), 1 },
    { sgtm_string("DC-"), 1 },
    { { 0, NULL }, 0 }
};


#define sgtm_ga4_seen(seen, key)  ((seen) >> (key) & 1)


static const sgtm_rule_t  sgtm_ga4_no_rule;


/* keys that a rewriter may have to do with, whatever the rule is */

static const uint8_t  sgtm_ga4_marked[SGTM_KEY_LAST] = {
    [SGTM_KEY_CID] = 1,
    [SGTM_KEY_SID] = 1,
    [SGTM_KEY_NPA] = 1,
    [SGTM_KEY_RICHSSTSSE] = 1
};


int
sgtm_ga4_parse(sgtm_ga4_t *hit, const sgtm_names_t *names,
    const sgtm_ids_t *ids, const sgtm_str_t *query, const sgtm_str_t *body)
{
    return sgtm_ga4_parse_events(hit, names, ids, query, body, NULL);
}


int
sgtm_ga4_parse_events(sgtm_ga4_t *hit, const sgtm_names_t *names,
    const sgtm_ids_t *ids, const sgtm_str_t *query, const sgtm_str_t *body,
    sgtm_event_t *events)
{
    unsigned          first;
    sgtm_args_t       args;
    sgtm_ga4_event_t  shared, event;

    first = 1;

    sgtm_zero(hit, offsetof(sgtm_ga4_t, marks));
    sgtm_zero(&shared, sizeof(sgtm_ga4_event_t));

    sgtm_args_init(&args, query);

    if (sgtm_ga4_args(hit, names, ids, &args, &shared) != SGTM_OK) {
        return SGTM_DECLINED;
    }

    sgtm_args_init_lines(&args, body);

    while (sgtm_args_begin(&args)) {

        if (hit->events == SGTM_MAX_EVENTS) {
            return sgtm_ga4_refuse(hit, SGTM_REASON_TOO_MANY_EVENTS);
        }

        event = shared;
        event.seen_tid = 0;
        event.seen_cid = 0;
        event.seen_en = 0;
        event.seen_id = 0;
        event.seen_transaction = 0;

        if (sgtm_ga4_args(hit, names, ids, &args, &event) != SGTM_OK) {
            return SGTM_DECLINED;
        }

        if (first && event.en.len == 0 && !event.seen_en) {
            /* more of what is shared, before the first event */
            shared = event;
            first = 0;
            continue;
        }

        first = 0;

        if (sgtm_ga4_event(hit, &event, &args.line, events) != SGTM_OK) {
            return SGTM_DECLINED;
        }
    }

    if (hit->events == 0) {
        return sgtm_ga4_event(hit, &shared, NULL, events);
    }

    return SGTM_OK;
}


/* reads the query or a line; what it says wrong of itself is refused */

static int
sgtm_ga4_args(sgtm_ga4_t *hit, const sgtm_names_t *names,
    const sgtm_ids_t *ids, sgtm_args_t *args, sgtm_ga4_event_t *event)
{
    unsigned            n, key, seen;
    sgtm_str_t          values[SGTM_KEY_LAST];
    sgtm_arg_t          arg;
    const sgtm_rule_t  *rule;

    n = 0;
    seen = 0;

    while (sgtm_args_next_known(args, &arg, names, &n)) {

        if (n++ >= SGTM_MAX_ARGS) {
            return sgtm_ga4_refuse(hit, SGTM_REASON_TOO_MANY_ARGS);
        }

        if (arg.fault) {
            hit->param = arg.key;
            return sgtm_ga4_refuse(hit, arg.fault);
        }

        rule = sgtm_args_rule(names, &arg);

        if (rule == NULL) {
            rule = &sgtm_ga4_no_rule;
        }

        key = rule->key;

        if (rule->deny | rule->flags | arg.nested | sgtm_ga4_marked[key]) {
            sgtm_ga4_id(event, rule, &arg);
            sgtm_ga4_mark(hit, rule, &arg, args->line.data);
        }

        if (key == SGTM_KEY_NONE) {
            hit->over |= sgtm_limits_arg(&event->limits, &arg);
            continue;
        }

        /* a line of a batch has no other, as a rule */

        if (key == SGTM_KEY_EN) {
            sgtm_ga4_name(hit, event, arg.value);
            continue;
        }

        if (seen >> key & 1) {
            sgtm_ga4_values(hit, ids, event, values, 1u << key);
        }

        values[key] = arg.value;
        seen |= 1u << key;
    }

    if (n > SGTM_MAX_ARGS) {
        return sgtm_ga4_refuse(hit, SGTM_REASON_TOO_MANY_ARGS);
    }

    if (seen) {
        sgtm_ga4_values(hit, ids, event, values, seen);
    }

    hit->args += n;

    if (event->bad_version) {
        return sgtm_ga4_refuse(hit, SGTM_REASON_NO_VERSION);
    }

    if (event->reason) {
        return sgtm_ga4_refuse(hit, event->reason);
    }

    return SGTM_OK;
}


static void
sgtm_ga4_mark(sgtm_ga4_t *hit, const sgtm_rule_t *rule, const sgtm_arg_t *arg,
    unsigned char *line)
{
    sgtm_mark_t  *mark;

    hit->deny |= rule->deny;
    hit->nested |= arg->nested;
    hit->touched |= (rule->flags & (SGTM_NAME_REMOVE|SGTM_NAME_SET)) ? 1 : 0;

    /* an id alone asks for no change */

    if (!(rule->deny | (rule->flags & SGTM_NAME_CHANGES) | arg->nested
          | sgtm_ga4_marked[rule->key]))
    {
        return;
    }

    if (hit->nmarks < SGTM_MAX_MARKS) {
        mark = &hit->marks[hit->nmarks];

        mark->arg = *arg;
        mark->rule = *rule;
        mark->line = line;
    }

    hit->nmarks++;
}


static inline void
sgtm_ga4_name(sgtm_ga4_t *hit, sgtm_ga4_event_t *event, sgtm_str_t value)
{
    hit->over |= sgtm_limits_event_name(value);

    if (!event->seen_en) {
        event->en = value;
        event->seen_en = 1;
    }
}


/*
 * Takes over the values of the keys whose bits are set in seen.  Of a repeated
 * parameter the first counts, but every "v" and "tid" must be right, and every
 * consent signal can only tighten: which one a tagging server reads is its own
 * affair.
 */

static void
sgtm_ga4_values(sgtm_ga4_t *hit, const sgtm_ids_t *ids, sgtm_ga4_event_t *event,
    const sgtm_str_t *values, unsigned seen)
{
    sgtm_consent_t     consent;
    const sgtm_str_t  *value;

    if (sgtm_ga4_seen(seen, SGTM_KEY_V)) {
        value = &values[SGTM_KEY_V];

        if (!sgtm_args_is(value, (unsigned char *) "2", 1)) {
            event->bad_version = 1;
        }

        event->version = 1;
    }

    if (sgtm_ga4_seen(seen, SGTM_KEY_TID)) {
        value = &values[SGTM_KEY_TID];

        if (!event->reason && value->len) {
            event->reason = sgtm_ga4_check_tid(ids, value);
        }

        if (!event->seen_tid) {
            event->tid = *value;
            event->seen_tid = 1;
        }
    }

    if (sgtm_ga4_seen(seen, SGTM_KEY_CID) && !event->seen_cid) {
        event->cid = values[SGTM_KEY_CID];
        event->seen_cid = 1;
    }

    if (sgtm_ga4_seen(seen, SGTM_KEY_UID)) {
        hit->over |= sgtm_limits_user_id(&values[SGTM_KEY_UID]);
    }

    if (sgtm_ga4_seen(seen, SGTM_KEY_GCS)) {
        (void) sgtm_consent_gcs(&values[SGTM_KEY_GCS], &consent);
        sgtm_consent_strictest(&hit->gcs, &consent);
    }

    if (sgtm_ga4_seen(seen, SGTM_KEY_GCD)) {
        (void) sgtm_consent_gcd(&values[SGTM_KEY_GCD], &consent);
        sgtm_consent_strictest(&hit->gcd, &consent);
    }

    if (sgtm_ga4_seen(seen, SGTM_KEY_NPA)) {
        hit->npa = 1;
    }
}


/* as any parameter, a line's own comes before the shared one */

static void
sgtm_ga4_id(sgtm_ga4_event_t *event, const sgtm_rule_t *rule,
    const sgtm_arg_t *arg)
{
    unsigned  order;

    order = rule->flags & SGTM_NAME_ORDER;

    if (order
        && (event->order == 0 || order < event->order
            || (order == event->order && !event->seen_id)))
    {
        event->ids[SGTM_EVENT_ID] = arg->value;
        event->order = (uint8_t) order;
        event->seen_id = 1;
    }

    if ((rule->flags & SGTM_NAME_TRANSACTION) && !event->seen_transaction) {
        event->ids[SGTM_EVENT_TRANSACTION] = arg->value;
        event->seen_transaction = 1;
    }
}


static uint8_t
sgtm_ga4_check_tid(const sgtm_ids_t *ids, const sgtm_str_t *value)
{
    size_t         i;
    sgtm_str_t     id;
    unsigned char  buf[SGTM_ID_LEN + 1];

    id = *value;

    if (memchr(id.data, '%', id.len) != NULL) {
        id.len = sgtm_args_decode(buf, sizeof(buf), value);
        id.data = buf;
    }

    if (id.len < 2 || id.data[0] != 'G' || id.data[1] != '-'
        || !sgtm_ga4_tag_id(&id))
    {
        return SGTM_REASON_BAD_TAG_ID;
    }

    for (i = 0; i < ids->nelts; i++) {

        if (ids->elts[i].len == id.len
            && memcmp(ids->elts[i].data, id.data, id.len) == 0)
        {
            return SGTM_REASON_NONE;
        }
    }

    return SGTM_REASON_FOREIGN_TAG_ID;
}


/* whether an event lacks nothing */

static int
sgtm_ga4_event(sgtm_ga4_t *hit, const sgtm_ga4_event_t *event,
    const sgtm_str_t *line, sgtm_event_t *events)
{
    if (!event->version) {
        return sgtm_ga4_refuse(hit, SGTM_REASON_NO_VERSION);
    }

    if (event->tid.len == 0) {
        return sgtm_ga4_refuse(hit, SGTM_REASON_NO_TAG_ID);
    }

    if (event->en.len == 0) {
        return sgtm_ga4_refuse(hit, SGTM_REASON_NO_EVENT);
    }

    if (events != NULL) {
        sgtm_ga4_list(&events[hit->events], event, line);
    }

    if (hit->events++ == 0) {
        hit->tid = event->tid;
        hit->cid = event->cid;
        hit->event = event->en;
    }

    return SGTM_OK;
}


static void
sgtm_ga4_list(sgtm_event_t *out, const sgtm_ga4_event_t *event,
    const sgtm_str_t *line)
{
    static const sgtm_str_t  purchase = sgtm_string("purchase");

    sgtm_zero(out, sizeof(sgtm_event_t));

    out->name = event->en;
    out->tid = event->tid;
    out->ids[SGTM_EVENT_ID] = event->ids[SGTM_EVENT_ID];

    if (event->ids[SGTM_EVENT_TRANSACTION].len
        && sgtm_args_is(&event->en, purchase.data, purchase.len))
    {
        out->ids[SGTM_EVENT_TRANSACTION] = event->ids[SGTM_EVENT_TRANSACTION];
    }

    if (line != NULL) {
        out->line = *line;
    }
}


static int
sgtm_ga4_refuse(sgtm_ga4_t *hit, unsigned reason)
{
    hit->reason = (uint8_t) reason;

    return SGTM_DECLINED;
}


int
sgtm_ga4_is_hit(const sgtm_names_t *names, const sgtm_str_t *query)
{
    sgtm_arg_t          arg;
    sgtm_str_t          value;
    sgtm_args_t         args;
    unsigned            version, tag;
    unsigned char       buf[2];
    const sgtm_rule_t  *rule;

    version = 0;
    tag = 0;

    sgtm_args_init(&args, query);

    while (!(version && tag) && sgtm_args_next(&args, &arg)) {

        rule = sgtm_args_rule(names, &arg);

        if (rule == NULL) {
            continue;
        }

        value = arg.value;

        if (rule->key == SGTM_KEY_V
            && sgtm_args_is(&value, (unsigned char *) "2", 1))
        {
            version = 1;
        }

        if (rule->key == SGTM_KEY_TID
            && sgtm_args_decode(buf, sizeof(buf), &value) == sizeof(buf)
            && buf[0] == 'G' && buf[1] == '-')
        {
            tag = 1;
        }
    }

    return version && tag;
}


int
sgtm_ga4_tag_id(const sgtm_str_t *id)
{
    size_t                 i;
    unsigned char          c;
    const sgtm_ga4_tag_t  *tag;

    for (tag = sgtm_ga4_tags; tag->prefix.len; tag++) {

        if (id->len >= tag->prefix.len + SGTM_ID_MIN
            && id->len <= tag->prefix.len + SGTM_ID_MAX
            && memcmp(id->data, tag->prefix.data, tag->prefix.len) == 0)
        {
            break;
        }
    }

    if (tag->prefix.len == 0) {
        return 0;
    }

    for (i = tag->prefix.len; i < id->len; i++) {
        c = id->data[i];

        if (c >= '0' && c <= '9') {
            continue;
        }

        if (c >= 'A' && c <= 'Z' && !tag->digits) {
            continue;
        }

        return 0;
    }

    return 1;
}


int
sgtm_ids_has(const sgtm_ids_t *ids, const sgtm_str_t *value)
{
    size_t  i;

    for (i = 0; i < ids->nelts; i++) {

        if (ids->elts[i].len
            && sgtm_args_is(value, ids->elts[i].data, ids->elts[i].len))
        {
            return 1;
        }
    }

    return 0;
}
