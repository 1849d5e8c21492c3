#!/usr/bin/perl

# The JSON Schema of tenants and the program that reads them say the same of
# every field, of values that are good and that are not, and of each field with
# the values of all others; where a schema can't say as much, the program is the
# stricter one, and the cases are listed here.
#
# Guards against a schema that an editor or an agency's form trusts and that
# lets pass what nginx refuses, or the other way round.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();

my $root = SGTM::Run::root();
my $build = $ENV{SGTM_BUILD} || 'release';
my $tool = $build eq 'release' ? "$root/build/sgtm-tenants"
                               : "$root/build/$build/sgtm-tenants";
my $dir = SGTM::Run::dir('schema');

-x $tool or die "no $tool: \"make tools\" builds it\n";

my $label = 'a' x 63;
my $sealed = 'sealed:v1:k1:' . 'A' x 36 . 'AAA=';
my @secret_good = ($sealed, 's3cret', 'x' x 512, 'a b', "\x{fc}", '$x"\\',
                   'sealed:v1:k.1_-:' . 'A' x 720,
                   'sealed:v1:k1:' . 'A' x 40 . 'AQ==');
my @secret_bad = ('', ' x', 'x ', "a\tb", "\x{7f}", "\x{9b}x", 'x' x 513, 7,
                  'sealed:', 'sealed:x', 'sealed:v2:k1:' . 'A' x 40,
                  'sealed:v1:k1:' . 'A' x 36, 'sealed:v1::' . 'A' x 40,
                  'sealed:v1:k1:' . 'A' x 724, 'sealed:v1:k 1:' . 'A' x 40,
                  'sealed:v1:k1:' . 'A' x 36 . 'AA==',
                  'sealed:v1:k1:' . 'A' x 36 . 'AAB=',
                  'sealed:v1:k1:' . 'A' x 40 . 'AB==',
                  'sealed:v1:k1:' . 'A' x 39 . '-', undef);

# each value alone beside an id; a hash is of values that a map's member may
# have or not

my %good = (
    id => ['a', 'shop-42', 'A.b_c', '9', 'x' x 128],
    agency => ['north'],
    hosts => [[], ['shop.example', '*.shop.example'], ['LOCALHOST'],
              ["$label.example"], ['127.0.0.1'], ['xn--bcher-kva.example'],
              [map { "h$_.example" } 1 .. 256], ['a--b.c']],
    containers => [[], ['GTM-ABC1234', 'GTM-WXYZ'], ['GTM-' . 'A' x 20]],
    tag_ids => [['G-ABC1234567', 'GT-ABC1', 'AW-123456789', 'DC-1234']],
    tier => [qw(enterprise professional starter)],
    consent_mode => [qw(off basic advanced)],
    consent_default => [{}, { ad_storage => 'granted' },
                        { ad_storage => 'denied',
                          analytics_storage => 'granted',
                          ad_user_data => 'denied',
                          ad_personalization => 'denied' }],
    fallback => [qw(queue client off)],
    rate => [qw(off 1r/s 1000r/m 1000000r/s 007r/m)],
    quota => [1, 5000000, 1000000000000000],
    residency => [qw(any eu auto)],
    endpoint => ['sgtm.example.com', 'a_b:8443', '[::1]:443', '127.0.0.1',
                 'a.example:65535', 'SGTM.example', 'a:00080', 'x' x 255],
    upstream => ['tagging_eu', 'a.example:443'],
    origins => [[], ['https://shop.example', 'shop.example:81'],
                ['*.shop.example', 'HTTP://*.B.example'], ['https://null']],
    credentials => [{}, { meta_pixel => '123', meta_token => $sealed,
                          google_ads_id => 'AW-123456789',
                          google_ads_label => 'aB-_9',
                          tiktok_pixel => 'C4', tiktok_token => 'x',
                          ga4_api_secret => 'y' },
                    { google_ads_label_signup_2 => 'x',
                      'meta_token_' . 'b' x 31 => 'x' },
                    { meta_pixel => '1' x 32, tiktok_pixel => 'x' x 64 },
                    map { { meta_token => $_ } } @secret_good],
    set_params => [{}, { 'ep.shop' => 'a b', 'a~b-c' => '10 $' },
                   { uid => "\x{fc}\x{20ac}" }, { x => '$1' }, { x => '$$.' },
                   { x => 'x' x 1024 }, { 'n' x 128 => '1' },
                   { map { ("p$_" => 'x') } 1 .. 254 }],
    cookies => [[], ['_partner*', 'a.b-c', 'x!#$&()'], ['x' x 128]],
    script => ['t.js', 's/a.js', 'loader', '..a', '.t.js', 'a/b-c_d.min.js',
               'gtmx', 'xgtm', 'g/collects', 'webhook/etsy', 'x' x 255,
               'ccm/form-data', 'a/gtmx/b', 'GTM/x', 'Healthy'],
    tagging => [qw(gtm gtag light)],
    webhooks => [{}, { stripe => ['x', $sealed], shopify => [],
                       woocommerce => ['y'] }],
    api_secrets => [[], ['x'], ['x', 'x'], [('x') x 8],
                    map { [$_] } @secret_good],
    events => [{}, { purchase => 'server', scroll => 'off', A_1 => 'both',
                     x => 'client' }, { 'x' x 40 => 'off' }],
    features => [{}, { map { ($_ => JSON::PP::true) }
                       qw(bots cookieless csp debug dedup geo inject ipinfo
                          passthrough pii user_data) },
                 { dedup => JSON::PP::false }],
    version => [0, 1, 9007199254740993],
    updated => ['2026-11-20T10:00:00Z', '2026-11-20t10:00:00.5+01:30',
                '2016-12-31T23:59:60z', '2024-02-29T00:00:00-12:00',
                '1970-01-01T00:00:00Z'],
);

