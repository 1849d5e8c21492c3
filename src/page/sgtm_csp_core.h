
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the files of sgtm_csp share: a policy as it was read.
 */


#ifndef _SGTM_CSP_CORE_H_INCLUDED_
#define _SGTM_CSP_CORE_H_INCLUDED_


#include "sgtm_csp.h"


/* directives that decide about tags */

typedef enum {
    SGTM_SRC_DEFAULT = 0,
    SGTM_SRC_SCRIPT,
    SGTM_SRC_SCRIPT_ELEM,
    SGTM_SRC_CONNECT,
    SGTM_SRC_IMG,
    SGTM_SRC_CHILD,
    SGTM_SRC_FRAME,
    SGTM_SRC_TRUSTED,
    SGTM_SRC_N
} sgtm_csp_directive_e;

/* of one directive, the most that is added */
#define SGTM_CSP_ADD  4


typedef struct {
    sgtm_str_t      text;              /* the directive, without ";" */
    sgtm_str_t      sources;           /* of it, behind its name */
    unsigned        there;
    unsigned        nadd;
    sgtm_str_t      add[SGTM_CSP_ADD];
    unsigned        from;              /* if it is not there: whose sources */
} sgtm_csp_directive_t;


typedef struct {
    sgtm_csp_directive_t  d[SGTM_SRC_N];
    unsigned              nonced;
} sgtm_csp_policy_t;


#define sgtm_csp_is_space(ch)                                                 \
    ((ch) == ' ' || (ch) == '\t' || (ch) == '\n' || (ch) == '\f'              \
     || (ch) == '\r')


/* the directives' names, by sgtm_csp_directive_e */
extern const sgtm_str_t  sgtm_csp_names[];

/* the source 'self' */
extern const sgtm_str_t  sgtm_csp_self;


/*
 * Notes the directives of a policy that decide about tags.  Of one that is
 * there twice, browsers read the first.
 */
void sgtm_csp_read(sgtm_csp_policy_t *p, const sgtm_str_t *policy);

/*
 * The part up to the next separator or the end, where pos becomes NULL; 0:
 * there is none.  A separator at the end has an empty part behind it.
 */
int sgtm_csp_part(unsigned char **pos, unsigned char *last, int ch,
    sgtm_str_t *part);

/* the next word between white space; 0: there is none */
int sgtm_csp_token(unsigned char **pos, unsigned char *last,
    sgtm_str_t *token);

/* the directive that decides, of those that are there; SGTM_SRC_N: none */
unsigned sgtm_csp_governs(const sgtm_csp_policy_t *p, unsigned directive);

/*
 * Whether a list of sources allows this one already, which is 'self', a host as
 * "https://...", or a word of trusted types.
 */
int sgtm_csp_allows(const sgtm_str_t *sources, const sgtm_str_t *source,
    const sgtm_csp_need_t *need);

/* in any case of letters; the text is in small ones */
int sgtm_csp_equal(const unsigned char *p, size_t len,
    const sgtm_str_t *text);


#endif /* _SGTM_CSP_CORE_H_INCLUDED_ */
