#!/usr/bin/perl

# What logs and variables hold of a visitor, with whatever else of nginx reads
# them: nothing that was denied, and all the rest.  Fragments, which nginx keeps
# in the URI alone, went upstream and into the log; variables that a map had
# read before the gate came back in headers and logs; the body of a hit that
# was denied or refused was in $request_body; what nginx refuses by itself
# (return, deny, limit_req, a large body) was logged with query, referrer and
# address and counted as failed; and $upstream_http_set_cookie told of cookies
# that no browser got.
#
# Whatever must not be seen has ZQ in it, or is the address 66.77.88.99, which
# is "BMXc" as four bytes.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my $leak = qr/ZQ|66\.77\.88\.99|BMXc/;

# tokens tell what a location's hits are answered

my @sets = map { ('Set-Cookie' => "$_; Path=/; Secure") }
               'FPID=ZQ1', '_ga=ZQ2', 'session=ZQ3', 'FPAU=ad4', '_gcl_au=ad5';

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return $req->{uri} =~ /\bdo=sets\b/ ? [200, [@sets], 'sets'] : 204;
});

my $down = SGTM::Run::port();

my @fields = qw(http_user_agent status request request_uri args query_string
                is_args arg_gclid arg_uid http_referer http_cookie cookie__ga
                http_x_real_ip http_x_forwarded_for proxy_add_x_forwarded_for
                remote_addr binary_remote_addr sgtm_client_ip request_body
                by_cookie by_referer by_uri by_address seen);

my $format = join '|', map { "\$$_" } @fields;

my @upstream = qw(http_user_agent status upstream_status
                  upstream_http_set_cookie upstream_cookie_FPID
                  upstream_cookie__ga upstream_cookie_session
                  upstream_cookie_FPAU upstream_cookie__gcl_au
                  sent_http_set_cookie);

my $upstream = join '|', map { "\$$_" } @upstream;


# A gateway with a tenant of its own that takes its prefix away, /NAME/, and one
# that keeps the path, /NAME-kept/, since nginx then sends the URI as the client
# wrote it.

sub gateways {
    my ($name, $more, $mode, $to) = @_;

    $mode = 'advanced' if !$mode;
    $to = 'http://tagging' if !$to;

    return join '', map { <<"EOC" } [$name, '/'], ["$name-kept", ''];
        location /$_->[0]/ {
            sgtm               on;
            sgtm_consent_mode  $mode;
            sgtm_tenant        $name;
            $more
            proxy_pass         $to$_->[1];
            include            sgtm_proxy.conf;
        }
EOC
}

# maps that read what may be denied, in the rewrite phase

my $mapped = <<'EOC';
            sgtm_consent_source  value=$by_cookie gcd gcs;
            if ($by_referer = from) { set $seen "$by_uri $by_address"; }
            if ($arg_gclid) { set $seen "$seen click"; }
            if ($request_body) { set $seen "$seen body"; }
            set $seen "$seen $by_referer";
            proxy_set_header  X-Orig $request_uri;
            proxy_set_header  X-Ck $http_cookie;
            proxy_set_header  X-Ga $cookie__ga;
            proxy_set_header  X-Addr $remote_addr;
            proxy_set_header  X-Chain $proxy_add_x_forwarded_for;
            proxy_set_header  X-Ref $http_referer;
            proxy_set_header  X-Args $args;
            proxy_set_header  X-Line $request;
EOC

my @modes = qw(off basic advanced);
my @refusals = (
    ['return', 'return 403;'],
    ['condition', 'if ($arg_gclid) { return 403; }'],
    ['deny', 'deny all;'],
    ['method', 'limit_except HEAD { deny all; }'],
    ['rate', 'limit_req zone=rate;'],
    ['rate429', 'limit_req zone=rate429; limit_req_status 429;'],
    ['small', 'sgtm_max_body 1k;'],
    ['large', ''],
);

