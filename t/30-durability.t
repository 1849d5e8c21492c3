#!/usr/bin/perl

# What was answered 2xx arrives, whatever happens to nginx: workers and masters
# are killed while hits are taken, kept and delivered; reloads and a binary
# upgrade hand the queue on, and no old worker lingers; where there is no room
# hits are refused with 503 and none is promised.  "make soak" does the same for
# longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use SGTM::Proof::Change;
use SGTM::Proof::Crash;
use SGTM::Proof::Disk;
use SGTM::Test;


sub proved {
    my ($row) = @_;

    my $name = sprintf '%s: %d hits, %d answered 2xx, %d doubled',
                       @$row{qw(what hits kept doubled)};

    ok !@{ $row->{bad} }, $name or diag join "\n", @{ $row->{bad} };
}


# few hits, so that those in flight at a kill weigh more than a thousandth

proved(SGTM::Proof::Crash::kills(sync => 'always', kills => 4, seconds => 4,
                                 rate => 200, doubled => 4 * 64));
proved(SGTM::Proof::Crash::kills(sync => 'interval', kills => 2, seconds => 2,
                                 rate => 200, doubled => 2 * 64));

# an outage of more reloads than a hit has attempts

proved(SGTM::Proof::Change::reloads(reloads => 60, each => 0.25,
                                    rate => 100, backoff => '50ms',
                                    linger => 15));
proved(SGTM::Proof::Change::upgrades(upgrades => 1, each => 4, rate => 200,
                                     linger => 12));

proved(SGTM::Proof::Disk::full(rate => 1000, seconds => 3, size => '1m'));

done_testing;
