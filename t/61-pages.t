#!/usr/bin/perl

# The light tracker on pages that come and go: single-page navigation, a page
# that is left in the middle of a click, closed or kept for later, twenty tabs
# at once, storage that the browser forbids, a connection that is away for a
# while.  What happened arrives, and arrives once.  It guards against an event
# that is lost with its page, sent again by the next one, or counted as
# another visitor's.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Shop;

my $why = SGTM::Shop::missing();

plan skip_all => $why if $why;

my $body = <<'EOF';
<p><a id="next" href="/next">Next</a>
<a id="away" href="https://elsewhere.example/page">Away</a>
<form id="form" action="/sent"><button id="submit">Send</button></form>
EOF

my $shop = SGTM::Shop->start(
    bfcache => 1,
    sites => {
        'light.example' => <<'EOC',
            sgtm_tagging          light;
            sgtm_consent_mode     advanced;
            sgtm_consent_default  ad_storage=granted analytics_storage=granted
                                  ad_user_data=granted
                                  ad_personalization=granted;
EOC
    },
    pages => {
        'index.html' => SGTM::Shop::page($body,
            head => '<script defer src="/page.js"></script>'),
        'page.js' => <<'EOJ',
window.dataLayer = window.dataLayer || [];
function gtag() { dataLayer.push(arguments); }
document.querySelector('#next').addEventListener('click', () => {
    gtag('event', 'told_in_click', { n: 1 });
});
document.querySelector('#form').addEventListener('submit', () => {
    gtag('event', 'told_in_submit', { n: 1 });
});
addEventListener('pagehide', () => gtag('event', 'told_last', { n: 1 }));
addEventListener('pageshow', (e) => { window.persisted = e.persisted; });
EOJ
    },
);

my $b = $shop->browser;


sub url { return "https://$_[0].light.example" . ($_[1] || '/') }


my %steps;
my @names;

sub visit {
    my ($name, @steps) = @_;

    push @names, $name;
    $steps{$name} = [[go => url($name)], @steps];
}


# the events of a visitor, by name, once there are as many as named

sub events {
    my ($name, %wanted) = @_;

    my %events;

    $shop->wait_events("$name.light.example", sub {
        %events = ();
        push @{ $events{$_->{en}} }, $_ for @_;
        return !grep { @{ $events{$_} || [] } < $wanted{$_} } keys %wanted;
    });

    is scalar @{ $events{$_} || [] }, $wanted{$_}, "$name: $wanted{$_} $_"
        for sort keys %wanted;

    my @ids = map { $_->{'ep.event_id'} } map { @$_ } values %events;
    my %ids = map { $_ => 1 } @ids;

    is scalar keys %ids, scalar @ids, "$name: nothing came twice";

    return \%events;
}


sub different {
    my ($name, @events) = @_;

    my %values = map { (defined $_->{$name} ? $_->{$name} : '') => 1 } @events;
    my @values = sort keys %values;

    return @values;
}


sub script { return [js => $_[0]] }


###############################################################################

# what visitors do, all at the same time

my @pause = [wait => 150];

visit('spa', @pause,
      script("history.pushState({}, '', '/a?x=1'); document.title = 'A'"),
      @pause, script("history.replaceState({}, '', '/b')"),
      @pause, script("history.pushState({ n: 1 }, '', '/b')"),
      @pause, script("gtag('event', 'on_b', {})"),
      @pause, ['back'], @pause, ['back'], @pause);

# left in the middle of a click, a submit, a script; closed

visit('click', [click => '#next'], [until => "location.pathname == '/next'"],
      [click => '#next'], [wait => 50]);
visit('away', [click => '#away'], [wait => 100]);
visit('submit', [click => '#submit'], [wait => 100]);
visit('script', script("gtag('event', 'told', {}); location.href = '/next'"),
      [until => "location.pathname == '/next'"]);
visit('closed', [tab => url('closed', '/second')],
      script("gtag('event', 'told', {})"), ['close'], [wait => 100]);

# come back to

visit('kept', script("gtag('event', 'before', {})"),
      [click => '#next'], [until => "location.pathname == '/next'"], ['back'],
      [until => "location.pathname == '/'"],
      [until => 'window.persisted !== undefined'],
      script('persisted'), [wait => 100],
      script("gtag('event', 'after', {})"), [wait => 100]);

# Offline for a while: with the page that was there, and with another.

visit('offline', [wait => 300], [offline => \1],
      (map { script("gtag('event', 'while_away', { n: $_ })") } 1 .. 3),
      [wait => 1200], [offline => \0],
      [until => 'navigator.onLine'], [wait => 2500]);

