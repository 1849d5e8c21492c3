#!/usr/bin/perl

# Reloads and starts.  Ten reloads under load from several clients with two
# workers: no hit is lost, none arrives twice, the counters of all workers,
# old and new, add up to what was sent, and the old workers end.  A broken
# configuration, found early or only when its sockets are opened, leaves the
# old one at work with its counters.  A zone of another size starts empty and
# counts.  A resolver that is dead stops neither the start nor the fallback,
# and the form with $sgtm_upstream and $sgtm_uri forwards the same request as
# the plain one.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use POSIX ();
use Time::HiRes qw(sleep time);

my $tag = SGTM::Backend->start;
my $query = 'v=2&tid=G-ABC1234567&cid=1.2';
my $proxy = 'include  %%ROOT%%/conf-examples/sgtm_proxy.conf;';


sub gateway {
    my ($zone, $port, $more) = @_;

    return <<"EOC";
    $zone
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 16; }

    server {
        listen         127.0.0.1:%%PORT$port%%;
        %%LISTEN_H2(127.0.0.1:%%PORT@{[ $port + 1 ]}%%)%%
        server_name    shop.example;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        $more

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            $proxy
        }

        location = /status { sgtm_status; }
    }
EOC
}


sub counters {
    my ($t) = @_;

    return $t->status('/status')->{tenants}{'shop.example'};
}


# Load: each client is a process that sends until it is told to stop, and at
# the end writes what it sent and what went wrong.  What a server closed before
# a byte of an answer, on a connection it had used, is sent again, as browsers
# do.

my $go_away = SGTM::H2->can('_dispatch');

{
    no warnings 'redefine';

    *SGTM::H2::_dispatch = sub {
        my ($self, $type, undef, undef, $payload) = @_;

        $self->{last} = unpack 'N', $payload if $type == 7;
        goto &$go_away;
    };
}


sub request {
    my ($name, $n) = @_;

    my $id = "$name-$n";

    return ($id, 204, 'GET', "/metrics/g/collect?$query&en=a&ep.id=$id")
        if $n % 3 == 0;
    return ($id, 204, 'POST', "/metrics/g/collect?$query",
            "en=a&ep.id=$id\r\nen=b\r\nen=c") if $n % 3 == 1;
    return ($id, 403, 'GET', "/metrics/g/collect?v=2&tid=G-FOREIGN1&cid=1"
                             . "&en=a&ep.id=$id") if $n % 2;
    return ($id, 204, 'POST', "/metrics/g/collect?$query",
            "en=a&ep.id=$id&ep.note=" . 'n' x 9000);
}


sub one_by_one {
    my ($t, $keep, $id, $want, $method, $uri, $body) = @_;

    our $c;

    for (1 .. 5) {
        my $used = $c ? 1 : 0;

        $c ||= $t->http;

        my $res = eval {
            $c->request($method, $uri, $keep ? []
                        : [Connection => 'close'], $body);
            $c->response;
        };

        if (!$res) {
            undef $c;
            next if $used;
            return "$id: no answer on a new connection: $@";
        }

        undef $c if !$keep || ($res->{h}{connection} || '') eq 'close';

        return $res->{status} == $want ? () : "$id: $res->{status}";
    }

    return "$id: no answer in five attempts";
}


sub by_streams {
    my ($t, @hits) = @_;

    our $h2;
    my @bad;

    while (@hits) {
        my (@sent, @again);

        $h2 ||= $t->h2(nth => 2);

        for my $hit (@hits) {
            my ($id, $want, $method, $uri, $body) = @$hit;
            my $stream = eval { $h2->request($method, $uri, [], $body) };

            push @sent, [$stream, $hit];
        }

        for (@sent) {
            my ($stream, $hit) = @$_;
            my $res = $stream && eval { $h2->response($stream) };

            if ($res && $res->{status}) {
                push @bad, "$hit->[0]: $res->{status}"
                    if $res->{status} != $hit->[1];

            } elsif (!$stream || !defined $h2->{last}
                     || $stream > $h2->{last})
            {
                push @again, $hit;

            } else {
                push @bad, "$hit->[0]: accepted and not answered";
            }
        }

        undef $h2 if @again || defined $h2->{last} || $h2->{eof};
        @hits = @again;
    }

    return @bad;
}


