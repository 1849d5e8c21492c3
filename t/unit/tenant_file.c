
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * Files of tenants: every record is found, however the bytes arrive; what is
 * wrong is told with its place, and the others are still read; names that are
 * there twice are told with both places; a file that is too large, too deep or
 * cut off ends the reading and not the memory; a call does a slice of the work.
 */


#include "unit_tenant.h"

#include <errno.h>
#include <unistd.h>
#include <sys/stat.h>

#include "../../src/tenant/sgtm_tenants.h"


typedef struct {
    const char     *text;
    size_t          len;
    size_t          pos;
    size_t          step;              /* bytes a call */
    int             err;               /* errno at the end; 0: it is the end */
} source_t;


static const struct {
    const char     *json;
    const char     *ids;               /* of the records: "a b " */
    const char     *said;
    unsigned        end;               /* sgtm_tenants_e */
} files[] = {
    { "{\"tenants\":[]}", "", "", SGTM_TENANTS_END },
    { "{\"tenants\":[{\"id\":\"a\"}]}", "a ", "", SGTM_TENANTS_END },
    { " {\n\"tenants\" :\t[ {\"id\":\"a\"} ,\r\n{ \"id\" : \"b\" } ] } \n",
      "a b ", "", SGTM_TENANTS_END },
    { "{\"id\":\"a\",\"agency\":\"x]}\"}", "", "agency: not of 1 to 128",
      SGTM_TENANTS_BAD },
    { "{\"id\":\"a\",\"hosts\":[\"a.b\"]}\n", "a ", "", SGTM_TENANTS_END },
    { "{\"tenants\":[{\"id\":\"a\",\"script\":\"\\\"]}\\\\\"},"
      "{\"id\":\"b\"}]}", "b ", "tenants[0].script: not a path",
      SGTM_TENANTS_BAD },
    { "{}", "", "id: is missing\n", SGTM_TENANTS_BAD },
    { "{\"tenants\":[7,{\"id\":\"a\"},\"x\",null,[{}],{\"id\":\"b\"}]}",
      "a b ", "tenants[0]: not an object\ntenants[2]: not an object\n"
      "tenants[3]: not an object\ntenants[4]: not an object\n",
      SGTM_TENANTS_BAD },
    { "{\"tenants\":[{\"id\":\"a\"},{\"id\":\"b\",\"hosts\":[\"A.b\","
      "\"c_d\"]},{\"id\":\"c\",\"tier\":1}]}", "a ",
      "tenants[1].hosts[1]: not a host name\n"
      "tenants[2].tier: not a string\n", SGTM_TENANTS_BAD },
    { "{\"tenants\":[{\"id\":\"a\"},{\"id\":\"b\",]},{\"id\":\"c\"}]}",
      "a ", "tenants[1]: not JSON\n: not JSON in line 1: \",\" or \"]\" is",
      SGTM_TENANTS_FAILED },
    { "{\"tenants\":[{\"id\":\"a\",\"hosts\":[\"x.y\"]},{\"id\":\"b\","
      "\"hosts\":[\"z.y\",\"X.Y\"]}]}", "a ",
      "tenants[1].hosts[1]: is there twice, first tenants[0].hosts[0]\n",
      SGTM_TENANTS_BAD },
    { "{\"tenants\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"a\"}]}", "a b ",
      "tenants[2].id: is there twice, first tenants[0].id\n",
      SGTM_TENANTS_BAD },
    { "{\"tenants\":[{\"id\":\"a.b\",\"hosts\":[\"a.b\",\"*.a.b\"]}]}",
      "a.b ", "", SGTM_TENANTS_END },

    { "", "", ": not JSON in line 1: it ends too early\n",
      SGTM_TENANTS_FAILED },
    { " \n\n ", "", ": not JSON in line 3: it ends too early\n",
      SGTM_TENANTS_FAILED },
    { "[]", "", ": not an object, of", SGTM_TENANTS_FAILED },
    { "\xef\xbb\xbf{}", "", ": not an object, of", SGTM_TENANTS_FAILED },
    { "{", "", ": not JSON in line 1: it ends", SGTM_TENANTS_FAILED },
    { "{\"tenants", "", ": not JSON in line 1: it ends", SGTM_TENANTS_FAILED },
    { "{\"tenants\"", "", ": not JSON in line 1: it", SGTM_TENANTS_FAILED },
    { "{\"tenants\":", "", ": not JSON in line 1: it", SGTM_TENANTS_FAILED },
    { "{\"tenants\" []", "", ": not JSON in line 1: \":\"",
      SGTM_TENANTS_FAILED },
    { "{\"tenants\":{}}", "", ": \"tenants\" is not a list\n",
      SGTM_TENANTS_FAILED },
    { "{\"tenants\":[", "", ": not JSON in line 1: it", SGTM_TENANTS_FAILED },
    { "{\"tenants\":[,]}", "", ": not JSON in line 1: a record is missing\n",
      SGTM_TENANTS_FAILED },
    { "{\"tenants\":[{\"id\":\"a\"},]}", "a ",
      ": not JSON in line 1: a record is missing\n", SGTM_TENANTS_FAILED },
    { "{\"tenants\":[{\"id\":\"a\"}\n{\"id\":\"b\"}]}", "a ",
      ": not JSON in line 2: \",\" or \"]\" is missing\n",
      SGTM_TENANTS_FAILED },
    { "{\"tenants\":[{\"id\":\"a\"}", "a ",
      ": not JSON in line 1: it ends too early\n", SGTM_TENANTS_FAILED },
    { "{\"tenants\":[{\"id\":\"a", "",
      ": not JSON in line 1: it ends too early\n", SGTM_TENANTS_FAILED },
    { "{\"tenants\":[{\"id\":\"a\"}]", "a ",
      ": not JSON in line 1: it ends too early\n", SGTM_TENANTS_FAILED },
    { "{\"tenants\":[]]", "", ": not JSON in line 1: \"}\" is missing\n",
      SGTM_TENANTS_FAILED },
    { "{\"tenants\":[],\"x\":1}", "", ": has more than \"tenants\"\n",
      SGTM_TENANTS_FAILED },
    { "{\"tenants\":[]}\n\nx", "", ": not JSON in line 3: there is more behi",
      SGTM_TENANTS_FAILED },
    { "{\"id\":\"a\"}{}", "a ", ": not JSON in line 1: there is more behind",
      SGTM_TENANTS_FAILED },
    { "{\"id\":\"a\",\"tenants\":[]}", "", "tenants: is not known\n",
      SGTM_TENANTS_BAD },
    { "{\"tenants\":[1", "", ": not JSON in line 1: it ends too early\n",
      SGTM_TENANTS_FAILED }
};


