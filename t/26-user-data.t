#!/usr/bin/perl

# sgtm_user_data hash: user-provided data that arrives in clear, in the query,
# in the lines of a batch and in the JSON of the Measurement Protocol, leaves
# normalised and hashed as Google asks for it, and is in no log.  It guards
# against an address in clear that another spelling of its name lets through, a
# hash of a hash, a hash of "Jane@Example.com " that is another person than
# "jane@example.com", and a hit that is changed though it has nothing of the
# kind.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use MIME::Base64 ();

my $hit = 'v=2&tid=G-ABC1234567&cid=1.2&en=sign_up';
my $mp = 'measurement_id=G-ABC1234567&api_secret=s3cret';
my $mail = 'LEAK@example.com';
my $mail_hash = sha256_hex(lc $mail);

my $tag = SGTM::Backend->start;
my $nobody = SGTM::Run::port();
my $secrets = SGTM::Run::dir('secrets');

SGTM::Run::put("$secrets/mp", "s3cret\n");
chmod 0600, "$secrets/mp";

sub gateway {
    my ($prefix, $more, $upstream) = @_;

    $upstream = 'tagging' if !$upstream;

    return join '', map { <<"EOC" } [$prefix, '/'], ["$prefix-kept", ''];
        location /$_->[0]/ {
            sgtm           on;
            sgtm_fallback  off;
            $more
            proxy_pass     http://$upstream$_->[1];
            include        sgtm_proxy.conf;
        }
EOC
}

