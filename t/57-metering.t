#!/usr/bin/perl

# Metering: what tenants send is counted by month and kept in a file that a tool
# reads, so that a provider can bill.  What is proved: each event is counted
# once, by what became of it, whether it came alone, in a batch, from a server
# or a shop, through the queue or not; numbers go on over reloads, restarts, a
# binary upgrade and workers that are killed, and what a machine loses that
# falls is bounded; months are cut exactly where they end, whatever the clock
# does; a quota is warned of once, and obeyed as the record says, also after a
# restart; without a file to write to nothing stops.  It guards against a bill
# that is wrong, and a shop that is cut off for nothing.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;
use SGTM::Clock;

use Digest::SHA qw(hmac_sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical;
my $tool = SGTM::Run::program('sgtm-meter');
my $query = 'v=2&tid=G-ABC1234567';
my $november = 1793491200;
my $sanitized = ($ENV{SGTM_BUILD} || '') eq 'sanitize';
my $serial = 0;

my $tag = SGTM::Backend->start(sub {
    my ($req) = @_;

    return [503, [], 'no'] if $req->{mode} eq 'down';
    return [503, [], 'no'] if $req->{uri} =~ /en=fail/;
    return 204;
});

my @shops = (
    { id => 'plain', hosts => ['plain.example'] },
    { id => 'mixed', hosts => ['mixed.example'], consent_mode => 'basic',
      consent_default => { analytics_storage => 'granted' },
      events => { secret => 'off' }, api_secrets => ['of mixed'],
      webhooks => { woocommerce => ['of the shop'] } },
    { id => 'slow', hosts => ['slow.example'], rate => '1r/m', burst => 2,
      fallback => 'off' },
    { id => 'queue', hosts => ['queue.example'], fallback => 'queue' },
    { id => 'more', hosts => ['more.example'], quota => 10 },
    { id => 'some', hosts => ['some.example'], quota => 10,
      quota_action => 'sample', quota_sample => 30 },
    { id => 'fails', hosts => ['fails.example'], quota => 2,
      quota_action => 'stop' },
    { id => 'stop', hosts => ['stop.example'], quota => 10,
      quota_action => 'stop', api_secrets => ['of stop'] },
);


sub records {
    my ($dir) = @_;

    SGTM::Run::put("$dir/tenants.new", $json->encode({ tenants => [map {
        { %$_, tag_ids => ['G-ABC1234567'] } } @shops] }));
    rename "$dir/tenants.new", "$dir/tenants.json" or die "rename: $!\n";
}


my $dir = SGTM::Run::dir('meter');
records($dir);


sub conf {
    my ($path, %opt) = @_;

    my $options = defined $opt{options} ? $opt{options} : 'interval=250ms';

    return <<"EOC";
    upstream tagging { server 127.0.0.1:@{[ $tag->port ]} max_fails=0;
                       keepalive 16; }

    sgtm_tenants  file=$dir/tenants.json;
    sgtm_meter    $path $options;
    sgtm_spool    $path.spool;
    sgtm_dedup    1h;

    server {
        listen         127.0.0.1:%%PORT%%;
        server_name    _;
        sgtm_endpoint  sgtm.example.com;
        sgtm_fallback  off;
        sgtm_courier   \@tagging backoff=100ms;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }

        location \@tagging {
            proxy_pass  http://tagging;
            include     sgtm_proxy.conf;
        }

        location = /status { sgtm_status; }
    }

    # nothing is queued

    server {
        listen         127.0.0.1:%%PORT2%%;
        server_name    _;
        sgtm_endpoint  sgtm.example.com;
        sgtm_fallback  off;

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
        }
    }
EOC
}


# a hit of a tenant, with more arguments; several events are lines of its body

sub hit {
    my ($t, $shop, %opt) = @_;

    my $uri = "/metrics/g/collect?$query&cid=" . ($opt{cid} || '1.2')
              . ($opt{args} || '');
    my @host = (Host => "$shop.example");

    return $opt{body} ? $t->post($uri, $opt{body}, @host)
                      : $t->request('GET', "$uri&en=" . ($opt{en} || 'a'),
                                    \@host, undef, nth => $opt{nth});
}


