#!/usr/bin/perl

# sgtm_inject: the line that loads the script, right after <head>, in pages of
# whatever server and in pieces of any size; the length, the validators and the
# header of such a page; and all that is left as it is: parts of pages, errors,
# what is compressed, what loads the script itself.
#
# Guards against a page that arrives cut, late, twice tagged or with a length
# that is not its own; a browser that keeps the page from before; a file, an
# answer to a script or an error that has a line of HTML in it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Compress::Gzip qw(gzip);
use IO::Uncompress::Gunzip qw(gunzip);
use SGTM::Test;
use Time::HiRes qw(time);

my $LINE = '<script async src="/metrics/t.js"></script>';

my @html = ('Content-Type' => 'text/html; charset=utf-8');

# "^" is the place of the line; the unit test has many more of them

my @heads = (
    '<!DOCTYPE html><html><head>^<title>a</title></head><body>b</body></html>',
    "\xef\xbb\xbf<!doctype html>\n<HTML lang=en>\n<HEAD data-a=\">\">^\n",
    '<!-- <head> --><html><head prefix=\'og: >\'>^<title><head></title>',
    '<!doctype html>^<title><head></title><body>',
    '<html>^<body>text',
    '<!doctype html> ^text',
    '<html>^</head>',
    "<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"a\">\n<html/><head/>^a",
    '<html><head>^',
    '^<body>',
    '<html>^<header>a</header>',
    "<html><head>^\xe4\xf6\xfc \xff\xfe\x00\x01 \x80",
    '<div><head></head></div>',
    '<title>a</title>',
    '{"a":"<html><head>"}',
    'text <html><head>',
    '<html',
    '<!-- <html><head>',
    '<html><head a="',
    '<html></hea',
    "\xff\xfe<\0h\0t\0m\0l\0>\0<\0h\0e\0a\0d\0>\0",
);

