package SGTM::Soak::Tools;

# The programs of soak/: compiled when they are not there or older than their
# sources, and started so that they do not outlive the test.

use strict;
use warnings;

use File::Path ();
use POSIX ();

use SGTM::Run;

my %sources = (
    'send'         => [qw(send.c send_http.c soak.c)],
    'tag'          => [qw(tag.c soak.c)],
    'powercut'     => [qw(powercut_undo.c)],
    'powercut.so'  => [qw(powercut.c powercut_note.c)],
);

my %built;


# the file of a program

sub path {
    my ($name) = @_;

    return $built{$name} if $built{$name};

    my $top = SGTM::Run::root();
    my $file = "$top/build/soak/$name";
    my @files = map { "$top/soak/$_" } @{ $sources{$name} };

    if (!-x $file || grep { -M $_ < -M $file } @files, glob "$top/soak/*.h") {
        File::Path::make_path("$top/build/soak");

        # tests that run at the same time each make their own
        my ($status, $out) = SGTM::Run::capture(
            $ENV{CC} || 'cc', qw(-std=gnu11 -O2 -g -Wall -Wextra -Werror),
            ($name =~ /\.so\z/ ? qw(-shared -fPIC) : ()), '-o', "$file.$$",
            @files, qw(-ldl -lpthread));

        die "$name: $out\n" if $status;
        rename "$file.$$", $file or die "$file: $!\n";
    }

    return $built{$name} = $file;
}


# starts one in the background: its process id

sub start {
    my ($name, @args) = @_;

    my $file = path($name);
    my $parent = $$;

    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM PIPE);
        open STDIN, '<', '/dev/null';
        { no warnings 'exec'; exec $file, @args, '-P', $parent; }
        POSIX::_exit(127);
    }

    return $pid;
}


sub stop {
    my ($pid) = @_;

    local ($?, $!);

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


1;
