#!/usr/bin/perl

# Preview and debug traffic passes in both directions as it is, whatever else
# is configured: consent denied in either mode, other paths closed, a limit on
# bodies, redaction and parameters of the operator's own.  It is known by four
# headers, three cookies and its paths.  A preview that stays silent behind the
# proxy is what users of gateways complain about most; the shop's session and
# its Authorization must stay out of it all the same, and a prefix that is
# called /gtm/ must not turn every hit into a preview.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Time::HiRes qw(sleep time);

my @set = ('gtm_auth=a%2Fb; Max-Age=300; Path=/; HttpOnly; SameSite=None; '
           . 'Secure',
           'gtm_debug=LXY==; Max-Age=300; Path=/; HttpOnly; SameSite=None; '
           . 'Secure',
           'gtm_preview=env-3; Max-Age=300; Path=/; HttpOnly; SameSite=None; '
           . 'Secure');

# 1400 headers, 126 kB of them with their names and line ends

my @big = map { (sprintf('X-Gtm-Debug-%04d', $_) => 'd' x 71) } 1 .. 1400;

my %does = (
    big => [200, \@big, "debug\n"],
    one => [200, ['X-Gtm-Debug-All' => 'd' x 126_000], "debug\n"],
    memo => { status => 200, headers => ['Content-Type' => 'application/json'],
              body => "{\"memo\":[]}\n", delay => 3 },
    stream => { status => 200, chunks => ["first\n", \0.8, "second\n"] },
    302 => [302, [Location => 'https://tagmanager.example/#/x?a=b%20c'], ''],
    404 => [404, ['X-Tag' => 'kept'], "tag: 404\n"],
    500 => [500, ['X-Tag' => 'kept'], "tag: 500\n"],
    503 => [503, ['X-Tag' => 'kept'], "tag: 503\n"],
    accel => [200, ['X-Accel-Redirect' => '/secret'], "plain\n"],
    script => [200, ['Content-Type' => 'text/javascript',
                     'Cache-Control' => 'max-age=60'], 'SCRIPT'],
    plain => [200, ['Content-Type' => 'text/html; charset=utf-8',
                    'Content-Security-Policy' => "frame-ancestors 'self'",
                    'X-Frame-Options' => 'ALLOWALL', 'X-Tag' => 'kept',
                    'Cache-Control' => 'private, max-age=7',
                    map { ('Set-Cookie' => $_) } @set],
              "<html>\0\xff\r\n</html>"],
);

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    my ($do) = $req->{uri} =~ /\bdo=(\w+)/;

    if ($do && $do eq 'script') {
        my $kind = $req->{h}{'x-gtm-server-preview'} ? 'draft' : 'published';

        return [@{ $does{script} }[0, 1], $kind];
    }

    return $does{$do || 'plain'};
});


sub gateway {
    my ($prefix, $more) = @_;

    return <<"EOC";
        location /$prefix/ {
            sgtm               on;
            $more
            proxy_pass         http://tagging/;
            include            %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }
EOC
}

# the strictest settings that there are

my $strict = <<'EOC';
            sgtm_passthrough   off;
            sgtm_max_body      2k;
            sgtm_client_ip     none;
            sgtm_remove_param  gtm_debug ep.* uid;
            sgtm_set_param     ep.added yes;
            sgtm_fallback      client;
EOC

my @prefixes = qw(off basic advanced strict-basic strict-advanced);

my $t = SGTM::Test->start(<<"EOC", workers => 2);
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 8; }

    proxy_cache_path  %%DIR%%/cache keys_zone=scripts:1m;

    server {
        listen           127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name      shop.example;

        sgtm_endpoint    sgtm.example.com;
        sgtm_container   GTM-ABC1234;
        sgtm_tag_id      G-ABC1234567;

        location = /secret {
            internal;
            return  200 "secret\n";
        }

        @{[ gateway('off', 'sgtm_consent_mode off;') ]}
        @{[ gateway('basic', 'sgtm_consent_mode basic;') ]}
        @{[ gateway('advanced', 'sgtm_consent_mode advanced;') ]}
        @{[ gateway('strict-basic', "$strict sgtm_consent_mode basic;") ]}
        @{[ gateway('strict-advanced',
                    "$strict sgtm_consent_mode advanced;") ]}
        @{[ gateway('gtm', 'sgtm_consent_mode advanced;') ]}
        @{[ gateway('a/gtm', 'sgtm_consent_mode basic;') ]}
        @{[ gateway('cached', 'proxy_cache scripts;') ]}

        location = /status { sgtm_status; }
    }
EOC


# a hit that says no to everything and holds what a denial would remove

