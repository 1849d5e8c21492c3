
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a rewritten hit looks like, byte for byte: nothing changes but what a
 * rule names, one "&" goes with each argument, richsstsse stays last, and a hit
 * that was rewritten once does not change again.
 */


#include "unit.h"


typedef struct {
    const char     *in;
    const char     *query;
    const char     *body;              /* NULL: as the query */
} test_rewrite_t;


static sgtm_names_t    names;
static sgtm_pair_t     pairs[3];
static sgtm_rewrite_t  rewrite;


static const char  *untouched[] = {
    "",
    "&",
    "&&&",
    "a",
    "a=",
    "=",
    "a=1&&b=2&",
    "v=2&tid=G-ABC1234567&gclid=1&uid=2&_uip=1.2.3.4&cid=1.2&sid=3",
    "a=%&b=%4&c=%zz&d=%00&e=\x01&f=\xff",
    "uafvl=Not%253FA%2520Brand&dl=https%3A%2F%2Fs%2F%3Fgclid%3D1",
    "richsstsse&a&richsstsse",
    "a=1&richsstsse=&richsstsse"
};


static const test_rewrite_t  ads[] = {
    { "gclid=1", "", NULL },
    { "gclid=1&a=2", "a=2", NULL },
    { "a=2&gclid=1", "a=2", NULL },
    { "a=2&gclid=1&b=3", "a=2&b=3", NULL },
    { "a=2&gclid=1&dclid&b=3&fbclid=", "a=2&b=3", NULL },
    { "gclid=1&gclid=2", "", NULL },
    { "gclid=1&a=2&gclid=3", "a=2", NULL },
    { "gc%6Cid=1&a=2", "a=2", NULL },
    { "%67%63%6c%69%64&a=2", "a=2", NULL },
    { "a=1&gclid", "a=1", NULL },
    { "a=1&gclid=1&", "a=1&", NULL },
    { "&gclid=1&", "&", NULL },
    { "gclid=1&&a", "&a", NULL },
    { "a&&gclid=1&&b", "a&&&b", NULL },
    { "GCLID=1&gclidx=1&xgclid=1", "GCLID=1&gclidx=1&xgclid=1", NULL },
    { "uid=1&sct=1&gclid=1", "uid=1&sct=1", NULL },
    { "gclid=1&richsstsse", "richsstsse", NULL },
    { "richsstsse&gclid=1", "richsstsse", NULL },
    { "dl=https%3A%2F%2Fs%2F%3Fgclid%3D1&x", "dl=https%3A%2F%2Fs%2F&x", NULL },
    { "dl=https%3A%2F%2Fs%2F%3Fa%3D1&x", "dl=https%3A%2F%2Fs%2F%3Fa%3D1&x",
      NULL },
    { "x&dl=https://s/?gclid=1", "x&dl=https://s/", NULL },
    { "dt=Why%3F%20Because%20%23gclid%3D5", "dt=Why%3F%20Because%20", NULL },
    { "ep.any=%2Fp%3Fgclid%3D1%26a&dr=%2Fp%3F_gl%3D1&gclid=3",
      "ep.any=%2Fp%3Fa&dr=%2Fp", NULL },
    { "dl=%2F%3Fgclid%3D1&dl=%2F%3Fdclid%3D1", "dl=%2F&dl=%2F", NULL },
    { "a=%26gclid%3D1", "a=%26gclid%3D1", NULL },

    /* the key is the URL */
    { "https://s/?gclid=1", "https://s/", NULL },
    { "https%3A%2F%2Fs%2F%3Fgclid%3D1&a", "https%3A%2F%2Fs%2F&a", NULL },
    { "?gclid=1&a=2", "&a=2", NULL },
    { "gclid%3Fgclid=1&a", "a", NULL },
    { "a&gclid?gclid=1", "a", NULL },
    { "b%3Fgclid%3D1%26c=2&a", "b%3Fc=2&a", NULL }
};


