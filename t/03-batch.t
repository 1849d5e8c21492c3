#!/usr/bin/perl

# Batches: one request whose body holds several events, a line each.  A body
# reaches the tagging server with every line end as it was written, however it
# came: in one piece or byte by byte, chunked, over HTTP/2, kept in memory or
# in a temporary file.  Values of a line hold for its event in place of the
# shared ones, so an id that one line slips in is checked too, and one bad line
# refuses the whole hit: nothing of it is forwarded.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my $tag = SGTM::Backend->start;

my $tenant = <<"EOC";
        server_name      shop.example;

        sgtm_endpoint    sgtm.example.com;
        sgtm_tag_id      G-ABC1234567 G-SECOND1234;

        add_header       X-Events "\$sgtm_events" always;
        add_header       X-Event "\$sgtm_event" always;
        add_header       X-Reason "\$sgtm_reason" always;
EOC

# %%PORT%% keeps bodies in memory, %%PORT3%% in a file as soon as they are
# longer than a short line, %%PORT5%% always in a file

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    server {
        listen           127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        $tenant

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }

        location /small/ {
            sgtm           on;
            sgtm_max_body  1k;
            proxy_pass     http://tagging/;
            include        sgtm_proxy.conf;
        }
    }

    server {
        listen           127.0.0.1:%%PORT3%%;
        %%LISTEN_H2(127.0.0.1:%%PORT4%%)%%
        $tenant

        location /metrics/ {
            sgtm                     on;
            client_body_buffer_size  32;
            proxy_pass               http://tagging/;
            proxy_http_version       1.1;
            proxy_set_header         Connection "";
            proxy_set_header         Host \$sgtm_endpoint;
        }
    }

    server {
        listen           127.0.0.1:%%PORT5%%;
        $tenant

        location /metrics/ {
            sgtm                      on;
            client_body_in_file_only  clean;
            proxy_pass                http://tagging/;
            include                   sgtm_proxy.conf;
        }
    }
EOC

my $shared = 'v=2&tid=G-ABC1234567&cid=1.2&sid=3&dl=https%3A%2F%2Fshop.example'
           . '%2F';
my $scroll = 'en=scroll&epn.percent_scrolled=90';
my $view = 'en=page_view&_et=944';


# The ways that a body takes: each sends it and returns the answer.

sub target {
    my ($query) = @_;

    return "/metrics/g/collect?$query";
}


sub whole {
    my ($nth) = @_;

    return sub {
        my ($query, $body) = @_;

        return $t->request('POST', target($query),
                           ['Content-Type' => 'text/plain;charset=UTF-8'],
                           $body, nth => $nth);
    };
}


sub chunked {
    my ($nth, $size) = @_;

    return sub {
        my ($query, $body) = @_;

        my @coded = map { sprintf "%x\r\n%s\r\n", length, $_ }
                        unpack "(a$size)*", $body;

        return after_head($nth, $query, ['Transfer-Encoding' => 'chunked'],
                          join '', @coded, "0\r\n\r\n");
    };
}


# the body in pieces, one after the other

sub piecewise {
    my ($nth, $size) = @_;

    return sub {
        my ($query, $body) = @_;

        return after_head($nth, $query, ['Content-Length' => length $body],
                          unpack "(a$size)*", $body);
    };
}


# the body comes when the header has been read, so that no part of it is in
# the header's buffer

sub after_head {
    my ($nth, $query, $headers, @pieces) = @_;

    my $c = $t->http(nth => $nth);

    $c->request('POST', target($query), [@$headers, Connection => 'close']);

    for my $piece (@pieces) {
        select undef, undef, undef, @pieces > 100 ? 0.0002 : 0.002;
        $c->send($piece);
    }

    my $res = $c->response;
    $c->close;

    return $res;
}


sub expecting {
    my ($nth) = @_;

    return sub {
        my ($query, $body) = @_;

        return $t->request('POST', target($query),
                           [Expect => '100-continue'], $body, nth => $nth);
    };
}


# frames: bytes a DATA frame, 0 for all at once; length: with Content-Length

