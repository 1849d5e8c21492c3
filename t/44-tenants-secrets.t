#!/usr/bin/perl

# The secrets of records: sealed in the file, opened when they are used, and
# nowhere else to be read.  What servers and shops send is judged by the record
# of the tenant that they send to; what is delivered later has the endpoint and
# the secret that the record has then.  Guards against one tenant's secret that
# opens another's door, a secret in a log, in the spool or in the status, and one
# that is still good after it has gone.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Digest::SHA qw(hmac_sha256_hex);
use File::Find ();
use JSON::PP ();

my $root = SGTM::Run::root();
my $build = $ENV{SGTM_BUILD} || 'release';
my $tools = $build eq 'release' ? "$root/build" : "$root/build/$build";
my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('records');
my $file = "$dir/tenants.json";
my $keys = "$dir.keys";

my %secret = (
    a => 'planted-secret-of-a', a2 => 'planted-second-of-a',
    b => 'planted-secret-of-b', stripe_a => 'whsec_planted_a',
    stripe_b => 'whsec_planted_b',
);

SGTM::Run::put($keys, 'k1 ' . '5a' x 32 . "\n");
chmod 0600, $keys;


# sealed before nginx sees them

sub records {
    my (@records) = @_;

    my $new = "$dir.new";

    SGTM::Run::put($new, $json->encode({ tenants => \@records }));

    my ($status, $text) = run("$tools/sgtm-tenants", 'seal', '--key-file',
                              $keys, $new);
    die "seal: $text" if $status;

    rename $new, $file or die "rename: $!\n";
}

my %a = (
    id          => 'shop-a',
    hosts       => ['a.example'],
    tag_ids     => ['G-AAAAAAAAAA'],
    endpoint    => 'sgtm-a.example.com',
    fallback    => 'queue',
    api_secrets => [$secret{a}, $secret{a2}],
    webhooks    => { stripe => [$secret{stripe_a}] },
);

my %b = (
    id          => 'shop-b',
    hosts       => ['b.example'],
    tag_ids     => ['G-BBBBBBBBBB'],
    api_secrets => [$secret{b}],
    webhooks    => { stripe => [$secret{stripe_b}], shopify => [] },
);

my %c = (id => 'shop-c', hosts => ['c.example'], tag_ids => ['G-CCCCCCCCCC']);

records(\%a, \%b, \%c);

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return $req->{mode} eq 'down' ? 503 : 204;
});

my $t = SGTM::Test->start(<<"EOT");
upstream tagging { server 127.0.0.1:@{[ $tag->port ]} max_fails=0; keepalive 4; }

log_format  all  '\$request|\$request_uri|\$args|\$uri|\$sgtm_tenant|\$sgtm_uri|'
                 '\$sgtm_disposition|\$sgtm_reason|\$request_body|\$status';
access_log  %%DIR%%/all.log  all;

sgtm_tenants    file=$file;
sgtm_key_file   $keys;
sgtm_endpoints  sgtm-a.example.com sgtm-new.example.com;
sgtm_spool      spool;

server {
    listen         127.0.0.1:%%PORT%%;
    server_name    _;

    sgtm_endpoint  sgtm.example.com;
    sgtm_courier   \@courier backoff=100ms;

    location /metrics/ {
        sgtm           on;
        proxy_pass     http://tagging/;
        include        sgtm_proxy.conf;
    }

    location /queued/ {
        sgtm           on;
        sgtm_delivery  queued;
        proxy_pass     http://tagging/;
        include        sgtm_proxy.conf;
    }

    location \@courier {
        access_log  %%DIR%%/courier.log  all;
        proxy_pass  http://tagging;
        include     sgtm_proxy.conf;
    }

    location = /status { sgtm_status; }
}
EOT

my %tid = ('a.example' => 'G-AAAAAAAAAA', 'b.example' => 'G-BBBBBBBBBB',
           'c.example' => 'G-CCCCCCCCCC');
my $body = '{"client_id":"1.2","events":[{"name":"one"}]}';


sub mp {
    my ($host, $secret, $prefix) = @_;

    return $t->post('/' . ($prefix || 'metrics')
                    . "/mp/collect?measurement_id=$tid{$host}"
                    . (defined $secret ? "&api_secret=$secret" : ''), $body,
                    Host => $host, 'Content-Type' => 'application/json');
}


my $order = 0;

# an order of Stripe's, signed

sub stripe {
    my ($host, $secret, $prefix) = @_;

    my $id = ++$order;
    my $text = $json->encode({
        id => "evt_$id", object => 'event', created => time - 60,
        livemode => JSON::PP::true, type => 'checkout.session.completed',
        data => { object => {
            id => "cs_$id", object => 'checkout.session', mode => 'payment',
            amount_total => 1999, currency => 'eur',
            payment_status => 'paid', payment_intent => "pi_$id",
        } },
    });
    my $time = time;
    my $sum = hmac_sha256_hex("$time.$text", $secret);

    return $t->post('/' . ($prefix || 'metrics') . '/webhook/stripe', $text,
                    Host => $host, 'Content-Type' => 'application/json',
                    'Stripe-Signature' => "t=$time,v1=$sum");
}


