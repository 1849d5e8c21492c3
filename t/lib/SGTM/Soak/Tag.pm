package SGTM::Soak::Tag;

# A tagging server that takes thousands of hits a second, knows which have
# arrived and how often, and fails as it is told (soak/tag.c).
#
#     my $tag = SGTM::Soak::Tag->start(ids => 10000);
#     $tag->mode('down');      # up slow 503 reset cut hang
#     $tag->head->{arrived}
#
# Without a mode it does not listen.

use strict;
use warnings;

use SGTM::Run;
use SGTM::Soak::Tools;

my @modes = qw(up down slow 503 reset cut hang);
my %mode = map { $modes[$_] => $_ } 0 .. $#modes;


sub start {
    my ($class, %opt) = @_;

    my $dir = SGTM::Run::dir('tag');
    my $self = bless {
        file => "$dir/records", ids => $opt{ids},
        port => $opt{port} || SGTM::Run::port(),
    }, $class;

    SGTM::Run::put($self->{file}, pack 'VV', $mode{down}, $mode{down});

    $self->{pid} = SGTM::Soak::Tools::start('tag', '-p', $self->{port}, '-n',
                                            $self->{ids}, '-o', $self->{file});
    $self->mode($opt{mode} || 'up');

    return $self;
}


sub port { return $_[0]{port} }


# returns when it is so

sub mode {
    my ($self, $name) = @_;

    die "no mode $name\n" if !defined $mode{$name};

    open(my $fh, '+<', $self->{file}) or die "$self->{file}: $!\n";
    syswrite $fh, pack('V', $mode{$name}), 4;
    close $fh;

    SGTM::Run::wait_for { $self->head->{now} == $mode{$name} } 10
        or die "the tagging server is not $name\n";
}


sub head {
    my ($self) = @_;

    my %head;

    open(my $fh, '<', $self->{file}) or die "$self->{file}: $!\n";
    sysread $fh, my $data, 64;
    close $fh;

    @head{qw(mode now arrived refused unknown unique broken)}
        = unpack 'VVQQQQQ', $data . "\0" x 64;

    return \%head;
}


# how often each id has arrived, and the order in which they came

sub arrivals {
    my ($self) = @_;

    my $data = substr SGTM::Run::get($self->{file}), 64;
    my @values = unpack '(vvV)*', $data;
    my (@n, @seq);

    for (my $i = 0; $i < @values; $i += 3) {
        push @n, $values[$i];
        push @seq, $values[$i + 2];
    }

    return (\@n, \@seq);
}


sub stop {
    my ($self) = @_;

    SGTM::Soak::Tools::stop(delete $self->{pid}) if $self->{pid};
}


sub DESTROY { $_[0]->stop if SGTM::Run::is_owner() }


1;
