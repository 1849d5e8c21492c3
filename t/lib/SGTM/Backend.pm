package SGTM::Backend;

# A recording tagging server: one forked process, HTTP/1.1 with keep-alive,
# which keeps every request byte for byte and answers as it is told.
#
#     my $tag = SGTM::Backend->start;                  # always 204
#     my $tag = SGTM::Backend->start(503);             # always 503
#     my $tag = SGTM::Backend->start(sub {
#         my ($req) = @_;                              # a recorded request
#         return [200, ['Set-Cookie' => 'FPID=1'], 'body'];
#     });
#
# The code runs in the server's process, once a request, and must not block.
# It may return
#
#     204                                     a status alone
#     [status, [name => value, ...], body]    Content-Length is added
#     { status, headers, body,                the same, and
#       delay => 1.5,                         seconds before the first byte
#       close => 1 }                          close after the answer
#     { chunks => [...], ... }                a chunked body: strings are sent
#                                             as they are due, \0.5 is a pause
#     { raw => [...] }                        bytes (a status line too) and
#                                             pauses; then keep-alive, unless
#                                             close => 1
#     { hang => 1 }                           no answer, the connection stays
#     { drop => 1 }                           closed without an answer
#     { drop => 'rst' }                       reset without an answer
#
# A body or header cut in the middle: { raw => [$part], close => 1 }.
#
# Requests: $tag->requests is the list of all since the last clear,
# $tag->wait_requests($n, $seconds) waits until there are $n.  Each is
#
#     { n, conn, time, method, uri, version, raw (header as received),
#       headers => [[name, value], ...], h => { lower-cased name => value },
#       body, complete, mode }
#
# complete is 0 for what ended before its header or body was whole.  A test
# steers the code while it runs by $tag->mode('text'), read as $req->{mode}.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY SOMAXCONN);
use Storable qw(freeze thaw);
use Time::HiRes qw(time sleep);

use SGTM::Run;

my %reason = (200 => 'OK', 204 => 'No Content', 302 => 'Found',
              304 => 'Not Modified', 400 => 'Bad Request', 404 => 'Not Found',
              500 => 'Internal Server Error', 502 => 'Bad Gateway',
              503 => 'Service Unavailable', 504 => 'Gateway Timeout');

my %running;


# start($answer, [port => N], [accept => 'close' | 'rst' | 'ignore'])

sub start {
    my ($class, $answer, %opt) = @_;

    $answer = 204 if !defined $answer;

    my $self = bless {
        answer => ref $answer eq 'CODE' ? $answer : sub { $answer },
        accept => $opt{accept} || '',
        port   => $opt{port} || SGTM::Run::port(),
        dir    => SGTM::Run::dir('tag'),
        seen   => [], offset => 0, base => 0,
    }, $class;

    $self->_run;

    return $self;
}


sub port { return $_[0]{port} }


# what stopped can start again, on the same port with the same records

sub _run {
    my ($self) = @_;

    my $listen = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1',
        LocalPort => $self->{port},
        Listen    => SOMAXCONN,
        ReuseAddr => 1,
        Blocking  => 0,
    ) or die "tagging server on port $self->{port}: $@\n";

    my $parent = $$;

    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        alarm 0;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM __DIE__);
        $SIG{PIPE} = 'IGNORE';

        eval { $self->_loop($listen, $parent) };
        print STDERR "tagging server: $@" if $@;
        POSIX::_exit(1);
    }

    $self->{pid} = $pid;
    $running{$pid} = $self;
}


