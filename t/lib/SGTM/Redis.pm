package SGTM::Redis;

# A real redis-server on a free port, without files, and a client of it.
#
#     my $redis = SGTM::Redis->start;           # options are lines of
#     my $redis = SGTM::Redis->start(maxclients => 10);    # redis.conf
#
#     $redis->port; $redis->pid; $redis->socket  # "unix:..."
#     $redis->client($user, $password)          # another client
#     $redis->cmd('SET', 'a', 'b')              # the reply; dies of an error
#     $redis->try('SET', 'a', 'b')              # the same; an error's text is a
#                                               # reference to it
#     $redis->put('shop:', { id => $json })     # as docs/fleet.md has it:
#     $redis->remove('shop:', $id, ...)         # the version
#     $redis->complete('shop:'); $redis->trim('shop:', $version)
#     $redis->stop; $redis->restart; $redis->pause; $redis->resume
#
# A reply is a string, undef, a number, or a list of them.  The options "user"
# and "password" are what the client says, not the server's.  Everything is
# stopped at the end of the test.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time sleep);

use SGTM::Run;

my %running;


# Redis is there, and which

sub version {
    my ($status, $out) = SGTM::Run::capture('redis-server', '--version');

    return $status == 0 && $out =~ /\bv=(\d+)/ ? $1 : 0;
}


sub start {
    my ($class, %opt) = @_;

    my $self = bless {
        dir  => SGTM::Run::dir('redis'),
        port => delete $opt{port} || SGTM::Run::port(),
        map({ $_ => delete $opt{$_} } qw(user password)),
    }, $class;

    $self->{options} = {
        port => $self->{port}, bind => '127.0.0.1', save => '',
        appendonly => 'no', daemonize => 'no', dir => $self->{dir},
        unixsocket => "$self->{dir}/socket", 'enable-debug-command' => 'yes',
        %opt,
    };

    $self->_spawn;

    return $self;
}


# another client of the same server, as a user

sub client {
    my ($self, $user, $password) = @_;

    return bless {
        port => $self->{port}, user => $user, password => $password,
    }, ref $self;
}


sub port { return $_[0]{port} }
sub pid { return $_[0]{pid} }
sub socket { return "unix:$_[0]{dir}/socket" }


sub _spawn {
    my ($self, $loading) = @_;

    my $options = $self->{options};
    my $conf = join '', map { $options->{$_} eq '' ? qq($_ ""\n)
                                                   : "$_ $options->{$_}\n" }
                        sort keys %$options;

    SGTM::Run::put("$self->{dir}/redis.conf", $conf);

    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM PIPE);
        { no warnings 'exec'; exec 'redis-server', "$self->{dir}/redis.conf"; }
        POSIX::_exit(127);
    }

    $self->{pid} = $pid;
    $running{$pid} = $self;

    SGTM::Run::wait_for {
        my $reply = eval { $self->try('PING') };
        defined $reply && ($loading || !ref $reply || $$reply !~ /^LOADING/);
    } 10 or die "redis did not start:\n" . SGTM::Run::get("$self->{dir}/log");
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    delete $running{$pid};
    delete $self->{fh};

    local ($?, $!);

    kill 'CONT', $pid;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}


# with "loading" it may not have its data yet

sub restart {
    my ($self, $loading) = @_;

    $self->stop;
    $self->_spawn($loading);
}


# its processes stand still: connections are taken by the kernel, and that is
# all

sub pause { kill 'STOP', $_[0]{pid} }
sub resume { kill 'CONT', $_[0]{pid} }


sub cmd {
    my ($self, @args) = @_;

    my $reply = $self->try(@args);

    die "redis: $$reply\n" if ref $reply eq 'SCALAR';

    return $reply;
}


sub try {
    my ($self, @args) = @_;

    return ($self->pipeline([@args]))[0];
}


# several commands at once; their replies

sub pipeline {
    my ($self, @commands) = @_;

    $self->_connect if !$self->{fh};

    my $data = join '', map { _command(@$_) } @commands;
    my $fh = $self->{fh};

    # what is sent and what comes may both be large

    my $sel = IO::Select->new($fh);
    my $end = time() + 30;
    my @replies;

    while (@replies < @commands) {
        die "redis: timed out\n" if time() > $end;

        if (length $data) {
            my $n = syswrite($fh, $data, 65536);
            substr($data, 0, $n, '') if $n;
        }

        if ($sel->can_read(length $data ? 0 : 1)) {
            my $n = sysread($fh, $self->{buf}, 262144, length $self->{buf});

            if (!$n && !$!{EAGAIN}) {
                delete $self->{fh};
                die "redis: closed\n";
            }
        }

        while (@replies < @commands) {
            my ($ok, $reply) = $self->_reply;
            last if !$ok;
            push @replies, $reply;
        }
    }

    return @replies;
}


