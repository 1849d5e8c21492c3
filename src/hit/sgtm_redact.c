
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_fresh.h"
#include "sgtm_redact.h"


#define SGTM_REWRITE_SETS  256         /* rule.set is one byte */


/*
 * Arguments that stay are not copied one by one: what is kept so far and lies
 * together in the input is a run, written when something else comes.
 */

typedef struct {
    const sgtm_rewrite_t  *rw;
    const sgtm_mark_t     *mark;       /* the next one */
    const sgtm_mark_t     *mark_end;

    unsigned char         *last;       /* of the output */

    unsigned char         *run;        /* NULL: nothing waits */
    unsigned char         *run_end;

    sgtm_str_t             tail;       /* a bare "richsstsse" waits here */

    unsigned               keys;       /* bits: keys that are no matter of
                                          their rule alone */

    uint32_t               done[SGTM_REWRITE_SETS / 32];

    unsigned               npa:1;      /* there is one already */
    unsigned               more:1;     /* the next argument needs an "&" */
    unsigned               body:1;
} sgtm_rewrite_ctx_t;


static void sgtm_rewrite_init(sgtm_rewrite_ctx_t *ctx,
    const sgtm_rewrite_t *rw, unsigned char *out);
static void sgtm_rewrite_lines(sgtm_rewrite_ctx_t *ctx, const sgtm_str_t *in);
static void sgtm_rewrite_args(sgtm_rewrite_ctx_t *ctx, const sgtm_str_t *in);
static void sgtm_rewrite_marks(sgtm_rewrite_ctx_t *ctx, const sgtm_str_t *in,
    const unsigned char *line);
static inline int sgtm_rewrite_concerns(const sgtm_rewrite_ctx_t *ctx,
    const sgtm_mark_t *mark);
static size_t sgtm_rewrite_len(const sgtm_arg_t *arg);
static void sgtm_rewrite_arg(sgtm_rewrite_ctx_t *ctx, const sgtm_rule_t *rule,
    const sgtm_arg_t *arg);
static void sgtm_rewrite_stays(sgtm_rewrite_ctx_t *ctx, unsigned char *p,
    size_t len);
static void sgtm_rewrite_tail(sgtm_rewrite_ctx_t *ctx);
static int sgtm_rewrite_drops(sgtm_rewrite_ctx_t *ctx,
    const sgtm_rule_t *rule, const sgtm_arg_t *arg);
static const sgtm_pair_t *sgtm_rewrite_pair(const sgtm_rewrite_t *rw,
    const sgtm_rule_t *rule);
static void sgtm_rewrite_keep(sgtm_rewrite_ctx_t *ctx, unsigned char *p,
    size_t len);
static void sgtm_rewrite_flush(sgtm_rewrite_ctx_t *ctx);
static void sgtm_rewrite_next(sgtm_rewrite_ctx_t *ctx);
static void sgtm_rewrite_cut(sgtm_rewrite_ctx_t *ctx, const sgtm_arg_t *arg,
    size_t len);
static int sgtm_rewrite_became(sgtm_rewrite_ctx_t *ctx, unsigned char *p,
    size_t len);
static void sgtm_rewrite_finish(sgtm_rewrite_ctx_t *ctx);
static int sgtm_rewrite_appends(const sgtm_rewrite_ctx_t *ctx, size_t n);
static void sgtm_rewrite_copy(sgtm_rewrite_ctx_t *ctx,
    const unsigned char *data, size_t len);


static const unsigned char  sgtm_rewrite_npa[] = "npa=1";


size_t
sgtm_rewrite_size(const sgtm_rewrite_t *rw, size_t len)
{
    size_t  i;

    for (i = 0; i < rw->nset; i++) {
        if (!rw->set[i].off) {
            len += 1 + rw->set[i].key.len + 1 + rw->set[i].value.len;
        }
    }

    if (rw->npa) {
        len += sizeof(sgtm_rewrite_npa);
    }

    return len;
}


size_t
sgtm_rewrite_query(const sgtm_rewrite_t *rw, const sgtm_str_t *in,
    unsigned char *out)
{
    sgtm_rewrite_ctx_t  ctx;

    sgtm_rewrite_init(&ctx, rw, out);

    if (rw->marks != NULL) {
        sgtm_rewrite_marks(&ctx, in, NULL);

    } else {
        sgtm_rewrite_args(&ctx, in);
    }

    sgtm_rewrite_finish(&ctx);

    return (size_t) (ctx.last - out);
}


