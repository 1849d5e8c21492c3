
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_check.h"
#include "ngx_http_sgtm_check_page.h"
#include "ngx_http_sgtm_page.h"
#include "ngx_http_sgtm_settings.h"


/* of cookies, what an answer has room for */
#define NGX_HTTP_SGTM_CHECK_COOKIES  64
#define NGX_HTTP_SGTM_CHECK_NAME     64

/*
 * Nothing but its own files, whatever the site allows: no code and no style in
 * the page, no other host, no frame around it.
 */
#define NGX_HTTP_SGTM_CHECK_POLICY                                            \
    "default-src 'none'; script-src 'self'; style-src 'self'; "               \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "               \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; "            \
    "trusted-types 'none'"


typedef struct {
    ngx_str_t     path;
    const char   *type;
    ngx_str_t    *head;        /* parts; behind them come the settings, if */
    ngx_str_t    *tail;        /* there is a tail; NULL: the state */
} ngx_http_sgtm_check_file_t;


static ngx_http_sgtm_check_file_t *ngx_http_sgtm_check_file(ngx_str_t *path);
static ngx_int_t ngx_http_sgtm_check_headers(ngx_http_request_t *r,
    ngx_http_sgtm_check_file_t *file);
static ngx_int_t ngx_http_sgtm_check_parts(ngx_http_request_t *r,
    ngx_chain_t ***last, ngx_str_t *parts, off_t *size);
