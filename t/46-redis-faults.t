#!/usr/bin/perl

# A Redis that is bad: not there, gone, restarted, loading, standing still, slow,
# cut in mid-reply, a replica without its master, a cluster's node, or no Redis
# at all.  Whatever it is, the tenants that are in memory are served, requests
# are answered as fast as ever, the log says it once, and when all is well again
# everything is as in Redis without a reload.  It guards against a worker that
# waits for Redis, or ends because of what it hears; half a reply that becomes a
# state; an endless reply that becomes memory; descriptors and connections that
# are left behind, and old workers that stay because of them.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Fleet;
use SGTM::Proxy;
use SGTM::Redis;

use IO::Socket::INET;
use Time::HiRes qw(sleep time);

SGTM::Test->timeout(300);

SGTM::Redis::version() >= 7
    or plan skip_all => 'redis-server 7 (Debian: redis-server) is not there';

my $prefix = 'shop:';


# the slowest of requests that are sent while something takes its time

sub slowest {
    my ($t, $seconds) = @_;

    my $end = time + $seconds;
    my $slowest = 0;

    while (time < $end) {
        my $start = time;
        $t->get('/ping');
        my $took = time - $start;
        $slowest = $took if $took > $slowest;
        sleep 0.02;
    }

    return $slowest;
}


sub descriptors {
    my ($t) = @_;

    my $n = 0;

    for ($t->workers) {
        my @fds = glob "/proc/$_/fd/*";
        $n += @fds;
    }

    return $n;
}


sub owner {
    my ($t) = @_;

    my ($pid) = $t->error_log =~ /.* (\d+)#\d+: redis /s;

    return $pid;
}


subtest 'one that stops and starts' => sub {
    my $redis = SGTM::Redis->start;

    $redis->put($prefix, records(1, map { "t$_" } 1 .. 100));

    my $t = fleet($redis);

    ok reaches($t, 'synced', 5, tenants => 100), 'loaded';

    my $fds = descriptors($t);

    for my $round (1 .. 3) {
        $redis->stop;
        ok reaches($t, 'away', 5, error => $round == 1 ? 'closed'
                                                       : 'unreachable')
           || reaches($t, 'away', 2, error => 'unreachable'), "away $round";
        cmp_ok slowest($t, 1), '<', 0.2, 'nobody waits';
        is serves($t, 't100.example'), 't100 ' . (1, 2, 3)[$round - 1],
           'memory serves';

        $redis->restart;
        $redis->put($prefix, records($round + 1, map { "t$_" } 1 .. 100));
        ok reaches($t, 'synced', 8, tenants => 100), 'back';
        comes { serves($t, 't100.example') eq 't100 ' . ($round + 1) } 'anew';
    }

    cmp_ok log_lines($t, qr/\[warn\].*tenants are served from memory/), '<=', 6,
           'no more than two lines each time it went';
    comes { descriptors($t) == $fds } 'no descriptor is left';

    # connections that are killed while changes come in

    for my $n (1 .. 20) {
        $redis->cmd('CLIENT', 'KILL', 'TYPE', $n % 2 ? 'normal' : 'pubsub',
                    'SKIPME', 'yes');
        $redis->put($prefix, { t1 => record('t1', 100 + $n) });
        sleep 0.05;
    }

    comes { serves($t, 't1.example') eq 't1 120' } 'the last change is seen';
    comes { descriptors($t) == $fds } 'no descriptor is left', 8;
    comes { $redis->clients == 2 } 'and two connections';
};


subtest 'half a reply' => sub {
    my $redis = SGTM::Redis->start;
    my $proxy = SGTM::Proxy->start($redis->port);

    $redis->put($prefix, records(1, map { "t$_" } 1 .. 1000));

    my $t = fleet($proxy);

    ok reaches($t, 'synced', 5, tenants => 1000), 'loaded';

    my $base = 1;

    for (map({ [cut => $_] } 0, 1, 7, 40, 300, 5_000, 60_000),
         map({ [reset => $_] } 3, 5_000, 60_000))
    {
        my ($mode, $bytes) = @$_;

        $proxy->mode($mode, $bytes);
        $redis->put($prefix, records(++$base, map { "t$_" } 1 .. 1000));
        $redis->complete($prefix) if $base % 3 == 0;

        my $failures = state_of($t)->{failures};
        wait_for { state_of($t)->{failures} > $failures + 1 } 5;

        # each record is an old one or a new one

        my %seen = map { my $id = "t$_"; serves($t, "$id.example") => 1 }
                   1, 250, 500, 750, 1000;
        my @odd = grep { !/^t\d+ (\d+)$/ || $1 > $base || $1 < $base - 1 }
                  keys %seen;

        ok !@odd, "$mode after $bytes bytes" or diag "@odd";

        $proxy->mode('pass');
        ok reaches($t, 'synced', 10, tenants => 1000), 'then all of it';
        comes { serves($t, 't1000.example') eq "t1000 $base" } 'is there';
    }

    is owner($t), (sort { $a <=> $b } $t->workers)[0], 'in one worker';
};


