#!/usr/bin/perl

# Pages with the line, and policies that were fitted, as a browser sees them:
# over TLS and HTTP/2, under policies that forbid everything, the tags run, and
# nothing else that did not before; a strict policy's reports arrive; and of all
# heads of the unit test the browser's own parser says that the line is the
# first thing in the head, with the rest of the page as it is without it.
#
# Guards against a scanner or a reader of policies that is right by its own
# tests alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use SGTM::Test;

my ($chromium) = grep { -x } map { ("$_/chromium", "$_/chromium-browser") }
                             split /:/, $ENV{PATH};

plan(skip_all => 'chromium is not installed') if !$chromium;

# what the unit test has between "heads[] = {" and "};", "^" is the place

my @heads = map { s/\^//r } grep { /\^/ } unit_heads();

cmp_ok(scalar @heads, '>=', 60, 'heads of the unit test');

my $GTM_JS = <<'EOF';
fetch('/metrics/g/collect?v=2&tid=G-ABC1234567&en=page_view',
      { method: 'POST' }).then(
    function (res) { document.body.dataset.state = 'status ' + res.status; },
    function () { document.body.dataset.state = 'failed'; });
EOF

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return [200, ['Content-Type' => 'application/javascript'], $GTM_JS]
        if $req->{uri} =~ m{^/gtm\.js\?};

    return 204;
});

my $INLINE = '<script nonce="">document.documentElement.dataset.inline = 1;'
             . '</script>';

# the policy of each page; undef: none

my %policies = (
    dynamic => "default-src 'none'; script-src 'nonce-b2xk' 'strict-dynamic'",
    inline  => "script-src 'self' 'unsafe-inline'; connect-src 'none'",
    none    => "default-src 'none'; require-trusted-types-for 'script'; "
               . 'trusted-types a',
    strict  => undef,
);

my $site = SGTM::Backend->start(sub {
    my ($req) = @_;
    my @html = ('Content-Type' => 'text/html; charset=utf-8');

    return [200, [@html], $heads[$1]] if $req->{uri} =~ m{/head(\d+)$};

    return [200, ['Content-Type' => 'application/javascript'], heads_js()]
        if $req->{uri} eq '/heads.js';

    return [200, [@html], '<!doctype html><html><head><script src="/heads.js">'
            . '</script></head><body></body></html>']
        if $req->{uri} =~ m{/all$};

    my ($name) = $req->{uri} =~ m{(\w+)\.html$} or return 404;
    my $policy = $policies{$name};

    return [200, [@html, $policy ? ('Content-Security-Policy' => $policy) : ()],
            "<!doctype html><html><head><title>a</title>$INLINE"
            . '<script>document.documentElement.dataset.foreign = 1;</script>'
            . '</head><body data-state="untouched"></body></html>'];
});

my $t = SGTM::Test->start(<<"EOF", names => 'page.example');
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; }
    upstream site { server 127.0.0.1:@{[ $site->port ]}; }

    server {
        %%LISTEN_H2(127.0.0.1:%%PORT%% ssl)%%
        listen               127.0.0.1:%%PORT2%%;
        server_name          page.example;
        ssl_certificate      %%CERT%%;
        ssl_certificate_key  %%KEY%%;

        sgtm_endpoint   sgtm.example.com;
        sgtm_container  GTM-ABC1234;
        sgtm_tag_id     G-ABC1234567;
        sgtm_fallback   off;
        sgtm_inject     on;
        sgtm_csp        nonce;

        sub_filter       'nonce=""' 'nonce="\$sgtm_nonce"';
        sub_filter_once  off;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }

        location / {
            proxy_pass  http://site;
        }

        location /strict.html {
            sgtm_csp    strict;
            proxy_pass  http://site;
        }

        location /off/ {
            sgtm_csp    off;
            proxy_pass  http://site;
        }

        location /raw/ {
            sgtm_inject  off;
            proxy_pass   http://site;
        }

        location = /status { sgtm_status; }
    }
EOF


