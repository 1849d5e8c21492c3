
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../ngx_http_sgtm_variables.h"
#include "../gate/ngx_http_sgtm_answer.h"
#include "../gate/ngx_http_sgtm_body.h"
#include "../gate/ngx_http_sgtm_ctx.h"
#include "../gate/ngx_http_sgtm_overlay.h"
#include "../hit/sgtm_mp.h"
#include "../tenant/ngx_http_sgtm_secrets.h"
#include "ngx_http_sgtm_mp.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>


#define NGX_HTTP_SGTM_SECRET_FILE  (64 * 1024)
#define NGX_HTTP_SGTM_SECRET_LEN   512

/* more faults than these are of no help */
#define NGX_HTTP_SGTM_MP_MESSAGES  64
#define NGX_HTTP_SGTM_MP_MESSAGE   512


typedef struct {
    u_char          digest[SHA256_DIGEST_LENGTH];
} ngx_http_sgtm_secret_t;


typedef struct {
    u_char         *last;
    ngx_uint_t      n;
} ngx_http_sgtm_messages_t;


static ngx_int_t ngx_http_sgtm_secret_read(ngx_conf_t *cf, ngx_fd_t fd,
    ngx_str_t *name, ngx_str_t *text);
static char *ngx_http_sgtm_secret_add(ngx_conf_t *cf,
    ngx_http_sgtm_loc_conf_t *slcf, ngx_str_t *text);
static ngx_uint_t ngx_http_sgtm_secrets_of(ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_secret_t *room, ngx_http_sgtm_secret_t **secrets);
static ngx_uint_t ngx_http_sgtm_secret_known(ngx_http_sgtm_secret_t *secrets,
    ngx_uint_t n, sgtm_str_t *value);
static ngx_uint_t ngx_http_sgtm_mp_is_secret(const sgtm_arg_t *arg);
static void ngx_http_sgtm_mp_message(void *data, const sgtm_mp_fault_t *fault,
    const sgtm_mp_where_t *where);
static u_char *ngx_http_sgtm_mp_path(u_char *p, const sgtm_mp_where_t *where);
static u_char *ngx_http_sgtm_mp_name(u_char *p, const sgtm_str_t *name);


char *
ngx_http_sgtm_conf_api_secret(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    char       *rv;
    ngx_str_t  *value, name, text, rest, secret;

    if (slcf->api_secrets != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    name = value[1];

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
        || ngx_http_sgtm_secret_file(cf, &name, &text) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rest = text;

    while (ngx_http_sgtm_secret_next(&rest, &secret) == NGX_OK) {

        rv = ngx_http_sgtm_secret_add(cf, slcf, &secret);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    ngx_explicit_memzero(text.data, text.len);

    if (slcf->api_secrets == NGX_CONF_UNSET_PTR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "there is no secret in \"%V\"",
                           &name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sgtm_secret_file(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text)
{
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);

    } else if (!ngx_is_file(&fi)
               || ngx_file_size(&fi) > NGX_HTTP_SGTM_SECRET_FILE)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is no file of at most 64k", name);

    } else {

        if (fi.st_mode & S_IRWXO) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"%V\" holds secrets and is not for its owner "
                               "and group alone", name);
        }

        text->len = (size_t) ngx_file_size(&fi);
        rc = ngx_http_sgtm_secret_read(cf, fd, name, text);
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return rc;
}


