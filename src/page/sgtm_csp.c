
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_csp_core.h"


/* where what is written goes; p NULL: it is counted only */

typedef struct {
    unsigned char        *p;
    size_t                len;
} sgtm_csp_writer_t;


typedef struct {
    unsigned              taggings;    /* bits by sgtm_tagging_e */
    unsigned              ways;
    unsigned              directive;
    sgtm_str_t            source;
} sgtm_csp_source_t;


static void sgtm_csp_plan(sgtm_csp_policy_t *p, const sgtm_csp_need_t *need);
static int sgtm_csp_plan_nonce(sgtm_csp_policy_t *p,
    const sgtm_csp_need_t *need);
static void sgtm_csp_add(sgtm_csp_policy_t *p, unsigned from,
    unsigned directive, const sgtm_str_t *source);
static void sgtm_csp_write(sgtm_csp_writer_t *w, const sgtm_csp_policy_t *p,
    const sgtm_str_t *policy, const sgtm_csp_need_t *need);
static void sgtm_csp_write_edited(sgtm_csp_writer_t *w,
    const sgtm_csp_directive_t *d, const sgtm_csp_need_t *need);
static void sgtm_csp_write_new(sgtm_csp_writer_t *w,
    const sgtm_csp_policy_t *p, unsigned directive,
    const sgtm_csp_need_t *need);
static void sgtm_csp_write_added(sgtm_csp_writer_t *w,
    const sgtm_csp_directive_t *d, const sgtm_csp_need_t *need);
static void sgtm_csp_put(sgtm_csp_writer_t *w, const void *data, size_t len);


static const sgtm_str_t  sgtm_csp_none = sgtm_string("'none'");
static const sgtm_str_t  sgtm_csp_inline = sgtm_string("'unsafe-inline'");
static const sgtm_str_t  sgtm_csp_dynamic = sgtm_string("'strict-dynamic'");


/*
 * What each way of tagging needs.  Of scripts it is what a policy gets that
 * can't have the nonce: the nonce stands for all of them.
 */

#define SGTM_CSP_GTM     (1 << SGTM_TAGGING_GTM)
#define SGTM_CSP_GTAG    (1 << SGTM_TAGGING_GTAG)
#define SGTM_CSP_LIGHT   (1 << SGTM_TAGGING_LIGHT)
#define SGTM_CSP_TAGS    (SGTM_CSP_GTM|SGTM_CSP_GTAG)
#define SGTM_CSP_ALL     (SGTM_CSP_TAGS|SGTM_CSP_LIGHT)
#define SGTM_CSP_BOTH    (SGTM_CSP_GATEWAY|SGTM_CSP_GOOGLE)

static const sgtm_csp_source_t  sgtm_csp_sources[] = {

    { SGTM_CSP_ALL, SGTM_CSP_BOTH, SGTM_SRC_SCRIPT, sgtm_string("'self'") },
    { SGTM_CSP_TAGS, SGTM_CSP_GOOGLE, SGTM_SRC_SCRIPT,
      sgtm_string("https://*.googletagmanager.com") },

    { SGTM_CSP_ALL, SGTM_CSP_GATEWAY, SGTM_SRC_CONNECT, sgtm_string("'self'") },
    { SGTM_CSP_ALL, SGTM_CSP_GOOGLE, SGTM_SRC_CONNECT,
      sgtm_string("https://*.google-analytics.com") },
    { SGTM_CSP_TAGS, SGTM_CSP_GOOGLE, SGTM_SRC_CONNECT,
      sgtm_string("https://*.analytics.google.com") },
    { SGTM_CSP_TAGS, SGTM_CSP_GOOGLE, SGTM_SRC_CONNECT,
      sgtm_string("https://*.googletagmanager.com") },

    { SGTM_CSP_TAGS, SGTM_CSP_GATEWAY, SGTM_SRC_IMG, sgtm_string("'self'") },
    { SGTM_CSP_TAGS, SGTM_CSP_GOOGLE, SGTM_SRC_IMG,
      sgtm_string("https://*.google-analytics.com") },
    { SGTM_CSP_TAGS, SGTM_CSP_GOOGLE, SGTM_SRC_IMG,
      sgtm_string("https://*.googletagmanager.com") },

    { SGTM_CSP_TAGS, SGTM_CSP_GATEWAY, SGTM_SRC_FRAME, sgtm_string("'self'") },

    { SGTM_CSP_ALL, SGTM_CSP_BOTH, SGTM_SRC_TRUSTED, sgtm_string("sgtm") },
    { SGTM_CSP_TAGS, SGTM_CSP_BOTH, SGTM_SRC_TRUSTED,
      sgtm_string("goog#html") },
    { SGTM_CSP_TAGS, SGTM_CSP_BOTH, SGTM_SRC_TRUSTED,
      sgtm_string("'allow-duplicates'") }
};


