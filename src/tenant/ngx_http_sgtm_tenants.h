
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Records of tenants, beside those that the configuration names: the registry
 * in the zone, who may read in it, and where its records come from.
 */


#ifndef _NGX_HTTP_SGTM_TENANTS_H_INCLUDED_
#define _NGX_HTTP_SGTM_TENANTS_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_redis.h"
#include "sgtm_load.h"
#include "sgtm_registry.h"


/* sources of the registry */
#define NGX_HTTP_SGTM_SOURCE_FILE   0

#define NGX_HTTP_SGTM_NOTE_ERROR    SGTM_LOAD_LINE


/* what the last load came to */

typedef struct {
    sgtm_look_t                 loaded;    /* zeros: a load is under way */
    sgtm_look_t                 refused;   /* zeros: the last one was good */
    time_t                      time;
    ngx_msec_t                  took;      /* to put the records */
    size_t                      changed;   /* records, new ones with them */
    size_t                      removed;
    size_t                      failed;
    time_t                      error_time;
    u_char                      error[NGX_HTTP_SGTM_NOTE_ERROR];
} ngx_http_sgtm_note_t;


/* in the zone */

typedef struct {
    sgtm_registry_t            *registry;
    ngx_atomic_t                epoch;     /* whose configuration loads */
    ngx_atomic_t                seq;       /* odd: the note is written */
    ngx_http_sgtm_note_t        note;
    ngx_http_sgtm_redis_stat_t  redis;
} ngx_http_sgtm_records_t;


/* of the directive sgtm_tenants, with what others say of records */

struct ngx_http_sgtm_tenants_s {
    ngx_str_t                   path;      /* of a file or a directory */
    sgtm_load_conf_t            conf;
    sgtm_load_t                *staged;    /* what the configuration's test
                                              has read; the master's */
    ngx_atomic_uint_t           epoch;
#if (NGX_THREADS)
    ngx_thread_pool_t          *threads;
#endif
};


/* a record that a request has found */

typedef struct {
    const sgtm_tenant_t        *tenant;    /* NULL: it was left */
    uint64_t                    generation;
} ngx_http_sgtm_record_t;


/* setters of the directives sgtm_tenants, sgtm_endpoints, sgtm_key_file */
char *ngx_http_sgtm_conf_tenants(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_endpoints(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Reads the records once the configuration is complete; errors are those of
 * "nginx -t".  NGX_OK or NGX_ERROR, logged.
 */
ngx_int_t ngx_http_sgtm_tenants_read(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf);

/*
 * Makes the registry in a zone whose lock is held, unless it is there, and
 * moves records there of a zone of another size that it replaces.  NGX_OK, or
 * NGX_ERROR, logged: there is no room, or not for what was read.
 */
ngx_int_t ngx_http_sgtm_tenants_init_zone(ngx_shm_zone_t *shm_zone,
    ngx_http_sgtm_main_conf_t *smcf);

/* for the master: puts what was read; NGX_OK */
ngx_int_t ngx_http_sgtm_tenants_init_module(ngx_cycle_t *cycle);

/* for a worker: takes a slot to read by, and gives it back */
ngx_int_t ngx_http_sgtm_tenants_init_process(ngx_cycle_t *cycle);
void ngx_http_sgtm_tenants_exit_process(ngx_cycle_t *cycle);

/*
 * The record of the host that a request is for; NULL: there is none.  It stays
 * as it is until the request ends or leaves it; who asks again before gets the
 * same one.
 */
ngx_http_sgtm_record_t *ngx_http_sgtm_tenants_find(ngx_http_request_t *r);

/* data is what find has returned */
void ngx_http_sgtm_tenants_leave(void *data);

/* sgtm_registry_walk() of this process */
ngx_uint_t ngx_http_sgtm_tenants_walk(ngx_http_sgtm_records_t *records,
    size_t *next, size_t n, sgtm_registry_handler_pt handler, void *data);

/*
 * What this process reads records by: enter, find, leave; NULL: there is none,
 * or it is no worker.
 */
sgtm_registry_reader_t *ngx_http_sgtm_tenants_reader(void);

/*
 * Sets a value to the address that a tenant's record names, if it does, in
 * memory of the pool: SGTM_TENANT_ENDPOINT or SGTM_TENANT_UPSTREAM.  NGX_OK or
 * NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_tenants_address(ngx_pool_t *pool, ngx_str_t *tenant,
    ngx_uint_t field, ngx_str_t *value);

/* what workers share of it, NULL: there is none */
ngx_http_sgtm_records_t *ngx_http_sgtm_tenants_records(
    ngx_http_sgtm_main_conf_t *smcf);

/*
 * The note, as it is or as it was a moment ago; set() is for who has locked the
 * registry.
 */
void ngx_http_sgtm_note_get(ngx_http_sgtm_records_t *records,
    ngx_http_sgtm_note_t *note);
void ngx_http_sgtm_note_set(ngx_http_sgtm_records_t *records,
    const ngx_http_sgtm_note_t *note);


#endif /* _NGX_HTTP_SGTM_TENANTS_H_INCLUDED_ */
