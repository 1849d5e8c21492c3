package SGTM::Shop;

# Shops for the tests with a browser: pages over TLS and HTTP/2 under a policy
# that allows nothing but the shop's own host, the gateway below /metrics/, a
# tagging server that records, and a browser that finds it all by its name.
#
#     my $shop = SGTM::Shop->start(
#         sites => { 'light.example' => 'sgtm_tagging light;' },
#         pages => { 'index.html' => SGTM::Shop::page('<p>Text') },
#     );
#
#     $shop->browser->run('visit.mjs', 'visit', {
#         steps => [[go => 'https://a.light.example/']],
#     });
#     my @events = $shop->events('a.light.example');
#
# A site is a host with all the names below it, so that each visitor of a test
# has one of his own, by which his hits are told from others'; the text goes
# into its server block.  Options of start() beside that:
#
#     policies => { 'light.example' => '...' }  another policy, or none: ''
#     gateway => { 'light.example' => '...' }   more of its /metrics/
#     http => '...', locations => '...'   more of the configuration
#     google => 1      Google's hosts are played by a second nginx, whose
#                      requests $shop->google has; a code answers them
#     answer => sub { ... }               what the tagging server answers
#     bfcache => 1                        as SGTM::Browser has it
#     nginx => [workers => 2, ...]        options of SGTM::Test->start
#
# An event is { en => 'page_view', 'ep.event_id' => ..., every parameter of the
# query and of its line decoded; _hit => the request, _names => [in order] }.

use strict;
use warnings;

use SGTM::Backend;
use SGTM::Browser;
use SGTM::Nginx;
use SGTM::Run;

our $POLICY = "default-src 'none'; script-src 'self'; connect-src 'self';"
              . " img-src 'self'; media-src 'self'; form-action 'self';"
              . " base-uri 'none'";

my @GOOGLE = qw(*.google-analytics.com *.analytics.google.com
                *.googletagmanager.com www.google.com *.g.doubleclick.net
                *.youtube.com *.youtube-nocookie.com);


# why none can be started, for a test's skip

sub missing {
    my @packages = @_;

    my $root = SGTM::Run::root();
    my $why = SGTM::Browser::missing();

    for (@packages) {
        $why ||= 'npm has not been run in t/' if !-d "$root/t/node_modules/$_";
    }

    return $why;
}


# a page of the shop: what is in its body, and in its head beside the loader

sub page {
    my ($body, %opt) = @_;

    my $loader = '<script async src="/metrics/t.js"></script>';
    my %p = (head => '', title => 'A shop', loader => $loader, %opt);

    return <<"EOF";
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$p{title}</title>
$p{head}
$p{loader}
</head>
<body>
$body
</body>
</html>
EOF
}


sub start {
    my ($class, %opt) = @_;

    my $self = bless { sites => $opt{sites} }, $class;

    $self->{tag} = SGTM::Backend->start($opt{answer});
    $self->{nginx} = SGTM::Nginx->start($self->_conf(%opt),
        names => $self->_names, @{ $opt{nginx} || [] });

    for my $name (keys %{ $opt{pages} || {} }) {
        $self->{nginx}->write_file("html/$name", $opt{pages}{$name});
    }

    my @nginx = $self->{nginx};
    my %hosts = map { $_ => '127.0.0.1:' . $self->{nginx}->port }
                    ('*.example', keys %{ $opt{sites} });

    if ($opt{google}) {
        push @nginx, $self->_google($opt{google});
        $hosts{$_} = '127.0.0.1:' . $nginx[1]->port for @GOOGLE;
    }

    $self->{browser} = SGTM::Browser->start(
        hosts        => \%hosts,
        certificates => [map { $_->certificate->{cert} } @nginx],
        bfcache      => $opt{bfcache},
    );

    return $self;
}


sub tag { return $_[0]{tag} }
sub nginx { return $_[0]{nginx} }
sub browser { return $_[0]{browser} }
sub google { return $_[0]{google} }


sub _names {
    my ($self) = @_;

    return join ',', map { ($_, "*.$_") } sort keys %{ $self->{sites} };
}


