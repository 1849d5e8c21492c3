#!/usr/bin/perl

# The fidelity law: what no rule touches reaches the tagging server byte for
# byte, in the same order.  Every request of t/corpus goes through a gateway as
# the client wrote it, over HTTP/1.1, over HTTP/2 (a third of them) and over
# TLS, and what the tagging server recorded is compared with what was sent.
# It guards against a query that is printed anew, a body that loses its last
# line end, a cookie of the shop or a forged address that slips through.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my $corpus = "$FindBin::Bin/corpus";

# cookies that may reach the tagging server

my $allowed = qr/\A(?: _ga | _ga_.* | _gid | FPID | FPLC | FPGSID | _dcid
                     | _gcl_.* | FPAU | FPGCL.* | _fbp | _fbc
                     | gtm_auth | gtm_debug | gtm_preview )\z/x;

# what a client, a CDN or an attacker puts in front of a hit: nothing of it may
# arrive; the address and "forged" occur nowhere else in the corpus

my $forged_re = qr/192\.0\.2\.66|forged/i;

my @forged = (
    'X-Forwarded-For: 192.0.2.66',
    'X-Forwarded-For: 192.0.2.66, 192.0.2.66',
    'X-Forwarded-Host: forged.example',
    'X-Forwarded-Proto: forged',
    'X-Forwarded-Port: 192.0.2.66',
    'X-Forwarded-Server: forged.example',
    'Forwarded: for=192.0.2.66;host=forged.example;proto=https',
    'X-Real-IP: 192.0.2.66',
    'X-Client-IP: 192.0.2.66',
    'X-Cluster-Client-IP: 192.0.2.66',
    'X-Original-Forwarded-For: 192.0.2.66',
    'X-Envoy-External-Address: 192.0.2.66',
    'X-Remote-Addr: 192.0.2.66',
    'Client-IP: 192.0.2.66',
    'True-Client-IP: 192.0.2.66',
    'CF-Connecting-IP: 192.0.2.66',
    'CF-Connecting-IPv6: 192.0.2.66',
    'CF-Pseudo-IPv4: 192.0.2.66',
    'CF-IPCountry: forged',
    'Fastly-Client-IP: 192.0.2.66',
    'Fly-Client-IP: 192.0.2.66',
    'X-Azure-ClientIP: 192.0.2.66',
    'X-Akamai-Edgescape: forged',
    'CloudFront-Viewer-Address: 192.0.2.66:443',
    'CloudFront-Viewer-Country: forged',
    'X-Appengine-User-IP: 192.0.2.66',
    'X-Appengine-Country: forged',
    'X-Appengine-Region: forged',
    'X-Appengine-City: forged',
    'X-Appengine-CityLatLong: forged',
    'X-Gclb-Country: forged',
    'X-Gclb-Region: forged',
    'X-Gclb-City: forged',
    'X-Forwarded-Country: forged',
    'X-Forwarded-Region: forged',
    'X-Forwarded-CountryRegion: forged',
    'Via: 1.1 forged',
    'Authorization: Bearer forged',
    'Proxy-Authorization: Basic forged',
    'Cookie: session=forged; admin=forged',
    'X-Csrf-Token: forged',
    'X-Original-URL: /forged',
    'X-Rewrite-URL: /forged',
    'X-HTTP-Method-Override: forged',
    'X_Forwarded_For: 192.0.2.66',
    'X_Real_IP: 192.0.2.66',
    'Keep-Alive: forged',
    'TE: forged',
);

# headers that arrive as they were sent; the second list comes from the gateway,
# and no third kind may arrive

my @kept = qw(
    User-Agent Referer Origin Accept Accept-Language Accept-Encoding
    Content-Type Cache-Control Pragma Priority Save-Data DNT Sec-GPC
    Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-CH-UA-Platform-Version
    Sec-CH-UA-Model Sec-CH-UA-Full-Version-List
    Sec-Fetch-Site Sec-Fetch-Mode Sec-Fetch-Dest
    Attribution-Reporting-Eligible X-Gtm-Server-Preview
);

