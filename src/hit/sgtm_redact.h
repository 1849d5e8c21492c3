
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a denial removes and what an operator sets or removes, applied to the
 * bytes of a hit.  What no rule touches comes out byte for byte, in order.
 */


#ifndef _SGTM_REDACT_H_INCLUDED_
#define _SGTM_REDACT_H_INCLUDED_


#include "sgtm_args.h"
#include "sgtm_names.h"


/* a parameter to set: the name and the value as they go on the wire */

typedef struct {
    sgtm_str_t      key;
    sgtm_str_t      value;
    unsigned        off:1;             /* not in this hit: an empty value */
} sgtm_pair_t;


typedef struct {
    const sgtm_names_t  *names;
    unsigned             deny;         /* SGTM_DENY_* in force */

    sgtm_pair_t         *set;          /* names' rule.set counts these */
    size_t               nset;

    unsigned             npa:1;        /* force npa=1 */
    unsigned             matrix:1;     /* SGTM_NAME_REMOVE does not count */
    unsigned             fresh:1;      /* cid and sid become random values */
    unsigned             user_data:1;  /* is to be hashed: by sgtm_mp_rewrite(),
                                          and by who asks for a query's */
    uint64_t             seed;         /* of the hit, for these */

    /* of a hit that has been parsed, all that may have to change; or NULL */

    const sgtm_mark_t   *marks;
    size_t               nmarks;
} sgtm_rewrite_t;


/*
 * The most bytes that sgtm_rewrite_query() can write for an input of this
 * length.
 */
size_t sgtm_rewrite_size(const sgtm_rewrite_t *rw, size_t len);

/*
 * Writes the query (with rw->marks: the one that they point into) with the
 * denied and removed arguments gone, the URLs inside
 * its values cut, cid and sid replaced (same length and same classes of
 * characters, the same input giving the same output within a hit), and the set
 * parameters: one that is there with the same value stays where it is,
 * otherwise it goes to the end, before a bare "richsstsse" if that is last.
 * Returns the bytes written.
 */
size_t sgtm_rewrite_query(const sgtm_rewrite_t *rw, const sgtm_str_t *in,
    unsigned char *out);

/*
 * The same for the lines of a body, each in its own right; a parameter that is
 * set (or npa, when forced) leaves the lines, since the query's holds.  Line
 * ends stay, an emptied line too.  Writes at most in->len bytes.  With
 * rw->marks it is the body that they point into.
 */
size_t sgtm_rewrite_body(const sgtm_rewrite_t *rw, const sgtm_str_t *in,
    unsigned char *out);

/*
 * Writes an URL, plain or percent-encoded any number of times, without the
 * denied arguments in its query and fragment and in those of URLs within it;
 * what stays keeps its bytes.  Names are compared decoded and without regard
 * to case.  Writes at most in->len bytes; out may be in->data.
 */
size_t sgtm_redact_url(const sgtm_names_t *names, unsigned deny,
    const sgtm_str_t *in, unsigned char *out);

/*
 * Writes the value of a Cookie header (RFC 6265, 4.2.1) with only the cookies
 * that are on the allow-list and that no denial drops.  Writes at most in->len
 * bytes; returns 0 when no cookie is left.  kinds, which may be NULL, is set to
 * what sgtm_redact_kinds() reads.
 */
size_t sgtm_redact_cookies(const sgtm_names_t *cookies, unsigned deny,
    const sgtm_str_t *in, unsigned char *out, uint64_t *kinds);

/* the kind of a cookie that is on the list: what denies it, as one bit */
#define sgtm_redact_kind(rule)  ((uint64_t) 1 << ((rule)->deny & 0x3f))

/*
 * The kinds of cookies, of those that were written, which denials drop: none of
 * the cookies if it is 0, all of them if it is kinds.
 */
uint64_t sgtm_redact_kinds(uint64_t kinds, unsigned deny);

/* whether a cookie of this name may pass */
int sgtm_redact_cookie(const sgtm_names_t *cookies, unsigned deny,
    const sgtm_str_t *name);


#endif /* _SGTM_REDACT_H_INCLUDED_ */
