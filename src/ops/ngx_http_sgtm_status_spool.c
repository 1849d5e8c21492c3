
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_status_spool.h"


typedef struct {
    ngx_str_t    key;              /* in JSON */
    ngx_str_t    name;             /* in Prometheus's format */
    ngx_str_t    label;
    ngx_str_t    help;             /* of the first of a name */
    size_t       offset;           /* in ngx_http_sgtm_spool_stat_t */
    ngx_uint_t   age;              /* a time: what is shown is its age */
    char        *type;
} ngx_http_sgtm_spool_family_t;


typedef struct {
    ngx_str_t    name;
    ngx_str_t    help;
} ngx_http_sgtm_target_family_t;


static ngx_http_sgtm_courier_stat_t *ngx_http_sgtm_status_courier(
    ngx_http_sgtm_writer_t *w, ngx_http_sgtm_zone_t *zone);
static ngx_atomic_uint_t ngx_http_sgtm_status_value(
    ngx_http_sgtm_zone_t *zone, ngx_http_sgtm_spool_family_t *f);
static ngx_int_t ngx_http_sgtm_status_target_json(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_target_stat_t *ts, ngx_uint_t first);
static ngx_int_t ngx_http_sgtm_status_targets_text(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_courier_stat_t *courier);


static ngx_http_sgtm_spool_family_t  ngx_http_sgtm_spool_families[] = {

    { ngx_string("waiting"), ngx_string("sgtm_spool_hits"),
      ngx_string("state=\"waiting\""), ngx_string("Hits in the spool."),
      offsetof(ngx_http_sgtm_spool_stat_t, waiting), 0, "gauge" },

    { ngx_string("dead"), ngx_string("sgtm_spool_hits"),
      ngx_string("state=\"dead\""), ngx_null_string,
      offsetof(ngx_http_sgtm_spool_stat_t, dead), 0, "gauge" },

    { ngx_string("age"), ngx_string("sgtm_spool_age_seconds"),
      ngx_string("state=\"waiting\""),
      ngx_string("Age of the oldest hit in the spool."),
      offsetof(ngx_http_sgtm_spool_stat_t, oldest), 1, "gauge" },

    { ngx_string("dead_age"), ngx_string("sgtm_spool_age_seconds"),
      ngx_string("state=\"dead\""), ngx_null_string,
      offsetof(ngx_http_sgtm_spool_stat_t, dead_oldest), 1, "gauge" },

    { ngx_string("size"), ngx_string("sgtm_spool_bytes"),
      ngx_null_string, ngx_string("Size of the spool's files."),
      offsetof(ngx_http_sgtm_spool_stat_t, size), 0, "gauge" },

    { ngx_string("kept"), ngx_string("sgtm_spool_total"),
      ngx_string("what=\"kept\""),
      ngx_string("Hits that were kept, delivered, tried again or given up."),
      offsetof(ngx_http_sgtm_spool_stat_t, kept), 0, "counter" },

    { ngx_string("refused"), ngx_string("sgtm_spool_total"),
      ngx_string("what=\"refused\""), ngx_null_string,
      offsetof(ngx_http_sgtm_spool_stat_t, refused), 0, "counter" },

    { ngx_string("delivered"), ngx_string("sgtm_spool_total"),
      ngx_string("what=\"delivered\""), ngx_null_string,
      offsetof(ngx_http_sgtm_spool_stat_t, delivered), 0, "counter" },

    { ngx_string("retried"), ngx_string("sgtm_spool_total"),
      ngx_string("what=\"retried\""), ngx_null_string,
      offsetof(ngx_http_sgtm_spool_stat_t, retried), 0, "counter" },

    { ngx_string("died"), ngx_string("sgtm_spool_total"),
      ngx_string("what=\"died\""), ngx_null_string,
      offsetof(ngx_http_sgtm_spool_stat_t, died), 0, "counter" },

    { ngx_null_string, ngx_null_string, ngx_null_string, ngx_null_string,
      0, 0, NULL }
};


static ngx_http_sgtm_target_family_t  ngx_http_sgtm_target_families[] = {

    { ngx_string("sgtm_courier_up"),
      ngx_string("Whether a target's tagging server takes hits.") },

    { ngx_string("sgtm_courier_in_flight"),
      ngx_string("Hits on their way to a target.") },

    { ngx_string("sgtm_courier_orphan"),
      ngx_string("Whether a target's location is gone.") }
};


/* by ngx_http_sgtm_circuit_e */

static char  *ngx_http_sgtm_circuit_labels[] = {
    "closed",
    "open",
    "probing"
};