sub h2 {
    my ($nth, $frames, $length) = @_;

    return sub {
        my ($query, $body) = @_;

        my $h2 = $t->h2(nth => $nth);
        my @headers = $length ? ('content-length' => length $body) : ();
        my $id = $h2->request('POST', target($query), \@headers, undef,
                              end_stream => 0);
        my @parts = $frames ? unpack "(a$frames)*", $body : $body;

        while (@parts > 1) {
            $h2->data($id, shift @parts, 0);
        }

        $h2->data($id, $parts[0], 1);

        my $res = $h2->response($id);
        $h2->close;

        return $res;
    };
}


my @ways = (
    [ 'memory', whole(1) ],
    [ 'memory, in pieces', piecewise(1, 7) ],
    [ 'memory, chunked', chunked(1, 16) ],
    [ 'memory, chunked byte by byte', chunked(1, 1) ],
    [ 'memory, 100-continue', expecting(1) ],
    [ 'memory, HTTP/2', h2(2, 0, 1) ],
    [ 'memory, HTTP/2 in small frames without a length', h2(2, 5, 0) ],
    [ 'file', piecewise(3, 65536) ],
    [ 'file, in pieces', piecewise(3, 11) ],
    [ 'file, chunked', chunked(3, 16) ],
    [ 'file always', whole(5) ],
    [ 'file always, chunked', chunked(5, 16) ],
    [ 'file, HTTP/2', h2(4, 0, 1) ],
    [ 'file, HTTP/2 in small frames without a length', h2(4, 9, 0) ],
);


# a hit that must arrive as it is, by each of the ways

sub arrives {
    my ($name, $query, $body, %want) = @_;

    subtest $name => sub {
        for my $way (@{ $want{ways} || \@ways }) {
            my ($how, $send) = @$way;

            $tag->clear;

            my $res = $send->($query, $body);
            my @got = $tag->wait_requests(1, 0.2);
            my $got = $got[0] || {};

            is $res->{status}, 204, "$how: forwarded"
                or diag $res->{body};
            is scalar(@got), 1, "$how: once";
            is $got->{uri}, "/g/collect?$query", "$how: the query";
            is $got->{body}, $body, "$how: the body";
            is header($got, 'Content-Length'), length $body,
               "$how: its length";
            is header($got, 'Transfer-Encoding'), undef,
               "$how: not chunked";
            is header($res, 'X-Events'), $want{events}, "$how: events"
                if defined $want{events};
            is header($res, 'X-Event'), $want{event}, "$how: the first"
                if defined $want{event};
        }
    };
}


# A hit that must not: 400 or 403, the reason, the text of the answer, and
# nothing of the value "seCret" in it.  Another hit passes on the same
# connection.

sub refused {
    my ($name, $query, $body, $reason, $text, %want) = @_;

    my $status = $reason eq 'foreign_tag_id' ? 403 : 400;

    subtest $name => sub {
        for my $way (@{ $want{ways} || \@ways }) {
            my ($how, $send) = @$way;

            $tag->clear;

            my $res = $send->($query, $body);

            is $res->{status}, $status, "$how: refused";
            is header($res, 'X-Reason'), $reason, "$how: the reason";
            like header($res, 'Content-Type'), qr{\Atext/plain\b},
                 "$how: as text";
            like $res->{body}, $text, "$how: which parameter";
            like $res->{body}, qr/\A[^\r\n]+\n\z/, "$how: in one line";
            unlike $res->{body}, qr/seCret/, "$how: without the value";
            is $tag->count, 0, "$how: nothing arrives";
        }

        my $c = $t->http;

        for my $hit ([$body, $status], [$scroll, 204]) {
            my $q = $hit->[1] == 204 ? $shared : $query;

            $c->request('POST', target($q), [], $hit->[0]);
            is $c->response->{status}, $hit->[1], "keep-alive: $hit->[1]";
        }

        is $tag->count, 1, 'the good hit alone arrives';
    };
}


# line ends

arrives 'CRLF', $shared, "$scroll\r\n$view", events => 2, event => 'scroll';
arrives 'a trailing CRLF', $shared, "$scroll\r\n$view\r\n",
        events => 2, event => 'scroll';
