
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The site's own pages, which another location serves: what sgtm_inject and
 * sgtm_csp do to them, and for the tags of which gateway.
 */


#ifndef _NGX_HTTP_SGTM_SITE_H_INCLUDED_
#define _NGX_HTTP_SGTM_SITE_H_INCLUDED_


#include "../ngx_http_sgtm.h"
#include "../tenant/sgtm_tenant.h"


/* modes of sgtm_csp; of sgtm_inject 1 is on */

#define NGX_HTTP_SGTM_CSP_OFF     0
#define NGX_HTTP_SGTM_CSP_NONCE   1
#define NGX_HTTP_SGTM_CSP_STRICT  2


/* one sgtm_inject or sgtm_csp directive */

struct ngx_http_sgtm_fit_s {
    ngx_uint_t                 mode;
    ngx_str_t                  prefix;     /* empty: the only gateway's */
    ngx_uint_t                 errors;     /* pages of errors, too */
    ngx_uint_t                 common;     /* it stands in http{} */
};


/* the tags of a gateway, as pages have to do with them */

typedef struct {
    ngx_http_core_srv_conf_t  *server;
    ngx_http_sgtm_loc_conf_t  *gateway;
    ngx_str_t                  prefix;     /* as in a URL: "/metrics/" */
    ngx_str_t                  script;     /* "/metrics/t.js" */
    ngx_str_t                  line;       /* "<script async src=..." */
    ngx_uint_t                 tagging;    /* sgtm_tagging_e */
    ngx_uint_t                 ways;       /* SGTM_CSP_* */
} ngx_http_sgtm_tags_t;


/* of a location, or a server, whose pages are changed */

struct ngx_http_sgtm_site_s {
    ngx_http_core_srv_conf_t  *server;
    ngx_str_t                  name;       /* of the location; or empty */
    ngx_http_sgtm_fit_t       *inject;     /* NULL: off */
    ngx_http_sgtm_fit_t       *csp;
    ngx_http_sgtm_tags_t      *inject_tags;
    ngx_http_sgtm_tags_t      *csp_tags;
    ngx_uint_t                 warned;     /* by this process */
};


/* what is known of one request; the same one after internal redirects */

typedef struct {
    ngx_str_t                  nonce;      /* empty: not made yet */
    unsigned                   asked:1;    /* a template may have it */
    unsigned                   checked:1;  /* the validators are seen to */
    unsigned                   marked:1;   /* they are those of a page that
                                              was changed */
} ngx_http_sgtm_site_ctx_t;


/* setters of the directives sgtm_inject and sgtm_csp */
char *ngx_http_sgtm_conf_inject(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_csp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Notes a completely merged location: a gateway, or one whose pages are
 * changed, which gets conf->site.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_site_merge(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *conf);

/* finds the gateway of each, once all are known: NGX_OK; NGX_ERROR, logged */
ngx_int_t ngx_http_sgtm_site_resolve_all(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf);

/*
 * Registers what comes before other filters: the handler of a page's request,
 * and what has a compressed page unpacked.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_site_init(ngx_conf_t *cf,
    ngx_http_sgtm_main_conf_t *smcf);

/*
 * The tags that the page of a request has to do with: those of the gateway, or
 * what the record of a tenant makes of them, in the request's pool.  NGX_OK;
 * NGX_DECLINED: the record, or that there is none, says that there are none;
 * NGX_ERROR: no memory.  feature is SGTM_FEATURE_INJECT or SGTM_FEATURE_CSP.
 */
ngx_int_t ngx_http_sgtm_site_tags(ngx_http_request_t *r,
    ngx_http_sgtm_tags_t *of, ngx_uint_t feature, ngx_http_sgtm_tags_t *tags);

/*
 * The line that loads a script, with a nonce if it is not empty.  NGX_OK or
 * NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_site_line(ngx_pool_t *pool, ngx_str_t *script,
    ngx_str_t *nonce, ngx_str_t *line);

/* what is known of a request; NULL: no memory */
ngx_http_sgtm_site_ctx_t *ngx_http_sgtm_site_ctx(ngx_http_request_t *r);

/* whether what is answered is HTML */
ngx_uint_t ngx_http_sgtm_site_is_html(ngx_http_request_t *r);

/*
 * Marks the answer's validators as those of a page with this script: ETag
 * becomes a weak one of its own, Last-Modified goes where there is none.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_sgtm_site_mark(ngx_http_request_t *r, ngx_str_t *script);

/* adds a header to the answer; its bytes are kept.  NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_site_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);

/* the value of $sgtm_nonce, empty where there is none: NGX_OK or NGX_ERROR */
ngx_int_t ngx_http_sgtm_site_nonce(ngx_http_request_t *r, ngx_str_t *value);


/*
 * The filters of pages.  They are a module of their own, since they have to
 * come behind others: those that add headers, unpack and put parts together.
 */
extern ngx_module_t  ngx_http_sgtm_site_filter_module;


#endif /* _NGX_HTTP_SGTM_SITE_H_INCLUDED_ */
