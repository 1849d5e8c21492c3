#!/usr/bin/perl

# The gate obeys records of tenants: by host, by the id that sgtm_tenant gives
# and by server_name, a record takes the place of what it names and of nothing
# else.  Guards against a record that is only half in force, one that leaks into
# another tenant's requests, and an unknown host that is served or counted as
# somebody.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use IO::Uncompress::Gunzip ();
use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('records');
my $file = "$dir/tenants.json";


# puts records in place at once, as editors do

sub records {
    my (@records) = @_;

    SGTM::Run::put("$file.new", $json->encode({ tenants => \@records }));
    rename "$file.new", $file or die "rename: $!\n";
}

my %a = (
    id              => 'shop-a',
    hosts           => ['a.example', '*.a.example'],
    containers      => ['GTM-AAAAAAA'],
    tag_ids         => ['G-AAAAAAAAAA'],
    consent_mode    => 'advanced',
    consent_default => { analytics_storage => 'granted' },
    endpoint        => 'sgtm-a.example.com',
    origins         => ['https://www.a.example'],
    script          => 's/a.js',
    rate            => 'off',
);

my %b = (
    id       => 'shop-b',
    hosts    => ['b.example'],
    tag_ids  => ['G-BBBBBBBBBB'],
    features => { debug => JSON::PP::true },
);

# of server blocks that have more of their own

my %c = (
    id         => 'shop-c',
    hosts      => ['c.example'],
    containers => ['GTM-CCCCCCC'],
    set_params => { 'ep.shop' => "K\x{e4}se & Co", 'ep.site' => 'c' },
    cookies    => ['session', 'c_*'],
    tier       => 'professional',
    features   => { dedup => JSON::PP::false, passthrough => JSON::PP::false,
                    user_data => JSON::PP::true },
);

my %e = (
    id          => 'shop-e',
    hosts       => ['e.example'],
    tag_ids     => ['G-EEEEEEEEEE'],
    api_secrets => ['of e'],
    events      => { scroll => 'off', view_item => 'client',
                     purchase => 'server', page_view => 'both' },
);

my %d = (id => 'd.example', tag_ids => ['G-DDDDDDDDDD'], set_params => {},
         cookies => [], origins => [], fallback => 'queue');

my @all = (\%a, \%b, \%c, \%d, \%e);

records(@all);

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return $req->{mode} eq 'down' ? 503 : 204;
});

my $t = SGTM::Test->start(<<"EOT");
upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

log_format  who  '\$sgtm_tenant \$sgtm_container \$sgtm_endpoint \$sgtm_tier '
                 '\$status \$sgtm_reason';

sgtm_tenants    file=$file;
sgtm_endpoints  sgtm-a.example.com;

sgtm_dedup      1h;

server {
    listen         127.0.0.1:%%PORT%% default_server;
    server_name    _;
    access_log     %%DIR%%/who.log who;

    sgtm_endpoint  sgtm.example.com;

    location /metrics/ {
        sgtm              on;
        proxy_pass        http://tagging/;
        proxy_set_header  Host \$sgtm_endpoint;
    }

    location = /status { sgtm_status; }
}

map \$http_x_shop \$shop {
    default  \$http_x_shop;
    by-name  shop-c;
}

server {
    listen           127.0.0.1:%%PORT2%%;
    server_name      d.example;

    sgtm_endpoint    sgtm.example.com;
    sgtm_tag_id      G-LLLLLLLLLL;
    sgtm_container   GTM-LLLLLLL;
    sgtm_origins     https://www.location.example;
    sgtm_cookies     location_cookie;
    sgtm_set_param   ep.site location;
    sgtm_set_param   ep.more \$host;

    location /metrics/ {
        sgtm              on;
        proxy_pass        http://tagging/;
        proxy_intercept_errors on;
    }

    location /static/ {
        sgtm              on;
        sgtm_tenant       shop-c;
        proxy_pass        http://tagging/;
        proxy_intercept_errors on;
    }

    location /none/ {
        sgtm              on;
        sgtm_tenant       shop-none;
        proxy_pass        http://tagging/;
    }

    location /variable/ {
        sgtm              on;
        sgtm_tenant       \$shop;
        proxy_pass        http://tagging/;
    }

    location /own/ {
        sgtm              on;
        sgtm_fallback     client;
        sgtm_tenant       shop-c;
        proxy_pass        http://tagging/;
        proxy_intercept_errors on;
    }
}
EOT


