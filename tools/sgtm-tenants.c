
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Checks, divides, joins, seals and compares records of tenants in files.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "hit/sgtm_json.h"
#include "sgtm-tenants.h"


typedef struct {
    const char     *name;
    int           (*handler)(tenants_t *t);
    int             args;
    int             optional;          /* of them */
    int             keys;              /* -1: not allowed, 1: needed */
} tenants_command_t;


static int tenants_args(tenants_t *t, int argc, char *const *argv,
    const tenants_command_t **command);
static int tenants_usage(const char *format, const char *value);
static int tenants_keys(tenants_t *t);
static int tenants_validate(tenants_t *t);
static int tenants_validate_one(tenants_t *t, sgtm_tenants_t *it);
static int tenants_opens(void *data, const sgtm_str_t *field,
    const sgtm_str_t *string);
static int tenants_export(tenants_t *t);
static int tenants_export_one(tenants_t *t, sgtm_tenants_t *it);
static int tenants_show(tenants_t *t);
static int tenants_show_one(tenants_t *t, sgtm_tenants_t *it);


static const tenants_command_t  tenants_commands[] = {
    { "validate", tenants_validate, 1, 0, 0 },
    { "import",   tenants_import,   2, 0, -1 },
    { "export",   tenants_export,   2, 1, -1 },
    { "seal",     tenants_seal,     1, 0, 1 },
    { "diff",     tenants_diff,     2, 0, -1 },
    { "show",     tenants_show,     2, 0, -1 },
    { NULL, NULL, 0, 0, 0 }
};


static const char  tenants_help[] =
    "usage: sgtm-tenants <command> [<option> ...] <argument> ...\n"
    "\n"
    "Records of tenants in files: {\"tenants\": [...]}, or one record by\n"
    "itself; of a directory all files that are named *.json.\n"
    "\n"
    "commands:\n"
    "  validate <file or directory>\n"
    "           says what is wrong, with its path; names that are not known\n"
    "           are errors, secrets that are not sealed warnings; with\n"
    "           --key-file each sealed secret has to open\n"
    "  import <file or directory> <directory>\n"
    "           writes <id>.json for each record, in a form that is always\n"
    "           the same; nothing is written if anything is wrong\n"
    "  export <file or directory> [<file>]\n"
    "           writes all records to one file, or to the standard output\n"
    "  seal --key-file <file> <file or directory>\n"
    "           seals the secrets that are plain, in place; not a byte\n"
    "           besides them is changed\n"
    "  diff <file or directory> <file or directory>\n"
    "           says what differs, by tenant and path; of secrets only that\n"
    "           they do\n"
    "  show <id> <file or directory>\n"
    "           one record, with \"set\" for its secrets\n"
    "\n"
    "options:\n"
    "  --key-file <file>  keys, one a line: <id> <64 hexadecimal digits>;\n"
    "                     the first seals, any opens\n"
    "  --rotate           seal: secrets of other keys than the first are\n"
    "                     sealed anew\n"
    "  --help             this text\n"
    "\n"
    "The exit code is 0; 1 if something is wrong, for diff if something\n"
    "differs, for show if there is no such record; or 2 for a command line\n"
    "that is wrong and, for diff, for what can't be compared.\n";


int
main(int argc, char **argv)
{
    int                       rc;
    tenants_t                 t;
    const tenants_command_t  *command;

    memset(&t, 0, sizeof(tenants_t));

    rc = tenants_args(&t, argc, argv, &command);

    if (rc != TENANTS_OK || command == NULL) {
        return rc;
    }

    if (t.key_file != NULL && tenants_keys(&t) != TENANTS_OK) {
        return TENANTS_FAILED;
    }

    rc = command->handler(&t);

    sgtm_keys_wipe(&t.keys);
    tenants_end(&t);

    if (fflush(stdout) == EOF || ferror(stdout)) {
        fprintf(stderr, "sgtm-tenants: cannot write: %s\n", strerror(errno));
        return command->handler == tenants_diff ? TENANTS_USAGE
                                                : TENANTS_FAILED;
    }

    return rc;
}


/* the command line; without a command it is done */