static ngx_int_t
ngx_http_sgtm_secret_read(ngx_conf_t *cf, ngx_fd_t fd, ngx_str_t *name,
    ngx_str_t *text)
{
    size_t   size;
    ssize_t  n;

    size = text->len;

    text->data = ngx_pnalloc(cf->temp_pool, size + 1);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    for (text->len = 0; text->len < size; text->len += n) {

        n = ngx_read_fd(fd, text->data + text->len, size - text->len);

        if (n == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                               ngx_read_fd_n " \"%V\" failed", name);
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_secret_next(ngx_str_t *text, ngx_str_t *secret)
{
    size_t   len;
    u_char  *p, *end;

    while (text->len) {

        p = text->data;

        end = memchr(p, LF, text->len);
        len = end ? (size_t) (end - p) : text->len;

        text->data += len + (end != NULL);
        text->len -= len + (end != NULL);

        while (len && p[len - 1] <= ' ') {
            len--;
        }

        while (len && *p <= ' ') {
            p++;
            len--;
        }

        if (len) {
            secret->data = p;
            secret->len = len;

            return NGX_OK;
        }
    }

    return NGX_DONE;
}


static char *
ngx_http_sgtm_secret_add(ngx_conf_t *cf, ngx_http_sgtm_loc_conf_t *slcf,
    ngx_str_t *text)
{
    ngx_http_sgtm_secret_t  *secret;

    if (text->len > NGX_HTTP_SGTM_SECRET_LEN) {
        return "has a secret of more than 512 bytes";
    }

    secret = ngx_http_sgtm_conf_push(cf, &slcf->api_secrets,
                                     sizeof(ngx_http_sgtm_secret_t));
    if (secret == NULL
        || SHA256(text->data, text->len, secret->digest) == NULL)
    {
        return NGX_CONF_ERROR;
    }

    if (slcf->api_secrets->nelts > 1) {
        return NGX_CONF_OK;
    }

    /* the first one is what the courier sends */

    slcf->api_secret.len = text->len;
    slcf->api_secret.data = ngx_pstrdup(cf->pool, text);

    if (slcf->api_secret.data == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_sgtm_mp_secret(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_uint_t               n, found, wrong;
    sgtm_str_t               value;
    sgtm_arg_t               arg;
    sgtm_args_t              args;
    ngx_http_sgtm_secret_t  *secrets, room[SGTM_TENANT_SECRETS];

    u_char  buf[NGX_HTTP_SGTM_SECRET_LEN + 1];

    n = ngx_http_sgtm_secrets_of(ctx, room, &secrets);

    if (n == 0) {
        return NGX_DECLINED;
    }

    found = 0;
    wrong = 0;

    sgtm_args_init(&args, ngx_http_sgtm_str(&r->args));

    while (sgtm_args_next(&args, &arg)) {

        if (!ngx_http_sgtm_mp_is_secret(&arg)) {
            continue;
        }

        value.data = buf;
        value.len = sgtm_args_decode(buf, sizeof(buf), &arg.value);

        found = 1;
        wrong |= !ngx_http_sgtm_secret_known(secrets, n, &value);
    }

    return (found && !wrong) ? NGX_OK : NGX_DECLINED;
}


/* how many there are: the location's, or in the room those of the record */

static ngx_uint_t
ngx_http_sgtm_secrets_of(ngx_http_sgtm_ctx_t *ctx,
    ngx_http_sgtm_secret_t *room, ngx_http_sgtm_secret_t **secrets)
{
    ngx_uint_t                i, n;
    ngx_array_t              *list;
    ngx_http_sgtm_secrets_t   opened;

    if (ctx->overlay == NULL
        || !sgtm_tenant_has(ctx->overlay->record, SGTM_TENANT_API_SECRETS))
    {
        list = ctx->conf->api_secrets;
        *secrets = list ? list->elts : NULL;

        return list ? list->nelts : 0;
    }

    ngx_http_sgtm_secrets_open(&opened, ctx->overlay->record,
                               sgtm_tenant_field(SGTM_TENANT_API_SECRETS),
                               SGTM_TENANT_SECRETS);

    for (i = 0, n = 0; i < opened.n; i++) {
        if (SHA256(opened.elts[i].data, opened.elts[i].len, room[n].digest)) {
            n++;
        }
    }

    ngx_http_sgtm_secrets_wipe(&opened);

    *secrets = room;

    return n;
}


/* all are compared, and digests, so that time tells nothing of them */

static ngx_uint_t
ngx_http_sgtm_secret_known(ngx_http_sgtm_secret_t *secrets, ngx_uint_t n,
    sgtm_str_t *value)
{
    u_char      digest[SHA256_DIGEST_LENGTH];
    ngx_uint_t  i, known;

    if (SHA256(value->data, value->len, digest) == NULL) {
        return 0;
    }

    known = 0;

    for (i = 0; i < n; i++) {
        known |= (CRYPTO_memcmp(digest, secrets[i].digest, sizeof(digest))
                  == 0);
    }

    return known;
}


static ngx_uint_t
ngx_http_sgtm_mp_is_secret(const sgtm_arg_t *arg)
{
    static u_char  name[] = "api_secret";

    return sgtm_args_is(&arg->key, name, sizeof(name) - 1);
}


ngx_int_t
ngx_http_sgtm_mp_args(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, r->args.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->args.data = p;
    ctx->args.len = ngx_http_sgtm_mp_strip_secret(p, &r->args) - p;

    if (ctx->committed) {
        ctx->sent = r->args;
        r->args = ctx->args;

        ngx_http_sgtm_variables_reset(r);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_mp_uri(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    u_char  *p;
    size_t   prefix;

    static ngx_str_t  path = ngx_string("mp/collect");

    if (ctx->path.len == path.len
        && ngx_memcmp(ctx->path.data, path.data, path.len) == 0)
    {
        return NGX_OK;
    }

    prefix = ctx->path.data - r->uri.data;

    p = ngx_pnalloc(r->pool, prefix + path.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, r->uri.data, prefix);
    ngx_memcpy(p + prefix, path.data, path.len);

    r->uri.data = p;
    r->uri.len = prefix + path.len;

    ctx->path.data = p + prefix;
    ctx->path.len = path.len;

    /* what the client has sent is for the log, without its arguments */

    r->valid_unparsed_uri = 0;

    return NGX_OK;
}


ngx_uint_t
ngx_http_sgtm_mp_has_secret(ngx_str_t *in)
{
    sgtm_arg_t   arg;
    sgtm_args_t  args;

    sgtm_args_init(&args, ngx_http_sgtm_str(in));

    while (sgtm_args_next(&args, &arg)) {
        if (ngx_http_sgtm_mp_is_secret(&arg)) {
            return 1;
        }
    }

    return 0;
}


u_char *
ngx_http_sgtm_mp_strip_secret(u_char *out, ngx_str_t *in)
{
    u_char       *start;
    sgtm_arg_t    arg;
    sgtm_args_t   args;

    start = out;

    sgtm_args_init(&args, ngx_http_sgtm_str(in));

    while (sgtm_args_next(&args, &arg)) {

        if (ngx_http_sgtm_mp_is_secret(&arg)) {
            continue;
        }

        if (out != start) {
            *out++ = '&';
        }

        out = ngx_cpymem(out, arg.key.data, arg.key.len);

        if (!arg.bare) {
            *out++ = '=';
            out = ngx_cpymem(out, arg.value.data, arg.value.len);
        }
    }

    return out;
}


ngx_int_t
ngx_http_sgtm_mp_debug_handler(ngx_http_request_t *r)
{
    u_char                    *buf;
    sgtm_mp_t                  mp;
    ngx_str_t                  body, type;
    ngx_http_complex_value_t   cv;
    ngx_http_sgtm_messages_t   messages;

    static ngx_str_t  no_store = ngx_string("no-store");

    if (ngx_http_sgtm_body_text(r, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    buf = ngx_pnalloc(r->pool, body.len + 1);

    cv.value.data = ngx_pnalloc(r->pool, NGX_HTTP_SGTM_MP_MESSAGES
                                         * NGX_HTTP_SGTM_MP_MESSAGE);
    if (buf == NULL || cv.value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    messages.n = 0;
    messages.last = ngx_sprintf(cv.value.data, "{\"validationMessages\":[");

    if (sgtm_mp_parse(&mp, ngx_http_sgtm_str(&body), buf, ngx_time(),
                      ngx_http_sgtm_mp_message, &messages)
        == SGTM_ERROR)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    messages.last = ngx_sprintf(messages.last, "]}\n");

    cv.value.len = messages.last - cv.value.data;

    if (ngx_http_sgtm_answer_header(r, "Cache-Control", &no_store) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_str_set(&type, "application/json");

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &cv);
}


/* NGX_HTTP_SGTM_MP_MESSAGE holds the longest, the ends of the list included */

static void
ngx_http_sgtm_mp_message(void *data, const sgtm_mp_fault_t *fault,
    const sgtm_mp_where_t *where)
{
    ngx_http_sgtm_messages_t *messages = data;

    u_char  *p;

    if (messages->n == NGX_HTTP_SGTM_MP_MESSAGES - 1) {
        return;
    }

    p = messages->last;

    if (messages->n++) {
        *p++ = ',';
    }

    p = ngx_sprintf(p, "{\"fieldPath\":\"");
    p = ngx_http_sgtm_mp_path(p, where);

    messages->last = ngx_sprintf(p, "\",\"description\":\"%V\","
                                 "\"validationCode\":\"%V\"}",
                                 (ngx_str_t *) &fault->text,
                                 (ngx_str_t *) &sgtm_mp_codes[fault->code]);
}


static u_char *
ngx_http_sgtm_mp_path(u_char *p, const sgtm_mp_where_t *where)
{
    u_char  *start;

    start = p;

    if (where->event >= 0) {
        p = ngx_sprintf(p, "events[%d]", where->event);
    }

    if (where->member.len) {

        if (p != start) {
            *p++ = '.';
        }

        p = ngx_http_sgtm_mp_name(p, &where->member);
    }

    if (where->name.len) {
        *p++ = '.';
        p = ngx_http_sgtm_mp_name(p, &where->name);
    }

    return p;
}


/* what has another form than a name may be a value that got there */

static u_char *
ngx_http_sgtm_mp_name(u_char *p, const sgtm_str_t *name)
{
    size_t  i;
    u_char  ch;

    for (i = 0; i < name->len && i < 48; i++) {
        ch = name->data[i];

        if ((ch < '0' || ch > '9') && ch != '_' && ch != '.' && ch != '-'
            && ((ch | 0x20) < 'a' || (ch | 0x20) > 'z'))
        {
            break;
        }
    }

    if (i < name->len) {
        *p++ = '*';
        return p;
    }

    return ngx_cpymem(p, name->data, name->len);
}
