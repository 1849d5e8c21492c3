
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ops/ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_tenants_apply.h"


/* parts of the registry between two looks at the clock */
#define NGX_HTTP_SGTM_APPLY_PARTS  64

/* records that could not be put: lines in the log */
#define NGX_HTTP_SGTM_APPLY_LINES  16


static ngx_int_t ngx_http_sgtm_apply_locked(ngx_http_sgtm_apply_t *apply);
static ngx_int_t ngx_http_sgtm_apply_item(ngx_http_sgtm_apply_t *apply);
static ngx_int_t ngx_http_sgtm_apply_wait(ngx_http_sgtm_apply_t *apply);
static void ngx_http_sgtm_apply_failed(ngx_http_sgtm_apply_t *apply,
    ngx_uint_t rc, sgtm_registry_conflict_t *conflict);
static void ngx_http_sgtm_apply_end(ngx_http_sgtm_apply_t *apply);


void
ngx_http_sgtm_apply_begin(ngx_http_sgtm_apply_t *apply,
    ngx_http_sgtm_records_t *records, ngx_http_sgtm_tenants_t *source,
    sgtm_load_t *load, ngx_log_t *log)
{
    ngx_memzero(apply, sizeof(ngx_http_sgtm_apply_t));

    apply->records = records;
    apply->source = source;
    apply->load = load;
    apply->log = log;
    apply->item = load->items;
    apply->began = ngx_http_sgtm_now();
}


ngx_int_t
ngx_http_sgtm_apply(ngx_http_sgtm_apply_t *apply)
{
    uint64_t          until;
    ngx_int_t         rc;
    sgtm_registry_t  *registry;

    until = ngx_http_sgtm_now() + NGX_HTTP_SGTM_SLICE;
    registry = apply->records->registry;

    /* a newer configuration has its own */

    if (apply->records->epoch != apply->source->epoch) {
        return NGX_DECLINED;
    }

    if (sgtm_registry_lock(registry) != SGTM_OK) {
        return NGX_BUSY;
    }

    rc = NGX_AGAIN;

    while (sgtm_registry_repair(registry, NGX_HTTP_SGTM_APPLY_PARTS)) {
        if (ngx_http_sgtm_now() > until) {
            sgtm_registry_unlock(registry);
            return rc;
        }
    }

    while (rc == NGX_AGAIN && ngx_http_sgtm_now() < until) {
        rc = ngx_http_sgtm_apply_locked(apply);
    }

    sgtm_registry_unlock(registry);

    return rc;
}


