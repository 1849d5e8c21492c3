#!/usr/bin/perl

# Server to server by the Measurement Protocol: who may send (measurement_id,
# api_secret), what is let in, what goes on byte for byte, what a denial takes
# out of the JSON, what an operator sets and removes, what debug/mp/collect
# answers, and what the logs hold.  It guards against a number above 2^53 that
# loses its end, a secret in a log, a denied member that a second name, an
# escape or a depth hides, JSON that is broken by what was taken out of it, and
# a body of brackets that takes a worker down.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Digest::SHA ();
use JSON::PP ();

my $secret = 'aB3dE6gH9-_exampleSecret0';
my $older = 'older secret&=%';
my $query = "measurement_id=G-ABC1234567&api_secret=$secret";

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return $req->{uri} =~ /do=(\d+)/ ? $1 : 204;
});

my $nobody = SGTM::Run::port();


sub gateway {
    my ($prefix, $more, $upstream) = @_;

    $upstream = 'tagging' if !$upstream;

    return <<"EOC";
        location /$prefix/ {
            sgtm        on;
            $more
            proxy_pass  http://$upstream/;
            include     sgtm_proxy.conf;
        }
EOC
}


my $all = join ' ', map { "$_=granted" }
               qw(ad_storage analytics_storage ad_user_data
                  ad_personalization);

sub granted {
    my ($but) = @_;

    return join ' ', map { $_ eq $but ? "$_=denied" : "$_=granted" }
                     qw(ad_storage analytics_storage ad_user_data
                        ad_personalization);
}


