#!/usr/bin/perl

# The journal in front of the database, as nginx uses it.  What is proved: a hit
# that comes while another one is under way is not left in it, nor is one behind
# the backlog of somebody whose tagging server is down; what is in the database
# is delivered also while nothing can be moved there; a segment that is damaged,
# or that a worker left unfinished, costs what is in that place and no more; and
# what was delivered leaves the directory within seconds, also while others
# come.  It guards against hits that lie on the disk and that nobody looks for.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Time::HiRes qw(sleep time);

my $serial = 0;

# one takes a while, the other one is down while its mode says so

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;
    my ($ms) = $req->{uri} =~ /ep\.ms=(\d+)/;

    return { status => 204, delay => ($ms || 0) / 1000 };
});

my $other = SGTM::Backend->start(sub {
    return [ $_[0]{mode} || 204, [], '' ];
});

my $proxy = SGTM::Run::get(SGTM::Run::root()
                           . '/conf-examples/sgtm_proxy.conf');

$proxy =~ s/^#.*\n//mg;


sub server {
    my ($name, $port, $backend) = @_;

    return <<"EOC";
    server {
        listen       127.0.0.1:%%PORT$port%%;
        server_name  $name;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        sgtm_courier   \@courier backoff=100ms;

        location /queued/ {
            sgtm           on;
            sgtm_delivery  queued;
            proxy_pass     http://127.0.0.1:@{[ $backend->port ]}/;
            $proxy
        }

        location \@courier {
            proxy_pass  http://127.0.0.1:@{[ $backend->port ]};
            $proxy
        }

        location = /status { sgtm_status; }
    }
EOC
}


# a hit; its id

sub hit {
    my ($t, $port, $more, $body) = @_;

    my $id = sprintf 'id%05d', ++$serial;
    my $uri = "/queued/g/collect?v=2&tid=G-ABC1234567&cid=1.$serial&gcs=G111"
              . "&en=a&ep.id=$id" . ($more || '');

    my $c = $t->{"client$port"} ||= $t->http(nth => $port);

    defined $body ? $c->request('POST', $uri, [], $body)
                  : $c->request('GET', $uri, []);

    my $res = $c->response;

    is $res->{status}, 204, 'kept' if $res->{status} != 204;
    delete $t->{"client$port"} if lc($res->{h}{connection} || '') eq 'close';

    return $id;
}


sub arrives {
    my ($backend, $seconds, @ids) = @_;

    my $missing = sub {
        my %got = map { $_ => 1 }
                  map { $_->{uri} =~ /ep\.id=(id\d+)/ } $backend->requests;

        return grep { !$got{$_} } @ids;
    };

    wait_for { !$missing->() } $seconds;

    return join ' ', $missing->();
}


sub segments {
    my ($t) = @_;
    my @names = glob $t->dir . '/spool/journal-*';

    return @names;
}


# of a file that may go at any time

sub bytes {
    my ($name) = @_;

    open my $fh, '<:raw', $name or return '';
    local $/;

    return scalar(<$fh>) // '';
}


sub tool {
    my ($t, @args) = @_;

    return run(SGTM::Run::program('sgtm-spool'), $t->dir . '/spool', @args);
}


# The second one is kept while the first one is answered, so that it may be the
# moment when this leaves the database.

subtest 'one after the other' => sub {
    my $t = SGTM::Test->start('sgtm_spool spool;'
                              . server('shop.example', 1, $tag));
    my ($late, $worst) = (0, 0);

    for my $n (1 .. 40) {
        my $first = hit($t, 1, '&ep.ms=' . (36 + $n % 16));
        sleep 0.03 + 0.001 * ($n % 7);

        my $from = time;
        my $id = hit($t, 1);

        arrives($tag, 10, $first, $id);
        $worst = time - $from if time - $from > $worst;
        $late++ if time - $from > 1;
    }

    is $late, 0, sprintf 'each arrives soon, after %.2f s at most', $worst;
    $t->stop;
};


# An operator takes a machine out of service once nothing waits: that nothing is
# in the database says nothing about the journal.

subtest 'what waits' => sub {
    my $t = SGTM::Test->start('sgtm_spool spool;'
                              . server('shop.example', 1, $tag));
    my ($none, $seen) = (0, 0);

    # at its begin the courier makes the database, which takes a while

    for (1 .. 25) {
        delete $t->{client1};
        $t->stop;
        unlink glob $t->dir . '/spool/*';
        $t->restart;

        my $id = hit($t, 1);
        my $end = time + 5;

        while (time < $end) {
            my $waiting = $t->status('/status')->{spool}{waiting};

            last if !arrives($tag, 0, $id);

            $seen++;
            $none++ if !$waiting;
        }
    }

    cmp_ok $seen, '>', 100, 'while a hit waits the status is asked';
    is $none, 0, 'and does not say that none does';
    $t->stop;
};