# a hit; ids differ in the query alone

sub hit {
    my ($host, $tid, $more, @headers) = @_;

    return $t->get("/metrics/g/collect?v=2&tid=$tid&en=page_view&cid=1.2"
                   . ($more || ''), Host => $host, @headers);
}


subtest 'by host' => sub {
    $tag->clear;

    is hit('a.example', 'G-AAAAAAAAAA')->{status}, 204, 'a hit of one tenant';
    is hit('b.example', 'G-BBBBBBBBBB')->{status}, 204, 'of another';
    is hit('x.y.a.example', 'G-AAAAAAAAAA')->{status}, 204, 'of a wildcard';

    my @hits = $tag->wait_requests(3);

    is_deeply [map { $_->{h}{host} } @hits],
              ['sgtm-a.example.com', 'sgtm.example.com', 'sgtm-a.example.com'],
              'each to its endpoint, the location\'s where none is named';

    is hit('a.example', 'G-BBBBBBBBBB')->{status}, 403, 'the other one\'s id';
    is hit('b.example', 'G-AAAAAAAAAA')->{status}, 403, 'and the other way';

    my $res = hit('z.example', 'G-AAAAAAAAAA');

    is $res->{status}, 404, 'a host that no record has';
    is $res->{body}, "host: not known here\n", 'and why';
    is hit('a.example.evil.example', 'G-AAAAAAAAAA')->{status}, 404,
       'one that begins with another';
};

subtest 'consent' => sub {
    $tag->clear;

    # denied for ads alone: the default grants analytics

    hit('a.example', 'G-AAAAAAAAAA', '&gclid=MARK');
    hit('b.example', 'G-BBBBBBBBBB', '&gclid=MARK');

    my ($one, $two) = $tag->wait_requests(2);

    unlike $one->{uri}, qr/MARK/, 'advanced by the record';
    like $one->{uri}, qr/cid=1\.2/, 'with its default';
    like $two->{uri}, qr/gclid=MARK/, 'off by the location';
};

subtest 'what the answers tell' => sub {
    my $res = hit('a.example', 'G-AAAAAAAAAA', '',
                  Origin => 'https://www.a.example');

    is header($res, 'Access-Control-Allow-Origin'), 'https://www.a.example',
       'an origin of the record\'s';
    is hit('b.example', 'G-BBBBBBBBBB', '',
           Origin => 'https://www.a.example')->{status}, 403,
       'is not one of another';

    is header(hit('b.example', 'G-BBBBBBBBBB'), 'Sgtm-Disposition'),
       'forwarded', 'a switch';
    is header(hit('a.example', 'G-AAAAAAAAAA'), 'Sgtm-Disposition'), undef,
       'of one tenant';

    $t->wait_log(qr/shop-a - sgtm-a\.example\.com enterprise 403 foreign_tag_id/,
                 file => 'who.log');
    like $t->file('who.log'),
         qr/^shop-a GTM-AAAAAAA sgtm-a\.example\.com enterprise 204 -$/m,
         'variables are the record\'s';
    like $t->file('who.log'),
         qr/^shop-b - sgtm\.example\.com enterprise 403 foreign_tag_id$/m,
         'and the location\'s';
    like $t->file('who.log'), qr/^_other - sgtm\.example\.com enterprise 404 host$/m,
         'an unknown host is nobody';
};


# what the status has of a tenant

sub counters {
    my ($tenant) = @_;

    return $json->decode($t->get("/status?tenant=$tenant")->{body})
                ->{tenants}{$tenant};
}


# the one that the second server has forwarded, and the answer

my $n = 0;

