#!/usr/bin/perl

# When the power goes, what was answered 2xx with "sync=always" is on the disk,
# and with "sync=interval" all but that of the last second.
#
# A power cut is a library that takes back what was not synced, so it is tried
# itself first, and with "sync=off" hits must be lost: a proof that can't fail
# is none.  "make soak" makes more of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use SGTM::Proof::Crash;
use SGTM::Soak::Powercut;
use SGTM::Test;


# a program that changes files in all ways and ends by SIGKILL

my $program = <<'EOT';
use IO::Handle;

my $dir = shift;

sub put {
    my ($name, $text, $sync) = @_;

    open my $fh, '>', "$dir/$name" or die;
    syswrite $fh, $text;
    $fh->sync if $sync;

    return $fh;
}

put('synced', 'all of it', 1);
put('new', 'nothing of it');

my $half = put('half', 'synced', 1);
syswrite $half, ' and not';

my $cut = put('cut', 'before', 1);
truncate $cut, 2;

open my $old, '+<', "$dir/old" or die;
syswrite $old, 'NEW';

unlink "$dir/gone";
rename "$dir/one", "$dir/two";
kill 'KILL', $$;
EOT

my %before = (old => 'old text', gone => 'here', one => '1', two => '2');
my %after = (%before, synced => 'all of it', half => 'synced', cut => 'before');


# what is in a directory after the program and a power cut

sub after_cut {
    my ($seed) = @_;

    my $dir = SGTM::Run::dir('cut') . '/files';

    mkdir $dir or die "$dir: $!\n";
    SGTM::Run::put("$dir/$_", $before{$_}) for keys %before;

    {
        local %ENV = (%ENV, SGTM::Soak::Powercut::environment($dir));
        run($^X, '-e', $program, $dir);
    }

    SGTM::Soak::Powercut::restore($dir, $seed);

    return { map { m{([^/]+)\z} => SGTM::Run::get($_) } glob "$dir/*" };
}


subtest 'the power cut itself' => sub {
    is_deeply after_cut(), \%after, 'nothing is there that was not synced';

    my %seen;

    for my $seed (1 .. 20) {
        my $got = after_cut($seed);

        $seen{join '|', map { "$_=$got->{$_}" } sort keys %$got} = 1;
        is $got->{synced}, 'all of it', "seed $seed: what was synced is there";
    }

    cmp_ok scalar(keys %seen), '>', 3, 'the rest as the disk liked';
};


sub proved {
    my ($row) = @_;

    my $name = sprintf '%s: %d hits, %d answered 2xx, %d doubled',
                       @$row{qw(what hits kept doubled)};

    ok !@{ $row->{bad} }, $name or diag join "\n", @{ $row->{bad} };
}


proved(SGTM::Proof::Crash::cuts(sync => 'always', cuts => 3, seconds => 4,
                                rate => 200, doubled => 3 * 64));
proved(SGTM::Proof::Crash::cuts(sync => 'interval', cuts => 1, seconds => 3,
                                rate => 200, doubled => 1e9, lost_age => 2));
proved(SGTM::Proof::Crash::cuts(sync => 'off', cuts => 1, seconds => 3,
                                rate => 200, doubled => 1e9, loses => 1));

done_testing;
