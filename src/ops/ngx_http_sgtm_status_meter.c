
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_meter.h"
#include "ngx_http_sgtm_status.h"
#include "ngx_http_sgtm_status_meter.h"


typedef struct {
    ngx_str_t    name;             /* empty: that of the one before */
    ngx_str_t    label;
    ngx_str_t    help;
    size_t       offset;           /* in sgtm_meter_sum_t; a uint64_t */
    ngx_uint_t   quota;            /* of tenants that have one */
} ngx_http_sgtm_month_family_t;


static const sgtm_tenant_t *ngx_http_sgtm_status_quota(
    ngx_http_sgtm_writer_t *w, ngx_str_t *id);
static void ngx_http_sgtm_status_sum(ngx_http_sgtm_writer_t *w,
    ngx_str_t *id, sgtm_meter_sum_t *sum);
static ngx_int_t ngx_http_sgtm_status_month_text(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_month_family_t *f, ngx_http_sgtm_shown_t *shown);


static ngx_http_sgtm_month_family_t  ngx_http_sgtm_month_families[] = {

    { ngx_string("sgtm_month_events"), ngx_string(",what=\"accepted\""),
      ngx_string("Events of this month, UTC."),
      offsetof(sgtm_meter_sum_t, accepted), 0 },

    { ngx_null_string, ngx_string(",what=\"forwarded\""), ngx_null_string,
      offsetof(sgtm_meter_sum_t, forwarded), 0 },

    { ngx_null_string, ngx_string(",what=\"dropped\""), ngx_null_string,
      offsetof(sgtm_meter_sum_t, dropped), 0 },

    { ngx_string("sgtm_month_used"), ngx_null_string,
      ngx_string("Events of this month that count against a quota."),
      offsetof(sgtm_meter_sum_t, used), 1 },

    { ngx_string("sgtm_month_quota"), ngx_null_string,
      ngx_string("Events of a month that a tenant may send."), 0, 2 }
};


ngx_int_t
ngx_http_sgtm_status_meter_json(ngx_http_sgtm_writer_t *w)
{
    char                         month[SGTM_METER_MONTH];
    u_char                       error[SGTM_METER_ERROR];
    time_t                       error_time;
    ngx_slab_pool_t             *shpool;
    sgtm_meter_stat_t            stat;
    ngx_http_sgtm_meter_head_t  *head;
    ngx_http_sgtm_meter_conf_t  *mcf;

    mcf = w->smcf->meter;

    if (mcf == NULL) {
        return NGX_OK;
    }

    head = ngx_http_sgtm_meter_head(w->smcf);
    shpool = (ngx_slab_pool_t *) mcf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    ngx_memcpy(error, head->error, SGTM_METER_ERROR);
    error_time = head->error_time;

    ngx_shmtx_unlock(&shpool->mutex);

    sgtm_meter_stat(head->meter, &stat);
    sgtm_meter_text(ngx_http_sgtm_meter_now(), month);

    if (ngx_http_sgtm_status_room(w, 2 * NGX_HTTP_SGTM_STATUS_LINE
                                     + 6 * mcf->path.len
                                     + 6 * SGTM_METER_ERROR)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "\n\"meter\":{\"path\":\"");
    w->buf->last = (u_char *) ngx_escape_json(w->buf->last, mcf->path.data,
                                              mcf->path.len);
    w->buf->last = ngx_sprintf(w->buf->last,
                               "\",\"month\":\"%s\",\"tenants\":%uz,"
                               "\"refused\":%uz,\"size\":%uz,\"used\":%uz,"
                               "\"written\":%T,\"error\":",
                               month, stat.tenants, stat.refused, stat.size,
                               stat.used, (time_t) stat.written);

    if (error[0]) {
        w->buf->last = ngx_sprintf(w->buf->last, "{\"time\":%T,\"text\":\"",
                                   error_time);
        w->buf->last = (u_char *) ngx_escape_json(w->buf->last, error,
                                                  ngx_strlen(error));
        w->buf->last = ngx_sprintf(w->buf->last, "\"}},");

    } else {
        w->buf->last = ngx_sprintf(w->buf->last, "null},");
    }

    return NGX_OK;
}


/* the record of a tenant, if it has a quota */

static const sgtm_tenant_t *
ngx_http_sgtm_status_quota(ngx_http_sgtm_writer_t *w, ngx_str_t *id)
{
    const sgtm_tenant_t  *record;

    record = w->reader ? sgtm_registry_id(w->reader->registry,
                                          ngx_http_sgtm_str(id))
                       : NULL;

    return (record && sgtm_tenant_has(record, SGTM_TENANT_QUOTA)) ? record
                                                                  : NULL;
}