sub second {
    my ($prefix, $host, $tid, $more, @headers) = @_;

    $tag->clear;

    my $res = $t->request('GET',
                  "/$prefix/g/collect?v=2&tid=$tid&en=page_view&cid=1.2"
                  . '&_s=' . ++$n . ($more || ''),
                  [Host => $host, @headers], undef, nth => 2);

    my ($hit) = $res->{status} == 204 ? $tag->wait_requests(1) : ();

    return ($res, $hit);
}

subtest 'which record' => sub {
    my @known = (
        ['metrics', 'c.example', 'GTM-CCCCCCC', 'a host, of another server'],
        ['metrics', 'd.example', 'GTM-LLLLLLL', 'the id that is server_name'],
        ['metrics', 'x.example', 'GTM-LLLLLLL', 'the same by another host'],
        ['static', 'd.example', 'GTM-CCCCCCC', 'sgtm_tenant'],
        ['static', 'a.example', 'GTM-CCCCCCC', 'which a host does not change'],
        ['none', 'c.example', 'GTM-LLLLLLL', 'nor where there is no record'],
        ['variable', 'a.example', 'GTM-CCCCCCC', 'a variable',
         'X-Shop' => 'by-name'],
        ['variable', 'a.example', 'GTM-CCCCCCC', 'of a request',
         'X-Shop' => 'shop-c'],
        ['variable', 'a.example', 'GTM-LLLLLLL', 'that is no record',
         'X-Shop' => 'shop-x'],
    );

    for (@known) {
        my ($prefix, $host, $id, $name, @headers) = @$_;

        my $res = $t->request('GET', "/$prefix/gtm.js?id=$id",
                              [Host => $host, @headers], undef, nth => 2);

        is $res->{status}, 204, "$name: its container";

        $id = $id eq 'GTM-LLLLLLL' ? 'GTM-CCCCCCC' : 'GTM-LLLLLLL';
        $res = $t->request('GET', "/$prefix/gtm.js?id=$id",
                           [Host => $host, @headers], undef, nth => 2);

        is $res->{status}, 403, "$name: no other";
    }
};

subtest 'what is not named is the location\'s' => sub {
    my ($res, $hit) = second('metrics', 'c.example', 'G-LLLLLLLLLL');

    is $res->{status}, 204, 'tag ids';

    ($res) = second('metrics', 'd.example', 'G-LLLLLLLLLL');
    is $res->{status}, 403, 'which the record replaces';
};

subtest 'parameters' => sub {
    my ($res, $hit) = second('metrics', 'c.example', 'G-LLLLLLLLLL',
                             '&ep.site=mine&ep.more=1');

    like $hit->{uri}, qr/&ep\.more=1&ep\.shop=K%C3%A4se%20%26%20Co&ep\.site=c$/,
         'the record\'s, in order';
    unlike $hit->{uri}, qr/mine|location/, 'in place of all others';

    ($res, $hit) = second('metrics', 'd.example', 'G-DDDDDDDDDD',
                          '&ep.site=mine');
    like $hit->{uri}, qr/&ep\.site=mine$/, 'an empty list sets nothing';

    ($res, $hit) = second('none', 'd.example', 'G-LLLLLLLLLL');
    like $hit->{uri}, qr/&ep\.site=location&ep\.more=d\.example$/,
         'the location\'s where there is no record';

    $tag->clear;
    $t->request('POST', '/metrics/g/collect?v=2&tid=G-LLLLLLLLLL&cid=1.2',
                [Host => 'c.example'], "en=one&ep.site=x\r\nen=two&ep.shop=y",
                nth => 2);
    ($hit) = $tag->wait_requests(1);
    like $hit->{uri}, qr/&ep\.shop=K%C3%A4se%20%26%20Co&ep\.site=c$/, 'a batch';
    is $hit->{body}, "en=one\r\nen=two", 'whose lines lose them';
};

subtest 'cookies' => sub {
    my $all = 'session=1; c_x=2; location_cookie=3; _ga=4; other=5';

    my %want = (
        'c.example' => 'session=1; c_x=2; _ga=4',
        'd.example' => '_ga=4',
        'none'      => 'location_cookie=3; _ga=4',
    );

    for my $host (sort keys %want) {
        my $tid = $host eq 'd.example' ? 'G-DDDDDDDDDD' : 'G-LLLLLLLLLL';

        my ($res, $hit) = second($host eq 'none' ? 'none' : 'metrics', $host,
                                 $tid, '', Cookie => $all);

        is $hit->{h}{cookie}, $want{$host}, $host;
    }
};

