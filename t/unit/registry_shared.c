
/*
 * Copyright (C) the ngx_http_sgtm_module authors
 *
 * The registry as processes share it: some read all the time and keep what they
 * found for a while, one replaces records and fills with rubbish what he frees,
 * and all of them are killed at any moment and started again.  A reader sees a
 * whole record, the right one, and as long as he keeps it the same; a host that
 * a tenant keeps is never missing; the next writer finds every byte again.
 */


#define _DEFAULT_SOURCE

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit_registry.h"


#define READERS  3
#define VARIANTS 4
#define TENANTS  40
#define HELD     6
#define SIZE     (512 * 1024)
#define SECONDS  3


typedef struct {
    _Atomic unsigned  puts;
    _Atomic unsigned  waits;
    _Atomic unsigned  repairs;
    _Atomic unsigned  found;
    _Atomic unsigned  missing;
    _Atomic unsigned  mixed;
    _Atomic unsigned  wrong;
    _Atomic unsigned  changed;
    unsigned          killed;
} tally_t;


static sgtm_registry_t  *reg;
static tally_t          *tally;

/* made before the processes are, so that they do nothing but put them */

static sgtm_tenant_t    *pool[TENANTS][VARIANTS];
static sgtm_tenant_t    *passing;


static double
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


/* "s3.example" is always there; of the others some come and go */

static void
reader(void)
{
    char                     name[64], id[16];
    int64_t                  version[HELD];
    uint64_t                 g[HELD];
    unsigned                 i, k;
    sgtm_str_t               str;
    const sgtm_tenant_t     *t[HELD];
    sgtm_registry_reader_t   me;

    if (sgtm_registry_attach(reg, &me) != SGTM_OK) {
        tally->wrong++;
        _exit(1);
    }

    memset(t, 0, sizeof(t));

    for (i = 0; /* void */ ; i = (unsigned) (rnd() % HELD)) {

        if (t[i]) {
            tally->changed += !is_whole(t[i]) || t[i]->version != version[i];
            sgtm_registry_leave(&me, g[i]);
            t[i] = NULL;

            if (rnd() % 3 == 0) {
                continue;
            }
        }

        k = (unsigned) (rnd() % TENANTS);
        snprintf(id, sizeof(id), "t%u", k);

        switch (rnd() % 4) {

        case 0:
            snprintf(name, sizeof(name), "x.w%u.example", k);
            break;

        case 1:
            snprintf(name, sizeof(name), "o%u-%u.example", k,
                     (unsigned) (rnd() % 4));
            break;

        default:
            snprintf(name, sizeof(name), "s%u.example", k);
        }

        g[i] = sgtm_registry_enter(&me);

        str = text(name);
        t[i] = sgtm_registry_host(reg, &str);

        if (t[i] == NULL) {
            tally->missing += (name[0] == 's');
            sgtm_registry_leave(&me, g[i]);
            continue;
        }

        version[i] = t[i]->version;
        tally->found++;
        tally->mixed += !is_whole(t[i]);
        tally->wrong += (t[i]->id.len != strlen(id)
                         || memcmp(t[i]->id.data, id, strlen(id)) != 0);

        if (rnd() % 1000 == 0) {
            usleep(1000);
        }
    }
}


static void
hosts_of(char *hosts, size_t size, unsigned k)
{
    int       n;
    unsigned  i;

    n = snprintf(hosts, size, "s%u.example", k);

    for (i = 0; i < 4; i++) {
        if (rnd() % 2) {
            n += snprintf(hosts + n, size - n, " o%u-%u.example", k, i);
        }
    }

    if (rnd() % 2) {
        n += snprintf(hosts + n, size - n, " *.w%u.example", k);
    }
}


static void
make_pool(void)
{
    char      id[16], hosts[256];
    unsigned  i, k;

    for (k = 0; k < TENANTS; k++) {
        for (i = 0; i < VARIANTS; i++) {
            snprintf(id, sizeof(id), "t%u", k);
            hosts_of(hosts, sizeof(hosts), k);

            pool[k][i] = record(id, hosts, k * 100 + i);
        }
    }

    passing = record("other", "other.example", 1);
}


static void
free_pool(void)
{
    unsigned  i, k;

    for (k = 0; k < TENANTS; k++) {
        for (i = 0; i < VARIANTS; i++) {
            free(pool[k][i]);
        }
    }

    free(passing);
}


/* what follows may only be called by who has locked it */

static void
write_one(const sgtm_tenant_t *t)
{
    int                        rc;
    uint64_t                   sum[2];
    sgtm_registry_conflict_t   conflict;

    sum[0] = rnd();
    sum[1] = rnd();

    rc = sgtm_registry_put(reg, SOURCE, 0, t, (unsigned char *) sum,
                           &conflict);

    tally->puts += (rc == SGTM_REGISTRY_OK);
    tally->waits += (rc == SGTM_REGISTRY_WAIT);
}


