
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What part of a tenant's rate a machine of a fleet may use.  All machines add
 * the hits that they are asked to take to one counter; from what it says, how
 * much of that was one's own, and the time, each knows its part.  Plain C11
 * without nginx.
 *
 * Where all ask for more than the rate, a machine's part of it is its part of
 * what is asked for, so that the parts of all make up the whole; where they ask
 * for less, it is what the others leave.
 */


#ifndef _SGTM_SHARE_H_INCLUDED_
#define _SGTM_SHARE_H_INCLUDED_


#include <stdint.h>


/* the whole; parts are numbers from 1 to it */
#define SGTM_SHARE_WHOLE  ((uint32_t) 1 << 30)

/* of what was asked for so many nanoseconds ago half is forgotten */
#define SGTM_SHARE_HALF   200000000


/* of one tenant, on one machine; zeros: nothing was heard yet */

typedef struct {
    uint64_t        time;              /* of the last answer, nanoseconds */
    uint64_t        total;             /* what the counter was then */
    double          own;               /* hits, the older the less */
    double          all;
    double          span;              /* nanoseconds, the older the less */
} sgtm_share_t;


/*
 * How many machines there are: each adds one to a counter in each round, and
 * all rounds take the same time.  Zeros: nothing was heard yet; after the
 * connection was lost its time is set to 0.
 */

typedef struct {
    uint64_t        time;              /* of the last answer; 0: there is
                                          none */
    uint64_t        total;
    double          average;           /* of a round; 0: not known yet */
} sgtm_share_machines_t;


/*
 * How many of the own hits the counter is to be increased by: all, but for
 * those far above the rate of one each interval.  A round is what the first
 * time is of; nanoseconds.
 */
uint64_t sgtm_share_tell(const sgtm_share_t *share, uint64_t now,
    uint64_t round, uint64_t interval, uint64_t own);

/*
 * The counter was increased by the own hits, and says the total now.  Returns 1
 * if the part is known; 0 for the first one, and after the counter was lost.
 */
int sgtm_share_heard(sgtm_share_t *share, uint64_t now, uint64_t own,
    uint64_t total);

/* the part of a rate of one hit each so many nanoseconds */
uint32_t sgtm_share_part(const sgtm_share_t *share, uint64_t interval,
    unsigned machines);

/*
 * The part as long as nothing is heard of the others: the last one, but an even
 * one at least.  So all together stay below twice the rate.
 */
uint32_t sgtm_share_alone(const sgtm_share_t *share, unsigned machines);

/* an even part: that of a tenant nothing is known of */
uint32_t sgtm_share_even(unsigned machines);

/*
 * The counter of rounds, one each so many nanoseconds, was increased by one and
 * says the total now.  Returns the number of machines; machines is what it was,
 * at least 1.
 */
unsigned sgtm_share_machines(sgtm_share_machines_t *count, uint64_t now,
    uint64_t interval, uint64_t total, unsigned machines);


#endif /* _SGTM_SHARE_H_INCLUDED_ */
