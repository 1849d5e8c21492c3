
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the files of the record share.
 */


#ifndef _SGTM_TENANT_CORE_H_INCLUDED_
#define _SGTM_TENANT_CORE_H_INCLUDED_


#include "../hit/sgtm_json.h"
#include "sgtm_tenant.h"


/* "tenants[99999].set_params." and a name of 48 bytes, with room to spare */
#define SGTM_TENANT_PATH    256

/* of a record; what is more is not reported one by one */
#define SGTM_TENANT_ERRORS  32


/*
 * A record in the making, in memory that is large enough for whatever comes:
 * the record itself, then lists and the bytes of strings as they turn up.
 */

typedef struct {
    sgtm_tenant_t             *t;
    unsigned char             *pos;
    unsigned char             *end;
    const sgtm_tenant_opts_t  *opts;
    unsigned                   errors;
    size_t                     path_len;
    char                       path[SGTM_TENANT_PATH];
    sgtm_json_item_t           items[SGTM_TENANT_FIELD_N];
} sgtm_tenant_build_t;


typedef struct {
    unsigned char             *out;        /* NULL: bytes are counted */
    size_t                     len;
    unsigned                   flags;      /* SGTM_TENANT_PRETTY ... */
} sgtm_tenant_writer_t;


/* a field: how it is read and written */

typedef struct sgtm_tenant_spec_s  sgtm_tenant_spec_t;

struct sgtm_tenant_spec_s {
    sgtm_str_t                 name;
    void                     (*read)(sgtm_tenant_build_t *b,
                                   const sgtm_tenant_spec_t *spec,
                                   const sgtm_json_item_t *item);
    void                     (*write)(sgtm_tenant_writer_t *w,
                                   const sgtm_tenant_spec_t *spec,
                                   const sgtm_tenant_t *t);
    size_t                     offset;     /* in sgtm_tenant_t */
    int                      (*form)(const sgtm_str_t *text);
    const sgtm_word_t         *words;
    int64_t                    max;        /* bytes, items, or the number */
    const char                *error;
    unsigned                   lower;      /* letters are made small */
};


extern const sgtm_tenant_spec_t  sgtm_tenant_specs[];  /* SGTM_TENANT_FIELD_N */
extern const sgtm_word_t         sgtm_tenant_features[];


/* a kind of credential; further names are its own, "_" and more */

typedef struct {
    sgtm_str_t                 name;
    int                      (*form)(const sgtm_str_t *text);
    const char                *error;
    unsigned                   secret;
} sgtm_tenant_credential_kind_t;


/* NULL: a credential can't have this name */
const sgtm_tenant_credential_kind_t *sgtm_tenant_credential_kind(
    const sgtm_str_t *name);


/* how much memory a record of len bytes of JSON takes at most */
size_t sgtm_tenant_room(size_t len);

/*
 * sgtm_tenant_parse() into memory of sgtm_tenant_room(json->len) bytes, aligned
 * for a pointer.
 */
sgtm_tenant_t *sgtm_tenant_build(const sgtm_str_t *json,
    const sgtm_tenant_opts_t *opts, void *mem);


/* of sgtm_tenant_parse.c, for the readers of fields */

/* reports at the present path, and counts */
void sgtm_tenant_error(sgtm_tenant_build_t *b, const char *text);
void sgtm_tenant_warn(sgtm_tenant_build_t *b, const char *text);
void sgtm_tenant_unknown(sgtm_tenant_build_t *b);

/*
 * Lengthen the path by an element's number or a member's name; return what to
 * set b->path_len to afterwards.
 */
size_t sgtm_tenant_at(sgtm_tenant_build_t *b, size_t n);
size_t sgtm_tenant_below(sgtm_tenant_build_t *b, const sgtm_str_t *name);

/* memory of the block, aligned for a pointer and zeroed; NULL, reported */
void *sgtm_tenant_alloc(sgtm_tenant_build_t *b, size_t size);

/* what a string means, in the block; 0: it is not a string, reported */
int sgtm_tenant_string(sgtm_tenant_build_t *b, const sgtm_json_item_t *item,
    sgtm_str_t *text);

/* the same of a member's name, which is always a string */
int sgtm_tenant_name(sgtm_tenant_build_t *b, const sgtm_json_item_t *item,
    sgtm_str_t *text);

/*
 * Begins a list or object of at most max items: their number, or -1 where it
 * is none or has more, reported.
 */
int sgtm_tenant_begin(sgtm_tenant_build_t *b, const sgtm_json_item_t *item,
    unsigned type, size_t max, sgtm_json_t *json);

/*
 * Whether one of n elements of a list, each of so many bytes and a name first,
 * has this name.
 */
int sgtm_tenant_named(const void *elts, size_t n, size_t size,
    const sgtm_str_t *name);


/* of sgtm_tenant_parts.c and, where secrets are, sgtm_tenant_credentials.c */

#define sgtm_tenant_reader(name)                                              \
    void name(sgtm_tenant_build_t *b, const sgtm_tenant_spec_t *spec,         \
        const sgtm_json_item_t *item)

sgtm_tenant_reader(sgtm_tenant_read_consent);
sgtm_tenant_reader(sgtm_tenant_read_rate);
sgtm_tenant_reader(sgtm_tenant_read_origins);
sgtm_tenant_reader(sgtm_tenant_read_credentials);
sgtm_tenant_reader(sgtm_tenant_read_sets);
sgtm_tenant_reader(sgtm_tenant_read_webhooks);
sgtm_tenant_reader(sgtm_tenant_read_secrets);
sgtm_tenant_reader(sgtm_tenant_read_events);
sgtm_tenant_reader(sgtm_tenant_read_features);


/* of sgtm_tenant_write.c */

#define sgtm_tenant_writer(name)                                              \
    void name(sgtm_tenant_writer_t *w, const sgtm_tenant_spec_t *spec,        \
        const sgtm_tenant_t *t)

sgtm_tenant_writer(sgtm_tenant_write_text);
sgtm_tenant_writer(sgtm_tenant_write_texts);
sgtm_tenant_writer(sgtm_tenant_write_word);
sgtm_tenant_writer(sgtm_tenant_write_number);
sgtm_tenant_writer(sgtm_tenant_write_consent);
sgtm_tenant_writer(sgtm_tenant_write_rate);
sgtm_tenant_writer(sgtm_tenant_write_burst);
sgtm_tenant_writer(sgtm_tenant_write_sample);
sgtm_tenant_writer(sgtm_tenant_write_origins);
sgtm_tenant_writer(sgtm_tenant_write_credentials);
sgtm_tenant_writer(sgtm_tenant_write_sets);
sgtm_tenant_writer(sgtm_tenant_write_webhooks);
sgtm_tenant_writer(sgtm_tenant_write_secrets);
sgtm_tenant_writer(sgtm_tenant_write_events);
sgtm_tenant_writer(sgtm_tenant_write_features);


#endif /* _SGTM_TENANT_CORE_H_INCLUDED_ */
