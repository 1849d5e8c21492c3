package SGTM::Proof::Outage;

# A tagging server that fails in every way, under load, over HTTP/1.1 and
# HTTP/2, with browsers that leave.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(sleep time);

use SGTM::Nginx;
use SGTM::Proof::Crash;
use SGTM::Run;
use SGTM::Soak::Loss;
use SGTM::Soak::Tag;

my %title = (down => 'down', slow => 'takes 10 s', 503 => '503',
             reset => 'resets', cut => 'cut in the header');
my %mode = ('/metrics/' => 'direct', '/queued/' => 'queued');


# down(prefix => '/queued/', seconds => 60, rate => 2000, leave => 10)

sub down {
    my (%opt) = @_;

    my $before = $opt{seconds} < 10 ? 1 : 3;
    my $seconds = $opt{seconds} + 2 * $before;
    my $loss = SGTM::Soak::Loss->new(hits => $opt{rate} * $seconds,
                                     sync => $opt{sync} || 'always');
    my $start = time;

    my @senders = SGTM::Proof::Crash::both(
        $loss, $opt{rate}, $seconds, prefix => $opt{prefix},
        leave => $opt{leave});

    sleep $before;
    $loss->tag->mode('down');
    sleep $start + $before + $opt{seconds} - time;

    my @bad = _waits($loss, \%opt);

    $loss->tag->mode('up');

    my $up = time;

    $loss->wait_senders($opt{seconds} + 60);
    $loss->drain(3 * $opt{seconds} + 60, 40);

    my $drained = time - $up;
    my $note = sprintf 'drained %.1f s after it', $drained;

    if ($opt{prefix} eq '/queued/') {
        $note .= ', out of order ' . $loss->disorder($_) for @senders;
    }

    my $row = SGTM::Proof::Crash::finish(
        $loss, what => "down for $opt{seconds} s, $opt{rate}/s, "
                       . $mode{$opt{prefix}}, note => $note);

    push @{ $row->{bad} }, @bad;

    return $row;
}


# A failure that nobody noticed proves nothing: at least a quarter of the hits
# of its time is in the spool, while some may be waiting for an answer.

sub _waits {
    my ($loss, $opt) = @_;

    my $waiting = $loss->t->status('/status')->{spool}{waiting};

    return $waiting < $opt->{rate} * $opt->{seconds} / 4
           ? "$waiting hits wait, so little has failed" : ();
}


# failures(seconds => 5, rate => 200, modes => [...])
#
# One after another; a row for each and each way of delivery.

sub failures {
    my (%opt) = @_;

    my @modes = @{ $opt{modes} || [qw(down slow 503 reset cut)] };
    my $loss = SGTM::Soak::Loss->new(
        hits => @modes * 2 * ($opt{seconds} + 2) * $opt{rate});
    my @rows;

    for my $mode (@modes) {
        push @rows, _failure($loss, $title{$mode}, \%opt,
                             sub { $loss->tag->mode($mode) },
                             sub { $loss->tag->mode('up') });
    }

    push @{ $rows[-1]{bad} }, $loss->finish;

    return @rows;
}


sub _failure {
    my ($loss, $title, $opt, $break, $mend) = @_;

    my $start = time;
    my %senders;

    for my $prefix ('/metrics/', '/queued/') {
        $senders{$prefix} = [ SGTM::Proof::Crash::both(
            $loss, $opt->{rate}, $opt->{seconds} + 2, prefix => $prefix,
            leave => 20) ];
    }

    sleep 1;
    $break->();
    sleep $opt->{seconds};

    my @bad = _waits($loss, $opt);

    $mend->();

    my $up = time;

    $loss->wait_senders(60);
    $loss->drain(90, 40);

    my $note = sprintf 'drained %.1f s after it', time - $up;

    my @rows = map {
        $loss->row(what => "$title for $opt->{seconds} s, $mode{$_}",
                   senders => $senders{$_}, start => $start, note => $note);
    } sort keys %senders;

    push @{ $rows[0]{bad} }, @bad;

    return @rows;
}


