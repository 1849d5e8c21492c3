package Bench::Check;

# Whether each configuration does what it is measured for: a gateway that lets
# a cookie pass would be fast and wrong.

use strict;
use warnings;

use File::Basename qw(dirname);
use lib dirname(__FILE__) . "/..";

use Bench::Hits;
use Bench::Load;
use Bench::Nginx;

my $google = qr/(?:_ga|_ga_ABC1234567|_gcl_au|FPID|FPLC|FPAU)/;
my $shop = join '|', map { quotemeta } Bench::Hits::shop_cookies();
my $analytics = qr/(?:_ga|_ga_ABC1234567|FPID|FPLC)/;

# what every forwarded request must and must not match, by configuration and
# by the hits' consent; "answer" is what reaches the browser

my %rules = (
    'bare granted' => {
        must => [ qr/^Cookie: .*\b(?:$shop)=/m, qr/&ep\.internal_user=/ ],
        answer => [ qr/^Set-Cookie: FPID=/m ],
    },
    'gateway granted' => {
        must => [ qr/^Cookie: $google=/m, qr/^Host: sgtm\.example\.com\r/m,
                  qr/^X-Forwarded-For: 127\.0\.0\.1\r/m,
                  qr/^X-Forwarded-Host: shop\.example\r/m,
                  qr/&ep\.gateway=nginx&ep\.site=shop\.example&richsstsse /,
                  qr/&gcs=G111&.*&sct=\d/ ],
        never => [ qr/^Cookie: .*\b(?:$shop)=/m, qr/ep\.internal_user/,
                   qr/ep\.debug_/ ],
        answer => [ qr/^Set-Cookie: FPID=/m, qr/^Cache-Control: no-store\r/m ],
    },
    'gateway denied' => {
        must => [ qr/^X-Forwarded-For: 127\.0\.0\.0\r/m, qr/&gcs=G100&/,
                  qr/&ep\.gateway=nginx&ep\.site=shop\.example&richsstsse / ],
        never => [ qr/^Cookie:/m, qr/[?&](?:ecid|_fplc|sct|seg)=/, qr/gclid/,
                   qr/ep\.debug_/ ],
        no_answer => [ qr/^Set-Cookie:/m ],
    },
    'stock granted' => {
        must => [ qr/^Cookie: $google=/m, qr/^Host: sgtm\.example\.com\r/m,
                  qr/^X-Forwarded-For: 127\.0\.0\.1\r/m,
                  qr/&ep\.gateway=nginx&ep\.site=shop\.example /,
                  qr/&gcs=G111&.*&sct=\d/ ],
        never => [ qr/^Cookie: .*\b(?:$shop)=/m, qr/ep\.internal_user/ ],
        answer => [ qr/^Set-Cookie: FPID=/m, qr/^Cache-Control: no-store\r/m ],
    },
    'stock denied' => {
        must => [ qr/^X-Forwarded-For: 127\.0\.0\.0\r/m ],
        never => [ qr/^Cookie: .*\b(?:$shop|$analytics)=/m,
                   qr/[?&](?:ecid|_fplc|sct|seg)=/ ],
    },
    'floor granted' => { none => 1 },
);


# dies if one does not

sub all {
    my ($about) = @_;

    for my $name (sort keys %rules) {
        my ($conf, $consent) = split ' ', $name;

        for my $kind (qw(hit batch)) {
            _one($conf, $rules{$name}, $about->{"$kind-$consent"}{file},
                 "$conf, $kind-$consent");
        }
    }
}


# the same of a gateway with so many records: each hit has its own record's

sub tenants {
    my ($about, $file, $number) = @_;

    _one('gateway-tenants', {
        must => [ qr/&ep\.shop=(s\d{6})&richsstsse\ .*
                     ^X-Forwarded-Host:\ \1\.example\r/msx,
                  qr/^Host: sgtm\.example\.com\r/m ],
        never => [ qr/^Cookie: .*\b(?:$shop)=/m, qr/ep\.internal_user/ ],
        hosts => $number,
    }, $about->{'host-granted'}{file}, "$number tenants",
       tenants => $file);
}


# whether pages come with the line, once and where it belongs

sub page {
    my ($conf, $page, $requests) = @_;

    my ($port, $upstream) = Bench::Nginx::ports();
    my $answers = Bench::Nginx::dir() . '/answers';
    my $nginx = Bench::Nginx->start($conf);

    Bench::Load::run(p => $port, u => $upstream, f => $requests, n => 4,
                     B => $page, a => $answers);
    $nginx->stop;

    for my $text (Bench::Load::messages($answers)) {
        die "$conf: no line in the head:\n$text\n" if $text !~
            m{<head><script async src="/metrics/t\.js"></script>\n<meta };
        die "$conf: more than one line\n" if $text =~ /t\.js.*t\.js/s;
    }
}


sub _one {
    my ($conf, $rules, $file, $title, %opt) = @_;

    my ($port, $upstream) = Bench::Nginx::ports();
    my ($requests, $answers) = map { Bench::Nginx::dir() . "/$_" }
                                   qw(requests answers);
    my $n = Bench::Hits::number();

    my $nginx = Bench::Nginx->start($conf, %opt);

    Bench::Load::run(p => $port, u => $upstream, f => $file, n => $n,
                     o => $requests, a => $answers, H => $rules->{hosts});
    $nginx->stop;

    my @requests = Bench::Load::messages($requests);
    my @answers = Bench::Load::messages($answers);

    if (@answers != $n || @requests != ($rules->{none} ? 0 : $n)) {
        die "$title: ", scalar @requests, " of $n hits forwarded, ",
            scalar @answers, " answered\n";
    }

    _match("$title, forwarded", $rules->{must}, $rules->{never}, @requests);
    _match("$title, answer", $rules->{answer}, $rules->{no_answer}, @answers);
}


sub _match {
    my ($title, $must, $never, @texts) = @_;

    for my $text (@texts) {

        for my $re (@{ $must || [] }) {
            die "$title: does not match $re:\n$text\n" if $text !~ $re;
        }

        for my $re (@{ $never || [] }) {
            die "$title: matches $re:\n$text\n" if $text =~ $re;
        }
    }
}


1;
