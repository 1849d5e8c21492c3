package SGTM::HTTP;

# A raw HTTP/1.1 client: sends the bytes it is given and parses what comes
# back, several responses on a connection too.
#
#     my $c = SGTM::HTTP->connect(port => $t->port);
#     $c->request('GET', '/metrics/t.js', [Host => 'shop.example']);
#     my $res = $c->response;                  # undef: closed without a byte
#     $res->{status}, $res->{body}, $res->{headers} ([[name, value], ...]),
#     $res->{h}{'set-cookie'} (values joined by ", "), $res->{truncated}
#     $c->send("GET / HTTP/1.1\r\n");          # any bytes
#     $c->abort;                               # RST; $c->close is a FIN

use strict;
use warnings;

use parent 'SGTM::Net';

use Time::HiRes qw(time);


# headers: [name => value, ...]; Host, Content-Length are added when missing

sub format {
    my ($class, $method, $uri, $headers, $body, %opt) = @_;

    my @h = @{ $headers || [] };
    my %have;

    for (my $i = 0; $i < @h; $i += 2) {
        $have{lc $h[$i]} = 1;
    }

    unshift @h, Host => $opt{host} || 'localhost' if !$have{host};

    if (defined $body && !$have{'content-length'}
        && !$have{'transfer-encoding'})
    {
        push @h, 'Content-Length' => length $body;
    }

    my $req = "$method $uri HTTP/1.1\r\n";

    while (my ($name, $value) = splice @h, 0, 2) {
        $req .= "$name: $value\r\n";
    }

    return "$req\r\n" . (defined $body ? $body : '');
}


sub request {
    my ($self, $method, $uri, $headers, $body) = @_;

    $self->{method} = $method;

    return $self->send($self->format($method, $uri, $headers, $body,
                                     host => $self->{authority}));
}


# status line and header; the body stays in the buffer

sub head {
    my ($self, $timeout) = @_;

    my $end = time() + (defined $timeout ? $timeout : $self->{timeout});

    for ( ;; ) {
        if ($self->{buf} =~ s/\A(HTTP\/1\.[01][ ](\d\d\d)[ ]?([^\r\n]*)\r\n
                               ((?:[^\r\n]+\r\n)*))\r\n//x)
        {
            my $res = { status => $2, reason => $3, raw => "$1\r\n",
                        headers => [], h => {}, body => '' };

            for (split /\r\n/, $4) {
                my ($name, $value) = split /:[ \t]*/, $_, 2;
                $value = '' if !defined $value;
                push @{ $res->{headers} }, [$name, $value];

                my $l = lc $name;
                $res->{h}{$l} = exists $res->{h}{$l}
                                ? "$res->{h}{$l}, $value" : $value;
            }

            next if $res->{status} == 100;    # Continue: not the answer yet

            return $res;
        }

        my $left = $end - time();
        my $n = $left > 0 ? $self->fill($left) : undef;

        die "no response in time, got \"$self->{buf}\"\n" if !defined $n;

        if (!$n) {
            return undef if $self->{buf} eq '';
            return { status => 0, reason => 'cut in the header', headers => [],
                     h => {}, raw => $self->{buf}, body => '', truncated => 1 };
        }
    }
}


sub response {
    my ($self, %opt) = @_;

    my $end = time() + ($opt{timeout} || $self->{timeout});
    my $res = $self->head($end - time()) or return undef;

    return $res if $res->{truncated};

    my $method = $opt{method} || $self->{method} || 'GET';

    return $res if $method eq 'HEAD' || $res->{status} =~ /^(?:1..|204|304)$/;

    if (lc($res->{h}{'transfer-encoding'} || '') eq 'chunked') {
        $self->_chunked($res, $end);

    } elsif (defined $res->{h}{'content-length'}) {
        $res->{body} = $self->_take($res, $end, $res->{h}{'content-length'});

    } else {
        while (!$self->{eof}) {
            $self->_more($res, $end);
        }

        ($res->{body}, $self->{buf}) = ($self->{buf}, '');
    }

    return $res;
}


# what has arrived, at least one byte, or '' at the end of the stream

sub read_some {
    my ($self, $timeout) = @_;

    if ($self->{buf} eq '') {
        my $n = $self->fill($timeout);
        return undef if !defined $n;
    }

    my $data = $self->{buf};
    $self->{buf} = '';

    return $data;
}


sub _more {
    my ($self, $res, $end) = @_;

    my $left = $end - time();
    my $n = $left > 0 ? $self->fill($left) : undef;

    die "response body did not end in time\n" if !defined $n;

    return $n;
}


sub _take {
    my ($self, $res, $end, $len) = @_;

    while (length $self->{buf} < $len) {
        if (!$self->_more($res, $end)) {
            $res->{truncated} = 1;
            $len = length $self->{buf};
            last;
        }
    }

    return substr($self->{buf}, 0, $len, '');
}


sub _line {
    my ($self, $res, $end) = @_;

    my $len;

    while (($len = index $self->{buf}, "\r\n") < 0) {
        if (!$self->_more($res, $end)) {
            $res->{truncated} = 1;
            return undef;
        }
    }

    return substr substr($self->{buf}, 0, $len + 2, ''), 0, $len;
}


sub _chunked {
    my ($self, $res, $end) = @_;

    for ( ;; ) {
        my $line = $self->_line($res, $end);
        return if !defined $line;

        die "bad chunk size \"$line\"\n" if $line !~ /^([0-9a-fA-F]+)/;
        my $len = hex $1;

        if ($len == 0) {
            while (defined($line = $self->_line($res, $end))) {
                last if $line eq '';
            }
            return;
        }

        $res->{body} .= $self->_take($res, $end, $len);
        return if $res->{truncated};

        $self->_line($res, $end);
        return if $res->{truncated};
    }
}


1;
