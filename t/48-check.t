#!/usr/bin/perl

# The check page: who gets it, that it tells no secret, and that each of its
# ticks is true, in a real browser: all well, and each thing broken in turn is
# the one that it finds.  Its hit goes to the tagging server marked as a test.
# SGTM_PICTURES=<directory> has pictures of it.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();
use SGTM::Browser;

my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('secret');

SGTM::Run::put("$dir/secret", "of-the-shop\n");
chmod 0600, "$dir/secret" or die "chmod: $!\n";

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return [503, [], ''] if $req->{mode} eq 'down';
    return [404, [], ''] if $req->{mode} eq 'no preview'
                            && $req->{uri} =~ m{^/gtm/};
    return [302, [Location => '/login'], ''] if $req->{uri} =~ m{^/gtm/};

    return [200, ['Set-Cookie' => 'FPID=FP.1; Path=/; HttpOnly; Max-Age=600'],
            ''] if $req->{uri} =~ m{^/g/collect} && $req->{mode} eq 'cookies';

    return 204;
});

my $PROXY = <<'EOP';
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
EOP

my $t = SGTM::Test->start(<<"EOT", names => 'localhost,shop.example');
types {
    text/html  html;
}

upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

sgtm_endpoint         sgtm.example.com;
sgtm_fallback         off;

# who may use it: one address of this machine, or who knows the word

geo \$remote_addr \$inside {
    default    0;
    127.0.0.9  1;
}

map \$arg_key \$let {
    default  \$inside;
    word     yes;
}

server {
    listen       127.0.0.1:%%PORT%%;
    server_name  shop.example;

    sgtm_origins    https://other.example;

    sgtm_tag_id     G-ABC1234567;
    sgtm_container  GTM-ABC1234;
    sgtm_check      on;
    sgtm_api_secret $dir/secret;

    location /metrics/ {
$PROXY
    }

    location /off/ {
        sgtm_check  off;
$PROXY
    }

    location /inside/ {
        sgtm_check  \$let;
$PROXY
    }

    location = /status { sgtm_status; }
}

server {
    listen       127.0.0.1:%%PORT2%% ssl;
    server_name  localhost;

    ssl_certificate      %%CERT%%;
    ssl_certificate_key  %%KEY%%;

    sgtm_tag_id            AW-123456789 G-ABC1234567;
    sgtm_container         GTM-ABC1234;
    sgtm_check             on;

    location /metrics/ {
        sgtm_consent_mode     advanced;
        sgtm_consent_default  analytics_storage=granted;
$PROXY
    }

    location /basic/ {
        sgtm_consent_mode    basic;
        sgtm_consent_source  value=\$cookie_consent;
$PROXY
    }

    location /no-id/ {
        sgtm_tag_id  AW-123456789;
$PROXY
    }

    location /policy/ {
        add_header  Content-Security-Policy  "connect-src 'none'";
$PROXY
    }

    location /cached/ {
        expires  1h;
$PROXY
    }

    location = / {
        default_type  text/html;
        return        200 "<!doctype html><title>A shop</title>";
    }
}

server {
    listen       127.0.0.1:%%PORT3%% ssl;
    server_name  localhost;

    ssl_certificate      %%CERT%%;
    ssl_certificate_key  %%KEY%%;

    add_header  Content-Security-Policy
                "default-src 'none'; script-src 'nonce-abc'";

    sgtm_tag_id        G-ABC1234567;
    sgtm_tagging       light;
    sgtm_check         on;
    sgtm_consent_mode  basic;

    location /metrics/ {
        add_header  X-Served  by-nginx;
$PROXY
    }

    location = / {
        default_type  text/html;
        return        200 "<!doctype html><title>A shop</title>";
    }
}
EOT



###############################################################################

