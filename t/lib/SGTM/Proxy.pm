package SGTM::Proxy;

# A line between a client and a server that is bad in ways that a test chooses,
# in a process of its own.
#
#     my $proxy = SGTM::Proxy->start($port);       # of the server
#
#     $proxy->port
#     $proxy->mode('pass')
#     $proxy->mode('cut', 1000)      # closes behind so many bytes of the server
#     $proxy->mode('reset', 1000)    # the same by a reset
#     $proxy->mode('slow', 20000)    # so many bytes a second of the server's
#     $proxy->mode('hang')           # passes nothing on, either way
#     $proxy->mode('close')          # closes at once
#     $proxy->mode('say', $bytes)    # says this instead of the server
#     $proxy->mode('tell', $bytes)   # passes, and says this to subscribers
#
# A mode holds for connections that there are, too; bytes are counted from then
# on, for each.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use SGTM::Run;

my %running;


sub start {
    my ($class, $server) = @_;

    my $self = bless {
        server => $server, port => SGTM::Run::port(), n => 0,
        file => SGTM::Run::dir('proxy') . '/mode', mode => 'pass',
    }, $class;

    my $listen = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $self->{port}, Listen => 128,
        ReuseAddr => 1, Blocking => 0,
    ) or die "proxy on port $self->{port}: $@\n";

    $self->mode('pass');

    my $parent = $$;

    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        alarm 0;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM __DIE__);
        $SIG{PIPE} = 'IGNORE';

        eval { $self->_loop($listen, $parent) };
        print STDERR "proxy: $@" if $@;
        POSIX::_exit(1);
    }

    $self->{pid} = $pid;
    $running{$pid} = $self;

    return $self;
}


sub port { return $_[0]{port} }


# returns when the other process knows

sub mode {
    my ($self, $mode, $value) = @_;

    my $n = ++$self->{n};

    $value = '' if !defined $value;

    SGTM::Run::put("$self->{file}.new", "$n $mode\n$value");
    rename "$self->{file}.new", $self->{file} or die "$self->{file}: $!\n";

    return if !$self->{pid};

    SGTM::Run::wait_for { SGTM::Run::get("$self->{file}.seen") eq $n }
        or die "the proxy does not change its mode\n";
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    delete $running{$pid};

    local ($?, $!);

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


sub _loop {
    my ($self, $listen, $parent) = @_;

    my %pairs;              # by descriptor: one end of a connection
    my $seen = 0;

    while (getppid == $parent) {

        my ($n, $mode, $value) = SGTM::Run::get($self->{file})
                                 =~ /\A(\d+) (\w+)\n(.*)\z/s;

        if ($n != $seen) {
            @$self{qw(mode value)} = ($mode, $value);

            for (values %pairs) {
                $_->{count} = 0;
                $_->{since} = time();
                $self->_greet($_);
            }

            $seen = $n;
            SGTM::Run::put("$self->{file}.seen", $n);
        }

        my $sel = IO::Select->new($listen);
        my $writes = IO::Select->new;

        for (values %pairs) {
            $sel->add($_->{fh}) if $self->_may_read($_);
            $writes->add($_->{fh}) if length $_->{out};
        }

        my ($in, $out) = IO::Select->select($sel, $writes, undef, 0.01);

        $self->_write($_) for grep { $_ } map { $pairs{fileno $_} } @{ $out };

        for my $fh (@{ $in }) {
            if ($fh == $listen) {
                $self->_accept($listen, \%pairs);
                next;
            }

            my $end = $pairs{fileno $fh} or next;
            $self->_read($end);
        }

        my @gone = grep { $_->{gone} } values %pairs;

        for my $end (@gone) {
            for ($end, $end->{other}) {
                next if !$_->{fh};
                delete $pairs{fileno $_->{fh}};

                if ($end->{gone} eq 'reset') {
                    setsockopt($_->{fh}, SOL_SOCKET, SO_LINGER,
                               pack('ii', 1, 0));
                }

                close delete $_->{fh};
            }
        }
    }
}


sub _accept {
    my ($self, $listen, $pairs) = @_;

    my $client = $listen->accept or return;

    if ($self->{mode} eq 'close') {
        close $client;
        return;
    }

    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $self->{server},
                                       Timeout => 2);

    if (!$server) {
        close $client;
        return;
    }

    my @ends = map { +{ fh => $_, out => '', count => 0, since => time() } }
               $client, $server;

    for my $i (0, 1) {
        setsockopt($ends[$i]{fh}, IPPROTO_TCP, TCP_NODELAY, 1);
        $ends[$i]{fh}->blocking(0);
        $ends[$i]{other} = $ends[1 - $i];
        $ends[$i]{client} = !$i;
        $pairs->{fileno $ends[$i]{fh}} = $ends[$i];
    }

    $self->_greet($ends[0]);
}


sub _greet {
    my ($self, $end) = @_;

    return if !$end->{client};

    if ($self->{mode} eq 'say'
        || ($self->{mode} eq 'tell' && $end->{subscriber}))
    {
        $end->{out} .= $self->{value};
    }
}


sub _may_read {
    my ($self, $end) = @_;

    return 0 if $self->{mode} eq 'hang' || length $end->{other}{out} > 1 << 20;

    if ($self->{mode} eq 'slow' && !$end->{client}) {
        return $end->{count} <= (time() - $end->{since}) * $self->{value};
    }

    return 1;
}


sub _read {
    my ($self, $end) = @_;

    my $mode = $self->{mode};
    my $data;
    my $size = $mode eq 'slow' ? 1 + int($self->{value} / 50) : 65536;
    my $n = sysread $end->{fh}, $data, $size;

    if (!$n) {
        $end->{gone} = 'end' if defined $n || !$!{EAGAIN};
        return;
    }

    $end->{subscriber} = 1 if $end->{client} && $data =~ /SUBSCRIBE/;

    # what is said to a server that is not to answer is lost

    return if $mode eq 'say';

    if (!$end->{client}) {
        my $left = $mode eq 'cut' || $mode eq 'reset'
                   ? $self->{value} - $end->{count} : $n + 1;

        if ($n >= $left) {
            $data = substr $data, 0, $left;
            $end->{gone} = $mode eq 'cut' ? 'end' : 'reset';
        }

        $end->{count} += $n;
    }

    $end->{other}{out} .= $data;
    $self->_write($end->{other});
}


sub _write {
    my ($self, $end) = @_;

    return if !length $end->{out};

    my $n = syswrite $end->{fh}, $end->{out};

    if (!defined $n) {
        $end->{gone} = 'end' if !$!{EAGAIN};
        return;
    }

    substr $end->{out}, 0, $n, '';
}


sub stop_all { $_->stop for values %running }

END { stop_all() if SGTM::Run::is_owner() }


1;
