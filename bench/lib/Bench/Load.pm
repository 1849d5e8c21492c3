package Bench::Load;

# Runs the load of load.c: sends hits through an nginx and says what it cost.

use strict;
use warnings;

my $program;


# compiles it if it is not there or older than its source; dir: where to

sub build {
    my ($source, $dir) = @_;

    my @files = map { "$source/$_" } qw(load.c load_net.c load.h);

    $program = "$dir/load";

    return if -x $program && !grep { -M $_ < -M $program } @files;

    system($ENV{CC} || 'cc', qw(-std=c11 -O2 -Wall -Wextra -o), $program,
           grep { /\.c$/ } @files) == 0
        or die "load.c does not compile\n";
}


# Options as load.c has them, by letter.  The result: { key => number }.

sub run {
    my (%opt) = @_;

    my ($out, %result);

    open_run(\$out, %opt);

    while (my $line = <$out>) {
        $result{$1} = $2 if $line =~ /^(\w+) (\d+)$/;
    }

    close $out or die "the load failed\n";

    return \%result;
}


# the same, with its output to be read as it comes

sub open_run {
    my ($out, %opt) = @_;

    my @args = map { defined $opt{$_} ? ("-$_", $opt{$_}) : () } sort keys %opt;

    open($$out, '-|', $program, @args) or die "$program: $!\n";

    return;
}


# the messages that -o or -a has written

sub messages {
    my ($name) = @_;

    my @messages;

    open my $fh, '<', $name or die "$name: $!\n";

    while (defined(my $len = <$fh>)) {
        my $text;
        my $n = read($fh, $text, $len);

        die "$name: cut\n" if !defined $n || $n != $len;
        push @messages, $text;
    }

    return @messages;
}


1;