sub _connect {
    my ($self) = @_;

    my $fh = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 5,
    ) or die "redis on port $self->{port}: $@\n";

    setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1);
    $fh->blocking(0);

    $self->{fh} = $fh;
    $self->{buf} = '';
    $self->{pos} = 0;

    return if !defined $self->{password};

    my @user = defined $self->{user} ? $self->{user} : ();

    $self->cmd('AUTH', @user, $self->{password});
}


sub _command {
    my (@args) = @_;

    return '*' . @args . "\r\n"
           . join '', map { '$' . length($_) . "\r\n$_\r\n" } @args;
}


# (1, reply) once a whole one is there

sub _reply {
    my ($self) = @_;

    my $pos = 0;
    my ($ok, $reply) = _parse(\$self->{buf}, \$pos);

    return (0) if !$ok;

    substr($self->{buf}, 0, $pos, '');

    return (1, $reply);
}


sub _parse {
    my ($buf, $pos) = @_;

    my $nl = index $$buf, "\r\n", $$pos;
    return (0) if $nl < 0;

    my $type = substr $$buf, $$pos, 1;
    my $line = substr $$buf, $$pos + 1, $nl - $$pos - 1;

    $$pos = $nl + 2;

    return (1, \$line) if $type eq '-';
    return (1, $line) if $type eq '+' || $type eq ':';
    return (1, undef) if $line < 0;

    if ($type eq '$') {
        return (0) if length($$buf) < $$pos + $line + 2;

        my $text = substr $$buf, $$pos, $line;
        $$pos += $line + 2;

        return (1, $text);
    }

    my @list;

    for (1 .. $line) {
        my ($ok, $reply) = _parse($buf, $pos);
        return (0) if !$ok;
        push @list, $reply;
    }

    return (1, \@list);
}


# the scripts of the documentation

my @scripts;

sub scripts {
    return @scripts if @scripts;

    my $text = SGTM::Run::get(SGTM::Run::root() . '/docs/fleet.md');

    @scripts = $text =~ /^```lua\n(.*?)^```/gms;
    @scripts == 3 or die "no scripts in docs/fleet.md\n";

    return @scripts;
}


# records by id, in an order that does not change, in groups of 200

sub put {
    my ($self, $prefix, $records) = @_;

    return $self->_change($prefix, map { [$_, $records->{$_}] }
                                   sort keys %$records);
}


sub remove {
    my ($self, $prefix, @ids) = @_;

    return $self->_change($prefix, map { [$_, ''] } @ids);
}


sub _change {
    my ($self, $prefix, @changes) = @_;

    my @commands;

    while (my @some = splice @changes, 0, 200) {
        push @commands, ['EVAL', (scripts())[0], 2 + @some,
                         "${prefix}version", "${prefix}changes",
                         map({ "${prefix}tenant:$_->[0]" } @some),
                         "${prefix}changed", map { @$_ } @some];
    }

    my @replies = $self->pipeline(@commands);

    for (@replies) {
        die "redis: $$_\n" if ref eq 'SCALAR';
    }

    return $replies[-1];
}


sub complete {
    my ($self, $prefix) = @_;

    return $self->cmd('EVAL', (scripts())[1], 2, "${prefix}version",
                      "${prefix}base", "${prefix}changed");
}


# takes what was removed out of the log, up to a version; how many

sub trim {
    my ($self, $prefix, $version) = @_;

    my ($cursor, @members) = (0);

    do {
        my $page = $self->cmd('ZSCAN', "${prefix}changes", $cursor, 'MATCH',
                              '-*');
        my %scores = @{ $page->[1] };

        $cursor = $page->[0];
        push @members, keys %scores;
    } while ($cursor);

    return $self->cmd('EVAL', (scripts())[2], 2, "${prefix}changes",
                      "${prefix}base", $version, @members);
}


# how many connections of others there are

sub clients {
    my ($self) = @_;

    my @clients = split /\n/, $self->cmd('CLIENT', 'LIST');

    return @clients - 1;
}


sub stop_all { $_->stop for values %running }

END { stop_all() if SGTM::Run::is_owner() }


1;
