
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The types that the rooms of the module share.
 */


#ifndef _NGX_HTTP_SGTM_H_INCLUDED_
#define _NGX_HTTP_SGTM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "hit/sgtm_hit.h"
#include "hit/sgtm_consent.h"
#include "hit/sgtm_ga4.h"
#include "hit/sgtm_names.h"
#include "hit/sgtm_redact.h"
#include "hit/sgtm_route.h"
#include "gate/sgtm_seen.h"
#include "lib/sgtm_seal.h"
#include "tenant/sgtm_form.h"
#include "tenant/sgtm_tenant.h"
#include "tenant/sgtm_words.h"


/* sgtm_str_t has the layout of ngx_str_t */
#define ngx_http_sgtm_str(s)  ((sgtm_str_t *) (s))


/* headers of a request that are looked up once; others are again */
#define NGX_HTTP_SGTM_ACTIONS            48

#define NGX_HTTP_SGTM_TIER_ENTERPRISE    SGTM_TIER_ENTERPRISE
#define NGX_HTTP_SGTM_TIER_PROFESSIONAL  SGTM_TIER_PROFESSIONAL
#define NGX_HTTP_SGTM_TIER_STARTER       SGTM_TIER_STARTER

#define NGX_HTTP_SGTM_FALLBACK_OFF       SGTM_FALLBACK_OFF
#define NGX_HTTP_SGTM_FALLBACK_CLIENT    SGTM_FALLBACK_CLIENT
#define NGX_HTTP_SGTM_FALLBACK_QUEUE     SGTM_FALLBACK_QUEUE

#define NGX_HTTP_SGTM_DELIVERY_DIRECT    0
#define NGX_HTTP_SGTM_DELIVERY_QUEUED    1

#define NGX_HTTP_SGTM_CONSENT_OFF        SGTM_CONSENT_OFF
#define NGX_HTTP_SGTM_CONSENT_BASIC      SGTM_CONSENT_BASIC
#define NGX_HTTP_SGTM_CONSENT_ADVANCED   SGTM_CONSENT_ADVANCED

#define NGX_HTTP_SGTM_CONFLICT_FIRST     0
#define NGX_HTTP_SGTM_CONFLICT_STRICTEST 1

#define NGX_HTTP_SGTM_IP_FULL            0
#define NGX_HTTP_SGTM_IP_MASKED          1
#define NGX_HTTP_SGTM_IP_NONE            2

#define NGX_HTTP_SGTM_ENCODED_REFUSE     0
#define NGX_HTTP_SGTM_ENCODED_PASS       1


#define NGX_HTTP_SGTM_USER_DATA_PASS     0
#define NGX_HTTP_SGTM_USER_DATA_HASH     1


/* what a request below the prefix is */

typedef enum {
    NGX_HTTP_SGTM_ROUTE_PASS = SGTM_ROUTE_PASS,
    NGX_HTTP_SGTM_ROUTE_HIT = SGTM_ROUTE_HIT,
    NGX_HTTP_SGTM_ROUTE_OPAQUE = SGTM_ROUTE_OPAQUE,
    NGX_HTTP_SGTM_ROUTE_TAG = SGTM_ROUTE_TAG,
    NGX_HTTP_SGTM_ROUTE_SCRIPT = SGTM_ROUTE_SCRIPT,
    NGX_HTTP_SGTM_ROUTE_USER_DATA = SGTM_ROUTE_USER_DATA,
    NGX_HTTP_SGTM_ROUTE_PREVIEW = SGTM_ROUTE_PREVIEW,
    NGX_HTTP_SGTM_ROUTE_HEALTH = SGTM_ROUTE_HEALTH,
    NGX_HTTP_SGTM_ROUTE_CORS = SGTM_ROUTE_CORS,
    NGX_HTTP_SGTM_ROUTE_MP = SGTM_ROUTE_MP,
    NGX_HTTP_SGTM_ROUTE_MP_DEBUG = SGTM_ROUTE_MP_DEBUG,
    NGX_HTTP_SGTM_ROUTE_WEBHOOK = SGTM_ROUTE_WEBHOOK,
    NGX_HTTP_SGTM_ROUTE_CHECK = SGTM_ROUTE_CHECK,
    NGX_HTTP_SGTM_ROUTE_CSP = SGTM_ROUTE_CSP,
    NGX_HTTP_SGTM_ROUTE_N = SGTM_ROUTE_N
} ngx_http_sgtm_route_e;


