package Bench::Callgrind;

# Reads what callgrind wrote: the instructions of each function itself, and
# those of what it calls.

use strict;
use warnings;


# { self => { function => n }, with => { function => n }, object => ...,
# total => n }; with counts what a function calls, which is of use only where
# none calls itself.

sub read_file {
    my ($name) = @_;

    my (%names, %self, %with, %object, $fn, $callee, $called);
    my ($total, $ob) = (0, '');

    open my $fh, '<', $name or die "$name: $!\n";

    while (<$fh>) {

        if (/^(c?(?:fn|ob|fi|fe|fl|file|ob))=(?:\((\d+)\))?(?: ?(.*))?$/) {
            my ($key, $id, $text) = ($1, $2, $3);
            my $kind = $key =~ /fn$/ ? 'fn' : $key =~ /ob$/ ? 'ob' : 'file';

            $names{$kind}{$id} = $text if defined $id && defined $text
                                          && $text ne '';
            my $value = defined $id ? $names{$kind}{$id} : $text;

            if ($key eq 'fn') {
                $fn = $value;
                $object{$fn} = $ob;

            } elsif ($key eq 'cfn') {
                $callee = $value;

            } elsif ($key eq 'ob') {
                $ob = $value;
            }

            next;
        }

        if (/^calls=/) {
            $called = 1;
            next;
        }

        next if !/^(?:\+|-|\*|0x|\d)\S* (\d+)$/;

        if ($called) {
            $with{$callee} += $1;
            $called = 0;
            next;
        }

        $self{$fn} += $1;
        $total += $1;
    }

    return { self => \%self, with => \%with, object => \%object,
             total => $total };
}


# what a hit takes: the difference of two runs over that of their hits

sub per_hit {
    my ($less, $more, $hits) = @_;

    my %result = (object => $more->{object},
                  total => ($more->{total} - $less->{total}) / $hits);

    for my $kind (qw(self with)) {
        for my $fn (keys %{ $more->{$kind} }) {
            my $n = $more->{$kind}{$fn} - ($less->{$kind}{$fn} || 0);
            $result{$kind}{$fn} = $n / $hits if $n > 0;
        }
    }

    return \%result;
}


1;
