#!/usr/bin/perl

# What operators see: the counters of sgtm_status, as JSON and in Prometheus's
# text format.  Each kind of request changes exactly the counters that it
# should and no other, whichever of the two workers takes it; both formats show
# the same numbers; only configured tenants have labels, whatever a client
# calls itself.  It guards against a hit counted twice or not at all, against
# an endless number of labels made by strangers, and against a text that a
# strict parser refuses, so that a machine is blind when it matters.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep);

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    my ($do) = $req->{uri} =~ /\bdo=(\w+)/;

    return 204 if !$do;
    return { drop => 1 } if $do eq 'closed';
    return { hang => 1 } if $do eq 'hang';
    return [$do, [Location => 'https://shop.example/'], ''];
});

my $nobody = SGTM::Run::port();
my $proxy = SGTM::Run::get(SGTM::Run::root()
                           . '/conf-examples/sgtm_proxy.conf');

$proxy =~ s/^#.*\n//mg;
$proxy =~ s/(proxy_read_timeout\s+)\w+;/${1}300ms;/;


sub gateway {
    my ($id, $more, $upstream) = @_;

    $upstream ||= 'tagging';

    return <<"EOC";
    server {
        listen           127.0.0.1:%%PORT%%;
        server_name      $id.example;

        sgtm_tenant      $id;
        sgtm_endpoint    sgtm.example.com;
        sgtm_container   GTM-ABC1234;
        sgtm_tag_id      G-ABC1234567;
        $more

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://$upstream/;
            $proxy
        }
    }
EOC
}

my $config = <<"EOC" . join '',
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    upstream nobody { server 127.0.0.1:$nobody max_fails=0; }

    server {
        listen  127.0.0.1:%%PORT2%%;
        %%LISTEN_H2(127.0.0.1:%%PORT3%%)%%
        location = /status { sgtm_status; }
        location = /closed { deny all; sgtm_status; }
        location /below/ { sgtm_status; }
    }

    # tenants that the request names

    server {
        listen  127.0.0.1:%%PORT4%% default_server;
        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;

        location /host/ {
            sgtm         on;
            sgtm_tenant  \$host;
            proxy_pass   http://tagging/;
            $proxy
        }

        location /header/ {
            sgtm         on;
            sgtm_tenant  \$http_x_tenant;
            proxy_pass   http://tagging/;
            $proxy
        }
    }
EOC
    gateway('plain', 'sgtm_fallback client;'),
    gateway('off', 'sgtm_fallback off;'),
    gateway('closed', 'sgtm_passthrough off; sgtm_origins https://a.example;'
                      . 'sgtm_max_body 1k;'),
    gateway('basic', 'sgtm_consent_mode basic;'),
    gateway('advanced', 'sgtm_consent_mode advanced;'),
    gateway('encoded', 'sgtm_encoded pass;'),
    gateway('default', 'sgtm_consent_mode basic;'
                       . 'sgtm_consent_default analytics_storage=granted;'),
    gateway('nobody', 'sgtm_fallback client;', 'nobody'),
    gateway('named.example', '');

my $t = SGTM::Test->start($config, workers => 2);


sub status {
    my ($uri, @headers) = @_;

    return $t->request('GET', $uri, \@headers, undef, nth => 2);
}


sub json {
    return JSON::PP->new->utf8->decode(status('/status?format=json')->{body});
}


# { 'hits.forwarded' => 1, ... } of a tenant

sub flat {
    my ($counters) = @_;

    return { map {
        my $key = $_;
        my $value = $counters->{$key};
        ref $value ? map { ("$key.$_" => $value->{$_}) } keys %$value
                   : ($key => $value);
    } keys %$counters };
}


sub tenant {
    my ($id) = @_;

    return flat(json()->{tenants}{$id});
}


# what changed in between, "events:1 hits.forwarded:1"; a request is counted
# when it ends, which may be after its answer

sub change {
    my ($id, $before, $ignore) = @_;

    my ($now, %change);

    wait_for { $now = tenant($id); _sum($now) > _sum($before) } 2;

    # the other worker may be in the middle of it
    sleep 0.005;
    $now = tenant($id);

    for my $key (keys %$now) {
        next if $ignore && $key =~ $ignore;
        my $n = $now->{$key} - ($before->{$key} || 0);
        $change{$key} = $n if $n;
    }

    return join ' ', map { "$_:$change{$_}" } sort keys %change;
}


