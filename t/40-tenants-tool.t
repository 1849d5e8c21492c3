#!/usr/bin/perl

# sgtm-tenants, the program: what is wrong with a record is said with its file
# and path, and no value is ever shown; what it writes is whole or not there at
# all, and nothing is written where anything is wrong; sealing changes secrets
# and not a byte besides; keys are replaced one after the other; what differs is
# told without showing a secret; a wrong command line changes nothing.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();

my $root = SGTM::Run::root();
my $build = $ENV{SGTM_BUILD} || 'release';
my $tool = $build eq 'release' ? "$root/build/sgtm-tenants"
                               : "$root/build/$build/sgtm-tenants";
my $dir = SGTM::Run::dir('tenants');
my $json = JSON::PP->new->utf8;

-x $tool or die "no $tool: \"make tools\" builds it\n";

my $secret = 'EAAB-planted-secret';
my $other = 'whsec-planted-secret';


sub tool { return run($tool, @_) }


sub slurp {
    my ($name) = @_;

    open my $fh, '<:raw', $name or die "$name: $!\n";
    local $/;

    return scalar <$fh>;
}


# writes a file and returns its path

sub file {
    my ($name, $text, $mode) = @_;

    my $path = "$dir/$name";

    open my $fh, '>:raw', $path or die "$path: $!\n";
    print $fh $text;
    close $fh or die "$path: $!\n";
    chmod $mode, $path if defined $mode;

    return $path;
}


# all files below the directory that hold a text

sub files_with {
    my ($text, @names) = @_;

    return grep { index(slurp($_), $text) != -1 } grep { -f } @names;
}


sub mode { return sprintf '%04o', (stat $_[0])[2] & 07777 }


my $one = '1' x 64;
my $two = '2' x 64;
my $keys = file('keys', "# of the tests\nk1 $one\n", 0600);
my $rotated = file('rotated', "k2 $two\nk1 $one\n", 0400);
my $new = file('new', "k2 $two\n", 0600);


# the command line

my ($status, $text) = tool('--help');
is $status, 0, '--help';
like $text, qr/^usage: sgtm-tenants <command>/, 'helps';
like $text, qr/The exit code is 0; 1 if/, 'and tells of exit codes';

for (
    [ [], qr/^usage:/, 'nothing' ],
    [ ['check', $dir], qr/unknown command "check"/, 'another command' ],
    [ ['validate'], qr/"validate" has too few arguments/, 'no file' ],
    [ ['validate', $dir, $dir], qr/too many arguments/, 'two files' ],
    [ ['validate', '--strict', $dir], qr/unknown option "--strict"/,
      'an option' ],
    [ ['validate', $dir, '--key-file'], qr/--key-file wants a value/,
      'no value' ],
    [ ['seal', $dir], qr/"seal" wants --key-file/, 'sealing without keys' ],
    [ ['show', '--key-file', $keys, 'a', $dir], qr/has no --key-file/,
      'showing with keys' ],
    [ ['validate', '--rotate', $dir], qr/has no --rotate/, 'rotation' ],
    [ ['import', $dir], qr/too few arguments/, 'an import to nowhere' ],
    [ ['diff', $dir], qr/too few arguments/, 'one side' ],
    [ ['show', 'a'], qr/too few arguments/, 'nothing to look into' ],
) {
    my ($args, $re, $name) = @$_;

    ($status, $text) = tool(@$args);
    is $status, 2, "$name: a wrong command line";
    like $text, $re, 'and why';
}


# validate

my $good = file('good.json', <<"EOT");
{ "tenants": [
    { "id": "shop-1", "hosts": ["Shop.example", "*.shop.example"],
      "tier": "starter", "credentials": {"meta_token": "$secret"} },
    { "id": "shop-2", "hosts": ["two.example"], "version": 9007199254740993 }
] }
EOT

($status, $text) = tool('validate', $good);
is $status, 0, 'a good file';
like $text, qr/^\Q$good\E: warning: tenants\[0\]\.credentials\.meta_token: is not sealed$/m,
     'a plain secret is a warning';