static int
tenants_args(tenants_t *t, int argc, char *const *argv,
    const tenants_command_t **command)
{
    int                       i, n;
    const tenants_command_t  *c;

    *command = NULL;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(tenants_help, stdout);
            return TENANTS_OK;
        }
    }

    if (argc < 2) {
        fputs(tenants_help, stderr);
        return TENANTS_USAGE;
    }

    for (c = tenants_commands; c->name; c++) {
        if (strcmp(c->name, argv[1]) == 0) {
            break;
        }
    }

    if (c->name == NULL) {
        return tenants_usage("unknown command \"%s\"", argv[1]);
    }

    for (i = 2, n = 0; i < argc; i++) {

        if (strcmp(argv[i], "--rotate") == 0) {
            t->rotate = 1;

        } else if (strcmp(argv[i], "--key-file") == 0) {

            if (++i == argc) {
                return tenants_usage("%s wants a value", "--key-file");
            }

            t->key_file = argv[i];

        } else if (argv[i][0] == '-') {
            return tenants_usage("unknown option \"%s\"", argv[i]);

        } else if (n == c->args) {
            return tenants_usage("\"%s\" has too many arguments", c->name);

        } else {
            t->args[n++] = argv[i];
        }
    }

    if (n < c->args - c->optional) {
        return tenants_usage("\"%s\" has too few arguments", c->name);
    }

    if (c->keys == 1 && t->key_file == NULL) {
        return tenants_usage("\"%s\" wants --key-file", c->name);
    }

    if (c->keys == -1 && t->key_file != NULL) {
        return tenants_usage("\"%s\" has no --key-file", c->name);
    }

    if (t->rotate && c->handler != tenants_seal) {
        return tenants_usage("\"%s\" has no --rotate", c->name);
    }

    *command = c;

    return TENANTS_OK;
}


static int
tenants_usage(const char *format, const char *value)
{
    fputs("sgtm-tenants: ", stderr);
    fprintf(stderr, format, value);
    fputs(" (see sgtm-tenants --help)\n", stderr);

    return TENANTS_USAGE;
}


int
tenants_fail(const char *format, ...)
{
    va_list  args;

    fputs("sgtm-tenants: ", stderr);

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);

    fputc('\n', stderr);

    return TENANTS_FAILED;
}


static int
tenants_keys(tenants_t *t)
{
    char  error[SGTM_KEYS_ERROR];

    if (sgtm_keys_read(&t->keys, t->key_file, error) != SGTM_OK) {
        return tenants_fail("%s: %s", t->key_file, error);
    }

    if (t->keys.exposed) {
        fprintf(stderr, "sgtm-tenants: %s: warning: it holds keys and is not "
                "for its owner alone (0600)\n", t->key_file);
    }

    return TENANTS_OK;
}


static int
tenants_validate(tenants_t *t)
{
    int  rc;

    rc = tenants_begin(t, 1);

    if (rc == TENANTS_OK) {
        rc = tenants_read(t, t->args[0], t->key_file ? tenants_validate_one
                                                     : NULL);
    }

    if (t->errors) {
        rc = TENANTS_FAILED;
    }

    if (t->files) {
        printf("%" PRIu64 " tenants in %" PRIu64 " files, %" PRIu64
               " errors, %" PRIu64 " warnings\n", t->records, t->files,
               t->errors, t->warnings);
    }

    return rc;
}


typedef struct {
    tenants_t       *t;
    sgtm_tenants_t  *it;
} tenants_opens_t;


static int
tenants_validate_one(tenants_t *t, sgtm_tenants_t *it)
{
    tenants_opens_t  ctx;

    ctx.t = t;
    ctx.it = it;

    (void) sgtm_tenant_secrets(&it->json, tenants_opens, &ctx);

    return TENANTS_OK;
}