static char      ids[4096];
static unsigned  again;


static ssize_t
source_read(void *data, void *buf, size_t size)
{
    source_t *source = data;

    size_t  n;

    n = source->len - source->pos;

    if (n == 0 && source->err) {
        errno = source->err;
        return -1;
    }

    n = (n < source->step) ? n : source->step;
    n = (n < size) ? n : size;

    if (n) {
        memcpy(buf, source->text + source->pos, n);
    }

    source->pos += n;

    return (ssize_t) n;
}


/* reads to the end; the last state, or BAD when any record was */

static unsigned
read_all(sgtm_tenants_t *it)
{
    unsigned  rc, bad;

    ids[0] = '\0';
    bad = 0;
    again = 0;

    for ( ;; ) {
        rc = sgtm_tenants_next(it);

        switch (rc) {

        case SGTM_TENANTS_RECORD:
            if (strlen(ids) + it->tenant->id.len + 2 < sizeof(ids)) {
                strncat(ids, (char *) it->tenant->id.data,
                        it->tenant->id.len);
                strcat(ids, " ");
            }

            break;

        case SGTM_TENANTS_BAD:
            bad = 1;
            break;

        case SGTM_TENANTS_AGAIN:
            again++;
            break;

        case SGTM_TENANTS_END:
            return bad ? SGTM_TENANTS_BAD : SGTM_TENANTS_END;

        default:
            return rc;
        }
    }
}


