#!/usr/bin/perl

# Limits of a fleet: three nginx and a Redis.  What all of them let through is
# the rate, to 5 %, with traffic that is even, skewed, or moves from one to
# another, a second after it did; below the rate nothing is refused.  Redis may
# go and come back: no hit waits, none is lost, the parts hold and are found
# again, and no descriptor is left behind.  Of thousands of tenants only those
# with hits are in Redis, for a minute.  It guards against machines that each
# take the whole rate, or that starve; against a call for each hit, keys that
# stay, a loop that is held up, and a Redis that forbids it and takes the tenants
# along.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Fleet;
use SGTM::Flood;
use SGTM::Redis;

use List::Util qw(sum0);
use Time::HiRes qw(sleep time);

SGTM::Test->timeout(120);

SGTM::Redis::version() >= 7
    or plan skip_all => 'redis-server 7 (Debian: redis-server) is not there';

my $prefix = 'shop:';
my $rate = 400;
my $uri = '/metrics/g/collect?v=2&tid=G-ABC1234567&en=a';

# what sanitizers slow down is not measured
my $release = ($ENV{SGTM_BUILD} || 'release') eq 'release';


sub gateway {
    my ($redis, $more, %opt) = @_;

    $more ||= '';

    return SGTM::Test->start(<<"EOC", workers => 2, %opt);
    upstream tagging { server 127.0.0.1:%%PORT2%%; keepalive 8;
                       keepalive_timeout 1s; }

    sgtm_zone           sgtm 16m;
    sgtm_tenants        redis=@{[ address($redis) ]} prefix=$prefix $more;
    access_log          off;
    keepalive_requests  10000000;

    server {
        listen    127.0.0.1:%%PORT2%%;
        location / { return 204; }
    }

    server {
        listen         127.0.0.1:%%PORT%%;
        server_name    _;
        sgtm_endpoint  sgtm.example.com;

        location = /status { sgtm_status; }
        location = /ping { return 204; }

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }
    }
EOC
}


sub flood {
    my ($host, @t) = @_;

    return SGTM::Flood->new(map { { port => $_->port, uri => $uri,
                                    host => $host } } @t);
}


# what is let through of a load, in parts of the rate, a second after it began.
# Where the machine was too busy to send that much it tells nothing, nor where it
# stood still for a while: once more, a few times

