package Bench::Table;

# Medians, and the tables that are printed.

use strict;
use warnings;


sub median {
    my @sorted = sort { $a <=> $b } @_;

    return undef if !@sorted;

    return @sorted % 2 ? $sorted[$#sorted / 2]
                       : ($sorted[@sorted / 2 - 1] + $sorted[@sorted / 2]) / 2;
}


# Lines of a table: each a reference to its cells, the first of them left, the
# others right-aligned.

sub lines {
    my @rows = @_;
    my @width;

    for my $row (@rows) {
        for my $i (0 .. $#$row) {
            my $n = length $row->[$i];
            $width[$i] = $n if !defined $width[$i] || $n > $width[$i];
        }
    }

    my $text = '';

    for my $row (@rows) {
        my $line = join '  ', map {
            sprintf $_ ? "%$width[$_]s" : "%-$width[$_]s", $row->[$_]
        } 0 .. $#$row;

        $line =~ s/\s+$//;
        $text .= "$line\n";
    }

    return $text;
}


# names, and of each the results of its rounds.  CPU time and the ratio are
# medians; the ratio is taken in each round with the first one's there.

sub speed {
    my ($title, $names, $results) = @_;

    my @rows = ([ $title, 'CPU us', 'user', 'ratio', 'from', 'to', 'hits/s',
                  'p50 us', 'p99 us', 'sent on' ]);

    my @base = map { _cost($_) } @{ $results->[0] };

    for my $i (0 .. $#$names) {
        my @rounds = @{ $results->[$i] };
        my @ratios = map { _cost($rounds[$_]) / $base[$_] } 0 .. $#rounds;
        my @sorted = sort { $a <=> $b } @ratios;
        my ($user, $system) = (0, 0);

        for my $round (@rounds) {
            $user += $round->{user_ticks};
            $system += $round->{system_ticks};
        }

        push @rows, [
            $names->[$i],
            sprintf('%.2f', median(map { _cost($_) } @rounds)),
            $user + $system
                ? sprintf('%.0f%%', 100 * $user / ($user + $system)) : '-',
            sprintf('%.3f', median(@ratios)),
            sprintf('%.3f', $sorted[0]), sprintf('%.3f', $sorted[-1]),
            sprintf('%.0f', median(map { $_->{hits} * 1e9 / $_->{elapsed_ns} }
                                       @rounds)),
            sprintf('%.0f', median(map { $_->{p50_ns} / 1000 } @rounds)),
            sprintf('%.0f', median(map { $_->{p99_ns} / 1000 } @rounds)),
            sprintf('%.0f', median(map { $_->{forwarded_bytes} / $_->{hits} }
                                       @rounds)),
        ];
    }

    return lines(@rows);
}


# What the second of two costs over the first, by their names.

sub pairs {
    my ($names, $results, $pair) = @_;

    my ($first, $second) = map {
        my $name = $_;
        grep { $names->[$_] eq $name } 0 .. $#$names
    } @$pair;

    my @ratios = map {
        _cost($results->[$second][$_]) / _cost($results->[$first][$_])
    } 0 .. $#{ $results->[$first] };

    my @sorted = sort { $a <=> $b } @ratios;

    return sprintf "%s, over %s: %.3f (%.3f to %.3f)\n", @$pair[1, 0],
                   median(@ratios), @sorted[0, -1];
}


# Latencies; the last column is what is added to the 99th percentile of the
# first one in the same round.

sub latency {
    my ($title, $names, $results) = @_;

    my @rows = ([ $title, 'p50', 'p99', 'p99.9', 'most', 'added p99', 'from',
                  'to' ]);

    for my $i (0 .. $#$names) {
        my @rounds = @{ $results->[$i] };
        my @added = sort { $a <=> $b } map {
            ($rounds[$_]{p99_ns} - $results->[0][$_]{p99_ns}) / 1000
        } 0 .. $#rounds;

        push @rows, [
            $names->[$i],
            (map { my $key = $_;
                   sprintf '%.0f', median(map { $_->{$key} / 1000 } @rounds)
             } qw(p50_ns p99_ns p999_ns max_ns)),
            map { sprintf '%.0f', $_ } median(@added), @added[0, -1]
        ];
    }

    return lines(@rows);
}


sub drain {
    my ($title, $results) = @_;

    my @rates = sort { $a <=> $b }
                map { $_->{forwarded} * 1e9 / $_->{elapsed_ns} } @$results;
    my @costs = map { $_->{cpu_ns} / 1000 / $_->{forwarded} } @$results;

    return lines(
        [ $title, 'CPU us', 'hits/s', 'from', 'to' ],
        [ 'one worker on one core', sprintf('%.2f', median(@costs)),
          map { sprintf '%.0f', $_ } median(@rates), @rates[0, -1] ]
    );
}


# microseconds of CPU a hit

sub _cost {
    my ($result) = @_;

    return $result->{cpu_ns} / 1000 / $result->{hits};
}


1;