# Sends so many hits at the same time; what it returns waits for their end, and
# says how many were answered.

sub client {
    my ($t, $shop, $n) = @_;

    pipe my $in, my $out or die "pipe: $!\n";
    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        my $done = 0;

        for (1 .. $n) {
            my $res = eval { hit($t, $shop) };
            $done++ if $res && $res->{status} == 204;
            sleep 0.005;
        }

        syswrite $out, $done;
        POSIX::_exit(0);
    }

    close $out;

    return sub {
        my $done = <$in>;
        waitpid $pid, 0;
        return $done;
    };
}


# what the file has: { month => { tenant => { accepted => n, ... } } }

sub filed {
    my ($path) = @_;

    my ($status, $out) = run($tool, $path, '--format', 'json');
    my %all;

    for ($status ? () : split /\n/, $out) {
        my $row = $json->decode($_);
        my ($month, $tenant) = delete @$row{qw(month tenant)};
        $all{$month}{$tenant} = { map { $row->{$_} ? ($_ => $row->{$_}) : () }
                                  keys %$row };
    }

    return \%all;
}


# the rows of one month, or of all months together

sub row {
    my ($path, $tenant) = @_;

    my $all = filed($path);
    my %sum;

    for my $month (values %$all) {
        my $row = $month->{$tenant} || {};
        $sum{$_} += $row->{$_} for keys %$row;
    }

    return \%sum;
}


# until the file has it

sub row_is {
    my ($path, $tenant, $want, $name) = @_;

    my $got;

    wait_for { $got = row($path, $tenant);
               $json->encode($got) eq $json->encode($want) } 4;

    is_deeply $got, $want, $name;
}


sub month {
    my ($t, $tenant) = @_;

    return $t->status('/status')->{tenants}{$tenant}{month};
}


# a hit is counted after its answer

sub month_is {
    my ($t, $tenant, $key, $want, $name) = @_;

    my $got;

    wait_for { ($got = month($t, $tenant)) && $got->{$key} eq $want } 4;
    is $got && $got->{$key}, $want, $name;
}


subtest 'the directive' => sub {
    my $gateway = conf("$dir/none", options => '');

    for (['interval=0s', qr/"interval=" of 250ms to 1h/],
         ['interval=2h', qr/invalid value/], ['size=1k', qr/invalid value/],
         ['often', qr/invalid value "often" in "sgtm_meter"/])
    {
        my ($option, $why) = @$_;
        my ($status, $out) = nginx_t(conf("$dir/none", options => $option));

        isnt $status, 0, "$option is refused";
        like $out, $why, 'and said why';
    }

    my ($status, $out) = nginx_t($gateway . "sgtm_meter $dir/other;");
    isnt $status, 0, 'there is one';
    like $out, qr/"sgtm_meter" directive is duplicate/, 'and it is said';

    ($status, $out) = nginx_t($gateway);
    is $status, 0, 'a path alone is enough' or diag $out;
};


