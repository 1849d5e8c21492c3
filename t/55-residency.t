#!/usr/bin/perl

# Where data may go: sgtm_residency and sgtm_upstream, and what records say of
# both, for hits that go at once and for those that wait in the spool, for
# scripts, previews and other paths.  What has to stay in the EU arrives at the
# EU's tagging server or nowhere: where there is none it is refused and counted,
# and a hit that waited becomes a dead letter that can be sent again.  Guards
# against data that leaves the EU because a configuration forgot it, a record
# changed, a country is not known or a hit was sent a day later.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();

my $root = SGTM::Run::root();
my $build = $ENV{SGTM_BUILD} || 'release';
my $tools = $build eq 'release' ? "$root/build" : "$root/build/$build";
my $json = JSON::PP->new->utf8->canonical;
my $dir = SGTM::Run::dir('records');

my %tag = map { $_ => SGTM::Backend->start(sub {
    my ($req) = @_;

    return $req->{mode} eq 'down' ? 503 : 204;
}) } qw(default eu own);


sub tenant {
    my ($id, %more) = @_;

    return { id => $id, hosts => ["$id.example"], tag_ids => ['G-AAAAAAAAAA'],
             containers => ['GTM-AAAAAAA'], api_secrets => ['secret'],
             %more };
}


sub records {
    my (@records) = @_;

    SGTM::Run::put("$dir/new", $json->encode({ tenants => \@records }));
    rename "$dir/new", "$dir/tenants.json" or die "rename: $!\n";
}

my @records = (
    tenant('none'),
    tenant('any', residency => 'any'),
    tenant('eu', residency => 'eu'),
    tenant('auto', residency => 'auto'),
    tenant('own', upstream => 'own'),
    tenant('own-eu', upstream => 'own', residency => 'eu'),
    tenant('named', endpoint => 'sgtm-named.example.com'),
);

records(@records);


sub upstreams {
    return join '', map { "upstream $_ { server 127.0.0.1:"
                          . $tag{$_}->port . " max_fails=0; }\n" }
                    sort keys %tag;
}


sub http {
    my ($courier) = @_;

    $courier ||= 'http://$sgtm_upstream';

    return <<"EOT";
@{[ upstreams() ]}

log_format  all  '\$sgtm_tenant|\$sgtm_upstream|\$sgtm_endpoint|'
                 '\$sgtm_disposition|\$sgtm_reason|\$http_x_country';
access_log  %%DIR%%/all.log  all;

sgtm_tenants    file=$dir/tenants.json;
sgtm_endpoints  own sgtm-named.example.com;
sgtm_spool      spool;

# what an operator trusts

map \$http_x_country \$country { default \$http_x_country; "" XX; }

server {
    listen         127.0.0.1:%%PORT%%;
    server_name    _;

    sgtm_endpoint  sgtm.example.com;
    sgtm_courier   \@courier backoff=100ms attempts=3;
    sgtm_upstream  default=default eu=eu eu_endpoint=sgtm-eu.example.com;
    sgtm_fallback  queue;

    location /any/ {
        sgtm            on;
        sgtm_residency  any country=\$country;
        proxy_pass      http://\$sgtm_upstream\$sgtm_uri;
        include         sgtm_proxy.conf;
    }

    location /eu/ {
        sgtm            on;
        sgtm_residency  eu;
        proxy_pass      http://\$sgtm_upstream\$sgtm_uri;
        include         sgtm_proxy.conf;
    }

    location /auto/ {
        sgtm            on;
        sgtm_residency  auto country=\$country;
        proxy_pass      http://\$sgtm_upstream\$sgtm_uri;
        include         sgtm_proxy.conf;
    }

    location /queued/ {
        sgtm            on;
        sgtm_delivery   queued;
        sgtm_residency  auto country=\$country;
        proxy_pass      http://\$sgtm_upstream\$sgtm_uri;
        include         sgtm_proxy.conf;
    }

    # no directive says where visitors are

    location /blind/ {
        sgtm            on;
        proxy_pass      http://\$sgtm_upstream\$sgtm_uri;
        include         sgtm_proxy.conf;
    }

    # proxy_pass leads to one place

    location /fixed/ {
        sgtm            on;
        proxy_pass      http://default/;
        include         sgtm_proxy.conf;
    }

    location /fixed-eu/ {
        sgtm            on;
        sgtm_residency  eu;
        sgtm_fallback   off;
        sgtm_courier    off;
        proxy_pass      http://eu/;
        include         sgtm_proxy.conf;
    }

    location \@courier {
        access_log  %%DIR%%/courier.log  all;
        proxy_pass  $courier;
        include     sgtm_proxy.conf;
    }

    location = /status { sgtm_status; }
}

# nothing is in the EU here

server {
    listen         127.0.0.1:%%PORT2%%;
    server_name    _;

    sgtm_endpoint  sgtm.example.com;
    sgtm_upstream  default=default;

    location /any/ {
        sgtm           on;
        sgtm_fallback  client;
        proxy_pass     http://\$sgtm_upstream\$sgtm_uri;
        include        sgtm_proxy.conf;
    }
}
EOT
}

