
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A tenant's record: what it says of a customer in place of what directives
 * say.  It is made of JSON and lies in one block of memory, whose pointers lead
 * into the block, so that it can be copied anywhere.  Secrets stay sealed in
 * it.  Plain C11 without nginx; no function keeps anything between two calls.
 */


#ifndef _SGTM_TENANT_H_INCLUDED_
#define _SGTM_TENANT_H_INCLUDED_


#include "../hit/sgtm_consent.h"
#include "../hit/sgtm_ga4.h"
#include "../lib/sgtm_seal.h"
#include "sgtm_form.h"
#include "sgtm_words.h"


#define SGTM_TENANT_MAX        65536   /* bytes of a record's JSON */
#define SGTM_TENANT_ITEMS      256     /* of each list and object in it */
#define SGTM_TENANT_SETS       254     /* as sgtm_set_param, but for those */
#define SGTM_TENANT_SECRETS    8       /* of api_secrets and of each shop */
#define SGTM_TENANT_VALUE      1024    /* bytes of a parameter's value */
#define SGTM_TENANT_ADDRESS    255     /* bytes of endpoint, upstream, script */
#define SGTM_TENANT_QUOTA_MAX  1000000000000000


/* the fields, in the order in which they are written */

typedef enum {
    SGTM_TENANT_ID = 0,
    SGTM_TENANT_HOSTS,
    SGTM_TENANT_AGENCY,
    SGTM_TENANT_CONTAINERS,
    SGTM_TENANT_TAG_IDS,
    SGTM_TENANT_TIER,
    SGTM_TENANT_CONSENT_MODE,
    SGTM_TENANT_CONSENT_DEFAULT,
    SGTM_TENANT_FALLBACK,
    SGTM_TENANT_RATE,
    SGTM_TENANT_BURST,
    SGTM_TENANT_QUOTA,
    SGTM_TENANT_QUOTA_ACTION,
    SGTM_TENANT_QUOTA_SAMPLE,
    SGTM_TENANT_RESIDENCY,
    SGTM_TENANT_ENDPOINT,
    SGTM_TENANT_UPSTREAM,
    SGTM_TENANT_ORIGINS,
    SGTM_TENANT_CREDENTIALS,
    SGTM_TENANT_SET_PARAMS,
    SGTM_TENANT_COOKIES,
    SGTM_TENANT_SCRIPT,
    SGTM_TENANT_TAGGING,
    SGTM_TENANT_WEBHOOKS,
    SGTM_TENANT_API_SECRETS,
    SGTM_TENANT_EVENTS,
    SGTM_TENANT_FEATURES,
    SGTM_TENANT_VERSION,
    SGTM_TENANT_UPDATED,
    SGTM_TENANT_FIELD_N
} sgtm_tenant_field_e;


/* switches, as bits */

#define SGTM_FEATURE_BOTS         0x0001
#define SGTM_FEATURE_COOKIELESS   0x0002
#define SGTM_FEATURE_CSP          0x0004
#define SGTM_FEATURE_DEBUG        0x0008
#define SGTM_FEATURE_DEDUP        0x0010
#define SGTM_FEATURE_GEO          0x0020
#define SGTM_FEATURE_INJECT       0x0040
#define SGTM_FEATURE_IPINFO       0x0080
#define SGTM_FEATURE_PASSTHROUGH  0x0100
#define SGTM_FEATURE_PII          0x0200
#define SGTM_FEATURE_USER_DATA    0x0400


typedef sgtm_ids_t  sgtm_strs_t;


typedef struct {
    sgtm_origin_t  *elts;
    size_t          nelts;
} sgtm_origins_t;


/* a parameter to set: to a value, or to what a credential is */

typedef struct {
    sgtm_str_t      name;
    sgtm_str_t      value;         /* as in the record */
    sgtm_str_t      encoded;       /* the value as an argument has it; empty
                                      if it is a credential */
    sgtm_str_t      credential;    /* its name: "meta_token"; or empty */
} sgtm_tenant_set_t;

