
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The meter: events of tenants by month, in memory that processes share.  Plain
 * C11 without nginx.
 *
 * Who counts takes no lock: an event is one addition to what waits to be
 * written.  The writer takes from there, puts it into a file and adds it to the
 * month's sum of what was written.  So a process that is killed takes with it
 * what it had taken itself, and what was counted in the memory is lost with the
 * memory alone.  A tenant's place is made when he is first counted and stays
 * for as long as the memory does.
 *
 * What waits does so by month, in one of two sets: that of the month that is
 * and that of the one before, into which hits of it may still be delivered.
 * Long before a month ends the set of the one before it is written and set free
 * for the next one.
 */


#ifndef _SGTM_METER_H_INCLUDED_
#define _SGTM_METER_H_INCLUDED_


#include "../hit/sgtm_hit.h"


#define SGTM_METER_SETS  2


/* what is counted: an event that was accepted becomes one of the others */

typedef enum {
    SGTM_METER_ACCEPTED = 0,
    SGTM_METER_FORWARDED,
    SGTM_METER_DENIED,             /* dropped from here on */
    SGTM_METER_DUPLICATE,
    SGTM_METER_LIMITED,
    SGTM_METER_FILTERED,
    SGTM_METER_QUOTA,
    SGTM_METER_FAILED,
    SGTM_METER_N
} sgtm_meter_e;


/* the names of these, as columns, in JSON and as labels */
extern const sgtm_str_t  sgtm_meter_names[];


/* how much of a quota is used up, in per cent */

#define SGTM_METER_WARNED  80
#define SGTM_METER_OVER    100


typedef struct sgtm_meter_s        sgtm_meter_t;
typedef struct sgtm_meter_entry_s  sgtm_meter_entry_t;

typedef void (*sgtm_meter_handler_pt)(void *data, sgtm_meter_entry_t *e);


/* a tenant's month, of what this memory and the file know */

typedef struct {
    uint32_t        month;
    uint64_t        accepted;
    uint64_t        forwarded;
    uint64_t        dropped;
    uint64_t        used;          /* that count against a quota */
    unsigned        told;          /* 0, SGTM_METER_WARNED or _OVER */
} sgtm_meter_sum_t;


typedef struct {
    size_t          tenants;
    size_t          refused;       /* times that there was no room for one */
    size_t          size;          /* bytes for tenants */
    size_t          used;
    int64_t         written;       /* when all was, s since the epoch; or 0 */
} sgtm_meter_stat_t;


/* months of UTC: 12 * year + month from 0; those of the years 1970 to 5460 */
uint32_t sgtm_meter_month(int64_t seconds);

/* the day of the month, from 1 */
unsigned sgtm_meter_day(int64_t seconds);


/*
 * Makes an empty meter in memory aligned to 64 bytes.  No other meter that a
 * process may know of has the same epoch, which is not 0.  NULL: the memory is
 * too small to be of use.
 */
sgtm_meter_t *sgtm_meter_create(void *mem, size_t size, uint32_t epoch);

/*
 * A tenant's entry: known() only looks for it, NULL: there is none; find()
 * makes it if it is new, NULL: there is no room for it.
 */
sgtm_meter_entry_t *sgtm_meter_known(sgtm_meter_t *meter,
    const sgtm_str_t *id);
sgtm_meter_entry_t *sgtm_meter_find(sgtm_meter_t *meter,
    const sgtm_str_t *id);

/*
 * An entry as a number, to be kept elsewhere: entry() is NULL if that is one of
 * another epoch, or 0.
 */
uint64_t sgtm_meter_key(const sgtm_meter_t *meter,
    const sgtm_meter_entry_t *e);
sgtm_meter_entry_t *sgtm_meter_entry(sgtm_meter_t *meter, uint64_t key);

/* counts events of a month */
void sgtm_meter_add(sgtm_meter_t *meter, sgtm_meter_entry_t *e,
    uint32_t month, unsigned what, uint32_t n);

/*
 * Events against a month's quota: adds some, and returns how many there are;
 * or only returns that.  What other machines have counted would be added here,
 * too, once they tell each other.
 */
uint64_t sgtm_meter_use(sgtm_meter_entry_t *e, uint32_t month, uint64_t n);

/* takes back what was added to this month's and has failed since */
void sgtm_meter_give(sgtm_meter_entry_t *e, uint32_t month, uint64_t n);

uint64_t sgtm_meter_used(const sgtm_meter_entry_t *e, uint32_t month);

/*
 * Whether it is the caller who is to tell that so much of the month's quota is
 * used up: once for each level.  A lower one, after the quota was raised, is
 * only noted.
 */
int sgtm_meter_tell(sgtm_meter_entry_t *e, uint32_t month, unsigned level);

void sgtm_meter_sum(const sgtm_meter_t *meter, const sgtm_meter_entry_t *e,
    uint32_t month, sgtm_meter_sum_t *sum);

void sgtm_meter_stat(const sgtm_meter_t *meter, sgtm_meter_stat_t *stat);


#endif /* _SGTM_METER_H_INCLUDED_ */
