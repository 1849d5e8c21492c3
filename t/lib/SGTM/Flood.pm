package SGTM::Flood;

# Hits at a rate, or as many as there can be, to some nginx at once, and what
# became of them.
#
#     my $flood = SGTM::Flood->new(
#         map { { port => $_->port, uri => '/metrics/g/collect?v=2...',
#                 host => 'shop.example' } } @nginx);
#
#     my $sum = $flood->run(2, 300, 10, 0);    # for 2 seconds; hits a second of
#                                              # each; undef: as many as can be
#     $sum->{204}, $sum->{429}                 # answers by status; "lost": the
#                                              # connection was closed instead
#     $sum->{took}                             # seconds, by a clock that does
#                                              # not jump
#     $sum->{each}[0]{204}                     # of the first
#
# A target may have headers => [...] and connections => 4.  What is on its way
# at the end of a run is counted by the next one; $flood->finish waits for it.

use strict;
use warnings;

use IO::Select;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

use SGTM::HTTP;

# on their way on a connection, at most
my $depth = 16;


sub new {
    my ($class, @targets) = @_;

    my $self = bless { targets => [], ends => {} }, $class;

    for my $target (@targets) {
        my %t = (%$target, due => 0, ends => []);

        $t{bytes} = SGTM::HTTP->format('GET', $t{uri},
            [Host => $t{host} || 'shop.example', @{ $t{headers} || [] }]);

        for (1 .. $t{connections} || 2) {
            push @{ $t{ends} }, { target => \%t };
            $self->_connect($t{ends}[-1]);
        }

        push @{ $self->{targets} }, \%t;
    }

    return $self;
}


sub _connect {
    my ($self, $end) = @_;

    my $client = SGTM::HTTP->connect(port => $end->{target}{port});

    @$end{qw(fh buf flying)} = ($client->{fh}, '', 0);

    $end->{fh}->blocking(0);
    $self->{ends}{fileno $end->{fh}} = $end;
}


sub now { return clock_gettime(CLOCK_MONOTONIC) }


sub run {
    my ($self, $seconds, @rates) = @_;

    my $start = now();
    my $last = $start;

    $_->{count} = {} for @{ $self->{targets} };

    while ((my $now = now()) < $start + $seconds) {

        for my $i (0 .. $#{ $self->{targets} }) {
            $self->_feed($self->{targets}[$i], $rates[$i], $now - $last);
        }

        $last = $now;
        $self->_read(0.005);
    }

    return $self->_sum(now() - $start);
}


sub finish {
    my ($self) = @_;

    my $start = now();

    $_->{count} = {} for @{ $self->{targets} };

    while (grep { $_->{flying} } values %{ $self->{ends} }) {
        die "hits were not answered\n" if now() > $start + 10;
        $self->_read(0.05);
    }

    return $self->_sum(now() - $start);
}


sub close {
    my ($self) = @_;

    CORE::close($_->{fh}) for values %{ $self->{ends} };
    $self->{ends} = {};
}


sub DESTROY { $_[0]->close }


sub _sum {
    my ($self, $took) = @_;

    my %sum = (204 => 0, 429 => 0, took => $took);

    for my $t (@{ $self->{targets} }) {
        my %count = (204 => 0, 429 => 0, %{ $t->{count} });

        push @{ $sum{each} }, \%count;
        $sum{$_} += $count{$_} for keys %count;
    }

    return \%sum;
}


# what was missed is made up for, but not more than 50 ms of it

sub _feed {
    my ($self, $t, $rate, $elapsed) = @_;

    my @free = map { [$_, $depth - $_->{flying}] } @{ $t->{ends} };
    my $n;

    if (defined $rate) {
        $t->{due} += $rate * ($elapsed > 0.05 ? 0.05 : $elapsed);
        $n = int $t->{due};
    }

    for (@free) {
        my ($end, $room) = @$_;

        my $k = !defined $n || $n > $room ? $room : $n;

        next if $k <= 0;

        my $sent = syswrite $end->{fh}, $t->{bytes} x $k;

        next if !defined $sent;
        $sent == $k * length $t->{bytes} or die "half of a hit was sent\n";

        $end->{flying} += $k;

        if (defined $n) {
            $n -= $k;
            $t->{due} -= $k;
        }
    }

    # the next one's turn: a single connection may have room for all

    push @{ $t->{ends} }, shift @{ $t->{ends} };

    # those that have no room are not sent

    $t->{due} = 0 if defined $n && $n > 0;
}


sub _read {
    my ($self, $wait) = @_;

    my $sel = IO::Select->new(map { $_->{fh} } values %{ $self->{ends} });

    for my $fh ($sel->can_read($wait)) {
        my $end = $self->{ends}{fileno $fh};
        my $n = sysread $fh, $end->{buf}, 65536, length $end->{buf};

        if (!$n) {
            next if !defined $n && $!{EAGAIN};

            # a worker has ended

            $end->{target}{count}{lost} += $end->{flying} if $end->{flying};
            delete $self->{ends}{fileno $fh};
            CORE::close($fh);
            $self->_connect($end);
            next;
        }

        while ((my $at = index $end->{buf}, "\r\n\r\n") >= 0) {
            my $head = substr $end->{buf}, 0, $at + 4;
            my ($status) = $head =~ m{\AHTTP/1\.1 (\d+)} or die "no answer\n";
            my $length = $head =~ /^Content-Length: (\d+)/mi ? $1 : 0;

            last if length $end->{buf} < $at + 4 + $length;

            substr $end->{buf}, 0, $at + 4 + $length, '';
            $end->{flying}--;
            $end->{target}{count}{$status}++;
        }
    }
}


1;