sub _sum {
    my ($counters) = @_;

    my $sum = 0;
    $sum += $counters->{$_} for grep { /^requests\./ } keys %$counters;

    return $sum;
}


sub send_to {
    my ($id, $method, $uri, $headers, $body) = @_;

    return $t->request($method, "/metrics/$uri",
                       [Host => "$id.example", @{ $headers || [] }], $body);
}


my $granted = 'gcs=G111&gcd=13t3t3t3t5l1';
my $denied = 'gcs=G100&gcd=13p3p3p3p5l1';
my $ads = 'gcs=G110&gcd=13t3p3t3t5l1';
my $hit = "g/collect?v=2&tid=G-ABC1234567&cid=1.2&$granted";
my $none = 'g/collect?v=2&tid=G-ABC1234567&cid=1.2';
my $ok = 'hits.forwarded:1 requests.hit:1 upstream.2xx:1';
my $fine = "events:1 $ok";


# base64 of a whole query

sub encoded { return encode_base64($_[0], '') }


# tenant, name, request, what changes; a regex: what may change besides, where
# nothing is promised

my $refused = qr/^events$|^consent_absent$/;

my @cases = (
    # hits and their events
    ['plain', 'a hit', 204, ['GET', "$hit&en=a"], $fine],
    ['plain', 'a hit by POST', 204, ['POST', "$hit&en=a", [], ''], $fine],
    ['plain', 'a batch of one', 204, ['POST', $hit, [], 'en=a'], $fine],
    ['plain', 'a batch of three', 204,
     ['POST', $hit, [], "en=a\r\nen=b\r\nen=c"], "events:3 $ok"],
    ['plain', 'a batch with a trailing line end', 204,
     ['POST', $hit, [], "en=a\r\nen=b\r\n"], "events:2 $ok"],
    ['plain', 'another path of hits', 204, ['GET',
     "ag/g/c?v=2&tid=G-ABC1234567&$granted&en=a"], $fine],
    ['plain', 'a hit by its arguments', 204, ['GET',
     "x/y?v=2&tid=G-ABC1234567&$granted&en=a"], $fine],

    # consent
    ['plain', 'no signal', 204, ['GET', "$none&en=a"],
     "consent_absent:1 $fine"],
    ['plain', 'a signal that says nothing', 204,
     ['GET', "$none&gcs=G1--&gcd=13l3l3l3l1l1&en=a"],
     "consent_absent:1 $fine"],
    ['plain', 'denied, but nobody asks', 204,
     ['GET', "$none&$denied&en=a"], $fine],
    ['basic', 'granted', 204, ['GET', "$hit&en=a"], $fine],
    ['basic', 'analytics denied', 204, ['GET', "$none&$denied&en=a"],
     'hits.denied:1 reasons.consent:1 requests.hit:1', $refused],
    ['basic', 'a batch denied', 204, ['POST', "$none&$ads", [],
                                      "en=a\r\nen=b"],
     'hits.denied:1 reasons.consent:1 requests.hit:1', $refused],
    ['basic', 'no signal', 204, ['GET', "$none&en=a"],
     'consent_absent:1 hits.denied:1 reasons.consent:1 requests.hit:1',
     qr/^events$/],
    ['default', 'no signal, granted by default', 204,
     ['GET', "$none&en=a"], "consent_absent:1 $fine"],
    ['advanced', 'denied', 204, ['GET', "$none&$denied&en=a"], $fine],
    ['advanced', 'no signal', 204, ['GET', "$none&en=a"],
     "consent_absent:1 $fine"],

    # refused
    (map { my ($name, $status, $reason, @request) = @$_;
           ['plain', $name, $status, \@request,
            "hits.refused:1 reasons.$reason:1 requests.hit:1", $refused] }
        ['no v', 400, 'no_version', 'GET',
         "g/collect?tid=G-ABC1234567&$granted&en=a"],
        ['another v', 400, 'no_version', 'GET',
         "g/collect?v=1&tid=G-ABC1234567&$granted&en=a"],
        ['no tid', 400, 'no_tag_id', 'GET', "g/collect?v=2&$granted&en=a"],
        ['a bad tid', 400, 'bad_tag_id', 'GET',
         "g/collect?v=2&tid=UA-123-4&$granted&en=a"],
        ['a foreign tid', 403, 'foreign_tag_id', 'GET',
         "g/collect?v=2&tid=G-FOREIGN123&$granted&en=a"],
        ['no event', 400, 'no_event', 'GET', $hit],
        ['no event in a batch', 400, 'no_event', 'POST', $hit, [], 'ep.a=1'],
        ['a bad escape', 400, 'bad_escape', 'GET', "$hit&en=a&ep.a=%zz"],
        ['a control character', 400, 'bad_byte', 'GET',
         "$hit&en=a&ep.a=%00"],
        ['not UTF-8', 400, 'bad_utf8', 'GET', "$hit&en=a&ep.a=%ff"],
        ['too many arguments', 400, 'too_many_args', 'POST', $hit, [],
         'en=a' . '&a=b' x 2000],
        ['too many events', 400, 'too_many_events', 'POST', $hit, [],
         "en=a\r\n" x 300],
        ['too large', 413, 'too_large', 'POST', $hit, [],
         "en=a&ep.x=" . 'x' x 70_000],
        ['method', 405, 'method', 'PUT', "$hit&en=a", [], 'en=a'],
    ),
    ['plain', 'encoded', 400,
     ['GET', 'g/collect?' . encoded("v=2&tid=G-ABC1234567&en=a&$granted")],
     'hits.refused:1 reasons.encoded:1', qr/^requests|^events/],
    ['closed', 'a foreign origin', 403,
     ['GET', "$hit&en=a", [Origin => 'https://b.example']],
     'hits.refused:1 reasons.origin:1 requests.hit:1', $refused],
    ['closed', 'the origin null', 403,
     ['POST', $hit, [Origin => 'null'], 'en=a'],
     'hits.refused:1 reasons.origin:1 requests.hit:1', $refused],
    ['closed', 'an allowed origin', 204,
     ['GET', "$hit&en=a", [Origin => 'https://a.example']], $fine],
    ['closed', 'over sgtm_max_body', 413,
     ['POST', $hit, [], 'en=a&ep.x=' . 'x' x 2000],
     'hits.refused:1 reasons.too_large:1 requests.hit:1', $refused],

    # not hits
    ['plain', 'the script', 200, ['GET', 't.js'], 'requests.script:1'],
    ['plain', 'gtm.js', 204, ['GET', 'gtm.js?id=GTM-ABC1234'],
     'requests.tag:1 upstream.2xx:1'],
    ['plain', 'a foreign container', 403, ['GET', 'gtm.js?id=GTM-FOREIGN'],
     'reasons.foreign_id:1 requests.tag:1'],
    ['plain', 'another path', 204, ['GET', 'pagead/x?a=b'],
     'requests.pass:1 upstream.2xx:1'],
    ['closed', 'another path, closed', 404, ['GET', 'pagead/x?a=b'],
     'reasons.path:1 requests.pass:1'],
    ['plain', 'preview', 204, ['GET', 'gtm/debug?id=GTM-ABC1234'],
     'requests.preview:1 upstream.2xx:1'],
    ['plain', 'health', 204, ['GET', 'healthy'],
     'requests.health:1 upstream.2xx:1'],
    ['plain', 'health that fails', 503, ['GET', 'healthy?do=503'],
     'requests.health:1 upstream.5xx:1'],
    ['closed', 'CORS', 204,
     ['OPTIONS', $hit, [Origin => 'https://a.example',
                        'Access-Control-Request-Method' => 'POST']],
     'requests.cors:1'],

    # results of the tagging server; a redirect is an answer, but nothing says
    # whether it is a success
    ['plain', '200', 200, ['GET', "$hit&en=a&do=200"], $fine],
    ['plain', '202', 202, ['GET', "$hit&en=a&do=202"], $fine],
    ['plain', '302', 302, ['GET', "$hit&en=a&do=302"],
     'events:1 requests.hit:1 upstream.3xx:1', qr/^hits|^reasons/],
    (map { my ($id, $status, $do, $reason, $result) = @$_;
           [$id, $do, $status, ['GET', "$hit&en=a&do=$do"],
            "events:1 hits.failed:1 reasons.$reason:1 requests.hit:1 "
            . "upstream.$result:1"] }
        ['plain', 404, '404', 'upstream_4xx', '4xx'],
        ['plain', 429, '429', 'upstream_4xx', '4xx'],
        ['plain', 503, '500', 'upstream_5xx', '5xx'],
        ['plain', 503, '503', 'upstream_5xx', '5xx'],
        ['off', 502, '502', 'upstream_5xx', '5xx'],
        ['plain', 503, 'closed', 'upstream_unreachable', 'error'],
        ['plain', 503, 'hang', 'upstream_timeout', 'timeout'],
        ['off', 504, 'hang', 'upstream_timeout', 'timeout'],
        ['nobody', 503, 'refused', 'upstream_unreachable', 'error'],
    ),
    ['plain', 'gtm.js that fails', 503,
     ['GET', 'gtm.js?id=GTM-ABC1234&do=503'], 'requests.tag:1 upstream.5xx:1',
     qr/^reasons/],

    # hits in one base64 value
    ['encoded', 'encoded, passed', 204,
     ['GET', 'g/collect?' . encoded("v=2&tid=G-ABC1234567&en=a&$granted")],
     'hits.forwarded:1 upstream.2xx:1', qr/^events|^requests/],
);


