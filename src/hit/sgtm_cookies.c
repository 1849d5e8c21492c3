
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_redact.h"
#include "sgtm_stops.h"


/* pairs that are looked at together */
#define SGTM_COOKIES_PAIRS  128

/* " ", and the two bytes that a name begins with */
#define SGTM_COOKIES_HEAD   3


typedef struct {
    const sgtm_names_t   *names;
    unsigned              deny;

    const unsigned char  *end;         /* of the header */

    unsigned char        *out;
    unsigned char        *last;

    uint64_t              kinds;       /* bits: what else would drop those that
                                          are written, SGTM_DENY_* */

    /* where pairs begin; each ends with the ";" before the next of them */

    size_t                npairs;
    const unsigned char  *pairs[SGTM_COOKIES_PAIRS + 1];
} sgtm_cookies_t;


static void sgtm_cookies_find(sgtm_cookies_t *ctx, const unsigned char *p);
static void sgtm_cookies_flush(sgtm_cookies_t *ctx, size_t n);
static void sgtm_cookies_pair(sgtm_cookies_t *ctx, const unsigned char *pair,
    const unsigned char *last);
static const sgtm_rule_t *sgtm_cookies_rule(const sgtm_cookies_t *ctx,
    const unsigned char *name, size_t len);
static int sgtm_cookies_pass(const sgtm_rule_t *rule, unsigned deny);


size_t
sgtm_redact_cookies(const sgtm_names_t *cookies, unsigned deny,
    const sgtm_str_t *in, unsigned char *out, uint64_t *kinds)
{
    sgtm_cookies_t  ctx;

    if (kinds != NULL) {
        *kinds = 0;
    }

    if (in->len == 0) {
        return 0;
    }

    ctx.names = cookies;
    ctx.deny = deny;
    ctx.end = in->data + in->len;
    ctx.out = out;
    ctx.last = out;
    ctx.kinds = 0;

    ctx.npairs = 1;
    ctx.pairs[0] = in->data;

    sgtm_cookies_find(&ctx, in->data);

    ctx.pairs[ctx.npairs] = ctx.end + 1;

    sgtm_cookies_flush(&ctx, ctx.npairs);

    if (kinds != NULL) {
        *kinds = ctx.kinds;
    }

    return (size_t) (ctx.last - out);
}


/* notes where pairs begin */

static void
sgtm_cookies_find(sgtm_cookies_t *ctx, const unsigned char *p)
{
    size_t  n;

    n = ctx->npairs;

    for ( ;; ) {

        n = sgtm_stops_behind(ctx->pairs, n, SGTM_COOKIES_PAIRS, &p, ctx->end,
                              ';');

        /* what is behind the last 64 bytes has room, too */

        if (n + SGTM_STOPS < SGTM_COOKIES_PAIRS) {
            break;
        }

        sgtm_cookies_flush(ctx, n - 1);
        n = 1;
    }

    for ( /* void */ ; p < ctx->end; p++) {

        p = memchr(p, ';', (size_t) (ctx->end - p));

        if (p == NULL) {
            break;
        }

        ctx->pairs[n++] = p + 1;
    }

    ctx->npairs = n;
}


/*
 * Looks at n pairs, and keeps the one behind them.  Most cookies are a shop's
 * own, which the first bytes of their names tell: those of others are picked
 * first, again without a branch.
 */

static void
sgtm_cookies_flush(sgtm_cookies_t *ctx, size_t n)
{
    size_t                i, m;
    const unsigned char  *name;
    unsigned char         picks[SGTM_COOKIES_PAIRS];

    m = 0;

    for (i = 0; i < n && ctx->end - ctx->pairs[i] >= SGTM_COOKIES_HEAD; i++) {

        name = ctx->pairs[i];
        name += (*name == ' ');

        /* what begins with more white space may be any */

        picks[m] = (unsigned char) i;
        m += sgtm_names_begins(ctx->names, name) | (*name <= ' ');
    }

    for ( /* void */ ; i < n; i++) {
        picks[m++] = (unsigned char) i;
    }

    for (i = 0; i < m; i++) {
        sgtm_cookies_pair(ctx, ctx->pairs[picks[i]],
                          ctx->pairs[picks[i] + 1] - 1);
    }

    ctx->pairs[0] = ctx->pairs[n];
}


/* writes a pair that may pass, with the ";" before it */

static void
sgtm_cookies_pair(sgtm_cookies_t *ctx, const unsigned char *pair,
    const unsigned char *last)
{
    size_t                len;
    const sgtm_rule_t    *rule;
    const unsigned char  *p, *name;

    name = pair;

    while (name < last && (*name == ' ' || *name == '\t')) {
        name++;
    }

    /* without "=" it is a value that has no name */

    p = memchr(name, '=', (size_t) (last - name));

    if (p == NULL) {
        return;
    }

    while (p > name && (p[-1] == ' ' || p[-1] == '\t')) {
        p--;
    }

    len = (size_t) (p - name);

    rule = sgtm_cookies_rule(ctx, name, len);

    if (!sgtm_cookies_pass(rule, ctx->deny)) {
        return;
    }

    ctx->kinds |= sgtm_redact_kind(rule);

    p = (ctx->last == ctx->out) ? name : pair - 1;
    len = (size_t) (last - p);

    memmove(ctx->last, p, len);
    ctx->last += len;
}


static const sgtm_rule_t *
sgtm_cookies_rule(const sgtm_cookies_t *ctx, const unsigned char *name,
    size_t len)
{
    uint64_t  word;

    if (len == 0) {
        return sgtm_names_find(ctx->names, name, 0, sgtm_names_hash(name, 0));
    }

    word = sgtm_names_word(name, len < 8 ? len : 8,
                           (size_t) (ctx->end - name));

    return sgtm_names_look(ctx->names, name, len, word);
}


uint64_t
sgtm_redact_kinds(uint64_t kinds, unsigned deny)
{
    unsigned  kind;
    uint64_t  left, dropped;

    dropped = 0;

    for (left = kinds; left; /* void */ ) {
        kind = sgtm_stops_take(&left);

        if (kind & deny) {
            dropped |= (uint64_t) 1 << kind;
        }
    }

    return dropped;
}


int
sgtm_redact_cookie(const sgtm_names_t *cookies, unsigned deny,
    const sgtm_str_t *name)
{
    return sgtm_cookies_pass(sgtm_names_find(cookies, name->data, name->len,
                                             sgtm_names_hash(name->data,
                                                             name->len)),
                             deny);
}


static int
sgtm_cookies_pass(const sgtm_rule_t *rule, unsigned deny)
{
    return rule != NULL
           && (rule->flags & SGTM_NAME_ALLOW)
           && !(rule->deny & deny);
}


_Static_assert(SGTM_DENY_ADDRESS == 0x20, "64 kinds of cookies");
