
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm.h"
#include "ngx_http_sgtm_conf.h"
#include "tenant/sgtm_fill.h"


static ngx_int_t ngx_http_sgtm_conf_set_credential(ngx_conf_t *cf,
    ngx_http_sgtm_set_t *set, sgtm_str_t *credential);
static ngx_int_t ngx_http_sgtm_conf_set_encode(ngx_conf_t *cf,
    ngx_http_sgtm_set_t *set);
static ngx_uint_t ngx_http_sgtm_conf_set_reads(ngx_str_t *value);


/*
 * Variables that no "set" and no "map" can make anew, and that tell nothing of
 * the hit's arguments, headers, body or address.
 */

static ngx_str_t  ngx_http_sgtm_conf_set_quiet[] = {
    ngx_string("connection"),
    ngx_string("host"),
    ngx_string("hostname"),
    ngx_string("https"),
    ngx_string("msec"),
    ngx_string("nginx_version"),
    ngx_string("pid"),
    ngx_string("request_id"),
    ngx_string("request_method"),
    ngx_string("scheme"),
    ngx_string("server_name"),
    ngx_string("server_port"),
    ngx_string("server_protocol"),
    ngx_string("sgtm_consent"),
    ngx_string("sgtm_container"),
    ngx_string("sgtm_endpoint"),
    ngx_string("sgtm_events"),
    ngx_string("sgtm_tenant"),
    ngx_string("sgtm_tier"),
    ngx_string("time_iso8601"),
    ngx_string("time_local"),
    ngx_null_string
};


char *
ngx_http_sgtm_conf_set_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         i;
    sgtm_str_t                         credential;
    ngx_http_sgtm_set_t               *set;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (!sgtm_form_param(ngx_http_sgtm_str(&value[1]))) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                     "a parameter's name of letters, digits "
                                     "and \"._-~\", as \"ep.site\"");
    }

    if (slcf->set != NGX_CONF_UNSET_PTR) {

        set = slcf->set->elts;

        for (i = 0; i < slcf->set->nelts; i++) {
            if (set[i].name.len == value[1].len
                && ngx_strncmp(set[i].name.data, value[1].data, value[1].len)
                   == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" is set twice", &value[1]);
                return NGX_CONF_ERROR;
            }
        }

        if (slcf->set->nelts == 254) {
            return "has more than 254 parameters";
        }
    }

    set = ngx_http_sgtm_conf_push(cf, &slcf->set, sizeof(ngx_http_sgtm_set_t));
    if (set == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(set, sizeof(ngx_http_sgtm_set_t));

    set->name = value[1];

    switch (sgtm_fill_reference(ngx_http_sgtm_str(&value[2]), &credential)) {

    case 0:
        break;

    case 1:

        if (!sgtm_fill_param(ngx_http_sgtm_str(&set->name))) {
            return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                  "\"ep.\" and a name, as the parameter of a "
                                  "credential is");
        }

        return ngx_http_sgtm_conf_set_credential(cf, set, &credential)
               == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;

    default:
        return ngx_http_sgtm_conf_invalid(cf, &value[2],
                              "\"$sgtm_credential_\" and the name of a "
                              "credential, and nothing else");
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &set->value;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    set->reads = ngx_http_sgtm_conf_set_reads(&value[2]);

    return ngx_http_sgtm_conf_set_encode(cf, set) == NGX_OK ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


/*
 * It is no variable: the value stays a reference, also in logs and on the disk,
 * until the hit is sent.
 */

static ngx_int_t
ngx_http_sgtm_conf_set_credential(ngx_conf_t *cf, ngx_http_sgtm_set_t *set,
    sgtm_str_t *credential)
{
    u_char  *p;

    p = ngx_pnalloc(cf->pool, sizeof(SGTM_FILL_REFERENCE) - 1
                              + credential->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    set->value.value.data = p;

    p = ngx_cpymem(p, SGTM_FILL_REFERENCE, sizeof(SGTM_FILL_REFERENCE) - 1);

    set->credential.data = p;
    set->credential.len = credential->len;

    p = ngx_cpymem(p, credential->data, credential->len);

    set->value.value.len = p - set->value.value.data;

    return ngx_http_sgtm_conf_set_encode(cf, set);
}


/* a value without variables is the same for all hits */

static ngx_int_t
ngx_http_sgtm_conf_set_encode(ngx_conf_t *cf, ngx_http_sgtm_set_t *set)
{
    sgtm_str_t  *value;

    ngx_str_null(&set->encoded);

    if (set->value.lengths || set->value.value.len == 0) {
        return NGX_OK;
    }

    value = ngx_http_sgtm_str(&set->value.value);

    set->encoded.len = sgtm_args_encode(NULL, value);

    set->encoded.data = ngx_pnalloc(cf->pool, set->encoded.len);
    if (set->encoded.data == NULL) {
        return NGX_ERROR;
    }

    (void) sgtm_args_encode(set->encoded.data, value);

    return NGX_OK;
}


/* whether a value has a variable that may tell what a denial removes */

static ngx_uint_t
ngx_http_sgtm_conf_set_reads(ngx_str_t *value)
{
    u_char      *p, *name, *last;
    ngx_str_t   *known;
    ngx_uint_t   bracket;

    last = value->data + value->len;

    for (p = value->data; p < last; /* void */ ) {

        if (*p++ != '$') {
            continue;
        }

        bracket = (p < last && *p == '{');
        name = p + bracket;

        for (p = name; p < last; p++) {
            if ((*p < '0' || *p > '9') && *p != '_'
                && ((*p | 0x20) < 'a' || (*p | 0x20) > 'z'))
            {
                break;
            }
        }

        for (known = ngx_http_sgtm_conf_set_quiet; known->len; known++) {
            if (known->len == (size_t) (p - name)
                && ngx_strncasecmp(known->data, name, known->len) == 0)
            {
                break;
            }
        }

        if (known->len == 0) {
            return 1;
        }
    }

    return 0;
}
