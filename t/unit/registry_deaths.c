
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The registry of tenants against a plain list that does the same, and with a
 * writer that dies at each point that has an order, in a call, in a pass and in
 * the repair after it.  It guards against a host that is another tenant's,
 * memory that is lost or freed while it is read, and a chain without an end.
 */


#include "unit_registry_steps.h"


/* a list that does the same */

#define TENANTS  24
#define NAMES    40

typedef struct {
    int              version;          /* 0: it is not there */
    unsigned char    has[NAMES];
} model_t;

static model_t         model[TENANTS];
static sgtm_tenant_t  *leaked;


static void
name_of(char *name, unsigned i)
{
    snprintf(name, 32, "%s%u.example", i % 5 ? "h" : "*.w", i);
}


static int
same(sgtm_registry_t *reg, int tell)
{
    int       want;
    char      name[32];
    unsigned  i, k;

    for (i = 0; i < TENANTS; i++) {
        snprintf(name, sizeof(name), "t%u", i);

        if (id(reg, name) != model[i].version) {
            if (tell) {
                printf("# %s is %d, not %d\n", name, id(reg, name),
                       model[i].version);
            }

            return 0;
        }
    }

    for (k = 0; k < NAMES; k++) {

        want = 0;

        for (i = 0; i < TENANTS; i++) {
            want = model[i].version && model[i].has[k] ? model[i].version
                                                       : want;
        }

        name_of(name, k);
        name[0] = (name[0] == '*') ? 'q' : name[0];

        if (host(reg, name) != want) {
            if (tell) {
                printf("# %s is %d's, not %d's\n", name, host(reg, name),
                       want);
            }

            return 0;
        }
    }

    return 1;
}


/* a change: what is done, and what it makes of the list */

typedef struct {
    unsigned  t;
    int       want;                    /* sgtm_registry_rc_e */
    model_t   m;
    char      hosts[128];
} change_t;


static void
plan(change_t *c)
{
    size_t    len;
    unsigned  i, k, n;

    memset(c, 0, sizeof(change_t));

    c->t = (unsigned) (rnd() % TENANTS);
    c->want = SGTM_REGISTRY_OK;

    if (rnd() % 4 == 0) {
        return;
    }

    c->m.version = 1;

    for (n = (unsigned) (rnd() % 4); n; n--) {

        k = (unsigned) (rnd() % NAMES);
        len = strlen(c->hosts);

        if (c->m.has[k]) {
            continue;
        }

        if (len) {
            c->hosts[len++] = ' ';
        }

        name_of(c->hosts + len, k);
        c->m.has[k] = 1;

        for (i = 0; i < TENANTS; i++) {
            if (i != c->t && model[i].version && model[i].has[k]) {
                c->want = SGTM_REGISTRY_HOST;
            }
        }
    }
}


static int
apply(sgtm_registry_t *reg, change_t *c, unsigned version, int in_pass)
{
    int             rc;
    char            name[32];
    size_t          next, removed;
    uint32_t        pass;
    unsigned        i;
    sgtm_str_t      str;
    sgtm_tenant_t  *t;

    pass = in_pass ? sgtm_registry_begin(reg, SOURCE) : 0;

    for (i = 0; pass && i < TENANTS; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        str = text(name);

        if (i != c->t) {
            sgtm_registry_keep(reg, SOURCE, pass, &str);
        }
    }

    snprintf(name, sizeof(name), "t%u", c->t);
    rc = SGTM_REGISTRY_OK;

    if (c->m.version) {

        /* what a death leaks is ours, not the registry's */

        t = record(name, c->hosts, version);
        c->m.version = (int) version;
        leaked = t;

        rc = put(reg, pass, t, NULL);
        leaked = NULL;

    } else if (pass == 0) {
        rc = drop(reg, name);
    }

    next = removed = 0;

    while (pass
           && sgtm_registry_sweep(reg, SOURCE, pass, &next, 20, &removed)
              == SGTM_REGISTRY_WAIT)
    {
        /* void */
    }

    return rc;
}


static void
test_model(void)
{
    change_t          c;
    unsigned          i, bad;
    sgtm_registry_t  *reg;

    reg = registry(64 * 1024, 40);
    memset(model, 0, sizeof(model));

    for (i = 1, bad = 0; i < 4000 && bad == 0; i++) {

        plan(&c);
        bad += (apply(reg, &c, i, i % 4 == 0) != c.want);

        if (c.want == SGTM_REGISTRY_OK) {
            model[c.t] = c.m;
        }

        bad += !same(reg, 1);

        if (i % 3 == 0) {
            sgtm_registry_reclaim(reg, 1 + rnd() % 5, 0);
            poison(reg);
        }

        if (i % 50 == 0) {
            bad += !is_sound(reg, "model");
            sgtm_registry_reclaim(reg, 1000, 0);
        }
    }

    unit_ok(bad == 0, "as a list does it, %u changes", i);
}