my $t = SGTM::Test->start(http());


sub hit {
    my ($who, $prefix, %opt) = @_;

    my @headers = (Host => "$who.example");

    push @headers, 'X-Country' => $opt{country} if defined $opt{country};
    push @headers, @{ $opt{headers} || [] };

    my $uri = $opt{uri} || "g/collect?v=2&tid=G-AAAAAAAAAA&en=a&cid=1.2";

    return $t->request($opt{method} || 'GET', "/$prefix/$uri", \@headers,
                       $opt{body}, nth => $opt{nth});
}


# the servers that got something, "eu=1"

sub got {
    return join ' ', map { my $n = $tag{$_}->count; $n ? "$_=$n" : () }
                     sort keys %tag;
}


sub clear { $_->clear for values %tag }


sub goes {
    my ($who, $prefix, $where, $what, %opt) = @_;

    clear();

    my $res = hit($who, $prefix, %opt);

    is $res->{status}, $where ? 204 : 503, "$what: answered";
    wait_for { got() eq ($where ? "$where=1" : '') } 2;
    is got(), $where ? "$where=1" : '', "$what: " . ($where || 'nowhere');

    return $res;
}


subtest 'directives' => sub {
    goes('none', 'any', 'default', 'any');
    goes('none', 'eu', 'eu', 'eu');
    goes('none', 'auto', 'default', 'auto, elsewhere', country => 'US');
    goes('none', 'auto', 'eu', 'auto, in the EU', country => 'FR');
    goes('none', 'auto', 'eu', 'auto, in small letters', country => 'fr');
    goes('none', 'auto', 'eu', 'auto, next to it', country => 'GB');
    goes('none', 'auto', 'eu', 'auto, nobody knows', country => 'XX');
    goes('none', 'auto', 'eu', 'auto, not said');
    goes('none', 'auto', 'eu', 'auto, nonsense', country => 'USA');
    goes('none', 'fixed-eu', 'eu', 'a proxy_pass that leads there');
};


subtest 'records' => sub {
    goes('any', 'eu', 'default', 'any takes the place of eu');
    goes('eu', 'any', 'eu', 'eu that of any');
    goes('auto', 'any', 'default', 'auto with a country', country => 'BR');
    goes('auto', 'any', 'eu', 'the same in the EU', country => 'DE');
    goes('auto', 'blind', 'eu', 'auto without one', country => 'BR');
    goes('own', 'any', 'own', 'an upstream of its own');
    goes('own', 'auto', 'own', 'which is the default\'s', country => 'US');
    goes('own', 'auto', 'eu', 'and not the EU\'s', country => 'SE');
    goes('own-eu', 'any', 'eu', 'whatever it names');
    goes('none', 'fixed', 'default', 'a fixed way');
};


subtest 'endpoints' => sub {
    clear();
    hit($_, 'any') for qw(none eu named);

    my @default = $tag{default}->wait_requests(2);
    my ($eu) = $tag{eu}->wait_requests(1);

    is $default[0]{h}{host}, 'sgtm.example.com', 'the location\'s';
    is $default[1]{h}{host}, 'sgtm-named.example.com', 'the record\'s';
    is $eu->{h}{host}, 'sgtm-eu.example.com', 'the EU\'s';
};