static const test_rewrite_t  npas[] = {
    { "", "npa=1", "" },
    { "a", "a&npa=1", "a" },
    { "npa=1&a", "npa=1&a", "a" },
    { "npa=0&a", "a&npa=1", "a" },
    { "npa&a", "a&npa=1", "a" },
    { "npa=0&a&npa=1&npa=1", "a&npa=1", "a" },
    { "a&richsstsse", "a&npa=1&richsstsse", "a&richsstsse" },
    { "richsstsse", "npa=1&richsstsse", "richsstsse" },
    { "richsstsse&a", "richsstsse&a&npa=1", "richsstsse&a" },
    { "a&richsstsse=", "a&richsstsse=&npa=1", "a&richsstsse=" },
    { "a&npa=0&richsstsse", "a&npa=1&richsstsse", "a&richsstsse" },
    { "a&richsstsse&npa=0", "a&npa=1&richsstsse", "a&richsstsse" },
    { "a&", "a&&npa=1", "a&" }
};


/* ep.one=1, ep.two=x%20y, ep.off is not in this hit; ep.gone* are removed */

static const test_rewrite_t  sets[] = {
    { "", "ep.one=1&ep.two=x%20y", "" },
    { "a", "a&ep.one=1&ep.two=x%20y", "a" },
    { "ep.one=1&a", "ep.one=1&a&ep.two=x%20y", "a" },
    { "ep.two=x%20y&a&ep.one=1&b", "ep.two=x%20y&a&ep.one=1&b", "a&b" },
    { "ep.one=2&a", "a&ep.one=1&ep.two=x%20y", "a" },
    { "ep.one=2&a&ep.one=1&ep.one=1", "a&ep.one=1&ep.two=x%20y", "a" },
    { "ep%2Eone=1&a", "ep%2Eone=1&a&ep.two=x%20y", "a" },
    { "ep.two=x%20y&a&ep.one", "ep.two=x%20y&a&ep.one=1", "a" },
    { "ep.off=5&a", "ep.off=5&a&ep.one=1&ep.two=x%20y", "ep.off=5&a" },
    { "ep.gone=5&a&ep.gone_too&ep.gon=1",
      "a&ep.gon=1&ep.one=1&ep.two=x%20y", "a&ep.gon=1" },
    { "a&richsstsse", "a&ep.one=1&ep.two=x%20y&richsstsse", "a&richsstsse" }
};


static void
check(const test_rewrite_t *test, const char *name)
{
    char            text[512];
    size_t          n;
    sgtm_str_t      in, again;
    unsigned char  *out;

    in = unit_str(test->in);

    out = unit_alloc(sgtm_rewrite_size(&rewrite, in.len));
    n = sgtm_rewrite_query(&rewrite, &in, out);

    snprintf(text, sizeof(text), "%s, query: %s", name, test->in);
    unit_is(out, n, test->query, text);

    again = unit_bytes(out, n);
    out = unit_alloc(sgtm_rewrite_size(&rewrite, again.len));
    n = sgtm_rewrite_query(&rewrite, &again, out);
    unit_is(out, n, test->query, "  again");

    out = unit_alloc(in.len);
    n = sgtm_rewrite_body(&rewrite, &in, out);
    snprintf(text, sizeof(text), "%s, line: %s", name, test->in);
    unit_is(out, n, test->body ? test->body : test->query, text);
}


static void
reset(unsigned deny)
{
    memset(&rewrite, 0, sizeof(sgtm_rewrite_t));
    unit_names(&names, sgtm_default_params);

    rewrite.names = &names;
    rewrite.deny = deny;
}


static void
test_untouched(void)
{
    size_t          i;
    test_rewrite_t  test;

    reset(0);

    for (i = 0; i < unit_nelts(untouched); i++) {
        test.in = untouched[i];
        test.query = untouched[i];
        test.body = NULL;

        check(&test, "no rule");
    }

    unit_ok(sgtm_rewrite_size(&rewrite, 100) == 100, "no rule: no more bytes");
}


static void
test_ads(void)
{
    size_t  i;

    reset(SGTM_DENY_AD_STORAGE);

    for (i = 0; i < unit_nelts(ads); i++) {
        check(&ads[i], "ads denied");
    }
}