static void
conf_init(sgtm_tenants_conf_t *conf)
{
    memset(conf, 0, sizeof(sgtm_tenants_conf_t));

    conf->opts.report = tenant_report;
    conf->opts.strict = 1;

    tenant_said[0] = '\0';
    tenant_reports = 0;
}


static unsigned
read_text(const char *text, size_t len, size_t step, uint64_t max, int err)
{
    unsigned             rc;
    source_t             source;
    sgtm_tenants_t       it;
    sgtm_tenants_conf_t  conf;

    source.text = text;
    source.len = len;
    source.pos = 0;
    source.step = step;
    source.err = err;

    conf_init(&conf);
    conf.max_size = max;

    if (sgtm_tenants_begin(&it, source_read, &source, &conf) != SGTM_OK) {
        printf("Bail out! %s\n", tenant_said);
        exit(1);
    }

    rc = read_all(&it);

    unit_ok(sgtm_tenants_next(&it) == (rc == SGTM_TENANTS_FAILED
                                       ? SGTM_TENANTS_FAILED
                                       : SGTM_TENANTS_END),
            "and stays there");

    sgtm_tenants_end(&it);
    sgtm_tenants_end(&it);

    return rc;
}


static void
test_files(void)
{
    char      *cut;
    size_t     i, step, end;
    unsigned   rc;

    static const size_t  steps[] = { 1, 7, 100000 };

    for (i = 0; i < unit_nelts(files); i++) {
        for (step = 0; step < unit_nelts(steps); step++) {

            rc = read_text(files[i].json, strlen(files[i].json), steps[step],
                           0, 0);

            end = strlen(files[i].said);

            if (!unit_ok(rc == files[i].end
                         && strcmp(ids, files[i].ids) == 0
                         && (end || tenant_said[0] == '\0')
                         && strncmp(tenant_said, files[i].said, end) == 0,
                         "file %zu by %zu bytes", i, steps[step]))
            {
                printf("# %u \"%s\" %s\n", rc, ids, tenant_said);
            }
        }
    }

    /* cut anywhere it is no file, and no memory that is not its own is read */

    for (i = 0; i < strlen(files[2].json) - 2; i++) {
        cut = unit_alloc(i);
        memcpy(cut, files[2].json, i);

        if (read_text(cut, i, 3, 0, 0) != SGTM_TENANTS_FAILED) {
            break;
        }
    }

    unit_ok(i == strlen(files[2].json) - 2, "cut off anywhere: at %zu", i);
}