my %known = map { lc $_ => 1 } @kept,
    qw(Host Content-Length Cookie X-Forwarded-For X-Forwarded-Host
       X-Forwarded-Proto);

# statuses of the tagging server in turn: each must come back

my @statuses = (204, 200, 202, 302, 400, 404);

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    my $status = $statuses[$req->{n} % @statuses];

    return $status == 204 ? 204 : [$status, [], "answer $req->{n}\n"];
});

my $secrets = SGTM::Run::dir('secrets');

SGTM::Run::put("$secrets/mp", "aB3dE6gH9-_exampleSecret0\n");
chmod 0600, "$secrets/mp";

my $gateway = <<"EOC";
        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }
EOC

my $tenant = <<"EOC";
        server_name        shop.example;

        sgtm_endpoint      sgtm.example.com;
        sgtm_container     GTM-ABC1234;
        sgtm_tag_id        G-ABC1234567 G-SECOND1234 AW-123456789;
        sgtm_api_secret    $secrets/mp;
EOC

# the Measurement Protocol has no word for two of the four

my $servers = 'sgtm_consent_server ad_storage=granted ad_user_data=granted
               analytics_storage=granted ad_personalization=granted;';

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    server {
        listen             127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        listen             127.0.0.1:%%PORT3%% ssl;
        ssl_certificate      %%CERT%%;
        ssl_certificate_key  %%KEY%%;
        $tenant
        underscores_in_headers  on;
        $gateway
    }

    server {
        listen             127.0.0.1:%%PORT4%%;
        $tenant
        sgtm_consent_mode  advanced;
        $servers
        $gateway
    }

    server {
        listen             127.0.0.1:%%PORT6%%;
        $tenant
        sgtm_consent_mode  basic;
        $servers
        $gateway
    }

    server {
        listen             127.0.0.1:%%PORT5%%;
        $tenant
        sgtm_remove_param  _p;
        $gateway
    }
EOC


# the table of the corpus' README

sub listed {
    my %file;

    open(my $fh, '<', "$corpus/README.md") or die "$corpus/README.md: $!\n";

    while (<$fh>) {
        next if !/^\| `(\d{3}-[a-z0-9-]+\.http)` \| (\w+) \| \S.* \|$/;
        die "$1 is listed twice\n" if $file{$1};
        $file{$1} = $2;
    }

    return %file;
}


sub load {
    my ($name) = @_;

    open(my $fh, '<', "$corpus/$name") or die "$name: $!\n";
    binmode $fh;

    my $raw = do { local $/; <$fh> };
    my ($head, $body) = split /\r\n\r\n/, $raw, 2;

    die "$name: no empty line\n" if !defined $body;

    my ($line, @lines) = split /\r\n/, $head, -1;
    my ($method, $uri, $version) = split / /, $line, -1;

    return {
        name => $name, raw => $raw, line => $line, lines => \@lines,
        method => $method, uri => $uri, version => $version, body => $body,
        headers => [map { /\A([^:]+): ?(.*)\z/s ? [$1, $2] : [$_, undef] }
                        @lines],
    };
}


# what is wrong with a file of the corpus

