#!/usr/bin/perl

# The demo of "make run", as a visitor goes through it: with an ad's click id
# into the shop, all rejected, all accepted, a purchase, only analytics, an
# outage of the tagging server.  What the tagging server has recorded is compared
# with what the browser sent.  Then its ends: nothing may be left of it, neither
# processes nor files.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use HTTP::Tiny;
use JSON::PP ();
use POSIX ();
use SGTM::Browser;

my $root = SGTM::Run::root();
my $tmp = SGTM::Run::dir('demo');
my $http = HTTP::Tiny->new(timeout => 10);
my $sanitized = bless { dir => SGTM::Run::dir('sanitized') }, 'SGTM::Nginx';
my ($pid, $n) = (0, 0);

# with a sanitized module it is nginx that needs its libraries, not the shell

if (($ENV{SGTM_BUILD} || '') eq 'sanitize') {
    my $dir = $sanitized->dir;
    my %env = $sanitized->_environment;
    my $nginx = $ENV{SGTM_NGINX} || '/usr/sbin/nginx';

    SGTM::Run::put("$dir/nginx", join '', "#!/bin/sh\n",
                   (map { "export $_='$env{$_}'\n" } sort keys %env),
                   "exec $nginx \"\$\@\"\n");
    chmod 0755, "$dir/nginx";
    $ENV{SGTM_NGINX} = "$dir/nginx";
}


# starts the demo: (its port, the file with what it prints)

sub demo {
    my (%env) = @_;

    my $port = exists $env{DEMO_PORT} ? $env{DEMO_PORT} : SGTM::Run::port();
    my $out = "$tmp-" . ++$n;

    stop();

    defined($pid = fork) or die "fork: $!\n";

    if (!$pid) {
        setpgrp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>&', \*STDOUT;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM PIPE);
        %ENV = (%ENV, TMPDIR => $tmp, DEMO_PORT => $port, %env);
        { no warnings 'exec'; exec "$root/demo/run.sh"; }
        POSIX::_exit(127);
    }

    return ($port, $out);
}


sub started {
    my ($out) = @_;

    return wait_for { SGTM::Run::get($out) =~ /^time .* event/m } 20;
}


# the status that the demo ended with, undef: it has not

sub ended {
    my $status;

    wait_for { waitpid($pid, POSIX::WNOHANG()) && defined($status = $?) } 15
        or return undef;

    $pid = 0;

    return $status;
}


sub dirs { return glob "$tmp/*" }


# what nginx logs goes with the directory, but for another name of the file

sub keep_log {
    my ($dir) = dirs();
    my $kept = "$tmp-$n.log";

    link "$dir/error.log", $kept or die "$kept: $!\n";

    return $kept;
}


# the processes that the demo has started

sub processes {
    my ($dir) = dirs();
    my ($nginx) = SGTM::Run::get("$dir/nginx.pid") =~ /\A(\d+)/;
    my %parent;

    for (glob '/proc/[0-9]*/stat') {
        $parent{$1} = $2
            if SGTM::Run::get($_) =~ /\A(\d+) \(.*\) \S (\d+)/s;
    }

    return grep { $parent{$_} == $pid || $parent{$_} == $nginx } keys %parent;
}


# a demo that a failed check has left

sub stop {
    return if !$pid;

    kill 'TERM', $pid;
    return if defined ended();

    kill 'KILL', -$pid;
    waitpid $pid, 0;
    $pid = 0;
}


END {
    if (SGTM::Run::is_owner()) {
        local $?;
        stop();
    }
}


###############################################################################

# what it says when it can't

my $taken = SGTM::Backend->start;

for my $case (
    ['a port that is taken', { DEMO_PORT => $taken->port },
     qr/port \d+: Address already in use.*DEMO_PORT=/s],
    ['a port that is none', { DEMO_PORT => '80x' },
     qr/DEMO_PORT is "80x", but may be a number up to 65535/],
    ['too great a port', { DEMO_PORT => 65536 }, qr/DEMO_PORT is "65536"/],
    ['no nginx', { SGTM_NGINX => '/nowhere/nginx' },
     qr{/nowhere/nginx is missing.*package nginx}s],
    ['no module', { SGTM_MODULE => '/nowhere/module.so' },
     qr{no /nowhere/module\.so: run "make"}],
    ['a module that is none', { SGTM_MODULE => "$root/LICENSE" },
     qr{does not take the configuration.*module\.so}s],
) {
    my ($name, $env, $re) = @$case;

    my (undef, $out) = demo(%$env);

    is ended(), 1 << 8, "$name: status 1";
    like SGTM::Run::get($out), $re, 'with the reason';
    unlike SGTM::Run::get($out), qr/^Ctrl-C/m, 'and nothing started';
    is_deeply [dirs()], [], 'nothing is left';
}


