package SGTM::H2;

# A small HTTP/2 client: cleartext with prior knowledge, or over TLS with ALPN.
#
#     my $h2 = SGTM::H2->connect(port => $t->port);       # tls => 1 for TLS
#     my $id = $h2->request('GET', '/metrics/t.js', [cookie => 'a=b']);
#     my $res = $h2->response($id);    # status, headers, h, body, reset
#
#     my $id = $h2->request('POST', '/metrics/g/collect?v=2', [], 'en=a');
#     $h2->rst_stream($id);            # the browser gave up this request
#     $h2->abort;                      # TCP reset; $h2->close is a FIN
#
# Frames by hand: $h2->frame($type, $flags, $stream, $payload), and
# $h2->request(..., undef, end_stream => 0), then $h2->data($id, $bytes, $end).

use strict;
use warnings;

use parent 'SGTM::Net';

use SGTM::HPACK;
use Time::HiRes qw(time);

use constant {
    DATA => 0, HEADERS => 1, PRIORITY => 2, RST_STREAM => 3, SETTINGS => 4,
    PUSH_PROMISE => 5, PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8,
    CONTINUATION => 9,

    END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8,
    PRIORITY_FLAG => 32,

    CANCEL => 8,
};


# also: authority => 'shop.example', settings => { 4 => 65535 } (RFC 9113 §6.5)

sub connect {
    my ($class, %opt) = @_;

    my $self = $class->SUPER::connect(alpn => 'h2', %opt);

    $self->{next} = 1;
    $self->{streams} = {};
    $self->{window} = 65535;
    $self->{initial_window} = 65535;
    $self->{max_frame} = 16384;
    $self->{hpack} = SGTM::HPACK->new;

    my %settings = (4 => 0x7fffffff, %{ $opt{settings} || {} });

    $self->send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . _frame(SETTINGS, 0, 0, join '', map { pack 'nN', $_, $settings{$_} }
                                          sort keys %settings)
        . _frame(WINDOW_UPDATE, 0, 0, pack 'N', 0x7fffffff - 65535));

    return $self;
}


sub _frame {
    my ($type, $flags, $stream, $payload) = @_;

    my $len = length $payload;

    return pack('CnCCN', $len >> 16, $len & 0xffff, $type, $flags, $stream)
           . $payload;
}


sub frame {
    my ($self, @frame) = @_;

    return $self->send(_frame(@frame));
}


# headers: [name => value, ...], the pseudo headers are added; returns the
# stream's number

sub request {
    my ($self, $method, $path, $headers, $body, %opt) = @_;

    my @h = @{ $headers || [] };
    my @list = ([':method', $method],
                [':scheme', $opt{scheme} || ($self->{tls} ? 'https' : 'http')],
                [':authority', $opt{authority} || $self->{authority}
                               || 'localhost'],
                [':path', $path]);
    my $length;

    while (my ($name, $value) = splice @h, 0, 2) {
        push @list, [lc $name, $value];
        $length = 1 if lc $name eq 'content-length';
    }

    if (defined $body && !$length) {
        push @list, ['content-length', length $body];
    }

    my $id = $self->{next};
    $self->{next} += 2;

    $self->{streams}{$id} = {
        window => $self->{initial_window}, status => 0, headers => [], h => {},
        body => '', method => $method,
    };

    my $end = exists $opt{end_stream} ? $opt{end_stream} : !defined $body;

    $self->_send_headers($id, $self->{hpack}->encode(@list), $end);

    if (defined $body) {
        $self->data($id, $body, exists $opt{end_stream} ? $opt{end_stream} : 1);
    }

    return $id;
}


sub _send_headers {
    my ($self, $id, $block, $end) = @_;

    my $type = HEADERS;
    my $flags = $end ? END_STREAM : 0;
    my $out = '';

    do {
        my $part = substr $block, 0, $self->{max_frame}, '';
        $flags |= END_HEADERS if $block eq '';
        $out .= _frame($type, $flags, $id, $part);
        ($type, $flags) = (CONTINUATION, 0);
    } while ($block ne '');

    $self->send($out);
}


# as much as the windows allow at a time, waiting for updates

sub data {
    my ($self, $id, $data, $end) = @_;

    my $stream = $self->{streams}{$id};
    my $deadline = time() + $self->{timeout};

    for ( ;; ) {
        return if $stream->{done};

        my $len = length $data;

        for ($self->{window}, $stream->{window}, $self->{max_frame}) {
            $len = $_ if $_ < $len;
        }

        if ($len > 0 || $data eq '') {
            my $part = substr $data, 0, $len, '';
            my $last = $end && $data eq '';

            $self->{window} -= $len;
            $stream->{window} -= $len;

            $self->frame(DATA, $last ? END_STREAM : 0, $id, $part);

            return if $data eq '';
            next;
        }

        $self->_read($deadline) or die "h2: closed while sending data\n";
    }
}


sub rst_stream {
    my ($self, $id, $code) = @_;

    $self->frame(RST_STREAM, 0, $id, pack 'N', defined $code ? $code : CANCEL);
    $self->{streams}{$id}{done} = 1;
}


# The whole answer of a stream.  $res->{reset} is the code of a RST_STREAM,
# $res->{truncated} says that the connection ended first; undef when it ended
# without a header.