subtest 'everything else' => sub {
    my %ways = (
        'a script'   => { uri => 'gtm.js?id=GTM-AAAAAAA' },
        'a preview'  => { headers => ['X-Gtm-Server-Preview' => 'ZW52LTE'] },
        'a batch'    => { method => 'POST', body => "en=x\r\nen=y" },
        'another path' => { uri => 'some/path?x=1' },
        'a server' => {
            method => 'POST', body => '{"client_id":"1.2","events":[{"name":"a"}]}',
            uri => 'mp/collect?measurement_id=G-AAAAAAAAAA&api_secret=secret',
            headers => ['Content-Type' => 'application/json'],
        },
    );

    for my $what (sort keys %ways) {
        goes('eu', 'any', 'eu', $what, %{ $ways{$what} });
        goes('eu', 'fixed', '', "$what, no way", %{ $ways{$what} });
    }

    # these do not leave

    clear();
    is hit('eu', 'fixed', uri => 't.js')->{status}, 200, 'the script t.js';
    is hit('eu', 'fixed', uri => 'debug/mp/collect?measurement_id=G-AAAAAAAAAA'
                                 . '&api_secret=secret', method => 'POST',
           body => '{"client_id":"1.2","events":[{"name":"a"}]}',
           headers => ['Content-Type' => 'application/json'])->{status}, 200,
       'validation';
    is got(), '', 'stay here';
};


subtest 'no way into the EU' => sub {
    my $before = $t->status('/status')->{tenants}{eu}{reasons}{residency} || 0;

    for my $nth (2) {
        my $res = goes('eu', 'any', '', 'a server without one', nth => $nth);

        is header($res, 'Retry-After'), undef, 'nobody is to send it himself';
        like $res->{body}, qr/^residency: no way into the EU/, 'it says why';

        goes('auto', 'any', '', 'auto', nth => $nth);
        goes('any', 'any', 'default', 'any', nth => $nth);
    }

    is $t->status('/status')->{tenants}{eu}{reasons}{residency}, $before + 1,
       'counted';
    like $t->file('all.log'), qr/^eu\|-\|sgtm\.example\.com\|refused\|residency\|/m,
         'and told';
};


sub waits {
    my ($name, $n) = @_;

    my $ok = wait_for {
        ($t->status('/status')->{spool}{$name} || 0) == $n;
    } 10;

    is $t->status('/status')->{spool}{$name}, $n, "$n $name";

    return $ok;
}


subtest 'delivered later' => sub {
    $_->mode('down') for values %tag;
    clear();

    is hit('none', 'queued', country => 'US')->{status}, 204, 'elsewhere';
    is hit('none', 'queued', country => 'IE')->{status}, 204, 'in the EU';
    is hit('eu', 'any')->{status}, 204, 'after a failure';
    is hit('own', 'queued', country => 'US')->{status}, 204, 'its own';
    is hit('any', 'queued', country => 'IE')->{status}, 204, 'any';
    is hit('auto', 'queued', country => 'JP', headers =>
           ['Sgtm-Residency' => 'eu'])->{status}, 204, 'who claims something';

    $_->mode('') for values %tag;
    clear();
    waits('waiting', 0);

    is got(), 'default=3 eu=2 own=1', 'each has gone its way';
    is_deeply [map { $_->{h}{host} } $tag{eu}->requests],
              [('sgtm-eu.example.com') x 2], 'to the EU\'s endpoint';
    is_deeply [grep { defined $_->{h}{'sgtm-residency'} }
               map { $_->requests } values %tag], [], 'and nothing else';
    like $t->file('courier.log'), qr/^none\|eu\|sgtm-eu\.example\.com\|/m,
         'as variables tell';
};


# a record that becomes strict while its hits wait, and a courier that has no
# way, which its configuration could not know

subtest 'a record that changes' => sub {
    $_->mode('down') for values %tag;
    clear();

    is hit('any', 'any')->{status}, 204, 'a hit that may go anywhere';

    records(grep({ $_->{id} ne 'any' } @records),
            tenant('any', residency => 'eu'));

    ok wait_for {
        clear();
        hit('any', 'any');
        $tag{eu}->count;
    }, 'now it may not';

    $_->mode('') for values %tag;
    waits('waiting', 0);

    my @other = grep { ($_->{mode} || '') eq '' } $tag{default}->requests;

    is @other, 0, 'nor may what has waited';
    ok $tag{eu}->count, 'it has gone to the EU';
};


