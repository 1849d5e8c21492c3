
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Queries and bodies of any bytes under any rules: the first byte has the
 * denials, the second what else is on.
 */


#include "fuzz.h"
#include "sgtm_ga4.h"


#define FUZZ_NPA    0x01
#define FUZZ_FRESH  0x02
#define FUZZ_SET    0x04
#define FUZZ_PLAIN  0x08               /* the built-in table alone */


typedef size_t (*rewrite_pt)(const sgtm_rewrite_t *rw, const sgtm_str_t *in,
    unsigned char *out);


static sgtm_names_t  plain;
static sgtm_names_t  names;

static sgtm_pair_t  pairs[] = {
    { sgtm_string("ep.one"), sgtm_string("1"), 0 },
    { sgtm_string("ep.off"), { 0, NULL }, 1 },
    { sgtm_string("up.two"), sgtm_string("x%20y"), 0 }
};


static void
init(void)
{
    uint8_t       i;
    sgtm_str_t    name;
    sgtm_rule_t  *rule;

    static sgtm_str_t  removed[] = {
        sgtm_string("ep.gone*"), sgtm_string("_p")
    };

    fuzz_names(&plain, sgtm_default_params);
    fuzz_names(&names, sgtm_default_params);

    for (i = 0; i < 3; i++) {
        rule = sgtm_names_add(&names, &pairs[i].key);
        fuzz_check(rule != NULL);
        rule->flags |= SGTM_NAME_SET;
        rule->set = (uint8_t) (i + 1);
    }

    for (i = 0; i < 2; i++) {
        name = removed[i];
        rule = sgtm_names_add(&names, &name);
        fuzz_check(rule != NULL);
        rule->flags |= SGTM_NAME_REMOVE;
    }
}


/* no argument of a line that a rule forbids */

static void
check_args(const sgtm_rewrite_t *rw, const sgtm_str_t *in, int body)
{
    unsigned            npa, set[3];
    sgtm_arg_t          arg;
    sgtm_args_t         args;
    const sgtm_pair_t  *pair;
    const sgtm_rule_t  *rule;

    npa = 0;
    memset(set, 0, sizeof(set));

    sgtm_args_init(&args, in);

    while (sgtm_args_next(&args, &arg)) {

        rule = sgtm_args_rule(rw->names, &arg);

        if (arg.nested && rw->deny
            && !(rw->fresh && rule != NULL
                 && (rule->key == SGTM_KEY_CID || rule->key == SGTM_KEY_SID)))
        {
            fuzz_check(fuzz_url_denied(sgtm_default_params, rw->deny,
                                       arg.key.data,
                                       arg.key.len + !arg.bare
                                       + arg.value.len)
                       != FUZZ_DENIED);
        }

        if (rule == NULL) {
            continue;
        }

        fuzz_check(!(rule->deny & rw->deny));
        fuzz_check(!(rule->flags & SGTM_NAME_REMOVE));

        if (rule->key == SGTM_KEY_NPA && rw->npa) {
            npa++;
            fuzz_check(arg.value.len == 1 && arg.value.data[0] == '1');
        }

        if ((rule->flags & SGTM_NAME_SET) && rw->nset) {
            pair = &rw->set[rule->set - 1];

            if (!pair->off) {
                set[rule->set - 1]++;
                fuzz_check(fuzz_equal(arg.value.data, arg.value.len,
                                      pair->value.data, pair->value.len));
            }
        }
    }

    fuzz_check(npa == (rw->npa && !body));
    fuzz_check(set[0] == (rw->nset && !body) && set[2] == set[0]);
}


static void
check_query(const sgtm_rewrite_t *rw, const sgtm_str_t *in)
{
    size_t          n, size;
    sgtm_str_t      once;
    unsigned char  *out;

    size = sgtm_rewrite_size(rw, in->len);
    out = fuzz_alloc(size);
    n = sgtm_rewrite_query(rw, in, out);
    fuzz_check(n <= size);

    once = fuzz_copy(out, n);
    free(out);

    check_args(rw, &once, 0);

    out = fuzz_alloc(sgtm_rewrite_size(rw, once.len));
    n = sgtm_rewrite_query(rw, &once, out);
    fuzz_check(fuzz_equal(out, n, once.data, once.len));

    if (!rw->deny && !rw->npa && !rw->fresh && !rw->nset
        && rw->names == &plain)
    {
        fuzz_check(fuzz_equal(in->data, in->len, once.data, once.len));
    }

    /* a bare richsstsse that came last is last */

    if (in->len >= 11
        && memcmp(in->data + in->len - 11, "&richsstsse", 11) == 0)
    {
        fuzz_check(once.len >= 10
                   && memcmp(once.data + once.len - 10, "richsstsse", 10) == 0);
    }

    free(out);
    free(once.data);
}


