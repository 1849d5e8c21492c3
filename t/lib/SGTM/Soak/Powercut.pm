package SGTM::Soak::Powercut;

# A power cut, simulated (soak/powercut.c): programs run with a library that
# notes what they wrote and did not sync, and when all of them were killed, that
# is taken back.
#
#     my %env = SGTM::Soak::Powercut::environment($dir);
#     ...                                  # kill -9
#     my $sum = SGTM::Soak::Powercut::restore($dir);           # or
#     my $sum = SGTM::Soak::Powercut::restore($dir, $seed);    # torn writes

use strict;
use warnings;

use SGTM::Run;
use SGTM::Soak::Tools;


sub environment {
    my ($dir) = @_;

    return (POWERCUT => $dir,
            LD_PRELOAD => SGTM::Soak::Tools::path('powercut.so'));
}


# { changes, bytes, writes, syncs }: taken back, and those that were made

sub restore {
    my ($dir, $seed) = @_;

    my ($status, $out) = SGTM::Run::capture(
        SGTM::Soak::Tools::path('powercut'), $dir,
        defined $seed ? $seed : ());

    die "powercut: $out\n" if $status;

    return { $out =~ /^(\w+) (\d+)$/mg };
}


1;
