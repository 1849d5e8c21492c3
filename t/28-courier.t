#!/usr/bin/perl

# The courier: what lies in the spool reaches the tagging server through the
# named location of its server.  What is proved: the hit is sent as it was kept,
# with the time of its events; failures are tried again by a growing backoff or
# when the tagging server says, what it refuses is a dead letter at once, and
# what always fails is one in the end; hits of one client stay in order; a
# tagging server that is down gets one probe at a time, costs no hit an attempt
# and is drained at a bounded rate afterwards; an answer is not mistaken for
# nginx's own; a reload, a worker that is killed and a second nginx on the same
# spool lose nothing; what no location is there for is kept.  It guards against
# hits that vanish between the spool and the tagging server.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use POSIX ();
use Time::HiRes qw(sleep time);

my $tool = SGTM::Run::program('sgtm-spool');
my $tag_id = 'tid=G-ABC1234567';
my $serial = 0;
my $large = 'x' x (4 * 1024 * 1024);

# What the tagging server does with a hit is its own "do", as "503x2": two
# times, then it takes it; or the mode.

my (%tries);

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    my ($do, $times) = $req->{uri} =~ /ep\.do=(\w+?)(?:x(\d+))?(?:&|$)/;

    ($do, $times) = ($req->{mode}, undef) if !$do;

    if (defined $times) {
        my ($id) = $req->{uri} =~ /ep\.id=(\w+)/;
        $do = '' if $tries{$id}++ >= $times;
    }

    return [200, [], 'taken'] if !$do;
    return { delay => 0.1, status => 204 } if $do eq 'slow';
    return { drop => 1 } if $do eq 'cut';
    return [200, [], $large] if $do eq 'large';
    return { raw => ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"],
             close => 1 } if $do eq 'part';
    return [503, ['Retry-After' => 2], 'later'] if $do eq 'later';
    return [503, ['Retry-After' => 6], 'later'] if $do eq 'much';
    return { status => 503, delay => 1, headers => ['Retry-After' => 6] }
        if $do eq 'muchlate';
    return [429, ['Retry-After' => date(3)], 'later'] if $do eq 'date';
    return [$do, ['Location' => '/', 'X-Accel-Redirect' => '/x'], 'no'];
});


sub date {
    return POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + $_[0]));
}


# the shipped lines with a shorter time to wait

my $proxy = SGTM::Run::get(SGTM::Run::root()
                           . '/conf-examples/sgtm_proxy.conf');

$proxy =~ s/^#.*\n//mg;
$proxy =~ s/(proxy_read_timeout\s+)\w+;/${1}2s;/
    or die "no proxy_read_timeout in sgtm_proxy.conf\n";


# an http{} with one gateway that queues and its courier; %opt: courier (its
# parameters), location (more lines of it), server, http, spool, pass

sub conf {
    my (%opt) = @_;

    $_ = defined $_ ? $_ : '' for @opt{qw(location server http)};

    my $courier = defined $opt{courier} ? $opt{courier} : 'backoff=200ms';
    my $pass = $opt{pass} || 'http://tagging';
    my $spool = $opt{spool} || 'spool';
    my $name = $opt{name} || '@courier';

    return <<"EOC";
    sgtm_spool  $spool  sync=off;

    log_format  sent  '\$request_uri \$args \$remote_addr \$sgtm_tenant '
                      '\$upstream_status';

    upstream tagging {
        server     127.0.0.1:@{[ $tag->port ]} max_fails=0;
        keepalive  64;
    }

    $opt{http}

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  shop.example;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_tenant    shop;
        sgtm_courier   $name $courier;

        $opt{server}

        location /m/ {
            sgtm           on;
            sgtm_delivery  queued;
            proxy_pass     http://tagging/;
            $proxy
        }

        location $name {
            proxy_pass        $pass;
            $proxy
            proxy_set_header  X-Tenant \$sgtm_tenant;
            proxy_set_header  X-Real \$remote_addr;
            $opt{location}
        }

        location = /status { sgtm_status; }
    }
EOC
}


sub hit {
    my ($t, $more, $body) = @_;

    my $id = sprintf 'id%05d', ++$serial;
    my $uri = "/m/g/collect?v=2&$tag_id&gcs=G111&en=a&ep.id=$id"
              . ($more || "&cid=$serial");

    my $c = $t->{client} ||= $t->http;

    defined $body ? $c->request('POST', $uri, [], $body)
                  : $c->request('GET', $uri);

    my $res = $c->response;

    is $res->{status}, 204, 'kept' if $res->{status} != 204;
    delete $t->{client} if lc($res->{h}{connection} || '') eq 'close';

    return $id;
}


