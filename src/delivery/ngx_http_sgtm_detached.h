
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * A request without a client: it runs through a named location of a server,
 * whose proxy_pass sends it, with that location's upstream, timeouts and log.
 */


#ifndef _NGX_HTTP_SGTM_DETACHED_H_INCLUDED_
#define _NGX_HTTP_SGTM_DETACHED_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_fill.h"


typedef struct ngx_http_sgtm_detached_s  ngx_http_sgtm_detached_t;

struct ngx_http_sgtm_detached_s {

    /* filled by the caller, whose bytes stay until the handler is called */

    ngx_http_core_srv_conf_t  *server;
    ngx_str_t                  location;   /* "@name" */
    ngx_str_t                  tenant;
    ngx_str_t                  method;     /* "GET", "POST" */
    ngx_str_t                  uri;        /* "/g/collect", not escaped */
    ngx_str_t                  args;
    ngx_str_t                  sent;       /* args that are sent in place of
                                              these; empty: the same */
    ngx_str_t                  headers;    /* "Name: value\r\n" each */
    ngx_str_t                  body;
    unsigned                   log:1;      /* the location has its own log */
    ngx_uint_t                 region;     /* ngx_http_sgtm_region_e */
    unsigned                   is_mp:1;    /* the body is JSON */

    void                     (*handler)(ngx_http_sgtm_detached_t *d);
    void                      *data;

    /* the outcome */

    unsigned                   timeout:1;  /* status is 0 for this reason */
    ngx_uint_t                 status;     /* of the answer's header; 0: none
                                              came (refused, reset, timeout) */
    time_t                     retry_after;    /* seconds, or -1 */

    /* its own */

    ngx_http_request_t        *request;
    ngx_http_sgtm_fill_t       fill;
    ngx_event_t                event;
};


/*
 * Sends a request; the handler is called once, on the event loop, never from
 * within this function.  NGX_OK; NGX_DECLINED: no connection is free now;
 * NGX_ERROR: no memory.  Without NGX_OK the handler is not called.
 */
ngx_int_t ngx_http_sgtm_detached_send(ngx_http_sgtm_detached_t *d);

/*
 * A connection of nobody's, whose descriptor stays open when it is closed;
 * NULL: there is none.
 */
ngx_connection_t *ngx_http_sgtm_detached_null(void);

/*
 * Gives a new request what a client would have sent: NGX_OK, or NGX_ERROR
 * without memory.  For ngx_http_sgtm_detached_send().
 */
ngx_int_t ngx_http_sgtm_detached_fill(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d);

/* what a request was sent by, or NULL: it is a client's */
ngx_http_sgtm_detached_t *ngx_http_sgtm_detached_get(ngx_http_request_t *r);

/*
 * Whether stored headers have one of the gate's own, by its name with ": ", and
 * sets its value.
 */
ngx_uint_t ngx_http_sgtm_detached_header(ngx_str_t *headers, ngx_str_t *name,
    ngx_str_t *value);

/* the path and the arguments of such a request, for proxy_pass */
ngx_int_t ngx_http_sgtm_detached_uri(ngx_http_request_t *r, ngx_str_t *value);


#endif /* _NGX_HTTP_SGTM_DETACHED_H_INCLUDED_ */
