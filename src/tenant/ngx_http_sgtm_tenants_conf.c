
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "ngx_http_sgtm_redis.h"
#include "ngx_http_sgtm_tenants_apply.h"
#include "ngx_http_sgtm_zone.h"


/* milliseconds that the master waits for a writer, or for readers */
#define NGX_HTTP_SGTM_TENANTS_PATIENCE  2000


static void ngx_http_sgtm_tenants_unstage(void *data);
static void ngx_http_sgtm_tenants_wipe(void *data);


char *
ngx_http_sgtm_conf_tenants(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_main_conf_t *smcf = conf;

    ngx_str_t               *value;
    ngx_http_sgtm_tenants_t  *source;

    if (smcf->source) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_sgtm_redis_is(&value[1])) {
        return ngx_http_sgtm_redis_conf(cf, smcf);
    }

    if (value[1].len <= 5 || ngx_strncmp(value[1].data, "file=", 5) != 0) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                          "\"file=\" and the path of a file "
                                          "or a directory, or \"redis=\" and "
                                          "addresses");
    }

    if (cf->args->nelts > 2) {
        return ngx_http_sgtm_conf_invalid(cf, &value[2],
                                          "nothing behind \"file=\"");
    }

    source = ngx_pcalloc(cf->pool, sizeof(ngx_http_sgtm_tenants_t));
    if (source == NULL) {
        return NGX_CONF_ERROR;
    }

    source->path.data = value[1].data + 5;
    source->path.len = value[1].len - 5;

    if (ngx_conf_full_name(cf->cycle, &source->path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

#if (NGX_THREADS)

    source->threads = ngx_thread_pool_add(cf, NULL);
    if (source->threads == NULL) {
        return NGX_CONF_ERROR;
    }

#endif

    smcf->source = source;

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_endpoints(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_main_conf_t *smcf = conf;

    ngx_str_t   *value, *endpoint;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (!sgtm_form_address(ngx_http_sgtm_str(&value[i]))) {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                     "a host name with an optional port, as "
                                     "\"sgtm.example.com\", or the name of an "
                                     "upstream");
        }

        if (smcf->endpoints == NULL) {
            smcf->endpoints = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
            if (smcf->endpoints == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        endpoint = ngx_array_push(smcf->endpoints);
        if (endpoint == NULL) {
            return NGX_CONF_ERROR;
        }

        *endpoint = value[i];
        sgtm_form_lower(ngx_http_sgtm_str(endpoint));
    }

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_main_conf_t *smcf = conf;

    char                 error[SGTM_KEYS_ERROR];
    ngx_str_t           *value;
    sgtm_keys_t         *keys;
    ngx_pool_cleanup_t  *cln;

    if (smcf->keys) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(sgtm_keys_t));
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    keys = cln->data;

    if (sgtm_keys_read(keys, (char *) value[1].data, error) != SGTM_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "sgtm_key_file: %s", error);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_sgtm_tenants_wipe;

    if (keys->exposed) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "sgtm_key_file \"%V\" can be read or changed by "
                           "others than its owner", &value[1]);
    }

    smcf->keys = keys;

    return NGX_CONF_OK;
}


static void
ngx_http_sgtm_tenants_wipe(void *data)
{
    sgtm_keys_wipe(data);
}


ngx_int_t
ngx_http_sgtm_tenants_read(ngx_conf_t *cf, ngx_http_sgtm_main_conf_t *smcf)
{
    size_t                   i;
    unsigned                 rc;
    sgtm_load_t             *load;
    ngx_pool_cleanup_t      *cln;
    ngx_http_sgtm_tenants_t  *source;

    source = smcf->source;

    /* who sends a signal has no use for records */

    if (source == NULL || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    source->conf.path = (char *) source->path.data;
    source->conf.keys = smcf->keys;
    source->conf.room = smcf->zone_size;
    source->conf.state = sizeof(ngx_http_sgtm_counters_t);

    if (smcf->endpoints) {
        source->conf.endpoints = smcf->endpoints->elts;
        source->conf.nendpoints = smcf->endpoints->nelts;
    }

    if (smcf->redis) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    load = sgtm_load_create(&source->conf, 0);

    if (cln == NULL || load == NULL) {
        sgtm_load_destroy(load);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_sgtm_tenants_unstage;
    cln->data = source;

    source->staged = load;

    do {
        rc = sgtm_load_step(load);
    } while (rc == SGTM_LOAD_MORE);

    for (i = 0; i < load->errors.n && i < SGTM_LOAD_LINES; i++) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "sgtm_tenants: %s",
                      load->errors.lines[i]);
    }

    if (load->errors.n > i) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "sgtm_tenants: and %uz more errors", load->errors.n - i);
    }

    ngx_http_sgtm_apply_warn(load, cf->log);

    /* what has changed meanwhile is read again by a worker */

    return (load->errors.n == 0) ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_sgtm_tenants_unstage(void *data)
{
    ngx_http_sgtm_tenants_t *source = data;

    sgtm_load_destroy(source->staged);
    source->staged = NULL;
}


/*
 * From here on the new configuration is in force, and workers of the old one
 * load no more.  What can't be put now, since readers hold its memory, is put
 * by a worker.
 */

ngx_int_t
ngx_http_sgtm_tenants_init_module(ngx_cycle_t *cycle)
{
    ngx_int_t                   rc;
    ngx_uint_t                  waits;
    ngx_http_sgtm_apply_t       apply;
    ngx_http_sgtm_tenants_t     *source;
    ngx_http_sgtm_records_t    *records;
    ngx_http_sgtm_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_sgtm_module);

    if (smcf == NULL || smcf->source == NULL || smcf->source->staged == NULL) {
        return NGX_OK;
    }

    source = smcf->source;
    records = ngx_http_sgtm_tenants_records(smcf);

    source->epoch = ngx_atomic_fetch_add(&records->epoch, 1) + 1;

    ngx_http_sgtm_apply_begin(&apply, records, source, source->staged,
                              cycle->log);
    waits = 0;

    do {
        rc = ngx_http_sgtm_apply(&apply);

        if (rc == NGX_BUSY) {
            ngx_msleep(1);
            ngx_time_update();
            waits++;
        }

    } while (rc == NGX_AGAIN
             || (rc == NGX_BUSY && waits < NGX_HTTP_SGTM_TENANTS_PATIENCE));

    if (rc == NGX_BUSY) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "sgtm_tenants: \"%V\" is not in force yet, requests "
                      "hold memory", &source->path);
    }

    ngx_http_sgtm_tenants_unstage(source);

    return NGX_OK;
}