static ngx_int_t
ngx_http_sgtm_apply_locked(ngx_http_sgtm_apply_t *apply)
{
    ngx_int_t         rc;
    sgtm_registry_t  *registry;

    registry = apply->records->registry;

    if (apply->pass == 0) {

        /* what is there now is neither the old state nor the new one */

        ngx_http_sgtm_note_get(apply->records, &apply->note);

        ngx_memzero(&apply->note.loaded, sizeof(sgtm_look_t));
        apply->note.changed = 0;
        apply->note.removed = 0;
        apply->note.failed = 0;

        ngx_http_sgtm_note_set(apply->records, &apply->note);

        apply->pass = sgtm_registry_begin(registry, NGX_HTTP_SGTM_SOURCE_FILE);
    }

    if (apply->parts++ % NGX_HTTP_SGTM_APPLY_PARTS == 0) {
        (void) sgtm_registry_reclaim(registry, 2 * NGX_HTTP_SGTM_APPLY_PARTS,
                                     0);
    }

    if (apply->item) {
        return ngx_http_sgtm_apply_item(apply);
    }

    rc = sgtm_registry_sweep(registry, NGX_HTTP_SGTM_SOURCE_FILE, apply->pass,
                             &apply->bucket, NGX_HTTP_SGTM_APPLY_PARTS,
                             &apply->note.removed);

    if (rc == SGTM_REGISTRY_STALE) {
        return NGX_DECLINED;
    }

    if (rc == SGTM_REGISTRY_WAIT) {
        return NGX_AGAIN;
    }

    ngx_http_sgtm_apply_end(apply);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_apply_item(ngx_http_sgtm_apply_t *apply)
{
    int                        rc;
    sgtm_registry_t           *registry;
    sgtm_load_item_t          *item;
    sgtm_registry_conflict_t   conflict;

    registry = apply->records->registry;
    item = apply->item;

    if (item->tenant == NULL) {
        rc = sgtm_registry_keep(registry, NGX_HTTP_SGTM_SOURCE_FILE,
                                apply->pass, &item->id);

    } else {
        rc = sgtm_registry_put(registry, NGX_HTTP_SGTM_SOURCE_FILE,
                               apply->pass, item->tenant, item->sum,
                               &conflict);
        apply->note.changed += (rc == SGTM_REGISTRY_OK);
    }

    switch (rc) {

    case SGTM_REGISTRY_STALE:
        return NGX_DECLINED;

    case SGTM_REGISTRY_WAIT:
        return ngx_http_sgtm_apply_wait(apply);

    case SGTM_REGISTRY_OK:
    case SGTM_REGISTRY_SAME:
        break;

    default:
        ngx_http_sgtm_apply_failed(apply, rc, &conflict);
    }

    apply->item = item->next;

    return NGX_AGAIN;
}


/* requests that are under way hold what has been replaced */

static ngx_int_t
ngx_http_sgtm_apply_wait(ngx_http_sgtm_apply_t *apply)
{
    int     check;
    time_t  now;

    now = ngx_time();
    check = (now != apply->checked);
    apply->checked = now;

    if (sgtm_registry_reclaim(apply->records->registry,
                              NGX_HTTP_SGTM_APPLY_PARTS, check))
    {
        return NGX_AGAIN;
    }

    if (!apply->waited
        && ngx_http_sgtm_now() - apply->began > (uint64_t) 10 * 1000000000)
    {
        apply->waited = 1;
        ngx_log_error(NGX_LOG_WARN, apply->log, 0,
                      "sgtm_tenants: \"%V\" waits for memory that requests "
                      "hold", &apply->source->path);
    }

    return NGX_BUSY;
}


static void
ngx_http_sgtm_apply_failed(ngx_http_sgtm_apply_t *apply, ngx_uint_t rc,
    sgtm_registry_conflict_t *conflict)
{
    u_char                *last;
    const sgtm_tenant_t   *t;
    ngx_http_sgtm_note_t  *note;

    t = apply->item->tenant;
    note = &apply->note;

    if (note->failed++ >= NGX_HTTP_SGTM_APPLY_LINES) {
        return;
    }

    last = ngx_snprintf(note->error, NGX_HTTP_SGTM_NOTE_ERROR - 1,
                        "tenant \"%V\" can't be taken: ", &t->id);

    switch (rc) {

    case SGTM_REGISTRY_HOST:
        last = ngx_slprintf(last, note->error + NGX_HTTP_SGTM_NOTE_ERROR - 1,
                            "its host \"%V\" is of tenant \"%V\"",
                            &t->hosts.elts[conflict->host],
                            &conflict->other->id);
        break;

    case SGTM_REGISTRY_SOURCE:
        last = ngx_slprintf(last, note->error + NGX_HTTP_SGTM_NOTE_ERROR - 1,
                            "another source has its id");
        break;

    default:
        last = ngx_slprintf(last, note->error + NGX_HTTP_SGTM_NOTE_ERROR - 1,
                            "there is no room for it");
    }

    *last = '\0';
    note->error_time = ngx_time();

    ngx_log_error(NGX_LOG_ERR, apply->log, 0, "sgtm_tenants: \"%V\": %s",
                  &apply->source->path, note->error);
}


static void
ngx_http_sgtm_apply_end(ngx_http_sgtm_apply_t *apply)
{
    ngx_http_sgtm_note_t  *note;

    note = &apply->note;

    note->loaded = apply->load->look;
    ngx_memzero(&note->refused, sizeof(sgtm_look_t));

    note->time = ngx_time();
    note->took = (ngx_msec_t) ((ngx_http_sgtm_now() - apply->began)
                               / 1000000);

    if (note->failed == 0) {
        note->error[0] = '\0';
    }

    ngx_http_sgtm_note_set(apply->records, note);

    ngx_log_error(NGX_LOG_NOTICE, apply->log, 0,
                  "sgtm_tenants: %uz records of \"%V\", %uz of them changed, "
                  "%uz removed", apply->load->records, &apply->source->path,
                  note->changed, note->removed);
}


ngx_int_t
ngx_http_sgtm_apply_refused(ngx_http_sgtm_records_t *records,
    ngx_http_sgtm_tenants_t *source, sgtm_load_t *load, ngx_log_t *log)
{
    ngx_http_sgtm_note_t  note;

    if (records->epoch != source->epoch) {
        return NGX_DECLINED;
    }

    if (sgtm_registry_lock(records->registry) != SGTM_OK) {
        return NGX_BUSY;
    }

    ngx_http_sgtm_note_get(records, &note);

    note.refused = load->look;
    note.error_time = ngx_time();

    (void) ngx_cpystrn(note.error, (u_char *) load->errors.lines[0],
                       NGX_HTTP_SGTM_NOTE_ERROR);

    ngx_http_sgtm_note_set(records, &note);

    sgtm_registry_unlock(records->registry);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "sgtm_tenants: %s; the last good state stays",
                  load->errors.lines[0]);

    if (load->errors.n > 1) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "sgtm_tenants: and %uz more errors",
                      load->errors.n - 1);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_apply_back(ngx_http_sgtm_records_t *records)
{
    ngx_http_sgtm_note_t  note;

    if (sgtm_registry_lock(records->registry) != SGTM_OK) {
        return NGX_BUSY;
    }

    ngx_http_sgtm_note_get(records, &note);

    ngx_memzero(&note.refused, sizeof(sgtm_look_t));
    note.error[0] = '\0';

    ngx_http_sgtm_note_set(records, &note);

    sgtm_registry_unlock(records->registry);

    return NGX_OK;
}


void
ngx_http_sgtm_apply_warn(sgtm_load_t *load, ngx_log_t *log)
{
    size_t  i;

    for (i = 0; i < load->warnings.n && i < SGTM_LOAD_LINES; i++) {
        ngx_log_error(NGX_LOG_WARN, log, 0, "sgtm_tenants: %s",
                      load->warnings.lines[i]);
    }

    if (load->warnings.n > i) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "sgtm_tenants: and %uz more warnings",
                      load->warnings.n - i);
    }
}