my $conf = <<"EOC" . join '',
    log_format  all  '\$request|\$request_uri|\$args|\$status|\$sgtm_event|'
                     '\$sgtm_events|\$sgtm_consent|\$sgtm_disposition|'
                     '\$sgtm_reason|\$sgtm_uri|\$request_body|\$http_referer|'
                     '\$query_string|\$arg_api_secret';
    access_log  %%DIR%%/all.log  all;

    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    upstream nobody  { server 127.0.0.1:$nobody max_fails=0; }

    server {
        listen           127.0.0.1:%%PORT%%;
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        server_name      shop.example;

        sgtm_endpoint    sgtm.example.com;
        sgtm_tag_id      G-ABC1234567 GT-ABC1234;
        sgtm_container   GTM-ABC1234;
        sgtm_fallback    off;
        sgtm_debug       on;
        sgtm_api_secret  secret;
        client_body_buffer_size  1k;

        location = /status { sgtm_status; }
EOC
    gateway('off', ''),
    gateway('advanced', "sgtm_consent_mode advanced;
                         sgtm_consent_server $all;"),
    gateway('default', 'sgtm_consent_mode advanced;'),
    gateway('from-default', "sgtm_consent_mode advanced;
                             sgtm_consent_default $all;"),
    gateway('basic', 'sgtm_consent_mode basic;'),
    gateway('basic-granted', 'sgtm_consent_mode basic;
                              sgtm_consent_server analytics_storage=granted;'),
    (map { gateway($_, "sgtm_consent_mode advanced;
                        sgtm_consent_server @{[ granted($_) ]};") }
         qw(ad_storage analytics_storage ad_user_data ad_personalization)),
    gateway('kept', "sgtm_consent_mode advanced;
                     sgtm_redact ad_personalization -npa;
                     sgtm_consent_server @{[ granted('ad_personalization') ]};
                    "),
    gateway('own', 'sgtm_consent_mode advanced;
                    sgtm_redact ad_storage ep.partner up.segment;'),
    gateway('set', 'sgtm_set_param ep.site "a \"b\" $arg_who";
                    sgtm_set_param epn.factor 1.50;
                    sgtm_set_param epn.word many;
                    sgtm_set_param up.tier gold;
                    sgtm_set_param dt "a title";
                    sgtm_set_param uid u-1;
                    sgtm_set_param v 3;
                    sgtm_set_param ep.nothing "";'),
    gateway('set-denied', 'sgtm_consent_mode advanced;
                           sgtm_set_param ep.url "http://h/?gclid=1&a=$arg_a";
                           sgtm_set_param ep.body $request_body;
                           sgtm_set_param gclid given;'),
    gateway('remove', 'sgtm_remove_param ep.secret epn.count x_* up.segment
                       user_data dr events cid;'),
    gateway('small', 'sgtm_max_body 1k;'),
    gateway('large', 'sgtm_max_body 200k;'),
    gateway('down', 'sgtm_fallback client;', 'nobody'),
    <<'EOC';
        location /none/ {
            sgtm             on;
            sgtm_api_secret  other;
            proxy_pass       http://tagging/;
            include          sgtm_proxy.conf;
        }
    }

    server {
        listen         127.0.0.1:%%PORT3%%;
        server_name    bare.example;
        sgtm_tag_id    G-ABC1234567;
        sgtm_fallback  off;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }
    }
EOC

# files of secrets are there before nginx starts

my $files = SGTM::Run::dir('secrets');

SGTM::Run::put("$files/secret", "\n  $secret \r\n$older\n");
SGTM::Run::put("$files/other", "another\n");
SGTM::Run::put("$files/empty", "\n \n");
chmod 0640, map { "$files/$_" } qw(secret other empty);

$conf =~ s/(sgtm_api_secret\s+)/$1$files\//g;

my $t = SGTM::Test->start($conf);
my $json = JSON::PP->new->utf8;


# (the answer, what arrived, the line of the log)

sub ask {
    my ($uri, $body, %opt) = @_;

    $tag->clear;

    my $seen = length $t->file('all.log');
    my $res = $t->request('POST', $uri, ['Content-Type' => 'application/json',
                                         @{ $opt{headers} || [] }],
                          $body, %{ $opt{to} || {} });

    wait_for { length $t->file('all.log') > $seen };

    my ($got) = $tag->requests;

    return ($res, $got, substr $t->file('all.log'), $seen);
}


# what arrived of a body that the gateway at the prefix got

sub through {
    my ($prefix, $body, @headers) = @_;

    my ($res, $got) = ask("/$prefix/mp/collect?$query", $body,
                          headers => \@headers);

    is $res->{status}, 204, "/$prefix/: 204" or diag $res->{body};

    return $got ? $got->{body} : undef;
}


sub body_of {
    my (%more) = @_;

    return '{"client_id":"1.2"'
           . join('', map { ",\"$_\":$more{$_}" } grep { $_ ne 'params' }
                      sort keys %more)
           . ',"events":[{"name":"purchase","params":{'
           . (defined $more{params} ? $more{params} : '') . '}}]}';
}


subtest 'who may send' => sub {
    my $body = body_of();
    my ($res, $got) = ask("/off/mp/collect?$query", $body);

    is $res->{status}, 204, 'its id and its secret';
    is $got->{uri}, "/mp/collect?$query", 'arguments arrive as they came';
    is $got->{body}, $body, 'and the body';

    ($res, $got) = ask("/off/mp/collect?api_secret=$secret&measurement%5Fid="
                       . 'G-ABC1234567', $body);
    is $res->{status}, 204, 'in another order, and escaped';

    ($res) = ask('/off/mp/collect?measurement_id=G-ABC1234567&api_secret='
                 . 'older%20secret%26%3D%25', $body);
    is $res->{status}, 204, 'the second secret of the file';

    my %wrong = (
        'no secret' => 'measurement_id=G-ABC1234567',
        'an empty one' => 'measurement_id=G-ABC1234567&api_secret=',
        'a bare one' => 'measurement_id=G-ABC1234567&api_secret',
        'another' => 'measurement_id=G-ABC1234567&api_secret=another',
        'its beginning' => 'measurement_id=G-ABC1234567&api_secret='
                           . substr($secret, 0, -1),
        'more than it' => "${query}x",
        'a long one' => 'measurement_id=G-ABC1234567&api_secret=' . 'x' x 3000,
        'a right and a wrong one' => "$query&api_secret=x",
    );

    for my $name (sort keys %wrong) {
        for my $path (qw(mp/collect debug/mp/collect)) {
            my ($res, $got, $log) = ask("/off/$path?$wrong{$name}", $body);

            is $res->{status}, 403, "$path, $name: 403";
            is $res->{body}, "api_secret: not known here\n", 'one line';
            is header($res, 'Sgtm-Reason'), 'api_secret', 'its reason';
            is $got, undef, 'nothing arrives';
        }
    }

    for my $args ("api_secret=$secret", "$query&measurement_id=G-OTHER12345",
                  "measurement_id=G-OTHER12345&api_secret=$secret",
                  "measurement_id=GTM-ABC1234&api_secret=$secret",
                  "id=GTM-ABC1234&api_secret=$secret")
    {
        my ($res, $got) = ask("/off/mp/collect?$args", $body);

        is $res->{status}, 403, "$args: 403";
        is $res->{body}, "id: not one of this site\n", 'by its id';
        is $got, undef, 'nothing arrives';
    }

    ($res, $got) = ask("/none/mp/collect?$query", $body);
    is $res->{status}, 403, 'a location with a file of its own';

    ($res, $got) = ask("/metrics/mp/collect?$query", $body,
                       to => { nth => 3 },
                       headers => [Host => 'bare.example']);
    is $res->{status}, 403, 'no secret is configured: 403';
    is $got, undef, 'nothing arrives';

    ($res, $got) = ask("/off/mp/collect/?api_secret=x&"
                       . 'measurement_id=G-ABC1234567', $body);
    is $res->{status}, 403, 'a slash at the end is no way around';

    ($res) = $t->get("/off/mp/collect?$query");
    is $res->{status}, 405, 'GET: 405';

    ($res, $got) = ask("/off/mp/collect?api_secret=x&"
                       . 'measurement_id=G-ABC1234567', $body,
                       headers => ['X-Gtm-Server-Preview' => 'a']);
    is $res->{status}, 403, 'a preview needs the secret, too';
    is $got, undef, 'nothing arrives';
};


# What no rule touches

my @faithful = (
    '{"client_id":"1234567890.1795000000","events":[{"name":"stock_sync",'
    . '"params":{"ledger_id":9007199254740993123,"ratio":1.0,"tiny":1e-7,'
    . '"big":1E+21,"neg":-0,"huge":1e999,"session_id":1795132800}}]}',
    " \r\n{ \"client_id\" :\t\"1.2\" , \"events\" : [ { \"name\":\"a\" } ]\n}"
    . "\n\n",
    '{"events":[{"params":{"a":1,"a":"2","a":null},"name":"x"},'
    . '{"name":"y","params":{}},{"name":"z","params":{ }}],'
    . '"client_id":"\u0031.2","unknown":{"a":[1,[2,[{}]],""]}}',
    '{"client_id":"1.2","user_properties":{"p":{"value":"\ud83d\ude00\/\u0026'
    . '"}},"events":[{"name":"x","params":{"page_location":'
    . '"https:\/\/h\/?a=b\u0026gclid=c#d","text":"\\\\\"\b\f\n\r\t",'
    . '"u":"' . "\xc3\xa4\xf0\x9f\x98\x80" . '"}}]}',
    '{"client_id":"1.2","user_id":"u","ip_override":"192.0.2.1",'
    . '"user_data":{"sha256_email_address":["ab"]},"timestamp_micros":'
    . '1795000000000000,"consent":{"ad_user_data":"GRANTED",'
    . '"ad_personalization":"GRANTED"},"non_personalized_ads":false,'
    . '"events":[{"name":"x","params":{"items":[{"item_id":"1","price":9.990},'
    . '{"item_id":"2"}]}}]}',
);

subtest 'fidelity' => sub {
    for my $prefix (qw(off advanced from-default basic-granted)) {
        for my $body (@faithful) {
            next if $prefix eq 'basic-granted' && $body =~ /gclid|user_|"text/;

            my $want = $body;

            if ($prefix eq 'basic-granted') {
                isnt through($prefix, $body), undef, 'it arrives';
                next;
            }

            is through($prefix, $body), $want, 'byte for byte';
        }
    }

    my $long = body_of(params => '"blob":"' . 'x' x 60_000 . '"');

    is through('off', $long), $long, 'a body that nginx has in a file';

    my $c = $t->http;
    my $body = $faithful[0];

    $tag->clear;
    $c->request('POST', "/advanced/mp/collect?$query",
                ['Transfer-Encoding' => 'chunked', Host => 'shop.example'],
                join '', (map { sprintf "%x\r\n%s\r\n", length, $_ }
                              $body =~ /(.{1,50})/gs), "0\r\n\r\n");
    is $c->response->{status}, 204, 'in chunks';
    is +($tag->wait_requests(1))[0]{body}, $body, 'byte for byte';

    my $h2 = $t->h2(nth => 2);

    $tag->clear;

    my $id = $h2->request('POST', "/advanced/mp/collect?$query",
                          ['content-type' => 'application/json'], $body);
    is $h2->response($id)->{status}, 204, 'over HTTP/2';
    is +($tag->wait_requests(1))[0]{body}, $body, 'byte for byte';
};


# What a denial takes out: the body as it has to arrive, with <ID> for an id
# that is another one of the same form.

sub denied {
    my ($prefix, $body, $want, $name, @headers) = @_;

    my $got = through($prefix, $body, @headers);

    $got = '' if !defined $got;

    my $re = join '(\d\.\d)', map { quotemeta } split /<ID>/, $want, -1;
    my ($ok, @ids) = $got =~ /\A$re\z/ ? (1, $got =~ /\A$re\z/) : (0);

    ok $ok, $name or diag " got: $got\nwant: $want";

    $json->decode($got);
}

subtest 'ad_storage denied' => sub {
    denied('ad_storage',
           body_of(params => '"gclid":"x", "a":1,"msclkid":5'),
           body_of(params => ' "a":1'), 'click ids');
    denied('ad_storage', body_of(params => '"gclid":"x"'),
           body_of(params => ''), 'the only one');
    denied('ad_storage', body_of(params => '"a":1,"\u0067clid":"x"'),
           body_of(params => '"a":1'), 'one whose name is escaped');
    denied('ad_storage', body_of(params => '"gclid":"x","gclid":{"a":[1]},'
                                           . '"b":2,"gclid":null'),
           body_of(params => '"b":2'), 'one that is there three times');
    denied('ad_storage', body_of(gclid => '"x"', params => '"b":2'),
           body_of(params => '"b":2'), 'beside the events');
    denied('ad_storage',
           body_of(params => '"items":[{"item_id":"1","gclid":"x"},{"a":'
                             . '{"fbclid":"y"},"b":1}]'),
           body_of(params => '"items":[{"item_id":"1"},{"b":1}]'),
           'within items');
    denied('ad_storage',
           body_of(params => '"page_location":"https://h/?gclid=x&a=b",'
                   . '"page_referrer":"https:\/\/h\/?a=b\u0026gclid=x#gclid=y"'
                   . ',"link_url":"https://h/?u=https%3A%2F%2Fi%3Fgclid%3Dx"'),
           body_of(params => '"page_location":"https://h/?a=b",'
                   . '"page_referrer":"https://h/?a=b"'
                   . ',"link_url":"https://h/?u=https%3A%2F%2Fi"'),
           'within URLs');
    denied('ad_storage', body_of(params => '"https://h/?gclid=x":"y"'),
           body_of(params => '"https://h/":"y"'), 'an URL as a name');

    my $kept = body_of(params => '"page_location":"https:\/\/h\/?a=b\u0026c",'
                                 . '"n":12345678901234567890');

    denied('ad_storage', $kept, $kept, 'nothing else is touched');

    my ($res, $got) = ask("/ad_storage/mp/collect?$query&gclid=x", body_of());
    is $got->{uri}, "/mp/collect?$query", 'nor is it in the query';
    is $got->{h}{'x-forwarded-for'}, '127.0.0.0', 'the address is masked';
};


subtest 'analytics_storage denied' => sub {
    my $got = through('analytics_storage',
                      body_of(user_id => '"u"', ip_override => '"192.0.2.1"',
                              user_location => '{"city":"Ulm",'
                                               . '"country_id":"DE"}',
                              params => '"session_id":1795132800,'
                                        . '"ga_session_number":2,'
                                        . '"user_id":"u","x":1'));
    my $is = $json->decode($got);

    like $is->{client_id}, qr/\A[1-9]\.[1-9]\z/, 'a client id of this form';
    like $is->{events}[0]{params}{session_id}, qr/\A[1-9]\d{9}\z/,
         'a session id';
    isnt $is->{events}[0]{params}{session_id}, 1795132800, 'another one';
    is join(' ', sort keys %{ $is->{events}[0]{params} }), 'session_id x',
       'neither session number nor user id';
    is join(' ', sort keys %$is), 'client_id events user_location',
       'no user id, no address';
    is join(' ', %{ $is->{user_location} }), 'country_id DE', 'no city';

    $got = through('analytics_storage', body_of(params => '"session_id":1e5'));
    unlike $got, qr/session_id/, 'a session id of another form';

    my $long = '"1234567890.1795000000"';
    my %seen;

    for (1 .. 3) {
        $got = through('analytics_storage',
                       "{\"app_instance_id\":$long,\"client_id\":$long,"
                       . '"events":[{"name":"a"}]}');
        $is = $json->decode($got);
        is $is->{client_id}, $is->{app_instance_id}, 'equal ones stay equal';
        $seen{ $is->{client_id} } = 1;
    }

    is scalar(keys %seen), 3, 'and differ with each hit';
    ok !$seen{'1234567890.1795000000'}, 'from the one that was sent, too';
};


subtest 'ad_user_data denied' => sub {
    my $denied = '"consent":{"ad_user_data":"DENIED"}';
    my $head = '{"client_id":"1.2"';
    my $tail = '"events":[{"name":"purchase","params":{"a":1}}],';

    denied('ad_user_data',
           body_of(user_id => '"u"', params => '"user_data":{"em":"x"},"a":1,'
                   . '"em":"y"',
                   user_data => '{"email":"a@b.example","address":'
                                . '[{"first_name":"A"}]}'),
           "$head,$tail$denied}", 'personal data');
    denied('ad_user_data', body_of(params => '"user_data":"a@b.example","a":1'),
           "$head,$tail$denied}", 'of any form');
    denied('ad_user_data', body_of(params => '"user_data":["a@b.example"],'
                                             . '"a":1'),
           "$head,$tail$denied}", 'of any form');
    denied('ad_user_data',
           body_of(consent => '{"ad_user_data":"DENIED"}', params => '"a":1'),
           body_of(consent => '{"ad_user_data":"DENIED"}', params => '"a":1'),
           'a body that says so itself');
    denied('advanced',
           body_of(consent => '{ "ad_user_data":"DENIED" }',
                   params => '"a":1', user_data => '{}', user_id => '"u"'),
           body_of(consent => '{ "ad_user_data":"DENIED" }',
                   params => '"a":1', user_data => '{}'),
           'a body alone that says so');
    denied('ad_user_data',
           body_of(consent => '{"ad_user_data":"GRANTED"}',
                   user_data => '{"email":"x"}'),
           body_of(consent => '{"ad_user_data":"GRANTED"}',
                   user_data => '{"email":"x"}'),
           'the body before the default');
};


subtest 'ad_personalization denied' => sub {
    denied('ad_personalization', body_of(consent => '{}'),
           '{"client_id":"1.2","consent":{"ad_personalization":"DENIED"},'
           . '"events":[{"name":"purchase","params":{}}],'
           . '"non_personalized_ads":true}', 'it is said');
    denied('ad_personalization', body_of(non_personalized_ads => 'false'),
           '{"client_id":"1.2",'
           . '"events":[{"name":"purchase","params":{}}],'
           . '"non_personalized_ads":true,'
           . '"consent":{"ad_personalization":"DENIED"}}',
           'what says another thing goes');
    denied('advanced', body_of(non_personalized_ads => 'true'),
           '{"client_id":"1.2","non_personalized_ads":true,'
           . '"events":[{"name":"purchase","params":{}}],'
           . '"consent":{"ad_personalization":"DENIED"}}',
           'the older way to say it');
    denied('kept', body_of(), body_of(), 'sgtm_redact ... -npa');
    denied('advanced', body_of(consent => '{"ad_personalization":"GRANTED",'
                               . '"ad_personalization":"DENIED"}'),
           '{"client_id":"1.2","consent":{"ad_personalization":"DENIED"},'
           . '"events":[{"name":"purchase","params":{}}],'
           . '"non_personalized_ads":true}', 'the stricter of two');
};


subtest 'consent' => sub {
    my $body = body_of(params => '"gclid":"x"', user_id => '"u"');

    my ($res, $got, $log) = ask("/basic/mp/collect?$query", $body);
    is $res->{status}, 204, 'basic, all denied: 204';
    is header($res, 'Sgtm-Disposition'), 'denied', 'denied';
    is header($res, 'Sgtm-Reason'), 'consent', 'by consent';
    is $got, undef, 'nothing arrives';

    ($res, $got) = ask("/basic-granted/mp/collect?$query", $body);
    is header($res, 'Sgtm-Disposition'), 'forwarded', 'granted: forwarded';
    unlike $got->{body}, qr/gclid|user_id/, 'without what is not';

    my $is = $json->decode(through('default', $body));
    is $is->{non_personalized_ads}, 1, 'the default denies all';
    is join(' ', map { "$_=$is->{consent}{$_}" } sort keys %{ $is->{consent} }),
       'ad_personalization=DENIED ad_user_data=DENIED', 'and it is said';

    is through('from-default', $body), $body,
       'sgtm_consent_default where there is no sgtm_consent_server';

    $is = $json->decode(through('advanced', $body, 'Sec-GPC' => 1));
    is $is->{non_personalized_ads}, 1, 'Sec-GPC';
    ok !exists $is->{events}[0]{params}{gclid}, 'takes click ids';

    $is = $json->decode(through('own', body_of(
        params => '"partner":"x","a":1',
        user_properties => '{"segment":{"value":"x"},"b":{"value":"y"}}')));
    is join(' ', keys %{ $is->{events}[0]{params} }), 'a',
       'sgtm_redact of ep.';
    is join(' ', keys %{ $is->{user_properties} }), 'b', 'and of up.';
};


subtest 'set and remove' => sub {
    my $is = $json->decode(
        through('set', '{"client_id":"1.2","user_properties":{"b":{"value":1},'
                . '"tier":{"value":"none"}},"events":[{"name":"a"},{"name":'
                . '"b","params":{"site":"x","c":1,"factor":2,"page_title":'
                . '"a title"}}]}'));

    is $is->{user_properties}{tier}{value}, 'gold', 'a user property';
    is $is->{user_properties}{b}{value}, 1, 'beside another';
    is $is->{user_id}, 'u-1', 'the user id';
    is join(' ', sort keys %$is), 'client_id events user_id user_properties',
       'nothing that JSON has no place for';

    for my $event (@{ $is->{events} }) {
        my $params = $event->{params};

        is $params->{site}, 'a "b" ', "$event->{name}: a text";
        is $params->{factor}, 1.5, 'a number';
        is $params->{word}, 'many', 'one that is none';
        is $params->{page_title}, 'a title', 'a title';
        ok !exists $params->{nothing}, 'an empty one adds nothing';
    }

    is $is->{events}[1]{params}{c}, 1, 'another parameter stays';

    my $got = through('set', body_of());
    like $got, qr/"factor":1\.50[,}]/, 'a number as it was written';
    is scalar(() = $got =~ /"site"/g), 1, 'once';

    my ($res, $hit) = ask("/set/mp/collect?$query&who=%22%01\\", body_of());
    is $json->decode($hit->{body})->{events}[0]{params}{site},
       'a "b" %22%01\\', 'a value of any form';

    $is = $json->decode(through('set-denied', body_of(user_id => '"LEAK"')));
    is $is->{events}[0]{params}{url}, 'http://h/?a=', 'URLs in it are cut';
    ok !exists $is->{events}[0]{params}{gclid}, 'a denied one is not set';
    unlike $is->{events}[0]{params}{body}, qr/LEAK/,
         'it is made of what may be sent';
    like $is->{events}[0]{params}{body}, qr/client_id/, 'and of that';

    is through('remove',
               '{"client_id":"1.2","user_data":{"email":"x"},"user_properties":'
               . '{"segment":{"value":1}, "b":{"value":2}},"events":[{"name":'
               . '"a","params":{"secret":1,"count":"2","x_a":3,"d":4,"x_b":5,'
               . '"page_referrer":"r","items":[{"secret":6,"x_c":7}]}}]}'),
       '{"client_id":"1.2","user_properties":'
       . '{ "b":{"value":2}},"events":[{"name":'
       . '"a","params":{"d":4,"items":[{"secret":6,"x_c":7}]}}]}',
       'what is removed, and what a hit needs';
};


# JSON that nobody has read is not to pass under another name

subtest 'the path in any case' => sub {
    my $body = body_of(user_id => '"LEAK"', params => '"gclid":"LEAK"');

    for my $path ('MP/collect', 'mp/Collect/', 'mp/collect/', 'm%50/c%4Fllect')
    {
        my ($res, $got, $log) = ask("/default/$path?$query", $body);

        is $res->{status}, 204, "$path: 204";
        is $got && $got->{uri}, "/mp/collect?$query", 'it arrives as itself';
        unlike $got && $got->{body}, qr/LEAK/, 'redacted';
        unlike $log, qr/\Q$secret\E/, 'no secret in the log';

        ($res, $got) = ask("/default/$path?measurement_id=G-ABC1234567", $body);
        is $res->{status}, 403, 'no secret: 403';
        is $got, undef, 'nothing arrives';
    }

    my ($res, $got, $log) = ask("/off/mp/colect?$query", $body);
    is $got && $got->{uri}, "/mp/colect?$query", 'another path is another';
    unlike $log, qr/\Q$secret\E/, 'without the secret in the log';

    ($res, $got) = ask("/off/Debug/MP/collect?$query", $body);
    is $res->{status}, 200, 'its validation, too';
    is $got, undef, 'which nothing arrives of';
};


# Google's parser takes the fields of the protocol in two spellings

subtest 'the other spelling' => sub {
    denied('advanced',
           body_of(consent => '{"adUserData":"DENIED"}', userId => '"u"',
                   userData => '{"emailAddress":"a@b.example"}',
                   params => '"userId":"x"'),
           body_of(consent => '{"adUserData":"DENIED"}',
                   params => '"userId":"x"'), 'what the body denies');
    denied('ad_user_data',
           body_of(consent => '{"adPersonalization":"GRANTED"}',
                   userData => '{"emailAddress":"a@b.example"}'),
           body_of(consent => '{"adPersonalization":"GRANTED",'
                              . '"ad_user_data":"DENIED"}'),
           'what nobody has granted');
    denied('analytics_storage',
           '{"clientId":"8.8","userId":"u","events":[{"name":"a"}]}',
           '{"clientId":"<ID>","events":[{"name":"a"}]}', 'ids');

    my ($res, $got) = ask("/off/mp/collect?$query",
                          '{"clientId":"1.2","client_id":"3.4","events":'
                          . '[{"name":"a"}]}');
    is $res->{body}, "client_id: there twice\n", 'one in both';
};


# One line, nothing of what was sent, counted, nothing arrives

my $deep = '[' x 17 . ']' x 17;
my $event = '{"name":"a"}';

my @refused = (
    ['', 'bad_json', 'body: not a JSON object'],
    [' ', 'bad_json', 'body: not a JSON object'],
    ['[]', 'bad_json', 'body: not a JSON object'],
    ['"LEAK"', 'bad_json', 'body: not a JSON object'],
    ['null', 'bad_json', 'body: not a JSON object'],
    ['LEAK', 'bad_json', 'body: not a JSON object'],
    [substr(body_of(), 0, -1), 'bad_json', 'body: not a JSON object'],
    [body_of() . 'x', 'bad_json', 'body: not a JSON object'],
    [body_of() . body_of(), 'bad_json', 'body: not a JSON object'],
    ['{"client_id":"1.2",}', 'bad_json', 'body: not a JSON object'],
    ["{'client_id':'LEAK'}", 'bad_json', 'body: not a JSON object'],
    [body_of(a => '01'), 'bad_json', 'body: not a JSON object'],
    [body_of(a => '1.'), 'bad_json', 'body: not a JSON object'],
    [body_of(a => '+1'), 'bad_json', 'body: not a JSON object'],
    [body_of(a => 'NaN'), 'bad_json', 'body: not a JSON object'],
    [body_of(a => '"\x"'), 'bad_json', 'body: not a JSON object'],
    ["\xef\xbb\xbf" . body_of(), 'bad_json', 'body: not a JSON object'],
    ['[' x 100_000, 'json_depth', 'body: nested too deep'],
    ['{"a":' x 20_000, 'json_depth', 'body: nested too deep'],
    [body_of(a => $deep), 'json_depth', 'body: nested too deep'],
    [body_of(a => "\"LEAK\xff\""), 'bad_utf8', 'body: not UTF-8'],
    [body_of(a => "\"\xc0\xaf\""), 'bad_utf8', 'body: not UTF-8'],
    [body_of(a => "\"\xed\xa0\x80\""), 'bad_utf8', 'body: not UTF-8'],
    [body_of(a => '"\ud800"'), 'bad_utf8', 'body: not UTF-8'],
    [body_of(a => '"\udc00\ud800"'), 'bad_utf8', 'body: not UTF-8'],
    [body_of(a => '"\u0000"'), 'bad_byte', 'body: a control character'],
    [body_of(a => "\"\0\""), 'bad_byte', 'body: a control character'],
    [body_of(a => "\"a\nb\""), 'bad_byte', 'body: a control character'],
    ["{\"events\":[$event]}", 'no_client', 'client_id: missing or empty'],
    ["{\"client_id\":\"\",\"events\":[$event]}", 'no_client',
     'client_id: missing or empty'],
    ["{\"client_id\":1.2,\"events\":[$event]}", 'no_client',
     'client_id: missing or empty'],
    ["{\"CLIENT_ID\":\"1.2\",\"events\":[$event]}", 'no_client',
     'client_id: missing or empty'],
    ['{"client_id":"1.2"}', 'no_events', 'events: missing or empty'],
    ['{"client_id":"1.2","events":[]}', 'no_events',
     'events: missing or empty'],
    ['{"client_id":"1.2","events":{"name":"a"}}', 'no_events',
     'events: missing or empty'],
    ['{"client_id":"1.2","events":["LEAK"]}', 'bad_member',
     'events: of another type than it has to be'],
    ['{"client_id":"1.2","events":[{}]}', 'bad_event_name',
     'events.name: missing, or not a name'],
    ['{"client_id":"1.2","events":[{"name":"LEAK x"}]}', 'bad_event_name',
     'events.name: missing, or not a name'],
    ['{"client_id":"1.2","events":[{"name":"' . 'a' x 41 . '"}]}',
     'bad_event_name', 'events.name: missing, or not a name'],
    ['{"client_id":"1.2","events":[{"name":"a","params":[]}]}', 'bad_member',
     'params: of another type than it has to be'],
    [body_of(user_properties => '[]'), 'bad_member',
     'user_properties: of another type than it has to be'],
    [body_of(consent => '"DENIED"'), 'bad_member',
     'consent: of another type than it has to be'],
    [body_of(timestamp_micros => '"LEAK"'), 'bad_member',
     'timestamp_micros: of another type than it has to be'],
    ["{\"client_id\":\"1.2\",\"events\":[$event],\"events\":[$event]}",
     'twice', 'events: there twice'],
    ["{\"client_id\":\"1.2\",\"client\\u005fid\":\"LEAK\",\"events\":"
     . "[$event]}", 'twice', 'client_id: there twice'],
    ['{"client_id":"1.2","events":[' . join(',', ($event) x 26) . ']}',
     'too_many_events', 'body: too many events'],
    [body_of(params => join ',', map { "\"p$_\":1" } 1 .. 101),
     'too_many_params', 'events.params: too many'],
);

subtest 'null' => sub {
    my $body = '{"client_id":"1.2","user_id":null,"consent":null,'
               . '"user_properties":null,"events":[{"name":"a",'
               . '"params":null}]}';

    is through('off', $body), $body, 'is as good as absent';

    denied('default', $body, '{"client_id":"<ID>","user_properties":null,'
           . '"events":[{"name":"a","params":null}],'
           . '"non_personalized_ads":true,"consent":{"ad_personalization":'
           . '"DENIED","ad_user_data":"DENIED"}}',
           'and gives way to what is said');

    my $is = $json->decode(through('set', $body));
    is $is->{events}[0]{params}{site}, 'a "b" ', 'to params';
    is $is->{user_properties}{tier}{value}, 'gold', 'and to properties';
};


subtest 'bad input' => sub {
    my (%count, %before);
    my $status = $t->status('/status')->{tenants}{'shop.example'};

    %before = %{ $status->{reasons} };

    for my $case (@refused) {
        my ($body, $reason, $text) = @$case;
        my ($res, $got, $log) = ask("/off/mp/collect?$query", $body);
        my $name = substr $body, 0, 40;

        is $res->{status}, 400, "$name: 400";
        is $res->{body}, "$text\n", 'one line';
        is header($res, 'Sgtm-Reason'), $reason, "by $reason";
        is $got, undef, 'nothing arrives';
        like $log, qr/\|refused\|$reason\|/, 'in the log';
        unlike $log . $t->error_log, qr/LEAK|\Q$secret\E/, 'nothing of it';
        $count{$reason}++;
    }

    $status = $t->status('/status')->{tenants}{'shop.example'};

    for my $reason (sort keys %count) {
        is $status->{reasons}{$reason} - ($before{$reason} || 0),
           $count{$reason}, "$reason is counted";
    }

    my ($res, $got) = ask("/off/mp/collect?$query", undef);
    is $res->{status}, 400, 'no body at all: 400';

    ($res, $got) = ask("/off/mp/collect?$query", body_of(),
                       headers => ['Content-Encoding' => 'gzip']);
    is $res->{status}, 204, 'Content-Encoding is between the two servers';
};


subtest 'limits' => sub {
    my $events = sub { '{"client_id":"1.2","events":['
                       . join(',', ($event) x $_[0]) . ']}' };

    is through('off', $events->(25)), $events->(25), '25 events';

    my $body = sub {
        my $empty = body_of(params => '"a":""');
        return body_of(params => '"a":"' . 'x' x ($_[0] - length $empty)
                                 . '"');
    };

    for my $prefix (qw(off small)) {
        is through($prefix, $body->(130 * 1024)), $body->(130 * 1024),
           "130 kB at /$prefix/";

        my ($res, $got) = ask("/$prefix/mp/collect?$query",
                              $body->(130 * 1024 + 1));
        is $res->{status}, 413, 'one byte more: 413';
        is $res->{body}, "body: larger than this gateway takes\n", 'one line';
        is header($res, 'Sgtm-Reason'), 'too_large', 'its reason';
        is $got, undef, 'nothing arrives';
    }

    is length through('large', $body->(150_000)), 150_000,
       'a larger sgtm_max_body';

    my ($res, $got) = ask("/off/mp/collect?$query", body_of(
        params => join ',', map { "\"p$_\":1" } 1 .. 26));
    is $res->{status}, 204, '26 parameters pass';

    my $over = $t->status('/status')->{tenants}{'shop.example'}{over_limit};
    cmp_ok $over->{params}, '>=', 1, 'and are counted';
    cmp_ok $over->{param_value}, '>=', 1, 'as are long values';
};


sub validate {
    my ($body, %opt) = @_;

    my ($res, $got, $log) = ask("/off/debug/mp/collect?$query", $body, %opt);

    is $got, undef, 'nothing arrives';
    is $res->{status}, 200, 'an answer' or return [];
    is header($res, 'Content-Type'), 'application/json', 'JSON';
    is header($res, 'Cache-Control'), 'no-store', 'not to be kept';
    unlike $res->{body}, qr/LEAK|\Q$secret\E/, 'nothing is echoed';

    return $json->decode($res->{body})->{validationMessages};
}


subtest 'validation' => sub {
    is_deeply validate(body_of()), [], 'nothing to say';
    is_deeply validate(body_of(),
                       headers => ['X-Gtm-Server-Preview' => 'a']), [],
              'to a preview either';

    my %codes = (
        'VALUE_REQUIRED client_id' => "{\"events\":[$event]}",
        'VALUE_INVALID client_id' => "{\"client_id\":7,\"events\":[$event]}",
        'VALUE_REQUIRED events' => '{"client_id":"LEAK"}',
        'VALUE_INVALID events' => '{"client_id":"LEAK","events":1}',
        'EXCEEDED_MAX_ENTITIES events' =>
            '{"client_id":"1.2","events":[' . join(',', ($event) x 26) . ']}',
        'VALUE_REQUIRED events[1].name' =>
            "{\"client_id\":\"1.2\",\"events\":[$event,{}]}",
        'NAME_INVALID events[0].name' =>
            '{"client_id":"1.2","events":[{"name":"LEAK-x"}]}',
        'NAME_RESERVED events[0].name' =>
            '{"client_id":"1.2","events":[{"name":"session_start"}]}',
        'NAME_RESERVED events[0].params.google_x' =>
            body_of(params => '"google_x":1'),
        'NAME_INVALID events[0].params.*' =>
            body_of(params => '"LEAK x":1'),
        'NAME_DUPLICATED events[0].params.a' =>
            body_of(params => '"a":1,"a":2'),
        'VALUE_OUT_OF_BOUNDS events[0].params.a' =>
            body_of(params => '"a":"' . 'LEAK' x 30 . '"'),
        'EXCEEDED_MAX_ENTITIES events[0].params' =>
            body_of(params => join ',', map { "\"p$_\":1" } 1 .. 26),
        'EXCEEDED_MAX_ENTITIES events[0].params.items' =>
            body_of(params => '"items":[' . join(',', ('{}') x 201) . ']'),
        'VALUE_OUT_OF_BOUNDS timestamp_micros' =>
            body_of(timestamp_micros => '1600000000000000'),
        'VALUE_INVALID timestamp_micros' =>
            body_of(timestamp_micros => '"LEAK"'),
        'VALUE_INVALID consent.ad_user_data' =>
            body_of(consent => '{"ad_user_data":"LEAK"}'),
        'NAME_RESERVED user_properties.user_id' =>
            body_of(user_properties => '{"user_id":{"value":"LEAK"}}'),
        'VALUE_INVALID user_properties.a' =>
            body_of(user_properties => '{"a":"LEAK"}'),
        'VALUE_INVALID user_id' => body_of(user_id => '7'),
        'VALUE_INVALID clientid' => body_of(clientid => '"LEAK"'),
        'NAME_DUPLICATED user_id' =>
            '{"client_id":"1.2","user_id":"LEAK","user_id":"LEAK","events":'
            . "[$event]}",
        'VALUE_INVALID ' => '{"client_id":"LEAK"',
    );

    for my $what (sort keys %codes) {
        my $messages = validate($codes{$what});

        is join(', ', map { "$_->{validationCode} $_->{fieldPath}" }
                          @$messages),
           $what, $what;
        like $messages->[0]{description}, qr/\A[A-Z].*\.\z/, 'in a sentence';
    }

    my $now = time() * 1_000_000;

    is_deeply validate(body_of(timestamp_micros => $now)), [], 'a time of now';
    is_deeply validate(body_of(timestamp_micros => "\"$now\"")), [],
              'in a string';

    my $many = validate('{"client_id":"1.2","events":['
                        . join(',', map { '{"name":"a","params":{'
                                          . join(',', map { "\"LEAK $_\":1" }
                                                          1 .. 90) . '}}' }
                                        1 .. 25) . ']}');
    cmp_ok scalar(@$many), '<', 100, 'no more than are of help';
};


subtest 'failure' => sub {
    my ($res) = ask("/down/mp/collect?$query", body_of());

    is $res->{status}, 503, 'the tagging server is down: 503';
    is header($res, 'Retry-After'), 10, 'to be tried again';

    my $got;
    ($res, $got) = ask("/off/mp/collect?$query&do=503", body_of());
    is $res->{status}, 503, 'it fails';
};


# What is kept on disk has no secret; the courier adds the first one.

subtest 'queue' => sub {
    my $servers = join '', map { my ($n, $name, $upstream) = @$_; <<"EOC" }
    server {
        listen             127.0.0.1:%%PORT$n%%;
        server_name        $name;
        sgtm_tag_id        G-ABC1234567;
        sgtm_endpoint      sgtm.example.com;
        sgtm_api_secret    $files/secret;
        sgtm_user_data     hash;
        sgtm_courier       \@courier backoff=100ms;
        sgtm_debug         on;

        location /queued/ {
            sgtm           on;
            sgtm_delivery  queued;
            proxy_pass     http://$upstream/;
            include        sgtm_proxy.conf;
        }

        location /direct/ {
            sgtm           on;
            proxy_pass     http://$upstream/;
            include        sgtm_proxy.conf;
        }

        location \@courier {
            proxy_pass     http://$upstream;
            include        sgtm_proxy.conf;
        }
    }
EOC
        [1, 'shop.example', 'tagging'], [2, 'down.example', 'nobody'];

    my $q = SGTM::Test->start(<<"EOC");
    sgtm_spool  spool sync=always;
    log_format  all  '\$request|\$args|\$request_body|\$sgtm_disposition';
    access_log  %%DIR%%/all.log  all;

    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    upstream nobody  { server 127.0.0.1:$nobody max_fails=0; }

    $servers
EOC

    my $args = 'measurement_id=G-ABC1234567';
    my $uri = "mp/collect?api_secret=older%20secret%26%3D%25&$args";
    my $body = body_of(timestamp_micros => '1795132800123456',
                       user_data => '{"email":"LEAK"}');

    $tag->clear;

    my $res = $q->post("/queued/$uri", $body);
    is $res->{status}, 204, 'kept';
    is header($res, 'Sgtm-Disposition'), 'queued', 'in the queue';

    my ($got) = $tag->wait_requests(1);
    is $got->{uri}, "/mp/collect?$args&api_secret=$secret",
       'it arrives with the first secret';

    (my $want = $body) =~ s/"email":"LEAK"/
        '"sha256_email_address":"' . Digest::SHA::sha256_hex('leak') . '"'/e;
    is $got->{body}, $want, 'and its body';

    $tag->clear;
    (my $other = $uri) =~ s{mp/collect}{MP/collect/};

    is $q->post("/queued/$other", $body)->{status}, 204, 'by another name';
    ($got) = $tag->wait_requests(1);
    is $got->{uri}, "/mp/collect?$args&api_secret=$secret",
       'it arrives so, too';

    # a time in either spelling is the event's; without one it gets its own

    for my $key (qw(timestampMicros timestamp_micros none)) {
        my $one = body_of($key eq 'none' ? ()
                                         : ($key => '1795132800123456'));

        $tag->clear;
        $q->post("/queued/$uri", $one);
        ($got) = $tag->wait_requests(1);

        my @times = $got->{body} =~ /"(timestamp_?[mM]icros)":/g;

        is "@times", $key eq 'none' ? 'timestamp_micros' : $key,
           "$key: one time in the body";
    }

    for my $where (qw(queued direct)) {
        $res = $q->request('POST', "/$where/$uri",
                           [Host => 'down.example'], $body, nth => 2);
        is $res->{status}, 204, "$where, nobody there: 204";
    }

    my $kept = join '', map { SGTM::Run::get($_) } glob $q->dir . "/spool{,/*}";

    like $kept, qr/purchase/, 'it is on disk';
    like $kept, qr/measurement_id=G-ABC1234567/, 'with its stream';
    unlike $kept, qr/older%20secret|\Q$secret\E|api_secret|LEAK/,
           'without a secret, nothing in clear';
    unlike $q->file('all.log') . $q->error_log,
           qr/older%20secret|\Q$secret\E|LEAK/, 'nor is it in a log';
};


subtest 'logs' => sub {
    my $log = $t->file('all.log') . $t->access_log . $t->error_log;

    for my $word ($secret, 'older%20secret', 'api_secret=', 'gclid',
                  'LEAK', '192.0.2.1')
    {
        unlike $log, qr/\Q$word\E/, "\"$word\" is in no log";
    }

    like $t->error_log, qr/connect\(\) failed/, 'where there is an error';
    like $t->file('all.log'), qr{^POST /off/mp/collect\|}m, 'the path is';
    like $t->file('all.log'), qr/\|purchase\|1\|/, 'as are event and count';
};


subtest 'configuration' => sub {
    my $try = sub {
        my ($file, $more) = @_;

        return nginx_t("server { $more sgtm_api_secret $file; }");
    };

    my ($status, $out) = $try->("$files/empty", '');
    isnt $status, 0, 'an empty file';
    like $out, qr/there is no secret in "\S+empty"/, 'is an error';

    ($status, $out) = $try->("$files/missing", '');
    isnt $status, 0, 'a file that is not there';
    like $out, qr/open\(\) "\S+missing" failed/, 'is one';

    ($status, $out) = $try->($files, '');
    isnt $status, 0, 'a directory';
    like $out, qr/is no file/, 'is one';

    ($status, $out) = $try->("$files/secret", "sgtm_api_secret $files/other;");
    isnt $status, 0, 'twice';
    like $out, qr/is duplicate/, 'is one';

    chmod 0644, "$files/other";
    ($status, $out) = $try->("$files/other", '');
    is $status, 0, 'a file for everybody';
    like $out, qr/\[warn\].*holds secrets/, 'is warned of';

    ($status, $out) = $try->("$files/secret", '');
    is $status, 0, 'one that is not';
    unlike $out, qr/\[warn\]/, 'is not';
    unlike $out, qr/\Q$secret\E/, 'and not shown';

    SGTM::Run::put("$files/long", 'x' x 600);
    ($status, $out) = $try->("$files/long", '');
    isnt $status, 0, 'a secret of 600 bytes is an error';

    ($status, $out) = nginx_t('server { sgtm_consent_server all=granted; }');
    isnt $status, 0, 'sgtm_consent_server';
    like $out, qr/invalid value "all=granted" in "sgtm_consent_server"/,
         'names what it takes';
};


done_testing;
