#!/usr/bin/perl

# Consent: what each denial removes is gone everywhere, and nothing else is.
# Every state of the four types, every parameter and cookie of the matrix, in
# the query, in each line of the body, in URLs inside values, in cookies both
# ways, in the Referer, in the address and in nginx's own logs; and the bytes
# that no denial names arrive as they were sent.  It guards against a click id
# that survives in a nested URL, a batch line, a log line or an answer, against
# a signal that is read wrongly, and against a redaction that eats more.
#
# What is expected is worked out here from the tables below, which are those of
# the protocol, so that a wrong table of the module can't agree with itself.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use IO::Socket::IP;
use MIME::Base64 qw(encode_base64);

my @types = qw(ad_storage analytics_storage ad_user_data ad_personalization);

# parameters that go with the denial of a type

my %params = (
    analytics_storage => [qw(uid _fid ecid _fplc _gsid sct seg _fv _ss _nsi
                             _gl)],
    ad_storage => [qw(gclid dclid gbraid wbraid gad_source gad_campaignid
                      srsltid _gl fbclid msclkid ttclid twclid li_fat_id auid
                      gclaw gclgb gclgs _rnd gacid)],
    ad_user_data => [qw(ep.user_data.email_address ep.user_data.a.b em ec_mode
                        uid)],
    ad_personalization => [],
);

my %cookies = (
    analytics_storage => [qw(_ga _ga_ABC1234567 _ga_ _gid FPID FPLC FPGSID
                             _dcid)],
    ad_storage => [qw(_gcl_au _gcl_aw _gcl_dc FPAU FPGCLAW FPGCLGS FPGCLGB
                      FPGCLDC _fbp _fbc)],
    ad_user_data => [],
    ad_personalization => [],
);

# names that only look so: they stay; in URLs, which people write, another case
# is the same name

my @near = qw(gclid2 xgclid _glx _gl2 uids u em2 ep.em ep.user_dat
              ep.user_data _fv2 _fidx epn.sct up.uid ep.gclid sid2 auids
              gclawx _r _rn gad npax ul dt_ _ssx ecids);

my (@listed, %listed);

for my $name (map { @{ $params{$_} } } @types) {
    push @listed, $name if !$listed{$name}++;
}

my @cookie_names = map { @{ $cookies{$_} } } @types;

# a tagging server that tries to set everything

my @set_cookies = map { ('Set-Cookie' => "$_=set; Path=/; Secure; HttpOnly") }
                      @cookie_names, 'session', 'other';

my $tag = SGTM::Backend->start(sub { return [204, [@set_cookies]] });

# a location of each, /sN/ in the order of the list

my @sources = (
    'sgtm_consent_source gcd gcs gpc;',
    'sgtm_consent_source gcs gcd gpc;',
    'sgtm_consent_source value=$cookie_choice gcd gcs;',
    'sgtm_consent_source gcd gcs value=$cookie_choice gpc;',
    'sgtm_consent_source gcs;',
    'sgtm_consent_source gcd gcs value=$cookie_choice;
     sgtm_consent_conflict strictest;',
    'sgtm_consent_default ad_storage=granted analytics_storage=granted;',
    'sgtm_consent_default analytics_storage=granted ad_user_data=granted
                          ad_storage=granted ad_personalization=granted;',
    'sgtm_consent_source value=$cookie_choice;',
    'sgtm_consent_source gpc gcd gcs;',
    'sgtm_consent_source gcd gcs value=$cookie_choice gpc;
     sgtm_consent_conflict first;',
    'sgtm_consent_source value=G1$cookie_ads$cookie_analytics gcd;',
);

my $n = 0;
my $source_locations = join '', map { $n++; <<"EOC" } @sources;
        location /s$n/ {
            sgtm                on;
            $_
            proxy_pass          http://tagging/;
            include             sgtm_proxy.conf;
        }
EOC

my $gateway = <<'EOC';
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
EOC

my $down = SGTM::Run::port();

# IPv6, where the machine has it

my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', Listen => 1);
my $listen6 = $ipv6 ? 'listen [::1]:%%PORT3%%;' : '';

$ipv6->close if $ipv6;

my $common = <<'EOC';
        server_name          shop.example;

        sgtm_endpoint        sgtm.example.com;
        sgtm_container       GTM-ABC1234;
        sgtm_tag_id          G-ABC1234567 G-SECOND1234;
        sgtm_fallback        client;

        set_real_ip_from     127.0.0.1;
        set_real_ip_from     ::1;
        real_ip_header       X-Real-IP;

        sgtm_pass_header     X-Country;

        add_header           X-Consent "$sgtm_consent" always;
        add_header           X-Disposition "$sgtm_disposition" always;
EOC

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    # all that a log can say of a visitor
    log_format  all  '\$request|\$request_uri|\$uri|\$args|\$query_string|'
                     '\$http_referer|\$http_cookie|\$remote_addr|'
                     '\$http_x_forwarded_for|\$proxy_add_x_forwarded_for|'
                     '\$http_x_real_ip|\$arg_gclid|\$arg_uid|\$arg__gl|'
                     '\$cookie__ga|\$cookie__gcl_au|\$cookie_session|'
                     '\$cookie_FPID|\$is_args|\$http_forwarded';

    log_format  vars '\$http_user_agent|\$sgtm_consent|\$sgtm_event|'
                     '\$sgtm_events|\$sgtm_disposition|\$sgtm_reason|'
                     '\$sgtm_client_ip|\$remote_addr|\$status';

    access_log  %%DIR%%/all.log all;
    access_log  %%DIR%%/vars.log vars;

    large_client_header_buffers  8 64k;

    # what a value may read of the hit by a way round
    map \$arg_gclid \$clicked { default no; ~. "yes-\$arg_gclid"; }
    map \$http_cookie \$named  { default no; ~_gcl_au yes; }

    server {
        listen               127.0.0.1:%%PORT%%;
        $listen6
        %%LISTEN_H2(127.0.0.1:%%PORT2%%)%%
        $common
        sgtm_consent_mode    advanced;

        location /metrics/ {
$gateway
        }

        location /down/ {
            sgtm             on;
            proxy_pass       http://127.0.0.1:$down/;
            include          sgtm_proxy.conf;
        }

        location /error/ {
            sgtm             on;
            sgtm_fallback    off;
            proxy_pass       http://127.0.0.1:$down/;
            include          sgtm_proxy.conf;
        }

        location /file/ {
            sgtm                      on;
            proxy_pass                http://tagging/;
            include                   sgtm_proxy.conf;
            client_body_in_file_only  clean;
        }

        # as /file/, because the body is longer than the buffer
        location /tiny/ {
            sgtm                     on;
            proxy_pass               http://tagging/;
            proxy_set_header         Host \$sgtm_endpoint;
            client_body_buffer_size  16;
        }

        location /redact/ {
            sgtm_cookies  my_* other session;

            sgtm_redact   ad_storage +adid -gclid -cookie:_fbp;
            sgtm_redact   analytics_storage ep.pii_* -_ss cookie:my_*;
            sgtm_redact   ad_user_data +ep.phone +cookie:other;
            sgtm_redact   ad_personalization -npa +ep.segment;
$gateway
        }

        # each kind alone, as one that reads the hit is enough for all
        location /set-constant/ {
            sgtm_set_param   ep.b "a b&c=%2";
            sgtm_set_param   ep.old new;
            sgtm_set_param   ep.none "";
$gateway
        }

        location /set-quiet/ {
            sgtm_set_param   ep.b "\$server_name, \${scheme}/\$request_method";
            sgtm_set_param   ep.old \$Sgtm_Consent-\$sgtm_events;
$gateway
        }

        location /set-reads/ {
            sgtm_set_param   ep.b "\$arg_gclid|\${args}|\$clicked|\$named";
            sgtm_set_param   ep.old "\$request_uri|\$remote_addr|\$cookie__ga";
$gateway
        }

        location /masked/ {
            sgtm_client_ip  masked;
$gateway
        }

        location /none/ {
            sgtm_client_ip  none;
$gateway
        }

        location /full/ {
            sgtm_client_ip  full;
$gateway
        }

        location /off/ {
            sgtm_consent_mode  off;
$gateway
        }

        location /off-masked/ {
            sgtm_consent_mode  off;
            sgtm_client_ip     masked;
$gateway
        }

        location /off-none/ {
            sgtm_consent_mode  off;
            sgtm_client_ip     none;
$gateway
        }

        location /encoded/ {
            sgtm_encoded  pass;
$gateway
        }

        location /encoded-basic/ {
            sgtm_encoded       pass;
            sgtm_consent_mode  basic;
$gateway
        }

        location /encoded-off/ {
            sgtm_encoded       pass;
            sgtm_consent_mode  off;
$gateway
        }

        location /basic/ {
            sgtm_consent_mode  basic;
$gateway
        }

$source_locations
    }