sub ids {
    return map { "$_->{uri}$_->{body}" =~ /ep\.id=(id\d+)/ } @_;
}


# the requests of some hit

sub of {
    my ($id) = @_;

    return grep { $_->{uri} =~ /ep\.id=$id\b/ } $tag->requests;
}


sub all_arrive {
    my ($name, $seconds, @ids) = @_;

    my $missing = sub {
        my %got = map { $_ => 1 } ids($tag->requests);
        return grep { !$got{$_} } @ids;
    };

    wait_for { !$missing->() } $seconds;

    is join(' ', $missing->()), '', $name;
}


# what is in the database; the tool has moved there what the journal had

sub sql {
    my ($t, $text) = @_;

    my ($status, $out) = run($tool, $t->dir . '/spool', 'list');

    die "sgtm-spool: $out" if $status;

    ($status, $out) = run('sqlite3', '-cmd', '.timeout 5000',
                             $t->dir . '/spool/spool.db', $text);

    die "sqlite3: $out" if $status;
    chomp $out;

    return $out;
}


sub waiting { return sql($_[0], 'SELECT count(*) FROM hit') }


sub dead {
    my ($t) = @_;

    return sql($t, "SELECT substr(args, instr(args, 'ep.id=') + 6, 7), "
                   . 'attempts, error FROM dead ORDER BY 1');
}


sub empty {
    my ($t, $name, $seconds) = @_;

    wait_for { waiting($t) == 0 } $seconds || 5;
    is waiting($t), 0, $name;
}


# the state of the only target

sub target {
    my ($t) = @_;

    my ($target) = @{ $t->status('/status')->{spool}{targets} };

    return $target || { name => '', state => '' };
}


# waits until it is so, since the courier shows it twice a second

sub target_is {
    my ($t, $state) = @_;

    wait_for { target($t)->{state} eq $state } 5;
    is target($t)->{state}, $state, "the target is $state";
}


subtest 'delivery' => sub {
    my $t = SGTM::Test->start(conf(
        location => 'access_log %%DIR%%/sent.log sent;'));

    $tag->clear;

    my $before = int(time * 1000);
    my $get = hit($t, '&cid=1.2&a=%2520b&bare&c=&richsstsse');
    my $post = hit($t, '&cid=1.3', "en=b&ep.x=1\r\nen=c");
    my $own = hit($t, '&cid=1.4&epn.event_timestamp=17');
    my $line = hit($t, '&cid=1.5', "en=b\r\nen=c&ep.event_timestamp=18");

    $tag->wait_requests(4);

    my ($first, $second, $third, $fourth)
        = map { (of($_))[0] } $get, $post, $own, $line;

    like $first->{uri}, qr{^/g/collect\?v=2&.*&a=%2520b&bare&c=.*
                           &epn\.event_timestamp=(\d+)&richsstsse$}x,
         'the query, with the time, before richsstsse';

    my ($time) = $first->{uri} =~ /timestamp=(\d+)/;

    cmp_ok $time, '>=', $before, 'of the event';
    cmp_ok $time, '<=', time * 1000, 'in milliseconds';

    is $first->{method}, 'GET', 'GET';
    is $first->{h}{'content-length'}, undef, 'without a body';
    is $second->{method}, 'POST', 'POST';
    is $second->{body}, "en=b&ep.x=1\r\nen=c", 'the body';
    is $second->{h}{'content-length'}, 17, 'its length';
    is $second->{h}{host}, 'sgtm.example.com', 'Host is the endpoint';
    is $second->{h}{'x-tenant'}, 'shop', 'the tenant';
    is $second->{h}{'x-real'}, 'unix:', 'no address';
    is $second->{h}{'x-forwarded-for'}, '127.0.0.1', 'but the visitor\'s';

    unlike $third->{uri}, qr/timestamp=(?!17)/, 'a time of its own stays';
    unlike $fourth->{uri}, qr/timestamp/, 'also in a body';

    empty($t, 'nothing is left');

    my $log = SGTM::Run::get($t->dir . '/sent.log');

    is scalar(() = $log =~ m{^/g/collect .*unix: shop 200$}mg), 4,
       'the location has its log';
    is scalar(() = SGTM::Run::get($t->dir . '/access.log') =~ /\n/g), 4,
       'the site has the visitors';
    cmp_ok $tag->connections, '<', 4, 'connections are kept';

    my $spool = $t->status('/status')->{spool};

    is $spool->{delivered}, 4, 'counted as delivered';
    is $spool->{waiting}, 0, 'and not as waiting';
    target_is($t, 'closed');
    is target($t)->{name}, 'shop.example@courier', 'its name';

    my $text = $t->get('/status?format=prometheus')->{body};

    like $text, qr/^sgtm_spool_total\{what="delivered"\} 4$/m, 'as metrics';
    like $text, qr/^sgtm_courier_up\{target="shop\.example\@courier"\} 1$/m,
         'the target, too';
};


