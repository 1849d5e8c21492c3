#!/usr/bin/perl

# A short pass of each fuzz target from its stored corpus: FUZZ_SECONDS (10).
# "make fuzz" takes longer.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my $root = SGTM::Run::root();
my @targets = map { m{([^/]+)\.c$} } glob "$root/fuzz/*.c";

$ENV{FUZZ_SECONDS} = 10 if !$ENV{FUZZ_SECONDS};
SGTM::Test->timeout(60 + @targets * (30 + $ENV{FUZZ_SECONDS}));

cmp_ok scalar @targets, '>', 0, 'there are fuzz targets';

for my $target (@targets) {
    my ($status, $text) = run("$root/tools/fuzz", $target);

    is $status, 0, $target or diag $text;
    like $text, qr/^stat::number_of_executed_units: [1-9]\d{3}/m,
         'with inputs that ran';
}

done_testing;
