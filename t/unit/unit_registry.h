
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the unit tests of the registry share: records whose parts can be held
 * against each other, and what a sound registry looks like.
 */


#ifndef _SGTM_UNIT_REGISTRY_H_INCLUDED_
#define _SGTM_UNIT_REGISTRY_H_INCLUDED_


#include "unit.h"
#include "tenant/sgtm_registry_core.h"


#define SOURCE  1

#define unit_must(cond, text)                                                 \
    if (!(cond)) {                                                            \
        return text;                                                          \
    }


static uint64_t  seed = 1;


static inline uint64_t
rnd(void)
{
    uint64_t  x;

    seed += 0x9e3779b97f4a7c15;
    x = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;

    return x ^ (x >> 31);
}


static inline sgtm_str_t
text(const char *s)
{
    sgtm_str_t  str;

    str.len = strlen(s);
    str.data = (unsigned char *) (uintptr_t) s;

    return str;
}


static inline void
told(void *data, unsigned level, const char *path, const char *why)
{
    (void) data;
    (void) level;

    printf("# %s: %s\n", path, why);
}


/*
 * A record of these hosts, separated by spaces: its version stands in three
 * places and again in as many cookies as it has rest by seven.
 */

static inline sgtm_tenant_t *
record(const char *id, const char *hosts, unsigned version)
{
    int                  n;
    char                 json[16384];
    unsigned             i;
    sgtm_str_t           str;
    const char          *p;
    sgtm_tenant_t       *t;
    sgtm_tenant_opts_t   opts;

    memset(&opts, 0, sizeof(sgtm_tenant_opts_t));
    opts.report = told;

    n = snprintf(json, sizeof(json), "{\"id\":\"%s\",\"hosts\":[", id);

    for (p = hosts; *p; p += strcspn(p, " "), p += (*p == ' ')) {
        n += snprintf(json + n, sizeof(json) - n, "%s\"%.*s\"",
                      p == hosts ? "" : ",", (int) strcspn(p, " "), p);
    }

    n += snprintf(json + n, sizeof(json) - n,
                  "],\"agency\":\"%s.of.%u\",\"version\":%u,\"quota\":%u,"
                  "\"cookies\":[\"a\"", id, version, version, version * 3 + 1);

    for (i = 0; i < version % 7; i++) {
        n += snprintf(json + n, sizeof(json) - n, ",\"c%u_%u\"", version, i);
    }

    n += snprintf(json + n, sizeof(json) - n, "]}");

    str.data = (unsigned char *) json;
    str.len = (size_t) n;

    t = sgtm_tenant_parse(&str, &opts);

    if (t == NULL) {
        printf("Bail out! no record: %s\n", json);
        exit(1);
    }

    return t;
}


/* whether a record is one of these, whole */

static inline int
is_whole(const sgtm_tenant_t *t)
{
    int       n;
    char      want[256];
    size_t    i;
    unsigned  version;

    version = (unsigned) t->version;

    n = snprintf(want, sizeof(want), "%.*s.of.%u", (int) t->id.len,
                 (const char *) t->id.data, version);

    if (t->agency.len != (size_t) n || memcmp(t->agency.data, want, n) != 0
        || t->quota != (int64_t) version * 3 + 1
        || t->cookies.nelts != 1 + version % 7)
    {
        return 0;
    }

    for (i = 1; i < t->cookies.nelts; i++) {
        n = snprintf(want, sizeof(want), "c%u_%u", version, (unsigned) i - 1);

        if (t->cookies.elts[i].len != (size_t) n
            || memcmp(t->cookies.elts[i].data, want, n) != 0)
        {
            return 0;
        }
    }

    return 1;
}


/* puts a record and frees it; the sum is made of its version and hosts */

static inline int
put(sgtm_registry_t *reg, uint32_t pass, sgtm_tenant_t *t,
    sgtm_registry_conflict_t *conflict)
{
    int                       rc;
    size_t                    i;
    uint64_t                  sum[2];
    sgtm_siphash_t            hash;
    sgtm_registry_conflict_t  other;

    static const unsigned char  key[SGTM_SIPHASH_KEY] = { 7 };

    sgtm_siphash_init(&hash, key);
    sgtm_siphash_update(&hash, t->agency.data, t->agency.len);

    for (i = 0; i < t->hosts.nelts; i++) {
        sgtm_siphash_update(&hash, t->hosts.elts[i].data,
                            t->hosts.elts[i].len);
        sgtm_siphash_update(&hash, key, 1);
    }

    sgtm_siphash_final(&hash, sum);

    rc = sgtm_registry_put(reg, SOURCE, pass, t, (unsigned char *) sum,
                           conflict ? conflict : &other);
    free(t);

    return rc;
}


/* what is free is filled, so that who reads it is found out */

static inline void
poison(sgtm_registry_t *reg)
{
    size_t  i;

    for (i = 0; i < (size_t) (reg->end - reg->first); i++) {
        if (!(reg->map[i / 64] >> i % 64 & 1)) {
            memset(sgtm_registry_at(reg, reg->first + i), 0xdd,
                   SGTM_REGISTRY_GRAIN);
        }
    }
}


