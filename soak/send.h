
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#ifndef _SEND_H_INCLUDED_
#define _SEND_H_INCLUDED_


#include "soak.h"


#define SEND_STREAMS  64
#define SEND_BUFFER   (32 * 1024)


typedef enum {
    SEND_STAY = 0,
    SEND_FIN,
    SEND_RST,
    SEND_CANCEL                        /* RST_STREAM */
} send_leave_e;


typedef struct {
    uint32_t         id;
    uint32_t         stream;           /* 0: the place is free */
    uint64_t         since;            /* us */
} send_hit_t;


typedef struct send_conn_s  send_conn_t;

struct send_conn_s {
    int              fd;
    int              leave;            /* send_leave_e */
    unsigned         connected:1;
    unsigned         draining:1;       /* for no further hits */
    unsigned         used;             /* hits so far */
    unsigned         busy;             /* without an answer */
    send_hit_t       hits[SEND_STREAMS];

    size_t           got;
    unsigned char   *buf;

    send_conn_t     *prev;
    send_conn_t     *next;
};


typedef struct {
    const char      *host;
    const char      *prefix;           /* "/metrics/" */
    int              h2;
} send_conf_t;


extern send_conf_t  send_conf;


/*
 * The bytes of a hit, of at most SEND_BUFFER; "first" of its connection;
 * the length.
 */
size_t send_format(unsigned char *to, uint32_t id, uint32_t stream, int first,
    int leave);

/*
 * Takes one answer, or another message, off c->buf.  1: goes on, *stream and
 * *status are set (0: it was no answer), *reply is to be sent; 0: more bytes
 * are needed; -1: the connection is of no use any longer.
 */
int send_parse(send_conn_t *c, uint32_t *stream, unsigned *status,
    unsigned char *reply, size_t *len);


#endif /* _SEND_H_INCLUDED_ */
