
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Files and directories of tenants as a whole: what a look at them notices,
 * what is read, in which order, what is known and so not kept, and what is an
 * error: names in two files, endpoints that nobody allowed, more than there is
 * room for, a file that is missing, empty, cut off or huge, or that changes
 * while it is read.  It guards against half of a file that is taken for all of
 * it, and a change that is not seen.
 */


#define _DEFAULT_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"
#include "tenant/sgtm_load.h"


static char              dir[64];
static sgtm_load_conf_t  conf;


static const char *
path(const char *name)
{
    static char  p[2][256];
    static int   n;

    n = !n;
    (void) snprintf(p[n], sizeof(p[n]), "%s/%s", dir, name);

    return p[n];
}


static void
write_file(const char *name, const char *text)
{
    FILE  *f;

    f = fopen(path(name), "w");

    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
        printf("Bail out! %s: %s\n", path(name), strerror(errno));
        exit(1);
    }
}


static sgtm_look_t
look(const char *name)
{
    const char        *file;
    sgtm_look_walk_t   walk;

    sgtm_look_begin(&walk, name);

    while (sgtm_look_step(&walk, &file)) { /* void */ }

    sgtm_look_end(&walk);

    return walk.look;
}


static int
differs(sgtm_look_t *last, const char *name)
{
    int          rc;
    sgtm_look_t  now;

    now = look(name);
    rc = !sgtm_look_same(last, &now);
    *last = now;

    return rc;
}


static sgtm_load_t *
load(const char *name, unsigned *rc)
{
    char         *copy;
    sgtm_load_t  *ld;

    copy = unit_alloc(strlen(name) + 1);
    conf.path = strcpy(copy, name);

    ld = sgtm_load_create(&conf, 0);

    do {
        *rc = sgtm_load_step(ld);
    } while (*rc == SGTM_LOAD_MORE);

    return ld;
}


/* that a load ends with one error, which has these words */

static void
bad(const char *file, const char *words, const char *more)
{
    int           ok;
    unsigned      rc;
    sgtm_load_t  *ld;

    ld = load(path(file), &rc);

    ok = rc == SGTM_LOAD_BAD && ld->errors.n >= 1
         && strstr(ld->errors.lines[0], words)
         && strstr(ld->errors.lines[0], more);

    unit_ok(ok, "%s: %s", file, words);

    if (!ok) {
        printf("# %u, %zu: %s\n", rc, ld->errors.n, ld->errors.lines[0]);
    }

    sgtm_load_destroy(ld);
}


static void
test_look(void)
{
    sgtm_look_t  last, file;

    write_file("a.json", "1");
    last = look(dir);
    file = look(path("a.json"));

    unit_ok(!differs(&last, dir) && !differs(&file, path("a.json")),
            "nothing has changed");

    usleep(20000);
    write_file("a.json", "2");
    unit_ok(differs(&last, dir) && differs(&file, path("a.json")),
            "written anew, of the same size");

    write_file("b.json.new", "2");
    write_file(".b.json", "2");
    unit_ok(!differs(&last, dir), "files of other names do not count");
    (void) rename(path("b.json.new"), path("b.json"));
    unit_ok(differs(&last, dir), "one more");
    (void) rename(path("b.json"), path("c.json"));
    unit_ok(differs(&last, dir), "one of another name");
    (void) unlink(path("c.json"));
    unit_ok(differs(&last, dir), "one less");
    (void) symlink(path("nowhere"), path("d.json"));
    unit_ok(differs(&last, dir), "one that leads nowhere");
    (void) unlink(path("d.json"));
    (void) unlink(path("a.json"));
    unit_ok(differs(&file, path("a.json")), "the file is gone");
    unit_ok(!differs(&file, path("a.json")), "and stays so");
}


static void
test_read(void)
{
    unsigned          rc;
    sgtm_load_t      *ld;
    unsigned char     sum[SGTM_REGISTRY_SUM];

    write_file("a.json", "{\"tenants\": [{\"id\":\"a\", \"hosts\":[\"a.b\"]},"
                         "{\"id\":\"b\",\"odd\":1}]}");
    write_file("b.json", "{\"id\":\"c\", \"hosts\":[\"c.b\"]}");

    ld = load(path("a.json"), &rc);
    unit_ok(rc == SGTM_LOAD_DONE && ld->records == 2 && ld->kept == 2
            && ld->items->tenant->hosts.nelts == 1
            && ld->items->next->id.data[0] == 'b'
            && ld->items->next->next == NULL, "a file of two");
    unit_ok(ld->warnings.n == 1
            && strstr(ld->warnings.lines[0], "a.json\", tenants[1].odd: "),
            "a warning: %s", strstr(ld->warnings.lines[0], "a.json"));
    memcpy(sum, ld->items->sum, sizeof(sum));
    sgtm_load_destroy(ld);

    conf.path = dir;
    ld = sgtm_load_create(&conf, 1);
    sgtm_load_known(ld, sum);
    while ((rc = sgtm_load_step(ld)) == SGTM_LOAD_MORE) { /* void */ }
    unit_ok(rc == SGTM_LOAD_DONE && ld->records == 3 && ld->kept == 2
            && ld->items->tenant == NULL && ld->items->id.len == 1
            && ld->items->id.data[0] == 'a'
            && ld->items->next->tenant != NULL
            && ld->items->next->next->tenant->id.data[0] == 'c',
            "a directory, in order, of which one is known");
    sgtm_load_destroy(ld);

    /* given up at any step */

    for (rc = 0; rc < 20; rc++) {
        unsigned  i;

        ld = sgtm_load_create(&conf, 100);
        for (i = 0; i < rc; i++) {
            (void) sgtm_load_step(ld);
        }
        sgtm_load_destroy(ld);
    }

    /* changed while it is read */

    ld = sgtm_load_create(&conf, 0);
    for (rc = 0; rc < 6; rc++) {
        (void) sgtm_load_step(ld);
    }
    write_file("b.json", "{\"id\":\"c\", \"hosts\":[\"c.b\",");
    while ((rc = sgtm_load_step(ld)) == SGTM_LOAD_MORE) { /* void */ }
    unit_ok(rc == SGTM_LOAD_CHANGED, "changed while it was read");
    sgtm_load_destroy(ld);
}


