package Bench::Hits;

# Hits as browsers send them, the same ones in every run: queries of about 1 kB
# and 45 arguments, 15 or 16 headers, and 3 kB of cookies of which up to six are
# Google's, at any place among those of the shop.  No two are alike, so that no
# branch of what reads them is learned by heart.

use strict;
use warnings;

my $NUMBER = 64;

my $AGENT = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36'
            . ' (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36';
my $BRANDS =
    '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"';
my $UAFVL = 'Chromium%3B142.0.7444.176%7CGoogle%2520Chrome%3B142.0.7444.176'
            . '%7CNot_A%2520Brand%3B99.0.0.0';

# what a page calls itself; the last carry a click, as one in eight does

my @pages = (
    [ '/', 'Shop%20Example' ],
    [ '/c/sports-and-outdoor/shoes/trail-running',
      'Shoes%20-%20Shop%20Example' ],
    [ '/c/sports-and-outdoor/shoes?color=red&size=42&sort=price',
      'Red%20shoes%20-%20Shop%20Example' ],
    [ '/p/4711-example-trail-runner-gtx-men-waterproof',
      'Trail%20Runner%20%E2%80%93%20Shop%20Example' ],
    [ '/cart', 'Your%20cart' ],
    [ '/search?q=gr%C3%BCne+jacke&page=2&in=outdoor',
      'Suche%20nach%20gr%C3%BCne%20jacke' ],
    [ '/checkout/shipping?step=2&express=0',
      'Shipping%20%7C%20Checkout%20-%20Shop%20Example' ],
    [ '/c/sale?utm_source=google&utm_medium=cpc&gclid='
      . 'EAIaIQobChMI0exampleexampleexampleEAAYASAAEgK0', 'Sale' ],
);

# the events of a batch

my @events = (
    'en=scroll&epn.percent_scrolled=90&_et=%d',
    'en=view_item_list&cu=EUR&pr1=id4711~nmTrail%%20Runner~pr89.90~qt1'
        . '~lp1&pr2=id4712~nmRoad%%20Runner~pr99.00~qt1~lp2&_et=%d',
    'en=select_content&ep.content_type=image&ep.content_id=img_7'
        . '&epn.index=7&_et=%d',
    'en=user_engagement&_et=%d',
    'en=add_to_cart&_c=1&cu=EUR&epn.value=89.9&pr1=id4711~nmTrail%%20Runner'
        . '~brExample~caShoes~va42~pr89.90~qt1&_et=%d',
    'en=click&ep.link_url=https%%3A%%2F%%2Fpartner.example%%2Fa%%3Fref%%3D7'
        . '&ep.link_domain=partner.example&ep.outbound=true&_et=%d',
    'en=view_item&cu=EUR&epn.value=89.9&pr1=id4711~nmTrail%%20Runner~pr89.90'
        . '&ep.debug_note=list&_et=%d',
);

# cookies of the shop: name and size of the value

my @shop = (
    [ 'PHPSESSID', 26 ], [ 'cart_token', 64 ], [ 'cart_ts', 13 ],
    [ 'remember_web', 180 ], [ 'XSRF-TOKEN', 220 ], [ 'shop_session', 240 ],
    [ 'OptanonConsent', 500 ], [ 'OptanonAlertBoxClosed', 24 ],
    [ 'eupubconsent-v2', 500 ], [ '__cf_bm', 140 ], [ 'cf_clearance', 120 ],
    [ '_hjSessionUser_1234567', 96 ], [ '_hjSession_1234567', 110 ],
    [ '_clck', 28 ], [ '_clsk', 44 ], [ 'intercom-id-abcdefgh', 36 ],
    [ 'intercom-session-abcdefgh', 90 ], [ '_pin_unauth', 60 ],
    [ '_uetsid', 32 ], [ '_uetvid', 32 ], [ 'lang', 2 ], [ 'currency', 3 ],
);

my @letters = ('a' .. 'z', 'A' .. 'Z', 0 .. 9, '-', '_', '.');


# the shop's own cookies, which no gate may let pass

sub shop_cookies { return map { $_->[0] } @shop }


# Writes the files of hits below a directory:
#
#     hit-granted, hit-denied      half GET, half POST without a body
#     batch-granted, batch-denied  POST with five to ten lines
#     lean-granted, lean-denied    as "hit", with Google's cookies alone
#     id-granted, id-denied        as "hit", with an id of the event
#     host-granted, host-denied    as "hit", for the host s000000.example
#
# Returns what they are like: { file => ..., bytes => ..., query => ...,
# cookies => ..., body => ... }, averages, by name.

