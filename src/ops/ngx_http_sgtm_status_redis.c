
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../lib/ngx_http_sgtm_redis_event.h"
#include "ngx_http_sgtm_status_redis.h"


typedef struct {
    ngx_str_t    key;              /* in JSON */
    ngx_str_t    name;             /* in Prometheus's format; empty: none */
    ngx_str_t    label;
    ngx_str_t    help;             /* of the first of a name */
    size_t       offset;           /* in ngx_http_sgtm_redis_stat_t */
    ngx_uint_t   age;              /* a time: what is shown is its age */
    char        *type;
} ngx_http_sgtm_redis_family_t;


static ngx_int_t ngx_http_sgtm_status_redis_value(
    ngx_http_sgtm_redis_stat_t *stat, ngx_http_sgtm_redis_family_t *f);


static ngx_http_sgtm_redis_family_t  ngx_http_sgtm_redis_families[] = {

    { ngx_string("version"), ngx_string("sgtm_redis_version"),
      ngx_null_string,
      ngx_string("Version up to which changes in Redis are known."),
      offsetof(ngx_http_sgtm_redis_stat_t, version), 0, "gauge" },

    { ngx_string("tenants"), ngx_string("sgtm_redis_tenants"),
      ngx_null_string, ngx_string("Tenants that came from Redis."),
      offsetof(ngx_http_sgtm_redis_stat_t, tenants), 0, "gauge" },

    { ngx_string("restored"), ngx_null_string, ngx_null_string,
      ngx_null_string,
      offsetof(ngx_http_sgtm_redis_stat_t, restored), 0, NULL },

    { ngx_string("missing"), ngx_string("sgtm_redis_missing"),
      ngx_null_string, ngx_string("Tenants that Redis names and has not."),
      offsetof(ngx_http_sgtm_redis_stat_t, missing), 0, "gauge" },

    { ngx_string("unsettled"), ngx_string("sgtm_redis_unsettled"),
      ngx_null_string,
      ngx_string("Records that could not be put yet."),
      offsetof(ngx_http_sgtm_redis_stat_t, unsettled), 0, "gauge" },

    { ngx_string("age"), ngx_string("sgtm_redis_age_seconds"),
      ngx_null_string,
      ngx_string("Time since all was last known to be as in Redis."),
      offsetof(ngx_http_sgtm_redis_stat_t, synced), 1, "gauge" },

    { ngx_string("snapshot_age"), ngx_string("sgtm_redis_snapshot_age_seconds"),
      ngx_null_string, ngx_string("Age of the snapshot."),
      offsetof(ngx_http_sgtm_redis_stat_t, snapshot), 1, "gauge" },

    { ngx_string("slice_us"), ngx_string("sgtm_redis_slice_microseconds"),
      ngx_null_string,
      ngx_string("The longest that the owner was kept from its requests."),
      offsetof(ngx_http_sgtm_redis_stat_t, slice), 0, "gauge" },

    { ngx_string("sharing"), ngx_string("sgtm_redis_sharing"),
      ngx_null_string,
      ngx_string("Whether limits are shared with the other machines."),
      offsetof(ngx_http_sgtm_redis_stat_t, sharing), 0, "gauge" },

    { ngx_string("machines"), ngx_string("sgtm_redis_machines"),
      ngx_null_string,
      ngx_string("Machines that share limits, as last known."),
      offsetof(ngx_http_sgtm_redis_stat_t, machines), 0, "gauge" },

    { ngx_string("asked"), ngx_string("sgtm_redis_asked"),
      ngx_null_string,
      ngx_string("Tenants with a limit that had hits in the last seconds."),
      offsetof(ngx_http_sgtm_redis_stat_t, asked), 0, "gauge" },

    { ngx_string("connects"), ngx_string("sgtm_redis_total"),
      ngx_string("what=\"connects\""),
      ngx_string("Connections, failures, loads of everything, records that "
                 "changed or were refused."),
      offsetof(ngx_http_sgtm_redis_stat_t, connects), 0, "counter" },

    { ngx_string("failures"), ngx_string("sgtm_redis_total"),
      ngx_string("what=\"failures\""), ngx_null_string,
      offsetof(ngx_http_sgtm_redis_stat_t, failures), 0, "counter" },

    { ngx_string("loads"), ngx_string("sgtm_redis_total"),
      ngx_string("what=\"loads\""), ngx_null_string,
      offsetof(ngx_http_sgtm_redis_stat_t, loads), 0, "counter" },

    { ngx_string("changes"), ngx_string("sgtm_redis_total"),
      ngx_string("what=\"changes\""), ngx_null_string,
      offsetof(ngx_http_sgtm_redis_stat_t, changes), 0, "counter" },

    { ngx_string("bad"), ngx_string("sgtm_redis_total"),
      ngx_string("what=\"bad\""), ngx_null_string,
      offsetof(ngx_http_sgtm_redis_stat_t, bad), 0, "counter" },

    { ngx_null_string, ngx_null_string, ngx_null_string, ngx_null_string,
      0, 0, NULL }
};


