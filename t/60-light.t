#!/usr/bin/perl

# The light tracker in a real browser, on pages that come over HTTP/2 with TLS
# under a policy of 'none' and 'self': each datum and event of what is collected
# arrives at the tagging server under the name that GA4 knows it by.  A table
# says what a visitor or the page does and what is to arrive then.  It guards
# against an event that is sent under another name, without its parameters,
# twice, or not at all since the policy does not let it.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Digest::SHA qw(sha256_hex);
use SGTM::Shop;
use Time::HiRes qw(time);

my $why = SGTM::Shop::missing();

plan skip_all => $why if $why;

my $uuid = qr/\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}
              -[0-9a-f]{12}\z/x;

# a tone of two seconds, for what can be played

my $wav = pack('A4 V A4 A4 V v v V V v v A4 V', 'RIFF', 36 + 16000, 'WAVE',
               'fmt ', 16, 1, 1, 8000, 8000, 1, 8, 'data', 16000)
          . "\x80" x 16000;

my $body = <<'EOF';
<p><a id="out" class="a b" href="https://elsewhere.example/path?q=1">Away</a>
<a id="in" href="/files/">Prices</a>
<a id="file" href="/files/price%20list.pdf">The <b>price list</b></a></p>
<video id="video" src="/tone.wav" title="A tone" muted></video>
<form id="newsletter" name="letters" action="/files/subscribe" method="post">
<input id="email" name="email"><button id="subscribe">Subscribe</button></form>
<div style="height:4000px"></div>
EOF

# style attributes are nothing that the policy allows

$body =~ s/<div style.*/'<p>' . "text<br>\n" x 300/e;

my $shop = SGTM::Shop->start(
    sites => {
        'light.example' => <<'EOC',
            sgtm_tagging          light;
            sgtm_consent_mode     advanced;
            sgtm_consent_default  ad_storage=granted analytics_storage=granted
                                  ad_user_data=granted
                                  ad_personalization=granted;
EOC
    },
    locations => 'location /files/ { return 204; }',
    pages => {
        'index.html' => SGTM::Shop::page($body,
            title => 'Größe &amp; Maß: 100 %',
            head  => '<script src="/page.js"></script>'),

        # as sites have it, and what they queue before the tag is there

        'page.js' => <<'EOJ',
window.dataLayer = window.dataLayer || [];
function gtag() { dataLayer.push(arguments); }
function sgtm() { dataLayer.push(arguments); }
gtag('js', new Date());
if (location.pathname == '/early') {
    gtag('set', 'user_properties', { plan: 'gold', visits: 7 });
    gtag('event', 'early_gtag', { n: 1 });
    dataLayer.push({ event: 'early_push', ecommerce: {
        currency: 'EUR', value: 3, items: [{ item_id: 'early' }] } });
    sgtm('event', 'early_sgtm', { n: 2 });
}
EOJ
        'tone.wav' => $wav,
    },
);


# Items, in the form of gtag() and of the wire.

my $items = <<'EOJ';
[{ item_id: 'pot', item_name: 'Teapot, 0.8 l', item_brand: 'Leaf & Kettle',
   item_category: 'Pots', item_category2: 'c2', item_category3: 'c3',
   item_category4: 'c4', item_category5: 'c5', item_variant: 'black',
   price: 48, quantity: 2, coupon: 'MAY', discount: 4.5, index: 3,
   item_list_id: 'home', item_list_name: 'Every day', affiliation: 'us',
   location_id: 'L1', glaze: 'matt' },
 { item_id: 'cup', item_name: 'Cup', price: 14.5, quantity: 1 }]
EOJ

my %pr1 = (id => 'pot', nm => 'Teapot, 0.8 l', br => 'Leaf & Kettle',
           ca => 'Pots', c2 => 'c2', c3 => 'c3', c4 => 'c4', c5 => 'c5',
           va => 'black', pr => 48, qt => 2, cp => 'MAY', ds => 4.5, lp => 3,
           li => 'home', ln => 'Every day', af => 'us', lo => 'L1',
           k0 => 'glaze', v0 => 'matt');

my %pr2 = (id => 'cup', nm => 'Cup', pr => 14.5, qt => 1);

# what a page says of an event, and what is to arrive of it