static inline int
once(unsigned char *met, sgtm_registry_t *reg, sgtm_ref_t ref, size_t *used)
{
    size_t               i;
    const sgtm_block_t  *block;

    if (ref < reg->first || ref >= reg->end) {
        return 0;
    }

    block = sgtm_registry_at(reg, ref);

    if (block->n == 0 || block->n > reg->end - ref) {
        return 0;
    }

    *used += block->n;

    for (i = ref - reg->first; i < ref - reg->first + block->n; i++) {
        if (met[i]++ || !(reg->map[i / 64] >> i % 64 & 1)) {
            return 0;
        }
    }

    return 1;
}


/* what the nodes and their records say */

static inline const char *
unsound_nodes(sgtm_registry_t *reg, unsigned char *met, size_t *used)
{
    size_t              i, k, records;
    uint64_t            hash[2];
    sgtm_ref_t          ref;
    const sgtm_node_t  *node;
    sgtm_tenant_t      *t;

    records = 0;

    for (i = 0; i < reg->nids; i++) {
        for (ref = reg->ids[i]; ref; ref = node->next) {
            node = sgtm_registry_at(reg, ref);
            unit_must(once(met, reg, ref, used), "a node");
            unit_must(once(met, reg, node->record, used), "a record");

            t = sgtm_leaf_tenant(sgtm_registry_at(reg, node->record));
            unit_must(node->hash == sgtm_registry_hash(reg, &t->id, hash),
                      "an id");
            unit_must(is_whole(t), "a whole record");
            records++;

            for (k = 0; k < t->hosts.nelts; k++) {
                unit_must(sgtm_registry_get(sgtm_registry_hint_of(reg,
                          sgtm_registry_hash(reg, &t->hosts.elts[k], hash),
                          ref)),
                          "a host without a hint");
            }
        }
    }

    unit_must(records == reg->counts.records, "the number of records");

    return NULL;
}


static inline const char *
unsound_hints(sgtm_registry_t *reg, unsigned char *met, size_t *used)
{
    size_t              i, k, hosts;
    uint32_t            wild[SGTM_REGISTRY_LABELS];
    uint64_t            hash[2];
    sgtm_ref_t          ref;
    const sgtm_hint_t  *hint;
    const sgtm_node_t  *node;
    sgtm_tenant_t      *t;

    hosts = 0;
    memset(wild, 0, sizeof(wild));

    for (i = 0; i < reg->nhosts; i++) {
        for (ref = reg->hosts[i]; ref; ref = hint->next) {
            hint = sgtm_registry_at(reg, ref);
            unit_must(once(met, reg, ref, used), "a hint");

            node = sgtm_registry_at(reg, hint->node);
            unit_must(node->record, "a hint's record");
            t = sgtm_leaf_tenant(sgtm_registry_at(reg, node->record));

            for (k = 0; k < t->hosts.nelts; k++) {
                if ((sgtm_registry_hash(reg, &t->hosts.elts[k], hash)
                     ^ hint->key)
                    <= SGTM_HINT_LINGERS)
                {
                    break;
                }
            }

            unit_must(k < t->hosts.nelts || hint->key & SGTM_HINT_LINGERS,
                      "a hint of nothing");
            hosts++;
            wild[sgtm_hint_labels(hint)]++;
        }
    }

    unit_must(hosts == reg->counts.hosts, "the number of hosts");

    for (i = 1; i < SGTM_REGISTRY_LABELS; i++) {
        unit_must(wild[i] == reg->wildcards[i], "the number of wildcards");
    }

    return NULL;
}


static inline const char *
unsound_memory(sgtm_registry_t *reg, unsigned char *met)
{
    size_t               i, used, waiting;
    sgtm_ref_t           ref;
    const char          *why;
    const sgtm_block_t  *block;

    used = waiting = 0;

    for (ref = reg->head; ref; ref = block->next) {
        block = sgtm_registry_at(reg, ref);
        unit_must(once(met, reg, ref, &used), "a block that waits");
        waiting += block->n;
        unit_must(block->next || ref == reg->tail, "the end of what waits");
    }

    why = unsound_nodes(reg, met, &used);

    if (why == NULL) {
        why = unsound_hints(reg, met, &used);
    }

    if (why != NULL) {
        return why;
    }

    unit_must(used == reg->counts.used, "the grains in use");
    unit_must(waiting == reg->counts.waiting, "the grains that wait");

    for (i = 0; i < (size_t) (reg->end - reg->first); i++) {
        unit_must(met[i] == (reg->map[i / 64] >> i % 64 & 1),
                  "a grain of nobody");
        unit_must(met[i] || reg->first + i >= reg->low,
                  "a grain that is not seen");
    }

    return NULL;
}


/*
 * Whether every chain ends, each grain in use belongs to one block that
 * something leads to, each record's hosts have one hint and each hint a record,
 * and the counters say so.  NULL, or what is wrong.
 */

static inline const char *
unsound(sgtm_registry_t *reg)
{
    const char     *why;
    unsigned char  *met;

    met = calloc(reg->end - reg->first, 1);
    why = met ? unsound_memory(reg, met) : "no memory";
    free(met);

    return why;
}


#endif /* _SGTM_UNIT_REGISTRY_H_INCLUDED_ */
