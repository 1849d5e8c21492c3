#!/usr/bin/perl

# A real consent banner, vanilla-cookieconsent, on a page with the light
# tracker: a visitor who does not answer, rejects, accepts all or a part,
# and takes it back, in basic and advanced mode.  What leaves the browser, what
# it stores and what reaches the tagging server is held against the matrix of
# consent.  Then those who have no banner to say it: Global Privacy Control, the
# IAB's two interfaces, a default for a region.  It guards against a hit or a
# cookie before the answer, one that stays after it was taken back, and a signal
# that says something else than the visitor did.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use SGTM::Shop;

my $why = SGTM::Shop::missing('vanilla-cookieconsent');

plan skip_all => $why if $why;

my $library = SGTM::Run::root() . '/t/node_modules/vanilla-cookieconsent/dist';

# the tagging server would like to keep all of it

my @wants = ('FPID=id.1; Path=/; Max-Age=34128000; Secure; HttpOnly',
             'FPAU=ads.1; Path=/; Max-Age=7776000; Secure',
             '_gcl_au=1.1.1.1; Path=/; Max-Age=7776000; Secure');

my $shop = SGTM::Shop->start(
    answer => sub { [204, [map { ('Set-Cookie' => $_) } @wants]] },
    sites => {
        (map { ("$_.example" => "sgtm_tagging light; sgtm_consent_mode $_;") }
             qw(basic advanced)),
        'open.example' => <<'EOC',
            sgtm_tagging          light;
            sgtm_consent_mode     advanced;
            sgtm_consent_default  ad_storage=granted analytics_storage=granted
                                  ad_user_data=granted
                                  ad_personalization=granted;
EOC
    },
    policies => { map { ("$_.example" => "$SGTM::Shop::POLICY;"
                                         . " style-src 'self'") }
                      qw(basic advanced) },
    pages => {
        'index.html' => SGTM::Shop::page(
            '<p><button data-cc="show-preferencesModal">Cookies</button>',
            head => <<'EOF'),
<link rel="stylesheet" href="/cookieconsent.css">
<script src="/page.js"></script>
<script defer src="/cookieconsent.umd.js"></script>
<script defer src="/banner.js"></script>
EOF
        (map { $_ => SGTM::Run::get("$library/$_") }
             qw(cookieconsent.css cookieconsent.umd.js)),

        'page.js' => <<'EOJ',
window.dataLayer = window.dataLayer || [];
function gtag() { dataLayer.push(arguments); }
gtag('set', { user_id: 'u-1' });
gtag('set', 'user_data', { email: 'ada@visitor.example' });
EOJ
        # what consent platforms have, as their standards describe it

        (map { my ($name, $loader) = @$_;
               ("$name.html" => SGTM::Shop::page('<p>A page',
                    head => '<script src="/page.js"></script>'
                            . "<script src=\"/$name.js\"></script>",
                    $loader ? (loader => $loader) : ())) }
             [tcf => ''], [gpp => ''], [spain => ''],
             map { ["in-$_" => '<script async src="/metrics/t.js"'
                               . " data-region=\"$_\"></script>"] }
                 qw(ES FR)),
        'tcf.js' => <<'EOJ',
window.__tcfapi = (command, version, callback) => {
    if (command == 'addEventListener') {
        callback({ gdprApplies: true, tcString: 'CPXxRfAPXxRfAAfKABENB',
                   eventStatus: 'tcloaded', vendor: { consents: { 755: true } },
                   purpose: { consents: { 1: true, 3: true, 4: true,
                                          7: false } } }, true);
    }
};
EOJ
        'gpp.js' => <<'EOJ',
window.__gpp = (command, callback) => {
    if (command == 'addEventListener') {
        callback({ eventName: 'signalStatus', data: 'ready', pingData: {
            gppString: 'DBABLA~BVQqAAAAAgA.QA', applicableSections: [7],
            parsedSections: { usnat: [{ SaleOptOut: 1 }] } } }, true);
    }
};
EOJ
        (map { $_ => "gtag('consent', 'default', { region: ['ES'],"
                     . " analytics_storage: 'denied' });" }
             qw(spain.js in-ES.js in-FR.js)),

        # as its documentation has it for Google's consent mode

        'banner.js' => <<'EOJ',
const state = (category) =>
    CookieConsent.acceptedCategory(category) ? 'granted' : 'denied';

const tell = () => gtag('consent', 'update', {
    analytics_storage: state('analytics'),
    ad_storage: state('ads'),
    ad_user_data: state('ads'),
    ad_personalization: state('ads'),
});

CookieConsent.run({
    hideFromBots: false,
    onConsent: tell,
    onChange: tell,
    categories: {
        necessary: { enabled: true, readOnly: true },
        analytics: {},
        ads: {},
    },
    language: {
        default: 'en',
        translations: { en: {
            consentModal: {
                title: 'Cookies?',
                acceptAllBtn: 'Accept all',
                acceptNecessaryBtn: 'Reject all',
                showPreferencesBtn: 'Choose',
            },
            preferencesModal: {
                acceptAllBtn: 'Accept all',
                acceptNecessaryBtn: 'Reject all',
                savePreferencesBtn: 'Save',
                sections: ['necessary', 'analytics', 'ads'].map((name) =>
                    ({ title: name, linkedCategory: name })),
            },
        } },
    },
});
EOJ
    },
);


