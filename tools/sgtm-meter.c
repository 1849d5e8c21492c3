
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Lists what tenants have sent, by month, also while nginx writes it: for
 * bills.
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ops/sgtm_meter_file.h"
#include "sgtm-spool.h"


#define METER_OK      0
#define METER_FAILED  1
#define METER_USAGE   2


typedef struct meter_s  meter_t;

typedef struct {
    const char             *name;
    void                  (*head)(void);
    void                  (*row)(const char *month, const sgtm_str_t *tenant,
                                 const sgtm_meter_row_t *row);
} meter_format_t;


struct meter_s {
    const char             *dir;
    const char             *month;     /* NULL: all */
    const char             *tenant;    /* NULL: all */
    const meter_format_t   *format;
    int                     rows;
    int                     help;
};


static int meter_args(meter_t *meter, int argc, char *const *argv);
static int meter_option(meter_t *meter, const char *name, const char *value);
static int meter_is_month(const char *text);
static int meter_usage(const char *format, const char *value);
static int meter_row(void *data, const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row);
static uint64_t meter_dropped(const sgtm_meter_row_t *row);
static int64_t meter_open(const sgtm_meter_row_t *row);
static void meter_table_head(void);
static void meter_table_row(const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row);
static void meter_csv_head(void);
static void meter_csv_row(const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row);
static void meter_json_head(void);
static void meter_json_row(const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row);


static const meter_format_t  meter_formats[] = {
    { "table", meter_table_head, meter_table_row },
    { "csv",   meter_csv_head,   meter_csv_row },
    { "json",  meter_json_head,  meter_json_row },
    { NULL, NULL, NULL }
};


static const char  meter_help[] =
    "usage: sgtm-meter <directory> [<option> ...]\n"
    "\n"
    "Lists the events of tenants by month (UTC), from the directory of\n"
    "sgtm_meter, also while nginx writes there.  What nginx has counted since\n"
    "it wrote last is not in it yet.\n"
    "\n"
    "options:\n"
    "  --month <yyyy-mm>  this month\n"
    "  --tenant <id>      this tenant\n"
    "  --format <format>  table, csv or json (an object a line)\n"
    "  --help             this text\n"
    "\n"
    "accepted   events that passed the checks of form, origin and ids\n"
    "forwarded  of these: that the tagging server has taken\n"
    "dropped    that were not for it: denied, duplicate, limited, filtered,\n"
    "           quota, failed\n"
    "open       that wait in the spool, dead letters among them\n"
    "\n"
    "The exit code is 0, 1 if something failed or there is nothing to list,\n"
    "or 2 for a command line that is wrong.\n";


int
main(int argc, char **argv)
{
    int                 rc;
    meter_t             meter;
    sgtm_meter_file_t  *file;

    memset(&meter, 0, sizeof(meter_t));

    meter.format = &meter_formats[0];

    rc = meter_args(&meter, argc, argv);

    if (rc != METER_OK || meter.help) {
        return rc;
    }

    file = sgtm_meter_file_create(meter.dir);

    if (file == NULL) {
        fprintf(stderr, "sgtm-meter: no memory\n");
        return METER_FAILED;
    }

    if (sgtm_meter_file_list(file, meter.month, meter.tenant, meter_row,
                             &meter)
        != SGTM_OK)
    {
        fprintf(stderr, "sgtm-meter: %s\n", sgtm_meter_file_error(file));
        rc = METER_FAILED;

    } else if (meter.rows == 0) {
        fprintf(stderr, "sgtm-meter: there is nothing to list\n");
        rc = METER_FAILED;
    }

    sgtm_meter_file_destroy(file);

    if (fflush(stdout) == EOF || ferror(stdout)) {
        fprintf(stderr, "sgtm-meter: cannot write: %s\n", strerror(errno));
        return METER_FAILED;
    }

    return rc;
}


static int
meter_args(meter_t *meter, int argc, char *const *argv)
{
    int  i, rc;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(meter_help, stdout);
            meter->help = 1;
            return METER_OK;
        }
    }

    if (argc < 2) {
        fputs(meter_help, stderr);
        return METER_USAGE;
    }

    meter->dir = argv[1];

    for (i = 2; i < argc; i += 2) {

        rc = meter_option(meter, argv[i], i + 1 < argc ? argv[i + 1] : NULL);

        if (rc != METER_OK) {
            return rc;
        }
    }

    return METER_OK;
}


