
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../gate/ngx_http_sgtm_overlay.h"
#include "../page/ngx_http_sgtm_script.h"
#include "../page/ngx_http_sgtm_settings.h"
#include "ngx_http_sgtm_status_scripts.h"


/* hashes that are made for an answer: 50 microseconds each */
#define NGX_HTTP_SGTM_STATUS_HASHES  64


typedef struct {
    ngx_http_sgtm_writer_t     *writer;
    ngx_str_t                   tenant;    /* that is asked for; or empty */
    ngx_uint_t                  written;
    ngx_uint_t                  hashes;
} ngx_http_sgtm_status_scripts_t;


static ngx_int_t ngx_http_sgtm_status_served(
    ngx_http_sgtm_status_scripts_t *ss, ngx_http_sgtm_loc_conf_t *conf);
static const sgtm_tenant_t *ngx_http_sgtm_status_record_of(
    ngx_http_sgtm_status_scripts_t *ss, ngx_http_sgtm_loc_conf_t *conf);
static ngx_int_t ngx_http_sgtm_status_script(
    ngx_http_sgtm_status_scripts_t *ss, ngx_http_sgtm_loc_conf_t *conf,
    ngx_str_t *tenant);


ngx_int_t
ngx_http_sgtm_status_scripts_json(ngx_http_sgtm_writer_t *w)
{
    ngx_uint_t                       i;
    ngx_http_sgtm_loc_conf_t       **conf;
    ngx_http_sgtm_status_scripts_t   ss;

    ngx_memzero(&ss, sizeof(ngx_http_sgtm_status_scripts_t));

    ss.writer = w;

    if (ngx_http_arg(w->request, (u_char *) "tenant", 6, &ss.tenant)
        != NGX_OK)
    {
        ngx_str_null(&ss.tenant);
    }

    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "\n\"scripts\":[");

    conf = w->smcf->served.elts;

    for (i = 0; i < w->smcf->served.nelts; i++) {
        if (ngx_http_sgtm_status_served(&ss, conf[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "],");

    return NGX_OK;
}


/* a record in place of the location, as the gate would have it */

static ngx_int_t
ngx_http_sgtm_status_served(ngx_http_sgtm_status_scripts_t *ss,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_int_t              rc;
    ngx_http_sgtm_ctx_t    ctx;
    const sgtm_tenant_t   *record;

    record = ngx_http_sgtm_status_record_of(ss, conf);

    if (record == NULL) {

        if (conf->records_only || conf->fixed_tenant == NULL) {
            return NGX_OK;
        }

        return ngx_http_sgtm_status_script(ss, conf,
                                           &conf->fixed_tenant->node.str);
    }

    ngx_memzero(&ctx, sizeof(ngx_http_sgtm_ctx_t));

    ctx.base = conf;

    if (ngx_http_sgtm_overlay_record(ss->writer->request, &ctx,
                                     ss->writer->reader, record)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_sgtm_status_script(ss, ctx.conf, &ctx.tenant->node.str);

    ngx_http_sgtm_overlay_drop(&ctx);

    return rc;
}


/* of the location's own host, or the one that is asked for */

static const sgtm_tenant_t *
ngx_http_sgtm_status_record_of(ngx_http_sgtm_status_scripts_t *ss,
    ngx_http_sgtm_loc_conf_t *conf)
{
    sgtm_str_t              *id;
    const sgtm_tenant_t     *record;
    sgtm_registry_reader_t  *reader;

    reader = ss->writer->reader;

    if (reader == NULL) {
        return NULL;
    }

    if (conf->fixed_tenant) {
        id = ngx_http_sgtm_str(&conf->fixed_tenant->node.str);

        record = conf->tenant ? NULL
                              : sgtm_registry_host(reader->registry, id);

        if (record == NULL) {
            record = sgtm_registry_id(reader->registry, id);
        }

        if (record || !conf->records_only) {
            return record;
        }
    }

    return ss->tenant.len ? sgtm_registry_id(reader->registry,
                                             ngx_http_sgtm_str(&ss->tenant))
                          : NULL;
}


static ngx_int_t
ngx_http_sgtm_status_script(ngx_http_sgtm_status_scripts_t *ss,
    ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *tenant)
{
    u_char                   integrity[NGX_HTTP_SGTM_INTEGRITY];
    ngx_str_t                prefix, variant;
    ngx_http_sgtm_writer_t  *w;

    w = ss->writer;

    if (ss->tenant.len
        && (ss->tenant.len != tenant->len
            || ngx_memcmp(ss->tenant.data, tenant->data, tenant->len) != 0))
    {
        return NGX_OK;
    }

    if (conf->script == NULL && ++ss->hashes > NGX_HTTP_SGTM_STATUS_HASHES) {
        return NGX_OK;
    }

    if (ngx_http_sgtm_script_integrity(w->request, conf, &variant, integrity)
        != NGX_OK
        || ngx_http_sgtm_settings_prefix(w->request->pool, &conf->prefix,
                                         &prefix)
           != NGX_OK
        || ngx_http_sgtm_status_room(w, 2 * NGX_HTTP_SGTM_STATUS_LINE
                                        + 6 * (tenant->len + prefix.len
                                               + conf->script_name.len))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "%s\n{\"tenant\":\"",
                               ss->written++ ? "," : "");
    w->buf->last = (u_char *) ngx_escape_json(w->buf->last, tenant->data,
                                              tenant->len);
    w->buf->last = ngx_sprintf(w->buf->last, "\",\"path\":\"");
    w->buf->last = (u_char *) ngx_escape_json(w->buf->last, prefix.data,
                                              prefix.len);
    w->buf->last = (u_char *) ngx_escape_json(w->buf->last,
                                              conf->script_name.data,
                                              conf->script_name.len);
    w->buf->last = ngx_sprintf(w->buf->last,
                               "\",\"script\":\"%V\",\"integrity\":\"%*s\"}",
                               &variant, (size_t) NGX_HTTP_SGTM_INTEGRITY,
                               integrity);

    return NGX_OK;
}
