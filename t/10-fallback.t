#!/usr/bin/perl

# The fallback: what a browser gets when the tagging server is down, slow,
# answers 5xx or is cut, over HTTP/1.1 and HTTP/2, GET and POST, with each
# setting of sgtm_fallback and whatever error pages the operator has, and what
# the gate counts when the browser has left meanwhile.  It guards against an
# error page of the shop in answer to a hit, a script that gets the answer of a
# hit, a hit counted as forwarded that was not (or the other way round), a
# connection that is unusable afterwards, and a retry that sends half a body.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();
use Time::HiRes qw(sleep);

my $tag_id = 'tid=G-ABC1234567';
my $line = 'en=scroll&epn.percent_scrolled=90';
my $body = "$line\r\nen=page_view&_et=944";

# What the tagging server does is said by the request itself: "do=503".

my %does = (
    '500' => [500, ['Content-Type' => 'text/plain'], "tag: 500\n"],
    '502' => [502, ['Content-Type' => 'text/plain'], "tag: 502\n"],
    '503' => [503, ['Content-Type' => 'text/plain'], "tag: 503\n"],
    '504' => [504, ['Content-Type' => 'text/plain'], "tag: 504\n"],
    '404' => [404, ['Content-Type' => 'text/plain'], "tag: 404\n"],
    closed => { drop => 1 },
    reset => { drop => 'rst' },
    status_cut => { raw => ['HTTP/1.'], close => 1 },
    header_cut => { raw => ["HTTP/1.1 200 OK\r\nContent-Type: text/pl"],
                    close => 1 },
    header_bad => { raw => ["HTTP/1.1 200 OK\r\nX-\0: a\r\n\r\n"],
                    close => 1 },
    header_huge => { raw => ["HTTP/1.1 200 OK\r\nX-Huge: " . 'h' x 150_000
                             . "\r\n\r\n"], close => 1 },
    hang => { hang => 1 },
    header_hang => { raw => ["HTTP/1.1 200 OK\r\nContent-Type: t", \3],
                     close => 1 },
    slow => { status => 204, delay => 0.3 },
    body_cut => { raw => ["HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                          . "Content-Length: 100\r\n\r\n", \0.05,
                          'event: message'], close => 1 },
    chunk_cut => { raw => ["HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                           . "Transfer-Encoding: chunked\r\n\r\n", \0.05,
                           "64\r\nevent: message"], close => 1 },
);

sub answer {
    my ($req) = @_;

    my ($do) = $req->{uri} =~ /\bdo=(\w+)/;

    return $do && $does{$do} ? $does{$do} : 204;
}

my $tag = SGTM::Backend->start(\&answer);
my $second = SGTM::Backend->start;
my $nobody = SGTM::Run::port();
my $resetting = SGTM::Backend->start(204, accept => 'rst');

# the shipped lines with a shorter time to wait

my $proxy = SGTM::Run::get(SGTM::Run::root()
                           . '/conf-examples/sgtm_proxy.conf');

$proxy =~ s/^#.*\n//mg;
$proxy =~ s/(proxy_read_timeout\s+)\w+;/${1}400ms;/
    or die "no proxy_read_timeout in sgtm_proxy.conf\n";


# a gateway and its twin whose tagging server is not there

sub gateway {
    my ($prefix, $more) = @_;

    return join '', map { my ($suffix, $upstream) = @$_; <<"EOC" }
        location /$prefix$suffix/ {
            sgtm        on;
            $more
            proxy_pass  http://$upstream/;
            $proxy
        }
EOC
        ['', 'tagging'], ['-refused', 'nobody'];
}


sub server {
    my ($port, $tenant, $text) = @_;

    return <<"EOC";
    server {
        listen           127.0.0.1:%%PORT$port%%;
        %%LISTEN_H2(127.0.0.1:%%PORT@{[ $port + 1 ]}%%)%%
        server_name      shop.example;

        sgtm_tenant      $tenant;
        sgtm_endpoint    sgtm.example.com;
        sgtm_container   GTM-ABC1234;
        sgtm_tag_id      G-ABC1234567;
        sgtm_debug       on;
        $text
    }
EOC
}