sub malformed {
    my ($hit) = @_;

    my @bad;
    my $length = header($hit, 'Content-Length');

    push @bad, 'request line'
        if $hit->{line} !~ m{\A(?:GET|POST) /metrics/\S*\?\S+ HTTP/1\.1\z};
    push @bad, 'a header line' if grep { !defined $_->[1] || /[\r\n]/ }
                                       @{ $hit->{headers} };
    push @bad, 'a bare LF in the header' if grep { /\n/ } @{ $hit->{lines} };
    push @bad, 'Host' if join(' ', headers($hit, 'Host')) ne 'shop.example';
    push @bad, 'Content-Length'
        if (defined $length ? $length : 0) != length $hit->{body};
    push @bad, 'a tag id that is not ours'
        if $hit->{raw} =~ /\b(?!G-ABC1234567\b|G-SECOND1234\b)G-[A-Z0-9]{6,}/;
    push @bad, 'a mark of the test itself' if $hit->{raw} =~ $forged_re;

    for my $host ($hit->{raw} =~ m{(?::|%3A)(?://|%2F%2F)([\w.-]+)}gi) {
        push @bad, "host $host" if $host !~ /\.example\z/;
    }

    for my $ip ($hit->{raw} =~ /(?:uip=|for=|-For: |-IP: |override":")
                                (\d+(?:\.\d+){3})/gx)
    {
        push @bad, "address $ip"
            if $ip !~ /\A(?:192\.0\.2|198\.51\.100|203\.0\.113)\./;
    }

    return @bad;
}


# the cookies of a request that may pass, in order

sub cookies {
    my ($hit) = @_;

    return grep { /\A([^=]*)=/ && $1 =~ $allowed }
                map { split /; */ } headers($hit, 'Cookie');
}


# What differs between a hit as it was sent and as it arrived; an empty list
# when nothing does.

sub differences {
    my ($hit, $got, %want) = @_;

    return 'it did not arrive' if !$got;

    my @bad;

    my $same = sub {
        my ($what, $have, $want) = @_;

        return if defined $have ? defined $want && $have eq $want
                                : !defined $want;

        push @bad, sprintf "%s: got  %s\n%s  sent %s", $what,
                           defined $have ? $have : 'none', ' ' x length $what,
                           defined $want ? $want : 'none';
    };

    my $once = sub {
        my ($name, $want) = @_;
        $same->($name, join(' | ', headers($got, $name)), $want);
    };

    (my $uri = $hit->{uri}) =~ s{\A/metrics/}{/};

    $same->('complete', $got->{complete}, 1);
    $same->('method', $got->{method}, $hit->{method});
    $same->('URI', $got->{uri}, $uri);
    $same->('body', $got->{body}, $hit->{body});

    $once->('Host', 'sgtm.example.com');
    $once->('X-Forwarded-For', $want{address});
    $once->('X-Forwarded-Host', 'shop.example');
    $once->('X-Forwarded-Proto', $want{proto});

    my @cookies = cookies($hit);

    $same->('Cookie', join('|', headers($got, 'Cookie')),
            join('; ', @cookies));

    for my $name (@kept) {
        my @sent = headers($hit, $name);
        $same->($name, join(' | ', headers($got, $name)), join ' | ', @sent);
    }

    push @bad, map { "$_->[0]: $_->[1]" } grep { !$known{lc $_->[0]} }
                   @{ $got->{headers} };
    push @bad, "forged: $1" if $got->{raw} =~ /^([^\r\n]*?$forged_re.*?)\r$/m;

    return @bad;
}


# sends bytes, returns what arrived and whether the answer came back

sub exchange {
    my ($hit, $send, %want) = @_;

    $tag->clear;

    my $res = eval { $send->() };
    my $error = $@;
    my @got = $tag->wait_requests(1, 2);
    my @bad = differences($hit, $got[0], %want);

    push @bad, "no answer: $error" if $error;
    push @bad, sprintf '%d requests arrived', scalar @got if @got > 1;

    if ($res && @got) {
        my $status = $statuses[$got[0]{n} % @statuses];
        my $body = $status == 204 ? '' : "answer $got[0]{n}\n";

        push @bad, "status $res->{status} instead of $status"
            if $res->{status} != $status;
        push @bad, "answer \"$res->{body}\"" if $res->{body} ne $body;

    } elsif ($res) {
        push @bad, "status $res->{status}: $res->{body}";
    }

    return @bad;
}


sub over_http {
    my ($port, $raw) = @_;

    my $c = SGTM::HTTP->connect(port => $t->port($port),
                                local => '127.0.0.2', @_[2 .. $#_]);
    my $res = $c->send($raw)->response;

    $c->close;

    return $res;
}


# as browsers do it: names in lower case, no connection headers, one field a
# cookie (RFC 9113, 8.2.3)

sub over_h2 {
    my ($hit) = @_;

    my $h2 = SGTM::H2->connect(port => $t->port(2), local => '127.0.0.2',
                               authority => 'shop.example');
    my @headers;

    for (@{ $hit->{headers} }) {
        my ($name, $value) = (lc $_->[0], $_->[1]);

        next if $name eq 'host' || $name eq 'connection';

        push @headers, map { $name => $_ }
                           $name eq 'cookie' ? split /; /, $value : $value;
    }

    my $id = $h2->request($hit->{method}, $hit->{uri}, \@headers,
                          length $hit->{body} ? $hit->{body} : undef);
    my $res = $h2->response($id);

    $h2->close;

    return $res;
}


my %listed = listed();
my @files = map { m{([^/]+)\z} } sort glob "$corpus/*.http";
my @hits = map { load($_) } @files;

subtest 'the corpus' => sub {
    is join("\n", sort keys %listed), join("\n", @files),
       'every file has its line in README.md, every line its file';

    cmp_ok scalar(@hits), '>=', 70, 'it is large enough';
    cmp_ok scalar(grep { $listed{$_} eq 'granted' } @files), '>=', 60,
           'enough of it grants everything';

    for my $hit (@hits) {
        is join(', ', malformed($hit)), '', "$hit->{name} is well formed";
    }
};

my %http = (address => '127.0.0.2', proto => 'http');
my %https = (address => '127.0.0.1', proto => 'https');

subtest 'HTTP/1.1' => sub {
    for my $hit (@hits) {
        my @bad = exchange($hit, sub { over_http(1, $hit->{raw}) }, %http);
        is join("\n", @bad), '', $hit->{name};
    }
};

subtest 'HTTP/1.1, with forged headers' => sub {
    for my $hit (@hits) {
        my ($line, $rest) = split /\r\n/, $hit->{raw}, 2;

        # nginx refuses two of these itself
        my @lines = grep { !/\AAuthorization:/
                           || !defined header($hit, 'Authorization') } @forged;
        my $raw = join "\r\n", $line, @lines, $rest;
        my @bad = exchange($hit, sub { over_http(1, $raw) }, %http);

        is join("\n", @bad), '', $hit->{name};
    }
};

subtest 'HTTP/2' => sub {
    for my $hit (grep { /\A(\d+)/ && $1 % 3 == 1 } @files) {
        ($hit) = grep { $_->{name} eq $hit } @hits;
        my @bad = exchange($hit, sub { over_h2($hit) }, %http);

        is join("\n", @bad), '', $hit->{name};
    }
};

subtest 'TLS' => sub {
    for my $hit (grep { $_->{name} =~ /purchase|batch-crlf-trailing/ } @hits) {
        my @bad = exchange($hit, sub {
            over_http(3, $hit->{raw}, local => undef, tls => 1,
                      servername => 'shop.example');
        }, %https);

        is join("\n", @bad), '', $hit->{name};
    }
};

subtest 'several hits on one connection' => sub {
    my $c = SGTM::HTTP->connect(port => $t->port, local => '127.0.0.2');

    for my $hit (grep { $_->{name} =~ /batch/ } @hits) {
        my @bad = exchange($hit, sub { $c->send($hit->{raw})->response },
                           %http);
        is join("\n", @bad), '', $hit->{name};
    }
};

# a mode that removes something must leave alone who granted everything

for my $mode ([advanced => 4], [basic => 6]) {
    my ($name, $port) = @$mode;

    subtest "consent mode $name, everything granted" => sub {
        for my $hit (grep { $listed{$_->{name}} =~ /\A(?:granted|mp)\z/ }
                          @hits)
        {
            my @bad = exchange($hit, sub { over_http($port, $hit->{raw}) },
                               %http);
            is join("\n", @bad), '', $hit->{name};
        }
    };
}

# the comparison itself: a gateway that takes one parameter away is noticed

subtest 'a difference is found' => sub {
    my ($hit) = grep { $_->{uri} =~ /&_p=/ } @hits;
    my @bad = exchange($hit, sub { over_http(5, $hit->{raw}) }, %http);

    is scalar(@bad), 1, 'one difference';
    like $bad[0], qr/\AURI: /, 'it is the query';
};

done_testing;