# limits of GA4: what is at the limit, what is over it

my @limits = (
    ['event_name', 'en=' . 'e' x 40, 'en=' . 'e' x 41],
    ['event_name', 'en=A_1', 'en=1a'],
    ['event_name', 'en=a', 'en=a-b'],
    ['params', join('&', 'en=a', map { "ep.p$_=1" } 1 .. 25),
     join('&', 'en=a', map { "ep.p$_=1" } 1 .. 26)],
    ['params', join('&', 'en=a', map { $_ % 2 ? "ep.p$_=1" : "epn.p$_=1" }
                                 1 .. 25),
     join('&', 'en=a', map { $_ % 2 ? "ep.p$_=1" : "epn.p$_=1" } 1 .. 26)],
    ['param_name', 'en=a&ep.' . 'n' x 40 . '=1', 'en=a&ep.' . 'n' x 41 . '=1'],
    ['param_value', 'en=a&ep.n=' . 'v' x 100, 'en=a&ep.n=' . 'v' x 101],
    ['param_value', 'en=a&ep.n=' . '%C3%BC' x 100,
     'en=a&ep.n=' . '%C3%BC' x 101],
    ['param_value', 'en=a&ep.page_title=' . 'v' x 300,
     'en=a&ep.page_title=' . 'v' x 301],
    ['param_value', 'en=a&ep.page_referrer=https://a.example/' . 'v' x 402,
     'en=a&ep.page_referrer=https://a.example/' . 'v' x 403],
    ['param_value', 'en=a&ep.page_location=https://a.example/' . 'v' x 982,
     'en=a&ep.page_location=https://a.example/' . 'v' x 983],
    ['user_props', join('&', 'en=a', map { "up.p$_=1" } 1 .. 25),
     join('&', 'en=a', map { "up.p$_=1" } 1 .. 26)],
    ['user_prop_name', 'en=a&up.' . 'n' x 24 . '=1',
     'en=a&up.' . 'n' x 25 . '=1'],
    ['user_prop_value', 'en=a&up.n=' . 'v' x 36, 'en=a&up.n=' . 'v' x 37],
    ['user_id', 'en=a&uid=' . 'u' x 256, 'en=a&uid=' . 'u' x 257],
    ['items', join('&', 'en=a', map { "pr$_=idA" } 1 .. 200),
     join('&', 'en=a', map { "pr$_=idA" } 1 .. 201)],
    ['item_params', 'en=a&pr1=idA' . join('', map { "~k${_}n~v${_}x" } 0 .. 26),
     'en=a&pr1=idA' . join('', map { "~k${_}n~v${_}x" } 0 .. 27)],
    ['reserved', 'en=a&ep.gaz=1', 'en=a&ep.ga_z=1'],
    ['reserved', 'en=a&ep.fire=1', 'en=a&ep.firebase_x=1'],
    ['reserved', 'en=a&ep.googly=1', 'en=a&ep.google_x=1'],
    ['reserved', 'en=a&ep.gtag=1', 'en=a&ep.gtag.x=1'],
);