# errors that nginx makes before the gate or beside it; auth_request is not in
# every nginx

my ($no_auth) = nginx_t('server { auth_request off; }', module => 0);

my @own_errors = (
    ['returned', 503, 'return 503;'],
    ['returned-502', 502, 'return 502;'],
    ['broken-if', 504, 'if ($request_method) { return 504; }'],
    ['rate', 503, 'limit_req zone=rate;'],
    ['connections', 503, 'limit_conn connections 1;'],
    $no_auth ? () : ['asked', 500, 'auth_request /broken;'],
);

my $own404 = <<'EOC';
        location = /own404 {
            internal;
            default_type  text/plain;
            return        404 "own 404\n";
        }
EOC

my $maintenance = <<'EOC';
        error_page  500 502 503 504  /maintenance.html;

        location = /maintenance.html {
            default_type  text/html;
            return        200 "<h1>maintenance</h1>";
        }
EOC

my $t = SGTM::Test->start(<<"EOC" . join '',
    log_format  sgtm  '\$sgtm_tenant|\$status|\$sgtm_disposition|'
                      '\$sgtm_reason';
    access_log  %%DIR%%/sgtm.log  sgtm;

    upstream tagging {
        server     127.0.0.1:@{[ $tag->port ]} max_fails=0;
        keepalive  8;
    }

    limit_req_zone   \$server_name zone=rate:1m rate=1r/m;
    limit_conn_zone  \$server_name zone=connections:1m;

    upstream nobody { server 127.0.0.1:$nobody max_fails=0; }

    upstream retry_refused {
        server     127.0.0.1:$nobody max_fails=0;
        server     127.0.0.1:@{[ $second->port ]} backup;
        keepalive  8;
    }

    upstream retry_reset {
        server     127.0.0.1:@{[ $resetting->port ]} max_fails=0;
        server     127.0.0.1:@{[ $second->port ]} backup;
    }

    upstream retry_answer {
        server     127.0.0.1:@{[ $tag->port ]} max_fails=0;
        server     127.0.0.1:@{[ $second->port ]} backup;
        keepalive  8;
    }

    server {
        listen    127.0.0.1:%%PORT90%%;
        location  = /status { sgtm_status; }
    }
EOC

    server(10, 'plain', join '',
        gateway('client', 'sgtm_fallback client;'),
        gateway('off', 'sgtm_fallback off;'),
        gateway('professional', 'sgtm_tier professional;'),
        gateway('starter', 'sgtm_tier starter;'),
        gateway('both', 'sgtm_tier professional; sgtm_fallback off;'),
        gateway('cors', 'sgtm_fallback client; '
                        . 'sgtm_origins https://other.example;'),
        gateway('own404', 'sgtm_fallback client; error_page 404 /own404;'),
        gateway('named', 'sgtm_fallback client; error_page 404 = @own;'),
        $own404,
        '        location @own { return 410 "own 410\n"; }',
        retries()),

    server(12, 'maintained', join '', $maintenance,
        gateway('client', 'sgtm_fallback client;'),
        gateway('off', 'sgtm_fallback off;'),
        gateway('own404', 'sgtm_fallback client; error_page 404 /own404;'),
        $own404),

    server(14, 'recursive', join '', $maintenance,
        "        recursive_error_pages  on;\n",
        gateway('client', 'sgtm_fallback client;'),
        gateway('off', 'sgtm_fallback off;'),
        gateway('own404', 'sgtm_fallback client; error_page 404 /own404;'),
        $own404),

    server(18, 'own', own_errors()),

    server(20, 'full', <<"EOC" . gateway('client', 'sgtm_fallback client;')),
        client_body_temp_path     %%DIR%%/tmp/full;
        client_body_in_file_only  clean;
EOC

    server(16, 'left', gateway('client', 'sgtm_fallback client;')
                       . gateway('off', 'sgtm_fallback off;')));