static ngx_int_t ngx_http_sgtm_check_state(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_str_t *json);
static u_char *ngx_http_sgtm_check_cookies(u_char *p,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_uint_t ngx_http_sgtm_check_cookie(ngx_http_request_t *r);


static ngx_http_sgtm_check_file_t  ngx_http_sgtm_check_files[] = {
    { ngx_string("check"), "text/html",
      ngx_http_sgtm_check_html_head, ngx_http_sgtm_check_html_tail },
    { ngx_string("check/check.js"), "application/javascript",
      ngx_http_sgtm_check_js, NULL },
    { ngx_string("check/check.css"), "text/css",
      ngx_http_sgtm_check_css, NULL },
    { ngx_string("check/state"), "application/json", NULL, NULL },
    { ngx_null_string, NULL, NULL, NULL }
};


char *
ngx_http_sgtm_conf_check(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t                         *value;
    ngx_http_complex_value_t          *cv;
    ngx_http_compile_complex_value_t   ccv;

    if (slcf->check != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 3 && ngx_strncmp(value[1].data, "off", 3) == 0) {
        slcf->check = NULL;
        return NGX_CONF_OK;
    }

    cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (cv == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = cv;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cv->lengths == NULL
        && (value[1].len != 2 || ngx_strncmp(value[1].data, "on", 2) != 0))
    {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                      "\"on\", \"off\" or a variable");
    }

    slcf->check = cv;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_sgtm_check_path(ngx_http_sgtm_loc_conf_t *conf, ngx_str_t *path)
{
    return conf->check && ngx_http_sgtm_check_file(path);
}


static ngx_http_sgtm_check_file_t *
ngx_http_sgtm_check_file(ngx_str_t *path)
{
    ngx_http_sgtm_check_file_t  *file;

    for (file = ngx_http_sgtm_check_files; file->path.len; file++) {

        if (path->len == file->path.len
            && ngx_memcmp(path->data, file->path.data, path->len) == 0)
        {
            return file;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_sgtm_check_allowed(ngx_http_request_t *r,
    ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_str_t  value;

    if (conf->check == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_complex_value(r, conf->check, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0
        || (value.len == 1 && value.data[0] == '0')
        || (value.len == 3 && ngx_strncmp(value.data, "off", 3) == 0))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_sgtm_check_hit(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    static ngx_str_t  name = ngx_string("sgtm_check");

    return ctx->conf->check
           && ctx->event.len == name.len
           && ngx_memcmp(ctx->event.data, name.data, name.len) == 0
           && ngx_http_sgtm_check_allowed(r, ctx->conf) == NGX_OK;
}


ngx_int_t
ngx_http_sgtm_check_handler(ngx_http_request_t *r)
{
    off_t                        size;
    ngx_int_t                    rc;
    ngx_str_t                    json[2];
    ngx_chain_t                 *out, **last;
    ngx_http_sgtm_ctx_t         *ctx;
    ngx_http_sgtm_check_file_t  *file;

    ctx = ngx_http_get_module_ctx(r, ngx_http_sgtm_module);

    file = ngx_http_sgtm_check_file(&ctx->path);

    if (file == NULL) {
        return NGX_HTTP_NOT_FOUND;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = NGX_OK;
    size = 0;
    out = NULL;
    last = &out;

    ngx_str_null(&json[0]);
    ngx_str_null(&json[1]);

    if (file->head == NULL) {
        rc = ngx_http_sgtm_check_state(r, ctx, &json[0]);

    } else if (file->tail) {
        rc = ngx_http_sgtm_settings(r->pool, ctx->conf, &json[0]);
    }

    if (rc != NGX_OK
        || ngx_http_sgtm_check_parts(r, &last, file->head, &size) != NGX_OK
        || ngx_http_sgtm_check_parts(r, &last, json, &size) != NGX_OK
        || ngx_http_sgtm_check_parts(r, &last, file->tail, &size) != NGX_OK
        || ngx_http_sgtm_check_headers(r, file) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_sgtm_page_send(r, file->type, out, size);
}


static ngx_int_t
ngx_http_sgtm_check_parts(ngx_http_request_t *r, ngx_chain_t ***last,
    ngx_str_t *parts, off_t *size)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    for ( /* void */ ; parts && parts->len; parts++) {

        cl = ngx_alloc_chain_link(r->pool);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }

        b->pos = parts->data;
        b->last = parts->data + parts->len;
        b->memory = 1;

        cl->buf = b;
        cl->next = NULL;

        **last = cl;
        *last = &cl->next;

        *size += parts->len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_check_headers(ngx_http_request_t *r,
    ngx_http_sgtm_check_file_t *file)
{
    ngx_uint_t  i;

    static ngx_str_t  no_store = ngx_string("no-store");
    static ngx_str_t  policy = ngx_string(NGX_HTTP_SGTM_CHECK_POLICY);

    static struct {
        const char  *name;
        ngx_str_t    value;
    } headers[] = {
        { "X-Content-Type-Options", ngx_string("nosniff") },
        { "Cross-Origin-Resource-Policy", ngx_string("same-origin") },
        { "Referrer-Policy", ngx_string("no-referrer") },
        { "X-Robots-Tag", ngx_string("noindex, nofollow") }
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (ngx_http_sgtm_page_header(r, headers[i].name, &headers[i].value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    if (file->tail
        && ngx_http_sgtm_page_header(r, "Content-Security-Policy", &policy)
           == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_page_cache_control(r, &no_store);
}


/*
 * What a browser can't know of its own request: the consent that is read from
 * it, and the names of its cookies that scripts may not see.
 */

static ngx_int_t
ngx_http_sgtm_check_state(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *json)
{
    u_char                    *p;
    ngx_str_t                  id;
    ngx_uint_t                 i;
    ngx_http_sgtm_loc_conf_t  *conf;

    static u_char  states[] = { '-', '1', '0' };

    conf = ctx->conf;

    ngx_http_sgtm_settings_stream(conf, &id);

    p = ngx_pnalloc(r->pool, 256 + id.len
                             + NGX_HTTP_SGTM_CHECK_COOKIES
                               * (NGX_HTTP_SGTM_CHECK_NAME + 3));
    if (p == NULL) {
        return NGX_ERROR;
    }

    json->data = p;

    p = ngx_sprintf(p, "{\"id\":\"%V\",\"consent\":\"", &id);

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        *p++ = states[ctx->consent.state[i]];
    }

    p = ngx_sprintf(p, "\",\"gpc\":%s,\"queued\":%s,\"probe\":%s,\"cookies\":[",
                    (ctx->gpc && conf->consent_gpc) ? "true" : "false",
                    conf->delivery == NGX_HTTP_SGTM_DELIVERY_QUEUED
                    ? "true" : "false",
                    ngx_http_sgtm_check_cookie(r) ? "true" : "false");

    p = ngx_http_sgtm_check_cookies(p, ctx);

    p = ngx_sprintf(p, "]}\n");

    json->len = p - json->data;

    return NGX_OK;
}


/* names that the tagging server may see; no value leaves the gateway */

static u_char *
ngx_http_sgtm_check_cookies(u_char *p, ngx_http_sgtm_ctx_t *ctx)
{
    u_char      *pos, *last, *name;
    ngx_uint_t   n;

    if (!ctx->cookies) {
        return p;
    }

    pos = ctx->cookie.data;
    last = pos + ctx->cookie.len;

    for (n = 0; pos < last && n < NGX_HTTP_SGTM_CHECK_COOKIES; pos++) {

        while (pos < last && (*pos == ' ' || *pos == ';')) {
            pos++;
        }

        name = pos;

        while (pos < last
               && ((*pos >= '0' && *pos <= '9') || *pos == '_' || *pos == '-'
                   || *pos == '.'
                   || ((*pos | 0x20) >= 'a' && (*pos | 0x20) <= 'z')))
        {
            pos++;
        }

        /* one of another form would have to be escaped */

        if (pos < last && *pos == '=' && pos > name
            && pos - name <= NGX_HTTP_SGTM_CHECK_NAME)
        {
            p = ngx_sprintf(p, "%s\"%*s\"", n++ ? "," : "",
                            (size_t) (pos - name), name);
        }

        while (pos < last && *pos != ';') {
            pos++;
        }
    }

    return p;
}


/* whether the browser has sent the cookie that the page has set */

static ngx_uint_t
ngx_http_sgtm_check_cookie(ngx_http_request_t *r)
{
    ngx_str_t  value;

    static ngx_str_t  name = ngx_string("sgtm_check");

#if (nginx_version >= 1023000)

    return ngx_http_parse_multi_header_lines(r, r->headers_in.cookie, &name,
                                             &value)
           != NULL;

#else

    return ngx_http_parse_multi_header_lines(&r->headers_in.cookies, &name,
                                             &value)
           != NGX_DECLINED;

#endif
}
