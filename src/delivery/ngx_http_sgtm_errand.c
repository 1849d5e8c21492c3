
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "ngx_http_sgtm_errand.h"


static int ngx_http_sgtm_errand_lease(sgtm_store_t *store,
    ngx_http_sgtm_errand_t *e);
static int ngx_http_sgtm_errand_list(sgtm_store_t *store,
    ngx_http_sgtm_errand_t *e);
static int ngx_http_sgtm_errand_take(sgtm_store_t *store,
    ngx_http_sgtm_errand_t *e);
static int ngx_http_sgtm_errand_take_of(sgtm_store_t *store,
    ngx_http_sgtm_errand_take_t *t);


void
ngx_http_sgtm_errand_reset(ngx_http_sgtm_errand_t *e)
{
    e->outcomes = NULL;
    e->ntargets = 0;
    e->ntakes = 0;

    e->lease = 0;
    e->list = 0;
    e->release = 0;
    e->memory = 0;

    e->leased = 0;
    e->settled = 0;
    e->listed = 0;
}


void
ngx_http_sgtm_errand_run(sgtm_store_t *store, ngx_http_sgtm_job_t *job)
{
    int                      rc;
    ngx_http_sgtm_errand_t  *e;

    e = (ngx_http_sgtm_errand_t *) job;

    rc = ngx_http_sgtm_errand_lease(store, e);

    if (rc == SGTM_STORE_OK && e->outcomes) {
        rc = sgtm_store_settle(store, e->instance, e->outcomes);
        e->settled = (rc == SGTM_STORE_OK);
    }

    if (rc == SGTM_STORE_OK) {
        rc = ngx_http_sgtm_errand_list(store, e);
    }

    if (rc == SGTM_STORE_OK) {
        rc = ngx_http_sgtm_errand_take(store, e);
    }

    if (rc == SGTM_STORE_OK && e->release) {
        rc = sgtm_store_release(store, e->instance);
    }

    job->rc = rc;
}


static int
ngx_http_sgtm_errand_lease(sgtm_store_t *store, ngx_http_sgtm_errand_t *e)
{
    int  rc, fresh;

    if (!e->lease) {
        return SGTM_STORE_OK;
    }

    rc = sgtm_store_lease(store, e->instance, e->now, e->until, &fresh);

    if (rc != SGTM_STORE_OK) {
        return rc;
    }

    /* another one has been the courier meanwhile, or the file is a new one */

    if (fresh && e->memory) {
        return SGTM_STORE_LOST;
    }

    e->leased = 1;

    return SGTM_STORE_OK;
}


static int
ngx_http_sgtm_errand_list(sgtm_store_t *store, ngx_http_sgtm_errand_t *e)
{
    int  rc;

    if (!e->list) {
        return SGTM_STORE_OK;
    }

    rc = sgtm_store_targets(store, e->targets, e->size, &e->ntargets);

    e->listed = (rc == SGTM_STORE_OK);

    return rc;
}


static int
ngx_http_sgtm_errand_take(sgtm_store_t *store, ngx_http_sgtm_errand_t *e)
{
    int         rc;
    ngx_uint_t  i;

    for (i = 0; i < e->ntakes; i++) {
        rc = ngx_http_sgtm_errand_take_of(store, &e->takes[i]);

        if (rc != SGTM_STORE_OK) {
            return rc;
        }

        e->takes[i].done = 1;
    }

    return SGTM_STORE_OK;
}


static int
ngx_http_sgtm_errand_take_of(sgtm_store_t *store,
    ngx_http_sgtm_errand_take_t *t)
{
    int  rc;

    t->take.put_off = t->put_off && !t->probe;

    rc = sgtm_store_take(store, &t->take);

    if (rc == SGTM_STORE_OK && t->put_off && t->probe) {

        if (t->take.list || t->take.again <= t->take.now) {
            return SGTM_STORE_OK;
        }

        /* a probe would rather send one too early than none */

        t->take.put_off = 1;
        rc = sgtm_store_take(store, &t->take);
    }

    if (rc == SGTM_STORE_OK) {
        t->put_off = t->take.put_off;
    }

    return rc;
}