typedef struct {
    sgtm_tenant_set_t  *elts;
    size_t              nelts;
} sgtm_tenant_sets_t;


typedef struct {
    sgtm_str_t      name;          /* "meta_pixel" */
    sgtm_str_t      value;         /* of a secret: mostly sealed */
    unsigned        secret:1;
} sgtm_credential_t;

typedef struct {
    sgtm_credential_t  *elts;
    size_t              nelts;
} sgtm_credentials_t;


typedef struct {
    sgtm_str_t      name;          /* of an event */
    unsigned        route;         /* sgtm_event_route_e */
} sgtm_tenant_event_t;

typedef struct {
    sgtm_tenant_event_t  *elts;    /* ordered for sgtm_tenant_event() */
    size_t                nelts;
} sgtm_tenant_events_t;


/*
 * A field that the record does not name is 0, NULL or an empty list; one that
 * it names may be an empty list too: sgtm_tenant_has() tells them apart.
 */

typedef struct {
    size_t          size;          /* of the whole block */
    uint64_t        named;         /* bits by sgtm_tenant_field_e */

    /* what a hit asks for, in few lines of the processor's cache */

    sgtm_strs_t     hosts;         /* small letters; some begin with "*." */
    sgtm_str_t      id;            /* always there */
    sgtm_strs_t     containers;

    sgtm_strs_t     tag_ids;
    sgtm_strs_t     script_ids;    /* the last two, one after the other */
    sgtm_tenant_sets_t    set_params;
    sgtm_tenant_events_t  events;

    sgtm_rate_t     rate;          /* with its burst; seconds 0: off */
    sgtm_consent_t  consent_default;   /* no type is unset if it is named */
    uint32_t        features;      /* SGTM_FEATURE_* that are on */
    uint32_t        features_named;    /* on or off */

    uint8_t         tier;          /* sgtm_tier_e */
    uint8_t         consent_mode;  /* sgtm_consent_mode_e */
    uint8_t         fallback;      /* sgtm_fallback_e */
    uint8_t         residency;     /* sgtm_residency_e */
    uint8_t         tagging;       /* sgtm_tagging_e */
    uint8_t         quota_action;  /* sgtm_quota_e */
    uint8_t         quota_sample;  /* per cent that still pass, 1 to 99 */

    sgtm_str_t      endpoint;      /* small letters, as upstream */
    sgtm_origins_t  origins;

    /* what few do */

    sgtm_str_t      script;
    sgtm_strs_t     cookies;       /* "*" at the end: all that begin so */
    sgtm_strs_t     api_secrets;   /* mostly sealed, as webhooks' */
    sgtm_strs_t     webhooks[SGTM_SHOP_N];     /* secrets by sgtm_shop_e */
    sgtm_credentials_t    credentials;
    sgtm_str_t      upstream;
    sgtm_str_t      agency;
    sgtm_str_t      updated;       /* as it was written */

    int64_t         quota;         /* events a month */
    int64_t         version;
    int64_t         updated_time;  /* seconds since the epoch */
} sgtm_tenant_t;


#define sgtm_tenant_has(t, field)  ((t)->named >> (field) & 1)

/* whether a feature is on; what it is where the record does not name it */
#define sgtm_tenant_feature(t, feature, otherwise)                            \
    (((t)->features_named & (feature)) ? ((t)->features & (feature)) != 0     \
                                       : (otherwise))


/*
 * What is wrong, or worth a warning: a path as "tenants[3].hosts[1]" (empty:
 * the whole) and a text, "not a host name".  No value is ever in them, nor a
 * name that does not look like one.  Both end with the call.
 */

typedef enum {
    SGTM_TENANT_WARNING = 0,
    SGTM_TENANT_ERROR
} sgtm_tenant_level_e;

typedef void (*sgtm_tenant_report_pt)(void *data, unsigned level,
    const char *path, const char *text);

