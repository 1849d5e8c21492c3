#!/usr/bin/perl

# Webhooks: orders and refunds of Stripe, Shopify and WooCommerce, signed as
# these shops sign them (Stripe's by its own library), through a real nginx to a
# tagging server that records.  Guards against an order that anybody could make
# up, one that is counted twice because the shop sends it again, or not at all
# because the first attempt failed; against a secret, a signature or the shop's
# own address that travels or is logged; and against user data without consent.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep);

my $root = SGTM::Run::root();
my $tool = SGTM::Run::program('sgtm-spool');
my $json = JSON::PP->new->utf8->canonical;

my %secret = (stripe => 'whsec_of_stripe', shopify => 'of the shop "42"',
              woocommerce => 'k#9|;{x}$');
my $api_secret = 'secret of GA/4 & more';

my $dir = SGTM::Run::dir('secrets');

for my $shop (keys %secret) {
    SGTM::Run::put("$dir/$shop", "$secret{$shop}\n");
    chmod 0600, "$dir/$shop";
}

SGTM::Run::put("$dir/api", "$api_secret\n");
SGTM::Run::put("$dir/rotate", "\r\n  \nwhsec_old\r\nwhsec_new");
chmod 0600, "$dir/api", "$dir/rotate";

# what the tagging server does is said by the mode

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return [503, [], 'no'] if ($req->{mode} || '') eq 'down';
    return [400, [], 'bad'] if ($req->{mode} || '') eq 'bad';
    return [302, [Location => '/'], 'moved'] if ($req->{mode} || '') eq 'moved';
    return { drop => 1 } if ($req->{mode} || '') eq 'drop';
    return { status => 200, body => 'taken', delay => 0.3 }
        if ($req->{mode} || '') eq 'slow';
    return [200, [], 'taken'];
});

my $nobody = SGTM::Run::port();

my $shops = join ' ', map { "sgtm_webhook $_ secret_file=$dir/$_;" }
                          sort keys %secret;

sub gateway {
    my ($prefix, $more, $to) = @_;

    $to = 'http://tagging/' if !$to;
    $more .= ' sgtm_fallback off;' if $more !~ /sgtm_fallback/;

    return <<"EOC";
        location /$prefix/ {
            sgtm         on;
            sgtm_tenant  $prefix;
            $more
            proxy_pass   $to;
            include      sgtm_proxy.conf;
        }
EOC
}