# The text format, version 0.0.4, read strictly: what a sample is called ->
# its value, and what is wrong.

sub parse_text {
    my ($text) = @_;

    my (%sample, %help, %type, %done, @bad);
    my $family = '';
    my $name_re = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
    my $value_re = qr/"(?:[^"\\\n]|\\[\\"n])*"/;

    push @bad, 'no line end at the end' if $text !~ /\n\z/;
    push @bad, 'a carriage return' if $text =~ /\r/;

    for my $line (split /\n/, $text) {
        next if $line eq '' || $line =~ /\A#(?! (?:HELP|TYPE) )/;

        if ($line =~ /\A# (HELP|TYPE) ($name_re) (.*)\z/) {
            my ($what, $name, $rest) = ($1, $2, $3);
            my $seen = $what eq 'HELP' ? \%help : \%type;

            push @bad, "$line: again" if $seen->{$name};
            push @bad, "$line: after its samples" if $done{$name};
            push @bad, "$line: type" if $what eq 'TYPE'
                && $rest !~ /\A(?:counter|gauge|histogram)\z/;

            $seen->{$name} = $rest;
            $done{$family}++ if $family ne $name;
            $family = $name;
            next;
        }

        if ($line !~ /\A($name_re)(\{(.*)\})? (\S+)\z/) {
            push @bad, "$line: not a line of the format";
            next;
        }

        my ($name, $labels, $value) = ($1, defined $3 ? $3 : '', $4);
        my $base = $name;
        $base =~ s/_(?:bucket|sum|count)\z// if !$type{$name};

        push @bad, "$line: in the middle of $family" if $base ne $family;
        push @bad, "$line: no HELP or TYPE" if !$type{$base} || !$help{$base};
        push @bad, "$line: labels" if $labels
            !~ /\A(?:$name_re=$value_re(?:,$name_re=$value_re)*)?\z/;
        push @bad, "$line: value" if $value
            !~ /\A(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+Inf|NaN)\z/;
        push @bad, "$line: again" if exists $sample{"$name\{$labels\}"};
        push @bad, "$line: a counter without _total"
            if ($type{$base} || '') eq 'counter' && $name !~ /_total\z/;

        $sample{"$name\{$labels\}"} = $value;
    }

    return (\%sample, \%type, @bad);
}


