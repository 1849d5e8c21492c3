
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The spool's and the courier's part of the status, and what the parts share.
 */


#ifndef _NGX_HTTP_SGTM_STATUS_SPOOL_H_INCLUDED_
#define _NGX_HTTP_SGTM_STATUS_SPOOL_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "../tenant/sgtm_registry.h"


/* the longest line without names */
#define NGX_HTTP_SGTM_STATUS_LINE  256


/* a tenant; its id may be a record's, until the answer is written */

typedef struct {
    ngx_str_t                   id;
    ngx_http_sgtm_counters_t   *counters;
} ngx_http_sgtm_shown_t;


typedef struct {
    ngx_http_request_t         *request;
    ngx_chain_t                *out;
    ngx_chain_t               **last;
    ngx_buf_t                  *buf;
    off_t                       size;
    ngx_http_sgtm_main_conf_t  *smcf;

    ngx_array_t                 tenants;   /* of ngx_http_sgtm_shown_t */
    size_t                      next;      /* where others follow; 0: none */
    sgtm_registry_reader_t     *reader;    /* NULL: there are no records */
    uint64_t                    generation;
} ngx_http_sgtm_writer_t;


/* room for so many bytes at w->buf->last: NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_status_room(ngx_http_sgtm_writer_t *w, size_t size);

/* the member "spool" with its comma; NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_status_spool_json(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);

/* the same in Prometheus's format */
ngx_int_t ngx_http_sgtm_status_spool_text(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);


#endif /* _NGX_HTTP_SGTM_STATUS_SPOOL_H_INCLUDED_ */
