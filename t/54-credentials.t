#!/usr/bin/perl

# Credentials of records: they reach the tagging server, as the parameters that
# sgtm_set_param and set_params name, in queries, batches and JSON, at once or
# out of the spool, with the value that the record has when they are sent.  They
# are nowhere else: planted ones are looked for in the logs (the error log at
# its debug level), in nginx's own variables, in answers, in the status, in the
# spool while hits lie there, in Redis and in its snapshot.  A client's own text
# that looks like a reference is a text.  Guards against a platform's token that
# anyone with a log, a disk or a browser can read, and against a visitor who has
# the gateway write one where he wants it.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Redis;

use Digest::SHA qw(hmac_sha256_hex);
use File::Find ();
use JSON::PP ();

SGTM::Redis::version() >= 7
    or plan skip_all => 'redis-server 7 (Debian: redis-server) is not there';

my $root = SGTM::Run::root();
my $build = $ENV{SGTM_BUILD} || 'release';
my $tools = $build eq 'release' ? "$root/build" : "$root/build/$build";
my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('records');
my $keys = "$dir.keys";
my $nothing = SGTM::Run::port();

# what a client never sends: nginx's own debug log has all that it does

my %secret = (
    meta   => 'planted &=%+"\\/ meta',
    ga4    => 'planted-ga4-secret',
    tiktok => 'planted-tiktok',
    api    => 'planted-api-secret',
    stripe => 'whsec_planted',
    later  => 'planted-later',
);

SGTM::Run::put($keys, 'k1 ' . '5a' x 32 . "\n");
chmod 0600, $keys;


my %a = (
    id          => 'shop-a', hosts => ['a.example'],
    tag_ids     => ['G-AAAAAAAAAA'],
    credentials => { meta_token => $secret{meta}, meta_pixel => '123456',
                     ga4_api_secret => $secret{ga4} },
    set_params  => { 'ep.token' => '$sgtm_credential_meta_token',
                     'ep.pixel' => '$sgtm_credential_meta_pixel',
                     'ep.ga4' => '$sgtm_credential_ga4_api_secret',
                     'ep.plain' => 'a b' },
    api_secrets => [$secret{api}, 'known-to-a'],
    webhooks    => { stripe => [$secret{stripe}] },
);

# its parameters are the location's

my %b = (
    id          => 'shop-b', hosts => ['b.example'],
    tag_ids     => ['G-BBBBBBBBBB'],
    credentials => { tiktok_token => $secret{tiktok} },
    api_secrets => ['known-to-b'],
);

my %c = (id => 'shop-c', hosts => ['c.example'], tag_ids => ['G-CCCCCCCCCC']);

# has one, and sets it nowhere

my %d = (
    id          => 'shop-d', hosts => ['d.example'],
    tag_ids     => ['G-DDDDDDDDDD'], set_params => {},
    credentials => { meta_token => 'planted-of-d' },
);

my %tid = (a => 'G-AAAAAAAAAA', b => 'G-BBBBBBBBBB', c => 'G-CCCCCCCCCC',
           d => 'G-DDDDDDDDDD');

my $redis = SGTM::Redis->start;


# sealed by the program, and into Redis

sub records {
    my (@records) = @_;

    my $file = "$dir/tenants.json";

    SGTM::Run::put($file, $json->encode({ tenants => \@records }));

    my ($status, $text) = run("$tools/sgtm-tenants", 'seal', '--key-file',
                              $keys, $file);
    die "seal: $text" if $status;

    my $sealed = $json->decode(SGTM::Run::get($file));

    $redis->put('shop:', { map { $_->{id} => $json->encode($_) }
                           @{ $sealed->{tenants} } });
}

records(\%a, \%b, \%c, \%d);


my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return $req->{mode} eq 'down' ? 503 : $req->{mode} eq 'cut' ? { drop => 1 }
           : 204;
});

# whatever nginx can tell of a request goes into logs and answers

my $all = join '|', map { "\$$_" }
    qw(request request_uri uri document_uri args query_string is_args
       request_body arg_token http_referer http_cookie sgtm_uri sgtm_tenant
       sgtm_upstream sgtm_event content_length upstream_addr upstream_status
       upstream_http_x proxy_host proxy_add_x_forwarded_for);

my $conf = <<"EOT";
upstream tagging { server 127.0.0.1:@{[ $tag->port ]} max_fails=0; keepalive 4; }

log_format  all  '$all';
access_log  %%DIR%%/all.log  all;

sgtm_tenants    redis=127.0.0.1:@{[ $redis->port ]} prefix=shop:
                snapshot=%%DIR%%/snapshot.json;
