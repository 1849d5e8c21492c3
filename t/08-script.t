#!/usr/bin/perl

# The script t.js as the module serves it: with the settings of its own tenant
# and of nobody else, as data that can't become code; cacheable for a minute
# (strong ETag, 304, gzip made ahead, one Vary); and as a browser runs it,
# under policies that forbid everything but the site's own origin.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Uncompress::Gunzip ();
use JSON::PP ();
use SGTM::Test;

my $GTM_JS = <<'EOF';
(function () {
    function done(state) {
        document.body.dataset.state = state;
        document.body.dataset.layer =
            encodeURIComponent(JSON.stringify(dataLayer.map(function (e) {
                return '' + e == '[object Arguments]'
                       ? ['@'].concat([].slice.call(e)) : e;
            })));
    }

    var url = '/metrics/g/collect?v=2&tid=G-ABC1234567&en=page_view';

    fetch(url, { method: 'POST' }).then(
        function (res) { done('status ' + res.status); },
        function () { done('failed'); });
})();
EOF

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return [503, [], ''] if $req->{mode} eq 'down';
    return [200, ['Content-Type' => 'application/javascript'], $GTM_JS]
        if $req->{uri} =~ m{^/gtm\.js\?};

    return 204;
});

# stands for Google's own host; its scripts find the gateway away
my $google = SGTM::Backend->start(sub {
    my ($req) = @_;

    return [200, ['Content-Type' => 'application/javascript'],
            'document.body.dataset.state = "google";'];
});

my $PROXY = <<'EOF';
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
EOF

my $UPSTREAMS = <<"EOF";
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    upstream google { server 127.0.0.1:@{[ $google->port ]}; keepalive 4; }
EOF

my $t = SGTM::Test->start(http());


# the configuration; %more is added to the servers

sub http {
    my (%more) = @_;

    $more{$_} ||= '' for qw(shop);

    return <<"EOF";
$UPSTREAMS

    gzip             on;
    gzip_types       *;
    gzip_min_length  1;
    charset          koi8-r;

    server {
        listen       127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT5%%)%%
        server_name  shop.example;

        sgtm_endpoint   sgtm.example.com;
        sgtm_container  GTM-ABC1234 GTM-ZZZZ999;
        sgtm_tag_id     AW-123456789 GT-ABCD123 G-ABC1234567 G-ZZZZ999999;
        sgtm_fallback   off;
        $more{shop}

        location /metrics/ {
$PROXY
            if (\$arg_if) {
                add_header  X-If  1;
            }
        }

        location /vary/ {
            gzip_vary  on;
$PROXY
        }

        location /expires/ {
            expires  5m;
$PROXY
        }

        location /foreign/ {
            sgtm_origins  https://other.example;
$PROXY
        }

        location /named/ {
            sgtm_script  js/app-1.0.js;
$PROXY
        }

        location /bare {
$PROXY
        }
    }

    # every combination that the settings can express

    server {
        listen       127.0.0.1:%%PORT2%%;
        server_name  many.example;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_fallback  off;

        location /tag-only/ {
$PROXY
        }

        location /google-tag/ {
            sgtm_tag_id  AW-123456789 GT-ABCD123;
$PROXY
        }

        location /ads-only/ {
            sgtm_tag_id  AW-123456789 DC-1234567;
$PROXY
        }

        location /gtm-only/ {
            sgtm_tag_id     AW-123456789;
            sgtm_container  GTM-ABC1234;
$PROXY
        }

        location /enterprise/ {
            sgtm_tier  enterprise;
$PROXY
        }

        location /professional/ {
            sgtm_tier      professional;
            sgtm_fallback  client;
$PROXY
        }

        location /professional-off/ {
            sgtm_tier  professional;
$PROXY
        }

        location /starter/ {
            sgtm_tier  starter;
$PROXY
        }

        location /basic/ {
            sgtm_consent_mode  basic;
$PROXY
        }

        location /advanced/ {
            sgtm_consent_mode     advanced;
            sgtm_consent_default  ad_storage=denied analytics_storage=granted
                                  ad_user_data=denied
                                  ad_personalization=granted;
$PROXY
        }

        location /some/ {
            sgtm_consent_mode     advanced;
            sgtm_consent_default  analytics_storage=granted;
$PROXY
        }

        # names that a location may have

        location "/q\\"'/" {
$PROXY
        }

        location "/</script><script>alert(1)</script>/" {
$PROXY
        }

        location "/\\\\\\");alert(1);(\\"/" {
$PROXY
        }

        location "/a b/%?#&/" {
$PROXY
        }

        location "/\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9\xff/" {
$PROXY
        }

        location "//evil.example/" {
$PROXY
        }
    }

    # pages

    server {
        listen       127.0.0.1:%%PORT3%% ssl;
        server_name  page.example;

        ssl_certificate      %%CERT%%;
        ssl_certificate_key  %%KEY%%;

        charset  utf-8;

        sgtm_endpoint         sgtm.example.com;
        sgtm_container        GTM-ABC1234;
        sgtm_tag_id           G-ABC1234567;
        sgtm_consent_mode     advanced;
        sgtm_consent_default  ad_storage=denied analytics_storage=granted;

        location /metrics/ {
            sgtm_fallback  off;
$PROXY
        }

        location /pro/ {
            sgtm_tier  professional;
$PROXY
        }

        location = /strict.html {
            add_header  Content-Security-Policy  "default-src 'none';
                script-src 'self'; connect-src 'self'; img-src 'self'";
        }

        location = /nonce.html {
            add_header  Content-Security-Policy  "default-src 'none';
                script-src 'nonce-c29tZSBub25jZQ'; connect-src 'self'";
        }

        location = /types.html {
            add_header  Content-Security-Policy  "default-src 'none';
                script-src 'self'; connect-src 'self';
                require-trusted-types-for 'script'; trusted-types sgtm";
        }

        location = /no-types.html {
            add_header  Content-Security-Policy  "default-src 'none';
                script-src 'self'; connect-src 'self';
                require-trusted-types-for 'script'; trusted-types other";
        }
    }

    server {
        listen       127.0.0.1:%%PORT4%% ssl;
        server_name  www.googletagmanager.com;

        ssl_certificate      %%CERT%%;
        ssl_certificate_key  %%KEY%%;

        location / {
            proxy_pass  http://google;
        }
    }
