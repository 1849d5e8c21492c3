package SGTM::Nginx;

# One nginx with a generated configuration: the methods of what
# SGTM::Test->start returns.  SGTM::Test says how they are used.

use strict;
use warnings;

use parent 'SGTM::Process';

use Carp ();
use Cwd ();
use JSON::PP ();
use POSIX qw(WNOHANG);

use SGTM::H2;
use SGTM::HTTP;
use SGTM::Run;

my $root = SGTM::Run::root();
my $flavour = $ENV{SGTM_BUILD} || 'release';
my $module = $ENV{SGTM_MODULE}
             || "$root/build/$flavour/ngx_http_sgtm_module.so";
my $nginx = $ENV{SGTM_NGINX} || (-x '/usr/sbin/nginx' ? '/usr/sbin/nginx'
                                                      : 'nginx');
my @instances;


# "1.22.1"

sub version {
    my ($out) = (SGTM::Run::capture($nginx, '-v'))[1];

    $out =~ m{nginx/([\d.]+)} or die "no version from $nginx: $out\n";

    return $1;
}


sub _version_at_least {
    my ($want) = @_;

    my $number = sub { sprintf '%03d%03d%03d', split /\./, $_[0] };

    return $number->(version()) >= $number->($want);
}


sub _new {
    my ($class, $http, %opt) = @_;

    my $self = bless {
        dir => SGTM::Run::dir('nginx'), http => $http, ports => {},
        workers => 1, connections => 4096, log_level => 'info',
        host => 'shop.example', names => 'localhost,shop.example',
        main => '', events => '', module => 1, expected => [],
        generations => 0, killed => 0, retired => {}, env => {},
        daemon => 0, %opt,
    }, $class;

    mkdir "$self->{dir}/$_" for qw(tmp html);

    for my $file (glob "$root/conf-examples/*.conf") {
        my ($name) = $file =~ m{([^/]+)$};
        symlink $file, "$self->{dir}/$name";
    }

    $self->_write;

    return $self;
}


sub dir { return $_[0]{dir} }


# the nth port of the configuration

sub port {
    my ($self, $n) = @_;

    $n = 1 if !$n;
    $self->{ports}{$n} = SGTM::Run::port() if !$self->{ports}{$n};

    return $self->{ports}{$n};
}


sub _write {
    my ($self) = @_;

    my $text = defined $self->{conf} ? $self->{conf} : $self->_conf;

    for ($text) {
        s/%%LISTEN_H2\((.*?)\)%%/$self->_listen_h2($1)/ge;
        s/%%PORT(\d*)%%/$self->port($1)/ge;
        s/%%(CERT|KEY)%%/$self->certificate->{lc $1}/ge;
        s/%%DIR%%/$self->{dir}/g;
        s/%%ROOT%%/$root/g;
    }

    SGTM::Run::put("$self->{dir}/nginx.conf", $text);
}


sub _conf {
    my ($self) = @_;

    my $dir = $self->{dir};
    my $user = $> == 0 ? 'user root;' : '';
    my $load = $self->load_module;

    # a binary upgrade passes on what is named
    my $env = $self->{daemon}
              ? join ' ', map { "env $_;" } qw(LD_PRELOAD ASAN_OPTIONS
                                               LSAN_OPTIONS) : '';

    return <<"EOF";
$load
$env
$user
daemon            @{[ $self->{daemon} ? 'on' : 'off' ]};
master_process    on;
worker_processes  $self->{workers};
pid               $dir/nginx.pid;
error_log         $dir/error.log $self->{log_level};
$self->{main}

events {
    worker_connections  $self->{connections};
    $self->{events}
}

http {
    root                   $dir/html;
    access_log             $dir/access.log;
    client_body_temp_path  $dir/tmp/body;
    proxy_temp_path        $dir/tmp/proxy;
    fastcgi_temp_path      $dir/tmp/fastcgi;
    uwsgi_temp_path        $dir/tmp/uwsgi;
    scgi_temp_path         $dir/tmp/scgi;

    $self->{http}
}
EOF
}


# the load_module line, for tests that write a whole configuration

sub load_module {
    my ($self) = @_;

    return $self->{module} && $module ne 'static'
           ? "load_module $module;" : '';
}


sub _listen_h2 {
    my ($self, $listen) = @_;

    return _version_at_least('1.25.1') ? "listen $listen; http2 on;"
                                       : "listen $listen http2;";
}


# { cert => file, key => file }

sub certificate {
    my ($self) = @_;

    my ($cert, $key) = map { "$self->{dir}/$_" } qw(cert.pem key.pem);

    if (!-e $cert) {
        my @names = split /,/, $self->{names};

        my ($status, $out) = SGTM::Run::capture(
            qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256
               -nodes -days 7 -subj), "/CN=$names[0]",
            '-addext', 'subjectAltName=' . join(',', map { "DNS:$_" } @names),
            '-keyout', $key, '-out', $cert
        );

        die "openssl: $out\n" if $status;
    }

    return { cert => $cert, key => $key };
}