sub unit_heads {
    open(my $fh, '<', "$FindBin::Bin/unit/head.c") or die "head.c: $!\n";
    my $text = do { local $/; <$fh> };

    my ($table) = $text =~ /heads\[\] = \{\n(.*?)\n\};/s;

    return map {
        my $page = join '', /"((?:[^"\\]|\\.)*)"/g;

        $page =~ s/\\x([0-9a-f]{2})/chr hex $1/ge;
        $page =~ s/\\n/\n/g;
        $page =~ s/\\t/\t/g;
        $page =~ s/\\r/\r/g;
        $page =~ s/\\f/\f/g;
        $page =~ s/\\(["\\])/$1/g;
        $page;
    } $table =~ /\{ ("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*),/g;
}


# parses each page with and without the line

sub heads_js {
    return 'var n = ' . @heads . ";\n" . <<'EOF';
var line = '<script async="" src="/metrics/t.js"><\/script>';

function parse(url) {
    return fetch(url).then(function (res) {
        return res.text();
    }).then(function (text) {
        return new DOMParser().parseFromString(text, 'text/html');
    });
}

function differ(page, raw) {
    return page.compatMode != raw.compatMode ? 'mode'
           : page.head.innerHTML != line + raw.head.innerHTML ? 'head'
           : page.body.outerHTML != raw.body.outerHTML ? 'body' : '';
}

onload = function () {
    var wrong = [], todo = [], i;

    function check(i) {
        return Promise.all([parse('/head' + i), parse('/raw/head' + i)]).then(
            function (both) {
                var why = differ(both[0], both[1]);

                if (why) {
                    wrong.push(i + ': ' + why);
                }
            });
    }

    for (i = 0; i < n; i++) {
        todo.push(check(i));
    }

    Promise.all(todo).then(function () {
        document.body.dataset.wrong = wrong.join(', ');
        document.body.dataset.checked = n;
    });
};
EOF
}


sub browse {
    my ($uri) = @_;

    my $port = $t->port;

    my ($status, $out) = run(
        'timeout', '90', $chromium, qw(--headless --no-sandbox --disable-gpu
        --disable-dev-shm-usage --no-first-run --disable-extensions
        --disable-background-networking --disable-component-update
        --disable-sync --ignore-certificate-errors),
        "--user-data-dir=@{[ $t->dir ]}/chromium",
        "--host-resolver-rules=MAP page.example:$port 127.0.0.1:$port,"
        . 'MAP * ~NOTFOUND',
        '--virtual-time-budget=3000', '--dump-dom',
        "https://page.example:$port$uri"
    );

    my %data = $out =~ /\bdata-(\w+)="([^"]*)"/g;

    diag($out) if !%data;

    return \%data;
}


my $all = browse('/off/all');

is($all->{checked}, scalar @heads, 'the browser has parsed all heads');
is($all->{wrong}, '', 'the line is the first thing in each')
    or diag join "\n", map { "$_: $heads[$_]" } $all->{wrong} =~ /(\d+):/g;

for my $name (sort keys %policies) {
    $tag->clear;

    my $data = browse("/$name.html");
    my @uris = map { $_->{uri} } $tag->wait_requests(2);

    is($data->{state}, 'status 204', "$name: a hit was answered");
    is($uris[0], '/gtm.js?id=GTM-ABC1234', 'after the container');
    is($data->{inline}, 1, 'a script that is marked runs');
    is($data->{foreign}, $name eq 'inline' ? 1 : undef,
       'another one as before');
}

# the proof that the browser enforces it

$tag->clear;

my $data = browse('/off/dynamic.html');

is($data->{state}, 'untouched', 'without sgtm_csp nothing runs');
is($data->{inline}, undef, 'not even what is marked');
is($tag->count, 0, 'and nothing was asked for');

# the strict page has an inline script that is not marked

my $counted = wait_for {
    my $res = $t->request('GET', '/status', [], undef, nth => 2);

    JSON::PP->new->decode($res->{body})
        ->{tenants}{'page.example'}{csp_violations}{script}
} 5;

cmp_ok($counted || 0, '>', 0, 'the browser\'s report was counted');

done_testing;