like $text, qr/^2 tenants in 1 files, 0 errors, 1 warnings$/m, 'and counted';
unlike $text, qr/planted/, 'but not shown';

my $bad = file('bad.json', <<"EOT");
{ "tenants": [
    { "id": "a", "hosts": ["a.example", "https://$secret"] },
    { "id": "b", "hosts": ["a.example"], "$secret x": 1, "colour": 1 },
    { "id": "c", "credentials": {"meta_token": " $secret"} },
    "$secret"
] }
EOT

($status, $text) = tool('validate', $bad);
is $status, 1, 'a bad file';

for (
    'tenants[0].hosts[1]: not a host name',
    'tenants[1].*: is not known',
    'tenants[1].colour: is not known',
    'tenants[2].credentials.meta_token: not a secret of 1 to 512 bytes',
    'tenants[3]: not an object',
) {
    like $text, qr/^\Q$bad: $_\E/m, $_;
}

unlike $text, qr/planted/, 'no value is shown';
like $text, qr/^0 tenants in 1 files, 5 errors, 0 warnings$/m, 'all are told';

for (
    [ 'cut.json', '{"tenants":[{"id":"a"},', 'not JSON in line 1: it ends' ],
    [ 'line.json', "{\"tenants\":[\n{\"id\":\"a\"}\n{\"id\":\"b\"}]}",
      'not JSON in line 3: "," or "]" is missing' ],
    [ 'deep.json', '{"id":"a","x":' . '[' x 500 . ']' x 500 . '}',
      'nested too deep' ],
    [ 'large.json', '{"id":"a","agency":"' . 'x' x 66000 . '"}',
      'over 65536 bytes' ],
    [ 'list.json', '[]', 'not an object, of "tenants" or of one' ],
    [ 'more.json', '{"tenants":[],"version":1}', 'has more than "tenants"' ],
    [ 'twice.json', '{"tenants":[{"id":"a"},{"id":"a"}]}',
      'tenants[1].id: is there twice, first tenants[0].id' ],
) {
    my ($name, $content, $error) = @$_;

    my $path = file($name, $content);

    ($status, $text) = tool('validate', $path);
    is $status, 1, "$name is refused";
    like $text, qr/^\Q$path: $error\E/m, $error;
    unlink $path;
}

my $sparse = file('sparse.json', '');
truncate $sparse, 1 << 30 or die "$sparse: $!";
($status, $text) = tool('validate', $sparse);
is $status, 1, 'a file of 1 GB';
like $text, qr/1073741824 bytes, over 536870912$/m, 'is not even read';
unlink $sparse;

($status, $text) = tool('validate', "$dir/none.json");
is $status, 1, 'no file';
like $text, qr/none\.json: No such file or directory/, 'is said';


# a directory: other files than *.json are none of ours

mkdir "$dir/set" or die;
file('set/b.json', '{"id":"b","hosts":["b.example","a.example"]}');
file('set/a.json', '{"tenants":[{"id":"a","hosts":["a.example"]}]}');
file('set/.hidden.json', 'x');
file('set/notes.txt', 'x');

($status, $text) = tool('validate', "$dir/set");
is $status, 1, 'a host in two files of a directory';
like $text, qr{^\Q$dir/set/b.json: hosts[1]: is there twice, first in \E
               \Q$dir/set/a.json, tenants[0].hosts[0]\E$}mx,
     'with both places';
like $text, qr/^1 tenants in 2 files, 1 errors/m, 'of two files';

file('set/b.json', '{"id":"b","hosts":["b.example"]}');
($status, $text) = tool('validate', "$dir/set/");
is $status, 0, 'the directory is good' or diag $text;


# import: a file for each tenant, all or none

my $to = "$dir/imported";

($status, $text) = tool('import', $bad, $to);
is $status, 1, 'a bad file is not imported';
is_deeply [glob "$to/* $to/.??*"], [], 'nothing is written';

($status, $text) = tool('import', $good, $to);
is $status, 0, 'a good one is' or diag $text;
like $text, qr/^2 tenants$/m, 'all of it';
is_deeply [map { m{([^/]+)$} } glob "$to/* $to/.??*"],
          ['shop-1.json', 'shop-2.json'], 'a file for each, and no others';