# What a sanitized module needs around it.  Debian's own nginx knows nothing
# of sanitizers, so their libraries are preloaded; leaks are looked for where
# that is possible: it takes ptrace, which containers may forbid.

my ($preload, $leaks);

sub _environment {
    my ($self) = @_;

    return () if $flavour ne 'sanitize';

    if (!defined $preload) {
        my @libs = map { _library($_) } qw(libasan.so libubsan.so);

        local $ENV{LD_PRELOAD} = $libs[0];
        local $ENV{ASAN_OPTIONS} = 'detect_leaks=1';
        my ($status, $out) = SGTM::Run::capture('/bin/sh', '-c', 'exit 0');
        $leaks = $status == 0 && $out eq '' ? 1 : 0;

        delete local $ENV{LD_PRELOAD};
        ($status, $out) = SGTM::Run::capture('ldd', $nginx);
        $preload = $out =~ /libasan/ ? '' : join ' ', @libs;
    }

    return (
        LD_PRELOAD   => $preload,
        LSAN_OPTIONS => 'exitcode=0',
        ASAN_OPTIONS => "log_path=$self->{dir}/sanitizer:abort_on_error=1"
                        . ":detect_leaks=$leaks",
    );
}


sub _library {
    my ($name) = @_;

    my ($status, $file) = SGTM::Run::capture('gcc', "-print-file-name=$name");
    chomp $file;

    return Cwd::realpath($file);
}


sub _command {
    my ($self) = @_;

    return ($nginx, '-p', "$self->{dir}/", '-c', "$self->{dir}/nginx.conf",
            '-e', "$self->{dir}/error.log");
}


# nginx -t: (status, output)

sub test {
    my ($class, $http, %opt) = @_;

    my $self = $class->_new($http, %opt);

    push @instances, $self;

    local %ENV = (%ENV, $self->_environment);

    my ($status, $out) = SGTM::Run::capture($self->_command, '-t');

    $self->write_file('output', $out);

    return ($status, $out);
}


sub instances { return @instances }


sub start {
    my ($class, $http, %opt) = @_;

    my $self = $class->_new($http, %opt);

    push @instances, $self;
    $self->_spawn;

    return $self;
}


sub _spawn {
    my ($self) = @_;

    local %ENV = (%ENV, $self->_environment, $self->_own_environment);

    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        setpgrp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/output";
        open STDERR, '>&', \*STDOUT;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM PIPE);
        { no warnings 'exec'; exec $self->_command; }
        POSIX::_exit(127);
    }

    $self->{pid} = $self->{group} = $pid;
    $self->{generations}++;
    $self->{adopted} = 0;

    $self->_adopt if $self->{daemon};

    my $ready = SGTM::Run::wait_for { $self->_exited || $self->workers } 15;

    if (!$ready || !$self->{pid}) {
        Carp::croak("nginx did not start:\n" . $self->_tail);
    }
}


# the option env; what it preloads comes after a sanitizer's library

sub _own_environment {
    my ($self) = @_;

    my %env = %{ $self->{env} };

    if ($env{LD_PRELOAD} && $preload) {
        $env{LD_PRELOAD} = "$preload $env{LD_PRELOAD}";
    }

    return %env;
}


sub _exited {
    my ($self) = @_;

    return 1 if !$self->{pid};

    if ($self->{adopted}) {
        return 0 if SGTM::Process::alive($self->{pid});

    } else {
        return 0 if waitpid($self->{pid}, WNOHANG) == 0;
        $self->{exit} = $?;
    }

    delete $self->{pid};

    return 1;
}


sub _tail {
    my ($self) = @_;

    my @lines = split /\n/, $self->file('output') . $self->error_log;

    splice @lines, 0, @lines - 20 if @lines > 20;

    return join("\n", @lines) . "\n";
}


# A reload, with a new text of http{} if one is given.  Returns when all new
# workers serve; wait_old => 1 waits until the old ones have ended, too.

sub reload {
    my ($self, $http, %opt) = @_;

    if (defined $http) {
        $self->{http} = $http;
        $self->_write;
    }

    $self->{retired}{$_} = 1 for $self->_children;
    $self->{generations}++;
    kill 'HUP', $self->{pid};

    SGTM::Run::wait_for { $self->workers } 30
        or Carp::croak("nginx did not reload:\n" . $self->_tail);

    if ($opt{wait_old}) {
        SGTM::Run::wait_for { !$self->old_workers } 30
            or Carp::croak("old workers stay:\n" . $self->_tail);
    }
}


# sends a signal to the master

sub signal {
    my ($self, $signal) = @_;

    kill $signal, $self->{pid};
}


# Gracefully, then less so: what does not follow QUIT within the time (5 s)
# gets TERM, and after that KILL, together with all its workers.

sub stop {
    my ($self, %opt) = @_;

    my $pid = $self->{pid} or return;
    my $patience = $opt{timeout} || 5;

    for my $signal (qw(QUIT TERM)) {
        kill $signal, $pid;
        return if SGTM::Run::wait_for { $self->_exited } $patience;
    }

    kill 'KILL', -$self->{group};
    waitpid $pid, 0;
    delete $self->{pid};
}


