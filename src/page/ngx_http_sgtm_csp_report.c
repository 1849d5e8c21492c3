
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ops/ngx_http_sgtm_counters.h"
#include "ngx_http_sgtm_csp.h"
#include "sgtm_csp.h"


static void ngx_http_sgtm_csp_report_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_csp_report_text(ngx_http_request_t *r,
    ngx_str_t *text);


ngx_int_t
ngx_http_sgtm_csp_report_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "sgtm csp report handler");

    rc = ngx_http_read_client_request_body(r, ngx_http_sgtm_csp_report_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/* a report says what page it was and whose browser: only its kind is kept */

static void
ngx_http_sgtm_csp_report_body(ngx_http_request_t *r)
{
    unsigned                   n[SGTM_CSP_N];
    ngx_str_t                  text, type;
    ngx_uint_t                 i;
    ngx_http_sgtm_ctx_t       *ctx;
    ngx_http_complex_value_t   cv;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sgtm_module);

    if (ngx_http_sgtm_csp_report_text(r, &text) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_memzero(n, sizeof(n));

    if (ctx && ctx->tenant && ctx->tenant->counters
        && sgtm_csp_report(ngx_http_sgtm_str(&text), n) == SGTM_OK)
    {
        for (i = 0; i < SGTM_CSP_N; i++) {
            if (n[i]) {
                (void) ngx_atomic_fetch_add(&ctx->tenant->counters->csp[i],
                                            n[i]);
            }
        }
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    ngx_str_set(&type, "text/plain");

    ngx_http_finalize_request(r, ngx_http_send_response(r, NGX_HTTP_NO_CONTENT,
                                                        &type, &cv));
}


/* one that did not fit into client_body_buffer_size is none */

static ngx_int_t
ngx_http_sgtm_csp_report_text(ngx_http_request_t *r, ngx_str_t *text)
{
    u_char       *p;
    size_t        len;
    ngx_chain_t  *cl, *bufs;

    ngx_str_null(text);

    bufs = r->request_body ? r->request_body->bufs : NULL;

    if (bufs == NULL) {
        return NGX_OK;
    }

    for (cl = bufs, len = 0; cl; cl = cl->next) {

        if (cl->buf->in_file) {
            return NGX_OK;
        }

        len += cl->buf->last - cl->buf->pos;
    }

    if (len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;
    text->len = len;

    for (cl = bufs; cl; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, cl->buf->last - cl->buf->pos);
    }

    return NGX_OK;
}
