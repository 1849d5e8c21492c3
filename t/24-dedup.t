#!/usr/bin/perl

# Deduplication: an event whose id was seen in the window goes no further, alone
# or out of a batch, whichever worker sees it; an id counts once its hit was
# delivered, and not after a failure, so that a retry is no duplicate of itself;
# what was seen is known after a reload; a worker that is killed takes nothing
# along for good; what does not fit pushes out the oldest.  It guards against an
# order counted twice, and worse: against an event that is dropped though nobody
# has got it.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use IO::Handle ();
use List::Util qw(shuffle);
use POSIX ();
use Time::HiRes qw(sleep time);

SGTM::Test->timeout(600);

my $proxy = 'include  %%ROOT%%/conf-examples/sgtm_proxy.conf;';
my $query = 'v=2&tid=G-ABC1234567&cid=1.2&gcs=G111';
my $crlf = "\r\n";


# What the tagging server does is said by the mode, or by the request: "do=503".

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    my ($do) = $req->{uri} =~ /\bdo=(\w+)/;

    $do = $req->{mode} if !$do;

    return 204 if !$do;
    return { drop => 1 } if $do eq 'closed';
    return { hang => 1 } if $do eq 'hang';
    return { status => $1 || 204, delay => 0.5 } if $do =~ /^slow(\d*)$/;
    return $do;
});

my $nobody = SGTM::Run::port();


sub server {
    my ($name, $text) = @_;

    return <<"EOC";
    server {
        listen         127.0.0.1:%%PORT%% reuseport;
        server_name    $name;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567 G-OTHER12345;
        sgtm_debug     on;
        $text
    }
EOC
}


sub location {
    my ($prefix, $text) = @_;

    return <<"EOC";
        location /$prefix/ {
            sgtm        on;
            $text
            proxy_pass  http://tagging/;
            $proxy
        }
EOC
}


sub config {
    my ($zone, @servers) = @_;

    # the first of a port says how it listens

    for (@servers[1 .. $#servers]) {
        s/ reuseport//;
    }

    return join '', <<"EOC", @servers;
    $zone
    upstream tagging {
        server     127.0.0.1:@{[ $tag->port ]} max_fails=0;
        keepalive  16;
    }
EOC
}


# the hits that arrived since the last time, as [arguments, body], in order,
# once there are so many

sub arrived {
    my ($n) = @_;

    my @requests = $tag->wait_requests($n, 5);

    $tag->clear;

    return map { [$_->{uri} =~ /\?(.*)/, $_->{body}] } @requests;
}


# what became of a hit, as the debug headers say

sub sends {
    my ($t, $method, $uri, $body, @headers) = @_;

    push @headers, 'Content-Type' => 'text/plain' if defined $body;

    my $res = $t->request($method, $uri, \@headers, $body);

    return join ' ', $res->{status},
                     grep { defined && $_ ne 'forwarded' }
                          header($res, 'Sgtm-Disposition'),
                          header($res, 'Sgtm-Reason');
}


# whether a single event passes; where it does, it has to arrive

sub passes {
    my ($t, $args, $name, %opt) = @_;

    my $host = $opt{host} || 'shop.example';
    my $prefix = $opt{prefix} || 'metrics';
    my $got = sends($t, 'GET', "/$prefix/g/collect?$query&$args", undef,
                    Host => $host);

    like $got, qr/^204/, "$name: passes";
    unlike $got, qr/duplicate/, "$name: is no duplicate";
    is scalar(arrived(1)), 1, "$name: arrives";
}


sub duplicate {
    my ($t, $args, $name, %opt) = @_;

    my $host = $opt{host} || 'shop.example';
    my $prefix = $opt{prefix} || 'metrics';

    is sends($t, 'GET', "/$prefix/g/collect?$query&$args", undef,
             Host => $host),
       '204 duplicate duplicate', "$name: a duplicate";
    is $tag->count, 0, "$name: goes no further";
}


sub counters {
    my ($t, $tenant) = @_;

    return $t->status('/status')->{tenants}{$tenant || 'shop.example'};
}


# A process that writes what its code returns; children() waits for all.

sub child {
    my ($code) = @_;

    pipe(my $in, my $out) or die "pipe: $!\n";
    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid) {
        close $out;
        return { pid => $pid, in => $in };
    }

    close $in;
    alarm 0;
    my $text = eval { $code->() };
    $text = "died: $@" if $@;
    syswrite $out, defined $text ? $text : '';
    POSIX::_exit(0);
}


sub children {
    return map {
        my $fh = $_->{in};
        my $text = do { local $/; <$fh> };
        waitpid $_->{pid}, 0;
        defined $text ? $text : '';
    } @_;
}


# A worker that dies with a hit under way: begun first, since what it had
# reserved is free again only after 30 seconds.

my $crash = SGTM::Test->start(
    config('sgtm_zone sgtm 1m;',
           server('shop.example', 'sgtm_dedup 1h;' . location('metrics', '')
                  . 'location = /status { sgtm_status; }')),
    workers => 2,
);

$crash->expect_log(qr/exited on signal 9/, qr/was locked by \d+$/);
$crash->{generations}++;

my $held = child(sub {
    my $res = eval {
        $crash->get("/metrics/g/collect?$query&en=a&ep.event_id=held"
                    . '&do=hang');
    };

    return $res ? $res->{status} : 'nothing';
});

my $crashed;