# stop, and the same configuration (or another) from new, on the same ports

sub restart {
    my ($self, $http) = @_;

    $self->stop;

    if (defined $http) {
        $self->{http} = $http;
        $self->_write;
    }

    $self->_spawn;
}


sub error_log { return SGTM::Run::get("$_[0]{dir}/error.log") }
sub access_log { return SGTM::Run::get("$_[0]{dir}/access.log") }


# any other file of the directory

sub file {
    my ($self, $name) = @_;

    return SGTM::Run::get("$self->{dir}/$name");
}


sub write_file {
    my ($self, $name, $text) = @_;

    SGTM::Run::put("$self->{dir}/$name", $text);
}


# until a log has a match: error.log, or file => 'access.log' or another

sub wait_log {
    my ($self, $re, %opt) = @_;

    my $name = $opt{file} || 'error.log';

    return SGTM::Run::wait_for { $self->file($name) =~ $re } $opt{timeout};
}


sub expect_log {
    my ($self, @re) = @_;

    push @{ $self->{expected} }, @re;
}


# a connection of a client; options as of SGTM::Net, and nth => 2 for %%PORT2%%

sub http {
    my ($self, %opt) = @_;

    return SGTM::HTTP->connect($self->_to(%opt));
}


sub h2 {
    my ($self, %opt) = @_;

    return SGTM::H2->connect($self->_to(%opt));
}


sub _to {
    my ($self, %opt) = @_;

    return (port => $self->port(delete $opt{nth}), authority => $self->{host},
            servername => $self->{host}, %opt);
}


# One request on a connection of its own.  Host and Connection: close are added
# unless they are given.

sub request {
    my ($self, $method, $uri, $headers, $body, %opt) = @_;

    my @headers = @{ $headers || [] };
    my %have = map { $_ % 2 ? () : (lc $headers[$_] => 1) } 0 .. $#headers;

    push @headers, Connection => 'close' if !$have{connection};

    my $client = $self->http(%opt);

    $client->request($method, $uri, \@headers, $body);

    my $res = $client->response;
    $client->close;

    return $res;
}


sub get {
    my ($self, $uri, @headers) = @_;

    return $self->request('GET', $uri, \@headers);
}


sub post {
    my ($self, $uri, $body, @headers) = @_;

    if (!grep { lc $_ eq 'content-type' } @headers) {
        push @headers, 'Content-Type' => 'text/plain;charset=UTF-8';
    }

    return $self->request('POST', $uri, \@headers, $body);
}


# the JSON of a location with sgtm_status

sub status {
    my ($self, $uri, @headers) = @_;

    my $res = $self->get($uri, Accept => 'application/json', @headers);

    die "status: $res->{status} $res->{body}\n" if $res->{status} != 200;

    return JSON::PP->new->utf8->decode($res->{body});
}


# What went wrong, as lines: everything that no test wants to see in a log.

sub complaints {
    my ($self) = @_;

    my $starts = () = $self->error_log =~ /: start worker process \d+$/mg;
    my $wanted = $self->{workers} * $self->{generations} + $self->{killed};
    my @bad = ($self->_bad_lines, $self->_reports);

    if ($starts > $wanted) {
        push @bad, "$starts workers were started instead of $wanted";
    }

    return @bad;
}


sub _bad_lines {
    my ($self) = @_;

    # what nginx -t says is for the test to judge
    return () if !$self->{generations};

    my @bad;

    LINE:
    for my $line (split /\n/, $self->file('output') . $self->error_log) {
        next if $line !~ /\[(?:alert|emerg)\]|exited\ on\ signal
                          |exited\ with\ fatal/x;

        for my $re (@{ $self->{expected} }) {
            next LINE if $line =~ $re;
        }

        push @bad, $line;
    }

    return @bad;
}


# Reports of sanitizers.  They are in files of their own, or in the error log,
# where nginx sends stderr.  An error counts wherever it was found; undefined
# behaviour and leaks only where they are ours, since nginx has some of its
# own, and memory of a pool does not leak: a worker that is terminated leaves
# its requests.

sub _reports {
    my ($self) = @_;

    my @bad;

    for my $file ('output', 'error.log', $self->_sanitizer_files) {
        my $text = $self->file($file);

        push @bad, $1
            if $text =~ /(==\d+==ERROR: AddressSanitizer.*?^SUMMARY[^\n]*)/ms;
        push @bad, $text =~ /^\S*sgtm\S*:\d+:\d+: runtime error:.*$/mg;
        push @bad, grep { /leak of/ && /^\s+#\d+ .*sgtm_/m
                          && !/ in ngx_(?:p\w*alloc|create_pool)/ }
                        split /\n\n/, $text;
    }

    return @bad;
}


sub _sanitizer_files {
    my ($self) = @_;

    return map { m{([^/]+)$} } glob "$self->{dir}/sanitizer.*";
}


1;