subtest 'servers' => sub {
    $tag->clear;

    is mp('a.example', $secret{a})->{status}, 204, 'the first secret';
    is mp('a.example', $secret{a2})->{status}, 204, 'the second';
    is mp('b.example', $secret{b})->{status}, 204, 'of another tenant';

    my @hits = $tag->wait_requests(3);

    like $hits[0]{uri}, qr/measurement_id=G-AAAAAAAAAA&api_secret=\Q$secret{a}\E$/,
         'which travels as it came';

    is mp('a.example', $secret{b})->{status}, 403, 'the other one\'s';
    is mp('b.example', $secret{a})->{status}, 403, 'and the other way';
    is mp('a.example', 'guess')->{status}, 403, 'a guess';
    is mp('a.example', '')->{status}, 403, 'an empty one';
    is mp('a.example')->{status}, 403, 'none';
    is mp('c.example', $secret{a})->{status}, 403, 'a tenant that has none';

    my $sealed = $json->decode(SGTM::Run::get($file))
                      ->{tenants}[0]{api_secrets}[0];

    like $sealed, qr/^sealed:/, 'in the file it is sealed';
    is mp('a.example', $sealed =~ s/([^A-Za-z0-9])/sprintf '%%%02x', ord $1/ger)
           ->{status}, 403, 'which opens nothing';
};

subtest 'shops' => sub {
    $tag->clear;

    is stripe('a.example', $secret{stripe_a})->{status}, 204, 'signed';
    is stripe('b.example', $secret{stripe_b})->{status}, 204,
       'by another tenant\'s shop';

    my @hits = $tag->wait_requests(2);

    like $hits[0]{uri}, qr/measurement_id=G-AAAAAAAAAA&api_secret=\Q$secret{a}\E$/,
         'with the record\'s own secret';
    is $hits[0]{h}{host}, 'sgtm-a.example.com', 'to its endpoint';
    like $hits[1]{uri}, qr/api_secret=\Q$secret{b}\E$/, 'each has its own';

    is stripe('a.example', $secret{stripe_b})->{status}, 401,
       'the other one\'s signature';
    is stripe('c.example', $secret{stripe_a})->{status}, 404,
       'a tenant without shops';
    is $t->post('/metrics/webhook/shopify', '{}', Host => 'b.example')
           ->{status}, 404, 'a shop without secrets';
};

subtest 'delivered later' => sub {
    $tag->clear;
    $tag->mode('down');

    # kept after a failure, kept by the location, and of a shop

    is mp('a.example', $secret{a2})->{status}, 204, 'kept';
    is mp('b.example', $secret{b}, 'queued')->{status}, 204, 'queued';
    is stripe('a.example', $secret{stripe_a}, 'queued')->{status}, 204,
       'an order';
    is $t->get('/queued/g/collect?v=2&tid=G-AAAAAAAAAA&en=a&cid=1.2',
               Host => 'a.example')->{status}, 204, 'a browser\'s hit';

    ok files_with(qr/shop-a.*G-AAAAAAAAAA/s) > 0, 'the spool has hits';
    planted('with hits on the disk');

    # the record has changed meanwhile

    records({ %a, endpoint => 'sgtm-new.example.com',
              api_secrets => ['planted-third-of-a'],
              containers => ['GTM-NNNNNNN'] }, \%b, \%c);

    ok wait_for { $t->get('/metrics/gtm.js?id=GTM-NNNNNNN',
                          Host => 'a.example')->{status} != 403 },
       'the record changes';

    $tag->mode('');
    $tag->clear;

    my @hits = $tag->wait_requests(4, 10);
    my %seen;

    for (@hits) {
        my ($secret) = $_->{uri} =~ /api_secret=([^&]*)/;
        my ($id) = $_->{uri} =~ /(?:measurement_id|tid)=([^&]*)/;

        $seen{join '|', $_->{h}{host}, $id, $secret || ''}++;
    }

    is_deeply \%seen, {
        'sgtm-new.example.com|G-AAAAAAAAAA|planted-third-of-a' => 2,
        'sgtm-new.example.com|G-AAAAAAAAAA|' => 1,
        "sgtm.example.com|G-BBBBBBBBBB|$secret{b}" => 1,
    }, 'each has what its record has now';

    planted('after delivery');
};

subtest 'a key that is gone' => sub {
    SGTM::Run::put($keys, 'k2 ' . '5b' x 32 . "\nk1 " . '5a' x 32 . "\n");
    $t->reload(undef, wait_old => 1);

    is mp('b.example', $secret{b})->{status}, 204, 'an older key opens';

    SGTM::Run::put($keys, 'k2 ' . '5b' x 32 . "\n");
    $t->reload(undef, wait_old => 1);

    is mp('b.example', $secret{b})->{status}, 403, 'without it none does';
    is stripe('b.example', $secret{stripe_b})->{status}, 401,
       'nor a shop\'s';
    is stripe('b.example', '')->{status}, 401, 'and nothing else does';

    ok $t->wait_log(qr/secret of tenant "shop-b", "api_secrets", does not open/),
       'which the log says';
};

planted('at the end');

done_testing;


# files of nginx's and of the records that hold a text

sub files_with {
    my ($re) = @_;

    my @found;

    File::Find::find({ no_chdir => 1, wanted => sub {
        push @found, $_ if -f $_ && SGTM::Run::get($_) =~ $re;
    } }, $t->dir, $dir);

    return @found;
}


# what was planted is in none, and the status does not tell it

sub planted {
    my ($when) = @_;

    is_deeply [files_with(qr/planted/)], [], "no secret is in a file $when";

    for my $format ('json', 'prometheus') {
        unlike $t->get("/status?format=$format")->{body}, qr/planted/,
               "nor in the status, $format";
    }
}
