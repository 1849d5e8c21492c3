
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What becomes of a page's policy.  A source too few and the site is not
 * measured, one too many and the policy is weaker than its owner knows; a nonce
 * beside 'unsafe-inline' stops all of a page's own scripts.
 */


#include "unit.h"
#include "page/sgtm_csp.h"


#define GTM    SGTM_TAGGING_GTM
#define GTAG   SGTM_TAGGING_GTAG
#define LIGHT  SGTM_TAGGING_LIGHT

#define GATEWAY  SGTM_CSP_GATEWAY
#define GOOGLE   SGTM_CSP_GOOGLE
#define BOTH     (SGTM_CSP_GATEWAY|SGTM_CSP_GOOGLE)

#define TRUSTED  "goog#html 'allow-duplicates'"


/* NULL: nothing changes; the nonce is "N" */

static const struct {
    unsigned     tagging;
    unsigned     ways;
    const char  *in;
    const char  *out;
} policies[] = {

    /* what says nothing about tags */

    { GTM, BOTH, "", NULL },
    { GTM, BOTH, " ; ;; ", NULL },
    { GTM, BOTH, "upgrade-insecure-requests", NULL },
    { GTM, BOTH, "frame-ancestors 'none'; base-uri 'none';", NULL },
    { GTM, BOTH, "style-src 'self' 'unsafe-inline'; object-src 'none'", NULL },
    { GTM, BOTH, "sandbox; form-action 'self'; report-uri /r", NULL },

    /* scripts: the nonce */

    { LIGHT, GATEWAY, "script-src 'self'", "script-src 'self' 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src 'none'", "script-src 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src", "script-src 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src;", "script-src 'nonce-N';" },
    { LIGHT, GATEWAY, "SCRIPT-SRC 'NONE' ;a", "SCRIPT-SRC 'nonce-N';a" },
    { LIGHT, GATEWAY, "\tscript-src\t'self'\t a.example ; b",
      "\tscript-src\t'self'\t a.example 'nonce-N'; b" },
    { LIGHT, GATEWAY, "script-src *", "script-src * 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src 'nonce-M'",
      "script-src 'nonce-M' 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src 'sha256-abc=' 'unsafe-inline'",
      "script-src 'sha256-abc=' 'unsafe-inline' 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src 'nonce-M' 'strict-dynamic' https: "
      "'unsafe-inline'", "script-src 'nonce-M' 'strict-dynamic' https: "
      "'unsafe-inline' 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' 'strict-dynamic'",
      "script-src 'unsafe-inline' 'strict-dynamic' 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src 'a'; script-src-elem 'b'",
      "script-src 'a'; script-src-elem 'b' 'nonce-N'" },
    { LIGHT, GATEWAY, "script-src a; script-src b",
      "script-src a 'nonce-N'; script-src b" },
    { LIGHT, GATEWAY, "script-src-attr 'none'", NULL },

    /* where it would stop the page's own */

    { LIGHT, GATEWAY, "script-src 'self' 'unsafe-inline'", NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline'",
      "script-src 'unsafe-inline' 'self'" },
    { LIGHT, GATEWAY, "script-src 'UNSAFE-INLINE' cdn.example",
      "script-src 'UNSAFE-INLINE' cdn.example 'self'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' *", NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' https:", NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' http:", NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' ws:",
      "script-src 'unsafe-inline' ws: 'self'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' shop.example", NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' https://SHOP.example",
      NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' https://shop.example/",
      NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' shop.example/metrics/",
      NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' *.example", NULL },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' *.shop.example",
      "script-src 'unsafe-inline' *.shop.example 'self'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' *.op.example",
      "script-src 'unsafe-inline' *.op.example 'self'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' shop.example/js/",
      "script-src 'unsafe-inline' shop.example/js/ 'self'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' shop.example/metrics",
      "script-src 'unsafe-inline' shop.example/metrics 'self'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' shop.example:8443",
      "script-src 'unsafe-inline' shop.example:8443 'self'" },
    { LIGHT, GATEWAY, "script-src 'unsafe-inline' xshop.example",
      "script-src 'unsafe-inline' xshop.example 'self'" },
    { GTM, BOTH, "script-src 'self' 'unsafe-inline'",
      "script-src 'self' 'unsafe-inline' https://*.googletagmanager.com" },

    /* the fallback, whose sources go along */

    { LIGHT, GATEWAY, "default-src 'self'",
      "default-src 'self'; script-src 'self' 'nonce-N'" },
    { LIGHT, GATEWAY, "default-src 'none'",
      "default-src 'none'; script-src 'nonce-N'; connect-src 'self'" },
    { LIGHT, GATEWAY, "default-src 'none'; ",
      "default-src 'none'; script-src 'nonce-N'; connect-src 'self'" },
    { LIGHT, GATEWAY, "default-src",
      "default-src; script-src 'nonce-N'; connect-src 'self'" },
    { LIGHT, GATEWAY, "default-src a 'sha256-b' 'unsafe-inline'; img-src *",
      "default-src a 'sha256-b' 'unsafe-inline'; img-src *; script-src a "
      "'sha256-b' 'unsafe-inline' 'nonce-N'; connect-src a 'self'" },
    { LIGHT, GATEWAY, "default-src 'unsafe-inline'",
      "default-src 'unsafe-inline'; script-src 'unsafe-inline' 'self'; "
      "connect-src 'self'" },
    { LIGHT, GATEWAY, "default-src 'none'; script-src 'self'; connect-src "
      "'self'", "default-src 'none'; script-src 'self' 'nonce-N'; connect-src "
      "'self'" },
    { GTAG, GATEWAY, "default-src 'none'; script-src 'none'; connect-src "
      "'none'; img-src 'none'; frame-src 'none'; style-src 'none'",
      "default-src 'none'; script-src 'nonce-N'; connect-src 'self'; img-src "
      "'self'; frame-src 'self'; style-src 'none'" },
    { GTM, GATEWAY, "default-src 'none'", "default-src 'none'; script-src "
      "'nonce-N'; connect-src 'self'; img-src 'self'; frame-src 'self'" },
    { GTM, GATEWAY, "child-src a", "child-src a; frame-src a 'self'" },
    { GTM, GATEWAY, "child-src a; frame-src 'none'; default-src *",
      "child-src a; frame-src 'self'; default-src *; script-src * "
      "'nonce-N'" },

    /* Google's hosts, where browsers go there */

    { GTM, GOOGLE, "connect-src 'self'", "connect-src 'self' "
      "https://*.google-analytics.com https://*.analytics.google.com "
      "https://*.googletagmanager.com" },
    { GTAG, BOTH, "connect-src 'none'", "connect-src 'self' "
      "https://*.google-analytics.com https://*.analytics.google.com "
      "https://*.googletagmanager.com" },
    { GTM, BOTH, "img-src data: *.google-analytics.com",
      "img-src data: *.google-analytics.com 'self' "
      "https://*.googletagmanager.com" },
    { GTM, BOTH, "img-src https: data:; connect-src *; frame-src https:",
      NULL },
    { GTM, GOOGLE, "frame-src 'none'", NULL },
    { LIGHT, GOOGLE, "img-src 'none'; connect-src 'none'", "img-src 'none'; "
      "connect-src https://*.google-analytics.com" },
    { LIGHT, BOTH, "img-src 'none'; frame-src 'none'", NULL },

    /* trusted types */

    { LIGHT, GATEWAY, "require-trusted-types-for 'script'", NULL },
    { LIGHT, GATEWAY, "trusted-types a b", "trusted-types a b sgtm" },
    { LIGHT, GATEWAY, "trusted-types 'none'", "trusted-types sgtm" },
    { LIGHT, GATEWAY, "trusted-types", "trusted-types sgtm" },
    { LIGHT, GATEWAY, "trusted-types SGTM", "trusted-types SGTM sgtm" },
    { LIGHT, GATEWAY, "trusted-types *", NULL },
    { GTM, GATEWAY, "trusted-types a", "trusted-types a sgtm " TRUSTED },
    { GTM, GATEWAY, "trusted-types sgtm goog#html",
      "trusted-types sgtm goog#html 'allow-duplicates'" },
    { GTM, GATEWAY, "trusted-types *", "trusted-types * 'allow-duplicates'" },
    { GTM, GATEWAY, "trusted-types sgtm " TRUSTED, NULL },

    /* several policies in one header */

    { LIGHT, GATEWAY, "script-src 'self', connect-src 'none',img-src *",
      "script-src 'self' 'nonce-N', connect-src 'self',img-src *" },
    { LIGHT, GATEWAY, "default-src 'none', default-src a",
      "default-src 'none'; script-src 'nonce-N'; connect-src 'self', "
      "default-src a; script-src a 'nonce-N'; connect-src a 'self'" },
    { LIGHT, GATEWAY, ",,script-src 'none',",
      ",,script-src 'nonce-N'," }
};


