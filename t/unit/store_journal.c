
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Segments whose bytes are not what their writer wrote: cut off anywhere,
 * garbled anywhere, zeros, sizes and numbers that cannot be.  What is sound is
 * moved, what a writer could not finish is dropped, the rest is set aside with
 * a warning; and nothing that a visitor sends is ever taken for a group.
 */


#include "unit_store_segment.h"

#include <sys/file.h>


static sgtm_store_t  *store;


/* what is set aside, and no more */

static int
aside(const unsigned char *data, size_t len)
{
    char           name[256];
    store_bytes_t  bytes;

    if (store_files("damaged-", name) != 1) {
        return 0;
    }

    bytes = store_load(name);

    return bytes.len == len && memcmp(bytes.data, data, len) == 0;
}


static int64_t
waiting(void)
{
    sgtm_store_counts_t  counts;

    if (sgtm_store_count(store, &counts) != SGTM_STORE_OK) {
        printf("# count: %s\n", sgtm_store_error(store));
        return -1;
    }

    return counts.events == 2 * counts.hits ? counts.hits : -1;
}


static int
is(const char *got, const char *want)
{
    if (strcmp(got, want) == 0) {
        return 1;
    }

    printf("#      got: %s\n# expected: %s\n", got, want);

    return 0;
}


static void
begin(const char *name)
{
    sgtm_store_destroy(store);

    store_begin(name);
    store = store_open(SGTM_STORE_SYNC_OFF, 0);

    store_is(store, store_fetch(store), SGTM_STORE_OK, "a spool");
}


/* a writer that was killed within its last group */

static void
test_cut(void)
{
    size_t         len, last;
    unsigned       bad, counted, left, removed;
    store_bytes_t  bytes, part;

    begin("cut off");

    bytes = store_groups("23");
    last = store_group(&bytes, 1);
    part = bytes;

    bad = counted = left = removed = 0;

    for (len = last; len < bytes.len; len++) {

        part.len = len;
        store_again(&part);

        counted += (waiting() == 2);
        bad += !is(store_moved(store), " a0 a1");
        left += (size_t) store_files("damaged-", NULL);

        store_idle(bytes.name);
        (void) sgtm_store_sync(store);
        removed += (store_segments() == 0);
    }

    unit_ok(bad == 0, "the group before is moved, silently (%u)", bad);
    unit_ok(counted == bytes.len - last, "and counted beforehand (%u)",
            counted);
    unit_ok(left == 0, "nothing is set aside (%u)", left);
    unit_ok(removed == bytes.len - last, "the segment is removed (%u)",
            removed);

    store_again(&bytes);
    unit_ok(is(store_moved(store), " a0 a1 b0 b1 b2"), "whole: all is moved");

    /* a part of it at first, as when its writer is at it */

    part.len = last + 100;
    store_again(&part);
    unit_ok(is(store_moved(store), " a0 a1"), "the first group");

    part = store_groups("1");
    unit_ok(is(store_moved(store), " a0 a1 a0"),
            "another writer goes on meanwhile");
}


/* bytes that have changed */

static void
test_garbled(void)
{
    size_t         i, first, last;
    unsigned       bad, whole, sound;
    store_bytes_t  bytes, copy;

    begin("garbled");

    bytes = store_groups("221");
    first = store_group(&bytes, 1);
    last = store_group(&bytes, 2);

    copy = bytes;
    copy.data = unit_alloc(bytes.len);

    for (bad = whole = 0, i = first; i < last; i++) {

        memcpy(copy.data, bytes.data, bytes.len);
        copy.data[i] ^= (unsigned char) (1 << i % 8);
        store_again(&copy);

        bad += !is(store_moved(store), " a0 a1 c0 !");
        whole += aside(copy.data + first, last - first);
    }

    unit_ok(bad == 0, "those around are moved, with a warning (%u)", bad);
    unit_ok(whole == last - first, "its bytes are set aside (%u)", whole);

    /* the same once more, as after a crash before it was noted */

    store_sql("DELETE FROM journal");
    store_sql("DELETE FROM hit");
    unit_ok(is(store_moved(store), " a0 a1 c0 !")
            && aside(copy.data + first, last - first), "and again");

    for (bad = sound = 0, i = last; i < bytes.len; i++) {

        memcpy(copy.data, bytes.data, bytes.len);
        copy.data[i] ^= 0x40;
        store_again(&copy);

        /* the last one: it may seem to be unfinished, too */

        bad += (strncmp(store_moved(store), " a0 a1 b0 b1", 12) != 0);
        sound += (store_sql("SELECT count(*) FROM hit") == 4);
    }

    unit_ok(bad == 0 && sound == bytes.len - last, "the last one (%u, %u)",
            bad, sound);
    unit_ok(store_is_sound(), "the database is sound");
}


