package SGTM::Browser;

# A headless Chromium that a test leads by the hand.
#
#     my $why = SGTM::Browser::missing();      # undef: there is one
#     my $b = SGTM::Browser->start;
#
#     $b->go('http://localhost:8080/');        # the status
#     $b->click('#buy');
#     $b->fill('#email', 'a@b.example');
#     $b->press('Tab');
#     $b->evaluate('document.title');          # the value of an expression
#     $b->wait('document.title == "b"');       # until it is true, or it dies
#     $b->size(375, 800);
#     $b->scheme('dark');                      # what the page's style asks for
#     $b->picture('page.png', { fullPage => JSON::PP::true() });
#     $b->cookies;                             # [{ name, value, domain, ... }]
#     $b->requests;                            # [{ method, url, body, type }]
#     $b->complaints;                          # [lines of the console]
#     $b->run('visit.mjs', 'visit', @args);    # a function of t/browser/
#     $b->stop;
#
# It finds no host but this machine's.  Others are played: start() may be told
#
#     hosts => { '*.shop.example' => '127.0.0.1:8443' }  where names lead to
#     certificates => [$file, ...]    the only ones that are trusted then; else
#                                     any is
#     bfcache => 1    with the cache of pages that one comes back to; requests()
#                     lacks what is sent as a page goes into it

use strict;
use warnings;

use Carp ();
use IO::Handle ();
use JSON::PP ();
use POSIX ();

use SGTM::Run;

my $json = JSON::PP->new->utf8->allow_nonref;
my $root = SGTM::Run::root();


sub _chromium {
    my ($found) = grep { -x } map { ("$_/chromium", "$_/chromium-browser") }
                                  split /:/, $ENV{PATH};

    return $found;
}


# why there is no browser, for a test's skip

sub missing {
    return 'chromium is not installed' if !_chromium();
    return 'npm has not been run in t/'
        if !-d "$root/t/node_modules/playwright-core";

    return undef;
}


# Chromium's rules: the first that fits decides

sub _rules {
    my ($hosts) = @_;

    return join ', ', (map { "MAP $_ $hosts->{$_}" } sort keys %$hosts),
                      'MAP * ~NOTFOUND', 'EXCLUDE localhost',
                      'EXCLUDE *.localhost', 'EXCLUDE 127.0.0.1';
}


# the hash of a certificate's key

sub _key {
    my ($file) = @_;

    my ($status, $hash) = SGTM::Run::capture(
        'sh', '-c', 'openssl x509 -in "$1" -pubkey -noout'
                    . ' | openssl pkey -pubin -outform der'
                    . ' | openssl dgst -sha256 -binary | openssl base64',
        'sh', $file);

    die "$file: $hash\n" if $hash !~ m{\A([\w+/]{43}=)\n\z};

    return $1;
}


sub start {
    my ($class, %opt) = @_;

    my $self = bless { dir => SGTM::Run::dir('browser') }, $class;
    my $how = $json->encode({
        chromium => _chromium(),
        rules    => _rules($opt{hosts} || {}),
        keys     => join(',', map { _key($_) } @{ $opt{certificates} || [] }),
        bfcache  => $opt{bfcache} || 0,
    });

    pipe(my $from, my $out) or die "pipe: $!\n";
    pipe(my $in, my $to) or die "pipe: $!\n";
    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        setpgrp;
        open STDIN, '<&', $in;
        open STDOUT, '>&', $out;
        open STDERR, '>', "$self->{dir}/errors";
        close $_ for $from, $to, $in, $out;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM PIPE);
        $ENV{TMPDIR} = $self->{dir};

        { no warnings 'exec'; exec 'node', "$root/t/lib/browser.mjs",
                                   $how; }
        POSIX::_exit(127);
    }

    $to->autoflush(1);

    @$self{qw(pid from to)} = ($pid, $from, $to);
    $self->_answer;

    return $self;
}


sub _answer {
    my ($self) = @_;

    my $line = readline $self->{from};

    Carp::croak('the browser is gone: '
                . SGTM::Run::get("$self->{dir}/errors")) if !defined $line;

    my $answer = $json->decode($line);

    Carp::croak($answer->{error}) if defined $answer->{error};

    return $answer->{value};
}


for my $name (qw(go click fill press evaluate wait size scheme picture
                 cookies requests complaints))
{
    no strict 'refs';

    *$name = sub {
        my ($self, @args) = @_;

        print { $self->{to} } $json->encode([$name, @args]), "\n";

        return $self->_answer;
    };
}


sub run {
    my ($self, $file, $name, @args) = @_;

    print { $self->{to} }
          $json->encode(['run', "$root/t/browser/$file", $name, @args]), "\n";

    return $self->_answer;
}


# the end of its input is its end

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    local ($?, $!);

    close $self->{to};
    close $self->{from};

    my $gone = SGTM::Run::wait_for { waitpid($pid, POSIX::WNOHANG()) } 10;

    if (!$gone) {
        kill 'KILL', -$pid;
        waitpid $pid, 0;
    }
}


sub DESTROY {
    my ($self) = @_;

    $self->stop if SGTM::Run::is_owner();
}


1;