static void
test_npa(void)
{
    size_t          i;
    test_rewrite_t  test;

    reset(0);
    rewrite.npa = 1;

    for (i = 0; i < unit_nelts(npas); i++) {
        check(&npas[i], "npa");
    }

    reset(SGTM_DENY_AD_PERSONALIZATION|SGTM_DENY_ANY);

    test.in = "npa=0&gclid=1&uid=2&em=3";
    test.query = test.in;
    test.body = NULL;

    check(&test, "a denial of personalization alone drops nothing");
}


static void
init_sets(void)
{
    size_t        i;
    sgtm_str_t    name;
    sgtm_rule_t  *rule;

    reset(0);
    memset(pairs, 0, sizeof(pairs));

    pairs[0].key = unit_str("ep.one");
    pairs[0].value = unit_str("1");
    pairs[1].key = unit_str("ep.off");
    pairs[1].off = 1;
    pairs[2].key = unit_str("ep.two");
    pairs[2].value = unit_str("x%20y");

    for (i = 0; i < unit_nelts(pairs); i++) {
        rule = sgtm_names_add(&names, &pairs[i].key);
        rule->flags |= SGTM_NAME_SET;
        rule->set = (uint8_t) (i + 1);
    }

    name = unit_str("ep.gone*");
    sgtm_names_add(&names, &name)->flags |= SGTM_NAME_REMOVE;

    rewrite.set = pairs;
    rewrite.nset = unit_nelts(pairs);
}


static void
test_sets(void)
{
    size_t          i;
    sgtm_str_t      name;
    test_rewrite_t  test;

    init_sets();

    for (i = 0; i < unit_nelts(sets); i++) {
        check(&sets[i], "set");
    }

    unit_ok(sgtm_rewrite_size(&rewrite, 0) >= strlen("ep.one=1&ep.two=x%20y"),
            "set: room for it");

    /* a denial speaks for the operator's values too */

    name = unit_str("ep.one");
    sgtm_names_add(&names, &name)->deny = SGTM_DENY_AD_USER_DATA;
    pairs[2].value = unit_str("%2Fp%3Fgclid%3D1%26a");
    rewrite.deny = SGTM_DENY_AD_USER_DATA|SGTM_DENY_AD_STORAGE;

    test.in = "a&ep.one=1";
    test.query = "a&ep.two=%2Fp%3Fa";
    test.body = "a";
    check(&test, "set and denied");

    /* removed and set: the set one holds */

    init_sets();
    sgtm_names_add(&names, &name)->flags |= SGTM_NAME_REMOVE;

    test.in = "ep.one=2&a";
    test.query = "a&ep.one=1&ep.two=x%20y";
    test.body = "a";
    check(&test, "removed and set");

    test.in = "ep.one=1&a";
    test.query = "ep.one=1&a&ep.two=x%20y";
    check(&test, "removed and set as it was");

    /* what is no hit keeps what an operator removes from hits, no more */

    init_sets();
    rewrite.set = NULL;
    rewrite.nset = 0;
    rewrite.matrix = 1;
    rewrite.deny = SGTM_DENY_AD_STORAGE;

    test.in = "ep.gone=1&ep.one=2&gclid=3";
    test.query = "ep.gone=1&ep.one=2";
    test.body = NULL;
    check(&test, "the matrix alone");

    /* npa is forced, whatever the operator sets */

    init_sets();
    pairs[0].key = unit_str("npa");
    pairs[0].value = unit_str("0");
    name = unit_str("npa");
    sgtm_names_add(&names, &name)->flags |= SGTM_NAME_SET;
    sgtm_names_add(&names, &name)->set = 1;

    test.in = "npa=1&a";
    test.query = "a&npa=0&ep.two=x%20y";
    test.body = "a";
    check(&test, "npa is set");

    rewrite.npa = 1;

    test.query = "npa=1&a&ep.two=x%20y";
    check(&test, "npa is set and forced");

    test.in = "npa=0&a";
    test.query = "a&ep.two=x%20y&npa=1";
    check(&test, "npa is set, wrong and forced");
}