static void
test_moved_bytes(void)
{
    size_t         first, last;
    store_bytes_t  bytes, copy;

    begin("bytes at another place");

    bytes = store_groups("221");
    first = store_group(&bytes, 1);
    last = store_group(&bytes, 2);

    copy = bytes;
    copy.data = unit_alloc(bytes.len + 4096);
    memcpy(copy.data, bytes.data, bytes.len);

    /* two words of a record change places */

    memcpy(copy.data + first + 72, bytes.data + first + 76, 4);
    memcpy(copy.data + first + 76, bytes.data + first + 72, 4);
    store_again(&copy);
    unit_ok(is(store_moved(store), " a0 a1 c0 !"), "two words");

    /* zeros, as of a file system that had only its size on the disk */

    memcpy(copy.data, bytes.data, bytes.len);
    memset(copy.data + first, 0, last - first);
    store_again(&copy);
    unit_ok(is(store_moved(store), " a0 a1 c0 !")
            && aside(copy.data + first, last - first), "zeros for a group");

    memset(copy.data + first, 0, bytes.len - first);
    store_again(&copy);
    unit_ok(is(store_moved(store), " a0 a1 !"), "zeros up to the end");

    memcpy(copy.data, bytes.data, bytes.len);
    memset(copy.data + bytes.len, 0, 4096);
    copy.len = bytes.len + 4096;
    store_again(&copy);
    unit_ok(is(store_moved(store), " a0 a1 b0 b1 c0 !"), "zeros after it");
    copy.len = bytes.len;

    memset(copy.data, 0, bytes.len);
    store_again(&copy);
    unit_ok(is(store_moved(store), " !"), "nothing but zeros");

    memset(copy.data, 'x', bytes.len);
    store_again(&copy);
    unit_ok(is(store_moved(store), " !"), "nothing but garbage");

    /* bytes that are too many: what follows is at another place */

    memcpy(copy.data, bytes.data, first);
    memset(copy.data + first, 'x', 24);
    memcpy(copy.data + first + 24, bytes.data + first, bytes.len - first);
    copy.len = bytes.len + 24;
    store_again(&copy);
    unit_ok(is(store_moved(store), " a0 a1 b0 b1 c0 !")
            && aside(copy.data + first, 24), "bytes between groups");

    memmove(copy.data + first + 13, copy.data + first + 24,
            bytes.len - first);
    copy.len = bytes.len + 13;
    store_again(&copy);
    unit_ok(is(store_moved(store), " a0 a1 !"),
            "groups begin at a multiple of eight");

    /* the group of another segment, as on blocks that were used before */

    memcpy(copy.data, bytes.data, bytes.len);
    copy.len = bytes.len;
    snprintf(copy.name, sizeof(copy.name),
             SGTM_JOURNAL_PREFIX "%016llx-%016llx", 1ull, 2ull);
    store_again(&copy);
    unit_ok(is(store_moved(store), " !"), "groups of another segment");
}


/* sums that are right, over what cannot be */

static void
test_absurd(void)
{
    size_t         i, first, len, bad;
    uint64_t       size;
    uint32_t       n;
    store_bytes_t  bytes, copy;

    static const uint64_t  sizes[] = {
        0, 8, 72, 80, 128, 136, 137, (uint64_t) 1 << 32, (uint64_t) 1 << 63,
        UINT64_MAX, UINT64_MAX - 7, (uint64_t) 64 * 1024 * 1024 + 8
    };

    static const uint32_t  numbers[] = { 0, 1, 3, 4, 1000, UINT32_MAX };

    begin("what cannot be");

    bytes = store_groups("121");
    first = store_group(&bytes, 1);
    len = store_group(&bytes, 2) - first - 8;

    copy = bytes;
    copy.data = unit_alloc(bytes.len);
    memcpy(copy.data, bytes.data, bytes.len);

    store_seal(copy.data + first, len, store_key(bytes.name));
    unit_ok(memcmp(copy.data, bytes.data, bytes.len) == 0,
            "the sums are what they are said to be");

    for (bad = 0, i = 0; i < unit_nelts(sizes); i++) {

        memcpy(copy.data, bytes.data, bytes.len);
        memcpy(copy.data + first + 8, &sizes[i], 8);
        store_seal(copy.data + first, len, store_key(bytes.name));
        store_again(&copy);

        bad += !is(store_moved(store), " a0 c0 !");
    }

    unit_ok(bad == 0, "sizes (%zu)", bad);

    for (bad = 0, i = 0; i < unit_nelts(numbers); i++) {

        memcpy(copy.data, bytes.data, bytes.len);
        memcpy(copy.data + first + 4, &numbers[i], 4);
        store_seal(copy.data + first, len, store_key(bytes.name));
        store_again(&copy);

        bad += !is(store_moved(store), " a0 c0 !");
    }

    unit_ok(bad == 0, "numbers of hits (%zu)", bad);

    /* the lengths of the first record's strings */

    for (bad = 0, i = 0; i < SGTM_ENTRY_STRINGS; i++) {

        memcpy(copy.data, bytes.data, bytes.len);
        n = (i % 2) ? UINT32_MAX : (uint32_t) len;
        memcpy(copy.data + first + sizeof(sgtm_group_t)
               + offsetof(sgtm_entry_t, len) + 4 * i, &n, 4);
        store_seal(copy.data + first, len, store_key(bytes.name));
        store_again(&copy);

        bad += !is(store_moved(store), " a0 c0 !");
    }

    unit_ok(bad == 0, "lengths (%zu)", bad);

    memcpy(copy.data, bytes.data, bytes.len);
    size = len;
    memcpy(copy.data + first + len, &size, 8);
    store_again(&copy);
    unit_ok(is(store_moved(store), " a0 c0 !"), "another size at its end");
}


