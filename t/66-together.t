#!/usr/bin/perl

# Everything that a record can say, in one configuration: meter, quota, rate,
# limit of addresses, queue, residency, credentials, dedup and events' ways, for
# hits, batches, the Measurement Protocol and shops, while the tagging servers
# go and come, nginx reloads and workers are killed.  Guards against faults
# between those parts: a hit that one of them refuses and another remembers, one
# that is counted twice or not, one that goes where its tenant's data may not,
# and a secret that any of them shows.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('together');
my $tools = SGTM::Run::root() . '/build';
my $keys = "$dir/keys";
my $query = 'v=2&tid=G-ABC1234567';
my $serial = 0;

SGTM::Run::put($keys, '2026-11 ' . '5c' x 32 . "\n");
chmod 0600, $keys;

my $answer = sub { $_[0]{mode} eq 'down' ? 503 : 204 };
my ($any, $eu) = map { SGTM::Backend->start($answer) } 1 .. 2;

my %shop = (
    all  => { residency => 'eu', rate => '600r/m', burst => 5,
              fallback => 'queue', api_secrets => ['planted-api'],
              webhooks => { woocommerce => ['planted-woo'] },
              events => { secret => 'off' } },
    over => { quota => 5, quota_action => 'stop', fallback => 'queue',
              api_secrets => ['planted-over'],
              webhooks => { woocommerce => ['planted-ovw'] } },
    goes => { residency => 'eu', fallback => 'queue' },
    off  => { fallback => 'off', features => { dedup => JSON::PP::false } },
    gtag => { tagging => 'gtag', tier => 'professional', residency => 'eu',
              script => 's/a.js' },
    lite => { tagging => 'light', tier => 'starter', residency => 'auto' },
    "we.ird_-1" => { agency => 'north' },
);


sub records {
    my @list = map { {
        id => $_, hosts => [lc(tr/._/--/r) . '.example'],
        tag_ids => ['G-ABC1234567'], containers => ['GTM-ABC1234'],
        credentials => { meta_token => "planted-meta-$_" }, %{ $shop{$_} },
    } } sort keys %shop;

    SGTM::Run::put("$dir/tenants.new", $json->encode({ tenants => \@list }));

    my ($status, $text) = run("$tools/sgtm-tenants", 'seal', '--key-file',
                              $keys, "$dir/tenants.new");
    die "seal: $text" if $status;

    rename "$dir/tenants.new", "$dir/tenants.json" or die "rename: $!\n";
}

records();

my $conf = <<"EOT";
upstream any { server 127.0.0.1:@{[ $any->port ]} max_fails=0; keepalive 8; }
upstream eu { server 127.0.0.1:@{[ $eu->port ]} max_fails=0; keepalive 8; }

sgtm_zone       sgtm 8m;
sgtm_tenants    file=$dir/tenants.json;
sgtm_key_file   $keys;
sgtm_endpoints  sgtm.example.com;
sgtm_meter      $dir/meter interval=250ms;
sgtm_spool      $dir/spool sync=always;

server {
    listen         127.0.0.1:%%PORT%%;
    server_name    _;

    sgtm_endpoint       sgtm.example.com;
    sgtm_upstream       default=any eu=eu eu_endpoint=eu.example.com;
    sgtm_residency      auto country=\$http_x_country;
    sgtm_consent_mode   advanced;
    sgtm_consent_default  analytics_storage=granted ad_storage=granted
                          ad_user_data=granted ad_personalization=granted;
    sgtm_dedup          1h;
    sgtm_rate_limit     60000r/m burst=1000 address=60000r/m;
    sgtm_fallback       queue;
    sgtm_debug          on;
    sgtm_courier        \@courier backoff=100ms;
    sgtm_set_param      ep.token  \$sgtm_credential_meta_token;

    set_real_ip_from    127.0.0.1;
    real_ip_header      X-Real-IP;

    location /metrics/ {
        sgtm           on;
        proxy_pass     http://\$sgtm_upstream\$sgtm_uri;
        include        sgtm_proxy.conf;
    }

    location /queued/ {
        sgtm           on;
        sgtm_delivery  queued;
        proxy_pass     http://\$sgtm_upstream\$sgtm_uri;
        include        sgtm_proxy.conf;
    }

    location \@courier {
        proxy_pass     http://\$sgtm_upstream;
        include        sgtm_proxy.conf;
    }

    location = /status { sgtm_status; }
}
EOT

my ($status, $text) = nginx_t($conf);
is $status, 0, 'nginx -t with all of it' or diag $text;
unlike $text, qr/\[(?:emerg|alert|error)\]/, 'without a complaint';

my $t = SGTM::Test->start($conf, workers => 2);
my %sent;          # id => status, of every hit


sub id { return sprintf 'id%05d', ++$serial }


