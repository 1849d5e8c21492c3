package Bench::Nginx;

# One nginx of the benchmark: a configuration of bench/conf, started for one
# measurement and stopped after it.

use strict;
use warnings;

use Cwd ();
use Fcntl qw(LOCK_EX LOCK_NB);
use File::Basename qw(dirname);
use File::Path ();
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

my $top = Cwd::realpath(dirname(__FILE__) . '/../../..');
my $flavour = $ENV{SGTM_BUILD} || 'release';
my $module = $ENV{SGTM_MODULE}
             || "$top/build/$flavour/ngx_http_sgtm_module.so";
my $nginx = $ENV{SGTM_NGINX} || (-x '/usr/sbin/nginx' ? '/usr/sbin/nginx'
                                                      : 'nginx');
my (%running, $ports, $lock);


# Where everything is that a run makes.  Two at once would measure each other.

sub dir {
    my $dir = "$top/build/bench";

    return $dir if $lock;

    File::Path::make_path($dir);
    open $lock, '>', "$dir/lock" or die "$dir/lock: $!\n";

    if (!flock $lock, LOCK_EX|LOCK_NB) {
        print STDERR "waiting for the end of another benchmark\n";
        flock $lock, LOCK_EX or die "$dir/lock: $!\n";
    }

    return $dir;
}


sub top { return $top }


# "nginx/1.22.1"

sub version {
    my $out = `$nginx -v 2>&1`;

    return $out =~ m{(nginx/\S+)} ? $1 : 'nginx of an unknown version';
}


# The ports of nginx and of the tagging server, the same for all of a run; from
# below those that the kernel gives to connections.

sub ports {
    return @$ports if $ports;

    my @free;

    for (my $port = 20000 + $$ % 5000; @free < 2 && $port < 32768; $port++) {
        push @free, $port
            if IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
                                     LocalPort => $port);
    }

    die "no free port\n" if @free < 2;

    $ports = \@free;

    return @free;
}


# The core of nginx and the one of the load; none on a machine with one core.

sub cores {
    open my $fh, '<', '/proc/self/status' or die "/proc/self/status: $!\n";

    my ($list) = map { /^Cpus_allowed_list:\s*(\S+)/ ? $1 : () } <$fh>;
    my @cores = map { /(\d+)-(\d+)/ ? $1 .. $2 : $_ } split /,/, $list;

    return @cores > 1 ? @cores[0, 1] : ();
}


# name: a file of bench/conf.  Options: workers, connections, listen (what
# follows the address), main (more of the main context), command (what goes
# before nginx, a list), single (no master).  Of the gateway: spool (the
# options of sgtm_spool; it is empty at the start), courier (those of
# sgtm_courier), fallback, more (directives of the server).  Of the gateway with
# tenants: tenants (a file of records), own (directives of the server).

sub start {
    my ($class, $name, %opt) = @_;

    my $dir = dir() . "/$name";
    my $self = bless { name => $name, dir => $dir, workers => 1, main => '',
                       connections => 1024, listen => '', command => [],
                       fallback => 'client', courier => '', more => '',
                       tenants => '', own => '',
                       %opt }, $class;

    File::Path::remove_tree("$dir/spool");
    File::Path::make_path("$dir/tmp");
    $self->_write;

    unlink "$dir/error.log";

    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        open STDERR, '>>', "$dir/stderr" or POSIX::_exit(1);
        open STDIN, '<', '/dev/null' or POSIX::_exit(1);

        { no warnings 'exec';
          exec @{ $self->{command} }, $nginx, '-p', $dir,
               '-c', "$dir/nginx.conf"; }

        POSIX::_exit(127);
    }

    $self->{pid} = $pid;
    $running{$pid} = $self;

    $self->_wait;

    return $self;
}


