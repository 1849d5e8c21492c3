
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "ngx_http_sgtm.h"
#include "ngx_http_sgtm_conf.h"
#include "gate/ngx_http_sgtm_header_names.h"
#include "tenant/ngx_http_sgtm_zone.h"


static void ngx_http_sgtm_conf_warn_remove(ngx_conf_t *cf, ngx_str_t *value);


ngx_conf_enum_t  ngx_http_sgtm_deliveries[] = {
    { ngx_string("direct"), NGX_HTTP_SGTM_DELIVERY_DIRECT },
    { ngx_string("queued"), NGX_HTTP_SGTM_DELIVERY_QUEUED },
    { ngx_null_string, 0 }
};


ngx_conf_enum_t  ngx_http_sgtm_consent_conflicts[] = {
    { ngx_string("first"), NGX_HTTP_SGTM_CONFLICT_FIRST },
    { ngx_string("strictest"), NGX_HTTP_SGTM_CONFLICT_STRICTEST },
    { ngx_null_string, 0 }
};


ngx_conf_enum_t  ngx_http_sgtm_client_ips[] = {
    { ngx_string("full"), NGX_HTTP_SGTM_IP_FULL },
    { ngx_string("masked"), NGX_HTTP_SGTM_IP_MASKED },
    { ngx_string("none"), NGX_HTTP_SGTM_IP_NONE },
    { ngx_null_string, 0 }
};


ngx_conf_enum_t  ngx_http_sgtm_encodeds[] = {
    { ngx_string("refuse"), NGX_HTTP_SGTM_ENCODED_REFUSE },
    { ngx_string("pass"), NGX_HTTP_SGTM_ENCODED_PASS },
    { ngx_null_string, 0 }
};


ngx_conf_enum_t  ngx_http_sgtm_user_datas[] = {
    { ngx_string("pass"), NGX_HTTP_SGTM_USER_DATA_PASS },
    { ngx_string("hash"), NGX_HTTP_SGTM_USER_DATA_HASH },
    { ngx_null_string, 0 }
};


char *
ngx_http_sgtm_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                      *kind;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* a gateway reads the path below its prefix: it must have one */

    kind = clcf->named ? "a named"
           : clcf->exact_match ? "an exact"
#if (NGX_PCRE)
           : clcf->regex ? "a regex"
#endif
           : NULL;

    if (kind) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"sgtm\" is not allowed in %s location, "
                           "it must be a prefix one, as \"location /metrics/\"",
                           kind);
        return NGX_CONF_ERROR;
    }

    return ngx_conf_set_flag_slot(cf, cmd, conf);
}


char *
ngx_http_sgtm_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_main_conf_t  *smcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (smcf->zone_size) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1], "a zone's name");
    }

    size = ngx_parse_size(&value[2]);

    if (size < (ssize_t) NGX_HTTP_SGTM_ZONE_MIN) {
        return ngx_http_sgtm_conf_invalid(cf, &value[2],
                                          "a size of at least 64k");
    }

    smcf->zone_name = value[1];
    smcf->zone_size = size;

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    u_char           *last, buf[128];
    ngx_str_t        *value;
    ngx_uint_t       *np, i;
    ngx_conf_enum_t  *e;

    np = (ngx_uint_t *) (p + cmd->offset);

    if (*np != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    e = cmd->post;

    for (i = 0; e[i].name.len != 0; i++) {
        if (e[i].name.len == value[1].len
            && ngx_strncmp(e[i].name.data, value[1].data, value[1].len) == 0)
        {
            *np = e[i].value;
            return NGX_CONF_OK;
        }
    }

    last = buf;

    for (i = 0; e[i].name.len != 0; i++) {
        last = ngx_slprintf(last, buf + sizeof(buf) - 1, "%s\"%V\"",
                            i == 0 ? ""
                            : e[i + 1].name.len ? ", " : " or ",
                            &e[i].name);
    }

    *last = '\0';

    return ngx_http_sgtm_conf_invalid(cf, &value[1], (char *) buf);
}