/* whether a request of this route carries events and has a disposition */

#define NGX_HTTP_SGTM_ROUTES_HIT                                              \
    (1 << NGX_HTTP_SGTM_ROUTE_HIT | 1 << NGX_HTTP_SGTM_ROUTE_OPAQUE           \
     | 1 << NGX_HTTP_SGTM_ROUTE_MP | 1 << NGX_HTTP_SGTM_ROUTE_WEBHOOK)

#define ngx_http_sgtm_route_is_hit(route)                                     \
    (1 << (route) & NGX_HTTP_SGTM_ROUTES_HIT)


/* whether the gateway answers such a request itself */

#define NGX_HTTP_SGTM_ROUTES_OWN                                              \
    (1 << NGX_HTTP_SGTM_ROUTE_SCRIPT | 1 << NGX_HTTP_SGTM_ROUTE_CORS          \
     | 1 << NGX_HTTP_SGTM_ROUTE_MP_DEBUG | 1 << NGX_HTTP_SGTM_ROUTE_CHECK     \
     | 1 << NGX_HTTP_SGTM_ROUTE_CSP)

#define ngx_http_sgtm_route_is_own(route)                                     \
    (1 << (route) & NGX_HTTP_SGTM_ROUTES_OWN)


/* its body is the Measurement Protocol's */

#define ngx_http_sgtm_route_is_mp(route)                                      \
    ((route) == NGX_HTTP_SGTM_ROUTE_MP                                        \
     || (route) == NGX_HTTP_SGTM_ROUTE_MP_DEBUG)


/* what became of a hit */

typedef enum {
    NGX_HTTP_SGTM_UNDECIDED = 0,
    NGX_HTTP_SGTM_FORWARDED,
    NGX_HTTP_SGTM_QUEUED,
    NGX_HTTP_SGTM_DENIED,
    NGX_HTTP_SGTM_DUPLICATE,
    NGX_HTTP_SGTM_LIMITED,
    NGX_HTTP_SGTM_FILTERED,
    NGX_HTTP_SGTM_REFUSED,
    NGX_HTTP_SGTM_FAILED,
    NGX_HTTP_SGTM_DISPOSITION_N
} ngx_http_sgtm_disposition_e;


/* reasons of the gate; those of the hit itself are sgtm_reason_e, below them */