subtest 'origins' => sub {
    my @origin = (Origin => 'https://www.location.example');

    is +(second('metrics', 'c.example', 'G-LLLLLLLLLL', '', @origin))[0]{status},
       204, 'the location\'s';
    is +(second('metrics', 'd.example', 'G-DDDDDDDDDD', '', @origin))[0]{status},
       403, 'none, by an empty list';
};

subtest 'fallback' => sub {
    $tag->mode('down');

    my %want = (static => [503, '10'], own => [503, '10'],
                none => [503, undef]);

    for my $prefix (sort keys %want) {
        my ($res) = second($prefix, 'x.example', 'G-LLLLLLLLLL');

        is_deeply [$res->{status}, scalar header($res, 'Retry-After')],
                  $want{$prefix}, $prefix;
    }

    my ($res) = second('metrics', 'd.example', 'G-DDDDDDDDDD');

    is_deeply [$res->{status}, scalar header($res, 'Retry-After')], [503, undef],
              'a queue that is not there';

    $tag->mode('');
};

subtest 'switches' => sub {
    my $id = '&ep.event_id=one';

    for my $host ('c.example', 'd.example') {
        my $tid = $host eq 'd.example' ? 'G-DDDDDDDDDD' : 'G-LLLLLLLLLL';

        second('metrics', $host, $tid, $id);
        $tag->clear;

        $t->request('GET', "/metrics/g/collect?v=2&tid=$tid&en=page_view"
                           . "&cid=1.2$id", [Host => $host], undef, nth => 2);

        select undef, undef, undef, 0.2;
        is $tag->count, $host eq 'c.example' ? 1 : 0, "dedup: $host";

        is $t->request('GET', '/metrics/other', [Host => $host], undef,
                       nth => 2)->{status},
           $host eq 'c.example' ? 404 : 204, "passthrough: $host";
    }

    my ($res, $hit) = second('metrics', 'c.example', 'G-LLLLLLLLLL',
                             '&ep.user_data.email=a%40b.example');
    unlike $hit->{uri}, qr/a%40b/, 'user_data: hashed';

    ($res, $hit) = second('metrics', 'd.example', 'G-DDDDDDDDDD',
                          '&ep.user_data.email=a%40b.example');
    like $hit->{uri}, qr/a%40b/, 'user_data: passed';
};

