package SGTM::Process;

# The processes of one nginx, as a base of SGTM::Nginx: which they are, and what
# happens to them when they are killed or replaced.

use strict;
use warnings;

use Carp ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use SGTM::Run;


# The master's process id; the ids of the workers that take connections, once
# all of them do.  Those of before a reload are not among them, also while they
# have not noticed yet.

sub pid { return $_[0]{pid} }

sub workers {
    my ($self) = @_;

    my @pids = grep { !$self->{retired}{$_}
                      && _title($_) eq 'nginx: worker process' }
                    $self->_children;

    return @pids < $self->{workers} ? () : @pids;
}


# workers of before a reload that have not ended yet

sub old_workers {
    my ($self) = @_;

    return grep { $self->{retired}{$_} } $self->_children;
}


sub _children {
    my ($self) = @_;

    my $pid = $self->{pid} or return;
    my @children;

    for my $file (glob '/proc/[0-9]*/stat') {
        my $stat = SGTM::Run::get($file);
        push @children, $1 if $stat =~ /\A(\d+) \(.*\) \S (\d+)/s && $2 == $pid;
    }

    return @children;
}


sub _title {
    my ($pid) = @_;

    my ($title) = split /\0/, SGTM::Run::get("/proc/$pid/cmdline");

    return '' if !defined $title;

    $title =~ s/\s+\z//;

    return $title;
}


# A process that has ended and waits for its parent is not alive, but for
# threads of it that have not ended yet: they hold its sockets.

sub alive {
    my ($pid) = @_;

    my @threads = glob "/proc/$pid/task/*";

    return @threads > 1
           || SGTM::Run::get("/proc/$pid/stat") =~ /\A\d+ \(.*\) [^ZX] /s;
}


# a daemon is no child of ours, and leads a group of its own

sub _adopt {
    my ($self) = @_;

    waitpid $self->{pid}, 0;

    my $pid = SGTM::Run::wait_for {
        (SGTM::Run::get("$self->{dir}/nginx.pid") =~ /(\d+)/)[0]
    } 10;

    Carp::croak("nginx did not start:\n" . $self->_tail) if !$pid;

    $self->{pid} = $self->{group} = $pid;
    $self->{adopted} = 1;
}


# kill -9 for a worker, any of them or this one: the master starts another

sub kill_worker {
    my ($self, $pid) = @_;

    my @pids = $self->workers;

    $pid = $pids[rand @pids] if !$pid;
    return if !$pid;

    $self->{killed}++;
    # one that held the zone's lock: nginx takes it from the dead

    $self->expect_log(qr/worker process $pid exited on signal 9/,
                      qr/shared memory zone "\w+" was locked by $pid$/);

    kill 'KILL', $pid;
}


# SIGKILL for the master, and after some seconds, in which its workers go on,
# for these as well.  Returns when all have ended.

sub crash {
    my ($self, $later) = @_;

    my $pid = $self->{pid} or return;

    if ($later) {
        kill 'KILL', $pid;
        sleep($later);
    }

    kill 'KILL', -$self->{group};
    waitpid $pid, 0 if !$self->{adopted};

    SGTM::Run::wait_for { !$self->_group } 10
        or die "processes of nginx stay\n";

    delete $self->{pid};
}


# all that live of its group, whoever their parent is now

sub _group {
    my ($self) = @_;

    my @pids;

    for my $file (glob '/proc/[0-9]*/stat') {
        my $stat = SGTM::Run::get($file);
        push @pids, $1 if $stat =~ /\A(\d+) \(.*\) \S \d+ (\d+) /s
                          && $2 == $self->{group};
    }

    return grep { alive($_) } @pids;
}


# after a crash, on the same ports

sub start_again {
    my ($self) = @_;

    $self->_spawn;
}


# The binary upgrade of a daemon (option daemon; nginx refuses it for another):
# USR2, then WINCH and QUIT for the old master.  Returns the seconds until that
# was gone.

sub upgrade {
    my ($self) = @_;

    my ($old, $start) = ($self->{pid}, time);
    my @old = $self->_children;
    my $file = "$self->{dir}/nginx.pid";

    kill 'USR2', $old;

    $self->_until('nginx was not upgraded', 10, sub {
        -e "$file.oldbin" && SGTM::Run::get($file) =~ /(\d+)/
            and $self->{pid} = $1;
    });

    $self->{generations}++;

    $self->_until('no new workers', 15, sub { $self->workers });

    kill 'WINCH', $old;
    $self->_until('old workers stay', 60, sub {
        !grep { alive($_) && $_ != $self->{pid} } @old;
    });

    kill 'QUIT', $old;
    $self->_until('the old master stays', 10, sub { !alive($old) });

    return time - $start;
}


sub _until {
    my ($self, $complaint, $seconds, $code) = @_;

    SGTM::Run::wait_for { $code->() } $seconds
        or Carp::croak("$complaint:\n" . $self->_tail);
}


1;