static void
test_bad(void)
{
    int                fd;
    static sgtm_keys_t  keys;
    unsigned           rc;
    sgtm_load_t       *ld;
    const char        *sealed;

    static const sgtm_str_t  endpoint[] = { sgtm_string("tag.example") };

    (void) mkdir(path("no.d"), 0700);
    bad("none", "none\": cannot be opened", "No such file");
    bad("no.d", "no.d\": a directory without", "*.json");
    (void) rmdir(path("no.d"));

    bad("b.json", "b.json\": not JSON in line 1", "too early");
    write_file("b.json", "");
    bad("b.json", "b.json\": not JSON", "too early");
    write_file("b.json", "{\"id\":\"c\", \"hosts\":[\"x.b\",\"a.b\"]}");
    bad("", "b.json\", hosts[1]: is there twice, first in ",
        "a.json, tenants[0].hosts[0]");
    write_file("b.json", "{\"id\":\"c\", \"hosts\":[\"-\"]}");
    bad("", "b.json\", hosts[0]: not a host name", "");

    (void) unlink(path("b.json"));
    (void) mkdir(path("b.json"), 0700);
    bad("", "b.json\": not a file", "");
    (void) rmdir(path("b.json"));

    fd = open(path("b.json"), O_CREAT|O_WRONLY, 0600);
    (void) !ftruncate(fd, (off_t) 1 << 30);
    (void) close(fd);
    bad("b.json", "1073741824 bytes, over", "");
    (void) unlink(path("b.json"));

    conf.room = 700;
    bad("a.json", "take more than the 0 kB", "");
    conf.room = 1 << 20;

    write_file("e.json", "{\"tenants\":[{\"id\":\"a\"},{\"id\":\"b\","
                         "\"endpoint\":\"tag.example\"},{\"id\":\"c\","
                         "\"upstream\":\"tag.example\"}]}");
    bad("e.json", "tenants[1].endpoint: not among \"sgtm_endpoints\"", "");
    conf.endpoints = endpoint;
    conf.nendpoints = 1;
    ld = load(path("e.json"), &rc);
    unit_ok(rc == SGTM_LOAD_DONE, "an endpoint that is allowed");
    sgtm_load_destroy(ld);

    sealed = "sealed:v1:k2:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

    {
        char  text[512];

        (void) snprintf(text, sizeof(text), "{\"id\":\"a\",\"credentials\":"
                        "{\"meta_token\":\"%s\"}}", sealed);
        write_file("e.json", text);
    }

    keys.nkeys = 1;
    keys.keys[0].id_len = 2;
    memcpy(keys.keys[0].id, "k1", 2);
    conf.keys = &keys;
    ld = load(path("e.json"), &rc);
    unit_ok(rc == SGTM_LOAD_DONE && ld->warnings.n == 1
            && strstr(ld->warnings.lines[0], "e.json\", credentials.meta_token:"
                                             " sealed with a key"),
            "a key that is not there: %s", ld->warnings.lines[0]);
    sgtm_load_destroy(ld);

    memcpy(keys.keys[0].id, "k2", 2);
    ld = load(path("e.json"), &rc);
    unit_ok(rc == SGTM_LOAD_DONE && ld->warnings.n == 0, "one that is there");
    sgtm_load_destroy(ld);
    (void) unlink(path("e.json"));
}


int
main(void)
{
    (void) strcpy(dir, "/tmp/sgtm-unit-XXXXXX");

    if (mkdtemp(dir) == NULL) {
        printf("Bail out! mkdtemp() failed\n");
        return 1;
    }

    conf.room = 1 << 20;

    test_look();
    test_read();
    test_bad();

    (void) unlink(path("a.json"));
    (void) unlink(path(".b.json"));
    (void) rmdir(dir);

    return unit_done();
}