arrives 'LF', $shared, "$view\n$scroll", events => 2, event => 'page_view';
arrives 'a trailing LF', $shared, "$view\n$scroll\n", events => 2;
arrives 'CRLF and LF', $shared, "$view\n$scroll\r\n$view\n", events => 3;
arrives 'one line', $shared, $view, events => 1, event => 'page_view';
arrives 'one line and its end', $shared, "$view\r\n", events => 1;
arrives 'an empty line between', $shared, "$view\r\n\r\n$scroll";

# the shapes of lines

arrives 'the first line begins with another parameter', $shared,
        "_ee=1&ep.a=b&en=add_to_cart\r\n$scroll",
        events => 2, event => 'add_to_cart';
arrives 'the first line without en', $shared, "ep.a=b&epn.n=1\r\n$scroll";
arrives 'en on the query, lines without', "$shared&en=view_item",
        "pr1=idA~nmTent&_et=1\r\npr1=idB&_et=2", event => 'view_item';
arrives 'repeated, bare and empty keys', $shared,
        "en=a&ep.x=1&ep.x=2&ep.x&ep.y=&&=z&\r\n&en=b&ep.x=1";
arrives 'escapes as they are', "$shared&uafvl=Google%2520Chrome%3B1",
        "en=a&dt=%c3%bc%C3%BC+%20%2B%252B~()!*'&ep.j=%7B%22a%22%3A1%7D\n$view";
arrives 'raw UTF-8', $shared, "en=a&dt=Zelt f\xc3\xbcr zwei \xe2\x9b\xba\n";
arrives 'richsstsse last', "$shared&richsstsse", "$scroll\r\n$view";

# overrides

arrives 'lines that override shared values', "$shared&cu=EUR",
        "en=a&cu=USD&dl=https%3A%2F%2Fshop.example%2Fb&sid=4\r\nen=b&cid=5.6",
        events => 2, event => 'a';
arrives 'the other tag of the tenant in a line', $shared,
        "$scroll\r\nen=a&tid=G-SECOND1234";
arrives 'en in a line overrides that of the query', "$shared&en=shared",
        "en=own\r\nep.a=1", event => 'own';
arrives 'tid in each line only', 'v=2&cid=1.2',
        "$view&tid=G-ABC1234567\r\n$scroll&tid=G-SECOND1234";
arrives 'v in each line only', 'tid=G-ABC1234567&cid=1.2',
        "$view&v=2\r\n$scroll&v=2";

refused 'a foreign tag in the last line', $shared,
        "$view\r\n$scroll&tid=G-SECRET99", 'foreign_tag_id', qr/\Atid: /;
refused 'a foreign tag in the first line', $shared,
        "$view&tid=G-SECRET99\r\n$scroll", 'foreign_tag_id', qr/\Atid: /;
refused 'an escaped key hides no foreign tag', $shared,
        "$view\r\n$scroll&%74id=G-SECRET99", 'foreign_tag_id', qr/\Atid: /;
refused 'no tag id in one line of two', 'v=2&cid=1.2',
        "$view&tid=G-ABC1234567\r\n$scroll", 'no_tag_id', qr/\Atid: /;
refused 'what is no tag id', $shared,
        "$view\r\n$scroll&tid=seCret", 'bad_tag_id', qr/\Atid: /;
refused 'another version in a line', $shared,
        "$view\r\n$scroll&v=1", 'no_version', qr/\Av: /;
refused 'no event anywhere', $shared,
        "ep.a=seCret\r\nep.b=c\r\n", 'no_event', qr/\Aen: /;

# one bad line among good ones, wherever it stands

