
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgtm-spool.h"


static int spool_option(spool_t *spool, const char *name, const char *value);
static int spool_number(const char *text, int64_t *number);
static int spool_age(const char *text, int64_t *age);
static int spool_usage(const char *format, const char *value);


static const char  spool_help[] =
    "usage: sgtm-spool <directory> <command> [<option> ...]\n"
    "\n"
    "Looks into the spool of that directory (sgtm_spool), also while nginx\n"
    "uses it.\n"
    "\n"
    "commands:\n"
    "  count    how many hits wait, how many are dead letters\n"
    "  list     a line for each: id, target, tenant, age, attempts, size,\n"
    "           error\n"
    "  show     one with all there is; --id is needed\n"
    "  export   all of each, as JSON lines\n"
    "  replay   makes dead letters wait again\n"
    "  purge    deletes, for good; the hits that wait unless --dead is given\n"
    "\n"
    "options:\n"
    "  --dead          dead letters, not the hits that wait\n"
    "  --id <id>       this one\n"
    "  --before <age>  only what is older: seconds, or 90s, 15m, 3h, 2d, 1w;\n"
    "                  of a dead letter it is the time since it died\n"
    "  --all           all of them; replay and purge want to be told one of\n"
    "                  these three\n"
    "  --limit <n>     list and export: the first n\n"
    "  --help          this text\n"
    "\n"
    "The exit code is 0, 1 if something failed or there is no such id, or 2\n"
    "for a command line that is wrong.\n";


int
spool_args(spool_t *spool, int argc, char *const *argv)
{
    int          i, rc;
    const char  *name;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(spool_help, stdout);
            return SPOOL_OK;
        }
    }

    if (argc < 3) {
        fputs(spool_help, stderr);
        return SPOOL_USAGE;
    }

    spool->dir = argv[1];
    name = argv[2];

    for (i = 0; spool_commands[i].name != NULL; i++) {
        if (strcmp(spool_commands[i].name, name) == 0) {
            spool->command = &spool_commands[i];
        }
    }

    if (spool->command == NULL) {
        return spool_usage("unknown command \"%s\"", name);
    }

    for (i = 3; i < argc; i++) {

        if (strcmp(argv[i], "--dead") == 0) {
            spool->dead = 1;
            continue;
        }

        if (strcmp(argv[i], "--all") == 0) {
            spool->all = 1;
            continue;
        }

        rc = spool_option(spool, argv[i], i + 1 < argc ? argv[i + 1] : NULL);

        if (rc != SPOOL_OK) {
            return rc;
        }

        i++;
    }

    if (spool->command->chooses
        && (spool->id != 0) + (spool->before != 0) + spool->all != 1)
    {
        return spool_usage("\"%s\" wants one of --id, --before and --all",
                           name);
    }

    /* who asks for ten to be deleted does not mean all */

    if (spool->limit && !spool->command->limits) {
        return spool_usage("\"%s\" takes no --limit", name);
    }

    if (spool->command->one && spool->id == 0) {
        return spool_usage("\"%s\" wants --id", name);
    }

    return SPOOL_OK;
}


static int
spool_option(spool_t *spool, const char *name, const char *value)
{
    int64_t  age;

    if (strcmp(name, "--id") != 0 && strcmp(name, "--before") != 0
        && strcmp(name, "--limit") != 0)
    {
        return spool_usage("unknown option \"%s\"", name);
    }

    if (value == NULL) {
        return spool_usage("%s wants a value", name);
    }

    if (strcmp(name, "--id") == 0) {

        if (!spool_number(value, &spool->id) || spool->id == 0) {
            return spool_usage("\"%s\" is no id", value);
        }

        return SPOOL_OK;
    }

    if (strcmp(name, "--limit") == 0) {

        if (!spool_number(value, &spool->limit) || spool->limit == 0) {
            return spool_usage("\"%s\" is no limit", value);
        }

        return SPOOL_OK;
    }

    if (!spool_age(value, &age) || age * 1000 >= spool->now) {
        return spool_usage("\"%s\" is no age", value);
    }

    spool->before = spool->now - age * 1000;

    return SPOOL_OK;
}


static int
spool_number(const char *text, int64_t *number)
{
    char  *end;

    if (text[0] < '0' || text[0] > '9') {
        return 0;
    }

    errno = 0;
    *number = strtoll(text, &end, 10);

    return errno == 0 && *end == '\0';
}


/* in seconds */

static int
spool_age(const char *text, int64_t *age)
{
    size_t                i, len;
    char                  digits[16];

    static const char     units[] = "smhdw";
    static const int64_t  seconds[] = { 1, 60, 3600, 86400, 604800 };

    len = strlen(text);

    if (len == 0 || len >= sizeof(digits)) {
        return 0;
    }

    memcpy(digits, text, len + 1);

    for (i = 0; units[i]; i++) {
        if (digits[len - 1] == units[i]) {
            digits[len - 1] = '\0';
            break;
        }
    }

    if (!spool_number(digits, age) || *age > INT64_MAX / 604800000) {
        return 0;
    }

    *age *= units[i] ? seconds[i] : 1;

    return 1;
}


static int
spool_usage(const char *format, const char *value)
{
    fputs("sgtm-spool: ", stderr);
    fprintf(stderr, format, value);
    fputs(" (see sgtm-spool --help)\n", stderr);

    return SPOOL_USAGE;
}