typedef enum {
    NGX_HTTP_SGTM_REASON_METHOD = SGTM_REASON_HIT_LAST,
    NGX_HTTP_SGTM_REASON_TOO_LARGE,
    NGX_HTTP_SGTM_REASON_ORIGIN,
    NGX_HTTP_SGTM_REASON_FOREIGN_ID,
    NGX_HTTP_SGTM_REASON_PATH,
    NGX_HTTP_SGTM_REASON_CONSENT,
    NGX_HTTP_SGTM_REASON_OPAQUE,
    NGX_HTTP_SGTM_REASON_UNREACHABLE,
    NGX_HTTP_SGTM_REASON_TIMEOUT,
    NGX_HTTP_SGTM_REASON_UPSTREAM_3XX,
    NGX_HTTP_SGTM_REASON_UPSTREAM_4XX,
    NGX_HTTP_SGTM_REASON_UPSTREAM_5XX,
    NGX_HTTP_SGTM_REASON_ABORTED,
    NGX_HTTP_SGTM_REASON_INTERNAL,
    NGX_HTTP_SGTM_REASON_SERVER,
    NGX_HTTP_SGTM_REASON_SPOOL,        /* it could not be kept */
    NGX_HTTP_SGTM_REASON_RATE,         /* over the tenant's limit */
    NGX_HTTP_SGTM_REASON_DUPLICATE,
    NGX_HTTP_SGTM_REASON_JSON,
    NGX_HTTP_SGTM_REASON_API_SECRET,
    NGX_HTTP_SGTM_REASON_SIGNATURE,
    NGX_HTTP_SGTM_REASON_STALE,
    NGX_HTTP_SGTM_REASON_TOPIC,        /* a webhook of no use here */
    NGX_HTTP_SGTM_REASON_HOST,         /* no record has it */
    NGX_HTTP_SGTM_REASON_ROUTE,        /* the record routes it elsewhere */
    NGX_HTTP_SGTM_REASON_ADDRESS,      /* over the limit of an address */
    NGX_HTTP_SGTM_REASON_QUOTA,        /* of the tenant's month */
    NGX_HTTP_SGTM_REASON_RESIDENCY,    /* there is no way into the EU */
    NGX_HTTP_SGTM_REASON_N
} ngx_http_sgtm_reason_e;


typedef struct ngx_http_sgtm_counters_s  ngx_http_sgtm_counters_t;
typedef struct ngx_http_sgtm_script_s    ngx_http_sgtm_script_t;
typedef struct ngx_http_sgtm_template_s  ngx_http_sgtm_template_t;
typedef struct ngx_http_sgtm_dedup_conf_s  ngx_http_sgtm_dedup_conf_t;
typedef struct ngx_http_sgtm_dedup_table_s  ngx_http_sgtm_dedup_table_t;
typedef struct ngx_http_sgtm_dedup_list_s  ngx_http_sgtm_dedup_list_t;
typedef struct ngx_http_sgtm_spool_s     ngx_http_sgtm_spool_t;
typedef struct ngx_http_sgtm_courier_s   ngx_http_sgtm_courier_t;
typedef struct ngx_http_sgtm_target_s    ngx_http_sgtm_target_t;
typedef struct ngx_http_sgtm_rate_s      ngx_http_sgtm_rate_t;
typedef struct ngx_http_sgtm_webhook_s   ngx_http_sgtm_webhook_t;
typedef struct ngx_http_sgtm_tenants_s   ngx_http_sgtm_tenants_t;
typedef struct ngx_http_sgtm_overlay_s   ngx_http_sgtm_overlay_t;
typedef struct ngx_http_sgtm_redis_s     ngx_http_sgtm_redis_t;
typedef struct ngx_http_sgtm_fleet_s     ngx_http_sgtm_fleet_t;
typedef struct ngx_http_sgtm_addresses_s ngx_http_sgtm_addresses_t;
typedef struct ngx_http_sgtm_meter_s     ngx_http_sgtm_meter_conf_t;
typedef struct ngx_http_sgtm_fill_s      ngx_http_sgtm_fill_t;
typedef struct ngx_http_sgtm_upstreams_s  ngx_http_sgtm_upstreams_t;
typedef struct ngx_http_sgtm_fit_s       ngx_http_sgtm_fit_t;
typedef struct ngx_http_sgtm_site_s      ngx_http_sgtm_site_t;


/* a tenant that the configuration names */

typedef struct {
    ngx_str_node_t             node;   /* node.str is the id */
    ngx_http_sgtm_counters_t  *counters;   /* in the zone */
} ngx_http_sgtm_tenant_t;