static void
set_need(sgtm_csp_need_t *need, unsigned tagging, unsigned ways)
{
    need->tagging = tagging;
    need->ways = ways;
    need->https = 1;
    need->host = unit_str("shop.example");
    need->prefix = unit_str("/metrics/");
    need->nonce = unit_str("N");
}


static sgtm_str_t
fit(const char *in, const sgtm_csp_need_t *need, unsigned *nonced)
{
    size_t      n;
    sgtm_str_t  value, out;

    value = unit_str(in);
    *nonced = 0;

    out.len = sgtm_csp_fit(NULL, &value, need, nonced);
    out.data = unit_alloc(out.len);

    n = sgtm_csp_fit(out.data, &value, need, nonced);

    if (n != out.len) {
        out.len = 0;
    }

    return out;
}


static void
test_policy(size_t i)
{
    char             name[512];
    unsigned         nonced;
    sgtm_str_t       out;
    const char      *want;
    sgtm_csp_need_t  need;

    set_need(&need, policies[i].tagging, policies[i].ways);

    want = policies[i].out ? policies[i].out : policies[i].in;

    out = fit(policies[i].in, &need, &nonced);

    snprintf(name, sizeof(name), "%u: %s", (unsigned) i, policies[i].in);
    unit_is(out.data, out.len, want, name);

    unit_ok((nonced != 0) == (strstr(want, "'nonce-N'") != NULL),
            "  whether it has the nonce");
}


