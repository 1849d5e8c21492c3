#!/usr/bin/perl

# The configuration: for whatever can't work "nginx -t" fails and says the file,
# the line, what is wrong and what is allowed; what can work passes; what works
# but is hardly meant is warned of.  Values reach locations from http and server
# as nginx's own do.  It guards against a typing error that opens a gateway, a
# directive that is accepted and ignored, and a message that helps nobody.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use MIME::Base64 qw(encode_base64);

# a gateway with all it needs; %s stands where a directive of a location may

my $location = <<'EOC';
        location /metrics/ {
            sgtm        on;
            %s
            proxy_pass  http://127.0.0.1:%%PORT2%%/;
            include     sgtm_proxy.conf;
        }
EOC


sub server {
    my ($in_server, $in_location, $in_http) = @_;

    my $text = $location;

    $text =~ s/%s/$in_location/;

    return join "\n", $in_http, <<"EOC";
    server {
        listen         127.0.0.1:%%PORT%%;
        server_name    shop.example;
        $in_server
        $text
    }
EOC
}


# what every location needs unless the case is about that

my %needs = (
    sgtm_endpoint => 'sgtm_endpoint sgtm.example.com;',
    sgtm_tag_id   => 'sgtm_tag_id G-ABC1234567;',
    sgtm_fallback => 'sgtm_fallback off;',
);


sub needed {
    my ($text) = @_;

    return join ' ', map { $text =~ /\b$_\b/ ? () : $needs{$_} }
                         sort keys %needs;
}


# nginx -t with a directive at one of the levels

sub try {
    my ($text, $level) = @_;

    my %at = (http => '', server => '', location => '', $level => $text);

    return nginx_t(server("$at{server} " . needed($text), $at{location},
                          $at{http}));
}


# the message of a failure: (text, file, line)

sub message {
    my ($out) = @_;

    return $out =~ /\[emerg\] (.*) in (\S+):(\d+)$/m;
}


# Whether nginx -t fails at the right place with a message that has all of the
# words.

sub fails {
    my ($text, $level, @words) = @_;

    (my $name = "$level: $text") =~ s/\s+/ /g;
    my ($status, $out) = try($text, $level);

    isnt $status, 0, $name;

    my ($message, $file, $line) = message($out);

    if (!defined $message) {
        fail 'a message with file and line';
        diag $out;
        return;
    }

    my @lines = split /\n/, SGTM::Run::get($file);
    my ($last) = (split /\n/, $text)[-1];

    like $lines[$line - 1], qr/\Q$last\E/, 'says the line';

    for my $word (@words) {
        like $message, ref $word ? $word : qr/\Q$word\E/, 'says what';
    }

    unlike $message, qr/%|\(null\)/, 'in plain words';
}


# values that can't be: directive with its arguments, words of the message

my @onoff = ('"on"', '"off"');
my $id20 = 'A' x 20;

