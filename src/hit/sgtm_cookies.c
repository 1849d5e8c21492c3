
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_redact.h"
#include "sgtm_stops.h"


/* pairs that are looked at together; a step adds SGTM_COOKIES_STEP at most */
#define SGTM_COOKIES_PAIRS  128
#define SGTM_COOKIES_STEP   (SGTM_STOPS * 2)

/* a pair behind the last ";" of a step: " ", and what a name begins with */
#define SGTM_COOKIES_AHEAD  3


typedef struct {
    const sgtm_names_t   *names;
    unsigned              deny;

    const unsigned char  *end;         /* of the header */

    unsigned char        *out;
    unsigned char        *last;

    /* where pairs begin: all that may pass, and some that may not */

    size_t                npairs;
    const unsigned char  *pairs[SGTM_COOKIES_PAIRS];
} sgtm_cookies_t;


static const unsigned char *sgtm_cookies_step(sgtm_cookies_t *ctx,
    const unsigned char *p);
static void sgtm_cookies_flush(sgtm_cookies_t *ctx);
static void sgtm_cookies_pair(sgtm_cookies_t *ctx, const unsigned char *pair);
static const sgtm_rule_t *sgtm_cookies_rule(const sgtm_cookies_t *ctx,
    const unsigned char *name, size_t len);
static int sgtm_cookies_pass(const sgtm_rule_t *rule, unsigned deny);


/*
 * Most cookies are a shop's own, which the first bytes of their names tell.  As
 * they come in any order, no branch depends on it: pairs that may be others are
 * noted first, and looked at then.
 */

size_t
sgtm_redact_cookies(const sgtm_names_t *cookies, unsigned deny,
    const sgtm_str_t *in, unsigned char *out)
{
    sgtm_cookies_t        ctx;
    const unsigned char  *p;

    if (in->len == 0) {
        return 0;
    }

    ctx.names = cookies;
    ctx.deny = deny;
    ctx.end = in->data + in->len;
    ctx.out = out;
    ctx.last = out;

    ctx.npairs = 1;
    ctx.pairs[0] = in->data;

    p = in->data;

    while (ctx.end - p >= SGTM_COOKIES_STEP + SGTM_COOKIES_AHEAD) {

        p = sgtm_cookies_step(&ctx, p);

        if (ctx.npairs > SGTM_COOKIES_PAIRS - SGTM_COOKIES_STEP) {
            sgtm_cookies_flush(&ctx);
        }
    }

    /* what is left is less than a step, and what lies ahead of one */

    for ( ;; ) {
        p = memchr(p, ';', (size_t) (ctx.end - p));

        if (p == NULL || ++p == ctx.end) {
            break;
        }

        if (ctx.npairs == SGTM_COOKIES_PAIRS) {
            sgtm_cookies_flush(&ctx);
        }

        ctx.pairs[ctx.npairs++] = p;
    }

    sgtm_cookies_flush(&ctx);

    return (size_t) (ctx.last - out);
}


/* notes the pairs that begin in a step's bytes, and returns its end */

static const unsigned char *
sgtm_cookies_step(sgtm_cookies_t *ctx, const unsigned char *p)
{
    size_t                n;
    unsigned              more;
    uint64_t              stops;
    const unsigned char  *name;

    n = ctx->npairs;

    stops = sgtm_stops32_of(p, ';')
            | (uint64_t) sgtm_stops32_of(p + SGTM_STOPS, ';') << SGTM_STOPS;

    /*
     * One is noted whether there is any or not, and counted if it may pass: its
     * name begins as one of the table does, or behind more white space.
     */

    do {
        more = (stops != 0);
        name = p + sgtm_stops_take(&stops) + 1;

        ctx->pairs[n] = name;

        name += (*name == ' ');
        n += more & (sgtm_names_begins(ctx->names, name) | (*name <= ' '));

    } while (stops);

    ctx->npairs = n;

    return p + SGTM_COOKIES_STEP;
}


static void
sgtm_cookies_flush(sgtm_cookies_t *ctx)
{
    size_t  i;

    for (i = 0; i < ctx->npairs; i++) {
        sgtm_cookies_pair(ctx, ctx->pairs[i]);
    }

    ctx->npairs = 0;
}


/* writes a pair that may pass, with the ";" before it */

static void
sgtm_cookies_pair(sgtm_cookies_t *ctx, const unsigned char *pair)
{
    size_t                len;
    const unsigned char  *p, *name, *last;

    name = pair;

    while (name < ctx->end && (*name == ' ' || *name == '\t')) {
        name++;
    }

    if (name == ctx->end) {
        return;
    }

    last = memchr(name, ';', (size_t) (ctx->end - name));

    if (last == NULL) {
        last = ctx->end;
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

    if (!sgtm_cookies_pass(sgtm_cookies_rule(ctx, name, len), ctx->deny)) {
        return;
    }

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