sub own_errors {
    my $text = "        location = /broken { return 500; }\n";

    for my $case (@own_errors) {
        my ($name, undef, $line) = @$case;

        $text .= <<"EOC";
        location /$name/ {
            sgtm           on;
            sgtm_fallback  client;
            $line
            proxy_pass     http://tagging/;
            $proxy
        }
EOC
    }

    return $text;
}


# the hit is rewritten, so that the body sent on is the gate's own

sub retries {
    my $text = '';

    for my $upstream (qw(refused reset answer)) {
        for my $size (qw(64k 1k)) {
            (my $lines = $proxy)
                =~ s/(client_body_buffer_size\s+)\w+;/$1$size;/;

            $text .= <<"EOC";
        location /retry-$upstream-$size/ {
            sgtm                 on;
            sgtm_fallback        client;
            sgtm_consent_mode    advanced;
            sgtm_remove_param    ep.secret;
            sgtm_set_param       ep.gate 1;
            proxy_pass           http://retry_$upstream/;
            proxy_next_upstream  error timeout http_503 non_idempotent;
            $lines
        }
EOC
        }
    }

    return $text;
}


# One request by either protocol on a connection of its own, or on the one
# given.

my @protocols = (['HTTP/1.1', 0], ['HTTP/2', 1]);


sub client {
    my ($port, $h2) = @_;

    return $h2 ? $t->h2(nth => $port + 1) : $t->http(nth => $port);
}


sub begin {
    my ($c, $method, $uri, $content, @headers) = @_;

    push @headers, 'Content-Type' => 'text/plain;charset=UTF-8'
        if defined $content;

    return $c->request($method, $uri, \@headers, $content);
}


sub finish {
    my ($c, $id) = @_;

    return ($c->isa('SGTM::H2') ? $c->response($id) : $c->response)
           || { status => 'none', body => '', headers => [] };
}


sub on {
    my ($c, @request) = @_;

    return finish($c, begin($c, @request));
}


sub ask {
    my ($port, $h2, @request) = @_;

    my $c = client($port, $h2);
    my $res = on($c, @request);

    $c->close;

    return $res;
}


sub counters {
    my ($tenant) = @_;

    my $res = $t->request('GET', '/status?format=json', [], undef, nth => 90);

    return JSON::PP->new->decode($res->{body})->{tenants}{$tenant};
}


# dispositions since the last call

my %before;

sub hits {
    my ($tenant) = @_;

    my %now = %{ counters($tenant)->{hits} };
    my %new = map { $_ => $now{$_} - ($before{$tenant}{$_} || 0) } keys %now;

    $before{$tenant} = \%now;

    return join ' ', map { "$_:$new{$_}" } sort grep { $new{$_} } keys %new;
}


sub uri {
    my ($prefix, $do, $what) = @_;

    my $p = $do eq 'refused' ? "$prefix-refused" : $prefix;

    return "/$p/gtm.js?id=GTM-ABC1234&do=$do" if $what eq 'script';
    return "/$p/pagead/conversion/1?do=$do" if $what eq 'path';
    return "/$p/g/collect?v=2&$tag_id&cid=1.2&do=$do" if $what eq 'batch';
    return "/$p/g/collect?v=2&$tag_id&cid=1.2&en=a&do=$do";
}


# name, and the error that nginx makes of it

my @failures = (
    [refused => 502], ['500', 500], ['502', 502], ['503', 503], ['504', 504],
    [closed => 502], [reset => 502], [status_cut => 502],
    [header_cut => 502], [header_bad => 502], [header_huge => 502],
    [hang => 504], [header_hang => 504],
);

# name, server, prefix, whether hits get the fallback's answer

