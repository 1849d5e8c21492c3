
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_status_redis.h"
#include "ngx_http_sgtm_status_registry.h"


typedef struct {
    ngx_str_t    name;             /* with its label */
    ngx_str_t    help;             /* of the first of a name */
    size_t       offset;           /* in sgtm_registry_stat_t; a size_t */
} ngx_http_sgtm_registry_family_t;


static ngx_http_sgtm_registry_family_t  ngx_http_sgtm_registry_families[] = {

    { ngx_string("sgtm_records"), ngx_string("Records of tenants."),
      offsetof(sgtm_registry_stat_t, records) },

    { ngx_string("sgtm_record_hosts"),
      ngx_string("Hosts that records of tenants name."),
      offsetof(sgtm_registry_stat_t, hosts) },

    { ngx_string("sgtm_record_bytes{state=\"size\"}"),
      ngx_string("Memory of records of tenants: all, in use, and of that what "
                 "waits for requests."),
      offsetof(sgtm_registry_stat_t, size) },

    { ngx_string("sgtm_record_bytes{state=\"used\"}"), ngx_null_string,
      offsetof(sgtm_registry_stat_t, used) },

    { ngx_string("sgtm_record_bytes{state=\"waiting\"}"), ngx_null_string,
      offsetof(sgtm_registry_stat_t, waiting) },

    { ngx_null_string, ngx_null_string, 0 }
};


ngx_int_t
ngx_http_sgtm_status_registry_json(ngx_http_sgtm_writer_t *w)
{
    ngx_str_t                *path;
    sgtm_registry_stat_t      stat;
    ngx_http_sgtm_note_t      note;
    ngx_http_sgtm_records_t  *records;

    records = ngx_http_sgtm_tenants_records(w->smcf);

    if (records == NULL) {
        return NGX_OK;
    }

    sgtm_registry_stat(records->registry, &stat);
    ngx_http_sgtm_note_get(records, &note);

    path = &w->smcf->source->path;

    if (ngx_http_sgtm_status_room(w, 4 * NGX_HTTP_SGTM_STATUS_LINE
                                     + 6 * path->len
                                     + 6 * ngx_strlen(note.error))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                               "\n\"registry\":{\"records\":%uz,\"hosts\":%uz,"
                               "\"generation\":%uL,\"size\":%uz,\"used\":%uz,"
                               "\"waiting\":%uz,\"readers\":%uz,"
                               "\"source\":\"%s",
                               stat.records, stat.hosts, stat.generation,
                               stat.size, stat.used, stat.waiting,
                               stat.readers,
                               w->smcf->redis ? "redis" : "file=");

    w->buf->last = (u_char *) ngx_escape_json(w->buf->last, path->data,
                                              path->len);

    w->buf->last = ngx_sprintf(w->buf->last,
                               "\",\"loaded\":{\"time\":%T,\"ms\":%M,"
                               "\"changed\":%uz,\"removed\":%uz,"
                               "\"failed\":%uz},\"error\":",
                               note.time, note.took, note.changed,
                               note.removed, note.failed);

    if (note.error[0]) {
        w->buf->last = ngx_sprintf(w->buf->last, "{\"time\":%T,\"text\":\"",
                                   note.error_time);
        w->buf->last = (u_char *) ngx_escape_json(w->buf->last, note.error,
                                                  ngx_strlen(note.error));
        w->buf->last = ngx_sprintf(w->buf->last, "\"}");

    } else {
        w->buf->last = ngx_sprintf(w->buf->last, "null");
    }

    if (w->smcf->redis) {
        *w->buf->last++ = ',';

        if (ngx_http_sgtm_status_redis_json(w) != NGX_OK
            || ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    w->buf->last = ngx_sprintf(w->buf->last, "},");

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_status_registry_text(ngx_http_sgtm_writer_t *w)
{
    size_t                            i;
    sgtm_registry_stat_t              stat;
    ngx_http_sgtm_note_t              note;
    ngx_http_sgtm_records_t          *records;
    ngx_http_sgtm_registry_family_t  *f;

    records = ngx_http_sgtm_tenants_records(w->smcf);

    if (records == NULL) {
        return NGX_OK;
    }

    sgtm_registry_stat(records->registry, &stat);
    ngx_http_sgtm_note_get(records, &note);

    for (f = ngx_http_sgtm_registry_families; f->name.len; f++) {

        if (ngx_http_sgtm_status_room(w, 2 * NGX_HTTP_SGTM_STATUS_LINE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (f->help.len) {

            /* a label is not of the name */

            for (i = 0; i < f->name.len && f->name.data[i] != '{'; i++) {
                /* void */
            }

            w->buf->last = ngx_sprintf(w->buf->last,
                                       "# HELP %*s %V\n# TYPE %*s gauge\n",
                                       i, f->name.data, &f->help,
                                       i, f->name.data);
        }

        w->buf->last = ngx_sprintf(w->buf->last, "%V %uz\n", &f->name,
                                   *(size_t *) ((u_char *) &stat + f->offset));
    }

    if (ngx_http_sgtm_status_room(w, 4 * NGX_HTTP_SGTM_STATUS_LINE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                       "# HELP sgtm_records_loaded_seconds When records were "
                       "loaded, since the epoch.\n"
                       "# TYPE sgtm_records_loaded_seconds gauge\n"
                       "sgtm_records_loaded_seconds %T\n"
                       "# HELP sgtm_records_refused Whether what there is to "
                       "load was refused.\n"
                       "# TYPE sgtm_records_refused gauge\n"
                       "sgtm_records_refused %d\n",
                       note.time, note.error[0] != '\0');

    return w->smcf->redis ? ngx_http_sgtm_status_redis_text(w) : NGX_OK;
}