# labels in the format's own escapes

sub label {
    my ($text) = @_;

    $text =~ s/([\\"])/\\$1/g;

    return $text;
}


# what JSON says, under the names of the text

my %names = (
    requests => ['sgtm_requests_total', 'route'],
    hits => ['sgtm_hits_total', 'disposition'],
    reasons => ['sgtm_reasons_total', 'reason'],
    upstream => ['sgtm_upstream_total', 'result'],
    over_limit => ['sgtm_over_limit_total', 'limit'],
    events => ['sgtm_events_total'],
    duplicate_events => ['sgtm_duplicate_events_total'],
    routed_events => ['sgtm_routed_events_total'],
    consent_absent => ['sgtm_consent_absent_total'],
);


sub as_samples {
    my ($tenants) = @_;

    my %sample;

    for my $id (keys %$tenants) {
        my $tenant = sprintf 'tenant="%s"', label($id);

        for my $key (keys %{ $tenants->{$id} }) {
            my ($name, $label) = @{ $names{$key} || ["unknown_$key"] };
            my $value = $tenants->{$id}{$key};

            if (!ref $value) {
                $sample{"$name\{$tenant\}"} = $value;
                next;
            }

            $sample{"$name\{$tenant,$label=\"$_\"\}"} = $value->{$_}
                for keys %$value;
        }
    }

    return \%sample;
}


subtest 'each request and what it counts' => sub {
    for my $case (@cases) {
        my ($id, $name, $status, $request, $want, $ignore) = @$case;
        my $before = tenant($id);
        my $times = json()->{gate_time_us}{count};

        my $res = send_to($id, @$request);

        is $res->{status}, $status, "$id, $name: answered"
            or diag $res->{body};
        is change($id, $before, $ignore), $want, "$id, $name: counted";

        is json()->{gate_time_us}{count}, $times + 1,
           "$id, $name: its time is counted" if $want =~ /forwarded|failed/;
    }
};


subtest 'limits' => sub {
    for my $limit (@limits) {
        my ($key, $at, $over) = @$limit;

        for my $case (['at', $at, $fine],
                      ['over', $over,
                       "events:1 hits.forwarded:1 over_limit.$key:1 "
                       . 'requests.hit:1 upstream.2xx:1'])
        {
            my ($what, $args, $want) = @$case;
            my $name = "$key, $what the limit: " . substr $args, 0, 40;

            my $before = tenant('plain');
            my $res = send_to('plain', 'GET', "$hit&$args");

            is $res->{status}, 204, "$name: passes";
            is change('plain', $before), $want, "$name: counted";

            $before = tenant('plain');
            $res = send_to('plain', 'POST', $hit, [], "en=first\r\n$args");
            (my $two = $want) =~ s/events:1/events:2/;

            is $res->{status}, 204, "$name, in a line: passes";
            is change('plain', $before), $two, "$name, in a line: counted";
        }
    }

    # a hit is over a limit or not, however many of its events are
    my $before = tenant('plain');
    send_to('plain', 'POST', $hit, [], join "\r\n", ('en=1a&ep.n=' . 'v' x 101)
                                                    x 3);
    is change('plain', $before), 'events:3 hits.forwarded:1 '
       . 'over_limit.event_name:1 over_limit.param_value:1 requests.hit:1 '
       . 'upstream.2xx:1', 'once a hit';
};


# names that strangers make up

my %configured = map { $_ => 1 } qw(plain off closed basic advanced encoded
                                    default nobody named.example _other);

subtest 'labels' => sub {
    my @hosts = ('evil.example', 'x' x 200 . '.example', '_other2', '127.0.0.1',
                 'a"b', 'a\\b', "caf\xc3\xa9.example", 'plain"},x="y',
                 map { "host-$_.example" } 1 .. 60);
    my @values = ('', ' ', '"', '\\', "\xff\xfe", '"}', 'plain,', 'PLAIN',
                  '_othe', 'y' x 5000, 'plain' . 'x' x 5000);

    my $before = tenant('_other');
    my $hits = 0;
    my $named = tenant('named.example');
    my $plain = tenant('plain');

    for my $host (@hosts) {
        my $res = $t->request('GET', "/host/$hit&en=a", [Host => $host], undef,
                              nth => 4);

        # nginx refuses some itself
        next if $res->{status} == 400;

        is $res->{status}, 204, "a host like $host" if $hits++ < 8;
    }

    for my $value (@values) {
        my $res = $t->request('GET', "/header/$hit&en=a",
                              ['X-Tenant' => $value], undef, nth => 4);
        $hits++;
        is $res->{status}, 204, 'a tenant like ' . substr $value, 0, 20;
    }

    wait_for { tenant('_other')->{'hits.forwarded'}
               - $before->{'hits.forwarded'} >= $hits };

    is change('_other', $before), "events:$hits hits.forwarded:$hits "
       . "requests.hit:$hits upstream.2xx:$hits", 'all share _other';
    is tenant('plain')->{'hits.forwarded'}, $plain->{'hits.forwarded'},
       'none is taken for a tenant';
    is join(' ', sort keys %{ json()->{tenants} }),
       join(' ', sort keys %configured), 'only configured tenants have labels';

    my ($samples) = parse_text(status('/status?format=prometheus')->{body});
    my %labels = map { /tenant="((?:[^"\\]|\\.)*)"/ ? ($1 => 1) : () }
                     keys %$samples;

    is join(' ', sort keys %labels), join(' ', sort keys %configured),
       'in the text too';

    # a request may name one that is configured
    $t->request('GET', "/host/$hit&en=a", [Host => 'NAMED.example'], undef,
                nth => 4);
    is change('named.example', $named), $fine,
       'a configured one is found by its name';
};