static int
tenants_opens(void *data, const sgtm_str_t *field, const sgtm_str_t *string)
{
    tenants_opens_t *ctx = data;

    int             rc;
    char            path[256];
    size_t          len, n;
    sgtm_str_t      text;
    unsigned char   sealed[SGTM_SEALED_MAX + 1], out[SGTM_SECRET_MAX];

    text.data = sealed;
    text.len = sgtm_json_decode(sealed, sizeof(sealed), string);

    rc = SGTM_OK;

    if (sgtm_sealed(&text) == SGTM_OK) {
        rc = sgtm_unseal(&ctx->t->keys, &ctx->it->tenant->id, field, &text,
                         out, &len);
        OPENSSL_cleanse(out, sizeof(out));
    }

    OPENSSL_cleanse(sealed, sizeof(sealed));

    if (rc != SGTM_OK) {
        n = 0;
        path[0] = '\0';

        if (ctx->it->n >= 0) {
            n = (size_t) snprintf(path, sizeof(path), "tenants[%" PRId64 "].",
                                  ctx->it->n);
        }

        snprintf(path + n, sizeof(path) - n, "%.*s", (int) field->len,
                 (char *) field->data);

        tenants_error(ctx->t, path, rc == SGTM_DECLINED
                      ? "sealed with a key that is not in the file"
                      : "does not open: it was changed, or sealed with "
                        "another key, for another tenant or field");
    }

    return SGTM_OK;
}


/* all is checked before anything is written */

static int
tenants_export(tenants_t *t)
{
    int             rc;
    tenants_out_t  *out;

    t->quiet = 1;

    if (tenants_begin(t, 1) != TENANTS_OK
        || tenants_read(t, t->args[0], NULL) != TENANTS_OK
        || tenants_begin(t, 1) != TENANTS_OK)
    {
        return TENANTS_FAILED;
    }

    out = malloc(sizeof(tenants_out_t));

    if (out == NULL) {
        return tenants_fail("no memory");
    }

    rc = tenants_out_open(out, t->args[1]);

    if (rc == TENANTS_OK) {
        t->data = out;

        tenants_out_write(out, "{\"tenants\": [", 13);

        rc = tenants_read(t, t->args[0], tenants_export_one);

        tenants_out_write(out, "\n]}\n", 4);

        if (rc == TENANTS_OK) {
            rc = tenants_out_close(out);

        } else {
            tenants_out_drop(out);
        }
    }

    free(out);

    return rc;
}


static int
tenants_export_one(tenants_t *t, sgtm_tenants_t *it)
{
    size_t          len;
    tenants_out_t  *out;
    unsigned char  *json;

    out = t->data;

    len = sgtm_tenant_write(NULL, it->tenant, 0);
    json = malloc(len);

    if (json == NULL) {
        return tenants_fail("no memory");
    }

    (void) sgtm_tenant_write(json, it->tenant, 0);

    tenants_out_write(out, t->records > 1 ? ",\n" : "\n",
                      t->records > 1 ? 2 : 1);
    tenants_out_write(out, json, len);

    free(json);

    return TENANTS_OK;
}


/* a record that is good is shown whatever there is beside it */

static int
tenants_show(tenants_t *t)
{
    t->quiet = 1;

    if (tenants_begin(t, 0) != TENANTS_OK) {
        return TENANTS_FAILED;
    }

    if (tenants_read(t, t->args[1], tenants_show_one) == TENANTS_STOP) {
        return TENANTS_OK;
    }

    return tenants_fail("there is no good record of \"%s\" in %s", t->args[0],
                        t->args[1]);
}


static int
tenants_show_one(tenants_t *t, sgtm_tenants_t *it)
{
    size_t          len;
    sgtm_str_t      id;
    unsigned char  *json;

    id.data = (unsigned char *) (uintptr_t) t->args[0];
    id.len = strlen(t->args[0]);

    if (!sgtm_str_equal(&id, &it->tenant->id)) {
        return TENANTS_OK;
    }

    len = sgtm_tenant_write(NULL, it->tenant,
                            SGTM_TENANT_PRETTY | SGTM_TENANT_HIDE);
    json = malloc(len);

    if (json == NULL) {
        return tenants_fail("no memory");
    }

    (void) sgtm_tenant_write(json, it->tenant,
                             SGTM_TENANT_PRETTY | SGTM_TENANT_HIDE);

    (void) fwrite(json, 1, len, stdout);
    free(json);

    return TENANTS_STOP;
}