my $denied = 'gcs=G100&gcd=13p3p3p3p5l1';
my $args = "v=2&tid=G-ABC1234567&cid=1.2&uid=user&sid=3&sct=4&$denied&en=a"
           . '&ep.secret=1&gclid=x&dl=https%3A%2F%2Fshop.example%2F%3Fgclid%3D'
           . 'x%26_gl%3Dy&uip=198.51.100.7&ep.user_data.email=a&gtm_debug=x'
           . '&z=%2520%e2+&bare&empty=&richsstsse';

# the same without the bytes that a hit may not have

(my $hit = $args) =~ s/%e2//;

my $line = "en=b&uid=user&ep.secret=2&gclid=x\r\nen=c&_fid=1\n";

my @markers = (
    (map { [$_, [$_ => 'aB+/=%20']] }
         qw(X-Gtm-Server-Preview X-Gtm-Auth X-Gtm-Debug X-Gtm-Preview)),
    (map { ["cookie $_", [Cookie => "$_=aB+/="]] }
         qw(gtm_auth gtm_debug gtm_preview)),
    ['a header in another case', ['x-gtm-server-PREVIEW' => 'x']],
    ['cookie among others', [Cookie => 'session=SHOP; gtm_debug=x; a=b']],
);

# what stands below the prefix

my @paths = ('gtm/debug?id=GTM-ABC1234&gtm_debug=x&a=%20+%2B&b', 'gtm/get_memo',
             'gtm/', 'gtm', 'a/gtm/b?gclid=x', 'a/b/gtm?uid=user&x=%e2%82%ac',
             'gtm/debug/badge?a=1&a=2', "gtm/debug?$args", 'gtm/a%20b?c');

# no preview: closed where other paths are

my @others = ('gtmx/debug', 'xgtm', 'a/xgtm', 'gtm.x', 'a/gtm.x/b');


# what the shop has and the tagging server must not see

my @shop = (Authorization => 'Basic U0hPUA==', 'X-Csrf-Token' => 'SHOP',
            'X-Forwarded-For' => '192.0.2.66', 'X-Real-IP' => '192.0.2.66',
            'CF-Connecting-IP' => '192.0.2.66');
my $shop_re = qr/SHOP|U0hPUA|192\.0\.2\.66/;


sub with_cookie {
    my ($cookie, @headers) = @_;

    for (my $i = 0; $i < @headers; $i += 2) {
        next if $headers[$i] ne 'Cookie';
        $headers[$i + 1] = "$cookie; $headers[$i + 1]";
        return @headers;
    }

    return (@headers, Cookie => $cookie);
}


sub ask {
    my ($h2, $method, $uri, $headers, $body) = @_;

    return $t->request($method, $uri, $headers, $body) if !$h2;

    my $c = $t->h2(nth => 2);
    my $id = $c->request($method, $uri, $headers, $body);
    my $res = $c->response($id);

    $c->close;

    return $res;
}


# one exchange that must be the same on both sides

sub passes {
    my ($name, $h2, $method, $uri, $headers, $body) = @_;

    $tag->clear;

    my @sent = (with_cookie('session=SHOP; PHPSESSID=SHOP', @shop, @$headers),
                'User-Agent' => 'Agent/1.0 (a; b)', Accept => '*/*;q=0.8',
                'Accept-Language' => 'de, en;q=0.5');

    my $res = ask($h2, $method, $uri, \@sent, $body);
    my ($req) = $tag->wait_requests(1, 2);

    is $res->{status}, 200, "$name: answered" or diag $res->{body};

    if (!$req) {
        fail "$name: it arrives";
        return;
    }

    (my $want = $uri) =~ s{\A/(?:a/gtm|[^/]+)/}{/};

    # nginx writes a path's escapes anew
    is $req->{uri}, $want, "$name: path and arguments as they were";
    is $req->{method}, $method, "$name: method";
    is $req->{body}, defined $body ? $body : '', "$name: body";
    unlike $req->{raw}, $shop_re, "$name: nothing of the shop";

    for (my $i = 0; $i < @$headers; $i += 2) {
        my ($field, $value) = @$headers[$i, $i + 1];

        if ($field eq 'Cookie') {
            ($value) = $value =~ /(gtm_\w+=[^;]*)/;
            like header($req, 'Cookie') || '', qr/(?:^|; )\Q$value\E(?:;|$)/,
                 "$name: cookie $value";
            next;
        }

        is header($req, $field), $value, "$name: $field";
    }

    is header($req, 'User-Agent'), 'Agent/1.0 (a; b)', "$name: User-Agent";
    is header($req, 'Accept-Language'), 'de, en;q=0.5',
       "$name: Accept-Language";
    is header($req, 'Host'), 'sgtm.example.com', "$name: Host";

    # the answer
    is $res->{body}, $does{plain}[2], "$name: the answer's body";
    is join('|', headers($res, 'Set-Cookie')), join('|', @set),
       "$name: its cookies";
    is header($res, 'Content-Type'), 'text/html; charset=utf-8',
       "$name: its type";
    is header($res, 'X-Tag'), 'kept', "$name: its header";
    is header($res, 'Content-Security-Policy'), "frame-ancestors 'self'",
       "$name: its policy";
}


