#!/usr/bin/perl

# The queue: hits that are kept on disk before they are answered, because
# sgtm_delivery says so, because the tagging server failed, or because a tenant
# is over its rate.  What is proved: 204 does not wait for the tagging server,
# the hit arrives as it would have arrived directly, a browser that leaves at
# once loses nothing, nothing that a denial removes lies on the disk, and a
# spool that can't keep a hit says so with 503 while direct hits go on.  Of a
# damaged database is lost what was in it alone: a hit that the journal has
# still is found there again, and arrives once more if it had arrived.  It
# guards against a hit answered 204 that is nowhere.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();
use Time::HiRes qw(sleep time);

my $tag_id = 'tid=G-ABC1234567';
my $serial = 0;

# what the tagging server does is its mode, or the hit's own "do"

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    my $do = $req->{mode} || '';

    return { hang => 1 } if $do eq 'hang';
    return { drop => 1 } if $do eq 'cut';
    return { drop => 'rst' } if $do eq 'reset';
    return [503, [], 'away'] if $do eq '503';
    return [500, [], 'broken'] if $do eq '500';
    return [200, ['Content-Type' => 'text/plain'], 'taken'];
});

my $nobody = SGTM::Run::port();

# the shipped lines with a shorter time to wait

my $proxy = SGTM::Run::get(SGTM::Run::root()
                           . '/conf-examples/sgtm_proxy.conf');

$proxy =~ s/^#.*\n//mg;
$proxy =~ s/(proxy_read_timeout\s+)\w+;/${1}500ms;/
    or die "no proxy_read_timeout in sgtm_proxy.conf\n";


# a server, its gateways and its courier

sub server {
    my ($port, $name, $upstream, $more) = @_;

    return <<"EOC";
    server {
        listen       127.0.0.1:%%PORT$port%%;
        %%LISTEN_H2(127.0.0.1:%%PORT@{[ $port + 1 ]}%%)%%
        server_name  $name;

        sgtm_endpoint      sgtm.example.com;
        sgtm_tag_id        G-ABC1234567;
        sgtm_consent_mode  advanced;
        sgtm_courier       \@courier backoff=100ms;
        sgtm_debug         on;
        $more

        location /queued/ {
            sgtm           on;
            sgtm_delivery  queued;
            proxy_pass     http://$upstream/;
            $proxy
        }

        location /direct/ {
            sgtm           on;
            proxy_pass     http://$upstream/;
            $proxy
        }

        location /client/ {
            sgtm           on;
            sgtm_fallback  client;
            proxy_pass     http://$upstream/;
            $proxy
        }

        location \@courier {
            proxy_pass     http://$upstream;
            $proxy
        }

        location = /status { sgtm_status; }
    }
EOC
}


sub upstreams {
    return <<"EOC";
    upstream tagging {
        server     127.0.0.1:@{[ $tag->port ]} max_fails=0;
        keepalive  16;
    }

    upstream nobody { server 127.0.0.1:$nobody max_fails=0; }
EOC
}


my $t = SGTM::Test->start(upstreams() . <<'EOC'
    sgtm_spool  spool sync=always;

EOC
    . server(1, 'shop.example', 'tagging', 'sgtm_tenant shop;')
    . server(3, 'limited.example', 'tagging',
             'sgtm_tenant limited; sgtm_rate_limit 60r/m burst=5;'),
    workers => 2);


# (id, uri) of a hit with an id of its own

sub hit {
    my ($where, $more) = @_;

    my $id = sprintf 'id%05d', ++$serial;

    return ($id, "/$where/g/collect?v=2&$tag_id&cid=1.$serial&gcs=G111&en=a"
                 . ($more || '') . "&ep.id=$id");
}


sub ids {
    return map { "$_->{uri}$_->{body}" =~ /ep\.id=(id\d+)/ } @_;
}


# The ids that reach the tagging server are those and each is there once.  What
# it refused before does not count.

sub arrive {
    my ($name, @ids) = @_;
    my @got;

    wait_for {
        @got = grep { $_->{mode} eq '' } $tag->requests;
        @got >= @ids;
    } 8;

    is join(' ', sort(ids(@got))), join(' ', sort @ids), $name;

    return @got;
}


sub counted {
    my ($tenant) = @_;

    return $t->status('/status')->{tenants}{$tenant}{hits};
}


# the bytes that lie in the spool; files of it may go meanwhile

sub on_disk {
    my ($dir) = @_;
    my $bytes = '';

    for (glob "$dir/*") {
        open my $fh, '<:raw', $_ or next;
        local $/;
        $bytes .= <$fh>;
    }

    return $bytes;
}


