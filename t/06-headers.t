#!/usr/bin/perl

# Headers both ways are allow-lists.  What the tagging server may see: no
# session of the shop, no authorization, no address or place that a client made
# up, and exactly one true X-Forwarded-For, -Host and -Proto.  What it may do to
# the browser: no file of nginx's, no cookie of another name or for another
# domain, no Clear-Site-Data, no Strict-Transport-Security; but an event stream
# and the very large headers of a debug session come through.  It guards against a tagging server that
# was taken over or has a careless template, and against forged addresses.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Time::HiRes qw(time);

my @hostile = (
    'X-Accel-Redirect' => '/internal/file',
    'X-Accel-Limit-Rate' => '1',
    'X-Accel-Charset' => 'koi8-r',
    'Clear-Site-Data' => '"cookies", "storage"',
    'Strict-Transport-Security' => 'max-age=31536000; includeSubDomains',
    'Service-Worker-Allowed' => '/',
    'X-Template' => 'yes',
);

my @events = map { qq(event: message\ndata: {"n":$_}\n\n) } 1 .. 4;

# the query tells the tagging server what to answer

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return 204 if $req->{uri} !~ /[?&]ep\.answer=(\w+)(?::([^&]*))?/;

    my ($what, $value) = ($1, $2);

    if ($what eq 'hostile') {
        return [$value, [@hostile], $value == 204 ? undef : 'mine'];
    }

    if ($what eq 'cookie') {
        $value =~ s/%([0-9a-f]{2})/chr hex $1/gie;
        return [204, [map { ('Set-Cookie' => $_) } split /\|/, $value]];
    }

    if ($what eq 'cache') {
        return [200, ['Cache-Control' => 'public, max-age=1000',
                      'ETag' => '"a"'], 'cached'];
    }

    if ($what eq 'stream') {
        return { status => 200,
                 headers => ['Content-Type' => 'text/event-stream'],
                 chunks => [map { ($_, \0.4) } @events] };
    }

    return [200, ['X-Gtm-Debug' => 'x' x $value], 'big'] if $what eq 'one';

    if ($what eq 'raw') {
        $value =~ s/%([0-9a-f]{2})/chr hex $1/gie;
        return { raw => [map { /^[0-9.]+$/ ? \(my $n = $_) : $_ }
                             split /\|/, $value] };
    }

    return [200, ['X-Gtm-Debug' => 'x' x 100_000], 'b' x $value]
        if $what eq 'body';

    return [200, [map { ("X-Gtm-Debug-$_" => 'x' x 9990) } 1 .. $value], 'big'];
});

my $gateway = <<'EOC';
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
EOC

my $t = SGTM::Test->start(<<"EOC", host => 'www.shop.example');
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    large_client_header_buffers  8 64k;

    server {
        listen         127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        listen         127.0.0.1:%%PORT3%% ssl;
        ssl_certificate      %%CERT%%;
        ssl_certificate_key  %%KEY%%;
        server_name    www.shop.example;

        sgtm_endpoint   sgtm.example.com;
        sgtm_container  GTM-ABC1234;
        sgtm_tag_id     G-ABC1234567;

        location /metrics/ {
$gateway
        }

        location /more/ {
            sgtm_pass_header  X-SHOP-id X-Custom X-Api-Key;
            sgtm_cookies      session my_*;
$gateway
        }

        # what the gate filters itself, asked for all the same
        location /greedy/ {
            sgtm_pass_header  X-Forwarded-Country Cookie Referer;
$gateway
        }

        location /own/ {
            add_header        Strict-Transport-Security max-age=300 always;
            add_header        Clear-Site-Data '"cache"' always;
            add_header        Set-Cookie session=own always;
$gateway
        }

        location /debug/ {
            sgtm_debug        on;
$gateway
        }

        # nginx's own buffers, of 4 or 8 kB
        location /bare/ {
            sgtm              on;
            proxy_pass        http://tagging/;
        }

        location /internal/ {
            internal;
            return 200 'seCret of nginx';
        }
    }
