#!/usr/bin/perl

# sgtm_csp: a page's policies, as it or nginx sets them, allow what its tags
# need, by a nonce of this answer alone; a page that has the nonce is stored by
# nobody; a strict policy where there is none; and what browsers report is
# counted, and nothing else of it kept.
#
# Guards against a policy that lets pass more than before, a nonce that comes
# twice or to a browser that has the page already, a header that was overlooked,
# and reports that fill a log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use SGTM::Test;

my @html = ('Content-Type' => 'text/html');
my $CSP = 'Content-Security-Policy';
my $NONCE = qr{[A-Za-z0-9+/]{22}==};
my $PAGE = '<!doctype html><html><head></head></html>';

my $REPORT = '{"csp-report":{"document-uri":"https://shop.example/?SECRET=1",'
             . '"effective-directive":"script-src-elem","blocked-uri":"x"}}';

# the site; the query says what the page's header has

my $site = SGTM::Backend->start(sub {
    my ($req) = @_;
    my ($kind, $text) = $req->{uri} =~ m{/([a-z]+)(?:\?(.*))?$};
    my @headers;

    for (split /&/, $text || '') {
        my ($name, $value) = split /=/, $_, 2;
        $value =~ s/%([0-9A-F]{2})/chr hex $1/ge;
        push @headers, ($name eq 'p' ? $CSP : $name eq 'r'
                        ? "$CSP-Report-Only" : $name) => $value;
    }

    return [304, [@headers, ETag => '"abc"'], '']
        if ($req->{h}{'if-none-match'} || '') eq '"abc"';
    return [200, ['Content-Type' => 'text/css', @headers], 'a']
        if $kind eq 'css';
    return [404, [@html, @headers], $PAGE] if $kind eq 'missing';
    return [200, [@html, @headers], '<script nonce="'
                  . ($req->{h}{'x-nonce'} || '') . '">a</script>']
        if $kind eq 'template';

    return [200, [@html, ETag => '"abc"', Expires => 'never',
                  'Last-Modified' => 'Mon, 01 Jan 2024 00:00:00 GMT',
                  'Cache-Control' => 'public', 'Cache-Control' => 'max-age=60',
                  @headers], $PAGE];
});

my $tag = SGTM::Backend->start;

my $GATEWAY = <<'EOF';
            sgtm           on;
            proxy_pass     http://tagging/;
            include        sgtm_proxy.conf;
EOF

my $t = SGTM::Test->start(<<"EOF", names => 'shop.example');
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; }
    upstream site { server 127.0.0.1:@{[ $site->port ]}; }

    sgtm_endpoint   sgtm.example.com;
    sgtm_tag_id     G-ABC1234567;
    sgtm_fallback   off;
    types { text/html html; }

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  shop.example;
        sgtm_inject  on;
        sgtm_csp     nonce;

        location /metrics/ {
$GATEWAY
        }

        location / {
            proxy_pass  http://site;
        }

        location /off/ {
            sgtm_csp    off;
            proxy_pass  http://site;
        }

        location /strict/ {
            sgtm_csp    strict;
            proxy_pass  http://site;
        }

        location /nginx/ {
            add_header  $CSP "default-src 'none'; script-src 'self'" always;
            add_header  $CSP "img-src *";
            proxy_pass  http://site;
        }

        location /by-hand/ {
            sgtm_inject  off;
            proxy_pass   http://site;
        }

        location /template/ {
            sgtm_inject       off;
            proxy_set_header  X-Nonce \$sgtm_nonce;
            proxy_pass        http://site;
        }

        location /marked/ {
            sgtm_inject      off;
            sub_filter       'nonce=""' 'nonce="\$sgtm_nonce"';
            sub_filter_once  off;
            proxy_pass       http://site;
        }

        location /fallback/ {
            root        %%DIR%%/html;
            try_files   \$uri \@site;
        }

        location \@site {
            proxy_set_header  X-Nonce \$sgtm_nonce;
            rewrite           ^ /template break;
            proxy_pass        http://site;
        }

        location /text/ {
            default_type  text/plain;
            return        200 "nonce \$sgtm_nonce";
        }

        location = /status { sgtm_status; }
    }

    # the other ways of tagging

    server {
        listen          127.0.0.1:%%PORT2%%;
        server_name     other.example;
        sgtm_csp        nonce;
        sgtm_inject     on prefix=/both/;

        location /both/ {
            sgtm_tier       professional;
            sgtm_fallback   client;
            sgtm_container  GTM-ABC1234;
$GATEWAY
        }

        location /google/ {
            sgtm_tier  starter;
$GATEWAY
        }

        location / {
            proxy_pass  http://site;
        }

        location /starter/ {
            sgtm_csp    nonce prefix=/google/;
            proxy_pass  http://site;
        }
    }