static void
test_more(void)
{
    unsigned         nonced;
    sgtm_str_t       out, report;
    sgtm_csp_need_t  need;

    set_need(&need, GTM, BOTH);

    /* without a nonce, as for a 304 */

    need.nonce.len = 0;

    out = fit("default-src 'self'", &need, &nonced);
    unit_is(out.data, out.len, "default-src 'self'; script-src 'self' "
            "https://*.googletagmanager.com; connect-src 'self' "
            "https://*.google-analytics.com https://*.analytics.google.com "
            "https://*.googletagmanager.com; img-src 'self' "
            "https://*.google-analytics.com https://*.googletagmanager.com",
            "there is no nonce to be had");
    unit_ok(!nonced, "  and so there is none");

    out = fit("script-src 'nonce-a' 'strict-dynamic'", &need, &nonced);
    unit_is(out.data, out.len, "script-src 'nonce-a' 'strict-dynamic'",
            "where sources are of no use");

    /* over plain HTTP */

    set_need(&need, LIGHT, GATEWAY);
    need.https = 0;

    out = fit("connect-src https: https://shop.example", &need, &nonced);
    unit_is(out.data, out.len, "connect-src https: https://shop.example "
            "'self'", "a page without TLS");

    out = fit("connect-src http://shop.example", &need, &nonced);
    unit_is(out.data, out.len, "connect-src http://shop.example",
            "  whose own host is allowed");

    need.host.len = 0;
    out = fit("connect-src shop.example", &need, &nonced);
    unit_is(out.data, out.len, "connect-src shop.example 'self'",
            "a request without a host");

    /* a strict one */

    set_need(&need, GTM, GATEWAY);
    report = unit_str("/metrics/csp");
    nonced = 0;

    out.len = sgtm_csp_strict(NULL, &need, &report, &nonced);
    out.data = unit_alloc(out.len);
    (void) sgtm_csp_strict(out.data, &need, &report, &nonced);

    unit_is(out.data, out.len, "default-src 'none'; script-src 'self' "
            "'nonce-N'; style-src 'self'; img-src 'self'; font-src 'self'; "
            "media-src 'self'; connect-src 'self'; frame-src 'self'; "
            "worker-src 'self'; manifest-src 'self'; form-action 'self'; "
            "frame-ancestors 'self'; base-uri 'none'; report-uri "
            "/metrics/csp", "a strict policy");
    unit_ok(nonced, "  with the nonce");
}


