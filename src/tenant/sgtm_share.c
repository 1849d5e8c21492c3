
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include "sgtm_share.h"


/* rounds that the number of machines is an average of, and the most of them */
#define SGTM_SHARE_ROUNDS    8
#define SGTM_SHARE_MACHINES  10000
#define SGTM_SHARE_LATE      3

/* the least part, of an even one: a hit is never impossible */
#define SGTM_SHARE_LEAST     64

/* hits are told of up to so many times the rate: more is soon forgotten, too */
#define SGTM_SHARE_MOST      2

#define SGTM_SHARE_LN2       0.69314718


static double sgtm_share_halves(double n);
static uint32_t sgtm_share_number(double part);


uint64_t
sgtm_share_tell(const sgtm_share_t *share, uint64_t now, uint64_t round,
    uint64_t interval, uint64_t own)
{
    uint64_t  most;

    most = 1 + SGTM_SHARE_MOST * (share->time ? now - share->time : round)
               / (interval ? interval : 1);

    return own < most ? own : most;
}


int
sgtm_share_heard(sgtm_share_t *share, uint64_t now, uint64_t own,
    uint64_t total)
{
    double    keep, weight;
    uint64_t  last, elapsed;

    last = share->total;
    elapsed = now - share->time;

    share->total = total;

    if (share->time == 0 || total < last || total - last < own) {
        share->time = now;
        share->own = 0;
        share->all = 0;
        share->span = 0;
        return 0;
    }

    share->time = now;

    if (elapsed == 0) {
        return share->span > 0;
    }

    /* some of what was asked for meanwhile is as old as the last answer */

    keep = sgtm_share_halves((double) elapsed / SGTM_SHARE_HALF);
    weight = (1 - keep) * SGTM_SHARE_HALF / SGTM_SHARE_LN2 / (double) elapsed;

    share->own = share->own * keep + weight * (double) own;
    share->all = share->all * keep + weight * (double) (total - last);
    share->span = share->span * keep + weight * (double) elapsed;

    return 1;
}


/* about 0.5 to the power of n, which is a few times 1 at most: without libm */

static double
sgtm_share_halves(double n)
{
    double  keep, x;

    for (keep = 1; n >= 1; n -= 1) {

        keep /= 2;

        if (keep < 1e-6) {
            return 0;
        }
    }

    x = n * SGTM_SHARE_LN2;

    return keep * (1 - x + x * x / 2 - x * x * x / 6 + x * x * x * x / 24);
}


uint32_t
sgtm_share_part(const sgtm_share_t *share, uint64_t interval,
    unsigned machines)
{
    double  part, left, least;

    if (share->all <= 0 || share->span <= 0) {
        return SGTM_SHARE_WHOLE;
    }

    part = share->own / share->all;

    /* one that asks for more than what is left has the larger part of both */

    left = 1 - (share->all - share->own) / share->span * (double) interval;

    if (left > part) {
        part = left;
    }

    least = 1.0 / SGTM_SHARE_LEAST / machines;

    return sgtm_share_number(part > least ? part : least);
}


uint32_t
sgtm_share_alone(const sgtm_share_t *share, unsigned machines)
{
    double  part;

    part = (share->all > 0) ? share->own / share->all : 0;

    return sgtm_share_number(part > 1.0 / machines ? part : 1.0 / machines);
}


uint32_t
sgtm_share_even(unsigned machines)
{
    return SGTM_SHARE_WHOLE / machines;
}


static uint32_t
sgtm_share_number(double part)
{
    uint32_t  n;

    if (part >= 1) {
        return SGTM_SHARE_WHOLE;
    }

    n = (uint32_t) (part * SGTM_SHARE_WHOLE);

    return n ? n : 1;
}


/* rounds are not exactly those of the others: half a machine is none */

unsigned
sgtm_share_machines(sgtm_share_machines_t *count, uint64_t now,
    uint64_t interval, uint64_t total, unsigned machines)
{
    double    n;
    uint64_t  last, elapsed;

    last = count->total;
    elapsed = now - count->time;

    count->total = total;

    if (count->time == 0 || elapsed == 0 || total <= last) {
        count->time = now;
        return machines;
    }

    count->time = now;

    n = (double) (total - last);

    /* all are late at times, and together; after a pause this one alone was */

    if (elapsed > SGTM_SHARE_LATE * interval) {
        n = n * (double) interval / (double) elapsed;
    }

    if (n > SGTM_SHARE_MACHINES) {
        n = SGTM_SHARE_MACHINES;
    }

    count->average = (count->average > 0)
                     ? count->average + (n - count->average)
                                        / SGTM_SHARE_ROUNDS
                     : n;

    if (count->average < machines - 0.6 || count->average > machines + 0.6) {
        machines = (unsigned) (count->average + 0.5);
    }

    return machines ? machines : 1;
}