/* a hit whose body is a segment, in a group that is damaged */

static void
test_forged(void)
{
    int            how;
    char           name[256];
    clock_t        from;
    sgtm_record_t *record;
    store_bytes_t  inner, outer, copy;
    unsigned char  fake[2000000];
    uint64_t       words[2];
    size_t         i;

    begin("what a visitor sends");

    inner = store_groups("2");

    for (how = 0; how < 3; how++) {

        /* as it is, with sums of no key, and made for a key that is guessed */

        if (how) {
            store_seal(inner.data, inner.len - 8, how == 1 ? 0 : 1);
        }

        store_again(&inner);
        (void) unlink(store_path(inner.name));

        record = store_record(NULL, STORE_TARGET, 1, "");
        record->body.data = inner.data;
        record->body.len = inner.len;

        /* so that it is where a group could be */

        record->target = unit_str("12345678");
        record->tenant = unit_str("12345678");
        record->method = unit_str("12345678");
        record->uri = unit_str("12345678");
        record->args = unit_str("12345678");
        record->headers = unit_str("12345678");

        store_keep(record, SGTM_STORE_SYNC_OFF, 0);
        store_files(SGTM_JOURNAL_PREFIX, name);

        outer = store_load(name);
        unit_ok(memmem(outer.data, outer.len, inner.data, inner.len) != NULL
                && ((unsigned char *) memmem(outer.data, outer.len, inner.data,
                                             inner.len) - outer.data) % 8 == 0,
                "a body that is a group");

        copy = outer;
        copy.len -= 8;
        store_again(&copy);
        unit_ok(is(store_moved(store), ""),
                "is none when its group is unfinished");

        outer.data[10] ^= 1;
        store_again(&outer);
        unit_ok(is(store_moved(store), " !"), "nor when it is damaged");
    }

    /* many beginnings: none may make others wait */

    words[0] = SGTM_GROUP_MAGIC | (uint64_t) 1 << 32;

    for (i = 0; i + 16 <= sizeof(fake); i += 16) {
        words[1] = (sizeof(fake) - i) & ~(uint64_t) 7;
        memcpy(fake + i, words, 16);
    }

    snprintf(copy.name, sizeof(copy.name),
             SGTM_JOURNAL_PREFIX "%016llx-%016llx", 1ull, 2ull);
    copy.data = fake;
    copy.len = sizeof(fake);

    store_again(&copy);
    from = clock();
    unit_ok(is(store_moved(store), " !"), "nothing but beginnings");
    unit_ok(clock() - from < 2 * CLOCKS_PER_SEC, "is passed over at once");
}


/* while somebody writes, nothing is judged */

static void
test_locked(void)
{
    int              fd;
    size_t           first;
    char             name[256];
    store_bytes_t    bytes, copy;
    sgtm_record_t   *record;
    sgtm_journal_t  *journal;

    begin("a segment that is written to");

    bytes = store_groups("121");
    first = store_group(&bytes, 1);

    copy = bytes;
    copy.data = unit_alloc(bytes.len);
    memcpy(copy.data, bytes.data, bytes.len);
    copy.data[first + 80] ^= 1;
    store_again(&copy);

    fd = open(store_path(bytes.name), O_RDWR);
    unit_ok(fd != -1 && flock(fd, LOCK_EX) == 0, "it is locked");
    unit_ok(is(store_moved(store), " a0"), "its sound groups are moved");
    unit_ok(store_files("damaged-", NULL) == 0, "nothing is set aside yet");
    unit_ok(waiting() == 4, "and the rest waits");

    close(fd);
    unit_ok(is(store_moved(store), " a0 c0 !"), "afterwards");

    /* its writer goes on behind what was passed over */

    begin("a segment whose writer goes on");

    journal = store_journal(SGTM_STORE_SYNC_OFF, 0);
    record = store_record(NULL, STORE_TARGET, 1, "a");

    unit_ok(sgtm_journal_put(journal, record) == SGTM_STORE_OK, "a group");
    store_files(SGTM_JOURNAL_PREFIX, name);

    fd = open(store_path(name), O_WRONLY);
    unit_ok(fd != -1 && pwrite(fd, "garbage", 7, 80) == 7, "is damaged");
    close(fd);

    unit_ok(is(store_moved(store), " !"), "it is set aside");

    record->body = unit_str("b");
    unit_ok(sgtm_journal_put(journal, record) == SGTM_STORE_OK
            && store_segments() == 1, "the next one");
    unit_ok(is(store_moved(store), " b"), "is moved");

    sgtm_journal_destroy(journal);
}


int
main(void)
{
    test_cut();
    test_garbled();
    test_moved_bytes();
    test_absurd();
    test_forged();
    test_locked();

    sgtm_store_destroy(store);
    store_remove();

    return unit_done();
}