subtest 'a courier without a way' => sub {
    $_->mode('down') for values %tag;
    clear();

    is hit('any', 'any')->{status}, 204, 'a hit for the EU waits';
    is hit('none', 'any')->{status}, 204, 'another, too';

    $t->reload(http('http://default')
               =~ s/sgtm_residency  (?:eu|auto)[^;]*;(?=.*\n.*sgtm_uri)//gr
               =~ s/location \/fixed-eu\/ \{.*?\n    \}\n//sr
               =~ s/sgtm_residency  auto[^;]*;//gr, wait_old => 1);

    $_->mode('') for values %tag;
    clear();
    waits('dead', 1);
    waits('waiting', 0);

    is got(), 'default=1', 'only the other one has gone';

    my ($status, $text) = run("$tools/sgtm-spool", $t->dir . '/spool', 'list',
                              '--dead');
    is $status, 0, 'a dead letter';
    like $text, qr/no way into the EU/, 'which says why';

    $t->reload(http(), wait_old => 1);
    ($status, $text) = run("$tools/sgtm-spool", $t->dir . '/spool', 'replay',
                           '--all');
    is $status, 0, 'sent again';

    clear();
    waits('dead', 0);
    waits('waiting', 0);
    is got(), 'eu=1', 'it arrives where it may';
};


subtest 'nginx -t' => sub {
    my $try = sub {
        my ($lines, $pass, $courier) = @_;

        my ($status, $text) = nginx_t(<<"EOT");
        @{[ upstreams() ]}
        @{[ $courier ? 'sgtm_spool spool;' : '' ]}
        server {
            listen       127.0.0.1:%%PORT%%;
            sgtm_tag_id  G-ABC1234567;
            @{[ $courier ? "location \@c { $courier }" : '' ]}
            location /m/ {
                sgtm on;
                @{[ $lines =~ /fallback/ ? '' : 'sgtm_fallback off;' ]}
                $lines
                proxy_pass @{[ $pass || 'http://$sgtm_upstream$sgtm_uri' ]};
            }
        }
EOT
        return $text;
    };

    my $ok = qr/test is successful/;

    like $try->('sgtm_residency eu; sgtm_upstream eu=eu;'), $ok, 'eu';
    like $try->('sgtm_upstream default=default;'), $ok, 'a default alone';
    like $try->('sgtm_residency eu; sgtm_upstream default=default eu=eu;',
                'http://EU/'), $ok, 'a fixed way into it';

    for (['sgtm_residency de;', qr/"any", "eu" or "auto"/],
         ['sgtm_residency auto;', qr/auto needs "country="/],
         ['sgtm_residency auto country=US;', qr/a variable, as/],
         ['sgtm_residency auto place=$host;', qr/"country=" and what tells/],
         ['sgtm_residency eu; sgtm_residency any;', qr/is duplicate/],
         ['sgtm_upstream tagging;', qr/"default=", "eu=" or "eu_endpoint="/],
         ['sgtm_upstream eu=http://eu;', qr/the name of an upstream or a host/],
         ['sgtm_upstream eu=a eu=b;', qr/once each/],
         ['sgtm_upstream default=a eu_endpoint=b;', qr/but no "eu="/],
         ['sgtm_upstream eu=a; sgtm_upstream eu=b;', qr/is duplicate/],
         ['sgtm_residency eu;',
          qr/location "\/m\/".*no "sgtm_upstream" with "eu="/],
         ['sgtm_residency eu; sgtm_upstream default=default;',
          qr/no "sgtm_upstream" with "eu="/],
         ['sgtm_residency auto country=$host; sgtm_upstream default=default;',
          qr/no "sgtm_upstream" with "eu="/])
    {
        like $try->($_->[0]), $_->[1], $_->[0];
        unlike $try->($_->[0]), $ok, 'is an error';
    }

    like $try->('sgtm_residency eu; sgtm_upstream default=default eu=eu;',
                'http://default/'),
         qr/\[emerg\].*"proxy_pass" leads to "default"/, 'a fixed way out of it';
    like $try->('sgtm_upstream default=default eu=eu;', 'http://default/'),
         qr/\[warn\].*leads to "default" alone/, 'is worth a warning else';

    my $queue = 'sgtm_residency eu; sgtm_upstream eu=eu; sgtm_fallback queue;'
                . 'sgtm_courier @c;';

    like $try->($queue, undef, 'proxy_pass http://default;'),
         qr/location "\@c".*no "sgtm_upstream" with "eu="/,
         'a courier that knows of none';
    like $try->($queue, undef, 'sgtm_upstream eu=eu; proxy_pass http://default;'),
         qr/location "\@c".*leads to "default"/, 'one that does not obey';
    like $try->($queue, undef,
                'sgtm_upstream eu=eu; proxy_pass http://$sgtm_upstream;'),
         $ok, 'one that does';
};

done_testing;
