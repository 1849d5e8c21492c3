#!/usr/bin/perl

# The build: the module loads into the nginx it was built for, brings nothing
# along that it should not, rebuilds no more than it has to, builds against a
# source tree that it leaves alone, and says plainly what is missing.

use FindBin;
use lib "$FindBin::Bin/lib";
use SGTM::Test;

use Cwd ();
use Time::HiRes qw(utime);

my $root = SGTM::Run::root();
my $dev = '/usr/share/nginx/src';
my $out = SGTM::Run::dir('build');

# what make put there for the make that may run this test is not for ours
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES BUILD STATIC
               NGINX_SRC CC V)};

my $gateway = <<'EOF';
server {
    listen       127.0.0.1:%%PORT%%;
    server_name  shop.example;

    location /metrics/ {
        sgtm            on;
        sgtm_endpoint   sgtm.example.com;
        sgtm_tag_id     G-ABC1234567;
        proxy_pass      http://127.0.0.1:%%PORT2%%/;
        include         sgtm_proxy.conf;
    }
}
EOF


sub make {
    my ($status, $text) = run('make', '-C', $root, @_);

    return wantarray ? ($status, $text) : $text;
}


sub module_of {
    my ($file) = @_;

    return 'load_module ' . Cwd::realpath($file) . ';';
}


my $version = nginx_version();

diag "nginx $version, $ENV{SGTM_BUILD} build" if $ENV{SGTM_BUILD};


# the nginx that is tested

my ($status, $text) = nginx_t($gateway);
is $status, 0, 'nginx -t with a gateway' or diag $text;

my $t = SGTM::Test->start($gateway, workers => 2);
is scalar(() = $t->workers), 2, 'nginx starts';
$t->reload;
is scalar(() = $t->workers), 2, 'and reloads';

SKIP: {
    my $module = $ENV{SGTM_MODULE} || "$root/build/release/"
                 . 'ngx_http_sgtm_module.so';

    skip 'the module is linked into nginx', 3 if $module eq 'static';

    ($status, $text) = nginx_t($gateway, module => 0);
    isnt $status, 0, 'without the module nginx -t fails';
    like $text, qr/unknown directive "sgtm"/, 'for the directive';

    # a symbol without a prefix could take the place of one of nginx, or of
    # another module
    (undef, $text) = run('nm', '-D', '--defined-only', $module);
    my @foreign = grep { !/^(?:ngx_|sgtm_|_init$|_fini$|__odr_asan)/ }
                       map { (split)[2] } split /\n/, $text;
    is_deeply \@foreign, [], 'all symbols have a prefix of ours';
}


# a build against a source tree; Debian's headers are enough of one

my $tree = "$out/nginx";
mkdir $tree;
is +(run('cp', '-rL', (map { "$dev/$_" } qw(auto configure src)), $tree))[0],
   0, 'a source tree';

my $find = [run('sh', '-c', "cd $tree && find . | sort")];
my @make = ("NGINX_SRC=$tree", "OUT=$out/objs", 'BUILD=debug',
            'module');

($status, $text) = make(@make);
is $status, 0, 'make NGINX_SRC=<tree>' or diag $text;
unlike $text, qr/warning/, 'without a warning';
is_deeply [run('sh', '-c', "cd $tree && find . | sort")], $find,
          'the tree is as before';

my $so = "$out/objs/ngx_http_sgtm_module.so";

SKIP: {
    (undef, $text) = run('/usr/sbin/nginx', '-v');
    skip 'another nginx than that of nginx-dev is tested', 1
        if $ENV{SGTM_NGINX} || $text !~ /\Q$version\E/;

    ($status, $text) = nginx_t($gateway, module => 0, main => module_of($so));
    is $status, 0, 'nginx loads that module' or diag $text;
}


# what a second make does

sub compiled { return scalar(() = $_[0] =~ /\s-c\s/g) }

my $made = (stat $so)[9];
$text = make(@make, 'V=1');
is compiled($text), 0, 'nothing is compiled twice';
is +(stat $so)[9], $made, 'the module stays';

(undef, $text) = run('make', '-C', "$out/objs/tree", '-f', 'objs/Makefile',
                     '-n', '-W', "$root/src/hit/sgtm_args.c", 'modules');
is compiled($text), 1, 'a changed file is compiled alone';

(undef, $text) = run('make', '-C', "$out/objs/tree", '-f', 'objs/Makefile',
                     '-n', '-W', "$root/src/hit/sgtm_hit.h", 'modules');
cmp_ok compiled($text), '>', 10, 'for a changed header all are';

utime 0, 0, "$out/objs/tree/objs/Makefile";
like scalar make(@make), qr/^configuring/m,
     'configure runs again when config is newer';

my $sources = do { open my $fh, '<', "$root/config" or die; local $/; <$fh> };
my @missing = grep { my ($name) = m{([^/]+)$}; $sources !~ m{/\Q$name\E\b} }
                   glob "$root/*.[ch] $root/src/*.[ch] $root/src/*/*.[ch]";
is_deeply \@missing, [], 'config names every source and header';


# what cannot be built

for ([ 'BUILD=fast',        qr/"fast", but may be release, debug or sani/ ],
     [ 'NGINX_SRC=/nowhere', qr{"/nowhere", which is no source tree} ],
     [ 'STATIC=1',           qr/STATIC=1 needs a whole source tree/ ])
{
    my ($arg, $re) = @$_;

    ($status, $text) = make($arg);
    isnt $status, 0, "make $arg fails";
    like $text, $re, 'and says why';
}

for ([ 'zlib', '-lz', 'zlib', 'zlib1g-dev' ],
     [ 'sqlite', '-lsqlite3', 'SQLite', 'libsqlite3-dev' ],
     [ 'hiredis', '-lhiredis', 'hiredis', 'libhiredis-dev' ])
{
    my ($name, $option, $library, $package) = @$_;

    open my $cc, '>', "$out/cc" or die "$out/cc: $!";
    print $cc "#!/bin/sh\ncase \" \$* \" in *' $option '*) exit 1; esac\n",
              "exec cc \"\$@\"\n";
    close $cc;
    chmod 0755, "$out/cc";

    ($status, $text) = make("CC=$out/cc", "OUT=$out/$name", 'module');
    isnt $status, 0, "without $library make fails";
    like $text, qr/requires the $library library.*\.\n.*\Q$package\E/,
         'and names the package';
}

my $header = "$tree/src/core/nginx.h";
is +(run('sed', '-i', 's/^#define nginx_version .*/#define nginx_version '
         . '1020001/', $header))[0], 0, 'an nginx of before 1.22';
($status, $text) = make("NGINX_SRC=$tree", "OUT=$out/old", 'module');
isnt $status, 0, 'is refused';
like $text, qr/requires nginx 1\.22\.0 or newer/, 'and told which is wanted';

done_testing;