static int
meter_option(meter_t *meter, const char *name, const char *value)
{
    const meter_format_t  *format;

    if (strcmp(name, "--month") != 0 && strcmp(name, "--tenant") != 0
        && strcmp(name, "--format") != 0)
    {
        return meter_usage("unknown option \"%s\"", name);
    }

    if (value == NULL) {
        return meter_usage("%s wants a value", name);
    }

    if (strcmp(name, "--tenant") == 0) {
        meter->tenant = value;
        return METER_OK;
    }

    if (strcmp(name, "--month") == 0) {

        if (!meter_is_month(value)) {
            return meter_usage("\"%s\" is no month", value);
        }

        meter->month = value;

        return METER_OK;
    }

    for (format = meter_formats; format->name != NULL; format++) {
        if (strcmp(format->name, value) == 0) {
            meter->format = format;
            return METER_OK;
        }
    }

    return meter_usage("\"%s\" is no format", value);
}


static int
meter_is_month(const char *text)
{
    size_t  i;

    if (strlen(text) != 7 || text[4] != '-') {
        return 0;
    }

    for (i = 0; i < 7; i++) {
        if (i != 4 && (text[i] < '0' || text[i] > '9')) {
            return 0;
        }
    }

    return strcmp(text + 5, "01") >= 0 && strcmp(text + 5, "12") <= 0;
}


static int
meter_usage(const char *format, const char *value)
{
    fputs("sgtm-meter: ", stderr);
    fprintf(stderr, format, value);
    fputs(" (see sgtm-meter --help)\n", stderr);

    return METER_USAGE;
}


static int
meter_row(void *data, const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row)
{
    meter_t *meter = data;

    if (meter->rows++ == 0) {
        meter->format->head();
    }

    meter->format->row(month, tenant, row);

    return 0;
}


static uint64_t
meter_dropped(const sgtm_meter_row_t *row)
{
    int       i;
    uint64_t  n;

    for (i = SGTM_METER_DENIED, n = 0; i < SGTM_METER_N; i++) {
        n += row->counts[i];
    }

    return n;
}


/*
 * Below 0 where a hit was delivered that was accepted by memory which was lost,
 * or in another month by a clock that was wrong.
 */

static int64_t
meter_open(const sgtm_meter_row_t *row)
{
    return (int64_t) (row->counts[SGTM_METER_ACCEPTED]
                      - row->counts[SGTM_METER_FORWARDED]
                      - meter_dropped(row));
}


static void
meter_table_head(void)
{
    printf("%-7s  %-24s  %12s  %12s  %12s  %10s\n", "month", "tenant",
           "accepted", "forwarded", "dropped", "open");
}


static void
meter_table_row(const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row)
{
    printf("%s  ", month);
    spool_print_safe(tenant, 24);
    printf("  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %10" PRId64 "\n",
           row->counts[SGTM_METER_ACCEPTED], row->counts[SGTM_METER_FORWARDED],
           meter_dropped(row), meter_open(row));
}


static void
meter_csv_head(void)
{
    int  i;

    printf("month,tenant");

    for (i = 0; i < SGTM_METER_N; i++) {
        printf(",%.*s", (int) sgtm_meter_names[i].len,
               (char *) sgtm_meter_names[i].data);
    }

    printf(",dropped,open\r\n");
}


static void
meter_csv_row(const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row)
{
    size_t  i;

    printf("%s,\"", month);

    for (i = 0; i < tenant->len; i++) {

        if (tenant->data[i] == '"') {
            putchar('"');
        }

        putchar(tenant->data[i]);
    }

    putchar('"');

    for (i = 0; i < SGTM_METER_N; i++) {
        printf(",%" PRIu64, row->counts[i]);
    }

    printf(",%" PRIu64 ",%" PRId64 "\r\n", meter_dropped(row),
           meter_open(row));
}


static void
meter_json_head(void)
{
}


static void
meter_json_row(const char *month, const sgtm_str_t *tenant,
    const sgtm_meter_row_t *row)
{
    int  i;

    printf("{\"month\":\"%s\"", month);
    spool_json_str("tenant", tenant);

    for (i = 0; i < SGTM_METER_N; i++) {
        printf(",\"%.*s\":%" PRIu64, (int) sgtm_meter_names[i].len,
               (char *) sgtm_meter_names[i].data, row->counts[i]);
    }

    printf(",\"dropped\":%" PRIu64 ",\"open\":%" PRId64 "}\n",
           meter_dropped(row), meter_open(row));
}
