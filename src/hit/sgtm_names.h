
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A table of names (parameters or cookies) and what is to be done with each:
 * one probe a name, however many rules there are.  Filled once, when the
 * configuration is read, and constant afterwards.
 */


#ifndef _SGTM_NAMES_H_INCLUDED_
#define _SGTM_NAMES_H_INCLUDED_


#include <string.h>

#include "sgtm_hit.h"


/* parameters that the gate itself reads; SGTM_KEY_NONE for any other */

typedef enum {
    SGTM_KEY_NONE = 0,
    SGTM_KEY_V,
    SGTM_KEY_TID,
    SGTM_KEY_EN,
    SGTM_KEY_CID,
    SGTM_KEY_SID,
    SGTM_KEY_UID,
    SGTM_KEY_GCS,
    SGTM_KEY_GCD,
    SGTM_KEY_NPA,
    SGTM_KEY_ID,                       /* "id" of Google's scripts */
    SGTM_KEY_MEASUREMENT_ID,
    SGTM_KEY_RICHSSTSSE,
    SGTM_KEY_LAST
} sgtm_key_e;


#define SGTM_NAME_REMOVE  0x01         /* the operator's sgtm_remove_param */
#define SGTM_NAME_ALLOW   0x02         /* on an allow-list (cookies) */
#define SGTM_NAME_SET     0x04         /* rule.set counts from 1 */
#define SGTM_NAME_ORDER   0x78         /* an id of events, the first to be
                                          looked for is sgtm_names_order(1) */
#define SGTM_NAME_ORDERS  15
#define SGTM_NAME_TRANSACTION  0x80    /* an id of purchases */

/* what asks for an argument to be changed or dropped */
#define SGTM_NAME_CHANGES  (SGTM_NAME_REMOVE|SGTM_NAME_ALLOW|SGTM_NAME_SET)

#define sgtm_names_order(n)  ((n) << 3)


typedef struct {
    uint8_t         key;               /* sgtm_key_e */
    uint8_t         deny;              /* SGTM_DENY_*: any of these drops it */
    uint8_t         flags;             /* SGTM_NAME_* */
    uint8_t         set;               /* which pair of rewrite.set, from 1 */
} sgtm_rule_t;


typedef struct {
    sgtm_str_t      name;              /* data is NULL in a free slot */
    uint64_t        word;              /* sgtm_names_word() of it */
    uint64_t        mask;              /* of a prefix: its bytes of the word */
    uint32_t        hash;
    sgtm_rule_t     rule;
} sgtm_name_t;


typedef struct {
    sgtm_name_t    *slots;             /* exact names, open addressing */
    uint32_t        mask;
    uint32_t        nslots;            /* used */

    sgtm_name_t    *prefixes;          /* names that end in "*", without it */
    uint32_t        nprefixes;
    uint32_t        maxprefixes;
    uint32_t        covered[32];       /* bits by sgtm_names_begin(): there is
                                          a prefix for such names */
    uint8_t         known[1024];       /* by sgtm_names_head(), bits: how long
                                          names are that begin so, modulo 8 */
    uint32_t        lengths[256];      /* by sgtm_names_ends(), bits: how long
                                          exact names are, 31 for more */
} sgtm_names_t;


#define sgtm_names_bit(bits, c)     ((bits)[(c) >> 5] >> ((c) & 31) & 1)

/* a name's first two bytes, of letters without their case */
#define sgtm_names_head(data)                                                 \
    ((unsigned) ((data)[0] & 0x1f) | (unsigned) ((data)[1] & 0x1f) << 5)

/* whether any name of the table could be this one: two bytes are read */
#define sgtm_names_begins(names, data)                                        \
    ((names)->known[sgtm_names_head(data)] != 0)

/* the same where its length is known; one byte is followed by any other */
#define sgtm_names_known(names, data, len)                                    \
    ((names)->known[sgtm_names_head(data)] >> ((len) & 7) & 1)

/* a name's first and last byte, mixed */
#define sgtm_names_ends(data, len)                                            \
    (((data)[0] ^ (data)[(len) - 1] << 2) & 0xff)

/* a name's first byte, and its fourth and fifth, mixed, without their case */
#define sgtm_names_begin(word)                                                \
    ((unsigned) ((word) & 0x1f)                                               \
     | (unsigned) (((word) >> 24 ^ (word) >> 32) & 0x1f) << 5)

/*
 * Whether an exact name of the table could be this one (len is not 0): most of
 * those that are in none are told so without a hash.
 */
#define sgtm_names_exact(names, data, len)                                    \
    ((names)->lengths[sgtm_names_ends(data, len)]                             \
     >> ((len) < 31 ? (len) : 31) & 1)


/*
 * The bytes of memory that a table of at most exact names and prefixes takes;
 * the caller owns the memory, aligned for a pointer, and passes it to
 * sgtm_names_init().
 */
size_t sgtm_names_size(size_t exact, size_t prefixes);

void sgtm_names_init(sgtm_names_t *names, void *mem, size_t exact,
    size_t prefixes);

/*
 * The rule of a name, made empty if there is none yet, to be changed in place.
 * A "*" at the name's end makes it a prefix.  A new name, exact or prefix,
 * starts with the rule of the longest prefix that covers it.  The table keeps
 * name->data.  NULL: the table is full, or the name is over SGTM_MAX_KEY.
 */
