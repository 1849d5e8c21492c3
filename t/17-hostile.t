#!/usr/bin/perl

# Hostile requests: bodies made to cost, bytes that are no text, paths and
# arguments spelled so that the gate sees another thing than the tagging server,
# framing that two parsers may read in two ways, slow and broken senders.  Each
# ends in a 2xx or 4xx within a time that its length explains, the worker that
# took it goes on, a refused one reaches nobody in part or whole, and neither
# answers nor logs hold a value of it.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Time::HiRes qw(sleep time);

# sanitized code is slower by an order of magnitude, and so are busy machines

my $patience = ($ENV{SGTM_BUILD} || '') eq 'sanitize' ? 10 : 2;

my $tag = SGTM::Backend->start;


sub server {
    my ($port, $mode) = @_;

    return <<"EOC";
    server {
        listen               127.0.0.1:%%PORT$port%%;
        %%LISTEN_H2(127.0.0.1:%%PORT@{[ $port + 1 ]}%%)%%
        server_name          shop.example;

        sgtm_endpoint        sgtm.example.com;
        sgtm_container       GTM-ABC1234;
        sgtm_tag_id          G-ABC1234567;
        sgtm_consent_mode    $mode;
        sgtm_debug           on;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }

        # bodies of any length, as far as the gate goes

        location /large/ {
            sgtm                  on;
            sgtm_max_body         4m;
            client_max_body_size  4m;
            proxy_pass            http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }

        # the path is kept, as for Google's tag gateway

        location /kept/ {
            sgtm        on;
            proxy_pass  http://tagging;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }

        location /impatient/ {
            sgtm                 on;
            client_body_timeout  500ms;
            proxy_pass           http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }

        location /secret/ { return 418 "secret\\n"; }
    }
EOC
}

my $t = SGTM::Test->start(<<"EOC" . server(1, 'off') . server(3, 'advanced'));
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 8; }

    large_client_header_buffers  8 32k;

    server {
        listen           127.0.0.1:%%PORT5%%;
        server_name      shop.example;
        merge_slashes    off;
        sgtm_endpoint    sgtm.example.com;
        sgtm_container   GTM-ABC1234;
        sgtm_tag_id      G-ABC1234567;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }
    }

    server {
        listen  127.0.0.1:%%PORT9%%;
        location = /status { sgtm_status; }
    }
EOC

my @workers = $t->workers;
my %modes = (off => 1, advanced => 3);
my $granted = 'gcs=G111&gcd=13t3t3t3t5l1';
my $denied = 'gcs=G100&gcd=13p3p3p3p5l1';
my $shared = 'v=2&tid=G-ABC1234567&cid=1.2';

# a value that nothing but the tagging server may hold

my $secret = 'PLANTED';


sub alive {
    my ($name) = @_;

    is join(' ', $t->workers), "@workers", "$name: the worker lives";
}


# nothing of a refused request is anywhere

sub clean {
    my ($name, $res, $before) = @_;

    unlike $res->{body} || '', qr/$secret/i, "$name: not in the answer";
    unlike substr($t->error_log, $before->[0]), qr/$secret/i,
           "$name: not in the error log";
}


sub ask {
    my ($nth, $method, $uri, $headers, $body) = @_;

    return $t->request($method, $uri, $headers, $body, nth => $nth);
}


sub ask_h2 {
    my ($nth, $method, $uri, $headers, $body) = @_;

    my $c = $t->h2(nth => $nth + 1);
    my $res = eval {
        my $id = $c->request($method, $uri, $headers, $body);
        $c->response($id);
    };

    $c->close;

    return $res || { status => 0, body => '', headers => [] };
}


# Bodies that are made to cost: name, body, what the answer may be.

my $nested = 'https' . '%' . '25' x 20_000 . '3A' . '%' . '25' x 10_000
             . '2F' . '%2Fshop.example%2F%3Fgclid%3D' . $secret;

