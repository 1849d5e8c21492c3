package SGTM::HPACK;

# RFC 7541: a complete decoder (indexes, dynamic table, Huffman) and the
# plainest legal encoder (literals without indexing, without Huffman).

use strict;
use warnings;


my @static = map { [ split /\|/, $_, 2 ] } (
    ':authority|', ':method|GET', ':method|POST', ':path|/',
    ':path|/index.html', ':scheme|http', ':scheme|https', ':status|200',
    ':status|204', ':status|206', ':status|304', ':status|400',
    ':status|404', ':status|500', 'accept-charset|',
    'accept-encoding|gzip, deflate', map { "$_|" } qw(
        accept-language accept-ranges accept access-control-allow-origin
        age allow authorization cache-control content-disposition
        content-encoding content-language content-length content-location
        content-range content-type cookie date etag expect expires from
        host if-match if-modified-since if-none-match if-range
        if-unmodified-since last-modified link location max-forwards
        proxy-authenticate proxy-authorization range referer refresh
        retry-after server set-cookie strict-transport-security
        transfer-encoding user-agent vary via www-authenticate
    )
);


# The lengths of Appendix B, by symbol.  The code is canonical: codes of one
# length are consecutive in the order of their symbols, so lengths say it all.

my @length = qw(
    13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28
    28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28
     6 10 10 12 13  6  8 11 10 10  8 11  8  6  6  6
     5  5  5  6  6  6  6  6  6  6  7  8 15  6 12 10
    13  6  7  7  7  7  7  7  7  7  7  7  7  7  7  7
     7  7  7  7  7  7  7  7  8  7  8 13 19 13 14  6
    15  5  6  5  6  5  6  6  6  5  7  7  6  6  6  5
     6  7  6  5  5  6  7  7  7  7  7 15 11 14 13 28
    20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23
    24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24
    22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23
    21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23
    26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25
    19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27
    20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23
    26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26
    30
);

my %symbol;    # "0101..." -> symbol
{
    my ($code, $len) = (0, 5);

    for my $s (sort { $length[$a] <=> $length[$b] || $a <=> $b } 0 .. 256) {
        $code <<= $length[$s] - $len;
        $len = $length[$s];
        $symbol{sprintf '%0*b', $len, $code++} = $s;
    }
}


sub new {
    my ($class) = @_;

    return bless { dynamic => [], size => 0, max => 4096 }, $class;
}


sub _string {
    my ($s) = @_;

    return _integer(length $s, 7, 0) . $s;
}


sub _integer {
    my ($n, $bits, $flags) = @_;

    my $max = (1 << $bits) - 1;

    return chr($flags | $n) if $n < $max;

    my $out = chr($flags | $max);
    $n -= $max;

    while ($n >= 128) {
        $out .= chr(0x80 | $n & 0x7f);
        $n >>= 7;
    }

    return $out . chr $n;
}


# ([name, value], ...) -> a header block

sub encode {
    my ($self, @headers) = @_;

    return join '', map { "\0" . _string($_->[0]) . _string($_->[1]) } @headers;
}


# a header block -> ([name, value], ...)

sub decode {
    my ($self, $block) = @_;

    my @headers;
    my $pos = 0;

    while ($pos < length $block) {
        my $byte = ord substr $block, $pos, 1;

        if ($byte & 0x80) {
            push @headers, $self->_entry(_read_int(\$block, \$pos, 7));

        } elsif ($byte & 0x40) {
            my $entry = $self->_literal(\$block, \$pos, 6);
            push @headers, $entry;
            $self->_insert($entry);

        } elsif ($byte & 0x20) {
            $self->{max} = _read_int(\$block, \$pos, 5);
            $self->_evict;

        } else {
            push @headers, $self->_literal(\$block, \$pos, 4);
        }
    }

    return @headers;
}


sub _entry {
    my ($self, $index) = @_;

    die "hpack: index 0\n" if $index == 0;

    my $entry = $index <= @static ? $static[$index - 1]
                                  : $self->{dynamic}[$index - 1 - @static];

    die "hpack: no entry $index\n" if !$entry;

    return $entry;
}


sub _literal {
    my ($self, $block, $pos, $bits) = @_;

    my $index = _read_int($block, $pos, $bits);
    my $name = $index ? $self->_entry($index)->[0] : _read_string($block, $pos);

    return [ $name, _read_string($block, $pos) ];
}


sub _insert {
    my ($self, $entry) = @_;

    unshift @{ $self->{dynamic} }, $entry;
    $self->{size} += 32 + length($entry->[0]) + length($entry->[1]);
    $self->_evict;
}


sub _evict {
    my ($self) = @_;

    while ($self->{size} > $self->{max}) {
        my $entry = pop @{ $self->{dynamic} };
        $self->{size} -= 32 + length($entry->[0]) + length($entry->[1]);
    }
}


sub _read_int {
    my ($block, $pos, $bits) = @_;

    my $max = (1 << $bits) - 1;
    my $n = _byte($block, $pos) & $max;

    return $n if $n < $max;

    my $shift = 0;

    for ( ;; ) {
        my $byte = _byte($block, $pos);
        $n += ($byte & 0x7f) << $shift;
        $shift += 7;
        return $n if !($byte & 0x80);
        die "hpack: integer too long\n" if $shift > 35;
    }
}


sub _byte {
    my ($block, $pos) = @_;

    die "hpack: block is cut\n" if $$pos >= length $$block;

    return ord substr $$block, $$pos++, 1;
}


sub _read_string {
    my ($block, $pos) = @_;

    my $huffman = ord(substr $$block, $$pos, 1) & 0x80;
    my $len = _read_int($block, $pos, 7);

    die "hpack: string is cut\n" if $$pos + $len > length $$block;

    my $s = substr $$block, $$pos, $len;
    $$pos += $len;

    return $huffman ? _huffman($s) : $s;
}


sub _huffman {
    my ($s) = @_;

    my $bits = unpack 'B*', $s;
    my ($out, $pos) = ('', 0);

    SYMBOL:
    while ($pos < length $bits) {
        for my $len (5 .. 30) {
            last if $pos + $len > length $bits;

            my $symbol = $symbol{substr $bits, $pos, $len};
            next if !defined $symbol;

            die "hpack: end of string inside\n" if $symbol == 256;

            $out .= chr $symbol;
            $pos += $len;
            next SYMBOL;
        }

        die "hpack: bad padding\n" if substr($bits, $pos) !~ /^1{1,7}$/;
        last;
    }

    return $out;
}


1;