sub _write {
    my ($self) = @_;

    my ($port, $upstream) = ports();
    my ($core) = cores();
    my $gateway = $self->{name} =~ m{^gateway};

    my %value = (
        MODULE => $gateway && $module ne 'static' ? "load_module $module;" : '',
        USER => $> == 0 && !$self->{single} ? 'user root;' : '',
        WORKERS => $self->{workers}, CONNECTIONS => $self->{connections},
        MAIN => $self->{main}, LISTEN => $self->{listen},
        PORT => $port, UPSTREAM => $upstream, NAME => $self->{name},
        DIR => $self->{dir}, CONF => $self->{dir}, SPOOL => '',
        FALLBACK => $self->{fallback}, MORE => $self->{more},
        TENANTS => '', OWN => $self->{own},
    );

    $value{TENANTS} = "sgtm_tenants file=$self->{tenants};"
        if $self->{tenants} ne '';

    if (defined $self->{spool}) {
        $value{SPOOL} = "sgtm_spool $self->{dir}/spool $self->{spool};";
        $value{MORE} .= " sgtm_courier \@courier $self->{courier};"
                        . " include $self->{dir}/courier.conf;";
    }

    if ($self->{workers} == 1 && !$self->{single} && defined $core) {
        $value{MAIN} .= 'worker_cpu_affinity ' . '1' . '0' x $core . ';';
    }

    $value{MAIN} .= ' master_process off;' if $self->{single};

    for my $file ('nginx', 'courier', $self->{name}) {
        my $text = _slurp("$top/bench/conf/$file.conf");

        $text =~ s/%%(\w+)%%/exists $value{$1} ? $value{$1} : die "$1?\n"/ge;
        _put("$self->{dir}/$file.conf", $text);
    }

    # the shipped lines, without the module's variable for those without it

    my $proxy = _slurp("$top/conf-examples/sgtm_proxy.conf");

    $proxy =~ s/\$sgtm_endpoint/sgtm.example.com/g if !$gateway;
    _put("$self->{dir}/sgtm_proxy.conf", $proxy);
}


# until it answers and has its workers

sub _wait {
    my ($self) = @_;

    my ($port) = ports();
    my $until = time + 60;

    while (time < $until) {

        if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
            delete $running{$self->{pid}};
            die "$self->{name}: nginx does not start: ", $self->log;
        }

        my $there = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                          PeerPort => $port);

        my @workers = $self->workers;

        return if $there && @workers == $self->{workers};

        sleep 0.01;
    }

    die "$self->{name}: nginx does not answer: ", $self->log;
}


sub pid { return $_[0]{pid} }


# the processes that serve, those of this configuration alone

sub workers {
    my ($self) = @_;

    return $self->{pid} if $self->{single};

    my $pid = $self->{pid};

    open my $fh, '<', "/proc/$pid/task/$pid/children" or return ();
    my $line = <$fh>;

    return defined $line ? split(' ', $line) : ();
}


# options as those of start() that are to be others from now on

sub reload {
    my ($self, %opt) = @_;

    if (%opt) {
        %$self = (%$self, %opt);
        $self->_write;
    }

    my %old = map { $_ => 1 } $self->workers;
    my $until = time + 30;

    kill HUP => $self->{pid};

    while (time < $until) {
        my @now = $self->workers;

        return if @now == $self->{workers} && !grep { $old{$_} } @now;
        sleep 0.01;
    }

    die "$self->{name}: the reload does not end: ", $self->log;
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    _end($pid);

    my $log = $self->log;
    die "$self->{name}: nginx complains: $log" if $log ne '';
}


# A signal that comes just before epoll_wait does not wake a lone process up.

sub _end {
    my ($pid) = @_;

    for (my $n = 0; waitpid($pid, WNOHANG) == 0; $n++) {
        kill TERM => $pid if $n % 50 == 0;
        sleep 0.01;
    }

    delete $running{$pid};
}


# what it said; the start-up warnings of a configuration are not asked for

sub log {
    my ($self) = @_;

    my $text = join '', map { -e $_ ? _slurp($_) : () }
                            "$self->{dir}/error.log";

    return $text if $text ne '' || !$self->{pid};

    return _slurp("$self->{dir}/stderr");
}


sub _slurp {
    my ($name) = @_;

    open my $fh, '<', $name or die "$name: $!\n";
    local $/;
    my $text = <$fh>;

    return defined $text ? $text : '';
}


sub _put {
    my ($name, $text) = @_;

    open my $fh, '>', $name or die "$name: $!\n";
    print {$fh} $text;
    close $fh or die "$name: $!\n";
}


$SIG{INT} = $SIG{TERM} = sub { exit 1 };

END {
    my $status = $?;

    _end($_) for keys %running;

    $? = $status;
}


1;