static void
test_lines(void)
{
    size_t          i, n;
    sgtm_str_t      in;
    unsigned char  *out;

    static const test_rewrite_t  bodies[] = {
        { "en=a&gclid=1\r\nen=b\r\n", "en=a\r\nen=b\r\n", NULL },
        { "gclid=1\r\nen=b", "\r\nen=b", NULL },
        { "gclid=1\ngclid=2\n", "\n\n", NULL },
        { "\r\n\r\nen=a\n\n", "\r\n\r\nen=a\n\n", NULL },
        { "en=a&dl=%2F%3Fgclid%3D1\r\nen=b&dl=%2F%3Fa&gclid\nnpa=1",
          "en=a&dl=%2F\r\nen=b&dl=%2F%3Fa\n", NULL },
        { "en=a&richsstsse\r\nrichsstsse&gclid=1\r\n",
          "en=a&richsstsse\r\nrichsstsse\r\n", NULL },
        { "a&\r\n&b", "a&\r\n&b", NULL },
        { "", "", NULL }
    };

    reset(SGTM_DENY_AD_STORAGE);
    rewrite.npa = 1;

    for (i = 0; i < unit_nelts(bodies); i++) {

        in = unit_str(bodies[i].in);
        out = unit_alloc(in.len);
        n = sgtm_rewrite_body(&rewrite, &in, out);

        unit_is(out, n, bodies[i].query, "lines");
    }
}


/* the class of a character that a new id keeps */

static unsigned
class(unsigned c)
{
    return (c >= '0' && c <= '9') ? 1
           : (c >= 'a' && c <= 'f') ? 2
           : (c >= 'g' && c <= 'z') ? 3
           : (c >= 'A' && c <= 'F') ? 4
           : (c >= 'G' && c <= 'Z') ? 5 : 0;
}


static void
test_fresh_classes(void)
{
    size_t          i, j, n, m, changed;
    unsigned        bad;
    sgtm_str_t      in, value;
    unsigned char  *out, *again;

    static const char  *ids[] = {
        "cid=1234567890.1729000000",
        "cid=550e8400-e29b-41d4-a716-446655440000",
        "cid=GA1.1.1234567890.1729000000",
        "cid=Zz_-Aa09",
        "sid=1729000000",
        "c%69d=1234567890%2E1729000000",
        "cid=%31%32%33456",
        "cid=0",
        "cid=%E2%82%AC1",
        "cid=%"
    };

    reset(SGTM_DENY_ANALYTICS_STORAGE|SGTM_DENY_ANY);
    rewrite.fresh = 1;

    for (i = 0; i < unit_nelts(ids); i++) {

        in = unit_str(ids[i]);
        out = unit_alloc(in.len);
        again = unit_alloc(in.len);
        bad = 0;
        changed = 0;

        for (rewrite.seed = 0; rewrite.seed < 200; rewrite.seed++) {

            n = sgtm_rewrite_query(&rewrite, &in, out);
            bad += (n != in.len);

            value.data = out;
            value.len = n;
            m = sgtm_rewrite_body(&rewrite, &value, again);
            bad += (m != n || memcmp(out, again, n) != 0);

            for (j = 0; j < n; j++) {
                bad += (class(out[j]) != class(in.data[j])
                        && memchr(in.data, '%', n) == NULL);
                changed += (out[j] != in.data[j]);
                bad += (j && out[j - 1] == '=' && out[j] == '0');
                bad += (j && out[j - 1] == '.' && out[j] == '0');
            }
        }

        unit_ok(bad == 0 && (changed > 0) == (strcmp(ids[i], "cid=%") != 0),
                "a new %s, %u bytes in 200", ids[i], (unsigned) changed);
    }
}


/* the same in query and lines, and nothing of the old one in it */