EOC

my $tid = 'v=2&tid=G-ABC1234567';
my $granted = 'gcd=13r3r3r3r5l1';
my $denied = 'gcd=13p3p3p3p5l1';

# Values that can be told apart wherever they turn up: zq<hit>z<number>z.  What
# must not be found in a log is kept in %forbidden, and what was sent so that
# its absence means something in %sent.

my ($hits, %forbidden, %sent, %forbidden_ip, %forbidden_text) = (0);


# a page that names a page that names a page

sub nested {
    my ($depth, $args) = @_;

    my $url = "https://shop.example/?${args}a=$depth";

    return $url if $depth == 1;
    return "$url&u=" . enc(nested($depth - 1, $args));
}


# encodeURIComponent()

sub enc {
    my ($text) = @_;

    $text =~ s/([^A-Za-z0-9\-_.!~*'()])/sprintf '%%%02X', ord $1/ge;

    return $text;
}


sub page {
    my ($args) = @_;

    return "https://shop.example/p/?keep=1&$args&z=2#frag";
}


# One hit with everything in it, in the way it is sent, or (with a set of
# denied types) in the way it has to arrive.

sub full_hit {
    my ($id, $signals, $deny) = @_;

    my %gone = map { $_ => 1 } map { @{ $params{$_} } } keys %$deny;
    my $i = 0;

    # every name with a value of its own
    my $args = sub {
        my @args = map {
            my $value = sprintf 'zq%dz%dz', $id, ++$i;
            $sent{$value} = 1;
            $forbidden{$value} = "$_ of hit $id" if $gone{$_};
            $gone{$_} ? () : "$_=$value";
        } @_;
        return join '&', @args;
    };

    my @mixed = map { ($listed[$_], defined $near[$_] ? $near[$_] : ()) }
                    0 .. $#listed;
    my @urls;

    # the last one is encoded once more
    for my $name (qw(dl dr ep.page_location ep.link_url ep.twice)) {
        my $url = enc(page($args->(@mixed, $name eq 'dl' ? '_uip' : ())));
        push @urls, "$name=" . ($name eq 'ep.twice' ? enc($url) : $url);
    }

    my $query = join '&', $tid, 'gtm=45je4', '_p=1', @$signals,
                'cid=1234567890.1712345678', 'sid=1712345678',
                '_uip=203.0.113.250', $args->(@mixed), '_eu', 'edid=',
                "dt=%c3%bC+%20%2B~()!*'", 'uafvl=a%2520b%253B', @urls,
                'richsstsse';

    my $line = sub {
        my $page = enc(page($args->(@mixed)));
        return join '&', "en=$_[0]", $args->(@mixed), 'uip=203.0.113.250',
                         "ep.a=%E2%82%AC&&=x&ep.page_location=$page",
                         "dl=$page", 'ep.last';
    };

    my $body = join "\r\n", $line->('view'), $line->('scroll') . '&npa=0',
               $line->('click') . "\n" . $line->('last'), '';

    my @cookies = cookie_list($id, $deny);

    return {
        query => $query, body => $body, cookie => join('; ', @cookies),
        referer => page($args->(@mixed)),
    };
}


sub cookie_list {
    my ($id, $deny) = @_;

    my %gone = map { $_ => 1 } map { @{ $cookies{$_} } } keys %$deny;
    my $i = 0;

    return map {
        my $value = sprintf 'zq%dz9%03dz', $id, ++$i;
        $sent{$value} = 1;
        $forbidden{$value} = "cookie $_ of hit $id" if $gone{$_};
        $gone{$_} ? () : "$_=GA1.1.$value";
    } @cookie_names;
}


# What may be done in more than one way: an address is dropped or masked, npa=1
# is put somewhere.

sub canonical {
    my ($text, $deny) = @_;

    return undef if !defined $text;

    $text =~ s/(?:&|%26|%2526)_?uip(?:=|%3D|%253D)[\w.]*//g if %$deny;
    $text =~ s/&npa=[01](?=[&\r\n]|\z)//g if $deny->{ad_personalization};

    return $text;
}


# one assertion for many

sub all_ok {
    my ($bad, $name) = @_;

    ok(!@$bad, $name) or diag join "\n", @$bad > 12 ? @$bad[0 .. 11] : @$bad;
}


sub differs {
    my ($what, $got, $want) = @_;

    $got = 'none' if !defined $got;
    $want = 'none' if !defined $want;

    return () if $got eq $want;

    # where the difference begins
    my $at = 0;
    $at++ while substr($got, 0, $at + 1) eq substr $want, 0, $at + 1;
    my $from = $at < 30 ? 0 : $at - 30;

    return sprintf "%s differs at %d\n    got    %s\n    wanted %s", $what, $at,
                   map { substr $_, $from, 90 } $got, $want;
}


# what is wrong with a full hit that arrived, and with its answer

sub wrong {
    my ($got, $res, $want, $deny, %opt) = @_;

    return 'it did not arrive' if !$got;

    my @bad;
    my ($path, $query) = split /\?/, $got->{uri}, 2;
    my $text = $got->{uri} . $got->{body} . $got->{raw};

    if ($opt{random}) {
        $want = { %$want };

        for my $name (qw(cid sid)) {
            my ($value) = $query =~ /&$name=([^&]*)/;

            push @bad, "$name is " . (defined $value ? $value : 'gone')
                if !defined $value || $value !~ /\A\d+(?:\.\d+)?\z/
                   || $value =~ /\A(?:1234567890\.)?1712345678\z/;

            $want->{query} =~ s/&$name=\K[^&]*/$value/ if defined $value;
        }
    }

    push @bad, differs('query', canonical($query, $deny),
                       canonical($want->{query}, $deny));
    push @bad, differs('body', canonical($got->{body}, $deny),
                       canonical($want->{body}, $deny));
    push @bad, differs('Cookie', header($got, 'Cookie'),
                       length $want->{cookie} ? $want->{cookie} : undef);
    push @bad, differs('Referer', canonical(header($got, 'Referer'), $deny),
                       canonical($want->{referer}, $deny));
    push @bad, differs('X-Country', header($got, 'X-Country'), 'DE');
    push @bad, differs('Accept-Language', header($got, 'Accept-Language'),
                       'de,en;q=0.5');
    push @bad, differs('Content-Length', header($got, 'Content-Length'),
                       length $got->{body});

    push @bad, map { ("$forbidden{$_} arrived") }
                   grep { $forbidden{$_} } $text =~ /(zq\d+z\d+z)/g;

    if (%$deny) {
        push @bad, 'the address of _uip or uip arrived'
            if $text =~ /203\.0\.113\.250/;
        push @bad, 'an address arrived' if $text =~ /203\.0\.113\.[1-9]/;
        push @bad, differs('X-Forwarded-For',
                           join('|', headers($got, 'X-Forwarded-For')),
                           '203.0.113.0');
    } else {
        push @bad, differs('X-Forwarded-For',
                           join('|', headers($got, 'X-Forwarded-For')),
                           $opt{ip});
    }

    if ($deny->{ad_personalization}) {
        my @npa = "$query&$got->{body}" =~ /(?:\A|[&\r\n])npa=([^&\r\n]*)/g;

        push @bad, 'npa=1 is missing' if $query !~ /(?:\A|&)npa=1(?:&|\z)/;
        push @bad, "npa is @npa" if grep { $_ ne '1' } @npa;
        push @bad, 'richsstsse is not last' if $query !~ /&richsstsse\z/;
    }

    push @bad, wrong_answer($res, $deny) if $res;

    return @bad;
}


sub wrong_answer {
    my ($res, $deny) = @_;

    my %gone = map { $_ => 1 } map { @{ $cookies{$_} } } keys %$deny;
    my @want = map { ("$_=set; Path=/; Secure; HttpOnly") } grep { !$gone{$_} }
                   @cookie_names;

    return (differs('status', $res->{status}, 204),
            differs('Set-Cookie', join("\n", headers($res, 'Set-Cookie')),
                    join("\n", @want)));
}


# sends a full hit; returns (what arrived, the answer)

sub send_full {
    my ($uri, $hit, $ip, %opt) = @_;

    my @headers = (Host => 'shop.example', 'X-Real-IP' => $ip,
                   Referer => $hit->{referer},
                   'Content-Type' => 'text/plain;charset=UTF-8',
                   'User-Agent' => "hit$hits", 'X-Country' => 'DE',
                   'Accept-Language' => 'de,en;q=0.5',
                   @{ $opt{headers} || [] });
    my $cookie = "session=zqshop; $hit->{cookie}; cart=zqshop";
    my $res;

    $tag->clear;

    if ($opt{h2}) {
        my $h2 = $t->h2(nth => 2);
        my @list = map { (cookie => $_) } split /; /, $cookie;
        my $id = $h2->request('POST', "$uri?$hit->{query}",
                              [@headers[2 .. $#headers], @list], $hit->{body});
        $res = $h2->response($id);
        $h2->close;

    } else {
        $res = $t->request('POST', "$uri?$hit->{query}",
                           [@headers, Cookie => $cookie], $hit->{body});
    }

    my ($got) = $tag->requests;

    return ($got, $res);
}


# a small hit: (what arrived, the answer); the answer comes after it arrived

sub hit {
    my ($uri, %opt) = @_;

    my @headers = @{ $opt{headers} || [] };

    push @headers, Cookie => $opt{cookie} if defined $opt{cookie};
    push @headers, 'Sec-GPC' => 1 if $opt{gpc};
    push @headers, 'X-Real-IP' => $opt{ip} if $opt{ip};

    $tag->clear;

    my $res = defined $opt{body} ? $t->post($uri, $opt{body}, @headers)
                                 : $t->get($uri, @headers);

    my ($got) = $tag->requests;

    return ($got, $res);
}


# the query that arrived

sub query_of {
    my ($got) = @_;

    return undef if !$got;

    my ($query) = $got->{uri} =~ /\?(.*)\z/s;

    return defined $query ? $query : '';
}


# The states: a name, the arguments that signal it, the denied types, and
# whether the page knows of the denial of analytics.  All sixteen, with each
# letter of gcd somewhere; then those that no signal makes.

my @states;
my %letters = (1 => [qw(p q u m)], 0 => [qw(r t v n)]);

for my $bits (0 .. 15) {
    my @deny = grep { $bits & (1 << $_) } 0 .. 3;
    my @l = map { $letters{$bits & (1 << $_) ? 1 : 0}[($bits + $_) % 4] }
                0 .. 3;
    my $name = @deny ? 'denied: ' . join(' ', @types[@deny]) : 'all granted';

    push @states, { name => $name, signals => ["gcd=13$l[0]3$l[1]3$l[2]3$l[3]"
                                               . '5l1'],
                    deny => { map { $types[$_] => 1 } @deny } };
}

my %all = map { $_ => 1 } @types;
my %gpc = map { $_ => 1 } qw(ad_storage ad_user_data ad_personalization);

push @states,
    { name => 'no signal', signals => [], deny => \%all, random => 1 },
    { name => 'signals that say nothing', deny => \%all, random => 1,
      signals => ['gcs=G1--', 'gcd=13l3l3l3l1l1'] },
    { name => 'Sec-GPC over all granted', deny => \%gpc,
      headers => ['Sec-GPC' => 1], signals => ['gcs=G111', $granted] },
    { name => 'Sec-GPC over analytics denied', headers => ['Sec-GPC' => 1],
      deny => \%all, signals => ['gcd=13r3p3r3r5l1'] },
    { name => 'gcs alone, ads denied', signals => ['gcs=G101'],
      deny => \%gpc };


subtest 'the matrix, mode advanced' => sub {
    for my $state (@states) {
        for my $way (qw(http h2 down error)) {
            my $id = ++$hits;
            my $ip = "203.0.113.$id";
            my $sent = full_hit($id, $state->{signals}, {});
            my $want = full_hit($id, $state->{signals}, $state->{deny});
            my $uri = $way =~ /^(?:down|error)$/ ? "/$way/g/collect"
                                                 : '/metrics/g/collect';

            $forbidden_ip{$ip} = $state->{name} if %{ $state->{deny} };

            my ($got, $res) = send_full($uri, $sent, $ip, h2 => $way eq 'h2',
                                        headers => $state->{headers});

            if ($way eq 'down') {
                is $res->{status}, 503, "$state->{name}: tagging server down";
                next;
            }

            if ($way eq 'error') {
                is $res->{status}, 502, "$state->{name}: the error itself";
                next;
            }

            my @bad = wrong($got, $res, $want, $state->{deny}, ip => $ip,
                            random => $state->{random});

            all_ok \@bad, "$state->{name}: $way";
        }
    }
};

subtest 'bodies that nginx keeps in a file' => sub {
    for my $where (qw(file tiny)) {
        my $uri = "/$where/g/collect";
        my $id = ++$hits;
        my $ip = "203.0.113.$id";
        my $sent = full_hit($id, [$denied], {});
        my $want = full_hit($id, [$denied], \%all);

        $forbidden_ip{$ip} = 'a body in a file';

        my ($got, $res) = send_full($uri, $sent, $ip, h2 => $where eq 'tiny');

        all_ok [wrong($got, $res, $want, \%all)], $where;
    }

    cmp_ok scalar(() = $t->error_log =~ /buffered to a temporary file/g), '>=',
           2, 'in files indeed';
};

subtest 'mode off: everything stays' => sub {
    for my $case (['denied', [$denied, 'gcs=G100', 'npa=0'], []],
                  ['Sec-GPC', ['gcs=G111'], ['Sec-GPC' => 1]],
                  ['no signal', [], []])
    {
        my ($name, $signals, $headers) = @$case;
        my $id = ++$hits;
        my $ip = "203.0.113.$id";
        my $hit = full_hit($id, $signals, {});
        my ($got, $res) = send_full('/off/g/collect', $hit, $ip,
                                    headers => $headers);

        all_ok [wrong($got, $res, $hit, {}, ip => $ip)], $name;
    }
};

subtest 'mode basic' => sub {
    for my $state (@states) {
        my $id = ++$hits;
        my $ip = "203.0.113.$id";
        my $deny = $state->{deny};
        my $sent = full_hit($id, $state->{signals}, {});
        my $want = full_hit($id, $state->{signals}, $deny);

        # a hit that goes nowhere leaves nothing of its visitor
        if ($deny->{analytics_storage}) {
            $forbidden{$_} = "of denied hit $id"
                for map { /(zq\d+z\d+z)/g } values %$sent;
        }

        $forbidden_ip{$ip} = $state->{name} if %$deny;

        my ($got, $res) = send_full('/basic/g/collect', $sent, $ip,
                                    headers => $state->{headers});

        if (!$deny->{analytics_storage}) {
            all_ok [wrong($got, $res, $want, $deny, ip => $ip)],
                   "$state->{name}: forwarded";
            next;
        }

        my @bad = ($got ? 'forwarded' : (),
                   differs('status', $res->{status}, 204),
                   differs('Set-Cookie', header($res, 'Set-Cookie'), undef),
                   differs('disposition', header($res, 'X-Disposition'),
                           'denied'));
        all_ok \@bad, "$state->{name}: answered";
    }
};


# One argument and the ways it may be written; %s is its name.  What arrives is
# the second column, the third where it is kept.

my @positions = (
    [ "%s=zq&$tid&en=a&$denied", "$tid&en=a&$denied" ],
    [ "$tid&en=a&$denied&%s=zq", "$tid&en=a&$denied" ],
    [ "$tid&%s=zq&%s=zq2&en=a&$denied", "$tid&en=a&$denied" ],
    [ "$tid&%s&en=a&$denied", "$tid&en=a&$denied" ],
    [ "$tid&%s=&en=a&$denied", "$tid&en=a&$denied" ],
    [ "$tid&%s=zq=zq=&en=a&$denied", "$tid&en=a&$denied" ],
    [ "$tid&en=a&$denied&&%s=zq&&ep.a=1", "$tid&en=a&$denied&&&ep.a=1" ],
    [ "$tid&en=a&$denied&%s=zq&richsstsse", "$tid&en=a&$denied&richsstsse" ],
    [ "$tid&en=a&$denied&ep.x=%s=zq&ep.y=%s&ep.%s=zq&x%s=zq", undef ],
);

subtest 'wherever an argument stands' => sub {
    for my $name (@listed) {
        my @bad;

        for (@positions) {
            my ($template, $want) = @$_;
            (my $query = $template) =~ s{%s}{$name}g;
            my ($got) = hit("/metrics/g/collect?$query");

            $want = $query if !defined $want;
            push @bad, "$query: " . differs('query', canonical(query_of($got),
                                                               \%all), $want)
                if differs('query', canonical(query_of($got), \%all), $want);
        }

        all_ok \@bad, $name;
    }
};

subtest 'names that are written with escapes' => sub {
    for my $name (@listed) {
        my @bad;

        # the first, the last, and all of them; upper case and lower case
        my @ways = (
            sprintf('%%%02X', ord $name) . substr($name, 1),
            substr($name, 0, -1) . sprintf('%%%02x', ord substr $name, -1),
            join '', map { sprintf '%%%02x', ord } split //, $name
        );

        for my $way (@ways) {
            my ($got) = hit("/metrics/g/collect?$tid&en=a&$denied&$way=zq",
                            body => "en=b&$way=zq&ep.x=1");

            push @bad, "$way arrived" if !$got || "$got->{uri} $got->{body}"
                                                  =~ /zq/;
            push @bad, "$way took ep.x" if !$got || $got->{body} ne
                                                    'en=b&ep.x=1';
        }

        all_ok \@bad, $name;
    }
};

# What a value may hold: sent, arrived (undef: the same).  A trailing "?" or "&"
# may stay behind.

my $shop = 'https://shop.example/';
my @values = (
    [ 'alone in the query', enc("${shop}p?gclid=zq"), enc("${shop}p") ],
    [ 'alone before a fragment', enc("${shop}p?gclid=zq#f"),
      enc("${shop}p#f") ],
    [ 'first', enc("${shop}?gclid=zq&a=1"), enc("${shop}?a=1") ],
    [ 'last', enc("${shop}?a=1&gclid=zq"), enc("${shop}?a=1") ],
    [ 'several', enc("${shop}?gclid=zq&a=1&_gl=zq&fbclid=zq&b=2"),
      enc("${shop}?a=1&b=2") ],
    [ 'not encoded', "${shop}?gclid=zq", $shop ],
    [ 'encoded twice', enc(enc("${shop}?a=1&gclid=zq&b=2#f")),
      enc(enc("${shop}?a=1&b=2#f")) ],
    [ 'encoded three times', enc(enc(enc("${shop}?a=1&gclid=zq&b=2#f"))),
      enc(enc(enc("${shop}?a=1&b=2#f"))) ],
    [ 'lower case escapes', 'https%3a%2f%2fshop.example%2f%3fa%3d1%26gclid%3dzq'
      . '%26b%3d2', qr/\Ahttps%3a%2f%2fshop\.example%2f%3fa%3d1%26b%3d2\z/i ],
    [ 'an escaped name in the URL', enc("${shop}?a=1&gc%6Cid=zq&b=2"),
      enc("${shop}?a=1&b=2") ],
    [ 'a name in another case', enc("${shop}?GClid=zq&a=1"),
      enc("${shop}?a=1") ],
    [ 'other escapes of the URL stay', enc("${shop}?a=%20+%2B&gclid=zq&%c3=%"),
      enc("${shop}?a=%20+%2B&%c3=%") ],
    [ 'a URL in the URL', enc("${shop}r?u=" . enc("${shop}?gclid=zq&x=1")
                              . '&y=1'),
      enc("${shop}r?u=" . enc("${shop}?x=1") . '&y=1') ],
    [ 'a URL in the URL, not encoded again',
      enc("${shop}r?y=1&u=${shop}?gclid=zq"),
      qr/\A\Q@{[ enc("${shop}r?y=1&u=$shop") ]}\E(?:%3F)?\z/ ],
    [ 'four URLs deep', enc(nested(4, 'gclid=zq&')), enc(nested(4, '')) ],
    [ 'a URL in the path', enc("${shop}r/https://other.example/?gclid=zq&x=1"),
      enc("${shop}r/https://other.example/?x=1") ],
    [ 'another site', enc('http://user:p@other.example:8080/?dclid=zq&x'),
      enc('http://user:p@other.example:8080/?x') ],
    [ 'upper case scheme', enc('HTTPS://Shop.Example/?gclid=zq&x=1'),
      enc('HTTPS://Shop.Example/?x=1') ],
    [ 'an app', enc('android-app://com.example/?gclid=zq&x=1'),
      enc('android-app://com.example/?x=1') ],
    [ 'no scheme', enc('//shop.example/?gclid=zq&x=1'),
      enc('//shop.example/?x=1') ],
    [ 'the linker in a fragment', enc("${shop}?a=1#_gl=zq"),
      qr/\A\Q@{[ enc("${shop}?a=1") ]}\E(?:%23)?\z/ ],
    [ 'a fragment with a query', enc("${shop}#/route?gclid=zq&x=1"),
      enc("${shop}#/route?x=1") ],
    [ 'two URLs', enc("${shop}?gclid=zq&a=1 ${shop}b?a=1&gclid=zq"),
      qr/\A(?!.*zq)\Q@{[ enc($shop) ]}\E.*\Q@{[ enc("${shop}b?a=1") ]}\E\z/ ],
    [ 'text around a URL', enc("see ${shop}?a=1&gclid=zq&b=2 there"),
      enc("see ${shop}?a=1&b=2 there") ],
    [ 'a URL that has none', enc("${shop}?a=1&gclid2=x&b=%2f#gc"), undef ],
    [ 'the same, written oddly', 'https%3a%2F%2fshop.example/%3Fa%3D1', undef ],
    [ 'no URL', enc('gclid is a name & fbclid=too'), undef ],
    [ 'a number', '1', undef ],
    [ 'an escape at the end', enc("${shop}?a=1%"), undef ],
    [ 'a question mark', enc('what? a=1&b'), undef ],
);

subtest 'URLs in values' => sub {
    for (@values) {
        my ($name, $sent, $want) = @$_;
        my @bad;

        $want = $sent if !defined $want;
        $want = qr/\A\Q$want\E(?:%3F|%26|\?)?\z/ if !ref $want && $sent =~ /zq/;
        $want = qr/\A\Q$want\E\z/ if !ref $want;

        for my $key (qw(dl dr ep.page_location ep.any)) {
            my ($got) = hit("/metrics/g/collect?$tid&$key=$sent&en=a&$denied",
                            body => "en=b&$key=$sent&ep.x=1");

            if (!$got) {
                push @bad, "$key: it did not arrive";
                next;
            }

            my ($query) = query_of($got) =~ /&\Q$key\E=([^&]*)/;
            my ($line) = $got->{body} =~ /&\Q$key\E=([^&]*)/;

            for my $value ($query, $line) {
                push @bad, "$key: got $value" if !defined $value
                                                 || $value !~ $want;
            }
        }

        all_ok \@bad, $name;
    }
};

subtest 'the Referer' => sub {
    for (["${shop}p?gclid=zq&a=1#f", "${shop}p?a=1#f"],
         ["${shop}p?a=1&_gl=zq", "${shop}p?a=1"],
         ["${shop}p?a=1&gc%6cid=zq&b=2", "${shop}p?a=1&b=2"],
         ["${shop}r?u=" . enc("${shop}?gclid=zq&b=1"),
          "${shop}r?u=" . enc("${shop}?b=1")],
         ["${shop}p?a=1&b=%c3", "${shop}p?a=1&b=%c3"])
    {
        my ($sent, $want) = @$_;
        my @headers = (headers => [Referer => $sent]);
        my ($got) = hit("/metrics/g/collect?$tid&en=a&$denied", @headers);

        is header($got, 'Referer'), $want, "$sent, denied";

        ($got) = hit("/metrics/g/collect?$tid&en=a&$granted", @headers);
        is header($got, 'Referer'), $sent, 'granted';
    }
};

# What a signal means: the query, and in order of the four types g or d; those
# that are neither take the default, which denies.

my @signals = (
    [ 'gcs=G111', 'ggdd' ], [ 'gcs=G110', 'gddd' ], [ 'gcs=G101', 'dgdd' ],
    [ 'gcs=G100', 'dddd' ], [ 'gcs=G1--', 'dddd' ], [ 'gcs=G1-1', 'dgdd' ],
    [ 'gcs=G11-', 'gddd' ], [ 'gcs=G211', 'dddd' ], [ 'gcs=G2', 'dddd' ],
    [ 'gcs=', 'dddd' ], [ 'gcs', 'dddd' ], [ 'gcs=G11', 'dddd' ],
    [ 'gcs=111', 'dddd' ],
    [ 'gcd=13l3l3l3l1l1', 'dddd' ], [ 'gcd=13t3tPt2t5l1', 'gggg' ],
    [ 'gcd=13l3l3R3l5l1', 'dddd' ], [ 'gcd=13r3l3R3r5l1', 'gddg' ],
    [ 'gcd=13z3r3z3r5l1', 'dgdg' ], [ 'gcd=13r3r', 'dddd' ],
    [ 'gcd=13r', 'dddd' ], [ 'gcd=', 'dddd' ], [ 'gcd=13', 'dddd' ],
    [ 'gcd=13R3R3R3R5l1', 'dddd' ],

    # a type that the first source does not set is asked of the next
    [ 'gcs=G111&gcd=13l3l3l3l1l1', 'ggdd' ],
    [ 'gcs=G111&gcd=13l3p3r3l1l1', 'gdgd' ],
    [ 'gcs=G100&gcd=13r3l3r3r5l1', 'gdgg' ],
    [ 'gcd=13x3t3t3t5l1&gcs=G110', 'gggg' ],

    # escapes hide nothing
    [ '%67cs=G100&gcs=G111', 'dddd' ], [ 'gcs=G1%30%30', 'dddd' ],
    [ 'gc%64=13p3r3r3r5l1', 'dggg' ],

    # said twice, the stricter holds
    [ 'gcs=G111&gcs=G100', 'dddd' ], [ 'gcs=G100&gcs=G111', 'dddd' ],
    [ 'gcs=G101&gcs=G110', 'dddd' ],
    [ 'gcd=13r3r3r3r5l1&gcd=13r3p3r3r5l1', 'gdgg' ],
    [ 'gcd=13p3r3r3r5l1&gcd=13r3r3r3r5l1', 'dggg' ],
);

for my $letter (qw(l p q r t u v m n)) {
    for my $at (0 .. 3) {
        my @l = ('r') x 4;
        my @want = ('g') x 4;

        $l[$at] = $letter;
        $want[$at] = 'd' if $letter =~ /[lpqum]/;

        push @signals, ["gcd=13$l[0]3$l[1]3$l[2]3$l[3]5l1", join '', @want];
    }
}

# one argument and cookie that tells for each type

my $probe = 'gclid=zqa&_fid=zqb&em=zqc&npa=0';


sub states_of {
    my ($got) = @_;

    return 'none' if !$got;

    my $query = query_of($got);

    return join '', $query =~ /zqa/ ? 'g' : 'd', $query =~ /zqb/ ? 'g' : 'd',
                    $query =~ /zqc/ ? 'g' : 'd', $query =~ /npa=0/ ? 'g' : 'd';
}


sub gcs_of {
    my ($states) = @_;

    return 'G1' . join '', map { $_ eq 'g' ? 1 : 0 }
                               (split //, $states)[0, 1];
}


subtest 'signals' => sub {
    for (@signals) {
        my ($signal, $want) = @$_;
        my ($got, $res) = hit("/metrics/g/collect?$tid&en=a&$signal&$probe");

        is states_of($got), $want, $signal;
        is header($res, 'X-Consent'), gcs_of($want), 'as $sgtm_consent';
    }
};

subtest 'signals in the body' => sub {
    my $uri = "/metrics/g/collect?$tid&$granted&$probe";

    for (['en=a', 'gggg'], ["en=a\r\nen=b&gcs=G100", 'gggg'],
         ["en=a&gcd=13p3p3p3p5l1\r\nen=b", 'dddd'],
         ["en=a\r\nen=b&g%63d=13r3p3r3r5l1\n", 'gdgg'])
    {
        my ($body, $want) = @$_;
        my ($got) = hit($uri, body => $body);

        (my $name = $body) =~ s/\r?\n/ | /g;
        like states_of($got), qr/\A$want\z/, $name;
    }
};

# the sources: number of the location, signals, other options, states

my @cases = (
    [ 1, 'gcd=13r3r3r3r5l1&gcs=G100', {}, 'gggg' ],
    [ 2, 'gcd=13r3r3r3r5l1&gcs=G100', {}, 'ddgg' ],
    [ 2, 'gcd=13p3p3p3p5l1&gcs=G1-1', {}, 'dgdd' ],
    [ 3, 'gcd=13r3r3r3r5l1', { cookie => 'choice=G100' }, 'ddgg' ],
    [ 3, 'gcd=13p3p3r3p5l1', { cookie => 'choice=G111' }, 'gggd' ],
    [ 3, 'gcd=13p3r3r3p5l1', { cookie => 'choice=G1--' }, 'dggd' ],
    [ 3, 'gcd=13p3r3r3p5l1', { cookie => 'choice=yes' }, 'dggd' ],
    [ 3, 'gcd=13p3r3r3p5l1', {}, 'dggd' ],
    [ 3, $granted, { gpc => 1 }, 'gggg' ],
    [ 4, $granted, { cookie => 'choice=G100' }, 'gggg' ],
    [ 4, '', { cookie => 'choice=G101' }, 'dgdd' ],
    [ 4, '', { cookie => 'choice=G111', gpc => 1 }, 'dgdd' ],
    [ 5, "$granted&gcs=G1--", {}, 'dddd' ],
    [ 5, "$denied&gcs=G111", {}, 'ggdd' ],
    [ 5, 'gcs=G111', { gpc => 1 }, 'ggdd' ],
    [ 6, "$granted&gcs=G111", {}, 'gggg' ],
    [ 6, "$granted&gcs=G100", {}, 'ddgg' ],
    [ 6, "$denied&gcs=G111", {}, 'dddd' ],
    [ 6, "$granted&gcs=G111", { cookie => 'choice=G101' }, 'dggg' ],
    [ 6, "$granted&gcs=G1--", { cookie => 'choice=G11-' }, 'gggg' ],
    [ 6, "$granted", { gpc => 1 }, 'gggg' ],
    [ 7, '', {}, 'ggdd' ],
    [ 7, 'gcs=G1--', {}, 'ggdd' ],
    [ 7, 'gcs=G100', {}, 'dddd' ],
    [ 7, 'gcs=G10-', {}, 'dgdd' ],
    [ 7, '', { gpc => 1 }, 'dgdd' ],
    [ 8, '', {}, 'gggg' ],
    [ 8, 'gcd=13l3u3l3l1l1', {}, 'gdgg' ],
    [ 8, 'gcd=13z3r3z3z1l1', {}, 'gggg' ],
    [ 9, "$granted&gcs=G111", {}, 'dddd' ],
    [ 9, "$denied&gcs=G100", { cookie => 'choice=G111' }, 'ggdd' ],
    [ 10, $granted, { gpc => 1 }, 'dgdd' ],
    [ 10, $granted, {}, 'gggg' ],
    [ 11, "$granted&gcs=G100", { cookie => 'choice=G100' }, 'gggg' ],
    [ 12, '', { cookie => 'ads=1; analytics=0' }, 'gddd' ],
    [ 12, $granted, { cookie => 'ads=0; analytics=0' }, 'ddgg' ],
    [ 12, $granted, {}, 'gggg' ],
);

subtest 'sources' => sub {
    for (@cases) {
        my ($number, $signals, $opt, $want) = @$_;
        my $uri = "/s$number/g/collect?$tid&en=a&$probe";

        $uri .= "&$signals" if length $signals;

        my ($got, $res) = hit($uri, %$opt);

        my $name = join ', ', $sources[$number - 1],
                   length $signals ? $signals : 'no signal',
                   map { ("$_ $opt->{$_}") } sort keys %$opt;
        $name =~ s/\s+/ /g;

        is states_of($got), $want, $name;
        is header($res, 'X-Consent'), gcs_of($want), 'as $sgtm_consent';
    }

    # exactly "1"
    for my $value ('0', '', '11', '1, 1', 'true') {
        my ($got) = hit("/metrics/g/collect?$tid&en=a&$probe&$granted",
                        headers => ['Sec-GPC' => $value]);
        is states_of($got), 'gggg', "Sec-GPC: $value";
    }
};

# Ids: those that a page made for itself alone stay, others become random.

subtest 'cid and sid' => sub {
    my ($cid, $sid) = ('cid=1234567890.1712345678', 'sid=1712345678');
    my $ids = "$cid&$sid";
    my $batch = "en=a&$cid\r\nen=b&$sid&$cid\r\nen=c";

    for (['gcd denies', "/metrics/g/collect?$tid&$ids&$denied"],
         ['gcs denies', "/metrics/g/collect?$tid&$ids&gcs=G110"],
         ['both, another source too',
          "/s3/g/collect?$tid&$ids&gcs=G100&$denied",
          cookie => 'choice=G100'],
         ['gcs denies, it is no source', "/s9/g/collect?$tid&$ids&gcs=G100",
          cookie => 'choice=G100'],
         ['ads alone are denied', "/metrics/g/collect?$tid&$ids&gcs=G101"],
         ['Sec-GPC, analytics granted',
          "/metrics/g/collect?$tid&$ids&$granted", gpc => 1])
    {
        my ($name, $uri, @opt) = @$_;
        my ($got) = hit($uri, body => $batch, @opt);

        like query_of($got), qr/&\Q$ids\E&/, "$name: they stay";
        is $got->{body}, $batch, 'in the lines too';
    }

    for (['no signal', "/metrics/g/collect?$tid&$ids"],
         ['signals that say nothing',
          "/metrics/g/collect?$tid&$ids&gcs=G1--&gcd=13l3l3l3l1l1"],
         ['another source denies', "/s3/g/collect?$tid&$ids&gcs=G111&$granted",
          cookie => 'choice=G100'],
         ['the only source denies', "/s9/g/collect?$tid&$ids&gcs=G111",
          cookie => 'choice=G100'],
         ['a position that is unknown',
          "/metrics/g/collect?$tid&$ids&gcd=13r3R3r3r5l1"],
         ['escaped names', "/metrics/g/collect?$tid&c%69d=1234567890.1712345678"
          . '&%73id=1712345678'])
    {
        my ($name, $uri, @opt) = @$_;
        my %seen;

        for (1 .. 3) {
            my ($got) = hit($uri, body => $batch, @opt);
            my $text = query_of($got) . "&$got->{body}";
            my %value;

            $text =~ s/\r?\n/&/g;
            $text =~ s/c%69d/cid/;
            $text =~ s/%73id/sid/;

            for (split_args($text)) {
                push @{ $value{$_->[0]} }, $_->[1] if $_->[0] =~ /^[cs]id$/;
            }

            is scalar(@{ $value{cid} }), 3, "$name: cid three times";
            is scalar(@{ $value{sid} }), 2, 'sid twice';
            like $value{cid}[0], qr/\A\d+\.\d+\z/, "cid $value{cid}[0]";
            like $value{sid}[0], qr/\A\d+\z/, "sid $value{sid}[0]";
            is scalar(grep { $_ ne $value{cid}[0] } @{ $value{cid} }), 0,
               'one cid in query and lines';
            is scalar(grep { $_ ne $value{sid}[0] } @{ $value{sid} }), 0,
               'one sid in query and lines';
            isnt "cid=$value{cid}[0]", $cid, 'another cid';
            isnt "sid=$value{sid}[0]", $sid, 'another sid';
            ok !$seen{$value{cid}[0]}++, 'of this hit alone';
        }
    }

    my ($got) = hit("/metrics/g/collect?$tid&en=a");

    is canonical(query_of($got), \%all), "$tid&en=a",
       'a hit without ids gets none';
};

subtest 'npa' => sub {
    my $ads = 'gcd=13r3r3r3p5l1';

    for (['npa=0', 1], ['npa=1', 1], ['npa', 1], ['npa=', 1],
         ['npa=0&npa=0', 2], ['np%61=0', 1])
    {
        my ($sent) = @$_;
        my ($got) = hit("/metrics/g/collect?$tid&$ads&$sent&ep.a=1",
                        body => "en=a&$sent\r\nen=b&ep.c=1\r\n");
        my $query = query_of($got);
        my @npa = "$query&$got->{body}" =~ /(?<![^&\r\n])n(?:p|%70)(?:a|%61)
                                            (?:=([^&\r\n]*))?(?=[&\r\n]|\z)/gx;

        ok @npa > 0, "$sent is forced";
        is scalar(grep { !defined $_ || $_ ne '1' } @npa), 0,
           'in the query and in the lines';
        like $query, qr/(?:\A|&)np(?:a|%61)=1(?:&|\z)/, 'to 1';
        like $query, qr/&ep\.a=1/, 'the rest stays';
        like $got->{body}, qr/\nen=b&ep\.c=1(?:&npa=1)?\r\n\z/, 'as it was';
    }

    my ($got) = hit("/metrics/g/collect?$tid&en=a&npa=0&$granted");
    is query_of($got), "$tid&en=a&npa=0&$granted", 'granted: not touched';
};

subtest 'sgtm_redact' => sub {
    my $uri = "/redact/g/collect?$tid&en=a&adid=1&gclid=2&fbclid=3&ep.pii_x=4"
              . '&ep.pii_=5&ep.pi=6&_ss=7&_nsi=8&ep.phone=9&em=10&npa=0'
              . '&ep.segment=11&dl='
              . enc("${shop}?adid=1&gclid=2&ep.pii_y=3&x=4");
    my $cookie = '_ga=1; _fbp=2; _fbc=3; my_a=4; other=5; session=6; cart=7';
    my ($got, $res) = hit("$uri&$granted", cookie => $cookie);

    is query_of($got), substr("$uri&$granted", length '/redact/g/collect?'),
       'all granted: nothing is gone';
    is header($got, 'Cookie'), '_ga=1; _fbp=2; _fbc=3; my_a=4; other=5; '
       . 'session=6', 'cookies that are allowed';

    for (['ad_storage', '13p3r3r3r5l1', [qw(adid fbclid)], ['_fbc']],
         ['analytics_storage', '13r3p3r3r5l1',
          [qw(ep.pii_x ep.pii_ _nsi)], [qw(_ga my_a)]],
         ['ad_user_data', '13r3r3p3r5l1', [qw(ep.phone em)], ['other']],
         ['ad_personalization', '13r3r3r3p5l1', ['ep.segment'], []])
    {
        my ($type, $gcd, $params, $cookies) = @$_;
        my $want = substr "$uri&gcd=$gcd", length '/redact/g/collect?';
        my $url = "${shop}?adid=1&gclid=2&ep.pii_y=3&x=4";
        my $kept = $cookie;

        $want =~ s/&\Q$_\E=[^&]*// for @$params;
        $kept =~ s/(?:\A|; )\Q$_\E=\d// for @$cookies, 'cart';
        $kept =~ s/\A; //;

        (my $cut = $url) =~ s/adid=1&//;
        $want =~ s/\Q@{[ enc($url) ]}\E/enc($cut)/e if $type eq 'ad_storage';
        ($cut = $url) =~ s/&ep\.pii_y=3//;
        $want =~ s/\Q@{[ enc($url) ]}\E/enc($cut)/e
            if $type eq 'analytics_storage';

        ($got, $res) = hit("$uri&gcd=$gcd", cookie => $cookie);

        is query_of($got), $want, "$type: parameters";
        is header($got, 'Cookie'), $kept, 'cookies';

        my @set = map { /\A(\w+)=/ } headers($res, 'Set-Cookie');

        is scalar(grep { $_ eq '_fbp' } @set), 1, '_fbp may be set';
        is scalar(grep { $_ eq 'other' } @set),
           $type eq 'ad_user_data' ? 0 : 1, 'other may be set unless denied';
    }
};

# What sgtm_set_param sets is made of the hit as it is sent on.

subtest 'values that are set' => sub {
    for my $gcd ($granted, $denied) {
        my $ask = sub {
            my ($got) = hit("/$_[0]/g/collect?$tid&en=a&$gcd&gclid=mArked"
                            . '&ep.old=1&ep.none=2&z=3',
                            cookie => '_ga=mArked; _gcl_au=mArked',
                            ip => '198.51.100.77');
            my %value = map { /^([^=]*)=(.*)/ ? ($1 => $2) : () }
                            split /[?&]/, $got->{uri};

            unlike $got->{raw}, qr/mArked|100\.77/, "$_[0]: nothing denied"
                if $gcd eq $denied;
            is join(' ', map { /^(.*?)=/ } split /&/, query_of($got)),
               join(' ', qw(v tid en gcd), $gcd eq $granted ? 'gclid' : (),
                    'ep.none', 'z', 'ep.b', 'ep.old',
                    $gcd eq $denied ? 'npa' : ()),
               "$_[0]: each once, at the end";
            s/%([0-9A-F]{2})/chr hex $1/ge for values %value;

            return @value{qw(ep.b ep.old)};
        };

        my ($b, $old) = $ask->('set-constant');

        is $b, 'a b&c=%2', 'constant: encoded';
        is $old, 'new', 'instead of another';

        ($b, $old) = $ask->('set-quiet');
        is $b, 'shop.example, http/GET', 'variables of the server';
        is $old, ($gcd eq $granted ? 'G111-1' : 'G100-1'), 'and of the gate';

        ($b, $old) = $ask->('set-reads');

        if ($gcd eq $granted) {
            like $b, qr/\AmArked\|v=2.*gclid=mArked.*\|yes-mArked\|yes\z/,
                 'of the hit, granted';
            like $old, qr/\|198\.51\.100\.77\|mArked\z/, 'address and cookie';

        } else {
            like $b, qr/\A\|v=2[^|]*\|no\|no\z/, 'of the hit, denied';
            like $old, qr/\|198\.51\.100\.0\|\z/, 'address and cookie';
        }
    }
};

# Addresses: location, signals, sent, arrived.

my $v6 = '2001:db8:aaaa:bbbb:cccc:dddd:eeee';
my @addresses = (
    [ metrics => $granted, '198.51.100.77', '198.51.100.77' ],
    [ metrics => $denied, '198.51.100.77', '198.51.100.0' ],
    [ metrics => 'gcd=13r3r3r3p5l1', '198.51.100.255', '198.51.100.0' ],
    [ metrics => $granted, "$v6:1", "$v6:1" ],
    [ metrics => $denied, "$v6:1", '2001:db8:aaaa::' ],
    [ metrics => $denied, '1.2.3.4', '1.2.3.0' ],
    [ metrics => $denied, '10.20.90.99', '10.20.90.0' ],
    [ metrics => $denied, '223.100.209.110', '223.100.209.0' ],
    [ full => $granted, '198.51.100.77', '198.51.100.77' ],
    [ masked => $granted, '198.51.100.77', '198.51.100.0' ],
    [ masked => $granted, "$v6:1", '2001:db8:aaaa::' ],
    [ masked => $denied, '198.51.100.77', '198.51.100.0' ],
    [ none => $granted, '198.51.100.77', '' ],
    [ none => $denied, "$v6:1", '' ],
    [ off => $denied, '198.51.100.77', '198.51.100.77' ],
    [ off => $denied, "$v6:1", "$v6:1" ],
    [ 'off-masked' => $granted, '198.51.100.77', '198.51.100.0' ],
    [ 'off-none' => $granted, '198.51.100.77', '' ],
);

subtest 'the address' => sub {
    my $i = 0;

    for (@addresses) {
        my ($location, $signals, $ip, $want) = @$_;
        my $name = "$location, $signals, $ip";
        my $agent = 'address' . ++$i;
        my $before = length $t->file('all.log');
        my $uri = "/$location/g/collect?$tid&en=a&$signals&_uip=$ip";
        my ($got, $res) = hit($uri,
                              headers => ['User-Agent' => $agent,
                                          'X-Real-IP' => $ip,
                                          'X-Forwarded-For' => '192.0.2.1']);

        is join('|', headers($got, 'X-Forwarded-For')), $want, $name;

        if ($want ne $ip) {
            unlike $got->{raw}, qr/\Q$ip\E/, 'nowhere else either';
            $t->wait_log(qr/^\Q$agent\E\|/m, file => 'vars.log');
            unlike substr($t->file('all.log'), $before), qr/\Q$ip\E/,
                   'nor in the log';
        } else {
            like $got->{uri}, qr/&_uip=\Q$ip\E(?:&|\z)/, '_uip stays';
        }

        $t->wait_log(qr/^\Q$agent\E\|/m, file => 'vars.log');
        my ($line) = $t->file('vars.log') =~ /^\Q$agent\E\|(.*)$/m;
        my @vars = split /\|/, $line, -1;

        is $vars[5], $want eq '' ? '-' : $want, '$sgtm_client_ip'
            if $want ne '' || $vars[5] ne '';
        isnt $vars[6], $ip, '$remote_addr' if $want ne $ip;
        is $vars[6], $ip, '$remote_addr' if $want eq $ip;
    }
};

SKIP: {
    skip 'no IPv6', 2 if !$ipv6;

    for my $case ([$granted, '::1'], [$denied, '::']) {
        my ($gcd, $want) = @$case;
        my $c = IO::Socket::IP->new(PeerHost => '::1', PeerPort => $t->port(3),
                                    Timeout => 5) or die "::1: $@";

        $tag->clear;
        print $c "GET /metrics/g/collect?$tid&en=a&$gcd HTTP/1.0\r\n",
                 "Host: shop.example\r\n\r\n";
        1 while <$c>;
        is header(($tag->wait_requests(1))[0], 'X-Forwarded-For'), $want,
           "from ::1, $gcd";
    }
}

subtest 'an IPv4 address in IPv6 form' => sub {
    my ($got) = hit("/metrics/g/collect?$tid&en=a&$denied",
                    ip => '::ffff:198.51.100.77');

    is scalar(headers($got, 'X-Forwarded-For')), 1, 'X-Forwarded-For';
    unlike $got->{raw}, qr/198\.51\.100\.77|c633:644d/i,
           'without its last byte';
};

subtest 'the address is given back' => sub {
    my $c = $t->http;
    my @want;

    $tag->clear;

    # a connection of realip's and one without, with denied hits between others
    for my $gcd ($granted, $denied, $granted, $denied, $denied, $granted) {
        $c->request('GET', "/metrics/g/collect?$tid&en=a&$gcd",
                    ['X-Real-IP' => '198.51.100.77']);
        is $c->response->{status}, 204, $gcd;
        push @want, $gcd eq $granted ? '198.51.100.77' : '198.51.100.0';
    }

    for my $gcd ($granted, $denied, $granted) {
        $c->request('GET', "/metrics/g/collect?$tid&en=a&$gcd");
        is $c->response->{status}, 204, $gcd;
        push @want, $gcd eq $granted ? '127.0.0.1' : '127.0.0.0';
    }

    $c->close;

    is join(' ', map { header($_, 'X-Forwarded-For') }
                     $tag->wait_requests(scalar @want)), "@want", 'HTTP/1.1';

    # after what the gate answered itself
    $c = $t->http;
    $tag->clear;

    for my $uri ("/basic/g/collect?$tid&en=a&$denied", '/metrics/g/collect?v=2',
                 "/down/g/collect?$tid&en=a&$denied",
                 "/metrics/g/collect?$tid&en=a&$granted")
    {
        $c->request('GET', $uri);
        $c->response;
    }

    $c->close;
    is header(($tag->wait_requests(1))[0], 'X-Forwarded-For'), '127.0.0.1',
       'after answers of the gate';

    # streams of one connection at the same time
    my $h2 = $t->h2(nth => 2);
    my @ids;

    $tag->clear;

    for my $i (0 .. 19) {
        my $gcd = $i % 2 ? $granted : $denied;
        push @ids, $h2->request('GET', "/metrics/g/collect?$tid&en=e$i&$gcd",
                                ['x-real-ip' => "198.51.100.$i"]);
    }

    is scalar(grep { $h2->response($_)->{status} != 204 } @ids), 0, 'HTTP/2';
    $h2->close;

    my @bad;

    for my $got ($tag->wait_requests(20)) {
        my ($i) = $got->{uri} =~ /&en=e(\d+)/;
        push @bad, differs("stream $i", header($got, 'X-Forwarded-For'),
                           '198.51.100.' . ($i % 2 ? $i : 0));
    }

    all_ok \@bad, 'each stream has its own';
};

# Whatever else goes below the prefix.

my @paths = ('ccm/collect', 'd/ccm/conversion', 'as/p/c/12345/', 'a', 'td',
             'pagead/landing', 'pagead/1p-user-list/1/', 'opaque',
             'gtm.js', 'gtag/js');

subtest 'passed paths' => sub {
    for my $path (@paths) {
        my $first = $path =~ /^gt/ ? 'id=GTM-ABC1234' : 'x=1';

        for my $state (@states[0, 1, 2, 4, 8, 15], @states[16 .. $#states]) {
            my $id = ++$hits;
            my %gone = map { $_ => 1 } map { @{ $params{$_} } }
                           keys %{ $state->{deny} };
            my @near_args = map { ("$_=$_") } @near[0 .. 9];
            my $page = "zq${id}z1z";
            my $url = enc("${shop}p?keep=1&gclid=$page&z=2");
            my $query = join '&', $first, @{ $state->{signals} },
                        (map { "$_=zq${id}z2z" } @listed), @near_args,
                        "url=$url", 'npa=0';
            my $referer = "${shop}p?keep=1&gclid=$page&z=2";
            my @want = ($first, @{ $state->{signals} },
                        (map { "$_=zq${id}z2z" } grep { !$gone{$_} } @listed),
                        @near_args);

            if ($gone{gclid}) {
                $forbidden{$page} = "a URL in $path";
                $_ =~ s/gclid(?:=|%3D)$page(?:&|%26)// for $url, $referer;
            }

            push @want, "url=$url", 'npa=0';

            $forbidden{"zq${id}z2z"} = "$path, $state->{name}"
                if keys %gone == @listed;

            my ($got, $res) = hit("/metrics/$path?$query",
                headers => ['X-Real-IP' => '198.51.100.9',
                            Referer => "${shop}p?keep=1&gclid=$page&z=2",
                            @{ $state->{headers} || [] }],
                cookie => join('; ', 'session=zqshop',
                               cookie_list($id, {})));
            my $want_cookie = join '; ', cookie_list($id, $state->{deny});

            my @bad = $got ? (
                differs('query', canonical(query_of($got), $state->{deny}),
                        canonical(join('&', @want), $state->{deny})),
                differs('Cookie', header($got, 'Cookie'),
                        length $want_cookie ? $want_cookie : undef),
                differs('Referer', header($got, 'Referer'), $referer),
                differs('X-Forwarded-For', header($got, 'X-Forwarded-For'),
                        '198.51.100.' . (%{ $state->{deny} } ? 0 : 9)),
                wrong_answer($res, $state->{deny}),
            ) : "not forwarded, $res->{status}: $res->{body}";

            push @bad, 'npa is not forced'
                if $got && $state->{deny}{ad_personalization}
                   && query_of($got) !~ /(?:\A|&)npa=1(?:&|\z)/;

            all_ok \@bad, "$path: $state->{name}";
        }
    }
};

subtest 'passed paths, mode basic' => sub {
    my $cookie = '_ga=zqbasic; _gcl_au=zqbasic; session=zqshop';

    for my $path (@paths) {
        my $first = $path =~ /^gt/ ? 'id=GTM-ABC1234' : 'x=1';
        my $query = "$first&gclid=zqbasic&uid=zqbasic&em=zqbasic&$denied";
        my ($got, $res) = hit("/basic/$path?$query", cookie => $cookie);

        ok $got || $path !~ /^gt/, "$path: scripts are served";
        unlike $got ? $got->{raw} : '', qr/zqbasic|zqshop/, 'nothing of it';
        is $got ? header($got, 'Cookie') : undef, undef, 'no cookie';
        is header($res, 'Set-Cookie'), undef, 'no Set-Cookie';

        ($got) = hit("/basic/$path?$first&gclid=a&$granted", cookie => $cookie);
        is query_of($got), "$first&gclid=a&$granted", 'granted: as it was';
    }
};

subtest 'form data' => sub {
    my @opt = (body => 'em=zqform', cookie => '_ga=1');

    for my $path (qw(d/ccm/form-data/12345 ccm/form-data/12345
                     CCM/Form-Data/1))
    {
        for my $mode (qw(metrics basic)) {
            for my $signal ('gcd=13r3r3p3r5l1', $denied, 'x=1', 'gcs=G111') {
                my ($got, $res) = hit("/$mode/$path?$signal&em=zqform", @opt);

                ok !$got, "/$mode/$path?$signal: refused";
                cmp_ok $res->{status}, '<', 500, 'by the gate';
                unlike $res->{body}, qr/zqform/, 'without its value';
            }
        }

        my ($got) = hit("/metrics/$path?$granted&em=zqform", @opt, gpc => 1);
        ok !$got, "$path, Sec-GPC: refused";

        for my $uri ("/metrics/$path?$granted", "/off/$path?$denied") {
            my ($got) = hit($uri, body => 'em=passes');
            is $got && $got->{body}, 'em=passes', "$uri: passes";
        }
    }
};

# A query in one base64 value can't be cut: it goes whole or not at all.

subtest 'encoded hits' => sub {
    for my $form (0 .. 3) {
        my $encode = sub {
            my $text = encode_base64("$tid&en=a&gclid=zqenc&$_[0]", '');
            $text =~ tr{+/=}{-_}d if $form & 1;
            return $form & 2 ? "q=$text" : $text;
        };

        for (['encoded', $granted, 1], ['encoded', $denied, 0],
             ['encoded', 'gcs=G101', 0], ['encoded', 'ep.a=1', 0],
             ['encoded-basic', $granted, 1], ['encoded-basic', $denied, 0],
             ['encoded-off', $denied, 1])
        {
            my ($location, $signal, $passes) = @$_;
            my $query = $encode->($signal);
            my ($got, $res) = hit("/$location/g/collect?$query");

            is $got && query_of($got), $passes ? $query : undef,
               "/$location/, $signal: " . ($passes ? 'whole' : 'not at all');

            $forbidden_text{$query} = "an encoded hit, $signal" if !$passes;
        }

        my ($got, $res) = hit('/metrics/g/collect?' . $encode->($granted));
        ok !$got, 'not at all unless sgtm_encoded lets it';
        is $res->{status}, 400, 'that is a bad hit';
    }
};

# variables: the User-Agent finds the line

my @variables = (
    [ 'forwarded', "/metrics/g/collect?$tid&gcs=G110", "en=view\r\nen=b",
      'G110|view|2|forwarded|-|127.0.0.0|127.0.0.0|204' ],
    [ 'granted', "/metrics/g/collect?$tid&en=one&$granted", undef,
      'G111|one|1|forwarded|-|127.0.0.1|127.0.0.1|204' ],
    [ 'off', "/off/g/collect?$tid&en=one&gcs=G100", undef,
      'G100|one|1|forwarded|-|127.0.0.1|127.0.0.1|204' ],
    [ 'denied', "/basic/g/collect?$tid&gcs=G110&en=one", "en=view\r\nen=b",
      qr/G110\|view\|2\|denied\|\w+\|127\.0\.0\.0\|127\.0\.0\.0\|204/ ],
    [ 'refused', '/metrics/g/collect?v=2&tid=seCret&en=one', undef,
      qr/.*\|refused\|bad_tag_id\|.*\|400/ ],
    [ 'failed', "/down/g/collect?$tid&gcs=G111&en=one", undef,
      qr/G111\|one\|1\|failed\|\w+\|.*\|503/ ],
);

subtest 'variables' => sub {
    my $i = 0;

    for (@variables) {
        my ($name, $uri, $body, $want) = @$_;
        my $agent = 'variables' . ++$i;

        hit($uri, body => $body, headers => ['User-Agent' => $agent]);
        $t->wait_log(qr/^$agent\|/m, file => 'vars.log');

        my ($line) = $t->file('vars.log') =~ /^$agent\|(.*)$/m;

        $want = quotemeta $want if !ref $want;
        like $line, qr/\A$want\z/, $name;
    }
};

subtest 'the logs' => sub {
    my $all = join '', $t->error_log, $t->file('all.log'),
              $t->file('vars.log'), $t->access_log;

    my %found;
    $found{$1}++ while $all =~ /(zq\d+z\d+z)/g;

    cmp_ok scalar(grep { $sent{$_} } keys %found), '>', 100,
           'they hold what is allowed';
    cmp_ok scalar(() = $t->error_log =~ /connect\(\) failed/g), '>=',
           2 * @states, 'and the errors of a tagging server that is down';

    my @bad = map { ("$_: $forbidden{$_}") } grep { $forbidden{$_} }
                  sort keys %found;
    all_ok \@bad, 'nothing that was denied';

    my %ips;
    $ips{$1}++ while $all =~ /(203\.0\.113\.\d+)/g;
    @bad = map { ("$_: $forbidden_ip{$_}") } grep { $forbidden_ip{$_} }
               sort keys %ips;
    all_ok \@bad, 'no address of who denied';

    @bad = map { ("$_: $forbidden_text{$_}") }
               grep { index($all, $_) >= 0 } sort keys %forbidden_text;
    all_ok \@bad, 'no encoded hit';

    unlike $all, qr/zqshop|seCret|zqform/,
           'no cookie of the shop, no bad value';
};

done_testing;
