
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../intake/ngx_http_sgtm_mp.h"
#include "ngx_http_sgtm_redis.h"
#include "ngx_http_sgtm_tenants.h"


#define NGX_HTTP_SGTM_REDIS_PORT    6379
#define NGX_HTTP_SGTM_REDIS_PREFIX  128
#define NGX_HTTP_SGTM_REDIS_DBS     100000


typedef struct {
    ngx_str_t    name;
    ngx_int_t  (*set)(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
                      ngx_str_t *value);
    char        *allowed;
} ngx_http_sgtm_redis_option_t;


static ngx_http_sgtm_redis_option_t *ngx_http_sgtm_redis_option(
    ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_redis_addresses(ngx_conf_t *cf,
    ngx_http_sgtm_redis_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_redis_address(ngx_conf_t *cf,
    ngx_http_sgtm_redis_t *conf, ngx_str_t *text);
static ngx_int_t ngx_http_sgtm_redis_prefix(ngx_conf_t *cf,
    ngx_http_sgtm_redis_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_redis_password(ngx_conf_t *cf,
    ngx_http_sgtm_redis_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_redis_user(ngx_conf_t *cf,
    ngx_http_sgtm_redis_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_redis_db(ngx_conf_t *cf,
    ngx_http_sgtm_redis_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_redis_snapshot(ngx_conf_t *cf,
    ngx_http_sgtm_redis_t *conf, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_redis_join(ngx_conf_t *cf, ngx_str_t *to,
    ngx_str_t *a, char *b);


static ngx_http_sgtm_redis_option_t  ngx_http_sgtm_redis_options[] = {

    { ngx_string("redis="), ngx_http_sgtm_redis_addresses,
      "\"redis=\" with addresses, divided by commas, or \"unix:\" and a path" },

    { ngx_string("prefix="), ngx_http_sgtm_redis_prefix,
      "\"prefix=\" with 1 to 128 characters that are seen" },

    { ngx_string("password_file="), ngx_http_sgtm_redis_password,
      "\"password_file=\" and a file with one line" },

    { ngx_string("user="), ngx_http_sgtm_redis_user,
      "\"user=\" and a name" },

    { ngx_string("db="), ngx_http_sgtm_redis_db,
      "\"db=\" and a number" },

    { ngx_string("snapshot="), ngx_http_sgtm_redis_snapshot,
      "\"snapshot=\" and a file" },

    { ngx_null_string, NULL, NULL }
};


ngx_uint_t
ngx_http_sgtm_redis_is(ngx_str_t *value)
{
    return value->len >= 6 && ngx_strncmp(value->data, "redis=", 6) == 0;
}


char *
ngx_http_sgtm_redis_conf(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf)
{
    ngx_str_t                      s, *value;
    ngx_uint_t                     i, seen;
    ngx_http_sgtm_redis_t         *conf;
    ngx_http_sgtm_tenants_t       *source;
    ngx_http_sgtm_redis_option_t  *option;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_redis_t));
    source = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_tenants_t));

    if (conf == NULL || source == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_array_init(&conf->addrs, cf->pool, 4, sizeof(ngx_addr_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1, seen = 0; i < cf->args->nelts; i++) {

        option = ngx_http_sgtm_redis_option(&value[i]);

        if (option == NULL) {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                              "\"redis=\", \"prefix=\", "
                                              "\"password_file=\", \"user=\", "
                                              "\"db=\" or \"snapshot=\"");
        }

        if (seen & 1 << (option - ngx_http_sgtm_redis_options)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is given twice", &option->name);
            return NGX_CONF_ERROR;
        }

        seen |= 1 << (option - ngx_http_sgtm_redis_options);

        s.data = value[i].data + option->name.len;
        s.len = value[i].len - option->name.len;

        switch (s.len ? option->set(cf, conf, &s) : NGX_DECLINED) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            return ngx_http_sgtm_conf_invalid(cf, &value[i], option->allowed);

        default:
            return NGX_CONF_ERROR;
        }
    }

    if (conf->record.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"sgtm_tenants redis=\" needs \"prefix=\"");
        return NGX_CONF_ERROR;
    }

    if (conf->user.len && conf->password.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"user=\" needs \"password_file=\"");
        return NGX_CONF_ERROR;
    }

    /* which data it is: that of another prefix begins from the start */

    conf->identity = (uint64_t) ngx_murmur_hash2(conf->record.data,
                                                 conf->record.len) << 32
                     | ngx_crc32_long(conf->record.data, conf->record.len);

    if (conf->db.len) {
        conf->identity += ngx_atoi(conf->db.data, conf->db.len);
    }

    smcf->redis = conf;
    smcf->source = source;

    return NGX_CONF_OK;
}


static ngx_http_sgtm_redis_option_t *
ngx_http_sgtm_redis_option(ngx_str_t *value)
{
    ngx_http_sgtm_redis_option_t  *option;

    for (option = ngx_http_sgtm_redis_options; option->name.len; option++) {
        if (value->len >= option->name.len
            && ngx_strncmp(value->data, option->name.data, option->name.len)
               == 0)
        {
            return option;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_sgtm_redis_addresses(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
    ngx_str_t *value)
{
    u_char     *p, *last, *comma;
    ngx_int_t   rc;
    ngx_str_t   text;

    last = value->data + value->len;

    for (p = value->data; p <= last; p = comma + 1) {

        comma = ngx_strlchr(p, last, ',');

        if (comma == NULL) {
            comma = last;
        }

        text.data = p;
        text.len = comma - p;

        rc = text.len ? ngx_http_sgtm_redis_address(cf, conf, &text)
                      : NGX_DECLINED;

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


/* a name is resolved here and now, as those of upstream{} are */

static ngx_int_t
ngx_http_sgtm_redis_address(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
    ngx_str_t *text)
{
    ngx_url_t    url;
    ngx_uint_t   i;
    ngx_addr_t  *addr;

    ngx_memzero(&url, sizeof(ngx_url_t));

    url.url = *text;
    url.default_port = NGX_HTTP_SGTM_REDIS_PORT;

    if (ngx_parse_url(cf->pool, &url) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in the address \"%V\"",
                           url.err ? url.err : "no memory for what is",
                           text);
        return NGX_ERROR;
    }

    if (url.uri.len || url.naddrs == 0) {
        return NGX_DECLINED;
    }

    for (i = 0; i < url.naddrs; i++) {

        addr = ngx_array_push(&conf->addrs);
        if (addr == NULL) {
            return NGX_ERROR;
        }

        *addr = url.addrs[i];
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_prefix(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
    ngx_str_t *value)
{
    size_t  i;

    if (value->len > NGX_HTTP_SGTM_REDIS_PREFIX) {
        return NGX_DECLINED;
    }

    for (i = 0; i < value->len; i++) {
        if (value->data[i] <= ' ' || value->data[i] >= 0x7f) {
            return NGX_DECLINED;
        }
    }

    if (ngx_http_sgtm_redis_join(cf, &conf->record, value, "tenant:")
           != NGX_OK
        || ngx_http_sgtm_redis_join(cf, &conf->version, value, "version")
           != NGX_OK
        || ngx_http_sgtm_redis_join(cf, &conf->base, value, "base") != NGX_OK
        || ngx_http_sgtm_redis_join(cf, &conf->changes, value, "changes")
           != NGX_OK
        || ngx_http_sgtm_redis_join(cf, &conf->changed, value, "changed")
           != NGX_OK
        || ngx_http_sgtm_redis_join(cf, &conf->use, value, "use") != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* it stays in memory for as long as the configuration does */

static ngx_int_t
ngx_http_sgtm_redis_password(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
    ngx_str_t *value)
{
    ngx_str_t  name, text, all, secret, more;

    name = *value;

    if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
        || ngx_http_sgtm_secret_file(cf, &name, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    all = text;

    if (ngx_http_sgtm_secret_next(&text, &secret) != NGX_OK
        || ngx_http_sgtm_secret_next(&text, &more) == NGX_OK)
    {
        return NGX_DECLINED;
    }

    conf->password.data = ngx_pstrdup(cf->pool, &secret);
    if (conf->password.data == NULL) {
        return NGX_ERROR;
    }

    conf->password.len = secret.len;
    ngx_explicit_memzero(all.data, all.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_user(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
    ngx_str_t *value)
{
    conf->user = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_db(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
    ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || n >= NGX_HTTP_SGTM_REDIS_DBS) {
        return NGX_DECLINED;
    }

    if (n > 0) {
        conf->db = *value;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_redis_snapshot(ngx_conf_t *cf, ngx_http_sgtm_redis_t *conf,
    ngx_str_t *value)
{
#if (NGX_THREADS)

    conf->snapshot = *value;

    if (ngx_conf_full_name(cf->cycle, &conf->snapshot, 0) != NGX_OK
        || ngx_http_sgtm_redis_join(cf, &conf->temp, &conf->snapshot, ".tmp")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    conf->threads = ngx_thread_pool_add(cf, NULL);

    return conf->threads ? NGX_OK : NGX_ERROR;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"snapshot=\" needs an nginx with threads");
    return NGX_ERROR;

#endif
}


/* with a zero behind it, for the system's calls */

static ngx_int_t
ngx_http_sgtm_redis_join(ngx_conf_t *cf, ngx_str_t *to, ngx_str_t *a, char *b)
{
    to->len = a->len + ngx_strlen(b);

    to->data = ngx_pnalloc(cf->pool, to->len + 1);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(to->data, "%V%s", a, b) = '\0';

    return NGX_OK;
}
