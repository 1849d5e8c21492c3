#!/usr/bin/perl

# Which way hits go, in each tier and with each fallback, while the tagging
# server fails, does not answer, the gateway is away, and all are back.  Google's
# hosts are played by a server of this machine.  Enterprise goes through the
# gateway and never to a third host; professional asks Google when the gateway
# says 503 or can't be reached, if the visitor allows it, and comes back;
# starter goes to Google from the start.  It guards against a hit that a tier
# promised to keep and that is lost, one that arrives twice, and one that goes
# where it may not.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Shop;

my $why = SGTM::Shop::missing();

plan skip_all => $why if $why;

my $allowed = <<'EOC';
    sgtm_consent_default  ad_storage=granted analytics_storage=granted
                          ad_user_data=granted ad_personalization=granted;
EOC

my %sites = (
    queue   => "sgtm_tier enterprise; sgtm_fallback queue; $allowed",
    off     => "sgtm_tier enterprise; sgtm_fallback off; $allowed",
    client  => "sgtm_tier professional; $allowed",
    kept    => "sgtm_tier professional; sgtm_fallback queue; $allowed",
    denied  => 'sgtm_tier professional;',
    eu      => "sgtm_tier professional; sgtm_upstream eu=tagging; $allowed",
    events  => "sgtm_tier professional; $allowed",
    starter => "sgtm_tier starter; $allowed",
);

# the same with Google's tag

my %scripts = map { ("google-$_" => $sites{$_}) } qw(queue client eu starter);

my %conf = (
    (map { ("$_.example" => "sgtm_tagging light; $sites{$_}") } keys %sites),
    (map { ("$_.example" => "sgtm_tagging gtag; $scripts{$_}") }
         keys %scripts),
);

$_ .= ' sgtm_consent_mode advanced; sgtm_dedup 1h;'
      . ' sgtm_courier @courier backoff=200ms;' for values %conf;

my $dir = SGTM::Run::dir('tenants');

SGTM::Run::put("$dir/tenants.json", <<'EOJ');
{"tenants": [
{"id": "events", "hosts": ["events.example"],
 "events": {"to_server": "server", "to_client": "client", "to_both": "both",
            "to_none": "off"}},
{"id": "eu", "hosts": ["eu.example", "google-eu.example"],
 "residency": "eu"}
]}
EOJ

my $script = [200, ['Content-Type' => 'application/javascript'],
              'window.came = document.currentScript.src'];

my $shop = SGTM::Shop->start(
    http   => "sgtm_spool  spool;  sgtm_tenants  file=$dir/tenants.json;",
    sites  => \%conf,
    google => sub { $_[0]{uri} =~ m{\A/gtag/js} ? $script : 204 },
    answer => sub {
        my ($req) = @_;

        return [503, [], 'away'] if $req->{mode} eq 'down';
        return { status => 204, delay => 2 } if $req->{mode} eq 'slow';
        return $req->{uri} =~ m{\A/gtag/js} ? $script : 204;
    },
    pages => {
        'index.html' => SGTM::Shop::page('<p>A page',
            head => '<script src="/page.js"></script>'),
        'page.js' => <<'EOJ',
window.dataLayer = window.dataLayer || [];
function gtag() { dataLayer.push(arguments); }
EOJ
    },
    policies => { map { $_ => "default-src 'none'; script-src 'self'"
                              . ' https://www.googletagmanager.com;'
                              . " connect-src 'self'"
                              . ' https://www.google-analytics.com' }
                      keys %conf },
);

my $b = $shop->browser;


sub url { return "https://$_[0].example/" }


sub routing { return $b->run('routing.mjs', @_) }


# how often each event of a site has arrived: through the gateway, at Google

