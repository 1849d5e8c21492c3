
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../gate/ngx_http_sgtm_answer.h"
#include "../gate/ngx_http_sgtm_dedup.h"
#include "../tenant/ngx_http_sgtm_zone.h"
#include "ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_status.h"
#include "ngx_http_sgtm_status_meter.h"
#include "ngx_http_sgtm_status_registry.h"
#include "ngx_http_sgtm_status_scripts.h"
#include "ngx_http_sgtm_status_spool.h"
#include "ngx_http_sgtm_status_tenants.h"


#define NGX_HTTP_SGTM_STATUS_BUF   (16 * 1024)


typedef const ngx_str_t *(*ngx_http_sgtm_label_pt)(ngx_uint_t i);


/* counters of a tenant that differ by one label, or a single one */

typedef struct {
    ngx_str_t                key;          /* in JSON */
    ngx_str_t                name;         /* in Prometheus's format */
    ngx_str_t                help;
    ngx_str_t                label;        /* empty: a single counter */
    ngx_http_sgtm_label_pt   value;
    size_t                   offset;       /* in ngx_http_sgtm_counters_t */
    ngx_uint_t               first;
    ngx_uint_t               n;
    ngx_uint_t               sparse;       /* zeros are left out */
} ngx_http_sgtm_family_t;


static ngx_int_t ngx_http_sgtm_status_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_sgtm_status_prometheus(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_write_json(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);
static ngx_int_t ngx_http_sgtm_write_json_tenant(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_shown_t *shown);
static ngx_int_t ngx_http_sgtm_write_json_latency(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);
static ngx_int_t ngx_http_sgtm_write_json_dedup(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);
static ngx_int_t ngx_http_sgtm_write_text(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);
static ngx_int_t ngx_http_sgtm_write_text_family(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_family_t *f);
static ngx_int_t ngx_http_sgtm_write_text_latency(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);
static ngx_int_t ngx_http_sgtm_write_text_dedup(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone);
static const ngx_str_t *ngx_http_sgtm_label_route(ngx_uint_t i);
static const ngx_str_t *ngx_http_sgtm_label_disposition(ngx_uint_t i);
static const ngx_str_t *ngx_http_sgtm_label_reason(ngx_uint_t i);
static const ngx_str_t *ngx_http_sgtm_label_upstream(ngx_uint_t i);
static const ngx_str_t *ngx_http_sgtm_label_over(ngx_uint_t i);
static const ngx_str_t *ngx_http_sgtm_label_csp(ngx_uint_t i);


static ngx_http_sgtm_family_t  ngx_http_sgtm_families[] = {

    { ngx_string("requests"), ngx_string("sgtm_requests_total"),
      ngx_string("Requests below a gateway's prefix, by what they are."),
      ngx_string("route"), ngx_http_sgtm_label_route,
      offsetof(ngx_http_sgtm_counters_t, routes),
      0, NGX_HTTP_SGTM_ROUTE_N, 0 },

    { ngx_string("hits"), ngx_string("sgtm_hits_total"),
      ngx_string("Hits, by what became of them."),
      ngx_string("disposition"), ngx_http_sgtm_label_disposition,
      offsetof(ngx_http_sgtm_counters_t, dispositions),
      NGX_HTTP_SGTM_FORWARDED, NGX_HTTP_SGTM_DISPOSITION_N, 0 },

    { ngx_string("events"), ngx_string("sgtm_events_total"),
      ngx_string("Events of the hits that could be read."),
      ngx_null_string, NULL,
      offsetof(ngx_http_sgtm_counters_t, events), 0, 1, 0 },

    { ngx_string("duplicate_events"), ngx_string("sgtm_duplicate_events_total"),
      ngx_string("Events that were seen before, and dropped."),
      ngx_null_string, NULL,
      offsetof(ngx_http_sgtm_counters_t, duplicate_events), 0, 1, 0 },

    { ngx_string("routed_events"), ngx_string("sgtm_routed_events_total"),
      ngx_string("Events that a record routes another way, and dropped."),
      ngx_null_string, NULL,
      offsetof(ngx_http_sgtm_counters_t, routed_events), 0, 1, 0 },

    { ngx_string("consent_absent"), ngx_string("sgtm_consent_absent_total"),
      ngx_string("Hits that carried no consent, so that the default held."),
      ngx_null_string, NULL,
      offsetof(ngx_http_sgtm_counters_t, consent_absent), 0, 1, 0 },

    { ngx_string("reasons"), ngx_string("sgtm_reasons_total"),
      ngx_string("Requests that were not forwarded, by reason."),
      ngx_string("reason"), ngx_http_sgtm_label_reason,
      offsetof(ngx_http_sgtm_counters_t, reasons),
      SGTM_REASON_NONE + 1, NGX_HTTP_SGTM_REASON_N, 1 },

    { ngx_string("upstream"), ngx_string("sgtm_upstream_total"),
      ngx_string("Requests sent to the tagging server, by result."),
      ngx_string("result"), ngx_http_sgtm_label_upstream,
      offsetof(ngx_http_sgtm_counters_t, upstream),
      0, NGX_HTTP_SGTM_UPSTREAM_N, 0 },

    { ngx_string("over_limit"), ngx_string("sgtm_over_limit_total"),
      ngx_string("Hits past a limit that Google documents for GA4."),
      ngx_string("limit"), ngx_http_sgtm_label_over,
      offsetof(ngx_http_sgtm_counters_t, over), 0, SGTM_OVER_N, 1 },

    { ngx_string("csp_violations"), ngx_string("sgtm_csp_violations_total"),
      ngx_string("Violations of policies that browsers have reported."),
      ngx_string("directive"), ngx_http_sgtm_label_csp,
      offsetof(ngx_http_sgtm_counters_t, csp), 0, SGTM_CSP_N, 1 },

    { ngx_null_string, ngx_null_string, ngx_null_string, ngx_null_string,
      NULL, 0, 0, 0, 0 }
};


char *
ngx_http_sgtm_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "is duplicate, or the location has another content already";
    }

    clcf->handler = ngx_http_sgtm_status_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sgtm_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_uint_t               text;
    ngx_http_sgtm_zone_t    *zone;
    ngx_http_sgtm_writer_t   w;

    static ngx_str_t  no_store = ngx_string("no-store");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&w, sizeof(ngx_http_sgtm_writer_t));

    w.request = r;
    w.last = &w.out;
    w.smcf = ngx_http_get_module_main_conf(r, ngx_http_sgtm_module);

    zone = w.smcf->zone ? ngx_http_sgtm_zone(w.smcf) : NULL;

    text = ngx_http_sgtm_status_prometheus(r);

    rc = zone ? ngx_http_sgtm_status_tenants(&w) : NGX_OK;

    if (rc == NGX_OK) {
        rc = text ? ngx_http_sgtm_write_text(&w, zone)
                  : ngx_http_sgtm_write_json(&w, zone);
    }

    ngx_http_sgtm_status_tenants_end(&w);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    w.buf->last_buf = 1;
    w.buf->last_in_chain = 1;
    w.size += w.buf->last - w.buf->pos;

    if (text) {
        ngx_str_set(&r->headers_out.content_type,
                    "text/plain; version=0.0.4; charset=utf-8");

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/json");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = w.size;

    if (ngx_http_sgtm_answer_header(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, w.out);
}


/* "?format=" decides, then "Accept" */

static ngx_uint_t
ngx_http_sgtm_status_prometheus(ngx_http_request_t *r)
{
    u_char           *p;
    ngx_uint_t        i;
    ngx_str_t         format;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (ngx_http_arg(r, (u_char *) "format", 6, &format) == NGX_OK) {
        return format.len == 10
               && ngx_strncmp(format.data, "prometheus", 10) == 0;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != 6
                || ngx_strncasecmp(h[i].key.data, (u_char *) "accept", 6) != 0)
            {
                continue;
            }

            p = h[i].value.data;

            return ngx_strlcasestrn(p, p + h[i].value.len,
                                    (u_char *) "text/plain", 10 - 1)
                   || ngx_strlcasestrn(p, p + h[i].value.len,
                                       (u_char *) "openmetrics", 11 - 1);
        }
    }

    return 0;
}


