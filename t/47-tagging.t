#!/usr/bin/perl

# Which of the scripts a tenant gets, and with which settings: by directives and
# by records, also while records change.  What a page may insist on (the hash in
# the status) is what is served; the memory for scripts stays small however many
# tenants there are; and 200 settings that would like to be code are refused or
# are data.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Digest::SHA ();
use IO::Uncompress::Gunzip ();
use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('records');
my $file = "$dir/tenants.json";
my $crowd = 3000;


# puts records in place at once, as editors do

sub records {
    my (@records) = @_;

    SGTM::Run::put("$file.new", $json->encode({ tenants => \@records }));
    rename "$file.new", $file or die "rename: $!\n";
}

my %a = (
    id         => 'shop-a',
    hosts      => ['a.example'],
    tag_ids    => ['AW-123456789', 'G-AAAAAAAAAA'],
    containers => ['GTM-AAAAAAA'],
    tagging    => 'light',
    residency  => 'eu',
    events     => { scroll => 'off', purchase => 'server', click => 'both',
                    view_item => 'client' },
);

my %b = (id => 'shop-b', hosts => ['b.example'], tag_ids => ['G-BBBBBBBBBB'],
         tagging => 'gtag', tier => 'starter');

# of a server block that is for light

my %c = (id => 'shop-c', hosts => ['c.example'], tagging => 'gtm');

records(\%a, \%b, \%c);

my $tag = SGTM::Backend->start;

# bytes in gzip, as they are served

my %most = (light => 7000, loader => 2000, starter => 1200);

my @cases;

for my $tagging (qw(gtm gtag light)) {
    for my $tier (qw(enterprise professional starter)) {
        push @cases, [$tagging, $tier, $tagging eq 'light' ? 'light'
                                       : $tier eq 'starter' ? 'starter'
                                       : 'loader'];
    }
}

my $PROXY = 'sgtm on; proxy_pass http://tagging/; sgtm_fallback off;';

# what a location can be called

my @names = (
    '</script><script>alert(1)</script>', '<!--', '-->', ']]>', '<![CDATA[',
    '"', "'", '\\', '\\\\', '\\"', '");alert(1);("', "');alert(1);('",
    '`${alert(1)}`', '${alert(1)}', '{{alert(1)}}', '"}),alert(1),({"',
    "\n", "\r\n", "\ralert(1)", "\nalert(1)//", "\x01", "\x07\x1b[2J",
    "\x7f", "\x80", "\xff", "\xc3\x28", "\xe2\x80\xa8alert(1)//",
    "\xe2\x80\xa9", "\xef\xbb\xbf", "\xed\xa0\x80", "\xf0\x9f\x92\xa9",
    '__proto__', 'constructor', 'javascript:alert(1)', 'data:text/html,x',
    'https:evil.example', 'http:\\\\evil.example', '@evil.example',
    '%0aalert(1)', '%22', '\\u0022', '\\x3cscript', '&quot;', '&#34;',
    '<img src=x onerror=alert(1)>', '?a=b&c=d', '#fragment', ';alert(1)',
    '/*', '*/alert(1)/*', '//alert(1)', "\t", ' ', '+', '|', '^', '~',
);