EOF
}


sub get {
    my ($uri, @headers) = @_;

    return $t->request('GET', $uri, [@headers]);
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

    my ($head, $json, $tail) =
        $body =~ /\A(.*?)(\{"v":2,[^{}]*(?:\{[^{}]*\}[^{}]*)?\})(.*)\z/s;

    return ($head || '', $json || '', $tail || '');
}


sub settings {
    my ($body) = @_;

    return scalar eval { JSON::PP->new->decode((parts($body))[1]) };
}


###############################################################################

my $plain = get('/metrics/t.js');
my $zipped = get('/metrics/t.js', 'Accept-Encoding' => 'br, gzip;q=0.5');

is($plain->{status}, 200, 'the script is there');

my %default = map { $_ => 'denied' } qw(ad_storage analytics_storage
                                        ad_user_data ad_personalization);

is_deeply(settings($plain->{body}), {
    v => 2, p => '/metrics/', s => 't.js', g => 'gtm', i => 'GTM-ABC1234',
    t => 'enterprise', f => 'off', c => 'off', d => '0000', r => 'any',
}, 'with the settings of its tenant');

is($plain->{h}{'content-type'}, 'application/javascript; charset=utf-8',
   'its type');
is($plain->{h}{'cache-control'}, 'public, max-age=55',
   'a change is in force within a minute');
is($plain->{h}{'x-content-type-options'}, 'nosniff', 'nothing else');
is($plain->{h}{'cross-origin-resource-policy'}, 'same-site', 'whose it is');
is($plain->{h}{'accept-ranges'}, undef, 'no ranges are offered');
is($plain->{h}{'content-length'}, length $plain->{body}, 'its length');
is($plain->{h}{'content-encoding'}, undef, 'plain for whoever says nothing');

