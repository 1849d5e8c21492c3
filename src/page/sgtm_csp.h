
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Content security policies: what a page's own ones have to allow for the tags
 * to work, and no more.  Plain C11 without nginx.
 */


#ifndef _SGTM_CSP_H_INCLUDED_
#define _SGTM_CSP_H_INCLUDED_


#include "../hit/sgtm_hit.h"
#include "../tenant/sgtm_words.h"


/* the ways that hits and Google's scripts may take, as bits */
#define SGTM_CSP_GATEWAY  0x01
#define SGTM_CSP_GOOGLE   0x02         /* from the browser to Google's hosts */


/* of a page and its tags */

typedef struct {
    unsigned        tagging;           /* sgtm_tagging_e */
    unsigned        ways;              /* SGTM_CSP_* */
    unsigned        https;             /* the page came so */
    sgtm_str_t      host;              /* its own, in small letters */
    sgtm_str_t      prefix;            /* the gateway's: "/metrics/" */
    sgtm_str_t      nonce;             /* empty: none is to be had */
} sgtm_csp_need_t;


/*
 * Writes what the value of a policy's header, which may hold several with
 * commas between them, becomes, and returns its length; with out NULL only
 * counts.  nonced is set if one of them has got the nonce, and left otherwise.
 *
 * A policy keeps all that it has, in its words, but for a 'none' that is none
 * any more.  A directive that falls back to another one is added with the
 * sources of that one.
 */
size_t sgtm_csp_fit(unsigned char *out, const sgtm_str_t *value,
    const sgtm_csp_need_t *need, unsigned *nonced);

/*
 * Writes a strict policy for a page that has none, with a path for its reports;
 * the rest as above.
 */
size_t sgtm_csp_strict(unsigned char *out, const sgtm_csp_need_t *need,
    const sgtm_str_t *report, unsigned *nonced);


/* what a report may speak of */

typedef enum {
    SGTM_CSP_SCRIPT = 0,
    SGTM_CSP_STYLE,
    SGTM_CSP_IMG,
    SGTM_CSP_CONNECT,
    SGTM_CSP_FRAME,
    SGTM_CSP_FONT,
    SGTM_CSP_MEDIA,
    SGTM_CSP_WORKER,
    SGTM_CSP_FORM,
    SGTM_CSP_TRUSTED_TYPES,
    SGTM_CSP_OTHER,
    SGTM_CSP_N
} sgtm_csp_e;

/* "script", and so on */
extern const sgtm_str_t  sgtm_csp_labels[SGTM_CSP_N];

/* reports of one request that are read */
#define SGTM_CSP_REPORTS  100

/*
 * Counts the violations of a report's body, in the form of report-uri or of the
 * Reporting API, by sgtm_csp_e; adds to n.  SGTM_OK; SGTM_DECLINED: it has none
 * in it.
 */
int sgtm_csp_report(const sgtm_str_t *body, unsigned n[SGTM_CSP_N]);


#endif /* _SGTM_CSP_H_INCLUDED_ */