sgtm_key_file   $keys;
sgtm_spool      spool;

proxy_cache_path  %%DIR%%/cache  keys_zone=hits:1m;

map \$args \$mapped { default \$args; }

server {
    listen         127.0.0.1:%%PORT%%;
    server_name    _;

    sgtm_endpoint  sgtm.example.com;
    sgtm_courier   \@courier backoff=100ms;
    sgtm_set_param ep.tok \${sgtm_credential_tiktok_token};
    sgtm_set_param ep.x 1;

    add_header     X-All "$all \$mapped" always;

    location /metrics/ {
        sgtm           on;
        sgtm_fallback  queue;
        proxy_pass     http://tagging/;
        include        sgtm_proxy.conf;
    }

    location /queued/ {
        sgtm           on;
        sgtm_delivery  queued;
        sgtm_pass_header  Sgtm-Credentials;
        proxy_pass     http://tagging/;
        include        sgtm_proxy.conf;
    }

    location /resolved/ {
        sgtm           on;
        proxy_pass     http://tagging\$sgtm_uri;
        include        sgtm_proxy.conf;
    }

    location /whole/ {
        sgtm           on;
        proxy_pass     http://tagging;
        include        sgtm_proxy.conf;
    }

    location /nothing/ {
        sgtm           on;
        sgtm_fallback  off;
        proxy_pass     http://127.0.0.1:$nothing/;
        include        sgtm_proxy.conf;
    }

    location /cached/ {
        sgtm                     on;
        proxy_pass               http://tagging/;
        include                  sgtm_proxy.conf;
        proxy_cache              hits;
        proxy_cache_valid        any 1m;
        proxy_cache_lock         on;
    }

    location \@courier {
        access_log  %%DIR%%/courier.log  all;
        add_header  X-All "$all" always;
        proxy_pass  http://tagging;
        include     sgtm_proxy.conf;
    }

    location = /status { sgtm_status; }
}
EOT

my $t = SGTM::Test->start($conf, log_level => 'debug');


sub encoded { return $_[0] =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger }

my $set_a = join '&', 'ep.token=' . encoded($secret{meta}), 'ep.pixel=123456',
                      'ep.ga4=' . encoded($secret{ga4}), 'ep.plain=a%20b';
my $set_b = "ep.tok=$secret{tiktok}&ep.x=1";


sub hit {
    my ($who, $prefix, $more, $body, @headers) = @_;

    my $uri = "/$prefix/g/collect?v=2&tid=$tid{$who}&en=a"
              . (defined $more ? $more : '');
    my @host = (Host => "$who.example", @headers);
    my $res = defined $body ? $t->post($uri, $body, @host)
                            : $t->get($uri, @host);

    my $text = join "\n", map({ "@$_" } @{ $res->{headers} }), $res->{body};

    unlike $text, qr/planted/, 'the answer has none';

    return $res->{status};
}


# a query's arguments, in no order