EOF


sub escape {
    my ($text) = @_;

    $text =~ s/([^\w.\/-])/sprintf '%%%02X', ord $1/ge;

    return $text;
}


# a page with these policies: (response, its policies, its nonce)

sub page {
    my ($where, @policies) = @_;

    my @args;

    while (my ($name, $value) = splice @policies, 0, 2) {
        push @args, "$name=" . escape($value);
    }

    my $res = $t->get("$where?" . join('&', @args));
    my @got = (headers($res, $CSP), headers($res, "$CSP-Report-Only"));
    my ($nonce) = "@got" =~ /'nonce-($NONCE)'/;

    s/'nonce-$NONCE'/'nonce-N'/g for @got;

    return ($res, \@got, $nonce);
}


# the page's own header

my ($res, $got, $nonce) = page('/page', p => "script-src 'self'");

is_deeply($got, ["script-src 'self' 'nonce-N'"], 'a nonce');
is($res->{body}, $PAGE =~ s{<head>}{<head><script async nonce="$nonce" }r
                           =~ s{ (?=</head)}{ src="/metrics/t.js"></script>}r,
   'is that of the line');
is_deeply([headers($res, 'Cache-Control')], ['no-store'], 'stored by nobody');
is($res->{h}{$_}, undef, "no $_") for qw(etag last-modified expires);

my %seen = ($nonce => 1);

for (1 .. 20) {
    $seen{ (page('/page', p => "script-src 'self'"))[2] }++;
}

is(scalar keys %seen, 21, 'each answer has another one');

my @many = (p => "default-src 'none'", p => "connect-src 'none', img-src a",
            r => "script-src 'none'", r => "frame-ancestors 'none'");

($res, $got) = page('/page', @many);

is_deeply($got, [
    "default-src 'none'; script-src 'nonce-N'; connect-src 'self'; "
        . "img-src 'self'; frame-src 'self'",
    "connect-src 'self', img-src a 'self'",
    "script-src 'nonce-N'", "frame-ancestors 'none'"
], 'several headers, policies and kinds');

is(keys %{{ map { $_ => 1 } join(' ', map { $_->[1] } @{ $res->{headers} })
            =~ /'nonce-($NONCE)'/g }}, 1, 'with the same nonce');

($res, $got) = page('/off/page', @many);