my %bad = (
    id => ['', '_other', '.a', '-a', 'a b', 'a/b', "a\n", "\x{fc}", 7, undef,
           'x' x 129, [], {}],
    agency => ['', 'a b', 7],
    hosts => ['a.example', [7], [''], ['*'], ['*.'], ['*.example'], ['a..b'],
              ['.a.b'], ['a.b.'], ['-a.b'], ['a-.b'], ['a_b.c'], ['a.b:80'],
              ['https://a.b'], ['[::1]'], ["b\x{fc}cher.example"],
              ['a.*.b'], ["a$label.b"], ['a.b', 'a.b'], [[]], ['a b'],
              [join '.', ($label) x 4], [map { "h$_.example" } 1 .. 257]],
    containers => [['G-ABC1234567'], ['GTM-abc1234'], ['GTM-ABC'], ['GTM-'],
                   ['GTM-' . 'A' x 21], ['GTM-ABC1234', 'GTM-ABC1234']],
    tag_ids => [['GTM-ABC1234'], ['AW-ABC123'], ['UA-1234-1'], ['G-abcd'],
                ['G-ABC'], [''], 'G-ABC1234567'],
    tier => ['', 'Enterprise', 1, []],
    consent_mode => ['on', undef, JSON::PP::true],
    consent_default => ['granted', [], { ad_storage => 'yes' },
                        { ad_storage => 1 }, { ads => 'granted' }],
    fallback => ['on', ''],
    rate => ['', '0r/s', '1000001r/s', '10', '10r/h', '1r/s ', 10,
             '0000000001r/s', 'OFF'],
    burst => [0, 100000001, 1.5, '5', -1],
    quota => [0, -1, 1.5, 1000000000000001, '5', undef],
    quota_sample => [0, 100, '10', 1.5],
    residency => ['de', ''],
    endpoint => ['', 'https://a', 'a/b', ':80', 'a:', 'a:0', 'a:65536',
                 'a:b:1', 'u@a', '.a', '-a', 'a b', '[::1', '[]', 'a:000080',
                 "\x{fc}", 'x' x 256, 7],
    upstream => ['a/b', ''],
    origins => ['a.example', ['null'], ['NULL'], ['*'], ['*.'], ['https://'],
                ['https://a/'], ['ftp://a'], ['*.*.a'], ['a*.b'], [7], ['']],
    credentials => [[], { meta_pixel => '12a' }, { meta_pixel => 12 },
                    { meta_pixel => '' }, { meta_pixel => '1' x 33 },
                    { google_ads_id => 'G-ABC1234567' },
                    { google_ads_label => 'a/b' }, { tiktok_pixel => '' },
                    { tiktok_pixel => 'x' x 65 }, { other => 'x' },
                    { meta_token_ => 'x' }, { meta_token_A => 'x' },
                    { meta_tokens => 'x' },
                    { 'meta_token_' . 'b' x 32 => 'x' },
                    map { { meta_token => $_ } } @secret_bad],
    set_params => [[], { 'a b' => 'x' }, { '' => 'x' }, { x => '' },
                   { x => 7 }, { x => "a\nb" }, { x => "\x{85}" },
                   { x => '$remote_addr' }, { x => 'a${b}' }, { x => '$_' },
                   { x => '$sgtm_credential_' },
                   { x => 'a$sgtm_credential_meta_token' },
                   { x => 'x' x 1025 }, { 'n' x 129 => '1' },
                   (map { { $_ => 'x' } } qw(v tid gcs gcd npa measurement_id
                                             api_secret)),
                   { map { ("p$_" => 'x') } 1 .. 255 }],
    cookies => [['*'], ['*a'], [''], ['a b'], ['a;b'], ['a=b'], ['a,b'],
                ['a"'], ["\x{fc}"], ['x' x 129], ['a', 'a'], 'a', [7]],
    script => ['', '/t.js', 't.js/', 'a//b', './t.js', 'a/..', 'a.', 'a b',
               'a?b', 'gtm.js', 'gtag/js', 'gtag/destination', 'ns.html',
               'g/collect', 'ag/g/c', 'mp/collect', 'debug/mp/collect',
               'webhook/stripe', 'webhook/shopify', 'webhook/woocommerce',
               'healthy', 'x/healthz', 'gtm', 'x/gtm', 'gtm/x', 'x/gtm/y',
               'ccm/form-data/x', 'x/ccm/form-data/y', "\x{fc}", 7,
               'GTM.js', 'Webhook/Stripe', 'x/CCM/Form-Data/y', 'MP/collect',
               'x' x 256],
    tagging => ['none', ''],
    webhooks => [[], { stripe => 'x' }, { etsy => [] }, { stripe => [''] },
                 { stripe => [('x') x 9] }],
    api_secrets => ['x', [('x') x 9], [[]], map { [$_] } @secret_bad],
    events => [[], { purchase => 'on' }, { purchase => 1 }, { '1a' => 'off' },
               { 'a b' => 'off' }, { '' => 'off' }, { 'x' x 41 => 'off' }],
    features => [[], { dedup => 'on' }, { dedup => 1 },
                 { teleport => JSON::PP::true }],
    version => [-1, 1.5, '1', undef],
    updated => ['2026-11-20', '2026-11-20T10:00:00', '2026-11-20 10:00:00Z',
                '2026-13-01T00:00:00Z', '2026-02-30T00:00:00Z',
                '2026-04-31T00:00:00Z', '2026-11-20T24:00:00Z',
                '2026-11-20T10:60:00Z', '2026-11-20T10:00:00.Z',
                '2026-11-20T10:00:00+0100', '1969-12-31T23:59:59Z', 7, ''],
);