sub load {
    my ($t, $name, $how) = @_;

    defined(my $pid = fork) or die "fork: $!\n";

    return $pid if $pid;

    alarm 120;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM);

    my ($n, %sent, @bad) = (0);
    my $stop = $t->dir . '/stop';

    eval {
        while (!-e $stop) {
            my @hits = map { [request($name, ++$n)] }
                           1 .. ($how eq 'h2' ? 10 : 1);

            $sent{$_->[1]} .= "$_->[0] " for @hits;
            push @bad, $how eq 'h2' ? by_streams($t, @hits)
                       : one_by_one($t, $how eq 'keep', @{ $hits[0] });
            sleep 0.002;
        }
        1;
    } or push @bad, "client: $@";

    $t->write_file("load-$name", JSON::PP->new->encode({ sent => \%sent,
                                                         bad => \@bad }));
    POSIX::_exit(0);
}


subtest 'ten reloads under load' => sub {
    my $t = SGTM::Test->start(gateway('', 1, ''), workers => 2);
    my @clients = map { load($t, @$_) } ['a', 'close'], ['b', 'keep'],
                      ['c', 'keep'], ['d', 'h2'], ['e', 'h2'];
    my @answers;

    sleep 0.3;

    for my $i (1 .. 10) {
        $t->reload;
        push @answers, $t->get('/status')->{status};
        sleep 0.15;
    }

    is join(' ', @answers), join(' ', (200) x 10), 'the status answers';

    $t->write_file('stop', '');
    waitpid $_, 0 for @clients;

    my (%sent, @bad);

    for my $name ('a' .. 'e') {
        my $result = JSON::PP->new->decode($t->file("load-$name") || '{}');

        push @bad, @{ $result->{bad} || ["client $name died"] };
        push @{ $sent{$_} }, split ' ', $result->{sent}{$_}
            for keys %{ $result->{sent} || {} };
    }

    my $n = @{ $sent{204} };

    cmp_ok $n, '>', 300, 'there was load';
    is join("\n", @bad), '', 'every request had its answer';

    my %arrived;

    for my $req ($tag->wait_requests($n)) {
        my ($id) = "$req->{uri}&$req->{body}" =~ /ep\.id=([a-e]-\d+)/;
        $arrived{$id}++;
    }

    is join(' ', grep { !$arrived{$_} } @{ $sent{204} }), '', 'none is lost';
    is join(' ', grep { $arrived{$_} > 1 } sort keys %arrived), '',
       'none arrives twice';
    is join(' ', grep { $arrived{$_} } @{ $sent{403} }), '',
       'none that was refused';

    my $events = 0;
    $events += /-(\d+)$/ && $1 % 3 == 1 ? 3 : 1 for @{ $sent{204} };

    # what is counted is counted when the request has ended
    wait_for { counters($t)->{hits}{forwarded} >= $n };

    my $c = counters($t);

    is $c->{hits}{forwarded}, $n, 'forwarded, counted over all workers';
    is $c->{hits}{refused}, scalar(@{ $sent{403} }), 'refused';
    is $c->{hits}{failed}, 0, 'none failed';
    is $c->{requests}{hit}, $n + @{ $sent{403} }, 'requests';
    is $c->{upstream}{'2xx'}, $n, 'results of the tagging server';
    cmp_ok $c->{events}, '>=', $events, 'events';

    ok wait_for(sub { !$t->old_workers }, 10), 'the old workers end';
    is scalar(() = $t->workers), 2, 'two workers are left';

    $t->reload(undef, wait_old => 1);
    is counters($t)->{hits}{forwarded}, $n, 'and kept over one reload more';
    $t->stop;
};


# how many hits of a tenant are forwarded (or failed); a hit is counted at its
# end, which may come after its answer

sub counted {
    my ($t, $tenant, $want, $name, $what) = @_;

    my $n;

    wait_for {
        my $tenants = $t->status('/status')->{tenants};

        $n = exists $tenants->{$tenant}
             ? $tenants->{$tenant}{hits}{$what || 'forwarded'}
             : 'no such tenant';
        $n eq $want;
    } 2;

    is $n, $want, $name;
}


