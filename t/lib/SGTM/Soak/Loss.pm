package SGTM::Soak::Loss;

# The gateway under proof, and the account of what it was given, what it
# promised and what came of it.
#
#     my $loss = SGTM::Soak::Loss->new(hits => 4000, sync => 'always');
#     my $sender = $loss->send(hits => 2000, rate => 500, prefix => '/queued/');
#     $loss->{tag}->mode('down');
#     $sender->wait(60);
#     $loss->{tag}->mode('up');
#     $loss->drain(30);
#     my $sum = $loss->account($sender);
#
# Options of new(): hits (all ids of all senders), sync, max_size, spool (its
# directory), courier (its parameters), endpoint, pass (instead of
# "http://tagging"), courier_pass, http (more of it), read_timeout (2s), trust
# (a certificate), upstream (a port, the tagging server's), tag (one that runs
# already), workers, env, main, log_level, daemon.
#
# "/metrics/" delivers directly, with sgtm_fallback queue; "/queued/" has
# sgtm_delivery queued.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use SGTM::Nginx;
use SGTM::Run;
use SGTM::Soak::Sender;
use SGTM::Soak::Tag;


sub new {
    my ($class, %opt) = @_;

    my $self = bless {
        sync => 'always', max_size => '1g', spool => '%%DIR%%/spool',
        courier => 'attempts=5 backoff=1s concurrency=64 rate=5000',
        endpoint => 'sgtm.example.com', pass => 'http://tagging/',
        courier_pass => 'http://tagging', http => '', trust => '',
        read_timeout => '2s', workers => 2, env => {}, main => '',
        next => 0, start => time, upstream => 0, daemon => 0, %opt,
    }, $class;

    $self->{tag} ||= SGTM::Soak::Tag->start(ids => $self->{hits});
    $self->{t} = SGTM::Nginx->start(
        $self->_http, workers => $self->{workers}, env => $self->{env},
        main => $self->{main}, daemon => $self->{daemon},
        log_level => $self->{log_level} || 'notice',
        connections => 8192);

    return $self;
}


sub t { return $_[0]{t} }
sub tag { return $_[0]{tag} }


sub _http {
    my ($self) = @_;

    my $proxy = SGTM::Run::get(SGTM::Run::root()
                               . '/conf-examples/sgtm_proxy.conf');

    $proxy =~ s/^#.*\n//mg;
    $proxy =~ s/(proxy_read_timeout\s+)\S+;/$1$self->{read_timeout};/;
    $proxy =~ s/(proxy_ssl_trusted_certificate\s+)\S+;/$1$self->{trust};/
        if $self->{trust};

    my $port = $self->{upstream} || $self->{tag}->port;
    my $spool = join ' ', $self->{spool},
                map { "$_=$self->{$_}" } qw(max_size sync);

    return <<"EOF";
sgtm_spool          $spool;
access_log          off;
keepalive_requests  100000;

upstream tagging {
    server     127.0.0.1:$port max_fails=0;
    keepalive  64;
}

$self->{http}

server {
    listen  127.0.0.1:%%PORT%% backlog=4096;
    %%LISTEN_H2(127.0.0.1:%%PORT2%% backlog=4096)%%

    server_name    shop.example;

    sgtm_endpoint  $self->{endpoint};
    sgtm_tag_id    G-ABC1234567;

    sgtm_courier   \@courier $self->{courier};
    sgtm_fallback  queue;

    location /metrics/ {
        sgtm        on;
        proxy_pass  $self->{pass};
        $proxy
    }

    location /queued/ {
        sgtm           on;
        sgtm_delivery  queued;
        proxy_pass     $self->{pass};
        $proxy
    }

    location \@courier {
        proxy_pass  $self->{courier_pass};
        $proxy
    }

    location = /status {
        sgtm_status;
    }
}
EOF
}


# more senders, with ids of their own; options as of SGTM::Soak::Sender

sub send {
    my ($self, %opt) = @_;

    my $first = $self->{next};

    $self->{next} += $opt{hits};
    die "more hits than ids\n" if $self->{next} > $self->{hits};

    my $sender = SGTM::Soak::Sender->start(
        port => $self->{t}->port($opt{h2} ? 2 : 1), first => $first, %opt);

    push @{ $self->{senders} }, $sender;

    return $sender;
}


sub wait_senders {
    my ($self, $seconds) = @_;

    my $end = time + $seconds;

    $_->wait($end - time > 1 ? $end - time : 1)
        for grep { $_->{pid} } @{ $self->{senders} };
}


# until all that was promised has arrived, or nothing has for some seconds: the
# seconds that took

sub drain {
    my ($self, $seconds, $quiet) = @_;

    my $start = my $last = time;
    my $seen = -1;

    while (time < $start + $seconds) {
        my $now = $self->{tag}->head->{unique};

        $last = time if $now != $seen;
        $seen = $now;

        if (time - $last > 0.3 && !$self->account->{lost}) {
            return $last - $start;
        }

        last if time - $last > ($quiet || 20);
        sleep 0.1;
    }

    return time - $start;
}


# What became of the hits of one sender, or of all.  hits: sent; kept: answered
# 2xx; left: sent whole by those who left; arrived: of all; lost: kept or left
# (unless left => 0) that have not arrived; doubled: that arrived more than
# once; lost_age: how long before the next cut (of cuts => [ms since the epoch])
# the first of the lost was answered, seconds; lost_late: those after the last.
# senders => [...] for some of them.