# whole records, and files

my @good = (
    '{"id":"a"}', '{"tenants":[]}', '{"tenants":[{"id":"a"},{"id":"b"}]}',
    '{"id":"a","rate":"5r/s","burst":1}',
    '{"id":"a","quota":1,"quota_action":"continue"}',
    '{"id":"a","quota":1,"quota_action":"sample","quota_sample":99}',
    '{"id":"a","quota":1,"quota_action":"stop"}',
    '{"id":"a","credentials":{"meta_token":"x"},'
    . '"set_params":{"ep.t":"$sgtm_credential_meta_token"}}',
);

my @bad = (
    '{}', '[]', '7', '"a"', 'null', '{"tenants":{}}', '{"tenants":[7]}',
    '{"tenants":[{}]}', '{"tenants":[],"x":1}', '{"tenants":[{"id":""}]}',
    '{"id":"a","x":1}', '{"id":"a","ID":"a"}',
    '{"id":"a","burst":1}', '{"id":"a","rate":"off","burst":1}',
    '{"id":"a","quota_action":"stop"}', '{"id":"a","quota_sample":5}',
    '{"id":"a","quota":1,"quota_action":"drop"}',
    '{"id":"a","quota":1,"quota_sample":5}',
    '{"id":"a","quota":1,"quota_action":"sample"}',
    '{"id":"a","quota":1,"quota_action":"stop","quota_sample":5}',
);

# what only the program knows