sub send_hits {
    my ($t, $n) = @_;

    my @bad = grep { $_ != 204 }
              map { $t->get("/metrics/g/collect?$query&en=a")->{status} }
                  1 .. $n;

    return @bad ? "@bad" : 'all';
}


subtest 'zones and tenants' => sub {
    my $http = sub {
        my ($zone, $more, $ids) = @_;

        return gateway($zone, 1, $more) . join '', map { <<"EOC" } @$ids;
    server {
        listen         127.0.0.1:%%PORT5%%;
        server_name    $_;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            $proxy
        }
    }
EOC
    };

    my $other = sub {
        my ($t, $host) = @_;
        return $t->request('GET', "/metrics/g/collect?$query&en=a",
                           [Host => $host], undef, nth => 5)->{status};
    };

    my $t = SGTM::Test->start($http->('sgtm_zone sgtm 1m;', '', ['b.example']),
                              workers => 2);

    is send_hits($t, 5), 'all', 'hits pass';
    is $other->($t, 'b.example'), 204, 'of another tenant too';
    counted($t, 'shop.example', 5, 'counted');

    $t->reload($http->('sgtm_zone sgtm 1m;', '', ['b.example', 'c.example']),
               wait_old => 1);
    counted($t, 'shop.example', 5, 'kept when a tenant joins');
    counted($t, 'b.example', 1, 'of the other one too');
    counted($t, 'c.example', 0, 'the new one begins at zero');
    is $other->($t, 'c.example'), 204, 'its hit passes';
    counted($t, 'c.example', 1, 'and is counted');

    $t->reload($http->('sgtm_zone sgtm 1m;', '', ['c.example']),
               wait_old => 1);
    counted($t, 'b.example', 'no such tenant', 'who left has no label');
    counted($t, 'c.example', 1, 'who stayed keeps its count');

    $t->reload($http->('sgtm_zone sgtm 2m;', '', ['b.example']),
               wait_old => 1);
    counted($t, 'shop.example', 0, 'another size starts empty');
    is send_hits($t, 3), 'all', 'hits pass';
    counted($t, 'shop.example', 3, 'and are counted');
    is $other->($t, 'b.example'), 204, 'of the other tenant too';
    counted($t, 'b.example', 1, 'counted as well');

    $t->reload($http->('sgtm_zone renamed 2m;', '', []), wait_old => 1);
    is send_hits($t, 2), 'all', 'a zone of another name: hits pass';
    counted($t, 'shop.example', 2, 'and are counted');

    # the gateway goes and comes back
    my $none = 'server { listen 127.0.0.1:%%PORT%%; return 404; }';
    $t->reload($none, wait_old => 1);
    $t->reload($http->('', '', []), wait_old => 1);
    is send_hits($t, 2), 'all', 'after a configuration without a gateway';
    counted($t, 'shop.example', 2, 'counted from zero');

    # a tenant added and taken away many times leaves nothing behind
    $t->reload($http->('sgtm_zone sgtm 1m;', '',
                       [map { "tenant-$_.example" } 1 .. 40]));
    for my $i (1 .. 5) {
        my @ids = map { "tenant-$i-$_.example" } 1 .. 40;
        $t->reload($http->('sgtm_zone sgtm 1m;', '', \@ids));
    }
    is send_hits($t, 1), 'all', 'tenants that come and go';
    counted($t, 'shop.example', 1, 'are counted still');
    $t->stop;
};


# what nginx says of a configuration that it cannot take, and old and new ways
# to notice it

my @broken = (
    ['a syntax error', 'sgtm_fallback client', qr/\[emerg\].*nginx\.conf:/],
    ['a wrong value', 'sgtm_fallback nonsense;', qr/\[emerg\].*nonsense/],
    ['a duplicate', 'sgtm_fallback client; sgtm_fallback off;',
     qr/\[emerg\].*is duplicate/],
    ['a regex location',
     'location ~ /x/ { sgtm on; proxy_pass http://tagging; }',
     qr/\[emerg\].*regex/],
    ['a queue without a spool', 'sgtm_fallback queue;',
     qr/\[emerg\].*sgtm_spool/],
);