size_t
sgtm_rewrite_body(const sgtm_rewrite_t *rw, const sgtm_str_t *in,
    unsigned char *out)
{
    sgtm_str_t          rest, line, end;
    sgtm_rewrite_ctx_t  ctx;

    sgtm_rewrite_init(&ctx, rw, out);

    ctx.body = 1;

    if (rw->marks != NULL) {
        sgtm_rewrite_lines(&ctx, in);
        return (size_t) (ctx.last - out);
    }

    rest = *in;

    while (sgtm_args_line(&rest, &line, &end)) {

        sgtm_rewrite_args(&ctx, &line);
        sgtm_rewrite_finish(&ctx);
        sgtm_rewrite_copy(&ctx, end.data, end.len);

        ctx.more = 0;
    }

    return (size_t) (ctx.last - out);
}


/* lines without a mark stay, with their ends */

static void
sgtm_rewrite_lines(sgtm_rewrite_ctx_t *ctx, const sgtm_str_t *in)
{
    sgtm_str_t      rest, line, end;
    unsigned char  *pos;

    if (in->len == 0) {
        return;
    }

    pos = in->data;

    while (ctx->mark < ctx->mark_end) {

        rest.data = ctx->mark->line;

        if (rest.data == NULL || !sgtm_rewrite_concerns(ctx, ctx->mark)) {
            ctx->mark++;
            continue;
        }

        sgtm_rewrite_copy(ctx, pos, (size_t) (rest.data - pos));

        rest.len = (size_t) (in->data + in->len - rest.data);
        (void) sgtm_args_line(&rest, &line, &end);

        sgtm_rewrite_marks(ctx, &line, line.data);
        sgtm_rewrite_finish(ctx);

        ctx->more = 0;
        pos = end.data;
    }

    sgtm_rewrite_copy(ctx, pos, (size_t) (in->data + in->len - pos));
}


static void
sgtm_rewrite_init(sgtm_rewrite_ctx_t *ctx, const sgtm_rewrite_t *rw,
    unsigned char *out)
{
    sgtm_zero(ctx, sizeof(sgtm_rewrite_ctx_t));

    ctx->rw = rw;
    ctx->last = out;

    ctx->keys = 1u << SGTM_KEY_RICHSSTSSE;

    if (rw->npa) {
        ctx->keys |= 1u << SGTM_KEY_NPA;
    }

    if (rw->fresh) {
        ctx->keys |= 1u << SGTM_KEY_CID | 1u << SGTM_KEY_SID;
    }

    if (rw->marks != NULL) {
        ctx->mark = rw->marks;
        ctx->mark_end = rw->marks + rw->nmarks;
    }
}


static void
sgtm_rewrite_args(sgtm_rewrite_ctx_t *ctx, const sgtm_str_t *in)
{
    sgtm_arg_t   arg;
    sgtm_args_t  args;

    sgtm_args_init(&args, in);

    while (sgtm_args_next(&args, &arg)) {
        sgtm_rewrite_arg(ctx, sgtm_args_rule(ctx->rw->names, &arg), &arg);
    }
}


/* what lies between two marks stays, whatever it is */

static void
sgtm_rewrite_marks(sgtm_rewrite_ctx_t *ctx, const sgtm_str_t *in,
    const unsigned char *line)
{
    unsigned char      *pos, *end;
    const sgtm_arg_t   *arg;
    const sgtm_mark_t  *mark;

    if (in->len == 0) {
        return;
    }

    pos = in->data;
    end = in->data + in->len;

    while (ctx->mark < ctx->mark_end && ctx->mark->line == line) {

        mark = ctx->mark++;
        arg = &mark->arg;

        if (!sgtm_rewrite_concerns(ctx, mark)) {
            continue;
        }

        if (arg->key.data > pos) {
            sgtm_rewrite_stays(ctx, pos, (size_t) (arg->key.data - 1 - pos));
        }

        /* what is denied is no matter of anything else */

        if (!(mark->rule.deny & ctx->rw->deny)) {
            sgtm_rewrite_arg(ctx, &mark->rule, arg);
        }

        pos = arg->key.data + sgtm_rewrite_len(arg);

        if (pos == end) {
            return;
        }

        pos++;
    }

    sgtm_rewrite_stays(ctx, pos, (size_t) (end - pos));
}


/* whether it may be one that does not stay as it is */

