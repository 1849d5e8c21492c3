package SGTM::Proof::Change;

# Reloads and binary upgrades under load: old and new workers share the spool,
# and the old ones end.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use SGTM::Proof::Crash;
use SGTM::Run;
use SGTM::Soak::Loss;


# reloads(reloads => 100, rate => 500, each => 0.5, linger => 12,
#         backoff => '1s')
#
# linger: seconds that a worker may outlive its reload.  For a third of the time
# the tagging server is down, so that the courier changes hands with hits
# waiting: that must not use up their attempts.

sub reloads {
    my (%opt) = @_;

    my $seconds = int($opt{reloads} * $opt{each} + 2);
    my $backoff = $opt{backoff} || '1s';
    my ($loss, $t) = _start($opt{rate}, $seconds,
        courier => "attempts=5 backoff=$backoff concurrency=64 rate=5000");
    my $start = time;
    my (%retired, $oldest);

    $oldest = 0;

    for my $n (1 .. $opt{reloads}) {
        my $next = $start + $n * $opt{each};
        my @workers = $t->workers;

        $loss->tag->mode('down') if $n == int($opt{reloads} / 3);
        $loss->tag->mode('up') if $n == int($opt{reloads} * 2 / 3);

        $retired{$_} = time for @workers;
        $t->reload;
        $oldest = _lingering($t, \%retired, $oldest);
        sleep $next - time if $next > time;
    }

    SGTM::Run::wait_for {
        $oldest = _lingering($t, \%retired, $oldest);
        !$t->old_workers;
    } $opt{linger} + 5;

    $loss->wait_senders(60);
    $loss->drain(90, 40);

    my $note = sprintf 'old workers were gone in %.1f s', $oldest;
    my $row = SGTM::Proof::Crash::finish(
        $loss, what => "$opt{reloads} reloads", note => $note, left => 0);

    push @{ $row->{bad} }, $note if $oldest > $opt{linger};

    return $row;
}


# how long ago the first of those that are still there was retired

sub _lingering {
    my ($t, $retired, $oldest) = @_;

    for ($t->old_workers) {
        my $age = time - ($retired->{$_} || time);
        $oldest = $age if $age > $oldest;
    }

    return $oldest;
}


# upgrades(upgrades => 3, rate => 500, each => 5, linger => 12)

sub upgrades {
    my (%opt) = @_;

    my $seconds = int($opt{upgrades} * $opt{each} + 2);
    my ($loss, $t) = _start($opt{rate}, $seconds, daemon => 1);
    my $start = time;
    my $longest = 0;

    for my $n (1 .. $opt{upgrades}) {
        my $next = $start + $n * $opt{each};

        $loss->tag->mode($n == 2 ? 'down' : 'up');
        sleep 0.5;

        my $took = $t->upgrade;

        $longest = $took if $took > $longest;
        sleep $next - time if $next > time;
    }

    $loss->tag->mode('up');
    $loss->wait_senders(60);
    $loss->drain(90, 40);

    my $note = sprintf 'the old nginx was gone in %.1f s', $longest;
    my $row = SGTM::Proof::Crash::finish(
        $loss, what => "$opt{upgrades} binary upgrades", note => $note,
        left => 0);

    push @{ $row->{bad} }, $note if $longest > $opt{linger};

    return $row;
}


sub _start {
    my ($rate, $seconds, @new) = @_;

    my $loss = SGTM::Soak::Loss->new(hits => $rate * $seconds, @new);

    for my $prefix ('/metrics/', '/queued/') {
        SGTM::Proof::Crash::both($loss, $rate / 2, $seconds,
                                 prefix => $prefix, wait => 10);
    }

    return ($loss, $loss->t);
}


1;