typedef struct {
    ngx_shm_zone_t            *zone;
    ngx_str_t                  zone_name;
    size_t                     zone_size;

    ngx_rbtree_t               tenants;    /* of ngx_http_sgtm_tenant_t */
    ngx_rbtree_node_t          sentinel;
    ngx_http_sgtm_tenant_t    *other;

    ngx_array_t                tables;     /* of ngx_http_sgtm_tables_t * */
    ngx_array_t                stale;      /* of ngx_uint_t: variables that
                                              the gate makes obsolete */

    ngx_rbtree_t               scripts;    /* ngx_http_sgtm_script_t */
    ngx_rbtree_node_t          scripts_sentinel;
    ngx_http_sgtm_template_t **templates;  /* that they are made of */
    ngx_array_t                served;     /* of ngx_http_sgtm_loc_conf_t *:
                                              gateways */

    ngx_array_t                tags;       /* of ngx_http_sgtm_tags_t *: of
                                              gateways */
    ngx_array_t                sites;      /* of ngx_http_sgtm_site_t * */

    ngx_http_sgtm_tenants_t   *source;     /* of records; NULL: none */
    ngx_array_t               *endpoints;  /* of ngx_str_t: those that records
                                              may name */
    sgtm_keys_t               *keys;       /* that open their secrets */

    ngx_http_sgtm_redis_t     *redis;      /* NULL: there is none */
    ngx_http_sgtm_fleet_t     *fleet;      /* in the zone; NULL: limits are
                                              this machine's alone */
    ngx_http_sgtm_spool_t     *spool;      /* NULL: there is none */
    ngx_http_sgtm_meter_conf_t  *meter;    /* NULL: nothing is metered */
    ngx_rbtree_t               targets;    /* of ngx_http_sgtm_target_t */
    ngx_rbtree_node_t          targets_sentinel;
    ngx_uint_t                 ntargets;

    unsigned                   gateways:1;
    unsigned                   dedup:1;    /* by some of them */
    unsigned                   limits_addresses:1;
    unsigned                   seen:1;     /* that, or records that may name
                                              webhooks */
    unsigned                   warned:1;   /* of tier enterprise, no spool */
} ngx_http_sgtm_main_conf_t;


typedef enum {
    NGX_HTTP_SGTM_SOURCE_GCD = 0,
    NGX_HTTP_SGTM_SOURCE_GCS,
    NGX_HTTP_SGTM_SOURCE_VALUE
} ngx_http_sgtm_source_e;


typedef struct {
    ngx_uint_t                 type;       /* ngx_http_sgtm_source_e */
    ngx_http_complex_value_t  *value;      /* of SOURCE_VALUE */
} ngx_http_sgtm_source_t;


/* one name of an sgtm_redact directive */

typedef struct {
    ngx_str_t                  name;
    ngx_uint_t                 deny;       /* one SGTM_DENY_* bit */
    unsigned                   cookie:1;
    unsigned                   keep:1;     /* "-name": no longer dropped */
} ngx_http_sgtm_redact_t;


/* one sgtm_set_param directive */

typedef struct {
    ngx_str_t                  name;
    ngx_http_complex_value_t   value;
    ngx_str_t                  encoded;    /* of a value without variables */
    ngx_str_t                  credential; /* its name, or empty: the value is
                                              a reference to it */
    unsigned                   reads:1;    /* what the gate may have to cut */
} ngx_http_sgtm_set_t;


/* a name of the list of request headers; action 0: the slot is free */

typedef struct {
    uint32_t                   hash;       /* as nginx has it of the name */
    uint32_t                   action;
    ngx_str_t                  name;
} ngx_http_sgtm_name_t;


/*
 * What follows from sgtm_redact, sgtm_set_param, sgtm_remove_param, sgtm_dedup,
 * sgtm_cookies and sgtm_pass_header: made once for all the locations that
 * inherit the same lists.
 */