static void
ngx_http_sgtm_status_sum(ngx_http_sgtm_writer_t *w, ngx_str_t *id,
    sgtm_meter_sum_t *sum)
{
    sgtm_meter_t        *meter;
    sgtm_meter_entry_t  *e;

    meter = ngx_http_sgtm_meter_head(w->smcf)->meter;
    e = sgtm_meter_known(meter, ngx_http_sgtm_str(id));

    if (e) {
        sgtm_meter_sum(meter, e, ngx_http_sgtm_meter_now(), sum);

    } else {
        ngx_memzero(sum, sizeof(sgtm_meter_sum_t));
    }
}


ngx_int_t
ngx_http_sgtm_status_month_json(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_shown_t *shown)
{
    char                  month[SGTM_METER_MONTH];
    sgtm_meter_sum_t      sum;
    const sgtm_tenant_t  *record;

    if (w->smcf->meter == NULL) {
        return NGX_OK;
    }

    if (ngx_http_sgtm_status_room(w, 2 * NGX_HTTP_SGTM_STATUS_LINE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    sgtm_meter_text(ngx_http_sgtm_meter_now(), month);
    ngx_http_sgtm_status_sum(w, &shown->id, &sum);

    w->buf->last = ngx_sprintf(w->buf->last,
                               ",\"month\":{\"month\":\"%s\","
                               "\"accepted\":%uL,\"forwarded\":%uL,"
                               "\"dropped\":%uL,\"used\":%uL,",
                               month, sum.accepted, sum.forwarded,
                               sum.dropped, sum.used);

    record = ngx_http_sgtm_status_quota(w, &shown->id);

    if (record == NULL) {
        w->buf->last = ngx_sprintf(w->buf->last, "\"quota\":null}");
        return NGX_OK;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                               "\"quota\":%L,\"quota_action\":\"%V\","
                               "\"quota_state\":\"%s\"}",
                               record->quota,
                               sgtm_word_name(sgtm_quotas,
                                              record->quota_action),
                               sum.told >= SGTM_METER_OVER ? "over"
                               : sum.told >= SGTM_METER_WARNED ? "warned"
                               : "ok");

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_status_meter_text(ngx_http_sgtm_writer_t *w)
{
    ngx_uint_t                     i, k;
    sgtm_meter_stat_t              stat;
    ngx_http_sgtm_shown_t         *shown;
    ngx_http_sgtm_meter_head_t    *head;
    ngx_http_sgtm_month_family_t  *f;

    if (w->smcf->meter == NULL) {
        return NGX_OK;
    }

    shown = w->tenants.elts;

    for (k = 0; k < sgtm_nelts(ngx_http_sgtm_month_families); k++) {
        f = &ngx_http_sgtm_month_families[k];

        if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (f->name.len) {
            w->buf->last = ngx_sprintf(w->buf->last,
                                       "# HELP %V %V\n# TYPE %V gauge\n",
                                       &f->name, &f->help, &f->name);
        }

        for (i = 0; i < w->tenants.nelts; i++) {
            if (ngx_http_sgtm_status_month_text(w, f, &shown[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    head = ngx_http_sgtm_meter_head(w->smcf);
    sgtm_meter_stat(head->meter, &stat);

    if (ngx_http_sgtm_status_room(w, 4 * NGX_HTTP_SGTM_STATUS_LINE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                       "# HELP sgtm_meter_written_seconds When all that was "
                       "metered was written, since the epoch.\n"
                       "# TYPE sgtm_meter_written_seconds gauge\n"
                       "sgtm_meter_written_seconds %T\n"
                       "# HELP sgtm_meter_failed Whether it can't be "
                       "written.\n"
                       "# TYPE sgtm_meter_failed gauge\n"
                       "sgtm_meter_failed %d\n"
                       "# HELP sgtm_meter_refused_total Times that a tenant "
                       "had no room in the zone.\n"
                       "# TYPE sgtm_meter_refused_total counter\n"
                       "sgtm_meter_refused_total %uz\n",
                       (time_t) stat.written, head->error[0] != '\0',
                       stat.refused);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_status_month_text(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_month_family_t *f, ngx_http_sgtm_shown_t *shown)
{
    uint64_t              value;
    ngx_str_t            *name;
    sgtm_meter_sum_t      sum;
    const sgtm_tenant_t  *record;

    record = f->quota ? ngx_http_sgtm_status_quota(w, &shown->id) : NULL;

    if (f->quota && record == NULL) {
        return NGX_OK;
    }

    if (f->quota == 2) {
        value = record->quota;

    } else {
        ngx_http_sgtm_status_sum(w, &shown->id, &sum);
        value = *(uint64_t *) ((u_char *) &sum + f->offset);
    }

    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE
                                     + 6 * shown->id.len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    name = f->name.len ? &f->name : &ngx_http_sgtm_month_families[0].name;

    w->buf->last = ngx_sprintf(w->buf->last, "%V{tenant=\"", name);
    w->buf->last = ngx_http_sgtm_status_escape(w->buf->last, &shown->id);
    w->buf->last = ngx_sprintf(w->buf->last, "\"%V} %uL\n", &f->label, value);

    return NGX_OK;
}
