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
use MIME::Base64 ();
use Time::HiRes ();

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

    return [204, ['Set-Cookie' => 'FPID=1; Domain=b.example',
                  'Set-Cookie' => 'FPLC=2; Domain=a.example',
                  'Set-Cookie' => '_ga=3',
                  'Set-Cookie' => 'c_x=4']] if $req->{mode} eq 'cookies';

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
    listen         127.0.0.1:%%PORT%%;
    %%LISTEN_H2(127.0.0.1:%%PORT3%%)%%
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
    like $one->{body}, qr/"g":"gtm","i":"GTM-AAAAAAA"/, 'its container';
    like $one->{body}, qr/"c":"advanced","d":"0100"/, 'its consent';
    is header($one, 'Cross-Origin-Resource-Policy'), 'cross-origin',
       'for its origins';

    my $two = $get->('b.example', 't.js');

    like $two->{body}, qr/"g":"gtag","i":"G-BBBBBBBBBB"/, 'of another';
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

# What a client of one tenant does to use or to move anything of another.  The
# second column is sent; the answer has the third's status, and what is forwarded
# has the fourth's host, if anything is.

subtest 'attempts' => sub {
    my $A = 'G-AAAAAAAAAA';
    my $B = 'G-BBBBBBBBBB';
    my $hit = "/metrics/g/collect?v=2&en=page_view&cid=1.2";
    my $mp = '/metrics/mp/collect?measurement_id';
    my $body = '{"client_id":"1.2","events":[{"name":"one"}]}';

    my $send = sub {
        my ($uri, $host, %opt) = @_;

        my $method = defined $opt{body} ? 'POST' : 'GET';
        my $text = "$method $uri HTTP/1.1\r\n"
                   . join '', map { "Host: $_\r\n" } ref $host ? @$host : $host;

        $text .= "$_\r\n" for @{ $opt{headers} || [] };
        $text .= 'Content-Length: ' . length($opt{body}) . "\r\n"
            if defined $opt{body};

        my $client = $t->http;

        $client->send("${text}Connection: close\r\n\r\n" . ($opt{body} // ''));

        my $res = $client->response;
        $client->close;

        return $res;
    };

    # ids of B at A's door

    my @attempts = (
        ['the id', [$hit . "&tid=$B", 'a.example'], 403],
        ['both ids', [$hit . "&tid=$A&tid=$B", 'a.example'], 403],
        ['in the other order', [$hit . "&tid=$B&tid=$A", 'a.example'], 403],
        ['escaped', [$hit . '&tid=G%2DBBBBBBBBBB', 'a.example'], 403],
        ['its name escaped', [$hit . '&t%69d=' . $B, 'a.example'], 403],
        ['in small letters', [$hit . '&tid=g-bbbbbbbbbb', 'a.example'], 400],
        ['with a NUL', [$hit . "&tid=$A%00$B", 'a.example'], 400],
        ['with a space', [$hit . "&tid=$A%20$B", 'a.example'], 400],
        ['in a line', [$hit . "&tid=$A", 'a.example',
                       body => "en=x&tid=$B"], 403],
        ['in the second', [$hit . "&tid=$A", 'a.example',
                           body => "en=x\r\nen=y&tid=$B"], 403],
        ['in base64', ['/metrics/g/collect?' . MIME::Base64::encode_base64(
                           "v=2&tid=$B&en=page_view&cid=1.2&a=bcdefghi", ''),
                       'a.example'], 400],
        ['on another path', ["/metrics/x?v=2&en=x&tid=$B", 'a.example'], 403],
        ['on a path outside', ["/metrics/../metrics/g/collect?v=2&en=x&tid=$B",
                               'a.example'], 403],
        ['a script', ["/metrics/gtag/js?id=$B", 'a.example'], 403],
        ['a second id of it', ["/metrics/gtag/js?id=$A&id=$B", 'a.example'],
         403],
        ['a destination', ["/metrics/gtag/destination?id=$B", 'a.example'], 403],
        ['a container', ['/metrics/gtm.js?id=GTM-CCCCCCC', 'a.example'], 403],
        ['a frame', ['/metrics/ns.html?id=GTM-CCCCCCC', 'a.example'], 403],
        ['the other script', ['/metrics/s/a.js', 'b.example'], 204,
         'sgtm.example.com'],

        # hosts: each is the tenant's whose host it is, whatever else is said

        (map { my $h = $_;
               ["\"$h\" with A's id", [$hit . "&tid=$A", $h], 403],
               ["\"$h\" with B's", [$hit . "&tid=$B", $h], 204,
                'sgtm.example.com'] }
         'B.EXAMPLE', 'b.example.', 'b.example:443', 'B.Example.:1'),

        (map { ["\"$_\"", [$hit . "&tid=$B", $_], [400, 404]] }
         '.b.example', 'b.example..', 'b_example', 'xb.example', 'b.examplex',
         'x.b.example', 'b.example%2e', 'b.example%00', 'b.example/',
         'b.example@a.example', 'a.example,b.example', 'a.example b.example',
         'b.example#a.example', 'b.example\\a.example', '*.b.example', '*',
         '[b.example]', '', ' ', '_', '_other', 'shop-b', '127.0.0.1'),

        ['two hosts', [$hit . "&tid=$B", ['a.example', 'b.example']], 400],
        ['the other way', [$hit . "&tid=$B", ['b.example', 'a.example']], 400],
        ['one in the URI', ["http://b.example$hit&tid=$A", 'a.example'], 403],
        ['which is the tenant', ["http://b.example$hit&tid=$B", 'a.example'],
         204, 'sgtm.example.com', 'b.example'],
        ['one in Host', ["http://a.example$hit&tid=$A", 'b.example'], 204,
         'sgtm-a.example.com', 'a.example'],
        ['with B\'s id', ["http://a.example$hit&tid=$B", 'b.example'], 403],
        ['and B\'s origin', ["http://a.example$hit&tid=$A", 'b.example',
                             headers => ['Origin: http://b.example']], 403],
        ['user and host', ["http://b.example\@a.example$hit&tid=$B",
                           'b.example'], [400, 403]],

        # headers and arguments that might name a tenant

        (map { ["$_ and B's id", [$hit . "&tid=$B", 'a.example',
                                  headers => [$_]], 403],
               ["$_ and A's", [$hit . "&tid=$A", 'a.example', headers => [$_]],
                204, 'sgtm-a.example.com', 'a.example'] }
         'X-Forwarded-Host: b.example', 'Forwarded: host=b.example',
         'X-Original-Host: b.example', 'X-Host: b.example',
         'X-Rewrite-URL: http://b.example/', 'Sgtm-Tenant: shop-b',
         'X-Shop: shop-b'),

        ['an argument', [$hit . "&tid=$B&sgtm_tenant=shop-b&tenant=shop-b"
                         . '&host=b.example', 'a.example'], 403],
        ['an origin', [$hit . "&tid=$A", 'a.example',
                       headers => ['Origin: https://b.example']], 403],
        ['A\'s at B', [$hit . "&tid=$B", 'b.example',
                       headers => ['Origin: https://www.a.example']], 403],

        # secrets: A has none, e is another one's

        ['a secret', ["$mp=$A&api_secret=of%20e", 'a.example', body => $body],
         403],
        ['with its stream', ["$mp=G-EEEEEEEEEE&api_secret=of%20e", 'a.example',
                             body => $body], 403],
        ['and A\'s', ["$mp=$A&api_secret=of%20e", 'e.example', body => $body],
         403],
        ['no secret', ["$mp=$A&api_secret=", 'a.example', body => $body], 403],
    );

    my @others = qw(shop-c shop-e d.example);
    my %before = map { $_ => counters($_) } @others;
    my $known = sub {
        return join ' ', sort keys %{ $json->decode($t->get('/status')->{body})
                                          ->{tenants} };
    };
    my $tenants = $known->();

    for (@attempts) {
        my ($name, $request, $status, $host, $forwarded) = @$_;

        $tag->clear;

        my $res = $send->(@$request);

        ok +(grep { $res->{status} == $_ } ref $status ? @$status : $status),
           "$name: refused, or its own" or diag $res->{status};

        my ($got) = $host ? $tag->wait_requests(1) : ();

        is $got ? $got->{h}{host} : undef, $host, "$name: its endpoint" if $host;
        is $got->{h}{'x-forwarded-host'}, $forwarded, "$name: its host"
            if $forwarded;
        is $tag->count, $host ? 1 : 0, "$name: and nothing more";
    }

    my $h2 = $t->h2(nth => 3, authority => 'a.example');

    for ([host => 'b.example'], ['x-forwarded-host' => 'b.example']) {
        my $res = $h2->response($h2->request('GET', "$hit&tid=$B", $_));
        ok $res->{status} == 403 || $res->{status} == 400,
           "HTTP/2, $_->[0]: B's id";
    }

    $tag->clear;
    my $id = $h2->request('GET', "$hit&tid=$A",
                          ['x-forwarded-host' => 'b.example']);
    is $h2->response($id)->{status}, 204, 'HTTP/2: its own';
    is +($tag->wait_requests(1))[0]{h}{'x-forwarded-host'}, 'a.example',
       'for its host';
    $h2->close;

    # the others have lost, and gained, at most what was refused at their door

    for my $name (@others) {
        my $after = counters($name);

        is_deeply $after->{hits}{$_}, $before{$name}{hits}{$_},
                  "$name: $_ as before"
            for qw(forwarded queued denied duplicate limited failed);
        is $after->{events}, $before{$name}{events}, "$name: no event";
    }

    is $known->(), $tenants, 'no tenant has come up';
};

subtest 'what tenants share is divided' => sub {
    my $id = '&ep.event_id=shared';

    # the same id of an event, and even the same tag id, at two tenants

    records({ %a, tag_ids => ['G-SSSSSSSSSS'], rate => '1r/m' },
            { %b, tag_ids => ['G-SSSSSSSSSS'] });

    ok wait_for { $t->get('/metrics/gtag/js?id=G-SSSSSSSSSS',
                          Host => 'b.example')->{status} == 204 }, 'changed';

    $tag->clear;
    hit('a.example', 'G-SSSSSSSSSS', $id);
    hit('b.example', 'G-SSSSSSSSSS', $id);
    is scalar(my @two = $tag->wait_requests(2)), 2, 'an event of each';

    is hit('a.example', 'G-SSSSSSSSSS', '&x=1')->{status}, 429,
       'one tenant\'s rate' for 1 .. 20;
    is hit('b.example', 'G-SSSSSSSSSS', '&x=1')->{status}, 204,
       'is not another\'s' for 1 .. 5;

    is header(hit('b.example', 'G-SSSSSSSSSS', $id), 'Sgtm-Disposition'),
       'duplicate', 'whose own are duplicates';

    # cookies of an answer

    $tag->mode('cookies');

    my @cookies = headers(hit('b.example', 'G-SSSSSSSSSS', '&x=2'),
                          'Set-Cookie');

    is_deeply \@cookies, ['FPID=1; Domain=b.example', 'FPLC=2', '_ga=3'],
              'a cookie is for its host alone' or diag explain \@cookies;

    $tag->mode('');
    records(@all);
    ok wait_for { hit('b.example', 'G-BBBBBBBBBB')->{status} == 204 }, 'back';
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

# 300 times the file is another one, while hits run through two workers.  What
# tells of the version is in three places: two parameters, the endpoint, and the
# id of the tag.

subtest 'changes while hits run' => sub {
    my ($loads, $writes, $shops) = (12, 25, 150);
    my $changing = "$dir/changing.json";
    my $version = 0;

    my $change = sub {
        $version++;

        my @records = map { +{
            id         => "shop-$_",
            hosts      => ["s$_.example"],
            tag_ids    => [$version % 2 ? 'G-ODD0000' : 'G-EVEN000', 'G-ANY0000'],
            endpoint   => $version % 2 ? 'odd.example' : 'even.example',
            set_params => { 'ep.one' => "$version", 'ep.two' => "$version",
                            ($version % 3 ? ("ep.v$version" => 'x') : ()) },
        } } 1 .. $shops;

        SGTM::Run::put("$changing.new", $json->encode({ tenants => \@records }));
        rename "$changing.new", $changing or die "rename: $!\n";
    };

    $change->();

    # The tagging server says what it got.  In a small zone what was replaced is
    # soon overwritten.

    my $live = SGTM::Test->start(<<"EOT", workers => 2);
sgtm_zone       sgtm 512k;
sgtm_tenants    file=$changing;
sgtm_endpoints  odd.example even.example;
keepalive_requests  10000000;

upstream tagging { server 127.0.0.1:%%PORT2%%; keepalive 8;
                   keepalive_requests 10000000; }

server {
    listen       127.0.0.1:%%PORT2%%;
    server_name  odd.example even.example;

    location / { return 200 "\$host \$args\\n"; }
}

server {
    listen       127.0.0.1:%%PORT%%;
    server_name  _;

    location /metrics/ {
        sgtm              on;
        proxy_pass        http://tagging/;
        proxy_set_header  Host \$sgtm_endpoint;
        proxy_http_version 1.1;
        proxy_set_header  Connection "";
    }
}
EOT

    my @clients = map { $live->http } 1 .. 6;
    my @slow = map { $live->http } 1 .. 20;
    my (%seen, %last, @bad);
    my ($hits, $n, $refused, $next) = (0, 0, 0, 0);

    # the version that an answer tells, whole, or 0

    my $whole = sub {
        my ($res, $tid) = @_;

        my ($host, $one, $two) = $res->{body}
            =~ /^(odd|even)\.example\ .*&ep\.one=(\d+)&ep\.two=(\d+)/x;
        my ($name) = $res->{body} =~ /&ep\.v(\d+)=x$/;

        return $one if $res->{status} == 200 && defined $two && $one == $two
                       && $host eq ($one % 2 ? 'odd' : 'even')
                       && ($tid eq 'G-ANY0000' || $one % 2)
                       && ($one % 3 ? ($name || 0) == $one : !defined $name);

        push @bad, "$res->{status} $res->{body}";

        return 0;
    };

    my $round = sub {
        my @shop = map { 1 + $n++ % $shops } @clients;

        # by turns an id that all versions have and one that every second has

        my $tid = $n % 5 ? 'G-ANY0000' : 'G-ODD0000';

        for my $i (0 .. $#clients) {
            $clients[$i]->request('GET', "/metrics/g/collect?v=2&tid=$tid"
                                  . '&en=a&cid=1.2',
                                  [Host => "s$shop[$i].example"]);
        }

        for my $i (0 .. $#clients) {
            my $res = $clients[$i]->response;

            $hits++;

            if ($res->{status} == 403 && $tid eq 'G-ODD0000') {
                $refused++;
                next;
            }

            my $seen = $whole->($res, $tid);

            push @bad, "$res->{body} after $last{$i, $shop[$i]}"
                if $seen && $seen < ($last{$i, $shop[$i]} || 0);

            $last{$i, $shop[$i]} = $seen;
            $seen{$shop[$i], $seen} = 1;
        }
    };

    for my $load (1 .. $loads) {

        # hits whose body ends when the record has gone

        my $half = 'en=a&ep.half=';
        my $shop = 0;

        $_->send('POST /metrics/g/collect?v=2&tid=G-ANY0000&cid=1.2 HTTP/1.1'
                 . "\r\nHost: s" . ++$shop . ".example\r\nContent-Length: "
                 . (length($half) + 1) . "\r\n\r\n$half") for @slow;

        # a burst of changes, of which some are seen, and time for the last

        for (1 .. $writes) {
            $change->();
            $round->() for 1 .. 2;
        }

        my $end = Time::HiRes::time() + 0.75;

        $round->() while Time::HiRes::time() < $end;

        $_->send('x') for @slow;
        $whole->($_->response(method => 'POST'), 'G-ANY0000') for @slow;
    }

    ok wait_for { $round->(); $last{0, 1} == $version }, 'the last one is in force';

    is_deeply [@bad > 5 ? @bad[0 .. 4] : @bad], [],
              'each hit has seen the old record or the new one';
    is $version, 1 + 300, "$version files";
    cmp_ok scalar(keys %seen), '>=', 300,
           'records that were seen to change: ' . keys %seen;
    cmp_ok $refused, '>', 0, "some hits were refused, by an even record: $refused";
    note "$hits hits";

    $live->stop;
};

done_testing;