is($zipped->{status}, 200, 'gzip: the script is there');
is($zipped->{h}{'content-encoding'}, 'gzip', 'gzip: said so');
is($zipped->{h}{'content-length'}, length $zipped->{body}, 'gzip: length');
is(gunzip($zipped->{body}), $plain->{body}, 'gzip: the same text');
cmp_ok(length $zipped->{body}, '<=', 2000, 'gzip: small');
is($zipped->{h}{'content-type'}, $plain->{h}{'content-type'}, 'gzip: type');

for my $ae ('identity', 'gzip;q=0', 'br', 'deflate') {
    my $res = get('/metrics/t.js', 'Accept-Encoding' => $ae);

    is($res->{body}, $plain->{body}, "plain for \"Accept-Encoding: $ae\"");
    is($res->{h}{vary}, 'Accept-Encoding', 'that says what it varies by');
}


# one Vary, whoever adds it

for my $uri ('/metrics/t.js', '/vary/t.js') {
    for my $ae ('identity', 'gzip') {
        my $res = get($uri, 'Accept-Encoding' => $ae);

        is_deeply([headers($res, 'Vary')], ['Accept-Encoding'],
                  "one Vary: $uri, $ae");
    }
}


# what the operator says about caching replaces ours

is_deeply([headers(get('/expires/t.js'), 'Cache-Control')], ['max-age=300'],
          'one Cache-Control with "expires"');

is(header(get('/foreign/t.js'), 'Cross-Origin-Resource-Policy'),
   'cross-origin', 'other sites that may send hits may have the script');


# ETag and 304

my %etag = (identity => $plain->{h}{etag}, gzip => $zipped->{h}{etag});

like($etag{$_}, qr/^"[0-9a-f]{32}"$/, "a strong ETag: $_") for keys %etag;

isnt($etag{identity}, $etag{gzip}, 'each variant has its own');
is(get('/metrics/t.js?x=1')->{h}{etag}, $etag{identity},
   'the query changes nothing');
isnt(get('/vary/t.js')->{h}{etag}, $etag{identity},
     'other settings, other ETag');

for my $ae ('identity', 'gzip') {
    my $other = $etag{$ae eq 'gzip' ? 'identity' : 'gzip'};

    for my $match ($etag{$ae}, "W/$etag{$ae}", "\"a\", $etag{$ae}, \"b\"",
                   '*')
    {
        my $res = get('/metrics/t.js', 'Accept-Encoding' => $ae,
                      'If-None-Match' => $match);

        is($res->{status}, 304, "304, $ae: $match");
        is($res->{body}, '', 'that has no body');
        is($res->{h}{etag}, $etag{$ae}, 'that says which');
        is($res->{h}{'cache-control'}, 'public, max-age=55',
           'that is fresh for a minute again');
        is_deeply([headers($res, 'Vary')], ['Accept-Encoding'],
                  'that varies as the answer does');
        is($res->{h}{'content-encoding'}, undef, 'that encodes nothing');
    }

    for my $match ($other, '"x"', 'garbage', '""', substr $etag{$ae}, 1) {
        my $res = get('/metrics/t.js', 'Accept-Encoding' => $ae,
                      'If-None-Match' => $match);

        is($res->{status}, 200, "200, $ae: $match");
    }
}


# HEAD, ranges, methods, bodies

for my $ae ('identity', 'gzip') {
    my $whole = $ae eq 'gzip' ? $zipped : $plain;

    my $res = $t->request('HEAD', '/metrics/t.js',
                          ['Accept-Encoding' => $ae]);

    is($res->{status}, 200, "HEAD, $ae");
    is($res->{body}, '', 'has no body');
    is($res->{h}{$_}, $whole->{h}{$_}, "has the same $_")
        for qw(etag content-length content-type cache-control vary);

    $res = get('/metrics/t.js', 'Accept-Encoding' => $ae,
               Range => 'bytes=5-9');

    is($res->{status}, 200, "a range is not looked at, $ae");
    is($res->{body}, $whole->{body}, 'the answer is whole');
    is($res->{h}{'content-range'}, undef, 'and says nothing else');

    $res = get('/metrics/t.js', 'Accept-Encoding' => $ae,
               Range => 'bytes=5-9', 'If-Range' => $etag{$ae});

    is($res->{status}, 200, 'nor is one with If-Range');
}