subtest 'every event is counted once' => sub {
    my $path = "$dir/once";
    my $t = SGTM::Test->start(conf($path), workers => 2);

    is hit($t, 'plain')->{status}, 204, 'one event';
    is hit($t, 'plain', body => join("\r\n", map { "en=b$_" } 1 .. 10))
       ->{status}, 204, 'a batch of ten';
    is hit($t, 'plain', en => 'fail')->{status}, 503, 'a failure';
    is $t->get('/metrics/g/collect?v=2&tid=G-FOREIGN0000&en=a',
               Host => 'plain.example')->{status}, 403, 'of somebody else';
    is $t->get('/metrics/g/collect?v=2&en=a', Host => 'plain.example')
       ->{status}, 400, 'without an id';
    is $t->get("/metrics/g/collect?$query&en=a&_dbg=1",
               Host => 'plain.example', 'X-Gtm-Server-Preview' => 'abc=')
       ->{status}, 204, 'of a preview';
    is $t->get('/metrics/t.js', Host => 'plain.example')->{status}, 200,
       'the script';

    row_is $path, 'plain', { accepted => 12, forwarded => 11, failed => 1,
                             dropped => 1 },
           'batches count by events; errors and previews do not count';

    # denied, duplicates, ways, servers, shops

    hit($t, 'mixed', args => '&gcs=G100');
    hit($t, 'mixed', body => "en=a&ep.event_id=1\r\nen=b&ep.event_id=2");
    hit($t, 'mixed', body => "en=a&ep.event_id=1\r\nen=c&ep.event_id=3\r\n"
                             . 'en=secret');
    hit($t, 'mixed', body => "en=a&ep.event_id=1\r\nen=secret");
    hit($t, 'mixed', en => 'secret');

    my $mp = $json->encode({ client_id => '1.2', events => [
        { name => 'sale' }, { name => 'secret' }, { name => 'other' } ] });

    is $t->request('POST', '/metrics/mp/collect?measurement_id=G-ABC1234567'
                   . '&api_secret=of%20mixed', [Host => 'mixed.example'], $mp)
       ->{status}, 204, 'a server';

    my $order = $json->encode({
        id => 77, number => '77', status => 'processing', currency => 'EUR',
        total => '10.00', total_tax => '0.00', shipping_total => '0.00',
        date_paid_gmt => POSIX::strftime('%Y-%m-%dT%H:%M:%S', gmtime),
        line_items => [{ id => 1, product_id => 5, name => 'Cup',
                         quantity => 1, total => '10.00', price => 10 }],
        refunds => [], billing => {} });

    for my $answer (204, 200) {
        my $res = $t->request('POST', '/metrics/webhook/woocommerce',
            [Host => 'mixed.example', 'Content-Type' => 'application/json',
             'X-WC-Webhook-Topic' => 'order.updated',
             'X-WC-Webhook-Signature' =>
                 encode_base64(hmac_sha256($order, 'of the shop'), '')],
            $order);
        is $res->{status}, $answer, 'a shop';
    }

    row_is $path, 'mixed',
           { accepted => 14, forwarded => 6, dropped => 8, denied => 1,
             duplicate => 3, filtered => 4 },
           'what is not forwarded has a reason';

    is join(' ', map { hit($t, 'slow', nth => 2)->{status} } 1 .. 4),
       '204 204 429 429',
       'over the rate';
    row_is $path, 'slow', { accepted => 4, forwarded => 2, limited => 2,
                            dropped => 2 }, 'it is counted as limited';

    my $month = month($t, 'mixed');
    like $month->{month}, qr/^20\d\d-\d\d$/, 'the status knows the month';
    is_deeply [@$month{qw(accepted forwarded dropped used quota)}],
              [14, 6, 8, 6, undef], 'and the same numbers';

    my $text = $t->get('/status?format=prometheus')->{body};
    like $text, qr/^sgtm_month_events\{tenant="mixed",what="accepted"\} 14$/m,
         'in both formats';
    like $text, qr/^sgtm_meter_failed 0$/m, 'all is well';
    is $t->status('/status')->{meter}{error}, undef, 'in JSON, too';

    # what is in the queue is not forwarded yet

    $tag->mode('down');
    hit($t, 'queue', body => "en=a\r\nen=b\r\nen=c");
    row_is $path, 'queue', { accepted => 3, open => 3 }, 'in the queue';
    month_is $t, 'queue', 'used', 3, 'it counts against a quota';

    $tag->mode('');
    row_is $path, 'queue', { accepted => 3, forwarded => 3 }, 'delivered';

    # the tool

    my ($status, $out) = run($tool, $path, '--tenant', 'mixed');
    is $status, 0, 'a table';
    like $out, qr/\Amonth\s+tenant\s+accepted\s+forwarded\s+dropped\s+open\n
                  \d{4}-\d\d\s+mixed\s+14\s+6\s+8\s+0\n\z/x,
         'as people read it';

    ($status, $out) = run($tool, $path, '--format', 'csv', '--tenant', 'slow');
    like $out, qr/\Amonth,tenant,accepted,forwarded,denied,duplicate,limited,
                  filtered,quota,failed,dropped,open\r\n
                  \d{4}-\d\d,"slow",4,2,0,0,2,0,0,0,2,0\r\n\z/x, 'CSV';

    ($status, $out) = run($tool, $path, '--month', '1999-01');
    is $status, 1, 'there may be nothing';
    ($status, $out) = run($tool, $path, '--month', '2026-13');
    is $status, 2, 'and no such month';
    ($status, $out) = run($tool, "$dir/nowhere");
    is $status, 1, 'or no file';
    like $out, qr/No such file/, 'and it is said';

    $t->stop;
};