static void
writer(void)
{
    unsigned    i;
    sgtm_str_t  str;

    str = text("other");

    for (i = 0; /* void */ ; i++) {

        if (sgtm_registry_lock(reg) != SGTM_OK) {
            usleep(200);
            continue;
        }

        tally->repairs += (reg->condition == SGTM_REGISTRY_REPAIR);

        while (sgtm_registry_repair(reg, 50)) { /* void */ }

        write_one(pool[rnd() % TENANTS][rnd() % VARIANTS]);

        /* one that nobody looks for comes and goes */

        write_one(passing);

        if (i % 3 == 0) {
            (void) sgtm_registry_remove(reg, SOURCE, &str);
        }

        if (sgtm_registry_reclaim(reg, 50, i % 64 == 0) && i % 64 == 0) {
            poison(reg);
        }

        if (i % 64 == 0) {
            sgtm_registry_unlock(reg);
        }
    }
}


static pid_t
start(void (*run)(void))
{
    pid_t  pid;

    fflush(stdout);
    seed = rnd();
    pid = fork();

    if (pid == -1) {
        printf("Bail out! fork() failed\n");
        exit(1);
    }

    if (pid == 0) {
        run();
        _exit(0);
    }

    return pid;
}


static void
end(pid_t pid)
{
    int  status;

    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        printf("# a process ended by itself: %d\n", status);
        tally->wrong++;
    }
}


/* all are killed, now and then, and started again */

static void
run(void)
{
    pid_t     writes[2], reads[READERS];
    double    until;
    unsigned  i;

    for (i = 0; i < READERS; i++) {
        reads[i] = start(reader);
    }

    writes[0] = start(writer);
    writes[1] = start(writer);

    until = now() + SECONDS;

    while (now() < until) {

        usleep(1000 + (useconds_t) (rnd() % 9000));

        i = (unsigned) (rnd() % 2);
        end(writes[i]);
        tally->killed++;
        writes[i] = start(writer);

        if (rnd() % 8 == 0) {
            i = (unsigned) (rnd() % READERS);
            end(reads[i]);
            reads[i] = start(reader);
        }
    }

    end(writes[0]);
    end(writes[1]);

    for (i = 0; i < READERS; i++) {
        end(reads[i]);
    }
}


static void
check(void)
{
    unsigned                 i;
    const char              *why;
    sgtm_registry_stat_t     stat;
    sgtm_registry_reader_t   me;

    unit_ok(sgtm_registry_lock(reg) == SGTM_OK, "the lock of a dead writer");

    while (sgtm_registry_repair(reg, 7)) { /* void */ }

    why = unsound(reg);
    unit_ok(why == NULL, "sound%s%s", why ? ", but for " : "",
            why ? why : "");

    printf("# %u puts, %u had to wait, %u writers killed, %u repairs, %u "
           "found\n", tally->puts, tally->waits, tally->killed,
           tally->repairs, tally->found);

    unit_ok(tally->killed > 20 && tally->repairs > 2 && tally->puts > 1000
            && tally->found > 10000, "all have worked");
    unit_ok(tally->mixed == 0, "no record was half of one, half of another");
    unit_ok(tally->wrong == 0, "none was another tenant's");
    unit_ok(tally->changed == 0, "none changed while it was kept");
    unit_ok(tally->missing == 0, "no host was missing at any moment");

    /* readers that died hold nothing; their slots are free */

    while (sgtm_registry_reclaim(reg, 100000, 1)) { /* void */ }

    sgtm_registry_stat(reg, &stat);
    unit_ok(stat.waiting == 0, "nothing waits for the dead");

    for (i = 0; sgtm_registry_attach(reg, &me) == SGTM_OK; i++) { /* void */ }

    unit_ok(i == 8, "all slots are free again");
}


int
main(void)
{
    void      *mem;
    unsigned   i;

    static const unsigned char  key[SGTM_SIPHASH_KEY] = { 5 };

    mem = mmap(NULL, SIZE + 4096, PROT_READ|PROT_WRITE,
               MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (mem == MAP_FAILED) {
        printf("Bail out! mmap() failed\n");
        return 1;
    }

    tally = mem;
    reg = sgtm_registry_create((unsigned char *) mem + 4096, SIZE, 8, key, 0);

    if (reg == NULL || sgtm_registry_lock(reg) != SGTM_OK) {
        printf("Bail out! no registry\n");
        return 1;
    }

    make_pool();

    for (i = 0; i < TENANTS; i++) {
        write_one(pool[i][0]);
    }

    sgtm_registry_unlock(reg);

    run();
    check();

    free_pool();

    return unit_done();
}
