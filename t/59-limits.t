#!/usr/bin/perl

# Limits on one machine.  Over four workers a tenant's rate is exact to 1 %; hits
# alone are counted, not scripts or previews; what is over it is answered 429
# with Retry-After and counted, and slows no other tenant.  An address has a
# limit of its own: the one that realip finds, of IPv6 its network, of each
# tenant; what it loses is not taken from the tenant.  It guards against workers
# that each have a rate, a limit that takes more or less than it says, one
# visitor that uses up what is everybody's, and a table that grows with them.
#
# What is queued instead is t/29-queue.t, the rate of a record t/43.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Flood;

use Time::HiRes qw(sleep time);

my $tid = 'G-ABC1234567';
my $uri = "/metrics/g/collect?v=2&tid=$tid&en=a";
my $release = ($ENV{SGTM_BUILD} || 'release') eq 'release';

my $secret = SGTM::Run::dir('secret') . '/mp';
SGTM::Run::put($secret, "s3cr3t-of-mp-0001\n");
chmod 0600, $secret;


sub server {
    my ($name, $limit, $location) = @_;

    $location ||= '';

    return <<"EOC";
    server {
        listen          127.0.0.1:%%PORT%%;
        server_name     $name;
        sgtm_endpoint   sgtm.example.com;
        sgtm_tag_id     $tid;
        sgtm_container  GTM-ABC1234;
        sgtm_fallback   off;
        $limit

        location /metrics/ {
            sgtm             on;
            sgtm_debug       on;
            sgtm_api_secret  $secret;
            $location
            proxy_pass       http://tagging/;
            include          sgtm_proxy.conf;
        }

        location /other/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }
    }
EOC
}


my $realip = 'set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-Ip;';

my $t = SGTM::Test->start(<<"EOC", workers => 4);
    upstream tagging { server 127.0.0.1:%%PORT2%%; keepalive 8; }

    sgtm_zone           sgtm 2m;
    log_format          pid '\$pid \$host';
    access_log          %%DIR%%/access.log pid;
    keepalive_requests  10000000;

    server {
        listen      127.0.0.1:%%PORT2%%;
        access_log  off;
        location / { return 204; }
    }

    server {
        listen  127.0.0.1:%%PORT%% default_server reuseport;
        location = /status { access_log off; sgtm_status; }
    }

@{[ server('exact.example', 'sgtm_rate_limit 800r/s burst=800;') ]}
@{[ server('slow.example', 'sgtm_rate_limit 6r/m burst=2;') ]}
@{[ server('free.example', '') ]}
@{[ server('addr.example', 'sgtm_rate_limit 30r/m burst=30 address=4r/m;', $realip) ]}
@{[ server('only.example', 'sgtm_rate_limit off address=3r/m;', $realip) ]}
@{[ server('inner.example', 'sgtm_rate_limit off address=3r/m;',
           "$realip sgtm_rate_limit 2r/m;") ]}
EOC


sub counted {
    my ($tenant) = @_;

    return $t->status('/status')->{tenants}{$tenant};
}


sub hits {
    my ($n, $host, $address, $path) = @_;

    my @headers = (Host => $host);
    push @headers, 'X-Real-Ip' => $address if $address;

    return join ' ', map { $t->get($path || $uri, @headers)->{status} } 1 .. $n;
}


# For as long as it takes: what came in is the burst and the rate times the time,
# whatever else the machine does, as long as it does not stand still for the
# whole burst's time.