my $locations = join '', map {
    my $name = "/h$_/$names[$_]/";
    $name =~ s/(["\\\$])/\\$1/g;
    qq{    location "$name" { $PROXY }\n}
} grep { $names[$_] !~ /\$/ } 0 .. $#names;

my $combinations = join '', map {
    "    location /$_->[0]-$_->[1]/ { $PROXY sgtm_tagging $_->[0];"
    . " sgtm_tier $_->[1]; }\n"
} @cases;

my $t = SGTM::Test->start(<<"EOT");
upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

sgtm_tenants  file=$file;
sgtm_tagging  light;

keepalive_requests  100000;

server {
    listen          127.0.0.1:%%PORT%%;
    server_name     _;
    sgtm_endpoint   sgtm.example.com;

    location /metrics/ { $PROXY }
    location = /status { sgtm_status; }
}

server {
    listen          127.0.0.1:%%PORT%%;
    server_name     shop.example;
    sgtm_endpoint   sgtm.example.com;
    sgtm_container  GTM-SSSSSSS;
    sgtm_tag_id     AW-123456789 G-SSSSSSSSSS;

$combinations
    location /inherited/ { $PROXY }

    location /no-container/ {
        $PROXY
        sgtm_tagging    gtm;
        sgtm_container  GTM-SSSSSSS;
    }
}

server {
    listen          127.0.0.1:%%PORT%%;
    server_name     c.example;
    sgtm_endpoint   sgtm.example.com;
    sgtm_tag_id     G-CCCCCCCCCC;

    location /metrics/ { $PROXY }
}

server {
    listen          127.0.0.1:%%PORT2%%;
    server_name     hostile.example;
    sgtm_endpoint   sgtm.example.com;
    sgtm_tag_id     G-HHHHHHHHHH;

$locations
}
EOT


sub script {
    my ($host, $uri, @headers) = @_;

    return $t->get($uri || '/metrics/t.js', Host => $host, @headers);
}


sub gunzip {
    my ($data) = @_;

    my $text;

    IO::Uncompress::Gunzip::gunzip(\$data, \$text)
        or die "gunzip: $IO::Uncompress::Gunzip::GunzipError\n";

    return $text;
}


# a script's text: before the settings, the settings as they stand, after them

sub parts {
    my ($body) = @_;

    return $body =~ /\A(.*?)(\{"v":2,[^{}]*(?:\{[^{}]*\}[^{}]*)?\})(.*)\z/s;
}


sub settings {
    my ($res) = @_;

    return scalar eval { $json->decode((parts($res->{body}))[1]) };
}


sub status {
    my ($args) = @_;

    return $json->decode($t->get('/status' . ($args || ''),
                                 Host => 'nobody.example')->{body});
}


sub integrity {
    my ($body) = @_;

    my $hash = Digest::SHA::sha384_base64($body);

    return 'sha384-' . $hash . '=' x (-length($hash) % 4);
}


###############################################################################

my %scripts = map { ("$_->{tenant} $_->{path}" => $_) }
                  @{ status()->{scripts} };

subtest 'by tagging and tier' => sub {
    my %texts;

    for my $case (@cases) {
        my ($tagging, $tier, $variant) = @$case;
        my $path = "/$tagging-$tier/t.js";
        my $res = script('shop.example', $path);
        my $settings = settings($res);
        my $one = $scripts{"shop.example $path"};

        is $settings->{g}, $tagging, "$tagging, $tier: what it does";
        is $settings->{t}, $tier, 'its tier';
        is $settings->{i}, $tagging eq 'gtm' ? 'GTM-SSSSSSS' : 'G-SSSSSSSSSS',
           'the id for it';
        is $one->{script}, $variant, 'the script';
        is $one->{integrity}, integrity($res->{body}), 'its hash';

        my ($head, undef, $tail) = parts($res->{body});

        $texts{$variant}{"$head $tail"} = 1;

        my $zipped = script('shop.example', $path,
                            'Accept-Encoding' => 'gzip');

        is $zipped->{h}{'content-encoding'}, 'gzip', 'gzip';
        is gunzip($zipped->{body}), $res->{body}, 'that is the same text';
        is $zipped->{h}{'content-length'}, length $zipped->{body},
           'of the right length';
        cmp_ok length $zipped->{body}, '<=', $most{$variant}, 'and small';
    }

    is keys %texts, 3, 'three scripts';
    is keys %{ $texts{$_} }, 1, "one text: $_" for sort keys %texts;

    my %all = map { (join('', keys %$_) => 1) } values %texts;

    is keys %all, 3, 'each another one';
};

subtest 'what follows from ids' => sub {
    is settings(script('shop.example', '/inherited/t.js'))->{g}, 'light',
       'http says it for all';

    my ($status, $out) = nginx_t(<<"EOT");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    server {
        listen       127.0.0.1:%%PORT%%;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    GT-ABCD123;
        location /metrics/ { $PROXY sgtm_tagging light; }
    }
EOT

    is $status, 0, 'light without a measurement id is a configuration';
    like $out, qr/warn.*"sgtm_tagging light" but no id with "G-"/,
         'that is warned about';

    for my $bad ('', 'none', 'GTM', 'gtm gtag', '$arg_x') {
        ($status, $out) = nginx_t(<<"EOT");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    server {
        listen       127.0.0.1:%%PORT%%;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABCD123;
        location /metrics/ { $PROXY sgtm_tagging $bad; }
    }
EOT

        isnt $status, 0, "not \"sgtm_tagging $bad\"";
        like $out, qr/sgtm_tagging|invalid value/, 'and why';
    }
};

subtest 'records' => sub {
    my $settings = settings(script('a.example'));

    is $settings->{g}, 'light', 'its tagging';
    is $settings->{i}, 'G-AAAAAAAAAA', 'the id for it';
    is $settings->{r}, 'eu', 'its residency';
    is_deeply $settings->{e}, $a{events}, 'the ways of events';

    $settings = settings(script('b.example'));

    is_deeply $settings, { v => 2, p => '/metrics/', s => 't.js',
                           g => 'gtag', i => 'G-BBBBBBBBBB', t => 'starter',
                           f => 'off', c => 'off', d => '0000', r => 'any' },
              'another one, without ways of events';

    is settings(script('c.example'))->{g}, 'gtag',
       'in place of a server\'s: gtm, for which there is no container';

    my $one = status('?tenant=shop-a')->{scripts};

    is @$one, 1, 'the status has one';
    is $one->[0]{tenant}, 'shop-a', 'it is asked for';
    is $one->[0]{script}, 'light', 'its script';
    is $one->[0]{path}, '/metrics/t.js', 'where it is';
    is $one->[0]{integrity}, integrity(script('a.example')->{body}),
       'with its hash';

    my ($c) = grep { $_->{tenant} eq 'shop-c' } @{ status()->{scripts} };

    is $c->{integrity}, integrity(script('c.example')->{body}),
       'of a server that a record is for it is the record\'s';
    is_deeply status('?tenant=shop-none')->{scripts}, [], 'nobody has none';
};

subtest 'a change' => sub {
    my $etag = header(script('a.example'), 'ETag');
    my $other = header(script('b.example'), 'ETag');

    is script('a.example', undef, 'If-None-Match' => $etag)->{status}, 304,
       'known before';

    records({ %a, tagging => 'gtag', events => {} }, \%b, \%c);

    ok wait_for { header(script('a.example'), 'ETag') ne $etag } 10;

    my $res = script('a.example', undef, 'If-None-Match' => $etag);

    is $res->{status}, 200, 'another one after it';
    is settings($res)->{g}, 'gtag', 'that does something else';
    is settings($res)->{e}, undef, 'without ways of events';
    is header(script('b.example'), 'ETag'), $other, 'another tenant\'s stays';
    like header($res, 'Cache-Control'), qr/\Apublic, max-age=5[0-9]\z/,
         'and browsers ask again within a minute';

    records(\%a, \%b, \%c);

    ok wait_for { header(script('a.example'), 'ETag') eq $etag } 10;
};


# The same bytes are served to who asks first and to who asks after thousands
# of others, and the worker has grown by what it may keep.

sub rss {
    my ($pid) = $t->workers;

    return SGTM::Run::get("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0;
}

subtest 'many tenants' => sub {
    my @many = map { { id => "m$_", hosts => ["m$_.example"],
                       tag_ids => [sprintf 'G-M%09d', $_],
                       tagging => 'light' } } 1 .. $crowd;

    records(\%a, \%b, \%c, @many);
    ok wait_for { script("m$crowd.example")->{status} == 200 } 20;

    # at first what is kept anyhow

    my $http = $t->http;
    my (%seen, $before, $wrong);

    for my $round (1, 2) {
        for my $n (1 .. $crowd) {
            $http->request('GET', '/metrics/t.js',
                           [Host => "m$n.example",
                            'Accept-Encoding' => 'gzip']);

            my $res = $http->response;
            my $etag = header($res, 'ETag');

            $wrong++ if $res->{status} != 200
                        || $round == 2 && $seen{$n} ne $etag;
            $seen{$n} = $etag;
            $before = rss() if $round == 1 && $n == 500;
        }
    }

    $http->close;

    is $wrong, undef, 'each has its own';

    my %etags = reverse %seen;

    is keys %etags, $crowd, 'and no other has the same';

    SKIP: {
        skip 'the sanitizer keeps what is freed', 1
            if ($ENV{SGTM_BUILD} || '') eq 'sanitize';

        cmp_ok rss() - $before, '<', 2048, 'the worker does not grow, in kB';
    }

    my $res = script('m17.example');

    is settings($res)->{i}, 'G-M000000017', 'the id of one of them';

    records(\%a, \%b, \%c);
};


###############################################################################

# 200 hostile settings.  Of names of locations every byte may come; all else is
# checked when it is read, here and where records are made.

my @attacks = (
    '</script><script>alert(1)</script>', '"', "'", '\\', '");alert(1);("',
    "\n", "\r\nalert(1)", "\x{2028}alert(1)", '<!--', '`${alert(1)}`',
    'https://evil.example/x.js', '//evil.example/', 'javascript:alert(1)',
    '../../evil', "G-AAAAAAAAAA\n", 'G-AAAAAAAAAA"', '"G-AAAAAAAAAA',
    '__proto__', "\x00", 'GTM-ABC1234</script>',
);

my $attacks = 0;

subtest 'hostile names of locations' => sub {
    my ($head, undef, $tail) = parts(script('shop.example',
                                            '/light-enterprise/t.js')->{body});
    my %code;

    for my $n (0 .. $#names) {

        next if $names[$n] =~ /\$/;

        my $uri = "/h$n/$names[$n]/t.js";
        my $merged = $uri;

        # nginx merges slashes before it looks for a location, and so do we

        $merged =~ s{//+}{/}g;
        next if $merged ne $uri || $names[$n] =~ m{(?:^|/)\.\.?(?:/|$)};

        $uri =~ s{([^A-Za-z0-9/._-])}{sprintf '%%%02X', ord $1}ge;

        my $res = $t->request('GET', $uri, [Host => 'hostile.example'], undef,
                              nth => 2);

        is $res->{status}, 200, "location $n is there" or next;

        my ($before, $settings, $after) = parts($res->{body});

        is "$before $after", "$head $tail", 'the code is the same';
        like $settings, qr/\A[{}":,\\%\/\w.-]+\z/a, 'the rest means nothing';

        my $prefix = settings($res)->{p};

        like $prefix, qr{\A/h$n/[!-~]*/\z}, 'the prefix is a path';
        unlike $prefix, qr/[?#\s]/, 'and nothing else of an URL';

        $attacks++;
    }
};

subtest 'hostile directives' => sub {
    for my $attack (@attacks) {

        next if $attack =~ /\x00/;

        (my $quoted = $attack) =~ s/(["\\])/\\$1/g;
        utf8::encode($quoted);

        for my $directive (qw(sgtm_container sgtm_tag_id sgtm_script)) {

            # what could be the name of a file below the prefix is one

            next if $directive eq 'sgtm_script' && $attack eq '__proto__';

            my ($status) = nginx_t(<<"EOT");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    server {
        listen       127.0.0.1:%%PORT%%;
        sgtm_endpoint  sgtm.example.com;
        location /metrics/ { $PROXY $directive "$quoted"; }
    }
EOT

            isnt $status, 0, "$directive is refused";
            $attacks++;
        }
    }
};

subtest 'hostile records' => sub {
    my %fields = (
        containers      => sub { [$_[0]] },
        tag_ids         => sub { [$_[0]] },
        script          => sub { $_[0] },
        tagging         => sub { $_[0] },
        tier            => sub { $_[0] },
        residency       => sub { $_[0] },
        events          => sub { return { $_[0] => 'off' } },
    );

    for my $field (sort keys %fields) {
        for my $attack (@attacks) {

            next if $attack eq '__proto__' && $field eq 'script';

            my %evil = (%b, $field => $fields{$field}->($attack));

            SGTM::Run::put("$dir/evil.json",
                           $json->encode({ tenants => [\%evil] }));

            my ($status) = run(SGTM::Run::root() . '/build/sgtm-tenants',
                               'validate', "$dir/evil.json");

            is $status, 1, "$field is refused";
            $attacks++;
        }
    }

    # and nothing of it gets into a gateway that runs

    my $etag = header(script('b.example'), 'ETag');

    for my $attack (@attacks[0, 4, 10]) {
        records(\%a, { %b, events => { $attack => 'off' } }, \%c);

        ok $t->wait_log(qr/tenants\[1\]\.events/), 'refused while it runs';
        is header(script('b.example'), 'ETag'), $etag, 'what was stays';

        records(\%a, \%b, \%c);
        select undef, undef, undef, 0.6;
    }

    $t->expect_log(qr/tenants\[1\]\.events/);
};

cmp_ok $attacks, '>=', 200, "$attacks hostile settings";

done_testing();
