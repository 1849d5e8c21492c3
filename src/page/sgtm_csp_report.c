
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <cjson/cJSON.h>

#include "sgtm_csp.h"


typedef struct {
    const char     *name;              /* of a directive, or how it begins */
    unsigned        label;             /* sgtm_csp_e */
} sgtm_csp_known_t;


static int sgtm_csp_count(const cJSON *body, const char *const *names,
    unsigned n[SGTM_CSP_N]);


const sgtm_str_t  sgtm_csp_labels[SGTM_CSP_N] = {
    sgtm_string("script"),
    sgtm_string("style"),
    sgtm_string("img"),
    sgtm_string("connect"),
    sgtm_string("frame"),
    sgtm_string("font"),
    sgtm_string("media"),
    sgtm_string("worker"),
    sgtm_string("form"),
    sgtm_string("trusted_types"),
    sgtm_string("other")
};


static const sgtm_csp_known_t  sgtm_csp_known[] = {
    { "script-src", SGTM_CSP_SCRIPT },
    { "style-src", SGTM_CSP_STYLE },
    { "img-src", SGTM_CSP_IMG },
    { "connect-src", SGTM_CSP_CONNECT },
    { "frame-src", SGTM_CSP_FRAME },
    { "child-src", SGTM_CSP_FRAME },
    { "font-src", SGTM_CSP_FONT },
    { "media-src", SGTM_CSP_MEDIA },
    { "worker-src", SGTM_CSP_WORKER },
    { "form-action", SGTM_CSP_FORM },
    { "trusted-types", SGTM_CSP_TRUSTED_TYPES },
    { "require-trusted-types-for", SGTM_CSP_TRUSTED_TYPES },
    { NULL, SGTM_CSP_OTHER }
};


/* where the directive stands, by form */

static const char  *const sgtm_csp_uri[] = {
    "effective-directive", "violated-directive", NULL
};

static const char  *const sgtm_csp_api[] = {
    "effectiveDirective", "violatedDirective", NULL
};


int
sgtm_csp_report(const sgtm_str_t *body, unsigned n[SGTM_CSP_N])
{
    int           found;
    unsigned      i;
    const cJSON  *report, *type;
    cJSON        *json;

    if (body->len == 0) {
        return SGTM_DECLINED;
    }

    json = cJSON_ParseWithLength((const char *) body->data, body->len);

    if (json == NULL) {
        return SGTM_DECLINED;
    }

    found = 0;

    if (cJSON_IsObject(json)) {
        report = cJSON_GetObjectItemCaseSensitive(json, "csp-report");
        found = sgtm_csp_count(report, sgtm_csp_uri, n);

    } else if (cJSON_IsArray(json)) {

        for (i = 0, report = json->child;
             report != NULL && i < SGTM_CSP_REPORTS;
             i++, report = report->next)
        {
            type = cJSON_GetObjectItemCaseSensitive(report, "type");

            if (cJSON_IsString(type)
                && strcmp(type->valuestring, "csp-violation") == 0)
            {
                found |= sgtm_csp_count(
                             cJSON_GetObjectItemCaseSensitive(report, "body"),
                             sgtm_csp_api, n);
            }
        }
    }

    cJSON_Delete(json);

    return found ? SGTM_OK : SGTM_DECLINED;
}


/* an old browser's "violated-directive" has the sources behind the name */

static int
sgtm_csp_count(const cJSON *body, const char *const *names,
    unsigned n[SGTM_CSP_N])
{
    size_t                   len;
    const cJSON             *item;
    const sgtm_csp_known_t  *known;

    if (!cJSON_IsObject(body)) {
        return 0;
    }

    for ( /* void */ ; *names != NULL; names++) {

        item = cJSON_GetObjectItemCaseSensitive(body, *names);

        if (!cJSON_IsString(item) || item->valuestring[0] == '\0') {
            continue;
        }

        for (known = sgtm_csp_known; known->name != NULL; known++) {
            len = strlen(known->name);

            /* "script-src", "script-src-elem", "script-src 'self'" */

            if (strncmp(item->valuestring, known->name, len) == 0) {
                break;
            }
        }

        n[known->label]++;

        return 1;
    }

    return 0;
}