# A certificate that does not fit: nginx ends the TLS before the tagging server
# and is told to show another one.

sub tls {
    my (%opt) = @_;

    my $name = 'sgtm.example.com';
    my $tag = SGTM::Soak::Tag->start(
        ids => 2 * ($opt{seconds} + 2) * $opt{rate});
    my $front = SGTM::Nginx->start(_front($tag, 'cert.pem', 'key.pem'),
                                   module => 0, names => $name);
    my $wrong = SGTM::Nginx->_new('', names => 'wrong.example')->certificate;

    my $loss = SGTM::Soak::Loss->new(
        hits => 2 * ($opt{seconds} + 2) * $opt{rate}, tag => $tag,
        upstream => $front->port, pass => 'https://tagging/',
        courier_pass => 'https://tagging',
        trust => $front->certificate->{cert});

    my @rows = _failure($loss, 'TLS fails', \%opt,
        sub { $front->reload(_front($tag, @$wrong{qw(cert key)})) },
        sub { $front->reload(_front($tag, 'cert.pem', 'key.pem')) });

    push @{ $rows[-1]{bad} }, $loss->finish;
    $front->stop;

    return @rows;
}


sub _front {
    my ($tag, $cert, $key) = @_;

    my $port = $tag->port;

    return <<"EOF";
access_log  off;

upstream tagging { server 127.0.0.1:$port; keepalive 64; }

server {
    listen  127.0.0.1:%%PORT%% ssl;

    ssl_certificate      $cert;
    ssl_certificate_key  $key;

    # %%CERT%%

    location / {
        proxy_pass          http://tagging;
        proxy_http_version  1.1;
        proxy_set_header    Connection "";
    }
}
EOF
}


# A name that is looked up while nginx runs, and a resolver that is gone.

sub dns {
    my (%opt) = @_;

    my $hits = 2 * ($opt{seconds} + 2) * $opt{rate};
    my $port = SGTM::Run::port();
    my $tag = SGTM::Soak::Tag->start(ids => $hits);
    my $host = 'sgtm.example.com:' . $tag->port;
    my $dns = _resolver($port);

    my $loss = SGTM::Soak::Loss->new(
        hits => $hits, tag => $tag, endpoint => $host,
        http => "resolver 127.0.0.1:$port valid=1s ipv6=off;\n"
                . "resolver_timeout 1s;\n"
                . "map \"\" \$tagging_server { default $host; }",
        pass => 'http://$sgtm_upstream$sgtm_uri',
        courier_pass => 'http://$tagging_server');

    my @rows = _failure($loss, 'DNS gone', \%opt,
                        sub { _stop($dns) },
                        sub { $dns = _resolver($port) });

    push @{ $rows[-1]{bad} }, $loss->finish;
    _stop($dns);

    return @rows;
}


# a resolver that knows one answer: 127.0.0.1, for a second

sub _resolver {
    my ($port) = @_;

    my $socket = IO::Socket::INET->new(
        Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => $port,
        ReuseAddr => 1) or die "resolver: $@\n";

    my $parent = $$;

    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid) {
        close $socket;
        return $pid;
    }

    $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM);

    while (getppid == $parent) {
        vec(my $read = '', fileno $socket, 1) = 1;
        next if !select $read, undef, undef, 1;

        my $from = recv $socket, my $query, 512, 0;
        next if !defined $from || length $query < 17;

        my ($name) = substr($query, 12) =~ /\A((?:[^\0].*?)\0)/s or next;

        send $socket, substr($query, 0, 2)
                      . pack('nnnnn', 0x8180, 1, 1, 0, 0)
                      . $name . pack('nn', 1, 1)
                      . pack('nnnNnC4', 0xc00c, 1, 1, 1, 4, 127, 0, 0, 1),
             0, $from;
    }

    POSIX::_exit(0);
}


sub _stop {
    my ($pid) = @_;

    local ($?, $!);

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


1;
