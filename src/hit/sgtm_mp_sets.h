
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The names of a browser's hit in the JSON of the Measurement Protocol: which
 * rule holds for a member, and where a parameter is set.
 */


#ifndef _SGTM_MP_SETS_H_INCLUDED_
#define _SGTM_MP_SETS_H_INCLUDED_


#include "sgtm_mp.h"


/* an operator's, and what a denial forces */
#define SGTM_MP_SETS  288


typedef enum {
    SGTM_MP_ROOT = 0,
    SGTM_MP_EVENTS,
    SGTM_MP_EVENT,
    SGTM_MP_PARAMS,
    SGTM_MP_PROPS,                 /* user_properties */
    SGTM_MP_PROP,                  /* one of them */
    SGTM_MP_CONSENT,
    SGTM_MP_OTHER,
    SGTM_MP_NOWHERE
} sgtm_mp_level_e;


/* members whose values are a level of their own */

typedef struct {
    sgtm_str_t             name;
    uint8_t                above;
    uint8_t                level;
} sgtm_mp_level_t;

/* ended by an empty name */
extern const sgtm_mp_level_t  sgtm_mp_levels[];


typedef struct {
    sgtm_str_t             key;
    sgtm_str_t             value;      /* JSON */
    uint8_t                level;
} sgtm_mp_set_t;


typedef struct {
    const sgtm_rewrite_t  *rules;
    uint32_t               drop;       /* bits: events */

    unsigned char         *scratch;    /* of as many bytes as the body has,
                                          and room for a hash */
    unsigned char         *last;       /* of the output */

    unsigned               nsets;
    sgtm_mp_set_t          sets[SGTM_MP_SETS];

    unsigned char          names[4 + SGTM_MAX_KEY + 1];
} sgtm_mp_rewrite_t;


/*
 * Fills the rules and sets; their values are written to mem, of which the
 * first free byte is returned.
 */
unsigned char *sgtm_mp_sets(sgtm_mp_rewrite_t *rw, const sgtm_rewrite_t *rules,
    unsigned char *mem);

/*
 * Puts a key behind the first "path" bytes of the path; returns the length of
 * the new one, over SGTM_MAX_KEY where it is cut.
 */
size_t sgtm_mp_path(sgtm_mp_rewrite_t *rw, size_t path, const sgtm_str_t *key);

/*
 * What holds for a member of a level: its key, the type of its value, and its
 * path of len bytes, of which the first "path" are those of the object that it
 * is in.  rule->key is SGTM_KEY_CID or SGTM_KEY_SID for the ids, SGTM_KEY_NONE
 * otherwise.
 */
void sgtm_mp_rule(sgtm_mp_rewrite_t *rw, unsigned level, size_t path,
    size_t len, const sgtm_str_t *key, unsigned type, sgtm_rule_t *rule);

/*
 * Fields of the protocol have a second spelling in JSON, that of Protocol
 * Buffers: "userId" for "user_id".  Writes the first one of such a key to buf,
 * of SGTM_MP_FIELD bytes, and sets the key to it.  0: it has no capitals, or is
 * too long for a field.
 */
int sgtm_mp_field(sgtm_str_t *key, unsigned char *buf);

#define SGTM_MP_FIELD  (2 * SGTM_MAX_KEY)

/* whether a number has digits alone */
int sgtm_mp_digits(const sgtm_str_t *number);

/* whether this member of a level is one that a body can't be without */
int sgtm_mp_stays(unsigned level, const sgtm_str_t *key);


#endif /* _SGTM_MP_SETS_H_INCLUDED_ */
