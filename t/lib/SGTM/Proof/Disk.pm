package SGTM::Proof::Disk;

# No room for what must be kept: the small size of the spool, or of its disk.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use SGTM::Proof::Crash;
use SGTM::Run;
use SGTM::Soak::Loss;

my %mounted;


# full(rate => 1000, seconds => 12, size => '1m')
#
# The tagging server is down until the spool is full and hits were refused for
# a while.  With disk => 1 it is a tmpfs that is full; undef where none can be
# mounted.

sub full {
    my (%opt) = @_;

    my %new = (hits => $opt{rate} * $opt{seconds} + 200,
               max_size => $opt{size});

    if ($opt{disk}) {
        my $dir = SGTM::Run::dir('small');
        _mount($dir, $opt{size}) or return;
        %new = (%new, spool => "$dir/spool", max_size => '1g');
    }

    my $loss = SGTM::Soak::Loss->new(%new);
    my ($t, $tag) = ($loss->t, $loss->tag);
    my @bad;

    $tag->mode('down');
    SGTM::Proof::Crash::both($loss, $opt{rate}, $opt{seconds},
                             prefix => '/queued/');
    $loss->wait_senders($opt{seconds} + 60);

    my $answers = $loss->account->{answers};

    push @bad, 'nothing was refused' if !$answers->{503};
    push @bad, "answered $_" for grep { !/\A(?:204|503)\z/ } keys %$answers;

    push @bad, map { _refused($t, $_) } qw(/queued/ /metrics/);

    my @lines = $t->error_log =~ /^.*\[error\].* sgtm_spool: .*$/mg;

    push @bad, join "\n", scalar(@lines) . ' lines of log', @lines
        if !@lines || @lines > 1 + $opt{seconds} / 60;

    # direct mode keeps forwarding, and the spool drains

    $tag->mode('up');

    my $res = $t->get('/metrics/g/collect?v=2&tid=G-ABC1234567&en=a');

    push @bad, "direct: $res->{status}" if $res->{status} != 204;

    $loss->drain(60);

    my $refused = $loss->account->{answers}{503} || 0;
    my $sender = $loss->send(hits => 200, rate => 200, prefix => '/queued/');

    $sender->wait(30);
    $loss->drain(30);

    my $again = $loss->account(senders => [$sender]);

    push @bad, "$again->{kept} of 200 were kept after it"
        if $again->{kept} != 200;

    my $row = SGTM::Proof::Crash::finish(
        $loss, what => ($opt{disk} ? 'disk' : 'spool') . " of $opt{size} full",
        note => "$refused answered 503", unknown => 1);

    push @{ $row->{bad} }, @bad;
    _umount($_) for keys %mounted;

    return $row;
}


sub _refused {
    my ($t, $prefix) = @_;

    # large, so that no last bit of room will do
    my $res = $t->post("${prefix}g/collect?v=2&tid=G-ABC1234567&cid=1.2",
                       join "\r\n", map { "en=a$_&ep.text=" . 'x' x 100 }
                                        1 .. 200);
    my %h = map { lc $_->[0] => $_->[1] } @{ $res->{headers} };

    return if $res->{status} == 503 && ($h{'retry-after'} || '') =~ /\A\d+\z/;

    return "$prefix: $res->{status}, Retry-After "
           . (defined $h{'retry-after'} ? $h{'retry-after'} : 'missing');
}


sub _mount {
    my ($dir, $size) = @_;

    return 0 if $> != 0;

    my ($status) = SGTM::Run::capture(qw(mount -t tmpfs -o), "size=$size",
                                      'none', $dir);

    $mounted{$dir} = 1 if !$status;

    return !$status;
}


sub _umount {
    my ($dir) = @_;

    local ($?, $!);

    my ($status, $out) = SGTM::Run::capture('umount', $dir);

    die "umount: $out\n" if $status;
    delete $mounted{$dir};
}


END {
    if (SGTM::Run::is_owner()) {
        local $?;
        eval { _umount($_) } for keys %mounted;
    }
}


1;