my @bodies = (
    ['1 MB of separators', '&' x 1_000_000, qr/\A4..\z/],
    ['1 MB of equals signs', '=' x 1_000_000, qr/\A4..\z/],
    ['1 MB of line ends', "\r\n" x 500_000, qr/\A4..\z/],
    ['1 MB of percent signs', '%' x 1_000_000, qr/\A4..\z/],
    ['1 MB without a separator', 'a' x 1_000_000, qr/\A4..\z/],
    ['a value of 1 MB', 'en=a&ep.p=' . 'v' x 1_000_000, qr/\A[24]..\z/],
    ['a value of 1 MB of escapes', 'en=a&ep.p=' . '%41' x 330_000,
     qr/\A[24]..\z/],
    ['100,000 keys', join('&', "en=a", map { "k$_=$secret" } 1 .. 100_000),
     qr/\A4..\z/],
    ['100,000 bare keys', 'en=a' . '&k' x 100_000, qr/\A4..\z/],
    ['100,000 times one key', "en=a&ep.p=$secret" . '&gclid=x' x 100_000,
     qr/\A4..\z/],
    ['300 events', "en=a&ep.p=$secret\r\n" x 300, qr/\A400\z/],
    ['100,000 events', "en=a\n" x 100_000, qr/\A4..\z/],
    ['100,000 empty lines and one event', "\n" x 100_000 . 'en=a',
     qr/\A[24]..\z/],
    ['a key of 60 kB', 'en=a&' . 'k' x 60_000 . "=$secret", qr/\A[24]..\z/],
    ['a key of 1 MB', 'en=a&' . 'k' x 1_000_000 . "=$secret",
     qr/\A[24]..\z/],
    ['a key of escapes', 'en=a&' . '%67' x 20_000 . "=$secret",
     qr/\A[24]..\z/],
    ['an event name of 60 kB', 'en=' . 'e' x 60_000, qr/\A[24]..\z/],
    ['a URL of 60 kB', "en=a&dl=https%3A%2F%2Fshop.example%2F%3F"
        . join('%26', map { "gclid%3D$_" } 1 .. 4_000), qr/\A[24]..\z/],
    ['a URL of 900 kB', "en=a&dl=https%3A%2F%2Fshop.example%2F%3F"
        . join('%26', map { "gclid%3D$_" } 1 .. 50_000), qr/\A[24]..\z/],
    ['500 URLs', 'en=a' . join('', map {
        "&dl=https%3A%2F%2Fa.example%2F%3Fgclid%3D$_%26x%3D$_" } 1 .. 500),
     qr/\A[24]..\z/],
    ['a URL escaped 20,000 times over', "en=a&dl=$nested", qr/\A[24]..\z/],
    ['URLs in URLs', 'en=a&dl=' . 'https%3A%2F%2Fa.example%2F%3Fdl%3D' x 1500,
     qr/\A[24]..\z/],
    ['items', 'en=a' . join('', map { "&pr$_=" . 'k0a~v0b~' x 30 } 1 .. 200),
     qr/\A[24]..\z/],
    ['an item of separators', 'en=a&pr1=' . '~' x 500_000, qr/\A[24]..\z/],

    ['a percent sign at the end', "en=a&ep.p=$secret%", qr/\A400\z/],
    ['a cut escape', "en=a&ep.p=$secret%4", qr/\A400\z/],
    ['an escape of other letters', "en=a&ep.p=$secret%4g", qr/\A400\z/],
    ['NUL', "en=a&ep.p=$secret\0", qr/\A400\z/],
    ['NUL alone', "\0", qr/\A400\z/],
    ['NULs', "\0" x 60_000, qr/\A400\z/],
    ['invalid UTF-8', "en=a&ep.p=$secret\xff\xfe", qr/\A400\z/],
    ['every byte', "en=a&ep.p=$secret" . join('', map { chr } 0 .. 255),
     qr/\A400\z/],
    ['a compressed body', "\x1f\x8b\x08\0\0\0\0\0\0\3" . 'x' x 100,
     qr/\A400\z/],
    ['no text at all', '', qr/\A4..\z/],
    ['JSON', "{\"en\":\"a\",\"p\":\"$secret\"}", qr/\A[24]..\z/],
);

for my $mode (sort keys %modes) {
    for my $prefix (qw(metrics large)) {
        subtest "bodies, $mode, /$prefix/" => sub {
            my $nth = $modes{$mode};

            for my $case (@bodies) {
                my ($name, $body, $want) = @$case;

                for my $h2 (0, 1) {
                    # what is refused for its length is so before it is sent
                    next if $h2 && length $body > 200_000;

                    my $what = $h2 ? "$name, HTTP/2" : $name;
                    my @before = (length $t->error_log);

                    $tag->clear;

                    my $begin = time();
                    my $res = eval {
                        ($h2 ? \&ask_h2 : \&ask)->($nth, 'POST',
                            "/$prefix/g/collect?$shared&$denied", [], $body);
                    } || { status => "none: $@", body => '' };
                    my $took = time() - $begin;

                    like $res->{status}, length $body > 65_536
                         && $prefix eq 'metrics' ? qr/\A413\z/ : $want,
                         "$what: status";
                    cmp_ok $took, '<', $patience, "$what: time";
                    clean($what, $res, \@before) if $res->{status} =~ /\A4/;

                    next if $res->{status} !~ /\A4/;
                    is $tag->count, 0, "$what: nobody gets it";
                }
            }

            alive('bodies');
        };
    }
}


# the same in the query, as long as nginx takes it

