package SGTM::Run;

# What a run of one test file owns: a temporary directory and free ports.

use strict;
use warnings;

use Cwd ();
use Fcntl qw(:flock);
use File::Basename qw(dirname);
use File::Path ();
use File::Spec;
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time sleep);

my $owner = $$;
my $root = Cwd::realpath(dirname(__FILE__) . '/../../..');
my ($dir, %held, $n);


# the project's top directory

sub root { return $root }


# a program of tools/, in the flavour that is tested

sub program {
    my ($name) = @_;

    my $build = $ENV{SGTM_BUILD} || 'release';
    my $file = $build eq 'release' ? "$root/build/$name"
                                   : "$root/build/$build/$name";

    -x $file or die "no $file: \"make tools\" builds it\n";

    return $file;
}


# whether this is the test itself, not something that it forked

sub is_owner { return $$ == $owner }


# a new directory below the run's own

sub dir {
    my ($name) = @_;

    if (!$dir) {
        $dir = File::Temp::tempdir('sgtm-test-XXXXXX', TMPDIR => 1);
        chmod 0755, $dir;
    }

    my $new = sprintf '%s/%s-%d', $dir, $name, ++$n;
    mkdir $new or die "$new: $!\n";

    return $new;
}


# returns the directory if it was kept

sub remove {
    my ($keep) = @_;

    return $dir if !$dir || $keep;

    File::Path::remove_tree($dir);
    undef $dir;

    return undef;
}


# A free port that stays ours: below the range the kernel takes for outgoing
# connections, and held by a lock until the test ends, so that tests that run
# at the same time never choose the same.

sub port {
    my $locks = File::Spec->tmpdir . "/sgtm-ports-$>";

    mkdir $locks, 0700;

    for (1 .. 1000) {
        my $port = 18000 + int rand 12000;

        next if $held{$port};

        open(my $lock, '>', "$locks/$port") or die "$locks/$port: $!\n";
        next if !flock $lock, LOCK_EX | LOCK_NB;

        my $probe = IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1,
            ReuseAddr => 1,
        ) or next;

        close $probe;
        $held{$port} = $lock;

        return $port;
    }

    die "no free port\n";
}


# (status, output of both streams) of a command

sub capture {
    my (@cmd) = @_;

    defined(my $pid = open my $out, '-|') or die "fork: $!\n";

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        $SIG{PIPE} = 'DEFAULT';
        { no warnings 'exec'; exec @cmd; }
        print "$cmd[0]: $!\n";
        POSIX::_exit(127);
    }

    my $text = do { local $/; <$out> };
    close $out;

    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, defined $text ? $text : '');
}


# until the code is true or the time is over; its last value

sub wait_for(&;$) {
    my ($code, $timeout) = @_;

    my $end = time() + (defined $timeout ? $timeout : 5);
    my $value;

    while (!($value = $code->()) && time() < $end) {
        sleep 0.01;
    }

    return $value;
}


# the bytes of a file, none if there is no such file

sub get {
    my ($name) = @_;

    open(my $fh, '<', $name) or return '';
    binmode $fh;
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub put {
    my ($name, $text) = @_;

    open(my $fh, '>', $name) or die "$name: $!\n";
    binmode $fh;
    print $fh $text;
    close $fh or die "$name: $!\n";
}


1;
