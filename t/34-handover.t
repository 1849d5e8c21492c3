#!/usr/bin/perl

# One courier ends and the next one begins, by a reload, while hits are under
# way.  What is proved: the next one sends all others at once, also if the
# tagging server does not answer the last ones; none of those under way is sent
# twice for it, however long its answer takes, and none is lost if the old
# worker is killed meanwhile; those of the same client wait for it; a tagging
# server that was known to be down still is.  It guards against hits that wait
# for a worker that ends, and against a reload that sends them twice or at a
# server that has to be left alone.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Time::HiRes qw(sleep time);

my $serial = 0;

# what the tagging server does is its mode: for a hit with "do" alone, if the
# mode begins with that

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;
    my ($do) = $req->{uri} =~ /ep\.do=(\w+)/;
    my $mode = $req->{mode} || '';

    return { delay => $1, status => $do eq 'bad' ? 404 : 204 }
        if $do && $mode =~ /\b$do:([\d.]+)/;
    return { delay => rand 2, status => 204 } if $mode eq 'any';
    return { hang => 1 } if $mode eq 'hang';
    return [503, [], 'no'] if $mode eq '503';
    return 204;
});

my $proxy = SGTM::Run::get(SGTM::Run::root()
                           . '/conf-examples/sgtm_proxy.conf');

$proxy =~ s/^#.*\n//mg;


# an http{} with a gateway that queues and its courier, who waits so long for
# an answer

sub conf {
    my ($backoff, $patience) = @_;

    (my $lines = $proxy) =~ s/(proxy_read_timeout\s+)\w+;/$1$patience;/
        or die "no proxy_read_timeout in sgtm_proxy.conf\n";

    return <<"EOC";
    sgtm_spool  spool;

    upstream tagging {
        server     127.0.0.1:@{[ $tag->port ]} max_fails=0;
        keepalive  16;
    }

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  shop.example;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_tenant    shop;
        sgtm_courier   \@courier backoff=$backoff;

        location /m/ {
            sgtm           on;
            sgtm_delivery  queued;
            proxy_pass     http://tagging/;
            $lines
        }

        location \@courier {
            proxy_pass     http://tagging;
            $lines
        }

        location = /status { sgtm_status; }
    }
EOC
}


sub hit {
    my ($t, $more) = @_;

    my $id = sprintf 'id%05d', ++$serial;
    my $uri = "/m/g/collect?v=2&tid=G-ABC1234567&gcs=G111&en=a&ep.id=$id"
              . ($more || "&cid=$serial");

    my $res = $t->get($uri);

    is $res->{status}, 204, 'kept' if $res->{status} != 204;

    return $id;
}


sub ids {
    return map { $_->{uri} =~ /ep\.id=(id\d+)/ } @_;
}


sub count {
    my ($id) = @_;

    return scalar grep { $_ eq $id } ids($tag->requests);
}


sub all_arrive {
    my ($name, $seconds, @ids) = @_;

    my $missing = sub {
        my %got = map { $_ => 1 } ids($tag->requests);
        return join ' ', grep { !$got{$_} } @ids;
    };

    wait_for { !$missing->() } $seconds;
    is $missing->(), '', $name;
}


sub rows {
    my ($t, $what, $where) = @_;

    my ($status, $out) = run('sqlite3', '-cmd', '.timeout 5000',
                             $t->dir . '/spool/spool.db',
                             "SELECT $what FROM " . ($where || 'hit'));

    die "sqlite3: $out" if $status;
    chomp $out;

    return $out;
}


sub empty {
    my ($t, $name, $seconds) = @_;

    wait_for { !rows($t, 'count(*)') } $seconds;
    is rows($t, 'count(*)'), 0, $name;
}


# one that has delivered enough for several to be under way at once

sub start {
    my $t = SGTM::Test->start(conf(@_));

    $tag->mode('');
    $tag->clear;
    all_arrive('it delivers', 8, map { hit($t) } 1 .. 20);
    empty($t, 'all', 5);
    $tag->clear;

    return $t;
}


# returns when the old worker knows, too

sub reload {
    my ($t) = @_;

    my $told = sub { scalar(() = $t->error_log =~ /gracefully shutting/g) };
    my $before = $told->();

    $t->reload;
    wait_for { $told->() > $before } 5;
}


