
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hit/sgtm_json.h"
#include "tenant/sgtm_tenant_core.h"
#include "sgtm-tenants.h"


/* a record of the first side, as JSON in its one form; ordered by id */

typedef struct {
    sgtm_str_t      id;
    sgtm_str_t      json;
    unsigned        seen;
} diff_record_t;


typedef struct {
    diff_record_t  *records;
    size_t          nrecords;
    size_t          room;
    int             differs;
} diff_t;


static int diff_keep(tenants_t *t, sgtm_tenants_t *it);
static int diff_compare_ids(const void *one, const void *two);
static int diff_one(tenants_t *t, sgtm_tenants_t *it);
static void diff_records(diff_t *diff, const sgtm_str_t *id,
    const sgtm_str_t *old, const sgtm_str_t *new);
static void diff_members(diff_t *diff, const sgtm_str_t *id,
    const sgtm_str_t *parent, const sgtm_str_t *old, const sgtm_str_t *new);
static void diff_value(diff_t *diff, const sgtm_str_t *id,
    const sgtm_str_t *parent, const sgtm_json_item_t *old,
    const sgtm_json_item_t *new);
static sgtm_str_t diff_name(const sgtm_json_item_t *item);
static int diff_secret(const sgtm_str_t *parent, const sgtm_str_t *name);
static int diff_json(const sgtm_tenant_t *t, sgtm_str_t *json);
static void diff_free(diff_t *diff);


int
tenants_diff(tenants_t *t)
{
    int     rc;
    size_t  i;
    diff_t  diff;

    memset(&diff, 0, sizeof(diff_t));

    t->data = &diff;
    t->quiet = 1;

    rc = tenants_begin(t, 0);

    if (rc == TENANTS_OK) {
        rc = tenants_read(t, t->args[0], diff_keep);
    }

    if (rc == TENANTS_OK) {
        rc = tenants_begin(t, 0);
    }

    if (rc == TENANTS_OK) {

        if (diff.nrecords) {
            qsort(diff.records, diff.nrecords, sizeof(diff_record_t),
                  diff_compare_ids);
        }

        rc = tenants_read(t, t->args[1], diff_one);
    }

    if (rc == TENANTS_OK) {

        for (i = 0; i < diff.nrecords; i++) {
            if (!diff.records[i].seen) {
                printf("%.*s: removed\n", (int) diff.records[i].id.len,
                       (char *) diff.records[i].id.data);
                diff.differs = 1;
            }
        }
    }

    t->data = NULL;
    diff_free(&diff);

    return (rc != TENANTS_OK) ? TENANTS_USAGE : diff.differs;
}


static int
diff_keep(tenants_t *t, sgtm_tenants_t *it)
{
    size_t          room;
    diff_t         *diff;
    diff_record_t  *record;

    diff = t->data;

    if (diff->nrecords == diff->room) {
        room = diff->room ? 2 * diff->room : 64;
        record = realloc(diff->records, room * sizeof(diff_record_t));

        if (record == NULL) {
            return tenants_fail("no memory");
        }

        diff->records = record;
        diff->room = room;
    }

    record = &diff->records[diff->nrecords];

    memset(record, 0, sizeof(diff_record_t));

    if (diff_json(it->tenant, &record->json) != TENANTS_OK) {
        return TENANTS_FAILED;
    }

    /* {"id":"...", and nothing in an id that JSON would escape */

    record->id.data = record->json.data + sizeof("{\"id\":\"") - 1;
    record->id.len = it->tenant->id.len;

    diff->nrecords++;

    return TENANTS_OK;
}


static int
diff_compare_ids(const void *one, const void *two)
{
    int                rc;
    size_t             len;
    const sgtm_str_t  *a, *b;

    a = &((const diff_record_t *) one)->id;
    b = &((const diff_record_t *) two)->id;

    len = (a->len < b->len) ? a->len : b->len;
    rc = memcmp(a->data, b->data, len);

    return rc ? rc : (a->len > b->len) - (a->len < b->len);
}


static int
diff_one(tenants_t *t, sgtm_tenants_t *it)
{
    diff_t         *diff;
    sgtm_str_t      json;
    diff_record_t   key, *record;

    memset(&key, 0, sizeof(diff_record_t));

    diff = t->data;
    key.id = it->tenant->id;

    record = diff->nrecords
             ? bsearch(&key, diff->records, diff->nrecords,
                       sizeof(diff_record_t), diff_compare_ids)
             : NULL;

    if (record == NULL) {
        printf("%.*s: added\n", (int) key.id.len, (char *) key.id.data);
        diff->differs = 1;
        return TENANTS_OK;
    }

    record->seen = 1;

    if (diff_json(it->tenant, &json) != TENANTS_OK) {
        return TENANTS_FAILED;
    }

    if (!sgtm_str_equal(&record->json, &json)) {
        diff_records(diff, &record->id, &record->json, &json);
    }

    free(json.data);

    return TENANTS_OK;
}


/* fields that are objects are compared by their members */