# The matrix: what must not arrive where something is denied.

my @analytics = qw(uid _fid ecid _fplc _gsid sct seg _fv _ss _nsi _gl);
my @ads = qw(gclid dclid gbraid wbraid gad_source srsltid fbclid msclkid ttclid
             auid gclaw gclgb gclgs _rnd ep.gclid ep.fbclid);

my $query = 'gclid=EAIaIQsecret&fbclid=IwARsecret&utm_source=s';

# [what the visitor chooses, takes it back; ads, analytics: then and at last]

my @visits = (
    { choice => 'none',      is => [0, 0] },
    { choice => 'reject',    is => [0, 0] },
    { choice => 'all',       is => [1, 1] },
    { choice => 'analytics', is => [0, 1] },
    { choice => 'ads',       is => [1, 0] },
    { choice => 'all',       is => [1, 1], second => 'reject' },
);

for my $visit (@visits) {
    $visit->{name} = $visit->{choice} . ($visit->{second} ? '-back' : '');
}

# what leaves the browser before it says something else

sub sends {
    my ($mode, $visit) = @_;

    return [qw(before_choice after_choice after_second)]
        if $mode eq 'advanced';

    return $visit->{is}[1] ? ['after_choice'] : [];
}


my @done = @{ $shop->browser->run('banner.mjs', 'visits', [map {
    my $mode = $_;
    map { { url => "https://$_->{name}.$mode.example/?$query",
            choice => $_->{choice}, second => $_->{second},
            sends => sends($mode, $_) } } @visits;
} qw(basic advanced)]) };


# the letters of a gcd: default denied, no update; denied; granted

sub gcd {
    my ($ads, $analytics, $updated) = @_;

    my ($a, $b) = map { !$updated ? 'p' : $_ ? 'r' : 'q' } $ads, $analytics;

    return qr/\A1.$a.$b.$a.$a./;
}


# one event as it arrived, for a state of (ads, analytics, decided)

sub matrix {
    my ($e, $what, $ads, $analytics, $updated) = @_;

    my $all = $ads && $analytics;
    my $raw = $e->{_hit}{raw} . $e->{_hit}{body};
    my @cookies = sort map { /\A([^=]+)/ }
                  split /; /, header($e->{_hit}, 'Cookie') || '';

    is $e->{gcs}, "G1$ads$analytics", "$what: gcs";
    like $e->{gcd}, gcd($ads, $analytics, $updated), 'gcd';
    is header($e->{_hit}, 'X-Forwarded-For'),
       $all ? '127.0.0.1' : '127.0.0.0', 'the address';

    if ($analytics) {
        is $e->{uid}, 'u-1', 'with the user\'s id' if $ads;
        ok defined $e->{$_}, "with $_" for qw(sct seg);

    } else {
        is $e->{$_}, undef, "no $_" for @analytics;
    }

    if ($ads) {
        like $e->{dl}, qr/gclid=EAIaIQsecret/, 'with the click id'
            if $e->{en} =~ /choice/;
        isnt $e->{npa}, 1, 'personal ads';

    } else {
        is $e->{npa}, 1, 'no personal ads';
        is_deeply [grep { defined $e->{$_} } @ads], [], 'no click id';
        unlike $raw, qr/EAIaIQ|IwAR/, 'anywhere';
        is_deeply [grep { /user_data|\Aem\z/ } @{ $e->{_names} }], [],
                  'nothing of the person';
    }

    is_deeply [grep { /\A(?:FPAU|_gcl)/ } @cookies],
              [$ads ? grep { /\A(?:FPAU|_gcl)/ } @cookies : ()],
              'no cookie of ads';
    is_deeply [grep { /\A(?:FPID|_ga)/ } @cookies],
              [$analytics ? grep { /\A(?:FPID|_ga)/ } @cookies : ()],
              'no cookie of analytics';
    is_deeply [grep { /session|cc_cookie/ } @cookies], [], 'none of the shop';
}