my $t = SGTM::Test->start(<<"EOC" . join '',
    log_format  all  '\$request|\$request_uri|\$args|\$request_body|'
                     '\$sgtm_uri|\$status|\$sgtm_disposition|\$sgtm_reason';
    access_log  %%DIR%%/all.log  all;

    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }
    upstream nobody  { server 127.0.0.1:$nobody max_fails=0; }

    server {
        listen           127.0.0.1:%%PORT%%;
        server_name      shop.example;

        sgtm_endpoint    sgtm.example.com;
        sgtm_tag_id      G-ABC1234567;
        sgtm_api_secret  $secrets/mp;
        client_body_buffer_size  1k;
EOC
    gateway('hash', 'sgtm_user_data hash;'),
    gateway('pass', ''),
    gateway('denied', 'sgtm_user_data hash; sgtm_consent_mode advanced;'),
    gateway('set', 'sgtm_user_data hash;
                    sgtm_set_param ep.user_data.email $arg_who;
                    sgtm_set_param ep.site a;'),
    gateway('removed', 'sgtm_user_data hash;
                        sgtm_remove_param ep.user_data.email;'),
    gateway('encoded', 'sgtm_user_data hash; sgtm_encoded pass;'),
    gateway('down', 'sgtm_user_data hash;', 'nobody'),
    "    }\n");

my $json = JSON::PP->new->utf8;


# (the answer, what arrived, the line of the log)

sub ask {
    my ($method, $uri, $body, @headers) = @_;

    $tag->clear;

    my $seen = length $t->file('all.log');
    my $res = $t->request($method, $uri,
                          ['Content-Type' => 'text/plain', @headers], $body);

    wait_for { length $t->file('all.log') > $seen };

    my ($got) = $tag->requests;

    return ($res, $got, substr $t->file('all.log'), $seen);
}


sub escape {
    my ($text) = @_;

    $text =~ s/([^A-Za-z0-9_.!~*'()-])/sprintf '%%%02X', ord $1/ge;

    return $text;
}


# what an argument has become, in the query and in a line of a batch

sub becomes {
    my ($was, $want, $name) = @_;

    for my $prefix (qw(hash hash-kept)) {
        my $path = $prefix =~ /kept/ ? "/$prefix" : '';
        my ($res, $got, $log) = ask('GET', "/$prefix/g/collect?$hit&$was&z=1");

        is $got->{uri}, "$path/g/collect?$hit&$want&z=1",
           "$name, in the query";
        unlike $log, qr/LEAK/, 'not in the log';

        ($res, $got, $log) = ask('POST', "/$prefix/g/collect?$hit",
                                 "$was&en=a\r\nen=b&$was&z\r\n");
        is $got->{uri}, "$path/g/collect?$hit", 'a query without';
        is $got->{body}, "$want&en=a\r\nen=b&$want&z\r\n", 'in a batch';
        is $got->{h}{'content-length'}, length $got->{body}, 'its length';
        unlike $log, qr/LEAK/, 'not in the log';
    }
}


subtest 'hits of browsers' => sub {
    my $email = 'ep.user_data.sha256_email_address=' . $mail_hash;

    becomes("ep.user_data.email=$mail", $email, 'an address');
    becomes('ep.user_data.email=' . escape(" $mail "), $email,
            'with spaces');
    becomes('ep%2Euser%5Fdata.email=' . escape($mail), $email,
            'by an escaped name');
    becomes("ep.user_data.email_address=$mail", $email, 'by another name');
    becomes("ep.user_data.email=$mail_hash", $email, 'that is hashed');
    becomes($email, $email, 'that has its name, too');
    becomes("ep.user_data.sha256_email_address=$mail", $email,
            'in clear by the name of a hash');
    becomes("ep.user_data.email=$mail&ep.user_data.email=$mail",
            "$email&$email", 'twice');

    my $phone = 'ep.user_data.sha256_phone_number='
                . sha256_hex('+491701234567');

    becomes('ep.user_data.phone_number=' . escape('+49 (170) 123-4567'),
            $phone, 'a phone number');
    becomes('epn.user_data.phone_number=491701234567', $phone,
            'as a number');

    becomes('ep.user_data.address.first_name=LEAK-Anna',
            'ep.user_data.address.sha256_first_name=' . sha256_hex('leakanna'),
            'a first name');
    becomes('ep.user_data.address.0.last_name=' . escape("O'LEAK"),
            'ep.user_data.address.0.sha256_last_name=' . sha256_hex('oleak'),
            'a last name, in a list');
    becomes('ep.user_data.address.street=' . escape(' 1, LEAK St. '),
            'ep.user_data.address.sha256_street=' . sha256_hex('1 leak st'),
            'a street');
    becomes('ep.user_data.address.city=' . escape(' San Francisco '),
            'ep.user_data.address.city=san%20francisco', 'a city');
    becomes('ep.user_data.address.region=CA', 'ep.user_data.address.region=ca',
            'a region');
    becomes('ep.user_data.address.postal_code=%20SW1A.1AA',
            'ep.user_data.address.postal_code=SW1A1AA', 'a postal code');
    becomes('ep.user_data.address.country=us',
            'ep.user_data.address.country=US', 'a country');
    becomes('ep.user_data.email=%20&ep.user_data.phone=LEAK',
            'ep.user_data.sha256_email_address=&'
            . 'ep.user_data.sha256_phone_number=', 'what says nothing');

    for my $same ('ep.user_data._tag_mode=MANUAL', 'ep.user_data.email',
                  'ep.email=a%40b', 'user_data.email=a', 'ep.user_datax.email=a',
                  'ep.user_data.=a', '&&a=%2520&b', 'em=tv.1~em.abc')
    {
        becomes($same, $same, $same);
    }
};


subtest 'large' => sub {
    my $lines = join "\r\n", map { "en=a$_&ep.user_data.email=$mail" } 1 .. 200;
    my ($res, $got) = ask('POST', "/hash/g/collect?$hit", $lines);

    $lines =~ s/user_data\.email=\Q$mail/user_data.sha256_email_address=$mail_hash/g;
    is $got->{body}, $lines, 'a batch of 200 lines, in a file';
};


subtest 'Measurement Protocol' => sub {
    my $body = sub {
        my ($user_data, $params) = @_;

        $params = '' if !defined $params;

        return "{\"client_id\":\"1.2\",\"user_data\":$user_data,"
               . "\"events\":[{\"name\":\"a\",\"params\":{$params}}]}";
    };

    my @cases = (
        ["{\"email\": \"$mail\"}",
         "{\"sha256_email_address\": \"$mail_hash\"}", 'an address'],
        ["{\"e\\u006dail\":\"LEAK\\u0040example.com\"}",
         "{\"sha256_email_address\":\"$mail_hash\"}", 'escaped'],
        ["{\"email_address\":[\"$mail\", \"$mail_hash\"]}",
         "{\"sha256_email_address\":[\"$mail_hash\", \"$mail_hash\"]}",
         'a list'],
        ['{"phone_number":491701234567}',
         '{"sha256_phone_number":"' . sha256_hex('+491701234567') . '"}',
         'a number'],
        ['{"address":[{"first_name":"LEAK","city":" Ulm ","country":"de",'
         . '"x":1}]}',
         '{"address":[{"sha256_first_name":"' . sha256_hex('leak')
         . '","city":"ulm","country":"DE","x":1}]}', 'an address of a place'],
        ["{\"sha256_email_address\":[\"$mail_hash\"],\"a\":\"b\\u0063\"}",
         "{\"sha256_email_address\":[\"$mail_hash\"],\"a\":\"b\\u0063\"}",
         'what is hashed'],
        ['{"email":null,"phone":""}',
         '{"sha256_email_address":null,"sha256_phone_number":""}', 'nothing'],
    );

    for my $case (@cases) {
        my ($was, $want, $name) = @$case;
        my ($res, $got, $log) = ask('POST', "/hash/mp/collect?$mp",
                                    $body->($was));

        is $res->{status}, 204, "$name: 204";
        is $got->{body}, $body->($want), 'hashed';
        unlike $log, qr/LEAK/, 'not in the log';

        ($res, $got, $log) = ask('POST', "/hash/mp/collect?$mp",
                                 $body->('{}', "\"user_data\":$was,\"b\":1"));
        is $got->{body}, $body->('{}', "\"user_data\":$want,\"b\":1"),
           'within the parameters';
    }

    my ($res, $got) = ask('POST', "/hash/mp/collect?$mp",
                          $body->('{}', "\"user_data.email\":\"$mail\","
                                        . '"email":"other"'));
    is $got->{body},
       $body->('{}', "\"user_data.sha256_email_address\":\"$mail_hash\","
                     . '"email":"other"'), 'as a parameter of its own';

    ($res, $got) = ask('POST', "/hash/mp/collect?$mp"
                       . "&ep.user_data.email=$mail", $body->('{}'));
    unlike $got->{uri}, qr/LEAK/, 'in the query';

    ($res, $got) = ask('POST', "/pass/mp/collect?$mp",
                       $body->("{\"email\":\"$mail\"}"));
    is $got->{body}, $body->("{\"email\":\"$mail\"}"), 'sgtm_user_data pass';

    # each would be a hash, and 120 kB become 4 MB

    ($res, $got) = ask('POST', "/hash/mp/collect?$mp",
                       $body->('{"email":[' . join(',', (1) x 50_000) . ']}'));
    is $res->{status}, 400, '50,000 addresses: 400';
    is $res->{body}, "user_data: too many\n", 'one line';
    is $got, undef, 'and nothing is sent';
};


subtest 'with other rules' => sub {
    my $args = "ep.user_data.email=$mail";
    my ($res, $got, $log) = ask('GET', "/pass/g/collect?$hit&$args");

    is $got->{uri}, "/g/collect?$hit&$args", 'sgtm_user_data pass';

    ($res, $got, $log) = ask('POST', "/denied/g/collect?$hit&$args",
                             "$args&en=a");
    unlike $got->{uri} . $got->{body}, qr/user_data/, 'what is denied is gone';

    ($res, $got, $log) = ask('POST', "/removed/g/collect?$hit&$args",
                             "$args&en=a");
    is $got->{uri} . $got->{body}, "/g/collect?${hit}en=a",
       'so is what an operator removes, by the name that it came with';

    ($res, $got, $log) = ask('GET', "/set/g/collect?$hit&who=LEAK");
    like $got->{uri}, qr/&ep\.user_data\.sha256_email_address=
                        \Q@{[ sha256_hex('leak') ]}\E/x,
         'what an operator sets is hashed';

    ($res, $got, $log) = ask('GET', "/hash/other/path?$args");
    unlike $got->{uri} . $log, qr/LEAK/, 'on any path';

    ($res, $got, $log) = ask('GET', "/hash/g/collect?$hit&$args", undef,
                             'X-Gtm-Server-Preview' => 'a');
    is $got->{uri}, "/g/collect?$hit&$args", 'but to a preview';

    my $encoded = MIME::Base64::encode_base64("$hit&$args", '');

    ($res, $got, $log) = ask('GET', "/encoded/g/collect?$encoded");
    is $res->{status}, 204, 'in base64: 204';
    is $got, undef, 'and nothing is sent';
    like $log, qr/\|denied\|opaque$/m, 'denied';

    $encoded = MIME::Base64::encode_base64("$hit&ep.a=b", '');

    ($res, $got, $log) = ask('GET', "/encoded/g/collect?$encoded");
    is $got->{uri}, "/g/collect?$encoded", 'without it, it is';
};


subtest 'logs' => sub {
    my ($res) = ask('POST', "/down/g/collect?$hit&ep.user_data.email=$mail",
                    "en=a&ep.user_data.email=$mail");
    is $res->{status}, 502, 'a tagging server that is down';

    ($res) = ask('GET', "/hash/g/collect?v=2&ep.user_data.email=$mail");
    is $res->{status}, 400, 'a hit that is refused';

    unlike $t->error_log, qr/LEAK/, 'nothing in the error log';
    like $t->error_log, qr/connect\(\) failed/, 'which has its error';

    my @lines = grep { m{ /down/} } split /\n/, $t->file('all.log');

    is scalar(@lines), 1, 'a line in the other log';
    unlike $lines[0], qr/LEAK/, 'nor is it there';
};


subtest 'configuration' => sub {
    my ($status, $out) = nginx_t('server { sgtm_user_data clear; }');

    isnt $status, 0, 'another value';
    like $out, qr/invalid value "clear" in "sgtm_user_data", it must be "pass" or "hash"/,
         'is told';
};


done_testing;
