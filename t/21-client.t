#!/usr/bin/perl

# A client that nobody here has written: @minimal-analytics/ga4, from npm, in a
# real browser under a strict policy.  It sends page views, clicks, downloads
# and scrolls through the gateway, by sendBeacon() and in its own encoding, and
# each query is to reach the tagging server byte for byte; with consent
# enforced, without what it had no consent for.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Browser;

my $policy = "connect-src 'self'; img-src 'self'";
my $root = SGTM::Run::root();
my $client = "$root/t/node_modules/\@minimal-analytics/ga4/dist/index.js";

my $why = SGTM::Browser::missing();
$why = 'npm has not been run in t/' if !$why && !-f $client;

plan skip_all => $why if $why;

my $tag = SGTM::Backend->start(sub {
    return [204, ['Set-Cookie' => 'FPID=of-the-tagging-server; Path=/']];
});

my $t = SGTM::Test->start(<<"EOC");
    types {
        text/html               html;
        application/javascript  js;
    }

    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  localhost;
        charset      utf-8;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_fallback  off;

        location / {
            add_header  Content-Security-Policy
                        "default-src 'none'; script-src 'self'; $policy";
            add_header  Set-Cookie  "session=of-the-shop; Path=/";
        }

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }

        location /advanced/ {
            sgtm               on;
            sgtm_consent_mode  advanced;
            proxy_pass         http://tagging/;
            include            sgtm_proxy.conf;
        }

        location /basic/ {
            sgtm               on;
            sgtm_consent_mode  basic;
            proxy_pass         http://tagging/;
            include            sgtm_proxy.conf;
        }
    }
EOC

$t->write_file('html/ga4.js', SGTM::Run::get($client));
$t->write_file('html/favicon.ico', '');

# the page says by "?via=" which gateway the client is to use

$t->write_file('html/setup.js', <<'EOC');
window.minimalAnalytics = {
    trackingId: 'G-ABC1234567',
    analyticsEndpoint: '/' + (new URLSearchParams(location.search).get('via')
                              || 'metrics') + '/g/collect',
    defineGlobal: true,
    autoTrack: true,
};
EOC

$t->write_file("html/$_.html", <<"EOC") for qw(index other);
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Größe &amp; "Maß": 100 % ~ (grün)*! 日本 🍵</title>
<script src="/setup.js"></script>
<script defer src="/ga4.js"></script>
</head>
<body>
<p><a id="file" href="/files/price list (2024).pdf" download>Prices &amp; more</a>
<a id="out" class="a b" href="https://elsewhere.example/?q=a+b&amp;c=%20">Away</a>
<p>@{[ '<br>' x 200 ]}
</body>
</html>
EOC

my $url = 'http://localhost:' . $t->port;
my $b = SGTM::Browser->start;


# what the browser has sent below a prefix, once there are $n of them

sub sent {
    my ($prefix, $n) = @_;

    my @sent;

    wait_for {
        @sent = grep { $_->{url} =~ m{/\Q$prefix\E/g/collect\?} }
                     @{ $b->requests };
        @sent >= $n;
    };

    return @sent;
}


sub query {
    my ($uri) = @_;

    return $uri =~ /\?(.*)/s ? $1 : '';
}


sub value {
    my ($query, $name) = @_;

    return (map { $_->[1] } grep { $_->[0] eq $name } split_args($query))[0];
}


###############################################################################

# page views, with addresses that are hard to keep

my @pages = (
    '/',
    '/?gclid=EAIaIQ-_x&utm_source=a+b&utm_term=%C3%A4%2520%7E(x)*!\'',
    '/other.html?q=%F0%9F%8D%B5+tea&empty=&bare&=&x=%',
    '/other.html?id=' . 'long' x 300,
);

# a page left behind sends how long it was looked at
for my $n (0 .. $#pages) {
    is $b->go("$url$pages[$n]"), 200, "page $n";

    my @so_far = $tag->wait_requests(1 + 2 * $n, 10);
    is scalar @so_far, 1 + 2 * $n, 'was sent';
}

# what the client sees of its own accord

$b->evaluate('document.addEventListener("click", (e) => e.preventDefault())');
$b->click('#out');
$b->click('#file');
$b->evaluate('scrollTo(0, document.documentElement.scrollHeight)');

