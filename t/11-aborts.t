#!/usr/bin/perl

# Browsers that leave: a page that is closed sends its last hits with
# sendBeacon or keepalive and waits for no answer.  100 of 100 hits that were
# sent whole arrive at the tagging server, each once and whole, whether the
# browser closes its connection (FIN), resets it, or cancels its HTTP/2 stream,
# at once or while the tagging server is thinking.  What was not sent whole is
# no hit: nothing of it is forwarded, not even its header.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Time::HiRes qw(sleep);

my $hits = 100;

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return { status => 204, delay => $req->{uri} =~ /slow/ ? 0.3 : 0 };
});

# %%PORT%% and %%PORT2%% (HTTP/2) keep a body in memory, %%PORT3%% and
# %%PORT4%% in a file

my $t = SGTM::Test->start(<<"EOC", workers => 2);
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 16; }

    sgtm_endpoint      sgtm.example.com;
    sgtm_tag_id        G-ABC1234567;
    sgtm_consent_mode  advanced;

    server {
        listen       127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name  shop.example;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }

        location = /status { sgtm_status; }
    }

    server {
        listen       127.0.0.1:%%PORT3%%;
        %%LISTEN_H2(127.0.0.1:%%PORT4%%)%%
        server_name  file.example;

        location /metrics/ {
            sgtm                       on;
            client_body_in_file_only   clean;
            proxy_pass                 http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }
    }
EOC

my $query = 'v=2&tid=G-ABC1234567&cid=1.2&gcs=G100&gcd=13p3p3p3p5l1';
my $serial = 0;


sub counters {
    my $tenants = $t->status('/status')->{tenants};
    my %sum;

    for my $tenant (values %$tenants) {
        $sum{$_} += $tenant->{hits}{$_} for keys %{ $tenant->{hits} };
    }

    return \%sum;
}


# ($method, $uri, $body) of a hit with an id of its own; uid is what the gate
# removes

sub hit {
    my ($kind, $slow) = @_;

    my $id = sprintf 'id%05d', ++$serial;
    my $uri = "/metrics/g/collect?$query" . ($slow ? '&ep.x=slow' : '');

    return ($id, 'GET', "$uri&en=a&uid=u&ep.id=$id") if $kind eq 'GET';

    my $note = $kind eq 'long POST' ? 'n' x 40_000 : 'n';

    return ($id, 'POST', $uri,
            "en=a&uid=u&ep.id=$id&ep.note=$note\r\nen=b&uid=u&ep.id=$id");
}


# what arrived is each id once, redacted and whole

sub arrived {
    my ($kind, $name, @ids) = @_;

    my @got = $tag->wait_requests(scalar @ids, 4);
    my %seen;
    my @bad;

    for my $req (@got) {
        my ($id) = "$req->{uri}$req->{body}" =~ /ep\.id=(id\d+)/;
        my $lines = () = $req->{body} =~ /ep\.id=\Q$id\E\b/g if $id;

        push @bad, "$id: not whole" if !$req->{complete};
        push @bad, "$id: not redacted" if "$req->{uri}$req->{body}" =~ /uid=/;
        push @bad, "$id: $lines lines" if $kind =~ /POST/ && $lines != 2;
        push @bad, "$id: twice" if $seen{$id}++;
    }

    my @lost = grep { !$seen{$_} } @ids;

    is scalar(@ids) - @lost, scalar(@ids), "$name: all arrive";
    is join(', ', @bad), '', "$name: once and whole";
}


my @ways = (
    ['HTTP/1.1, FIN', 0, sub { $_[0]->close }],
    ['HTTP/1.1, RST', 0, sub { $_[0]->abort }],
    ['HTTP/2, FIN', 1, sub { $_[0]->close }],
    ['HTTP/2, RST', 1, sub { $_[0]->abort }],
    ['HTTP/2, RST_STREAM', 1, sub { $_[0]->rst_stream($_[1]) }],
    ['HTTP/2, GOAWAY and FIN', 1, sub {
        $_[0]->frame($_[0]->GOAWAY, 0, 0, pack 'NN', 0, 0);
        $_[0]->close;
    }],
);