my @settings = (
    ['fallback client', 10, 'client', 1],
    ['fallback off', 10, 'off', 0],
    ['tier professional', 10, 'professional', 1],
    ['tier starter', 10, 'starter', 0],
    ['off wins over the tier', 10, 'both', 0],
    ['client, error_page of the server', 12, 'client', 1],
    ['off, error_page of the server', 12, 'off', 0],
    ['client, recursive_error_pages', 14, 'client', 1],
    ['off, recursive_error_pages', 14, 'off', 0],
    ['client, error_page 404 of the location', 10, 'own404', 1],
    ['client, both error pages', 12, 'own404', 1],
    ['client, both error pages, recursive', 14, 'own404', 1],
    ['client, a named error page', 10, 'named', 1],
);

my %tenant = (10 => 'plain', 12 => 'maintained', 14 => 'recursive');

# settings that are variations of a theme have the main failures only

my %main = map { $_ => 1 } qw(refused 503 closed hang);


sub check_hit {
    my ($res, $falls_back, $error, $name) = @_;

    is $res->{status}, $falls_back ? 503 : $error, "$name: status"
        or diag $res->{raw};
    is header($res, 'Sgtm-Disposition'), 'failed', "$name: disposition";
    like header($res, 'Sgtm-Reason'), qr/\A\w+\z/, "$name: reason";
    unlike $res->{body}, qr/maintenance|own/, "$name: no page of the shop";

    return if !$falls_back;

    like header($res, 'Retry-After'), qr/\A[1-9]\d*\z/, "$name: Retry-After";
    like header($res, 'Cache-Control') || '', qr/no-store/,
         "$name: not to be stored";
}


for my $setting (@settings) {
    my ($name, $port, $prefix, $falls_back) = @$setting;

    # all at the same time, since some have to wait

    subtest $name => sub {
        my @open;

        hits($tenant{$port});

        for my $failure (@failures) {
            my ($do, $error) = @$failure;

            next if $name ne 'fallback client' && !$main{$do};

            for my $protocol (@protocols) {
                my ($version, $h2) = @$protocol;

                for my $request (['GET', uri($prefix, $do, 'hit')],
                                 ['POST', uri($prefix, $do, 'batch'), $body])
                {
                    my $c = client($port, $h2);

                    push @open, [$c, begin($c, @$request), $error,
                                 "$do, $version $request->[0]"];
                }
            }
        }

        for my $request (@open) {
            my ($c, $id, $error, $what) = @$request;

            check_hit(finish($c, $id), $falls_back, $error, $what);
            $c->close;
        }

        is hits($tenant{$port}), 'failed:' . @open,
           'each counted as failed, once';
    };
}


# scripts and passed paths get the error itself, whatever hits get

subtest 'scripts and other paths' => sub {
    hits($_) for values %tenant;

    for my $setting (@settings) {
        my ($name, $port, $prefix) = @$setting;

        for my $failure (grep { $main{$_->[0]} } @failures) {
            my ($do, $error) = @$failure;

            next if $do eq 'hang' && $name ne 'fallback client';

            for my $protocol (@protocols) {
                my ($version, $h2) = @$protocol;

                for my $what (qw(script path)) {
                    my $res = ask($port, $h2, 'GET',
                                  uri($prefix, $do, $what));

                    is $res->{status}, $error, "$name: $do, $version $what";
                    is header($res, 'Retry-After'), undef,
                       "$name: $do, $version $what: no Retry-After";
                }
            }
        }
    }

    is hits($_), '', "no hit of $_" for sort values %tenant;
};


# an operator's own page for what is no failure

subtest 'error_page 404 of the location' => sub {
    for my $case ([10, 'own404', 404, "own 404\n"],
                  [12, 'own404', 404, "own 404\n"],
                  [14, 'own404', 404, "own 404\n"],
                  [10, 'named', 410, "own 410\n"],
                  [10, 'client', 404, "tag: 404\n"])
    {
        my ($port, $prefix, $status, $text) = @$case;

        for my $protocol (@protocols) {
            for my $what (qw(hit script path)) {
                my $res = ask($port, $protocol->[1], 'GET',
                              uri($prefix, '404', $what));
                my $name = "$tenant{$port} $prefix $protocol->[0] $what";

                is $res->{status}, $status, "$name: status";
                is $res->{body}, $text, "$name: body";
            }
        }
    }
};


