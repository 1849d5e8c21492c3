# Every file of conf-examples is a whole configuration that works as it stands:
# only addresses, certificates and paths of the operator's are replaced here.
# Each takes a hit over TLS and delivers it over TLS to a tagging server whose
# certificate is verified, at the path that the example's upstream wants; one
# with a queue does so also when the tagging server was away, and that of a fleet
# without its Redis.  The agency's has its customers in records, whose secrets
# are sealed.
#
# Guards against examples that rot: a directive that was renamed, a proxy_set_
# header that hides the include's, a path that reaches the tagging server
# wrong, an upstream that is not verified.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();


my $tid = 'G-ABC1234567';
my $granted = "v=2&tid=$tid&gcs=G111&gcd=13r3r3r3r5l1&cid=1.2&en=page_view"
              . '&dl=https%3A%2F%2Fshop.example%2F%3Fgclid%3DMARK&_p=1';
my $denied = "v=2&tid=$tid&gcs=G100&gcd=13p3p3p3p5l1&cid=1.2&en=page_view"
             . '&dl=https%3A%2F%2Fshop.example%2F%3Fgclid%3DMARK&_p=1';

my %example = (
    'agency.conf' => {
        endpoint => 'sgtm.example.com', path => '/g/collect',
        denied => 204, script => qr/GTM-ABC1234/, queue => 1,
        more => '&ep.meta_pixel=123456789&ep.meta_token=EAAB-token',
        also => \&agency, dir => \&agency_dir,
    },
    'customer.conf' => {
        endpoint => 'sgtm.example.com', path => '/g/collect',
        denied => 204, script => qr/GTM-ABC1234/, queue => 1,
    },
    'strict-csp.conf' => {
        endpoint => 'sgtm.example.com', path => '/g/collect',
        denied => undef, script => qr/\Q$tid\E/,
    },
    'tag-gateway.conf' => {
        endpoint => 'G-ABC1234567.fps.goog', path => '/metrics/g/collect',
        denied => 204, script => qr/\Q$tid\E/,
        header => ['x-forwarded-countryregion', 'US-CA'],
    },
    'fleet.conf' => {
        endpoint => 'sgtm.example.com', path => '/g/collect',
        denied => 204, script => qr/GTM-ABC1234/, queue => 1, fleet => 1,
    },
    'resolver.conf' => {
        endpoint => 'sgtm.example.com', path => '/g/collect',
        denied => 204, script => qr/\Q$tid\E/,
    },
);

my @files = map { m{([^/]+)\z} } glob "$FindBin::Bin/../conf-examples/*.conf";

is_deeply [sort grep { $_ ne 'sgtm_proxy.conf' } @files],
          [sort keys %example], 'every example is tested';

# the recording server speaks plain HTTP: nginx puts TLS before it

my $tag = SGTM::Backend->start;

my $front = SGTM::Test->start(<<"EOT", names => 'localhost,sgtm.example.com,sgtm-eu.example.com,G-ABC1234567.fps.goog');
server {
    listen               127.0.0.1:%%PORT%% ssl;
    ssl_certificate      %%CERT%%;
    ssl_certificate_key  %%KEY%%;

    location / {
        proxy_pass          http://127.0.0.1:@{[ $tag->port ]};
        proxy_http_version  1.1;
        proxy_set_header    X-Host \$http_host;
        proxy_set_header    X-Sni \$ssl_server_name;
    }
}
EOT

for my $file (sort keys %example) {
    subtest $file => sub { try($file, $example{$file}) };
}

done_testing;


sub try {
    my ($file, $want) = @_;

    my $t = start($file, $want->{endpoint}, $want->{dir});
    my $get = sub { $t->request('GET', $_[0], [], undef, tls => 1) };

    $tag->clear;

    my $res = $get->("/metrics/g/collect?$granted");
    is $res->{status}, 204, 'a hit is taken';

    my ($hit) = $tag->wait_requests(1);

    (my $uri = $hit->{uri}) =~ s/&uafvl=[^&]*//;
    is $uri, "$want->{path}?$granted" . ($want->{more} || ''), 'and arrives';
    is $hit->{h}{'x-sni'}, $want->{endpoint}, 'at the endpoint that TLS names';
    is $hit->{h}{'x-host'}, $want->{endpoint}, 'and Host';
    is $hit->{h}{'x-forwarded-proto'}, 'https', 'with the scheme';

    if ($want->{header}) {
        my ($name, $value) = @{ $want->{header} };
        is $hit->{h}{$name}, $value, $name;
    }

    $tag->clear;

    is $get->("/metrics/g/collect?$denied")->{status}, 204,
       'a denied hit is answered';

    if (defined $want->{denied}) {
        ($hit) = $tag->wait_requests(1);
        unlike $hit->{uri}, qr/MARK/, 'and redacted';

    } else {
        select undef, undef, undef, 0.3;
        is $tag->count, 0, 'and not forwarded';
    }

    like $get->('/metrics/t.js')->{body}, $want->{script}, 'the script';

    queue($get, $want) if $want->{queue};
    fleet($t) if $want->{fleet};
    $want->{also}->($t) if $want->{also};

    $t->stop;
}


