#!/usr/bin/perl

# The demo with the light tracker in each tier, as its page lets a visitor
# choose: what is sent goes where the tier says, also while the tagging server
# is down, with the banner's answer, and what would leave for Google does not
# leave the machine.  It guards against a demo that shows one tier and runs
# another.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use HTTP::Tiny;
use JSON::PP ();
use POSIX ();
use SGTM::Browser;
use SGTM::Shop;

my $why = SGTM::Browser::missing();

plan skip_all => $why if $why;

my $root = SGTM::Run::root();
my $tmp = SGTM::Run::dir('demo');
my $port = SGTM::Run::port();
my $url = "http://localhost:$port";
my $http = HTTP::Tiny->new(timeout => 10);

plan skip_all => 'the sanitized demo is that of 20-demo.t'
    if ($ENV{SGTM_BUILD} || '') eq 'sanitize';

defined(my $pid = fork) or die "fork: $!\n";

if (!$pid) {
    setpgrp;
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$tmp-out";
    open STDERR, '>&', \*STDOUT;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM PIPE);
    %ENV = (%ENV, TMPDIR => $tmp, DEMO_PORT => $port);
    { no warnings 'exec'; exec "$root/demo/run.sh"; }
    POSIX::_exit(127);
}

END {
    if ($pid && SGTM::Run::is_owner()) {
        local $?;
        kill 'KILL', -$pid;
        waitpid $pid, 0;
    }
}


# the events that are recorded, at the tagging server and at what plays Google

sub events {
    return map { SGTM::Shop::events_of($_) }
           map { JSON::PP->new->utf8->decode($_) }
           split /\n/, $http->get("$url/hits")->{content};
}


# Waits for the nth event of that name: where it is, with what consent.

sub came {
    my ($name, $n) = @_;

    my @found;

    wait_for {
        @found = grep { $_->{en} eq $name } events();
        @found >= $n;
    } 8;

    return @found < $n ? 'nowhere'
           : join ' ', $found[$n - 1]{_hit}{to} || 'tagging server',
                       $found[$n - 1]{gcs};
}


my $up = wait_for { SGTM::Run::get("$tmp-out") =~ /^time .* event/m } 20;

ok $up, 'the demo starts' or diag SGTM::Run::get("$tmp-out");

my $b = SGTM::Browser->start;


sub choose {
    my ($way) = @_;

    $b->click("#way-$way");
    $b->wait("document.querySelector('#way-$way').ariaPressed == 'true'");
}


sub consent {
    my ($choice) = @_;

    $b->click('#settings') if !$b->evaluate('!banner.hidden');
    $b->click("#consent-$choice");
}


# enterprise: without consent as a cookieless ping, then with all there is

$b->go("$url/?gclid=EAIaIQdemo");
is $b->evaluate("document.querySelector('#ways [aria-pressed=true]').id"),
   'way-gtag', 'at first it is Google\'s tag';

choose('light-enterprise');
consent('reject');
is came('consent_choice', 1), 'tagging server G100', 'enterprise: rejected';
ok +(grep { $_->{en} eq 'consent_choice' } events())[0]{'ep.event_id'},
   'by the light tracker';
is_deeply [grep { /^_/ } map { $_->{name} } @{ $b->cookies }], [],
          'without a cookie of the tag\'s';

consent('accept');
is came('consent_choice', 2), 'tagging server G111', 'accepted';
ok $b->wait("document.querySelector('#hits .tally')"), 'the page shows it';

$http->post("$url/tagging/down");
$b->wait("document.querySelector('#queue.down')");
$b->click('#list a');
$b->wait("document.body.dataset.page == 'product'");
$b->click('#add');
ok $b->wait("+document.querySelector('#queue-waiting').textContent > 0"),
   'down: hits wait on disk';
$http->post("$url/tagging/up");
is came('add_to_cart', 1), 'tagging server G111', 'and arrive';

# professional: to Google while it is down, and only of those who allow it

choose('light-professional');
$b->click('#add');
is came('add_to_cart', 2), 'tagging server G111', 'professional: the gateway';

$http->post("$url/tagging/down");
$b->wait("document.querySelector('#queue.down')");
$b->click('#add');
is came('add_to_cart', 3), 'Google G111', 'down: Google';

$http->post("$url/tagging/up");
$b->wait("document.querySelector('#queue:not(.down)')");

# starter: Google from the start

choose('light-starter');
$b->click('#add');
is came('add_to_cart', 4), 'Google G111', 'starter: Google';

my ($hit) = map { $_->{_hit} } grep { $_->{en} eq 'add_to_cart'
                                      && $_->{_hit}{to} } events();

is $hit->{host}, 'www.google-analytics.com', 'under its name';

# nothing of all that has left, and the page is as it should be

is_deeply [grep { $_->{url} !~ m{^\Q$url\E/} } @{ $b->requests }], [],
          'nothing left this machine';
is_deeply [grep { !/status of 503/ } @{ $b->complaints }], [],
          'the browser has nothing to complain about';

$b->size(320, 640);
$b->go("$url/");
$b->wait("document.querySelector('#ways')");
is $b->evaluate('document.documentElement.scrollWidth'), 320,
   'it fits a narrow screen';

$b->stop;

kill 'TERM', $pid;
my $ended = wait_for { waitpid($pid, POSIX::WNOHANG()) } 10;

ok $ended, 'it ends';
$pid = 0 if $ended;
is_deeply [glob "$tmp/*"], [], 'nothing is left';

done_testing;