static void
test_limits(void)
{
    char      item[64];
    size_t    i, len;
    unsigned  rc;

    /* records of all kinds of lengths around the pieces that are read */

    tenant_text_begin("{\"tenants\":[");

    for (i = 0; i < 60; i++) {
        snprintf(item, sizeof(item), "%s{\"id\":\"t%zu\",\"cookies\":[\"",
                 i ? "," : "", i);
        tenant_text_add(item);
        tenant_text_fill('c', 120);
        tenant_text_add("\"]");
        tenant_text_fill(' ', (i * 1009) % 65000);
        tenant_text_add("}");
    }

    tenant_text_add("]}");
    len = strlen(tenant_text);

    rc = read_text(tenant_text, len, 65536, 0, 0);
    unit_ok(rc == SGTM_TENANTS_END && strstr(ids, "t59 ") != NULL,
            "records over the edges of %zu bytes: %s", len, tenant_said);

    rc = read_text(tenant_text, len, 4099, 0, 0);
    unit_ok(rc == SGTM_TENANTS_END && strstr(ids, "t59 ") != NULL && again,
            "in small pieces, some calls have nothing");

    rc = read_text(tenant_text, len, 4099, len, 0);
    unit_ok(rc == SGTM_TENANTS_END, "as large as may be");

    rc = read_text(tenant_text, len, 4099, len - 1, 0);
    snprintf(item, sizeof(item), ": over %zu bytes\n", len - 1);
    unit_ok(rc == SGTM_TENANTS_FAILED && strcmp(tenant_said, item) == 0,
            "a byte more than that");

    rc = read_text(tenant_text, len, 4099, 0, EIO);
    unit_ok(rc == SGTM_TENANTS_FAILED && strstr(tenant_said, "cannot be read"),
            "an error while it is read");

    /* a record of as many bytes as it may have, and one more */

    tenant_text_begin("{\"tenants\":[{\"id\":\"a\"");
    tenant_text_fill(' ', 65536 - 10);
    tenant_text_add("}]}");
    unit_ok(read_text(tenant_text, strlen(tenant_text), 999, 0, 0)
            == SGTM_TENANTS_END, "a record of 65536 bytes");

    tenant_text_begin("{\"tenants\":[{},{\"id\":\"a\"");
    tenant_text_fill(' ', 65536 - 9);
    tenant_text_add("}]}");
    unit_ok(read_text(tenant_text, strlen(tenant_text), 70000, 0, 0)
            == SGTM_TENANTS_BAD
            && strstr(tenant_said, "\ntenants[1]: over 65536 bytes") != NULL,
            "one of 65537");

    tenant_text_begin("{\"tenants\":[{},{\"id\":\"");
    tenant_text_fill('a', 3000000);
    unit_ok(read_text(tenant_text, strlen(tenant_text), 65536, 0, 0)
            == SGTM_TENANTS_FAILED
            && strstr(tenant_said, "\ntenants[1]: over 65536 bytes, or not "
                                   "closed\n") != NULL,
            "one without an end is not read to it");

    /* a million brackets, and as much space */

    tenant_text_begin("{\"tenants\":[");
    tenant_text_fill('[', 1000000);
    unit_ok(read_text(tenant_text, strlen(tenant_text), 65536, 0, 0)
            == SGTM_TENANTS_FAILED, "a million brackets");

    tenant_text_begin("{\"tenants\":[{\"id\":\"a\",\"x\":");
    tenant_text_fill('[', 20000);
    tenant_text_fill(']', 20000);
    tenant_text_add("},{\"id\":\"b\"}]}");
    unit_ok(read_text(tenant_text, strlen(tenant_text), 65536, 0, 0)
            == SGTM_TENANTS_BAD && strcmp(ids, "b ") == 0
            && strcmp(tenant_said, "tenants[0]: nested too deep\n") == 0,
            "twenty thousand of them in a record that is closed");

    tenant_text_begin("{\"tenants\":[");
    tenant_text_fill(' ', 1000000);
    tenant_text_add("{\"id\":\"a\"}]}");
    unit_ok(read_text(tenant_text, strlen(tenant_text), 65536, 0, 0)
            == SGTM_TENANTS_END && again > 10, "a million spaces, in slices");
}


/* ids and hosts of several files */

static void
test_index(void)
{
    size_t                i;
    unsigned              rc;
    source_t              source;
    sgtm_tenants_t        it;
    sgtm_tenants_conf_t   conf;
    sgtm_tenant_index_t  *index;

    static const struct {
        const char  *name;
        const char  *json;
        const char  *said;
    } several[] = {
        { "a.json", "{\"tenants\":[{\"id\":\"a\",\"hosts\":[\"x.y\"]}]}", "" },
        { "b.json", "{\"id\":\"b\",\"hosts\":[\"b.y\",\"x.y\"]}",
          "hosts[1]: is there twice, first in a.json, tenants[0].hosts[0]\n" },
        { NULL, "{\"id\":\"c\"}", "" },
        { "d.json", "{\"tenants\":[{\"id\":\"d\"},{\"id\":\"c\"},"
          "{\"id\":\"b\"}]}",
          "tenants[1].id: is there twice, first in another file, id\n"
          "tenants[2].id: is there twice, first in b.json, id\n" }
    };

    index = sgtm_tenant_index_create(0);

    for (i = 0; i < unit_nelts(several); i++) {
        conf_init(&conf);
        conf.index = index;
        conf.name = several[i].name;

        source.text = several[i].json;
        source.len = strlen(source.text);
        source.pos = 0;
        source.step = 100;
        source.err = 0;

        rc = sgtm_tenants_begin(&it, source_read, &source, &conf);
        unit_ok(rc == SGTM_OK, "a file");
        (void) read_all(&it);
        sgtm_tenants_end(&it);

        unit_is((unsigned char *) tenant_said, strlen(tenant_said),
                several[i].said, "names of several files");
    }

    sgtm_tenant_index_destroy(index);
    sgtm_tenant_index_destroy(NULL);
}