# what is kept for the audit: what, when, how, of which version

sub record {
    my ($e, $what, $ads, $analytics) = @_;

    my @words = ('denied', 'granted');
    my %state = map { split /=/, $_, 2 } split /,/, $e->{'ep.consent_state'};

    is_deeply \%state, { analytics_storage => $words[$analytics],
                         map { $_ => $words[$ads] }
                             qw(ad_storage ad_user_data ad_personalization) },
              "$what: what was decided";
    is $e->{'ep.consent_method'}, 'gtag', 'how';
    like $e->{'epn.event_timestamp'}, qr/\A\d{13}\z/, 'when';
    like $e->{'ep.script_version'}, qr/\A\d/, 'by which version';
}


# names that are the shop's and the banner's own

sub ours {
    my @names = sort grep { $_ ne 'session' && $_ ne 'cc_cookie' } @_;

    return @names;
}


# What the tagging server has set and scripts did not may stay in the browser;
# it does not come through the gate any more.

sub none_stored {
    my ($look, $what, @others) = @_;

    my %others = map { $_ => 1 } @others;

    is_deeply [grep { !$others{$_} } ours(@{ $look->{cookies} })], [],
              "$what: no cookie";
    is_deeply [$look->{local}, $look->{session}], [[], []], 'nothing stored';
}


