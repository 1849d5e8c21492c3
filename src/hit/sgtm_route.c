
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <string.h>

#include "sgtm_route.h"


/* the first two in any case: what they stop is not to pass as another path */

typedef enum {
    SGTM_PATH_IS = 0,
    SGTM_PATH_FORM,                    /* begins with it, or holds "/" and it */
    SGTM_PATH_HOLDS,                   /* the same */
    SGTM_PATH_ENDS                     /* is it, or ends in "/" and it */
} sgtm_path_e;


typedef struct {
    sgtm_str_t   name;
    unsigned     match;                /* sgtm_path_e */
    unsigned     route;                /* sgtm_route_e */
} sgtm_path_t;


static int sgtm_route_is(const sgtm_path_t *known, const unsigned char *p);


/* the first that fits */

static const sgtm_path_t  sgtm_paths[] = {
    { sgtm_string("g/collect"), SGTM_PATH_IS, SGTM_ROUTE_HIT },
    { sgtm_string("ag/g/c"), SGTM_PATH_IS, SGTM_ROUTE_HIT },
    { sgtm_string("mp/collect"), SGTM_PATH_IS, SGTM_ROUTE_MP },
    { sgtm_string("debug/mp/collect"), SGTM_PATH_IS, SGTM_ROUTE_MP_DEBUG },
    { sgtm_string("webhook/stripe"), SGTM_PATH_IS, SGTM_ROUTE_WEBHOOK },
    { sgtm_string("webhook/shopify"), SGTM_PATH_IS, SGTM_ROUTE_WEBHOOK },
    { sgtm_string("webhook/woocommerce"), SGTM_PATH_IS, SGTM_ROUTE_WEBHOOK },
    { sgtm_string("csp"), SGTM_PATH_IS, SGTM_ROUTE_CSP },
    { sgtm_string("gtm.js"), SGTM_PATH_IS, SGTM_ROUTE_TAG },
    { sgtm_string("gtag/js"), SGTM_PATH_IS, SGTM_ROUTE_TAG },
    { sgtm_string("gtag/destination"), SGTM_PATH_IS, SGTM_ROUTE_TAG },
    { sgtm_string("ns.html"), SGTM_PATH_IS, SGTM_ROUTE_TAG },
    { sgtm_string("ccm/form-data/"), SGTM_PATH_FORM, SGTM_ROUTE_USER_DATA },
    { sgtm_string("healthy"), SGTM_PATH_ENDS, SGTM_ROUTE_HEALTH },
    { sgtm_string("healthz"), SGTM_PATH_ENDS, SGTM_ROUTE_HEALTH },
    { sgtm_string("gtm"), SGTM_PATH_ENDS, SGTM_ROUTE_PREVIEW },
    { sgtm_string("gtm/"), SGTM_PATH_HOLDS, SGTM_ROUTE_PREVIEW },
    { sgtm_string(""), 0, 0 }
};


unsigned
sgtm_route_path(const sgtm_str_t *path)
{
    size_t              len;
    unsigned char      *p, *last;
    const sgtm_path_t  *known;

    last = path->data + path->len;

    /* a slash at the end leads to the same, with the same secrets */

    for (len = path->len; len && path->data[len - 1] == '/'; len--) {
        /* void */
    }

    for (known = sgtm_paths; known->name.len; known++) {

        if (path->len < known->name.len) {
            continue;
        }

        if (known->match == SGTM_PATH_IS && len != known->name.len) {
            continue;
        }

        if (known->match == SGTM_PATH_ENDS) {
            p = last - known->name.len;

            if (p > path->data && p[-1] != '/') {
                continue;
            }

        } else {
            p = path->data;
        }

        if (sgtm_route_is(known, p)) {
            return known->route;
        }

        if (known->match != SGTM_PATH_FORM
            && known->match != SGTM_PATH_HOLDS)
        {
            continue;
        }

        for (p++; p + known->name.len <= last; p++) {
            if (p[-1] == '/' && sgtm_route_is(known, p)) {
                return known->route;
            }
        }
    }

    return SGTM_ROUTE_PASS;
}


static int
sgtm_route_is(const sgtm_path_t *known, const unsigned char *p)
{
    size_t         i;
    unsigned char  ch;

    if (memcmp(p, known->name.data, known->name.len) == 0) {
        return 1;
    }

    if (known->match > SGTM_PATH_FORM) {
        return 0;
    }

    for (i = 0; i < known->name.len; i++) {
        ch = p[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != known->name.data[i]) {
            return 0;
        }
    }

    return 1;
}