subtest 'over reloads, restarts, an upgrade and a kill' => sub {
    my $path = "$dir/kept";
    my $t = SGTM::Test->start(conf($path, options => 'interval=1h'),
                              workers => 2, daemon => 1);
    my $n = 0;

    my $send = sub { hit($t, 'plain') for 1 .. $_[0]; $n += $_[0]; };

    $send->(7);
    month_is $t, 'plain', 'accepted', 7, 'in memory';
    is_deeply filed($path), {}, 'and there alone';

    $t->reload(undef, wait_old => 1);
    row_is $path, 'plain', { accepted => 7, forwarded => 7 },
           'the old workers write when they end';
    month_is $t, 'plain', 'accepted', 7, 'the status stays';

    $send->(5);

    # a zone of another size: the old workers' numbers go their own way

    $t->reload(conf($path, options => 'interval=1h size=1m'), wait_old => 1);
    $send->(3);
    month_is $t, 'plain', 'accepted', $n, 'other memory learns of the file';

    # two clients all the while

    my @clients = map { client($t, 'plain', 120) } 1 .. 2;

    $t->reload for 1 .. 3;
    $n += $_->() for @clients;
    month_is $t, 'plain', 'accepted', $n, 'a load goes over reloads';

    $send->(2);
    $t->upgrade;
    $send->(4);
    month_is $t, 'plain', 'accepted', $n, 'so does another binary';

    $t->signal('TERM');
    wait_for { !SGTM::Process::alive($t->pid) } 5;
    row_is $path, 'plain', { accepted => $n, forwarded => $n },
           'all is in the file at the end, to the last event';
    $t->stop;
};


subtest 'a machine that falls' => sub {
    my $path = "$dir/fallen";
    my $t = SGTM::Test->start(conf($path, options => 'interval=1s'),
                              workers => 2);
    my @sent;
    my $end = time() + 2.6;

    # when each was answered: a second and the time to write is what may go

    while (time() < $end) {
        hit($t, 'plain');
        push @sent, time();
        sleep 0.01;
    }

    $t->crash;

    my $late = grep { $_ > $end - 1.9 } @sent;
    my $kept = row($path, 'plain')->{accepted} || 0;

    cmp_ok $kept, '>=', @sent - $late, 'at most the interval is lost';
    cmp_ok $kept, '<=', scalar @sent, 'and nothing is there twice';

    $t->start_again;
    my $before = $kept;
    hit($t, 'plain') for 1 .. 9;
    row_is $path, 'plain', { accepted => $before + 9,
                             forwarded => $before + 9 }, 'it goes on';

    # a worker alone, not the one that writes: what it had counted is in the
    # memory of all

    hit($t, 'plain') for 1 .. 20;
    $t->kill_worker((sort { $a <=> $b } $t->workers)[-1]);
    wait_for { $t->workers } 5;
    row_is $path, 'plain', { accepted => $before + 29,
                             forwarded => $before + 29 },
           'a worker that is killed loses nothing';

    $t->stop;
};