EOC

my $query = 'v=2&tid=G-ABC1234567&en=a';
my $hit = "g/collect?$query";


# ($res, what arrived) over HTTP/1.1 or HTTP/2

sub ask {
    my ($way, $method, $uri, $headers, $body) = @_;

    my $res;

    $tag->clear;

    if ($way eq 'HTTP/2') {
        my @h = @$headers;
        my @list;

        while (my ($name, $value) = splice @h, 0, 2) {
            push @list, lc $name => $value
                if lc $name ne 'host' && lc $name ne 'connection';
        }

        my $h2 = $t->h2(nth => 2);
        $res = $h2->response($h2->request($method, $uri, \@list, $body));
        $h2->close;

    } else {
        $res = $t->request($method, $uri, $headers, $body);
    }

    my ($got) = $tag->requests;

    return ($res, $got);
}


# Headers that clients, CDNs and attackers send: none arrives.

my @unwanted = (
    ['Authorization', 'Bearer seCret'], ['Proxy-Authorization', 'seCret'],
    ['X-Api-Key', 'seCret'], ['X-Csrf-Token', 'seCret'],
    ['X-Auth-Token', 'seCret'], ['Proxy', 'http://seCret.example'],
    ['Forwarded', 'for=192.0.2.66;host=seCret.example'],
    ['X-Forwarded-Port', '192.0.2.66'], ['X-Forwarded-Server', 'seCret'],
    ['X-Forwarded', 'for=192.0.2.66'], ['X-Forwarded-By', '192.0.2.66'],
    ['X-Forwarded-Prefix', 'seCret'], ['X-Forwarded-Ssl', 'seCret'],
    ['X-Forwarded-Country', 'seCret'], ['X-Forwarded-Region', 'seCret'],
    ['X-Forwarded-CountryRegion', 'seCret'],
    ['X-Original-URL', '/seCret'], ['X-Rewrite-URL', '/seCret'],
    ['X-HTTP-Method-Override', 'seCret'], ['X-Original-Host', 'seCret'],
    ['X-Real-IP', '192.0.2.66'], ['X-Client-IP', '192.0.2.66'],
    ['X-Cluster-Client-IP', '192.0.2.66'], ['Client-IP', '192.0.2.66'],
    ['True-Client-IP', '192.0.2.66'], ['CF-Connecting-IP', '192.0.2.66'],
    ['CF-Connecting-IPv6', '2001:db8::66'], ['CF-IPCountry', 'seCret'],
    ['CF-Ray', 'seCret'], ['Fastly-Client-IP', '192.0.2.66'],
    ['Fly-Client-IP', '192.0.2.66'], ['X-Azure-ClientIP', '192.0.2.66'],
    ['CloudFront-Viewer-Address', '192.0.2.66:443'],
    ['CloudFront-Viewer-Country', 'seCret'],
    ['Akamai-Origin-Hop', 'seCret'], ['X-Akamai-Edgescape', 'seCret'],
    ['X-Envoy-External-Address', '192.0.2.66'],
    ['X-Appengine-User-IP', '192.0.2.66'], ['X-Appengine-Country', 'seCret'],
    ['X-Appengine-Region', 'seCret'], ['X-Appengine-City', 'seCret'],
    ['X-Appengine-CityLatLong', 'seCret'], ['X-Gclb-Country', 'seCret'],
    ['X-Gclb-Region', 'seCret'], ['X-Gclb-Region-Subdivision', 'seCret'],
    ['X-Gclb-City', 'seCret'], ['Via', '1.1 seCret'],
    ['X-Custom', 'seCret'], ['X-Shop-Id', 'seCret'],
    ['Cookie', 'session=seCret; admin=seCret'],
);

my @wanted = (
    ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64)'],
    ['Accept', '*/*'], ['Accept-Language', 'de,en;q=0.5'],
    ['Referer', 'https://www.shop.example/a?b=c'],
    ['Origin', 'http://www.shop.example'],
    ['Sec-CH-UA', '"Chromium";v="120"'], ['Sec-CH-UA-Mobile', '?0'],
    ['Sec-CH-UA-Platform', '"Linux"'], ['Sec-GPC', '0'], ['DNT', '1'],
);

