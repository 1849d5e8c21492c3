#!/usr/bin/perl

# Who may send what: origins (403, CORS, preflight), methods (405), Google ids
# of scripts and hits (403, 400), unknown paths (404 when closed), sizes (413).
# It guards against an open proxy that serves anyone's container or takes
# anyone's hits, against an id that hides behind an escape, a second argument or
# an odd path, and against a refusal that tells a visitor's value to the browser
# or to a log.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

# a tagging server with CORS headers of its own, which must not add up with ours

my $tag = SGTM::Backend->start(sub {
    return [200, ['Access-Control-Allow-Origin' => '*',
                  'Access-Control-Allow-Credentials' => 'false',
                  'Access-Control-Allow-Methods' => 'DELETE',
                  'Access-Control-Expose-Headers' => 'X-Upstream'], 'served'];
});

my $down = SGTM::Run::port();

my $gateway = <<'EOC';
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
EOC

my $common = <<'EOC';
        sgtm_endpoint   sgtm.example.com;
        sgtm_container  GTM-ABC1234 GTM-SECOND1;
        sgtm_tag_id     G-ABC1234567 GT-ABC1234 AW-123456789 DC-1234567;
        sgtm_fallback   client;
EOC

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    server {
        listen          127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        listen          127.0.0.1:%%PORT3%% ssl;
        ssl_certificate      %%CERT%%;
        ssl_certificate_key  %%KEY%%;
        server_name     shop.example;

$common
        location /metrics/ {
$gateway
        }

        location /listed/ {
            sgtm_origins  https://a.example http://b.example:8080
                          c.example d.example:8443 *.e.example
                          https://*.f.example;
$gateway
        }

        location /own/ {
            sgtm_origins  shop.example;
$gateway
        }

        location /closed/ {
            sgtm_passthrough  off;
$gateway
        }

        location /small/ {
            sgtm_max_body  1k;
$gateway
        }

        location /basic/ {
            sgtm_consent_mode  basic;
            sgtm_origins       https://a.example;
$gateway
        }

        location /down/ {
            sgtm_origins       https://a.example;
            sgtm               on;
            proxy_pass         http://127.0.0.1:$down/;
            include            sgtm_proxy.conf;
        }

        location /tags/ {
            sgtm_container  GTM-NONE1234;
            sgtm_tag_id     G-ABC1234567;
$gateway
        }
    }

    server {
        listen          127.0.0.1:%%PORT4%%;
        server_name     shop.example;

        merge_slashes   off;
$common
        location /metrics/ {
$gateway
        }
    }

    server {
        listen          127.0.0.1:%%PORT5%%;
        server_name     shop.example;
        sgtm_endpoint   sgtm.example.com;

        location /metrics/ {
$gateway
        }
    }
EOC

my $tid = 'v=2&tid=G-ABC1234567';
my $hit = "g/collect?$tid&en=a";


# ($res, what arrived)

sub ask {
    my ($method, $uri, $headers, $body, %opt) = @_;

    $tag->clear;

    my $res = $t->request($method, $uri, $headers, $body, %opt);
    my ($got) = $tag->requests;

    return ($res, $got);
}


# one line of text, with a name and a reason

sub is_refusal {
    my ($res, $got, $status, $name) = @_;

    is $res->{status}, $status, "$name: $status";
    ok !$got, 'nothing arrives';
    like $res->{body}, qr/\A[ -~]{1,120}\n?\z/, 'a line of text';
    like header($res, 'Content-Type'), qr{\Atext/plain\b}, 'says what it is';
}


# Origins: location, Host, Origin, whether it may send, and whether the answer
# has to name it since the page is of another origin.