typedef struct {
    sgtm_tenant_report_pt  report;     /* NULL: nobody wants to know */
    void                  *data;
    const char            *path;       /* before all paths; NULL: nothing */
    unsigned               strict:1;   /* unknown names are errors */
} sgtm_tenant_opts_t;


/*
 * Makes a record of one JSON object of at most SGTM_TENANT_MAX bytes, to be
 * freed by free().  NULL: it is not a record, or there was no memory; reported.
 * Secrets that are not sealed are accepted, with a warning.  Whether others
 * have the same id or hosts is for sgtm_tenant_index_add() to say.
 */
sgtm_tenant_t *sgtm_tenant_parse(const sgtm_str_t *json,
    const sgtm_tenant_opts_t *opts);

/* the bytes of a record, all it has included */
#define sgtm_tenant_size(t)  ((t)->size)

/*
 * Copies a record to sgtm_tenant_size(t) bytes at dst, aligned for a pointer,
 * with its pointers moved; returns dst.
 */
sgtm_tenant_t *sgtm_tenant_copy(void *dst, const sgtm_tenant_t *t);

/*
 * The same, where the bytes of a whole record are at dst already and its
 * pointers still speak of the place from, which is not read.
 */
void sgtm_tenant_move(sgtm_tenant_t *dst, const void *from);

/*
 * Writes a record as JSON and returns the number of bytes; with out NULL only
 * counts them.  What is written makes the same record again, unless secrets
 * are asked to be hidden.
 */

#define SGTM_TENANT_PRETTY  0x01       /* a line for each field */
#define SGTM_TENANT_HIDE    0x02       /* "set" in place of a secret */

size_t sgtm_tenant_write(unsigned char *out, const sgtm_tenant_t *t,
    unsigned flags);

/* the name of a field, by sgtm_tenant_field_e */
const sgtm_str_t *sgtm_tenant_field(unsigned field);

/*
 * Whether the operator's list (sgtm_endpoints, in small letters) has all the
 * addresses that the record names.  If not, field (which may be NULL) is set
 * to the first that it has not: SGTM_TENANT_ENDPOINT or SGTM_TENANT_UPSTREAM.
 */
int sgtm_tenant_endpoint_allowed(const sgtm_tenant_t *t,
    const sgtm_str_t *list, size_t n, unsigned *field);

/* the sgtm_event_route_e of an event; SGTM_EVENT_N: nothing is said of it */
unsigned sgtm_tenant_event(const sgtm_tenant_t *t, const sgtm_str_t *name);

/* the credential of this name ("meta_token"), or NULL */
const sgtm_credential_t *sgtm_tenant_credential(const sgtm_tenant_t *t,
    const sgtm_str_t *name);


/*
 * Opens secret n, from 0 on, of "api_secrets" or "webhooks.<shop>", or (n 0)
 * "credentials.<name>"; one that is plain is copied, as are credentials that
 * are no secrets.  Writes SGTM_SECRET_MAX bytes at most and sets len; who asked
 * wipes them by OPENSSL_cleanse().  SGTM_OK; SGTM_DECLINED: there is no such
 * secret; SGTM_ERROR: none of the keys (NULL: there are none) opens it.
 */
int sgtm_tenant_open(const sgtm_tenant_t *t, const sgtm_str_t *field,
    size_t n, const sgtm_keys_t *keys, unsigned char *out, size_t *len);

/*
 * Calls a handler for each secret of a record's JSON that sgtm_tenant_parse()
 * takes: the field as above, the string as it is written (quotes included, in
 * order), until one returns another status than SGTM_OK; returns that.
 */

typedef int (*sgtm_tenant_secret_pt)(void *data, const sgtm_str_t *field,
    const sgtm_str_t *string);

int sgtm_tenant_secrets(const sgtm_str_t *json, sgtm_tenant_secret_pt handler,
    void *data);


#endif /* _SGTM_TENANT_H_INCLUDED_ */
