package SGTM::Clock;

# The time that an nginx sees, shifted as a test wants it: a library that is
# preloaded, as libfaketime is.  Sanitizers are preloaded themselves.
#
#     my $clock = SGTM::Clock->new;
#     my $t = SGTM::Test->start($http, env => $clock->env);
#     $clock->shift(3600);             # an hour ahead, from now on
#     $clock->at(1793491199);          # it is that second now

use strict;
use warnings;

use SGTM::Run;


sub new {
    my ($class) = @_;

    my $dir = SGTM::Run::dir('clock');
    my $self = bless { dir => $dir }, $class;

    SGTM::Run::put("$dir/clock.c", _source());

    my ($status, $out) = SGTM::Run::capture('cc', '-shared', '-fPIC', '-o',
                                            "$dir/clock.so", "$dir/clock.c");
    die "cc: $out" if $status;

    $self->shift(0);

    return $self;
}


sub env {
    my ($self) = @_;

    return { LD_PRELOAD => "$self->{dir}/clock.so",
             SGTM_CLOCK => "$self->{dir}/shift" };
}


# written at once, as it is read at any time

sub shift {
    my ($self, $seconds) = @_;

    SGTM::Run::put("$self->{dir}/shift.new", int $seconds);
    rename "$self->{dir}/shift.new", "$self->{dir}/shift"
        or die "rename: $!\n";
}


sub at {
    my ($self, $time) = @_;

    $self->shift($time - time);
}


sub _source {
    return <<'EOC';
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static char  file[4096];

/* nginx overwrites its environment */

__attribute__((constructor)) static void
init(void)
{
    snprintf(file, sizeof(file), "%s", getenv("SGTM_CLOCK"));
}

static long
shift(void)
{
    int      fd;
    char     text[32];
    ssize_t  n;

    fd = open(file, O_RDONLY|O_CLOEXEC);
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';

    return atol(text);
}

int
gettimeofday(struct timeval *tv, void *tz)
{
    int  rc;

    rc = (int) syscall(SYS_gettimeofday, tv, tz);
    tv->tv_sec += shift();

    return rc;
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    rc = (int) syscall(SYS_clock_gettime, id, ts);

    if (id == CLOCK_REALTIME) {
        ts->tv_sec += shift();
    }

    return rc;
}
EOC
}


1;
