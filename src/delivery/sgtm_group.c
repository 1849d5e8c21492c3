
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 */


#include <stddef.h>
#include <string.h>

#include "sgtm_group.h"


static size_t sgtm_group_entry_size(sgtm_record_t *record);
static unsigned char *sgtm_group_entry(unsigned char *p,
    sgtm_record_t *record);
static uint64_t sgtm_group_head(const sgtm_group_t *group, uint64_t key);
static void sgtm_group_sum(uint64_t *sum, const void *data, size_t len,
    uint64_t key);


size_t
sgtm_group_size(sgtm_record_t *list)
{
    size_t          size;
    sgtm_record_t  *record;

    size = sizeof(sgtm_group_t) + SGTM_GROUP_END;

    for (record = list; record != NULL && size <= SGTM_GROUP_MAX;
         record = record->next)
    {
        size += sgtm_group_entry_size(record);
    }

    return size;
}


static size_t
sgtm_group_entry_size(sgtm_record_t *record)
{
    size_t       i, size;
    sgtm_str_t  *strings[SGTM_ENTRY_STRINGS];

    sgtm_group_strings(record, strings);

    size = sizeof(sgtm_entry_t);

    for (i = 0; i < SGTM_ENTRY_STRINGS; i++) {
        size += strings[i]->len;
    }

    return (size + 7) & ~(size_t) 7;
}


void
sgtm_group_make(unsigned char *buffer, size_t size, sgtm_record_t *list,
    sgtm_group_t *group, uint64_t key)
{
    uint64_t        end;
    sgtm_record_t  *record;
    unsigned char  *p;

    group->magic = SGTM_GROUP_MAGIC;
    group->hits = 0;
    group->size = size;
    group->oldest = list->time;

    p = buffer + sizeof(sgtm_group_t);

    for (record = list; record != NULL; record = record->next) {
        p = sgtm_group_entry(p, record);

        group->hits++;
        group->all_hits++;
        group->all_events += record->events;

        if (record->time < group->oldest) {
            group->oldest = record->time;
        }
    }

    end = size;
    memcpy(p, &end, SGTM_GROUP_END);

    sgtm_group_sum(group->sum, buffer + sizeof(sgtm_group_t),
                   size - sizeof(sgtm_group_t) - SGTM_GROUP_END, key);

    group->head = sgtm_group_head(group, key);

    memcpy(buffer, group, sizeof(sgtm_group_t));
}


static unsigned char *
sgtm_group_entry(unsigned char *p, sgtm_record_t *record)
{
    size_t          i;
    sgtm_str_t     *strings[SGTM_ENTRY_STRINGS];
    sgtm_entry_t    entry;
    unsigned char  *end;

    end = p + sgtm_group_entry_size(record);

    entry.time = record->time;
    entry.client = record->client;
    entry.attempts = record->attempts;
    entry.events = record->events;

    sgtm_group_strings(record, strings);

    for (i = 0; i < SGTM_ENTRY_STRINGS; i++) {
        entry.len[i] = (uint32_t) strings[i]->len;
    }

    memcpy(p, &entry, sizeof(sgtm_entry_t));
    p += sizeof(sgtm_entry_t);

    for (i = 0; i < SGTM_ENTRY_STRINGS; i++) {
        if (strings[i]->len) {
            memcpy(p, strings[i]->data, strings[i]->len);
            p += strings[i]->len;
        }
    }

    memset(p, 0, (size_t) (end - p));

    return end;
}


int
sgtm_group_is(const sgtm_group_t *group, uint64_t key)
{
    return group->magic == SGTM_GROUP_MAGIC
           && group->size % 8 == 0
           && group->size >= SGTM_GROUP_LEAST
           && group->size <= SGTM_GROUP_MAX
           && group->hits > 0
           && group->hits <= group->size / sizeof(sgtm_entry_t)
           && group->head == sgtm_group_head(group, key);
}


int
sgtm_group_is_sound(const unsigned char *data, uint64_t key)
{
    uint32_t              i;
    uint64_t              sum[2];
    sgtm_group_t          group;
    sgtm_record_t         record;
    const unsigned char  *p, *end;

    memcpy(&group, data, sizeof(sgtm_group_t));

    p = data + sizeof(sgtm_group_t);
    end = data + group.size - SGTM_GROUP_END;

    sgtm_group_sum(sum, p, (size_t) (end - p), key);

    if (sum[0] != group.sum[0] || sum[1] != group.sum[1]
        || memcmp(end, &group.size, SGTM_GROUP_END) != 0)
    {
        return 0;
    }

    for (i = 0; i < group.hits; i++) {
        p = sgtm_group_record(p, end, &record);

        if (p == NULL) {
            return 0;
        }
    }

    return p == end;
}


const unsigned char *
sgtm_group_record(const unsigned char *p, const unsigned char *end,
    sgtm_record_t *record)
{
    size_t                i, left;
    sgtm_str_t           *strings[SGTM_ENTRY_STRINGS];
    sgtm_entry_t          entry;
    const unsigned char  *start;

    start = p;
    left = (size_t) (end - p);

    if (left < sizeof(sgtm_entry_t)) {
        return NULL;
    }

    memcpy(&entry, p, sizeof(sgtm_entry_t));

    p += sizeof(sgtm_entry_t);
    left -= sizeof(sgtm_entry_t);

    memset(record, 0, sizeof(sgtm_record_t));

    record->time = entry.time;
    record->client = entry.client;
    record->attempts = entry.attempts;
    record->events = entry.events;

    sgtm_group_strings(record, strings);

    for (i = 0; i < SGTM_ENTRY_STRINGS; i++) {

        if (entry.len[i] > left) {
            return NULL;
        }

        strings[i]->data = (unsigned char *) p;
        strings[i]->len = entry.len[i];

        p += entry.len[i];
        left -= entry.len[i];
    }

    i = (size_t) (p - start) % 8;

    if (i != 0) {
        if (8 - i > left) {
            return NULL;
        }

        p += 8 - i;
    }

    return p;
}


void
sgtm_group_strings(sgtm_record_t *record, sgtm_str_t **strings)
{
    strings[0] = &record->target;
    strings[1] = &record->tenant;
    strings[2] = &record->error;
    strings[3] = &record->method;
    strings[4] = &record->uri;
    strings[5] = &record->args;
    strings[6] = &record->headers;
    strings[7] = &record->body;
}


static uint64_t
sgtm_group_head(const sgtm_group_t *group, uint64_t key)
{
    uint64_t  sum[2];

    sgtm_group_sum(sum, group, offsetof(sgtm_group_t, head), key);

    return sum[0] + 2 * sum[1];
}


/*
 * Two running sums (Fletcher), so that what moved within it is seen, from the
 * key on; len is a multiple of 8.
 */

static void
sgtm_group_sum(uint64_t *sum, const void *data, size_t len, uint64_t key)
{
    size_t                i;
    uint32_t              words[2];
    uint64_t              a, b;
    const unsigned char  *p;

    a = key;
    b = 0;
    p = data;

    for (i = 0; i + sizeof(words) <= len; i += sizeof(words)) {
        memcpy(words, p + i, sizeof(words));

        a += words[0];
        b += a;
        a += words[1];
        b += a;
    }

    sum[0] = a;
    sum[1] = b;
}