sub sends {
    my ($res, @ids) = @_;

    $sent{$_} = $res->{status} for @ids;

    return join ' ', $res->{status},
           map { header($res, $_) || () } qw(Sgtm-Disposition Sgtm-Reason);
}


sub hit {
    my ($who, $id, %opt) = @_;

    my $at = $opt{at} || 'metrics';

    return sends($t->get("/$at/g/collect?$query&cid=1." . ($opt{cid} || 2)
                         . '&en=' . ($opt{en} || 'a') . "&ep.event_id=$id",
                         Host => "$who.example", @{ $opt{h} || [] }), $id);
}


sub batch {
    my ($who, @ids) = @_;

    return sends($t->post("/metrics/g/collect?$query&cid=1.2",
                          join("\r\n", map { "en=b&ep.event_id=$_" } @ids),
                          Host => "$who.example"), @ids);
}


sub mp {
    my ($who, $secret, @ids) = @_;

    return sends($t->post("/metrics/mp/collect?measurement_id=G-ABC1234567"
        . "&api_secret=$secret", $json->encode({ client_id => '1.2', events =>
            [map { { name => 'm', params => { event_id => $_ } } } @ids] }),
        Host => "$who.example", 'Content-Type' => 'application/json'), @ids);
}


sub woo {
    my ($who, $secret, $order) = @_;

    my $body = $json->encode({ id => $order, number => "$order",
        status => 'processing', currency => 'EUR', total => '19.99',
        date_created_gmt => '2026-11-20T10:00:00',
        date_paid_gmt => '2026-11-20T10:00:00',
        line_items => [{ id => 1, name => 'Tea', sku => 't', quantity => 1,
                         price => 19.99, total => '19.99' }] });

    my $res = $t->post('/metrics/webhook/woocommerce', $body,
        Host => "$who.example", 'Content-Type' => 'application/json',
        'X-WC-Webhook-Topic' => 'order.updated',
        'X-WC-Webhook-Signature' =>
            encode_base64(hmac_sha256($body, $secret), ''));

    return join ' ', $res->{status},
           map { header($res, $_) || () } qw(Sgtm-Disposition Sgtm-Reason);
}


# ids as they reached a tagging server that took them

sub came {
    my ($tag) = @_;

    return map { "$_->{uri}$_->{body}" =~ /(id\d{5})/g }
           grep { $_->{mode} ne 'down' } $tag->requests;
}


sub meter {
    my ($who) = @_;

    my ($status, $out) = run("$tools/sgtm-meter", "$dir/meter", '--format',
                             'json');
    my %sum;

    for (map { $json->decode($_) } $status ? () : split /\n/, $out) {
        next if $_->{tenant} ne $who;
        for my $key (keys %$_) {
            $sum{$key} += $_->{$key} if $_->{$key} =~ /^\d+$/;
        }
    }

    return \%sum;
}


sub meter_is {
    my ($who, $key, $want, $name) = @_;

    my $got;
    wait_for { $got = meter($who)->{$key} || 0; $got == $want } 5;
    is $got, $want, $name or diag $json->encode(meter($who));
}


subtest 'a quota and dedup' => sub {
    my @ids = map { id() } 1 .. 8;

    is hit('over', $_), '204 forwarded', 'below it' for @ids[0 .. 4];
    is hit('over', $ids[5]), '204 limited quota', 'over it';
    is batch('over', @ids[6, 7]), '204 limited quota', 'a batch';
    is mp('over', 'planted-over', id()), '204 limited quota', 'a server';
    is woo('over', 'planted-ovw', 7001), '204 limited quota', 'a shop';

    $shop{over}{quota} = 1000;
    records();

    my $got;
    wait_for { $got = hit('over', id()); $got =~ /forwarded/ } 5;

    is hit('over', $ids[5]), '204 forwarded', 'what was refused is no duplicate';
    is batch('over', @ids[6, 7]), '204 forwarded', 'nor is a batch';
    is woo('over', 'planted-ovw', 7001), '204 forwarded', 'nor an order';
    is hit('over', $ids[0]), '204 duplicate duplicate', 'what passed is';
};


subtest 'over a rate' => sub {
    my @ids = map { id() } 1 .. 20;
    my @got = map { hit('all', $_) } @ids;
    my $queued = grep { $_ eq '204 queued rate_limit' } @got;

    ok $queued >= 8, "some are queued ($queued)";
    is scalar(grep { /^204 (?:forwarded|queued rate_limit)$/ } @got), 20, 'none is lost';
    is hit('all', $ids[19]) =~ /duplicate/ ? 1 : 0, 1,
       'what is queued is known';

    my @came;
    wait_for { my %s = map { $_ => 1 } @came = came($eu);
               !grep { !$s{$_} } @ids } 8;
    my %seen; $seen{$_}++ for @came;
    is join(' ', map { $seen{$_} || 0 } @ids), join(' ', (1) x 20),
       'each arrives once, in the EU';
    my %else = map { $_ => 1 } came($any);
    is scalar(grep { $else{$_} } @ids), 0, q(and nowhere else);
    meter_is 'all', 'accepted', 21, 'each is metered once';
    meter_is 'all', 'forwarded', 20, 'and forwarded once';
    meter_is 'all', 'duplicate', 1, 'but for the duplicate';

    # events that go nowhere reserve nothing, queued or not

    my $id = id();
    is hit('all', $id, en => 'secret') =~ /^204 filtered/ ? 1 : 0, 1, 'off';
};


