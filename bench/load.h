
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _LOAD_H_INCLUDED_
#define _LOAD_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>


#define LOAD_SECOND    1000000000ull

/* digits of an event's id */
#define LOAD_ID        12

/* digits of a host, and the step from one to the next: they lie far apart */
#define LOAD_HOST      6
#define LOAD_STRIDE    7919


typedef struct {
    unsigned char   *data;
    size_t           len;
    unsigned char   *id;               /* of its event, that counts, or NULL */
    unsigned char   *host;             /* the digits of its host, or NULL */
} load_str_t;


typedef struct {
    int              port;             /* nginx */
    int              upstream_port;    /* the tagging server */
    uint64_t         delay;            /* of its answers, nanoseconds */
    size_t           connections;
    size_t           hosts;            /* that the hits are for, 0: as given */
    uint64_t         rate;             /* hits a second, 0: when it can */
    uint64_t         rest;             /* of the worker, nanoseconds */
    int              delivered;        /* are to be all hits of a run */
    int              sleeps;           /* rather than poll */
    FILE            *requests;         /* where they are written, or NULL */
    FILE            *answers;
    load_str_t      *page;             /* what is answered, NULL: 204 */
    load_str_t      *hits;             /* sent in turn */
    size_t           nhits;
} load_conf_t;


typedef struct {
    size_t           answered;
    size_t           answered_bytes;
    size_t           forwarded;        /* came to the tagging server */
    size_t           forwarded_bytes;
    uint32_t        *times;            /* of the answers, nanoseconds */
} load_result_t;


extern load_conf_t  load_conf;


/* from now on the tagging server listens; what it sees is served by a cycle */
void load_listen(void);

/* the process that has forked leaves the tagging server to its child */
void load_leave(void);

/* sends n hits and returns when all are answered; times has room for n */
void load_run(size_t n, load_result_t *result);

/* sends none, and returns when n more have come to the tagging server */
void load_deliver(size_t n, load_result_t *result);

/* the tagging server alone, until it has answered n hits */
void load_serve(size_t n);

/* lets the worker come to rest */
void load_rest(void);

/*
 * Closes the connections to nginx and goes on answering what it forwards, until
 * there is something to read from the standard input, or its end
 */
void load_wait(void);

/* the same; nginx may end meanwhile */
void load_keep(void);

/* writes a number as so many digits */
void load_digits(unsigned char *p, int digits, size_t n);

uint64_t load_now(void);

/* as a tagging server answers a hit */
extern const char    load_no_content[];
extern const size_t  load_no_content_len;

/* reads a file: from now on it is what all requests are answered with */
void load_read_page(const char *name);

/* ends the process if an answer is not the one that is due */
void load_judge(const unsigned char *p, size_t len);

/* of the message that begins at p, or 0 as long as that can't be told */
size_t load_length(unsigned char *p, size_t len);

/* prints the reason and ends the process */
void load_die(const char *fmt, ...) __attribute__((noreturn));


#endif /* _LOAD_H_INCLUDED_ */