subtest 'queued: the browser does not wait' => sub {
    $tag->mode('hang');

    my $c = $t->http;
    my $began = time;
    my @ids;

    for (1 .. 3) {
        my ($id, $uri) = hit('queued');

        push @ids, $id;

        $c->request('GET', $uri);
        my $res = $c->response;

        is $res->{status}, 204, '204 at once';
        is header($res, 'Sgtm-Disposition'), 'queued', 'queued';
        is header($res, 'Cache-Control'), 'no-store', 'not stored';
    }

    $c->request('GET', '/queued/t.js');
    is $c->response->{status}, 200, 'nor does the connection wait';

    cmp_ok time - $began, '<', 5, 'although the tagging server hangs';

    $tag->clear;
    $tag->mode('');

    arrive('they arrive', @ids);
};


subtest 'queued: the hit is what it would have been' => sub {
    my %headers = ('User-Agent' => 'Browser/1', Referer => 'https://a.example/',
                   Cookie => 'FPID=1; shop=2',
                   'Content-Type' => 'text/plain;charset=UTF-8',
                   'X-Forwarded-For' => '192.0.2.1');

    my $query = "v=2&$tag_id&cid=1.2&gcs=G111&a=%2520b&bare&c=&d=1&d=2"
                . '&richsstsse';
    my $body = "en=scroll&epn.percent_scrolled=90\r\nen=page_view&_et=9\r\n";
    my @got;

    for my $where ('direct', 'queued') {
        $tag->clear;

        my $res = $t->post("/$where/g/collect?$query", $body, %headers);

        is $res->{status}, $where eq 'queued' ? 204 : 200, "$where: the answer";

        push @got, $tag->wait_requests(1);
    }

    my ($direct, $queued) = @got;

    is $queued->{method}, $direct->{method}, 'the method';
    is $queued->{body}, $direct->{body}, 'the body';

    (my $uri = $queued->{uri}) =~ s/&epn\.event_timestamp=\d+//
        or fail 'the event has no time of its own';

    is $uri, $direct->{uri}, 'the URI, but for the time of the event';

    for my $name ('host', 'user-agent', 'referer', 'cookie', 'content-type',
                  'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto',
                  'content-length', 'connection')
    {
        is $queued->{h}{$name}, $direct->{h}{$name}, $name;
    }
};


subtest 'nothing denied is on the disk' => sub {
    $tag->mode('503');

    my ($id) = sprintf 'id%05d', ++$serial;
    my $uri = "v=2&$tag_id&cid=7.7&uid=secret-uid&gcs=G100&gcd=13p3p3p3p5l1"
              . '&dl=https%3A%2F%2Fs.example%2F%3Fgclid%3Dsecret-gclid'
              . "&gclid=secret-gclid&en=a&ep.id=$id";

    for my $where ('queued', 'direct') {
        my $res = $t->request('POST', "/$where/g/collect?$uri",
            [Cookie => '_ga=secret-ga; _gcl_au=secret-au; shop=secret-shop',
             Referer => 'https://s.example/?gclid=secret-gclid'],
            "uid=secret-uid&en=a&ep.id=$id");

        is $res->{status}, 204, "$where: kept";
    }

    my $disk = on_disk($t->dir . '/spool');

    like $disk, qr/\Q$id\E/, 'the hit is on the disk';
    unlike $disk, qr/secret/, 'without what was denied';

    $tag->clear;
    $tag->mode('');
    arrive('it arrives', $id, $id);

    for (1 .. 150) {
        last if on_disk($t->dir . '/spool') !~ /\Q$id\E/;
        sleep 0.1;
    }

    unlike on_disk($t->dir . '/spool'), qr/\Q$id\E/,
           'and is gone from the disk then';
};


for my $how ('503', '500', 'cut', 'reset', 'hang', 'down') {
    for my $h2 (0, 1) {
        my $name = "fallback, $how" . ($h2 ? ', HTTP/2' : '');

        subtest $name => sub {
            $how eq 'down' ? $tag->stop : $tag->mode($how);

            my @ids;

            for my $kind ('GET', 'POST') {
                my ($id, $uri) = hit('direct');
                my $c = $h2 ? $t->h2(nth => 2) : $t->http;

                push @ids, $id;

                my @more = $kind eq 'POST' ? ([], "en=b&ep.n=1\r\nen=c") : ();

                my $stream = $c->request($kind, $uri, @more);
                my $res = $h2 ? $c->response($stream) : $c->response;

                is $res->{status}, 204, "$kind: 204";
                is header($res, 'Sgtm-Disposition'), 'queued', 'queued';
            }

            my ($id, $uri) = hit('client');

            is $t->get($uri)->{status}, 503, 'elsewhere the client is told';

            $tag->clear;
            $how eq 'down' ? $tag->restart : $tag->mode('');

            arrive('they arrive', @ids);
        };
    }
}