subtest 'a worker is killed' => sub {
    is $crash->get("/metrics/g/collect?$query&en=a&ep.event_id=told")
             ->{status}, 204, 'an event is delivered';

    ok wait_for(sub {
        grep { $_->{uri} =~ /event_id=held/ } $tag->requests
    }), 'another is under way';

    duplicate_held('while its worker lives');

    # which worker has it is not said: both die, one after the other

    for my $pid ($crash->workers) {
        kill 'KILL', $pid;
        ok wait_for(sub { !kill 0, $pid }), 'a worker is dead';
        ok wait_for(sub { $crash->workers }, 15), 'another takes its place';
    }

    $crashed = time;
    $crash->{generations}++;

    is +(children($held))[0], 'nothing', 'the client has no answer';

    $tag->clear;
    duplicate_held('for 30 seconds its reservation holds');
    duplicate($crash, 'en=a&ep.event_id=told', 'what was delivered');
    passes($crash, 'en=a&ep.event_id=fresh', 'a new one');
};


sub duplicate_held {
    my ($name) = @_;

    is sends($crash, 'GET', "/metrics/g/collect?$query&en=a&ep.event_id=held"),
       '204 duplicate duplicate', $name;
}


# one worker, and what it makes of each kind of event

my $t = SGTM::Test->start(config('sgtm_zone sgtm 1m;',
    server('shop.example', join '', 'sgtm_dedup 1h;',
        location('metrics', ''),
        location('short', 'sgtm_dedup 1s;'),
        location('off', 'sgtm_dedup off;'),
        location('own', 'sgtm_dedup 1d key=ep.own;'),
        location('several', 'sgtm_dedup 1d key=ep.first key=up.second '
                            . 'key=_third;'),
        location('transactions', 'sgtm_dedup 1d key=ep.transaction_id;'),
        location('client', 'sgtm_fallback client;'),
        location('basic', 'sgtm_consent_mode basic;'),
        location('advanced', 'sgtm_consent_mode advanced;'
                             . 'sgtm_set_param ep.via gate;'),
        location('encoded', 'sgtm_encoded pass;'),
        location('tiny', 'client_body_in_file_only clean;'),
        'location = /status { sgtm_status; }'),
    server('other.example', 'sgtm_dedup 1h;' . location('metrics', '')),
    server('plain.example', location('metrics', ''))));

subtest 'an event alone' => sub {
    passes($t, 'en=a&ep.event_id=1', 'the first');
    duplicate($t, 'en=a&ep.event_id=1', 'the second');
    duplicate($t, 'ep.event_id=1&en=a&_et=9&dl=x', 'with more in it');

    passes($t, 'en=b&ep.event_id=1', 'another name');
    passes($t, 'en=a&ep.event_id=2', 'another id');
    passes($t, 'en=a&ep.event_id=11', 'a longer one');
    passes($t, 'en=a1&ep.event_id=', 'without an id');
    passes($t, 'en=a1&ep.event_id=', 'again');
    passes($t, 'en=a1&ep.event_id', 'bare');
    passes($t, 'en=a', 'without a parameter');
    passes($t, 'en=a', 'again');
    passes($t, 'en=a&ep.event_id=1', 'another tenant', host => 'other.example');
    duplicate($t, 'en=a&ep.event_id=1', 'there too', host => 'other.example');
    passes($t, 'en=a&ep.event_id=1', 'a tenant without the directive',
           host => 'plain.example') for 1 .. 2;
    passes($t, 'en=a&ep.event_id=1', 'off', prefix => 'off') for 1 .. 2;
    duplicate($t, 'en=a&ep.event_id=1', 'the first counts of two&');

    is sends($t, 'GET', '/metrics/g/collect?v=2&tid=G-OTHER12345&en=a'
                        . '&ep.event_id=1'), '204', 'another tag id';
    is scalar(arrived(1)), 1, 'arrives';
    passes($t, 'en=a&ep.event_id=3&ep.event_id=1', 'of two the first counts');
    duplicate($t, 'en=a&ep.event_id=3&ep.event_id=4', 'here as well');
};


subtest 'an id as it is written' => sub {
    passes($t, 'en=w&ep.event_id=a%20b%2Fc', 'escaped');
    duplicate($t, 'en=w&ep.event_id=%61%20b/%63', 'other escapes');
    duplicate($t, 'en=%77&ep.event_id=a%20b%2fc', 'another case');
    duplicate($t, 'en=w&ep%2Eevent_id=a%20b%2Fc', 'of the name');
    passes($t, 'en=w&ep.event_id=a%2520b%2Fc', 'escaped twice');
    passes($t, 'en=w&ep.event_id=a+b%2Fc', 'a plus is a plus');
    passes($t, 'en=w&ep.event_id=A%20b%2Fc', 'a capital');
    passes($t, 'en=w&EP.event_id=a%20b%2Fc', 'another parameter');
    passes($t, 'en=wa&ep.event_id=b', 'where one field ends');
    passes($t, 'en=w&ep.event_id=ab', 'the next begins');
    passes($t, 'en=w&ep.event_id=' . 'x' x 3000 . 1, 'a long one');
    passes($t, 'en=w&ep.event_id=' . 'x' x 3000 . 2, 'another long one');
    duplicate($t, 'en=w&ep.event_id=' . 'x' x 3000 . 2, 'the same');
};


subtest 'orders' => sub {
    passes($t, 'en=purchase&ep.transaction_id=T1&ep.event_id=p1', 'an order');
    duplicate($t, 'en=purchase&ep.transaction_id=T1&ep.event_id=p2',
              'its page once more');
    duplicate($t, 'en=purchase&ep.transaction_id=T1', 'without an event id');
    duplicate($t, 'en=purchase&ep.transaction_id=T2&ep.event_id=p1',
              'its event id');
    passes($t, 'en=purchase&ep.transaction_id=T2&ep.event_id=p3',
           'what a duplicate had beside is not reserved');
    passes($t, 'en=purchase&ep.event_id=p2', 'nor its other id');
    passes($t, 'en=refund&ep.transaction_id=T1', 'a refund') for 1 .. 2;
    passes($t, 'en=purchased&ep.transaction_id=T1', 'another name') for 1 .. 2;
    passes($t, 'en=purchase&ep.transaction_id=T3&ep.event_id=T3',
           'both ids are the same text');
    passes($t, 'en=purchase&ep.transaction_id=T4', 'an order T4');
    passes($t, 'en=purchase&ep.event_id=T4', 'an event T4');
    duplicate($t, 'en=p%75rchase&ep.transaction_id=T4', 'an escape');
};