subtest 'queries' => sub {
    my @queries = (
        ['separators', '&' x 30_000, qr/\A[24]..\z/],
        ['10,000 keys', join('', map { "&k$_=" } 1 .. 4_000), qr/\A4..\z/],
        ['10,000 bare keys', '&a' x 10_000, qr/\A4..\z/],
        ['a long key', '&' . 'k' x 30_000 . '=1', qr/\A[24]..\z/],
        ['a long value', '&ep.p=' . 'v' x 30_000, qr/\A[24]..\z/],
        ['too long for nginx', '&ep.p=' . 'v' x 70_000, qr/\A414\z/],
        ['a cut escape', "&ep.p=$secret%4", qr/\A400\z/],
        ['a percent sign', "&ep.p=$secret%", qr/\A400\z/],
        ['NUL, escaped', "&ep.p=$secret%00", qr/\A400\z/],
        ['invalid UTF-8', "&ep.p=$secret\xff", qr/\A400\z/],
        ['invalid UTF-8, escaped', "&ep.p=$secret%ff", qr/\A400\z/],
        ['a header in an escape', '&ep.p=a%0d%0aX-Injected:%201',
         qr/\A[24]..\z/],
        ['a fragment', '&ep.p=1#frag', qr/\A[24]..\z/],
        ['a URL over and over', '&dl=' . 'https%3A%2F%2Fa.example%2F%3F' x 900,
         qr/\A[24]..\z/],
        ['a URL escaped over and over', '&dl=https%' . '25' x 10_000
         . '3A%2F%2Fa.example%2F%3Fgclid%3D1', qr/\A[24]..\z/],
        ['a header in a URL', '&dl=https%3A%2F%2Fa.example%2F%3Fgclid%3Dx'
         . '%250d%250aX-Injected%253a1%26b%3Dc', qr/\A[24]..\z/],
    );

    for my $mode (sort keys %modes) {
        for my $case (@queries) {
            my ($name, $query, $want) = @$case;

            for my $consent ($granted, $denied) {
                for my $h2 (0, 1) {
                    next if $h2 && $query =~ /[\xff#]/;

                    my $what = "$mode, $name" . ($h2 ? ', HTTP/2' : '');
                    my @before = (length $t->error_log);

                    $tag->clear;

                    my $begin = time();
                    my $res = ($h2 ? \&ask_h2 : \&ask)->($modes{$mode}, 'GET',
                        "/metrics/g/collect?$shared&$consent&en=a$query", []);

                    cmp_ok time() - $begin, '<', $patience, "$what: time";

                    # nginx has no 414 for HTTP/2: it ends the connection
                    like $res->{status}, $h2 && $name =~ /for nginx/
                         ? qr/\A(?:0|4..)\z/ : $want, "$what: status";

                    if ($res->{status} =~ /\A400/) {
                        is $tag->count, 0, "$what: nobody gets it";
                        clean($what, $res, \@before);
                    }

                    unlike join('', map { $_->{raw} } $tag->requests),
                           qr/^X-Injected/m, "$what: no header of its own";
                }
            }
        }
    }

    alive('queries');
};


# One thing for the gate and another for the tagging server: ids of others by
# every spelling of path and arguments.

my @foreign = (
    'gtm.js?id=GTM-FOREIGN', 'gtm%2ejs?id=GTM-FOREIGN',
    'gtm%2Ejs?id=GTM-FOREIGN', '%67tm.js?id=GTM-FOREIGN',
    './gtm.js?id=GTM-FOREIGN', 'a/../gtm.js?id=GTM-FOREIGN',
    'a/%2e%2e/gtm.js?id=GTM-FOREIGN', 'a/b/../../gtm.js?id=GTM-FOREIGN',
    '/gtm.js?id=GTM-FOREIGN', '//gtm.js?id=GTM-FOREIGN',
    '%2Fgtm.js?id=GTM-FOREIGN', '../metrics/gtm.js?id=GTM-FOREIGN',
    'gtm.js?%69d=GTM-FOREIGN', 'gtm.js?id=GTM-%46OREIGN',
    'gtm.js?id=GTM-ABC1234&id=GTM-FOREIGN',
    'gtm.js?id=GTM-FOREIGN&id=GTM-ABC1234',
    'gtm.js?id=GTM-ABC1234%26id=GTM-FOREIGN',
    'gtm.js?&id=GTM-FOREIGN', 'gtm.js?a=b&id=GTM-FOREIGN',
    'gtm.js?id=&id=GTM-FOREIGN', 'gtm.js?id&id=GTM-FOREIGN',
    'gtm.js?id=gtm-foreign', 'gtm.js?id=GTM-ABC1234X',
    'gtm.js?id=GTM-ABC1234%00', 'gtm.js?id=%20GTM-FOREIGN', 'gtm.js',
    'gtag/js?id=G-FOREIGN123', 'gtag%2Fjs?id=G-FOREIGN123',
    'gtag//js?id=G-FOREIGN123', 'gtag/./js?id=G-FOREIGN123',
    'gtag/destination?id=AW-111111111', 'gtag/js?id=AW-111111111',
    'gtag/js?id=G-ABC1234567&id=G-FOREIGN123',
    'ns.html?id=GTM-FOREIGN',
);

my @foreign_hits = (
    'g/collect?v=2&tid=G-FOREIGN123&en=a',
    'g/collect?v=2&%74id=G-FOREIGN123&en=a',
    'g/collect?v=2&tid=G-%46OREIGN123&en=a',
    'g/collect?%76=2&tid=G-FOREIGN123&en=a',
    'g/collect?v=%32&tid=G-FOREIGN123&en=a',
    'g/collect?v=2&tid=G-ABC1234567&tid=G-FOREIGN123&en=a',
    'g/collect?v=2&tid=G-FOREIGN123&tid=G-ABC1234567&en=a',
    'g/collect?&v=2&tid=G-FOREIGN123&en=a',
    'x?v=2&tid=G-FOREIGN123&en=a', 'x?%76=2&tid=G-FOREIGN123&en=a',
    'x?v=%32&tid=G-FOREIGN123&en=a', 'x?tid=G-FOREIGN123&v=2',
    'x?v=1&v=2&tid=G-FOREIGN123&en=a', 'x?v=2&v=1&tid=G-FOREIGN123&en=a',
    'x/../g/collect?v=2&tid=G-FOREIGN123&en=a',
    'g%2Fcollect?v=2&tid=G-FOREIGN123&en=a',
    '%67/collect?v=2&tid=G-FOREIGN123&en=a',
    'g//collect?v=2&tid=G-FOREIGN123&en=a',
    'g/collect/?v=2&tid=G-FOREIGN123&en=a',
);

subtest 'ids of others' => sub {
    for my $uri (@foreign, @foreign_hits) {
        for my $prefix (qw(metrics kept)) {
            (my $below = $uri) =~ s/metrics/$prefix/;

            for my $nth (1, 5) {
                next if $nth == 5 && $prefix eq 'kept';

                my $name = "/$prefix/$below"
                           . ($nth == 5 ? ', merge_slashes off' : '');

                $tag->clear;
                my $res = ask($nth, 'GET', "/$prefix/$below", []);

                # two slashes are another path where they are not merged: none
                # of Google's, so it may pass
                next if $nth == 5 && $below =~ m{\A(?:/|%2F)|//};

                like $res->{status}, qr/\A4..\z/, "$name: refused";
                is $tag->count, 0, "$name: does not arrive";
            }
        }
    }

    for my $uri (@foreign_hits) {
        $tag->clear;

        my $res = ask_h2(1, 'POST', "/metrics/$uri", [], "en=b\r\nen=c");
        like $res->{status}, qr/\A4..\z/, "POST $uri: refused";
        is $tag->count, 0, "POST $uri: does not arrive";
    }

    alive('ids');
};


# paths that lead out of the location are no matter of the gate

subtest 'paths' => sub {
    for my $uri ('/metrics/../secret/', '/metrics/%2e%2e/secret/',
                 '/metrics/a/../../secret/', '/metrics//..//secret/',
                 '/metrics/..%2Fsecret/')
    {
        $tag->clear;
        is ask(1, 'GET', "$uri?$shared&$granted&en=a", [])->{status}, 418,
           "$uri: another location";
        is $tag->count, 0, "$uri: does not arrive";
    }

    for my $uri ('/metrics/../../', '/metrics/%00', '/metrics/a%',
                 '/metrics/%zz', '/metrics')
    {
        my $res = ask(1, 'GET', $uri, []);
        like $res->{status}, qr/\A[34]..\z/, "$uri: $res->{status}";
    }

    # what is a hit stays one, and arrives under a path that is one
    for my $case (['/metrics/a/../g/collect', '/g/collect'],
                  ['//metrics//g//collect', '/g/collect'],
                  ['/x/../metrics/g/collect', '/g/collect'],
                  ['/metrics/./g/./collect', '/g/collect'],
                  ['/metrics/%67/collect', '/g/collect'])
    {
        my ($uri, $want) = @$case;

        $tag->clear;
        my $res = ask(3, 'GET', "$uri?$shared&$denied&en=a&uid=$secret", []);
        my ($req) = $tag->wait_requests(1, 2);

        is $res->{status}, 204, "$uri: answered";
        is +(split /\?/, $req->{uri} || '')[0], $want, "$uri: its path";
        unlike $req->{uri} || '', qr/$secret/, "$uri: redacted";
    }

    alive('paths');
};


# sends bytes and reads one answer

sub raw {
    my ($nth, $bytes, %opt) = @_;

    my $c = $t->http(nth => $nth, timeout => 5);
    my $res = eval { $c->send($bytes); $c->response(%opt) };

    $c->close;

    return $res || { status => 'none', body => '', headers => [] };
}

my $hit = "/metrics/g/collect?$shared&$granted&en=a";
my $end = "Host: shop.example\r\nConnection: close\r\n\r\n";

subtest 'request lines' => sub {
    my @lines = (
        ['absolute form', "GET http://shop.example$hit HTTP/1.1\r\n$end", 204],
        ['absolute form, https', "GET https://shop.example$hit HTTP/1.1\r\n"
                                 . $end, 204],
        ['absolute form with a port',
         "GET http://shop.example:80$hit HTTP/1.1\r\n$end", 204],
        ['absolute form of another host',
         "GET http://evil.example$hit HTTP/1.1\r\n$end", 204],
        ['HTTP/1.0', "GET $hit HTTP/1.0\r\nHost: shop.example\r\n\r\n", 204],
        ['HTTP/1.0 without Host', "GET $hit HTTP/1.0\r\n\r\n", 204],
        ['HTTP/1.0 with keep-alive', "GET $hit HTTP/1.0\r\n"
         . "Connection: keep-alive\r\n\r\n", 204],
        ['empty lines before', "\r\n\r\nGET $hit HTTP/1.1\r\n$end", 204],
        ['bare line feeds', "GET $hit HTTP/1.1\nHost: shop.example\n"
                            . "Connection: close\n\n", 204],
    );

    for my $line (@lines) {
        my ($name, $bytes, $status) = @$line;

        $tag->clear;
        my $res = raw(1, $bytes);
        my ($req) = $tag->wait_requests(1, 2);

        is $res->{status}, $status, "$name: answered";
        is $req->{uri}, $hit =~ s{/metrics}{}r, "$name: arrives";
        is header($req, 'Host'), 'sgtm.example.com', "$name: its Host";
        is scalar(() = headers($req, 'X-Forwarded-Host')), 1,
           "$name: one X-Forwarded-Host";
        isnt header($req, 'X-Forwarded-Host'), '', "$name: not empty";
    }

    my @bad = (
        ['no Host', "GET $hit HTTP/1.1\r\nConnection: close\r\n\r\n"],
        ['two Hosts', "GET $hit HTTP/1.1\r\nHost: a.example\r\n$end"],
        ['a bad Host', "GET $hit HTTP/1.1\r\nHost: a b/c\r\n\r\n"],
        ['two lengths', "POST $hit HTTP/1.1\r\nContent-Length: 4\r\n"
         . "Content-Length: 5\r\n${end}en=ab"],
        ['two equal lengths', "POST $hit HTTP/1.1\r\nContent-Length: 4\r\n"
         . "Content-Length: 4\r\n${end}en=a"],
        ['a negative length', "POST $hit HTTP/1.1\r\nContent-Length: -1\r\n"
         . $end],
        ['a length that is no number',
         "POST $hit HTTP/1.1\r\nContent-Length: 4x\r\n${end}en=a"],
        ['a length too large', "POST $hit HTTP/1.1\r\nContent-Length: "
         . '9' x 30 . "\r\n$end"],
        ['a length and chunks', "POST $hit HTTP/1.1\r\nContent-Length: 4\r\n"
         . "Transfer-Encoding: chunked\r\n${end}0\r\n\r\n"],
        ['a chunk without a size', "POST $hit HTTP/1.1\r\n"
         . "Transfer-Encoding: chunked\r\n${end}x\r\nen=a\r\n0\r\n\r\n"],
        ['a chunk too large', "POST $hit HTTP/1.1\r\n"
         . "Transfer-Encoding: chunked\r\n${end}fffffffffffffffff\r\nen=a"],
        ['NUL in the path', "GET /metrics/\0 HTTP/1.1\r\n$end"],
        ['NUL in the query', "GET $hit\0 HTTP/1.1\r\n$end"],
        ['a control character', "GET $hit&a=\x01 HTTP/1.1\r\n$end"],
        ['a space in the query', "GET $hit&a=b c HTTP/1.1\r\n$end"],
        ['NUL in a header', "GET $hit HTTP/1.1\r\nX-A: a\0b\r\n$end"],
        ['a header without an end', "GET $hit HTTP/1.1\r\nX-A: "
         . 'a' x 300_000],
        ['HTTP/1.1 in small letters', "GET $hit http/1.1\r\n$end"],
        ['HTTP/3', "GET $hit HTTP/3.0\r\n$end"],
        ['CONNECT', "CONNECT shop.example:443 HTTP/1.1\r\n$end"],
        ['TRACE', "TRACE $hit HTTP/1.1\r\n$end"],
    );

    for my $line (@bad) {
        my ($name, $bytes) = @$line;

        $tag->clear;
        my $res = raw(1, $bytes);

        like $res->{status}, qr/\A(?:4..|505)\z/, "$name: refused";
        is $tag->count, 0, "$name: does not arrive";
    }

    for my $method (qw(PUT DELETE PATCH PROPFIND FOO), 'X' x 200) {
        $tag->clear;
        my $res = raw(1, "$method $hit HTTP/1.1\r\n$end");
        like $res->{status}, qr/\A4..\z/, substr($method, 0, 20) . ': refused';
        is $tag->count, 0, substr($method, 0, 20) . ': does not arrive';
    }

    alive('request lines');
};


# headers that the gate reads

subtest 'headers' => sub {
    my @cookies = ('', ';', '=', ';' x 7000, '=;' x 3500, ' ' x 7000,
                   '_ga' x 2000, '_ga=' . 'x' x 7000, '_ga=1;' x 1100,
                   join('; ', map { "c$_=$_" } 1 .. 700), '_ga', '_ga=',
                   "_ga=\"a;b\"", "_ga=\xff\xfe; FPID=\x80", "a\tb=c; _ga=1",
                   '_ga_' . 'A' x 5000 . '=1', "; ; _ga=1; ;;FPID=2;");
    my @referers = ('x', '?', '%', '%%%', 'http://', 'https://?' . '&' x 7000,
                    'https://shop.example/?gclid=' . $secret . '%',
                    'https://shop.example/?' . 'gclid=1&' x 800,
                    "https://shop.example/?gclid=x%0d%0aX-Injected:%201",
                    'https://shop.example/?gclid=' . '%25' x 2000,
                    "\xff\xfe", 'https://shop.example/#gclid=1',
                    '//shop.example/?gclid=1', 'https' . '%25' x 2000 . '3A');
    my @origins = ('null', '', 'x', 'https://', 'https://shop.example:0',
                   'https://' . 'a' x 7000, "https://shop.example\xff",
                   'https://shop.example.evil.example');

    for my $mode (sort keys %modes) {
        for my $case ((map { ['Cookie', $_] } @cookies),
                      (map { ['Referer', $_] } @referers),
                      (map { ['Origin', $_] } @origins),
                      (map { ['Sec-GPC', $_] } '', '1', '11', ' 1 ', 'x' x 99),
                      ['Content-Type', 'x' x 7000],
                      ['User-Agent', "\xff" x 7000],
                      ['X-Forwarded-For', '1,' x 3000],
                      ['Accept-Encoding', 'gzip;q=' . '0' x 7000],
                      ['Range', 'bytes=0-0,' x 500],
                      ['Expect', 'nonsense'], ['Upgrade', 'websocket'],
                      ['Connection', 'Cookie, X-Forwarded-For, Host, close'])
        {
            my ($field, $value) = @$case;
            my $name = "$mode, $field: " . substr $value, 0, 24;

            $name =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
            $tag->clear;

            my $begin = time();
            my $res = ask($modes{$mode}, 'POST',
                          "/metrics/g/collect?$shared&$denied&en=a",
                          [$field => $value], 'en=b&uid=u');

            like $res->{status}, qr/\A(?:2..|4..)\z/, "$name: answered";
            cmp_ok time() - $begin, '<', $patience, "$name: in time";
            unlike join('', map { $_->{raw} } $tag->requests),
                   qr/^X-Injected/m, "$name: no header of its own";
            unlike join('', map { $_->{raw} } $tag->requests), qr/$secret/,
                   "$name: cut" if $mode eq 'advanced';
        }

        $tag->clear;
        my $res = ask($modes{$mode}, 'GET', $hit,
                      [map { ("X-Header-$_" => 'x' x 20) } 1 .. 800]);
        like $res->{status}, qr/\A[24]..\z/, "$mode: 800 headers";

        $res = ask($modes{$mode}, 'GET', $hit,
                   [map { (Cookie => "c$_=1", Cookie => "_ga_$_=1") }
                        1 .. 300]);
        like $res->{status}, qr/\A[24]..\z/, "$mode: 600 Cookie headers";
    }

    alive('headers');
};


subtest 'pipelined' => sub {
    my @want;
    my $bytes = '';

    $tag->clear;

    for my $n (1 .. 60) {
        my ($method, $uri, $body, $status) = (
            ['GET', "$hit&ep.n=$n", undef, 204],
            ['POST', "/metrics/g/collect?$shared&$denied",
             "en=b&uid=u&ep.n=$n\r\nen=c", 204],
            ['GET', '/metrics/g/collect?v=2&tid=G-FOREIGN123&en=a', undef,
             403],
            ['POST', "/metrics/g/collect?$shared", "en=b&ep.p=%", 400],
            ['GET', '/metrics/t.js', undef, 200],
            ['POST', '/metrics/g/collect?v=1', "en=b", 400],
        )[$n % 6]->@*;

        $bytes .= SGTM::HTTP->format($method, $uri, [], $body,
                                     host => 'shop.example');
        push @want, [$status, $method];
    }

    my $c = $t->http(nth => 3);
    my @got;

    $c->send($bytes);
    push @got, eval { $c->response->{status} } || "none: $@" for @want;
    $c->close;

    is join(' ', @got), join(' ', map { $_->[0] } @want),
       'the answers come in order';
    is scalar(() = $tag->wait_requests(20, 3)), 20, 'the good ones arrive';
    is scalar(grep { !$_->{complete} } $tag->requests), 0, 'whole';
    unlike join('', map { $_->{body} } $tag->requests), qr/uid=/, 'redacted';

    # a body that looks like a request
    $tag->clear;
    my $inner = "GET /metrics/gtm.js?id=GTM-FOREIGN HTTP/1.1\r\n"
                . "Host: shop.example\r\n\r\n";
    $c = $t->http(nth => 1);
    $c->request('POST', "/metrics/g/collect?$shared", [], $inner);
    like $c->response->{status}, qr/\A4..\z/, 'a request in a body: refused';
    $c->request('GET', $hit);
    is $c->response->{status}, 204, 'the next one is answered for itself';
    is scalar(() = $tag->wait_requests(1)), 1, 'it alone arrives';
    $c->close;

    alive('pipelined');
};


subtest 'slow senders' => sub {
    my $body = "en=b&uid=u&ep.n=slow\r\nen=c&ep.x=%C3%BC";

    # several at a time, byte by byte
    $tag->clear;
    my @open = map { $t->http(nth => 3) } 1 .. 20;

    $_->request('POST', "/metrics/g/collect?$shared&$denied",
                ['Content-Length' => length $body]) for @open;

    for my $byte (split //, $body) {
        sleep 0.005;
        $_->send($byte) for @open;
    }

    is join(' ', map { $_->response->{status} } @open), join(' ', (204) x 20),
       'bodies byte by byte';

    my @got = map { $_->{body} } $tag->wait_requests(20, 3);
    is scalar(grep { /ep\.n=slow\r\nen=c/ && !/uid=/ } @got), 20,
       'arrive whole and redacted';
    $_->close for @open;

    # headers byte by byte
    my $c = $t->http(nth => 1);
    for my $byte (split //, "GET $hit HTTP/1.1\r\n$end") {
        sleep 0.001;
        $c->send($byte);
    }
    is $c->response->{status}, 204, 'a header byte by byte';
    $c->close;

    # HTTP/2, a byte a frame, padded ones and empty ones between
    $tag->clear;
    my $h2 = $t->h2(nth => 4);
    my $id = $h2->request('POST', "/metrics/g/collect?$shared&$denied", [],
                          undef, end_stream => 0);
    for my $byte (split //, $body) {
        $h2->frame($h2->DATA, 0, $id, '');
        $h2->frame($h2->DATA, $h2->PADDED, $id, "\5$byte\0\0\0\0\0");
    }
    $h2->data($id, '', 1);
    is $h2->response($id)->{status}, 204, 'HTTP/2 in padded and empty frames';
    my ($req) = $tag->wait_requests(1, 2);
    unlike $req->{body}, qr/uid=/, 'redacted';
    like $req->{body}, qr/ep\.n=slow\r\nen=c&ep\.x=%C3%BC\z/, 'whole';
    $h2->close;

    # one that stops in the middle
    $tag->clear;
    $c = $t->http(nth => 1);
    $c->send($c->format('POST', "/impatient/g/collect?$shared&$granted",
                        ['Content-Length' => 100], 'en=a&ep.p=' . $secret,
                        host => 'shop.example'));
    my $res = eval { $c->response };
    is $res ? $res->{status} : 408, 408, 'one that stops is timed out';
    is $tag->count, 0, 'and does not arrive';
    $c->close;

    unlike $t->error_log, qr/ep\.p=$secret/, 'nor is it logged';
    alive('slow');
};


# HTTP/2: headers in CONTINUATION frames, and frames out of place

sub block {
    my ($h2, @more) = @_;

    return $h2->{hpack}->encode([':method', 'GET'], [':scheme', 'http'],
                                [':authority', 'shop.example'],
                                [':path', $hit], @more);
}


sub by_hand {
    my ($h2, $code) = @_;

    my $id = $h2->{next};
    $h2->{next} += 2;
    $h2->{streams}{$id} = { window => 65535, status => 0, headers => [],
                            h => {}, body => '', method => 'GET' };
    $code->($id);

    return eval { $h2->response($id, timeout => 3) } || { status => 'none' };
}

subtest 'HTTP/2' => sub {
    for my $size (1, 7, 100) {
        my $h2 = $t->h2(nth => 2);
        my $block = block($h2, ['cookie', '_ga=' . 'x' x 300],
                          ['cookie', 'session=1']);
        my @parts = unpack "(a$size)*", $block;

        $tag->clear;

        my $res = by_hand($h2, sub {
            my ($id) = @_;

            $h2->frame($h2->HEADERS, $h2->END_STREAM, $id, shift @parts);
            while (@parts > 1) {
                $h2->frame($h2->CONTINUATION, 0, $id, shift @parts);
            }
            $h2->frame($h2->CONTINUATION, $h2->END_HEADERS, $id, @parts);
        });

        is $res->{status}, 204, "CONTINUATION frames of $size bytes";
        my ($req) = $tag->wait_requests(1, 2);
        is header($req, 'Cookie'), '_ga=' . 'x' x 300, 'the cookies';
        $h2->close;
    }

    # a header longer than a frame
    my $h2 = $t->h2(nth => 2);
    my $res = $h2->response($h2->request('GET', $hit, [
        map { (cookie => "_ga_$_=" . 'x' x 1000) } 1 .. 25]));
    like $res->{status}, qr/\A[24]..\z/, 'a header of 25 kB';
    $h2->close;

    my @broken = (
        ['an empty CONTINUATION flood', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_STREAM, $id, block($h2));
            $h2->frame($h2->CONTINUATION, 0, $id, '') for 1 .. 2000;
        }],
        ['another frame before the CONTINUATION', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_STREAM, $id, block($h2));
            $h2->frame($h2->PING, 0, 0, '12345678');
        }],
        ['a CONTINUATION of nothing', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->CONTINUATION, $h2->END_HEADERS, $id, block($h2));
        }],
        ['DATA on no stream', sub {
            my ($h2) = @_;
            $h2->frame($h2->DATA, $h2->END_STREAM, 0, 'en=a');
        }],
        ['garbage for a header', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_HEADERS | $h2->END_STREAM, $id,
                       "\xff" x 200);
        }],
        ['no path', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_HEADERS | $h2->END_STREAM, $id,
                       $h2->{hpack}->encode([':method', 'GET'],
                                            [':scheme', 'http']));
        }],
        ['a header in capitals', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_HEADERS | $h2->END_STREAM, $id,
                       block($h2, ['X-Capital', '1']));
        }],
        ['a line end in a header', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_HEADERS | $h2->END_STREAM, $id,
                       block($h2, ['referer', "a\r\nX-Injected: 1"]));
        }],
        ['NUL in the path', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_HEADERS | $h2->END_STREAM, $id,
                       $h2->{hpack}->encode([':method', 'GET'],
                           [':scheme', 'http'], [':authority', 'shop.example'],
                           [':path', "$hit\0"]));
        }],
        ['a length that is not kept', sub {
            my ($h2, $id) = @_;
            $h2->frame($h2->HEADERS, $h2->END_HEADERS, $id,
                       $h2->{hpack}->encode([':method', 'POST'],
                           [':scheme', 'http'], [':authority', 'shop.example'],
                           [':path', "/metrics/g/collect?$shared"],
                           ['content-length', '4']));
            $h2->frame($h2->DATA, $h2->END_STREAM, $id, 'en=abcdef');
        }],
    );

    for my $case (@broken) {
        my ($name, $code) = @$case;
        my $h2 = $t->h2(nth => 2);

        $tag->clear;

        my $res = by_hand($h2, sub { eval { $code->($h2, $_[0]) } });

        like $res->{status}, qr/\A(?:none|0|4..)\z/, "$name: not served";
        is $tag->count, 0, "$name: does not arrive";
        $h2->close;
    }

    # streams that are opened and cancelled
    $h2 = $t->h2(nth => 4);
    eval {
        for (1 .. 500) {
            my $id = $h2->request('POST', "/metrics/g/collect?$shared", [],
                                  'en=a', end_stream => 0);
            $h2->rst_stream($id);
        }
    };
    $h2->close;

    alive('HTTP/2');
};