sub restart {
    my ($self) = @_;

    $self->stop;
    $self->_run;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    delete $running{$pid};

    local ($?, $!);

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


# at the end of a test

sub stop_all {
    $_->stop for values %running;
}


sub mode {
    my ($self, $mode) = @_;

    open(my $fh, '>', "$self->{dir}/mode.new") or die "mode: $!\n";
    print $fh $mode;
    close $fh;
    rename "$self->{dir}/mode.new", "$self->{dir}/mode" or die "mode: $!\n";
}


# connections accepted so far

sub connections {
    my ($self) = @_;

    return -s "$self->{dir}/connections" || 0;
}


sub _load {
    my ($self) = @_;

    open(my $fh, '<', "$self->{dir}/spool") or return;
    binmode $fh;
    seek $fh, $self->{offset}, 0;

    local $/;
    my $data = <$fh>;
    my $pos = 0;

    while ($pos + 4 <= length $data) {
        my $len = unpack 'N', substr $data, $pos, 4;
        last if $pos + 4 + $len > length $data;
        push @{ $self->{seen} }, thaw(substr $data, $pos + 4, $len);
        $pos += 4 + $len;
    }

    $self->{offset} += $pos;
}


sub requests {
    my ($self) = @_;

    $self->_load;

    my @seen = @{ $self->{seen} };

    return @seen[$self->{base} .. $#seen];
}


sub clear {
    my ($self) = @_;

    $self->_load;
    $self->{base} = @{ $self->{seen} };
}


sub count {
    my ($self) = @_;

    my @requests = $self->requests;

    return scalar @requests;
}


# the requests once there are $n of them, or what there is after the time

sub wait_requests {
    my ($self, $n, $timeout) = @_;

    my $end = time() + (defined $timeout ? $timeout : 5);

    while ($self->count < $n && time() < $end) {
        sleep 0.01;
    }

    return $self->requests;
}


# From here on: the server's process.  A connection is { fh, id, in, out,
# plan }, where plan is what is left to do of an answer; one with a pause or
# an answer that never comes is not watched, so that thousands cost nothing.

sub _loop {
    my ($self, $listen, $parent) = @_;

    open($self->{spool}, '>>', "$self->{dir}/spool") or die "spool: $!\n";
    open($self->{accepted}, '>>', "$self->{dir}/connections")
        or die "spool: $!\n";

    $self->{listen} = $listen;
    $self->{read} = '';
    $self->{write} = '';
    $self->{conn} = {};
    $self->{timers} = [];

    my $timers = $self->{timers};

    vec($self->{read}, fileno $listen, 1) = 1;

    for ( ;; ) {
        my $wait = @$timers ? $timers->[0][0] - time() : 1;
        $wait = $wait < 0 ? 0 : $wait > 1 ? 1 : $wait;

        my $n = select my $r = $self->{read}, my $w = $self->{write}, undef,
                       $wait;

        POSIX::_exit(0) if getppid() != $parent;

        while (@$timers && $timers->[0][0] <= time()) {
            my $conn = (shift @$timers)->[1];
            $self->_go($conn) if $conn->{fh};
        }

        next if $n <= 0;

        for my $fd (_set($w)) {
            my $conn = $self->{conn}{$fd};
            $self->_go($conn) if $conn;
        }

        for my $fd (_set($r)) {
            if ($fd == fileno $listen) {
                $self->_accept;
                next;
            }

            my $conn = $self->{conn}{$fd};
            $self->_readable($conn) if $conn;
        }
    }
}


# the numbers of the bits that are set

sub _set {
    my $bits = unpack 'b*', $_[0];
    my ($fd, @set) = (-1);

    push @set, $fd while ($fd = index $bits, '1', $fd + 1) >= 0;

    return @set;
}


# watch($conn, read => 1), watch($conn, write => 0)

sub _watch {
    my ($self, $conn, $what, $on) = @_;

    vec($self->{$what}, fileno $conn->{fh}, 1) = $on;
}


sub _accept {
    my ($self) = @_;

    for (1 .. 256) {
        my $fh = $self->{listen}->accept or return;

        $fh->blocking(0);
        setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
        syswrite $self->{accepted}, '.';

        my $conn = { fh => $fh, id => ++$self->{ids}, in => '', out => '',
                     plan => [] };

        $self->{conn}{fileno $fh} = $conn;

        if ($self->{accept} eq 'close' || $self->{accept} eq 'rst') {
            $self->_close($conn, $self->{accept} eq 'rst');
            next;
        }

        $self->_watch($conn, read => 1) if $self->{accept} ne 'ignore';
    }
}


sub _close {
    my ($self, $conn, $reset) = @_;

    return if !$conn->{fh};

    $self->_watch($conn, $_ => 0) for qw(read write);

    my $fh = delete $conn->{fh};
    delete $self->{conn}{fileno $fh};

    if ($reset) {
        setsockopt($fh, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    }

    close $fh;
}


sub _readable {
    my ($self, $conn) = @_;

    my $n = sysread $conn->{fh}, $conn->{in}, 65536, length $conn->{in};

    return if !defined $n && $!{EAGAIN};

    if (!$n) {
        $self->_record($conn, _parse_partial($conn->{in}), 0)
            if length $conn->{in};
        $self->_close($conn);
        return;
    }

    $self->_next($conn);
}


# the next whole request of the buffer, if any

sub _next {
    my ($self, $conn) = @_;

    my $req = _parse(\$conn->{in}) or return;

    $self->_record($conn, $req, 1);

    my $answer = $self->{answer}->($req);

    $conn->{plan} = _plan($req, ref $answer ? $answer : [$answer, [], '']);

    # nothing is read until the answer is out
    $self->_watch($conn, read => 0);
    $self->_go($conn);
}


sub _parse {
    my ($in) = @_;

    my $end = index $$in, "\r\n\r\n";
    return if $end < 0;

    my $req = _parse_head(substr $$in, 0, $end + 4);
    my $pos = $end + 4;

    if (lc($req->{h}{'transfer-encoding'} || '') eq 'chunked') {
        for ( ;; ) {
            return if substr($$in, $pos) !~ /\A([0-9a-fA-F]+)[^\n]*\n/;
            my $len = hex $1;
            $pos += $+[0];
            return if length $$in < $pos + $len + 2;
            $req->{body} .= substr $$in, $pos, $len;
            $pos += $len + 2;
            last if $len == 0;
        }

    } elsif (my $len = $req->{h}{'content-length'}) {
        return if length $$in < $pos + $len;
        $req->{body} = substr $$in, $pos, $len;
        $pos += $len;
    }

    substr $$in, 0, $pos, '';

    return $req;
}


sub _parse_head {
    my ($raw) = @_;

    my ($line, @lines) = split /\r\n/, $raw;
    my ($method, $uri, $version) = split / /, $line, 3;

    my $req = { method => $method, uri => $uri, version => $version,
                raw => $raw, headers => [], h => {}, body => '' };

    for (@lines) {
        my ($name, $value) = split /: ?/, $_, 2;
        $value = '' if !defined $value;
        push @{ $req->{headers} }, [$name, $value];

        my $l = lc $name;
        $req->{h}{$l} = exists $req->{h}{$l} ? "$req->{h}{$l}, $value" : $value;
    }

    return $req;
}


sub _parse_partial {
    my ($in) = @_;

    my $end = index $in, "\r\n\r\n";

    return { method => '', uri => '', version => '', raw => $in,
             headers => [], h => {}, body => '' } if $end < 0;

    my $req = _parse_head(substr $in, 0, $end + 4);
    $req->{body} = substr $in, $end + 4;

    return $req;
}


sub _record {
    my ($self, $conn, $req, $complete) = @_;

    $req->{n} = ++$self->{n};
    $req->{conn} = $conn->{id};
    $req->{time} = time();
    $req->{complete} = $complete;
    $req->{mode} = '';

    if (open(my $fh, '<', "$self->{dir}/mode")) {
        local $/;
        $req->{mode} = <$fh>;
    }

    my $data = freeze($req);

    syswrite $self->{spool}, pack('N', length $data) . $data;
}


# an answer as a list of steps: bytes, \seconds, [close => reset]

sub _plan {
    my ($req, $answer) = @_;

    if (ref $answer eq 'ARRAY') {
        $answer = { status => $answer->[0], headers => $answer->[1],
                    body => $answer->[2] };
    }

    return [[hang => 0]] if $answer->{hang};
    return [\($answer->{delay} || 0), [close => $answer->{drop} eq 'rst']]
        if $answer->{drop};

    my @plan;
    my $close = $answer->{close} || ($req->{h}{connection} || '') eq 'close'
                || $req->{version} ne 'HTTP/1.1';

    push @plan, \$answer->{delay} if $answer->{delay};

    if ($answer->{raw}) {
        push @plan, ref $answer->{raw} ? @{ $answer->{raw} } : $answer->{raw};
        push @plan, [close => 0] if $close;
        return \@plan;
    }

    push @plan, _head($req, $answer, $close);

    if ($req->{method} eq 'HEAD') {
        # the header alone

    } elsif ($answer->{chunks}) {
        push @plan, map { ref $_ ? $_ : sprintf "%x\r\n%s\r\n", length $_, $_ }
                        @{ $answer->{chunks} };
        push @plan, "0\r\n\r\n";

    } elsif (defined $answer->{body}) {
        push @plan, $answer->{body};
    }

    push @plan, [close => 0] if $close;

    return \@plan;
}


sub _head {
    my ($req, $answer, $close) = @_;

    my $status = $answer->{status} || 200;
    my @headers = @{ $answer->{headers} || [] };
    my $head = "HTTP/1.1 $status " . ($reason{$status} || 'Status') . "\r\n";
    my %have;

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
        $have{lc $name} = 1;
    }

    if ($answer->{chunks}) {
        $head .= "Transfer-Encoding: chunked\r\n";

    } elsif (!$have{'content-length'} && $status !~ /^(?:1..|204|304)$/) {
        my $body = defined $answer->{body} ? $answer->{body} : '';
        $head .= 'Content-Length: ' . length($body) . "\r\n";
    }

    $head .= "Connection: close\r\n" if $close && !$have{connection};

    return "$head\r\n";
}


# as far as the plan goes without waiting

sub _go {
    my ($self, $conn) = @_;

    for ( ;; ) {
        if (length $conn->{out}) {
            my $n = syswrite $conn->{fh}, $conn->{out}, 65536;

            if (!defined $n) {
                if ($!{EAGAIN}) {
                    $self->_watch($conn, write => 1);
                    return;
                }

                $self->_close($conn);
                return;
            }

            substr $conn->{out}, 0, $n, '';
            next;
        }

        $self->_watch($conn, write => 0);

        my $step = shift @{ $conn->{plan} };
        last if !defined $step;

        if (!ref $step) {
            $conn->{out} = $step;

        } elsif (ref $step eq 'ARRAY') {
            $self->_close($conn, $step->[1]) if $step->[0] eq 'close';
            return;

        } else {
            $self->_timer($conn, time() + $$step);
            return;
        }
    }

    $self->_watch($conn, read => 1);
    $self->_next($conn);
}


# sorted by time; most come in order, so the search begins at the end

sub _timer {
    my ($self, $conn, $at) = @_;

    my $timers = $self->{timers};
    my $i = @$timers;

    $i-- while $i > 0 && $timers->[$i - 1][0] > $at;
    splice @$timers, $i, 0, [$at, $conn];
}


1;