sub response {
    my ($self, $id, %opt) = @_;

    my $deadline = time() + ($opt{timeout} || $self->{timeout});
    my $stream = $self->{streams}{$id} or die "h2: no stream $id\n";

    while (!$stream->{done} && !defined $stream->{reset}) {
        if (!$self->_read($deadline)) {
            return undef if !$stream->{status};
            $stream->{truncated} = 1;
            last;
        }
    }

    return $stream;
}


# the answer's header; the body grows in $res->{body} as frames are read

sub head {
    my ($self, $id, %opt) = @_;

    my $deadline = time() + ($opt{timeout} || $self->{timeout});
    my $stream = $self->{streams}{$id} or die "h2: no stream $id\n";

    while (!$stream->{status} && !defined $stream->{reset}) {
        $self->_read($deadline) or return undef;
    }

    return $stream;
}


# until $code->() is true; whether it became so

sub read_until {
    my ($self, $code, %opt) = @_;

    my $deadline = time() + ($opt{timeout} || $self->{timeout});

    while (!$code->()) {
        my $got = eval { $self->_read($deadline) };
        return $code->() if !$got;
    }

    return 1;
}


# a PING that came back: everything sent before was read by the server

sub ping {
    my ($self, $data) = @_;

    $data = sprintf '%08d', ++$self->{pings} if !defined $data;
    $self->frame(PING, 0, 0, $data);

    return $self->read_until(sub { $self->{pong}{$data} });
}


# the code of a GOAWAY received, undef so far

sub goaway { return $_[0]{goaway} }


# one frame; 0 at the end of the connection

sub _read {
    my ($self, $deadline) = @_;

    while (length $self->{buf} < 9) {
        return 0 if !$self->_wait($deadline);
    }

    my ($hi, $lo, $type, $flags, $id) = unpack 'CnCCN', $self->{buf};
    my $len = ($hi << 16) + $lo;

    while (length $self->{buf} < 9 + $len) {
        return 0 if !$self->_wait($deadline);
    }

    my $payload = substr $self->{buf}, 9, $len;
    substr $self->{buf}, 0, 9 + $len, '';

    $self->_dispatch($type, $flags, $id & 0x7fffffff, $payload);

    return 1;
}


sub _wait {
    my ($self, $deadline) = @_;

    my $left = $deadline - time();
    my $n = $left > 0 ? $self->fill($left) : undef;

    die "h2: no frame in time\n" if !defined $n;

    return $n;
}


sub _dispatch {
    my ($self, $type, $flags, $id, $payload) = @_;

    my $stream = $self->{streams}{$id};

    if ($type == HEADERS || $type == CONTINUATION) {
        $payload = _unpad($payload, $flags) if $type == HEADERS;
        substr $payload, 0, 5, ''
            if $type == HEADERS && $flags & PRIORITY_FLAG;

        $self->{block} = '' if $type == HEADERS;
        $self->{end} = $flags & END_STREAM if $type == HEADERS;
        $self->{block} .= $payload;

        $self->_headers($stream) if $flags & END_HEADERS;

    } elsif ($type == DATA) {
        my $len = length $payload;

        $stream->{body} .= _unpad($payload, $flags);
        $stream->{done} = 1 if $flags & END_STREAM;

        if ($len && !$self->{no_updates}) {
            $self->_reply(WINDOW_UPDATE, 0, 0, pack('N', $len));
        }

    } elsif ($type == RST_STREAM) {
        $stream->{reset} = unpack 'N', $payload;

    } elsif ($type == SETTINGS) {
        $self->_settings($payload) if !($flags & ACK);

    } elsif ($type == PING) {
        if ($flags & ACK) {
            $self->{pong}{$payload} = 1;
        } else {
            $self->_reply(PING, ACK, 0, $payload);
        }

    } elsif ($type == GOAWAY) {
        $self->{goaway} = unpack 'x4N', $payload;

    } elsif ($type == WINDOW_UPDATE) {
        my $window = $id ? \$stream->{window} : \$self->{window};
        $$window += unpack 'N', $payload;
    }
}


# what the protocol wants in return; a server that has gone is no error here

sub _reply {
    my ($self, @frame) = @_;

    eval { $self->frame(@frame) };
}


sub _unpad {
    my ($payload, $flags) = @_;

    return $payload if !($flags & PADDED);

    my $pad = ord substr $payload, 0, 1;

    return substr $payload, 1, length($payload) - 1 - $pad;
}


sub _headers {
    my ($self, $stream) = @_;

    for ($self->{hpack}->decode($self->{block})) {
        my ($name, $value) = @$_;

        if ($name eq ':status') {
            $stream->{status} = $value;
            next;
        }

        push @{ $stream->{headers} }, [$name, $value];
        $stream->{h}{$name} = exists $stream->{h}{$name}
                              ? "$stream->{h}{$name}, $value" : $value;
    }

    $stream->{done} = 1 if $self->{end};
}


sub _settings {
    my ($self, $payload) = @_;

    while (length $payload) {
        my ($name, $value) = unpack 'nN', substr $payload, 0, 6, '';

        if ($name == 4) {
            my $change = $value - $self->{initial_window};
            $_->{window} += $change for values %{ $self->{streams} };
            $self->{initial_window} = $value;

        } elsif ($name == 5) {
            $self->{max_frame} = $value;
        }
    }

    $self->{settings_seen} = 1;
    $self->_reply(SETTINGS, ACK, 0, '');
}


1;