my @origins = (
    # the same host by default
    [ 'metrics', 'shop.example', 'http://shop.example', 1 ],
    [ 'metrics', 'shop.example:8080', 'http://shop.example:8080', 1 ],
    [ 'metrics', 'shop.example', undef, 1 ],
    [ 'metrics', 'shop.example', 'null', 0 ],
    [ 'metrics', 'shop.example', 'http://other.example', 0 ],
    [ 'metrics', 'shop.example', 'http://www.shop.example', 0 ],
    [ 'metrics', 'shop.example', 'http://evilshop.example', 0 ],
    [ 'metrics', 'shop.example', 'http://shop.example.evil.example', 0 ],
    [ 'metrics', 'shop.example', 'http://shop.exampl', 0 ],
    [ 'metrics', 'shop.example', 'http://shop.example@evil.example', 0 ],
    [ 'metrics', 'shop.example', 'http://evil.example/shop.example', 0 ],
    [ 'metrics', 'shop.example', 'http://evil.example#shop.example', 0 ],
    [ 'metrics', 'shop.example', 'http://evil.example?shop.example', 0 ],
    [ 'metrics', 'shop.example', 'shop.example', 0 ],
    [ 'metrics', 'shop.example', '//shop.example', 0 ],
    [ 'metrics', 'shop.example', 'http://shop.example, http://evil.example',
      0 ],
    [ 'metrics', 'shop.example', 'http://', 0 ],
    [ 'metrics', 'shop.example', 'x' x 3000, 0 ],

    # a list
    [ 'listed', 'shop.example', 'https://a.example', 1, 1 ],
    [ 'listed', 'shop.example', 'http://a.example', 0 ],
    [ 'listed', 'shop.example', 'https://a.example:8443', 0 ],
    [ 'listed', 'shop.example', 'https://www.a.example', 0 ],
    [ 'listed', 'shop.example', 'http://b.example:8080', 1, 1 ],
    [ 'listed', 'shop.example', 'http://b.example', 0 ],
    [ 'listed', 'shop.example', 'http://b.example:80800', 0 ],
    [ 'listed', 'shop.example', 'https://b.example:8080', 0 ],
    [ 'listed', 'shop.example', 'https://c.example', 1, 1 ],
    [ 'listed', 'shop.example', 'http://c.example', 1, 1 ],
    [ 'listed', 'shop.example', 'https://c.example.evil.example', 0 ],
    [ 'listed', 'shop.example', 'https://d.example:8443', 1, 1 ],
    [ 'listed', 'shop.example', 'https://d.example', 0 ],
    [ 'listed', 'shop.example', 'https://www.e.example', 1, 1 ],
    [ 'listed', 'shop.example', 'http://a.b.e.example', 1, 1 ],
    [ 'listed', 'shop.example', 'https://evile.example', 0 ],
    [ 'listed', 'shop.example', 'https://x.e.example.evil.example', 0 ],
    [ 'listed', 'shop.example', 'https://x.evil.example/.e.example', 0 ],
    [ 'listed', 'shop.example', 'https://evil.example\\.e.example', 0 ],
    [ 'listed', 'shop.example', 'https://.e.example', 0 ],
    [ 'listed', 'shop.example', 'https://www.f.example', 1, 1 ],
    [ 'listed', 'shop.example', 'http://www.f.example', 0 ],
    [ 'listed', 'shop.example', 'null', 0 ],
    [ 'listed', 'shop.example', 'https://other.example', 0 ],
    [ 'listed', 'shop.example', '*', 0 ],
    [ 'listed', 'shop.example', '*.e.example', 0 ],
    [ 'listed', 'shop.example', undef, 1 ],

    # the site itself in the list; another port is another origin
    [ 'own', 'shop.example', 'http://shop.example', 1 ],
    [ 'own', 'shop.example', 'https://other.example', 0 ],
);

my %cors = map { lc $_ => 1 } qw(
    Access-Control-Allow-Origin Access-Control-Allow-Credentials
    Access-Control-Allow-Methods Access-Control-Allow-Headers
    Access-Control-Expose-Headers Access-Control-Max-Age
);

