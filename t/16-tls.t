#!/usr/bin/perl

# TLS on both sides, with curl as the client.  Browsers come by HTTP/1.1 and by
# HTTP/2 that ALPN chose; the tagging server is reached under the name that
# sgtm_endpoint gives it, in SNI and in Host, and has to prove that name: one
# with another name, of an unknown authority, or without TLS gets no hit at
# all, and the fallback answers.  The tagging server learns the visitor's
# scheme, host and the address that realip found, masked when something is
# denied, and one request's address never stays for the next on a connection.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my ($missing, $version) = run('curl', '--version');

plan skip_all => 'curl is not there' if $missing;

my $tag = SGTM::Backend->start;


# an authority of our own and certificates that it signs

my $keys = SGTM::Run::dir('keys');


sub openssl {
    my ($status, $out) = run('openssl', @_);

    die "openssl @_: $out\n" if $status;
}


sub authority {
    my ($name) = @_;

    openssl(qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes
               -days 7 -subj), "/CN=$name", '-addext',
            'basicConstraints=critical,CA:TRUE', '-addext',
            'keyUsage=critical,keyCertSign', '-keyout', "$keys/$name.key",
            '-out', "$keys/$name.pem");
}


sub sign {
    my ($name, $authority, $host) = @_;

    openssl(qw(req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj),
            "/CN=$host", '-keyout', "$keys/$name.key", '-out',
            "$keys/$name.csr");

    SGTM::Run::put("$keys/$name.ext", "subjectAltName=DNS:$host\n");

    openssl(qw(x509 -req -days 7 -CAcreateserial -in), "$keys/$name.csr",
            '-CA', "$keys/$authority.pem", '-CAkey', "$keys/$authority.key",
            '-extfile', "$keys/$name.ext", '-out', "$keys/$name.pem");
}


authority($_) for qw(ca stranger);
sign('right', 'ca', 'sgtm.example.com');
sign('wrong', 'ca', 'other.example.com');
sign('unknown', 'stranger', 'sgtm.example.com');
sign('shop', 'ca', 'shop.example');

# the shipped lines; only the authority is another

my $shipped = SGTM::Run::get(SGTM::Run::root()
                             . '/conf-examples/sgtm_proxy.conf');

$shipped =~ s/^#.*\n//mg;

(my $proxy = $shipped) =~ s{(proxy_ssl_trusted_certificate\s+)\S+;}
                           {$1$keys/ca.pem;}
    or die "no proxy_ssl_trusted_certificate in sgtm_proxy.conf\n";


# a tagging server behind TLS: what it is told is recorded

sub tagging {
    my ($port, $cert) = @_;

    return <<"EOC";
    server {
        listen               127.0.0.1:%%PORT$port%% ssl;
        server_name          tagging;
        ssl_certificate      $keys/$cert.pem;
        ssl_certificate_key  $keys/$cert.key;
        access_log           off;

        location / {
            proxy_pass          http://127.0.0.1:@{[ $tag->port ]};
            proxy_http_version  1.1;
            proxy_set_header    Host \$http_host;
            proxy_set_header    X-Seen-Sni \$ssl_server_name;
            proxy_set_header    X-Seen-Tls \$ssl_protocol;
            proxy_set_header    Connection "";
        }
    }
EOC
}


sub gateway {
    my ($prefix, $upstream, $more, $lines) = @_;

    $more ||= '';
    $lines ||= $proxy;

    return <<"EOC";
        location /$prefix/ {
            sgtm        on;
            $more
            proxy_pass  https://$upstream/;
            $lines
        }
EOC
}


sub server {
    my ($port, $more) = @_;

    return <<"EOC";
    server {
        %%LISTEN_H2(127.0.0.1:%%PORT$port%% ssl)%%
        server_name          shop.example;
        ssl_certificate      $keys/shop.pem;
        ssl_certificate_key  $keys/shop.key;

        sgtm_endpoint        sgtm.example.com;
        sgtm_container       GTM-ABC1234;
        sgtm_tag_id          G-ABC1234567;
        sgtm_fallback        client;
        $more
    }
EOC
}

