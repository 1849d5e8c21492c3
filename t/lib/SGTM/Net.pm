package SGTM::Net;

# Sockets for the clients of the tests: plain TCP, and TLS through
# "openssl s_client", since Perl's core has no TLS of its own.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY
              AF_UNIX SOCK_STREAM PF_UNSPEC);
use Time::HiRes qw(time sleep);


# SGTM::Net->connect(port => N, [host =>], [tls => 1, servername =>,
#                    alpn => 'h2'], [timeout => 10])

sub connect {
    my ($class, %opt) = @_;

    my $self = bless {
        host    => '127.0.0.1',
        timeout => 10,
        buf     => '',
        %opt,
    }, $class;

    if ($self->{tls}) {
        $self->_connect_tls;

    } else {
        $self->{fh} = IO::Socket::INET->new(
            PeerAddr  => $self->{host},
            PeerPort  => $self->{port},
            LocalAddr => $self->{local},
            Proto     => 'tcp',
            Timeout   => $self->{timeout},
        ) or die "connect to $self->{host}:$self->{port}: $@\n";

        setsockopt($self->{fh}, IPPROTO_TCP, TCP_NODELAY, 1);
    }

    binmode $self->{fh};

    return $self;
}


sub _connect_tls {
    my ($self) = @_;

    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "socketpair: $!\n";

    my $name = $self->{servername} || 'localhost';
    my @cmd = ('openssl', 's_client', '-quiet', '-connect',
               "$self->{host}:$self->{port}", '-servername', $name);

    push @cmd, '-alpn', $self->{alpn} if $self->{alpn};

    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        open(STDIN, '<&', $theirs);
        open(STDOUT, '>&', $theirs);
        open(STDERR, '>', '/dev/null');
        close $ours;
        close $theirs;
        { no warnings 'exec'; exec @cmd; }
        POSIX::_exit(127);
    }

    close $theirs;

    $self->{fh} = $ours;
    $self->{pid} = $pid;
}


# all bytes, or an exception

sub send {
    my ($self, $data) = @_;

    my $end = time() + $self->{timeout};
    my $sel = IO::Select->new($self->{fh});

    local $SIG{PIPE} = 'IGNORE';

    while (length $data) {
        my $left = $end - time();

        die "send: timed out\n" if $left <= 0 || !$sel->can_write($left);

        my $n = syswrite($self->{fh}, $data, 65536);
        die "send: $!\n" if !defined $n;

        substr($data, 0, $n, '');
    }

    return $self;
}


# more bytes into the buffer: their number, 0 at the end of the stream (or a
# reset), undef after the timeout

sub fill {
    my ($self, $timeout) = @_;

    $timeout = $self->{timeout} if !defined $timeout;

    return 0 if $self->{eof};
    return undef if !IO::Select->new($self->{fh})->can_read($timeout);

    my $n = sysread($self->{fh}, $self->{buf}, 65536, length $self->{buf});

    if (!$n) {
        $self->{eof} = 1;
        $self->{reset} = 1 if !defined $n;
        return 0;
    }

    return $n;
}


# whether the other side closes within the timeout; what it sends meanwhile
# stays in the buffer

sub eof {
    my ($self, $timeout) = @_;

    my $end = time() + (defined $timeout ? $timeout : $self->{timeout});

    while (!$self->{eof}) {
        my $left = $end - time();
        return 0 if $left <= 0;
        $self->fill($left);
    }

    return 1;
}


sub close {
    my ($self) = @_;

    my $fh = delete $self->{fh};
    CORE::close($fh) if $fh;
    $self->{eof} = 1;

    $self->_reap('TERM');
}


# the connection ends with a TCP reset (with TLS: without a close_notify)

sub abort {
    my ($self) = @_;

    if ($self->{fh} && !$self->{pid}) {
        setsockopt($self->{fh}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    }

    $self->_reap('KILL');
    $self->close;
}


sub shutdown_write {
    my ($self) = @_;

    shutdown($self->{fh}, 1);
}


sub _reap {
    my ($self, $signal) = @_;

    my $pid = delete $self->{pid} or return;

    local ($?, $!);

    kill $signal, $pid;
    waitpid $pid, 0;
}


sub DESTROY {
    my ($self) = @_;

    $self->_reap('KILL');
}


1;