for my $mode (qw(basic advanced)) {
    for my $visit (@visits) {
        my $done = shift @done;
        my ($ads, $analytics) = @{ $visit->{is} };
        my $host = "$visit->{name}.$mode.example";
        my $what = "$mode, $visit->{name}";
        my $decided = $visit->{choice} ne 'none';
        my @at_last = $visit->{second} ? (0, 0) : ($ads, $analytics);
        my @sent = grep { $_->{url} =~ m{/g/collect} } @{ $done->{requests} };

        my %want = $mode eq 'basic'
            ? (!$analytics ? ()
               : (before_choice => 1, after_choice => 1,
                  page_view => $at_last[1] ? 2 : 1,
                  $at_last[1] ? (on_next_page => 1) : ()))
            : (page_view => 2, before_choice => 1, after_choice => 1,
               on_next_page => 1, $visit->{second} ? (after_second => 1) : ());

        # What was decided goes along, where something may; a page does not
        # know what was said to another if it may not keep it.

        $want{consent_record} = !$analytics ? 2
                                : $visit->{second} && $mode eq 'advanced' ? 3
                                : 1
            if $decided && ($mode eq 'advanced' || $analytics);

        my %names = map { $_ => 1 } qw(page_view before_choice after_choice
                                       after_second on_next_page
                                       consent_record);

        my @events = grep { $names{$_->{en}} } $shop->wait_events($host, sub {
            my %n;
            $n{$_->{en}}++ for @_;
            return !grep { ($n{$_} || 0) < $want{$_} } keys %want;
        });

        my @records = grep { $_->{en} eq 'consent_record' } @events;

        record($records[0], "$what: record", $ads, $analytics) if @records;
        record($_, "$what: a later record", @at_last)
            for @records[1 .. $#records];

        my %got;
        $got{$_->{en}}++ for @events;

        is_deeply \%got, \%want, "$what: what arrived";
        is_deeply $done->{complaints}, [], 'without a complaint';

        if ($mode eq 'basic' && !$analytics) {
            is_deeply \@sent, [], 'nothing left the browser';
        }

        # what was queued goes with what holds then

        my $seen = 0;

        for my $e (@events) {
            my $late = ($e->{dl} || '') =~ m{/later}
                       || $e->{en} =~ /\A(?:after_second|on_next_page)\z/
                       || $e->{en} eq 'consent_record' && $seen++;

            my @state = $late ? (@at_last, $decided)
                        : $mode eq 'advanced'
                          && $e->{en} =~ /\A(?:page_view|before_choice)\z/
                        ? (0, 0, 0) : ($ads, $analytics, $decided);

            # the banner of a page that remembers says so after the default

            if ($e->{en} eq 'page_view' && $e->{dl} =~ m{/later}) {
                @state = (@at_last, $e->{gcd} =~ /p/ ? 0 : $decided);
            }

            matrix($e, "$what: $e->{en}", @state);
        }

        # what is stored

        my @looks = @{ $done->{looks} };

        none_stored(shift @looks, "$what: before the choice");

        my $look = shift @looks;

        if ($analytics) {
            ok scalar(ours(@{ $look->{cookies} })), "$what: cookies after it";

        } else {
            is_deeply [grep { /\A(?:FPID|_ga|_sgtm)/ }
                            ours(@{ $look->{cookies} })], [],
                      "$what: no cookie of analytics after it";
        }

        none_stored($_, "$what: taken back", qw(FPAU _gcl_au))
            for $visit->{second} ? @looks : ();

        my @names = ours(map { $_->{name} } @{ $done->{cookies} });

        is scalar(grep { $_ eq 'FPID' } @names), $at_last[1] ? 1 : 0,
           "$what: the tagging server's cookie" if !$visit->{second};
        is scalar(grep { $_ eq 'FPAU' } @names),
           $at_last[0] && ($at_last[1] || $mode eq 'advanced') ? 1 : 0,
           "$what: and that of ads" if !$visit->{second};

        # one visitor, or each page another

        my %cids = map { $_->{cid} => 1 } @events;

        is scalar keys %cids, 1, "$what: one visitor"
            if $at_last[1] && $mode eq 'basic';
    }
}



###############################################################################

# Who has no banner: by the page and by what the browser says of itself.

my %gpc = (extraHTTPHeaders => { 'Sec-GPC' => '1' });
my $gpc = 'Object.defineProperty(Navigator.prototype, "globalPrivacyControl",'
          . ' { get: () => true })';

# [host, page, does the browser object, gcs, more of the hit]; '': no hit

my @others = (
    ['plain.open', '/page', 0, 'G111', npa => 0],
    ['gpc.open', '/page', 1, 'G101', npa => 1],
    ['gpp.open', '/gpp.html', 0, 'G101', npa => 1],
    ['tcf.open', '/tcf.html', 0, 'G111', npa => 0, gdpr => 1,
     gdpr_consent => 'CPXxRfAPXxRfAAfKABENB', gcd => qr/\A1.v.t.u.v/],
    ['tcf.advanced', '/tcf.html', 0, 'G110', npa => 0, gdpr => 1,
     gcd => qr/\A1.r.p.q.r/],
    ['tcf.basic', '/tcf.html', 0, ''],
    ['spain.open', '/spain.html', 0, 'G110', sct => undef],
    ['es.open', '/in-ES.html', 0, 'G110', sct => undef],
    ['fr.open', '/in-FR.html', 0, 'G111', sct => 1],
);

$shop->browser->run('visit.mjs', 'visits', [map {
    my ($host, $page, $objects) = @$_;

    { steps => [$objects ? [init => $gpc] : (),
                [go => "https://$host.example$page"],
                [js => "gtag('event', 'told', {})"]],
      options => $objects ? \%gpc : {} };
} @others]);

for my $other (@others) {
    my ($host, $page, $objects, $gcs, %more) = @$other;

    my ($event) = grep { $_->{en} eq 'told' }
                  $shop->wait_events("$host.example", sub {
                      !$gcs || grep { $_->{en} eq 'told' } @_;
                  });

    is $event ? $event->{gcs} : '', $gcs, "$host, $page";
    next if !$event;

    for (sort keys %more) {
        ref $more{$_} ? like $event->{$_}, $more{$_}, "$host: $_"
                      : is $event->{$_}, $more{$_}, "$host: $_";
    }
}

$shop->stop;

done_testing;
