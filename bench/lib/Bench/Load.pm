package Bench::Load;

# Runs the load of load.c: sends hits through an nginx and says what it cost.

use strict;
use warnings;

use IO::Handle ();
use IPC::Open2 ();

my $program;


# compiles it if it is not there or older than its source; dir: where to

sub build {
    my ($source, $dir) = @_;

    my @files = map { "$source/$_" } qw(load.c load_message.c load_net.c
                                        load.h);

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
    _read($out, \%result);

    close $out or die "the load failed\n";

    return \%result;
}


# The same with an nginx that may have hits to deliver as long as it runs: it is
# stopped before the tagging server is.  filled, with -F, returns the PID of the
# worker that delivers.

sub run_and_stop {
    my ($nginx, $filled, %opt) = @_;

    my %result;

    my $pid = IPC::Open2::open2(my $out, my $in, $program,
                                _args(%opt, K => 'yes'));

    if ($filled) {
        _read($out, \%result, 'filled');
        print {$in} $filled->(), "\n" if $result{filled};
    }

    _read($out, \%result, 'kept');

    $nginx->stop if $result{kept};

    close $in;
    waitpid $pid, 0;
    die "the load failed\n" if $? || !$result{kept};

    return \%result;
}


# up to the key last, or to the end

sub _read {
    my ($out, $result, $last) = @_;

    while (my $line = <$out>) {
        $result->{$1} = $2 if $line =~ /^(\w+) (\d+)$/;
        return if defined $last && exists $result->{$last};
    }
}


sub _args {
    my (%opt) = @_;

    return map { defined $opt{$_} ? ("-$_", $opt{$_}) : () } sort keys %opt;
}


# the same, with its output to be read as it comes

sub open_run {
    my ($out, %opt) = @_;

    open($$out, '-|', $program, _args(%opt)) or die "$program: $!\n";

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
