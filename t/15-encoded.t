#!/usr/bin/perl

# Hits that hide their whole query in one base64 value.  A gate that reads only
# plain arguments would let them pass unchecked and unredacted.  They are
# recognised in both alphabets, padded or not, with or without a key, under any
# path, and refused; "sgtm_encoded pass" lets them through byte for byte when
# nothing is denied, and since they cannot be redacted, not at all when
# something is.  Another tenant's id inside is refused either way.  Ordinary
# long values are not taken for one.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use MIME::Base64 qw(encode_base64);

my $tag = SGTM::Backend->start;


sub gateway {
    my ($prefix, $more) = @_;

    return <<"EOC";
        location /$prefix/ {
            sgtm        on;
            $more
            proxy_pass  http://tagging/;
            include     %%ROOT%%/conf-examples/sgtm_proxy.conf;
        }
EOC
}

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 8; }

    large_client_header_buffers  4 32k;

    server {
        listen           127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name      shop.example;

        sgtm_endpoint    sgtm.example.com;
        sgtm_container   GTM-ABC1234;
        sgtm_tag_id      G-ABC1234567;
        sgtm_debug       on;

        @{[ gateway('refuse', '') ]}
        @{[ gateway('refuse-basic', 'sgtm_consent_mode basic;') ]}
        @{[ gateway('refuse-advanced', 'sgtm_consent_mode advanced;') ]}
        @{[ gateway('pass', 'sgtm_encoded pass;') ]}
        @{[ gateway('pass-basic',
                    'sgtm_encoded pass; sgtm_consent_mode basic;') ]}
        @{[ gateway('pass-advanced',
                    'sgtm_encoded pass; sgtm_consent_mode advanced;') ]}
        @{[ gateway('pass-dedup', 'sgtm_encoded pass; sgtm_dedup 1h;') ]}
        @{[ gateway('pass-hash',
                    'sgtm_encoded pass; sgtm_user_data hash;') ]}
        @{[ gateway('closed', 'sgtm_passthrough off;') ]}

        location = /status { sgtm_status; }
    }
EOC

my $granted = 'gcs=G111&gcd=13t3t3t3t5l1';
my $denied = 'gcs=G100&gcd=13p3p3p3p5l1';
my $ads = 'gcs=G101&gcd=13p3t3p3p5l1';
my $hit = "v=2&tid=G-ABC1234567&cid=1.2&sid=3&en=page_view&uid=seCret"
          . '&dl=https%3A%2F%2Fshop.example%2F%3Fa%3Db&ep.x=%C3%BC%20~';


# the spellings of one value