is slurp("$to/shop-1.json"), <<"EOT", 'in its one form';
{
  "id": "shop-1",
  "hosts": ["shop.example", "*.shop.example"],
  "tier": "starter",
  "credentials": {"meta_token": "$secret"}
}
EOT
like slurp("$to/shop-2.json"), qr/"version": 9007199254740993\n/,
     'a version that no double holds';
is mode("$to/shop-1.json"), '0640', 'not for everybody';

chmod 0600, "$to/shop-1.json";
my $again = file('again.json', '{"id":"shop-1","hosts":["new.example"]}');
($status, $text) = tool('import', $again, $to);
is $status, 0, 'one of them is replaced';
is slurp("$to/shop-1.json"), "{\n  \"id\": \"shop-1\",\n  \"hosts\": "
                             . "[\"new.example\"]\n}\n", 'by the new one';
is mode("$to/shop-1.json"), '0600', 'whose mode it keeps';

$again = file('again.json', '{"tenants":[{"id":"shop-1"},'
              . '{"id":"shop-3","hosts":["two.example"]}]}');
($status, $text) = tool('import', $again, $to);
is $status, 1, 'a host of a tenant that stays is refused';
like $text, qr/shop-2\.json: hosts\[0\]: is there twice, first in \Q$again\E/,
     'with both places';
like slurp("$to/shop-1.json"), qr/new\.example/, 'nothing is replaced then';
ok !-e "$to/shop-3.json", 'nor added';

file('imported/odd.json', '{"id":"shop-1"}');
($status, $text) = tool('import', $good, $to);
is $status, 1, 'nor one that has another name there';
like $text, qr/odd\.json: id: is there twice/, 'which is said';
unlink "$to/odd.json";


# export: one file, which makes the same tenants again

($status, $text) = tool('import', $good, $to);
is $status, 0, 'as at first';

my $out = "$dir/out.json";
($status, $text) = tool('export', $to, $out);
is $status, 0, 'a directory is exported' or diag $text;
is_deeply $json->decode(slurp($out))->{tenants}[0],
          { id => 'shop-1', tier => 'starter',
            hosts => ['shop.example', '*.shop.example'],
            credentials => { meta_token => $secret } }, 'with all there is';
is mode($out), '0640', 'and not for everybody';

($status, $text) = tool('export', $to);
is $status, 0, 'to the standard output';
is $text, slurp($out), 'is the same';

($status, $text) = tool('diff', $to, $out);
is $status, 0, 'so is each tenant';
is $text, '', 'without a word';

my $before = slurp($out);
($status, $text) = tool('export', $bad, $out);
is $status, 1, 'a bad file is not exported';
is slurp($out), $before, 'what was there stays';
is_deeply [glob "$out.*"], [], 'and nothing beside it';


# seal: of the file nothing but secrets changes

my $plain = <<"EOT";

{ "tenants" : [
\t{ "id":"shop-1" , "unknown" : { "a" : [ 1.50, 1e3 ] },
\t  "credentials": { "meta_pixel":"123",  "meta_token" : "$secret" },
\t  "set_params" : {"ep.t":"\$sgtm_credential_meta_token", "ep.u":"\\u00fc"},
\t  "webhooks":{"stripe":[ "$other","whsec\\u002dtwo" ]}},
    {"id":"shop-2"},
    {"id":"shop-3","api_secrets":["$secret"]}
  ]
}

EOT

my $file = file('seal.json', $plain, 0604);

($status, $text) = tool('seal', '--key-file', $keys, $file);
is $status, 0, 'a file is sealed' or diag $text;
like $text, qr/^4 secrets sealed in 1 files$/m, 'all of its secrets';

my $sealed = slurp($file);
my $count = () = $sealed =~ /"sealed:v1:k1:[A-Za-z0-9+\/]+=*"/g;

is $count, 4, 'they are there';
unlike $sealed, qr/planted/, 'and no longer to be read';
is mode($file), '0604', 'the mode is as before';