static inline int
sgtm_rewrite_concerns(const sgtm_rewrite_ctx_t *ctx, const sgtm_mark_t *mark)
{
    return (mark->rule.deny & ctx->rw->deny)
           || (mark->rule.flags & SGTM_NAME_CHANGES)
           || (ctx->keys >> mark->rule.key & 1)
           || (mark->arg.nested && ctx->rw->deny);
}


static size_t
sgtm_rewrite_len(const sgtm_arg_t *arg)
{
    return arg->key.len + (arg->bare ? 0 : 1) + arg->value.len;
}


static void
sgtm_rewrite_arg(sgtm_rewrite_ctx_t *ctx, const sgtm_rule_t *rule,
    const sgtm_arg_t *arg)
{
    if (rule != NULL && sgtm_rewrite_drops(ctx, rule, arg)) {
        return;
    }

    sgtm_rewrite_tail(ctx);

    if (rule != NULL) {

        if (rule->key == SGTM_KEY_RICHSSTSSE && arg->bare) {
            ctx->tail = arg->key;
            return;
        }

        if ((rule->key == SGTM_KEY_CID || rule->key == SGTM_KEY_SID)
            && ctx->rw->fresh && arg->value.len)
        {
            sgtm_rewrite_next(ctx);
            sgtm_rewrite_copy(ctx, arg->key.data, arg->key.len + 1);

            sgtm_fresh(ctx->rw->seed, rule->key, &arg->value, ctx->last);
            ctx->last += arg->value.len;
            return;
        }
    }

    if (arg->nested && ctx->rw->deny) {
        sgtm_rewrite_cut(ctx, arg, sgtm_rewrite_len(arg));
        return;
    }

    sgtm_rewrite_keep(ctx, arg->key.data, sgtm_rewrite_len(arg));
}


static void
sgtm_rewrite_stays(sgtm_rewrite_ctx_t *ctx, unsigned char *p, size_t len)
{
    sgtm_rewrite_tail(ctx);
    sgtm_rewrite_keep(ctx, p, len);
}


/* a "richsstsse" that waited was not the last, or now is */

static void
sgtm_rewrite_tail(sgtm_rewrite_ctx_t *ctx)
{
    if (ctx->tail.data != NULL) {
        sgtm_rewrite_keep(ctx, ctx->tail.data, ctx->tail.len);
        ctx->tail.data = NULL;
    }
}


static int
sgtm_rewrite_drops(sgtm_rewrite_ctx_t *ctx, const sgtm_rule_t *rule,
    const sgtm_arg_t *arg)
{
    uint32_t            bit, *done;
    const sgtm_pair_t  *pair;

    if (rule->deny & ctx->rw->deny) {
        return 1;
    }

    if (rule->key == SGTM_KEY_NPA && ctx->rw->npa) {

        if (ctx->body || ctx->npa
            || arg->value.len != 1 || arg->value.data[0] != '1')
        {
            return 1;
        }

        ctx->npa = 1;

        return 0;
    }

    pair = sgtm_rewrite_pair(ctx->rw, rule);

    if (pair == NULL) {
        return (rule->flags & SGTM_NAME_REMOVE) && !ctx->rw->matrix;
    }

    bit = 1u << (rule->set & 31);
    done = &ctx->done[rule->set >> 5];

    if (ctx->body || (*done & bit) || arg->bare
        || arg->value.len != pair->value.len
        || memcmp(arg->value.data, pair->value.data, pair->value.len) != 0)
    {
        return 1;
    }

    *done |= bit;

    return 0;
}


/* the pair that is to be set in this hit, or NULL */

static const sgtm_pair_t *
sgtm_rewrite_pair(const sgtm_rewrite_t *rw, const sgtm_rule_t *rule)
{
    const sgtm_pair_t  *pair;

    if (!(rule->flags & SGTM_NAME_SET) || rule->set == 0
        || rule->set > rw->nset)
    {
        return NULL;
    }

    pair = &rw->set[rule->set - 1];

    return pair->off ? NULL : pair;
}


static void
sgtm_rewrite_keep(sgtm_rewrite_ctx_t *ctx, unsigned char *p, size_t len)
{
    if (ctx->run != NULL && ctx->run_end + 1 == p) {
        /* what lies between the two is their "&" */
        ctx->run_end = p + len;
        return;
    }

    sgtm_rewrite_next(ctx);

    ctx->run = p;
    ctx->run_end = p + len;
}


static void
sgtm_rewrite_flush(sgtm_rewrite_ctx_t *ctx)
{
    if (ctx->run != NULL) {
        sgtm_rewrite_copy(ctx, ctx->run, (size_t) (ctx->run_end - ctx->run));
        ctx->run = NULL;
    }
}