my %answers = (
    plain    => [200, [@html], $heads[0] =~ s/\^//r],
    tagged   => [200, [@html, ETag => '"abc"'], page('x')],
    weak     => [200, [@html, ETag => 'W/"abc"',
                       'Last-Modified' => 'Mon, 01 Jan 2024 00:00:00 GMT'],
                 page('x')],
    dated    => [200, [@html,
                       'Last-Modified' => 'Mon, 01 Jan 2024 00:00:00 GMT'],
                 page('x')],
    part     => [200, [@html, ETag => '"abc"'], '<li>a</li>'],
    empty    => [200, [@html], ''],
    json     => [200, ['Content-Type' => 'application/json'], page('x')],
    xhtml    => [200, ['Content-Type' => 'application/xhtml+xml'], page('x')],
    css      => [200, ['Content-Type' => 'text/css'], page('x')],
    upper    => [200, ['Content-Type' => 'Text/HTML'], page('x')],
    created  => [201, [@html], page('x')],
    partial  => [206, [@html, 'Content-Range' => 'bytes 0-40/99'], page('x')],
    moved    => [302, [@html, Location => '/plain'], page('x')],
    missing  => [404, [@html], page('x')],
    failed   => [500, [@html], page('x')],
    twice    => [200, [@html], page("<head>$LINE<head>")],
    own      => [200, [@html], page("<script src='/metrics/t.js'></script>")],
    comment  => [200, [@html], page("<!-- $LINE -->")],
    preload  => [200, [@html],
                 page('<link rel=preload as=script href="/metrics/t.js">')],
    gzip     => [200, [@html, 'Content-Encoding' => 'gzip', ETag => '"abc"'],
                 packed(page('x'))],
    br       => [200, [@html, 'Content-Encoding' => 'br'], "\x0b\x02\x80<html>"],
    include  => [200, [@html], '<!doctype html><html><!--# include virtual='
                               . '"/ssi/head" --><!--# include virtual='
                               . '"/ssi/body" --></html>'],
    head     => [200, [@html], '<head><title>a</title></head>'],
    body     => [200, [@html], '<body><head></body>'],
    stream   => { headers => [@html], chunks => ['<html><head>', 'a', \1.2,
                                                 'b'] },
    cut      => { raw => ["HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                          . "Content-Length: 100\r\n\r\n"], close => 1 },
    cutlater => { raw => ["HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                          . "Content-Length: 100\r\n\r\n<html><hea"],
                  close => 1 },
    slow     => { raw => ["HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                          . "Content-Length: 12\r\n\r\n", \0.3,
                          '<html><head>'] },
);

my $site = SGTM::Backend->start(sub {
    my ($req) = @_;
    my ($kind, $n) = $req->{uri} =~ m{([a-z]+)(\d*)$};

    return [304, [ETag => '"abc"'], '']
        if ($req->{h}{'if-none-match'} || '') =~ m{^(?:W/)?"abc"$};

    if ($kind eq 'whole' || $kind eq 'bytes' || $kind eq 'late') {
        my $page = $heads[$n] =~ s/\^//r;
        my @bytes = split //, $page;

        return [200, [@html], $page] if $kind eq 'whole';
        return { headers => [@html], chunks => \@bytes } if $kind eq 'bytes';

        # each of the first bytes in a read of its own
        my @first = splice @bytes, 0, 24;

        return { headers => [@html],
                 chunks => [(map { ($_, \0.004) } @first),
                            @bytes ? join '', @bytes : ()] };
    }

    return $answers{$kind} || [404, [], ''];
});

my $tag = SGTM::Backend->start(sub {
    return [200, [@html], page('tagging server')];
});


sub page {
    my ($text) = @_;

    return "<!doctype html><html><head>$text</head><body></body></html>";
}


sub injected {
    my ($text) = @_;

    return page("$LINE$text");
}


sub packed {
    my ($text) = @_;

    gzip(\$text => \my $out);

    return $out;
}


sub unpacked {
    my ($text) = @_;

    gunzip(\$text => \my $out);

    return $out;
}


my $GATEWAY = <<'EOF';
            sgtm            on;
            sgtm_fallback   off;
            sgtm_tag_id     G-ABC1234567;
            proxy_pass      http://tagging/;
            include         sgtm_proxy.conf;
EOF

my $t = SGTM::Test->start(<<"EOF");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; }
    upstream site { server 127.0.0.1:@{[ $site->port ]}; keepalive 8; }

    proxy_http_version  1.1;
    proxy_set_header    Connection "";
    sgtm_endpoint       sgtm.example.com;
    sgtm_inject         on;
    types { text/html html; image/png png; }

    server {
        listen       127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name  shop.example;

        location /metrics/ {
$GATEWAY
        }

        location / {
            proxy_pass  http://site;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://site;
        }

        location /errors/ {
            sgtm_inject  on errors;
            proxy_pass   http://site;
        }

        location /off/ {
            sgtm_inject  off;
            proxy_pass   http://site;
        }

        location /packed/ {
            gzip             on;
            gzip_min_length  1;
            proxy_pass       http://site;
        }

        location /gunzip/ {
            gunzip           on;
            gzip             on;
            gzip_min_length  1;
            gzip_vary        on;
            proxy_pass       http://site;
        }

        location /ssi/ {
            ssi         on;
            proxy_pass  http://site;
        }

        location /sub/ {
            sub_filter  '<head>' '<head><base href="/">';
            proxy_pass  http://site;
        }

        location /static/ {
            alias     %%DIR%%/html/;
            sendfile  on;
        }

        location /nosuch/ {
            error_page  404 = /plain;
            root        %%DIR%%/html;
        }

        location /page/ {
            error_page  404 /static/page.html;
            root        %%DIR%%/html;
        }

        location /return/ {
            default_type  text/html;
            return        200 '<html><head>';
        }

        location /try/ {
            root       %%DIR%%/html;
            try_files  \$uri \@site;
        }

        location \@site {
            rewrite     ^ /tagged break;
            proxy_pass  http://site;
        }
    }

    # no gateway, and so nothing to load

    server {
        listen       127.0.0.1:%%PORT3%%;
        server_name  plain.example;

        location / {
            proxy_pass  http://site;
        }
    }

    server {
        listen       127.0.0.1:%%PORT4%%;
        server_name  two.example;
        sgtm_inject  off;

        location /a/ {
            sgtm_script  a.js;
$GATEWAY
        }

        location "/b c&\\"d'<" {
            sgtm_script  b.js;
$GATEWAY
        }

        location / {
            sgtm_inject  on prefix=/a;
            proxy_pass   http://site;
        }

        location /other/ {
            sgtm_inject  on "prefix=/b c&\\"d'<";
            proxy_pass   http://site;
        }
    }
EOF

my %ok = (Accept => 'text/html,*/*;q=0.8');


sub get { return $t->get($_[0], @_[1 .. $#_]) }


# heads, whole and in pieces

for my $n (0 .. $#heads) {
    my $want = $heads[$n] =~ s/\^/$LINE/r;
    my $name = $heads[$n] =~ s/[^ -~]/./gr;

    my $res = get("/whole$n");

    is($res->{body}, $want, $name);
    is($res->{h}{'content-length'}, length $want, 'its length');

    is(get("/bytes$n")->{body}, $want, 'byte by byte');
    is(get("/unbuffered/bytes$n")->{body}, $want, 'the same, unbuffered');
    is(get("/unbuffered/late$n")->{body}, $want, 'one read a byte')
        if $n < 10;
}


# what is not a page, or not a whole one

my $plain = get('/plain');

is($plain->{body}, $heads[0] =~ s/\^/$LINE/r, 'a page');
is($plain->{h}{'content-type'}, 'text/html; charset=utf-8', 'its type');
ok(!$plain->{h}{'transfer-encoding'}, 'no chunks where there is a length');

for my $kind (qw(json xhtml css empty partial moved missing failed)) {
    my $res = get("/$kind");

    is($res->{body}, $answers{$kind}[2], "nothing in $kind");
    is($res->{h}{'content-length'}, length $res->{body}, 'its length');
}

is(get("/$_")->{body}, injected('x'), $_) for qw(upper created);

my $part = get('/part');

is($part->{body}, '<li>a</li>', 'nothing in a part');
is($part->{h}{etag}, '"abc"', 'its ETag');
is($part->{h}{'content-length'}, 10, 'its length');

is(get('/off/plain')->{body}, $heads[0] =~ s/\^//r, 'sgtm_inject off');
is(get('/metrics/sw_iframe.html')->{body}, page('tagging server'),
   'nothing in what the tagging server answers');
is($t->request('GET', '/plain', [Host => 'plain.example'], undef,
               nth => 3)->{body}, $answers{plain}[2],
   'a server without a gateway');

is(get("/errors/$_")->{body}, injected('x'), "$_, if asked")
    for qw(missing failed tagged);
is(get('/errors/moved')->{body}, page('x'), 'but no redirection');

is(get('/comment')->{body}, injected("<!-- $LINE -->"),
   'a line in a comment is none');
is(get('/preload')->{body}, $answers{preload}[2] =~ s/<head>/<head>$LINE/r,
   'a preload is none');
is(get('/own')->{body}, $answers{own}[2], 'the page loads it itself');
is(get('/twice')->{body}, $answers{twice}[2], 'already there');
is($t->post('/plain', 'a=b')->{body}, $plain->{body}, 'an answer to POST');


# internal redirects

is(get('/return/')->{body}, "<html><head>$LINE", 'return');
is(get('/nosuch/a')->{body}, $plain->{body}, 'error_page to another page');
is(get('/try/a')->{body}, injected('x'), 'try_files');

$t->write_file('html/page.html', page('static'));

my $res = get('/page/a');

is($res->{status}, 404, 'error_page to a file');
is($res->{body}, page('static'), 'is an error');


# parts that are put together here

is(get('/ssi/include')->{body},
   "<!doctype html><html><head>$LINE<title>a</title></head>"
   . '<body><head></body></html>', 'SSI: once, in the page that comes out');
is(get('/sub/tagged')->{body}, page("$LINE<base href=\"/\">x"), 'sub_filter');


# HEAD, ranges, validators

$res = $t->request('HEAD', '/tagged');

is($res->{h}{'content-length'}, undef, 'HEAD has no length');
my $etag = $res->{h}{etag};
like($etag, qr{^W/"abc-[0-9a-f]{8}"$}, 'and the ETag');

$res = get('/tagged');
is($res->{h}{etag}, $etag, 'of GET');
is($res->{h}{'accept-ranges'}, undef, 'no ranges');

like(get('/weak')->{h}{etag}, qr{^W/"abc-[0-9a-f]{8}"$}, 'a weak ETag');
ok(get('/weak')->{h}{'last-modified'}, 'beside it the date stays');
is(get('/dated')->{h}{'last-modified'}, undef, 'a date alone goes');

$res = get('/tagged', %ok, 'If-None-Match' => $etag);

is($res->{status}, 304, 'the page is the same');
is($res->{h}{etag}, $etag, 'with its ETag');

$res = get('/tagged', %ok, 'If-None-Match' => '"abc"');

is($res->{status}, 200, 'a page from before is not');
is($res->{body}, injected('x'), 'it is sent');

is(get('/tagged', 'If-None-Match' => '"abc"')->{status}, 304,
   'what asks for no page is not touched');

$t->write_file('html/pixel.png', 'png');
$t->write_file('html/a.html', page('static'));

my $file = get('/static/a.html');

is($file->{body}, injected('static'), 'a file');
is($file->{h}{'content-length'}, length $file->{body}, 'its length');
like($file->{h}{etag}, qr{^W/"[0-9a-f]+-[0-9a-f]+-[0-9a-f]{8}"$}, 'its ETag');

for my $match ($file->{h}{etag}, "\"a\", $file->{h}{etag}") {
    is(get('/static/a.html', %ok, 'If-None-Match' => $match,
           'If-Modified-Since' => $file->{h}{'last-modified'})->{status}, 304,
       'a file that is the same');
}

is(get('/static/a.html', %ok, 'If-Modified-Since' =>
       $file->{h}{'last-modified'})->{status}, 200, 'a date alone is not');

(my $before = $file->{h}{etag}) =~ s/-[0-9a-f]{8}"$/"/;

is(get('/static/a.html', %ok, 'If-None-Match' => $before,
       'If-Modified-Since' => $file->{h}{'last-modified'})->{status}, 200,
   'nor one from before');

$res = get('/static/a.html', Range => 'bytes=0-9');

is($res->{status}, 200, 'a range gets the page');
is($res->{body}, $file->{body}, 'all of it');

is(get('/static/pixel.png', Range => 'bytes=0-1')->{status}, 206,
   'a picture has ranges');


# compressed

for my $n (1 .. 3) {
    $res = get('/gzip', 'Accept-Encoding' => 'gzip');
    is($res->{body}, $answers{gzip}[2], 'gzip passes as it is');
    is($res->{h}{etag}, '"abc"', 'with its ETag');
}

is(get('/br')->{body}, $answers{br}[2], 'br, too');

my @warned = $t->error_log =~ /\[warn\].*"sgtm_inject" leaves pages/g;

is(scalar @warned, 1, 'one warning');

for my $encoding ('gzip', 'identity') {
    $res = get('/gunzip/gzip', 'Accept-Encoding' => $encoding);
    my $body = $encoding eq 'gzip' ? unpacked($res->{body}) : $res->{body};

    is($body, injected('x'), "gunzip, for a browser of $encoding");
    is($res->{h}{'content-encoding'}, $encoding eq 'gzip' ? 'gzip' : undef,
       'packed as that wants it');
}

$res = get('/packed/tagged', 'Accept-Encoding' => 'gzip');

is(unpacked($res->{body}), injected('x'), 'packed here');


# streams, and what ends early

my $client = $t->http;
my $start = time;

$client->request('GET', '/unbuffered/stream', ['Connection' => 'close']);
$client->head;

my $got = '';

while ($got !~ /script>(?:\r\n.*)?a/s) {
    my $some = $client->read_some(5);
    last if !defined $some || $some eq '';
    $got .= $some;
}

cmp_ok(time - $start, '<', 0.9, 'the first part of a stream does not wait');
like($got, qr/<html><head>.*\Q$LINE\E/s, 'with the line');
$client->close;

$client = $t->http;
$client->request('GET', '/slow', ['Connection' => 'close']);
is($client->response->{body}, "<html><head>$LINE", 'a header without a page');

$res = get('/cut');
ok($res->{truncated}, 'a page that never comes is cut');
is($res->{status}, 200, 'after its header');

$res = get('/cutlater');
ok($res->{truncated}, 'one that comes in part is, too');
is($res->{body}, '<html>', 'and has that part');


# HTTP/2

my $h2 = $t->h2(nth => 2);
my $id = $h2->request('GET', '/bytes0');

is($h2->response($id)->{body}, $plain->{body}, 'HTTP/2');

$id = $h2->request('GET', '/tagged');
is($h2->response($id)->{h}{'content-length'}, length injected('x'),
   'its length');
$h2->close;


# a page of 200 MB, most of it a hole

my $size = 200 * 1024 * 1024;
my $huge = "$t->{dir}/html/huge.html";

$t->write_file('html/huge.html', "<html><head>\xff");
truncate $huge, $size;

my ($worker) = $t->workers;
my $rss = rss($worker);

$client = $t->http;
$client->request('GET', '/static/huge.html', ['Connection' => 'close']);

my $head = $client->head;
my ($n, $first, $bad) = (0, '', 0);

while (defined(my $some = $client->read_some(10))) {
    last if $some eq '';

    if ($n < 100) {
        $first .= $some;
    } elsif ($some =~ tr/\0//c) {
        $bad++;
    }

    $n += length $some;
}

my $added = length $LINE;

is($head->{h}{'content-length'}, $size + $added, '200 MB have their length');
is($n, $size + $added, 'and come whole');
is($bad, 0, 'unharmed');
is(substr($first, 0, 14 + $added), "<html><head>$LINE\xff\0", 'with the line');
cmp_ok(rss($worker) - $rss, '<', 4096, 'in less than 4 MB of memory');

unlink $huge;


sub rss {
    my ($pid) = @_;

    open(my $fh, '<', "/proc/$pid/status") or return 0;

    return (map { /^VmRSS:\s+(\d+)/ ? $1 : () } <$fh>)[0];
}


# several gateways: each page has the script of its own

my $two = sub { $t->request('GET', $_[0], [Host => 'two.example'], undef,
                            nth => 4)->{body} };

like($two->('/plain'), qr{<head><script async src="/a/a\.js"></script>},
     'prefix=');
like($two->('/other/plain'),
     qr{<head><script async src="/b%20c%26%22d%27%3C/b\.js"></script>},
     'a prefix of any characters is a harmless path');


# what the configuration may not be

my %wrong = (
    'sgtm_inject on;' => qr/"sgtm_inject".*several gateways: "\/a\/", "\/b\/"/,
    'sgtm_inject on prefix=/c/;' => qr{gateway "/c/", but .* "/a/", "/b/"},
    'sgtm_inject maybe;' => qr/invalid value "maybe" in "sgtm_inject"/,
    'sgtm_inject on prefix=c;' => qr/invalid value "prefix=c"/,
    'sgtm_inject on error;' => qr/invalid value "error"/,
    'sgtm_inject on; sgtm_inject off;' => qr/"sgtm_inject" directive is dup/,
    'sgtm_csp nonce;' => qr/"sgtm_csp".*several gateways/,
    'sgtm_csp on;' => qr/invalid value "on" in "sgtm_csp"/,
    'sgtm_csp nonce errors;' => qr/invalid value "errors"/,
);

for my $lines (sort keys %wrong) {
    my ($status, $out) = nginx_t(<<"EOF");
    server {
        listen  127.0.0.1:%%PORT%%;
        server_name  shop.example;
        location / { $lines return 200; }
        location /a/ { sgtm on; sgtm_tag_id G-ABC1234567; sgtm_fallback off;
                       proxy_pass http://127.0.0.1:9; }
        location /b/ { sgtm on; sgtm_tag_id G-ABC1234567; sgtm_fallback off;
                       proxy_pass http://127.0.0.1:9; }
    }
EOF

    isnt($status, 0, $lines);
    like($out, $wrong{$lines}, 'says why');
}

my ($status, $out) = nginx_t(<<'EOF');
    server {
        listen  127.0.0.1:%%PORT%%;
        server_name  shop.example;
        location / { sgtm_inject on; return 200; }
    }
EOF

isnt($status, 0, 'no gateway');
like($out, qr/the server has no gateway/, 'says so');

($status, $out) = nginx_t(<<'EOF');
    sgtm_inject  on;

    server {
        listen  127.0.0.1:%%PORT%%;
        location / { return 200; }
    }
EOF

is($status, 0, 'but in http{} it is for those that have one') or diag $out;

done_testing;