my @beyond = (
    [ '{"id":"a","id":"a"}', 'names that are there twice' ],
    [ '{"id":"a","hosts":["a.b","A.B"]}', 'hosts that are the same' ],
    [ '{"tenants":[{"id":"a"},{"id":"a"}]}', 'ids that are the same' ],
    [ '{"id":"a","set_params":{"x":"$sgtm_credential_meta_token"}}',
      'a credential that is not there' ],
    [ '{"id":"a","credentials":{"meta_token":"x"},'
      . '"set_params":{"up.x":"$sgtm_credential_meta_token"}}',
      'which parameters have credentials' ],
    [ '{"id":"a","set_params":{"x":"' . "\x{fc}" x 1024 . '"}}',
      'lengths in bytes' ],
    [ '{"id":"a","endpoint":"[::1::2]"}', 'addresses of IPv6' ],
    [ '{"id":"a","updated":"2026-02-29T00:00:00Z"}', 'leap years' ],
    [ '{"id":"a","quota":1e3}', 'how a number is written' ],
    [ '{"id":"a","version":9223372036854775808}', 'where int64 ends' ],
    [ '{"id":"a","agency":"x"' . ' ' x 65536 . '}', 'the size of a record' ],
);


my $json = JSON::PP->new->canonical->allow_nonref;

sub record {
    my ($field, $value) = @_;

    return $json->encode({ id => 'a', $field => $value });
}


# each document judged by both: [schema says yes, why not, program, why not]

sub judge {
    my (@texts) = @_;

    my $file = "$dir/documents";

    open my $fh, '>:utf8', $file or die "$file: $!";
    print $fh map { "$_\n" } @texts;
    close $fh or die;

    my ($status, $out) = run('node', "$root/t/lib/schema.mjs",
                             "$root/docs/tenant.schema.json", $file);
    die $out if $status;

    my @schema = split /\n/, $out;
    die 'the schema judged ' . @schema if @schema != @texts;

    return map { [/^1/ ? 1 : 0, $_, program(shift @texts)] } @schema;
}


sub program {
    my ($text) = @_;

    open my $fh, '>:utf8', "$dir/one.json" or die "$dir: $!";
    print $fh $text;
    close $fh or die;

    my ($status, $out) = run($tool, 'validate', "$dir/one.json");

    return ($status ? 0 : 1, $out);
}


my @fields = sort keys %good;
my $schema = $json->decode(do { local (@ARGV, $/)
                                = "$root/docs/tenant.schema.json"; <> });
my @known = sort keys %{ $schema->{'$defs'}{tenant}{properties} };

is_deeply [sort @fields, qw(burst quota_action quota_sample)], \@known,
          'every field of the schema is tried';


# what both have to say: 1 or 0, or undef for the same, "beyond" for a yes of
# the schema and a no of the program

my @groups = (
    (map { my $field = $_;
           ([ 1, "$field, good", map { record($field, $_) }
                                 @{ $good{$field} } ],
            [ 0, "$field, bad", map { record($field, $_) }
                                @{ $bad{$field} } ]) } @fields),
    [ 0, 'burst, bad', map { qq({"id":"a","rate":"1r/s","burst":$_}) }
                       map { $json->encode($_) } @{ $bad{burst} } ],
    [ 0, 'quota_sample, bad',
      map { qq({"id":"a","quota":1,"quota_action":"sample",)
            . qq("quota_sample":$_}) }
      map { $json->encode($_) } @{ $bad{quota_sample} } ],
    [ 1, 'whole documents, good', @good ],
    [ 0, 'whole documents, bad', @bad ],
    (map { my $field = $_;
           [ undef, "$field with the values of others",
             map { record($field, $good{$_}[-1]) } @fields ] } @known),
    (map { [ 'beyond', "beyond a schema: $_->[1]", $_->[0] ] } @beyond),
);

my @judged = judge(map { @$_[2 .. $#$_] } @groups);

for my $group (@groups) {
    my ($want, $name, @texts) = @$group;
    my @odd;

    for my $text (@texts) {
        my ($by_schema, $why, $by_program, $out) = @{ shift @judged };

        my $ok = !defined $want ? $by_schema == $by_program
                 : $want eq 'beyond' ? $by_schema && !$by_program
                 : $by_schema == $want && $by_program == $want;

        push @odd, substr($text, 0, 200)
                   . "\n  schema: $why\n  program: $out" if !$ok;
    }

    is scalar @odd, 0, "$name: " . @texts . ' documents' or diag @odd;
}

done_testing;