char *
ngx_http_sgtm_conf_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    size_t     *sp;
    ssize_t     size;
    ngx_str_t  *value;

    sp = (size_t *) (p + cmd->offset);

    if (*sp != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size <= 0) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                          "a size such as \"64k\"");
    }

    *sp = size;

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t  *value;

    if (slcf->endpoint.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!sgtm_form_address(ngx_http_sgtm_str(&value[1]))) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                     "a host name with an optional port, "
                                     "as \"sgtm.example.com\", without scheme");
    }

    slcf->endpoint = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_ids(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t     *value, *id;
    ngx_uint_t     i, wanted;
    ngx_array_t  **ids;

    ids = (ngx_array_t **) (p + cmd->offset);

    if (*ids != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *ids = ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(ngx_str_t));
    if (*ids == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    wanted = (cmd->offset == offsetof(ngx_http_sgtm_loc_conf_t, containers));

    for (i = 1; i < cf->args->nelts; i++) {

        if (!(wanted ? sgtm_form_container(ngx_http_sgtm_str(&value[i]))
                     : sgtm_form_tag_id(ngx_http_sgtm_str(&value[i]))))
        {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                            wanted ? "a container id as \"GTM-ABC1234\""
                            : "a tag id as \"G-ABC1234567\" (or \"GT-\", "
                              "\"AW-\", \"DC-\")");
        }

        id = ngx_array_push(*ids);
        *id = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_script_name(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t  *value;

    if (slcf->script_name.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (!sgtm_form_script(ngx_http_sgtm_str(&value[1]))) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                                     "a path below the prefix, as \"t.js\", "
                                     "of letters, digits and \"-._/\", that "
                                     "has no other meaning");
    }

    slcf->script_name = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_names(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t     *value, *name;
    ngx_uint_t     i, header;
    ngx_array_t  **names;

    names = (ngx_array_t **) (p + cmd->offset);
    header = (cmd->offset == offsetof(ngx_http_sgtm_loc_conf_t, pass_headers));

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (!sgtm_form_name(ngx_http_sgtm_str(&value[i]))
            || (header
                && (!sgtm_form_chars(ngx_http_sgtm_str(&value[i]), "-_")
                    || ngx_http_sgtm_header_names_own(&value[i]))))
        {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                     header ? "a header's name, but of none "
                                     "that the gateway sets itself and of no "
                                     "credentials or client addresses"
                                     : "a name, with \"*\" at its end "
                                       "for all that begin so");
        }

        name = ngx_http_sgtm_conf_push(cf, names, sizeof(ngx_str_t));
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];

        if (cmd->offset == offsetof(ngx_http_sgtm_loc_conf_t, remove)) {
            ngx_http_sgtm_conf_warn_remove(cf, &value[i]);
        }
    }

    return NGX_CONF_OK;
}


/* "g*" is meant for "gclid" and its like, and takes the consent, too */

static void
ngx_http_sgtm_conf_warn_remove(ngx_conf_t *cf, ngx_str_t *value)
{
    size_t      len;
    u_char     *last, buf[64];
    ngx_str_t  *name;

    static ngx_str_t  names[] = {
        ngx_string("v"),
        ngx_string("tid"),
        ngx_string("cid"),
        ngx_string("gcs"),
        ngx_string("gcd"),
        ngx_null_string
    };

    last = buf;
    len = value->len;

    if (value->data[len - 1] == '*') {
        len--;
    }

    for (name = names; name->len; name++) {

        if (name->len < len || (name->len > len && len == value->len)
            || ngx_strncmp(name->data, value->data, len) != 0)
        {
            continue;
        }

        last = ngx_slprintf(last, buf + sizeof(buf), "%s\"%V\"",
                            last == buf ? "" : ", ", name);
    }

    if (last != buf) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"sgtm_remove_param %V\" leaves hits without %*s, "
                           "which the tagging server goes by",
                           value, (size_t) (last - buf), buf);
    }
}


char *
ngx_http_sgtm_conf_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t      *value;
    ngx_uint_t      i;
    sgtm_origin_t  *origin;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        origin = ngx_http_sgtm_conf_push(cf, &slcf->origins,
                                         sizeof(sgtm_origin_t));
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        if (!sgtm_form_origin(ngx_http_sgtm_str(&value[i]), origin)) {
            return ngx_http_sgtm_conf_invalid(cf, &value[i],
                                     "an origin as \"https://shop.example\", "
                                     "\"shop.example\" or \"*.shop.example\"");
        }

        /* browsers write origins in lower case */

        sgtm_form_lower(ngx_http_sgtm_str(&value[i]));
    }

    return NGX_CONF_OK;
}


char *
ngx_http_sgtm_conf_invalid(ngx_conf_t *cf, ngx_str_t *value, char *allowed)
{
    ngx_str_t  *directive;

    directive = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\", it must be %s",
                       value, directive, allowed);

    return NGX_CONF_ERROR;
}


void *
ngx_http_sgtm_conf_push(ngx_conf_t *cf, ngx_array_t **list, size_t size)
{
    if (*list == NGX_CONF_UNSET_PTR) {
        *list = ngx_array_create(cf->pool, 4, size);
        if (*list == NULL) {
            *list = NGX_CONF_UNSET_PTR;
            return NULL;
        }
    }

    return ngx_array_push(*list);
}


void
ngx_http_sgtm_conf_directory(ngx_cycle_t *cycle, ngx_str_t *path, char *lost)
{
    ngx_core_conf_t  *ccf;

    if (ngx_create_dir(path->data, 0700) == NGX_FILE_ERROR
        && ngx_errno != NGX_EEXIST)
    {
        ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno,
                      ngx_create_dir_n " \"%V\" failed, %s", path, lost);
        return;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ccf->user != (ngx_uid_t) NGX_CONF_UNSET_UINT && geteuid() == 0
        && chown((const char *) path->data, ccf->user, -1) == -1)
    {
        ngx_log_error(NGX_LOG_ERR, cycle->log, ngx_errno,
                      "chown(\"%V\", %d) failed", path, ccf->user);
    }
}