size_t
sgtm_csp_fit(unsigned char *out, const sgtm_str_t *value,
    const sgtm_csp_need_t *need, unsigned *nonced)
{
    sgtm_str_t          policy;
    unsigned char      *pos, *last;
    sgtm_csp_writer_t   w;
    sgtm_csp_policy_t   p;

    w.p = out;
    w.len = 0;

    if (value->len == 0) {
        return 0;
    }

    pos = value->data;
    last = pos + value->len;

    while (sgtm_csp_part(&pos, last, ',', &policy)) {

        if (policy.data != value->data) {
            sgtm_csp_put(&w, ",", 1);
        }

        sgtm_csp_read(&p, &policy);
        sgtm_csp_plan(&p, need);
        sgtm_csp_write(&w, &p, &policy, need);

        *nonced |= p.nonced;
    }

    return w.len;
}


size_t
sgtm_csp_strict(unsigned char *out, const sgtm_csp_need_t *need,
    const sgtm_str_t *report, unsigned *nonced)
{
    size_t             n;
    sgtm_csp_writer_t  w;

    static sgtm_str_t  strict = sgtm_string("default-src 'none'; "
                                            "script-src 'self'; "
                                            "style-src 'self'; "
                                            "img-src 'self'; "
                                            "font-src 'self'; "
                                            "media-src 'self'; "
                                            "connect-src 'self'; "
                                            "frame-src 'self'; "
                                            "worker-src 'self'; "
                                            "manifest-src 'self'; "
                                            "form-action 'self'; "
                                            "frame-ancestors 'self'; "
                                            "base-uri 'none'");

    n = sgtm_csp_fit(out, &strict, need, nonced);

    w.p = out;
    w.len = n;

    sgtm_csp_put(&w, "; report-uri ", sizeof("; report-uri ") - 1);
    sgtm_csp_put(&w, report->data, report->len);

    return w.len;
}


static void
sgtm_csp_plan(sgtm_csp_policy_t *p, const sgtm_csp_need_t *need)
{
    int                       nonce;
    unsigned                  i, from;
    const sgtm_csp_source_t  *s;

    nonce = sgtm_csp_plan_nonce(p, need);

    for (i = 0; i < sgtm_nelts(sgtm_csp_sources); i++) {
        s = &sgtm_csp_sources[i];

        if (!(s->taggings >> need->tagging & 1) || !(s->ways & need->ways)
            || (nonce && s->directive == SGTM_SRC_SCRIPT))
        {
            continue;
        }

        from = sgtm_csp_governs(p, s->directive);

        if (from == SGTM_SRC_N
            || sgtm_csp_allows(&p->d[from].sources, &s->source, need))
        {
            continue;
        }

        sgtm_csp_add(p, from, s->directive, &s->source);
    }
}


/*
 * Whether scripts are a matter of the nonce, which is added then.  Next to
 * 'unsafe-inline' it would not be: browsers ignore that word where there is a
 * nonce, and the page's own scripts would stop.
 */

static int
sgtm_csp_plan_nonce(sgtm_csp_policy_t *p, const sgtm_csp_need_t *need)
{
    unsigned        from, hashes, inlines, dynamic;
    sgtm_str_t      token;
    unsigned char  *pos, *last;

    from = sgtm_csp_governs(p, SGTM_SRC_SCRIPT);

    if (from == SGTM_SRC_N) {
        return 1;
    }

    hashes = inlines = dynamic = 0;

    pos = p->d[from].sources.data;
    last = pos + p->d[from].sources.len;

    while (sgtm_csp_token(&pos, last, &token)) {

        if (sgtm_csp_equal(token.data, token.len, &sgtm_csp_inline)) {
            inlines = 1;

        } else if (sgtm_csp_equal(token.data, token.len, &sgtm_csp_dynamic)) {
            dynamic = 1;

        } else if (token.len > 5 && token.data[0] == '\''
                   && ((token.data[1] | 0x20) == 'n'
                       || ((token.data[1] | 0x20) == 's'
                           && (token.data[2] | 0x20) == 'h'))
                   && !sgtm_csp_equal(token.data, token.len, &sgtm_csp_none))
        {
            /* 'nonce-..., 'sha256-... */

            hashes = 1;
        }
    }

    if (need->nonce.len == 0) {

        /* 'strict-dynamic' makes sources of no use */

        return dynamic;
    }

    if (inlines && !hashes && !dynamic) {
        return 0;
    }

    sgtm_csp_add(p, from, SGTM_SRC_SCRIPT, &need->nonce);
    p->nonced = 1;

    return 1;
}


/* to the directive that decides, or to one of its own with those sources */