ngx_int_t
ngx_http_sgtm_status_redis_json(ngx_http_sgtm_writer_t *w)
{
    ngx_int_t                      value;
    ngx_http_sgtm_redis_stat_t    *stat;
    ngx_http_sgtm_redis_family_t  *f;

    stat = &ngx_http_sgtm_tenants_records(w->smcf)->redis;

    if (ngx_http_sgtm_status_room(w, 4 * NGX_HTTP_SGTM_STATUS_LINE
                                     + 6 * NGX_HTTP_SGTM_REDIS_ADDRESS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                               "\"redis\":{\"state\":\"%V\",\"address\":\"",
                               ngx_http_sgtm_redis_state(stat->state));

    w->buf->last = (u_char *) ngx_escape_json(w->buf->last, stat->address,
                                              ngx_strlen(stat->address));

    w->buf->last = ngx_sprintf(w->buf->last,
                               "\",\"error\":\"%V\",\"subscribed\":%s,"
                               "\"replica\":%s",
                               &ngx_http_sgtm_redis_errors[stat->error].label,
                               stat->subscribed ? "true" : "false",
                               stat->replica ? "true" : "false");

    for (f = ngx_http_sgtm_redis_families; f->key.len; f++) {

        value = ngx_http_sgtm_status_redis_value(stat, f);

        if (value == NGX_DECLINED) {
            continue;
        }

        w->buf->last = ngx_sprintf(w->buf->last, ",\"%V\":%i", &f->key, value);
    }

    *w->buf->last++ = '}';

    return NGX_OK;
}


/* NGX_DECLINED: the age of what never was */

static ngx_int_t
ngx_http_sgtm_status_redis_value(ngx_http_sgtm_redis_stat_t *stat,
    ngx_http_sgtm_redis_family_t *f)
{
    ngx_atomic_uint_t  value;

    value = *(ngx_atomic_t *) ((u_char *) stat + f->offset);

    if (!f->age) {
        return (ngx_int_t) value;
    }

    if (value == 0) {
        return NGX_DECLINED;
    }

    return ngx_max(ngx_time() - (time_t) value, 0);
}


ngx_int_t
ngx_http_sgtm_status_redis_text(ngx_http_sgtm_writer_t *w)
{
    ngx_int_t                      value;
    ngx_http_sgtm_redis_stat_t    *stat;
    ngx_http_sgtm_redis_family_t  *f;

    stat = &ngx_http_sgtm_tenants_records(w->smcf)->redis;

    if (ngx_http_sgtm_status_room(w, 2 * NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                               "# HELP sgtm_redis_up Whether the tenants are "
                               "as in Redis.\n# TYPE sgtm_redis_up gauge\n"
                               "sgtm_redis_up %d\n",
                               stat->state == NGX_HTTP_SGTM_REDIS_SYNCED);

    for (f = ngx_http_sgtm_redis_families; f->key.len; f++) {

        value = ngx_http_sgtm_status_redis_value(stat, f);

        if (f->name.len == 0 || value == NGX_DECLINED) {
            continue;
        }

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

        w->buf->last = ngx_sprintf(w->buf->last, "%V%s%V%s %i\n", &f->name,
                                   f->label.len ? "{" : "", &f->label,
                                   f->label.len ? "}" : "", value);
    }

    return NGX_OK;
}