subtest 'what is outside of a gateway' => sub {
    is ask(12, 0, 'GET', '/maintenance.html')->{status}, 200, 'the page';

    my $res = ask(12, 0, 'GET', '/nothing-here');
    is $res->{status}, 404, 'another location';
};


# What nginx itself refuses with a 5xx goes the way of the fallback, too: it is
# no page of the shop, and nothing breaks where the gate has not begun.

subtest 'errors of nginx itself' => sub {
    is ask(18, 0, 'GET', uri('rate', 'fine', 'hit'))->{status}, 204,
       'the first within the rate passes';

    my $busy = $t->http(nth => 18);
    $busy->request('GET', uri('connections', 'hang', 'hit'));
    sleep 0.05;

    for my $case (reverse @own_errors) {
        my ($prefix, $error) = @$case;

        for my $protocol (@protocols) {
            my ($version, $h2) = @$protocol;
            my $name = "$prefix, $version";

            for my $request (['GET', uri($prefix, 'fine', 'hit')],
                             ['POST', uri($prefix, 'fine', 'batch'), $body])
            {
                my $res = ask(18, $h2, @$request);

                like $res->{status}, qr/\A(?:503|$error)\z/,
                     "$name: $request->[0]";
                unlike $res->{body}, qr/maintenance/, "$name: no page";
            }

            is ask(18, $h2, 'GET', uri($prefix, 'fine', 'script'))->{status},
               $error, "$name: a script gets the error";
        }
    }

    $busy->close;
};


# The hit was good and is lost for a reason of ours: that is no refusal.

subtest 'a disk that fails' => sub {
    my $dir = $t->dir . '/tmp/full';

    rmdir $dir or die "$dir: $!\n";
    hits('full');

    for my $protocol (@protocols) {
        my ($version, $h2) = @$protocol;
        my $res = ask(20, $h2, 'POST', uri('client', 'fine', 'batch'), $body);

        like $res->{status}, qr/\A50[03]\z/, "$version: an error";
        like $res->{body}, qr/\A\w/, "$version: that says something";
        like header($res, 'Sgtm-Reason') || '', qr/\A\w+\z/,
             "$version: and has a reason";
    }

    is hits('full'), 'failed:2', 'counted as failed';
    mkdir $dir or die "$dir: $!\n";
    is ask(20, 0, 'POST', uri('client', 'fine', 'batch'), $body)->{status},
       204, 'a hit passes after that';
};


# a page of another allowed origin must be able to read the answer

subtest 'CORS of the fallback' => sub {
    for my $protocol (@protocols) {
        for my $do (qw(refused 503 hang)) {
            my $res = ask(10, $protocol->[1], 'POST', uri('cors', $do, 'batch'),
                          $body, Origin => 'https://other.example');

            is $res->{status}, 503, "$do, $protocol->[0]";
            is header($res, 'Access-Control-Allow-Origin'),
               'https://other.example', "$do, $protocol->[0]: readable";
        }
    }
};


# a 2xx header has gone out: the hit is delivered, the answer is cut

subtest 'cut in the body of a 2xx' => sub {
    for my $do (qw(body_cut chunk_cut)) {
        for my $protocol (@protocols) {
            my ($version, $h2) = @$protocol;

            for my $prefix (qw(client off)) {
                hits('plain');

                for my $method (qw(GET POST)) {
                    my $name = "$do, $prefix, $version $method";
                    my $res = $method eq 'GET'
                              ? ask(10, $h2, 'GET', uri($prefix, $do, 'hit'))
                              : ask(10, $h2, 'POST', uri($prefix, $do,
                                                         'batch'), $body);

                    is $res->{status}, 200, "$name: status";
                    is $res->{body}, 'event: message',
                       "$name: what came passes";
                    ok $res->{truncated} || defined $res->{reset},
                       "$name: the cut is seen";
                }

                is hits('plain'), 'forwarded:2', "$do, $prefix, $version: "
                                                 . 'delivered all the same';
            }
        }
    }
};