# its start and its ends, by signals of a terminal and of others

for my $signal (qw(INT TERM HUP)) {
    my (undef, $out) = demo(DEMO_PORT => 0);

    ok started($out), 'it starts on any free port'
        or diag SGTM::Run::get($out);

    my ($url) = SGTM::Run::get($out) =~ m{^\s+(http://localhost:\d+/)}m;
    my $log = keep_log();
    my @processes;

    # the file with nginx's number is older than its worker

    wait_for { (@processes = processes()) >= 3 } 5;

    is $http->get($url)->{status}, 200, 'what it says to open opens';
    cmp_ok scalar @processes, '>=', 3, 'nginx, its worker, the terminal';

    kill $signal, $pid;

    is ended(), 0, "SIG$signal ends it";
    is scalar(grep { kill 0, $_ } @processes), 0, 'with all that it started';
    is_deeply [dirs()], [], 'and its directory';
    is SGTM::Run::get($log), '', 'nginx had nothing to say';
}

for my $delay (0.02, 0.1, 0.3) {
    demo();
    select undef, undef, undef, $delay;
    kill 'TERM', $pid;

    ended();
    is_deeply [dirs()], [], "a signal after $delay s leaves nothing";
}

{
    my (undef, $out) = demo();

    started($out);

    my @processes = processes();

    kill 'TERM', SGTM::Run::get((dirs())[0] . '/nginx.pid') =~ /(\d+)/;

    is ended(), 1 << 8, 'when nginx ends, so does the demo';
    like SGTM::Run::get($out), qr/nginx has ended/, 'which says so';
    is scalar(grep { kill 0, $_ } @processes), 0, 'nothing runs on';
    is_deeply [dirs()], [], 'nothing is left';
}


###############################################################################

# a visitor

my ($port, $out) = demo();
my $url = "http://localhost:$port";
my $policy = "default-src 'none'; script-src 'self'; connect-src 'self';"
             . " img-src 'self'; style-src 'self'; frame-src 'self';";

ok started($out), 'it starts';

my $log = keep_log();
my $page = $http->get("$url/");

is $page->{status}, 200, 'the shop is there';
like $page->{content}, qr{<script async src="/metrics/t\.js"></script>},
     'loads the tag first-party';
is index($page->{headers}{'content-security-policy'}, $policy), 0,
   'under a strict policy';
is $http->get("$url/metrics/gtag/js?id=G-OTHER12345")->{status}, 403,
   'and nobody else\'s tag';


# What the tagging server has recorded: its hits, and events with all that is
# known of each.

sub hits {
    my $res = $http->get("$url/hits");

    die "hits: $res->{status} $res->{content}\n" if $res->{status} != 200;

    return map { JSON::PP->new->utf8->decode($_) }
               split /\n/, $res->{content};
}


sub decoded {
    my ($value) = @_;

    $value =~ s/%([0-9A-F]{2})/chr hex $1/ge;

    return $value;
}


sub args {
    my ($query) = @_;

    return map { $_->[0] => decoded(defined $_->[1] ? $_->[1] : '') }
               split_args($query);
}


sub events {
    my @events;

    for my $hit (hits()) {
        my ($query) = $hit->{uri} =~ /\?(.*)/s;
        my @lines = split /\r\n/, $hit->{body};

        push @events, map { { hit => $hit, args($query), args($_) } }
                          @lines ? @lines : '';
    }

    return @events;
}


# the last event of that name once there are $count of it

sub event {
    my ($name, $count) = @_;

    my @found;

    wait_for {
        @found = grep { $_->{en} eq $name } events();
        @found >= ($count || 1);
    } 10;

    is scalar @found, $count || 1, "$name has arrived";

    return $found[-1] || { hit => {} };
}


sub requests {
    my ($b) = @_;

    return grep { $_->{url} =~ m{/g/collect\?} } @{ $b->requests };
}


# What the browser sent of a hit, by the numbers that nothing changes.  It may
# tell us later than the tagging server does.

sub sent {
    my ($b, $event) = @_;

    my $key = qr/[?&]_p=\Q$event->{_p}\E&.*&_s=\Q$event->{_s}\E&/;

    return wait_for { (grep { $_->{url} =~ $key } requests($b))[0] };
}


sub same_query {
    my ($b, $event, $what) = @_;

    my $sent = sent($b, $event);
    my ($query) = $sent->{url} =~ /\?(.*)/s;
    my ($got) = $event->{hit}{uri} =~ /\?(.*)/s;

    is $got, $query, "$what: the query arrived byte for byte";
    is $event->{hit}{body}, $sent->{body}, "$what: so did its body";
}


sub cookie_names {
    my ($header) = @_;

    return sort map { /([^=]*)/ } split /; /, $header;
}


sub choose {
    my ($b, $choice) = @_;

    $b->click('#settings');
    $b->click("#consent-$choice");
}


# Three more shops: what is changed on the page is written into their file, and
# is in force without a reload.

sub tier {
    my ($shop) = @_;

    my $c = SGTM::HTTP->connect(port => $port);

    $c->request('GET', '/metrics/t.js', [Host => "$shop.localhost:$port"]);

    return $c->response->{body} =~ /"t":"(\w+)"/ ? $1 : 'none';
}

is join(' ', map { tier($_) } qw(tea bikes books)),
   'enterprise professional starter', 'three shops of three tiers';

for my $change ('tea/tier/starter', 'bikes/tier/root', 'none/tier/starter',
                'books/id/tea') {
    is $http->post("$url/shops/$change")->{status}, 204, "a change: $change";
}

ok +(wait_for { tier('tea') eq 'starter' } 5), 'is in force';
is join(' ', map { tier($_) } qw(bikes books)), 'professional starter',
   'others are as they were';
is $http->get("$url/shops/tea/tier/enterprise")->{status}, 405,
   'a look changes nothing';
like $http->get("$url/shops")->{content}, qr/"version" : 2/,
     'the file has it';


my $why = SGTM::Browser::missing();

SKIP: {
    skip $why, 1 if $why;

    my $b = SGTM::Browser->start;
    my $stored = sub { return { map { $_->{name} => $_ } @{ $b->cookies } } };
    my $shown = sub {
        return $b->evaluate("document.querySelector('$_[0]').textContent");
    };

    # the keyboard comes to the banner first

    $b->go("$url/?gclid=EAIaIQdemo&utm_source=google");
    $b->press('Tab') for 1 .. 2;
    is $b->evaluate('document.activeElement.id'), 'consent-accept',
       'the banner is next to the skip link for the keyboard';

    # no answer yet, then a refusal

    my $view = event('page_view');

    is $view->{gcs}, 'G100', 'without an answer all is denied';

    my $list = event('view_item_list');

    is scalar(split /\r\n/, $list->{hit}{body}), 2, 'events came as a batch';
    like $list->{pr4}, qr/^idwhisk~nmBamboo whisk~/, 'with their items';

    $b->click('#consent-reject');

    my $choice = event('consent_choice');

    is $choice->{gcs}, 'G100', 'rejected';
    is $choice->{gcd}, '13q3q3q2q5l1', 'as an update';
    is $choice->{dl}, "$url/?utm_source=google",
       'of the page\'s address the click id is gone';
    is $choice->{hit}{referer}, $choice->{dl}, 'and of Referer';
    is $choice->{hit}{forwarded_for}, '127.0.0.0', 'of the visitor\'s a part';
    is $choice->{npa}, 1, 'no personal ads';

    like sent($b, $choice)->{url}, qr/gclid%3DEAIaIQdemo/,
         'the browser had sent it';

    for my $hit (hits()) {
        unlike join(' ', values %$hit), qr/gclid|EAIaIQ/,
               'no hit has it anywhere';
        is $hit->{cookie}, '', 'nor a cookie';
    }

    is_deeply [keys %{ $stored->() }], ['shop_session'],
              'no cookie came back but the shop\'s';

    ok $b->wait("document.querySelector('#hits .tally').textContent"
                . ".includes('removed')"), 'the page shows it';
    like $shown->('#hits [open] summary'), qr/^consent_choice/,
         'the newest hit on top';
    like $b->evaluate('[...document.querySelectorAll("#hits [open] del")]'
                      . '.map((e) => e.textContent).join(" ")'),
         qr/gclid=EAIaIQdemo/, 'with what was taken out';

    # all accepted

    choose($b, 'accept');

    $choice = event('consent_choice', 2);

    is $choice->{gcs}, 'G111', 'accepted';
    is $choice->{gcd}, '13r3r3r2r5l1', 'as an update';
    like $choice->{dl}, qr/gclid=EAIaIQdemo/, 'the click id arrives';
    is $choice->{hit}{forwarded_for}, '127.0.0.1', 'and the address';
    same_query($b, $choice, 'accepted');

    my $cookies = wait_for { my $c = $stored->(); $c->{FPLC} && $c };

    is $cookies->{FPID}{domain}, 'localhost', 'FPID is set';
    ok $cookies->{FPID}{httpOnly}, 'out of the reach of scripts';
    is $cookies->{FPLC}{domain}, 'localhost',
       'a foreign Domain is gone, the cookie is not';
    is $cookies->{tagging_session}, undef, 'what is not listed is not set';
    like $cookies->{_gcl_aw}{value}, qr/\.EAIaIQdemo$/,
         'the tag has kept the click id';

    # through the shop

    $b->click('#list a');
    event('view_item');
    $view = event('page_view', 2);
    is $view->{dl}, "$url/product.html?item=pot", 'the product';
    like $view->{dr}, qr/gclid=EAIaIQdemo/, 'and where it was come from';

    $b->click('#add');
    is event('add_to_cart')->{'epn.value'}, 48, 'with its value';

    $b->click('#added a');
    event('view_cart');
    $b->fill('#email', 'ada@visitor.example');
    $b->click('#buy');

    my $purchase = event('purchase');
    my ($id) = $shown->('#receipt') =~ /(T-\w+)/;

    is $purchase->{'ep.transaction_id'}, $id, 'the order\'s number';
    is $purchase->{cu}, 'EUR', 'its currency';
    is $purchase->{'epn.value'}, 48, 'its value';
    is $purchase->{pr1}, 'idpot~nmCast-iron teapot~caPots~pr48~qt1', 'its item';
    like $purchase->{em}, qr/^tv\.1~em\.[\w-]{43}$/, 'the address, hashed';
    same_query($b, $purchase, 'the purchase');

    is_deeply [cookie_names($purchase->{hit}{cookie})],
              [qw(FPID FPLC _ga _ga_DEMO12345 _gcl_au _gcl_aw)],
              'all cookies of Google\'s and none of the shop\'s';
    is $purchase->{hit}{host}, 'tagging.example', 'under its own name';
    is $purchase->{hit}{forwarded_host}, "localhost:$port", 'for the shop';
    is $purchase->{cid}, $choice->{cid}, 'it is the same visitor still';

    $b->go("$url/thanks.html");
    event('page_view', 5);
    is scalar(grep { $_->{en} eq 'purchase' } events()), 1,
       'an order is reported once';

    # only analytics

    $b->go("$url/?gclid=EAIaIQdemo");
    choose($b, 'analytics');
    $choice = event('consent_choice', 3);

    is $choice->{gcs}, 'G101', 'only analytics';
    is $choice->{dl}, "$url/", 'no click id';
    is_deeply [cookie_names($choice->{hit}{cookie})],
              [qw(FPID FPLC _ga _ga_DEMO12345)], 'no cookie of ads';
    is $choice->{cid}, $purchase->{cid}, 'the same visitor';

    # rejected again: the browser has its cookies still

    choose($b, 'reject');
    $choice = event('consent_choice', 4);

    like $stored->()->{_ga}{value}, qr/\Q$purchase->{cid}\E$/,
         'the browser sends its cookies';
    is $choice->{hit}{cookie}, '', 'none arrives';
    isnt $choice->{cid}, $purchase->{cid}, 'nor the visitor\'s id';

    # a narrow screen, down to its end

    $b->size(375, 700);
    $b->go("$url/");
    $view = event('page_view', 7);
    $b->evaluate('scrollTo(0, document.documentElement.scrollHeight)');

    my $scroll = wait_for {
        my ($e) = grep { $_->{en} eq 'scroll' && $_->{_p} eq $view->{_p} }
                       events();
        $e;
    };

    is $scroll->{'epn.percent_scrolled'}, 90, 'a page read to its end';

    # every hit, and in the terminal every event

    my @events = events();
    my $hits = hits();
    my @requests;

    wait_for { (@requests = requests($b)) >= $hits };

    is $hits, scalar @requests, 'every hit sent has arrived, once';

    my @lines;

    wait_for {
        @lines = grep { /^\d\d:\d\d:\d\d / }
                      split /\n/, SGTM::Run::get($out);
        @lines >= @events;
    };

    is_deeply [map { (split)[1, 2, 3] } @lines],
              [map { @$_{qw(en gcs cid)} } @events],
              'the terminal has a line for each event';

    my $status = JSON::PP->new->decode($http->get("$url/status")->{content});

    is $status->{tenants}{localhost}{hits}{forwarded}, scalar @requests,
       'the module counted them';

    # The tagging server goes down: what is sent is answered, waits on disk,
    # and arrives once when it is back, each hit with the time of its event.

    my $state = sub {
        return "document.querySelector('#queue-state').textContent"
               . " == 'The tagging server is $_[0].'";
    };

    $b->go("$url/");
    event('page_view', 8);

    ok $b->wait($state->('up')), 'the page says that it is up';
    $b->click('#queue-turn');
    ok $b->wait($state->('down')), 'and down, by its switch';
    is $http->get("$url/tagging")->{content}, 'down', 'which others see';

    $hits = hits();
    $b->click('#queue-look');

    ok $b->wait("+document.querySelector('#queue-waiting').textContent >= 4"),
       'the queue fills';
    ok $b->wait("document.querySelector('#hits .tally').textContent"
                . " == 'waits in the queue'"), 'the page says so of a hit';
    is $shown->('#hits .answer'), 'Answer: 204 queued, upstream_5xx',
       'which was answered all the same';
    is scalar(() = hits()), $hits, 'none has arrived';

    $b->click('#queue-look');

    is $http->get("$url/tagging/up")->{status}, 405, 'a link does not switch';
    is $http->post("$url/tagging/up")->{status}, 204, 'a terminal does';

    ok $b->wait($state->('up')), 'it drains, with nothing left at the end';

    wait_for { hits() == (@requests = requests($b)) };

    is scalar(() = hits()), scalar @requests, 'every hit has arrived, once';

    my @late = grep { exists $_->{'epn.event_timestamp'} } events();

    cmp_ok scalar @late, '>=', 4, 'the late ones tell their time';
    is_deeply [grep { $late[$_]{_s} < $late[$_ - 1]{_s} } 1 .. $#late], [],
              'in order';

    for my $e (@late) {
        my $sent = $e->{'epn.event_timestamp'} / 1000;

        cmp_ok abs($sent - time), '<', 60, 'the right one';
    }

    $status = JSON::PP->new->decode($http->get("$url/status")->{content});

    is $status->{spool}{dead}, 0, 'none was given up';
    is $status->{spool}{kept}, $status->{spool}{delivered},
       'all that was kept is delivered';
    is $status->{spool}{kept},
       $status->{tenants}{localhost}{hits}{queued}, 'which are those queued';
    like SGTM::Run::get($out),
         qr/^-- the tagging server is down --\n(?:.*\n)*-- .* is up --\n/m,
         'the terminal told both';

    # the pages themselves

    is_deeply $b->complaints, [], 'the browser has nothing to complain about';
    is_deeply [grep { $_->{url} !~ m{^\Q$url\E/} } @{ $b->requests }], [],
              'and went nowhere else';

    for my $uri (qw(/ /product.html?item=tin /cart.html /thanks.html)) {
        $b->size(320, 640);
        $b->go("$url$uri");
        $b->wait("document.querySelector('#hits li')");

        is $b->evaluate('document.documentElement.scrollWidth'), 320,
           "$uri fits a narrow screen";
        is $b->evaluate('document.querySelectorAll("h1").length'), 1,
           'has one heading';
        is $b->evaluate(<<'EOJ'), '', 'and nothing without a name';
[...document.querySelectorAll('a, button, input, img, summary, aside')]
    .filter((e) => e.checkVisibility())
    .filter((e) => e.matches('input') ? !e.labels.length
                   : e.matches('img') ? !e.hasAttribute('alt')
                   : e.matches('aside') ? !document.getElementById(
                         e.getAttribute('aria-labelledby')).textContent
                   : !e.textContent.trim())
    .map((e) => e.outerHTML).join(' ')
EOJ
    }

    $b->stop;
}

kill 'TERM', $pid;

is ended(), 0, 'it ends';
is_deeply [dirs()], [], 'nothing is left';

# whether the courier finds the server down depends on how soon it is back

(my $said = SGTM::Run::get($log))
    =~ s/^.*\[warn\] .* courier "localhost\@courier": .* is down, .*\n//mg;

is $said, '', 'nginx had nothing else to say';

is_deeply [$sanitized->_reports], [], 'nor a sanitizer';

done_testing;