subtest 'events that go another way' => sub {
    my $before = counters('shop-e');
    my $e = "/metrics/g/collect?v=2&tid=G-EEEEEEEEEE&cid=1.2";

    $tag->clear;

    for my $name (qw(scroll view_item sc%72oll)) {
        is $t->get("$e&en=$name", Host => 'e.example')->{status}, 204,
           "$name is answered";
    }

    is $t->post($e, "en=scroll\r\nen=view_item", Host => 'e.example')->{status},
       204, 'as is a batch of them';

    my @pass = ("$e&en=purchase", "$e&en=page_view", "$e&en=scrolls",
                "$e&en=Scroll", "$e&en=" . 'scroll' x 10);

    is $t->get($_, Host => 'e.example')->{status}, 204, $_ for @pass;

    is_deeply [map { $_->{uri} } $tag->wait_requests(5)],
              [map { s{^/metrics}{}r } @pass], 'others pass, as they are';

    $tag->clear;
    $t->post($e, "en=scroll\r\nen=page_view&a=1\r\nen=view_item\r\nen=x",
             Host => 'e.example');
    is +($tag->wait_requests(1))[0]{body}, "en=page_view&a=1\r\nen=x",
       'out of a batch they leave alone';

    # one that is off neither is a duplicate nor makes another one

    $tag->clear;
    $t->post($e, "en=scroll&ep.event_id=1\r\nen=x&ep.event_id=1\r\n"
                 . 'en=x&ep.event_id=1', Host => 'e.example');
    is +($tag->wait_requests(1))[0]{body}, 'en=x&ep.event_id=1',
       'beside duplicates';
    is $t->post($e, "en=scroll&ep.event_id=2\r\nen=x&ep.event_id=1",
                Host => 'e.example')->{status}, 204, 'none is left of both';

    # the same of servers

    my $mp = '/metrics/mp/collect?measurement_id=G-EEEEEEEEEE&api_secret=of%20e';
    my $body = sub {
        return '{"client_id":"1.2","events":['
               . join(',', map { qq({"name":"$_"}) } @_) . ']}';
    };
    my @json = (Host => 'e.example', 'Content-Type' => 'application/json');

    $tag->clear;
    is $t->post($mp, $body->('scroll', 'view_item'), @json)->{status}, 204,
       'a server\'s';
    $t->post($mp, $body->('scroll', 'purchase', 'view_item'), @json);
    is_deeply [map { $_->{name} } @{ $json->decode(
                  ($tag->wait_requests(1))[0]{body})->{events} }],
              ['purchase'], 'out of several';

    my $after = counters('shop-e');
    my %more = map { $_ => $after->{$_} - $before->{$_} }
               qw(events duplicate_events routed_events);

    is_deeply \%more, { events => 5 + 5 + 4 + 3 + 2 + 2 + 3,
                        routed_events => 5 + 2 + 1 + 1 + 2 + 2,
                        duplicate_events => 1 + 1 }, 'counted'
        or diag explain \%more;
    is $after->{hits}{filtered} - ($before->{hits}{filtered} || 0), 5,
       'and the hits of which none was left';
    is $after->{reasons}{event_route}, 5, 'with their reason';
    is $after->{hits}{duplicate}, 1, 'but for one';
};

subtest 'counters' => sub {
    my %got = map { $_ => counters($_) } qw(shop-a shop-b shop-c d.example
                                             _other);

    is $got{'shop-b'}{hits}{forwarded}, scalar(grep { 1 } 1 .. 3),
       'a tenant has its own' or diag explain $got{'shop-b'};
    cmp_ok $got{'_other'}{reasons}{host}, '>=', 2, 'unknown hosts are nobody';

    my $status = $json->decode($t->get('/status')->{body});

    ok !$status->{tenants}{'a.example'}, 'a host is no tenant';
    is scalar(grep { $_ eq 'd.example' } keys %{ $status->{tenants} }), 1,
       'a server and its record are one';
    ok !exists $status->{tenants_next}, 'that is all';

    is_deeply [keys %{ $json->decode($t->get('/status?tenant=shop-c')->{body})
                           ->{tenants} }], ['shop-c'], 'one alone';
    is_deeply $json->decode($t->get('/status?tenant=shop-x')->{body})
                  ->{tenants}, {}, 'one that there is not';
    like $t->get('/status?format=prometheus')->{body},
         qr/^sgtm_hits_total\{tenant="shop-a",disposition="forwarded"\} \d+$/m,
         'in the other format';

    # a rate is each tenant's own: the token is in its counters

    records(\%b, { %c, rate => '1r/m', burst => 2 }, { %e, rate => '1r/m' });

    my $second = sub {
        return (second('metrics', 'c.example', 'G-LLLLLLLLLL'))[0]{status};
    };

    ok wait_for { $second->() == 429 }, 'a limit that comes while nginx runs';
    is hit('b.example', 'G-BBBBBBBBBB')->{status}, 204, 'another tenant has none'
        for 1 .. 3;
    is hit('e.example', 'G-EEEEEEEEEE')->{status}, 204, 'one has its own';
    is hit('e.example', 'G-EEEEEEEEEE')->{status}, 429, 'which is 1 a minute';

    records(@all);
    ok wait_for { $second->() == 204 }, 'and one that goes';
};