# Ways into a gateway that nobody thinks of: nginx's own redirects and
# subrequests.  They share the headers of the request that they come from, so
# what cannot be taken out must not go on.

subtest 'other ways in' => sub {
    my @shop = (Cookie => "session=$secret; _ga=1",
                Authorization => "Basic $secret");
    my $includes = join '', map { "<!--# include virtual='/metrics/$_' -->" }
                   "g/collect?$shared&$denied&en=ssi&uid=$secret",
                   'gtm.js?id=GTM-FOREIGN';
    my ($no_auth) = nginx_t('server { auth_request off; }', module => 0);
    my $guarded = $no_auth ? '' : <<'EOC';
        location = /guarded {
            auth_request  /metrics/g/collect;
            proxy_pass    http://127.0.0.1:%%PORT2%%;
        }
EOC

    my $w = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 8; }

    server {
        listen             127.0.0.1:%%PORT%%;
        server_name        shop.example;

        sgtm_endpoint      sgtm.example.com;
        sgtm_container     GTM-ABC1234;
        sgtm_tag_id        G-ABC1234567;
        sgtm_consent_mode  advanced;
        ssi_types          text/plain;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }

        location /rewritten/ { rewrite ^/rewritten/(.*) /metrics/\$1 last; }
        location /tried/ {
            try_files  /no-such-file /metrics/g/collect?\$args;
        }
        location = /missing {
            error_page  404 = /metrics/g/collect?\$args;
            return      404;
        }
        location = /named {
            error_page  418 = \@gateway;
            return      418;
        }
        location = /mirrored {
            mirror      /metrics/g/collect;
            proxy_pass  http://127.0.0.1:%%PORT2%%;
        }
        $guarded
        location = /page {
            ssi         on;
            proxy_pass  http://127.0.0.1:%%PORT2%%;
        }
        location = /status { sgtm_status; }
        location \@gateway { return 410; }
    }

    server {
        listen  127.0.0.1:%%PORT2%%;
        location / {
            default_type  text/plain;
            return        200 "${includes}page";
        }
    }