static void
diff_records(diff_t *diff, const sgtm_str_t *id, const sgtm_str_t *old,
    const sgtm_str_t *new)
{
    size_t             i;
    sgtm_str_t         empty;
    const sgtm_str_t  *name;
    sgtm_json_item_t   a, b;

    static unsigned char  braces[] = "{}";

    empty.data = braces;
    empty.len = 2;

    for (i = 0; i < SGTM_TENANT_FIELD_N; i++) {
        name = sgtm_tenant_field((unsigned) i);

        memset(&a, 0, sizeof(sgtm_json_item_t));
        memset(&b, 0, sizeof(sgtm_json_item_t));

        (void) sgtm_json_get(old, name, &a);
        (void) sgtm_json_get(new, name, &b);

        if (sgtm_str_equal(&a.value, &b.value)) {
            continue;
        }

        if ((a.value.len && a.type != SGTM_JSON_OBJECT)
            || (b.value.len && b.type != SGTM_JSON_OBJECT)
            || (a.value.len == 0 && b.value.len == 2)
            || (b.value.len == 0 && a.value.len == 2))
        {
            diff_value(diff, id, NULL, &a, &b);
            continue;
        }

        diff_members(diff, id, name, a.value.len ? &a.value : &empty,
                     b.value.len ? &b.value : &empty);
    }
}


static void
diff_members(diff_t *diff, const sgtm_str_t *id, const sgtm_str_t *parent,
    const sgtm_str_t *old, const sgtm_str_t *new)
{
    sgtm_str_t        name;
    sgtm_json_t       object;
    sgtm_json_item_t  a, b;

    sgtm_json_open(&object, old);

    while (sgtm_json_next(&object, &a)) {

        memset(&b, 0, sizeof(sgtm_json_item_t));
        name = diff_name(&a);

        (void) sgtm_json_get(new, &name, &b);

        if (!sgtm_str_equal(&a.value, &b.value)) {
            diff_value(diff, id, parent, &a, &b);
        }
    }

    sgtm_json_open(&object, new);

    while (sgtm_json_next(&object, &b)) {

        memset(&a, 0, sizeof(sgtm_json_item_t));
        name = diff_name(&b);

        if (!sgtm_json_get(old, &name, &a)) {
            diff_value(diff, id, parent, &a, &b);
        }
    }
}


/* what has no value is not there */

static void
diff_value(diff_t *diff, const sgtm_str_t *id, const sgtm_str_t *parent,
    const sgtm_json_item_t *old, const sgtm_json_item_t *new)
{
    sgtm_str_t  name;

    name = diff_name(old->value.len ? old : new);
    diff->differs = 1;

    printf("%.*s: ", (int) id->len, (char *) id->data);

    if (parent != NULL) {
        printf("%.*s.", (int) parent->len, (char *) parent->data);
    }

    printf("%.*s: ", (int) name.len, (char *) name.data);

    if (diff_secret(parent, &name)) {
        puts(old->value.len == 0 ? "set"
             : new->value.len == 0 ? "removed" : "changed");
        return;
    }

    if (old->value.len == 0) {
        printf("set to %.*s\n", (int) new->value.len, (char *) new->value.data);

    } else if (new->value.len == 0) {
        printf("removed, was %.*s\n", (int) old->value.len,
               (char *) old->value.data);

    } else {
        printf("%.*s -> %.*s\n", (int) old->value.len,
               (char *) old->value.data, (int) new->value.len,
               (char *) new->value.data);
    }
}


/* without its quotes: of what we wrote ourselves no name has an escape */

static sgtm_str_t
diff_name(const sgtm_json_item_t *item)
{
    sgtm_str_t  name;

    name.data = item->key.data + 1;
    name.len = item->key.len - 2;

    return name;
}


static int
diff_secret(const sgtm_str_t *parent, const sgtm_str_t *name)
{
    const sgtm_tenant_credential_kind_t  *kind;

    if (parent == NULL) {
        return sgtm_str_equal(name, sgtm_tenant_field(SGTM_TENANT_API_SECRETS))
               || sgtm_str_equal(name, sgtm_tenant_field(SGTM_TENANT_WEBHOOKS));
    }

    if (sgtm_str_equal(parent, sgtm_tenant_field(SGTM_TENANT_WEBHOOKS))) {
        return 1;
    }

    if (!sgtm_str_equal(parent, sgtm_tenant_field(SGTM_TENANT_CREDENTIALS))) {
        return 0;
    }

    kind = sgtm_tenant_credential_kind(name);

    return kind == NULL || kind->secret;
}


static int
diff_json(const sgtm_tenant_t *t, sgtm_str_t *json)
{
    json->len = sgtm_tenant_write(NULL, t, 0);
    json->data = malloc(json->len);

    if (json->data == NULL) {
        return tenants_fail("no memory");
    }

    (void) sgtm_tenant_write(json->data, t, 0);

    return TENANTS_OK;
}


static void
diff_free(diff_t *diff)
{
    size_t  i;

    for (i = 0; i < diff->nrecords; i++) {
        free(diff->records[i].json.data);
    }

    free(diff->records);
}