static void
check_body(const sgtm_rewrite_t *rw, const sgtm_str_t *in)
{
    size_t          n, ends;
    sgtm_str_t      once, rest, line, end;
    unsigned char  *out;

    out = fuzz_alloc(in->len);
    n = sgtm_rewrite_body(rw, in, out);
    fuzz_check(n <= in->len);

    once = fuzz_copy(out, n);
    free(out);

    for (n = 0, ends = 0; n < in->len; n++) {
        ends += (in->data[n] == '\n');
    }

    for (n = 0; n < once.len; n++) {
        ends -= (once.data[n] == '\n');
    }

    fuzz_check(ends == 0);

    for (rest = once; sgtm_args_line(&rest, &line, &end); /* void */ ) {
        check_args(rw, &line, 1);
    }

    out = fuzz_alloc(once.len);
    n = sgtm_rewrite_body(rw, &once, out);
    fuzz_check(fuzz_equal(out, n, once.data, once.len));

    if (!rw->deny && !rw->npa && !rw->fresh && !rw->nset
        && rw->names == &plain)
    {
        fuzz_check(fuzz_equal(in->data, in->len, once.data, once.len));
    }

    free(out);
    free(once.data);
}


/* what the parser has marked gives the same as reading the hit again */

static void
check_same(sgtm_rewrite_t *rw, const sgtm_ga4_t *hit, const sgtm_str_t *in,
    rewrite_pt rewrite)
{
    size_t          n, m, size;
    unsigned char  *scanned, *marked;

    size = sgtm_rewrite_size(rw, in->len);
    scanned = malloc(size + 1);
    marked = malloc(size + 1);
    fuzz_check(scanned != NULL && marked != NULL);

    n = rewrite(rw, in, scanned);

    rw->marks = hit->marks;
    rw->nmarks = hit->nmarks;

    m = rewrite(rw, in, marked);

    fuzz_check(n == m && memcmp(scanned, marked, n) == 0);

    rw->marks = NULL;

    free(scanned);
    free(marked);
}


static void
check_marks(sgtm_rewrite_t *rw, const sgtm_str_t *query, const sgtm_str_t *body)
{
    sgtm_ga4_t  hit;
    sgtm_ids_t  ids;

    static sgtm_str_t  tid = sgtm_string("G-ABC1234567");

    ids.elts = &tid;
    ids.nelts = 1;

    if (sgtm_ga4_parse(&hit, rw->names, &ids, query, body) == SGTM_OK
        && hit.nmarks <= SGTM_MAX_MARKS)
    {
        check_same(rw, &hit, query, sgtm_rewrite_query);
        check_same(rw, &hit, body, sgtm_rewrite_body);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sgtm_str_t      in, none;
    sgtm_rewrite_t  rw;

    static const sgtm_str_t  query =
        sgtm_string("v=2&tid=G-ABC1234567&en=page_view&cid=1.2&npa=1");

    if (size < 2) {
        return 0;
    }

    if (names.slots == NULL) {
        init();
    }

    memset(&rw, 0, sizeof(sgtm_rewrite_t));

    rw.deny = data[0] & 0x3f;
    rw.npa = (data[1] & FUZZ_NPA) ? 1 : 0;
    rw.fresh = (data[1] & FUZZ_FRESH) ? 1 : 0;
    rw.seed = data[1];

    if (data[1] & FUZZ_PLAIN) {
        rw.names = &plain;

    } else {
        rw.names = &names;

        if (data[1] & FUZZ_SET) {
            rw.set = pairs;
            rw.nset = 3;
        }
    }

    in = fuzz_copy(data + 2, size - 2);

    check_query(&rw, &in);
    check_body(&rw, &in);
    none.len = 0;
    none.data = NULL;

    check_marks(&rw, &in, &none);
    check_marks(&rw, &query, &in);

    free(in.data);

    return 0;
}
