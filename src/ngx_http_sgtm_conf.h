
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The parsers of the directives and what the merge derives from them.
 */


#ifndef _NGX_HTTP_SGTM_CONF_H_INCLUDED_
#define _NGX_HTTP_SGTM_CONF_H_INCLUDED_


#include "ngx_http_sgtm.h"


/* setters of directives: NGX_CONF_OK, or an error that nginx prints */

char *ngx_http_sgtm_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sgtm_conf_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sgtm_conf_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sgtm_conf_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_ids(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_sgtm_conf_script_name(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_consent_source(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_consent_default(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_redact(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_names(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_origins(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_sgtm_conf_set_param(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Logs that a value is not one of those allowed, which the text names;
 * NGX_CONF_ERROR.
 */
char *ngx_http_sgtm_conf_invalid(ngx_conf_t *cf, ngx_str_t *value,
    char *allowed);

/*
 * Makes a directory for the workers, if it is not there, by the master, which
 * may be root.  One that can't be made is no reason not to serve: what is lost
 * without it is logged.
 */
void ngx_http_sgtm_conf_directory(ngx_cycle_t *cycle, ngx_str_t *path,
    char *lost);

/* a new element of a list that may not be there yet; NULL: no memory */
void *ngx_http_sgtm_conf_push(ngx_conf_t *cf, ngx_array_t **list, size_t size);

/* what an enumerated directive may be: cmd->post of conf_enum */

#define ngx_http_sgtm_tiers          ((ngx_conf_enum_t *) sgtm_tiers)
#define ngx_http_sgtm_fallbacks      ((ngx_conf_enum_t *) sgtm_fallbacks)
#define ngx_http_sgtm_consent_modes  ((ngx_conf_enum_t *) sgtm_consent_modes)
#define ngx_http_sgtm_taggings       ((ngx_conf_enum_t *) sgtm_taggings)

extern ngx_conf_enum_t  ngx_http_sgtm_deliveries[];
extern ngx_conf_enum_t  ngx_http_sgtm_consent_conflicts[];
extern ngx_conf_enum_t  ngx_http_sgtm_client_ips[];
extern ngx_conf_enum_t  ngx_http_sgtm_encodeds[];
extern ngx_conf_enum_t  ngx_http_sgtm_user_datas[];


#endif /* _NGX_HTTP_SGTM_CONF_H_INCLUDED_ */
