
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm.h"
#include "ngx_http_sgtm_conf.h"


static ngx_int_t ngx_http_sgtm_conf_consent_pair(ngx_str_t *value,
    sgtm_consent_t *consent);


char *
ngx_http_sgtm_conf_consent_source(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t                         *value, s;
    ngx_uint_t                         i, type;
    ngx_http_sgtm_source_t            *source;
    ngx_http_compile_complex_value_t   ccv;

    if (slcf->consent_sources != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    slcf->consent_gpc = 0;
    slcf->consent_sources = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                             sizeof(ngx_http_sgtm_source_t));
    if (slcf->consent_sources == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "gpc") == 0) {
            slcf->consent_gpc = 1;
            continue;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        if (ngx_strcmp(value[i].data, "gcd") == 0) {
            type = NGX_HTTP_SGTM_SOURCE_GCD;

        } else if (ngx_strcmp(value[i].data, "gcs") == 0) {
            type = NGX_HTTP_SGTM_SOURCE_GCS;

        } else if (value[i].len > 6
                   && ngx_strncmp(value[i].data, "value=", 6) == 0)
        {
            type = NGX_HTTP_SGTM_SOURCE_VALUE;

            s.data = value[i].data + 6;
            s.len = value[i].len - 6;

            ccv.value = &s;

        } else {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                     "\"gcd\", \"gcs\", \"value=$variable\" "
                                     "or \"gpc\"");
        }

        source = ngx_array_push(slcf->consent_sources);

        source->type = type;
        source->value = NULL;

        if (ccv.value == NULL) {
            continue;
        }

        source->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
        if (source->value == NULL) {
            return NGX_CONF_ERROR;
        }

        ccv.cf = cf;
        ccv.complex_value = source->value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_consent_default(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    char  *p = conf;

    ngx_str_t        *value;
    ngx_uint_t        i;
    sgtm_consent_t   *consent, **field;

    field = (sgtm_consent_t **) (p + cmd->offset);

    if (*field != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    consent = ngx_pcalloc(cf->pool, sizeof(sgtm_consent_t));
    if (consent == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_sgtm_conf_consent_pair(&value[i], consent) != NGX_OK) {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                     "each once, \"ad_storage\", "
                                     "\"analytics_storage\", \"ad_user_data\" "
                                     "or \"ad_personalization\" with "
                                     "\"=granted\" or \"=denied\"");
        }
    }

    /* what the operator does not name stays denied */

    for (i = 0; i < SGTM_CONSENT_N; i++) {
        if (consent->state[i] == SGTM_UNSET) {
            consent->state[i] = SGTM_DENIED;
        }
    }

    *field = consent;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_sgtm_conf_consent_pair(ngx_str_t *value, sgtm_consent_t *consent)
{
    u_char             *p;
    unsigned            type;
    sgtm_str_t          name, text;
    const sgtm_word_t  *state;

    p = ngx_strlchr(value->data, value->data + value->len, '=');
    if (p == NULL) {
        return NGX_ERROR;
    }

    name.data = value->data;
    name.len = p - name.data;

    text.data = p + 1;
    text.len = value->len - name.len - 1;

    state = sgtm_word(sgtm_consent_states, &text);

    if (state == NULL
        || sgtm_consent_type(&name, &type) != SGTM_OK
        || consent->state[type] != SGTM_UNSET)
    {
        return NGX_ERROR;
    }

    consent->state[type] = (uint8_t) state->value;

    return NGX_OK;
}


char *
ngx_http_sgtm_conf_redact(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    unsigned                 type;
    ngx_str_t               *value, name;
    ngx_uint_t               i;
    ngx_http_sgtm_redact_t  *redact;

    value = cf->args->elts;

    if (sgtm_consent_type(ngx_http_sgtm_str(&value[1]), &type) != SGTM_OK) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                     "\"ad_storage\", \"analytics_storage\", "
                                     "\"ad_user_data\" or "
                                     "\"ad_personalization\"");
    }

    for (i = 2; i < cf->args->nelts; i++) {
        name = value[i];

        redact = ngx_http_sgtm_conf_push(cf, &slcf->redact,
                                         sizeof(ngx_http_sgtm_redact_t));
        if (redact == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(redact, sizeof(ngx_http_sgtm_redact_t));

        if (name.len && (name.data[0] == '-' || name.data[0] == '+')) {
            redact->keep = (name.data[0] == '-');
            name.data++;
            name.len--;
        }

        if (name.len >= 7 && ngx_strncmp(name.data, "cookie:", 7) == 0) {
            redact->cookie = 1;
            name.data += 7;
            name.len -= 7;
        }

        if (name.len == 0 || name.len > SGTM_MAX_KEY || name.data[0] == '*') {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                     "a name, or \"cookie:\" and a name, with "
                                     "\"-\" before it to keep it and \"*\" at "
                                     "its end for all that begin so");
        }

        redact->name = name;
        redact->deny = 1 << type;
    }

    return NGX_CONF_OK;
}