my @bad = (
    [ 'sgtm_tier gold;', qw(gold enterprise professional starter) ],
    [ 'sgtm_tier Enterprise;', qw(Enterprise enterprise) ],
    [ 'sgtm_tier "";', qw(enterprise) ],
    [ 'sgtm_fallback none;', qw(none queue client off) ],
    [ 'sgtm_delivery later;', qw(later direct queued) ],
    [ 'sgtm_rate_limit 10;', '10', 'r/s', 'burst=' ],
    [ 'sgtm_rate_limit 0r/s;', '0r/s', 'r/m' ],
    [ 'sgtm_rate_limit 9999999r/s;', '9999999r/s', 'r/m' ],
    [ 'sgtm_rate_limit 10r/s burst=0;', 'burst=0', 'burst=' ],
    [ 'sgtm_rate_limit 10r/s nodelay;', 'nodelay', 'burst=' ],
    [ 'sgtm_rate_limit on;', '"on"', 'r/s' ],
    [ 'sgtm_rate_limit off burst=5;', 'burst=5', 'burst=' ],
    [ 'sgtm_rate_limit 10r/s burst=5 burst=6;', 'burst=6', 'burst=' ],
    [ 'sgtm_rate_limit 10r/s address=off;', 'address=off', 'address=' ],
    [ 'sgtm_rate_limit 10r/s address=5;', 'address=5', 'address=' ],
    [ 'sgtm_rate_limit off address=1r/s address=2r/s;', 'address=2r/s',
      'address=' ],
    [ 'sgtm_consent_mode strict;', qw(strict off basic advanced) ],
    [ 'sgtm_consent_mode on;', qw(off basic advanced) ],
    [ 'sgtm_consent_conflict last;', qw(last first strictest) ],
    [ 'sgtm_client_ip half;', qw(half full masked none) ],
    [ 'sgtm_encoded decode;', qw(decode refuse pass) ],
    [ 'sgtm_passthrough maybe;', 'maybe', @onoff ],
    [ 'sgtm_debug yes;', 'yes', @onoff ],

    [ 'sgtm_endpoint https://sgtm.example.com;',
      'https://sgtm.example.com', 'host' ],
    [ 'sgtm_endpoint sgtm.example.com/;', 'sgtm.example.com/', 'host' ],
    [ 'sgtm_endpoint sgtm.example.com/path;', 'host' ],
    [ 'sgtm_endpoint "";', 'sgtm_endpoint', 'host' ],
    [ 'sgtm_endpoint "a b";', 'a b', 'host' ],
    [ 'sgtm_endpoint sgtm.example.com:99999;', '99999', 'port' ],
    [ 'sgtm_endpoint sgtm.example.com:0;', 'port' ],
    [ 'sgtm_endpoint sgtm.example.com:x;', 'port' ],
    [ 'sgtm_endpoint sgtm.example.com:;', 'port' ],
    [ 'sgtm_endpoint :443;', 'host' ],
    [ 'sgtm_endpoint user@sgtm.example.com;', 'host' ],
    [ 'sgtm_endpoint $host;', '$host', 'host' ],

    [ 'sgtm_container G-ABC1234567;', 'G-ABC1234567', 'GTM-' ],
    [ 'sgtm_container gtm-abc1234;', 'gtm-abc1234', 'GTM-' ],
    [ 'sgtm_container GTM-abc1234;', 'GTM-abc1234', 'GTM-' ],
    [ 'sgtm_container GTM-;', 'GTM-' ],
    [ 'sgtm_container GTM-ABC;', 'GTM-ABC"', 'GTM-' ],
    [ "sgtm_container GTM-${id20}A;", "GTM-${id20}A" ],
    [ 'sgtm_container GTM_ABC1234;', 'GTM_ABC1234', 'GTM-' ],
    [ 'sgtm_container GTM-ABC1234 ABC1234;', '"ABC1234"', 'GTM-' ],
    [ 'sgtm_container GTM-ABC1234,GTM-ABC1235;', 'GTM-' ],
    [ 'sgtm_container "";', 'GTM-' ],
    [ 'sgtm_container *;', '"*"', 'GTM-' ],

    [ 'sgtm_tag_id GTM-ABC1234;', 'GTM-ABC1234', 'G-', 'AW-', 'GT-', 'DC-' ],
    [ 'sgtm_tag_id UA-12345-1;', 'UA-12345-1', 'G-' ],
    [ 'sgtm_tag_id g-abc1234567;', 'g-abc1234567', 'G-' ],
    [ 'sgtm_tag_id G-;', 'G-' ], [ 'sgtm_tag_id G-ABC;', 'G-ABC"' ],
    [ "sgtm_tag_id G-${id20}A;", "G-${id20}A" ],
    [ 'sgtm_tag_id G-ABC1234567 AW;', '"AW"' ],
    [ 'sgtm_tag_id "G-ABC1234567 ";', 'G-' ],
    [ 'sgtm_tag_id *;', '"*"' ], [ 'sgtm_tag_id "";', 'G-' ],

    [ 'sgtm_consent_source cookie;', qw(cookie gcd gcs value= gpc) ],
    [ 'sgtm_consent_source gcd gcs tcf;', qw("tcf" gcd gcs value= gpc) ],
    [ 'sgtm_consent_source tcf=euconsent-v2;', qw(tcf= gcd) ],
    [ 'sgtm_consent_source gpp;', qw(gpp gcd) ],
    [ 'sgtm_consent_source value;', qw("value" value=) ],
    [ 'sgtm_consent_source value=;', qw("value=" value=$) ],
    [ 'sgtm_consent_source gcd=1;', qw(gcd=1 gcs) ],
    [ 'sgtm_consent_source "";', qw(gcd gcs) ],
    [ 'sgtm_consent_source GCD;', qw(GCD gcd) ],
    [ 'sgtm_consent_default ad_storage;', qw(ad_storage granted denied) ],
    [ 'sgtm_consent_default ad_storage=;', qw(ad_storage= granted denied) ],
    [ 'sgtm_consent_default ad_storage=yes;', qw(yes granted denied) ],
    [ 'sgtm_consent_default storage=denied;',
      qw(storage=denied ad_storage analytics_storage ad_user_data
         ad_personalization) ],
    [ 'sgtm_consent_default denied;', qw("denied" ad_storage) ],
    [ 'sgtm_consent_default ad_storage=granted ad_storage=denied;',
      qw(ad_storage=denied) ],
    [ 'sgtm_consent_default ad_storage=granted analytics_storage=maybe;',
      qw(analytics_storage=maybe) ],

    [ 'sgtm_redact storage x;',
      qw(storage ad_storage analytics_storage ad_user_data
         ad_personalization) ],
    [ 'sgtm_redact ad_storage -;', qw("-") ],
    [ 'sgtm_redact ad_storage +;', qw("+") ],
    [ 'sgtm_redact ad_storage "";', qw(sgtm_redact) ],
    [ 'sgtm_redact ad_storage cookie:;', qw(cookie:) ],
    [ 'sgtm_redact ad_storage -cookie:;', qw(-cookie:) ],
    [ 'sgtm_redact ad_storage *;', qw("*") ],
    [ 'sgtm_redact ad_storage a +*;', qw("+*") ],
    [ 'sgtm_redact ad_storage cookie:*;', qw(cookie:*) ],
    [ 'sgtm_redact ad_storage ' . 'a' x 300 . ';', 'aaa' ],

    [ 'sgtm_cookies *;', qw("*") ], [ 'sgtm_cookies "";', qw(sgtm_cookies) ],
    [ 'sgtm_cookies a *;', qw("*") ],
    [ 'sgtm_remove_param *;', qw("*") ],
    [ 'sgtm_remove_param "";', qw(sgtm_remove_param) ],
    [ 'sgtm_pass_header *;', qw("*") ], [ 'sgtm_pass_header "";', 'header' ],
    [ 'sgtm_pass_header "X Y";', 'X Y', 'header' ],
    [ 'sgtm_pass_header X-Y:;', 'X-Y:', 'header' ],
    [ 'sgtm_pass_header "X-Y: z";', 'X-Y: z', 'header' ],
    [ 'sgtm_pass_header $http_x;', '$http_x', 'header' ],
    (map { [ "sgtm_pass_header X-A $_;", qr/\Q$_\E/i ] }
         qw(Authorization authorization Proxy-Authorization Host Connection
            Content-Length Transfer-Encoding Forwarded X-Forwarded-For
            X-Forwarded-Host x-forwarded-proto)),

    [ 'sgtm_origins https://;', 'https://', 'origin' ],
    [ 'sgtm_origins ftp://a.example;', 'ftp://a.example', 'origin' ],
    [ 'sgtm_origins https://a.example/;', 'https://a.example/', 'origin' ],
    [ 'sgtm_origins https://a.example/path;', 'origin' ],
    [ 'sgtm_origins a.example https://b.example?x;', 'b.example', 'origin' ],
    [ 'sgtm_origins https://user@a.example;', 'user@', 'origin' ],
    [ 'sgtm_origins https://a.example:99999;', '99999', 'origin' ],
    [ 'sgtm_origins https://a.example:;', 'origin' ],
    [ 'sgtm_origins *;', '"*"', 'origin' ],
    [ 'sgtm_origins *.;', '"*."', 'origin' ],
    [ 'sgtm_origins https://*;', 'https://*', 'origin' ],
    [ 'sgtm_origins a*.example;', 'a*.example', 'origin' ],
    [ 'sgtm_origins *.*.example;', '*.*.example', 'origin' ],
    [ 'sgtm_origins .a.example;', '.a.example', 'origin' ],
    [ 'sgtm_origins null;', 'null', 'origin' ],
    [ 'sgtm_origins "";', 'origin' ], [ 'sgtm_origins "a b";', 'origin' ],

    [ 'sgtm_set_param "" x;', 'sgtm_set_param', 'name' ],
    [ 'sgtm_set_param "a b" x;', 'a b', 'name' ],
    [ 'sgtm_set_param a=b x;', 'a=b', 'name' ],
    [ 'sgtm_set_param a&b x;', 'a&b', 'name' ],
    [ 'sgtm_set_param a* x;', 'a*', 'name' ],
    [ 'sgtm_set_param $host x;', '$host', 'name' ],
    [ "sgtm_set_param ep.a 1;\n            sgtm_set_param ep.a 2;",
      'ep.a', 'twice' ],

    [ 'sgtm_max_body x;', '"x"', '64k' ], [ 'sgtm_max_body -1;', '-1' ],
    [ 'sgtm_max_body "";', 'sgtm_max_body' ], [ 'sgtm_max_body 1kk;', '1kk' ],
    [ 'sgtm_max_body 99999999999999999999;', '9999' ],

    (map { [ "sgtm_script $_;", $_ =~ /([^"]*)/, 'below the prefix' ] }
         '/t.js', '""', 't.js?x', 't.js#x', '../t.js', 'gtm.js', 'gtag/js',
         'gtag/destination', 'ns.html', 'g/collect', 'ag/g/c', 'gtm/debug'),
    [ 'sgtm_script "a b";', 'a b', 'below the prefix' ],
    [ 'sgtm_script a/../t.js;', 'a/../t.js' ],
    [ 'sgtm_script $host.js;', '$host.js' ],
);

subtest 'bad values' => sub {
    for (@bad) {
        my ($text, @words) = @$_;

        fails($text, 'location', @words);
    }

    # of these nginx itself says no line
    for my $text ('sgtm_consent_source value=$nosuch;', 'sgtm_tenant $nosuch;',
                  'sgtm_set_param ep.a $nosuch;')
    {
        my ($status, $out) = try($text, 'location');

        isnt $status, 0, $text;
        like $out, qr/unknown "nosuch" variable/, 'says which variable';
    }

    # at the other levels, too
    for my $level (qw(http server)) {
        fails('sgtm_tier gold;', $level, qw(gold enterprise));
        fails('sgtm_container ABC;', $level, qw(ABC GTM-));
        fails('sgtm_origins *;', $level, qw("*" origin));
    }
};

# numbers of arguments

subtest 'arguments' => sub {
    my $i = 0;

    for my $directive (qw(sgtm_tenant sgtm_endpoint sgtm_tier sgtm_fallback
                          sgtm_consent_mode sgtm_consent_conflict
                          sgtm_client_ip sgtm_passthrough sgtm_max_body
                          sgtm_encoded sgtm_script sgtm_debug))
    {
        my $args = $i++ % 2 ? '' : ' a b';

        fails("$directive$args;", 'location', $directive, 'arguments');
    }

    for my $text (qw(sgtm_container sgtm_tag_id sgtm_consent_source
                     sgtm_consent_default sgtm_cookies sgtm_pass_header
                     sgtm_origins sgtm_remove_param),
                  'sgtm_redact', 'sgtm_redact ad_storage', 'sgtm_set_param',
                  'sgtm_set_param a', 'sgtm_set_param a b c')
    {
        my ($directive) = $text =~ /\A(\w+)/;
        fails("$text;", 'location', $directive, 'arguments');
    }

    for my $text ('sgtm_zone', 'sgtm_zone a', 'sgtm_zone a 1m b') {
        fails("$text;", 'http', 'sgtm_zone', 'arguments');
    }
};

# said twice at one level; lists that add up are no duplicates

my @once = (
    'sgtm_tenant a', 'sgtm_endpoint a.example', 'sgtm_container GTM-ABC1234',
    'sgtm_tag_id G-ABC1234567', 'sgtm_tier starter', 'sgtm_fallback off',
    'sgtm_consent_mode off', 'sgtm_consent_source gcd',
    'sgtm_consent_conflict first', 'sgtm_consent_default ad_storage=denied',
    'sgtm_client_ip full', 'sgtm_passthrough on', 'sgtm_max_body 1k',
    'sgtm_encoded pass', 'sgtm_script a.js', 'sgtm_debug on',
);

subtest 'duplicates' => sub {
    my $i = 0;

    for my $text (@once) {
        my ($directive) = $text =~ /\A(\w+)/;
        my $level = (qw(http server location))[$i++ % 3];

        fails("$text;\n            $text;", $level, $directive, 'duplicate');
    }

    fails('sgtm on;', 'location', 'sgtm', 'duplicate');
    fails("sgtm_zone sgtm 1m;\n            sgtm_zone sgtm 1m;", 'http',
          'sgtm_zone', 'duplicate');
};

# Where directives may stand.

subtest 'contexts' => sub {
    fails('sgtm on;', $_, 'sgtm', 'not allowed here') for qw(http server);
    fails('sgtm_status;', $_, 'sgtm_status', 'not allowed here')
        for qw(http server);
    fails('sgtm_zone sgtm 1m;', $_, 'sgtm_zone', 'not allowed here')
        for qw(server location);

    for my $text (@once, 'sgtm on', 'sgtm_redact ad_storage a',
                  'sgtm_cookies a', 'sgtm_pass_header X-A',
                  'sgtm_origins a.example', 'sgtm_set_param a b',
                  'sgtm_remove_param a', 'sgtm_status')
    {
        my ($directive) = $text =~ /\A(\w+)/;
        fails("if (\$arg_a) { $text; }", 'location', $directive,
              'not allowed here');
    }
};

# The kinds of locations

my $inside = 'sgtm on; proxy_pass http://127.0.0.1:%%PORT2%%; '
           . needed('');

for my $case ([ '~ ^/metrics/', 'regex' ], [ '~* /metrics/', 'regex' ],
              [ '= /metrics/', 'exact' ], [ '@metrics', 'named' ])
{
    my ($pattern, $kind) = @$case;
    my ($status, $out) = nginx_t(<<"EOC");
    server {
        listen  127.0.0.1:%%PORT%%;
        location $pattern {
            $inside
        }
    }
EOC

    isnt $status, 0, "location $pattern";

    my ($message, $file, $line) = message($out);

    like $message, qr/"sgtm" is not allowed in an? $kind location/,
         'says that the kind is wrong';
    like $message, qr/prefix/, 'and which is right';
    like +(split /\n/, SGTM::Run::get($file))[$line - 1], qr/sgtm on;/,
         'and the line';
}

for my $pattern ('/metrics/', '^~ /metrics/', '/', '/metrics') {
    my ($status, $out) = nginx_t(<<"EOC");
    server {
        listen  127.0.0.1:%%PORT%%;
        location $pattern { $inside }
    }
EOC

    is $status, 0, "location $pattern passes" or diag $out;
}

# a line of an included file

{
    my $file = SGTM::Run::dir('include') . '/tenant.conf';

    SGTM::Run::put($file, "# a\n\nsgtm_tier\n    gold;\n");

    my ($status, $out) = nginx_t(server("include $file; " . needed(''), '',
                                        ''));

    isnt $status, 0, 'a bad value in an included file';
    like $out, qr/gold.* in \Q$file\E:4$/m, 'with that file and line';
}

# The zone

subtest 'sgtm_zone' => sub {
    for my $size ('x', '', '-1', '0', '1', '1k', '4k', '63k', '1mm') {
        fails("sgtm_zone sgtm \"$size\";", 'http', 'sgtm_zone', 'size', '64k');
    }

    fails('sgtm_zone "" 1m;', 'http', 'sgtm_zone', 'name');

    for my $size ('64k', '1m', '32m') {
        my ($status, $out) = try("sgtm_zone any_name $size;", 'http');
        is $status, 0, $size or diag $out;
    }

    my ($status, $out) = try('limit_req_zone $host zone=both:1m rate=1r/s; '
                             . 'sgtm_zone both 1m;', 'http');
    isnt $status, 0, 'the name of another module\'s zone';
    like $out, qr/\[emerg\] .*"both"/, 'which is said';

    # more tenants than fit
    my $servers = join '', map { <<"EOC" } 1 .. 400;
    server {
        listen         127.0.0.1:%%PORT%%;
        server_name    shop$_.example;
        location /metrics/ { $inside }
    }
EOC

    ($status, $out) = nginx_t("sgtm_zone sgtm 64k;\n$servers");
    isnt $status, 0, 'too small for its tenants';
    like $out, qr/\[emerg\] .*sgtm.*(?:zone|memory)/, 'which is said';
    like $out, qr/too small|increase|larger|at least|needs/,
         'with what to do about it';

    ($status, $out) = nginx_t("sgtm_zone sgtm 4m;\n$servers");
    is $status, 0, 'a larger one does' or diag $out;

    ($status, $out) = nginx_t($servers);
    is $status, 0, 'and the default' or diag $out;
};

# What passes, in every form that the words allow; without a warning.

my @good = (
    'sgtm_tenant shop;', 'sgtm_tenant $host;', 'sgtm_tenant "a $host b";',
    'sgtm_endpoint sgtm.example.com;', 'sgtm_endpoint sgtm.example.com:8443;',
    'sgtm_endpoint 127.0.0.1:8080;', 'sgtm_endpoint [::1]:8443;',
    'sgtm_endpoint g-abc1234567.fps.goog;',
    'sgtm_container GTM-ABC1;', "sgtm_container GTM-$id20;",
    'sgtm_container GTM-ABC1234 GTM-ABC1235;',
    'sgtm_tag_id G-ABC1234567 GT-ABC1234 AW-123456789 DC-1234567;',
    "sgtm_tag_id G-$id20 G-ABCD;",
    'sgtm_tier professional;', 'sgtm_tier starter;', 'sgtm_tier enterprise;',
    'sgtm_fallback client;', 'sgtm_fallback off;',
    'sgtm_consent_mode off;', 'sgtm_consent_mode basic;',
    'sgtm_consent_mode advanced;',
    'sgtm_consent_source gcd;', 'sgtm_consent_source gcs gcd;',
    'sgtm_consent_source gpc;', 'sgtm_consent_source value=$cookie_a gcd gpc;',
    'sgtm_consent_source value=G1$cookie_a value=$cookie_b;',
    'sgtm_consent_default ad_storage=granted;',
    'sgtm_consent_default ad_storage=granted analytics_storage=denied
                          ad_user_data=denied ad_personalization=granted;',
    'sgtm_consent_conflict first;', 'sgtm_consent_conflict strictest;',
    'sgtm_redact ad_storage a;', 'sgtm_redact ad_storage +a -b c* -cookie:d*;',
    'sgtm_redact ad_storage a; sgtm_redact ad_storage b;',
    'sgtm_redact analytics_storage a; sgtm_redact ad_user_data cookie:a;',
    'sgtm_redact ad_personalization -npa;',
    'sgtm_client_ip full;', 'sgtm_client_ip masked;', 'sgtm_client_ip none;',
    'sgtm_cookies a b*;', 'sgtm_cookies a; sgtm_cookies b;',
    'sgtm_pass_header X-A x-b_c;',
    'sgtm_pass_header X-A; sgtm_pass_header X-B;',
    'sgtm_pass_header User-Agent;',
    'sgtm_origins a.example *.b.example https://c.example
                  http://d.example:8080 https://*.e.example e.example:8443;',
    'sgtm_origins HTTPS://A.Example;', 'sgtm_origins 127.0.0.1:8080;',
    'sgtm_set_param ep.a b;', 'sgtm_set_param ep.a ""; sgtm_set_param a $host;',
    'sgtm_set_param up.site "a b $host &";',
    'sgtm_remove_param a ep.b*;', 'sgtm_remove_param a; sgtm_remove_param b;',
    'sgtm_passthrough on;', 'sgtm_passthrough off;',
    'sgtm_max_body 1;', 'sgtm_max_body 64k;', 'sgtm_max_body 1m;',
    'sgtm_encoded refuse;', 'sgtm_encoded pass;',
    'sgtm_script s.js;', 'sgtm_script a/b-c_d.min.js;', 'sgtm_script loader;',
    'sgtm_debug on;', 'sgtm_debug off;',
);

subtest 'good values' => sub {
    my $i = 0;

    for my $text (@good) {
        my $level = (qw(http server location))[$i++ % 3];
        my ($status, $out) = try($text, $level);

        (my $name = "$level: $text") =~ s/\s+/ /g;
        is $status, 0, $name or diag $out;
        unlike $out, qr/\[warn\]/, 'without a warning';
    }

    my ($status, $out) = nginx_t(server(needed('') . 'location = /s '
                                        . '{ sgtm_status; }', '', ''));
    is $status, 0, 'sgtm_status' or diag $out;

    ($status, $out) = nginx_t('server { listen 127.0.0.1:%%PORT%%; location '
                              . '= /s { sgtm_status; } }');
    is $status, 0, 'a status and no gateway' or diag $out;

    ($status, $out) = nginx_t('server { listen 127.0.0.1:%%PORT%%; }');
    is $status, 0, 'the module alone' or diag $out;
    unlike $out, qr/\[warn\]/, 'says nothing';

    # what surrounds a gateway in real configurations
    for my $text ('error_page 500 502 503 504 /50x.html;',
                  'error_page 404 = @other; recursive_error_pages on;',
                  'client_max_body_size 1k;', 'gzip on; gzip_types *;',
                  'satisfy any; allow all;', 'auth_request /auth;',
                  'limit_except GET POST { deny all; }',
                  'if ($http_x) { set $a b; }',
                  'location /metrics/nested/ { return 204; }',
                  'mirror /mirror;', 'log_not_found off; access_log off;')
    {
        my ($status, $out) = try($text, 'location');
        is $status, 0, $text or diag $out;
    }
};

# Warnings: what is written works, but hardly as it is meant.

my $secrets = SGTM::Run::dir('secrets') . '/file';

SGTM::Run::put($secrets, "a secret\n");
chmod 0600, $secrets;

my @warnings = (
    [ 'no list', '', qr/sgtm_tag_id|sgtm_container/,
      'sgtm_endpoint a.example; sgtm_fallback off;' ],
    [ 'no proxy_pass', '', qr/proxy_pass/,
      needed(''), 'location /metrics/ { sgtm on; }' ],
    [ 'basic, and no source can grant',
      'sgtm_consent_mode basic; sgtm_consent_source gpc;',
      qr/basic.*analytics_storage|analytics_storage.*basic/ ],
    [ 'enterprise without a queue', 'sgtm_tier enterprise;', qr/queue|lost/,
      'sgtm_endpoint a.example; sgtm_tag_id G-ABC1234567;' ],
    [ 'enterprise by default, without a queue', '', qr/queue|lost/,
      'sgtm_endpoint a.example; sgtm_tag_id G-ABC1234567;' ],

    [ 'g* covers gcs and gcd', 'sgtm_remove_param ep.a g*;',
      qr/"sgtm_remove_param g\*" leaves hits without "gcs", "gcd"/ ],
    [ 't* covers tid', 'sgtm_remove_param t*;', qr/without "tid"/ ],
    [ 'v', 'sgtm_remove_param v;', qr/without "v"/ ],
    [ 'cid', 'sgtm_remove_param cid;', qr/without "cid"/ ],

    [ 'basic, and servers that can grant nothing',
      "sgtm_consent_mode basic; sgtm_api_secret $secrets;",
      qr/sgtm_consent_server.*analytics_storage/ ],
    [ 'the same of webhooks',
      "sgtm_consent_mode basic; sgtm_webhook stripe secret_file=$secrets;",
      qr/sgtm_consent_server.*analytics_storage/ ],

    # and none where it is meant
    [ 'basic, and servers that may send',
      "sgtm_consent_mode basic; sgtm_api_secret $secrets;
       sgtm_consent_server analytics_storage=granted;", undef ],
    [ 'advanced, and servers',
      "sgtm_consent_mode advanced; sgtm_api_secret $secrets;", undef ],
    [ 'other parameters', 'sgtm_remove_param gclid ga* gcsx vi cidx tidal* ep.*;',
      undef ],
    [ 'one list', '', undef,
      'sgtm_endpoint a.example; sgtm_tag_id G-ABC1234567; sgtm_fallback off;' ],
    [ 'basic with a source',
      'sgtm_consent_mode basic; sgtm_consent_source gcs;',
      undef ],
    [ 'basic with a value', 'sgtm_consent_mode basic;
      sgtm_consent_source value=$cookie_a gpc;', undef ],
    [ 'basic with a default that grants', 'sgtm_consent_mode basic;
      sgtm_consent_source gpc; sgtm_consent_default analytics_storage=granted;',
      undef ],
    [ 'advanced without a source', 'sgtm_consent_mode advanced;
      sgtm_consent_source gpc;', undef ],
    [ 'professional', 'sgtm_tier professional;', undef,
      'sgtm_endpoint a.example; sgtm_tag_id G-ABC1234567;' ],
    [ 'starter', 'sgtm_tier starter;', undef,
      'sgtm_endpoint a.example; sgtm_tag_id G-ABC1234567;' ],
    [ 'enterprise that falls back on the client',
      'sgtm_tier enterprise; sgtm_fallback client;', undef ],
);

subtest 'warnings' => sub {
    for (@warnings) {
        my ($name, $text, $re, $in_server, $other) = @$_;

        $in_server = needed($text) if !defined $in_server;

        my ($status, $out) = nginx_t($other
            ? "server { listen 127.0.0.1:%%PORT%%; $in_server $other }"
            : server($in_server, $text, ''));
        my @warned = $out =~ /^.*?\[warn\] (.*)$/mg;

        is $status, 0, $name or diag $out;

        if (!$re) {
            is "@warned", '', 'no warning';
            next;
        }

        is scalar(@warned), 1, 'one warning' or diag $out;
        like "@warned", $re, 'of that';
        like "@warned", qr{/metrics/|nginx\.conf:\d+}, 'and where';
    }

    # one that is no gateway needs nothing
    my ($status, $out) = nginx_t('server { listen 127.0.0.1:%%PORT%%; location '
                                 . '/ { sgtm off; } }');
    is $status, 0, 'sgtm off' or diag $out;
    unlike $out, qr/\[warn\]/, 'no warning';
};


# What a location has from where: %%PORT%% takes all from http, %%PORT3%% from
# its server, and its /own/ from itself.

my $tag = SGTM::Backend->start;
my $down = SGTM::Run::port();

my $gateway = <<'EOC';
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
            add_header  X-Tenant "$sgtm_tenant $sgtm_endpoint" always;
            add_header  X-Tags "$sgtm_container $sgtm_tier" always;
EOC

my %level = (
    http => <<'EOC',
    sgtm_tenant            http;
    sgtm_endpoint          http.example;
    sgtm_container         GTM-HTTP1;
    sgtm_tag_id            G-HTTP1;
    sgtm_tier              starter;
    sgtm_fallback          off;
    sgtm_consent_mode      off;
    sgtm_consent_source    gcs;
    sgtm_consent_default   ad_storage=granted analytics_storage=granted;
    sgtm_consent_conflict  first;
    sgtm_redact            ad_storage http;
    sgtm_client_ip         none;
    sgtm_cookies           http;
    sgtm_pass_header       X-Http;
    sgtm_origins           http.example;
    sgtm_set_param         ep.http 1;
    sgtm_remove_param      rhttp;
    sgtm_passthrough       on;
    sgtm_max_body          100;
    sgtm_encoded           pass;
    sgtm_script            http.js;
    sgtm_debug             on;
EOC
    server => <<'EOC',
    sgtm_tenant            server;
    sgtm_endpoint          server.example;
    sgtm_container         GTM-SERVER1;
    sgtm_tag_id            G-SERVER1;
    sgtm_tier              professional;
    sgtm_fallback          client;
    sgtm_consent_mode      advanced;
    sgtm_consent_source    gcs gcd;
    sgtm_consent_default   ad_storage=denied;
    sgtm_consent_conflict  strictest;
    sgtm_redact            ad_storage server;
    sgtm_client_ip         masked;
    sgtm_cookies           server;
    sgtm_pass_header       X-Server;
    sgtm_origins           server.example;
    sgtm_set_param         ep.server 1;
    sgtm_remove_param      rserver;
    sgtm_passthrough       off;
    sgtm_max_body          200;
    sgtm_encoded           refuse;
    sgtm_script            server.js;
    sgtm_debug             off;
EOC
    own => <<'EOC',
    sgtm_tenant            own;
    sgtm_endpoint          own.example;
    sgtm_container         GTM-OWN11;
    sgtm_tag_id            G-OWN11;
    sgtm_tier              enterprise;
    sgtm_fallback          off;
    sgtm_consent_mode      basic;
    sgtm_consent_source    gcd;
    sgtm_consent_default   analytics_storage=granted;
    sgtm_consent_conflict  first;
    sgtm_redact            ad_storage own;
    sgtm_client_ip         full;
    sgtm_cookies           own;
    sgtm_pass_header       X-Own;
    sgtm_origins           own.example;
    sgtm_set_param         ep.own 1;
    sgtm_remove_param      rown;
    sgtm_passthrough       on;
    sgtm_max_body          300;
    sgtm_encoded           pass;
    sgtm_script            own.js;
    sgtm_debug             on;
EOC
);

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    $level{http}

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  shop.example;

        location /metrics/ {
$gateway
        }

        location /off/ {
            sgtm        off;
            proxy_pass  http://tagging/;
        }

        location /plain/ {
            proxy_pass  http://tagging/;
        }
    }

    server {
        listen       127.0.0.1:%%PORT3%%;
        server_name  shop.example;
        $level{server}

        location /metrics/ {
$gateway

            location /metrics/nested/ {
                proxy_pass  http://tagging/;
            }
        }

        location /own/ {
            $level{own}
$gateway
        }

        # one of several: the rest stays that of the server
        location /part/ {
            sgtm_set_param  ep.part 1;
            sgtm_cookies    part;
$gateway
        }
    }

    server {
        listen       127.0.0.1:%%PORT4%%;
        server_name  shop.example;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://127.0.0.1:$down/;
            include     sgtm_proxy.conf;
        }
    }

    server {
        listen       127.0.0.1:%%PORT5%%;
        server_name  shop.example;
        $level{server}

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://127.0.0.1:$down/;
            include     sgtm_proxy.conf;
        }
    }
EOC

my %place = (http => [1, 'metrics'], server => [3, 'metrics'],
             own => [3, 'own']);


# (the answer, what arrived)

sub ask {
    my ($level, $path, $headers, $body) = @_;

    my ($nth, $location) = @{ $place{$level} };

    $tag->clear;

    my $res = $t->request(defined $body ? 'POST' : 'GET', "/$location/$path",
                          $headers, $body, nth => $nth);
    my ($got) = $tag->requests;

    return ($res, $got);
}


# what the variables say

sub conf_of {
    my ($res) = @_;

    return join ' ', map { header($res, $_) } qw(X-Tenant X-Tags);
}


my %encoded = map {
    ($_ => encode_base64('v=2&tid=G-' . ($_ eq 'own' ? 'OWN11' : uc "${_}1")
                         . '&en=a&dl=https%3A%2F%2Fshop.example%2F'
                         . '&gcs=G111&gcd=13r3r3r3r5l1', ''))
} qw(http server own);

subtest 'inheritance' => sub {
    my %want = (
        http   => [ 'http http.example GTM-HTTP1 starter', 'G-HTTP1', 100,
                    'http.js', '', 'http' ],
        server => [ 'server server.example GTM-SERVER1 professional',
                    'G-SERVER1', 200, 'server.js', '127.0.0.0', 'server' ],
        own    => [ 'own own.example GTM-OWN11 enterprise', 'G-OWN11', 300,
                    'own.js', '127.0.0.1', 'own' ],
    );

    for my $level (qw(http server own)) {
        my ($conf, $tid, $size, $script, $ip, $name) = @{ $want{$level} };
        my $query = "v=2&tid=$tid&en=a&gcs=G111&gcd=13r3r3r3r5l1";
        my %others = map { $_ => 1 } grep { $_ ne $level } keys %want;

        my ($res, $got) = ask($level,
            "g/collect?$query&rhttp=1&rserver=1&rown=1",
            ['X-Http' => 1, 'X-Server' => 1, 'X-Own' => 1,
             Cookie => 'http=1; server=1; own=1; part=1',
             Origin => "http://$name.example"]);

        is $res->{status}, 204, "$level: a hit";
        is conf_of($res), $conf, 'tenant, endpoint, container, tier';
        is header($got, 'Host'), "$name.example", 'sgtm_endpoint';
        is header($got, 'Cookie'), "$name=1", 'sgtm_cookies';
        is join(' ', grep { header($got, "X-$_") } qw(Http Server Own)),
           ucfirst $name, 'sgtm_pass_header';
        is join(' ', $got->{uri} =~ /ep\.(\w+)=1/g), $name, 'sgtm_set_param';
        is join(' ', $got->{uri} =~ /&r(\w+)=1/g),
           join(' ', grep { $_ ne $name } qw(http server own)),
           'sgtm_remove_param';
        is join('|', headers($got, 'X-Forwarded-For')),
           $ip, 'sgtm_client_ip';
        is defined header($res, 'Sgtm-Disposition') ? 1 : 0,
           $level eq 'server' ? 0 : 1, 'sgtm_debug';

        for my $other (sort keys %others) {
            my $id = $want{$other}[1];

            is +(ask($level, "g/collect?v=2&tid=$id&en=a"))[0]{status}, 403,
               "sgtm_tag_id: not that of $other";
            is +(ask($level, 'gtm.js?id=' . (split / /, $want{$other}[0])[2]))
               [0]{status}, 403, 'sgtm_container: neither';
            is +(ask($level, "g/collect?$query",
                     [Origin => "http://$other.example"]))[0]{status}, 403,
               'sgtm_origins: neither';
            is +(ask($level, "$other.js"))[0]{status},
               $level eq 'server' ? 404 : 204, 'sgtm_script: neither';
        }

        is +(ask($level, 'gtm.js?id=' . (split / /, $conf)[2]))[0]{status}, 204,
           'sgtm_container';

        ($res) = ask($level, $script);
        is $res->{status}, 200, 'sgtm_script';
        like header($res, 'Content-Type'), qr/javascript/, 'a script';

        is +(ask($level, 'ccm/collect?x=1&gcs=G111&gcd=13r3r3r3r5l1'))
           [0]{status}, $level eq 'server' ? 404 : 204, 'sgtm_passthrough';
        is +(ask($level, "g/collect?$query", [], 'x' x $size))[0]{status}, 204,
           'sgtm_max_body';
        is +(ask($level, "g/collect?$query", [], 'x' x ($size + 1)))[0]{status},
           413, 'and no more';
        is +(ask($level, "g/collect?$encoded{$level}"))[0]{status},
           $level eq 'server' ? 400 : 204, 'sgtm_encoded';
    }
};

subtest 'inheritance of consent' => sub {
    # http: off, nothing goes
    my ($res, $got) = ask('http', 'g/collect?v=2&tid=G-HTTP1&en=a&gclid=1'
                                  . '&gcs=G100');
    like $got->{uri}, qr/gclid=1/, 'http: mode off';

    # server: advanced, the strictest of gcs and gcd, by default all denied
    my $hit = 'g/collect?v=2&tid=G-SERVER1&en=a&gclid=1&server=1&http=1&own=1'
            . '&_ss=1';

    ($res, $got) = ask('server', "$hit&gcs=G111&gcd=13p3r3r3r5l1");
    unlike $got->{uri}, qr/gclid/, 'server: advanced, strictest';
    like $got->{uri}, qr/http=1&own=1/, 'sgtm_redact: not that of others';
    unlike $got->{uri}, qr/&server=/, 'but its own';
    like $got->{uri}, qr/&_ss=1/, 'analytics are granted';

    ($res, $got) = ask('server', $hit);
    unlike $got->{uri}, qr/_ss=/, 'sgtm_consent_default, not that of http';

    # own: basic, gcd alone, analytics granted by default
    $hit =~ s/G-SERVER1/G-OWN11/;

    ($res, $got) = ask('own', "$hit&gcs=G100");
    ok $got, 'own: gcs is no source, the default grants';
    unlike $got->{uri}, qr/&own=/, 'sgtm_redact';
    like $got->{uri}, qr/&server=1/, 'not that of the server';

    ($res, $got) = ask('own', "$hit&gcd=13p3p3p3p5l1");
    ok !$got, 'mode basic';
    is $res->{status}, 204, 'answered';
};

subtest 'one of several' => sub {
    $tag->clear;

    my $res = $t->request('GET', '/part/g/collect?v=2&tid=G-SERVER1&en=a'
                                 . '&gcs=G111&gcd=13r3r3r3r5l1&rserver=1',
                          [Cookie => 'part=1; server=1; http=1; _ga=2'], undef,
                          nth => 3);
    my ($got) = $tag->requests;

    is $res->{status}, 204, 'a hit';
    is join(' ', $got->{uri} =~ /ep\.(\w+)=1/g), 'part',
       'a list takes the place of the inherited one';
    is header($got, 'Cookie'), 'part=1; _ga=2', 'Google\'s cookies stay';
    unlike $got->{uri}, qr/rserver/, 'what it does not say is inherited';
    is conf_of($res), 'server server.example GTM-SERVER1 professional',
       'all of it';
};

subtest 'no gateway' => sub {
    for my $case ([1, 'off'], [1, 'plain'], [3, 'metrics/nested']) {
        my ($nth, $location) = @$case;

        $tag->clear;

        my $res = $t->request('PUT', "/$location/x?tid=G-OTHER1&gclid=1",
                              [Cookie => 'session=1', Origin => 'null'], 'a',
                              nth => $nth);
        my ($got) = $tag->requests;

        is $res->{status}, 204, "/$location/: passes";
        is $got->{uri}, '/x?tid=G-OTHER1&gclid=1', 'as it is';
        is header($got, 'Cookie'), 'session=1', 'with its cookies';
    }
};

# what a tier means for the fallback, where it is not said

subtest 'fallback' => sub {
    is $t->request('GET', '/metrics/g/collect?v=2&tid=G-HTTP1&en=a', [], undef,
                   nth => 4)->{status}, 502, 'off, of http';
    is $t->request('GET', '/metrics/g/collect?v=2&tid=G-SERVER1&en=a', [],
                   undef, nth => 5)->{status}, 503, 'client, of the server';

    my $tiers = SGTM::Test->start(<<"EOC");
    sgtm_endpoint  sgtm.example.com;
    sgtm_tag_id    G-ABC1234567;

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  shop.example;
        sgtm_tier    enterprise;

@{[ map { <<"EOL" } ['enterprise', ''],
        location /$_->[0]$_->[1]/ {
            sgtm        on;
            sgtm_tier   $_->[0];
            @{[ $_->[1] ? "sgtm_fallback $_->[1];" : '' ]}
            proxy_pass  http://127.0.0.1:$down/;
            include     sgtm_proxy.conf;
        }
EOL
                    ['professional', ''], ['starter', ''],
                    ['professional', 'off'], ['enterprise', 'client'],
                    ['starter', 'client'] ]}
    }
EOC

    for (['enterprise', 502], ['professional', 503], ['starter', 502],
         ['professionaloff', 502], ['enterpriseclient', 503],
         ['starterclient', 503])
    {
        my ($name, $status) = @$_;

        is $tiers->get("/$name/g/collect?v=2&tid=G-ABC1234567&en=a")->{status},
           $status, $name;
    }
};

done_testing;