subtest 'four workers' => sub {
    my $flood = SGTM::Flood->new({ port => $t->port, host => 'exact.example',
                                   uri => $uri, connections => 16 });
    my ($sum, $may, $taken, $tries);

    for (1 .. 5) {
        my $start = SGTM::Flood::now();
        my ($last);
        my $all = { 204 => 0, 429 => 0 };

        while (SGTM::Flood::now() < $start + 3.2) {
            $last = $flood->run(0.25, 3000);
            $all->{$_} += $last->{$_} for 204, 429;
        }

        my $rest = $flood->finish;
        $all->{$_} += $rest->{$_} for 204, 429;

        $taken += $all->{204};
        $sum += $all->{204} + $all->{429};
        $may = 800 + 800 * (SGTM::Flood::now() - $start);

        # what is refused at the end shows that nothing was left to be taken

        last if $last->{429} > 20 && $taken >= 0.99 * $may;
        sleep 1.1;
        ($taken, $tries) = (0, 1);
    }

    $flood->close;

    cmp_ok $taken, '<=', $may + 8, sprintf '%d taken, of %.1f that may', $taken,
                                           $may;
    cmp_ok $taken, '>=', 0.99 * $may, 'and not less';

    my $c = counted('exact.example')->{hits};

    is $c->{forwarded} + $c->{limited}, $sum, 'all are counted';
    is $c->{forwarded}, $taken, 'as what they were' if !$tries;

    my %pids = map { /^(\d+) exact/ ? ($1 => 1) : () }
               split /\n/, $t->access_log;
    cmp_ok scalar(keys %pids), '>=', 2, 'by several workers';
};


subtest 'over it' => sub {
    is hits(4, 'slow.example'), '204 204 429 429', 'a burst, and then nothing';

    my $res = $t->get($uri, Host => 'slow.example');

    like header($res, 'Retry-After'), qr/^(?:[1-9]|10)$/, 'Retry-After';
    is header($res, 'Sgtm-Reason'), 'rate_limit', 'why';
    is header($res, 'Sgtm-Disposition'), 'limited', 'what';
    is $res->{body}, "rate: over the limit\n", 'a line of text';

    is hits(1, 'slow.example', undef, $uri =~ s/metrics/other/r), 429,
       'another location of the tenant';
    is hits(3, 'slow.example', undef, '/metrics/t.js'), '200 200 200',
       'scripts are not limited';
    is hits(2, 'slow.example', undef, '/metrics/gtm.js?id=GTM-ABC1234'),
       '204 204', 'nor are tags';
    is $t->get($uri, Host => 'slow.example',
               'X-Gtm-Server-Preview' => 'x')->{status}, 204, 'nor previews';
    is $t->request('OPTIONS', $uri, [Host => 'slow.example',
                   Origin => 'http://slow.example',
                   'Access-Control-Request-Method' => 'POST'])->{status}, 204,
       'nor what asks before';

    my $c = counted('slow.example');

    is $c->{hits}{limited}, 4, 'counted';
    is $c->{reasons}{rate_limit}, 4, 'with their reason';

    # the rest of a connection is of use, the body was read

    my $http = $t->http;
    $http->request('POST', $uri, [Host => 'slow.example'], 'en=b' x 1000);
    is $http->response->{status}, 429, 'a hit with a body';
    $http->request('GET', $uri, [Host => 'free.example']);
    is $http->response->{status}, 204, 'and the next one on its connection';
};


# while one tenant sends as much as it can

subtest 'another tenant' => sub {
    my $flood = SGTM::Flood->new({ port => $t->port, host => 'slow.example',
                                   uri => $uri, connections => 8 });
    my @took;

    for (1 .. 40) {
        $flood->run(0.02, 5000);

        my $start = time;
        my $status = hits(1, 'free.example');
        push @took, time - $start;

        is $status, 204, 'a hit' if $status != 204 || $_ == 40;
    }

    my $sum = $flood->finish;
    $flood->close;

    @took = sort { $a <=> $b } @took;
    cmp_ok $took[20], '<', $release ? 0.1 : 1, 'is not slower for it';
    is counted('free.example')->{hits}{limited} || 0, 0, 'nor limited';
};


