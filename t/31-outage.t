#!/usr/bin/perl

# A tagging server that is away, answers 503, resets, cuts its header, has a
# certificate that does not fit or a name that can't be resolved: each hit that
# was answered 2xx, and each whose browser left at once, arrives all the same,
# and once; delivered directly with "sgtm_fallback queue" and queued, over
# HTTP/1.1 and HTTP/2.  "make soak" does the same for longer, and takes 10
# seconds for an answer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use SGTM::Proof::Outage;
use SGTM::Test;

my %few = (seconds => 1, rate => 100);


sub proved {
    for my $row (@_) {
        my $name = sprintf '%s: %d hits, %d answered 2xx, %d left',
                           @$row{qw(what hits kept left)};

        ok !@{ $row->{bad} }, $name or diag join "\n", @{ $row->{bad} };
    }
}


proved(SGTM::Proof::Outage::failures(%few, modes => [qw(down 503 reset cut)]));
proved(SGTM::Proof::Outage::tls(%few));

# a name that was found is known for a second

proved(SGTM::Proof::Outage::dns(%few, seconds => 3));

for my $prefix ('/metrics/', '/queued/') {
    proved(SGTM::Proof::Outage::down(prefix => $prefix, seconds => 2,
                                     rate => 200, leave => 20));
}

done_testing;
