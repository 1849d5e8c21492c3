
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What the programs of the proofs write down: files that they map, which the
 * test reads while they run and after they were killed.
 */


#ifndef _SOAK_H_INCLUDED_
#define _SOAK_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* how the tagging server behaves: set by the test, "now" says what is so */

typedef enum {
    TAG_UP = 0,
    TAG_DOWN,                  /* does not listen, and drops its connections */
    TAG_SLOW,                  /* takes ten seconds */
    TAG_503,
    TAG_RESET,
    TAG_CUT,                   /* in the middle of the header */
    TAG_HANG                   /* never answers */
} tag_mode_e;


typedef struct {
    uint32_t         mode;
    uint32_t         now;
    uint64_t         arrived;          /* hits, doubles included */
    uint64_t         refused;          /* that got no 2xx */
    uint64_t         unknown;          /* requests without an id */
    uint64_t         seq;
    uint64_t         broken;           /* hits that are not as they were sent */
    uint64_t         unused[2];
} tag_head_t;


/* of an id; what did not get 2xx has not arrived */

typedef struct {
    uint16_t         arrived;
    uint16_t         refused;
    uint32_t         seq;              /* of the first arrival, from 1 */
} tag_entry_t;


typedef enum {
    SEND_NOT = 0,
    SEND_SENT,                 /* no answer (yet) */
    SEND_ANSWERED,
    SEND_LEFT,                 /* whole, then the client left */
    SEND_FAILED                /* nothing could be sent */
} send_state_e;


typedef struct {
    uint64_t         start;            /* ms since the epoch */
    uint64_t         sent;
    uint64_t         answered;
    uint64_t         kept;             /* of these: with 2xx */
    uint64_t         left;
    uint64_t         slowest;          /* us, of a 2xx */
    uint64_t         done;
    uint64_t         unused;
} send_head_t;


typedef struct {
    uint8_t          state;
    uint8_t          unused;
    uint16_t         status;
    uint32_t         time;             /* of the answer, ms since "start" */
} send_entry_t;


/* maps a file of this size, made if it is not there; ends the process if not */
void *soak_map(const char *name, size_t size);

/* of a clock that never goes back, microseconds */
uint64_t soak_now(void);

/* a port of the loopback as a socket that does not block */
int soak_socket(int port, void *sin);

/* closes a connection, by RST instead of FIN where reset is set */
void soak_close(int fd, int reset);

/* as many descriptors as the process may have */
void soak_files(void);

/* the process does not outlive the one that has started it, of this id */
void soak_parent(int parent);

/* prints the reason and ends the process */
void soak_die(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));


#endif /* _SOAK_H_INCLUDED_ */