subtest 'origins' => sub {
    for (@origins) {
        my ($location, $host, $origin, $may, $foreign) = @$_;
        my @headers = (Host => $host);
        my $name = defined $origin ? substr $origin, 0, 60 : 'no origin';

        push @headers, Origin => $origin if defined $origin;
        $name = "$location, $name";

        for my $request (['GET', "/$location/$hit"],
                         ['POST', "/$location/g/collect?$tid", 'en=a'],
                         ['POST', "/$location/ccm/collect?x=1", 'a=b'])
        {
            my ($method, $uri, $body) = @$request;
            my ($res, $got) = ask($method, $uri, \@headers, $body);
            my @cors = grep { $cors{lc $_->[0]} } @{ $res->{headers} };

            if (!$may) {
                is $res->{status}, 403, "$name: refused";
                ok !$got, 'nothing arrives';
                is scalar(@cors), 0, 'no leave to read the answer';
                like $res->{body}, qr/\A[ -~]+\n?\z/, 'a line of text';
                next;
            }

            is $res->{status}, 200, "$name: passes";
            is $got && $got->{method}, $method, 'and arrives';

            if (!$foreign) {
                is scalar(grep { $_->[1] eq '*' || $_->[1] eq 'false' } @cors),
                   0, 'no CORS of the tagging server';
                next;
            }

            is join('|', headers($res, 'Access-Control-Allow-Origin')),
               $origin, 'the answer names it, once';
            is join('|', headers($res, 'Access-Control-Allow-Credentials')),
               'true', 'and lets cookies';
            like join(',', headers($res, 'Vary')), qr/\bOrigin\b/i, 'Vary';
            is header($res, 'Access-Control-Allow-Methods'), undef,
               'what the tagging server said is gone';
        }
    }

    my ($res, $got) = ask('GET', "/metrics/$hit", [Host => 'shop.example',
                          Origin => 'http://shop.example',
                          Origin => 'http://evil.example']);
    cmp_ok $res->{status}, '>=', 400, 'two origins: refused';
    ok !$got, 'nothing arrives';
};

subtest 'over TLS and HTTP/2' => sub {
    for my $case (['https://shop.example', 200], ['https://evil.example', 403],
                  ['null', 403])
    {
        my ($origin, $status) = @$case;
        my ($res) = ask('GET', "/metrics/$hit", [Host => 'shop.example',
                        Origin => $origin], undef, nth => 3, tls => 1);

        is $res->{status}, $status, "TLS: $origin";
    }

    my $h2 = $t->h2(nth => 2);

    for my $case (['http://shop.example', 200, 'metrics'],
                  ['http://evil.example', 403, 'metrics'],
                  ['null', 403, 'metrics'],
                  ['https://a.example', 200, 'listed'],
                  ['https://x.a.example', 403, 'listed'])
    {
        my ($origin, $status, $location) = @$case;
        my $id = $h2->request('GET', "/$location/$hit", [origin => $origin]);

        is $h2->response($id)->{status}, $status, "HTTP/2: $location, $origin";
    }

    $h2->close;
};

subtest 'scripts for other origins' => sub {
    for my $uri ('/listed/gtm.js?id=GTM-ABC1234', '/listed/t.js') {
        my ($res) = ask('GET', $uri, [Host => 'shop.example',
                                      Origin => 'https://a.example']);
        is $res->{status}, 200, $uri;
        is join('|', headers($res, 'Access-Control-Allow-Origin')),
           'https://a.example', 'for the origin';
    }
};

subtest 'preflight' => sub {
    my @ask = ('Access-Control-Request-Method' => 'POST',
               'Access-Control-Request-Headers' => 'content-type');

    for my $path ('g/collect', $hit, 'ccm/collect', 'gtm.js', 'opaque') {
        my ($res, $got) = ask('OPTIONS', "/listed/$path",
            [Host => 'shop.example', Origin => 'https://a.example', @ask]);

        like $res->{status}, qr/\A20[04]\z/, "$path: allowed";
        ok !$got, 'the gateway answers';
        is $res->{body}, '', 'without a body';
        is join('|', headers($res, 'Access-Control-Allow-Origin')),
           'https://a.example', 'the origin';
        is header($res, 'Access-Control-Allow-Credentials'), 'true',
           'with cookies';
        like header($res, 'Access-Control-Allow-Methods'), qr/\bPOST\b/,
             'the method';
        like header($res, 'Access-Control-Allow-Headers'),
             qr/\bcontent-type\b/i, 'the header';

        for my $origin ('https://evil.example', 'null', 'http://a.example') {
            ($res, $got) = ask('OPTIONS', "/listed/$path",
                [Host => 'shop.example', Origin => $origin, @ask]);

            is $res->{status}, 403, "$path: $origin is refused";
            ok !$got, 'nothing arrives';
            is header($res, 'Access-Control-Allow-Origin'), undef, 'no leave';
        }
    }

    my ($res, $got) = ask('OPTIONS', '/metrics/g/collect',
        [Host => 'shop.example', Origin => 'http://shop.example', @ask]);
    like $res->{status}, qr/\A20[04]\z/, 'the site itself';
    ok !$got, 'the gateway answers';
};