subtest 'who gets it' => sub {
    my $res = $t->get('/metrics/check');

    is $res->{status}, 200, 'where it is on';
    is header($res, 'Content-Type'), 'text/html; charset=utf-8', 'a page';
    is header($res, 'Cache-Control'), 'no-store', 'that nobody keeps';
    is header($res, 'X-Robots-Tag'), 'noindex, nofollow', 'that nobody finds';

    my $policy = header($res, 'Content-Security-Policy');

    like $policy, qr/default-src 'none'/, 'with a policy';
    unlike $policy, qr/unsafe|\*|https?:/, 'that is strict';
    unlike $res->{body}, qr/<script(?![^>]* src=)|<style|\son\w+=|style=/i,
           'no code and no style in it';
    unlike $res->{body}, qr{https?://}, 'and no other host';
    is $res->{h}{'content-length'}, length $res->{body}, 'its length';

    for my $name ('check.js', 'check.css') {
        my $file = $t->get("/metrics/check/$name");

        is $file->{status}, 200, $name;
        like header($file, 'Content-Type'),
             qr{^(?:application/javascript|text/css); charset=utf-8$},
             'its type';
        is header($file, 'X-Content-Type-Options'), 'nosniff', 'and no other';
    }

    is $t->request('HEAD', '/metrics/check')->{h}{'content-length'},
       length $res->{body}, 'HEAD';
    is $t->request('POST', '/metrics/check', [], 'a=b')->{status}, 405, 'POST';
    is header($t->get('/metrics/check/state',
                      Origin => 'https://other.example'),
              'Access-Control-Allow-Origin'), undef,
       'other sites that may send hits may not read it';
    is $t->get('/metrics/check?id=G-ZZZZZZZZZZ')->{status}, 403,
       'for no other id';

    is $tag->count, 0, 'the tagging server has heard nothing so far';

    for my $path ('check', 'check/check.js', 'check/check.css', 'check/state') {
        is $t->get("/off/$path")->{status}, 204, "off: $path passes";
    }

    is $tag->count, 4, 'to the tagging server, as any path';
    $tag->clear;

    for my $path ('check', 'check/check.js', 'check/state') {
        is $t->get("/inside/$path")->{status}, 404, "not for anybody: $path";
        is $t->get("/inside/$path?key=word")->{status}, 200, 'for who may';
    }

    is $t->get('/inside/check?key=word2')->{status}, 404, 'and nobody else';
    is $tag->count, 0, 'nothing of it passes';
};

subtest 'directives' => sub {
    for my $bad ('', 'yes', 'on off', '1', 'On') {
        my ($status, $out) = nginx_t(<<"EOT");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    server {
        listen         127.0.0.1:%%PORT%%;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_fallback  off;
        sgtm_check     $bad;
        location /metrics/ {
$PROXY
        }
    }
EOT

        isnt $status, 0, "not \"sgtm_check $bad\"";
        like $out, qr/sgtm_check|invalid value/, 'and why';
    }
};

subtest 'what it tells' => sub {
    my $state = sub {
        my ($uri, @headers) = @_;

        return $json->decode($t->get($uri, @headers)->{body});
    };

    is_deeply $state->('/metrics/check/state'),
              { id => 'G-ABC1234567', consent => '----', gpc => JSON::PP::false,
                queued => JSON::PP::false, probe => JSON::PP::false,
                cookies => [] },
              'a request that has nothing';

    my $res = $t->get('/metrics/check/state?gcs=G101&gcd=13l3l3l3l1l1',
                      Cookie => '_ga=GA1.1.VALUE; session=VALUE; FPID=VALUE;'
                                . ' sgtm_check=1; _ga_"<=VALUE; =VALUE',
                      'Sec-GPC' => '1');

    unlike $res->{body}, qr/VALUE|session/, 'no value, no cookie of the shop';

    my $got = $json->decode($res->{body});

    is_deeply $got->{cookies}, ['_ga', 'FPID'], 'names alone';
    ok $got->{probe}, 'its own cookie';
    ok $got->{gpc}, 'Global Privacy Control';
    is $got->{consent}, '01--', 'the signals of the request';

    my $many = join '; ', map { "_ga_$_" . 'X' x 56 . '=1' } 1 .. 100;

    is $t->get('/metrics/check/state', Cookie => $many)->{status}, 200,
       'more cookies than there is room for';

    is_deeply $json->decode($t->get('/status')->{body})
                   ->{tenants}{'shop.example'}{requests}{check} > 10, 1,
              'it is counted';

    # what a secret was given for

    my $page = $t->get('/metrics/check')->{body}
               . $t->get('/metrics/check/check.js')->{body};

    unlike $page, qr/of-the-shop|sgtm\.example\.com|127\.0\.0\.1/,
           'no secret, no address behind nginx';
};

subtest 'a hit of it' => sub {
    my $uri = 'g/collect?v=2&tid=G-ABC1234567&cid=1.1&en=';

    is header($t->get("/metrics/${uri}sgtm_check"), 'Sgtm-Disposition'),
       'forwarded', 'tells what became of it';
    is header($t->get("/metrics/${uri}page_view"), 'Sgtm-Disposition'), undef,
       'no other does';
    is header($t->get("/off/${uri}sgtm_check"), 'Sgtm-Disposition'), undef,
       'nor where the page is off';
    is header($t->get("/inside/${uri}sgtm_check"), 'Sgtm-Disposition'), undef,
       'nor for who may not use it';
};


###############################################################################

my $why = SGTM::Browser::missing();

my $browser = $why ? undef : SGTM::Browser->start;

# the page's rows, by name: level and text

sub check {
    my ($uri, $nth) = @_;

    $browser->go("https://localhost:@{[ $t->port($nth || 2) ]}$uri");
    $browser->wait('document.getElementById("again").disabled === false');

    return $browser->evaluate(
        'Object.fromEntries([...document.querySelectorAll("#checks > li")]'
        . '.map((e) => [e.id, e.dataset.level + " " + e.innerText]))');
}


# for the docs, and for who wants to look at it

sub pictures {
    my ($name) = @_;

    my $to = $ENV{SGTM_PICTURES} or return;

    for my $case (['', 820, 'light'], ['-dark', 820, 'dark'],
                  ['-narrow', 360, 'light'])
    {
        my ($suffix, $width, $scheme) = @$case;

        $browser->scheme($scheme);
        $browser->size($width, 400);
        $browser->picture("$to/check-$name$suffix.png",
                          { fullPage => JSON::PP::true() });
    }

    $browser->scheme('light');
}


sub levels {
    my ($rows) = @_;

    return join ' ', map { "$_=" . ($rows->{$_} =~ /^(\w+)/)[0] }
                     sort keys %$rows;
}

SKIP: {
    skip $why, 1 if $why;

    $tag->clear;
    $tag->mode('cookies');

    my $rows = check('/metrics/check');

    is levels($rows),
       'consent=ok cookies=ok hit=ok policy=ok preview=ok script=ok',
       'browser: all is well' or diag $json->encode($rows);
    like $rows->{cookies}, qr/has set FPID/, 'a cookie that no script sees';
    is $browser->evaluate('document.getElementById("summary").textContent'),
       '6 of 6 are fine.', 'it says so';
    is_deeply $browser->complaints, [], 'nothing on the console';

    my ($hit) = grep { $_->{uri} =~ m{^/g/collect} } $tag->requests;
    my %args = map { $_->[0] => $_->[1] }
                   split_args(($hit->{uri} =~ /\?(.*)/)[0]);

    is $args{en}, 'sgtm_check', 'its hit';
    is $args{_dbg}, '1', 'is a debug one';
    is $args{'ep.debug_mode'}, '1', 'also by its name';
    is $args{'ep.traffic_type'}, 'internal', 'and internal';
    is scalar(grep { $_->{uri} =~ m{^/g/collect} } $tag->requests), 1,
       'and is the only one: the site\'s script is not run';

    pictures('fine');

    # each thing broken in turn

    $tag->mode('down');
    $rows = check('/metrics/check');

    is levels($rows),
       'consent=ok cookies=ok hit=fail policy=ok preview=fail script=ok',
       'browser: the tagging server is away';
    like $rows->{hit}, qr/answered 503/, 'and what was answered';
    like $rows->{hit}, qr/What to do|tagging server/, 'and what to do';

    $tag->mode('no preview');
    $rows = check('/metrics/check');

    is levels($rows),
       'consent=ok cookies=ok hit=ok policy=ok preview=warn script=ok',
       'browser: no preview';

    $rows = check('/basic/check');
    is levels($rows),
       'consent=warn cookies=ok hit=fail policy=ok preview=warn script=ok',
       'browser: consent by a source that has granted nothing';
    like $rows->{hit}, qr/denied, consent/, 'and the reason of the gate';

    $rows = check('/no-id/check');
    is levels($rows),
       'consent=warn cookies=ok hit=skip policy=ok preview=warn script=ok',
       'browser: no measurement id, consent mode off';

    $rows = check('/policy/check');
    like levels($rows), qr/policy=fail/, 'browser: a policy in front';
    like $rows->{policy}, qr/connect-src/, 'and which part of it';

    $rows = check('/cached/check');
    like levels($rows), qr/script=warn/, 'browser: kept for an hour';

    $rows = check('/metrics/check', 3);
    is levels($rows),
       'consent=ok cookies=ok hit=ok policy=warn preview=warn script=ok',
       'browser: the site\'s policy forbids the script';
    like $rows->{policy}, qr/nonce/, 'and what it lacks';

    check('/basic/check');
    pictures('wrong');

    $browser->stop;
}


# the committed header is made of the committed sources

SKIP: {
    my $snippet = SGTM::Run::root() . '/snippet';

    skip 'npm has not been run in snippet/', 1
        if !-d "$snippet/node_modules/esbuild";

    my ($status, $out) = run('node', "$snippet/check/build.mjs", '--check');

    is $status, 0, 'ngx_http_sgtm_check_page.h is up to date' or diag $out;
}

done_testing();