subtest 'keys' => sub {
    my @in = (prefix => 'own');

    passes($t, 'en=k&ep.own=1&ep.event_id=1', 'its own key', @in);
    duplicate($t, 'en=k&ep.own=1&ep.event_id=2', 'counts', @in);
    passes($t, 'en=k&ep.event_id=2', 'in place of the default', @in) for 1 .. 2;
    passes($t, 'en=purchase&ep.own=1&ep.transaction_id=O1', 'an order', @in);
    duplicate($t, 'en=purchase&ep.own=2&ep.transaction_id=O1', 'counts, too',
              @in);

    @in = (prefix => 'several');

    passes($t, 'en=s&_third=3&up.second=2&ep.first=1', 'all', @in);
    duplicate($t, 'en=s&ep.first=1&up.second=20', 'the first counts', @in);
    passes($t, 'en=s&_third=3&up.second=2', 'not the others', @in);
    duplicate($t, 'en=s&up.second=2&_third=30', 'the second counts', @in);
    passes($t, 'en=s&_third=3', 'not the third', @in);
    duplicate($t, 'en=s&_third=3', 'the third', @in);
    passes($t, 'en=s&_third=3&ep.first=', 'an empty first is no id', @in)
        for 1 .. 2;

    @in = (prefix => 'transactions');

    passes($t, 'en=add&ep.transaction_id=K', 'of any event', @in);
    duplicate($t, 'en=add&ep.transaction_id=K', 'counts', @in);
    passes($t, 'en=purchase&ep.transaction_id=K', 'both of an order', @in);
    duplicate($t, 'en=purchase&ep.transaction_id=K', 'count', @in);
};


# [name, body, what is seen before, what arrives (undef: 204, nothing)]; an
# event x1 is "en=x&ep.event_id=1"

my @batches = (
    ['none is seen', "A\r\nB\r\nC", '', "A\r\nB\r\nC"],
    ['the first', "A\r\nB\r\nC", 'A', "B\r\nC"],
    ['one in the middle', "A\r\nB\r\nC", 'B', "A\r\nC"],
    ['the last', "A\r\nB\r\nC", 'C', "A\r\nB"],
    ['the last, with its end', "A\r\nB\r\nC\r\n", 'C', "A\r\nB\r\n"],
    ['all but the first', "A\r\nB\r\nC", 'BC', 'A'],
    ['all but the last', "A\r\nB\r\nC\r\n", 'AB', "C\r\n"],
    ['all but one', "A\r\nB\r\nC", 'AC', 'B'],
    ['all', "A\r\nB\r\nC\r\n", 'ABC', undef],
    ['bare line feeds', "A\nB\nC\n", 'B', "A\nC\n"],
    ['mixed ends', "A\nB\r\nC", 'B', "A\nC"],
    ['mixed ends, the last', "A\r\nB\nC", 'C', "A\r\nB"],
    ['mixed ends, the last two', "A\nB\r\nC", 'BC', 'A'],
    ['empty lines', "\r\nA\r\n\r\nB\r\n\r\n", 'A', "\r\n\r\nB\r\n\r\n"],
    ['an empty line before the last', "A\r\n\r\nB", 'B', "A\r\n"],
    ['twice the same', "A\r\nA\r\nB\r\nA", '', "A\r\nB"],
    ['three times, alone', "A\nA\nA\n", '', "A\n"],
    ['an event without an id', "en=n\r\nA\r\nen=n", 'A', "en=n\r\nen=n"],
    ['one event', "A\r\n", '', "A\r\n"],
    ['one event, seen', "A\r\n", 'A', undef],
    ['a shared first line', "ep.x=1\r\nA\r\nB", 'A', "ep.x=1\r\nB"],
    ['a shared first line alone', "ep.x=1\r\nA", 'A', undef],
);

subtest 'batches' => sub {
    my $n = 0;

    for my $case (@batches) {
        my ($name, @texts) = @$case;
        my $seen = splice @texts, 1, 1;

        $n++;

        for (@texts) {
            s/([ABC])/"en=batch&ep.event_id=$n$1&ep.y=%2541"/ge
                if defined;
        }

        for my $id (split //, $seen) {
            sends($t, 'GET', "/metrics/g/collect?$query&en=batch"
                             . "&ep.event_id=$n$id");
        }

        arrived(length $seen);

        my $got = sends($t, 'POST', "/metrics/g/collect?$query", $texts[0]);
        my ($hit) = defined $texts[1] ? arrived(1) : ();

        if (!defined $texts[1]) {
            is $got, '204 duplicate duplicate', "$name: a duplicate";
            is $tag->count, 0, "$name: nothing arrives";
            next;
        }

        is $got, '204', "$name: passes";
        is $hit->[0], $query, "$name: the query as it was";
        is $hit->[1], $texts[1], "$name: the body";
        is sends($t, 'POST', "/metrics/g/collect?$query", $texts[0]),
           $texts[0] =~ /en=n/ ? '204' : '204 duplicate duplicate',
           "$name: again";
        arrived($texts[0] =~ /en=n/ ? 1 : 0);
    }
};