my @spellings = (
    ['standard, padded', sub { $_[0] }],
    ['standard, bare', sub { $_[0] =~ s/=+\z//r }],
    ['standard, escaped padding', sub { $_[0] =~ s/=/%3D/gr }],
    ['standard, escaped padding in small letters',
     sub { $_[0] =~ s/=/%3d/gr }],
    ['standard, all signs escaped',
     sub { $_[0] =~ s{([+/=])}{sprintf '%%%02X', ord $1}ger }],
    ['URL-safe, padded', sub { $_[0] =~ tr{+/}{-_}r }],
    ['URL-safe, bare', sub { $_[0] =~ tr{+/}{-_}r =~ s/=+\z//r }],
    ['URL-safe, escaped padding',
     sub { $_[0] =~ tr{+/}{-_}r =~ s/=/%3D/gr }],
    ['letters escaped', sub { $_[0] =~ s/\A(.)/sprintf '%%%02X', ord $1/er }],
);

my @keys = ('', 'd=', 'q=', 'data=', 'a-b=', 'x.y=', '_=');

my @paths = ('g/collect', 'ag/g/c', 'x', 'opaque/path', 'collect', '');


# a query whose base64 has the padding and the signs asked for

sub padded {
    my ($query, $n) = @_;

    $query .= '&ep.pad=';
    $query .= 'a' while (3 - length($query) % 3) % 3 != $n;

    return $query;
}

# "~?" and "~>" at the right places give "+" and "/"

sub with_signs {
    my ($query) = @_;

    for my $n (0 .. 2) {
        my $text = $query . '&ep.' . 'n' x $n . '=~?~?~?~>~>~>~?>~';
        my $code = encode_base64($text, '');
        return $text if $code =~ m{/} && $code =~ /\+/;
    }

    die "no query with both signs\n";
}


sub ask {
    my ($h2, $method, $uri, @headers) = @_;

    my $body = $method eq 'POST' ? '' : undef;

    return $t->request($method, $uri, \@headers, $body) if !$h2;

    my $c = $t->h2(nth => 2);
    my $res = $c->response($c->request($method, $uri, \@headers, $body));
    $c->close;

    return $res;
}


sub refused {
    my ($name, $uri, %opt) = @_;

    $tag->clear;

    my $res = ask($opt{h2}, $opt{method} || 'GET', $uri);
    my $want = $opt{status} || 400;

    is $res->{status}, $want, "$name: refused" or diag $uri;
    is header($res, 'Sgtm-Disposition'), 'refused', "$name: disposition";
    like header($res, 'Sgtm-Reason'), $opt{reason} || qr/\Aencoded\z/,
         "$name: reason";
    like $res->{body}, qr/\A[^\r\n]+\n\z/, "$name: one line says why";
    unlike $res->{body}, qr/seCret|[A-Za-z0-9+\/]{20}/,
           "$name: without the value";
    is $tag->count, 0, "$name: nothing arrives";
}


# byte for byte

sub arrives {
    my ($name, $uri, %opt) = @_;

    $tag->clear;

    my $res = ask($opt{h2}, $opt{method} || 'GET', $uri,
                  @{ $opt{headers} || [] });
    my ($req) = $tag->wait_requests(1, 2);

    (my $want = $uri) =~ s{\A/[^/]+}{};

    is $res->{status}, 204, "$name: answered" or diag $uri, "\n", $res->{body};
    is $req && $req->{uri}, $want, "$name: as it is";
}


sub dropped {
    my ($name, $uri, %opt) = @_;

    $tag->clear;

    my $res = ask($opt{h2}, $opt{method} || 'GET', $uri,
                  @{ $opt{headers} || [] });

    is $res->{status}, 204, "$name: answered 204" or diag $res->{body};
    is header($res, 'Sgtm-Disposition'), 'denied', "$name: disposition";
    is $tag->count, 0, "$name: nothing arrives";
}


subtest 'spellings' => sub {
    for my $n (0 .. 2) {
        my $query = padded(with_signs("$hit&$granted"), $n);
        my $code = encode_base64($query, '');

        is $code =~ /(=*)\z/ && length $1, $n, "padding of $n";

        for my $spelling (@spellings) {
            my ($name, $spell) = @$spelling;
            my $value = $spell->($code);

            for my $key (@keys) {
                # a bare value that ends in "=" is a key then, as it must be
                my $what = "$name, padding $n, key \"$key\"";

                refused($what, "/refuse/g/collect?$key$value");
                arrives($what, "/pass/g/collect?$key$value");
            }
        }
    }
};


subtest 'paths, methods, modes' => sub {
    my $value = encode_base64(padded("$hit&$granted", 0), '');

    for my $path (@paths) {
        for my $h2 (0, 1) {
            for my $method (qw(GET POST)) {
                my $name = "$path, $method" . ($h2 ? ', HTTP/2' : '');
                my %opt = (h2 => $h2, method => $method);

                refused("$name, off", "/refuse/$path?d=$value", %opt);
                refused("$name, basic", "/refuse-basic/$path?d=$value", %opt);
                refused("$name, advanced", "/refuse-advanced/$path?$value",
                        %opt);
                arrives("$name, off", "/pass/$path?d=$value", %opt);
                arrives("$name, basic", "/pass-basic/$path?d=$value", %opt);
                arrives("$name, advanced", "/pass-advanced/$path?$value",
                        %opt);
            }
        }
    }

    refused('where other paths are closed', "/closed/g/collect?d=$value");
};


# where v and tid stand, how long it is

my @queries = (
    ['v at the end', "tid=G-ABC1234567&cid=1.2&en=a&$granted&v=2"],
    ['v in the middle', "tid=G-ABC1234567&cid=1.2&v=2&en=a&$granted"],
    ['an escaped key', "%76=2&tid=G-ABC1234567&cid=1.2&en=a&$granted"],
    ['a long one', "$hit&$granted&ep.n=" . 'n' x 9000],
    ['a batch of keys', "$hit&$granted" . join '', map { "&ep.k$_=$_" }
                                                   1 .. 20],
    ['a leading separator', "&$hit&$granted"],
    ['a leading question mark', "?$hit&$granted"],
    ['a path before it', "/g/collect?$hit&$granted"],
    ['a trailing line end', "$hit&$granted\r\n"],
);

subtest 'queries' => sub {
    for my $case (@queries) {
        my ($name, $query) = @$case;
        my $value = encode_base64($query, '') =~ tr{+/}{-_}r =~ s/=//gr;

        refused($name, "/refuse/x?d=$value");
        refused("$name, bare", "/refuse/g/collect?$value");
    }
};


# what is denied inside, or from outside, cannot be cut out

subtest 'denied' => sub {
    for my $case (['everything', $denied], ['ads only', $ads],
                  ['nothing said', 'a=b'],
                  ['nothing set', 'gcs=G1--&gcd=13l3l3l3l1l1'])
    {
        my ($name, $consent) = @$case;

        for my $key ('', 'd=') {
            for my $path ('g/collect', 'x') {
                my $value = encode_base64(padded("$hit&$consent", 0), '');
                my $what = "$name, $path, key \"$key\"";

                for my $mode (qw(basic advanced)) {
                    dropped("$what, $mode", "/pass-$mode/$path?$key$value");
                }

                arrives("$what, off", "/pass/$path?$key$value");
            }
        }
    }

    my $value = encode_base64(padded("$hit&$granted", 0), '');

    for my $mode (qw(basic advanced)) {
        dropped("Sec-GPC, $mode", "/pass-$mode/g/collect?d=$value",
                headers => ['Sec-GPC' => 1]);
        dropped("Sec-GPC, $mode, HTTP/2 POST", "/pass-$mode/x?$value",
                h2 => 1, method => 'POST', headers => ['Sec-GPC' => 1]);
    }

    arrives('Sec-GPC, off', "/pass/g/collect?d=$value",
            headers => ['Sec-GPC' => 1]);
};


# the ids inside are checked as anywhere

subtest 'foreign ids' => sub {
    my @foreign = (
        ['one', "v=2&tid=G-FOREIGN123&cid=1.2&en=a&$granted"],
        ['the second of two', "$hit&$granted&tid=G-FOREIGN123"],
        ['the first of two', "v=2&tid=G-FOREIGN123&en=a&$granted"
                             . '&tid=G-ABC1234567'],
        ['an escaped key', "v=2&%74id=G-FOREIGN123&en=a&$granted"],
        ['an escaped value', "v=2&tid=G-%46OREIGN123&en=a&$granted"],
    );

    for my $case (@foreign) {
        my ($name, $query) = @$case;

        for my $key ('', 'd=') {
            my $value = encode_base64(padded($query, 0), '');

            refused("$name, $_, key \"$key\"", "/$_/g/collect?$key$value",
                    status => 403, reason => qr/\A\w+\z/)
                for qw(pass pass-basic pass-advanced);
        }
    }

    for my $case (['none at all', 'v=2&cid=1.2&en=a'],
                  ['no id', 'v=2&tid=seCret&cid=1.2&en=a'])
    {
        my ($name, $query) = @$case;
        my $value = encode_base64(padded("$query&$granted", 0), '');

        refused($name, "/pass/g/collect?d=$value", reason => qr/\A\w+\z/);
    }
};


# the lines beside it can be read, and are

subtest 'a body' => sub {
    my $value = encode_base64(padded("$hit&$granted", 0), '');

    my $post = sub {
        my ($prefix, $body) = @_;

        $tag->clear;

        my $res = $t->post("/$prefix/g/collect?$value", $body);
        my ($req) = $tag->wait_requests($res->{status} == 204 ? 1 : 0, 1);

        return ($res, $req);
    };

    my ($res, $req) = $post->('pass', "en=b&ep.event_id=1\r\nen=c\r\n");

    is $res->{status}, 204, 'lines pass';
    is $req->{uri}, "/g/collect?$value", 'with their query';
    is $req->{body}, "en=b&ep.event_id=1\r\nen=c\r\n", 'as they are';

    for my $case (['of another tenant', "en=b\r\nen=c&tid=G-FOREIGN123", 403],
                  ['that is no hit', "en=b&ep.a=%ff", 400])
    {
        my ($name, $body, $status) = @$case;

        for my $prefix (qw(pass pass-basic pass-advanced)) {
            ($res) = $post->($prefix, $body);
            is $res->{status}, $status, "one $name, $prefix: refused";
            is $tag->count, 0, 'nothing arrives';
        }
    }

    ($res) = $post->('pass-advanced', "en=b\r\nen=c&$denied");
    is header($res, 'Sgtm-Disposition'), 'denied', 'one that denies: denied';
    is $tag->count, 0, 'nothing arrives';

    ($res) = $post->('pass-hash', "en=b&ep.user_data.email=seCret%40a.example");
    is header($res, 'Sgtm-Disposition'), 'denied',
       'one with user data that is not hashed: denied';
    is $tag->count, 0, 'nothing arrives';

    $post->('pass-dedup', "en=b&ep.event_id=1");
    ($res, $req) = $post->('pass-dedup',
                           "en=b&ep.event_id=1\r\nen=c&ep.event_id=2");
    is $req->{body}, 'en=c&ep.event_id=2', 'one that was seen before leaves';

    ($res) = $post->('pass-dedup', 'en=c&ep.event_id=2');
    is header($res, 'Sgtm-Disposition'), 'duplicate', 'or all of them';
};


# what looks alike and is something else

my $long = 'n' x 200;

my @ordinary = (
    ['a hit with an encoded value',
     "g/collect?v=2&tid=G-ABC1234567&cid=1.2&en=a&$granted&ep.d="
     . encode_base64($hit, '') =~ s/=//gr],
    ['JSON', 'x?d=' . encode_base64("{\"v\":2,\"tid\":\"G-A\",\"n\":\"$long\"}",
                                    '') =~ s/=//gr],
    ['another version', 'x?d=' . encode_base64(
        "v=1&tid=G-ABC1234567&en=a&ep.n=$long", '') =~ s/=//gr],
    ['a version that begins alike', 'x?d=' . encode_base64(
        "v=20&tid=G-ABC1234567&en=a&ep.n=$long", '') =~ s/=//gr],
    ['another key that ends alike', 'x?d=' . encode_base64(
        "av=2&tid=G-ABC1234567&en=a&ep.n=$long", '') =~ s/=//gr],
    ['a URL with v=2', 'x?d=' . encode_base64(
        "https://shop.example/?v=2&a=$long", '') =~ s/=//gr],
    ['v=2 in a value', 'x?d=' . encode_base64(
        "a=v%3D2&b=$long", '') =~ s/=//gr],
    ['plain text', 'x?d=' . encode_base64("lorem ipsum $long", '')
        =~ s/=//gr],
    ['bytes', 'x?d=' . encode_base64(join('', map { chr } 0 .. 255), '')
        =~ s/=//gr],
    ['hexadecimal', 'x?d=' . 'deadbeef' x 40],
    ['one letter', "x?$long"],
    ['no base64', 'x?d=' . 'ab.~' x 50],
    ['padding in the middle', 'x?d=' . substr(encode_base64($hit, ''), 0, 40)
        . '=' . substr(encode_base64($hit, ''), 40) =~ s/=//gr],
    ['an opaque path', 'as/p/c/' . encode_base64($hit, '') =~ tr{+/}{-_}r
        =~ s/=//gr],
    ['a value beside others', "x?a=b&d=" . encode_base64("x=$long", '')
        =~ s/=//gr . '&c'],
    ['a short one', 'x?d=abcd'],
    ['no value', 'x?d='],
    ['nothing', 'x?'],
    ['a script', 'gtm.js?id=GTM-ABC1234'],
);

subtest 'ordinary values' => sub {
    for my $case (@ordinary) {
        my ($name, $uri) = @$case;

        for my $prefix (qw(refuse pass refuse-advanced)) {
            my $target = "/$prefix/$uri";

            # "?" without arguments may go
            $target =~ s/\?\z//;
            arrives("$name, $prefix", $target);
        }
    }
};


subtest 'counted' => sub {
    my $count = sub { $t->status('/status')->{tenants}{'shop.example'} };
    my $before = $count->();
    my $value = encode_base64(padded("$hit&$granted", 0), '');

    $t->get("/refuse/g/collect?d=$value");
    $t->get("/pass/g/collect?d=$value");
    $t->get('/pass-basic/g/collect?d=' . encode_base64("$hit&$denied", ''));

    wait_for { $count->()->{hits}{denied} > $before->{hits}{denied} };
    my $now = $count->();

    is $now->{hits}{$_} - $before->{hits}{$_}, 1, $_
        for qw(refused forwarded denied);
    is $now->{reasons}{encoded} - $before->{reasons}{encoded}, 1,
       'with its reason';
};

unlike $t->error_log, qr/seCret|c2VDcmV0/, 'the error log has no value';

my ($failed, $said) = nginx_t(<<'EOC');
    server {
        listen 127.0.0.1:%%PORT%%;
        sgtm_encoded  maybe;
    }
EOC
isnt $failed, 0, 'another value of sgtm_encoded is an error';
like $said, qr/"maybe"/, 'that names it';

done_testing;
