#!/usr/bin/perl

# sgtm-spool, the program: what it lists and exports is what is in the database
# and in the journal, byte for byte where that is asked for and harmless on a
# terminal where it is not; it replays and deletes what it was told to and nothing else, beside a
# process that writes; what it deletes is gone from the disk; a wrong command
# line or a spool that it cannot read changes nothing and says so.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(sleep time);

my $tool = SGTM::Run::program('sgtm-spool');
my $dir = SGTM::Run::dir('spool');


sub tool { return run($tool, $dir, @_) }


sub sql {
    my ($status, $text) = run('sqlite3', "$dir/spool.db",
                              '.timeout 5000', @_);

    die $text if $status;
    chomp $text;

    return $text;
}


sub slurp {
    my ($name) = @_;

    open my $fh, '<:raw', $name or die "$name: $!\n";
    local $/;

    return scalar <$fh>;
}


# what files of the spool hold a text

sub files_with {
    my ($text) = @_;

    return grep { index(slurp($_), $text) != -1 } glob "$dir/*";
}


my $now = int(time() * 1000);
my $hour = 3600_000;
my $id = 1 << 46;

sub hit {
    my ($table, $n, %of) = @_;

    my %row = (id => $id + $n, target => 1, due => 0, client => $n,
               time => $now - $n * $hour, attempts => 0, events => 1,
               tenant => "'shop.example'", error => "''", method => "'POST'",
               uri => "'/g/collect'", args => "'v=2&en=event$n'",
               headers => "'User-Agent: test' || char(13, 10)",
               body => "'en=body$n'", %of);

    my @names = sort keys %row;

    sql("INSERT INTO $table (" . join(', ', @names) . ') VALUES ('
        . join(', ', @row{@names}) . ')');
}


# the command line

my ($status, $text) = run($tool, '--help');
is $status, 0, '--help';
like $text, qr/^usage: sgtm-spool <directory> <command>/, 'helps';

for (
    [ [], qr/^usage:/, 'nothing' ],
    [ [$dir], qr/^usage:/, 'no command' ],
    [ [$dir, 'purge', '--all', '--limit', 2], qr/"purge" takes no --limit/,
      'a limit to what is deleted' ],
    [ [$dir, 'replay', '--all', '--limit', 2], qr/"replay" takes no --limit/,
      'a limit to what is replayed' ],
    [ [$dir, 'lists'], qr/unknown command "lists"/, 'another command' ],
    [ [$dir, 'list', '--died'], qr/unknown option "--died"/, 'an option' ],
    [ [$dir, 'list', '--id'], qr/--id wants a value/, 'no value' ],
    [ [$dir, 'list', '--id', '1x'], qr/"1x" is no id/, 'no number' ],
    [ [$dir, 'list', '--id', '99999999999999999999'], qr/is no id/, 'large' ],
    [ [$dir, 'list', '--before', '3y'], qr/"3y" is no age/, 'a year' ],
    [ [$dir, 'list', '--before', ''], qr/"" is no age/, 'no age' ],
    [ [$dir, 'list', '--before', '9000w'], qr/is no age/, 'an age too far' ],
    [ [$dir, 'show'], qr/"show" wants --id/, 'show without an id' ],
    [ [$dir, 'purge', '--dead'], qr/one of --id, --before and --all/,
      'purge of it is not said what' ],
    [ [$dir, 'replay'], qr/one of --id, --before and --all/, 'nor replay' ],
    [ [$dir, 'purge', '--id', '5', '--all'], qr/one of --id/, 'or too much' ],
) {
    my ($args, $re, $name) = @$_;

    ($status, $text) = run($tool, @$args);
    is $status, 2, "$name: a wrong command line";
    like $text, $re, 'and why';
}

($status, $text) = tool('list');
is $status, 1, 'a directory without a spool';
like $text, qr/no spool in "\Q$dir\E": No such file/, 'is named';
is_deeply [glob "$dir/*"], [], 'and left as it is';


# a spool, as nginx would begin it

open my $fh, '>', "$dir/spool.db" or die "$dir: $!\n";
close $fh;

($status, $text) = tool('count');
is $status, 0, 'an empty spool';
like $text, qr/\Awaiting: 0 hits, 0 events\ndead: 0 hits\nsize: \d+ bytes\n\z/,
    'has nothing';

sql("INSERT INTO target (name) VALUES ('shop.example\@tag')");

hit('hit', 1);
hit('hit', 2, due => $now + 60_000, attempts => 2, error => "'502'",
    tenant => "'caf\xc3\xa9'");
hit('hit', 3, error => "char(27) || '[31m\\' || char(133) || 'x'",
    tenant => "CAST(x'ff00fe' AS BLOB)", body => "x'00ff1b5b'",
    args => "'a=\"\\' || char(9, 127, 8, 0x1f600)");
hit('dead', $_, died => $now - ($_ - 10) * $hour, error => "'400'",
    attempts => 1, body => "'secret-of-$_'") for 11 .. 16;


# looking