subtest 'answers that take their time' => sub {
    my $t = start('200ms', '40s');

    $tag->mode('some:4 bad:5 long:15');

    my @client = hit($t, '&cid=6.6&ep.do=some');
    my ($long, $bad) = (hit($t, '&cid=6.7&ep.do=long'),
                        hit($t, '&cid=6.8&ep.do=bad'));

    $tag->wait_requests(3);
    push @client, hit($t, '&cid=6.6') for 1, 2;

    my $began = time;

    reload($t);
    push @client, hit($t, '&cid=6.6');

    my @others = map { hit($t) } 1 .. 10;

    all_arrive('the others arrive', 3, @others);
    cmp_ok time - $began, '<', 3.5, 'at once';
    is scalar($t->old_workers), 1, 'while the old worker waits';
    is count($client[1]), 0, 'those of the same client wait';

    # they do not know of the answer before they are due

    all_arrive('then they come', 20, @client);
    is join(' ', grep { my $id = $_; grep { $_ eq $id } @client }
                      ids($tag->requests)), "@client", 'in order, each once';

    wait_for { !$t->old_workers } 20;
    is scalar($t->old_workers), 0, 'the old worker ends';
    cmp_ok time - $began, '>', 13, 'after the last answer';

    sleep 1;
    is count($_), 1, 'what was under way was sent once' for $long, $bad;
    empty($t, 'all is settled', 1);
    is rows($t, 'id > 0, attempts, error', 'dead'), '1|1|status 404',
       'what was refused is a dead letter';

    my $spool = $t->status('/status')->{spool};

    is $spool->{delivered}, 20 + 1 + @client + @others, 'counted as delivered';
    is $spool->{died}, 1, 'and as died';
};


subtest 'no answer at all' => sub {
    my $t = start('200ms', '3s');

    $tag->mode('hang');

    my @hung = map { hit($t) } 1 .. 8;

    $tag->wait_requests(8);
    reload($t);
    $tag->mode('');

    my @others = map { hit($t) } 1 .. 10;

    all_arrive('the others arrive', 2, @others);
    is scalar(grep { count($_) != 1 } @hung), 0, 'and none of those again';

    wait_for { 16 == grep { my $id = $_; grep { $_ eq $id } @hung }
                          ids($tag->requests) } 12;
    is scalar(grep { count($_) != 2 } @hung), 0,
       'until they are known to have failed';
    empty($t, 'all are delivered', 3);
    is rows($t, 'count(*)', 'dead'), 0, 'no dead letter';
};


subtest 'a worker that is killed while it ends' => sub {
    my $t = start('200ms', '40s');

    $tag->mode('hang');

    my @hung = map { hit($t) } 1 .. 4;

    $tag->wait_requests(4);

    my ($worker) = $t->workers;

    reload($t);
    $tag->mode('');
    all_arrive('another one arrives', 3, hit($t));
    $t->kill_worker($worker);

    wait_for { 4 == grep { count($_) == 2 } @hung } 14;
    is scalar(grep { count($_) == 2 } @hung), 4, 'they are sent again, once';
    empty($t, 'and are delivered', 3);
};


subtest 'a tagging server that is down' => sub {
    my $t = start('1s', '2s');
    my $state = sub { $t->status('/status')->{spool}{targets}[0]{state} };

    $tag->mode('503');

    my @ids = map { hit($t) } 1 .. 20;

    ok $t->wait_log(qr/is down, hits wait/), 'is known to be';

    # probes after a second and two more; to the next one it is four

    sleep 0.5;
    $tag->clear;

    my (undef, $last) = map { $_->{time} } $tag->wait_requests(2, 6);

    wait_for { $state->() eq 'open' } 2;

    for (1 .. 2) {
        reload($t);
        is $state->(), 'open', 'after a reload, too';
    }

    sleep $last + 3 - time if $last + 3 > time;
    is $tag->count, 2, 'it is left alone';

    $tag->mode('');
    $tag->clear;
    all_arrive('all arrive', 15, @ids);
    empty($t, 'and are delivered', 5);
    is rows($t, 'count(*)', 'dead'), 0, 'no dead letter';
    is scalar(() = $t->error_log =~ /is down, hits wait/g), 1,
       'the log says it once';
    like $t->error_log, qr/is down.*is back/s, 'and when it is back';
};


subtest 'one reload after another' => sub {
    my $t = start('200ms', '40s');
    my (@ids, %client);

    $tag->mode('any');

    for (1 .. 5) {
        for (1 .. 20) {
            my $cid = int rand 30;
            my $id = hit($t, "&cid=7.$cid");

            push @ids, $id;
            push @{ $client{$cid} }, $id;
        }

        $t->reload;
        sleep 0.5;
    }

    all_arrive('all arrive', 60, @ids);
    empty($t, 'and are delivered', 20);

    my @got = ids($tag->requests);
    my (%count, %place);

    $count{$_}++ for @got;
    $place{$got[$_]} = $_ for 0 .. $#got;

    is scalar(grep { $_ > 1 } values %count), 0, 'each once';

    for my $cid (sort keys %client) {
        my @want = @{ $client{$cid} };
        my @order = sort { $place{$a} <=> $place{$b} } @want;

        is "@order", "@want", "client $cid: in order" if "@order" ne "@want";
    }

    wait_for { !$t->old_workers } 5;
    is scalar($t->old_workers), 0, 'no worker lingers';
};


done_testing;
