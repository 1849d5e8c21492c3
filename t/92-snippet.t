#!/usr/bin/perl

# The unit tests of the snippet, under node's own runner.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my $root = SGTM::Run::root();

my ($status, $text) = run('npm', '--prefix', "$root/snippet", 'test');
my ($passed) = $text =~ /^\S* ?pass (\d+)$/m;

is $status, 0, 'npm test' or diag $text;
cmp_ok $passed || 0, '>', 0, 'tests ran' or diag $text;

done_testing;