SKIP: {
    skip 'sanitizers are preloaded instead', 1 if $sanitized;

    subtest 'the end of a month' => sub {
        my $path = "$dir/months";
        my $clock = SGTM::Clock->new;

        $clock->at($november - 60);

        my $t = SGTM::Test->start(conf($path), workers => 2,
                                  env => $clock->env);
        my @sent = (0, 0);

        my $send = sub {
            my ($i, $n) = @_;

            hit($t, 'plain') for 1 .. $n;
            $sent[$i] += $n;
        };

        my $is = sub {
            my ($name) = @_;
            my %all;

            wait_for { %all = %{ filed($path) };
                       ($all{'2026-10'}{plain}{accepted} || 0) == $sent[0]
                       && ($all{'2026-11'}{plain}{accepted} || 0)
                          == $sent[1] } 4;

            is_deeply [map { $all{"2026-$_"}{plain}{accepted} || 0 } 10, 11],
                      \@sent, $name;
        };

        $clock->at($november - 10);
        $send->(0, 30);
        month_is $t, 'plain', 'month', '2026-10', 'seconds before';

        $clock->at($november);
        $send->(1, 12);
        $is->('to the last hit of one, from the first of the next');
        is_deeply [@{ month($t, 'plain') }{qw(month accepted used)}],
                  ['2026-11', 12, 12], 'the status begins anew';

        # set back over the end of the month, and forth

        $clock->at($november - 10);
        $send->(0, 4);
        $clock->at($november + 5);
        $send->(1, 5);
        $is->('a clock that is set back does no harm');

        $clock->at($november - 40);
        $t->reload(undef, wait_old => 1);
        $send->(0, 2);
        $clock->at($november + 1);
        $t->stop;
        $t->start_again;
        $send->(1, 2);
        $is->('nor a reload or a restart about that time');

        # kept in one month, delivered in the next

        $tag->mode('down');
        $clock->at($november - 10);
        hit($t, 'queue', body => "en=a\nen=b");
        $clock->at($november + 3);
        $tag->mode('');

        my $all;

        wait_for { $all = filed($path);
                   ($all->{'2026-10'}{queue}{forwarded} || 0) == 2 } 5;

        is_deeply [$all->{'2026-10'}{queue}, $all->{'2026-11'}{queue}],
                  [{ accepted => 2, forwarded => 2 }, undef],
                  'a hit is of the month in which it was accepted';

        $t->stop;
    };
}