sub client {
    my ($h2, $file) = @_;

    return $h2 ? $t->h2(nth => $file ? 4 : 2) : $t->http(nth => $file ? 3 : 1);
}


# The bytes of a whole connection leave in one piece, and its end (or that of
# the stream) with them.  In several pieces nginx could try to write in between,
# find that nobody is there, and never read the rest.

sub gather {
    my ($h2, $file, $code) = @_;

    my $out = '';
    my $c;

    {
        no warnings 'redefine';
        local *SGTM::Net::send = sub { $out .= $_[1]; return $_[0] };
        $c = client($h2, $file);
        $code->($c);
    }

    return $c->send($out);
}


# Since 1.25.1 nginx handles the first bytes of cleartext HTTP/2 on their own
# and, before it has read the others, answers a POST with a WINDOW_UPDATE; where
# that finds a connection that was reset, nginx drops the request.  TLS, which
# browsers use, is not concerned, and no module is asked.

my ($major, $minor, $patch) = split /\./, nginx_version();
my $drops = sprintf('%d%03d%03d', $major, $minor, $patch) >= 1025001;


sub dropped {
    my ($kind, $how) = @_;

    return $drops && $kind =~ /POST/ && $how eq 'HTTP/2, RST';
}


for my $kind ('GET', 'POST', 'long POST') {
    for my $way (@ways) {
        my ($how, $h2, $leave) = @$way;

        next if $kind eq 'long POST' && $how =~ /GOAWAY/;
        next if dropped($kind, $how);

        for my $file (0, 1) {
            next if $file && $kind eq 'GET';

            my $name = "$kind, $how" . ($file ? ', body in a file' : '');

            subtest $name => sub {
                my $before = counters();
                my (@ids, @open);

                $tag->clear;

                for (1 .. $hits) {
                    my ($id, @hit) = hit($kind, 0);

                    # nothing of the answer is waited for, not even the
                    # settings of HTTP/2
                    my $c = gather($h2, $file, sub {
                        my ($c) = @_;
                        my ($method, $uri, $body) = @hit;
                        my $id = $c->request($method, $uri, [], $body);

                        $leave->($c, $id) if $how =~ /STREAM/;
                    });

                    if ($how =~ /STREAM/) {
                        push @open, $c;
                    } else {
                        # a reset discards what nginx has not read yet
                        sleep 0.02 if $kind =~ /long/ && $how =~ /RST/;

                        $leave->($c);
                    }

                    push @ids, $id;
                }

                arrived($kind, 'closed at once', @ids);
                $_->close for @open;

                my $now;

                wait_for {
                    $now = counters();
                    my $n = 0;
                    $n += $now->{$_} - $before->{$_} for keys %$now;
                    $n >= $hits;
                } 3;

                is $now->{forwarded} - $before->{forwarded}, $hits,
                   'counted as forwarded';
                is $now->{failed} - $before->{failed}, 0, 'none as failed';
            };
        }
    }
}


# while the tagging server has not answered yet

subtest 'later' => sub {
    for my $way (@ways) {
        my ($how, $h2, $leave) = @$way;

        for my $kind ('GET', 'POST') {
            my (@ids, @open);

            $tag->clear;

            for (1 .. 20) {
                my ($id, $method, $uri, $body) = hit($kind, 1);
                my $c = client($h2, 0);

                push @open, [$c, $c->request($method, $uri, [], $body)];
                push @ids, $id;
            }

            sleep 0.1;
            $leave->(@$_) for @open;
            arrived($kind, "$kind, $how", @ids);
            $_->[0]->close for @open;
        }
    }
};


# many on one connection that ends as a whole