# one of each, by the gate alone

sub own_headers {
    my ($got) = @_;

    return join ' ', map { "$_: " . join('|', headers($got, $_)) }
                         qw(X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto);
}

my $own = 'X-Forwarded-For: 127.0.0.1 X-Forwarded-Host: www.shop.example'
        . ' X-Forwarded-Proto: http';

for my $way ('HTTP/1.1', 'HTTP/2') {
    subtest "$way: one header at a time" => sub {
        for my $path ($hit, 'ccm/collect?x=1', 'gtm.js?id=GTM-ABC1234') {
            for (@unwanted) {
                my ($name, $value) = @$_;
                my ($res, $got) = ask($way, 'GET', "/metrics/$path",
                    [$name => $value, 'User-Agent' => 'browser']);

                is $res->{status}, 204, "$path, $name: passes";
                unlike $got->{raw}, qr/seCret|192\.0\.2\.66|2001:db8/,
                       'without it';
                is header($got, 'User-Agent'), 'browser', 'with the next';
                is own_headers($got), $own, 'with the true ones';
            }
        }
    };

    subtest "$way: all of them, before, after and between" => sub {
        my @bad = map { @$_ } @unwanted;
        my @good = map { @$_ } @wanted;
        my @mixed = map { (@{ $wanted[$_ % @wanted] }[0 .. ($_ < @wanted
                           ? 1 : -1)], @{ $unwanted[$_] }) } 0 .. $#unwanted;
        my $i = 0;

        # CONNECTION headers and the like are nginx's own
        for my $headers ([@bad, @good], [@good, @bad], \@mixed) {
            my ($res, $got) = ask($way, 'POST', "/metrics/g/collect?$query",
                                  $headers, 'en=b');

            is $res->{status}, 204, 'order ' . ++$i;
            unlike $got->{raw}, qr/seCret|192\.0\.2\.66/, 'nothing unwanted';
            is own_headers($got), $own, 'the true ones';
            is header($got, 'Cookie'), undef, 'no cookie';

            for (@wanted) {
                is join('|', headers($got, $_->[0])), $_->[1], $_->[0];
            }
        }
    };

    subtest "$way: forged X-Forwarded-*" => sub {
        for my $n (1 .. 3) {
            my @forged = map { ('X-Forwarded-For' => '192.0.2.66, 192.0.2.67',
                                'X-Forwarded-Host' => 'seCret.example',
                                'X-Forwarded-Proto' => 'seCret') } 1 .. $n;

            for my $location (qw(metrics greedy)) {
                my ($res, $got) = ask($way, 'GET', "/$location/$hit",
                                      ['User-Agent' => 'a', @forged,
                                       'X-Forwarded-Country' => 'DE',
                                       Cookie => '_ga=1; session=seCret']);

                is own_headers($got), $own, "$location, $n of each";
                unlike $got->{raw}, qr/seCret|192\.0\.2/, 'nothing else';
                is header($got, 'Cookie'), '_ga=1', 'and cookies are filtered';
                is header($got, 'Host'), 'sgtm.example.com', 'and Host is ours';
                is header($got, 'X-Forwarded-Country'),
                   $location eq 'greedy' ? 'DE' : undef, 'only what was asked';
            }
        }
    };

    subtest "$way: sgtm_pass_header, sgtm_cookies" => sub {
        my @headers = ('x-shop-ID' => 1, 'X-Shop-Id2' => 'seCret',
                       'X-Shop' => 'seCret', 'X-Custom' => 3,
                       'X-Custom2' => 'seCret',
                       'Cookie' => 'session=4; sessio=seCret; my_=5; my_a=6;'
                                   . ' my=seCret; sessions=seCret; _ga=7');
        my ($res, $got) = ask($way, 'GET', "/more/$hit", \@headers);

        is header($got, 'X-Shop-Id'), 1, 'a name in any case';
        is header($got, 'X-Custom'), 3, 'the next name';
        is header($got, 'Cookie'), 'session=4; my_=5; my_a=6; _ga=7', 'cookies';
        unlike $got->{raw}, qr/seCret/, 'nothing that looks like them';
    };

    subtest "$way: many headers, long cookies" => sub {
        my @junk = map { ("X-Junk-$_" => 'seCret' x 5) } 1 .. 50;
        my $res;

        my ($first, $got) = ask($way, 'GET', "/metrics/$hit",
            [@junk, 'User-Agent' => 'browser',
             (map { ("X-More-$_" => 'seCret') } 1 .. 50),
             'Accept-Language' => 'de']);

        is $first->{status}, 204, '100 headers';
        unlike $got->{raw}, qr/seCret/, 'none arrives';
        is header($got, 'User-Agent'), 'browser', 'but the one between them';
        is header($got, 'Accept-Language'), 'de', 'and the one after them';

        my @cookies = map { ("c$_=" . 'seCret' x 10,
                             "_ga_$_=GS2.1." . 'x' x 20) } 1 .. 300;
        my $cookie = join '; ', @cookies;

        cmp_ok length $cookie, '>', 29000, 'cookies of 30 kB';
        ($res, $got) = ask($way, 'GET', "/metrics/$hit", [Cookie => $cookie]);
        is $res->{status}, 204, 'pass';
        is header($got, 'Cookie'), join('; ', grep { /^_ga/ } @cookies),
           'the allowed ones arrive, in order';

        ($res, $got) = ask($way, 'GET', "/metrics/$hit",
            [Cookie => 'a=seCret; _ga=1', 'User-Agent' => 'browser',
             Cookie => 'FPID=2; b=seCret', Cookie => 'c=seCret',
             Cookie => '_gcl_au=3']);
        is join('; ', headers($got, 'Cookie')), '_ga=1; FPID=2; _gcl_au=3',
           'several Cookie headers';
        unlike $got->{raw}, qr/seCret/, 'nothing else';
    };
}