/* where the next argument may be written */

static void
sgtm_rewrite_next(sgtm_rewrite_ctx_t *ctx)
{
    sgtm_rewrite_flush(ctx);

    if (ctx->more) {
        *ctx->last++ = '&';
    }

    ctx->more = 1;
}


static void
sgtm_rewrite_cut(sgtm_rewrite_ctx_t *ctx, const sgtm_arg_t *arg, size_t len)
{
    size_t          n;
    unsigned        more;
    sgtm_str_t      in;
    unsigned char  *last, *p;

    sgtm_rewrite_flush(ctx);

    last = ctx->last;
    more = ctx->more;

    sgtm_rewrite_next(ctx);

    in.len = len;
    in.data = arg->key.data;

    p = ctx->last;
    n = sgtm_redact_url(ctx->rw->names, ctx->rw->deny, &in, p);
    ctx->last += n;

    /* where the key was an URL, what is left of it may be a name of its own */

    if (n < len
        && (n <= arg->key.len || memcmp(p, in.data, arg->key.len) != 0)
        && sgtm_rewrite_became(ctx, p, n))
    {
        ctx->last = last;
        ctx->more = more;
    }
}


/* whether an argument as it was written is one that may not be there */

static int
sgtm_rewrite_became(sgtm_rewrite_ctx_t *ctx, unsigned char *p, size_t len)
{
    sgtm_arg_t          arg;
    sgtm_str_t          in;
    sgtm_args_t         args;
    const sgtm_rule_t  *rule;

    in.len = len;
    in.data = p;

    sgtm_args_init(&args, &in);

    if (!sgtm_args_next(&args, &arg)) {
        return 0;
    }

    rule = sgtm_args_rule(ctx->rw->names, &arg);

    return rule != NULL && sgtm_rewrite_drops(ctx, rule, &arg);
}


/* what is set and was not there, and the end */

static void
sgtm_rewrite_finish(sgtm_rewrite_ctx_t *ctx)
{
    size_t              i;
    const sgtm_pair_t  *pair;

    for (i = 0; !ctx->body && i < ctx->rw->nset; i++) {

        if (!sgtm_rewrite_appends(ctx, i)) {
            continue;
        }

        pair = &ctx->rw->set[i];

        sgtm_rewrite_next(ctx);
        sgtm_rewrite_copy(ctx, pair->key.data, pair->key.len);

        *ctx->last++ = '=';

        /* an operator's value obeys the visitor as well */

        ctx->last += sgtm_redact_url(ctx->rw->names, ctx->rw->deny,
                                     &pair->value, ctx->last);
    }

    if (ctx->rw->npa && !ctx->npa && !ctx->body) {
        sgtm_rewrite_next(ctx);
        sgtm_rewrite_copy(ctx, sgtm_rewrite_npa,
                          sizeof(sgtm_rewrite_npa) - 1);
    }

    sgtm_rewrite_tail(ctx);
    sgtm_rewrite_flush(ctx);
}


static int
sgtm_rewrite_appends(const sgtm_rewrite_ctx_t *ctx, size_t n)
{
    sgtm_arg_t          arg;
    const sgtm_pair_t  *pair;
    const sgtm_rule_t  *rule;

    pair = &ctx->rw->set[n];

    if (pair->off) {
        return 0;
    }

    n++;

    if (n < SGTM_REWRITE_SETS && (ctx->done[n >> 5] & (1u << (n & 31)))) {
        return 0;
    }

    if (!ctx->rw->deny && !ctx->rw->npa) {
        return 1;
    }

    memset(&arg, 0, sizeof(sgtm_arg_t));

    arg.key = pair->key;
    arg.word = sgtm_names_word(pair->key.data,
                               pair->key.len < 8 ? pair->key.len : 8,
                               pair->key.len);
    arg.escaped = (pair->key.len
                   && memchr(pair->key.data, '%', pair->key.len) != NULL);

    rule = sgtm_args_rule(ctx->rw->names, &arg);

    if (rule == NULL) {
        return 1;
    }

    return !(rule->deny & ctx->rw->deny)
           && !(rule->key == SGTM_KEY_NPA && ctx->rw->npa);
}


static void
sgtm_rewrite_copy(sgtm_rewrite_ctx_t *ctx, const unsigned char *data,
    size_t len)
{
    if (len) {
        memcpy(ctx->last, data, len);
        ctx->last += len;
    }
}