sub queue {
    my ($get, $want) = @_;

    my $more = $want->{more} || '';

    $tag->stop;

    is $get->("/metrics/g/collect?$granted")->{status}, 204,
       'a hit is kept while the tagging server is away';

    $tag->restart;
    $tag->clear;

    my ($hit) = $tag->wait_requests(1, 10);

    like $hit->{uri}, qr{^\Q$want->{path}?$granted$more\E&epn\.event_timestamp=\d+$},
         'and arrives later';
    is $hit->{h}{'x-sni'}, $want->{endpoint}, 'at the endpoint';
    is $hit->{h}{'x-host'}, $want->{endpoint}, 'and Host';
}


# all that was served without a Redis: the snapshot has the record

sub fleet {
    my ($t) = @_;

    is $t->request('GET', '/metrics/t.js', [Host => 'other.example'], undef,
                   tls => 1)->{status}, 404, 'a host of no record';

    my $status = JSON::PP->new->decode($t->request('GET', '/status', [], undef,
                                       port => $t->port(2))->{body});

    is $status->{registry}{redis}{state}, 'away', 'without a Redis';
    is $status->{tenants}{'shop-42'}{hits}{queued}, 1,
       'from the snapshot';
}


sub files_of_fleet {
    my ($dir) = @_;

    SGTM::Run::put("$dir/tenants.json", <<'EOT');
{"tenants": [{"id": "shop-42", "hosts": ["shop.example"],
              "containers": ["GTM-ABC1234"], "tag_ids": ["G-ABC1234567"]}]}
EOT
    SGTM::Run::put("$dir/sgtm-redis.password", "secret\n");
    SGTM::Run::put("$dir/sgtm.keys", 'k1 ' . '0' x 64 . "\n");

    chmod 0600, "$dir/sgtm-redis.password", "$dir/sgtm.keys";
}


# customers, with secrets that the program seals

sub agency_dir {
    my ($dir) = @_;

    my $build = $ENV{SGTM_BUILD} || 'release';
    my $root = SGTM::Run::root();
    my $tools = $build eq 'release' ? "$root/build" : "$root/build/$build";

    mkdir "$dir/tenants";
    SGTM::Run::put("$dir/sgtm.keys", 'k1 ' . '5a' x 32 . "\n");
    chmod 0600, "$dir/sgtm.keys";

    SGTM::Run::put("$dir/tenants/shop.json", <<"EOT");
{
  "id": "shop", "agency": "north", "version": 1,
  "hosts": ["shop.example", "*.shop.example"],
  "containers": ["GTM-ABC1234"], "tag_ids": ["$tid"],
  "credentials": {"meta_pixel": "123456789", "meta_token": "EAAB-token"}
}
EOT

    SGTM::Run::put("$dir/tenants/more.json", <<'EOT');
{"tenants": [
  {"id": "eu", "hosts": ["eu.example"], "tag_ids": ["G-EUEUEUEU00"],
   "residency": "eu"},
  {"id": "small", "hosts": ["small.example"], "tag_ids": ["G-SMALL00000"],
   "rate": "1r/m", "burst": 1}
]}
EOT

    my ($status, $text) = run("$tools/sgtm-tenants", 'seal', '--key-file',
                              "$dir/sgtm.keys", "$dir/tenants");
    is $status, 0, 'the secrets are sealed' or diag $text;
}


