
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the tests of tenants share: what a record said, JSON put together, and
 * keys.
 */


#ifndef _SGTM_UNIT_TENANT_H_INCLUDED_
#define _SGTM_UNIT_TENANT_H_INCLUDED_


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "unit.h"
#include "../../src/tenant/sgtm_tenant.h"


/* a secret that has the form */
#define SEALED  "sealed:v1:k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


static char       tenant_said[16384];  /* "warning hosts[1]: ..." and so on */
static unsigned   tenant_reports;
static char      *tenant_text;
static size_t     tenant_room;


static inline void
tenant_report(void *data, unsigned level, const char *path, const char *text)
{
    size_t  n;

    (void) data;

    n = strlen(tenant_said);
    tenant_reports++;

    snprintf(tenant_said + n, sizeof(tenant_said) - n, "%s%s: %s\n",
             level == SGTM_TENANT_ERROR ? "" : "warning ", path, text);
}


/* of memory of exactly its size */

static inline sgtm_tenant_t *
tenant_parse(const char *json, unsigned strict)
{
    sgtm_str_t          text;
    sgtm_tenant_t      *t;
    sgtm_tenant_opts_t  opts;

    memset(&opts, 0, sizeof(opts));

    opts.report = tenant_report;
    opts.strict = strict & 1;

    tenant_said[0] = '\0';
    tenant_reports = 0;

    text.len = strlen(json);
    text.data = malloc(text.len ? text.len : 1);
    memcpy(text.data, json, text.len);

    t = sgtm_tenant_parse(&text, &opts);

    free(text.data);

    return t;
}


/* whether a strict reader says nothing but warnings, or this error first */

static inline void
tenant_is(const char *json, const char *error, const char *name)
{
    int             ok;
    sgtm_tenant_t  *t;

    t = tenant_parse(json, 1);

    if (error == NULL) {
        ok = (t != NULL && (tenant_said[0] == '\0'
                            || strncmp(tenant_said, "warning ", 8) == 0));

    } else {
        ok = (t == NULL
              && strncmp(tenant_said, error, strlen(error)) == 0);
    }

    if (!unit_ok(ok, "%s: %.60s", error ? error : "good",
                 strchr(name, '\n') || strchr(name, '#') ? "" : name))
    {
        printf("# said: %s\n", tenant_said);
    }

    free(t);
}


static inline void
tenant_written(const sgtm_tenant_t *t, unsigned flags, const char *want,
    const char *name)
{
    size_t          len;
    unsigned char  *out;

    len = sgtm_tenant_write(NULL, t, flags);
    out = unit_alloc(len);

    unit_ok(sgtm_tenant_write(out, t, flags) == len, "as long as was counted");
    unit_is(out, len, want, name);
}


static inline void
tenant_text_add(const char *text)
{
    size_t  len;

    len = tenant_text ? strlen(tenant_text) : 0;

    if (len + strlen(text) + 1 > tenant_room) {
        tenant_room = 2 * (len + strlen(text) + 1);
        tenant_text = realloc(tenant_text, tenant_room);

        if (tenant_text == NULL) {
            printf("Bail out! no memory\n");
            exit(1);
        }
    }

    strcpy(tenant_text + len, text);
}


static inline void
tenant_text_begin(const char *text)
{
    if (tenant_text != NULL) {
        tenant_text[0] = '\0';

    } else {
        tenant_room = 1024;
        tenant_text = calloc(1, tenant_room);
    }

    tenant_text_add(text);
}


static inline void
tenant_text_fill(char ch, size_t n)
{
    char  *fill;

    fill = unit_alloc(n + 1);

    memset(fill, ch, n);
    fill[n] = '\0';

    tenant_text_add(fill);
}


static inline void
tenant_keys(sgtm_keys_t *keys)
{
    char        error[SGTM_KEYS_ERROR];
    sgtm_str_t  text;

    text = unit_str("k1 000102030405060708090a0b0c0d0e0f"
                    "101112131415161718191a1b1c1d1e1f\n");

    if (sgtm_keys_parse(keys, &text, error) != SGTM_OK) {
        printf("Bail out! %s\n", error);
        exit(1);
    }
}


static inline void
tenant_text_sealed(const sgtm_keys_t *keys, const char *id, const char *field,
    const char *secret)
{
    char        out[SGTM_SEALED_MAX + 1];
    size_t      len;
    sgtm_str_t  owner, place, plain;

    owner = unit_str(id);
    place = unit_str(field);
    plain = unit_str(secret);

    if (sgtm_seal(keys, &owner, &place, &plain, (unsigned char *) out, &len)
        != SGTM_OK)
    {
        printf("Bail out! not sealed\n");
        exit(1);
    }

    out[len] = '\0';
    tenant_text_add(out);
}


static inline void
tenant_opens(const sgtm_tenant_t *t, const char *field, size_t n,
    const sgtm_keys_t *keys, const char *want)
{
    int             rc;
    size_t          len;
    sgtm_str_t      place;
    unsigned char   out[SGTM_SECRET_MAX];

    place = unit_str(field);
    rc = sgtm_tenant_open(t, &place, n, keys, out, &len);

    unit_ok(rc == SGTM_OK && len == strlen(want)
            && memcmp(out, want, len) == 0, "%s opens", field);
}


#endif /* _SGTM_UNIT_TENANT_H_INCLUDED_ */