subtest 'the script' => sub {
    my $get = sub {
        my ($host, $name, @headers) = @_;
        return $t->get("/metrics/$name", Host => $host, @headers);
    };

    my $one = $get->('a.example', 's/a.js');

    is $one->{status}, 200, 'its name';
    like $one->{body}, qr/"container":"GTM-AAAAAAA"/, 'its container';
    like $one->{body}, qr/"tag":"G-AAAAAAAAAA"/, 'its tag';
    like $one->{body}, qr/"mode":"advanced"/, 'its consent';
    like $one->{body}, qr/"analytics_storage":"granted"/, 'and default';
    is header($one, 'Cross-Origin-Resource-Policy'), 'cross-origin',
       'for its origins';

    my $two = $get->('b.example', 't.js');

    like $two->{body}, qr/"container":"","tag":"G-BBBBBBBBBB"/, 'of another';
    unlike $two->{body}, qr/AAAA/, 'nothing of the first';
    is header($two, 'Cross-Origin-Resource-Policy'), 'same-site',
       'which has no origins';
    isnt header($one, 'ETag'), header($two, 'ETag'), 'two ETags';

    is $get->('a.example', 's/a.js', 'If-None-Match' => header($one, 'ETag'))
           ->{status}, 304, 'not modified';
    is header($get->('a.example', 's/a.js'), 'ETag'), header($one, 'ETag'),
       'made once, or the same again';
    is $get->('a.example', 't.js')->{status}, 204, 'the old name passes';

    my $packed = $get->('a.example', 's/a.js', 'Accept-Encoding' => 'gzip');

    is header($packed, 'Content-Encoding'), 'gzip', 'packed';
    isnt header($packed, 'ETag'), header($one, 'ETag'), 'with its own ETag';
    IO::Uncompress::Gunzip::gunzip(\$packed->{body}, \my $text);
    is $text, $one->{body}, 'and the same';

    # more than a worker keeps

    my @many = map { +{ id => "many-$_", hosts => ["m$_.example"],
                        tag_ids => [sprintf 'G-M%07d', $_],
                        set_params => { "ep.m$_" => "$_" } } } 1 .. 300;

    records(@all, @many);
    wait_for { $get->('m300.example', 't.js')->{status} == 200 };

    my ($scripts, $hits) = (0, 0);

    $tag->clear;

    for (1 .. 300) {
        my $id = sprintf 'G-M%07d', $_;

        $scripts++ if $get->("m$_.example", 't.js')->{body} =~ /"$id"/;
        $hits++ if hit("m$_.example", $id)->{status} == 204;
    }

    is $scripts, 300, 'each of 300 tenants has its own script';
    is $hits, 300, 'and parameters';
    is +(grep { my ($n) = $_->{uri} =~ /tid=G-M0*(\d+)/;
                $_->{uri} =~ /&ep\.m$n=$n$/ } $tag->wait_requests(300)), 300,
       'which each hit has';

    is header($get->('a.example', 's/a.js'), 'ETag'), header($one, 'ETag'),
       'what was made anew is the same';
};

subtest 'a record that changes' => sub {
    my $etag = header($t->get('/metrics/t.js', Host => 'b.example'), 'ETag');

    records(\%a, { %b, tag_ids => ['G-NNNNNNNNNN'], endpoint =>
                    'sgtm-a.example.com' }, \%c, \%d);

    ok wait_for { hit('b.example', 'G-NNNNNNNNNN')->{status} == 204 },
       'its new id is in force';
    is hit('b.example', 'G-BBBBBBBBBB')->{status}, 403, 'the old one is not';

    $tag->clear;
    hit('b.example', 'G-NNNNNNNNNN');
    is +($tag->wait_requests(1))[0]{h}{host}, 'sgtm-a.example.com',
       'its new endpoint';

    my $res = $t->get('/metrics/t.js', Host => 'b.example');

    like $res->{body}, qr/G-NNNNNNNNNN/, 'the script';
    isnt header($res, 'ETag'), $etag, 'with another ETag';

    records(\%a, \%c, \%d);

    ok wait_for { hit('b.example', 'G-NNNNNNNNNN')->{status} == 404 },
       'one that goes is unknown';

    records(@all);
    ok wait_for { hit('b.example', 'G-BBBBBBBBBB')->{status} == 204 }, 'and back';
};

done_testing;