for my $method (qw(POST PUT DELETE PATCH)) {
    my $res = $t->request($method, '/metrics/t.js', [], 'a=b');

    is($res->{status}, 405, "$method is refused");
}

my $client = $t->http;

for my $n (1, 2) {
    $client->request('GET', '/metrics/t.js', [], 'x' x 5000);
    is($client->response->{body}, $plain->{body},
       "a body is read and forgotten, $n");
}

$client->close;


# names of the script

my $named = get('/named/js/app-1.0.js');

is(settings($named->{body})->{s}, 'js/app-1.0.js',
   'sgtm_script gives it another name');
is(settings($named->{body})->{p}, '/named/', 'below the same prefix');
is($tag->count, 0, 'nothing of all this has reached the tagging server');

get('/named/t.js');
is(($tag->wait_requests(1))[0]{uri}, '/t.js',
   'the name that it would have had is nobody\'s now');

$tag->clear;

is(settings(get('/bare/t.js')->{body})->{p}, '/bare/',
   'a prefix without a slash gets one');
is(get('/metrics/t.js?if=1')->{h}{etag}, $etag{identity},
   'an "if" block has the script of its location');


# HTTP/2

my $h2 = $t->h2(nth => 5);

for my $ae ('identity', 'gzip') {
    my $res = $h2->response($h2->request('GET', '/metrics/t.js',
                                         ['accept-encoding' => $ae]));

    is($res->{status}, 200, "HTTP/2, $ae");
    is($ae eq 'gzip' ? gunzip($res->{body}) : $res->{body}, $plain->{body},
       'has the same text');
    is($res->{h}{etag}, $etag{$ae}, 'has the same ETag');
    is_deeply([headers($res, 'vary')], ['Accept-Encoding'], 'has one Vary');

    $res = $h2->response($h2->request('GET', '/metrics/t.js',
                                      ['accept-encoding' => $ae,
                                       'if-none-match' => $etag{$ae}]));

    is($res->{status}, 304, 'has 304');
}

$h2->close;


# other settings

sub many {
    my ($uri) = @_;

    my $res = $t->request('GET', $uri, [Host => 'many.example'], undef,
                          nth => 2);

    is($res->{status}, 200, $uri);

    return $res->{body};
}

for my $case (
    ['tag-only', 'gtag', 'G-ABC1234567'],
    ['google-tag', 'gtag', 'GT-ABCD123'],
    ['ads-only', 'gtag', 'AW-123456789'],
    ['gtm-only', 'gtm', 'GTM-ABC1234'],
) {
    my ($name, $tagging, $id) = @$case;

    my $settings = settings(many("/$name/t.js"));

    is($settings->{g}, $tagging, 'what is loaded');
    is($settings->{i}, $id, 'the id');
}

for my $case (
    ['enterprise', 'enterprise', 'off'],
    ['professional', 'professional', 'client'],
    ['professional-off', 'professional', 'off'],
    ['starter', 'starter', 'off'],
) {
    my ($name, $tier, $fallback) = @$case;

    my $settings = settings(many("/$name/t.js"));

    is($settings->{t}, $tier, 'the tier');
    is($settings->{f}, $fallback, 'the fallback');
}

for my $case (
    ['tag-only', 'off', '0000'],
    ['basic', 'basic', '0000'],
    ['advanced', 'advanced', '0101'],
    ['some', 'advanced', '0100'],
) {
    my ($name, $mode, $default) = @$case;

    my $settings = settings(many("/$name/t.js"));

    is($settings->{c}, $mode, 'the consent mode');
    is($settings->{d}, $default, 'the consent default');
}


# A hostile name may not end the string, the script or the element around it,
# and not take the page elsewhere: everything is made of bytes that mean
# nothing, and stands where the settings of other tenants stand.

my ($head, undef, $tail) = parts($plain->{body});

