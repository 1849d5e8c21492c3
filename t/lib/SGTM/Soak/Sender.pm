package SGTM::Soak::Sender;

# Browsers that send hits at a rate and remember what they were told
# (soak/send.c).
#
#     my $sender = SGTM::Soak::Sender->start(
#         port => $t->port, hits => 1000, rate => 500,
#         first => 0,               # the first id
#         prefix => '/metrics/',
#         h2 => 1,                  # the port of HTTP/2, then
#         leave => 20,              # percent of them that leave at once
#         wait => 40,               # seconds for answers at the end
#     );
#     $sender->wait(60);
#     $sender->entries              # [state, status, ms] each

use strict;
use warnings;

use POSIX qw(WNOHANG);

use SGTM::Run;
use SGTM::Soak::Tools;

use constant { NOT => 0, SENT => 1, ANSWERED => 2, LEFT => 3, FAILED => 4 };


sub start {
    my ($class, %opt) = @_;

    my $self = bless { first => 0, rate => 1000, leave => 0, wait => 40,
                       prefix => '/metrics/', h2 => 0, %opt }, $class;

    $self->{file} = SGTM::Run::dir('sent') . '/ledger';

    $self->{pid} = SGTM::Soak::Tools::start('send',
        '-p', $self->{port}, '-o', $self->{file}, '-n', $self->{hits},
        '-f', $self->{first}, '-r', $self->{rate}, '-l', $self->{leave},
        '-w', $self->{wait}, '-u', $self->{prefix},
        $self->{h2} ? ('-2', 'yes') : ());

    return $self;
}


sub hits { return $_[0]{hits} }
sub first { return $_[0]{first} }


sub head {
    my ($self) = @_;

    my %head;

    open(my $fh, '<', $self->{file}) or return {};
    sysread $fh, my $data, 64;
    close $fh;

    @head{qw(start sent answered kept left slowest done)}
        = unpack 'Q7', $data . "\0" x 64;

    return \%head;
}


# until all is sent and answered, or given up

sub wait {
    my ($self, $seconds) = @_;

    SGTM::Run::wait_for { waitpid($self->{pid}, WNOHANG) } $seconds
        or die "the sender does not end\n";

    my $status = $?;

    delete $self->{pid};
    die "the sender failed: $status\n" if $status;
}


# { state, status, time } as lists

sub entries {
    my ($self) = @_;

    my $data = substr SGTM::Run::get($self->{file}), 64;
    my @values = unpack '(CxvV)*', $data;
    my %entries;

    for (my $i = 0; $i < @values; $i += 3) {
        push @{ $entries{state} }, $values[$i];
        push @{ $entries{status} }, $values[$i + 1];
        push @{ $entries{time} }, $values[$i + 2];
    }

    return \%entries;
}


sub stop {
    my ($self) = @_;

    SGTM::Soak::Tools::stop(delete $self->{pid}) if $self->{pid};
}


sub DESTROY { $_[0]->stop if SGTM::Run::is_owner() }


1;
