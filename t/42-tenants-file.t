#!/usr/bin/perl

# Records of tenants from files: they are there with the first request, changes
# of a file or a directory are in force within a second without a reload, in all
# workers, and what is broken, cut off, missing or huge leaves the last good
# state and is said once.  A reload, another size of the zone and kill -9 of the
# worker that loads lose nothing.  It guards against a host that is nobody's for
# a moment while records change, half of a file that is taken for all of it, a
# worker that holds up requests while it loads, and a log full of one error.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->canonical->utf8;
my $dir = SGTM::Run::dir('tenants');
my $file = "$dir/tenants.json";


# the text of a file of tenants: each [id, version, hosts...]

sub tenants {
    return $json->encode({ tenants => [map { {
        id => $_->[0], version => $_->[1], hosts => [@$_[2 .. $#$_]],
    } } @_] });
}


# as a careful program does it, and as an editor may

sub replace {
    my ($name, $text) = @_;

    SGTM::Run::put("$name.new", $text);
    rename "$name.new", $name or die "$name: $!\n";
}


sub config {
    my ($http, $path) = @_;

    $path = $file if !defined $path;

    return <<"EOC";
    $http
    sgtm_tenants  file=$path;

    server {
        listen  127.0.0.1:%%PORT%%;

        location = /status { sgtm_status; }
        location /         { return 200 "\$sgtm_record \$sgtm_record_version "; }
        location /slow/    { add_header Record \$sgtm_record_version;
                             limit_rate 100; root %%DIR%%; }
    }
EOC
}


# "<id> <version>" of a host's record

sub who {
    my ($t, $host) = @_;

    my $body = $t->get('/', Host => $host)->{body};

    $body =~ s/ +\z//;

    return $body;
}


sub registry { return $_[0]->status('/status')->{registry} }


# in all workers: several connections meet each of them

sub becomes {
    my ($t, $host, $want, $name) = @_;

    my $start = time;

    wait_for { who($t, $host) eq $want } 10;

    my $took = time - $start;
    my @got = grep { $_ ne $want } map { who($t, $host) } 1 .. 10;

    is "@got", '', $name;

    return $took;
}


sub lines {
    my ($t, $re) = @_;

    return scalar grep { $_ =~ $re } split /\n/, $t->error_log;
}


# Asks for hosts all the time in a process of its own; the end returns how
# often, the longest answer in seconds and the answers that none of the regular
# expressions allows.

sub asks {
    my ($t, %hosts) = @_;

    pipe(my $in, my $out) or die "pipe: $!\n";
    defined(my $pid = fork) or die "fork: $!\n";

    if ($pid) {
        return sub {
            kill 'TERM', $pid;
            close $out;
            my ($n, $longest, @bad) = split /\n/, do { local $/; <$in> };
            waitpid $pid, 0;
            return ($n, $longest, @bad);
        };
    }

    my ($n, $longest, $end, $c, %bad) = (0, 0, 0);
    my @names = sort keys %hosts;

    local $SIG{TERM} = sub { $end = 1 };

    while (!$end) {
        my $host = $names[$n++ % @names];
        my $start = time;

        my $body = eval {
            $c ||= $t->http;
            $c->request('GET', '/', [Host => $host]);
            $c->response->{body};
        };

        if (!defined $body) {
            undef $c;
            next;
        }

        undef $c if $n % 50 == 0;

        my $took = time - $start;
        $longest = $took if $took > $longest;
        $bad{"$host: $body"}++ if $body !~ $hosts{$host};
    }

    print $out join "\n", $n, $longest, sort keys %bad;
    close $out;
    POSIX::_exit(0);
}


subtest 'nginx -t' => sub {
    my $huge = "$dir/huge.json";
    my $record = '{"id":"a","hosts":["a.example"]}';

    mkdir "$dir/$_" for qw(none two);
    SGTM::Run::put("$dir/two/$_.json", $record) for qw(a b);
    open(my $fh, '>', $huge) or die "$huge: $!\n";
    truncate $fh, 1 << 30 or die "$huge: $!\n";
    close $fh;

    for (
        ['none', $file . 'x', qr/cannot be opened: No such file/],
        ['no JSON', '{"tenants":[{"id":"a"', qr/"\Q$file\E": not JSON in line 1/],
        ['empty', '', qr/not JSON in line 1: it ends too early/],
        ['a bad host', tenants(['a', 1, 'a.example'], ['b', 1, 'b.example', '-']),
         qr/"\Q$file\E", tenants\[1\]\.hosts\[1\]: not a host name/],
        ['two errors', '{"tenants":[{"id":"-"},{"id":"a","tier":"gold"}]}',
         qr/tenants\[0\]\.id: .*tenants\[1\]\.tier: /s],
        ['an id twice', tenants(['a', 1], ['a', 2]),
         qr/tenants\[1\]\.id: is there twice, first tenants\[0\]\.id/],
        ['a host twice', tenants(['a', 1, 'x.example'], ['b', 2, 'X.example']),
         qr/tenants\[1\]\.hosts\[0\]: is there twice, first tenants\[0\]/],
        ['too large', '{"id":"a","agency":"' . 'a' x 70_000 . '"}',
         qr/over 65536 bytes/],
        ['an endpoint', '{"tenants":[{"id":"a","endpoint":"evil.example"}]}',
         qr/tenants\[0\]\.endpoint: not among "sgtm_endpoints"/],
        ['a directory without files', "$dir/none", qr/a directory without "\*\.json"/],
        ['a host in two files', "$dir/two",
         qr{two/b\.json", id: is there twice, first in .*two/a\.json}],
        ['huge', $huge, qr/huge\.json": 1073741824 bytes, over \d+/],
        ['more than there is room for',
         tenants(map { ["t$_", 1, "t$_.example"] } 1 .. 2000),
         qr/take more than the \d+ kB|too small for "sgtm_tenants": 2000 records/,
         'sgtm_zone sgtm 1m;'],
        ['no file', undef, qr/invalid value "redis", it must be "file=" and/,
         '', 'redis'],
    ) {
        my ($name, $text, $error, $http, $args) = @$_;
        my $path = defined $text && $text =~ m{^/} ? $text : $file;

        SGTM::Run::put($file, $text) if defined $text && $path eq $file;

        my $conf = config($http || '', $path);
        $conf =~ s/file=\S+(?=;)/$args/ if $args;

        my ($status, $out) = nginx_t($conf);

        $error = qr/invalid value "redis" in "sgtm_tenants", it must be "file="/
            if $args;

        is $status, 1, "$name: an error" or diag $out;
        like $out, $error, "$name: which says so";
    }

    unlink $huge;

    my ($status, $out) = nginx_t('sgtm_tenants file=x.json;');
    like $out, qr{"/\S+/x\.json": cannot be opened}, 'a path below the configuration';

    ($status, $out) = nginx_t("sgtm_tenants file=$file; sgtm_tenants file=$file;");
    like $out, qr/"sgtm_tenants" directive is duplicate/, 'one source';

    SGTM::Run::put($file, '{"tenants":[{"id":"a","odd":1,"endpoint":"Tag.example:443"}]}');
    ($status, $out) = nginx_t(config('sgtm_endpoints b.example TAG.example:443;'));
    is $status, 0, 'an endpoint that is allowed' or diag $out;
    like $out, qr/\[warn\].*tenants\[0\]\.odd: is not known/, 'an unknown field is warned of';

    ($status, $out) = nginx_t("sgtm_endpoints https://b.example;");
    like $out, qr/invalid value "https:.*" in "sgtm_endpoints", it must be a host/,
         'a bad endpoint';

    SGTM::Run::put("$dir/keys", "k1 " . '00' x 31 . "\n");
    ($status, $out) = nginx_t("sgtm_key_file $dir/keys;");
    is $status, 1, 'a bad key';
    like $out, qr/sgtm_key_file: .*line 1/, 'is told by its line';
    unlike $out, qr/0{20}/, 'and not shown';

    SGTM::Run::put("$dir/keys", "k1 " . '01' x 32 . "\n");
    chmod 0644, "$dir/keys";
    ($status, $out) = nginx_t("sgtm_key_file $dir/keys;");
    is $status, 0, 'a key';
    like $out, qr/\[warn\].*keys" can be read or changed by others/, 'that others can read';
    chmod 0600, "$dir/keys";
    ($status, $out) = nginx_t("sgtm_key_file $dir/keys;");
    unlike $out, qr/warn/, 'that they can not';
};


my @first = (['a', 1, 'a.example', '*.shop.example'], ['b', 1, 'b.example'],
             ['c', 1, 'c.example', 'x.shop.example', '*.y.shop.example']);

replace($file, tenants(@first));

my $t = SGTM::Test->start(config(''), workers => 2);


subtest 'lookup' => sub {
    is who($t, 'a.example'), 'a 1', 'with the first request';
    is who($t, 'A.Example:8080'), 'a 1', 'without port, in small letters';
    is who($t, 'z.shop.example'), 'a 1', 'a wildcard';
    is who($t, 'x.shop.example'), 'c 1', 'a name before it';
    is who($t, 'q.y.shop.example'), 'c 1', 'the longest one';
    is who($t, $_), '', "$_ is nobody's" for qw(shop.example example z.example);

    my $r = registry($t);

    is $r->{records}, 3, 'records';
    is $r->{hosts}, 6, 'hosts';
    is $r->{source}, "file=$file", 'source';
    is $r->{error}, undef, 'no error';
    is $r->{loaded}{changed}, 3, 'as they were loaded';
    cmp_ok abs($r->{loaded}{time} - time), '<', 30, 'just now';
    ok $r->{size} > $r->{used} && $r->{used} > 0 && $r->{waiting} == 0,
       'memory';
    is $r->{readers}, 2, 'two workers read';
    like $t->get('/status?format=prometheus')->{body},
         qr/^# TYPE sgtm_record_bytes gauge\nsgtm_record_bytes\{state="size"\} \d+$/m,
         'for Prometheus';
};


subtest 'changes' => sub {
    my $generation = registry($t)->{generation};

    # hosts change owners, too, and are never nobody's

    my $end = asks($t, 'a.example' => qr/^a \d /, 'b.example' => qr/^[bd] \d /,
                   'x.shop.example' => qr/^[ace] \d /, 'z.shop.example' => qr/^[ae] \d /);

    my $took = 0;
    my $longest = sub { $took = $_[0] if $_[0] > $took };

    replace($file, tenants(['a', 2, 'a.example', '*.shop.example'], @first[1, 2]));
    $longest->(becomes($t, 'z.shop.example', 'a 2', 'a record is replaced'));
    is who($t, 'b.example'), 'b 1', 'another stays';
    is registry($t)->{loaded}{changed}, 1, 'one has changed';
    is registry($t)->{generation}, $generation + 1, 'and nothing else was touched';

    replace($file, tenants(['e', 1, '*.shop.example', 'x.shop.example'],
                           ['a', 3, 'a.example'], ['d', 1, 'b.example', 'n.example']));
    $longest->(becomes($t, 'n.example', 'd 1', 'a new one'));
    is who($t, 'x.shop.example'), 'e 1', 'has what was another one\'s';
    is who($t, 'b.example'), 'd 1', 'and so here';
    is who($t, 'c.example'), '', 'one that is gone';
    is who($t, 'q.y.shop.example'), 'e 1', 'leaves its wildcard to a shorter one';
    is registry($t)->{loaded}{removed}, 2, 'two are removed';

    # names that two exchange

    replace($file, tenants(['a', 4, 'b.example'], ['d', 2, 'a.example'],
                           ['e', 1, '*.shop.example', 'x.shop.example']));
    $longest->(becomes($t, 'a.example', 'd 2', 'exchanged'));
    is who($t, 'b.example'), 'a 4', 'both';

    # written in place

    SGTM::Run::put($file, tenants(@first));
    $longest->(becomes($t, 'q.y.shop.example', 'c 1', 'a file written in place'));

    my ($n, $slowest, @bad) = $end->();

    is "@{[ grep { !/a\.example: d|b\.example: a/ } @bad ]}", '',
       'no host was nobody\'s at any moment';
    cmp_ok $took, '<', 1, sprintf 'all within a second, the slowest %.2f s', $took;
    note sprintf '%d requests meanwhile, the slowest %.1f ms', $n, $slowest * 1000;
    ok wait_for { registry($t)->{waiting} == 0 }, 'nothing waits for readers';
};


subtest 'broken' => sub {
    my $n = lines($t, qr/the last good state stays/);

    for (['broken', '{"tenants":[{"id":"a","hosts":["a.example",', qr/not JSON in line 1/],
         ['a bad value', tenants(['b', 9, 'b.example', 'b..example']),
          qr/tenants\[0\]\.hosts\[1\]: not a host name/],
         ['two', tenants(['a', 9, 'x.example'], ['b', 9, 'x.example']),
          qr/tenants\[1\]\.hosts\[0\]: is there twice/])
    {
        my ($name, $text, $error) = @$_;

        replace($file, $text);
        ok wait_for { registry($t)->{error} && registry($t)->{error}{text} =~ $error },
           "$name: the status tells why";
        is who($t, 'a.example'), 'a 1', 'the last good state stays';
        is lines($t, qr/the last good state stays/), ++$n, 'the log tells it';
    }

    sleep 1;
    is lines($t, qr/the last good state stays/), $n, 'once';

    # the worker that found it is not the only one that knows

    $t->kill_worker(($t->workers)[0]);
    ok wait_for(sub { $t->workers }, 10), 'a worker is replaced';
    sleep 1;
    is lines($t, qr/the last good state stays/), $n, 'also by another worker';
    is who($t, 'a.example'), 'a 1', 'which serves what there was';

    unlink $file;
    ok wait_for { registry($t)->{error}{text} =~ /No such file/ }, 'the file is gone';
    is who($t, 'a.example'), 'a 1', 'the last good state stays';

    open(my $fh, '>', "$file.new") or die;
    truncate $fh, 1 << 30;
    close $fh;
    rename "$file.new", $file;
    ok wait_for { registry($t)->{error}{text} =~ /1073741824 bytes, over/ }, 'a huge one';
    is who($t, 'a.example'), 'a 1', 'the last good state stays';

    replace($file, tenants(@first, ['f', 1, 'f.example']));
    becomes($t, 'f.example', 'f 1', 'a good one again');
    is registry($t)->{error}, undef, 'no error any more';

    replace($file, '{"tenants":[{"id":"a","hosts":["a.example"],"version":7,"odd":1}]}');
    becomes($t, 'a.example', 'a 7', 'a field that nobody knows');
    is lines($t, qr/\[warn\].*tenants\[0\]\.odd: is not known/), 1, 'is warned of';
};


subtest 'half-written' => sub {
    my $text = tenants(map { [$_->[0], 5, @$_[2 .. $#$_]] } @first);
    my $n = lines($t, qr/the last good state stays/);

    open(my $fh, '>', $file) or die "$file: $!\n";
    $fh->autoflush(1);

    # changing all the time, it is not looked at as yet

    for (1 .. 12) {
        print $fh substr $text, 0, 5, '';
        sleep 0.1;
    }

    is who($t, 'a.example'), 'a 7', 'the last good state while it is written';
    is lines($t, qr/the last good state stays/), $n, 'without a word';

    print $fh $text;
    close $fh;

    becomes($t, 'a.example', 'a 5', 'until it is complete');
    is who($t, 'q.y.shop.example'), 'c 5', 'to its end';
};


subtest 'a reload' => sub {
    my $generation = registry($t)->{generation};

    $t->reload(undef, wait_old => 1);
    is registry($t)->{generation}, $generation, 'changes nothing';
    is registry($t)->{readers}, 2, 'old workers have given their slots back';

    replace($file, tenants(['a', 6, 'a.example'], ['g', 1, 'g.example']));
    $t->reload;
    is who($t, 'a.example'), 'a 6', 'what the file says is in force after it';
    is who($t, 'c.example'), '', 'all of it';

    replace($file, tenants(['a', 7, '-']));
    $t->expect_log(qr/\[emerg\].*sgtm_tenants: .*not a host name/);
    kill 'HUP', $t->pid;
    ok $t->wait_log(qr/\[emerg\].*tenants\[0\]\.hosts\[0\]: not a host name/),
       'a broken file ends it';
    is who($t, 'a.example'), 'a 6', 'the last good state stays';

    replace($file, tenants(['a', 8, 'a.example']));
    becomes($t, 'a.example', 'a 8', 'the old workers look after the file still');

    my $other = "$dir/other.json";
    replace($other, tenants(['o', 1, 'a.example']));
    $t->reload(config('', $other), wait_old => 1);
    is who($t, 'a.example'), 'o 1', 'another file';
    replace($file, tenants(['a', 9, 'a.example']));
    replace($other, tenants(['o', 2, 'a.example', 'o.example']));
    becomes($t, 'o.example', 'o 2', 'whose changes are seen');
    sleep 0.6;
    is who($t, 'a.example'), 'o 2', 'and no others\'';

    $t->reload('server { listen 127.0.0.1:%%PORT%%; return 200 "$sgtm_record "; }',
               wait_old => 1);
    is who($t, 'a.example'), '', 'no records without the directive';

    $t->reload(config(''), wait_old => 1);
    is who($t, 'a.example'), 'a 9', 'and back';
    is who($t, 'o.example'), '', 'with nothing of what was there once';
};


subtest 'a zone of another size' => sub {
    my $end = asks($t, 'a.example' => qr/^a /);

    for my $size (qw(8m 2m)) {
        replace($file, tenants(map { ["t$_", 1, "t$_.example"] } 1 .. 500));
        SGTM::Run::put($file, tenants(['a', 9, 'a.example'],
                                      map { ["t$_", 1, "t$_.example"] } 1 .. 500));
        becomes($t, 't500.example', 't500 1', '501 records');

        my $lines = lines($t, qr/501 records of tenants were moved/);

        $t->reload(config("sgtm_zone sgtm $size;"), wait_old => 1);

        is lines($t, qr/501 records of tenants were moved to sgtm_zone "sgtm"/), $lines + 1,
           "$size: all were moved";
        is registry($t)->{loaded}{changed}, 0, 'and are what the file says';
        is who($t, 't499.example'), 't499 1', 'they are found';
        is registry($t)->{readers}, 2, 'by two workers';
    }

    my ($n, undef, @bad) = $end->();
    is "@bad", '', "all the time, by $n requests";

    $t->expect_log(qr/\[emerg\].*its records take more than the 64 kB/);
    $t->write_file('nginx.conf', $t->file('nginx.conf') =~ s/sgtm_zone sgtm \w+/sgtm_zone sgtm 64k/r);
    kill 'HUP', $t->pid;
    ok $t->wait_log(qr/its records take more than the 64 kB/), 'one that is too small';
    is who($t, 'a.example'), 'a 9', 'the old one stays';
    replace($file, tenants(['a', 10, 'a.example']));
    becomes($t, 'a.example', 'a 10', 'and is looked after');
};


subtest 'a directory' => sub {
    my $d = "$dir/d";

    mkdir $d;
    replace("$d/a.json", tenants(['a', 1, 'a.example']));
    replace("$d/b.json", $json->encode({ id => 'b', version => 1, hosts => ['b.example'] }));

    $t->reload(config('', $d), wait_old => 1);
    is who($t, 'a.example') . ', ' . who($t, 'b.example'), 'a 1, b 1', 'two files';

    replace("$d/b.json", $json->encode({ id => 'b', version => 2, hosts => ['b.example'] }));
    becomes($t, 'b.example', 'b 2', 'one changes');
    replace("$d/c.json", tenants(['c', 1, 'c.example']));
    becomes($t, 'c.example', 'c 1', 'one more');
    unlink "$d/a.json";
    becomes($t, 'a.example', '', 'one less');

    my $generation = registry($t)->{generation};
    rename $d, "$d.away";
    ok wait_for { registry($t)->{error} && registry($t)->{error}{text} =~ /No such file/ },
       'the directory is away';
    rename "$d.away", $d;
    ok wait_for { !registry($t)->{error} }, 'and back';
    is registry($t)->{generation}, $generation, 'as it was';

    replace("$d/a.json", tenants(['a', 2, 'b.example']));
    ok wait_for { registry($t)->{error} && registry($t)->{error}{text}
                  =~ m{b\.json", hosts\[0\]: is there twice, first in .*/a\.json} },
       'a host in two of them is an error';
    is who($t, 'b.example') . who($t, 'a.example'), 'b 2',
       'the last good state stays';

    unlink glob "$d/*.json";
    ok wait_for { registry($t)->{error}{text} =~ /without "\*\.json"/ }, 'none is left';
    is who($t, 'c.example'), 'c 1', 'the last good state stays';

    replace("$d/c.json", tenants(['c', 2, 'c.example']));
    becomes($t, 'c.example', 'c 2', 'one is there again');
    is registry($t)->{error}, undef, 'no error any more';
    is registry($t)->{records}, 1, 'and nothing else';
};


# A reader that does not end keeps the memory of what it holds, not the others.

subtest 'slow requests' => sub {
    mkdir $t->dir . '/slow';
    $t->write_file('slow/file', 'x' x 2000);
    $t->reload(config('sgtm_zone sgtm 2m;'), wait_old => 1);
    replace($file, tenants(['a', 100, 'a.example', 'b.example']));
    becomes($t, 'a.example', 'a 100', 'before');

    my $slow = $t->http;
    $slow->request('GET', '/slow/file', [Host => 'a.example']);
    my $head = $slow->head;
    is header($head, 'Record'), 100, 'a request that holds a record';

    for my $version (101 .. 103) {
        replace($file, tenants(['a', $version, 'a.example']));
        becomes($t, 'a.example', "a $version", "version $version meanwhile");
    }

    sleep 0.5;
    my $waiting = registry($t)->{waiting};
    cmp_ok $waiting, '>', 0, "$waiting bytes wait for it";
    $slow->close;
    ok wait_for { registry($t)->{waiting} == 0 }, 'nothing does when it has ended';

    replace($file, tenants(map { ["t$_", 1, "t$_.example"] } 1 .. 4000));
    ok wait_for { registry($t)->{error}
                  && registry($t)->{error}{text} =~ /its records take more than the \d+ kB/ },
       'more than there is room for';
    is who($t, 'a.example'), 'a 103', 'the last good state stays';
    is registry($t)->{records}, 1, 'whole';
};


# sgtm_dedup has its part of the zone, whoever comes first

subtest 'the zone is divided' => sub {
    my $gateway = sub {
        my ($dedup, $tenants) = @_;

        return <<"EOC";
        sgtm_zone  sgtm 4m;
        @{[ $tenants ? "sgtm_tenants file=$file;" : '' ]}

        server {
            listen       127.0.0.1:%%PORT%%;
            server_name  shop.example;
            sgtm_tag_id  G-ABC1234567;

            location = /status  { sgtm_status; }
            location /metrics/  { sgtm on; proxy_pass http://127.0.0.1:1/; $dedup }
            location /          { return 200 "\$sgtm_record \$sgtm_record_version "; }
        }
EOC
    };

    replace($file, tenants(@first));

    for (['both at once', ['sgtm_dedup 1h;', 1]],
         ['records first', ['', 1], ['sgtm_dedup 1h;', 1]],
         ['ids first', ['sgtm_dedup 1h;', 0], ['sgtm_dedup 1h;', 1]])
    {
        my ($name, @steps) = @$_;

        $t->stop;
        $t->restart($gateway->(@{ shift @steps }));
        $t->reload($gateway->(@$_), wait_old => 1) for @steps;

        my $status = $t->status('/status');
        my $size = $status->{registry}{size} / 1024;
        my $ids = $status->{dedup_capacity};

        cmp_ok $size, '>', $name eq 'ids first' ? 600 : 1900, "$name: $size kB for records";
        cmp_ok $ids, '>', $name eq 'records first' ? 18_000 : 36_000, "and $ids ids";
        is who($t, 'q.y.shop.example'), 'c 1', 'records are found';
    }
};


subtest 'the worker that loads is killed' => sub {
    my $size = 8000;
    my @hosts = map { int $size * $_ / 5 } 1 .. 5;

    $t->reload(config('sgtm_zone sgtm 32m;'), wait_old => 1);

    my $write = sub {
        my ($version) = @_;

        replace($file, tenants(map { ["t$_", $version, "t$_.example", "*.t$_.example",
                                      "v$version.t$_.example"] } 1 .. $size));
    };

    $write->(1);
    becomes($t, "t$size.example", "t$size 1", "$size records");

    my $end = asks($t, map { ("t$_.example" => qr/^t$_ \d+ /, "x.t$_.example" => qr/^t$_ \d+ /) }
                       @hosts);

    # looks are four a second, and two of them have to be the same

    for my $version (2 .. 11) {
        $write->($version);
        my $since = registry($t)->{loaded}{time};
        sleep 0.4 + rand 0.35;
        $t->kill_worker(($t->workers)[0]);
        ok wait_for(sub { $t->workers }, 10), 'it is replaced' if $version == 2;
        wait_for { $t->workers } 10;
    }

    becomes($t, "t$_.example", "t$_ 11", "t$_: all of the last file") for @hosts;
    is who($t, "v10.t1.example"), 't1 11', 'by the wildcard';
    is registry($t)->{records}, $size, 'all records';
    is registry($t)->{hosts}, 3 * $size, 'all hosts';

    my ($n, $slowest, @bad) = $end->();
    is "@bad", '', "none was missing in $n requests";
    ok wait_for { registry($t)->{waiting} == 0 }, 'the dead hold nothing';
    is registry($t)->{readers}, 2, 'and no slots';

    my $used = registry($t)->{used};
    replace($file, tenants(['a', 1, 'a.example']));
    becomes($t, 'a.example', 'a 1', 'one in place of all');
    ok wait_for { registry($t)->{used} < 2000 },
       "all memory comes back, of $used bytes but " . registry($t)->{used};
};


# the figures of 100,000 tenants; what they are is for the eye

subtest '100,000 tenants' => sub {
    my $n = 100_000;

    my $write = sub {
        my ($version, $changed) = @_;

        open(my $fh, '>', "$file.new") or die "$file: $!\n";
        print $fh '{"tenants":[';

        for (1 .. $n) {
            my $v = $_ > $n - $changed ? $version : 1;

            print $fh $_ > 1 ? ",\n" : '', qq({"id":"shop-$_","hosts":["shop$_.example",)
                . qq("www.shop$_.example","*.m.shop$_.example"],"agency":"agency-@{[$_ % 50]}",)
                . qq("containers":["GTM-A@{[$_ + 1e6]}"],"tag_ids":["G-ABC@{[$_ + 1e6]}","AW-@{[$_ + 1e8]}"],"tier":"professional",)
                . qq("consent_mode":"advanced","fallback":"client","rate":"1000r/m","burst":200,)
                . qq("quota":1000000,"residency":"eu","origins":["https://shop$_.example",)
                . qq("https://www.shop$_.example"],"cookies":["_shop*"],"script":"s.js",)
                . qq("set_params":{"ep.shop":"shop-$_"},"events":{"purchase":"server",)
                . qq("scroll":"off"},"features":{"dedup":true},"version":$v});
        }

        print $fh ']}';
        close $fh;
        rename "$file.new", $file;
    };

    $write->(1, 0);
    my $bytes = (-s $file) / $n;
    my $start = time;

    $t->restart(config('sgtm_zone sgtm 512m;'));

    my $r = registry($t);
    is $r->{records}, $n, sprintf 'loaded at the start in %.1f s, %d bytes of JSON each',
        time - $start, $bytes;
    is who($t, 'x.m.shop77777.example'), 'shop-77777 1', 'found';

    # a host's string is there twice, of others an encoded form may be as well

    my $each = $r->{used} / $n;
    cmp_ok $each, '<', 2048 + $bytes, sprintf '%d bytes of memory each', $each;

    my $end = asks($t, 'shop1.example' => qr/^shop-1 \d /,
                   'www.shop50000.example' => qr/^shop-50000 \d /);
    sleep 1;
    my ($asked, $slowest, @bad) = $end->();
    note sprintf 'requests without a load: the slowest of %d %.1f ms', $asked, $slowest * 1000;

    for (['one', 2, 1], ['all', 3, $n]) {
        my ($what, $version, $changed) = @$_;

        $write->($version, $changed);
        $end = asks($t, 'shop1.example' => qr/^shop-1 \d /,
                    'www.shop50000.example' => qr/^shop-50000 \d /);
        my $took = becomes($t, "shop$n.example", "shop-$n $version", "$what changed");
        wait_for { registry($t)->{loaded}{changed} == $changed } 20;
        ($asked, $slowest, @bad) = $end->();

        my ($rss) = SGTM::Run::get('/proc/' . ($t->workers)[0] . '/status') =~ /^RssAnon:\s+(\d+)/m;
        is "@bad", '', sprintf '%s: in force after %.2f s, put in %d ms', $what, $took,
            registry($t)->{loaded}{ms};
        note sprintf 'requests meanwhile: the slowest of %d %.1f ms; the worker has %d MB of its own',
            $asked, $slowest * 1000, $rss / 1024;
    }

    $t->stop;
};


done_testing;