subtest 'one that is slow, or stands still' => sub {
    my $redis = SGTM::Redis->start;
    my $proxy = SGTM::Proxy->start($redis->port);

    $redis->put($prefix, records(1, map { "t$_" } 1 .. 1000));

    # 130 kB at 60 kB a second

    $proxy->mode('slow', 60_000);

    my $t = fleet($proxy);

    comes { state_of($t)->{state} eq 'loading' } 'it loads';
    cmp_ok slowest($t, 1), '<', 0.2, 'nobody waits';
    is state_of($t)->{state}, 'loading', 'for some time';
    ok reaches($t, 'synced', 10, tenants => 1000), 'until all is there';
    is state_of($t)->{failures}, 0, 'without a failure';
    $proxy->mode('pass');

    # nothing comes through

    $proxy->mode('hang');
    cmp_ok slowest($t, 2), '<', 0.2, 'nobody waits when nothing comes';
    ok reaches($t, 'away', 8, error => 'timeout'), 'it is seen';
    is serves($t, 't1.example'), 't1 1', 'memory serves';

    my $start = time;
    $t->reload(undef, wait_old => 1);
    cmp_ok time - $start, '<', 4, 'an old worker does not wait either';

    $redis->put($prefix, { t1 => record('t1', 2) });
    $proxy->mode('pass');
    ok reaches($t, 'synced', 12), 'it goes on';
    comes { serves($t, 't1.example') eq 't1 2' } 'with what has changed';

    # the server itself

    $redis->pause;
    cmp_ok slowest($t, 1), '<', 0.2, 'nobody waits for one that was stopped';
    ok reaches($t, 'away', 8, error => 'timeout'), 'it is seen';
    $redis->resume;
    ok reaches($t, 'synced', 12), 'it goes on';

    # one that takes no connection: its queue is full

    my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
                                     ReuseAddr => 1);
    my $port = $full->sockport;
    my @waiting = map { IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $port, Blocking => 0) } 1 .. 6;

    $t->reload(conf("redis=127.0.0.1:$port," . address($redis)
                    . " prefix=$prefix"));
    ok reaches($t, 'synced', 8, address => address($redis)),
       'another address is tried after one that does not answer';
    ok log_lines($t, qr/:$port" does not answer in time/), 'it is said';
};


