
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "../ngx_http_sgtm.h"
#include "../ngx_http_sgtm_conf.h"
#include "../gate/ngx_http_sgtm_commit.h"
#include "../gate/ngx_http_sgtm_dedup.h"
#include "../gate/ngx_http_sgtm_gate.h"
#include "../gate/ngx_http_sgtm_headers.h"
#include "../gate/ngx_http_sgtm_overlay.h"
#include "../hit/sgtm_events.h"
#include "../tenant/ngx_http_sgtm_secrets.h"
#include "ngx_http_sgtm_mp.h"
#include "ngx_http_sgtm_webhook.h"
#include "sgtm_order.h"
#include "sgtm_signature.h"


#define NGX_HTTP_SGTM_WEBHOOK_PATH  "webhook/"

/* seconds that a sale or a refund is known for: shops retry for three days */
#define NGX_HTTP_SGTM_WEBHOOK_WINDOW   (7 * 24 * 60 * 60)

/* each is tried with each body */
#define NGX_HTTP_SGTM_WEBHOOK_SECRETS  8


#define ngx_http_sgtm_webhook_of_record(ctx)                                  \
    ((ctx)->overlay                                                           \
     && sgtm_tenant_has((ctx)->overlay->record, SGTM_TENANT_WEBHOOKS))


static ngx_int_t ngx_http_sgtm_webhook_secrets(ngx_conf_t *cf,
    ngx_str_t *name, ngx_array_t *secrets);
static ngx_uint_t ngx_http_sgtm_webhook_has(ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t shop);
static ngx_http_sgtm_webhook_t *ngx_http_sgtm_webhook_find(
    ngx_http_sgtm_loc_conf_t *conf, ngx_uint_t shop);