subtest 'a broken configuration' => sub {
    my $t = SGTM::Test->start(gateway('sgtm_zone sgtm 1m;', 1, ''),
                              workers => 2);
    my $sent = 5;

    $t->expect_log(qr/\[emerg\]/);
    is send_hits($t, 5), 'all', 'hits pass';

    my @workers = sort $t->workers;

    for my $case (@broken,
                  ['a port in use', 'listen 127.0.0.1:'. $tag->port . ';',
                   qr/\[emerg\].*still could not bind/],
                  ['the same, with a zone of another size',
                   'listen 127.0.0.1:'. $tag->port . ';',
                   qr/\[emerg\].*still could not bind/, 'sgtm_zone sgtm 2m;'],
                  ['a zone too small', '', qr/\[emerg\].*sgtm_zone|too small/,
                   'sgtm_zone sgtm 1k;'])
    {
        my ($name, $line, $said, $zone) = @$case;
        my $before = $t->error_log;

        $t->{http} = gateway($zone || 'sgtm_zone sgtm 1m;', 1, $line);
        $t->_write;
        $t->signal('HUP');

        ok wait_for(sub { substr($t->error_log, length $before) =~ $said }, 8),
           "$name: nginx says so"
            or diag substr $t->error_log, length $before;

        is send_hits($t, 2), 'all', "$name: hits pass";
        $sent += 2;
        counted($t, 'shop.example', $sent, "$name: counters go on");
        is join(' ', sort $t->workers), "@workers", "$name: the same workers";
    }

    $t->reload(gateway('sgtm_zone sgtm 1m;', 1, ''), wait_old => 1);
    is send_hits($t, 1), 'all', 'a good configuration after that';
    counted($t, 'shop.example', $sent + 1, 'has the counters');
    $t->stop;
};


# the form for names that are resolved at run time

sub resolved {
    my ($endpoint, $resolver, $more) = @_;

    return <<"EOC";
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; }

    server {
        listen            127.0.0.1:%%PORT%%;
        server_name       shop.example;

        $resolver
        sgtm_endpoint     $endpoint;
        sgtm_container    GTM-ABC1234;
        sgtm_tag_id       G-ABC1234567;
        sgtm_fallback     client;
        $more

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://\$sgtm_upstream\$sgtm_uri;
            $proxy
        }

        location /plain/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            $proxy
        }

        location = /status { sgtm_status; }
    }
EOC
}


subtest 'a dead resolver' => sub {
    my $dead = SGTM::Run::port();
    my $t = SGTM::Test->start(resolved('sgtm.invalid',
        "resolver 127.0.0.1:$dead; resolver_timeout 1s;", ''), workers => 2);

    pass 'nginx starts';

    for my $hit (['GET', "/metrics/g/collect?$query&en=a"],
                 ['POST', "/metrics/g/collect?$query", [], "en=a\r\nen=b"])
    {
        my $res = $t->request(@$hit);

        is $res->{status}, 503, "$hit->[0]: the fallback answers";
        ok defined header($res, 'Retry-After'), "$hit->[0]: Retry-After";
    }

    is $t->get('/metrics/gtm.js?id=GTM-ABC1234')->{status}, 502,
       'a script gets the error';
    is $t->get('/metrics/t.js')->{status}, 200, 'our own is served';
    counted($t, 'shop.example', 2, 'hits are counted as failed', 'failed');

    is $t->get("/plain/g/collect?$query&en=a")->{status}, 204,
       'another gateway is not concerned';
    $t->reload(undef, wait_old => 1);
    counted($t, 'shop.example', 2, 'nginx reloads', 'failed');
    $t->stop;
};


# path and arguments as they were sent, below the prefix

