
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The forms that values have, in directives and in tenant records alike.
 * Plain C11 without nginx.
 */


#ifndef _SGTM_FORM_H_INCLUDED_
#define _SGTM_FORM_H_INCLUDED_


#include "../hit/sgtm_hit.h"


#define SGTM_RATE_MAX       1000000
#define SGTM_BURST_MAX      100000000

#define SGTM_TENANT_ID_MAX  128


/* "https://a.example:8443", "a.example" or "*.a.example", in small letters */

typedef struct {
    sgtm_str_t      scheme;            /* empty: any */
    sgtm_str_t      host;              /* with its port, if given */
    unsigned        wildcard:1;        /* host begins with "." then */
} sgtm_origin_t;


/* how many hits in how many seconds; seconds 0: there is no limit */

typedef struct {
    uint32_t        hits;
    uint32_t        seconds;           /* 1 or 60 */
    uint32_t        burst;             /* how many at once, at least 1 */
} sgtm_rate_t;


/* for GCRA, in nanoseconds: from hit to hit, and what a burst is worth */

#define sgtm_rate_interval(rate)                                              \
    ((uint64_t) (rate)->seconds * 1000000000 / (rate)->hits)

#define sgtm_rate_tolerance(rate)                                             \
    ((uint64_t) ((rate)->burst - 1) * sgtm_rate_interval(rate))


/* each: whether the text has the form */

/* letters, digits and the characters of more */
int sgtm_form_chars(const sgtm_str_t *text, const char *more);

/* 1 to max bytes without control characters */
int sgtm_form_text(const sgtm_str_t *text, size_t max);

/* a tenant's id: 1 to 128 letters, digits and "._-", the first no "._-" */
int sgtm_form_tenant(const sgtm_str_t *text);

/*
 * A host name as requests have it, without a port; with "*." before it, and
 * two labels at least then, it stands for all below it.
 */
int sgtm_form_host(const sgtm_str_t *text);

/* a host name or an address, [::1] among them, with an optional port */
int sgtm_form_address(const sgtm_str_t *text);

/* an origin; its parts point into the text */
int sgtm_form_origin(const sgtm_str_t *text, sgtm_origin_t *origin);

int sgtm_form_container(const sgtm_str_t *text);       /* "GTM-..." */
int sgtm_form_tag_id(const sgtm_str_t *text);          /* the others */

/* the name of a parameter that is set */
int sgtm_form_param(const sgtm_str_t *text);

/* a name, "*" at its end for all that begin so */
int sgtm_form_name(const sgtm_str_t *text);

/* the same of a cookie: no spaces, nor what divides cookies */
int sgtm_form_cookie(const sgtm_str_t *text);

/* the name of an event: 1 to 40 letters, digits and "_", a letter first */
int sgtm_form_event(const sgtm_str_t *text);

/* a path below the prefix that has no other meaning, for the site's script */
int sgtm_form_script(const sgtm_str_t *text);

/* "100r/s", "1000r/m" or "off"; sets the rate, whose burst is its number */
int sgtm_form_rate(const sgtm_str_t *text, sgtm_rate_t *rate);

/* a moment of RFC 3339, with its zone; in seconds since the epoch */
int sgtm_form_time(const sgtm_str_t *text, int64_t *time);


/* days since the epoch; the day of a month, both from 1 on, may be too large */
int64_t sgtm_form_days(int64_t year, int64_t month, int64_t day);

/* turns letters of ASCII into small ones, in place */
void sgtm_form_lower(sgtm_str_t *text);


#endif /* _SGTM_FORM_H_INCLUDED_ */
