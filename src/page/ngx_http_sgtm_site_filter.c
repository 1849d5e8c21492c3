
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_csp.h"
#include "ngx_http_sgtm_inject.h"
#include "ngx_http_sgtm_site.h"


static ngx_int_t ngx_http_sgtm_site_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_sgtm_site_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_sgtm_site_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_sgtm_site_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_sgtm_site_filter_init,        /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_sgtm_site_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_sgtm_site_filter_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


static ngx_int_t
ngx_http_sgtm_site_filter_init(ngx_conf_t *cf)
{
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_sgtm_module);

    if (smcf->sites.nelts == 0) {
        return NGX_OK;
    }

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_sgtm_site_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_sgtm_site_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_site_header_filter(ngx_http_request_t *r)
{
    ngx_str_t                  nonce;
    ngx_http_sgtm_site_t      *site;
    ngx_http_sgtm_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_sgtm_module);
    site = conf->site;

    if (site == NULL || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    /* another answer may have begun, and ended in this one */

    ngx_http_set_ctx(r, NULL, ngx_http_sgtm_site_filter_module);

    if (!ngx_http_sgtm_site_is_html(r)
        && r->headers_out.status != NGX_HTTP_NOT_MODIFIED)
    {
        return ngx_http_next_header_filter(r);
    }

#if (NGX_HTTP_GZIP)

    /* whether the answer is to be packed is still to be asked */

    r->gzip_tested = 0;

#endif

    ngx_str_null(&nonce);

    if (site->csp_tags
        && ngx_http_sgtm_csp_header(r, site, &nonce) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (site->inject_tags) {
        return ngx_http_sgtm_inject_header(r, site, &nonce,
                                           ngx_http_next_header_filter);
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_sgtm_site_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    if (ngx_http_get_module_ctx(r, ngx_http_sgtm_site_filter_module) == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    return ngx_http_sgtm_inject_body(r, in, ngx_http_next_header_filter,
                                     ngx_http_next_body_filter);
}