sub agency {
    my ($t) = @_;

    my $hit = sub {
        my ($host, $id, $more) = @_;

        return $t->request('GET', "/metrics/g/collect?v=2&tid=$id&en=a&gcs=G111"
                           . ($more || ''), [Host => $host], undef,
                           tls => 1)->{status};
    };

    $tag->clear;

    is $hit->('www.shop.example', $tid), 204, 'a host below';
    is $hit->('eu.example', 'G-EUEUEUEU00'), 204, 'a customer of the EU';

    my @hits = $tag->wait_requests(2);

    is $hits[0]{h}{'x-sni'}, 'sgtm.example.com', 'goes anywhere';
    is $hits[1]{h}{'x-sni'}, 'sgtm-eu.example.com', 'stays there';
    is $hits[1]{h}{'x-host'}, 'sgtm-eu.example.com', 'by all its names';

    is $hit->('nobody.example', $tid), 404, 'a host of nobody';
    is $hit->('eu.example', $tid), 403, 'an id of somebody else';
    is $t->request('GET', '/', [], undef, tls => 1)->{status}, 404,
       'there is no site';

    is $hit->('small.example', 'G-SMALL00000', "&ep.n=$_"), 204, "hit $_"
        for 1 .. 3;
    ok $t->wait_log(qr/ small 0 a 1 G1\S* queued rate_limit /,
                    file => 'hits.log'), 'a customer over his rate is queued';

    like $t->file('hits.log'),
         qr/ shop 1 page_view 1 G11\S* forwarded - tagging \d+$/m,
         'the log tells of the customer';
    unlike $t->file('hits.log') . $t->file('courier.log'), qr/EAAB-token/,
           'and not of his token';
}


sub start {
    my ($file, $endpoint, $prepare) = @_;

    my $root = SGTM::Run::root();
    my $dir = SGTM::Run::dir('example');
    my $ca = $front->certificate->{cert};
    my $address = '127.0.0.1:' . $front->port;
    my $load = SGTM::Nginx::load_module({ module => 1 });
    my $user = $> == 0 ? 'user root;' : '';

    my $proxy = SGTM::Run::get("$root/conf-examples/sgtm_proxy.conf");

    $proxy =~ s{/etc/ssl/certs/ca-certificates\.crt}{$ca} or die 'no CA';
    SGTM::Run::put("$dir/sgtm_proxy.conf", $proxy);
    files_of_fleet($dir) if $example{$file}{fleet};
    $prepare->($dir) if $prepare;

    my $nobody = SGTM::Run::port();

    my $main = <<"EOT";
$load
$user
daemon      off;
pid         %%DIR%%/nginx.pid;
error_log   %%DIR%%/error.log info;
EOT

    my $http = <<"EOT";
http {
    access_log             %%DIR%%/access.log;
    client_body_temp_path  %%DIR%%/tmp/body;
    proxy_temp_path        %%DIR%%/tmp/proxy;
    fastcgi_temp_path      %%DIR%%/tmp/fastcgi;
    uwsgi_temp_path        %%DIR%%/tmp/uwsgi;
    scgi_temp_path         %%DIR%%/tmp/scgi;
EOT

    my $conf = SGTM::Run::get("$root/conf-examples/$file");

    for ($conf) {
        s{^load_module[^;]*;}{$main}m or die "$file: load_module";
        s{^http \{}{$http}m or die "$file: http";
        s{include\s+mime\.types;}{} or die "$file: mime.types";
        s{include\s+sgtm_proxy\.conf}{include $dir/sgtm_proxy.conf}g
            or die "$file: include";
        s{listen\s+443 ssl http2;}{%%LISTEN_H2(127.0.0.1:%%PORT%% ssl)%%}
            or die "$file: listen";
        s{^(\s+ssl_certificate\s+)/etc/ssl/certs/[\w.]+;}{$1%%CERT%%;}m
            or die "$file: cert";
        s{^(\s+ssl_certificate_key\s+)/etc/ssl/private/[\w.]+;}{$1%%KEY%%;}m
            or die "$file: key";
        s{^(\s+root\s+)/var/www/shop;}{$1%%DIR%%/html;}m or !/^\s+root\s/m
            or die "$file: root";
        s{/var/log/nginx/}{%%DIR%%/}g;
        s{/var/spool/}{%%DIR%%/}g;
        s{127\.0\.0\.1:8081}{127.0.0.1:%%PORT2%%}g;
        s{/etc/nginx/}{$dir/}g;
        s{/var/lib/nginx/sgtm/}{$dir/}g;
        s{10\.0\.0\.\d:6379}{127.0.0.1:$nobody}g;

        # the tagging server's address; a name in a variable is looked for
        # among the upstreams before it is resolved

        s{server(\s+)sgtm-eu\.example\.com:443;}{server$1$address;};
        s{server(\s+)\Q$endpoint\E:443;}{server$1$address;}
            or s{(?=^\s+resolver\s)}{upstream $endpoint { server $address; }\n}m
            or die "$file: upstream";

        # this machine's place

        s{192\.0\.2\.0/24}{127.0.0.0/8};
    }

    return SGTM::Test->start(undef, conf => $conf);
}