($status, $text) = tool('count');
like $text, qr/^waiting: 3 hits, 3 events, the oldest of 3h ago$/m, 'counted';
like $text, qr/^dead: 6 hits, the first of 6h ago$/m, 'the dead ones, too';

($status, $text) = tool('list');
is $status, 0, 'list';

my @lines = split /\n/, $text;
is @lines, 4, 'a head and a line for each';
like $lines[0], qr/^id +target +tenant +age attempts +size  error$/, 'head';
like $lines[1], qr/^@{[ $id + 1 ]} +shop\.example\@tag +shop\.example +60m +0 +53  $/,
    'a line';
like $lines[2], qr/ caf\xc3\xa9 {17} +2h +2 +\d+  502$/,
    'another, in columns';
like $lines[3], qr/ \\xff\\x00\\xfe .* \\x1b\[31m\\\\\\xc2\\x85x$/,
    'nothing that a terminal would act on';

is scalar(() = (tool('list', '--limit', 2))[1] =~ /\n/g), 3, '--limit';
is scalar(() = (tool('list', '--before', '90m'))[1] =~ /\n/g), 3, '--before';
is scalar(() = (tool('list', '--dead', '--before', '3h'))[1] =~ /\n/g), 5,
    '--before, of the dead';
like((tool('list', '--id', $id + 2))[1], qr/\A.*\n.* 502\n\z/, '--id');

($status, $text) = tool('show', '--id', $id + 3);
is $status, 0, 'show';
like $text, qr/^id:        @{[ $id + 3 ]}$/m, 'id';
like $text, qr/^due:       fresh$/m, 'due';
like $text, qr/^headers:\n    User-Agent: test\nbody \(4 bytes\):\n    \\x00\\xff\\x1b\[\n\z/m,
    'headers and body';
like((tool('show', '--dead', '--id', $id + 12))[1],
     qr/^died:      \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m, 'a dead letter');

($status, $text) = tool('show', '--id', $id + 12);
is $status, 1, 'one that does not wait';
like $text, qr/no hit @{[ $id + 12 ]}/, 'is not there';


# exporting

($status, $text) = tool('export');
is $status, 0, 'export';

my @json = map { JSON::PP->new->utf8->decode($_) } split /\n/, $text;
is @json, 3, 'a line of JSON for each';

is_deeply $json[0], {
    id => $id + 1, time => $now - $hour, due => 0, attempts => 0, events => 1,
    target => 'shop.example@tag', tenant => 'shop.example', error => '',
    method => 'POST', uri => '/g/collect', args => 'v=2&en=event1',
    headers => "User-Agent: test\r\n", body => 'en=body1'
}, 'with all there is';

is $json[1]{tenant}, "caf\x{e9}", 'UTF-8';
is $json[2]{args}, "a=\"\\\t\x7f\x08\x{1f600}", 'escapes';
ok !exists $json[2]{body}, 'bytes that are no text';
is decode_base64($json[2]{body_base64}), "\0\xff\e[", 'in base64';
is decode_base64($json[2]{tenant_base64}), "\xff\0\xfe", 'elsewhere, too';
is $json[2]{error}, "\e[31m\\\x{85}x", 'the rest as it is';

($status, $text) = tool('export', '--dead', '--id', $id + 11);
is_deeply [JSON::PP->new->decode($text)->{died}], [$now - $hour],
    'a dead letter';

SKIP: {
    skip 'no /dev/full', 2 if !-c '/dev/full';

    ($status, $text) = run('sh', '-c', '"$0" "$1" export > /dev/full', $tool,
                           $dir);
    is $status, 1, 'no room for the output';
    like $text, qr/cannot write/, 'is no success';
}


# replaying and purging

($status, $text) = tool('replay', '--id', $id + 11);
is "$status $text", "0 1 replayed\n", 'one is replayed';
is sql("SELECT count(*) FROM hit WHERE id = $id + 11 AND attempts = 0"
       . " AND error = '' AND due > 0"), 1, 'and waits';
is sql('SELECT count(*) FROM dead'), 5, 'the others are dead';

($status, $text) = tool('replay', '--id', $id + 11);
is $status, 1, 'but not again';
like $text, qr/no dead letter @{[ $id + 11 ]}/, 'it is none';

($status, $text) = tool('replay', '--before', '330m');
is "$status $text", "0 1 replayed\n", 'by age';
is sql("SELECT count(*) FROM hit WHERE id = $id + 16"), 1, 'the oldest';

ok scalar(files_with('secret-of-15')), 'what is there is on the disk';
($status, $text) = tool('purge', '--dead', '--before', '3h');
is "$status $text", "0 3 purged\n", 'dead letters are purged by age';
is_deeply [map { files_with("secret-of-$_") } 13 .. 15], [], 'without a trace';
is sql('SELECT group_concat(body) FROM dead'), 'secret-of-12',
    'a younger one stays';
is sql('SELECT count(*) FROM hit'), 5, 'and what waits';


# beside a process that writes

pipe(my $in, my $out) or die "pipe: $!\n";
defined(my $pid = fork) or die "fork: $!\n";

if (!$pid) {
    close $out;
    open STDIN, '<&', $in;
    exec 'sqlite3', "$dir/spool.db";
    exit 127;
}

close $in;
$out->autoflush;
print $out "BEGIN IMMEDIATE; DELETE FROM dead; SELECT 1;\n"
           . ".shell touch $dir/locked\n";
ok wait_for { -e "$dir/locked" }, 'another process writes';

ok((tool('list'))[0] == 0, 'reading goes on');

my $start = time;
print $out ".shell sleep 0.5\nROLLBACK;\n";
($status, $text) = tool('purge', '--id', $id + 1);
is "$status $text", "0 1 purged\n", 'writing';
ok time - $start > 0.3, 'waits for its turn';

close $out;
waitpid $pid, 0;
unlink "$dir/locked";

($status, $text) = tool('purge', '--all');
is "$status $text", "0 4 purged\n", 'all that wait';
is sql('SELECT count(*) FROM dead'), 1, 'are not the dead';
($status, $text) = tool('replay', '--all');
is "$status $text", "0 1 replayed\n", 'all that are dead';


# the journal: hits that nobody has moved into the database yet

my $key = 0x01234567 << 32 | 0x89abcdef;

# two running sums of 32-bit words, modulo 2 ** 64

sub sums {
    my ($bytes) = @_;

    use integer;

    my ($a, $b) = ($key, 0);

    for (unpack 'L*', $bytes) {
        $a += $_;
        $b += $a;
    }

    return ($a, $b);
}


# a segment of one group: each hit is its time, its number of events and its
# strings (target, tenant, error, method, uri, args, headers, body)

sub segment {
    my (@hits) = @_;
    my ($records, $events) = ('', 0);

    for (@hits) {
        my ($time, $n, @strings) = @$_;
        my $record = pack 'q Q L10 a*', $time, 7, 0, $n,
                          (map { length } @strings), join '', @strings;

        $records .= $record . "\0" x (-length($record) % 8);
        $events += $n;
    }

    my $size = 72 + length($records) + 8;
    my $head = pack 'L L Q q Q Q q q q', 0x31676773, scalar(@hits), $size,
                    $now * 1000 - 5_000_000, scalar(@hits), $events,
                    $hits[0][0], sums($records);

    my ($a, $b) = sums($head);

    {
        use integer;
        $head .= pack 'q', $a + 2 * $b;
    }

    return $head . $records . pack 'Q', $size;
}


my $spool = $dir;
$dir = SGTM::Run::dir('journal');

my $name = sprintf "$dir/journal-%016x-%016x", $now * 1000 - 6_000_000, $key;
my @hit = ($now - $hour, 3, 'shop.example@tag', 'shop.example', '', 'POST',
           '/g/collect', 'v=2&en=journal', "User-Agent: test\r\n",
           "a body\0\xff");
my $segment = segment(\@hit, [@hit[0 .. 8], 'another-body']);

SGTM::Run::put($name, $segment);
utime $now / 1000 - 5, $now / 1000 - 5, $name or die "utime: $!\n";

($status, $text) = tool('count');
like $text, qr/^waiting: 2 hits, 6 events, the oldest of 60m ago$/m,
    'a journal alone is counted';
ok slurp($name) eq $segment, 'and left as it is';

($status, $text) = tool('list', '--limit', 1);
is $status, 0, 'list';
is scalar(() = $text =~ / shop\.example\@tag /g), 1, 'what was moved';
is sql('SELECT count(*) FROM hit'), 2, 'all of it is in the database now';

($status, $text) = tool('export');
@json = map { JSON::PP->new->utf8->decode($_) } split /\n/, $text;
is scalar(@json), 2, 'each once';
is decode_base64($json[0]{body_base64}), "a body\0\xff", 'its bytes';
is_deeply [@{ $json[1] }{qw(time events args headers body)}],
    [@hit[0, 1, 7, 8], 'another-body'], 'and the rest';

like((tool('count'))[1], qr/^waiting: 2 hits, 6 events/m, 'counted once, too');

($status, $text) = tool('purge', '--all');
is "$status $text", "0 2 purged\n", 'purged';
is_deeply [files_with('another-body')], [], 'without a trace in the journal';

# a segment of whose name there was another one before

substr $segment, 100, 1, '#';
SGTM::Run::put($name =~ s/-0/-1/r, $segment);
($status, $text) = tool('list');
is $status, 0, 'a journal that is damaged';
like $text, qr/: \d+ bytes are damaged, they are set aside as "damaged-/,
    'is said to be so';
is scalar(my @aside = glob "$dir/damaged-*"), 1, 'and set aside';

$dir = $spool;


# what it does not know

sql('PRAGMA user_version = 9');
my $before = slurp("$dir/spool.db");
($status, $text) = tool('purge', '--all');
is $status, 1, 'a spool of another version';
like $text, qr/its version is 9, this program knows 2/, 'is named';
ok slurp("$dir/spool.db") eq $before, 'and left as it is';

done_testing;