static void
test_fresh(void)
{
    size_t          n, m;
    sgtm_str_t      in, value, key, other;
    unsigned char  *out, *again;

    reset(SGTM_DENY_ANALYTICS_STORAGE|SGTM_DENY_ANY);
    rewrite.fresh = 1;
    rewrite.seed = 0x0123456789abcdef;

    in = unit_str("cid=1234567890.17&sid=5555555555&x=1234567890.17");
    out = unit_alloc(in.len);
    n = sgtm_rewrite_query(&rewrite, &in, out);
    in = unit_str("cid=9876543210.99&sid=6666666666&x=1234567890.17");
    again = unit_alloc(in.len);
    m = sgtm_rewrite_body(&rewrite, &in, again);

    unit_ok(n == m && memcmp(out, again, n) == 0,
            "it depends on the hit alone");

    in.data = out;
    in.len = n;
    key = unit_str("cid");
    (void) sgtm_args_get(&in, &key, &value);
    key = unit_str("sid");
    (void) sgtm_args_get(&in, &key, &other);
    unit_ok(memcmp(value.data, other.data, other.len) != 0,
            "cid and sid are not the same");

    key = unit_str("x");
    (void) sgtm_args_get(&in, &key, &value);
    unit_is(value.data, value.len, "1234567890.17", "no other key changes");

    rewrite.seed++;
    in = unit_str("cid=1234567890.17&sid=5555555555&x=1234567890.17");
    m = sgtm_rewrite_query(&rewrite, &in, again);
    unit_ok(n == m && memcmp(out, again, n) != 0, "another hit, another id");

    in = unit_str("cid=%31234567890%2E17");
    m = sgtm_rewrite_query(&rewrite, &in, out);
    n = sgtm_args_decode(again, m, &(sgtm_str_t) { m, out });
    in = unit_str("cid=1234567890.17");
    out = unit_alloc(in.len);
    m = sgtm_rewrite_query(&rewrite, &in, out);
    unit_ok(n == m && memcmp(out, again, n) == 0,
            "escaped or not, the same id");

    in = unit_str("cid&sid=&cid=");
    m = sgtm_rewrite_query(&rewrite, &in, out);
    unit_is(out, m, "cid&sid=&cid=", "no id, no new one");
}


/* what the parser has marked is all that has to be looked at */

static void
test_marks(void)
{
    size_t          i, n, m;
    sgtm_ga4_t      hit;
    sgtm_str_t      id, query, body;
    sgtm_ids_t      ids;
    sgtm_names_t    table;
    unsigned char  *out;

    static const char  *const  bodies[][2] = {
        { "en=a&x=1\r\nen=b&x=2\r\n", "en=a&x=1\r\nen=b&x=2\r\n" },
        { "en=a&gclid=1&x=1\r\n\r\nen=b&x=2\n", "en=a&x=1\r\n\r\nen=b&x=2\n" },
        { "en=a\ngclid=1\nx=1&gclid=2", "en=a\n\nx=1" },
        { "gclid=1&en=a&&\nnpa=0&x\r\ny", "en=a&&\nx\r\ny" },
        { "\nen=a&ep.l=%3Fgclid%3D1%26b&z\nz", "\nen=a&ep.l=%3Fb&z\nz" }
    };

    unit_names(&table, sgtm_default_params);

    id = unit_str("G-ABC1234567");
    ids.elts = &id;
    ids.nelts = 1;

    query = unit_str("v=2&en=p&gclid=1&tid=G-ABC1234567&npa=0"
                     "&dl=%3Fgclid%3D1&");
    out = unit_alloc(sgtm_rewrite_size(&rewrite, query.len) + 100);

    for (i = 0; i < unit_nelts(bodies); i++) {

        body = unit_str(bodies[i][0]);

        unit_ok(sgtm_ga4_parse(&hit, &table, &ids, &query, &body) == SGTM_OK,
                "a batch is parsed");

        memset(&rewrite, 0, sizeof(sgtm_rewrite_t));

        rewrite.names = &table;
        rewrite.deny = SGTM_DENY_AD_STORAGE;
        rewrite.npa = 1;
        rewrite.marks = hit.marks;
        rewrite.nmarks = hit.nmarks;

        n = sgtm_rewrite_query(&rewrite, &query, out);
        unit_is(out, n, "v=2&en=p&tid=G-ABC1234567&dl=&&npa=1", "  its query");

        m = sgtm_rewrite_body(&rewrite, &body, out);
        unit_is(out, m, bodies[i][1], "  its body");
    }
}


int
main(void)
{
    test_untouched();
    test_ads();
    test_npa();
    test_sets();
    test_lines();
    test_marks();
    test_fresh_classes();
    test_fresh();

    return unit_done();
}