static ngx_int_t ngx_http_sgtm_webhook_signed(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, ngx_uint_t shop, ngx_str_t *body);
static int ngx_http_sgtm_webhook_signature(ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t shop, ngx_str_t *header, ngx_str_t *body, int *stale);
static ngx_int_t ngx_http_sgtm_webhook_seen(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_order_t *order);
static ngx_int_t ngx_http_sgtm_webhook_send(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, sgtm_order_t *order);
static ngx_int_t ngx_http_sgtm_webhook_args(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static ngx_int_t ngx_http_sgtm_webhook_query(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx, const sgtm_str_t *secret);
static ngx_int_t ngx_http_sgtm_webhook_headers(ngx_http_request_t *r,
    ngx_http_sgtm_ctx_t *ctx);
static void ngx_http_sgtm_webhook_header(ngx_http_request_t *r,
    const ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_sgtm_webhook_answer(ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t disposition, ngx_uint_t reason, ngx_int_t status);


/* the header that tells it, by sgtm_shop_e; empty: it is in the body */

static ngx_str_t  ngx_http_sgtm_webhook_topics[] = {
    ngx_null_string,                   /* Stripe */
    ngx_string("x-shopify-topic"),
    ngx_string("x-wc-webhook-topic")
};


char *
ngx_http_sgtm_conf_webhook(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_sgtm_loc_conf_t *slcf = conf;

    ngx_str_t                *value, name;
    ngx_uint_t                i;
    const sgtm_word_t        *shop;
    ngx_http_sgtm_webhook_t  *webhook;

    value = cf->args->elts;

    shop = sgtm_word(sgtm_shop_names, ngx_http_sgtm_str(&value[1]));

    if (shop == NULL) {
        return ngx_http_sgtm_conf_invalid(cf, &value[1],
                              "\"stripe\", \"shopify\" or \"woocommerce\"");
    }

    if (value[2].len <= sizeof("secret_file=") - 1
        || ngx_strncmp(value[2].data, "secret_file=",
                       sizeof("secret_file=") - 1)
           != 0)
    {
        return ngx_http_sgtm_conf_invalid(cf, &value[2],
                              "\"secret_file=\" and a file's name");
    }

    if (slcf->webhooks != NGX_CONF_UNSET_PTR) {
        webhook = slcf->webhooks->elts;

        for (i = 0; i < slcf->webhooks->nelts; i++) {
            if (webhook[i].shop == shop->value) {
                return "is duplicate";
            }
        }
    }

    webhook = ngx_http_sgtm_conf_push(cf, &slcf->webhooks,
                                      sizeof(ngx_http_sgtm_webhook_t));
    if (webhook == NULL) {
        return NGX_CONF_ERROR;
    }

    webhook->shop = shop->value;

    name.data = value[2].data + sizeof("secret_file=") - 1;
    name.len = value[2].len - (sizeof("secret_file=") - 1);

    return (ngx_http_sgtm_webhook_secrets(cf, &name, &webhook->secrets)
            == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* one a line, so that a new one works before the old one ends */

static ngx_int_t
ngx_http_sgtm_webhook_secrets(ngx_conf_t *cf, ngx_str_t *name,
    ngx_array_t *secrets)
{
    ngx_str_t  text, rest, line, *secret;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK
        || ngx_http_sgtm_secret_file(cf, name, &text) != NGX_OK
        || ngx_array_init(secrets, cf->pool, 2, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rest = text;

    while (ngx_http_sgtm_secret_next(&rest, &line) == NGX_OK) {

        if (secrets->nelts == NGX_HTTP_SGTM_WEBHOOK_SECRETS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "there are more than %d secrets in \"%V\"",
                               NGX_HTTP_SGTM_WEBHOOK_SECRETS, name);
            return NGX_ERROR;
        }

        secret = ngx_array_push(secrets);
        if (secret == NULL) {
            return NGX_ERROR;
        }

        secret->len = line.len;
        secret->data = ngx_pstrdup(cf->pool, &line);
        if (secret->data == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_explicit_memzero(text.data, text.len);

    if (secrets->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "there is no secret in \"%V\"",
                           name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_sgtm_webhook_shop(ngx_http_sgtm_ctx_t *ctx)
{
    size_t             len, n;
    ngx_uint_t         shop;
    const sgtm_str_t  *name;

    /* in any case and with slashes at the end, as the route has it */

    len = sizeof(NGX_HTTP_SGTM_WEBHOOK_PATH) - 1;

    for (n = ctx->path.len; n && ctx->path.data[n - 1] == '/'; n--) {
        /* void */
    }

    for (shop = 0; shop < SGTM_SHOP_N; shop++) {
        name = sgtm_word_name(sgtm_shop_names, shop);

        if (n == len + name->len
            && ngx_strncasecmp(ctx->path.data + len, name->data, name->len)
               == 0)
        {
            return ngx_http_sgtm_webhook_has(ctx, shop) ? (ngx_int_t) shop
                                                        : NGX_DECLINED;
        }
    }

    return NGX_DECLINED;
}


static ngx_uint_t
ngx_http_sgtm_webhook_has(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t shop)
{
    if (ngx_http_sgtm_webhook_of_record(ctx)) {
        return ctx->overlay->record->webhooks[shop].nelts != 0;
    }

    return ngx_http_sgtm_webhook_find(ctx->conf, shop) != NULL;
}


static ngx_http_sgtm_webhook_t *
ngx_http_sgtm_webhook_find(ngx_http_sgtm_loc_conf_t *conf, ngx_uint_t shop)
{
    ngx_uint_t                i;
    ngx_http_sgtm_webhook_t  *webhook;

    if (conf->webhooks == NULL) {
        return NULL;
    }

    webhook = conf->webhooks->elts;

    for (i = 0; i < conf->webhooks->nelts; i++) {
        if (webhook[i].shop == shop) {
            return &webhook[i];
        }
    }

    return NULL;
}


ngx_str_t *
ngx_http_sgtm_webhook_stream(ngx_http_sgtm_loc_conf_t *conf)
{
    ngx_str_t   *id;
    ngx_uint_t   i;

    id = conf->tag_ids ? conf->tag_ids->elts : NULL;

    for (i = 0; id && i < conf->tag_ids->nelts; i++) {
        if (id[i].len <= SGTM_MAX_KEY && id[i].data[0] == 'G'
            && id[i].data[1] == '-')
        {
            return &id[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_sgtm_webhook(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_str_t *body)
{
    int            rc;
    ngx_int_t      shop, status;
    ngx_str_t      topic;
    sgtm_order_t   order;

    /* there is one: without it the request was refused by its head */

    shop = ngx_http_sgtm_webhook_shop(ctx);

    if (shop == NGX_DECLINED) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    status = ngx_http_sgtm_webhook_signed(r, ctx, shop, body);

    if (status != NGX_OK) {
        return status;
    }

    ngx_http_sgtm_webhook_header(r, &ngx_http_sgtm_webhook_topics[shop],
                                 &topic);

    rc = sgtm_order_read(&order, shop, ngx_http_sgtm_str(&topic),
                         ngx_http_sgtm_str(body), ngx_time());

    if (rc == SGTM_DECLINED) {
        return ngx_http_sgtm_webhook_answer(ctx, NGX_HTTP_SGTM_FILTERED,
                                            NGX_HTTP_SGTM_REASON_TOPIC,
                                            NGX_HTTP_OK);
    }

    if (rc != SGTM_OK) {

        if (order.failed) {
            return ngx_http_sgtm_gate_fail(ctx);
        }

        ctx->param.data = (u_char *) (order.param ? order.param : "body");
        ctx->param.len = ngx_strlen(ctx->param.data);

        return ngx_http_sgtm_webhook_answer(ctx, NGX_HTTP_SGTM_REFUSED,
                                            NGX_HTTP_SGTM_REASON_JSON,
                                            NGX_HTTP_BAD_REQUEST);
    }

    status = ngx_http_sgtm_webhook_seen(r, ctx, &order);

    if (status == NGX_OK) {
        status = ngx_http_sgtm_webhook_send(r, ctx, &order);
    }

    sgtm_order_free(&order);

    return status;
}


/* NGX_OK: the shop has sent it; else the status to answer with */

static ngx_int_t
ngx_http_sgtm_webhook_signed(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    ngx_uint_t shop, ngx_str_t *body)
{
    int        rc, stale;
    ngx_str_t  header;

    ngx_http_sgtm_webhook_header(r,
                 (ngx_str_t *) &sgtm_signature_headers[shop],
                 &header);

    /* a new webhook is tried out before it has a secret */

    if (shop == SGTM_SHOP_WOOCOMMERCE && header.len == 0
        && sgtm_order_ping(ngx_http_sgtm_str(body)))
    {
        return ngx_http_sgtm_webhook_answer(ctx, NGX_HTTP_SGTM_FILTERED,
                                            NGX_HTTP_SGTM_REASON_TOPIC,
                                            NGX_HTTP_OK);
    }

    rc = ngx_http_sgtm_webhook_signature(ctx, shop, &header, body, &stale);

    if (rc == SGTM_ERROR) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    if (rc != SGTM_OK) {
        return ngx_http_sgtm_webhook_answer(ctx, NGX_HTTP_SGTM_REFUSED,
                                            NGX_HTTP_SGTM_REASON_SIGNATURE,
                                            NGX_HTTP_UNAUTHORIZED);
    }

    if (stale) {
        return ngx_http_sgtm_webhook_answer(ctx, NGX_HTTP_SGTM_REFUSED,
                                            NGX_HTTP_SGTM_REASON_STALE,
                                            NGX_HTTP_BAD_REQUEST);
    }

    return NGX_OK;
}


/* by the secrets of the location, or of the record, as sgtm_signature() */

static int
ngx_http_sgtm_webhook_signature(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t shop,
    ngx_str_t *header, ngx_str_t *body, int *stale)
{
    int                       rc;
    u_char                   *p;
    sgtm_str_t                field;
    const sgtm_str_t         *name, *list;
    ngx_http_sgtm_secrets_t   opened;
    ngx_http_sgtm_webhook_t  *webhook;

    u_char  buf[64];

    if (!ngx_http_sgtm_webhook_of_record(ctx)) {
        webhook = ngx_http_sgtm_webhook_find(ctx->conf, shop);

        return sgtm_signature(shop, ngx_http_sgtm_str(header),
                              ngx_http_sgtm_str(body),
                              ngx_http_sgtm_str(webhook->secrets.elts),
                              webhook->secrets.nelts, ngx_time(), stale);
    }

    list = sgtm_tenant_field(SGTM_TENANT_WEBHOOKS);
    name = sgtm_word_name(sgtm_shop_names, shop);

    p = ngx_cpymem(buf, list->data, list->len);
    *p++ = '.';
    p = ngx_cpymem(p, name->data, name->len);

    field.data = buf;
    field.len = p - buf;

    ngx_http_sgtm_secrets_open(&opened, ctx->overlay->record, &field,
                               SGTM_TENANT_SECRETS);

    rc = sgtm_signature(shop, ngx_http_sgtm_str(header),
                        ngx_http_sgtm_str(body), opened.elts, opened.n,
                        ngx_time(), stale);

    ngx_http_sgtm_secrets_wipe(&opened);

    return rc;
}


/*
 * Events leave that were sent before.  NGX_OK: some are left; else the status
 * to answer with.
 */

static ngx_int_t
ngx_http_sgtm_webhook_seen(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_order_t *order)
{
    ngx_int_t     rc;
    ngx_str_t    *stream;
    ngx_uint_t    i;
    sgtm_str_t   *id;
    sgtm_event_t  events[SGTM_ORDER_MAX_EVENTS];

    stream = ngx_http_sgtm_webhook_stream(ctx->conf);

    ngx_memzero(events, sizeof(events));

    /*
     * shops count their orders from 1, and those of several may be one tenant;
     * an event that has no name is no browser's
     */

    for (i = 0; i < order->nevents; i++) {

        if (stream) {
            events[i].tid = *ngx_http_sgtm_str(stream);
        }

        events[i].plain = 1;

        id = &events[i].ids[SGTM_EVENT_ID];

        id->data = (u_char *) order->keys[i];
        id->len = ngx_strlen(id->data);
    }

    ctx->events = order->nevents;

    rc = ngx_http_sgtm_dedup_for(r, ctx, events, order->nevents,
                                 NGX_HTTP_SGTM_WEBHOOK_WINDOW);

    if (rc == NGX_ERROR) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_sgtm_webhook_answer(ctx, NGX_HTTP_SGTM_DUPLICATE,
                                            NGX_HTTP_SGTM_REASON_DUPLICATE,
                                            NGX_HTTP_OK);
    }

    for (i = order->nevents; i > 0; i--) {
        if (events[i - 1].duplicate) {
            sgtm_order_drop(order, i - 1);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_webhook_send(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    sgtm_order_t *order)
{
    char       *text;
    ngx_str_t   json;

    text = sgtm_order_print(order);
    if (text == NULL) {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    json.len = ngx_strlen(text);
    json.data = ngx_pnalloc(r->pool, json.len);

    if (json.data) {
        ngx_memcpy(json.data, text, json.len);
    }

    cJSON_free(text);

    if (json.data == NULL
        || ngx_http_sgtm_webhook_args(r, ctx) != NGX_OK
        || ngx_http_sgtm_webhook_headers(r, ctx) != NGX_OK
        || ngx_http_sgtm_commit_body(r, json.data, json.len) != NGX_OK)
    {
        return ngx_http_sgtm_gate_fail(ctx);
    }

    return ngx_http_sgtm_gate_mp(r, ctx, &json);
}


static ngx_int_t
ngx_http_sgtm_webhook_args(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_int_t                 rc;
    sgtm_str_t               *secret;
    ngx_http_sgtm_secrets_t   opened;

    if (ctx->overlay == NULL
        || !sgtm_tenant_has(ctx->overlay->record, SGTM_TENANT_API_SECRETS))
    {
        secret = ngx_http_sgtm_str(&ctx->conf->api_secret);

        return ngx_http_sgtm_webhook_query(r, ctx, secret->len ? secret
                                                               : NULL);
    }

    ngx_http_sgtm_secrets_open(&opened, ctx->overlay->record,
                               sgtm_tenant_field(SGTM_TENANT_API_SECRETS), 1);

    rc = ngx_http_sgtm_webhook_query(r, ctx, opened.n ? opened.elts : NULL);

    ngx_http_sgtm_secrets_wipe(&opened);

    return rc;
}


/* secret may be NULL */

static ngx_int_t
ngx_http_sgtm_webhook_query(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx,
    const sgtm_str_t *secret)
{
    u_char     *p;
    ngx_str_t  *stream;

    static u_char  name[] = "measurement_id=";
    static u_char  more[] = "&api_secret=";

    stream = ngx_http_sgtm_webhook_stream(ctx->conf);

    p = ngx_pnalloc(r->pool, sizeof(name) + SGTM_MAX_KEY + sizeof(more)
                             + (secret ? sgtm_args_encode(NULL, secret) : 0));
    if (p == NULL) {
        return NGX_ERROR;
    }

    r->args.data = p;

    p = ngx_cpymem(p, name, sizeof(name) - 1);

    if (stream) {
        p = ngx_cpymem(p, stream->data, stream->len);
    }

    if (secret) {
        p = ngx_cpymem(p, more, sizeof(more) - 1);
        p += sgtm_args_encode(p, secret);
    }

    r->args.len = p - r->args.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_sgtm_webhook_headers(ngx_http_request_t *r, ngx_http_sgtm_ctx_t *ctx)
{
    ngx_table_elt_t  *h, *agent;

    static ngx_table_elt_t  type = {
        0, ngx_string("Content-Type"), ngx_string("application/json"),
        (u_char *) "content-type"
#if (nginx_version >= 1023000)
        , NULL
#endif
    };

    agent = r->headers_in.user_agent;

    /* old elements stay where they are: nginx points to some of them */

    if (ngx_list_init(&r->headers_in.headers, r->pool, 2,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = type;
    h->hash = ngx_hash_key(h->lowcase_key, h->key.len);

    r->headers_in.content_type = h;

    if (agent) {
        h = ngx_list_push(&r->headers_in.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = *agent;
        r->headers_in.user_agent = h;
    }

    ngx_http_sgtm_headers_forget(r);

    ctx->cookies = 0;
    ctx->gpc = 0;

    return ngx_http_sgtm_headers_scan(r, ctx);
}


static void
ngx_http_sgtm_webhook_header(ngx_http_request_t *r, const ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_null(value);

    if (name->len == 0) {
        return;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == name->len
                && ngx_memcmp(h[i].lowcase_key, name->data, name->len) == 0)
            {
                *value = h[i].value;
                return;
            }
        }
    }
}


static ngx_int_t
ngx_http_sgtm_webhook_answer(ngx_http_sgtm_ctx_t *ctx, ngx_uint_t disposition,
    ngx_uint_t reason, ngx_int_t status)
{
    ctx->disposition = disposition;
    ctx->reason = reason;

    return status;
}