sub within {
    my ($flood, $what, @load) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($sum, $asked, $ratio);
    my $error = $release ? 0.05 : 0.15;
    my @rates = map { $_ * $rate } @load;
    my $wanted = sum0(@rates);

    for (1 .. 4) {
        $flood->run(1, @rates);
        $sum = $flood->run(1.2, @rates);
        $asked = ($sum->{204} + $sum->{429}) / $sum->{took};
        $ratio = $sum->{204} / $sum->{took} / $rate;
        last if $asked > 0.9 * $wanted && abs($ratio - 1) < $error;
    }

    return ok abs($ratio - 1) < $error,
              sprintf '%s: %.3f of the rate, of %.3f that were asked for',
                      $what, $ratio, $asked / $rate;
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


subtest 'three machines' => sub {
    my $redis = SGTM::Redis->start;

    $redis->put($prefix, {
        a => record('a', 1, rate => "${rate}r/s", burst => 30),
        b => record('b', 1, rate => '30r/m', burst => 9),
        c => record('c', 1),
    });

    my @t = map { gateway($redis) } 1 .. 3;

    ok reaches($_, 'synced', 5, tenants => 3), 'loaded' for @t;
    comes { !grep { $_ != 3 } map { state_of($_)->{machines} } @t } 'each knows of three';

    # a burst is divided: 9 hits at once at the first, in spite of its size

    my @burst = map { $t[0]->get($uri, Host => 'b.example')->{status} } 1 .. 9;
    cmp_ok scalar(grep { $_ == 204 } @burst), '<=', 5, 'of a burst its part';
    cmp_ok scalar(grep { $_ == 204 } @burst), '>=', 3, 'but that';

    comes { !grep { !state_of($_)->{subscribed} } @t } 'all listen';
    sleep 1.2;
    my @fds = map { descriptors($_) } @t;

    my $flood = flood('a.example', @t);

    for (['skewed', 2.5, 0.2, 0.1],
         ['moved', 0.1, 0.2, 2.5], ['to one', 0, 2, 0])
    {
        within $flood, @$_;
    }

    $flood->finish;

    # below the rate, where it is divided unevenly

    my @low = (0.6 * $rate, 0.1 * $rate, 0);

    $flood->run(0.8, @low);
    my $low = $flood->run(0.8, @low);
    is $low->{429}, 0, 'below the rate nothing is refused';

    is $t[0]->get($uri, Host => 'c.example')->{status}, 204,
       'nor anything of another tenant';

    # a change is one of all of them, hit by hit

    for my $n (2 .. 21) {
        my ($old, $new) = map { 'G-CHANGE' . ($_ + 1000) } $n - 1, $n;

        $redis->put($prefix, { c => record('c', $n, tag_ids => [$new]) });

        next if $n % 5;

        comes { !grep { $_->get($uri =~ s/G-\w+/$new/r,
                                Host => 'c.example')->{status} != 204 } @t } 'a change, on three machines';
        is join(' ', map { $_->get($uri =~ s/G-\w+/$old/r,
                                   Host => 'c.example')->{status} } @t),
           '403 403 403', 'which is all that is in force';
    }

    # Redis stops while they are at it

    my @load = (2, 0.4, 0.4);

    $flood->run(1, map { $_ * $rate } @load);
    $redis->stop;
    ok reaches($_, 'away', 5), 'Redis is away' for @t;
    is state_of($_)->{sharing}, 0, 'so nothing is shared' for @t;

    my $sum = $flood->run(1.5, map { $_ * $rate } @load);
    my $away = $sum->{204} / $sum->{took} / $rate;

    cmp_ok $away, '>', 0.9, sprintf 'the parts hold: %.3f of the rate', $away;
    cmp_ok $away, '<', 2, 'of all together less than twice the rate';
    cmp_ok $sum->{each}[1]{204}, '>', 0.25 * $rate * $sum->{took},
           'of each at least an even part';

    my $start = time;
    $t[0]->get('/ping') for 1 .. 50;
    cmp_ok time - $start, '<', 1, 'and nobody waits';

    $redis->restart;
    $redis->put($prefix, { a => record('a', 2, rate => "${rate}r/s",
                                       burst => 30) });

    comes { !grep { !state_of($_)->{sharing} } @t } 'Redis is back', 12;
    within $flood, 'and the parts are', @load;

    $flood->close;
    comes { join(' ', map { descriptors($_) } @t) eq "@fds" } 'no descriptor is left';
    is $redis->clients, 6, 'nor is a connection';

    # the owner of one is killed

    my ($owner) = sort { $a <=> $b } $t[1]->workers;

    $t[1]->{killed} += 1;
    kill 'KILL', $owner;
    $t[1]->expect_log(qr/exited on signal 9/);
    comes { state_of($t[1])->{sharing} } 'a new worker goes on';

    my $again = flood('a.example', @t);
    within $again, 'evenly', 1, 1, 1;

    # one reloads in the middle, another ends

    $t[2]->reload;
    $again->run(0.6, $rate, $rate, 0);
    $again->finish;
    $again->close;
    $t[2]->stop;

    my $two = flood('a.example', @t[0, 1]);
    within $two, 'two of them', 1.5, 0.8;
    $two->finish;
    $two->close;
    comes { state_of($t[0])->{machines} == 2 } 'who know that they are';
};


subtest 'of many few' => sub {
    my $redis = SGTM::Redis->start;
    my $n = 3000;

    $redis->put($prefix, { map { ("t$_" => record("t$_", 1, rate => '1000r/m')) }
                           1 .. 5000 });

    my $t = gateway($redis);

    ok reaches($t, 'synced', 10, tenants => 5000), 'loaded';
    comes { state_of($t)->{sharing} } 'limits are shared';
    sleep 0.5;
    is_deeply [grep { /:use:/ } @{ $redis->cmd('KEYS', '*') }], [],
              'nothing is in Redis of those without hits';

    my $loop = $t->http;

    for (my $i = 1; $i <= $n; $i += 20) {
        $loop->request('GET', $uri, [Host => "t$_.example"]) for $i .. $i + 19;
        $loop->response for 1 .. 20;
        sleep 0.01;
    }

    comes { @{ $redis->cmd('KEYS', "${prefix}use:*") } == $n } 'of those with hits there is';

    my @ttl = map { $redis->cmd('TTL', "${prefix}use:t$_") } 1, 1000, $n;
    ok !(grep { $_ < 1 || $_ > 60 } @ttl), "for a minute: @ttl";
    ok +(grep { $_ == $redis->cmd('TTL', "${prefix}use") } 1 .. 60),
       'as the number of rounds';

    comes { state_of($t)->{asked} == 0 } 'and they are forgotten';
    is $redis->cmd('GET', "${prefix}use:t77"), 1, 'each hit was told once';

    sleep 1.2;
    cmp_ok state_of($t)->{slice_us}, '<', $release ? 2000 : 20_000,
           'no step takes 2 ms';
    is $redis->clients, 2, 'by the two connections that there are';
};


subtest 'what is forbidden' => sub {
    my $redis = SGTM::Redis->start(requirepass => 'admin-S3cr3t',
                                   password => 'admin-S3cr3t');
    my ($acl) = SGTM::Run::get(SGTM::Run::root() . '/docs/fleet.md')
                =~ /^(ACL SETUSER sgtm on .*)$/m;
    my @acl = map { s/^>.*/>user-S3cr3t/r } split ' ', $acl;

    $redis->cmd(grep { !/^~|incrby|expire/ } @acl);
    $redis->put($prefix, { a => record('a', 1, rate => '60r/m', burst => 3),
                           b => record('b', 1, rate => '60r/m', burst => 3) });

    my $dir = SGTM::Run::dir('password');
    SGTM::Run::put("$dir/password", "user-S3cr3t\n");
    chmod 0600, "$dir/password";

    my $t = gateway($redis, "user=sgtm password_file=$dir/password");

    ok reaches($t, 'synced', 5, tenants => 2), 'tenants are loaded all the same';
    comes { $t->error_log =~ /allows this user too little, limits are not shared/ } 'it is said';
    sleep 0.7;
    is state_of($t)->{sharing}, 0, 'limits are not shared';
    is log_lines($t, qr/limits are not shared/), 1, 'said once';

    my $hits = sub {
        return join ' ', map { $t->get($uri, Host => "$_[0].example")->{status} }
                         1 .. 5;
    };

    is $hits->('a'), '204 204 204 429 429', 'and hold';

    $redis->cmd(@acl);
    $redis->cmd('CLIENT', 'KILL', 'TYPE', 'normal');
    comes { $t->error_log =~ /limits are shared again/ } 'with all rights they are', 12;

    # a counter that is none, in the way of one tenant alone

    $redis->cmd('SET', "${prefix}use:b", 'S3cr3t');
    is $hits->('b'), '204 204 204 429 429', 'what is no counter';
    sleep 0.7;
    is state_of($t)->{sharing}, 1, 'is one tenant\'s alone';

    $redis->cmd('LPUSH', "${prefix}list", 1);
    $redis->cmd('RENAME', "${prefix}list", "${prefix}use");
    comes { !state_of($t)->{sharing} } 'without a number of rounds nothing is';
    is state_of($t)->{state}, 'synced', 'but tenants are';
    unlike $t->error_log, qr/S3cr3t/, 'no secret is in the log';
};

done_testing;
