
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_detached.h"


/* what limit_req and limit_conn write into a request that they let pass */
#define NGX_HTTP_SGTM_LIMIT_PASSED  1


#if (nginx_version >= 1023000)
#define NGX_HTTP_SGTM_COOKIE        offsetof(ngx_http_headers_in_t, cookie)
#else
#define NGX_HTTP_SGTM_COOKIE        offsetof(ngx_http_headers_in_t, cookies)
#endif


typedef struct {
    ngx_str_t    name;
    size_t       offset;           /* in ngx_http_headers_in_t */
    ngx_uint_t   multi;            /* there may be several */
} ngx_http_sgtm_detached_header_t;


static ngx_int_t ngx_http_sgtm_detached_line(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d);
static ngx_int_t ngx_http_sgtm_detached_headers(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d);
static ngx_int_t ngx_http_sgtm_detached_own(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d);
static ngx_int_t ngx_http_sgtm_detached_push(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_detached_known(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_int_t ngx_http_sgtm_detached_multi(ngx_http_request_t *r,
    ngx_table_elt_t *h, void *list);
static ngx_int_t ngx_http_sgtm_detached_body(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d);


/*
 * What variables read by a pointer.  Not Accept-Encoding: nobody reads an
 * answer that a gzip filter would pack.
 */

static ngx_http_sgtm_detached_header_t  ngx_http_sgtm_detached_pointers[] = {

    { ngx_string("host"), offsetof(ngx_http_headers_in_t, host), 0 },

    { ngx_string("user-agent"),
      offsetof(ngx_http_headers_in_t, user_agent), 0 },

    { ngx_string("referer"), offsetof(ngx_http_headers_in_t, referer), 0 },

    { ngx_string("content-type"),
      offsetof(ngx_http_headers_in_t, content_type), 0 },

    { ngx_string("content-length"),
      offsetof(ngx_http_headers_in_t, content_length), 0 },

    { ngx_string("cookie"), NGX_HTTP_SGTM_COOKIE, 1 },

#if (NGX_HTTP_X_FORWARDED_FOR)
    { ngx_string("x-forwarded-for"),
      offsetof(ngx_http_headers_in_t, x_forwarded_for), 1 },
#endif

    { ngx_null_string, 0, 0 }
};


/*
 * What belongs to a connection or to the spool, not to a hit; Content-Length
 * is the body's.
 */

static ngx_str_t  ngx_http_sgtm_detached_hops[] = {
    ngx_string("connection"),
    ngx_string("content-length"),
    ngx_string("expect"),
    ngx_string("keep-alive"),
    ngx_string("sgtm-credentials"),
    ngx_string("sgtm-residency"),
    ngx_string("transfer-encoding"),
    ngx_string("upgrade"),
    ngx_null_string
};


ngx_int_t
ngx_http_sgtm_detached_fill(ngx_http_request_t *r, ngx_http_sgtm_detached_t *d)
{
#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    r->stat_reading = 0;
    (void) ngx_atomic_fetch_add(ngx_stat_writing, 1);
    r->stat_writing = 1;
#endif

    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    r->internal = 1;

    /* the site's limits are for visitors: the courier has its own */

    r->limit_rate_set = 1;
    r->limit_rate_after_set = 1;
    r->limit_conn_status = NGX_HTTP_SGTM_LIMIT_PASSED;
    r->limit_req_status = NGX_HTTP_SGTM_LIMIT_PASSED;

    if (ngx_http_sgtm_detached_line(r, d) != NGX_OK
        || ngx_http_sgtm_detached_headers(r, d) != NGX_OK
        || ngx_http_sgtm_detached_own(r, d) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_sgtm_detached_body(r, d);
}


/*
 * The request line and the URI that logs know are the path alone; what is sent
 * is made of r->uri and r->args.
 */

static ngx_int_t
ngx_http_sgtm_detached_line(ngx_http_request_t *r, ngx_http_sgtm_detached_t *d)
{
    u_char  *p;

    static ngx_str_t  protocol = ngx_string("HTTP/1.1");

    r->method_name = d->method;

    if (d->method.len == 3 && ngx_strncmp(d->method.data, "GET", 3) == 0) {
        r->method = NGX_HTTP_GET;

    } else if (d->method.len == 4
               && ngx_strncmp(d->method.data, "POST", 4) == 0)
    {
        r->method = NGX_HTTP_POST;
    }

    r->http_version = NGX_HTTP_VERSION_11;
    r->http_protocol = protocol;

    r->uri = d->uri;
    r->args = d->args;
    r->unparsed_uri = d->uri;
    r->valid_unparsed_uri = 0;

    p = ngx_pnalloc(r->pool, d->method.len + 1 + d->uri.len + 1
                             + protocol.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    r->request_line.data = p;

    p = ngx_cpymem(p, d->method.data, d->method.len);
    *p++ = ' ';
    p = ngx_cpymem(p, d->uri.data, d->uri.len);
    *p++ = ' ';
    p = ngx_cpymem(p, protocol.data, protocol.len);

    r->request_line.len = p - r->request_line.data;

    ngx_http_set_exten(r);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_detached_headers(ngx_http_request_t *r,
    ngx_http_sgtm_detached_t *d)
{
    u_char     *p, *last, *end, *colon;
    ngx_str_t   name, value, *hop;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    last = d->headers.data + d->headers.len;

    for (p = d->headers.data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        colon = ngx_strlchr(p, end, ':');
        if (colon == NULL || colon == p) {
            continue;
        }

        name.data = p;
        name.len = colon - p;

        for (colon++; colon < end && *colon == ' '; colon++) { /* void */ }

        value.data = colon;
        value.len = end - colon;

        while (value.len && value.data[value.len - 1] == CR) {
            value.len--;
        }

        for (hop = ngx_http_sgtm_detached_hops; hop->len; hop++) {
            if (hop->len == name.len
                && ngx_strncasecmp(hop->data, name.data, name.len) == 0)
            {
                break;
            }
        }

        if (hop->len == 0
            && ngx_http_sgtm_detached_push(r, &name, &value) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the headers that nobody needs to store */

static ngx_int_t
ngx_http_sgtm_detached_own(ngx_http_request_t *r, ngx_http_sgtm_detached_t *d)
{
    u_char     *p;
    ngx_str_t   value;

    static ngx_str_t  host = ngx_string("Host");
    static ngx_str_t  length = ngx_string("Content-Length");

    /* $host is the server's, whatever the visitor called it */

    r->headers_in.server = d->server->server_name;

    if (r->headers_in.host == NULL
        && r->headers_in.server.len
        && ngx_http_sgtm_detached_push(r, &host, &r->headers_in.server)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (d->body.len == 0 && r->method == NGX_HTTP_GET) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_SIZE_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "%uz", d->body.len) - p;

    r->headers_in.content_length_n = d->body.len;

    return ngx_http_sgtm_detached_push(r, &length, &value);
}


static ngx_int_t
ngx_http_sgtm_detached_push(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->lowcase_key = ngx_pnalloc(r->pool, name->len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->key = *name;
    h->value = *value;
    h->hash = ngx_hash_strlow(h->lowcase_key, name->data, name->len);

    return ngx_http_sgtm_detached_known(r, h);
}


static ngx_int_t
ngx_http_sgtm_detached_known(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    void                              *field;
    ngx_http_sgtm_detached_header_t   *known;

    for (known = ngx_http_sgtm_detached_pointers; known->name.len; known++) {

        if (known->name.len != h->key.len
            || ngx_memcmp(known->name.data, h->lowcase_key, h->key.len) != 0)
        {
            continue;
        }

        field = (char *) &r->headers_in + known->offset;

        if (known->multi) {
            return ngx_http_sgtm_detached_multi(r, h, field);
        }

        if (*(ngx_table_elt_t **) field == NULL) {
            *(ngx_table_elt_t **) field = h;
        }

        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_detached_multi(ngx_http_request_t *r, ngx_table_elt_t *h,
    void *list)
{
#if (nginx_version >= 1023000)

    ngx_table_elt_t  **last;

    for (last = list; *last; last = &(*last)->next) { /* void */ }

    *last = h;

#else

    ngx_array_t       *a;
    ngx_table_elt_t  **last;

    a = list;

    if (a->elts == NULL
        && ngx_array_init(a, r->pool, 1, sizeof(ngx_table_elt_t *)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    last = ngx_array_push(a);
    if (last == NULL) {
        return NGX_ERROR;
    }

    *last = h;

#endif

    return NGX_OK;
}


/* a request whose body was read already */

static ngx_int_t
ngx_http_sgtm_detached_body(ngx_http_request_t *r, ngx_http_sgtm_detached_t *d)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        return NGX_ERROR;
    }

    r->request_body = rb;

    if (d->body.len == 0) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->memory = 1;
    b->last_buf = 1;
    b->start = d->body.data;
    b->pos = b->start;
    b->last = b->start + d->body.len;
    b->end = b->last;

    cl->buf = b;
    cl->next = NULL;

    rb->buf = b;
    rb->bufs = cl;

    return NGX_OK;
}


ngx_uint_t
ngx_http_sgtm_detached_header(ngx_str_t *headers, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *p, *end, *last;

    last = headers->data + headers->len;

    for (p = headers->data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, LF);
        if (end == NULL) {
            end = last;
        }

        if ((size_t) (end - p) < name->len
            || ngx_memcmp(p, name->data, name->len) != 0)
        {
            continue;
        }

        value->data = p + name->len;
        value->len = end - value->data;

        while (value->len && value->data[value->len - 1] == CR) {
            value->len--;
        }

        return 1;
    }

    return 0;
}


ngx_int_t
ngx_http_sgtm_detached_uri(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char     *p;
    uintptr_t   escape;

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);

    p = ngx_pnalloc(r->pool, r->uri.len + escape + 1 + r->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    if (escape) {
        p = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len,
                                      NGX_ESCAPE_URI);
    } else {
        p = ngx_cpymem(p, r->uri.data, r->uri.len);
    }

    if (r->args.len) {
        *p++ = '?';
        p = ngx_cpymem(p, r->args.data, r->args.len);
    }

    value->len = p - value->data;

    return NGX_OK;
}