# nginx keeps connections by upstream block and does not look at the name they
# were verified for: names that differ have blocks of their own

my $t = SGTM::Test->start(<<"EOC"
    ssl_protocols  TLSv1.2 TLSv1.3;

    log_format  address  '\$uri|\$remote_addr|\$binary_remote_addr';
    access_log  %%DIR%%/address.log  address;

    upstream right { server 127.0.0.1:%%PORT11%%; keepalive 8; }
    upstream other { server 127.0.0.1:%%PORT11%%; keepalive 8; }
    upstream shipped { server 127.0.0.1:%%PORT11%%; keepalive 8; }
    upstream wrong { server 127.0.0.1:%%PORT12%%; keepalive 8; }
    upstream unknown { server 127.0.0.1:%%PORT13%%; keepalive 8; }
    upstream no_tls { server 127.0.0.1:%%PORT14%%; }

    server {
        listen      127.0.0.1:%%PORT14%%;
        access_log  off;

        location / { proxy_pass http://127.0.0.1:@{[ $tag->port ]}; }
    }
EOC
    . tagging(11, 'right') . tagging(12, 'wrong') . tagging(13, 'unknown')

    . server(1, gateway('right', 'right')
                . gateway('port', 'right',
                          'sgtm_endpoint sgtm.example.com:8443;')
                . gateway('other', 'other', 'sgtm_endpoint other.example.com;')
                . gateway('wrong', 'wrong')
                . gateway('unknown', 'unknown')
                . gateway('shipped', 'shipped', '', $shipped)
                . gateway('no-tls', 'no_tls')
                . gateway('advanced', 'right', 'sgtm_consent_mode advanced;')
                . gateway('none', 'right', 'sgtm_client_ip none;')
                . gateway('masked', 'right', 'sgtm_client_ip masked;')
                . "        location = /status { sgtm_status; }\n")

    # realip at the level of the server, with a header of a CDN
    . server(2, "        set_real_ip_from  127.0.0.1;\n"
                . "        real_ip_header    CF-Connecting-IP;\n"
                . gateway('full', 'right')
                . gateway('advanced', 'right', 'sgtm_consent_mode advanced;')
                . gateway('masked', 'right', 'sgtm_client_ip masked;')
                . "        location = /plain { return 204; }\n")

    # and of the location, with the usual one
    . server(3, join '', map { gateway(@$_) }
             ['full', 'right', 'set_real_ip_from 127.0.0.1; '
                               . 'real_ip_header X-Forwarded-For;'],
             ['advanced', 'right', 'sgtm_consent_mode advanced; '
                                   . 'set_real_ip_from 127.0.0.1; '
                                   . 'real_ip_header X-Forwarded-For;'],
             ['recursive', 'right', 'set_real_ip_from 127.0.0.1; '
                                    . 'set_real_ip_from 10.0.0.0/8; '
                                    . 'real_ip_header X-Forwarded-For; '
                                    . 'real_ip_recursive on;'],
             ['untrusted', 'right', 'set_real_ip_from 10.0.0.0/8; '
                                    . 'real_ip_header X-Forwarded-For;']),
    names => 'shop.example');


my $query = 'v=2&tid=G-ABC1234567&cid=1.2';
my $granted = 'gcs=G111&gcd=13t3t3t3t5l1';
my $denied = 'gcs=G100&gcd=13p3p3p3p5l1';
my $line = "en=a&ep.x=%2520\r\nen=b";


# (status, protocol, header and body) of what curl got

sub curl {
    my ($nth, $uri, @options) = @_;

    my $port = $t->port($nth);
    my ($failed, $out) = run('curl', '--silent', '--show-error', '--include',
        '--max-time', 10, '--noproxy', '*', '--cacert', "$keys/ca.pem",
        '--resolve', "shop.example:$port:127.0.0.1",
        '--write-out', "\n%{http_code} %{http_version}", @options,
        "https://shop.example:$port$uri");

    return { status => 0, http => '', text => $out } if $failed;

    my ($text, $status, $http) = $out =~ /\A(.*)\n(\d+) (\S+)\z/s;

    return { status => $status, http => $http, text => $text };
}


my @protocols = (['--http1.1', '1.1'], ['--http2', '2']);
my @methods = (
    ['GET', "$query&$granted&en=a"],
    ['POST', "$query&$granted", '--data-binary', $line, '-H',
     'Content-Type: text/plain;charset=UTF-8'],
);


subtest 'a hit by TLS to TLS' => sub {
    for my $protocol (@protocols) {
        for my $method (@methods) {
            for my $tls (['--tlsv1.2', '--tls-max', '1.2'], ['--tlsv1.3']) {
                my ($option, $http) = @$protocol;
                my ($name, $args, @options) = @$method;

                $name = "HTTP/$http, $tls->[0], $name";
                $tag->clear;

                my $res = curl(1, "/right/g/collect?$args", $option, @$tls,
                               @options, '-H', 'Cookie: FPID=x; session=1');
                my ($req) = $tag->wait_requests(1, 2);

                is $res->{status}, 204, "$name: answered"
                    or diag $res->{text};
                is $res->{http}, $http, "$name: the protocol that ALPN chose";
                is $req->{uri}, "/g/collect?$args", "$name: arrives";
                is $req->{body}, @options ? $line : '', "$name: its body";
                is header($req, 'X-Seen-Sni'), 'sgtm.example.com',
                   "$name: SNI";
                is header($req, 'Host'), 'sgtm.example.com', "$name: Host";
                is join('|', headers($req, 'X-Forwarded-Proto')), 'https',
                   "$name: X-Forwarded-Proto";
                is join('|', headers($req, 'X-Forwarded-For')), '127.0.0.1',
                   "$name: X-Forwarded-For";
                like header($req, 'X-Forwarded-Host') || '',
                     qr/\Ashop\.example(?::\d+)?\z/,
                     "$name: X-Forwarded-Host";
                is header($req, 'Cookie'), 'FPID=x', "$name: Cookie";
            }
        }
    }
};


# a port is for Host; the name that is asked for and proved has none

subtest 'an endpoint with a port' => sub {
    $tag->clear;
    is curl(1, "/port/g/collect?$query&en=a")->{status}, 204, 'answered';

    my ($req) = $tag->wait_requests(1, 2);
    is header($req, 'X-Seen-Sni'), 'sgtm.example.com', 'SNI';
    is header($req, 'Host'), 'sgtm.example.com:8443', 'Host';
};


my %said = (
    wrong => qr/upstream SSL certificate does not match "sgtm\.example\.com"/,
    other => qr/upstream SSL certificate does not match "other\.example\.com"/,
    unknown => qr/upstream SSL certificate verify error/,
    shipped => qr/upstream SSL certificate verify error/,
    'no-tls' => qr/SSL_do_handshake\(\) failed/,
);

subtest 'who cannot prove the name gets nothing' => sub {
    for my $prefix (sort keys %said) {
        for my $protocol (@protocols) {
            for my $method (@methods) {
                my ($option, $http) = @$protocol;
                my ($name, $args, @options) = @$method;

                $name = "$prefix, HTTP/$http, $name";
                $tag->clear;

                my $before = length $t->error_log;
                my $res = curl(1, "/$prefix/g/collect?$args", $option,
                               @options);

                is $res->{status}, 503, "$name: the fallback answers";
                like $res->{text}, qr/^retry-after: [1-9]\d*\r$/mi,
                     "$name: Retry-After";
                is scalar(grep { $_->{complete} } $tag->requests), 0,
                   "$name: no hit arrives";
                unlike join('', map { $_->{raw} } $tag->requests),
                       qr/G-ABC1234567/, "$name: nor a part of one";
                like substr($t->error_log, $before), $said{$prefix},
                     "$name: the error log says why";
            }
        }

        is curl(1, "/$prefix/gtm.js?id=GTM-ABC1234")->{status}, 502,
           "$prefix: a script gets the error";
    }

    is curl(1, "/right/g/collect?$query&en=a")->{status}, 204,
       'others are not concerned';
};


subtest 'several on one connection' => sub {
    for my $protocol (@protocols) {
        my ($option, $http) = @$protocol;
        my $port = $t->port(1);

        $tag->clear;

        my @urls = map { my $prefix = $_ % 3 ? 'right' : 'wrong';
                         "https://shop.example:$port/$prefix/g/collect?"
                         . "$query&en=e$_" } 1 .. 9;
        my ($failed, $out) = run('curl', '--silent', '--noproxy', '*',
            '--cacert', "$keys/ca.pem", '--max-time', 20, $option,
            '--resolve', "shop.example:$port:127.0.0.1",
            '--output', '/dev/null', '--write-out',
            '%{http_code}:%{num_connects} ', map { ('--output', '/dev/null',
                                                    $_) } @urls);

        $out =~ s/\s+\z//;
        my @codes = map { (split /:/)[0] } split ' ', $out;
        my $connects = 0;
        $connects += (split /:/)[1] for split ' ', $out;

        is join(' ', @codes), join(' ', (204, 204, 503) x 3),
           "HTTP/$http: each has its own answer";
        is $connects, 1, "HTTP/$http: one connection";
        is scalar(() = $tag->wait_requests(6, 2)), 6, "HTTP/$http: six arrive";
    }
};


# [server, prefix, what a client sends, consent, what arrives]

my $cf = 'CF-Connecting-IP';
my $xff = 'X-Forwarded-For';
my $v4 = '203.0.113.77';
my $v6 = '2001:db8:1:2:3:4:5:6';

my @addresses = (
    ['no realip', 1, 'right', ["$xff: $v4", "X-Real-IP: $v4", "$cf: $v4"],
     $granted, '127.0.0.1'],
    ['none', 1, 'none', [], $granted, ''],
    ['masked always', 1, 'masked', [], $granted, '127.0.0.0'],
    ['denied', 1, 'advanced', [], $denied, '127.0.0.0'],
    ['granted', 1, 'advanced', [], $granted, '127.0.0.1'],

    ['server', 2, 'full', ["$cf: $v4"], $granted, $v4],
    ['server, forged beside', 2, 'full', ["$cf: $v4", "$xff: 192.0.2.66"],
     $granted, $v4],
    ['server, IPv6', 2, 'full', ["$cf: $v6"], $granted, $v6],
    ['server, none sent', 2, 'full', [], $granted, '127.0.0.1'],
    ['server, no address', 2, 'full', ["$cf: nonsense"], $granted,
     '127.0.0.1'],
    ['server, denied', 2, 'advanced', ["$cf: $v4"], $denied, '203.0.113.0'],
    ['server, granted', 2, 'advanced', ["$cf: $v4"], $granted, $v4],
    ['server, denied, IPv6', 2, 'advanced', ["$cf: $v6"], $denied,
     '2001:db8:1::'],
    ['server, denied, IPv4 in IPv6', 2, 'advanced', ["$cf: ::ffff:$v4"],
     $denied, qr/\A(?:::ffff:)?203\.0\.113\.0\z/],
    ['server, masked', 2, 'masked', ["$cf: $v6"], $granted, '2001:db8:1::'],

    ['location', 3, 'full', ["$xff: $v4"], $granted, $v4],
    ['location, a list', 3, 'full', ["$xff: 192.0.2.66, $v4"], $granted, $v4],
    ['location, denied', 3, 'advanced', ["$xff: $v4"], $denied,
     '203.0.113.0'],
    ['location, granted', 3, 'advanced', ["$xff: $v4"], $granted, $v4],
    ['location, recursive', 3, 'recursive',
     ["$xff: 192.0.2.66, $v4, 10.1.2.3"], $granted, $v4],
    ['location, untrusted', 3, 'untrusted', ["$xff: $v4"], $granted,
     '127.0.0.1'],
);

subtest 'the visitor\'s address' => sub {
    for my $case (@addresses) {
        my ($what, $nth, $prefix, $headers, $consent, $want) = @$case;

        for my $protocol (@protocols) {
            my ($option, $http) = @$protocol;
            my $name = "$what, HTTP/$http";

            $tag->clear;

            my $res = curl($nth, "/$prefix/g/collect?$query&$consent&en=a",
                           $option, map { ('-H', $_) } @$headers);
            my ($req) = $tag->wait_requests(1, 2);

            is $res->{status}, 204, "$name: answered";

            my $got = join '|', headers($req, $xff);

            ref $want ? like $got, $want, "$name: X-Forwarded-For"
                      : is $got, $want, "$name: X-Forwarded-For";

            unlike $req->{raw}, qr/192\.0\.2\.66|\Q$cf\E/i,
                   "$name: nothing forged";
            unlike $req->{raw}, qr/\Q$v4\E|:2:3:4:5:6/, "$name: nowhere else"
                if $consent eq $denied || $prefix =~ /masked|none|right/;
        }
    }
};


# requests of several visitors on one connection of a CDN

subtest 'one connection, several visitors' => sub {
    for my $http ('1.1', '2') {
        $tag->clear;

        my $mark = length $t->file('address.log');
        my $port = $t->port(2);
        my @args;
        my @want;

        for my $n (1 .. 12) {
            my $deny = $n % 2;
            my $uri = $n % 4 == 0 ? '/plain'
                      : "/advanced/g/collect?$query&en=e$n&"
                        . ($deny ? $denied : $granted);

            push @args, '--next' if @args;
            push @args, "--http$http", '--silent', '--noproxy', '*',
                 '--cacert', "$keys/ca.pem", '--max-time', 10, '--resolve',
                 "shop.example:$port:127.0.0.1", '--output', '/dev/null',
                 '--write-out', '%{http_code} ', '-H', "$cf: 203.0.113.$n",
                 "https://shop.example:$port$uri";
            push @want, [$n, $n % 4 == 0 ? undef
                             : $deny ? '203.0.113.0' : "203.0.113.$n"];
        }

        my ($failed, $out) = run('curl', @args);

        is $out, '204 ' x 12, "HTTP/$http: all answered";

        my %got = map { $_->{uri} =~ /en=e(\d+)/
                        ? ($1 => header($_, $xff)) : () }
                      $tag->wait_requests(9, 3);

        for (@want) {
            my ($n, $address) = @$_;
            is $got{$n}, $address, "HTTP/$http, visitor $n: what arrives";
        }

        wait_for { my @l = split /\n/, substr $t->file('address.log'), $mark;
                   @l >= 12 };

        my @logged = map { (split /\|/)[1] }
                         split /\n/, substr $t->file('address.log'), $mark;
        my @expected = map { defined $_->[1] ? $_->[1] : "203.0.113.$_->[0]" }
                           @want;

        is join(' ', sort @logged), join(' ', sort @expected),
           "HTTP/$http: what the access log says";
    }
};


subtest 'our own script' => sub {
    for my $protocol (@protocols) {
        my $res = curl(1, '/right/t.js', $protocol->[0]);
        is $res->{status}, 200, "HTTP/$protocol->[1]: served";
        unlike $res->{text}, qr{http://}, "HTTP/$protocol->[1]: no plain HTTP";
    }
};

done_testing;
