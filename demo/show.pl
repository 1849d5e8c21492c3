#!/usr/bin/perl

# Follows the tagging server's record of hits and prints a line an event: what
# arrived, not what was sent.  Follows the log of its switch too: while there
# is a file "down", it takes no hits.  And that of changes, which it makes in
# the file of the shops' records.
#
#     demo/show.pl hits.json switch changes shops.json

use strict;
use warnings;

use IO::Handle ();
use JSON::PP ();

my $parent = getppid;
my $colour = -t STDOUT && !exists $ENV{NO_COLOR};

STDOUT->autoflush(1);

line('time', 'event', 'consent', 'client id', 'address', 'cookies', 'page');

my ($shops) = splice @ARGV, 3;

my @logs = map { { name => $_, part => '' } } @ARGV;
my @readers = (\&show, \&turn, \&change);

# what may be changed of a shop, and to what: anybody can ask for it

my %setting = (
    tier => [qw(enterprise professional starter)],
    consent_mode => [qw(off basic advanced)],
    rate => [qw(off 30r/m)],
    view_item => [qw(server off)],
);

for my $log (@logs) {
    open($log->{in}, '<', $log->{name}) or die "$log->{name}: $!\n";
}

# the shell that started this may end without a word

while (getppid == $parent) {
    my $read = 0;

    for my $i (0 .. $#logs) {
        my $line = follow($logs[$i]);

        next if !defined $line;

        $readers[$i]->($line);
        $read = 1;
    }

    select undef, undef, undef, 0.1 if !$read;
}


# the next line, once all of it is there

sub follow {
    my ($log) = @_;

    $log->{part} .= readline($log->{in}) // '';

    if ($log->{part} =~ s/\A(.*)\n\z//s) {
        return $1;
    }

    seek $log->{in}, 0, 1;

    return undef;
}


sub turn {
    my ($to) = @_;

    if ($to eq 'down') {
        open(my $down, '>', 'down') or die "down: $!\n";

    } else {
        unlink 'down';
    }

    print "-- the tagging server is $to --\n";
}


# nginx reads a file that is there as a whole

sub change {
    my ($id, $name, $value) = split m{/}, $_[0], 3;

    return if !grep { $_ eq $value } @{ $setting{$name} || [] };

    my $json = JSON::PP->new->utf8->pretty->canonical;

    open(my $in, '<', $shops) or die "$shops: $!\n";

    my $file = eval { local $/; $json->decode(readline $in) };

    if (!$file) {
        print "-- $shops is no JSON: nothing is changed --\n";
        return;
    }

    my ($shop) = grep { $_->{id} eq $id } @{ $file->{tenants} } or return;
    my $of = $name eq 'view_item' ? $shop->{events} ||= {} : $shop;

    $of->{$name} = $value;
    $shop->{version}++;

    open(my $out, '>', "$shops.new") or die "$shops.new: $!\n";
    print $out $json->encode($file);
    close $out or die "$shops.new: $!\n";
    rename "$shops.new", $shops or die "$shops: $!\n";

    print "-- $id: $name is $value --\n";
}


sub show {
    my $hit = eval { JSON::PP->new->utf8->decode($_[0]) } or return;

    my ($args) = $hit->{uri} =~ /\?(.*)/s;
    my %shared = params($args // '');
    my @lines = grep { length } split /\r?\n/, $hit->{body};
    my @events = @lines ? map { { %shared, params($_) } } @lines : \%shared;

    my ($time) = $hit->{time} =~ /T([\d:]+)/;
    my $cookies = join ' ', $hit->{cookie} =~ /(?:\A|;\s*)([^=;\s]+)=/g;

    for my $e (@events) {
        my $page = $e->{dl} // '';

        $page =~ s{\Ahttps?://[^/]*}{};
        $page .= " (to $hit->{to})" if defined $hit->{to};

        line($time, $e->{en}, $e->{gcs}, $e->{cid}, $hit->{forwarded_for},
             $cookies, $page);
    }
}


sub params {
    my %params;

    for (split /&/, $_[0]) {
        my ($name, $value) = split /=/, $_, 2;

        $value //= '';
        $value =~ tr/+/ /;
        $value =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
        $params{$name} = $value if defined $name;
    }

    return %params;
}


# nothing of a hit may talk to the terminal

sub line {
    my @columns = map { my $c = $_ // ''; $c =~ s/[^\x20-\x7e]/?/g;
                        length $c ? $c : '-' } @_;

    my $text = sprintf '%-8s  %-15s %-7s  %-21s %-15s %s | %s', @columns;

    if ($colour && $columns[2] =~ /\AG1(\d)(\d)/) {
        my $code = $1 && $2 ? 32 : $1 || $2 ? 33 : 31;

        $text =~ s/ (G1\S\S)/ \e[${code}m$1\e[0m/;
    }

    print "$text\n";
}
