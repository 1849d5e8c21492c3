
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * What a segment of the journal consists of.  A group is the hits that one
 * sgtm_journal_put() keeps, in the byte order of the machine:
 *
 *     header, sgtm_group_t
 *     hits records: sgtm_entry_t, its strings, zeros up to a multiple of 8
 *     the size of the group again, 8 bytes
 *
 * Visitors choose much of what is in it.  The sums are made with a key that
 * only the directory has, so that nobody can send what would be taken for a
 * group of ours where a segment is damaged.
 */


#ifndef _SGTM_GROUP_H_INCLUDED_
#define _SGTM_GROUP_H_INCLUDED_


#include "sgtm_store.h"


/* a group is not larger: what a worker lets wait, and more */
#define SGTM_GROUP_MAX    ((uint64_t) 64 * 1024 * 1024)

#define SGTM_GROUP_MAGIC  0x31676773  /* "sgg1" */


typedef struct {
    uint32_t  magic;
    uint32_t  hits;
    uint64_t  size;          /* bytes, header and end included */
    int64_t   time;          /* us since the epoch; ascends in a segment */
    uint64_t  all_hits;      /* of the segment, up to the end of this group */
    uint64_t  all_events;
    int64_t   oldest;        /* the first event's time, ms since the epoch */
    uint64_t  sum[2];        /* of the records */
    uint64_t  head;          /* of what is before it */
} sgtm_group_t;


#define SGTM_ENTRY_STRINGS  8

typedef struct {
    int64_t   time;
    uint64_t  client;
    uint32_t  attempts;
    uint32_t  events;
    uint32_t  len[SGTM_ENTRY_STRINGS];
} sgtm_entry_t;


/* the end of a group: its size again */
#define SGTM_GROUP_END    sizeof(uint64_t)

#define SGTM_GROUP_LEAST  (sizeof(sgtm_group_t) + sizeof(sgtm_entry_t)        \
                           + SGTM_GROUP_END)


/* the bytes of a list as a group, not much over SGTM_GROUP_MAX */
size_t sgtm_group_size(sgtm_record_t *list);

/*
 * Writes the group of a list to a buffer of its size.  The caller has set time,
 * and all_hits and all_events to what they are before it; the rest is set.
 */
void sgtm_group_make(unsigned char *buffer, size_t size, sgtm_record_t *list,
    sgtm_group_t *group, uint64_t key);

/* whether the header is one of a writer's with this key */
int sgtm_group_is(const sgtm_group_t *group, uint64_t key);

/*
 * Whether the bytes of a group, as long as its header says, are what its writer
 * wrote.
 */
int sgtm_group_is_sound(const unsigned char *data, uint64_t key);

/*
 * A record of a group: p is where the last one ended, end where the group does.
 * Its strings lie in the group.  NULL: it is not sound.
 */
const unsigned char *sgtm_group_record(const unsigned char *p,
    const unsigned char *end, sgtm_record_t *record);

/* the strings of a record in the order of a group, SGTM_ENTRY_STRINGS */
void sgtm_group_strings(sgtm_record_t *record, sgtm_str_t **strings);


#endif /* _SGTM_GROUP_H_INCLUDED_ */