my @ways = (
    ['HTTP/1.1, FIN', 0, sub { $_[0]->close }],
    ['HTTP/1.1, RST', 0, sub { $_[0]->abort }],
    ['HTTP/2, FIN', 1, sub { $_[0]->close }],
    ['HTTP/2, RST_STREAM', 1, sub { $_[0]->rst_stream($_[1]) }],
);

for my $mode (['queued', ''], ['direct', '503']) {
    for my $way (@ways) {
        my ($where, $does) = @$mode;
        my ($how, $h2, $leave) = @$way;

        subtest "$where, a browser that leaves: $how" => sub {
            my @ids;

            $tag->mode($does);

            for my $n (1 .. 60) {
                my ($id, $uri) = hit($where);
                my $out = '';
                my $c;

                # in one piece, so that nginx reads all of it

                {
                    no warnings 'redefine';
                    local *SGTM::Net::send
                        = sub { $out .= $_[1]; return $_[0] };

                    $c = $h2 ? $t->h2(nth => 2) : $t->http;

                    my $stream = $n % 2
                        ? $c->request('GET', $uri)
                        : $c->request('POST', $uri, [], 'en=b&ep.n=1');

                    $leave->($c, $stream) if $how =~ /STREAM/;
                }

                $c->send($out);
                $how =~ /STREAM/ ? $c->close : $leave->($c);

                push @ids, $id;
            }

            sleep 0.7;
            $tag->mode('');
            sleep 0.1;

            my %got;
            my $until = time + 15;

            while (time < $until) {
                %got = map { $_ => 1 }
                       ids(grep { $_->{mode} eq '' } $tag->requests);
                last if !grep { !$got{$_} } @ids;
                sleep 0.1;
            }

            is scalar(grep { !$got{$_} } @ids), 0, 'all arrive';
            $tag->clear;
        };
    }
}


subtest 'over the rate: queued, not lost' => sub {
    my (@ids, %seen);

    $tag->clear;

    for (1 .. 12) {
        my ($id, $uri) = hit('direct');
        my $res = $t->request('GET', $uri, [Host => 'limited.example'], undef,
                              nth => 3);

        $seen{$res->{status}}++;
        push @ids, $id;

        is header($res, 'Sgtm-Reason'), 'rate_limit', 'says why'
            if $res->{status} == 204;
    }

    is $seen{200}, 5, 'the burst goes directly';
    is $seen{204}, 7, 'the rest is queued';

    is $t->request('GET', '/direct/t.js', [Host => 'limited.example'], undef,
                   nth => 3)->{status}, 200, 'a script has no limit';

    arrive('all arrive', @ids);

    is counted('limited')->{queued}, 7, 'counted';
};


subtest 'over the rate without a spool' => sub {
    my $alone = SGTM::Test->start(upstreams() . <<'EOC');
    server {
        listen  127.0.0.1:%%PORT%%;
        server_name  shop.example;

        sgtm_endpoint    sgtm.example.com;
        sgtm_tag_id      G-ABC1234567;
        sgtm_fallback    off;
        sgtm_rate_limit  60r/m burst=2;

        location /direct/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }

        location = /status { sgtm_status; }
    }
EOC

    $tag->clear;

    my @res = map { $alone->get((hit('direct'))[1]) } 1 .. 4;

    is join(' ', map { $_->{status} } @res), '200 200 429 429',
       '429 then';
    like header($res[2], 'Retry-After'), qr/^[12]$/, 'until when';
    is $res[2]{body}, "rate: over the limit\n", 'one line';

    my $hits = $alone->status('/status')->{tenants}{'shop.example'}{hits};

    is $hits->{limited}, 2, 'counted';
    is $hits->{forwarded}, 2, 'with those that passed';

    sleep 1.1;
    is $alone->get((hit('direct'))[1])->{status}, 200, 'and after a second';
};