visit('gone', [wait => 300], [tab => url('gone', '/tab')], [offline => \1],
      script("gtag('event', 'while_away', {})"), [wait => 1200], ['close'],
      [offline => \0], [tab => url('gone', '/later')], [wait => 1500]);

my %done;

@done{@names} = @{ $b->run('visit.mjs', 'visits',
                           [map { { steps => $steps{$_} } } @names], 5) };


###############################################################################

# A page that changes its address.  A state that is pushed under the address
# that is there already is no view.

my $events = events('spa', page_view => 4, on_b => 1);
my $views = $events->{page_view};

is_deeply [map { $_->{dl} } @$views],
          [map { url('spa', $_) } '/', '/a?x=1', '/b', '/'],
          'each address is a view';
is_deeply [map { $_->{dr} || '' } @$views[1 .. 3]],
          [map { url('spa', $_) } '/', '/a?x=1', '/b'],
          'which tells where it was come from';
is_deeply [map { $_->{'epn.page_view_number'} } @$views], [1 .. 4],
          'they are counted';
is $views->[1]{dt}, 'A', 'with the title that it got';
is scalar(different(sid => @$views)), 1, 'in one session';


# what happened as a page was left

$events = events('click', told_in_click => 2, told_last => 3, page_view => 3);

is_deeply [different(dl => @{ $events->{told_in_click} })],
          [url('click'), url('click', '/next')], 'click: of both pages';

$events = events('away', click => 1, told_last => 1);
is $events->{click}[0]{'ep.link_url'}, 'https://elsewhere.example/page',
   'away: the outbound click arrived though the page was gone';

events('submit', told_in_submit => 1, form_submit => 1);
events('script', told => 1, page_view => 2);
events('closed', told => 1, page_view => 2);


# A page that is kept as it was.  It goes on when one comes back to it, and
# what it had sent is not sent again.

ok $done{kept}{values}[7], 'kept: the browser had kept it';

$events = events('kept', before => 1, told_in_click => 1, after => 1,
                 page_view => 3);

is $events->{page_view}[2]{dl}, url('kept'), 'coming back is a view';
is scalar(different(cid => map { @$_ } values %$events)), 1,
   'of the same visitor';


# a connection that was away

$events = events('offline', page_view => 1, while_away => 3);
is_deeply [sort map { $_->{'epn.n'} } @{ $events->{while_away} }], [1 .. 3],
          'offline: all that happened then';

$events = events('gone', while_away => 1, page_view => 3);
is $events->{while_away}[0]{dl}, url('gone', '/tab'),
   'gone: what a page could not send, the next one sent';


###############################################################################

# twenty tabs: first one, then the others at once

my $tabs = $b->run('pages.mjs', 'tabs', url('tabs'), 19);

$events = events('tabs', page_view => 20, of_tab => 20);
is_deeply $tabs, [], 'tabs: nothing to complain about';

my @all = map { @$_ } @$events{qw(page_view of_tab)};

is scalar(different(cid => @all)), 1, 'tabs: one visitor';
is scalar(different(sid => @all)), 1, 'one session';
is scalar(grep { $_->{_fv} } @all), 1, 'one first visit';
is scalar(grep { $_->{_ss} } @all), 1, 'one session\'s start';

# all at once, with nothing that the first could have left

$b->run('pages.mjs', 'tabs', url('race'), 0, 6);
$events = events('race', page_view => 7, of_tab => 7);

my @last = grep { $_->{dl} =~ /n=last/ } @{ $events->{page_view} };

is scalar @last, 1, 'race: the last one';
ok scalar(grep { $_->{cid} eq $last[0]{cid} && $_ != $last[0] }
               @{ $events->{page_view} }), 'is a visitor that was there';
is $last[0]{_fv}, undef, 'and not for the first time';


###############################################################################

# a browser that forbids all storage; the gateway's cookies as well

my $blocked = $b->run('pages.mjs', 'blocked', url('blocked'));

is $blocked->{cookie}, '', 'blocked: no cookie';
is $blocked->{storage}, 'SecurityError', 'nor any storage';
is_deeply $blocked->{complaints}, [], 'which nobody complained about';

$events = events('blocked', page_view => 2, told => 1);

is scalar(different(cid => @{ $events->{page_view} })), 2,
   'each page is another visitor: nothing was kept';

# an opaque origin, which the gateway takes no hits from

my $opaque = $b->run('pages.mjs', 'opaque', url('opaque'));

is_deeply $opaque->{errors}, [], 'opaque origin: the page has no error';
ok $opaque->{works}, 'and its own scripts go on';
is scalar(my @none = $shop->events('opaque.light.example')), 0,
   'the gateway took nothing';


$shop->stop;

done_testing;