subtest 'health' => sub {
    for my $path (qw(healthy healthz a/healthy)) {
        for my $prefix (qw(client off professional)) {
            my $before = counters('plain')->{hits};
            my $res = ask(10, 0, 'GET', "/$prefix/$path?do=503");

            is $res->{status}, 503, "$prefix/$path: 503";
            is $res->{body}, "tag: 503\n", "$prefix/$path: as it is";
            is header($res, 'Retry-After'), undef,
               "$prefix/$path: no Retry-After";
            is_deeply counters('plain')->{hits}, $before,
                      "$prefix/$path: no failure of hits";
        }
    }

    is ask(12, 0, 'GET', '/client/healthy?do=503')->{body}, "tag: 503\n",
       'as it is beside an error_page of the server';
};


# the connection goes on, and hits on it pass

subtest 'keep-alive' => sub {
    for my $setting (@settings[0, 1, 5, 7]) {
        my ($name, $port, $prefix, $falls_back) = @$setting;

        for my $protocol (@protocols) {
            my ($version, $h2) = @$protocol;
            my $c = client($port, $h2);

            for my $failure (grep { $main{$_->[0]} } @failures) {
                my ($do, $error) = @$failure;
                my $want = $falls_back ? 503 : $error;
                my $what = "$name, $version, $do";

                is on($c, 'POST', uri($prefix, $do, 'batch'), $body)->{status},
                   $want, "$what: POST";
                is on($c, 'GET', uri($prefix, 'fine', 'hit'))->{status}, 204,
                   "$what: then a hit passes";
                is on($c, 'GET', uri($prefix, $do, 'hit'))->{status}, $want,
                   "$what: GET";
                is on($c, 'POST', uri($prefix, 'fine', 'batch'),
                      $body)->{status}, 204, "$what: then a batch passes";
            }

            $c->close;
        }
    }
};


# several failures in flight on one HTTP/2 connection

subtest 'streams beside each other' => sub {
    my $c = client(10, 1);
    my @sent;

    for my $i (1 .. 10) {
        for my $do (qw(hang 503 refused fine closed slow)) {
            my $id = $c->request('POST', uri('client', $do, 'batch'), [],
                                 $body);
            push @sent, [$id, $do, $do =~ /fine|slow/ ? 204 : 503];
        }
    }

    my @wrong = grep { ($c->response($_->[0]) || {})->{status} != $_->[2] }
                     @sent;

    is join(' ', map { $_->[1] } @wrong), '', 'each gets its own answer';
    $c->close;
};


# Browsers that leave: at once, while the tagging server is waited for, or
# only by RST_STREAM.  The count must say what became of the hit.  (That all of
# them arrive is the matter of 11-aborts.t.)

my @leaving = (
    ['FIN', 0, sub { $_[0]->close }],
    ['RST', 0, sub { $_[0]->abort }],
    ['FIN', 1, sub { $_[0]->close }],
    ['RST', 1, sub { $_[0]->abort }],
    ['RST_STREAM', 1, sub { $_[0]->rst_stream($_[1]); $_[0]->ping }],
);

my @outcomes = (
    [refused => 'failed'], ['503' => 'failed'], [closed => 'failed'],
    [header_cut => 'failed'], [hang => 'failed'], [header_hang => 'failed'],
    [fine => 'forwarded'], [slow => 'forwarded'], [body_cut => 'forwarded'],
);