# a page has to see the status that the gate itself answers with

subtest 'CORS of the gate\'s own answers' => sub {
    for (['denied', "/basic/$hit&gcs=G100", 204],
         ['the tagging server is down', "/down/$hit", 503],
         ['a bad hit', '/basic/g/collect?v=2&en=a', 400])
    {
        my ($name, $uri, $status) = @$_;
        my ($res) = ask('GET', $uri, [Host => 'shop.example',
                                      Origin => 'https://a.example']);

        is $res->{status}, $status, $name;
        is join('|', headers($res, 'Access-Control-Allow-Origin')),
           'https://a.example', 'the origin';
        is join('|', headers($res, 'Access-Control-Allow-Credentials')), 'true',
           'with cookies';
    }
};

# methods: what passes, all others get 405 and are told

my @methods = (
    [ $hit, [qw(GET POST)] ],
    [ "ag/g/c?$tid&en=a", [qw(GET POST)] ],
    [ "opaque?$tid&en=a", [qw(GET POST)] ],
    [ 'gtm.js?id=GTM-ABC1234', [qw(GET HEAD)] ],
    [ 'gtag/js?id=G-ABC1234567', [qw(GET HEAD)] ],
    [ 'gtag/destination?id=G-ABC1234567', [qw(GET HEAD)] ],
    [ 'ns.html?id=GTM-ABC1234', [qw(GET HEAD)] ],
    [ 't.js', [qw(GET HEAD)] ],
    [ 'ccm/collect?x=1', [qw(GET HEAD POST)] ],
);

subtest 'methods' => sub {
    for (@methods) {
        my ($path, $may) = @$_;

        for my $method (@$may) {
            my ($res) = ask($method, "/metrics/$path", [],
                            $method eq 'POST' ? 'en=a' : undef);
            is $res->{status}, 200, "$method $path: passes";
        }

        for my $method (qw(PUT DELETE PATCH PROPFIND),
                        "@$may" =~ /POST/ ? () : 'POST')
        {
            my ($res, $got) = ask($method, "/metrics/$path", [], 'en=a');

            is_refusal($res, $got, 405, "$method $path");

            my %allow = map { $_ => 1 } split /\s*,\s*/,
                            join ',', headers($res, 'Allow');
            my @missing = grep { !$allow{$_} } @$may;

            is "@missing", '', 'Allow names what may be used';
            ok !$allow{$method}, 'and not this';
        }
    }
};


# scripts: path, whether it passes