my @uris = (
    "/g/collect?$query&en=a",
    "/g/collect?$query&en=a&dl=https%3A%2F%2Fshop.example%2F%3Fa%3Db%26c%2520d"
        . '&ep.x=&ep.y&richsstsse',
    '/gtm.js?id=GTM-ABC1234&l=dataLayer&x=%E2%82%AC+%20%3F%26%23',
    '/gtag/js?id=G-ABC1234567',
    '/pagead/1p-conversion/123/?x=1&y=%',
    '/as/p/c/one-segment/',
    '/a%20b/c',
    '/a%3Fb/c?d',
    '/a%23b',
    '/a%25b%2541',
    '/%C3%BC/%e2%82%ac',
    '/a+b;c=d,e:f@g!$\'()*~_-.',
    '/x?',
    '/x?a?b',
    '/%0d%0aX-Injected:%201',
    '/',
);

subtest 'a numeric endpoint' => sub {
    my $t = SGTM::Test->start(resolved('127.0.0.1:' . $tag->port, '', ''));

    for my $uri (@uris) {
        my %got;

        for my $prefix ('/metrics', '/plain') {
            $tag->clear;
            my $res = $t->get("$prefix$uri");
            my ($req) = $tag->wait_requests(1, 2);

            is $res->{status}, 204, "$prefix$uri: answered";
            $got{$prefix} = $req ? $req->{uri} : 'nothing';
            unlike $req->{raw} || '', qr/^X-Injected/m,
                   "$prefix$uri: no header from a path";
        }

        # "?" without arguments may go; nginx writes a path's escapes anew,
        # in capitals
        (my $want = $uri) =~ s/\?\z//;
        $want =~ s/\A([^?]*)/$1 =~ s{(%..)}{\U$1}gr/e;
        $got{$_} =~ s/\?\z// for keys %got;

        is $got{'/metrics'}, $want, "$uri: as it was sent";
        is $got{'/metrics'}, $got{'/plain'}, "$uri: the same in both forms";
    }

    $tag->clear;
    my $body = "en=a&ep.x=1\r\nen=b";
    is $t->post("/metrics/g/collect?$query", $body)->{status}, 204, 'a batch';
    is +($tag->wait_requests(1))[0]{body}, $body, 'and its body';
    is header(($tag->requests)[0], 'Host'), '127.0.0.1:' . $tag->port,
       'Host is the endpoint';
    $t->stop;
};


subtest 'a numeric endpoint, rewritten hits' => sub {
    my $t = SGTM::Test->start(resolved('127.0.0.1:' . $tag->port, '', <<'EOC'));
        sgtm_consent_mode  advanced;
        sgtm_remove_param  ep.internal_*;
        sgtm_set_param     ep.via gate;
EOC
    my $denied = "$query&gcs=G100&gcd=13p3p3p3p5l1";

    for my $prefix ('/metrics', '/plain') {
        $tag->clear;

        is $t->get("$prefix/g/collect?$denied&en=a&uid=u&gclid=x"
                   . '&ep.internal_id=1&ep.keep=%2541&dl=https%3A%2F%2Fshop'
                   . '.example%2F%3Fgclid%3Dx%26a%3Db')->{status}, 204,
           "$prefix: answered";

        my ($req) = $tag->wait_requests(1, 2);
        my ($path, $args) = split /\?/, $req->{uri}, 2;

        is $path, '/g/collect', "$prefix: the path";
        unlike $args, qr/uid=|gclid|internal/, "$prefix: what was removed";
        like $args, qr/(?:^|&)ep\.via=gate(?:&|$)/, "$prefix: what was set";
        like $args, qr/&ep\.keep=%2541(?:&|$)/, "$prefix: what stays";
        like $args, qr/&dl=https%3A%2F%2Fshop\.example%2F%3Fa%3Db(?:&|$)/,
             "$prefix: the URL is cut";
    }

    # other paths have the same matrix on their query
    $tag->clear;
    $t->get('/metrics/pagead/1?gclid=x&gcs=G100&gcd=13p3p3p3p5l1&a=%20b');
    my ($req) = $tag->wait_requests(1, 2);
    unlike $req->{uri}, qr/gclid/, 'a passed path is cut as well';
    like $req->{uri}, qr{\A/pagead/1\?.*a=%20b}, 'and otherwise as it was';
    $t->stop;
};

done_testing;
