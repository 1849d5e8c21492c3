
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What every file of the room "hit" shares.  The room is plain C11 that knows
 * no nginx: bytes in, bytes out, no global state, and no allocation but that of
 * cJSON in sgtm_mp_parse().
 */


#ifndef _SGTM_HIT_H_INCLUDED_
#define _SGTM_HIT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define SGTM_OK         0
#define SGTM_ERROR     -1
#define SGTM_DECLINED  -5


/*
 * The layout of ngx_str_t: a pointer to one is used as a pointer to the other,
 * which compilers that optimize by type have to be told.
 */

#if defined(__GNUC__)
#define sgtm_may_alias  __attribute__((__may_alias__))
#else
#define sgtm_may_alias
#endif


/*
 * What is worth no call, however long it is; and what is rarely called, and has
 * the caller save registers or guard a buffer on the stack if it is inline.
 */

#if defined(__GNUC__)
#define sgtm_inline    inline __attribute__((__always_inline__))
#define sgtm_noinline  __attribute__((__noinline__))
#else
#define sgtm_inline    inline
#define sgtm_noinline
#endif


/*
 * memset() to zero, by a call: of some hundred bytes, whose number it knows, a
 * compiler makes "rep stos", which takes four times as long.
 */

static inline void
sgtm_zero(void *data, size_t size)
{
#if defined(__GNUC__)
    __asm__ ("" : "+r" (size));
#endif

    memset(data, 0, size);
}


typedef struct sgtm_may_alias {
    size_t          len;
    unsigned char  *data;
} sgtm_str_t;


#define sgtm_string(str)     { sizeof(str) - 1, (unsigned char *) str }

#define sgtm_nelts(array)    (sizeof(array) / sizeof((array)[0]))


/* for code that reads eight bytes at a time; without it goes by one */

#ifndef SGTM_LITTLE_ENDIAN
#if defined(__GNUC__) && defined(__BYTE_ORDER__)                              \
    && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SGTM_LITTLE_ENDIAN  1
#endif
#endif

/* times a byte: eight of it */
#define SGTM_BYTES  0x0101010101010101ULL


/*
 * The four types of Google's consent mode, as bits of a denial mask, and two
 * more reasons to drop something.
 */

#define SGTM_DENY_AD_STORAGE          0x01
#define SGTM_DENY_ANALYTICS_STORAGE   0x02
#define SGTM_DENY_AD_USER_DATA        0x04
#define SGTM_DENY_AD_PERSONALIZATION  0x08
#define SGTM_DENY_ANY                 0x10   /* set as soon as one is denied */
#define SGTM_DENY_ADDRESS             0x20   /* the address may not travel */


/*
 * Why a hit is refused.  Each has a parameter's name, a text and a label for
 * metrics in sgtm_reasons[].
 */

typedef enum {
    SGTM_REASON_NONE = 0,

    SGTM_REASON_NO_VERSION,        /* "v" is missing or not "2" */
    SGTM_REASON_NO_TAG_ID,         /* "tid" is missing */
    SGTM_REASON_BAD_TAG_ID,        /* "tid" is not of the form G-XXXX */
    SGTM_REASON_FOREIGN_TAG_ID,    /* "tid" is not one of the tenant's */
    SGTM_REASON_NO_EVENT,          /* no "en" in any line nor in the query */
    SGTM_REASON_BAD_ESCAPE,        /* "%" without two hexadecimal digits */
    SGTM_REASON_BAD_BYTE,          /* a control character, NUL among them */
    SGTM_REASON_BAD_UTF8,          /* a value is not UTF-8 once decoded */
    SGTM_REASON_TOO_MANY_ARGS,     /* over SGTM_MAX_ARGS in a query or line */
    SGTM_REASON_TOO_MANY_EVENTS,   /* over SGTM_MAX_EVENTS */
    SGTM_REASON_ENCODED,           /* the whole query in one base64 value */

    SGTM_REASON_BAD_JSON,          /* no JSON, or no object */
    SGTM_REASON_JSON_DEPTH,        /* over SGTM_JSON_DEPTH */
    SGTM_REASON_BAD_MEMBER,        /* one of another type than it has to be */
    SGTM_REASON_TWICE,             /* one that counts, and is there twice */
    SGTM_REASON_NO_CLIENT,         /* "client_id" is missing or empty */
    SGTM_REASON_NO_EVENTS,         /* "events" is missing or empty */
    SGTM_REASON_BAD_EVENT_NAME,    /* missing, too long, other characters */
    SGTM_REASON_TOO_MANY_PARAMS,   /* over SGTM_MP_MAX_PARAMS an event */
    SGTM_REASON_TOO_MANY_VALUES,   /* over SGTM_MP_MAX_USER in user_data */

    SGTM_REASON_HIT_LAST
} sgtm_reason_e;


typedef struct {
    sgtm_str_t      label;         /* "bad_tag_id" */
    sgtm_str_t      param;         /* "tid"; empty: sgtm_ga4_t.param tells it */
    sgtm_str_t      text;          /* "not a measurement id" */
} sgtm_reason_t;


/* indexed by sgtm_reason_e */
extern const sgtm_reason_t  sgtm_reasons[];


/*
 * What goes past a limit that Google documents for GA4, as bits.  Google cuts
 * or ignores the excess itself, so such a hit passes whole and is counted.
 */

#define SGTM_OVER_EVENT_NAME      0x0001   /* 40 chars, [A-Za-z][A-Za-z0-9_]* */
#define SGTM_OVER_PARAMS          0x0002   /* 25 ep. and epn. an event */
#define SGTM_OVER_PARAM_NAME      0x0004   /* 40 characters */
#define SGTM_OVER_PARAM_VALUE     0x0008   /* 100; title 300, referrer 420,
                                              location 1000 */
#define SGTM_OVER_USER_PROPS      0x0010   /* 25 up. and upn. */
#define SGTM_OVER_USER_PROP_NAME  0x0020   /* 24 characters */
#define SGTM_OVER_USER_PROP_VALUE 0x0040   /* 36 characters */
#define SGTM_OVER_USER_ID         0x0080   /* 256 characters */
#define SGTM_OVER_ITEMS           0x0100   /* 200 items */
#define SGTM_OVER_ITEM_PARAMS     0x0200   /* 27 custom parameters an item */
#define SGTM_OVER_RESERVED        0x0400   /* firebase_ ga_ google_ gtag. */

#define SGTM_OVER_N               11

/* the label of bit n: "param_value" */
extern const sgtm_str_t  sgtm_over_labels[SGTM_OVER_N];


/* hard bounds: what is over them is no browser's traffic */

#define SGTM_MAX_ARGS    1024
#define SGTM_MAX_EVENTS  256
#define SGTM_MAX_KEY     128       /* a longer key is in no table */


#endif /* _SGTM_HIT_H_INCLUDED_ */