typedef struct {
    uint32_t                   serial;     /* no other has it */
    ngx_array_t               *redact;
    ngx_array_t               *set;
    ngx_array_t               *remove;
    ngx_array_t               *cookies;
    ngx_array_t               *headers;
    ngx_http_sgtm_dedup_conf_t  *dedup;

    sgtm_names_t               params;
    sgtm_names_t               cookie_names;
    uint64_t                   previews;   /* kinds of a preview's cookies */
    ngx_http_sgtm_name_t      *header_names;   /* with header_mask + 1 slots */
    ngx_uint_t                 header_mask;
    unsigned                   npa:1;      /* force npa=1 when denied */
    unsigned                   reads:1;    /* some of "set" do */
    unsigned                   credentials:1;  /* some are references */
} ngx_http_sgtm_tables_t;


typedef struct {
    ngx_flag_t                 enable;
    ngx_http_complex_value_t  *tenant;
    ngx_str_t                  endpoint;
    ngx_array_t               *containers;     /* of ngx_str_t */
    ngx_array_t               *tag_ids;        /* of ngx_str_t */
    ngx_uint_t                 tier;
    ngx_uint_t                 fallback;
    ngx_uint_t                 delivery;
    ngx_uint_t                 residency;      /* sgtm_residency_e */
    ngx_http_complex_value_t  *country;        /* NULL: nobody knows it */
    ngx_http_sgtm_upstreams_t  *upstreams;     /* NULL: none are named */
    ngx_http_sgtm_courier_t   *courier;        /* NULL: none */
    ngx_http_sgtm_rate_t      *rate;           /* NULL: no limit */
    ngx_http_sgtm_rate_t      *address_rate;   /* the same */
    ngx_array_t               *api_secrets;    /* digests; NULL: none */
    ngx_str_t                  api_secret;     /* the first, or empty */
    ngx_array_t               *webhooks;       /* ngx_http_sgtm_webhook_t */
    ngx_uint_t                 consent_mode;
    ngx_array_t               *consent_sources;
    ngx_flag_t                 consent_gpc;
    ngx_uint_t                 consent_conflict;
    sgtm_consent_t            *consent_default;
    sgtm_consent_t            *consent_server;
    ngx_uint_t                 client_ip;
    ngx_uint_t                 user_data;
    ngx_array_t               *redact;         /* of ngx_http_sgtm_redact_t */
    ngx_array_t               *cookies;        /* of ngx_str_t */
    ngx_array_t               *pass_headers;   /* of ngx_str_t */
    ngx_array_t               *origins;        /* of sgtm_origin_t */
    ngx_array_t               *set;            /* of ngx_http_sgtm_set_t */
    ngx_array_t               *remove;         /* of ngx_str_t */
    ngx_http_sgtm_dedup_conf_t  *dedup;        /* NULL: off */
    ngx_flag_t                 passthrough;
    size_t                     max_body;
    ngx_uint_t                 encoded;
    ngx_str_t                  script_name;
    ngx_uint_t                 tagging;
    const sgtm_tenant_events_t  *events;       /* of a record; NULL: none */
    ngx_flag_t                 debug;
    ngx_http_complex_value_t  *check;          /* NULL: off */
    ngx_http_sgtm_fit_t       *inject;         /* NULL: off */
    ngx_http_sgtm_fit_t       *csp;            /* NULL: off */

    /* made by the merge: whose pages are changed, NULL: they are not */

    ngx_http_sgtm_site_t      *site;

    /* made by the merge of a gateway */

    ngx_str_t                  prefix;         /* the location's name */
    off_t                      max_preview;    /* client_max_body_size */
    ngx_http_sgtm_tenant_t    *fixed_tenant;   /* NULL: from the variable */
    ngx_http_sgtm_tables_t    *tables;
    sgtm_ids_t                 hit_ids;        /* may send hits */
    sgtm_ids_t                 script_ids;     /* may be served */
    ngx_http_sgtm_script_t    *script;
    ngx_http_sgtm_target_t    *target;         /* NULL: nothing is queued */
    ngx_str_t                 *pass;           /* where proxy_pass leads; NULL:
                                                  to what variables say */
    unsigned                   own_fallback:1; /* not by the tier */
    unsigned                   records_only:1; /* it has no ids itself */
} ngx_http_sgtm_loc_conf_t;