for my $case (
    [q{/q%22%27/}, q{/q"'/}],
    ['/%3C/script%3E%3Cscript%3Ealert(1)%3C/script%3E/',
     '/</script><script>alert(1)</script>/'],
    ['/%5C%22);alert(1);(%22/', '/\\");alert(1);("/'],
    ['/a%20b/%25%3F%23&/', '/a b/%?#&/'],
    ['/%E2%80%A8%E2%80%A9%C3%A9%FF/',
     "/\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9\xff/"],
) {
    my ($uri, $name) = @$case;

    my $body = many("${uri}t.js");
    my ($before, $json, $after) = parts($body);

    is($before, $head, 'the script before the settings is the same');
    is($after, $tail, 'the script after the settings is the same');
    like($json, qr/\A[{}":,\\%\/\w.-]+\z/a, 'the settings are harmless bytes');
    unlike($json, qr/\\[^u]|\\u(?!00[0-9a-f]{2})/, 'with whole escapes');

    my $prefix = settings($body)->{p};

    unlike($prefix, qr/[?#\s]/, 'the prefix is the path of a URL');
    $prefix =~ s/%([0-9A-F]{2})/chr hex $1/ge;
    is($prefix, $name, 'that is the location\'s name');
}

# merge_slashes makes one of the two slashes, so nothing is ever there

is($t->request('GET', '//evil.example/t.js', [Host => 'many.example'], undef,
               nth => 2)->{status}, 404, 'a prefix that looks like a host');


# the tagging server is not needed

$tag->stop;
is(get('/metrics/t.js')->{body}, $plain->{body},
   'the script is there without a tagging server');
$tag->restart;


# a change

for my $n (1 .. 3) {
    $t->reload(http(shop => "sgtm_script  a$n.js;"), wait_old => 1);

    is(settings(get("/metrics/a$n.js")->{body})->{s}, "a$n.js",
       "a reload changes it, $n");
}

$t->reload(http(), wait_old => 1);
is(get('/metrics/t.js')->{h}{etag}, $etag{identity}, 'and changes it back');

$tag->clear;


# the committed header is made of the committed sources

SKIP: {
    my $snippet = SGTM::Run::root() . '/snippet';

    skip('npm has not been run in snippet/', 1)
        if !-d "$snippet/node_modules/esbuild";

    my ($status, $out) = run('node', "$snippet/build.mjs", '--check');

    is($status, 0, 'ngx_http_sgtm_snippet.h is up to date') or diag($out);
}


###############################################################################

# A browser.  The host of the page and Google's are this nginx; whatever else
# a browser may want to talk to is nowhere.

my ($chromium) = grep { -x } map { ("$_/chromium", "$_/chromium-browser") }
                             split /:/, $ENV{PATH};

sub browse {
    my ($uri) = @_;

    my $port = $t->port(3);
    my $tls = $t->port(4);

    my ($status, $out) = run(
        'timeout', '90', $chromium, qw(--headless --no-sandbox --disable-gpu
        --disable-dev-shm-usage --no-first-run --disable-extensions
        --disable-background-networking --disable-component-update
        --disable-sync --ignore-certificate-errors),
        "--user-data-dir=@{[ $t->dir ]}/chromium",
        "--host-resolver-rules=MAP page.example:$port 127.0.0.1:$port,"
        . "MAP www.googletagmanager.com:443 127.0.0.1:$tls,"
        . 'MAP * ~NOTFOUND',
        '--virtual-time-budget=10000', '--dump-dom',
        "https://page.example:$port$uri"
    );

    my %data = $out =~ /\bdata-(\w+)="([^"]*)"/g;

    if (defined $data{layer}) {
        $data{layer} =~ s/%([0-9A-F]{2})/chr hex $1/ge;
        $data{layer} = eval { JSON::PP->new->decode($data{layer}) };
    }

    diag($out) if !%data;

    return \%data;
}


sub page {
    my ($name, $tag) = @_;

    # the listener is a file of its own: inline code is forbidden

    $t->write_file("html/$name.html", <<"EOF");
<!doctype html>
<html>
<head>
<meta charset="utf-8">
<title>A page</title>
<script nonce="c29tZSBub25jZQ" src="/watch.js"></script>
$tag
</head>
<body data-state="untouched"></body>
</html>
EOF
}


$t->write_file('html/watch.js', <<'EOF');
addEventListener('securitypolicyviolation', function (e) {
    document.documentElement.dataset.violation =
        e.violatedDirective + ' ' + e.blockedURI;
});

addEventListener('error', function (e) {
    document.documentElement.dataset.error = e.message;
});
EOF

my $SCRIPT = '<script async src="/metrics/t.js"></script>';

my %gone = (
    server_container_url => 'https://page.example:' . $t->port(3) . '/metrics',
    transport_url => 'https://page.example:' . $t->port(3) . '/metrics',
    first_party_collection => JSON::PP::true(),
);

SKIP: {
    skip('chromium is not installed', 1) if !$chromium;

    for my $case (
        ['strict', $SCRIPT],
        ['nonce', '<script async nonce="c29tZSBub25jZQ" src="/metrics/t.js">'
                  . '</script>'],
        ['types', $SCRIPT],
    ) {
        my ($name, $script) = @$case;

        page($name, $script);
        $tag->clear;

        my $data = browse("/$name.html");
        my @requests = $tag->wait_requests(2);

        is($data->{state}, 'status 204', "browser, $name: a hit was answered");
        is($data->{violation}, undef, 'no policy was violated');
        is($data->{error}, undef, 'nothing was thrown');
        is($requests[0] && $requests[0]{uri}, '/gtm.js?id=GTM-ABC1234',
           'the container came through the gateway');
        like($requests[1] && $requests[1]{uri},
             qr{^/g/collect\?v=2&tid=G-ABC1234567&en=page_view},
             'so did the hit');

        my $layer = $data->{layer} || [];

        is_deeply($layer->[0], ['@', 'consent', 'default', {
            %default, analytics_storage => 'granted', wait_for_update => 500,
        }], 'the consent default comes first');
        is_deeply($layer->[1], \%gone, 'the gateway\'s address');
        is_deeply($layer->[2], ['@', 'set', \%gone], 'for all tags');
        is($layer->[3]{event}, 'gtm.js', 'then the container begins');
    }

    # the proof that the browser does enforce them

    page('no-types', $SCRIPT);
    $tag->clear;

    my $data = browse('/no-types.html');

    is($data->{state}, 'untouched',
       'browser: trusted types without our name keep the container away');
    like($data->{violation}, qr/trusted-types/, 'as the page has asked for');
    is($data->{error}, undef, 'but nothing was thrown into it');
    is($tag->count, 0, 'and nothing was asked for');

    # loaded twice, with a data layer that has begun

    page('twice', <<"EOF");
<script>
dataLayer = [{ event: 'early' }];
(function () { dataLayer.push(arguments); })('consent', 'default',
                                             { ad_storage: 'granted' });
</script>
$SCRIPT
$SCRIPT
EOF
    $tag->clear;

    $data = browse('/twice.html');
    my @scripts = grep { $_->{uri} =~ /gtm\.js/ } $tag->wait_requests(2);

    is(@scripts, 1, 'browser, twice: it acts once');
    is_deeply([grep { ref $_ eq 'ARRAY' && $_->[1] eq 'consent' }
                    @{ $data->{layer} || [] }],
              [['@', 'consent', 'default', { ad_storage => 'granted' }]],
              'the consent default of the page is the only one');

    # the tagging server is down: Google's host, or nobody's

    page('pro', '<script async src="/pro/t.js"></script>');
    page('enterprise', $SCRIPT);
    $tag->mode('down');

    is(browse('/pro.html')->{state}, 'google',
       'browser, professional: Google\'s script when the gateway\'s fails');
    is(($google->requests)[0]{uri}, '/gtm.js?id=GTM-ABC1234',
       'with the same container');

    $google->clear;
    is(browse('/enterprise.html')->{state}, 'untouched',
       'browser, enterprise: nothing then');
    is($google->count, 0, 'nobody else is asked');
}

done_testing();