subtest 'a spool that is full' => sub {
    my $small = SGTM::Test->start(upstreams()
        . "sgtm_spool spool max_size=1m sync=off;\n"
        . server(1, 'shop.example', 'tagging', 'sgtm_tenant shop;'));

    $tag->mode('503');
    $tag->clear;

    my (@kept, $refused);
    my $c = $small->http;

    for (1 .. 400) {
        my ($id, $uri) = hit('queued', '&ep.note=' . 'n' x 6000);

        $c->request('GET', $uri);
        my $res = $c->response;

        if ($res->{status} == 204) {
            push @kept, $id;
            next;
        }

        $refused++;
        next if $refused > 1;

        is $res->{status}, 503, '503 then';
        is header($res, 'Retry-After'), 10, 'with Retry-After';
        is $res->{body}, "gateway: can't keep the hit now\n", 'one line';
    }

    cmp_ok scalar(@kept), '>', 100, 'hits are kept up to a size';
    cmp_ok $refused, '>', 50, 'and not over it';

    my @lines = $small->error_log =~ /sgtm_spool: .*max_size/g;

    is scalar(@lines), 1, 'the log says it once';
    unlike $small->error_log, qr/ep\.note/, 'without the hit';

    my $hits = $small->status('/status')->{tenants}{shop}{hits};

    is $hits->{queued}, scalar(@kept), 'counted as queued';
    is $hits->{failed}, $refused, 'counted as failed';

    $tag->mode('');
    is $small->get((hit('direct'))[1])->{status}, 200, 'direct hits go on';

    my %got;

    for (1 .. 200) {
        %got = map { $_ => 1 } ids(grep { $_->{mode} eq '' } $tag->requests);
        last if !grep { !$got{$_} } @kept;
        sleep 0.1;
    }

    is scalar(grep { !$got{$_} } @kept), 0, 'what was kept arrives';

    # what was moved leaves the journal by and by

    my $room = sub { $small->get((hit('queued'))[1])->{status} == 204 };

    ok +(wait_for { $room->() } 5), 'and there is room';
    $small->stop;
};


subtest 'a spool that can not be' => sub {
    my $none = SGTM::Test->start(upstreams()
        . "sgtm_spool %%DIR%%/nginx.conf/spool;\n"
        . server(1, 'shop.example', 'tagging', 'sgtm_tenant shop;'));

    is $none->get((hit('queued'))[1])->{status}, 503, 'a hit to be kept: 503';
    is $none->get((hit('direct'))[1])->{status}, 200, 'a direct one passes';
    like $none->error_log, qr/\[error\].*spool/, 'the log says why';
};


subtest 'a damaged spool' => sub {
    my $t = SGTM::Test->start(upstreams() . "sgtm_spool spool;\n"
        . server(1, 'shop.example', 'tagging', 'sgtm_tenant shop;'));

    my $spool = $t->dir . '/spool';
    my $segments = sub { my @names = glob "$spool/journal-*"; @names };
    my @hits = map { [hit('queued')] } 1 .. 3;

    $tag->mode('503');
    is $t->get($hits[0][1])->{status}, 204, 'a hit is kept';
    ok +(wait_for { !$segments->() } 5), 'and is in the database alone';

    is $t->get($hits[1][1])->{status}, 204, 'another one';

    $t->stop;
    is scalar($segments->()), 1, 'is in the journal still';

    unlink glob "$spool/spool.db-*";
    SGTM::Run::put("$spool/spool.db", 'no database ' x 4000);
    $t->restart;

    is $t->get($hits[2][1])->{status}, 204, 'a hit is kept';
    ok +(wait_for { my @names = glob "$spool/spool.db.damaged-*" } 5),
       'the damaged one is set aside';
    like $t->error_log, qr/sgtm_spool: .*damaged/, 'the log says so';

    # what was refused until now does not count

    $tag->clear;
    $tag->mode('');

    my $arrived = sub { ids(grep { $_->{mode} eq '' } $tag->requests) };

    wait_for { $arrived->() > 1 } 8;
    is join(' ', sort($arrived->())), "$hits[1][0] $hits[2][0]",
       'what was kept since arrives, and what the journal had';
    $tag->clear;
};


# what nginx -t says

sub says {
    my ($text, $http) = @_;

    my ($status, $out) = nginx_t(upstreams() . ($http || '') . <<"EOC");
    server {
        server_name    shop.example;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;

        location /a/ { sgtm on; $text proxy_pass http://tagging/; }
        location \@courier { proxy_pass http://tagging; }
    }
EOC

    return ($status ? '' : 'ok ') . $out;
}

my $spool = 'sgtm_spool spool;';

like says('sgtm_fallback queue;'),
     qr/emerg.*"\/a\/" has "sgtm_fallback queue" but no "sgtm_spool"/,
     'a fallback without a spool';
like says('sgtm_delivery queued;', $spool),
     qr/emerg.*"sgtm_delivery queued" but no "sgtm_courier"/,
     'queued without a courier';
like says('', $spool), qr/^ok .*warn.*needs "sgtm_courier"/s,
     'the default of the tier makes do';
like says('sgtm_courier @courier; sgtm_fallback queue;', $spool),
     qr/^ok (?!.*\[)/s, 'with both';
like says('', 'sgtm_spool spool sync=never;'),
     qr/emerg.*"sync=never".*sync=always/, 'a wrong option';
like says('', 'sgtm_spool spool max_size=10;'),
     qr/emerg.*"max_size=10".*1m/, 'a size that is too small';
like says('', "$spool $spool"), qr/emerg.*duplicate/, 'a second one';

done_testing;