my @scripts = (
    [ 'gtm.js?id=GTM-ABC1234', 1 ],
    [ 'gtm.js?id=GTM-SECOND1&l=dataLayer&cx=c&gtm=45je&_x=%20', 1 ],
    [ 'gtm.js?l=dataLayer&id=GTM-ABC1234', 1 ],
    [ 'gtag/js?id=G-ABC1234567', 1 ],
    [ 'gtag/js?id=AW-123456789&cx=c', 1 ],
    [ 'gtag/js?id=GT-ABC1234', 1 ],
    [ 'gtag/js?id=DC-1234567', 1 ],
    [ 'gtag/js?id=GTM-ABC1234', 1 ],
    [ 'gtag/destination?id=AW-123456789', 1 ],
    [ 'ns.html?id=GTM-ABC1234', 1 ],

    [ 'gtm.js?id=GTM-EVIL999', 0 ],
    [ 'gtm.js?id=GTM-ABC12345', 0 ],
    [ 'gtm.js?id=GTM-ABC123', 0 ],
    [ 'gtm.js?id=gtm-abc1234', 0 ],
    [ 'gtm.js?id=GTM-ABC1234%00', 0 ],
    [ 'gtm.js?id=GTM-ABC1234%26id%3DGTM-EVIL999', 0 ],
    [ 'gtm.js?id=GTM-ABC1234;id=GTM-EVIL999', 0 ],
    [ 'gtm.js?id=+GTM-EVIL999', 0 ],
    [ 'gtm.js?id=', 0 ],
    [ 'gtm.js?id', 0 ],
    [ 'gtm.js', 0 ],
    [ 'gtm.js?x=GTM-ABC1234', 0 ],
    [ 'gtag/js?id=G-EVIL999999', 0 ],
    [ 'gtag/js?id=AW-999999999', 0 ],
    [ 'gtag/js?id=GT-EVIL999', 0 ],
    [ 'gtag/js?id=DC-9999999', 0 ],
    [ 'gtag/js', 0 ],
    [ 'gtag/destination?id=AW-999999999', 0 ],
    [ 'gtag/destination?id=G-EVIL999999', 0 ],
    [ 'ns.html?id=GTM-EVIL999', 0 ],

    # said twice, in either order
    [ 'gtm.js?id=GTM-ABC1234&id=GTM-SECOND1', 1 ],
    [ 'gtm.js?id=GTM-ABC1234&id=GTM-EVIL999', 0 ],
    [ 'gtm.js?id=GTM-EVIL999&id=GTM-ABC1234', 0 ],
    [ 'gtag/js?id=G-ABC1234567&cx=c&id=AW-999999999', 0 ],

    # escapes
    [ 'gtm.js?id=GTM-EVIL%39%39%39', 0 ],
    [ 'gtm.js?id=GTM%2DEVIL999', 0 ],
    [ 'gtm.js?id=GTM-ABC1234&i%64=GTM-EVIL999', 0 ],
    [ 'gtm.js?%69%64=GTM-EVIL999&id=GTM-ABC1234', 0 ],
    [ 'gtm.js?%69d=GTM-EVIL999', 0 ],

    # other ways to say the path
    [ 'gtm%2Ejs?id=GTM-EVIL999', 0 ],
    [ './gtm.js?id=GTM-EVIL999', 0 ],
    [ 'x/../gtm.js?id=GTM-EVIL999', 0 ],
    [ 'gtag/./js?id=G-EVIL999999', 0 ],
    [ 'gtag%2Fjs?id=G-EVIL999999', 0 ],
    [ '/gtm.js?id=GTM-EVIL999', 0 ],
    [ '//gtm.js?id=GTM-EVIL999', 0 ],
    [ 'gtag//js?id=G-EVIL999999', 0 ],
    [ 'GTM.JS?id=GTM-EVIL999', 0 ],
    [ 'gtm.js/?id=GTM-EVIL999', 0 ],
    [ 'gtm.js;x?id=GTM-EVIL999', 0 ],
    [ 'a/gtm.js?id=GTM-EVIL999', 0 ],

    # an opaque path may be a script as well
    [ 'opaque?id=GTM-ABC1234', 1 ],
    [ 'opaque?id=GTM-EVIL999', 0 ],
    [ 'opaque?x=1&id=G-EVIL999999', 0 ],
    [ 'opaque?id=AW-999999999', 0 ],
    [ 'opaque?i%64=GTM-EVIL999', 0 ],
    [ '?id=GTM-EVIL999', 0 ],

    # an id of another kind is nobody's container
    [ 'ccm/collect?id=12345', 1 ],
    [ 'pagead/landing?id=abc', 1 ],
);