my $locations = join '',
    gateway('metrics', $shops),
    gateway('bare', $shops, 'http://tagging'),
    gateway('variable', $shops, 'http://$to$sgtm_uri'),
    gateway('client', "$shops sgtm_fallback client;"),
    gateway('nobody', "$shops sgtm_fallback client;", 'http://nobody/'),
    gateway('one', "sgtm_webhook shopify secret_file=$dir/shopify;"),
    gateway('none', ''),
    gateway('rotate', "sgtm_webhook stripe secret_file=$dir/rotate;"),
    gateway('small', "$shops sgtm_max_body 1k;"),
    gateway('dedup', "$shops sgtm_dedup 1h;"),
    gateway('short', "$shops sgtm_dedup 1s;"),
    gateway('kept', "$shops sgtm_fallback queue;"),
    gateway('queued', "$shops sgtm_delivery queued;"),
    (map { gateway("of$_", "$shops sgtm_tag_id G-OFSHOP000$_;")
               =~ s/(sgtm_tenant).*?;/$1 \$host;/r } 1 .. 2),
    gateway('basic', "$shops sgtm_consent_mode basic;"),
    gateway('advanced', "$shops sgtm_consent_mode advanced;
                         sgtm_consent_server analytics_storage=granted;");

my $config = <<"EOC";
    log_format  all  '\$request|\$request_uri|\$args|\$uri|\$sgtm_event|'
                     '\$sgtm_disposition|\$sgtm_reason|\$sgtm_client_ip|'
                     '\$http_stripe_signature|\$http_cookie|\$status|'
                     '\$sgtm_uri';
    access_log  %%DIR%%/all.log  all;

    upstream tagging { server 127.0.0.1:@{[ $tag->port ]} max_fails=0;
                       keepalive 4; }
    upstream nobody { server 127.0.0.1:$nobody max_fails=0; }

    sgtm_spool  spool;

    server {
        listen  127.0.0.1:%%PORT9%%;
        location = /status { sgtm_status; }
    }

    server {
        listen       127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name  shop.example;

        set \$to tagging;

        sgtm_endpoint    sgtm.example.com;
        sgtm_tag_id      AW-123456 G-ABC1234567 G-SECOND1234;
        sgtm_api_secret  $dir/api;
        sgtm_courier     \@courier backoff=100ms;

        location \@courier {
            proxy_pass  http://tagging;
            include     sgtm_proxy.conf;
        }

        $locations
    }
EOC

my $t = SGTM::Test->start($config, workers => 2);


###############################################################################

# how each of the shops sends

my $n = 0;

sub unique { return sprintf 'x%dy%d', $$, ++$n }


sub sign {
    my ($shop, $body, %opt) = @_;

    my $secret = defined $opt{secret} ? $opt{secret} : $secret{$shop};

    if ($shop eq 'stripe') {
        my $time = defined $opt{time} ? $opt{time} : time;

        return ('Stripe-Signature' => "t=$time,v1="
                . hmac_sha256_hex("$time.$body", $secret));
    }

    my $hash = encode_base64(hmac_sha256($body, $secret), '');

    return $shop eq 'shopify' ? ('X-Shopify-Hmac-Sha256' => $hash)
                              : ('X-WC-Webhook-Signature' => $hash);
}


sub post {
    my ($prefix, $shop, $body, @headers) = @_;

    return $t->request('POST', "/$prefix/webhook/$shop?token=in-the-query",
                       ['Content-Type' => 'application/json', @headers],
                       $body);
}


sub send_order {
    my ($prefix, $shop, $topic, $body) = @_;

    return post($prefix, $shop, $body, sign($shop, $body),
                $shop eq 'shopify' ? ('X-Shopify-Topic' => $topic)
                : $shop eq 'woocommerce' ? ('X-WC-Webhook-Topic' => $topic)
                : ());
}


sub stripe_order {
    my ($id, %more) = @_;

    return $json->encode({
        id => 'evt_' . unique(), object => 'event', created => time - 60,
        livemode => JSON::PP::true, type => 'checkout.session.completed',
        data => { object => {
            id => "cs_$id", object => 'checkout.session', mode => 'payment',
            amount_total => 1999, currency => 'eur',
            payment_status => 'paid', payment_intent => "pi_$id",
            total_details => { amount_tax => 319, amount_shipping => 500 },
            customer_details => { email => 'Jane@Example.com', phone => undef,
                                  address => { country => 'DE' } },
            %more,
        } },
    });
}


sub shopify_order {
    my ($id, %more) = @_;

    return $json->encode({
        id => $id + 0, currency => 'USD', total_price => '409.94',
        total_tax => '11.94', financial_status => 'paid',
        line_items => [{ sku => 'A-1', title => "T\x{e9}i\x{20ac}re",
                         price => '199.00', quantity => 2 }],
        %more,
    });
}


sub woocommerce_order {
    my ($id, %more) = @_;

    my @now = gmtime;
    my $now = sprintf '%04d-%02d-%02dT%02d:%02d:%02d', $now[5] + 1900,
                      $now[4] + 1, @now[3, 2, 1, 0];

    return $json->encode({
        id => $id + 0, number => "$id", status => 'processing',
        currency => 'JPY', total => '1500', total_tax => '0',
        date_created_gmt => $now, date_paid_gmt => $now,
        date_modified_gmt => $now, refunds => [], %more,
    });
}


sub counters {
    my ($tenant) = @_;

    my $res = $t->request('GET', '/status?format=json', [], undef, nth => 9);

    return $json->decode($res->{body})->{tenants}{$tenant};
}


# the events that have arrived since the last call

sub arrived {
    my ($wanted) = @_;

    my @got = $tag->wait_requests($wanted);
    sleep 0.05;
    @got = $tag->requests;
    $tag->clear;

    return map { $json->decode($_->{body}) } @got;
}


sub names {
    return join ' ', map { my $hit = $_;
                           map { $_->{name} } @{ $hit->{events} } } @_;
}


###############################################################################

subtest 'what arrives' => sub {
    my $body = stripe_order('first', client_reference_id => '11.22',
                            metadata => { event_id => 'e-1',
                                          ga_session_id => '1700000000' });

    my $res = post('metrics', 'stripe', $body, sign('stripe', $body),
                   Cookie => '_ga=GA1.1.99.99; session=1',
                   'X-Forwarded-For' => '203.0.113.9',
                   Referer => 'https://dashboard.example/?x=1',
                   Authorization => 'Basic xyz',
                   'User-Agent' => 'Stripe/1.0');

    is $res->{status}, 200, 'the answer of the tagging server';
    is $res->{body}, 'taken', 'as it is';

    my ($hit) = $tag->wait_requests(1);
    $tag->clear;

    is $hit->{method}, 'POST', 'a POST';
    is $hit->{uri}, '/mp/collect?measurement_id=G-ABC1234567&api_secret='
                    . 'secret%20of%20GA%2F4%20%26%20more',
       'of the Measurement Protocol, with the first stream and secret';
    is header($hit, 'Content-Type'), 'application/json', 'JSON';
    is header($hit, 'Content-Length'), length $hit->{body}, 'of its length';
    is header($hit, 'User-Agent'), 'Stripe/1.0', 'the shop\'s name';
    is header($hit, $_), undef, "no $_"
        for qw(Stripe-Signature Cookie X-Forwarded-For X-Real-IP Referer
               Authorization);
    is header($hit, 'X-Forwarded-Host'), 'shop.example', 'of this host';

    my $got = $json->decode($hit->{body});
    my $time = delete $got->{timestamp_micros};

    cmp_ok abs($time / 1e6 - time + 60), '<', 10, 'dated as the event';

    is_deeply $got, { client_id => '11.22', events => [{
        name => 'purchase', params => {
            transaction_id => 'pi_first', currency => 'EUR', value => 19.99,
            tax => 3.19, shipping => 5, event_id => 'e-1',
            session_id => '1700000000', engagement_time_msec => 1,
        } }] }, 'a purchase';
    like $hit->{body}, qr/"value":19\.99,"tax":3\.19,"shipping":5,/,
         'to the cent';
};


subtest 'every shop, by every way to the tagging server' => sub {
    my %order = (
        stripe => ['', sub { stripe_order($_[0]) }],
        shopify => ['orders/paid', sub { shopify_order($_[0]) }],
        woocommerce => ['order.updated', sub { woocommerce_order($_[0]) }],
    );
    my %value = (stripe => 19.99, shopify => 409.94, woocommerce => 1500);
    my $id = 1000;

    for my $prefix (qw(metrics bare variable client one dedup)) {
        for my $shop (sort keys %order) {
            next if $prefix eq 'one' && $shop ne 'shopify';

            my ($topic, $make) = @{ $order{$shop} };
            my $res = send_order($prefix, $shop, $topic, $make->(++$id));

            is $res->{status}, 200, "$prefix, $shop";

            my ($hit) = $tag->wait_requests(1);
            $tag->clear;

            next if !ok $hit, 'has arrived';

            my $below = $prefix eq 'bare' ? '/bare' : '';

            like $hit->{uri}, qr{\A$below/mp/collect\?measurement_id=G-ABC},
                 'at the right place';

            my $event = $json->decode($hit->{body})->{events}[0];

            is $event->{params}{value}, $value{$shop}, 'with its value';
            is $event->{params}{items}[0]{item_name}, "T\x{e9}i\x{20ac}re",
               'and items' if $shop eq 'shopify';
        }
    }
};


subtest 'signed by Stripe\'s library' => sub {
    plan skip_all => 'npm has not been run in t/'
        if !-d "$root/t/node_modules/stripe";

    my $body = stripe_order('library');

    SGTM::Run::put("$dir/body", $body);

    my ($status, $header) = run('node', "$root/t/lib/stripe.cjs", "$dir/body",
                                $secret{stripe});

    is $status, 0, 'it signs' or diag $header;
    is post('metrics', 'stripe', $body, 'Stripe-Signature' => $header)
           ->{status}, 200, 'which is good';
    is names(arrived(1)), 'purchase', 'and the order arrives';

    is post('metrics', 'stripe', "$body ", 'Stripe-Signature' => $header)
           ->{status}, 401, 'for another body it is not';

    ($status, $header) = run('node', "$root/t/lib/stripe.cjs", "$dir/body",
                             $secret{stripe}, time - 400);

    is post('metrics', 'stripe', $body, 'Stripe-Signature' => $header)
           ->{status}, 400, 'of another time it is not either';
};


# name, shop, prefix, body, headers, status, text, reason

my $good = stripe_order('never');
my $long = '{"x":"' . 'y' x (1024 * 1024) . '"}';
my $paid = shopify_order(77);

my @bad = (
    ['no signature', 'stripe', 'metrics', $good, [], 401,
     "signature: wrong\n", 'signature'],
    ['a wrong one', 'stripe', 'metrics', $good,
     [sign('stripe', $good, secret => 'whsec_x')], 401, "signature: wrong\n",
     'signature'],
    ['of another body', 'stripe', 'metrics', "$good\n",
     [sign('stripe', $good)], 401, "signature: wrong\n", 'signature'],
    ['of another shop', 'shopify', 'metrics', $paid,
     [sign('woocommerce', $paid), 'X-Shopify-Topic' => 'orders/paid'], 401,
     "signature: wrong\n", 'signature'],
    ['too old', 'stripe', 'metrics', $good,
     [sign('stripe', $good, time => time - 302)], 400,
     qr/\Asignature: .+\n\z/, 'stale'],
    ['too new', 'stripe', 'metrics', $good,
     [sign('stripe', $good, time => time + 310)], 400,
     qr/\Asignature: .+\n\z/, 'stale'],
    ['no JSON', 'shopify', 'metrics', 'value-of-somebody',
     [sign('shopify', 'value-of-somebody'), 'X-Shopify-Topic' =>
      'orders/paid'], 400, qr/\Abody: .+\n\z/, 'json'],
    ['no order', 'shopify', 'metrics', '{"id":5,"currency":"value"}',
     [sign('shopify', '{"id":5,"currency":"value"}'), 'X-Shopify-Topic' =>
      'orders/paid'], 400, qr/\Acurrency: .+\n\z/, 'json'],
    ['no body', 'shopify', 'metrics', '', [sign('shopify', ''),
     'X-Shopify-Topic' => 'orders/paid'], 400, qr/\Abody: .+\n\z/, 'json'],
    ['too large', 'stripe', 'metrics', $long, [sign('stripe', $long)], 413,
     qr/\Abody: .+\n\z/, 'too_large'],
    ['no such shop here', 'stripe', 'one', $good, [sign('stripe', $good)],
     404, qr/\Apath: .+\n\z/, 'path'],
    ['no shop at all', 'stripe', 'none', $good, [sign('stripe', $good)],
     404, qr/\Apath: .+\n\z/, 'path'],
);

subtest 'what is refused' => sub {
    for my $case (@bad) {
        my ($name, $shop, $prefix, $body, $headers, $status, $text, $reason)
            = @$case;

        my $before = counters($prefix);
        my $res = post($prefix, $shop, $body, @$headers);
        my $after = $before;

        # it is counted once it has been answered

        wait_for {
            $after = counters($prefix);
            $after->{hits}{refused} > $before->{hits}{refused};
        };

        is $res->{status}, $status, "$name: $status";
        like $res->{body}, ref $text ? $text : qr/\A\Q$text\E\z/,
             'one line says why';
        unlike $res->{body}, qr/value|evt_|whsec|never/, 'without a value';
        is $after->{reasons}{$reason} - ($before->{reasons}{$reason} || 0), 1,
           "counted as $reason";
        is $after->{hits}{refused} - $before->{hits}{refused}, 1,
           'and as refused';
    }

    for my $shop (qw(Stripe stripe/ STRIPE//)) {
        my $res = post('metrics', $shop, $good);

        is $res->{status}, 401, "$shop is no way past the signature";
        is +(my @none = $tag->requests), 0, 'nothing arrives';
    }

    my $res = $t->get('/metrics/webhook/stripe');

    is $res->{status}, 405, 'no GET';
    is header($res, 'Allow'), 'POST, OPTIONS', 'but a POST';

    my $chunked = join '', (sprintf "%x\r\n%s\r\n", length $long, $long),
                           "0\r\n\r\n";

    $res = $t->request('POST', '/metrics/webhook/stripe',
                       [sign('stripe', $long), 'Transfer-Encoding' =>
                        'chunked'], $chunked);

    is $res->{status}, 413, 'too large in chunks, too';
    is scalar(my @none = $tag->requests), 0, 'and none of it has arrived';
};


subtest 'pings, topics and orders that are no sale' => sub {
    my $before = counters('metrics');

    my $res = $t->request('POST', '/metrics/webhook/woocommerce',
                          ['Content-Type' =>
                           'application/x-www-form-urlencoded'],
                          'webhook_id=12');

    is $res->{status}, 200, 'a ping of WooCommerce has no signature';
    is post('metrics', 'woocommerce', 'webhook_id=12&order=5')->{status}, 401,
       'nothing else may go without';
    is post('metrics', 'shopify', 'webhook_id=12')->{status}, 401,
       'nor with the others';

    my $event = '{"type":"customer.created","data":{}}';

    is send_order('metrics', 'stripe', '', $event)->{status}, 200,
       'another event of Stripe';
    is send_order('metrics', 'stripe', '',
                  stripe_order('later', payment_status => 'unpaid'))->{status},
       200, 'a session that is not paid';
    is send_order('metrics', 'shopify', 'products/update',
                  shopify_order(1))->{status}, 200, 'another of Shopify';
    is send_order('metrics', 'shopify', 'orders/create',
                  shopify_order(1, financial_status => 'pending'))->{status},
       200, 'an order that is not paid';
    is send_order('metrics', 'woocommerce', 'order.updated',
                  woocommerce_order(1, status => 'on-hold'))->{status}, 200,
       'one of WooCommerce';

    my $after;

    wait_for {
        $after = counters('metrics');
        $after->{hits}{filtered} >= $before->{hits}{filtered} + 6;
    };

    is $after->{reasons}{topic} - ($before->{reasons}{topic} || 0), 6,
       'all are counted';
    is $after->{hits}{filtered} - $before->{hits}{filtered}, 6,
       'as nothing to be sent';
    is scalar(my @none = $tag->requests), 0, 'and nothing is';
};


subtest 'sent again' => sub {
    my $id = 5_000_000_000_001;
    my $before = counters('metrics');

    my $body = stripe_order('again');

    is send_order('metrics', 'stripe', '', $body)->{status}, 200, 'once';
    is names(arrived(1)), 'purchase', 'it arrives';

    for my $nth (2 .. 4) {
        my $res = send_order('metrics', 'stripe', '', $body);
        is $res->{status}, 200, "$nth times";
    }

    is send_order('metrics', 'stripe', '', stripe_order('again'))->{status},
       200, 'another event of the same payment';
    is names(arrived(0)), '', 'nothing more arrives';

    my $after;

    wait_for {
        $after = counters('metrics');
        $after->{hits}{duplicate} >= $before->{hits}{duplicate} + 4;
    };

    is $after->{hits}{duplicate} - $before->{hits}{duplicate}, 4,
       'counted as duplicates';

    is send_order('client', 'stripe', '', $body)->{status}, 200,
       'another tenant\'s';
    is names(arrived(1)), 'purchase', 'is another';

    is send_order('metrics', 'shopify', 'orders/create', shopify_order($id))
           ->{status}, 200, 'a new order that is paid';
    is send_order('metrics', 'shopify', 'orders/paid', shopify_order($id))
           ->{status}, 200, 'and the news that it is';
    is names(arrived(1)), 'purchase', 'are one sale';
};


subtest 'sent again at the same time' => sub {
    $tag->mode('slow');

    my $body = stripe_order('twice');
    my @clients = map { $t->http } 1 .. 6;

    for my $c (@clients) {
        $c->request('POST', '/metrics/webhook/stripe',
                    [Host => 'shop.example', sign('stripe', $body)], $body);
    }

    my %status;
    $status{$_->response->{status}}++ for @clients;

    is_deeply \%status, { 200 => 6 }, 'each is answered 200';
    is names(arrived(1)), 'purchase', 'one arrives';

    $tag->mode('');
};


subtest 'two shops that count alike' => sub {
    for my $n (1 .. 2) {
        is $t->request('POST', "/of$n/webhook/woocommerce",
                       [Host => "shop$n.example", 'X-WC-Webhook-Topic' =>
                        'order.updated', sign('woocommerce', $_)], $_)
           ->{status}, 200, "order 1 of shop $n"
            for woocommerce_order(1);

        my ($got) = $tag->wait_requests(1);

        $tag->clear;
        like $got->{uri}, qr/measurement_id=G-OFSHOP000$n&/, 'in its stream';
    }
};


subtest 'a change of an order tells of its past again' => sub {
    my $id = 7001;
    my @refunds = ({ id => 1, total => '-500' });

    is send_order('metrics', 'woocommerce', 'order.created',
                  woocommerce_order($id))->{status}, 200, 'an order';
    is names(arrived(1)), 'purchase', 'is a purchase';

    is send_order('metrics', 'woocommerce', 'order.updated',
                  woocommerce_order($id, status => 'completed'))->{status},
       200, 'it is sent off';
    is names(arrived(0)), '', 'which is nothing new';

    is send_order('metrics', 'woocommerce', 'order.updated',
                  woocommerce_order($id, refunds => [@refunds]))->{status},
       200, 'a part goes back';

    my @got = arrived(1);
    is names(@got), 'refund', 'a refund alone';
    is $got[0]{events}[0]{params}{value}, 500, 'of that part';

    unshift @refunds, { id => 2, total => '-1000' };

    is send_order('metrics', 'woocommerce', 'order.updated',
                  woocommerce_order($id, status => 'refunded',
                                    refunds => [@refunds]))->{status},
       200, 'the rest goes back';

    @got = arrived(1);
    is names(@got), 'refund', 'one more refund';
    is $got[0]{events}[0]{params}{value}, 1000, 'of the rest';

    is send_order('metrics', 'woocommerce', 'order.updated',
                  woocommerce_order($id, status => 'refunded',
                                    refunds => [@refunds]))->{status},
       200, 'a note on it';
    is names(arrived(0)), '', 'is nothing new';
};


subtest 'a failure is not the end' => sub {
    my %does = (down => 'answers 503', drop => 'hangs up');

    for my $prefix (qw(metrics client)) {
        for my $mode (sort keys %does) {
            my $body = stripe_order("$prefix-$mode");

            $tag->mode($mode);

            my $res = send_order($prefix, 'stripe', '', $body);

            is $res->{status}, 503, "$prefix, it $does{$mode}: 503";
            like header($res, 'Retry-After'), qr/\A[1-9]\d*\z/, 'for now';
            unlike $res->{body}, qr/browser|client/i, 'of interest to a shop';

            $tag->mode('');
            $tag->clear;

            is send_order($prefix, 'stripe', '', $body)->{status}, 200,
               'sent again';
            is names(arrived(1)), 'purchase', 'it arrives';
            is send_order($prefix, 'stripe', '', $body)->{status}, 200,
               'and again';
            is names(arrived(0)), '', 'it has been there';
        }
    }

    my $body = stripe_order('nobody');

    is send_order('nobody', 'stripe', '', $body)->{status}, 503,
       'nobody is there';
    is send_order('nobody', 'stripe', '', $body)->{status}, 503,
       'which does not make the order a duplicate';

    $tag->mode('bad');
    is send_order('metrics', 'stripe', '', stripe_order('bad'))->{status}, 400,
       'a refusal of the tagging server passes';
    $tag->mode('');
    $tag->clear;

    # a shop does not follow, as a browser does: it sends again

    $body = stripe_order('moved');

    $tag->mode('moved');

    my $before = counters('metrics')->{hits}{failed};

    is send_order('metrics', 'stripe', '', $body)->{status}, 302,
       'so does a redirect';

    wait_for { counters('metrics')->{hits}{failed} > $before } 2;
    is counters('metrics')->{hits}{failed} - $before, 1, 'counted as a failure';
    $tag->mode('');
    $tag->clear;
    is send_order('metrics', 'stripe', '', $body)->{status}, 200,
       'sent again';
    is names(arrived(1)), 'purchase', 'it arrives';
};


subtest 'secrets that are replaced' => sub {
    for my $secret (qw(whsec_old whsec_new)) {
        my $body = stripe_order($secret);

        is post('rotate', 'stripe', $body,
                sign('stripe', $body, secret => $secret))->{status}, 200,
           "$secret is good";
    }

    my $body = stripe_order('no more');

    is post('rotate', 'stripe', $body, sign('stripe', $body, secret => ''))
           ->{status}, 401, 'an empty line is no secret';

    SGTM::Run::put("$dir/rotate", "whsec_new\n");
    $t->reload(undef, wait_old => 1);

    is post('rotate', 'stripe', $body,
            sign('stripe', $body, secret => 'whsec_old'))->{status}, 401,
       'the old one is gone after a reload';

    $body = stripe_order('whsec_old');

    is post('rotate', 'stripe', $body,
            sign('stripe', $body, secret => 'whsec_new'))->{status}, 200,
       'the new one stays';
    is scalar(my @two = $tag->wait_requests(2)), 2,
       'an order of before the reload is known still';
    $tag->clear;
};


subtest 'consent' => sub {
    my $clear = qr/jane|example\.com/i;
    my $hash = sha256_hex('jane@example.com');

    for my $prefix (qw(metrics advanced)) {
        my $denied = $json->encode({});

        send_order($prefix, 'stripe', '', stripe_order("a-$prefix"));
        send_order($prefix, 'stripe', '',
                   stripe_order("b-$prefix",
                                metadata => { ad_user_data => 'denied' }));
        send_order($prefix, 'stripe', '',
                   stripe_order("c-$prefix",
                                metadata => { ad_user_data => 'granted' }));

        my @got = $tag->wait_requests(3);
        $tag->clear;

        unlike $_->{body}, $clear, "$prefix: nobody in clear" for @got;
        unlike $_->{body}, qr/user_data"?:\{"sha/, 'nor hashed'
            for @got[0, 1];
        like $got[2]{body}, qr/"sha256_email_address":\["$hash"\]/,
             'hashed with consent';
        like $got[2]{body}, qr/"consent":\{"ad_user_data":"GRANTED"/,
             'which is told';
    }

    my $res = send_order('basic', 'stripe', '', stripe_order('basic'));

    is $res->{status}, 204, 'basic: no consent of a server, nothing is sent';
    is names(arrived(0)), '', 'at all';
};


subtest 'with a queue' => sub {
    for my $prefix (qw(kept queued)) {
        my $body = stripe_order($prefix);

        $tag->mode('down');

        is send_order($prefix, 'stripe', '', $body)->{status}, 204,
           "$prefix: taken while the tagging server is away";
        is send_order($prefix, 'stripe', '', $body)->{status}, 200,
           'and known';

        $tag->mode('');

        wait_for { grep { $_->{mode} ne 'down' } $tag->requests } 10;
        sleep 0.3;

        my @all = grep { $_->{mode} ne 'down' } $tag->requests;

        is scalar @all, 1, 'it arrives, once';
        is $all[0]{uri}, '/mp/collect?measurement_id=G-ABC1234567'
                         . '&api_secret=secret%20of%20GA%2F4%20%26%20more',
           'where it belongs';
        is header($all[0], 'Content-Type'), 'application/json', 'as JSON';
        is header($all[0], $_), undef, "no $_"
            for qw(Stripe-Signature X-Forwarded-For);
        is names($json->decode($all[0]{body})), 'purchase', 'whole';

        $tag->clear;
    }

    # directly, a redirect is what the shop gets, and the order is kept

    my $body = stripe_order('kept-moved');

    $tag->mode('moved');
    is send_order('kept', 'stripe', '', $body)->{status}, 302, 'a redirect';
    $tag->mode('');
    $tag->clear;
    $tag->wait_requests(1, 10);
    is names(map { $json->decode($_->{body}) } $tag->requests), 'purchase',
       'which delivers nothing: the courier does';
    is send_order('kept', 'stripe', '', $body)->{status}, 200, 'it is known';
    sleep 0.3;
    is $tag->count, 1, 'and not sent again';
    $tag->clear;
};


subtest 'beside sgtm_dedup' => sub {
    my $res = $t->post('/dedup/g/collect?v=2&tid=G-ABC1234567&cid=1.2'
                       . '&en=purchase&ep.transaction_id=pi_page', '');

    is $res->{status}, 200, 'the page was faster';
    $tag->wait_requests(1);
    $tag->clear;

    like send_order('dedup', 'stripe', '', stripe_order('page'))->{status},
         qr/\A20[04]\z/, 'the webhook comes after it';
    is names(arrived(0)), '', 'and is no second sale';

    is send_order('dedup', 'stripe', '', stripe_order('shop'))->{status}, 200,
       'the webhook was faster';
    is names(arrived(1)), 'purchase', 'it is sent';

    $t->post('/dedup/g/collect?v=2&tid=G-ABC1234567&cid=1.2&en=purchase'
             . '&ep.transaction_id=pi_shop', '');
    sleep 0.1;
    is scalar(my @none = $tag->requests), 0, 'the page comes too late';

    # a sale of the page's is known to the webhook for as long as any other

    $t->post('/short/g/collect?v=2&tid=G-ABC1234567&cid=1.2&en=purchase'
             . '&ep.transaction_id=8101', '');
    $tag->wait_requests(1);
    $tag->clear;

    is send_order('short', 'woocommerce', 'order.created',
                  woocommerce_order(8101))->{status}, 204, 'of the page';

    sleep 1.5;

    is send_order('short', 'woocommerce', 'order.updated',
                  woocommerce_order(8101, status => 'completed'))->{status},
       200, 'a change of the order, when sgtm_dedup has forgotten it';
    is names(arrived(0)), '', 'is no second sale';
};


subtest 'what is left of a delivery is counted' => sub {
    my @refunds = map { { id => $_, total => '-100' } } 1 .. 3;

    is send_order('queued', 'woocommerce', 'order.updated',
                  woocommerce_order(8201, refunds => [@refunds]))->{status},
       204, 'a sale and refunds';
    is names(arrived(1)), 'purchase refund refund refund', 'arrive';

    my $before = counters('queued');

    $tag->mode('down');

    is send_order('queued', 'woocommerce', 'order.updated',
                  woocommerce_order(8201, refunds => [
                      { id => 4, total => '-100' }, @refunds
                  ]))->{status}, 204, 'another refund';

    # a request is counted when it has ended, after its answer

    my $after;

    wait_for {
        $after = counters('queued');
        $after->{events} != $before->{events};
    } 5;

    is $after->{events} - $before->{events}, 5, 'of five events';
    is $after->{duplicate_events} - $before->{duplicate_events}, 4,
       'four are known';

    my ($status, $out) = run($tool, $t->dir . '/spool', 'export');

    is $json->decode($out)->{events}, 1, 'one is in the spool';

    $tag->mode('');

    wait_for { grep { $_->{mode} ne 'down' } $tag->requests } 10;

    my @got = grep { $_->{mode} ne 'down' } $tag->requests;

    $tag->clear;
    is names(map { $json->decode($_->{body}) } @got), 'refund', 'one arrives';
};


subtest 'bodies in files and over HTTP/2' => sub {
    my @items = map { { sku => "S-$_", title => 'x' x 80, price => '1.00',
                        quantity => 1, grams => $_ } } 1 .. 800;
    my $body = shopify_order(91, line_items => \@items);

    cmp_ok length $body, '>', 64 * 1024, 'a large order';
    is send_order('small', 'shopify', 'orders/paid', $body)->{status}, 200,
       'over sgtm_max_body, from a file';

    my ($got) = arrived(1);
    is scalar @{ $got->{events}[0]{params}{items} }, 200, 'has 200 items';

    $body = shopify_order(92, line_items => \@items);

    my $chunked = join '', (map { sprintf "%x\r\n%s\r\n", length $_, $_ }
                                $body =~ /(.{1,1000})/gs), "0\r\n\r\n";

    my $res = $t->request('POST', '/metrics/webhook/shopify',
                          [sign('shopify', $body), 'Transfer-Encoding' =>
                           'chunked', 'X-Shopify-Topic' => 'orders/paid'],
                          $chunked);

    is $res->{status}, 200, 'in chunks';
    is names(arrived(1)), 'purchase', 'arrives';

    my $h2 = $t->h2(nth => 2);

    $body = stripe_order('h2');

    my $id = $h2->request('POST', '/metrics/webhook/stripe',
                          [sign('stripe', $body)], $body);

    is $h2->response($id)->{status}, 200, 'over HTTP/2';
    is names(arrived(1)), 'purchase', 'arrives';
    $h2->close;
};


subtest 'the logs' => sub {
    $tag->clear;
    send_order('metrics', 'stripe', '', stripe_order('logged'));
    $tag->wait_requests(1);
    $t->wait_log(qr/POST/, file => 'all.log');
    sleep 0.1;

    my $log = $t->file('all.log');

    like $log, qr/^POST\ \/metrics\/webhook\/stripe\S*\ HTTP\/1\.1\|
                  [^\n]*\|purchase\|forwarded\|/mx, 'a line of each';

    my $all = $log . $t->error_log . $t->access_log;

    unlike $all, qr/\Q$_\E/i, "no $_"
        for 'secret%20', 'secret of', 'v1=', 'in-the-query', 'whsec',
            'example.com';
    unlike $log, qr/webhook.*\|127\.0\.0\.1\|/, 'nor an address as a visitor\'s';
};


###############################################################################

# the directive

my @faults = (
    ['magento secret_file=secret', qr/invalid value "magento" .* must be/],
    ['stripe file=secret', qr/invalid value "file=secret"/],
    ['stripe secret_file=', qr/invalid value "secret_file="/],
    ['stripe secret_file=nowhere', qr/open\(\) "\S*nowhere" failed/],
    ["stripe secret_file=$dir/empty", qr/no secret in "\Q$dir\E/],
    ["stripe secret_file=$dir/many", qr/more than 8 secrets/],
    ["stripe secret_file=$dir/large", qr/no file of at most 64k/],
    ["stripe secret_file=$dir", qr/\Q$dir\E" is no file/],
    ["stripe secret_file=$dir/api; sgtm_webhook stripe secret_file=$dir/api",
     qr/"sgtm_webhook" directive is duplicate/],
    ['stripe', qr/invalid number of arguments/],
);

SGTM::Run::put("$dir/empty", "\n \r\n");
SGTM::Run::put("$dir/large", 'x' x 100_000);
SGTM::Run::put("$dir/many", "x\n" x 9);

for my $fault (@faults) {
    my ($args, $error) = @$fault;
    my ($status, $out) = nginx_t("sgtm_webhook $args;");

    isnt $status, 0, "sgtm_webhook $args";
    like $out, $error, 'is an error';
}

is((nginx_t("sgtm_webhook stripe secret_file=$dir/stripe;
             server { location /a/ { sgtm_webhook stripe
                                     secret_file=$dir/rotate; } }"))[0], 0,
   'a location may have its own');

for my $case (['AW-123456 GT-ABC1234', 1], ['AW-123456 G-ABC1234567', 0]) {
    my ($ids, $wanted) = @$case;
    my ($status, $out) = nginx_t(<<"EOC");
        server {
            sgtm_tag_id  $ids;
            location /a/ {
                sgtm          on;
                sgtm_webhook  stripe secret_file=$dir/stripe;
                proxy_pass    http://127.0.0.1:$nobody/;
            }
        }
EOC
    is $status, 0, "sgtm_tag_id $ids";
    is scalar(() = $out =~ /"sgtm_webhook".* "G-"/g), $wanted,
       $wanted ? 'a warning: orders have no stream' : 'orders have a stream';
}

done_testing;
