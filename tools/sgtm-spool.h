
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The parts of sgtm-spool: its commands, its command line, and how it writes
 * values to its standard output.
 */


#ifndef _SGTM_SPOOL_H_INCLUDED_
#define _SGTM_SPOOL_H_INCLUDED_


#include "delivery/sgtm_segment.h"
#include "delivery/sgtm_store.h"


#define SPOOL_OK      0
#define SPOOL_FAILED  1
#define SPOOL_USAGE   2


typedef struct spool_command_s  spool_command_t;

typedef struct {
    const char             *dir;
    const spool_command_t  *command;
    sgtm_store_t           *store;

    int64_t                 now;       /* ms since the epoch */
    int64_t                 id;        /* 0: any */
    int64_t                 before;    /* ms since the epoch, 0: any */
    int64_t                 limit;     /* 0: none */
    int                     dead;
    int                     all;
} spool_t;


struct spool_command_s {
    const char             *name;
    int                   (*handler)(spool_t *spool);
    unsigned                chooses:1; /* --id, --before or --all is needed */
    unsigned                one:1;     /* --id is needed */
    unsigned                limits:1;  /* --limit may be given */
    unsigned                waits:1;   /* looks at the hits that wait */
};


/* sgtm-spool.c: the commands; the last one has no name */
extern const spool_command_t  spool_commands[];


/* sgtm-spool-args.c */

/*
 * Reads the command line: SPOOL_OK or SPOOL_USAGE, which has been said why.
 * Without a command in spool it is done.
 */
int spool_args(spool_t *spool, int argc, char *const *argv);


/* sgtm-spool-print.c */

/* milliseconds as "90s", "15m", "3h", "2d", to a buffer */
void spool_print_age(int64_t ms, char *text, size_t size);

/* "name:     2026-11-20 12:00:00 UTC", from ms since the epoch */
void spool_print_time(const char *name, int64_t ms);

/* "name:     value" */
void spool_print_str(const char *name, const sgtm_str_t *str);

/* each line indented */
void spool_print_lines(const sgtm_str_t *str);

/*
 * What a visitor sent may hold anything: control characters must not act on
 * the terminal, so they are written as \xNN.  Padded to a width.
 */
void spool_print_safe(const sgtm_str_t *str, int width);

/* ,"name":"..." or, where it is not UTF-8, ,"name_base64":"..." */
void spool_json_str(const char *name, const sgtm_str_t *str);


#endif /* _SGTM_SPOOL_H_INCLUDED_ */
