
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The courier: empties the spool through the named locations of the servers
 * that the hits came in by.  One worker at a time does it, for all.
 */


#ifndef _NGX_HTTP_SGTM_COURIER_H_INCLUDED_
#define _NGX_HTTP_SGTM_COURIER_H_INCLUDED_


#include "../ngx_http_sgtm.h"


/* an sgtm_courier directive */

struct ngx_http_sgtm_courier_s {
    ngx_str_t                  location;       /* "@name" */
    ngx_uint_t                 attempts;
    ngx_msec_t                 backoff;
    ngx_uint_t                 concurrency;
    ngx_uint_t                 rate;           /* hits a second, at most */
};


/* a server and the location that hits of it are sent through */

struct ngx_http_sgtm_target_s {
    ngx_str_node_t             node;   /* node.str: "shop.example@name" */
    ngx_http_core_srv_conf_t  *server;
    ngx_http_sgtm_courier_t   *courier;
    ngx_str_t                  api_secret;     /* or empty */
    ngx_http_sgtm_loc_conf_t  *conf;   /* the location's */
    ngx_uint_t                 log;    /* the location has a log of its own */
    ngx_uint_t                 eu;     /* some of it stays in the EU */
};


/* what an operator and the next courier see of a courier; in the zone */

#define NGX_HTTP_SGTM_COURIER_TARGETS  64
#define NGX_HTTP_SGTM_COURIER_NAME     80
#define NGX_HTTP_SGTM_COURIER_ERROR    24


typedef struct {
    uint32_t                   state;      /* ngx_http_sgtm_circuit_e */
    uint32_t                   in_flight;
    uint32_t                   memory;     /* taken from the file so far */
    uint32_t                   orphan;     /* its location is gone */
    ngx_msec_t                 wait;       /* from one probe to the next */
    ngx_msec_t                 next;       /* by ngx_current_msec */
    u_char                     name[NGX_HTTP_SGTM_COURIER_NAME];
    u_char                     error[NGX_HTTP_SGTM_COURIER_ERROR];
} ngx_http_sgtm_target_stat_t;


typedef struct {
    ngx_uint_t                 orphans;
    ngx_uint_t                 ntargets;   /* of those below */
    ngx_http_sgtm_target_stat_t  targets[NGX_HTTP_SGTM_COURIER_TARGETS];
} ngx_http_sgtm_courier_stat_t;


/* the directive sgtm_courier */
char *ngx_http_sgtm_conf_courier(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * The target of a gateway that has a courier, made when it is new; NULL without
 * memory.  For the merge.
 */
ngx_http_sgtm_target_t *ngx_http_sgtm_courier_target(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf);

/*
 * Once all is merged: whether the targets' locations are there.  NGX_OK, or
 * NGX_ERROR, logged.
 */
ngx_int_t ngx_http_sgtm_courier_init(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf);

/* for a worker: NGX_OK, also where there is no spool, or NGX_ERROR */
ngx_int_t ngx_http_sgtm_courier_init_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_SGTM_COURIER_H_INCLUDED_ */