/* the next writer's: the dead one is in the middle of a call, or a repair */

static unsigned
repaired(sgtm_registry_t *reg, unsigned at)
{
    volatile unsigned  again;

    again = 0;
    reg->writer = NOBODY;

    step = 0;
    die_at = at;

    if (setjmp(died)) {
        again++;
        reg->writer = NOBODY;
    }

    if (sgtm_registry_lock(reg) != SGTM_OK) {
        return 99;
    }

    while (sgtm_registry_repair(reg, 1 + rnd() % 9)) { /* void */ }

    die_at = 0;

    return again;
}


/* all records, by a reader who enters */

static uint64_t
hold(sgtm_registry_t *reg, sgtm_registry_reader_t *reader,
    const sgtm_tenant_t **held)
{
    char         name[32];
    uint64_t     g;
    unsigned     i;
    sgtm_str_t   str;

    g = sgtm_registry_enter(reader);

    for (i = 0; i < TENANTS; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        str = text(name);
        held[i] = sgtm_registry_id(reg, &str);
    }

    return g;
}


static int
is_held(const sgtm_tenant_t **held)
{
    unsigned  i;

    for (i = 0; i < TENANTS; i++) {
        if (held[i] && !is_whole(held[i])) {
            printf("# a record is gone while it is read\n");
            return 0;
        }
    }

    return 1;
}


/* whether it is as before the change or as after it, and sets the model so */

static int
either(sgtm_registry_t *reg, const change_t *c)
{
    model_t  before;

    if (same(reg, 0)) {
        return 1;
    }

    before = model[c->t];
    model[c->t] = c->m;

    if (c->want == SGTM_REGISTRY_OK && same(reg, 1)) {
        return 1;
    }

    model[c->t] = before;

    return 0;
}


static void
test_deaths(int in_pass, unsigned changes)
{
    change_t                 c;
    uint64_t                 g;
    volatile unsigned        i, at, bad, deaths, again, version;
    sgtm_registry_t         *reg;
    sgtm_registry_reader_t   reader;
    const sgtm_tenant_t     *held[TENANTS];

    reg = registry(64 * 1024, 0);
    memset(model, 0, sizeof(model));
    sgtm_registry_attach(reg, &reader);

    bad = deaths = again = 0;
    version = 1;

    for (i = 0; i < changes && bad == 0; i++) {

        plan(&c);

        /* dying later and later, until it is through */

        for (at = 1; bad == 0; at++) {

            step = 0;
            leaked = NULL;
            version++;
            g = hold(reg, &reader, held);
            die_at = at;

            if (setjmp(died) == 0) {
                sgtm_registry_reclaim(reg, at % 3, 0);
                bad += (apply(reg, &c, version, in_pass) != c.want);
                die_at = 0;

                if (c.want == SGTM_REGISTRY_OK) {
                    model[c.t] = c.m;
                }

                bad += !same(reg, 1);
                sgtm_registry_leave(&reader, g);
                break;
            }

            die_at = 0;
            deaths++;
            free(leaked);

            /* what lingers in a pass does so until the repair */

            bad += !in_pass && !either(reg, &c);
            again += repaired(reg, at % 40);
            bad += !is_sound(reg, "repaired");
            poison(reg);

            bad += !either(reg, &c);

            /* who reads meanwhile keeps what he has */

            sgtm_registry_reclaim(reg, 1000, 1);
            poison(reg);
            bad += !is_held(held);
            sgtm_registry_leave(&reader, g);

            sgtm_registry_reclaim(reg, at % 2 ? 1000 : 0, 0);
            bad += !is_sound(reg, "reclaimed");
            poison(reg);
            bad += !same(reg, 1);
        }
    }

    unit_ok(bad == 0 && deaths > 1000 && again > 100,
            "died in %u calls%s, and %u times in the repair: all is as before "
            "or as after, and no memory lost", deaths,
            in_pass ? " of a pass" : "", again);
}


int
main(void)
{
    test_model();
    test_deaths(0, 300);
    test_deaths(1, 100);

    return unit_done();
}