sub args { return join '&', sort split /&/, $_[0] =~ s/^[^?]*\?//r }


sub came {
    my ($uri, $who, $more, $what) = @_;

    is args($uri), args("?v=2&tid=$tid{$who}&en=a$more"), $what;
}


sub mp {
    my ($who, $prefix, $params) = @_;

    return $t->post("/$prefix/mp/collect?measurement_id=$tid{$who}"
                    . "&api_secret=known-to-$who",
                    $json->encode({ client_id => '1.2', events => [
                        { name => 'one', params => $params || {} },
                        { name => 'two' },
                    ] }),
                    Host => "$who.example",
                    'Content-Type' => 'application/json')->{status};
}


my $order = 0;

sub stripe {
    my ($prefix) = @_;

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
    my $sum = hmac_sha256_hex("$time.$text", $secret{stripe});

    return $t->post("/$prefix/webhook/stripe", $text, Host => 'a.example',
                    'Content-Type' => 'application/json',
                    'Stripe-Signature' => "t=$time,v1=$sum")->{status};
}


subtest 'queries' => sub {
    ok wait_for { hit('a', 'metrics') == 204 && hit('b', 'metrics') == 204 },
       'the records are there';

    $tag->clear;

    for my $prefix (qw(metrics resolved whole cached)) {
        is hit('a', $prefix), 204, "below /$prefix/";
        is hit('b', $prefix, '&_dbg2=1&richsstsse'), 204, 'and the location\'s';
    }

    my @hits = $tag->wait_requests(8);

    for my $i (0 .. 3) {
        came($hits[2 * $i]{uri}, 'a', "&$set_a", 'what the record sets');
        came($hits[2 * $i + 1]{uri}, 'b', "&_dbg2=1&$set_b&richsstsse",
             'what the directive sets');
    }

    like $hits[1]{uri}, qr/&richsstsse$/, 'the last stays the last';
    like $hits[4]{uri}, qr{^/whole/g/collect}, 'a path that is kept';
    is_deeply [grep { defined $_->{h}{'sgtm-credentials'} } @hits], [],
              'nothing else is sent';

    $tag->clear;

    is hit('c', 'metrics'), 204, 'a tenant without credentials';
    is hit('a', 'metrics', '&ep.plain=mine&ep.token=mine'), 204,
       'a client\'s parameters of these names';

    @hits = $tag->wait_requests(2);

    came($hits[0]{uri}, 'c', '&ep.x=1', 'has none');
    came($hits[1]{uri}, 'a', "&$set_a", 'are replaced');
};


subtest 'batches' => sub {
    $tag->clear;

    my $body = "en=x&ep.token=mine&ep.a=1\r\nen=y&ep.b=2";

    is hit('a', 'metrics', '', $body), 204, 'a batch';

    my ($hit) = $tag->wait_requests(1);

    came($hit->{uri}, 'a', "&$set_a", 'is set for all');
    is $hit->{body}, "en=x&ep.a=1\r\nen=y&ep.b=2", 'in the query alone';
};


subtest 'servers and shops' => sub {
    $tag->clear;

    is mp('a', 'metrics', { a => 1, token => 'mine' }), 204, 'a server\'s';
    is mp('b', 'metrics'), 204, 'of another tenant';
    is stripe('metrics'), 204, 'a shop\'s order';

    my @hits = $tag->wait_requests(3);
    my %want = (token => $secret{meta}, pixel => '123456', plain => 'a b',
                ga4 => $secret{ga4});
    my @params = map { [map { $_->{params} }
                        @{ $json->decode($_->{body})->{events} }] } @hits;

    is_deeply $params[0], [{ a => 1, %want }, \%want], 'in each event';
    is_deeply $params[1], [({ tok => $secret{tiktok}, x => '1' }) x 2],
              'of its own record';
    is $params[2][0]{$_}, $want{$_}, "an order's $_" for sort keys %want;
    like $hits[2]{uri}, qr/&api_secret=\Q$secret{api}\E$/,
         'which goes with the first secret';
};


# each is forwarded byte for byte

subtest 'what a visitor writes is a text' => sub {
    my $ref = '%24sgtm_credential_';
    my @own = (
        "&ep.other=${ref}meta_token", "&dl=https%3A%2F%2Fx%2F%3Fa%3D${ref}meta_token",
        "&ep.tok=${ref}meta_token", "&ep%2Epixel2=${ref}meta_pixel",
        "&ep.note=x${ref}meta_token", "&ep.other=\$sgtm_credential_meta_token",
        "&ep.other=\${sgtm_credential_meta_token}", "&up.token=${ref}meta_token",
        "&ep.other=${ref}", "&${ref}meta_token=${ref}meta_token",
        "&ep.other=${ref}meta_token&ep.other=${ref}meta_token",
    );

    for my $own (@own) {
        $tag->clear;
        is hit('a', 'metrics', $own), 204, $own;
        my ($hit) = $tag->wait_requests(1);
        came($hit->{uri}, 'a', "$own&$set_a", 'stays');
        is index($hit->{uri}, $own) > 0, 1, 'where it was';
    }

    # under the names that the gate sets, there is what the gate sets

    for my $own ("&ep.token=${ref}ga4_api_secret", "&ep.token=${ref}meta_token",
                 "&ep.token=${ref}meta_token&ep.token=${ref}meta_token") {
        $tag->clear;
        is hit('a', 'metrics', $own), 204, $own;
        my ($hit) = $tag->wait_requests(1);
        came($hit->{uri}, 'a', "&$set_a", 'is replaced');
    }

    # one whose tenant has no such credential, a preview, another body

    $tag->clear;
    hit('c', 'metrics', "&ep.tok=${ref}tiktok_token&ep.o=${ref}tiktok_token");
    hit('a', 'metrics', "&ep.token=${ref}meta_token", undef,
        'X-Gtm-Server-Preview' => 'ZW52LTE');
    hit('a', 'metrics', '', "en=x&ep.token=${ref}meta_token&ep.o=${ref}meta_token");
    $t->get("/metrics/other?a=${ref}meta_token&ep.token=${ref}meta_token",
            Host => 'a.example');

    my @hits = $tag->wait_requests(4);

    came($hits[0]{uri}, 'c', "&ep.tok=${ref}tiktok_token"
                             . "&ep.o=${ref}tiktok_token&ep.x=1", 'stays');
    came($hits[1]{uri}, 'a', "&ep.token=${ref}meta_token", 'a preview stays');
    is $hits[2]{body}, "en=x&ep.o=${ref}meta_token", 'a line of a batch';
    like $hits[3]{uri}, qr/\?a=${ref}meta_token&ep\.token=${ref}meta_token$/,
         'another path';

    $tag->clear;

    my $mine = '$sgtm_credential_meta_token';

    is mp('a', 'metrics', { other => $mine, items => [{ token => $mine }] }), 204,
       'JSON';
    my ($hit) = $tag->wait_requests(1);
    my $params = $json->decode($hit->{body})->{events}[0]{params};

    is $params->{other}, $mine, 'stays, too';
    is_deeply $params->{items}, [{ token => $mine }], 'also below';
};


# what lies on the disk has references; what is sent, the record's own of then

subtest 'delivered later' => sub {
    my $own = '&ep.other=%24sgtm_credential_meta_token';

    $tag->mode('down');
    $tag->clear;

    is hit('a', 'metrics', $own), 204, 'kept after a failure';
    is hit('a', 'queued', "$own&ep.n=1", undef,
           'Sgtm-Credentials' => 'ep.other=meta_token'), 204, 'queued';
    is $t->get("/queued/g/collect?v=2&tid=$tid{d}&en=a$own",
               'Sgtm-Credentials' => 'ep.other=meta_token',
               Host => 'd.example')->{status}, 204, 'of one that sets none';
    is hit('b', 'queued'), 204, 'of another tenant';
    is hit('c', 'queued', '&ep.tok=%24sgtm_credential_tiktok_token'), 204,
       'of one without';
    is mp('a', 'queued'), 204, 'a server\'s';
    is stripe('queued'), 204, 'a shop\'s';

    ok files_with(qr/ep\.token=%24sgtm_credential_meta_token/) > 0,
       'the spool has references';
    planted('with hits on the disk');

    my ($status, $text) = run("$tools/sgtm-spool", $t->dir . '/spool',
                              'export');

    is $status, 0, 'the spool is read';
    like $text, qr/sgtm_credential_meta_token/, 'by the tool';
    unlike $text, qr/planted/, 'which has no more';

    # a credential changes, another goes

    records({ %a, version => 2,
              credentials => { meta_token => $secret{later},
                               meta_pixel => '777' },
              set_params => { 'ep.pixel' => '$sgtm_credential_meta_pixel' } },
            \%b, \%c, \%d);

    ok wait_for {
        hit('a', 'metrics') == 204
            && grep { $_->{uri} =~ /ep\.pixel=777/ } $tag->requests;
    }, 'the record changes';

    # what this has sent is kept, too

    $tag->mode('');
    $tag->clear;

    my $done = wait_for {
        my $n = $t->status('/status')->{spool};
        $n->{waiting} == 0 && $tag->count >= 7;
    } 15;

    my @hits = $tag->requests;
    my $stamp = '&epn.event_timestamp=0';
    my %uri = map { args($_->{uri} =~ s/(event_timestamp=)\d+/${1}0/r) => 1 }
              grep { $_->{uri} !~ m{^/mp/} } @hits;

    my $later = "&ep.token=$secret{later}&ep.pixel=777&ep.plain=a%20b";

    for (["&$later$own", 'a'], ["&$later$own&ep.n=1", 'a'],
         ["&$set_b", 'b'],
         ['&ep.tok=%24sgtm_credential_tiktok_token&ep.x=1', 'c'], [$own, 'd'])
    {
        my ($args, $who) = @$_;
        ok delete $uri{args("?v=2&tid=$tid{$who}&en=a$args$stamp"
                            =~ s/&&/&/r)}, "$who$args";
    }

    is_deeply [grep { !/ep\.pixel=777/ } keys %uri], [], 'and no other';

    my @bodies = map { $json->decode($_->{body}) }
                 grep { $_->{uri} =~ m{^/mp/} } @hits;

    is @bodies, 2, 'those in JSON';

    for (@bodies) {
        my $params = $_->{events}[0]{params};

        is $params->{token}, $secret{later}, 'have the new one';
        ok !exists $params->{ga4}, 'and not what is gone';
        is $params->{plain}, 'a b', 'what was set then stays';
    }

    is_deeply [grep { defined $_->{h}{'sgtm-credentials'} } @hits], [],
              'the list of them stays here';
    planted('after delivery');
};


subtest 'failures' => sub {
    records(\%a, \%b, \%c, \%d);

    ok wait_for {
        $tag->clear;
        hit('a', 'metrics');
        (($tag->wait_requests(1))[0]{uri} || '') =~ /ep\.ga4/;
    }, 'the records are the old ones again';

    is hit('a', 'nothing'), 502, 'nobody listens';
    is hit('a', 'nothing', '', 'en=b'), 502, 'nor to a batch';
    isnt mp('a', 'nothing'), 204, 'nor to a server';

    $tag->mode('cut');
    is hit('a', 'metrics'), 204, 'a connection that breaks: kept';
    $tag->mode('');

    planted('after failures');

    # a key that is gone

    SGTM::Run::put($keys, 'k2 ' . '5b' x 32 . "\n");
    $t->reload(undef, wait_old => 1);
    sleep 1;
    $tag->clear;

    is hit('a', 'metrics'), 204, 'a credential that does not open';
    is mp('b', 'metrics'), 403, 'nor does a secret';

    my ($hit) = grep { $_->{uri} !~ /event_timestamp/ } $tag->wait_requests(1);

    came($hit->{uri}, 'a', '&ep.pixel=123456&ep.plain=a%20b', 'is not sent');
    ok $t->wait_log(qr/a secret of tenant "shop-\w", "\w+", does not open/),
       'which the log says';
};


subtest 'at rest' => sub {
    is $redis->cmd('TYPE', 'shop:tenant:shop-a'), 'string', 'Redis has it';

    for my $id (qw(shop-a shop-b)) {
        my $text = $redis->cmd('GET', "shop:tenant:$id");
        like $text, qr/sealed:v1:k1:/, 'sealed';
        unlike $text, qr/planted/, 'and not plain';
    }

    ok $t->wait_log(qr/sealed:v1:k1:/, file => 'snapshot.json'),
       'so has the snapshot';

    my ($status, $text) = run("$tools/sgtm-tenants", 'show', 'shop-a',
                              "$dir/tenants.json");

    is $status, 0, 'the tool shows it';
    like $text, qr/"meta_token":\s*"set"/, 'as set';
    unlike $text, qr/planted|sealed/, 'and no more';

    planted('at the end');
};


subtest 'nginx -t' => sub {
    my $try = sub {
        my ($line, $tenants, $more) = @_;

        my (undef, $text) = nginx_t(<<"EOT");
        @{[ $tenants ? "sgtm_tenants file=$dir/tenants.json;" : '' ]}
        server {
            listen       127.0.0.1:%%PORT%%;
            sgtm_tag_id  G-ABC1234567;
            @{[ $more || '' ]}
            location /m/ {
                sgtm on; sgtm_fallback off; $line
                proxy_pass http://127.0.0.1:1;
            }
        }
EOT
        return $text;
    };

    like $try->('sgtm_set_param ep.a $sgtm_credential_meta_token_2;', 1),
         qr/test is successful/, 'one of a kind with a name of its own';

    my $form = qr/"\$sgtm_credential_" and the name of a credential, and nothing else/;

    for ('"a$sgtm_credential_meta_token"', '"$sgtm_credential_meta_token "',
         '$sgtm_credential_', '$sgtm_credential_other',
         '"$sgtm_credential_meta_token$host"', '"${sgtm_credential_meta_token"')
    {
        like $try->("sgtm_set_param ep.a $_;", 1), $form, "$_ is none";
    }

    for (qw(a up.a tid ep. epn.a)) {
        like $try->("sgtm_set_param $_ \$sgtm_credential_meta_token;", 1),
             qr/"ep\." and a name/, "not as $_";
    }

    like $try->('sgtm_set_param ep.a $sgtm_credential_meta_token;'),
         qr/which records have, but there is no "sgtm_tenants"/,
         'without records';

    for ('proxy_set_header X $sgtm_credential_meta_token;',
         'add_header X $sgtm_credential_meta_token;',
         'set $x $sgtm_credential_meta_token;')
    {
        like $try->($_, 1), qr/unknown "sgtm_credential_meta_token" variable/,
             "no other directive: $_";
    }
};

done_testing;


# files of nginx's, the spool's and the records' that have a text

sub files_with {
    my ($re) = @_;

    my @found;

    File::Find::find({ no_chdir => 1, wanted => sub {
        push @found, $_ if -f $_ && SGTM::Run::get($_) =~ $re;
    } }, $t->dir, $dir);

    return @found;
}


sub planted {
    my ($when) = @_;

    is_deeply [files_with(qr/planted/)], [], "no secret is in a file $when";

    for my $format ('json', 'prometheus') {
        unlike $t->get("/status?format=$format")->{body}, qr/planted/,
               "nor in the status, $format";
    }
}