my %bad = (
    bad_escape => [
        [ 'an escape with other letters', 'en=a&ep.p=seCret%zz' ],
        [ 'an escape cut by the end of the line', 'en=a&ep.p=seCret%2' ],
        [ 'a lone percent sign', 'en=a&ep.p=seCret%&ep.q=1' ],
        [ 'a bad escape in a key', 'en=a&ep.seCret%g0=1' ],
    ],
    bad_byte => [
        [ 'a control character', "en=a&ep.p=seCret\x01" ],
        [ 'a NUL', "en=a&ep.p=seCret\0" ],
        [ 'a NUL, escaped', 'en=a&ep.p=seCret%00' ],
        [ 'a CR inside a line', "en=a&ep.p=seCret\rb" ],
    ],
    bad_utf8 => [
        [ 'a byte that is not UTF-8', "en=a&ep.p=seCret\xff" ],
        [ 'the same, escaped', 'en=a&ep.p=seCret%ff' ],
        [ 'an overlong form', 'en=a&ep.p=seCret%c0%af' ],
        [ 'half of a surrogate pair', 'en=a&ep.p=seCret%ed%a0%80' ],
        [ 'a character cut by the end', 'en=a&ep.p=seCret%e2%82' ],
    ],
);

my @few = @ways[0, 5, 7, 12];
my $named = qr/\A[\w.]+: \S/;

for my $reason (sort keys %bad) {
    for my $case (@{ $bad{$reason} }) {
        my ($name, $line) = @$case;

        refused "$name, in the first line", $shared,
                "$line\r\n$view\r\n$scroll", $reason, $named, ways => \@few;
        refused "$name, in the middle", $shared,
                "$view\n$line\n$scroll", $reason, $named, ways => \@few;
        refused "$name, in the last line", $shared,
                "$view\r\n$scroll\r\n$line", $reason, $named, ways => \@few;
    }
}

# bounds

my @many = map { "en=e$_&_et=$_" } 1 .. 256;

arrives 'as many events as are allowed', $shared, join("\r\n", @many),
        ways => \@few, events => 256;
refused 'one more', $shared, join("\r\n", @many, 'en=seCret'),
        'too_many_events', qr/\A\w+: too many events$/m, ways => \@few;
refused 'too many parameters in a line', $shared,
        "$view\r\nen=a" . '&ep.p=1' x 1100, 'too_many_args',
        qr/\A\w+: too many$/m, ways => \@few;

# a body longer than sgtm_max_body, also when its length is not said before

subtest 'a body over sgtm_max_body' => sub {
    my $body = join "\r\n", ("$view&ep.x=" . 'x' x 100) x 20;
    my $uri = "/small/g/collect?$shared";
    my $coded = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
                         unpack '(a256)*', $body;

    $tag->clear;

    is $t->post($uri, $view)->{status}, 204, 'a short one passes';
    is $t->post($uri, $body)->{status}, 413, 'with a length';
    is $t->request('POST', $uri, ['Transfer-Encoding' => 'chunked'],
                   "${coded}0\r\n\r\n")->{status}, 413, 'chunked';

    my $h2 = $t->h2(nth => 2);
    my $id = $h2->request('POST', $uri, [], undef, end_stream => 0);

    $h2->data($id, $body, 1);
    is $h2->response($id)->{status}, 413, 'HTTP/2';

    is $tag->count, 1, 'the short one alone arrives';
};

# a body that never becomes whole is no hit

subtest 'a body that is cut' => sub {
    $tag->clear;

    for my $way (['length', ['Content-Length' => 100], "$view\r\n$scroll"],
                 ['chunk', ['Transfer-Encoding' => 'chunked'],
                  "20\r\n$view"],
                 ['last chunk', ['Transfer-Encoding' => 'chunked'],
                  sprintf "%x\r\n%s\r\n", length $view, $view])
    {
        my ($name, $headers, $body) = @$way;
        my $c = $t->http;

        $c->send($c->format('POST', target($shared), $headers, $body,
                            host => 'shop.example'));
        $c->shutdown_write;
        ok $c->eof(5), "$name: the connection is closed";
        $c->close;
    }

    my $h2 = $t->h2(nth => 2);
    my $id = $h2->request('POST', target($shared), [], undef,
                          end_stream => 0);

    $h2->data($id, "$view\r\n", 0);
    $h2->rst_stream($id);
    $h2->ping;
    $h2->close;

    is $t->post(target($shared), $scroll)->{status}, 204, 'a whole one';

    my @got = $tag->wait_requests(1);

    is scalar(@got), 1, 'it alone arrives';
    is $got[0]{body}, $scroll, 'with its body';
};

like $t->error_log, qr/client request body is buffered to a temporary file/,
     'bodies were kept in files too';

done_testing;