subtest 'an id shared by the query' => sub {
    my $uri = "/metrics/g/collect?$query&ep.event_id=s1";

    is sends($t, 'POST', $uri, "en=x\r\nen=y\r\nen=x"), '204', 'two events';
    is +(arrived(1))[0][1], "en=x\r\nen=y", 'by name';
    is sends($t, 'POST', $uri, "en=x\r\nen=y&ep.event_id=s2\r\nen=z"), '204',
       'a line has its own';
    is +(arrived(1))[0][1], "en=y&ep.event_id=s2\r\nen=z", 'which counts';
    is sends($t, 'POST', $uri, "en=x&ep.event_id=\r\nen=y&ep.event_id="), '204',
       'an empty one';
    is +(arrived(1))[0][1], "en=x&ep.event_id=\r\nen=y&ep.event_id=",
       'is none';
};


subtest 'a batch that is rewritten, too' => sub {
    my $denied = 'v=2&tid=G-ABC1234567&cid=1.2&gcs=G100&npa=1';
    my $body = join $crlf, map { "en=r&ep.event_id=r$_&uid=u&ep.z=$_" } 1 .. 3;

    sends($t, 'GET', "/advanced/g/collect?$query&en=r&ep.event_id=r2");
    arrived(1);
    is sends($t, 'POST', "/advanced/g/collect?$denied", $body), '204', 'passes';

    my ($hit) = arrived(1);

    is $hit->[1], "en=r&ep.event_id=r1&ep.z=1${crlf}en=r&ep.event_id=r3&ep.z=3",
       'cut and redacted';
    like $hit->[0], qr/&ep\.via=gate(?:&|$)/, 'and set';

    # bodies that come in pieces, or were in a file

    for my $prefix ('metrics', 'tiny') {
        my $long = 'n' x 20_000;
        my @lines = map { "en=f&ep.event_id=$prefix$_&ep.long=$long" } 1 .. 3;
        my $c = $t->http;

        sends($t, 'GET', "/$prefix/g/collect?$query&en=f"
                         . "&ep.event_id=${prefix}2");
        arrived(1);

        $c->send("POST /$prefix/g/collect?$query HTTP/1.1\r\n"
                 . "Host: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n");

        for (split /(?<=\n)/, join $crlf, @lines) {
            $c->send(sprintf "%x\r\n%s\r\n", length $_, $_);
        }

        $c->send("0\r\n\r\n");
        is $c->response->{status}, 204, "$prefix: a chunked body";

        my ($hit) = $tag->wait_requests(1);
        is $hit->{body}, "$lines[0]$crlf$lines[2]", "$prefix: is cut";
        $tag->clear;
    }
};


subtest 'a hit that fails' => sub {
    my $uri = "/metrics/g/collect?$query&en=f";

    for my $do (qw(503 500 404 closed slow503)) {
        unlike sends($t, 'GET', "$uri&ep.event_id=f$do&do=$do"), qr/^204/,
               "$do: an error";
        arrived(1);
        unlike sends($t, 'GET', "$uri&ep.event_id=f$do&do=$do"), qr/^204/,
               "$do: again an error, no duplicate";
        arrived(1);
        passes($t, "en=f&ep.event_id=f$do", "$do: the retry");
        duplicate($t, "en=f&ep.event_id=f$do", "$do: then");
    }

    is sends($t, 'GET', "/client/g/collect?$query&en=f&ep.event_id=fc&do=500"),
       '503 failed upstream_5xx', 'the fallback answers';
    arrived(1);
    passes($t, 'en=f&ep.event_id=fc', 'what the fallback had', prefix => 'client');

    # a batch, of which one event was seen before

    my $body = "en=f&ep.event_id=b1\r\nen=f&ep.event_id=b2\r\nen=f";

    passes($t, 'en=f&ep.event_id=b1', 'one of them');
    sends($t, 'POST', "/metrics/g/collect?$query&do=503", $body);
    is +(arrived(1))[0][1], "en=f&ep.event_id=b2\r\nen=f", 'a batch fails';
    is sends($t, 'POST', "/metrics/g/collect?$query", $body), '204', 'its retry';
    is +(arrived(1))[0][1], "en=f&ep.event_id=b2\r\nen=f",
       'has what was not delivered';
};


subtest 'a hit under way' => sub {
    my $uri = "/metrics/g/collect?$query&en=u";

    # (the id, what the tagging server does, what the first one is answered)

    for (['u1', 'slow', 204], ['u2', 'slow503', 503]) {
        my ($id, $do, $status) = @$_;

        my $slow = child(sub {
            return $t->get("$uri&ep.event_id=$id&do=$do")->{status};
        });

        $tag->wait_requests(1);
        is sends($t, 'GET', "$uri&ep.event_id=$id"), '204 duplicate duplicate',
           "$do: its like is a duplicate meanwhile";
        is +(children($slow))[0], $status, "$do: what it is answered";
        arrived(1);
    }

    duplicate($t, 'en=u&ep.event_id=u1', 'one that was delivered');
    passes($t, 'en=u&ep.event_id=u2', 'one that failed');

    # a browser that leaves does not undo what is delivered

    my $c = $t->http;
    $c->request('GET', "$uri&ep.event_id=u3&do=slow", []);
    $tag->wait_requests(1);
    $c->abort;
    sleep 1;
    arrived(1);
    duplicate($t, 'en=u&ep.event_id=u3', 'its client left');
};


# servers tell events as well, as JSON and often the same ones

my $files = SGTM::Run::dir('secrets');

SGTM::Run::put("$files/secret", "Secret0\n");
chmod 0640, "$files/secret";

