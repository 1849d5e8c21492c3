package SGTM::Fleet;

# What the tests of tenants from Redis have in common.  All of it is exported.

use strict;
use warnings;

use parent 'Exporter';

use JSON::PP ();
use Test::More ();

use SGTM::Run;
use SGTM::Test ();

our @EXPORT = qw(record records conf address fleet state_of reaches comes
                 serves all_serve log_lines);


# a record; its version is what requests can see of it

sub record {
    my ($id, $version, %more) = @_;

    my $hosts = delete $more{hosts} || ["$id.example"];

    return JSON::PP->new->canonical->encode({
        id => $id, hosts => $hosts, containers => ['GTM-ABC1234'],
        tag_ids => ['G-ABC1234567'], version => $version + 0, %more,
    });
}


sub records {
    my ($version, @ids) = @_;

    return { map { $_ => record($_, $version) } @ids };
}


# a server that tells which record it serves; options of sgtm_tenants

sub conf {
    my ($options, $zone) = @_;

    $zone ||= '32m';

    return <<"EOC";
    sgtm_zone     sgtm $zone;
    sgtm_tenants  $options;
    access_log    off;
    keepalive_requests  10000000;

    server {
        listen  127.0.0.1:%%PORT%%;

        location = /status { sgtm_status; }
        location = /ping { return 204; }
        location / { return 200 "\$sgtm_record \$sgtm_record_version"; }
    }
EOC
}


# of what has a port

sub address { return '127.0.0.1:' . $_[0]->port }


# nginx with the tenants of a Redis, or of what leads to one

sub fleet {
    my ($redis, $more, %opt) = @_;

    my $options = 'redis=' . address($redis) . ' prefix=shop: '
                  . ($more || '');

    return SGTM::Test->start(conf($options, delete $opt{zone}),
                             workers => 2, %opt);
}


# how the owner stands with Redis

sub state_of { return $_[0]->status('/status')->{registry}{redis} }


# until the state is this, and more of it what is given

sub reaches {
    my ($t, $state, $seconds, %more) = @_;

    my $last;

    my $ok = SGTM::Run::wait_for {
        $last = state_of($t);
        $last->{state} eq $state
            && !grep { $last->{$_} ne $more{$_} } keys %more;
    } $seconds || 5;

    Test::More::diag(Test::More::explain($last)) if !$ok;

    return $ok;
}


# a test of what is not so at once, for 5 seconds or more

sub comes(&$;$) {
    my ($code, $what, $seconds) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::ok(SGTM::Run::wait_for(\&$code, $seconds || 5),
                          $what);
}


# "id version" of a host, or nothing

sub serves {
    my ($t, $host) = @_;

    my $res = $t->get('/', Host => $host);

    return $res->{body} eq ' ' ? '' : $res->{body};
}


# what all of several requests, of both workers, say

sub all_serve {
    my ($t, $host) = @_;

    my %seen = map { serves($t, $host) => 1 } 1 .. 12;

    return join ' | ', sort keys %seen;
}


sub log_lines {
    my ($t, $re) = @_;

    return scalar(() = $t->error_log =~ /$re/mg);
}


1;