static void
sgtm_csp_add(sgtm_csp_policy_t *p, unsigned from, unsigned directive,
    const sgtm_str_t *source)
{
    sgtm_csp_directive_t  *d;

    if (from == SGTM_SRC_SCRIPT_ELEM) {
        directive = from;
    }

    d = &p->d[directive];

    d->from = from;
    d->add[d->nadd++] = *source;
}


/* all that is not edited is copied as it is */

static void
sgtm_csp_write(sgtm_csp_writer_t *w, const sgtm_csp_policy_t *p,
    const sgtm_str_t *policy, const sgtm_csp_need_t *need)
{
    size_t                       len;
    unsigned                     i, added;
    sgtm_str_t                   text;
    unsigned char               *pos, *last;
    const sgtm_csp_directive_t  *d;

    for (i = 0, added = 0; i < SGTM_SRC_N; i++) {
        added |= (p->d[i].nadd && !p->d[i].there);
    }

    len = policy->len;

    while (added && len
           && (policy->data[len - 1] == ';'
               || sgtm_csp_is_space(policy->data[len - 1])))
    {
        len--;
    }

    pos = policy->data;
    last = pos + len;

    while (sgtm_csp_part(&pos, last, ';', &text)) {

        if (text.data != policy->data) {
            sgtm_csp_put(w, ";", 1);
        }

        for (i = 0; i < SGTM_SRC_N; i++) {
            d = &p->d[i];

            if (d->there && d->nadd && d->text.data == text.data) {
                break;
            }
        }

        if (i == SGTM_SRC_N) {
            sgtm_csp_put(w, text.data, text.len);

        } else {
            sgtm_csp_write_edited(w, &p->d[i], need);
        }
    }

    for (i = 0; i < SGTM_SRC_N; i++) {
        if (p->d[i].nadd && !p->d[i].there) {
            sgtm_csp_write_new(w, p, i, need);
        }
    }
}


static void
sgtm_csp_write_edited(sgtm_csp_writer_t *w, const sgtm_csp_directive_t *d,
    const sgtm_csp_need_t *need)
{
    sgtm_str_t      token;
    unsigned char  *pos, *last, *from;

    pos = d->sources.data;
    from = d->text.data;
    last = pos + d->sources.len;

    /* with what was between them */

    sgtm_csp_put(w, from, (size_t) (pos - from));

    for (from = pos; sgtm_csp_token(&pos, last, &token); from = pos) {
        if (!sgtm_csp_equal(token.data, token.len, &sgtm_csp_none)) {
            sgtm_csp_put(w, from, (size_t) (pos - from));
        }
    }

    sgtm_csp_write_added(w, d, need);
}


/*
 * A directive that the policy has not, with the sources that were in force so
 * far; words in quotes but 'self' mean something to scripts and styles only.
 */

static void
sgtm_csp_write_new(sgtm_csp_writer_t *w, const sgtm_csp_policy_t *p,
    unsigned directive, const sgtm_csp_need_t *need)
{
    sgtm_str_t                   token;
    unsigned char               *pos, *last;
    const sgtm_csp_directive_t  *d;

    d = &p->d[directive];

    sgtm_csp_put(w, "; ", 2);
    sgtm_csp_put(w, sgtm_csp_names[directive].data,
                 sgtm_csp_names[directive].len);

    pos = p->d[d->from].sources.data;
    last = pos + p->d[d->from].sources.len;

    while (sgtm_csp_token(&pos, last, &token)) {

        if (sgtm_csp_equal(token.data, token.len, &sgtm_csp_none)
            || (directive != SGTM_SRC_SCRIPT && token.data[0] == '\''
                && !sgtm_csp_equal(token.data, token.len, &sgtm_csp_self)))
        {
            continue;
        }

        sgtm_csp_put(w, " ", 1);
        sgtm_csp_put(w, token.data, token.len);
    }

    sgtm_csp_write_added(w, d, need);
}


static void
sgtm_csp_write_added(sgtm_csp_writer_t *w, const sgtm_csp_directive_t *d,
    const sgtm_csp_need_t *need)
{
    unsigned           i;
    const sgtm_str_t  *s;

    for (i = 0; i < d->nadd; i++) {
        s = &d->add[i];

        sgtm_csp_put(w, " ", 1);

        if (s->data != need->nonce.data) {
            sgtm_csp_put(w, s->data, s->len);
            continue;
        }

        sgtm_csp_put(w, "'nonce-", sizeof("'nonce-") - 1);
        sgtm_csp_put(w, s->data, s->len);
        sgtm_csp_put(w, "'", 1);
    }
}


static void
sgtm_csp_put(sgtm_csp_writer_t *w, const void *data, size_t len)
{
    if (w->p && len) {
        memcpy(w->p + w->len, data, len);
    }

    w->len += len;
}