/* one request below a gateway's prefix; lives as long as the request's pool */

typedef struct {
    ngx_http_request_t        *request;
    ngx_http_sgtm_loc_conf_t  *conf;       /* in force for this request */
    ngx_http_sgtm_loc_conf_t  *base;       /* the location's */
    ngx_http_sgtm_overlay_t   *overlay;    /* of a record; NULL: conf is base */
    ngx_http_sgtm_fill_t      *fill;       /* NULL: it has no credentials */
    ngx_http_sgtm_tenant_t    *tenant;

    ngx_str_t                  path;       /* below the prefix, normalised */
    ngx_str_t                  event;      /* of the hit's first event */
    ngx_str_t                  origin;     /* an allowed one to be echoed */
    ngx_str_t                  cookie;     /* the first Cookie, by the list */
    uint64_t                   kinds;      /* of these cookies */
    ngx_str_t                  decoded;    /* a query that came in base64 */
    ngx_str_t                  param;      /* what a refusal speaks of */

    /* as committed: an error_page makes another request of it */

    ngx_str_t                  method;
    ngx_str_t                  args;
    ngx_str_t                  sent;       /* of which the tagging server gets
                                              these, if it is not empty */

    /* what nginx had, to be called or put back */

    ngx_http_event_handler_pt  read_event_handler;

    struct sockaddr           *sockaddr;
    ngx_str_t                  addr_text;

    sgtm_consent_t             consent;
    ngx_uint_t                 deny;       /* SGTM_DENY_* in force */

    ngx_int_t                  status;     /* of the gate, once it has run */
    ngx_uint_t                 upstream_status;
    uint64_t                   gate_time;  /* nanoseconds */
    sgtm_str_t                 client;     /* id, of a hit that may be queued,
                                              as it came */
    uint64_t                   generation; /* of records that are read */
    uint64_t                   host[2];    /* its hash among them */
    sgtm_seen_ref_t           *reserved;   /* events, by dedup */
    ngx_http_sgtm_dedup_list_t  *detached; /* the same, past the end */

    u_char                     actions[NGX_HTTP_SGTM_ACTIONS];
                                           /* of the first headers, by order */
    uint32_t                   month;      /* in which it was accepted, or 0 */
    uint16_t                   nreserved;
    uint16_t                   duplicates; /* of the events */
    uint16_t                   routed;     /* of them, another way */
    uint16_t                   events;
    uint16_t                   over;       /* SGTM_OVER_* */
    uint8_t                    reason;     /* ngx_http_sgtm_reason_e */
    uint8_t                    route;      /* ngx_http_sgtm_route_e */
    uint8_t                    disposition;
    uint8_t                    region;     /* ngx_http_sgtm_region_e */

    unsigned                   reading:1;  /* records: to be left */
    unsigned                   asked:1;    /* ctx->host is known */
    unsigned                   entered:1;  /* PREACCESS has begun */
    unsigned                   started:1;  /* PRECONTENT has begun */
    unsigned                   closed:1;   /* by an HTTP/2 client */
    unsigned                   masked:1;   /* the connection's address is */
    unsigned                   preview:1;
    unsigned                   gpc:1;      /* Sec-GPC: 1 */
    unsigned                   cookies:1;  /* ctx->cookie is known */
    unsigned                   committed:1;
    unsigned                   limited:1;  /* over the rate: to be queued */
    unsigned                   put:1;      /* the spool has been asked */
    unsigned                   ended:1;    /* counted, or about to be */
    unsigned                   failed:1;   /* the fallback answers */
    unsigned                   cookieless:1;   /* mode basic, denied */
    unsigned                   consent_read:1;
    unsigned                   consent_absent:1;
} ngx_http_sgtm_ctx_t;


extern ngx_module_t  ngx_http_sgtm_module;


#endif /* _NGX_HTTP_SGTM_H_INCLUDED_ */
