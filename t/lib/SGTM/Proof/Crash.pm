package SGTM::Proof::Crash;

# Processes that are killed and power that goes, under load.  Each proof returns
# rows of SGTM::Soak::Loss; numbers are the caller's.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use SGTM::Run;
use SGTM::Soak::Loss;
use SGTM::Soak::Powercut;

# a courier that was killed keeps the spool to itself for so long, seconds

use constant LEASE => 10;


# kills(sync => 'always', kills => 50, seconds => 100, rate => 1000, doubled)
#
# Of the kills every second one hits a worker, the others the master and, some
# time later, its workers.  All hits are queued, so that each is written, taken
# and settled while processes die.

sub kills {
    my (%opt) = @_;

    my $loss = SGTM::Soak::Loss->new(hits => $opt{rate} * $opt{seconds},
                                     sync => $opt{sync});
    my $t = $loss->t;
    my $start = time;

    both($loss, $opt{rate}, $opt{seconds}, prefix => '/queued/', wait => 5);

    my ($n, $killed) = (0, 0);

    for my $moment (moments($opt{kills}, $opt{seconds})) {
        sleep $start + $moment - time if $start + $moment > time;

        if (++$n % 2) {
            # there may be none at this moment
            $killed++ if $t->kill_worker;
            next;
        }

        $killed++;
        $t->crash($n % 4 ? rand 0.2 : 0);
        $t->start_again;
    }

    $loss->wait_senders(60);
    my $drained = $loss->drain(60);
    my @bursts = $loss->bursts;

    my $row = finish($loss, what => "kill -9, $opt{kills} times, "
                                    . "sync=$opt{sync}",
                     doubled => $opt{doubled}, left => 0,
                     note => sprintf 'drained in %.1f s, at most %d doubled at '
                                     . 'once', $drained, $bursts[0] || 0);

    push @{ $row->{bad} }, "only $killed were killed"
        if $killed < 0.7 * $opt{kills};

    return $row;
}


# cuts(sync => 'always', cuts => 10, seconds => 40, rate => 500,
#      lost_age => seconds, loses => 1)
#
# While every second cut is made, the tagging server is down, so that all hits
# since the one before are in the file alone.  Every third cut tears writes.

sub cuts {
    my (%opt) = @_;

    my $dir = SGTM::Run::dir('disk') . '/spool';
    my %env = SGTM::Soak::Powercut::environment($dir);
    my $loss = SGTM::Soak::Loss->new(hits => $opt{rate} * $opt{seconds},
                                     sync => $opt{sync}, spool => $dir,
                                     env => \%env);
    my ($t, $tag) = ($loss->t, $loss->tag);
    my ($start, $n, $undone, @cuts) = (time, 0, 0);

    both($loss, $opt{rate}, $opt{seconds}, prefix => '/queued/', wait => 5);

    for my $moment (moments($opt{cuts}, $opt{seconds})) {
        $tag->mode(++$n % 2 ? 'down' : 'up');
        sleep $start + $moment - time if $start + $moment > time;

        push @cuts, time * 1000;
        $t->crash;

        my $seed = $n % 3 ? undef : 1 + int rand 1e6;
        $undone += SGTM::Soak::Powercut::restore($dir, $seed)->{changes};

        $t->start_again;
    }

    $tag->mode('up');
    $loss->wait_senders(60);
    $loss->drain(60, $opt{lost_age} || $opt{loses} ? LEASE + 3 : 20);

    # what a disk has damaged is set aside, and said
    $t->expect_log(qr/spool/) if $opt{loses};

    my $row = finish($loss, what => "power cut, $opt{cuts} times, "
                                    . "sync=$opt{sync}",
                     cuts => \@cuts, left => 0, lost_age => $opt{lost_age},
                     loses => $opt{loses}, doubled => $opt{doubled},
                     note => "$undone writes undone");

    push @{ $row->{bad} }, 'no cut has undone a write'
        if !$undone && $opt{sync} ne 'always';

    return $row;
}


# over HTTP/1.1 and HTTP/2, half of the rate each

sub both {
    my ($loss, $rate, $seconds, %opt) = @_;

    return map { $loss->send(hits => int($rate * $seconds / 2), h2 => $_,
                             rate => int($rate / 2), %opt) } (0, 1);
}


# n random moments, in order, none right at the beginning

sub moments {
    my ($n, $seconds) = @_;

    my $part = ($seconds - 1) / $n;

    return map { 0.5 + $part * ($_ + 0.1 + rand 0.8) } 0 .. $n - 1;
}


sub finish {
    my ($loss, @row) = @_;

    my $row = $loss->row(@row);
    my @complaints = $loss->finish;

    $row->{note} .= sprintf ', lost within %.2f s', $row->{lost_age}
        if $row->{lost};

    push @{ $row->{bad} }, @complaints > 5 ? @complaints[0 .. 4] : @complaints;

    return $row;
}


1;