is_deeply($got, [map { $many[$_] } grep { $_ % 2 } 0 .. $#many], 'off');
is($res->{h}{'cache-control'}, 'public, max-age=60', 'stored');

($res, $got) = page('/page', p => "script-src 'self' 'unsafe-inline'; "
                                  . "connect-src 'none'");

is_deeply($got, ["script-src 'self' 'unsafe-inline'; connect-src 'self'"],
          'no nonce where it would stop inline scripts');
like($res->{body}, qr/<script async src/, 'nor in the line');
like($res->{h}{etag}, qr/^W\/"abc-/, 'so it has its ETag');
is($res->{h}{'cache-control'}, 'public, max-age=60', 'and is stored');

($res, $got) = page('/page');

is_deeply($got, [], 'none where there is none');
like($res->{body}, qr/<script async src/, 'nor a nonce');

($res, $got) = page('/nginx/page', p => 'script-src a');

is_deeply([sort @$got], [sort "script-src a 'nonce-N'",
    "default-src 'none'; script-src 'self' 'nonce-N'; connect-src 'self'; "
    . "img-src 'self'; frame-src 'self'", 'img-src *'],
    'those of add_header, too');

($res, $got) = page('/nginx/missing');

like($got->[0], qr/'nonce-N'.*connect-src 'self'/, 'of an error');

($res, $got) = page('/css', p => "script-src 'self'");

is_deeply($got, ["script-src 'self'"], 'what is no page keeps its policy');


# where the browser may go to Google itself

my $other = sub {
    my ($uri) = @_;

    my $res = $t->request('GET', $uri, [Host => 'other.example'], undef,
                          nth => 2);

    return header($res, $CSP);
};

like($other->('/page?p=' . escape("connect-src 'none'; img-src 'none'")),
     qr{^connect-src\ 'self'\ https://\*\.google-analytics\.com\ .*
        ;\ img-src\ 'self'\ https://\*\.google-analytics\.com\ }x,
     'professional');
like($other->('/starter/page?p=' . escape("connect-src 'none'; img-src a")),
     qr{^connect-src\ https://\*\.google-analytics\.com\ .*
        ;\ img-src\ a\ https://\*\.google-analytics\.com\ }x,
     'starter: nothing goes through the gateway');


# strict

($res, $got, $nonce) = page('/strict/page');

is_deeply($got, ["default-src 'none'; script-src 'self' 'nonce-N'; style-src "
    . "'self'; img-src 'self'; font-src 'self'; media-src 'self'; connect-src "
    . "'self'; frame-src 'self'; worker-src 'self'; manifest-src 'self'; "
    . "form-action 'self'; frame-ancestors 'self'; base-uri 'none'; report-uri "
    . "/metrics/csp"], 'a whole policy');
like($res->{body}, qr/nonce="\Q$nonce\E"/, 'with the nonce');

($res, $got) = page('/strict/page', r => "script-src 'self'");

is_deeply($got, ["script-src 'self' 'nonce-N'"],
          'a page that only asks for reports has one');

($res, $got) = page('/strict/css');

is_deeply($got, [], 'of pages only');


# templates

($res, $got, $nonce) = page('/template/template', p => "script-src 'none'");

is($res->{body}, "<script nonce=\"$nonce\">a</script>",
   '$sgtm_nonce is that of the policy');

($res, $got, $nonce) = page('/marked/template', p => "script-src 'none'");

is($res->{body}, "<script nonce=\"$nonce\">a</script>", 'marked by sub_filter');

$res = $t->get('/fallback/a');

like($res->{body}, qr/nonce="$NONCE"/, 'after try_files');
is($res->{h}{'cache-control'}, 'no-store', 'a template that may have it');

is($t->get('/metrics/t.js')->{h}{'content-security-policy'}, undef,
   'nothing of this in a gateway');
is($t->get('/off/text')->{h}{'content-security-policy'}, undef, 'nor where off');
like($t->get('/text/')->{body}, qr/^nonce $NONCE$/, 'a variable');


# a browser that has the page from before

my %page = (Accept => 'text/html');
my $policy = 'p=' . escape("script-src 'self'; connect-src 'none'");

$res = $t->get("/page?$policy", %page, 'If-None-Match' => '"abc"',
               'If-Modified-Since' => 'Mon, 01 Jan 2024 00:00:00 GMT');

is($res->{status}, 200, 'gets it anew');
like(header($res, $CSP), qr/'nonce-/, 'with the nonce');

$res = $t->get("/page?$policy", 'If-None-Match' => '"abc"');

is($res->{status}, 304, 'a 304 that comes all the same');
is(header($res, $CSP), "script-src 'self'; connect-src 'self'",
   'has what is needed, but no nonce');

$res = $t->request('HEAD', "/page?$policy");

like(header($res, $CSP), qr/'nonce-/, 'HEAD');
is($res->{h}{etag}, undef, 'as GET');


# reports

my $before = $t->error_log;

for my $type ('application/csp-report', 'application/reports+json') {
    $res = $t->post('/metrics/csp', $REPORT, 'Content-Type' => $type);
    is($res->{status}, 204, $type);
}

$t->post('/metrics/csp', '[{"type":"csp-violation","body":'
         . '{"effectiveDirective":"img-src"}},{"type":"csp-violation","body":'
         . '{"effectiveDirective":"SECRET"}}]');

is($t->post('/metrics/csp', $_)->{status}, 204, 'what is no report')
    for '', '{', 'SECRET', '[' x 5000;

is($t->post('/metrics/csp', 'a' x 70000)->{status}, 413, 'a large one');
is($t->get('/metrics/csp')->{status}, 405, 'GET');
is($t->post('/metrics/csp', $REPORT, Origin => 'https://evil.example')
   ->{status}, 403, 'of another site');

my $status = $t->status('/status')->{tenants}{'shop.example'};

is_deeply($status->{csp_violations}, { script => 2, img => 1, other => 1 },
          'counted by what they are');
is($status->{requests}{csp}, 10, 'and as requests');

like($t->get('/status?format=prometheus')->{body},
     qr/^sgtm_csp_violations_total\{tenant="shop\.example",
        directive="script"\}\ 2$/mx, 'for Prometheus');

unlike($t->error_log . $t->access_log, qr/SECRET/, 'no log has more of it');
is($tag->count, 0, 'and the tagging server nothing');


# what a record says of a host

my %records = (
    a => '"script":"a/s.js"', b => '"tier":"enterprise"',
    c => '"features":{"inject":false,"csp":false}', d => '"tier":"starter"',
    e => '"tagging":"light"', f => '"tier":"professional","fallback":"client"',
    g => '"tier":"professional","fallback":"client","residency":"eu"',
    h => '"tier":"enterprise","fallback":"client"',
    i => '"tier":"enterprise","events":{"a":"both"}',
    j => '"tier":"starter","tagging":"light","events":{"a":"server"}',
);

my $json = join ",\n", map {
    qq({"id":"$_","hosts":["$_.example"],"tag_ids":["G-ABC1234567"],)
    . "$records{$_}}"
} sort keys %records;

my $file = SGTM::Run::dir('tenants') . '/tenants.json';

SGTM::Run::put($file, "{\"tenants\":[$json]}");

my $r = SGTM::Test->start(<<"EOF");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; }
    upstream site { server 127.0.0.1:@{[ $site->port ]}; }

    sgtm_tenants  file=$file;

    server {
        listen       127.0.0.1:%%PORT%% default_server;
        server_name  agency.example;
        sgtm_inject  on;
        sgtm_csp     nonce;

        location /metrics/ {
            sgtm           on;
            sgtm_fallback  off;
            proxy_pass     http://tagging/;
            include        sgtm_proxy.conf;
        }

        location / {
            proxy_pass  http://site;
        }
    }
EOF

sub of_host {
    my ($host, $more) = @_;

    return $r->get('/page?' . ($more || ''), Host => $host);
}

like(of_host('a.example')->{body}, qr{<head><script async src="/metrics/a/s\.js">},
     'the script of the host');
like(of_host('b.example')->{body}, qr{src="/metrics/t\.js"}, 'the usual one');
is(of_host('c.example')->{body}, $PAGE, 'switched off');
is(of_host('nobody.example')->{body}, $PAGE, 'nobody');

like(header(of_host('a.example', 'p=' . escape('script-src a')), $CSP),
     qr/^script-src a 'nonce-/, 'a policy of the host');
is(header(of_host('c.example', 'p=' . escape('script-src a')), $CSP),
   'script-src a', 'switched off, too');
like(header(of_host('d.example', 'p=' . escape("connect-src 'none'")), $CSP),
     qr/^connect-src https:/, 'the tier of the host');
like(header(of_host('f.example', 'p=' . escape("connect-src 'none'")), $CSP),
     qr/^connect-src 'self' https:/, 'its fallback');
is(header(of_host('g.example', 'p=' . escape("connect-src 'none'")), $CSP),
   "connect-src 'self'", 'but not where data has to stay');
like(header(of_host("$_.example", 'p=' . escape("connect-src 'none'")), $CSP),
     qr/^connect-src 'self' https:/, "what the script of $_ needs")
    for 'h', 'i', 'j';
is(header(of_host('e.example', 'p=' . escape("default-src a; script-src "
          . "'unsafe-inline' 'self'")), $CSP),
   "default-src a; script-src 'unsafe-inline' 'self'; connect-src a 'self'",
   'the way of tagging of the host');

done_testing;
