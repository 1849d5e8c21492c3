
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a request below a gateway's prefix is, as far as its path tells it.
 */


#ifndef _SGTM_ROUTE_H_INCLUDED_
#define _SGTM_ROUTE_H_INCLUDED_


#include "sgtm_hit.h"


typedef enum {
    SGTM_ROUTE_PASS = 0,               /* anything that has no other name */
    SGTM_ROUTE_HIT,
    SGTM_ROUTE_OPAQUE,                 /* a hit that the gate can't read */
    SGTM_ROUTE_TAG,                    /* one of Google's scripts */
    SGTM_ROUTE_SCRIPT,                 /* our own */
    SGTM_ROUTE_USER_DATA,              /* form data of enhanced conversions */
    SGTM_ROUTE_PREVIEW,
    SGTM_ROUTE_HEALTH,
    SGTM_ROUTE_CORS,
    SGTM_ROUTE_MP,                     /* Measurement Protocol */
    SGTM_ROUTE_MP_DEBUG,               /* its validation */
    SGTM_ROUTE_WEBHOOK,                /* an order of a shop */
    SGTM_ROUTE_CHECK,                  /* the operator's page */
    SGTM_ROUTE_CSP,                    /* a report of a policy's violation */
    SGTM_ROUTE_N
} sgtm_route_e;


/*
 * Of a path without a slash before it; a sgtm_route_e, but none of OPAQUE,
 * SCRIPT, CORS and CHECK, which other things tell.
 */
unsigned sgtm_route_path(const sgtm_str_t *path);


#endif /* _SGTM_ROUTE_H_INCLUDED_ */