sub arrived {
    my ($site) = @_;

    my (%tag, %google);

    # what was answered with an error has not arrived
    $tag{$_->{en}}++ for grep { $_->{_hit}{mode} ne 'down' }
                              $shop->events("$site.example");
    $google{$_->{en}}++
        for grep { ($_->{dl} || '') =~ m{^https://\Q$site\E\.example/} }
                 $shop->events(undef, $shop->google);

    return { tag => \%tag, google => \%google };
}


# Waits for events of a name and checks the sites: it is to arrive once at the
# place that the table names, or nowhere ('').

sub is_at {
    my ($what, $event, %where) = @_;

    wait_for {
        !grep { $where{$_} && !arrived($_)->{$where{$_}}{$event} } keys %where;
    } 40;                   # a circuit waits for 30 seconds at most

    for my $site (sort keys %where) {
        my $got = arrived($site);
        my %got = map { $_ => $got->{$_}{$event} || 0 } qw(tag google);
        my %want = (tag => 0, google => 0,
                    $where{$site} ? ($where{$site} => 1) : ());

        is_deeply \%got, \%want,
                  "$what: $event of $site is at " . ($where{$site} || 'none');
    }
}


# how often a page has sent something through the gateway

sub asked {
    my ($site) = @_;

    return scalar grep { $_->[2] eq '/metrics/g/collect' }
                       @{ routing('asked', url($site)) };
}


my @all = sort keys %sites;
my @loyal = qw(queue off kept denied eu);
my @google = (client => 'google', events => 'google', starter => 'google');

my %up = ((map { $_ => 'tag' } @all), starter => 'google');

routing('open', [map { url($_) } @all]);
is_at('all is up', 'page_view', %up);

routing('tell', 'first');
is_at('all is up', 'first', %up);

# the ways that a record has for events

routing('tell', $_, [url('events')])
    for qw(to_server to_client to_both to_none at_last);

is_at('ways', 'at_last', events => 'tag');
wait_for { arrived('events')->{google}{to_client} } 8;

my $ways = arrived('events');

is_deeply [map { [$ways->{tag}{"to_$_"} || 0, $ways->{google}{"to_$_"} || 0] }
               qw(server client both none)],
          [[1, 0], [0, 1], [1, 1], [0, 0]], 'events go the ways of the record';


###############################################################################

# The tagging server takes nothing: the gateway keeps the hit, says 503, or
# passes the error on.

$shop->tag->mode('down');
routing('tell', 'down');
is_at('down', 'down', @google, map { $_ => '' } @loyal);

# what failed is remembered: the next goes there without being asked for twice

my $before = asked('client');

routing('tell', 'down_still');
is_at('down', 'down_still', @google, map { $_ => '' } @loyal);
is asked('client'), $before, 'down: professional did not ask the gateway again';

# but later: one hit looks whether it is back, and gets lost no more than others

routing('later', 120_000, [url('client')]);
routing('tell', 'down_later', [url('client')]);
is_at('down', 'down_later', client => 'google');
is asked('client'), $before + 1, 'down: later it did';

# Google's tag, loaded now

routing('open', [map { url($_) } sort keys %scripts]);

for my $site (qw(client starter)) {
    is routing('evaluate', url("google-$site"), 'window.came'),
       'https://www.googletagmanager.com/gtag/js?id=G-ABC1234567',
       "down: $site has Google's script from Google";
}

# up again: what was kept arrives, and two minutes later all go as they did

$shop->tag->mode('up');
routing('later', 120_000);
routing('tell', 'up_again');

is_at('up again', $_, @google, map { $_ => 'tag' } @loyal)
    for qw(down down_still);
is_at('up again', 'up_again', %up);


###############################################################################

# The tagging server takes a hit but does not answer in time: it is sent again
# through the gateway, which knows it by its id.

$shop->tag->mode('slow');
routing('tell', 'slow', [url('client')]);

sub sent_slow {
    return grep { $_->[3] =~ /\bslow\b/ }
                @{ routing('asked', url('client')) };
}

wait_for { arrived('client')->{tag}{slow} };

# the page gives up, and later tries again

for (1 .. 5) {
    routing('later', 11_000, [url('client')]);
    last if wait_for { sent_slow() > 1 } 1;
}

my @slow = sent_slow();

cmp_ok scalar @slow, '>', 1, 'slow: it was sent again';
is_deeply [grep { $_->[1] ne 'client.example' } @slow], [],
          'slow: Google was not asked';

$shop->tag->mode('up');
select undef, undef, undef, 2.5;
is_at('slow', 'slow', client => 'tag');


###############################################################################

# the gateway itself is away, as a network is that fails

$shop->nginx->stop;
routing('tell', 'gone');
is_at('gone', 'gone', @google, map { $_ => '' } @loyal);

$shop->nginx->restart;
routing('later', 5_000) for 1 .. 4;
is_at('back', 'gone', @google, map { $_ => 'tag' } @loyal);

# nobody who must not has gone to another host at any time

for my $site (@loyal, 'google-queue', 'google-eu') {
    my %hosts = map { $_->[1] => 1 } @{ routing('asked', url($site)) };

    is_deeply \%hosts, { "$site.example" => 1 }, "$site: no third host";
}

routing('close');
$shop->stop;

done_testing;