# cookies: sent, arrived; over HTTP/1.1 nginx leaves the value as it is

my @cookie_forms = (
    [ '_ga=1', '_ga=1' ], [ 'a=1; _ga=2; b=3', '_ga=2' ],
    [ 'a=1;_ga=2;FPID=3', '_ga=2; FPID=3' ],
    [ '  _ga=1  ;   FPID=2 ', '_ga=1; FPID=2' ],
    [ ';; _ga=1;;', '_ga=1' ], [ '_ga=a=b==', '_ga=a=b==' ],
    [ '_ga=; FPID=2', '_ga=; FPID=2' ], [ '_ga=1; _ga=2', '_ga=1; _ga=2' ],
    [ '_ga="a b"; FPID=2', '_ga="a b"; FPID=2' ],
    [ 'x_ga=1; _gax=2; _GA=3; _g=4', undef ], [ '=1; a', undef ], [ '', undef ],
    [ 'a=_ga=1', undef ], [ 'a=";_ga=1', '_ga=1' ], [ '_ga_=1', '_ga_=1' ],
    [ '_gcl_=1; _gcl=2; FPGCL=3; FPGC=4', '_gcl_=1; FPGCL=3' ],
    [ "_ga=\xc3\xa9", "_ga=\xc3\xa9" ],
);

subtest 'forms of Cookie' => sub {
    for (@cookie_forms) {
        my ($sent, $want) = @$_;
        my ($res, $got) = ask('HTTP/1.1', 'GET', "/metrics/$hit",
                              [Cookie => $sent]);

        $got = header($got, 'Cookie');
        $got =~ s/\A\s+|\s+\z//g, $got =~ s/\s*;\s*/; /g if defined $got;
        is $got, $want, "\"$sent\"";
    }
};

