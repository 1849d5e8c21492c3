#!/usr/bin/perl

# The gate obeys records of tenants: by host, by the id that sgtm_tenant gives
# and by server_name, a record takes the place of what it names and of nothing
# else.  Guards against a record that is only half in force, one that leaks into
# another tenant's requests, and an unknown host that is served or counted as
# somebody.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();

my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('records');
my $file = "$dir/tenants.json";


# puts records in place at once, as editors do

sub records {
    my (@records) = @_;

    SGTM::Run::put("$file.new", $json->encode({ tenants => \@records }));
    rename "$file.new", $file or die "rename: $!\n";
}

my %a = (
    id              => 'shop-a',
    hosts           => ['a.example', '*.a.example'],
    containers      => ['GTM-AAAAAAA'],
    tag_ids         => ['G-AAAAAAAAAA'],
    consent_mode    => 'advanced',
    consent_default => { analytics_storage => 'granted' },
    endpoint        => 'sgtm-a.example.com',
    origins         => ['https://www.a.example'],
    script          => 's/a.js',
    rate            => 'off',
);

my %b = (
    id       => 'shop-b',
    hosts    => ['b.example'],
    tag_ids  => ['G-BBBBBBBBBB'],
    features => { debug => JSON::PP::true },
);

records(\%a, \%b);

my $tag = SGTM::Backend->start;

my $t = SGTM::Test->start(<<"EOT");
upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

log_format  who  '\$sgtm_tenant \$sgtm_container \$sgtm_endpoint \$sgtm_tier '
                 '\$status \$sgtm_reason';

sgtm_tenants    file=$file;
sgtm_endpoints  sgtm-a.example.com;

server {
    listen         127.0.0.1:%%PORT%% default_server;
    server_name    _;
    access_log     %%DIR%%/who.log who;

    sgtm_endpoint  sgtm.example.com;

    location /metrics/ {
        sgtm              on;
        proxy_pass        http://tagging/;
        proxy_set_header  Host \$sgtm_endpoint;
    }

    location = /status { sgtm_status; }
}
EOT


# a hit; ids differ in the query alone

sub hit {
    my ($host, $tid, $more, @headers) = @_;

    return $t->get("/metrics/g/collect?v=2&tid=$tid&en=page_view&cid=1.2"
                   . ($more || ''), Host => $host, @headers);
}


subtest 'by host' => sub {
    $tag->clear;

    is hit('a.example', 'G-AAAAAAAAAA')->{status}, 204, 'a hit of one tenant';
    is hit('b.example', 'G-BBBBBBBBBB')->{status}, 204, 'of another';
    is hit('x.y.a.example', 'G-AAAAAAAAAA')->{status}, 204, 'of a wildcard';

    my @hits = $tag->wait_requests(3);

    is_deeply [map { $_->{h}{host} } @hits],
              ['sgtm-a.example.com', 'sgtm.example.com', 'sgtm-a.example.com'],
              'each to its endpoint, the location\'s where none is named';

    is hit('a.example', 'G-BBBBBBBBBB')->{status}, 403, 'the other one\'s id';
    is hit('b.example', 'G-AAAAAAAAAA')->{status}, 403, 'and the other way';

    my $res = hit('c.example', 'G-AAAAAAAAAA');

    is $res->{status}, 404, 'a host that no record has';
    is $res->{body}, "host: not known here\n", 'and why';
    is hit('a.example.evil.example', 'G-AAAAAAAAAA')->{status}, 404,
       'one that begins with another';
};

subtest 'consent' => sub {
    $tag->clear;

    # denied for ads alone: the default grants analytics

    hit('a.example', 'G-AAAAAAAAAA', '&gclid=MARK');
    hit('b.example', 'G-BBBBBBBBBB', '&gclid=MARK');

    my ($one, $two) = $tag->wait_requests(2);

    unlike $one->{uri}, qr/MARK/, 'advanced by the record';
    like $one->{uri}, qr/cid=1\.2/, 'with its default';
    like $two->{uri}, qr/gclid=MARK/, 'off by the location';
};

subtest 'what the answers tell' => sub {
    my $res = hit('a.example', 'G-AAAAAAAAAA', '',
                  Origin => 'https://www.a.example');

    is header($res, 'Access-Control-Allow-Origin'), 'https://www.a.example',
       'an origin of the record\'s';
    is hit('b.example', 'G-BBBBBBBBBB', '',
           Origin => 'https://www.a.example')->{status}, 403,
       'is not one of another';

    is header(hit('b.example', 'G-BBBBBBBBBB'), 'Sgtm-Disposition'),
       'forwarded', 'a switch';
    is header(hit('a.example', 'G-AAAAAAAAAA'), 'Sgtm-Disposition'), undef,
       'of one tenant';

    $t->wait_log(qr/shop-a - sgtm-a\.example\.com enterprise 403 foreign_tag_id/,
                 file => 'who.log');
    like $t->file('who.log'),
         qr/^shop-a GTM-AAAAAAA sgtm-a\.example\.com enterprise 204 -$/m,
         'variables are the record\'s';
    like $t->file('who.log'),
         qr/^shop-b - sgtm\.example\.com enterprise 403 foreign_tag_id$/m,
         'and the location\'s';
    like $t->file('who.log'), qr/^_other - sgtm\.example\.com enterprise 404 host$/m,
         'an unknown host is nobody';
};

done_testing;