subtest 'the Measurement Protocol' => sub {
    my $t = SGTM::Test->start(config('sgtm_zone sgtm 1m;',
        server('shop.example', "sgtm_api_secret $files/secret;"
               . 'sgtm_dedup 1h;' . location('metrics', '')
               . location('own', 'sgtm_dedup 1h key=ep.own;')
               . 'location = /status { sgtm_status; }')));
    my $uri = 'mp/collect?api_secret=Secret0&measurement_id=G-ABC1234567';
    my $event = sub {
        my ($name, @params) = @_;
        my $text = '';

        while (my ($key, $value) = splice @params, 0, 2) {
            $text .= ($text ne '' ? ', ' : '') . qq{"$key": "$value"};
        }

        return qq[{"name": "$name", "params": {$text}}];
    };
    my $body = sub { return '{"client_id":"1.2", "events":[' . join(',', @_)
                            . ']}' };
    my $one = $event->('a', event_id => 'm 1%41');
    my $two = $event->('a', event_id => 'm2');
    my $none = $event->('a', x => '1');

    is sends($t, 'POST', "/metrics/$uri", $body->($one)), '204', 'an event';
    is +(arrived(1))[0][1], $body->($one), 'arrives as it was';
    is sends($t, 'POST', "/metrics/$uri", $body->($one)),
       '204 duplicate duplicate', 'again';
    is sends($t, 'POST', "/metrics/$uri", $body->($one, $two, $none)), '204',
       'one of three';
    is +(arrived(1))[0][1], $body->($two, $none), 'the others arrive';
    is sends($t, 'POST', "/metrics/$uri", $body->($two, $none, $none)), '204',
       'without an id';
    is +(arrived(1))[0][1], $body->($none, $none), 'they pass';
    is sends($t, 'POST', "/metrics/mp/collect?measurement_id=%47-ABC1234567"
                         . '&api_secret=Secret0', $body->($two)),
       '204 duplicate duplicate', 'an id of the stream that is escaped';

    duplicate($t, 'en=a&ep.event_id=m%201%2541', 'what a server told');
    passes($t, 'en=a&ep.event_id=m%201A', 'it is not decoded there');
    passes($t, 'en=purchase&ep.event_id=b1&ep.transaction_id=T%C3%BC', 'orders');
    is sends($t, 'POST', "/metrics/$uri",
             $body->($event->('purchase', transaction_id => 'T\u00fc'))),
       '204 duplicate duplicate', 'what a browser told';
    is sends($t, 'POST', "/metrics/$uri",
             $body->($event->('refund', transaction_id => 'T\u00fc'))),
       '204', 'a refund';
    arrived(1);

    for (1 .. 2) {
        is sends($t, 'POST', "/own/$uri", $body->($one)), '204',
           'where event_id is no key';
        arrived(1);
    }

    $tag->mode('500');
    my $three = $event->('a', event_id => 'm3');
    like sends($t, 'POST', "/metrics/$uri", $body->($three)), qr/^500/, 'fails';
    $tag->mode('');
    $tag->clear;
    is sends($t, 'POST', "/metrics/$uri", $body->($three)), '204', 'its retry';
    arrived(1);

    is counters($t)->{duplicate_events}, 6, 'counted';
    $t->stop;
};


# what lies in the spool will be delivered, so it counts

subtest 'a hit that is kept' => sub {
    my $t = SGTM::Test->start(config('sgtm_spool spool max_size=1m sync=off;',
        server('shop.example', 'sgtm_dedup 1h; sgtm_fallback queue;'
               . 'sgtm_courier @courier backoff=100ms;'
               . location('metrics', '')
               . location('queued', 'sgtm_delivery queued;')
               . location('off', 'sgtm_dedup off; sgtm_delivery queued;')
               . "location \@courier { proxy_pass http://tagging; $proxy }"
               . 'location = /status { sgtm_status; }')));

    $tag->mode('503');

    for my $prefix ('metrics', 'queued') {
        my $uri = "/$prefix/g/collect?$query";
        my $body = "en=q&ep.event_id=${prefix}1\r\nen=q&ep.event_id=${prefix}2";

        like sends($t, 'GET', "$uri&en=q&ep.event_id=${prefix}1"),
             qr/^204 queued/, "$prefix: is kept";
        is sends($t, 'GET', "$uri&en=q&ep.event_id=${prefix}1"),
           '204 duplicate duplicate', "$prefix: then a duplicate";
        like sends($t, 'POST', $uri, $body), qr/^204 queued/,
             "$prefix: a batch";
        is sends($t, 'POST', $uri, $body), '204 duplicate duplicate',
           "$prefix: is kept";
    }

    $tag->clear;
    $tag->mode('');

    my %got;
    my $want = {
        map { my $name = $_; map { ("$name$_" => 1) } 1, 2 } 'metrics', 'queued'
    };

    wait_for {
        %got = ();
        $got{$_}++ for map { "$_->{uri}\n$_->{body}" =~ /event_id=(\w+)/g }
                       grep { $_->{mode} eq '' } $tag->requests;
        keys %got >= 4;
    } 15;

    is_deeply \%got, $want, 'each event arrives once';
    $tag->clear;

    # what can't be kept does not count

    $tag->mode('503');

    my $note = '&ep.note=' . 'n' x 6000;
    my $uri = "/queued/g/collect?$query&en=q&ep.event_id=full$note";

    for (1 .. 400) {
        my $got = sends($t, 'GET', "/off/g/collect?$query&en=q$note");
        last if $got =~ /^503/;
    }

    for (1 .. 2) {
        is sends($t, 'GET', $uri), '503 failed spool', 'a spool that is full';
    }

    $tag->mode('');
    wait_for { $t->status('/status')->{spool}{waiting} == 0 } 20;
    wait_for { sends($t, 'GET', "/off/g/collect?$query&en=q$note") =~ /^204/ } 5;
    is sends($t, 'GET', $uri), '204 queued', 'there is room again: it is kept';
    is sends($t, 'GET', $uri),
       '204 duplicate duplicate', 'then a duplicate';
    $t->stop;
    $tag->clear;
};


