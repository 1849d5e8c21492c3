
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Puts what was read into the registry, a slice at a time.
 */


#ifndef _NGX_HTTP_SGTM_TENANTS_APPLY_H_INCLUDED_
#define _NGX_HTTP_SGTM_TENANTS_APPLY_H_INCLUDED_


#include "ngx_http_sgtm_tenants.h"


/* time that a slice on an event loop may take, in nanoseconds */
#define NGX_HTTP_SGTM_SLICE  1500000


typedef struct {
    ngx_http_sgtm_records_t    *records;
    ngx_http_sgtm_tenants_t     *source;
    sgtm_load_t                *load;
    ngx_log_t                  *log;

    sgtm_load_item_t           *item;      /* the next one */
    size_t                      bucket;    /* of the sweep */
    size_t                      parts;     /* done */
    uint32_t                    pass;      /* 0: it has not begun */
    uint64_t                    began;     /* nanoseconds */
    time_t                      checked;   /* which readers are alive */
    ngx_http_sgtm_note_t        note;
    unsigned                    waited:1;  /* and the log says so */
} ngx_http_sgtm_apply_t;


/* begins: the records of a load that is done, of the source that is the file */
void ngx_http_sgtm_apply_begin(ngx_http_sgtm_apply_t *apply,
    ngx_http_sgtm_records_t *records, ngx_http_sgtm_tenants_t *source,
    sgtm_load_t *load, ngx_log_t *log);

/*
 * Goes on for a slice.  NGX_OK: all is done, and in the note; NGX_AGAIN: there
 * is more; NGX_BUSY: also, but a writer or readers have to be waited for;
 * NGX_DECLINED: another process has begun the same.
 */
ngx_int_t ngx_http_sgtm_apply(ngx_http_sgtm_apply_t *apply);

/*
 * Notes, and logs, why a load was refused.  NGX_OK; NGX_BUSY: a writer has to
 * be waited for; NGX_DECLINED: it is another configuration's by now.
 */
ngx_int_t ngx_http_sgtm_apply_refused(ngx_http_sgtm_records_t *records,
    ngx_http_sgtm_tenants_t *source, sgtm_load_t *load, ngx_log_t *log);

/* what was refused is gone, what was loaded is back; the same */
ngx_int_t ngx_http_sgtm_apply_back(ngx_http_sgtm_records_t *records);

/* logs what a load warns of */
void ngx_http_sgtm_apply_warn(sgtm_load_t *load, ngx_log_t *log);


#endif /* _NGX_HTTP_SGTM_TENANTS_APPLY_H_INCLUDED_ */