subtest 'both formats' => sub {
    my $json = json();
    my $text = status('/status?format=prometheus')->{body};
    my ($samples, $type, @bad) = parse_text($text);

    is join("\n", @bad), '', 'the text is well formed';

    my %text = map { $_ => $samples->{$_} } grep { /tenant=/ }
                   keys %$samples;

    is_deeply \%text, as_samples($json->{tenants}), 'the same numbers';

    for my $name (map { $_->[0] } values %names) {
        is $type->{$name}, 'counter', "$name is a counter";
    }

    my $sums = 0;

    for my $id (sort keys %{ $json->{tenants} }) {
        my $tenant = $json->{tenants}{$id};
        my $all = 0;
        $all += $_ for values %{ $tenant->{hits} };

        is $all, $tenant->{requests}{hit} + ($tenant->{requests}{opaque} || 0),
           "$id: every hit has one disposition";
        $sums += $all;
    }

    cmp_ok $sums, '>', 100, 'there were hits';
};


subtest 'time in the gate' => sub {
    my $json = json()->{gate_time_us};
    my ($samples, $type) =
        parse_text(status('/status?format=prometheus')->{body});
    my ($name) = grep { $type->{$_} eq 'histogram' } keys %$type;

    is $name, 'sgtm_gate_seconds', 'a histogram in seconds';

    my %bucket = map { /\A\Q$name\E_bucket\{le="(.*)"\}\z/
                       ? ($1 => $samples->{$_}) : () } keys %$samples;
    my @le = sort { $a <=> $b } grep { $_ ne '+Inf' } keys %bucket;

    cmp_ok scalar(@le), '>=', 8, 'enough buckets';

    my $last = 0;
    my @falling;

    for my $le (@le, '+Inf') {
        push @falling, $le if $bucket{$le} < $last;
        $last = $bucket{$le};
    }

    is join(' ', @falling), '', 'buckets never fall';
    is $bucket{'+Inf'}, $samples->{"${name}_count{}"}, '+Inf is the count';
    cmp_ok $samples->{"${name}_sum{}"}, '>', 0, 'a sum';

    # no gate takes a tenth of a second on average, and none nothing
    my $mean = $samples->{"${name}_sum{}"} / $samples->{"${name}_count{}"};
    cmp_ok $mean, '<', 0.1, 'a mean that can be';
    cmp_ok $mean, '>', 1e-7, 'and is no zero';

    is $json->{count}, $samples->{"${name}_count{}"}, 'JSON: the count';

    my @bounds = sort { $a <=> $b } keys %{ $json->{le} };

    is_deeply [@{ $json->{le} }{@bounds}], [@bucket{@le}],
              'JSON: the buckets';
    is_deeply \@bounds,
              [map { sprintf '%.0f', $_ * 1e6 } @le], 'JSON: their bounds';
};