subtest 'browsers that leave' => sub {
    for my $way (@leaving) {
        my ($how, $h2, $leave) = @$way;

        for my $pause (0, 0.12) {
            my $name = ($h2 ? 'HTTP/2' : 'HTTP/1.1') . ", $how"
                       . ($pause ? ', later' : '');
            my %want;
            my @open;

            hits('left');
            $tag->clear;

            for my $outcome (@outcomes) {
                my ($do, $disposition) = @$outcome;

                for my $prefix (qw(client off)) {
                    for my $method (qw(GET POST)) {
                        my $c = client(16, $h2);
                        my @req = $method eq 'GET'
                            ? ('GET', uri($prefix, $do, 'hit'), [])
                            : ('POST', uri($prefix, $do, 'batch'), [], $body);

                        push @open, [$c, $c->request(@req)];
                        $leave->(@{ $open[-1] }) if !$pause;
                        $want{$disposition}++;
                    }
                }
            }

            if ($pause) {
                sleep $pause;
                $leave->(@$_) for @open;
            }

            wait_for {
                my $now = counters('left')->{hits};
                my $n = 0;
                $n += $now->{$_} - ($before{left}{$_} || 0) for keys %$now;
                $n >= @open;
            } 5;

            # a hit that did not arrive was not forwarded, whatever it is
            my $arrived = grep { $_->{uri} =~ /do=(?:fine|slow|body_cut)/ }
                          $tag->requests;

            $want{failed} += $want{forwarded} - $arrived;
            $want{forwarded} = $arrived;

            is hits('left'), "failed:$want{failed} forwarded:$arrived", $name;
            $_->[0]->close for @open;
        }
    }

    my @logged = map { (split /\|/)[2] } grep { /\Aleft\|/ }
                     split /\n/, $t->file('sgtm.log');
    my $now = counters('left')->{hits};

    for my $disposition (qw(failed forwarded)) {
        is scalar(grep { $_ eq $disposition } @logged), $now->{$disposition},
           "the access log says $disposition as often as the counter";
    }
};


# the next server of the upstream gets the rewritten body, whole

subtest 'retries' => sub {
    my $long = join "\r\n", map { "en=view_$_&ep.secret=x&ep.note="
                                  . 'n' x 80 . '&_fid=f' } 1 .. 200;
    my $short = "en=a&ep.secret=x&_fid=f\r\nen=b";
    my @denied = ('v=2', $tag_id, 'cid=1.2', 'gcs=G100', 'gcd=13p3p3p3p5l1');

    for my $upstream (qw(refused reset answer)) {
        for my $size (qw(64k 1k)) {
            for my $content ($short, $long) {
                for my $do (qw(503 closed)) {
                    next if $upstream ne 'answer' && $do ne '503';

                    my $name = "$upstream, buffer $size, "
                               . length($content) . " bytes, $do";
                    my $query = join '&', @denied, "do=$do";

                    $tag->clear;
                    $second->clear;

                    my $res = ask(10, 0, 'POST', "/retry-$upstream-$size"
                                  . "/g/collect?$query", $content);
                    my ($got) = $second->wait_requests(1);

                    (my $want = $content) =~ s/&(?:ep\.secret=x|_fid=f)//g;

                    is $res->{status}, 204, "$name: answered";
                    is $second->count, 1, "$name: once";
                    ok $got->{complete}, "$name: whole";
                    is header($got, 'Content-Length'), length $got->{body},
                       "$name: its length";

                    (my $plain = $got->{body}) =~ s/&ep\.gate=1//g;
                    is $plain, $want, "$name: rewritten";

                    next if $upstream ne 'answer';

                    my ($first) = $tag->requests;
                    is $first->{body}, $got->{body},
                       "$name: the first got the same";
                    is $first->{uri}, $got->{uri},
                       "$name: and the same query";
                }
            }
        }
    }
};

is ask(10, 0, 'GET', uri('client', 'fine', 'hit'))->{status}, 204,
   'hits pass at the end';

unlike $t->error_log, qr/redirection cycle/, 'no cycle of error pages';

done_testing;