my @commerce = (
    [view_item_list => "item_list_id: 'home', item_list_name: 'Every day'",
     'ep.item_list_id' => 'home', 'ep.item_list_name' => 'Every day'],
    [select_item => "item_list_name: 'Every day'",
     'ep.item_list_name' => 'Every day'],
    [view_item => "currency: 'EUR', value: 110.5",
     cu => 'EUR', 'epn.value' => 110.5],
    [add_to_wishlist => "currency: 'EUR', value: 110.5",
     cu => 'EUR', 'epn.value' => 110.5],
    [add_to_cart => "currency: 'EUR', value: 110.5",
     cu => 'EUR', 'epn.value' => 110.5],
    [remove_from_cart => "currency: 'EUR', value: 14.5",
     cu => 'EUR', 'epn.value' => 14.5],
    [view_cart => "currency: 'EUR', value: 96", cu => 'EUR',
     'epn.value' => 96],
    [begin_checkout => "currency: 'EUR', value: 96, coupon: 'MAY'",
     cu => 'EUR', 'epn.value' => 96, 'ep.coupon' => 'MAY'],
    [add_payment_info => "currency: 'EUR', value: 96, payment_method: 'card',"
                         . " shipping_tier: 'bicycle'",
     cu => 'EUR', 'epn.value' => 96, 'ep.payment_method' => 'card',
     'ep.shipping_tier' => 'bicycle'],
    [purchase => "transaction_id: 'T-1 & 2', value: 110.5, tax: 17.64,"
                 . " shipping: 4.9, currency: 'EUR', coupon: 'MAY'",
     'ep.transaction_id' => 'T-1 & 2', 'epn.value' => 110.5,
     'epn.tax' => 17.64, 'epn.shipping' => 4.9, cu => 'EUR',
     'ep.coupon' => 'MAY'],
    [refund => "transaction_id: 'T-1 & 2', value: 14.5, currency: 'EUR'",
     'ep.transaction_id' => 'T-1 & 2', 'epn.value' => 14.5, cu => 'EUR'],
    [view_promotion => "promotion_id: 'P1', promotion_name: 'May',"
                       . " creative_name: 'banner', creative_slot: 'top'",
     'ep.promotion_id' => 'P1', 'ep.promotion_name' => 'May',
     'ep.creative_name' => 'banner', 'ep.creative_slot' => 'top'],
    [select_promotion => "promotion_id: 'P1', promotion_name: 'May'",
     'ep.promotion_id' => 'P1', 'ep.promotion_name' => 'May'],
);

my @plain = (
    [search => "search_term: 'green tea'", 'ep.search_term' => 'green tea'],
    [share => "method: 'mail', content_type: 'tea', item_id: 'pot'",
     'ep.method' => 'mail', 'ep.content_type' => 'tea', 'ep.item_id' => 'pot'],
    [sign_up => "method: 'mail'", 'ep.method' => 'mail'],
    [login => "method: 'mail'", 'ep.method' => 'mail'],
    [generate_lead => "currency: 'EUR', value: 30, lead_type: 'phone',"
                      . " lead_value: 30, form_id: 'call'",
     cu => 'EUR', 'epn.value' => 30, 'ep.lead_type' => 'phone',
     'epn.lead_value' => 30, 'ep.form_id' => 'call'],
    [our_own => "text: 'Gr\\xf6\\xdfe %20 & \\u{1f375}', zero: 0, minus: -1.5,"
                . " yes: true, empty: '', none: null, nothing: undefined",
     'ep.text' => "Gr\xc3\xb6\xc3\x9fe %20 & \xf0\x9f\x8d\xb5",
     'epn.zero' => 0, 'epn.minus' => -1.5, 'ep.yes' => 'true'],
);


# The rows: [visitor, step, event, parameters].  A value is a text, a pattern,
# undef for what is not to be there, or a code that is asked.

my (@rows, %steps, %options, %cookies);

sub row {
    my ($visitor, $steps, $event, %params) = @_;

    push @{ $steps{$visitor} }, @$steps;
    push @rows, [$visitor, $event, \%params] if defined $event;
}

sub url { return "https://$_[0].light.example" . ($_[1] || '/') }

my $now = time;