my $refusing = join '', map {
    my $mode = $_;
    map { gateways("$_->[0]-$mode", "$_->[1] sgtm_tenant refused-$mode;",
                   $mode) =~ s/sgtm_tenant +\Q$_->[0]-$mode;//gr } @refusals;
} @modes;

my $secrets = SGTM::Run::dir('secrets');

SGTM::Run::put("$secrets/mp", "LEAK-secret\n");
chmod 0600, "$secrets/mp";

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    map \$http_cookie \$by_cookie {
        "~choice=all"   G111;
        "~choice=none"  G100;
        default         "";
    }

    map \$http_referer \$by_referer { "~." from; default none; }
    map \$request_uri \$by_uri { "~gclid" click; default none; }
    map \$remote_addr \$by_address { "~^66" six; default none; }

    limit_req_zone  \$binary_remote_addr\$uri zone=rate:1m rate=1r/m;
    limit_req_zone  \$binary_remote_addr\$uri zone=rate429:1m rate=1r/m;

    log_format  all       escape=default '$format';
    log_format  upstream  '$upstream';

    server {
        listen             127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name        shop.example;
        access_log         %%DIR%%/all.log all;
        access_log         %%DIR%%/upstream.log upstream;

        sgtm_endpoint      sgtm.example.com;
        sgtm_container     GTM-ABC1234;
        sgtm_tag_id        G-ABC1234567;
        sgtm_api_secret    $secrets/mp;
        sgtm_fallback      off;

        set_real_ip_from   127.0.0.1;
        real_ip_header     X-Real-IP;
        set                \$seen "";

        @{[ gateways('m', '') ]}
        @{[ gateways('down', '', '', "http://127.0.0.1:$down") ]}
        @{[ gateways('mapped', $mapped) ]}
        @{[ gateways('mapped-down', $mapped, '',
                     "http://127.0.0.1:$down") ]}
        @{[ gateways('basic', $mapped, 'basic') ]}
        $refusing

        location = /status { sgtm_status; }
    }
EOC

my @address = ('X-Real-IP' => '66.77.88.99');
my $hit = 'v=2&tid=G-ABC1234567&en=x&cid=1.2';
my $granted = 'gcs=G111&gcd=13t3t3t3t5l1';
my $denied = 'gcs=G100&gcd=13p3p3p3p5l1';
my $requests = 0;


# One request, told by its User-Agent: { res, got (what arrived), log (fields
# of its line), errors (what the error log gained) }.

sub ask {
    my ($way, $method, $uri, $headers, $body) = @_;

    my $agent = 'request-' . ++$requests . '-';
    my @headers = (@address, 'User-Agent' => $agent, @{ $headers || [] });
    my $before = length $t->error_log;
    my $res;

    $tag->clear;

    if ($way eq 'HTTP/2') {
        my $h2 = $t->h2(nth => 2);
        $res = $h2->response($h2->request($method, $uri, \@headers, $body));
        $h2->close;

    } else {
        $res = $t->request($method, $uri, \@headers, $body);
    }

    my ($got) = $tag->requests;

    return { res => $res, got => $got, log => line($agent, 'all', @fields),
             upstream => line($agent, 'upstream', @upstream),
             errors => substr($t->error_log, $before) };
}


sub line {
    my ($agent, $log, @names) = @_;

    $t->wait_log(qr/^\Q$agent\E\|.*\n/m, file => "$log.log");

    my ($line) = $t->file("$log.log") =~ /^(\Q$agent\E\|.*)$/m;
    my %line;

    @line{@names} = split /\|/, defined $line ? $line : '', -1;

    return { %line, line => defined $line ? $line : '' };
}


# of a request that did not pass, the log has its path

sub only_path {
    my ($name, $done, $mode) = @_;

    my $log = $done->{log};
    my $address = $mode eq 'off' ? '66.77.88.99' : '66.77.88.0';
    my $bytes = $mode eq 'off' ? 'BMXc' : 'BMX\x00';

    unlike $log->{line}, $mode eq 'off' ? qr/ZQ/ : $leak,
           "$name: nothing of it in the access log";
    like $log->{request}, qr{\A[A-Z]+ /[-\w/.]*\z}, 'the line is its path';
    unlike $log->{request_uri}, qr/[?#]/, 'and the URI';
    like $log->{$_}, qr/\A-?\z/, "no \$$_"
        for qw(args query_string arg_gclid arg_uid http_referer http_cookie
               cookie__ga http_x_real_ip http_x_forwarded_for request_body);
    is $log->{remote_addr}, $address, "the address, mode $mode";
    is $log->{binary_remote_addr}, $bytes, 'its bytes';
    is $log->{proxy_add_x_forwarded_for}, $address, 'and as a list';

    unlike $done->{errors}, $mode eq 'off' ? qr/ZQ/ : $leak,
           'nothing of it in the error log';
}


sub chunks { return join '', map { sprintf "%x\r\n%s\r\n", length, $_ } @_, '' }


# nginx has a fragment neither in the path nor in the arguments, but sends it on
# and logs it with the URI.  No browser writes one.

subtest 'fragments' => sub {
    my @plain = ('foo', 'foo?a=b', 'gtm.js?id=GTM-ABC1234');
    my @secret = ('#gclid=ZQ', '#_gl=ZQ&uid=ZQ', '#ZQ', '#?gclid=ZQ#uid=ZQ');
    my $only_analytics = "g/collect?$hit&gcd=13n3m3n3n1";

    for my $prefix (qw(m m-kept down down-kept)) {
        for my $way ('HTTP/1.1', 'HTTP/2') {
            for my $path (@plain, $only_analytics, "g/collect?$hit&$denied",
                          'g/collect?v=2')
            {
                for my $fragment (@secret) {
                    my $name = "$way, /$prefix/$path$fragment";
                    my $done = ask($way, 'GET', "/$prefix/$path$fragment");
                    my $want = $path eq 'g/collect?v=2' ? 400
                               : $prefix =~ /down/ ? 502 : 204;

                    is $done->{res}{status}, $want, "$name: $want";
                    unlike $done->{log}{line}, $leak, 'not in the access log';
                    unlike $done->{errors}, $leak, 'nor in the error log';

                    # requests that connect to nobody are in it
                    like $done->{errors}, qr/request: "GET \/[^?#" ]*[ "]/,
                         'where the path is' if $want == 502;

                    next if $want != 204;

                    unlike $done->{got}{raw}, qr/ZQ|#/, 'nor sent on';
                    like $done->{got}{uri}, qr{/\Q$path\E(?:&npa=1)?\z},
                         'the rest is';
                }
            }
        }
    }

    # that it would arrive: nginx sends it where nothing is denied
    my $done = ask('HTTP/1.1', 'GET', "/m-kept/g/collect?$hit&$granted#a=b");
    is $done->{got}{uri}, "/m-kept/g/collect?$hit&$granted#a=b",
       'nothing denied: as it was written';
};


# What nginx evaluates once it keeps for the request.

my @cookies = (Cookie => '_ga=ZQ.1; session=ZQ; _gcl_au=ZQ.2',
               Cookie => 'choice=none');
my @referer = (Referer => 'http://shop.example/p?gclid=ZQ&a=b');
my $query = "$hit&gclid=ZQ&uid=ZQ";
my @denials = (['by the map', "$query&$granted", [@cookies]],
               ['by the hit', "$query&$denied", [@cookies[0, 1]]],
               ['by default', $query, [@cookies[0, 1]]]);

subtest 'variables that were read before the gate' => sub {
    for my $prefix (qw(mapped mapped-kept)) {
        for my $way ('HTTP/1.1', 'HTTP/2') {
            for my $denial (@denials) {
                for my $body (undef, "en=y&uid=ZQ&ep.a=b\r\nen=z&gclid=ZQ") {
                    my ($why, $args, $cookies) = @$denial;
                    my $method = defined $body ? 'POST' : 'GET';
                    my $name = "$way, /$prefix/, $method, denied $why";
                    my $done = ask($way, $method, "/$prefix/g/collect?$args",
                                   [@$cookies, @referer], $body);
                    my ($got, $log) = @$done{qw(got log)};

                    is $done->{res}{status}, 204, "$name: passes";
                    unlike $got->{raw} . $got->{body}, $leak,
                           'nothing denied goes on';
                    unlike $log->{line}, $leak, 'nor is it logged';
                    unlike $done->{errors}, $leak, 'nor in the error log';

                    # not because nothing was read
                    is $log->{by_referer}, 'from', 'the maps were';
                    is $log->{by_uri}, 'click', 'with what was there';
                    is $log->{by_address}, 'six', 'whole';

                    is header($got, 'X-Addr'), '66.77.88.0', 'masked';
                    is header($got, 'X-Chain'), '66.77.88.0', 'as a list';
                    is header($got, 'X-Ref'), 'http://shop.example/p?a=b',
                       'cut';
                    is header($got, 'X-Ck'), undef, 'no cookies';
                    is header($got, 'X-Ga'), undef, 'nor one of them';

                    my ($sent) = $got->{uri} =~ /\?(.*)/;

                    is header($got, 'X-Args'), $sent, 'arguments as sent';
                    is header($got, 'X-Orig'), "/$prefix/g/collect?$sent",
                       'URI as sent';
                    is header($got, 'X-Line') =~ s{ HTTP/\S+\z}{}r,
                       "$method /$prefix/g/collect?$sent", 'line as sent';

                    is $log->{args}, $sent, 'arguments in the log';
                    is $log->{request_uri}, "/$prefix/g/collect?$sent",
                       'the URI';
                    is $log->{http_referer}, 'http://shop.example/p?a=b',
                       'the Referer';
                    is $log->{binary_remote_addr}, 'BMX\x00', 'the address';
                    is $log->{request_body}, defined $body
                       ? 'en=y&ep.a=b\x0D\x0Aen=z' : '-', 'the body';
                }
            }
        }
    }
};

subtest 'variables of passed paths' => sub {
    for my $prefix (qw(mapped mapped-kept)) {
        for my $path ('x?', 'gtm.js?id=GTM-ABC1234&', 'mp/collect?') {
            for my $denial (@denials) {
                my ($why, undef, $cookies) = @$denial;
                my $uri = "/$prefix/${path}gclid=ZQ&uid=ZQ&"
                          . ($why eq 'by the map' ? $granted : $denied);
                my $mp = $path =~ /mp/;

                $uri =~ s/gclid/measurement_id=G-ABC1234567&api_secret=LEAK-secret&gclid/
                    if $mp;

                my $done = ask('HTTP/1.1', $mp ? 'POST' : 'GET', $uri,
                               [@$cookies, @referer],
                               $mp ? '{"client_id":"1.2","user_id":"ZQ",'
                                     . '"events":[{"name":"a","params":'
                                     . '{"gclid":"ZQ"}}]}' : undef);

                is $done->{res}{status}, 204, "$uri, denied $why: 204";
                unlike $done->{log}{line}, $leak, 'not in the access log';
                is $done->{log}{by_referer}, 'from', 'though it was read';
                unlike $done->{errors}, $leak, 'nor in the error log';

                unlike $done->{log}{line} . $done->{errors}, qr/LEAK/,
                       'and no secret in either';
                unlike $done->{got}{raw}, $leak, 'nor sent on';
                is header($done->{got}, 'X-Addr'), '66.77.88.0', 'masked';
                is header($done->{got}, 'X-Ref'), 'http://shop.example/p?a=b',
                   'cut';
            }
        }
    }
};

subtest 'variables of what nobody took' => sub {
    for my $prefix (qw(mapped-down mapped-down-kept)) {
        for my $denial (@denials) {
            my ($why, $args, $cookies) = @$denial;
            my $done = ask('HTTP/1.1', 'POST', "/$prefix/g/collect?$args",
                           [@$cookies, @referer], 'en=y&uid=ZQ');

            is $done->{res}{status}, 502, "/$prefix/, denied $why: 502";
            unlike $done->{log}{line}, $leak, 'not in the access log';
            like $done->{errors}, qr/connect\(\) failed.*client: 66\.77\.88\.0/,
                 'in the error log';
            unlike $done->{errors}, $leak, 'without what is denied';
        }
    }
};

subtest 'variables of what is not denied' => sub {
    my $all = 'gcs=G111&gcd=13t3t3t3t5l1';
    my $args = "$hit&gclid=1&uid=2&$all";
    my $referer = 'http://shop.example/p?gclid=3&a=b';
    my $cookie = '_ga=4; session=5; _gcl_au=6; choice=unknown';

    for my $prefix (qw(mapped mapped-kept)) {
        for my $way ('HTTP/1.1', 'HTTP/2') {
            for my $body (undef, "en=y&uid=7\r\nen=z&gclid=8") {
                my $method = defined $body ? 'POST' : 'GET';
                my $uri = "/$prefix/g/collect?$args";
                my $done = ask($way, $method, $uri,
                               [Cookie => $cookie, Referer => $referer], $body);
                my ($got, $log) = @$done{qw(got log)};

                is $done->{res}{status}, 204, "$way, $method $uri";
                is $got->{body}, defined $body ? $body : '', 'the body';

                my %want = (
                    'X-Orig' => $uri, 'X-Args' => $args, 'X-Ref' => $referer,
                    'X-Ck' => '_ga=4; _gcl_au=6', 'X-Ga' => 4,
                    'X-Addr' => '66.77.88.99', 'X-Chain' => '66.77.88.99',
                    'X-Forwarded-For' => '66.77.88.99',
                    'X-Line' => "$method $uri " . ($way eq 'HTTP/2'
                                ? 'HTTP/2.0' : $way),
                );

                is header($got, $_), $want{$_}, $_ for sort keys %want;

                %want = (
                    request => $want{'X-Line'}, request_uri => $uri,
                    args => $args, query_string => $args, is_args => '?',
                    arg_gclid => 1, arg_uid => 2, http_referer => $referer,
                    http_cookie => '_ga=4; _gcl_au=6', cookie__ga => 4,
                    remote_addr => '66.77.88.99', binary_remote_addr => 'BMXc',
                    sgtm_client_ip => '66.77.88.99', by_referer => 'from',
                    request_body => defined $body
                        ? $body =~ s/\r\n/\\x0D\\x0A/r : '-',
                );

                is $log->{$_}, $want{$_}, "\$$_" for sort keys %want;
            }
        }
    }
};


# What is answered by the gate itself has been read, too.

subtest 'bodies that are not sent on' => sub {
    my $body = 'en=y&uid=ZQ&ep.a=ZQ';

    for my $case (['basic', 'denied', "$query&$denied", 204, $body],
                  ['basic', 'denied by default', $query, 204, $body],
                  ['basic', 'no tag id', 'v=2&en=x&uid=ZQ', 400, $body],
                  ['mapped', 'a foreign one', 'v=2&en=x&tid=G-FOREIGNZQ1', 403,
                   $body],
                  ['mapped', 'granted, a bad escape', "$query&$granted", 400,
                   "$body%"],
                  ['mapped', 'denied, a bad byte', "$query&$denied", 400,
                   "$body\0"],
                  ['mapped', 'a bad name', "$query&$granted", 400,
                   "en=y&ZQ\0=ZQ"],
                  ['m', 'no UTF-8', "$query&$granted", 400, "$body\xff"])
    {
        my ($prefix, $name, $args, $status, $text) = @$case;

        for my $kept ('', '-kept') {
            my $uri = "/$prefix$kept/g/collect?$args";
            my $mode = $prefix eq 'basic' ? 'basic' : 'advanced';

            for my $try (['HTTP/1.1', [], $text], ['HTTP/2', [], $text],
                         ['HTTP/1.1', ['Transfer-Encoding' => 'chunked'],
                          chunks($text)])
            {
                my ($way, $headers, $sent) = @$try;
                my $done = ask($way, 'POST', $uri,
                               [@cookies[0, 1], @referer, @$headers], $sent);

                is $done->{res}{status}, $status,
                   "$way, /$prefix$kept/, $name, @$headers: $status";
                unlike $done->{res}{body}, $leak, 'not in the answer';
                ok !$done->{got}, 'nothing arrives';
                only_path($name, $done, $mode);
            }
        }
    }
};


# nginx refuses by itself before the gate, or while it reads the body.  The
# counters of all of them are the tenant's, refused-MODE.

my %refused = map { $_ => { hits => 0, too_large => 0, server => 0 } } @modes;


sub refused {
    my ($mode, $reason, $name, $want, $done) = @_;

    my $text = $want == 413 ? 'body: larger than this gateway takes'
                            : 'server: refused by its configuration';

    is $done->{res}{status}, $want, "$name: $want";
    ok !$done->{got}, 'nothing arrives';
    is $done->{res}{body}, "$text\n", 'one line' if $want == 413
                                                   || $want == 503;
    unlike $done->{res}{body}, $leak, 'nothing of it in the answer';
    only_path($name, $done, $mode);

    $refused{$mode}{hits}++;
    $refused{$mode}{$reason}++;
}

for my $mode (@modes) {
    subtest "refused by nginx, mode $mode" => sub {
        my @headers = (@cookies[0, 1], @referer);
        my $masked = $mode eq 'off' ? '66.77.88.99' : '66.77.88.0';

        for my $kept ('', '-kept') {
            for my $kind (['return', 403], ['condition', 403],
                          ['deny', 403, qr/access forbidden by rule/],
                          ['method', 403, qr/access forbidden by rule/],
                          ['rate', 503, qr/limiting requests/],
                          ['rate429', 429, qr/limiting requests/])
            {
                my ($name, $status, $said) = @$kind;
                my $uri = "/$name-$mode$kept/g/collect?$query&$denied";

                # the first within the rate is not refused by nginx
                if ($name =~ /rate/) {
                    my $done = ask('HTTP/1.1', 'GET', $uri =~ s/v=2&//r,
                                   \@headers);
                    is $done->{res}{status}, 400, "$name: within the rate";
                    $refused{$mode}{hits}++;
                }

                for my $try (['HTTP/1.1', 'GET'], ['HTTP/2', 'GET'],
                             ['HTTP/1.1', 'POST', 'en=y&uid=ZQ'],
                             ['HTTP/2', 'POST', 'en=y&uid=ZQ'])
                {
                    my ($way, $method, $body) = @$try;
                    my $done = ask($way, $method, $uri, \@headers, $body);

                    refused($mode, 'server', "$way, $method, $name$kept",
                            $status, $done);
                    like $done->{errors}, qr/$said.*client: \Q$masked\E,/,
                         'nginx says so' if $said;
                }
            }
        }
    };

    # over sgtm_max_body of 1k, over its default of 64k, and over the 1m of
    # client_max_body_size, whose message has the whole request

    subtest "bodies that are too large, mode $mode" => sub {
        my @headers = (@cookies[0, 1], @referer);

        for my $kept ('', '-kept') {
            for my $kind (['small', 2_000], ['small', 1_100_000],
                          ['large', 70_000], ['large', 1_100_000])
            {
                my ($name, $size) = @$kind;
                my $uri = "/$name-$mode$kept/g/collect?$query&$denied";
                my $body = 'en=y&uid=ZQ&ep.a=' . 'v' x $size;

                for my $try (['HTTP/1.1', [], $body],
                             ['HTTP/1.1', ['Transfer-Encoding' => 'chunked'],
                              chunks(unpack '(a8000)*', $body)],
                             ['HTTP/2', [], $body])
                {
                    my ($way, $more, $sent) = @$try;

                    my $done = ask($way, 'POST', $uri, [@headers, @$more],
                                   $sent);

                    refused($mode, 'too_large', "$way, $size bytes, "
                            . "/$name-$mode$kept/, @$more", 413, $done);
                }
            }
        }
    };
}

subtest 'counted as refused' => sub {
    for my $mode (@modes) {
        my $want = $refused{$mode};
        my $tenant;

        wait_for {
            $tenant = $t->status('/status')->{tenants}{"refused-$mode"};
            $tenant->{hits}{refused} == $want->{hits};
        };

        is $tenant->{hits}{refused}, $want->{hits}, "$mode: refused";
        is $tenant->{reasons}{too_large}, $want->{too_large},
           'for being too large';
        is $tenant->{reasons}{server}, $want->{server}, 'by nginx';

        my %other = %{ $tenant->{hits} };
        delete $other{refused};
        is join(' ', grep { $other{$_} } sort keys %other), '',
           'none is anything else';
    }
};


# Set-Cookie of the tagging server, where nginx keeps it for variables.

subtest 'cookies of the answer' => sub {
    my $ads_only = 'gcs=G110&gcd=13t3p3t3t5l1';
    my @ads = map { "$_; Path=/; Secure" } 'FPAU=ad4', '_gcl_au=ad5';

    for my $prefix (qw(m m-kept basic basic-kept)) {
        for my $way ('HTTP/1.1', 'HTTP/2') {
            for my $path ("g/collect?$hit&$ads_only&do=sets",
                          "x?$ads_only&do=sets",
                          "gtm.js?id=GTM-ABC1234&$ads_only&do=sets")
            {
                # a hit without analytics is not sent on in mode basic, and
                # nothing there has cookies
                my $basic = $prefix =~ /basic/;
                next if $basic && $path =~ /collect/;

                my $done = ask($way, 'GET', "/$prefix/$path");
                my $log = $done->{upstream};
                my $name = "$way, /$prefix/$path";

                is $done->{res}{status}, 200, "$name: passes";
                is join(' | ', headers($done->{res}, 'Set-Cookie')),
                   $basic ? '' : join(' | ', @ads), 'the cookies that stay';
                unlike $log->{line}, qr/ZQ/, 'the others are in no variable';
                is $log->{"upstream_cookie_$_"}, '-', "\$upstream_cookie_$_"
                    for qw(FPID _ga session);

                next if $basic;

                like $log->{upstream_http_set_cookie}, qr/\AFPAU=ad4; Path/,
                     'one that stays is';
                is $log->{upstream_cookie_FPAU}, 'ad4', 'by its name';
                is $log->{upstream_cookie__gcl_au}, 'ad5', 'and another';
            }
        }

        # all granted: what is on the list is there, as it was sent
        my $done = ask('HTTP/1.1', 'GET',
                       "/$prefix/g/collect?$hit&$granted&do=sets");
        my $log = $done->{upstream};

        is $done->{res}{status}, 200, "/$prefix/, granted: passes";
        is $log->{upstream_cookie_FPID}, 'ZQ1', 'FPID is';
        is $log->{upstream_cookie__ga}, 'ZQ2', '_ga is';
        is $log->{upstream_cookie_session}, '-', 'that of the shop never';
        like $log->{upstream_http_set_cookie}, qr/\AFPID=ZQ1; Path/,
             'in full';
        unlike $log->{line}, qr/ZQ3/, 'nowhere';
    }
};

done_testing;