static const struct {
    const char  *body;
    int          rc;
    unsigned     label;
    unsigned     n;
} reports[] = {
    { "{\"csp-report\":{\"effective-directive\":\"script-src-elem\"}}",
      SGTM_OK, SGTM_CSP_SCRIPT, 1 },
    { "{\"csp-report\":{\"document-uri\":\"https://shop.example/?a=b\","
      "\"violated-directive\":\"img-src 'self'\"}}", SGTM_OK, SGTM_CSP_IMG,
      1 },
    { "{\"csp-report\":{\"effective-directive\":\"\",\"violated-directive\":"
      "\"connect-src\"}}", SGTM_OK, SGTM_CSP_CONNECT, 1 },
    { "[{\"type\":\"csp-violation\",\"body\":{\"effectiveDirective\":"
      "\"require-trusted-types-for\"}},{\"type\":\"deprecation\",\"body\":{}},"
      "{\"type\":\"csp-violation\",\"body\":{\"effectiveDirective\":"
      "\"trusted-types\"}}]", SGTM_OK, SGTM_CSP_TRUSTED_TYPES, 2 },
    { "{\"csp-report\":{\"effective-directive\":\"x\\u0000script-src\"}}",
      SGTM_OK, SGTM_CSP_OTHER, 1 },
    { "{\"csp-report\":{\"effective-directive\":\"frame-ancestors\"}}",
      SGTM_OK, SGTM_CSP_OTHER, 1 },
    { "{\"csp-report\":{\"effective-directive\":7}}", SGTM_DECLINED, 0, 0 },
    { "{\"csp-report\":7}", SGTM_DECLINED, 0, 0 },
    { "{\"csp-report\":{}}", SGTM_DECLINED, 0, 0 },
    { "[{\"type\":\"csp-violation\",\"body\":[]}]", SGTM_DECLINED, 0, 0 },
    { "[7,null]", SGTM_DECLINED, 0, 0 },
    { "[]", SGTM_DECLINED, 0, 0 },
    { "{", SGTM_DECLINED, 0, 0 },
    { "text", SGTM_DECLINED, 0, 0 },
    { "", SGTM_DECLINED, 0, 0 }
};


static void
test_reports(void)
{
    char        *text;
    size_t       i, k;
    unsigned     n[SGTM_CSP_N], sum;
    sgtm_str_t   body;

    for (i = 0; i < unit_nelts(reports); i++) {

        memset(n, 0, sizeof(n));
        body = unit_str(reports[i].body);

        unit_ok(sgtm_csp_report(&body, n) == reports[i].rc
                && n[reports[i].label] == reports[i].n, "%s",
                reports[i].body);

        for (k = 0, sum = 0; k < SGTM_CSP_N; k++) {
            sum += n[k];
        }

        unit_ok(sum == reports[i].n, "  and nothing else");
    }

    /* more than are counted */

    text = unit_alloc(300 * 80);
    text[0] = '[';
    text[1] = '\0';

    for (i = 0; i < 300; i++) {
        strcat(text, i ? "," : "");
        strcat(text, "{\"type\":\"csp-violation\",\"body\":"
                     "{\"effectiveDirective\":\"font-src\"}}");
    }

    strcat(text, "]");

    memset(n, 0, sizeof(n));
    body = unit_str(text);

    unit_ok(sgtm_csp_report(&body, n) == SGTM_OK
            && n[SGTM_CSP_FONT] == SGTM_CSP_REPORTS, "300 at once");
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < unit_nelts(policies); i++) {
        test_policy(i);
    }

    test_more();
    test_reports();

    return unit_done();
}
