
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_header_names.h"


typedef struct {
    ngx_str_t    name;
    ngx_uint_t   action;
} ngx_http_sgtm_header_t;


static ngx_http_sgtm_header_t *ngx_http_sgtm_header_names_known(
    ngx_str_t *name);
static void ngx_http_sgtm_header_names_add(ngx_http_sgtm_tables_t *t,
    ngx_str_t *name, ngx_uint_t action);


static ngx_http_sgtm_header_t  ngx_http_sgtm_header_list[] = {

    { ngx_string("accept"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("accept-encoding"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("accept-language"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("access-control-request-headers"),
      NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("access-control-request-method"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("attribution-reporting-eligible"),
      NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("attribution-reporting-support"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("cache-control"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("content-encoding"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("content-type"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("dnt"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("if-modified-since"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("if-none-match"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("if-range"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("pragma"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("priority"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("purpose"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("range"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("save-data"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-arch"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-bitness"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-form-factors"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-full-version"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-full-version-list"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-mobile"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-model"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-platform"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-platform-version"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-ch-ua-wow64"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-dest"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-mode"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-site"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-fetch-user"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("sec-purpose"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("service-worker"), NGX_HTTP_SGTM_HEADER_PASS },
    { ngx_string("user-agent"), NGX_HTTP_SGTM_HEADER_PASS },

    { ngx_string("x-gtm-auth"), NGX_HTTP_SGTM_HEADER_PREVIEW },
    { ngx_string("x-gtm-debug"), NGX_HTTP_SGTM_HEADER_PREVIEW },
    { ngx_string("x-gtm-preview"), NGX_HTTP_SGTM_HEADER_PREVIEW },
    { ngx_string("x-gtm-server-preview"), NGX_HTTP_SGTM_HEADER_PREVIEW },

    { ngx_string("cookie"), NGX_HTTP_SGTM_HEADER_COOKIE },
    { ngx_string("referer"), NGX_HTTP_SGTM_HEADER_REFERER },
    { ngx_string("origin"), NGX_HTTP_SGTM_HEADER_ORIGIN },
    { ngx_string("sec-gpc"), NGX_HTTP_SGTM_HEADER_GPC },

    { ngx_string("authorization"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("connection"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("content-length"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("forwarded"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("host"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("proxy-authorization"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("transfer-encoding"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-forwarded-for"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-forwarded-host"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-forwarded-proto"), NGX_HTTP_SGTM_HEADER_OWN },

    /* addresses that clients may claim: X-Forwarded-For has the true one */

    { ngx_string("cf-connecting-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("cf-connecting-ipv6"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("fastly-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("true-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-appengine-user-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-azure-clientip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-cluster-client-ip"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-original-forwarded-for"), NGX_HTTP_SGTM_HEADER_OWN },
    { ngx_string("x-real-ip"), NGX_HTTP_SGTM_HEADER_OWN },

    { ngx_null_string, 0 }
};


ngx_int_t
ngx_http_sgtm_header_names_table(ngx_conf_t *cf, ngx_http_sgtm_tables_t *t)
{
    ngx_str_t               *name, lower;
    ngx_uint_t               i, n, size;
    ngx_http_sgtm_header_t  *header;

    n = t->headers ? t->headers->nelts : 0;
    name = n ? t->headers->elts : NULL;

    /* three slots of four stay free: most names are found at the first look */

    size = 4 * (n + sizeof(ngx_http_sgtm_header_list)
                    / sizeof(ngx_http_sgtm_header_t));

    for (i = 1; i < size; i <<= 1) { /* void */ }

    t->header_names = ngx_pcalloc(cf->pool, i * sizeof(ngx_http_sgtm_name_t));
    if (t->header_names == NULL) {
        return NGX_ERROR;
    }

    t->header_mask = i - 1;

    for (header = ngx_http_sgtm_header_list; header->name.len; header++) {
        ngx_http_sgtm_header_names_add(t, &header->name, header->action);
    }

    for (i = 0; i < n; i++) {

        if (ngx_http_sgtm_header_names_known(&name[i])) {
            continue;
        }

        lower.len = name[i].len;
        lower.data = ngx_pnalloc(cf->pool, lower.len);
        if (lower.data == NULL) {
            return NGX_ERROR;
        }

        ngx_strlow(lower.data, name[i].data, lower.len);

        ngx_http_sgtm_header_names_add(t, &lower, NGX_HTTP_SGTM_HEADER_PASS);
    }

    return NGX_OK;
}


static void
ngx_http_sgtm_header_names_add(ngx_http_sgtm_tables_t *t, ngx_str_t *name,
    ngx_uint_t action)
{
    uint32_t               hash;
    ngx_uint_t             i;
    ngx_http_sgtm_name_t  *slot;

    hash = (uint32_t) ngx_hash_key(name->data, name->len);

    for (i = hash & t->header_mask;
         t->header_names[i].action;
         i = (i + 1) & t->header_mask)
    {
        /* void */
    }

    slot = &t->header_names[i];

    slot->hash = hash;
    slot->action = action;
    slot->name = *name;
}


static ngx_http_sgtm_header_t *
ngx_http_sgtm_header_names_known(ngx_str_t *name)
{
    ngx_http_sgtm_header_t  *header;

    for (header = ngx_http_sgtm_header_list; header->name.len; header++) {
        if (header->name.len == name->len
            && ngx_strncasecmp(header->name.data, name->data, name->len) == 0)
        {
            return header;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_sgtm_header_names_own(ngx_str_t *name)
{
    ngx_http_sgtm_header_t  *header;

    header = ngx_http_sgtm_header_names_known(name);

    return header && header->action == NGX_HTTP_SGTM_HEADER_OWN;
}