sgtm_rule_t *sgtm_names_add(sgtm_names_t *names, const sgtm_str_t *name);

/*
 * Adds a name and changes its rule: deny and flags lose the bits of off, then
 * gain those of on (either may be NULL); a key or set of on that is not 0 is
 * taken over.  For a prefix, deny and flags change also in every name of the
 * table that it covers, so that "g*" speaks for "gclid" too.  SGTM_ERROR: as
 * sgtm_names_add() returning NULL.
 */
int sgtm_names_change(sgtm_names_t *names, const sgtm_str_t *name,
    const sgtm_rule_t *on, const sgtm_rule_t *off);

/*
 * Has a name (a "*" at its end makes it a prefix) answered for by
 * sgtm_names_known(), though there is no rule for it.
 */
void sgtm_names_note(sgtm_names_t *names, const sgtm_str_t *name);

/*
 * The rule of a name as it is written in a table, case sensitive: the exact
 * one, else that of the longest prefix, else NULL.  hash is
 * sgtm_names_hash() of the same bytes.
 */
const sgtm_rule_t *sgtm_names_find(const sgtm_names_t *names,
    const unsigned char *data, size_t len, uint32_t hash);

/*
 * The same without regard to the case of ASCII letters: what denies the name,
 * in whatever case the table has it.
 */
unsigned sgtm_names_deny_nocase(const sgtm_names_t *names,
    const unsigned char *data, size_t len);

/* both by the longest prefix only, for a name whose end is not known */
const sgtm_rule_t *sgtm_names_find_prefix(const sgtm_names_t *names,
    const unsigned char *data, size_t len);
unsigned sgtm_names_deny_prefix_nocase(const sgtm_names_t *names,
    const unsigned char *data, size_t len);

/* the same, without the look that spares most names the search */
const sgtm_rule_t *sgtm_names_find_covered(const sgtm_names_t *names,
    const unsigned char *data, size_t len, uint64_t word);


/*
 * Of up to eight bytes, the first the lowest.  Where more may be read there is
 * no branch on their number.
 */

static inline uint64_t
sgtm_names_word(const unsigned char *data, size_t len, size_t readable)
{
    uint64_t  word;

    if (len == 0) {
        return 0;
    }

#if (SGTM_LITTLE_ENDIAN)

    if (readable >= 8) {
        memcpy(&word, data, 8);
        return word & (~(uint64_t) 0 >> (64 - 8 * len));
    }

#else
    (void) readable;
#endif

    for (word = 0; len; len--) {
        word = word << 8 | data[len - 1];
    }

    return word;
}


/* one step of a name's hash, for each of its words */

static inline uint64_t
sgtm_names_mix(uint64_t hash, uint64_t word)
{
    return (hash ^ (word | SGTM_BYTES * 0x20)) * 0x9e3779b97f4a7c15;
}


/* equal for names that differ only in the case of letters */

static inline uint32_t
sgtm_names_hash(const unsigned char *data, size_t len)
{
    uint64_t  hash;

    hash = len;

    while (len > 8) {
        hash = sgtm_names_mix(hash, sgtm_names_word(data, 8, len));
        hash ^= hash >> 32;

        data += 8;
        len -= 8;
    }

    return (uint32_t) (sgtm_names_mix(hash, sgtm_names_word(data, len, len))
                       >> 32);
}


/* as sgtm_names_find_prefix(), for a name whose first bytes are this word */

static inline const sgtm_rule_t *
sgtm_names_look_prefix(const sgtm_names_t *names, const unsigned char *data,
    size_t len, uint64_t word)
{
    if (!sgtm_names_bit(names->covered, sgtm_names_begin(word))) {
        return NULL;
    }

    return sgtm_names_find_covered(names, data, len, word);
}


/*
 * As sgtm_names_find(), for a name that is not empty and whose first bytes are
 * this word.
 */

static inline const sgtm_rule_t *
sgtm_names_look(const sgtm_names_t *names, const unsigned char *data,
    size_t len, uint64_t word)
{
    uint32_t            hash;
    const sgtm_name_t  *slot;

    if (sgtm_names_exact(names, data, len)) {

        if (len > 8) {
            return sgtm_names_find(names, data, len,
                                   sgtm_names_hash(data, len));
        }

        hash = (uint32_t) (sgtm_names_mix(len, word) >> 32);
        slot = &names->slots[hash & names->mask];

        if (slot->word == word && slot->name.len == len) {
            return &slot->rule;
        }

        return sgtm_names_find(names, data, len, hash);
    }

    return sgtm_names_look_prefix(names, data, len, word);
}


/*
 * What the built-in tables hold.  sgtm_default_params: every parameter of
 * sgtm_key_e and the matrix of what each denial removes; sgtm_default_cookies:
 * the cookies of Google's tags and of preview sessions (SGTM_NAME_ALLOW) with
 * the denials that drop them.  Ended by an empty name.
 */

typedef struct {
    sgtm_str_t      name;
    sgtm_rule_t     rule;
} sgtm_default_t;

extern const sgtm_default_t  sgtm_default_params[];
extern const sgtm_default_t  sgtm_default_cookies[];

/* as sgtm_names_change() with every rule of a list; of a name whose rule is
   empty, as sgtm_names_note() */
int sgtm_names_add_defaults(sgtm_names_t *names, const sgtm_default_t *list);


#endif /* _SGTM_NAMES_H_INCLUDED_ */