subtest 'without a log of its own' => sub {
    my $t = SGTM::Test->start(conf());

    $tag->clear;
    hit($t);
    $tag->wait_requests(1);
    empty($t, 'delivered');

    is scalar(() = SGTM::Run::get($t->dir . '/access.log') =~ /\n/g), 1,
       'the site\'s log has the visitor alone';
    unlike $t->error_log, qr/cid=/, 'nor has the error log';
};


subtest 'a location that rewrites' => sub {
    my $t = SGTM::Test->start(conf(
        location => 'set $base /base; rewrite ^ $base$uri break;'));

    $tag->clear;
    hit($t, '&cid=1.2&a=%2Fb');

    my ($got) = $tag->wait_requests(1);

    like $got->{uri}, qr{^/base/g/collect\?v=2&.*&a=%2Fb&}, 'another path';
    empty($t, 'delivered');
};


subtest 'JSON, and what is not a parameter' => sub {
    my $t = SGTM::Test->start(conf());

    $tag->clear;
    hit($t);
    $tag->wait_requests(1);
    empty($t, 'delivered');

    my @bodies = ('{"client_id":"1.2","events":[{"name":"a"}]}',
                  ' { } ',
                  '{"timestamp_micros":"7","events":[]}',
                  '{"a":{"timestamp_micros":7},"b":"\"timestamp_micros"}',
                  '[1]');
    my $now = int(time * 1000) - 5000;
    my $n = 0;

    $tag->clear;
    sql($t, join '', map {
        $n++;
        my $id = (1 << 46) + $now + $n;
        "INSERT INTO hit VALUES ($id, 1, 0, 0, $now, 0, 1, 'shop', '', 'POST',"
        . " '/mp/collect', 'measurement_id=G-ABC1234567&n=$n',"
        . " 'Content-Type: application/json' || char(13, 10), '$_');"
    } @bodies);

    my @got = sort { $a->{uri} cmp $b->{uri} } $tag->wait_requests(5, 8);

    is $got[0]{body}, qq({"timestamp_micros":${now}000,"client_id":"1.2",)
                      . '"events":[{"name":"a"}]}', 'the time of its events';
    is $got[0]{uri}, '/mp/collect?measurement_id=G-ABC1234567&n=1',
       'nothing in the query';
    is $got[0]{h}{'content-type'}, 'application/json', 'its type';
    is $got[0]{h}{'content-length'}, length $got[0]{body}, 'its new length';
    is $got[1]{body}, qq( {"timestamp_micros":${now}000 } ), 'an empty object';
    is $got[2]{body}, $bodies[2], 'a time of its own stays';
    is $got[3]{body}, qq({"timestamp_micros":${now}000,)
                      . substr($bodies[3], 1), 'an inner one is another\'s';
    is $got[4]{body}, $bodies[4], 'what is no object stays';
};


subtest 'the secret of the Measurement Protocol' => sub {
    my $dir = SGTM::Run::dir('secret');

    SGTM::Run::put("$dir/mp", "s3&cret/1\n");
    chmod 0600, "$dir/mp";

    my $t = SGTM::Test->start(conf(
        http => "sgtm_api_secret $dir/mp;
                 log_format  secret  '\$request|\$request_uri|\$args|'
                                     '\$arg_api_secret|\$query_string|'
                                     '\$sgtm_uri|\$upstream_status';",
        location => 'access_log %%DIR%%/sent.log secret;'));

    $tag->clear;
    $tag->mode('503');

    my $res = $t->post("/m/mp/collect?measurement_id=G-ABC1234567"
                       . '&api_secret=s3%26cret%2F1',
                       '{"client_id":"1.2","events":[{"name":"a"}]}',
                       'Content-Type' => 'application/json');

    is $res->{status}, 204, 'kept';
    unlike sql($t, 'SELECT * FROM hit'), qr/s3/, 'without its secret';

    $tag->mode('');
    $tag->clear;

    my ($got) = $tag->wait_requests(1);

    like $got->{uri}, qr{^/mp/collect\?measurement_id=G-ABC1234567
                         &api_secret=s3%26cret%2F1$}x, 'sent with it';
    like $got->{body}, qr/^\{"timestamp_micros":\d{16},"client_id":"1\.2",/,
         'and with its time';
    empty($t, 'delivered');

    my $sent = SGTM::Run::get($t->dir . '/sent.log');

    like $sent, qr{^POST /mp/collect HTTP/1\.1\|/mp/collect\|.*\|200$}m,
         'what the courier sends is in the log of its location';
    unlike $t->error_log . $sent . SGTM::Run::get($t->dir . '/access.log'),
           qr/s3(?:&|%26)cret/, 'no log has it';
};


# Until something was delivered a failure says nothing of the hit: the outage
# may be older than the courier.

sub prove_courier {
    my ($t) = @_;

    $tag->clear;
    all_arrive('the first one arrives', 3, hit($t));
    empty($t, 'and is delivered');
    $tag->clear;
}


subtest 'again, later and later' => sub {
    my $t = SGTM::Test->start(conf(courier => 'backoff=300ms'));

    prove_courier($t);

    # five failures in a row would be an outage: in two groups they are none

    my %hits = map { $_ => hit($t, "&cid=$serial&ep.do=$_") }
               qw(503x3 cutx1 part);

    for (1 .. 100) {
        last if of($hits{cutx1}) == 2 && of($hits{part});
        sleep 0.05;
    }

    $hits{$_} = hit($t, "&cid=$serial&ep.do=$_") for qw(408x1 laterx1 datex1);

    all_arrive('all are sent', 3, values %hits);
    empty($t, 'and delivered', 8);

    my @times = map { $_->{time} } of($hits{'503x3'});
    my @gaps = map { $times[$_] - $times[$_ - 1] } 1 .. $#times;

    is scalar(@times), 4, 'three failures, four attempts';

    for my $n (0 .. 2) {
        my $want = 0.3 * 2 ** $n;

        cmp_ok $gaps[$n], '>', $want * 0.75, "after $want s";
        cmp_ok $gaps[$n], '<', $want * 1.25 + 0.4, 'and not much later';
    }

    for my $do ('cutx1', '408x1') {
        is scalar(of($hits{$do})), 2, $do;
    }

    for my $do ('laterx1', 'datex1') {
        my ($first, $second) = map { $_->{time} } of($hits{$do});

        cmp_ok $second - $first, '>', 1.7, "$do: Retry-After";
    }

    is scalar(of($hits{part})), 1, 'a 2xx that is cut is delivered';
    cmp_ok $t->status('/status')->{spool}{retried}, '>=', 5,
           'retries are counted';
    is dead($t), '', 'no dead letter';
};


subtest 'dead letters' => sub {
    my $t = SGTM::Test->start(conf(courier => 'attempts=3 backoff=100ms'));

    $tag->clear;

    my @ids = map { hit($t, "&cid=$serial&ep.do=$_") } 400, 404, 500;

    # one of those that fail at a time: three in a row would be an outage

    for my $n (1 .. 30) {
        push @ids, hit($t, "&cid=$serial&ep.do=302") if $n == 15;
        hit($t);
        sleep 0.05;
    }

    empty($t, 'none waits');

    is dead($t), "$ids[0]|1|status 400\n$ids[1]|1|status 404\n"
                 . "$ids[2]|3|status 500\n$ids[3]|3|status 302", 'and why';
    is scalar(of($ids[0])), 1, 'a refused one is sent once';
    is scalar(of($ids[2])), 3, 'one that fails as often as it says';
    is scalar(of($ids[3])), 3, 'and so is one that nobody can follow';

    my $spool = $t->status('/status')->{spool};

    is $spool->{died}, 4, 'counted';
    is $spool->{dead}, 4, 'and listed';
    is $spool->{delivered}, 30, 'the others are delivered';
};


subtest 'older than 72 hours' => sub {
    my $t = SGTM::Test->start(conf());

    $tag->stop;

    my ($old, $young) = (hit($t), hit($t));

    $t->stop;
    sql($t, 'UPDATE hit SET time = time - 72 * 3600000 - 1 '
            . "WHERE args LIKE '%$old%'");
    $tag->restart;
    $tag->clear;
    $t->restart;

    all_arrive('the younger one arrives', 15, $young);
    empty($t, 'none waits');

    like dead($t), qr/^$old\|\d\|older than 72 hours$/, 'the other is dead';
    is scalar(of($old)), 0, 'and was not sent';
};


subtest 'order' => sub {
    my $t = SGTM::Test->start(conf(courier => 'backoff=200ms'));

    $tag->clear;

    my (@a, @b);

    for my $n (1 .. 12) {
        my $do = $n == 3 ? '&ep.do=503x2' : $n == 7 ? '&ep.do=cutx1' : '';

        push @a, hit($t, "&cid=7.7$do");
        push @b, hit($t, '&cid=8.8');
    }

    all_arrive('all arrive', 10, @a, @b);
    empty($t, 'and are delivered');

    my (%last, $n);
    $last{$_} = ++$n for ids($tag->requests);

    my $by_time = sub { join ' ', sort { $last{$a} <=> $last{$b} } @_ };

    is $by_time->(@a), "@a", 'the client with failures: in order';
    is $by_time->(@b), "@b", 'the other: in order';
    cmp_ok $last{$b[-1]}, '<', $last{$a[-1]}, 'and not held up';

    my ($third) = grep { (ids($_))[0] eq $a[2] } reverse $tag->requests;
    my ($fourth) = of($a[3]);

    cmp_ok $fourth->{time}, '>=', $third->{time}, 'those behind have waited';

    # of those that come while others of the client are under way

    $tag->clear;
    $tag->mode('slow');

    my @ids = map { sleep 0.03; hit($t, '&cid=9.9') } 1 .. 24;

    all_arrive('those that come one by one arrive', 10, @ids);
    is join(' ', ids($tag->requests)), "@ids", 'in order, each once';

    $tag->mode('');
    empty($t, 'and are delivered');
};


# the same client id, of a broken page, thousands of times: they wait for the
# first, others don't

subtest 'many that are put off' => sub {
    my $t = SGTM::Test->start(conf());

    $tag->clear;
    hit($t, '&cid=5.5&ep.do=later');
    $tag->wait_requests(1);
    wait_for { sql($t, 'SELECT count(*) FROM hit WHERE due > 0') } 5;

    my $later = 2 * int(500 * time) + 3600000;

    sql($t, <<"EOC");
    UPDATE hit SET due = $later;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 9000)
    INSERT INTO hit SELECT id + i, target, due + 2 * i, client, time, 0, 1, tenant,
        '', method, uri, args, headers, body FROM hit, n;
EOC

    my @ids = map { sleep 0.05; hit($t) } 1 .. 5;

    all_arrive('those of others arrive', 5, @ids);

    my ($worker) = $t->workers;
    my $used = sub {
        my @stat = split / /, SGTM::Run::get("/proc/$worker/stat");
        return ($stat[13] + $stat[14]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
    };

    my $before = $used->();

    sleep 2;
    cmp_ok $used->() - $before, '<', 0.4, 'and the worker does not spin';

    sql($t, 'DELETE FROM hit');
};


subtest 'a tagging server that is down' => sub {
    my $t = SGTM::Test->start(conf(courier => 'backoff=200ms'));

    $tag->stop;

    my @ids = map { hit($t) } 1 .. 200;

    wait_for { target($t)->{state} =~ /open|probing/ } 5;
    like target($t)->{state}, qr/open|probing/, 'is known to be';
    is target($t)->{error}, 'no answer', 'and why';

    sleep 2;
    push @ids, map { hit($t) } 1 .. 10;

    my $lines = () = $t->error_log =~ /connect\(\) failed/g;

    cmp_ok $lines, '<', 25, 'few were tried';
    is waiting($t), 210, 'all wait';
    cmp_ok sql($t, 'SELECT max(attempts) FROM hit'), '<', 2,
           'nearly without an attempt';

    $tag->restart;
    $tag->clear;

    all_arrive('all arrive', 12, @ids);
    empty($t, 'and are delivered');

    my %count;
    $count{$_}++ for ids($tag->requests);

    is scalar(grep { $_ > 1 } values %count), 0, 'each once';
    is dead($t), '', 'no dead letter';
    target_is($t, 'closed');
    like $t->error_log, qr/\[warn\].*is down.*\[notice\].*is back/s, 'logged';
};


subtest 'one probe at a time, another hit each time' => sub {
    my $t = SGTM::Test->start(conf(courier => 'backoff=200ms attempts=5'));

    prove_courier($t);
    $tag->mode('503');

    my @ids = map { hit($t) } 1 .. 40;

    sleep 3.5;

    my @got = $tag->requests;
    my @probes = @got[5 .. $#got];
    my %seen;

    cmp_ok scalar(@got), '<=', 16, 'few requests';
    cmp_ok scalar(@probes), '>=', 3, 'but some';

    is scalar(grep { $seen{$_}++ } ids(@probes)), 0, 'of different hits';

    my @gaps = map { $probes[$_]{time} - $probes[$_ - 1]{time} } 1 .. $#probes;

    cmp_ok $gaps[-1], '>', 0.6, 'less and less often';

    $tag->mode('');
    all_arrive('all arrive', 8, @ids);
    empty($t, 'and are delivered', 8);
    is dead($t), '', 'no dead letter';
};


# What an outage has put off comes as soon as it is over; what has a time of its
# own, by a Retry-After, waits for that, whether it failed before or within it.

subtest 'a time of its own' => sub {
    my $t = SGTM::Test->start(conf(courier => 'backoff=200ms'));

    prove_courier($t);

    # enough of them for several to be under way at once

    all_arrive('some arrive', 5, map { hit($t) } 1 .. 20);
    $tag->clear;

    my @own = map { hit($t, "&cid=$serial&ep.do=$_") } qw(muchx1 muchlatex1);

    $tag->wait_requests(2);
    $tag->mode('503');

    hit($t) for 1 .. 20;

    $t->wait_log(qr/is down, hits wait/);
    sleep 1.5;
    $tag->mode('');

    ok $t->wait_log(qr/is back/), 'after an outage';
    wait_for { waiting($t) == @own } 3;
    is waiting($t), @own, 'the others are delivered';

    my $over = time;

    wait_for { @own == grep { of($_) == 2 } @own } 12;

    for my $id (@own) {
        my ($first, $second) = map { $_->{time} } of($id);

        cmp_ok $second - $first, '>', 5.9, 'what is to wait does';
        cmp_ok $first + 5.9, '>', $over, 'for longer than the others';
    }

    empty($t, 'all are delivered');
    is dead($t), '', 'no dead letter';
};


subtest 'the only hit, for longer than its attempts' => sub {
    my $t = SGTM::Test->start(conf(courier => 'backoff=50ms attempts=3'));

    $tag->mode('500');
    $tag->clear;

    my $id = hit($t);

    sleep 2.5;
    cmp_ok scalar(of($id)), '>', 4, 'it is tried on';

    $tag->mode('');
    $tag->clear;
    all_arrive('it arrives', 5, $id);
    empty($t, 'and is delivered');
    is dead($t), '', 'no dead letter';
};


subtest 'the rate' => sub {
    my $t = SGTM::Test->start(conf(courier => 'rate=50'));

    $tag->clear;

    my @ids = map { hit($t) } 1 .. 100;

    all_arrive('all arrive', 8, @ids);

    my @times = map { $_->{time} } $tag->requests;
    my $took = $times[-1] - $times[0];

    cmp_ok $took, '>', 1.6, 'at no more than its rate';
    cmp_ok $took, '<', 4, 'and not much less';
};


subtest 'nginx\'s own answers are none of the tagging server\'s' => sub {
    my $t = SGTM::Test->start(conf(
        courier => 'backoff=100ms',
        server => 'error_page 500 502 503 504 =200 /page;'
                  . 'location = /page { return 200 ok; }',
        http => 'limit_req_zone $server_name zone=one:1m rate=1r/m;'
                . 'limit_conn_zone $server_name zone=two:1m;',
        location => 'limit_req zone=one; limit_conn two 1; limit_rate 1;'
                    . 'gzip on; gzip_types *; gzip_min_length 1;'));

    $tag->clear;

    my @ids = map { hit($t, "&cid=$serial&ep.do=$_") } qw(503x2 cutx2 500x1);

    push @ids, map { hit($t) } 1 .. 5;

    all_arrive('all arrive', 5, @ids);
    empty($t, 'and are delivered');

    is scalar(of($ids[0])), 3, 'a page for 503 is no delivery';
    is scalar(of($ids[1])), 3, 'nor one for no answer';
    is scalar(of($ids[5])), 1, 'a limit for visitors is none for the courier';

    $t->reload(conf(courier => 'backoff=100ms', location => 'deny all;'),
               wait_old => 1);
    delete $t->{client};

    my $id = hit($t, "&cid=$serial&ep.do=404");

    $t->wait_log(qr/access forbidden by rule/);
    sleep 0.3;
    is scalar(of($id)), 0, 'what nginx forbids is not sent';
    is dead($t), '', 'and no dead letter';

    $t->reload(conf(), wait_old => 1);
    wait_for { dead($t) } 8;
    like dead($t), qr/^$id\|\d\|status 404$/, 'that is the tagging server\'s to say';
};


subtest 'large answers' => sub {
    my $t = SGTM::Test->start(conf());
    my ($worker) = $t->workers;
    my $rss = sub { SGTM::Run::get("/proc/$worker/status") =~ /VmRSS:\s+(\d+)/;
                    return $1 };

    my $fds = sub { scalar(() = glob "/proc/$worker/fd/*") };

    $tag->clear;
    hit($t);
    $tag->wait_requests(1);
    empty($t, 'one is delivered');

    my ($size, $open) = ($rss->(), $fds->());
    my @ids = map { hit($t, "&cid=$serial&ep.do=large") } 1 .. 40;

    all_arrive('they arrive', 20, @ids);
    empty($t, 'and are delivered', 20);

    cmp_ok $rss->() - $size, '<', 48 * 1024, 'memory does not grow with them';
    cmp_ok $fds->() - $open, '<', 66, 'nor do descriptors, but kept ones';
};


subtest 'few connections' => sub {
    my $t = SGTM::Test->start(conf(), connections => 40);

    $tag->mode('slow');
    $tag->clear;

    my @ids = map { hit($t) } 1 .. 80;

    all_arrive('all arrive', 10, @ids);
    $tag->mode('');
    empty($t, 'and are delivered');
    unlike $t->error_log, qr/not enough/, 'and clients have some left';
};


subtest 'TLS to the tagging server' => sub {
    my $front = SGTM::Test->start(<<"EOC", names => 'sgtm.example.com');
    server {
        listen               127.0.0.1:%%PORT%% ssl;
        ssl_certificate      %%CERT%%;
        ssl_certificate_key  %%KEY%%;

        location / {
            proxy_pass        http://127.0.0.1:@{[ $tag->port ]};
            proxy_set_header  X-Sni \$ssl_server_name;
        }
    }
EOC

    my $ca = $front->certificate->{cert};

    my $conf = conf(
        http => "upstream tls { server 127.0.0.1:@{[ $front->port ]}; }",
        pass => 'https://tls$sgtm_uri');

    $conf =~ s{/etc/ssl/certs/ca-certificates\.crt}{$ca}g or die 'no CA';

    my $t = SGTM::Test->start($conf);

    $tag->clear;

    my $id = hit($t, '&cid=1.2&a=%20b');
    my ($got) = $tag->wait_requests(1);

    is $got->{h}{'x-sni'}, 'sgtm.example.com', 'the endpoint\'s name';
    like $got->{uri}, qr{^/g/collect\?v=2&.*&a=%20b&}, '$sgtm_uri';
    empty($t, 'delivered');
};


subtest 'a location that is gone' => sub {
    my $t = SGTM::Test->start(conf());

    $tag->stop;

    my @ids = map { hit($t) } 1 .. 5;

    $t->reload(conf(name => '@other'), wait_old => 1);
    delete $t->{client};
    $tag->restart;
    $tag->clear;

    my $new = hit($t);

    all_arrive('what is new arrives', 5, $new);
    wait_for { $t->status('/status')->{spool}{orphans} } 5;
    sleep 0.5;

    is scalar(ids($tag->requests)), 1, 'the others are sent by no other';
    is waiting($t), 5, 'they are kept';
    is $t->status('/status')->{spool}{orphans}, 1, 'their target is counted';

    my $lines = () = $t->error_log =~ /\[warn\].*"shop\.example\@courier"/g;

    $lines -= () = $t->error_log =~ /\[warn\].*is down/g;
    is $lines, 1, 'and the log says so once';

    $t->reload(conf(), wait_old => 1);
    all_arrive('the location is there again', 8, @ids);
    empty($t, 'nothing is left');
};


subtest 'reloads and a killed worker while it drains' => sub {
    SGTM::Test->timeout(400);

    my $t = SGTM::Test->start(conf(courier => 'concurrency=8'), workers => 2);

    $tag->mode('slow');
    $tag->clear;

    my @ids = map { hit($t) } 1 .. 300;

    for (1 .. 3) {
        sleep 0.5;
        $t->reload(undef, wait_old => 1);
        delete $t->{client};
    }

    push @ids, map { hit($t) } 1 .. 20;

    my ($courier) = sort { $a <=> $b } $t->workers;

    $t->kill_worker($courier);
    delete $t->{client};
    sleep 0.3;

    $tag->mode('');
    all_arrive('all arrive', 25, @ids);
    empty($t, 'and are delivered', 15);

    my %count;
    $count{$_}++ for ids($tag->requests);

    cmp_ok scalar(grep { $_ > 1 } values %count), '<', 20,
           'few twice, of the killed worker\'s';
    is dead($t), '', 'no dead letter';
};


subtest 'two of them' => sub {
    my $one = SGTM::Test->start(conf());
    my $dir = $one->dir . '/spool';

    $tag->mode('slow');
    $tag->clear;

    my @ids = map { hit($one) } 1 .. 100;
    my $two = SGTM::Test->start(conf(spool => $dir));

    push @ids, map { (hit($one), hit($two)) } 1 .. 50;

    sleep 0.3;
    push @ids, map { hit($two) } 1 .. 20;
    $one->stop;
    push @ids, map { hit($two) } 1 .. 20;

    $tag->mode('');
    all_arrive('all arrive', 8, @ids);
    empty($one, 'and are delivered');

    my %count;
    $count{$_}++ for ids($tag->requests);

    is scalar(grep { $_ > 1 } values %count), 0, 'each once';
};


subtest 'a lease that is lost' => sub {
    my $one = SGTM::Test->start(conf(courier => 'concurrency=2'));
    my ($worker) = $one->workers;

    $tag->mode('slow');
    $tag->clear;

    my @ids = map { hit($one) } 1 .. 150;

    $tag->wait_requests(4);
    kill 'STOP', $worker;

    my $left = waiting($one);
    my $two = SGTM::Test->start(conf(courier => 'concurrency=2',
                                     spool => $one->dir . '/spool'));

    push @ids, map { hit($two) } 1 .. 10;
    sleep 2;
    is waiting($one), $left + 10, 'as long as it holds, the other one waits';

    $tag->mode('');
    all_arrive('then that one delivers', 20, @ids);
    empty($one, 'all of them');

    kill 'CONT', $worker;
    push @ids, hit($one);
    all_arrive('the first one is back', 15, @ids);
    empty($one, 'nothing is left', 15);
    sleep 0.5;

    my %count;
    $count{$_}++ for ids($tag->requests);

    cmp_ok scalar(grep { $_ > 1 } values %count), '<=', 4,
           'twice at most what it had sent and not settled';
    is dead($one), '', 'no dead letter';
};


# what nginx -t says

sub says {
    my ($server, $more) = @_;

    my ($status, $out) = nginx_t(<<"EOC");
    sgtm_spool spool;
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; }

    server {
        server_name    shop.example;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;

        location \@courier { proxy_pass http://tagging; }
        location \@empty { }
        location /a/ { sgtm on; $server proxy_pass http://tagging/; }
        ${\($more || '')}
    }

    server {
        listen         8081;
        server_name    shop.example;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_courier   \@courier;

        location \@courier { proxy_pass http://tagging; }
        location /a/ { sgtm on; proxy_pass http://tagging/; }
    }
EOC

    return ($status ? '' : 'ok ') . $out;
}

like says('sgtm_courier @courier;'), qr/^ok (?!.*\[(?:warn|emerg))/s, 'plain';
like says('sgtm_courier @courier attempts=3 backoff=5s concurrency=9 rate=7;'),
     qr/^ok /, 'with parameters';
like says('sgtm_courier @none;'),
     qr/emerg.*no location "\@none" of "sgtm_courier" in server "shop\.example"/,
     'a location that is not there';
like says('sgtm_courier @empty;'),
     qr/emerg.*location "\@empty" of "sgtm_courier".*no "proxy_pass"/,
     'one that sends nothing';
like says('sgtm_courier courier;'), qr/emerg.*"courier".*named location/,
     'none that is named';
like says("sgtm_courier \@courier $_;"), qr/emerg.*"\Q$_\E".*attempts=/, $_
    for qw(attempts=0 attempts=x backoff=1ms backoff=2h concurrency=0 rate=0
           rate= speed=1);
like says('sgtm_courier @courier; sgtm_courier @courier;'),
     qr/emerg.*"sgtm_courier" directive is duplicate/, 'twice';
like says('sgtm_courier @courier;',
          'location /b/ { sgtm on; sgtm_courier @courier rate=9;'
          . ' proxy_pass http://tagging/; }'),
     qr/emerg.*other parameters than before/, 'two ways to one location';
{
    my $dir = SGTM::Run::dir('secrets');

    for my $name ('one', 'two') {
        SGTM::Run::put("$dir/$name", "secret-$name\n");
        chmod 0600, "$dir/$name";
    }

    my $other = sub {
        return 'location /b/ { sgtm on; sgtm_courier @courier;'
               . " sgtm_api_secret $dir/$_[0]; proxy_pass http://tagging/; }";
    };

    like says('sgtm_courier @courier;', $other->('one')), qr/^ok /,
         'one gateway of two with a secret';
    like says("sgtm_courier \@courier; sgtm_api_secret $dir/one;",
              $other->('two')),
         qr/emerg.*"sgtm_courier \@courier" is used with two secrets/,
         'two secrets for one location';
}

like says('sgtm_courier @courier;',
          'location /b/ { sgtm on; sgtm_courier off; sgtm_fallback off;'
          . ' proxy_pass http://tagging/; }'), qr/^ok /, 'off';

done_testing;