subtest 'down and up, records that change and go' => sub {
    $_->mode('down') for $any, $eu;
    sleep 1;

    my @ids = map { id() } 1 .. 6;

    like hit("goes", $ids[0]), qr{^204 queued}, q(queued);
    like hit('goes', $ids[1], at => 'queued'), qr/^204 queued/, 'queued';
    like batch('goes', @ids[2, 3]), qr/^204 queued/, 'a batch';
    like hit('lite', $ids[4], h => ['X-Country' => 'DE']), qr/^204/, 'germany';
    like hit('lite', $ids[5], h => ['X-Country' => 'US']), qr/^204/, 'us';
    like mp('all', 'planted-api', my $m = id()), qr/^204 queued/, 'a server';
    like woo('all', 'planted-woo', 7002), qr/^20\d queued/, 'a shop';

    # secrets at rest

    my $bytes = join '', map { SGTM::Run::get($_) } grep { -f } glob "$dir/spool/* $dir/meter/*";
    unlike $bytes, qr/planted/, 'no secret in the spool and the meter';

    # his data had to stay; his record goes, and another's changes

    delete $shop{goes};
    $shop{lite}{residency} = 'any';
    records();

    wait_for { $t->get('/metrics/t.js', Host => 'goes.example')->{status}
               == 404 } 5;

    $t->reload;
    $t->kill_worker(($t->workers)[0]);
    sleep 0.5;
    $_->mode('') for $any, $eu;

    my @came;
    wait_for { @came = (came($eu), came($any));
               my %s = map { $_ => 1 } @came; !grep { !$s{$_} } @ids, $m } 15;

    my %at; $at{$_} .= 'e' for came($eu); $at{$_} .= 'a' for came($any);
    is join(' ', map { $at{$_} || '-' } @ids, $m), 'e e e e e a e',
       'each arrives once, where its data may be';
};


subtest 'what is shown' => sub {
    for my $path ("/status", "/status?format=prometheus") {
        my $res = $t->get($path, $path =~ /prom/ ? () : (Accept => 'application/json'));
        is $res->{status}, 200, $path;
        unlike $res->{body}, qr/planted/, 'no secret';

        if ($path !~ /prom/) {
            ok eval { $json->decode($res->{body}) }, 'is JSON';
            next;
        }

        my (%help, %type, %series, @bad, %done, $last);

        for (split /\n/, $res->{body}) {
            if (/^# HELP (\S+)/) { push @bad, $_ if $help{$1}++ }
            elsif (/^# TYPE (\S+) (\w+)$/) { push @bad, $_ if $type{$1}; $type{$1} = $2 }
            elsif (/^([a-z_:][a-zA-Z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$/) {
                my ($n, $l) = ($1, $2 || '');
                (my $f = $n) =~ s/_(?:bucket|sum|count)$// if !$type{$n};
                $f = $n if $type{$n};
                push @bad, "again: $_" if $series{"$n$l"}++;
                push @bad, "no type: $_" if !$type{$f} || !$help{$f};
                push @bad, "apart: $_" if $done{$f} && $last ne $f;
                push @bad, "total: $_" if $type{$f} eq 'counter' && $n !~ /_total$/;
                $done{$f} = 1; $last = $f;
            } elsif ($_ ne '') { push @bad, "form: $_" }
        }
        is_deeply \@bad, [], 'Prometheus can read it';
    }

    for (['gtag', '/metrics/s/a.js'], ['lite', '/metrics/t.js'], ['all', '/metrics/t.js']) {
        my $res = $t->get($_->[1], Host => "$_->[0].example");
        is $res->{status}, 200, "$_->[0]: $_->[1]";
        unlike $res->{body}, qr/planted/, 'no secret';
    }

    unlike $t->error_log . $t->access_log, qr/planted/, 'nor in logs';

    my @raw = $any->requests, my @rawe = $eu->requests;
    my @tok = map { "$_->{uri}$_->{body}" =~ /planted-meta-(\w+)/g } @raw, @rawe;
    my %tok; $tok{$_}++ for @tok;
    ok $tok{all} && $tok{over}, 'they reach the tagging server';
};

$t->stop;
done_testing;