subtest 'windows' => sub {
    passes($t, 'en=x&ep.event_id=x1', 'a short one', prefix => 'short');
    duplicate($t, 'en=x&ep.event_id=x1', 'counts', prefix => 'short');
    passes($t, 'en=x&ep.event_id=x2', 'a long one');
    sleep 1.4;
    passes($t, 'en=x&ep.event_id=x1', 'when it is over', prefix => 'short');
    duplicate($t, 'en=x&ep.event_id=x2', 'the long one holds, elsewhere too',
              prefix => 'short');
};


subtest 'what does not count' => sub {
    my $denied = 'v=2&tid=G-ABC1234567&cid=1.2&gcs=G100&en=d&ep.event_id=d1';

    is sends($t, 'GET', "/basic/g/collect?$denied"), '204 denied consent',
       'a denied hit';
    passes($t, 'en=d&ep.event_id=d1', 'reserves nothing', prefix => 'basic');

    like sends($t, 'POST', "/metrics/g/collect?$query",
               "en=d&ep.event_id=d2\r\ntid=G-FOREIGN123&en=d"), qr/^403/,
         'a refused batch';
    passes($t, 'en=d&ep.event_id=d2', 'reserves nothing');

    for (1 .. 2) {
        is $t->get("/metrics/g/collect?$query&en=d&ep.event_id=d3",
                   Cookie => 'gtm_debug=x')->{status}, 204, 'a preview';
        is scalar(arrived(1)), 1, 'arrives';
    }

    passes($t, 'en=d&ep.event_id=d3', 'and reserves nothing');
};


subtest 'an encoded hit' => sub {
    require MIME::Base64;

    for my $id ('e1', 'e1', 'e2') {
        my $text = MIME::Base64::encode_base64("$query&en=e&ep.event_id=$id",
                                               '');
        my $want = $id eq 'e1' && $tag->{seen_e1}++ ? '204 duplicate duplicate'
                                                    : '204';

        is sends($t, 'GET', "/encoded/g/collect?$text"), $want, "$id: $want";
        arrived($want eq '204' ? 1 : 0);
    }

    duplicate($t, 'en=e&ep.event_id=e1', 'in the clear');
};


subtest 'counters' => sub {
    my $before = counters($t);
    my $seen = $before->{duplicate_events};

    cmp_ok $seen, '>', 50, 'the duplicates so far';

    sends($t, 'POST', "/metrics/g/collect?$query",
          "en=c&ep.event_id=c1\r\nen=c&ep.event_id=c1\r\nen=c");
    arrived(1);

    my $after = counters($t);

    is $after->{duplicate_events} - $seen, 1, 'one of a batch';
    is $after->{events} - $before->{events}, 3, 'of three events';
    is $after->{hits}{forwarded} - $before->{hits}{forwarded}, 1, 'forwarded';
    is $after->{hits}{duplicate}, $before->{hits}{duplicate}, 'no duplicate';

    sends($t, 'POST', "/metrics/g/collect?$query",
          "en=c&ep.event_id=c1\r\nen=c&ep.event_id=c1");
    $before = $after;
    $after = counters($t);

    is $after->{duplicate_events} - $before->{duplicate_events}, 2, 'both';
    is $after->{hits}{duplicate} - $before->{hits}{duplicate}, 1, 'a duplicate';
    is $after->{reasons}{duplicate} - $before->{reasons}{duplicate}, 1,
       'for this reason';
    is counters($t, 'plain.example')->{duplicate_events}, 0, 'without it: none';

    my $status = $t->status('/status');
    my $text = $t->get('/status?format=prometheus')->{body};

    cmp_ok $status->{dedup_capacity}, '>', 15_000, '1 MB: room for so many';
    cmp_ok $status->{dedup_capacity}, '<', 22_000, 'and not for more';
    is $status->{dedup_evicted}, 0, 'none made room';
    like $text, qr/^sgtm_dedup_capacity $status->{dedup_capacity}$/m,
         'the same in the text';
    like $text, qr/^sgtm_dedup_evicted_total 0$/m, 'both';
    like $text, qr/^sgtm_duplicate_events_total\{tenant="shop\.example"\}
                   \ $after->{duplicate_events}$/mx, 'and the events';
};


$t->stop;


# a zone that is too small for all

subtest 'the oldest make room' => sub {
    my $t = SGTM::Test->start(config('sgtm_zone sgtm 128k;',
        server('shop.example', 'sgtm_dedup 1h;' . location('metrics', '')
                               . 'location = /status { sgtm_status; }')));
    my $room = $t->status('/status')->{dedup_capacity};
    my $events = sub {
        my ($from, $to) = @_;
        my @lines = map { "en=o&ep.event_id=$_" } $from .. $to;

        while (my @some = splice @lines, 0, 200) {
            sends($t, 'POST', "/metrics/g/collect?$query",
                  join $crlf, @some);
        }

        return map { split /\r\n/, $_->[1] } arrived(0);
    };

    cmp_ok $room, '>=', 1000, "room for $room";
    is scalar($events->(1, $room)), $room, 'as many pass';
    is scalar($events->(1, $room)), 0, 'and are known';
    is $t->status('/status')->{dedup_evicted}, 0, 'none made room';
    is scalar($events->($room + 1, $room + 10)), 10, 'ten more';
    is $t->status('/status')->{dedup_evicted}, 10, 'for which ten made room';
    is scalar($events->(11, $room + 10)), 0, 'all others are known';
    is scalar($events->(1, 10)), 10, 'those are new again';
    is $t->status('/status')->{dedup_evicted}, 20, 'counted';
    $t->stop;
};


