#!/usr/bin/perl

# The gateway beside other directives and modules of nginx, each of which did
# harm to it once, or it to them: realip in its location (an address in freed
# memory was left to the connection's next request), HTTP/0.9 (a protocol that
# is not there was copied), pages of SSI (their cookies went to the tagging
# server), nested locations (open proxies that nobody noticed), geo (POST read
# the masked address), rewrite (the fallback was sent to the tagging server),
# error_page (the shop's cookies were taken away), CORS headers of a preview
# (doubled), bodies that become empty ([alert]), methods and ids that nobody
# checked, prefixes that missed the built-in names, headers that act on a whole
# site, and reloads that fail (counters of tenants were freed under the
# workers).

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my @own_cors = (
    'Access-Control-Allow-Origin' => 'https://www.shop.example',
    'Access-Control-Allow-Credentials' => 'true',
    'Access-Control-Allow-Methods' => 'GET, PUT, TAG',
    'Access-Control-Allow-Headers' => 'X-Tag',
    'Access-Control-Max-Age' => '77',
);

my @acting = (
    'Alt-Svc' => 'h3=":443"; ma=86400',
    'NEL' => '{"report_to":"tag","max_age":1}',
    'Report-To' => '{"group":"tag","max_age":1}',
    'Reporting-Endpoints' => 'tag="https://tag.example/r"',
);

my %does = (
    text   => [200, ['Content-Type' => 'text/plain'], 'of the tagging server'],
    cors   => [200, [@own_cors, 'X-Tag' => 'kept'], 'preview'],
    acting => [200, [@acting, 'X-Tag' => 'kept'], 'acting'],
    404    => [404, ['Set-Cookie' => 'session=tag'], 'none'],
    503    => [503, [], 'down'],
);

# the request's query says what is answered

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return 204 if $req->{uri} !~ /\bdo=(\w+)/;
    return $does{$1};
});

my @shop_sets = ('session=new; Path=/; HttpOnly', 'cart=1');

my $shop = SGTM::Backend->start([200, [
    'Alt-Svc' => 'h3=":443"', 'Cache-Control' => 'private',
    map { ('Set-Cookie' => $_) } @shop_sets,
], 'of the shop']);


# A gateway that takes its prefix away, /NAME/, and one that keeps the path,
# /NAME-kept/, since nginx then sends the URI as the client wrote it.

sub gateways {
    my ($name, $more, $mode) = @_;

    $mode = 'advanced' if !$mode;

    return join '', map { <<"EOC" } [$name, '/'], ["$name-kept", ''];
        location /$_->[0]/ {
            sgtm               on;
            sgtm_consent_mode  $mode;
            sgtm_tenant        $name;
            $more
            proxy_pass         http://tagging$_->[1];
            include            sgtm_proxy.conf;
        }
EOC
}

my $secrets = SGTM::Run::dir('secrets');

