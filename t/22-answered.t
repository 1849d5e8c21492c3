# Requests below a gateway that another part of nginx answers: "return" in the
# rewrite phase, with and without an error_page that leads elsewhere, a
# connection that is closed, a rewrite of every URI, answers that the fallback
# or a page of the shop replaces.
#
# Guards against what escapes a gate that begins after the rewrite phase: the
# query, the cookies and the address in the access log, a hit that is not
# counted or counted as another, a fallback that is sent upstream as a hit, and
# a denied cookie that $upstream_http_set_cookie still tells.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;


my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;
    my ($status) = $req->{uri} =~ /\bdo=(\d+)/;

    return 204 if !$status;
    return [$status, ['Set-Cookie' => 'FPID=ZQ; Path=/'], 'x'];
});

my $gateway = 'sgtm on; sgtm_consent_mode advanced; include sgtm_proxy.conf;'
              . ' proxy_pass http://tagging;';

my $t = SGTM::Test->start(<<"EOC");
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]}; keepalive 4; }

    log_format all '\$http_user_agent|\$request|\$http_cookie|\$http_referer|'
                   '\$remote_addr|\$upstream_http_set_cookie|'
                   '\$upstream_cookie_FPID';

    server {
        listen       127.0.0.1:%%PORT%%;
        server_name  shop.example;
        access_log   %%DIR%%/all.log all;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_fallback  client;

        set_real_ip_from  127.0.0.1;
        real_ip_header    X-Real-IP;

        location /uri/ {
            $gateway
            sgtm_tenant  uri;
            return       403;
            error_page   403 /denied.html;
        }

        location /named/ {
            $gateway
            sgtm_tenant  named;
            return       403;
            error_page   403 = \@page;
        }

        location /closed/ { $gateway sgtm_tenant closed; return 444; }
        location /moved/  { $gateway sgtm_tenant moved; return 301 /a; }
        location /set/    { $gateway sgtm_tenant \$who; set \$who client; }
        location /out/    { $gateway sgtm_tenant out; rewrite ^ /page last; }

        location /all/ {
            $gateway
            sgtm_tenant  all;
            rewrite      ^ /g/collect break;
        }

        location /client/ { $gateway sgtm_tenant client; }
        location /off/    { $gateway sgtm_fallback off; }
        location /404/    { $gateway error_page 404 = \@page; }

        location = /denied.html { return 200 "denied page"; }
        location = /page        { return 200 "page"; }
        location \@page         { return 200 "named page"; }
        location = /status      { sgtm_status; }
    }
EOC

my $hit = 'v=2&tid=G-ABC1234567&en=x&cid=1.2&gclid=ZQ';
my $secret = qr/ZQ|66\.77\.88\.99/;
my $n = 0;

for my $name (qw(uri named closed moved)) {
    my ($res, $line) = ask("/$name/g/collect?$hit");

    unlike $line, $secret, "/$name/: nothing of it in the access log";
    is hits($name)->{refused}, 1, "/$name/: refused";
    is hits($name)->{failed}, 0, "/$name/: not failed";
}

my ($res, $line) = ask("/out/g/collect?$hit");

is $res->{body}, 'page', 'a rewrite may lead out of the gateway';
is_deeply [ grep { $_ } values %{ hits('out') } ], [],
          'which is no hit of it then';

($res, $line) = ask("/set/g/collect?$hit");

is hits('client')->{forwarded}, 1, 'a tenant that a "set" names';
unlike $t->error_log, qr/uninitialized/, 'is not asked for before';

($res, $line) = ask("/all/g/collect?$hit&do=503");

is $res->{status}, 503, 'a rewrite of every URI: the fallback answers';
is header($res, 'Retry-After'), 10, 'and says when to try again';
is $tag->count, 1, 'and is not sent upstream itself';
is hits('all')->{failed}, 1, 'the hit has failed';

for my $case (['client', 503], ['off', 503], ['404', 404]) {
    my ($name, $status) = @$case;

    (undef, $line) = ask("/$name/g/collect?$hit&do=$status");
    unlike $line, $secret, "/$name/, $status: no denied cookie in the log";
}

done_testing;


# (response, line of the access log); a closed connection has no response

sub ask {
    my ($uri) = @_;

    my $agent = 'agent' . ++$n . '-';

    $tag->clear;

    my $res = eval {
        $t->request('GET', $uri, ['User-Agent' => $agent,
                                  'X-Real-IP' => '66.77.88.99',
                                  Cookie => '_ga=ZQ',
                                  Referer => 'http://shop.example/?gclid=ZQ']);
    };

    $t->wait_log(qr/^\Q$agent\E.*\n/m, file => 'all.log');

    my ($line) = $t->file('all.log') =~ /^(\Q$agent\E.*)$/m;

    return ($res, $line);
}


sub hits {
    my ($tenant) = @_;

    return $t->status('/status')->{tenants}{$tenant}{hits};
}