ngx_int_t
ngx_http_sgtm_status_spool_json(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone)
{
    ngx_uint_t                     i;
    ngx_http_sgtm_courier_stat_t  *courier;
    ngx_http_sgtm_spool_family_t  *f;

    if (w->smcf->spool == NULL) {
        return NGX_OK;
    }

    courier = ngx_http_sgtm_status_courier(w, zone);

    if (courier == NULL
        || ngx_http_sgtm_status_room(w, 4 * NGX_HTTP_SGTM_STATUS_LINE)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "\"spool\":{");

    for (f = ngx_http_sgtm_spool_families; f->key.len; f++) {
        w->buf->last = ngx_sprintf(w->buf->last, "\"%V\":%uA,", &f->key,
                                   ngx_http_sgtm_status_value(zone, f));
    }

    w->buf->last = ngx_sprintf(w->buf->last, "\"orphans\":%ui,\"targets\":[",
                               courier->orphans);

    for (i = 0; i < courier->ntargets; i++) {
        if (ngx_http_sgtm_status_target_json(w, &courier->targets[i], i == 0)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "]},\n");

    return NGX_OK;
}


/* a copy at one time: the courier changes it all */

static ngx_http_sgtm_courier_stat_t *
ngx_http_sgtm_status_courier(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone)
{
    ngx_slab_pool_t               *shpool;
    ngx_http_sgtm_courier_stat_t  *courier;

    courier = ngx_palloc(w->request->pool,
                         sizeof(ngx_http_sgtm_courier_stat_t));
    if (courier == NULL) {
        return NULL;
    }

    shpool = (ngx_slab_pool_t *) w->smcf->zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);
    *courier = zone->courier;
    ngx_shmtx_unlock(&shpool->mutex);

    return courier;
}


static ngx_atomic_uint_t
ngx_http_sgtm_status_value(ngx_http_sgtm_zone_t *zone,
    ngx_http_sgtm_spool_family_t *f)
{
    time_t             from;
    ngx_atomic_uint_t  value;

    value = *(ngx_atomic_t *) ((u_char *) &zone->spool + f->offset);

    /* one worker may have taken off what another has not yet put on */

    if ((ngx_atomic_int_t) value < 0) {
        return 0;
    }

    if (!f->age || value == 0) {
        return value;
    }

    from = (time_t) (value / 1000);

    return (from < ngx_time()) ? (ngx_atomic_uint_t) (ngx_time() - from) : 0;
}


static ngx_int_t
ngx_http_sgtm_status_target_json(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_target_stat_t *ts, ngx_uint_t first)
{
    if (ngx_http_sgtm_status_room(w, 6 * NGX_HTTP_SGTM_COURIER_NAME
                                     + NGX_HTTP_SGTM_STATUS_LINE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "%s\n{\"name\":\"",
                               first ? "" : ",");
    w->buf->last = (u_char *) ngx_escape_json(w->buf->last, ts->name,
                                              ngx_strlen(ts->name));
    w->buf->last = ngx_sprintf(w->buf->last,
                               "\",\"state\":\"%s\",\"in_flight\":%uD,"
                               "\"memory\":%uD,\"error\":\"%s\"}",
                               ts->orphan ? "orphan"
                               : ngx_http_sgtm_circuit_labels[ts->state],
                               ts->in_flight, ts->memory, ts->error);

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_status_spool_text(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone)
{
    ngx_http_sgtm_courier_stat_t  *courier;
    ngx_http_sgtm_spool_family_t  *f;

    if (w->smcf->spool == NULL) {
        return NGX_OK;
    }

    courier = ngx_http_sgtm_status_courier(w, zone);

    if (courier == NULL) {
        return NGX_ERROR;
    }

    for (f = ngx_http_sgtm_spool_families; f->key.len; f++) {

        if (ngx_http_sgtm_status_room(w, 2 * NGX_HTTP_SGTM_STATUS_LINE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (f->help.len) {
            w->buf->last = ngx_sprintf(w->buf->last,
                                       "# HELP %V %V\n# TYPE %V %s\n",
                                       &f->name, &f->help, &f->name, f->type);
        }

        w->buf->last = ngx_sprintf(w->buf->last, "%V%s%V%s %uA\n", &f->name,
                                   f->label.len ? "{" : "", &f->label,
                                   f->label.len ? "}" : "",
                                   ngx_http_sgtm_status_value(zone, f));
    }

    return ngx_http_sgtm_status_targets_text(w, courier);
}


static ngx_int_t
ngx_http_sgtm_status_targets_text(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_courier_stat_t *courier)
{
    ngx_uint_t                      i, n, value;
    ngx_http_sgtm_target_stat_t    *ts;
    ngx_http_sgtm_target_family_t  *f;

    for (n = 0; n < sgtm_nelts(ngx_http_sgtm_target_families); n++) {
        f = &ngx_http_sgtm_target_families[n];

        if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        w->buf->last = ngx_sprintf(w->buf->last,
                                   "# HELP %V %V\n# TYPE %V gauge\n",
                                   &f->name, &f->help, &f->name);

        for (i = 0; i < courier->ntargets; i++) {
            ts = &courier->targets[i];

            if (ngx_http_sgtm_status_room(w, 6 * NGX_HTTP_SGTM_COURIER_NAME
                                             + NGX_HTTP_SGTM_STATUS_LINE)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            value = (n == 0) ? (ts->state == 0 && !ts->orphan)
                    : (n == 1) ? ts->in_flight : ts->orphan;

            w->buf->last = ngx_sprintf(w->buf->last, "%V{target=\"", &f->name);
            w->buf->last = (u_char *) ngx_escape_json(w->buf->last, ts->name,
                                                      ngx_strlen(ts->name));
            w->buf->last = ngx_sprintf(w->buf->last, "\"} %ui\n", value);
        }
    }

    return NGX_OK;
}