row first => [[go => url('first', '/page?a=b&utm_source=s&utm_medium=m'
                                  . '&utm_campaign=n&utm_term=k'
                                  . '&utm_content=c&gclid=EAIaIQ&fbclid=IwAR'
                                  . '&ttclid=tt&wbraid=wb&gbraid=gb'
                                  . '&msclkid=ms')]],
    page_view => (
        v => 2, tid => 'G-ABC1234567', cid => $uuid, sid => qr/\A\d+\z/,
        sct => 1, seg => qr/\A[01]\z/, _fv => 1, _ss => 1, _p => qr/\A\d+\z/,
        _s => 1, gcs => 'G111', gcd => qr/\A1.t.t.t.t./,
        dl => qr{\Ahttps://first\.light\.example/page\?a=b&utm_source=s&},
        dt => "Gr\xc3\xb6\xc3\x9fe & Ma\xc3\x9f: 100 %", ul => 'de-at',
        sr => '1280x800', 'ep.viewport_size' => '1000x700',
        'epn.device_pixel_ratio' => 2, 'ep.timezone' => 'Europe/Vienna',
        'ep.event_id' => $uuid, 'ep.script_version' => qr/\A\d/,
        'epn.event_timestamp' => sub { abs($_[0] / 1000 - $now) < 60 },
        'epn.page_view_number' => 1, uid => undef,
        cs => 's', cm => 'm', cn => 'n', ck => 'k', cc => 'c',
        (map { ("ep.$_" => qr/\A\w+\z/) }
             qw(gclid fbclid ttclid wbraid gbraid msclkid)),
        uaa => qr/./, uab => qr/./, uamb => 0, uap => 'Linux',
        uafvl => qr/Chromium/, uaw => 0,
    );

$options{first} = { locale => 'de-AT', timezoneId => 'Europe/Vienna',
                    viewport => { width => 1000, height => 700 },
                    screen => { width => 1280, height => 800 },
                    deviceScaleFactor => 2 };

# campaigns are kept for the session, a view has a number, a visitor an id

row first => [[leave => url('first', '/second')]],
    page_view => (_fv => undef, _ss => undef, sct => 1, cs => 's', cm => 'm',
                  'ep.gclid' => 'EAIaIQ', 'epn.page_view_number' => 2,
                  dr => qr{\Ahttps://first\.light\.example/page\?a=b},
                  dl => 'https://first.light.example/second');

row first => [[js => "gtag('set', { user_id: 'u-1' });"
                     . " gtag('event', 'known', {})"]],
    known => (uid => 'u-1');

# what a visitor does

row acts => [[go => url('acts')]], page_view => (cid => '123.456', _fv => undef);

$cookies{acts} = [{ name => '_ga', value => 'GA1.1.123.456',
                    url => url('acts') }];

row acts => [[click => '#out']],
    click => ('ep.link_url' => 'https://elsewhere.example/path?q=1',
              'ep.link_domain' => 'elsewhere.example', 'ep.link_id' => 'out',
              'ep.outbound' => 'true');

row acts => [[click => '#file']],
    file_download => ('ep.file_name' => '/files/price%20list.pdf',
                      'ep.file_extension' => 'pdf',
                      'ep.link_text' => 'The price list',
                      'ep.link_url' => 'https://acts.light.example/files/'
                                       . 'price%20list.pdf');

row acts => [[js => "document.querySelector('#video').play()"],
             [wait => 300]],
    video_start => ('ep.video_provider' => 'html5', 'ep.video_title' => 'A tone',
                    'ep.video_url' => 'https://acts.light.example/tone.wav',
                    'epn.video_duration' => 2);

for my $percent (25, 50, 75, 100) {
    row acts => [[scroll => $percent], [wait => 400]],
        scroll => ('epn.percent_scrolled' => $percent,
                   'epn.scroll_depth_pixels' => qr/\A\d+\z/);
}

row acts => [[fill => '#email', 'a@b.example']],
    form_start => ('ep.form_id' => 'newsletter', 'ep.form_name' => 'letters',
                   'ep.form_destination' =>
                   'https://acts.light.example/files/subscribe');

row acts => [[click => '#subscribe']],
    form_submit => ('ep.form_id' => 'newsletter', 'ep.form_name' => 'letters',
                    'ep.form_destination' =>
                    'https://acts.light.example/files/subscribe');

row search => [[go => url('search', '/?q=green+tea%20%26')]],
    search => ('ep.search_term' => 'green tea &');

# ten seconds with a page

row reader => [[go => url('reader')], [wait => 10500]],
    user_engagement => (_et => qr/\A1\d{4}\z/, _p => qr/\d/);

# commerce, told in both ways

for my $way (qw(gtag push)) {
    row $way => [[go => url($way)]], page_view => (cid => $uuid);

    for (@commerce) {
        my ($event, $text, %params) = @$_;
        my $code = $way eq 'gtag'
                   ? "gtag('event', '$event', { $text, items: $items })"
                   : "dataLayer.push({ ecommerce: null });"
                     . " dataLayer.push({ event: '$event',"
                     . " ecommerce: { $text, items: $items } })";

        row $way => [[js => $code]],
            $event => (%params, pr1 => \%pr1, pr2 => \%pr2, pr3 => undef,
                       'ep.event_id' => $uuid);
    }
}

for my $way (qw(gtag push sgtm)) {
    for (@plain) {
        my ($event, $text, %params) = @$_;

        row "$way-plain" => [[go => url("$way-plain")]]
            if !$steps{"$way-plain"};

        row "$way-plain" =>
            [[js => $way eq 'push' ? "dataLayer.push({ event: '$event', $text })"
                                   : "$way('event', '$event', { $text })"]],
            $event => (%params, 'ep.event_id' => $uuid, 'ep.none' => undef,
                       'ep.nothing' => undef);
    }
}

# what was queued before the script came

row early => [[go => url('early', '/early')]], page_view => ();
row early => [], early_gtag => ('epn.n' => 1, 'up.plan' => 'gold',
                                'upn.visits' => 7);
row early => [], early_push => (cu => 'EUR', 'epn.value' => 3,
                                pr1 => { id => 'early' });
row early => [], early_sgtm => ('epn.n' => 2);

# who somebody is, hashed

row person => [[go => url('person')],
               [js => "gtag('set', 'user_data', { email: ' Ada\@Visitor.example',"
                      . " phone_number: '+43 (1) 234-567', address: {"
                      . " first_name: ' Ada ', last_name: 'Lovelace',"
                      . " postal_code: '1010', country: 'AT' } })"],
               [wait => 100], [js => "gtag('event', 'order', {})"],
               [wait => 300]],
    order => (
        'ep.user_data.sha256_email_address' => sha256_hex('ada@visitor.example'),
        'ep.user_data.sha256_phone_number' => sha256_hex('+431234567'),
        'ep.user_data.address.sha256_first_name' => sha256_hex('ada'),
        'ep.user_data.address.sha256_last_name' => sha256_hex('lovelace'),
    );

# another session: half an hour without activity, which a clock tells

row again => [[clock => 1.7e12], [go => url('again')]],
    page_view => (_fv => 1, _ss => 1, sct => 1);
row again => [[go => 'https://elsewhere.example/page'],
              [later => 31 * 60 * 1000],
              [go => url('again', '/later')]],
    page_view => (_fv => undef, _ss => 1, sct => 2,
                  'epn.page_view_number' => 1);


###############################################################################

my @visitors = do { my %seen; grep { !$seen{$_}++ } 'reader',
                                    map { $_->[0] } @rows };

my $done = $shop->browser->run('visit.mjs', 'visits',
    [map { { steps => $steps{$_}, options => $options{$_} || {},
             cookies => $cookies{$_} } } @visitors], 5);

my %wanted;
my %found;

push @{ $wanted{$_->[0]}{$_->[1]} }, $_ for @rows;

for my $visitor (@visitors) {
    my $wanted = $wanted{$visitor};
    my $host = "$visitor.light.example";

    my @events = $shop->wait_events($host, sub {
        my %n;
        $n{$_->{en}}++ for @_;
        return !grep { ($n{$_} || 0) < @{ $wanted->{$_} } } keys %$wanted;
    }, 3);

    push @{ $found{$visitor}{$_->{en}} }, $_ for @events;

    my %ids = map { ($_->{'ep.event_id'} || '') => 1 } @events;

    is scalar keys %ids, @events, "$visitor: each event has an id of its own";
}


# "id1~nm2" of an item as a hash; a custom pair is "k0name~v0value"

sub item {
    my ($text) = @_;

    return { map { /\A(..)(.*)\z/s } split /~/, $text };
}


sub check {
    my ($event, $name, $want, $what) = @_;

    my $got = $event->{$name};

    return is_deeply item(defined $got ? $got : ''), $want, "$what: $name"
        if ref $want eq 'HASH';

    return like defined $got ? $got : '(none)', $want, "$what: $name"
        if ref $want eq 'Regexp';

    return ok defined $got && $want->($got), "$what: $name" if ref $want;

    return is $got, $want, "$what: $name";
}


for my $row (@rows) {
    my ($visitor, $name, $params) = @$row;
    my $event = shift @{ $found{$visitor}{$name} || [] };

    ok $event, "$visitor: $name has arrived" or next;
    check($event, $_, $params->{$_}, "$visitor: $name") for sort keys %$params;
}

# who leaves says once more for how long he was there

for my $visitor (@visitors) {
    for my $name (grep { $_ ne 'user_engagement' }
                       sort keys %{ $wanted{$visitor} })
    {
        is scalar @{ $found{$visitor}{$name} || [] }, 0,
           "$visitor: $name came no more often";
    }
}

for my $n (0 .. $#visitors) {
    is_deeply $done->[$n]{complaints}, [],
              "$visitors[$n]: the browser has nothing to complain about";
}

$shop->stop;

done_testing;