EOC
    my $args = "$shared&$denied&en=a&uid=$secret";
    my @workers = $w->workers;

    for my $case (['/rewritten/g/collect', 1], ['/tried/', 1],
                  ['/missing', 1], ['/named', 0], ['/mirrored', 0],
                  ['/guarded', 0], ['/page', 0])
    {
        my ($uri, $arrives) = @$case;

        for my $body (undef, "en=b&uid=$secret\r\nen=c") {
            my $name = (defined $body ? 'POST' : 'GET') . " $uri";

            # auth_request has no body to send, but its length
            next if $uri eq '/guarded' && ($no_auth || defined $body);

            $tag->clear;
            my $res = $w->request(defined $body ? 'POST' : 'GET',
                                  "$uri?$args", [@shop], $body);
            my @got = $tag->wait_requests(1, $arrives ? 2 : 0.2);

            ok $res && $res->{status}, "$name: answered"
                or next;
            unlike join('', map { $_->{raw} . $_->{body} } @got), qr/$secret/,
                   "$name: nothing of the shop, nothing denied";
            unlike join('', map { $_->{raw} } @got), qr/FOREIGN/,
                   "$name: no container of others";
            is scalar(@got), 1, "$name: arrives once" if $arrives;
        }
    }

    is $w->get("/metrics/g/collect?$shared&$granted&en=a")->{status}, 204,
       'a hit passes after that';
    is join(' ', $w->workers), "@workers", 'the worker lives';
    $w->stop;
};


# What the access log has of a refused request is its path.

subtest 'the access log' => sub {
    my @refused = grep { /" 4\d\d / } split /\n/, $t->access_log;

    cmp_ok scalar(@refused), '>', 300, 'refused requests are in it';
    is join("\n", map { substr $_, 0, 200 } grep { /$secret/i } @refused), '',
       'without their values';
};


# A worker that has seen all this is as good as new.

subtest 'afterwards' => sub {
    $tag->clear;

    for my $nth (1, 3, 5) {
        is ask($nth, 'GET', $hit, [])->{status}, 204, "port $nth: a hit";
    }

    is ask_h2(1, 'POST', "/metrics/g/collect?$shared&$granted", [],
              "en=a\r\nen=b")->{status}, 204, 'a batch by HTTP/2';
    is scalar(() = $tag->wait_requests(4, 2)), 4, 'all arrive';

    my $status = JSON::PP->new->decode($t->request('GET',
        '/status?format=json', [], undef, nth => 9)->{body});
    my $hits = $status->{tenants}{'shop.example'}{hits};

    cmp_ok $hits->{refused}, '>', 200, 'the refused ones were counted';
    is $hits->{undecided} || 0, 0, 'none is undecided';
    alive('afterwards');
};

done_testing;