sub write {
    my ($dir) = @_;

    my %about;

    for my $kind (qw(hit batch lean id host)) {
        for my $consent (qw(granted denied)) {

            # alike in all but what consent says
            srand 20261120;

            my $name = "$kind-$consent";
            my %sum = map { $_ => 0 } qw(bytes query arguments cookies body);

            open my $fh, '>', "$dir/$name" or die "$dir/$name: $!\n";

            for my $n (1 .. $NUMBER) {
                my $hit = _hit($n, $kind, $consent);
                print {$fh} length($hit->{bytes}), "\n", $hit->{bytes};

                $sum{$_} += length $hit->{$_} for qw(bytes query cookies body);
                $sum{arguments} += 1 + ($hit->{query} =~ tr/&//);
            }

            close $fh or die "$dir/$name: $!\n";

            $about{$name} = {
                file => "$dir/$name",
                map { $_ => int($sum{$_} / $NUMBER + 0.5) } keys %sum
            };
        }
    }

    return \%about;
}


sub number { return $NUMBER }


# A page and requests for it, in the form of hits: what the site's own server
# answers, 16 kB with a head like most, and browsers ask for.  (page, requests)

sub page {
    my ($dir) = @_;

    my ($page, $requests) = ("$dir/page.html", "$dir/page");
    my $text = "<!DOCTYPE html>\n<html lang=\"en\" class=\"no-js\">\n<head>\n"
               . "<meta charset=\"utf-8\">\n<title>Trail Runner</title>\n";

    for my $n (1 .. 24) {
        $text .= "<link rel=\"stylesheet\" href=\"/assets/part-$n.css\">\n"
                 . "<script defer src=\"/assets/part-$n.js\"></script>\n";
    }

    $text .= "</head>\n<body>\n";
    $text .= "<div class=\"item\"><a href=\"/p/" . _number(4) . '">'
             . _text(40) . "</a><span>" . _number(2) . ".90</span></div>\n"
        while length $text < 16 * 1024;

    _put($page, "$text</body>\n</html>\n");

    _put($requests, join '', map {
        my $get = join "\r\n", "GET /p/" . _number(4) . " HTTP/1.1",
            'Host: shop.example', "User-Agent: $AGENT",
            'Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8',
            'Accept-Language: en-US,en;q=0.9', 'Sec-Fetch-Dest: document',
            'Cookie: PHPSESSID=' . _text(26), '', '';

        length($get) . "\n$get";
    } 1 .. $NUMBER);

    return ($page, $requests);
}


sub _put {
    my ($name, $text) = @_;

    open my $fh, '>', $name or die "$name: $!\n";
    print {$fh} $text;
    close $fh or die "$name: $!\n";
}


# A file of so many records, of the hosts s000000.example and on; and directives
# that say of one customer what the first of them does.

sub tenants {
    my ($dir, $number) = @_;

    my $name = "$dir/tenants-$number.json";

    open my $fh, '>', $name or die "$name: $!\n";

    print {$fh} '{"tenants": [';

    for my $n (0 .. $number - 1) {
        my $id = sprintf 's%06d', $n;

        print {$fh} $n ? ",\n" : "\n", qq({"id": "$id", "agency": "north", )
            . qq("hosts": ["$id.example", "www.$id.example"], )
            . qq("containers": ["GTM-ABC1234"], )
            . qq("tag_ids": ["G-ABC1234567", "AW-123456789"], )
            . qq("consent_mode": "advanced", )
            . qq("consent_default": {"analytics_storage": "granted"}, )
            . qq("rate": "1000000r/s", "burst": 100000, )
            . qq("set_params": {"ep.shop": "$id"}, )
            . qq("features": {"passthrough": true}});
    }

    print {$fh} "\n]}\n";
    close $fh or die "$name: $!\n";

    return $name;
}


sub tenant {
    return 'sgtm_container GTM-ABC1234; sgtm_tag_id G-ABC1234567 AW-123456789;'
           . ' sgtm_consent_mode advanced;'
           . ' sgtm_consent_default analytics_storage=granted;'
           . ' sgtm_rate_limit 1000000r/s burst=100000;'
           . ' sgtm_set_param ep.shop s000000; sgtm_passthrough on;';
}


sub _hit {
    my ($n, $kind, $consent) = @_;

    my $post = $kind eq 'batch' || $n % 2;
    my $page = $pages[$n % @pages];
    my $query = _query($n, $page, $kind, $consent);
    my $cookies = _cookies($kind eq 'lean' ? () : @shop);
    my $body = $kind eq 'batch' ? _lines(5 + $n % 6) : '';

    my @head = (
        ($post ? 'POST' : 'GET') . " /metrics/g/collect?$query HTTP/1.1",
        'Host: ' . ($kind eq 'host' ? 's000000.example' : 'shop.example'),
        'Connection: keep-alive',
        ($post ? 'Content-Length: ' . length $body : ()),
        'sec-ch-ua-platform: "Windows"',
        "User-Agent: $AGENT",
        "sec-ch-ua: $BRANDS",
        ($body ne '' ? 'Content-Type: text/plain;charset=UTF-8' : ()),
        'sec-ch-ua-mobile: ?0',
        'Accept: */*',
        ($post ? 'Origin: https://shop.example' : ()),
        'Sec-Fetch-Site: same-origin',
        'Sec-Fetch-Mode: no-cors',
        'Sec-Fetch-Dest: empty',
        "Referer: https://shop.example$page->[0]",
        'Accept-Encoding: gzip, deflate, br, zstd',
        'Accept-Language: en-US,en;q=0.9',
        "Cookie: $cookies",
        'Priority: u=1, i',
    );

    return { query => $query, cookies => $cookies, body => $body,
             bytes => join("\r\n", @head, '', $body) };
}


sub _query {
    my ($n, $page, $kind, $consent) = @_;

    my $granted = $consent eq 'granted';
    my $time = 1795132800 + _number(5);
    my $url = 'https://shop.example' . $page->[0];

    $url =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/ge;

    my @args = (
        'v=2', 'tid=G-ABC1234567',
        'gtm=45je6b90v9100000001z8900000002za200zb900000002zd900000002',
        "_p=$time" . _number(3), $granted ? 'gcs=G111' : 'gcs=G100',
        $granted ? 'gcd=13t3t3t3t5l1' : 'gcd=13p3p3p3p5l1',
        $granted ? 'npa=0' : 'npa=1', 'dma=1', 'dma_cps=syphamo',
        'ecid=' . _number(9), '_eu=AAAAAGQ', '_fplc=0', 'are=1',
        'cid=' . _number(10) . '.' . (1795000000 + _number(6)), 'frm=0',
        $granted ? 'pscdl=noapi' : 'pscdl=denied', 'rcb=9', 'sr=1920x1080',
        'uaa=x86', 'uab=64', "uafvl=$UAFVL", 'uam=', 'uamb=0', 'uap=Windows',
        'uapv=19.0.0', 'uaw=0', 'ul=en-us', 'ur=BR-SP',
        'sst.rnd=' . _number(9) . ".$time", 'sst.etld=google.com.br',
        "sst.tft=$time" . _number(3), 'sst.lpc=' . _number(9), 'sst.navt=n',
        'sst.ude=0', 'sst.sw_exp=1', '_s=' . (1 + $n % 9),
        'tag_exp=101509157~103116026~103200004~104527906~104684208'
            . '~115583767~115938465~115938468~116024733',
        "sid=$time", 'sct=' . (1 + $n % 20), 'seg=1', "dl=$url",
        "dt=$page->[1]",
    );

    push @args, 'en=page_view', '_ee=1' if $kind ne 'batch';
    push @args, 'ep.content_group=outdoor-and-sports',
        'ep.internal_user=no', 'ep.debug_id=' . _text(8);
    push @args, 'ep.event_id=000000000000' if $kind eq 'id';
    push @args, 'richsstsse';

    return join '&', @args;
}


sub _lines {
    my ($n) = @_;

    return join "\r\n", map {
        sprintf $events[int rand @events], _number(4)
    } 1 .. $n;
}


sub _cookies {
    my (@others) = @_;

    my $time = 1795132800 + _number(5);

    my @cookies = (
        '_ga=GA1.1.' . _number(10) . '.' . (1795000000 + _number(6)),
        "_ga_ABC1234567=GS2.1.s$time\$o3\$g1\$t$time\$j52\$l0\$h0",
        '_gcl_au=1.1.' . _number(9) . ".$time",
        'FPID=FPID2.2.' . _text(44) . '%3D.' . (1795000000 + _number(6)),
        'FPLC=' . _text(48) . '%3D',
        'FPAU=1.1.' . _number(9) . ".$time",
        map { "$_->[0]=" . _text($_->[1]) } @others
    );

    for (my $i = $#cookies; $i > 0; $i--) {
        my $j = int rand $i + 1;
        @cookies[$i, $j] = @cookies[$j, $i];
    }

    # each visitor lacks one or two
    splice @cookies, int rand @cookies, 1 + int rand 2;

    return join '; ', @cookies;
}


sub _number {
    my ($digits) = @_;

    return join '', 1 + int rand 9, map { int rand 10 } 2 .. $digits;
}


sub _text {
    my ($n) = @_;

    return join '', map { $letters[rand @letters] } 1 .. $n;
}


1;