subtest 'a reload' => sub {
    my $http = sub {
        my ($zone, $more) = @_;

        return config($zone, server('shop.example',
            $more . location('metrics', '')
                  . 'location = /status { sgtm_status; }'));
    };

    my $t = SGTM::Test->start($http->('sgtm_zone sgtm 1m;', ''), workers => 2);

    passes($t, 'en=a&ep.event_id=1', 'without the directive') for 1 .. 2;
    ok !exists $t->status('/status')->{dedup_capacity}, 'there is no table';

    $t->reload($http->('sgtm_zone sgtm 1m;', 'sgtm_dedup 1h;'), wait_old => 1);
    passes($t, 'en=a&ep.event_id=1', 'with it, in the zone that is there');
    duplicate($t, 'en=a&ep.event_id=1', 'again');

    my $room = $t->status('/status')->{dedup_capacity};

    $t->reload(undef, wait_old => 1) for 1 .. 3;
    duplicate($t, 'en=a&ep.event_id=1', 'after reloads');
    is $t->status('/status')->{dedup_capacity}, $room, 'the same table';

    my $slow = child(sub {
        return $t->get("/metrics/g/collect?$query&en=a&ep.event_id=2&do=slow")
                 ->{status};
    });

    $tag->wait_requests(1);
    $t->reload;
    is sends($t, 'GET', "/metrics/g/collect?$query&en=a&ep.event_id=2"),
       '204 duplicate duplicate', 'an old worker has it under way';
    is +(children($slow))[0], 204, 'and delivers it';
    arrived(1);
    duplicate($t, 'en=a&ep.event_id=2', 'then');

    $t->reload($http->('sgtm_zone sgtm 1m;', 'sgtm_dedup 2h key=ep.x;'),
               wait_old => 1);
    passes($t, 'en=a&ep.event_id=1', 'other keys') for 1 .. 2;
    passes($t, 'en=a&ep.x=x', 'the new one');
    $t->reload($http->('sgtm_zone sgtm 1m;', 'sgtm_dedup off;'),
               wait_old => 1);
    passes($t, 'en=a&ep.event_id=1', 'off');
    $t->reload($http->('sgtm_zone sgtm 1m;', 'sgtm_dedup 1d;'), wait_old => 1);
    duplicate($t, 'en=a&ep.event_id=1', 'on again: still known');

    $t->reload($http->('sgtm_zone sgtm 2m;', 'sgtm_dedup 1d;'), wait_old => 1);
    passes($t, 'en=a&ep.event_id=1', 'a zone of another size is empty');
    cmp_ok $t->status('/status')->{dedup_capacity}, '>', $room, 'and larger';
    $t->stop;
};


subtest 'configurations' => sub {
    my $try = sub {
        my ($zone, $text, $more) = @_;

        # some tenants take their part of a zone

        return nginx_t(config($zone, server('shop.example',
            "$text " . location('metrics', $more || '')),
            map { server("$_.example", "sgtm_fallback off; $text"
                         . location('metrics', $more || '')) } 1 .. 20));
    };

    for my $text ('sgtm_dedup 1s;', 'sgtm_dedup 7d;', 'sgtm_dedup off;',
                  'sgtm_dedup "1h 30m";', 'sgtm_dedup 1h key=ep.a key=_b;')
    {
        my ($status, $out) = $try->('', $text);
        is $status, 0, $text or diag $out;
    }

    my @wrong = (
        ['sgtm_dedup 0;', '"off" or a time'],
        ['sgtm_dedup 8d;', '"off" or a time'],
        ['sgtm_dedup 500ms;', '"off" or a time'],
        ['sgtm_dedup on;', '"off" or a time'],
        ['sgtm_dedup off key=a;', '"off" or a time'],
        ['sgtm_dedup 1h ep.event_id;', '"key=" and a parameter'],
        ['sgtm_dedup 1h key=;', '"key=" and a parameter'],
        ['sgtm_dedup 1h key=ep.*;', 'the plain name'],
        ['sgtm_dedup 1h key=ep%2Ex;', 'the plain name'],
        ['sgtm_dedup 1h key=a key=a;', 'given once'],
        ['sgtm_dedup 1h ' . join(' ', map { "key=a$_" } 1 .. 16) . ';',
         'one of 15'],
        ['sgtm_dedup 1h; sgtm_dedup 2h;', 'is duplicate'],
        ['sgtm_dedup;', 'invalid number of arguments'],
    );

    for (@wrong) {
        my ($text, $said) = @$_;
        my ($status, $out) = $try->('', $text);
        isnt $status, 0, $text;
        like $out, qr/\[emerg\].*\Q$said\E/, 'says why';
    }

    my ($status, $out) = $try->('sgtm_zone sgtm 64k;', 'sgtm_dedup 1h;');
    isnt $status, 0, 'a zone that is too small';
    like $out, qr/\[emerg\]\ sgtm_zone\ "sgtm"\ of\ 64k\ is\ too\ small\ for
                  \ "sgtm_dedup".*\ room\ for\ \d+\ ids/x, 'says why';

    ($status, $out) = $try->('sgtm_zone sgtm 64k;', 'sgtm_dedup 1h;',
                             'sgtm_dedup off;');
    is $status, 0, 'not where no gateway has it' or diag $out;

    ($status, $out) = $try->('sgtm_zone sgtm 512m;', 'sgtm_dedup 1d;');
    is $status, 0, '512 MB' or diag $out;
};


# Several senders have the same ids at the same moment.