subtest 'quotas' => sub {
    my $path = "$dir/quotas";
    my $t = SGTM::Test->start(conf($path), workers => 2);
    my $said = sub {
        my ($shop, $what) = @_;
        my $n = () = $t->error_log
                     =~ /\[warn\].*tenant "$shop" has $what/g;
        return $n;
    };

    # in the log once, at 80 %, and at 100 %

    hit($t, 'stop', body => join("\n", map { "en=e$_" } 1 .. 7));
    is $said->('stop', 'used 80%'), 0, '70 %: nothing';
    month_is $t, 'stop', 'quota_state', 'ok', 'nor in the status';

    is hit($t, 'stop')->{status}, 204, '80 %';
    is $said->('stop', 'used 80% of the quota of 10 events for 20'), 1,
       'a line in the log';
    month_is $t, 'stop', 'quota_state', 'warned', 'and in the status';

    # a hit is not torn apart

    is hit($t, 'stop', body => "en=a\nen=b\nen=c")->{status}, 204, 'over it';
    is $said->('stop', 'used up the quota of 10 events for 20\d\d-\d\d: '
                       . '"stop"'), 1, 'another line';
    month_is $t, 'stop', 'quota_state', 'over', 'and in the status';

    $tag->clear;

    for (1 .. 5) {
        my $res = hit($t, 'stop', cid => "9.$_");
        is $res->{status}, 204, 'no browser sees an error';
    }

    is $t->request('POST', '/metrics/mp/collect?measurement_id=G-ABC1234567'
                   . '&api_secret=of%20stop', [Host => 'stop.example'],
                   $json->encode({ client_id => '1.2', events => [
                       { name => 'a' }, { name => 'b' } ] }))->{status},
       204, 'nor a server';

    is $tag->count, 0, 'and nothing is forwarded';
    row_is $path, 'stop', { accepted => 18, forwarded => 11, quota => 7,
                            dropped => 7 }, 'what is dropped has its reason';

    my $shown = $t->status('/status')->{tenants}{stop};
    is $shown->{reasons}{quota}, 6, 'in the counters, too';
    is $shown->{hits}{limited}, 6, 'as limited';

    # what the tagging server did not take is not paid for

    is hit($t, 'fails', en => 'fail')->{status}, 503, 'it fails' for 1 .. 4;

    $tag->clear;
    hit($t, 'fails', cid => "8.$_") for 1 .. 4;
    is $tag->count, 2, 'and leaves the quota as it was';

    # goes on

    hit($t, 'more') for 1 .. 15;
    is $said->('more', 'used 80%') + $said->('more', 'used up'), 2,
       'who may go on is warned';
    row_is $path, 'more', { accepted => 15, forwarded => 15 }, 'and goes on';

    # a sample of clients, the same ones each time

    hit($t, 'some', cid => '0.0') for 1 .. 10;
    $tag->clear;

    my $passes = sub {
        my %seen;
        $tag->clear;
        hit($t, 'some', cid => "77.$_") for 1 .. 150;
        wait_for { 0 } 0.2;
        $seen{ $_->{uri} =~ /cid=([\d.]+)/ ? $1 : '' }++ for $tag->requests;
        return join ' ', sort keys %seen;
    };

    my $once = $passes->();
    my $part = () = $once =~ /\d+\.\d+/g;

    cmp_ok abs($part - 45), '<', 22, "a part of the clients ($part of 150)";
    is $passes->(), $once, 'the same ones, with all they do';

    my ($shown_some) = $t->status('/status')->{tenants}{some};
    is $shown_some->{hits}{limited}, 300 - 2 * $part, 'the others are counted';

    # after a restart: what was used is known, the log says it no more

    $t->restart;
    hit($t, 'stop', cid => '1.1');
    wait_for { month($t, 'stop')->{quota_state} eq 'over' } 4;
    $tag->clear;
    is hit($t, 'stop')->{status}, 204, 'answered';
    is $tag->count, 0, 'but stopped, still';
    hit($t, 'more');
    month_is $t, 'more', 'used', 16, 'who goes on is known, too';
    hit($t, 'more') for 1 .. 3;
    is $said->('stop', 'used') + $said->('more', 'used'), 4,
       'without another line';

    # a record that is raised is obeyed at once

    $_->{id} eq 'stop' and $_->{quota} = 1000 for @shops;
    records($dir);

    wait_for { $tag->clear; hit($t, 'stop'); $tag->count } 5;
    ok $tag->count, 'more is more';
    month_is $t, 'stop', 'quota_state', 'ok', 'all is well again';

    $t->stop;
};


subtest 'without a meter, and without a file' => sub {
    my $path = "$dir/away";
    my $conf = conf($path);

    $_->{id} eq 'stop' and $_->{quota} = 1 for @shops;
    records($dir);

    $conf =~ s/sgtm_meter [^;]*;//;

    my $t = SGTM::Test->start($conf);

    $tag->clear;
    hit($t, 'stop') for 1 .. 3;
    is scalar(my @all = $tag->wait_requests(3)), 3, 'no meter: nothing is stopped';
    ok $t->wait_log(qr/\[warn\].*quotas of records are not obeyed/),
       'but it is said';
    ok !$t->status('/status')->{tenants}{stop}{month}, 'nothing to see';
    $t->stop;

    # a file where the directory should be

    SGTM::Run::put($path, 'a file');
    $t = SGTM::Test->start(conf($path));

    is hit($t, 'plain')->{status}, 204, 'no directory: hits go on';
    ok $t->wait_log(qr/\[error\].*sgtm_meter: open\(\) "[^"]*meter\.db"/,
                    timeout => 5), 'it is said';
    wait_for { $t->status('/status')->{meter}{error} } 3;
    like $t->status('/status')->{meter}{error}{text}, qr/Not a directory/,
         'also in the status';
    month_is $t, 'plain', 'accepted', 1, 'which counts on';

    unlink $path or die "unlink: $!\n";
    mkdir $path or die "mkdir: $!\n";
    row_is $path, 'plain', { accepted => 1, forwarded => 1 },
           'and what waited is written once it can be';
    $t->stop;
};


done_testing;