subtest 'what is asked for' => sub {
    my $json = qr{\Aapplication/json\b};
    my $text = qr{\Atext/plain;\s*version=0\.0\.4\b};
    my $scraper = 'application/openmetrics-text;version=1.0.0,'
                  . 'application/openmetrics-text;version=0.0.1;q=0.75,'
                  . 'text/plain;version=0.0.4;q=0.5,*/*;q=0.1';

    for my $case (['/status', 'application/json', $json],
                  ['/status', 'text/plain', $text],
                  ['/status', 'text/plain;version=0.0.4', $text],
                  ['/status', $scraper, $text],
                  ['/status?format=json', $scraper, $json],
                  ['/status?format=prometheus', 'application/json', $text],
                  ['/status?a=b&format=prometheus', undef, $text],
                  ['/below/x/y?format=json', undef, $json])
    {
        my ($uri, $accept, $type) = @$case;
        my $name = "$uri" . (defined $accept ? ", $accept" : '');
        my $res = status($uri, defined $accept ? (Accept => $accept) : ());

        is $res->{status}, 200, "$name: 200";
        like header($res, 'Content-Type'), $type, "$name: type";
        like header($res, 'Cache-Control') || '', qr/no-store|no-cache/,
             "$name: not stored";

        my $head = $t->request('HEAD', $uri, [defined $accept
                                              ? (Accept => $accept) : ()],
                               undef, nth => 2);

        is $head->{status}, 200, "$name: HEAD";
        like header($head, 'Content-Type'), $type, "$name: its type";
        is $head->{body}, '', "$name: no body";
    }

    for my $method (qw(POST PUT DELETE PATCH)) {
        my $res = $t->request($method, '/status', [], 'x' x 100, nth => 2);
        is $res->{status}, 405, "$method: 405";
    }

    is $t->request('OPTIONS', '/status', [], undef, nth => 2)->{status}, 405,
       'OPTIONS: 405';
    is status('/closed')->{status}, 403, 'access rules hold';

    my $res = status('/status?format=nonsense');
    cmp_ok $res->{status}, '<', 500, 'a format that there is not';

    my $c = $t->http(nth => 2);
    for my $n (1 .. 3) {
        $c->request('GET', '/status?format=prometheus');
        my ($samples) = parse_text($c->response->{body});
        cmp_ok scalar(keys %$samples), '>', 50, "keep-alive, answer $n";
    }

    my $h2 = $t->h2(nth => 3);
    $res = $h2->response($h2->request('GET', '/status?format=json'));
    is ref JSON::PP->new->decode($res->{body})->{tenants}, 'HASH', 'HTTP/2';
};