subtest 'one of many' => sub {
    for my $workers (2, 4) {
        my $t = SGTM::Test->start(config('sgtm_zone sgtm 4m;',
            "log_format workers '\$pid';",
            server('shop.example', 'sgtm_dedup 1h;'
                   . 'access_log %%DIR%%/workers.log workers;'
                   . location('metrics', ''))), workers => $workers);
        my $start = time + 1;

        my @senders = map {
            my $sender = $_;

            child(sub {
                my @bad;

                sleep $start - time if $start > time;

                for my $id (1 .. 60) {
                    my $got = sends($t, 'GET', "/metrics/g/collect?$query"
                                    . "&en=m&ep.event_id=$workers-$id");
                    push @bad, $got
                        if $got !~ /^204(?: duplicate duplicate)?$/;
                }

                return "@bad";
            });
        } 1 .. 6;

        is join('', children(@senders)), '', "$workers workers: all answered";

        my %got;
        $got{$_}++ for map { $_->[0] =~ /event_id=([\w-]+)/ } arrived(60);

        is scalar(keys %got), 60, 'each id arrives';
        is scalar(grep { $_ != 1 } values %got), 0, 'once';

        my %pids = map { $_ => 1 } split ' ', $t->file('workers.log');
        is scalar(keys %pids), $workers, "$workers workers had a part in it";
        $t->stop;
    }
};


# Workers are killed while all of them use the table: whoever has its lock at
# that moment must not keep the others waiting.

subtest 'workers are killed under load' => sub {
    my $t = SGTM::Test->start(config('sgtm_zone sgtm 128k;',
        server('shop.example', 'sgtm_dedup 1h;' . location('metrics', ''))),
        workers => 4);

    $t->expect_log(qr/exited on signal 9/, qr/was locked by \d+$/);
    srand 2;

    my $end = time + 4;
    my @senders = map {
        my $sender = $_;

        child(sub {
            my ($n, $c) = (0);

            while (time < $end) {
                my $body = join $crlf, map { "en=l&ep.event_id=$sender."
                                             . ($_ % 7 ? ++$n : int $n / 2) }
                                           1 .. 200;
                eval {
                    $c ||= $t->http;
                    $c->request('POST', "/metrics/g/collect?$query", [], $body);
                    $c->response or die "no answer\n";
                    1;
                } or undef $c;
            }

            return $n;
        });
    } 1 .. 4;

    my $killed = 0;

    while (time < $end - 0.5) {
        sleep 0.1 + rand 0.2;
        my @pids = $t->workers or next;
        $killed += kill 'KILL', $pids[rand @pids];
    }

    my $n = 0;
    $n += $_ for children(@senders);
    $t->{generations} += $killed;

    cmp_ok $killed, '>=', 5, "$killed workers died";
    cmp_ok $n, '>', 10_000, "in the middle of $n events";
    ok wait_for(sub { $t->workers == 4 }, 15), 'all are replaced';

    $tag->clear;

    for my $id (1 .. 50) {
        my $uri = "/metrics/g/collect?$query&en=l&ep.event_id=after$id";
        my @got = map { sends($t, 'GET', $uri) } 1 .. 2;

        next if "@got" eq '204 204 duplicate duplicate';
        fail "after it: @got";
    }

    is scalar(arrived(50)), 50, 'after it each of 50 ids passes once';
    $t->stop;
};


# 10,000 events, 3,000 of them duplicates, in hits of one and in batches, from
# eight senders.

subtest '10,000 events' => sub {
    my $t = SGTM::Test->start(config('sgtm_zone sgtm 4m;',
        server('shop.example', 'sgtm_dedup 1h;' . location('metrics', '')
                               . 'location = /status { sgtm_status; }')),
        workers => 4);

    srand 1;

    my @ids = 1 .. 7000;
    my @all = shuffle(@ids, map { $ids[rand @ids] } 1 .. 3000);
    my @shares;

    push @{ $shares[$_ % 8] }, $all[$_] for 0 .. $#all;

    my @senders = map {
        my $share = $_;

        child(sub {
            my $c = $t->http;
            my $bad = 0;

            while (@$share) {
                my $n = rand() < 0.5 ? 1 : 2 + int rand 20;
                my @lines = map { "en=t&ep.event_id=$_&ep.n=$_" }
                                splice @$share, 0, $n;

                if (@lines == 1) {
                    $c->request('GET', "/metrics/g/collect?$query&$lines[0]");

                } else {
                    $c->request('POST', "/metrics/g/collect?$query", [],
                                join $crlf, @lines);
                }

                $bad++ if $c->response->{status} != 204;
                $c = $t->http if rand() < 0.1;
            }

            return $bad;
        });
    } @shares;

    is join('', children(@senders)), '0' x 8, 'all are answered 204';

    my %got;

    for my $hit (arrived(1)) {
        my ($args, $body) = @$hit;
        $got{$_}++ for map { /event_id=(\d+)/ }
                           length $body ? split /\r\n/, $body : $args;
    }

    is join(',', sort { $a <=> $b } keys %got), join(',', @ids),
       'exactly the unique ones arrive';
    is scalar(grep { $_ != 1 } values %got), 0, 'each once';

    my $n = $t->status('/status')->{tenants}{'shop.example'};

    is $n->{events}, 10_000, '10,000 events';
    is $n->{duplicate_events}, 3_000, '3,000 duplicates';
    $t->stop;
};


# what was begun first

subtest 'what the killed worker had' => sub {
    my $left = $crashed + 31.5 - time;

    sleep $left if $left > 0;

    passes($crash, 'en=a&ep.event_id=held', 'after 30 seconds');
    duplicate($crash, 'en=a&ep.event_id=held', 'then');
    duplicate($crash, 'en=a&ep.event_id=told', 'what was delivered');
    $crash->stop;
};

done_testing;