/* room for so many bytes in the current buffer, or in one more */

ngx_int_t
ngx_http_sgtm_status_room(ngx_http_sgtm_writer_t *w, size_t size)
{
    ngx_chain_t  *cl;

    if (w->buf) {
        if ((size_t) (w->buf->end - w->buf->last) >= size) {
            return NGX_OK;
        }

        w->size += w->buf->last - w->buf->pos;
    }

    cl = ngx_alloc_chain_link(w->request->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    w->buf = ngx_create_temp_buf(w->request->pool,
                                 ngx_max(size, NGX_HTTP_SGTM_STATUS_BUF));
    if (w->buf == NULL) {
        return NGX_ERROR;
    }

    cl->buf = w->buf;
    cl->next = NULL;

    *w->last = cl;
    w->last = &cl->next;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_write_json(ngx_http_sgtm_writer_t *w, ngx_http_sgtm_zone_t *zone)
{
    ngx_uint_t              i;
    ngx_http_sgtm_shown_t  *tenant;

    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    if (zone == NULL) {
        w->buf->last = ngx_sprintf(w->buf->last, "{\"tenants\":{}}\n");
        return NGX_OK;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                               "{\"since\":%T,", zone->created);

    if (ngx_http_sgtm_status_spool_json(w, zone) != NGX_OK
        || ngx_http_sgtm_status_registry_json(w) != NGX_OK
        || ngx_http_sgtm_status_meter_json(w) != NGX_OK
        || ngx_http_sgtm_status_scripts_json(w) != NGX_OK
        || ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "\"tenants\":{");

    tenant = w->tenants.elts;

    for (i = 0; i < w->tenants.nelts; i++) {

        if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE
                                         + 6 * tenant[i].id.len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        w->buf->last = ngx_sprintf(w->buf->last, "%s\n\"", i ? "," : "");
        w->buf->last = ngx_http_sgtm_status_escape(w->buf->last,
                                                   &tenant[i].id);
        w->buf->last = ngx_sprintf(w->buf->last, "\":{");

        if (ngx_http_sgtm_write_json_tenant(w, &tenant[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return (ngx_http_sgtm_write_json_latency(w, zone) == NGX_OK)
           ? ngx_http_sgtm_write_json_dedup(w, zone) : NGX_ERROR;
}


static ngx_int_t
ngx_http_sgtm_write_json_tenant(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_shown_t *shown)
{
    ngx_uint_t               i, n;
    ngx_atomic_t            *counter;
    ngx_http_sgtm_family_t  *f;

    for (f = ngx_http_sgtm_families; f->key.len; f++) {

        counter = (ngx_atomic_t *) ((u_char *) shown->counters + f->offset);

        if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        w->buf->last = ngx_sprintf(w->buf->last, "%s\"%V\":",
                                   f == ngx_http_sgtm_families ? "" : ",",
                                   &f->key);

        if (f->label.len == 0) {
            w->buf->last = ngx_sprintf(w->buf->last, "%uA", *counter);
            continue;
        }

        *w->buf->last++ = '{';

        for (i = f->first, n = 0; i < f->n; i++) {

            if (f->sparse && counter[i] == 0) {
                continue;
            }

            if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            w->buf->last = ngx_sprintf(w->buf->last, "%s\"%V\":%uA",
                                       n++ ? "," : "", f->value(i),
                                       counter[i]);
        }

        *w->buf->last++ = '}';
    }

    if (ngx_http_sgtm_status_month_json(w, shown) != NGX_OK
        || ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK)
    {
        return NGX_ERROR;
    }

    *w->buf->last++ = '}';

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_write_json_latency(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  count;

    if (ngx_http_sgtm_status_room(w, 4 * NGX_HTTP_SGTM_STATUS_LINE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last, "\n},\"gate_time_us\":{\"le\":{");

    for (i = 0, count = 0; i < NGX_HTTP_SGTM_LATENCY_N; i++) {
        count += zone->latency.buckets[i];

        if (i < NGX_HTTP_SGTM_LATENCY_N - 1) {
            w->buf->last = ngx_sprintf(w->buf->last, "%s\"%ui\":%uA",
                                       i ? "," : "", (ngx_uint_t) 1 << i,
                                       count);
        }
    }

    w->buf->last = ngx_sprintf(w->buf->last, "},\"count\":%uA,\"sum\":%uA}",
                               count, zone->latency.sum / 1000);

    return NGX_OK;
}


/* what ends the JSON; without the table there is nothing to tell */

static ngx_int_t
ngx_http_sgtm_write_json_dedup(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone)
{
    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    if (w->next) {
        w->buf->last = ngx_sprintf(w->buf->last, ",\n\"tenants_next\":%uz",
                                   w->next);
    }

    if (zone->dedup) {
        w->buf->last = ngx_sprintf(w->buf->last,
                                   ",\n\"dedup_capacity\":%uD,"
                                   "\"dedup_evicted\":%uL",
                                   sgtm_seen_entries(zone->dedup->seen),
                                   sgtm_seen_evicted(zone->dedup->seen));
    }

    w->buf->last = ngx_sprintf(w->buf->last, "}\n");

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_write_text(ngx_http_sgtm_writer_t *w, ngx_http_sgtm_zone_t *zone)
{
    ngx_http_sgtm_family_t  *f;

    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    if (zone == NULL) {
        w->buf->last = ngx_sprintf(w->buf->last, "# no gateway\n");
        return NGX_OK;
    }

    if (w->next) {
        w->buf->last = ngx_sprintf(w->buf->last,
                                   "# more tenants: \"?from=%uz\"\n",
                                   w->next);
    }

    for (f = ngx_http_sgtm_families; f->key.len; f++) {
        if (ngx_http_sgtm_write_text_family(w, f) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_sgtm_status_spool_text(w, zone) != NGX_OK
        || ngx_http_sgtm_status_registry_text(w) != NGX_OK
        || ngx_http_sgtm_status_meter_text(w) != NGX_OK
        || ngx_http_sgtm_write_text_latency(w, zone) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_write_text_dedup(w, zone);
}


static ngx_int_t
ngx_http_sgtm_write_text_family(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_family_t *f)
{
    ngx_uint_t              i, k;
    ngx_atomic_t           *counter;
    ngx_http_sgtm_shown_t  *tenant;

    if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE) != NGX_OK) {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                               "# HELP %V %V\n# TYPE %V counter\n",
                               &f->name, &f->help, &f->name);

    tenant = w->tenants.elts;

    for (k = 0; k < w->tenants.nelts; k++) {

        counter = (ngx_atomic_t *) ((u_char *) tenant[k].counters + f->offset);

        for (i = f->first; i < f->n; i++) {

            if (f->sparse && counter[i] == 0) {
                continue;
            }

            if (ngx_http_sgtm_status_room(w, NGX_HTTP_SGTM_STATUS_LINE
                                             + 6 * tenant[k].id.len)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            w->buf->last = ngx_sprintf(w->buf->last, "%V{tenant=\"", &f->name);
            w->buf->last = ngx_http_sgtm_status_escape(w->buf->last,
                                                       &tenant[k].id);
            *w->buf->last++ = '"';

            if (f->label.len) {
                w->buf->last = ngx_sprintf(w->buf->last, ",%V=\"%V\"",
                                           &f->label, f->value(i));
            }

            w->buf->last = ngx_sprintf(w->buf->last, "} %uA\n", counter[i]);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_write_text_latency(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone)
{
    ngx_uint_t         i, us;
    ngx_atomic_uint_t  count;

    if (ngx_http_sgtm_status_room(w, 8 * NGX_HTTP_SGTM_STATUS_LINE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                       "# HELP sgtm_gate_seconds Time of a request in the "
                       "gate.\n# TYPE sgtm_gate_seconds histogram\n");

    for (i = 0, count = 0; i < NGX_HTTP_SGTM_LATENCY_N - 1; i++) {
        count += zone->latency.buckets[i];
        us = (ngx_uint_t) 1 << i;

        w->buf->last = ngx_sprintf(w->buf->last,
                                   "sgtm_gate_seconds_bucket{le=\"%ui.%06ui\"}"
                                   " %uA\n",
                                   us / 1000000, us % 1000000, count);
    }

    count += zone->latency.buckets[i];

    w->buf->last = ngx_sprintf(w->buf->last,
                               "sgtm_gate_seconds_bucket{le=\"+Inf\"} %uA\n"
                               "sgtm_gate_seconds_sum %uA.%09uA\n"
                               "sgtm_gate_seconds_count %uA\n",
                               count, zone->latency.sum / 1000000000,
                               zone->latency.sum % 1000000000, count);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_write_text_dedup(ngx_http_sgtm_writer_t *w,
    ngx_http_sgtm_zone_t *zone)
{
    if (zone->dedup == NULL) {
        return NGX_OK;
    }

    if (ngx_http_sgtm_status_room(w, 4 * NGX_HTTP_SGTM_STATUS_LINE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    w->buf->last = ngx_sprintf(w->buf->last,
                       "# HELP sgtm_dedup_capacity Ids of events that there is "
                       "room for.\n# TYPE sgtm_dedup_capacity gauge\n"
                       "sgtm_dedup_capacity %uD\n"
                       "# HELP sgtm_dedup_evicted_total Ids that made room "
                       "before their window was over.\n"
                       "# TYPE sgtm_dedup_evicted_total counter\n"
                       "sgtm_dedup_evicted_total %uL\n",
                       sgtm_seen_entries(zone->dedup->seen),
                       sgtm_seen_evicted(zone->dedup->seen));

    return NGX_OK;
}


/* what JSON and Prometheus's labels both read: six bytes for one at most */

u_char *
ngx_http_sgtm_status_escape(u_char *p, ngx_str_t *id)
{
    return (u_char *) ngx_escape_json(p, id->data, id->len);
}


static const ngx_str_t *
ngx_http_sgtm_label_route(ngx_uint_t i)
{
    return &ngx_http_sgtm_route_labels[i];
}


static const ngx_str_t *
ngx_http_sgtm_label_disposition(ngx_uint_t i)
{
    return &ngx_http_sgtm_disposition_labels[i];
}


static const ngx_str_t *
ngx_http_sgtm_label_reason(ngx_uint_t i)
{
    return (const ngx_str_t *) &ngx_http_sgtm_reason(i)->label;
}


static const ngx_str_t *
ngx_http_sgtm_label_upstream(ngx_uint_t i)
{
    return &ngx_http_sgtm_upstream_labels[i];
}


static const ngx_str_t *
ngx_http_sgtm_label_over(ngx_uint_t i)
{
    return (const ngx_str_t *) &sgtm_over_labels[i];
}


static const ngx_str_t *
ngx_http_sgtm_label_csp(ngx_uint_t i)
{
    return (const ngx_str_t *) &sgtm_csp_labels[i];
}