subtest 'several addresses' => sub {
    my @redis = map { SGTM::Redis->start } 1 .. 2;
    my $nobody = SGTM::Run::port();

    $_->put($prefix, records(1, 'a')) for @redis;

    my $version = $redis[0]->cmd('GET', "${prefix}version");
    $redis[1]->cmd('SET', "${prefix}version", $version);
    $redis[1]->cmd('ZADD', "${prefix}changes", $version, 'a');

    my $t = SGTM::Test->start(conf("redis=127.0.0.1:$nobody,"
                                   . join(',', map { address($_) } @redis)
                                   . " prefix=$prefix"));

    ok reaches($t, 'synced', 5, address => address($redis[0])), 'the second';
    $redis[0]->stop;
    ok reaches($t, 'synced', 5, address => address($redis[1])), 'the third';
    $redis[1]->stop;
    ok reaches($t, 'away', 5, error => 'unreachable'), 'none';
    sleep 1;
    is log_lines($t, qr/:$nobody" cannot be reached/), 2,
       'each is spoken of when it goes, not each time it is tried';
    $redis[0]->restart;
    $redis[0]->put($prefix, records(3, 'a'));
    ok reaches($t, 'synced', 8, address => address($redis[0])), 'one again';
    comes { serves($t, 'a.example') eq 'a 3' } 'with its data';
};


subtest 'a replica' => sub {
    my $master = SGTM::Redis->start('repl-diskless-sync-delay' => 0,
                                    'repl-ping-replica-period' => 1);
    my $replica = SGTM::Redis->start(replicaof => '127.0.0.1 ' . $master->port,
                                     'repl-timeout' => 3);
    my $other = SGTM::Redis->start;

    $master->put($prefix, records(1, 'a'));
    wait_for { $replica->cmd('GET', "${prefix}version") } 10;
    $other->put($prefix, records(2, 'a'));

    my $t = SGTM::Test->start(conf('redis=' . address($replica) . ','
                                   . address($other) . " prefix=$prefix"));

    ok reaches($t, 'synced', 10, address => address($replica)), 'will do';
    ok state_of($t)->{replica}, 'and is known as one';
    $master->put($prefix, records(5, 'a'));
    comes { serves($t, 'a.example') eq 'a 5' } 'changes come through it';

    $master->stop;
    ok reaches($t, 'synced', 20, address => address($other))
       || reaches($t, 'behind', 1, address => address($other)),
       'not without its master';
    like $t->error_log, qr/is a replica without its master/, 'it is said';
};


subtest 'one that is loading' => sub {
    my $redis = SGTM::Redis->start(dbfilename => 'dump.rdb');

    $redis->put($prefix, records(1, map { "t$_" } 1 .. 2000));
    $redis->cmd('SAVE');
    $redis->{options}{'key-load-delay'} = 1500;
    $redis->{options}{'loading-process-events-interval-bytes'} = 1024;
    $redis->restart('loading');

    my $t = fleet($redis);

    ok reaches($t, 'away', 5, error => 'loading'), 'is waited for';
    ok reaches($t, 'synced', 20, tenants => 2000), 'until it is done';
    is log_lines($t, qr/is loading its data/), 1, 'told once';
};


subtest 'of another kind' => sub {
    my $cluster = SGTM::Redis->start('cluster-enabled' => 'yes',
                                     'cluster-port' => SGTM::Run::port());
    my $t = fleet($cluster);

    ok reaches($t, 'away', 5, error => 'cluster'), 'a node of a cluster';

    my $busy = SGTM::Redis->start(maxclients => 1);
    $busy->cmd('PING');
    my $u = fleet($busy);

    # what it says may be lost, since it closes before it is asked

    comes { state_of($u)->{error} =~ /^(?:busy|closed)$/ } 'one that is full';

    my $redis = SGTM::Redis->start;
    $redis->put($prefix, records(1, 'a'));
    my $v = fleet($redis);

    ok reaches($v, 'synced', 5), 'one whose commands are renamed';
    $redis->{options}{'rename-command'} = 'ZRANGEBYSCORE ""';
    $redis->restart;
    ok reaches($v, 'away', 8, error => 'refused'), 'is of no use';
    is serves($v, 'a.example'), 'a 1', 'memory serves';
};


subtest 'no Redis at all' => sub {
    my $redis = SGTM::Redis->start;
    my $proxy = SGTM::Proxy->start($redis->port);

    $redis->put($prefix, records(1, 'a'));

    my $t = fleet($proxy);

    ok reaches($t, 'synced', 5), 'first a Redis';

    my ($worker) = sort { $a <=> $b } $t->workers;

    my @says = (
        ['HTTP', 'protocol', "HTTP/1.1 400 Bad Request\r\n\r\n"],
        ['answers that nobody asked for', 'data|protocol', "+OK\r\n" x 50],
        ['numbers', 'data|protocol', ":1\r\n" x 50],
        ['nothings', 'data|protocol', "\$-1\r\n" x 50],
        ['lists of nothing', 'data|protocol', "*0\r\n" x 50],
        ['a list that is too long', 'too_large', "*2000000000\r\n"],
        ['a list that is deep', 'protocol', "*1\r\n" x 20],
        ['a list that is long and wide', 'too_large',
         "*100\r\n" . ("*20000\r\n" . ":1\r\n" x 20_000) x 12],
        ['a string that is too long', 'too_large',
         "\$9000000000\r\n" . 'x' x 12_000_000],
        ['a line without end', 'too_large', '+' . 'x' x 12_000_000],
        ['a length that is none', 'protocol', "\$-7\r\n"],
        ['a length beyond all', 'protocol', "*99999999999999999999\r\n"],
        ['RESP3', 'protocol', "%1\r\n+a\r\n+b\r\n"],
        ['a push', 'protocol', ">3\r\n+message\r\n+a\r\n+b\r\n"],
        ['errors', 'refused', "-ERR secret 'S3cr3t' is wrong\r\n" x 4],
        ['reasons', 'busy', "-ERR max number of clients reached\r\n" x 4],
        ['zeros', 'protocol', "\0" x 100],
    );

    # at once, to a connection that waits for nothing, and then as the first
    # thing that one hears

    for (@says) {
        my ($what, $error, $bytes) = @$_;
        my ($failures, %seen) = (state_of($t)->{failures});

        $proxy->mode('say', $bytes);

        my $ok = wait_for {
            my $state = state_of($t);
            $seen{$state->{error}} = 1;
            $state->{failures} >= $failures + 2;
        } 10;

        delete $seen{none};

        ok $ok && !grep({ !/^(?:$error|closed|protocol)$/ } keys %seen)
           && grep({ /^(?:$error)$/ } keys %seen), "$what: $error"
            or diag join ' ', keys %seen;

        $proxy->mode('pass');
        reaches($t, 'synced', 10) or fail 'a Redis again';
    }

    is serves($t, 'a.example'), 'a 1', 'memory serves';
    $proxy->mode('pass');
    ok reaches($t, 'synced', 10), 'a Redis again';

    # to who listens for messages

    for (['an answer', "+OK\r\n"], ['a number', ":1\r\n"],
         ['two parts', "*2\r\n\$7\r\nmessage\r\n\$12\r\nshop:changed\r\n"],
         ['numbers', "*3\r\n:1\r\n:2\r\n:3\r\n"],
         ['nothings', "*3\r\n\$-1\r\n\$-1\r\n\$-1\r\n"],
         ['lists', "*3\r\n*0\r\n*0\r\n*0\r\n"],
         ['another channel', "*3\r\n\$9\r\nsubscribe\r\n\$1\r\na\r\n:1\r\n"],
         ['another word', "*3\r\n\$11\r\nunsubscribe\r\n\$12\r\nshop:changed"
                          . "\r\n\$1\r\na\r\n"],
         ['an error', "-ERR S3cr3t\r\n"])
    {
        my ($what, $bytes) = @$_;

        comes { state_of($t)->{subscribed} } 'it listens', 10;
        $proxy->mode('tell', $bytes);
        comes { !state_of($t)->{subscribed} } "$what for a message";
        $proxy->mode('pass');
    }

    comes { state_of($t)->{subscribed} } 'it listens', 10;
    $redis->put($prefix, records(2, 'a'));
    comes { serves($t, 'a.example') eq 'a 2' } 'to what is well';

    # messages that mean nothing

    my $changes = state_of($t)->{changes};
    $redis->cmd('PUBLISH', "${prefix}changed", $_)
        for '', 'x' x 100_000, "\0\r\n", '9999999999999999 a', '-1';
    sleep 0.3;
    is state_of($t)->{changes}, $changes, 'a message without a change';
    ok reaches($t, 'synced', 2), 'changes nothing';

    is +(sort { $a <=> $b } $t->workers)[0], $worker, 'it is the same worker';
    unlike $t->error_log, qr/S3cr3t|x{50}/, 'nothing of it is in the log';
};


subtest 'reloads in the middle' => sub {
    my $redis = SGTM::Redis->start;
    my $proxy = SGTM::Proxy->start($redis->port);

    $redis->put($prefix, records(1, map { "t$_" } 1 .. 5000));

    my $t = fleet($proxy);

    for my $mode (['pass'], ['slow', 200_000], ['hang'], ['cut', 20_000],
                  ['close'], ['slow', 100_000], ['say', "+OK\r\n"], ['pass'])
    {
        $proxy->mode(@$mode);
        $redis->complete($prefix);
        sleep 0.2;
        $t->reload;
    }

    my $start = time;
    wait_for { !$t->old_workers } 10;
    cmp_ok time - $start, '<', 5, 'old workers end';
    ok reaches($t, 'synced', 15, tenants => 5000), 'all are there';
    is all_serve($t, 't5000.example'), 't5000 1', 'and served';
    comes { $redis->clients == 2 } 'with two connections';
};

done_testing;