subtest 'X-Forwarded-Host and -Proto' => sub {
    $tag->clear;

    my $res = $t->request('GET', "/metrics/$hit", [], undef, nth => 3,
                          tls => 1);
    is $res->{status}, 204, 'TLS';
    is header(($tag->wait_requests(1))[0], 'X-Forwarded-Proto'), 'https',
       'https';

    my (undef, $got) = ask('HTTP/1.1', 'GET', "/metrics/$hit",
                           [Host => 'www.shop.example:8080']);
    like join('|', headers($got, 'X-Forwarded-Host')),
         qr/\Awww\.shop\.example(?::8080)?\z/, 'a host with a port';

    (undef, $got) = ask('HTTP/1.1', 'GET',
                        "http://www.shop.example/metrics/$hit", []);
    is own_headers($got), $own, 'an absolute URI';
    is $got->{uri}, "/$hit", 'without the host upstream';
};


# Answers.

my @paths = ($hit, 'ccm/collect?x=1', 'gtm.js?id=GTM-ABC1234', 'opaque.js?x=1');

subtest 'hostile answers' => sub {
    for my $way ('HTTP/1.1', 'HTTP/2') {
        for my $path (@paths) {
            for my $status (200, 204, 400, 404) {
                my $start = time;
                my ($res) = ask($way, 'GET',
                    "/metrics/$path&ep.answer=hostile:$status", []);

                is $res->{status}, $status, "$way, $path: $status";
                is $res->{body}, $status == 204 ? '' : 'mine',
                   'no file of nginx';
                is header($res, $_), undef, $_
                    for 'Clear-Site-Data', 'Strict-Transport-Security',
                        'X-Accel-Redirect';
                unlike header($res, 'Content-Type') || '', qr/koi8/,
                       'no charset';
                cmp_ok time - $start, '<', 2, 'not slowed';
                is header($res, 'Service-Worker-Allowed'), '/',
                   'what does no harm stays';
            }
        }
    }

    unlike $t->error_log, qr{/internal/}, 'nobody was redirected';

    my ($res) = ask('HTTP/1.1', 'GET', "/own/$hit&ep.answer=hostile:200", []);

    is join('|', headers($res, 'Strict-Transport-Security')), 'max-age=300',
       'what the operator adds stays';
    is join('|', headers($res, 'Clear-Site-Data')), '"cache"', 'also this';
    is join('|', headers($res, 'Set-Cookie')), 'session=own', 'and this';
};

# Set-Cookie: the host, sent, what the browser gets (undef: nothing).  Where
# several results are right the last is a pattern.