sub account {
    my ($self, %opt) = @_;

    my ($n) = $self->{tag}->arrivals;
    my %sum = (answers => {}, lost_ids => [],
               map { $_ => 0 } qw(hits kept left arrived lost doubled
                                  lost_age lost_late));

    for my $sender (@{ $opt{senders} || $self->{senders} }) {
        _account($sender, $n, \%sum, \%opt);
    }

    $sum{lost} = @{ $sum{lost_ids} };

    return \%sum;
}


sub _account {
    my ($sender, $n, $sum, $opt) = @_;

    my $entries = $sender->entries;
    my $states = $entries->{state} or return;
    my $start = $sender->head->{start};

    for my $i (0 .. $#$states) {
        my ($state, $status, $time) = map { $entries->{$_}[$i] }
                                          qw(state status time);
        my $arrived = $n->[$sender->first + $i] || 0;

        next if $state == SGTM::Soak::Sender::NOT
                || $state == SGTM::Soak::Sender::FAILED;

        $sum->{hits}++;
        $sum->{arrived}++ if $arrived;
        $sum->{doubled}++ if $arrived > 1;

        if ($state == SGTM::Soak::Sender::LEFT) {
            next if defined $opt->{left} && !$opt->{left};
            $sum->{left}++;

        } elsif ($state == SGTM::Soak::Sender::ANSWERED) {
            $sum->{answers}{$status}++;
            next if $status < 200 || $status > 299;
            $sum->{kept}++;

        } else {
            next;
        }

        next if $arrived;

        push @{ $sum->{lost_ids} }, $sender->first + $i;

        _age($sum, $start + $time, $opt->{cuts})
            if $state == SGTM::Soak::Sender::ANSWERED;
    }
}


# an answer may be on its way while the cut is made

sub _age {
    my ($sum, $time, $cuts) = @_;

    my ($cut) = grep { $_ + 200 >= $time } @{ $cuts || [] };

    if (!defined $cut) {
        $sum->{lost_late}++;
        return;
    }

    my $age = ($cut - $time) / 1000;

    $sum->{lost_age} = $age if $age > $sum->{lost_age};
}


# The sizes of the groups that were doubled at the same time, the largest first.

sub bursts {
    my ($self) = @_;

    my ($n) = $self->{tag}->arrivals;
    my @bursts;

    for my $sender (@{ $self->{senders} }) {
        my $last;

        for my $id ($sender->first .. $sender->first + $sender->hits - 1) {
            next if ($n->[$id] || 0) < 2;

            push @bursts, 0 if !defined $last || $id - $last > 100;
            $bursts[-1]++;
            $last = $id;
        }
    }

    return sort { $b <=> $a } @bursts;
}


# Of each client the hits of one sender came in the order in which they were
# sent: how many did not.

sub disorder {
    my ($self, $sender) = @_;

    my ($n, $seq) = $self->{tag}->arrivals;
    my (%last, $wrong);

    for my $id ($sender->first .. $sender->first + $sender->hits - 1) {
        next if !$n->[$id];

        my $client = $id % 997;

        $wrong++ if $seq->[$id] < ($last{$client} || 0);
        $last{$client} = $seq->[$id];
    }

    return $wrong || 0;
}


# A row of the table, with what is wrong with it.  Options: senders, left, cuts
# (as of account), what, note, start (of the clock), doubled (how many may be; a
# thousandth of the hits), lost_age (seconds: how old the lost may be), loses
# (some must be lost: the proof can fail), unknown (requests without an id).

sub row {
    my ($self, %opt) = @_;

    my $sum = $self->account(%opt);
    my $most = defined $opt{doubled} ? $opt{doubled} : $sum->{hits} / 1000;
    my @bad;

    push @bad, 'nothing was answered 2xx' if !$sum->{kept};
    push @bad, "$sum->{doubled} of $sum->{hits} doubled"
        if $sum->{doubled} > $most;

    my $head = $self->{tag}->head;

    push @bad, "$head->{broken} arrived, but not as they were sent"
        if $head->{broken};
    push @bad, "$head->{unknown} requests were no hits"
        if $head->{unknown} > ($opt{unknown} || 0);

    if ($opt{loses}) {
        push @bad, 'nothing was lost, though it must be' if !$sum->{lost};

    } elsif ($opt{lost_age}) {
        push @bad, sprintf 'lost %.3f s after the answer', $sum->{lost_age}
            if $sum->{lost_age} > $opt{lost_age};
        push @bad, "$sum->{lost_late} lost without a cut" if $sum->{lost_late};

    } elsif ($sum->{lost}) {
        my @ids = @{ $sum->{lost_ids} };
        push @bad, "$sum->{lost} lost: "
                   . join(' ', @ids > 10 ? (@ids[0 .. 9], '...') : @ids);
    }

    return { %$sum, what => $opt{what}, note => $opt{note}, bad => \@bad,
             seconds => time - ($opt{start} || $self->{start}) };
}


# everything ends: what the log complains of

sub finish {
    my ($self) = @_;

    $_->stop for @{ $self->{senders} };
    $self->{t}->stop(timeout => 10);
    $self->{tag}->stop;

    return $self->{t}->complaints;
}


1;