subtest 'promtool' => sub {
    my ($missing) = run('promtool', '--version');

    plan skip_all => 'promtool (Debian: prometheus) is not there' if $missing;

    $t->write_file('metrics', status('/status?format=prometheus')->{body});

    my ($failed, $said) = run('/bin/sh', '-c', 'promtool check metrics < '
                                               . $t->dir . '/metrics');
    is $failed, 0, 'it has nothing to say' or diag $said;
};


# names that need escapes, and more tenants than one buffer holds

subtest 'many tenants' => sub {
    my @ids = ('a"b', 'a\\b', 'with space', "t\xc3\xbcr", '{}', 'a,b="c"',
               map { sprintf 'tenant-%03d-%s', $_, 'n' x 80 } 1 .. 200);
    my $servers = '';

    for my $n (0 .. $#ids) {
        my $id = label($ids[$n]);
        my $text = gateway("t$n", '');

        $text =~ s/(sgtm_tenant +).*;/$1"$id";/;
        $servers .= $text;
    }

    my $many = SGTM::Test->start(<<"EOC" . $servers, workers => 2);
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; }
    server { listen 127.0.0.1:%%PORT2%%; location / { sgtm_status; } }
EOC

    for my $n (0 .. 9) {
        is $many->request('GET', "/metrics/$hit&en=a", [Host => "t$n.example"]
                          )->{status}, 204, "tenant $n: a hit";
    }

    my $json = JSON::PP->new->utf8->decode(
        $many->request('GET', '/?format=json', [], undef, nth => 2)->{body});
    my @want = map { my $id = $_; utf8::decode($id); $id } @ids, '_other';

    is_deeply [sort keys %{ $json->{tenants} }], [sort @want],
              'JSON: every name as it is';
    is $json->{tenants}{$want[$_]}{hits}{forwarded}, $_ < 10 ? 1 : 0,
       "JSON: count of tenant $_" for 0 .. 11;

    my $text = $many->request('GET', '/?format=prometheus', [], undef,
                              nth => 2)->{body};
    my ($samples, undef, @bad) = parse_text($text);

    is join("\n", @bad), '', 'the text is well formed';
    is $samples->{sprintf 'sgtm_hits_total{tenant="%s",'
                          . 'disposition="forwarded"}', label($ids[$_])},
       $_ < 10 ? 1 : 0, "text: count of tenant $_" for 0 .. 11;

    $many->stop;
};


subtest 'without a gateway' => sub {
    my $bare = SGTM::Test->start(<<'EOC');
    server { listen 127.0.0.1:%%PORT%%; location = /status { sgtm_status; } }
EOC

    is $bare->get('/status?format=json')->{status}, 200, 'JSON';
    is ref eval { JSON::PP->new->decode($bare->get('/status?format=json')
                                        ->{body}) }, 'HASH', 'it is JSON';

    my $res = $bare->get('/status?format=prometheus');
    my (undef, undef, @bad) = parse_text($res->{body});

    is $res->{status}, 200, 'text';
    is join("\n", @bad), '', 'it is well formed';
    $bare->stop;
};


my ($failed, $said) = nginx_t('server { location /a { sgtm_status; '
                              . 'sgtm_status; } }');
isnt $failed, 0, 'twice in a location is an error';
like $said, qr/duplicate/, 'which nginx names';

done_testing;