subtest 'an address' => sub {
    is hits(6, 'addr.example', '192.0.2.1'), '204 204 204 204 429 429',
       'has its own limit';

    my $res = $t->get($uri, Host => 'addr.example', 'X-Real-Ip' => '192.0.2.1');

    like header($res, 'Retry-After'), qr/^(?:[1-9]|1[0-5])$/, 'Retry-After';
    is header($res, 'Sgtm-Reason'), 'address_limit', 'why';
    is $res->{body}, "address: over the limit\n", 'a line of text';
    is counted('addr.example')->{reasons}{address_limit}, 3, 'counted';

    is hits(2, 'addr.example', '192.0.2.2'), '204 204', 'another one, too';
    is hits(1, 'addr.example', '192.0.2.1', '/metrics/t.js'), 200, 'a script';
    is hits(2, 'only.example', '192.0.2.1'), '204 204',
       'it is another one of another tenant';

    my $http = $t->http;
    $http->request('POST', $uri, [Host => 'addr.example',
                                  'X-Real-Ip' => '192.0.2.1'], 'en=b' x 1000);
    is $http->response->{status}, 429, 'a hit with a body';
    $http->request('GET', $uri, [Host => 'free.example']);
    is $http->response->{status}, 204, 'and the next one on its connection';

    # 50 are refused: what the tenant has is for others

    hits(50, 'addr.example', '192.0.2.1');
    is hits(4, 'addr.example', '192.0.2.3'), '204 204 204 204',
       'what it loses is not taken from others';

    is hits(4, 'addr.example', '2001:db8:1:2::1'), '204 204 204 204', 'IPv6';
    is hits(1, 'addr.example', '2001:db8:1:2:ffff::2'), 429,
       'a network is one client';
    is hits(1, 'addr.example', '2001:db8:1:3::1'), 204, 'another one is not';
    is hits(1, 'addr.example', '::ffff:192.0.2.3'), 429, 'IPv4 in IPv6';

    # servers that send for many are no visitors

    is join(' ', map { $t->request('POST',
            "/metrics/mp/collect?measurement_id=$tid&api_secret=s3cr3t-of-mp-0001",
            [Host => 'only.example', 'X-Real-Ip' => '192.0.2.9'],
            '{"client_id":"1.2","events":[{"name":"a"}]}')->{status} } 1 .. 5),
       '204 204 204 204 204', 'the Measurement Protocol';

    is hits(4, 'only.example', '192.0.2.20'), '204 204 204 429',
       'without a limit of the tenant';
    is hits(4, 'inner.example', '192.0.2.20'), '204 204 429 429',
       'an inner directive is another one, as a whole';
    is header($t->get($uri, Host => 'inner.example'), 'Sgtm-Reason'),
       'rate_limit', 'the tenant\'s';

    # the one of before is there after a reload

    $t->reload(undef, wait_old => 1);
    is hits(1, 'addr.example', '192.0.2.1'), 429, 'after a reload, too';
};


# 2 MB of zone: 128 kB, 8192 addresses

subtest 'many addresses' => sub {
    my $http = $t->http;
    my %seen;

    for (my $i = 0; $i < 12_000; $i += 50) {
        $http->request('GET', $uri, [Host => 'only.example', 'X-Real-Ip' =>
            join '.', 10, $_ >> 16, $_ >> 8 & 255, $_ & 255]) for $i .. $i + 49;
        $seen{ $http->response->{status} }++ for 1 .. 50;
    }

    is join(' ', %seen), '204 12000', 'all pass';

    # the table forgets the oldest of a few, so that here and there one stays

    my $new = grep { hits(4, 'only.example', "10.0.0.$_") eq '204 204 204 429' }
                   1 .. 20;

    cmp_ok $new, '>=', 10, 'those that made room are as ones that are new';
    is hits(3, 'only.example', '10.0.46.223'), '204 204 429',
       'the last ones are known';
    unlike $t->error_log, qr/10\.0\.\d+\.\d+.*limit/, 'no line of a log';
};

done_testing;