my $www = 'www.shop.example';
my @set = (
    [ $www, 'FPID=1; Domain=shop.example; Path=/; Secure' ],
    [ $www, 'FPID=1; Domain=.shop.example; Path=/' ],
    [ $www, 'FPID=1; Domain=www.shop.example' ],
    [ $www, 'FPID=1; domain=SHOP.example; HttpOnly' ],
    [ $www, 'FPID=1; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT' ],
    [ $www, 'FPID=1; Path=/a; SameSite=None; Partitioned; Priority=High' ],
    [ $www, 'FPID="a b"; Path=/' ],
    [ $www, 'FPID=a=b==; Path=/' ], [ $www, 'FPID=' ],
    [ $www, 'FPID=; Max-Age=0; Path=/; Domain=shop.example' ],
    [ $www, '_ga=domain.example; Path=/domain=x' ],
    [ $www, 'gtm_auth=1; Max-Age=300; Path=/; HttpOnly; SameSite=None;'
            . ' Secure' ],

    [ $www, 'FPID=1; Domain=sgtm.example.com; Path=/', 'FPID=1; Path=/' ],
    [ $www, 'FPID=1; Path=/; Domain=other.example', 'FPID=1; Path=/' ],
    [ $www, 'FPID=1; Domain=other.example', 'FPID=1' ],
    [ $www, 'FPID=1;Domain=other.example;Path=/', 'FPID=1;Path=/' ],
    [ $www, 'FPID=1; DOMAIN = other.example ; Path=/', 'FPID=1; Path=/' ],
    [ $www, 'FPID=1;   domain=.Other.Example;Secure', 'FPID=1;Secure' ],
    [ $www, 'FPID=1; Domain="other.example"; Path=/', 'FPID=1; Path=/' ],
    [ $www, 'FPID=1; Domain=hop.example; Path=/', 'FPID=1; Path=/' ],
    [ $www, 'FPID=1; Domain=op.example', 'FPID=1' ],
    [ $www, 'FPID=1; Domain=a.www.shop.example', 'FPID=1' ],
    [ $www, 'FPID=1; Domain=ww.shop.example', 'FPID=1' ],
    [ $www, 'FPID=1; Domain=xwww.shop.example', 'FPID=1' ],
    [ $www, 'FPID=1; Domain=shop.example.evil.example', 'FPID=1' ],
    [ $www, 'FPID=1; Domain=shop.example, other.example', 'FPID=1' ],
    [ $www, "FPID=1; Domain=\tother.example; Path=/", 'FPID=1; Path=/' ],
    [ $www, 'FPID=1; Domain=other.example; Domain=evil.example', 'FPID=1' ],
    [ $www, 'FPID=1; Domain=shop.example; Domain=evil.example',
      qr/\AFPID=1(?:; Domain=shop\.example)?\z/ ],
    [ $www, 'FPID=1; Domain=evil.example; Path=/; Domain=shop.example',
      qr/\AFPID=1(?=.*; Path=\/)(?:; (?:Path=\/|Domain=shop\.example))+\z/ ],
    [ $www, 'FPID=1; Domain=', qr/\AFPID=1(?:; Domain=)?\z/ ],
    [ 'www.shop.example:8080', 'FPID=1; Domain=shop.example' ],
    [ 'www.shop.example:8080', 'FPID=1; Domain=other.example', 'FPID=1' ],
    [ 'WWW.Shop.Example', 'FPID=1; Domain=shop.example' ],
    [ '127.0.0.1', 'FPID=1; Domain=0.0.1', 'FPID=1' ],

    [ $www, 'session=1; Path=/', undef ], [ $www, 'PHPSESSID=1', undef ],
    [ $www, '__Host-session=1; Secure; Path=/', undef ],
    [ $www, 'session=FPID=1', undef ], [ $www, 'session; FPID=1', undef ],
    [ $www, 'xFPID=1', undef ], [ $www, 'FPIDx=1', undef ],
    [ $www, 'fpid=1', undef ], [ $www, '=session', undef ],
    [ $www, '=FPID=1', undef ], [ $www, 'session', undef ],
    [ $www, 'session =1', undef ], [ $www, "session\t=1; FPID=1", undef ],
    [ $www, ' ; FPID=1', undef ], [ $www, '"FPID"=1', undef ],
    [ $www, 'FPID =1; Path=/', qr/\A(?:FPID =1; Path=\/)?\z/ ],
);

subtest 'Set-Cookie' => sub {
    for (@set) {
        my ($host, $sent, $want) = @$_;
        my $answer = join '', map { sprintf '%%%02x', ord } split //, $sent;
        my ($res) = ask('HTTP/1.1', 'GET',
            "/metrics/g/collect?$query&ep.answer=cookie:$answer",
            [Host => $host]);
        my $got = join '|', headers($res, 'Set-Cookie');

        $want = $sent if @$_ == 2;
        $want = '' if !defined $want;
        $want = qr/\A\Q$want\E\z/ if !ref $want;

        is $res->{status}, 204, "$host, \"$sent\"";
        like $got, $want, 'what the browser gets';
    }

    # several, of which some go; also with the names that the operator allows
    my $all = 'session=1|FPID=2; Domain=other.example|x=3|_ga=4|my_a=5|y=6';

    for (['metrics', 'FPID=2|_ga=4'], ['more', 'session=1|FPID=2|_ga=4|my_a=5'])
    {
        my ($location, $want) = @$_;

        for my $way ('HTTP/1.1', 'HTTP/2') {
            my ($res) = ask($way, 'GET', "/$location/g/collect?$query"
                . '&ep.answer=cookie:' . $all =~ s/ /%20/gr, []);

            is join('|', headers($res, 'Set-Cookie')), $want,
               "$location, $way: several";
        }
    }
};

