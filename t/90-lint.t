#!/usr/bin/perl

# The linter's checks, each an assertion: style, cppcheck, clang's warnings for
# the room without nginx, syntax of the scripts, lock files without addresses,
# documents that have what the code has, strict types of the snippet.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

my $root = SGTM::Run::root();

for my $check (qw(style cppcheck clang perl shell json docs snippet)) {
    my ($status, $text) = run("$root/tools/lint", $check);

    is $status, 0, $check or diag $text;
}

done_testing;