sub _conf {
    my ($self, %opt) = @_;

    my $conf = <<"EOC";
    types {
        text/html               html;
        text/css                css;
        application/javascript  js mjs;
        audio/wav               wav;
        application/pdf         pdf;
    }

    charset              utf-8;
    charset_types        application/javascript text/css;
    ssl_certificate      %%CERT%%;
    ssl_certificate_key  %%KEY%%;

    upstream tagging {
        server             127.0.0.1:@{[ $self->{tag}->port ]} max_fails=0;
        keepalive          16;
        keepalive_timeout  4s;
    }

    @{[ $opt{http} || '' ]}

    server {
        %%LISTEN_H2(127.0.0.1:%%PORT%% ssl default_server)%%
        server_name  elsewhere.example;

        location /     { return 204; }
        location /page { return 200 elsewhere; }
    }
EOC

    for my $site (sort keys %{ $opt{sites} }) {
        $conf .= _site($site, $opt{sites}{$site}, $opt{policies}{$site},
                       $opt{gateway}{$site} || '', $opt{locations} || '');
    }

    return $conf;
}


sub _site {
    my ($name, $text, $policy, $gateway, $locations) = @_;

    $policy = $POLICY if !defined $policy;
    $policy &&= "add_header  Content-Security-Policy  \"$policy\";";

    return <<"EOC";
    server {
        %%LISTEN_H2(127.0.0.1:%%PORT%% ssl)%%
        server_name  .$name;

        sgtm_endpoint  sgtm.example.com;
        sgtm_tag_id    G-ABC1234567;
        $text

        location / {
            try_files   \$uri /index.html;
            add_header  Set-Cookie  "session=of-the-shop; Path=/; Secure";
            $policy
        }

        # a document without an origin

        location /sandboxed {
            try_files   /index.html  =404;
            add_header  Content-Security-Policy  "sandbox allow-scripts";
        }

        location /metrics/ {
            sgtm        on;
            proxy_pass  http://tagging/;
            include     sgtm_proxy.conf;
            $gateway
        }

        location \@courier {
            proxy_pass  http://tagging;
            include     sgtm_proxy.conf;
        }

        $locations
    }
EOC
}


# the hosts of Google's, which take everything and say so

sub _google {
    my ($self, $answer) = @_;

    $self->{google} = SGTM::Backend->start(ref $answer ? $answer : 204);

    return SGTM::Nginx->start(<<"EOC", module => 0, names => join ',', @GOOGLE);
    ssl_certificate      %%CERT%%;
    ssl_certificate_key  %%KEY%%;

    server {
        %%LISTEN_H2(127.0.0.1:%%PORT%% ssl)%%
        server_name  _;

        location / {
            proxy_pass          http://127.0.0.1:@{[ $self->{google}->port ]};
            proxy_http_version  1.1;
            proxy_set_header    Host        \$host;
            proxy_set_header    Connection  "";
        }
    }
EOC
}


# "%C3%A9" as its bytes

sub decoded {
    my ($text) = @_;

    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;

    return $text;
}


# the events of one request to a collect endpoint

sub events_of {
    my ($hit) = @_;

    return if $hit->{uri} !~ m{/g/collect\?(.*)}s;

    my $query = $1;
    my @lines = grep { length } split /\r\n/, $hit->{body};
    my @events;

    for my $line (@lines ? @lines : '') {
        my @pairs = map { /\A([^=]*)=?(.*)\z/s; [decoded($1), decoded($2)] }
                        split /&/, join '&', $query, length $line ? $line : ();

        push @events, {
            (map { @$_ } @pairs),
            _hit => $hit, _names => [map { $_->[0] } @pairs],
        };
    }

    return @events;
}


# What arrived for a visitor's host, in order; without a host for all.  The
# second argument is where it arrived: $shop->tag, or $shop->google.

sub events {
    my ($self, $host, $where) = @_;

    my @hits = ($where || $self->{tag})->requests;

    @hits = grep { ($_->{h}{'x-forwarded-host'} || '') eq $host } @hits
        if defined $host;

    return map { events_of($_) } @hits;
}


# the same once the code, which gets them as its arguments, says yes

sub wait_events {
    my ($self, $host, $code, $seconds) = @_;

    my @events;

    SGTM::Run::wait_for {
        @events = $self->events($host);
        $code->(@events);
    } $seconds || 4;

    return @events;
}


sub stop {
    my ($self) = @_;

    $self->{browser}->stop;
}


1;