subtest 'ids of scripts' => sub {
    for (@scripts) {
        my ($path, $passes) = @$_;

        # of these nginx itself cleans the path, unless it is told not to
        for my $nth ($path =~ m{^/|//} ? (1, 4) : 1) {
            my ($res, $got) = ask('GET', "/metrics/$path", [], undef,
                                  nth => $nth);

            if ($passes) {
                is $res->{status}, 200, "$path: passes";
                is $got && $got->{uri}, "/$path", 'as it is';
                next;
            }

            like $res->{status}, qr/\A40[034]\z/, "$path: refused";
            is $res->{status}, 403, 'as a foreign id'
                if $path =~ /\Ag[^;%+]*(?:EVIL|999)/;
            ok !$got, 'nothing arrives';
        }
    }

    # over HTTP/2, and through the location whose list has one kind alone
    my $h2 = $t->h2(nth => 2);

    for (['/metrics/gtm.js?id=GTM-ABC1234', 200],
         ['/metrics/gtm.js?id=GTM-EVIL999', 403],
         ['/tags/gtm.js?id=GTM-ABC1234', 403],
         ['/tags/gtag/js?id=AW-123456789', 403],
         ['/tags/gtag/js?id=G-ABC1234567', 200])
    {
        my ($uri, $status) = @$_;

        is $h2->response($h2->request('GET', $uri))->{status}, $status, $uri;
    }

    $h2->close;
};

# hits: query, body, status

my @hits = (
    [ "$tid&en=a", undef, 200 ],
    [ $tid, 'en=a', 200 ],
    [ 'v=2&tid=G-EVIL999999&en=a', undef, 403 ],
    [ 'v=2&tid=G-ABC12345678&en=a', undef, 403 ],
    [ 'v=2&tid=G-ABC123456&en=a', undef, 403 ],
    [ 'v=2&tid=G-EVIL%39%39%39&en=a', undef, qr/40[03]/ ],
    [ 'v=2&tid=G%2DEVIL999&en=a', undef, qr/40[03]/ ],
    [ "$tid&tid=G-EVIL999999&en=a", undef, 403 ],
    [ "v=2&tid=G-EVIL999999&tid=G-ABC1234567&en=a", undef, 403 ],
    [ "$tid&%74id=G-EVIL999999&en=a", undef, 403 ],
    [ $tid, 'en=a&tid=G-EVIL999999', 403 ],
    [ $tid, "en=a\r\nen=b&t%69d=G-EVIL999999", 403 ],
    [ 'v=2&tid=&en=a', undef, 400 ],
    [ 'v=2&tid&en=a', undef, 400 ],
    [ 'v=2&en=a', undef, 400 ],
    [ 'v=2&tid=G-abc1234567&en=a', undef, 400 ],
    [ 'v=2&tid=G-&en=a', undef, 400 ],
    [ 'v=2&tid=G-ABC&en=a', undef, 400 ],
    [ 'v=2&tid=G-ABCDEFGHIJKLMNOPQRSTUVW&en=a', undef, 400 ],
    [ 'v=2&tid=UA-12345-1&en=a', undef, 400 ],
    [ 'v=2&tid=G-ABC1234567%00&en=a', undef, 400 ],
    [ 'v=2&tid=x&en=a', undef, 400 ],
    [ 'v=2&tid=GTM-ABC1234&en=a', undef, qr/40[03]/ ],
    [ 'v=1&tid=G-ABC1234567&en=a', undef, 400 ],
    [ 'tid=G-ABC1234567&en=a', undef, 400 ],
);

subtest 'ids of hits' => sub {
    for (@hits) {
        my ($query, $body, $status) = @$_;

        for my $path ('g/collect', 'ag/g/c',
                      $query =~ /v=2&tid=G-[A-Z0-9]{4,20}(?:&|\z)/ ? 'opaque'
                                                                   : ())
        {
            (my $name = "$path?$query" . ($body ? ", $body" : ''))
                =~ s/\r\n/ | /g;
            my ($res, $got) = ask(defined $body ? 'POST' : 'GET',
                                  "/metrics/$path?$query", [], $body);

            if ($status eq '200') {
                is $res->{status}, 200, $name;
                is $got && $got->{uri}, "/$path?$query", 'arrives';
                next;
            }

            $status = qr/$status/;
            like $res->{status}, qr/\A$status\z/, $name;
            ok !$got, 'nothing arrives';
            like $res->{body}, qr/\A\w+: [ -~]+\n?\z/, 'says which parameter';
        }
    }
};

subtest 'no list: no open proxy' => sub {
    for my $path ($hit, 'gtm.js?id=GTM-ABC1234', 'gtag/js?id=G-ABC1234567',
                  'ns.html?id=GTM-ABC1234', 'gtag/destination?id=AW-123456789',
                  'opaque?id=GTM-ABC1234', "opaque?$tid&en=a")
    {
        my ($res, $got) = ask('GET', "/metrics/$path", [], undef, nth => 5);

        is_refusal($res, $got, 403, $path);
    }

    my ($status, $text) = nginx_t(<<"EOC");
        server {
            listen         127.0.0.1:%%PORT%%;
            sgtm_endpoint  sgtm.example.com;
            location /metrics/ {
                sgtm        on;
                proxy_pass  http://127.0.0.1:%%PORT2%%/;
            }
        }
EOC

    is $status, 0, 'nginx -t passes';
    like $text, qr/\[warn\].*sgtm_tag_id.*sgtm_container
                   |\[warn\].*sgtm_container.*sgtm_tag_id/x,
         'and warns, with the names of both lists';
};

subtest 'sgtm_passthrough off' => sub {
    for my $path ('ccm/collect', 'opaque', 'd/ccm/conversion', 'a', 'td', '',
                  'opaque?x=1', 'g/collect/x', 'gtm.jsx', 't.jsx',
                  '_/service_worker/1/sw.js')
    {
        my ($res, $got) = ask('GET', "/closed/$path");

        is_refusal($res, $got, 404, "/$path");
    }

    for my $path ($hit, "ag/g/c?$tid&en=a", "opaque?$tid&en=a", 't.js',
                  'gtm.js?id=GTM-ABC1234', 'gtag/js?id=G-ABC1234567',
                  'gtag/destination?id=G-ABC1234567', 'ns.html?id=GTM-ABC1234',
                  'gtm/debug?id=GTM-ABC1234')
    {
        my ($res) = ask('GET', "/closed/$path");

        is $res->{status}, 200, "/$path passes";
    }
};

subtest 'sgtm_max_body' => sub {
    for my $path ("g/collect?$tid", "ag/g/c?$tid", 'ccm/collect') {
        my $body = 'en=a&ep.x=' . 'x' x 1014;          # 1024 bytes

        for my $more ('', 'x') {
            my $long = "$body$more";
            my $status = $more eq '' ? 200 : 413;
            my @chunks = map { sprintf "%x\r\n%s\r\n", length, $_ }
                             unpack '(a300)*', $long;

            my ($res, $got) = ask('POST', "/small/$path", [], $long);
            is $res->{status}, $status, "$path: " . length $long;
            is $got && $got->{body}, $more eq '' ? $long : undef,
               'arrives, or not';

            ($res, $got) = ask('POST', "/small/$path",
                               ['Transfer-Encoding' => 'chunked'],
                               join '', @chunks, "0\r\n\r\n");
            is $res->{status}, $status, 'chunked';
            is $got && $got->{body}, $more eq '' ? $long : undef,
               'arrives, or not';

            $tag->clear;

            my $h2 = $t->h2(nth => 2);
            is $h2->response($h2->request('POST', "/small/$path", [], $long))
                  ->{status}, $status, 'HTTP/2, its length said';

            my $id = $h2->request('POST', "/small/$path", [], undef,
                                  end_stream => 0);
            $h2->data($id, $long, 1);
            is $h2->response($id)->{status}, $status, 'HTTP/2, not said';
            $h2->close;

            is $tag->count, $more eq '' ? 2 : 0, 'arrives, or not';
        }
    }

    # the default is 64k
    for my $more (0, 1) {
        my $body = 'en=a&ep.x=' . 'x' x (65536 - 10 + $more);
        my ($res) = ask('POST', "/metrics/g/collect?$tid", [], $body);

        is $res->{status}, $more ? 413 : 200, '64k and ' . $more;
    }
};

# Refusals: one line that names what is wrong; "seCret" is in whatever the
# visitor sent and must be nowhere else.

my $s = 'seCret';
my @refusals = (
    [ 'a bad tag id', 400, qr/\Atid: /, GET => "g/collect?v=2&tid=$s&en=a" ],
    [ 'no tag id', 400, qr/\Atid: /, GET => "g/collect?v=2&en=$s" ],
    [ 'a foreign tag id', 403, qr/\Atid: /,
      GET => "g/collect?v=2&tid=G-SECRETSECRET&en=a&cid=$s" ],
    [ 'a foreign tag id in a line', 403, qr/\Atid: /,
      POST => "g/collect?$tid", "en=a\r\nen=$s&tid=G-SECRETSECRET" ],
    [ 'another version', 400, qr/\Av: /, GET => "g/collect?v=$s&$tid" =~
      s/v=2&//r . "&en=$s" ],
    [ 'no event', 400, qr/\Aen: /, GET => "g/collect?$tid&cid=$s" ],
    [ 'no event in the body', 400, qr/\Aen: /, POST => "g/collect?$tid",
      "ep.a=$s" ],
    [ 'a bad escape', 400, qr/\A\S+: /, GET => "g/collect?$tid&en=a&x=$s%zz" ],
    [ 'a bad escape in a line', 400, qr/\A\S+: /, POST => "g/collect?$tid",
      "en=a&x=$s%" ],
    [ 'a NUL', 400, qr/\A\S+: /, GET => "g/collect?$tid&en=a&x=$s%00" ],
    [ 'no UTF-8', 400, qr/\A\S+: /, GET => "g/collect?$tid&en=a&x=$s%ff" ],
    [ 'too many arguments', 400, qr/\A\S+: /, POST => "g/collect?$tid",
      "en=a&x=$s" . '&x=1' x 2000 ],
    [ 'a foreign container', 403, qr/\Aid: /,
      GET => "gtm.js?id=GTM-SECRET1&x=$s" ],
    [ 'a container that is none', 403, qr/\Aid: /, GET => "gtm.js?id=$s" ],
    [ 'a foreign tag', 403, qr/\Aid: /, GET => "gtag/js?id=G-SECRET1&x=$s" ],
    [ 'a method', 405, qr/\S/, PUT => "g/collect?$tid&en=$s", "en=$s" ],
    [ 'too large', 413, qr/\S/, POST => "g/collect?$tid&x=$s",
      "en=a&x=$s" . 'x' x 70000 ],
    [ 'too large, chunked', 413, qr/\S/, POST => "g/collect?$tid&x=$s",
      sprintf("%x\r\nen=a&x=$s%s\r\n0\r\n\r\n", 70008, 'x' x 69995),
      'Transfer-Encoding' => 'chunked' ],
    [ 'a foreign origin', 403, qr/origin/i, GET => "g/collect?$tid&en=$s",
      undef, Origin => "https://$s.example" ],
    [ 'the base64 of a query', 400, qr/\A\S+: /,
      GET => 'g/collect?dj0yJnRpZD1HLUFCQzEyMzQ1NjcmZW49c2VDcmV0' ],
);

subtest 'refusals' => sub {
    my @headers = (Referer => "https://shop.example/$s?gclid=$s",
                   Cookie => "_ga=$s; session=$s");

    for (@refusals) {
        my ($name, $status, $re, $method, $path, $body, @more) = @$_;

        for my $nth (1, 2) {
            my $res;

            $tag->clear;

            if ($nth == 1) {
                $res = $t->request($method, "/metrics/$path",
                                   [@headers, @more], $body);
            } else {
                my @h2 = grep { !/chunked|Transfer/ } @headers, @more;
                my $h2 = $t->h2(nth => 2);
                my $text = $body;

                if (defined $text && "@more" =~ /chunked/) {
                    $text =~ s/\A[0-9a-f]+\r\n|\r\n0\r\n\r\n\z//g;
                }

                my $id = $h2->request($method, "/metrics/$path", \@h2, undef,
                                      end_stream => !defined $text);
                eval { $h2->data($id, $text, 1) } if defined $text;
                $res = $h2->response($id);
                $h2->close;
            }

            is $res->{status}, $status, $name;
            like $res->{body}, qr/\A[ -~]{1,120}\n?\z/, 'one line';
            like $res->{body}, $re, 'names what is wrong';
            unlike join("\n", $res->{body}, map { @$_ } @{ $res->{headers} }),
                   qr/secret/i, 'and does not say the value';
            is $tag->count, 0, 'nothing arrives';
        }
    }

    # also not as the base64 that the last one sent
    unlike $t->error_log, qr/secret|dj0yJnRp/i, 'nor does the error log';
    unlike $t->access_log, qr/secret|dj0yJnRp/i, 'nor the access log';
    like $t->access_log, qr{"PUT /metrics/g/collect.*" 405 }, 'which has them';
};

done_testing;