# A 204 ends with its header, whatever the tagging server says or sends; the
# connection to the browser goes on, and no byte reaches another hit's answer.

my @ends = (
    ["\r\n"], ["Content-Length: 0\r\n\r\n"],
    ["Content-Length: 5\r\n\r\n"], ["Content-Length: 5\r\n\r\nseCre"],
    ["Transfer-Encoding: chunked\r\n\r\n"],
    ["Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["Connection: close\r\n\r\n"], ["\r\nseCret"],
    ["\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nseCret"],
    ["\r\n", 0.2, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nseCret"],
);

subtest 'a 204' => sub {
    my $head = "HTTP/1.1 204 No Content\r\nX-Tag: kept\r\n";

    for my $way ('HTTP/1.1', 'HTTP/2') {
        for my $end (@ends) {
            my $answer = join '|', map { s/([^\w.])/sprintf '%%%02x', ord $1/egr }
                                       "$head$end->[0]", @$end[1 .. $#$end];
            my $c = $way eq 'HTTP/2' ? $t->h2(nth => 2) : $t->http;
            (my $name = "$way, @$end") =~ s/\r\n/\\n/g;

            for my $more ("&ep.answer=raw:$answer", '&ep.answer=cache',
                          "&ep.answer=raw:$answer", '')
            {
                my $id = $c->request('GET', "/metrics/$hit$more");
                my $res = $way eq 'HTTP/2' ? $c->response($id) : $c->response;

                is $res->{status}, $more =~ /cache/ ? 200 : 204, $name;
                is $res->{body}, $more =~ /cache/ ? 'cached' : '', 'its body';
                is header($res, 'X-Tag'), $more =~ /raw/ ? 'kept' : undef,
                   'its header';
                select undef, undef, undef, 0.3 if @$end > 1;
            }

            $c->close;
        }
    }
};

subtest 'Cache-Control' => sub {
    for my $path ($hit, "ag/g/c?$query", "opaque?$query") {
        for my $answer ('', '&ep.answer=cache') {
            my ($res) = ask('HTTP/1.1', 'GET', "/metrics/$path$answer", []);
            is join('|', headers($res, 'Cache-Control')), 'no-store',
               "$path$answer";
        }
    }

    my ($res) = ask('HTTP/1.1', 'GET', '/metrics/g/collect?v=2', []);
    is $res->{status}, 400, 'a bad hit';
    is join('|', headers($res, 'Cache-Control')), 'no-store', 'also no-store';

    for my $path ('gtm.js?id=GTM-ABC1234', 'opaque?x=1') {
        ($res) = ask('HTTP/1.1', 'GET', "/metrics/$path&ep.answer=cache", []);
        is join('|', headers($res, 'Cache-Control')), 'public, max-age=1000',
           "$path: that of the tagging server";
    }
};

# A stream: each part is there while the next is not yet sent, so nothing waits
# for the end or for a full buffer.

subtest 'event stream' => sub {
    my $uri = "/metrics/g/collect?$query&ep.answer=stream&richsstsse";

    my $c = $t->http;
    $c->request('POST', $uri, [], 'en=b');

    my $res = $c->head;
    is $res->{status}, 200, 'HTTP/1.1';
    like header($res, 'Content-Type'), qr{\Atext/event-stream},
         'an event stream';

    my ($raw, @seen) = ('');

    for my $event (@events) {
        while ($raw !~ /\Q$event\E/) {
            my $more = $c->read_some(5);
            last if !defined $more || $more eq '';
            $raw .= $more;
        }

        push @seen, scalar(() = $raw =~ /event: message/g);
    }

    is "@seen", '1 2 3 4', 'event by event';
    like $raw, qr/\A(?:[0-9a-f]+\r\n)?\Q$events[0]\E/, 'as they were sent';
    $c->close;

    my $h2 = $t->h2(nth => 2);
    my $id = $h2->request('POST', $uri, [], 'en=b');

    $res = $h2->head($id);
    is $res->{status}, 200, 'HTTP/2';
    @seen = ();

    for my $event (@events) {
        $h2->read_until(sub { $res->{body} =~ /\Q$event\E/ }, timeout => 5);
        push @seen, scalar(() = $res->{body} =~ /event: message/g);
    }

    is "@seen", '1 2 3 4', 'event by event';
    is $h2->response($id)->{body}, join('', @events), 'whole';
    $h2->close;

    is $t->post($uri, 'en=b')->{body}, join('', @events), 'whole over HTTP/1.1';
};

# 100 kB, as debug sessions have them; whatever the location says

my @previews = (['X-Gtm-Server-Preview' => 'a'], ['X-Gtm-Debug' => 1],
                [Cookie => 'session=seCret; gtm_debug=x; a=b'],
                [Cookie => 'gtm_auth=x']);
my @debugged = ((map { my $path = $_; map { [$path, $_] } @previews } @paths),
                ['gtm/debug?id=GTM-ABC1234', []], ['a/gtm/get_memo?x=1', []]);

subtest 'large headers of an answer to a preview' => sub {
    for my $way ('HTTP/1.1', 'HTTP/2') {
        for (@debugged) {
            my ($path, $headers) = @$_;

            for my $location (qw(metrics bare)) {
                my $uri = "/$location/$path";
                my $name = "$way, $uri, @$headers";
                my ($res) = ask($way, 'GET', "$uri&ep.answer=big:10", $headers);

                is $res->{status}, 200, $name;
                is $res->{body}, 'big', 'its body';
                is scalar(grep { $_->[0] =~ /^x-gtm-debug-/i
                                 && length $_->[1] == 9990 }
                               @{ $res->{headers} }),
                   10, 'its headers';

                ($res) = ask($way, 'GET', "$uri&ep.answer=one:100000",
                             $headers);

                is length(header($res, 'X-Gtm-Debug') || ''), 100000,
                   'one header alone';
            }
        }

        for my $location (qw(metrics bare)) {
            for my $size (1000, 100_000, 2_000_000) {
                my ($res) = ask($way, 'GET',
                    "/$location/gtm/debug?x=1&ep.answer=body:$size", []);

                is length(header($res, 'X-Gtm-Debug') || ''), 100_000,
                   "$way, $location: before a body";
                is length $res->{body}, $size, "of $size bytes";
            }
        }
    }
};

# the shipped lines have a buffer for what else there is

subtest 'headers of an ordinary answer' => sub {
    for my $way ('HTTP/1.1', 'HTTP/2') {
        for my $path (@paths) {
            my ($res) = ask($way, 'GET', "/metrics/$path&ep.answer=one:12000",
                            []);

            is $res->{status}, 200, "$way, $path: 12 kB";
            is length(header($res, 'X-Gtm-Debug') || ''), 12000, 'arrive';
            is $res->{body}, 'big', 'with the body';

            ($res) = ask($way, 'GET', "/metrics/$path&ep.answer=one:100000",
                         []);

            is $res->{status}, 502, "$way, $path: 100 kB are too many";
        }
    }
};

subtest 'sgtm_debug' => sub {
    my ($res) = ask('HTTP/1.1', 'GET', "/metrics/$hit", []);

    is header($res, 'Sgtm-Disposition'), undef, 'off: no word of the gate';
    is header($res, 'Sgtm-Reason'), undef, 'nor why';

    ($res) = ask('HTTP/1.1', 'GET', "/debug/$hit", []);
    is header($res, 'Sgtm-Disposition'), 'forwarded', 'on: forwarded';

    ($res) = ask('HTTP/1.1', 'GET', '/debug/g/collect?v=2&tid=seCret&en=a', []);
    is header($res, 'Sgtm-Disposition'), 'refused', 'refused';
    is header($res, 'Sgtm-Reason'), 'bad_tag_id', 'and why';
};

done_testing;