subtest 'behind the backlog of another one' => sub {
    my $t = SGTM::Test->start('sgtm_spool spool;'
                              . server('shop.example', 1, $tag)
                              . server('other.example', 2, $other));
    my $text = 'ep.text=' . 'x' x 60000;

    $other->mode(503);

    # the courier learns that it is down, and does not want more of its hits

    my @waiting = map { hit($t, 2) } 1 .. 20;
    sleep 1;

    push @waiting, map { hit($t, 2, '', $text) } 1 .. 150;

    my $from = time;
    my $id = hit($t, 1);

    is arrives($tag, 20, $id), '', 'a hit behind 9 MB arrives';
    cmp_ok time - $from, '<', 4, 'soon';

    $other->clear;
    $other->mode('');
    is arrives($other, 30, @waiting), '', 'and they do, in the end';
    $t->stop;
};


subtest 'nothing can be moved' => sub {
    my $t = SGTM::Test->start('sgtm_spool spool;'
                              . server('other.example', 1, $other));

    $other->clear;
    $other->mode(503);

    my @moved = map { hit($t, 1) } 1 .. 20;

    my ($status, $out) = tool($t, 'list');

    is $status, 0, 'hits are moved into the database' or diag $out;

    my @kept = map { hit($t, 1) } 1 .. 200;

    $t->stop;
    $other->clear;
    $other->mode('');

    # files in it can be opened, and nobody can see which there are, but root

    my $spool = $t->dir . '/spool';

    if ($> == 0) {
        my $conf = SGTM::Run::get($t->dir . '/nginx.conf');

        my $group = getgrgid((getpwnam 'nobody')[3]);

        $conf =~ s/^user root;/user nobody $group;/m or die "no user\n";
        $t->write_file('nginx.conf', $conf);
        chown +(getpwnam 'nobody')[2], -1, glob "$spool/*" or die "chown: $!\n";

        # where a sanitizer writes its report

        chmod 0777, $t->dir or die "chmod: $!\n";
    }

    # what a sanitizer has to say is written by the workers

    chmod 0777, $t->dir or die "chmod: $!\n";
    chmod 0300, $spool or die "chmod: $!\n";

    $t->expect_log(qr/sgtm_spool: opendir\(\).*Permission denied/);
    $t->restart;

    is arrives($other, 15, @moved), '', 'they arrive';
    isnt arrives($other, 0, @kept), '', 'those in the journal can not';

    chmod 0700, $spool or die "chmod: $!\n";
    is arrives($other, 15, @kept), '', 'until they are seen';
    $t->stop;
};


subtest 'a segment that is damaged' => sub {
    my $t = SGTM::Test->start('sgtm_spool spool;'
                              . server('other.example', 1, $other));

    $other->clear;
    $other->mode(503);

    hit($t, 1);
    tool($t, 'list');

    my @ids = map { hit($t, 1) } 1 .. 5;

    $t->stop;

    my ($name) = sort { -s $b <=> -s $a } segments($t);
    my $bytes = SGTM::Run::get($name);

    # the third one, and a part of one more at the end

    my $at = index $bytes, $ids[2];
    substr $bytes, $at + 2, 5, '#####';
    SGTM::Run::put($name, $bytes . substr $bytes, 0, 100);

    $other->clear;
    $other->mode('');
    $t->expect_log(qr/sgtm_spool: .*\d+ bytes are damaged, they are set aside/);
    $t->restart;

    is arrives($other, 15, @ids[0, 1, 3, 4]), '', 'those around it arrive';
    is arrives($other, 0, $ids[2]), $ids[2], 'it does not';

    my @aside = glob $t->dir . '/spool/damaged-*';

    is scalar(@aside), 1, 'it is set aside';
    like SGTM::Run::get($aside[0] || $name), qr/ep\.id=#####|id#####/,
        'as it is';
    like $t->error_log, qr/\Q$name\E": \d+ bytes are damaged/, 'the log says so';

    wait_for { !segments($t) } 5;
    is scalar(segments($t)), 0, 'its segment is removed';
    $t->stop;
};


subtest 'what was delivered leaves' => sub {
    my $t = SGTM::Test->start('sgtm_spool spool;'
                              . server('shop.example', 1, $tag));

    my $id = hit($t, 1);

    is arrives($tag, 5, $id), '', 'a hit arrives';

    # a writer that never rests; what is deleted may be in the log of changes
    # for ten seconds

    my ($end, @there) = (time + 16);

    while (time < $end) {
        hit($t, 1);
        sleep 0.05;

        @there = grep { bytes($_) =~ /\b$id\b/ } glob $t->dir . '/spool/*';
        last if !@there;
    }

    is "@there", '', 'and leaves the directory, also while others come';
    $t->stop;
};


done_testing;
