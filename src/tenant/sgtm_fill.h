
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Credentials in hits.  Where one is to be sent, the gate sets the parameter to
 * "$sgtm_credential_<name>"; that is what logs, queue and disk have.  Only the
 * text that goes to the tagging server is filled with the credential itself.
 * Plain C11 without nginx.
 */


#ifndef _SGTM_FILL_H_INCLUDED_
#define _SGTM_FILL_H_INCLUDED_


#include "sgtm_tenant.h"


#define SGTM_FILL_REFERENCE  "$sgtm_credential_"
#define SGTM_FILL_ENCODED    "%24sgtm_credential_"


/* a parameter that has a credential: no other is filled, whatever it says */

typedef struct {
    sgtm_str_t           name;         /* "ep.meta_token" */
    sgtm_str_t           credential;   /* "meta_token" */
} sgtm_fill_set_t;


typedef struct {
    const sgtm_tenant_t      *tenant;  /* whose credentials; NULL: none */
    const sgtm_keys_t        *keys;    /* that open them, or NULL */
    const sgtm_fill_set_t    *sets;    /* what the gate has set */
    size_t                    nsets;
    size_t                    sealed;  /* result: that did not open */
} sgtm_fill_t;


/*
 * The name in a value "$sgtm_credential_<name>" of a directive or a record.  0:
 * it is none; -1: it looks like one, and is not of this form.
 */
int sgtm_fill_reference(const sgtm_str_t *value, sgtm_str_t *credential);

/* a credential is a parameter of events: "ep." and a name */
int sgtm_fill_param(const sgtm_str_t *name);

/* whether there may be something to fill in a query or in JSON */
int sgtm_fill_has(const sgtm_str_t *text);

/* the most bytes that a query, or JSON, has when it is filled */
size_t sgtm_fill_query_size(const sgtm_str_t *in);
size_t sgtm_fill_json_size(const sgtm_str_t *in);

/*
 * Writes a query with the parameters filled that the gate has set, and without
 * those whose credential the tenant has no more, or that does not open; returns
 * the bytes.  What a client has written stays.
 */
size_t sgtm_fill_query(sgtm_fill_t *fill, const sgtm_str_t *in,
    unsigned char *out);

/*
 * The same of a body of the Measurement Protocol that sgtm_json_check() has let
 * pass: what is set in the params of its events.
 */
size_t sgtm_fill_json(sgtm_fill_t *fill, const sgtm_str_t *in,
    unsigned char *out);

/*
 * What the gate has set, as text that stays with a hit:
 * "ep.a=meta_token ep.b=meta_pixel".  Returns its bytes; with out NULL only
 * counts them.
 */
size_t sgtm_fill_list(unsigned char *out, const sgtm_fill_set_t *sets,
    size_t n);

/* reads it again, max of them at most; sets lead into the list */
size_t sgtm_fill_read(sgtm_fill_set_t *sets, size_t max,
    const sgtm_str_t *list);


#endif /* _SGTM_FILL_H_INCLUDED_ */