my @order = ($secret, $other, 'whsec\\u002dtwo', $secret);
(my $undone = $sealed) =~ s/"sealed:[^"]+"/'"' . shift(@order) . '"'/ge;
is $undone, $plain, 'no other byte has changed';

($status, $text) = tool('validate', '--key-file', $keys, $file);
is $status, 1, 'an unknown name is an error still';
unlike $text, qr/not sealed|open/, 'but all secrets open';

my $inode = (stat $file)[1];
($status, $text) = tool('seal', '--key-file', $keys, $file);
like $text, qr/^0 secrets sealed/m, 'sealed twice, nothing is to be done';
is +(stat $file)[1], $inode, 'and the file is not even replaced';

(my $moved = $sealed) =~ s/"shop-3"/"shop-4"/;
($status, $text) = tool('validate', '--key-file', $keys,
                        file('moved.json', $moved));
like $text, qr/tenants\[2\]\.api_secrets: does not open: it was changed/,
     'a secret of another tenant does not open';

($status, $text) = tool('validate', '--key-file', $new, $file);
like $text, qr/tenants\[2\]\.api_secrets: sealed with a key that is not in/,
     'nor without its key';


# rotation: the new key first, then everything anew, then the old key may go

($status, $text) = tool('seal', '--key-file', $rotated, $file);
like $text, qr/^0 secrets sealed/m, 'a new key alone changes nothing';

($status, $text) = tool('seal', '--rotate', '--key-file', $rotated, $file);
is $status, 0, 'all is sealed anew' or diag $text;
like $text, qr/^4 secrets sealed/m, 'every secret';
unlike slurp($file), qr/:k1:/, 'by the new key';

($status, $text) = tool('validate', '--key-file', $new, $file);
unlike $text, qr/open|not in the file/, 'and opens without the old one';

($status, $text) = tool('seal', '--rotate', '--key-file', $keys, $file);
is $status, 1, 'what does not open can not be sealed anew';
like $text, qr/tenants\[0\]\.credentials\.meta_token: cannot be opened or/,
     'which is said';
unlike slurp($file), qr/:k1:|planted/, 'and the file stays';

file('set/a.json', "{\"id\":\"a\",\"api_secrets\":[\"$secret\"]}");
file('set/b.json', "{\"id\":\"a\",\"api_secrets\":[\"$secret\"]}");
file('set/c.json', "{\"id\":\"c\",\"api_secrets\":[\"$secret\"]}");
($status, $text) = tool('seal', '--key-file', $keys, "$dir/set");
is $status, 1, 'a directory with a file that is wrong';
is_deeply [map { m{([^/]+)$} } files_with($secret, glob "$dir/set/*")],
          ['b.json'], 'the others are sealed, that one is not';
is_deeply [glob "$dir/set/*.json.*"], [], 'nothing is left beside them';

my $full = '{"id":"a","api_secrets":["' . 's' x 512 . '"],"x":"';
$full .= 'x' x (65536 - 2 - length $full) . '"}';
$full = file('full.json', $full);
($status, $text) = tool('seal', '--key-file', $keys, $full);
is $status, 1, 'a record that would become too large';
like $text, qr/full\.json: over 65536 bytes once it is sealed/, 'is told';
like slurp($full), qr/"s{512}"/, 'and stays';


# keys

for (
    [ '', 'no key in it' ],
    [ "k1 $one\nk2 123\n", 'line 2: the key is not of 64 hexadecimal' ],
    [ "k1 $one\nk1 $two\n", 'line 2: a key before has the same id' ],
    [ "$one\n", 'line 1: the id is not of 1 to 32' ],
) {
    my ($content, $error) = @$_;
    my $path = file('wrong', $content, 0600);

    ($status, $text) = tool('seal', '--key-file', $path, $file);
    is $status, 1, 'a file of keys that is wrong';
    like $text, qr/^sgtm-tenants: \Q$path: $error\E/, $error;
    unlike $text, qr/1111|2222/, 'no key is shown';
}