# what a page asks it for, in all the characters that an encoding may change

$b->evaluate(<<'EOJ');
track('G-ABC1234567', { type: 'sign_up', event: {
    'ep.all': String.fromCharCode(...Array(95).keys().map((n) => n + 32))
              + '\t\r\n\u00e9\u20ac\ud83c\udf75',
    'ep.twice': '%2520%25',
    'ep.url': location.href,
    'epn.number': -1.5e-7,
} })
EOJ

$tag->wait_requests(2 * @pages + 3, 10);
$b->go('about:blank');

my $wanted = 2 * @pages + 4;
my @got = $tag->wait_requests($wanted, 10);
my @sent = sent('metrics', $wanted);

is scalar @got, $wanted, 'the tagging server has them all';
is scalar @sent, $wanted, 'the browser sent no more';

# beacons may overtake each other: several connections

is_deeply [sort map { query($_->{uri}) } @got],
          [sort map { query($_->{url}) } @sent],
          'every query arrived byte for byte';

my %events;
$events{value(query($_->{uri}), 'en')}++ for @got;

# where a page's address has a "q", it calls both of its hits a search

is_deeply \%events, { page_view => 3, user_engagement => 3,
                      view_search_results => 2, click => 1, scroll => 1,
                      file_download => 1, sign_up => 1 },
          'with the events that it is known for';

for my $hit (@got) {
    my $en = value(query($hit->{uri}), 'en');

    is $hit->{method}, 'POST', "$en: a beacon";
    like $hit->{uri}, qr{\A/g/collect\?v=2&tid=G-ABC1234567&}, 'to the path';
    is $hit->{body}, '', 'without a body';
    is header($hit, 'Host'), 'sgtm.example.com', 'to the tagging server';
    is header($hit, 'X-Forwarded-Host'), 'localhost:' . $t->port, 'of the site';
    is header($hit, 'X-Forwarded-For'), '127.0.0.1', 'from the visitor';
    like header($hit, 'User-Agent'), qr/Chrome/, 'with the browser\'s name';
    unlike $hit->{raw}, qr/of-the-shop/, 'and no cookie of the shop\'s';
}

like header($got[-1], 'Cookie'), qr/^FPID=of-the-tagging-server$/,
     'the cookie of the tagging server came back';


###############################################################################

# the client knows nothing of consent, the gateway does

$tag->clear;
$b->go("$url/?via=advanced&gclid=EAIaIQ");

my ($hit) = $tag->wait_requests(1, 10);
my ($before) = sent('advanced', 1);
my ($is, $was) = map { query($_) } $hit->{uri}, $before->{url};

like $was, qr/gclid/, 'advanced: the page has a click id';
unlike $hit->{raw}, qr/gclid|EAIaIQ/, 'which does not arrive';
is header($hit, 'Cookie'), undef, 'nor does a cookie';
is header($hit, 'X-Forwarded-For'), '127.0.0.0', 'nor the whole address';

for my $name (qw(cid sid)) {
    isnt value($is, $name), value($was, $name), "$name is another";
    like value($is, $name), qr/\A\d+\z/, 'of the same form';
}

for my $name (qw(sct seg)) {
    ok defined value($was, $name), "$name was sent";
    is value($is, $name), undef, 'and is gone';
}

is value($is, $_), value($was, $_), "$_ is the same" for qw(tid _p ul dt sr en);
is value($is, 'npa'), 1, 'no personal ads';

$b->go('about:blank');
$tag->wait_requests(2, 10);
$tag->clear;

$b->go("$url/?via=basic");
$b->evaluate(<<'EOJ');
fetch('/metrics/g/collect?v=2&tid=G-ABC1234567&en=the_last', { method: 'POST' })
EOJ

wait_for { grep { $_->{uri} =~ /the_last/ } $tag->requests };

is_deeply [map { value(query($_->{uri}), 'en') } $tag->requests], ['the_last'],
          'basic: nothing arrives';
is scalar(@sent = sent('basic', 1)), 1, 'though it was sent';

is_deeply $b->complaints, [],
          'the browser has nothing to complain about';

$b->stop;

done_testing;