SGTM::Run::put("$secrets/mp", "s\n");
chmod 0600, "$secrets/mp";

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    upstream shop { server 127.0.0.1:@{[ $shop->port ]}; }

    geo \$by_address {
        default       G100;
        127.0.0.1/32  G111;
    }

    log_format  line  '\$http_user_agent|\$request|';

    server {
        listen           127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name      shop.example;
        access_log       %%DIR%%/access.log line;

        sgtm_endpoint    sgtm.example.com;
        sgtm_container   GTM-ABC1234;
        sgtm_tag_id      G-ABC1234567;
        sgtm_api_secret  $secrets/mp;
        sgtm_fallback    off;

        @{[ gateways('metrics', '') ]}
        @{[ gateways('all', '', 'off') ]}

        @{[ gateways('real', 'set_real_ip_from  127.0.0.0/8;
            real_ip_header     X-Forwarded-For;') ]}

        @{[ gateways('geo', 'sgtm_consent_source value=$by_address;') ]}

        @{[ gateways('origins',
                     'sgtm_origins https://www.shop.example;') ]}

        @{[ gateways('named', 'error_page 404 = @shop;') ]}
        @{[ gateways('paged', 'error_page 404 /not-found;') ]}

        @{[ gateways('removed', 'sgtm_remove_param g*;') ]}
        @{[ gateways('less', 'sgtm_redact ad_storage -g* -cookie:_fb*;') ]}
        @{[ gateways('more', 'sgtm_redact analytics_storage sr* +cookie:_gc*;
            sgtm_redact ad_user_data tt* tw* cookie:FP*;') ]}

        # the path without its prefix, by other means

        location /rewritten/ {
            sgtm               on;
            sgtm_consent_mode  advanced;
            sgtm_fallback      client;
            sgtm_tenant        rewritten;
            rewrite            ^/rewritten/(.*)\$ /\$1 break;
            proxy_pass         http://tagging;
            include            sgtm_proxy.conf;
        }

        location /filed/ {
            sgtm                     on;
            sgtm_consent_mode        advanced;
            client_body_buffer_size  1k;
            proxy_pass               http://tagging/;
            proxy_http_version       1.1;
            proxy_set_header         Connection "";
            proxy_set_header         Host \$sgtm_endpoint;
        }

        location \@shop { proxy_pass http://shop; }
        location = /not-found { proxy_pass http://shop; }
        location = /plain { return 200 "\$remote_addr\\n"; }
        location /pages/ { ssi on; }
        location = /status { sgtm_status; }
    }
EOC

my @workers = $t->workers;
my $hit = 'v=2&tid=G-ABC1234567&en=x&cid=1.2';
my $granted = 'gcs=G111&gcd=13t3t3t3t5l1';


# ($res, all that arrived)

sub ask {
    my ($method, $uri, $headers, $body) = @_;

    $tag->clear;

    my $res = $t->request($method, $uri, $headers, $body);

    return ($res, $tag->requests);
}


sub ask_h2 {
    my ($method, $uri, $headers, $body) = @_;

    $tag->clear;

    my $h2 = $t->h2(nth => 2);
    my $res = $h2->response($h2->request($method, $uri, $headers, $body));

    $h2->close;

    return ($res, $tag->requests);
}


sub chunked {
    my ($uri, @parts) = @_;

    return ask('POST', $uri, ['Transfer-Encoding' => 'chunked'],
               join '', map { sprintf "%x\r\n%s\r\n", length, $_ } @parts, '');
}


# the names of a query's arguments

sub names {
    my ($uri) = @_;

    return join ' ', map { $_->[0] } split_args($uri =~ s/\A[^?]*\?//r);
}


# realip has its address in the request's memory.  The gate hides it before it
# is logged, and what puts it back must not do so once realip has taken it away:
# the connection would keep a pointer to freed memory.

subtest 'realip in the location' => sub {
    for my $prefix (qw(real real-kept)) {
        my $uri = "/$prefix/g/collect";
        my $c = $t->http;
        my $n = 0;

        for my $case (['denied', 'GET', "$uri?$hit", '66.77.88.99', 204,
                       '66.77.88.0'],
                      ['denied, of another', 'POST', "$uri?$hit",
                       '66.77.89.100', 204, '66.77.89.0'],
                      ['granted', 'GET', "$uri?$hit&$granted", '66.77.90.101',
                       204, '66.77.90.101'],
                      ['refused', 'GET', "$uri?v=2&en=x", '66.77.91.102', 400],
                      ['a refused body', 'POST', "$uri?$hit&ep.a=%",
                       '66.77.91.103', 400],
                      ['without the header', 'GET', "$uri?$hit", undef, 204,
                       '127.0.0.0'],
                      ['denied once more', 'GET', "$uri?$hit", '66.77.88.99',
                       204, '66.77.88.0'])
        {
            my ($name, $method, $to, $from, $status, $sent) = @$case;

            $name = "$prefix, $name";
            $tag->clear;

            $c->request($method, $to, $from ? ['X-Forwarded-For' => $from]
                                            : [],
                        $method eq 'POST' ? 'en=y&ep.a=b' : undef);

            is $c->response->{status}, $status, "$name: $status";

            my ($got) = $tag->requests;

            is $got && header($got, 'X-Forwarded-For'), $sent,
               "$name: the address that goes on";

            $c->request('GET', '/plain');
            is $c->response->{body}, "127.0.0.1\n",
               "$name: the connection has its own again";
            $n++;
        }

        is $n, 7, "$prefix: all on one connection";
        $c->close;
    }
};


# A request line without a protocol has neither a status nor headers for an
# answer.  Its rewritten line in the log ends where the arguments do.

subtest 'HTTP/0.9' => sub {
    for my $prefix (qw(metrics metrics-kept)) {
        my $uri = "/$prefix/g/collect?$hit&uid=9";

        for my $do ('', '&do=text') {
            $tag->clear;

            my $c = $t->http;
            $c->send("GET $uri$do\r\n");

            ok $c->eof(5), "$prefix$do: the connection ends";
            is $c->{buf}, $do ? 'of the tagging server' : '',
               'with the body alone';

            my ($got) = $tag->requests;

            like $got->{uri}, qr{&en=x&cid=[\d.]+\Q$do\E&npa=1\z},
                 'the hit arrives without what is denied';
            is header($got, 'X-Forwarded-Host'), 'shop.example',
               'the host is the server\'s';
        }

        my $c = $t->http;
        $c->send("GET /$prefix/g/collect?v=2&en=x\r\n");
        ok $c->eof(5), "$prefix: one that is refused ends, too";
        like $c->{buf}, qr/\Atid: missing\n\z/, 'with its reason';
    }

    ok $t->wait_log(qr{\|GET /metrics-kept/g/collect\|}, file => 'access.log'),
       'logged';

    my @lines = grep { m{GET /metrics(?:-kept)?/g/collect} }
                     split /\n/, $t->access_log;

    is scalar(@lines), 6, 'all of them';
    is join("\n", grep { /uid=| \|\z/ || !m{\A-\|GET /[^ ]+\|\z} } @lines), '',
       'as they were sent on, without a protocol';
};


# An SSI page's includes are subrequests with the page's cookies and
# credentials, which are not the tagging server's business.

subtest 'subrequests' => sub {
    my @includes = ('/metrics/x?gclid=S', "/metrics/g/collect?$hit",
                    '/metrics-kept/x?do=text', '/all/x?do=text',
                    '/all/gtm.js?id=GTM-ABC1234', '/all/t.js',
                    '/metrics/gtm/debug?x', '/all/healthz');
    my @secret = (Cookie => '_ga=S; session=S; gtm_debug=S',
                  Authorization => 'Basic S');

    mkdir $t->dir . '/html/pages';
    $t->write_file("html/pages/$_.html", 'page <!--# include virtual="'
                   . "$includes[$_]\" --> end") for 0 .. $#includes;

    for my $n (0 .. $#includes) {
        for my $headers ([], \@secret) {
            my $with = @$headers ? 'with' : 'without';
            my $name = "$includes[$n], $with cookies";
            my ($res, @got) = ask('GET', "/pages/$n.html?gclid=S", $headers);

            is $res->{status}, 200, "$name: the page is there";
            like $res->{body}, qr/\Apage .* end\z/s, 'whole';
            unlike $res->{body}, qr/tagging|GTM-/, 'with nothing in it';
            is scalar(@got), 0, 'nothing arrives';
        }
    }

    my ($res, @got) = ask('GET', "/metrics/g/collect?$hit", [@secret[0, 1]]);
    is $res->{status}, 204, 'a hit passes after that';
    is scalar(@got), 1, 'and arrives';
};


# As proxy_pass, a gateway is not inherited by nested locations: one with a
# proxy_pass of its own is an open proxy, with all cookies of the shop.

subtest 'nested locations' => sub {
    my $proxy = 'proxy_pass http://127.0.0.1:9;';

    for my $case (
        ['a location', "location /metrics/in/ { $proxy }", '/metrics/in/'],
        ['an exact one', "location = /metrics/in { $proxy }", '/metrics/in'],
        ['a regular expression', "location ~ \\.js\$ { $proxy }", '\.js$'],
        ['a location in one that is none',
         "location /metrics/in/ { sgtm off; $proxy
          location /metrics/in/er/ { $proxy } }", undef],
        ['sgtm off', "location /metrics/in/ { sgtm off; $proxy }", undef],
        ['sgtm on', "location /metrics/in/ { sgtm on; $proxy }", undef],
        ['no proxy_pass', 'location /metrics/in/ { return 404; }', undef],
        ['if', "if (\$arg_x) { $proxy }", undef],
        ['limit_except', "limit_except GET { $proxy }", undef])
    {
        my ($name, $text, $location) = @$case;
        my ($status, $out) = nginx_t(<<"EOC");
    server {
        listen         127.0.0.1:%%PORT%%;
        server_name    shop.example;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_fallback  off;
        location /metrics/ {
            sgtm  on;
            $proxy
            $text
        }
    }
EOC
        my @warned = $out =~ /^.*?\[warn\] (.*)$/mg;

        is $status, 0, "$name: a configuration" or diag $out;

        if (!defined $location) {
            is "@warned", '', 'no warning';
            next;
        }

        is scalar(@warned), 1, 'one warning' or diag $out;
        like "@warned", qr/\Q"$location"\E.*sgtm on/, 'of the location';
    }
};


# Whatever reads the address to tell the consent must read the same one, also
# once a body has been waited for.

subtest 'geo' => sub {
    for my $prefix (qw(geo geo-kept)) {
        my $uri = "/$prefix/g/collect?$hit&seg=7&gclid=7";

        my $body = 'en=y&seg=8&gclid=888';
        my $slow = $t->http;

        $tag->clear;
        $slow->request('POST', $uri, ['Content-Length' => length $body]);
        select undef, undef, undef, 0.1;
        $slow->send($body);

        my @slow = ($slow->response, $tag->requests);
        $slow->close;

        for my $case (['GET', ask('GET', $uri)],
                      ['POST', ask('POST', $uri, [], $body)],
                      ['a chunked POST',
                       chunked($uri, 'en=y', '&seg=8&gclid=888')],
                      ['a slow POST', @slow],
                      ['GET by HTTP/2', ask_h2('GET', $uri)],
                      ['POST by HTTP/2',
                       ask_h2('POST', $uri, [], $body)])
        {
            my ($name, $res, $got) = @$case;

            is $res->{status}, 204, "$prefix, $name: passes";
            like $got->{uri}, qr/&seg=7&gclid=7/, 'with all that is granted';
            is $got->{body}, $name =~ /POST/ ? $body : '',
               'with the whole body';
        }
    }
};


# Only GET and POST can be hits, whatever their path; every one names an id of
# the site's, and a preview is no way around that.

subtest 'methods and ids' => sub {
    for my $prefix (qw(all all-kept metrics metrics-kept)) {
        for my $path (qw(g/collect ag/g/c any/path)) {
            my ($res, @got) = ask('HEAD', "/$prefix/$path?$hit");

            is $res->{status}, 405, "/$prefix/$path: HEAD is refused";
            like header($res, 'Allow'), qr/\AGET, POST/, 'told what is not';
            is scalar(@got), 0, 'nothing arrives';
        }

        my ($res, @got) = ask('HEAD', "/$prefix/any/path?v=2");
        is $res->{status}, 204, "/$prefix/: HEAD of what is no hit";
        is scalar(@got), 1, 'arrives';

        for my $query ('', 'api_secret=s', 'measurement_id=', 'id=GTM-OTHER',
                       'measurement_id=G-FOREIGN12', 'tid=G-ABC1234567',
                       'measurement_id=G-ABC1234567&measurement_id=G-OTHER123')
        {
            for my $path (qw(mp/collect debug/mp/collect)) {
                my $uri = "/$prefix/$path" . ($query ? "?$query" : '');

                ($res, @got) = ask('POST', $uri, [], '{"events":[]}');
                is $res->{status}, 403, "$uri: refused";
                is scalar(@got), 0, 'nothing arrives';
            }
        }

        for my $marker (['X-Gtm-Debug' => 1], ['X-Gtm-Server-Preview' => 'a'],
                        [Cookie => 'gtm_debug=1'])
        {
            for my $path ('g/collect?', 'any/path?', 'g/collect?gtm_debug=1&')
            {
                my $uri = "/$prefix/${path}v=2&en=x&cid=1.2&tid=";

                ($res, @got) = ask('GET', $uri . 'G-FOREIGN12', $marker);
                is $res->{status}, 403, "$uri, $marker->[0]: a foreign tid";
                is scalar(@got), 0, 'nothing arrives';

                ($res, @got) = ask('GET', $uri . 'G-ABC1234567', $marker);
                is $res->{status}, 204, "$uri, $marker->[0]: its own";
                is scalar(@got), 1, 'arrives';
            }
        }
    }

    my $mp = 'measurement_id=G-ABC1234567&api_secret=s';
    my $body = '{"client_id":"1.2","events":[{"name":"a"}]}';
    my ($res, @got) = ask('POST', "/all/mp/collect?$mp", [], $body);

    is $res->{status}, 204, 'mp/collect of the site passes';
    is $got[0]{body}, $body, 'and arrives';
};


# The fallback is a redirect within the location, so its own rewrite changes the
# fallback's URI as well.

subtest 'rewrite ... break' => sub {
    for my $case (['GET', ask('GET', "/rewritten/g/collect?$hit&do=503")],
                  ['POST', ask('POST', "/rewritten/g/collect?$hit&do=503", [],
                               'en=y')],
                  ['HTTP/2', ask_h2('GET',
                                    "/rewritten/g/collect?$hit&do=503")])
    {
        my ($name, $res, @got) = @$case;

        is $res->{status}, 503, "$name: 503";
        is header($res, 'Retry-After'), 10, 'to be tried again';
        is $res->{body}, "tagging server: failed\n", 'by the fallback';
        is scalar(@got), 1, 'sent once';
        like $got[0]{uri}, qr{\A/g/collect\?v=2&}, 'without the prefix';
    }

    my ($res, @got) = ask('GET', "/rewritten/g/collect?$hit");

    is $res->{status}, 204, 'one that passes';
    is scalar(@got), 1, 'arrives';

    ($res, @got) = ask('GET', '/rewritten/x?do=503');
    is $res->{status}, 503, 'another path: the error';
    is header($res, 'Retry-After'), undef, 'and no more';
    is join(' ', map { $_->{uri} } @got), '/x?do=503', 'sent once';

    my $hits;

    wait_for {
        $hits = $t->status('/status')->{tenants}{rewritten}{hits};
        $hits->{failed} + $hits->{forwarded} == 4;
    };

    is $hits->{failed}, 3, 'counted as failed';
    is $hits->{forwarded}, 1, 'and the other as forwarded';
};


# nginx takes an empty buffer in a body for a mistake of the module's.

subtest 'a body of which nothing is left' => sub {
    for my $prefix (qw(metrics metrics-kept filed)) {
        my $uri = "/$prefix/g/collect?$hit";
        my $long = 'uid=' . '1' x 5000;

        for my $case (['short', ask('POST', $uri, [], 'uid=123')],
                      ['long', ask('POST', $uri, [], $long)],
                      ['of several', ask('POST', $uri, [],
                                         'uid=1&gclid=2&_fid=3')],
                      ['chunked', chunked($uri, 'uid=1', '23')],
                      ['chunked, long', chunked($uri, $long, '23')],
                      ['HTTP/2', ask_h2('POST', $uri, [], 'uid=123')])
        {
            my ($name, $res, @got) = @$case;

            is $res->{status}, 204, "$prefix, $name: passes";
            is scalar(@got), 1, 'arrives' or next;
            is $got[0]{body}, '', 'with an empty body';
            is header($got[0], 'Content-Length') || 0, 0, 'that says so';
            like $got[0]{uri}, qr/&en=x&/, 'and its query';
        }
    }

    unlike $t->error_log, qr/zero size buf/, 'nothing to complain about';
};


# A preview's answer is the tagging server's, with its own CORS headers: two of
# a kind are as good as none to a browser.

subtest 'CORS of a preview' => sub {
    my @origin = (Origin => 'https://www.shop.example');
    my %once = @own_cors;

    for my $prefix (qw(origins origins-kept)) {
        for my $case (['a hit', 'GET', "g/collect?$hit&do=cors",
                       ['X-Gtm-Debug' => 1]],
                      ['a hit by POST', 'POST', "g/collect?$hit&do=cors",
                       ['X-Gtm-Server-Preview' => 'a'], 'en=y'],
                      ['by cookie', 'GET', "g/collect?$hit&do=cors",
                       [Cookie => 'gtm_debug=1']],
                      ['its path', 'GET', 'gtm/debug?do=cors', []],
                      ['its path by POST', 'POST', 'gtm/debug?do=cors', [],
                       'a'],
                      ['a preflight', 'OPTIONS', 'gtm/debug?do=cors',
                       ['Access-Control-Request-Method' => 'PUT']])
        {
            my ($name, $method, $path, $headers, $body) = @$case;
            my ($res, @got) = ask($method, "/$prefix/$path",
                                  [@origin, @$headers], $body);

            is $res->{status}, 200, "$prefix, $name: answered";
            is header($res, 'X-Tag'), 'kept', 'by the tagging server';
            is scalar(@got), 1, 'once';
            is $got[0]{method}, $method, $method;

            is join(' | ', headers($res, $_)), $once{$_}, $_
                for sort keys %once;
        }

        # what is no preview has the gateway's
        my ($res, @got) = ask('GET', "/$prefix/g/collect?$hit&do=cors",
                              \@origin);
        is join(' | ', headers($res, 'Access-Control-Allow-Origin')),
           $origin[1], "$prefix, no preview: one origin";
        is header($res, 'Access-Control-Allow-Methods'), undef,
           'and none of the tagging server\'s';

        ($res, @got) = ask('OPTIONS', "/$prefix/g/collect?$hit",
                           [@origin, 'Access-Control-Request-Method' => 'PUT']);
        is $res->{status}, 204, 'its preflight is answered';
        is scalar(@got), 0, 'by the gateway';
    }
};


# headers of the tagging server that act on all of the shop's site

subtest 'headers for a whole site' => sub {
    my %acting = @acting;

    for my $prefix (qw(all metrics metrics-kept)) {
        for my $case (["g/collect?$hit&do=acting"], ['x?do=acting'],
                      ['gtm.js?id=GTM-ABC1234&do=acting'],
                      ['gtm/debug?do=acting'], ['healthz?do=acting'],
                      ["g/collect?$hit&do=acting", 'X-Gtm-Debug' => 1])
        {
            my ($path, @headers) = @$case;

            for my $way (['', \&ask], [', HTTP/2', \&ask_h2]) {
                my ($res) = $way->[1]->('GET', "/$prefix/$path", [@headers]);

                is $res->{status}, 200, "/$prefix/$path@headers$way->[0]";
                is header($res, $_), undef, $_ for sort keys %acting;
                is header($res, 'X-Tag'), 'kept', 'another stays';
            }
        }
    }
};


# An error_page of the operator's leads out of the gateway: what is answered
# there is the shop's, and none of the gate's rules holds for it.

subtest 'error_page' => sub {
    for my $prefix (qw(named named-kept paged paged-kept)) {
        for my $path ("g/collect?$hit&do=404", 'x?do=404',
                      'gtm.js?id=GTM-ABC1234&do=404')
        {
            for my $way (['', \&ask], [', HTTP/2', \&ask_h2]) {
                my ($res, @got) = $way->[1]->('GET', "/$prefix/$path");

                is $res->{body}, 'of the shop', "/$prefix/$path$way->[0]";
                is scalar(@got), 1, 'after the tagging server';
                is join(' | ', headers($res, 'Set-Cookie')),
                   join(' | ', @shop_sets), 'with the cookies of the shop';
                is join(' | ', headers($res, 'Cache-Control')), 'private',
                   'and its other headers';
                is header($res, 'Alt-Svc'), 'h3=":443"', 'all of them';
            }
        }
    }

    my ($res) = ask('GET', "/named/g/collect?$hit&do=text");
    is $res->{body}, 'of the tagging server', 'no error';
    is join(' | ', headers($res, 'Cache-Control')), 'no-store',
       'the gate\'s rules hold';
};


# A "*" speaks for the names that the module knows itself, too.

subtest 'prefixes' => sub {
    my @g = qw(gclid gbraid gad_source gad_campaignid gclaw gclgb gclgs gacid);
    my $g = join '&', map { "$_=1" } @g;
    my $others = 'dclid=1&wbraid=1&srsltid=1&ttclid=1&twclid=1&xg=1';
    my $analytics = 'gcs=G101&gcd=13t3p3t3t5l1';
    my $ads = 'gcs=G110&gcd=13t3p3t3t5l1';
    my $no_ads = 'gcs=G101&gcd=13p3t3t3t5l1';
    my $cookie = '_ga=1; _gid=2; FPID=3; FPAU=4; _gcl_au=5; _fbp=6; _fbc=7';

    my $send = sub {
        my ($location, $more) = @_;

        my ($res, $got) = ask('POST', "/$location/g/collect?$hit&$more",
            [Cookie => $cookie,
             Referer => 'http://shop.example/?gclid=1&dclid=2&srsltid=3'],
            "en=y&$g&$others");

        is $res->{status}, 204, "$location: passes";

        return $got;
    };

    for my $kept ('', '-kept') {
        my $got = $send->("removed$kept", "$granted&$g&$others");

        is names($got->{uri}), 'v tid en cid ' . names("?$others"),
           'sgtm_remove_param g*: the query';
        is names($got->{body}), 'en ' . names("?$others"), 'the body';

        $got = $send->("less$kept", "$no_ads&$g&$others");
        is names($got->{uri}), "v tid en cid gcs gcd @g xg",
           'sgtm_redact ad_storage -g*: the query';
        is names($got->{body}), "en @g xg", 'the body';
        is header($got, 'Cookie'), '_ga=1; _gid=2; FPID=3; _fbp=6; _fbc=7',
           '-cookie:_fb*: the cookies';
        is header($got, 'Referer'), 'http://shop.example/?gclid=1',
           'the Referer';

        $got = $send->("metrics$kept", "$no_ads&$g&$others");
        is names($got->{body}), 'en xg', 'without it';
        is header($got, 'Cookie'), '_ga=1; _gid=2; FPID=3', 'its cookies';

        # analytics denied: srsltid goes by sr*, _gcl_au by _gc*
        $got = $send->("more$kept", "$ads&$g&$others");
        is names($got->{body}), "en @g dclid wbraid ttclid twclid xg",
           'sgtm_redact analytics_storage sr*: the body';
        is header($got, 'Cookie'), 'FPAU=4; _fbp=6; _fbc=7',
           '+cookie:_gc*: the cookies';
        is header($got, 'Referer'), 'http://shop.example/?gclid=1&dclid=2',
           'the Referer';

        # ad_user_data denied: ttclid, twclid, FPID and FPAU go
        $got = $send->("more$kept", "gcs=G111&gcd=13t3t3p3t5l1&$g&$others");
        is names($got->{uri}), 'v tid en cid gcs gcd ' . join(' ', @g)
           . ' dclid wbraid srsltid xg', 'sgtm_redact ad_user_data tt* tw*';
        is header($got, 'Cookie'), '_ga=1; _gid=2; _gcl_au=5; _fbp=6; _fbc=7',
           'cookie:FP*: the cookies';
    }
};

is join(' ', $t->workers), "@workers", 'the worker has lived through it all';


# A reload that fails has been at the shared memory before it does.  Twenty of
# them, each with tenants of its own, must leave the counters of those that are
# served where the workers count.

sub tenants {
    my ($more, @ids) = @_;

    my $n = 0;
    my $locations = join '', map { $n++; <<"EOC" } @ids;
        location /$n/ {
            sgtm         on;
            sgtm_tenant  $_;
            proxy_pass   http://tagging/;
            include      sgtm_proxy.conf;
        }
EOC

    return <<"EOC";
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    server {
        listen         127.0.0.1:%%PORT%%;
        $more
        server_name    shop.example;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_fallback  off;
        $locations
        location = /status { sgtm_status; }
    }
EOC
}

subtest 'reloads that fail' => sub {
    my $r = SGTM::Test->start(tenants('', 'a', 'b'));
    my %want = (a => 0, b => 0);

    $r->expect_log(qr/\[emerg\].*bind/);

    # hits of each tenant, by its place in the configuration
    my $send = sub {
        my ($name, %more) = @_;
        my ($bad, $n) = (0, 0);

        for my $id (sort keys %want) {
            $n++;

            for (1 .. $more{$id}) {
                $bad++ if $r->get("/$n/g/collect?$hit")->{status} != 204;
            }

            $want{$id} += $more{$id};
        }

        is $bad, 0, "$name: hits pass";
    };

    my $counts = sub {
        my ($name) = @_;
        my %got;

        wait_for {
            my $tenants = $r->status('/status')->{tenants};
            %got = map { $_ => $tenants->{$_}{hits}{forwarded} }
                       grep { $_ ne '_other' } keys %$tenants;
            !grep { $want{$_} != ($got{$_} || 0) } keys %want;
        } 2;

        is_deeply \%got, \%want, "$name: counted, by tenant";
    };

    # A port in use is tried for 2.5 s, so that is for two of them; a socket in
    # a directory that is not there fails at the same place and at once.
    my ($tried, $failed) = (0, 0);
    my $fail = sub {
        my ($listen) = @_;
        my $before = length $r->error_log;

        $tried++;
        $r->{http} = tenants("listen $listen;", "new-$tried", "more-$tried",
                             "last-$tried");
        $r->_write;
        $r->signal('HUP');

        my $said = $listen =~ /unix/ ? qr/\[emerg\].*bind\(\) to unix/
                                     : qr/\[emerg\].*still could not bind/;
        $failed++ if wait_for {
            substr($r->error_log, $before) =~ $said
        } 10;
    };

    my $taken = '127.0.0.1:' . $tag->port;
    my $absent = 'unix:%%DIR%%/absent/socket';
    my @before = $r->workers;

    $send->('at first', a => 3, b => 5);
    $counts->('at first');

    $fail->($taken);

    for my $n (1 .. 17) {
        $fail->($absent);
        $send->("after $n", a => 1, b => 2) if $n % 5 == 0;
    }

    is $failed, 18, 'reloads that fail';
    is join(' ', $r->workers), "@before", 'the workers stay';
    $counts->('after them');

    $want{c} = 0;
    $r->reload(tenants('', sort keys %want), wait_old => 1);
    $counts->('after one that does not');
    $send->('then', a => 2, b => 1, c => 4);

    $fail->($absent);
    $fail->($taken);
    is $failed, 20, 'twenty of them';
    $send->('after two more', a => 1, b => 1, c => 1);
    $counts->('after two more');
    $r->stop;
};

done_testing;