subtest 'one HTTP/2 connection with 100 streams' => sub {
    for my $way (@ways[2 .. 4]) {
        my ($how, undef, $leave) = @$way;

        for my $kind ('GET', 'POST') {
            next if dropped($kind, $how);

            my (@ids, @streams);

            $tag->clear;

            my $c = gather(1, 0, sub {
                my ($c) = @_;

                for (1 .. 100) {
                    my ($id, $method, $uri, $body) = hit($kind, 0);

                    push @streams, $c->request($method, $uri, [], $body);
                    push @ids, $id;
                }

                $how =~ /STREAM/ and $c->rst_stream($_) for @streams;
            });

            # close() would become a reset where an answer is not read yet
            $how =~ /FIN/ ? $c->shutdown_write
                          : $how =~ /RST\z/ && $c->abort;

            arrived($kind, "$kind, $how", @ids);
            $c->close;
        }
    }
};


subtest 'pipelined and closed' => sub {
    my @ids;
    my $c = client(0, 0);
    my $out = '';

    $tag->clear;

    for (1 .. 20) {
        my ($id, $method, $uri, $body) = hit('POST', 0);
        $out .= $c->format($method, $uri, [], $body, host => 'shop.example');
        push @ids, $id;
    }

    $c->send($out);
    $c->shutdown_write;
    arrived('POST', 'half closed', @ids);
    $c->close;
};


# never in part: the body's length says that more is to come

my @parts = (
    ['length', ['Content-Length' => 300], ''],
    ['chunked', ['Transfer-Encoding' => 'chunked'], 'chunk'],
);

subtest 'a body cut in the middle' => sub {
    sleep 0.5;                 # the slow ones of before have ended, too

    my $before = counters();
    my $n = 0;

    $tag->clear;

    for my $file (0, 1) {
        for my $way (@ways[0, 1]) {
            my ($how, undef, $leave) = @$way;

            for my $part (@parts) {
                my (undef, $headers, $chunk) = @$part;

                for my $pause (0, 0.02) {
                    for (1 .. 10) {
                        my ($id, $method, $uri, $body) = hit('POST', 0);
                        my $c = client(0, $file);

                        $body = sprintf "%x\r\n%s\r\n", length $body, $body
                            if $chunk;

                        $c->send($c->format($method, $uri, $headers, $body,
                                            host => 'shop.example'));
                        sleep $pause if $pause;
                        $leave->($c);
                        $n++;
                    }
                }
            }
        }

        for my $way (@ways[2 .. 4]) {
            my ($how, undef, $leave) = @$way;

            for my $pause (0, 0.02) {
                for (1 .. 10) {
                    my ($id, $method, $uri, $body) = hit('POST', 0);
                    my $c = client(1, $file);
                    my $stream = $c->request($method, $uri, [], undef,
                                             end_stream => 0);

                    $c->data($stream, $body, 0);
                    sleep $pause if $pause;
                    $leave->($c, $stream);
                    $c->ping if $how =~ /STREAM/;
                    $c->close;
                    $n++;
                }
            }
        }
    }

    my ($id, @whole) = hit('POST', 0);
    is $t->post(@whole[1, 2])->{status}, 204, 'a whole one passes';
    sleep 0.3;

    my @got = $tag->requests;
    is scalar(@got), 1, "nothing of $n cut bodies arrives"
        or diag map { "$_->{uri}\n$_->{body}\n" } @got[0 .. 1];

    my $now = counters();
    is $now->{forwarded} - $before->{forwarded}, 1,
       'nor counts as forwarded';
};


# a body that ends too early by END_STREAM

subtest 'a body shorter than its length' => sub {
    $tag->clear;

    my ($id, $method, $uri, $body) = hit('POST', 0);
    my $c = client(1, 0);
    my $stream = $c->request($method, $uri,
                             ['content-length' => length($body) + 5], undef,
                             end_stream => 0);

    $c->data($stream, $body, 1);
    my $res = $c->response($stream);

    ok !$res || defined $res->{reset} || $res->{status} == 400, 'refused';
    is $tag->count, 0, 'not forwarded';
    $c->close;
};

my ($id, @last) = hit('GET', 0);
is $t->get($last[1])->{status}, 204, 'hits pass at the end';

done_testing;