chmod 0644, $keys;
($status, $text) = tool('validate', '--key-file', $keys, $good);
is $status, 0, 'keys that everybody may read are used';
like $text, qr/\Q$keys\E: warning: it holds keys and is not for its owner/,
     'with a warning';


# diff

my $old = file('old.json', <<"EOT");
{"tenants":[{"id":"gone"},
 {"id":"same","hosts":["S.example"],"features":{"geo":true,"dedup":true}},
 {"id":"b","tier":"starter","hosts":["b.example"],"agency":"x",
  "set_params":{"ep.a":"1","ep.b":"2"},"quota":5,
  "credentials":{"meta_token":"$secret","meta_pixel":"1",
                 "tiktok_token":"$secret"},
  "webhooks":{"stripe":["$secret"]},"api_secrets":["$secret"]}]}
EOT

my $now = file('now.json', <<"EOT");
{"tenants":[
 {"id":"b","tier":"enterprise","hosts":["b.example","*.b.example"],
  "set_params":{"ep.a":"1","ep.b":"3","ep.c":"4"},"quota":5,
  "credentials":{"meta_token":"$other","meta_pixel":"2",
                 "ga4_api_secret":"$other"},
  "webhooks":{"stripe":["$other"],"shopify":["$other"]},
  "events":{"scroll":"off"}},
 {"features":{"dedup":true,"geo":true},"hosts":["s.example"],"id":"same"},
 {"id":"fresh"}]}
EOT

($status, $text) = tool('diff', $old, $now);
is $status, 1, 'what differs';
is $text, <<'EOT', 'by tenant and path, of secrets only that they do';
b: hosts: ["b.example"] -> ["b.example","*.b.example"]
b: agency: removed, was "x"
b: tier: "starter" -> "enterprise"
b: credentials.meta_token: changed
b: credentials.meta_pixel: "1" -> "2"
b: credentials.tiktok_token: removed
b: credentials.ga4_api_secret: set
b: set_params.ep.b: "2" -> "3"
b: set_params.ep.c: set to "4"
b: webhooks.stripe: changed
b: webhooks.shopify: set
b: api_secrets: removed
b: events.scroll: set to "off"
fresh: added
gone: removed
EOT

($status, $text) = tool('diff', $old, "$dir/none.json");
is $status, 2, 'what is not there can not be compared';
($status, $text) = tool('diff', $bad, $old);
is $status, 2, 'nor what is wrong';
unlike $text, qr/planted/, 'and no value is shown';


# show

($status, $text) = tool('show', 'b', $now);
is $status, 0, 'one record';
my $shown = $json->decode($text);
is_deeply $shown->{credentials}, { meta_token => 'set', meta_pixel => '2',
                                   ga4_api_secret => 'set' },
          'its secrets are set';
is_deeply $shown->{webhooks}, { stripe => ['set'], shopify => ['set'] },
          'those of shops, too';
unlike $text, qr/planted/, 'and not shown';

($status, $text) = tool('show', 'c', $now);
is $status, 1, 'one that is not there';
like $text, qr/no good record of "c" in \Q$now\E/, 'is said';

($status, $text) = tool('show', 'shop-2', $to);
is $status, 0, 'of a directory';


# what can not be written

SKIP: {
    skip 'a disk that is full', 2 if !-w '/dev/full';

    $status = system "'$tool' export '$good' > /dev/full 2> '$dir/full.err'";
    is $status >> 8, 1, 'a disk that is full';
    like slurp("$dir/full.err"), qr/cannot (?:be )?write/, 'is said';
}

SKIP: {
    skip 'root may write everywhere', 2 if $> == 0;

    mkdir "$dir/closed", 0500;
    ($status, $text) = tool('export', $good, "$dir/closed/out.json");
    is $status, 1, 'a directory that is closed';
    like $text, qr/cannot be written: Permission denied/, 'is said';
}

($status, $text) = tool('export', $good, "$dir/none/out.json");
is $status, 1, 'a directory that is not there';
like $text, qr{none/out\.json: cannot be written: No such file}, 'is said';

done_testing;
