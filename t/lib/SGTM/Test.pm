package SGTM::Test;

# Starts nginx with the module and a generated configuration, and checks at the
# end that nothing went wrong in it.  Everything of Test::More comes along.
#
#     use FindBin;
#     use lib "$FindBin::Bin/lib";
#     use SGTM::Test;
#
#     my $tag = SGTM::Backend->start;
#
#     my $t = SGTM::Test->start(<<"EOF");
#     upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
#
#     server {
#         listen       127.0.0.1:%%PORT%%;
#         server_name  shop.example;
#
#         sgtm_endpoint  sgtm.example.com;
#         sgtm_tag_id    G-ABC1234567;
#
#         location /metrics/ {
#             sgtm        on;
#             proxy_pass  http://tagging/;
#             include     sgtm_proxy.conf;
#         }
#     }
#     EOF
#
#     my $res = $t->get('/metrics/g/collect?v=2&tid=G-ABC1234567&en=a',
#                       Cookie => 'FPID=1');
#     is $res->{status}, 204, 'the answer of the tagging server';
#
#     my ($hit) = $tag->wait_requests(1);
#     is $hit->{uri}, '/g/collect?v=2&tid=G-ABC1234567&en=a', 'forwarded';
#
#     done_testing;
#
# The text is the inside of http{}.  It may hold
#
#     %%PORT%% %%PORT2%% ...   free ports, also $t->port, $t->port(2)
#     %%LISTEN_H2(P)%%         a listen of HTTP/2 in the words of this nginx; P
#                              is what follows "listen"
#     %%CERT%% %%KEY%%         a self-signed certificate, for the option
#                              names => 'localhost,shop.example'
#     %%DIR%%                  the directory of this nginx
#     %%ROOT%%                 the project
#
# Options of start() and nginx_t() after the text: main, events (more lines of
# these levels), workers (1), connections (4096, of a worker), log_level (info),
# host (shop.example: the Host of $t->get and others), names, conf (a whole
# configuration instead), module (0: do not load it), env (a hash: more of the
# environment), daemon (1).
#
# done_testing() stops everything and then adds the checks that every test
# wants: no [alert], [emerg] or crash in the error log, no report of a
# sanitizer, no worker that had to be started again.  $t->expect_log(qr/.../)
# names lines of the error log that are wanted and so do not count.
#
# Environment: SGTM_BUILD=release|debug|sanitize, SGTM_MODULE=<file> ("static":
# it is in nginx already), SGTM_NGINX=<binary>, KEEP=1 keeps the directories,
# SGTM_TIMEOUT=300 ends a test that hangs.

use strict;
use warnings;

use Test2::API ();
use Test::Builder;
use Test::More ();

use SGTM::Backend;
use SGTM::Nginx;
use SGTM::Run;

our @EXPORT = qw(nginx_t nginx_version header headers split_args run wait_for);

my $finished;


sub import {
    my ($class) = @_;

    my $package = caller;

    strict->import;
    warnings->import;

    Test::More->export_to_level(1, $class);

    no strict 'refs';
    *{"${package}::$_"} = \&$_ for @EXPORT;
}


$SIG{PIPE} = 'IGNORE';
$SIG{INT} = $SIG{TERM} = sub { exit 130 };
$SIG{ALRM} = sub { die "the test takes longer than SGTM_TIMEOUT allows\n" };

$| = 1;
alarm($ENV{SGTM_TIMEOUT} || 300);


sub start {
    my ($class, @args) = @_;

    return SGTM::Nginx->start(@args);
}


# for tests that take longer than others

sub timeout {
    my ($class, $seconds) = @_;

    alarm $seconds if !$ENV{SGTM_TIMEOUT} || $ENV{SGTM_TIMEOUT} < $seconds;
}


# nginx -t of a configuration: (status, output)

sub nginx_t { return SGTM::Nginx->test(@_) }


# "1.22.1"

sub nginx_version { return SGTM::Nginx::version() }


# run('curl', ...): (status, output of both streams)

sub run { return SGTM::Run::capture(@_) }


# wait_for { code } $seconds: the code's last value, once it is true or the
# time (5 s) is over

sub wait_for(&;$) { goto &SGTM::Run::wait_for }


# the first value of a header (undef without one), or all of them in order, of
# a response or a recorded request

sub header {
    my ($message, $name) = @_;

    return (headers($message, $name))[0];
}


sub headers {
    my ($message, $name) = @_;

    return map { $_->[1] } grep { lc $_->[0] eq lc $name }
                                @{ $message->{headers} };
}


# "a=b&c" -> ([a => 'b'], [c => undef]), nothing decoded

sub split_args {
    my ($args) = @_;

    return map { /\A([^=]*)(?:=(.*))?\z/s; [$1, $2] } split /&/, $args, -1;
}


# the end of a test: everything stops, then comes what every test wants

sub _finish {
    return if $finished || !SGTM::Run::is_owner();

    $finished = 1;
    alarm 0;

    $_->stop for SGTM::Nginx::instances();
    SGTM::Backend::stop_all();

    my @bad = map { $_->complaints } SGTM::Nginx::instances();
    my $builder = Test::Builder->new;

    $builder->ok(!@bad, 'nginx: nothing bad in its logs')
        or $builder->diag(join "\n", @bad > 60 ? @bad[0 .. 59] : @bad);
}


# done_testing of Test::More ends in this method, however it was imported; the
# one at the end of a subtest is not the end

{
    no warnings 'redefine';

    my $done = \&Test::Builder::done_testing;

    *Test::Builder::done_testing = sub {
        my $hub = Test2::API::test2_stack()->top;

        _finish() if !$hub->isa('Test2::Hub::Subtest');

        goto &$done;
    };
}


END {
    if (SGTM::Run::is_owner()) {
        my $status = $?;
        my $passed = !$status && Test::Builder->new->is_passing;

        alarm 0;
        $_->stop(timeout => 1) for SGTM::Nginx::instances();
        SGTM::Backend::stop_all();

        my $kept = SGTM::Run::remove($ENV{KEEP} || !$passed);

        print STDERR "# kept $kept\n" if $kept;

        $? = $status;
    }
}


1;