for my $prefix (@prefixes) {
    subtest "$prefix: by header and cookie" => sub {
        for my $marker (@markers) {
            my ($name, $headers) = @$marker;

            for my $h2 (0, 1) {
                my $how = $h2 ? "$name, HTTP/2" : $name;

                passes("$how, GET", $h2, 'GET', "/$prefix/g/collect?$args",
                       $headers);
                passes("$how, POST", $h2, 'POST', "/$prefix/g/collect?$args",
                       [@$headers, 'Content-Type' =>
                            'text/plain;charset=UTF-8'], $line);
            }

            passes("$name, another path", 0, 'GET',
                   "/$prefix/pagead/x?gclid=x&uid=user", $headers);
        }
    };

    subtest "$prefix: by path" => sub {
        for my $path (@paths) {
            passes("$path, GET", 0, 'GET', "/$prefix/$path", []);
            passes("$path, POST", 0, 'POST', "/$prefix/$path",
                   ['Content-Type' => 'application/json'],
                   "{\"uid\":\"user\",\"gclid\":\"\xff\0\"}");
            passes("$path, HTTP/2", 1, 'POST', "/$prefix/$path", [], $line);
        }
    };
}


# the list of cookies that may pass is no smaller for a preview that denies

subtest 'cookies of a preview' => sub {
    my $cookies = '_ga=GA1.1.1.2; FPID=x; _gcl_au=1; gtm_auth=y';

    for my $prefix (@prefixes) {
        $tag->clear;
        $t->get("/$prefix/g/collect?$args", Cookie => "$cookies; session=SHOP",
                'Sec-GPC' => 1);

        my ($req) = $tag->wait_requests(1, 2);
        is header($req, 'Cookie'), $cookies, "$prefix: none is dropped";
    }
};


subtest 'a referer' => sub {
    my $referer = 'https://shop.example/?gclid=x&_gl=y&utm_source=z';

    for my $prefix (@prefixes) {
        $tag->clear;
        $t->get("/$prefix/gtm/debug", Referer => $referer);

        my ($req) = $tag->wait_requests(1, 2);
        is header($req, 'Referer'), $referer, "$prefix: as it is";
    }
};


subtest 'large bodies' => sub {
    my $body = join '', map { chr(65 + $_ % 26) } 1 .. 300_000;

    for my $prefix (@prefixes) {
        for my $h2 (0, 1) {
            $tag->clear;

            my $res = ask($h2, 'POST', "/$prefix/gtm/debug", [], $body);
            my ($req) = $tag->wait_requests(1, 2);

            is $res->{status}, 200, "$prefix: 300 kB pass";
            ok $req && $req->{body} eq $body, "$prefix: as they are";
        }
    }
};


subtest 'large headers' => sub {
    for my $prefix (@prefixes) {
        for my $h2 (0, 1) {
            my $name = $prefix . ($h2 ? ', HTTP/2' : '');
            my $res = ask($h2, 'GET', "/$prefix/gtm/debug?do=big", []);
            my @got = map { lc $_->[0] => $_->[1] }
                          grep { $_->[0] =~ /\Ax-gtm-debug-/i }
                          @{ $res->{headers} || [] };

            is $res->{status}, 200, "$name: 128 kB of headers"
                or diag $res->{body};
            is_deeply \@got, [map { lc } @big], "$name: all of them";
            is $res->{body}, "debug\n", "$name: and the body";

            $res = ask($h2, 'GET', "/$prefix/g/collect?$args&do=one",
                       ['X-Gtm-Debug' => 1]);
            is length(header($res, 'X-Gtm-Debug-All') || ''), 126_000,
               "$name: a single one";
        }

        # towards the tagging server as large as nginx takes them
        $tag->clear;
        $t->get("/$prefix/gtm/debug", 'X-Gtm-Server-Preview' => 'p' x 7000,
                Cookie => 'gtm_auth=' . 'a' x 7000);

        my ($req) = $tag->wait_requests(1, 2);
        is header($req, 'X-Gtm-Server-Preview'), 'p' x 7000,
           "$prefix: a long header";
        is header($req, 'Cookie'), 'gtm_auth=' . 'a' x 7000,
           "$prefix: a long cookie";
    }
};


# the preview server holds get_memo until there is something to say; others
# are served meanwhile