/* so many that all has to grow; the last one is there already */

static void
test_many(void)
{
    char      item[128];
    size_t    i, n;
    unsigned  rc;

    tenant_text_begin("");
    tenant_text_fill(' ', 20000 * 100);

    strcpy(tenant_text, "{\"tenants\":[");
    n = strlen(tenant_text);

    for (i = 0; i < 20000; i++) {
        snprintf(item, sizeof(item), "{\"id\":\"t%zu\",\"hosts\":[\"h%zu."
                 "example\",\"*.h%zu.example\"]},", i, i, i);
        strcpy(tenant_text + n, item);
        n += strlen(item);
    }

    strcpy(tenant_text + n, "{\"id\":\"x\",\"hosts\":["
                            "\"*.h12345.example\"]}]}");

    rc = read_text(tenant_text, strlen(tenant_text), 65536, 0, 0);
    unit_ok(rc == SGTM_TENANTS_BAD && tenant_reports == 1
            && strcmp(tenant_said, "tenants[20000].hosts[0]: is there twice, "
                                   "first tenants[12345].hosts[1]\n") == 0,
            "20,000 tenants: %s", tenant_said);
}


static void
test_real(void)
{
    int                   fd;
    char                  file[] = "/tmp/sgtm-tenants-XXXXXX";
    unsigned              rc;
    sgtm_tenants_t        it;
    sgtm_tenants_conf_t   conf;

    static const char  json[] = "{\"tenants\": [\n  {\"id\": \"a\"},\n"
                                "  {\"id\": \"b\"}\n]}\n";

    fd = mkstemp(file);
    unit_ok(fd != -1 && write(fd, json, sizeof(json) - 1)
                        == (ssize_t) sizeof(json) - 1, "a file on disk");

    conf_init(&conf);
    rc = sgtm_tenants_open(&it, file, &conf);
    unit_ok(rc == SGTM_OK && sgtm_tenants_next(&it) == SGTM_TENANTS_RECORD
            && it.n == 0 && it.offset == 16 && it.json.len == 11,
            "where a record is");
    unit_ok(sgtm_tenants_next(&it) == SGTM_TENANTS_RECORD && it.n == 1
            && it.offset == 31, "and the next one");
    unit_ok(sgtm_tenants_next(&it) == SGTM_TENANTS_END, "that is all");
    sgtm_tenants_end(&it);

    /* a file of 2 GB costs nothing: nothing of it is read */

    unit_ok(ftruncate(fd, (off_t) 2 << 30) == 0, "it is of 2 GB");
    conf_init(&conf);
    unit_ok(sgtm_tenants_open(&it, file, &conf) == SGTM_ERROR
            && strcmp(tenant_said, ": 2147483648 bytes, over 536870912\n") == 0
            && it.size == 0, "which is over 512 MB");
    unit_ok(sgtm_tenants_next(&it) == SGTM_TENANTS_FAILED, "nothing of it");
    sgtm_tenants_end(&it);

    close(fd);
    unlink(file);

    conf_init(&conf);
    unit_ok(sgtm_tenants_open(&it, file, &conf) == SGTM_ERROR
            && strcmp(tenant_said, ": cannot be opened: No such file or "
                                   "directory\n") == 0, "no file");
    sgtm_tenants_end(&it);

    conf_init(&conf);
    unit_ok(sgtm_tenants_open(&it, "/tmp", &conf) == SGTM_ERROR
            && strcmp(tenant_said, ": not a file\n") == 0, "a directory");
    sgtm_tenants_end(&it);

    unit_ok(mkfifo(file, 0600) == 0, "a pipe that nobody writes into");
    conf_init(&conf);
    unit_ok(sgtm_tenants_open(&it, file, &conf) == SGTM_ERROR
            && strcmp(tenant_said, ": not a file\n") == 0, "is not waited for");
    sgtm_tenants_end(&it);
    unlink(file);
}


int
main(void)
{
    test_files();
    test_limits();
    test_index();
    test_many();
    test_real();

    free(tenant_text);

    return unit_done();
}