subtest 'a long poll' => sub {
    my $begin = time();
    my @open = map { my $c = $t->http;
                     $c->request($_ % 2 ? 'GET' : 'POST',
                                 "/strict-basic/gtm/get_memo?do=memo", [],
                                 $_ % 2 ? undef : $line);
                     $c } 1 .. 10;

    is $t->get("/off/g/collect?$hit")->{status}, 200, 'a hit meanwhile';
    cmp_ok time() - $begin, '<', 2, 'does not wait';

    for my $c (@open) {
        my $res = $c->response;
        is $res->{status}, 200, 'the answer comes';
        is $res->{body}, "{\"memo\":[]}\n", 'whole';
    }

    cmp_ok time() - $begin, '>', 2.9, 'when it is due';
};


subtest 'a stream' => sub {
    for my $prefix (@prefixes) {
        my $res = $t->get("/$prefix/gtm/debug?do=stream");
        is $res->{body}, "first\nsecond\n", "$prefix: whole";
    }
};


subtest 'other answers' => sub {
    for my $prefix (@prefixes) {
        for my $case (["/$prefix/gtm/debug?", []],
                      ["/$prefix/g/collect?$args&", ['X-Gtm-Debug' => 1]])
        {
            my ($uri, $headers) = @$case;

            my $res = $t->get("${uri}do=302", @$headers);
            is $res->{status}, 302, "$uri: a redirect";
            is header($res, 'Location'),
               'https://tagmanager.example/#/x?a=b%20c', "$uri: its target";

            for my $status (404, 500, 503) {
                $res = $t->get("${uri}do=$status", @$headers);
                is $res->{status}, $status, "$uri: $status";
                is $res->{body}, "tag: $status\n", "$uri: its own text";
                is header($res, 'X-Tag'), 'kept', "$uri: its header";
            }

            $res = $t->get("${uri}do=accel", @$headers);
            is $res->{body}, "plain\n", "$uri: X-Accel-Redirect does nothing";
        }
    }
};


subtest 'what is no preview' => sub {
    for my $path (@others) {
        $tag->clear;

        my $res = $t->get("/strict-basic/$path");
        ok $res->{status} == 404 || $res->{status} == 403,
           "$path: closed like any other path" or diag $res->{status};
        is $tag->count, 0, "$path: does not arrive";
    }

    for my $headers (['X-Gtm' => 1], ['X-Gtm-Other' => 1],
                     [Cookie => 'xgtm_auth=1; gtm_authx=1; gtm=1'],
                     [Cookie => 'a=gtm_debug=1'], [Cookie => 'GTM_DEBUG=1'])
    {
        $tag->clear;

        my $res = $t->get("/basic/g/collect?$hit", @$headers);
        is $res->{status}, 204, "@$headers: denied";
        is $tag->count, 0, "@$headers: does not arrive";
    }
};


# the operator's prefix is not part of the path that is looked at

subtest 'a prefix that is called gtm' => sub {
    $tag->clear;
    $t->get("/gtm/g/collect?$hit");

    my ($req) = $tag->wait_requests(1, 2);
    unlike $req->{uri}, qr/uid=user|gclid/, '/gtm/: a hit is redacted';

    $tag->clear;
    my $res = $t->get("/a/gtm/g/collect?$hit");
    is $res->{status}, 204, '/a/gtm/: a denied hit is answered';
    is $tag->count, 0, '/a/gtm/: and does not arrive';

    is $t->get('/gtm/gtm.js?id=GTM-FOREIGN')->{status}, 403,
       '/gtm/: no container of others';

    passes('/gtm/: a preview', 0, 'GET', "/gtm/gtm/debug?$args", []);
    passes('/a/gtm/: a preview', 0, 'GET', "/a/gtm/gtm/debug?$args", []);
};


# a cache knows nothing of debug sessions, unless the operator's key does

subtest 'a preview is not cached for others' => sub {
    my $uri = '/cached/gtm.js?id=GTM-ABC1234&do=script';

    is $t->get($uri, 'X-Gtm-Server-Preview' => 'x')->{body}, 'draft',
       'the preview sees the draft';
    is $t->get($uri)->{body}, 'published', 'the visitor does not';

    # nginx may have answered before the cache has it

    for (1 .. 50) {
        $tag->clear;
        last if $t->get($uri)->{body} ne 'published' || !$tag->count;
        sleep 0.05;
    }

    is $tag->count, 0, 'what visitors get is cached';
    is $t->get($uri)->{body}, 'published', 'and is no draft';
};


my $status = $t->status('/status')->{tenants}{'shop.example'};

cmp_ok $status->{requests}{preview}, '>', 200, 'previews are counted';

done_testing;
